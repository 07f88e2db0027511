/* Which requests the guest hands to a worker, and what each has beside its result. */
#include "agent.h"
#include "worker.h"

bool handle_file_request(struct agent *agent, const struct frame *frame) {
  switch (frame->type) {
    case FRAME_FILE_READ:
    case FRAME_TAR_READ:
    case FRAME_FILE_LIST:
    case FRAME_FILE_WATCH: start_worker(agent, frame, WORKER_GIVES_OUTPUT); return true;
    case FRAME_FILE_WRITE:
    case FRAME_TAR_WRITE: start_worker(agent, frame, WORKER_TAKES_INPUT); return true;
    case FRAME_FILE_STAT:
    case FRAME_FILE_MKDIR:
    case FRAME_FILE_RENAME:
    case FRAME_FILE_REMOVE:
    case FRAME_FILE_CHANGE: start_worker(agent, frame, 0); return true;
    default: return false;
  }
}
