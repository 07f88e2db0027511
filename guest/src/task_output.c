#define _GNU_SOURCE
#include "task_output.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

/* Output leaves this much for answers, so that a busy process cannot keep an exit or an error waiting. */
#define ANSWER_RESERVE_BYTES (2u * (CONTROL_FRAME_BYTES_MAX + FRAME_OVERHEAD_BYTES))

bool has_room_for_output(struct link *link) {
  return link_has_room(link, OUTPUT_FRAME_BYTES_MAX + ANSWER_RESERVE_BYTES);
}

void output_close(struct output_pipe *output) {
  if (output->fd >= 0) close(output->fd);
  output->fd = -1;
  output->readable = false;
}

/* Without credit the pipe may not be read, but whether it is at its end may be asked. */
static void notice_end_without_reading(struct output_pipe *output) {
  struct pollfd state = {.fd = output->fd, .events = POLLIN};
  if (poll(&state, 1, 0) < 0 || (state.revents & POLLIN) != 0) return;
  if ((state.revents & (POLLHUP | POLLERR)) != 0) output_close(output);
  else output->readable = false;
}

bool pump_output(struct task *task, enum stream stream, struct link *link, uint64_t now_ms) {
  struct output_pipe *output = &task->outputs[stream];
  if (output->readable && task->output_credit == 0 && (task->exited || task->kind == TASK_WORKER))
    notice_end_without_reading(output);
  if (!output->readable || task->output_credit == 0 || !task->acknowledged || !has_room_for_output(link)) return false;
  size_t wanted = task->output_credit < OUTPUT_FRAME_BYTES_MAX ? task->output_credit : OUTPUT_FRAME_BYTES_MAX;
  ssize_t got = read(output->fd, frame_writer_begin(&link->writer), wanted);
  if (got > 0) {
    uint8_t type = stream == STREAM_STDOUT ? FRAME_OUTPUT : FRAME_ERROR_OUTPUT;
    frame_writer_end(&link->writer, type, task->channel, 0, (size_t)got);
    task->output_credit -= (uint32_t)got;
    task->quiet_since_ms = now_ms;
    if (task->exited && task->deadline_stage == DEADLINE_KILLED) task->after_kill_bytes += (uint32_t)got;
    return true;
  }
  if (got < 0 && errno == EINTR) return true;
  if (got < 0 && errno == EAGAIN) output->readable = false;
  else output_close(output);
  return false;
}

bool has_output_waiting(const struct task *task) {
  return task->outputs[STREAM_STDOUT].readable || task->outputs[STREAM_STDERR].readable;
}

bool output_can_pump(const struct task *task) {
  return task->channel != 0 && task->acknowledged && task->output_credit > 0 && has_output_waiting(task);
}

bool outputs_at_end(const struct task *task) {
  return task->outputs[STREAM_STDOUT].fd < 0 && task->outputs[STREAM_STDERR].fd < 0;
}

/* The epoll knows the pipe already; only what it stands for changes. */
static void leave_to_sinks(struct task_table *table, struct output_pipe *output) {
  if (output->fd >= 0) sinks_add(&table->sinks, table->epoll_fd, output->fd);
  output->fd = -1;
  output->readable = false;
}

void outputs_leave_to_sinks(struct task_table *table, struct task *task) {
  leave_to_sinks(table, &task->outputs[STREAM_STDOUT]);
  leave_to_sinks(table, &task->outputs[STREAM_STDERR]);
}
