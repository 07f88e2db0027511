/*
 * The floor under every exec: posix_spawn and wait of one static program, in a loop, nothing else.
 *
 *   spawn-floor PROGRAM [COUNT]
 *
 * prints {"count":…,"p50_us":…,"p95_us":…,"p99_us":…,"max_us":…}. The first tenth warms up and is not counted.
 */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#define COUNT_DEFAULT 2000
#define COUNT_MAX 100000

static double now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int ascending(const void *a, const void *b) {
  double left = *(const double *)a, right = *(const double *)b;
  return (left > right) - (left < right);
}

/* Nearest rank. */
static double percentile(const double *sorted, int count, int percent) {
  int rank = (count * percent + 99) / 100;
  return sorted[rank > 0 ? rank - 1 : 0];
}

int main(int argc, char **argv) {
  static double samples_us[COUNT_MAX];
  int count = argc > 2 ? atoi(argv[2]) : COUNT_DEFAULT;
  if (argc < 2 || count < 1 || count > COUNT_MAX) {
    fprintf(stderr, "usage: spawn-floor PROGRAM [COUNT up to %d]\n", COUNT_MAX);
    return 2;
  }
  char *child_argv[] = {argv[1], NULL};
  char *child_env[] = {NULL};
  for (int i = -(count / 10); i < count; i += 1) {
    double started_us = now_us();
    pid_t pid;
    int status;
    if (posix_spawn(&pid, argv[1], NULL, NULL, child_argv, child_env) != 0 || waitpid(pid, &status, 0) != pid ||
        status != 0) {
      fprintf(stderr, "spawn-floor: %s did not run\n", argv[1]);
      return 1;
    }
    if (i >= 0) samples_us[i] = now_us() - started_us;
  }
  qsort(samples_us, (size_t)count, sizeof samples_us[0], ascending);
  printf("{\"count\":%d,\"p50_us\":%.1f,\"p95_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f}\n", count,
         percentile(samples_us, count, 50), percentile(samples_us, count, 95), percentile(samples_us, count, 99),
         samples_us[count - 1]);
  return 0;
}
