#include "worker.h"

int worker_main(const struct worker_request *request, int input_fd, int output_fd, int result_fd) {
  (void)request, (void)input_fd, (void)output_fd;
  worker_error(result_fd, "unknown_message", "not served", "");
  return 0;
}
