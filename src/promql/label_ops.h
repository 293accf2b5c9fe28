/* SPDX-License-Identifier: Apache-2.0 */
/* label_ops.h: what operators do to label sets: keep some names, drop some, index by what is left.
 * All on the query's thread (they may add to its label store). */
#ifndef BELFRY_PROMQL_LABEL_OPS_H
#define BELFRY_PROMQL_LABEL_OPS_H

#include "base/buffer.h"
#include "base/map.h"
#include "model/label_store.h"
#include "promql/operator.h"

/* Keeps or drops a set of names. What it means for a shape is worked out once per shape: after that, a label set
 * costs a gather of its value ids and one lookup. */
struct label_filter {
    struct label_store *store;
    struct arena *arena;
    symbol_id *names;
    uint32_t count;
    bool keep; /* else drop */
    struct label_filter_shape *shapes;
    size_t shapes_capacity;
};
/* `name_too`: drop __name__ as well (without, ignoring). */
void label_filter_init(struct label_filter *f, struct eval *e, const struct view *names,
                       uint32_t count, bool keep, bool name_too);
labels_id label_filter_apply(struct label_filter *f, labels_id id);

/* label set -> dense number in the order of arrival. */
struct label_index {
    struct map map;
    labels_id *ids; /* arena */
    uint32_t count;
    size_t capacity;
    struct arena *arena;
};
void label_index_init(struct label_index *x, struct arena *arena);
void label_index_deinit(struct label_index *x);
/* Adds it when new. */
uint32_t label_index_add(struct label_index *x, labels_id id);
/* MAP_NONE when it is not there. */
uint32_t label_index_find(const struct label_index *x, labels_id id);

/* Without __name__. */
labels_id *labels_drop_name(struct eval *e, const labels_id *ids, uint32_t count);
bool labels_are_distinct(const labels_id *ids, uint32_t count);
/* As Prometheus writes label sets in errors: {__name__="x", a="b"}. */
struct view labels_text(struct eval *e, labels_id id);

#endif
