/*
 * Tunnels: a connection to a port inside the sandbox whose two directions are the Input and the Output of a channel.
 *
 * States: connecting (127.0.0.1, then ::1) -> open -> one direction ended -> both ended (End), or broken (Error). The socket
 * is held by two descriptors, one for each direction, so that each ends like a pipe does.
 */
#ifndef WARMPOOL_TUNNEL_H
#define WARMPOOL_TUNNEL_H

#include "agent.h"

void handle_port_connect(struct agent *agent, const struct frame *frame);

/* Answers once the connection is there or refused. */
void tunnel_settle(struct task_table *table, struct task *task, struct link *link, uint64_t now_ms);
bool tunnel_can_settle(const struct task *task, uint64_t now_ms);
/* Writes OutputEof, End or Error when it is time. */
void tunnel_pump_ends(struct task *task, struct link *link);
bool tunnel_has_end_to_tell(const struct task *task);
/* The peer sees a reset, not an end. */
void tunnel_reset(struct task *task);

#endif
