/* SPDX-License-Identifier: Apache-2.0 */
/* effects.h: stages that change a frame's pixels and not its shape. Each takes a reference of nothing: *out is a new image that the caller unrefs, also
 * when there was nothing to do. */
#ifndef IMGFORGE_EFFECTS_H
#define IMGFORGE_EFFECTS_H

#include "image_failure.h"
#include "image_options.h"

#include <vips/vips.h>

/* brightness, contrast, saturation, blur, sharpen, pixelate, in this order. */
MUST_USE bool effects_apply(VipsImage *frame, const struct image_options *o, VipsImage **out,
                            struct image_failure *f);
/* Decodes a watermark once for all frames: sRGB with alpha, in memory, scaled to its part of a result of this width. */
MUST_USE bool watermark_load(struct view bytes, const struct image_options *o, int result_width,
                             VipsImage **out, struct image_failure *f);
MUST_USE bool watermark_apply(VipsImage *frame, VipsImage *mark, const struct image_options *o,
                              VipsImage **out, struct image_failure *f);

#endif
