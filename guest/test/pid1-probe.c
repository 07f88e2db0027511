/*
 * What a command can do to the guest agent (HARDENING.md, G1): six ways to its memory or its link.
 *
 *   pid1-probe [PID]       PID defaults to 1
 *
 * prints one JSON object per attempt: {"attempt":…,"refused":…,"errno":…}, and exits 0 when all are refused: with EACCES or
 * EPERM, or ENOSYS where the kernel has no such call. Nothing is written anywhere and a trace that did begin is ended at
 * once.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel_abi.h"

/* The same on every architecture. */
#define NR_PIDFD_OPEN 434
#define NR_PIDFD_GETFD 438

/* More than the guest ever has open. */
#define DESCRIPTORS_TRIED 1024

static int failed;

static void report(const char *attempt, bool succeeded) {
  int error_number = succeeded ? 0 : errno;
  bool refused = error_number == EACCES || error_number == EPERM || error_number == ENOSYS;
  failed += !refused;
  printf("{\"attempt\":\"%s\",\"refused\":%s,\"errno\":%d}\n", attempt, refused ? "true" : "false", error_number);
}

/* Some files open for anyone and refuse when read. */
static bool reads(const char *path) {
  char byte;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  bool got = read(fd, &byte, 1) >= 0;
  close(fd);
  return got;
}

static bool opens(const char *path, int flags) {
  int fd = open(path, flags | O_CLOEXEC);
  if (fd < 0) return false;
  /* The guest holds /dev/null, which everybody may open anyway. */
  struct stat status;
  bool is_device = fstat(fd, &status) == 0 && S_ISCHR(status.st_mode);
  close(fd);
  errno = EACCES;
  return !is_device;
}

/* Root may list the folder even where it may not follow any entry, so entries are what counts. */
static bool opens_a_descriptor(pid_t pid) {
  int worst = ENOENT;
  for (int fd = 0; fd < DESCRIPTORS_TRIED; fd += 1) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
    if (opens(path, O_RDONLY | O_NONBLOCK) || opens(path, O_WRONLY | O_NONBLOCK)) return true;
    if (errno == EACCES || errno == EPERM) worst = errno;
  }
  errno = worst;
  return false;
}

static bool traces(pid_t pid) {
  if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) != 0) return false;
  ptrace(PTRACE_DETACH, pid, NULL, NULL);
  return true;
}

static bool takes_descriptor(pid_t pid) {
  int pidfd = (int)syscall(NR_PIDFD_OPEN, pid, 0);
  if (pidfd < 0) return false;
  bool taken = false;
  for (int fd = 0; fd < DESCRIPTORS_TRIED && !taken; fd += 1) {
    taken = syscall(NR_PIDFD_GETFD, pidfd, fd, 0) >= 0;
    if (!taken && errno != EBADF) break;
  }
  close(pidfd);
  return taken;
}

int main(int argc, char **argv) {
  pid_t pid = argc > 1 ? atoi(argv[1]) : 1;
  static const char *const READ[] = {"maps", "environ"};
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/mem", pid);
  report("mem", opens(path, O_RDWR) || opens(path, O_RDONLY));
  for (size_t i = 0; i < 2; i += 1) {
    snprintf(path, sizeof path, "/proc/%d/%s", pid, READ[i]);
    report(READ[i], reads(path));
  }
  report("fd", opens_a_descriptor(pid));
  report("ptrace", traces(pid));
  report("pidfd_getfd", takes_descriptor(pid));
  return failed == 0 ? 0 : 1;
}
