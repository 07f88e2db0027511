/*
 * From the pipes of a task into the link: as much as credit and the link's room allow, and not a byte more is read, so that
 * what nobody takes stays in the kernel's pipe and holds up its own writer only.
 */
#ifndef WARMPOOL_TASK_OUTPUT_H
#define WARMPOOL_TASK_OUTPUT_H

#include "task.h"

bool has_room_for_output(struct link *link);
/* Reads one frame's worth. True when there may be more. */
bool pump_output(struct task *task, enum stream stream, struct link *link, uint64_t now_ms);
/* True when pump_output would read, given room. */
bool output_can_pump(const struct task *task);
bool has_output_waiting(const struct task *task);
bool outputs_at_end(const struct task *task);

void output_close(struct output_pipe *output);
/* What still comes is thrown away. */
void outputs_leave_to_sinks(struct task_table *table, struct task *task);

#endif
