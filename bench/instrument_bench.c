/* SPDX-License-Identifier: Apache-2.0 */
/* instrument_bench.c: what an update and an exposition cost. Prints nanoseconds per operation.
 * Build: ninja -C build bench/instrument_bench */
#include <belfry/metrics.h>

#include <pthread.h>
#include <stdio.h>
#include <time.h>

enum { ROUNDS = 20000000 };

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void report(const char *what, double start, double count)
{
    printf("%-40s %8.2f ns\n", what, (now_ns() - start) / count);
}

static belfry_counter *counter;
static belfry_gauge *gauge;
static belfry_histogram *histogram;

static void *inc_many(void *arg)
{
    for (int i = 0; i < ROUNDS; i++)
        belfry_counter_inc(counter);
    return NULL;
}

static bool swallow(void *arg, const char *bytes, size_t len)
{
    *(size_t *)arg += len;
    return true;
}

static void updates(void)
{
    double start = now_ns();
    inc_many(NULL);
    report("counter_inc", start, ROUNDS);
    start = now_ns();
    for (int i = 0; i < ROUNDS; i++)
        belfry_counter_add_double(counter, 0.5);
    report("counter_add_double", start, ROUNDS);
    start = now_ns();
    for (int i = 0; i < ROUNDS; i++)
        belfry_gauge_set(gauge, i);
    report("gauge_set", start, ROUNDS);
    start = now_ns();
    for (int i = 0; i < ROUNDS; i++)
        belfry_gauge_inc(gauge);
    report("gauge_inc", start, ROUNDS);
    start = now_ns();
    for (unsigned i = 0; i < ROUNDS; i++)
        belfry_histogram_observe(histogram, (double)(i * 2654435761u % 16384) / 1000);
    report("histogram_observe (11 buckets)", start, ROUNDS);
    pthread_t threads[2];
    start = now_ns();
    for (int i = 0; i < 2; i++) {
        if (pthread_create(&threads[i], NULL, inc_many, NULL) != 0)
            return;
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    report("counter_inc, 2 threads, each", start, ROUNDS);
}

int main(void)
{
    static const char *const names[] = {"path", "code"};
    belfry_registry *r = belfry_registry_new();
    belfry_counter_family *family;
    if (belfry_counter_new(&counter, r, "c_total", "C.") != BELFRY_OK ||
        belfry_gauge_new(&gauge, r, "g", "G.") != BELFRY_OK ||
        belfry_histogram_new(&histogram, r, "h_seconds", "H.", NULL, 0) != BELFRY_OK ||
        belfry_counter_family_new(&family, r, "f_total", "F.", names, 2) != BELFRY_OK)
        return 1;
    updates();
    enum { CHILDREN = 5000, LOOKUPS = 2000000 };
    char paths[CHILDREN][16];
    for (int i = 0; i < CHILDREN; i++) {
        snprintf(paths[i], sizeof(paths[i]), "/path/%d", i);
        belfry_counter_inc(
            belfry_counter_family_with(family, (const char *const[]){paths[i], "200"}));
    }
    double start = now_ns();
    for (int i = 0; i < LOOKUPS; i++)
        belfry_counter_inc(
            belfry_counter_family_with(family, (const char *const[]){paths[i % 8], "200"}));
    report("counter_family_with + inc", start, LOOKUPS);
    size_t bytes = 0;
    start = now_ns();
    for (int i = 0; i < 100; i++) {
        if (belfry_registry_write_text(r, swallow, &bytes) != BELFRY_OK)
            return 1;
    }
    report("exposition, per series", start, 100.0 * CHILDREN);
    belfry_registry_free(r);
    return 0;
}
