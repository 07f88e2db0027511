/*
 * How a worker answers: everything goes through the result descriptor of its start, and a failure is also its end. A
 * worker is one request, so `fail` neither returns nor needs an error to be carried up; what must be undone on the way
 * (a half-written hidden file) is registered with file_stage.h.
 */
#ifndef WARMPOOL_FILE_ANSWER_H
#define WARMPOOL_FILE_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "msgpack.h"

void file_answer_start(int result_fd);

/* Begin with `map = file_map()`, write into it, and send it. Only one is ever under way. */
struct msgpack_writer file_map(void);
void file_ack(const struct msgpack_writer *map);
void file_ack_empty(void);
_Noreturn void file_end(const struct msgpack_writer *map);

/* The code is that of the system's error; `step` is what was being done, without any path. */
_Noreturn void fail_step(const char *step, int error_number);
_Noreturn void fail(const char *code, const char *message);

/* A file name in a map: str when it is valid UTF-8, else bin. */
void write_name(struct msgpack_writer *map, const char *name, size_t length);
bool is_utf8(const uint8_t *bytes, size_t length);

/* Two entries that nearly every End has. */
void write_bytes_entry(struct msgpack_writer *map, uint64_t bytes);

#endif
