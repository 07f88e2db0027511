#define _GNU_SOURCE
#include "file_input.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "file_answer.h"

/* What the pipe of a busy task holds, so that one read takes all that is there. */
#define INPUT_BYTES 262144u

static int input_fd = -1;
static size_t head, tail;
static uint8_t buffer[INPUT_BYTES];

void input_start(int fd) {
  input_fd = fd;
  head = tail = 0;
}

static void fill(void) {
  ssize_t got;
  do got = read(input_fd, buffer, sizeof buffer);
  while (got < 0 && errno == EINTR);
  if (got < 0) fail_step("input", errno);
  head = 0;
  tail = (size_t)got;
}

size_t input_at_most(const uint8_t **bytes, size_t length) {
  if (length == 0) return 0;
  if (head == tail) fill();
  size_t taken = tail - head < length ? tail - head : length;
  *bytes = buffer + head;
  head += taken;
  return taken;
}

size_t input_some(const uint8_t **bytes) { return input_at_most(bytes, sizeof buffer); }

size_t input_exactly(uint8_t *to, size_t length) {
  size_t done = 0;
  const uint8_t *bytes;
  for (size_t got; (got = input_at_most(&bytes, length - done)) > 0; done += got) memcpy(to + done, bytes, got);
  return done;
}

void write_fully(int fd, const uint8_t *bytes, size_t length) {
  while (length > 0) {
    ssize_t wrote = write(fd, bytes, length);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) fail_step("write", errno);
    bytes += wrote;
    length -= (size_t)wrote;
  }
}
