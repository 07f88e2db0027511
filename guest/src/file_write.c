/*
 * FileWrite. Replacing goes through a stage, so that a reader sees the old bytes or all of the new ones; in place (offset or
 * append) the file itself is written and kept as far as it came.
 *
 * The end of the input is the end of the file: a write that is given up gets SIGTERM before its input is closed (worker.h).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "file_answer.h"
#include "file_input.h"
#include "file_place.h"
#include "file_requests.h"
#include "file_stage.h"
#include "sha256.h"

static uint64_t copy_input(int fd, struct sha256 *hash) {
  uint64_t total = 0;
  const uint8_t *bytes;
  for (size_t got; (got = input_some(&bytes)) > 0; total += got) {
    write_fully(fd, bytes, got);
    sha256_add(hash, bytes, got);
  }
  return total;
}

static void require_digest(const struct file_request *request, const uint8_t digest[SHA256_BYTES]) {
  if (request->expected_sha256 == NULL || memcmp(request->expected_sha256, digest, SHA256_BYTES) == 0) return;
  fail("checksum_mismatch", "sha256: other bytes arrived");
}

/* What is there now must be a regular file or nothing. True when there is one. */
static bool look_at_target(const struct place *place, struct stat *status) {
  int held = open_place_path(place, status);
  if (held < 0) {
    if (errno != ENOENT) fail_step("open", errno);
    if (place->must_be_directory) fail_step("open", ENOENT);
    return false;
  }
  close(held);
  if (S_ISDIR(status->st_mode)) fail_step("open", EISDIR);
  if (!S_ISREG(status->st_mode)) fail("not_regular", "open: a FIFO, socket, device or link");
  return true;
}

static void take_input(int fd, struct sha256 *hash, uint64_t *bytes, uint8_t digest[SHA256_BYTES]) {
  file_ack_empty();
  sha256_start(hash);
  *bytes = copy_input(fd, hash);
  sha256_finish(hash, digest);
}

static uint64_t replace_file(const struct file_request *request, const struct place *place, uint8_t digest[SHA256_BYTES]) {
  struct stat status;
  mode_t mode = request->mode;
  if (look_at_target(place, &status)) {
    if (request->exclusive) fail_step("open", EEXIST);
    /* A new file of another owner must not inherit the right to act as the old one's. */
    if (!request->has_mode) mode = status.st_mode & 0777;
  }
  require_entry(place);
  struct sha256 hash;
  uint64_t bytes;
  take_input(stage_open(place->directory_fd, mode), &hash, &bytes, digest);
  require_digest(request, digest);
  stage_commit(place->name, request->exclusive, request->sync);
  return bytes;
}

static uint64_t write_in_place(const struct file_request *request, const struct place *place,
                               uint8_t digest[SHA256_BYTES]) {
  struct stat status;
  bool is_there = look_at_target(place, &status);
  if (is_there && request->exclusive) fail_step("open", EEXIST);
  if (!is_there) require_entry(place);
  int flags = O_WRONLY | O_CREAT | (request->append ? O_APPEND : 0) | (request->exclusive ? O_EXCL : 0);
  int fd = open_regular(place, flags, &status);
  if (request->has_mode && fchmod(fd, request->mode) != 0) fail_step("chmod", errno);
  if (request->has_offset && lseek(fd, (off_t)request->offset, SEEK_SET) < 0) fail_step("seek", errno);
  struct sha256 hash;
  uint64_t bytes;
  take_input(fd, &hash, &bytes, digest);
  if (request->sync && fsync(fd) != 0) fail_step("sync", errno);
  if (close(fd) != 0) fail_step("close", errno);
  require_digest(request, digest);
  return bytes;
}

void write_file(const struct file_request *request) {
  struct place place;
  find_place(request->path, PLACE_FOLLOWS | (request->parents ? PLACE_MAKES_PARENTS : 0), &place);
  stage_start();
  uint8_t digest[SHA256_BYTES];
  bool in_place = request->append || request->has_offset;
  uint64_t bytes = in_place ? write_in_place(request, &place, digest) : replace_file(request, &place, digest);
  struct msgpack_writer map = file_map();
  msgpack_write_map(&map, 2);
  write_bytes_entry(&map, bytes);
  msgpack_write_str(&map, "sha256");
  msgpack_write_bin(&map, digest, sizeof digest);
  file_end(&map);
}
