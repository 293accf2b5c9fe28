/* SPDX-License-Identifier: Apache-2.0 */
/* db_view.c: what a query sees: one state of the folder and a pin of the head, joined.
 *
 * Series with the same labels have the same id in the query's label store, so joining is a table by id.
 * A joined series lists its parts; its address is its `ref`, in the arena that the query gave. Order is
 * the head's first, then what only blocks have, block by block: so neighbours share timestamps.
 *
 * Parts may overlap in time: blocks that were copied in or hold late samples, and the head, which shows in
 * order what lies above the state's floor, and late samples at any time. Where several parts have a sample
 * at one time, that of the block which begins first counts, of two that begin together that of the older
 * (by its ULID), and the head's counts last: what was stored first stays, as in the head itself.
 *
 * Damage does not fail a query: a part that is damaged is left out, counted, logged once per block, and
 * said in the reader's `lost`, which the engine shows as a warning. An I/O error is none of that: it
 * fails the query, which may succeed when tried again. */
#include "base/assert.h"
#include "base/mem.h"
#include "storage/db_private.h"
#include "storage/sample_merge.h"

#include <inttypes.h>
#include <stdlib.h>

#define SOURCE_HEAD UINT32_MAX

struct part {
    uint32_t source; /* a block's place in the state, or SOURCE_HEAD */
    uint64_t ref;
};

struct joined {
    struct intervals gone; /* what of the head's part is deleted; as long as the state */
    uint32_t part_count;
    struct part parts[]; /* in order of preference: blocks by time, then the head */
};

struct db_view {
    struct storage_view base; /* first */
    struct db *db;
    struct db_state *state;
    struct head_view *head;
};

/* --- select --------------------------------------------------------------------------------------- */

static bool overlaps(const struct block *b, int64_t mint, int64_t maxt)
{
    const struct block_meta *meta = block_get_meta((struct block *)b);
    return meta->mint <= maxt && mint < meta->maxt;
}

struct joining {
    struct arena scratch;
    struct series_list *lists; /* of the blocks, then the head's */
    size_t list_count;
    uint32_t *places; /* by labels id: place in out + 1 */
};

/* Takes out of the list what has nothing left in the wanted time. Series of which something is deleted are few, and
 * are read to know. */
static bool head_leave_out(struct db_view *v, const struct select *what, struct label_store *labels,
                           struct arena *scratch, struct series_list *list, struct error *err)
{
    struct head_reader *reader = head_reader_new(v->head);
    size_t kept = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < list->count; i++) {
        struct labels ls = label_store_labels(labels, list->items[i].labels, scratch);
        struct intervals gone = head_deletions_of(v->state->head_deletions, ls);
        struct samples got = {.count = 1};
        if (gone.count > 0)
            ok = head_reader_read(reader, list->items[i].ref, what->mint, what->maxt, NULL, &got,
                                  err);
        bool left = gone.count == 0;
        for (size_t k = 0; ok && !left && k < got.count; k++)
            left = !intervals_cover(gone, got.times[k], got.times[k]);
        if (ok && left)
            list->items[kept++] = list->items[i];
    }
    list->count = kept;
    head_reader_free(reader);
    return ok;
}

static bool select_head(struct db_view *v, const struct select *what, struct label_store *labels,
                        struct arena *arena, struct series_list *out, struct error *err)
{
    return head_select(v->head, what, labels, arena, out, err) &&
           (!v->state->head_deletions || head_leave_out(v, what, labels, arena, out, err));
}

static bool select_all(struct db_view *v, const struct select *what, struct label_store *labels,
                       struct joining *j, struct error *err)
{
    j->list_count = v->state->block_count + 1;
    j->lists = ARENA_ARRAY(&j->scratch, struct series_list, j->list_count);
    for (size_t i = 0; i < v->state->block_count; i++)
        if (overlaps(v->state->blocks[i], what->mint, what->maxt) &&
            !block_select(v->state->blocks[i], what, labels, &j->scratch, &j->lists[i], err))
            return false;
    return select_head(v, what, labels, &j->scratch, &j->lists[j->list_count - 1], err);
}

/* Counts the parts of each series; out->items get labels in order, and as ref the number of parts, until they are placed. */
static void join_count(struct joining *j, struct series_list *out)
{
    for (size_t n = 0; n < j->list_count; n++) {
        const struct series_list *list = &j->lists[n == 0 ? j->list_count - 1 : n - 1];
        for (size_t i = 0; i < list->count; i++) {
            uint32_t *place = &j->places[list->items[i].labels.n];
            if (*place == 0) {
                out->items[out->count++] = (struct series_ref){list->items[i].labels, 0};
                *place = (uint32_t)out->count;
            }
            out->items[*place - 1].ref++;
        }
    }
}

static void join_fill(struct db_view *v, struct joining *j, const struct label_store *labels,
                      struct arena *arena, struct series_list *out)
{
    for (size_t i = 0; i < out->count; i++) {
        size_t parts = (size_t)out->items[i].ref;
        struct joined *joined =
            arena_alloc(arena, sizeof *joined + parts * sizeof joined->parts[0]);
        joined->part_count = 0;
        joined->gone = (struct intervals){NULL, 0};
        out->items[i].ref = (uint64_t)(uintptr_t)joined;
    }
    for (size_t n = 0; n < j->list_count; n++) {
        uint32_t source = n < v->state->block_count ? (uint32_t)n : SOURCE_HEAD;
        for (size_t i = 0; i < j->lists[n].count; i++) {
            const struct series_ref *item = &j->lists[n].items[i];
            struct series_ref *series = &out->items[j->places[item->labels.n] - 1];
            struct joined *joined = (struct joined *)(uintptr_t)series->ref;
            joined->parts[joined->part_count++] = (struct part){source, item->ref};
            if (source == SOURCE_HEAD && v->state->head_deletions)
                joined->gone =
                    head_deletions_of(v->state->head_deletions,
                                      label_store_labels(labels, item->labels, &j->scratch));
        }
    }
}

static bool db_view_select(struct storage_view *base, const struct select *what,
                           struct label_store *labels, struct arena *arena, struct series_list *out,
                           struct error *err)
{
    struct db_view *v = (struct db_view *)base;
    struct joining j = {0};
    size_t total = 0;
    *out = (struct series_list){0};
    arena_init(&j.scratch, MEM_QUERY, 0);
    bool ok = select_all(v, what, labels, &j, err);
    for (size_t i = 0; ok && i < j.list_count; i++)
        total += j.lists[i].count;
    if (ok && total > 0) {
        j.places = ARENA_ARRAY(&j.scratch, uint32_t, label_store_labels_count(labels));
        out->items = arena_alloc(arena, total * sizeof *out->items);
        join_count(&j, out);
        join_fill(v, &j, labels, arena, out);
    }
    arena_deinit(&j.scratch);
    if (ok && what->series_max > 0 && out->count > what->series_max)
        return error_set(err, ERROR_LIMIT, "the query selects more than %zu series",
                         what->series_max);
    return ok;
}

/* --- names and values ----------------------------------------------------------------------------- */

static int text_order(const void *a, const void *b)
{
    return view_cmp(*(const struct view *)a, *(const struct view *)b);
}

struct texts {
    struct view *items;
    size_t count, capacity;
};

static void texts_add(struct texts *t, struct arena *arena, const struct view *items, size_t count)
{
    if (count == 0)
        return;
    t->items = arena_grow(arena, t->items, &t->capacity, t->count + count, sizeof *t->items);
    memcpy(t->items + t->count, items, count * sizeof *items);
    t->count += count;
}

/* Sorted, each once, at most `limit` (0 = all). The first `limit` of each source hold the first of all. */
static void texts_finish(struct texts *t, size_t limit, struct view **out, size_t *count)
{
    size_t kept = 0;
    if (t->count > 1)
        qsort(t->items, t->count, sizeof *t->items, text_order);
    for (size_t i = 0; i < t->count && (limit == 0 || kept < limit); i++)
        if (i == 0 || !view_eq(t->items[i], t->items[kept - 1]))
            t->items[kept++] = t->items[i];
    *out = t->items;
    *count = kept;
}

/* The texts of the head's series that have something left. */
static bool list_head_left(struct db_view *v, const struct view *name, const struct select *what,
                           struct arena *arena, struct texts *texts, struct error *err)
{
    struct label_store *labels = label_store_new(MEM_QUERY, 0);
    struct arena scratch;
    struct series_list list;
    arena_init(&scratch, MEM_QUERY, 0);
    bool ok = select_head(v, what, labels, &scratch, &list, err);
    bool *seen = ARENA_ARRAY(&scratch, bool, (size_t)label_store_symbol_count(labels) + 1);
    for (size_t i = 0; ok && i < list.count; i++) {
        uint32_t count;
        shape_id shape = label_store_shape(labels, list.items[i].labels);
        const symbol_id *names = label_store_shape_names(labels, shape, &count);
        const symbol_id *values = label_store_values(labels, list.items[i].labels);
        for (uint32_t k = 0; k < count; k++) {
            if (name && !view_eq(label_store_text(labels, names[k]), *name))
                continue;
            symbol_id found = name ? values[k] : names[k];
            if (seen[found.n])
                continue;
            seen[found.n] = true;
            struct view text = arena_copy(arena, label_store_text(labels, found));
            texts_add(texts, arena, &text, 1);
        }
    }
    arena_deinit(&scratch);
    label_store_free(labels);
    return ok;
}

/* `name` NULL: names, else values of it. */
static bool list_texts(struct db_view *v, const struct view *name, const struct select *what,
                       size_t limit, struct arena *arena, struct view **out, size_t *count,
                       struct error *err)
{
    struct texts texts = {0};
    struct view *items;
    size_t n;
    for (size_t i = 0; i < v->state->block_count; i++) {
        struct block *b = v->state->blocks[i];
        if (!overlaps(b, what->mint, what->maxt))
            continue;
        if (!(name ? block_label_values(b, *name, what, limit, arena, &items, &n, err)
                   : block_label_names(b, what, limit, arena, &items, &n, err)))
            return false;
        texts_add(&texts, arena, items, n);
    }
    if (v->state->head_deletions) {
        if (!list_head_left(v, name, what, arena, &texts, err))
            return false;
    } else {
        if (!(name ? head_label_values(v->head, *name, what, limit, arena, &items, &n, err)
                   : head_label_names(v->head, what, limit, arena, &items, &n, err)))
            return false;
        texts_add(&texts, arena, items, n);
    }
    texts_finish(&texts, limit, out, count);
    return true;
}

static bool db_view_label_names(struct storage_view *base, const struct select *what, size_t limit,
                                struct arena *arena, struct view **out, size_t *count,
                                struct error *err)
{
    return list_texts((struct db_view *)base, NULL, what, limit, arena, out, count, err);
}

static bool db_view_label_values(struct storage_view *base, struct view name,
                                 const struct select *what, size_t limit, struct arena *arena,
                                 struct view **out, size_t *count, struct error *err)
{
    return list_texts((struct db_view *)base, &name, what, limit, arena, out, count, err);
}

/* --- read ----------------------------------------------------------------------------------------- */

struct db_reader {
    struct storage_reader base; /* first */
    struct db_view *view;
    struct head_reader *head;
    struct block_reader **blocks; /* by place in the state; made at first use */
    struct sample_merge merge;
};

static bool read_part(struct db_reader *r, const struct part *part, int64_t mint, int64_t maxt,
                      struct samples *out, struct error *err)
{
    struct db_view *v = r->view;
    if (part->source == SOURCE_HEAD) {
        if (!r->head)
            r->head = head_reader_new(v->head);
        bool ok = head_reader_read(r->head, part->ref, mint, maxt, r->base.cancel, out, err);
        out->times_id &= ~(UINT64_C(1) << 63); /* that bit is the blocks' */
        return ok;
    }
    struct block *b = v->state->blocks[part->source];
    *out = (struct samples){0};
    if (!overlaps(b, mint, maxt))
        return true;
    if (!r->blocks[part->source])
        r->blocks[part->source] = block_reader_new(b);
    return block_reader_read(r->blocks[part->source], part->ref, mint, maxt, r->base.cancel, out,
                             err);
}

static void note_lost(struct db_reader *r, uint64_t columns, const struct error *problem,
                      bool is_news)
{
    struct db *db = r->view->db;
    if (r->base.lost_count == 0)
        r->base.lost = *problem;
    r->base.lost_count += columns;
    db_note_damage(db, columns, problem, is_news);
}

/* The head gives what it can read, and says what it left out. */
static void note_lost_of_head(struct db_reader *r)
{
    struct error problem;
    bool is_news;
    uint64_t columns = head_reader_lost(r->head, &problem, &is_news);
    if (columns > 0)
        note_lost(r, columns, &problem, is_news);
}

/* Adds to the merge what the parts have, in their order. */
static bool parts_read(struct db_reader *r, const struct joined *joined, int64_t mint, int64_t maxt,
                       struct error *err)
{
    for (uint32_t i = 0; i < joined->part_count; i++) {
        const struct part *part = &joined->parts[i];
        bool in_head = part->source == SOURCE_HEAD;
        struct samples got;
        struct error problem = {0};
        if (read_part(r, part, mint, maxt, &got, &problem)) {
            sample_merge_add(&r->merge, &got, in_head ? joined->gone : (struct intervals){NULL, 0});
        } else if (problem.kind == ERROR_CORRUPT) {
            note_lost(r, 1, &problem,
                      in_head || block_damage_is_news(r->view->state->blocks[part->source]));
        } else {
            if (err)
                *err = problem;
            return false;
        }
    }
    if (r->head)
        note_lost_of_head(r);
    return true;
}

static bool db_reader_read(struct storage_reader *base, uint64_t ref, int64_t mint, int64_t maxt,
                           struct samples *out, struct error *err)
{
    struct db_reader *r = (struct db_reader *)base;
    *out = (struct samples){0};
    sample_merge_begin(&r->merge);
    if (!parts_read(r, (const struct joined *)(uintptr_t)ref, mint, maxt, err))
        return false;
    sample_merge_finish(&r->merge, out);
    return true;
}

static void db_reader_free(struct storage_reader *base)
{
    struct db_reader *r = (struct db_reader *)base;
    head_reader_free(r->head);
    for (size_t i = 0; i < r->view->state->block_count; i++)
        block_reader_free(r->blocks[i]);
    mem_free(MEM_QUERY, r->blocks);
    sample_merge_deinit(&r->merge);
    mem_free(MEM_QUERY, r);
}

static const struct storage_reader_ops READER_OPS = {.read = db_reader_read,
                                                     .free = db_reader_free};

static struct storage_reader *db_view_reader_new(struct storage_view *base, struct error *err)
{
    struct db_view *v = (struct db_view *)base;
    struct db_reader *r = mem_alloc_zero(MEM_QUERY, 1, sizeof *r);
    r->base.ops = &READER_OPS;
    r->view = v;
    sample_merge_init(&r->merge);
    r->blocks = mem_alloc_zero(MEM_QUERY, v->state->block_count + 1, sizeof(struct block_reader *));
    return &r->base;
}

/* --- pin and release ------------------------------------------------------------------------------ */

static void db_view_release(struct storage_view *base)
{
    struct db_view *v = (struct db_view *)base;
    head_view_release(v->head);
    db_state_unref(v->db, v->state);
    mem_free(MEM_QUERY, v);
}

static const struct storage_view_ops VIEW_OPS = {.select = db_view_select,
                                                 .label_names = db_view_label_names,
                                                 .label_values = db_view_label_values,
                                                 .reader_new = db_view_reader_new,
                                                 .release = db_view_release};

struct storage_view *db_view_pin(struct storage_source *source, int64_t mint, int64_t maxt,
                                 struct error *err)
{
    struct db *db = (struct db *)source;
    struct db_view *v = mem_alloc_zero(MEM_QUERY, 1, sizeof *v);
    v->base.ops = &VIEW_OPS;
    v->db = db;
    /* The state first: while it lives the head forgets nothing above its floor. */
    v->state = db_state_pin(db);
    v->head = head_pin(db->head, v->state->floor_ms);
    return &v->base;
}
