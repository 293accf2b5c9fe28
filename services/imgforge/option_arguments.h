/* SPDX-License-Identifier: Apache-2.0 */
/* option_arguments.h: reads arguments of one option of a URL. All return false with the error set, its message being the answer's body. */
#ifndef IMGFORGE_OPTION_ARGUMENTS_H
#define IMGFORGE_OPTION_ARGUMENTS_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/error.h"
#include "image_options.h"

struct option_reading {
    struct arena *arena;
    struct image_options *out;
    struct error *err;
    /* width and height count only where no size is given; background_alpha whichever comes first. */
    bool has_size;
    uint32_t width, height;
    double background_alpha; /* below 0: not said */
    const struct image_option *option;
    const char *name; /* the option's first name, for messages */
};

#define OPTION_REFUSE(r, ...) error_set((r)->err, ERROR_INPUT, __VA_ARGS__)

/* Empty where it is missing. */
struct view option_argument(const struct option_reading *r, size_t idx);
/* Fails where the first argument is missing. */
MUST_USE bool option_need(const struct option_reading *r, struct view *out);
/* Says that `text` is none of what it should be; false. */
bool option_invalid(const struct option_reading *r, const char *what, struct view text);

/* Of arguments that may be missing: *out stays then. `what` names them in errors. */
void option_flag(const struct option_reading *r, size_t idx, bool *out);
MUST_USE bool option_pixels(const struct option_reading *r, const char *what, size_t idx,
                            uint32_t *out);
MUST_USE bool option_number(const struct option_reading *r, const char *what, size_t idx,
                            double *out);
MUST_USE bool option_positive(const struct option_reading *r, const char *what, size_t idx,
                              double *out);
MUST_USE bool option_unit(const struct option_reading *r, const char *what, size_t idx,
                          double *out);

/* Of text that is there. Digits alone, at most `max`. */
MUST_USE bool option_whole(const struct option_reading *r, const char *what, struct view text,
                           uint64_t max, uint64_t *out);
/* Finite. */
MUST_USE bool option_number_from(const struct option_reading *r, const char *what, struct view text,
                                 double *out);
/* The place of the word among `words` (ended by NULL), in any case; -1. */
int option_word(const char *const *words, struct view text);

#endif
