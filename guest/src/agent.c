/*
 * The loop. One turn: wait, note events, reap, expire, take frames, move bytes, write once.
 *
 * Events only set flags; the work follows from the flags and from credit and room, so nothing is lost when a step has to
 * stop half-way (no room, no credit, enough for one turn), and the loop does not sleep while a flag says there is work.
 */
#define _GNU_SOURCE
#include "agent.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_PER_TURN_MAX 64

uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void take_signals(struct agent *agent) {
  enum { AT_ONCE = 8 };
  struct signalfd_siginfo signals[AT_ONCE];
  size_t count;
  do {
    ssize_t got = read(agent->signal_fd, signals, sizeof signals);
    count = got > 0 ? (size_t)got / sizeof signals[0] : 0;
    for (size_t i = 0; i < count; i += 1) {
      /* Of PID 1's signals only those from outside of its namespace count, whose sender has no number inside: a command
       * that signals everybody it sees must not end the sandbox. */
      if (signals[i].ssi_signo == SIGCHLD) agent->reap_pending = true;
      else if (getpid() != 1 || signals[i].ssi_pid == 0) agent->stopping = true;
    }
  } while (count == AT_ONCE);
}

static void note_event(struct agent *agent, const struct epoll_event *event) {
  enum event_source source = event_source(event->data.u64);
  switch (source) {
    case EVENT_LINK_INPUT: agent->link.readable = true; break;
    case EVENT_LINK_OUTPUT: agent->link.writable = true; break;
    case EVENT_SIGNALS: take_signals(agent); break;
    default: tasks_event(&agent->tasks, source, event_index(event->data.u64));
  }
}

/* Every child of the guest: the processes it started and the orphans it was given. */
static void reap(struct agent *agent) {
  for (size_t reaped = 0; agent->reap_pending && reaped < REAPED_PER_TURN_MAX; reaped += 1) {
    int wait_status;
    pid_t pid = waitpid(-1, &wait_status, WNOHANG);
    if (pid > 0) task_exited(&agent->tasks, pid, wait_status, now_us());
    else agent->reap_pending = false;
  }
  tasks_note_empty_groups(&agent->tasks);
}

/* The next frame, when there is one and room for its answer. */
static bool next_frame(struct agent *agent) {
  struct link *link = &agent->link;
  if (!agent->frame_waits) agent->frame_waits = frame_reader_next(&link->reader, &agent->frame);
  link->frames_pending = agent->frame_waits;
  return agent->frame_waits && link_has_room(link, answer_room(agent->frame.type));
}

static bool link_is_runnable(struct agent *agent) {
  struct link *link = &agent->link;
  if (agent->bulk.left > 0) return link->readable && link_has_room(link, CONTROL_FRAME_BYTES_MAX);
  if (!link->frames_pending) return link->readable;
  return link_has_room(link, agent->frame_waits ? answer_room(agent->frame.type) : CONTROL_FRAME_BYTES_MAX);
}

/* False when the link is over. */
static bool take_frames(struct agent *agent) {
  struct link *link = &agent->link;
  for (size_t reads = 0; reads < LINK_READS_PER_TURN_MAX; reads += 1) {
    if (!agent->frame_waits && !bulk_input_look(&agent->bulk, link, &agent->tasks)) return false;
    while (link->frames_pending) {
      if (!next_frame(agent)) break;
      agent->frame_waits = false;
      handle_frame(agent, &agent->frame);
    }
    if (link->frames_pending || !link_is_runnable(agent)) return true;
    bool goes_on = agent->bulk.left > 0
                       ? bulk_input_pass(&agent->bulk, link, &agent->tasks)
                       : link_read(link, bulk_input_read_max(&agent->bulk, &link->reader));
    if (!goes_on) return false;
    if (link->input_ended) tasks_detach(&agent->tasks);
  }
  return true;
}

static int milliseconds_to_wait(struct agent *agent, uint64_t now_ms) {
  struct link *link = &agent->link;
  if (link_is_runnable(agent) || agent->reap_pending || tasks_runnable(&agent->tasks, link, now_ms)) return 0;
  uint64_t deadline_ms = tasks_next_deadline_ms(&agent->tasks);
  if (deadline_ms == UINT64_MAX) return -1;
  if (deadline_ms <= now_ms) return 0;
  return deadline_ms - now_ms > INT_MAX ? INT_MAX : (int)(deadline_ms - now_ms);
}

static void kill_everything(struct agent *agent) {
  for (size_t i = 0; i < agent->tasks.active_count; i += 1) {
    task_signal_foreground(active_task(&agent->tasks, i), SIGKILL);
    task_signal_group(active_task(&agent->tasks, i), SIGKILL);
  }
  /* As PID 1 the guest owns all there is; anywhere else "all" would be other people's processes. */
  if (getpid() == 1) kill(-1, SIGKILL);
}

int agent_run(struct agent *agent) {
  uint64_t now_ms = now_us() / 1000;
  while (!agent->stopping) {
    struct epoll_event events[EVENTS_PER_TURN_MAX];
    int count = epoll_wait(agent->epoll_fd, events, EVENTS_PER_TURN_MAX, milliseconds_to_wait(agent, now_ms));
    if (count < 0 && errno != EINTR) break;
    for (int i = 0; i < count; i += 1) note_event(agent, &events[i]);

    if (agent->reap_pending) reap(agent);
    now_ms = now_us() / 1000;
    tasks_expire(&agent->tasks, now_ms);
    if (!take_frames(agent)) break;
    tasks_pump(&agent->tasks, &agent->link, now_ms);
    if (!link_flush(&agent->link)) break;
  }
  kill_everything(agent);
  return 0;
}
