/* SPDX-License-Identifier: Apache-2.0 */
/* cache_entry.c: see cache_entry.h.
 *
 *   entry := magic u32 "IFC2" | CRC32C of all that follows u32 | key 32 bytes | modified i64, Unix seconds | type_len u8 | type
 *            | control_len u8 | cache control | bytes, to the end
 *
 * Numbers are little-endian. The etag is computed anew: it is of the key and the bytes. The key is in it because names can lie: a
 * file that was moved, a bucket that was copied by hand. */
#include "cache_entry.h"

#include "base/checksum.h"
#include "base/hex.h"
#include "base/reader.h"

#include <string.h>

enum { MAGIC = 0x32434649, HEAD_BYTES = 8 };

void cache_entry_encode(struct buffer *out, const struct image_key *key,
                        const struct cached_image *image)
{
    size_t start = out->len;
    (void)buffer_reserve(out, HEAD_BYTES + sizeof(*key) + 10 + image->content_type.len +
                                  image->cache_control.len +
                                  image->bytes.len); /* grows once; a failure stays */
    buffer_append_u32(out, MAGIC);
    buffer_append_u32(out, 0);
    buffer_append(out, key->bytes, sizeof(key->bytes));
    buffer_append_u64(out, (uint64_t)image->modified_s);
    buffer_append_u8(out, (uint8_t)image->content_type.len);
    buffer_append_view(out, image->content_type);
    buffer_append_u8(out, (uint8_t)image->cache_control.len);
    buffer_append_view(out, image->cache_control);
    buffer_append_view(out, image->bytes);
    if (out->failed)
        return;
    char *entry = out->ptr + start;
    uint32_t crc = crc32c(0, entry + HEAD_BYTES, out->len - start - HEAD_BYTES);
    unsigned char le[4] = {(unsigned char)crc, (unsigned char)(crc >> 8),
                           (unsigned char)(crc >> 16), (unsigned char)(crc >> 24)};
    memcpy(entry + 4, le, sizeof(le));
}

bool cache_entry_decode(const struct image_key *key, struct view entry, struct cached_image **out)
{
    struct reader r = reader_from(entry);
    uint32_t magic = reader_u32(&r), crc = reader_u32(&r);
    struct view of_key = reader_bytes(&r, sizeof(key->bytes));
    int64_t modified_s = (int64_t)reader_u64(&r);
    struct view type = reader_bytes(&r, reader_u8(&r));
    struct view control = reader_bytes(&r, reader_u8(&r));
    *out = NULL;
    if (r.failed || magic != MAGIC || memcmp(of_key.ptr, key->bytes, of_key.len) != 0 ||
        crc32c(0, entry.ptr + HEAD_BYTES, entry.len - HEAD_BYTES) != crc)
        return false;
    *out = cached_image_new(key, reader_bytes(&r, reader_left(&r)), type, control, modified_s);
    return true;
}

void image_key_format(const struct image_key *key, char out[IMAGE_KEY_DIGITS + 1])
{
    static const char DIGITS[] = "0123456789abcdef";
    for (size_t i = 0; i < IMAGE_KEY_DIGITS; i++)
        out[i] = DIGITS[key->bytes[i / 2] >> (i % 2 ? 0 : 4) & 15];
    out[IMAGE_KEY_DIGITS] = '\0';
}

bool image_key_parse(const char *text, struct image_key *out)
{
    if (strlen(text) != IMAGE_KEY_DIGITS)
        return false;
    for (size_t i = 0; i < sizeof(out->bytes); i++) {
        uint32_t high = hex_digit((unsigned char)text[2 * i]),
                 low = hex_digit((unsigned char)text[2 * i + 1]);
        if (high == HEX_NONE || low == HEX_NONE)
            return false;
        out->bytes[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}
