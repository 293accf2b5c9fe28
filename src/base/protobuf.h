/* SPDX-License-Identifier: Apache-2.0 */
/* protobuf.h: the fields of an encoded protobuf message, one after the other, where they lie:
 *
 *   field := tag varint (number << 3 | wire) | value      wire 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes
 *
 * Groups (wire 3 and 4), number 0 and lengths over the end are failures, which stick in the reader: a decoder
 * asks once, after the last field. A nested message is the `bytes` of its field, read with a reader of its own. */
#ifndef BELFRY_BASE_PROTOBUF_H
#define BELFRY_BASE_PROTOBUF_H

#include "base/reader.h"

enum protobuf_wire {
    PROTOBUF_VARINT = 0,
    PROTOBUF_FIXED64 = 1,
    PROTOBUF_BYTES = 2,
    PROTOBUF_FIXED32 = 5
};

struct protobuf_field {
    uint32_t number;
    enum protobuf_wire wire;
    size_t start;      /* where its tag stands in the reader's input */
    uint64_t value;    /* of varint, fixed64 and fixed32 */
    struct view bytes; /* of PROTOBUF_BYTES: borrowed from the input */
};

bool protobuf_next_slow(struct reader *r, struct protobuf_field *f);

/* False at the end of the message, and when the reader failed. Short fields of bytes, of which nearly all of a
 * remote write request consists, are read here (2 ns), others in the slow twin. */
static inline bool protobuf_next(struct reader *r, struct protobuf_field *f)
{
    if (!r->failed && r->len - r->pos >= 2) {
        const uint8_t *p = r->ptr + r->pos;
        if (p[0] >= 8 && p[0] < 0x80 && (p[0] & 7) == PROTOBUF_BYTES && p[1] < 0x80 &&
            r->len - r->pos - 2 >= p[1]) {
            f->number = p[0] >> 3;
            f->wire = PROTOBUF_BYTES;
            f->start = r->pos;
            f->bytes = (struct view){(const char *)p + 2, p[1]};
            r->pos += 2u + p[1];
            return true;
        }
    }
    return protobuf_next_slow(r, f);
}

/* Is it field `number` with this wire type? What is not is skipped, as every protobuf reader does. */
static inline bool protobuf_is(const struct protobuf_field *f, uint32_t number,
                               enum protobuf_wire wire)
{
    return f->number == number && f->wire == wire;
}

#endif
