/*
 * Output pipes of processes that were reported as finished while somebody in the background still holds the other end.
 *
 * They are read and thrown away, so that the background process neither blocks nor gets SIGPIPE (protocol/README.md,
 * section 4: its output is discarded, it is not killed), and no oftener than every SINK_DRAIN_MS, so that one that floods
 * costs the guest little. A sink ends with the last writer.
 */
#ifndef WARMPOOL_SINKS_H
#define WARMPOOL_SINKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"

struct sink {
  int fd; /* -1: the place is free. */
  bool readable;
};

struct sink_table {
  size_t count; /* Places from this one on are free. */
  uint64_t due_ms; /* 0: none has anything to read. */
  uint64_t drained_ms;
  struct sink sinks[SINKS_MAX];
};

/* Takes over a descriptor that is registered with the epoll; closes it when there are SINKS_MAX already. */
void sinks_add(struct sink_table *table, int epoll_fd, int fd);
void sinks_event(struct sink_table *table, uint32_t index);
void sinks_drain(struct sink_table *table, uint64_t now_ms);
/* UINT64_MAX when there is nothing to do. */
uint64_t sinks_next_deadline_ms(const struct sink_table *table);
/* -1 for none. */
int sinks_highest_descriptor(const struct sink_table *table);

#endif
