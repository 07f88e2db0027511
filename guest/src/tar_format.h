/* The layout both directions share: POSIX.1-2001 (pax) over the ustar header of 512 bytes. */
#ifndef WARMPOOL_TAR_FORMAT_H
#define WARMPOOL_TAR_FORMAT_H

#include <stdint.h>

#define TAR_BLOCK_BYTES 512u
#define TAR_NAME_BYTES_MAX 4095u
#define TAR_ENTRIES_MAX 1000000u

enum tar_type {
  TAR_FILE = '0',
  TAR_HARD_LINK = '1',
  TAR_SYMLINK = '2',
  TAR_DIRECTORY = '5',
  TAR_CONTIGUOUS_FILE = '7',
  TAR_PAX = 'x',
  TAR_PAX_GLOBAL = 'g',
  TAR_GNU_LONG_NAME = 'L',
  TAR_GNU_LONG_LINK = 'K',
};

struct tar_header {
  char name[100];
  char mode[8];
  char uid[8];
  char gid[8];
  char size[12];
  char mtime[12];
  char checksum[8];
  char type;
  char link[100];
  char magic[6]; /* "ustar" and a NUL; GNU's own format has a space there, and other things in `prefix`. */
  char version[2];
  char user[32];
  char group[32];
  char device_major[8];
  char device_minor[8];
  char prefix[155];
  char padding[12];
};

_Static_assert(sizeof(struct tar_header) == TAR_BLOCK_BYTES, "a header is one block");

static inline uint64_t tar_padding(uint64_t bytes) {
  return (TAR_BLOCK_BYTES - bytes % TAR_BLOCK_BYTES) % TAR_BLOCK_BYTES;
}

/* The sum of all bytes, those of the checksum itself taken as spaces. */
static inline uint32_t tar_checksum(const struct tar_header *header) {
  const uint8_t *bytes = (const uint8_t *)header;
  uint32_t sum = 8 * ' ';
  for (unsigned i = 0; i < TAR_BLOCK_BYTES; i += 1) sum += i < 148 || i >= 156 ? bytes[i] : 0;
  return sum;
}

#endif
