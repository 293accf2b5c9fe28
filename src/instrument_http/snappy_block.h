/* SPDX-License-Identifier: Apache-2.0 */
/* snappy_block.h: compression of one block, as remote write 1.0 has it. */
#ifndef BELFRY_INSTRUMENT_HTTP_SNAPPY_BLOCK_H
#define BELFRY_INSTRUMENT_HTTP_SNAPPY_BLOCK_H

#include <stddef.h>

/* Room for the worst case. */
#define SNAPPY_BYTES_MAX(len) (32 + (len) + (len) / 6)

/* Compresses len < 2^32 bytes; `out` has SNAPPY_BYTES_MAX(len). Returns what was written. */
size_t belfry__snappy(char *out, const char *in, size_t len);

#endif
