#define _GNU_SOURCE
#include "tunnel.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "msgpack.h"
#include "requests.h"
#include "task_output.h"

#define EMPTY_MAP 0x80

/* ---- connecting ---- */

/* A socket that connects, or -1 with errno. */
static int begin_connect(int family, uint16_t port) {
  int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  static const int ON = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &ON, sizeof ON);
  struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  const struct sockaddr *address = family == AF_INET ? (const void *)&ipv4 : (const void *)&ipv6;
  socklen_t bytes = family == AF_INET ? sizeof ipv4 : sizeof ipv6;
  if (connect(fd, address, bytes) == 0 || errno == EINPROGRESS) return fd;
  int error_number = errno;
  close(fd);
  errno = error_number;
  return -1;
}

static bool open_ends(uint16_t port, int family, struct task_descriptors *ends) {
  int fd = begin_connect(family, port);
  if (fd < 0) return false;
  int second = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (second < 0) {
    close(fd);
    errno = EMFILE;
    return false;
  }
  *ends = (struct task_descriptors){.input = second, .outputs = {fd, -1}, .result = -1, .input_kind = STDIN_SOCKET};
  return true;
}

static const char *decode_connect(const struct frame *frame, uint32_t window_max, uint16_t *port, uint32_t *window) {
  struct msgpack_reader reader = msgpack_reader(frame->payload, frame->payload_bytes);
  size_t entries;
  if (!msgpack_read_map(&reader, &entries)) return "payload: a map is expected";
  uint64_t asked_port = 0, asked_window = window_max;
  for (size_t i = 0; i < entries; i += 1) {
    struct msgpack_bytes name;
    if (!msgpack_read_str(&reader, &name)) return "payload: a map with string keys is expected";
    if (msgpack_is(&name, "port")) msgpack_read_uint(&reader, &asked_port);
    else if (msgpack_is(&name, "window")) msgpack_read_uint(&reader, &asked_window);
    else msgpack_skip(&reader, 2);
  }
  if (!msgpack_finished(&reader)) return "payload: malformed";
  if (asked_port < 1 || asked_port > 65535) return "port: 1 to 65535 is expected";
  if (asked_window < 1 || asked_window > window_max) return WINDOW_EXPECTED;
  *port = (uint16_t)asked_port;
  *window = (uint32_t)asked_window;
  return NULL;
}

void handle_port_connect(struct agent *agent, const struct frame *frame) {
  if (!channel_may_open(agent, frame)) return;
  uint16_t port;
  uint32_t window;
  const char *problem = decode_connect(frame, agent->output_window, &port, &window);
  if (problem != NULL) {
    refuse(agent, frame, "invalid_payload", problem);
    return;
  }
  struct task_descriptors ends;
  int family = AF_INET;
  bool opened = open_ends(port, AF_INET, &ends);
  if (!opened && errno != EMFILE && errno != ENFILE && errno != ENOMEM) {
    family = AF_INET6;
    opened = open_ends(port, AF_INET6, &ends);
  }
  if (!opened) {
    bool is_limit = errno == EMFILE || errno == ENFILE || errno == ENOMEM;
    refuse(agent, frame, is_limit ? "limit_exceeded" : "connection_refused", strerror(errno));
    return;
  }
  struct task *task = task_open(&agent->tasks, TASK_TUNNEL, frame->channel, &ends);
  if (task == NULL) {
    refuse(agent, frame, "limit_exceeded", strerror(errno));
    close(ends.input);
    close(ends.outputs[STREAM_STDOUT]);
    return;
  }
  uint64_t now_ms = now_us() / 1000;
  task->request_id = frame->id;
  task->port = port;
  task->tried_ipv6 = family == AF_INET6;
  task->output_window = task->output_credit = window;
  task->deadline_ms = now_ms + CONNECT_MS;
  task->input.writable = false;
}

bool tunnel_can_settle(const struct task *task, uint64_t now_ms) {
  return task->kind == TASK_TUNNEL && !task->acknowledged && !task->finished &&
         (task->input.writable || now_ms >= task->deadline_ms);
}

static void refuse_tunnel(struct task *task, struct link *link, int error_number) {
  answer_error(link, task->channel, task->request_id, "connection_refused", strerror(error_number));
  task->finished = true;
}

static bool try_ipv6(struct task_table *table, struct task *task) {
  if (task->tried_ipv6) return false;
  task->tried_ipv6 = true;
  struct task_descriptors ends;
  return open_ends(task->port, AF_INET6, &ends) && task_replace_ends(table, task, &ends);
}

void tunnel_settle(struct task_table *table, struct task *task, struct link *link, uint64_t now_ms) {
  if (!tunnel_can_settle(task, now_ms) || !link_has_room(link, CONTROL_FRAME_BYTES_MAX)) return;
  if (!task->input.writable) {
    refuse_tunnel(task, link, ETIMEDOUT);
    return;
  }
  int error_number = 0;
  socklen_t bytes = sizeof error_number;
  if (getsockopt(task->input.fd, SOL_SOCKET, SO_ERROR, &error_number, &bytes) != 0) error_number = errno;
  struct pollfd state = {.fd = task->input.fd, .events = POLLOUT};
  if (error_number == 0 && poll(&state, 1, 0) == 1 && (state.revents & (POLLERR | POLLHUP)) == 0) {
    task->acknowledged = true;
    frame_writer_begin(&link->writer)[0] = EMPTY_MAP;
    frame_writer_end(&link->writer, FRAME_ACK, task->channel, task->request_id, 1);
    task->request_id = 0;
    task->outputs[STREAM_STDOUT].readable = true;
  } else if (error_number == 0 && state.revents == 0) {
    task->input.writable = false;
  } else if (!try_ipv6(table, task)) {
    refuse_tunnel(task, link, error_number == 0 ? ECONNREFUSED : error_number);
  }
}

/* ---- its ends ---- */

static bool output_ended(const struct task *task) { return task->outputs[STREAM_STDOUT].fd < 0; }

static bool is_broken(const struct task *task) { return task->output_broken || task->input.broken; }

bool tunnel_has_end_to_tell(const struct task *task) {
  if (task->kind != TASK_TUNNEL || !task->acknowledged || task->finished) return false;
  return is_broken(task) || (output_ended(task) && (!task->output_eof_told || task->input.fd < 0));
}

void tunnel_pump_ends(struct task *task, struct link *link) {
  while (tunnel_has_end_to_tell(task) && link_has_room(link, CONTROL_FRAME_BYTES_MAX)) {
    if (is_broken(task)) {
      answer_error(link, task->channel, 0, "connection_reset", "the peer broke the connection");
      task->finished = true;
    } else if (!task->output_eof_told) {
      frame_writer_begin(&link->writer);
      frame_writer_end(&link->writer, FRAME_OUTPUT_EOF, task->channel, 0, 0);
      task->output_eof_told = true;
    } else {
      frame_writer_begin(&link->writer)[0] = EMPTY_MAP;
      frame_writer_end(&link->writer, FRAME_END, task->channel, 0, 1);
      task->finished = true;
    }
  }
}

void tunnel_reset(struct task *task) {
  struct linger at_once = {.l_onoff = 1, .l_linger = 0};
  int fd = task->outputs[STREAM_STDOUT].fd >= 0 ? task->outputs[STREAM_STDOUT].fd : task->input.fd;
  if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}
