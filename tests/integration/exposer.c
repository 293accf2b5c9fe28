/* SPDX-License-Identifier: Apache-2.0 */
/* exposer.c: a program that counts a little of everything, for test_exposition.py to show to real readers.
 *
 * Reads Accept headers from its input, one a line ("-" = none); answers each with
 *
 *   <Content-Type> NEWLINE <length of the body> NEWLINE <body> */
#include <belfry/collectors.h>
#include <belfry/exposition.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(call)                                                                                \
    do {                                                                                           \
        if ((call) != BELFRY_OK) {                                                                 \
            fprintf(stderr, "exposer: %s failed\n", #call);                                        \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static double read_seven(void *arg)
{
    (void)arg;
    return 7.25;
}

static void collect(void *arg, belfry_emitter *e)
{
    static const belfry_label half[] = {{"shard", "a"}, {"quantile", "0.5"}},
                              most[] = {{"shard", "a"}, {"quantile", "0.99"}},
                              shard[] = {{"shard", "a"}};
    static const belfry_label low[] = {{"le", "0.25"}}, all[] = {{"le", "+Inf"}};
    (void)arg;
    belfry_emit_family(e, "collected_seconds", "A summary of a collector.", BELFRY_SUMMARY);
    belfry_emit_sample(e, NULL, half, 2, 0.125);
    belfry_emit_sample(e, NULL, most, 2, 2.5);
    belfry_emit_sample(e, "_sum", shard, 1, 100.5);
    belfry_emit_sample(e, "_count", shard, 1, 42);
    belfry_emit_family(e, "collected_bytes", "A histogram of a collector.", BELFRY_HISTOGRAM);
    belfry_emit_sample(e, "_bucket", low, 1, 3);
    belfry_emit_sample(e, "_bucket", all, 1, 5);
    belfry_emit_sample(e, "_sum", NULL, 0, 6.75);
    belfry_emit_sample(e, "_count", NULL, 0, 5);
    belfry_emit(e, "collected_state", "Of no type.", BELFRY_UNTYPED, -3);
}

static void counters_and_gauges(void)
{
    static const char *const names[] = {"path", "code"};
    static const struct {
        const char *values[2];
        double count;
    } children[] = {
        {{"/", "200"}, 9007199254740991.0},
        {{"/a \"b\"\\c\nd", "404"}, 3},
        {{"/Gr\xc3\xb6\xc3\x9f"
          "e",
          "200"},
         0.5},
        {{"", "500"}, 0},
    };
    static const struct {
        const char *values[2];
        double value;
    } numbers[] = {{{"third", ""}, 1.0 / 3},   {{"tenths", ""}, 0.1 + 0.2},
                   {{"large", ""}, 1.5e300},   {{"small", ""}, -2.5e-9},
                   {{"least", ""}, 5e-324},    {{"infinite", ""}, INFINITY},
                   {{"minus", ""}, -INFINITY}, {{"none", ""}, NAN},
                   {{"zero", ""}, 0},          {{"exact", ""}, 123456789.25}};
    belfry_counter_family *requests;
    belfry_gauge_family *gauges;
    belfry_counter *plain;
    CHECK(belfry_counter_family_new(&requests, NULL, "app_requests_total",
                                    "Requests, \"quoted\" and \\ escaped\nin two lines.", names,
                                    2));
    for (size_t i = 0; i < sizeof(children) / sizeof(children[0]); i++)
        belfry_counter_add_double(belfry_counter_family_with(requests, children[i].values),
                                  children[i].count);
    CHECK(belfry_gauge_family_new(&gauges, NULL, "app_number", "Numbers of all kinds.", names, 1));
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        belfry_gauge_set(belfry_gauge_family_with(gauges, numbers[i].values), numbers[i].value);
    CHECK(belfry_counter_new(&plain, NULL, "app_restarts_total", "A counter without labels."));
    belfry_counter_add(plain, 12);
    CHECK(
        belfry_gauge_func_new(NULL, "app_read_now", "Read when somebody looks.", read_seven, NULL));
}

static void histograms(void)
{
    static const char *const names[] = {"stage"}, *const values[] = {"fetch"};
    static const double bounds[] = {0.000001, 0.5, 1, 30, 1000000};
    belfry_histogram_family *family;
    CHECK(belfry_histogram_family_new(&family, NULL, "app_stage_seconds", "How long.", names, 1,
                                      bounds, 5));
    belfry_histogram *h = belfry_histogram_family_with(family, values);
    for (int i = 0; i < 4; i++)
        belfry_histogram_observe(h, 0.25);
    belfry_histogram_observe(h, 0.75);
    belfry_histogram_observe(h, 20);
    belfry_histogram_observe(h, 2e6);
}

/* A classic, a native and a histogram that is both; the native ones in schema 3 (2^(1/8) = 1.0905 per bucket). */
static void native_histograms(void)
{
    static const double bounds[] = {1, 10};
    static const belfry_label trace[] = {{"trace_id", "0af7651916cd43dd8448eb211c80319c"}};
    belfry_histogram_options native = {.native_factor = 1.1},
                             both = {.bounds = bounds, .bound_count = 2, .native_factor = 1.1};
    belfry_histogram *h;
    CHECK(belfry_histogram_new_with(&h, NULL, "app_native_seconds", "Native buckets.", &native));
    for (int i = 1; i <= 1000; i++)
        CHECK(belfry_histogram_observe(h, i / 100.0));
    CHECK(belfry_histogram_observe(h, -4));
    CHECK(belfry_histogram_observe(h, 0));
    CHECK(belfry_histogram_observe_exemplar(h, 4, trace, 1));
    CHECK(belfry_histogram_new_with(&h, NULL, "app_both_seconds", "Both kinds of buckets.", &both));
    CHECK(belfry_histogram_observe(h, 0.5));
    CHECK(belfry_histogram_observe(h, 5));
    CHECK(belfry_histogram_observe_exemplar(h, 50, trace, 1));
    CHECK(belfry_histogram_new_with(&h, NULL, "app_unused_seconds", "Nothing observed.", &native));
}

static void other_types(void)
{
    static const char *const states[] = {"starting", "ready", "stopping"};
    static const belfry_label version[] = {{"version", "1.2.3"}, {"commit", "abc\"def"}};
    static const belfry_label trace[] = {{"trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"}};
    static const double quantiles[] = {0, 0.5, 0.9, 1};
    belfry_summary_options options = {.quantiles = quantiles, .quantile_count = 4};
    belfry_stateset *state;
    belfry_summary *summary;
    belfry_counter *counter;
    CHECK(belfry_info_new(NULL, "app_build_info", "What runs.", version, 2));
    CHECK(belfry_stateset_new(&state, NULL, "app_state", "What it does.", states, 3));
    CHECK(belfry_stateset_only(state, 1));
    CHECK(belfry_summary_new(&summary, NULL, "app_wait_seconds", "A summary.", &options));
    CHECK(belfry_set_unit(NULL, "app_wait_seconds", "seconds"));
    for (int i = 1; i <= 100; i++)
        CHECK(belfry_summary_observe(summary, i));
    CHECK(belfry_counter_new(&counter, NULL, "app_traced_total", "With an exemplar."));
    CHECK(belfry_counter_add_exemplar(counter, 2.5, trace, 1));
}

/* Names beyond the legacy ones. */
static void utf8_names(void)
{
    static const char *const names[] = {"http.code"}, *const values[] = {"200"};
    belfry_counter_family *family;
    CHECK(belfry_counter_family_new(&family, NULL, "app.größe_total", "UTF-8.", names, 1));
    CHECK(belfry_counter_add(belfry_counter_family_with(family, values), 11));
}

static bool append(void *arg, const char *bytes, size_t len)
{
    return fwrite(bytes, 1, len, arg) == len;
}

static int answer(const char *accept)
{
    belfry_exposition how = {0};
    char *body = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&body, &len);
    if (!f)
        return 1;
    belfry_exposition_negotiate(strcmp(accept, "-") == 0 ? NULL : accept, &how);
    CHECK(belfry_registry_write(NULL, &how, append, f));
    if (fclose(f) != 0)
        return 1;
    printf("%s\n%zu\n", belfry_exposition_content_type(&how), len);
    int bad = fwrite(body, 1, len, stdout) != len || fflush(stdout) != 0;
    free(body);
    return bad;
}

int main(void)
{
    static const belfry_label zone[] = {{"zone", "eu-1"}};
    char accept[8192];
    CHECK(belfry_registry_set_labels(NULL, zone, 1));
    counters_and_gauges();
    histograms();
    native_histograms();
    other_types();
    utf8_names();
    CHECK(belfry_registry_show_created(NULL, true));
    CHECK(belfry_collector_new(NULL, collect, NULL, NULL));
    CHECK(belfry_process_collector_new(NULL, NULL));
    CHECK(belfry_allocator_collector_new(NULL));
    while (fgets(accept, sizeof(accept), stdin)) {
        accept[strcspn(accept, "\n")] = '\0';
        if (answer(accept) != 0)
            return 1;
    }
    return 0;
}
