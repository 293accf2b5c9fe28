/* SPDX-License-Identifier: Apache-2.0 */
/* source_load.h: opens the bytes of a source as an image of libvips, with exactly the decoder of its kind, which reads pixels as they are asked for, from top to
 * bottom and once. */
#ifndef IMGFORGE_SOURCE_LOAD_H
#define IMGFORGE_SOURCE_LOAD_H

#include "image_failure.h"
#include "source_kind.h"

#include <stdatomic.h>
#include <vips/vips.h>

/* More pixels than these are never decoded, nor made, whatever the server's limits are: 16384 x 16384, above the largest cameras. */
#define IMAGE_PIXELS_MAX ((int64_t)1 << 28)
/* Of a drawing (SVG, PDF), at the size that it is drawn at: 4096 x 4096. Filters cost as much a pixel as the file likes, in time and in memory. */
#define DRAWN_PIXELS_MAX ((int64_t)1 << 24)
/* Of an animation more are left out, as with max_animation_frames: each is a chain of its own in memory. */
enum { ANIMATION_FRAMES_MAX = 1000 };

/* Its zero reads all of the first page; of HEIF and AVIF, of the picture that the file calls its primary one. */
struct source_reading {
    int page;     /* from 0 */
    int pages;    /* how many; 0: one. Of what has no pages all is read */
    int shrink;   /* JPEG: 1, 2, 4, 8; 0 as 1 */
    double scale; /* WebP, SVG, PDF: of both sides; 0 as 1 */
    bool
        thumbnail; /* HEIF, AVIF: the picture that is embedded to show it small, where there is one */
    /* SVG, PDF: when it is set the drawing is given up, with 408 "Request Timeout" from source_open(); lives as long as the image. NULL = never */
    const atomic_bool *cancel;
};

/* Reads the header; *out is the caller's reference. Bytes are borrowed as long as it lives. Damaged and cut files fail, at the latest when their pixels are read.
 * SVG and PDF are read by another process (drawing.h). 400: "Failed to decode source image"; 408, 500. */
MUST_USE bool source_open(struct view bytes, enum source_kind kind,
                          const struct source_reading *how, VipsImage **out,
                          struct image_failure *f);
/* The same in this process: of SVG and PDF for one that may be killed while it draws. Does not look at how->cancel. 400 */
MUST_USE bool source_decode(struct view bytes, enum source_kind kind,
                            const struct source_reading *how, VipsImage **out,
                            struct image_failure *f);
/* Pages come with this kind, one below the other. */
bool source_kind_has_pages(enum source_kind kind);

#endif
