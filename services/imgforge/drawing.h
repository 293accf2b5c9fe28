/* SPDX-License-Identifier: Apache-2.0 */
/* drawing.h: SVG and PDF as images of libvips whose pixels another process draws (drawers.h): a drawing may never end, and librsvg and poppler cannot be
 * stopped within. For source_load.h. */
#ifndef IMGFORGE_DRAWING_H
#define IMGFORGE_DRAWING_H

#include "source_load.h"

/* Reads the header, in a drawer that keeps the drawing open as long as *out lives or until its pixels are asked for; then all of them are drawn at once. `bytes` are
 * not needed any more after it, how->cancel as long as *out. What fails later fails the reading of pixels. 400, 408, 500. */
MUST_USE bool drawing_open(struct view bytes, enum source_kind kind,
                           const struct source_reading *how, VipsImage **out,
                           struct image_failure *f);

#endif
