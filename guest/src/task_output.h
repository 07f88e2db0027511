/*
 * From the pipes of a task into the link: as much as credit and the link's room allow, and not a byte more is read, so that
 * what nobody takes stays in the kernel's pipe and holds up its own writer only.
 */
#ifndef WARMPOOL_TASK_OUTPUT_H
#define WARMPOOL_TASK_OUTPUT_H

#include "task.h"

/* Output leaves this much for answers, so that a busy process cannot keep an exit or an error waiting. */
#define ANSWER_RESERVE_BYTES (2u * (CONTROL_FRAME_BYTES_MAX + FRAME_OVERHEAD_BYTES))
#define OUTPUT_ROOM_BYTES (OUTPUT_ROOM_BYTES_MIN + ANSWER_RESERVE_BYTES)

bool has_room_for_output(struct link *link);
/* One frame of each stream at most. True when there may be more. */
bool pump_output(struct task *task, struct link *link, uint64_t now_ms);
/* Of a process that nobody is attached to: into its replay only, a bounded piece at a time. */
void drain_unattended_output(struct task *task, uint64_t now_ms);
/* True when one of the two would do something, given the link's room for output. */
bool output_can_pump(const struct task *task, bool room);
bool has_output_waiting(const struct task *task);
/* All was read, and sent to whoever there is. */
bool outputs_at_end(const struct task *task);

void output_close(struct output_pipe *output);
/* What still comes is thrown away. */
void outputs_leave_to_sinks(struct task_table *table, struct task *task);

#endif
