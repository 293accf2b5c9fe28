/* SPDX-License-Identifier: Apache-2.0 */
/* postings.c
 *
 * A list holds its lowest id in place and the rest in chunks of 4, 8, 16 ... ids (at most 4096), chained.
 * It only grows at its end; ids never move.
 *
 * Threads: everything here is called under the owner's mutex, besides posting_list_copy and
 * posting_list_intersect. These need none: a snapshot's count was read under the mutex, every id below
 * it had been written then, and a reader follows a chunk's `next` only when it needs an id behind it, so
 * that the writer's stores (ids above the count, `next` of the last chunk) touch nothing a reader
 * looks at. A purge does not edit: it builds a new chain and retires the old one. */
#include "storage/postings.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/mem.h"

enum { POSTING_PAGE = 1024, CHUNK_IDS_FIRST = 4, CHUNK_IDS_MAX = 4096 };

struct posting_chunk {
    struct posting_chunk *next;
    struct posting_chunk *tail; /* in the first chunk of a chain: the last one */
    uint32_t used, capacity;    /* used: writer only */
    uint32_t ids[];
};

struct pair {
    uint32_t name_idx;
    symbol_id value;
};

void postings_init(struct postings *p)
{
    *p = (struct postings){0};
    map_init(&p->pairs, MEM_INDEX);
    map_init(&p->name_index, MEM_INDEX);
}

void postings_deinit(struct postings *p)
{
    for (uint32_t i = 0; i < p->posting_count; i++)
        posting_chunks_free(p->pages[i / POSTING_PAGE][i % POSTING_PAGE].rest);
    for (size_t i = 0; i < p->page_count; i++)
        mem_free(MEM_INDEX, p->pages[i]);
    for (size_t i = 0; i < p->name_count; i++)
        mem_free(MEM_INDEX, p->names[i].values);
    mem_free(MEM_INDEX, p->pages);
    mem_free(MEM_INDEX, p->free);
    mem_free(MEM_INDEX, p->names);
    map_deinit(&p->pairs);
    map_deinit(&p->name_index);
}

static struct posting *posting_get(const struct postings *p, uint32_t posting)
{
    ASSERT(posting < p->posting_count);
    return &p->pages[posting / POSTING_PAGE][posting % POSTING_PAGE];
}

const struct posting *postings_at(const struct postings *p, uint32_t posting)
{
    return posting_get(p, posting);
}

static uint64_t pair_hash(struct pair pair)
{
    return hash64(&pair, sizeof pair);
}

static bool pair_is(const void *context, uint32_t item, const void *key)
{
    const struct posting *list = posting_get(context, item);
    const struct pair *pair = key;
    return list->name_idx == pair->name_idx && list->value.n == pair->value.n;
}

static bool name_is(const void *context, uint32_t item, const void *key)
{
    const struct postings *p = context;
    return p->names[item].name.n == ((const symbol_id *)key)->n;
}

static uint32_t name_find(const struct postings *p, symbol_id name)
{
    return map_find(&p->name_index, hash64(&name, sizeof name), name_is, p, &name);
}

static uint32_t place_find(const struct postings *p, symbol_id name, symbol_id value)
{
    struct pair pair = {name_find(p, name), value};
    if (pair.name_idx == MAP_NONE)
        return MAP_NONE;
    return map_find(&p->pairs, pair_hash(pair), pair_is, p, &pair);
}

static uint32_t place_new(struct postings *p)
{
    if (p->free_count > 0)
        return p->free[--p->free_count];
    if (p->posting_count == p->page_count * POSTING_PAGE) {
        p->pages = mem_grow(MEM_INDEX, p->pages, &p->page_capacity, p->page_count + 1,
                            sizeof(struct posting *));
        p->pages[p->page_count++] = mem_alloc(MEM_INDEX, POSTING_PAGE * sizeof(struct posting));
    }
    return p->posting_count++;
}

static uint32_t name_add(struct postings *p, symbol_id name)
{
    p->names =
        mem_grow(MEM_INDEX, p->names, &p->name_capacity, p->name_count + 1, sizeof *p->names);
    p->names[p->name_count] = (struct posting_name){.name = name};
    map_add(&p->name_index, hash64(&name, sizeof name), (uint32_t)p->name_count);
    return (uint32_t)p->name_count++;
}

static struct posting_chunk *chunk_new(uint32_t capacity)
{
    struct posting_chunk *c = mem_alloc(MEM_INDEX, sizeof *c + capacity * sizeof c->ids[0]);
    c->next = NULL;
    c->tail = c;
    c->used = 0;
    c->capacity = capacity;
    return c;
}

static void list_append(struct posting *list, uint32_t id)
{
    if (list->count == 0) {
        list->first = id;
    } else {
        struct posting_chunk *tail = list->rest ? list->rest->tail : NULL;
        if (!tail) {
            tail = list->rest = chunk_new(CHUNK_IDS_FIRST);
        } else if (tail->used == tail->capacity) {
            uint32_t capacity = tail->capacity * 2;
            tail->next = chunk_new(capacity < CHUNK_IDS_MAX ? capacity : CHUNK_IDS_MAX);
            tail = list->rest->tail = tail->next;
        }
        tail->ids[tail->used++] = id;
    }
    list->count++;
}

void postings_add(struct postings *p, symbol_id name, symbol_id value, uint32_t id)
{
    uint32_t place = place_find(p, name, value);
    if (place == MAP_NONE) {
        struct pair pair = {name_find(p, name), value};
        if (pair.name_idx == MAP_NONE)
            pair.name_idx = name_add(p, name);
        place = place_new(p);
        *posting_get(p, place) = (struct posting){.name_idx = pair.name_idx, .value = value};
        map_add(&p->pairs, pair_hash(pair), place);
        struct posting_name *n = &p->names[pair.name_idx];
        n->values = mem_grow(MEM_INDEX, n->values, &n->capacity, n->count + 1, sizeof *n->values);
        n->values[n->count++] = place;
        p->pair_count++;
    }
    list_append(posting_get(p, place), id);
}

struct posting_list posting_snapshot(const struct posting *list)
{
    return (struct posting_list){list->count, list->first, list->rest};
}

struct posting_list postings_find(const struct postings *p, symbol_id name, symbol_id value)
{
    uint32_t place = place_find(p, name, value);
    return place == MAP_NONE ? (struct posting_list){0} : posting_snapshot(posting_get(p, place));
}

const struct posting_name *postings_name(const struct postings *p, symbol_id name)
{
    uint32_t idx = name_find(p, name);
    return idx == MAP_NONE ? NULL : &p->names[idx];
}

void posting_chunks_free(struct posting_chunk *chunks)
{
    while (chunks) {
        struct posting_chunk *next = chunks->next;
        mem_free(MEM_INDEX, chunks);
        chunks = next;
    }
}

void postings_place_free(struct postings *p, uint32_t posting)
{
    p->free = mem_grow(MEM_INDEX, p->free, &p->free_capacity, p->free_count + 1, sizeof *p->free);
    p->free[p->free_count++] = posting;
}

void postings_purge(struct postings *p, symbol_id name, symbol_id value, posting_is_dead dead,
                    const void *dead_arg, const struct postings_retire *retire)
{
    uint32_t place = place_find(p, name, value);
    if (place == MAP_NONE)
        return; /* an earlier purge emptied it */
    struct posting *list = posting_get(p, place), kept = *list;
    bool any = list->count > 0 && dead(dead_arg, list->first);
    uint32_t left = list->count - 1;
    for (struct posting_chunk *c = list->rest; c && !any; c = c->next) {
        for (uint32_t i = 0; i < c->used && !any; i++)
            any = dead(dead_arg, c->ids[i]);
    }
    if (!any)
        return;
    kept.count = 0;
    kept.rest = NULL;
    if (!dead(dead_arg, list->first))
        list_append(&kept, list->first);
    for (struct posting_chunk *c = list->rest; c; c = c->next) {
        for (uint32_t i = 0; i < c->used; i++, left--) {
            if (!dead(dead_arg, c->ids[i]))
                list_append(&kept, c->ids[i]);
        }
    }
    ASSERT(left == 0);
    if (list->rest)
        retire->chunks(retire->arg, list->rest);
    *list = kept;
    if (kept.count == 0) {
        map_remove(&p->pairs, pair_hash((struct pair){kept.name_idx, value}), place);
        p->names[kept.name_idx].has_gone = true;
        p->pair_count--;
        retire->place(retire->arg, place);
    }
}

void postings_purge_finish(struct postings *p)
{
    for (size_t i = 0; i < p->name_count; i++) {
        struct posting_name *n = &p->names[i];
        if (!n->has_gone)
            continue;
        size_t kept = 0;
        for (size_t k = 0; k < n->count; k++) {
            if (posting_get(p, n->values[k])->count > 0)
                n->values[kept++] = n->values[k];
        }
        n->count = kept;
        n->has_gone = false;
    }
}

/* The last chunk's `next` is the writer's. */
static const struct posting_chunk *next_chunk(const struct posting_chunk *c, uint32_t left)
{
    return left > 0 ? c->next : NULL;
}

void posting_list_copy(struct posting_list list, uint32_t *out)
{
    if (list.count == 0)
        return;
    *out++ = list.first;
    uint32_t left = list.count - 1;
    for (const struct posting_chunk *c = list.rest; left > 0; c = next_chunk(c, left)) {
        uint32_t take = left < c->capacity ? left : c->capacity;
        memcpy(out, c->ids, take * sizeof *out);
        out += take;
        left -= take;
    }
}

/* Ids of one chunk are searched by halving from where the last one was found. */
static uint32_t lower_bound(const uint32_t *ids, uint32_t from, uint32_t to, uint32_t id)
{
    uint32_t step = 1, high = from;
    while (high < to && ids[high] < id) {
        from = high + 1;
        high = to - high > step ? high + step : to;
        step *= 2;
    }
    while (from < high) {
        uint32_t mid = from + (high - from) / 2;
        if (ids[mid] < id)
            from = mid + 1;
        else
            high = mid;
    }
    return from;
}

size_t posting_list_intersect(struct posting_list list, uint32_t *ids, size_t count)
{
    size_t kept = 0, i = 0;
    if (list.count == 0)
        return 0;
    for (; i < count && ids[i] <= list.first; i++) {
        if (ids[i] == list.first)
            ids[kept++] = ids[i];
    }
    uint32_t left = list.count - 1;
    for (const struct posting_chunk *c = list.rest; left > 0 && i < count;
         c = next_chunk(c, left)) {
        uint32_t in_chunk = left < c->capacity ? left : c->capacity;
        left -= in_chunk;
        for (uint32_t at = 0; i < count && ids[i] <= c->ids[in_chunk - 1]; i++) {
            at = lower_bound(c->ids, at, in_chunk, ids[i]);
            if (c->ids[at] == ids[i])
                ids[kept++] = ids[i];
        }
    }
    return kept;
}
