/* SPDX-License-Identifier: Apache-2.0 */
/* instrument_bench.c: what updates, lookups and children of libbelfry cost. Prints nanoseconds of CPU time per operation, the
 * best of several rounds (others on the machine disturb it least), and bytes per child.
 * Build: ninja -C build/release bench/instrument_bench */
#include <belfry/metrics.h>

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 30, EACH = 500000, CHILDREN = 5000, THREADS_MAX = 8, VALUES = 4096 };

static double values[VALUES];

static double now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

#define MEASURE(what, statement)                                                                   \
    do {                                                                                           \
        double best = 1e18;                                                                        \
        for (int round = 0; round < ROUNDS; round++) {                                             \
            double start = now_ns(CLOCK_THREAD_CPUTIME_ID);                                        \
            for (unsigned i = 0; i < EACH; i++)                                                    \
                statement;                                                                         \
            double spent = (now_ns(CLOCK_THREAD_CPUTIME_ID) - start) / EACH;                       \
            best = spent < best ? spent : best;                                                    \
        }                                                                                          \
        printf("%-44s %8.2f ns\n", what, best);                                                    \
    } while (0)

static belfry_registry *registry;
static belfry_counter *counter;
static belfry_histogram *classic;

/* Stops when something could not be registered. */
static bool is_there(belfry_status status)
{
    if (status != BELFRY_OK)
        printf("%s\n", belfry_last_error());
    return status == BELFRY_OK;
}

static int updates(void)
{
    belfry_gauge *gauge;
    belfry_histogram *native, *both;
    belfry_summary *summary;
    belfry_histogram_options o = {.native_factor = 1.1};
    if (!is_there(belfry_counter_new(&counter, registry, "c_total", "C.")) ||
        !is_there(belfry_gauge_new(&gauge, registry, "g", "G.")) ||
        !is_there(belfry_histogram_new(&classic, registry, "h_seconds", "H.", NULL, 0)) ||
        !is_there(belfry_histogram_new_with(&native, registry, "n_seconds", "N.", &o)) ||
        !is_there(belfry_summary_new(&summary, registry, "s_seconds", "S.", NULL)))
        return 1;
    o.bounds = belfry_buckets_seconds;
    o.bound_count = BELFRY_BUCKETS_SECONDS_COUNT;
    if (!is_there(belfry_histogram_new_with(&both, registry, "b_seconds", "B.", &o)))
        return 1;
    MEASURE("counter_inc", belfry_counter_inc(counter));
    MEASURE("counter_add_double", belfry_counter_add_double(counter, 0.5));
    MEASURE("gauge_set", belfry_gauge_set(gauge, i));
    MEASURE("gauge_inc", belfry_gauge_inc(gauge));
    MEASURE("histogram_observe, 11 buckets", belfry_histogram_observe(classic, values[i % VALUES]));
    MEASURE("histogram_observe, native", belfry_histogram_observe(native, values[i % VALUES]));
    MEASURE("histogram_observe, both", belfry_histogram_observe(both, values[i % VALUES]));
    MEASURE("histogram_observe_exemplar",
            belfry_histogram_observe_exemplar(classic, values[i % VALUES],
                                              &(const belfry_label){"trace_id", "4bf92f3577b34da6"},
                                              1));
    MEASURE("summary_observe", belfry_summary_observe(summary, values[i % VALUES]));
    MEASURE("summary_quantile / 500000", if (i == 0) belfry_summary_quantile(summary, 0.99));
    return 0;
}

static int lookups(void)
{
    static const char *const names[] = {"path", "code"};
    static char paths[CHILDREN][16];
    belfry_counter_family *family;
    if (!is_there(belfry_counter_family_new(&family, registry, "f_total", "F.", names, 2)))
        return 1;
    for (int i = 0; i < CHILDREN; i++) {
        snprintf(paths[i], sizeof(paths[i]), "/path/%d", i);
        belfry_counter_inc(
            belfry_counter_family_with(family, (const char *const[]){paths[i], "200"}));
    }
#define CHILD(n)                                                                                   \
    belfry_counter_family_with(family, (const char *const[]){paths[(i * 7) % (n)], "200"})
    MEASURE("counter_family_with, 2 labels, 8 children", CHILD(8));
    MEASURE("counter_family_with, 2 labels, 5000 children", CHILD(CHILDREN));
    return 0;
}

/* --- threads --- */

static pthread_barrier_t barrier;
static double thread_ns[THREADS_MAX];

static void *inc_many(void *arg)
{
    double *spent = arg, best = 1e18;
    pthread_barrier_wait(&barrier);
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns(CLOCK_THREAD_CPUTIME_ID);
        for (unsigned i = 0; i < EACH * 2; i++)
            belfry_counter_inc(counter);
        double each = (now_ns(CLOCK_THREAD_CPUTIME_ID) - start) / (EACH * 2);
        best = each < best ? each : best;
    }
    *spent = best;
    return NULL;
}

static void one_counter_many_threads(int count)
{
    pthread_t threads[THREADS_MAX];
    char what[64];
    double sum = 0;
    pthread_barrier_init(&barrier, NULL, (unsigned)count);
    double start = now_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < count; i++) {
        if (pthread_create(&threads[i], NULL, inc_many, &thread_ns[i]) != 0)
            return;
    }
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        sum += thread_ns[i];
    }
    double wall = now_ns(CLOCK_MONOTONIC) - start;
    pthread_barrier_destroy(&barrier);
    snprintf(what, sizeof(what), "counter_inc, one counter, %d threads", count);
    printf("%-44s %8.2f ns   (%.0f M/s together)\n", what, sum / count,
           (double)count * ROUNDS * EACH * 2 / wall * 1e3);
}

/* --- memory --- */

/* Heap in use; cells of threads are mapped and counted beside. */
static size_t heap_bytes(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

static void bytes_per_child_here(size_t count)
{
    static const char *const names[] = {"path", "code"};
    belfry_registry *r = belfry_registry_new();
    belfry_counter_family *family;
    size_t before = heap_bytes(), text = 0;
    if (!is_there(belfry_counter_family_new(&family, r, "f_total", "F.", names, 2)) ||
        !is_there(belfry_set_children_max(r, "f_total", count)))
        return;
    for (size_t i = 0; i < count; i++) {
        char path[32];
        snprintf(path, sizeof(path), "/api/v1/things/%zu", i);
        belfry_counter_inc(belfry_counter_family_with(family, (const char *const[]){path, "200"}));
        text += strlen(path) + strlen("200") + 2;
    }
    size_t all = heap_bytes() - before;
    printf("counter child, %7zu of them                %8.1f bytes, %.1f beyond its label text\n",
           count, (double)all / (double)count, (double)(all - text) / (double)count);
    belfry_registry_free(r);
}

/* In a process of its own: the heap has no gaps yet. */
static void bytes_per_child(size_t count)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        bytes_per_child_here(count);
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

int main(void)
{
    registry = belfry_registry_new();
    for (unsigned i = 0; i < VALUES; i++)
        values[i] = (double)(i * 2654435761u % 16384) / 1000;
    if (updates() != 0 || lookups() != 0)
        return 1;
    one_counter_many_threads(1);
    one_counter_many_threads(2);
    one_counter_many_threads(THREADS_MAX);
    bytes_per_child(1000);
    bytes_per_child(10000);
    bytes_per_child(85000); /* just before its table grows */
    bytes_per_child(100000);
    belfry_registry_free(registry);
    return 0;
}
