/* The MessagePack reader against bounds, lies about lengths and nesting, and the ExecStart decoder on top of it. */
#include "msgpack.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "exec_request.h"

static struct exec_request request;

/* On the heap and exactly as long as stated, so that a sanitizer sees one byte too many. */
static uint8_t *copy_of(const void *bytes, size_t length) {
  uint8_t *copy = malloc(length > 0 ? length : 1);
  if (copy != NULL && length > 0) memcpy(copy, bytes, length);
  return copy;
}

static void reads_integers_of_every_width(void) {
  static const struct {
    const char *bytes;
    size_t length;
    bool taken;
    uint64_t value;
  } CASES[] = {
      {"\x00", 1, true, 0},
      {"\x7f", 1, true, 127},
      {"\xcc\xff", 2, true, 255},
      {"\xcd\x01\x00", 3, true, 256},
      {"\xce\xff\xff\xff\xff", 5, true, 0xffffffff},
      {"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9, true, UINT64_MAX},
      {"\xd0\x7f", 2, true, 127},
      {"\xd2\x7f\xff\xff\xff", 5, true, 0x7fffffff},
      {"\xd0\x80", 2, false, 0},
      {"\xd3\xff\xff\xff\xff\xff\xff\xff\xff", 9, false, 0},
      {"\xff", 1, false, 0},
      {"\xca\x00\x00\x00\x00", 5, false, 0},
      {"\xcd\x01", 2, false, 0},
      {"\xcf\x00", 2, false, 0},
      {"", 0, false, 0},
  };
  for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i += 1) {
    uint8_t *bytes = copy_of(CASES[i].bytes, CASES[i].length);
    struct msgpack_reader reader = msgpack_reader(bytes, CASES[i].length);
    uint64_t value = 0;
    CHECK(msgpack_read_uint(&reader, &value) == CASES[i].taken);
    if (CASES[i].taken) CHECK(value == CASES[i].value && msgpack_finished(&reader));
    else CHECK(reader.failed);
    free(bytes);
  }
}

static void refuses_lies_about_length(void) {
  static const struct {
    const char *bytes;
    size_t length;
  } LIES[] = {
      {"\xa5" "abcd", 5},                 /* str of 5 with 4 */
      {"\xd9\xff" "a", 3},                /* str8 of 255 */
      {"\xda\xff\xff", 3},                /* str16 of 65535 with none */
      {"\xdb\xff\xff\xff\xff" "a", 6},    /* str32 of 4 GiB */
      {"\xdb\xff", 2},                    /* its length cut */
      {"\x82\xa1" "a\x01", 4},            /* map of 2 with 1 */
      {"\xde\xff\xff", 3},                /* map16 of 65535 */
      {"\xdf\xff\xff\xff\xff", 5},        /* map32 of 4 Gi */
      {"\x93\x01\x02", 3},                /* array of 3 with 2 */
      {"\xdd\xff\xff\xff\xff\x01", 6},    /* array32 */
      {"\xc6\xff\xff\xff\xff\x00", 6},    /* bin32 */
      {"\xc4", 1},                        /* bin8 without a length */
      {"\xc7\x01\x05\x00", 4},            /* an extension */
      {"\xd4\x01\x00", 3},                /* a fixed extension */
      {"\xc1", 1},                        /* never used */
      {"", 0},
  };
  for (size_t i = 0; i < sizeof LIES / sizeof LIES[0]; i += 1) {
    uint8_t *bytes = copy_of(LIES[i].bytes, LIES[i].length);
    struct msgpack_reader reader = msgpack_reader(bytes, LIES[i].length);
    CHECK(!msgpack_skip(&reader, 1));
    CHECK(reader.failed && !msgpack_finished(&reader));
    size_t entries;
    struct msgpack_bytes text;
    CHECK(!msgpack_read_map(&reader, &entries) && !msgpack_read_str(&reader, &text));
    free(bytes);
  }
}

static void bounds_nesting(void) {
  uint8_t bytes[64];
  for (size_t depth = 1; depth < 32; depth += 1) {
    memset(bytes, 0x91, depth);
    bytes[depth] = 0x01;
    struct msgpack_reader reader = msgpack_reader(bytes, depth + 1);
    CHECK(msgpack_skip(&reader, 1) == (depth <= MSGPACK_DEPTH_MAX));
  }
}

static void writes_the_smallest_form(void) {
  uint8_t bytes[64];
  static const struct {
    uint64_t value;
    size_t length;
  } CASES[] = {{0, 1}, {127, 1}, {128, 2}, {255, 2}, {256, 3}, {65535, 3}, {65536, 5}, {0xffffffff, 5}, {1ull << 32, 9}};
  for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i += 1) {
    struct msgpack_writer writer = msgpack_writer(bytes, sizeof bytes);
    msgpack_write_uint(&writer, CASES[i].value);
    CHECK(msgpack_written(&writer) == CASES[i].length);
    struct msgpack_reader reader = msgpack_reader(bytes, msgpack_written(&writer));
    uint64_t value;
    CHECK(msgpack_read_uint(&reader, &value) && value == CASES[i].value && msgpack_finished(&reader));
  }
  struct msgpack_writer small = msgpack_writer(bytes, 3);
  msgpack_write_str(&small, "does not fit");
  CHECK(small.overflowed && msgpack_written(&small) <= 3);
}

/* ---- ExecStart ---- */

struct builder {
  uint8_t bytes[70000];
  size_t length;
};

static struct builder built;

static void put(const void *bytes, size_t length) {
  memcpy(built.bytes + built.length, bytes, length);
  built.length += length;
}

static void put_text(const char *text, size_t length) {
  uint8_t header[3] = {0xda, (uint8_t)(length >> 8), (uint8_t)length};
  if (length < 32) {
    header[0] = (uint8_t)(0xa0 | length);
    put(header, 1);
  } else {
    put(header, 3);
  }
  put(text, length);
}

static void put_key(const char *key) { put_text(key, strlen(key)); }

static void start_map(unsigned entries) {
  built.length = 0;
  uint8_t header = (uint8_t)(0x80 | entries);
  put(&header, 1);
}

static void put_argv(const char *command) {
  put_key("argv");
  put("\x91", 1);
  put_text(command, strlen(command));
}

static const char *decode(void) {
  uint8_t *bytes = copy_of(built.bytes, built.length);
  static char problem[128];
  const char *found = decode_exec_request(bytes, built.length, &request);
  if (found == NULL) {
    /* Touches all that was decoded while the bytes are there, for the sanitizer. */
    size_t total = strlen(request.cwd) + strlen(request.user);
    for (char **text = request.argv; *text != NULL; text += 1) total += strlen(*text);
    for (char **text = request.env; *text != NULL; text += 1) total += strlen(*text);
    CHECK(total < 70000);
  } else {
    snprintf(problem, sizeof problem, "%s", found);
  }
  free(bytes);
  return found == NULL ? NULL : problem;
}

static bool names(const char *problem, const char *key) {
  return problem != NULL && strncmp(problem, key, strlen(key)) == 0;
}

static void decodes_a_request(void) {
  start_map(7);
  put_key("argv");
  put("\x93", 1);
  put_text("sh", 2);
  put_text("", 0);
  put_text("with space", 10);
  put_key("env");
  put("\x82", 1);
  put_text("A", 1);
  put_text("", 0);
  put_text("PATH", 4);
  put_text("/bin:/usr/bin", 13);
  put_key("cwd");
  put_text("/tmp", 4);
  put_key("user");
  put_text("user:group", 10);
  put_key("stdin");
  put("\xc3", 1);
  put_key("timeout_ms");
  put("\xcd\x03\xe8", 3);
  put_key("later");
  put("\x81\xa1k\x92\x01\xc0", 6);
  uint8_t *bytes = copy_of(built.bytes, built.length);
  CHECK(decode_exec_request(bytes, built.length, &request) == NULL);
  CHECK(strcmp(request.argv[0], "sh") == 0 && strcmp(request.argv[1], "") == 0);
  CHECK(strcmp(request.argv[2], "with space") == 0 && request.argv[3] == NULL);
  CHECK(strcmp(request.env[0], "A=") == 0 && strcmp(request.env[1], "PATH=/bin:/usr/bin") == 0 && request.env[2] == NULL);
  CHECK(strcmp(request.cwd, "/tmp") == 0 && strcmp(request.user, "user:group") == 0);
  CHECK(request.stdin_open && request.timeout_ms == 1000);
  free(bytes);
}

static void has_defaults(void) {
  start_map(1);
  put_argv("true");
  CHECK(decode() == NULL);
  CHECK(request.env[0] == NULL && !request.stdin_open && request.timeout_ms == 0);
  start_map(2);
  put_argv("true");
  put_key("cwd");
  put_text("", 0);
  CHECK(decode() == NULL);
}

static void refuses_what_is_out_of_bounds(void) {
  static char text[66000];
  memset(text, 'x', sizeof text);

  start_map(0);
  CHECK(names(decode(), "argv"));
  built.length = 0;
  CHECK(names(decode(), "payload"));
  start_map(2);
  put_argv("a");
  put_argv("b");
  CHECK(names(decode(), "payload"));
  start_map(1);
  put_argv("a");
  put("\xc0", 1);
  CHECK(names(decode(), "payload"));
  start_map(1);
  put_key("argv");
  put("\x90", 1);
  CHECK(names(decode(), "argv"));
  start_map(1);
  put_key("argv");
  put("\xdc\x04\x01", 3);
  for (int i = 0; i < 1025; i += 1) put_text("a", 1);
  CHECK(names(decode(), "argv"));
  start_map(1);
  put_key("argv");
  put("\xdc\x04\x00", 3);
  for (int i = 0; i < 1024; i += 1) put_text("a", 1);
  CHECK(decode() == NULL);
  start_map(1);
  put_key("argv");
  put("\x91", 1);
  put_text("a\0b", 3);
  CHECK(names(decode(), "argv"));
  start_map(1);
  put_key("argv");
  put("\x91", 1);
  put_text(text, 60000);
  CHECK(decode() == NULL);
  start_map(1);
  put_key("argv");
  put("\x91", 1);
  put_text(text, 60001);
  CHECK(names(decode(), "argv"));

  static const struct {
    const char *name;
    size_t name_bytes;
    const char *value;
    size_t value_bytes;
  } ENTRIES[] = {{"", 0, "v", 1}, {"a=b", 3, "v", 1}, {"a\0", 2, "v", 1}, {"a", 1, "v\0w", 3}};
  for (size_t i = 0; i < sizeof ENTRIES / sizeof ENTRIES[0]; i += 1) {
    start_map(2);
    put_argv("a");
    put_key("env");
    put("\x81", 1);
    put_text(ENTRIES[i].name, ENTRIES[i].name_bytes);
    put_text(ENTRIES[i].value, ENTRIES[i].value_bytes);
    CHECK(names(decode(), "env"));
  }
  start_map(2);
  put_argv("a");
  put_key("cwd");
  put_text("relative", 8);
  CHECK(names(decode(), "cwd"));
  start_map(2);
  put_argv("a");
  put_key("cwd");
  text[0] = '/';
  put_text(text, 4096);
  CHECK(names(decode(), "cwd"));
  start_map(2);
  put_argv("a");
  put_key("user");
  put_text(text, 257);
  CHECK(names(decode(), "user"));
  start_map(2);
  put_argv("a");
  put_key("stdin");
  put("\x01", 1);
  CHECK(names(decode(), "stdin"));
  start_map(2);
  put_argv("a");
  put_key("timeout_ms");
  put("\xcf\0\0\0\1\0\0\0\0", 9);
  CHECK(names(decode(), "timeout_ms"));
  start_map(2);
  put_argv("a");
  put_key("unknown");
  put("\x91\x91\x91\x91\x01", 5);
  CHECK(names(decode(), "payload"));
}

static void survives_every_cut_of_a_request(void) {
  start_map(3);
  put_argv("true");
  put_key("env");
  put("\x81", 1);
  put_text("PATH", 4);
  put_text("/bin", 4);
  put_key("cwd");
  put_text("/", 1);
  size_t whole = built.length;
  for (size_t cut = 0; cut < whole; cut += 1) {
    built.length = cut;
    CHECK(decode() != NULL);
  }
}

int main(void) {
  reads_integers_of_every_width();
  refuses_lies_about_length();
  bounds_nesting();
  writes_the_smallest_form();
  decodes_a_request();
  has_defaults();
  refuses_what_is_out_of_bounds();
  survives_every_cut_of_a_request();
  return checks_result();
}
