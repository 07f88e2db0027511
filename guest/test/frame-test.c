/* The frame reader against whole, cut, broken and hostile streams, and the writer against the reader. */
#include "frame.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

static struct frame_reader reader;
static struct frame_writer writer;

static void reset(void) {
  memset(&reader, 0, sizeof reader);
  memset(&writer, 0, sizeof writer);
}

static size_t build(uint8_t *target, uint8_t type, uint32_t channel, uint32_t id, const void *payload, size_t length) {
  memset(&writer, 0, sizeof writer);
  if (length > 0) memcpy(frame_writer_begin(&writer), payload, length);
  frame_writer_end(&writer, type, channel, id, length);
  memcpy(target, writer.bytes, writer.tail);
  return writer.tail;
}

/* Feeds bytes as far as there is space and counts the frames that come out; `last` keeps the last one. */
static size_t feed(const uint8_t *bytes, size_t length, struct frame *last) {
  size_t frames = 0;
  while (length > 0) {
    size_t space;
    uint8_t *at = frame_reader_space(&reader, &space);
    CHECK(space > 0);
    if (space == 0) return frames;
    size_t piece = length < space ? length : space;
    memcpy(at, bytes, piece);
    frame_reader_added(&reader, piece);
    bytes += piece;
    length -= piece;
    while (frame_reader_next(&reader, last)) frames += 1;
  }
  return frames;
}

static void reads_a_whole_frame(void) {
  reset();
  uint8_t bytes[64];
  struct frame frame;
  size_t length = build(bytes, FRAME_PING, 7, 0xfffefdfc, "hello", 5);
  CHECK(length == 5 + FRAME_OVERHEAD_BYTES);
  CHECK(feed(bytes, length, &frame) == 1);
  CHECK(frame.type == FRAME_PING && frame.channel == 7 && frame.id == 0xfffefdfc);
  CHECK(frame.payload_bytes == 5 && memcmp(frame.payload, "hello", 5) == 0);
}

static void waits_at_every_cut(void) {
  uint8_t bytes[64];
  struct frame frame;
  size_t length = build(bytes, FRAME_INPUT, 1, 2, "abcdef", 6);
  for (size_t cut = 0; cut < length; cut += 1) {
    reset();
    CHECK(feed(bytes, cut, &frame) == 0);
    CHECK(feed(bytes + cut, length - cut, &frame) == 1);
    CHECK(frame.payload_bytes == 6 && memcmp(frame.payload, "abcdef", 6) == 0);
    CHECK(reader.invalid_frames_total == 0);
  }
}

static void reads_byte_by_byte_and_back_to_back(void) {
  reset();
  uint8_t bytes[256];
  struct frame frame;
  size_t length = 0;
  for (uint32_t id = 1; id <= 5; id += 1) length += build(bytes + length, FRAME_PING, 0, id, "xy", 2);
  size_t frames = 0;
  for (size_t i = 0; i < length; i += 1) frames += feed(bytes + i, 1, &frame);
  CHECK(frames == 5 && frame.id == 5);
  reset();
  CHECK(feed(bytes, length, &frame) == 5);
}

static void searches_past_what_is_no_magic(void) {
  uint8_t bytes[256];
  struct frame frame;
  static const char *const NOISE[] = {"x", "W", "WP", "WPL", "WWPL", "WPL2", "1LPW", "WPWPLWPL", "\0\0\0"};
  for (size_t i = 0; i < sizeof NOISE / sizeof NOISE[0]; i += 1) {
    reset();
    size_t noise_bytes = i == 8 ? 3 : strlen(NOISE[i]);
    memcpy(bytes, NOISE[i], noise_bytes);
    size_t length = noise_bytes + build(bytes + noise_bytes, FRAME_PING, 0, 9, "", 0);
    CHECK(feed(bytes, length, &frame) == 1 && frame.id == 9);
  }
}

static void drops_a_frame_with_a_wrong_trailer_whole(void) {
  /* The payload of the broken frame holds a complete valid one, as a client's bytes may: it must not be acted on. */
  uint8_t inner[64], bytes[256];
  struct frame frame;
  size_t inner_bytes = build(inner, FRAME_EXEC_START, 3, 3, "evil", 4);
  for (size_t byte = 0; byte < FRAME_TRAILER_BYTES; byte += 1) {
    reset();
    size_t length = build(bytes, FRAME_INPUT, 1, 1, inner, inner_bytes);
    bytes[length - 1 - byte] ^= 1;
    length += build(bytes + length, FRAME_PING, 0, 2, "", 0);
    CHECK(feed(bytes, length, &frame) == 1);
    CHECK(frame.type == FRAME_PING && reader.invalid_frames_total == 1);
  }
}

static void refuses_a_length_over_the_limit(void) {
  uint8_t bytes[256];
  struct frame frame;
  static const uint32_t LENGTHS[] = {FRAME_PAYLOAD_BYTES_MAX + 1, 0x00ffffff, 0x7fffffff, 0x80000000, 0xffffffff};
  for (size_t i = 0; i < sizeof LENGTHS / sizeof LENGTHS[0]; i += 1) {
    reset();
    size_t length = build(bytes, FRAME_INPUT, 1, 1, "abc", 3);
    write_u32(bytes + 4, LENGTHS[i]);
    length += build(bytes + length, FRAME_PING, 0, 2, "", 0);
    CHECK(feed(bytes, length, &frame) == 1);
    CHECK(frame.type == FRAME_PING && reader.invalid_frames_total == 1);
  }
}

static void takes_the_largest_frame(void) {
  static uint8_t payload[FRAME_PAYLOAD_BYTES_MAX], bytes[3 * FRAME_BYTES_MAX];
  struct frame frame;
  for (size_t i = 0; i < sizeof payload; i += 1) payload[i] = (uint8_t)(i * 31);
  reset();
  size_t length = 0;
  for (int i = 0; i < 3; i += 1) length += build(bytes + length, FRAME_INPUT, 1, 1, payload, sizeof payload);
  /* In odd pieces, so that the buffer has to move what is unfinished. */
  size_t frames = 0;
  for (size_t at = 0; at < length;) {
    size_t piece = length - at < 40009 ? length - at : 40009;
    frames += feed(bytes + at, piece, &frame);
    at += piece;
  }
  CHECK(frames == 3 && frame.payload_bytes == sizeof payload && memcmp(frame.payload, payload, sizeof payload) == 0);
}

static void finds_a_hello_after_a_half_frame_and_zeros(void) {
  static uint8_t payload[FRAME_PAYLOAD_BYTES_MAX], half[FRAME_BYTES_MAX], zeros[FRAME_BYTES_MAX];
  uint8_t hello[64];
  struct frame frame;
  memset(payload, 'W', sizeof payload);
  static const size_t LENGTHS[] = {0, 1, 4, 5000, 65535, 65536};
  for (size_t i = 0; i < sizeof LENGTHS / sizeof LENGTHS[0]; i += 1) {
    size_t length = build(half, FRAME_INPUT, 1, 1, payload, LENGTHS[i]);
    size_t hello_bytes = build(hello, FRAME_HELLO, 0, 42, "nonce", 5);
    for (size_t cut = 0; cut < length; cut += cut < 24 || cut + 24 > length ? 1 : length / 7 + 1) {
      reset();
      CHECK(feed(half, cut, &frame) == 0);
      CHECK(feed(zeros, sizeof zeros, &frame) == 0);
      CHECK(feed(hello, hello_bytes, &frame) == 1 && frame.type == FRAME_HELLO && frame.id == 42);
    }
  }
}

static void writer_moves_what_is_unsent(void) {
  reset();
  size_t room = frame_writer_room(&writer);
  CHECK(room == sizeof writer.bytes);
  memset(frame_writer_begin(&writer), 'a', 60000);
  frame_writer_end(&writer, FRAME_OUTPUT, 1, 0, 60000);
  CHECK(frame_writer_room(&writer) == room - 60000 - FRAME_OVERHEAD_BYTES);
  writer.head = 50000;
  CHECK(frame_writer_room(&writer) == room - (60000 + FRAME_OVERHEAD_BYTES - 50000));
  CHECK(writer.head == 0 && writer.bytes[0] == 'a');
  writer.head = writer.tail;
  CHECK(frame_writer_room(&writer) == room);
}

int main(void) {
  reads_a_whole_frame();
  waits_at_every_cut();
  reads_byte_by_byte_and_back_to_back();
  searches_past_what_is_no_magic();
  drops_a_frame_with_a_wrong_trailer_whole();
  refuses_a_length_over_the_limit();
  takes_the_largest_frame();
  finds_a_hello_after_a_half_frame_and_zeros();
  writer_moves_what_is_unsent();
  return checks_result();
}
