/*
 * The names of a directory in the order of their bytes, in bounded memory however many there are.
 *
 * One pass over the directory keeps the smallest names that fit a window; when they do not fit, the greater half is let go
 * and the window is marked as cut, so that another pass, from behind its last name, gets the next ones. A directory that fits
 * (nearly every one) costs one pass, and one of n windows costs n.
 */
#ifndef WARMPOOL_FILE_NAMES_H
#define WARMPOOL_FILE_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct name_window {
  bool cut; /* There are more names behind the last one. */
  uint32_t count;
  uint32_t next;
  /* Two halves of one mapping each: what is kept, and where it is moved when the window is full. */
  uint32_t *order, *spare_order;
  char *bytes, *spare_bytes;
  uint32_t used_bytes, room_bytes, room_count;
};

/* `level`: how many windows are open already; deep ones are small. `wanted`: no more names than this will be asked for. */
void names_open(struct name_window *window, unsigned level, uint32_t wanted);
void names_close(struct name_window *window);
/* The names behind `after`; NULL: from the first. */
void names_fill(struct name_window *window, int directory_fd, const char *after);
/* The next name, refilling when it must; NULL at the end. Valid until the next call. */
const char *names_next(struct name_window *window, int directory_fd);

/* One pass in the directory's own order: false at the end. `.` and `..` are left out. */
struct directory_pass {
  int fd;
  size_t head, tail;
};
struct directory_pass directory_pass(int fd);
const char *pass_next(struct directory_pass *pass);

#endif
