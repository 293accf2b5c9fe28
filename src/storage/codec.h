/* SPDX-License-Identifier: Apache-2.0 */
/* codec.h: columns of a block as bytes: integers, timestamps, values. Lossless to the last bit: -0, NaN
 * payloads, infinities and stale markers come back as they were. Layout: codec_integers.c (packing),
 * codec.c (value and time columns), codec_xor.c (noise).
 *
 * Each 128 numbers restart with base and width behind a small directory, so that a window decodes only
 * the packs it touches. Decoders trust nothing: counts, widths and lengths are checked against the bytes
 * there are; wrong bytes give false and unspecified numbers, never a read or write out of bounds.
 * Pure functions; a struct belongs to one thread. */
#ifndef BELFRY_STORAGE_CODEC_H
#define BELFRY_STORAGE_CODEC_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/reader.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CODEC_PACK_COUNT = 128,   /* numbers that share base and width; a multiple of 8 */
    CODEC_COUNT_MAX = 1 << 24 /* numbers in one column: a sample each half millisecond for 2 h */
};

/* What a column says about its content, without being decoded. */
enum codec_flag {
    CODEC_FLAG_CONSTANT = 1, /* one value (beside stale markers) */
    CODEC_FLAG_INTEGER = 2,  /* every value is a whole number of less than 2^51 */
    CODEC_FLAG_NO_RESET = 4, /* never falls, no NaN: a counter without resets */
    CODEC_FLAG_NO_GAP = 8    /* no stale marker */
};

/* --- integers ------------------------------------------------------------------------------------ */

/* Appends `in` to `out`: small where neighbours are alike in value, step, or change of step. */
void codec_integers_encode(struct buffer *out, const int64_t *in, size_t count);

struct codec_integers { /* borrows the bytes it was opened on */
    struct view directory, payload;
    size_t count;
};
/* Takes the bytes of `count` integers from `r`. False (and r->failed) when they cannot be that. */
MUST_USE bool codec_integers_open(struct codec_integers *c, struct reader *r, size_t count);
/* out[0..to-from) = numbers [from, to). from <= to <= count. */
void codec_integers_decode(const struct codec_integers *c, size_t from, size_t to, int64_t *out);

/* --- timestamps ---------------------------------------------------------------------------------- */

/* Any order and any range; a regular grid takes some 12 bytes whatever its length. */
void codec_times_encode(struct buffer *out, const int64_t *times, size_t count);

struct codec_times {
    struct codec_integers packed;
    int64_t first, step; /* used when `regular` */
    size_t count;
    bool regular;
};
/* `bytes` must be exactly one column. */
MUST_USE bool codec_times_open(struct codec_times *c, struct view bytes, size_t count);
void codec_times_decode(const struct codec_times *c, size_t from, size_t to, int64_t *out);

/* --- values -------------------------------------------------------------------------------------- */

/* Working memory of the encoder, kept between columns. */
struct codec_scratch {
    double *values;
    int64_t *integers;
    uint64_t *exceptions; /* positions */
    size_t capacity;
    struct buffer tries[2];
};
void codec_scratch_init(struct codec_scratch *s);
void codec_scratch_deinit(struct codec_scratch *s);

/* Appends the smallest form. Returns flags (enum codec_flag). count <= CODEC_COUNT_MAX. */
unsigned codec_values_encode(struct buffer *out, const double *values, size_t count,
                             struct codec_scratch *s);

struct codec_values {
    struct view exceptions; /* undecoded; already validated */
    size_t exception_count;
    struct codec_integers packed;   /* INTEGERS: all; SPLIT: mantissas */
    struct codec_integers fronts;   /* SPLIT: exponents and signs */
    struct view directory, payload; /* XOR: lengths, streams */
    struct codec_integers runs;     /* RUNS: lengths; the runs' values are in the fields below */
    size_t count, number_count;     /* numbers in the body: `count`, or the runs */
    double constant;
    double divisor, offset, scale; /* value = (packed * divisor + offset) / scale */
    uint8_t shift;                 /* SPLIT: of the mantissas */
    uint8_t codec, body; /* enum value_codec of codec.c; body = that of the runs' values */
};
/* `bytes` must be exactly one column. */
MUST_USE bool codec_values_open(struct codec_values *c, struct view bytes, size_t count);
/* False when the bytes turn out to be damaged inside. */
MUST_USE bool codec_values_decode(const struct codec_values *c, size_t from, size_t to,
                                  double *out);
/* The codec's name for statistics: "constant", "runs", "integers", "xor", "split". */
const char *codec_values_name(const struct codec_values *c);

#endif
