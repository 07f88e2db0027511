/*
 * ExecStart: from the frame to a running process with its pipes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "exec_request.h"
#include "requests.h"
#include "spawn.h"

/* Both ends of a process's three pipes. `child` are what the process gets, `guest` what stays here. */
struct pipes {
  int child[3];
  int guest[3];
};

static void close_all(int fds[3]) {
  for (int i = 0; i < 3; i += 1) {
    if (fds[i] >= 0) close(fds[i]);
    fds[i] = -1;
  }
}

/* Pipes belong to the user who will use them, so that a program may open /dev/stderr again. */
static void own_new_pipes_as(uint32_t uid, uint32_t gid) {
  syscall(__NR_setfsgid, gid);
  syscall(__NR_setfsuid, uid);
}

static bool open_pipe(struct pipes *pipes, int index) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  int read_end_is_childs = index == 0;
  pipes->child[index] = ends[read_end_is_childs ? 0 : 1];
  pipes->guest[index] = ends[read_end_is_childs ? 1 : 0];
  return fcntl(pipes->guest[index], F_SETFL, O_NONBLOCK) == 0;
}

static bool open_pipes(const struct agent *agent, const struct identity *identity, bool with_stdin, struct pipes *pipes) {
  *pipes = (struct pipes){{-1, -1, -1}, {-1, -1, -1}};
  if (identity->switches) own_new_pipes_as(identity->uid, identity->gid);
  bool opened = (!with_stdin || open_pipe(pipes, 0)) && open_pipe(pipes, 1) && open_pipe(pipes, 2);
  int error_number = errno;
  if (identity->switches) {
    own_new_pipes_as(agent->own_uid, agent->own_gid);
    /* The kernel resets the flag with every change of identity. */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  }
  if (!opened) {
    close_all(pipes->child);
    close_all(pipes->guest);
  }
  errno = error_number;
  return opened;
}

static void start_process(struct agent *agent, const struct frame *frame, const struct exec_request *request,
                          const struct identity *identity) {
  struct pipes pipes;
  struct spawn_result result;
  struct task *task = NULL;
  uint64_t started_us = now_us();
  if (!open_pipes(agent, identity, request->stdin_open, &pipes)) {
    refuse_for_errno(agent, frame, "pipe");
    return;
  }
  /* The channel comes first: once a process runs, nothing may fail any more. */
  struct task_descriptors kept = {.input = pipes.guest[0], .outputs = {pipes.guest[1], pipes.guest[2]}, .result = -1};
  task = task_open(&agent->tasks, TASK_PROCESS, frame->channel, &kept);
  if (task == NULL) {
    refuse_for_errno(agent, frame, "epoll");
    close_all(pipes.guest);
  } else {
    bool has_stdin = request->stdin_open;
    int descriptors[3] = {has_stdin ? pipes.child[0] : agent->null_fd, pipes.child[1], pipes.child[2]};
    agent->spawn_limits.highest_descriptor =
        highest_of(highest_of(highest_descriptor(agent), pipes.child, 3), pipes.guest, 3);
    result = spawn_process(request, identity, descriptors, &agent->spawn_limits);
  }
  close_all(pipes.child);
  if (task == NULL) return;
  if (result.failure != SPAWN_STARTED) {
    task_discard(&agent->tasks, task);
    refuse_start(agent, frame, &result);
    return;
  }
  task->pid = result.pid;
  task->started_us = started_us;
  task->acknowledged = true;
  task->output_window = task->output_credit = agent->output_window;
  if (request->timeout_ms != 0) {
    task->deadline_stage = DEADLINE_ARMED;
    task->deadline_ms = started_us / 1000 + request->timeout_ms;
  }
  answer_ack(&agent->link, frame->channel, frame->id, (uint32_t)result.pid);
}

void handle_exec_start(struct agent *agent, const struct frame *frame) {
  /* Too large for the stack of a small process, and only one start is ever under way. */
  static struct exec_request request;
  static struct identity identity;
  if (!channel_may_open(agent, frame)) return;
  const char *problem = decode_exec_request(frame->payload, frame->payload_bytes, &request);
  if (problem != NULL) {
    refuse(agent, frame, "invalid_payload", problem);
    return;
  }
  if (!resolve_sandbox_user(agent, request.user, strlen(request.user), &identity)) {
    refuse(agent, frame, "user_unknown", "no such user or group");
    return;
  }
  start_process(agent, frame, &request, &identity);
}
