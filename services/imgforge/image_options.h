/* SPDX-License-Identifier: Apache-2.0 */
/* image_options.h: what a URL asks for, read from its options (image_url.h) on top of what the server is set to.
 *
 * Later options go before earlier ones. Unknown names are ignored; what is wrong with a known one is an error whose message is the
 * answer's body. Sizes are pixels of the result unless said otherwise. */
#ifndef IMGFORGE_IMAGE_OPTIONS_H
#define IMGFORGE_IMAGE_OPTIONS_H

#include "image_format.h"
#include "image_url.h"

#include <stdint.h>

enum resizing_type {
    RESIZING_FIT,
    RESIZING_FILL,
    RESIZING_FILL_DOWN,
    RESIZING_FORCE,
    RESIZING_AUTO
};
enum resizing_algorithm {
    ALGORITHM_NEAREST,
    ALGORITHM_LINEAR,
    ALGORITHM_CUBIC,
    ALGORITHM_LANCZOS2,
    ALGORITHM_LANCZOS3
};
enum gravity_anchor {
    GRAVITY_CENTER,
    GRAVITY_NORTH,
    GRAVITY_SOUTH,
    GRAVITY_EAST,
    GRAVITY_WEST,
    GRAVITY_NORTH_EAST,
    GRAVITY_NORTH_WEST,
    GRAVITY_SOUTH_EAST,
    GRAVITY_SOUTH_WEST,
    GRAVITY_FOCUS_POINT, /* x and y, 0 to 1, are what the window is about */
    GRAVITY_SMART,       /* where the picture has most to see */
    GRAVITY_REPLICATE    /* a watermark's: all over */
};

/* Offsets of 1 and above are pixels, below 1 parts of the axis. */
struct gravity {
    enum gravity_anchor anchor;
    double x, y;
};

struct image_extend {
    bool is_on;
    struct gravity gravity;
};

/* 0: none. Of a URL they count only where the server allows it. */
struct image_limits {
    uint64_t source_bytes, source_pixels, result_side, animation_frames, animation_frame_pixels;
};

enum webp_preset { WEBP_DEFAULT, WEBP_PICTURE, WEBP_PHOTO, WEBP_DRAWING, WEBP_ICON, WEBP_TEXT };

struct image_options {
    enum resizing_type resizing_type;
    enum resizing_algorithm resizing_algorithm;
    uint32_t width, height; /* 0: from the other one; both 0: not resized */
    uint32_t min_width, min_height;
    double zoom_x, zoom_y, dpr;
    bool has_dpr; /* said, if only 1 */
    bool enlarge;
    struct image_extend extend, extend_aspect_ratio;
    struct gravity gravity;

    bool has_crop, has_crop_gravity;
    double crop_width,
        crop_height; /* of the source; 1 and above pixels, below parts of the axis, 0 all of it */
    struct gravity crop_gravity; /* `gravity` where it has none of its own */

    bool has_trim, has_trim_color, trim_equal_h, trim_equal_v;
    double trim_threshold;
    uint8_t trim_color[3];

    uint32_t padding[4]; /* top, right, bottom, left */
    bool auto_rotate, flip_horizontally, flip_vertically;
    unsigned rotate; /* 0, 90, 180, 270, clockwise */
    bool has_background;
    uint8_t background[4]; /* RGBA */

    int brightness;              /* -255 to 255 */
    double contrast, saturation; /* 1: as it is */
    double blur, sharpen;        /* sigma; 0: none */
    uint32_t pixelate;           /* side of a block; 0 and 1: none */
    bool has_watermark;
    double watermark_opacity, watermark_scale; /* scale 0: the default */
    struct gravity watermark_gravity;
    struct view watermark_url; /* empty: the server's file */

    enum image_format format; /* NONE: not said */
    uint8_t quality;          /* 1 to 100; 0: not said */
    uint8_t format_quality[IMAGE_FORMAT_COUNT];
    uint64_t max_bytes; /* 0: any */
    bool strip_metadata, keep_copyright, strip_color_profile, preserve_hdr, enforce_thumbnail;
    bool jpeg_progressive, jpeg_no_subsample, jpeg_trellis, jpeg_dering, jpeg_optimize_scans;
    uint8_t jpeg_quant_table;
    bool png_interlaced, png_quantize;
    uint16_t png_colors; /* 2 to 256 */
    bool webp_lossless, webp_smart_subsample, avif_no_subsample;
    enum webp_preset webp_preset;

    uint32_t page, pages; /* the first one, from 0; how many, 0: as the format says */
    bool disable_animation;
    uint32_t skip_processing; /* bits 1u << enum image_format */
    bool raw;

    struct view cachebuster;
    uint64_t expires; /* Unix seconds; when has_expires */
    struct view filename;
    bool return_attachment, has_expires;
    struct image_limits limits;
};

/* What is asked for when nothing is. */
void image_options_init(struct image_options *out);
/* Reads the options of a URL; *out begins with what the server is set to. Texts are in the arena or borrowed from the options.
 * ERROR_INPUT with the answer's body. */
MUST_USE bool image_options_read(struct arena *arena, const struct image_option *options,
                                 size_t count, struct image_options *out, struct error *err);
/* The quality for a format: the URL's, the URL's for this format, then `fallback`. */
unsigned image_options_quality(const struct image_options *o, enum image_format format,
                               unsigned fallback);

#endif
