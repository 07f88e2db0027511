#define _GNU_SOURCE
#include "bulk_input.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "agent.h"
#include "requests.h"

void bulk_input_after(struct bulk_input *bulk, const struct link *link, const struct frame *frame,
                      const struct task *task) {
  bulk->expected = link->gives_pages && frame->type == FRAME_INPUT && frame->payload_bytes >= SPLICED_BYTES_MIN &&
                   task != NULL && stdin_takes_pages(&task->input);
}

/* The header that waits says that a payload for a busy pipe follows, and its credit is spent. */
static bool begins(struct bulk_input *bulk, struct frame_reader *reader, struct task_table *tasks) {
  struct frame frame;
  if (!frame_reader_header(reader, &frame) || frame.type != FRAME_INPUT || frame.payload_bytes < SPLICED_BYTES_MIN)
    return false;
  struct task *task = task_of_channel(tasks, frame.channel);
  if (task == NULL || !stdin_takes_pages(&task->input) || !stdin_spend(&task->input, frame.payload_bytes)) return false;
  bulk->channel = frame.channel;
  bulk->left = frame.payload_bytes;
  return true;
}

bool bulk_input_look(struct bulk_input *bulk, struct link *link, struct task_table *tasks) {
  struct frame_reader *reader = &link->reader;
  if (bulk->trailer_due) {
    /* Nothing else of the reader may be looked at before. */
    link->frames_pending = reader->tail - reader->head >= FRAME_TRAILER_BYTES;
    if (!link->frames_pending) return true;
    if (!frame_reader_trailer(reader)) return false;
    bulk->trailer_due = false;
  }
  if (!bulk->expected || !link->frames_pending || !begins(bulk, reader, tasks)) return true;
  reader->head = reader->tail;
  link->frames_pending = false;
  return true;
}

size_t bulk_input_read_max(const struct bulk_input *bulk, const struct frame_reader *reader) {
  if (!bulk->expected && !bulk->trailer_due) return SIZE_MAX;
  return bulk->trailer_due ? FRAME_TRAILER_BYTES + FRAME_HEADER_BYTES - (reader->tail - reader->head)
                           : frame_reader_missing(reader);
}

static void note_passed(struct bulk_input *bulk, size_t bytes) {
  bulk->left -= bytes;
  bulk->trailer_due = bulk->left == 0;
}

/* What could not pass, or has nobody to go to, by way of the reader's memory, which is empty. */
static bool read_and_put(struct bulk_input *bulk, struct link *link, struct task_table *tasks, struct task *task) {
  size_t space;
  uint8_t *at = frame_reader_space(&link->reader, &space);
  ssize_t got = read(link->input_fd, at, bulk->left < space ? bulk->left : space);
  if (got <= 0) return link_met_end(link, got);
  note_passed(bulk, (size_t)got);
  if (task == NULL || stdin_put(&task->input, at, (size_t)got) == STDIN_TAKEN) return true;
  answer_error(link, bulk->channel, 0, "limit_exceeded", NO_MEMORY_FOR_INPUT);
  task_end_at_once(tasks, task, now_us() / 1000);
  return true;
}

bool bulk_input_pass(struct bulk_input *bulk, struct link *link, struct task_table *tasks) {
  struct task *task = task_of_channel(tasks, bulk->channel);
  if (task != NULL) task_touch(tasks, task);
  if (task != NULL && stdin_has_way(&task->input)) {
    ssize_t moved =
        splice(link->input_fd, NULL, task->input.fd, NULL, bulk->left, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (moved > 0) {
      stdin_passed(&task->input, (size_t)moved);
      note_passed(bulk, (size_t)moved);
      return true;
    }
    /* Whatever it was, reading and writing by hand meets it again and knows what to make of it. */
    if (moved < 0 && errno == EINVAL) link->gives_pages = false;
  }
  return read_and_put(bulk, link, tasks, task);
}
