#define _GNU_SOURCE
#include "pty.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "decimal.h"
#include "kernel_abi.h"

/* By the kernel's own way where it has it, because /dev/pts need not be mounted where its name says; by name elsewhere. */
static int open_slave(int master) {
  int slave = ioctl(master, IOCTL_TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  unsigned number;
  if (slave >= 0 || ioctl(master, TIOCGPTN, &number) != 0) return slave;
  char name[32] = "/dev/pts/";
  put_decimal(name + strlen(name), number);
  return open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
}

/* Erasing takes away whole characters, not bytes. */
static void set_utf8(int slave) {
  struct termios modes;
  if (tcgetattr(slave, &modes) != 0) return;
  modes.c_iflag |= IUTF8;
  tcsetattr(slave, TCSANOW, &modes);
}

const char *pty_open(struct pty *pty, uint16_t columns, uint16_t rows) {
  pty->slave = -1;
  pty->master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (pty->master < 0) return "no terminal, /dev/ptmx";
  int unlocked = 0;
  if (ioctl(pty->master, TIOCSPTLCK, &unlocked) == 0) pty->slave = open_slave(pty->master);
  if (pty->slave < 0) {
    int error_number = errno;
    close(pty->master);
    errno = error_number;
    return "no terminal, its slave";
  }
  set_utf8(pty->slave);
  pty_resize(pty->master, columns, rows);
  return NULL;
}

void pty_resize(int master, uint16_t columns, uint16_t rows) {
  struct winsize size = {.ws_row = rows, .ws_col = columns};
  ioctl(master, TIOCSWINSZ, &size);
}

int pty_foreground_group(int master) {
  int group;
  return ioctl(master, TIOCGPGRP, &group) == 0 && group > 0 ? group : 0;
}

bool pty_become_controlling(void) { return ioctl(0, TIOCSCTTY, 0) == 0; }
