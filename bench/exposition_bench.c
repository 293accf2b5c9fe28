/* SPDX-License-Identifier: Apache-2.0 */
/* exposition_bench.c: nanoseconds per sample of the text parser, on series as a node_exporter has them.
 *   plain    exposition_next
 *   keys     exposition_next and exposition_parse_key: a scrape that the line cache knows nothing of
 *   cached   exposition_next_cached, keys in order
 * In the text format, in OpenMetrics, and in OpenMetrics with an exemplar on each second line. */
#include "base/buffer.h"
#include "base/checksum.h"
#include "base/clock.h"
#include "model/exposition.h"

#include <stdio.h>
#include <stdlib.h>

enum { SERIES = 1000, ROUNDS = 2000 };

struct key {
    uint64_t hash;
    uint32_t len;
};

static void body_write(struct buffer *b, enum exposition_format format, bool exemplars)
{
    for (int i = 0; i < SERIES; i++) {
        buffer_printf(b, "node_cpu_seconds_total{cpu=\"%d\",mode=\"%s\",zone=\"eu-%d\"} ", i / 8,
                      i % 2 ? "idle" : "system", i % 8);
        switch (i % 4) {
        case 0:
            buffer_printf(b, "%d", i * 7919);
            break;
        case 1:
            buffer_printf(b, "%d.%02d", i * 31, i % 100);
            break;
        case 2:
            buffer_printf(b, "%.10e", (double)i * 1.7e7);
            break;
        default:
            buffer_append_literal(b, "0");
            break;
        }
        if (exemplars && i % 2)
            buffer_printf(b, " # {trace_id=\"%032d\"} 0.%03d 1700000000.%03d", i, i, i);
        buffer_append_literal(b, "\n");
    }
    if (format == EXPOSITION_OPENMETRICS)
        buffer_append_literal(b, "# EOF\n");
}

static double plain(struct view body, enum exposition_format format, struct key *keys,
                    struct arena *arena)
{
    double sum = 0;
    struct exposition_parser p;
    struct error err;
    exposition_parser_init(&p, body, format);
    for (size_t i = 0; exposition_next(&p, &err) == EXPOSITION_SAMPLE; i++) {
        struct labels ls;
        sum += p.value;
        if (keys)
            keys[i] = (struct key){hash64_secret(p.key.ptr, p.key.len), (uint32_t)p.key.len};
        if (arena) {
            if (!exposition_parse_key(p.key, arena, &ls, &err))
                abort();
            arena_reset(arena);
        }
    }
    return sum;
}

static double cached(struct view body, enum exposition_format format, const struct key *keys)
{
    double sum = 0;
    struct exposition_parser p;
    exposition_parser_init(&p, body, format);
    for (size_t i = 0; i < SERIES; i++) {
        if (!exposition_next_cached(&p, keys[i].len, keys[i].hash))
            abort();
        sum += p.value;
    }
    return sum;
}

static double measure(const char *name, enum exposition_format format, bool exemplars)
{
    static struct key keys[SERIES];
    static const char *const NAMES[] = {"plain", "keys", "cached"};
    struct buffer b;
    struct arena arena;
    buffer_init(&b, MEM_OTHER, 1 << 24);
    arena_init(&arena, MEM_OTHER, 0);
    body_write(&b, format, exemplars);
    struct view body = buffer_view(&b);
    double sum = plain(body, format, keys, NULL);
    for (int what = 0; what < 3; what++) {
        mono_time start = clock_mono();
        for (int round = 0; round < ROUNDS; round++)
            sum += what == 2 ? cached(body, format, keys)
                             : plain(body, format, NULL, what == 1 ? &arena : NULL);
        double ns = (double)(clock_mono().ns - start.ns) / ROUNDS / SERIES;
        printf("%-12s %-8s %6.1f ns per sample, %6.0f MB/s\n", name, NAMES[what], ns,
               (double)body.len / SERIES / ns * 1000);
    }
    arena_deinit(&arena);
    buffer_deinit(&b);
    return sum;
}

int main(void)
{
    double sum = measure("text", EXPOSITION_TEXT, false);
    sum += measure("openmetrics", EXPOSITION_OPENMETRICS, false);
    sum += measure("exemplars", EXPOSITION_OPENMETRICS, true);
    printf("(sum %g)\n", sum);
    return 0;
}
