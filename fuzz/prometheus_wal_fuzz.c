/* SPDX-License-Identifier: Apache-2.0 */
/* prometheus_wal_fuzz.c: a segment of Prometheus' log. The fuzzer cannot guess checksums: those of all fragments are
 * put right first, so that it reaches the records (also compressed ones). */
#include "base/checksum.h"
#include "storage/prometheus_wal.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE = 32 << 10, HEADER = 7 };

static bool on_series(void *arg, uint64_t number, struct labels ls, struct error *err)
{
    (void)number;
    (void)err;
    for (uint32_t i = 0; i < ls.count; i++)
        if (ls.items[i].value.len == 0)
            abort();
    ++*(size_t *)arg;
    return true;
}

static bool on_sample(void *arg, uint64_t number, int64_t t, double v, struct error *err)
{
    (void)number;
    (void)t;
    (void)v;
    (void)err;
    ++*(size_t *)arg;
    return true;
}

static bool on_deleted(void *arg, uint64_t number, int64_t mint, int64_t maxt, struct error *err)
{
    (void)number;
    (void)mint;
    (void)maxt;
    (void)err;
    ++*(size_t *)arg;
    return true;
}

static void checksums_mend(uint8_t *bytes, size_t size)
{
    for (size_t page = 0; page < size; page += PAGE) {
        size_t end = page + PAGE < size ? page + PAGE : size;
        for (size_t at = page; at + HEADER <= end;) {
            size_t len = (size_t)bytes[at + 1] << 8 | bytes[at + 2];
            if ((bytes[at] & 7) == 0 || at + HEADER + len > end)
                break;
            uint32_t crc = crc32c(0, bytes + at + HEADER, len);
            for (int i = 0; i < 4; i++)
                bytes[at + 3 + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
            at += HEADER + len;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err;
    struct prometheus_wal_report report = {0};
    size_t calls = 0;
    const struct prometheus_wal_sink sink = {on_series, on_sample, on_deleted, &calls};
    uint8_t *copy = malloc(size + 1);
    if (size)
        memcpy(copy, data, size);
    checksums_mend(copy, size);
    if (!prometheus_wal_segment((struct view){(const char *)copy, size}, &sink, &report, &err))
        abort(); /* damage is no error */
    free(copy);
    return 0;
}
