#define _GNU_SOURCE
#include "channel.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "msgpack.h"

/* Output leaves this much for answers, so that a busy process cannot keep an exit or an error waiting. */
#define ANSWER_RESERVE_BYTES (2u * (CONTROL_FRAME_BYTES_MAX + FRAME_OVERHEAD_BYTES))

void channels_init(struct channel_table *table, int epoll_fd) {
  table->epoll_fd = epoll_fd;
  for (size_t i = 0; i < CHANNELS_MAX; i += 1) table->order[i] = (uint16_t)i;
}

static struct channel *active_channel(struct channel_table *table, size_t position) {
  return &table->slots[table->order[position]];
}

struct channel *channel_find(struct channel_table *table, uint32_t number) {
  for (size_t i = 0; i < table->active_count; i += 1)
    if (active_channel(table, i)->number == number) return active_channel(table, i);
  return NULL;
}

struct channel *channel_open(struct channel_table *table, uint32_t number, const int fds[3]) {
  if (table->active_count == CHANNELS_MAX) return NULL;
  uint16_t slot = table->order[table->active_count];
  bool watched = (fds[0] < 0 || watch(table->epoll_fd, fds[0], EPOLLOUT, EVENT_STDIN, slot)) &&
                 watch(table->epoll_fd, fds[1], EPOLLIN, EVENT_STDOUT, slot) &&
                 watch(table->epoll_fd, fds[2], EPOLLIN, EVENT_STDERR, slot);
  if (!watched) return NULL;
  table->active_count += 1;
  struct channel *channel = &table->slots[slot];
  *channel = (struct channel){.number = number,
                              .outputs = {{.fd = fds[1]}, {.fd = fds[2]}},
                              .input = stdin_pipe(fds[0])};
  return channel;
}

static void close_output(struct output_pipe *output) {
  if (output->fd >= 0) close(output->fd);
  output->fd = -1;
  output->readable = false;
}

static void free_slot(struct channel_table *table, struct channel *channel) {
  uint16_t slot = (uint16_t)(channel - table->slots);
  size_t position = 0;
  while (table->order[position] != slot) position += 1;
  table->active_count -= 1;
  table->order[position] = table->order[table->active_count];
  table->order[table->active_count] = slot;
  channel->number = 0;
}

void channel_discard(struct channel_table *table, struct channel *channel) {
  stdin_close(&channel->input);
  close_output(&channel->outputs[STREAM_STDOUT]);
  close_output(&channel->outputs[STREAM_STDERR]);
  free_slot(table, channel);
}

static int greater(int a, int b) { return a > b ? a : b; }

int channels_highest_descriptor(const struct channel_table *table) {
  int highest = sinks_highest_descriptor(&table->sinks);
  for (size_t i = 0; i < table->active_count; i += 1) {
    const struct channel *channel = &table->slots[table->order[i]];
    highest = greater(highest, greater(channel->input.fd, greater(channel->outputs[0].fd, channel->outputs[1].fd)));
  }
  return highest;
}

void channel_signal_group(struct channel *channel, int signal_number) {
  if (!channel->group_gone) kill(-channel->pid, signal_number);
}

void channel_exited(struct channel_table *table, pid_t pid, int wait_status, uint64_t now_us) {
  for (size_t i = 0; i < table->active_count; i += 1) {
    struct channel *channel = active_channel(table, i);
    if (channel->pid != pid || channel->exited) continue;
    channel->exited = true;
    channel->wait_status = wait_status;
    channel->ended_us = now_us;
    channel->quiet_since_ms = now_us / 1000;
    return;
  }
}

void channels_note_empty_groups(struct channel_table *table) {
  for (size_t i = 0; i < table->active_count; i += 1) {
    struct channel *channel = active_channel(table, i);
    if (channel->exited && !channel->group_gone)
      channel->group_gone = kill(-channel->pid, 0) != 0 && errno == ESRCH;
  }
}

static void pump_stdin(struct channel *channel, struct link *link) {
  stdin_pump(&channel->input);
  if (stdin_owes_credit(&channel->input) && link_has_room(link, CONTROL_FRAME_BYTES_MAX))
    send_credit(link, channel->number, stdin_grant(&channel->input));
}

/* ---- output ---- */

void channel_add_output_credit(struct channel *channel, uint32_t bytes) {
  uint32_t left = UINT32_MAX - channel->output_credit;
  channel->output_credit += bytes < left ? bytes : left;
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
static bool pump_output(struct channel *channel, enum stream stream, struct link *link, uint64_t now_ms) {
  struct output_pipe *output = &channel->outputs[stream];
  if (output->readable && channel->output_credit == 0 && channel->exited) notice_end_without_reading(output);
  if (!output->readable || channel->output_credit == 0 || !has_room_for_output(link)) return false;
  size_t wanted = channel->output_credit < OUTPUT_FRAME_BYTES_MAX ? channel->output_credit : OUTPUT_FRAME_BYTES_MAX;
  ssize_t got = read(output->fd, frame_writer_begin(&link->writer), wanted);
  if (got > 0) {
    uint8_t type = stream == STREAM_STDOUT ? FRAME_EXEC_STDOUT : FRAME_EXEC_STDERR;
    frame_writer_end(&link->writer, type, channel->number, 0, (size_t)got);
    channel->output_credit -= (uint32_t)got;
    channel->quiet_since_ms = now_ms;
    if (channel->exited && channel->timeout_stage == TIMEOUT_KILLED) channel->after_kill_bytes += (uint32_t)got;
    return true;
  }
  if (got < 0 && errno == EINTR) return true;
  if (got < 0 && errno == EAGAIN) output->readable = false;
  else close_output(output);
  return false;
}

/* ---- the end of a process ---- */

static bool is_at_end(const struct channel *channel) {
  return channel->outputs[STREAM_STDOUT].fd < 0 && channel->outputs[STREAM_STDERR].fd < 0;
}

static bool has_output_waiting(const struct channel *channel) {
  return channel->outputs[STREAM_STDOUT].readable || channel->outputs[STREAM_STDERR].readable;
}

static bool is_over(const struct channel *channel, uint64_t now_ms) {
  if (!channel->exited) return false;
  if (is_at_end(channel) || channel->after_kill_bytes > AFTER_KILL_OUTPUT_BYTES_MAX) return true;
  return !has_output_waiting(channel) && now_ms >= channel->quiet_since_ms + EXIT_QUIET_MS;
}

/* The epoll knows the pipe already; only what it stands for changes. */
static void leave_to_sinks(struct channel_table *table, struct output_pipe *output) {
  if (output->fd >= 0) sinks_add(&table->sinks, table->epoll_fd, output->fd);
  output->fd = -1;
}

static void finish(struct channel_table *table, struct channel *channel, struct link *link) {
  /* Members of the group that outlived the process and its timeout get no second two seconds. */
  if (channel->timeout_stage == TIMEOUT_TERMINATED) channel_signal_group(channel, SIGKILL);
  struct msgpack_writer payload = msgpack_writer(frame_writer_begin(&link->writer), CONTROL_FRAME_BYTES_MAX);
  bool signaled = WIFSIGNALED(channel->wait_status);
  msgpack_write_map(&payload, 3);
  msgpack_write_str(&payload, signaled ? "signal" : "exit_code");
  msgpack_write_uint(&payload, (uint64_t)(signaled ? WTERMSIG(channel->wait_status) : WEXITSTATUS(channel->wait_status)));
  msgpack_write_str(&payload, "timed_out");
  msgpack_write_bool(&payload, channel->timed_out);
  msgpack_write_str(&payload, "duration_us");
  msgpack_write_uint(&payload, channel->ended_us - channel->started_us);
  frame_writer_end(&link->writer, FRAME_EXEC_EXIT, channel->number, 0, msgpack_written(&payload));
  leave_to_sinks(table, &channel->outputs[STREAM_STDOUT]);
  leave_to_sinks(table, &channel->outputs[STREAM_STDERR]);
  channel_discard(table, channel);
}

void channels_expire(struct channel_table *table, uint64_t now_ms) {
  for (size_t i = 0; i < table->active_count; i += 1) {
    struct channel *channel = active_channel(table, i);
    bool waits = channel->timeout_stage == TIMEOUT_ARMED || channel->timeout_stage == TIMEOUT_TERMINATED;
    if (!waits || now_ms < channel->deadline_ms) continue;
    if (channel->timeout_stage == TIMEOUT_ARMED) {
      channel->timed_out = true;
      channel->timeout_stage = TIMEOUT_TERMINATED;
      channel->deadline_ms = now_ms + TIMEOUT_KILL_MS;
      channel_signal_group(channel, SIGTERM);
      channel_signal_group(channel, SIGCONT);
    } else {
      channel->timeout_stage = TIMEOUT_KILLED;
      channel_signal_group(channel, SIGKILL);
    }
  }
}

void channels_pump(struct channel_table *table, struct link *link, uint64_t now_ms) {
  /* One frame of each pipe per pass, so that all processes share the link. */
  for (bool more = true; more;) {
    more = false;
    for (size_t i = 0; i < table->active_count; i += 1) {
      struct channel *channel = active_channel(table, i);
      more |= pump_output(channel, STREAM_STDOUT, link, now_ms);
      more |= pump_output(channel, STREAM_STDERR, link, now_ms);
    }
  }
  /* Backwards: finishing puts the last one, which was seen already, into the place that becomes free. */
  for (size_t i = table->active_count; i-- > 0;) {
    struct channel *channel = active_channel(table, i);
    pump_stdin(channel, link);
    if (is_over(channel, now_ms) && link_has_room(link, CONTROL_FRAME_BYTES_MAX)) finish(table, channel, link);
  }
  sinks_drain(&table->sinks, now_ms);
}

bool channels_runnable(struct channel_table *table, struct link *link, uint64_t now_ms) {
  bool room_for_output = has_room_for_output(link);
  bool room_for_answer = link_has_room(link, CONTROL_FRAME_BYTES_MAX);
  for (size_t i = 0; i < table->active_count; i += 1) {
    struct channel *channel = active_channel(table, i);
    if (room_for_output && channel->output_credit > 0 && has_output_waiting(channel)) return true;
    if (room_for_answer && is_over(channel, now_ms)) return true;
    if (room_for_answer && stdin_owes_credit(&channel->input)) return true;
    if (stdin_can_pump(&channel->input)) return true;
  }
  return false;
}

static uint64_t earlier(uint64_t a, uint64_t b) { return a < b ? a : b; }

uint64_t channels_next_deadline_ms(const struct channel_table *table, uint64_t now_ms) {
  uint64_t next = sinks_next_deadline_ms(&table->sinks);
  for (size_t i = 0; i < table->active_count; i += 1) {
    const struct channel *channel = &table->slots[table->order[i]];
    if (channel->timeout_stage == TIMEOUT_ARMED || channel->timeout_stage == TIMEOUT_TERMINATED)
      next = earlier(next, channel->deadline_ms);
    /* One that is over already waits for room on the link, not for time. */
    uint64_t quiet_at_ms = channel->quiet_since_ms + EXIT_QUIET_MS;
    if (channel->exited && !has_output_waiting(channel) && quiet_at_ms > now_ms) next = earlier(next, quiet_at_ms);
  }
  return next;
}

void channels_event(struct channel_table *table, enum event_source source, uint32_t index) {
  if (source == EVENT_SINK) {
    sinks_event(&table->sinks, index);
    return;
  }
  struct channel *channel = &table->slots[index];
  if (source == EVENT_STDIN) channel->input.writable = true;
  else channel->outputs[source == EVENT_STDOUT ? STREAM_STDOUT : STREAM_STDERR].readable = true;
}
