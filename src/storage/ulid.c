/* SPDX-License-Identifier: Apache-2.0 */
/* ulid.c: see ulid.h. */
#include "storage/ulid.h"

#include "base/random.h"

#include <string.h>

static const char ALPHABET[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void ulid_make(char out[ULID_BYTES], wall_time now)
{
    uint8_t noise[16];
    random_secret(noise, sizeof noise);
    ulid_from(out, now, noise);
}

void ulid_from(char out[ULID_BYTES], wall_time t, const uint8_t noise[16])
{
    uint64_t ms = t.ms > 0 ? (uint64_t)t.ms & ((UINT64_C(1) << 48) - 1) : 0;
    for (int i = 9; i >= 0; i--, ms >>= 5)
        out[i] = ALPHABET[ms & 31];
    for (int i = 0; i < 16; i++)
        out[10 + i] = ALPHABET[noise[i] & 31];
    out[26] = '\0';
}

bool ulid_is_valid(const char *text)
{
    return strlen(text) == ULID_BYTES - 1 && text[0] <= '7' &&
           strspn(text, ALPHABET) == ULID_BYTES - 1;
}
