/*
 * FileWatch: inotify on a directory, and on all below it when that is asked for, until the worker is ended.
 *
 * A directory is watched before it is looked into, so nothing falls in between; what is found in one that appeared is told as
 * created, and the kernel's own event for the same file, when one comes, is left out. Writing is told when the file is
 * closed, or after MODIFIED_PAUSE_MS. When the kernel's queue or this table of names overflows, that is told, and
 * the watch begins anew without telling what it finds.
 *
 * That the watched file itself is gone is learned from the directory above it where that may be watched, because the descriptor
 * held on it keeps the kernel from saying so.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "file_answer.h"
#include "file_entry.h"
#include "file_names.h"
#include "file_output.h"
#include "file_place.h"
#include "file_requests.h"
#include "file_stage.h"
#include "watch_tree.h"

/* Fixed by protocol/README.md, section 6.3. */
#define MODIFIED_PAUSE_MS 100u
/* Files that are being written at the same time and not told of yet; one more makes the oldest be told early. */
#define WRITTEN_FILES_MAX 64u
/* Files told as found whose own event may still come; one more makes an old one be told twice. */
#define FOUND_FILES_MAX 4096u

#define WATCHED_EVENTS                                                                                          \
  (IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVE_SELF | \
   IN_EXCL_UNLINK)
#define RECORD_BYTES_MAX (FILE_PATH_BYTES_MAX + 64u)

struct written_file {
  uint64_t due_ms; /* 0: the place is free. */
  int watch;
  char name[NAME_BYTES_MAX + 1];
};

static struct {
  bool recursive;
  bool is_directory;
  int inotify_fd;
  int top_fd;
  int above_watch; /* On the directory above; -1: none. */
  struct place place;
  struct written_file written[WRITTEN_FILES_MAX];
  uint64_t found[FOUND_FILES_MAX];
  size_t found_count, found_next;
} state;

static uint64_t now_in_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- telling ---- */

static void tell_overflow(void) {
  struct msgpack_writer map = msgpack_writer(output_record_begin(RECORD_BYTES_MAX), RECORD_BYTES_MAX);
  msgpack_write_map(&map, 1);
  msgpack_write_str(&map, "overflow");
  msgpack_write_bool(&map, true);
  output_record_end(msgpack_written(&map));
}

/* `kind` may be NULL. */
static void tell(uint32_t directory, const char *name, const char *event, const char *kind) {
  char path[FILE_PATH_BYTES_MAX + 1];
  size_t length = watch_tree_path(directory, name, path);
  if (length == 0 && (directory != 0 || *name != '\0')) {
    tell_overflow();
    return;
  }
  struct msgpack_writer map = msgpack_writer(output_record_begin(RECORD_BYTES_MAX), RECORD_BYTES_MAX);
  msgpack_write_map(&map, kind == NULL ? 2 : 3);
  msgpack_write_str(&map, "path");
  write_name(&map, path, length);
  msgpack_write_str(&map, "event");
  msgpack_write_str(&map, event);
  if (kind != NULL) {
    msgpack_write_str(&map, "kind");
    msgpack_write_str(&map, kind);
  }
  output_record_end(msgpack_written(&map));
}

static _Noreturn void end_watch(void) {
  tell(0, "", "deleted", state.is_directory ? "directory" : "file");
  output_flush();
  fail("not_found", "what was watched is gone");
}

/* ---- files that are being written ---- */

static void tell_written(struct written_file *file) {
  uint32_t directory = watch_tree_find(file->watch);
  if (directory != NOT_WATCHED) tell(directory, file->name, "modified", NULL);
  file->due_ms = 0;
}

static struct written_file *find_written(int watch, const char *name) {
  for (size_t i = 0; i < WRITTEN_FILES_MAX; i += 1) {
    struct written_file *file = &state.written[i];
    if (file->due_ms != 0 && file->watch == watch && strcmp(file->name, name) == 0) return file;
  }
  return NULL;
}

static void note_written(int watch, const char *name) {
  if (find_written(watch, name) != NULL) return;
  struct written_file *place = &state.written[0];
  for (size_t i = 1; i < WRITTEN_FILES_MAX && place->due_ms != 0; i += 1)
    if (state.written[i].due_ms < place->due_ms) place = &state.written[i];
  if (place->due_ms != 0) tell_written(place);
  place->due_ms = now_in_ms() + MODIFIED_PAUSE_MS;
  place->watch = watch;
  place->name[0] = '\0';
  strncat(place->name, name, NAME_BYTES_MAX);
}

static void drop_written(int watch, const char *name) {
  struct written_file *file = find_written(watch, name);
  if (file != NULL) file->due_ms = 0;
}

/* Tells what is due; milliseconds until the next is, -1 for none. */
static int tell_due(void) {
  uint64_t now_ms = now_in_ms(), next_ms = UINT64_MAX;
  for (size_t i = 0; i < WRITTEN_FILES_MAX; i += 1) {
    struct written_file *file = &state.written[i];
    if (file->due_ms != 0 && file->due_ms <= now_ms) tell_written(file);
    else if (file->due_ms != 0 && file->due_ms < next_ms) next_ms = file->due_ms;
  }
  return next_ms == UINT64_MAX ? -1 : (int)(next_ms - now_ms);
}

/* ---- files that were found ---- */

static uint64_t found_key(uint32_t directory, const char *name) {
  /* The number and the name must not cancel each other out: (directory, "b") and the next one's "c" are different. */
  uint64_t hash = (14695981039346656037ull ^ directory) * 0x9e3779b97f4a7c15ull;
  for (; *name != '\0'; name += 1) hash = (hash ^ (uint8_t)*name) * 1099511628211ull;
  return hash | 1;
}

static void note_found(uint32_t directory, const char *name) {
  if (state.found[state.found_next] == 0) state.found_count += 1;
  state.found[state.found_next] = found_key(directory, name);
  state.found_next = (state.found_next + 1) % FOUND_FILES_MAX;
}

/* True when it had been found; from now on it counts as new again. */
static bool forget_found(uint32_t directory, const char *name) {
  uint64_t key = found_key(directory, name);
  for (size_t i = 0; state.found_count > 0 && i < FOUND_FILES_MAX; i += 1) {
    if (state.found[i] != key) continue;
    state.found[i] = 0;
    state.found_count -= 1;
    return true;
  }
  return false;
}

/* ---- directories ---- */

static void watch_below(uint32_t parent, const char *name, int parent_fd, unsigned level, bool tells);

/* Looks into a directory that is watched by now. */
static void look_into(uint32_t index, int fd, unsigned level, bool tells) {
  struct name_window window;
  names_open(&window, level, UINT32_MAX);
  names_fill(&window, fd, NULL);
  for (const char *name; (name = names_next(&window, fd)) != NULL;) {
    struct stat status;
    if (is_stage_name(name) || fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (tells) {
      tell(index, name, "created", kind_of(status.st_mode));
      note_found(index, name);
    }
    if (S_ISDIR(status.st_mode)) watch_below(index, name, fd, level + 1, tells);
  }
  names_close(&window);
}

/* Watches a directory and all below it. One that is gone or may not be read is passed over. */
static void watch_below(uint32_t parent, const char *name, int parent_fd, unsigned level, bool tells) {
  int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0 && (errno == EMFILE || errno == ENFILE)) fail_step("open", errno);
  if (fd < 0) return;
  uint32_t index = watch_tree_add(parent, name, fd, WATCHED_EVENTS | IN_ONLYDIR);
  if (index != NOT_WATCHED) look_into(index, fd, level, tells);
  close(fd);
}

static void watch_above(void) {
  char link[DESCRIPTOR_LINK_BYTES];
  descriptor_link(state.place.directory_fd, link);
  bool has_above = strcmp(state.place.name, ".") != 0;
  state.above_watch = has_above ? inotify_add_watch(state.inotify_fd, link, IN_DELETE | IN_MOVED_FROM | IN_ONLYDIR) : -1;
}

static void begin(void) {
  state.inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (state.inotify_fd < 0) {
    if (errno == EMFILE) fail("limit_exceeded", "no more watches for this user");
    fail_step("watch", errno);
  }
  watch_tree_start(state.inotify_fd);
  if (watch_tree_add(NOT_WATCHED, "", state.top_fd, WATCHED_EVENTS) == NOT_WATCHED) fail_step("watch", errno);
  watch_above();
  if (!state.recursive || !state.is_directory) return;
  int fd = openat(state.top_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail_step("open", errno);
  look_into(0, fd, 0, false);
  close(fd);
}

static void begin_anew(void) {
  tell_overflow();
  close(state.inotify_fd);
  memset(state.written, 0, sizeof state.written);
  memset(state.found, 0, sizeof state.found);
  state.found_count = 0;
  begin();
}

/* ---- events ---- */

static void appeared(uint32_t directory, const char *name, bool is_directory) {
  int fd = watch_tree_open(state.top_fd, directory);
  struct stat status;
  bool is_there = fd >= 0 && fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
  if (!forget_found(directory, name)) {
    const char *kind = is_directory ? "directory" : is_there ? kind_of(status.st_mode) : NULL;
    tell(directory, name, "created", kind);
    if (is_directory && is_there && state.recursive) watch_below(directory, name, fd, 0, true);
  }
  if (fd >= 0) close(fd);
}

static void disappeared(uint32_t directory, const char *name, bool is_directory, int watch) {
  forget_found(directory, name);
  drop_written(watch, name);
  if (is_directory) {
    uint32_t child = watch_tree_child(directory, name);
    if (child != NOT_WATCHED) watch_tree_remove(child);
  }
  tell(directory, name, "deleted", is_directory ? "directory" : NULL);
}

static bool is_unlinked(int fd) {
  struct stat status;
  return fstat(fd, &status) == 0 && status.st_nlink == 0;
}

/* A file that never had a name (O_TMPFILE) is called "#" and its number by the kernel's events. */
static bool is_nameless(uint32_t directory, const char *name) {
  if (name[0] != '#' || name[1] == '\0' || name[1 + strspn(name + 1, "0123456789")] != '\0') return false;
  int fd = watch_tree_open(state.top_fd, directory);
  struct stat status;
  bool is_there = fd >= 0 && fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
  if (fd >= 0) close(fd);
  return !is_there;
}

static void take_event(const struct inotify_event *event) {
  const char *name = event->len > 0 ? event->name : "";
  if (event->wd == state.above_watch) {
    if (strcmp(name, state.place.name) == 0) end_watch();
    return;
  }
  uint32_t directory = watch_tree_find(event->wd);
  if (directory == NOT_WATCHED || is_stage_name(name)) return;
  bool is_directory = (event->mask & IN_ISDIR) != 0;
  bool is_top = directory == 0 && *name == '\0';
  if ((event->mask & IN_IGNORED) != 0) {
    if (directory == 0) end_watch();
    watch_tree_forget(directory);
    return;
  }
  if (is_top && ((event->mask & IN_MOVE_SELF) != 0 || ((event->mask & IN_ATTRIB) != 0 && is_unlinked(state.top_fd)))) end_watch();
  /* What a directory below notices of itself, the one above has told. */
  if (*name == '\0' && !is_top) return;
  bool is_about_content = (event->mask & (IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB)) != 0;
  if (is_about_content && is_nameless(directory, name)) return;
  if ((event->mask & (IN_CREATE | IN_MOVED_TO)) != 0) appeared(directory, name, is_directory);
  if ((event->mask & (IN_DELETE | IN_MOVED_FROM)) != 0) disappeared(directory, name, is_directory, event->wd);
  if ((event->mask & IN_MODIFY) != 0) note_written(event->wd, name);
  if ((event->mask & IN_CLOSE_WRITE) != 0) {
    drop_written(event->wd, name);
    tell(directory, name, "modified", NULL);
  }
  if ((event->mask & IN_ATTRIB) != 0) tell(directory, name, "attributes", is_directory ? "directory" : NULL);
}

static void take_events(void) {
  static _Alignas(struct inotify_event) char events[65536];
  ssize_t got = read(state.inotify_fd, events, sizeof events);
  if (got < 0 && errno != EAGAIN && errno != EINTR) fail_step("watch", errno);
  for (ssize_t at = 0; at < got;) {
    const struct inotify_event *event = (const struct inotify_event *)(events + at);
    at += (ssize_t)sizeof *event + event->len;
    if ((event->mask & IN_Q_OVERFLOW) != 0) {
      begin_anew();
      return;
    }
    take_event(event);
  }
}

void watch_files(const struct file_request *request) {
  struct stat status;
  find_place(request->path, PLACE_FOLLOWS, &state.place);
  state.top_fd = open_place_path(&state.place, &status);
  if (state.top_fd < 0) fail_step("open", errno);
  state.is_directory = S_ISDIR(status.st_mode);
  if (!state.is_directory && !S_ISREG(status.st_mode)) fail("not_regular", "open: a FIFO, socket, device or link");
  state.recursive = request->recursive;
  begin();
  file_ack_empty();
  for (;;) {
    int timeout_ms = tell_due();
    output_flush();
    struct pollfd wait = {.fd = state.inotify_fd, .events = POLLIN};
    if (poll(&wait, 1, timeout_ms) > 0) take_events();
  }
}
