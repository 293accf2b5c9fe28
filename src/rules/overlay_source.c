/* SPDX-License-Identifier: Apache-2.0 */
/* overlay_source.c: a selector that names its metric goes to one side; one that does not goes to both, and what history
 * has under the names of memory is left out. A series is known by its number in the list of its side: the sides' own
 * references use all their bits. */
#include "rules/overlay_source.h"

#include "base/mem.h"
#include "model/matcher.h"

#include <string.h>

struct overlay_source {
    struct storage_source source; /* first: cast back */
    struct storage_source *sides[2];
    const struct string_map *names;
};

enum { HISTORY, MEMORY };

struct overlay_ref {
    uint64_t ref;
    uint8_t side;
};

struct overlay_view {
    struct storage_view view; /* first: cast back */
    const struct overlay_source *owner;
    struct storage_view *sides[2];
    struct overlay_ref *refs;
    size_t count, capacity;
};

struct overlay_reader {
    struct storage_reader reader; /* first: cast back */
    const struct overlay_view *view;
    struct storage_reader *sides[2];
};

/* --- selecting --- */

static const struct matcher *name_equal(const struct select *what)
{
    for (size_t i = 0; i < what->matcher_count; i++)
        if (what->matchers[i].type == MATCH_EQUAL && view_is(what->matchers[i].name, LABEL_NAME))
            return &what->matchers[i];
    return NULL;
}

static bool is_of_memory(const struct overlay_view *v, struct view name)
{
    uint64_t unused;
    return string_map_get(v->owner->names, name, &unused);
}

/* Which sides may have series of this. */
static unsigned sides_of(const struct overlay_view *v, const struct select *what)
{
    const struct matcher *m = name_equal(what);
    return !m ? 1u << HISTORY | 1u << MEMORY : 1u << (is_of_memory(v, m->value) ? MEMORY : HISTORY);
}

static bool select_side(struct overlay_view *v, unsigned side, const struct select *what,
                        bool filter, struct label_store *labels, struct arena *arena,
                        struct series_list *out, size_t *capacity, struct error *err)
{
    struct series_list found;
    if (!view_select(v->sides[side], what, labels, arena, &found, err))
        return false;
    for (size_t i = 0; i < found.count; i++) {
        if (filter) {
            struct labels ls = label_store_labels(labels, found.items[i].labels, arena);
            if (is_of_memory(v, labels_get(ls, VIEW(LABEL_NAME))))
                continue;
        }
        v->refs = mem_grow(MEM_RULES, v->refs, &v->capacity, v->count + 1, sizeof *v->refs);
        out->items = arena_grow(arena, out->items, capacity, out->count + 1, sizeof *out->items);
        out->items[out->count++] = (struct series_ref){found.items[i].labels, v->count};
        v->refs[v->count++] = (struct overlay_ref){found.items[i].ref, (uint8_t)side};
    }
    return true;
}

static bool overlay_select(struct storage_view *view, const struct select *what,
                           struct label_store *labels, struct arena *arena, struct series_list *out,
                           struct error *err)
{
    struct overlay_view *v = (struct overlay_view *)view;
    unsigned sides = sides_of(v, what);
    size_t capacity = 0;
    bool both = sides == 3, ok = true;
    *out = (struct series_list){0};
    for (unsigned side = 0; side < 2 && ok; side++)
        if (sides & 1u << side)
            ok = select_side(v, side, what, both && side == HISTORY, labels, arena, out, &capacity,
                             err);
    return ok;
}

/* Names and values are asked by people, not by rules: memory is a part of what is there, and so is history. */
static bool overlay_label_names(struct storage_view *view, const struct select *what, size_t limit,
                                struct arena *arena, struct view **out, size_t *count,
                                struct error *err)
{
    struct overlay_view *v = (struct overlay_view *)view;
    return v->sides[HISTORY]->ops->label_names(v->sides[HISTORY], what, limit, arena, out, count,
                                               err);
}

static bool overlay_label_values(struct storage_view *view, struct view name,
                                 const struct select *what, size_t limit, struct arena *arena,
                                 struct view **out, size_t *count, struct error *err)
{
    struct overlay_view *v = (struct overlay_view *)view;
    return v->sides[HISTORY]->ops->label_values(v->sides[HISTORY], name, what, limit, arena, out,
                                                count, err);
}

/* --- reading --- */

static void note_lost(struct overlay_reader *r, const struct storage_reader *side)
{
    if (side->lost_count && r->reader.lost_count == 0)
        r->reader.lost = side->lost;
    r->reader.lost_count = r->sides[HISTORY]->lost_count + r->sides[MEMORY]->lost_count;
}

static bool overlay_read(struct storage_reader *reader, uint64_t ref, int64_t mint, int64_t maxt,
                         struct samples *out, struct error *err)
{
    struct overlay_reader *r = (struct overlay_reader *)reader;
    const struct overlay_ref *at = &r->view->refs[ref];
    struct storage_reader *side = r->sides[at->side];
    side->cancel = reader->cancel;
    bool ok = reader_read(side, at->ref, mint, maxt, out, err);
    note_lost(r, side);
    return ok;
}

static void overlay_reader_free(struct storage_reader *reader)
{
    struct overlay_reader *r = (struct overlay_reader *)reader;
    for (int i = 0; i < 2; i++)
        storage_reader_free(r->sides[i]);
    mem_free(MEM_RULES, r);
}

static struct storage_reader *overlay_reader_new(struct storage_view *view, struct error *err)
{
    static const struct storage_reader_ops OPS = {overlay_read, overlay_reader_free};
    struct overlay_reader *r = mem_alloc_zero(MEM_RULES, 1, sizeof *r);
    r->reader.ops = &OPS;
    r->view = (struct overlay_view *)view;
    for (int i = 0; i < 2; i++) {
        r->sides[i] = view_reader_new(r->view->sides[i], NULL, err);
        if (!r->sides[i]) {
            overlay_reader_free(&r->reader);
            return NULL;
        }
    }
    return &r->reader;
}

/* --- life --- */

static void overlay_release(struct storage_view *view)
{
    struct overlay_view *v = (struct overlay_view *)view;
    for (int i = 0; i < 2; i++)
        view_release(v->sides[i]);
    mem_free(MEM_RULES, v->refs);
    mem_free(MEM_RULES, v);
}

static struct storage_view *overlay_pin(struct storage_source *s, int64_t mint, int64_t maxt,
                                        struct error *err)
{
    static const struct storage_view_ops OPS = {overlay_select, overlay_label_names,
                                                overlay_label_values, overlay_reader_new,
                                                overlay_release};
    struct overlay_source *o = (struct overlay_source *)s;
    struct overlay_view *v = mem_alloc_zero(MEM_RULES, 1, sizeof *v);
    v->view.ops = &OPS;
    v->owner = o;
    for (int i = 0; i < 2; i++) {
        v->sides[i] = source_pin(o->sides[i], mint, maxt, err);
        if (!v->sides[i]) {
            overlay_release(&v->view);
            return NULL;
        }
    }
    return &v->view;
}

struct overlay_source *overlay_source_new(struct storage_source *history,
                                          struct storage_source *memory,
                                          const struct string_map *names)
{
    struct overlay_source *o = mem_alloc_zero(MEM_RULES, 1, sizeof *o);
    o->source.pin = overlay_pin;
    o->sides[HISTORY] = history;
    o->sides[MEMORY] = memory;
    o->names = names;
    return o;
}

void overlay_source_free(struct overlay_source *o)
{
    mem_free(MEM_RULES, o);
}

struct storage_source *overlay_source_as_source(struct overlay_source *o)
{
    return &o->source;
}
