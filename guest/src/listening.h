/*
 * Which TCP ports have a listening socket, asked of the kernel directly (sock_diag).
 *
 * /proc/net/tcp says the same, but the kernel walks its whole table of connections for it, empty or not: 10 ms of a host's
 * processor each time. The socket is opened before the system call filter, which allows no more of its kind. A kernel
 * without it (gVisor) is asked by /proc.
 */
#ifndef WARMPOOL_LISTENING_H
#define WARMPOOL_LISTENING_H

#include <stdbool.h>

#include "ports.h"

/* -1 where the kernel has none. */
int listening_open(void);
/* Adds what the kernel knows; false when it did not answer. */
bool listening_read(int fd, struct port_set *open);

#endif
