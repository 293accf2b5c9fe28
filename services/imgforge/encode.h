/* SPDX-License-Identifier: Apache-2.0 */
/* encode.h: from pixels to a file's bytes. */
#ifndef IMGFORGE_ENCODE_H
#define IMGFORGE_ENCODE_H

#include "picture.h"

/* What a format can hold. */
struct format_traits {
    bool has_alpha, has_animation, has_icc, has_deep_pixels;
    int side_max; /* pixels; 0: any */
};
/* Static. */
const struct format_traits *format_traits(enum image_format format);

/* Flattens where the format has no alpha, on the options' background (black), takes the first frame where it has no animation, takes metadata off
 * as the options say, and writes into *out, which it empties first; with max_bytes again and again at lower qualities. *out has a
 * maximum: what does not fit is a failure. Failures of p->image's own sources come as failures of encoding. 400, 408, 500. */
MUST_USE bool picture_encode(const struct picture *p, const struct image_options *o,
                             enum image_format format, unsigned fallback_quality,
                             const atomic_bool *cancel, struct buffer *out,
                             struct image_failure *f);
/* Can this build write the format? Tries it with a picture of 2 x 2. */
bool format_can_encode(enum image_format format);

#endif
