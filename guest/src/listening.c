#define _GNU_SOURCE
#include "listening.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel_abi.h"

struct listening_request {
  struct netlink_header header;
  struct inet_diag_request request;
};

int listening_open(void) { return socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG_PROTOCOL); }

static bool ask(int fd, uint8_t family) {
  struct listening_request message = {
      .header = {.bytes = sizeof message, .type = SOCK_DIAG_BY_FAMILY_TYPE, .flags = NETLINK_REQUEST | NETLINK_DUMP},
      .request = {.family = family, .protocol = IPPROTO_TCP, .states = 1u << TCP_STATE_LISTEN},
  };
  /* Without an address it goes to the kernel. */
  return send(fd, &message, sizeof message, 0) == (ssize_t)sizeof message;
}

/* The answers come as the socket is read, without waiting. True at the end of all of them. */
static bool take_answers(int fd, struct port_set *open) {
  _Alignas(struct netlink_header) uint8_t answers[8192];
  for (;;) {
    ssize_t got = recv(fd, answers, sizeof answers, MSG_DONTWAIT);
    if (got <= 0) return false;
    size_t left = (size_t)got;
    for (uint8_t *at = answers; left >= sizeof(struct netlink_header);) {
      const struct netlink_header *header = (const void *)at;
      if (header->type == NETLINK_DONE_TYPE) return true;
      if (header->bytes < sizeof *header || header->bytes > left || header->type != SOCK_DIAG_BY_FAMILY_TYPE) return false;
      if (header->bytes >= sizeof *header + sizeof(struct inet_diag_answer)) {
        const struct inet_diag_answer *answer = (const void *)(at + sizeof *header);
        uint16_t port = ntohs(answer->source_port);
        if (answer->state == TCP_STATE_LISTEN) open->bits[port / 8] |= (uint8_t)(1u << port % 8);
      }
      size_t step = (header->bytes + 3u) & ~3u;
      if (step >= left) break;
      at += step;
      left -= step;
    }
  }
}

/* What an earlier question left unread, when it was given up. */
static void throw_away(int fd) {
  uint8_t byte;
  while (recv(fd, &byte, 1, MSG_DONTWAIT | MSG_TRUNC) > 0) continue;
}

bool listening_read(int fd, struct port_set *open) {
  if (fd < 0) return false;
  throw_away(fd);
  return ask(fd, AF_INET) && take_answers(fd, open) && ask(fd, AF_INET6) && take_answers(fd, open);
}
