/* SPDX-License-Identifier: Apache-2.0 */
/* match_private.h: what join and set operators share: the signature of a series is what on() or ignoring()
 * leaves of its labels. */
#ifndef BELFRY_PROMQL_MATCH_PRIVATE_H
#define BELFRY_PROMQL_MATCH_PRIVATE_H

#include "promql/label_ops.h"
#include "promql/match.h"

/* Signatures of both sides, numbered densely. */
struct signatures {
    struct label_index index; /* number -> the labels of the match group */
    uint32_t *left, *right;   /* per series */
};
void signatures_find(struct signatures *s, const struct operation *left,
                     const struct operation *right, const struct vector_matching *m);
void signatures_deinit(struct signatures *s);

/* match_steps.c: matching decided step by step, for sides in which several series share a signature, and for fill
 * modifiers. `many` is the left side unless swapped. Takes both. */
struct operation *match_by_step(struct operation *many, struct operation *one,
                                const uint32_t *many_sig, const uint32_t *one_sig,
                                const struct label_index *groups, bool swapped,
                                const struct expr *x, struct error *err);

/* The labels of a result. */
struct match_labels {
    struct eval *eval;
    struct label_filter filter;
    const struct vector_matching *matching;
    symbol_id *include; /* symbols of the included names; NONE where unknown to the store */
    struct arena scratch;
};
void match_labels_init(struct match_labels *l, struct eval *e, const struct expr *x);
void match_labels_deinit(struct match_labels *l);
/* `many` with what `one` adds. */
labels_id match_labels_get(struct match_labels *l, labels_id many, labels_id one);

#endif
