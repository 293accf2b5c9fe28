/* SPDX-License-Identifier: Apache-2.0 */
/* exposition_private.h: what the files of the exposition parser share.
 *
 *   exposition.c              the text format 0.0.4, and the hot path of both formats
 *   exposition_openmetrics.c  OpenMetrics 1.0
 *   exposition_key.c          names and labels of either, and what an error says */
#ifndef BELFRY_MODEL_EXPOSITION_PRIVATE_H
#define BELFRY_MODEL_EXPOSITION_PRIVATE_H

#include "model/exposition.h"

/* A place in a line. Errors are about the line that begins at `line`. */
struct scan {
    const char *at, *end; /* end: of the body, or of what a line may hold */
    const char *line;
    const char *body_end;
    struct error *err;
    bool strict; /* OpenMetrics: no blanks between words, commas between labels */
};

/* Says what is wrong at s->at and quotes the line; returns false. The caller who knows the body adds the position. */
NOINLINE bool exposition_wrong(const struct scan *s, const char *what);
/* The same, with what is there instead. */
NOINLINE bool exposition_expected(const struct scan *s, const char *what);

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static inline void skip_blanks(struct scan *s)
{
    while (s->at < s->end && is_blank(*s->at))
        s->at++;
}

static inline bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* A name without quotes, empty when there is none; ':' only in metric names. */
static inline struct view take_name(struct scan *s, bool colon)
{
    const char *start = s->at;
    while (s->at < s->end) {
        char c = *s->at;
        if (!is_name_start(c) && !(colon && c == ':') && !(s->at > start && c >= '0' && c <= '9'))
            break;
        s->at++;
    }
    return (struct view){start, (size_t)(s->at - start)};
}

/* What stands between two quotes, escapes and all; s->at is at the first. */
MUST_USE bool exposition_take_quoted(struct scan *s, struct view *out);
/* Walks over a key; *key_end is behind its last byte (blanks that may follow are skipped too). */
MUST_USE bool exposition_key_skip(struct scan *s, const char **key_end);
/* Walks over the labels of an exemplar; s->at is at the brace. */
MUST_USE bool exposition_exemplar_labels_skip(struct scan *s);
/* The value whose text is s->at[0..len), len > 0; then s->at is behind it. */
MUST_USE bool exposition_value(struct scan *s, size_t len, double *out);
/* HELP, TYPE and UNIT: p->family at s->at. `line_end`: of this line. */
MUST_USE bool exposition_family(struct exposition_parser *p, struct scan *s, const char *line_end);

static const double POWERS_OF_TEN[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                       1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                       1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* Up to four digits of an exponent with its sign, at *at; false when there is no digit. */
static inline bool exponent_fast(const char **at, const char *end, int *exponent)
{
    const char *c = *at;
    bool negative = c < end && *c == '-';
    if (c < end && (*c == '-' || *c == '+'))
        c++;
    const char *digits = c;
    int e = 0;
    for (; c < end && (unsigned)(*c - '0') < 10 && c - digits < 4; c++)
        e = e * 10 + (*c - '0');
    *at = c;
    *exponent += negative ? -e : e;
    return c > digits;
}

/* Decimals whose digits and power of ten are both exact doubles: one rounding, hence the right one
 * (Clinger 1990). Returns where the text ends, NULL when it is not of this kind. */
static inline const char *value_fast(const char *at, const char *end, double *out)
{
    bool negative = at < end && *at == '-';
    at += negative;
    const char *start = at;
    uint64_t mantissa = 0;
    int exponent = 0;
    for (; at < end && (unsigned)(*at - '0') < 10; at++)
        mantissa = mantissa * 10 + (unsigned)(*at - '0');
    ptrdiff_t digits = at - start;
    if (at < end && *at == '.') {
        const char *point = ++at;
        for (; at < end && (unsigned)(*at - '0') < 10; at++)
            mantissa = mantissa * 10 + (unsigned)(*at - '0');
        exponent = (int)(point - at);
        digits += at - point;
    }
    if (digits == 0 || digits > 19 || mantissa > UINT64_C(1) << 53)
        return NULL;
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (!exponent_fast(&at, end, &exponent))
            return NULL;
    }
    double v = (double)mantissa;
    if (exponent < 0 && exponent >= -22)
        v /= POWERS_OF_TEN[-exponent];
    else if (exponent > 0 && exponent <= 22)
        v *= POWERS_OF_TEN[exponent];
    else if (exponent != 0)
        return NULL;
    *out = negative ? -v : v;
    return at;
}

/* The next event of OpenMetrics; s->at is at p->pos. */
enum exposition_event openmetrics_next(struct exposition_parser *p, struct scan *s);
/* Value, timestamp, exemplar and line feed of the sample p->key; s->at is at the value. */
MUST_USE bool openmetrics_sample_end(struct exposition_parser *p, struct scan *s);

#endif
