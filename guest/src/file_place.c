#define _GNU_SOURCE
#include "file_place.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "decimal.h"
#include "file_answer.h"

/* As many as the kernel follows. */
#define LINKS_MAX 40
#define UPWARD_STEPS_MAX 4096

#define HOLD_DIRECTORY (O_PATH | O_DIRECTORY | O_CLOEXEC)

static int root_fd = -1;
static struct stat root_status;

static bool same_file(const struct stat *a, const struct stat *b) {
  return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

void places_start(const struct file_request *request) {
  root_fd = -1;
  if (request->root == NULL) return;
  root_fd = open(request->root, HOLD_DIRECTORY);
  if (root_fd < 0 || fstat(root_fd, &root_status) != 0) fail_step("root", errno);
}

bool places_confined(void) { return root_fd >= 0; }

/* ---- root ---- */

bool is_inside_root(int directory_fd) {
  if (root_fd < 0) return true;
  int at = fcntl(directory_fd, F_DUPFD_CLOEXEC, 4);
  struct stat here;
  bool inside = false;
  for (int step = 0; step < UPWARD_STEPS_MAX && at >= 0 && fstat(at, &here) == 0; step += 1) {
    inside = same_file(&here, &root_status);
    if (inside) break;
    int above = openat(at, "..", HOLD_DIRECTORY);
    struct stat upper;
    bool at_top = above < 0 || fstat(above, &upper) != 0 || same_file(&here, &upper);
    close(at);
    at = above;
    if (at_top) break;
  }
  if (at >= 0) close(at);
  return inside;
}

void require_inside_root(int directory_fd) {
  if (!is_inside_root(directory_fd)) fail("outside_root", "the path leads out of root");
}

static bool is_root_itself(const struct stat *status) { return root_fd >= 0 && same_file(status, &root_status); }

/* ---- finding ---- */

/* What fs.protected_symlinks does for the kernel's own lookups: in a directory like /tmp, where anybody may leave a link,
 * only those of the directory's owner and one's own are followed. */
static void require_trusted_link(int directory_fd, const struct stat *link) {
  struct stat directory;
  if (fstat(directory_fd, &directory) != 0) fail_step("stat", errno);
  bool anybodys = (directory.st_mode & S_ISVTX) != 0 && (directory.st_mode & S_IWOTH) != 0;
  if (anybodys && link->st_uid != geteuid() && link->st_uid != directory.st_uid)
    fail("permission_denied", "a symbolic link of somebody else in a directory that anybody may write to");
}

int open_or_make_directory(int directory_fd, const char *name, bool *made) {
  if (made != NULL) *made = false;
  int fd = openat(directory_fd, name, HOLD_DIRECTORY);
  if (fd >= 0 || errno != ENOENT) return fd;
  require_inside_root(directory_fd);
  if (mkdirat(directory_fd, name, 0755) == 0) {
    if (made != NULL) *made = true;
  } else if (errno != EEXIST) {
    return -1;
  }
  /* What was just made is not followed: somebody may have put a link in its place. */
  return openat(directory_fd, name, HOLD_DIRECTORY | O_NOFOLLOW);
}

/* Part by part, making what is missing. */
static int make_directories(int base_fd, char *text) {
  int at = openat(base_fd, *text == '/' ? "/" : ".", HOLD_DIRECTORY);
  while (at >= 0 && *(text += strspn(text, "/")) != '\0') {
    size_t length = strcspn(text, "/");
    char ending = text[length];
    text[length] = '\0';
    int next = open_or_make_directory(at, text, NULL);
    int error_number = errno;
    text[length] = ending;
    text += length;
    close(at);
    at = next;
    errno = error_number;
  }
  return at;
}

static int open_parents(int base_fd, char *text, bool makes) {
  int fd = openat(base_fd, text, HOLD_DIRECTORY);
  if (fd < 0 && errno == ENOENT && makes) fd = make_directories(base_fd, text);
  return fd;
}

static bool is_dots(const char *name) { return strcmp(name, ".") == 0 || strcmp(name, "..") == 0; }

/* Opens the directory of `text` and takes its last part as the name. Changes the text. */
static void split_place(int base_fd, char *text, unsigned use, struct place *place) {
  size_t length = strlen(text);
  while (length > 1 && text[length - 1] == '/') {
    text[--length] = '\0';
    place->must_be_directory = true;
  }
  char *slash = strrchr(text, '/');
  char *name = slash == NULL ? text : slash + 1;
  bool makes = (use & PLACE_MAKES_PARENTS) != 0;
  if (*name == '\0' || is_dots(name)) {
    place->must_be_directory = true;
    place->directory_fd = open_parents(base_fd, text, makes);
    strcpy(place->name, ".");
  } else {
    size_t name_bytes = strlen(name);
    if (name_bytes > NAME_BYTES_MAX) fail_step("path", ENAMETOOLONG);
    memcpy(place->name, name, name_bytes + 1);
    char here[] = ".", top[] = "/";
    if (slash != NULL) *slash = '\0';
    place->directory_fd = open_parents(base_fd, slash == NULL ? here : slash == text ? top : text, makes);
  }
  if (place->directory_fd < 0) fail_step("path", errno);
}

/* With `root` the directory must be inside, or the place must be `root` itself, which is then named "." in itself. */
static void confine(struct place *place) {
  if (root_fd < 0 || is_inside_root(place->directory_fd)) return;
  struct stat status;
  int fd = openat(place->directory_fd, place->name, HOLD_DIRECTORY | O_NOFOLLOW);
  if (fd < 0 || fstat(fd, &status) != 0 || !is_root_itself(&status)) fail("outside_root", "the path leads out of root");
  close(place->directory_fd);
  place->directory_fd = fd;
  strcpy(place->name, ".");
}

void find_place(const char *path, unsigned use, struct place *place) {
  char text[FILE_PATH_BYTES_MAX + 1];
  strcpy(text, path);
  int base_fd = AT_FDCWD;
  place->must_be_directory = false;
  for (int links = 0;; links += 1) {
    split_place(base_fd, text, use, place);
    if (base_fd != AT_FDCWD) close(base_fd);
    struct stat status;
    bool is_link = strcmp(place->name, ".") != 0 && (use & PLACE_FOLLOWS) != 0 &&
                   fstatat(place->directory_fd, place->name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(status.st_mode);
    if (!is_link) break;
    if (links == LINKS_MAX) fail_step("path", ELOOP);
    require_trusted_link(place->directory_fd, &status);
    ssize_t length = readlinkat(place->directory_fd, place->name, text, sizeof text);
    /* It is no link any more; what follows acts on whatever is there, without following it. */
    if (length < 0 && (errno == EINVAL || errno == ENOENT)) break;
    if (length < 0) fail_step("readlink", errno);
    if (length == 0) fail_step("readlink", ENOENT);
    if ((size_t)length == sizeof text) fail_step("readlink", ENAMETOOLONG);
    text[length] = '\0';
    base_fd = place->directory_fd;
  }
  confine(place);
}

void require_entry(const struct place *place) {
  require_inside_root(place->directory_fd);
  if (strcmp(place->name, ".") != 0) return;
  struct stat status;
  if (fstat(place->directory_fd, &status) == 0 && is_root_itself(&status)) fail("outside_root", "root itself stays");
  fail("name_invalid", "the path does not end in a name");
}

/* ---- opening ---- */

int open_place_path(const struct place *place, struct stat *status) {
  int fd = openat(place->directory_fd, place->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return -1;
  if (fstat(fd, status) != 0) {
    int error_number = errno;
    close(fd);
    errno = error_number;
    return -1;
  }
  if (place->must_be_directory && !S_ISDIR(status->st_mode)) {
    close(fd);
    errno = ENOTDIR;
    return -1;
  }
  return fd;
}

static void require_regular(const struct stat *status) {
  if (S_ISDIR(status->st_mode)) fail_step("open", EISDIR);
  if (!S_ISREG(status->st_mode)) fail("not_regular", "open: a FIFO, socket, device or link");
}

int open_regular(const struct place *place, int flags, struct stat *status) {
  int held = open_place_path(place, status);
  if (held >= 0) {
    require_regular(status);
    close(held);
  } else if ((flags & O_CREAT) == 0 || errno != ENOENT) {
    fail_step("open", errno);
  }
  int safely = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  int fd = openat(place->directory_fd, place->name, flags | safely, 0644);
  if (fd < 0 || fstat(fd, status) != 0) fail_step("open", errno);
  require_regular(status);
  return fd;
}

int open_directory(const struct place *place, struct stat *status) {
  int fd = openat(place->directory_fd, place->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0 || fstat(fd, status) != 0) fail_step("open", errno == ELOOP ? ENOTDIR : errno);
  return fd;
}

void descriptor_link(int fd, char text[DESCRIPTOR_LINK_BYTES]) {
  static const char FOLDER[] = "/proc/self/fd/";
  memcpy(text, FOLDER, sizeof FOLDER - 1);
  put_decimal(text + sizeof FOLDER - 1, (unsigned)fd);
}

const char *last_part(const char *path, size_t *length) {
  size_t end = strlen(path);
  while (end > 1 && path[end - 1] == '/') end -= 1;
  size_t start = end;
  while (start > 0 && path[start - 1] != '/') start -= 1;
  if (start == end) start = 0;
  *length = end - start;
  return path + start;
}
