#define _GNU_SOURCE
#include "stdin_pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define END_OF_FILE_CHARACTER 0x04

struct stdin_pipe stdin_pipe(int fd, enum stdin_kind kind) {
  return (struct stdin_pipe){.fd = fd, .writable = true, .kind = kind, .credit = STDIN_WINDOW_BYTES};
}

bool stdin_new_window(struct stdin_pipe *pipe) {
  if (pipe->length > STDIN_WINDOW_BYTES) return false;
  pipe->surplus = pipe->length;
  pipe->credit = STDIN_WINDOW_BYTES;
  pipe->ungranted = 0;
  return true;
}

static void release_buffer(struct stdin_pipe *pipe) {
  if (pipe->buffer != NULL) munmap(pipe->buffer, STDIN_BUFFER_BYTES);
  pipe->buffer = NULL;
  pipe->head = 0;
  pipe->length = 0;
}

/* What a former channel left was buffered first, so it leaves first. */
static void count_taken(struct stdin_pipe *pipe, uint32_t bytes) {
  uint32_t surplus = bytes < pipe->surplus ? bytes : pipe->surplus;
  pipe->surplus -= surplus;
  pipe->ungranted += bytes - surplus;
}

void stdin_close(struct stdin_pipe *pipe) {
  if (pipe->fd >= 0) close(pipe->fd);
  pipe->fd = -1;
  count_taken(pipe, pipe->length);
  release_buffer(pipe);
}

/* The number of bytes taken; everything when nobody reads any more. */
static size_t write_some(struct stdin_pipe *pipe, const uint8_t *bytes, size_t length) {
  size_t taken = 0;
  while (taken < length && pipe->writable) {
    ssize_t wrote = write(pipe->fd, bytes + taken, length - taken);
    if (wrote >= 0) {
      taken += (size_t)wrote;
    } else if (errno == EAGAIN) {
      pipe->writable = false;
    } else if (errno != EINTR) {
      pipe->broken = true;
      stdin_close(pipe);
      return length;
    }
  }
  return taken;
}

static bool buffer(struct stdin_pipe *pipe, const uint8_t *bytes, size_t length) {
  if (pipe->buffer == NULL) {
    void *mapped = mmap(NULL, STDIN_BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return false;
    /* What one user is sent is no business of a worker that runs as another. */
    madvise(mapped, STDIN_BUFFER_BYTES, MADV_DONTFORK);
    pipe->buffer = mapped;
  }
  uint32_t end = (pipe->head + pipe->length) % STDIN_BUFFER_BYTES;
  size_t first = STDIN_BUFFER_BYTES - end;
  if (first > length) first = length;
  memcpy(pipe->buffer + end, bytes, first);
  memcpy(pipe->buffer, bytes + first, length - first);
  pipe->length += (uint32_t)length;
  return true;
}

static void enlarge_if_busy(struct stdin_pipe *pipe) {
  if (pipe->kind != STDIN_PIPE || pipe->enlarged || pipe->taken_total < BUSY_INPUT_BYTES) return;
  pipe->enlarged = true;
  fcntl(pipe->fd, F_SETPIPE_SZ, BUSY_PIPE_BYTES);
}

bool stdin_takes_pages(const struct stdin_pipe *pipe) { return pipe->enlarged && pipe->fd >= 0 && !pipe->ending; }

bool stdin_has_way(const struct stdin_pipe *pipe) {
  return stdin_takes_pages(pipe) && pipe->length == 0 && pipe->writable;
}

bool stdin_spend(struct stdin_pipe *pipe, size_t length) {
  if (length > pipe->credit) return false;
  pipe->credit -= (uint32_t)length;
  pipe->taken_total += length;
  enlarge_if_busy(pipe);
  return true;
}

void stdin_passed(struct stdin_pipe *pipe, size_t length) { pipe->ungranted += (uint32_t)length; }

enum stdin_result stdin_take(struct stdin_pipe *pipe, const uint8_t *bytes, size_t length) {
  return stdin_spend(pipe, length) ? stdin_put(pipe, bytes, length) : STDIN_NO_CREDIT;
}

enum stdin_result stdin_put(struct stdin_pipe *pipe, const uint8_t *bytes, size_t length) {
  size_t taken = 0;
  if (pipe->fd < 0 || pipe->ending) taken = length;
  else if (pipe->length == 0) taken = write_some(pipe, bytes, length);
  pipe->ungranted += (uint32_t)taken;
  if (taken == length || buffer(pipe, bytes + taken, length - taken)) return STDIN_TAKEN;
  pipe->ungranted += (uint32_t)(length - taken);
  stdin_close(pipe);
  return STDIN_NO_MEMORY;
}

/* Everything before the end has gone in. */
static void end_now(struct stdin_pipe *pipe) {
  if (pipe->kind == STDIN_SOCKET && pipe->fd >= 0) shutdown(pipe->fd, SHUT_WR);
  stdin_close(pipe);
}

void stdin_end(struct stdin_pipe *pipe) {
  if (pipe->kind != STDIN_TERMINAL) {
    pipe->ending = true;
    if (pipe->length == 0) end_now(pipe);
    return;
  }
  /* A terminal stays open behind its end-of-file characters, which wait in line like all input. */
  static const uint8_t CHARACTER = END_OF_FILE_CHARACTER;
  if (pipe->fd < 0 || pipe->surplus == STDIN_WINDOW_BYTES) return;
  if (pipe->length == 0 && write_some(pipe, &CHARACTER, 1) == 1) return;
  if (buffer(pipe, &CHARACTER, 1)) pipe->surplus += 1;
}

void stdin_pump(struct stdin_pipe *pipe) {
  while (stdin_can_pump(pipe)) {
    uint32_t piece = STDIN_BUFFER_BYTES - pipe->head;
    if (piece > pipe->length) piece = pipe->length;
    size_t taken = write_some(pipe, pipe->buffer + pipe->head, piece);
    if (pipe->fd < 0) return;
    pipe->head = (pipe->head + (uint32_t)taken) % STDIN_BUFFER_BYTES;
    pipe->length -= (uint32_t)taken;
    count_taken(pipe, (uint32_t)taken);
    if (pipe->length > 0) continue;
    release_buffer(pipe);
    if (pipe->ending) end_now(pipe);
  }
}

bool stdin_can_pump(const struct stdin_pipe *pipe) { return pipe->length > 0 && pipe->writable; }

bool stdin_owes_credit(const struct stdin_pipe *pipe) { return pipe->ungranted >= STDIN_GRANT_STEP_BYTES; }

uint32_t stdin_grant(struct stdin_pipe *pipe) {
  uint32_t granted = pipe->ungranted - pipe->ungranted % STDIN_GRANT_STEP_BYTES;
  pipe->credit += granted;
  pipe->ungranted -= granted;
  return granted;
}
