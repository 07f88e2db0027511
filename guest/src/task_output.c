#define _GNU_SOURCE
#include "task_output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

bool has_room_for_output(struct link *link) {
  return link_has_room(link, OUTPUT_ROOM_BYTES);
}

void output_close(struct output_pipe *output) {
  if (output->fd >= 0) close(output->fd);
  output->fd = -1;
  output->readable = false;
}

static void end_output(struct task *task, struct output_pipe *output, bool orderly) {
  task->output_broken = task->kind == TASK_TUNNEL && !orderly;
  output_close(output);
}

/* Without credit the pipe may not be read, but whether it is at its end may be asked. */
static void notice_end_without_reading(struct task *task, struct output_pipe *output) {
  if (task->kind == TASK_TUNNEL) {
    uint8_t byte;
    ssize_t got = recv(output->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) output->readable = false;
    else if (got <= 0) end_output(task, output, got == 0);
    return;
  }
  struct pollfd state = {.fd = output->fd, .events = POLLIN};
  if (poll(&state, 1, 0) < 0 || (state.revents & POLLIN) != 0) return;
  if ((state.revents & (POLLHUP | POLLERR)) != 0) output_close(output);
  else output->readable = false;
}

/* Reads until the target is full or nothing is there: writers of small pieces would else make small frames. */
static size_t read_output(struct task *task, struct output_pipe *output, uint8_t *target, size_t wanted) {
  size_t filled = 0;
  while (filled < wanted && output->readable) {
    ssize_t got = read(output->fd, target + filled, wanted - filled);
    if (got > 0) {
      filled += (size_t)got;
    } else if (got < 0 && errno == EAGAIN) {
      output->readable = false;
    } else if (got < 0 && errno == EIO && task->terminal && !task->exited) {
      /* Nobody has the terminal open now, but a member of its session may open it again. */
      output->readable = false;
    } else if (got == 0 || errno != EINTR) {
      end_output(task, output, got == 0);
    }
  }
  return filled;
}

static bool is_replaying(const struct task *task) { return task->sent < task->replay.end; }

static size_t frame_bytes_wanted(const struct task *task, struct link *link) {
  size_t wanted = FRAME_PAYLOAD_BYTES_MAX;
  size_t room = frame_writer_room(&link->writer) - ANSWER_RESERVE_BYTES - FRAME_OVERHEAD_BYTES;
  if (wanted > room) wanted = room;
  return wanted < task->output_credit ? wanted : task->output_credit;
}

static uint8_t output_type(bool is_stderr) { return is_stderr ? FRAME_ERROR_OUTPUT : FRAME_OUTPUT; }

static void note_sent(struct task *task, size_t bytes) {
  task->output_credit -= (uint32_t)bytes;
  task->sent += bytes;
}

static void write_output_frame(struct task *task, bool is_stderr, struct link *link, size_t bytes) {
  frame_writer_end(&link->writer, output_type(is_stderr), task->channel, 0, bytes);
  note_sent(task, bytes);
}

static void note_output(struct task *task, enum stream stream, const uint8_t *bytes, size_t length, uint64_t now_ms) {
  bool was_busy = task->replay.end >= BUSY_OUTPUT_BYTES;
  replay_append(&task->replay, stream == STREAM_STDERR, bytes, length);
  /* Where it cannot be had, or is no pipe, all stays as it is. */
  if (!was_busy && task->replay.end >= BUSY_OUTPUT_BYTES)
    fcntl(task->outputs[stream].fd, F_SETPIPE_SZ, BUSY_PIPE_BYTES);
  task->quiet_since_ms = now_ms;
  if (task->exited && task->deadline_stage == DEADLINE_KILLED) task->after_kill_bytes += (uint32_t)length;
}

/* How much of a busy pipe may go to the link without being looked at; 0 for what is kept, and for what is no pipe. */
static size_t spliceable_bytes(const struct task *task, const struct output_pipe *output) {
  bool is_pipe = task->kind == TASK_WORKER || (task->kind == TASK_PROCESS && !task->terminal);
  int waiting = 0;
  if (!is_pipe || task->replay.capacity > 0 || task->replay.end < BUSY_OUTPUT_BYTES) return 0;
  if (ioctl(output->fd, FIONREAD, &waiting) != 0) return 0;
  size_t bytes = waiting < (int)FRAME_PAYLOAD_BYTES_MAX ? (size_t)waiting : FRAME_PAYLOAD_BYTES_MAX;
  if (bytes > task->output_credit) bytes = task->output_credit;
  return bytes < SPLICED_BYTES_MIN ? 0 : bytes;
}

static bool splice_output(struct task *task, enum stream stream, struct link *link, uint64_t now_ms) {
  int fd = task->outputs[stream].fd;
  size_t bytes = spliceable_bytes(task, &task->outputs[stream]);
  if (bytes == 0 || !link_splice(link, output_type(stream == STREAM_STDERR), task->channel, fd, bytes)) return false;
  note_output(task, stream, NULL, bytes, now_ms);
  note_sent(task, bytes);
  return true;
}

static bool pump_replay(struct task *task, struct link *link) {
  if (task->output_credit == 0 || !has_room_for_output(link)) return false;
  bool is_stderr;
  size_t wanted = frame_bytes_wanted(task, link);
  uint8_t *target = frame_writer_begin(&link->writer);
  size_t bytes = replay_copy(&task->replay, task->sent, target, wanted, &is_stderr);
  write_output_frame(task, is_stderr, link, bytes);
  return true;
}

static bool pump_stream(struct task *task, enum stream stream, struct link *link, uint64_t now_ms) {
  struct output_pipe *output = &task->outputs[stream];
  if (!output->readable) return false;
  if (task->output_credit == 0 && (task->exited || task->kind != TASK_PROCESS)) notice_end_without_reading(task, output);
  if (!output->readable || task->output_credit == 0 || !has_room_for_output(link)) return false;
  if (splice_output(task, stream, link, now_ms)) return true;
  size_t wanted = frame_bytes_wanted(task, link);
  uint8_t *target = frame_writer_begin(&link->writer);
  size_t bytes = read_output(task, output, target, wanted);
  if (bytes == 0) return false;
  note_output(task, stream, target, bytes, now_ms);
  write_output_frame(task, stream == STREAM_STDERR, link, bytes);
  return output->readable;
}

bool pump_output(struct task *task, struct link *link, uint64_t now_ms) {
  if (!task->acknowledged) return false;
  /* What is kept goes first; until all of it was sent the pipes are not read, so nothing of it is overwritten. */
  if (is_replaying(task)) return pump_replay(task, link);
  bool more = pump_stream(task, STREAM_STDOUT, link, now_ms);
  return pump_stream(task, STREAM_STDERR, link, now_ms) || more;
}

/* A detached process never waits for a reader, and an abandoned one may want to say good-bye to its terminal. */
static bool is_unattended(const struct task *task) {
  return task->channel == 0 && task->kind == TASK_PROCESS && !task->is_record;
}

void drain_unattended_output(struct task *task, uint64_t now_ms) {
  static uint8_t scratch[UNATTENDED_READ_BYTES];
  if (!is_unattended(task)) return;
  for (enum stream stream = STREAM_STDOUT; stream <= STREAM_STDERR; stream += 1) {
    struct output_pipe *output = &task->outputs[stream];
    for (size_t reads = 0; output->readable && reads < UNATTENDED_READS_PER_TURN_MAX; reads += 1) {
      size_t bytes = read_output(task, output, scratch, sizeof scratch);
      if (bytes > 0) note_output(task, stream, scratch, bytes, now_ms);
    }
  }
}

bool has_output_waiting(const struct task *task) {
  return task->outputs[STREAM_STDOUT].readable || task->outputs[STREAM_STDERR].readable ||
         (task->channel != 0 && is_replaying(task));
}

bool output_can_pump(const struct task *task, bool room) {
  if (is_unattended(task)) return has_output_waiting(task);
  return room && task->channel != 0 && task->acknowledged && task->output_credit > 0 && has_output_waiting(task);
}

bool outputs_at_end(const struct task *task) {
  return task->outputs[STREAM_STDOUT].fd < 0 && task->outputs[STREAM_STDERR].fd < 0 &&
         (task->channel == 0 || !is_replaying(task));
}

/* The epoll knows the pipe already; only what it stands for changes. */
static void leave_to_sinks(struct task_table *table, struct output_pipe *output) {
  if (output->fd >= 0) sinks_add(&table->sinks, table->epoll_fd, output->fd);
  output->fd = -1;
  output->readable = false;
}

void outputs_leave_to_sinks(struct task_table *table, struct task *task) {
  /* A terminal whose session leader is gone was hung up by the kernel: there is nothing to go on reading. */
  if (task->terminal) output_close(&task->outputs[STREAM_STDOUT]);
  leave_to_sinks(table, &task->outputs[STREAM_STDOUT]);
  leave_to_sinks(table, &task->outputs[STREAM_STDERR]);
}
