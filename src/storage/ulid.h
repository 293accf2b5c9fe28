/* SPDX-License-Identifier: Apache-2.0 */
/* ulid.h: names of blocks: 48 bits of wall time in ms, 80 random bits, as 26 letters of Crockford's base
 * 32, so that names sort by the time they were made. https://github.com/ulid/spec */
#ifndef BELFRY_STORAGE_ULID_H
#define BELFRY_STORAGE_ULID_H

#include "base/clock.h"

#include <stdbool.h>

enum { ULID_BYTES = 27 }; /* 26 letters and a NUL */

/* Any thread. Times before 1970 count as 1970. */
void ulid_make(char out[ULID_BYTES], wall_time now);
/* The same with given bits instead of random ones (5 of each byte): equal content, equal name. */
void ulid_from(char out[ULID_BYTES], wall_time t, const uint8_t noise[16]);
/* 26 letters of the alphabet (upper case), the first at most '7', and nothing after them. */
bool ulid_is_valid(const char *text);

#endif
