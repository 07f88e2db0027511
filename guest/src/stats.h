/*
 * Stats: what the sandbox uses, as far as it can be seen from inside.
 */
#ifndef WARMPOOL_STATS_H
#define WARMPOOL_STATS_H

#include "agent.h"

void handle_stats(struct agent *agent, const struct frame *frame);

#endif
