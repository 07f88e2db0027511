#define _GNU_SOURCE
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel_abi.h"

/* Two path buffers and libc's frames; only the touched part costs memory. */
#define CHILD_STACK_BYTES 32768u

struct child_plan {
  const struct exec_request *request;
  const struct identity *identity;
  const int *descriptors;
  const struct spawn_limits *limits;
  struct spawn_result *result; /* Written by the child, read by the guest once the child is gone. */
};

static struct spawn_result refusal(enum spawn_failure failure, const char *step, int error_number) {
  return (struct spawn_result){.failure = failure, .error_number = error_number, .step = step};
}

static bool step_failed(const struct child_plan *plan, enum spawn_failure failure, const char *step, int error_number) {
  *plan->result = refusal(failure, step, error_number);
  return false;
}

static enum spawn_failure classify(int error_number, enum spawn_failure otherwise) {
  return error_number == EAGAIN || error_number == ENOMEM ? SPAWN_LIMIT_EXCEEDED : otherwise;
}

/* close_range is missing before Linux 5.9 and in gVisor of 2022, where a call costs so much that closing every number there
 * could be would take longer than all the rest. All of them are close-on-exec besides. */
static void close_from_3(int highest_descriptor) {
  if (syscall(__NR_close_range, 3u, ~0u, 0u) == 0) return;
  for (int fd = 3; fd <= highest_descriptor; fd += 1) close(fd);
}

static bool take_descriptors(const struct child_plan *plan) {
  for (int fd = 0; fd < 3; fd += 1)
    if (dup2(plan->descriptors[fd], fd) < 0) return step_failed(plan, SPAWN_SYSTEM_ERROR, "dup2", errno);
  close_from_3(plan->limits->highest_descriptor);
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
  return step_failed(plan, refused ? SPAWN_USER_UNAVAILABLE : classify(errno, SPAWN_SYSTEM_ERROR), step, errno);
}

static bool drop_capabilities(const struct child_plan *plan) {
  struct capability_header header = {.version = CAPABILITY_VERSION_3, .pid = 0};
  struct capability_data sets[2] = {{0, 0, 0}, {0, 0, 0}};
  if (plan->identity->uid == 0 && plan->limits->root_capabilities != 0) {
    if (syscall(__NR_capget, &header, sets) != 0) return step_failed(plan, SPAWN_SYSTEM_ERROR, "capget", errno);
    for (int half = 0; half < 2; half += 1) {
      sets[half].permitted &= (uint32_t)(plan->limits->root_capabilities >> (32 * half));
      sets[half].effective = sets[half].permitted;
      sets[half].inheritable = 0;
    }
  }
  if (syscall(__NR_capset, &header, sets) != 0) return step_failed(plan, SPAWN_SYSTEM_ERROR, "capset", errno);
  return true;
}

/* After the user and the capabilities, so that the directory is one this user may enter. The descriptors are closed by
 * now, so none of them can be entered by another name; the check of the name gives a clear error. */
static bool enter_directory(const struct child_plan *plan) {
  if (is_descriptor_path(plan->request->cwd)) return step_failed(plan, SPAWN_CWD_INVALID, "cwd is a descriptor", 0);
  if (chdir(plan->request->cwd) != 0) return step_failed(plan, SPAWN_CWD_INVALID, "chdir", errno);
  char here[PATH_BYTES_MAX];
  long length = syscall(__NR_getcwd, here, sizeof here);
  bool outside = length < 0 ? errno == ENOENT : here[0] != '/';
  return outside ? step_failed(plan, SPAWN_CWD_INVALID, "cwd is outside of the root", 0) : true;
}

static bool set_limits(const struct child_plan *plan) {
  struct rlimit nofile = {.rlim_cur = plan->limits->nofile, .rlim_max = plan->limits->nofile};
  if (setrlimit(RLIMIT_NOFILE, &nofile) != 0) return step_failed(plan, SPAWN_SYSTEM_ERROR, "setrlimit", errno);
  return true;
}

static const char *path_of(char *const *env) {
  for (; *env != NULL; env += 1)
    if (strncmp(*env, "PATH=", 5) == 0) return *env + 5;
  return "";
}

/* Tries one file; returns only when it did not start. True when that settles it; false when a search should go on, with
 * `outcome` changed when there is a file of that name. */
static bool try_file(const struct child_plan *plan, const char *file, struct spawn_result *outcome) {
  execve(file, plan->request->argv, plan->request->env);
  int error_number = errno;
  switch (error_number) {
    case ENOENT: /* Also when the file is there and its interpreter is not. */
    case EACCES:
      if (access(file, F_OK) == 0)
        *outcome = refusal(SPAWN_NOT_EXECUTABLE, error_number == ENOENT ? "interpreter" : "exec", error_number);
      return false;
    case ENOTDIR: return false;
    case ENOEXEC:
    case EISDIR:
    case ELIBBAD: *outcome = refusal(SPAWN_NOT_EXECUTABLE, "exec", error_number); return true;
    default: *outcome = refusal(classify(error_number, SPAWN_SYSTEM_ERROR), "exec", error_number); return true;
  }
}

/* Returns only when nothing could be started. What is found on the way must not be written down before that: the guest
 * would take a process that runs for one that failed. */
static struct spawn_result search_and_exec(const struct child_plan *plan) {
  const char *command = plan->request->argv[0];
  struct spawn_result outcome = refusal(SPAWN_NOT_FOUND, "exec", ENOENT);
  if (strchr(command, '/') != NULL) {
    try_file(plan, command, &outcome);
    /* A folder on the way may not be searched: whether the file exists is not known, that it cannot be run is. */
    if (outcome.failure == SPAWN_NOT_FOUND && errno == EACCES) return refusal(SPAWN_NOT_EXECUTABLE, "exec", EACCES);
    return outcome;
  }
  outcome.step = "PATH search";
  char file[PATH_BYTES_MAX];
  size_t command_bytes = strlen(command);
  const char *folder = path_of(plan->request->env);
  while (command_bytes > 0 && *folder != '\0') {
    size_t folder_bytes = strcspn(folder, ":");
    if (folder_bytes + command_bytes + 2 <= sizeof file) {
      /* An empty part of PATH means the working directory. */
      memcpy(file, folder, folder_bytes);
      size_t prefix_bytes = folder_bytes;
      if (folder_bytes > 0) file[prefix_bytes++] = '/';
      memcpy(file + prefix_bytes, command, command_bytes + 1);
      if (try_file(plan, file, &outcome)) break;
    }
    folder += folder_bytes + (folder[folder_bytes] == ':');
  }
  return outcome;
}

static int run_child(void *argument) {
  const struct child_plan *plan = argument;
  setsid();
  if (take_descriptors(plan) && set_limits(plan) && become_user(plan) && drop_capabilities(plan) &&
      enter_directory(plan)) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    *plan->result = search_and_exec(plan);
  }
  _exit(127);
}

struct spawn_result spawn_process(const struct exec_request *request, const struct identity *identity,
                                  const int descriptors[3], const struct spawn_limits *limits) {
  static _Alignas(16) uint8_t stack[CHILD_STACK_BYTES];
  struct spawn_result result = {.failure = SPAWN_STARTED, .error_number = 0, .step = "", .pid = -1};
  struct child_plan plan = {request, identity, descriptors, limits, &result};
  pid_t pid = clone(run_child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &plan);
  if (pid < 0) {
    result.failure = classify(errno, SPAWN_SYSTEM_ERROR);
    result.error_number = errno;
    result.step = "clone";
    return result;
  }
  /* A change of user also resets the dumpable flag of the memory that was shared, by the kernel's fs.suid_dumpable. */
  if (identity->switches) prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  if (result.failure != SPAWN_STARTED) waitpid(pid, NULL, 0);
  result.pid = pid;
  return result;
}

int is_descriptor_path(const char *path) {
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
