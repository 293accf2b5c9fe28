/* SPDX-License-Identifier: Apache-2.0 */
/* cache_entry_fuzz.c: what another host keeps for us may be anything: entries, and answers of a server that is none. What decodes, encodes to
 * the same bytes. */
#include "base/assert.h"
#include "cache_entry.h"
#include "valkey_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_entry(struct view bytes)
{
    struct image_key key = {{0}};
    struct cached_image *image;
    struct buffer again;
    if (bytes.len >= 8 + sizeof(key.bytes)) /* the key that it says it has */
        memcpy(key.bytes, bytes.ptr + 8, sizeof(key.bytes));
    if (!cache_entry_decode(&key, bytes, &image) || !image)
        return;
    buffer_init(&again, MEM_OTHER, CACHE_ENTRY_BYTES_MAX);
    cache_entry_encode(&again, &key, image);
    ASSERT(view_eq(buffer_view(&again), bytes));
    buffer_deinit(&again);
    cached_image_unref(image);
}

/* In two pieces, cut anywhere. */
static void check_answers(struct view bytes)
{
    struct valkey_reply r;
    struct error err = {0};
    size_t cut = bytes.len ? (unsigned char)bytes.ptr[0] % bytes.len : 0;
    ASSERT(valkey_reply_init(&r, 1 << 16));
    for (int piece = 0; piece < 2; piece++) {
        struct view part = piece ? view_slice(bytes, cut, bytes.len) : view_slice(bytes, 0, cut);
        bool ok = valkey_reply_feed(&r, part, &err);
        while (ok && (ok = valkey_reply_next(&r, &err)) && r.type)
            ASSERT(r.type != REDIS_REPLY_ARRAY && r.text.len <= bytes.len);
        ASSERT(ok || err.message[0] != '\0');
        if (!ok)
            break;
    }
    valkey_reply_deinit(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view bytes = {(const char *)data, size};
    check_entry(bytes);
    check_answers(bytes);
    return 0;
}
