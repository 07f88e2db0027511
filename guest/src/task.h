/*
 * What the guest does for its requesters, one task each: a process, a worker, a tunnel, a port watch, with its descriptors, its credit in both
 * directions, its deadline and its way to the end.
 *
 * A task usually has a channel, and its number. It has none (`channel` is 0) once it was abandoned: the number is free at
 * once, a process that was started with `detach` goes on unattended until somebody attaches, any other has ABANDONED_KILL_MS
 * to end.
 *
 * States of a process: running -> exited (it was reaped; its pipes may still hold output or be held open by a background
 * child) -> finished (ExecExit was written; the slot is free), or, when it is detached, a record for whoever attaches. Of a
 * worker: opening -> acknowledged -> finished (End or
 * Error was written), and without a channel until it was reaped.
 *
 * Invariants: the guest reads a pipe only with output credit; a descriptor of -1 is closed; the first `active_count` entries
 * of `order` are the slots in use, and `channels` has their channel numbers in the same places, so that looking one up
 * touches one small array only.
 *
 * A process is reaped as soon as it exits, because a zombie kept on purpose would stand before every orphan that PID 1
 * has to reap too. Its number still names its group: the kernel does not hand it out while a member lives, and the guest,
 * which adopts and reaps the last of them, asks after each round whether anybody is left (`group_gone`).
 */
#ifndef WARMPOOL_TASK_H
#define WARMPOOL_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bounds.h"
#include "event.h"
#include "link.h"
#include "ports.h"
#include "replay.h"
#include "sinks.h"
#include "stdin_pipe.h"

enum task_kind { TASK_PROCESS, TASK_WORKER, TASK_TUNNEL, TASK_PORT_WATCH };

enum stream { STREAM_STDOUT = 0, STREAM_STDERR = 1 };

/* From a first, polite signal to the last one. */
enum deadline_stage { DEADLINE_NONE, DEADLINE_ARMED, DEADLINE_TERMINATED, DEADLINE_KILLED };

struct output_pipe {
  int fd;
  bool readable;
};

/* The guest's ends; -1 for those a task does not have. */
struct task_descriptors {
  int input;
  int outputs[2];
  int result;
  enum stdin_kind input_kind;
};

struct task {
  bool in_use; /* False from the end of one task to the beginning of the next in this slot. */
  enum task_kind kind;
  uint32_t channel;    /* 0: nobody is on the other side. */
  uint32_t request_id; /* Of the request that waits for its answer; 0 afterwards. */
  bool acknowledged;
  bool finished; /* Of a worker or a tunnel: its terminal frame was written. */

  pid_t pid; /* Also the number of the process group and of the session. */
  bool exited;
  bool group_gone;
  int wait_status;
  uint64_t started_us;
  uint64_t ended_us;

  struct output_pipe outputs[2];
  uint32_t output_credit;
  uint32_t output_window; /* Credit beyond this is void. */
  uint64_t quiet_since_ms;

  struct stdin_pipe input;
  uint64_t input_retry_ms;
  struct output_pipe result; /* Of a worker: its answers. */

  /* Of a process. */
  uint32_t process;
  bool detached;
  bool terminal;  /* The first output is the master. */
  bool is_record; /* It was detached and has ended; only its end and its last output are left. */
  struct replay replay; /* Counts the output of every process, and keeps that of detached ones. */
  uint64_t sent;        /* Offset of the next byte of output for the channel. */
  char name[LISTED_NAME_BYTES_MAX + 1];

  /* Of a tunnel. */
  uint16_t port;
  bool tried_ipv6;
  bool output_broken;
  bool output_eof_told;

  struct port_watch *port_watch;

  enum deadline_stage deadline_stage;
  bool timed_out;
  uint64_t deadline_ms; /* Of the present stage. */
  uint32_t after_kill_bytes;
};

#define READY_WORDS (TASKS_MAX / 64u)

struct task_table {
  int epoll_fd;
  size_t active_count;
  size_t channel_count;
  uint64_t ready[READY_WORDS]; /* A bit per slot: to be visited in the next turn. */
  size_t output_turn;          /* The slot whose output goes first in the next turn. */
  uint64_t deadline_ms;        /* No task has an earlier one. */
  uint32_t processes_started; /* The number of the newest. */
  uint16_t order[TASKS_MAX];
  uint32_t channels[TASKS_MAX];
  struct task slots[TASKS_MAX];
  struct sink_table sinks;
  int diag_fd; /* Of listening.h. */
  size_t port_watchers;
  uint64_t ports_due_ms;
  struct port_list open_ports; /* Known while somebody watches. */
};

/* Something of it has changed: it is visited in the next turn. */
void task_touch(struct task_table *table, const struct task *task);

void tasks_init(struct task_table *table, int epoll_fd);
/* The n-th of those in use. */
struct task *active_task(struct task_table *table, size_t position);
/* NULL for none, and for channel 0. */
struct task *task_of_channel(struct task_table *table, uint32_t channel);
/* NULL when all slots are in use, or with errno. On success the descriptors belong to the task, on failure they are the
 * caller's. */
struct task *task_open(struct task_table *table, enum task_kind kind, uint32_t channel,
                       const struct task_descriptors *descriptors);
/* Other descriptors for its first output and its input. False when they cannot be watched: they are closed then. */
bool task_replace_ends(struct task_table *table, struct task *task, const struct task_descriptors *descriptors);
/* Gives the slot back without a word to the requester. */
void task_discard(struct task_table *table, struct task *task);
/* The number of the channel is free from here on. */
void task_leave_channel(struct task_table *table, struct task *task);
/* From the channel that had it, if any, to this one. */
void task_move_to_channel(struct task_table *table, struct task *task, uint32_t channel);
/* The requester has gone: the task is told to end by its kind, and made to later. */
void task_abandon(struct task_table *table, struct task *task, uint64_t now_ms);
/* The link is lost: detached processes go on as if their channels had been closed. */
void tasks_detach(struct task_table *table);
/* As a new epoch does it: at once. */
void task_end_at_once(struct task_table *table, struct task *task, uint64_t now_ms);

/* Of all tasks and sinks; -1 for none. */
int tasks_highest_descriptor(const struct task_table *table);

void task_signal_group(struct task *task, int signal_number);
/* The group in the foreground of its terminal, if it has one and that is another group. */
void task_signal_foreground(struct task *task, int signal_number);
void task_exited(struct task_table *table, pid_t pid, int wait_status, uint64_t now_us);
/* To be called after every round of reaping. */
void tasks_note_empty_groups(struct task_table *table);

void task_add_output_credit(struct task *task, uint32_t bytes);

/* Deadlines that are due. */
void tasks_expire(struct task_table *table, uint64_t now_ms);
/* Moves bytes both ways and finishes what is over, as far as credit and the room of the link allow. */
void tasks_pump(struct task_table *table, struct link *link, uint64_t now_ms);
/* True when tasks_pump could do something right now. */
bool tasks_runnable(const struct task_table *table, struct link *link, uint64_t now_ms);
/* The next instant at which time alone changes something; UINT64_MAX for none. */
uint64_t tasks_next_deadline_ms(const struct task_table *table);

void tasks_event(struct task_table *table, enum event_source source, uint32_t index);

#endif
