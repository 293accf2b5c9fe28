/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.h: how a C program counts what it does, and how Prometheus reads it.
 *
 *     static belfry_counter *requests;
 *     if (belfry_counter_new(&requests, NULL, "app_requests_total", "Requests answered.") != BELFRY_OK)
 *         fprintf(stderr, "%s\n", belfry_last_error());
 *     belfry_counter_inc(requests);          NULL, when that failed: says so, harms nothing
 *     belfry_registry_write_text(NULL, write_to_client, client);
 *
 * - A registry owns what is registered in it; NULL means the process's default registry, which is never
 *   freed. Pointers to metrics are valid until their registry is freed, those of removed children and of
 *   unregistered metrics too: what they count is shown no more (belfry_reclaim() frees them before).
 * - Threads: every function may be called from any thread at any time, unless it says otherwise. Updates
 *   take no lock: each thread counts in cells of its own, which it gets at its first update, and more
 *   when it meets another thread at a metric. Reading never makes an update wait.
 * - Signal handlers: belfry_counter_inc, belfry_counter_add, belfry_gauge_* and belfry_stateset_* of a
 *   metric are safe, provided that the thread has updated any metric before. Nothing else is.
 * - fork(): the child goes on with its own copy of all values, from any thread, at any time.
 * - Errors are returned, and belfry_last_error() tells what was wrong with which name; what failed has
 *   changed nothing. The library never ends its host and prints nothing.
 * - Names are those of Prometheus 3: any UTF-8 text that is not empty (512 bytes at most); a name that
 *   older parsers take, [a-zA-Z_:][a-zA-Z0-9_:]*, is the better choice. Labels do not begin with "__". */
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
    BELFRY_ERROR_NAME,   /* a metric, label or state name that Prometheus would refuse */
    BELFRY_ERROR_EXISTS, /* the registry has a family whose samples would carry the same name */
    BELFRY_ERROR_LABELS, /* labels or their values: missing, too many, too long, repeated, not UTF-8 */
    BELFRY_ERROR_BUCKETS, /* bounds that do not ascend, are not numbers, or too many */
    BELFRY_ERROR_LIMIT,   /* the registry has too many metrics */
    BELFRY_ERROR_MEMORY,  /* there was none */
    BELFRY_ERROR_WRITE,   /* the callback said no */
    BELFRY_ERROR_FORMAT,  /* an argument that is none of those the header names */
    BELFRY_ERROR_SYSTEM,  /* a file or thread; errno is set */
    BELFRY_ERROR_NULL,    /* a metric, family or argument that must not be NULL: not registered? */
    BELFRY_ERROR_VALUE,   /* a number that cannot be counted: NaN, an infinity, less than nothing */
    BELFRY_ERROR_NOT_FOUND, /* nothing is registered under this name, or no child has these values */
    BELFRY_ERROR_USED       /* too late, or another thread is at it */
} belfry_status;

/* A sentence in lower case, static. */
BELFRY_API const char *belfry_status_text(belfry_status status);
/* What was wrong at this thread's last call of this library that failed: lower case, one line, "" before any.
 * Valid until the thread's next one that fails. */
BELFRY_API const char *belfry_last_error(void);

#define BELFRY_COUNTER_ADD_MAX (UINT64_C(1) << 53)

typedef struct belfry_registry belfry_registry;
typedef struct belfry_counter belfry_counter;
typedef struct belfry_gauge belfry_gauge;
typedef struct belfry_histogram belfry_histogram;
typedef struct belfry_summary belfry_summary;
typedef struct belfry_stateset belfry_stateset;
typedef struct belfry_counter_family belfry_counter_family;
typedef struct belfry_gauge_family belfry_gauge_family;
typedef struct belfry_histogram_family belfry_histogram_family;
typedef struct belfry_summary_family belfry_summary_family;
typedef struct belfry_stateset_family belfry_stateset_family;
typedef struct belfry_emitter belfry_emitter;

/* A label. The strings are the caller's and borrowed for the call. */
typedef struct belfry_label {
    const char *name, *value;
} belfry_label;

enum {
    BELFRY_LABELS_MAX =
        16, /* of one family; as many again may be constant labels of its registry */
    BELFRY_LABEL_VALUE_BYTES_MAX = 1024,
    BELFRY_BUCKETS_MAX = 200, /* classic ones */
    BELFRY_NATIVE_BUCKETS_MAX = 4096,
    BELFRY_QUANTILES_MAX = 32,
    BELFRY_STATES_MAX = 64,
    BELFRY_EXEMPLAR_CHARACTERS_MAX = 128, /* of all label names and values of an exemplar */
    BELFRY_CHILDREN_MAX = 10000           /* of one family, unless it says otherwise */
};

/* A private registry. NULL without memory. */
BELFRY_API belfry_registry *belfry_registry_new(void);
/* Frees it with all its metrics; nobody may use these any more. NULL and the default one: nothing. */
BELFRY_API void belfry_registry_free(belfry_registry *registry);
/* The registry that NULL stands for. NULL when there was no memory for it. */
BELFRY_API belfry_registry *belfry_registry_default(void);
/* Puts `prefix` ("app_") before the name of all that is registered from now on; not before what collectors emit.
 * NULL or "" = none. BELFRY_ERROR_USED once something is registered, or while a thread registers or writes. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_registry_set_prefix(belfry_registry *registry,
                                                                    const char *prefix);
/* Labels that every sample of the registry carries, those of collectors too. Copied.
 * BELFRY_ERROR_USED once something is registered, or while a thread registers or writes. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_registry_set_labels(belfry_registry *registry,
                                                                    const belfry_label *labels,
                                                                    size_t label_count);
/* Should OpenMetrics show when counters, histograms and summaries began (NAME_created)? Off by default: it doubles
 * the series of those who do not know the suffix. Protobuf always tells. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_registry_show_created(belfry_registry *registry,
                                                                      bool show);

/* --- what is registered, by name: as it was given, without the registry's prefix --- */

/* Shows it no more and frees its name. Pointers to it stay valid: belfry_reclaim(). */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_unregister(belfry_registry *registry,
                                                           const char *name);
/* The unit in which it counts ("seconds", "bytes"); its name must end in it ("_seconds", before "_total").
 * OpenMetrics shows it. Set once, before the first exposition; infos and state sets have none. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_set_unit(belfry_registry *registry,
                                                         const char *name, const char *unit);
/* How many children the family may have; those it has stay. What comes beyond counts in one child whose values are
 * all "overflow", and belfry_children_overflow_total{family="NAME"} tells how often that was asked for. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_set_children_max(belfry_registry *registry,
                                                                 const char *name,
                                                                 size_t children_max);

/* Frees the memory of children that were taken out and of what was unregistered. Until then, or until the registry is freed,
 * programs may use pointers to them; afterwards they must not. For programs that remove without end. BELFRY_ERROR_USED, and
 * nothing is freed, while another thread writes the registry or does the same. */
BELFRY_API belfry_status belfry_reclaim(belfry_registry *registry);

/* Registering a name twice is BELFRY_ERROR_EXISTS. *out is then NULL, but where what is there is the same (type, labels,
 * buckets, quantiles, states) *out is what is there: to share it, take both BELFRY_OK and a *out that is not NULL.
 * On every other error *out is NULL. Names and help are copied; help may be NULL. */

/* --- counters: how often, how much; never falls --- */

/* Born as 0. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_counter_new(belfry_counter **out,
                                                            belfry_registry *registry,
                                                            const char *name, const char *help);
/* Adds 1. About 2 ns. */
BELFRY_API belfry_status belfry_counter_inc(belfry_counter *counter);
/* Adds a whole number. BELFRY_ERROR_VALUE above BELFRY_COUNTER_ADD_MAX, which no double could show exactly; the sum of all
 * whole numbers added must stay below 2^64. */
BELFRY_API belfry_status belfry_counter_add(belfry_counter *counter, uint64_t by);
/* Adds seconds and the like. BELFRY_ERROR_VALUE for a negative number, NaN and infinity. */
BELFRY_API belfry_status belfry_counter_add_double(belfry_counter *counter, double by);
/* The same, and keeps the labels as the counter's exemplar: what shows an example of what was counted (trace_id,
 * request_id). BELFRY_ERROR_LABELS when they are not valid: then nothing is added. */
BELFRY_API belfry_status belfry_counter_add_exemplar(belfry_counter *counter, double by,
                                                     const belfry_label *labels,
                                                     size_t label_count);
/* The sum over all threads. 0 for NULL. */
BELFRY_API double belfry_counter_value(const belfry_counter *counter);

/* --- gauges: how many now --- */

/* Born as 0. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_gauge_new(belfry_gauge **out,
                                                          belfry_registry *registry,
                                                          const char *name, const char *help);
/* Sets, adds (or subtracts), adds 1, subtracts 1. NaN and infinities are values like others. */
BELFRY_API belfry_status belfry_gauge_set(belfry_gauge *gauge, double value);
BELFRY_API belfry_status belfry_gauge_add(belfry_gauge *gauge, double by);
BELFRY_API belfry_status belfry_gauge_inc(belfry_gauge *gauge);
BELFRY_API belfry_status belfry_gauge_dec(belfry_gauge *gauge);
/* What it stands at. 0 for NULL. */
BELFRY_API double belfry_gauge_value(const belfry_gauge *gauge);

/* --- histograms: how long, how large --- */

/* What a histogram has buckets for. All 0 = classic ones, in seconds. */
typedef struct belfry_histogram_options {
    /* Classic buckets: `bounds` ascend strictly; a last +Inf may be left out. NULL = belfry_buckets_seconds, or none
     * where the histogram is native. */
    const double *bounds;
    size_t bound_count;
    /* Native (exponential) buckets: the next bucket's bound is at most this many times the one before. 0 = not native;
     * else above 1. 1.1 is a good choice: 8 buckets from 1 to 2. */
    double native_factor;
    /* Values this close to 0 count as 0. 0 = 2^-128; negative = 0 alone. */
    double native_zero_threshold;
    /* Buckets beyond this many: the histogram starts anew if native_reset_seconds have passed since its last start
     * (0 = never); else what lies next to 0 joins it if that stays within native_zero_threshold_max (0 = never);
     * else each two buckets become one. 0 = 160; at most BELFRY_NATIVE_BUCKETS_MAX. */
    uint32_t native_buckets_max;
    double native_zero_threshold_max;
    double native_reset_seconds;
    uint64_t reserved[4]; /* 0 */
} belfry_histogram_options;

/* With classic buckets alone. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_histogram_new(belfry_histogram **out,
                                                              belfry_registry *registry,
                                                              const char *name, const char *help,
                                                              const double *bounds,
                                                              size_t bound_count);
/* options NULL = classic, in seconds. */
BELFRY_API BELFRY_MUST_USE belfry_status
belfry_histogram_new_with(belfry_histogram **out, belfry_registry *registry, const char *name,
                          const char *help, const belfry_histogram_options *options);
/* Counts one value. BELFRY_ERROR_VALUE for NaN and infinities. About 5 ns with 11 buckets. A native histogram that
 * has to make room takes a lock and memory (a few times in its life). */
BELFRY_API belfry_status belfry_histogram_observe(belfry_histogram *histogram, double value);
/* The same, and keeps the labels as the exemplar of the value's bucket. */
BELFRY_API belfry_status belfry_histogram_observe_exemplar(belfry_histogram *histogram,
                                                           double value, const belfry_label *labels,
                                                           size_t label_count);
/* How many were observed, and their sum; since the last start of a native one. 0 for NULL. */
BELFRY_API uint64_t belfry_histogram_count(const belfry_histogram *histogram);
BELFRY_API double belfry_histogram_sum(const belfry_histogram *histogram);

/* 5 ms to 10 s, as Prometheus' client libraries have it. */
enum { BELFRY_BUCKETS_SECONDS_COUNT = 11 };
BELFRY_API extern const double belfry_buckets_seconds[BELFRY_BUCKETS_SECONDS_COUNT];
/* Fills out with count bounds: start, start * factor, ... / start, start + width, ... */
BELFRY_API void belfry_buckets_exponential(double *out, size_t count, double start, double factor);
BELFRY_API void belfry_buckets_linear(double *out, size_t count, double start, double width);

/* --- summaries: quantiles that are computed here --- */

/* What a summary computes. All 0 = the defaults. Summaries cannot be added up over instances: choose a histogram unless you
 * know why not. */
typedef struct belfry_summary_options {
    const double *quantiles; /* each within 0 to 1, ascending; NULL = 0.5, 0.9, 0.99 */
    size_t quantile_count;
    double max_age_seconds; /* the quantiles are of what was observed since; 0 = 600 */
    uint32_t age_buckets;   /* in so many steps what is older is forgotten; 0 = 5; at most 60 */
    uint64_t reserved[4];   /* 0 */
} belfry_summary_options;

/* A quantile shown is at most 0.6 % from a value of that rank (while they span less than 16 doublings: beyond, the
 * error doubles with each doubling of that). NaN while nothing was observed. Sum and count are of the whole life.
 * options NULL = the defaults. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_summary_new(belfry_summary **out,
                                                            belfry_registry *registry,
                                                            const char *name, const char *help,
                                                            const belfry_summary_options *options);
/* Counts one value. BELFRY_ERROR_VALUE for NaN and infinities. About 25 ns; now and then (a new step of age, a value
 * unlike those before) it takes a lock and memory. */
BELFRY_API belfry_status belfry_summary_observe(belfry_summary *summary, double value);
/* How many were observed, and their sum. 0 for NULL. */
BELFRY_API uint64_t belfry_summary_count(const belfry_summary *summary);
BELFRY_API double belfry_summary_sum(const belfry_summary *summary);
/* The value below which `quantile` (0 to 1) of the observed ones lie. NaN when there are none, and for NULL. */
BELFRY_API double belfry_summary_quantile(const belfry_summary *summary, double quantile);

/* --- state sets: which of some states hold; infos: texts --- */

/* One series per state, NAME{NAME="STATE"}, 1 where it holds; all 0 at first. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_stateset_new(belfry_stateset **out,
                                                             belfry_registry *registry,
                                                             const char *name, const char *help,
                                                             const char *const *states,
                                                             size_t state_count);
/* The state with this index holds, or does not. BELFRY_ERROR_VALUE where there is none. */
BELFRY_API belfry_status belfry_stateset_set(belfry_stateset *stateset, size_t state, bool holds);
/* This state holds and no other. */
BELFRY_API belfry_status belfry_stateset_only(belfry_stateset *stateset, size_t state);
/* Does it? False for NULL and where there is none. */
BELFRY_API bool belfry_stateset_holds(const belfry_stateset *stateset, size_t state);

/* A series that is always 1 and whose labels tell (version, commit). `name` ends in "_info". */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_info_new(belfry_registry *registry,
                                                         const char *name, const char *help,
                                                         const belfry_label *labels,
                                                         size_t label_count);

/* --- families: one metric per combination of label values ---
 *
 * A child is made when it is first asked for, and shown from then on (ask for known values at the start, so that ratios
 * exist from the first scrape). Asking for one that is there takes no lock and about 40 ns: where it is hot, keep the
 * pointer. `values` has one string per label name, in their order; the _n forms check that it has.
 * NULL (and belfry_last_error) when a value is NULL, longer than BELFRY_LABEL_VALUE_BYTES_MAX or not UTF-8, or when there is
 * no memory; updating NULL says so and harms nothing. Any other text is a value: quotes and line ends are escaped.
 *
 * _remove takes a child out: it is shown no more, and the next who asks for its values gets a new one that begins at 0.
 * _clear takes all out. Pointers to what was taken out stay valid: belfry_reclaim(). */

/* Registers a family of counters. */
BELFRY_API BELFRY_MUST_USE belfry_status
belfry_counter_family_new(belfry_counter_family **out, belfry_registry *registry, const char *name,
                          const char *help, const char *const *label_names, size_t label_count);
/* The child with these label values. */
BELFRY_API belfry_counter *belfry_counter_family_with(belfry_counter_family *family,
                                                      const char *const *values);
BELFRY_API belfry_counter *belfry_counter_family_with_n(belfry_counter_family *family,
                                                        const char *const *values,
                                                        size_t value_count);
/* Takes that child out, or all. BELFRY_ERROR_NOT_FOUND when it is not there. */
BELFRY_API belfry_status belfry_counter_family_remove(belfry_counter_family *family,
                                                      const char *const *values);
BELFRY_API belfry_status belfry_counter_family_clear(belfry_counter_family *family);

/* Registers a family of gauges. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_gauge_family_new(belfry_gauge_family **out,
                                                                 belfry_registry *registry,
                                                                 const char *name, const char *help,
                                                                 const char *const *label_names,
                                                                 size_t label_count);
/* The child with these label values. */
BELFRY_API belfry_gauge *belfry_gauge_family_with(belfry_gauge_family *family,
                                                  const char *const *values);
BELFRY_API belfry_gauge *belfry_gauge_family_with_n(belfry_gauge_family *family,
                                                    const char *const *values, size_t value_count);
/* Takes that child out, or all. BELFRY_ERROR_NOT_FOUND when it is not there. */
BELFRY_API belfry_status belfry_gauge_family_remove(belfry_gauge_family *family,
                                                    const char *const *values);
BELFRY_API belfry_status belfry_gauge_family_clear(belfry_gauge_family *family);

/* Registers a family of histograms; no label may be called "le". */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_histogram_family_new(
    belfry_histogram_family **out, belfry_registry *registry, const char *name, const char *help,
    const char *const *label_names, size_t label_count, const double *bounds, size_t bound_count);
BELFRY_API BELFRY_MUST_USE belfry_status belfry_histogram_family_new_with(
    belfry_histogram_family **out, belfry_registry *registry, const char *name, const char *help,
    const char *const *label_names, size_t label_count, const belfry_histogram_options *options);
/* The child with these label values. */
BELFRY_API belfry_histogram *belfry_histogram_family_with(belfry_histogram_family *family,
                                                          const char *const *values);
BELFRY_API belfry_histogram *belfry_histogram_family_with_n(belfry_histogram_family *family,
                                                            const char *const *values,
                                                            size_t value_count);
/* Takes that child out, or all. BELFRY_ERROR_NOT_FOUND when it is not there. */
BELFRY_API belfry_status belfry_histogram_family_remove(belfry_histogram_family *family,
                                                        const char *const *values);
BELFRY_API belfry_status belfry_histogram_family_clear(belfry_histogram_family *family);

/* Registers a family of summaries; no label may be called "quantile". */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_summary_family_new(
    belfry_summary_family **out, belfry_registry *registry, const char *name, const char *help,
    const char *const *label_names, size_t label_count, const belfry_summary_options *options);
/* The child with these label values. */
BELFRY_API belfry_summary *belfry_summary_family_with(belfry_summary_family *family,
                                                      const char *const *values);
BELFRY_API belfry_summary *belfry_summary_family_with_n(belfry_summary_family *family,
                                                        const char *const *values,
                                                        size_t value_count);
/* Takes that child out, or all. BELFRY_ERROR_NOT_FOUND when it is not there. */
BELFRY_API belfry_status belfry_summary_family_remove(belfry_summary_family *family,
                                                      const char *const *values);
BELFRY_API belfry_status belfry_summary_family_clear(belfry_summary_family *family);

/* Registers a family of state sets; no label may be called as the family. */
BELFRY_API BELFRY_MUST_USE belfry_status
belfry_stateset_family_new(belfry_stateset_family **out, belfry_registry *registry,
                           const char *name, const char *help, const char *const *label_names,
                           size_t label_count, const char *const *states, size_t state_count);
/* The child with these label values. */
BELFRY_API belfry_stateset *belfry_stateset_family_with(belfry_stateset_family *family,
                                                        const char *const *values);
BELFRY_API belfry_stateset *belfry_stateset_family_with_n(belfry_stateset_family *family,
                                                          const char *const *values,
                                                          size_t value_count);
/* Takes that child out, or all. BELFRY_ERROR_NOT_FOUND when it is not there. */
BELFRY_API belfry_status belfry_stateset_family_remove(belfry_stateset_family *family,
                                                       const char *const *values);
BELFRY_API belfry_status belfry_stateset_family_clear(belfry_stateset_family *family);

/* --- values read when somebody looks --- */

/* Calls read(arg) at each exposition, from the thread that writes it. No lock is held. An exposition that goes on may call it
 * also after belfry_unregister(): `arg` is free when belfry_reclaim() returned BELFRY_OK after that, or when the registry is. */
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
    BELFRY_UNTYPED,
    BELFRY_INFO,
    BELFRY_STATESET
} belfry_metric_type;

/* Calls collect(arg, emitter) at each exposition; it emits families and samples. release(arg), when not
 * NULL, is called when the registry is freed (and when this call fails). */
BELFRY_API BELFRY_MUST_USE belfry_status
belfry_collector_new(belfry_registry *registry, void (*collect)(void *arg, belfry_emitter *emitter),
                     void *arg, void (*release)(void *arg));
/* Begins a family; samples that follow belong to it. A family may be begun more than once: its samples
 * are shown together, help and type are those of the first. Wrong names are left out of the output. */
BELFRY_API void belfry_emit_family(belfry_emitter *emitter, const char *name, const char *help,
                                   belfry_metric_type type);
/* One sample of the family begun last. `suffix` is NULL or "_bucket", "_sum", "_count". Left out when a label has a wrong
 * name, stands there twice, or is a constant one of the registry. */
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
