/*
 * Descriptors in the epoll, each with what it is and, for those of a table, its index there.
 */
#ifndef WARMPOOL_EVENT_H
#define WARMPOOL_EVENT_H

#include <stdbool.h>
#include <stdint.h>

enum event_source {
  EVENT_LINK_INPUT,
  EVENT_LINK_OUTPUT,
  EVENT_SIGNALS,
  EVENT_STDIN,
  EVENT_STDOUT,
  EVENT_STDERR,
  EVENT_RESULT,
  EVENT_SINK,
};

/* Registers a descriptor, edge-triggered. False with errno. */
bool watch(int epoll_fd, int fd, uint32_t events, enum event_source source, uint32_t index);
/* Changes what a registered descriptor is; what is true of it already is reported again. */
bool rewatch(int epoll_fd, int fd, uint32_t events, enum event_source source, uint32_t index);

static inline enum event_source event_source(uint64_t data) { return (enum event_source)(data & 0xffffffff); }
static inline uint32_t event_index(uint64_t data) { return (uint32_t)(data >> 32); }

#endif
