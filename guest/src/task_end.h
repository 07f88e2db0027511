/*
 * When a task is over, and the last frame of its channel.
 */
#ifndef WARMPOOL_TASK_END_H
#define WARMPOOL_TASK_END_H

#include "task.h"

bool task_is_over(const struct task *task, uint64_t now_ms);
/* Writes the terminal frame, where there is room and somebody to read it, and gives back what the task had. */
void finish_task(struct task_table *table, struct task *task, struct link *link, uint64_t now_ms);
/* When silence alone will end the task; UINT64_MAX for never. */
uint64_t task_quiet_deadline_ms(const struct task *task, uint64_t now_ms);

/* Of processes that ended with nobody attached. False when there is none to drop. */
bool drop_oldest_record(struct task_table *table);
size_t count_records(struct task_table *table);

/* True when one lies there that may be taken now. */
bool worker_has_answer(const struct task *task);
/* The first answer of a worker, if it is there. */
void take_worker_ack(struct task *task, struct link *link);

#endif
