/*
 * What runs in the child that start_worker forks: one file request, from its map to its answer. By now it is the asked
 * user, so every call here is allowed or refused by the kernel as that user's own.
 */
#define _GNU_SOURCE
#include "worker.h"

#include <sys/stat.h>

#include "file_answer.h"
#include "file_input.h"
#include "file_output.h"
#include "file_place.h"
#include "file_request.h"
#include "file_requests.h"

static void run_request(const struct file_request *request) {
  switch (request->type) {
    case FRAME_FILE_READ: read_file(request); break;
    case FRAME_FILE_WRITE: write_file(request); break;
    case FRAME_TAR_READ: pack_tar(request); break;
    case FRAME_TAR_WRITE: unpack_tar(request); break;
    case FRAME_FILE_LIST: list_files(request); break;
    case FRAME_FILE_STAT: stat_file(request); break;
    case FRAME_FILE_MKDIR: make_directory(request); break;
    case FRAME_FILE_RENAME: rename_file(request); break;
    case FRAME_FILE_REMOVE: remove_file(request); break;
    case FRAME_FILE_CHANGE: change_file(request); break;
    case FRAME_FILE_WATCH: watch_files(request); break;
    default: fail("unknown_message", "no such file request");
  }
}

int worker_main(const struct worker_request *request, int input_fd, int output_fd, int result_fd) {
  file_answer_start(result_fd);
  struct file_request asked;
  struct file_refusal refusal;
  if (!decode_file_request(request->type, request->payload, request->payload_bytes, &asked, &refusal))
    fail(refusal.code, refusal.message);
  /* Every mode in here is the one that is meant. */
  umask(0);
  input_start(input_fd);
  output_start(output_fd);
  places_start(&asked);
  run_request(&asked);
  return 0;
}
