/* SPDX-License-Identifier: Apache-2.0 */
/* sketch.c: exponential buckets that many threads add to.
 *
 * A layout is a table of bucket keys (open addressing; a key, once in a slot, stays) and a cell for each slot: every thread adds
 * to its copy of the slot's cell (cells.h). A key that is not there yet is put in by compare and exchange, so all this takes
 * no lock. When the table has as many keys as it may, room is made under the lock, which is the only thing that changes buckets:
 *
 *   fewer keys than buckets_max:  a larger table                       (tables begin small: most histograms need few)
 *   else, as client_golang does:  begin anew, if it is time; or let what is next to zero join it, if it may; or lower the
 *                                 schema, so that two buckets become one
 *
 * Each is a new layout with the keys of the one before; it is published, and the old one remains behind it. Threads that had
 * found the old layout may still add to it: nothing is lost, for readers add up all layouts, each key translated to the
 * newest schema and zero threshold (both only become coarser, and a coarser bucket is a union of finer ones). So counts are
 * exact at any time. There are few layouts: 12 schemas, 4 sizes, and each widening of zero takes an eighth of the keys.
 *
 * Beginning anew publishes a layout with nothing behind it. The old ones are kept until each thread was elsewhere
 * (block_read_begin; only where beginning anew is asked for, as it costs about 6 ns). What a late thread adds to them is lost
 * with them, as if it had come a moment before.
 *
 * A value's key: the exponent and the place of its mantissa among 256 bounds give the key in schema 8; each lower schema
 * halves it. The table FIRST_BOUND saves the search. */
#include "instrument/sketch.h"

#include "instrument/cells.h"
#include "instrument/clock.h"
#include "instrument/lock.h"
#include "instrument/sketch_bounds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SUM_CELL, ZERO_CELL, FIRST_SLOT_CELL, SLOTS_MIN = 64, KEY_BIAS = 1 << 20 };

struct sketch_layout {
    struct sketch_layout *older; /* constant from here */
    int schema;
    double zero_threshold;
    int steps;              /* from schema 8 down to this one */
    uint32_t mask;          /* slots - 1 */
    uint32_t key_room;      /* keys it may have */
    _Atomic uint32_t *keys; /* codes; 0 = empty; behind base */
    struct cells cells;
    _Atomic uint32_t key_count; /* never below the keys there are */
    _Atomic uint64_t base[];    /* sum, zero, slots */
};

/* --- keys --- */

int belfry__sketch_schema(double factor)
{
    double steps = floor(log2(log2(factor)));
    return steps <= -SKETCH_SCHEMA_MAX   ? SKETCH_SCHEMA_MAX
           : steps >= -SKETCH_SCHEMA_MIN ? SKETCH_SCHEMA_MIN
                                         : -(int)steps;
}

static int32_t key_widen(int32_t key, int steps)
{
    return (key + (int32_t)((1U << steps) - 1)) >> steps; /* rounds up, also below 0 */
}

/* Doubles of one sign are in the order of their bits. */
static inline int32_t is_above(uint64_t mantissa, int32_t bound)
{
    return bits_from_double(BOUNDS[bound]) < mantissa;
}

/* `steps` below schema 8. Inline: it is in the path of every value. A 256th of the mantissas has at most two bounds of schema 8 in
 * it, and one of any coarser schema. */
static inline int32_t key_of(double magnitude, int steps)
{
    static const uint64_t mantissa_bits = (UINT64_C(1) << 52) - 1;
    uint64_t bits = bits_from_double(magnitude);
    int32_t exponent = (int32_t)(bits >> 52) - 1023;
    if (UNLIKELY(exponent == -1023)) { /* subnormal */
        bits = bits_from_double(magnitude * 0x1p54);
        exponent = (int32_t)(bits >> 52) - 1023 - 54;
    }
    uint64_t mantissa = (bits & mantissa_bits) | UINT64_C(1023) << 52;
    int32_t i = FIRST_BOUND[bits >> 44 & 0xff];
    if (LIKELY(steps > 0 && steps <= 8)) {
        i = key_widen(i, steps);
        i += is_above(mantissa, i << steps);
        return exponent * (256 >> steps) + i;
    }
    i += is_above(mantissa, i);
    i += is_above(mantissa, i);
    return key_widen(exponent * 256 + i, steps);
}

int32_t belfry__sketch_key(double magnitude, int schema)
{
    return key_of(magnitude, SKETCH_SCHEMA_MAX - schema);
}

double belfry__sketch_bound(int32_t key, int schema)
{
    if (schema <= 0)
        return ldexp(1, (int)((int64_t)key * (1 << -schema)));
    int32_t place = key & ((1 << schema) - 1);
    return ldexp(BOUNDS[place << (SKETCH_SCHEMA_MAX - schema)], key >> schema);
}

/* Never 0. */
static uint32_t code_from(int32_t key, bool is_negative)
{
    return (uint32_t)(key + KEY_BIAS) << 1 | is_negative;
}

static int32_t code_key(uint32_t code)
{
    return (int32_t)(code >> 1) - KEY_BIAS;
}

/* Neighbouring keys lie in neighbouring slots, negative ones half a table away. */
static uint32_t code_slot(uint32_t code, uint32_t mask)
{
    return ((code >> 1) + (-(code & 1) & mask >> 1)) & mask;
}

/* The code in a coarser layout; 0 where it joins zero. */
static uint32_t code_translate(uint32_t code, int schema, const struct sketch_layout *to)
{
    int32_t key = code_key(code);
    if (belfry__sketch_bound(key, schema) <= to->zero_threshold)
        return 0;
    return code_from(key_widen(key, schema - to->schema), code & 1);
}

/* --- layouts --- */

static struct sketch_layout *layout_new_locked(int schema, double zero_threshold, uint32_t slots,
                                               uint32_t buckets_max)
{
    size_t cells = FIRST_SLOT_CELL + slots;
    struct sketch_layout *l =
        calloc(1, sizeof(*l) + cells * sizeof(l->base[0]) + slots * sizeof(l->keys[0]));
    if (!l || !belfry__cells_take_locked(&l->cells, cells)) {
        free(l);
        return NULL;
    }
    l->schema = schema;
    l->steps = SKETCH_SCHEMA_MAX - schema;
    l->zero_threshold = zero_threshold;
    l->mask = slots - 1;
    l->key_room = slots / 3 * 2 < buckets_max ? slots / 3 * 2 : buckets_max;
    l->keys = (_Atomic uint32_t *)(l->base + cells);
    return l;
}

static void layouts_free_locked(struct sketch_layout *l)
{
    while (l) {
        struct sketch_layout *older = l->older;
        belfry__cells_give_locked(&l->cells, (size_t)FIRST_SLOT_CELL + l->mask + 1);
        free(l);
        l = older;
    }
}

/* Before it is published. */
static void layout_put(struct sketch_layout *l, uint32_t code)
{
    uint32_t slot = code_slot(code, l->mask);
    uint32_t there;
    while ((there = atomic_load_explicit(&l->keys[slot], memory_order_relaxed)) != 0) {
        if (there == code)
            return;
        slot = (slot + 1) & l->mask;
    }
    atomic_store_explicit(&l->keys[slot], code, memory_order_relaxed);
    atomic_fetch_add_explicit(&l->key_count, 1, memory_order_relaxed);
}

bool belfry__sketch_init_locked(struct sketch *s, const struct sketch_options *options)
{
    struct sketch_layout *l = layout_new_locked(options->schema, options->zero_threshold, SLOTS_MIN,
                                                options->buckets_max);
    s->options = options;
    s->may_reset = options->reset_ms > 0;
    s->began_anew_locked = NULL;
    s->retired = NULL;
    atomic_store_explicit(&s->started_ms, belfry__clock_ms(), memory_order_relaxed);
    atomic_store_explicit(&s->current, l, memory_order_release);
    return l != NULL;
}

void belfry__sketch_deinit_locked(struct sketch *s)
{
    layouts_free_locked(atomic_load_explicit(&s->current, memory_order_relaxed));
    layouts_free_locked(s->retired);
}

/* --- making room --- */

static int code_compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a >> 1, y = *(const uint32_t *)b >> 1;
    return (x > y) - (x < y);
}

/* A threshold that takes an eighth of the keys of `l`, or as many as zero_threshold_max allows. `l`'s own when that is none. */
static double zero_threshold_wider(const struct sketch *s, const struct sketch_layout *l)
{
    double threshold = l->zero_threshold;
    if (s->options->zero_threshold_max <= threshold)
        return threshold;
    uint32_t *codes = malloc(((size_t)l->mask + 1) * sizeof(codes[0]));
    size_t count = 0;
    for (uint32_t slot = 0; codes && slot <= l->mask; slot++) {
        uint32_t code = atomic_load_explicit(&l->keys[slot], memory_order_relaxed);
        if (code)
            codes[count++] = code;
    }
    if (count)
        qsort(codes, count, sizeof(codes[0]), code_compare);
    for (size_t i = 0; i < (count + 7) / 8; i++) {
        double bound = belfry__sketch_bound(code_key(codes[i]), l->schema);
        if (bound > s->options->zero_threshold_max)
            break;
        threshold = bound;
    }
    free(codes);
    return threshold;
}

/* A layout with the keys of `old`, which may not be its schema yet: lowered until there is room. NULL without memory. */
static struct sketch_layout *layout_from_locked(const struct sketch *s,
                                                const struct sketch_layout *old, int schema,
                                                double zero_threshold, uint32_t slots)
{
    for (;;) {
        struct sketch_layout *l =
            layout_new_locked(schema, zero_threshold, slots, s->options->buckets_max);
        if (!l)
            return NULL;
        for (uint32_t slot = 0; slot <= old->mask; slot++) {
            uint32_t code = atomic_load_explicit(&old->keys[slot], memory_order_relaxed);
            code = code ? code_translate(code, old->schema, l) : 0;
            if (code)
                layout_put(l, code);
        }
        if (schema == SKETCH_SCHEMA_MIN) /* coarser there is none: what comes has room */
            l->key_room = slots / 3 * 2;
        if (atomic_load_explicit(&l->key_count, memory_order_relaxed) < l->key_room)
            return l;
        layouts_free_locked(l);
        if (schema > SKETCH_SCHEMA_MIN)
            schema--;
        else
            slots *= 2;
    }
}

static void retire_locked(struct sketch *s, struct sketch_layout *old)
{
    struct sketch_layout *last = old;
    while (last->older)
        last = last->older;
    last->older = s->retired;
    s->retired = old;
}

/* What no thread can be at any more goes; where one seems to be stuck there it is tried again after the next start. Not
 * between block_read_begin() and _end(). */
static void free_retired(struct sketch *s)
{
    belfry__lock();
    struct sketch_layout *retired = s->retired;
    s->retired = NULL;
    belfry__unlock();
    bool may_go = retired && belfry__blocks_were_quiet();
    belfry__lock();
    if (may_go)
        layouts_free_locked(retired);
    else if (retired)
        retire_locked(s, retired);
    belfry__unlock();
}

/* Room for one more key than `full` has. False without memory. */
static bool make_room_locked(struct sketch *s, struct sketch_layout *full, bool *did_reset)
{
    const struct sketch_options *o = s->options;
    uint32_t count = atomic_load_explicit(&full->key_count, memory_order_relaxed);
    uint32_t slots = full->mask + 1;
    int64_t now_ms = o->reset_ms ? belfry__clock_ms() : 0;
    struct sketch_layout *l;
    if (count < o->buckets_max) {
        l = layout_from_locked(s, full, full->schema, full->zero_threshold, slots * 4);
    } else if (o->reset_ms &&
               now_ms - atomic_load_explicit(&s->started_ms, memory_order_relaxed) >= o->reset_ms) {
        l = layout_new_locked(o->schema, o->zero_threshold, SLOTS_MIN, o->buckets_max);
        if (!l)
            return false;
        atomic_store_explicit(&s->started_ms, now_ms, memory_order_relaxed);
        atomic_store(&s->current, l); /* seq_cst: then whoever reads later sees it */
        retire_locked(s, full);
        if (s->began_anew_locked)
            s->began_anew_locked(s);
        *did_reset = true;
        return true;
    } else {
        double threshold = zero_threshold_wider(s, full);
        bool halve = threshold <= full->zero_threshold && full->schema > SKETCH_SCHEMA_MIN;
        l = layout_from_locked(s, full, full->schema - halve, threshold, slots);
    }
    if (!l)
        return false;
    l->older = full;
    atomic_store_explicit(&s->current, l, memory_order_release);
    return true;
}

static bool make_room(struct sketch *s, struct sketch_layout *full, bool *did_reset)
{
    bool ok = true;
    belfry__lock();
    if (atomic_load_explicit(&s->current, memory_order_relaxed) == full)
        ok = make_room_locked(s, full, did_reset);
    belfry__unlock();
    return ok;
}

/* --- counting --- */

static const uint32_t NO_SLOT = UINT32_MAX;

/* The slot of `code`, from `slot` on; it is put in where it is missing. NO_SLOT when there is no room. */
static NOINLINE uint32_t slot_search(struct sketch_layout *l, uint32_t code, uint32_t slot)
{
    bool has_place = false;
    for (;; slot = (slot + 1) & l->mask) {
        uint32_t there = atomic_load_explicit(&l->keys[slot], memory_order_relaxed);
        if (there == 0) {
            if (!has_place &&
                atomic_fetch_add_explicit(&l->key_count, 1, memory_order_relaxed) >= l->key_room) {
                atomic_fetch_sub_explicit(&l->key_count, 1, memory_order_relaxed);
                return NO_SLOT;
            }
            has_place = true;
            if (atomic_compare_exchange_strong_explicit(&l->keys[slot], &there, code,
                                                        memory_order_relaxed, memory_order_relaxed))
                return slot;
        }
        if (there == code) {
            if (has_place)
                atomic_fetch_sub_explicit(&l->key_count, 1, memory_order_relaxed);
            return slot;
        }
    }
}

/* The cell that counts the value, from those of the layout. NO_SLOT when there is no room for its key. */
static inline uint32_t cell_of(struct sketch_layout *l, double value)
{
    double magnitude = fabs(value);
    if (UNLIKELY(magnitude <= l->zero_threshold))
        return ZERO_CELL;
    uint32_t code = code_from(key_of(magnitude, l->steps), value < 0);
    uint32_t slot = code_slot(code, l->mask);
    if (UNLIKELY(atomic_load_explicit(&l->keys[slot], memory_order_relaxed) != code)) {
        slot = slot_search(l, code, slot);
        if (UNLIKELY(slot == NO_SLOT))
            return NO_SLOT;
    }
    return FIRST_SLOT_CELL + slot;
}

static inline bool cell_count(struct sketch_layout *l, uint32_t cell, double value)
{
    _Atomic uint64_t *mine = cells_mine(&l->cells, l->base);
    if (UNLIKELY(mine == NULL))
        return false;
    cell_add_double(mine + SUM_CELL, value);
    cell_add(mine + cell, 1);
    return true;
}

/* Until there is room. */
static NOINLINE bool observe_making_room(struct sketch *s, double value, bool *did_reset)
{
    for (;;) {
        struct sketch_layout *l = atomic_load(&s->current); /* seq_cst: see retire_locked() */
        uint32_t cell = cell_of(l, value);
        if (cell != NO_SLOT)
            return cell_count(l, cell, value);
        if (!make_room(s, l, did_reset)) {
            belfry__cells_count_lost();
            return false;
        }
    }
}

/* Layouts may be freed by others: where the sketch may begin anew. */
static NOINLINE bool observe_guarded(struct sketch *s, double value)
{
    struct cell_block *block = belfry__block_get();
    bool did_reset = false;
    if (!block) {
        belfry__cells_count_lost();
        return false;
    }
    block_read_begin(block);
    bool ok = observe_making_room(s, value, &did_reset);
    block_read_end(block);
    if (UNLIKELY(did_reset))
        free_retired(s);
    return ok;
}

/* Nothing is freed: there is no beginning anew. */
static NOINLINE bool observe_growing(struct sketch *s, double value)
{
    bool did_reset = false;
    return observe_making_room(s, value, &did_reset);
}

bool belfry__sketch_observe(struct sketch *s, double value)
{
    if (UNLIKELY(s->may_reset))
        return observe_guarded(s, value);
    struct sketch_layout *l = atomic_load_explicit(&s->current, memory_order_acquire);
    uint32_t cell = cell_of(l, value);
    return LIKELY(cell != NO_SLOT) ? cell_count(l, cell, value) : observe_growing(s, value);
}

/* --- reading --- */

static bool reading_reserve(struct sketch_reading *r, size_t count)
{
    if (count <= r->capacity)
        return true;
    struct sketch_bucket *buckets = realloc(r->buckets, count * sizeof(buckets[0]));
    if (!buckets)
        return false;
    r->buckets = buckets;
    r->capacity = count;
    return true;
}

void belfry__sketch_reading_deinit(struct sketch_reading *r)
{
    free(r->buckets);
    *r = (struct sketch_reading){0};
}

static int bucket_compare(const void *a, const void *b)
{
    const struct sketch_bucket *x = a, *y = b;
    return (x->key > y->key) - (x->key < y->key);
}

/* Sorts, and makes one of buckets with the same key. Returns how many are left. */
static size_t buckets_tidy(struct sketch_bucket *buckets, size_t count)
{
    size_t kept = 0;
    if (count > 1)
        qsort(buckets, count, sizeof(buckets[0]), bucket_compare);
    for (size_t i = 0; i < count; i++) {
        if (kept && buckets[kept - 1].key == buckets[i].key)
            buckets[kept - 1].count += buckets[i].count;
        else
            buckets[kept++] = buckets[i];
    }
    return kept;
}

/* Adds what layout `l` counted, in the terms of `newest`. The sign is in the lowest bit of the keys until all is gathered. */
static void layout_read(const struct sketch_layout *l, const struct sketch_layout *newest,
                        struct sketch_reading *out, size_t *count)
{
    out->sum += belfry__cells_sum_double(&l->cells, l->base, SUM_CELL);
    out->zero_count += belfry__cells_sum(&l->cells, l->base, ZERO_CELL);
    for (uint32_t slot = 0; slot <= l->mask; slot++) {
        uint32_t code = atomic_load_explicit(&l->keys[slot], memory_order_relaxed);
        uint64_t n = code ? belfry__cells_sum(&l->cells, l->base, FIRST_SLOT_CELL + slot) : 0;
        if (!n)
            continue;
        code = code_translate(code, l->schema, newest);
        if (code)
            out->buckets[(*count)++] = (struct sketch_bucket){(int32_t)code, n};
        else
            out->zero_count += n;
    }
}

bool belfry__sketch_read_locked(const struct sketch *s, struct sketch_reading *out)
{
    const struct sketch_layout *newest = atomic_load_explicit(&s->current, memory_order_relaxed);
    size_t slots = 0, count = 0;
    for (const struct sketch_layout *l = newest; l; l = l->older)
        slots += (size_t)l->mask + 1;
    if (!reading_reserve(out, slots))
        return false;
    out->schema = newest->schema;
    out->zero_threshold = newest->zero_threshold;
    out->sum = 0;
    out->count = out->zero_count = 0;
    for (const struct sketch_layout *l = newest; l; l = l->older)
        layout_read(l, newest, out, &count);
    out->count = out->zero_count;
    size_t negative = 0;
    for (size_t i = 0; i < count; i++) { /* negative ones to the front */
        struct sketch_bucket b = out->buckets[i];
        out->count += b.count;
        bool is_negative = (uint32_t)b.key & 1;
        b.key = code_key((uint32_t)b.key);
        out->buckets[i] = out->buckets[negative];
        out->buckets[is_negative ? negative : i] = b;
        negative += is_negative;
    }
    out->negative = out->buckets;
    out->negative_count = buckets_tidy(out->negative, negative);
    out->positive = out->buckets + negative;
    out->positive_count = buckets_tidy(out->positive, count - negative);
    return true;
}

static size_t buckets_widen(struct sketch_bucket *buckets, size_t count, int steps)
{
    for (size_t i = 0; i < count; i++)
        buckets[i].key = key_widen(buckets[i].key, steps);
    return buckets_tidy(buckets, count);
}

void belfry__sketch_reading_widen(struct sketch_reading *r, int schema)
{
    if (schema >= r->schema)
        return;
    r->negative_count = buckets_widen(r->negative, r->negative_count, r->schema - schema);
    r->positive_count = buckets_widen(r->positive, r->positive_count, r->schema - schema);
    r->schema = schema;
}
