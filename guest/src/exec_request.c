#include "exec_request.h"

#include <string.h>

#include "msgpack.h"

enum key { KEY_ARGV = 1, KEY_ENV = 2, KEY_CWD = 4, KEY_USER = 8, KEY_STDIN = 16, KEY_TIMEOUT = 32 };

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

static const char *decode_timeout(struct msgpack_reader *reader, struct exec_request *request) {
  uint64_t value;
  if (!msgpack_read_uint(reader, &value) || value > UINT32_MAX) return "timeout_ms: an integer of 32 bits is expected";
  request->timeout_ms = (uint32_t)value;
  return NULL;
}

static unsigned key_of(const struct msgpack_bytes *name) {
  if (msgpack_is(name, "argv")) return KEY_ARGV;
  if (msgpack_is(name, "env")) return KEY_ENV;
  if (msgpack_is(name, "cwd")) return KEY_CWD;
  if (msgpack_is(name, "user")) return KEY_USER;
  if (msgpack_is(name, "stdin")) return KEY_STDIN;
  if (msgpack_is(name, "timeout_ms")) return KEY_TIMEOUT;
  return 0;
}

const char *decode_exec_request(uint8_t *payload, size_t payload_bytes, struct exec_request *request) {
  struct msgpack_reader reader = msgpack_reader(payload, payload_bytes);
  size_t entries;
  if (!msgpack_read_map(&reader, &entries)) return "payload: a map is expected";
  request->argv[0] = NULL;
  request->env[0] = NULL;
  request->cwd = "/";
  request->user = "";
  request->stdin_open = false;
  request->timeout_ms = 0;
  unsigned seen = 0;
  size_t argument_bytes = 0;
  for (size_t i = 0; i < entries; i += 1) {
    struct msgpack_bytes name;
    if (!msgpack_read_str(&reader, &name)) return "payload: a map with string keys is expected";
    unsigned key = key_of(&name);
    if ((seen & key) != 0) return "payload: a key is there twice";
    seen |= key;
    const char *problem = NULL;
    switch (key) {
      case KEY_ARGV: problem = decode_argv(&reader, request, &argument_bytes); break;
      case KEY_ENV: problem = decode_env(&reader, request, &argument_bytes); break;
      case KEY_CWD: problem = decode_cwd(&reader, request); break;
      case KEY_USER: problem = decode_user(&reader, request); break;
      case KEY_TIMEOUT: problem = decode_timeout(&reader, request); break;
      case KEY_STDIN:
        if (!msgpack_read_bool(&reader, &request->stdin_open)) problem = "stdin: a boolean is expected";
        break;
      default:
        if (!msgpack_skip(&reader, 2)) problem = "payload: an unknown key's value is malformed or nested too deep";
    }
    if (problem != NULL) return problem;
  }
  if (!msgpack_finished(&reader)) return "payload: bytes are left after the map";
  if ((seen & KEY_ARGV) == 0) return "argv: the key is missing";
  if (argument_bytes > ARGUMENT_BYTES_MAX) return "argv: argv and env together are more than 60000 bytes";
  return NULL;
}
