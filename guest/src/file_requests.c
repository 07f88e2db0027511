#include "worker.h"

bool handle_file_request(struct agent *agent, const struct frame *frame) {
  (void)agent;
  (void)frame;
  return false;
}
