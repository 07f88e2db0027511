/*
 * FileRemove. A tree of any depth with two descriptors and no recursion: the way back up is "..", and it is only taken to the
 * very directory the way down came from. So a directory that somebody moves away while it is emptied ends the removal
 * instead of leading it elsewhere, and a link is never entered.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "file_answer.h"
#include "file_names.h"
#include "file_place.h"
#include "file_requests.h"

/* Bounds the memory of the way, which is only touched as far as the tree is deep. */
#define LEVELS_MAX 65536u

#define OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)

/* One directory on the way down: which it is, and its name in the one above. */
struct level {
  dev_t device;
  ino_t inode;
  char name[NAME_BYTES_MAX + 1];
};

static uint64_t removed;

static struct level *new_levels(void) {
  void *memory = mmap(NULL, LEVELS_MAX * sizeof(struct level), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) fail_step("memory", errno);
  return memory;
}

static void note_level(struct level *level, int fd, const char *name) {
  struct stat status;
  if (fstat(fd, &status) != 0) fail_step("stat", errno);
  level->device = status.st_dev;
  level->inode = status.st_ino;
  strcpy(level->name, name);
}

static int go_up(int fd, const struct level *to) {
  int above = openat(fd, "..", OPEN_DIRECTORY);
  struct stat status;
  if (above < 0 || fstat(above, &status) != 0) fail_step("going up", errno);
  if (status.st_dev != to->device || status.st_ino != to->inode) fail("io_error", "a directory was moved while it was removed");
  close(fd);
  return above;
}

/* Removes what is no directory; the name of the first one that is, or NULL at the end. */
static const char *remove_until_directory(int fd) {
  struct directory_pass pass = directory_pass(fd);
  if (lseek(fd, 0, SEEK_SET) < 0) fail_step("readdir", errno);
  for (const char *name; (name = pass_next(&pass)) != NULL;) {
    if (unlinkat(fd, name, 0) == 0) removed += 1;
    /* EPERM is what some file systems say of a directory; entering it tells. */
    else if (errno == EISDIR || errno == EPERM) return name;
    else if (errno != ENOENT) fail_step("unlink", errno);
  }
  return NULL;
}

static void remove_directory(int parent_fd, const char *name) {
  if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0) removed += 1;
  else if (errno != ENOENT) fail_step("rmdir", errno == EEXIST ? ENOTEMPTY : errno);
}

static int enter(int fd, const char *name) {
  int below = openat(fd, name, OPEN_DIRECTORY);
  /* It was no directory after all, so what unlink said holds; or it may not be read, and may still be empty. */
  if (below < 0 && (errno == ENOTDIR || errno == ELOOP)) fail_step("unlink", EPERM);
  return below;
}

static void empty_directory(int fd) {
  struct level *levels = new_levels();
  size_t depth = 0;
  note_level(&levels[0], fd, "");
  for (;;) {
    const char *name = remove_until_directory(fd);
    if (name == NULL && depth == 0) break;
    if (name == NULL) {
      fd = go_up(fd, &levels[depth - 1]);
      remove_directory(fd, levels[depth].name);
      depth -= 1;
      continue;
    }
    if (unlinkat(fd, name, AT_REMOVEDIR) == 0) {
      removed += 1;
      continue;
    }
    if (strlen(name) > NAME_BYTES_MAX || depth + 1 == LEVELS_MAX) fail("limit_exceeded", "the tree is too deep");
    int below = enter(fd, name);
    if (below < 0) {
      if (errno == ENOENT) continue;
      fail_step("open", errno);
    }
    depth += 1;
    note_level(&levels[depth], below, name);
    close(fd);
    fd = below;
  }
  close(fd);
}

void remove_file(const struct file_request *request) {
  struct place place;
  struct stat status;
  find_place(request->path, 0, &place);
  require_entry(&place);
  int held = open_place_path(&place, &status);
  if (held < 0) fail_step("open", errno);
  close(held);
  if (!S_ISDIR(status.st_mode)) {
    if (unlinkat(place.directory_fd, place.name, 0) != 0) fail_step("unlink", errno);
    removed = 1;
  } else {
    /* An empty one goes also when its user may not read it. */
    bool gone = unlinkat(place.directory_fd, place.name, AT_REMOVEDIR) == 0;
    if (gone) removed = 1;
    else if (!request->recursive || (errno != ENOTEMPTY && errno != EEXIST))
      fail_step("rmdir", errno == EEXIST ? ENOTEMPTY : errno);
    else {
      int fd = openat(place.directory_fd, place.name, OPEN_DIRECTORY);
      if (fd < 0) fail_step("open", errno);
      empty_directory(fd);
      remove_directory(place.directory_fd, place.name);
    }
  }
  struct msgpack_writer map = file_map();
  msgpack_write_map(&map, 1);
  msgpack_write_str(&map, "removed");
  msgpack_write_uint(&map, removed);
  file_end(&map);
}
