#define _GNU_SOURCE
#include "spawn.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel_abi.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

/* Two path buffers and libc's frames; only the touched part costs memory. */
#define CHILD_STACK_BYTES 32768u

struct exec_plan {
  struct child_plan child;
  const struct exec_request *request;
};

static const char *path_of(char *const *env) {
  for (; *env != NULL; env += 1)
    if (strncmp(*env, "PATH=", 5) == 0) return *env + 5;
  return "";
}

/* Tries one file; returns only when it did not start. True when that settles it; false when a search should go on, with
 * `outcome` changed when there is a file of that name. */
static bool try_file(const struct exec_plan *plan, const char *file, struct spawn_result *outcome) {
  execve(file, plan->request->argv, plan->request->env);
  int error_number = errno;
  switch (error_number) {
    case ENOENT: /* Also when the file is there and its interpreter is not. */
    case EACCES:
      if (access(file, F_OK) == 0)
        *outcome = spawn_refusal(SPAWN_NOT_EXECUTABLE, error_number == ENOENT ? "interpreter" : "exec", error_number);
      return false;
    case ENOTDIR: return false;
    case ENOEXEC:
    case EISDIR:
    case ELIBBAD: *outcome = spawn_refusal(SPAWN_NOT_EXECUTABLE, "exec", error_number); return true;
    default: *outcome = spawn_refusal(spawn_classify(error_number, SPAWN_SYSTEM_ERROR), "exec", error_number); return true;
  }
}

/* Returns only when nothing could be started. What is found on the way must not be written down before that: the guest
 * would take a process that runs for one that failed. */
static struct spawn_result search_and_exec(const struct exec_plan *plan) {
  const char *command = plan->request->argv[0];
  struct spawn_result outcome = spawn_refusal(SPAWN_NOT_FOUND, "exec", ENOENT);
  if (strchr(command, '/') != NULL) {
    try_file(plan, command, &outcome);
    /* A folder on the way may not be searched: whether the file exists is not known, that it cannot be run is. */
    if (outcome.failure == SPAWN_NOT_FOUND && errno == EACCES) return spawn_refusal(SPAWN_NOT_EXECUTABLE, "exec", EACCES);
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
  const struct exec_plan *plan = argument;
  setsid();
  if (child_prepare(&plan->child)) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    *plan->child.result = search_and_exec(plan);
  }
  _exit(127);
}

struct spawn_result spawn_process(const struct exec_request *request, const struct identity *identity,
                                  const int descriptors[3], const struct spawn_limits *limits) {
  static _Alignas(16) uint8_t stack[CHILD_STACK_BYTES];
  struct spawn_result result = {.failure = SPAWN_STARTED, .error_number = 0, .step = "", .pid = -1};
  struct exec_plan plan = {.child = {.identity = identity,
                                     .limits = limits,
                                     .cwd = request->cwd,
                                     .descriptors = descriptors,
                                     .descriptor_count = 3,
                                     .terminal = request->tty,
                                     .result = &result},
                           .request = request};
  /* exec does not return, so what a sanitizer marked on the last child's stack is still marked. */
  ASAN_UNPOISON_MEMORY_REGION(stack, sizeof stack);
  pid_t pid = clone(run_child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &plan);
  if (pid < 0) {
    result.failure = spawn_classify(errno, SPAWN_SYSTEM_ERROR);
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
