/*
 * The replay ring: whatever the pieces and the capacity, what is copied out is the end of what was put in, byte for byte and
 * stream for stream.
 */
#include "replay.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

#define WRITTEN_MAX 20000u

static uint8_t written[WRITTEN_MAX];
static bool written_stderr[WRITTEN_MAX];

static uint32_t random_state = 12345;

static uint32_t next_random(uint32_t below) {
  random_state = random_state * 1664525u + 1013904223u;
  return (random_state >> 8) % below;
}

static void check_kept(const struct replay *replay, uint64_t from) {
  uint64_t offset = from;
  while (offset < replay->end) {
    uint8_t piece[700];
    bool is_stderr;
    size_t length = replay_copy(replay, offset, piece, 1 + next_random(sizeof piece), &is_stderr);
    CHECK(length >= 1);
    for (size_t i = 0; i < length; i += 1) {
      CHECK(piece[i] == written[offset + i]);
      CHECK(is_stderr == written_stderr[offset + i]);
    }
    offset += length;
  }
}

static void fill(struct replay *replay, uint32_t bytes, uint32_t piece_max) {
  while (replay->end < bytes) {
    uint32_t at = (uint32_t)replay->end;
    uint32_t length = 1 + next_random(piece_max);
    if (length > bytes - at) length = bytes - at;
    bool is_stderr = next_random(2) == 0;
    for (uint32_t i = 0; i < length; i += 1) {
      written[at + i] = (uint8_t)next_random(256);
      written_stderr[at + i] = is_stderr;
    }
    replay_append(replay, is_stderr, written + at, length);
    CHECK(replay_start(replay) == (replay->end > replay->capacity ? replay->end - replay->capacity : 0));
  }
}

static void keeps_the_last_bytes_with_their_streams(void) {
  static const uint32_t CAPACITIES[] = {1, 2, 7, 8, 9, 64, 1000, 4096, 10007, WRITTEN_MAX};
  static const uint32_t PIECES[] = {1, 3, 100, 5000};
  for (size_t c = 0; c < sizeof CAPACITIES / sizeof CAPACITIES[0]; c += 1) {
    for (size_t p = 0; p < sizeof PIECES / sizeof PIECES[0]; p += 1) {
      struct replay replay;
      CHECK(replay_open(&replay, CAPACITIES[c]));
      for (uint32_t bytes = 1; bytes <= WRITTEN_MAX; bytes += 1 + bytes / 2) {
        fill(&replay, bytes, PIECES[p]);
        check_kept(&replay, replay_start(&replay));
        check_kept(&replay, replay.end - 1);
      }
      replay_seal(&replay);
      check_kept(&replay, replay_start(&replay));
      replay_seal(&replay);
      check_kept(&replay, replay_start(&replay));
      replay_close(&replay);
    }
  }
}

static void a_sealed_ring_has_the_size_of_what_it_holds(void) {
  struct replay replay;
  CHECK(replay_open(&replay, 1048576));
  fill(&replay, 100, 10);
  replay_seal(&replay);
  CHECK(replay.capacity == 100);
  CHECK(replay_start(&replay) == 0);
  check_kept(&replay, 0);
  replay_close(&replay);
  CHECK(replay_open(&replay, 1048576));
  replay_seal(&replay);
  CHECK(replay.capacity == 0 && replay.bytes == NULL);
  replay_close(&replay);
}

static void without_a_ring_the_bytes_are_only_counted(void) {
  struct replay replay;
  CHECK(replay_open(&replay, 0));
  fill(&replay, 1000, 100);
  CHECK(replay.end == 1000 && replay_start(&replay) == 1000);
  replay_close(&replay);
  CHECK(replay_start(&replay) == 1000);
}

int main(void) {
  keeps_the_last_bytes_with_their_streams();
  a_sealed_ring_has_the_size_of_what_it_holds();
  without_a_ring_the_bytes_are_only_counted();
  return checks_result();
}
