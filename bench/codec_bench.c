/* SPDX-License-Identifier: Apache-2.0 */
/* codec_bench.c: how small columns become and how fast they come back. Prints one line per kind of data:
 * codec, bytes per sample, ns per sample to encode and to decode, million samples a second.
 * The data resembles two hours of a fleet scraped each 15 s: half-idle counters, gauges, buckets. */
#include "base/clock.h"
#include "base/random.h"
#include "storage/codec.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { SAMPLES = 480, COLUMNS = 400, ROUNDS = 40 };

static double noise(struct random *r)
{
    return random_unit(r) + random_unit(r) - 1;
}

struct kind {
    const char *name;
    unsigned share; /* of the fleet, percent */
    void (*fill)(struct random *r, double *out);
};

static void idle(struct random *r, double *out)
{
    double v = (double)random_below(r, 3) * (double)random_below(r, 100000);
    for (int i = 0; i < SAMPLES; i++)
        out[i] = v;
}
static void busy(struct random *r, double *out)
{
    double v = (double)random_below(r, 1000000000), rate = pow(10, 1 + 5 * random_unit(r));
    for (int i = 0; i < SAMPLES; i++)
        out[i] = v += floor(15 * rate * (1 + 0.1 * noise(r)));
}
static void slow(struct random *r, double *out)
{
    double v = (double)random_below(r, 10000);
    for (int i = 0; i < SAMPLES; i++)
        out[i] = v += random_below(r, 12) == 0;
}
static void seconds(struct random *r, double *out)
{
    double v = (double)random_below(r, 1000000), rate = 100 * random_unit(r);
    for (int i = 0; i < SAMPLES; i++)
        out[i] = (v += floor(15 * rate * (1 + 0.1 * noise(r)))) / 100;
}
static void memory(struct random *r, double *out)
{
    double v = (double)random_below(r, 1 << 21);
    for (int i = 0; i < SAMPLES; i++)
        out[i] = 4096 * (v += floor(1000 * noise(r)));
}
static void small(struct random *r, double *out)
{
    double base = 10 + (double)random_below(r, 300);
    for (int i = 0; i < SAMPLES; i++)
        out[i] = floor(base * (1 + 0.2 * noise(r)));
}
static void ratio(struct random *r, double *out)
{
    for (int i = 0; i < SAMPLES; i++)
        out[i] = floor(1000 * (0.7 + 0.2 * noise(r))) / 1000;
}
static void bucket(struct random *r, double *out)
{
    double v = (double)random_below(r, 100000), rate = 30 * random_unit(r);
    for (int i = 0; i < SAMPLES; i++)
        out[i] = v += floor(15 * rate * (1 + 0.3 * noise(r)));
}
static void average(struct random *r, double *out)
{
    for (int i = 0; i < SAMPLES; i++)
        out[i] = random_unit(r) * 7;
}

static const struct kind KINDS[] = {
    {"idle counter, constant", 37, idle}, {"busy counter", 14, busy},
    {"slow counter", 12, slow},           {"seconds, 2 decimals", 4, seconds},
    {"memory, pages", 8, memory},         {"small gauge", 7, small},
    {"ratio, 3 decimals", 5, ratio},      {"bucket", 12, bucket},
    {"noise, 53 bits", 1, average},
};

struct result {
    double bytes, encode_ns, decode_ns;
    const char *codec;
};

static struct result run(const struct kind *kind)
{
    static double in[COLUMNS][SAMPLES], out[SAMPLES];
    static struct codec_values columns[COLUMNS];
    size_t starts[COLUMNS + 1] = {0};
    struct random r;
    struct codec_scratch s;
    struct buffer b;
    random_seed(&r, 7);
    codec_scratch_init(&s);
    buffer_init(&b, MEM_OTHER, (size_t)1 << 30);
    for (int i = 0; i < COLUMNS; i++)
        kind->fill(&r, in[i]);
    mono_time start = clock_mono();
    for (int i = 0; i < COLUMNS; i++) {
        (void)codec_values_encode(&b, in[i], SAMPLES, &s);
        starts[i + 1] = b.len;
    }
    double encode = (double)(clock_mono().ns - start.ns);
    start = clock_mono();
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < COLUMNS; i++) {
            struct view bytes = view_slice(buffer_view(&b), starts[i], starts[i + 1]);
            if (!codec_values_open(&columns[i], bytes, SAMPLES) ||
                !codec_values_decode(&columns[i], 0, SAMPLES, out) ||
                (round == 0 && memcmp(out, in[i], sizeof out) != 0))
                abort();
        }
    }
    double decode = (double)(clock_mono().ns - start.ns);
    double samples = (double)SAMPLES * COLUMNS;
    struct result result = {(double)b.len / samples, encode / samples, decode / samples / ROUNDS,
                            codec_values_name(&columns[0])};
    buffer_deinit(&b);
    codec_scratch_deinit(&s);
    return result;
}

/* Bare unpacking of integers: no header, no doubles. */
static void unpack(unsigned bits)
{
    enum { COUNT = 4096, TIMES = 5000 };
    static int64_t in[COUNT], out[COUNT];
    struct random r;
    struct buffer b;
    random_seed(&r, bits);
    buffer_init(&b, MEM_OTHER, 1 << 20);
    for (int i = 0; i < COUNT; i++)
        in[i] = (int64_t)(random_next(&r) >> (64 - bits));
    codec_integers_encode(&b, in, COUNT);
    struct reader reader = reader_from(buffer_view(&b));
    struct codec_integers c;
    if (!codec_integers_open(&c, &reader, COUNT))
        abort();
    mono_time start = clock_mono();
    for (int i = 0; i < TIMES; i++)
        codec_integers_decode(&c, 0, COUNT, out);
    double ns = (double)(clock_mono().ns - start.ns) / COUNT / TIMES;
    printf("unpack %2u bits %30.2f ns %8.0f M/s\n", bits, ns, 1000 / ns);
    buffer_deinit(&b);
}

int main(void)
{
    double bytes = 0, encode = 0, decode = 0;
    printf("%-24s %-9s %9s %9s %9s %9s\n", "data", "codec", "B/sample", "enc ns", "dec ns", "M/s");
    for (size_t i = 0; i < ARRAY_COUNT(KINDS); i++) {
        struct result x = run(&KINDS[i]);
        printf("%-24s %-9s %9.3f %9.1f %9.2f %9.0f\n", KINDS[i].name, x.codec, x.bytes, x.encode_ns,
               x.decode_ns, 1000 / x.decode_ns);
        bytes += x.bytes * KINDS[i].share / 100;
        encode += x.encode_ns * KINDS[i].share / 100;
        decode += x.decode_ns * KINDS[i].share / 100;
    }
    printf("%-24s %-9s %9.3f %9.1f %9.2f %9.0f\n", "fleet", "", bytes, encode, decode,
           1000 / decode);
    for (unsigned bits = 4; bits <= 32; bits += 4)
        unpack(bits);
    return 0;
}
