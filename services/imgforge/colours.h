/* SPDX-License-Identifier: Apache-2.0 */
/* colours.h: whatever colours a source has, as the ones that all stages work with: sRGB or grey, with or without alpha, 8 bit; 16 where it had more and
 * they are to be kept. Each function takes the reference of `in` and gives a new one; NULL gives NULL, and NULL means that libvips failed. */
#ifndef IMGFORGE_COLOURS_H
#define IMGFORGE_COLOURS_H

#include <stdbool.h>
#include <stdint.h>
#include <vips/vips.h>

/* Through the profile that is embedded, where it is usable and not sRGB itself. */
VipsImage *colours_to_working(VipsImage *in, bool keep_deep);
/* Whether colours_to_working() has anything to do. */
bool colours_are_working(VipsImage *in, bool keep_deep);
/* Grey becomes sRGB; others stay. */
VipsImage *colours_to_rgb(VipsImage *in);
/* Gets an opaque alpha where it has none. */
VipsImage *colours_with_alpha(VipsImage *in);
/* RGBA of 8 bit in the units of this image's bands; returns how many are set (its bands). `in` is in working colours. */
int colours_of_bands(VipsImage *in, const uint8_t rgba[4], double out[4]);

#endif
