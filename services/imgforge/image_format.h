/* SPDX-License-Identifier: Apache-2.0 */
/* image_format.h: the formats of results: their names in URLs and their media types. */
#ifndef IMGFORGE_IMAGE_FORMAT_H
#define IMGFORGE_IMAGE_FORMAT_H

#include "base/view.h"

/* format, its name, its other names, media type */
#define IMAGE_FORMATS(X)                                                                           \
    X(JPEG, "jpeg", "jpg", "image/jpeg")                                                           \
    X(PNG, "png", "", "image/png")                                                                 \
    X(WEBP, "webp", "", "image/webp")                                                              \
    X(GIF, "gif", "", "image/gif")                                                                 \
    X(TIFF, "tiff", "tif", "image/tiff")                                                           \
    X(AVIF, "avif", "", "image/avif")                                                              \
    X(HEIF, "heif", "heic", "image/heif")

enum image_format {
    IMAGE_FORMAT_NONE,
#define X(format, name, other, type) IMAGE_FORMAT_##format,
    IMAGE_FORMATS(X)
#undef X
        IMAGE_FORMAT_COUNT
};

/* By either name, in any case; IMAGE_FORMAT_NONE when it is none. */
enum image_format image_format_from(struct view name);
/* "jpeg"; static. */
const char *image_format_name(enum image_format format);
const char *image_format_type(enum image_format format);

#endif
