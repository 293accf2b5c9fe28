/* SPDX-License-Identifier: Apache-2.0 */
/* image_format.c: see image_format.h. */
#include "image_format.h"

static const struct {
    const char *name, *other, *type;
} FORMATS[IMAGE_FORMAT_COUNT] = {[IMAGE_FORMAT_NONE] = {"", "", ""},
#define X(format, name, other, type) [IMAGE_FORMAT_##format] = {name, other, type},
                                 IMAGE_FORMATS(X)
#undef X
};

enum image_format image_format_from(struct view name)
{
    for (int i = IMAGE_FORMAT_NONE + 1; i < IMAGE_FORMAT_COUNT && name.len; i++) {
        if (view_is_any_case(name, FORMATS[i].name) || view_is_any_case(name, FORMATS[i].other))
            return (enum image_format)i;
    }
    return IMAGE_FORMAT_NONE;
}

const char *image_format_name(enum image_format format)
{
    return FORMATS[format].name;
}

const char *image_format_type(enum image_format format)
{
    return FORMATS[format].type;
}
