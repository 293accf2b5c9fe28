/* SPDX-License-Identifier: Apache-2.0 */
/* label_ops.c: label sets kept, dropped, indexed. */
#include "promql/label_ops.h"

#include "base/assert.h"

struct label_filter_shape {
    bool known, same; /* same: nothing goes */
    shape_id to;
    uint32_t count;
    uint32_t *places; /* in the old shape */
};

void label_filter_init(struct label_filter *f, struct eval *e, const struct view *names,
                       uint32_t count, bool keep, bool name_too)
{
    *f = (struct label_filter){.store = e->labels, .arena = e->arena, .keep = keep};
    f->names = ARENA_ARRAY(e->arena, symbol_id, (size_t)count + 1);
    for (uint32_t i = 0; i < count; i++) {
        symbol_id s = label_store_find_symbol(e->labels, names[i]);
        if (s.n != LABEL_STORE_NONE)
            f->names[f->count++] = s;
    }
    if (name_too)
        f->names[f->count++] = e->name_symbol;
}

static bool filter_has(const struct label_filter *f, symbol_id name)
{
    for (uint32_t i = 0; i < f->count; i++)
        if (f->names[i].n == name.n)
            return true;
    return false;
}

static void filter_learn(struct label_filter *f, struct label_filter_shape *s, shape_id shape)
{
    uint32_t count = 0;
    const symbol_id *names = label_store_shape_names(f->store, shape, &count);
    symbol_id *kept = ARENA_ARRAY(f->arena, symbol_id, (size_t)count + 1);
    s->places = ARENA_ARRAY(f->arena, uint32_t, (size_t)count + 1);
    for (uint32_t i = 0; i < count; i++) {
        if (filter_has(f, names[i]) != f->keep)
            continue;
        kept[s->count] = names[i];
        s->places[s->count++] = i;
    }
    s->same = s->count == count;
    s->to = s->same ? shape : label_store_add_shape(f->store, kept, s->count);
    s->known = true;
}

labels_id label_filter_apply(struct label_filter *f, labels_id id)
{
    shape_id shape = label_store_shape(f->store, id);
    if (shape.n >= f->shapes_capacity) {
        size_t old = f->shapes_capacity;
        f->shapes = arena_grow(f->arena, f->shapes, &f->shapes_capacity, (size_t)shape.n + 1,
                               sizeof *f->shapes);
        memset(f->shapes + old, 0, (f->shapes_capacity - old) * sizeof *f->shapes);
    }
    struct label_filter_shape *s = &f->shapes[shape.n];
    if (!s->known)
        filter_learn(f, s, shape);
    if (s->same)
        return id;
    const symbol_id *values = label_store_values(f->store, id);
    symbol_id few[32];
    symbol_id *kept =
        s->count <= ARRAY_COUNT(few) ? few : ARENA_ARRAY(f->arena, symbol_id, s->count);
    for (uint32_t i = 0; i < s->count; i++)
        kept[i] = values[s->places[i]];
    return label_store_add_values(f->store, s->to, kept);
}

/* --- index --- */

static uint64_t id_hash(labels_id id)
{
    uint64_t h = (id.n + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 32;
}

void label_index_init(struct label_index *x, struct arena *arena)
{
    *x = (struct label_index){.arena = arena};
    map_init(&x->map, MEM_QUERY);
}

void label_index_deinit(struct label_index *x)
{
    map_deinit(&x->map);
}

static bool id_equal(const void *context, uint32_t item, const void *key)
{
    const struct label_index *x = context;
    return x->ids[item].n == ((const labels_id *)key)->n;
}

uint32_t label_index_find(const struct label_index *x, labels_id id)
{
    return map_find(&x->map, id_hash(id), id_equal, x, &id);
}

uint32_t label_index_add(struct label_index *x, labels_id id)
{
    uint32_t found = label_index_find(x, id);
    if (found != MAP_NONE)
        return found;
    x->ids = arena_grow(x->arena, x->ids, &x->capacity, (size_t)x->count + 1, sizeof *x->ids);
    x->ids[x->count] = id;
    map_add(&x->map, id_hash(id), x->count);
    return x->count++;
}

/* --- whole lists --- */

labels_id *labels_drop_name(struct eval *e, const labels_id *ids, uint32_t count)
{
    struct label_filter f;
    label_filter_init(&f, e, NULL, 0, false, true);
    labels_id *out = ARENA_ARRAY(e->arena, labels_id, (size_t)count + 1);
    for (uint32_t i = 0; i < count; i++)
        out[i] = label_filter_apply(&f, ids[i]);
    return out;
}

bool labels_are_distinct(const labels_id *ids, uint32_t count)
{
    struct arena arena;
    struct label_index x;
    arena_init(&arena, MEM_QUERY, 0);
    label_index_init(&x, &arena);
    for (uint32_t i = 0; i < count; i++)
        (void)label_index_add(&x, ids[i]);
    bool distinct = x.count == count;
    label_index_deinit(&x);
    arena_deinit(&arena);
    return distinct;
}

enum { LABELS_TEXT_BYTES_MAX = 64 * 1024 };

static void append_quoted(struct buffer *b, struct view text)
{
    buffer_append_byte(b, '"');
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '"' || c == '\\') {
            buffer_append_byte(b, '\\');
            buffer_append_byte(b, c);
        } else if (c == '\n') {
            buffer_append_literal(b, "\\n");
        } else {
            buffer_append_byte(b, c);
        }
    }
    buffer_append_byte(b, '"');
}

struct view labels_text(struct eval *e, labels_id id)
{
    struct labels ls = label_store_labels(e->labels, id, e->arena);
    struct buffer b;
    buffer_init(&b, MEM_QUERY, LABELS_TEXT_BYTES_MAX);
    buffer_append_byte(&b, '{');
    for (uint32_t i = 0; i < ls.count; i++) {
        if (i)
            buffer_append_literal(&b, ", ");
        if (label_name_is_legacy(ls.items[i].name))
            buffer_append_view(&b, ls.items[i].name);
        else
            append_quoted(&b, ls.items[i].name);
        buffer_append_byte(&b, '=');
        append_quoted(&b, ls.items[i].value);
    }
    buffer_append_byte(&b, '}');
    struct view text = arena_copy(e->arena, buffer_view(&b));
    buffer_deinit(&b);
    return text;
}
