/* SPDX-License-Identifier: Apache-2.0 */
/* index_write.c: writing the file `index` of a block, section after section (layout: index.c).
 *
 * Memory: 4 bytes per symbol and per series, and 12 per series of the label in work; postings are made
 * one label name at a time by counting, so that no table of all pairs is needed. */
#include "base/assert.h"
#include "base/mem.h"
#include "storage/block_out.h"
#include "storage/codec.h"
#include "storage/index_private.h"

#include <inttypes.h>
#include <stdlib.h>

struct index_writer {
    const struct index_content *content;
    struct block_out out;
    struct {
        uint64_t offset, bytes;
    } sections[INDEX_SECTION_COUNT];
    uint32_t symbol_count; /* of the file: all of the store's but "" */
    uint32_t *symbols;     /* by place in the file: the store's id */
    uint32_t *ranks;       /* by the store's id: the place in the file */
    uint32_t name_count, value_count;
    struct buffer offsets;       /* the table that follows its section */
    struct buffer names, values; /* rows of NAMES and VALUES */

    /* Of the label name in work. */
    uint32_t *series_values; /* by series: rank of its value, INDEX_NONE = has no such label */
    uint32_t *counts;        /* by rank of value: series that have it, then the end of its list */
    uint32_t *distinct;      /* ranks of values, ascending */
    uint32_t *lists;         /* series, value after value */
    int32_t *places;         /* by shape: place of the name, -1 = none */
    int64_t *wide;           /* one list for the codec */
};

static void section_begin(struct index_writer *w, enum index_section section)
{
    w->sections[section].offset = block_out_bytes(&w->out);
}

static void section_end(struct index_writer *w, enum index_section section)
{
    w->sections[section].bytes = block_out_bytes(&w->out) - w->sections[section].offset;
    if (w->sections[section].bytes > UINT32_MAX && !w->out.failed) {
        w->out.failed = true;
        error_set(&w->out.error, ERROR_LIMIT,
                  "section %d of the index needs %" PRIu64 " bytes, 4 GiB at most", (int)section,
                  w->sections[section].bytes);
    }
    block_out_settle(&w->out);
}

static void section_copy(struct index_writer *w, enum index_section section, struct buffer *from)
{
    section_begin(w, section);
    w->out.failed |= from->failed;
    buffer_append_view(block_out_buffer(&w->out), buffer_view(from));
    section_end(w, section);
    buffer_reset(from);
}

/* Notes where the next row of a section begins. */
static void offset_note(struct index_writer *w, enum index_section section)
{
    buffer_append_u32(&w->offsets,
                      (uint32_t)(block_out_bytes(&w->out) - w->sections[section].offset));
}

/* --- symbols and shapes --------------------------------------------------------------------------- */

static int symbol_order(const void *a, const void *b, void *store)
{
    struct view x = label_store_text(store, (symbol_id){*(const uint32_t *)a});
    struct view y = label_store_text(store, (symbol_id){*(const uint32_t *)b});
    return view_cmp(x, y);
}

static void symbols_sort(struct index_writer *w)
{
    uint32_t count = label_store_symbol_count(w->content->store);
    w->symbols = mem_alloc(MEM_BLOCK, ((size_t)count + 1) * sizeof *w->symbols);
    w->ranks = mem_alloc(MEM_BLOCK, ((size_t)count + 1) * sizeof *w->ranks);
    w->symbol_count = count - 1;
    for (uint32_t i = 1; i < count; i++)
        w->symbols[i - 1] = i;
    qsort_r(w->symbols, w->symbol_count, sizeof *w->symbols, symbol_order,
            (void *)w->content->store);
    for (uint32_t i = 0; i < w->symbol_count; i++)
        w->ranks[w->symbols[i]] = i;
}

static void symbols_write(struct index_writer *w)
{
    struct buffer *out = block_out_buffer(&w->out);
    struct view before = {NULL, 0};
    section_begin(w, INDEX_SYMBOLS);
    for (uint32_t i = 0; i < w->symbol_count; i++) {
        struct view text = label_store_text(w->content->store, (symbol_id){w->symbols[i]});
        size_t shared = 0;
        if (i % INDEX_SYMBOL_GROUP == 0)
            offset_note(w, INDEX_SYMBOLS);
        else
            while (shared < before.len && shared < text.len &&
                   before.ptr[shared] == text.ptr[shared])
                shared++;
        buffer_append_varint(out, shared);
        buffer_append_string(out, view_slice(text, shared, text.len));
        block_out_settle(&w->out);
        before = text;
    }
    section_end(w, INDEX_SYMBOLS);
    section_copy(w, INDEX_SYMBOL_OFFSETS, &w->offsets);
}

static void shapes_write(struct index_writer *w)
{
    const struct label_store *store = w->content->store;
    struct buffer *out = block_out_buffer(&w->out);
    section_begin(w, INDEX_SHAPES);
    for (uint32_t i = 0; i < label_store_shape_count(store); i++) {
        uint32_t count;
        const symbol_id *names = label_store_shape_names(store, (shape_id){i}, &count);
        offset_note(w, INDEX_SHAPES);
        buffer_append_varint(out, count);
        for (uint32_t k = 0; k < count; k++)
            buffer_append_varint(out, w->ranks[names[k].n]);
        block_out_settle(&w->out);
    }
    section_end(w, INDEX_SHAPES);
    section_copy(w, INDEX_SHAPE_OFFSETS, &w->offsets);
}

static void times_write(struct index_writer *w)
{
    struct buffer *out = block_out_buffer(&w->out);
    section_begin(w, INDEX_TIMES);
    for (uint32_t i = 0; i < w->content->times_count; i++) {
        const struct index_times *t = &w->content->times[i];
        buffer_append_u64(out, t->offset);
        buffer_append_u32(out, t->bytes);
        buffer_append_u32(out, t->count);
        buffer_append_u64(out, (uint64_t)t->mint);
        buffer_append_u64(out, (uint64_t)t->maxt);
        block_out_settle(&w->out);
    }
    section_end(w, INDEX_TIMES);
}

/* --- labels --------------------------------------------------------------------------------------- */

static int rank_order(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Fills series_values, counts and distinct for one name; returns how many values it has. */
static uint32_t values_count(struct index_writer *w, symbol_id name)
{
    const struct label_store *store = w->content->store;
    for (uint32_t i = 0; i < label_store_shape_count(store); i++)
        w->places[i] = label_store_shape_find(store, (shape_id){i}, name);
    uint32_t distinct = 0;
    for (uint32_t i = 0; i < w->content->series_count; i++) {
        labels_id labels = w->content->series[i].labels;
        int32_t place = w->places[label_store_shape(store, labels).n];
        w->series_values[i] = INDEX_NONE;
        if (place < 0)
            continue;
        uint32_t rank = w->ranks[label_store_values(store, labels)[place].n];
        w->series_values[i] = rank;
        if (w->counts[rank]++ == 0)
            w->distinct[distinct++] = rank;
    }
    qsort(w->distinct, distinct, sizeof *w->distinct, rank_order);
    return distinct;
}

static void postings_append(struct index_writer *w, const uint32_t *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        w->wide[i] = list[i];
    codec_integers_encode(block_out_buffer(&w->out), w->wide, count);
    block_out_settle(&w->out);
}

static void name_write(struct index_writer *w, uint32_t name_rank)
{
    uint32_t distinct = values_count(w, (symbol_id){w->symbols[name_rank]}), end = 0;
    if (distinct == 0)
        return;
    for (uint32_t i = 0; i < distinct; i++) { /* counts become starts, then ends */
        uint32_t count = w->counts[w->distinct[i]];
        w->counts[w->distinct[i]] = end;
        end += count;
    }
    for (uint32_t i = 0; i < w->content->series_count; i++)
        if (w->series_values[i] != INDEX_NONE)
            w->lists[w->counts[w->series_values[i]]++] = i;
    buffer_append_u32(&w->names, name_rank);
    buffer_append_u32(&w->names, w->value_count);
    buffer_append_u32(&w->names, distinct);
    uint32_t start = 0;
    for (uint32_t i = 0; i < distinct; i++) {
        uint32_t rank = w->distinct[i], count = w->counts[rank] - start;
        buffer_append_u32(&w->values, rank);
        buffer_append_u32(
            &w->values, (uint32_t)(block_out_bytes(&w->out) - w->sections[INDEX_POSTINGS].offset));
        buffer_append_u32(&w->values, count);
        postings_append(w, w->lists + start, count);
        start += count;
        w->counts[rank] = 0;
    }
    w->name_count++;
    w->value_count += distinct;
}

static void labels_write(struct index_writer *w)
{
    const struct label_store *store = w->content->store;
    size_t series_count = w->content->series_count, shape_count = label_store_shape_count(store);
    w->series_values = mem_alloc(MEM_BLOCK, (series_count + 1) * sizeof *w->series_values);
    w->lists = mem_alloc(MEM_BLOCK, (series_count + 1) * sizeof *w->lists);
    w->wide = mem_alloc(MEM_BLOCK, (series_count + 1) * sizeof *w->wide);
    w->distinct = mem_alloc(MEM_BLOCK, (series_count + 1) * sizeof *w->distinct);
    w->counts = mem_alloc_zero(MEM_BLOCK, (size_t)w->symbol_count + 1, sizeof *w->counts);
    w->places = mem_alloc(MEM_BLOCK, (shape_count + 1) * sizeof *w->places);
    uint8_t *is_name = mem_alloc_zero(MEM_BLOCK, (size_t)w->symbol_count + 1, 1);
    for (uint32_t i = 0; i < shape_count; i++) {
        uint32_t count;
        const symbol_id *names = label_store_shape_names(store, (shape_id){i}, &count);
        for (uint32_t k = 0; k < count; k++)
            is_name[w->ranks[names[k].n]] = 1;
    }
    section_begin(w, INDEX_POSTINGS);
    for (uint32_t rank = 0; rank < w->symbol_count; rank++)
        if (is_name[rank])
            name_write(w, rank);
    section_end(w, INDEX_POSTINGS);
    mem_free(MEM_BLOCK, is_name);
    section_copy(w, INDEX_NAMES, &w->names);
    section_copy(w, INDEX_VALUES, &w->values);
}

/* --- series and footer ---------------------------------------------------------------------------- */

static void series_write(struct index_writer *w)
{
    const struct label_store *store = w->content->store;
    struct buffer *out = block_out_buffer(&w->out);
    section_begin(w, INDEX_SERIES);
    for (uint32_t i = 0; i < w->content->series_count; i++) {
        const struct index_write_series *s = &w->content->series[i];
        shape_id shape = label_store_shape(store, s->labels);
        const symbol_id *values = label_store_values(store, s->labels);
        uint32_t count;
        (void)label_store_shape_names(store, shape, &count);
        offset_note(w, INDEX_SERIES);
        buffer_append_u64(out, label_store_hash(store, s->labels));
        buffer_append_varint(out, shape.n);
        for (uint32_t k = 0; k < count; k++)
            buffer_append_varint(out, w->ranks[values[k].n]);
        buffer_append_u8(out, 1);
        buffer_append_u8(out, 0);
        buffer_append_u8(out, s->flags);
        buffer_append_varint(out, s->offset);
        buffer_append_varint(out, s->bytes);
        buffer_append_varint(out, s->times);
        block_out_settle(&w->out);
    }
    section_end(w, INDEX_SERIES);
    section_copy(w, INDEX_SERIES_OFFSETS, &w->offsets);
}

static bool footer_write(struct index_writer *w, uint64_t *bytes, struct error *err)
{
    const struct index_content *c = w->content;
    struct buffer *out = block_out_buffer(&w->out);
    uint64_t start = block_out_bytes(&w->out);
    for (int i = 0; i < INDEX_SECTION_COUNT; i++) {
        buffer_append_u64(out, w->sections[i].offset);
        buffer_append_u64(out, w->sections[i].bytes);
    }
    buffer_append_u32(out, w->symbol_count);
    buffer_append_u32(out, label_store_shape_count(c->store));
    buffer_append_u32(out, w->name_count);
    buffer_append_u32(out, w->value_count);
    buffer_append_u32(out, c->series_count);
    buffer_append_u32(out, c->times_count);
    buffer_append_u64(out, (uint64_t)c->mint);
    buffer_append_u64(out, (uint64_t)c->maxt);
    buffer_append_u64(out, c->sample_count);
    buffer_append_u64(out, c->columns_bytes);
    buffer_append(out, c->ulid, ULID_BYTES - 1);
    buffer_append_u32(out, INDEX_END_MAGIC);
    if (!block_out_flush(&w->out, err))
        return false;
    buffer_append_u32(out, w->out.crc);
    *bytes = block_out_bytes(&w->out);
    ASSERT(*bytes - start == INDEX_FOOTER_BYTES);
    return block_out_flush(&w->out, err);
}

bool index_write(struct file *f, const struct index_content *content, uint64_t *bytes,
                 struct error *err)
{
    struct index_writer w = {.content = content};
    block_out_init(&w.out, f);
    buffer_init(&w.offsets, MEM_BLOCK, (size_t)UINT32_MAX);
    buffer_init(&w.names, MEM_BLOCK, (size_t)UINT32_MAX);
    buffer_init(&w.values, MEM_BLOCK, (size_t)UINT32_MAX);
    buffer_append_literal(block_out_buffer(&w.out), INDEX_MAGIC);
    symbols_sort(&w);
    symbols_write(&w);
    shapes_write(&w);
    times_write(&w);
    labels_write(&w);
    series_write(&w);
    bool ok = footer_write(&w, bytes, err);
    buffer_deinit(&w.offsets);
    buffer_deinit(&w.names);
    buffer_deinit(&w.values);
    block_out_deinit(&w.out);
    uint32_t *arrays[] = {w.symbols, w.ranks, w.series_values, w.counts, w.distinct, w.lists};
    for (size_t i = 0; i < ARRAY_COUNT(arrays); i++)
        mem_free(MEM_BLOCK, arrays[i]);
    mem_free(MEM_BLOCK, w.places);
    mem_free(MEM_BLOCK, w.wide);
    return ok;
}
