/* SPDX-License-Identifier: Apache-2.0 */
/* checksum.c: CRC32C by the processor's instruction where there is one, else by eight tables at a time
 * ("slicing by 8": Kounavis and Berry, 2005); XXH3 from xxHash's header, inlined for short keys. */
#define XXH_INLINE_ALL
#include "base/checksum.h"

#include "base/attributes.h"
#include "base/random.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <xxhash.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

static uint32_t tables[8][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void tables_build(void)
{
    const uint32_t polynomial = 0x82f63b78; /* Castagnoli, bits reversed */
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? polynomial : 0);
        tables[0][i] = crc;
    }
    for (uint32_t i = 0; i < 256; i++) {
        for (int t = 1; t < 8; t++)
            tables[t][i] = tables[t - 1][i] >> 8 ^ tables[0][tables[t - 1][i] & 0xff];
    }
}

static uint32_t crc32c_tables(uint32_t crc, const unsigned char *p, size_t len)
{
    pthread_once(&tables_once, tables_build);
    for (; len >= 8; p += 8, len -= 8) {
        uint32_t low = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                              (uint32_t)p[3] << 24);
        crc = tables[7][low & 0xff] ^ tables[6][low >> 8 & 0xff] ^ tables[5][low >> 16 & 0xff] ^
              tables[4][low >> 24] ^ tables[3][p[4]] ^ tables[2][p[5]] ^ tables[1][p[6]] ^
              tables[0][p[7]];
    }
    for (; len > 0; p++, len--)
        crc = crc >> 8 ^ tables[0][(crc ^ *p) & 0xff];
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const unsigned char *p,
                                                               size_t len)
{
    uint64_t wide = crc;
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t eight;
        memcpy(&eight, p, sizeof(eight));
        wide = _mm_crc32_u64(wide, eight);
    }
    crc = (uint32_t)wide;
    for (; len > 0; p++, len--)
        crc = _mm_crc32_u8(crc, *p);
    return crc;
}
#endif

uint32_t crc32c(uint32_t crc, const void *bytes, size_t len)
{
#if defined(__x86_64__)
    if (LIKELY(__builtin_cpu_supports("sse4.2")))
        return ~crc32c_sse42(~crc, bytes, len);
#endif
    return ~crc32c_tables(~crc, bytes, len);
}

uint32_t crc32c_portable(uint32_t crc, const void *bytes, size_t len)
{
    return ~crc32c_tables(~crc, bytes, len);
}

uint64_t hash64(const void *bytes, size_t len)
{
    return XXH3_64bits(bytes, len);
}

/* A whole secret in place of a seed: XXH3 mixes every byte with it, so nothing of it is public. */
static unsigned char secret[XXH3_SECRET_DEFAULT_SIZE];
static pthread_once_t secret_once = PTHREAD_ONCE_INIT;
static atomic_bool secret_is_ready; /* release after the secret; pairs with the acquire below */

static void secret_fill(void)
{
    random_secret(secret, sizeof(secret));
    atomic_store_explicit(&secret_is_ready, true, memory_order_release);
}

static void secret_need(void)
{
    if (UNLIKELY(!atomic_load_explicit(&secret_is_ready, memory_order_acquire)))
        pthread_once(&secret_once, secret_fill);
}

struct hash128 hash128_secret(const void *bytes, size_t len)
{
    secret_need();
    XXH128_hash_t hash = XXH3_128bits_withSecret(bytes, len, secret, sizeof(secret));
    return (struct hash128){hash.low64, hash.high64};
}

uint64_t hash64_secret(const void *bytes, size_t len)
{
    secret_need();
    return XXH3_64bits_withSecret(bytes, len, secret, sizeof(secret));
}
