/* Output meets a link that takes only a part of what is collected: every frame still comes whole, in its own place. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "check.h"
#include "link.h"
#include "task_output.h"

/* More than half of the collector, so that what is left of it after a large part went is moved to the front. */
#define COLLECTED_BYTES 50000u
#define OUTPUT_BYTES 65536u
/* Pages that lie in the link's pipe already: its other twelve take less than what is collected. */
#define OCCUPIED_BYTES 16384u

static struct link output_link;
static struct task task;
static uint8_t bytes[OUTPUT_BYTES];

static void make_pipe(int ends[2]) { CHECK(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0); }

static void collect_frame(void) {
  size_t payload_bytes = COLLECTED_BYTES - FRAME_OVERHEAD_BYTES;
  memset(frame_writer_begin(&output_link.writer), 'c', payload_bytes);
  frame_writer_end(&output_link.writer, FRAME_OUTPUT, 5, 0, payload_bytes);
}

/* A process that has written much, with 64 KiB more in its pipe, on channel 7. */
static void begin_task(int output_fd) {
  task.kind = TASK_PROCESS;
  task.channel = 7;
  task.acknowledged = true;
  task.output_credit = 2 * OUTPUT_BYTES;
  task.replay.end = BUSY_OUTPUT_BYTES;
  task.sent = BUSY_OUTPUT_BYTES;
  task.outputs[STREAM_STDOUT] = (struct output_pipe){.fd = output_fd, .readable = true};
  task.outputs[STREAM_STDERR] = (struct output_pipe){.fd = -1};
}

static bool is_all(const struct frame *frame, uint8_t value) {
  for (size_t i = 0; i < frame->payload_bytes; i += 1)
    if (frame->payload[i] != value) return false;
  return true;
}

static void what_is_moved_to_the_front_stays_apart_from_what_is_read(bool takes_pages) {
  int link_ends[2], command_ends[2];
  make_pipe(link_ends);
  make_pipe(command_ends);
  memset(&output_link, 0, sizeof output_link);
  output_link.input_fd = command_ends[1];
  output_link.output_fd = link_ends[1];
  CHECK(link_watch(&output_link, epoll_create1(EPOLL_CLOEXEC)));
  output_link.takes_pages = takes_pages;

  CHECK(write(link_ends[1], bytes, OCCUPIED_BYTES) == OCCUPIED_BYTES);
  collect_frame();
  memset(bytes, 'o', sizeof bytes);
  CHECK(write(command_ends[1], bytes, sizeof bytes) == sizeof bytes);
  begin_task(command_ends[0]);

  static struct frame_reader reader;
  memset(&reader, 0, sizeof reader);
  size_t occupied_left = OCCUPIED_BYTES, collected = 0, output = 0;
  bool right = true;
  for (unsigned turn = 0; turn < 100 && output < OUTPUT_BYTES && right; turn += 1) {
    pump_output(&task, &output_link, 0);
    CHECK(link_flush(&output_link));
    for (;;) {
      size_t space;
      uint8_t *at = frame_reader_space(&reader, &space);
      ssize_t got = read(link_ends[0], at, occupied_left > 0 && occupied_left < space ? occupied_left : space);
      if (got <= 0) break;
      if (occupied_left > 0) {
        occupied_left -= (size_t)got;
        continue;
      }
      frame_reader_added(&reader, (size_t)got);
      struct frame frame;
      while (frame_reader_next(&reader, &frame)) {
        right = right && frame.type == FRAME_OUTPUT && (frame.channel == 5 || frame.channel == 7);
        right = right && is_all(&frame, frame.channel == 5 ? 'c' : 'o');
        if (frame.channel == 5) collected += frame.payload_bytes;
        else output += frame.payload_bytes;
      }
    }
    output_link.writable = true;
  }
  CHECK(right);
  CHECK(reader.invalid_frames_total == 0);
  CHECK(collected == COLLECTED_BYTES - FRAME_OVERHEAD_BYTES);
  CHECK(output == OUTPUT_BYTES);
  close(output_link.epoll_fd);
  for (unsigned i = 0; i < 2; i += 1) {
    close(link_ends[i]);
    close(command_ends[i]);
  }
}

int main(void) {
  what_is_moved_to_the_front_stays_apart_from_what_is_read(false);
  what_is_moved_to_the_front_stays_apart_from_what_is_read(true);
  return checks_result();
}
