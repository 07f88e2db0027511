/*
 * swap-probe A B: exchanges two names as fast as it can until its input ends, and says how often so far, in
 * lines. What a path leads to changes in every instant meanwhile.
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
  unsigned long swaps = 0, told = 0;
  struct pollfd input = {.fd = 0, .events = POLLIN};
  while (poll(&input, 1, 0) == 0) {
    for (int i = 0; i < 50; i += 1)
      if (syscall(SYS_renameat2, AT_FDCWD, argv[1], AT_FDCWD, argv[2], RENAME_EXCHANGED) == 0) swaps += 1;
    if (swaps - told >= 1000) {
      told = swaps;
      printf("%lu\n", swaps);
      fflush(stdout);
    }
    /* Whoever is to be confused needs some of the processor too. */
    usleep(100);
  }
  return 0;
}
