/* The requests that need no stream: looking at one file, making a directory, renaming, changing what is noted of a file. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "file_answer.h"
#include "file_entry.h"
#include "file_place.h"
#include "file_requests.h"
#include "kernel_abi.h"
#include "users.h"

/* ---- FileStat ---- */

static _Noreturn void end_with_entry(const struct file_request *request, int held, const struct stat *status) {
  char target[FILE_PATH_BYTES_MAX + 1];
  bool is_link = S_ISLNK(status->st_mode);
  if (is_link) {
    ssize_t length = readlinkat(held, "", target, sizeof target);
    if (length < 0) fail_step("readlink", errno);
    if ((size_t)length == sizeof target) fail_step("readlink", ENAMETOOLONG);
    target[length] = '\0';
  }
  size_t name_bytes;
  const char *name = last_part(request->path, &name_bytes);
  struct msgpack_writer map = file_map();
  write_entry(&map, name, name_bytes, status, is_link ? target : NULL);
  file_end(&map);
}

static int hold(const struct file_request *request, struct stat *status) {
  struct place place;
  find_place(request->path, request->follow ? PLACE_FOLLOWS : 0, &place);
  int held = open_place_path(&place, status);
  if (held < 0) fail_step("open", errno);
  if (request->follow && S_ISLNK(status->st_mode)) fail_step("open", ELOOP);
  return held;
}

void stat_file(const struct file_request *request) {
  struct stat status;
  int held = hold(request, &status);
  end_with_entry(request, held, &status);
}

/* ---- FileMkdir ---- */

static _Noreturn void end_created(bool created) {
  struct msgpack_writer map = file_map();
  msgpack_write_map(&map, 1);
  msgpack_write_str(&map, "created");
  msgpack_write_bool(&map, created);
  file_end(&map);
}

void make_directory(const struct file_request *request) {
  struct place place;
  find_place(request->path, request->parents ? PLACE_FOLLOWS | PLACE_MAKES_PARENTS : 0, &place);
  struct stat status;
  int held = open_place_path(&place, &status);
  if (held >= 0) {
    if (request->parents && S_ISDIR(status.st_mode)) end_created(false);
    fail_step("mkdir", EEXIST);
  }
  if (errno == ENOTDIR) fail_step("mkdir", EEXIST);
  if (errno != ENOENT) fail_step("open", errno);
  require_entry(&place);
  if (mkdirat(place.directory_fd, place.name, request->mode & 01777) != 0) {
    bool raced = errno == EEXIST && request->parents;
    int error_number = errno;
    if (raced && (held = open_place_path(&place, &status)) >= 0 && S_ISDIR(status.st_mode)) end_created(false);
    fail_step("mkdir", error_number);
  }
  if ((request->mode & 06000) != 0) {
    int fd = open_directory(&place, &status);
    if (fchmod(fd, request->mode) != 0) fail_step("chmod", errno);
  }
  end_created(true);
}

/* ---- FileRename ---- */

/* Where the file system knows no renameat2: a link never replaces, and a directory takes the place of an empty one that was
 * just made there. */
static int rename_in_two_steps(const struct place *from, const struct place *to, bool is_directory) {
  if (is_directory) {
    if (mkdirat(to->directory_fd, to->name, 0700) != 0) return -1;
    return renameat(from->directory_fd, from->name, to->directory_fd, to->name);
  }
  if (linkat(from->directory_fd, from->name, to->directory_fd, to->name, 0) != 0) return -1;
  return unlinkat(from->directory_fd, from->name, 0);
}

static int rename_without_replacing(const struct place *from, const struct place *to, bool is_directory) {
  long status = syscall(__NR_renameat2, from->directory_fd, from->name, to->directory_fd, to->name, RENAME_NOREPLACE);
  if (status == 0 || (errno != EINVAL && errno != ENOSYS)) return (int)status;
  struct stat target;
  if (fstatat(to->directory_fd, to->name, &target, AT_SYMLINK_NOFOLLOW) == 0) {
    errno = EEXIST;
    return -1;
  }
  return rename_in_two_steps(from, to, is_directory);
}

void rename_file(const struct file_request *request) {
  struct place from, to;
  find_place(request->path, 0, &from);
  find_place(request->to, 0, &to);
  require_entry(&from);
  require_entry(&to);
  struct stat status;
  int held = open_place_path(&from, &status);
  if (held < 0) fail_step("open", errno);
  bool is_directory = S_ISDIR(status.st_mode);
  if (to.must_be_directory && !is_directory) fail_step("rename", ENOTDIR);
  if (request->replace) {
    if (renameat(from.directory_fd, from.name, to.directory_fd, to.name) != 0)
      fail_step("rename", errno == EEXIST ? ENOTEMPTY : errno);
  } else if (rename_without_replacing(&from, &to, is_directory) != 0) {
    fail_step("rename", errno);
  }
  struct msgpack_writer map = file_map();
  msgpack_write_map(&map, 0);
  file_end(&map);
}

/* ---- FileChange ---- */

/* An O_PATH descriptor cannot be given to fchmod or futimens, and opening the file would need a right to read it and wake a
 * FIFO. Newer kernels take the descriptor with an empty name; before them its name under /proc does the same. */
static void change_mode(int held, mode_t mode) {
  if (syscall(__NR_fchmodat2, held, "", mode, AT_EMPTY_PATH) == 0) return;
  if (errno != ENOSYS && errno != EINVAL) fail_step("chmod", errno);
  char link[DESCRIPTOR_LINK_BYTES];
  descriptor_link(held, link);
  if (chmod(link, mode) != 0) fail_step("chmod", errno);
}

static void change_time(int held, uint64_t mtime_ms) {
  struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                              {.tv_sec = (time_t)(mtime_ms / 1000), .tv_nsec = (long)(mtime_ms % 1000) * 1000000}};
  if (utimensat(held, "", times, AT_EMPTY_PATH) == 0) return;
  if (errno != EINVAL && errno != ENOENT) fail_step("utimes", errno);
  char link[DESCRIPTOR_LINK_BYTES];
  descriptor_link(held, link);
  if (utimensat(AT_FDCWD, link, times, 0) != 0) fail_step("utimes", errno);
}

static void change_owner(int held, const char *owner) {
  static const struct account_files FILES = {.passwd_path = "/etc/passwd", .group_path = "/etc/group"};
  struct identity identity;
  if (!resolve_user(&FILES, owner, strlen(owner), getuid(), getgid(), &identity))
    fail("user_unknown", "owner: no such user or group");
  if (fchownat(held, "", identity.uid, identity.gid, AT_EMPTY_PATH) == 0) return;
  if (errno == EBADF) {
    /* gVisor does not take an O_PATH descriptor. */
    char link[DESCRIPTOR_LINK_BYTES];
    descriptor_link(held, link);
    if (fchownat(AT_FDCWD, link, identity.uid, identity.gid, 0) == 0) return;
  }
  if (errno == EINVAL) fail("user_unavailable", "owner: no such id in this sandbox");
  fail_step("chown", errno);
}

void change_file(const struct file_request *request) {
  struct stat status;
  int held = hold(request, &status);
  /* The owner first: changing it takes the setuid and setgid bits away. */
  if (request->owner != NULL) change_owner(held, request->owner);
  if (request->has_mode) change_mode(held, request->mode);
  if (request->has_mtime) change_time(held, request->mtime_ms);
  if (fstat(held, &status) != 0) fail_step("stat", errno);
  end_with_entry(request, held, &status);
}
