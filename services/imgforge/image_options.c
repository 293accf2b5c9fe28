/* SPDX-License-Identifier: Apache-2.0 */
/* image_options.c: see image_options.h. One row of RULES is one option: its names, how its first argument is read, and the field; what
 * has more to it has a function. */
#include "image_options.h"

#include "base/floattext.h"
#include "base/hex.h"
#include "option_arguments.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

unsigned image_options_quality(const struct image_options *o, enum image_format format,
                               unsigned fallback)
{
    return o->quality                  ? o->quality
           : o->format_quality[format] ? o->format_quality[format]
                                       : fallback;
}

void image_options_init(struct image_options *out)
{
    *out = (struct image_options){
        .resizing_algorithm = ALGORITHM_LANCZOS3,
        .zoom_x = 1,
        .zoom_y = 1,
        .dpr = 1,
        .auto_rotate = true,
        .contrast = 1,
        .saturation = 1,
        .png_colors = 256,
    };
}

/* --- gravity --- */

static const char *const ANCHORS[] = {"ce",   "no",   "so", "ea", "we", "noea", "nowe",
                                      "soea", "sowe", "fp", "sm", "re", NULL};

/* anchor[:x[:y]] from argument `from` on, where the anchors in `but` are none. Without an anchor *out stays. */
static bool gravity_read(const struct option_reading *r, const char *what, size_t from,
                         const char *but, struct gravity *out)
{
    struct view text = option_argument(r, from);
    struct gravity g = {.anchor = GRAVITY_CENTER};
    if (text.len == 0)
        return true;
    int found = option_word(ANCHORS, text);
    if (found < 0 || strstr(but, ANCHORS[found])) {
        char list[64];
        size_t len = 0;
        for (int i = 0; ANCHORS[i]; i++) {
            if (!strstr(but, ANCHORS[i]))
                len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", len ? ", " : "",
                                        ANCHORS[i]);
        }
        return OPTION_REFUSE(r, "%s must be one of: %s", what, list);
    }
    g.anchor = (enum gravity_anchor)found;
    if (!option_number(r, "gravity x offset", from + 1, &g.x) ||
        !option_number(r, "gravity y offset", from + 2, &g.y))
        return false;
    if (g.anchor == GRAVITY_FOCUS_POINT && (g.x < 0 || g.x > 1 || g.y < 0 || g.y > 1))
        return OPTION_REFUSE(r, "focus point gravity coordinates must be between 0 and 1");
    *out = g;
    return true;
}

static bool gravity_apply(struct option_reading *r)
{
    struct view text;
    return option_need(r, &text) && gravity_read(r, "gravity", 0, "re", &r->out->gravity);
}

/* --- size --- */

static const char *const RESIZING_TYPES[] = {"fit",  "fill",      "fill-down", "force",
                                             "auto", "fill_down", NULL};

static bool resizing_type_read(const struct option_reading *r, size_t idx)
{
    struct view text = option_argument(r, idx);
    if (text.len == 0)
        return true;
    int found = option_word(RESIZING_TYPES, text);
    if (found < 0)
        return OPTION_REFUSE(r, "resizing_type must be one of: fit, fill, fill-down, force, auto");
    r->out->resizing_type = found == 5 ? RESIZING_FILL_DOWN : (enum resizing_type)found;
    return true;
}

static bool resizing_type_apply(struct option_reading *r)
{
    struct view text;
    return option_need(r, &text) && resizing_type_read(r, 0);
}

static bool resizing_algorithm_apply(struct option_reading *r)
{
    static const char *const WORDS[] = {"nearest", "linear", "cubic", "lanczos2", "lanczos3", NULL};
    struct view text;
    if (!option_need(r, &text))
        return false;
    int found = option_word(WORDS, text);
    if (found < 0)
        return OPTION_REFUSE(
            r,
            "Invalid resizing algorithm: %.*s. Must be one of: nearest, linear, cubic, "
            "lanczos2, lanczos3",
            VIEW_ARGS(text));
    r->out->resizing_algorithm = (enum resizing_algorithm)found;
    return true;
}

/* is_on[:gravity[:x[:y]]]: nothing is picked out of what is added, so there is no smart gravity. */
static bool extend_read(const struct option_reading *r, size_t from, struct image_extend *out)
{
    struct image_extend e = {.is_on = false};
    option_flag(r, from, &e.is_on);
    if (!gravity_read(r, "extend gravity", from + 1, "sm re", &e.gravity))
        return false;
    if (option_argument(r, from).len)
        *out = e;
    return true;
}

/* width:height[:enlarge[:extend...]] from argument `from` on. */
static bool size_read(struct option_reading *r, size_t from)
{
    r->has_size |= option_argument(r, from).len || option_argument(r, from + 1).len;
    option_flag(r, from + 2, &r->out->enlarge);
    return option_pixels(r, "width", from, &r->out->width) &&
           option_pixels(r, "height", from + 1, &r->out->height) &&
           extend_read(r, from + 3, &r->out->extend);
}

static bool size_apply(struct option_reading *r)
{
    return size_read(r, 0);
}

static bool resize_apply(struct option_reading *r)
{
    return resizing_type_read(r, 0) && size_read(r, 1);
}

static bool width_apply(struct option_reading *r)
{
    r->width = 0;
    return option_pixels(r, "width", 0, &r->width);
}

static bool height_apply(struct option_reading *r)
{
    r->height = 0;
    return option_pixels(r, "height", 0, &r->height);
}

static bool extend_apply(struct option_reading *r)
{
    struct view text;
    return option_need(r, &text) && extend_read(r, 0, &r->out->extend);
}

static bool extend_aspect_ratio_apply(struct option_reading *r)
{
    struct view text;
    return option_need(r, &text) && extend_read(r, 0, &r->out->extend_aspect_ratio);
}

static bool zoom_apply(struct option_reading *r)
{
    struct view text;
    if (!option_need(r, &text) || !option_positive(r, "zoom", 0, &r->out->zoom_x))
        return false;
    r->out->zoom_y = r->out->zoom_x;
    return option_positive(r, "zoom", 1, &r->out->zoom_y);
}

static bool dpr_apply(struct option_reading *r)
{
    struct view text;
    double v = 1;
    if (!option_need(r, &text) || !option_number_from(r, "dpr", text, &v))
        return false;
    if (v < 1 || v > 5)
        return OPTION_REFUSE(r, "dpr value must be between 1.0 and 5.0");
    r->out->dpr = v;
    r->out->has_dpr = true;
    return true;
}

/* --- what is cut off and added --- */

static bool crop_apply(struct option_reading *r)
{
    struct image_options *o = r->out;
    struct view text;
    double width = 0, height = 0;
    struct gravity g = {.anchor = GRAVITY_CENTER};
    if (!option_need(r, &text) || !option_number(r, "crop width", 0, &width) ||
        !option_number(r, "crop height", 1, &height) ||
        !gravity_read(r, "crop gravity", 2, "re", &g))
        return false;
    if (width < 0 || height < 0)
        return OPTION_REFUSE(r, "%s must be a finite non-negative number",
                             width < 0 ? "crop width" : "crop height");
    o->has_crop = true;
    o->crop_width = width;
    o->crop_height = height;
    o->has_crop_gravity = option_argument(r, 2).len > 0;
    o->crop_gravity = g;
    return true;
}

/* RRGGBB or, where there is room for it, RRGGBBAA; "#" may stand before it. */
static bool color_read(const struct option_reading *r, struct view text, uint8_t *out,
                       size_t channels_max)
{
    struct view digits = view_has_prefix(text, VIEW("#")) ? view_slice(text, 1, text.len) : text;
    bool ok = digits.len == 6 || (digits.len == 8 && channels_max == 4);
    for (size_t i = 0; ok && i < digits.len / 2; i++) {
        uint32_t high = hex_digit((unsigned char)digits.ptr[2 * i]),
                 low = hex_digit((unsigned char)digits.ptr[2 * i + 1]);
        ok = high != HEX_NONE && low != HEX_NONE;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return ok || OPTION_REFUSE(r, "invalid %s color", r->name);
}

static bool trim_apply(struct option_reading *r)
{
    struct image_options *o = r->out;
    struct view text, color = option_argument(r, 1);
    double threshold = 0;
    if (!option_need(r, &text) || !option_number_from(r, "trim threshold", text, &threshold))
        return false;
    if (threshold < 0)
        return OPTION_REFUSE(r, "trim threshold must be a finite non-negative number");
    if (color.len && !color_read(r, color, o->trim_color, 3))
        return false;
    o->has_trim = true;
    o->has_trim_color = color.len > 0;
    o->trim_threshold = threshold;
    option_flag(r, 2, &o->trim_equal_h);
    option_flag(r, 3, &o->trim_equal_v);
    return true;
}

/* As CSS reads one to four values: what is not said is as the side across from it, or as the first. */
static bool padding_apply(struct option_reading *r)
{
    static const uint8_t LIKE[4] = {0, 0, 0, 1};
    uint32_t *padding = r->out->padding;
    struct view text;
    if (!option_need(r, &text))
        return false;
    for (size_t i = 0; i < 4; i++) {
        padding[i] = i ? padding[LIKE[i]] : 0;
        if (!option_pixels(r, "padding", i, &padding[i]))
            return false;
    }
    return true;
}

static bool rotate_apply(struct option_reading *r)
{
    struct view text;
    uint64_t v;
    if (!option_need(r, &text) || !option_whole(r, "rotation", text, 360, &v))
        return false;
    if (v != 0 && v != 90 && v != 180 && v != 270)
        return OPTION_REFUSE(r, "rotation must be one of: 0, 90, 180, 270");
    r->out->rotate = (unsigned)v;
    return true;
}

static bool flip_apply(struct option_reading *r)
{
    r->out->flip_horizontally = r->out->flip_vertically = false;
    option_flag(r, 0, &r->out->flip_horizontally);
    option_flag(r, 1, &r->out->flip_vertically);
    return true;
}

static bool background_apply(struct option_reading *r)
{
    struct image_options *o = r->out;
    uint8_t color[4] = {0, 0, 0, 255};
    static const char *const CHANNELS[] = {"background red channel", "background green channel",
                                           "background blue channel"};
    size_t count = image_option_argument_count(r->option);
    o->has_background = count > 0 && r->option->arguments.len > 0;
    if (!o->has_background)
        return true;
    for (size_t i = 0; i < 3 && count >= 3; i++) {
        uint64_t v;
        if (!option_whole(r, CHANNELS[i], option_argument(r, i), 255, &v))
            return false;
        color[i] = (uint8_t)v;
    }
    if (count < 3 && !color_read(r, option_argument(r, 0), color, 4))
        return false;
    memcpy(o->background, color, sizeof(color));
    return true;
}

static bool background_alpha_apply(struct option_reading *r)
{
    struct view text;
    return option_need(r, &text) && option_unit(r, "background_alpha", 0, &r->background_alpha);
}

/* --- colours and effects --- */

static bool brightness_read(const struct option_reading *r, size_t idx)
{
    struct view text = option_argument(r, idx), digits = text;
    uint64_t v;
    bool is_negative = view_has_prefix(text, VIEW("-"));
    if (text.len == 0)
        return true;
    if (is_negative || view_has_prefix(text, VIEW("+")))
        digits = view_slice(text, 1, text.len);
    if (!option_whole(r, "brightness", digits, UINT32_MAX, &v))
        return false;
    if (v > 255)
        return OPTION_REFUSE(r, "brightness must be between -255 and 255");
    r->out->brightness = is_negative ? -(int)v : (int)v;
    return true;
}

static bool adjust_apply(struct option_reading *r)
{
    return brightness_read(r, 0) && option_positive(r, "contrast", 1, &r->out->contrast) &&
           option_positive(r, "saturation", 2, &r->out->saturation);
}

static bool brightness_apply(struct option_reading *r)
{
    struct view text;
    return option_need(r, &text) && brightness_read(r, 0);
}

static bool watermark_apply(struct option_reading *r)
{
    struct image_options *o = r->out;
    struct view text;
    struct gravity g = {.anchor = GRAVITY_CENTER};
    double opacity = 0, scale = 0;
    if (!option_need(r, &text) || !option_unit(r, "watermark opacity", 0, &opacity) ||
        !gravity_read(r, "watermark position", 1, "fp sm", &g) ||
        !option_number(r, "watermark x offset", 2, &g.x) ||
        !option_number(r, "watermark y offset", 3, &g.y) ||
        !option_number(r, "watermark scale", 4, &scale))
        return false;
    if (scale < 0)
        return OPTION_REFUSE(r, "watermark scale must be a finite non-negative number");
    o->has_watermark = true;
    o->watermark_opacity = opacity;
    o->watermark_gravity = g;
    o->watermark_scale = scale;
    return true;
}

static bool text_decode(const struct option_reading *r, struct view text, struct view *out)
{
    return image_text_decode(r->arena, text, out, NULL) ||
           OPTION_REFUSE(r, "invalid Base64 for %s", r->name);
}

static bool watermark_url_apply(struct option_reading *r)
{
    struct view text;
    return option_need(r, &text) && text_decode(r, text, &r->out->watermark_url);
}

/* --- the result --- */

static bool format_read(const struct option_reading *r, struct view text, enum image_format *out)
{
    *out = image_format_from(text);
    return *out != IMAGE_FORMAT_NONE ||
           OPTION_REFUSE(r, "Unsupported output format: %.*s", VIEW_ARGS(text));
}

static bool format_apply(struct option_reading *r)
{
    struct view text;
    return option_need(r, &text) && format_read(r, text, &r->out->format);
}

static bool quality_read(const struct option_reading *r, struct view text, uint8_t *out)
{
    uint64_t v;
    if (!option_whole(r, "quality", text, 255, &v))
        return false;
    *out = (uint8_t)(v < 1 ? 1 : v > 100 ? 100 : v);
    return true;
}

static bool quality_apply(struct option_reading *r)
{
    struct view text;
    return option_need(r, &text) && quality_read(r, text, &r->out->quality);
}

static bool format_quality_apply(struct option_reading *r)
{
    size_t count = image_option_argument_count(r->option);
    if (count == 0 || count % 2)
        return OPTION_REFUSE(r, "format_quality option requires format:quality pairs");
    for (size_t i = 0; i < count; i += 2) {
        enum image_format format;
        if (!format_read(r, option_argument(r, i), &format) ||
            !quality_read(r, option_argument(r, i + 1), &r->out->format_quality[format]))
            return false;
    }
    return true;
}

static bool jpeg_options_apply(struct option_reading *r)
{
    struct image_options *o = r->out;
    struct view table = option_argument(r, 5);
    uint64_t v = o->jpeg_quant_table;
    option_flag(r, 0, &o->jpeg_progressive);
    option_flag(r, 1, &o->jpeg_no_subsample);
    option_flag(r, 2, &o->jpeg_trellis);
    option_flag(r, 3, &o->jpeg_dering);
    option_flag(r, 4, &o->jpeg_optimize_scans);
    if (table.len && !option_whole(r, "jpeg quant_table", table, UINT32_MAX, &v))
        return false;
    if (v > 8)
        return OPTION_REFUSE(r, "jpeg quant_table must be between 0 and 8");
    o->jpeg_quant_table = (uint8_t)v;
    return true;
}

static bool png_options_apply(struct option_reading *r)
{
    struct image_options *o = r->out;
    struct view colors = option_argument(r, 2);
    uint64_t v = o->png_colors;
    option_flag(r, 0, &o->png_interlaced);
    option_flag(r, 1, &o->png_quantize);
    if (colors.len && !option_whole(r, "png colors", colors, UINT32_MAX, &v))
        return false;
    if (v < 2 || v > 256)
        return OPTION_REFUSE(r, "png colors must be between 2 and 256");
    o->png_colors = (uint16_t)v;
    return true;
}

static bool webp_options_apply(struct option_reading *r)
{
    static const char *const PRESETS[] = {"default", "picture", "photo", "drawing",
                                          "icon",    "text",    NULL};
    option_flag(r, 0, &r->out->webp_lossless);
    option_flag(r, 1, &r->out->webp_smart_subsample);
    int found = option_word(PRESETS, option_argument(r, 2));
    if (found >= 0)
        r->out->webp_preset = (enum webp_preset)found;
    return true;
}

static bool pages_apply(struct option_reading *r)
{
    struct view text;
    if (!option_need(r, &text) || !option_pixels(r, "pages", 0, &r->out->pages))
        return false;
    return r->out->pages > 0 || OPTION_REFUSE(r, "pages must be greater than zero");
}

static bool skip_processing_apply(struct option_reading *r)
{
    size_t count = image_option_argument_count(r->option);
    if (count == 0)
        return OPTION_REFUSE(r, "skip_processing option requires at least one argument");
    r->out->skip_processing = 0;
    for (size_t i = 0; i < count; i++) {
        enum image_format format;
        if (option_argument(r, i).len == 0)
            continue;
        if (!format_read(r, option_argument(r, i), &format))
            return false;
        r->out->skip_processing |= 1u << format;
    }
    return true;
}

/* --- delivery and limits --- */

static bool cachebuster_apply(struct option_reading *r)
{
    return option_need(r, &r->out->cachebuster);
}

static bool filename_apply(struct option_reading *r)
{
    bool is_encoded = false;
    option_flag(r, 1, &is_encoded);
    return option_need(r, &r->out->filename) &&
           (!is_encoded || text_decode(r, r->out->filename, &r->out->filename));
}

static bool expires_apply(struct option_reading *r)
{
    struct view text;
    r->out->has_expires = true;
    return option_need(r, &text) && option_whole(r, r->name, text, INT64_MAX, &r->out->expires);
}

/* Megapixels to pixels. */
static bool resolution_read(const struct option_reading *r, uint64_t *out)
{
    struct view text;
    double megapixels = 0;
    if (!option_need(r, &text))
        return false;
    if (!float_parse(text, &megapixels) || !isfinite(megapixels) || megapixels <= 0)
        return OPTION_REFUSE(r, "invalid %s: must be a finite positive number of megapixels",
                             r->name);
    double pixels = floor(megapixels * 1e6);
    if (pixels < 1)
        return OPTION_REFUSE(r, "invalid %s: must allow at least one pixel", r->name);
    if (pixels >= 0x1p63)
        return OPTION_REFUSE(r, "invalid %s: is too large to represent as a pixel count", r->name);
    *out = (uint64_t)pixels;
    return true;
}

static bool limit_read(const struct option_reading *r, const char *unit, uint64_t *out)
{
    struct view text;
    struct option_reading quiet = *r;
    quiet.err = NULL;
    return option_need(r, &text) &&
           ((option_whole(&quiet, r->name, text, INT64_MAX, out) && *out > 0) ||
            OPTION_REFUSE(r, "invalid %s: must be a positive integer number of %s", r->name, unit));
}

static bool max_src_resolution_apply(struct option_reading *r)
{
    return resolution_read(r, &r->out->limits.source_pixels);
}

static bool max_animation_frame_resolution_apply(struct option_reading *r)
{
    return resolution_read(r, &r->out->limits.animation_frame_pixels);
}

static bool max_src_file_size_apply(struct option_reading *r)
{
    return limit_read(r, "bytes", &r->out->limits.source_bytes);
}

static bool max_result_dimension_apply(struct option_reading *r)
{
    return limit_read(r, "pixels", &r->out->limits.result_side);
}

static bool max_animation_frames_apply(struct option_reading *r)
{
    return limit_read(r, "frames", &r->out->limits.animation_frames);
}

/* --- all of them --- */

enum rule_kind {
    RULE_CALL,
    RULE_BOOL,     /* bool */
    RULE_FLAG,     /* bool; bare means true */
    RULE_PIXELS,   /* uint32_t */
    RULE_WHOLE,    /* uint64_t */
    RULE_POSITIVE, /* double */
};

static const struct option_rule {
    const char *names; /* between blanks; the first one is in messages */
    enum rule_kind kind;
    size_t offset;
    bool (*apply)(struct option_reading *r);
} RULES[] = {
#define CALL(names, function)                                                                      \
    {                                                                                              \
        names, RULE_CALL, 0, function                                                              \
    }
#define FIELD(names, kind, field)                                                                  \
    {                                                                                              \
        names, kind, offsetof(struct image_options, field), NULL                                   \
    }
    CALL("resize rs", resize_apply),
    CALL("size s", size_apply),
    CALL("resizing_type rt", resizing_type_apply),
    CALL("resizing_algorithm ra", resizing_algorithm_apply),
    CALL("width w", width_apply),
    CALL("height h", height_apply),
    FIELD("min-width min_width mw", RULE_PIXELS, min_width),
    FIELD("min-height min_height mh", RULE_PIXELS, min_height),
    CALL("zoom z", zoom_apply),
    CALL("dpr", dpr_apply),
    FIELD("enlarge el", RULE_BOOL, enlarge),
    CALL("extend ex", extend_apply),
    CALL("extend_aspect_ratio extend_ar exar", extend_aspect_ratio_apply),
    CALL("gravity g", gravity_apply),
    CALL("crop c", crop_apply),
    CALL("trim t", trim_apply),
    CALL("padding pd", padding_apply),
    FIELD("auto_rotate ar", RULE_BOOL, auto_rotate),
    CALL("rotation rotate rot", rotate_apply),
    CALL("flip fl", flip_apply),
    CALL("background bg", background_apply),
    CALL("background_alpha bga", background_alpha_apply),
    CALL("adjust a", adjust_apply),
    CALL("brightness br", brightness_apply),
    FIELD("contrast co", RULE_POSITIVE, contrast),
    FIELD("saturation sa", RULE_POSITIVE, saturation),
    FIELD("blur bl", RULE_POSITIVE, blur),
    FIELD("sharpen sh", RULE_POSITIVE, sharpen),
    FIELD("pixelate pix", RULE_PIXELS, pixelate),
    CALL("watermark wm", watermark_apply),
    CALL("watermark_url wmu", watermark_url_apply),
    CALL("quality q", quality_apply),
    CALL("format_quality fq", format_quality_apply),
    CALL("format f ext", format_apply),
    FIELD("max_bytes mb", RULE_WHOLE, max_bytes),
    FIELD("strip_metadata sm", RULE_FLAG, strip_metadata),
    FIELD("keep_copyright kcr", RULE_FLAG, keep_copyright),
    FIELD("strip_color_profile scp", RULE_FLAG, strip_color_profile),
    FIELD("preserve_hdr ph", RULE_FLAG, preserve_hdr),
    FIELD("enforce_thumbnail eth", RULE_FLAG, enforce_thumbnail),
    CALL("jpeg_options jpgo", jpeg_options_apply),
    CALL("png_options pngo", png_options_apply),
    CALL("webp_options webpo", webp_options_apply),
    FIELD("avif_options avifo", RULE_FLAG, avif_no_subsample),
    FIELD("page pg", RULE_PIXELS, page),
    CALL("pages pgs", pages_apply),
    FIELD("disable_animation da", RULE_FLAG, disable_animation),
    CALL("skip_processing skp", skip_processing_apply),
    FIELD("raw", RULE_FLAG, raw),
    CALL("cachebuster cb", cachebuster_apply),
    CALL("expires exp", expires_apply),
    CALL("filename fn", filename_apply),
    FIELD("return_attachment att", RULE_FLAG, return_attachment),
    CALL("max_src_resolution msr", max_src_resolution_apply),
    CALL("max_src_file_size msfs", max_src_file_size_apply),
    CALL("max_result_dimension mrd", max_result_dimension_apply),
    CALL("max_animation_frames maf", max_animation_frames_apply),
    CALL("max_animation_frame_resolution mafr", max_animation_frame_resolution_apply),
#undef CALL
#undef FIELD
};

static bool has_name(const char *names, struct view name)
{
    for (const char *word = names; *word; word += *word == ' ') {
        size_t len = strcspn(word, " ");
        if (view_eq((struct view){word, len}, name))
            return true;
        word += len;
    }
    return false;
}

static const struct option_rule *rule_find(struct view name)
{
    for (size_t i = 0; i < sizeof(RULES) / sizeof(RULES[0]); i++) {
        if (has_name(RULES[i].names, name))
            return &RULES[i];
    }
    return NULL;
}

static bool rule_apply(struct option_reading *r, const struct option_rule *rule)
{
    void *field = (char *)r->out + rule->offset;
    struct view text;
    switch (rule->kind) {
    case RULE_CALL:
        return rule->apply(r);
    case RULE_FLAG:
        *(bool *)field = true;
        option_flag(r, 0, field);
        return true;
    case RULE_BOOL:
        option_flag(r, 0, field);
        return option_need(r, &text);
    case RULE_PIXELS:
        return option_need(r, &text) && option_pixels(r, r->name, 0, field);
    case RULE_WHOLE:
        return option_need(r, &text) && option_whole(r, r->name, text, INT64_MAX, field);
    case RULE_POSITIVE:
        return option_need(r, &text) && option_positive(r, r->name, 0, field);
    }
    return false;
}

bool image_options_read(struct arena *arena, const struct image_option *options, size_t count,
                        struct image_options *out, struct error *err)
{
    struct option_reading r = {.arena = arena, .out = out, .err = err, .background_alpha = -1};
    for (size_t i = 0; i < count; i++) {
        char name[64];
        const struct option_rule *rule = rule_find(options[i].name);
        if (!rule)
            continue;
        (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(rule->names, " "), rule->names);
        r.option = &options[i];
        r.name = name;
        if (!rule_apply(&r, rule))
            return false;
    }
    if (!r.has_size) {
        out->width = r.width;
        out->height = r.height;
    }
    if (r.background_alpha >= 0)
        out->background[3] = (uint8_t)lround(r.background_alpha * 255);
    return true;
}
