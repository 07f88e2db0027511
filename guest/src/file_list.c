/*
 * FileList: records in the order of names, directories before what is in them. What disappears while it is listed is left
 * out; a directory below the listed one that may not be read is told of and not entered.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "file_answer.h"
#include "file_entry.h"
#include "file_names.h"
#include "file_output.h"
#include "file_place.h"
#include "file_requests.h"

static struct {
  const struct file_request *request;
  uint64_t entries;
  bool more;
  /* Of the entry that is being told, relative to the listed directory. */
  char path[FILE_PATH_BYTES_MAX + 1];
} list;

static void tell(int directory_fd, const char *name, size_t path_bytes, const struct stat *status) {
  char target[FILE_PATH_BYTES_MAX + 1];
  const char *told_target = NULL;
  if (S_ISLNK(status->st_mode)) {
    ssize_t length = readlinkat(directory_fd, name, target, sizeof target);
    if (length > 0 && (size_t)length < sizeof target) {
      target[length] = '\0';
      told_target = target;
    }
  }
  struct msgpack_writer map = msgpack_writer(output_record_begin(ENTRY_BYTES_MAX), ENTRY_BYTES_MAX);
  write_entry(&map, list.path, path_bytes, status, told_target);
  output_record_end(msgpack_written(&map));
  list.entries += 1;
}

static void list_directory(int fd, size_t prefix_bytes, unsigned level, const char *after);

static void enter(int directory_fd, const char *name, size_t path_bytes, unsigned level) {
  int fd = openat(directory_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    bool passed_over = errno == EACCES || errno == EPERM || errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
    if (passed_over) return;
    fail_step("open", errno);
  }
  list.path[path_bytes] = '/';
  list_directory(fd, path_bytes + 1, level + 1, NULL);
  close(fd);
}

static void list_directory(int fd, size_t prefix_bytes, unsigned level, const char *after) {
  struct name_window window;
  /* One more than the limit, to know whether it cut. */
  names_open(&window, level, (uint32_t)(list.request->limit - list.entries) + 1);
  names_fill(&window, fd, after);
  for (const char *name; !list.more && (name = names_next(&window, fd)) != NULL;) {
    struct stat status;
    if (fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;
      fail_step("stat", errno);
    }
    if (list.entries == list.request->limit) {
      list.more = true;
      break;
    }
    size_t name_bytes = strlen(name);
    if (prefix_bytes + name_bytes > FILE_PATH_BYTES_MAX - 1) fail_step("list", ENAMETOOLONG);
    memcpy(list.path + prefix_bytes, name, name_bytes);
    tell(fd, name, prefix_bytes + name_bytes, &status);
    if (S_ISDIR(status.st_mode) && level + 1 < list.request->depth) enter(fd, name, prefix_bytes + name_bytes, level);
  }
  names_close(&window);
}

void list_files(const struct file_request *request) {
  struct place place;
  struct stat status;
  find_place(request->path, PLACE_FOLLOWS, &place);
  int fd = open_directory(&place, &status);
  file_ack_empty();
  list.request = request;
  list_directory(fd, 0, 0, request->after);
  output_flush();
  struct msgpack_writer map = file_map();
  msgpack_write_map(&map, 2);
  msgpack_write_str(&map, "entries");
  msgpack_write_uint(&map, list.entries);
  msgpack_write_str(&map, "more");
  msgpack_write_bool(&map, list.more);
  file_end(&map);
}
