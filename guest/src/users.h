/*
 * Turns the `user` of ExecStart ("", "name", "1000", "name:group", "1000:1000") into ids, by the sandbox's own
 * /etc/passwd and /etc/group.
 *
 * libc's lookups are not used: static binaries cannot load its plug-ins, and these files belong to whoever is inside the
 * sandbox, so they are read here with bounds: opened without blocking, regular files only, 1 MiB at most, longer lines
 * passed over. Which other file an insider makes them point to does not matter: nothing of it is ever shown.
 */
#ifndef WARMPOOL_USERS_H
#define WARMPOOL_USERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"

struct identity {
  uint32_t uid;
  uint32_t gid;
  /* False for the guest's own uid and gid: then nothing is switched and `groups` is not used. */
  bool switches;
  size_t group_count;
  uint32_t groups[SUPPLEMENTARY_GROUPS_MAX];
};

struct account_files {
  const char *passwd_path;
  const char *group_path;
};

/* False when there is no such user or group. A decimal uid needs no entry: its group is then the same number, and never
 * 0 by accident. */
bool resolve_user(const struct account_files *files, const char *user, size_t length, uint32_t own_uid, uint32_t own_gid,
                  struct identity *identity);

/* The first name in a file of the form of /etc/passwd or /etc/group that has this id. False when there is none, or none that
 * fits. */
bool find_name_of_id(const char *path, uint32_t id, char *name, size_t name_room);

#endif
