/* Numbers in names of files, without printf: that would be a tenth of the whole program. */
#ifndef WARMPOOL_DECIMAL_H
#define WARMPOOL_DECIMAL_H

#include <stddef.h>

/* Writes the digits and a NUL behind them, 11 bytes at most. */
static inline void put_decimal(char *at, unsigned value) {
  char digits[10];
  size_t count = 0;
  do digits[count++] = (char)('0' + value % 10);
  while ((value /= 10) > 0);
  while (count > 0) *at++ = digits[--count];
  *at = '\0';
}

#endif
