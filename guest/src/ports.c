#define _GNU_SOURCE
#include "ports.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "listening.h"
#include "msgpack.h"

/* Listening sockets come first in the kernel's list; a sandbox with very many connections is not read to its end. */
#define SOCKET_TABLE_BYTES_MAX 1048576u

enum column { COLUMN_LOCAL_ADDRESS = 1, COLUMN_STATE = 3 };

#define STATE_LISTEN "0A"

static bool parse_hexadecimal(const char *text, size_t length, unsigned *value) {
  *value = 0;
  for (size_t i = 0; i < length; i += 1) {
    char letter = text[i];
    unsigned digit = letter >= '0' && letter <= '9'   ? (unsigned)(letter - '0')
                     : letter >= 'A' && letter <= 'F' ? (unsigned)(letter - 'A' + 10)
                                                      : 16;
    if (digit == 16) return false;
    *value = *value * 16 + digit;
  }
  return length > 0;
}

static void end_word(struct port_parser *parser, struct port_set *open) {
  if (parser->length == 0) return;
  if (parser->column == COLUMN_LOCAL_ADDRESS && parser->length <= sizeof parser->word) {
    const char *colon = memchr(parser->word, ':', parser->length);
    unsigned value = 0;
    size_t digits = colon == NULL ? 0 : (size_t)(parser->word + parser->length - colon - 1);
    parser->port = digits == 4 && parse_hexadecimal(colon + 1, digits, &value) ? (uint16_t)value : 0;
  } else if (parser->column == COLUMN_STATE && parser->port != 0 && parser->length == sizeof STATE_LISTEN - 1 &&
             memcmp(parser->word, STATE_LISTEN, parser->length) == 0) {
    open->bits[parser->port / 8] |= (uint8_t)(1u << parser->port % 8);
  }
  parser->column += 1;
  parser->length = 0;
}

void parse_ports(struct port_parser *parser, const char *text, size_t length, struct port_set *open) {
  for (size_t i = 0; i < length; i += 1) {
    if (text[i] == ' ' || text[i] == '\n') {
      end_word(parser, open);
      if (text[i] != '\n') continue;
      parser->column = 0;
      parser->port = 0;
    } else {
      if (parser->length < sizeof parser->word) parser->word[parser->length] = text[i];
      parser->length += 1;
    }
  }
}

void list_ports(const struct port_set *open, struct port_list *list) {
  list->count = 0;
  for (unsigned byte = 0; byte < sizeof open->bits && list->count < PORTS_MAX; byte += 1) {
    if (open->bits[byte] == 0) continue;
    for (unsigned bit = 0; bit < 8 && list->count < PORTS_MAX; bit += 1)
      if ((open->bits[byte] >> bit & 1) != 0) list->ports[list->count++] = (uint16_t)(byte * 8 + bit);
  }
}

static void read_socket_table(const char *path, struct port_set *found) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return;
  struct port_parser parser = {0};
  char text[4096];
  size_t total = 0;
  for (;;) {
    ssize_t got = read(fd, text, sizeof text);
    if (got <= 0) break;
    parse_ports(&parser, text, (size_t)got, found);
    total += (size_t)got;
    if (total > SOCKET_TABLE_BYTES_MAX) break;
  }
  close(fd);
}

void read_open_ports(int diag_fd, struct port_list *list) {
  struct port_set open;
  memset(&open, 0, sizeof open);
  if (!listening_read(diag_fd, &open)) {
    read_socket_table("/proc/net/tcp", &open);
    read_socket_table("/proc/net/tcp6", &open);
  }
  list_ports(&open, list);
}

struct port_watch *port_watch_open(void) {
  void *mapped =
      mmap(NULL, sizeof(struct port_watch), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return mapped == MAP_FAILED ? NULL : mapped;
}

void port_watch_close(struct port_watch *watch) {
  if (watch != NULL) munmap(watch, sizeof *watch);
}

/* The first difference: a port, and whether it is open now. False for none. */
static bool first_difference(const struct port_watch *watch, const struct port_list *open, uint16_t *port,
                             bool *is_open, size_t *place) {
  const struct port_list *told = &watch->told;
  size_t i = 0;
  while (i < told->count && i < open->count && told->ports[i] == open->ports[i]) i += 1;
  if (i == told->count && i == open->count) return false;
  *place = i;
  *is_open = i == told->count || (i < open->count && open->ports[i] < told->ports[i]);
  *port = *is_open ? open->ports[i] : told->ports[i];
  return true;
}

static void note_told(struct port_list *told, uint16_t port, bool is_open, size_t place) {
  uint16_t *at = told->ports + place;
  if (is_open) {
    /* The list never holds more than both together; beyond the bound the last ones fall off and are told again. */
    size_t moved = told->count - place;
    if (told->count == PORTS_MAX) moved -= 1;
    else told->count += 1;
    memmove(at + 1, at, moved * sizeof *at);
    *at = port;
  } else {
    memmove(at, at + 1, (told->count - place - 1) * sizeof *at);
    told->count -= 1;
  }
}

static void write_record(struct port_watch *watch, uint16_t port, bool is_open) {
  struct msgpack_writer map = msgpack_writer(watch->rest + 2, sizeof watch->rest - 2);
  msgpack_write_map(&map, 2);
  msgpack_write_str(&map, "port");
  msgpack_write_uint(&map, port);
  msgpack_write_str(&map, "open");
  msgpack_write_bool(&map, is_open);
  size_t bytes = msgpack_written(&map);
  watch->rest[0] = (uint8_t)(bytes >> 8);
  watch->rest[1] = (uint8_t)bytes;
  watch->rest_bytes = 2 + bytes;
}

size_t port_watch_write(struct port_watch *watch, const struct port_list *open, uint8_t *target, size_t room) {
  size_t written = 0;
  while (written < room) {
    uint16_t port;
    bool is_open;
    size_t place;
    if (watch->rest_bytes == 0) {
      if (!first_difference(watch, open, &port, &is_open, &place)) break;
      note_told(&watch->told, port, is_open, place);
      write_record(watch, port, is_open);
    }
    size_t piece = watch->rest_bytes < room - written ? watch->rest_bytes : room - written;
    memcpy(target + written, watch->rest, piece);
    memmove(watch->rest, watch->rest + piece, watch->rest_bytes - piece);
    watch->rest_bytes -= piece;
    written += piece;
  }
  return written;
}

bool port_watch_is_current(const struct port_watch *watch, const struct port_list *open) {
  uint16_t port;
  bool is_open;
  size_t place;
  return watch->rest_bytes == 0 && !first_difference(watch, open, &port, &is_open, &place);
}
