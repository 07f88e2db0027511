/*
 * What a child of the guest does before its own work, whatever that is: its descriptors and nothing else, its limits, the
 * asked user, empty capability sets, its directory. In this order, so that each step is done with the rights it may have.
 *
 * It runs in memory shared with the guest (spawn.c) as well as in a copy of it (spawn_worker.c), so it makes system calls
 * and touches nothing but its plan.
 */
#ifndef WARMPOOL_CHILD_H
#define WARMPOOL_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

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

struct child_plan {
  const struct identity *identity;
  const struct spawn_limits *limits;
  const char *cwd;
  /* They become 0, 1, 2, …; their own numbers are all at least `descriptor_count`. */
  const int *descriptors;
  int descriptor_count;
  bool terminal; /* Descriptor 0 is a terminal, to become the controlling one. */
  struct spawn_result *result; /* Written when a step fails. */
};

/* False when a step failed. */
bool child_prepare(const struct child_plan *plan);

struct spawn_result spawn_refusal(enum spawn_failure failure, const char *step, int error_number);
/* The code of protocol/README.md, section 9. */
const char *spawn_failure_code(enum spawn_failure failure);
enum spawn_failure spawn_classify(int error_number, enum spawn_failure otherwise);
bool child_step_failed(const struct child_plan *plan, enum spawn_failure failure, const char *step, int error_number);

/* True for a directory under the descriptors of a process (/proc/self/fd/7 and the like, CVE-2024-21626), however
 * it is spelled. */
bool is_descriptor_path(const char *path);

#endif
