/*
 * The input of one task: a pipe, a terminal or a socket, and behind it a buffer for what the requester may send before the
 * task takes it.
 *
 * States: open (fd >= 0) -> ending (InputEof came; what is buffered still goes in) -> closed. Invariant: `credit`,
 * `ungranted` and those buffered bytes that are not `surplus` add up to the window, so a requester that stays within its
 * credit always finds room. Surplus is what a former channel of a process left unread, and end-of-file characters. After the
 * end (of the task's interest or by InputEof) bytes count as taken at once: they are thrown away and their credit comes back.
 *
 * The kernel's pipe is the first buffer and usually the only one. Memory of our own is mapped only while a process lets
 * that fill up: room for every window of every channel would be 16 MB that nearly no sandbox ever uses.
 */
#ifndef WARMPOOL_STDIN_PIPE_H
#define WARMPOOL_STDIN_PIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"

/* What InputEof does: closes a pipe, writes ^D to a terminal, ends one direction of a connection. */
enum stdin_kind { STDIN_PIPE, STDIN_TERMINAL, STDIN_SOCKET };

struct stdin_pipe {
  int fd;
  bool writable;
  bool room_asked; /* Full, and the epoll says when it is not any more. */
  bool room_false; /* What the epoll called room took nothing: time says when to try again. */
  bool ending;
  bool enlarged;   /* Was tried. */
  bool broken; /* The other end went away with something still to be written. */
  enum stdin_kind kind;
  uint32_t credit;    /* What the node may still send. */
  uint32_t ungranted; /* Taken and not yet granted again. */
  uint32_t surplus;   /* Buffered bytes that are no part of the window; at most another window. */
  uint64_t taken_total;
  uint8_t *buffer;    /* A ring of STDIN_BUFFER_BYTES, or NULL while it holds nothing. */
  uint32_t head;
  uint32_t length;
};

#define NO_MEMORY_FOR_INPUT "no memory for input"

enum stdin_result { STDIN_TAKEN, STDIN_NO_CREDIT, STDIN_NO_MEMORY };

/* `fd` is -1 for a task without input. */
struct stdin_pipe stdin_pipe(int fd, enum stdin_kind kind);
/* Begins the window of another channel. False when too much of the former ones is still unread. */
bool stdin_new_window(struct stdin_pipe *pipe);
/* Busy, and a pipe: its input may come as pages. */
bool stdin_takes_pages(const struct stdin_pipe *pipe);
/* Nothing stands before what would go in now. */
bool stdin_has_way(const struct stdin_pipe *pipe);
/* Counts input as sent by the node. False, and nothing has happened, when its credit is smaller. */
bool stdin_spend(struct stdin_pipe *pipe, size_t length);
/* What was spent before: by way of memory, or by another. */
enum stdin_result stdin_put(struct stdin_pipe *pipe, const uint8_t *bytes, size_t length);
void stdin_passed(struct stdin_pipe *pipe, size_t length);
/* Both at once. */
enum stdin_result stdin_take(struct stdin_pipe *pipe, const uint8_t *bytes, size_t length);
void stdin_end(struct stdin_pipe *pipe);
void stdin_close(struct stdin_pipe *pipe);
/* Moves what is buffered into the pipe. */
void stdin_pump(struct stdin_pipe *pipe);
bool stdin_can_pump(const struct stdin_pipe *pipe);
bool stdin_owes_credit(const struct stdin_pipe *pipe);
/* The credit to tell the node, from now on counted as given. */
uint32_t stdin_grant(struct stdin_pipe *pipe);

#endif
