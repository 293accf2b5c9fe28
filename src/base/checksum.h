/* SPDX-License-Identifier: Apache-2.0 */
/* checksum.h: CRC32C for what is on disk, XXH3 for tables. */
#ifndef BELFRY_BASE_CHECKSUM_H
#define BELFRY_BASE_CHECKSUM_H

#include "base/view.h"

#include <stdint.h>

/* CRC32C (Castagnoli), hardware where there is one; chain with the previous result, 0 to begin. */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t len);
/* The same without the processor's instruction: what crc32c() is tested against. */
uint32_t crc32c_portable(uint32_t crc, const void *bytes, size_t len);
/* XXH3, 64 bit; stable on disk and between processes. */
uint64_t hash64(const void *bytes, size_t len);
static inline uint64_t hash64_view(struct view v)
{
    return hash64(v.ptr, v.len);
}
/* With the process's random seed: for tables whose keys a stranger chooses. Not stable. */
uint64_t hash64_secret(const void *bytes, size_t len);
/* The same with 128 bits, for tables that keep the hash in place of the key: two keys of a billion agree with
 * a chance of 10^-21. */
struct hash128 {
    uint64_t low, high;
};
struct hash128 hash128_secret(const void *bytes, size_t len);

#endif
