/* A worker's input, and writing all of something to a file. */
#ifndef WARMPOOL_FILE_INPUT_H
#define WARMPOOL_FILE_INPUT_H

#include <stddef.h>
#include <stdint.h>

void input_start(int fd);
/* The next bytes, valid until the next call; 0 at the end. */
size_t input_some(const uint8_t **bytes);
/* At most `length` of them. */
size_t input_at_most(const uint8_t **bytes, size_t length);
/* Exactly `length` bytes into `to`, or fewer at the end. */
size_t input_exactly(uint8_t *to, size_t length);

/* Fails for itself. */
void write_fully(int fd, const uint8_t *bytes, size_t length);

#endif
