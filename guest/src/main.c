/*
 * Start-up of the guest agent: what must be true before the first byte of the link is read.
 *
 * Order matters. Not dumpable comes first, so that there is no instant in which a process of the same uid could open this
 * one's memory or its link. The link leaves descriptors 0 and 1 before anything is started. no_new_privs and the system
 * call filter come last, because they also bind the guest, and before the loop, because they must bind every command.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent.h"
#include "kernel_abi.h"
#include "listening.h"
#include "seccomp.h"

#ifndef WARMPOOL_VERSION
#define WARMPOOL_VERSION "0"
#endif

#define NOFILE_DEFAULT 65536u

struct options {
  bool reattaches;
  uint64_t nofile;
  uint64_t fsize; /* 0: no limit of our own. */
  uint64_t root_capabilities;
};

static struct agent agent;

static void say(const char *text) {
  /* Nothing can be done when even this fails. */
  ssize_t ignored = write(2, text, strlen(text));
  (void)ignored;
}

static int fail(const char *what) {
  say("warmpool-guest: ");
  say(what);
  if (errno != 0) {
    say(": ");
    say(strerror(errno));
  }
  say("\n");
  return 1;
}

/* The number behind "--name=" in decimal or, with 0x, in hexadecimal. */
static bool parse_number(const char *text, uint64_t *value) {
  unsigned base = 10;
  if (text[0] == '0' && text[1] == 'x') {
    base = 16;
    text += 2;
  }
  if (*text == '\0') return false;
  uint64_t sum = 0;
  for (; *text != '\0'; text += 1) {
    unsigned digit = *text >= '0' && *text <= '9'   ? (unsigned)(*text - '0')
                     : *text >= 'a' && *text <= 'f' ? (unsigned)(*text - 'a' + 10)
                                                    : base;
    if (digit >= base || sum > (UINT64_MAX - digit) / base) return false;
    sum = sum * base + digit;
  }
  *value = sum;
  return true;
}

static const char *value_of(const char *argument, const char *name) {
  size_t length = strlen(name);
  return strncmp(argument, name, length) == 0 ? argument + length : NULL;
}

static bool parse_options(int argc, char **argv, struct options *options) {
  for (int i = 1; i < argc; i += 1) {
    const char *value;
    if (strcmp(argv[i], "--link=once") == 0) options->reattaches = false;
    else if (strcmp(argv[i], "--link=reattach") == 0) options->reattaches = true;
    else if ((value = value_of(argv[i], "--nofile=")) != NULL) {
      if (!parse_number(value, &options->nofile) || options->nofile == 0) return false;
    } else if ((value = value_of(argv[i], "--fsize=")) != NULL) {
      if (!parse_number(value, &options->fsize)) return false;
    } else if ((value = value_of(argv[i], "--root-capabilities=")) != NULL) {
      if (!parse_number(value, &options->root_capabilities)) return false;
    } else {
      return false;
    }
  }
  return true;
}

/* The real /dev/null, or in an image without one a pipe whose other end is closed: end of file for a reader. */
static int open_null(void) {
  int fd = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
  struct stat status;
  if (fd >= 0 && fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3)) return fd;
  if (fd >= 0) close(fd);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return -1;
  close(ends[1]);
  return ends[0];
}

/* Whatever was inherited beside the standard three is not meant for a sandbox. */
static void close_inherited(void) {
  if (syscall(__NR_close_range, 3u, ~0u, 0u) == 0) return;
  struct rlimit nofile;
  if (getrlimit(RLIMIT_NOFILE, &nofile) != 0 || nofile.rlim_cur > 65536) nofile.rlim_cur = 65536;
  for (int fd = 3; fd < (int)nofile.rlim_cur; fd += 1) close(fd);
}

/* The same file at a free number above 2, close-on-exec. */
static int raise_descriptor(int fd) { return fcntl(fd, F_DUPFD_CLOEXEC, 3); }

static bool set_nonblocking(int fd) {
  int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

static bool take_link(struct agent *to) {
  to->link.input_fd = raise_descriptor(0);
  to->link.output_fd = raise_descriptor(1);
  if (to->link.input_fd < 0 || to->link.output_fd < 0) return false;
  int null_fd = open_null();
  if (null_fd < 0) return false;
  to->null_fd = null_fd < 3 ? raise_descriptor(null_fd) : null_fd;
  if (to->null_fd < 0 || dup2(to->null_fd, 0) < 0 || dup2(to->null_fd, 1) < 0) return false;
  if (fcntl(2, F_GETFD) < 0 && dup2(to->null_fd, 2) < 0) return false;
  return set_nonblocking(to->link.input_fd) && set_nonblocking(to->link.output_fd);
}

static bool set_limits(struct agent *to, const struct options *options) {
  /* No core file of the guest (it would hold the link) nor of a command; children inherit it. */
  struct rlimit core = {0, 0};
  if (setrlimit(RLIMIT_CORE, &core) != 0) return false;
  if (options->fsize != 0) {
    struct rlimit fsize = {options->fsize, options->fsize};
    if (setrlimit(RLIMIT_FSIZE, &fsize) != 0 && errno != EPERM) return false;
  }
  struct rlimit nofile;
  if (getrlimit(RLIMIT_NOFILE, &nofile) != 0) return false;
  to->spawn_limits.nofile = options->nofile < nofile.rlim_max ? options->nofile : nofile.rlim_max;
  if (nofile.rlim_cur < DESCRIPTORS_MAX) {
    nofile.rlim_cur = nofile.rlim_max < DESCRIPTORS_MAX ? nofile.rlim_max : DESCRIPTORS_MAX;
    if (setrlimit(RLIMIT_NOFILE, &nofile) != 0) return false;
  }
  return true;
}

/* All signals stay blocked and wait in a descriptor: no handler ever runs, which spawn_process relies on. Dispositions
 * are set back to the default because commands inherit what is ignored. */
static bool take_signals(struct agent *to) {
  for (int signal_number = 1; signal_number <= 64; signal_number += 1) signal(signal_number, SIG_DFL);
  sigset_t all, wanted;
  sigfillset(&all);
  if (sigprocmask(SIG_SETMASK, &all, NULL) != 0) return false;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGCHLD);
  sigaddset(&wanted, SIGTERM);
  sigaddset(&wanted, SIGINT);
  to->signal_fd = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
  return to->signal_fd >= 0;
}

static bool watch_descriptors(struct agent *to) {
  to->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (to->epoll_fd < 0) return false;
  tasks_init(&to->tasks, to->epoll_fd);
  to->tasks.diag_fd = listening_open();
  return link_watch(&to->link, to->epoll_fd) && watch(to->epoll_fd, to->signal_fd, EPOLLIN, EVENT_SIGNALS, 0);
}

int main(int argc, char **argv) {
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return fail("PR_SET_DUMPABLE");
  if (argc == 2 && strcmp(argv[1], "--version") == 0) {
    static const char VERSION_LINE[] = "warmpool-guest " WARMPOOL_VERSION "\n";
    return write(1, VERSION_LINE, sizeof VERSION_LINE - 1) < 0;
  }
  struct options options = {.nofile = NOFILE_DEFAULT};
  errno = 0;
  if (!parse_options(argc, argv, &options))
    return fail("usage: warmpool-guest [--version] [--link=once|reattach] [--nofile=N] [--fsize=BYTES] "
                "[--root-capabilities=MASK]");
  if (fcntl(0, F_GETFD) < 0 || fcntl(1, F_GETFD) < 0) return fail("the link (descriptors 0 and 1)");

  agent.link.reattaches = options.reattaches;
  agent.started_ms = now_us() / 1000;
  agent.own_uid = getuid();
  agent.own_gid = getgid();
  agent.spawn_limits.root_capabilities = options.root_capabilities;
  umask(022);
  close_inherited();
  if (!set_limits(&agent, &options)) return fail("limits");
  if (!take_link(&agent)) return fail("taking the link");
  if (!take_signals(&agent)) return fail("signals");
  if (!watch_descriptors(&agent)) return fail("watching the link");
  /* Outside of a namespace of its own the guest still adopts what its commands leave behind. */
  if (getpid() != 1 && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return fail("PR_SET_CHILD_SUBREAPER");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail("PR_SET_NO_NEW_PRIVS");
  if (!install_seccomp_filter()) return fail("the system call filter");
  return agent_run(&agent);
}
