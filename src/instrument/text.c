/* SPDX-License-Identifier: Apache-2.0 */
/* text.c: the growing text and the layout of numbers.
 *
 * A whole number below 2^53 is laid out as one. Other doubles need the shortest digits that read back. A double is
 * m * 2^e; all reals nearer to it than to its neighbours read back as it, and the shortest decimal among these is
 * wanted: of several the nearest (the definition of Steele and White, "How to print floating-point numbers
 * accurately", 1990). From 1e-15 to 2^53 the ends of that interval, times 10^k for 17 digits, fit into 128 bits
 * exactly: 4m * 5^k < 2^55 * 5^31 < 2^127, shifted right. So integers do it, without tables of rounded powers.
 * Outside of that range, where values are rare, printf with more and more digits does it. */
#include "instrument/text.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES_MIN = 256 };

static const double INTEGER_MAX = 9007199254740992.0; /* 2^53 */

void belfry__text_deinit(struct text *t)
{
    free(t->ptr);
    *t = (struct text){0};
}

NOINLINE char *belfry__text_room_slow(struct text *t, size_t bytes)
{
    if (t->failed)
        return NULL;
    size_t capacity = t->capacity ? t->capacity : TEXT_BYTES_MIN;
    while (capacity - t->len < bytes && capacity < TEXT_BYTES_MAX)
        capacity *= 2;
    char *ptr = capacity - t->len < bytes ? NULL : realloc(t->ptr, capacity);
    if (!ptr) {
        t->failed = true;
        return NULL;
    }
    t->ptr = ptr;
    t->capacity = capacity;
    return ptr + t->len;
}

void belfry__text_append(struct text *t, const char *bytes, size_t len)
{
    char *at = len ? belfry__text_room(t, len) : NULL;
    if (!at)
        return;
    memcpy(at, bytes, len);
    t->len += len;
}

void belfry__text_string(struct text *t, const char *string)
{
    belfry__text_append(t, string, strlen(string));
}

void belfry__text_byte(struct text *t, char c)
{
    char *at = belfry__text_room(t, 1);
    if (!at)
        return;
    *at = c;
    t->len++;
}

/* --- numbers --- */

static const char TWO_DIGITS[] = "00010203040506070809101112131415161718192021222324"
                                 "25262728293031323334353637383940414243444546474849"
                                 "50515253545556575859606162636465666768697071727374"
                                 "75767778798081828384858687888990919293949596979899";

static size_t digit_count(uint64_t v)
{
    size_t count = 1;
    for (; v >= 10000; v /= 10000)
        count += 4;
    return count + (v >= 10) + (v >= 100) + (v >= 1000);
}

/* The last `count` digits. */
static void put_digits(char *out, uint64_t v, size_t count)
{
    for (; count >= 2; count -= 2, v /= 100)
        memcpy(out + count - 2, TWO_DIGITS + v % 100 * 2, 2);
    if (count)
        out[0] = (char)('0' + v % 10);
}

size_t belfry__put_unsigned(char *out, uint64_t v)
{
    size_t count = digit_count(v);
    put_digits(out, v, count);
    return count;
}

void belfry__text_unsigned(struct text *t, uint64_t v)
{
    char out[20];
    belfry__text_append(t, out, belfry__put_unsigned(out, v));
}

void belfry__text_signed(struct text *t, int64_t v)
{
    if (v < 0)
        belfry__text_byte(t, '-');
    belfry__text_unsigned(t, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

/* digits * 10^exponent; the last digit is not 0. */
struct decimal {
    uint64_t digits;
    int exponent;
};

/* By printf. Its point is the locale's: only digits and exponent are read, and asked without one whether they read
 * back. */
static NOINLINE struct decimal decimal_slow(double v)
{
    struct decimal d = {0};
    for (int digits = v < DBL_MIN ? 1 : 15; digits <= 17;
         digits++) { /* below, doubles have fewer */
        char text[NUMBER_TEXT_BYTES];
        snprintf(text, sizeof(text), "%.*e", digits - 1, v);
        d = (struct decimal){.exponent = 1 - digits};
        const char *at = text;
        for (; *at && *at != 'e'; at++)
            d.digits = *at >= '0' && *at <= '9' ? d.digits * 10 + (uint64_t)(*at - '0') : d.digits;
        d.exponent += *at == 'e' ? (int)strtol(at + 1, NULL, 10) : 0;
        snprintf(text, sizeof(text), "%llue%d", (unsigned long long)d.digits, d.exponent);
        if (strtod(text, NULL) == v)
            break;
    }
    for (; d.digits && d.digits % 10 == 0; d.exponent++)
        d.digits /= 10;
    return d;
}

#ifdef __SIZEOF_INT128__
__extension__ typedef unsigned __int128 u128;

/* n up to 31 */
static u128 power_of_five(unsigned n)
{
    static const uint64_t powers[] = {
        1,      5,       25,      125,      625,       3125,       15625,      78125,
        390625, 1953125, 9765625, 48828125, 244140625, 1220703125, 6103515625, 30517578125};
    if (n < 16)
        return powers[n];
    return n < 31 ? (u128)powers[15] * powers[n - 15] : (u128)powers[15] * powers[15] * powers[1];
}

enum fraction { FRACTION_NONE, FRACTION_BELOW_HALF, FRACTION_HALF_OR_MORE };

/* The whole numbers from low to high without their last digits, as many as may go; of those that are left the one
 * nearest to `centre` and its fraction. */
static struct decimal interval_shorten(uint64_t low, uint64_t high, uint64_t centre,
                                       enum fraction fraction, int exponent)
{
    enum { JUMP = 100000000 };
    uint64_t power = 1;
    if (high / JUMP >= (low + JUMP - 1) / JUMP) {
        high /= JUMP;
        low = (low + JUMP - 1) / JUMP;
        power = JUMP;
        exponent += 8;
    }
    while (high / 10 >= (low + 9) / 10) {
        high /= 10;
        low = (low + 9) / 10;
        power *= 10;
        exponent++;
    }
    uint64_t digits = centre / power, rest = centre % power, half = power / 2;
    if (power == 1)
        digits += fraction == FRACTION_HALF_OR_MORE;
    else if (rest == half && fraction == FRACTION_NONE)
        digits += digits % 2;
    else
        digits += rest >= half;
    digits = digits < low ? low : digits > high ? high : digits;
    return (struct decimal){digits, exponent};
}

/* `v` from 2^-49 to 2^53. */
static struct decimal decimal_exact(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    int exponent = (int)(bits >> 52) - 1075; /* v = m * 2^exponent */
    uint64_t m = (bits & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1) << 52;
    bool is_power = m == UINT64_C(1) << 52, is_odd = m & 1;
    /* floor(log10(2^x)) is x * 78913 >> 18 for small x; with it v * 10^k has 17 or 18 digits */
    int k = 16 - ((exponent + 52) * 78913 >> 18);
    u128 five = power_of_five((unsigned)k), at = 4 * (u128)m * five;
    unsigned shift = (unsigned)(2 - exponent - k);
    u128 from = at - (is_power ? five : 2 * five),
         to = at + 2 * five; /* half way to the neighbours */
    u128 mask = ((u128)1 << shift) - 1;
    uint64_t low = (uint64_t)(from >> shift), high = (uint64_t)(to >> shift);
    low += (from & mask) != 0 || is_odd; /* the ends read back as v when m is even */
    high -= (to & mask) == 0 && is_odd;
    u128 rest = at & mask, half = (u128)1 << (shift - 1);
    enum fraction fraction = rest >= half ? FRACTION_HALF_OR_MORE
                             : rest       ? FRACTION_BELOW_HALF
                                          : FRACTION_NONE;
    return interval_shorten(low, high, (uint64_t)(at >> shift), fraction, -k);
}
#endif

double belfry__read_double(const char *string)
{
    char text[NUMBER_TEXT_BYTES + 32]; /* without the point, which is the locale's */
    size_t len = 0;
    int exponent = 0;
    bool is_behind = false;
    const char *at = string;
    if (strcmp(string, "+Inf") == 0 || strcmp(string, "Inf") == 0 || strcmp(string, "-Inf") == 0)
        return string[0] == '-' ? -INFINITY : INFINITY;
    if (*at == '-' || *at == '+')
        text[len++] = *at++;
    size_t begin = len;
    for (; (*at >= '0' && *at <= '9') || (*at == '.' && !is_behind); at++) {
        if (*at == '.')
            is_behind = true;
        else if (len == NUMBER_TEXT_BYTES)
            return NAN;
        else {
            text[len++] = *at;
            exponent -= is_behind;
        }
    }
    if (len == begin)
        return NAN;
    char *end = (char *)(uintptr_t)at;
    long more = *at == 'e' || *at == 'E' ? strtol(at + 1, &end, 10) : 0;
    if (*end || end == at + 1 || more < -9999 || more > 9999)
        return NAN;
    snprintf(text + len, sizeof(text) - len, "e%ld", exponent + more);
    return strtod(text, NULL);
}

/* `v` finite and positive. */
static struct decimal decimal_of(double v)
{
#ifdef __SIZEOF_INT128__
    if (v >= 0x1p-49 && v < INTEGER_MAX)
        return decimal_exact(v);
#endif
    return decimal_slow(v);
}

/* --- layout --- */

/* 1200, 1.25, 0.00125 */
static size_t put_fixed(char *out, struct decimal d)
{
    size_t count = digit_count(d.digits), zeros;
    if (d.exponent >= 0) {
        put_digits(out, d.digits, count);
        memset(out + count, '0', (size_t)d.exponent);
        return count + (size_t)d.exponent;
    }
    size_t behind = (size_t)-d.exponent; /* the point */
    if (behind < count) {
        put_digits(out, d.digits, count);
        memmove(out + count - behind + 1, out + count - behind, behind);
        out[count - behind] = '.';
        return count + 1;
    }
    zeros = behind - count;
    memcpy(out, "0.", 2);
    memset(out + 2, '0', zeros);
    put_digits(out + 2 + zeros, d.digits, count);
    return 2 + zeros + count;
}

/* 1e+21, 1.25e-07 */
static size_t put_scientific(char *out, struct decimal d)
{
    size_t count = digit_count(d.digits);
    int exponent = d.exponent + (int)count - 1;
    put_digits(out + 1, d.digits, count);
    out[0] = out[1];
    out[1] = '.';
    size_t len = count > 1 ? count + 1 : 1;
    out[len++] = 'e';
    out[len++] = exponent < 0 ? '-' : '+';
    uint64_t size = (uint64_t)(exponent < 0 ? -exponent : exponent);
    size_t digits = size < 100 ? 2 : 3;
    put_digits(out + len, size, digits);
    return len + digits;
}

/* What is no number, zero, and the sign. True when all is laid out; else *v is finite and positive. */
static bool put_special(char *out, size_t *len, double *v)
{
    *len = 0;
    if (isnan(*v)) {
        memcpy(out, "NaN", *len = 3);
        return true;
    }
    if (signbit(*v))
        out[(*len)++] = '-';
    *v = fabs(*v);
    if (isinf(*v)) {
        memcpy(out, *len ? "-Inf" : "+Inf", 4);
        *len = 4;
        return true;
    }
    if (*v == 0)
        out[(*len)++] = '0';
    return *v == 0;
}

size_t belfry__put_double(char *out, double v)
{
    size_t len;
    if (v > 0 && v < INTEGER_MAX && v == (double)(uint64_t)v)
        return belfry__put_unsigned(out, (uint64_t)v);
    if (put_special(out, &len, &v))
        return len;
    if (v < INTEGER_MAX && v == (double)(uint64_t)v)
        return len + belfry__put_unsigned(out + len, (uint64_t)v);
    struct decimal d = decimal_of(v);
    bool is_short = v >= 1e-6 && (v < INTEGER_MAX || d.exponent == 0);
    return len + (is_short ? put_fixed(out + len, d) : put_scientific(out + len, d));
}

size_t belfry__put_double_plain(char *out, double v)
{
    size_t len;
    if (put_special(out, &len, &v))
        return len;
    struct decimal d = decimal_of(v);
    bool is_short = v >= 1e-15 && v < 1e21;
    return len + (is_short ? put_fixed(out + len, d) : put_scientific(out + len, d));
}

/* Go's %g with a point in it, as all of Prometheus has it. */
size_t belfry__put_double_canonical(char *out, double v)
{
    size_t len;
    bool is_special = put_special(out, &len, &v);
    if (is_special && v != 0)
        return len;
    if (!is_special) {
        struct decimal d = decimal_of(v);
        int exponent = d.exponent + (int)digit_count(d.digits) - 1;
        if (exponent < -4 || exponent >= 6)
            return len + put_scientific(out + len, d);
        len += put_fixed(out + len, d);
        if (d.exponent < 0)
            return len;
    }
    memcpy(out + len, ".0", 2);
    return len + 2;
}

void belfry__text_double(struct text *t, double v)
{
    char out[NUMBER_TEXT_BYTES];
    belfry__text_append(t, out, belfry__put_double(out, v));
}

size_t belfry__utf8_len(const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    if (p[0] < 0x80)
        return 1;
    size_t need = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || len < need)
        return 0;
    unsigned char low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < need; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    return need;
}

/* `len`, or less where a character would be cut in two. */
static size_t cut_before_half(const char *string, size_t len)
{
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        if (((unsigned char)string[len - back] & 0xc0) == 0x80)
            continue;
        return belfry__utf8_len(string + len - back, back) == back ? len : len - back;
    }
    return len;
}

enum escaping { ESCAPE_NOTHING, ESCAPE_LINES, ESCAPE_QUOTED };

static bool is_special(char c, enum escaping escaping)
{
    return (c == '\\' && escaping != ESCAPE_NOTHING) || (c == '\n' && escaping != ESCAPE_NOTHING) ||
           (c == '"' && escaping == ESCAPE_QUOTED);
}

/* Specials get a backslash before them, and newlines become n. */
static bool text_escaped(struct text *t, const char *string, enum escaping escaping,
                         size_t bytes_max)
{
    size_t len = strnlen(string, bytes_max + 1), pos = 0,
           run = 0; /* [run, pos) is not appended yet */
    bool as_is = len <= bytes_max;
    if (!as_is)
        len = cut_before_half(string, bytes_max);
    while (pos < len) {
        char c = string[pos];
        bool escape = is_special(c, escaping);
        if (LIKELY((unsigned char)c < 0x80 && !escape)) {
            pos++;
            continue;
        }
        size_t n = belfry__utf8_len(string + pos, len - pos);
        if (n != 0 && !escape) {
            pos += n;
            continue;
        }
        belfry__text_append(t, string + run, pos - run);
        if (n == 0) {
            belfry__text_append(t, "\xef\xbf\xbd", 3);
            as_is = false;
        } else {
            belfry__text_byte(t, '\\');
            belfry__text_byte(t, c == '\n' ? 'n' : c);
        }
        run = ++pos;
    }
    belfry__text_append(t, string + run, pos - run);
    return as_is;
}

bool belfry__text_escaped(struct text *t, const char *string, bool escape_quotes, size_t bytes_max)
{
    return text_escaped(t, string, escape_quotes ? ESCAPE_QUOTED : ESCAPE_LINES, bytes_max);
}

void belfry__text_clean(struct text *t, const char *string, size_t bytes_max)
{
    (void)text_escaped(t, string, ESCAPE_NOTHING,
                       bytes_max); /* cut or replaced: that is asked for */
}
