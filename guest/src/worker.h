/*
 * Workers: requests that the guest answers from a forked copy of itself that has become the asked user, so that the kernel
 * decides what that user may do, and a slow disk holds up nobody else.
 *
 * The guest's side (spawn_worker.c, task.c)
 *   handle_file_request (file_requests.c) is called for the types 0x70 to 0x7a, after Hello, and calls start_worker.
 *   start_worker checks the channel, reads the keys `user`, `cwd` and `window` out of the map, makes the descriptors, forks,
 *   and answers itself what fails before the fork. The payload is handed over as it came: every other key is the worker's to
 *   read and to refuse.
 *
 * The worker's side
 *   worker_main runs in the child and its return value is the exit code, which nobody looks at. It is a session and group
 *   of its own, has the user, the groups, no capabilities (uid 0: those of --root-capabilities), the working directory
 *   `cwd`, umask 022, RLIMIT_NOFILE of commands, and is not dumpable. SIGPIPE and SIGXFSZ are ignored (EPIPE, EFBIG), all
 *   other signals are at their default and unblocked. Its descriptors are exactly: 0 input, 1 output, 2 /dev/null, 3 result;
 *   0 and 1 are /dev/null where the request has none. It may use malloc and block as it likes; what it allocates is its own.
 *   It must never touch the agent's state or the link.
 *
 *   input_fd   a pipe: the Input frames. End of file is InputEof. (What a worker takes from it is granted again.)
 *   output_fd  a pipe: becomes Output frames of at most 65,536 bytes, under the channel's credit. The worker blocks when
 *              the requester does not read.
 *   result_fd  a socket that keeps message borders: what worker_answer writes.
 *
 *   Order: nothing of the output is sent before WORKER_ACK; WORKER_END and WORKER_ERROR end the channel and are sent once all
 *   output written before has been sent (the output is at its end when the worker has exited or closed descriptor 1). So a
 *   worker answers, and exits. An end without WORKER_ACK is for requests that stream nothing.
 *   A worker that exits without a terminal answer is reported as Error `io_error`.
 *
 *   Being abandoned (ChannelClose, a new epoch, too much Input) is SIGTERM, and SIGKILL 5 s later. SIGTERM is sent before
 *   the pipes are closed: a worker with something to undo (a hidden half-written file) handles it, and then never mistakes
 *   the closed input for InputEof. The others just die of it.
 */
#ifndef WARMPOOL_WORKER_H
#define WARMPOOL_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"

struct agent;

struct worker_request {
  uint8_t type;     /* FRAME_FILE_READ, … */
  uint8_t *payload; /* The frame's map. The child's own copy: it may be decoded in place. */
  size_t payload_bytes;
};

/* What a worker has beside its result. */
enum worker_streams { WORKER_TAKES_INPUT = 1, WORKER_GIVES_OUTPUT = 2 };

/* The largest map a worker may answer with, and the largest error message (cut beyond). */
#define WORKER_RESULT_BYTES_MAX 12288u
#define WORKER_MESSAGE_BYTES_MAX 160u

enum worker_answer { WORKER_ACK = FRAME_ACK, WORKER_END = FRAME_END };

/* Opens the frame's channel for a worker. Answers on the link by itself when that fails. */
void start_worker(struct agent *agent, const struct frame *frame, unsigned streams);

/* For the worker: `map` is a whole MessagePack map. False when the guest is gone. */
bool worker_answer(int result_fd, enum worker_answer kind, const uint8_t *map, size_t bytes);
/* For the worker: the terminal Error. `detail` may be "", else it follows the message behind ": ". */
bool worker_error(int result_fd, const char *code, const char *message, const char *detail);

/* Written by worker.c. */
int worker_main(const struct worker_request *request, int input_fd, int output_fd, int result_fd);

/* Written by file_requests.c: true when the frame's type was one of its own and has been answered or started. */
bool handle_file_request(struct agent *agent, const struct frame *frame);

#endif
