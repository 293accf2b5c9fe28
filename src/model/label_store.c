/* SPDX-License-Identifier: Apache-2.0 */
/* label_store.c: symbols, shapes and label sets in arrays that grow at their end and never move.
 *
 *   text       [length u32][bytes] ...             bump-allocated in chunks
 *   symbols    pointer to its text                 by symbol id
 *   shapes     pointer to [count u32][names u32 ...]  by shape id
 *   words      [shape][value] x labels of the shape   one record per label set, never across a segment
 *   offsets    {base u32, 8 x u16}                 for 8 label sets: record = words[base + u16]
 *   3 tables   u32 ids, open addressing, load <= 0.75, hashes recomputed when they grow
 *
 * Six labels cost 28 bytes of words and 2.5 of offsets, and about 8 in the table. One segment after the
 * other doubles in quarter steps, so at most a fifth of an array is unused.
 *
 * Why readers need no lock: a reader was given its id by something that synchronises (the count, loaded
 * with acquire; a mutex; a published series). All that the id leads to was written before that and is
 * never written again. A directory slot is written once, before the first id behind it exists. */
#include "model/label_store.h"

#include "base/assert.h"
#include "base/checksum.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

enum {
    QUARTERS = 4,
    SEGMENTS_MAX = 28 * QUARTERS, /* ids of 32 bits in segments whose first hold 2^3 items */
    OFFSETS_PER_BLOCK = 8,
    CHUNK_BYTES_MIN = 1024,       /* a query's store is small ... */
    CHUNK_BYTES_MAX = 256 * 1024, /* ... the head's is not */
    WORDS_FIRST_LOG2 = 9,
    LABELS_MAX = 2047, /* of one set: a record has at most 2^11 words */
    LABELS_ON_STACK = 64
};
/* A record of 2^11 words goes into a segment of at least as many, which begins below word 2^13. Past
 * that a record moves the end by less than two segments of 2^11 words. */
static_assert((1 << 13) + OFFSETS_PER_BLOCK * 2 * (LABELS_MAX + 1) <= UINT16_MAX,
              "the last record of a block begins within 16 bits of the first");

/* Items in segments: those with ids from 2^e to 2^(e+1) (shifted by the first size) are four segments. */
struct segments {
    char *dir[SEGMENTS_MAX];
    uint32_t item_bytes;
    uint32_t first_log2; /* the first four segments hold 2^first_log2 items together */
};

struct place {
    uint32_t segment, idx, size;
};

struct offsets_block {
    uint32_t base;
    uint16_t offsets[OFFSETS_PER_BLOCK];
};

struct table {
    uint32_t *ids;     /* LABEL_STORE_NONE = empty */
    uint32_t capacity; /* power of two, or 0 */
    uint32_t count;
};

struct chunk {
    struct chunk *before;
    uint32_t used, size;
    char bytes[];
};

struct shape {
    uint32_t count;
    symbol_id names[];
};

struct label_store {
    enum mem_account account; /* constant after label_store_new() */
    size_t bytes_max;

    /* Readers see what lies below the counts. */
    struct segments symbols; /* const char *: length and bytes */
    struct segments shapes;  /* struct shape * */
    struct segments words;   /* uint32_t */
    struct segments offsets; /* struct offsets_block */
    _Atomic uint32_t symbol_count, shape_count, labels_count;

    /* Writer only. */
    struct table symbol_table, shape_table, labels_table;
    struct chunk *chunks;
    uint64_t word_count;

    _Atomic size_t bytes; /* a statistic: relaxed */
};

/* ---- memory ---- */

static void *store_alloc(struct label_store *s, size_t bytes)
{
    size_t total = atomic_load_explicit(&s->bytes, memory_order_relaxed) + bytes;
    if (s->bytes_max && total > s->bytes_max)
        return NULL;
    void *p = mem_try_alloc(s->account, bytes);
    if (p)
        atomic_store_explicit(&s->bytes, total, memory_order_relaxed); /* one writer */
    return p;
}

/* Room in the newest chunk, aligned to 4 bytes; NULL over the limit. */
static char *chunk_alloc(struct label_store *s, size_t bytes)
{
    bytes = (bytes + 3) & ~(size_t)3;
    struct chunk *c = s->chunks;
    if (!c || c->size - c->used < bytes) {
        size_t size = c ? (size_t)c->size * 2 : CHUNK_BYTES_MIN;
        size = size > CHUNK_BYTES_MAX ? CHUNK_BYTES_MAX : size;
        size = size < bytes ? bytes : size;
        if (size > UINT32_MAX / 2)
            return NULL;
        c = store_alloc(s, sizeof *c + size);
        if (!c)
            return NULL;
        *c = (struct chunk){.before = s->chunks, .size = (uint32_t)size};
        s->chunks = c;
    }
    char *p = c->bytes + c->used;
    c->used += (uint32_t)bytes;
    return p;
}

static struct place segment_place(const struct segments *a, uint32_t idx)
{
    uint64_t x = (uint64_t)idx + (UINT64_C(1) << a->first_log2);
    unsigned e = 63 - (unsigned)__builtin_clzll(x);
    uint32_t size = UINT32_C(1) << (e - 2);
    return (struct place){(e - a->first_log2) * QUARTERS + ((uint32_t)(x >> (e - 2)) & 3),
                          (uint32_t)(x & (size - 1)), size};
}

static void *segment_item(const struct segments *a, uint32_t idx)
{
    struct place p = segment_place(a, idx);
    return a->dir[p.segment] + (size_t)p.idx * a->item_bytes;
}

/* Makes room for the item; false over the limit. */
static bool segment_reserve(struct label_store *s, struct segments *a, uint32_t idx)
{
    struct place p = segment_place(a, idx);
    ASSERT(p.segment < SEGMENTS_MAX);
    if (!a->dir[p.segment])
        a->dir[p.segment] = store_alloc(s, (size_t)p.size * a->item_bytes);
    return a->dir[p.segment] != NULL;
}

static void segments_free(struct label_store *s, struct segments *a)
{
    for (size_t i = 0; i < SEGMENTS_MAX; i++)
        mem_free(s->account, a->dir[i]);
}

/* ---- tables ---- */

typedef uint64_t (*table_hash)(const struct label_store *s, uint32_t id);

/* Makes room for one more; false over the limit. */
static bool table_reserve(struct label_store *s, struct table *t, table_hash hash_of)
{
    if ((uint64_t)(t->count + 1) * 4 <= (uint64_t)t->capacity * 3)
        return true;
    uint32_t capacity = t->capacity ? t->capacity * 2 : 16;
    uint32_t *ids = store_alloc(s, (size_t)capacity * sizeof *ids);
    if (!ids)
        return false;
    memset(ids, 0xff, (size_t)capacity * sizeof *ids);
    for (uint32_t i = 0; i < t->capacity; i++) {
        if (t->ids[i] == LABEL_STORE_NONE)
            continue;
        uint32_t at = (uint32_t)hash_of(s, t->ids[i]) & (capacity - 1);
        while (ids[at] != LABEL_STORE_NONE)
            at = (at + 1) & (capacity - 1);
        ids[at] = t->ids[i];
    }
    atomic_fetch_sub_explicit(&s->bytes, (size_t)t->capacity * sizeof *ids, memory_order_relaxed);
    mem_free(s->account, t->ids);
    t->ids = ids;
    t->capacity = capacity;
    return true;
}

/* The caller has reserved, and knows that the id is not there. */
static void table_add(struct table *t, uint64_t hash, uint32_t id)
{
    uint32_t at = (uint32_t)hash & (t->capacity - 1);
    while (t->ids[at] != LABEL_STORE_NONE)
        at = (at + 1) & (t->capacity - 1);
    t->ids[at] = id;
    t->count++;
}

/* ---- life ---- */

struct label_store *label_store_new(enum mem_account account, size_t bytes_max)
{
    struct label_store *s = mem_alloc_zero(account, 1, sizeof *s);
    s->account = account;
    s->bytes_max = bytes_max;
    s->symbols = (struct segments){.item_bytes = sizeof(char *), .first_log2 = 6};
    s->shapes = (struct segments){.item_bytes = sizeof(struct shape *), .first_log2 = 5};
    s->words = (struct segments){.item_bytes = sizeof(uint32_t), .first_log2 = WORDS_FIRST_LOG2};
    s->offsets = (struct segments){.item_bytes = sizeof(struct offsets_block), .first_log2 = 5};
    s->bytes = sizeof *s;
    s->bytes_max = 0; /* what every store has does not count against the caller's limit */
    symbol_id empty = label_store_add_symbol(s, VIEW(""));
    shape_id none = label_store_add_shape(s, NULL, 0);
    labels_id set = label_store_add_values(s, none, NULL);
    ASSERT(empty.n == 0 && none.n == 0 && set.n == 0);
    s->bytes_max = bytes_max;
    return s;
}

void label_store_free(struct label_store *s)
{
    if (!s)
        return;
    segments_free(s, &s->symbols);
    segments_free(s, &s->shapes);
    segments_free(s, &s->words);
    segments_free(s, &s->offsets);
    mem_free(s->account, s->symbol_table.ids);
    mem_free(s->account, s->shape_table.ids);
    mem_free(s->account, s->labels_table.ids);
    for (struct chunk *c = s->chunks, *before; c; c = before) {
        before = c->before;
        mem_free(s->account, c);
    }
    mem_free(s->account, s);
}

size_t label_store_bytes(const struct label_store *s)
{
    return atomic_load_explicit(&s->bytes, memory_order_relaxed);
}

/* Acquire: pairs with the release that publishes the newest id below the count. */
uint32_t label_store_symbol_count(const struct label_store *s)
{
    return atomic_load_explicit(&s->symbol_count, memory_order_acquire);
}

uint32_t label_store_labels_count(const struct label_store *s)
{
    return atomic_load_explicit(&s->labels_count, memory_order_acquire);
}

uint32_t label_store_shape_count(const struct label_store *s)
{
    return atomic_load_explicit(&s->shape_count, memory_order_acquire);
}

/* The writer's own look at a count. */
static uint32_t own_count(const _Atomic uint32_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

static void publish(_Atomic uint32_t *count, uint32_t id)
{
    atomic_store_explicit(count, id + 1, memory_order_release);
}

/* ---- readers ---- */

struct view label_store_text(const struct label_store *s, symbol_id symbol)
{
    const char *const *entry = segment_item(&s->symbols, symbol.n);
    uint32_t len;
    memcpy(&len, *entry, sizeof len);
    return (struct view){*entry + sizeof len, len};
}

static const struct shape *shape_at(const struct label_store *s, shape_id shape)
{
    const struct shape *const *entry = segment_item(&s->shapes, shape.n);
    return *entry;
}

/* The record of a set: shape, then values. */
static const uint32_t *record_at(const struct label_store *s, labels_id id)
{
    const struct offsets_block *b = segment_item(&s->offsets, id.n / OFFSETS_PER_BLOCK);
    return segment_item(&s->words, b->base + b->offsets[id.n % OFFSETS_PER_BLOCK]);
}

static_assert(sizeof(symbol_id) == sizeof(uint32_t), "records are read as symbol ids");

const symbol_id *label_store_shape_names(const struct label_store *s, shape_id shape,
                                         uint32_t *count)
{
    const struct shape *sh = shape_at(s, shape);
    *count = sh->count;
    return sh->names;
}

int label_store_shape_find(const struct label_store *s, shape_id shape, symbol_id name)
{
    const struct shape *sh = shape_at(s, shape);
    for (uint32_t i = 0; i < sh->count; i++) {
        if (sh->names[i].n == name.n)
            return (int)i;
    }
    return -1;
}

shape_id label_store_shape(const struct label_store *s, labels_id id)
{
    return (shape_id){record_at(s, id)[0]};
}

const symbol_id *label_store_values(const struct label_store *s, labels_id id)
{
    return (const symbol_id *)(record_at(s, id) + 1);
}

symbol_id label_store_get(const struct label_store *s, labels_id id, symbol_id name)
{
    const uint32_t *record = record_at(s, id);
    int place = label_store_shape_find(s, (shape_id){record[0]}, name);
    return (symbol_id){place < 0 ? 0 : record[1 + place]};
}

struct labels label_store_labels(const struct label_store *s, labels_id id, struct arena *arena)
{
    const uint32_t *record = record_at(s, id);
    const struct shape *sh = shape_at(s, (shape_id){record[0]});
    if (sh->count == 0)
        return (struct labels){NULL, 0};
    struct label *items = arena_alloc(arena, sh->count * sizeof *items);
    for (uint32_t i = 0; i < sh->count; i++)
        items[i] = (struct label){label_store_text(s, sh->names[i]),
                                  label_store_text(s, (symbol_id){record[1 + i]})};
    return (struct labels){items, sh->count};
}

uint64_t label_store_hash(const struct label_store *s, labels_id id)
{
    const uint32_t *record = record_at(s, id);
    const struct shape *sh = shape_at(s, (shape_id){record[0]});
    struct label fixed[LABELS_ON_STACK];
    struct label *items =
        sh->count <= LABELS_ON_STACK ? fixed : mem_alloc(s->account, sh->count * sizeof *items);
    for (uint32_t i = 0; i < sh->count; i++)
        items[i] = (struct label){label_store_text(s, sh->names[i]),
                                  label_store_text(s, (symbol_id){record[1 + i]})};
    uint64_t hash = labels_hash((struct labels){items, sh->count});
    if (items != fixed)
        mem_free(s->account, items);
    return hash;
}

int label_store_compare(const struct label_store *s, labels_id a, labels_id b)
{
    if (a.n == b.n)
        return 0;
    const uint32_t *ra = record_at(s, a), *rb = record_at(s, b);
    const struct shape *sa = shape_at(s, (shape_id){ra[0]}), *sb = shape_at(s, (shape_id){rb[0]});
    uint32_t count = sa->count < sb->count ? sa->count : sb->count;
    for (uint32_t i = 0; i < count; i++) {
        if (sa->names[i].n != sb->names[i].n)
            return view_cmp(label_store_text(s, sa->names[i]), label_store_text(s, sb->names[i]));
        if (ra[1 + i] != rb[1 + i])
            return view_cmp(label_store_text(s, (symbol_id){ra[1 + i]}),
                            label_store_text(s, (symbol_id){rb[1 + i]}));
    }
    return (sa->count > sb->count) - (sa->count < sb->count);
}

/* ---- symbols ---- */

static uint64_t symbol_hash(const struct label_store *s, uint32_t id)
{
    struct view text = label_store_text(s, (symbol_id){id});
    return hash64_secret(text.ptr, text.len);
}

static uint32_t symbol_find(const struct label_store *s, uint64_t hash, struct view text)
{
    const struct table *t = &s->symbol_table;
    if (t->capacity == 0)
        return LABEL_STORE_NONE;
    uint32_t at = (uint32_t)hash & (t->capacity - 1);
    for (; t->ids[at] != LABEL_STORE_NONE; at = (at + 1) & (t->capacity - 1)) {
        if (view_eq(label_store_text(s, (symbol_id){t->ids[at]}), text))
            return t->ids[at];
    }
    return LABEL_STORE_NONE;
}

symbol_id label_store_add_symbol(struct label_store *s, struct view text)
{
    uint64_t hash = hash64_secret(text.ptr, text.len);
    uint32_t id = symbol_find(s, hash, text);
    if (id != LABEL_STORE_NONE)
        return (symbol_id){id};

    id = own_count(&s->symbol_count);
    if (id >= LABEL_STORE_NONE - 1 || text.len > UINT32_MAX / 4 ||
        !table_reserve(s, &s->symbol_table, symbol_hash) || !segment_reserve(s, &s->symbols, id))
        return (symbol_id){LABEL_STORE_NONE};
    char *entry = chunk_alloc(s, sizeof(uint32_t) + text.len);
    if (!entry)
        return (symbol_id){LABEL_STORE_NONE};
    uint32_t len = (uint32_t)text.len;
    memcpy(entry, &len, sizeof len);
    if (len)
        memcpy(entry + sizeof len, text.ptr, len);
    *(char **)segment_item(&s->symbols, id) = entry;
    table_add(&s->symbol_table, hash, id);
    publish(&s->symbol_count, id);
    return (symbol_id){id};
}

symbol_id label_store_find_symbol(const struct label_store *s, struct view text)
{
    return (symbol_id){symbol_find(s, hash64_secret(text.ptr, text.len), text)};
}

/* ---- shapes ---- */

static uint64_t names_hash(const symbol_id *names, uint32_t count)
{
    return hash64_secret(names, (size_t)count * sizeof *names);
}

static uint64_t shape_hash(const struct label_store *s, uint32_t id)
{
    const struct shape *sh = shape_at(s, (shape_id){id});
    return names_hash(sh->names, sh->count);
}

static bool ids_equal(const void *a, const void *b, uint32_t count)
{
    return count == 0 || memcmp(a, b, (size_t)count * sizeof(uint32_t)) == 0;
}

static uint32_t shape_find(const struct label_store *s, uint64_t hash, const symbol_id *names,
                           uint32_t count)
{
    const struct table *t = &s->shape_table;
    if (t->capacity == 0)
        return LABEL_STORE_NONE;
    uint32_t at = (uint32_t)hash & (t->capacity - 1);
    for (; t->ids[at] != LABEL_STORE_NONE; at = (at + 1) & (t->capacity - 1)) {
        const struct shape *sh = shape_at(s, (shape_id){t->ids[at]});
        if (sh->count == count && ids_equal(sh->names, names, count))
            return t->ids[at];
    }
    return LABEL_STORE_NONE;
}

shape_id label_store_add_shape(struct label_store *s, const symbol_id *names, uint32_t count)
{
    uint64_t hash = names_hash(names, count);
    uint32_t id = shape_find(s, hash, names, count);
    if (id != LABEL_STORE_NONE)
        return (shape_id){id};

    for (uint32_t i = 1; i < count; i++)
        ASSERT(view_cmp(label_store_text(s, names[i - 1]), label_store_text(s, names[i])) < 0);
    id = own_count(&s->shape_count);
    if (count > LABELS_MAX || id >= LABEL_STORE_NONE - 1 ||
        !table_reserve(s, &s->shape_table, shape_hash) || !segment_reserve(s, &s->shapes, id))
        return (shape_id){LABEL_STORE_NONE};
    struct shape *sh = (struct shape *)chunk_alloc(s, sizeof *sh + count * sizeof *names);
    if (!sh)
        return (shape_id){LABEL_STORE_NONE};
    sh->count = count;
    if (count)
        memcpy(sh->names, names, count * sizeof *names);
    *(struct shape **)segment_item(&s->shapes, id) = sh;
    table_add(&s->shape_table, hash, id);
    publish(&s->shape_count, id);
    return (shape_id){id};
}

/* ---- label sets ---- */

/* Chained over shape and values, so that no record has to be built to look for one. */
static uint64_t values_hash(uint32_t shape, const void *values, uint32_t count)
{
    uint64_t hash = hash64_secret(values, (size_t)count * sizeof(uint32_t));
    return (hash ^ shape) * UINT64_C(0x9e3779b97f4a7c15) >> 16;
}

static uint64_t record_hash(const struct label_store *s, uint32_t id)
{
    const uint32_t *record = record_at(s, (labels_id){id});
    return values_hash(record[0], record + 1, shape_at(s, (shape_id){record[0]})->count);
}

static uint32_t values_find(const struct label_store *s, uint64_t hash, uint32_t shape,
                            const symbol_id *values, uint32_t count)
{
    const struct table *t = &s->labels_table;
    if (t->capacity == 0)
        return LABEL_STORE_NONE;
    uint32_t at = (uint32_t)hash & (t->capacity - 1);
    for (; t->ids[at] != LABEL_STORE_NONE; at = (at + 1) & (t->capacity - 1)) {
        const uint32_t *record = record_at(s, (labels_id){t->ids[at]});
        if (record[0] == shape && ids_equal(record + 1, values, count))
            return t->ids[at];
    }
    return LABEL_STORE_NONE;
}

/* Where a record of so many words goes: at the end, or at the beginning of the first later segment
 * that holds it whole. False over a limit. */
static bool words_reserve(struct label_store *s, uint32_t words, uint32_t *at)
{
    uint64_t next = s->word_count;
    for (;;) {
        if (next + words >= UINT32_MAX)
            return false;
        struct place p = segment_place(&s->words, (uint32_t)next);
        if (p.size - p.idx >= words)
            break;
        next += p.size - p.idx;
    }
    *at = (uint32_t)next;
    return segment_reserve(s, &s->words, *at);
}

labels_id label_store_add_values(struct label_store *s, shape_id shape, const symbol_id *values)
{
    uint32_t count = shape_at(s, shape)->count, at;
    uint64_t hash = values_hash(shape.n, values, count);
    uint32_t id = values_find(s, hash, shape.n, values, count);
    if (id != LABEL_STORE_NONE)
        return (labels_id){id};

    for (uint32_t i = 0; i < count; i++)
        ASSERT(values[i].n != 0);
    id = own_count(&s->labels_count);
    if (id >= LABEL_STORE_NONE - 1 || !table_reserve(s, &s->labels_table, record_hash) ||
        !segment_reserve(s, &s->offsets, id / OFFSETS_PER_BLOCK) ||
        !words_reserve(s, count + 1, &at))
        return (labels_id){LABEL_STORE_NONE};
    uint32_t *record = segment_item(&s->words, at);
    record[0] = shape.n;
    if (count)
        memcpy(record + 1, values, count * sizeof *values);
    struct offsets_block *b = segment_item(&s->offsets, id / OFFSETS_PER_BLOCK);
    if (id % OFFSETS_PER_BLOCK == 0)
        b->base = at;
    ASSERT(at - b->base <= UINT16_MAX);
    b->offsets[id % OFFSETS_PER_BLOCK] = (uint16_t)(at - b->base);
    s->word_count = (uint64_t)at + count + 1;
    table_add(&s->labels_table, hash, id);
    publish(&s->labels_count, id);
    return (labels_id){id};
}

/* Names and values of a set as symbols, in arrays on the stack unless the set is long. */
struct symbol_lists {
    symbol_id *names, *values;
    symbol_id fixed[2 * LABELS_ON_STACK];
};

static void symbol_lists_init(const struct label_store *s, struct symbol_lists *l, uint32_t count)
{
    l->names =
        count <= LABELS_ON_STACK ? l->fixed : mem_alloc(s->account, 2 * count * sizeof *l->names);
    l->values = l->names + count;
}

static void symbol_lists_deinit(const struct label_store *s, struct symbol_lists *l)
{
    if (l->names != l->fixed)
        mem_free(s->account, l->names);
}

labels_id label_store_add(struct label_store *s, struct labels ls)
{
    labels_id id = {LABEL_STORE_NONE};
    struct symbol_lists l;
    if (ls.count > LABELS_MAX)
        return id;
    symbol_lists_init(s, &l, ls.count);
    for (uint32_t i = 0; i < ls.count; i++) {
        l.names[i] = label_store_add_symbol(s, ls.items[i].name);
        l.values[i] = label_store_add_symbol(s, ls.items[i].value);
        if (l.names[i].n == LABEL_STORE_NONE || l.values[i].n == LABEL_STORE_NONE)
            goto done;
    }
    shape_id shape = label_store_add_shape(s, l.names, ls.count);
    if (shape.n != LABEL_STORE_NONE)
        id = label_store_add_values(s, shape, l.values);
done:
    symbol_lists_deinit(s, &l);
    return id;
}

labels_id label_store_find(const struct label_store *s, struct labels ls)
{
    labels_id id = {LABEL_STORE_NONE};
    struct symbol_lists l;
    if (ls.count > LABELS_MAX)
        return id;
    symbol_lists_init(s, &l, ls.count);
    for (uint32_t i = 0; i < ls.count; i++) {
        l.names[i] = label_store_find_symbol(s, ls.items[i].name);
        l.values[i] = label_store_find_symbol(s, ls.items[i].value);
        if (l.names[i].n == LABEL_STORE_NONE || l.values[i].n == LABEL_STORE_NONE)
            goto done;
    }
    uint32_t shape = shape_find(s, names_hash(l.names, ls.count), l.names, ls.count);
    if (shape != LABEL_STORE_NONE)
        id.n = values_find(s, values_hash(shape, l.values, ls.count), shape, l.values, ls.count);
done:
    symbol_lists_deinit(s, &l);
    return id;
}
