/* Input for a descriptor that calls itself writable and takes nothing: nobody is woken again and again for it. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "check.h"
#include "task.h"

#define TURNS 100u

static struct link unused_link;
static struct task_table table;

/* What a turn of the loop does without a link; true when it was woken by an event. */
static bool turn(uint64_t now_ms) {
  struct epoll_event event;
  bool woken = epoll_wait(table.epoll_fd, &event, 1, 0) == 1;
  if (woken) tasks_event(&table, event_source(event.data.u64), event_index(event.data.u64));
  tasks_expire(&table, now_ms);
  tasks_pump(&table, &unused_link, now_ms);
  return woken;
}

/* As on gVisor, where a pipe with some room left takes a few bytes whole or not at all: an eventfd takes a number whole, and
 * says that it is writable for as long as it would take a smaller one. */
int main(void) {
  tasks_init(&table, epoll_create1(EPOLL_CLOEXEC));
  int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  const struct task_descriptors descriptors = {.input = fd, .outputs = {-1, -1}, .result = -1, .input_kind = STDIN_PIPE};
  struct task *task = task_open(&table, TASK_PROCESS, 3, &descriptors);
  CHECK(task != NULL);

  uint8_t number[8];
  memset(number, 0x7f, sizeof number);
  for (unsigned i = 0; i < 3; i += 1) CHECK(stdin_take(&task->input, number, sizeof number) == STDIN_TAKEN);
  CHECK(task->input.length == sizeof number);

  unsigned woken = 0;
  for (unsigned i = 0; i < TURNS; i += 1) woken += turn(1);
  CHECK(woken == 1);
  CHECK(!tasks_runnable(&table, &unused_link, 1));

  uint64_t taken;
  CHECK(tasks_next_deadline_ms(&table) == 1 + INPUT_RETRY_MS);
  CHECK(read(fd, &taken, sizeof taken) == sizeof taken);
  turn(1 + INPUT_RETRY_MS);
  CHECK(task->input.length == 0);
  CHECK(!task->input.room_false);
  task_discard(&table, task);
  close(table.epoll_fd);
  return checks_result();
}
