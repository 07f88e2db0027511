#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "file_answer.h"
#include "file_entry.h"
#include "file_output.h"
#include "file_place.h"
#include "file_requests.h"

void read_file(const struct file_request *request) {
  struct place place;
  struct stat status;
  find_place(request->path, PLACE_FOLLOWS, &place);
  int fd = open_regular(&place, O_RDONLY, &status);
  if (place.must_be_directory) fail_step("open", ENOTDIR);
  if (request->offset > 0 && lseek(fd, (off_t)request->offset, SEEK_SET) < 0) fail_step("seek", errno);

  size_t name_bytes;
  const char *name = last_part(request->path, &name_bytes);
  struct msgpack_writer map = file_map();
  write_entry(&map, name, name_bytes, &status, NULL);
  file_ack(&map);

  struct sha256 hash;
  sha256_start(&hash);
  uint64_t bytes = output_file(fd, request->length, request->wants_sha256 ? &hash : NULL);
  output_flush();
  map = file_map();
  msgpack_write_map(&map, request->wants_sha256 ? 2 : 1);
  write_bytes_entry(&map, bytes);
  if (request->wants_sha256) {
    uint8_t digest[SHA256_BYTES];
    sha256_finish(&hash, digest);
    msgpack_write_str(&map, "sha256");
    msgpack_write_bin(&map, digest, sizeof digest);
  }
  file_end(&map);
}
