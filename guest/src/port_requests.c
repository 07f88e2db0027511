#include "port_requests.h"

#include "msgpack.h"
#include "ports.h"
#include "requests.h"
#include "task_output.h"

#define EMPTY_MAP 0x80

void handle_port_list(struct agent *agent, const struct frame *frame) {
  if (!question_is_valid(agent, frame)) return;
  struct port_list list;
  read_open_ports(agent->tasks.diag_fd, &list);
  struct msgpack_writer payload = msgpack_writer(frame_writer_begin(&agent->link.writer), PORT_LIST_BYTES_MAX);
  msgpack_write_map(&payload, 1);
  msgpack_write_str(&payload, "ports");
  msgpack_write_array(&payload, (unsigned)list.count);
  for (size_t i = 0; i < list.count; i += 1) msgpack_write_uint(&payload, list.ports[i]);
  frame_writer_end(&agent->link.writer, FRAME_ACK, frame->channel, frame->id, msgpack_written(&payload));
}

void handle_port_watch(struct agent *agent, const struct frame *frame) {
  if (!channel_may_open(agent, frame)) return;
  uint32_t window;
  const char *problem = decode_window(frame, agent->output_window, &window);
  if (problem != NULL) {
    refuse(agent, frame, "invalid_payload", problem);
    return;
  }
  static const struct task_descriptors NONE = {.input = -1, .outputs = {-1, -1}, .result = -1};
  struct port_watch *watch = port_watch_open();
  struct task *task =
      watch == NULL ? NULL : task_open(&agent->tasks, TASK_PORT_WATCH, frame->channel, &NONE);
  if (task == NULL) {
    port_watch_close(watch);
    refuse(agent, frame, "limit_exceeded", "no memory for a watch");
    return;
  }
  task->acknowledged = true;
  task->port_watch = watch;
  task->output_window = task->output_credit = window;
  /* The list may be old: nobody has read it since the last watcher left. */
  if (agent->tasks.port_watchers == 0) agent->tasks.ports_due_ms = 0;
  agent->tasks.port_watchers += 1;
  frame_writer_begin(&agent->link.writer)[0] = EMPTY_MAP;
  frame_writer_end(&agent->link.writer, FRAME_ACK, frame->channel, frame->id, 1);
}

void poll_ports(struct task_table *table, uint64_t now_ms) {
  if (now_ms < ports_next_poll_ms(table)) return;
  read_open_ports(table->diag_fd, &table->open_ports);
  table->ports_due_ms = now_ms + PORT_POLL_MS;
  for (size_t i = 0; i < table->active_count; i += 1)
    if (active_task(table, i)->kind == TASK_PORT_WATCH) task_touch(table, active_task(table, i));
}

uint64_t ports_next_poll_ms(const struct task_table *table) {
  return table->port_watchers == 0 ? UINT64_MAX : table->ports_due_ms;
}

bool port_records_can_pump(const struct task_table *table, const struct task *task) {
  return task->kind == TASK_PORT_WATCH && task->output_credit > 0 &&
         !port_watch_is_current(task->port_watch, &table->open_ports);
}

bool pump_port_records(struct task_table *table, struct task *task, struct link *link) {
  if (!port_records_can_pump(table, task) || !has_room_for_output(link)) return false;
  size_t room = task->output_credit < OUTPUT_ROOM_BYTES_MIN ? task->output_credit : OUTPUT_ROOM_BYTES_MIN;
  size_t bytes =
      port_watch_write(task->port_watch, &table->open_ports, frame_writer_begin(&link->writer), room);
  frame_writer_end(&link->writer, FRAME_OUTPUT, task->channel, 0, bytes);
  task->output_credit -= (uint32_t)bytes;
  return true;
}
