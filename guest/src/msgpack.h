/*
 * The part of MessagePack the guest link uses (protocol/README.md, section 1.2): reading and writing over memory the
 * caller owns, no allocation.
 *
 * A reader that met anything it does not take (a lie about a length, an extension type, nesting beyond the limit) sets
 * `failed` and answers every later call with false: a caller may check once, at the end.
 */
#ifndef WARMPOOL_MSGPACK_H
#define WARMPOOL_MSGPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct msgpack_reader {
  uint8_t *at;
  uint8_t *end;
  bool failed;
};

/* Bytes inside the reader's memory. `header` is the first byte of the value's header, at least one before `bytes`. */
struct msgpack_bytes {
  uint8_t *header;
  uint8_t *bytes;
  size_t length;
};

struct msgpack_reader msgpack_reader(uint8_t *bytes, size_t length);
/* The stated number of entries is never more than what the remaining bytes could hold. */
bool msgpack_read_map(struct msgpack_reader *reader, size_t *entries);
bool msgpack_read_array(struct msgpack_reader *reader, size_t *entries);
bool msgpack_read_str(struct msgpack_reader *reader, struct msgpack_bytes *value);
bool msgpack_read_bin(struct msgpack_reader *reader, struct msgpack_bytes *value);
bool msgpack_read_bool(struct msgpack_reader *reader, bool *value);
/* Any integer that is not negative, in whichever width it was written. */
bool msgpack_read_uint(struct msgpack_reader *reader, uint64_t *value);
/* Passes over one value of any kind; `depth` is the nesting level the value is on. */
bool msgpack_skip(struct msgpack_reader *reader, unsigned depth);
/* True when nothing failed and nothing is left. */
bool msgpack_finished(const struct msgpack_reader *reader);
bool msgpack_is(const struct msgpack_bytes *value, const char *text);

struct msgpack_writer {
  uint8_t *start;
  uint8_t *at;
  uint8_t *end;
  bool overflowed;
};

struct msgpack_writer msgpack_writer(uint8_t *bytes, size_t length);
void msgpack_write_map(struct msgpack_writer *writer, unsigned entries_at_most_15);
void msgpack_write_array(struct msgpack_writer *writer, unsigned entries_at_most_65535);
void msgpack_write_str(struct msgpack_writer *writer, const char *text);
void msgpack_write_bin(struct msgpack_writer *writer, const uint8_t *bytes, size_t bytes_at_most_255);
void msgpack_write_uint(struct msgpack_writer *writer, uint64_t value);
void msgpack_write_bool(struct msgpack_writer *writer, bool value);
size_t msgpack_written(const struct msgpack_writer *writer);

#endif
