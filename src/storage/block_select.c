/* SPDX-License-Identifier: Apache-2.0 */
/* block_select.c: from matchers to series of a block.
 *
 * One matcher that no series without the label can meet gives the candidates: the one with the fewest,
 * by the counts beside the postings; without any such matcher all series are candidates. Every candidate's
 * entry is then read once and put to the other matchers by its symbols. So a query that names one
 * instance costs that instance's series, whatever else it asks for, and no list is ever intersected.
 * A regular expression's answer is kept per symbol. */
#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "storage/block_private.h"

#include <inttypes.h>
#include <stdlib.h>

/* --- numbers by symbol, for the symbols that are met only ------------------------------------------ */

enum { PAGE_ITEMS = 256 };

struct by_symbol {
    uint32_t **pages;
    struct arena *arena;
};

static void by_symbol_init(struct by_symbol *t, struct arena *arena, uint32_t symbol_count)
{
    t->arena = arena;
    t->pages = ARENA_ARRAY(arena, uint32_t *, symbol_count / PAGE_ITEMS + 1);
}

/* The place for this symbol's number; 0 at first. */
static uint32_t *by_symbol_at(struct by_symbol *t, uint32_t symbol)
{
    uint32_t **page = &t->pages[symbol / PAGE_ITEMS];
    if (!*page)
        *page = ARENA_ARRAY(t->arena, uint32_t, PAGE_ITEMS);
    return &(*page)[symbol % PAGE_ITEMS];
}

/* --- matching -------------------------------------------------------------------------------------- */

struct test { /* a matcher seen from this index */
    const struct matcher *matcher;
    bool named;       /* some series here has the label */
    bool takes_empty; /* met by a series without the label */
    struct index_name name;
    uint32_t symbol;        /* MATCH_EQUAL, MATCH_NOT_EQUAL: that of the value, or INDEX_NONE */
    struct by_symbol known; /* regular expressions: 1 = no, 2 = yes */
    int32_t *places;        /* by shape: place of the name + 1; 0 = not looked up, -1 = none */
};

struct search {
    struct block *block;
    struct arena arena;
    struct index_cursor cursor;
    struct test *tests;
    size_t test_count;
    struct index_series series;
};

static bool damaged(const struct search *s, const char *what, struct error *err)
{
    return error_set(err, ERROR_CORRUPT, "block %s: index: %s is damaged", s->block->meta.ulid,
                     what);
}

static void test_init(struct search *s, struct test *t, const struct matcher *m)
{
    const struct index *x = &s->block->index;
    uint32_t name = index_symbol_find(&s->cursor, m->name);
    t->matcher = m;
    t->takes_empty = matcher_matches_empty(m);
    t->named = name != INDEX_NONE && index_name_find(x, name, &t->name);
    t->places = ARENA_ARRAY(&s->arena, int32_t, (size_t)x->shape_count + 1);
    if (m->type == MATCH_EQUAL || m->type == MATCH_NOT_EQUAL)
        t->symbol = index_symbol_find(&s->cursor, m->value);
    else
        by_symbol_init(&t->known, &s->arena, x->symbol_count);
}

/* The place of the test's label in a shape, -1 when it has none. False when damaged. */
static bool test_place(struct search *s, struct test *t, uint32_t shape, int32_t *place)
{
    if (t->places[shape] == 0) {
        uint32_t names[INDEX_LABELS_MAX], count;
        if (!index_shape(&s->block->index, shape, names, &count))
            return false;
        t->places[shape] = -1;
        for (uint32_t i = 0; t->named && i < count; i++)
            if (names[i] == t->name.symbol)
                t->places[shape] = (int32_t)i + 1;
    }
    *place = t->places[shape] > 0 ? t->places[shape] - 1 : -1;
    return true;
}

/* Does the matcher take this value? False in *ok when damaged. */
static bool test_value(struct search *s, struct test *t, uint32_t symbol, bool *ok)
{
    if (t->matcher->type == MATCH_EQUAL)
        return symbol == t->symbol;
    if (t->matcher->type == MATCH_NOT_EQUAL)
        return symbol != t->symbol;
    uint32_t *known = by_symbol_at(&t->known, symbol);
    if (*known == 0) {
        struct view text;
        if (!index_symbol(&s->cursor, symbol, &text)) {
            *ok = false;
            return false;
        }
        *known = matcher_matches(t->matcher, text) ? 2 : 1;
    }
    return *known == 2;
}

/* s->series meets all tests. */
static bool series_matches(struct search *s, bool *ok)
{
    for (size_t i = 0; i < s->test_count; i++) {
        struct test *t = &s->tests[i];
        int32_t place;
        if (!test_place(s, t, s->series.shape, &place)) {
            *ok = false;
            return false;
        }
        if (place < 0 ? !t->takes_empty : !test_value(s, t, s->series.values[place], ok))
            return false;
    }
    return true;
}

/* --- candidates ------------------------------------------------------------------------------------ */

/* The one value of an equality, or a literal of a regular expression. */
static bool value_find(struct search *s, const struct test *t, struct view text,
                       struct index_value *out)
{
    uint32_t symbol = index_symbol_find(&s->cursor, text);
    if (!t->named || symbol == INDEX_NONE)
        return false;
    uint32_t idx = index_value_at_least(&s->block->index, &t->name, symbol);
    if (idx >= t->name.value_count)
        return false;
    *out = index_value_at(&s->block->index, &t->name, idx);
    return out->symbol == symbol;
}

static size_t literal_count(const struct matcher *m)
{
    return m->type == MATCH_EQUAL ? 1 : m->type == MATCH_REGEX ? regex_literal_count(m->regex) : 0;
}

static struct view literal_at(const struct matcher *m, size_t idx)
{
    return m->type == MATCH_EQUAL ? m->value : regex_literal(m->regex, idx);
}

/* How many series a test leaves at most, as far as that costs little to know. */
static uint64_t test_estimate(struct search *s, const struct test *t)
{
    size_t count = literal_count(t->matcher);
    uint64_t series = 0;
    struct index_value v;
    if (!t->named)
        return 0;
    if (count == 0)
        return (uint64_t)s->block->index.series_count + 1; /* values must be gone through */
    for (size_t i = 0; i < count; i++)
        if (value_find(s, t, literal_at(t->matcher, i), &v))
            series += v.series_count;
    return series;
}

struct candidates {
    uint32_t *numbers; /* in the search's arena; NULL = all */
    uint32_t count;
};

static int number_order(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Adds the series of one value. */
static bool candidates_add(struct search *s, struct candidates *c, size_t *capacity,
                           struct index_value v)
{
    const struct index *x = &s->block->index;
    if (v.series_count > x->series_count - c->count) /* lists of one label are disjoint */
        return false;
    c->numbers = arena_grow(&s->arena, c->numbers, capacity, (size_t)c->count + v.series_count,
                            sizeof *c->numbers);
    if (!index_postings(x, v, c->numbers + c->count))
        return false;
    c->count += v.series_count;
    return true;
}

static bool candidates_of(struct search *s, struct test *t, struct candidates *c)
{
    const struct index *x = &s->block->index;
    size_t capacity = 0, literals = literal_count(t->matcher), lists = 0;
    struct index_value v;
    bool ok = true;
    c->numbers = ARENA_ARRAY(&s->arena, uint32_t, 1);
    capacity = 1;
    for (size_t i = 0; i < literals; i++)
        if (value_find(s, t, literal_at(t->matcher, i), &v)) {
            lists++;
            if (!candidates_add(s, c, &capacity, v))
                return false;
        }
    if (literals == 0 && t->named) {
        struct view prefix = t->matcher->regex ? regex_prefix(t->matcher->regex) : VIEW("");
        bool use_prefix = t->matcher->type == MATCH_REGEX && prefix.len > 0, equal;
        uint32_t first = use_prefix ? index_symbol_at_least(&s->cursor, prefix, &equal) : 0;
        for (uint32_t i = index_value_at_least(x, &t->name, first); i < t->name.value_count; i++) {
            struct view text;
            v = index_value_at(x, &t->name, i);
            if (use_prefix) {
                if (!index_symbol(&s->cursor, v.symbol, &text))
                    return false;
                if (!view_has_prefix(text, prefix))
                    break;
            }
            if (v.symbol >= x->symbol_count)
                return false;
            if (!test_value(s, t, v.symbol, &ok)) {
                if (!ok)
                    return false;
                continue;
            }
            lists++;
            if (!candidates_add(s, c, &capacity, v))
                return false;
        }
    }
    if (lists > 1)
        qsort(c->numbers, c->count, sizeof *c->numbers, number_order);
    return true;
}

/* Picks the test that leaves the fewest series. */
static bool candidates_find(struct search *s, struct candidates *c)
{
    uint64_t best_estimate = UINT64_MAX;
    struct test *best = NULL;
    for (size_t i = 0; i < s->test_count; i++) {
        if (s->tests[i].takes_empty)
            continue;
        uint64_t estimate = test_estimate(s, &s->tests[i]);
        if (estimate < best_estimate) {
            best_estimate = estimate;
            best = &s->tests[i];
        }
    }
    *c = (struct candidates){NULL, s->block->index.series_count};
    if (!best)
        return true;
    c->count = 0;
    return candidates_of(s, best, c);
}

/* The series has samples in the wanted time that are not deleted, as far as the index knows. */
static bool is_there(const struct block *b, uint32_t number, const struct index_times *times,
                     const struct select *what)
{
    int64_t mint = times->mint > what->mint ? times->mint : what->mint;
    int64_t maxt = times->maxt < what->maxt ? times->maxt : what->maxt;
    return mint <= maxt &&
           (!b->deletions || !intervals_cover(deletions_of(b->deletions, number), mint, maxt));
}

static bool search_run(struct search *s, const struct select *what, block_visit visit, void *arg,
                       struct error *err)
{
    const struct index *x = &s->block->index;
    struct candidates c;
    bool ok = true;
    if (!candidates_find(s, &c))
        return damaged(s, "a list of series", err);
    for (uint32_t i = 0; i < c.count; i++) {
        uint32_t number = c.numbers ? c.numbers[i] : i;
        struct index_times times;
        if (!index_series_at(x, number, &s->series) || !index_times_at(x, s->series.times, &times))
            return damaged(s, "a series", err);
        if (!is_there(s->block, number, &times, what) || !series_matches(s, &ok)) {
            if (!ok)
                return damaged(s, "a label", err);
            continue;
        }
        if (!visit(arg, number, &s->series))
            break;
    }
    return true;
}

bool block_each(struct block *b, const struct select *what, block_visit visit, void *arg,
                struct error *err)
{
    struct search *s = mem_alloc_zero(MEM_QUERY, 1, sizeof *s);
    s->block = b;
    arena_init(&s->arena, MEM_QUERY, 0);
    index_cursor_init(&s->cursor, &b->index);
    s->test_count = what->matcher_count;
    s->tests = ARENA_ARRAY(&s->arena, struct test, what->matcher_count + 1);
    for (size_t i = 0; i < what->matcher_count; i++)
        test_init(s, &s->tests[i], &what->matchers[i]);
    bool ok = search_run(s, what, visit, arg, err);
    index_cursor_deinit(&s->cursor);
    arena_deinit(&s->arena);
    mem_free(MEM_QUERY, s);
    return ok;
}

/* --- select ---------------------------------------------------------------------------------------- */

struct found {
    struct series_ref ref;
    uint32_t times;
};

struct selection {
    struct block *block;
    struct label_store *labels;
    struct arena *arena; /* for as long as the call */
    size_t series_max;
    struct index_cursor cursor;
    struct by_symbol symbols; /* the store's id + 1 */
    uint32_t *shapes;         /* the store's id + 1 */
    struct found *found;
    size_t count, capacity;
    struct error *err;
    bool ok;
};

static bool selection_fail(struct selection *s, enum error_kind kind, const char *what)
{
    s->ok = error_set(s->err, kind, "block %s: %s", s->block->meta.ulid, what);
    return false;
}

/* The store's id of a symbol of the block. */
static bool symbol_map(struct selection *s, uint32_t symbol, symbol_id *out)
{
    uint32_t *known = by_symbol_at(&s->symbols, symbol);
    if (*known == 0) {
        struct view text;
        if (!index_symbol(&s->cursor, symbol, &text))
            return selection_fail(s, ERROR_CORRUPT, "index: a symbol is damaged");
        symbol_id id = label_store_add_symbol(s->labels, text);
        if (id.n == LABEL_STORE_NONE)
            return selection_fail(s, ERROR_LIMIT, "the query's labels take too much memory");
        *known = id.n + 1;
    }
    out->n = *known - 1;
    return true;
}

static bool shape_map(struct selection *s, uint32_t shape, shape_id *out)
{
    if (s->shapes[shape] == 0) {
        uint32_t names[INDEX_LABELS_MAX], count;
        symbol_id ids[INDEX_LABELS_MAX];
        if (!index_shape(&s->block->index, shape, names, &count))
            return selection_fail(s, ERROR_CORRUPT, "index: a shape is damaged");
        for (uint32_t i = 0; i < count; i++)
            if (!symbol_map(s, names[i], &ids[i]))
                return false;
        shape_id id = label_store_add_shape(s->labels, ids, count);
        if (id.n == LABEL_STORE_NONE)
            return selection_fail(s, ERROR_LIMIT, "the query's labels take too much memory");
        s->shapes[shape] = id.n + 1;
    }
    out->n = s->shapes[shape] - 1;
    return true;
}

static bool select_visit(void *arg, uint32_t number, const struct index_series *series)
{
    struct selection *s = arg;
    symbol_id values[INDEX_LABELS_MAX];
    shape_id shape;
    if (s->series_max > 0 && s->count >= s->series_max) {
        s->ok =
            error_set(s->err, ERROR_LIMIT, "the query selects more than %zu series", s->series_max);
        return false;
    }
    if (!shape_map(s, series->shape, &shape))
        return false;
    for (uint32_t i = 0; i < series->label_count; i++) {
        if (!symbol_map(s, series->values[i], &values[i]))
            return false;
        if (values[i].n == 0) /* "" is no value of a label */
            return selection_fail(s, ERROR_CORRUPT, "index: a label has an empty value");
    }
    labels_id labels = label_store_add_values(s->labels, shape, values);
    if (labels.n == LABEL_STORE_NONE)
        return selection_fail(s, ERROR_LIMIT, "the query's labels take too much memory");
    s->found = arena_grow(s->arena, s->found, &s->capacity, s->count + 1, sizeof *s->found);
    s->found[s->count++] = (struct found){{labels, number}, series->times};
    return true;
}

static int found_order(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->times != y->times)
        return x->times < y->times ? -1 : 1;
    return (x->ref.ref > y->ref.ref) - (x->ref.ref < y->ref.ref);
}

bool block_select(struct block *b, const struct select *what, struct label_store *labels,
                  struct arena *arena, struct series_list *out, struct error *err)
{
    struct arena scratch;
    struct selection s = {.block = b,
                          .labels = labels,
                          .arena = &scratch,
                          .err = err,
                          .ok = true,
                          .series_max = what->series_max};
    arena_init(&scratch, MEM_QUERY, 0);
    by_symbol_init(&s.symbols, &scratch, b->index.symbol_count);
    s.shapes = ARENA_ARRAY(&scratch, uint32_t, (size_t)b->index.shape_count + 1);
    index_cursor_init(&s.cursor, &b->index);
    bool ok = block_each(b, what, select_visit, &s, err) && s.ok;
    *out = (struct series_list){NULL, 0};
    if (ok && s.count > 0) { /* by time column, so that neighbours share what was decoded */
        qsort(s.found, s.count, sizeof *s.found, found_order);
        out->items = arena_alloc(arena, s.count * sizeof *out->items);
        for (size_t i = 0; i < s.count; i++)
            out->items[i] = s.found[i].ref;
        out->count = s.count;
    }
    index_cursor_deinit(&s.cursor);
    arena_deinit(&scratch);
    return ok;
}

/* --- names and values ------------------------------------------------------------------------------ */

struct listing {
    struct block *block;
    struct arena scratch;
    struct by_symbol seen; /* 1 = listed */
    uint8_t *shapes;       /* 1 = seen */
    int32_t *places;       /* by shape: place of the name + 1; 0 = not looked up, -1 = none */
    struct index_name name;
    bool ok;
};

static bool names_visit(void *arg, uint32_t number, const struct index_series *series)
{
    struct listing *l = arg;
    uint32_t names[INDEX_LABELS_MAX], count;
    (void)number;
    if (l->shapes[series->shape])
        return true;
    l->shapes[series->shape] = 1;
    l->ok = index_shape(&l->block->index, series->shape, names, &count);
    for (uint32_t i = 0; l->ok && i < count; i++)
        *by_symbol_at(&l->seen, names[i]) = 1;
    return l->ok;
}

static bool place_find(struct listing *l, uint32_t shape)
{
    uint32_t names[INDEX_LABELS_MAX], count;
    l->places[shape] = -1;
    if (!index_shape(&l->block->index, shape, names, &count))
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (names[i] == l->name.symbol)
            l->places[shape] = (int32_t)i + 1;
    return true;
}

static bool values_visit(void *arg, uint32_t number, const struct index_series *series)
{
    struct listing *l = arg;
    (void)number;
    if (l->places[series->shape] == 0)
        l->ok = place_find(l, series->shape);
    int32_t place = l->places[series->shape];
    if (place > 0)
        *by_symbol_at(&l->seen, series->values[place - 1]) = 1;
    return l->ok;
}

static void listing_init(struct listing *l, struct block *b)
{
    *l = (struct listing){.block = b, .ok = true};
    arena_init(&l->scratch, MEM_QUERY, 0);
    by_symbol_init(&l->seen, &l->scratch, b->index.symbol_count);
    l->shapes = ARENA_ARRAY(&l->scratch, uint8_t, (size_t)b->index.shape_count + 1);
    l->places = ARENA_ARRAY(&l->scratch, int32_t, (size_t)b->index.shape_count + 1);
}

/* Texts of the symbols [0, count) of a table that were seen (all of them when `all`). */
static bool listing_texts(struct listing *l, bool values, bool all, size_t limit,
                          struct arena *arena, struct view **out, size_t *count)
{
    const struct index *x = &l->block->index;
    uint32_t rows = values ? l->name.value_count : x->name_count;
    struct index_cursor cursor;
    size_t capacity = 0;
    bool ok = l->ok;
    *out = NULL;
    *count = 0;
    index_cursor_init(&cursor, x);
    for (uint32_t i = 0; ok && i < rows && (limit == 0 || *count < limit); i++) {
        uint32_t symbol =
            values ? index_value_at(x, &l->name, i).symbol : index_name_at(x, i).symbol;
        struct view text;
        if (symbol >= x->symbol_count || (!all && *by_symbol_at(&l->seen, symbol) == 0)) {
            ok = symbol < x->symbol_count;
            continue;
        }
        ok = index_symbol(&cursor, symbol, &text);
        if (!ok)
            break;
        *out = arena_grow(arena, *out, &capacity, *count + 1, sizeof **out);
        (*out)[(*count)++] = arena_copy(arena, text);
    }
    index_cursor_deinit(&cursor);
    return ok;
}

static bool listing_end(struct listing *l, bool ok, struct error *err)
{
    arena_deinit(&l->scratch);
    return ok ? true
              : error_set(err, ERROR_CORRUPT, "block %s: index: a label is damaged",
                          l->block->meta.ulid);
}

/* Then every name and value of the index is one of a series. */
static bool takes_all(const struct block *b, const struct select *what)
{
    return what->matcher_count == 0 && !b->deletions;
}

bool block_label_names(struct block *b, const struct select *what, size_t limit,
                       struct arena *arena, struct view **out, size_t *count, struct error *err)
{
    struct listing l;
    listing_init(&l, b);
    if (!takes_all(b, what) && !block_each(b, what, names_visit, &l, err)) {
        arena_deinit(&l.scratch);
        return false;
    }
    bool ok = listing_texts(&l, false, takes_all(b, what), limit, arena, out, count);
    return listing_end(&l, ok, err);
}

bool block_label_values(struct block *b, struct view name, const struct select *what, size_t limit,
                        struct arena *arena, struct view **out, size_t *count, struct error *err)
{
    struct listing l;
    struct index_cursor cursor;
    listing_init(&l, b);
    index_cursor_init(&cursor, &b->index);
    uint32_t symbol = index_symbol_find(&cursor, name);
    bool named = symbol != INDEX_NONE && index_name_find(&b->index, symbol, &l.name);
    index_cursor_deinit(&cursor);
    if (named && !takes_all(b, what) && !block_each(b, what, values_visit, &l, err)) {
        arena_deinit(&l.scratch);
        return false;
    }
    if (!named)
        l.name.value_count = 0;
    bool ok = listing_texts(&l, true, takes_all(b, what), limit, arena, out, count);
    return listing_end(&l, ok, err);
}
