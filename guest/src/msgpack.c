#include "msgpack.h"

#include <string.h>

#include "bounds.h"

struct msgpack_reader msgpack_reader(uint8_t *bytes, size_t length) {
  return (struct msgpack_reader){.at = bytes, .end = bytes + length, .failed = false};
}

static size_t remaining(const struct msgpack_reader *reader) { return (size_t)(reader->end - reader->at); }

static bool fail(struct msgpack_reader *reader) {
  reader->failed = true;
  return false;
}

/* The next byte, without taking it. */
static bool peek(struct msgpack_reader *reader, uint8_t *byte) {
  if (reader->failed || remaining(reader) == 0) return fail(reader);
  *byte = *reader->at;
  return true;
}

/* Takes the leading byte and a big-endian number of `width` bytes after it. */
static bool take_number(struct msgpack_reader *reader, size_t width, uint64_t *value) {
  if (remaining(reader) < 1 + width) return fail(reader);
  uint64_t sum = 0;
  for (size_t i = 1; i <= width; i += 1) sum = sum << 8 | reader->at[i];
  reader->at += 1 + width;
  *value = sum;
  return true;
}

/* Takes `length` bytes whose header began at `header`. */
static bool take_bytes(struct msgpack_reader *reader, uint8_t *header, uint64_t length, struct msgpack_bytes *value) {
  if (length > remaining(reader)) return fail(reader);
  *value = (struct msgpack_bytes){.header = header, .bytes = reader->at, .length = (size_t)length};
  reader->at += length;
  return true;
}

/* A header that is one byte with the count in its low bits, or one of up to three codes followed by a wider count. */
static bool take_count(struct msgpack_reader *reader, uint8_t fix, uint8_t fix_mask, uint8_t code8, uint8_t code16,
                       uint64_t *count) {
  uint8_t lead;
  if (!peek(reader, &lead)) return false;
  if (fix != 0 && (lead & fix_mask) == fix) {
    *count = lead & (uint8_t)~fix_mask;
    reader->at += 1;
    return true;
  }
  if (code8 != 0 && lead == code8) return take_number(reader, 1, count);
  if (lead == code16) return take_number(reader, 2, count);
  if (lead == (uint8_t)(code16 + 1)) return take_number(reader, 4, count);
  return fail(reader);
}

bool msgpack_read_map(struct msgpack_reader *reader, size_t *entries) {
  uint64_t count;
  if (!take_count(reader, 0x80, 0xf0, 0, 0xde, &count)) return false;
  if (count > remaining(reader) / 2) return fail(reader);
  *entries = (size_t)count;
  return true;
}

bool msgpack_read_array(struct msgpack_reader *reader, size_t *entries) {
  uint64_t count;
  if (!take_count(reader, 0x90, 0xf0, 0, 0xdc, &count)) return false;
  if (count > remaining(reader)) return fail(reader);
  *entries = (size_t)count;
  return true;
}

bool msgpack_read_str(struct msgpack_reader *reader, struct msgpack_bytes *value) {
  uint8_t *header = reader->at;
  uint64_t length;
  return take_count(reader, 0xa0, 0xe0, 0xd9, 0xda, &length) && take_bytes(reader, header, length, value);
}

bool msgpack_read_bin(struct msgpack_reader *reader, struct msgpack_bytes *value) {
  uint8_t *header = reader->at;
  uint64_t length;
  return take_count(reader, 0, 0, 0xc4, 0xc5, &length) && take_bytes(reader, header, length, value);
}

bool msgpack_read_bool(struct msgpack_reader *reader, bool *value) {
  uint8_t lead;
  if (!peek(reader, &lead)) return false;
  if (lead != 0xc2 && lead != 0xc3) return fail(reader);
  reader->at += 1;
  *value = lead == 0xc3;
  return true;
}

bool msgpack_read_uint(struct msgpack_reader *reader, uint64_t *value) {
  uint8_t lead;
  if (!peek(reader, &lead)) return false;
  if (lead <= 0x7f) {
    reader->at += 1;
    *value = lead;
    return true;
  }
  if (lead >= 0xcc && lead <= 0xcf) return take_number(reader, (size_t)1 << (lead - 0xcc), value);
  if (lead >= 0xd0 && lead <= 0xd3) {
    /* The signed family is taken when the sign bit is clear: some encoders write it for positive numbers too. */
    size_t width = (size_t)1 << (lead - 0xd0);
    if (!take_number(reader, width, value)) return false;
    return *value >> (width * 8 - 1) == 0 ? true : fail(reader);
  }
  return fail(reader);
}

/* Bytes of the value after the leading byte, for the kinds that hold no other values; false for every other kind. */
static bool plain_width(uint8_t lead, size_t *width) {
  if (lead <= 0x7f || lead >= 0xe0 || lead == 0xc0 || lead == 0xc2 || lead == 0xc3) *width = 0;
  else if (lead >= 0xcc && lead <= 0xcf) *width = (size_t)1 << (lead - 0xcc);
  else if (lead >= 0xd0 && lead <= 0xd3) *width = (size_t)1 << (lead - 0xd0);
  else if (lead == 0xca) *width = 4;
  else if (lead == 0xcb) *width = 8;
  else return false;
  return true;
}

bool msgpack_skip(struct msgpack_reader *reader, unsigned depth) {
  uint8_t lead;
  if (!peek(reader, &lead)) return false;
  size_t width;
  if (plain_width(lead, &width)) {
    uint64_t ignored;
    return take_number(reader, width, &ignored);
  }
  struct msgpack_bytes ignored;
  if ((lead & 0xe0) == 0xa0 || (lead >= 0xd9 && lead <= 0xdb)) return msgpack_read_str(reader, &ignored);
  if (lead >= 0xc4 && lead <= 0xc6) return msgpack_read_bin(reader, &ignored);
  size_t entries;
  bool is_map = (lead & 0xf0) == 0x80 || lead == 0xde || lead == 0xdf;
  bool is_array = (lead & 0xf0) == 0x90 || lead == 0xdc || lead == 0xdd;
  if ((!is_map && !is_array) || depth > MSGPACK_DEPTH_MAX) return fail(reader);
  if (!(is_map ? msgpack_read_map(reader, &entries) : msgpack_read_array(reader, &entries))) return false;
  size_t values = is_map ? entries * 2 : entries;
  for (size_t i = 0; i < values; i += 1)
    if (!msgpack_skip(reader, depth + 1)) return false;
  return true;
}

bool msgpack_finished(const struct msgpack_reader *reader) { return !reader->failed && reader->at == reader->end; }

bool msgpack_is(const struct msgpack_bytes *value, const char *text) {
  return strlen(text) == value->length && memcmp(value->bytes, text, value->length) == 0;
}

struct msgpack_writer msgpack_writer(uint8_t *bytes, size_t length) {
  return (struct msgpack_writer){.start = bytes, .at = bytes, .end = bytes + length, .overflowed = false};
}

static void put(struct msgpack_writer *writer, const void *bytes, size_t length) {
  if (writer->overflowed || length > (size_t)(writer->end - writer->at)) {
    writer->overflowed = true;
    return;
  }
  memcpy(writer->at, bytes, length);
  writer->at += length;
}

static void put_byte(struct msgpack_writer *writer, uint8_t byte) { put(writer, &byte, 1); }

void msgpack_write_map(struct msgpack_writer *writer, unsigned entries) { put_byte(writer, (uint8_t)(0x80 | entries)); }

void msgpack_write_array(struct msgpack_writer *writer, unsigned entries) {
  if (entries <= 15) {
    put_byte(writer, (uint8_t)(0x90 | entries));
    return;
  }
  put_byte(writer, 0xdc);
  put_byte(writer, (uint8_t)(entries >> 8));
  put_byte(writer, (uint8_t)entries);
}

void msgpack_write_str(struct msgpack_writer *writer, const char *text) {
  size_t length = strlen(text);
  if (length <= 31) {
    put_byte(writer, (uint8_t)(0xa0 | length));
  } else {
    /* Every text the guest writes is its own and short: cutting one at 255 bytes only ever shortens a message. */
    if (length > 255) length = 255;
    put_byte(writer, 0xd9);
    put_byte(writer, (uint8_t)length);
  }
  put(writer, text, length);
}

void msgpack_write_bin(struct msgpack_writer *writer, const uint8_t *bytes, size_t length) {
  put_byte(writer, 0xc4);
  put_byte(writer, (uint8_t)length);
  put(writer, bytes, length);
}

void msgpack_write_uint(struct msgpack_writer *writer, uint64_t value) {
  unsigned width_log2 = value <= 0xff ? 0 : value <= 0xffff ? 1 : value <= 0xffffffff ? 2 : 3;
  if (value > 0x7f) put_byte(writer, (uint8_t)(0xcc + width_log2));
  for (int shift = (8 << width_log2) - 8; shift >= 0; shift -= 8) put_byte(writer, (uint8_t)(value >> shift));
}

void msgpack_write_bool(struct msgpack_writer *writer, bool value) { put_byte(writer, value ? 0xc3 : 0xc2); }

size_t msgpack_written(const struct msgpack_writer *writer) { return (size_t)(writer->at - writer->start); }
