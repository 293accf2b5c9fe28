/* SPDX-License-Identifier: Apache-2.0 */
/* wal_record.c: framing. A record counts when magic, length, CRC and an ascending sequence all hold; else
 * the scanner moves on by one byte to the next magic. The CRC is computed only behind a magic with a
 * plausible length, so damage costs one pass, not one per byte. */
#include "storage/wal_record.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/reader.h"

static uint32_t load_u32(const char *p)
{
    struct reader r = reader_from((struct view){p, 4});
    return reader_u32(&r);
}

static void store_le(char *p, uint64_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        p[i] = (char)(v >> (8 * i));
}

size_t wal_record_begin(struct buffer *b, enum wal_record_type type)
{
    size_t begin = b->len;
    buffer_append_u32(b, WAL_RECORD_MAGIC);
    buffer_append_u32(b, 0); /* length */
    buffer_append_u8(b, (uint8_t)type);
    buffer_append_u8(b, WAL_RECORD_VERSION);
    buffer_append_u16(b, 0);
    buffer_append_u64(b, 0); /* sequence */
    return begin;
}

void wal_record_end(struct buffer *b, size_t begin)
{
    buffer_append_u32(b, 0); /* CRC */
    if (b->failed)
        return;
    size_t payload = b->len - begin - WAL_RECORD_FRAME_BYTES;
    ASSERT(payload <= WAL_RECORD_PAYLOAD_MAX);
    store_le(b->ptr + begin + 4, payload, 4);
}

void wal_record_seal_all(char *bytes, size_t len, uint64_t *next_sequence)
{
    for (size_t pos = 0; pos < len;) {
        ASSERT(len - pos >= WAL_RECORD_FRAME_BYTES && load_u32(bytes + pos) == WAL_RECORD_MAGIC);
        size_t payload = load_u32(bytes + pos + 4);
        ASSERT(payload <= len - pos - WAL_RECORD_FRAME_BYTES);
        size_t covered = WAL_RECORD_HEADER_BYTES + payload;
        store_le(bytes + pos + 12, (*next_sequence)++, 8);
        store_le(bytes + pos + covered, crc32c(0, bytes + pos, covered), 4);
        pos += covered + 4;
    }
}

void wal_scanner_init(struct wal_scanner *s, struct view bytes, uint64_t last_sequence)
{
    *s = (struct wal_scanner){.bytes = bytes, .last_sequence = last_sequence};
}

size_t wal_record_claim(struct view bytes)
{
    if (bytes.len < WAL_RECORD_HEADER_BYTES || load_u32(bytes.ptr) != WAL_RECORD_MAGIC)
        return 0;
    uint32_t payload = load_u32(bytes.ptr + 4);
    return payload > WAL_RECORD_PAYLOAD_MAX ? 0 : WAL_RECORD_FRAME_BYTES + (size_t)payload;
}

enum wal_scan wal_record_first(struct view bytes, uint64_t last_sequence, struct wal_record *out)
{
    size_t claim = wal_record_claim(bytes);
    if (claim == 0 || claim > bytes.len)
        return WAL_SCAN_END;
    struct reader r = reader_from(bytes);
    reader_skip(&r, 8);
    uint8_t type = reader_u8(&r), version = reader_u8(&r);
    (void)reader_u16(&r); /* flags: none yet */
    uint64_t sequence = reader_u64(&r);
    size_t covered = claim - (WAL_RECORD_FRAME_BYTES - WAL_RECORD_HEADER_BYTES);
    if (crc32c(0, bytes.ptr, covered) != load_u32(bytes.ptr + covered) || sequence <= last_sequence)
        return WAL_SCAN_END;
    if (version != WAL_RECORD_VERSION)
        return WAL_SCAN_VERSION;
    *out =
        (struct wal_record){(enum wal_record_type)type,
                            sequence,
                            {bytes.ptr + WAL_RECORD_HEADER_BYTES, claim - WAL_RECORD_FRAME_BYTES},
                            0};
    return WAL_SCAN_RECORD;
}

size_t wal_record_seek(struct view bytes, size_t pos)
{
    static const char magic[4] = {0x42, 0x57, 0x41, 0x4c};
    if (bytes.len <= pos)
        return bytes.len;
    const char *at = memmem(bytes.ptr + pos, bytes.len - pos, magic, sizeof magic);
    return at ? (size_t)(at - bytes.ptr) : bytes.len;
}

enum wal_scan wal_scanner_next(struct wal_scanner *s, struct wal_record *out)
{
    s->damage_begin = s->damage_end = s->pos;
    while (s->pos < s->bytes.len) {
        struct view rest = view_slice(s->bytes, s->pos, s->bytes.len);
        enum wal_scan found = wal_record_first(rest, s->last_sequence, out);
        if (found == WAL_SCAN_VERSION)
            return WAL_SCAN_VERSION;
        if (found == WAL_SCAN_RECORD) {
            out->offset = s->pos;
            s->last_sequence = out->sequence;
            s->pos += WAL_RECORD_FRAME_BYTES + out->payload.len;
            return WAL_SCAN_RECORD;
        }
        s->pos = wal_record_seek(s->bytes, s->pos + 1);
        s->damage_end = s->pos;
    }
    return WAL_SCAN_END;
}
