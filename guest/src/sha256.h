/*
 * SHA-256 (FIPS 180-4), with the processor's own instructions where it has them: a write hashes every byte it takes, and
 * the portable rounds alone would be slower than the pipe the bytes come from.
 */
#ifndef WARMPOOL_SHA256_H
#define WARMPOOL_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_BYTES 32u
#define SHA256_BLOCK_BYTES 64u

typedef void sha256_rounds(uint32_t state[8], const uint8_t *blocks, size_t count);

struct sha256 {
  sha256_rounds *rounds;
  uint32_t state[8];
  uint64_t total_bytes;
  uint8_t block[SHA256_BLOCK_BYTES]; /* The first total_bytes % 64 of it are waiting for the rest of their block. */
};

void sha256_start(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const uint8_t *bytes, size_t length);
void sha256_finish(struct sha256 *hash, uint8_t digest[SHA256_BYTES]);

/* The portable rounds, and those of this processor (the same where it has nothing special): for tests. */
sha256_rounds sha256_rounds_portable;
sha256_rounds *sha256_rounds_fastest(void);

#endif
