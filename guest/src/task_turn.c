/*
 * What one turn of the loop does for the tasks.
 *
 * Only those that are ready are visited: something happened to them (an event, a frame, a deadline) or they could go on if the
 * link had room. So a thousand idle channels cost a busy one nothing. `deadline_ms` of the table is a lower bound: at that
 * time every task is visited once, and says anew when its time comes.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/epoll.h>

#include "port_requests.h"
#include "task.h"
#include "task_end.h"
#include "task_output.h"
#include "tunnel.h"
#include "worker.h"

/* Blocked with something to write: UINT64_MAX unless trying again without being told may help. */
static uint64_t input_retry_at_ms(const struct task *task) {
  bool blocked = (task->terminal || task->input.room_false) && task->input.length > 0 && !task->input.writable;
  return blocked ? task->input_retry_ms : UINT64_MAX;
}

/* Sockets are always watched: they wake nobody who has not been turned away. */
static void ask_for_room(const struct task_table *table, struct task *task) {
  struct stdin_pipe *input = &task->input;
  if (input->length == 0 || input->writable || input->room_asked || input->room_false) return;
  if (input->kind == STDIN_SOCKET) return;
  uint32_t slot = (uint32_t)(task - table->slots);
  input->room_asked = rewatch(table->epoll_fd, input->fd, EPOLLOUT | EPOLLONESHOT, EVENT_STDIN, slot);
}

static void pump_input(const struct task_table *table, struct task *task, struct link *link, uint64_t now_ms) {
  if (now_ms >= input_retry_at_ms(task)) task->input.writable = true;
  bool trying = stdin_can_pump(&task->input);
  bool was_told = trying && !task->input.room_asked && task->input.kind != STDIN_SOCKET;
  uint32_t waiting = task->input.length;
  if (trying) task->input_retry_ms = now_ms + INPUT_RETRY_MS;
  stdin_pump(&task->input);
  /* gVisor calls a pipe writable that has less room than the few bytes which it only takes whole: asked again, it would say
   * so again at once, for as long as nobody reads. */
  if (trying) task->input.room_false = was_told && task->input.length == waiting;
  ask_for_room(table, task);
  if (task->channel != 0 && stdin_owes_credit(&task->input) && link_has_room(link, CONTROL_FRAME_BYTES_MAX))
    send_credit(link, task->channel, stdin_grant(&task->input));
}

/* ---- deadlines ---- */

static uint64_t earlier(uint64_t a, uint64_t b) { return a < b ? a : b; }

static bool waits_for_stage(const struct task *task) {
  return task->deadline_stage == DEADLINE_ARMED || task->deadline_stage == DEADLINE_TERMINATED;
}

/* When time alone changes something for this task; UINT64_MAX for never. */
static uint64_t task_deadline_ms(const struct task *task, uint64_t now_ms) {
  uint64_t next = earlier(task_quiet_deadline_ms(task, now_ms), input_retry_at_ms(task));
  bool connects = task->kind == TASK_TUNNEL && !task->acknowledged;
  return waits_for_stage(task) || connects ? earlier(next, task->deadline_ms) : next;
}

static void next_stage(struct task *task, uint64_t now_ms) {
  if (task->deadline_stage == DEADLINE_ARMED) {
    task->timed_out = true;
    task->deadline_stage = DEADLINE_TERMINATED;
    task->deadline_ms = now_ms + TIMEOUT_KILL_MS;
    task_signal_group(task, SIGTERM);
    task_signal_foreground(task, SIGTERM);
    task_signal_group(task, SIGCONT);
    task_signal_foreground(task, SIGCONT);
  } else {
    task->deadline_stage = DEADLINE_KILLED;
    task_signal_group(task, SIGKILL);
    task_signal_foreground(task, SIGKILL);
  }
}

void tasks_expire(struct task_table *table, uint64_t now_ms) {
  if (now_ms < table->deadline_ms) return;
  /* Visiting every task makes each of them say its next deadline again (tasks_pump). */
  table->deadline_ms = UINT64_MAX;
  for (size_t i = 0; i < table->active_count; i += 1) {
    struct task *task = active_task(table, i);
    if (waits_for_stage(task) && now_ms >= task->deadline_ms) next_stage(task, now_ms);
    task_touch(table, task);
  }
}

uint64_t tasks_next_deadline_ms(const struct task_table *table) {
  uint64_t others = earlier(sinks_next_deadline_ms(&table->sinks), ports_next_poll_ms(table));
  return earlier(table->deadline_ms, others);
}

/* ---- bytes and ends ---- */

/* The next ready slot from `slot` on; TASKS_MAX for none. */
static size_t next_ready(const struct task_table *table, size_t slot) {
  for (size_t word = slot / 64; word < READY_WORDS; word += 1) {
    uint64_t bits = table->ready[word];
    if (word == slot / 64) bits &= UINT64_MAX << slot % 64;
    if (bits != 0) return word * 64 + (size_t)__builtin_ctzll(bits);
  }
  return TASKS_MAX;
}

static bool is_ready(const struct task_table *table, size_t slot) {
  return (table->ready[slot / 64] >> slot % 64 & 1) != 0;
}

/* True when there is something to do for the task as far as it and its requester are concerned; `has_room` asks the link. */
static bool has_work(const struct task_table *table, const struct task *task, struct link *link, uint64_t now_ms,
                     bool (*has_room)(struct link *link, size_t payload_bytes)) {
  bool room_for_answer = has_room(link, CONTROL_FRAME_BYTES_MAX);
  if (stdin_can_pump(&task->input) && (task->kind != TASK_TUNNEL || task->acknowledged)) return true;
  if (output_can_pump(task, has_room(link, OUTPUT_ROOM_BYTES))) return true;
  if (worker_has_answer(task)) return has_room(link, WORKER_RESULT_BYTES_MAX);
  if (task_is_over(task, now_ms) && (task->channel == 0 || room_for_answer)) return true;
  if (!room_for_answer) return false;
  return (task->channel != 0 && stdin_owes_credit(&task->input)) || tunnel_has_end_to_tell(task) ||
         tunnel_can_settle(task, now_ms) || port_records_can_pump(table, task);
}

static bool always(struct link *link, size_t payload_bytes) {
  (void)link, (void)payload_bytes;
  return true;
}

static bool pump_task_output(struct task_table *table, size_t slot, struct link *link, uint64_t now_ms) {
  struct task *task = &table->slots[slot];
  if (task->channel == 0) return false;
  uint64_t sent = task->sent;
  take_worker_ack(task, link);
  tunnel_settle(table, task, link, now_ms);
  bool more = pump_output(task, link, now_ms);
  if (task->sent > sent) table->output_turn = slot + 1;
  return pump_port_records(table, task, link) || more;
}

/* One frame of each pipe, so that all tasks share the link; the link has room for a single large one, so that whoever had
 * it is last in the next round. True when there may be more. */
static bool pump_outputs(struct task_table *table, struct link *link, uint64_t now_ms) {
  bool more = false;
  size_t first = table->output_turn;
  for (size_t slot = next_ready(table, first); slot < TASKS_MAX; slot = next_ready(table, slot + 1))
    more |= pump_task_output(table, slot, link, now_ms);
  for (size_t slot = next_ready(table, 0); slot < first && slot < TASKS_MAX; slot = next_ready(table, slot + 1))
    more |= pump_task_output(table, slot, link, now_ms);
  return more;
}

void tasks_pump(struct task_table *table, struct link *link, uint64_t now_ms) {
  poll_ports(table, now_ms);
  while (pump_outputs(table, link, now_ms)) continue;
  for (size_t slot = next_ready(table, 0); slot < TASKS_MAX; slot = next_ready(table, slot + 1)) {
    struct task *task = &table->slots[slot];
    drain_unattended_output(task, now_ms);
    if (task->kind != TASK_TUNNEL || task->acknowledged) pump_input(table, task, link, now_ms);
    tunnel_pump_ends(task, link);
    if (task_is_over(task, now_ms)) finish_task(table, task, link, now_ms);
    if (!is_ready(table, slot)) continue;
    table->deadline_ms = earlier(table->deadline_ms, task_deadline_ms(task, now_ms));
    /* One that waits for room on the link stays ready. */
    if (!has_work(table, task, link, now_ms, always)) table->ready[slot / 64] &= ~(UINT64_C(1) << slot % 64);
  }
  sinks_drain(&table->sinks, now_ms);
}

bool tasks_runnable(const struct task_table *table, struct link *link, uint64_t now_ms) {
  for (size_t slot = next_ready(table, 0); slot < TASKS_MAX; slot = next_ready(table, slot + 1))
    if (has_work(table, &table->slots[slot], link, now_ms, link_has_room)) return true;
  return false;
}

void tasks_event(struct task_table *table, enum event_source source, uint32_t index) {
  if (source == EVENT_SINK) {
    sinks_event(&table->sinks, index);
    return;
  }
  struct task *task = &table->slots[index];
  /* A frame of the same turn has ended it: what its descriptors had to say came with one wake-up. */
  if (!task->in_use) return;
  task_touch(table, task);
  switch (source) {
    case EVENT_STDIN:
      task->input.writable = true;
      task->input.room_asked = false;
      break;
    case EVENT_STDOUT: task->outputs[STREAM_STDOUT].readable = task->outputs[STREAM_STDOUT].fd >= 0; break;
    case EVENT_STDERR: task->outputs[STREAM_STDERR].readable = task->outputs[STREAM_STDERR].fd >= 0; break;
    default: task->result.readable = task->result.fd >= 0;
  }
}
