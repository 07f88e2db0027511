#include "file_answer.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "file_stage.h"
#include "worker.h"

static int answer_fd = -1;
static uint8_t answer[WORKER_RESULT_BYTES_MAX];

void file_answer_start(int result_fd) { answer_fd = result_fd; }

struct msgpack_writer file_map(void) { return msgpack_writer(answer, sizeof answer); }

void file_ack(const struct msgpack_writer *map) {
  if (!worker_answer(answer_fd, WORKER_ACK, map->start, msgpack_written(map))) _exit(1);
}

void file_ack_empty(void) {
  struct msgpack_writer map = file_map();
  msgpack_write_map(&map, 0);
  file_ack(&map);
}

_Noreturn void file_end(const struct msgpack_writer *map) {
  bool told = worker_answer(answer_fd, WORKER_END, map->start, msgpack_written(map));
  _exit(told ? 0 : 1);
}

struct error_code {
  int number;
  const char *code;
};

static const struct error_code CODES[] = {
    {ENOENT, "not_found"},
    {EEXIST, "exists"},
    {ENOTDIR, "not_directory"},
    {EISDIR, "is_directory"},
    {ENXIO, "not_regular"},
    {ENODEV, "not_regular"},
    {ENOTEMPTY, "not_empty"},
    {EACCES, "permission_denied"},
    {EPERM, "permission_denied"},
    {ENAMETOOLONG, "name_invalid"},
    {ELOOP, "too_many_links"},
    {ENOSPC, "no_space"},
    {EDQUOT, "no_space"},
    {EFBIG, "no_space"},
    {EROFS, "read_only"},
    {EBUSY, "read_only"},
    {EXDEV, "cross_device"},
    {EMFILE, "limit_exceeded"},
    {ENFILE, "limit_exceeded"},
    {ENOMEM, "limit_exceeded"},
};

static const char *code_of(int error_number) {
  for (size_t i = 0; i < sizeof CODES / sizeof CODES[0]; i += 1)
    if (CODES[i].number == error_number) return CODES[i].code;
  return "io_error";
}

_Noreturn void fail_step(const char *step, int error_number) {
  stage_undo();
  worker_error(answer_fd, code_of(error_number), step, strerror(error_number));
  _exit(1);
}

_Noreturn void fail(const char *code, const char *message) {
  stage_undo();
  worker_error(answer_fd, code, message, "");
  _exit(1);
}

/* Bytes of a well-formed sequence at `at`, 0 for none (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF). */
static size_t utf8_sequence(const uint8_t *at, size_t left) {
  uint8_t lead = at[0];
  if (lead < 0x80) return 1;
  size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || length > left) return 0;
  uint8_t least = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  uint8_t most = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (at[1] < least || at[1] > most) return 0;
  for (size_t i = 2; i < length; i += 1)
    if ((at[i] & 0xc0) != 0x80) return 0;
  return length;
}

bool is_utf8(const uint8_t *bytes, size_t length) {
  for (size_t i = 0; i < length;) {
    size_t step = utf8_sequence(bytes + i, length - i);
    if (step == 0) return false;
    i += step;
  }
  return true;
}

static void put(struct msgpack_writer *map, const void *bytes, size_t length) {
  if (map->overflowed || length > (size_t)(map->end - map->at)) {
    map->overflowed = true;
    return;
  }
  memcpy(map->at, bytes, length);
  map->at += length;
}

void write_name(struct msgpack_writer *map, const char *name, size_t length) {
  bool text = is_utf8((const uint8_t *)name, length);
  uint8_t header[3];
  size_t header_bytes = 1;
  if (text && length <= 31) {
    header[0] = (uint8_t)(0xa0 | length);
  } else if (length <= 255) {
    header[0] = text ? 0xd9 : 0xc4;
    header[1] = (uint8_t)length;
    header_bytes = 2;
  } else {
    header[0] = text ? 0xda : 0xc5;
    header[1] = (uint8_t)(length >> 8);
    header[2] = (uint8_t)length;
    header_bytes = 3;
  }
  put(map, header, header_bytes);
  put(map, name, length);
}

void write_bytes_entry(struct msgpack_writer *map, uint64_t bytes) {
  msgpack_write_str(map, "bytes");
  msgpack_write_uint(map, bytes);
}
