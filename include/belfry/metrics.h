/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.h: how a C program counts what it does, and how Prometheus reads it.
 *
 *     static belfry_counter *requests;
 *     if (belfry_counter_new(&requests, NULL, "app_requests_total", "Requests answered.") != BELFRY_OK)
 *         ...;                                   the pointer is NULL then; updating NULL does nothing
 *     belfry_counter_inc(requests);
 *     belfry_registry_write_text(NULL, write_to_client, client);
 *
 * - A registry owns what is registered in it; NULL means the process's default registry, which is never
 *   freed. Pointers to metrics are valid until their registry is freed.
 * - Updating: any thread, no lock, no allocation but once per thread and 1,024 cells; counters and
 *   histograms are wait-free (each thread writes cells of its own), a gauge's add may retry. Not for
 *   signal handlers.
 * - The library never ends its host and prints nothing. What cannot be done is returned. */
#ifndef BELFRY_METRICS_H
#define BELFRY_METRICS_H

#include <belfry/export.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum belfry_status {
    BELFRY_OK = 0,
    BELFRY_ERROR_NAME,    /* a metric or label name that Prometheus would refuse */
    BELFRY_ERROR_EXISTS,  /* the registry has a family whose samples would carry the same name */
    BELFRY_ERROR_LABELS,  /* no labels where some are needed, too many, or one twice */
    BELFRY_ERROR_BUCKETS, /* bounds that do not ascend, are not numbers, or too many */
    BELFRY_ERROR_LIMIT,   /* the process has too many metrics */
    BELFRY_ERROR_MEMORY,
    BELFRY_ERROR_WRITE,  /* the callback said no */
    BELFRY_ERROR_FORMAT, /* an argument that is none of those the header names */
    BELFRY_ERROR_SYSTEM  /* a file or thread; errno is set */
} belfry_status;

/* A sentence in lower case, static. */
BELFRY_API const char *belfry_status_text(belfry_status status);

typedef struct belfry_registry belfry_registry;
typedef struct belfry_counter belfry_counter;
typedef struct belfry_gauge belfry_gauge;
typedef struct belfry_histogram belfry_histogram;
typedef struct belfry_counter_family belfry_counter_family;
typedef struct belfry_gauge_family belfry_gauge_family;
typedef struct belfry_histogram_family belfry_histogram_family;
typedef struct belfry_emitter belfry_emitter;

enum {
    BELFRY_LABELS_MAX = 16,              /* of one family */
    BELFRY_LABEL_VALUE_BYTES_MAX = 1024, /* longer ones are cut */
    BELFRY_BUCKETS_MAX = 200,
    BELFRY_CHILDREN_MAX =
        10000 /* of one family; more fold into one whose values are all "overflow" */
};

/* A private registry. NULL without memory. */
BELFRY_API belfry_registry *belfry_registry_new(void);
/* Frees it with all its metrics; nobody may use these any more. NULL and the default one: nothing. */
BELFRY_API void belfry_registry_free(belfry_registry *registry);
/* The registry that NULL stands for. NULL when there was no memory for it. */
BELFRY_API belfry_registry *belfry_registry_default(void);

/* --- counters: how often, how much; never falls --- */

/* Copies name and help (as all *_new here). On error *out is NULL. Any thread. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_counter_new(belfry_counter **out,
                                                            belfry_registry *registry,
                                                            const char *name, const char *help);
/* Adds 1. About 2 ns. */
BELFRY_API void belfry_counter_inc(belfry_counter *counter);
/* Adds a whole number. */
BELFRY_API void belfry_counter_add(belfry_counter *counter, uint64_t by);
/* Adds seconds and the like; a negative number, NaN and infinity are ignored. */
BELFRY_API void belfry_counter_add_double(belfry_counter *counter, double by);
/* The sum over all threads. */
BELFRY_API double belfry_counter_value(const belfry_counter *counter);

/* --- gauges: how many now --- */

/* Born as 0. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_gauge_new(belfry_gauge **out,
                                                          belfry_registry *registry,
                                                          const char *name, const char *help);
/* Sets, adds (or subtracts), adds 1, subtracts 1. */
BELFRY_API void belfry_gauge_set(belfry_gauge *gauge, double value);
BELFRY_API void belfry_gauge_add(belfry_gauge *gauge, double by);
BELFRY_API void belfry_gauge_inc(belfry_gauge *gauge);
BELFRY_API void belfry_gauge_dec(belfry_gauge *gauge);
/* What it stands at. */
BELFRY_API double belfry_gauge_value(const belfry_gauge *gauge);

/* --- histograms: how long, how large --- */

/* `bounds` ascend strictly; a last +Inf may be left out. bounds NULL = belfry_buckets_seconds. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_histogram_new(belfry_histogram **out,
                                                              belfry_registry *registry,
                                                              const char *name, const char *help,
                                                              const double *bounds,
                                                              size_t bound_count);
/* Counts one value; NaN is ignored. About 5 ns with 11 buckets. */
BELFRY_API void belfry_histogram_observe(belfry_histogram *histogram, double value);
/* How many were observed, and their sum. */
BELFRY_API uint64_t belfry_histogram_count(const belfry_histogram *histogram);
BELFRY_API double belfry_histogram_sum(const belfry_histogram *histogram);

/* 5 ms to 10 s, as Prometheus' client libraries have it. */
enum { BELFRY_BUCKETS_SECONDS_COUNT = 11 };
BELFRY_API extern const double belfry_buckets_seconds[BELFRY_BUCKETS_SECONDS_COUNT];
/* Fills out with count bounds: start, start * factor, ... / start, start + width, ... */
BELFRY_API void belfry_buckets_exponential(double *out, size_t count, double start, double factor);
BELFRY_API void belfry_buckets_linear(double *out, size_t count, double start, double width);

/* --- families: the same with labels ---
 * A child is made when it is first asked for, and shown from then on (ask for known values at the
 * start, so that ratios exist from the first scrape). Asking takes a lock and about 60 ns: where it is
 * hot, keep the pointer. `values` has one string per label name, in their order; invalid UTF-8 in it
 * becomes U+FFFD. NULL when there is no memory (updating NULL does nothing). */

/* Registers a family of counters. */
BELFRY_API BELFRY_MUST_USE belfry_status
belfry_counter_family_new(belfry_counter_family **out, belfry_registry *registry, const char *name,
                          const char *help, const char *const *label_names, size_t label_count);
/* The child with these label values. */
BELFRY_API belfry_counter *belfry_counter_family_with(belfry_counter_family *family,
                                                      const char *const *values);
/* Registers a family of gauges. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_gauge_family_new(belfry_gauge_family **out,
                                                                 belfry_registry *registry,
                                                                 const char *name, const char *help,
                                                                 const char *const *label_names,
                                                                 size_t label_count);
/* The child with these label values. */
BELFRY_API belfry_gauge *belfry_gauge_family_with(belfry_gauge_family *family,
                                                  const char *const *values);
/* Registers a family of histograms; no label may be called "le". */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_histogram_family_new(
    belfry_histogram_family **out, belfry_registry *registry, const char *name, const char *help,
    const char *const *label_names, size_t label_count, const double *bounds, size_t bound_count);
/* The child with these label values. */
BELFRY_API belfry_histogram *belfry_histogram_family_with(belfry_histogram_family *family,
                                                          const char *const *values);

/* --- values read when somebody looks --- */

/* Calls read(arg) at each exposition, from the thread that writes it. No lock is held. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_counter_func_new(belfry_registry *registry,
                                                                 const char *name, const char *help,
                                                                 double (*read)(void *arg),
                                                                 void *arg);
/* The same for a gauge. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_gauge_func_new(belfry_registry *registry,
                                                               const char *name, const char *help,
                                                               double (*read)(void *arg),
                                                               void *arg);

typedef enum belfry_metric_type {
    BELFRY_COUNTER,
    BELFRY_GAUGE,
    BELFRY_HISTOGRAM,
    BELFRY_SUMMARY,
    BELFRY_UNTYPED
} belfry_metric_type;

typedef struct belfry_label {
    const char *name, *value;
} belfry_label;

/* Calls collect(arg, emitter) at each exposition; it emits families and samples. release(arg), when not
 * NULL, is called when the registry is freed (and when this call fails). */
BELFRY_API BELFRY_MUST_USE belfry_status
belfry_collector_new(belfry_registry *registry, void (*collect)(void *arg, belfry_emitter *emitter),
                     void *arg, void (*release)(void *arg));
/* Begins a family; samples that follow belong to it. A family may be begun more than once: its samples
 * are shown together, help and type are those of the first. Wrong names are left out of the output. */
BELFRY_API void belfry_emit_family(belfry_emitter *emitter, const char *name, const char *help,
                                   belfry_metric_type type);
/* One sample of the family begun last. `suffix` is NULL or "_bucket", "_sum", "_count". */
BELFRY_API void belfry_emit_sample(belfry_emitter *emitter, const char *suffix,
                                   const belfry_label *labels, size_t label_count, double value);
/* Family and its only sample in one. */
BELFRY_API void belfry_emit(belfry_emitter *emitter, const char *name, const char *help,
                            belfry_metric_type type, double value);

/* --- exposition: other formats, and what a client asks for, are in <belfry/exposition.h> --- */

#define BELFRY_TEXT_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Writes everything in the text format 0.0.4: belfry_registry_write() with all at its default. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_registry_write_text(
    belfry_registry *registry, bool (*write)(void *arg, const char *bytes, size_t len), void *arg);
/* All in the text format as one text, NUL-terminated (len does not count that); belfry_text_free() it. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_registry_text(belfry_registry *registry, char **out,
                                                              size_t *len);
/* NULL does nothing. */
BELFRY_API void belfry_text_free(char *text);

/* Updates that were lost because a thread had no memory for its cells; 0 in a healthy process. */
BELFRY_API uint64_t belfry_updates_lost(void);

#ifdef __cplusplus
}
#endif

#endif
