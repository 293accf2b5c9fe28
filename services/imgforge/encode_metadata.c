/* SPDX-License-Identifier: Apache-2.0 */
/* encode_metadata.c: what a result keeps of what its source said about itself. */
#include "encode_private.h"

#include "base/attributes.h"

#include <string.h>

/* EXIF's tags 0x8298 and 0x013B as libvips names them. */
static const char *const COPYRIGHT[] = {"exif-ifd0-Copyright", "exif-ifd0-Artist"};
/* What encoders are told by, which is nobody's secret. */
static const char *const ENCODING[] = {
    VIPS_META_ICC_NAME, VIPS_META_PAGE_HEIGHT, VIPS_META_N_PAGES, "delay", "loop", "gif-delay",
    "gif-loop",         "heif-bitdepth",       "background"};
/* The source's, small: it shows what may have been cut off. */
static const char THUMBNAIL[] = "jpeg-thumbnail-data";

static bool is_among(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* All but what is to be kept. */
static void take_fields(VipsImage *image, bool keep_copyright)
{
    gchar **names = vips_image_get_fields(image);
    for (gchar **name = names; *name; name++)
        if (!is_among(*name, ENCODING, ARRAY_COUNT(ENCODING)) &&
            !(keep_copyright && is_among(*name, COPYRIGHT, ARRAY_COUNT(COPYRIGHT))))
            vips_image_remove(image, *name);
    g_strfreev(names);
}

static bool has_copyright(VipsImage *image)
{
    for (size_t i = 0; i < ARRAY_COUNT(COPYRIGHT); i++)
        if (vips_image_get_typeof(image, COPYRIGHT[i]))
            return true;
    return false;
}

bool metadata_take_off(VipsImage *image, const struct image_options *o, enum image_format format)
{
    if (o->strip_color_profile || !format_traits(format)->has_icc)
        vips_image_remove(image, VIPS_META_ICC_NAME);
    if (o->auto_rotate) { /* pixels are upright now */
        vips_image_remove(image, VIPS_META_ORIENTATION);
        vips_image_remove(image, "exif-ifd0-Orientation");
    }
    vips_image_remove(image, THUMBNAIL);
    if (!o->strip_metadata)
        return false;
    take_fields(image, o->keep_copyright);
    return !has_copyright(image) && !vips_image_get_typeof(image, VIPS_META_ICC_NAME);
}
