/* SPDX-License-Identifier: Apache-2.0 */
/* deletions_fuzz.c: bytes as a list of deletions. The first says of what (an even one: a block's, an odd one: the
 * head's); the checksum is put right, so that they reach every check. What is accepted is in order, and written and
 * read again it is the same. */
#include "base/assert.h"
#include "base/checksum.h"
#include "base/mem.h"
#include "storage/head_deletions.h"

#include <string.h>

enum { SERIES = 1000, CRC_BYTES = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_intervals(struct intervals gone)
{
    for (size_t i = 0; i < gone.count; i++) {
        ASSERT(gone.items[i].mint <= gone.items[i].maxt);
        ASSERT(i == 0 || (gone.items[i - 1].maxt < INT64_MAX - 1 &&
                          gone.items[i].mint > gone.items[i - 1].maxt + 1));
    }
}

static void check_block(const struct deletions *d)
{
    struct buffer b;
    struct deletions *again;
    size_t series = 0;
    for (uint32_t n = 0; n < SERIES; n++) {
        struct intervals gone = deletions_of(d, n);
        check_intervals(gone);
        series += gone.count > 0;
    }
    ASSERT(series == deletions_series_count(d));
    buffer_init(&b, MEM_OTHER, 1 << 24);
    deletions_encode(&b, d);
    struct reader r = reader_from(buffer_view(&b));
    ASSERT(deletions_decode(&r, SERIES, &again) && reader_left(&r) == 0);
    ASSERT(deletions_interval_count(again) == deletions_interval_count(d));
    deletions_unref(again);
    buffer_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err;
    struct deletions *d = NULL;
    struct head_deletions *h = NULL;
    if (size < 1 + CRC_BYTES)
        return 0;
    size_t len = size - 1;
    uint8_t *bytes = mem_alloc(MEM_OTHER, len);
    memcpy(bytes, data + 1, len);
    uint32_t crc = crc32c(0, bytes, len - CRC_BYTES);
    for (int i = 0; i < CRC_BYTES; i++)
        bytes[len - CRC_BYTES + (size_t)i] = (uint8_t)(crc >> 8 * i);
    struct view text = {(const char *)bytes, len};
    bool ok = data[0] % 2 ? head_deletions_parse(text, &h, &err)
                          : deletions_parse(text, SERIES, &d, &err);
    ASSERT(ok || (err.kind == ERROR_CORRUPT && err.message[0] != '\0'));
    if (ok && !(data[0] % 2))
        check_block(d);
    ASSERT(!ok || !(data[0] % 2) || head_deletions_series_count(h) > 0);
    deletions_unref(d);
    head_deletions_unref(h);
    mem_free(MEM_OTHER, bytes);
    return 0;
}
