/* SPDX-License-Identifier: Apache-2.0 */
/* head_catalog.c: what is numbered by label sets, and how it gets rid of the dead.
 *
 * Label store and tables only grow, so that readers need no lock; dead series would stay in them for the
 * life of the process. So when a cut leaves more dead label sets than living ones, the keeper makes a new
 * catalog of the living: most of it beside the writers, the rest and the exchange under `creation`.
 *
 * 1. Only the keeper lets series die, and this is the keeper: who lives when the copy begins lives when it
 *    ends. Series that came meanwhile have higher numbers, and are copied under the lock.
 * 2. Series keep their numbers. Symbols, shapes and label sets get new ones, so the series log begins anew
 *    with a RESET, and no labels_id may be kept across two times of holding `creation`.
 * 3. Views that began before go on in the old catalog, where places (group, slot) of series stand still: a
 *    series that moves later is read from where it was, which has all that the view may see of it.
 * 4. Pages without a living series are not copied; their numbers are never given out again. */
#include "storage/head_private.h"

#include "base/assert.h"

/* Less is not worth the work. Chosen, not measured: 4096 label sets are about half a MB. */
enum { DEAD_MIN = 4096 };

struct catalog *catalog_new(void)
{
    struct catalog *c = mem_alloc_zero(MEM_HEAD, 1, sizeof *c);
    c->labels = label_store_new(MEM_LABELS, 0);
    postings_init(&c->postings);
    c->series_pages = mem_alloc_zero(MEM_HEAD, SERIES_PAGES_MAX, sizeof *c->series_pages);
    return c;
}

void catalog_free(struct catalog *c)
{
    for (size_t i = 0; i < SERIES_PAGES_MAX; i++)
        mem_free(MEM_HEAD, atomic_load(&c->series_pages[i]));
    mem_free(MEM_HEAD, (void *)c->series_pages);
    postings_deinit(&c->postings);
    label_store_free(c->labels);
    mem_free(MEM_HEAD, c);
}

struct series *catalog_series_make(struct catalog *c, uint32_t id)
{
    _Atomic(struct series *) *page = &c->series_pages[id / SERIES_PAGE];
    if (!atomic_load_explicit(page, memory_order_relaxed)) {
        struct series *fresh = mem_alloc(MEM_HEAD, SERIES_PAGE * sizeof *fresh);
        for (size_t i = 0; i < SERIES_PAGE; i++) {
            fresh[i] = (struct series){.labels = LABEL_STORE_NONE};
            atomic_init(&fresh[i].group, SERIES_DEAD);
            atomic_init(&fresh[i].slot, SERIES_SLOT_MASK);
        }
        atomic_store_explicit(page, fresh, memory_order_release);
    }
    return catalog_series(c, id);
}

void catalog_add_postings(struct catalog *c, uint32_t id, labels_id labels)
{
    uint32_t count;
    const symbol_id *names =
        label_store_shape_names(c->labels, label_store_shape(c->labels, labels), &count);
    const symbol_id *values = label_store_values(c->labels, labels);
    for (uint32_t i = 0; i < count; i++)
        postings_add(&c->postings, names[i], values[i], id);
}

uint32_t catalog_room(const struct catalog *c, uint32_t limit)
{
    uint32_t room = 0;
    for (uint32_t page = 0; page < limit; page += SERIES_PAGE) {
        if (catalog_series(c, page))
            room += limit - page < SERIES_PAGE ? limit - page : SERIES_PAGE;
    }
    return room;
}

/* --- the living into a new one --- */

struct renewal {
    const struct catalog *from;
    struct catalog *to;
    uint32_t *symbols,
        *shapes; /* number there by number here, plus one; what came later is looked up */
    uint32_t symbol_count, shape_count;
    symbol_id *scratch;
    size_t scratch_capacity;
};

static symbol_id renew_symbol(struct renewal *r, symbol_id symbol)
{
    bool kept = symbol.n < r->symbol_count;
    if (kept && r->symbols[symbol.n] != 0)
        return (symbol_id){r->symbols[symbol.n] - 1};
    symbol_id there =
        label_store_add_symbol(r->to->labels, label_store_text(r->from->labels, symbol));
    if (kept)
        r->symbols[symbol.n] = there.n + 1;
    return there;
}

static const symbol_id *renew_symbols(struct renewal *r, const symbol_id *symbols, uint32_t count)
{
    r->scratch =
        mem_grow(MEM_HEAD, r->scratch, &r->scratch_capacity, (size_t)count + 1, sizeof *r->scratch);
    for (uint32_t i = 0; i < count; i++)
        r->scratch[i] = renew_symbol(r, symbols[i]);
    return r->scratch;
}

static labels_id renew_labels(struct renewal *r, labels_id labels)
{
    uint32_t count;
    shape_id shape = label_store_shape(r->from->labels, labels), there;
    const symbol_id *names = label_store_shape_names(r->from->labels, shape, &count);
    bool kept = shape.n < r->shape_count;
    if (kept && r->shapes[shape.n] != 0) {
        there.n = r->shapes[shape.n] - 1;
    } else {
        there = label_store_add_shape(r->to->labels, renew_symbols(r, names, count), count);
        if (kept)
            r->shapes[shape.n] = there.n + 1;
    }
    const symbol_id *values = label_store_values(r->from->labels, labels);
    return label_store_add_values(r->to->labels, there, renew_symbols(r, values, count));
}

/* Series in [first, end); places are taken later. */
static void renew_series(struct renewal *r, uint32_t first, uint32_t end)
{
    for (uint32_t id = first; id < end; id++) {
        const struct series *s = catalog_series(r->from, id);
        if (!s) {
            id |= SERIES_PAGE - 1;
            continue;
        }
        if (!series_is_alive(s))
            continue;
        struct series *copy = catalog_series_make(r->to, id);
        labels_id labels = renew_labels(r, (labels_id){s->labels});
        ASSERT(labels.n != LABEL_STORE_NONE); /* the store has no limit */
        copy->labels = labels.n;
        copy->hash_low = s->hash_low;
        copy->hash_high = s->hash_high;
        catalog_add_postings(r->to, id, labels);
    }
}

static void renew_places(struct renewal *r, uint32_t end)
{
    for (uint32_t id = 0; id < end; id++) {
        struct series *copy = catalog_series(r->to, id);
        if (!copy) {
            id |= SERIES_PAGE - 1;
            continue;
        }
        if (copy->labels == LABEL_STORE_NONE)
            continue;
        const struct series *s = catalog_series(r->from, id);
        atomic_store_explicit(&copy->group, atomic_load_explicit(&s->group, memory_order_relaxed),
                              memory_order_relaxed);
        atomic_store_explicit(&copy->slot, atomic_load_explicit(&s->slot, memory_order_relaxed),
                              memory_order_relaxed);
    }
}

/* What was logged was logged in the old numbers. */
static void log_forget_locked(struct head *h)
{
    mem_free(MEM_INDEX, h->logged_symbols);
    mem_free(MEM_INDEX, h->logged_shapes);
    h->logged_symbols = h->logged_shapes = NULL;
    h->logged_symbols_capacity = h->logged_shapes_capacity = 0;
    h->log_has_reset = false;
}

static bool wants_renewal(struct head *h)
{
    mutex_lock(&h->creation);
    uint64_t sets = label_store_labels_count(h->catalog->labels), living = h->series_live;
    mutex_unlock(&h->creation);
    return sets > living + DEAD_MIN && sets - living > living;
}

void head_renew_catalog(struct head *h)
{
    if (!wants_renewal(h))
        return;
    struct catalog *old = h->catalog;
    mutex_lock(&h->creation);
    uint32_t begun = head_series_count(h);
    struct renewal r = {.from = old,
                        .to = catalog_new(),
                        .symbol_count = label_store_symbol_count(old->labels),
                        .shape_count = label_store_shape_count(old->labels)};
    mutex_unlock(&h->creation);
    r.symbols = mem_alloc_zero(MEM_HEAD, (size_t)r.symbol_count + 1, sizeof *r.symbols);
    r.shapes = mem_alloc_zero(MEM_HEAD, (size_t)r.shape_count + 1, sizeof *r.shapes);
    renew_series(&r, 0, begun);

    mutex_lock(&h->creation);
    uint32_t end = head_series_count(h);
    renew_series(&r, begun, end);
    renew_places(&r, end);
    log_forget_locked(h);
    mutex_lock(&h->view_mutex);
    h->catalog = r.to;
    mutex_unlock(&h->view_mutex);
    mutex_unlock(&h->creation);

    head_retire(h, (struct garbage){GARBAGE_CATALOG, old, 0, 0});
    mem_free(MEM_HEAD, r.symbols);
    mem_free(MEM_HEAD, r.shapes);
    mem_free(MEM_HEAD, r.scratch);
}
