#define _GNU_SOURCE
#include "replay.h"

#include <string.h>
#include <sys/mman.h>

#define PAGE_BYTES 4096u

static size_t mapped_bytes(uint32_t capacity) { return (size_t)capacity + (capacity + 7u) / 8u; }

bool replay_open(struct replay *replay, uint32_t capacity) {
  *replay = (struct replay){.bytes = NULL, .capacity = capacity, .end = 0};
  if (capacity == 0) return true;
  void *mapped = mmap(NULL, mapped_bytes(capacity), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return false;
  madvise(mapped, mapped_bytes(capacity), MADV_DONTFORK);
  replay->bytes = mapped;
  return true;
}

void replay_close(struct replay *replay) {
  if (replay->bytes != NULL) munmap(replay->bytes, mapped_bytes(replay->capacity));
  *replay = (struct replay){.bytes = NULL, .capacity = 0, .end = replay->end};
}

static uint8_t *bits_of(const struct replay *replay) { return replay->bytes + replay->capacity; }

static bool bit_at(const struct replay *replay, uint32_t at) { return (bits_of(replay)[at / 8] >> at % 8 & 1) != 0; }

static void set_bits(struct replay *replay, uint32_t from, uint32_t count, bool value) {
  uint8_t *bits = bits_of(replay);
  while (count > 0) {
    if (from % 8 == 0 && count >= 8) {
      memset(bits + from / 8, value ? 0xff : 0, count / 8);
      from += count / 8 * 8;
      count %= 8;
    } else {
      uint8_t mask = (uint8_t)(1u << from % 8);
      bits[from / 8] = (uint8_t)(value ? bits[from / 8] | mask : bits[from / 8] & ~mask);
      from += 1;
      count -= 1;
    }
  }
}

void replay_append(struct replay *replay, bool is_stderr, const uint8_t *bytes, size_t length) {
  replay->end += length;
  if (replay->capacity == 0) return;
  if (length > replay->capacity) {
    bytes += length - replay->capacity;
    length = replay->capacity;
  }
  uint32_t at = (uint32_t)((replay->end - length) % replay->capacity);
  while (length > 0) {
    uint32_t piece = replay->capacity - at;
    if (piece > length) piece = (uint32_t)length;
    memcpy(replay->bytes + at, bytes, piece);
    set_bits(replay, at, piece, is_stderr);
    bytes += piece;
    length -= piece;
    at = 0;
  }
}

uint64_t replay_start(const struct replay *replay) {
  return replay->end > replay->capacity ? replay->end - replay->capacity : 0;
}

size_t replay_copy(const struct replay *replay, uint64_t offset, uint8_t *target, size_t limit, bool *is_stderr) {
  uint32_t at = (uint32_t)(offset % replay->capacity);
  if (limit > replay->end - offset) limit = (size_t)(replay->end - offset);
  if (limit > replay->capacity - at) limit = replay->capacity - at;
  *is_stderr = bit_at(replay, at);
  const uint8_t uniform = *is_stderr ? 0xff : 0;
  size_t length = 1;
  while (length < limit) {
    uint32_t next = at + (uint32_t)length;
    if (next % 8 == 0 && limit - length >= 8 && bits_of(replay)[next / 8] == uniform) length += 8;
    else if (bit_at(replay, next) == *is_stderr) length += 1;
    else break;
  }
  memcpy(target, replay->bytes + at, length);
  return length;
}

void replay_seal(struct replay *replay) {
  if (replay->bytes == NULL || replay->end >= replay->capacity) return;
  if (replay->end == 0) {
    replay_close(replay);
    return;
  }
  /* The bits move down behind the bytes that there are. */
  uint32_t capacity = (uint32_t)replay->end;
  uint8_t *bits = bits_of(replay);
  memmove(replay->bytes + capacity, bits, (capacity + 7u) / 8u);
  size_t before = (mapped_bytes(replay->capacity) + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
  size_t after = (mapped_bytes(capacity) + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
  if (after < before) munmap(replay->bytes + after, before - after);
  replay->capacity = capacity;
}
