/* SPDX-License-Identifier: Apache-2.0 */
/* registry.h: what is registered, as registry.c, family.c, the metrics and the expositions share it.
 *
 * A registry has families, a family has children (one, where it has no labels), a child is a struct metric with its
 * numbers behind it: struct belfry_counter and so on. Lifetimes: everything lives as long as the registry, also what was
 * removed or unregistered; only tables of children are replaced (family.c). */
#ifndef BELFRY_INSTRUMENT_REGISTRY_H
#define BELFRY_INSTRUMENT_REGISTRY_H

#include "belfry/metrics.h"
#include "instrument/cells.h"
#include "instrument/exemplar.h"
#include "instrument/sketch.h"

#include <stdatomic.h>

struct family;

/* What all children begin with. Constant once published, but for the cells' owner. */
struct metric {
    struct family *family;
    struct cells cells;
    int64_t created_ms; /* of the epoch */
    uint32_t hash;      /* of the values */
    uint16_t values_bytes;
    bool needs_escape;       /* a value has \, " or a line end */
    _Atomic bool is_removed; /* shown no more */
};

/* The struct's cells lie at its end (`base`), and behind them the label values, each with its NUL, as they were given. */
struct belfry_counter {
    struct metric metric;
    _Atomic(struct exemplar_slot *) exemplar;
    _Atomic uint64_t base[2]; /* COUNTER_* */
};
struct belfry_gauge {
    struct metric metric;
    _Atomic uint64_t bits; /* a double */
};
struct belfry_histogram {
    struct metric metric;
    const double *bounds; /* the family's, as what follows */
    uint32_t bound_count; /* classic ones without +Inf */
    bool is_classic, is_native;
    struct sketch sketch; /* native */
    /* One place per classic bucket, +Inf too, or HISTOGRAM_NATIVE_EXEMPLARS; NULL until there is one. */
    _Atomic(struct exemplar_places *) exemplars;
    uint64_t *
        classic_before; /* its buckets' counts at the last start (the lock); NULL: it never begins anew */
    _Atomic uint64_t base[]; /* HISTOGRAM_* */
};
struct belfry_summary {
    struct metric metric;
    struct sketch sketch;
    struct summary_window *window; /* summary.c */
};
struct belfry_stateset {
    struct metric metric;
    _Atomic uint64_t bits; /* bit n: state n holds */
};

enum { COUNTER_WHOLE_CELL, COUNTER_DOUBLE_CELL, COUNTER_CELL_COUNT };
enum { HISTOGRAM_SUM_CELL, HISTOGRAM_FIRST_BUCKET_CELL }; /* sum: of classic ones alone */
enum { HISTOGRAM_NATIVE_EXEMPLARS = 10 };

struct exemplar_places {
    size_t count;
    _Atomic(struct exemplar_slot *) places[];
};

struct child_table; /* family.c */

struct family {
    belfry_registry *registry; /* constant from here */
    char *name;                /* with the registry's prefix */
    char *given_name;          /* without; points into name */
    char *help;
    belfry_metric_type type;
    char **label_names;
    size_t label_count;
    double *bounds; /* histogram: of classic buckets; NULL: none */
    size_t bound_count;
    double *quantiles; /* summary */
    size_t quantile_count;
    char **states; /* stateset */
    size_t state_count;
    struct sketch_options
        sketch;         /* native histogram (schema_max below SKETCH_SCHEMA_NONE) and summary */
    int64_t max_age_ms; /* summary */
    uint32_t age_buckets;
    double (*read)(void *arg); /* a func's, else NULL */
    void *read_arg;
    size_t child_bytes; /* of a child, without its values */
    uint32_t cell_count;

    _Atomic(const char *) unit;   /* NULL: none; set once */
    _Atomic bool is_unregistered; /* set once */
    _Atomic uint32_t children_max;
    _Atomic(struct child_table *) table; /* stored under the lock */
    _Atomic uint32_t
        shown_count; /* the lock: children that are not removed, without the overflow child */
    _Atomic(struct metric *) overflow; /* the child of those that were too many; NULL: none yet */
    _Atomic uint64_t folded_count;     /* how often it was asked for */
    struct metric_list {               /* the lock */
        struct metric **items;
        size_t count, capacity;
        size_t reclaim_count; /* the first ones, which reclaim.c is about to free */
    } removed;
    struct child_table *old_tables; /* the lock: not freed yet */
    _Atomic uint32_t change_count;  /* stored under the lock: of children that came and went */
    struct child_order *order;      /* the lock: the list made last, or NULL */
};

/* The same struct under the names that programs see. */
struct belfry_counter_family {
    struct family family;
};
struct belfry_gauge_family {
    struct family family;
};
struct belfry_histogram_family {
    struct family family;
};
struct belfry_summary_family {
    struct family family;
};
struct belfry_stateset_family {
    struct family family;
};

struct collector {
    void (*collect)(void *arg, belfry_emitter *emitter);
    void *arg;
    void (*release)(void *arg);
};

struct belfry_registry {      /* all: the lock */
    struct family **families; /* not the unregistered */
    size_t family_count, family_capacity;
    struct family **gone; /* unregistered; pointers to their metrics stay valid */
    size_t gone_count, gone_capacity, gone_reclaim_count;
    size_t writing_count;                           /* expositions that go on */
    size_t registering_count;                       /* registrations that go on */
    bool is_reclaiming;                             /* a call of belfry_reclaim() goes on */
    struct sample_name *names;                      /* open addressing: the names of all samples */
    size_t name_slots, name_count, name_count_live; /* count: with what was taken out */
    struct collector *collectors;
    size_t collector_count, collector_capacity;
    _Atomic(const char *) prefix; /* constant once something is registered, as the labels */
    belfry_label *labels;
    size_t label_count;
    _Atomic bool shows_created;
};

/* --- children --- */

/* The children that are shown, in no order, *out allocated (not NULL) and owned by the caller; the children are borrowed: as
 * long as the registry. False without memory. Any thread. */
MUST_USE bool belfry__family_children(struct family *f, const struct metric ***out, size_t *count);

/* They, sorted by their label values. Constant but for the references. */
struct child_order {
    size_t references; /* the lock */
    uint32_t change;   /* family.change_count when it was made */
    size_t count;
    const struct metric *items[];
};
/* NULL without memory. _give() it back. Any thread. */
struct child_order *belfry__family_order_take(struct family *f);
void belfry__family_order_give(struct child_order *order);
/* When the family goes. */
void belfry__family_order_free_locked(struct family *f);

/* The label values of a child: so many as its family has names, each with its NUL. */
static inline const char *metric_values(const struct metric *m)
{
    return (const char *)m + m->family->child_bytes;
}

/* --- reading for expositions; any thread, while others update --- */

/* What a histogram holds now. Reused from child to child: all zero at first, deinit when done. */
struct histogram_reading {
    uint64_t count; /* of native buckets where there are any, else of classic ones */
    double sum;
    int64_t created_ms;
    uint64_t classic[BELFRY_BUCKETS_MAX +
                     1];          /* not cumulative; bound_count + 1 of them where it is classic */
    struct sketch_reading native; /* where it is native */
};
/* False without memory. */
MUST_USE bool belfry__histogram_read(const belfry_histogram *h, struct histogram_reading *out);
void belfry__histogram_reading_deinit(struct histogram_reading *reading);

/* Example of classic bucket `idx` (or one of the native ones, 0 to HISTOGRAM_NATIVE_EXEMPLARS - 1). */
bool belfry__histogram_exemplar(const belfry_histogram *h, size_t idx, struct exemplar *out);

/* The values of all quantiles of the family, NaN where nothing was observed; and count and sum. False without memory. */
MUST_USE bool belfry__summary_read(const belfry_summary *s, double *quantile_values,
                                   uint64_t *count, double *sum);

/* --- what family.c asks of the types --- */

/* All but the common part, which is there. False without memory. */
MUST_USE bool belfry__histogram_init_locked(belfry_histogram *h);
void belfry__histogram_deinit_locked(belfry_histogram *h);
MUST_USE bool belfry__summary_init_locked(belfry_summary *s);
void belfry__summary_deinit_locked(belfry_summary *s);

#endif
