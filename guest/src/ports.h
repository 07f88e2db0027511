/*
 * The TCP ports of the sandbox that somebody listens on, as the kernel lists them, and those who watch them.
 *
 * The list is read only while somebody asks or watches, every PORT_POLL_MS: the kernel has no event for it that an
 * unprivileged process may have. A watcher remembers what it has told; the difference to the list is written when its
 * credit allows, so a slow one loses steps in between and never the present state, and needs no queue.
 */
#ifndef WARMPOOL_PORTS_H
#define WARMPOOL_PORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"

struct port_list {
  size_t count;
  uint16_t ports[PORTS_MAX]; /* Ascending. */
};

/* One bit per port. */
struct port_set {
  uint8_t bits[8192];
};

/* Takes up the text of /proc/net/tcp in pieces cut anywhere. */
struct port_parser {
  size_t column;  /* The number of the word in its line. */
  uint16_t port;  /* The local one of the line; 0 until it was seen. */
  size_t length;
  char word[64];
};

void parse_ports(struct port_parser *parser, const char *text, size_t length, struct port_set *open);
void list_ports(const struct port_set *open, struct port_list *list);
/* As the kernel has it now. `diag_fd` is of listening.h. */
void read_open_ports(int diag_fd, struct port_list *list);

struct port_watch {
  struct port_list told;
  /* A record that credit has cut. */
  size_t rest_bytes;
  uint8_t rest[24];
};

/* Mapped, NULL when there is no memory. */
struct port_watch *port_watch_open(void);
void port_watch_close(struct port_watch *watch);
/* Bytes of records that bring the watcher from what it was told to what is open, as far as they fit. */
size_t port_watch_write(struct port_watch *watch, const struct port_list *open, uint8_t *target, size_t room);
bool port_watch_is_current(const struct port_watch *watch, const struct port_list *open);

#endif
