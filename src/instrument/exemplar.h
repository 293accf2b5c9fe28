/* SPDX-License-Identifier: Apache-2.0 */
/* exemplar.h: an example of what a counter or a bucket counted: a value, when, and labels that lead to it.
 *
 * One slot holds the latest. Storing never waits: who finds another thread storing leaves its example away. */
#ifndef BELFRY_INSTRUMENT_EXEMPLAR_H
#define BELFRY_INSTRUMENT_EXEMPLAR_H

#include "base/attributes.h"
#include "belfry/metrics.h"

#include <stdatomic.h>

/* The attachment point of the current request (request.c): what this thread counts from now on has these labels as its
 * example, at most once a second for each counter and bucket. Borrowed until the next call; NULL or 0 = none. Must be
 * valid as belfry__exemplar_check() says. False when the thread has no memory for it. */
bool belfry__exemplar_set(const belfry_label *labels, size_t count);
/* What was set. NULL when nothing. */
const belfry_label *belfry__exemplar_current(size_t *count);

/* Names and values, each with its NUL: at most 4 bytes per character. */
enum { EXEMPLAR_TEXT_BYTES = BELFRY_EXEMPLAR_CHARACTERS_MAX * 4 + BELFRY_LABELS_MAX * 2 };

struct exemplar_slot;

/* A copy. */
struct exemplar {
    double value;
    int64_t timestamp_ms; /* of the epoch */
    size_t label_count, text_bytes;
    char text[EXEMPLAR_TEXT_BYTES]; /* name NUL value NUL name ... */
};

/* Are there as many labels as may be, named as labels are, in UTF-8 and short enough? Sets the error. */
MUST_USE belfry_status belfry__exemplar_check(const belfry_label *labels, size_t count);
/* Keeps it in *place, whose slot is made where it is missing (without memory: left away). Checked before. */
void belfry__exemplar_store(_Atomic(struct exemplar_slot *) *place, double value,
                            const belfry_label *labels, size_t count);
/* The same for the labels of the current request, unless *place has one that is younger than a second. */
void belfry__exemplar_store_current(_Atomic(struct exemplar_slot *) *place, double value);
/* False when there is none. Any thread. */
bool belfry__exemplar_read(_Atomic(struct exemplar_slot *) const *place, struct exemplar *out);
/* NULL does nothing. */
void belfry__exemplar_free(struct exemplar_slot *slot);

/* Is there a current request? `block` is this thread's. */
#define EXEMPLAR_IS_SET(block)                                                                     \
    UNLIKELY(atomic_load_explicit(&(block)->exemplar, memory_order_relaxed) != NULL)

#endif
