/*
 * Frames of the guest link (protocol/README.md, section 1.1): an incremental reader that finds its way back after a half
 * frame, and a writer that collects frames so that one turn of the loop costs one write.
 *
 * The reader owns its buffer. States: searching (no magic at `head`), collecting (magic, frame not whole yet), and
 * delivering (a frame was handed out; its payload lies in the buffer until the next call). Invariant: head <= tail <=
 * capacity, and a frame is handed out only after its trailer was seen.
 *
 * An invalid frame is dropped whole, by its stated length: its payload is never searched for a magic, because a payload
 * is what a client sent and may hold bytes that look like a frame.
 */
#ifndef WARMPOOL_FRAME_H
#define WARMPOOL_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"

#define FRAME_HEADER_BYTES 17u
#define FRAME_TRAILER_BYTES 4u
#define FRAME_OVERHEAD_BYTES (FRAME_HEADER_BYTES + FRAME_TRAILER_BYTES)
#define FRAME_BYTES_MAX (FRAME_PAYLOAD_BYTES_MAX + FRAME_OVERHEAD_BYTES)

enum frame_type {
  FRAME_PING = 0x01,
  FRAME_PONG = 0x02,
  FRAME_ERROR = 0x03,
  FRAME_ACK = 0x04,
  FRAME_CHANNEL_CLOSE = 0x11,
  FRAME_EXEC_START = 0x20,
  FRAME_INPUT = 0x21,
  FRAME_OUTPUT = 0x22,
  FRAME_ERROR_OUTPUT = 0x23,
  FRAME_EXEC_EXIT = 0x24,
  FRAME_EXEC_SIGNAL = 0x25,
  FRAME_EXEC_RESIZE = 0x26,
  FRAME_HELLO = 0x60,
  FRAME_WELCOME = 0x61,
  FRAME_CREDIT = 0x62,
  FRAME_INPUT_EOF = 0x63,
  FRAME_EXEC_ATTACH = 0x64,
  FRAME_EXEC_LIST = 0x65,
  FRAME_END = 0x66,
  FRAME_OUTPUT_EOF = 0x67,
  FRAME_FILE_READ = 0x70,
  FRAME_FILE_WRITE = 0x71,
  FRAME_TAR_READ = 0x72,
  FRAME_TAR_WRITE = 0x73,
  FRAME_FILE_LIST = 0x74,
  FRAME_FILE_STAT = 0x75,
  FRAME_FILE_MKDIR = 0x76,
  FRAME_FILE_RENAME = 0x77,
  FRAME_FILE_REMOVE = 0x78,
  FRAME_FILE_CHANGE = 0x79,
  FRAME_FILE_WATCH = 0x7a,
  FRAME_PORT_LIST = 0x80,
  FRAME_PORT_WATCH = 0x81,
  FRAME_PORT_CONNECT = 0x82,
  FRAME_STATS = 0x83,
};

struct frame {
  uint8_t type;
  uint32_t channel;
  uint32_t id;
  uint8_t *payload; /* Writable, so that a decoder may work in place. */
  size_t payload_bytes;
};

struct frame_reader {
  size_t head;
  size_t tail;
  uint64_t invalid_frames_total;
  uint8_t bytes[69632]; /* One whole frame, rounded up to pages. */
};

struct frame_writer {
  size_t head;
  size_t tail;
  uint8_t bytes[LINK_OUTPUT_BYTES];
};

uint32_t read_u32(const uint8_t *at);
void write_u32(uint8_t *at, uint32_t value);

/* Where the next bytes of the stream go, and how many fit (never 0 after frame_reader_next has returned false). */
uint8_t *frame_reader_space(struct frame_reader *reader, size_t *bytes);
void frame_reader_added(struct frame_reader *reader, size_t bytes);
/* True and a frame, or false when more bytes are needed. The payload is valid until the next call on this reader. */
bool frame_reader_next(struct frame_reader *reader, struct frame *frame);

/* The header that begins at `head`, when all of it is there and it can be believed; nothing is taken. */
bool frame_reader_header(const struct frame_reader *reader, struct frame *frame);
/* Takes the bytes of a trailer. False when they are others. */
bool frame_reader_trailer(struct frame_reader *reader);
/* How many bytes complete the header that begins at `head`, or the frame whose header is there; never 0. */
size_t frame_reader_missing(const struct frame_reader *reader);

/* Bytes that may still be added, after moving what is unsent to the front. */
size_t frame_writer_room(struct frame_writer *writer);
/* Where the payload of a new frame may be written; frame_writer_end makes it part of the stream. Not calling
 * frame_writer_end leaves the stream as it was. The caller has checked the room. The place holds until something is sent:
 * only then does moving what is unsent to the front move anything. */
uint8_t *frame_writer_begin(struct frame_writer *writer);
void frame_writer_end(struct frame_writer *writer, uint8_t type, uint32_t channel, uint32_t id, size_t payload_bytes);

/* The same in two parts, for a payload that takes another way in between. */
void frame_writer_header(struct frame_writer *writer, uint8_t type, uint32_t channel, uint32_t id, size_t payload_bytes);
void frame_writer_trailer(struct frame_writer *writer);

#endif
