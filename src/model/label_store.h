/* SPDX-License-Identifier: Apache-2.0 */
/* label_store.h: label sets as a shape (interned sorted list of name ids) and one value id per name:
 * 4 bytes a label and 4 for the shape, no strings of its own. Equal sets have equal ids, so equality is
 * one comparison; grouping and matching find a name's place once per shape, then index.
 * The head has one for its life; each query has its own, into which sources map their labels.
 *
 * Threads: one writer at a time (the owner's mutex); any number of readers beside it, without a lock,
 * of ids they were given. Everything only grows; nothing moves; ids are dense from 0 and published by
 * a count with release order. */
#ifndef BELFRY_MODEL_LABEL_STORE_H
#define BELFRY_MODEL_LABEL_STORE_H

#include "base/attributes.h"
#include "base/mem.h"
#include "model/labels.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint32_t n;
} symbol_id;
typedef struct {
    uint32_t n;
} shape_id;
typedef struct {
    uint32_t n;
} labels_id;

#define LABEL_STORE_NONE UINT32_MAX /* as .n: no such symbol, shape or label set */

struct label_store;

/* Symbol 0 is always "" and label set 0 the empty one. bytes_max 0 = unlimited; beyond it the _try_
 * functions return LABEL_STORE_NONE. */
struct label_store *label_store_new(enum mem_account account, size_t bytes_max);
void label_store_free(struct label_store *s);
size_t label_store_bytes(const struct label_store *s);
uint32_t label_store_symbol_count(const struct label_store *s);
uint32_t label_store_labels_count(const struct label_store *s);
uint32_t label_store_shape_count(const struct label_store *s);

/* Writer. Text is copied when new. .n == LABEL_STORE_NONE when over the limit. */
symbol_id label_store_add_symbol(struct label_store *s, struct view text);
/* `names` ascend by text and are distinct. */
shape_id label_store_add_shape(struct label_store *s, const symbol_id *names, uint32_t count);
labels_id label_store_add(struct label_store *s, struct labels ls);
/* values[i] belongs to the shape's i-th name; none may be symbol 0 (""). */
labels_id label_store_add_values(struct label_store *s, shape_id shape, const symbol_id *values);

/* Writer too (the tables they look in may be growing). NONE when not there. */
symbol_id label_store_find_symbol(const struct label_store *s, struct view text);
labels_id label_store_find(const struct label_store *s, struct labels ls);

/* Readers; everything returned is borrowed for the life of the store. */
struct view label_store_text(const struct label_store *s, symbol_id symbol);
const symbol_id *label_store_shape_names(const struct label_store *s, shape_id shape,
                                         uint32_t *count);
/* The place of a name in a shape, or -1. */
int label_store_shape_find(const struct label_store *s, shape_id shape, symbol_id name);
shape_id label_store_shape(const struct label_store *s, labels_id id);
/* count values, in the order of the shape's names. */
const symbol_id *label_store_values(const struct label_store *s, labels_id id);
/* The value of `name` (a symbol of this store), symbol 0 when it is not there. */
symbol_id label_store_get(const struct label_store *s, labels_id id, symbol_id name);
/* Laid out flat in the arena; text stays the store's. */
struct labels label_store_labels(const struct label_store *s, labels_id id, struct arena *arena);
/* labels_hash() of the set, computed without laying it out. */
uint64_t label_store_hash(const struct label_store *s, labels_id id);
/* labels_compare() of two sets of one store. */
int label_store_compare(const struct label_store *s, labels_id a, labels_id b);

#endif
