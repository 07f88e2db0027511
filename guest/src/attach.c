/*
 * ExecAttach and ExecList: back to processes that outlived their channel, or that another channel has.
 */
#include <sys/wait.h>

#include "msgpack.h"
#include "requests.h"

/* ---- ExecAttach ---- */

struct attach_request {
  uint64_t process;
  bool has_offset;
  uint64_t offset;
  uint64_t window;
};

static const char *decode_attach(const struct frame *frame, uint32_t window_max, struct attach_request *request) {
  struct msgpack_reader reader = msgpack_reader(frame->payload, frame->payload_bytes);
  size_t entries;
  if (!msgpack_read_map(&reader, &entries)) return "payload: a map is expected";
  *request = (struct attach_request){.window = window_max};
  for (size_t i = 0; i < entries; i += 1) {
    struct msgpack_bytes name;
    if (!msgpack_read_str(&reader, &name)) return "payload: a map with string keys is expected";
    if (msgpack_is(&name, "process")) msgpack_read_uint(&reader, &request->process);
    else if (msgpack_is(&name, "offset")) request->has_offset = msgpack_read_uint(&reader, &request->offset);
    else if (msgpack_is(&name, "window")) msgpack_read_uint(&reader, &request->window);
    else msgpack_skip(&reader, 2);
  }
  if (!msgpack_finished(&reader)) return "payload: malformed";
  if (request->process == 0 || request->process > UINT32_MAX) return "process: an integer from 1 is expected";
  if (request->window == 0 || request->window > window_max) return WINDOW_EXPECTED;
  return NULL;
}

static struct task *find_process(struct agent *agent, uint32_t process) {
  for (size_t i = 0; i < agent->tasks.active_count; i += 1) {
    struct task *task = active_task(&agent->tasks, i);
    /* An abandoned one is only given time to end. */
    if (task->kind == TASK_PROCESS && task->process == process && (task->channel != 0 || task->detached)) return task;
  }
  return NULL;
}

static void answer_attached(struct agent *agent, const struct frame *frame, const struct task *task) {
  struct msgpack_writer payload = msgpack_writer(frame_writer_begin(&agent->link.writer), CONTROL_FRAME_BYTES_MAX);
  msgpack_write_map(&payload, 5);
  msgpack_write_str(&payload, "pid");
  msgpack_write_uint(&payload, (uint64_t)task->pid);
  msgpack_write_str(&payload, "process");
  msgpack_write_uint(&payload, task->process);
  msgpack_write_str(&payload, "offset");
  msgpack_write_uint(&payload, task->sent);
  msgpack_write_str(&payload, "input");
  msgpack_write_uint(&payload, task->input.taken_total);
  msgpack_write_str(&payload, "tty");
  msgpack_write_bool(&payload, task->terminal);
  frame_writer_end(&agent->link.writer, FRAME_ACK, frame->channel, frame->id, msgpack_written(&payload));
}

void handle_exec_attach(struct agent *agent, const struct frame *frame) {
  if (!channel_may_open(agent, frame)) return;
  struct attach_request request;
  const char *problem = decode_attach(frame, agent->output_window, &request);
  if (problem != NULL) {
    refuse(agent, frame, "invalid_payload", problem);
    return;
  }
  struct task *task = find_process(agent, (uint32_t)request.process);
  if (task == NULL) {
    refuse(agent, frame, "process_unknown", "no such process, or its record is gone");
    return;
  }
  if (request.has_offset && request.offset > task->replay.end) {
    refuse(agent, frame, "invalid_payload", "offset: beyond what was written");
    return;
  }
  if (!stdin_new_window(&task->input)) {
    refuse(agent, frame, "limit_exceeded", "the process has not read the input of its former channels");
    return;
  }
  if (task->channel != 0) answer_error(&agent->link, task->channel, 0, "taken_over", "another channel has the process");
  task_move_to_channel(&agent->tasks, task, frame->channel);
  uint64_t oldest = replay_start(&task->replay);
  task->sent = request.has_offset && request.offset > oldest ? request.offset : oldest;
  task->output_window = task->output_credit = (uint32_t)request.window;
  answer_attached(agent, frame, task);
}

/* ---- ExecList ---- */

static void write_process(struct msgpack_writer *payload, const struct task *task) {
  msgpack_write_map(payload, task->exited ? 10 : 9);
  msgpack_write_str(payload, "process");
  msgpack_write_uint(payload, task->process);
  msgpack_write_str(payload, "pid");
  msgpack_write_uint(payload, (uint64_t)task->pid);
  msgpack_write_str(payload, "argv0");
  msgpack_write_str(payload, task->name);
  msgpack_write_str(payload, "tty");
  msgpack_write_bool(payload, task->terminal);
  msgpack_write_str(payload, "detach");
  msgpack_write_bool(payload, task->detached);
  msgpack_write_str(payload, "attached");
  msgpack_write_bool(payload, task->channel != 0);
  msgpack_write_str(payload, "running");
  msgpack_write_bool(payload, !task->exited);
  msgpack_write_str(payload, "start");
  msgpack_write_uint(payload, replay_start(&task->replay));
  msgpack_write_str(payload, "end");
  msgpack_write_uint(payload, task->replay.end);
  if (!task->exited) return;
  bool signaled = WIFSIGNALED(task->wait_status);
  msgpack_write_str(payload, signaled ? "signal" : "exit_code");
  msgpack_write_uint(payload, (uint64_t)(signaled ? WTERMSIG(task->wait_status) : WEXITSTATUS(task->wait_status)));
}

/* Those that can be attached to by whoever lost them come first, the others as far as there are places. Sorted by number. */
static size_t choose_listed(struct agent *agent, const struct task *listed[PROCESSES_LISTED_MAX]) {
  size_t count = 0;
  for (int detached = 1; detached >= 0; detached -= 1) {
    for (size_t i = 0; i < agent->tasks.active_count && count < PROCESSES_LISTED_MAX; i += 1) {
      const struct task *task = active_task(&agent->tasks, i);
      if (task->kind != TASK_PROCESS || task->detached != (detached == 1)) continue;
      if (task->channel == 0 && !task->detached) continue;
      size_t place = count;
      while (place > 0 && listed[place - 1]->process > task->process) {
        listed[place] = listed[place - 1];
        place -= 1;
      }
      listed[place] = task;
      count += 1;
    }
  }
  return count;
}

void handle_exec_list(struct agent *agent, const struct frame *frame) {
  if (!question_is_valid(agent, frame)) return;
  const struct task *listed[PROCESSES_LISTED_MAX];
  size_t count = choose_listed(agent, listed);
  struct msgpack_writer payload = msgpack_writer(frame_writer_begin(&agent->link.writer), LIST_BYTES_MAX);
  msgpack_write_map(&payload, 1);
  msgpack_write_str(&payload, "processes");
  msgpack_write_array(&payload, (unsigned)count);
  for (size_t i = 0; i < count; i += 1) write_process(&payload, listed[i]);
  frame_writer_end(&agent->link.writer, FRAME_ACK, frame->channel, frame->id, msgpack_written(&payload));
}
