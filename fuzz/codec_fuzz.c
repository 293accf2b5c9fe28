/* SPDX-License-Identifier: Apache-2.0 */
/* codec_fuzz.c: the first two bytes are the count, the rest a column: opened and decoded as values and as
 * times, whole and from a window in the middle, which must agree with the whole. */
#include "base/assert.h"
#include "storage/codec.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_values(struct view bytes, size_t count)
{
    struct codec_values c;
    if (!codec_values_open(&c, bytes, count))
        return;
    double *whole = malloc(count * sizeof *whole), *part = malloc(count * sizeof *part);
    size_t from = count / 3, to = count - count / 4;
    if (codec_values_decode(&c, 0, count, whole) && codec_values_decode(&c, from, to, part))
        ASSERT(memcmp(whole + from, part, (to - from) * sizeof *part) == 0);
    free(whole);
    free(part);
}

static void try_times(struct view bytes, size_t count)
{
    struct codec_times c;
    if (!codec_times_open(&c, bytes, count))
        return;
    int64_t *whole = malloc((count + 1) * sizeof *whole),
            *part = malloc((count + 1) * sizeof *part);
    size_t from = count / 3, to = count - count / 4;
    codec_times_decode(&c, 0, count, whole);
    codec_times_decode(&c, from, to, part);
    ASSERT(memcmp(whole + from, part, (to - from) * sizeof *part) == 0);
    free(whole);
    free(part);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t count = (size_t)data[0] | (size_t)data[1] << 8;
    struct view bytes = {(const char *)data + 2, size - 2};
    try_values(bytes, count);
    try_times(bytes, count);
    return 0;
}
