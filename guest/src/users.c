#define _GNU_SOURCE
#include "users.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ACCOUNT_FILE_BYTES_MAX (1024u * 1024u)

/* Ids above this are reserved: (uid_t)-1 means "leave unchanged" to the system calls that would take it. */
#define ID_MAX 0xfffffffeu

struct text {
  const char *at;
  size_t length;
};

struct line_reader {
  int fd;
  size_t head;
  size_t tail;
  size_t total_bytes;
  bool skipping; /* Inside a line longer than the buffer. */
  char bytes[4096];
};

static bool same(struct text a, struct text b) { return a.length == b.length && memcmp(a.at, b.at, a.length) == 0; }

static bool parse_id(struct text text, uint32_t *id) {
  if (text.length == 0 || text.length > 10) return false;
  uint64_t value = 0;
  for (size_t i = 0; i < text.length; i += 1) {
    if (text.at[i] < '0' || text.at[i] > '9') return false;
    value = value * 10 + (uint64_t)(text.at[i] - '0');
  }
  if (value > ID_MAX) return false;
  *id = (uint32_t)value;
  return true;
}

static bool lines_open(struct line_reader *reader, const char *path) {
  reader->head = reader->tail = reader->total_bytes = 0;
  reader->skipping = false;
  reader->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (reader->fd < 0) return false;
  struct stat status;
  if (fstat(reader->fd, &status) == 0 && S_ISREG(status.st_mode)) return true;
  close(reader->fd);
  return false;
}

/* The next line without its end; false at the end of the file or of what is read of it. */
static bool lines_next(struct line_reader *reader, struct text *line) {
  for (;;) {
    char *start = reader->bytes + reader->head;
    char *newline = memchr(start, '\n', reader->tail - reader->head);
    if (newline != NULL) {
      reader->head = (size_t)(newline - reader->bytes) + 1;
      if (reader->skipping) {
        reader->skipping = false;
        continue;
      }
      *line = (struct text){.at = start, .length = (size_t)(newline - start)};
      return true;
    }
    memmove(reader->bytes, start, reader->tail - reader->head);
    reader->tail -= reader->head;
    reader->head = 0;
    if (reader->tail == sizeof reader->bytes) {
      reader->skipping = true;
      reader->tail = 0;
    }
    ssize_t got = 0;
    if (reader->total_bytes < ACCOUNT_FILE_BYTES_MAX)
      got = read(reader->fd, reader->bytes + reader->tail, sizeof reader->bytes - reader->tail);
    if (got <= 0) {
      /* A last line without a newline counts. */
      bool whole = reader->tail > 0 && !reader->skipping && reader->total_bytes < ACCOUNT_FILE_BYTES_MAX;
      *line = (struct text){.at = reader->bytes, .length = reader->tail};
      reader->tail = 0;
      return whole;
    }
    reader->tail += (size_t)got;
    reader->total_bytes += (size_t)got;
  }
}

/* Splits at colons; the last field takes the rest. False when there are fewer than `count`. */
static bool split_fields(struct text line, struct text *fields, size_t count) {
  for (size_t i = 0; i + 1 < count; i += 1) {
    const char *colon = memchr(line.at, ':', line.length);
    if (colon == NULL) return false;
    fields[i] = (struct text){.at = line.at, .length = (size_t)(colon - line.at)};
    line.length -= fields[i].length + 1;
    line.at = colon + 1;
  }
  fields[count - 1] = line;
  return true;
}

struct account {
  bool found;
  uint32_t uid;
  uint32_t gid;
  size_t name_length;
  char name[USER_BYTES_MAX];
};

/* The first entry with this name, or else the first with this uid: a name made of digits goes before a number. */
static void find_account(const char *path, struct text wanted, struct account *account) {
  uint32_t wanted_uid = 0;
  bool is_number = parse_id(wanted, &wanted_uid);
  account->found = false;
  struct line_reader reader;
  if (!lines_open(&reader, path)) return;
  struct text line;
  while (lines_next(&reader, &line)) {
    struct text fields[5]; /* name, password, uid, gid, the rest */
    uint32_t uid, gid;
    if (!split_fields(line, fields, 5) || fields[0].length == 0 || fields[0].length > USER_BYTES_MAX) continue;
    if (!parse_id(fields[2], &uid) || !parse_id(fields[3], &gid)) continue;
    bool by_name = same(fields[0], wanted);
    if (!by_name && (account->found || !is_number || uid != wanted_uid)) continue;
    account->found = true;
    account->uid = uid;
    account->gid = gid;
    account->name_length = fields[0].length;
    memcpy(account->name, fields[0].at, fields[0].length);
    if (by_name) break;
  }
  close(reader.fd);
}

static bool find_group(const char *path, struct text wanted, uint32_t *gid) {
  bool found = false;
  struct line_reader reader;
  if (lines_open(&reader, path)) {
    struct text line;
    while (!found && lines_next(&reader, &line)) {
      struct text fields[4]; /* name, password, gid, members */
      found = split_fields(line, fields, 4) && same(fields[0], wanted) && parse_id(fields[2], gid);
    }
    close(reader.fd);
  }
  return found || parse_id(wanted, gid);
}

static bool is_member(struct text members, struct text name) {
  while (members.length > 0) {
    const char *comma = memchr(members.at, ',', members.length);
    size_t length = comma == NULL ? members.length : (size_t)(comma - members.at);
    if (same((struct text){members.at, length}, name)) return true;
    if (comma == NULL) return false;
    members.at += length + 1;
    members.length -= length + 1;
  }
  return false;
}

static void add_supplementary_groups(const char *path, struct text name, struct identity *identity) {
  struct line_reader reader;
  if (!lines_open(&reader, path)) return;
  struct text line;
  while (identity->group_count < SUPPLEMENTARY_GROUPS_MAX && lines_next(&reader, &line)) {
    struct text fields[4];
    uint32_t gid;
    if (!split_fields(line, fields, 4) || !parse_id(fields[2], &gid) || gid == identity->gid) continue;
    if (is_member(fields[3], name)) identity->groups[identity->group_count++] = gid;
  }
  close(reader.fd);
}

bool resolve_user(const struct account_files *files, const char *user, size_t length, uint32_t own_uid, uint32_t own_gid,
                  struct identity *identity) {
  identity->uid = own_uid;
  identity->gid = own_gid;
  identity->switches = false;
  identity->group_count = 0;
  if (length == 0) return true;

  const char *colon = memchr(user, ':', length);
  struct text user_name = {user, colon == NULL ? length : (size_t)(colon - user)};
  struct account account;
  find_account(files->passwd_path, user_name, &account);
  if (account.found) {
    identity->uid = account.uid;
    identity->gid = account.gid;
  } else {
    if (!parse_id(user_name, &identity->uid)) return false;
    identity->gid = identity->uid == own_uid ? own_gid : identity->uid;
  }
  if (colon != NULL) {
    struct text group_name = {colon + 1, length - user_name.length - 1};
    if (!find_group(files->group_path, group_name, &identity->gid)) return false;
  }
  identity->switches = identity->uid != own_uid || identity->gid != own_gid;
  if (identity->switches && account.found) {
    identity->groups[identity->group_count++] = identity->gid;
    struct text account_name = {account.name, account.name_length};
    add_supplementary_groups(files->group_path, account_name, identity);
  }
  return true;
}

bool find_name_of_id(const char *path, uint32_t id, char *name, size_t name_room) {
  struct line_reader reader;
  if (!lines_open(&reader, path)) return false;
  bool found = false;
  struct text line;
  while (!found && lines_next(&reader, &line)) {
    struct text fields[4]; /* name, password, id, the rest */
    uint32_t line_id;
    found = split_fields(line, fields, 4) && parse_id(fields[2], &line_id) && line_id == id && fields[0].length > 0 &&
            fields[0].length < name_room;
    if (!found) continue;
    memcpy(name, fields[0].at, fields[0].length);
    name[fields[0].length] = '\0';
  }
  close(reader.fd);
  return found;
}
