/*
 * The guest agent: what one loop owns. One thread, one epoll, all of it in one static object of known size.
 */
#ifndef WARMPOOL_AGENT_H
#define WARMPOOL_AGENT_H

#include <stdbool.h>
#include <stdint.h>

#include "bulk_input.h"
#include "task.h"
#include "link.h"
#include "spawn.h"

struct agent {
  int epoll_fd;
  int signal_fd;
  int null_fd; /* stdin of processes that get none; also what stands at 0 and 1 of the guest itself. */
  uint32_t own_uid;
  uint32_t own_gid;
  struct spawn_limits spawn_limits;

  uint64_t started_ms;
  bool link_open;         /* A Hello was seen. */
  uint32_t output_window; /* From that Hello. */
  bool reap_pending;
  bool stopping;

  struct frame frame;     /* The next one to handle, when `frame_waits` for room for its answer. */
  bool frame_waits;

  struct bulk_input bulk;
  struct link link;
  struct task_table tasks;
};

uint64_t now_us(void);

/* Serves until the link ends for good or SIGTERM comes; kills what runs and returns the exit code. */
int agent_run(struct agent *agent);

/* Answers one frame of the node (requests.c). The link has room for its answer. */
void handle_frame(struct agent *agent, const struct frame *frame);
/* The room that the answer to a frame of this type needs. */
size_t answer_room(uint8_t type);

#endif
