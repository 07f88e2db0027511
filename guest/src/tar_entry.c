#include "tar_entry.h"

#include <string.h>

/* Extended headers are read whole. Attributes of other systems make them large; a name needs no more than a few KB. */
#define PAX_BYTES_MAX 262144u
/* Headers in all: an entry has up to three before its own. */
#define HEADERS_MAX (4ull * TAR_ENTRIES_MAX)

static uint8_t pax[PAX_BYTES_MAX + 1];

/* What headers before an entry's own have said about it. */
struct overrides {
  bool has_name, has_link, has_size, has_mtime;
  uint64_t size;
  struct timespec mtime;
};

static bool invalid(struct tar_reader *reader, const char *problem) {
  reader->problem = problem;
  return false;
}

static bool take(struct tar_reader *reader, uint8_t *to, size_t length) {
  if (reader->source(to, length) != length) return invalid(reader, "the archive is cut off");
  reader->total_bytes += length;
  return true;
}

/* ---- numbers ---- */

/* Octal digits among spaces and a NUL, or with the top bit of the first byte set a big-endian number. */
static bool parse_field(const char *field, size_t width, int64_t *value) {
  const uint8_t *bytes = (const uint8_t *)field;
  uint64_t sum = 0;
  if ((bytes[0] & 0x80) != 0) {
    bool negative = (bytes[0] & 0x40) != 0;
    sum = negative ? ~0ull << 7 | bytes[0] : bytes[0] & 0x3fu;
    for (size_t i = 1; i < width; i += 1) {
      /* What is shifted out must be nothing but the sign. */
      uint64_t lost = sum >> 55;
      if (lost != (negative ? 0x1ffu : 0)) return false;
      sum = sum << 8 | bytes[i];
    }
    *value = (int64_t)sum;
    return negative == (*value < 0);
  }
  size_t at = 0;
  while (at < width && bytes[at] == ' ') at += 1;
  for (; at < width && bytes[at] >= '0' && bytes[at] <= '7'; at += 1) {
    if (sum >> 60 != 0) return false;
    sum = sum << 3 | (uint64_t)(bytes[at] - '0');
  }
  if (at < width && bytes[at] != ' ' && bytes[at] != '\0') return false;
  *value = (int64_t)sum;
  return true;
}

static bool parse_decimal(const char *text, size_t length, uint64_t *value) {
  uint64_t sum = 0;
  if (length == 0 || length > 18) return false;
  for (size_t i = 0; i < length; i += 1) {
    if (text[i] < '0' || text[i] > '9') return false;
    sum = sum * 10 + (uint64_t)(text[i] - '0');
  }
  *value = sum;
  return true;
}

/* Seconds with an optional sign and fraction, of which nanoseconds are kept. */
static bool parse_time(const char *text, size_t length, struct timespec *time) {
  bool negative = length > 0 && text[0] == '-';
  text += negative;
  length -= negative;
  const char *point = memchr(text, '.', length);
  size_t whole = point == NULL ? length : (size_t)(point - text);
  uint64_t seconds, nanoseconds = 0;
  if (!parse_decimal(text, whole, &seconds)) return false;
  uint64_t unit = 100000000;
  for (size_t i = whole + 1; i < length; i += 1, unit /= 10) {
    if (text[i] < '0' || text[i] > '9') return false;
    nanoseconds += (uint64_t)(text[i] - '0') * unit;
  }
  time->tv_sec = negative ? -(time_t)seconds : (time_t)seconds;
  time->tv_nsec = (long)nanoseconds;
  if (negative && nanoseconds > 0) {
    time->tv_sec -= 1;
    time->tv_nsec = 1000000000 - time->tv_nsec;
  }
  return true;
}

/* ---- names ---- */

/* Joins the parts in place. */
static bool normalize(struct tar_reader *reader, char *name, size_t *length) {
  if (name[0] == '/') return invalid(reader, "an absolute name");
  size_t to = 0;
  for (const char *at = name; *at != '\0';) {
    size_t part = strcspn(at, "/");
    const char *next = at + part + (at[part] == '/');
    if (part == 2 && at[0] == '.' && at[1] == '.') return invalid(reader, "a name with a .. part");
    if (part > 0 && !(part == 1 && at[0] == '.')) {
      if (to > 0) name[to++] = '/';
      memmove(name + to, at, part);
      to += part;
    }
    at = next;
  }
  name[to] = '\0';
  *length = to;
  return true;
}

static bool set_text(struct tar_reader *reader, char *to, const void *bytes, size_t length) {
  if (length > TAR_NAME_BYTES_MAX) return invalid(reader, "a name longer than 4095 bytes");
  if (memchr(bytes, '\0', length) != NULL) return invalid(reader, "a name with a NUL byte");
  memcpy(to, bytes, length);
  to[length] = '\0';
  return true;
}

static size_t field_bytes(const char *field, size_t width) {
  const char *end = memchr(field, '\0', width);
  return end == NULL ? width : (size_t)(end - field);
}

/* ---- extended headers ---- */

static bool has_prefix(const char *text, size_t length, const char *prefix) {
  size_t bytes = strlen(prefix);
  return length >= bytes && memcmp(text, prefix, bytes) == 0;
}

static bool is_key(const char *key, size_t length, const char *name) {
  return length == strlen(name) && memcmp(key, name, length) == 0;
}

static bool take_record(struct tar_reader *reader, bool global, const char *key, size_t key_bytes, const char *value,
                        size_t value_bytes, struct tar_entry *entry, struct overrides *overrides) {
  if (has_prefix(key, key_bytes, "GNU.sparse.")) return invalid(reader, "a sparse file");
  bool is_path = is_key(key, key_bytes, "path"), is_link = is_key(key, key_bytes, "linkpath");
  bool is_size = is_key(key, key_bytes, "size");
  if (global) {
    /* Such a record would be the name or size of every entry; readers differ on it, so it can only mislead. */
    return is_path || is_link || is_size ? invalid(reader, "a name or size for all entries") : true;
  }
  if (is_path) {
    overrides->has_name = true;
    return set_text(reader, entry->name, value, value_bytes);
  }
  if (is_link) {
    overrides->has_link = true;
    return set_text(reader, entry->link, value, value_bytes);
  }
  if (is_size) {
    overrides->has_size = true;
    return parse_decimal(value, value_bytes, &overrides->size) ? true : invalid(reader, "a size that is no number");
  }
  if (is_key(key, key_bytes, "mtime")) {
    overrides->has_mtime = true;
    return parse_time(value, value_bytes, &overrides->mtime) ? true : invalid(reader, "a time that is no number");
  }
  return true;
}

static bool take_records(struct tar_reader *reader, bool global, size_t length, struct tar_entry *entry,
                         struct overrides *overrides) {
  static const char MALFORMED[] = "a malformed extended header";
  const char *at = (const char *)pax, *end = at + length;
  while (at < end) {
    const char *space = memchr(at, ' ', (size_t)(end - at));
    uint64_t record_bytes;
    if (space == NULL || !parse_decimal(at, (size_t)(space - at), &record_bytes)) return invalid(reader, MALFORMED);
    if (record_bytes > (size_t)(end - at) || record_bytes < (size_t)(space - at) + 2) return invalid(reader, MALFORMED);
    const char *newline = at + record_bytes - 1, *key = space + 1;
    const char *equals = memchr(key, '=', (size_t)(newline - key));
    if (*newline != '\n' || equals == NULL) return invalid(reader, MALFORMED);
    if (!take_record(reader, global, key, (size_t)(equals - key), equals + 1, (size_t)(newline - equals - 1), entry, overrides))
      return false;
    at = newline + 1;
  }
  return true;
}

/* The content of a header that is about the next one, with its padding, in `pax`. */
static bool take_extension(struct tar_reader *reader, uint64_t size) {
  if (size > PAX_BYTES_MAX) return invalid(reader, "an extended header of more than 256 KiB");
  uint8_t padding[TAR_BLOCK_BYTES];
  return take(reader, pax, (size_t)size) && take(reader, padding, (size_t)tar_padding(size));
}

/* ---- headers ---- */

static bool is_zero(const struct tar_header *header) {
  const uint8_t *bytes = (const uint8_t *)header;
  for (unsigned i = 0; i < sizeof *header; i += 1)
    if (bytes[i] != 0) return false;
  return true;
}

static bool take_own_fields(struct tar_reader *reader, const struct tar_header *header, uint64_t size, struct tar_entry *entry,
                            const struct overrides *overrides) {
  entry->type = header->type == '\0' || header->type == TAR_CONTIGUOUS_FILE ? TAR_FILE : (enum tar_type)header->type;
  entry->size = overrides->has_size ? overrides->size : size;
  int64_t mode, seconds;
  if (!parse_field(header->mode, sizeof header->mode, &mode) || mode < 0) return invalid(reader, "a mode that is no number");
  if (!parse_field(header->mtime, sizeof header->mtime, &seconds)) return invalid(reader, "a time that is no number");
  if ((mode & 06000) != 0) return invalid(reader, "a setuid or setgid bit");
  entry->mode = (mode_t)mode & 01777;
  entry->mtime = overrides->has_mtime ? overrides->mtime : (struct timespec){.tv_sec = (time_t)seconds};

  if (!overrides->has_name) {
    bool has_prefix = memcmp(header->magic, "ustar", 6) == 0 && header->prefix[0] != '\0';
    size_t prefix_bytes = has_prefix ? field_bytes(header->prefix, sizeof header->prefix) : 0;
    memcpy(entry->name, header->prefix, prefix_bytes);
    if (has_prefix) entry->name[prefix_bytes++] = '/';
    size_t name_bytes = field_bytes(header->name, sizeof header->name);
    memcpy(entry->name + prefix_bytes, header->name, name_bytes);
    entry->name[prefix_bytes + name_bytes] = '\0';
  }
  if (!overrides->has_link && !set_text(reader, entry->link, header->link, field_bytes(header->link, sizeof header->link)))
    return false;
  return true;
}

static bool check_entry(struct tar_reader *reader, struct tar_entry *entry) {
  size_t length = strlen(entry->name);
  if (length == 0) return invalid(reader, "an entry without a name");
  /* Archives from before ustar know directories by this alone. */
  if (entry->type == TAR_FILE && entry->name[length - 1] == '/') entry->type = TAR_DIRECTORY;
  if (!normalize(reader, entry->name, &entry->name_bytes)) return false;
  if (entry->name_bytes == 0 && entry->type != TAR_DIRECTORY) return invalid(reader, "an entry without a name");
  switch (entry->type) {
    case TAR_FILE: return entry->size <= INT64_MAX ? true : invalid(reader, "a size beyond all files");
    case TAR_DIRECTORY: break;
    case TAR_SYMLINK:
      if (entry->link[0] == '\0') return invalid(reader, "a link without a target");
      break;
    case TAR_HARD_LINK: {
      size_t link_bytes;
      if (!normalize(reader, entry->link, &link_bytes)) return false;
      if (link_bytes == 0) return invalid(reader, "a link without a target");
      break;
    }
    default: return invalid(reader, "neither a file, a directory nor a link");
  }
  return entry->size == 0 ? true : invalid(reader, "content of something that is no file");
}

static bool take_long_text(struct tar_reader *reader, uint64_t size, char *to, bool *has) {
  if (!take_extension(reader, size)) return false;
  *has = true;
  pax[size] = '\0';
  return set_text(reader, to, pax, strlen((const char *)pax));
}

enum tar_result tar_next(struct tar_reader *reader, struct tar_entry *entry) {
  struct overrides overrides = {0};
  for (;;) {
    struct tar_header header;
    bool pending = overrides.has_name || overrides.has_link || overrides.has_size || overrides.has_mtime;
    if (!take(reader, (uint8_t *)&header, sizeof header)) return TAR_INVALID;
    if (is_zero(&header)) {
      if (!pending) return TAR_END;
      reader->problem = "an extended header without its entry";
      return TAR_INVALID;
    }
    int64_t checksum, size;
    if (!parse_field(header.checksum, sizeof header.checksum, &checksum) || checksum != (int64_t)tar_checksum(&header)) {
      reader->problem = "a header whose checksum is wrong";
      return TAR_INVALID;
    }
    if (!parse_field(header.size, sizeof header.size, &size) || size < 0) {
      reader->problem = "a size that is no number";
      return TAR_INVALID;
    }
    reader->headers += 1;
    bool fine = true;
    switch (header.type) {
      case TAR_PAX:
      case TAR_PAX_GLOBAL:
        fine = take_extension(reader, (uint64_t)size) &&
               take_records(reader, header.type == TAR_PAX_GLOBAL, (size_t)size, entry, &overrides);
        break;
      case TAR_GNU_LONG_NAME: fine = take_long_text(reader, (uint64_t)size, entry->name, &overrides.has_name); break;
      case TAR_GNU_LONG_LINK: fine = take_long_text(reader, (uint64_t)size, entry->link, &overrides.has_link); break;
      default:
        if (!take_own_fields(reader, &header, (uint64_t)size, entry, &overrides) || !check_entry(reader, entry))
          return TAR_INVALID;
        reader->entries += 1;
        if (reader->entries <= TAR_ENTRIES_MAX) return TAR_ENTRY;
        reader->problem = "more than 1000000 entries";
        return TAR_INVALID;
    }
    if (!fine) return TAR_INVALID;
    if (reader->headers > HEADERS_MAX) {
      reader->problem = "more than 1000000 entries";
      return TAR_INVALID;
    }
  }
}
