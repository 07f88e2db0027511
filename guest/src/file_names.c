#define _GNU_SOURCE
#include "file_names.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "file_answer.h"

/* Of the first levels, and of the deep ones, of which there may be two thousand at once. */
#define WINDOW_BYTES 2097152u
#define DEEP_WINDOW_BYTES 32768u
#define DEEP_LEVEL 8u
/* Holds four of the longest names, so that half of a full window always has room for one more. Linux ends names at 255 bytes;
 * a file system of a user's own program may not. */
#define WINDOW_BYTES_MIN 16384u
#define LONGEST_NAME_BYTES 4096u

/* One buffer for every pass: only one is under way between two calls, except of removals, which start anew. */
static _Alignas(8) uint8_t entries[32768];

/* ---- one pass ---- */

/* The layout of getdents64. */
#define ENTRY_LENGTH_AT 16
#define ENTRY_NAME_AT 19

struct directory_pass directory_pass(int fd) { return (struct directory_pass){.fd = fd}; }

const char *pass_next(struct directory_pass *pass) {
  for (;;) {
    if (pass->head >= pass->tail) {
      long got = syscall(__NR_getdents64, pass->fd, entries, sizeof entries);
      /* ENOENT: the directory was removed after it had been opened, so it is empty. */
      if (got < 0 && errno != ENOENT) fail_step("readdir", errno);
      if (got <= 0) return NULL;
      pass->head = 0;
      pass->tail = (size_t)got;
    }
    const uint8_t *entry = entries + pass->head;
    uint16_t length;
    memcpy(&length, entry + ENTRY_LENGTH_AT, sizeof length);
    pass->head += length;
    const char *name = (const char *)entry + ENTRY_NAME_AT;
    if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) return name;
  }
}

/* ---- windows ---- */

static size_t mapping_bytes(const struct name_window *window) {
  return 2 * ((size_t)window->room_bytes + window->room_count * sizeof(uint32_t));
}

void names_open(struct name_window *window, unsigned level, uint32_t wanted) {
  uint32_t room = level < DEEP_LEVEL ? WINDOW_BYTES : DEEP_WINDOW_BYTES;
  /* Room for twice the wanted names, so that what is let go at a time is as much as what is kept. */
  uint64_t enough = (uint64_t)wanted * 2 * 32;
  if (enough < room) room = enough < WINDOW_BYTES_MIN ? WINDOW_BYTES_MIN : (uint32_t)enough & ~4095u;
  *window = (struct name_window){.room_bytes = room, .room_count = room / 16};
  uint8_t *memory = mmap(NULL, mapping_bytes(window), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) fail_step("memory", errno);
  window->order = (uint32_t *)memory;
  window->spare_order = window->order + window->room_count;
  window->bytes = (char *)(window->spare_order + window->room_count);
  window->spare_bytes = window->bytes + room;
}

void names_close(struct name_window *window) {
  uint32_t *lower = window->order < window->spare_order ? window->order : window->spare_order;
  munmap(lower, mapping_bytes(window));
}

static void swap_orders(struct name_window *window) {
  uint32_t *order = window->order;
  window->order = window->spare_order;
  window->spare_order = order;
}

/* Merges two sorted runs that lie side by side in `order` into the same place of `spare_order`. */
static void merge(struct name_window *window, uint32_t start, uint32_t middle, uint32_t end) {
  const uint32_t *from = window->order;
  const char *bytes = window->bytes;
  uint32_t left = start, right = middle;
  for (uint32_t to = start; to < end; to += 1) {
    bool takes_left = right >= end || (left < middle && strcmp(bytes + from[left], bytes + from[right]) <= 0);
    window->spare_order[to] = takes_left ? from[left++] : from[right++];
  }
}

static uint32_t lesser(uint32_t a, uint32_t b) { return a < b ? a : b; }

static void sort(struct name_window *window) {
  uint32_t count = window->count;
  for (uint32_t width = 1; width < count; width *= 2) {
    for (uint32_t start = 0; start < count; start += 2 * width)
      merge(window, start, lesser(start + width, count), lesser(start + 2 * width, count));
    swap_orders(window);
  }
}

/* Keeps the lesser half, packed. */
static void let_go(struct name_window *window) {
  sort(window);
  window->cut = true;
  window->count = window->count > 1 ? window->count / 2 : window->count;
  uint32_t used = 0;
  for (uint32_t i = 0; i < window->count; i += 1) {
    const char *name = window->bytes + window->order[i];
    size_t length = strlen(name) + 1;
    memcpy(window->spare_bytes + used, name, length);
    window->order[i] = used;
    used += (uint32_t)length;
  }
  char *bytes = window->bytes;
  window->bytes = window->spare_bytes;
  window->spare_bytes = bytes;
  window->used_bytes = used;
}

void names_fill(struct name_window *window, int directory_fd, const char *after) {
  char from[4096] = "";
  if (after != NULL) strncat(from, after, sizeof from - 1);
  window->cut = false;
  window->count = window->next = window->used_bytes = 0;
  if (lseek(directory_fd, 0, SEEK_SET) < 0) fail_step("readdir", errno);
  struct directory_pass pass = directory_pass(directory_fd);
  /* Of a cut window: no name from this one on is kept any more. */
  const char *limit = NULL;
  for (const char *name; (name = pass_next(&pass)) != NULL;) {
    size_t length = strlen(name) + 1;
    if (length > LONGEST_NAME_BYTES) fail_step("readdir", ENAMETOOLONG);
    if (after != NULL && strcmp(name, from) <= 0) continue;
    if (limit != NULL && strcmp(name, limit) > 0) continue;
    if (window->count == window->room_count || length > window->room_bytes - window->used_bytes) {
      let_go(window);
      limit = window->bytes + window->order[window->count - 1];
      if (strcmp(name, limit) > 0) continue;
    }
    window->order[window->count++] = window->used_bytes;
    memcpy(window->bytes + window->used_bytes, name, length);
    window->used_bytes += (uint32_t)length;
  }
  sort(window);
}

const char *names_next(struct name_window *window, int directory_fd) {
  if (window->next == window->count && window->cut)
    names_fill(window, directory_fd, window->bytes + window->order[window->count - 1]);
  if (window->next == window->count) return NULL;
  return window->bytes + window->order[window->next++];
}
