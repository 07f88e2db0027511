/*
 * The processes that have a link: one channel each, with its pipes, its credit in both directions, its timeout and its
 * way to the end.
 *
 * States of a channel: running (the process lives) -> exited (it was reaped; its pipes may still hold output or be held
 * open by a background child) -> finished (ExecExit was written; the slot is free). Invariants: the guest reads a pipe
 * only with output credit; a descriptor of -1 is closed; the first `active_count` entries of `order` are the slots in use.
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
#include "event.h"
#include "link.h"
#include "sinks.h"
#include "stdin_pipe.h"

enum stream { STREAM_STDOUT = 0, STREAM_STDERR = 1 };

enum timeout_stage { TIMEOUT_NONE, TIMEOUT_ARMED, TIMEOUT_TERMINATED, TIMEOUT_KILLED };

struct output_pipe {
  int fd;
  bool readable;
};

struct task {
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

  struct stdin_pipe input;

  enum timeout_stage timeout_stage;
  bool timed_out;
  uint64_t deadline_ms; /* Of the present stage. */
  uint32_t after_kill_bytes;
};

struct task_table {
  int epoll_fd;
  size_t active_count;
  uint16_t order[CHANNELS_MAX];
  struct task slots[CHANNELS_MAX];
  struct sink_table sinks;
};

void tasks_init(struct task_table *table, int epoll_fd);
struct task *task_of_channel(struct task_table *table, uint32_t number);
/* NULL when all slots are in use. The descriptors are the guest's ends; stdin may be -1. On success they belong to the
 * channel; on failure (errno) they are the caller's. */
struct task *task_open(struct task_table *table, uint32_t number, const int fds[3]);
/* Gives the slot back without a word to the node: for a new epoch. */
void task_discard(struct task_table *table, struct task *task);

/* Of all channels and sinks; -1 for none. */
int tasks_highest_descriptor(const struct task_table *table);

void task_signal_group(struct task *task, int signal_number);
void task_exited(struct task_table *table, pid_t pid, int wait_status, uint64_t now_us);
/* To be called after every round of reaping. */
void tasks_note_empty_groups(struct task_table *table);

void task_add_output_credit(struct task *task, uint32_t bytes);

/* Timeouts that are due. */
void tasks_expire(struct task_table *table, uint64_t now_ms);
/* Moves bytes both ways and finishes what is over, as far as credit and the room of the link allow. */
void tasks_pump(struct task_table *table, struct link *link, uint64_t now_ms);
/* True when tasks_pump could do something right now. */
bool tasks_runnable(struct task_table *table, struct link *link, uint64_t now_ms);
/* The next instant at which time alone changes something; UINT64_MAX for none. */
uint64_t tasks_next_deadline_ms(const struct task_table *table, uint64_t now_ms);

void tasks_event(struct task_table *table, enum event_source source, uint32_t index);

#endif
