/*
 * What the handlers of requests have in common. Each answers with at most one frame, for which the link has room.
 */
#ifndef WARMPOOL_REQUESTS_H
#define WARMPOOL_REQUESTS_H

#include "agent.h"
#include "child.h"
#include "users.h"

#define WINDOW_EXPECTED "window: 1 to the window of Hello is expected"

void refuse(struct agent *agent, const struct frame *frame, const char *code, const char *message);
/* By errno: a limit, or `spawn_failed`. */
void refuse_for_errno(struct agent *agent, const struct frame *frame, const char *step);
void refuse_start(struct agent *agent, const struct frame *frame, const struct spawn_result *result);
/* False when the frame's channel cannot be opened, and that has been answered. */
bool channel_may_open(struct agent *agent, const struct frame *frame);
/* False when a request on channel 0 without keys is not one, and that has been answered. */
bool question_is_valid(struct agent *agent, const struct frame *frame);
/* The payload of a request whose only key is `window`. NULL, or what is wrong. */
const char *decode_window(const struct frame *frame, uint32_t window_max, uint32_t *window);
bool resolve_sandbox_user(const struct agent *agent, const char *user, size_t length, struct identity *identity);

/* Of all the guest has open. */
int highest_descriptor(struct agent *agent);
int highest_of(int highest, const int *fds, size_t count);

/* exec_start.c */
void handle_exec_start(struct agent *agent, const struct frame *frame);

/* attach.c */
void handle_exec_attach(struct agent *agent, const struct frame *frame);
void handle_exec_list(struct agent *agent, const struct frame *frame);

#endif
