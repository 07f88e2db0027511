/* SHA-256 against the vectors of FIPS 180-4 and NIST's SHA256ShortMsg, in one piece, in pieces, with both kinds of rounds. */
#define _GNU_SOURCE
#include "sha256.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"

static const char *hex_of(const uint8_t digest[SHA256_BYTES]) {
  static char text[2 * SHA256_BYTES + 1];
  for (size_t i = 0; i < SHA256_BYTES; i += 1) snprintf(text + 2 * i, 3, "%02x", digest[i]);
  return text;
}

static const char *hash_of(const void *bytes, size_t length, size_t piece, sha256_rounds *rounds) {
  struct sha256 hash;
  uint8_t digest[SHA256_BYTES];
  sha256_start(&hash);
  hash.rounds = rounds;
  for (size_t done = 0; done < length; done += piece)
    sha256_add(&hash, (const uint8_t *)bytes + done, length - done < piece ? length - done : piece);
  sha256_finish(&hash, digest);
  return hex_of(digest);
}

static void check_vector(const void *bytes, size_t length, const char *expected) {
  for (size_t piece = 1; piece <= length + 1; piece += 1 + piece / 3) {
    CHECK(strcmp(hash_of(bytes, length, piece, sha256_rounds_portable), expected) == 0);
    CHECK(strcmp(hash_of(bytes, length, piece, sha256_rounds_fastest()), expected) == 0);
  }
}

static void agrees_with_published_vectors(void) {
  check_vector("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  check_vector("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  check_vector("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
               "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  check_vector("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstn"
               "opqrstu",
               112, "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
  check_vector("\xd3", 1, "28969cdfa74a12c82f3bad960b0b000aca2ac329deea5c2328ebc6f2ba9802c1");
  check_vector("\x11\xaf", 2, "5ca7133fa735326081558ac312c620eeca9970d1e70a4b95533d956f072d1f98");
  check_vector("\x74\xba\x25\x21", 4, "b16aa56be3880d18cd41e68384cf1ec8c17680c45a02b1575dc1518923ae8b0e");
}

static void agrees_on_a_million_letters(void) {
  char *letters = malloc(1000000);
  CHECK(letters != NULL);
  if (letters == NULL) return;
  memset(letters, 'a', 1000000);
  const char *expected = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
  CHECK(strcmp(hash_of(letters, 1000000, 1000000, sha256_rounds_portable), expected) == 0);
  CHECK(strcmp(hash_of(letters, 1000000, 4093, sha256_rounds_fastest()), expected) == 0);
  free(letters);
}

static void both_kinds_of_rounds_agree_on_every_length(void) {
  uint8_t bytes[300];
  for (size_t i = 0; i < sizeof bytes; i += 1) bytes[i] = (uint8_t)(i * 131 + 7);
  for (size_t length = 0; length <= sizeof bytes; length += 1) {
    char portable[2 * SHA256_BYTES + 1];
    strcpy(portable, hash_of(bytes, length, 300, sha256_rounds_portable));
    CHECK(strcmp(portable, hash_of(bytes, length, 7, sha256_rounds_fastest())) == 0);
  }
}

static void say_how_fast(const char *name, sha256_rounds *rounds) {
  static uint8_t bytes[1 << 20];
  uint32_t state[8] = {0};
  struct timespec from, to;
  clock_gettime(CLOCK_MONOTONIC, &from);
  for (int i = 0; i < 64; i += 1) rounds(state, bytes, sizeof bytes / SHA256_BLOCK_BYTES);
  clock_gettime(CLOCK_MONOTONIC, &to);
  double seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
  printf("%s: %.0f MB/s\n", name, 64 * 1.048576 / seconds);
}

int main(void) {
  agrees_with_published_vectors();
  agrees_on_a_million_letters();
  both_kinds_of_rounds_agree_on_every_length();
  say_how_fast("portable", sha256_rounds_portable);
  say_how_fast("fastest", sha256_rounds_fastest());
  return checks_result();
}
