/*
 * Starts a worker: descriptors, fork, and in the child the steps that make it the asked user before worker_main.
 *
 * A real fork, because the child goes on running the guest's own code while the guest serves others. Its memory is a copy
 * on write, so it costs page tables and what either side changes; buffers with the data of others are left out of it
 * (MADV_DONTFORK, stdin_pipe.c), and it is not dumpable, so that the user it becomes cannot look into the rest. What fails in
 * the child before worker_main is answered through the result socket like everything after.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "agent.h"
#include "child.h"
#include "msgpack.h"
#include "requests.h"
#include "users.h"
#include "worker.h"

#define INPUT_FD 0
#define OUTPUT_FD 1
#define RESULT_FD 3

/* ---- the worker's answers ---- */

static bool send_message(int result_fd, uint8_t kind, const uint8_t *map, size_t bytes) {
  struct iovec parts[2] = {{&kind, 1}, {(void *)map, bytes}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  ssize_t sent;
  do sent = sendmsg(result_fd, &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent == (ssize_t)bytes + 1;
}

bool worker_answer(int result_fd, enum worker_answer kind, const uint8_t *map, size_t bytes) {
  return bytes <= WORKER_RESULT_BYTES_MAX && send_message(result_fd, (uint8_t)kind, map, bytes);
}

bool worker_error(int result_fd, const char *code, const char *message, const char *detail) {
  uint8_t map[CONTROL_FRAME_BYTES_MAX];
  return send_message(result_fd, FRAME_ERROR, map, write_error(map, sizeof map, code, message, detail));
}

/* ---- the child ---- */

struct worker_keys {
  char cwd[PATH_BYTES_MAX];
  struct identity identity;
};

static void run_worker(const struct worker_keys *keys, const struct spawn_limits *limits, const int descriptors[4],
                       const struct worker_request *request) {
  setsid();
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  struct spawn_result result = {.failure = SPAWN_STARTED};
  struct child_plan plan = {.identity = &keys->identity,
                            .limits = limits,
                            .cwd = keys->cwd,
                            .descriptors = descriptors,
                            .descriptor_count = 4,
                            .result = &result};
  bool prepared = child_prepare(&plan);
  /* The kernel takes both back with a change of the user. */
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (!prepared) {
    const char *detail = result.error_number == 0 ? "" : strerror(result.error_number);
    worker_error(RESULT_FD, spawn_failure_code(result.failure), result.step, detail);
    _exit(127);
  }
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  _exit(worker_main(request, INPUT_FD, OUTPUT_FD, RESULT_FD));
}

/* ---- the guest ---- */

/* The keys every file request may have. NULL, or what is wrong. */
static const char *decode_keys(struct agent *agent, const struct frame *frame, struct worker_keys *keys,
                               struct msgpack_bytes *user, uint32_t *window) {
  struct msgpack_reader reader = msgpack_reader(frame->payload, frame->payload_bytes);
  size_t entries;
  if (!msgpack_read_map(&reader, &entries)) return "payload: a map is expected";
  struct msgpack_bytes cwd = {0};
  uint64_t asked_window = agent->output_window;
  for (size_t i = 0; i < entries; i += 1) {
    struct msgpack_bytes name;
    if (!msgpack_read_str(&reader, &name)) return "payload: a map with string keys is expected";
    if (msgpack_is(&name, "user")) {
      if (!msgpack_read_str(&reader, user) || user->length > USER_BYTES_MAX)
        return "user: a string of at most 256 bytes is expected";
    } else if (msgpack_is(&name, "cwd")) {
      if (!msgpack_read_str(&reader, &cwd) || cwd.length >= PATH_BYTES_MAX ||
          memchr(cwd.bytes, '\0', cwd.length) != NULL || (cwd.length > 0 && cwd.bytes[0] != '/'))
        return "cwd: an absolute path of at most 4095 bytes is expected";
    } else if (msgpack_is(&name, "window")) {
      if (!msgpack_read_uint(&reader, &asked_window) || asked_window == 0 || asked_window > agent->output_window)
        return WINDOW_EXPECTED;
    } else if (!msgpack_skip(&reader, 2)) {
      return "payload: a value is malformed or nested too deep";
    }
  }
  if (!msgpack_finished(&reader)) return "payload: bytes are left after the map";
  memcpy(keys->cwd, cwd.length == 0 ? (const uint8_t *)"/" : cwd.bytes, cwd.length == 0 ? 1 : cwd.length);
  keys->cwd[cwd.length == 0 ? 1 : cwd.length] = '\0';
  *window = (uint32_t)asked_window;
  return NULL;
}

/* Of each pair the child's end comes first. */
struct worker_descriptors {
  int input[2];
  int output[2];
  int result[2];
};

static void close_ends(const struct worker_descriptors *ends, int which) {
  if (ends->input[which] >= 0) close(ends->input[which]);
  if (ends->output[which] >= 0) close(ends->output[which]);
  if (ends->result[which] >= 0) close(ends->result[which]);
}

static bool open_worker_pipe(int ends[2], bool child_reads) {
  int made[2];
  if (pipe2(made, O_CLOEXEC) != 0) return false;
  ends[0] = made[child_reads ? 0 : 1];
  ends[1] = made[child_reads ? 1 : 0];
  return fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0;
}

static bool open_ends(unsigned streams, struct worker_descriptors *ends) {
  *ends = (struct worker_descriptors){{-1, -1}, {-1, -1}, {-1, -1}};
  bool opened = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends->result) == 0 &&
                ((streams & WORKER_TAKES_INPUT) == 0 || open_worker_pipe(ends->input, true)) &&
                ((streams & WORKER_GIVES_OUTPUT) == 0 || open_worker_pipe(ends->output, false));
  if (opened) return true;
  int error_number = errno;
  close_ends(ends, 0);
  close_ends(ends, 1);
  errno = error_number;
  return false;
}

static pid_t fork_worker(struct agent *agent, const struct frame *frame, const struct worker_keys *keys,
                         const struct worker_descriptors *ends) {
  int descriptors[4] = {ends->input[0] >= 0 ? ends->input[0] : agent->null_fd,
                        ends->output[0] >= 0 ? ends->output[0] : agent->null_fd, agent->null_fd, ends->result[0]};
  agent->spawn_limits.highest_descriptor =
      highest_of(highest_of(highest_descriptor(agent), ends->result, 2), ends->output, 2);
  agent->spawn_limits.highest_descriptor = highest_of(agent->spawn_limits.highest_descriptor, ends->input, 2);
  struct worker_request request = {
      .type = frame->type, .payload = frame->payload, .payload_bytes = frame->payload_bytes};
  pid_t pid = fork();
  if (pid == 0) run_worker(keys, &agent->spawn_limits, descriptors, &request);
  return pid;
}

void start_worker(struct agent *agent, const struct frame *frame, unsigned streams) {
  static struct worker_keys keys;
  if (!channel_may_open(agent, frame)) return;
  struct msgpack_bytes user = {0};
  uint32_t window;
  const char *problem = decode_keys(agent, frame, &keys, &user, &window);
  if (problem != NULL) {
    refuse(agent, frame, "invalid_payload", problem);
    return;
  }
  if (!resolve_sandbox_user(agent, (const char *)user.bytes, user.length, &keys.identity)) {
    refuse(agent, frame, "user_unknown", "no such user or group");
    return;
  }
  struct worker_descriptors ends;
  if (!open_ends(streams, &ends)) {
    refuse_for_errno(agent, frame, "pipe");
    return;
  }
  struct task_descriptors kept = {.input = ends.input[1], .outputs = {ends.output[1], -1}, .result = ends.result[1]};
  struct task *task = task_open(&agent->tasks, TASK_WORKER, frame->channel, &kept);
  pid_t pid = task == NULL ? -1 : fork_worker(agent, frame, &keys, &ends);
  int error_number = errno;
  close_ends(&ends, 0);
  if (pid < 0) {
    if (task != NULL) task_discard(&agent->tasks, task);
    else close_ends(&ends, 1);
    errno = error_number;
    refuse_for_errno(agent, frame, "fork");
    return;
  }
  task->pid = pid;
  task->request_id = frame->id;
  task->output_window = task->output_credit = window;
}
