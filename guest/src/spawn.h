/*
 * Starts one process of the sandbox: its own session, its three descriptors and nothing else, the asked user, empty
 * capability sets, its directory, then exec.
 *
 * The child shares the guest's memory until it has called exec and the guest stands still meanwhile (CLONE_VM and
 * CLONE_VFORK): no page tables are copied, so a start costs what posix_spawn costs, and the child tells what went wrong
 * by writing it down. posix_spawn itself cannot change the user or the capabilities, fork would copy, and an error pipe
 * would cost two descriptors and three calls per start. The rules this needs: the child runs on a stack of its own, only
 * makes system calls, and no signal handler exists in the guest. While a child has another uid it cannot be traced by
 * that uid, because the memory it shares is not dumpable.
 */
#ifndef WARMPOOL_SPAWN_H
#define WARMPOOL_SPAWN_H

#include <stdint.h>
#include <sys/types.h>

#include "exec_request.h"
#include "users.h"

struct spawn_limits {
  uint64_t nofile;            /* RLIMIT_NOFILE of every process, soft and hard. */
  uint64_t root_capabilities; /* What processes of uid 0 keep: a bit per capability, normally none. */
  int highest_descriptor;     /* No descriptor of the guest has a greater number. */
};

enum spawn_failure {
  SPAWN_STARTED = 0,
  SPAWN_USER_UNAVAILABLE,
  SPAWN_CWD_INVALID,
  SPAWN_NOT_FOUND,
  SPAWN_NOT_EXECUTABLE,
  SPAWN_LIMIT_EXCEEDED,
  SPAWN_SYSTEM_ERROR,
};

struct spawn_result {
  enum spawn_failure failure;
  int error_number; /* 0 when `step` says it all. */
  const char *step; /* What was being done. */
  pid_t pid;
};

/* `descriptors` are the child's stdin, stdout and stderr; they stay open here and must all be above 2. */
struct spawn_result spawn_process(const struct exec_request *request, const struct identity *identity,
                                  const int descriptors[3], const struct spawn_limits *limits);

/* True for a directory under the descriptors of a process (/proc/self/fd/7 and the like, CVE-2024-21626), however
 * it is spelled. */
int is_descriptor_path(const char *path);

#endif
