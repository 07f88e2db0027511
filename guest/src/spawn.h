/*
 * Starts one process of the sandbox: its own session, its three descriptors and nothing else, the asked user, empty
 * capability sets, its directory, then exec.
 *
 * The child shares the guest's memory until it has called exec and the guest stands still meanwhile (CLONE_VM and
 * CLONE_VFORK): no page tables are copied, so a start costs what posix_spawn costs, and the child tells what went wrong
 * by writing it down. posix_spawn itself cannot change the user or the capabilities, fork would copy, and an error pipe
 * would cost two descriptors and three calls per start. The rules this needs: the child runs on a stack of its own, only
 * makes system calls, and no signal handler exists in the guest. While a child has another uid it cannot be traced by
 * that uid, because the memory it shares is not dumpable.
 */
#ifndef WARMPOOL_SPAWN_H
#define WARMPOOL_SPAWN_H

#include "child.h"
#include "exec_request.h"

/* `descriptors` are the child's stdin, stdout and stderr; they stay open here and must all be above 2. */
struct spawn_result spawn_process(const struct exec_request *request, const struct identity *identity,
                                  const int descriptors[3], const struct spawn_limits *limits);

#endif
