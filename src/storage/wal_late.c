/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/wal_late.h"

#include "storage/extent.h"
#include "storage/wal_row.h"

void wal_late_encode(struct buffer *b, uint32_t group, const struct late_sample *items,
                     size_t count)
{
    uint64_t series = 0, t = 0;
    uint8_t decimals = 0, value[WAL_VALUE_BYTES_MAX + 8];
    buffer_append_varint(b, group);
    buffer_append_varint(b, count);
    for (size_t i = 0; i < count; i++) {
        buffer_append_svarint(b, (int64_t)(items[i].series - series));
        buffer_append_svarint(b, (int64_t)((uint64_t)items[i].t - t));
        series = items[i].series;
        t = (uint64_t)items[i].t;
        uint8_t *end = wal_value_put(value, items[i].value, 0, &decimals);
        buffer_append(b, value, (size_t)(end - value));
        if (decimals == UINT8_MAX)
            decimals = 0; /* the next value is another series' */
    }
}

bool wal_late_decode_head(struct reader *r, struct wal_late_head *out)
{
    enum { SAMPLE_BYTES_MIN = 3 };
    uint64_t group = reader_varint(r), count = reader_varint(r);
    if (r->failed || group >= UINT32_MAX || count == 0 || count > WAL_LATE_SAMPLES_MAX ||
        count > reader_left(r) / SAMPLE_BYTES_MIN)
        return false;
    *out = (struct wal_late_head){(uint32_t)group, (uint32_t)count};
    return true;
}

bool wal_late_decode(struct reader *r, const struct wal_late_head *head, struct late_sample *items)
{
    uint64_t series = 0, t = 0;
    for (uint32_t i = 0; i < head->count; i++) {
        series += (uint64_t)reader_svarint(r);
        t += (uint64_t)reader_svarint(r);
        if (r->failed || series >= SLOT_UNKNOWN || !wal_value_get(r, 0, &items[i].value))
            return false;
        items[i].series = (uint32_t)series;
        items[i].t = (int64_t)t;
        items[i].slot = UINT32_MAX;
    }
    return reader_left(r) == 0 && !r->failed;
}

void wal_saved_encode(struct buffer *b, int64_t floor_ms, uint64_t segment)
{
    buffer_append_svarint(b, floor_ms);
    buffer_append_varint(b, segment);
}

bool wal_saved_decode(struct reader *r, int64_t *floor_ms, uint64_t *segment)
{
    *floor_ms = reader_svarint(r);
    *segment = reader_varint(r);
    return !r->failed && reader_left(r) == 0;
}
