#define _GNU_SOURCE
#include "file_stage.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "file_answer.h"
#include "file_place.h"
#include "kernel_abi.h"

/* `hidden` names a file that is there while `is_hidden`: what the handler of SIGTERM removes. */
static struct {
  int directory_fd;
  int fd;
  volatile sig_atomic_t is_hidden;
  char hidden[STAGE_NAME_BYTES + 1];
} stage = {.directory_fd = -1, .fd = -1};

bool is_stage_name(const char *name) {
  return strncmp(name, STAGE_PREFIX, sizeof STAGE_PREFIX - 1) == 0 && strlen(name) == STAGE_NAME_BYTES;
}

void stage_undo(void) {
  if (stage.is_hidden) unlinkat(stage.directory_fd, stage.hidden, 0);
  stage.is_hidden = 0;
}

static void end_by_signal(int signal_number) {
  stage_undo();
  _exit(128 + signal_number);
}

void stage_start(void) {
  struct sigaction action = {.sa_handler = end_by_signal};
  sigfillset(&action.sa_mask);
  sigaction(SIGTERM, &action, NULL);
}

/* Between a file's appearance under its hidden name and the note of it no SIGTERM may come. */
static void hold_sigterm(int how) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigprocmask(how, &set, NULL);
}

static void choose_hidden_name(void) {
  uint64_t random = 0;
  while (syscall(__NR_getrandom, &random, sizeof random, 0) != (long)sizeof random) {
    if (errno != EINTR) fail_step("getrandom", errno);
  }
  memcpy(stage.hidden, STAGE_PREFIX, sizeof STAGE_PREFIX - 1);
  for (int i = 0; i < 16; i += 1)
    stage.hidden[sizeof STAGE_PREFIX - 1 + (size_t)i] = "0123456789abcdef"[random >> (4 * i) & 15];
}

static bool open_nameless(mode_t mode) {
  stage.fd = openat(stage.directory_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
  if (stage.fd < 0) return false;
  char link[DESCRIPTOR_LINK_BYTES];
  descriptor_link(stage.fd, link);
  if (access(link, F_OK) == 0) return true;
  close(stage.fd);
  return false;
}

int stage_open(int directory_fd, mode_t mode) {
  stage.directory_fd = directory_fd;
  if (!open_nameless(mode)) {
    choose_hidden_name();
    hold_sigterm(SIG_BLOCK);
    stage.fd = openat(directory_fd, stage.hidden, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, mode);
    stage.is_hidden = stage.fd >= 0;
    int error_number = errno;
    hold_sigterm(SIG_UNBLOCK);
    if (stage.fd < 0) fail_step("create", error_number);
  }
  if (fchmod(stage.fd, mode) != 0) fail_step("chmod", errno);
  return stage.fd;
}

static int link_nameless(const char *name) {
  char link[DESCRIPTOR_LINK_BYTES];
  descriptor_link(stage.fd, link);
  return linkat(AT_FDCWD, link, stage.directory_fd, name, AT_SYMLINK_FOLLOW);
}

static int rename_without_replacing(const char *name) {
  int status = (int)syscall(__NR_renameat2, stage.directory_fd, stage.hidden, stage.directory_fd, name, RENAME_NOREPLACE);
  if (status == 0 || (errno != EINVAL && errno != ENOSYS)) return status;
  if (linkat(stage.directory_fd, stage.hidden, stage.directory_fd, name, 0) != 0) return -1;
  return unlinkat(stage.directory_fd, stage.hidden, 0);
}

static void sync_directory(void) {
  int fd = openat(stage.directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  /* A directory that may be written and not read cannot be flushed by its user. */
  if (fd < 0) return;
  if (fsync(fd) != 0 && errno != EINVAL) fail_step("sync", errno);
  close(fd);
}

void stage_commit(const char *name, bool exclusive, bool sync) {
  if (sync && fsync(stage.fd) != 0) fail_step("sync", errno);
  hold_sigterm(SIG_BLOCK);
  bool named = false;
  if (!stage.is_hidden) {
    named = link_nameless(name) == 0;
    if (!named && (errno != EEXIST || exclusive)) fail_step("link", errno);
    if (!named) {
      choose_hidden_name();
      if (link_nameless(stage.hidden) != 0) fail_step("link", errno);
      stage.is_hidden = 1;
    }
  }
  if (!named) {
    int status = exclusive ? rename_without_replacing(name)
                           : renameat(stage.directory_fd, stage.hidden, stage.directory_fd, name);
    if (status != 0) fail_step("rename", errno);
    stage.is_hidden = 0;
  }
  hold_sigterm(SIG_UNBLOCK);
  if (close(stage.fd) != 0) fail_step("close", errno);
  stage.fd = -1;
  if (sync) sync_directory();
}
