/*
 * Bulk input that goes from the link into a task's pipe without passing through the guest: the pages that the node's bytes
 * lie in change hands, where two copies and as many new pages would be made of them.
 *
 * For that a payload has to be left in the socket, so while a busy task's input is expected, only headers are read.
 *
 *   off ──a large Input for a busy pipe──▶ expecting ──its header, alone in the reader──▶ passing ──payload gone──▶
 *    ▲                                        │  ▲                                                    trailer due
 *    └──────────any other frame───────────────┘  └───────────────────its trailer──────────────────────────┘
 *
 * Invariants: a payload passes only within its channel's credit, which is spent with the header; what the pipe does not take,
 * or whose task has gone, is read and treated as any input. A payload is handed on before its trailer was seen, so it is
 * done only on a link that is over with its node: there no half frame of a dead writer is ever completed by another. A wrong
 * trailer ends such a link.
 */
#ifndef WARMPOOL_BULK_INPUT_H
#define WARMPOOL_BULK_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"
#include "link.h"
#include "task.h"

struct bulk_input {
  bool expected;
  bool trailer_due;
  uint32_t channel;
  size_t left; /* Of the payload that passes. */
};

/* A frame was taken the ordinary way: more of its kind may follow. `task` is that of its channel, or NULL. */
void bulk_input_after(struct bulk_input *bulk, const struct link *link, const struct frame *frame,
                      const struct task *task);
/* Takes a trailer and a header that wait in the reader, if they are for this. False when the link is over. */
bool bulk_input_look(struct bulk_input *bulk, struct link *link, struct task_table *tasks);
/* How much may be read now. */
size_t bulk_input_read_max(const struct bulk_input *bulk, const struct frame_reader *reader);
/* Moves some of the payload that passes. The link has room for an answer. False when it is over. */
bool bulk_input_pass(struct bulk_input *bulk, struct link *link, struct task_table *tasks);

#endif
