#define _GNU_SOURCE
#include "task.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "port_requests.h"
#include "pty.h"
#include "task_end.h"
#include "task_output.h"
#include "tunnel.h"

void tasks_init(struct task_table *table, int epoll_fd) {
  table->epoll_fd = epoll_fd;
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

struct task *task_open(struct task_table *table, enum task_kind kind, uint32_t channel,
                       const struct task_descriptors *descriptors) {
  errno = ENOMEM;
  if (table->active_count == TASKS_MAX) return NULL;
  uint16_t slot = table->order[table->active_count];
  bool watched = watch_unless_none(table, descriptors->input, EPOLLOUT, EVENT_STDIN, slot) &&
                 watch_unless_none(table, descriptors->outputs[STREAM_STDOUT], EPOLLIN, EVENT_STDOUT, slot) &&
                 watch_unless_none(table, descriptors->outputs[STREAM_STDERR], EPOLLIN, EVENT_STDERR, slot) &&
                 watch_unless_none(table, descriptors->result, EPOLLIN, EVENT_RESULT, slot);
  if (!watched) return NULL;
  table->channels[table->active_count] = channel;
  table->active_count += 1;
  table->channel_count += 1;
  struct task *task = &table->slots[slot];
  *task = (struct task){
      .kind = kind,
      .channel = channel,
      .outputs = {{.fd = descriptors->outputs[STREAM_STDOUT]}, {.fd = descriptors->outputs[STREAM_STDERR]}},
      .input = stdin_pipe(descriptors->input, descriptors->input_kind),
      .result = {.fd = descriptors->result},
  };
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
  if (task->channel == 0) return;
  task->channel = 0;
  table->channel_count -= 1;
  table->channels[position_of(table, task)] = 0;
}

void task_move_to_channel(struct task_table *table, struct task *task, uint32_t channel) {
  if (task->channel == 0) table->channel_count += 1;
  task->channel = channel;
  table->channels[position_of(table, task)] = channel;
}

static void free_slot(struct task_table *table, struct task *task) {
  task_leave_channel(table, task);
  size_t position = position_of(table, task);
  uint16_t slot = table->order[position];
  table->active_count -= 1;
  table->order[position] = table->order[table->active_count];
  table->channels[position] = table->channels[table->active_count];
  table->order[table->active_count] = slot;
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
    task->exited = true;
    task->wait_status = wait_status;
    task->ended_us = now_us;
    task->quiet_since_ms = now_us / 1000;
    /* Only now does its end of file count. */
    if (task->terminal) task->outputs[STREAM_STDOUT].readable = task->outputs[STREAM_STDOUT].fd >= 0;
    return;
  }
}

void tasks_note_empty_groups(struct task_table *table) {
  for (size_t i = 0; i < table->active_count; i += 1) {
    struct task *task = active_task(table, i);
    if (task->exited && !task->group_gone) task->group_gone = kill(-task->pid, 0) != 0 && errno == ESRCH;
  }
}

void task_add_output_credit(struct task *task, uint32_t bytes) {
  uint32_t left = task->output_window - task->output_credit;
  task->output_credit += bytes < left ? bytes : left;
}

/* Blocked with something to write: UINT64_MAX unless trying again without being told may help. */
static uint64_t input_retry_at_ms(const struct task *task) {
  bool blocked = task->terminal && task->input.length > 0 && !task->input.writable;
  return blocked ? task->input_retry_ms : UINT64_MAX;
}

static void pump_input(struct task *task, struct link *link, uint64_t now_ms) {
  if (now_ms >= input_retry_at_ms(task)) task->input.writable = true;
  if (stdin_can_pump(&task->input)) task->input_retry_ms = now_ms + TERMINAL_RETRY_MS;
  stdin_pump(&task->input);
  if (task->channel != 0 && stdin_owes_credit(&task->input) && link_has_room(link, CONTROL_FRAME_BYTES_MAX))
    send_credit(link, task->channel, stdin_grant(&task->input));
}

void tasks_expire(struct task_table *table, uint64_t now_ms) {
  for (size_t i = 0; i < table->active_count; i += 1) {
    struct task *task = active_task(table, i);
    bool waits = task->deadline_stage == DEADLINE_ARMED || task->deadline_stage == DEADLINE_TERMINATED;
    if (!waits || now_ms < task->deadline_ms) continue;
    if (task->deadline_stage == DEADLINE_ARMED) {
      task->timed_out = true;
      task->deadline_stage = DEADLINE_TERMINATED;
      task->deadline_ms = now_ms + TIMEOUT_KILL_MS;
      task_signal_group(task, SIGTERM);
      task_signal_foreground(task, SIGTERM);
      task_signal_group(task, SIGCONT);
      task_signal_foreground(task, SIGCONT);
    } else {
      task->deadline_stage = DEADLINE_KILLED;
      task_signal_group(task, SIGKILL);
      task_signal_foreground(task, SIGKILL);
    }
  }
}

void tasks_pump(struct task_table *table, struct link *link, uint64_t now_ms) {
  poll_ports(table, now_ms);
  /* One frame of each pipe per pass, so that all tasks share the link. */
  for (bool more = true; more;) {
    more = false;
    for (size_t i = 0; i < table->active_count; i += 1) {
      if (table->channels[i] == 0) continue;
      struct task *task = active_task(table, i);
      take_worker_ack(task, link);
      tunnel_settle(table, task, link, now_ms);
      more |= pump_output(task, link, now_ms);
      more |= pump_port_records(table, task, link);
    }
  }
  /* Backwards: finishing puts the last one, which was seen already, into the place that becomes free. */
  for (size_t i = table->active_count; i-- > 0;) {
    struct task *task = active_task(table, i);
    drain_unattended_output(task, now_ms);
    if (task->kind != TASK_TUNNEL || task->acknowledged) pump_input(task, link, now_ms);
    tunnel_pump_ends(task, link);
    if (task_is_over(task, now_ms)) finish_task(table, task, link, now_ms);
  }
  sinks_drain(&table->sinks, now_ms);
}

bool tasks_runnable(struct task_table *table, struct link *link, uint64_t now_ms) {
  bool room_for_output = has_room_for_output(link);
  bool room_for_answer = link_has_room(link, CONTROL_FRAME_BYTES_MAX);
  for (size_t i = 0; i < table->active_count; i += 1) {
    struct task *task = active_task(table, i);
    if (output_can_pump(task, room_for_output)) return true;
    if (task_is_over(task, now_ms) && has_room_to_finish(task, link)) return true;
    if (room_for_answer && task->channel != 0 && stdin_owes_credit(&task->input)) return true;
    if (stdin_can_pump(&task->input) && (task->kind != TASK_TUNNEL || task->acknowledged)) return true;
    if (room_for_answer && (tunnel_has_end_to_tell(task) || tunnel_can_settle(task, now_ms))) return true;
    if (room_for_output && port_records_can_pump(table, task)) return true;
  }
  return false;
}

static uint64_t earlier(uint64_t a, uint64_t b) { return a < b ? a : b; }

uint64_t tasks_next_deadline_ms(struct task_table *table, uint64_t now_ms) {
  uint64_t next = earlier(sinks_next_deadline_ms(&table->sinks), ports_next_poll_ms(table));
  for (size_t i = 0; i < table->active_count; i += 1) {
    const struct task *task = active_task(table, i);
    if (task->deadline_stage == DEADLINE_ARMED || task->deadline_stage == DEADLINE_TERMINATED)
      next = earlier(next, task->deadline_ms);
    next = earlier(next, task_quiet_deadline_ms(task, now_ms));
    next = earlier(next, input_retry_at_ms(task));
    if (task->kind == TASK_TUNNEL && !task->acknowledged) next = earlier(next, task->deadline_ms);
  }
  return next;
}

void tasks_event(struct task_table *table, enum event_source source, uint32_t index) {
  if (source == EVENT_SINK) {
    sinks_event(&table->sinks, index);
    return;
  }
  struct task *task = &table->slots[index];
  switch (source) {
    case EVENT_STDIN: task->input.writable = true; break;
    case EVENT_STDOUT: task->outputs[STREAM_STDOUT].readable = task->outputs[STREAM_STDOUT].fd >= 0; break;
    case EVENT_STDERR: task->outputs[STREAM_STDERR].readable = task->outputs[STREAM_STDERR].fd >= 0; break;
    default: task->result.readable = task->result.fd >= 0;
  }
}
