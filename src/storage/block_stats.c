/* SPDX-License-Identifier: Apache-2.0 */
/* block_stats.c: counts come with the postings; churn takes one walk over the series, adding up by number of the
 * value (pairs) and of the name. */
#include "storage/block_stats.h"

#include "base/mem.h"
#include "model/labels.h"
#include "storage/block_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct pair { /* an entry of the table of values */
    uint32_t name, symbol, series;
    double churn;
};
struct name {
    uint32_t symbol, first, count;
    uint64_t value_bytes;
    double churn;
};
struct gathering {
    struct block *block;
    struct index_cursor cursor;
    struct arena *arena;
    struct name *names;
    struct pair *pairs; /* names' values, one name behind the other */
    uint32_t name_count;
};

static bool damaged(const struct gathering *g, struct error *err)
{
    return error_set(err, ERROR_CORRUPT, "block %s: its index does not hold together",
                     g->block->meta.ulid);
}

static bool names_gather(struct gathering *g, struct block_stats *out, struct error *err)
{
    const struct index *x = &g->block->index;
    uint32_t at = 0;
    for (uint32_t i = 0; i < x->name_count; i++) {
        const struct index_name n = index_name_at(x, i);
        struct name *name = &g->names[i];
        *name = (struct name){.symbol = n.symbol, .first = at, .count = n.value_count};
        if (n.value_count > x->value_count - at)
            return damaged(g, err);
        for (uint32_t k = 0; k < n.value_count; k++, at++) {
            const struct index_value v = index_value_at(x, &n, k);
            struct view text;
            if (!index_symbol(&g->cursor, v.symbol, &text))
                return damaged(g, err);
            g->pairs[at] = (struct pair){.name = i, .symbol = v.symbol, .series = v.series_count};
            name->value_bytes += text.len;
            out->postings += v.series_count;
        }
    }
    out->label_pairs = at;
    out->label_names = g->name_count = x->name_count;
    return true;
}

static struct pair *pair_find(const struct gathering *g, const struct name *n, uint32_t symbol)
{
    uint32_t low = n->first, high = n->first + n->count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (g->pairs[mid].symbol < symbol)
            low = mid + 1;
        else
            high = mid;
    }
    return low < n->first + n->count && g->pairs[low].symbol == symbol ? &g->pairs[low] : NULL;
}

static struct name *name_find(const struct gathering *g, uint32_t symbol)
{
    for (uint32_t low = 0, high = g->name_count; low < high;) {
        uint32_t mid = low + (high - low) / 2;
        if (g->names[mid].symbol == symbol)
            return &g->names[mid];
        if (g->names[mid].symbol < symbol)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static bool churn_gather(struct gathering *g, struct error *err)
{
    const struct index *x = &g->block->index;
    struct index_series *series = arena_alloc(g->arena, sizeof *series);
    uint32_t *shape = ARENA_ARRAY(g->arena, uint32_t, INDEX_LABELS_MAX);
    double range = (double)(x->maxt - x->mint);
    for (uint32_t i = 0; i < x->series_count; i++) {
        struct index_times times;
        uint32_t count;
        if (!index_series_at(x, i, series) || !index_times_at(x, series->times, &times) ||
            !index_shape(x, series->shape, shape, &count) || count != series->label_count)
            return damaged(g, err);
        double uncovered = 1 - (double)(times.maxt - times.mint) / range;
        for (uint32_t k = 0; k < count; k++) {
            struct name *name = name_find(g, shape[k]);
            struct pair *pair = name ? pair_find(g, name, series->values[k]) : NULL;
            if (!pair)
                return damaged(g, err);
            pair->churn += uncovered;
            name->churn += uncovered;
        }
    }
    return true;
}

/* --- lists ------------------------------------------------------------------------------------------ */

struct ranked {
    uint64_t value;
    uint32_t item;
};

static int ranked_order(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->value != y->value)
        return x->value > y->value ? -1 : 1;
    return x->item < y->item ? -1 : x->item > y->item;
}

enum list_text { TEXT_NAME, TEXT_VALUE, TEXT_PAIR };

static bool text_get(struct gathering *g, enum list_text kind, uint32_t item, struct view *out)
{
    struct view name, value;
    uint32_t name_idx = kind == TEXT_NAME ? item : g->pairs[item].name;
    if (!index_symbol(&g->cursor, g->names[name_idx].symbol, &name))
        return false;
    name = arena_copy(g->arena, name); /* the cursor's text lives until its next call */
    *out = name;
    if (kind == TEXT_NAME)
        return true;
    if (!index_symbol(&g->cursor, g->pairs[item].symbol, &value))
        return false;
    *out = kind == TEXT_VALUE
               ? arena_copy(g->arena, value)
               : arena_printf(g->arena, "%.*s=%.*s", VIEW_ARGS(name), VIEW_ARGS(value));
    return true;
}

/* The greatest of ranked[0..count), which is sorted here. */
static bool list_make(struct gathering *g, struct ranked *ranked, size_t count, size_t limit,
                      enum list_text kind, struct block_stats_list *out, struct error *err)
{
    if (count)
        qsort(ranked, count, sizeof *ranked, ranked_order);
    out->count = count < limit ? count : limit;
    out->items = ARENA_ARRAY(g->arena, struct block_stats_item, out->count + 1);
    for (size_t i = 0; i < out->count; i++) {
        out->items[i].value = ranked[i].value;
        if (!text_get(g, kind, ranked[i].item, &out->items[i].text))
            return damaged(g, err);
    }
    return true;
}

static bool pair_lists(struct gathering *g, size_t limit, struct block_stats *out,
                       struct error *err)
{
    size_t count = (size_t)out->label_pairs, metrics = 0;
    struct ranked *ranked = mem_alloc(MEM_BLOCK, (count + 1) * sizeof *ranked);
    struct name *metric = name_find(g, index_symbol_find(&g->cursor, VIEW(LABEL_NAME)));
    for (uint32_t i = 0; i < count; i++)
        ranked[i] = (struct ranked){(uint64_t)llround(g->pairs[i].churn), i};
    bool ok = list_make(g, ranked, count, limit, TEXT_PAIR, &out->churn_by_pair, err);
    for (uint32_t i = 0; i < count; i++)
        ranked[i] = (struct ranked){g->pairs[i].series, i};
    ok = ok && list_make(g, ranked, count, limit, TEXT_PAIR, &out->series_by_pair, err);
    for (uint32_t i = 0; metric && i < metric->count; i++)
        ranked[metrics++] = (struct ranked){g->pairs[metric->first + i].series, metric->first + i};
    ok = ok && list_make(g, ranked, metrics, limit, TEXT_VALUE, &out->series_by_metric, err);
    mem_free(MEM_BLOCK, ranked);
    return ok;
}

static bool name_lists(struct gathering *g, size_t limit, struct block_stats *out,
                       struct error *err)
{
    struct ranked *ranked = mem_alloc(MEM_BLOCK, (g->name_count + 1) * sizeof *ranked);
    for (uint32_t i = 0; i < g->name_count; i++)
        ranked[i] = (struct ranked){(uint64_t)llround(g->names[i].churn), i};
    bool ok = list_make(g, ranked, g->name_count, limit, TEXT_NAME, &out->churn_by_name, err);
    for (uint32_t i = 0; i < g->name_count; i++)
        ranked[i] = (struct ranked){g->names[i].value_bytes, i};
    ok =
        ok && list_make(g, ranked, g->name_count, limit, TEXT_NAME, &out->value_bytes_by_name, err);
    for (uint32_t i = 0; i < g->name_count; i++)
        ranked[i] = (struct ranked){g->names[i].count, i};
    ok = ok && list_make(g, ranked, g->name_count, limit, TEXT_NAME, &out->values_by_name, err);
    mem_free(MEM_BLOCK, ranked);
    return ok;
}

bool block_stats_get(struct block *b, size_t limit, struct arena *arena, struct block_stats *out,
                     struct error *err)
{
    struct gathering g = {.block = b, .arena = arena};
    *out = (struct block_stats){.series = b->index.series_count};
    g.names = mem_alloc_zero(MEM_BLOCK, (size_t)b->index.name_count + 1, sizeof *g.names);
    g.pairs = mem_alloc_zero(MEM_BLOCK, (size_t)b->index.value_count + 1, sizeof *g.pairs);
    index_cursor_init(&g.cursor, &b->index);
    bool ok = names_gather(&g, out, err) && churn_gather(&g, err) &&
              pair_lists(&g, limit, out, err) && name_lists(&g, limit, out, err);
    index_cursor_deinit(&g.cursor);
    mem_free(MEM_BLOCK, g.names);
    mem_free(MEM_BLOCK, g.pairs);
    return ok;
}
