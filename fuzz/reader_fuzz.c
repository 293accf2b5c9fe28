/* SPDX-License-Identifier: Apache-2.0 */
/* The reader: the input's first bytes choose the reads, the rest is what they read. */
#include "base/assert.h"
#include "base/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_one(struct reader *r, uint8_t choice)
{
    struct view v = {NULL, 0};
    switch (choice % 12) {
    case 0:
        (void)reader_u8(r);
        break;
    case 1:
        (void)reader_u16(r);
        break;
    case 2:
        (void)reader_u32be(r);
        break;
    case 3:
        (void)reader_u64(r);
        break;
    case 4:
        (void)reader_f64(r);
        break;
    case 5:
        (void)reader_varint(r);
        break;
    case 6:
        (void)reader_svarint(r);
        break;
    case 7:
        v = reader_bytes(r, choice);
        break;
    case 8:
        v = reader_string(r, choice);
        ASSERT(v.len <= choice);
        break;
    case 9:
        reader_skip(r, choice);
        break;
    case 10:
        v = reader_bytes(r, (size_t)reader_varint(r));
        break;
    default:
        (void)reader_u64be(r);
        break;
    }
    for (size_t i = 0; i < v.len; i++) /* touch it: a sanitizer sees what lies outside */
        ASSERT(v.ptr[i] == ((const char *)r->ptr)[(size_t)(v.ptr - (const char *)r->ptr) + i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t choices = size < 16 ? size : 16;
    struct reader r = reader_from((struct view){(const char *)data + choices, size - choices});
    for (size_t i = 0; i < choices; i++) {
        bool failed = r.failed;
        read_one(&r, data[i]);
        ASSERT(r.pos <= r.len && (!failed || r.failed));
        ASSERT(!r.failed || (reader_left(&r) == 0 && r.failed_pos <= r.len));
    }
    return 0;
}
