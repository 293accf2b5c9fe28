/* SPDX-License-Identifier: Apache-2.0 */
/* scrape_timed.c: samples that carry timestamps of their own.
 *
 * A group's rows ascend in time, but the series of one scrape need not: cAdvisor stamps each container when
 * it looked at it, a federated server passes on what its own targets were stamped with. So series that
 * agree in their timestamps share a group: a line that comes for the first time joins the group whose
 * samples in this scrape have its timestamp, or gets one that no line uses, or a new one. Where lines of a
 * group part ways later, those that fall behind are refused once; then their lines are forgotten, and
 * the next scrape puts them into a group of their own. Past 1024 groups lines share them by the hash of
 * their timestamp, and those that fall behind are lost and counted.
 *
 * There are no stale markers: a series that is not there any more ends by the lookback. With track_timestamps_staleness it
 * gets one: at the time of its group's next row or, where the whole group is gone, at the scrape's. */
#include "ingest/scrape_private.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { TIMED_GROUPS_MAX = 1024, SLOT_BITS = 20, SLOTS_MAX = 1 << SLOT_BITS };

/* A timestamp of the scrape at hand and the group whose samples have it. */
struct timed_cluster {
    int64_t timestamp_ms;
    uint32_t group;
};

static uint32_t line_slot(uint32_t group, uint32_t slot)
{
    return LINE_SLOT_TIMESTAMPED | group << SLOT_BITS | slot;
}

static bool is_timed(uint32_t slot)
{
    return slot >= LINE_SLOT_TIMESTAMPED && slot < LINE_SLOT_FOLDED;
}

static uint32_t group_of(uint32_t slot)
{
    return (slot & ~LINE_SLOT_TIMESTAMPED) >> SLOT_BITS;
}

void timed_begin(struct timed_samples *t)
{
    t->count = t->cluster_count = 0;
    t->used_known = false;
    if (t->by_timestamp.count)
        map_clear(&t->by_timestamp);
}

void timed_deinit(struct timed_samples *t)
{
    mem_free(MEM_SCRAPE, t->items);
    mem_free(MEM_SCRAPE, t->clusters);
    mem_free(MEM_SCRAPE, t->gone);
    map_deinit(&t->by_timestamp);
    *t = (struct timed_samples){0};
}

/* ---- which group ---- */

static bool cluster_equal(const void *context, uint32_t item, const void *key)
{
    const struct timed_cluster *clusters = context;
    return clusters[item].timestamp_ms == *(const int64_t *)key;
}

static uint32_t cluster_find(const struct timed_samples *t, int64_t timestamp_ms)
{
    uint64_t hash = hash64(&timestamp_ms, sizeof timestamp_ms);
    return map_find(&t->by_timestamp, hash, cluster_equal, t->clusters, &timestamp_ms);
}

static void cluster_add(struct timed_samples *t, int64_t timestamp_ms, uint32_t group)
{
    if (t->cluster_count == t->cluster_capacity)
        t->clusters = mem_grow(MEM_SCRAPE, t->clusters, &t->cluster_capacity, t->cluster_count + 1,
                               sizeof *t->clusters);
    t->clusters[t->cluster_count] = (struct timed_cluster){timestamp_ms, group};
    map_add(&t->by_timestamp, hash64(&timestamp_ms, sizeof timestamp_ms),
            (uint32_t)t->cluster_count++);
}

void timed_add(struct timed_samples *t, uint32_t slot, int64_t timestamp_ms, double value)
{
    if (t->count == t->capacity)
        t->items = mem_grow(MEM_SCRAPE, t->items, &t->capacity, t->count + 1, sizeof *t->items);
    t->items[t->count] = (struct timed_sample){timestamp_ms, slot, (uint32_t)t->count, value};
    t->count++;
    if (cluster_find(t, timestamp_ms) == MAP_NONE)
        cluster_add(t, timestamp_ms, group_of(slot));
}

/* Marks the groups that lines of the cache use. */
static void know_used(struct scrape *s, struct timed_samples *t)
{
    if (t->used_known)
        return;
    t->used_known = true;
    for (uint32_t i = 0; i < s->timed_count; i++)
        s->timed[i].used = false;
    for (uint32_t i = 0; i < s->cache.count; i++) {
        if (is_timed(s->cache.entries[i].slot))
            s->timed[group_of(s->cache.entries[i].slot)].used = true;
    }
}

static bool group_add(struct scrape *s, struct db *db, struct arena *arena, struct error *err)
{
    struct group *group;
    struct view key =
        arena_printf(arena, "%.*s\xfftimestamps %u", VIEW_ARGS(s->target->key), s->timed_count);
    if (!db_group_open(db, key, &group, err))
        return false;
    if (s->timed_count == s->timed_capacity)
        s->timed = mem_grow(MEM_SCRAPE, s->timed, &s->timed_capacity, s->timed_count + 1,
                            sizeof *s->timed);
    s->timed[s->timed_count++] = (struct timed_group){
        .group = group, .generation = group_generation(group), .last_ms = INT64_MIN};
    return true;
}

static bool choose_group(struct scrape *s, struct timed_samples *t, struct db *db,
                         struct arena *arena, int64_t timestamp_ms, uint32_t *out,
                         struct error *err)
{
    uint32_t cluster = cluster_find(t, timestamp_ms);
    if (cluster != MAP_NONE) {
        *out = t->clusters[cluster].group;
        return true;
    }
    know_used(s, t);
    uint32_t i = 0;
    while (i < s->timed_count && (s->timed[i].used || s->timed[i].last_ms >= timestamp_ms))
        i++;
    if (i == s->timed_count && i == TIMED_GROUPS_MAX)
        i = (uint32_t)(hash64(&timestamp_ms, sizeof timestamp_ms) % TIMED_GROUPS_MAX);
    else if (i == s->timed_count && !group_add(s, db, arena, err))
        return false;
    s->timed[i].used = true;
    cluster_add(t, timestamp_ms, i);
    *out = i;
    return true;
}

bool timed_slot(struct scrape *s, struct timed_samples *t, struct db *db, struct arena *arena,
                struct labels ls, int64_t timestamp_ms, uint32_t *slot, struct error *err)
{
    uint32_t group, of_group;
    if (!choose_group(s, t, db, arena, timestamp_ms, &group, err) ||
        !group_slot(s->timed[group].group, ls, &of_group, err))
        return false;
    if (of_group >= SLOTS_MAX)
        return error_set(err, ERROR_LIMIT, "more than %d series share a timestamp", SLOTS_MAX);
    *slot = line_slot(group, of_group);
    return true;
}

/* ---- rows ---- */

static int sample_compare(const void *a, const void *b)
{
    const struct timed_sample *sa = a, *sb = b;
    uint32_t ga = group_of(sa->slot), gb = group_of(sb->slot);
    if (ga != gb)
        return ga < gb ? -1 : 1;
    if (sa->timestamp_ms != sb->timestamp_ms)
        return sa->timestamp_ms < sb->timestamp_ms ? -1 : 1;
    return (sa->order > sb->order) - (sa->order < sb->order);
}

void timed_exemplar(struct scrape *s, uint32_t slot, const struct exemplar *e)
{
    exemplar_batch_add(&s->timed[group_of(slot)].exemplars, slot & (SLOTS_MAX - 1), e);
}

void timed_drop_exemplars(struct scrape *s)
{
    for (uint32_t i = 0; i < s->timed_count; i++)
        exemplar_batch_deinit(&s->timed[i].exemplars);
}

static void append_exemplars(struct scrape *s, struct scrape_counters *counters)
{
    for (uint32_t i = 0; i < s->timed_count; i++) {
        struct timed_group *g = &s->timed[i];
        struct exemplar_counts counts;
        if (g->exemplars.count == 0)
            continue;
        group_add_exemplars(g->group, &g->exemplars, &counts);
        COUNT(counters->exemplars_out_of_order, counts.out_of_order);
    }
    timed_drop_exemplars(s);
}

/* One row of one group. `flags` for appender_commit(). */
static void append_row(struct timed_group *g, const struct timed_sample *items, size_t count,
                       unsigned flags, struct scrape_counters *counters)
{
    struct appender a;
    struct error err;
    int64_t timestamp_ms = items[0].timestamp_ms;
    g->seen = true;
    if (timestamp_ms == g->last_ms)
        return;                             /* no news: the target has not looked again since */
    g->parted |= timestamp_ms < g->last_ms; /* it has fallen behind the others */
    if (!appender_begin(&a, g->group, timestamp_ms, &err)) {
        COUNT(counters->samples_out_of_order, count);
        appender_count_refused(&a, count - 1);
        return;
    }
    for (size_t i = 0; i < count; i++)
        appender_sample(&a, items[i].slot & (SLOTS_MAX - 1), items[i].value);
    COUNT(counters->samples_duplicate, a.repeat_count);
    if (!appender_commit(&a, flags, &err)) {
        COUNT(counters->samples_out_of_order, count);
        return;
    }
    g->last_ms = timestamp_ms > g->last_ms ? timestamp_ms : g->last_ms;
    g->live = true;
}

/* When it fails (storage is full) there is nobody to tell: the series end by the lookback. */
static void end_group(struct timed_group *g, int64_t scrape_ms)
{
    struct appender a;
    struct error err;
    int64_t at = scrape_ms > g->last_ms ? scrape_ms : g->last_ms + 1;
    if (g->live && appender_begin(&a, g->group, at, &err) &&
        appender_commit(&a, APPENDER_STALE_MISSING, &err))
        g->live = false;
}

void timed_end(struct scrape *s, int64_t scrape_ms)
{
    if (!s->target->job->track_timestamps_staleness)
        return;
    for (uint32_t i = 0; i < s->timed_count; i++)
        end_group(&s->timed[i], scrape_ms);
}

void timed_append(struct scrape *s, struct timed_samples *t, int64_t scrape_ms,
                  struct scrape_counters *counters)
{
    bool track = s->target->job->track_timestamps_staleness;
    for (uint32_t i = 0; i < s->timed_count; i++)
        s->timed[i].seen = false;
    if (t->count)
        qsort(t->items, t->count, sizeof *t->items, sample_compare);
    for (size_t from = 0, to; from < t->count; from = to) {
        uint32_t group = group_of(t->items[from].slot);
        for (to = from + 1; to < t->count && group_of(t->items[to].slot) == group &&
                            t->items[to].timestamp_ms == t->items[from].timestamp_ms;
             to++)
            ;
        /* Two rows of a group in one scrape: its lines are about to part, none of them is gone. */
        bool alone = (from == 0 || group_of(t->items[from - 1].slot) != group) &&
                     (to == t->count || group_of(t->items[to].slot) != group);
        append_row(&s->timed[group], &t->items[from], to - from,
                   track && alone ? APPENDER_STALE_MISSING : 0, counters);
    }
    for (uint32_t i = 0; track && i < s->timed_count; i++)
        if (!s->timed[i].seen)
            end_group(&s->timed[i], scrape_ms);
    append_exemplars(s, counters);
}

/* ---- lines that go ---- */

struct timed_gone {
    uint32_t slot;
    bool is_here; /* another line still has it */
};

static void gone_add(struct timed_samples *t, uint32_t slot)
{
    if (t->gone_count == t->gone_capacity)
        t->gone =
            mem_grow(MEM_SCRAPE, t->gone, &t->gone_capacity, t->gone_count + 1, sizeof *t->gone);
    t->gone[t->gone_count++] = (struct timed_gone){slot, false};
}

/* Forgets the lines of groups whose lines parted. */
static void part(struct scrape *s, struct timed_samples *t)
{
    struct line_cache *c = &s->cache;
    uint32_t kept = 0;
    bool parted = false;
    for (uint32_t i = 0; i < s->timed_count; i++)
        parted |= s->timed[i].parted;
    if (!parted)
        return;
    for (uint32_t i = 0; i < c->count; i++) {
        uint32_t slot = c->entries[i].slot;
        if (is_timed(slot) && s->timed[group_of(slot)].parted)
            gone_add(t, slot);
        else
            c->entries[kept++] = c->entries[i];
    }
    c->count = kept;
    for (uint32_t i = 0; i < s->timed_count; i++)
        s->timed[i].parted = false;
}

static int gone_compare(const void *a, const void *b)
{
    const struct timed_gone *ga = a, *gb = b;
    return (ga->slot > gb->slot) - (ga->slot < gb->slot);
}

void timed_release(struct scrape *s, struct timed_samples *t, const struct line_entry *gone,
                   size_t count)
{
    t->gone_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_timed(gone[i].slot))
            gone_add(t, gone[i].slot);
    }
    part(s, t);
    if (t->gone_count == 0)
        return;
    qsort(t->gone, t->gone_count, sizeof *t->gone, gone_compare);
    size_t distinct = 0;
    for (size_t i = 0; i < t->gone_count; i++) {
        if (distinct == 0 || t->gone[distinct - 1].slot != t->gone[i].slot)
            t->gone[distinct++] = t->gone[i];
    }
    for (uint32_t i = 0; i < s->cache.count; i++) {
        struct timed_gone key = {s->cache.entries[i].slot, false};
        struct timed_gone *hit =
            is_timed(key.slot) ? bsearch(&key, t->gone, distinct, sizeof *t->gone, gone_compare)
                               : NULL;
        if (hit)
            hit->is_here = true;
    }
    for (size_t i = 0; i < distinct; i++) {
        uint32_t slot = t->gone[i].slot;
        if (!t->gone[i].is_here)
            group_release_slot(s->timed[group_of(slot)].group, slot & (SLOTS_MAX - 1));
    }
}

bool timed_check_generations(struct scrape *s)
{
    bool same = true;
    for (uint32_t i = 0; i < s->timed_count; i++) {
        uint32_t now = group_generation(s->timed[i].group);
        same &= s->timed[i].generation == now;
        s->timed[i].generation = now;
    }
    return same;
}

void timed_close(struct scrape *s)
{
    timed_drop_exemplars(s);
    for (uint32_t i = 0; i < s->timed_count; i++)
        group_close(s->timed[i].group);
    mem_free(MEM_SCRAPE, s->timed);
    s->timed = NULL;
    s->timed_count = 0;
    s->timed_capacity = 0;
}
