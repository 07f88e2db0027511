/*
 * TarWrite: unpacks below a directory, which the archive must not be able to leave.
 *
 * The way from the top to the present entry's directory is held open, one O_PATH descriptor per part, so that no name is
 * resolved from the top twice and entries of one directory share its descriptor. A part that is a symbolic link is
 * followed only when the link was there before: those the archive made are remembered by inode. (Making links last, as others
 * do, needs memory for every one of them, and lets the archive's later names see a different tree than it describes.)
 * Modes and times of directories are set when the way leaves them, because filling them needs and changes both.
 * Every file is staged (file_stage.h): it appears whole, and in the place of an old one only then.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "file_answer.h"
#include "file_input.h"
#include "file_place.h"
#include "file_requests.h"
#include "file_stage.h"
#include "tar_entry.h"

/* A name of 4,095 bytes has no more parts. */
#define LEVELS_MAX 2049u
#define HOLD_DIRECTORY (O_PATH | O_DIRECTORY | O_CLOEXEC)

struct level {
  int fd;
  uint32_t path_bytes; /* Of the way up to here. */
  bool has_entry;      /* Its mode and time are known, and set on leaving. */
  mode_t mode;
  struct timespec mtime;
};

enum made_kind { MADE_FILE = 1, MADE_LINK, MADE_DIRECTORY };

static struct {
  struct tar_reader reader;
  struct tar_entry entry;
  size_t depth;
  struct level levels[LEVELS_MAX];
  char way[TAR_NAME_BYTES_MAX + 1];

  uint64_t *made; /* A hash table of what the archive made; 0: free. */
  size_t made_count, made_room;
} unpack;

static _Noreturn void refuse(const char *problem) { fail("archive_invalid", problem); }

/* ---- what the archive made ---- */

static uint64_t made_key(const struct stat *status, enum made_kind kind) {
  uint64_t mixed = (uint64_t)status->st_ino * 0x9e3779b97f4a7c15ull ^ ((uint64_t)status->st_dev << 2 | kind) * 0xc2b2ae3d27d4eb4full;
  mixed ^= mixed >> 29;
  return mixed == 0 ? 1 : mixed;
}

static size_t made_place(uint64_t key) {
  size_t at = (size_t)(key & (unpack.made_room - 1));
  while (unpack.made[at] != 0 && unpack.made[at] != key) at = (at + 1) & (unpack.made_room - 1);
  return at;
}

static void made_grow(void) {
  uint64_t *old = unpack.made;
  size_t old_room = unpack.made_room;
  unpack.made_room = old_room == 0 ? 4096 : 2 * old_room;
  unpack.made = mmap(NULL, unpack.made_room * sizeof *unpack.made, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (unpack.made == MAP_FAILED) fail_step("memory", errno);
  for (size_t i = 0; i < old_room; i += 1)
    if (old[i] != 0) unpack.made[made_place(old[i])] = old[i];
  if (old != NULL) munmap(old, old_room * sizeof *old);
}

static void note_made(const struct stat *status, enum made_kind kind) {
  if (4 * (unpack.made_count + 1) > 3 * unpack.made_room) made_grow();
  uint64_t key = made_key(status, kind);
  size_t at = made_place(key);
  if (unpack.made[at] == 0) unpack.made_count += 1;
  unpack.made[at] = key;
}

static bool was_made(const struct stat *status, enum made_kind kind) {
  return unpack.made_room > 0 && unpack.made[made_place(made_key(status, kind))] != 0;
}

/* ---- the way ---- */

/* One part further, which is there; -1 with errno. */
static int step_into(int fd, const char *name) {
  int below = openat(fd, name, HOLD_DIRECTORY | O_NOFOLLOW);
  if (below >= 0 || (errno != ENOTDIR && errno != ELOOP)) return below;
  struct stat status;
  if (fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return -1;
  if (S_ISLNK(status.st_mode)) {
    if (was_made(&status, MADE_LINK)) refuse("a name that leads through a link of the archive");
    below = openat(fd, name, HOLD_DIRECTORY);
    if (below >= 0) require_inside_root(below);
    return below;
  }
  errno = ENOTDIR;
  return -1;
}

static int step_into_or_make(int fd, const char *name, mode_t mode) {
  int below = step_into(fd, name);
  if (below >= 0 || errno != ENOENT) return below;
  if (mkdirat(fd, name, mode) != 0 && errno != EEXIST) return -1;
  below = openat(fd, name, HOLD_DIRECTORY | O_NOFOLLOW);
  struct stat status;
  if (below >= 0 && fstat(below, &status) == 0) note_made(&status, MADE_DIRECTORY);
  return below;
}

static void leave_level(void) {
  struct level *level = &unpack.levels[unpack.depth];
  if (level->has_entry) {
    /* It was made readable by its owner for this. */
    int fd = openat(level->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, level->mtime};
    if (fd < 0 || fchmod(fd, level->mode) != 0 || futimens(fd, times) != 0) fail_step("directory", errno);
    close(fd);
  }
  close(level->fd);
  unpack.depth -= 1;
}

/* How many levels of the way the path shares. */
static size_t shared_depth(const char *path, size_t path_bytes) {
  size_t depth = 0;
  while (depth < unpack.depth) {
    size_t end = unpack.levels[depth + 1].path_bytes;
    bool shared = end <= path_bytes && memcmp(unpack.way, path, end) == 0 && (end == path_bytes || path[end] == '/');
    if (!shared) break;
    depth += 1;
  }
  return depth;
}

/* Makes the directory `path` (a normalized name; "" is the top) the end of the way. */
static int go_to(const char *path, size_t path_bytes, mode_t last_mode) {
  size_t shared = shared_depth(path, path_bytes);
  while (unpack.depth > shared) leave_level();
  while (unpack.levels[unpack.depth].path_bytes < path_bytes) {
    size_t start = unpack.levels[unpack.depth].path_bytes + (unpack.depth > 0);
    size_t length = strcspn(path + start, "/");
    if (start + length > path_bytes) length = path_bytes - start;
    if (length > NAME_BYTES_MAX) fail_step("directory", ENAMETOOLONG);
    char name[NAME_BYTES_MAX + 1];
    memcpy(name, path + start, length);
    name[length] = '\0';
    bool is_last = start + length == path_bytes;
    int fd = step_into_or_make(unpack.levels[unpack.depth].fd, name, is_last ? last_mode : 0755);
    if (fd < 0) fail_step("directory", errno);
    unpack.depth += 1;
    unpack.levels[unpack.depth] = (struct level){.fd = fd, .path_bytes = (uint32_t)(start + length)};
    memcpy(unpack.way, path, start + length);
  }
  return unpack.levels[unpack.depth].fd;
}

/* The directory of the present entry and its name in there. */
static int go_to_parent(const char **name) {
  const char *slash = strrchr(unpack.entry.name, '/');
  *name = slash == NULL ? unpack.entry.name : slash + 1;
  if (strlen(*name) > NAME_BYTES_MAX) fail_step("create", ENAMETOOLONG);
  return go_to(unpack.entry.name, slash == NULL ? 0 : (size_t)(slash - unpack.entry.name), 0755);
}

/* ---- entries ---- */

static void skip_padding(uint64_t size) {
  uint8_t padding[TAR_BLOCK_BYTES];
  size_t length = (size_t)tar_padding(size);
  if (input_exactly(padding, length) != length) refuse("the archive is cut off");
  unpack.reader.total_bytes += size + length;
}

static void unpack_file(void) {
  const char *name;
  int parent = go_to_parent(&name);
  uint64_t left = unpack.entry.size;
  int fd = stage_open(parent, unpack.entry.mode);
  while (left > 0) {
    const uint8_t *bytes;
    size_t got = input_at_most(&bytes, left < SIZE_MAX ? (size_t)left : SIZE_MAX);
    if (got == 0) refuse("the archive is cut off");
    write_fully(fd, bytes, got);
    left -= got;
  }
  skip_padding(unpack.entry.size);
  struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, unpack.entry.mtime};
  struct stat status;
  if (futimens(fd, times) != 0 || fstat(fd, &status) != 0) fail_step("utimes", errno);
  stage_commit(name, false, false);
  note_made(&status, MADE_FILE);
}

static void unpack_directory(void) {
  if (unpack.entry.name_bytes == 0) return;
  int fd = go_to(unpack.entry.name, unpack.entry.name_bytes, 0700);
  struct stat status;
  if (fstat(fd, &status) != 0) fail_step("stat", errno);
  /* A directory that was there before keeps what it has. */
  if (!was_made(&status, MADE_DIRECTORY)) return;
  struct level *level = &unpack.levels[unpack.depth];
  level->has_entry = true;
  level->mode = unpack.entry.mode;
  level->mtime = unpack.entry.mtime;
}

/* What a link is put in the place of: anything but a directory. */
static void make_room(int parent, const char *name) {
  if (unlinkat(parent, name, 0) != 0 && errno != ENOENT) fail_step("unlink", errno);
}

static void unpack_symlink(void) {
  const char *name;
  int parent = go_to_parent(&name);
  if (symlinkat(unpack.entry.link, parent, name) != 0) {
    if (errno != EEXIST) fail_step("symlink", errno);
    make_room(parent, name);
    if (symlinkat(unpack.entry.link, parent, name) != 0) fail_step("symlink", errno);
  }
  struct stat status;
  struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, unpack.entry.mtime};
  if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) != 0) fail_step("stat", errno);
  note_made(&status, MADE_LINK);
  /* Not every file system keeps times of links. */
  utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW);
}

/* The directory of a hard link's target, by a way of its own. The caller closes it. */
static int open_target_parent(char *target, const char **name) {
  int fd = openat(unpack.levels[0].fd, ".", HOLD_DIRECTORY);
  for (char *slash; fd >= 0 && (slash = strchr(target, '/')) != NULL; target = slash + 1) {
    *slash = '\0';
    int below = step_into(fd, target);
    int error_number = errno;
    close(fd);
    errno = error_number;
    fd = below;
  }
  *name = target;
  return fd;
}

static void unpack_hard_link(void) {
  const char *name, *target_name;
  int parent = go_to_parent(&name);
  int target_parent = open_target_parent(unpack.entry.link, &target_name);
  struct stat target, present;
  bool is_there = target_parent >= 0 && fstatat(target_parent, target_name, &target, AT_SYMLINK_NOFOLLOW) == 0;
  if (!is_there || !(was_made(&target, MADE_FILE) || was_made(&target, MADE_LINK)))
    refuse("a hard link to something that is not of the archive");
  if (linkat(target_parent, target_name, parent, name, 0) != 0) {
    if (errno != EEXIST) fail_step("link", errno);
    bool is_same = fstatat(parent, name, &present, AT_SYMLINK_NOFOLLOW) == 0 && present.st_ino == target.st_ino &&
                   present.st_dev == target.st_dev;
    if (!is_same) {
      make_room(parent, name);
      if (linkat(target_parent, target_name, parent, name, 0) != 0) fail_step("link", errno);
    }
  }
  close(target_parent);
}

static void unpack_entry(void) {
  switch (unpack.entry.type) {
    case TAR_FILE: unpack_file(); break;
    case TAR_DIRECTORY: unpack_directory(); break;
    case TAR_SYMLINK: unpack_symlink(); break;
    case TAR_HARD_LINK: unpack_hard_link(); break;
    default: refuse("neither a file, a directory nor a link");
  }
}

static int open_top(const struct file_request *request) {
  struct place place;
  find_place(request->path, PLACE_FOLLOWS | (request->parents ? PLACE_MAKES_PARENTS : 0), &place);
  int fd = request->parents ? open_or_make_directory(place.directory_fd, place.name, NULL)
                            : openat(place.directory_fd, place.name, HOLD_DIRECTORY | O_NOFOLLOW);
  if (fd < 0) fail_step("open", errno == ELOOP ? ENOTDIR : errno);
  require_inside_root(fd);
  return fd;
}

void unpack_tar(const struct file_request *request) {
  unpack.levels[0].fd = open_top(request);
  unpack.reader.source = input_exactly;
  stage_start();
  file_ack_empty();
  enum tar_result result;
  while ((result = tar_next(&unpack.reader, &unpack.entry)) == TAR_ENTRY) unpack_entry();
  if (result == TAR_INVALID) refuse(unpack.reader.problem);
  while (unpack.depth > 0) leave_level();
  /* Archives are padded to the length of a tape's record. */
  const uint8_t *rest;
  for (size_t got; (got = input_some(&rest)) > 0;) unpack.reader.total_bytes += got;
  struct msgpack_writer map = file_map();
  msgpack_write_map(&map, 2);
  msgpack_write_str(&map, "entries");
  msgpack_write_uint(&map, unpack.reader.entries);
  write_bytes_entry(&map, unpack.reader.total_bytes);
  file_end(&map);
}
