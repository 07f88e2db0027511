#define _GNU_SOURCE
#include "stats.h"

#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "msgpack.h"
#include "requests.h"

/* Beyond this many processes the sums are of the first ones: the loop must not stand still for a fork bomb. */
#define PROCESSES_SUMMED_MAX 4096u
/* A limit above this is none: memory.limit_in_bytes of version 1 says "none" with a number near 2^63. */
#define LIMIT_MAX (UINT64_C(1) << 53)

/* USER_HZ, the unit of /proc/PID/stat, is 100 on every architecture that the guest is built for. */
#define TICK_US 10000u

struct usage {
  uint64_t cpu_us;
  uint64_t memory_bytes;
  uint64_t pids;
};

/* ---- small files of numbers ---- */

static size_t read_text(const char *path, char *text, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return 0;
  ssize_t got = read(fd, text, size - 1);
  close(fd);
  text[got > 0 ? got : 0] = '\0';
  return got > 0 ? (size_t)got : 0;
}

/* The digits at `text`; false when there are none. */
static bool read_digits(const char *text, uint64_t *value) {
  if (*text < '0' || *text > '9') return false;
  *value = 0;
  for (; *text >= '0' && *text <= '9'; text += 1) *value = *value * 10 + (uint64_t)(*text - '0');
  return true;
}

static bool read_number(const char *path, uint64_t *value) {
  char text[64];
  return read_text(path, text, sizeof text) > 0 && read_digits(text, value);
}

/* ---- the cgroup, of version 2 or 1 ---- */

static bool read_either(const char *version2, const char *version1, uint64_t *value) {
  return read_number(version2, value) || read_number(version1, value);
}

/* "max" is no number, and so no limit. */
static bool read_limit(const char *version2, const char *version1, uint64_t *limit) {
  return read_either(version2, version1, limit) && *limit < LIMIT_MAX;
}

static bool read_cgroup_cpu(uint64_t *cpu_us) {
  char text[512];
  if (read_text("/sys/fs/cgroup/cpu.stat", text, sizeof text) > 0) {
    /* The first line of it. */
    static const char NAME[] = "usage_usec ";
    if (strncmp(text, NAME, sizeof NAME - 1) == 0) return read_digits(text + sizeof NAME - 1, cpu_us);
  }
  if (!read_number("/sys/fs/cgroup/cpuacct/cpuacct.usage", cpu_us)) return false;
  *cpu_us /= 1000;
  return true;
}

/* ---- the processes one by one ---- */

/* The n-th field of /proc/PID/stat from the state on, which is 3 in proc(5). The name before it may hold anything. */
static uint64_t stat_field(const char *stat, int field) {
  const char *at = strrchr(stat, ')');
  for (int current = 2; at != NULL && current < field; current += 1) at = strchr(at + 1, ' ');
  uint64_t value = 0;
  if (at != NULL) read_digits(at + 1, &value);
  return value;
}

enum stat_number { STAT_USER = 14, STAT_SYSTEM = 15, STAT_CHILDREN_USER = 16, STAT_CHILDREN_SYSTEM = 17, STAT_RESIDENT = 24 };

static void add_process(const char *pid, struct usage *usage) {
  char path[32] = "/proc/";
  strcat(strcat(path, pid), "/stat");
  char stat[1024];
  if (read_text(path, stat, sizeof stat) == 0) return;
  uint64_t ticks = 0;
  for (int field = STAT_USER; field <= STAT_CHILDREN_SYSTEM; field += 1) ticks += stat_field(stat, field);
  usage->cpu_us += ticks * TICK_US;
  usage->memory_bytes += stat_field(stat, STAT_RESIDENT) * (uint64_t)getpagesize();
  usage->pids += 1;
}

struct directory_entry {
  uint64_t inode;
  int64_t offset;
  uint16_t bytes;
  uint8_t type;
  char name[];
};

/* What a process has used includes what its reaped children have, so the living ones add up to all of it. */
static void sum_processes(struct usage *usage) {
  int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  _Alignas(struct directory_entry) char entries[4096];
  long got;
  while (usage->pids < PROCESSES_SUMMED_MAX && (got = syscall(SYS_getdents64, fd, entries, sizeof entries)) > 0) {
    for (long at = 0; at < got; at += ((struct directory_entry *)(entries + at))->bytes) {
      const char *name = ((struct directory_entry *)(entries + at))->name;
      if (name[0] >= '1' && name[0] <= '9' && strlen(name) <= 10) add_process(name, usage);
    }
  }
  close(fd);
}

/* ---- the answer ---- */

static void write_number(struct msgpack_writer *payload, const char *name, uint64_t value) {
  msgpack_write_str(payload, name);
  msgpack_write_uint(payload, value);
}

void handle_stats(struct agent *agent, const struct frame *frame) {
  if (!question_is_valid(agent, frame)) return;
  struct usage usage = {0};
  uint64_t memory_limit = 0, pids_limit = 0;
  /* Outside of a namespace of its own the cgroup the guest sees is the host's. */
  bool has_cgroup = getpid() == 1;
  bool knows_cpu = has_cgroup && read_cgroup_cpu(&usage.cpu_us);
  bool knows_memory = has_cgroup && read_either("/sys/fs/cgroup/memory.current",
                                                "/sys/fs/cgroup/memory/memory.usage_in_bytes", &usage.memory_bytes);
  bool knows_pids = has_cgroup && read_either("/sys/fs/cgroup/pids.current", "/sys/fs/cgroup/pids/pids.current", &usage.pids);
  bool has_memory_limit = has_cgroup && read_limit("/sys/fs/cgroup/memory.max",
                                                   "/sys/fs/cgroup/memory/memory.limit_in_bytes", &memory_limit);
  bool has_pids_limit =
      has_cgroup && read_limit("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max", &pids_limit);
  if (!knows_cpu || !knows_memory || !knows_pids) {
    struct usage summed = {0};
    sum_processes(&summed);
    if (!knows_cpu) usage.cpu_us = summed.cpu_us;
    if (!knows_memory) usage.memory_bytes = summed.memory_bytes;
    if (!knows_pids) usage.pids = summed.pids;
  }
  struct statvfs disk;
  bool knows_disk = statvfs("/", &disk) == 0;

  struct msgpack_writer payload = msgpack_writer(frame_writer_begin(&agent->link.writer), CONTROL_FRAME_BYTES_MAX);
  msgpack_write_map(&payload, 5u + has_memory_limit + has_pids_limit + knows_disk);
  write_number(&payload, "cpu_us", usage.cpu_us);
  write_number(&payload, "memory_bytes", usage.memory_bytes);
  if (has_memory_limit) write_number(&payload, "memory_limit_bytes", memory_limit);
  write_number(&payload, "disk_used_bytes", knows_disk ? (uint64_t)(disk.f_blocks - disk.f_bfree) * disk.f_frsize : 0);
  if (knows_disk) write_number(&payload, "disk_limit_bytes", (uint64_t)disk.f_blocks * disk.f_frsize);
  write_number(&payload, "pids", usage.pids);
  if (has_pids_limit) write_number(&payload, "pids_limit", pids_limit);
  write_number(&payload, "uptime_ms", now_us() / 1000 - agent->started_ms);
  frame_writer_end(&agent->link.writer, FRAME_ACK, frame->channel, frame->id, msgpack_written(&payload));
}
