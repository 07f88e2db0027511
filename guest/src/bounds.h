/*
 * Every bound of the guest in one place, each with what it trades.
 */
#ifndef WARMPOOL_BOUNDS_H
#define WARMPOOL_BOUNDS_H

/* Fixed by protocol/README.md, sections 1 and 5: the guest keeps one whole frame. */
#define FRAME_PAYLOAD_BYTES_MAX 65536u

/* Room on the link that output waits for: less would make small frames of a busy stream. */
#define OUTPUT_ROOM_BYTES_MIN 16384u

/* Fixed by protocol/README.md, section 9. Untouched state costs no memory. */
#define CHANNELS_MAX 1024u

/* Those with a channel, and those without: abandoned ones that are still given time to end, detached ones, kept records. */
#define TASKS_MAX 1536u

/* Stdin one process may be sent ahead of its reading: four of the largest frames, so that while one is on its way the others
 * are made, taken and written. The kernel's pipe holds the first; a buffer is mapped only for a process that lets the pipe
 * fill up, and has only the pages that were needed, so the worst case is one for each of them and the usual case none. */
#define STDIN_WINDOW_BYTES 262144u

/* With room for what a former channel of the process left unread. */
#define STDIN_BUFFER_BYTES (2u * STDIN_WINDOW_BYTES)

/* A terminal that took no more is tried again after this time: not every kernel says when it would. So is a pipe of which
 * the kernel said so wrongly. */
#define INPUT_RETRY_MS 50u

/* Stdin credit is given back in steps of the largest frame, so that a busy sender's frames stay as large, and never so late
 * that it starves. */
#define STDIN_GRANT_STEP_BYTES FRAME_PAYLOAD_BYTES_MAX

/* Largest window either side may announce. */
#define WINDOW_BYTES_MAX 1048576u

/* The pipe of a task that has written much is enlarged: fewer turns for the same bytes. Not before, because the kernel gives
 * all processes of a user 64 MB of pipes in all, and pipes of two pages afterwards. */
#define BUSY_OUTPUT_BYTES 1048576u
#define BUSY_PIPE_BYTES 262144
/* From then on the pages of the pipe go on to the link uncopied, where at least this much waits in it: less is cheaper to
 * copy into a frame with what follows. */
#define SPLICED_BYTES_MIN 16384u

/* The pipes of a busy link are enlarged as well: an engine that copies from and to them spends a third less. Not
 * before either: hundreds of idle sandboxes would use up what their user may have. */
#define BUSY_LINK_BYTES 1048576u

/* The pipe of a task that was sent much is enlarged as well: more of it is written at once, and read as it
 * was written. */
#define BUSY_INPUT_BYTES 1048576u

/* Answers collected during one turn of the loop before they are written at once. */
#define LINK_OUTPUT_BYTES 69632u

/* Room kept for one answer other than output: Error, Ack, Pong, Credit and ExecExit are all smaller. */
#define CONTROL_FRAME_BYTES_MAX 512u

#define ARGUMENTS_MAX 1024u
#define ENVIRONMENT_MAX 1024u
/* Names and values of argv and env together; what is left of a frame holds the other keys. */
#define ARGUMENT_BYTES_MAX 60000u
#define PATH_BYTES_MAX 4096u
#define USER_BYTES_MAX 256u
#define SUPPLEMENTARY_GROUPS_MAX 64u

/* MessagePack nesting, the top map being depth 1. */
#define MSGPACK_DEPTH_MAX 4u

#define PING_BYTES_MAX 64u

#define TERMINAL_SIDE_MAX 10000u

/* Output kept for whoever attaches to a detached process: of one, and of all together (protocol/README.md, 5.1). */
#define REPLAY_BYTES_DEFAULT 65536u
#define REPLAY_BYTES_MAX 1048576u
#define REPLAY_ALL_BYTES_MAX (8u * 1048576u)

/* ExecList: all that can be attached to always fit, and with those started plainly there are 256 at most. */
#define PROCESSES_LISTED_MAX 256u
#define DETACHED_RUNNING_MAX 192u
#define RECORDS_MAX 64u
/* The answer of ExecList: an entry is at most 176 bytes. */
#define LIST_BYTES_MAX 49152u
/* Of argv[0], cut between characters. */
#define LISTED_NAME_BYTES_MAX 64u

/* PortList and PortWatch (protocol/README.md, section 7): changes are told within a second. */
#define PORTS_MAX 1024u
#define PORT_LIST_BYTES_MAX 4096u
#define PORT_POLL_MS 500u

/* A port whose queue is full drops what knocks: after this time nobody is taken to listen. */
#define CONNECT_MS 10000u

/* Output of detached processes that nobody attached to, read per turn of the loop and process. */
#define UNATTENDED_READS_PER_TURN_MAX 4u
#define UNATTENDED_READ_BYTES 16384u

/* A process that has exited while another keeps its pipe open is reported after this much silence. */
#define EXIT_QUIET_MS 100u
/* From the SIGTERM of a timeout to its SIGKILL. */
#define TIMEOUT_KILL_MS 2000u
/* What is still read, after that SIGKILL, from pipes that somebody outside the group keeps filling: two pipes' worth. */
#define AFTER_KILL_OUTPUT_BYTES_MAX 131072u

/* Pipes of finished processes that somebody in the background still writes to: read and thrown away, so that the writer
 * neither blocks nor gets SIGPIPE. Beyond this many a new one is closed instead. */
#define SINKS_MAX 128u
/* How often such pipes are emptied: a background process that floods one costs the guest little. */
#define SINK_DRAIN_MS 10u

/* Work done before the loop looks at its events again. */
#define REAPED_PER_TURN_MAX 256u
#define LINK_READS_PER_TURN_MAX 4u

/* From the signal that tells an abandoned process to end, to its SIGKILL (protocol/README.md, section 4.1). */
#define ABANDONED_KILL_MS 5000u

/* Every task's three descriptors, the ends of a starting one, sinks, and the guest's own. */
#define DESCRIPTORS_MAX (TASKS_MAX * 3u + SINKS_MAX + 32u)

#endif
