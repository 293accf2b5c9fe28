/* SPDX-License-Identifier: Apache-2.0 */
/* wal_record.h: the frame around everything that WAL segments, the series log and extent files hold, and the
 * scanner that finds the next whole record behind damage.
 *
 *   magic u32 | length u32 | type u8 | version u8 | flags u16 | sequence u64 | payload | CRC32C u32
 *
 * Little endian. `length` is the payload's; the CRC covers all before it. Sequences ascend through all
 * files of one kind, so that an old record behind damage (a reused disk block) is not taken for a new. */
#ifndef BELFRY_STORAGE_WAL_RECORD_H
#define BELFRY_STORAGE_WAL_RECORD_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/view.h"

#include <stdbool.h>
#include <stdint.h>

enum { WAL_RECORD_HEADER_BYTES = 20, WAL_RECORD_FRAME_BYTES = 24, WAL_RECORD_VERSION = 1 };
#define WAL_RECORD_MAGIC UINT32_C(0x4c415742) /* "BWAL" */
#define WAL_RECORD_PAYLOAD_MAX (UINT32_C(256) << 20)

enum wal_record_type {
    WAL_RECORD_ROW = 1,        /* wal_row.h */
    WAL_RECORD_SERIES = 2,     /* series_log.h */
    WAL_RECORD_PROBE = 3,      /* nothing: written to learn whether the disk takes bytes again */
    WAL_RECORD_LATE = 4,       /* wal_late.h */
    WAL_RECORD_SAVED = 5,      /* wal_late.h */
    WAL_RECORD_EXEMPLARS = 16, /* exemplars_log.c: in a file of its own */
    WAL_RECORD_EXTENT = 17     /* extent.h; a body without a frame follows */
};

/* Opens a frame at the end of `b`; the payload is appended to `b`, then the frame is ended. Sequence and
 * CRC are left for wal_record_seal_all(). */
size_t wal_record_begin(struct buffer *b, enum wal_record_type type);
void wal_record_end(struct buffer *b, size_t begin);
/* Gives all records of `bytes` (whole, as made above) ascending sequences and their CRCs. */
void wal_record_seal_all(char *bytes, size_t len, uint64_t *next_sequence);

struct wal_record {
    enum wal_record_type type;
    uint64_t sequence;
    struct view payload;
    size_t offset; /* of the frame */
};

struct wal_scanner {
    struct view bytes;
    size_t pos;
    uint64_t last_sequence;
    /* Damage before the record that was returned, or at the end: [damage_begin, damage_end). */
    size_t damage_begin, damage_end;
};
enum wal_scan {
    WAL_SCAN_RECORD, /* *out is a record; there may be damage before it */
    WAL_SCAN_END,    /* nothing left; damage, if any, reaches to the end */
    WAL_SCAN_VERSION /* a whole record of a version that is not ours */
};
void wal_scanner_init(struct wal_scanner *s, struct view bytes, uint64_t last_sequence);
enum wal_scan wal_scanner_next(struct wal_scanner *s, struct wal_record *out);

/* For files that are read piece by piece. How long is the record that claims to begin here? 0 = none does.
 * Looks at WAL_RECORD_HEADER_BYTES. */
size_t wal_record_claim(struct view bytes);
/* The record that begins at the first byte; WAL_SCAN_END when none does that is whole and newer. */
enum wal_scan wal_record_first(struct view bytes, uint64_t last_sequence, struct wal_record *out);
/* The first place from `pos` on where a record may begin, or the end. */
size_t wal_record_seek(struct view bytes, size_t pos);

#endif
