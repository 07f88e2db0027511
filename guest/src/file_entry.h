/*
 * What is told of a file: the `entry` map of protocol/README.md, section 6, and the records that hold such maps.
 */
#ifndef WARMPOOL_FILE_ENTRY_H
#define WARMPOOL_FILE_ENTRY_H

#include <sys/stat.h>

#include "msgpack.h"

/* A name and a target of 4,095 bytes each, two account names, the numbers and keys. */
#define ENTRY_BYTES_MAX 10240u

const char *kind_of(mode_t mode);
/* The account's name, "" for none; remembered, because a listing asks for the same few again and again. */
const char *user_name_of(uint32_t uid);
const char *group_name_of(uint32_t gid);

/* `target` is of a symbolic link, NULL of everything else. */
void write_entry(struct msgpack_writer *map, const char *name, size_t name_bytes, const struct stat *status,
                 const char *target);

#endif
