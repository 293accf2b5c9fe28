/* SPDX-License-Identifier: Apache-2.0 */
/* presets.h: options by a name: IMGFORGE_PRESETS. Immutable once read; any thread. */
#ifndef IMGFORGE_PRESETS_H
#define IMGFORGE_PRESETS_H

#include "image_url.h"

struct preset {
    struct view name;
    struct image_option *options;
    size_t count;
};

struct presets {
    struct preset *items;
    size_t count;
};

/* Reads "name=option:argument/option:argument,name2=..." into the arena, which the text must outlive. ERROR_INPUT: a name that is
 * empty or there twice, no "=", presets within presets. */
MUST_USE bool presets_read(struct arena *arena, struct view text, struct presets *out,
                           struct error *err);

/* Puts the options of presets in the place of their names, those of "default" before all. *out is in the arena. ERROR_INPUT: "unknown
 * preset: x", a name that is missing, and with only_presets any other option. The format that a URL ends with is no option. */
MUST_USE bool presets_expand(struct arena *arena, const struct presets *presets, bool only_presets,
                             const struct image_option *options, size_t count,
                             struct image_option **out, size_t *out_count, struct error *err);

#endif
