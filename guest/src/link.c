#define _GNU_SOURCE
#include "link.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "event.h"
#include "msgpack.h"

bool link_watch(struct link *link, int epoll_fd) {
  link->epoll_fd = epoll_fd;
  link->writable = true;
  /* A pipe would take pages as well, each in one of its few places however little of it is filled: the pipe then holds less,
   * and an engine that reads it spends a third more on smaller pieces, where the guest saves next to nothing. */
  struct stat output;
  link->takes_pages = fstat(link->output_fd, &output) == 0 && S_ISSOCK(output.st_mode);
  struct stat input;
  link->gives_pages = !link->reattaches && fstat(link->input_fd, &input) == 0 && S_ISSOCK(input.st_mode);
  /* A regular file as output cannot be watched and never blocks either. */
  if (!watch(epoll_fd, link->output_fd, 0, EVENT_LINK_OUTPUT, 0) && errno != EPERM) return false;
  return watch(epoll_fd, link->input_fd, EPOLLIN, EVENT_LINK_INPUT, 0);
}

/* Where it cannot be had, or is no pipe, all stays as it is. */
static void note_moved(int fd, uint64_t *total, size_t bytes) {
  bool was_busy = *total >= BUSY_LINK_BYTES;
  *total += bytes;
  if (!was_busy && *total >= BUSY_LINK_BYTES) fcntl(fd, F_SETPIPE_SZ, BUSY_PIPE_BYTES);
}

bool link_met_end(struct link *link, long got) {
  link->input_ended = got == 0;
  link->readable = got < 0 && errno == EINTR;
  return link->reattaches || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

bool link_read(struct link *link, size_t bytes_max) {
  size_t space;
  uint8_t *at = frame_reader_space(&link->reader, &space);
  ssize_t got = read(link->input_fd, at, space < bytes_max ? space : bytes_max);
  if (got <= 0) return link_met_end(link, got);
  link->input_ended = false;
  note_moved(link->input_fd, &link->read_total, (size_t)got);
  frame_reader_added(&link->reader, (size_t)got);
  link->frames_pending = true;
  return true;
}

bool link_flush(struct link *link) {
  struct frame_writer *writer = &link->writer;
  while (link->writable && writer->head < writer->tail) {
    ssize_t sent = write(link->output_fd, writer->bytes + writer->head, writer->tail - writer->head);
    if (sent >= 0) {
      writer->head += (size_t)sent;
      note_moved(link->output_fd, &link->written_total, (size_t)sent);
    } else if (errno == EAGAIN) {
      link->writable = false;
      rewatch(link->epoll_fd, link->output_fd, EPOLLOUT | EPOLLONESHOT, EVENT_LINK_OUTPUT, 0);
    } else if (errno != EINTR) {
      if (!link->reattaches) return false;
      /* Nobody is there to read: what is unsent belongs to an epoch that a later Hello ends anyway. */
      writer->head = writer->tail;
    }
  }
  return true;
}

/* The bytes were promised by a header. Somebody in the sandbox may have opened the pipe as well and taken them: then there
 * are others in their place, and the stream stays a stream of frames. */
static void append_promised(struct frame_writer *writer, int pipe_fd, size_t bytes) {
  uint8_t *to = writer->bytes + writer->tail;
  size_t filled = 0;
  while (filled < bytes) {
    ssize_t got = read(pipe_fd, to + filled, bytes - filled);
    if (got > 0) filled += (size_t)got;
    else if (got == 0 || errno != EINTR) break;
  }
  memset(to + filled, 0, bytes - filled);
  writer->tail += bytes;
}

bool link_splice(struct link *link, uint8_t type, uint32_t channel, int pipe_fd, size_t bytes) {
  struct frame_writer *writer = &link->writer;
  if (!link->takes_pages) return false;
  link_flush(link);
  if (writer->head < writer->tail || !link->writable) return false;
  frame_writer_room(writer);
  frame_writer_header(writer, type, channel, 0, bytes);
  link_flush(link);
  while (bytes > 0 && writer->head == writer->tail) {
    ssize_t moved = splice(pipe_fd, NULL, link->output_fd, NULL, bytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (moved == 0 || (moved < 0 && errno != EINTR)) break;
    if (moved > 0) bytes -= (size_t)moved;
  }
  /* What the other side does not take now waits with everything else. */
  append_promised(writer, pipe_fd, bytes);
  frame_writer_trailer(writer);
  return true;
}

bool link_has_room(struct link *link, size_t payload_bytes) {
  return frame_writer_room(&link->writer) >= payload_bytes + FRAME_OVERHEAD_BYTES;
}

size_t write_error(uint8_t *map, size_t bytes, const char *code, const char *what, const char *detail) {
  char message[160];
  size_t length = strlen(what);
  if (length > sizeof message - 3) length = sizeof message - 3;
  memcpy(message, what, length);
  if (detail[0] != '\0') {
    memcpy(message + length, ": ", 2);
    length += 2;
  }
  size_t detail_bytes = strlen(detail);
  if (detail_bytes > sizeof message - 1 - length) detail_bytes = sizeof message - 1 - length;
  memcpy(message + length, detail, detail_bytes);
  message[length + detail_bytes] = '\0';

  struct msgpack_writer payload = msgpack_writer(map, bytes);
  msgpack_write_map(&payload, 2);
  msgpack_write_str(&payload, "code");
  msgpack_write_str(&payload, code);
  msgpack_write_str(&payload, "message");
  msgpack_write_str(&payload, message);
  return msgpack_written(&payload);
}

void answer_error_about(struct link *link, uint32_t channel, uint32_t id, const char *code, const char *what,
                        const char *detail) {
  size_t bytes = write_error(frame_writer_begin(&link->writer), CONTROL_FRAME_BYTES_MAX, code, what, detail);
  frame_writer_end(&link->writer, FRAME_ERROR, channel, id, bytes);
}

void answer_error(struct link *link, uint32_t channel, uint32_t id, const char *code, const char *message) {
  answer_error_about(link, channel, id, code, message, "");
}

void send_credit(struct link *link, uint32_t channel, uint32_t bytes) {
  write_u32(frame_writer_begin(&link->writer), bytes);
  frame_writer_end(&link->writer, FRAME_CREDIT, channel, 0, 4);
}
