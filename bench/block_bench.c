/* SPDX-License-Identifier: Apache-2.0 */
/* block_bench.c: a two-hour block of a fleet: how long it takes to write, how large it is, how fast it is
 * opened, searched and read. Usage: block_bench [TARGETS] (1000 series each, scraped each 15 s). */
#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "storage/block.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SAMPLES = 480, METRICS = 1000, STEP_MS = 15000 };

static double ms_since(mono_time start)
{
    return (double)(clock_mono().ns - start.ns) / 1e6;
}

static void check(bool ok, const struct error *err)
{
    if (!ok) {
        fprintf(stderr, "block_bench: %s\n", err->message);
        exit(1);
    }
}

/* Half the counters idle, gauges of few decimals, now and then noise. */
static void fill(struct random *r, unsigned metric, double *out)
{
    double v = (double)random_below(r, 1000000), rate = pow(10, 4 * random_unit(r));
    for (int i = 0; i < SAMPLES; i++) {
        switch (metric % 20) {
        case 0:
        case 1:
        case 2:
        case 3:
        case 4:
        case 5:
            out[i] = v;
            break;
        case 6:
        case 7:
            out[i] = v += random_below(r, 20) == 0;
            break;
        case 8:
        case 9:
        case 10:
            out[i] = (double)random_below(r, 400) + 100;
            break;
        case 11:
            out[i] = (double)random_below(r, 4000) / 1000;
            break;
        case 12:
            out[i] = 4096 * (v += (double)random_below(r, 2000) - 1000);
            break;
        case 13:
            out[i] = metric < 40 ? random_unit(r) : v;
            break;
        default:
            out[i] = v += floor(15 * rate * (0.9 + 0.2 * random_unit(r)));
            break;
        }
    }
}

static struct labels labels_of(struct arena *arena, unsigned metric, unsigned target)
{
    struct labels_builder b;
    labels_builder_init(&b, arena);
    labels_builder_set(&b, VIEW(LABEL_NAME),
                       arena_printf(arena, "metric_of_a_usual_length_%04u_total", metric / 4));
    labels_builder_set(&b, VIEW("instance"),
                       arena_printf(arena, "host-%05u.example.org:9100", target));
    labels_builder_set(&b, VIEW("job"), VIEW("node"));
    labels_builder_set(&b, VIEW("mode"), arena_printf(arena, "%u", metric % 4));
    return labels_builder_finish(&b);
}

struct write_item {
    struct labels labels;
    unsigned metric, target;
};
static int item_order(const void *a, const void *b)
{
    return labels_compare(((const struct write_item *)a)->labels,
                          ((const struct write_item *)b)->labels);
}

static void write_block(const char *dir, unsigned targets, struct block_meta *meta)
{
    struct arena arena;
    struct error err;
    struct random r;
    struct block_writer *w;
    size_t count = (size_t)targets * METRICS;
    static double values[SAMPLES];
    arena_init(&arena, MEM_OTHER, 0);
    random_seed(&r, 1);
    struct write_item *items = ARENA_ARRAY(&arena, struct write_item, count);
    int64_t *times = ARENA_ARRAY(&arena, int64_t, (size_t)targets * SAMPLES);
    for (size_t i = 0; i < count; i++) {
        items[i].metric = (unsigned)(i % METRICS);
        items[i].target = (unsigned)(i / METRICS);
        items[i].labels = labels_of(&arena, items[i].metric, items[i].target);
    }
    for (size_t i = 0; i < (size_t)targets * SAMPLES; i++)
        times[i] = (int64_t)(i % SAMPLES) * STEP_MS + (int64_t)(i / SAMPLES) % 10000 +
                   (int64_t)random_below(&r, 4);
    qsort(items, count, sizeof *items, item_order);
    double filling = 0;
    mono_time start = clock_mono();
    check(block_writer_open(&w, dir, 0, 7200000, &err), &err);
    for (size_t i = 0; i < count; i++) {
        mono_time fill_start = clock_mono();
        fill(&r, items[i].metric, values);
        filling += ms_since(fill_start);
        struct samples s = {.times = times + (size_t)items[i].target * SAMPLES,
                            .values = values,
                            .count = SAMPLES,
                            .times_id = items[i].target + 1};
        check(block_writer_add(w, items[i].labels, &s, &err), &err);
    }
    check(block_writer_finish(w, meta, &err), &err);
    double ms = ms_since(start) - filling;
    printf("write    %10.1f ms %8.1f ns/sample\n", ms, ms * 1e6 / (double)meta->sample_count);
    arena_deinit(&arena);
}

static void query(struct block *b, const char *what_for, const struct matcher *m, size_t m_count)
{
    struct error err;
    struct arena arena;
    struct series_list list;
    struct select what = {m, m_count, INT64_MIN, INT64_MAX, 0};
    struct label_store *store = label_store_new(MEM_QUERY, 0);
    arena_init(&arena, MEM_QUERY, 0);
    mono_time start = clock_mono();
    check(block_select(b, &what, store, &arena, &list, &err), &err);
    double select_ms = ms_since(start);
    start = clock_mono();
    uint64_t samples = 0;
    struct block_reader *reader = block_reader_new(b);
    for (size_t i = 0; i < list.count; i++) {
        struct samples s;
        check(block_reader_read(reader, list.items[i].ref, INT64_MIN, INT64_MAX, NULL, &s, &err),
              &err);
        samples += s.count;
    }
    double read_ms = ms_since(start);
    printf("%-22s %8zu series: select %8.3f ms %7.0f ns/series, read %8.3f ms %6.2f ns/sample\n",
           what_for, list.count, select_ms, select_ms * 1e6 / (double)(list.count ? list.count : 1),
           read_ms, read_ms * 1e6 / (double)(samples ? samples : 1));
    block_reader_free(reader);
    label_store_free(store);
    arena_deinit(&arena);
}

int main(int argc, char **argv)
{
    unsigned targets = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 50;
    char dir[] = "/tmp/block_bench.XXXXXX", path[128];
    struct error err;
    struct block_meta meta;
    struct block *b;
    if (targets == 0 || targets > 10000 || !mkdtemp(dir)) {
        fprintf(stderr, "usage: block_bench [TARGETS], 1 to 10000\n");
        return 2;
    }
    write_block(dir, targets, &meta);
    printf("block    %10" PRIu64 " series, %" PRIu64 " samples, %.3f bytes/sample\n",
           meta.series_count, meta.sample_count, (double)meta.bytes / (double)meta.sample_count);
    (void)snprintf(path, sizeof path, "%s/%s", dir, meta.ulid);
    mono_time start = clock_mono();
    check(block_open(&b, path, &err), &err);
    uint64_t columns = b ? block_get_meta(b)->bytes : 0;
    printf("open     %10.2f ms, %" PRIu64 " bytes\n", ms_since(start), columns);
    struct matcher one[2], name, regex;
    check(matcher_init(&one[0], MATCH_EQUAL, VIEW(LABEL_NAME),
                       VIEW("metric_of_a_usual_length_0007_total"), &err) &&
              matcher_init(&one[1], MATCH_EQUAL, VIEW("instance"),
                           VIEW("host-00003.example.org:9100"), &err) &&
              matcher_init(&name, MATCH_EQUAL, VIEW(LABEL_NAME),
                           VIEW("metric_of_a_usual_length_0007_total"), &err) &&
              matcher_init(&regex, MATCH_REGEX, VIEW("instance"), VIEW("host-000.*"), &err),
          &err);
    query(b, "one metric, one host", one, 2);
    query(b, "one metric", &name, 1);
    query(b, "one host", &one[1], 1);
    query(b, "hosts by regex", &regex, 1);
    query(b, "everything", NULL, 0);
    for (int i = 0; i < 2; i++)
        matcher_deinit(&one[i]);
    matcher_deinit(&name);
    matcher_deinit(&regex);
    block_unref(b);
    check(dir_remove(dir, &err), &err);
    return 0;
}
