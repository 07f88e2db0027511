/*
 * What the node may ask for, one function per frame type. Each answers with at most one frame.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent.h"
#include "exec_request.h"
#include "msgpack.h"
#include "users.h"

#define PROTOCOL_VERSION 1
#define NONCE_BYTES 16

static const struct account_files ACCOUNT_FILES = {.passwd_path = "/etc/passwd", .group_path = "/etc/group"};

static void refuse(struct agent *agent, const struct frame *frame, const char *code, const char *message) {
  answer_error(&agent->link, frame->channel, frame->id, code, message);
}

/* ---- Hello ---- */

struct hello {
  uint32_t window;
  uint8_t nonce[NONCE_BYTES];
};

static const char *decode_hello(const struct frame *frame, struct hello *hello) {
  struct msgpack_reader reader = msgpack_reader(frame->payload, frame->payload_bytes);
  size_t entries;
  if (!msgpack_read_map(&reader, &entries)) return "payload: a map is expected";
  uint64_t version = 0, window = 0;
  struct msgpack_bytes nonce = {0};
  for (size_t i = 0; i < entries; i += 1) {
    struct msgpack_bytes name;
    if (!msgpack_read_str(&reader, &name)) return "payload: a map with string keys is expected";
    if (msgpack_is(&name, "version")) msgpack_read_uint(&reader, &version);
    else if (msgpack_is(&name, "window")) msgpack_read_uint(&reader, &window);
    else if (msgpack_is(&name, "nonce")) msgpack_read_bin(&reader, &nonce);
    else msgpack_skip(&reader, 2);
  }
  if (!msgpack_finished(&reader)) return "payload: malformed";
  if (version != PROTOCOL_VERSION) return "version: 1 is expected";
  if (window == 0 || window > WINDOW_BYTES_MAX) return "window: 1 to 1048576 is expected";
  if (nonce.length != NONCE_BYTES) return "nonce: 16 bytes are expected";
  hello->window = (uint32_t)window;
  memcpy(hello->nonce, nonce.bytes, NONCE_BYTES);
  return NULL;
}

static void handle_hello(struct agent *agent, const struct frame *frame) {
  struct hello hello;
  const char *problem = frame->channel == 0 ? decode_hello(frame, &hello) : "channel: 0 is expected";
  if (problem != NULL) {
    refuse(agent, frame, "invalid_payload", problem);
    return;
  }
  /* A new epoch: what was started for another node, or for the same one before it lost its memory, ends. Frames already
   * collected stand before the Welcome and may stay. */
  while (agent->tasks.active_count > 0) {
    struct task *task = &agent->tasks.slots[agent->tasks.order[0]];
    task_signal_group(task, SIGKILL);
    task_discard(&agent->tasks, task);
  }
  agent->link_open = true;
  agent->output_window = hello.window;

  struct msgpack_writer payload = msgpack_writer(frame_writer_begin(&agent->link.writer), CONTROL_FRAME_BYTES_MAX);
  msgpack_write_map(&payload, 6);
  msgpack_write_str(&payload, "version");
  msgpack_write_uint(&payload, PROTOCOL_VERSION);
  msgpack_write_str(&payload, "nonce");
  msgpack_write_bin(&payload, hello.nonce, NONCE_BYTES);
  msgpack_write_str(&payload, "window");
  msgpack_write_uint(&payload, STDIN_WINDOW_BYTES);
  msgpack_write_str(&payload, "pid");
  msgpack_write_uint(&payload, (uint64_t)getpid());
  msgpack_write_str(&payload, "uid");
  msgpack_write_uint(&payload, agent->own_uid);
  msgpack_write_str(&payload, "channels_max");
  msgpack_write_uint(&payload, CHANNELS_MAX);
  frame_writer_end(&agent->link.writer, FRAME_WELCOME, 0, frame->id, msgpack_written(&payload));
}

static void handle_ping(struct agent *agent, const struct frame *frame) {
  if (frame->channel != 0 || frame->payload_bytes > PING_BYTES_MAX) {
    refuse(agent, frame, "invalid_payload", "at most 64 bytes on channel 0 are expected");
    return;
  }
  memcpy(frame_writer_begin(&agent->link.writer), frame->payload, frame->payload_bytes);
  frame_writer_end(&agent->link.writer, FRAME_PONG, frame->channel, frame->id, frame->payload_bytes);
}

/* ---- ExecStart ---- */

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

static int highest_of(int highest, const int *fds, size_t count) {
  for (size_t i = 0; i < count; i += 1)
    if (fds[i] > highest) highest = fds[i];
  return highest;
}

static int highest_descriptor(const struct agent *agent, const struct pipes *pipes) {
  const int own[] = {agent->epoll_fd, agent->signal_fd, agent->null_fd, agent->link.input_fd, agent->link.output_fd};
  int highest = highest_of(tasks_highest_descriptor(&agent->tasks), own, sizeof own / sizeof own[0]);
  return highest_of(highest_of(highest, pipes->child, 3), pipes->guest, 3);
}

static void refuse_start(struct agent *agent, const struct frame *frame, const struct spawn_result *result) {
  static const char *const CODES[] = {
      [SPAWN_STARTED] = "spawn_failed",
      [SPAWN_USER_UNAVAILABLE] = "user_unavailable",
      [SPAWN_CWD_INVALID] = "cwd_invalid",
      [SPAWN_NOT_FOUND] = "command_not_found",
      [SPAWN_NOT_EXECUTABLE] = "command_not_executable",
      [SPAWN_LIMIT_EXCEEDED] = "limit_exceeded",
      [SPAWN_SYSTEM_ERROR] = "spawn_failed",
  };
  const char *detail = result->error_number == 0 ? "" : strerror(result->error_number);
  answer_error_about(&agent->link, frame->channel, frame->id, CODES[result->failure], result->step, detail);
}

static struct spawn_result system_error(const char *step) {
  bool is_limit = errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOSPC || errno == EAGAIN;
  return (struct spawn_result){
      .failure = is_limit ? SPAWN_LIMIT_EXCEEDED : SPAWN_SYSTEM_ERROR, .error_number = errno, .step = step, .pid = -1};
}

static void start_process(struct agent *agent, const struct frame *frame, const struct exec_request *request,
                          const struct identity *identity) {
  struct pipes pipes;
  struct spawn_result result;
  struct task *task = NULL;
  uint64_t started_us = now_us();
  if (!open_pipes(agent, identity, request->stdin_open, &pipes)) {
    result = system_error("pipe");
    refuse_start(agent, frame, &result);
    return;
  }
  /* The channel comes first: once a process runs, nothing may fail any more. */
  task = task_open(&agent->tasks, frame->channel, pipes.guest);
  if (task == NULL) {
    result = system_error("epoll");
    close_all(pipes.guest);
  } else {
    bool has_stdin = request->stdin_open;
    int descriptors[3] = {has_stdin ? pipes.child[0] : agent->null_fd, pipes.child[1], pipes.child[2]};
    agent->spawn_limits.highest_descriptor = highest_descriptor(agent, &pipes);
    result = spawn_process(request, identity, descriptors, &agent->spawn_limits);
  }
  close_all(pipes.child);
  if (task == NULL || result.failure != SPAWN_STARTED) {
    if (task != NULL) task_discard(&agent->tasks, task);
    refuse_start(agent, frame, &result);
    return;
  }
  task->pid = result.pid;
  task->started_us = started_us;
  task->output_credit = agent->output_window;
  if (request->timeout_ms != 0) {
    task->timeout_stage = TIMEOUT_ARMED;
    task->deadline_ms = started_us / 1000 + request->timeout_ms;
  }
  answer_ack(&agent->link, frame->channel, frame->id, (uint32_t)result.pid);
}

static void handle_exec_start(struct agent *agent, const struct frame *frame) {
  /* Too large for the stack of a small process, and only one start is ever under way. */
  static struct exec_request request;
  static struct identity identity;
  if (frame->channel == 0) {
    refuse(agent, frame, "invalid_payload", "channel: 0 is the control channel");
    return;
  }
  if (task_of_channel(&agent->tasks, frame->channel) != NULL) {
    refuse(agent, frame, "channel_in_use", "the channel has a process");
    return;
  }
  const char *problem = decode_exec_request(frame->payload, frame->payload_bytes, &request);
  if (problem != NULL) {
    refuse(agent, frame, "invalid_payload", problem);
    return;
  }
  if (agent->tasks.active_count == CHANNELS_MAX) {
    refuse(agent, frame, "limit_exceeded", "all 256 channels are in use");
    return;
  }
  if (!resolve_user(&ACCOUNT_FILES, request.user, strlen(request.user), agent->own_uid, agent->own_gid, &identity)) {
    refuse(agent, frame, "user_unknown", "no such user or group");
    return;
  }
  start_process(agent, frame, &request, &identity);
}

/* ---- a running process ---- */

static void handle_stdin(struct agent *agent, const struct frame *frame, struct task *task) {
  enum stdin_result result = stdin_take(&task->input, frame->payload, frame->payload_bytes);
  if (result == STDIN_TAKEN) return;
  /* A stdin with a hole in it is worse than none. */
  task_signal_group(task, SIGKILL);
  if (result == STDIN_NO_CREDIT) refuse(agent, frame, "credit_exceeded", "more stdin than the window allows");
  else refuse(agent, frame, "limit_exceeded", "no memory for stdin");
}

static void handle_signal(struct agent *agent, const struct frame *frame, struct task *task) {
  struct msgpack_reader reader = msgpack_reader(frame->payload, frame->payload_bytes);
  size_t entries = 0;
  uint64_t signal_number = 0;
  msgpack_read_map(&reader, &entries);
  for (size_t i = 0; i < entries; i += 1) {
    struct msgpack_bytes name;
    if (!msgpack_read_str(&reader, &name)) break;
    if (msgpack_is(&name, "signal")) msgpack_read_uint(&reader, &signal_number);
    else msgpack_skip(&reader, 2);
  }
  if (!msgpack_finished(&reader) || signal_number < 1 || signal_number > 64) {
    refuse(agent, frame, "invalid_payload", "signal: 1 to 64 is expected");
    return;
  }
  if (task != NULL) task_signal_group(task, (int)signal_number);
}

void handle_frame(struct agent *agent, const struct frame *frame) {
  if (!agent->link_open && frame->type != FRAME_HELLO) {
    refuse(agent, frame, "unknown_message", "a Hello comes first");
    return;
  }
  /* What belongs to a channel without a process is dropped: it may have crossed an ExecExit. */
  struct task *task = task_of_channel(&agent->tasks, frame->channel);
  switch (frame->type) {
    case FRAME_HELLO: handle_hello(agent, frame); break;
    case FRAME_PING: handle_ping(agent, frame); break;
    case FRAME_PONG: break;
    case FRAME_EXEC_START: handle_exec_start(agent, frame); break;
    case FRAME_INPUT:
      if (task != NULL) handle_stdin(agent, frame, task);
      break;
    case FRAME_INPUT_EOF:
      if (task != NULL) stdin_end(&task->input);
      break;
    case FRAME_EXEC_SIGNAL: handle_signal(agent, frame, task); break;
    case FRAME_CREDIT:
      if (frame->payload_bytes != 4) refuse(agent, frame, "invalid_payload", "payload: 4 bytes are expected");
      else if (task != NULL) task_add_output_credit(task, read_u32(frame->payload));
      break;
    default: refuse(agent, frame, "unknown_message", "no such type from the node");
  }
}
