/*
 * TarRead: a pax archive of a directory's content or of one file.
 *
 * Names are relative and in the order of their bytes. What ustar's fields hold is in them alone; an extended header is
 * written only for what they cannot hold, so that nearly every file costs one block. Sockets, FIFOs and devices are left
 * out, and setuid and setgid bits taken off: TarWrite refuses both, and what is read here can be written there. A file that
 * shrinks while it is read is filled up with zeros, because its size has been told by then.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "file_answer.h"
#include "file_entry.h"
#include "file_names.h"
#include "file_output.h"
#include "file_place.h"
#include "file_requests.h"
#include "tar_format.h"

/* Files with several names that are remembered, to tell the second name as a link; beyond them a name is a file of its own. */
#define LINKED_FILES_MAX 65536u
#define LINKED_NAMES_BYTES 8388608u

struct linked_file {
  dev_t device;
  ino_t inode;
  uint32_t name_at; /* In `linked_names`, from 1 on; 0: the place is free. */
};

/* Two names of 4,095 bytes, and some numbers. */
#define PAX_BYTES_MAX 9216u

static struct {
  uint64_t entries;
  char path[TAR_NAME_BYTES_MAX + 2]; /* With the "/" that ends a directory's. */

  char pax[PAX_BYTES_MAX];
  size_t pax_bytes;

  struct linked_file *linked;
  char *linked_names;
  uint32_t linked_count, linked_names_bytes;
} pack;

/* ---- one header ---- */

/* Digits of `value` in `base`, most significant first; the count. */
static size_t digits_of(uint64_t value, unsigned base, char digits[24]) {
  char reversed[24];
  size_t count = 0;
  do reversed[count++] = (char)('0' + value % base);
  while ((value /= base) > 0);
  for (size_t i = 0; i < count; i += 1) digits[i] = reversed[count - 1 - i];
  return count;
}

/* False, and zeros, when the field is too narrow: its last byte is a NUL. */
static bool put_octal(char *field, size_t width, uint64_t value) {
  char digits[24];
  size_t count = digits_of(value, 8, digits);
  bool fits = count < width;
  memset(field, '0', width - 1);
  if (fits) memcpy(field + width - 1 - count, digits, count);
  return fits;
}

/* "length key=value\n", where the length counts its own digits. */
static void pax_add(const char *key, const char *value, size_t value_bytes) {
  size_t key_bytes = strlen(key), rest = key_bytes + value_bytes + 3, length = rest + 1;
  char digits[24];
  while (digits_of(length, 10, digits) + rest > length) length += 1;
  size_t digit_count = digits_of(length, 10, digits);
  if (length > sizeof pack.pax - pack.pax_bytes) fail_step("archive", ENAMETOOLONG);
  char *at = pack.pax + pack.pax_bytes;
  memcpy(at, digits, digit_count);
  at += digit_count;
  *at++ = ' ';
  memcpy(at, key, key_bytes);
  at += key_bytes;
  *at++ = '=';
  memcpy(at, value, value_bytes);
  at[value_bytes] = '\n';
  pack.pax_bytes += length;
}

static void pax_add_number(const char *key, uint64_t value) {
  char digits[24];
  pax_add(key, digits, digits_of(value, 10, digits));
}

static void put_number(char *field, size_t width, const char *key, uint64_t value) {
  if (!put_octal(field, width, value)) pax_add_number(key, value);
}

static void put_time(struct tar_header *header, time_t seconds) {
  if (seconds >= 0) {
    put_number(header->mtime, sizeof header->mtime, "mtime", (uint64_t)seconds);
    return;
  }
  char text[25] = "-";
  put_octal(header->mtime, sizeof header->mtime, 0);
  pax_add("mtime", text, 1 + digits_of(-(uint64_t)seconds, 10, text + 1));
}

static void put_name(struct tar_header *header, const char *name, size_t length) {
  if (length <= sizeof header->name) {
    memcpy(header->name, name, length);
    return;
  }
  /* The first "/" that leaves no more than the name field holds, as far as the part before it fits the prefix. */
  const char *slash = memchr(name + length - sizeof header->name - 1, '/', sizeof header->name);
  if (slash != NULL && slash > name && (size_t)(slash - name) <= sizeof header->prefix) {
    memcpy(header->prefix, name, (size_t)(slash - name));
    memcpy(header->name, slash + 1, length - (size_t)(slash - name) - 1);
    return;
  }
  if (!is_utf8((const uint8_t *)name, length)) pax_add("hdrcharset", "BINARY", 6);
  pax_add("path", name, length);
  memcpy(header->name, name + length - sizeof header->name, sizeof header->name);
}

static void put_link(struct tar_header *header, const char *link, size_t length) {
  size_t kept = length < sizeof header->link ? length : sizeof header->link;
  memcpy(header->link, link, kept);
  if (kept == length) return;
  if (pack.pax_bytes == 0 && !is_utf8((const uint8_t *)link, length)) pax_add("hdrcharset", "BINARY", 6);
  pax_add("linkpath", link, length);
}

static void put_account(char field[32], const char *name) {
  size_t length = strlen(name);
  if (length < 32) memcpy(field, name, length);
}

static void write_header(struct tar_header *header, char type) {
  header->type = type;
  memcpy(header->magic, "ustar", 6);
  memcpy(header->version, "00", 2);
  put_octal(header->device_major, sizeof header->device_major, 0);
  put_octal(header->device_minor, sizeof header->device_minor, 0);
  put_octal(header->checksum, 7, tar_checksum(header));
  header->checksum[6] = '\0';
  header->checksum[7] = ' ';
  output_put(header, sizeof *header);
}

static void write_pax_header(void) {
  struct tar_header header = {.name = "PaxHeaders/entry"};
  put_octal(header.mode, sizeof header.mode, 0644);
  put_octal(header.uid, sizeof header.uid, 0);
  put_octal(header.gid, sizeof header.gid, 0);
  put_octal(header.size, sizeof header.size, pack.pax_bytes);
  put_octal(header.mtime, sizeof header.mtime, 0);
  write_header(&header, TAR_PAX);
  output_put(pack.pax, pack.pax_bytes);
  output_zeros(tar_padding(pack.pax_bytes));
}

static void tell(char type, size_t path_bytes, const struct stat *status, uint64_t size, const char *link) {
  struct tar_header header = {0};
  pack.pax_bytes = 0;
  put_name(&header, pack.path, path_bytes);
  if (link != NULL) put_link(&header, link, strlen(link));
  put_octal(header.mode, sizeof header.mode, status->st_mode & 01777);
  put_number(header.uid, sizeof header.uid, "uid", status->st_uid);
  put_number(header.gid, sizeof header.gid, "gid", status->st_gid);
  put_number(header.size, sizeof header.size, "size", size);
  put_time(&header, status->st_mtim.tv_sec);
  put_account(header.user, user_name_of(status->st_uid));
  put_account(header.group, group_name_of(status->st_gid));
  if (pack.pax_bytes > 0) write_pax_header();
  write_header(&header, type);
  pack.entries += 1;
}

/* ---- files with several names ---- */

static uint32_t place_of(const struct stat *status) {
  uint64_t mixed = ((uint64_t)status->st_ino ^ (uint64_t)status->st_dev << 40) * 0x9e3779b97f4a7c15ull;
  return (uint32_t)(mixed >> 47) & (2 * LINKED_FILES_MAX - 1);
}

/* The name this file was packed under before, or NULL, and from now on it is the present one. */
static const char *earlier_name(const struct stat *status, size_t path_bytes) {
  if (status->st_nlink < 2) return NULL;
  if (pack.linked == NULL) {
    size_t table_bytes = 2 * LINKED_FILES_MAX * sizeof *pack.linked;
    void *memory = mmap(NULL, table_bytes + LINKED_NAMES_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) fail_step("memory", errno);
    pack.linked = memory;
    pack.linked_names = (char *)memory + table_bytes;
  }
  uint32_t at = place_of(status);
  for (; pack.linked[at].name_at != 0; at = (at + 1) & (2 * LINKED_FILES_MAX - 1)) {
    const struct linked_file *linked = &pack.linked[at];
    if (linked->inode == status->st_ino && linked->device == status->st_dev) return pack.linked_names + linked->name_at - 1;
  }
  if (pack.linked_count == LINKED_FILES_MAX || path_bytes + 1 > LINKED_NAMES_BYTES - pack.linked_names_bytes) return NULL;
  pack.linked[at] = (struct linked_file){status->st_dev, status->st_ino, pack.linked_names_bytes + 1};
  memcpy(pack.linked_names + pack.linked_names_bytes, pack.path, path_bytes);
  pack.linked_names_bytes += (uint32_t)path_bytes + 1;
  pack.linked_count += 1;
  return NULL;
}

/* ---- the tree ---- */

static void pack_opened_file(int fd, size_t path_bytes, const struct stat *status) {
  const char *earlier = earlier_name(status, path_bytes);
  if (earlier != NULL) {
    tell(TAR_HARD_LINK, path_bytes, status, 0, earlier);
    return;
  }
  uint64_t size = (uint64_t)status->st_size;
  tell(TAR_FILE, path_bytes, status, size, NULL);
  output_zeros(size - output_file(fd, size, NULL));
  output_zeros(tar_padding(size));
}

static bool is_gone(int error_number) { return error_number == ENOENT || error_number == ENOTDIR || error_number == ELOOP; }

static void pack_file(int directory_fd, const char *name, size_t path_bytes) {
  struct stat status;
  int fd = openat(directory_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0 && is_gone(errno)) return;
  if (fd < 0 || fstat(fd, &status) != 0) fail_step("open", errno);
  if (S_ISREG(status.st_mode)) pack_opened_file(fd, path_bytes, &status);
  close(fd);
}

static void pack_symlink(int directory_fd, const char *name, size_t path_bytes, const struct stat *status) {
  char target[FILE_PATH_BYTES_MAX + 1];
  ssize_t length = readlinkat(directory_fd, name, target, sizeof target);
  if (length <= 0) return;
  if ((size_t)length == sizeof target) fail_step("readlink", ENAMETOOLONG);
  target[length] = '\0';
  tell(TAR_SYMLINK, path_bytes, status, 0, target);
}

static void pack_content(int fd, size_t prefix_bytes, unsigned level);

static void pack_directory(int directory_fd, const char *name, size_t path_bytes, unsigned level) {
  struct stat status;
  int fd = openat(directory_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0 && is_gone(errno)) return;
  if (fd < 0 || fstat(fd, &status) != 0) fail_step("open", errno);
  pack.path[path_bytes] = '/';
  tell(TAR_DIRECTORY, path_bytes + 1, &status, 0, NULL);
  pack_content(fd, path_bytes + 1, level + 1);
  close(fd);
}

static void pack_content(int fd, size_t prefix_bytes, unsigned level) {
  struct name_window window;
  names_open(&window, level, UINT32_MAX);
  names_fill(&window, fd, NULL);
  for (const char *name; (name = names_next(&window, fd)) != NULL;) {
    struct stat status;
    if (fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;
      fail_step("stat", errno);
    }
    size_t name_bytes = strlen(name);
    if (prefix_bytes + name_bytes > TAR_NAME_BYTES_MAX - 1) fail_step("archive", ENAMETOOLONG);
    memcpy(pack.path + prefix_bytes, name, name_bytes);
    size_t path_bytes = prefix_bytes + name_bytes;
    if (S_ISREG(status.st_mode)) pack_file(fd, name, path_bytes);
    else if (S_ISDIR(status.st_mode)) pack_directory(fd, name, path_bytes, level);
    else if (S_ISLNK(status.st_mode)) pack_symlink(fd, name, path_bytes, &status);
  }
  names_close(&window);
}

static void acknowledge(const struct file_request *request, const struct stat *status) {
  size_t name_bytes;
  const char *name = last_part(request->path, &name_bytes);
  struct msgpack_writer map = file_map();
  write_entry(&map, name, name_bytes, status, NULL);
  file_ack(&map);
}

void pack_tar(const struct file_request *request) {
  struct place place;
  struct stat status;
  find_place(request->path, PLACE_FOLLOWS, &place);
  int held = open_place_path(&place, &status);
  if (held < 0) fail_step("open", errno);
  close(held);
  if (S_ISDIR(status.st_mode)) {
    int fd = open_directory(&place, &status);
    acknowledge(request, &status);
    pack_content(fd, 0, 0);
  } else {
    int fd = open_regular(&place, O_RDONLY, &status);
    acknowledge(request, &status);
    size_t name_bytes;
    const char *name = last_part(request->path, &name_bytes);
    memcpy(pack.path, name, name_bytes);
    pack_opened_file(fd, name_bytes, &status);
  }
  output_zeros(2 * TAR_BLOCK_BYTES);
  output_flush();
  struct msgpack_writer map = file_map();
  msgpack_write_map(&map, 2);
  msgpack_write_str(&map, "entries");
  msgpack_write_uint(&map, pack.entries);
  write_bytes_entry(&map, output_total_bytes());
  file_end(&map);
}
