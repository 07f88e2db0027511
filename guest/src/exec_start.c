/*
 * ExecStart: from the frame to a running process with its pipes or its terminal.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "exec_request.h"
#include "msgpack.h"
#include "pty.h"
#include "requests.h"
#include "spawn.h"
#include "task_end.h"

/* Both ends of what a process reads and writes. `child` are what the process gets, `guest` what stays here. A terminal is
 * one descriptor of the child's and two of the guest's, one for each direction. */
struct streams {
  int child[3];
  int guest[3];
};

static void close_all(int fds[3]) {
  for (int i = 0; i < 3; i += 1) {
    if (fds[i] >= 0) close(fds[i]);
    fds[i] = -1;
  }
}

static bool open_pipe(struct streams *streams, int index) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  int read_end_is_childs = index == 0;
  streams->child[index] = ends[read_end_is_childs ? 0 : 1];
  streams->guest[index] = ends[read_end_is_childs ? 1 : 0];
  return fcntl(streams->guest[index], F_SETFL, O_NONBLOCK) == 0;
}

static const char *open_pipes(const struct exec_request *request, struct streams *streams) {
  bool opened = (!request->stdin_open || open_pipe(streams, 0)) && open_pipe(streams, 1) && open_pipe(streams, 2);
  return opened ? NULL : "pipe";
}

static const char *open_terminal(const struct exec_request *request, struct streams *streams) {
  struct pty pty;
  const char *problem = pty_open(&pty, request->columns, request->rows);
  if (problem != NULL) return problem;
  streams->child[0] = pty.slave;
  streams->guest[1] = pty.master;
  streams->guest[0] = fcntl(pty.master, F_DUPFD_CLOEXEC, 3);
  return streams->guest[0] < 0 ? "dup" : NULL;
}

static void act_on_files_as(uint32_t uid, uint32_t gid) {
  syscall(__NR_setfsgid, gid);
  syscall(__NR_setfsuid, uid);
}

/* Pipes and terminals belong to the user who will use them, so that a program may open /dev/stderr or its terminal again.
 * NULL, or the step that failed, with errno. */
static const char *open_streams(const struct agent *agent, const struct identity *identity,
                                const struct exec_request *request, struct streams *streams) {
  *streams = (struct streams){{-1, -1, -1}, {-1, -1, -1}};
  if (identity->switches) act_on_files_as(identity->uid, identity->gid);
  const char *problem = request->tty ? open_terminal(request, streams) : open_pipes(request, streams);
  int error_number = errno;
  if (identity->switches) {
    act_on_files_as(agent->own_uid, agent->own_gid);
    /* The kernel resets the flag with every change of identity. */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  }
  if (problem != NULL) {
    close_all(streams->child);
    close_all(streams->guest);
  }
  errno = error_number;
  return problem;
}

static struct spawn_result spawn_with(struct agent *agent, const struct exec_request *request,
                                      const struct identity *identity, const struct streams *streams) {
  const int *child = streams->child;
  int descriptors[3] = {request->stdin_open ? child[0] : agent->null_fd, child[1], child[2]};
  if (request->tty) descriptors[1] = descriptors[2] = child[0];
  agent->spawn_limits.highest_descriptor =
      highest_of(highest_of(highest_descriptor(agent), streams->child, 3), streams->guest, 3);
  return spawn_process(request, identity, descriptors, &agent->spawn_limits);
}

/* For ExecList: cut between characters. */
static void keep_name(struct task *task, const char *command) {
  size_t length = strlen(command);
  if (length > LISTED_NAME_BYTES_MAX) {
    length = LISTED_NAME_BYTES_MAX;
    while (length > 0 && ((uint8_t)command[length] & 0xc0) == 0x80) length -= 1;
  }
  memcpy(task->name, command, length);
  task->name[length] = '\0';
}

static void answer_started(struct agent *agent, const struct frame *frame, const struct task *task) {
  struct msgpack_writer payload = msgpack_writer(frame_writer_begin(&agent->link.writer), CONTROL_FRAME_BYTES_MAX);
  msgpack_write_map(&payload, 2);
  msgpack_write_str(&payload, "pid");
  msgpack_write_uint(&payload, (uint64_t)task->pid);
  msgpack_write_str(&payload, "process");
  msgpack_write_uint(&payload, task->process);
  frame_writer_end(&agent->link.writer, FRAME_ACK, frame->channel, frame->id, msgpack_written(&payload));
}

static void start_process(struct agent *agent, const struct frame *frame, const struct exec_request *request,
                          const struct identity *identity) {
  uint64_t started_us = now_us();
  struct replay replay;
  if (!replay_open(&replay, request->detach ? request->replay_bytes : 0)) {
    refuse(agent, frame, "limit_exceeded", "no memory for the replay");
    return;
  }
  struct streams streams;
  const char *problem = open_streams(agent, identity, request, &streams);
  if (problem != NULL) {
    refuse_for_errno(agent, frame, problem);
    replay_close(&replay);
    return;
  }
  /* The task comes first: once a process runs, nothing may fail any more. */
  struct task_descriptors kept = {.input = streams.guest[0],
                                  .outputs = {streams.guest[1], streams.guest[2]},
                                  .result = -1,
                                  .input_kind = request->tty ? STDIN_TERMINAL : STDIN_PIPE};
  struct task *task = task_open(&agent->tasks, TASK_PROCESS, frame->channel, &kept);
  if (task == NULL) {
    refuse_for_errno(agent, frame, "epoll");
    replay_close(&replay);
    close_all(streams.guest);
    close_all(streams.child);
    return;
  }
  task->replay = replay;
  struct spawn_result result = spawn_with(agent, request, identity, &streams);
  close_all(streams.child);
  if (result.failure != SPAWN_STARTED) {
    task_discard(&agent->tasks, task);
    refuse_start(agent, frame, &result);
    return;
  }
  agent->tasks.processes_started += 1;
  task->process = agent->tasks.processes_started;
  task->pid = result.pid;
  task->started_us = started_us;
  task->acknowledged = true;
  task->detached = request->detach;
  task->terminal = request->tty;
  task->output_window = task->output_credit = request->window == 0 ? agent->output_window : request->window;
  keep_name(task, request->argv[0]);
  if (request->timeout_ms != 0) {
    task->deadline_stage = DEADLINE_ARMED;
    task->deadline_ms = (started_us + 999) / 1000 + request->timeout_ms;
  }
  answer_started(agent, frame, task);
}

/* What detached processes may have in all. Old records make room for what runs. */
static bool has_room_to_detach(struct agent *agent, uint32_t replay_bytes) {
  for (;;) {
    size_t running = 0;
    uint64_t kept_bytes = 0;
    for (size_t i = 0; i < agent->tasks.active_count; i += 1) {
      const struct task *task = active_task(&agent->tasks, i);
      running += task->detached && !task->is_record;
      kept_bytes += task->replay.capacity;
    }
    if (running >= DETACHED_RUNNING_MAX) return false;
    if (kept_bytes + replay_bytes <= REPLAY_ALL_BYTES_MAX) return true;
    if (!drop_oldest_record(&agent->tasks)) return false;
  }
}

static void add_default_term(struct exec_request *request) {
  static char DEFAULT_TERM[] = "TERM=xterm-256color";
  char **env = request->env;
  for (; *env != NULL; env += 1)
    if (strncmp(*env, "TERM=", 5) == 0) return;
  env[0] = DEFAULT_TERM;
  env[1] = NULL;
}

void handle_exec_start(struct agent *agent, const struct frame *frame) {
  /* Too large for the stack of a small process, and only one start is ever under way. */
  static struct exec_request request;
  static struct identity identity;
  if (!channel_may_open(agent, frame)) return;
  const char *problem = decode_exec_request(frame->payload, frame->payload_bytes, &request);
  if (problem == NULL && request.window > agent->output_window) problem = WINDOW_EXPECTED;
  if (problem != NULL) {
    refuse(agent, frame, "invalid_payload", problem);
    return;
  }
  if (!resolve_sandbox_user(agent, request.user, strlen(request.user), &identity)) {
    refuse(agent, frame, "user_unknown", "no such user or group");
    return;
  }
  if (request.detach && !has_room_to_detach(agent, request.replay_bytes)) {
    refuse(agent, frame, "limit_exceeded", "192 detached processes, or 8 MiB of replay in all");
    return;
  }
  if (request.tty) add_default_term(&request);
  start_process(agent, frame, &request, &identity);
}
