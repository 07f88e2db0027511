/*
 * The guest's end of the link: two descriptors, the reader and the writer of frames, and the answers every part of the
 * guest gives.
 *
 * `readable` and `writable` say what is known since the last event, and are cleared by a call that would have blocked. The
 * input is edge-triggered, so a link at end of file (reattach) costs no wake-ups; the output is watched only after a write
 * that would have blocked, because otherwise every read of the other side would wake the guest for nothing.
 */
#ifndef WARMPOOL_LINK_H
#define WARMPOOL_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"

struct link {
  int epoll_fd;
  int input_fd;
  int output_fd;
  /* True: the input may come back after its end, and a broken output is no reason to stop. */
  bool reattaches;
  bool readable;
  bool input_ended; /* The last read met the end, which a new writer may lift. */
  bool writable;
  bool takes_pages; /* The output is a socket: splicing a pipe's pages to it is worth it. */
  bool gives_pages; /* The input is a socket that ends with this link: pages may be spliced from it (bulk_input.h). */
  uint64_t read_total; /* Without what is spliced, which is for sockets. */
  uint64_t written_total;
  /* The reader may hold whole frames that wait for room for their answers. */
  bool frames_pending;
  struct frame_reader reader;
  struct frame_writer writer;
};

/* Begins to watch both ends. False with errno. */
bool link_watch(struct link *link, int epoll_fd);
/* Reads once, so much at most. False when the link is over for good. */
bool link_read(struct link *link, size_t bytes_max);
/* A read of the input gave 0 or failed. False when the link is over for good. */
bool link_met_end(struct link *link, long got);
/* Writes what is collected, as far as the other side takes it. False when the link is over for good. */
bool link_flush(struct link *link);

/* A frame whose payload goes from the pipe to the other side without passing through here. `bytes` lie in the pipe. False,
 * and nothing has happened, when something else is still to be sent first, or the other side is no socket. */
bool link_splice(struct link *link, uint8_t type, uint32_t channel, int pipe_fd, size_t bytes);

bool link_has_room(struct link *link, size_t payload_bytes);

/* The map of an Error, with "what: detail" as its message; returns its length. */
size_t write_error(uint8_t *map, size_t bytes, const char *code, const char *what, const char *detail);
void answer_error(struct link *link, uint32_t channel, uint32_t id, const char *code, const char *message);
/* "what: detail" as the message. */
void answer_error_about(struct link *link, uint32_t channel, uint32_t id, const char *code, const char *what,
                        const char *detail);
void send_credit(struct link *link, uint32_t channel, uint32_t bytes);

#endif
