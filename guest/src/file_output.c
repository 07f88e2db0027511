#define _GNU_SOURCE
#include "file_output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "file_answer.h"

static int output_fd = -1;
static uint64_t total_bytes;
static size_t collected_bytes;
static uint8_t collected[COPY_BYTES];

void output_start(int fd) {
  output_fd = fd;
  total_bytes = 0;
  collected_bytes = 0;
  /* Only a wish: there may be a limit on the pipes of a user. */
  fcntl(fd, F_SETPIPE_SZ, OUTPUT_PIPE_BYTES);
}

uint64_t output_total_bytes(void) { return total_bytes; }

static void write_out(const uint8_t *bytes, size_t length) {
  total_bytes += length;
  while (length > 0) {
    ssize_t wrote = write(output_fd, bytes, length);
    if (wrote < 0 && errno == EINTR) continue;
    /* Nobody reads any more, so nobody waits for an answer. */
    if (wrote < 0) _exit(1);
    bytes += wrote;
    length -= (size_t)wrote;
  }
}

void output_flush(void) {
  write_out(collected, collected_bytes);
  collected_bytes = 0;
}

void output_put(const void *bytes, size_t length) {
  if (length > sizeof collected - collected_bytes) output_flush();
  if (length > sizeof collected) {
    write_out(bytes, length);
    return;
  }
  memcpy(collected + collected_bytes, bytes, length);
  collected_bytes += length;
}

void output_zeros(uint64_t length) {
  while (length > 0) {
    if (collected_bytes == sizeof collected) output_flush();
    size_t step = sizeof collected - collected_bytes;
    if (step > length) step = (size_t)length;
    memset(collected + collected_bytes, 0, step);
    collected_bytes += step;
    length -= step;
  }
}

uint8_t *output_record_begin(size_t bytes_max) {
  if (bytes_max + 2 > sizeof collected - collected_bytes) output_flush();
  return collected + collected_bytes + 2;
}

void output_record_end(size_t bytes) {
  collected[collected_bytes] = (uint8_t)(bytes >> 8);
  collected[collected_bytes + 1] = (uint8_t)bytes;
  collected_bytes += 2 + bytes;
}

/* The pipe gets references to the cached pages instead of copies. False when this file or kernel cannot do it. */
static bool splice_file(int fd, uint64_t length, uint64_t *copied) {
  output_flush();
  while (*copied < length) {
    uint64_t left = length - *copied;
    ssize_t moved = splice(fd, NULL, output_fd, NULL, left < (1u << 30) ? (size_t)left : 1u << 30, SPLICE_F_MOVE);
    if (moved == 0) return true;
    if (moved > 0) {
      *copied += (uint64_t)moved;
      total_bytes += (uint64_t)moved;
    } else if (errno == EPIPE) {
      _exit(1);
    } else if (errno != EINTR) {
      /* Whatever it was, reading says it better. */
      return false;
    }
  }
  return true;
}

uint64_t output_file(int fd, uint64_t length, struct sha256 *hash) {
  uint64_t copied = 0;
  /* What is small is cheaper to copy than to wait for the pipe; what is hashed has to be seen. */
  bool worth_splicing = hash == NULL && length > sizeof collected - collected_bytes;
  if (worth_splicing && splice_file(fd, length, &copied)) return copied;
  while (copied < length) {
    if (collected_bytes == sizeof collected) output_flush();
    size_t room = sizeof collected - collected_bytes;
    if (room > length - copied) room = (size_t)(length - copied);
    ssize_t got = read(fd, collected + collected_bytes, room);
    if (got == 0) break;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_step("read", errno);
    if (hash != NULL) sha256_add(hash, collected + collected_bytes, (size_t)got);
    collected_bytes += (size_t)got;
    copied += (uint64_t)got;
    if (hash != NULL) output_flush();
  }
  return copied;
}
