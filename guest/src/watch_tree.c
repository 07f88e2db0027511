#define _GNU_SOURCE
#include "watch_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "file_answer.h"

/* Deeper directories are only reached by paths that are too long to be told. */
#define DEPTH_MAX 2048u

struct watched {
  uint32_t parent;
  char name[NAME_BYTES_MAX + 1];
};

static struct {
  int inotify_fd;
  uint32_t count; /* Places from this one on were never used. */
  /* Apart from the rest, because every event searches them. -1: free. */
  int watches[WATCHED_DIRECTORIES_MAX];
  struct watched directories[WATCHED_DIRECTORIES_MAX];
} tree;

void watch_tree_start(int inotify_fd) {
  tree.inotify_fd = inotify_fd;
  tree.count = 0;
}

uint32_t watch_tree_find(int watch) {
  for (uint32_t i = 0; i < tree.count; i += 1)
    if (tree.watches[i] == watch) return i;
  return NOT_WATCHED;
}

static uint32_t free_place(void) {
  if (tree.count < WATCHED_DIRECTORIES_MAX) return tree.count++;
  uint32_t place = watch_tree_find(-1);
  if (place == NOT_WATCHED) fail("limit_exceeded", "more than 8192 directories");
  return place;
}

uint32_t watch_tree_add(uint32_t parent, const char *name, int fd, uint32_t mask) {
  char link[DESCRIPTOR_LINK_BYTES];
  descriptor_link(fd, link);
  int watch = inotify_add_watch(tree.inotify_fd, link, mask);
  if (watch < 0) {
    if (errno == ENOSPC) fail("limit_exceeded", "no more watches for this user");
    if (errno == EACCES || errno == ENOENT) return NOT_WATCHED;
    fail_step("watch", errno);
  }
  /* The kernel knows it already when it was moved here, or is mounted twice: then only its name is new. */
  uint32_t index = watch_tree_find(watch);
  if (index == NOT_WATCHED) index = free_place();
  tree.watches[index] = watch;
  tree.directories[index].parent = parent;
  tree.directories[index].name[0] = '\0';
  strncat(tree.directories[index].name, name, NAME_BYTES_MAX);
  return index;
}

uint32_t watch_tree_child(uint32_t parent, const char *name) {
  for (uint32_t i = 1; i < tree.count; i += 1) {
    const struct watched *directory = &tree.directories[i];
    if (tree.watches[i] >= 0 && directory->parent == parent && strcmp(directory->name, name) == 0) return i;
  }
  return NOT_WATCHED;
}

void watch_tree_forget(uint32_t index) { tree.watches[index] = -1; }

static bool is_below(uint32_t index, uint32_t ancestor) {
  for (unsigned steps = 0; steps < DEPTH_MAX && index != 0 && index != NOT_WATCHED; steps += 1) {
    if (index == ancestor) return true;
    index = tree.directories[index].parent;
  }
  return false;
}

void watch_tree_remove(uint32_t index) {
  /* A place keeps its parent after it was given back, so the order does not matter. */
  for (uint32_t i = 1; i < tree.count; i += 1) {
    if (tree.watches[i] < 0 || !is_below(i, index)) continue;
    inotify_rm_watch(tree.inotify_fd, tree.watches[i]);
    watch_tree_forget(i);
  }
}

size_t watch_tree_path(uint32_t index, const char *name, char path[FILE_PATH_BYTES_MAX + 1]) {
  /* From the end towards the front. */
  size_t at = FILE_PATH_BYTES_MAX;
  size_t length = strlen(name);
  if (length > at) return 0;
  memcpy(path + (at -= length), name, length);
  for (unsigned steps = 0; index != 0; index = tree.directories[index].parent, steps += 1) {
    const char *part = tree.directories[index].name;
    size_t part_bytes = strlen(part);
    if (index == NOT_WATCHED || steps == DEPTH_MAX || part_bytes + 1 > at) return 0;
    if (at < FILE_PATH_BYTES_MAX) path[--at] = '/';
    memcpy(path + (at -= part_bytes), part, part_bytes);
  }
  length = FILE_PATH_BYTES_MAX - at;
  memmove(path, path + at, length);
  path[length] = '\0';
  return length;
}

int watch_tree_open(int top_fd, uint32_t index) {
  static uint32_t way[DEPTH_MAX];
  unsigned depth = 0;
  for (; index != 0 && index != NOT_WATCHED && depth < DEPTH_MAX; index = tree.directories[index].parent) way[depth++] = index;
  int fd = openat(top_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  while (fd >= 0 && depth > 0) {
    int below = openat(fd, tree.directories[way[--depth]].name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int error_number = errno;
    close(fd);
    errno = error_number;
    fd = below;
  }
  return fd;
}
