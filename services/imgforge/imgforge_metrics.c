/* SPDX-License-Identifier: Apache-2.0 */
/* imgforge_metrics.c: see imgforge_metrics.h. What is hot is looked up once, at the start. */
#include "imgforge_metrics.h"

#include "base/mem.h"
#include "pipeline.h"

#include <belfry/metrics.h>
#include <stdio.h>
#include <string.h>

static const double SECONDS_REQUEST[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
static const double SECONDS_LONG[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30};
static const double SECONDS_OPERATION[] = {0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                           0.5,   1,     2.5,  5,     10,   30};

static const char *const OPERATIONS[OPERATION_COUNT] = {"process", "info", "watermark"};
static const char *const PATHS[] = {"/{*path}", "/info/{*path}", "/",        "/status",
                                    "/health",  "/ready",        "/metrics", "unmatched"};
static const char *const CACHES[] = {"memory", "disk", "hybrid", "valkey", "s3"};
static const int STATUSES[] = {200, 304, 400, 403, 404, 408, 429, 500};

enum { STATUS_MAX = 600 };

struct imgforge_metrics {
    belfry_histogram_family *requests;
    belfry_histogram *gets[ARRAY_COUNT(PATHS)]; /* of GET, by path */
    belfry_histogram_family *processing;
    belfry_counter_family *processed;
    belfry_histogram *fetches;
    belfry_counter_family *fetched;
    belfry_counter_family *hits, *misses;
    belfry_counter_family *statuses;
    belfry_counter *known_statuses[ARRAY_COUNT(STATUSES)];
    belfry_histogram_family *waits, *queues, *executions;
    belfry_gauge_family *active, *waiting;
    belfry_gauge *limit;
};

/* --- registering --- */

struct registering {
    belfry_status status; /* of the first that failed */
    const char *name;
};

static void judge(struct registering *r, const char *name, belfry_status status)
{
    if (r->status == BELFRY_OK && status != BELFRY_OK) {
        r->status = status;
        r->name = name;
    }
}

static belfry_histogram_family *add_histogram(struct registering *r, const char *name,
                                              const char *help, const char *const *labels,
                                              size_t label_count, const double *bounds,
                                              size_t bound_count)
{
    belfry_histogram_family *out = NULL;
    judge(r, name,
          belfry_histogram_family_new(&out, NULL, name, help, labels, label_count, bounds,
                                      bound_count));
    return out;
}

static belfry_counter_family *add_counter(struct registering *r, const char *name, const char *help,
                                          const char *label)
{
    belfry_counter_family *out = NULL;
    judge(r, name, belfry_counter_family_new(&out, NULL, name, help, &label, 1));
    return out;
}

static belfry_gauge_family *add_gauge(struct registering *r, const char *name, const char *help,
                                      const char *label)
{
    belfry_gauge_family *out = NULL;
    judge(r, name, belfry_gauge_family_new(&out, NULL, name, help, &label, 1));
    return out;
}

static double memory_now(void *arg)
{
    (void)arg;
    return (double)pipeline_memory().bytes;
}

static double memory_most(void *arg)
{
    (void)arg;
    return (double)pipeline_memory().bytes_highwater;
}

static double memory_allocations(void *arg)
{
    (void)arg;
    return (double)pipeline_memory().allocations;
}

static void register_all(struct imgforge_metrics *m, struct registering *r)
{
    static const char *const REQUEST[] = {"method", "path"};
    static const char *const FORMAT[] = {"format"}, *const OPERATION[] = {"operation"};
    m->requests = add_histogram(r, "http_requests_duration_seconds", "Time to answer a request.",
                                REQUEST, 2, SECONDS_REQUEST, ARRAY_COUNT(SECONDS_REQUEST));
    m->processing =
        add_histogram(r, "image_processing_duration_seconds", "Time to make a picture of a source.",
                      FORMAT, 1, SECONDS_LONG, ARRAY_COUNT(SECONDS_LONG));
    m->processed = add_counter(r, "processed_images_total", "Pictures made.", "format");
    judge(r, "source_image_fetch_duration_seconds",
          belfry_histogram_new(&m->fetches, NULL, "source_image_fetch_duration_seconds",
                               "Time to fetch a source.", SECONDS_LONG, ARRAY_COUNT(SECONDS_LONG)));
    m->fetched =
        add_counter(r, "source_images_fetched_total", "Sources that were asked for.", "status");
    m->hits = add_counter(r, "cache_hits_total", "What was found in a cache.", "cache_type");
    m->misses =
        add_counter(r, "cache_misses_total", "What was not found in a cache.", "cache_type");
    m->statuses =
        add_counter(r, "status_codes_total",
                    "Answers of the image and information endpoints, by status.", "status");
    judge(r, "vips_tracked_mem_bytes",
          belfry_gauge_func_new(NULL, "vips_tracked_mem_bytes", "Memory that libvips holds.",
                                memory_now, NULL));
    judge(r, "vips_tracked_mem_highwater_bytes",
          belfry_gauge_func_new(NULL, "vips_tracked_mem_highwater_bytes",
                                "The most that libvips has held.", memory_most, NULL));
    judge(r, "vips_tracked_allocs",
          belfry_gauge_func_new(NULL, "vips_tracked_allocs", "Blocks of memory that libvips holds.",
                                memory_allocations, NULL));
    m->waits = add_histogram(r, "image_operation_semaphore_wait_duration_seconds",
                             "Time that an operation waits for its permit.", OPERATION, 1,
                             SECONDS_OPERATION, ARRAY_COUNT(SECONDS_OPERATION));
    m->queues = add_histogram(r, "image_operation_blocking_queue_duration_seconds",
                              "Time until a thread takes up the work of an operation.", OPERATION,
                              1, SECONDS_OPERATION, ARRAY_COUNT(SECONDS_OPERATION));
    m->executions = add_histogram(r, "image_operation_execution_duration_seconds",
                                  "Time that an operation takes on its thread.", OPERATION, 1,
                                  SECONDS_OPERATION, ARRAY_COUNT(SECONDS_OPERATION));
    m->active = add_gauge(r, "image_operations_active", "Operations that run.", "operation");
    m->waiting =
        add_gauge(r, "image_operations_waiting", "Operations that wait for a permit.", "operation");
    judge(r, "image_operation_concurrency_limit",
          belfry_gauge_new(&m->limit, NULL, "image_operation_concurrency_limit",
                           "Operations that may run at once."));
}

static belfry_counter *counter_of(belfry_counter_family *family, const char *value)
{
    return belfry_counter_family_with(family, &value);
}

/* What is asked for is made: so ratios are there from the first scrape. */
static void create_all(struct imgforge_metrics *m)
{
    char text[32];
    for (size_t i = 0; i < ARRAY_COUNT(PATHS); i++) {
        const char *const values[] = {"GET", PATHS[i]};
        m->gets[i] = belfry_histogram_family_with(m->requests, values);
    }
    for (int i = IMAGE_FORMAT_NONE + 1; i < IMAGE_FORMAT_COUNT; i++) {
        const char *name = image_format_name((enum image_format)i);
        (void)belfry_histogram_family_with(m->processing, &name);
        (void)counter_of(m->processed, name);
    }
    (void)counter_of(m->fetched, "success");
    (void)counter_of(m->fetched, "error");
    for (size_t i = 0; i < ARRAY_COUNT(CACHES); i++) {
        (void)snprintf(text, sizeof(text), "metadata-%s", CACHES[i]);
        (void)counter_of(m->hits, CACHES[i]);
        (void)counter_of(m->hits, text);
        (void)counter_of(m->misses, CACHES[i]);
        (void)counter_of(m->misses, text);
    }
    for (size_t i = 0; i < ARRAY_COUNT(STATUSES); i++) {
        (void)snprintf(text, sizeof(text), "%d", STATUSES[i]);
        m->known_statuses[i] = counter_of(m->statuses, text);
    }
    for (size_t i = 0; i < OPERATION_COUNT; i++) {
        (void)belfry_histogram_family_with(m->waits, &OPERATIONS[i]);
        (void)belfry_histogram_family_with(m->queues, &OPERATIONS[i]);
        (void)belfry_histogram_family_with(m->executions, &OPERATIONS[i]);
        (void)belfry_gauge_family_with(m->active, &OPERATIONS[i]);
        (void)belfry_gauge_family_with(m->waiting, &OPERATIONS[i]);
    }
}

bool imgforge_metrics_open(struct imgforge_metrics **out, unsigned workers, struct error *err)
{
    struct registering r = {BELFRY_OK, NULL};
    struct imgforge_metrics *m = mem_alloc_zero(MEM_OTHER, 1, sizeof(*m));
    register_all(m, &r);
    if (r.status != BELFRY_OK) {
        mem_free(MEM_OTHER, m);
        *out = NULL;
        return error_set(err, ERROR_IO, "metric %s: %s", r.name, belfry_status_text(r.status));
    }
    create_all(m);
    (void)belfry_gauge_set(m->limit, workers);
    *out = m;
    return true;
}

void imgforge_metrics_close(struct imgforge_metrics *m)
{
    mem_free(MEM_OTHER, m);
}

/* --- counting --- */

/* Updates of metrics only fail where there is no memory; the library counts that (belfry_updates_lost()). */

static void observe_request(struct imgforge_metrics *m, const char *method, const char *path,
                            double seconds)
{
    if (strcmp(method, "GET") == 0) {
        for (size_t i = 0; i < ARRAY_COUNT(PATHS); i++) {
            if (strcmp(PATHS[i], path) == 0) {
                (void)belfry_histogram_observe(m->gets[i], seconds);
                return;
            }
        }
    }
    const char *const values[] = {method, path};
    (void)belfry_histogram_observe(belfry_histogram_family_with(m->requests, values), seconds);
}

static void count_status(struct imgforge_metrics *m, int status)
{
    char text[16];
    for (size_t i = 0; i < ARRAY_COUNT(STATUSES); i++) {
        if (STATUSES[i] == status) {
            (void)belfry_counter_inc(m->known_statuses[i]);
            return;
        }
    }
    if (status < 100 || status >= STATUS_MAX)
        return;
    (void)snprintf(text, sizeof(text), "%d", status);
    (void)belfry_counter_inc(counter_of(m->statuses, text));
}

/* What it is called in metrics: a path of the operator's own (a prefix, a probe) is the endpoint that it stands for. */
static bool is_counted_status(const char *path)
{
    return strcmp(path, "/{*path}") == 0 || strcmp(path, "/info/{*path}") == 0 ||
           strcmp(path, "unmatched") == 0;
}

void metrics_request(struct imgforge_metrics *m, const struct service_observation *seen)
{
    observe_request(m, seen->method, seen->endpoint, seen->seconds);
    if (seen->is_main && is_counted_status(seen->endpoint))
        count_status(m, seen->status);
}

void metrics_source(struct imgforge_metrics *m, enum source_outcome outcome, double seconds)
{
    if (outcome == SOURCE_REFUSED)
        return;
    (void)belfry_histogram_observe(m->fetches, seconds);
    (void)belfry_counter_inc(
        counter_of(m->fetched, outcome == SOURCE_FETCHED ? "success" : "error"));
}

void metrics_processed(struct imgforge_metrics *m, enum image_format format, double seconds)
{
    const char *name = image_format_name(format);
    (void)belfry_histogram_observe(belfry_histogram_family_with(m->processing, &name), seconds);
    (void)belfry_counter_inc(counter_of(m->processed, name));
}

void metrics_lookup(struct imgforge_metrics *m, enum cache_type type, bool is_information,
                    bool is_hit)
{
    char text[32];
    if (type == CACHE_NONE)
        return;
    (void)snprintf(text, sizeof(text), "%s%s", is_information ? "metadata-" : "",
                   CACHES[type - CACHE_MEMORY]);
    (void)belfry_counter_inc(counter_of(is_hit ? m->hits : m->misses, text));
}

static belfry_gauge *gauge_of(belfry_gauge_family *family, enum image_operation op)
{
    return belfry_gauge_family_with(family, &OPERATIONS[op]);
}

static void observe_operation(belfry_histogram_family *family, enum image_operation op,
                              double seconds)
{
    (void)belfry_histogram_observe(belfry_histogram_family_with(family, &OPERATIONS[op]), seconds);
}

void metrics_operation_waits(struct imgforge_metrics *m, enum image_operation op)
{
    (void)belfry_gauge_inc(gauge_of(m->waiting, op));
}

void metrics_operation_begins(struct imgforge_metrics *m, enum image_operation op, bool has_permit,
                              double waited_seconds, double queued_seconds)
{
    (void)belfry_gauge_dec(gauge_of(m->waiting, op));
    observe_operation(m->waits, op, waited_seconds);
    if (!has_permit)
        return;
    (void)belfry_gauge_inc(gauge_of(m->active, op));
    observe_operation(m->queues, op, queued_seconds);
}

void metrics_operation_ends(struct imgforge_metrics *m, enum image_operation op, double seconds)
{
    (void)belfry_gauge_dec(gauge_of(m->active, op));
    observe_operation(m->executions, op, seconds);
}
