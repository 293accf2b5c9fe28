/* SPDX-License-Identifier: Apache-2.0 */
/* encode_formats.c: what each format can hold, and how its encoder is called. */
#include "encode_private.h"

#include "base/assert.h"

#include <dlfcn.h>

const struct format_traits *format_traits(enum image_format format)
{
    static const struct format_traits TRAITS[] = {
        [IMAGE_FORMAT_JPEG] = {.has_icc = true, .side_max = 65500},
        [IMAGE_FORMAT_PNG] = {.has_alpha = true, .has_icc = true, .has_deep_pixels = true},
        [IMAGE_FORMAT_WEBP] = {.has_alpha = true,
                               .has_animation = true,
                               .has_icc = true,
                               .side_max = 16383},
        [IMAGE_FORMAT_GIF] = {.has_alpha = true, .has_animation = true, .side_max = 65535},
        [IMAGE_FORMAT_TIFF] = {.has_alpha = true, .has_icc = true, .has_deep_pixels = true},
        [IMAGE_FORMAT_AVIF] = {.has_alpha = true,
                               .has_animation = true,
                               .has_icc = true,
                               .has_deep_pixels = true,
                               .side_max = 16384},
        [IMAGE_FORMAT_HEIF] = {.has_alpha = true,
                               .has_animation = true,
                               .has_icc = true,
                               .has_deep_pixels = true,
                               .side_max = 16384},
    };
    ASSERT(format > IMAGE_FORMAT_NONE && format < IMAGE_FORMAT_COUNT);
    return &TRAITS[format];
}

/* Trellis quantisation, deringing, searched scans and other tables are MozJPEG's, which stands in for libjpeg where it is installed. Another
 * libjpeg would warn of each picture. */
static bool jpeg_can_be_tuned(void)
{
    return dlsym(RTLD_DEFAULT, "jpeg_c_set_bool_param") != NULL;
}

/* Colours are halved (4:2:0) below quality 90: libvips' rule for "auto". */
static VipsForeignSubsample subsampling(bool no_subsample)
{
    return no_subsample ? VIPS_FOREIGN_SUBSAMPLE_OFF : VIPS_FOREIGN_SUBSAMPLE_AUTO;
}

static int write_jpeg(VipsImage *image, VipsTarget *target, const struct encoding *e)
{
    const struct image_options *o = e->options;
    bool can_tune = jpeg_can_be_tuned();
    return vips_jpegsave_target(
        image, target, "Q", (int)e->quality, "optimize_coding", TRUE, "interlace",
        o->jpeg_progressive, "subsample_mode", subsampling(o->jpeg_no_subsample), "trellis_quant",
        can_tune && o->jpeg_trellis, "overshoot_deringing", can_tune && o->jpeg_dering,
        "optimize_scans", can_tune && o->jpeg_progressive && o->jpeg_optimize_scans, "quant_table",
        can_tune ? o->jpeg_quant_table : 0, "strip", e->metadata == METADATA_NONE, NULL);
}

/* Of an index into a palette: the encoder knows palettes of 2, 4, 16 and 256 colours. */
static int bits_of_colors(unsigned colors)
{
    return colors <= 2 ? 1 : colors <= 4 ? 2 : colors <= 16 ? 4 : 8;
}

static int effort_of_quality(unsigned quality)
{
    return quality < 10 ? 1 : (int)quality / 10;
}

static int write_png(VipsImage *image, VipsTarget *target, const struct encoding *e)
{
    const struct image_options *o = e->options;
    if (!o->png_quantize)
        return vips_pngsave_target(image, target, "interlace", o->png_interlaced, "strip",
                                   e->metadata == METADATA_NONE, NULL);
    return vips_pngsave_target(image, target, "interlace", o->png_interlaced, "palette", TRUE,
                               "bitdepth", bits_of_colors(o->png_colors), "effort",
                               effort_of_quality(e->quality), "strip", e->metadata == METADATA_NONE,
                               NULL);
}

static int write_webp(VipsImage *image, VipsTarget *target, const struct encoding *e)
{
    static const VipsForeignWebpPreset PRESETS[] = {
        [WEBP_DEFAULT] = VIPS_FOREIGN_WEBP_PRESET_DEFAULT,
        [WEBP_PICTURE] = VIPS_FOREIGN_WEBP_PRESET_PICTURE,
        [WEBP_PHOTO] = VIPS_FOREIGN_WEBP_PRESET_PHOTO,
        [WEBP_DRAWING] = VIPS_FOREIGN_WEBP_PRESET_DRAWING,
        [WEBP_ICON] = VIPS_FOREIGN_WEBP_PRESET_ICON,
        [WEBP_TEXT] = VIPS_FOREIGN_WEBP_PRESET_TEXT,
    };
    const struct image_options *o = e->options;
    return vips_webpsave_target(image, target, "Q", (int)e->quality, "lossless", o->webp_lossless,
                                "smart_subsample", o->webp_smart_subsample, "preset",
                                PRESETS[o->webp_preset], "strip", e->metadata == METADATA_NONE,
                                NULL);
}

static int write_gif(VipsImage *image, VipsTarget *target, const struct encoding *e)
{
    /* libvips' 7 takes two to four times the CPU of 3 for a palette that is better by less than can be seen (dE 0.22 to 0.30). */
    return vips_gifsave_target(image, target, "effort", 3, "strip", e->metadata == METADATA_NONE,
                               NULL);
}

/* JPEG inside of TIFF has 8 bit, and what reads it (libvips too) knows no alpha there. */
static bool tiff_can_lose(VipsImage *image)
{
    return image->BandFmt == VIPS_FORMAT_UCHAR && !vips_image_hasalpha(image);
}

static int write_tiff(VipsImage *image, VipsTarget *target, const struct encoding *e)
{
    bool is_lossless = e->quality == 100 || !tiff_can_lose(image);
    return vips_tiffsave_target(image, target, "compression",
                                is_lossless ? VIPS_FOREIGN_TIFF_COMPRESSION_LZW
                                            : VIPS_FOREIGN_TIFF_COMPRESSION_JPEG,
                                "Q", (int)e->quality, "strip", e->metadata == METADATA_NONE, NULL);
}

/* libvips' own is 4, which takes twelve times the processor time of 2 (a noisy picture of 1200 x 800 at quality 60: 2.5 s and 0.2 s) for files
 * that are no smaller (93 and 86 KB): too slow to be waited for. x265 knows no such setting. */
enum { AVIF_EFFORT = 2 };

static int write_heif(VipsImage *image, VipsTarget *target, const struct encoding *e)
{
    bool is_avif = e->format == IMAGE_FORMAT_AVIF;
    /* Not 10: of colours without alpha libheif 1.15 makes something of them that libaom aborts the process at. */
    int bits = image->BandFmt == VIPS_FORMAT_USHORT ? 12 : 8;
    return vips_heifsave_target(
        image, target, "Q", (int)e->quality, "bitdepth", bits, "compression",
        is_avif ? VIPS_FOREIGN_HEIF_COMPRESSION_AV1 : VIPS_FOREIGN_HEIF_COMPRESSION_HEVC, "effort",
        AVIF_EFFORT, "subsample_mode", subsampling(e->options->avif_no_subsample), "strip",
        e->metadata == METADATA_NONE, NULL);
}

int encoder_write(VipsImage *image, VipsTarget *target, const struct encoding *e)
{
    switch (e->format) {
    case IMAGE_FORMAT_JPEG:
        return write_jpeg(image, target, e);
    case IMAGE_FORMAT_PNG:
        return write_png(image, target, e);
    case IMAGE_FORMAT_WEBP:
        return write_webp(image, target, e);
    case IMAGE_FORMAT_GIF:
        return write_gif(image, target, e);
    case IMAGE_FORMAT_TIFF:
        return write_tiff(image, target, e);
    case IMAGE_FORMAT_AVIF:
    case IMAGE_FORMAT_HEIF:
        return write_heif(image, target, e);
    default:
        vips_error("imgforge", "no format");
        return -1;
    }
}

bool encoder_leaks(const struct encoding *e)
{
    return e->format == IMAGE_FORMAT_WEBP;
}

bool encoder_heeds_quality(VipsImage *image, const struct encoding *e)
{
    switch (e->format) {
    case IMAGE_FORMAT_PNG:
        return e->options->png_quantize;
    case IMAGE_FORMAT_GIF:
        return false;
    case IMAGE_FORMAT_TIFF:
        return tiff_can_lose(image);
    default:
        return true;
    }
}
