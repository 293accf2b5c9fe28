/* SPDX-License-Identifier: Apache-2.0 */
/* bmp.h: reads BMP and ICO files, for which libvips has no decoder of its own (docs/decisions/016-bmp-without-imagemagick.md). */
#ifndef IMGFORGE_BMP_H
#define IMGFORGE_BMP_H

#include "base/view.h"
#include "image_failure.h"

#include <vips/vips.h>

/* sRGB, 8 bit, with alpha where the file has it. Rows are read from the bytes when they are asked for, in any order; the bytes are borrowed as long as *out
 * lives, which is the caller's reference. 400 "Failed to decode source image". */
MUST_USE bool bmp_open(struct view bytes, VipsImage **out, struct image_failure *f);
/* The largest picture of an icon, with the most colours. */
MUST_USE bool ico_open(struct view bytes, VipsImage **out, struct image_failure *f);

#endif
