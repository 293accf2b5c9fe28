/* SPDX-License-Identifier: Apache-2.0 */
/* scrape_append.c: the body of a scrape as one row of the target's group.
 *
 * The cells of up, scrape_duration_seconds ... are taken before the body is read and filled after it: a
 * target cannot say them itself. A body with an error anywhere is discarded whole; then the row holds
 * those cells alone and makes everything else stale.
 *
 * Samples with timestamps of their own go another way: scrape_timed.c. */
#include "ingest/scrape_private.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/floattext.h"
#include "base/mem.h"
#include "base/thread.h"
#include "base/utf8.h"
#include "ingest/relabel.h"
#include "model/sample.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { QUOTED_NAME_BYTES = 50 };

/* In the order of their slots; the last three only with extra_scrape_metrics. */
static const struct {
    const char *name, *help, *unit;
} REPORTS[SCRAPE_REPORT_COUNT] = {
    {"up", "Health of the scrape target. 1 means the target is healthy, 0 if the scrape failed.",
     "targets"},
    {"scrape_duration_seconds", "Duration of the last scrape in seconds.", "seconds"},
    {"scrape_samples_scraped", "Number of samples last scraped.", "samples"},
    {"scrape_samples_post_metric_relabeling",
     "Number of samples remaining after metric relabeling was applied.", "samples"},
    {"scrape_series_added", "Number of series in the last scrape.", "series"},
    {"scrape_timeout_seconds", "The configured scrape timeout for a target.", "seconds"},
    {"scrape_sample_limit",
     "The configured sample limit for a target. Returns zero if there is no limit configured.",
     "samples"},
    {"scrape_body_size_bytes",
     "The uncompressed size of the last scrape response, if successful. Scrapes failing because "
     "body_size_limit is exceeded report -1, other scrape failures report 0.",
     "bytes"},
};
enum { REPORTS_ALWAYS = 5 };

void scrape_workspace_deinit(struct scrape_workspace *w)
{
    line_scratch_deinit(&w->lines);
    arena_deinit(&w->arena);
    timed_deinit(&w->timed);
    mem_free(MEM_SCRAPE, w->released);
    mem_free(MEM_SCRAPE, w->metadata);
    *w = (struct scrape_workspace){0};
}

static void count_cache(struct scrape *s, struct scrape_counters *counters)
{
    int64_t bytes = (int64_t)line_cache_bytes(&s->cache);
    COUNT(counters->cache_bytes, bytes - s->cache_bytes_counted);
    s->cache_bytes_counted = bytes;
}

void scrape_forget_lines(struct scrape *s, struct scrape_counters *counters, bool slots_hold)
{
    if (slots_hold) { /* behind what an earlier reload left, when no row came between */
        line_cache_move(&s->forgotten, &s->cache);
    } else {
        line_cache_clear(&s->forgotten);
        line_cache_clear(&s->cache);
    }
    count_cache(s, counters);
}

/* What one scrape works with. */
struct appending {
    struct scrape *s;
    struct scrape_workspace *w;
    struct db *db;
    struct scrape_counters *counters;
    const struct config_scrape_job *job;
    struct appender a;
    struct line_walk walk;
    bool metadata_changed, over_sample_limit;
    uint64_t slow_kept, slow_dropped; /* of the samples that the hot path did not take */
    uint64_t added;
    uint64_t
        overflow_key; /* hash of metric, job and instance that overflow_slot is for; 0 = none */
    uint32_t overflow_slot;
    enum scrape_failure kind;
};

/* ---- labels of a new line ---- */

/* le="1" is stored as le="1.0", so that text and OpenMetrics give the same series. */
static void normalise(struct arena *arena, struct labels ls, enum metric_type type)
{
    struct view name = type == METRIC_HISTOGRAM ? VIEW("le")
                       : type == METRIC_SUMMARY ? VIEW("quantile")
                                                : VIEW("");
    for (uint32_t i = 0; name.len && i < ls.count; i++) {
        struct label *l = (struct label *)(uintptr_t)&ls.items[i]; /* the arena's: ours to change */
        double v;
        char text[FLOAT_TEXT_BYTES];
        if (!view_eq(l->name, name) || !float_parse(l->value, &v))
            continue;
        l->value = arena_copy(arena, (struct view){text, float_format_le(v, text)});
        return;
    }
}

struct conflict {
    struct view name, value;
};

static int conflict_compare(const void *a, const void *b)
{
    const struct conflict *ca = a, *cb = b;
    return (ca->name.len > cb->name.len) - (ca->name.len < cb->name.len);
}

/* What the target said under a name that is the target's becomes exported_NAME; shorter names first, so
 * that "exported_job" cannot take the place that "job" needs. */
static void export_conflicts(struct labels_builder *b, struct conflict *conflicts, size_t count)
{
    if (count)
        qsort(conflicts, count, sizeof *conflicts, conflict_compare);
    for (size_t i = 0; i < count; i++) {
        struct view name = conflicts[i].name;
        do
            name = arena_printf(b->arena, "exported_%.*s", VIEW_ARGS(name));
        while (labels_builder_get(b, name).len);
        labels_builder_set(b, name, conflicts[i].value);
    }
}

static void add_target_labels(struct labels_builder *b, struct labels target, bool honor)
{
    struct conflict *conflicts = arena_alloc(b->arena, (target.count + 1) * sizeof *conflicts);
    size_t count = 0;
    for (uint32_t i = 0; i < target.count; i++) {
        struct label l = target.items[i];
        struct view said = labels_builder_get(b, l.name);
        if (said.len && honor)
            continue;
        if (said.len)
            conflicts[count++] = (struct conflict){l.name, said};
        labels_builder_set(b, l.name, l.value);
    }
    export_conflicts(b, conflicts, count);
}

static int shown(struct view v)
{
    return (int)(v.len < QUOTED_NAME_BYTES ? v.len : QUOTED_NAME_BYTES);
}

static bool check_limits(const struct config_scrape_job *job, struct labels ls, struct error *err)
{
    struct view metric = labels_get(ls, VIEW(LABEL_NAME));
    if (job->label_limit && ls.count > job->label_limit)
        return error_set(err, ERROR_LIMIT,
                         "label_limit exceeded (metric: %.*s, number of labels: %" PRIu32
                         ", limit: %" PRIu64 ")",
                         shown(metric), metric.ptr, ls.count, job->label_limit);
    for (uint32_t i = 0; i < ls.count; i++) {
        struct label l = ls.items[i];
        if (job->label_name_length_limit && l.name.len > job->label_name_length_limit)
            return error_set(err, ERROR_LIMIT,
                             "label_name_length_limit exceeded (metric: %.*s, label name: %.*s, "
                             "length: %zu, limit: %" PRIu64 ")",
                             shown(metric), metric.ptr, shown(l.name), l.name.ptr, l.name.len,
                             job->label_name_length_limit);
        if (job->label_value_length_limit && l.value.len > job->label_value_length_limit)
            return error_set(err, ERROR_LIMIT,
                             "label_value_length_limit exceeded (metric: %.*s, label name: %.*s, "
                             "value: \"%.*s\", length: %zu, limit: %" PRIu64 ")",
                             shown(metric), metric.ptr, shown(l.name), l.name.ptr, shown(l.value),
                             l.value.ptr, l.value.len, job->label_value_length_limit);
    }
    return true;
}

/* Of what the job has no limit for: is it more than anybody means? */
static bool is_outsized(const struct config_scrape_job *job, struct labels ls)
{
    bool outsized = !job->label_limit && ls.count > SCRAPE_LABELS_MAX;
    for (uint32_t i = 0; i < ls.count && !outsized; i++)
        outsized =
            (!job->label_name_length_limit && ls.items[i].name.len > SCRAPE_LABEL_NAME_BYTES_MAX) ||
            (!job->label_value_length_limit &&
             ls.items[i].value.len > SCRAPE_LABEL_VALUE_BYTES_MAX);
    return outsized;
}

static bool check_names(const struct config_scrape_job *job, struct labels ls, struct error *err)
{
    struct view metric = labels_get(ls, VIEW(LABEL_NAME));
    if (metric.len == 0)
        return error_set(err, ERROR_INPUT, "missing metric name (__name__ label)");
    if (job->metric_name_validation_scheme != CONFIG_NAMES_LEGACY)
        return true;
    bool ok = metric_name_is_legacy(metric);
    for (uint32_t i = 0; ok && i < ls.count; i++)
        ok = label_name_is_legacy(ls.items[i].name);
    return ok || error_set(err, ERROR_INPUT,
                           "invalid metric name or label names: metric \"%.*s\" has a name that "
                           "metric_name_validation_scheme legacy refuses",
                           shown(metric), metric.ptr);
}

/* Leaves the series out. */
static bool drop_outsized(struct appending *ap, bool *dropped)
{
    COUNT(ap->counters->series_outsized, 1);
    *dropped = true;
    return true;
}

static bool fail_limits(struct appending *ap)
{
    ap->kind = SCRAPE_FAILURE_LIMIT;
    COUNT(ap->counters->exceeded_label_limits, 1);
    return false;
}

/* The series of a line that nobody knows. *dropped: relabelling wants none of it, or it is outsized. */
static bool series_labels(struct appending *ap, struct labels *out, bool *dropped,
                          struct error *err)
{
    struct arena *arena = &ap->w->arena;
    struct labels_builder b;
    arena_reset(arena);
    if (!exposition_parse_key(ap->walk.parser.key, arena, out, err)) {
        if (err->kind == ERROR_LIMIT && !ap->job->label_limit)
            return drop_outsized(ap, dropped);
        ap->kind = SCRAPE_FAILURE_PARSE;
        error_wrap(err, "line %" PRIu32, ap->walk.parser.line);
        return err->kind == ERROR_LIMIT ? fail_limits(ap) : false;
    }
    normalise(arena, *out, ap->walk.parser.type);
    labels_builder_init(&b, arena);
    labels_builder_reset(&b, *out);
    add_target_labels(&b, ap->s->target->labels, ap->job->honor_labels);
    bool keep = relabel_process(ap->job->metric_relabel_configs.items,
                                ap->job->metric_relabel_configs.count, &b);
    *out = labels_builder_finish(&b);
    *dropped = !keep || out->count == 0;
    if (*dropped)
        return true;
    ap->kind = SCRAPE_FAILURE_PARSE;
    if (!check_names(ap->job, *out, err))
        return false;
    if (!check_limits(ap->job, *out, err))
        return fail_limits(ap);
    return !is_outsized(ap->job, *out) || drop_outsized(ap, dropped);
}

/* ---- groups ---- */

static bool open_group(struct appending *ap, struct error *err)
{
    struct scrape *s = ap->s;
    ap->kind = SCRAPE_FAILURE_STORAGE;
    if (s->group)
        return true;
    if (!db_group_open(ap->db, s->target->key, &s->group, err))
        return false;
    s->group_generation = group_generation(s->group);
    return true;
}

/* When slots were renumbered no line's slot is true any more. */
static void check_generations(struct appending *ap)
{
    struct scrape *s = ap->s;
    uint32_t now = group_generation(s->group);
    bool same = timed_check_generations(s) && now == s->group_generation;
    if (same)
        return;
    s->group_generation = now;
    s->report_slots_known = false;
    scrape_forget_lines(s, ap->counters, false);
}

static unsigned report_count(const struct config_scrape_job *job)
{
    return job->extra_scrape_metrics > 0 ? SCRAPE_REPORT_COUNT : REPORTS_ALWAYS;
}

/* The slots of up and the others, and their cells in this row. */
static bool take_report_cells(struct appending *ap, struct error *err)
{
    struct scrape *s = ap->s;
    struct labels target = s->target->labels;
    for (unsigned i = 0; i < SCRAPE_REPORT_COUNT && !s->report_slots_known; i++) {
        struct labels_builder b;
        arena_reset(&ap->w->arena);
        labels_builder_init(&b, &ap->w->arena);
        labels_builder_reset(&b, target);
        labels_builder_set(&b, VIEW(LABEL_NAME), view_from(REPORTS[i].name));
        if (i < report_count(ap->job) &&
            !group_slot(s->group, labels_builder_finish(&b), &s->report_slots[i], err))
            return false;
    }
    s->report_slots_known = true;
    for (unsigned i = 0; i < report_count(ap->job); i++)
        appender_sample(&ap->a, s->report_slots[i], 0);
    return true;
}

/* ---- a row ---- */

static bool begin(struct appending *ap, const struct scrape_outcome *o, struct error *err)
{
    struct scrape *s = ap->s;
    if (!open_group(ap, err) || !appender_begin(&ap->a, s->group, o->timestamp.ms, err))
        return false;
    check_generations(ap);
    if (take_report_cells(ap, err))
        return true;
    appender_rollback(&ap->a);
    return false;
}

/* The exemplar of the sample at hand, which was taken; one with bad labels is left out, as in Prometheus. */
static void take_exemplar(struct appending *ap, uint32_t slot, bool timed)
{
    const struct exposition_parser *p = &ap->walk.parser;
    struct exemplar e = {.value = p->exemplar_value, .has_timestamp = p->exemplar_has_timestamp};
    struct error err;
    arena_reset(&ap->w->arena);
    if (!exposition_parse_exemplar(p->exemplar, &ap->w->arena, &e.labels, &err))
        return;
    e.timestamp_ms = p->exemplar_has_timestamp ? p->exemplar_timestamp_ms
                     : timed                   ? p->timestamp_ms
                                               : ap->a.timestamp_ms;
    if (timed)
        timed_exemplar(ap->s, slot, &e);
    else
        appender_exemplar(&ap->a, slot, &e);
}

/* The sample at hand goes to its slot, which the walk knows. */
static void take(struct appending *ap, uint32_t slot)
{
    const struct exposition_parser *p = &ap->walk.parser;
    if (slot == LINE_SLOT_DROPPED) {
        ap->slow_dropped++;
        return;
    }
    ap->slow_kept++;
    bool timed = line_walk_is_timestamped(&ap->walk);
    if (line_slot_is_folded(slot))
        line_slot_fold(&ap->a, slot);
    else if (timed)
        timed_add(&ap->w->timed, slot, p->timestamp_ms, p->value);
    else
        appender_sample(&ap->a, slot, p->value);
    if (p->has_exemplar && !line_slot_is_folded(slot))
        take_exemplar(ap, slot, timed);
}

static uint64_t kept_count(const struct appending *ap)
{
    return ap->walk.known - ap->walk.known_dropped + ap->slow_kept;
}

/* The slot for a line whose series is over a limit: that of the overflow series of its metric. Neighbours mostly
 * have the same. */
static uint32_t folded_slot(struct appending *ap, struct labels ls)
{
    const char *const names[] = {LABEL_NAME, "job", "instance"};
    uint64_t key = 1;
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        key = key * 31 + hash64_view(labels_get(ls, view_from(names[i])));
    if (key == ap->overflow_key)
        return ap->overflow_slot;
    uint32_t slot;
    ap->overflow_key = key;
    ap->overflow_slot = group_overflow_slot(ap->s->group, ls, &slot) &&
                                slot < LINE_SLOT_FOLDED_MAX - LINE_SLOT_FOLDED
                            ? LINE_SLOT_FOLDED | slot
                            : LINE_SLOT_FOLDED_MAX;
    return ap->overflow_slot;
}

/* A line that nobody knows: labels, checks, slot. False fails the scrape. */
static bool on_new_line(struct appending *ap, struct error *err)
{
    struct labels ls;
    bool dropped = false, timed = line_walk_is_timestamped(&ap->walk);
    uint32_t slot;
    uint64_t kept = kept_count(ap);
    bool over = ap->job->sample_limit && kept >= ap->job->sample_limit;
    if (over && ap->job->metric_relabel_configs.count == 0) {
        ap->slow_kept++; /* the scrape fails; its samples are counted, their labels no more looked at */
        return true;
    }
    if (!series_labels(ap, &ls, &dropped, err))
        return false;
    if (dropped) {
        line_walk_learn(&ap->walk, LINE_SLOT_DROPPED);
        ap->slow_dropped++;
        return true;
    }
    if (over) {
        ap->slow_kept++; /* the scrape fails: no series is made for what it had too many */
        return true;
    }
    ap->kind = SCRAPE_FAILURE_STORAGE;
    bool ok = timed ? timed_slot(ap->s, &ap->w->timed, ap->db, &ap->w->arena, ls,
                                 ap->walk.parser.timestamp_ms, &slot, err)
                    : group_slot(ap->s->group, ls, &slot, err);
    if (!ok) {
        if (err->kind != ERROR_LIMIT)
            return false;
        COUNT(ap->counters->series_refused, 1); /* the series that are there go on */
        slot = folded_slot(ap, ls);
        line_walk_learn(&ap->walk, slot);
        take(ap, slot);
        return true;
    }
    ASSERT(timed || slot <= LINE_SLOTS_MAX);
    line_walk_learn(&ap->walk, slot);
    ap->added++;
    take(ap, slot);
    return true;
}

/* Reads the body to its end. False fails the scrape. */
static bool read_lines(struct appending *ap, struct view body, enum exposition_format format,
                       struct error *err)
{
    struct line_walk *walk = &ap->walk;
    if (ap->s->format != format) /* the same line may mean something else now, or nothing */
        scrape_forget_lines(ap->s, ap->counters, true);
    ap->s->format = format;
    if (ap->s->cache.folded_count > 0 &&
        mono_ms_since(ap->s->folded_asked) >= SCRAPE_FOLDED_ASK_MS) {
        line_cache_ask_again(&ap->s->cache, SCRAPE_FOLDED_ASK_MAX);
        ap->s->folded_asked = clock_mono();
    }
    line_walk_init(walk, &ap->s->cache, &ap->w->lines, body, format, ap->job->honor_timestamps);
    for (;;) {
        while (line_walk_known(walk, &ap->a))
            take_exemplar(ap, walk->slot, false);
        switch (line_walk_next(walk, err)) {
        case LINE_END:
            return true;
        case LINE_ERROR:
            ap->kind = SCRAPE_FAILURE_PARSE;
            return error_wrap(err, "line %" PRIu32 ", column %" PRIu32, err->line, err->column);
        case LINE_SEEN:
            take(ap, walk->slot);
            break;
        case LINE_NEW:
            if (!on_new_line(ap, err))
                return false;
            break;
        case LINE_TYPE:
        case LINE_HELP:
        case LINE_UNIT:
            ap->metadata_changed = true;
            break;
        case LINE_COMMENT:
            break;
        }
    }
}

static bool check_sample_limit(struct appending *ap, struct error *err)
{
    uint64_t kept = kept_count(ap), limit = ap->job->sample_limit;
    if (limit == 0 || kept <= limit)
        return true;
    COUNT(ap->counters->exceeded_sample_limit, 1);
    ap->kind = SCRAPE_FAILURE_LIMIT;
    return error_set(err, ERROR_LIMIT,
                     "sample limit exceeded: %" PRIu64
                     " samples after relabelling, limit: %" PRIu64,
                     kept, limit);
}

static void fill_report(struct appending *ap, const struct scrape_outcome *o)
{
    double values[SCRAPE_REPORT_COUNT] = {
        o->failed ? 0 : 1,
        (double)(clock_mono().ns - o->start.ns) / 1e9,
        (double)o->scraped,
        (double)o->kept,
        (double)o->added,
        (double)ap->s->target->timeout_ms / 1e3,
        (double)ap->job->sample_limit,
        (double)o->body_bytes,
    };
    for (unsigned i = 0; i < report_count(ap->job); i++)
        ap->a.values[ap->s->report_slots[i]] = values[i];
}

/* ---- after the row ---- */

/* Slots that only lines had which are not there any more. Several lines may have shared one: it stays
 * while one of them is here (w->released begins as the row), and goes once. */
static void release_slots(struct appending *ap, const struct line_entry *gone, size_t count,
                          size_t slot_count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t slot = gone[i].slot;
        if (slot > LINE_SLOTS_MAX) /* dropped, or of a timed group */
            continue;
        ASSERT(slot < slot_count);
        uint64_t *word = &ap->w->released[slot / 64], bit = UINT64_C(1) << (slot % 64);
        if (*word & bit)
            continue;
        *word |= bit;
        group_release_slot(ap->s->group, slot);
    }
}

static size_t released_reserve(struct scrape_workspace *w, size_t slot_count)
{
    size_t words = (slot_count + 63) / 64;
    if (w->released_capacity < words)
        w->released =
            mem_grow(MEM_SCRAPE, w->released, &w->released_capacity, words, sizeof *w->released);
    return words * sizeof *w->released;
}

/* Notes the row's own bits, which are storage's after the commit. */
static void note_row(struct appending *ap, size_t slot_count)
{
    size_t bytes = released_reserve(ap->w, slot_count);
    memcpy(ap->w->released, ap->a.present, bytes);
}

static void note_slot(struct scrape_workspace *w, uint32_t slot)
{
    if (slot <= LINE_SLOTS_MAX)
        w->released[slot / 64] |= UINT64_C(1) << (slot % 64);
}

/* The row is not to be, and its new lines will not be known: what slots they were given goes back, or a target
 * that fails each time with other labels would fill its group. */
static void release_learned(struct appending *ap, size_t slot_count)
{
    struct scrape *s = ap->s;
    const struct line_scratch *lines = &ap->w->lines;
    if (!ap->walk.changed)
        return;
    size_t bytes = released_reserve(ap->w, slot_count);
    memset(ap->w->released, 0, bytes);
    for (uint32_t i = 0; i < s->cache.count; i++)
        note_slot(ap->w, s->cache.entries[i].slot);
    for (uint32_t i = 0; i < s->forgotten.count; i++)
        note_slot(ap->w, s->forgotten.entries[i].slot);
    for (unsigned i = 0; i < report_count(ap->job); i++)
        note_slot(ap->w, s->report_slots[i]);
    release_slots(ap, lines->next, lines->next_count, slot_count);
    if (s->forgotten.count == 0) /* else they may be its, which go after the next row */
        timed_release(s, &ap->w->timed, lines->next, lines->next_count);
}

static struct view shorten_help(struct view help)
{
    size_t len = help.len;
    if (len <= SCRAPE_HELP_BYTES_MAX)
        return help;
    len = SCRAPE_HELP_BYTES_MAX;
    while (len > 0 && ((unsigned char)help.ptr[len] & 0xc0) == 0x80)
        len--; /* not within a character */
    return view_slice(help, 0, len);
}

static void add_metadata(struct appending *ap, const struct metric_metadata *m)
{
    struct scrape_workspace *w = ap->w;
    uint32_t number = group_set_metadata(ap->s->group, m);
    if (number == METADATA_NONE || w->metadata_count == SCRAPE_FAMILIES_MAX)
        return;
    if (w->metadata_count == w->metadata_capacity)
        w->metadata = mem_grow(MEM_SCRAPE, w->metadata, &w->metadata_capacity,
                               w->metadata_count + 1, sizeof *w->metadata);
    w->metadata[w->metadata_count++] = number;
}

/* What was collected is the target's now. */
static void keep_metadata(struct scrape *s, const struct scrape_workspace *w)
{
    size_t bytes = w->metadata_count * sizeof *s->metadata;
    uint32_t *copy = bytes ? mem_alloc(MEM_SCRAPE, bytes) : NULL;
    if (bytes)
        memcpy(copy, w->metadata, bytes);
    mutex_lock(&s->mutex);
    uint32_t *old = s->metadata;
    s->metadata = copy;
    s->metadata_count = w->metadata_count;
    mutex_unlock(&s->mutex);
    mem_free(MEM_SCRAPE, old);
}

/* Tells storage what TYPE, HELP and UNIT say; only after a line of them changed. */
static void append_metadata(struct appending *ap, struct view body, enum exposition_format format)
{
    struct exposition_parser p;
    struct error err;
    struct metric_metadata m = {0};
    enum exposition_event event;
    arena_reset(&ap->w->arena);
    ap->w->metadata_count = 0;
    exposition_parser_init(&p, body, format);
    do {
        event = exposition_next(&p, &err);
        if (event == EXPOSITION_SAMPLE || event == EXPOSITION_COMMENT)
            continue;
        bool end = event == EXPOSITION_END || event == EXPOSITION_ERROR;
        if (m.family.len && (end || !view_eq(m.family, p.family))) {
            add_metadata(ap, &m);
            m = (struct metric_metadata){0};
        }
        m.family = p.family;
        if (event == EXPOSITION_TYPE)
            m.type = p.type;
        else if (event == EXPOSITION_HELP)
            m.help = exposition_unescape_help(shorten_help(p.text), format, &ap->w->arena);
        else if (event == EXPOSITION_UNIT)
            m.unit = p.text;
    } while (event != EXPOSITION_END && event != EXPOSITION_ERROR);
    keep_metadata(ap->s, ap->w);
}

/* ---- a scrape ---- */

static bool fail(struct scrape_outcome *o, enum scrape_failure kind, const struct error *err)
{
    o->failed = true;
    o->kind = kind;
    o->err = *err;
    return false;
}

/* After the clock was put back rows come late: the last one is then still the newest. */
static void note_last_row(struct scrape *s, wall_time t)
{
    if (!s->series_written || t.ms > s->last_row.ms)
        s->last_row = t;
    s->series_written = true;
}

/* The row of a body that was read to its end without an error. */
static bool commit_body(struct appending *ap, struct view body, struct scrape_outcome *o)
{
    struct scrape *s = ap->s;
    struct error err;
    o->kept = kept_count(ap);
    o->added = ap->added;
    fill_report(ap, o);
    size_t slot_count = ap->a.slot_count;
    COUNT(ap->counters->samples_duplicate, ap->a.repeat_count);
    const struct line_scratch *lines = &ap->w->lines;
    bool release = line_walk_is_news(&ap->walk) || s->forgotten.count;
    if (release)
        note_row(ap, slot_count);
    if (!appender_commit(&ap->a, APPENDER_STALE_MISSING, &err)) {
        timed_drop_exemplars(s);
        release_learned(ap, slot_count);
        return fail(o, SCRAPE_FAILURE_STORAGE, &err);
    }
    note_last_row(s, o->timestamp);
    COUNT(ap->counters->exemplars_out_of_order, ap->a.exemplar_counts.out_of_order);
    line_walk_finish(&ap->walk);
    if (release) {
        release_slots(ap, lines->gone, lines->gone_count, slot_count);
        release_slots(ap, s->forgotten.entries, s->forgotten.count, slot_count);
        timed_release(s, &ap->w->timed, s->forgotten.entries, s->forgotten.count);
        line_cache_clear(&s->forgotten);
    }
    timed_append(s, &ap->w->timed, o->timestamp.ms, ap->counters);
    timed_release(s, &ap->w->timed, lines->gone, lines->gone_count);
    if (ap->metadata_changed || ap->walk.metadata_gone)
        append_metadata(ap, body, o->format);
    return true;
}

/* The row of a scrape that failed: up and its like, all else becomes stale. */
static void commit_failure(struct appending *ap, struct scrape_outcome *o)
{
    struct error err;
    timed_end(ap->s, o->timestamp.ms);
    if (!begin(ap, o, &err)) {
        if (o->kind != SCRAPE_FAILURE_STORAGE) /* the first reason is the one to know */
            error_wrap(&o->err, "could not note the failure (%.200s)", err.message);
        return;
    }
    fill_report(ap, o);
    if (!appender_commit(&ap->a, APPENDER_STALE_MISSING, &err))
        return; /* as it said of the row that failed before */
    note_last_row(ap->s, o->timestamp);
}

void scrape_append(struct scrape *s, struct scrape_workspace *w, struct db *db,
                   struct scrape_counters *counters, struct view body, struct scrape_outcome *o)
{
    struct appending ap = {.s = s, .w = w, .db = db, .counters = counters, .job = s->target->job};
    struct error err;
    timed_begin(&w->timed);
    if (!o->failed) {
        if (!begin(&ap, o, &err)) {
            fail(o, SCRAPE_FAILURE_STORAGE, &err);
        } else {
            bool ok = read_lines(&ap, body, o->format, &err) && check_sample_limit(&ap, &err);
            o->scraped = ap.walk.known + ap.walk.parsed;
            o->kept = kept_count(&ap);
            o->added = ap.added;
            if (ok) {
                (void)commit_body(&ap, body, o); /* the outcome says it */
            } else {
                size_t slot_count = ap.a.slot_count;
                appender_rollback(&ap.a);
                timed_drop_exemplars(s);
                release_learned(&ap, slot_count);
                fail(o, ap.kind, &err);
            }
            COUNT(counters->samples, o->scraped);
            COUNT(counters->lines_known, ap.walk.known);
            COUNT(counters->lines_parsed, ap.walk.parsed);
            count_cache(s, counters);
        }
    }
    if (o->failed)
        commit_failure(&ap, o);
}

void scrape_append_end(struct scrape *s)
{
    struct appender a;
    struct error err;
    int64_t now = clock_wall().ms;
    timed_end(s, now);
    if (!s->group || !s->series_written)
        return;
    /* The last row may be of this millisecond, of one of the next two, or from before the clock was put back.
     * When it fails (storage is full) there is nobody to tell: the series end by the lookback, a few minutes
     * later. */
    if (now <= s->last_row.ms)
        now = s->last_row.ms + 1;
    if (appender_begin(&a, s->group, now, &err) &&
        appender_commit(&a, APPENDER_STALE_MISSING, &err))
        s->series_written = false;
}
