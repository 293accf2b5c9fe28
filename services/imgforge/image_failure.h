/* SPDX-License-Identifier: Apache-2.0 */
/* image_failure.h: why there is no picture: the answer's status and body, and for the log (and the body where
 * IMGFORGE_DEVELOPMENT_ERRORS_MODE is on) what caused it. Lives on the caller's stack, owns nothing. */
#ifndef IMGFORGE_IMAGE_FAILURE_H
#define IMGFORGE_IMAGE_FAILURE_H

#include "base/attributes.h"

#include <stdbool.h>

enum { IMAGE_FAILURE_TEXT_BYTES = 256, IMAGE_FAILURE_CAUSE_BYTES = 512 };

struct image_failure {
    bool is_violation; /* somebody tried what is forbidden: the log says so */
    bool is_drawers;   /* a process that drew failed; whether the picture made it is not known */
    int status;        /* 400, 403, 404, 408, 429, 500 */
    char text[IMAGE_FAILURE_TEXT_BYTES]; /* "Failed to decode source image": the client's */
    char cause
        [IMAGE_FAILURE_CAUSE_BYTES]; /* one line without secrets and queries of URLs; "" = nothing more is known */
};

/* Sets status and text, forgets the cause. Returns false, so that it can be returned at once. */
bool image_fail(struct image_failure *f, int status, const char *format, ...) PRINTF_LIKE(3, 4);
/* Sets the cause; cut, in one line. Returns false. */
bool image_fail_cause(struct image_failure *f, const char *format, ...) PRINTF_LIKE(2, 3);
/* Sets status and text, and as the cause what libvips says, whose errors are forgotten then: they are one text for all threads, so that words
 * of another request, which failed at the same moment, may be among them. They hold no URLs. Returns false. */
bool image_fail_by_vips(struct image_failure *f, int status, const char *text);

#endif
