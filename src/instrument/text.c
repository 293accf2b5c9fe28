/* SPDX-License-Identifier: Apache-2.0 */
/* text.c: the growing text and the layout of numbers.
 *
 * A double is laid out as an integer where it is one below 2^53; else as m / 10^k for the smallest k up
 * to 9 where that quotient is exactly the double (m below 2^53, 10^k exact: the division rounds once, as
 * reading the text does); else by printf with 15 to 17 digits, the first that reads back. */
#include "instrument/text.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES_MIN = 256, DECIMALS_MAX = 9 };

static const double INTEGER_MAX = 9007199254740992.0; /* 2^53 */

void belfry__text_deinit(struct text *t)
{
    free(t->ptr);
    *t = (struct text){0};
}

static bool text_reserve(struct text *t, size_t bytes)
{
    if (t->failed)
        return false;
    if (t->capacity - t->len >= bytes)
        return true;
    size_t capacity = t->capacity ? t->capacity : TEXT_BYTES_MIN;
    while (capacity - t->len < bytes && capacity < TEXT_BYTES_MAX)
        capacity *= 2;
    char *ptr = capacity - t->len < bytes ? NULL : realloc(t->ptr, capacity);
    if (!ptr) {
        t->failed = true;
        return false;
    }
    t->ptr = ptr;
    t->capacity = capacity;
    return true;
}

void belfry__text_append(struct text *t, const char *bytes, size_t len)
{
    if (len == 0 || !text_reserve(t, len))
        return;
    memcpy(t->ptr + t->len, bytes, len);
    t->len += len;
}

void belfry__text_string(struct text *t, const char *string)
{
    belfry__text_append(t, string, strlen(string));
}

void belfry__text_byte(struct text *t, char c)
{
    belfry__text_append(t, &c, 1);
}

/* At least `width` digits. */
static size_t put_unsigned(char *out, uint64_t v, size_t width)
{
    char reversed[20];
    size_t len = 0;
    while (v || len < width) {
        reversed[len++] = (char)('0' + v % 10);
        v /= 10;
    }
    for (size_t i = 0; i < len; i++)
        out[i] = reversed[len - 1 - i];
    return len;
}

void belfry__text_unsigned(struct text *t, uint64_t v)
{
    char out[20];
    belfry__text_append(t, out, put_unsigned(out, v, 1));
}

void belfry__text_signed(struct text *t, int64_t v)
{
    if (v < 0)
        belfry__text_byte(t, '-');
    belfry__text_unsigned(t, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

/* `v` finite and positive. False when it is no short decimal. */
static bool put_decimal(char *out, size_t *len, double v)
{
    double power = 10;
    for (size_t k = 1; k <= DECIMALS_MAX; k++, power *= 10) {
        double m = nearbyint(v * power);
        if (m >= INTEGER_MAX)
            return false;
        if (m / power != v)
            continue;
        uint64_t whole = (uint64_t)m / (uint64_t)power, rest = (uint64_t)m % (uint64_t)power;
        size_t n = put_unsigned(out, whole, 1);
        out[n++] = '.';
        *len = n + put_unsigned(out + n, rest, k);
        return true;
    }
    return false;
}

static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;
static locale_t c_locale; /* 0 when there was no memory for it */

static void c_locale_make(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

static size_t put_general(char out[NUMBER_TEXT_BYTES], double v)
{
    pthread_once(&c_locale_once, c_locale_make);
    locale_t before = c_locale ? uselocale(c_locale) : (locale_t)0;
    int len = 0;
    for (int digits = 15; digits <= 17; digits++) {
        len = snprintf(out, NUMBER_TEXT_BYTES, "%.*g", digits, v);
        if (digits == 17 || (c_locale && strtod_l(out, NULL, c_locale) == v))
            break;
    }
    if (before)
        uselocale(before);
    return len > 0 ? (size_t)len : 0;
}

void belfry__text_double(struct text *t, double v)
{
    char out[NUMBER_TEXT_BYTES];
    size_t len = 0;
    if (isnan(v)) {
        belfry__text_append(t, "NaN", 3);
        return;
    }
    if (isinf(v)) {
        belfry__text_append(t, v > 0 ? "+Inf" : "-Inf", 4);
        return;
    }
    if (signbit(v)) {
        belfry__text_byte(t, '-');
        v = -v;
    }
    if (v < INTEGER_MAX && v == (double)(uint64_t)v)
        len = put_unsigned(out, (uint64_t)v, 1);
    else if (v >= INTEGER_MAX || v < 1e-6 || !put_decimal(out, &len, v))
        len = put_general(out, v);
    belfry__text_append(t, out, len);
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

bool belfry__text_escaped(struct text *t, const char *string, bool escape_quotes, size_t bytes_max)
{
    size_t len = strnlen(string, bytes_max + 1), pos = 0,
           run = 0; /* [run, pos) is not appended yet */
    bool as_is = len <= bytes_max;
    if (!as_is)
        len = cut_before_half(string, bytes_max);
    while (pos < len) {
        char c = string[pos];
        size_t n = belfry__utf8_len(string + pos, len - pos);
        bool escape = c == '\\' || c == '\n' || (c == '"' && escape_quotes);
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
