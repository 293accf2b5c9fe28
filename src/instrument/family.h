/* SPDX-License-Identifier: Apache-2.0 */
/* family.h: a family's life, for registry.c. What expositions ask of a family is in registry.h. */
#ifndef BELFRY_INSTRUMENT_FAMILY_H
#define BELFRY_INSTRUMENT_FAMILY_H

#include "instrument/names.h"
#include "instrument/registry.h"

/* --- family_shape.c: what a family is, its children aside --- */

/* What a family is made of; all is borrowed. */
struct family_spec {
    const char *name, *help; /* name: without the registry's prefix */
    belfry_metric_type type;
    const char *const *label_names;
    size_t label_count;
    const belfry_histogram_options *histogram; /* NULL: classic, in seconds */
    const belfry_summary_options *summary;     /* NULL: the defaults */
    const char *const *states;
    size_t state_count;
    double (*read)(void *arg);
    void *read_arg;
};

/* Checks everything and sets the error. *out is owned by the caller (belfry__family_free_locked()). It is not added to `r`, whose
 * prefix and constant labels it knows. */
MUST_USE belfry_status belfry__family_new(struct family **out, belfry_registry *r,
                                          const struct family_spec *spec);
/* Frees it without its children. */
void belfry__family_shape_free(struct family *f);
/* Would who registers one of them be content with the other? */
bool belfry__families_are_alike(const struct family *a, const struct family *b);
/* "counter", "gauge", ... */
const char *belfry__type_name(belfry_metric_type type);

/* --- registry.c --- */

/* Registers a family, and its only child where it has no labels and *out_metric is asked for. Where the same is there already,
 * these are what is there. */
belfry_status belfry__register(belfry_registry *r, const struct family_spec *spec,
                               struct family **out_family, struct metric **out_metric,
                               const char *const *values);

/* --- family.c: its children --- */

/* With all its children; nobody may use them any more. NULL does nothing. */
void belfry__family_free_locked(struct family *f);
/* The child with these values, made where it is missing. value_count SIZE_MAX: as many as there are labels, unchecked. NULL: the
 * error is set. */
struct metric *belfry__family_with(struct family *f, const char *const *values, size_t value_count);
/* It, where it is there; else NULL. */
struct metric *belfry__family_find_locked(struct family *f, const char *const *values);
belfry_status belfry__family_remove(struct family *f, const char *const *values);
belfry_status belfry__family_clear(struct family *f);
/* Frees the children that were taken out first, removed.reclaim_count of them; nobody may be at them any more. */
void belfry__family_reclaim_locked(struct family *f);
belfry_status belfry__family_set_children_max(struct family *f, size_t max);

#endif
