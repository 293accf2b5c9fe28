/* SPDX-License-Identifier: Apache-2.0 */
#include "base/protobuf.h"

bool protobuf_next_slow(struct reader *r, struct protobuf_field *f)
{
    if (reader_left(r) == 0)
        return false;
    f->start = r->pos;
    uint64_t tag = reader_varint(r);
    if (tag >> 3 == 0 || tag > UINT32_MAX)
        reader_fail(r);
    f->number = (uint32_t)(tag >> 3);
    f->wire = (enum protobuf_wire)(tag & 7);
    f->bytes = (struct view){NULL, 0};
    f->value = 0;
    switch (tag & 7) {
    case PROTOBUF_VARINT:
        f->value = reader_varint(r);
        break;
    case PROTOBUF_FIXED64:
        f->value = reader_u64(r);
        break;
    case PROTOBUF_BYTES:
        f->bytes = reader_string(r, SIZE_MAX);
        break;
    case PROTOBUF_FIXED32:
        f->value = reader_u32(r);
        break;
    default:
        reader_fail(r);
    }
    return !r->failed;
}
