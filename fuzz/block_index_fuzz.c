/* SPDX-License-Identifier: Apache-2.0 */
/* block_index_fuzz.c: bytes as a block's index. The checksum is set right first, so that what lies behind
 * it is reached; then everything is read as a query would, out of range too. */
#include "base/assert.h"
#include "base/checksum.h"
#include "storage/index.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_labels(const struct index *x, struct index_cursor *c)
{
    struct view text;
    for (uint32_t i = 0; i < x->name_count; i++) {
        struct index_name name = index_name_at(x, i), found;
        if (index_name_find(x, name.symbol, &found))
            ASSERT(found.symbol == name.symbol);
        for (uint32_t k = 0; k < name.value_count && k < 64; k++) {
            struct index_value v = index_value_at(x, &name, k);
            if (index_symbol(c, v.symbol, &text))
                ASSERT(text.len <= INDEX_SYMBOL_BYTES_MAX);
            uint32_t *numbers = malloc(((size_t)x->series_count + 1) * sizeof *numbers);
            if (index_postings(x, v, numbers))
                for (uint32_t n = 0; n < v.series_count; n++)
                    ASSERT(numbers[n] < x->series_count);
            free(numbers);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct index x;
    struct error err;
    static struct index_series series;
    static uint32_t names[INDEX_LABELS_MAX];
    if (size < 16)
        return 0;
    uint8_t *bytes = malloc(size);
    memcpy(bytes, data, size);
    uint32_t crc = crc32c(0, bytes, size - 4);
    for (int i = 0; i < 4; i++)
        bytes[size - 4 + (size_t)i] = (uint8_t)(crc >> (8 * i));
    if (index_open(&x, (struct view){(const char *)bytes, size}, &err)) {
        struct index_cursor c;
        struct index_times times;
        uint32_t count;
        index_cursor_init(&c, &x);
        read_labels(&x, &c);
        (void)index_symbol_find(&c, VIEW("instance"));
        for (uint32_t i = 0; i <= x.series_count; i++)
            if (index_series_at(&x, i, &series)) {
                ASSERT(series.offset + series.bytes <= x.columns_bytes && i < x.series_count);
                if (index_shape(&x, series.shape, names, &count))
                    ASSERT(count == series.label_count);
            }
        for (uint32_t i = 0; i <= x.times_count; i++)
            if (index_times_at(&x, i, &times))
                ASSERT(times.offset + times.bytes <= x.columns_bytes);
        index_cursor_deinit(&c);
    }
    free(bytes);
    return 0;
}
