/* SPDX-License-Identifier: Apache-2.0 */
/* geometry.h: how large a result is and which window of it stays: the numbers behind resizing, cropping, extending. No pixels. */
#ifndef IMGFORGE_GEOMETRY_H
#define IMGFORGE_GEOMETRY_H

#include "image_options.h"

struct dimensions {
    int64_t width, height; /* pixels */
};

struct window {
    int64_t left, top, width, height;
};

/* What resizing does to a picture of some size. */
struct resize_plan {
    double scale_x, scale_y;  /* > 0; both 1: nothing is to be scaled */
    struct dimensions scaled; /* at least 1 x 1 */
    struct dimensions box;    /* that was asked for, dpr included: what `extend` fills */
    struct dimensions
        kept; /* of what is scaled, placed by gravity; the same as scaled where all of it is */
};

/* Plans the resize that the options ask for (none: all of it, as it is) of a picture of this size, seen as the result will be.
 * ERROR_INPUT for a size that is no pixel. */
MUST_USE bool resize_plan(const struct image_options *o, struct dimensions source,
                          struct resize_plan *out, struct error *err);
/* The one factor, at least 1, that makes `size` as large as min-width and min-height ask. */
double minimum_scale(const struct image_options *o, struct dimensions size);
/* Parts below 1 and "all" (0) of the crop's sides as pixels of the source; at most the source. */
struct dimensions crop_dimensions(const struct image_options *o, struct dimensions source);
/* The size that `extend_aspect_ratio` gives: as large as it is, with the shape of `box`. */
struct dimensions extended_to_ratio(struct dimensions size, struct dimensions box);

/* Where a window lies in a picture. Offsets in pixels are multiplied by `offset_scale` (dpr); places are even, so that the colours of
 * pictures with fewer of them than pixels stay in place. Inside of the picture; where may_overflow (watermarks), at least a pixel
 * of it is. GRAVITY_SMART and GRAVITY_REPLICATE are as the centre. */
struct window window_place(struct dimensions outer, struct dimensions inner, struct gravity gravity,
                           double offset_scale, bool may_overflow);
/* How a picture is turned: clockwise, then mirrored. */
struct turns {
    unsigned rotate; /* 0, 90, 180, 270 */
    bool flip_horizontally, flip_vertically;
};

/* What makes a picture with this EXIF orientation upright; nothing for numbers that are none. */
struct turns turns_of_orientation(int orientation);
/* The size before the turns of a picture that has this size after them, or the other way round. */
struct dimensions dimensions_turned(struct dimensions size, struct turns turns);
/* The window that the turns move to `w` of a picture that is `after` large then. */
struct window window_before_turns(struct window w, struct dimensions after, struct turns turns);

#endif
