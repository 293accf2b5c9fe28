/* SPDX-License-Identifier: Apache-2.0 */
/* exposition.h: what exposition.c, which walks over families, and the formats share. */
#ifndef BELFRY_INSTRUMENT_EXPOSITION_H
#define BELFRY_INSTRUMENT_EXPOSITION_H

#include "belfry/exposition.h"
#include "instrument/registry.h"
#include "instrument/text.h"

/* A family as the reader is shown it. */
struct shown_family {
    const char *name; /* escaped; what is still no plain name stands in quotes */
    size_t name_len;
    bool is_quoted; /* then it is escaped for that too, but for protobuf */
    const char *help;
    belfry_metric_type type;
    const char *openmetrics_type; /* "unknown" for a counter whose name does not end with _total */
    size_t openmetrics_name_len;  /* of `name`: without that _total */
    const struct family *family;  /* NULL: a collector's */
    const char *unit;             /* NULL: none */
};

/* One sample of a collector. Strings are UTF-8, not escaped. */
struct emitted {
    const char *suffix; /* "" = none */
    size_t label_count;
    const char *labels; /* name, NUL, value, NUL, ... */
    double value;
};

struct output {
    struct text text; /* what is not written yet */
    bool (*write)(void *arg, const char *bytes, size_t len);
    void *arg;
    bool refused;
    const struct format *format;
    belfry_escaping escaping;
    bool is_openmetrics, shows_created;
    const belfry_registry *registry; /* whose constant labels all samples have */

    /* Reused: of this family (heads: constant labels, then what stands before each label's value), of this child, of
     * `bounds_of`. */
    struct text name, heads, labels, bounds;
    size_t head_ends[BELFRY_LABELS_MAX + 1]; /* in `heads` */
    struct histogram_reading histogram;
    bool failed; /* a metric could not be read for want of memory */
    const struct family *bounds_of;
    size_t bound_ends[BELFRY_BUCKETS_MAX + 1]; /* in `bounds` */

    /* Protobuf: where the lengths of what is open will stand. */
    size_t family_at, metric_at, value_at;
    bool is_value_open; /* a histogram or summary that a collector emits: */
    uint64_t count;
    double sum;
    struct text key; /* its labels */
};

/* How a format writes. Each function appends to output.text. */
struct format {
    void (*family_begin)(struct output *o, const struct shown_family *f);
    void (*metric)(struct output *o, const struct shown_family *f, const struct metric *m);
    void (*sample)(struct output *o, const struct shown_family *f, const struct emitted *s);
    void (*family_end)(struct output *o, const struct shown_family *f);
    bool keeps_families_whole;
};

extern const struct format belfry__format_lines, belfry__format_protobuf;

/* Writes text out when there is enough of it. */
void belfry__output_flush(struct output *o, size_t bytes_min);

/* Appends the name as the escaping writes it. `colons`: a metric's, which may have them. */
void belfry__name_escape(struct text *t, const char *name, bool colons, belfry_escaping escaping);
/* May the name stand without quotes? */
bool belfry__name_is_plain(const char *name, size_t len, bool colons);

#endif
