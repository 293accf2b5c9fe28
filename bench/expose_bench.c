/* SPDX-License-Identifier: Apache-2.0 */
/* expose_bench.c: what writing a registry of 100,000 series costs, by type and format. Prints millions of lines (samples in
 * protobuf) a second and bytes per line; run it under `perf stat` or callgrind for more.
 * Build: ninja -C build bench/expose_bench        Use: expose_bench [ROUNDS [TYPE [FORMAT]]] */
#include <belfry/exposition.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FAMILIES = 10, CHILDREN = 10000, HISTOGRAMS = 715 }; /* 14 lines each */

static const char *only_type = "", *only_format = "";

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool swallow(void *arg, const char *bytes, size_t len)
{
    (void)bytes;
    *(size_t *)arg += len;
    return true;
}

static const char *const names[] = {"path", "code"};

static void family_name(char out[32], const char *what, int n)
{
    snprintf(out, 32, "bench_%s_%c_total", what, 'a' + n);
}

static bool fill_counters(belfry_registry *r)
{
    char name[32], path[32];
    for (int f = 0; f < FAMILIES; f++) {
        belfry_counter_family *family;
        family_name(name, "requests", f);
        if (belfry_counter_family_new(&family, r, name, "Requests.", names, 2) != BELFRY_OK)
            return false;
        for (int i = 0; i < CHILDREN; i++) {
            snprintf(path, sizeof(path), "/api/v1/items/%d", i);
            belfry_counter_add(
                belfry_counter_family_with(family, (const char *const[]){path, "200"}),
                (unsigned)i * 7919u);
        }
    }
    return true;
}

static bool fill_gauges(belfry_registry *r)
{
    char name[32], path[32];
    for (int f = 0; f < FAMILIES; f++) {
        belfry_gauge_family *family;
        family_name(name, "ratio", f);
        if (belfry_gauge_family_new(&family, r, name, "Ratios of 17 digits.", names, 2) !=
            BELFRY_OK)
            return false;
        for (int i = 0; i < CHILDREN; i++) {
            snprintf(path, sizeof(path), "/api/v1/items/%d", i);
            belfry_gauge_set(belfry_gauge_family_with(family, (const char *const[]){path, "200"}),
                             (double)(i + 1) * 1000 / 2147483647.0);
        }
    }
    return true;
}

static bool fill_histograms(belfry_registry *r)
{
    char name[32], path[32];
    for (int f = 0; f < FAMILIES; f++) {
        belfry_histogram_family *family;
        snprintf(name, sizeof(name), "bench_%c_seconds", 'a' + f);
        if (belfry_histogram_family_new(&family, r, name, "How long.", names, 2, NULL, 0) !=
            BELFRY_OK)
            return false;
        for (int i = 0; i < HISTOGRAMS; i++) {
            snprintf(path, sizeof(path), "/api/v1/items/%d", i);
            belfry_histogram *h =
                belfry_histogram_family_with(family, (const char *const[]){path, "200"});
            for (int k = 0; k < 20; k++)
                belfry_histogram_observe(h, (double)(i * 20 + k) / 1543);
        }
    }
    return true;
}

static bool measure(const char *what, bool (*fill)(belfry_registry *r), double lines, int rounds)
{
    static const struct {
        const char *name;
        belfry_format format;
    } formats[] = {{"text", BELFRY_FORMAT_TEXT},
                   {"openmetrics", BELFRY_FORMAT_OPENMETRICS},
                   {"protobuf", BELFRY_FORMAT_PROTOBUF}};
    if (only_type[0] && strcmp(only_type, what) != 0)
        return true;
    belfry_registry *r = belfry_registry_new();
    bool ok = r && fill(r);
    for (size_t i = 0; ok && i < sizeof(formats) / sizeof(formats[0]); i++) {
        belfry_exposition how = {.format = formats[i].format};
        size_t bytes = 0;
        double best = 1e9;
        if (only_format[0] && strcmp(only_format, formats[i].name) != 0)
            continue;
        for (int k = 0; ok && k < rounds; k++) {
            bytes = 0;
            double start = now_s();
            ok = belfry_registry_write(r, &how, swallow, &bytes) == BELFRY_OK;
            double took = now_s() - start;
            best = took < best ? took : best;
        }
        printf("%-12s %-12s %6.2f M/s %6.1f ns %6.1f bytes\n", what, formats[i].name,
               lines / best / 1e6, best * 1e9 / lines, (double)bytes / lines);
    }
    belfry_registry_free(r);
    return ok;
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 20;
    only_type = argc > 2 ? argv[2] : "";
    only_format = argc > 3 ? argv[3] : "";
    bool ok = measure("counters", fill_counters, (double)FAMILIES * CHILDREN, rounds) &&
              measure("gauges", fill_gauges, (double)FAMILIES * CHILDREN, rounds) &&
              measure("histograms", fill_histograms, (double)FAMILIES * HISTOGRAMS * 14, rounds);
    return ok ? 0 : 1;
}
