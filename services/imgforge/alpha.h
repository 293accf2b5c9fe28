/* SPDX-License-Identifier: Apache-2.0 */
/* alpha.h: colours weighed by how much of them can be seen, as they must be while pixels are mixed. 8 bit stays 8 bit: libvips' own operations give floats, which take
 * four times the memory and, in resizing, three times the time (alpha.c). */
#ifndef IMGFORGE_ALPHA_H
#define IMGFORGE_ALPHA_H

#include <stdbool.h>
#include <vips/vips.h>

/* Both take the reference of `in`, whose last band is alpha; NULL gives NULL, and NULL means that libvips failed. `in` is of 8 bit, or its numbers go up to max_alpha.
 * What alpha_weigh() made of 8 bit, scaled or not, goes back through alpha_unweigh(). */
VipsImage *alpha_weigh(VipsImage *in, double max_alpha);
VipsImage *alpha_unweigh(VipsImage *in, double max_alpha);

#endif
