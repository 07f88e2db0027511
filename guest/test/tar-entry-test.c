/* Reading archives: every format's names, what is refused, and any bytes at all. */
#define _GNU_SOURCE
#include "tar_entry.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

#define MUTATIONS 20000u

static uint8_t archive[65536];
static size_t archive_bytes, archive_at;
static struct tar_reader reader;
static struct tar_entry entry;

static size_t source(uint8_t *to, size_t length) {
  size_t left = archive_bytes - archive_at, taken = left < length ? left : length;
  memcpy(to, archive + archive_at, taken);
  archive_at += taken;
  return taken;
}

static void start(void) { archive_bytes = archive_at = 0; }

static void seal(struct tar_header *header) { snprintf(header->checksum, 8, "%06o", (unsigned)tar_checksum(header)); }

static struct tar_header *add(char type, const char *name, const char *link, size_t size) {
  struct tar_header *header = (struct tar_header *)(archive + archive_bytes);
  memset(header, 0, sizeof *header);
  memcpy(header->name, name, strlen(name) < 100 ? strlen(name) : 100);
  memcpy(header->link, link, strlen(link) < 100 ? strlen(link) : 100);
  snprintf(header->mode, 8, "%07o", 0644);
  snprintf(header->size, 12, "%011o", (unsigned)size);
  snprintf(header->mtime, 12, "%011o", 1000000000u);
  header->type = type;
  memcpy(header->magic, "ustar", 6);
  memcpy(header->version, "00", 2);
  seal(header);
  archive_bytes += sizeof *header;
  return header;
}

static void add_content(const void *bytes, size_t length) {
  memcpy(archive + archive_bytes, bytes, length);
  memset(archive + archive_bytes + length, 0, (size_t)tar_padding(length));
  archive_bytes += length + (size_t)tar_padding(length);
}

static void add_pax(char type, const char *records) {
  add(type, "pax", "", strlen(records));
  add_content(records, strlen(records));
}

static enum tar_result next(void) {
  reader.source = source;
  enum tar_result result = tar_next(&reader, &entry);
  if (result == TAR_ENTRY) {
    uint64_t content = entry.size + tar_padding(entry.size);
    archive_at += content < archive_bytes - archive_at ? (size_t)content : archive_bytes - archive_at;
  }
  return result;
}

static enum tar_result first(void) {
  memset(archive + archive_bytes, 0, 1024);
  archive_bytes += 1024;
  reader = (struct tar_reader){0};
  return next();
}

static bool refused(void) { return first() == TAR_INVALID && reader.problem != NULL; }

static void reads_every_kind(void) {
  start();
  add('0', "dir/file", "", 3);
  add_content("abc", 3);
  add('\0', "old-directory/", "", 0);
  add('2', "link", "/any/../where", 0);
  add('1', "./hard", "./dir//file", 0);
  add('5', "./", "", 0);
  CHECK(first() == TAR_ENTRY && entry.type == TAR_FILE && strcmp(entry.name, "dir/file") == 0 && entry.size == 3);
  CHECK(entry.mode == 0644 && entry.mtime.tv_sec == 1000000000);
  CHECK(next() == TAR_ENTRY && entry.type == TAR_DIRECTORY && strcmp(entry.name, "old-directory") == 0);
  CHECK(next() == TAR_ENTRY && entry.type == TAR_SYMLINK && strcmp(entry.link, "/any/../where") == 0);
  CHECK(next() == TAR_ENTRY && entry.type == TAR_HARD_LINK && strcmp(entry.name, "hard") == 0);
  CHECK(strcmp(entry.link, "dir/file") == 0);
  CHECK(next() == TAR_ENTRY && entry.type == TAR_DIRECTORY && entry.name_bytes == 0);
  CHECK(next() == TAR_END && reader.entries == 5);
}

static void reads_long_names(void) {
  start();
  struct tar_header *header = add('0', "name", "", 0);
  memcpy(header->prefix, "pre/fix", 7);
  seal(header);
  add_pax('x', "17 path=pax/name\n30 mtime=1234567890.123456789\n10 size=3\n");
  add('0', "ignored", "", 0);
  add_content("abc", 3);
  add('L', "././@LongLink", "", 9);
  add_content("gnu/name\0", 9);
  add('K', "././@LongLink", "", 7);
  add_content("target", 7);
  add('2', "ignored", "ignored", 0);
  add_pax('g', "23 comment=of a commit\n");
  add('0', "after", "", 0);
  CHECK(first() == TAR_ENTRY && strcmp(entry.name, "pre/fix/name") == 0);
  CHECK(next() == TAR_ENTRY && strcmp(entry.name, "pax/name") == 0 && entry.size == 3);
  CHECK(entry.mtime.tv_sec == 1234567890 && entry.mtime.tv_nsec == 123456789);
  CHECK(next() == TAR_ENTRY && strcmp(entry.name, "gnu/name") == 0 && strcmp(entry.link, "target") == 0);
  CHECK(next() == TAR_ENTRY && strcmp(entry.name, "after") == 0 && next() == TAR_END);
}

static void reads_numbers_of_every_form(void) {
  start();
  struct tar_header *header = add('0', "large", "", 0);
  memcpy(header->size, "\x80\0\0\0\0\0\0\x02\0\0\0\0", 12);
  memcpy(header->mtime, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", 12);
  memcpy(header->mode, "100600 \0", 8);
  seal(header);
  CHECK(first() == TAR_ENTRY && entry.size == 8589934592ull && entry.mtime.tv_sec == -2 && entry.mode == 0600);
  start();
  header = add('0', "negative", "", 0);
  memcpy(header->size, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", 12);
  seal(header);
  CHECK(refused());
  start();
  header = add('0', "huge", "", 0);
  memcpy(header->size, "\x80\0\0\1\0\0\0\0\0\0\0\0", 12);
  seal(header);
  CHECK(refused());
}

static void refuses(char type, const char *name, const char *link, size_t size) {
  start();
  add(type, name, link, size);
  CHECK(refused());
}

static void refuses_what_could_lead_out(void) {
  refuses('0', "/etc/passwd", "", 0);
  refuses('0', "../x", "", 0);
  refuses('0', "a/../../x", "", 0);
  refuses('0', "a/..", "", 0);
  refuses('5', "..", "", 0);
  refuses('1', "x", "../x", 0);
  refuses('1', "x", "/etc/passwd", 0);
  refuses('1', "x", "", 0);
  refuses('2', "x", "", 0);
  refuses('0', "", "", 0);
  refuses('0', ".", "", 0);
  for (const char *type = "346SDVMNX"; *type != '\0'; type += 1) refuses(*type, "x", "", 0);
  refuses('5', "x", "", 100);
  refuses('2', "x", "y", 100);
  refuses('1', "x", "y", 100);
}

static void refuses_pax(const char *records) {
  start();
  add_pax('x', records);
  add('0', "x", "", 0);
  CHECK(refused());
}

static void refuses_what_lies(void) {
  refuses_pax("13 path=/abs\n");
  refuses_pax("14 path=a/../\n");
  refuses_pax("99 path=short\n");
  refuses_pax("5 path=short\n");
  refuses_pax("0 path=short\n");
  refuses_pax("-1 path=short\n");
  refuses_pax("99999999999999999999 path=x\n");
  refuses_pax("10 path=ab ");
  refuses_pax("9 path=\n");
  refuses_pax("11 size=-1\n");
  refuses_pax("30 size=99999999999999999999\n");
  refuses_pax("24 GNU.sparse.major=1\n\n");
  refuses_pax("no number\n");
  start();
  add_pax('g', "9 size=9\n");
  add('0', "x", "", 0);
  CHECK(refused());
  start();
  add('x', "pax", "", 300000);
  CHECK(refused());
  start();
  struct tar_header *header = add('0', "x", "", 0);
  header->name[0] = 'y';
  CHECK(refused());
  start();
  header = add('0', "x", "", 0);
  memcpy(header->mode, "0004755", 8);
  seal(header);
  CHECK(refused());
  start();
  header = add('0', "x", "", 0);
  memcpy(header->mode, "0002755", 8);
  seal(header);
  CHECK(refused());
  start();
  add_pax('x', "11 path=end\n");
  CHECK(refused());
  start();
  add('0', "cut", "", 0);
  reader = (struct tar_reader){0};
  CHECK(next() == TAR_ENTRY && next() == TAR_INVALID);
}

static void counts_to_its_bound(void) {
  start();
  add('0', "x", "", 0);
  reader = (struct tar_reader){.source = source, .entries = TAR_ENTRIES_MAX};
  CHECK(next() == TAR_INVALID);
}

static void survives_any_bytes(void) {
  uint32_t state = 88172645u;
  unsigned long entries = 0;
  for (unsigned round = 0; round < MUTATIONS; round += 1) {
    start();
    add('0', "dir/file", "", 3);
    add_content("abc", 3);
    add_pax('x', "17 path=pax/name\n30 mtime=1234567890.123456789\n19 linkpath=pax/to\n");
    add('2', "link", "to", 0);
    add('L', "././@LongLink", "", 9);
    add_content("gnu/name\0", 9);
    add('1', "x", "dir/file", 0);
    size_t headers = archive_bytes;
    for (unsigned changes = round % 9; changes > 0; changes -= 1) {
      state ^= state << 13, state ^= state >> 17, state ^= state << 5;
      archive[state % headers] = (uint8_t)(state >> 16);
    }
    /* Mostly with a checksum that holds, so that what is behind it is reached. */
    for (size_t at = 0; round % 4 != 0 && at + sizeof(struct tar_header) <= headers; at += TAR_BLOCK_BYTES) {
      struct tar_header *header = (struct tar_header *)(archive + at);
      if (memcmp(header->magic, "ustar", 5) == 0) seal(header);
    }
    enum tar_result result = first();
    for (unsigned count = 0; result == TAR_ENTRY; count += 1, result = next()) {
      entries += 1;
      CHECK(count < 100 && strlen(entry.name) == entry.name_bytes && entry.name[0] != '/');
      CHECK(strstr(entry.name, "//") == NULL && (entry.mode & 06000) == 0 && entry.size <= INT64_MAX);
    }
    CHECK(result == TAR_END || reader.problem != NULL);
  }
  CHECK(entries > MUTATIONS);
}

int main(void) {
  reads_every_kind();
  reads_long_names();
  reads_numbers_of_every_form();
  refuses_what_could_lead_out();
  refuses_what_lies();
  counts_to_its_bound();
  survives_any_bytes();
  return checks_result();
}
