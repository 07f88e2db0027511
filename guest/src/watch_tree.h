/*
 * The directories of a watch: for each, the kernel's number of it, and its name in the one above. The first is the watched
 * one itself.
 */
#ifndef WARMPOOL_WATCH_TREE_H
#define WARMPOOL_WATCH_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "file_place.h"

#define WATCHED_DIRECTORIES_MAX 8192u
#define NOT_WATCHED UINT32_MAX

/* Forgets everything; `inotify_fd` is a new one. */
void watch_tree_start(int inotify_fd);
/* Watches what `fd` holds (O_PATH is enough). NOT_WATCHED when it may not be watched; fails for itself at a limit. */
uint32_t watch_tree_add(uint32_t parent, const char *name, int fd, uint32_t mask);
uint32_t watch_tree_find(int watch);
uint32_t watch_tree_child(uint32_t parent, const char *name);
/* The directory and all below it, at the kernel too. */
void watch_tree_remove(uint32_t index);
/* The kernel has forgotten this one by itself. */
void watch_tree_forget(uint32_t index);

/* The path from the watched directory to `name` in this one; 0 for one that is too long. `name` may be "". */
size_t watch_tree_path(uint32_t index, const char *name, char path[FILE_PATH_BYTES_MAX + 1]);
/* Opens a directory by its names from the top, following no link; -1 with errno. */
int watch_tree_open(int top_fd, uint32_t index);

#endif
