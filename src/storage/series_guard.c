/* SPDX-License-Identifier: Apache-2.0 */
/* series_guard.c: see series_guard.h. A job's new series are limited by a bucket that holds as many as may come at
 * once and fills in ten minutes: what starts anew with all its series fits, what makes others with every scrape
 * does not. The distinct values of labels are counted by HyperLogLog (Flajolet et al., 2007) over refused series. */
#include "storage/series_guard.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const LIMITS[GUARD_LIMIT_COUNT] = {
#define X(id, text) [id] = text,
    GUARD_LIMITS(X)
#undef X
};

const char *guard_limit_text(enum guard_limit limit)
{
    return LIMITS[limit];
}

void series_guard_init(struct series_guard *g, const struct db_options *options)
{
    *g = (struct series_guard){.per_job = options->series_per_job_max,
                               .per_metric = options->series_per_metric_max,
                               .new_per_job = options->new_series_per_job_max,
                               .memory_bytes = options->memory_bytes_max};
    map_init(&g->jobs.index, MEM_INDEX);
    map_init(&g->metrics.index, MEM_INDEX);
}

void series_guard_deinit(struct series_guard *g)
{
    map_deinit(&g->jobs.index);
    map_deinit(&g->metrics.index);
    mem_free(MEM_INDEX, g->jobs.items);
    mem_free(MEM_INDEX, g->metrics.items);
    mem_free(MEM_INDEX, g->culprits);
}

/* ---- counts ---- */

static bool count_is(const void *context, uint32_t item, const void *key)
{
    const struct guard_count *items = context;
    return items[item].hash == *(const uint64_t *)key;
}

static struct guard_count *count_find(const struct guard_table *t, uint64_t hash)
{
    uint32_t at = map_find(&t->index, hash, count_is, t->items, &hash);
    return at == MAP_NONE ? NULL : &t->items[at];
}

static struct guard_count *count_add(struct guard_table *t, uint64_t hash)
{
    struct guard_count *known = count_find(t, hash);
    if (known)
        return known;
    t->items = mem_grow(MEM_INDEX, t->items, &t->capacity, t->count + 1, sizeof *t->items);
    t->items[t->count] = (struct guard_count){.hash = hash};
    map_add(&t->index, hash, (uint32_t)t->count);
    return &t->items[t->count++];
}

/* The last one takes its place. */
static void count_remove(struct guard_table *t, struct guard_count *item)
{
    uint32_t at = (uint32_t)(item - t->items), last = (uint32_t)(t->count - 1);
    map_remove(&t->index, item->hash, at);
    if (at != last) {
        map_remove(&t->index, t->items[last].hash, last);
        *item = t->items[last];
        map_add(&t->index, item->hash, at);
    }
    t->count--;
}

static void count_change(struct guard_table *t, struct view name, int change)
{
    struct guard_count *c = count_add(t, hash64_secret(name.ptr, name.len));
    ASSERT(change > 0 || c->living > 0);
    c->living += (uint64_t)(int64_t)change;
    if (c->living == 0)
        count_remove(t, c);
}

void series_guard_count(struct series_guard *g, struct view job, struct view metric, int change)
{
    count_change(&g->jobs, job, change);
    count_change(&g->metrics, metric, change);
}

/* ---- asking ---- */

/* Summing up the accounts is not for each series. */
static bool memory_is_short(struct series_guard *g)
{
    if (g->memory_bytes && g->asked++ % 256 == 0)
        g->memory_is_short = (uint64_t)mem_total_bytes() > g->memory_bytes / 10 * 9;
    return g->memory_is_short;
}

static void bucket_fill(const struct series_guard *g, struct guard_count *job, mono_time now)
{
    if (job->seen.ns == 0)
        job->room = (double)g->new_per_job;
    else
        job->room += (double)g->new_per_job * (double)(now.ns - job->seen.ns) /
                     ((double)GUARD_NEW_WINDOW_MS * 1e6);
    if (job->room > (double)g->new_per_job)
        job->room = (double)g->new_per_job;
    job->seen = now;
}

enum guard_limit series_guard_ask(struct series_guard *g, struct view job, struct view metric,
                                  mono_time now)
{
    if (memory_is_short(g))
        return GUARD_MEMORY;
    struct guard_count *m = count_find(&g->metrics, hash64_secret(metric.ptr, metric.len));
    if (g->per_metric && m && m->living >= g->per_metric)
        return GUARD_METRIC;
    struct guard_count *j = count_find(&g->jobs, hash64_secret(job.ptr, job.len));
    if (!j)
        return GUARD_NONE; /* its first */
    if (g->per_job && j->living >= g->per_job)
        return GUARD_JOB;
    if (!g->new_per_job)
        return GUARD_NONE;
    bucket_fill(g, j, now);
    if (j->room < 1)
        return GUARD_NEW;
    j->room--;
    return GUARD_NONE;
}

/* ---- who is it ---- */

static void text_copy(char out[GUARD_TEXT_BYTES], struct view text)
{
    size_t len = text.len < GUARD_TEXT_BYTES - 1 ? text.len : GUARD_TEXT_BYTES - 1;
    while (len < text.len && len > 0 && ((unsigned char)text.ptr[len] & 0xc0) == 0x80)
        len--; /* not within a character */
    if (len)
        memcpy(out, text.ptr, len);
    out[len] = '\0';
}

static struct guard_culprit *culprit_of(struct series_guard *g, struct view job, struct view metric)
{
    uint64_t hash = hash64_secret(job.ptr, job.len) * 31 + hash64_secret(metric.ptr, metric.len);
    if (!g->culprits)
        g->culprits = mem_alloc_zero(MEM_INDEX, GUARD_CULPRITS_MAX + 1, sizeof *g->culprits);
    for (size_t i = 0; i < g->culprit_count; i++) {
        if (g->culprits[i].hash == hash)
            return &g->culprits[i];
    }
    if (g->culprit_count == GUARD_CULPRITS_MAX)
        return &g->culprits[GUARD_CULPRITS_MAX];
    struct guard_culprit *c = &g->culprits[g->culprit_count++];
    c->hash = hash;
    text_copy(c->job, job);
    text_copy(c->metric, metric);
    return c;
}

static void value_note(uint8_t registers[GUARD_REGISTERS], struct view value)
{
    uint64_t hash = hash64_secret(value.ptr, value.len);
    unsigned at = hash % GUARD_REGISTERS;
    uint64_t rest = hash / GUARD_REGISTERS;
    uint8_t rank = rest ? (uint8_t)(__builtin_ctzll(rest) + 1) : 57;
    if (registers[at] < rank)
        registers[at] = rank;
}

static double values_estimate(const uint8_t registers[GUARD_REGISTERS])
{
    double sum = 0, m = GUARD_REGISTERS;
    unsigned zeros = 0;
    for (unsigned i = 0; i < GUARD_REGISTERS; i++) {
        sum += ldexp(1, -registers[i]);
        zeros += registers[i] == 0;
    }
    double estimate = 0.7213 / (1 + 1.079 / m) * m * m / sum;
    return estimate <= 2.5 * m && zeros ? m * log(m / zeros) : estimate;
}

static void labels_note(struct guard_culprit *c, struct labels ls)
{
    for (uint32_t i = 0; i < ls.count; i++) {
        struct label l = ls.items[i];
        char name[GUARD_TEXT_BYTES];
        unsigned at = 0;
        if (view_is(l.name, LABEL_NAME) || view_is(l.name, "job"))
            continue;
        text_copy(name, l.name);
        while (at < c->label_count && strcmp(c->labels[at].name, name) != 0)
            at++;
        if (at == GUARD_LABELS_MAX)
            continue;
        if (at == c->label_count)
            memcpy(c->labels[c->label_count++].name, name, sizeof name);
        value_note(c->labels[at].registers, l.value);
    }
}

static bool event_is_due(const struct guard_culprit *c, mono_time now)
{
    bool silent = c->event.ns && now.ns - c->event.ns < (int64_t)GUARD_EVENT_MS * 1000000;
    return !silent && (c->refused - c->told >= GUARD_EVENT_REFUSALS ||
                       now.ns - c->first.ns >= INT64_C(30) * 1000000000);
}

bool series_guard_refused(struct series_guard *g, struct labels ls, enum guard_limit limit,
                          mono_time now)
{
    struct view job = labels_get(ls, VIEW("job")), metric = labels_get(ls, VIEW(LABEL_NAME));
    struct guard_culprit *c = culprit_of(g, job, metric);
    if (c->refused++ == c->told)
        c->first = now;
    c->limit = limit;
    text_copy(c->instance, labels_get(ls, VIEW("instance")));
    if (c == &g->culprits[GUARD_CULPRITS_MAX]) {
        text_copy(c->job, job);
        text_copy(c->metric, metric);
    } else {
        labels_note(c, ls);
    }
    return event_is_due(c, now);
}

void series_guard_event(struct series_guard *g, struct buffer *out, mono_time now)
{
    for (size_t i = 0; i <= GUARD_CULPRITS_MAX && g->culprits; i++) {
        struct guard_culprit *c = &g->culprits[i];
        unsigned most = 0;
        double values = 0;
        if (c->refused == c->told || !event_is_due(c, now))
            continue;
        for (unsigned k = 0; k < c->label_count; k++) {
            double estimate = values_estimate(c->labels[k].registers);
            if (estimate > values) {
                values = estimate;
                most = k;
            }
        }
        buffer_printf(out,
                      "%" PRIu64 " new series of metric \"%s\", job \"%s\", instance \"%s\" were "
                      "folded: over the limit of %s",
                      c->refused - c->told, c->metric, c->job, c->instance, LIMITS[c->limit]);
        if (c->label_count)
            buffer_printf(out, "; label \"%s\" has about %.0f values among them",
                          c->labels[most].name, values);
        c->told = c->refused;
        c->event = now;
        for (unsigned k = 0; k < c->label_count; k++)
            memset(c->labels[k].registers, 0, GUARD_REGISTERS);
        return;
    }
}
