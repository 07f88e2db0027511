/*
 * PortList and PortWatch.
 */
#ifndef WARMPOOL_PORT_REQUESTS_H
#define WARMPOOL_PORT_REQUESTS_H

#include "agent.h"

void handle_port_list(struct agent *agent, const struct frame *frame);
void handle_port_watch(struct agent *agent, const struct frame *frame);

/* Reads the list again when somebody watches it and it is time. */
void poll_ports(struct task_table *table, uint64_t now_ms);
/* UINT64_MAX while nobody watches. */
uint64_t ports_next_poll_ms(const struct task_table *table);
/* True when more would follow at once. */
bool pump_port_records(struct task_table *table, struct task *task, struct link *link);
bool port_records_can_pump(const struct task_table *table, const struct task *task);

#endif
