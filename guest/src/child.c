#define _GNU_SOURCE
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bounds.h"
#include "kernel_abi.h"
#include "pty.h"

struct spawn_result spawn_refusal(enum spawn_failure failure, const char *step, int error_number) {
  return (struct spawn_result){.failure = failure, .error_number = error_number, .step = step};
}

bool child_step_failed(const struct child_plan *plan, enum spawn_failure failure, const char *step, int error_number) {
  *plan->result = spawn_refusal(failure, step, error_number);
  return false;
}

enum spawn_failure spawn_classify(int error_number, enum spawn_failure otherwise) {
  return error_number == EAGAIN || error_number == ENOMEM ? SPAWN_LIMIT_EXCEEDED : otherwise;
}

/* close_range is missing before Linux 5.9 and in gVisor of 2022, where a call costs so much that closing every number there
 * could be would take longer than all the rest. */
static void close_from(int first, int highest_descriptor) {
  if (syscall(__NR_close_range, (unsigned)first, ~0u, 0u) == 0) return;
  for (int fd = first; fd <= highest_descriptor; fd += 1) close(fd);
}

static bool take_descriptors(const struct child_plan *plan) {
  for (int fd = 0; fd < plan->descriptor_count; fd += 1)
    if (dup2(plan->descriptors[fd], fd) < 0) return child_step_failed(plan, SPAWN_SYSTEM_ERROR, "dup2", errno);
  close_from(plan->descriptor_count, plan->limits->highest_descriptor);
  if (plan->terminal && !pty_become_controlling())
    return child_step_failed(plan, SPAWN_SYSTEM_ERROR, "controlling terminal", errno);
  return true;
}

/* By raw system calls: libc's wrappers would try to tell other threads, which do not exist. */
static bool become_user(const struct child_plan *plan) {
  const struct identity *identity = plan->identity;
  if (!identity->switches) return true;
  const char *step = "setgroups";
  long status = syscall(__NR_setgroups, identity->group_count, identity->groups);
  if (status == 0) {
    step = "setresgid";
    status = syscall(__NR_setresgid, identity->gid, identity->gid, identity->gid);
  }
  if (status == 0) {
    step = "setresuid";
    status = syscall(__NR_setresuid, identity->uid, identity->uid, identity->uid);
  }
  if (status == 0) return true;
  /* EPERM without the right to switch, EINVAL where the id is not mapped into the namespace. */
  bool refused = errno == EPERM || errno == EINVAL;
  return child_step_failed(plan, refused ? SPAWN_USER_UNAVAILABLE : spawn_classify(errno, SPAWN_SYSTEM_ERROR), step, errno);
}

static bool drop_capabilities(const struct child_plan *plan) {
  struct capability_header header = {.version = CAPABILITY_VERSION_3, .pid = 0};
  struct capability_data sets[2] = {{0, 0, 0}, {0, 0, 0}};
  if (plan->identity->uid == 0 && plan->limits->root_capabilities != 0) {
    if (syscall(__NR_capget, &header, sets) != 0) return child_step_failed(plan, SPAWN_SYSTEM_ERROR, "capget", errno);
    for (int half = 0; half < 2; half += 1) {
      sets[half].permitted &= (uint32_t)(plan->limits->root_capabilities >> (32 * half));
      sets[half].effective = sets[half].permitted;
      sets[half].inheritable = 0;
    }
  }
  if (syscall(__NR_capset, &header, sets) != 0) return child_step_failed(plan, SPAWN_SYSTEM_ERROR, "capset", errno);
  return true;
}

/* After the user and the capabilities, so that the directory is one this user may enter. The descriptors are closed by
 * now, so none of them can be entered by another name; the check of the name gives a clear error. */
static bool enter_directory(const struct child_plan *plan) {
  if (is_descriptor_path(plan->cwd)) return child_step_failed(plan, SPAWN_CWD_INVALID, "cwd is a descriptor", 0);
  if (chdir(plan->cwd) != 0) return child_step_failed(plan, SPAWN_CWD_INVALID, "chdir", errno);
  char here[PATH_BYTES_MAX];
  long length = syscall(__NR_getcwd, here, sizeof here);
  bool outside = length < 0 ? errno == ENOENT : here[0] != '/';
  return outside ? child_step_failed(plan, SPAWN_CWD_INVALID, "cwd is outside of the root", 0) : true;
}

static bool set_limits(const struct child_plan *plan) {
  struct rlimit nofile = {.rlim_cur = plan->limits->nofile, .rlim_max = plan->limits->nofile};
  if (setrlimit(RLIMIT_NOFILE, &nofile) != 0) return child_step_failed(plan, SPAWN_SYSTEM_ERROR, "setrlimit", errno);
  return true;
}

const char *spawn_failure_code(enum spawn_failure failure) {
  static const char *const CODES[] = {
      [SPAWN_STARTED] = "spawn_failed",
      [SPAWN_USER_UNAVAILABLE] = "user_unavailable",
      [SPAWN_CWD_INVALID] = "cwd_invalid",
      [SPAWN_NOT_FOUND] = "command_not_found",
      [SPAWN_NOT_EXECUTABLE] = "command_not_executable",
      [SPAWN_LIMIT_EXCEEDED] = "limit_exceeded",
      [SPAWN_SYSTEM_ERROR] = "spawn_failed",
  };
  return CODES[failure];
}

bool child_prepare(const struct child_plan *plan) {
  return take_descriptors(plan) && set_limits(plan) && become_user(plan) && drop_capabilities(plan) &&
         enter_directory(plan);
}

bool is_descriptor_path(const char *path) {
  /* Depth of the normalised path so far, and whether its first part is "proc" and a later one is "fd". */
  unsigned depth = 0, fd_depth = 0;
  bool in_proc = false;
  while (*path != '\0') {
    size_t length = strcspn(path, "/");
    if (length == 2 && memcmp(path, "..", 2) == 0) {
      if (fd_depth == depth) fd_depth = 0;
      if (depth > 0) depth -= 1;
    } else if (length > 0 && !(length == 1 && *path == '.')) {
      depth += 1;
      if (depth == 1) in_proc = length == 4 && memcmp(path, "proc", 4) == 0;
      if (depth > 1 && fd_depth == 0 && length == 2 && memcmp(path, "fd", 2) == 0) fd_depth = depth;
    }
    path += length + (path[length] == '/');
  }
  return in_proc && depth > 0 && fd_depth > 0;
}
