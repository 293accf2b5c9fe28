/* SPDX-License-Identifier: Apache-2.0 */
/* instrument_peers.c: the same updates and expositions by libbelfry and by a keyed client (keyed_client.h). Prints
 * CLIENT WHAT FIGURE a line: nanoseconds of CPU per update, of one thread and of eight, waits per million updates, and series per second.
 * bench/instrument_peers.py shows them beside clients of other languages. */
#include "keyed_client.h"

#include <belfry/metrics.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { CHILDREN = 16, THREADS = 8, SERIES = 100000, ROUNDS = 5 };

static const char *const LABEL_NAMES[] = {"method", "path", "code"};
enum { LABEL_COUNT = 3 };

static char paths[CHILDREN][32];
static belfry_registry *registry;
static belfry_counter_family *counters;
static belfry_histogram_family *histograms;
static belfry_counter *child;
static struct keyed_metric *keyed_counters, *keyed_histograms;

/* Seconds of CPU time of all threads, which other programs on the machine disturb least. It leaves out the time in which
 * threads wait for each other: how often they do is counted. */
static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Values from 0 to 16 s, the same for every client. */
static double observation(unsigned i)
{
    return (double)(i * 2654435761u % 16384) / 1024;
}

#define VALUES(i) ((const char *const[]){"GET", paths[(i) % CHILDREN], "200"})

static void belfry_kept(unsigned i)
{
    (void)i;
    belfry_counter_inc(child);
}

static void belfry_inc(unsigned i)
{
    belfry_counter_inc(belfry_counter_family_with(counters, VALUES(i)));
}

static void belfry_observe(unsigned i)
{
    belfry_histogram_observe(belfry_histogram_family_with(histograms, VALUES(i)), observation(i));
}

static void keyed_inc(unsigned i)
{
    keyed_counter_inc(keyed_counters, VALUES(i));
}

static void keyed_observe(unsigned i)
{
    keyed_histogram_observe(keyed_histograms, VALUES(i), observation(i));
}

struct work {
    void (*update)(unsigned i);
    unsigned count;
};

static void *work_run(void *arg)
{
    const struct work *w = arg;
    for (unsigned i = 0; i < w->count; i++)
        w->update(i);
    return NULL;
}

/* CPU seconds for all threads to do the work, the best of some rounds. */
static double seconds(struct work *w, int threads)
{
    double best = 1e9;
    pthread_t ids[THREADS];
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_s();
        for (int t = 1; t < threads; t++) {
            if (pthread_create(&ids[t], NULL, work_run, w) != 0)
                abort();
        }
        work_run(w);
        for (int t = 1; t < threads; t++)
            pthread_join(ids[t], NULL);
        double took = now_s() - start;
        best = took < best ? took : best;
    }
    return best;
}

/* How often a thread went to sleep, since it had to wait. */
static double waits(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)used.ru_nvcsw;
}

static void measure(const char *client, const char *what, void (*update)(unsigned i),
                    unsigned count)
{
    struct work w = {update, count};
    printf("%s %s_ns %.1f\n", client, what, seconds(&w, 1) / count * 1e9);
    w.count = count / THREADS;
    double updates = (double)w.count * THREADS, before = waits();
    printf("%s %s_8_threads_ns %.1f\n", client, what, seconds(&w, THREADS) / updates * 1e9);
    printf("%s %s_8_threads_waits %.0f\n", client, what,
           (waits() - before) / ROUNDS / updates * 1e6);
}

static bool swallow(void *arg, const char *bytes, size_t len)
{
    (void)bytes;
    *(size_t *)arg += len;
    return true;
}

/* 100,000 counters with two labels. */
static void measure_exposition(void)
{
    static const char *const names[] = {"user", "zone"};
    belfry_registry *r = belfry_registry_new();
    enum { FAMILIES = 20 };
    double best = 1e9, best_keyed = 1e9;
    size_t bytes = 0;
    struct keyed_metric *keyed[FAMILIES];
    char metric_names[FAMILIES][32], value[32];
    for (int f = 0; f < FAMILIES; f++) {
        belfry_counter_family *family;
        snprintf(metric_names[f], sizeof(metric_names[f]), "users_%d_total", f);
        if (belfry_counter_family_new(&family, r, metric_names[f], "Users.", names, 2) != BELFRY_OK)
            abort();
        keyed[f] = keyed_metric_new(metric_names[f], names, 2, NULL, 0);
        for (int i = 0; i < SERIES / FAMILIES; i++) {
            snprintf(value, sizeof(value), "user-%d", i);
            const char *const values[] = {value, "eu"};
            belfry_counter_add(belfry_counter_family_with(family, values), (uint64_t)i);
            keyed_counter_inc(keyed[f], values);
        }
    }
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_s();
        if (belfry_registry_write_text(r, swallow, &bytes) != BELFRY_OK)
            abort();
        double took = now_s() - start;
        best = took < best ? took : best;
        start = now_s();
        for (int f = 0; f < FAMILIES; f++)
            bytes += keyed_metric_write(keyed[f]);
        took = now_s() - start;
        best_keyed = took < best_keyed ? took : best_keyed;
    }
    printf("belfry exposition_series_per_s %.0f\n", SERIES / best);
    printf("keyed exposition_series_per_s %.0f\n", SERIES / best_keyed);
    for (int f = 0; f < FAMILIES; f++)
        keyed_metric_free(keyed[f]);
    belfry_registry_free(r);
}

int main(void)
{
    for (int i = 0; i < CHILDREN; i++)
        snprintf(paths[i], sizeof(paths[i]), "/api/v1/things/%d", i);
    registry = belfry_registry_new();
    if (belfry_counter_family_new(&counters, registry, "requests_total", "Requests.", LABEL_NAMES,
                                  LABEL_COUNT) != BELFRY_OK ||
        belfry_histogram_family_new(&histograms, registry, "request_seconds", "Seconds.",
                                    LABEL_NAMES, LABEL_COUNT, NULL, 0) != BELFRY_OK)
        return 1;
    keyed_counters = keyed_metric_new("requests_total", LABEL_NAMES, LABEL_COUNT, NULL, 0);
    keyed_histograms = keyed_metric_new("request_seconds", LABEL_NAMES, LABEL_COUNT,
                                        belfry_buckets_seconds, BELFRY_BUCKETS_SECONDS_COUNT);
    for (unsigned i = 0; i < CHILDREN; i++) {
        belfry_inc(i);
        belfry_observe(i);
        keyed_inc(i);
        keyed_observe(i);
    }
    child = belfry_counter_family_with(counters, VALUES(0));
    measure("belfry", "counter_kept", belfry_kept, 20000000);
    measure("belfry", "counter_labels", belfry_inc, 4000000);
    measure("keyed", "counter_labels", keyed_inc, 1000000);
    measure("belfry", "histogram_labels", belfry_observe, 4000000);
    measure("keyed", "histogram_labels", keyed_observe, 200000);
    measure_exposition();
    keyed_metric_free(keyed_counters);
    keyed_metric_free(keyed_histograms);
    belfry_registry_free(registry);
    return 0;
}
