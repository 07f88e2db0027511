/* Decoding the maps of file requests: what is taken, what is refused and how, and any bytes at all. */
#define _GNU_SOURCE
#include "file_request.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "frame.h"

#define MUTATIONS 300000u

static struct file_request request;
static struct file_refusal refusal;

/* Decodes a copy of exactly this length, so that a sanitizer sees one byte too many. */
static uint8_t *copied;

static bool decode(uint8_t type, const void *bytes, size_t length) {
  free(copied);
  copied = malloc(length > 0 ? length : 1);
  if (copied == NULL) abort();
  memcpy(copied, bytes, length);
  refusal = (struct file_refusal){"", ""};
  return decode_file_request(type, copied, length, &request, &refusal);
}

#define DECODE(type, literal) decode((type), (literal), sizeof(literal) - 1)
#define REFUSED(type, literal, with) (!DECODE(type, literal) && strcmp(refusal.code, (with)) == 0)

static void takes_what_the_page_says(void) {
  CHECK(DECODE(FRAME_FILE_READ, "\x84\xa4path\xa2/a\xa6offset\xcd\x01\x00\xa6length\x05\xa6sha256\xc3"));
  CHECK(strcmp(request.path, "/a") == 0 && request.offset == 256 && request.length == 5 && request.wants_sha256);
  CHECK(request.follow && request.replace && request.root == NULL && !request.recursive);
  CHECK(DECODE(FRAME_FILE_STAT, "\x82\xa4path\xc4\x02/\xff\xa6" "follow\xc2"));
  CHECK(memcmp(request.path, "/\xff", 3) == 0 && !request.follow);
  CHECK(DECODE(FRAME_FILE_WRITE, "\x83\xa4path\xa1x\xa4root\xa5/work\xa6sha256\xc4\x20"
                                 "01234567890123456789012345678901"));
  CHECK(strcmp(request.root, "/work") == 0 && memcmp(request.expected_sha256, "0123", 4) == 0 && request.mode == 0644);
  CHECK(DECODE(FRAME_FILE_MKDIR, "\x81\xa4path\xa1x") && request.mode == 0755 && !request.has_mode);
  CHECK(DECODE(FRAME_FILE_LIST, "\x83\xa4path\xa1x\xa5" "after\xa1m\xa5limit\x07"));
  CHECK(strcmp(request.after, "m") == 0 && request.limit == 7 && request.depth == 1);
  CHECK(DECODE(FRAME_FILE_RENAME, "\x82\xa4path\xa1x\xa2to\xa1y") && strcmp(request.to, "y") == 0);
}

static void passes_over_what_is_not_its_own(void) {
  /* The guest has read these, whatever they are; and a limit means nothing to a read. */
  CHECK(DECODE(FRAME_FILE_READ, "\x85\xa4path\xa1x\xa4user\xa1u\xa3" "cwd\xa1/\xa6window\x01\xa5limit\xa3no."));
  CHECK(DECODE(FRAME_FILE_READ, "\x82\xa5other\x92\x01\x82\x01\x02\x03\x04\xa4path\xa1x"));
}

static void refuses_the_rest(void) {
  CHECK(REFUSED(FRAME_FILE_READ, "\x80", "invalid_payload"));
  CHECK(REFUSED(FRAME_FILE_READ, "", "invalid_payload"));
  CHECK(REFUSED(FRAME_FILE_READ, "\x81\xa4path\x01", "invalid_payload"));
  CHECK(REFUSED(FRAME_FILE_READ, "\x82\xa4path\xa1x\xa4path\xa1x", "invalid_payload"));
  CHECK(REFUSED(FRAME_FILE_READ, "\x81\xa4path\xa1x\x01", "invalid_payload"));
  CHECK(REFUSED(FRAME_FILE_READ, "\x81\xa4path\xa0", "name_invalid"));
  CHECK(REFUSED(FRAME_FILE_READ, "\x81\xa4path\xa3" "a\0b", "name_invalid"));
  CHECK(REFUSED(FRAME_FILE_READ, "\x82\xa4path\xa1x\xa4root\xa1x", "invalid_payload"));
  CHECK(REFUSED(FRAME_FILE_READ, "\x82\xa4path\xa1x\xa6offset\xcf\x80\0\0\0\0\0\0\0", "invalid_payload"));
  CHECK(REFUSED(FRAME_FILE_WRITE, "\x82\xa4path\xa1x\xa4mode\xcd\x10\x00", "invalid_payload"));
  CHECK(REFUSED(FRAME_FILE_WRITE, "\x82\xa4path\xa1x\xa6sha256\xc3", "invalid_payload"));
  CHECK(REFUSED(FRAME_FILE_WRITE, "\x83\xa4path\xa1x\xa6offset\x00\xa6" "append\xc3", "invalid_payload"));
  CHECK(REFUSED(FRAME_FILE_RENAME, "\x81\xa4path\xa1x", "invalid_payload"));
  CHECK(REFUSED(FRAME_FILE_LIST, "\x82\xa4path\xa1x\xa5limit\xce\x00\x0f\x42\x41", "invalid_payload"));
  CHECK(REFUSED(FRAME_FILE_LIST, "\x82\xa4path\xa1x\xa5limit\x00", "invalid_payload"));
  CHECK(REFUSED(FRAME_FILE_LIST, "\x83\xa4path\xa1x\xa5" "after\xa1m\xa5" "depth\x02", "invalid_payload"));
}

static void check_text(const char *text, size_t length) {
  if (text == NULL) return;
  const uint8_t *at = (const uint8_t *)text;
  CHECK(at >= copied && at < copied + length && memchr(at, 0, (size_t)(copied + length - at)) != NULL);
}

static void survives_any_bytes(void) {
  static const char SEED[] =
      "\x8b\xa4path\xa5/a/bc\xa4root\xc4\x02/r\xa2to\xa1y\xa5" "after\xa1m\xa5owner\xa1o\xa6offset\xcf\0\0\0\0\0\0\0\1"
      "\xa4mode\xcd\x01\xa4\xa6sha256\xc4\x20" "01234567890123456789012345678901\xa5other\x91\x82\xa1k\x01\xa1l\xc0"
      "\xa5limit\x05\xa6" "follow\xc2";
  uint32_t state = 2463534242u;
  unsigned long decoded = 0;
  for (unsigned round = 0; round < MUTATIONS; round += 1) {
    char bytes[sizeof SEED];
    size_t length = sizeof SEED - 1;
    memcpy(bytes, SEED, sizeof SEED);
    for (unsigned changes = round % 7; changes > 0; changes -= 1) {
      state ^= state << 13, state ^= state >> 17, state ^= state << 5;
      bytes[state % length] = (char)(state >> 16);
      if (state % 61 == 0) length = 1 + (state >> 8) % length;
    }
    uint8_t type = (uint8_t)(FRAME_FILE_READ + round % 11);
    if (!decode(type, bytes, length)) {
      CHECK(*refusal.code != '\0' && *refusal.message != '\0');
      continue;
    }
    decoded += 1;
    check_text(request.path, length);
    check_text(request.root, length);
    check_text(request.to, length);
    check_text(request.after, length);
    check_text(request.owner, length);
    CHECK(request.path != NULL && request.mode <= 07777 && request.limit <= FILE_LIST_LIMIT_MAX);
    CHECK(request.expected_sha256 == NULL || request.expected_sha256 + FILE_SHA256_BYTES <= copied + length);
  }
  CHECK(decoded > 1000);
}

int main(void) {
  takes_what_the_page_says();
  passes_over_what_is_not_its_own();
  refuses_the_rest();
  survives_any_bytes();
  free(copied);
  return checks_result();
}
