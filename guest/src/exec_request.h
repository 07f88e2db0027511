/*
 * The payload of ExecStart (protocol/README.md, section 4), decoded in place: the strings it points to are parts of the
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
  char *env[ENVIRONMENT_MAX + 1]; /* "NAME=value" */
  const char *cwd;
  const char *user;
  bool stdin_open;
  uint32_t timeout_ms; /* 0: none */
};

/* NULL when decoded, else what is wrong, naming the key. Changes the bytes either way. */
const char *decode_exec_request(uint8_t *payload, size_t payload_bytes, struct exec_request *request);

#endif
