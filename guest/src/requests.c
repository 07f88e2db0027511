/*
 * What the node may ask for, one function per frame type. Each answers with at most one frame.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "exec_request.h"
#include "msgpack.h"
#include "port_requests.h"
#include "pty.h"
#include "requests.h"
#include "stats.h"
#include "tunnel.h"
#include "worker.h"

#define PROTOCOL_VERSION 1
#define NONCE_BYTES 16

static const struct account_files ACCOUNT_FILES = {.passwd_path = "/etc/passwd", .group_path = "/etc/group"};

void refuse(struct agent *agent, const struct frame *frame, const char *code, const char *message) {
  answer_error(&agent->link, frame->channel, frame->id, code, message);
}

void refuse_start(struct agent *agent, const struct frame *frame, const struct spawn_result *result) {
  const char *detail = result->error_number == 0 ? "" : strerror(result->error_number);
  answer_error_about(&agent->link, frame->channel, frame->id, spawn_failure_code(result->failure), result->step,
                     detail);
}

void refuse_for_errno(struct agent *agent, const struct frame *frame, const char *step) {
  bool is_limit = errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOSPC || errno == EAGAIN;
  struct spawn_result result = spawn_refusal(is_limit ? SPAWN_LIMIT_EXCEEDED : SPAWN_SYSTEM_ERROR, step, errno);
  refuse_start(agent, frame, &result);
}

bool channel_may_open(struct agent *agent, const struct frame *frame) {
  if (frame->channel == 0) refuse(agent, frame, "invalid_payload", "channel: 0 is the control channel");
  else if (task_of_channel(&agent->tasks, frame->channel) != NULL)
    refuse(agent, frame, "channel_in_use", "the channel is open");
  else if (agent->tasks.channel_count == CHANNELS_MAX || agent->tasks.active_count == TASKS_MAX)
    refuse(agent, frame, "limit_exceeded", "all channels of the guest are in use");
  else return true;
  return false;
}

static bool is_map(uint8_t lead) { return (lead & 0xf0) == 0x80 || lead == 0xde || lead == 0xdf; }

bool question_is_valid(struct agent *agent, const struct frame *frame) {
  struct msgpack_reader reader = msgpack_reader(frame->payload, frame->payload_bytes);
  const char *problem = NULL;
  if (frame->channel != 0) problem = "channel: 0 is expected";
  else if (frame->id == 0) problem = "id: a request on channel 0 has one";
  else if (frame->payload_bytes == 0 || !is_map(*reader.at) || !msgpack_skip(&reader, 1) || !msgpack_finished(&reader))
    problem = "payload: a map is expected";
  if (problem != NULL) refuse(agent, frame, "invalid_payload", problem);
  return problem == NULL;
}

const char *decode_window(const struct frame *frame, uint32_t window_max, uint32_t *window) {
  struct msgpack_reader reader = msgpack_reader(frame->payload, frame->payload_bytes);
  size_t entries;
  if (!msgpack_read_map(&reader, &entries)) return "payload: a map is expected";
  uint64_t asked = window_max;
  for (size_t i = 0; i < entries; i += 1) {
    struct msgpack_bytes name;
    if (!msgpack_read_str(&reader, &name)) return "payload: a map with string keys is expected";
    if (msgpack_is(&name, "window")) msgpack_read_uint(&reader, &asked);
    else msgpack_skip(&reader, 2);
  }
  if (!msgpack_finished(&reader)) return "payload: malformed";
  if (asked < 1 || asked > window_max) return WINDOW_EXPECTED;
  *window = (uint32_t)asked;
  return NULL;
}

bool resolve_sandbox_user(const struct agent *agent, const char *user, size_t length, struct identity *identity) {
  return resolve_user(&ACCOUNT_FILES, user, length, agent->own_uid, agent->own_gid, identity);
}

int highest_of(int highest, const int *fds, size_t count) {
  for (size_t i = 0; i < count; i += 1)
    if (fds[i] > highest) highest = fds[i];
  return highest;
}

int highest_descriptor(struct agent *agent) {
  const int own[] = {agent->epoll_fd,       agent->signal_fd,      agent->null_fd,
                     agent->link.input_fd, agent->link.output_fd, agent->tasks.diag_fd};
  return highest_of(tasks_highest_descriptor(&agent->tasks), own, sizeof own / sizeof own[0]);
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
  uint64_t now_ms = now_us() / 1000;
  for (size_t i = agent->tasks.active_count; i-- > 0;) {
    struct task *task = active_task(&agent->tasks, i);
    if (task->channel != 0) task_end_at_once(&agent->tasks, task, now_ms);
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

/* ---- an open channel ---- */

static void handle_input(struct agent *agent, const struct frame *frame, struct task *task) {
  enum stdin_result result = stdin_take(&task->input, frame->payload, frame->payload_bytes);
  if (result == STDIN_TAKEN) return;
  /* Input with a hole in it is worse than none. */
  if (result == STDIN_NO_CREDIT) refuse(agent, frame, "credit_exceeded", "more input than the window allows");
  else refuse(agent, frame, "limit_exceeded", NO_MEMORY_FOR_INPUT);
  task_end_at_once(&agent->tasks, task, now_us() / 1000);
}

static void handle_close(struct agent *agent, const struct frame *frame, struct task *task) {
  task_abandon(&agent->tasks, task, now_us() / 1000);
  frame_writer_begin(&agent->link.writer);
  frame_writer_end(&agent->link.writer, FRAME_CHANNEL_CLOSE, frame->channel, frame->id, 0);
}

/* What ^C, ^\ and ^Z would send goes where they would send it. */
static void signal_process(struct task *task, int signal_number) {
  bool is_key = signal_number == SIGINT || signal_number == SIGQUIT || signal_number == SIGTSTP;
  bool has_terminal = task->terminal && task->outputs[STREAM_STDOUT].fd >= 0;
  bool foreground_is_other = has_terminal && pty_foreground_group(task->outputs[STREAM_STDOUT].fd) != task->pid;
  if (foreground_is_other) task_signal_foreground(task, signal_number);
  if (!is_key || !foreground_is_other) task_signal_group(task, signal_number);
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
  if (task != NULL && task->kind == TASK_PROCESS) signal_process(task, (int)signal_number);
}

static void handle_resize(struct agent *agent, const struct frame *frame, struct task *task) {
  uint16_t columns, rows;
  const char *problem = decode_terminal_size(frame->payload, frame->payload_bytes, &columns, &rows);
  if (problem != NULL) refuse(agent, frame, "invalid_payload", problem);
  else if (task != NULL && task->terminal && task->outputs[STREAM_STDOUT].fd >= 0)
    pty_resize(task->outputs[STREAM_STDOUT].fd, columns, rows);
}

size_t answer_room(uint8_t type) {
  switch (type) {
    case FRAME_EXEC_LIST: return LIST_BYTES_MAX;
    case FRAME_PORT_LIST: return PORT_LIST_BYTES_MAX;
    /* Also the Error of the channel it takes over. */
    case FRAME_EXEC_ATTACH: return 2 * CONTROL_FRAME_BYTES_MAX + FRAME_OVERHEAD_BYTES;
    default: return CONTROL_FRAME_BYTES_MAX;
  }
}

void handle_frame(struct agent *agent, const struct frame *frame) {
  if (!agent->link_open && frame->type != FRAME_HELLO) {
    refuse(agent, frame, "unknown_message", "a Hello comes first");
    return;
  }
  /* What belongs to a channel that is not open is dropped: it may have crossed the terminal frame. */
  struct task *task = task_of_channel(&agent->tasks, frame->channel);
  if (task != NULL) task_touch(&agent->tasks, task);
  bulk_input_after(&agent->bulk, &agent->link, frame, task);
  switch (frame->type) {
    case FRAME_HELLO: handle_hello(agent, frame); break;
    case FRAME_PING: handle_ping(agent, frame); break;
    case FRAME_PONG: break;
    case FRAME_EXEC_START: handle_exec_start(agent, frame); break;
    case FRAME_INPUT:
      if (task != NULL) handle_input(agent, frame, task);
      break;
    case FRAME_INPUT_EOF:
      if (task != NULL) stdin_end(&task->input);
      break;
    case FRAME_EXEC_ATTACH: handle_exec_attach(agent, frame); break;
    case FRAME_EXEC_LIST: handle_exec_list(agent, frame); break;
    case FRAME_PORT_LIST: handle_port_list(agent, frame); break;
    case FRAME_PORT_WATCH: handle_port_watch(agent, frame); break;
    case FRAME_PORT_CONNECT: handle_port_connect(agent, frame); break;
    case FRAME_STATS: handle_stats(agent, frame); break;
    case FRAME_EXEC_RESIZE: handle_resize(agent, frame, task); break;
    case FRAME_EXEC_SIGNAL: handle_signal(agent, frame, task); break;
    case FRAME_CREDIT:
      if (frame->payload_bytes != 4) refuse(agent, frame, "invalid_payload", "payload: 4 bytes are expected");
      else if (task != NULL) task_add_output_credit(task, read_u32(frame->payload));
      break;
    case FRAME_CHANNEL_CLOSE:
      if (task != NULL) handle_close(agent, frame, task);
      break;
    default:
      if (!handle_file_request(agent, frame)) refuse(agent, frame, "unknown_message", "no such type from the node");
  }
}
