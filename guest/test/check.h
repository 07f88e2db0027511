/*
 * All there is of a test framework: a check that says where it failed, and a count that becomes the exit code.
 */
#ifndef WARMPOOL_CHECK_H
#define WARMPOOL_CHECK_H

#include <stdio.h>

static int checks_failed;
static int checks_done;

#define CHECK(condition)                                                        \
  do {                                                                          \
    checks_done += 1;                                                           \
    if (!(condition)) {                                                         \
      checks_failed += 1;                                                       \
      fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
    }                                                                           \
  } while (0)

static inline int checks_result(void) {
  printf("%d checks, %d failed\n", checks_done, checks_failed);
  return checks_failed == 0 ? 0 : 1;
}

#endif
