/* SPDX-License-Identifier: Apache-2.0 */
/* head_select.c: matchers to series.
 *
 * 1. Matchers that cannot match "" and name their values (=, or a regex that is a set of literals) have
 *    postings. The shortest list (or union) is the base.
 * 2. Another list is intersected with it when it is short too, or else looked up per candidate: a label
 *    set says at once which value it has, while a list of a million ids would have to be walked.
 * 3. Every other matcher is a question per candidate; the answer is kept per value symbol.
 * 4. Without a base, a matcher that cannot match "" walks the values of its name; without such a matcher
 *    all series are candidates.
 *
 * Looking up symbols and lists takes h->creation for a moment; the ids are then read without a lock
 * (postings.c). Labels are mapped to the query's store symbol by symbol, each once per select. */
#include "storage/head_private.h"

#include "base/assert.h"

#include <stdlib.h>

/* A list up to this many times longer than the candidates is intersected. Chosen, not measured. */
enum { INTERSECT_RATIO = 16 };

enum plan_kind { PLAN_LISTS, PLAN_FILTER };
struct plan {
    const struct matcher *matcher;
    symbol_id name; /* LABEL_STORE_NONE: no series has this name */
    enum plan_kind kind;
    struct posting_list *lists; /* disjoint: a series has one value per name */
    size_t list_count;
    uint64_t total;  /* ids in the lists */
    symbol_id equal; /* MATCH_EQUAL with one value: compared as a number */
    bool matches_empty;
    bool done; /* the candidates satisfy it */
};

struct select_state {
    struct head *head;
    const struct catalog *catalog; /* the view's */
    struct arena *arena;
    const struct select *what;
    bool late_only;
    struct plan *plans;
    uint32_t *ids;
    size_t count;
};

/* --- number -> number, in an arena --- */

struct number_cache {
    struct arena *arena;
    uint64_t *entries; /* key + 1 << 32 | value; 0 = free */
    size_t capacity, count;
};

static uint64_t *cache_place(const struct number_cache *c, uint32_t key)
{
    size_t at = (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (c->capacity - 1);
    while (c->entries[at] != 0 && c->entries[at] >> 32 != key + UINT64_C(1))
        at = (at + 1) & (c->capacity - 1);
    return &c->entries[at];
}

static bool cache_get(const struct number_cache *c, uint32_t key, uint32_t *out)
{
    if (c->capacity == 0)
        return false;
    uint64_t entry = *cache_place(c, key);
    *out = (uint32_t)entry;
    return entry != 0;
}

static void cache_put(struct number_cache *c, uint32_t key, uint32_t value)
{
    if ((c->count + 1) * 2 > c->capacity) {
        struct number_cache old = *c;
        c->capacity = old.capacity ? old.capacity * 2 : 64;
        c->entries = arena_alloc_zero(c->arena, c->capacity, sizeof *c->entries);
        for (size_t i = 0; i < old.capacity; i++) {
            if (old.entries[i] != 0)
                *cache_place(c, (uint32_t)((old.entries[i] >> 32) - 1)) = old.entries[i];
        }
    }
    uint64_t *place = cache_place(c, key);
    c->count += *place == 0;
    *place = (key + UINT64_C(1)) << 32 | value;
}

/* --- planning --- */

static void plan_add_value(struct select_state *s, struct plan *p, struct view value)
{
    const struct catalog *c = s->catalog;
    symbol_id symbol = label_store_find_symbol(c->labels, value);
    if (symbol.n == LABEL_STORE_NONE)
        return;
    struct posting_list list = postings_find(&c->postings, p->name, symbol);
    if (list.count == 0)
        return;
    p->equal = symbol;
    p->lists[p->list_count++] = list;
    p->total += list.count;
}

/* Under h->creation. */
static void plan_make_locked(struct select_state *s, struct plan *p, const struct matcher *m)
{
    size_t literals = m->type == MATCH_REGEX ? regex_literal_count(m->regex) : 0;
    *p = (struct plan){.matcher = m, .kind = PLAN_FILTER, .equal = {LABEL_STORE_NONE}};
    p->matches_empty = matcher_matches_empty(m);
    p->name = label_store_find_symbol(s->catalog->labels, m->name);
    if (p->matches_empty || (m->type != MATCH_EQUAL && literals == 0))
        return;
    p->kind = PLAN_LISTS;
    if (m->type == MATCH_EQUAL) {
        p->lists = ARENA_ARRAY(s->arena, struct posting_list, 1);
        plan_add_value(s, p, m->value);
        return;
    }
    p->lists = ARENA_ARRAY(s->arena, struct posting_list, literals);
    for (size_t i = 0; i < literals; i++)
        plan_add_value(s, p, regex_literal(m->regex, i));
}

static int compare_ids(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void base_from_lists(struct select_state *s, const struct posting_list *lists, size_t count,
                            uint64_t total)
{
    s->ids = arena_alloc(s->arena, (total + 1) * sizeof *s->ids);
    s->count = 0;
    for (size_t i = 0; i < count; i++) {
        posting_list_copy(lists[i], s->ids + s->count);
        s->count += lists[i].count;
    }
    if (count > 1)
        qsort(s->ids, s->count, sizeof *s->ids, compare_ids);
}

static void base_from_all(struct select_state *s)
{
    uint32_t count = head_series_count(s->head);
    s->ids = arena_alloc(s->arena, ((size_t)catalog_room(s->catalog, count) + 1) * sizeof *s->ids);
    s->count = 0;
    for (uint32_t page = 0; page < count; page += SERIES_PAGE) {
        if (!catalog_series(s->catalog, page))
            continue;
        for (uint32_t id = page; id < count && id < page + SERIES_PAGE; id++)
            s->ids[s->count++] = id;
    }
}

/* Values of the matcher's name are matched as text, outside of the lock; their lists are then taken at
 * once. A list that a cut emptied meanwhile is empty. */
static void base_from_values(struct select_state *s, struct plan *p)
{
    struct head *h = s->head;
    mutex_lock(&h->creation);
    const struct posting_name *name = postings_name(&s->catalog->postings, p->name);
    size_t count = name ? name->count : 0, kept = 0;
    uint32_t *places = arena_alloc(s->arena, (count + 1) * sizeof *places);
    symbol_id *values = arena_alloc(s->arena, (count + 1) * sizeof *values);
    for (size_t i = 0; i < count; i++) {
        places[i] = name->values[i];
        values[i] = postings_at(&s->catalog->postings, places[i])->value;
    }
    mutex_unlock(&h->creation);
    for (size_t i = 0; i < count; i++) {
        if (matcher_matches(p->matcher, label_store_text(s->catalog->labels, values[i])))
            places[kept++] = places[i];
    }
    struct posting_list *lists = arena_alloc(s->arena, (kept + 1) * sizeof *lists);
    uint64_t total = 0;
    mutex_lock(&h->creation);
    for (size_t i = 0; i < kept; i++) {
        lists[i] = posting_snapshot(postings_at(&s->catalog->postings, places[i]));
        total += lists[i].count;
    }
    mutex_unlock(&h->creation);
    base_from_lists(s, lists, kept, total);
    p->done = true;
}

static void base_choose(struct select_state *s)
{
    struct plan *lists = NULL, *walk = NULL;
    for (size_t i = 0; i < s->what->matcher_count; i++) {
        struct plan *p = &s->plans[i];
        if (p->kind == PLAN_LISTS && (!lists || p->total < lists->total))
            lists = p;
        else if (p->kind == PLAN_FILTER && !p->matches_empty && !walk)
            walk = p;
    }
    if (lists) {
        base_from_lists(s, lists->lists, lists->list_count, lists->total);
        lists->done = true;
    } else if (walk) {
        base_from_values(s, walk);
    } else {
        base_from_all(s);
    }
}

/* --- filtering --- */

static bool list_is_walked(const struct select_state *s, const struct plan *p)
{
    return p->kind == PLAN_LISTS && p->list_count == 1 && p->total / INTERSECT_RATIO <= s->count;
}

/* The answer for one value of the label; "" when the label is not there. */
static bool value_matches(const struct catalog *c, const struct plan *p,
                          struct number_cache *answers, symbol_id value)
{
    uint32_t answer;
    if (p->kind == PLAN_LISTS && p->matcher->type == MATCH_EQUAL)
        return p->list_count > 0 && value.n == p->equal.n;
    if (!cache_get(answers, value.n, &answer)) {
        answer = matcher_matches(p->matcher, label_store_text(c->labels, value));
        cache_put(answers, value.n, answer);
    }
    return answer;
}

static void filter_by_labels(struct select_state *s, const struct plan *p)
{
    const struct catalog *c = s->catalog;
    struct number_cache answers = {.arena = s->arena};
    size_t kept = 0;
    uint32_t shape_seen = LABEL_STORE_NONE;
    int place = -1;
    for (size_t i = 0; i < s->count; i++) {
        const struct series *series = catalog_series(c, s->ids[i]);
        if (!series || series->labels == LABEL_STORE_NONE)
            continue;
        labels_id labels = {series->labels};
        shape_id shape = label_store_shape(c->labels, labels);
        if (shape.n != shape_seen) {
            shape_seen = shape.n;
            place = p->name.n == LABEL_STORE_NONE
                        ? -1
                        : label_store_shape_find(c->labels, shape, p->name);
        }
        symbol_id value = {0};
        if (place >= 0)
            value = label_store_values(c->labels, labels)[place];
        if (value_matches(c, p, &answers, value))
            s->ids[kept++] = s->ids[i];
    }
    s->count = kept;
}

/* Leaves out the forgotten, and groups without rows in the wanted time. Groups are asked once each. */
static bool group_has_time(struct select_state *s, struct number_cache *groups, uint32_t id)
{
    uint32_t answer;
    if (cache_get(groups, id, &answer))
        return answer;
    struct group *g = head_group(s->head, id);
    answer = 0;
    if (g) {
        mutex_lock(&g->mutex);
        answer = (!s->late_only && g->visible_mint <= s->what->maxt &&
                  g->visible_maxt >= s->what->mint) ||
                 (g->late_mint <= s->what->maxt && g->late_maxt >= s->what->mint);
        mutex_unlock(&g->mutex);
    }
    cache_put(groups, id, answer);
    return answer;
}

static void filter_by_time(struct select_state *s)
{
    struct number_cache groups = {.arena = s->arena};
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++) {
        const struct series *series = catalog_series(s->catalog, s->ids[i]);
        if (!series || series->labels == LABEL_STORE_NONE)
            continue;
        uint32_t group = atomic_load_explicit(&series->group, memory_order_acquire);
        bool moved = atomic_load_explicit(&series->slot, memory_order_relaxed) & SERIES_MOVED;
        if (group != SERIES_DEAD && (moved || group_has_time(s, &groups, group)))
            s->ids[kept++] = s->ids[i];
    }
    s->count = kept;
}

/* Series that moved between groups are kept without asking each of theirs (filter_by_time), so what lies outside
 * everything is said here. The floor is left out: an older view may still read below it. */
static bool head_has_time(const struct head *h, const struct select *what)
{
    bool rows = atomic_load_explicit(&h->visible_mint, memory_order_relaxed) <= what->maxt &&
                atomic_load_explicit(&h->visible_maxt, memory_order_relaxed) >= what->mint;
    return rows || (atomic_load_explicit(&h->late_mint, memory_order_relaxed) <= what->maxt &&
                    atomic_load_explicit(&h->late_maxt, memory_order_relaxed) >= what->mint);
}

static void select_ids(struct select_state *s)
{
    struct head *h = s->head;
    size_t n = s->what->matcher_count;
    if (!head_has_time(h, s->what))
        return;
    s->plans = ARENA_ARRAY(s->arena, struct plan, n + 1);
    mutex_lock(&h->creation);
    for (size_t i = 0; i < n; i++)
        plan_make_locked(s, &s->plans[i], &s->what->matchers[i]);
    mutex_unlock(&h->creation);
    base_choose(s);
    for (size_t i = 0; i < n && s->count > 0; i++) {
        struct plan *p = &s->plans[i];
        if (!p->done && list_is_walked(s, p)) {
            s->count = posting_list_intersect(p->lists[0], s->ids, s->count);
            p->done = true;
        }
    }
    for (size_t i = 0; i < n && s->count > 0; i++) {
        if (!s->plans[i].done)
            filter_by_labels(s, &s->plans[i]);
    }
    filter_by_time(s);
}

/* --- mapping labels to the query's store --- */

struct mapping {
    const struct label_store *from;
    struct label_store *to;
    struct number_cache symbols, shapes;
    symbol_id *scratch;
    size_t scratch_capacity;
    struct arena *arena;
};

static symbol_id map_symbol(struct mapping *m, symbol_id symbol)
{
    uint32_t to;
    if (!cache_get(&m->symbols, symbol.n, &to)) {
        to = label_store_add_symbol(m->to, label_store_text(m->from, symbol)).n;
        cache_put(&m->symbols, symbol.n, to);
    }
    return (symbol_id){to};
}

static bool map_all(struct mapping *m, const symbol_id *in, uint32_t count)
{
    m->scratch = arena_grow(m->arena, m->scratch, &m->scratch_capacity, (size_t)count + 1,
                            sizeof *m->scratch);
    for (uint32_t i = 0; i < count; i++) {
        m->scratch[i] = map_symbol(m, in[i]);
        if (m->scratch[i].n == LABEL_STORE_NONE)
            return false;
    }
    return true;
}

/* LABEL_STORE_NONE when the query's store is full. */
static labels_id map_labels(struct mapping *m, labels_id id)
{
    const labels_id none = {LABEL_STORE_NONE};
    shape_id shape = label_store_shape(m->from, id);
    uint32_t count, to;
    const symbol_id *names = label_store_shape_names(m->from, shape, &count);
    if (!cache_get(&m->shapes, shape.n, &to)) {
        if (!map_all(m, names, count))
            return none;
        to = label_store_add_shape(m->to, m->scratch, count).n;
        cache_put(&m->shapes, shape.n, to);
    }
    if (to == LABEL_STORE_NONE || !map_all(m, label_store_values(m->from, id), count))
        return none;
    return label_store_add_values(m->to, (shape_id){to}, m->scratch);
}

/* Series of a group side by side, in the order of their numbers (that is the order of their slots, but
 * for series that came later): a stable counting sort by group. */
static void sort_by_group(struct select_state *s)
{
    uint32_t groups = atomic_load_explicit(&s->head->group_count, memory_order_acquire);
    uint32_t last = 0;
    bool sorted = true;
    uint32_t *of = arena_alloc(s->arena, (s->count + 1) * sizeof *of);
    for (size_t i = 0; i < s->count; i++) {
        of[i] = atomic_load_explicit(&catalog_series(s->catalog, s->ids[i])->group,
                                     memory_order_relaxed);
        if (of[i] >= groups)
            of[i] = groups; /* moved or forgotten since it was filtered */
        sorted = sorted && of[i] >= last;
        last = of[i];
    }
    if (sorted)
        return;
    size_t *start = arena_alloc_zero(s->arena, (size_t)groups + 2, sizeof *start);
    uint32_t *out = arena_alloc(s->arena, (s->count + 1) * sizeof *out);
    for (size_t i = 0; i < s->count; i++)
        start[of[i] + 1]++;
    for (uint32_t g = 0; g <= groups; g++)
        start[g + 1] += start[g];
    for (size_t i = 0; i < s->count; i++)
        out[start[of[i]]++] = s->ids[i];
    s->ids = out;
}

bool head_select(struct head_view *v, const struct select *what, struct label_store *labels,
                 struct arena *arena, struct series_list *out, struct error *err)
{
    struct head *h = v->head;
    struct arena scratch;
    bool ok = true;
    *out = (struct series_list){0};
    arena_init(&scratch, MEM_QUERY, 0);
    struct select_state s = {.head = h,
                             .catalog = v->catalog,
                             .arena = &scratch,
                             .what = what,
                             .late_only = v->late_only};
    select_ids(&s);
    if (what->series_max > 0 && s.count > what->series_max)
        ok = error_set(err, ERROR_LIMIT, "%zu series selected, at most %zu allowed", s.count,
                       what->series_max);
    if (ok && s.count > 0) {
        struct mapping m = {.from = v->catalog->labels,
                            .to = labels,
                            .symbols = {&scratch, NULL, 0, 0},
                            .shapes = {&scratch, NULL, 0, 0},
                            .arena = &scratch};
        sort_by_group(&s);
        out->items = arena_alloc(arena, s.count * sizeof *out->items);
        for (size_t i = 0; i < s.count && ok; i++) {
            labels_id id =
                map_labels(&m, (labels_id){catalog_series(v->catalog, s.ids[i])->labels});
            out->items[i] = (struct series_ref){id, s.ids[i]};
            if (id.n == LABEL_STORE_NONE)
                ok = error_set(err, ERROR_LIMIT,
                               "the labels of the %zu selected series take too much memory",
                               s.count);
        }
        out->count = ok ? s.count : 0;
    }
    arena_deinit(&scratch);
    return ok;
}

/* --- names and values --- */

static int compare_views(const void *a, const void *b)
{
    return view_cmp(*(const struct view *)a, *(const struct view *)b);
}

struct text_list {
    struct view *items; /* text is the head's */
    size_t count, capacity;
};

static void text_add(struct text_list *t, struct view text)
{
    t->items = mem_grow(MEM_QUERY, t->items, &t->capacity, t->count + 1, sizeof *t->items);
    t->items[t->count++] = text;
}

/* Sorted, at most `limit`, copied: the head may forget. */
static void text_finish(struct text_list *t, size_t limit, struct arena *arena, struct view **out,
                        size_t *count)
{
    if (t->count > 0)
        qsort(t->items, t->count, sizeof *t->items, compare_views);
    *count = limit > 0 && limit < t->count ? limit : t->count;
    *out = arena_alloc(arena, (*count + 1) * sizeof **out);
    for (size_t i = 0; i < *count; i++)
        (*out)[i] = arena_copy(arena, t->items[i]);
    mem_free(MEM_QUERY, t->items);
}

bool head_label_names(struct head_view *v, const struct select *what, size_t limit,
                      struct arena *arena, struct view **out, size_t *count, struct error *err)
{
    const struct catalog *c = v->catalog;
    struct text_list found = {0};
    struct arena scratch;
    arena_init(&scratch, MEM_QUERY, 0);
    struct select_state s = {.head = v->head, .catalog = c, .arena = &scratch, .what = what};
    struct number_cache shapes = {.arena = &scratch}, names = {.arena = &scratch};
    select_ids(&s);
    for (size_t i = 0; i < s.count; i++) {
        uint32_t seen, name_count;
        shape_id shape =
            label_store_shape(c->labels, (labels_id){catalog_series(c, s.ids[i])->labels});
        if (cache_get(&shapes, shape.n, &seen))
            continue;
        cache_put(&shapes, shape.n, 1);
        const symbol_id *in = label_store_shape_names(c->labels, shape, &name_count);
        for (uint32_t k = 0; k < name_count; k++) {
            if (!cache_get(&names, in[k].n, &seen)) {
                cache_put(&names, in[k].n, 1);
                text_add(&found, label_store_text(c->labels, in[k]));
            }
        }
    }
    arena_deinit(&scratch);
    text_finish(&found, limit, arena, out, count);
    return true;
}

/* Without matchers: every value of the name, straight from its list. */
static void values_of_name(struct head *h, const struct catalog *c, struct view name,
                           struct text_list *found)
{
    mutex_lock(&h->creation);
    symbol_id symbol = label_store_find_symbol(c->labels, name);
    const struct posting_name *n =
        symbol.n == LABEL_STORE_NONE ? NULL : postings_name(&c->postings, symbol);
    for (size_t i = 0; n && i < n->count; i++) {
        const struct posting *p = postings_at(&c->postings, n->values[i]);
        if (p->count > 0)
            text_add(found, label_store_text(c->labels, p->value));
    }
    mutex_unlock(&h->creation);
}

bool head_label_values(struct head_view *v, struct view name, const struct select *what,
                       size_t limit, struct arena *arena, struct view **out, size_t *count,
                       struct error *err)
{
    struct head *h = v->head;
    const struct catalog *c = v->catalog;
    struct text_list found = {0};
    struct arena scratch;
    int64_t mint, maxt;
    head_time_range(h, &mint, &maxt);
    if (what->matcher_count == 0 && what->mint <= mint && what->maxt >= maxt) {
        values_of_name(h, c, name, &found);
        text_finish(&found, limit, arena, out, count);
        return true;
    }
    arena_init(&scratch, MEM_QUERY, 0);
    struct select_state s = {.head = h, .catalog = v->catalog, .arena = &scratch, .what = what};
    struct number_cache values = {.arena = &scratch};
    mutex_lock(&h->creation);
    symbol_id symbol = label_store_find_symbol(c->labels, name);
    mutex_unlock(&h->creation);
    if (symbol.n != LABEL_STORE_NONE)
        select_ids(&s);
    for (size_t i = 0; i < s.count; i++) {
        uint32_t seen;
        symbol_id value =
            label_store_get(c->labels, (labels_id){catalog_series(c, s.ids[i])->labels}, symbol);
        if (value.n == 0 || cache_get(&values, value.n, &seen))
            continue;
        cache_put(&values, value.n, 1);
        text_add(&found, label_store_text(c->labels, value));
    }
    arena_deinit(&scratch);
    text_finish(&found, limit, arena, out, count);
    return true;
}
