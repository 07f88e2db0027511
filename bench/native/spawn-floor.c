/*
 * The floor under every exec: posix_spawn and wait of one static program, in a loop, nothing else.
 *
 *   spawn-floor PROGRAM [COUNT]
 *
 * prints {"count":…,"p50_us":…,"p95_us":…,"p99_us":…,"max_us":…}. The first tenth warms up and is not counted.
 *
 *   spawn-floor PROGRAM -
 *
 * starts the program once for each byte on stdin and answers each with its microseconds on a line, until end of file: so
 * that a bench can take turns between this and what it compares.
 */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

/* Microseconds from before the start to after the wait; negative when it did not run well. */
static double spawn_once_us(const char *program) {
  char *child_argv[] = {(char *)program, NULL};
  char *child_env[] = {NULL};
  double started_us = now_us();
  pid_t pid;
  int status;
  if (posix_spawn(&pid, program, NULL, NULL, child_argv, child_env) != 0 || waitpid(pid, &status, 0) != pid ||
      status != 0) {
    fprintf(stderr, "spawn-floor: %s did not run\n", program);
    return -1;
  }
  return now_us() - started_us;
}

static int spawn_on_request(const char *program) {
  char request;
  while (read(STDIN_FILENO, &request, 1) == 1) {
    double took_us = spawn_once_us(program);
    if (took_us < 0) return 1;
    printf("%.1f\n", took_us);
    fflush(stdout);
  }
  return 0;
}

int main(int argc, char **argv) {
  static double samples_us[COUNT_MAX];
  if (argc > 2 && strcmp(argv[2], "-") == 0) return spawn_on_request(argv[1]);
  int count = argc > 2 ? atoi(argv[2]) : COUNT_DEFAULT;
  if (argc < 2 || count < 1 || count > COUNT_MAX) {
    fprintf(stderr, "usage: spawn-floor PROGRAM [COUNT up to %d | -]\n", COUNT_MAX);
    return 2;
  }
  for (int i = -(count / 10); i < count; i += 1) {
    double took_us = spawn_once_us(argv[1]);
    if (took_us < 0) return 1;
    if (i >= 0) samples_us[i] = took_us;
  }
  qsort(samples_us, (size_t)count, sizeof samples_us[0], ascending);
  printf("{\"count\":%d,\"p50_us\":%.1f,\"p95_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f}\n", count,
         percentile(samples_us, count, 50), percentile(samples_us, count, 95), percentile(samples_us, count, 99),
         samples_us[count - 1]);
  return 0;
}
