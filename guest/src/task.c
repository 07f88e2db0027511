#define _GNU_SOURCE
#include "task.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "msgpack.h"

/* Output leaves this much for answers, so that a busy process cannot keep an exit or an error waiting. */
#define ANSWER_RESERVE_BYTES (2u * (CONTROL_FRAME_BYTES_MAX + FRAME_OVERHEAD_BYTES))

void tasks_init(struct task_table *table, int epoll_fd) {
  table->epoll_fd = epoll_fd;
  for (size_t i = 0; i < CHANNELS_MAX; i += 1) table->order[i] = (uint16_t)i;
}

static struct task *active_task(struct task_table *table, size_t position) {
  return &table->slots[table->order[position]];
}

struct task *task_of_channel(struct task_table *table, uint32_t number) {
  for (size_t i = 0; i < table->active_count; i += 1)
    if (active_task(table, i)->number == number) return active_task(table, i);
  return NULL;
}

struct task *task_open(struct task_table *table, uint32_t number, const int fds[3]) {
  if (table->active_count == CHANNELS_MAX) return NULL;
  uint16_t slot = table->order[table->active_count];
  bool watched = (fds[0] < 0 || watch(table->epoll_fd, fds[0], EPOLLOUT, EVENT_STDIN, slot)) &&
                 watch(table->epoll_fd, fds[1], EPOLLIN, EVENT_STDOUT, slot) &&
                 watch(table->epoll_fd, fds[2], EPOLLIN, EVENT_STDERR, slot);
  if (!watched) return NULL;
  table->active_count += 1;
  struct task *task = &table->slots[slot];
  *task = (struct task){.number = number,
                              .outputs = {{.fd = fds[1]}, {.fd = fds[2]}},
                              .input = stdin_pipe(fds[0])};
  return task;
}

static void close_output(struct output_pipe *output) {
  if (output->fd >= 0) close(output->fd);
  output->fd = -1;
  output->readable = false;
}

static void free_slot(struct task_table *table, struct task *task) {
  uint16_t slot = (uint16_t)(task - table->slots);
  size_t position = 0;
  while (table->order[position] != slot) position += 1;
  table->active_count -= 1;
  table->order[position] = table->order[table->active_count];
  table->order[table->active_count] = slot;
  task->number = 0;
}

void task_discard(struct task_table *table, struct task *task) {
  stdin_close(&task->input);
  close_output(&task->outputs[STREAM_STDOUT]);
  close_output(&task->outputs[STREAM_STDERR]);
  free_slot(table, task);
}

static int greater(int a, int b) { return a > b ? a : b; }

int tasks_highest_descriptor(const struct task_table *table) {
  int highest = sinks_highest_descriptor(&table->sinks);
  for (size_t i = 0; i < table->active_count; i += 1) {
    const struct task *task = &table->slots[table->order[i]];
    highest = greater(highest, greater(task->input.fd, greater(task->outputs[0].fd, task->outputs[1].fd)));
  }
  return highest;
}

void task_signal_group(struct task *task, int signal_number) {
  if (!task->group_gone) kill(-task->pid, signal_number);
}

void task_exited(struct task_table *table, pid_t pid, int wait_status, uint64_t now_us) {
  for (size_t i = 0; i < table->active_count; i += 1) {
    struct task *task = active_task(table, i);
    if (task->pid != pid || task->exited) continue;
    task->exited = true;
    task->wait_status = wait_status;
    task->ended_us = now_us;
    task->quiet_since_ms = now_us / 1000;
    return;
  }
}

void tasks_note_empty_groups(struct task_table *table) {
  for (size_t i = 0; i < table->active_count; i += 1) {
    struct task *task = active_task(table, i);
    if (task->exited && !task->group_gone)
      task->group_gone = kill(-task->pid, 0) != 0 && errno == ESRCH;
  }
}

static void pump_stdin(struct task *task, struct link *link) {
  stdin_pump(&task->input);
  if (stdin_owes_credit(&task->input) && link_has_room(link, CONTROL_FRAME_BYTES_MAX))
    send_credit(link, task->number, stdin_grant(&task->input));
}

/* ---- output ---- */

void task_add_output_credit(struct task *task, uint32_t bytes) {
  uint32_t left = UINT32_MAX - task->output_credit;
  task->output_credit += bytes < left ? bytes : left;
}

static bool has_room_for_output(struct link *link) {
  return link_has_room(link, OUTPUT_FRAME_BYTES_MAX + ANSWER_RESERVE_BYTES);
}

/* Without credit nothing may be read, and yet the end of the output of a dead process must be noticed: a node that takes
 * no more output would otherwise wait forever for the exit. */
static void notice_end_without_reading(struct output_pipe *output) {
  struct pollfd state = {.fd = output->fd, .events = POLLIN};
  if (poll(&state, 1, 0) < 0 || (state.revents & POLLIN) != 0) return;
  if ((state.revents & (POLLHUP | POLLERR)) != 0) close_output(output);
  else output->readable = false;
}

/* Reads one frame's worth. True when there may be more. */
static bool pump_output(struct task *task, enum stream stream, struct link *link, uint64_t now_ms) {
  struct output_pipe *output = &task->outputs[stream];
  if (output->readable && task->output_credit == 0 && task->exited) notice_end_without_reading(output);
  if (!output->readable || task->output_credit == 0 || !has_room_for_output(link)) return false;
  size_t wanted = task->output_credit < OUTPUT_FRAME_BYTES_MAX ? task->output_credit : OUTPUT_FRAME_BYTES_MAX;
  ssize_t got = read(output->fd, frame_writer_begin(&link->writer), wanted);
  if (got > 0) {
    uint8_t type = stream == STREAM_STDOUT ? FRAME_OUTPUT : FRAME_ERROR_OUTPUT;
    frame_writer_end(&link->writer, type, task->number, 0, (size_t)got);
    task->output_credit -= (uint32_t)got;
    task->quiet_since_ms = now_ms;
    if (task->exited && task->timeout_stage == TIMEOUT_KILLED) task->after_kill_bytes += (uint32_t)got;
    return true;
  }
  if (got < 0 && errno == EINTR) return true;
  if (got < 0 && errno == EAGAIN) output->readable = false;
  else close_output(output);
  return false;
}

/* ---- the end of a process ---- */

static bool is_at_end(const struct task *task) {
  return task->outputs[STREAM_STDOUT].fd < 0 && task->outputs[STREAM_STDERR].fd < 0;
}

static bool has_output_waiting(const struct task *task) {
  return task->outputs[STREAM_STDOUT].readable || task->outputs[STREAM_STDERR].readable;
}

static bool is_over(const struct task *task, uint64_t now_ms) {
  if (!task->exited) return false;
  if (is_at_end(task) || task->after_kill_bytes > AFTER_KILL_OUTPUT_BYTES_MAX) return true;
  return !has_output_waiting(task) && now_ms >= task->quiet_since_ms + EXIT_QUIET_MS;
}

/* The epoll knows the pipe already; only what it stands for changes. */
static void leave_to_sinks(struct task_table *table, struct output_pipe *output) {
  if (output->fd >= 0) sinks_add(&table->sinks, table->epoll_fd, output->fd);
  output->fd = -1;
}

static void finish(struct task_table *table, struct task *task, struct link *link) {
  /* Members of the group that outlived the process and its timeout get no second two seconds. */
  if (task->timeout_stage == TIMEOUT_TERMINATED) task_signal_group(task, SIGKILL);
  struct msgpack_writer payload = msgpack_writer(frame_writer_begin(&link->writer), CONTROL_FRAME_BYTES_MAX);
  bool signaled = WIFSIGNALED(task->wait_status);
  msgpack_write_map(&payload, 3);
  msgpack_write_str(&payload, signaled ? "signal" : "exit_code");
  msgpack_write_uint(&payload, (uint64_t)(signaled ? WTERMSIG(task->wait_status) : WEXITSTATUS(task->wait_status)));
  msgpack_write_str(&payload, "timed_out");
  msgpack_write_bool(&payload, task->timed_out);
  msgpack_write_str(&payload, "duration_us");
  msgpack_write_uint(&payload, task->ended_us - task->started_us);
  frame_writer_end(&link->writer, FRAME_EXEC_EXIT, task->number, 0, msgpack_written(&payload));
  leave_to_sinks(table, &task->outputs[STREAM_STDOUT]);
  leave_to_sinks(table, &task->outputs[STREAM_STDERR]);
  task_discard(table, task);
}

void tasks_expire(struct task_table *table, uint64_t now_ms) {
  for (size_t i = 0; i < table->active_count; i += 1) {
    struct task *task = active_task(table, i);
    bool waits = task->timeout_stage == TIMEOUT_ARMED || task->timeout_stage == TIMEOUT_TERMINATED;
    if (!waits || now_ms < task->deadline_ms) continue;
    if (task->timeout_stage == TIMEOUT_ARMED) {
      task->timed_out = true;
      task->timeout_stage = TIMEOUT_TERMINATED;
      task->deadline_ms = now_ms + TIMEOUT_KILL_MS;
      task_signal_group(task, SIGTERM);
      task_signal_group(task, SIGCONT);
    } else {
      task->timeout_stage = TIMEOUT_KILLED;
      task_signal_group(task, SIGKILL);
    }
  }
}

void tasks_pump(struct task_table *table, struct link *link, uint64_t now_ms) {
  /* One frame of each pipe per pass, so that all processes share the link. */
  for (bool more = true; more;) {
    more = false;
    for (size_t i = 0; i < table->active_count; i += 1) {
      struct task *task = active_task(table, i);
      more |= pump_output(task, STREAM_STDOUT, link, now_ms);
      more |= pump_output(task, STREAM_STDERR, link, now_ms);
    }
  }
  /* Backwards: finishing puts the last one, which was seen already, into the place that becomes free. */
  for (size_t i = table->active_count; i-- > 0;) {
    struct task *task = active_task(table, i);
    pump_stdin(task, link);
    if (is_over(task, now_ms) && link_has_room(link, CONTROL_FRAME_BYTES_MAX)) finish(table, task, link);
  }
  sinks_drain(&table->sinks, now_ms);
}

bool tasks_runnable(struct task_table *table, struct link *link, uint64_t now_ms) {
  bool room_for_output = has_room_for_output(link);
  bool room_for_answer = link_has_room(link, CONTROL_FRAME_BYTES_MAX);
  for (size_t i = 0; i < table->active_count; i += 1) {
    struct task *task = active_task(table, i);
    if (room_for_output && task->output_credit > 0 && has_output_waiting(task)) return true;
    if (room_for_answer && is_over(task, now_ms)) return true;
    if (room_for_answer && stdin_owes_credit(&task->input)) return true;
    if (stdin_can_pump(&task->input)) return true;
  }
  return false;
}

static uint64_t earlier(uint64_t a, uint64_t b) { return a < b ? a : b; }

uint64_t tasks_next_deadline_ms(const struct task_table *table, uint64_t now_ms) {
  uint64_t next = sinks_next_deadline_ms(&table->sinks);
  for (size_t i = 0; i < table->active_count; i += 1) {
    const struct task *task = &table->slots[table->order[i]];
    if (task->timeout_stage == TIMEOUT_ARMED || task->timeout_stage == TIMEOUT_TERMINATED)
      next = earlier(next, task->deadline_ms);
    /* One that is over already waits for room on the link, not for time. */
    uint64_t quiet_at_ms = task->quiet_since_ms + EXIT_QUIET_MS;
    if (task->exited && !has_output_waiting(task) && quiet_at_ms > now_ms) next = earlier(next, quiet_at_ms);
  }
  return next;
}

void tasks_event(struct task_table *table, enum event_source source, uint32_t index) {
  if (source == EVENT_SINK) {
    sinks_event(&table->sinks, index);
    return;
  }
  struct task *task = &table->slots[index];
  if (source == EVENT_STDIN) task->input.writable = true;
  else task->outputs[source == EVENT_STDOUT ? STREAM_STDOUT : STREAM_STDERR].readable = true;
}
