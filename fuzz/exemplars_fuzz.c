/* SPDX-License-Identifier: Apache-2.0 */
/* exemplars_fuzz.c: any bytes as the log of exemplars: with the CRCs of its records made right, so that what is in them
 * is looked at. Beside not crashing: ring and lists agree, and what is kept is within the limits. */
#include "base/assert.h"
#include "base/checksum.h"
#include "storage/exemplars_private.h"
#include "storage/wal_record.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RING_MAX = 8 };

/* Gives whatever begins like a record the CRC that it should have. */
static void repair(char *bytes, size_t size)
{
    static const char magic[4] = {0x42, 0x57, 0x41, 0x4c};
    for (size_t at = 0; at + WAL_RECORD_FRAME_BYTES <= size;) {
        uint32_t payload;
        memcpy(&payload, bytes + at + 4, 4);
        if (memcmp(bytes + at, magic, 4) != 0 || payload > size - at - WAL_RECORD_FRAME_BYTES) {
            at++;
            continue;
        }
        uint32_t crc = crc32c(0, bytes + at, WAL_RECORD_HEADER_BYTES + payload);
        memcpy(bytes + at + WAL_RECORD_HEADER_BYTES + payload, &crc, 4);
        at += WAL_RECORD_FRAME_BYTES + payload;
    }
}

static void check(struct exemplars *x)
{
    static const struct exemplar_matchers everything = {NULL, 0};
    struct arena arena;
    struct exemplar_list *lists;
    size_t count, exemplars = 0;
    arena_init(&arena, MEM_OTHER, 0);
    exemplars_select(x, &everything, 1, INT64_MIN, INT64_MAX, &arena, &lists, &count);
    for (size_t i = 0; i < count; i++) {
        ASSERT(i == 0 || labels_compare(lists[i - 1].series, lists[i].series) < 0);
        for (size_t e = 1; e < lists[i].count; e++)
            ASSERT(lists[i].items[e - 1].timestamp_ms <= lists[i].items[e].timestamp_ms);
        exemplars += lists[i].count;
    }
    ASSERT(exemplars == x->count && count == x->series_live && x->count <= RING_MAX);
    arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct exemplars *x;
    struct error err;
    struct exemplars_options opts = {
        .dir = "/nonexistent", .quarantine_dir = "/dev/null/none", .max = RING_MAX};
    char *bytes = malloc(size + !size);
    memcpy(bytes, data, size);
    repair(bytes, size);
    if (!exemplars_open(&x, &opts, &err))
        abort();
    if (exemplar_log_decode(x, (struct view){bytes, size}, &err))
        check(x);
    exemplars_close(x);
    free(bytes);
    return 0;
}
