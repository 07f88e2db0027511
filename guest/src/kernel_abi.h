/*
 * Parts of the kernel's interface that libc headers leave out: musl ships no linux/ headers, and what is newer than the
 * libc has no name in its sys/syscall.h. All of it is stable ABI.
 */
#ifndef WARMPOOL_KERNEL_ABI_H
#define WARMPOOL_KERNEL_ABI_H

#include <stdint.h>
#include <sys/syscall.h>

/* Numbers from 424 on are the same on every architecture. */
#ifndef __NR_quotactl_fd
#define __NR_quotactl_fd 443
#endif
#ifndef __NR_close_range
#define __NR_close_range 436
#endif
#ifndef __NR_clone3
#define __NR_clone3 435
#endif
#ifndef __NR_open_tree_attr
#define __NR_open_tree_attr 467
#endif
#ifndef __NR_fchmodat2
#define __NR_fchmodat2 452
#endif
#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif
/* file_setattr: the newest call reviewed for the filter (Linux 6.18). */
#define SYSCALL_REVIEWED_MAX 469

/* linux/filter.h and linux/bpf_common.h */
struct bpf_instruction {
  uint16_t code;
  uint8_t jump_true;
  uint8_t jump_false;
  uint32_t value;
};

struct bpf_program {
  uint16_t length;
  const struct bpf_instruction *instructions;
};

#define BPF_LOAD_WORD 0x20        /* BPF_LD | BPF_W | BPF_ABS */
#define BPF_JUMP_EQUAL 0x15       /* BPF_JMP | BPF_JEQ | BPF_K */
#define BPF_JUMP_GREATER 0x25     /* BPF_JMP | BPF_JGT | BPF_K */
#define BPF_JUMP_GREATER_EQ 0x35  /* BPF_JMP | BPF_JGE | BPF_K */
#define BPF_JUMP_ANY_BIT 0x45     /* BPF_JMP | BPF_JSET | BPF_K */
#define BPF_RETURN 0x06           /* BPF_RET | BPF_K */

/* asm-generic/ioctls.h: the other end of a terminal, without its name. */
#define IOCTL_TIOCGPTPEER 0x5441

/* linux/seccomp.h: struct seccomp_data is {int nr; u32 arch; u64 instruction_pointer; u64 args[6]}. */
#define SECCOMP_DATA_NUMBER 0
#define SECCOMP_DATA_ARCHITECTURE 4
/* Both architectures are little-endian, so the low half comes first. */
#define SECCOMP_DATA_ARGUMENT_LOW(index) (16 + 8 * (index))
#define SECCOMP_RESULT_KILL_PROCESS 0x80000000u
#define SECCOMP_RESULT_ERRNO 0x00050000u
#define SECCOMP_RESULT_ALLOW 0x7fff0000u
#define SECCOMP_FILTER_MODE 2

/* linux/audit.h */
#define ARCHITECTURE_X86_64 0xc000003eu
#define ARCHITECTURE_AARCH64 0xc00000b7u
#define SYSCALL_X32_BIT 0x40000000u

/* linux/netlink.h, linux/sock_diag.h and linux/inet_diag.h; net/tcp_states.h */
#define NETLINK_SOCK_DIAG_PROTOCOL 4
#define NETLINK_REQUEST 0x001
#define NETLINK_DUMP 0x300
#define NETLINK_DONE_TYPE 3
#define SOCK_DIAG_BY_FAMILY_TYPE 20
#define TCP_STATE_LISTEN 10

struct netlink_header {
  uint32_t bytes;
  uint16_t type;
  uint16_t flags;
  uint32_t sequence;
  uint32_t port;
};

struct inet_diag_request {
  uint8_t family;
  uint8_t protocol;
  uint8_t extensions;
  uint8_t padding;
  uint32_t states;
  uint8_t socket[48];
};

struct inet_diag_answer {
  uint8_t family;
  uint8_t state;
  uint8_t timer;
  uint8_t retransmits;
  uint16_t source_port; /* Big-endian. */
  uint8_t rest[66];
};

/* linux/capability.h, version 3 */
#define CAPABILITY_VERSION_3 0x20080522u

struct capability_header {
  uint32_t version;
  int pid;
};

struct capability_data {
  uint32_t effective;
  uint32_t permitted;
  uint32_t inheritable;
};

#endif
