/*
 * The processes that have a link: one channel each, with its pipes, its credit in both directions, its timeout and its
 * way to the end.
 *
 * States of a channel: running (the process lives) -> exited (it was reaped; its pipes may still hold output or be held
 * open by a background child) -> finished (ExecExit was written; the slot is free). Invariants: the guest reads a pipe
 * only with output credit; what the node may still send as stdin, what is buffered and what waits to be granted add up to
 * the window; a descriptor of -1 is closed; the first `active_count` entries of `order` are the slots in use.
 *
 * The process is reaped as soon as it exits, because a zombie kept on purpose would stand before every orphan that PID 1
 * has to reap too. Its number still names its group: the kernel does not hand it out while a member lives, and the guest,
 * which adopts and reaps the last of them, asks after each round whether anybody is left (`group_gone`).
 */
#ifndef WARMPOOL_CHANNEL_H
#define WARMPOOL_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bounds.h"
#include "link.h"

enum stream { STREAM_STDOUT = 0, STREAM_STDERR = 1 };

enum timeout_stage { TIMEOUT_NONE, TIMEOUT_ARMED, TIMEOUT_TERMINATED, TIMEOUT_KILLED };

struct output_pipe {
  int fd;
  bool readable;
};

struct channel {
  uint32_t number; /* 0: the slot is free. */
  pid_t pid;       /* Also the number of the process group and of the session. */
  bool exited;
  bool group_gone;
  int wait_status;
  uint64_t started_us;
  uint64_t ended_us;

  struct output_pipe outputs[2];
  uint32_t output_credit;
  uint64_t quiet_since_ms;

  int stdin_fd;
  bool stdin_writable;
  bool stdin_ends;          /* Close it once the buffer is empty. */
  uint32_t stdin_credit;    /* What the node may still send. */
  uint32_t stdin_ungranted; /* Taken by the process (or thrown away) and not yet granted again. */
  uint8_t *stdin_buffer;    /* A ring of STDIN_WINDOW_BYTES, mapped only while it holds something. */
  uint32_t stdin_head;
  uint32_t stdin_length;

  enum timeout_stage timeout_stage;
  bool timed_out;
  uint64_t deadline_ms; /* Of the present stage. */
  uint32_t after_kill_bytes;
};

struct channel_table {
  int epoll_fd;
  size_t active_count;
  uint16_t order[CHANNELS_MAX];
  struct channel slots[CHANNELS_MAX];

  size_t sink_count;
  uint64_t sinks_due_ms; /* 0: no sink has anything to read. */
  uint64_t sinks_drained_ms;
  struct output_pipe sinks[SINKS_MAX];
};

/* What an epoll event belongs to. */
enum event_source {
  EVENT_LINK_INPUT,
  EVENT_LINK_OUTPUT,
  EVENT_SIGNALS,
  EVENT_STDIN,
  EVENT_STDOUT,
  EVENT_STDERR,
  EVENT_SINK,
};

/* Registers a descriptor, edge-triggered. False with errno. */
bool watch(int epoll_fd, int fd, uint32_t events, enum event_source source, uint32_t index);

void channels_init(struct channel_table *table, int epoll_fd);
struct channel *channel_find(struct channel_table *table, uint32_t number);
/* NULL when all slots are in use. The descriptors are the guest's ends; stdin may be -1. On success they belong to the
 * channel; on failure (errno) they are the caller's. */
struct channel *channel_open(struct channel_table *table, uint32_t number, const int fds[3]);
/* Gives the slot back without a word to the node: for a new epoch. */
void channel_discard(struct channel_table *table, struct channel *channel);

/* Of all channels and sinks; -1 for none. */
int channels_highest_descriptor(const struct channel_table *table);

void channel_signal_group(struct channel *channel, int signal_number);
void channel_exited(struct channel_table *table, pid_t pid, int wait_status, uint64_t now_us);
/* To be called after every round of reaping. */
void channels_note_empty_groups(struct channel_table *table);

/* False when the node sent more than it may. */
bool channel_take_stdin(struct channel *channel, const uint8_t *bytes, size_t length);
void channel_end_stdin(struct channel *channel);
void channel_add_output_credit(struct channel *channel, uint32_t bytes);

/* Timeouts that are due. */
void channels_expire(struct channel_table *table, uint64_t now_ms);
/* Moves bytes both ways and finishes what is over, as far as credit and the room of the link allow. */
void channels_pump(struct channel_table *table, struct link *link, uint64_t now_ms);
/* True when channels_pump could do something right now. */
bool channels_runnable(struct channel_table *table, struct link *link, uint64_t now_ms);
/* The next instant at which time alone changes something; UINT64_MAX for none. */
uint64_t channels_next_deadline_ms(const struct channel_table *table, uint64_t now_ms);

void channels_event(struct channel_table *table, enum event_source source, uint32_t index);

#endif
