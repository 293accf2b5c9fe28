/* SPDX-License-Identifier: Apache-2.0 */
/* source_kind.h: what a file is by its first bytes, whatever it is called. */
#ifndef IMGFORGE_SOURCE_KIND_H
#define IMGFORGE_SOURCE_KIND_H

#include "base/view.h"
#include "image_options.h"

enum source_kind {
    SOURCE_UNKNOWN,
    SOURCE_JPEG,
    SOURCE_PNG,
    SOURCE_WEBP,
    SOURCE_GIF,
    SOURCE_TIFF,
    SOURCE_AVIF,
    SOURCE_HEIF,
    SOURCE_BMP,
    SOURCE_ICO,
    SOURCE_SVG,
    SOURCE_PDF
};

enum source_kind source_kind_sniff(struct view bytes);
/* SVG, PDF: pixels are drawn by a program of the file's, which may take any time and is stopped only by ending its process (drawers.h). */
bool source_kind_is_drawing(enum source_kind kind);
/* "jpeg", "bmp"; "unknown". Static. */
const char *source_kind_name(enum source_kind kind);
/* "image/jpeg"; "application/octet-stream" of UNKNOWN. Static. */
const char *source_kind_type(enum source_kind kind);
/* Of a media type without parameters, in any case; UNKNOWN for others. */
enum source_kind source_kind_from_type(struct view type);
/* The format of results that is the same; IMAGE_FORMAT_NONE where we write none (BMP, ICO, SVG, PDF). */
enum image_format source_kind_format(enum source_kind kind);

#endif
