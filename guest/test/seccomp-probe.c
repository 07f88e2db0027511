/*
 * Tries every row of the system call policy from inside a sandbox: each refused call once, and an allowed neighbour.
 *
 *   seccomp-probe [--stacked]
 *
 * prints one JSON object per row: {"row":…,"want":…,"got":…,"ok":…}, and exits 0 when all are ok. With --stacked another
 * filter may stand beside the guest's (a container engine's own): rows that only the guest's filter allows are left out.
 *
 * Most refused calls would also fail for want of a capability, and as root on a bare machine some would work. So each call
 * is made under a second filter of the probe's own that answers TRACE for it, which without a tracer is ENOSYS and does
 * not run the call. The kernel prefers an ERRNO of the guest's filter over that: EPERM then comes from the guest's filter
 * and from nothing else, and ENOSYS means the call passed it. Rows that want ENOSYS, and neighbours that do no harm, are
 * called for real.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel_abi.h"

#define RESULT_TRACE 0x7ff00000u
#define HIGH_BIT (1ull << 32)
#define CLONE_FLAG(bit) ((uint64_t)(bit) | SIGCHLD)
#define TIOCSTI_NUMBER 0x5412u
#define TIOCLINUX_NUMBER 0x541cu
#define TIOCSETD_NUMBER 0x5423u
#define FIONREAD_NUMBER 0x541bu

enum method {
  ISOLATED, /* Under the probe's filter: never runs. */
  REAL,     /* Runs. */
  COMPAT,   /* By int 0x80, the 32-bit entry. */
};

/* Besides an errno, what a row may want. A call by the 32-bit entry is killed by the filter, where the kernel knows that
 * entry at all: one that does not (gVisor) answers with an error or a fault. */
enum { PASSES = -1, DOES_NOT_WORK = -2 };
/* What a row never wants; above every errno. */
enum { NO_FORK = 250, NO_RESULT = 251, NO_FILTER = 252, KILLED = 253 };

struct row {
  const char *name;
  long number;
  uint64_t arguments[3];
  enum method method;
  int want;
  bool ours_only; /* Other filters commonly refuse it. */
};

#define DENY(call) {#call, __NR_##call, {0, 0, 0}, ISOLATED, EPERM, false}

static const struct row ROWS[] = {
    {"clone3", __NR_clone3, {0, 0, 0}, REAL, ENOSYS, false},
    {"io_uring_setup", 425, {0, 0, 0}, REAL, ENOSYS, false},
    {"io_uring_enter", 426, {~0ull, 0, 0}, REAL, ENOSYS, false},
    {"io_uring_register", 427, {~0ull, 0, 0}, REAL, ENOSYS, false},
    {"a number above the reviewed ones", SYSCALL_REVIEWED_MAX + 1, {0, 0, 0}, REAL, ENOSYS, false},
    {"a number far above", 100000, {0, 0, 0}, REAL, ENOSYS, false},
    {"neighbour: epoll_create1", __NR_epoll_create1, {0, 0, 0}, REAL, 0, false},
    {"neighbour: the highest reviewed number", SYSCALL_REVIEWED_MAX, {~0ull, 0, 0}, ISOLATED, PASSES, true},
#if defined(__x86_64__)
    {"x32 getpid", (long)(SYSCALL_X32_BIT | __NR_getpid), {0, 0, 0}, REAL, ENOSYS, false},
    {"x32 range without the bit (512)", 512, {0, 0, 0}, REAL, ENOSYS, false},
    {"int 0x80 getpid", 20, {0, 0, 0}, COMPAT, DOES_NOT_WORK, false},
#endif
    {"neighbour: getpid", __NR_getpid, {0, 0, 0}, REAL, 0, false},

    {"clone CLONE_NEWNS", __NR_clone, {CLONE_FLAG(0x00020000), 0, 0}, ISOLATED, EPERM, false},
    {"clone CLONE_NEWCGROUP", __NR_clone, {CLONE_FLAG(0x02000000), 0, 0}, ISOLATED, EPERM, false},
    {"clone CLONE_NEWUTS", __NR_clone, {CLONE_FLAG(0x04000000), 0, 0}, ISOLATED, EPERM, false},
    {"clone CLONE_NEWIPC", __NR_clone, {CLONE_FLAG(0x08000000), 0, 0}, ISOLATED, EPERM, false},
    {"clone CLONE_NEWUSER", __NR_clone, {CLONE_FLAG(0x10000000), 0, 0}, ISOLATED, EPERM, false},
    {"clone CLONE_NEWPID", __NR_clone, {CLONE_FLAG(0x20000000), 0, 0}, ISOLATED, EPERM, false},
    {"clone CLONE_NEWNET", __NR_clone, {CLONE_FLAG(0x40000000), 0, 0}, ISOLATED, EPERM, false},
    {"neighbour: clone as fork", __NR_clone, {SIGCHLD, 0, 0}, ISOLATED, PASSES, false},
    DENY(unshare),
    DENY(setns),
    {"neighbour: setsid", __NR_setsid, {0, 0, 0}, ISOLATED, PASSES, false},

    DENY(mount),
    DENY(umount2),
    DENY(pivot_root),
    {"open_tree", 428, {0, 0, 0}, ISOLATED, EPERM, false},
    {"move_mount", 429, {0, 0, 0}, ISOLATED, EPERM, false},
    {"fsopen", 430, {0, 0, 0}, ISOLATED, EPERM, false},
    {"fsconfig", 431, {0, 0, 0}, ISOLATED, EPERM, false},
    {"fsmount", 432, {0, 0, 0}, ISOLATED, EPERM, false},
    {"fspick", 433, {0, 0, 0}, ISOLATED, EPERM, false},
    {"mount_setattr", 442, {0, 0, 0}, ISOLATED, EPERM, false},
    {"open_tree_attr", __NR_open_tree_attr, {0, 0, 0}, ISOLATED, EPERM, false},
    {"neighbour: chroot", __NR_chroot, {0, 0, 0}, ISOLATED, PASSES, true},
    {"neighbour: pidfd_open", 434, {0, 0, 0}, ISOLATED, PASSES, true},
    {"neighbour: statfs", __NR_statfs, {0, 0, 0}, ISOLATED, PASSES, false},

    DENY(bpf),
    DENY(perf_event_open),
    DENY(userfaultfd),
    DENY(add_key),
    DENY(request_key),
    DENY(keyctl),
    DENY(kcmp),
    DENY(open_by_handle_at),
    DENY(fanotify_init),
    DENY(lookup_dcookie),
    DENY(move_pages),
    DENY(migrate_pages),
    {"neighbour: inotify_init1", __NR_inotify_init1, {0, 0, 0}, REAL, 0, false},
    {"neighbour: ptrace", __NR_ptrace, {0, 0, 0}, ISOLATED, PASSES, true},
    {"neighbour: process_vm_readv", __NR_process_vm_readv, {0, 0, 0}, ISOLATED, PASSES, true},
    {"neighbour: seccomp", __NR_seccomp, {0, 0, 0}, ISOLATED, PASSES, false},
    {"neighbour: landlock_create_ruleset", 444, {0, 0, 0}, ISOLATED, PASSES, true},
    {"neighbour: name_to_handle_at", __NR_name_to_handle_at, {0, 0, 0}, ISOLATED, PASSES, true},
    {"neighbour: memfd_create", __NR_memfd_create, {0, 0, 0}, ISOLATED, PASSES, false},

    DENY(kexec_load),
    DENY(kexec_file_load),
    DENY(init_module),
    DENY(finit_module),
    DENY(delete_module),
    DENY(reboot),
    DENY(swapon),
    DENY(swapoff),
    DENY(acct),
    DENY(quotactl),
    {"quotactl_fd", __NR_quotactl_fd, {0, 0, 0}, ISOLATED, EPERM, false},
    DENY(syslog),
    DENY(settimeofday),
    DENY(clock_settime),
    DENY(clock_adjtime),
    DENY(adjtimex),
    DENY(vhangup),
    DENY(nfsservctl),
#if defined(__x86_64__)
    DENY(create_module),
    DENY(get_kernel_syms),
    DENY(query_module),
    DENY(iopl),
    DENY(ioperm),
    DENY(uselib),
    DENY(ustat),
    DENY(sysfs),
    DENY(_sysctl),
#endif
    {"neighbour: clock_gettime", __NR_clock_gettime, {0, 0, 0}, ISOLATED, PASSES, false},
    {"neighbour: sysinfo", __NR_sysinfo, {0, 0, 0}, ISOLATED, PASSES, false},
    {"neighbour: sync", __NR_sync, {0, 0, 0}, ISOLATED, PASSES, false},

    {"ioctl TIOCSTI", __NR_ioctl, {0, TIOCSTI_NUMBER, 0}, ISOLATED, EPERM, false},
    {"ioctl TIOCSTI with a high bit", __NR_ioctl, {0, TIOCSTI_NUMBER | HIGH_BIT, 0}, ISOLATED, EPERM, false},
    {"ioctl TIOCLINUX", __NR_ioctl, {0, TIOCLINUX_NUMBER, 0}, ISOLATED, EPERM, false},
    {"ioctl TIOCLINUX with a high bit", __NR_ioctl, {0, TIOCLINUX_NUMBER | HIGH_BIT << 31, 0}, ISOLATED, EPERM, false},
    {"ioctl TIOCSETD", __NR_ioctl, {0, TIOCSETD_NUMBER, 0}, ISOLATED, EPERM, false},
    {"ioctl TIOCSETD with a high bit", __NR_ioctl, {0, TIOCSETD_NUMBER | HIGH_BIT, 0}, ISOLATED, EPERM, false},
    {"neighbour: ioctl FIONREAD", __NR_ioctl, {0, FIONREAD_NUMBER, 0}, ISOLATED, PASSES, false},
    {"neighbour: ioctl TIOCGETD", __NR_ioctl, {0, 0x5424, 0}, ISOLATED, PASSES, false},
    {"neighbour: ioctl TIOCSCTTY", __NR_ioctl, {0, 0x540e, 0}, ISOLATED, PASSES, false},

    {"personality READ_IMPLIES_EXEC", __NR_personality, {0x400000, 0, 0}, ISOLATED, EPERM, false},
    {"personality ADDR_NO_RANDOMIZE and more", __NR_personality, {0x40008, 0, 0}, ISOLATED, EPERM, false},
    {"personality 1", __NR_personality, {1, 0, 0}, ISOLATED, EPERM, false},
    {"neighbour: personality 0", __NR_personality, {0, 0, 0}, ISOLATED, PASSES, false},
    {"neighbour: personality 8", __NR_personality, {8, 0, 0}, ISOLATED, PASSES, false},
    {"neighbour: personality 0x20000", __NR_personality, {0x20000, 0, 0}, ISOLATED, PASSES, false},
    {"neighbour: personality 0x20008", __NR_personality, {0x20008, 0, 0}, ISOLATED, PASSES, false},
    {"neighbour: personality 0x40000", __NR_personality, {0x40000, 0, 0}, ISOLATED, PASSES, true},
    {"neighbour: personality question", __NR_personality, {0xffffffff, 0, 0}, ISOLATED, PASSES, false},

    {"socket AF_VSOCK", __NR_socket, {40, SOCK_STREAM, 0}, ISOLATED, EAFNOSUPPORT, false},
    {"socket AF_VSOCK with a high bit", __NR_socket, {40 | HIGH_BIT, SOCK_STREAM, 0}, ISOLATED, EAFNOSUPPORT, false},
    {"socket AF_ALG", __NR_socket, {38, SOCK_SEQPACKET, 0}, ISOLATED, EAFNOSUPPORT, false},
    {"socket AF_PACKET", __NR_socket, {17, SOCK_RAW, 0}, ISOLATED, EAFNOSUPPORT, false},
    {"socket AF_XDP", __NR_socket, {44, SOCK_RAW, 0}, ISOLATED, EAFNOSUPPORT, false},
    {"socket AF_TIPC", __NR_socket, {30, SOCK_STREAM, 0}, ISOLATED, EAFNOSUPPORT, false},
    {"socket AF_BLUETOOTH", __NR_socket, {31, SOCK_RAW, 0}, ISOLATED, EAFNOSUPPORT, false},
    {"socket of a future family", __NR_socket, {200, SOCK_RAW, 0}, ISOLATED, EAFNOSUPPORT, false},
    {"socket AF_NETLINK netfilter", __NR_socket, {AF_NETLINK, SOCK_RAW, 12}, ISOLATED, EAFNOSUPPORT, false},
    {"socket AF_NETLINK with a high bit in the protocol",
     __NR_socket,
     {AF_NETLINK, SOCK_RAW, 15 | HIGH_BIT},
     ISOLATED,
     EAFNOSUPPORT,
     false},
    {"neighbour: socket AF_NETLINK route", __NR_socket, {AF_NETLINK, SOCK_RAW, 0}, ISOLATED, PASSES, false},
    {"neighbour: socket AF_UNIX", __NR_socket, {AF_UNIX, SOCK_STREAM, 0}, REAL, 0, false},
    {"neighbour: socket AF_INET", __NR_socket, {AF_INET, SOCK_STREAM, 0}, REAL, 0, false},
    {"neighbour: socket AF_INET with a high bit", __NR_socket, {AF_INET | HIGH_BIT, SOCK_STREAM, 0}, ISOLATED, PASSES, true},
    {"neighbour: socket AF_INET6", __NR_socket, {AF_INET6, SOCK_STREAM, 0}, ISOLATED, PASSES, false},

    {"socketpair AF_INET", __NR_socketpair, {AF_INET, SOCK_STREAM, 0}, ISOLATED, EAFNOSUPPORT, false},
    {"socketpair AF_TIPC", __NR_socketpair, {30, SOCK_STREAM, 0}, ISOLATED, EAFNOSUPPORT, false},
    {"neighbour: socketpair AF_UNIX", __NR_socketpair, {AF_UNIX, SOCK_STREAM, 0}, ISOLATED, PASSES, false},
};

/* Answers TRACE for this number and allows the rest. */
static bool isolate(long number) {
  struct bpf_instruction instructions[] = {
      {BPF_LOAD_WORD, 0, 0, SECCOMP_DATA_NUMBER},
      {BPF_JUMP_EQUAL, 0, 1, (uint32_t)number},
      {BPF_RETURN, 0, 0, RESULT_TRACE},
      {BPF_RETURN, 0, 0, SECCOMP_RESULT_ALLOW},
  };
  struct bpf_program program = {.length = 4, .instructions = instructions};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_FILTER_MODE, &program, 0, 0) == 0;
}

static long call_by_compat_entry(long number) {
#if defined(__x86_64__)
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(0), "c"(0), "d"(0) : "memory", "r8", "r9", "r10", "r11");
  return result;
#else
  (void)number;
  return 0;
#endif
}

/* In a child of its own, because a filter stays and a kill kills. The errno is its exit code, 0 for success. */
static int try_row(const struct row *row) {
  pid_t pid = fork();
  if (pid < 0) return NO_FORK;
  if (pid == 0) {
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    if (row->method == COMPAT) _exit(call_by_compat_entry(row->number) > 0 ? 0 : NO_RESULT);
    if (row->method == ISOLATED && !isolate(row->number)) _exit(NO_FILTER);
    errno = 0;
    long result = syscall(row->number, row->arguments[0], row->arguments[1], row->arguments[2], 0, 0, 0);
    _exit(result >= 0 ? 0 : errno & 0xff);
  }
  int status;
  if (waitpid(pid, &status, 0) != pid) return NO_FORK;
  if (WIFSIGNALED(status)) return row->method == COMPAT ? DOES_NOT_WORK : KILLED;
  return WEXITSTATUS(status) == NO_RESULT ? DOES_NOT_WORK : WEXITSTATUS(status);
}

static const char *name_of(int result) {
  static char number[16];
  switch (result) {
    case 0: return "done";
    case PASSES: return "passed";
    case DOES_NOT_WORK: return "does not work";
    case KILLED: return "killed";
    case EPERM: return "EPERM";
    case ENOSYS: return "ENOSYS";
    case EAFNOSUPPORT: return "EAFNOSUPPORT";
    case NO_FORK: return "no fork";
    case NO_FILTER: return "no filter of the probe's own";
    default: snprintf(number, sizeof number, "errno %d", result); return number;
  }
}

int main(int argc, char **argv) {
  bool stacked = argc > 1 && strcmp(argv[1], "--stacked") == 0;
  int failed = 0;
  for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i += 1) {
    const struct row *row = &ROWS[i];
    if (stacked && row->ours_only) continue;
    int got = try_row(row);
    if (row->method == ISOLATED && got == ENOSYS) got = PASSES;
    bool ok = got == row->want;
    failed += !ok;
    printf("{\"row\":\"%s\",\"want\":\"%s\",", row->name, name_of(row->want));
    printf("\"got\":\"%s\",\"ok\":%s}\n", name_of(got), ok ? "true" : "false");
  }
  return failed == 0 ? 0 : 1;
}
