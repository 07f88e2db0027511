#define _GNU_SOURCE
#include "task_end.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "msgpack.h"
#include "task_output.h"
#include "worker.h"

/* ---- a process ---- */

static bool process_is_over(const struct task *task, uint64_t now_ms) {
  if (!task->exited) return false;
  if (outputs_at_end(task) || task->after_kill_bytes > AFTER_KILL_OUTPUT_BYTES_MAX) return true;
  return !has_output_waiting(task) && now_ms >= task->quiet_since_ms + EXIT_QUIET_MS;
}

static void write_exit(const struct task *task, struct link *link) {
  struct msgpack_writer payload = msgpack_writer(frame_writer_begin(&link->writer), CONTROL_FRAME_BYTES_MAX);
  bool signaled = WIFSIGNALED(task->wait_status);
  msgpack_write_map(&payload, 3);
  msgpack_write_str(&payload, signaled ? "signal" : "exit_code");
  msgpack_write_uint(&payload, (uint64_t)(signaled ? WTERMSIG(task->wait_status) : WEXITSTATUS(task->wait_status)));
  msgpack_write_str(&payload, "timed_out");
  msgpack_write_bool(&payload, task->timed_out);
  msgpack_write_str(&payload, "duration_us");
  msgpack_write_uint(&payload, task->ended_us - task->started_us);
  frame_writer_end(&link->writer, FRAME_EXEC_EXIT, task->channel, 0, msgpack_written(&payload));
}

/* Whoever attaches later still gets its last output and its exit: those of before may have been lost behind the link. */
static void keep_record(struct task_table *table, struct task *task) {
  if (task->deadline_stage == DEADLINE_TERMINATED) task_signal_group(task, SIGKILL);
  task->deadline_stage = DEADLINE_NONE;
  stdin_close(&task->input);
  outputs_leave_to_sinks(table, task);
  replay_seal(&task->replay);
  task->is_record = true;
  if (count_records(table) > RECORDS_MAX) drop_oldest_record(table);
}

size_t count_records(struct task_table *table) {
  size_t count = 0;
  for (size_t i = 0; i < table->active_count; i += 1) {
    const struct task *task = active_task(table, i);
    count += task->is_record && task->channel == 0;
  }
  return count;
}

bool drop_oldest_record(struct task_table *table) {
  struct task *oldest = NULL;
  for (size_t i = 0; i < table->active_count; i += 1) {
    struct task *task = active_task(table, i);
    if (!task->is_record || task->channel != 0) continue;
    if (oldest == NULL || task->ended_us < oldest->ended_us) oldest = task;
  }
  if (oldest != NULL) task_discard(table, oldest);
  return oldest != NULL;
}

/* ---- a worker ---- */

/* One message of the result socket into the link. The first byte says what the rest is. */
static void take_answer(struct task *task, struct link *link) {
  if (!task->result.readable || task->finished || !link_has_room(link, WORKER_RESULT_BYTES_MAX)) return;
  uint8_t kind = 0;
  uint8_t *map = frame_writer_begin(&link->writer);
  struct iovec parts[2] = {{&kind, 1}, {map, WORKER_RESULT_BYTES_MAX}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  ssize_t got = recvmsg(task->result.fd, &message, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
    task->result.readable = errno == EINTR;
    return;
  }
  uint32_t id = task->request_id;
  task->request_id = 0;
  if (got > 1 && kind == FRAME_ACK && !task->acknowledged) {
    task->acknowledged = true;
    frame_writer_end(&link->writer, FRAME_ACK, task->channel, id, (size_t)got - 1);
    return;
  }
  task->finished = true;
  bool whole = got > 1 && (message.msg_flags & MSG_TRUNC) == 0;
  if (whole && (kind == FRAME_END || kind == FRAME_ERROR)) frame_writer_end(&link->writer, kind, task->channel, id, (size_t)got - 1);
  else answer_error(link, task->channel, id, "io_error", "the worker ended without an answer");
}

bool worker_has_answer(const struct task *task) {
  return task->kind == TASK_WORKER && task->channel != 0 && task->result.readable && !task->finished &&
         (!task->acknowledged || outputs_at_end(task));
}

void take_worker_ack(struct task *task, struct link *link) {
  if (task->kind == TASK_WORKER && !task->acknowledged) take_answer(task, link);
}

static bool worker_may_end(const struct task *task) { return task->acknowledged && outputs_at_end(task); }

static bool worker_is_over(const struct task *task) {
  return task->finished || (worker_may_end(task) && task->result.readable);
}

/* ---- all kinds ---- */

/* A group may outlive its process: whoever is left is killed at the deadline before the task is forgotten. */
static bool abandoned_is_over(const struct task *task) {
  return task->exited && (task->group_gone || task->deadline_stage == DEADLINE_KILLED);
}

bool task_is_over(const struct task *task, uint64_t now_ms) {
  if (task->channel == 0 && !task->detached) return abandoned_is_over(task);
  if (task->channel == 0 && task->is_record) return false;
  switch (task->kind) {
    case TASK_PROCESS: return process_is_over(task, now_ms);
    case TASK_WORKER: return worker_is_over(task);
    default: return task->finished;
  }
}

static bool has_room_to_finish(const struct task *task, struct link *link) {
  if (task->channel == 0 || task->finished) return true;
  return link_has_room(link, task->kind == TASK_WORKER ? WORKER_RESULT_BYTES_MAX : CONTROL_FRAME_BYTES_MAX);
}

void finish_task(struct task_table *table, struct task *task, struct link *link, uint64_t now_ms) {
  if (!has_room_to_finish(task, link)) return;
  if (task->channel == 0 && task->detached) {
    keep_record(table, task);
  } else if (task->channel == 0) {
    task_discard(table, task);
  } else if (task->kind == TASK_TUNNEL) {
    task_discard(table, task);
  } else if (task->kind == TASK_WORKER) {
    take_answer(task, link);
    /* Having answered it exits by itself, and is only waited for. */
    if (task->finished) task_abandon(table, task, now_ms);
  } else {
    /* Members of the group that outlived the process and its timeout get no second two seconds. */
    if (task->deadline_stage == DEADLINE_TERMINATED) task_signal_group(task, SIGKILL);
    write_exit(task, link);
    if (task->detached) {
      task_leave_channel(table, task);
      keep_record(table, task);
    } else {
      outputs_leave_to_sinks(table, task);
      task_discard(table, task);
    }
  }
}

uint64_t task_quiet_deadline_ms(const struct task *task, uint64_t now_ms) {
  bool waits = task->kind == TASK_PROCESS && (task->channel != 0 || task->detached) && !task->is_record;
  if (!waits || !task->exited || has_output_waiting(task)) return UINT64_MAX;
  uint64_t quiet_at_ms = task->quiet_since_ms + EXIT_QUIET_MS;
  /* One that is over already waits for room on the link, not for time. */
  return quiet_at_ms > now_ms ? quiet_at_ms : UINT64_MAX;
}
