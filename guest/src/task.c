#define _GNU_SOURCE
#include "task.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "pty.h"
#include "task_output.h"
#include "tunnel.h"

void task_touch(struct task_table *table, const struct task *task) {
  size_t slot = (size_t)(task - table->slots);
  table->ready[slot / 64] |= UINT64_C(1) << slot % 64;
}

void tasks_init(struct task_table *table, int epoll_fd) {
  table->epoll_fd = epoll_fd;
  table->deadline_ms = UINT64_MAX;
  for (size_t i = 0; i < TASKS_MAX; i += 1) table->order[i] = (uint16_t)i;
}

struct task *active_task(struct task_table *table, size_t position) { return &table->slots[table->order[position]]; }

struct task *task_of_channel(struct task_table *table, uint32_t channel) {
  if (channel == 0) return NULL;
  for (size_t i = 0; i < table->active_count; i += 1)
    if (table->channels[i] == channel) return active_task(table, i);
  return NULL;
}

static bool watch_unless_none(const struct task_table *table, int fd, uint32_t events, enum event_source source,
                              uint32_t slot) {
  return fd < 0 || watch(table->epoll_fd, fd, events, source, slot);
}

/* A pipe or a terminal is asked for room only while it has none: it would wake us whenever somebody reads from it. */
static uint32_t input_events(const struct task_descriptors *descriptors) {
  return descriptors->input_kind == STDIN_SOCKET ? EPOLLOUT : 0;
}

struct task *task_open(struct task_table *table, enum task_kind kind, uint32_t channel,
                       const struct task_descriptors *descriptors) {
  errno = ENOMEM;
  if (table->active_count == TASKS_MAX) return NULL;
  uint16_t slot = table->order[table->active_count];
  bool watched = watch_unless_none(table, descriptors->input, input_events(descriptors), EVENT_STDIN, slot) &&
                 watch_unless_none(table, descriptors->outputs[STREAM_STDOUT], EPOLLIN, EVENT_STDOUT, slot) &&
                 watch_unless_none(table, descriptors->outputs[STREAM_STDERR], EPOLLIN, EVENT_STDERR, slot) &&
                 watch_unless_none(table, descriptors->result, EPOLLIN, EVENT_RESULT, slot);
  if (!watched) return NULL;
  table->channels[table->active_count] = channel;
  table->active_count += 1;
  table->channel_count += 1;
  struct task *task = &table->slots[slot];
  *task = (struct task){
      .in_use = true,
      .kind = kind,
      .channel = channel,
      .outputs = {{.fd = descriptors->outputs[STREAM_STDOUT]}, {.fd = descriptors->outputs[STREAM_STDERR]}},
      .input = stdin_pipe(descriptors->input, descriptors->input_kind),
      .result = {.fd = descriptors->result},
  };
  task_touch(table, task);
  return task;
}

bool task_replace_ends(struct task_table *table, struct task *task, const struct task_descriptors *descriptors) {
  uint32_t slot = (uint32_t)(task - table->slots);
  output_close(&task->outputs[STREAM_STDOUT]);
  close(task->input.fd);
  task->input.fd = descriptors->input;
  task->input.writable = false;
  task->outputs[STREAM_STDOUT].fd = descriptors->outputs[STREAM_STDOUT];
  return watch(table->epoll_fd, descriptors->input, EPOLLOUT, EVENT_STDIN, slot) &&
         watch(table->epoll_fd, descriptors->outputs[STREAM_STDOUT], EPOLLIN, EVENT_STDOUT, slot);
}

static size_t position_of(const struct task_table *table, const struct task *task) {
  uint16_t slot = (uint16_t)(task - table->slots);
  size_t position = 0;
  while (table->order[position] != slot) position += 1;
  return position;
}

void task_leave_channel(struct task_table *table, struct task *task) {
  task_touch(table, task);
  if (task->channel == 0) return;
  task->channel = 0;
  table->channel_count -= 1;
  table->channels[position_of(table, task)] = 0;
}

void task_move_to_channel(struct task_table *table, struct task *task, uint32_t channel) {
  task_touch(table, task);
  if (task->channel == 0) table->channel_count += 1;
  task->channel = channel;
  table->channels[position_of(table, task)] = channel;
}

static void free_slot(struct task_table *table, struct task *task) {
  task_leave_channel(table, task);
  task->in_use = false;
  size_t position = position_of(table, task);
  uint16_t slot = table->order[position];
  table->active_count -= 1;
  table->order[position] = table->order[table->active_count];
  table->channels[position] = table->channels[table->active_count];
  table->order[table->active_count] = slot;
  table->ready[slot / 64] &= ~(UINT64_C(1) << slot % 64);
}

void task_discard(struct task_table *table, struct task *task) {
  stdin_close(&task->input);
  output_close(&task->outputs[STREAM_STDOUT]);
  output_close(&task->outputs[STREAM_STDERR]);
  output_close(&task->result);
  replay_close(&task->replay);
  port_watch_close(task->port_watch);
  table->port_watchers -= task->kind == TASK_PORT_WATCH;
  free_slot(table, task);
}

static void tell_to_end(struct task *task) {
  task_signal_group(task, task->kind == TASK_WORKER ? SIGTERM : SIGHUP);
  task_signal_foreground(task, SIGHUP);
  task_signal_group(task, SIGCONT);
  task_signal_foreground(task, SIGCONT);
}

void task_abandon(struct task_table *table, struct task *task, uint64_t now_ms) {
  if (task->kind == TASK_TUNNEL) tunnel_reset(task);
  if (task->kind == TASK_TUNNEL || task->kind == TASK_PORT_WATCH) {
    task_discard(table, task);
    return;
  }
  task_leave_channel(table, task);
  if (task->detached) return;
  /* The signal comes before its input ends, so that a worker cannot take that for InputEof. One that has answered exits by
   * itself and has nothing to undo any more. */
  if (!task->finished) tell_to_end(task);
  stdin_close(&task->input);
  /* A terminal is kept until its process has gone, to reach its foreground group at the deadline. */
  if (!task->terminal) outputs_leave_to_sinks(table, task);
  output_close(&task->result);
  task->deadline_stage = DEADLINE_TERMINATED;
  task->deadline_ms = now_ms + ABANDONED_KILL_MS;
}

void task_end_at_once(struct task_table *table, struct task *task, uint64_t now_ms) {
  if (task->kind != TASK_PROCESS || task->detached) {
    /* A worker may have something to undo. */
    task_abandon(table, task, now_ms);
    return;
  }
  task_signal_group(task, SIGKILL);
  task_signal_foreground(task, SIGKILL);
  task_discard(table, task);
}

void tasks_detach(struct task_table *table) {
  for (size_t i = 0; i < table->active_count; i += 1) {
    struct task *task = active_task(table, i);
    if (task->detached) task_leave_channel(table, task);
  }
}

static int greater(int a, int b) { return a > b ? a : b; }

int tasks_highest_descriptor(const struct task_table *table) {
  int highest = sinks_highest_descriptor(&table->sinks);
  for (size_t i = 0; i < table->active_count; i += 1) {
    const struct task *task = &table->slots[table->order[i]];
    highest = greater(highest, greater(task->input.fd, task->result.fd));
    highest = greater(highest, greater(task->outputs[STREAM_STDOUT].fd, task->outputs[STREAM_STDERR].fd));
  }
  return highest;
}

void task_signal_group(struct task *task, int signal_number) {
  if (task->pid > 1 && !task->group_gone) kill(-task->pid, signal_number);
}

void task_signal_foreground(struct task *task, int signal_number) {
  if (!task->terminal || task->outputs[STREAM_STDOUT].fd < 0) return;
  int group = pty_foreground_group(task->outputs[STREAM_STDOUT].fd);
  if (group > 1 && group != task->pid) kill(-group, signal_number);
}

void task_exited(struct task_table *table, pid_t pid, int wait_status, uint64_t now_us) {
  for (size_t i = 0; i < table->active_count; i += 1) {
    struct task *task = active_task(table, i);
    if (task->pid != pid || task->exited) continue;
    task_touch(table, task);
    task->exited = true;
    task->wait_status = wait_status;
    task->ended_us = now_us;
    task->quiet_since_ms = now_us / 1000;
    /* Only now does a terminal's end of file count. And what any process wrote last is looked for once more: its event may
     * still be behind, and a turn that comes late must not take its silence for an end. */
    for (enum stream stream = STREAM_STDOUT; stream <= STREAM_STDERR; stream += 1)
      task->outputs[stream].readable = task->outputs[stream].fd >= 0;
    return;
  }
}

void tasks_note_empty_groups(struct task_table *table) {
  for (size_t i = 0; i < table->active_count; i += 1) {
    struct task *task = active_task(table, i);
    if (!task->exited || task->group_gone || kill(-task->pid, 0) == 0 || errno != ESRCH) continue;
    task->group_gone = true;
    task_touch(table, task);
  }
}

void task_add_output_credit(struct task *task, uint32_t bytes) {
  uint32_t left = task->output_window - task->output_credit;
  task->output_credit += bytes < left ? bytes : left;
}
