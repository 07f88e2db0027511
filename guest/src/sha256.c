#include "sha256.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotated(uint32_t value, unsigned by) { return value >> by | value << (32 - by); }

static uint32_t word_at(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | (uint32_t)at[3];
}

/* The letters are those of FIPS 180-4, section 6.2.2. */
void sha256_rounds_portable(uint32_t state[8], const uint8_t *blocks, size_t count) {
  for (; count > 0; count -= 1, blocks += SHA256_BLOCK_BYTES) {
    uint32_t w[64];
    for (int t = 0; t < 16; t += 1) w[t] = word_at(blocks + 4 * t);
    for (int t = 16; t < 64; t += 1) {
      uint32_t s0 = rotated(w[t - 15], 7) ^ rotated(w[t - 15], 18) ^ w[t - 15] >> 3;
      uint32_t s1 = rotated(w[t - 2], 17) ^ rotated(w[t - 2], 19) ^ w[t - 2] >> 10;
      w[t] = w[t - 16] + s0 + w[t - 7] + s1;
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int t = 0; t < 64; t += 1) {
      uint32_t s1 = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25);
      uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + K[t] + w[t];
      uint32_t s0 = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22);
      uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
      h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
  }
}

#if defined(__x86_64__)

/* Intel's instructions keep the state as two registers, ABEF and CDGH, and do two rounds at a time; sixteen words of the
 * message schedule live in a ring of four registers. */
__attribute__((target("sha,sse4.1,ssse3"))) static void rounds_x86(uint32_t state[8], const uint8_t *blocks,
                                                                   size_t count) {
  const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bll, 0x0405060700010203ll);
  __m128i dcba = _mm_loadu_si128((const __m128i *)&state[0]);
  __m128i hgfe = _mm_loadu_si128((const __m128i *)&state[4]);
  __m128i cdab = _mm_shuffle_epi32(dcba, 0xb1);
  __m128i efgh = _mm_shuffle_epi32(hgfe, 0x1b);
  __m128i abef = _mm_alignr_epi8(cdab, efgh, 8);
  __m128i cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
  for (; count > 0; count -= 1, blocks += SHA256_BLOCK_BYTES) {
    __m128i abef_before = abef, cdgh_before = cdgh;
    __m128i w[4];
    for (int i = 0; i < 4; i += 1)
      w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(blocks + 16 * i)), big_endian);
#pragma GCC unroll 16
    for (int i = 0; i < 16; i += 1) {
      __m128i sum = _mm_add_epi32(w[i % 4], _mm_loadu_si128((const __m128i *)&K[4 * i]));
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
      if (i < 12) {
        /* Words 4i+16 … 4i+19 from those before them. */
        __m128i next = _mm_sha256msg1_epu32(w[i % 4], w[(i + 1) % 4]);
        next = _mm_add_epi32(next, _mm_alignr_epi8(w[(i + 3) % 4], w[(i + 2) % 4], 4));
        w[i % 4] = _mm_sha256msg2_epu32(next, w[(i + 3) % 4]);
      }
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }
  __m128i feba = _mm_shuffle_epi32(abef, 0x1b);
  __m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
  _mm_storeu_si128((__m128i *)&state[0], _mm_blend_epi16(feba, dchg, 0xf0));
  _mm_storeu_si128((__m128i *)&state[4], _mm_alignr_epi8(dchg, feba, 8));
}

#define CPUID_1_SSSE3_SSE41 (1u << 9 | 1u << 19)
#define CPUID_7_SHA (1u << 29)

sha256_rounds *sha256_rounds_fastest(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || (c & CPUID_1_SSSE3_SSE41) != CPUID_1_SSSE3_SSE41) return sha256_rounds_portable;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & CPUID_7_SHA) == 0) return sha256_rounds_portable;
  return rounds_x86;
}

#else

sha256_rounds *sha256_rounds_fastest(void) { return sha256_rounds_portable; }

#endif

void sha256_start(struct sha256 *hash) {
  static const uint32_t INITIAL[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  hash->rounds = sha256_rounds_fastest();
  memcpy(hash->state, INITIAL, sizeof INITIAL);
  hash->total_bytes = 0;
}

void sha256_add(struct sha256 *hash, const uint8_t *bytes, size_t length) {
  size_t waiting = hash->total_bytes % SHA256_BLOCK_BYTES;
  hash->total_bytes += length;
  if (waiting > 0) {
    size_t taken = SHA256_BLOCK_BYTES - waiting;
    if (taken > length) taken = length;
    memcpy(hash->block + waiting, bytes, taken);
    bytes += taken;
    length -= taken;
    if (waiting + taken < SHA256_BLOCK_BYTES) return;
    hash->rounds(hash->state, hash->block, 1);
  }
  hash->rounds(hash->state, bytes, length / SHA256_BLOCK_BYTES);
  size_t left = length % SHA256_BLOCK_BYTES;
  if (left > 0) memcpy(hash->block, bytes + length - left, left);
}

void sha256_finish(struct sha256 *hash, uint8_t digest[SHA256_BYTES]) {
  uint8_t padding[2 * SHA256_BLOCK_BYTES] = {0x80};
  uint64_t bits = hash->total_bytes * 8;
  size_t waiting = hash->total_bytes % SHA256_BLOCK_BYTES;
  size_t length = (waiting < 56 ? 56 : 120) - waiting;
  for (int i = 0; i < 8; i += 1) padding[length + i] = (uint8_t)(bits >> (56 - 8 * i));
  sha256_add(hash, padding, length + 8);
  for (int i = 0; i < 32; i += 1) digest[i] = (uint8_t)(hash->state[i / 4] >> (24 - 8 * (i % 4)));
}
