#include "frame.h"

#include <string.h>

static const uint8_t MAGIC[4] = {0x57, 0x50, 0x4c, 0x31};
static const uint8_t TRAILER[4] = {0x31, 0x4c, 0x50, 0x57};

uint32_t read_u32(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | (uint32_t)at[3];
}

void write_u32(uint8_t *at, uint32_t value) {
  at[0] = (uint8_t)(value >> 24);
  at[1] = (uint8_t)(value >> 16);
  at[2] = (uint8_t)(value >> 8);
  at[3] = (uint8_t)value;
}

uint8_t *frame_reader_space(struct frame_reader *reader, size_t *bytes) {
  if (reader->head == reader->tail) {
    reader->head = 0;
    reader->tail = 0;
  } else if (reader->head != 0 && sizeof reader->bytes - reader->head < FRAME_BYTES_MAX) {
    /* The frame that begins at `head` might not fit behind it. */
    memmove(reader->bytes, reader->bytes + reader->head, reader->tail - reader->head);
    reader->tail -= reader->head;
    reader->head = 0;
  }
  *bytes = sizeof reader->bytes - reader->tail;
  return reader->bytes + reader->tail;
}

void frame_reader_added(struct frame_reader *reader, size_t bytes) { reader->tail += bytes; }

/* Moves `head` to the next magic, or to where one may have begun. True when four bytes of magic stand there. */
static bool seek_magic(struct frame_reader *reader) {
  while (reader->head < reader->tail) {
    uint8_t *found = memchr(reader->bytes + reader->head, MAGIC[0], reader->tail - reader->head);
    if (found == NULL) {
      reader->head = reader->tail;
      return false;
    }
    reader->head = (size_t)(found - reader->bytes);
    size_t available = reader->tail - reader->head;
    size_t compared = available < sizeof MAGIC ? available : sizeof MAGIC;
    if (memcmp(found, MAGIC, compared) == 0) return compared == sizeof MAGIC;
    reader->head += 1;
  }
  return false;
}

bool frame_reader_next(struct frame_reader *reader, struct frame *frame) {
  while (seek_magic(reader)) {
    uint8_t *at = reader->bytes + reader->head;
    size_t available = reader->tail - reader->head;
    if (available < FRAME_HEADER_BYTES) return false;
    uint32_t payload_bytes = read_u32(at + 4);
    if (payload_bytes > FRAME_PAYLOAD_BYTES_MAX) {
      /* The length cannot be believed, so only the magic is known not to start a frame. */
      reader->invalid_frames_total += 1;
      reader->head += sizeof MAGIC;
      continue;
    }
    size_t frame_bytes = payload_bytes + FRAME_OVERHEAD_BYTES;
    if (available < frame_bytes) return false;
    reader->head += frame_bytes;
    if (memcmp(at + FRAME_HEADER_BYTES + payload_bytes, TRAILER, sizeof TRAILER) != 0) {
      reader->invalid_frames_total += 1;
      continue;
    }
    frame->type = at[8];
    frame->channel = read_u32(at + 9);
    frame->id = read_u32(at + 13);
    frame->payload = at + FRAME_HEADER_BYTES;
    frame->payload_bytes = payload_bytes;
    return true;
  }
  return false;
}

bool frame_reader_header(const struct frame_reader *reader, struct frame *frame) {
  const uint8_t *at = reader->bytes + reader->head;
  if (reader->tail - reader->head != FRAME_HEADER_BYTES || memcmp(at, MAGIC, sizeof MAGIC) != 0) return false;
  frame->type = at[8];
  frame->channel = read_u32(at + 9);
  frame->id = read_u32(at + 13);
  frame->payload_bytes = read_u32(at + 4);
  return frame->payload_bytes <= FRAME_PAYLOAD_BYTES_MAX;
}

bool frame_reader_trailer(struct frame_reader *reader) {
  reader->head += sizeof TRAILER;
  return memcmp(reader->bytes + reader->head - sizeof TRAILER, TRAILER, sizeof TRAILER) == 0;
}

size_t frame_reader_missing(const struct frame_reader *reader) {
  size_t available = reader->tail - reader->head;
  if (available < FRAME_HEADER_BYTES) return FRAME_HEADER_BYTES - available;
  size_t frame_bytes = FRAME_OVERHEAD_BYTES + (size_t)read_u32(reader->bytes + reader->head + 4);
  return frame_bytes > available ? frame_bytes - available : 1;
}

size_t frame_writer_room(struct frame_writer *writer) {
  if (writer->head == writer->tail) {
    writer->head = 0;
    writer->tail = 0;
  } else if (writer->head >= sizeof writer->bytes / 2) {
    memmove(writer->bytes, writer->bytes + writer->head, writer->tail - writer->head);
    writer->tail -= writer->head;
    writer->head = 0;
  }
  return sizeof writer->bytes - writer->tail;
}

uint8_t *frame_writer_begin(struct frame_writer *writer) {
  /* So that asking for the room afterwards finds nothing left to move. */
  frame_writer_room(writer);
  return writer->bytes + writer->tail + FRAME_HEADER_BYTES;
}

void frame_writer_header(struct frame_writer *writer, uint8_t type, uint32_t channel, uint32_t id, size_t payload_bytes) {
  uint8_t *at = writer->bytes + writer->tail;
  memcpy(at, MAGIC, sizeof MAGIC);
  write_u32(at + 4, (uint32_t)payload_bytes);
  at[8] = type;
  write_u32(at + 9, channel);
  write_u32(at + 13, id);
  writer->tail += FRAME_HEADER_BYTES;
}

void frame_writer_trailer(struct frame_writer *writer) {
  memcpy(writer->bytes + writer->tail, TRAILER, sizeof TRAILER);
  writer->tail += FRAME_TRAILER_BYTES;
}

void frame_writer_end(struct frame_writer *writer, uint8_t type, uint32_t channel, uint32_t id, size_t payload_bytes) {
  frame_writer_header(writer, type, channel, id, payload_bytes);
  writer->tail += payload_bytes;
  frame_writer_trailer(writer);
}
