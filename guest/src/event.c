#include "event.h"

#include <sys/epoll.h>

static bool control(int epoll_fd, int operation, int fd, uint32_t events, enum event_source source, uint32_t index) {
  struct epoll_event event = {.events = events | EPOLLET, .data.u64 = (uint64_t)index << 32 | source};
  return epoll_ctl(epoll_fd, operation, fd, &event) == 0;
}

bool watch(int epoll_fd, int fd, uint32_t events, enum event_source source, uint32_t index) {
  return control(epoll_fd, EPOLL_CTL_ADD, fd, events, source, index);
}

bool rewatch(int epoll_fd, int fd, uint32_t events, enum event_source source, uint32_t index) {
  return control(epoll_fd, EPOLL_CTL_MOD, fd, events, source, index);
}
