/* SPDX-License-Identifier: Apache-2.0 */
/* family.c: families, and the table of a family's children.
 *
 * The table is open addressing over pointers to children; a slot is filled once and may become GONE. Whoever looks for a child
 * takes no lock: it loads the table (seq_cst) between block_read_begin() and _end(), and finds the child or does not. Changes
 * are made under the lock: a child is whole before its pointer is stored (release). A table that is replaced is freed when no
 * thread is reading (belfry__blocks_are_quiet(): a thread that begins later finds the new one), at the latest with the
 * family. Children themselves are never freed before, unless the program says that it holds no pointers to those that were
 * taken out (reclaim.c). */
#include "instrument/family.h"

#include "instrument/clock.h"
#include "instrument/lock.h"
#include "instrument/status.h"
#include "instrument/text.h"

#include <stdlib.h>
#include <string.h>

enum { SLOT_COUNT_MIN = 4, CHILDREN_MAX_MAX = 1 << 28 };

struct child_table {
    struct child_table *older; /* the lock: among old tables */
    uint32_t mask;             /* slots - 1 */
    uint32_t used;             /* the lock: slots that are not empty */
    _Atomic uint8_t *
        tags; /* behind the slots: 8 bits of each child's hash, so that others' memory is not touched */
    _Atomic(struct metric *) slots[];
};

static struct metric gone; /* its address alone */
#define GONE (&gone)

/* What is looked for. */
struct key {
    const char *const *values;
    uint16_t lens[BELFRY_LABELS_MAX];
    size_t count, bytes; /* bytes: with each NUL */
    uint32_t hash;
};

/* --- keys --- */

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 32;
}

/* 8 bytes at a time; the last may overlap those before. The address differs from run to run: so nobody can choose values that
 * fall on each other. */
static uint64_t hash_value(uint64_t h, const char *p, size_t len)
{
    uint64_t word = 0;
    h ^= len;
    if (len >= 8) {
        for (size_t pos = 0; pos + 8 < len; pos += 8) {
            memcpy(&word, p + pos, 8);
            h = mix(h, word);
        }
        memcpy(&word, p + len - 8, 8);
    } else if (len >= 4) {
        uint32_t first, last;
        memcpy(&first, p, 4);
        memcpy(&last, p + len - 4, 4);
        word = (uint64_t)first << 32 | last;
    } else if (len > 0) {
        word = (uint64_t)(unsigned char)p[0] << 16 | (uint64_t)(unsigned char)p[len / 2] << 8 |
               (unsigned char)p[len - 1];
    }
    return mix(h, word);
}

/* Sets the error when it returns false. */
static bool key_from(struct key *key, const struct family *f, const char *const *values,
                     size_t value_count)
{
    if (value_count != SIZE_MAX && value_count != f->label_count) {
        belfry__fail(BELFRY_ERROR_LABELS, "\"%s\" has %zu labels, but %zu values were given",
                     f->name, f->label_count, value_count);
        return false;
    }
    if (f->label_count && !values) {
        belfry__fail(BELFRY_ERROR_LABELS, "\"%s\" has %zu labels, but no values were given",
                     f->name, f->label_count);
        return false;
    }
    uint64_t h = (uint64_t)(uintptr_t)&gone;
    key->values = values;
    key->count = f->label_count;
    key->bytes = 0;
    for (size_t i = 0; i < key->count; i++) {
        size_t len = values[i] ? strnlen(values[i], BELFRY_LABEL_VALUE_BYTES_MAX + 1) : SIZE_MAX;
        if (UNLIKELY(len > BELFRY_LABEL_VALUE_BYTES_MAX)) {
            belfry_status status = belfry__check_label_value(f->name, f->label_names[i], values[i],
                                                             BELFRY_LABEL_VALUE_BYTES_MAX);
            (void)status; /* it has told */
            return false;
        }
        key->lens[i] = (uint16_t)len;
        key->bytes += len + 1;
        h = hash_value(h, values[i], len);
    }
    /* mix() has folded the upper half into the lower: folding again would undo it, and the last bytes of a value, where
     * names that are counted differ, would not be in the hash. */
    key->hash = (uint32_t)(h * UINT64_C(0x9e3779b97f4a7c15) >> 32);
    return true;
}

static bool key_is_of(const struct key *key, const struct metric *m)
{
    if (m->hash != key->hash || m->values_bytes != key->bytes)
        return false;
    const char *there = metric_values(m);
    for (size_t i = 0; i < key->count; i++) {
        if (memcmp(there, key->values[i], (size_t)key->lens[i] + 1) != 0)
            return false;
        there += key->lens[i] + 1;
    }
    return true;
}

/* --- the table --- */

/* The lowest bits choose the slot. */
static uint8_t hash_tag(uint32_t hash)
{
    return (uint8_t)(hash >> 24);
}

/* The slot of the child, NULL where it is not there. */
static _Atomic(struct metric *) *table_find(struct child_table *t, const struct key *key)
{
    if (!t)
        return NULL;
    uint8_t tag = hash_tag(key->hash);
    for (uint32_t slot = key->hash & t->mask;; slot = (slot + 1) & t->mask) {
        struct metric *m = atomic_load_explicit(&t->slots[slot], memory_order_acquire);
        if (!m)
            return NULL;
        if (atomic_load_explicit(&t->tags[slot], memory_order_relaxed) == tag && m != GONE &&
            key_is_of(key, m))
            return &t->slots[slot];
    }
}

static void table_put_locked(struct child_table *t, struct metric *m)
{
    uint32_t slot = m->hash & t->mask;
    while (atomic_load_explicit(&t->slots[slot], memory_order_relaxed))
        slot = (slot + 1) & t->mask;
    t->used++;
    atomic_store_explicit(&t->tags[slot], hash_tag(m->hash), memory_order_relaxed);
    atomic_store_explicit(&t->slots[slot], m, memory_order_release); /* and the tag */
}

static struct child_table *family_table_locked(const struct family *f)
{
    return atomic_load_explicit(&f->table, memory_order_relaxed);
}

static void old_tables_free_locked(struct family *f)
{
    while (f->old_tables) {
        struct child_table *t = f->old_tables;
        f->old_tables = t->older;
        free(t);
    }
}

/* A table of `slots` with the children of the one there is. False without memory. */
static bool table_replace_locked(struct family *f, uint32_t slots)
{
    struct child_table *old = family_table_locked(f);
    struct child_table *t =
        calloc(1, sizeof(*t) + slots * (sizeof(t->slots[0]) + sizeof(t->tags[0])));
    if (!t)
        return false;
    t->mask = slots - 1;
    t->tags = (_Atomic uint8_t *)(t->slots + slots);
    for (uint32_t i = 0; old && i <= old->mask; i++) {
        struct metric *m = atomic_load_explicit(&old->slots[i], memory_order_relaxed);
        if (m && m != GONE)
            table_put_locked(t, m);
    }
    atomic_store(&f->table, t); /* seq_cst: whoever begins to read after the look below finds it */
    if (old) {
        old->older = f->old_tables;
        f->old_tables = old;
    }
    if (f->old_tables && belfry__blocks_are_quiet())
        old_tables_free_locked(f);
    return true;
}

/* Room for one more: at most two thirds of the slots are used. A new table has half of them free at least, so that removing and
 * adding without end does not replace it each time. False without memory. */
static bool table_reserve_locked(struct family *f)
{
    struct child_table *t = family_table_locked(f);
    if (t && (t->used + 1) * 3 <= (t->mask + 1) * 2)
        return true;
    uint32_t slots = f->label_count ? SLOT_COUNT_MIN : 2;
    uint32_t shown = atomic_load_explicit(&f->shown_count, memory_order_relaxed) + 2;
    while (f->label_count && slots < shown * 2)
        slots *= 2;
    return table_replace_locked(f, slots);
}

/* --- children --- */

static void metric_free_locked(struct metric *m)
{
    const struct family *f = m->family;
    if (f->cell_count)
        belfry__cells_give_locked(&m->cells, f->cell_count);
    if (f->type == BELFRY_COUNTER)
        belfry__exemplar_free(((belfry_counter *)m)->exemplar);
    else if (f->type == BELFRY_HISTOGRAM)
        belfry__histogram_deinit_locked((belfry_histogram *)m);
    else if (f->type == BELFRY_SUMMARY)
        belfry__summary_deinit_locked((belfry_summary *)m);
    free(m);
}

/* After the table shows it. */
static void changed_locked(struct family *f)
{
    atomic_fetch_add_explicit(&f->change_count, 1, memory_order_release);
}

static bool metric_init_locked(struct metric *m, struct family *f)
{
    m->family = f;
    m->created_ms = belfry__clock_ms();
    if (f->cell_count && !belfry__cells_take_locked(&m->cells, f->cell_count))
        return false;
    bool ok = true;
    if (f->type == BELFRY_HISTOGRAM)
        ok = belfry__histogram_init_locked((belfry_histogram *)m);
    else if (f->type == BELFRY_SUMMARY)
        ok = belfry__summary_init_locked((belfry_summary *)m);
    else if (f->type == BELFRY_INFO)
        atomic_init(&((belfry_gauge *)m)->bits, bits_from_double(1));
    if (!ok && f->cell_count)
        belfry__cells_give_locked(&m->cells, f->cell_count);
    return ok;
}

/* NULL without memory. */
static struct metric *child_new_locked(struct family *f, const struct key *key)
{
    struct metric *m = calloc(1, f->child_bytes + key->bytes);
    if (!m || !table_reserve_locked(f) || !metric_init_locked(m, f)) {
        free(m);
        return NULL;
    }
    m->hash = key->hash;
    m->values_bytes = (uint16_t)key->bytes;
    char *values = (char *)m + f->child_bytes;
    for (size_t i = 0; i < key->count; i++) {
        memcpy(values, key->values[i], (size_t)key->lens[i] + 1);
        m->needs_escape = m->needs_escape || values[strcspn(values, "\\\"\n")] != '\0';
        values += key->lens[i] + 1;
    }
    table_put_locked(family_table_locked(f), m);
    changed_locked(f);
    return m;
}

static struct metric *overflow_locked(struct family *f)
{
    const char *values[BELFRY_LABELS_MAX];
    for (size_t i = 0; i < BELFRY_LABELS_MAX; i++)
        values[i] = "overflow";
    struct key key;
    if (!key_from(&key, f, values, SIZE_MAX))
        return NULL;
    struct metric *before = atomic_load_explicit(&f->overflow, memory_order_relaxed);
    _Atomic(struct metric *) *slot = table_find(family_table_locked(f), &key);
    struct metric *m =
        slot ? atomic_load_explicit(slot, memory_order_relaxed) : child_new_locked(f, &key);
    if (slot && m != before) /* the program asked for it once: it is no child of its own any more */
        atomic_fetch_sub_explicit(&f->shown_count, 1, memory_order_relaxed);
    atomic_store_explicit(&f->overflow, m, memory_order_release);
    return m;
}

static struct metric *child_make_locked(struct family *f, const struct key *key, bool *folds)
{
    _Atomic(struct metric *) *slot = table_find(family_table_locked(f), key);
    if (slot)
        return atomic_load_explicit(slot, memory_order_relaxed);
    uint32_t shown = atomic_load_explicit(&f->shown_count, memory_order_relaxed);
    if (shown >= atomic_load_explicit(&f->children_max, memory_order_relaxed)) {
        *folds = true;
        return overflow_locked(f);
    }
    struct metric *m = child_new_locked(f, key);
    if (m)
        atomic_store_explicit(&f->shown_count, shown + 1, memory_order_relaxed);
    return m;
}

/* The key is not there yet. */
static NOINLINE struct metric *child_make(struct family *f, const struct key *key)
{
    for (size_t i = 0; i < key->count; i++) {
        if (belfry__check_label_value(f->name, f->label_names[i], key->values[i],
                                      BELFRY_LABEL_VALUE_BYTES_MAX) != BELFRY_OK)
            return NULL;
    }
    struct metric *m = atomic_load_explicit(&f->overflow, memory_order_acquire);
    bool folds = m && atomic_load_explicit(&f->shown_count, memory_order_relaxed) >=
                          atomic_load_explicit(&f->children_max, memory_order_relaxed);
    if (!folds) {
        belfry__lock();
        bool is_unregistered = atomic_load_explicit(&f->is_unregistered, memory_order_relaxed);
        m = is_unregistered ? NULL : child_make_locked(f, key, &folds);
        belfry__unlock();
        if (!m && is_unregistered)
            belfry__fail(BELFRY_ERROR_NOT_FOUND, "\"%s\" is not registered any more", f->name);
        else if (!m)
            belfry__fail(BELFRY_ERROR_MEMORY, "\"%s\": there is no memory for a child", f->name);
    }
    if (folds)
        atomic_fetch_add_explicit(&f->folded_count, 1, memory_order_relaxed);
    return m;
}

struct metric *belfry__family_with(struct family *f, const char *const *values, size_t value_count)
{
    struct key key;
    struct metric *m = NULL;
    if (UNLIKELY(!f)) {
        belfry__fail_plainly(BELFRY_ERROR_NULL);
        return NULL;
    }
    if (!key_from(&key, f, values, value_count))
        return NULL;
    struct cell_block *block = belfry__block_get();
    if (LIKELY(block != NULL)) {
        block_read_begin(block);
        _Atomic(struct metric *) *slot = table_find(atomic_load(&f->table), &key);
        m = slot ? atomic_load_explicit(slot, memory_order_acquire) : NULL;
        block_read_end(block);
    }
    return LIKELY(m && m != GONE) ? m : child_make(f, &key);
}

struct metric *belfry__family_find_locked(struct family *f, const char *const *values)
{
    struct key key;
    _Atomic(struct metric *) *slot =
        key_from(&key, f, values, SIZE_MAX) ? table_find(family_table_locked(f), &key) : NULL;
    return slot ? atomic_load_explicit(slot, memory_order_relaxed) : NULL;
}

static bool children_copy(struct child_table *t, const struct metric ***out, size_t *count)
{
    size_t slots = t ? (size_t)t->mask + 1 : 1;
    *count = 0;
    *out = malloc(slots * sizeof(**out));
    for (size_t i = 0; *out && t && i < slots; i++) {
        const struct metric *m = atomic_load_explicit(&t->slots[i], memory_order_acquire);
        if (m && m != GONE)
            (*out)[(*count)++] = m;
    }
    return *out != NULL;
}

bool belfry__family_children(struct family *f, const struct metric ***out, size_t *count)
{
    struct cell_block *block = belfry__block_get();
    bool ok;
    if (block) {
        block_read_begin(block);
        ok = children_copy(atomic_load(&f->table), out, count);
        block_read_end(block);
    } else {
        belfry__lock();
        ok = children_copy(family_table_locked(f), out, count);
        belfry__unlock();
    }
    return ok;
}

/* --- taking out --- */

static bool removed_reserve_locked(struct family *f, size_t more)
{
    struct metric_list *list = &f->removed;
    if (list->count + more <= list->capacity)
        return true;
    size_t capacity =
        list->capacity * 2 > list->count + more ? list->capacity * 2 : list->count + more;
    struct metric **items = realloc(list->items, capacity * sizeof(items[0]));
    if (!items)
        return false;
    list->items = items;
    list->capacity = capacity;
    return true;
}

/* There is room in the list. */
static void slot_remove_locked(struct family *f, _Atomic(struct metric *) *slot)
{
    struct metric *m = atomic_load_explicit(slot, memory_order_relaxed);
    atomic_store_explicit(slot, GONE, memory_order_release);
    atomic_store_explicit(&m->is_removed, true, memory_order_relaxed);
    f->removed.items[f->removed.count++] = m;
    changed_locked(f);
    if (m == atomic_load_explicit(&f->overflow, memory_order_relaxed))
        atomic_store_explicit(&f->overflow, NULL, memory_order_relaxed);
    else
        atomic_fetch_sub_explicit(&f->shown_count, 1, memory_order_relaxed);
}

belfry_status belfry__family_remove(struct family *f, const char *const *values)
{
    struct key key;
    if (!f)
        return belfry__fail_plainly(BELFRY_ERROR_NULL);
    if (!key_from(&key, f, values, SIZE_MAX))
        return BELFRY_ERROR_LABELS;
    belfry_status status = BELFRY_ERROR_NOT_FOUND;
    belfry__lock();
    _Atomic(struct metric *) *slot = table_find(family_table_locked(f), &key);
    if (slot)
        status = removed_reserve_locked(f, 1) ? BELFRY_OK : BELFRY_ERROR_MEMORY;
    if (status == BELFRY_OK)
        slot_remove_locked(f, slot);
    belfry__unlock();
    if (status == BELFRY_ERROR_NOT_FOUND)
        return belfry__fail(status, "\"%s\" has no child with these label values", f->name);
    return status == BELFRY_OK ? status : belfry__fail_plainly(status);
}

belfry_status belfry__family_clear(struct family *f)
{
    if (!f)
        return belfry__fail_plainly(BELFRY_ERROR_NULL);
    belfry__lock();
    struct child_table *t = family_table_locked(f);
    bool ok = !t || removed_reserve_locked(f, t->used);
    for (uint32_t i = 0; ok && t && i <= t->mask; i++) {
        struct metric *m = atomic_load_explicit(&t->slots[i], memory_order_relaxed);
        if (m && m != GONE)
            slot_remove_locked(f, &t->slots[i]);
    }
    belfry__unlock();
    return ok ? BELFRY_OK : belfry__fail_plainly(BELFRY_ERROR_MEMORY);
}

void belfry__family_free_locked(struct family *f)
{
    if (!f)
        return;
    struct child_table *t = family_table_locked(f);
    for (uint32_t i = 0; t && i <= t->mask; i++) {
        struct metric *m = atomic_load_explicit(&t->slots[i], memory_order_relaxed);
        if (m && m != GONE)
            metric_free_locked(m);
    }
    for (size_t i = 0; i < f->removed.count; i++)
        metric_free_locked(f->removed.items[i]);
    free(f->removed.items);
    old_tables_free_locked(f);
    belfry__family_order_free_locked(f);
    free(t);
    belfry__family_shape_free(f);
}

void belfry__family_reclaim_locked(struct family *f)
{
    struct metric_list *list = &f->removed;
    for (size_t i = 0; i < list->reclaim_count; i++)
        metric_free_locked(list->items[i]);
    list->count -= list->reclaim_count;
    if (list->count)
        memmove(list->items, list->items + list->reclaim_count,
                list->count * sizeof(list->items[0]));
    list->reclaim_count = 0;
}

belfry_status belfry__family_set_children_max(struct family *f, size_t max)
{
    if (max == 0 || max > CHILDREN_MAX_MAX)
        return belfry__fail(BELFRY_ERROR_VALUE,
                            "\"%s\" cannot have %zu children: 1 to %d may be allowed", f->name, max,
                            CHILDREN_MAX_MAX);
    atomic_store_explicit(&f->children_max, (uint32_t)max, memory_order_relaxed);
    return BELFRY_OK;
}
