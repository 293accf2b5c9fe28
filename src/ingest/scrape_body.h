/* SPDX-License-Identifier: Apache-2.0 */
/* scrape_body.h: the body of an answer as it comes in: unpacked when it is gzip, and stopped when it
 * grows past its limit or out of proportion. One thread at a time. */
#ifndef BELFRY_INGEST_SCRAPE_BODY_H
#define BELFRY_INGEST_SCRAPE_BODY_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/view.h"

#include <stdbool.h>
#include <stdint.h>
#include <zlib.h>

enum {
    SCRAPE_BODY_RATIO_MAX = 200,           /* unpacked to packed ... */
    SCRAPE_BODY_RATIO_FREE_BYTES = 1 << 20 /* ... once so much was unpacked */
};

struct scrape_body {
    struct buffer *out; /* borrowed from scrape_body_begin() on */
    uint64_t bytes_max; /* of the unpacked body */
    uint64_t packed_bytes;
    bool gzip, in_member; /* in_member: a gzip member has begun and has not ended */
    bool zlib_ready;      /* zlib was initialised; kept for the next body */
    z_stream zlib;
};

/* All zero is a body that has not begun. bytes_max > 0. */
void scrape_body_begin(struct scrape_body *b, struct buffer *out, bool gzip, uint64_t bytes_max);
/* ERROR_TOO_LARGE over the limit or the ratio, ERROR_CORRUPT for bad gzip. */
MUST_USE bool scrape_body_add(struct scrape_body *b, struct view bytes, struct error *err);
/* Is it whole? ERROR_CORRUPT when gzip is cut short. */
MUST_USE bool scrape_body_end(struct scrape_body *b, struct error *err);
void scrape_body_deinit(struct scrape_body *b);

#endif
