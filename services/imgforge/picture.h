/* SPDX-License-Identifier: Apache-2.0 */
/* picture.h: a source decoded and brought into shape: all stages of the pipeline that move pixels. Pixels are sRGB or grey, with or without alpha, 8 bit;
 * 16 where the format that is written can hold it and preserve_hdr asks for it. */
#ifndef IMGFORGE_PICTURE_H
#define IMGFORGE_PICTURE_H

#include "pipeline.h"

#include "image_watch.h"

#include <vips/vips.h>

/* Frames of an animation lie one below the other, as libvips has them, with its metadata (page-height, n-pages, delay, loop). */
struct picture {
    VipsImage *image;
    struct dimensions source; /* of a frame, as stored in the file */
    int frames;
    int frame_height;          /* of image; its height when there is one frame */
    struct image_watch *watch; /* of what is still to be computed when the image is read */
};

/* Guards on the header of a source: 400 "Source image resolution is too large", "Failed to decode source image". *out: of a frame. */
MUST_USE bool picture_check(const struct pipeline_request *rq, enum source_kind kind,
                            struct dimensions *out, struct image_failure *f);
/* Loads and does everything up to the limit of the container, effects and watermark (effects.h) included. `format` is what will be written. Most of it is
 * done while the image is read: what fails then is explained by image_watch_explain(). Source and options are borrowed until picture_deinit(), which
 * the caller calls when it was made. 400, 408, 500. */
MUST_USE bool picture_make(const struct pipeline_request *rq, enum source_kind kind,
                           enum image_format format, struct picture *out, struct image_failure *f);
void picture_deinit(struct picture *p);

#endif
