#define _GNU_SOURCE
#include "file_entry.h"

#include <stdbool.h>
#include <string.h>

#include "file_answer.h"
#include "users.h"

#define NAMES_REMEMBERED 16u

struct known_name {
  bool is_known;
  uint32_t id;
  char name[USER_BYTES_MAX + 1];
};

const char *kind_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR: return "directory";
    case S_IFLNK: return "symlink";
    case S_IFIFO: return "fifo";
    case S_IFSOCK: return "socket";
    case S_IFBLK: return "block";
    case S_IFCHR: return "character";
    default: return "file";
  }
}

static const char *name_of(struct known_name *known, const char *accounts_path, uint32_t id) {
  struct known_name *slot = &known[id % NAMES_REMEMBERED];
  if (!slot->is_known || slot->id != id) {
    slot->is_known = true;
    slot->id = id;
    if (!find_name_of_id(accounts_path, id, slot->name, sizeof slot->name)) slot->name[0] = '\0';
  }
  return slot->name;
}

const char *user_name_of(uint32_t uid) {
  static struct known_name known[NAMES_REMEMBERED];
  return name_of(known, "/etc/passwd", uid);
}

const char *group_name_of(uint32_t gid) {
  static struct known_name known[NAMES_REMEMBERED];
  return name_of(known, "/etc/group", gid);
}

static uint64_t milliseconds(const struct timespec *time) {
  /* Times before 1970 have no place in the map. */
  return time->tv_sec < 0 ? 0 : (uint64_t)time->tv_sec * 1000 + (uint64_t)time->tv_nsec / 1000000;
}

void write_entry(struct msgpack_writer *map, const char *name, size_t name_bytes, const struct stat *status,
                 const char *target) {
  const char *user = user_name_of(status->st_uid), *group = group_name_of(status->st_gid);
  /* Names of accounts are text; what is not is left out. */
  bool has_user = *user != '\0' && is_utf8((const uint8_t *)user, strlen(user));
  bool has_group = *group != '\0' && is_utf8((const uint8_t *)group, strlen(group));
  msgpack_write_map(map, 7u + has_user + has_group + (target != NULL));
  msgpack_write_str(map, "name");
  write_name(map, name, name_bytes);
  msgpack_write_str(map, "kind");
  msgpack_write_str(map, kind_of(status->st_mode));
  msgpack_write_str(map, "size");
  msgpack_write_uint(map, status->st_size < 0 ? 0 : (uint64_t)status->st_size);
  msgpack_write_str(map, "mode");
  msgpack_write_uint(map, status->st_mode & 07777);
  msgpack_write_str(map, "mtime_ms");
  msgpack_write_uint(map, milliseconds(&status->st_mtim));
  msgpack_write_str(map, "uid");
  msgpack_write_uint(map, status->st_uid);
  msgpack_write_str(map, "gid");
  msgpack_write_uint(map, status->st_gid);
  if (has_user) {
    msgpack_write_str(map, "user");
    msgpack_write_str(map, user);
  }
  if (has_group) {
    msgpack_write_str(map, "group");
    msgpack_write_str(map, group);
  }
  if (target != NULL) {
    msgpack_write_str(map, "target");
    write_name(map, target, strlen(target));
  }
}
