/* SPDX-License-Identifier: Apache-2.0 */
/* colours.c: see colours.h. */
#include "colours.h"

#include <string.h>

/* Of an ICC header (ICC.1:2010, 7.2): the model and the manufacturer of the device. Nearly all photos carry this one profile, or one made of it. */
enum { ICC_MANUFACTURER_AT = 48, ICC_HEADER_BYTES = 128 };

static bool has_profile(VipsImage *in)
{
    return vips_image_get_typeof(in, VIPS_META_ICC_NAME) != 0;
}

static bool profile_is_srgb(VipsImage *in)
{
    const void *data;
    size_t len;
    return has_profile(in) && vips_image_get_blob(in, VIPS_META_ICC_NAME, &data, &len) == 0 &&
           len >= ICC_HEADER_BYTES &&
           memcmp((const char *)data + ICC_MANUFACTURER_AT, "IEC sRGB", 8) == 0;
}

static VipsInterpretation working_space(VipsImage *in, bool keep_deep)
{
    VipsInterpretation have = vips_image_guess_interpretation(in);
    switch (have) {
    case VIPS_INTERPRETATION_B_W:
    case VIPS_INTERPRETATION_GREY16:
        return keep_deep && in->BandFmt != VIPS_FORMAT_UCHAR ? VIPS_INTERPRETATION_GREY16
                                                             : VIPS_INTERPRETATION_B_W;
    default:
        return keep_deep && in->BandFmt != VIPS_FORMAT_UCHAR ? VIPS_INTERPRETATION_RGB16
                                                             : VIPS_INTERPRETATION_sRGB;
    }
}

static VipsBandFormat format_of(VipsInterpretation space)
{
    return space == VIPS_INTERPRETATION_RGB16 || space == VIPS_INTERPRETATION_GREY16
               ? VIPS_FORMAT_USHORT
               : VIPS_FORMAT_UCHAR;
}

static int bands_of(VipsInterpretation space)
{
    return space == VIPS_INTERPRETATION_B_W || space == VIPS_INTERPRETATION_GREY16 ? 1 : 3;
}

bool colours_are_working(VipsImage *in, bool keep_deep)
{
    VipsInterpretation space = working_space(in, keep_deep);
    return in->Coding == VIPS_CODING_NONE && in->Type == space && in->BandFmt == format_of(space) &&
           in->Bands <= bands_of(space) + 1 && (!has_profile(in) || profile_is_srgb(in));
}

/* Takes `in`; `result` is what the operation returned that set *out. */
static VipsImage *after(VipsImage *in, int result, VipsImage **out)
{
    g_object_unref(in);
    return result ? NULL : *out;
}

/* NULL where the profile does not fit the picture: many that are embedded are damaged or of another picture. */
static VipsImage *through_profile(VipsImage *in, bool is_deep)
{
    VipsImage *out = NULL;
    if (vips_icc_transform(in, &out, "srgb", "embedded", TRUE, "intent", VIPS_INTENT_RELATIVE,
                           "depth", is_deep ? 16 : 8, NULL)) {
        vips_error_clear();
        return NULL;
    }
    return out;
}

static VipsImage *without_profile(VipsImage *in)
{
    VipsImage *out = NULL;
    int result = vips_copy(in, &out, NULL);
    if (result == 0)
        vips_image_remove(out, VIPS_META_ICC_NAME);
    return after(in, result, &out);
}

static VipsImage *to_space(VipsImage *in, VipsInterpretation space)
{
    VipsImage *out = NULL;
    VipsInterpretation have = vips_image_guess_interpretation(in);
    int result = have == space ? vips_copy(in, &out, "interpretation", space, NULL)
                               : vips_colourspace(in, &out, space, "source_space", have, NULL);
    return after(in, result, &out);
}

/* Bands beyond alpha (of some TIFF files), and other numbers than whole ones. */
static VipsImage *cut_to(VipsImage *in, VipsInterpretation space)
{
    VipsImage *out = NULL;
    if (in->Bands > bands_of(space) + 1)
        in = after(in, vips_extract_band(in, &out, 0, "n", bands_of(space) + 1, NULL), &out);
    if (in && in->BandFmt != format_of(space))
        in = after(in, vips_cast(in, &out, format_of(space), NULL), &out);
    return in;
}

VipsImage *colours_to_working(VipsImage *in, bool keep_deep)
{
    VipsImage *out = NULL;
    if (!in)
        return NULL;
    if (in->Coding == VIPS_CODING_RAD)
        in = after(in, vips_rad2float(in, &out, NULL), &out);
    if (!in || colours_are_working(in, keep_deep))
        return in;
    VipsInterpretation space = working_space(in, keep_deep);
    bool is_deep = format_of(space) == VIPS_FORMAT_USHORT;
    if (has_profile(in) && !profile_is_srgb(in)) {
        out = through_profile(in, is_deep);
        if (out) {
            g_object_unref(in);
            in = out;
            space = is_deep ? VIPS_INTERPRETATION_RGB16 : VIPS_INTERPRETATION_sRGB;
        } else {
            in = without_profile(in);
        }
    }
    if (in && in->Type != space)
        in = to_space(in, space);
    return in ? cut_to(in, space) : NULL;
}

VipsImage *colours_to_rgb(VipsImage *in)
{
    VipsImage *out = NULL;
    if (!in || in->Bands >= 3)
        return in;
    VipsInterpretation space =
        in->BandFmt == VIPS_FORMAT_USHORT ? VIPS_INTERPRETATION_RGB16 : VIPS_INTERPRETATION_sRGB;
    return after(in, vips_colourspace(in, &out, space, NULL), &out);
}

VipsImage *colours_with_alpha(VipsImage *in)
{
    VipsImage *out = NULL;
    if (!in || vips_image_hasalpha(in))
        return in;
    return after(in, vips_addalpha(in, &out, NULL), &out);
}

int colours_of_bands(VipsImage *in, const uint8_t rgba[4], double out[4])
{
    double unit = in->BandFmt == VIPS_FORMAT_USHORT ? 257 : 1;
    bool is_grey = in->Bands < 3;
    int colours = is_grey ? 1 : 3;
    for (int i = 0; i < colours; i++)
        out[i] = unit * rgba[i];
    if (is_grey) /* BT.709, as saturation has it */
        out[0] = unit * (0.2126 * rgba[0] + 0.7152 * rgba[1] + 0.0722 * rgba[2]);
    if (in->Bands > colours)
        out[colours] = unit * rgba[3];
    return in->Bands;
}
