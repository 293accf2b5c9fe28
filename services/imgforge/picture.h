/* SPDX-License-Identifier: Apache-2.0 */
/* picture.h: a source decoded and brought into shape: all stages of the pipeline that move pixels. Pixels are sRGB or grey, with or without alpha, 8 bit;
 * 16 where the format that is written can hold it and preserve_hdr asks for it. */
#ifndef IMGFORGE_PICTURE_H
#define IMGFORGE_PICTURE_H

#include "pipeline.h"

#include <vips/vips.h>

/* Frames of an animation lie one below the other, as libvips has them, with its metadata (page-height, n-pages, delay, loop). */
struct picture {
    VipsImage *image;
    struct dimensions source; /* of a frame, as stored in the file */
    int frames;
    int frame_height; /* of image; its height when there is one frame */
};

/* Loads and does everything up to the limit of the container, effects and watermark (effects.h) included. `format` is what will be written. *out
 * is the caller's, who calls picture_deinit(). */
MUST_USE bool picture_make(const struct pipeline_request *rq, enum source_kind kind,
                           enum image_format format, struct picture *out, struct image_failure *f);
void picture_deinit(struct picture *p);

#endif
