/* The system calls no process of a sandbox may make, the guest included. */
#ifndef WARMPOOL_SECCOMP_H
#define WARMPOOL_SECCOMP_H

#include <stdbool.h>

/* Needs no_new_privs to be set already. False with errno when the kernel refuses. There is no way back. */
bool install_seccomp_filter(void);

#endif
