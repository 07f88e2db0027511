#include "exec_request.h"

#include <string.h>

#include "msgpack.h"

#define SIZE_EXPECTED "cols, rows: 1 to 10000 are expected"

enum key {
  KEY_ARGV = 1,
  KEY_ENV = 2,
  KEY_CWD = 4,
  KEY_USER = 8,
  KEY_STDIN = 16,
  KEY_TIMEOUT = 32,
  KEY_TTY = 64,
  KEY_COLUMNS = 128,
  KEY_ROWS = 256,
  KEY_DETACH = 512,
  KEY_REPLAY = 1024,
  KEY_WINDOW = 2048,
};

/* Moves the text onto its own header, so that there is room for the NUL behind it. */
static char *end_text(const struct msgpack_bytes *text) {
  memmove(text->header, text->bytes, text->length);
  text->header[text->length] = '\0';
  return (char *)text->header;
}

static bool has_nul(const struct msgpack_bytes *text) { return memchr(text->bytes, '\0', text->length) != NULL; }

static const char *decode_argv(struct msgpack_reader *reader, struct exec_request *request, size_t *bytes) {
  size_t count;
  if (!msgpack_read_array(reader, &count) || count == 0 || count > ARGUMENTS_MAX)
    return "argv: an array of 1 to 1024 strings is expected";
  for (size_t i = 0; i < count; i += 1) {
    struct msgpack_bytes text;
    if (!msgpack_read_str(reader, &text)) return "argv: an array of 1 to 1024 strings is expected";
    if (has_nul(&text)) return "argv: a string holds a NUL byte";
    *bytes += text.length;
    request->argv[i] = end_text(&text);
  }
  request->argv[count] = NULL;
  return NULL;
}

static const char *decode_env(struct msgpack_reader *reader, struct exec_request *request, size_t *bytes) {
  size_t count;
  if (!msgpack_read_map(reader, &count) || count > ENVIRONMENT_MAX)
    return "env: a map of at most 1024 strings is expected";
  for (size_t i = 0; i < count; i += 1) {
    struct msgpack_bytes name, value;
    if (!msgpack_read_str(reader, &name) || !msgpack_read_str(reader, &value))
      return "env: a map of at most 1024 strings is expected";
    if (name.length == 0 || memchr(name.bytes, '=', name.length) != NULL) return "env: a name is empty or holds '='";
    if (has_nul(&name) || has_nul(&value)) return "env: a name or value holds a NUL byte";
    *bytes += name.length + value.length;
    char *entry = end_text(&name);
    entry[name.length] = '=';
    memmove(entry + name.length + 1, value.bytes, value.length);
    entry[name.length + 1 + value.length] = '\0';
    request->env[i] = entry;
  }
  request->env[count] = NULL;
  return NULL;
}

static const char *decode_cwd(struct msgpack_reader *reader, struct exec_request *request) {
  struct msgpack_bytes text;
  if (!msgpack_read_str(reader, &text) || text.length >= PATH_BYTES_MAX || has_nul(&text))
    return "cwd: a string of at most 4095 bytes without NUL is expected";
  if (text.length > 0 && text.bytes[0] != '/') return "cwd: an absolute path is expected";
  request->cwd = text.length == 0 ? "/" : end_text(&text);
  return NULL;
}

static const char *decode_user(struct msgpack_reader *reader, struct exec_request *request) {
  struct msgpack_bytes text;
  if (!msgpack_read_str(reader, &text) || text.length > USER_BYTES_MAX || has_nul(&text))
    return "user: a string of at most 256 bytes without NUL is expected";
  request->user = end_text(&text);
  return NULL;
}

/* Within these bounds, or false. */
static bool read_number(struct msgpack_reader *reader, uint64_t lowest, uint64_t highest, uint32_t *number) {
  uint64_t value;
  if (!msgpack_read_uint(reader, &value) || value < lowest || value > highest) return false;
  *number = (uint32_t)value;
  return true;
}

static bool read_side(struct msgpack_reader *reader, uint16_t *side) {
  uint32_t value;
  if (!read_number(reader, 1, TERMINAL_SIDE_MAX, &value)) return false;
  *side = (uint16_t)value;
  return true;
}

static unsigned key_of(const struct msgpack_bytes *name) {
  if (msgpack_is(name, "argv")) return KEY_ARGV;
  if (msgpack_is(name, "env")) return KEY_ENV;
  if (msgpack_is(name, "cwd")) return KEY_CWD;
  if (msgpack_is(name, "user")) return KEY_USER;
  if (msgpack_is(name, "stdin")) return KEY_STDIN;
  if (msgpack_is(name, "timeout_ms")) return KEY_TIMEOUT;
  if (msgpack_is(name, "tty")) return KEY_TTY;
  if (msgpack_is(name, "cols")) return KEY_COLUMNS;
  if (msgpack_is(name, "rows")) return KEY_ROWS;
  if (msgpack_is(name, "detach")) return KEY_DETACH;
  if (msgpack_is(name, "replay")) return KEY_REPLAY;
  if (msgpack_is(name, "window")) return KEY_WINDOW;
  return 0;
}

static void set_defaults(struct exec_request *request) {
  request->argv[0] = NULL;
  request->env[0] = NULL;
  request->cwd = "/";
  request->user = "";
  request->stdin_open = false;
  request->timeout_ms = 0;
  request->tty = false;
  request->columns = 80;
  request->rows = 24;
  request->detach = false;
  request->replay_bytes = REPLAY_BYTES_DEFAULT;
  request->window = 0;
}

static const char *decode_value(struct msgpack_reader *reader, unsigned key, struct exec_request *request,
                                size_t *argument_bytes) {
  switch (key) {
    case KEY_ARGV: return decode_argv(reader, request, argument_bytes);
    case KEY_ENV: return decode_env(reader, request, argument_bytes);
    case KEY_CWD: return decode_cwd(reader, request);
    case KEY_USER: return decode_user(reader, request);
    case KEY_STDIN: return msgpack_read_bool(reader, &request->stdin_open) ? NULL : "stdin: a boolean is expected";
    case KEY_TTY: return msgpack_read_bool(reader, &request->tty) ? NULL : "tty: a boolean is expected";
    case KEY_DETACH: return msgpack_read_bool(reader, &request->detach) ? NULL : "detach: a boolean is expected";
    case KEY_COLUMNS: return read_side(reader, &request->columns) ? NULL : SIZE_EXPECTED;
    case KEY_ROWS: return read_side(reader, &request->rows) ? NULL : SIZE_EXPECTED;
    case KEY_TIMEOUT:
      return read_number(reader, 0, UINT32_MAX, &request->timeout_ms)
                 ? NULL
                 : "timeout_ms: an integer of 32 bits is expected";
    case KEY_REPLAY:
      return read_number(reader, 0, REPLAY_BYTES_MAX, &request->replay_bytes) ? NULL
                                                                              : "replay: 0 to 1048576 is expected";
    case KEY_WINDOW:
      return read_number(reader, 1, WINDOW_BYTES_MAX, &request->window) ? NULL : "window: 1 to 1048576 is expected";
    default: return msgpack_skip(reader, 2) ? NULL : "payload: an unknown key's value is malformed or nested too deep";
  }
}

const char *decode_exec_request(uint8_t *payload, size_t payload_bytes, struct exec_request *request) {
  struct msgpack_reader reader = msgpack_reader(payload, payload_bytes);
  size_t entries;
  if (!msgpack_read_map(&reader, &entries)) return "payload: a map is expected";
  set_defaults(request);
  unsigned seen = 0;
  size_t argument_bytes = 0;
  for (size_t i = 0; i < entries; i += 1) {
    struct msgpack_bytes name;
    if (!msgpack_read_str(&reader, &name)) return "payload: a map with string keys is expected";
    unsigned key = key_of(&name);
    if ((seen & key) != 0) return "payload: a key is there twice";
    seen |= key;
    const char *problem = decode_value(&reader, key, request, &argument_bytes);
    if (problem != NULL) return problem;
  }
  if (!msgpack_finished(&reader)) return "payload: bytes are left after the map";
  if ((seen & KEY_ARGV) == 0) return "argv: the key is missing";
  if (argument_bytes > ARGUMENT_BYTES_MAX) return "argv: argv and env together are more than 60000 bytes";
  if (request->tty && !request->stdin_open) return "stdin: a terminal has one";
  return NULL;
}

const char *decode_terminal_size(uint8_t *payload, size_t payload_bytes, uint16_t *columns, uint16_t *rows) {
  struct msgpack_reader reader = msgpack_reader(payload, payload_bytes);
  size_t entries = 0;
  *columns = *rows = 0;
  msgpack_read_map(&reader, &entries);
  for (size_t i = 0; i < entries; i += 1) {
    struct msgpack_bytes name;
    if (!msgpack_read_str(&reader, &name)) break;
    if (msgpack_is(&name, "cols")) {
      if (!read_side(&reader, columns)) return SIZE_EXPECTED;
    } else if (msgpack_is(&name, "rows")) {
      if (!read_side(&reader, rows)) return SIZE_EXPECTED;
    } else {
      msgpack_skip(&reader, 2);
    }
  }
  return msgpack_finished(&reader) && *columns != 0 && *rows != 0 ? NULL : SIZE_EXPECTED;
}
