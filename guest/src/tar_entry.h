/*
 * Reading an archive: one entry at a time, with all that its extended headers and long names said, checked. Nothing here
 * touches the file system, so that any bytes can be tried on it.
 */
#ifndef WARMPOOL_TAR_ENTRY_H
#define WARMPOOL_TAR_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "tar_format.h"

struct tar_entry {
  enum tar_type type; /* FILE, HARD_LINK, SYMLINK or DIRECTORY */
  uint64_t size;      /* Bytes of content that follow, without the padding. */
  mode_t mode;        /* Without setuid and setgid, which are refused. */
  struct timespec mtime;
  size_t name_bytes;
  char name[TAR_NAME_BYTES_MAX + 1]; /* Relative, parts joined by one "/", no "." nor ".."; "" is the top. */
  char link[TAR_NAME_BYTES_MAX + 1]; /* A symbolic link's target as it is; a hard link's name like `name`. */
};

/* Where the archive's bytes come from: exactly `length` of them, or fewer at the end. */
typedef size_t tar_source(uint8_t *to, size_t length);

struct tar_reader {
  tar_source *source;
  uint64_t entries;
  uint64_t headers;
  uint64_t total_bytes; /* Of headers; who reads contents adds those. */
  const char *problem;  /* What is wrong with the archive. */
};

enum tar_result { TAR_ENTRY, TAR_END, TAR_INVALID };

/* The content of the entry before has been read, padding included. */
enum tar_result tar_next(struct tar_reader *reader, struct tar_entry *entry);

#endif
