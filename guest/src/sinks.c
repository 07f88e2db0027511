#include "sinks.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "event.h"

/* One round takes at most a full pipe from each. */
#define READ_BYTES 4096u
#define READS_PER_ROUND_MAX 16u

void sinks_add(struct sink_table *table, int epoll_fd, int fd) {
  size_t index = 0;
  while (index < table->count && table->sinks[index].fd >= 0) index += 1;
  if (index == SINKS_MAX || !rewatch(epoll_fd, fd, EPOLLIN, EVENT_SINK, (uint32_t)index)) {
    close(fd);
    return;
  }
  if (index == table->count) table->count += 1;
  table->sinks[index] = (struct sink){.fd = fd, .readable = false};
}

void sinks_event(struct sink_table *table, uint32_t index) {
  table->sinks[index].readable = true;
  table->due_ms = table->drained_ms + SINK_DRAIN_MS;
}

static void drain(struct sink *sink) {
  uint8_t thrown_away[READ_BYTES];
  for (size_t reads = 0; sink->readable && reads < READS_PER_ROUND_MAX; reads += 1) {
    ssize_t got = read(sink->fd, thrown_away, sizeof thrown_away);
    if (got > 0) continue;
    sink->readable = false;
    if (got < 0 && errno == EAGAIN) return;
    close(sink->fd);
    sink->fd = -1;
  }
}

void sinks_drain(struct sink_table *table, uint64_t now_ms) {
  if (table->due_ms == 0 || now_ms < table->due_ms) return;
  table->due_ms = 0;
  table->drained_ms = now_ms;
  for (size_t i = 0; i < table->count; i += 1) {
    drain(&table->sinks[i]);
    if (table->sinks[i].readable) table->due_ms = now_ms + SINK_DRAIN_MS;
  }
  while (table->count > 0 && table->sinks[table->count - 1].fd < 0) table->count -= 1;
}

uint64_t sinks_next_deadline_ms(const struct sink_table *table) {
  return table->due_ms == 0 ? UINT64_MAX : table->due_ms;
}

int sinks_highest_descriptor(const struct sink_table *table) {
  int highest = -1;
  for (size_t i = 0; i < table->count; i += 1)
    if (table->sinks[i].fd > highest) highest = table->sinks[i].fd;
  return highest;
}
