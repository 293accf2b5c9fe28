/* SPDX-License-Identifier: Apache-2.0 */
/* wal_late.h: samples that came late, as bytes, and the note that such samples are in blocks. A record
 * needs no other: damage costs its own samples.
 *
 *   late   := group varint | count varint | sample x count
 *   sample := series svarint, less the one before | time svarint, less the one before (at first: less 0)
 *             | value, as in wal_row.c against 0
 *   saved  := floor svarint | segment varint     late samples before `floor` in segments before `segment`
 *                                                are in blocks: a restart leaves them out
 *
 * Differences wrap. Samples stand in any order; of two with one series and time the first counts. */
#ifndef BELFRY_STORAGE_WAL_LATE_H
#define BELFRY_STORAGE_WAL_LATE_H

#include "base/buffer.h"
#include "base/reader.h"
#include "storage/late.h"

/* More are parted over several records by the caller. */
enum { WAL_LATE_SAMPLES_MAX = 1 << 20 };

void wal_late_encode(struct buffer *b, uint32_t group, const struct late_sample *items,
                     size_t count);

struct wal_late_head {
    uint32_t group, count;
};
/* False for a malformed payload. */
MUST_USE bool wal_late_decode_head(struct reader *r, struct wal_late_head *out);
/* Fills items[0..count) (slot UINT32_MAX). On false their content is unspecified. */
MUST_USE bool wal_late_decode(struct reader *r, const struct wal_late_head *head,
                              struct late_sample *items);

void wal_saved_encode(struct buffer *b, int64_t floor_ms, uint64_t segment);
MUST_USE bool wal_saved_decode(struct reader *r, int64_t *floor_ms, uint64_t *segment);

#endif
