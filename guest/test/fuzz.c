/*
 * Fuzz target for all that reads bytes of the link: the frame reader, the MessagePack reader and the decoders of processes and
 * terminals; and for the text of the kernel's socket table.
 *
 * Checked besides memory safety: a stream cut into pieces gives the same frames as the whole of it, and every text
 * of a decoded request lies inside its payload.
 *
 * With clang it is a libFuzzer target (-fsanitize=fuzzer). Without, LOOP_MAIN adds a seeded mutation loop:
 *   fuzz MILLISECONDS [SEED]
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "exec_request.h"
#include "frame.h"
#include "msgpack.h"
#include "ports.h"

static void assert_true(int condition, const char *what) {
  if (condition) return;
  fprintf(stderr, "not true: %s\n", what);
  abort();
}

static void check_text(const char *text, const uint8_t *payload, size_t length) {
  const uint8_t *at = (const uint8_t *)text;
  assert_true(at >= payload && at < payload + length, "a text begins inside the payload");
  assert_true(memchr(at, 0, (size_t)(payload + length - at)) != NULL, "a text ends inside the payload");
}

static void decode_everything(uint8_t *payload, size_t length) {
  static struct exec_request request;
  /* Exact allocations, so that a sanitizer sees one byte too many. */
  uint8_t *copy = malloc(length + 1);
  if (copy == NULL) return;
  memcpy(copy, payload, length);
  uint8_t *exact = realloc(copy, length > 0 ? length : 1);
  if (exact == NULL) exact = copy;
  struct msgpack_reader reader = msgpack_reader(exact, length);
  while (msgpack_skip(&reader, 1) && reader.at < reader.end) continue;
  if (decode_exec_request(exact, length, &request) == NULL) {
    assert_true(request.argv[0] != NULL, "a request has a command");
    for (char **text = request.argv; *text != NULL; text += 1) check_text(*text, exact, length);
    for (char **text = request.env; *text != NULL; text += 1) check_text(*text, exact, length);
    if (strcmp(request.cwd, "/") != 0) check_text(request.cwd, exact, length);
  }
  uint16_t columns, rows;
  memcpy(exact, payload, length);
  if (decode_terminal_size(exact, length, &columns, &rows) == NULL)
    assert_true(columns >= 1 && rows >= 1 && columns <= TERMINAL_SIDE_MAX && rows <= TERMINAL_SIDE_MAX, "a size is one");
  free(exact);
}

static void parse_port_table(const uint8_t *bytes, size_t length, size_t piece, struct port_set *open) {
  struct port_parser parser = {0};
  memset(open, 0, sizeof *open);
  for (size_t at = 0; at < length; at += piece)
    parse_ports(&parser, (const char *)bytes + at, at + piece > length ? length - at : piece, open);
}

static void check_port_table(const uint8_t *bytes, size_t length) {
  static struct port_set whole, pieces;
  parse_port_table(bytes, length, length + 1, &whole);
  parse_port_table(bytes, length, 1 + (length > 0 ? bytes[0] % 31u : 0), &pieces);
  assert_true(memcmp(&whole, &pieces, sizeof whole) == 0, "pieces of a socket table give the ports of the whole");
}

struct outcome {
  uint64_t frames;
  uint64_t hash;
};

static struct outcome read_stream(const uint8_t *bytes, size_t length, size_t piece_max, int decode) {
  static struct frame_reader reader;
  reader.head = reader.tail = 0;
  struct outcome outcome = {0, 14695981039346656037ull};
  while (length > 0) {
    size_t space;
    uint8_t *at = frame_reader_space(&reader, &space);
    assert_true(space > 0, "there is always space for more");
    size_t piece = length < space ? length : space;
    if (piece > piece_max) piece = piece_max;
    memcpy(at, bytes, piece);
    frame_reader_added(&reader, piece);
    bytes += piece;
    length -= piece;
    struct frame frame;
    while (frame_reader_next(&reader, &frame)) {
      assert_true(frame.payload_bytes <= FRAME_PAYLOAD_BYTES_MAX, "a payload is within its limit");
      outcome.frames += 1;
      outcome.hash = (outcome.hash ^ frame.type ^ frame.channel ^ frame.id ^ frame.payload_bytes) * 1099511628211ull;
      for (size_t i = 0; i < frame.payload_bytes; i += 1)
        outcome.hash = (outcome.hash ^ frame.payload[i]) * 1099511628211ull;
      if (decode) decode_everything(frame.payload, frame.payload_bytes);
    }
  }
  return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  struct outcome whole = read_stream(bytes, length, SIZE_MAX, 1);
  struct outcome pieces = read_stream(bytes, length, length > 0 ? 1 + bytes[0] % 97u : 1, 0);
  assert_true(whole.frames == pieces.frames && whole.hash == pieces.hash, "pieces give the frames of the whole");
  check_port_table(bytes, length);
  uint8_t *payload = malloc(length + 1);
  if (payload != NULL) {
    memcpy(payload, bytes, length);
    decode_everything(payload, length);
    free(payload);
  }
  return 0;
}

#ifdef LOOP_MAIN

static uint64_t state;

static uint32_t next_random(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)(state >> 16);
}

static size_t make_seed(uint8_t *target) {
  static const char EXEC[] =
      "\x8c\xa4" "argv\x93\xa2sh\xa2-c\xa4true\xa3" "env\x82\xa4PATH\xa9/usr/bin:\xa1" "A\xd9\x21"
      "abcdefghijklmnopqrstuvwxyzabcdefg\xa3" "cwd\xa4/tmp\xa4user\xa6nobody\xa5stdin\xc3\xaatimeout_ms\xcd\x03\xe8"
      "\xa3tty\xc3\xa4" "cols\xcc\x84\xa4rows\x2b\xa6" "detach\xc3\xa6replay\xcd\x10\x00\xa6window\xcd\x20\x00";
  static const uint8_t TYPES[] = {FRAME_EXEC_START, FRAME_HELLO, FRAME_INPUT, FRAME_EXEC_SIGNAL, FRAME_CREDIT,
                                  FRAME_EXEC_RESIZE, FRAME_EXEC_ATTACH, FRAME_CHANNEL_CLOSE};
  size_t total = 0;
  for (unsigned count = 1 + next_random() % 4; count > 0; count -= 1) {
    static struct frame_writer writer;
    writer.head = writer.tail = 0;
    size_t length = next_random() % 4 == 0 ? next_random() % 600 : sizeof EXEC - 1;
    uint8_t *payload = frame_writer_begin(&writer);
    if (length == sizeof EXEC - 1) memcpy(payload, EXEC, length);
    else
      for (size_t i = 0; i < length; i += 1) payload[i] = (uint8_t)next_random();
    frame_writer_end(&writer, TYPES[next_random() % sizeof TYPES], next_random() % 4, next_random(), length);
    memcpy(target + total, writer.bytes, writer.tail);
    total += writer.tail;
  }
  return total;
}

static size_t mutate(uint8_t *bytes, size_t length) {
  static const uint8_t INTERESTING[] = {0x00, 0x01, 0x7f, 0x80, 0x8f, 0x9f, 0xa0, 0xbf, 0xc0, 0xc4, 0xc6, 0xc7,
                                        0xcf, 0xd3, 0xd9, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xff, 0x57, 0x31};
  for (unsigned count = next_random() % 8; count > 0 && length > 1; count -= 1) {
    size_t at = next_random() % length;
    switch (next_random() % 5) {
      case 0: bytes[at] ^= (uint8_t)(1u << next_random() % 8); break;
      case 1: bytes[at] = INTERESTING[next_random() % sizeof INTERESTING]; break;
      case 2: /* Leave bytes out. */
        memmove(bytes + at, bytes + at + 1, length - at - 1);
        length -= 1;
        break;
      case 3: length = at + 1; break; /* Cut. */
      default: { /* Copy a piece elsewhere. */
        size_t from = next_random() % length, size = next_random() % 32;
        if (from + size <= length && at + size <= length) memmove(bytes + at, bytes + from, size);
      }
    }
  }
  return length;
}

static uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int main(int argc, char **argv) {
  uint64_t duration_ms = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
  uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL);
  state = seed * 0x9e3779b97f4a7c15ull + 1;
  printf("seed %llu\n", (unsigned long long)seed);
  fflush(stdout);
  static uint8_t bytes[8192];
  uint64_t runs = 0;
  for (uint64_t end_ms = now_ms() + duration_ms; now_ms() < end_ms; runs += 1)
    LLVMFuzzerTestOneInput(bytes, mutate(bytes, make_seed(bytes)));
  printf("%llu runs\n", (unsigned long long)runs);
  return 0;
}

#endif
