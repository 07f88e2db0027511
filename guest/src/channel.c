#define _GNU_SOURCE
#include "channel.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "msgpack.h"

/* Output leaves this much for answers, so that a busy process cannot keep an exit or an error waiting. */
#define ANSWER_RESERVE_BYTES (2u * (CONTROL_FRAME_BYTES_MAX + FRAME_OVERHEAD_BYTES))

bool watch(int epoll_fd, int fd, uint32_t events, enum event_source source, uint32_t index) {
  struct epoll_event event = {.events = events | EPOLLET, .data.u64 = (uint64_t)index << 32 | source};
  return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

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
                              .stdin_fd = fds[0],
                              .stdin_writable = true,
                              .stdin_credit = STDIN_WINDOW_BYTES};
  return channel;
}

static void release_stdin_buffer(struct channel *channel) {
  if (channel->stdin_buffer != NULL) munmap(channel->stdin_buffer, STDIN_WINDOW_BYTES);
  channel->stdin_buffer = NULL;
  channel->stdin_head = 0;
  channel->stdin_length = 0;
}

/* Nobody will read what is buffered or still comes: it counts as taken. */
static void close_stdin(struct channel *channel) {
  if (channel->stdin_fd >= 0) close(channel->stdin_fd);
  channel->stdin_fd = -1;
  channel->stdin_ungranted += channel->stdin_length;
  release_stdin_buffer(channel);
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
  close_stdin(channel);
  close_output(&channel->outputs[STREAM_STDOUT]);
  close_output(&channel->outputs[STREAM_STDERR]);
  free_slot(table, channel);
}

static int greater(int a, int b) { return a > b ? a : b; }

int channels_highest_descriptor(const struct channel_table *table) {
  int highest = -1;
  for (size_t i = 0; i < table->active_count; i += 1) {
    const struct channel *channel = &table->slots[table->order[i]];
    highest = greater(highest, greater(channel->stdin_fd, greater(channel->outputs[0].fd, channel->outputs[1].fd)));
  }
  for (size_t i = 0; i < table->sink_count; i += 1) highest = greater(highest, table->sinks[i].fd);
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

/* ---- stdin ---- */

/* Writes to the pipe as far as it takes; the number of bytes taken, or everything when the reader is gone. */
static size_t write_stdin(struct channel *channel, const uint8_t *bytes, size_t length) {
  size_t taken = 0;
  while (taken < length && channel->stdin_writable) {
    ssize_t wrote = write(channel->stdin_fd, bytes + taken, length - taken);
    if (wrote >= 0) taken += (size_t)wrote;
    else if (errno == EAGAIN) channel->stdin_writable = false;
    else if (errno != EINTR) {
      close_stdin(channel);
      return length;
    }
  }
  return taken;
}

static bool buffer_stdin(struct channel *channel, const uint8_t *bytes, size_t length) {
  if (channel->stdin_buffer == NULL) {
    void *mapped = mmap(NULL, STDIN_WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return false;
    channel->stdin_buffer = mapped;
  }
  uint32_t end = (channel->stdin_head + channel->stdin_length) % STDIN_WINDOW_BYTES;
  size_t first = STDIN_WINDOW_BYTES - end;
  if (first > length) first = length;
  memcpy(channel->stdin_buffer + end, bytes, first);
  memcpy(channel->stdin_buffer, bytes + first, length - first);
  channel->stdin_length += (uint32_t)length;
  return true;
}

bool channel_take_stdin(struct channel *channel, const uint8_t *bytes, size_t length) {
  if (length > channel->stdin_credit) return false;
  channel->stdin_credit -= (uint32_t)length;
  size_t taken = 0;
  if (channel->stdin_fd < 0 || channel->stdin_ends) taken = length;
  else if (channel->stdin_length == 0) taken = write_stdin(channel, bytes, length);
  channel->stdin_ungranted += (uint32_t)taken;
  if (taken == length) return true;
  if (!buffer_stdin(channel, bytes + taken, length - taken)) {
    /* No memory for bytes that were promised a place: the process cannot be given a stdin with a hole in it. */
    channel_signal_group(channel, SIGKILL);
    channel->stdin_ungranted += (uint32_t)(length - taken);
    close_stdin(channel);
  }
  return true;
}

void channel_end_stdin(struct channel *channel) {
  channel->stdin_ends = true;
  if (channel->stdin_length == 0) close_stdin(channel);
}

static void pump_stdin(struct channel *channel, struct link *link) {
  while (channel->stdin_length > 0 && channel->stdin_writable) {
    uint32_t piece = STDIN_WINDOW_BYTES - channel->stdin_head;
    if (piece > channel->stdin_length) piece = channel->stdin_length;
    size_t taken = write_stdin(channel, channel->stdin_buffer + channel->stdin_head, piece);
    if (channel->stdin_fd < 0) break;
    channel->stdin_head = (channel->stdin_head + (uint32_t)taken) % STDIN_WINDOW_BYTES;
    channel->stdin_length -= (uint32_t)taken;
    channel->stdin_ungranted += (uint32_t)taken;
    if (channel->stdin_length == 0) {
      release_stdin_buffer(channel);
      if (channel->stdin_ends) close_stdin(channel);
    }
  }
  if (channel->stdin_ungranted >= STDIN_GRANT_STEP_BYTES && link_has_room(link, CONTROL_FRAME_BYTES_MAX)) {
    send_credit(link, channel->number, channel->stdin_ungranted);
    channel->stdin_credit += channel->stdin_ungranted;
    channel->stdin_ungranted = 0;
  }
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

static void watch_sink(struct channel_table *table, struct output_pipe *output) {
  if (output->fd < 0) return;
  size_t index = 0;
  while (index < table->sink_count && table->sinks[index].fd >= 0) index += 1;
  struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = (uint64_t)index << 32 | EVENT_SINK};
  if (index == SINKS_MAX || epoll_ctl(table->epoll_fd, EPOLL_CTL_MOD, output->fd, &event) != 0) {
    close_output(output);
    return;
  }
  if (index == table->sink_count) table->sink_count += 1;
  table->sinks[index] = (struct output_pipe){.fd = output->fd, .readable = false};
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
  watch_sink(table, &channel->outputs[STREAM_STDOUT]);
  watch_sink(table, &channel->outputs[STREAM_STDERR]);
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

static void drain_sinks(struct channel_table *table, uint64_t now_ms) {
  if (table->sinks_due_ms == 0 || now_ms < table->sinks_due_ms) return;
  table->sinks_due_ms = 0;
  table->sinks_drained_ms = now_ms;
  uint8_t thrown_away[4096];
  for (size_t i = 0; i < table->sink_count; i += 1) {
    struct output_pipe *sink = &table->sinks[i];
    /* A full pipe at most, then the next one's turn. */
    for (size_t reads = 0; sink->readable && reads < 16; reads += 1) {
      ssize_t got = read(sink->fd, thrown_away, sizeof thrown_away);
      if (got < 0 && errno == EAGAIN) sink->readable = false;
      else if (got <= 0) close_output(sink);
    }
    if (sink->readable) table->sinks_due_ms = now_ms + SINK_DRAIN_MS;
  }
  while (table->sink_count > 0 && table->sinks[table->sink_count - 1].fd < 0) table->sink_count -= 1;
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
  drain_sinks(table, now_ms);
}

bool channels_runnable(struct channel_table *table, struct link *link, uint64_t now_ms) {
  bool room_for_output = has_room_for_output(link);
  bool room_for_answer = link_has_room(link, CONTROL_FRAME_BYTES_MAX);
  for (size_t i = 0; i < table->active_count; i += 1) {
    struct channel *channel = active_channel(table, i);
    if (room_for_output && channel->output_credit > 0 && has_output_waiting(channel)) return true;
    if (room_for_answer && is_over(channel, now_ms)) return true;
    if (room_for_answer && channel->stdin_ungranted >= STDIN_GRANT_STEP_BYTES) return true;
    if (channel->stdin_length > 0 && channel->stdin_writable) return true;
  }
  return false;
}

static uint64_t earlier(uint64_t a, uint64_t b) { return a < b ? a : b; }

uint64_t channels_next_deadline_ms(const struct channel_table *table, uint64_t now_ms) {
  uint64_t next = table->sinks_due_ms == 0 ? UINT64_MAX : table->sinks_due_ms;
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
    table->sinks[index].readable = true;
    table->sinks_due_ms = table->sinks_drained_ms + SINK_DRAIN_MS;
    return;
  }
  struct channel *channel = &table->slots[index];
  if (source == EVENT_STDIN) channel->stdin_writable = true;
  else channel->outputs[source == EVENT_STDOUT ? STREAM_STDOUT : STREAM_STDERR].readable = true;
}
