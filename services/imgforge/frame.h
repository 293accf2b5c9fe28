/* SPDX-License-Identifier: Apache-2.0 */
/* frame.h: one frame through all stages that move pixels:
 *
 *   EXIF turn, trim, crop, resize, minimums, zoom, extend, extend ratio, padding, rotate, flip, effects, watermark, limits
 *
 * What the EXIF orientation asks for is done late, on the few pixels that stay; until then windows are turned back into the stored picture. Turning
 * against the order of rows, trimming and smart cropping need the frame in memory; all else streams. */
#ifndef IMGFORGE_FRAME_H
#define IMGFORGE_FRAME_H

#include "encode.h"
#include "geometry.h"
#include "image_watch.h"

/* The same for all frames of a picture; the last part is found with the first one. */
struct frame_rules {
    const struct image_options *options;
    const struct format_traits *format;
    struct view watermark;    /* bytes; empty: none */
    struct dimensions source; /* of a frame as stored, before it was shrunk while it was decoded */
    struct turns turns;       /* that make it upright */
    bool is_animated;
    int frames; /* all of them are in memory at once, where they are not streamed */
    struct image_watch *watch;
    /* Asked when it is known how wide the result is that the watermark is laid over, before it is loaded. False: *f says why not. */
    bool (*admit_watermark)(void *arg, int result_width, struct image_failure *f);
    void *admit_arg;

    VipsImage *mark;
    bool has_smart_crop, has_smart_window;
    struct window smart_crop, smart_window;
};

/* Takes the reference of `in`. *out is the caller's. 400, 500; image_watch_explain() may know better. */
MUST_USE bool frame_make(struct frame_rules *rules, VipsImage *in, VipsImage **out,
                         struct image_failure *f);
void frame_rules_deinit(struct frame_rules *rules);

#endif
