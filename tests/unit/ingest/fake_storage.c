/* SPDX-License-Identifier: Apache-2.0 */
/* fake_storage.c: see fake_storage.h. Slot n of a group is series n - offset; renumbering moves the offset. */
#include "fake_storage.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/thread.h"
#include "model/sample.h"
#include "storage/db.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GROUPS_MAX = 64, SERIES_MAX = 4096, ROWS_MAX = 4096 };

struct row {
    int64_t timestamp_ms;
    size_t order;
    double values[SERIES_MAX];
    bool present[SERIES_MAX];
};

struct group {
    struct db *db;
    char *key;
    bool open, released[SERIES_MAX];
    char *series[SERIES_MAX];
    uint32_t series_count, offset, generation;
    struct row *rows[ROWS_MAX];
    size_t row_count;
    struct appender *writing;
    double *values;
    uint64_t *present;
};

struct db {
    pthread_mutex_t mutex;
    struct group *groups[GROUPS_MAX];
    size_t group_count, row_count, open_count, series_count, series_max;
    bool refuse_rows;
    struct buffer metadata, exemplars;
};

struct db *fake_db_new(void)
{
    struct db *db = calloc(1, sizeof *db);
    mutex_init(&db->mutex);
    buffer_init(&db->metadata, MEM_OTHER, 1 << 20);
    buffer_init(&db->exemplars, MEM_OTHER, 1 << 20);
    return db;
}

void fake_db_free(struct db *db)
{
    for (size_t g = 0; g < db->group_count; g++) {
        struct group *group = db->groups[g];
        for (uint32_t i = 0; i < group->series_count; i++)
            free(group->series[i]);
        for (size_t i = 0; i < group->row_count; i++)
            free(group->rows[i]);
        free(group->key);
        free(group->values);
        free(group->present);
        free(group);
    }
    buffer_deinit(&db->metadata);
    buffer_deinit(&db->exemplars);
    mutex_deinit(&db->mutex);
    free(db);
}

bool db_group_open(struct db *db, struct view key, struct group **out, struct error *err)
{
    mutex_lock(&db->mutex);
    struct group *g = NULL;
    for (size_t i = 0; i < db->group_count; i++) {
        if (view_is(key, db->groups[i]->key))
            g = db->groups[i];
    }
    if (!g) {
        ASSERT(db->group_count < GROUPS_MAX);
        g = calloc(1, sizeof *g);
        g->db = db;
        g->key = strndup(key.ptr, key.len);
        g->values = calloc(SERIES_MAX * 2, sizeof *g->values);
        g->present = calloc(SERIES_MAX * 2 / 64, sizeof *g->present);
        db->groups[db->group_count++] = g;
    }
    bool ok = !g->open;
    g->open = true;
    db->open_count += ok;
    mutex_unlock(&db->mutex);
    *out = ok ? g : NULL;
    return ok || error_set(err, ERROR_BUSY, "group is open already");
}

void group_close(struct group *g)
{
    if (!g)
        return;
    mutex_lock(&g->db->mutex);
    ASSERT(g->open);
    g->open = false;
    g->db->open_count--;
    mutex_unlock(&g->db->mutex);
}

static bool slot_of(struct group *g, struct labels ls, bool force, uint32_t *slot,
                    struct error *err)
{
    struct buffer text;
    bool ok = true;
    buffer_init(&text, MEM_OTHER, 1 << 24);
    labels_format(&text, ls);
    mutex_lock(&g->db->mutex);
    ASSERT(g->open);
    for (uint32_t i = 0; i < ls.count; i++)
        ASSERT(ls.items[i].value.len &&
               (i == 0 || view_cmp(ls.items[i - 1].name, ls.items[i].name) < 0));
    uint32_t idx = 0;
    while (idx < g->series_count && !view_is(buffer_view(&text), g->series[idx]))
        idx++;
    if (idx == g->series_count) {
        ok = force || !g->db->series_max || g->db->series_count < g->db->series_max;
        ASSERT(idx < SERIES_MAX);
        if (ok) {
            g->series[g->series_count++] = strndup(text.ptr, text.len);
            g->db->series_count++;
        }
    }
    g->released[idx] = false;
    if (g->writing)
        g->writing->slot_count = g->series_count + g->offset;
    mutex_unlock(&g->db->mutex);
    buffer_deinit(&text);
    *slot = idx + g->offset;
    return ok || error_set(err, ERROR_LIMIT, "too many series");
}

bool group_slot(struct group *g, struct labels ls, uint32_t *slot, struct error *err)
{
    return slot_of(g, ls, false, slot, err);
}

bool group_overflow_slot(struct group *g, struct labels ls, uint32_t *slot)
{
    struct error err;
    struct arena arena;
    struct labels_builder b;
    arena_init(&arena, MEM_OTHER, 0);
    labels_builder_init(&b, &arena);
    labels_builder_set(&b, VIEW(LABEL_NAME), labels_get(ls, VIEW(LABEL_NAME)));
    labels_builder_set(&b, VIEW("overflow"), VIEW("true"));
    bool ok = slot_of(g, labels_builder_finish(&b), true, slot, &err);
    arena_deinit(&arena);
    return ok;
}

uint32_t group_generation(const struct group *g)
{
    return g->generation;
}

void group_release_slot(struct group *g, uint32_t slot)
{
    mutex_lock(&g->db->mutex);
    ASSERT(slot - g->offset < g->series_count && !g->released[slot - g->offset]);
    g->released[slot - g->offset] = true;
    mutex_unlock(&g->db->mutex);
}

uint32_t group_slot_count(const struct group *g)
{
    return g->series_count + g->offset;
}

bool appender_begin(struct appender *a, struct group *g, int64_t timestamp_ms, struct error *err)
{
    ASSERT(!g->writing && g->open);
    mutex_lock(&g->db->mutex);
    bool refuse = g->db->refuse_rows;
    mutex_unlock(&g->db->mutex);
    if (refuse)
        return error_set(err, ERROR_NO_SPACE, "ingest is stopped: the disk is full");
    if (g->row_count && timestamp_ms <= g->rows[g->row_count - 1]->timestamp_ms)
        return error_set(err, ERROR_INPUT, "out of order: %" PRId64, timestamp_ms);
    memset(g->present, 0, SERIES_MAX * 2 / 64 * sizeof *g->present);
    *a = (struct appender){.group = g,
                           .timestamp_ms = timestamp_ms,
                           .values = g->values,
                           .present = g->present,
                           .slot_count = g->series_count + g->offset};
    g->writing = a;
    return true;
}

void appender_count_refused(const struct appender *a, uint64_t more)
{
    (void)a;
    (void)more;
}

/* Which series an exemplar is of; its labels and the rest were encoded as text by appender_exemplar(). */
struct fake_exemplars {
    struct exemplar_batch base; /* only its place: what is behind it is ours */
    struct buffer text;
};

void appender_exemplar(struct appender *a, uint32_t slot, const struct exemplar *e)
{
    struct fake_exemplars *f = (struct fake_exemplars *)a->exemplars;
    if (!f) {
        f = calloc(1, sizeof *f);
        buffer_init(&f->text, MEM_OTHER, 1 << 20);
        a->exemplars = &f->base;
    }
    buffer_printf(&f->text, "%s # ", a->group->series[slot - a->group->offset]);
    labels_format(&f->text, e->labels);
    buffer_printf(&f->text, " %g @%" PRId64 "%s\n", e->value, e->timestamp_ms,
                  e->has_timestamp ? "" : " (the sample's)");
}

static void end_exemplars(struct appender *a, bool taken)
{
    struct fake_exemplars *f = (struct fake_exemplars *)a->exemplars;
    if (!f)
        return;
    if (taken)
        buffer_append_view(&a->group->db->exemplars, buffer_view(&f->text));
    buffer_deinit(&f->text);
    free(f);
    a->exemplars = NULL;
}

/* Series are not told apart here: only how many there were. */
void group_add_exemplars(struct group *g, const struct exemplar_batch *b,
                         struct exemplar_counts *counts)
{
    *counts = (struct exemplar_counts){.added = b->count};
    buffer_printf(&g->db->exemplars, "%u with timestamps\n", b->count);
}

void fake_db_exemplars(struct db *db, struct buffer *out)
{
    buffer_append_view(out, buffer_view(&db->exemplars));
    buffer_reset(&db->exemplars);
}

void appender_rollback(struct appender *a)
{
    ASSERT(a->group->writing == a);
    a->group->writing = NULL;
    end_exemplars(a, false);
}

bool appender_commit(struct appender *a, unsigned flags, struct error *err)
{
    struct group *g = a->group;
    (void)err;
    ASSERT(g->writing == a && g->row_count < ROWS_MAX);
    g->writing = NULL;
    struct row *row = calloc(1, sizeof *row);
    const struct row *before = g->row_count ? g->rows[g->row_count - 1] : NULL;
    row->timestamp_ms = a->timestamp_ms;
    for (uint32_t i = 0; i < g->series_count; i++) {
        uint32_t slot = i + g->offset;
        row->present[i] = a->present[slot / 64] >> (slot % 64) & 1;
        row->values[i] = a->values[slot];
        bool ended = flags & APPENDER_STALE_MISSING && !row->present[i] && before &&
                     before->present[i] && !sample_is_stale(before->values[i]);
        if (ended) {
            row->present[i] = true;
            row->values[i] = sample_stale();
        }
    }
    mutex_lock(&g->db->mutex);
    row->order = g->db->row_count++;
    g->rows[g->row_count++] = row;
    end_exemplars(a, true);
    mutex_unlock(&g->db->mutex);
    return true;
}

bool db_metadata_get(struct db *db, uint32_t number, struct metric_metadata *out)
{
    (void)db;
    (void)number;
    *out = (struct metric_metadata){0};
    return false;
}

uint32_t group_set_metadata(struct group *g, const struct metric_metadata *m)
{
    mutex_lock(&g->db->mutex);
    buffer_printf(&g->db->metadata, "%.*s %s [%.*s] [%.*s]\n", VIEW_ARGS(m->family),
                  metric_type_name(m->type), VIEW_ARGS(m->help), VIEW_ARGS(m->unit));
    mutex_unlock(&g->db->mutex);
    return 0;
}

/* ---- for the test ---- */

static int text_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void row_print(const struct group *g, const struct row *row, const char *prefix,
                      struct buffer *out)
{
    char *lines[SERIES_MAX];
    size_t count = 0;
    for (uint32_t i = 0; i < g->series_count; i++) {
        if (!row->present[i] || strncmp(g->series[i], "scrape_", 7) == 0)
            continue;
        size_t bytes = strlen(g->series[i]) + 64;
        lines[count] = malloc(bytes);
        if (sample_is_stale(row->values[i]))
            snprintf(lines[count], bytes, "%s%s stale\n", prefix, g->series[i]);
        else
            snprintf(lines[count], bytes, "%s%s %g\n", prefix, g->series[i], row->values[i]);
        count++;
    }
    qsort(lines, count, sizeof *lines, text_compare);
    for (size_t i = 0; i < count; i++) {
        buffer_append_view(out, view_from(lines[i]));
        free(lines[i]);
    }
}

static bool key_ends(const struct group *g, const char *suffix)
{
    return view_has_suffix(view_from(g->key), view_from(suffix));
}

void fake_db_last_row(struct db *db, const char *suffix, struct buffer *out)
{
    mutex_lock(&db->mutex);
    const struct group *newest = NULL;
    for (size_t i = 0; i < db->group_count; i++) {
        const struct group *g = db->groups[i];
        if (key_ends(g, suffix) && g->row_count &&
            (!newest ||
             g->rows[g->row_count - 1]->order > newest->rows[newest->row_count - 1]->order))
            newest = g;
    }
    if (newest)
        row_print(newest, newest->rows[newest->row_count - 1], "", out);
    mutex_unlock(&db->mutex);
}

void fake_db_rows(struct db *db, const char *part, struct buffer *out)
{
    mutex_lock(&db->mutex);
    for (size_t i = 0; i < db->group_count; i++) {
        const struct group *g = db->groups[i];
        for (size_t r = 0; strstr(g->key, part) && r < g->row_count; r++) {
            char prefix[32];
            snprintf(prefix, sizeof prefix, "%" PRId64 " ", g->rows[r]->timestamp_ms);
            row_print(g, g->rows[r], prefix, out);
        }
    }
    mutex_unlock(&db->mutex);
}

void fake_db_metadata(struct db *db, struct buffer *out)
{
    mutex_lock(&db->mutex);
    buffer_append_view(out, buffer_view(&db->metadata));
    mutex_unlock(&db->mutex);
}

size_t fake_db_row_count(struct db *db)
{
    mutex_lock(&db->mutex);
    size_t count = db->row_count;
    mutex_unlock(&db->mutex);
    return count;
}

size_t fake_db_open_count(struct db *db)
{
    mutex_lock(&db->mutex);
    size_t count = db->open_count;
    mutex_unlock(&db->mutex);
    return count;
}

void fake_db_series_max(struct db *db, size_t series_max)
{
    mutex_lock(&db->mutex);
    db->series_max = series_max;
    mutex_unlock(&db->mutex);
}

void fake_db_refuse_rows(struct db *db, bool refuse)
{
    mutex_lock(&db->mutex);
    db->refuse_rows = refuse;
    mutex_unlock(&db->mutex);
}

void fake_db_renumber(struct db *db)
{
    mutex_lock(&db->mutex);
    for (size_t i = 0; i < db->group_count; i++) {
        db->groups[i]->offset += 7;
        db->groups[i]->generation++;
    }
    mutex_unlock(&db->mutex);
}

size_t fake_db_released_count(struct db *db)
{
    size_t count = 0;
    mutex_lock(&db->mutex);
    for (size_t i = 0; i < db->group_count; i++) {
        for (uint32_t n = 0; n < db->groups[i]->series_count; n++)
            count += db->groups[i]->released[n];
    }
    mutex_unlock(&db->mutex);
    return count;
}
