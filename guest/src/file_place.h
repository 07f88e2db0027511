/*
 * Where a path leads: the directory that holds its last part, held open, and that part's name.
 *
 * Everything that follows acts on the descriptor and the name with the *at() calls, so nothing is looked up a second time.
 * The kernel resolves the directories of the path; only a symbolic link as the last part is followed here, one at a time,
 * because what is created, replaced or opened must be the link's target in a directory that has been checked. With `root`
 * every directory that is acted in is checked after it was opened: it is `root`, or going up from it by ".." meets `root`.
 * That needs no /proc and no names, and a link or a directory that is swapped meanwhile changes nothing about what is held.
 * (openat2's RESOLVE_BENEATH refuses absolute links that stay inside, RESOLVE_IN_ROOT changes what they mean.)
 */
#ifndef WARMPOOL_FILE_PLACE_H
#define WARMPOOL_FILE_PLACE_H

#include <stdbool.h>
#include <sys/stat.h>

#include "file_request.h"

#define NAME_BYTES_MAX 255u

struct place {
  int directory_fd;               /* O_PATH */
  char name[NAME_BYTES_MAX + 1];  /* "." when the path ends in "/", "." or "..", or is `root`: then it is the directory. */
  bool must_be_directory;         /* The path had a slash at its end. */
};

/* Opens `root` of the request; before any place is found. */
void places_start(const struct file_request *request);
bool places_confined(void);

enum place_use {
  PLACE_FOLLOWS = 1,      /* A symbolic link as the last part is followed. */
  PLACE_MAKES_PARENTS = 2 /* Directories that are missing before the last part are made. */
};

/* Fails for itself. The last part need not exist. */
void find_place(const char *path, unsigned use, struct place *place);
/* For what makes, renames or removes an entry: the directory must be in `root`, and the name a real one. */
void require_entry(const struct place *place);

/* O_PATH of what is there, never a link that was followed; -1 with errno. */
int open_place_path(const struct place *place, struct stat *status);
/* A regular file, opened for `flags` without waiting and without becoming anything's terminal; its directory and kind were
 * looked at before, so that opening a FIFO or a device by mistake does not wake its other end. */
int open_regular(const struct place *place, int flags, struct stat *status);
/* A directory, for reading. */
int open_directory(const struct place *place, struct stat *status);

/* The directory of this name below `directory_fd`, made when it is missing. `made` may be NULL. O_PATH; fails for itself. */
int open_or_make_directory(int directory_fd, const char *name, bool *made);
/* False when the directory is outside of `root`. */
bool is_inside_root(int directory_fd);
void require_inside_root(int directory_fd);

/* The name that /proc gives a descriptor of this process: for calls that take no descriptor. */
#define DESCRIPTOR_LINK_BYTES 32
void descriptor_link(int fd, char text[DESCRIPTOR_LINK_BYTES]);

/* Last part of a path as it was written, for `name` of an entry: without slashes, "/" for the top. */
const char *last_part(const char *path, size_t *length);

#endif
