/*
 * A file that is written where nobody sees it and then takes a name at once.
 *
 * States: none -> open (bytes are written) -> committed, or undone. It is a nameless file (O_TMPFILE) where the file system
 * has them and /proc is there to give it a name; then a worker that is killed leaves nothing. Elsewhere it is a hidden
 * file with an unguessable name, which is removed when the worker fails or gets SIGTERM. Replacing needs a hidden
 * name for the instant between linking and renaming, because a link never replaces anything.
 *
 * One at a time in a worker.
 */
#ifndef WARMPOOL_FILE_STAGE_H
#define WARMPOOL_FILE_STAGE_H

#include <stdbool.h>
#include <sys/types.h>

/* Hidden names begin with this; a watch does not tell of them. */
#define STAGE_PREFIX ".warmpool-"
#define STAGE_NAME_BYTES (sizeof STAGE_PREFIX - 1 + 16)

bool is_stage_name(const char *name);

/* To be called once, before the first stage: SIGTERM undoes from then on. */
void stage_start(void);
/* The descriptor to write to. Fails for itself, as all of these do. */
int stage_open(int directory_fd, mode_t mode);
/* Gives the file its name; with `exclusive` only when there is none of that name. Closes it. */
void stage_commit(const char *name, bool exclusive, bool sync);
void stage_undo(void);

#endif
