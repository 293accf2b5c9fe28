/* SPDX-License-Identifier: Apache-2.0 */
/* head_read.c: views, pins, and the columns of a series.
 *
 * A reader keeps what the series of one group share: the pieces (extents, strips, tile) that touch the
 * wanted time, their timestamps, and for each strip where the column read last ended, so that reading
 * slots in ascending order walks each strip once. A series without gaps returns the shared timestamps
 * under a times_id made of (pin, first row, count); one with gaps or late samples gets its own. */
#include "storage/head_private.h"

#include "base/assert.h"

#include <inttypes.h>

enum { GROUPS_PER_SERIES_MAX = 64, CANCEL_EVERY = 256 };

/* --- views --- */

struct head_view *head_pin(struct head *h, int64_t floor_ms)
{
    struct head_view *v = mem_alloc_zero(MEM_QUERY, 1, sizeof *v);
    v->head = h;
    mutex_init(&v->mutex);
    map_init(&v->pin_index, MEM_QUERY);
    mutex_lock(&h->view_mutex);
    int64_t floor = atomic_load_explicit(&h->floor, memory_order_relaxed);
    v->floor = floor_ms > floor ? floor_ms : floor;
    v->epoch = h->epoch++;
    v->catalog = h->catalog;
    v->prev = h->views_last;
    if (h->views_last)
        h->views_last->next = v;
    else
        h->views = v;
    h->views_last = v;
    mutex_unlock(&h->view_mutex);
    v->series_count = head_series_count(h);
    return v;
}

struct head_view *head_pin_late(struct head *h)
{
    struct head_view *v = head_pin(h, INT64_MIN);
    v->late_only = true;
    return v;
}

static void pin_free(struct group_pin *pin)
{
    if (!pin)
        return;
    tile_unref(pin->tile);
    run_unref(pin->run, pin->strip_count);
    extent_list_unref(pin->extents);
    slot_map_unref(pin->map);
    for (size_t i = 0; i < pin->late_count; i++)
        late_run_unref(pin->late[i]);
    mem_free(MEM_QUERY, (void *)pin->late);
    mem_free(MEM_QUERY, pin);
}

static void pin_late_locked(struct group_pin *pin, const struct group *g)
{
    pin->late = mem_alloc(MEM_QUERY, g->late.count * sizeof(struct late_run *));
    for (size_t i = 0; i < g->late.count; i++) {
        if (g->late.items[i].visible)
            pin->late[pin->late_count++] = late_run_ref(g->late.items[i].run);
    }
}

void head_view_release(struct head_view *v)
{
    if (!v)
        return;
    struct head *h = v->head;
    for (size_t i = 0; i < v->pin_count; i++)
        pin_free(v->pins[i]);
    mem_free(MEM_QUERY, (void *)v->pins);
    map_deinit(&v->pin_index);
    mutex_lock(&h->view_mutex);
    if (v->prev)
        v->prev->next = v->next;
    else
        h->views = v->next;
    if (v->next)
        v->next->prev = v->prev;
    else
        h->views_last = v->prev;
    bool collect = h->garbage_count > 0;
    mutex_unlock(&h->view_mutex);
    mutex_deinit(&v->mutex);
    mem_free(MEM_QUERY, v);
    if (collect)
        head_collect(h);
}

static struct group_pin *pin_make(struct group *g)
{
    static _Atomic uint64_t next_id = 1; /* of the process; makes times_id */
    struct group_pin *pin = mem_alloc_zero(MEM_QUERY, 1, sizeof *pin);
    pin->group = g;
    pin->id = atomic_fetch_add_explicit(&next_id, 1, memory_order_relaxed);
    mutex_lock(&g->mutex);
    pin->tile = g->tile;
    if (pin->tile)
        atomic_fetch_add_explicit(&pin->tile->refs, 1, memory_order_relaxed);
    pin->run = g->run;
    pin->strip_count = g->strip_count;
    if (pin->run)
        atomic_fetch_add_explicit(&pin->run->refs, 1, memory_order_relaxed);
    pin->extents = g->extents;
    atomic_fetch_add_explicit(&pin->extents->refs, 1, memory_order_relaxed);
    pin->map = slot_map_ref(g->map);
    pin->map_count = g->map_count;
    pin->visible_row = g->visible_row;
    if (UNLIKELY(g->late.count > 0))
        pin_late_locked(pin, g);
    mutex_unlock(&g->mutex);
    return pin;
}

static bool pin_is_group(const void *context, uint32_t item, const void *key)
{
    const struct head_view *v = context;
    return v->pins[item]->group->id == *(const uint32_t *)key;
}

const struct group_pin *head_view_pin(struct head_view *v, uint32_t group)
{
    uint64_t hash = group * UINT64_C(0x9e3779b97f4a7c15);
    struct group_pin *pin = NULL;
    mutex_lock(&v->mutex);
    uint32_t idx = map_find(&v->pin_index, hash ^ hash >> 32, pin_is_group, v, &group);
    if (idx != MAP_NONE) {
        pin = v->pins[idx];
    } else {
        struct group *g = head_group(v->head, group);
        if (g) {
            pin = pin_make(
                g); /* the view's mutex before the group's: nobody takes them the other way */
            v->pins = mem_grow(MEM_QUERY, (void *)v->pins, &v->pin_capacity, v->pin_count + 1,
                               sizeof(struct group_pin *));
            map_add(&v->pin_index, hash ^ hash >> 32, (uint32_t)v->pin_count);
            v->pins[v->pin_count++] = pin;
        }
    }
    mutex_unlock(&v->mutex);
    return pin;
}

/* --- readers --- */

enum piece_kind { PIECE_EXTENT, PIECE_STRIP, PIECE_TILE };
struct piece {
    enum piece_kind kind;
    const void *data;
    uint32_t first, count; /* into the reader's times */
    uint64_t first_row;
    /* Strips: where the column of `slot` begins. All strips of a run are walked, also those before the
     * first wanted one: each continues the one before. */
    const uint8_t *column;
    uint32_t slot;
};

struct column {
    int64_t *times;
    double *values;
    size_t count, capacity;
};

struct head_reader {
    struct head_view *view;
    /* Of the group read last, for one span of time. */
    const struct group_pin *pin;
    uint32_t pin_group;
    int64_t mint, maxt;
    struct piece *pieces;
    size_t piece_count, piece_capacity;
    int64_t *times;
    size_t time_count, time_capacity;
    size_t from, to;   /* the wanted part of times */
    uint64_t from_row; /* the number of row `from` */
    double *values;
    uint64_t *present; /* a bit per row */
    size_t row_capacity;
    struct extent_window *windows; /* by place of the extent's piece */
    size_t window_capacity;
    /* Columns left out because they are damaged, since head_reader_lost(). */
    uint64_t lost_count;
    bool lost_is_news;
    struct error lost;
    /* Series with gaps or several groups. */
    struct column own[3];
    /* The extent map that a series was searched in. */
    const struct slot_map *searched;
    uint32_t searched_count;
    struct map by_series;
    uint32_t reads;
};

struct head_reader *head_reader_new(struct head_view *v)
{
    struct head_reader *r = mem_alloc_zero(MEM_QUERY, 1, sizeof *r);
    r->view = v;
    map_init(&r->by_series, MEM_QUERY);
    return r;
}

void head_reader_free(struct head_reader *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < ARRAY_COUNT(r->own); i++) {
        mem_free(MEM_QUERY, r->own[i].times);
        mem_free(MEM_QUERY, r->own[i].values);
    }
    for (size_t i = 0; i < r->window_capacity; i++)
        extent_window_deinit(&r->windows[i]);
    mem_free(MEM_QUERY, r->windows);
    map_deinit(&r->by_series);
    mem_free(MEM_QUERY, r->pieces);
    mem_free(MEM_QUERY, r->times);
    mem_free(MEM_QUERY, r->values);
    mem_free(MEM_QUERY, r->present);
    mem_free(MEM_QUERY, r);
}

/* --- what the series of a group share --- */

static struct piece *piece_add(struct head_reader *r, enum piece_kind kind, const void *data,
                               uint64_t first_row, uint32_t rows)
{
    r->pieces =
        mem_grow(MEM_QUERY, r->pieces, &r->piece_capacity, r->piece_count + 1, sizeof *r->pieces);
    r->times = mem_grow(MEM_QUERY, r->times, &r->time_capacity, r->time_count + EXTENT_ROWS_MAX,
                        sizeof *r->times);
    struct piece *p = &r->pieces[r->piece_count++];
    *p = (struct piece){kind, data, (uint32_t)r->time_count, rows, first_row, NULL, 0};
    return p;
}

/* Rows of a piece that begins at `first_row` and that the pin may see. */
static uint32_t rows_visible(const struct group_pin *pin, uint64_t first_row, uint32_t rows)
{
    if (first_row >= pin->visible_row)
        return 0;
    uint64_t visible = pin->visible_row - first_row;
    return visible < rows ? (uint32_t)visible : rows;
}

static void pieces_of_run(struct head_reader *r, const struct group_pin *pin)
{
    for (uint32_t i = 0; i < pin->strip_count; i++) {
        const struct strip *s = pin->run->strips[i];
        uint64_t first_row = pin->run->first_row + (uint64_t)i * STRIP_ROWS;
        uint32_t rows = rows_visible(pin, first_row, STRIP_ROWS);
        if (rows == 0)
            return;
        struct piece *p = piece_add(r, PIECE_STRIP, s, first_row, rows);
        p->column = s->bytes + s->slot_count;
        memcpy(r->times + r->time_count, s->times, rows * sizeof *r->times);
        r->time_count += rows;
    }
}

static void pieces_of_extents(struct head_reader *r, const struct group_pin *pin)
{
    for (uint32_t i = 0; i < pin->extents->count; i++) {
        const struct extent *x = pin->extents->items[i];
        uint32_t rows = rows_visible(pin, x->first_row, x->row_count);
        if (rows == 0 || x->last_time < r->mint || x->first_time > r->maxt)
            continue;
        piece_add(r, PIECE_EXTENT, x, x->first_row, rows);
        extent_times(x, r->times + r->time_count);
        r->time_count += rows;
    }
}

/* Extents come first, so that their places are small and stay in use. */
static void windows_reset(struct head_reader *r)
{
    size_t before = r->window_capacity;
    r->windows =
        mem_grow(MEM_QUERY, r->windows, &r->window_capacity, r->piece_count, sizeof *r->windows);
    if (r->window_capacity > before)
        memset(r->windows + before, 0, (r->window_capacity - before) * sizeof *r->windows);
    for (size_t i = 0; i < r->piece_count; i++)
        extent_window_reset(&r->windows[i]);
}

static size_t lower_bound(const int64_t *times, size_t count, int64_t t)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (times[mid] < t)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void group_load(struct head_reader *r, const struct group_pin *pin, int64_t mint,
                       int64_t maxt)
{
    r->pin = pin;
    r->pin_group = pin->group->id;
    r->mint = mint;
    r->maxt = maxt;
    r->piece_count = r->time_count = 0;
    pieces_of_extents(r, pin);
    windows_reset(r);
    if (pin->run)
        pieces_of_run(r, pin);
    if (pin->tile) {
        uint32_t rows = rows_visible(pin, pin->tile->first_row, STRIP_ROWS);
        if (rows > 0) {
            piece_add(r, PIECE_TILE, pin->tile, pin->tile->first_row, rows);
            memcpy(r->times + r->time_count, pin->tile->times, rows * sizeof *r->times);
            r->time_count += rows;
        }
    }
    r->from = lower_bound(r->times, r->time_count, mint);
    r->to = maxt == INT64_MAX ? r->time_count : lower_bound(r->times, r->time_count, maxt + 1);
    r->from_row = 0;
    for (size_t i = 0; i < r->piece_count && r->pieces[i].first <= r->from; i++)
        r->from_row = r->pieces[i].first_row + (r->from - r->pieces[i].first);
    size_t rows = r->time_count + EXTENT_ROWS_MAX;
    if (rows > r->row_capacity) {
        r->row_capacity = rows * 2;
        r->values = mem_resize(MEM_QUERY, r->values, r->row_capacity * sizeof *r->values);
        r->present = mem_resize(MEM_QUERY, r->present, (r->row_capacity / 64 + 2) * 8);
    }
}

/* --- one column --- */

/* Ors `bits` into the bitmap at row `first`. */
static void present_put(uint64_t *present, size_t first, uint64_t bits)
{
    size_t word = first / 64, shift = first & 63;
    present[word] |= bits << shift;
    if (shift > 0)
        present[word + 1] |= bits >> (64 - shift);
}

static uint64_t rows_mask(uint32_t rows)
{
    return rows >= 64 ? UINT64_MAX : (UINT64_C(1) << rows) - 1;
}

static bool searched_is(const void *context, uint32_t item, const void *key)
{
    return slot_map_get(context, item) == *(const uint32_t *)key;
}

/* The slot of a series in a map where it is not at the usual place. The first such question indexes the
 * map: many ended series ask the same one. */
static uint32_t slot_search(struct head_reader *r, const struct slot_map *map, uint32_t count,
                            uint32_t series)
{
    uint64_t hash = series * UINT64_C(0x9e3779b97f4a7c15);
    if (r->searched != map || r->searched_count != count) {
        map_clear(&r->by_series);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t id = slot_map_get(map, i);
            uint64_t h = id * UINT64_C(0x9e3779b97f4a7c15);
            if (id < SLOT_UNKNOWN)
                map_add(&r->by_series, h ^ h >> 32, i);
        }
        r->searched = map;
        r->searched_count = count;
    }
    return map_find(&r->by_series, hash ^ hash >> 32, searched_is, map, &series);
}

static uint32_t slot_in(struct head_reader *r, const struct slot_map *map, uint32_t count,
                        uint32_t hint, uint32_t series)
{
    if (LIKELY(hint < count && slot_map_get(map, hint) == series))
        return hint;
    uint32_t slot = slot_search(r, map, count, series);
    return slot == MAP_NONE ? SLOT_EMPTY : slot;
}

static const uint8_t *strip_seek(struct piece *p, uint32_t slot)
{
    const struct strip *s = p->data;
    if (slot < p->slot) {
        p->slot = 0;
        p->column = s->bytes + s->slot_count;
    }
    for (; p->slot < slot; p->slot++)
        p->column += strip_column_bytes(s->bytes[p->slot], p->column);
    return p->column;
}

static bool tile_column(const struct tile *t, uint32_t rows, uint32_t slot, double *out,
                        uint64_t *bits)
{
    size_t words = row_words(t->slot_capacity);
    *bits = 0;
    if (slot >= t->slot_capacity)
        return false;
    for (uint32_t row = 0; row < rows; row++) {
        if (!(t->present[row * words + slot / 64] >> (slot & 63) & 1))
            continue;
        out[row] = t->values[(size_t)row * t->slot_capacity + slot];
        *bits |= UINT64_C(1) << row;
    }
    return true;
}

/* The cells of an extent; none, and counted, where it is damaged. False for another error. */
static bool extent_load(struct head_reader *r, size_t piece, uint32_t slot, double *out,
                        uint64_t *bits, struct error *err)
{
    const struct extent *x = r->pieces[piece].data;
    struct error problem;
    double cells[EXTENT_ROWS_MAX];
    if (!extent_slot_is_occupied(x, slot))
        return true;
    if (!extent_column(x, &r->windows[piece], slot, cells, bits, &problem)) {
        *bits = 0;
        if (problem.kind != ERROR_CORRUPT) {
            if (err)
                *err = problem;
            return false;
        }
        if (r->lost_count++ == 0)
            r->lost = problem;
        r->lost_is_news |= extent_file_damage_is_news(x->file);
        return true;
    }
    memcpy(out, cells, r->pieces[piece].count * sizeof *out);
    return true;
}

/* Fills values and present for all loaded rows; *full: no cell is missing in [from, to). */
static bool column_load(struct head_reader *r, uint32_t series, uint32_t hint, bool *full,
                        struct error *err)
{
    const struct group_pin *pin = r->pin;
    struct strip_state state = {.chain = STRIP_CHAIN_BROKEN};
    uint32_t live = slot_in(r, pin->map, pin->map_count, hint, series);
    double scratch[STRIP_ROWS];
    *full = true;
    memset(r->present, 0, (r->time_count / 64 + 2) * 8);
    for (size_t i = 0; i < r->piece_count; i++) {
        struct piece *p = &r->pieces[i];
        uint64_t bits = 0;
        double *out = r->values + p->first;
        if (p->kind == PIECE_EXTENT) {
            const struct extent *x = p->data;
            uint32_t slot = slot_in(r, x->map, x->slot_count, hint, series);
            if (slot != SLOT_EMPTY && !extent_load(r, i, slot, out, &bits, err))
                return false;
        } else if (p->kind == PIECE_STRIP) {
            const struct strip *s = p->data;
            if (live != SLOT_EMPTY && live < s->slot_count) {
                bits = strip_decode(&state, s->bytes[live], strip_seek(p, live), scratch);
                memcpy(out, scratch, STRIP_ROWS * sizeof *out);
            }
        } else if (live != SLOT_EMPTY) {
            tile_column(p->data, p->count, live, out, &bits);
        }
        bits &= rows_mask(p->count);
        present_put(r->present, p->first, bits);
        size_t end = (size_t)p->first + p->count;
        if (bits != rows_mask(p->count) && end > r->from && p->first < r->to)
            *full = false;
    }
    return true;
}

static void column_reserve(struct column *c, size_t count)
{
    size_t capacity = c->capacity;
    c->times = mem_grow(MEM_QUERY, c->times, &capacity, count, sizeof *c->times);
    c->values = mem_grow(MEM_QUERY, c->values, &c->capacity, count, sizeof *c->values);
}

static void column_compact(struct head_reader *r, struct column *out)
{
    out->count = 0;
    column_reserve(out, r->to - r->from + 1);
    for (size_t i = r->from; i < r->to; i++) {
        if (r->present[i / 64] >> (i & 63) & 1) {
            out->times[out->count] = r->times[i];
            out->values[out->count++] = r->values[i];
        }
    }
}

/* 24 bits of pin, 22 of row number, 18 of count: distinct while a view lives. What does not fit goes
 * without. */
static uint64_t times_id_of(const struct head_reader *r)
{
    uint64_t first = r->from_row, count = r->to - r->from;
    if (count >= 1 << 18 || first >= (uint64_t)1 << 22)
        return 0;
    return (r->pin->id & 0xffffff) << 40 | first << 18 | count;
}

static const struct group_pin *group_pinned(struct head_reader *r, uint32_t group)
{
    return r->pin && r->pin_group == group ? r->pin : head_view_pin(r->view, group);
}

/* True when the group was loaded and has rows in the span. */
static bool reader_enter(struct head_reader *r, uint32_t group, int64_t mint, int64_t maxt)
{
    if (!r->pin || r->pin_group != group || r->mint != mint || r->maxt != maxt) {
        const struct group_pin *pin = group_pinned(r, group);
        if (!pin)
            return false;
        group_load(r, pin, mint, maxt);
    }
    return r->from < r->to;
}

/* Merges b into a: ascending, and where both have a time the first stays. */
static void columns_merge(const struct column *a, const struct column *b, struct column *out)
{
    size_t i = 0, k = 0;
    out->count = 0;
    column_reserve(out, a->count + b->count + 1);
    while (i < a->count || k < b->count) {
        bool take_a = k == b->count || (i < a->count && a->times[i] <= b->times[k]);
        const struct column *c = take_a ? a : b;
        size_t at = take_a ? i++ : k++;
        if (out->count > 0 && out->times[out->count - 1] == c->times[at])
            continue;
        out->times[out->count] = c->times[at];
        out->values[out->count++] = c->values[at];
    }
}

static void give(struct samples *out, const struct column *c)
{
    out->times = c->times;
    out->values = c->values;
    out->count = c->count;
}

/* --- late samples --- */

/* A group without late samples pays for one question. */
static bool group_has_late(struct head_reader *r, uint32_t group, uint32_t series, int64_t mint,
                           int64_t maxt)
{
    const struct group_pin *pin = group_pinned(r, group);
    size_t count = 0;
    for (size_t i = 0; pin && i < pin->late_count && count == 0; i++)
        (void)late_run_find(pin->late[i], series, mint, maxt, &count);
    return count > 0;
}

static void late_column(const struct late_run *run, uint32_t series, int64_t mint, int64_t maxt,
                        struct column *out)
{
    size_t count;
    const struct late_sample *found = late_run_find(run, series, mint, maxt, &count);
    out->count = 0;
    column_reserve(out, count + 1);
    for (size_t i = 0; i < count; i++) {
        out->times[out->count] = found[i].t;
        out->values[out->count++] = found[i].value;
    }
}

struct merging {
    struct column *whole, *part, *spare;
};

/* `part` into `whole`. */
static void merge_part(struct merging *m)
{
    if (m->part->count == 0)
        return;
    columns_merge(m->whole, m->part, m->spare);
    struct column *merged = m->spare;
    m->spare = m->whole;
    m->whole = merged;
}

/* All that the groups have of the series: rows from rows_mint on, then late samples, oldest commit first. */
static NOINLINE bool read_several(struct head_reader *r, uint32_t series, const uint32_t *groups,
                                  size_t group_count, uint32_t hint, int64_t rows_mint,
                                  int64_t mint, int64_t maxt, struct samples *out,
                                  struct error *err)
{
    struct merging m = {&r->own[0], &r->own[1], &r->own[2]};
    m.whole->count = 0;
    for (size_t i = 0; i < group_count && !r->view->late_only; i++) {
        if (rows_mint > maxt || !reader_enter(r, groups[i], rows_mint, maxt))
            continue;
        bool full;
        if (!column_load(r, series, hint, &full, err))
            return false;
        column_compact(r, m.part);
        merge_part(&m);
    }
    for (size_t i = 0; i < group_count; i++) {
        const struct group_pin *pin = group_pinned(r, groups[i]);
        for (size_t k = 0; pin && k < pin->late_count; k++) {
            late_column(pin->late[k], series, mint, maxt, m.part);
            merge_part(&m);
        }
    }
    give(out, m.whole);
    return true;
}

void head_reader_rows(struct head_reader *r, const struct group *g, uint32_t series, uint32_t slot,
                      int64_t mint, int64_t maxt, struct samples *out)
{
    *out = (struct samples){0};
    if (!reader_enter(r, g->id, mint, maxt))
        return;
    bool full;
    struct error ignored; /* what cannot be read is not known */
    if (!column_load(r, series, slot, &full, &ignored))
        return;
    column_compact(r, &r->own[0]);
    give(out, &r->own[0]);
}

bool head_reader_read(struct head_reader *r, uint64_t ref, int64_t mint, int64_t maxt,
                      const atomic_bool *cancel, struct samples *out, struct error *err)
{
    uint32_t groups[GROUPS_PER_SERIES_MAX], slot;
    *out = (struct samples){0};
    if (cancel && ++r->reads % CANCEL_EVERY == 0 &&
        atomic_load_explicit(cancel, memory_order_relaxed))
        return error_set(err, ERROR_CANCELED, "the query was canceled");
    ASSERT(ref < head_series_count(r->view->head));
    int64_t rows_mint = mint < r->view->floor ? r->view->floor : mint;
    size_t count = head_series_groups(r->view->head, r->view->catalog, (uint32_t)ref, groups,
                                      GROUPS_PER_SERIES_MAX, &slot);
    if (count == 0 || mint > maxt)
        return true;
    if (UNLIKELY(count > 1 || r->view->late_only ||
                 group_has_late(r, groups[0], (uint32_t)ref, mint, maxt)))
        return read_several(r, (uint32_t)ref, groups, count, slot, rows_mint, mint, maxt, out, err);
    if (rows_mint > maxt || !reader_enter(r, groups[0], rows_mint, maxt))
        return true;
    bool full;
    if (!column_load(r, (uint32_t)ref, slot, &full, err))
        return false;
    if (full) {
        *out = (struct samples){.times = r->times + r->from,
                                .values = r->values + r->from,
                                .count = r->to - r->from,
                                .times_id = times_id_of(r)};
        return true;
    }
    column_compact(r, &r->own[0]);
    give(out, &r->own[0]);
    return true;
}

uint64_t head_reader_lost(struct head_reader *r, struct error *first, bool *is_news)
{
    uint64_t count = r->lost_count;
    *first = r->lost;
    *is_news = r->lost_is_news;
    r->lost_count = 0;
    r->lost_is_news = false;
    return count;
}
