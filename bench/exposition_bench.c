/* SPDX-License-Identifier: Apache-2.0 */
/* exposition_bench.c: nanoseconds per sample of the text parser, on series as a node_exporter has them.
 *   plain    exposition_next
 *   keys     exposition_next and exposition_parse_key: a scrape that the line cache knows nothing of
 *   cached   exposition_next_cached, keys in order */
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

static void body_write(struct buffer *b)
{
    for (int i = 0; i < SERIES; i++) {
        buffer_printf(b, "node_cpu_seconds_total{cpu=\"%d\",mode=\"%s\",zone=\"eu-%d\"} ", i / 8,
                      i % 2 ? "idle" : "system", i % 8);
        switch (i % 4) {
        case 0:
            buffer_printf(b, "%d\n", i * 7919);
            break;
        case 1:
            buffer_printf(b, "%d.%02d\n", i * 31, i % 100);
            break;
        case 2:
            buffer_printf(b, "%.10e\n", (double)i * 1.7e7);
            break;
        default:
            buffer_append_literal(b, "0\n");
            break;
        }
    }
}

static double plain(struct view body, struct key *keys, struct arena *arena)
{
    double sum = 0;
    struct exposition_parser p;
    struct error err;
    exposition_parser_init(&p, body);
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

static double cached(struct view body, const struct key *keys)
{
    double sum = 0;
    struct exposition_parser p;
    exposition_parser_init(&p, body);
    for (size_t i = 0; i < SERIES; i++) {
        if (!exposition_next_cached(&p, keys[i].len, keys[i].hash))
            abort();
        sum += p.value;
    }
    return sum;
}

int main(void)
{
    static struct key keys[SERIES];
    struct buffer b;
    struct arena arena;
    double sum = 0;
    buffer_init(&b, MEM_OTHER, 1 << 24);
    arena_init(&arena, MEM_OTHER, 0);
    body_write(&b);
    struct view body = buffer_view(&b);
    sum += plain(body, keys, NULL);
    for (int what = 0; what < 3; what++) {
        static const char *const NAMES[] = {"plain", "keys", "cached"};
        mono_time start = clock_mono();
        for (int round = 0; round < ROUNDS; round++)
            sum += what == 2 ? cached(body, keys) : plain(body, NULL, what == 1 ? &arena : NULL);
        double ns = (double)(clock_mono().ns - start.ns) / ROUNDS / SERIES;
        printf("%-8s %6.1f ns per sample, %6.0f MB/s\n", NAMES[what], ns,
               (double)body.len / SERIES / ns * 1000);
    }
    printf("(sum %g)\n", sum);
    arena_deinit(&arena);
    buffer_deinit(&b);
    return 0;
}
