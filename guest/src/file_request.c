#include "file_request.h"

#include <string.h>

#include "bounds.h"
#include "frame.h"
#include "msgpack.h"

/* Which requests a key belongs to: in the others it is an unknown key, which is ignored whatever its value. */
#define IN(name) (1u << (FRAME_FILE_##name - FRAME_FILE_READ))
#define IN_TAR_READ (1u << (FRAME_TAR_READ - FRAME_FILE_READ))
#define IN_TAR_WRITE (1u << (FRAME_TAR_WRITE - FRAME_FILE_READ))
#define IN_ALL 0xffffu

enum kind { KIND_PATH, KIND_ABSOLUTE_PATH, KIND_NAME, KIND_USER, KIND_BOOL, KIND_U64, KIND_U32, KIND_SHA256 };

struct key {
  const char *name;
  uint16_t requests;
  uint8_t kind;
  uint16_t field;      /* Where the value goes. */
  uint16_t has_field;  /* Where it is noted that there was one; 0: nowhere. */
  uint64_t max;        /* Of an integer. */
  const char *problem; /* What to say of any other value. */
};

#define FIELD(name) offsetof(struct file_request, name)
#define PATH_PROBLEM(name) name ": a path is expected, str or bin"
#define BOOL_PROBLEM(name) name ": a boolean is expected"
#define PATH(name, requests, kind) {#name, (requests), (kind), FIELD(name), 0, 0, PATH_PROBLEM(#name)}
#define BOOL(name, requests) {#name, (requests), KIND_BOOL, FIELD(name), 0, 0, BOOL_PROBLEM(#name)}

static const struct key KEYS[] = {
    PATH(path, IN_ALL, KIND_PATH),
    PATH(root, IN_ALL, KIND_ABSOLUTE_PATH),
    PATH(to, IN(RENAME), KIND_PATH),
    PATH(after, IN(LIST), KIND_NAME),
    {"owner", IN(CHANGE), KIND_USER, FIELD(owner), 0, 0, "owner: a string of at most 256 bytes without NUL is expected"},
    {"offset", IN(READ) | IN(WRITE), KIND_U64, FIELD(offset), FIELD(has_offset), INT64_MAX, "offset: below 2^63 is expected"},
    {"length", IN(READ), KIND_U64, FIELD(length), 0, UINT64_MAX, "length: an integer of 64 bits is expected"},
    {"mtime_ms", IN(CHANGE), KIND_U64, FIELD(mtime_ms), FIELD(has_mtime), 1ull << 53, "mtime_ms: at most 2^53 is expected"},
    {"limit", IN(LIST), KIND_U32, FIELD(limit), 0, FILE_LIST_LIMIT_MAX, "limit: 1 to 1000000 is expected"},
    {"depth", IN(LIST), KIND_U32, FIELD(depth), 0, 65535, "depth: an integer of 16 bits is expected"},
    {"mode", IN(WRITE) | IN(MKDIR) | IN(CHANGE), KIND_U32, FIELD(mode), FIELD(has_mode), 07777, "mode: at most 07777 is expected"},
    {"sha256", IN(READ), KIND_BOOL, FIELD(wants_sha256), 0, 0, BOOL_PROBLEM("sha256")},
    {"sha256", IN(WRITE), KIND_SHA256, FIELD(expected_sha256), 0, 0, "sha256: 32 bytes are expected"},
    BOOL(append, IN(WRITE)),
    BOOL(parents, IN(WRITE) | IN(MKDIR) | IN_TAR_WRITE),
    BOOL(exclusive, IN(WRITE)),
    BOOL(sync, IN(WRITE)),
    BOOL(follow, IN(STAT) | IN(CHANGE)),
    BOOL(replace, IN(RENAME)),
    BOOL(recursive, IN(REMOVE) | IN(WATCH)),
};
#define KEY_COUNT (sizeof KEYS / sizeof KEYS[0])

static bool refuse(struct file_refusal *refusal, const char *code, const char *message) {
  *refusal = (struct file_refusal){code, message};
  return false;
}

static bool invalid(struct file_refusal *refusal, const char *message) {
  return refuse(refusal, "invalid_payload", message);
}

static bool is_bin(const struct msgpack_reader *reader) {
  return reader->at < reader->end && *reader->at >= 0xc4 && *reader->at <= 0xc6;
}

/* Moves the text onto its own header, so that there is room for the NUL behind it. */
static const char *end_text(const struct msgpack_bytes *text) {
  memmove(text->header, text->bytes, text->length);
  text->header[text->length] = '\0';
  return (const char *)text->header;
}

static bool has_nul(const struct msgpack_bytes *text) { return memchr(text->bytes, '\0', text->length) != NULL; }

static bool decode_path(const struct key *key, struct msgpack_reader *reader, const char **path,
                        struct file_refusal *refusal) {
  struct msgpack_bytes text;
  if (!(is_bin(reader) ? msgpack_read_bin(reader, &text) : msgpack_read_str(reader, &text)))
    return invalid(refusal, key->problem);
  if (text.length == 0) return refuse(refusal, "name_invalid", "a path is empty");
  if (text.length > FILE_PATH_BYTES_MAX) return refuse(refusal, "name_invalid", "a path is longer than 4095 bytes");
  if (has_nul(&text)) return refuse(refusal, "name_invalid", "a path holds a NUL byte");
  if (key->kind == KIND_ABSOLUTE_PATH && text.bytes[0] != '/') return invalid(refusal, "root: an absolute path is expected");
  *path = end_text(&text);
  return true;
}

static bool decode_value(const struct key *key, struct msgpack_reader *reader, struct file_request *request,
                         struct file_refusal *refusal) {
  void *field = (uint8_t *)request + key->field;
  uint64_t number;
  struct msgpack_bytes text;
  switch ((enum kind)key->kind) {
    case KIND_PATH:
    case KIND_ABSOLUTE_PATH:
    case KIND_NAME: return decode_path(key, reader, field, refusal);
    case KIND_BOOL: return msgpack_read_bool(reader, field) || invalid(refusal, key->problem);
    case KIND_USER:
      if (!msgpack_read_str(reader, &text) || text.length > USER_BYTES_MAX || has_nul(&text))
        return invalid(refusal, key->problem);
      *(const char **)field = end_text(&text);
      return true;
    case KIND_SHA256:
      if (!msgpack_read_bin(reader, &text) || text.length != FILE_SHA256_BYTES) return invalid(refusal, key->problem);
      *(const uint8_t **)field = text.bytes;
      return true;
    case KIND_U64:
    case KIND_U32:
      if (!msgpack_read_uint(reader, &number) || number > key->max) return invalid(refusal, key->problem);
      if (key->kind == KIND_U64) *(uint64_t *)field = number;
      else *(uint32_t *)field = (uint32_t)number;
      if (key->has_field != 0) *((bool *)request + key->has_field) = true;
      return true;
  }
  return false;
}

static const struct key *find_key(uint8_t type, const struct msgpack_bytes *name, size_t *index) {
  unsigned asked = 1u << (type - FRAME_FILE_READ);
  for (*index = 0; *index < KEY_COUNT; *index += 1)
    if ((KEYS[*index].requests & asked) != 0 && msgpack_is(name, KEYS[*index].name)) return &KEYS[*index];
  return NULL;
}

static bool check_together(const struct file_request *request, struct file_refusal *refusal) {
  if (request->path == NULL) return invalid(refusal, "path: the key is missing");
  if (request->type == FRAME_FILE_RENAME && request->to == NULL) return invalid(refusal, "to: the key is missing");
  if (request->append && request->has_offset) return invalid(refusal, "append: offset excludes it");
  if (request->after != NULL && request->depth > 1) return invalid(refusal, "after: depth over 1 excludes it");
  if (request->limit == 0) return invalid(refusal, "limit: 1 to 1000000 is expected");
  if (request->type == FRAME_FILE_LIST && request->depth == 0) return invalid(refusal, "depth: at least 1 is expected");
  return true;
}

bool decode_file_request(uint8_t type, uint8_t *payload, size_t payload_bytes, struct file_request *request,
                         struct file_refusal *refusal) {
  *request = (struct file_request){.type = type,
                                   .length = UINT64_MAX,
                                   .limit = FILE_LIST_LIMIT_MAX,
                                   .mode = type == FRAME_FILE_MKDIR ? 0755 : 0644,
                                   .depth = 1,
                                   .follow = true,
                                   .replace = true};
  struct msgpack_reader reader = msgpack_reader(payload, payload_bytes);
  size_t entries;
  if (!msgpack_read_map(&reader, &entries)) return invalid(refusal, "payload: a map is expected");
  uint32_t seen = 0;
  for (size_t i = 0; i < entries; i += 1) {
    struct msgpack_bytes name;
    if (!msgpack_read_str(&reader, &name)) return invalid(refusal, "payload: a map with string keys is expected");
    size_t index;
    const struct key *key = find_key(type, &name, &index);
    if (key == NULL) {
      if (!msgpack_skip(&reader, 2))
        return invalid(refusal, "payload: an unknown key's value is malformed or nested too deep");
      continue;
    }
    if ((seen & 1u << index) != 0) return invalid(refusal, "payload: a key is there twice");
    seen |= 1u << index;
    if (!decode_value(key, &reader, request, refusal)) return false;
  }
  if (!msgpack_finished(&reader)) return invalid(refusal, "payload: bytes are left after the map");
  return check_together(request, refusal);
}
