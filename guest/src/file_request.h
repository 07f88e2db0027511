/*
 * The map of a file request (protocol/README.md, section 6), decoded in place: the texts it points to are parts of the
 * payload, ended by a NUL that takes the place of a MessagePack header already read.
 *
 * `user`, `cwd` and `window` are read by the guest before the worker is forked, and passed over here.
 */
#ifndef WARMPOOL_FILE_REQUEST_H
#define WARMPOOL_FILE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FILE_PATH_BYTES_MAX 4095u
#define FILE_LIST_LIMIT_MAX 1000000u
#define FILE_SHA256_BYTES 32u

struct file_request {
  uint8_t type;
  const char *path;
  const char *root;  /* NULL: everywhere. */
  const char *to;    /* FileRename */
  const char *after; /* FileList; NULL: from the start. */
  const char *owner; /* FileChange; NULL: as it is. */

  uint64_t offset;
  uint64_t length; /* UINT64_MAX: to the end. */
  uint64_t mtime_ms;
  uint32_t limit;
  uint32_t mode;
  uint32_t depth;
  bool has_offset, has_mtime, has_mode;

  bool append, parents, exclusive, sync, follow, replace, recursive;
  bool wants_sha256;              /* FileRead */
  const uint8_t *expected_sha256; /* FileWrite; NULL: none. */
};

struct file_refusal {
  const char *code;
  const char *message;
};

/* False when refused. Changes the bytes either way. */
bool decode_file_request(uint8_t type, uint8_t *payload, size_t payload_bytes, struct file_request *request,
                         struct file_refusal *refusal);

#endif
