/* SPDX-License-Identifier: Apache-2.0 */
/* effects.h: stages that change a frame's pixels and not its shape. *out is the caller's reference, also when there was nothing to do; it is NULL after a
 * failure. Frames are in working colours (picture.h). Any thread. */
#ifndef IMGFORGE_EFFECTS_H
#define IMGFORGE_EFFECTS_H

#include "geometry.h"
#include "image_failure.h"
#include "image_options.h"

#include <stdatomic.h>
#include <vips/vips.h>

/* Contrast and brightness (v' = (v - 128) x contrast + 128 + brightness, rounded and cut to the scale once), saturation, blur, sharpen, pixelate, in
 * this order. 8 and 16 bit, grey and colours, with and without alpha; alpha is changed by blur and pixelate only. 500. */
MUST_USE bool effects_apply(VipsImage *frame, const struct image_options *o, VipsImage **out,
                            struct image_failure *f);

/* Whether effects_apply() takes memory for the frame's pixels, or a part of them, that is held as long as *out. */
bool effects_hold_pixels(const struct image_options *o);

/* Of a watermark's header, upright; 0 x 0: it is no picture, which is told when it is loaded. Given up as watermark_load(). */
struct dimensions watermark_header(struct view bytes, const atomic_bool *cancel);
/* The most pixels that a watermark of this size takes, as it is read or as it is laid over a result of this width. */
uint64_t watermark_pixels(struct dimensions header, bool is_drawing, const struct image_options *o,
                          double result_width);
/* Decodes a watermark once for all frames: sRGB of 8 bit with alpha, in memory, upright, scaled to its part of a result of this width. Bytes are not
 * needed any more after it. A drawing is given up when *cancel (NULL: never) is set. 400, 408, 500. */
MUST_USE bool watermark_load(struct view bytes, const struct image_options *o, int result_width,
                             const atomic_bool *cancel, VipsImage **out, struct image_failure *f);
/* Lays it over a frame, once or as tiles (offsets are the gaps between them then). Grey becomes sRGB. `mark` lives as long as *out. 500. */
MUST_USE bool watermark_apply(VipsImage *frame, VipsImage *mark, const struct image_options *o,
                              VipsImage **out, struct image_failure *f);

#endif
