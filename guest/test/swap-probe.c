/*
 * swap-probe A B: exchanges two names as fast as it can until its input ends, then says how often. What a path leads to
 * changes in every instant meanwhile.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RENAME_EXCHANGED 2

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  unsigned long swaps = 0;
  struct pollfd input = {.fd = 0, .events = POLLIN};
  while (poll(&input, 1, 0) == 0) {
    for (int i = 0; i < 100; i += 1)
      if (syscall(SYS_renameat2, AT_FDCWD, argv[1], AT_FDCWD, argv[2], RENAME_EXCHANGED) == 0) swaps += 1;
  }
  printf("%lu\n", swaps);
  return 0;
}
