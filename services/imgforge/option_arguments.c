/* SPDX-License-Identifier: Apache-2.0 */
/* option_arguments.c: see option_arguments.h. */
#include "option_arguments.h"

#include "base/floattext.h"

#include <math.h>

struct view option_argument(const struct option_reading *r, size_t idx)
{
    return image_option_argument(r->option, idx);
}

/* Fails where the first argument is missing. */
bool option_need(const struct option_reading *r, struct view *out)
{
    *out = option_argument(r, 0);
    return out->len > 0 || OPTION_REFUSE(r, "%s option requires one argument", r->name);
}

bool option_invalid(const struct option_reading *r, const char *what, struct view text)
{
    return OPTION_REFUSE(r, "invalid %s value \"%.*s\"", what, VIEW_ARGS(text));
}

static bool option_flag_from(struct view text)
{
    static const char *const TRUE[] = {"1", "t", "T", "true", "TRUE", "True"};
    for (size_t i = 0; i < sizeof(TRUE) / sizeof(TRUE[0]); i++) {
        if (view_is(text, TRUE[i]))
            return true;
    }
    return false;
}

/* Sets it when the argument is there. */
void option_flag(const struct option_reading *r, size_t idx, bool *out)
{
    struct view text = option_argument(r, idx);
    if (text.len)
        *out = option_flag_from(text);
}

/* Digits alone, at most `max`. */
bool option_whole(const struct option_reading *r, const char *what, struct view text, uint64_t max,
                  uint64_t *out)
{
    uint64_t v = 0;
    bool ok = text.len > 0;
    for (size_t i = 0; ok && i < text.len; i++) {
        uint64_t digit = (unsigned char)text.ptr[i] - (uint64_t)'0';
        ok = digit <= 9 && v <= (max - digit) / 10;
        v = v * 10 + digit;
    }
    *out = v;
    return ok || option_invalid(r, what, text);
}

bool option_pixels(const struct option_reading *r, const char *what, size_t idx, uint32_t *out)
{
    struct view text = option_argument(r, idx);
    uint64_t v = *out;
    if (text.len && !option_whole(r, what, text, UINT32_MAX, &v))
        return false;
    *out = (uint32_t)v;
    return true;
}

bool option_number_from(const struct option_reading *r, const char *what, struct view text,
                        double *out)
{
    return (float_parse(text, out) && isfinite(*out)) || option_invalid(r, what, text);
}

/* An argument that may be missing: *out stays. */
bool option_number(const struct option_reading *r, const char *what, size_t idx, double *out)
{
    struct view text = option_argument(r, idx);
    return text.len == 0 || option_number_from(r, what, text, out);
}

bool option_positive(const struct option_reading *r, const char *what, size_t idx, double *out)
{
    return option_number(r, what, idx, out) &&
           (option_argument(r, idx).len == 0 || *out > 0 ||
            OPTION_REFUSE(r, "%s must be a finite positive number", what));
}

bool option_unit(const struct option_reading *r, const char *what, size_t idx, double *out)
{
    return option_number(r, what, idx, out) &&
           ((*out >= 0 && *out <= 1) ||
            OPTION_REFUSE(r, "%s must be a finite number between 0 and 1", what));
}

/* The place of the word among `words` (ended by NULL), in any case; -1. */
int option_word(const char *const *words, struct view text)
{
    for (int i = 0; words[i]; i++) {
        if (view_is_any_case(text, words[i]))
            return i;
    }
    return -1;
}
