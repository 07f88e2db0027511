#define _GNU_SOURCE
#include "stdin_pipe.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct stdin_pipe stdin_pipe(int fd) {
  return (struct stdin_pipe){.fd = fd, .writable = true, .credit = STDIN_WINDOW_BYTES};
}

static void release_buffer(struct stdin_pipe *pipe) {
  if (pipe->buffer != NULL) munmap(pipe->buffer, STDIN_WINDOW_BYTES);
  pipe->buffer = NULL;
  pipe->head = 0;
  pipe->length = 0;
}

void stdin_close(struct stdin_pipe *pipe) {
  if (pipe->fd >= 0) close(pipe->fd);
  pipe->fd = -1;
  pipe->ungranted += pipe->length;
  release_buffer(pipe);
}

void stdin_end(struct stdin_pipe *pipe) {
  pipe->ending = true;
  if (pipe->length == 0) stdin_close(pipe);
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
      stdin_close(pipe);
      return length;
    }
  }
  return taken;
}

static bool buffer(struct stdin_pipe *pipe, const uint8_t *bytes, size_t length) {
  if (pipe->buffer == NULL) {
    void *mapped = mmap(NULL, STDIN_WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return false;
    /* What one user is sent is no business of a worker that runs as another. */
    madvise(mapped, STDIN_WINDOW_BYTES, MADV_DONTFORK);
    pipe->buffer = mapped;
  }
  uint32_t end = (pipe->head + pipe->length) % STDIN_WINDOW_BYTES;
  size_t first = STDIN_WINDOW_BYTES - end;
  if (first > length) first = length;
  memcpy(pipe->buffer + end, bytes, first);
  memcpy(pipe->buffer, bytes + first, length - first);
  pipe->length += (uint32_t)length;
  return true;
}

enum stdin_result stdin_take(struct stdin_pipe *pipe, const uint8_t *bytes, size_t length) {
  if (length > pipe->credit) return STDIN_NO_CREDIT;
  pipe->credit -= (uint32_t)length;
  size_t taken = 0;
  if (pipe->fd < 0 || pipe->ending) taken = length;
  else if (pipe->length == 0) taken = write_some(pipe, bytes, length);
  pipe->ungranted += (uint32_t)taken;
  if (taken == length || buffer(pipe, bytes + taken, length - taken)) return STDIN_TAKEN;
  pipe->ungranted += (uint32_t)(length - taken);
  stdin_close(pipe);
  return STDIN_NO_MEMORY;
}

void stdin_pump(struct stdin_pipe *pipe) {
  while (stdin_can_pump(pipe)) {
    uint32_t piece = STDIN_WINDOW_BYTES - pipe->head;
    if (piece > pipe->length) piece = pipe->length;
    size_t taken = write_some(pipe, pipe->buffer + pipe->head, piece);
    if (pipe->fd < 0) return;
    pipe->head = (pipe->head + (uint32_t)taken) % STDIN_WINDOW_BYTES;
    pipe->length -= (uint32_t)taken;
    pipe->ungranted += (uint32_t)taken;
    if (pipe->length > 0) continue;
    release_buffer(pipe);
    if (pipe->ending) stdin_close(pipe);
  }
}

bool stdin_can_pump(const struct stdin_pipe *pipe) { return pipe->length > 0 && pipe->writable; }

bool stdin_owes_credit(const struct stdin_pipe *pipe) { return pipe->ungranted >= STDIN_GRANT_STEP_BYTES; }

uint32_t stdin_grant(struct stdin_pipe *pipe) {
  uint32_t granted = pipe->ungranted;
  pipe->credit += granted;
  pipe->ungranted = 0;
  return granted;
}
