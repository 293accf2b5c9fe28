/* SPDX-License-Identifier: Apache-2.0 */
/* block_walk.c: see block_walk.h. Neighbours have most of their labels in common: a text is looked up only
 * when its symbol is another than in the series before. */
#include "storage/block_walk.h"

#include "base/assert.h"
#include "base/mem.h"
#include "storage/block_private.h"

#include <inttypes.h>

#define TEXT_BYTES_MAX ((size_t)INDEX_SYMBOL_BYTES_MAX)

struct place { /* a label of the present series */
    uint32_t name_symbol, value_symbol;
    struct buffer name, value;
};

struct block_walk {
    struct block *block;
    struct block_reader *reader;
    struct index_cursor cursor;
    struct index_series series;
    uint32_t next; /* number */
    uint32_t shape;
    uint32_t names[INDEX_LABELS_MAX], name_count;
    struct place *places;
    size_t place_count, place_capacity;
    struct label *items;
    size_t item_capacity;
};

struct block_walk *block_walk_new(struct block *b)
{
    struct block_walk *w = mem_alloc_zero(MEM_BLOCK, 1, sizeof *w);
    w->block = block_ref(b);
    w->reader = block_reader_new(b);
    w->shape = INDEX_NONE;
    index_cursor_init(&w->cursor, &b->index);
    return w;
}

void block_walk_free(struct block_walk *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->place_count; i++) {
        buffer_deinit(&w->places[i].name);
        buffer_deinit(&w->places[i].value);
    }
    mem_free(MEM_BLOCK, w->places);
    mem_free(MEM_BLOCK, w->items);
    index_cursor_deinit(&w->cursor);
    block_reader_free(w->reader);
    block_unref(w->block);
    mem_free(MEM_BLOCK, w);
}

static bool text_load(struct block_walk *w, uint32_t symbol, uint32_t *loaded, struct buffer *text)
{
    struct view v;
    if (*loaded == symbol)
        return true;
    *loaded = INDEX_NONE;
    if (!index_symbol(&w->cursor, symbol, &v))
        return false;
    buffer_reset(text);
    buffer_append_view(text, v);
    *loaded = symbol;
    return !text->failed;
}

static bool labels_load(struct block_walk *w)
{
    if (w->shape != w->series.shape) {
        w->shape = INDEX_NONE;
        if (!index_shape(&w->block->index, w->series.shape, w->names, &w->name_count))
            return false;
        w->shape = w->series.shape;
    }
    w->places = mem_grow(MEM_BLOCK, w->places, &w->place_capacity, w->name_count + (size_t)1,
                         sizeof *w->places);
    w->items = mem_grow(MEM_BLOCK, w->items, &w->item_capacity, w->name_count + (size_t)1,
                        sizeof *w->items);
    for (; w->place_count < w->name_count; w->place_count++) {
        struct place *p = &w->places[w->place_count];
        *p = (struct place){.name_symbol = INDEX_NONE, .value_symbol = INDEX_NONE};
        buffer_init(&p->name, MEM_BLOCK, TEXT_BYTES_MAX);
        buffer_init(&p->value, MEM_BLOCK, TEXT_BYTES_MAX);
    }
    if (w->series.label_count != w->name_count)
        return false;
    for (uint32_t i = 0; i < w->name_count; i++) {
        struct place *p = &w->places[i];
        if (!text_load(w, w->names[i], &p->name_symbol, &p->name) ||
            !text_load(w, w->series.values[i], &p->value_symbol, &p->value))
            return false;
        w->items[i] = (struct label){buffer_view(&p->name), buffer_view(&p->value)};
    }
    return true;
}

bool block_walk_next(struct block_walk *w, bool *failed, struct error *err)
{
    *failed = false;
    if (w->next >= w->block->index.series_count)
        return false;
    if (!index_series_at(&w->block->index, w->next, &w->series) || !labels_load(w)) {
        *failed = true;
        return error_set(err, ERROR_CORRUPT, "block %s: index: series %" PRIu32 " is damaged",
                         w->block->meta.ulid, w->next);
    }
    w->next++;
    return true;
}

uint32_t block_walk_number(const struct block_walk *w)
{
    ASSERT(w->next > 0);
    return w->next - 1;
}

struct labels block_walk_labels(const struct block_walk *w)
{
    return (struct labels){w->items, w->name_count};
}

bool block_walk_read(struct block_walk *w, struct samples *out, struct error *err)
{
    return block_reader_read(w->reader, block_walk_number(w), INT64_MIN, INT64_MAX, NULL, out, err);
}
