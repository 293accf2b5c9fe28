/* SPDX-License-Identifier: Apache-2.0 */
/* head_series.c: the table of series, how one is found by its labels, and what goes into the series log
 * when one is made. Everything is under h->creation; readers see entries below series_count. */
#include "storage/head_private.h"

#include "base/assert.h"

#include <inttypes.h>

enum { INDEX_MIN = 1024, METADATA_MAX = 100000, HELP_BYTES_MAX = 4096 };

/* --- hash index: open addressing, load at most 3/4, no tombstones --- */

static size_t index_slot(const struct head *h, uint64_t hash)
{
    return (size_t)(hash ^ hash >> 32) & (h->index_capacity - 1);
}

static void index_put(struct head *h, uint32_t id)
{
    size_t at = index_slot(h, series_hash(head_series(h, id)));
    while (h->index[at] != SERIES_DEAD)
        at = (at + 1) & (h->index_capacity - 1);
    h->index[at] = id;
}

static void index_add(struct head *h, uint32_t id)
{
    if ((h->index_count + 1) * 4 > h->index_capacity * 3) {
        uint32_t *old = h->index;
        size_t old_capacity = h->index_capacity;
        h->index_capacity = old_capacity ? old_capacity * 2 : INDEX_MIN;
        h->index = mem_alloc(MEM_INDEX, h->index_capacity * sizeof *h->index);
        memset(h->index, 0xff, h->index_capacity * sizeof *h->index);
        for (size_t i = 0; i < old_capacity; i++) {
            if (old[i] != SERIES_DEAD)
                index_put(h, old[i]);
        }
        mem_free(MEM_INDEX, old);
    }
    index_put(h, id);
    h->index_count++;
}

uint32_t head_find_series_locked(struct head *h, labels_id labels, uint64_t hash)
{
    if (h->index_capacity == 0)
        return SERIES_DEAD;
    for (size_t at = index_slot(h, hash);; at = (at + 1) & (h->index_capacity - 1)) {
        uint32_t id = h->index[at];
        if (id == SERIES_DEAD || head_series(h, id)->labels == labels.n)
            return id;
    }
}

/* Entries behind the gap move up when that brings them nearer to where their hash wants them. */
void head_index_remove_locked(struct head *h, uint32_t id)
{
    size_t mask = h->index_capacity - 1, gap = index_slot(h, series_hash(head_series(h, id)));
    while (h->index[gap] != id) {
        ASSERT(h->index[gap] != SERIES_DEAD);
        gap = (gap + 1) & mask;
    }
    for (size_t at = (gap + 1) & mask; h->index[at] != SERIES_DEAD; at = (at + 1) & mask) {
        size_t home = index_slot(h, series_hash(head_series(h, h->index[at])));
        if (((at - home) & mask) >= ((at - gap) & mask)) {
            h->index[gap] = h->index[at];
            gap = at;
        }
    }
    h->index[gap] = SERIES_DEAD;
    h->index_count--;
}

/* --- log --- */

/* True once per number, until the log is rewritten. */
static bool log_first(uint8_t **logged, size_t *capacity, uint32_t number)
{
    if (number >= *capacity) {
        size_t old = *capacity;
        *logged = mem_grow(MEM_INDEX, *logged, capacity, (size_t)number + 1, 1);
        memset(*logged + old, 0, *capacity - old);
    }
    bool first = !(*logged)[number];
    (*logged)[number] = 1;
    return first;
}

static void log_symbol(struct head *h, symbol_id symbol)
{
    if (log_first(&h->logged_symbols, &h->logged_symbols_capacity, symbol.n))
        series_log_add_symbol(&h->log, symbol.n, label_store_text(h->catalog->labels, symbol));
}

/* The series, behind the symbols and the shape that it is the first to use. */
static void log_series(struct head *h, uint32_t id, labels_id labels)
{
    uint32_t count;
    shape_id shape = label_store_shape(h->catalog->labels, labels);
    const symbol_id *names = label_store_shape_names(h->catalog->labels, shape, &count);
    const symbol_id *values = label_store_values(h->catalog->labels, labels);
    if (!h->log_has_reset)
        series_log_add_reset(&h->log);
    h->log_has_reset = true;
    for (uint32_t i = 0; i < count; i++)
        log_symbol(h, values[i]);
    if (log_first(&h->logged_shapes, &h->logged_shapes_capacity, shape.n)) {
        for (uint32_t i = 0; i < count; i++)
            log_symbol(h, names[i]);
        series_log_add_shape(&h->log, shape.n, names, count);
    }
    series_log_add_series(&h->log, id, shape.n, values, count);
}

/* --- table --- */

static void series_fill(struct head *h, uint32_t id, labels_id labels, uint64_t hash)
{
    struct series *s = catalog_series_make(h->catalog, id);
    s->labels = labels.n;
    s->hash_low = (uint32_t)hash;
    s->hash_high = (uint32_t)(hash >> 32);
    catalog_add_postings(h->catalog, id, labels);
    index_add(h, id);
    h->series_live++;
    head_count_series_locked(h, labels, 1);
}

enum guard_limit head_room_locked(struct head *h, struct labels ls)
{
    uint32_t id = atomic_load_explicit(&h->series_count, memory_order_relaxed);
    if ((h->options.series_max > 0 && h->series_live >= h->options.series_max) ||
        id >= (uint32_t)SERIES_PAGE * SERIES_PAGES_MAX)
        return GUARD_TOTAL;
    return series_guard_ask(&h->guard, labels_get(ls, VIEW("job")),
                            labels_get(ls, VIEW(LABEL_NAME)), clock_mono());
}

static struct view value_of(const struct label_store *store, labels_id labels, struct view name)
{
    symbol_id symbol = label_store_find_symbol(store, name);
    if (symbol.n == LABEL_STORE_NONE)
        return VIEW("");
    return label_store_text(store, label_store_get(store, labels, symbol));
}

void head_count_series_locked(struct head *h, labels_id labels, int change)
{
    const struct label_store *store = h->catalog->labels;
    series_guard_count(&h->guard, value_of(store, labels, VIEW("job")),
                       value_of(store, labels, VIEW(LABEL_NAME)), change);
}

uint32_t head_create_series_locked(struct head *h, labels_id labels, uint64_t hash)
{
    uint32_t id = atomic_load_explicit(&h->series_count, memory_order_relaxed);
    ASSERT(id < (uint32_t)SERIES_PAGE * SERIES_PAGES_MAX);
    series_fill(h, id, labels, hash);
    atomic_store_explicit(&h->series_count, id + 1, memory_order_release);
    h->series_created++;

    log_series(h, id, labels);
    return id;
}

void head_restore_series_locked(struct head *h, uint32_t id, labels_id labels)
{
    if (id >= (uint32_t)SERIES_PAGE * SERIES_PAGES_MAX ||
        id < atomic_load_explicit(&h->series_count, memory_order_relaxed))
        return; /* numbers ascend in the log; what stands there twice counts once */
    uint64_t hash = label_store_hash(h->catalog->labels, labels);
    uint32_t same = head_find_series_locked(h, labels, hash);
    if (same != SERIES_DEAD) {
        /* Forgotten and made again before the log was rewritten: the later one lives. The old number
         * has no labels from now on, so nothing finds it; its data is below the floor. */
        head_index_remove_locked(h, same);
        head_series(h, same)->labels = LABEL_STORE_NONE;
        h->series_live--;
        head_count_series_locked(h, labels, -1);
    }
    series_fill(h, id, labels, hash);
    atomic_store_explicit(&h->series_count, id + 1, memory_order_release);
}

/* --- places --- */

static uint64_t move_hash(uint32_t series)
{
    uint64_t hash = series * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

static bool move_is_of(const void *context, uint32_t item, const void *key)
{
    const struct head *h = context;
    return h->moved[item].series == *(const uint32_t *)key;
}

static uint32_t moves_first(const struct head *h, uint32_t series)
{
    return map_find(&h->moved_index, move_hash(series), move_is_of, h, &series);
}

static struct series_move *move_find(const struct head *h, uint32_t series, uint32_t group)
{
    for (uint32_t i = moves_first(h, series); i != MAP_NONE; i = h->moved[i].next) {
        if (h->moved[i].group == group)
            return &h->moved[i];
    }
    return NULL;
}

static void move_link(struct head *h, uint32_t idx)
{
    uint32_t first = moves_first(h, h->moved[idx].series);
    if (first == MAP_NONE) {
        h->moved[idx].next = MAP_NONE;
        map_add(&h->moved_index, move_hash(h->moved[idx].series), idx);
    } else {
        h->moved[idx].next = h->moved[first].next;
        h->moved[first].next = idx;
    }
}

static void move_add(struct head *h, uint32_t series, uint32_t group, uint32_t slot)
{
    struct series_move *known = move_find(h, series, group);
    if (known) {
        known->slot = slot;
        known->is_needed = true;
        return;
    }
    h->moved =
        mem_grow(MEM_HEAD, h->moved, &h->moved_capacity, h->moved_count + 1, sizeof *h->moved);
    h->moved[h->moved_count] = (struct series_move){series, group, slot, MAP_NONE, true};
    move_link(h, (uint32_t)h->moved_count++);
}

bool head_slot_elsewhere_locked(const struct head *h, uint32_t id, uint32_t group, uint32_t *slot)
{
    const struct series_move *m = move_find(h, id, group);
    if (m)
        *slot = m->slot;
    return m != NULL;
}

void head_moves_begin_locked(struct head *h)
{
    for (size_t i = 0; i < h->moved_count; i++)
        h->moved[i].is_needed = false;
}

void head_move_is_needed_locked(struct head *h, uint32_t id, uint32_t group)
{
    struct series_move *m = move_find(h, id, group);
    if (m)
        m->is_needed = true;
}

/* A series that is left with its own group alone is read without this table again. The flag of the others
 * stays throughout: a reader may look at any moment. */
void head_moves_end_locked(struct head *h)
{
    size_t kept = 0, before = h->moved_count;
    map_clear(&h->moved_index);
    for (size_t i = 0; i < before; i++) {
        struct series_move m = h->moved[i];
        if (m.is_needed && head_series(h, m.series) && head_group(h, m.group)) {
            h->moved[i] = h->moved[kept];
            h->moved[kept++] = m;
        }
    }
    h->moved_count = kept;
    for (size_t i = 0; i < kept; i++)
        move_link(h, (uint32_t)i);
    for (size_t i = kept; i < before; i++) {
        struct series *s = head_series(h, h->moved[i].series);
        if (s && moves_first(h, h->moved[i].series) == MAP_NONE)
            atomic_fetch_and_explicit(&s->slot, ~SERIES_MOVED, memory_order_relaxed);
    }
}

/* A reader loads slot, group, slot again (head_series_groups): SERIES_MOVED is there before the group
 * changes, so it never pairs the new group with a slot of the old one unnoticed. */
void head_place_series_locked(struct head *h, uint32_t id, uint32_t group, uint32_t slot)
{
    struct series *s = head_series(h, id);
    uint32_t old_group = atomic_load_explicit(&s->group, memory_order_relaxed);
    uint32_t place = atomic_load_explicit(&s->slot, memory_order_relaxed);
    uint32_t flags = place & SERIES_MOVED;
    if (old_group != SERIES_DEAD && old_group != group) {
        move_add(h, id, old_group, place & SERIES_SLOT_MASK);
        flags = SERIES_MOVED;
        atomic_fetch_or_explicit(&s->slot, SERIES_MOVED, memory_order_release);
    }
    atomic_store_explicit(&s->group, group, memory_order_release);
    atomic_store_explicit(&s->slot, slot | flags | SERIES_ASSIGNED, memory_order_release);
}

void head_place_late_locked(struct head *h, uint32_t id, uint32_t group)
{
    struct series *s = head_series(h, id);
    uint32_t own = atomic_load_explicit(&s->group, memory_order_relaxed);
    if (own == group)
        return;
    if (own == SERIES_DEAD) {
        atomic_store_explicit(&s->group, group, memory_order_release);
        atomic_store_explicit(&s->slot, 0, memory_order_release); /* none: not assigned */
        return;
    }
    move_add(h, id, group, 0);
    atomic_fetch_or_explicit(&s->slot, SERIES_MOVED, memory_order_release);
}

size_t head_series_groups(struct head *h, const struct catalog *c, uint32_t id, uint32_t *groups,
                          size_t max, uint32_t *slot)
{
    const struct series *s = catalog_series(c, id);
    uint32_t before = atomic_load_explicit(&s->slot, memory_order_acquire);
    groups[0] = atomic_load_explicit(&s->group, memory_order_acquire);
    uint32_t after = atomic_load_explicit(&s->slot, memory_order_relaxed);
    *slot = before & SERIES_SLOT_MASK;
    if (groups[0] == SERIES_DEAD)
        return 0;
    if (LIKELY(before == after && !(before & SERIES_MOVED)))
        return 1;
    size_t count = 1;
    mutex_lock(&h->creation);
    groups[0] = atomic_load_explicit(&s->group, memory_order_relaxed);
    *slot = atomic_load_explicit(&s->slot, memory_order_relaxed) & SERIES_SLOT_MASK;
    for (uint32_t i = moves_first(h, id); i != MAP_NONE && count < max; i = h->moved[i].next) {
        if (h->moved[i].group != groups[0])
            groups[count++] = h->moved[i].group;
    }
    mutex_unlock(&h->creation);
    return count;
}

/* --- groups --- */

struct group *head_add_group_locked(struct head *h, uint32_t id, struct view key)
{
    uint32_t page = id / GROUP_PAGE;
    if (page >= GROUP_PAGES_MAX)
        return NULL;
    /* Pages below are made too: head_group() trusts the count alone. */
    for (uint32_t i = 0; i <= page; i++) {
        if (!h->group_pages[i])
            h->group_pages[i] = mem_alloc_zero(MEM_HEAD, GROUP_PAGE, sizeof h->group_pages[0][0]);
    }
    struct group *g = group_new(h, id, key);
    atomic_store_explicit(&h->group_pages[page][id % GROUP_PAGE], g, memory_order_release);
    if (id >= atomic_load_explicit(&h->group_count, memory_order_relaxed))
        atomic_store_explicit(&h->group_count, id + 1, memory_order_release);
    if (key.len > 0)
        string_map_set(h->group_keys, key, id);
    h->groups_live++;
    return g;
}

/* --- metadata --- */

uint32_t head_add_metadata_locked(struct head *h, const struct metric_metadata *m, bool log)
{
    struct metric_metadata cut = *m;
    struct buffer key;
    uint64_t number = METADATA_NONE;
    cut.help = view_slice(m->help, 0, HELP_BYTES_MAX);
    buffer_init(&key, MEM_HEAD, (size_t)1 << 24);
    buffer_append_u8(&key, (uint8_t)cut.type);
    buffer_append_string(&key, cut.family);
    buffer_append_string(&key, cut.unit);
    buffer_append_view(&key, cut.help);
    if (!key.failed && !string_map_get(h->metadata_index, buffer_view(&key), &number) &&
        h->metadata_count < METADATA_MAX) {
        struct metric_metadata *kept = ARENA_NEW(&h->metadata_arena, struct metric_metadata);
        kept->type = cut.type;
        kept->family = arena_copy(&h->metadata_arena, cut.family);
        kept->help = arena_copy(&h->metadata_arena, cut.help);
        kept->unit = arena_copy(&h->metadata_arena, cut.unit);
        h->metadata = mem_grow(MEM_HEAD, (void *)h->metadata, &h->metadata_capacity,
                               h->metadata_count + 1, sizeof(struct metric_metadata *));
        number = h->metadata_count;
        string_map_set(h->metadata_index, buffer_view(&key), number);
        h->metadata[h->metadata_count++] = kept;
        if (log)
            series_log_add_metadata(&h->log, kept);
    }
    buffer_deinit(&key);
    return (uint32_t)number;
}

/* --- series log --- */

void head_take_log(struct head *h, struct buffer *out)
{
    mutex_lock(&h->creation);
    series_log_take(&h->log, out);
    mutex_unlock(&h->creation);
}
