/* SPDX-License-Identifier: Apache-2.0 */
/* posted_alert.c: see posted_alert.h. */
#include "outbound/posted_alert.h"

#include "base/assert.h"
#include "base/json_write.h"
#include "base/mem.h"

#include <string.h>
#include <time.h>

/* UTC, always with milliseconds: "2026-11-20T20:00:58.450Z". */
static void write_time(struct buffer *out, int64_t ms)
{
    int64_t below = ((ms % 1000) + 1000) % 1000;
    time_t seconds = (time_t)((ms - below) / 1000);
    struct tm tm;
    if (!gmtime_r(&seconds, &tm)) { /* beyond its years: the last that it can say */
        buffer_append_literal(out, "\"9999-12-31T23:59:59.999Z\"");
        return;
    }
    buffer_printf(out, "\"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ\"", tm.tm_year + 1900, tm.tm_mon + 1,
                  tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)below);
}

static void write_labels(struct buffer *out, struct labels ls)
{
    buffer_append_byte(out, '{');
    for (uint32_t i = 0; i < ls.count; i++) {
        if (i)
            buffer_append_byte(out, ',');
        json_string(out, ls.items[i].name);
        buffer_append_byte(out, ':');
        json_string(out, ls.items[i].value);
    }
    buffer_append_byte(out, '}');
}

/* The generatorURL is escaped already but for the external URL in it, which a JSON string may have to. */
static void write_generator(struct buffer *out, struct view external_url, struct view expr)
{
    struct buffer url;
    buffer_init(&url, MEM_ALERTING, SIZE_MAX / 2);
    alert_generator_url(&url, external_url, expr);
    ASSERT(!url.failed);
    json_string(out, buffer_view(&url));
    buffer_deinit(&url);
}

struct posted_alert *posted_alert_new(const struct alert_notice *notice, struct labels labels,
                                      struct view external_url, struct buffer *scratch)
{
    buffer_reset(scratch);
    buffer_append_byte(scratch, '{');
    if (notice->annotations.count) {
        buffer_append_literal(scratch, "\"annotations\":");
        write_labels(scratch, notice->annotations);
        buffer_append_byte(scratch, ',');
    }
    buffer_append_literal(scratch, "\"endsAt\":");
    write_time(scratch, notice->ends_ms);
    buffer_append_literal(scratch, ",\"startsAt\":");
    write_time(scratch, notice->starts_ms);
    buffer_append_literal(scratch, ",\"generatorURL\":");
    write_generator(scratch, external_url, notice->expr);
    buffer_append_literal(scratch, ",\"labels\":");
    write_labels(scratch, labels);
    buffer_append_byte(scratch, '}');
    ASSERT(!scratch->failed);
    struct posted_alert *a = mem_alloc(MEM_ALERTING, sizeof *a + scratch->len);
    atomic_init(&a->refs, 1);
    a->len = scratch->len;
    memcpy(a->json, scratch->ptr, scratch->len);
    return a;
}

struct posted_alert *posted_alert_ref(struct posted_alert *a)
{
    atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
    return a;
}

void posted_alert_unref(struct posted_alert *a)
{
    /* Release: what this thread read of it; acquire by the one that frees. */
    if (!a || atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) > 1)
        return;
    mem_free(MEM_ALERTING, a);
}
