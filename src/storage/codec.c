/* SPDX-License-Identifier: Apache-2.0 */
/* codec.c: time columns and value columns. Integers little endian; the count of numbers is not in the
 * column but in the index beside it.
 *
 *   times      := 0 u8 | first svarint | step svarint            a regular grid
 *               | 1 u8 | integers                                (codec_integers.c)
 *   values     := kind u8 | [exceptions] | body                  kind = codec + 16 where there are exceptions
 *   exceptions := count varint | bytes varint | count * (gap * 2 + is_raw varint [bits u64])
 *   body       := CONSTANT   bits u64
 *               | WHOLE      number svarint                      constant, a whole number
 *               | RUNS       run_count varint | integers: lengths | kind u8 | body of run_count values
 *               | INTEGERS   decimals u8 | offset svarint | divisor varint | integers
 *               | XOR        xor                                 (codec_xor.c)
 *               | SPLIT      shift u8 | integers: exponent * 2 + sign | integers: mantissa >> shift
 *
 * 1. Stale markers never stand in a body: they are exceptions (place = gap after the one before), and
 *    the body holds the neighbour's value there. So a series that ends and begins stays an integer.
 * 2. INTEGERS: value = (n * divisor + offset) / 10^decimals, each step exact: all of it stays below
 *    2^51, and the quotient of two exact numbers is what the decimal text was read as. A few values
 *    that are no such decimal (NaN, infinities, -0) are exceptions with their bits.
 * 3. The runs' values are any other codec's without exceptions: one level, no recursion.
 * 4. SPLIT is for true noise: its mantissas do not compress, but its exponents do, and all of it unpacks
 *    at the speed of integers; XOR is for noise that repeats itself or moves little. The idea of cutting
 *    a double in two: Afroozeh et al., "ALP" (2023); ours packs the front instead of a dictionary.
 * 5. Every form is bit exact; the smallest is kept. */
#include "storage/codec.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3") /* at O2 gcc leaves loops of unknown length to scalar code */
#endif

#include "base/assert.h"
#include "model/sample.h"
#include "storage/codec_private.h"

#include <math.h>

enum value_codec { CONSTANT, WHOLE, RUNS, INTEGERS, XOR, SPLIT, VALUE_CODEC_COUNT };
enum { HAS_EXCEPTIONS = 16, DECIMALS_MAX = 15, TIMES_REGULAR = 0, TIMES_PACKED = 1 };
enum { AT_ONCE = 8 * CODEC_PACK_COUNT }; /* each step walks the directory from its beginning */

enum { MANTISSA_BITS = 52 };
#define MANTISSA_MASK ((UINT64_C(1) << MANTISSA_BITS) - 1)
#define INTEGER_LIMIT (INT64_C(1) << 51) /* what the conversion to double below can take */
#define COLUMN_BYTES_MAX ((size_t)1 << 30)

static const double POWERS[DECIMALS_MAX + 1] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

/* --- timestamps ---------------------------------------------------------------------------------- */

void codec_times_encode(struct buffer *out, const int64_t *times, size_t count)
{
    ASSERT(count <= CODEC_COUNT_MAX);
    uint64_t step = count > 1 ? (uint64_t)times[1] - (uint64_t)times[0] : 0;
    size_t i = 1;
    while (i < count && (uint64_t)times[i] - (uint64_t)times[i - 1] == step)
        i++;
    if (count > 0 && i < count) {
        buffer_append_u8(out, TIMES_PACKED);
        codec_integers_encode(out, times, count);
        return;
    }
    buffer_append_u8(out, TIMES_REGULAR);
    buffer_append_svarint(out, count > 0 ? times[0] : 0);
    buffer_append_svarint(out, (int64_t)step);
}

bool codec_times_open(struct codec_times *c, struct view bytes, size_t count)
{
    *c = (struct codec_times){.count = count};
    struct reader r = reader_from(bytes);
    unsigned kind = reader_u8(&r);
    if (kind == TIMES_REGULAR) {
        c->regular = true;
        c->first = reader_svarint(&r);
        c->step = reader_svarint(&r);
    } else if (kind != TIMES_PACKED || !codec_integers_open(&c->packed, &r, count)) {
        return false;
    }
    return !r.failed && reader_left(&r) == 0 && count <= CODEC_COUNT_MAX;
}

void codec_times_decode(const struct codec_times *c, size_t from, size_t to, int64_t *out)
{
    ASSERT(from <= to && to <= c->count);
    if (!c->regular) {
        codec_integers_decode(&c->packed, from, to, out);
        return;
    }
    for (size_t i = from; i < to; i++)
        out[i - from] = (int64_t)((uint64_t)c->first + (uint64_t)c->step * i);
}

/* --- encode values ------------------------------------------------------------------------------- */

void codec_scratch_init(struct codec_scratch *s)
{
    *s = (struct codec_scratch){0};
    for (size_t i = 0; i < ARRAY_COUNT(s->tries); i++)
        buffer_init(&s->tries[i], MEM_BLOCK, COLUMN_BYTES_MAX);
}

void codec_scratch_deinit(struct codec_scratch *s)
{
    mem_free(MEM_BLOCK, s->values);
    mem_free(MEM_BLOCK, s->integers);
    mem_free(MEM_BLOCK, s->exceptions);
    for (size_t i = 0; i < ARRAY_COUNT(s->tries); i++)
        buffer_deinit(&s->tries[i]);
    *s = (struct codec_scratch){0};
}

static void scratch_reserve(struct codec_scratch *s, size_t count)
{
    if (s->capacity >= count)
        return;
    s->values =
        mem_resize(MEM_BLOCK, s->values, count * 2 * sizeof *s->values); /* and runs' values */
    s->integers = mem_resize(MEM_BLOCK, s->integers, count * sizeof *s->integers);
    s->exceptions = mem_resize(MEM_BLOCK, s->exceptions, count * sizeof *s->exceptions);
    s->capacity = count;
}

static bool same(double a, double b)
{
    return sample_bits(a) == sample_bits(b);
}

/* v * 10^decimals as an integer whose quotient is v again, to the bit. */
static bool as_decimal(double v, unsigned decimals, int64_t *out)
{
    double scaled = v * POWERS[decimals];
    if (!(fabs(scaled) < (double)INTEGER_LIMIT)) /* false for NaN */
        return false;
    *out = (int64_t)(scaled + (scaled < 0 ? -0.5 : 0.5));
    return same((double)*out / POWERS[decimals], v);
}

/* The fewest decimals that all values have, but for `misses_max` of them. False: this is noise. */
static bool find_decimals(const double *in, size_t count, size_t misses_max, unsigned *decimals)
{
    size_t misses = 0;
    unsigned d = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t ignored;
        unsigned try = d;
        while (try <= DECIMALS_MAX && !as_decimal(in[i], try, &ignored))
            try++;
        if (try > DECIMALS_MAX) {
            if (++misses > misses_max)
                return false;
        } else {
            d = try;
        }
    }
    *decimals = d;
    return true;
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static void exceptions_append(struct buffer *out, const double *in, const uint64_t *places,
                              size_t count)
{
    struct buffer list;
    buffer_init(&list, MEM_BLOCK, COLUMN_BYTES_MAX);
    uint64_t next = 0;
    for (size_t i = 0; i < count; i++) {
        bool raw = !sample_is_stale(in[places[i]]);
        buffer_append_varint(&list, (places[i] - next) * 2 + raw);
        if (raw)
            buffer_append_u64(&list, sample_bits(in[places[i]]));
        next = places[i] + 1;
    }
    buffer_append_varint(out, count);
    buffer_append_varint(out, list.len);
    buffer_append_view(out, buffer_view(&list));
    buffer_deinit(&list);
}

/* INTEGERS' body for in[0..count), whose values all have these decimals; `n` is working space. */
static void body_integers(struct buffer *out, const double *in, size_t count, unsigned decimals,
                          int64_t *n)
{
    uint64_t divisor = 0;
    for (size_t i = 0; i < count; i++) {
        bool exact = as_decimal(in[i], decimals, &n[i]);
        ASSERT(exact);
        if (divisor != 1) {
            int64_t off = n[i] - n[0];
            divisor = gcd((uint64_t)(off < 0 ? -off : off), divisor);
        }
    }
    if (divisor == 0)
        divisor = 1;
    int64_t offset = divisor == 1 ? 0 : n[0] % (int64_t)divisor;
    if (divisor > 1)
        for (size_t i = 0; i < count; i++)
            n[i] = (n[i] - offset) / (int64_t)divisor;
    buffer_append_u8(out, (uint8_t)decimals);
    buffer_append_svarint(out, offset);
    buffer_append_varint(out, divisor);
    codec_integers_encode(out, n, count);
}

/* SPLIT's body; `n` is working space. */
static void body_split(struct buffer *out, const double *in, size_t count, int64_t *n)
{
    uint64_t mantissas = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t bits = sample_bits(in[i]);
        mantissas |= bits & MANTISSA_MASK;
        n[i] = (int64_t)(bits >> MANTISSA_BITS << 1 & 0xffe) | (int64_t)(bits >> 63);
    }
    unsigned shift = mantissas ? (unsigned)__builtin_ctzll(mantissas) : 0;
    buffer_append_u8(out, (uint8_t)shift);
    codec_integers_encode(out, n, count);
    for (size_t i = 0; i < count; i++)
        n[i] = (int64_t)((sample_bits(in[i]) & MANTISSA_MASK) >> shift);
    codec_integers_encode(out, n, count);
}

static bool is_whole(double v, int64_t *out)
{
    return as_decimal(v, 0, out);
}

/* Every codec but RUNS for in[0..count), count > 0: kind byte and body, the smallest. */
static void plain_append(struct buffer *out, const double *in, size_t count, bool constant,
                         bool decimal, unsigned decimals, int64_t *n)
{
    int64_t whole;
    if (constant) {
        bool short_form = is_whole(in[0], &whole);
        buffer_append_u8(out, short_form ? WHOLE : CONSTANT);
        if (short_form)
            buffer_append_svarint(out, whole);
        else
            buffer_append_u64(out, sample_bits(in[0]));
        return;
    }
    struct buffer forms[3];
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++)
        buffer_init(&forms[i], MEM_BLOCK, COLUMN_BYTES_MAX);
    if (decimal) {
        buffer_append_u8(&forms[0], INTEGERS);
        body_integers(&forms[0], in, count, decimals, n);
        best = 0;
    }
    if (!decimal || forms[0].len > count * 2) { /* the others seldom go below 16 bits a value */
        buffer_append_u8(&forms[1], SPLIT);
        body_split(&forms[1], in, count, n);
        buffer_append_u8(&forms[2], XOR);
        codec_xor_encode(&forms[2], in, count);
        for (size_t i = 1; i < ARRAY_COUNT(forms); i++)
            if (best == SIZE_MAX || forms[i].len < forms[best].len)
                best = i;
    }
    buffer_append_view(out, buffer_view(&forms[best]));
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
        out->failed |= forms[i].failed;
        buffer_deinit(&forms[i]);
    }
}

/* RUNS' body: lengths go to n, values to `run_values`. */
static void runs_append(struct buffer *out, const double *in, size_t count, size_t run_count,
                        bool decimal, unsigned decimals, int64_t *n, double *run_values)
{
    size_t run = 0;
    for (size_t i = 0; i < count; run++) {
        size_t start = i++;
        while (i < count && same(in[i], in[start]))
            i++;
        n[run] = (int64_t)(i - start);
        run_values[run] = in[start];
    }
    ASSERT(run == run_count);
    buffer_append_u8(out, RUNS);
    buffer_append_varint(out, run_count);
    codec_integers_encode(out, n, run_count);
    plain_append(out, run_values, run_count, false, decimal, decimals, n);
}

/* Splits `in` into s->values (markers, and decimals' misses, replaced by a neighbour) and the places of
 * these. */
static size_t split_exceptions(const double *in, size_t count, bool decimal, unsigned decimals,
                               struct codec_scratch *s)
{
    size_t exception_count = 0, first_kept = SIZE_MAX;
    double last = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t ignored;
        if (sample_is_stale(in[i]) || (decimal && !as_decimal(in[i], decimals, &ignored))) {
            s->exceptions[exception_count++] = i;
        } else {
            last = in[i];
            if (first_kept == SIZE_MAX)
                first_kept = i;
        }
        s->values[i] = last;
    }
    for (size_t i = 0; first_kept != SIZE_MAX && i < first_kept; i++)
        s->values[i] = in[first_kept];
    return exception_count;
}

static unsigned column_flags(const double *in, size_t count, bool constant, bool integer)
{
    unsigned flags = CODEC_FLAG_NO_GAP | CODEC_FLAG_NO_RESET;
    double before = -INFINITY;
    for (size_t i = 0; i < count; i++) {
        if (sample_is_stale(in[i])) {
            flags &= ~(unsigned)CODEC_FLAG_NO_GAP;
            continue;
        }
        if (!(in[i] >= before))
            flags &= ~(unsigned)CODEC_FLAG_NO_RESET;
        before = in[i];
    }
    return flags | (constant ? CODEC_FLAG_CONSTANT : 0) | (integer ? CODEC_FLAG_INTEGER : 0);
}

unsigned codec_values_encode(struct buffer *out, const double *values, size_t count,
                             struct codec_scratch *s)
{
    ASSERT(count > 0 && count <= CODEC_COUNT_MAX);
    scratch_reserve(s, count);
    /* Decimals are looked for in what is no marker: few misses are worth their 10 bytes each. */
    size_t stale_count = split_exceptions(values, count, false, 0, s);
    unsigned decimals = 0;
    bool decimal = find_decimals(s->values, count, count / 32, &decimals);
    size_t exception_count = stale_count;
    if (decimal)
        exception_count = split_exceptions(values, count, true, decimals, s);
    if (exception_count == count && exception_count > stale_count) { /* nothing but misses */
        decimal = false;
        exception_count = split_exceptions(values, count, false, 0, s);
    }
    size_t run_count = 1;
    for (size_t i = 1; i < count; i++)
        run_count += !same(s->values[i], s->values[i - 1]);
    bool constant = run_count == 1;

    struct buffer *plain = &s->tries[0], *runs = &s->tries[1], *best = plain;
    buffer_reset(plain);
    plain_append(plain, s->values, count, constant, decimal, decimals, s->integers);
    if (!constant && run_count <= count / 4) {
        buffer_reset(runs);
        runs_append(runs, s->values, count, run_count, decimal, decimals, s->integers,
                    s->values + count);
        best = runs->len < plain->len ? runs : plain;
    }
    ASSERT(!best->failed && best->len > 0);
    buffer_append_u8(out,
                     (uint8_t)((uint8_t)best->ptr[0] | (exception_count ? HAS_EXCEPTIONS : 0)));
    if (exception_count)
        exceptions_append(out, values, s->exceptions, exception_count);
    buffer_append(out, best->ptr + 1, best->len - 1);
    return column_flags(values, count, constant && exception_count == stale_count,
                        decimal && decimals == 0 && exception_count == stale_count);
}

/* --- decode values ------------------------------------------------------------------------------- */

static bool exceptions_open(struct codec_values *c, struct reader *r)
{
    uint64_t exception_count = reader_varint(r), bytes = reader_varint(r), place = 0;
    if (exception_count > c->count || bytes > reader_left(r))
        return false;
    c->exception_count = (size_t)exception_count;
    c->exceptions = reader_bytes(r, (size_t)bytes);
    struct reader walk = reader_from(c->exceptions);
    for (size_t i = 0; i < c->exception_count && !walk.failed; i++) {
        uint64_t entry = reader_varint(&walk);
        if (entry / 2 >= c->count - place)
            return false;
        place += entry / 2 + 1;
        if (entry & 1)
            reader_skip(&walk, 8);
        if (place == c->count && i + 1 < c->exception_count)
            return false;
    }
    return !walk.failed && reader_left(&walk) == 0;
}

/* Opens a body other than RUNS. */
static bool body_open(struct codec_values *c, struct reader *r, unsigned codec)
{
    c->body = (uint8_t)codec;
    switch ((enum value_codec)codec) {
    case CONSTANT:
        c->constant = sample_from_bits(reader_u64(r));
        return !r->failed;
    case WHOLE: {
        int64_t whole = reader_svarint(r);
        c->constant = (double)whole;
        return !r->failed && whole > -INTEGER_LIMIT && whole < INTEGER_LIMIT;
    }
    case INTEGERS: {
        unsigned decimals = reader_u8(r);
        int64_t offset = reader_svarint(r);
        uint64_t divisor = reader_varint(r);
        if (decimals > DECIMALS_MAX || divisor == 0 || divisor > (uint64_t)INTEGER_LIMIT * 2 ||
            offset <= -2 * INTEGER_LIMIT || offset >= 2 * INTEGER_LIMIT)
            return false;
        c->scale = POWERS[decimals];
        c->divisor = (double)divisor;
        c->offset = (double)offset;
        return codec_integers_open(&c->packed, r, c->number_count);
    }
    case XOR:
        return codec_xor_open(&c->directory, &c->payload, r, c->number_count);
    case SPLIT:
        c->shift = reader_u8(r);
        return c->shift < MANTISSA_BITS && codec_integers_open(&c->fronts, r, c->number_count) &&
               codec_integers_open(&c->packed, r, c->number_count);
    case RUNS:
    case VALUE_CODEC_COUNT:
        break;
    }
    return false;
}

/* The lengths must be positive and add up to the count: checked here once, relied on later. */
static bool runs_open(struct codec_values *c, struct reader *r)
{
    uint64_t run_count = reader_varint(r);
    if (run_count == 0 || run_count > c->count ||
        !codec_integers_open(&c->runs, r, (size_t)run_count))
        return false;
    uint64_t total = 0;
    for (size_t from = 0; from < run_count; from += AT_ONCE) {
        int64_t lengths[AT_ONCE];
        size_t n = run_count - from < AT_ONCE ? (size_t)run_count - from : AT_ONCE;
        codec_integers_decode(&c->runs, from, from + n, lengths);
        for (size_t i = 0; i < n; i++) {
            if (lengths[i] <= 0 || (uint64_t)lengths[i] > c->count - total)
                return false;
            total += (uint64_t)lengths[i];
        }
    }
    c->number_count = (size_t)run_count;
    return total == c->count;
}

bool codec_values_open(struct codec_values *c, struct view bytes, size_t count)
{
    *c = (struct codec_values){.count = count, .number_count = count};
    if (count == 0 || count > CODEC_COUNT_MAX)
        return false;
    struct reader r = reader_from(bytes);
    unsigned kind = reader_u8(&r);
    if ((kind & HAS_EXCEPTIONS) && !exceptions_open(c, &r))
        return false;
    kind &= ~(unsigned)HAS_EXCEPTIONS;
    if (kind >= VALUE_CODEC_COUNT)
        return false;
    c->codec = (uint8_t)kind;
    if (kind == RUNS) {
        if (!runs_open(c, &r))
            return false;
        kind = reader_u8(&r);
    }
    return body_open(c, &r, kind) && !r.failed && reader_left(&r) == 0;
}

/* n[i] to (n[i] * divisor + offset) / scale, in place: n and out are the same memory. Integers below
 * 2^51 in size become doubles by adding them to the bits of 1.5 * 2^52 and taking that away again,
 * which unlike a conversion vectorises on every x86-64. */
static void to_doubles(double *out, size_t count, double divisor, double offset, double scale)
{
    static const double MAGIC = 6755399441055744.0; /* 1.5 * 2^52 = 0x4338000000000000 */
    uint64_t *bits = (uint64_t *)out;               /* built with -fno-strict-aliasing */
    for (size_t i = 0; i < count; i++)
        bits[i] += UINT64_C(0x4338000000000000);
    for (size_t i = 0; i < count; i++)
        out[i] = (out[i] - MAGIC) * divisor + offset;
    if (scale != 1)
        for (size_t i = 0; i < count; i++)
            out[i] /= scale;
}

static void split_decode(const struct codec_values *c, size_t from, size_t to, double *out)
{
    int64_t fronts[AT_ONCE], mantissas[AT_ONCE];
    for (size_t n; from < to; from += n, out += n) {
        size_t end = (from / AT_ONCE + 1) * AT_ONCE; /* whole packs */
        n = (end < to ? end : to) - from;
        codec_integers_decode(&c->fronts, from, from + n, fronts);
        codec_integers_decode(&c->packed, from, from + n, mantissas);
        for (size_t i = 0; i < n; i++) {
            uint64_t front = (uint64_t)fronts[i];
            uint64_t bits = front << 63 | (front >> 1 & 0x7ff) << MANTISSA_BITS |
                            ((uint64_t)mantissas[i] << c->shift & MANTISSA_MASK);
            ((uint64_t *)out)[i] = bits;
        }
    }
}

/* Numbers [from, to) of the body. */
static bool body_decode(const struct codec_values *c, size_t from, size_t to, double *out)
{
    switch ((enum value_codec)c->body) {
    case CONSTANT:
    case WHOLE:
        for (size_t i = 0; i < to - from; i++)
            out[i] = c->constant;
        return true;
    case INTEGERS:
        codec_integers_decode(&c->packed, from, to, (int64_t *)out);
        to_doubles(out, to - from, c->divisor, c->offset, c->scale);
        return true;
    case XOR:
        return codec_xor_decode(c->directory, c->payload, c->number_count, from, to, out);
    case SPLIT:
        split_decode(c, from, to, out);
        return true;
    case RUNS:
    case VALUE_CODEC_COUNT:
        break;
    }
    UNREACHABLE();
}

static bool runs_decode(const struct codec_values *c, size_t from, size_t to, double *out)
{
    size_t pos = 0; /* of the run, in values */
    for (size_t first = 0; first < c->number_count && pos < to; first += AT_ONCE) {
        int64_t lengths[AT_ONCE];
        double values[AT_ONCE];
        size_t n = c->number_count - first < AT_ONCE ? c->number_count - first : AT_ONCE;
        codec_integers_decode(&c->runs, first, first + n, lengths);
        if (!body_decode(c, first, first + n, values))
            return false;
        for (size_t i = 0; i < n && pos < to; i++) {
            size_t end = pos + (size_t)lengths[i];
            size_t a = pos > from ? pos : from, b = end < to ? end : to;
            for (; a < b; a++)
                out[a - from] = values[i];
            pos = end;
        }
    }
    return pos >= to;
}

static void exceptions_apply(const struct codec_values *c, size_t from, size_t to, double *out)
{
    struct reader r = reader_from(c->exceptions);
    uint64_t place = 0;
    for (size_t i = 0; i < c->exception_count && place < to; i++) {
        uint64_t entry = reader_varint(&r);
        uint64_t bits = entry & 1 ? reader_u64(&r) : SAMPLE_STALE_BITS;
        place += entry / 2;
        if (place >= from && place < to)
            out[place - from] = sample_from_bits(bits);
        place++;
    }
}

bool codec_values_decode(const struct codec_values *c, size_t from, size_t to, double *out)
{
    ASSERT(from <= to && to <= c->count);
    if (from == to)
        return true;
    if (!(c->codec == RUNS ? runs_decode(c, from, to, out) : body_decode(c, from, to, out)))
        return false;
    if (c->exception_count > 0)
        exceptions_apply(c, from, to, out);
    return true;
}

const char *codec_values_name(const struct codec_values *c)
{
    static const char *const NAMES[VALUE_CODEC_COUNT] = {"constant", "constant", "runs",
                                                         "integers", "xor",      "split"};
    return NAMES[c->codec];
}
