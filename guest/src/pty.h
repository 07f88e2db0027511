/*
 * Terminals: the guest holds the master, the process has the slave as its controlling terminal.
 */
#ifndef WARMPOOL_PTY_H
#define WARMPOOL_PTY_H

#include <stdbool.h>
#include <stdint.h>

struct pty {
  int master; /* Does not block. */
  int slave;
};

/* Made as the present fsuid, to whom the slave then belongs. NULL, or the step that failed, with errno. */
const char *pty_open(struct pty *pty, uint16_t columns, uint16_t rows);
void pty_resize(int master, uint16_t columns, uint16_t rows);
/* The process group in the foreground; 0 for none. */
int pty_foreground_group(int master);
/* In the child, a session leader whose descriptor 0 is the slave. False with errno. */
bool pty_become_controlling(void);

#endif
