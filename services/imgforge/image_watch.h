/* SPDX-License-Identifier: Apache-2.0 */
/* image_watch.h: a place in a chain of libvips images where pixels that pass are watched. libvips works lazily: a broken source or a deadline shows
 * while the result is written, as an error of the writer. The watch knows what it was. */
#ifndef IMGFORGE_IMAGE_WATCH_H
#define IMGFORGE_IMAGE_WATCH_H

#include "image_failure.h"

#include <stdatomic.h>
#include <vips/vips.h>

struct image_watch {
    const atomic_bool *cancel; /* NULL = never */
    /* Readers get black pixels instead of failures, and have to ask image_watch_saw_failure() at the end. For the writer of WebP files,
     * which in libvips 8.14 keeps the image for ever when reading fails. */
    bool hides_failures;
    atomic_bool source_failed, read_failed, cancelled;
};

/* The same pixels, not copied. Takes the reference of `in`; NULL gives NULL. `w` lives longer than the result and all that is
 * made of it. `is_source`: what fails here is the decoder's fault. NULL: libvips' error is set. */
VipsImage *image_watch_pixels(VipsImage *in, struct image_watch *w, bool is_source);
/* Whether work should end now. */
bool image_watch_is_cancelled(struct image_watch *w);
bool image_watch_saw_failure(struct image_watch *w);
/* Puts in place of a failure what the watch saw: 408 "Request Timeout", 400 "Failed to decode source image". Returns false. */
bool image_watch_explain(struct image_watch *w, struct image_failure *f);

/* 400 "Failed to decode source image" and 500 "Image operation failed", with libvips' words as the cause. Return false. */
bool image_fail_decode(struct image_failure *f);
bool image_fail_operation(struct image_failure *f);

#endif
