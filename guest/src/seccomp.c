/*
 * One BPF program for every runtime, read top to bottom: architecture, x32, unknown numbers, the calls that are refused
 * outright, the calls that depend on an argument, allow.
 *
 * It is a list of what is refused, not of what is allowed: a sandbox runs anybody's programs, and the namespaces,
 * capabilities and no_new_privs around it already hold. What is refused here is what they do not cover. Linear search
 * costs little: since 5.11 the kernel remembers which calls are always allowed and skips the program for them.
 *
 * Arguments are compared by their low 32 bits where the kernel reads an int: it ignores the high half, so a filter that
 * looks at all 64 bits is passed by setting one of them.
 */
#define _GNU_SOURCE
#include "seccomp.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel_abi.h"

#define LOAD(offset) {BPF_LOAD_WORD, 0, 0, (offset)}
#define IF_EQUAL(value, jump_true, jump_false) {BPF_JUMP_EQUAL, (jump_true), (jump_false), (value)}
#define RETURN(result) {BPF_RETURN, 0, 0, (result)}
#define RETURN_ERRNO(number) RETURN(SECCOMP_RESULT_ERRNO | (number))
#define ALLOW RETURN(SECCOMP_RESULT_ALLOW)

/* One call refused whatever its arguments. */
#define REFUSE(name, number) IF_EQUAL(__NR_##name, 0, 1), RETURN_ERRNO(number)
/* The next `length` instructions are for this call alone; the last of them returns. */
#define FOR_CALL(name, length) IF_EQUAL(__NR_##name, 0, (length))

#define NAMESPACE_FLAGS 0x7e020000u /* CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET */
#define IOCTL_TIOCSTI 0x5412u
#define IOCTL_TIOCLINUX 0x541cu
#define IOCTL_TIOCSETD 0x5423u
#define NETLINK_ROUTE_PROTOCOL 0u

static const struct bpf_instruction FILTER[] = {
    LOAD(SECCOMP_DATA_ARCHITECTURE),
#if defined(__x86_64__)
    IF_EQUAL(ARCHITECTURE_X86_64, 1, 0),
#elif defined(__aarch64__)
    IF_EQUAL(ARCHITECTURE_AARCH64, 1, 0),
#else
#error "The system call filter has been reviewed for x86_64 and aarch64 only"
#endif
    RETURN(SECCOMP_RESULT_KILL_PROCESS),
    LOAD(SECCOMP_DATA_NUMBER),
#if defined(__x86_64__)
    {BPF_JUMP_GREATER_EQ, 0, 1, SYSCALL_X32_BIT},
    RETURN_ERRNO(ENOSYS),
#endif
    {BPF_JUMP_GREATER, 0, 1, SYSCALL_REVIEWED_MAX},
    RETURN_ERRNO(ENOSYS),

    /* The filter cannot read clone3's flags, which lie in memory; libc falls back on clone. io_uring opens sockets and
     * files behind the filter; runtimes fall back on epoll. */
    REFUSE(clone3, ENOSYS),
    REFUSE(io_uring_setup, ENOSYS),
    REFUSE(io_uring_enter, ENOSYS),
    REFUSE(io_uring_register, ENOSYS),

    /* Namespaces; clone itself is further down. */
    REFUSE(unshare, EPERM),
    REFUSE(setns, EPERM),

    /* Mounts. */
    REFUSE(mount, EPERM),
    REFUSE(umount2, EPERM),
    REFUSE(pivot_root, EPERM),
    REFUSE(open_tree, EPERM),
    REFUSE(move_mount, EPERM),
    REFUSE(fsopen, EPERM),
    REFUSE(fsconfig, EPERM),
    REFUSE(fsmount, EPERM),
    REFUSE(fspick, EPERM),
    REFUSE(mount_setattr, EPERM),
    REFUSE(open_tree_attr, EPERM),

    /* Kernel surface that no ordinary program needs. */
    REFUSE(bpf, EPERM),
    REFUSE(perf_event_open, EPERM),
    REFUSE(userfaultfd, EPERM),
    REFUSE(add_key, EPERM),
    REFUSE(request_key, EPERM),
    REFUSE(keyctl, EPERM),
    REFUSE(kcmp, EPERM),
    REFUSE(open_by_handle_at, EPERM),
    REFUSE(fanotify_init, EPERM),
    REFUSE(lookup_dcookie, EPERM),
    REFUSE(move_pages, EPERM),
    REFUSE(migrate_pages, EPERM),

    /* Administration of the host. */
    REFUSE(kexec_load, EPERM),
    REFUSE(kexec_file_load, EPERM),
    REFUSE(init_module, EPERM),
    REFUSE(finit_module, EPERM),
    REFUSE(delete_module, EPERM),
    REFUSE(reboot, EPERM),
    REFUSE(swapon, EPERM),
    REFUSE(swapoff, EPERM),
    REFUSE(acct, EPERM),
    REFUSE(quotactl, EPERM),
    REFUSE(quotactl_fd, EPERM),
    REFUSE(syslog, EPERM),
    REFUSE(settimeofday, EPERM),
    REFUSE(clock_settime, EPERM),
    REFUSE(clock_adjtime, EPERM),
    REFUSE(adjtimex, EPERM),
    REFUSE(vhangup, EPERM),
    REFUSE(nfsservctl, EPERM),
#if defined(__x86_64__)
    REFUSE(create_module, EPERM),
    REFUSE(get_kernel_syms, EPERM),
    REFUSE(query_module, EPERM),
    REFUSE(iopl, EPERM),
    REFUSE(ioperm, EPERM),
    REFUSE(uselib, EPERM),
    REFUSE(ustat, EPERM),
    REFUSE(sysfs, EPERM),
    REFUSE(_sysctl, EPERM),
#endif

    FOR_CALL(clone, 4),
    LOAD(SECCOMP_DATA_ARGUMENT_LOW(0)),
    {BPF_JUMP_ANY_BIT, 0, 1, NAMESPACE_FLAGS},
    RETURN_ERRNO(EPERM),
    ALLOW,

    /* Keystrokes put into a terminal, the console's own commands, and line disciplines loaded as modules. */
    FOR_CALL(ioctl, 6),
    LOAD(SECCOMP_DATA_ARGUMENT_LOW(1)),
    IF_EQUAL(IOCTL_TIOCSTI, 2, 0),
    IF_EQUAL(IOCTL_TIOCLINUX, 1, 0),
    IF_EQUAL(IOCTL_TIOCSETD, 0, 1),
    RETURN_ERRNO(EPERM),
    ALLOW,

    /* Linux, 32-bit Linux, both without address randomisation, what debuggers set, and the question. */
    FOR_CALL(personality, 9),
    LOAD(SECCOMP_DATA_ARGUMENT_LOW(0)),
    IF_EQUAL(0, 6, 0),
    IF_EQUAL(0x8, 5, 0),
    IF_EQUAL(0x20000, 4, 0),
    IF_EQUAL(0x20008, 3, 0),
    IF_EQUAL(0x40000, 2, 0),
    IF_EQUAL(0xffffffffu, 1, 0),
    RETURN_ERRNO(EPERM),
    ALLOW,

    /* A list of what is allowed, so that families of the future are refused. Interface lists need route netlink. */
    FOR_CALL(socket, 9),
    LOAD(SECCOMP_DATA_ARGUMENT_LOW(0)),
    IF_EQUAL(AF_UNIX, 6, 0),
    IF_EQUAL(AF_INET, 5, 0),
    IF_EQUAL(AF_INET6, 4, 0),
    IF_EQUAL(AF_NETLINK, 0, 2),
    LOAD(SECCOMP_DATA_ARGUMENT_LOW(2)),
    IF_EQUAL(NETLINK_ROUTE_PROTOCOL, 1, 0),
    RETURN_ERRNO(EAFNOSUPPORT),
    ALLOW,

    FOR_CALL(socketpair, 4),
    LOAD(SECCOMP_DATA_ARGUMENT_LOW(0)),
    IF_EQUAL(AF_UNIX, 1, 0),
    RETURN_ERRNO(EAFNOSUPPORT),
    ALLOW,

    ALLOW,
};

bool install_seccomp_filter(void) {
  struct bpf_program program = {.length = sizeof FILTER / sizeof FILTER[0], .instructions = FILTER};
  return prctl(PR_SET_SECCOMP, SECCOMP_FILTER_MODE, &program, 0, 0) == 0;
}
