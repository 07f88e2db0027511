/* An event that a task's end has overtaken in the same turn of the loop touches nobody. */
#define _GNU_SOURCE
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "task.h"

static struct link link_to_node;
static struct task_table table;

static struct task *open_task(enum task_kind kind, uint32_t channel, int peer[2]) {
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, peer) == 0);
  const struct task_descriptors descriptors = {
      .input = dup(peer[0]), .outputs = {peer[0], -1}, .result = -1, .input_kind = STDIN_SOCKET};
  return task_open(&table, kind, channel, &descriptors);
}

/* The requester closes the channel of a tunnel whose other end closes at the same time. */
static void a_tunnel_has_one_end(void) {
  int peer[2];
  struct task *task = open_task(TASK_TUNNEL, 3, peer);
  CHECK(task != NULL);
  task->acknowledged = true;
  task_abandon(&table, task, 1);
  tasks_event(&table, EVENT_STDOUT, 0);
  tasks_pump(&table, &link_to_node, 1);
  CHECK(link_to_node.writer.tail == 0);
  CHECK(table.active_count == 0);
  close(peer[1]);
}

/* Freeing a slot twice would give one task to two channels. */
static void a_process_is_forgotten_once(void) {
  int peer[2], other_peer[2];
  struct task *task = open_task(TASK_PROCESS, 3, peer);
  struct task *other = open_task(TASK_PROCESS, 4, other_peer);
  CHECK(task != NULL && other != NULL);
  task->exited = task->group_gone = true;
  task_discard(&table, task);
  tasks_event(&table, EVENT_STDIN, 0);
  tasks_pump(&table, &link_to_node, 1);
  CHECK(table.active_count == 1);
  CHECK(task_of_channel(&table, 4) == other);
  task_discard(&table, other);
  close(peer[1]);
  close(other_peer[1]);
}

int main(void) {
  tasks_init(&table, epoll_create1(EPOLL_CLOEXEC));
  a_tunnel_has_one_end();
  a_process_is_forgotten_once();
  close(table.epoll_fd);
  return checks_result();
}
