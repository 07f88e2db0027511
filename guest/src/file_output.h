/*
 * A worker's output: bytes and records, collected so that small ones do not cost a write each, and file contents, which
 * the kernel moves into the pipe by itself where it can.
 */
#ifndef WARMPOOL_FILE_OUTPUT_H
#define WARMPOOL_FILE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sha256.h"

/* The guest reads up to 64 KiB at a time; a pipe of four of them lets both work at once. */
#define OUTPUT_PIPE_BYTES 262144
#define COPY_BYTES 262144u

void output_start(int fd);
void output_put(const void *bytes, size_t length);
void output_zeros(uint64_t length);
void output_flush(void);
uint64_t output_total_bytes(void);

/* A record (protocol/README.md, 1.3): write the map at the pointer, then tell its length. */
uint8_t *output_record_begin(size_t bytes_max);
void output_record_end(size_t bytes);

/* Copies from the file's position until its end or `length` bytes; says how many. `hash` may be NULL. */
uint64_t output_file(int fd, uint64_t length, struct sha256 *hash);

#endif
