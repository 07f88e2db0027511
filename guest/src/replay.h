/*
 * The last bytes of a detached process's output, each with its stream, for whoever attaches later.
 *
 * A ring of exactly the bytes that were asked for, and beside it one bit for each of them that says whether it is stderr: that
 * costs an eighth and keeps the promise of "the last N bytes" however finely the two streams alternate, which headers
 * between pieces could not. Mapped when the process starts, touched only as far as it writes, and left out of workers.
 *
 * Offsets count all output ever appended; kept are those from replay_start to `end`.
 */
#ifndef WARMPOOL_REPLAY_H
#define WARMPOOL_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct replay {
  uint8_t *bytes; /* NULL for a capacity of 0. The bits follow the bytes. */
  uint32_t capacity;
  uint64_t end;
};

/* False when there is no memory. */
bool replay_open(struct replay *replay, uint32_t capacity);
void replay_close(struct replay *replay);
void replay_append(struct replay *replay, bool is_stderr, const uint8_t *bytes, size_t length);
uint64_t replay_start(const struct replay *replay);
/* Copies bytes of one stream from `offset` on, at least one and at most `limit`. `offset` is kept, and not the end. */
size_t replay_copy(const struct replay *replay, uint64_t offset, uint8_t *target, size_t limit, bool *is_stderr);
/* No more will be appended: gives back what was never written. */
void replay_seal(struct replay *replay);

#endif
