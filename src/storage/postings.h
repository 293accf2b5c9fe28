/* SPDX-License-Identifier: Apache-2.0 */
/* postings.h: for each label pair the ascending ids of the series that carry it, and for each label name
 * its values. Layout and threads: postings.c. */
#ifndef BELFRY_STORAGE_POSTINGS_H
#define BELFRY_STORAGE_POSTINGS_H

#include "base/map.h"
#include "model/label_store.h"

#include <stdbool.h>
#include <stdint.h>

struct posting_chunk;

/* One label pair. */
struct posting {
    uint32_t name_idx;
    symbol_id value;
    uint32_t count; /* 0 = the place is free */
    uint32_t first; /* the lowest id stands here: most pairs have one series */
    struct posting_chunk *rest;
};

/* A name and its values as postings. */
struct posting_name {
    symbol_id name;
    uint32_t *values; /* posting numbers; order means nothing; some may be empty lists */
    size_t count, capacity;
    bool has_gone; /* since the last postings_purge_finish() */
};

struct postings {
    struct posting **pages; /* never move */
    size_t page_count, page_capacity;
    uint32_t posting_count; /* places ever used */
    uint32_t *free;         /* places to use again */
    size_t free_count, free_capacity;
    struct map pairs; /* (name, value) -> posting */
    struct posting_name *names;
    size_t name_count, name_capacity;
    struct map name_index; /* name -> names */
    uint64_t pair_count;   /* in use */
};

/* A state of one list that stays readable without a lock while its memory is kept (head.c: garbage). */
struct posting_list {
    uint32_t count, first;
    const struct posting_chunk *rest;
};

void postings_init(struct postings *p);
void postings_deinit(struct postings *p);
/* `id` is above all ids added before. */
void postings_add(struct postings *p, symbol_id name, symbol_id value, uint32_t id);
/* Empty (count 0) when the pair is unknown. */
struct posting_list postings_find(const struct postings *p, symbol_id name, symbol_id value);
const struct posting_name *postings_name(const struct postings *p, symbol_id name);
const struct posting *postings_at(const struct postings *p, uint32_t posting);
struct posting_list posting_snapshot(const struct posting *list);

/* Takes the dead out of every list they are in. What was replaced is given to `retire`, to be freed (a
 * chunk: posting_chunks_free; a place: postings_place_free) when no reader can know it any more. */
struct postings_retire {
    void (*chunks)(void *arg, struct posting_chunk *chunks);
    void (*place)(void *arg, uint32_t posting);
    void *arg;
};
typedef bool (*posting_is_dead)(const void *arg, uint32_t id);
void postings_purge(struct postings *p, symbol_id name, symbol_id value, posting_is_dead dead,
                    const void *dead_arg, const struct postings_retire *retire);
/* After the last purge and before any place is freed: forgets values without series. */
void postings_purge_finish(struct postings *p);
void posting_chunks_free(struct posting_chunk *chunks);
void postings_place_free(struct postings *p, uint32_t posting);

/* Lock free: copies the ids, ascending, to out[0..list.count). */
void posting_list_copy(struct posting_list list, uint32_t *out);
/* Keeps of ids[0..count) (ascending) those in the list; returns how many. */
size_t posting_list_intersect(struct posting_list list, uint32_t *ids, size_t count);

#endif
