/* SPDX-License-Identifier: Apache-2.0 */
/* line_cache_fuzz.c: bodies of scrapes, one after the other, parted by NUL bytes. What the line cache makes of each
 * must be what a plain parse makes of it: the same slots, the same values, the same failures. */
#include "base/assert.h"
#include "base/map.h"
#include "ingest/line_cache.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SLOTS_MAX = 1024 };

struct row {
    double values[SLOTS_MAX];
    uint64_t present[SLOTS_MAX / 64];
    uint64_t samples, timed;
    uint64_t exemplars; /* a hash of them, with their slots */
    bool failed;
};

static uint32_t slot_of(struct string_map *slots, struct view key)
{
    uint64_t slot;
    if (string_map_get(slots, key, &slot))
        return (uint32_t)slot;
    slot = string_map_count(slots) % SLOTS_MAX;
    string_map_set(slots, key, slot);
    return (uint32_t)slot;
}

static void note_exemplar(struct row *r, uint32_t slot, const struct exposition_parser *p)
{
    if (p->has_exemplar)
        r->exemplars = r->exemplars * 31 + slot * 7 + p->exemplar.len +
                       (uint64_t)(p->exemplar.ptr - p->body.ptr);
}

static void plain(struct view body, enum exposition_format format, struct string_map *slots,
                  struct row *r)
{
    struct exposition_parser p;
    struct error err;
    struct appender a = {.values = r->values, .present = r->present, .slot_count = SLOTS_MAX};
    enum exposition_event event;
    exposition_parser_init(&p, body, format);
    do {
        event = exposition_next(&p, &err);
        if (event != EXPOSITION_SAMPLE)
            continue;
        r->samples++;
        r->timed += p.has_timestamp;
        if (!p.has_timestamp) {
            appender_sample(&a, slot_of(slots, p.key), p.value);
            note_exemplar(r, slot_of(slots, p.key), &p);
        }
    } while (event != EXPOSITION_END && event != EXPOSITION_ERROR);
    r->failed = event == EXPOSITION_ERROR;
}

static void cached(struct view body, enum exposition_format format, struct string_map *slots,
                   struct line_cache *c, struct line_scratch *s, struct row *r)
{
    struct line_walk w;
    struct error err;
    struct appender a = {.values = r->values, .present = r->present, .slot_count = SLOTS_MAX};
    enum line_event event;
    line_walk_init(&w, c, s, body, format, true);
    do {
        while (line_walk_known(&w, &a))
            note_exemplar(r, w.slot, &w.parser);
        event = line_walk_next(&w, &err);
        bool timed = line_walk_is_timestamped(&w);
        if (event == LINE_NEW) {
            w.slot = slot_of(slots, w.parser.key) | (timed ? LINE_SLOT_TIMESTAMPED : 0);
            line_walk_learn(&w, w.slot);
        }
        if (event == LINE_NEW || event == LINE_SEEN) {
            r->timed += timed;
            if (!timed) {
                appender_sample(&a, w.slot, w.parser.value);
                note_exemplar(r, w.slot, &w.parser);
            }
        }
    } while (event != LINE_END && event != LINE_ERROR);
    r->samples = w.known + w.parsed;
    r->failed = event == LINE_ERROR;
    if (!r->failed)
        line_walk_finish(&w);
}

static void check(const uint8_t *data, size_t size, enum exposition_format format)
{
    static struct row got, want;
    struct string_map *slots = string_map_new(MEM_OTHER);
    struct line_cache cache = {0};
    struct line_scratch scratch = {0};
    struct view left = {(const char *)data, size};
    while (left.len) {
        const char *end = memchr(left.ptr, 0, left.len);
        size_t len = end ? (size_t)(end - left.ptr) : left.len;
        memset(&got, 0, sizeof got);
        memset(&want, 0, sizeof want);
        plain(view_slice(left, 0, len), format, slots, &want);
        cached(view_slice(left, 0, len), format, slots, &cache, &scratch, &got);
        ASSERT(got.failed == want.failed);
        ASSERT(got.failed || memcmp(&got, &want, sizeof got) == 0);
        left = view_slice(left, len + 1, left.len);
    }
    line_cache_clear(&cache);
    line_scratch_deinit(&scratch);
    string_map_free(slots);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(data, size, EXPOSITION_TEXT);
    check(data, size, EXPOSITION_OPENMETRICS);
    return 0;
}
