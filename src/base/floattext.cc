/* SPDX-License-Identifier: Apache-2.0 */
/* floattext.cc: the bridge to std::from_chars and std::to_chars, and what they lack.
 *
 * Reading: most samples are short decimals. Up to 15 digits make an integer below 2^53, and up to 22
 * places a power of ten that is exact, so one division rounds once and is right (Clinger, 1990);
 * everything else goes to from_chars, whose grammar is wider ("nan(x)") and narrower ("+1", hex with
 * "0x", underflow) than Go's.
 *
 * Writing: digits always come from the scientific form, which is laid out here: the fixed form of
 * to_chars prints exact digits above 2^53 where Go prints zeros. */
#include "base/floattext.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <system_error>

namespace
{

constexpr double POWERS_OF_TEN[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
constexpr int DIGITS_EXACT = 15;

/* Prometheus' ordinary NaN: a quiet one with a 1 at the end, as Go's math.NaN(). */
double ordinary_nan()
{
    uint64_t bits = UINT64_C(0x7ff8000000000001);
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool is_hex_digit(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* `word` in lower case. */
bool is_word(const char *p, const char *end, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(end - p) != len)
        return false;
    for (size_t i = 0; i < len; i++) {
        if ((p[i] | 0x20) != word[i])
            return false;
    }
    return true;
}

/* Digits with at most one point, few enough to be exact. False: take the long way. */
bool parse_short(const char *p, const char *end, double *out)
{
    uint64_t mantissa = 0;
    int digits = 0, places = 0;
    bool point = false;
    for (; p < end; p++) {
        if (is_digit(*p)) {
            mantissa = mantissa * 10 + (uint64_t)(*p - '0');
            places += point;
            if (++digits > DIGITS_EXACT)
                return false;
        } else if (*p == '.' && !point) {
            point = true;
        } else {
            return false;
        }
    }
    if (digits == 0)
        return false;
    *out = (double)mantissa / POWERS_OF_TEN[places];
    return true;
}

/* The exponent behind 'e' or 'p'; saturates far outside of any double. */
long exponent_of(const char *p, const char *end)
{
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    long e = 0;
    for (; p < end && is_digit(*p); p++) {
        if (e < 1000000000)
            e = e * 10 + (*p - '0');
    }
    return negative ? -e : e;
}

/* Of a well-formed number that is no double: is it too large, rather than too small? The place of its
 * first digit that is not 0 decides, for both ends are far from 1. */
bool is_too_large(const char *p, const char *end, bool hex)
{
    long before = 0, zeros = 0;
    bool point = false, seen = false;
    for (; p < end; p++) {
        if (*p == '.') {
            point = true;
        } else if (hex ? is_hex_digit(*p) : is_digit(*p)) {
            seen = seen || *p != '0';
            before += seen && !point;
            zeros += !seen && point;
        } else {
            break;
        }
    }
    if (!seen)
        return false;
    long place = before > 0 ? before : -zeros;
    long exponent = p < end ? exponent_of(p + 1, end) : 0;
    return place * (hex ? 4 : 1) + exponent > 0;
}

/* Go wants an exponent in every hexadecimal float; from_chars does not. */
bool has_hex_shape(const char *p, const char *end)
{
    bool digit = false;
    for (; p < end && (is_hex_digit(*p) || *p == '.'); p++)
        digit = digit || *p != '.';
    return digit && p < end && (*p == 'p' || *p == 'P');
}

/* The magnitude in [p, end), which is neither short nor a word. */
bool parse_long(const char *p, const char *end, double *out)
{
    bool hex = end - p > 2 && p[0] == '0' && (p[1] | 0x20) == 'x';
    if (hex) {
        p += 2;
        if (!has_hex_shape(p, end))
            return false;
    } else if (p == end || !(is_digit(*p) || *p == '.')) {
        return false; /* a second sign, "nan(...)", anything else */
    }
    double v = 0;
    std::from_chars_result r =
        std::from_chars(p, end, v, hex ? std::chars_format::hex : std::chars_format::general);
    if (r.ptr != end || (r.ec != std::errc() && r.ec != std::errc::result_out_of_range))
        return false;
    if (r.ec == std::errc::result_out_of_range)
        v = is_too_large(p, end, hex) ? std::numeric_limits<double>::infinity() : 0.0;
    *out = v;
    return !std::isinf(v);
}

/* The shortest digits of a finite value: v = 0.d1 d2 d3 ... x 10^point. */
struct decimal {
    bool negative;
    int count, point;
    char digits[20];
};

decimal decimal_from(double v)
{
    decimal d;
    d.negative = std::signbit(v);
    d.count = 0;
    d.point = 0;
    char text[40];
    char *end =
        std::to_chars(text, text + sizeof(text), std::fabs(v), std::chars_format::scientific).ptr;
    char *p = text;
    for (; p < end && *p != 'e'; p++) {
        if (*p != '.')
            d.digits[d.count++] = *p;
    }
    d.point = (int)exponent_of(p + 1, end) + 1;
    return d;
}

size_t put_special(double v, char *out)
{
    const char *word = std::isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf";
    size_t len = strlen(word);
    memcpy(out, word, len);
    return len;
}

char *put_digits(char *out, const decimal &d, int from, int to)
{
    for (int i = from; i < to; i++)
        *out++ = i < d.count ? d.digits[i] : '0';
    return out;
}

size_t put_plain(const decimal &d, char *out)
{
    char *p = out;
    if (d.negative)
        *p++ = '-';
    if (d.point <= 0) {
        *p++ = '0';
    } else {
        p = put_digits(p, d, 0, d.point);
    }
    if (d.count > d.point && !(d.count == 1 && d.digits[0] == '0')) {
        *p++ = '.';
        for (int i = d.point; i < 0; i++)
            *p++ = '0';
        p = put_digits(p, d, d.point > 0 ? d.point : 0, d.count);
    }
    return (size_t)(p - out);
}

/* d.ddde+dd: at least two digits of exponent. */
size_t put_scientific(const decimal &d, char *out)
{
    char *p = out;
    if (d.negative)
        *p++ = '-';
    *p++ = d.digits[0];
    if (d.count > 1) {
        *p++ = '.';
        p = put_digits(p, d, 1, d.count);
    }
    int exponent = d.point - 1;
    *p++ = 'e';
    *p++ = exponent < 0 ? '-' : '+';
    unsigned n = (unsigned)(exponent < 0 ? -exponent : exponent);
    if (n >= 100)
        *p++ = (char)('0' + n / 100);
    *p++ = (char)('0' + n / 10 % 10);
    *p++ = (char)('0' + n % 10);
    return (size_t)(p - out);
}

/* Integers below 2^53 are their own shortest digits unless they end in zeros; both lay out alike. */
bool put_integer(double v, double below, char *out, size_t *len)
{
    if (!(std::fabs(v) < below) || v != std::trunc(v) || (v == 0 && std::signbit(v)))
        return false;
    *len = (size_t)(std::to_chars(out, out + FLOAT_TEXT_BYTES, (int64_t)v).ptr - out);
    return true;
}

size_t format_exponent_from(double v, int exponent_max, char *out)
{
    decimal d = decimal_from(v);
    int exponent = d.point - 1;
    return exponent < -4 || exponent >= exponent_max ? put_scientific(d, out) : put_plain(d, out);
}

} // namespace

bool float_parse(struct view text, double *out)
{
    const char *p = text.ptr, *end = text.ptr + text.len;
    *out = 0;
    if (text.len == 0)
        return false;
    bool is_signed = *p == '-' || *p == '+', negative = *p == '-';
    p += is_signed;
    double v = 0;
    bool ok = true;
    if (!parse_short(p, end, &v)) {
        if (is_word(p, end, "inf") || is_word(p, end, "infinity"))
            v = std::numeric_limits<double>::infinity();
        else if (!is_signed && is_word(p, end, "nan"))
            v = ordinary_nan();
        else
            ok = parse_long(p, end, &v);
    }
    *out = negative ? -v : v;
    return ok;
}

size_t float_format_plain(double v, char out[FLOAT_TEXT_BYTES])
{
    size_t len;
    if (put_integer(v, 9007199254740992.0, out, &len))
        return len;
    return std::isfinite(v) ? put_plain(decimal_from(v), out) : put_special(v, out);
}

size_t float_format_short(double v, char out[FLOAT_TEXT_BYTES])
{
    size_t len;
    if (put_integer(v, 9007199254740992.0, out, &len))
        return len;
    return std::isfinite(v) ? format_exponent_from(v, 21, out) : put_special(v, out);
}

size_t float_format_general(double v, char out[FLOAT_TEXT_BYTES])
{
    size_t len;
    if (put_integer(v, 1e6, out, &len))
        return len;
    return std::isfinite(v) ? format_exponent_from(v, 6, out) : put_special(v, out);
}

size_t float_format_json(double v, char out[FLOAT_TEXT_BYTES])
{
    double magnitude = std::fabs(v);
    if (std::isfinite(v) && magnitude != 0 && (magnitude < 1e-6 || magnitude >= 1e21))
        return put_scientific(decimal_from(v), out);
    return float_format_plain(v, out);
}

size_t float_format_le(double v, char out[FLOAT_TEXT_BYTES])
{
    size_t len = float_format_general(v, out);
    if (!std::isfinite(v) || memchr(out, '.', len) || memchr(out, 'e', len))
        return len;
    memcpy(out + len, ".0", 2);
    return len + 2;
}
