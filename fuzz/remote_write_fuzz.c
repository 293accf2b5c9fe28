/* SPDX-License-Identifier: Apache-2.0 */
/* remote_write_fuzz.c: a WriteRequest as it is after unpacking. What is taken is walked through: each sample has a
 * series, and each series' labels are a label set or refused with a sentence. */
#include "base/assert.h"
#include "base/utf8.h"
#include "ingest/remote_write_decode.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct write_request rq;

static void check_labels(struct arena *arena, struct view encoded)
{
    struct labels ls;
    struct error err = {0};
    if (!write_series_labels(arena, encoded, &ls, &err)) {
        ASSERT(err.message[0] != '\0');
        return;
    }
    for (uint32_t i = 0; i < ls.count; i++) {
        ASSERT(ls.items[i].name.len && ls.items[i].value.len && utf8_is_valid(ls.items[i].name));
        ASSERT(i == 0 || view_cmp(ls.items[i - 1].name, ls.items[i].name) < 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    if (rq.arena.account == MEM_OTHER)
        arena_init(&rq.arena, MEM_REMOTE_WRITE, 0);
    arena_reset(&rq.arena);
    if (!write_request_decode(&rq, (struct view){(const char *)data, size}, &err)) {
        ASSERT(err.kind == ERROR_INPUT || err.kind == ERROR_TOO_LARGE);
        ASSERT(err.message[0] != '\0');
        return 0;
    }
    for (size_t i = 0; i < rq.sample_count; i++)
        ASSERT(rq.samples[i].series < rq.series_count);
    for (size_t i = 0; i < rq.series_count; i++)
        check_labels(&rq.arena, rq.series[i].labels);
    for (size_t i = 0; i < rq.exemplar_count; i++) {
        struct exemplar e;
        ASSERT(rq.exemplars[i].series < rq.series_count);
        if (!write_exemplar_read(&rq.arena, rq.exemplars[i].encoded, &e))
            continue;
        for (uint32_t k = 1; k < e.labels.count; k++)
            ASSERT(view_cmp(e.labels.items[k - 1].name, e.labels.items[k].name) < 0);
    }
    for (size_t i = 0; i < rq.metadata_count; i++)
        ASSERT(rq.metadata[i].type < METRIC_TYPE_COUNT && utf8_is_valid(rq.metadata[i].help));
    return 0;
}
