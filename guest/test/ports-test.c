/*
 * The kernel's socket table, and what a watcher is told.
 */
#include "ports.h"

#include <string.h>

#include "check.h"

static const char TABLE[] =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12345 1 0 100 0 0 10 0\n"
    "   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12346 1 0 100 0 0 10 0\n"
    "   2: 0100007F:1F91 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 12347 1 0 20 4 30 10 -1\n"
    "   3: 00000000:FFFF 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12348 1 0 100 0 0 10 0\n";

static const char TABLE6[] =
    "  sl  local_address                         remote_address                        st tx_queue rx_queue\n"
    "   0: 00000000000000000000000001000000:0BB8 00000000000000000000000000000000:0000 0A 00000000:00000000\n";

static void parse(const char *text, size_t length, size_t piece, struct port_list *list) {
  struct port_parser parser = {0};
  struct port_set open;
  memset(&open, 0, sizeof open);
  for (size_t at = 0; at < length; at += piece) parse_ports(&parser, text + at, at + piece > length ? length - at : piece, &open);
  list_ports(&open, list);
}

static void finds_what_listens_however_the_text_is_cut(void) {
  for (size_t piece = 1; piece < 300; piece += 1) {
    struct port_list list;
    parse(TABLE, sizeof TABLE - 1, piece, &list);
    CHECK(list.count == 3);
    CHECK(list.ports[0] == 22 && list.ports[1] == 8080 && list.ports[2] == 65535);
    parse(TABLE6, sizeof TABLE6 - 1, piece, &list);
    CHECK(list.count == 1 && list.ports[0] == 3000);
  }
}

static void passes_over_what_it_does_not_know(void) {
  static const char *const WRONG[] = {
      "", "\n\n\n", "0: 1 2 0A\n", "0: 1:1F9 x 0A\n", "0: 1:1f90 x 0A\n", "0: 1:1F90:1F91 x 0A \n",
      "0: 11111111111111111111111111111111111111111111111111111111111111111111111111111111:1F90 x 0A\n", "0: 1:0000 x 0A\n"};
  for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i += 1) {
    struct port_list list;
    parse(WRONG[i], strlen(WRONG[i]), 7, &list);
    CHECK(list.count == 0);
  }
}

static void lists_no_more_than_its_bound(void) {
  struct port_set open;
  memset(&open, 0xff, sizeof open);
  static struct port_list list;
  list_ports(&open, &list);
  CHECK(list.count == PORTS_MAX);
  CHECK(list.ports[0] == 0 && list.ports[PORTS_MAX - 1] == PORTS_MAX - 1);
}

/* Applies records to a set, and says how many there were. */
static size_t apply(const uint8_t *bytes, size_t length, struct port_set *set) {
  size_t count = 0;
  for (size_t at = 0; at + 2 <= length; count += 1) {
    size_t record = (size_t)bytes[at] << 8 | bytes[at + 1];
    const uint8_t *map = bytes + at + 2;
    CHECK(map[0] == 0x82 && memcmp(map + 1, "\xa4port", 5) == 0);
    const uint8_t *value = map + 6;
    unsigned port = value[0] <= 0x7f ? value[0] : value[0] == 0xcc ? value[1] : (unsigned)value[1] << 8 | value[2];
    if (map[record - 1] == 0xc3) set->bits[port / 8] |= (uint8_t)(1u << port % 8);
    else set->bits[port / 8] &= (uint8_t)~(1u << port % 8);
    at += 2 + record;
  }
  return count;
}

static void tells_the_difference_however_little_fits(void) {
  static uint8_t told[200000];
  for (size_t room = 1; room < 100; room += 7) {
    struct port_watch *watch = port_watch_open();
    CHECK(watch != NULL);
    struct port_set believed;
    memset(&believed, 0, sizeof believed);
    for (unsigned round = 1; round < 40; round += 1) {
      struct port_set open;
      memset(&open, 0, sizeof open);
      for (unsigned port = 1; port < 65536; port += 97 * round + port % 13)
        if (port % round != 1) open.bits[port / 8] |= (uint8_t)(1u << port % 8);
      struct port_list list;
      list_ports(&open, &list);
      size_t bytes = 0;
      while (!port_watch_is_current(watch, &list)) {
        size_t wrote = port_watch_write(watch, &list, told + bytes, room);
        CHECK(wrote >= 1 && wrote <= room);
        bytes += wrote;
      }
      apply(told, bytes, &believed);
      struct port_list result;
      list_ports(&believed, &result);
      CHECK(result.count == list.count);
      CHECK(memcmp(result.ports, list.ports, list.count * sizeof list.ports[0]) == 0);
    }
    port_watch_close(watch);
  }
}

int main(void) {
  finds_what_listens_however_the_text_is_cut();
  passes_over_what_it_does_not_know();
  lists_no_more_than_its_bound();
  tells_the_difference_however_little_fits();
  return checks_result();
}
