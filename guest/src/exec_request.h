/*
 * The payload of ExecStart (protocol/README.md, section 5.1), decoded in place: the strings it points to are parts of the
 * frame, ended by a NUL that takes the place of a MessagePack header already read. Nothing is copied elsewhere, so
 * the request is valid only until the frame's bytes are reused.
 */
#ifndef WARMPOOL_EXEC_REQUEST_H
#define WARMPOOL_EXEC_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"

struct exec_request {
  char *argv[ARGUMENTS_MAX + 1];
  char *env[ENVIRONMENT_MAX + 2]; /* "NAME=value"; one more than asked for, for TERM. */
  const char *cwd;
  const char *user;
  bool stdin_open;
  uint32_t timeout_ms; /* 0: none */
  bool tty;
  uint16_t columns;
  uint16_t rows;
  bool detach;
  uint32_t replay_bytes;
  uint32_t window; /* 0: that of Hello. */
};

/* NULL when decoded, else what is wrong, naming the key. Changes the bytes either way. */
const char *decode_exec_request(uint8_t *payload, size_t payload_bytes, struct exec_request *request);

/* Columns and rows of a terminal, the payload of ExecResize; NULL, or what is wrong. */
const char *decode_terminal_size(uint8_t *payload, size_t payload_bytes, uint16_t *columns, uint16_t *rows);

#endif
