/* SPDX-License-Identifier: Apache-2.0 */
/* frame.c: see frame.h. */
#include "frame.h"

#include "alpha.h"
#include "colours.h"
#include "effects.h"
#include "source_load.h"

#include <math.h>

struct frame {
    struct frame_rules *rules;
    const struct image_options *options;
    VipsImage *image;
    /* As it will be seen once it is turned, in pixels of the source. The image has fewer, where it was shrunk while it was decoded, and is not turned yet */
    struct dimensions size;
    struct turns turns; /* still to be done */
    bool is_random;     /* pixels can be had in any order */
};

/* --- steps --- */

/* Takes what an operation on fr->image gave; by its place, as the operation is an argument beside it. */
static bool step(struct frame *fr, int result, VipsImage **out, struct image_failure *f)
{
    if (result)
        return image_fail_operation(f);
    g_object_unref(fr->image);
    fr->image = *out;
    return true;
}

/* Of functions that took fr->image. */
static bool step_taken(struct frame *fr, VipsImage *out, struct image_failure *f)
{
    fr->image = out;
    return out || image_fail_operation(f);
}

static struct dimensions size_of(const VipsImage *image)
{
    return (struct dimensions){image->Xsize, image->Ysize};
}

/* A URL may ask for any size: what is beyond all formats is refused before memory is taken for it. */
static bool size_is_possible(double width, double height, struct image_failure *f)
{
    if (width * height <= (double)IMAGE_PIXELS_MAX && width < VIPS_MAX_COORD &&
        height < VIPS_MAX_COORD)
        return true;
    return image_fail(f, 400, "Processed image would be %.0fx%.0f, over the %lld pixel limit",
                      width, height, (long long)IMAGE_PIXELS_MAX);
}

/* Of all frames: each is held until the last one is written. */
static bool may_be_held(const struct frame *fr, struct image_failure *f)
{
    return size_is_possible(fr->image->Xsize, (double)fr->image->Ysize * fr->rules->frames, f);
}

static bool materialize(struct frame *fr, struct image_failure *f)
{
    if (fr->is_random)
        return true;
    if (!may_be_held(fr, f))
        return false;
    VipsImage *out = vips_image_copy_memory(fr->image);
    fr->is_random = true;
    return step(fr, out == NULL, &out, f);
}

static bool to_working_colours(struct frame *fr, struct image_failure *f)
{
    bool keep_deep = fr->options->preserve_hdr && fr->rules->format->has_deep_pixels;
    return step_taken(fr, colours_to_working(fr->image, keep_deep), f);
}

static bool cut(struct frame *fr, struct window w, struct image_failure *f)
{
    VipsImage *out = NULL;
    int result = vips_extract_area(fr->image, &out, (int)w.left, (int)w.top, (int)w.width,
                                   (int)w.height, NULL);
    return step(fr, result, &out, f);
}

static bool turn(struct frame *fr, struct turns turns, struct image_failure *f)
{
    VipsImage *out = NULL;
    if ((turns.rotate || turns.flip_vertically) && !materialize(fr, f))
        return false;
    if (turns.rotate) {
        VipsAngle angle = turns.rotate == 90    ? VIPS_ANGLE_D90
                          : turns.rotate == 180 ? VIPS_ANGLE_D180
                                                : VIPS_ANGLE_D270;
        if (!step(fr, vips_rot(fr->image, &out, angle, NULL), &out, f))
            return false;
    }
    if (turns.flip_horizontally &&
        !step(fr, vips_flip(fr->image, &out, VIPS_DIRECTION_HORIZONTAL, NULL), &out, f))
        return false;
    return !turns.flip_vertically ||
           step(fr, vips_flip(fr->image, &out, VIPS_DIRECTION_VERTICAL, NULL), &out, f);
}

static bool make_upright(struct frame *fr, struct image_failure *f)
{
    struct turns turns = fr->turns;
    fr->turns = (struct turns){0};
    return turn(fr, turns, f);
}

/* --- scaling --- */

static VipsKernel kernel_of(enum resizing_algorithm algorithm)
{
    switch (algorithm) {
    case ALGORITHM_NEAREST:
        return VIPS_KERNEL_NEAREST;
    case ALGORITHM_LINEAR:
        return VIPS_KERNEL_LINEAR;
    case ALGORITHM_CUBIC:
        return VIPS_KERNEL_CUBIC;
    case ALGORITHM_LANCZOS2:
        return VIPS_KERNEL_LANCZOS2;
    default:
        return VIPS_KERNEL_LANCZOS3;
    }
}

/* To this size of the image as it is now, turned or not. Colours of pixels that cannot be seen must not shine through at edges: they are weighed by their
 * alpha meanwhile. */
static bool scale_to(struct frame *fr, double width, double height, struct image_failure *f)
{
    VipsKernel kernel = kernel_of(fr->options->resizing_algorithm);
    VipsBandFormat format = fr->image->BandFmt;
    bool weighs = vips_image_hasalpha(fr->image) && kernel != VIPS_KERNEL_NEAREST;
    double max_alpha = format == VIPS_FORMAT_USHORT ? 65535 : 255;
    VipsImage *out = NULL;
    if (width == fr->image->Xsize && height == fr->image->Ysize)
        return true;
    if (!size_is_possible(width, height, f) ||
        (weighs && !step_taken(fr, alpha_weigh(fr->image, max_alpha), f)))
        return false;
    int result = vips_resize(fr->image, &out, width / fr->image->Xsize, "vscale",
                             height / fr->image->Ysize, "kernel", kernel, NULL);
    if (!step(fr, result, &out, f) ||
        (weighs && !step_taken(fr, alpha_unweigh(fr->image, max_alpha), f)))
        return false;
    return fr->image->BandFmt == format ||
           step(fr, vips_cast(fr->image, &out, format, NULL), &out, f);
}

/* By factors, at least one pixel; the frame is upright. */
static bool scale_by(struct frame *fr, double x, double y, struct image_failure *f)
{
    return scale_to(fr, fmax(1, round(fr->image->Xsize * x)), fmax(1, round(fr->image->Ysize * y)),
                    f);
}

/* --- windows --- */

/* The part of the upright frame that has most to see. It is as the first frame has it for all of them, else an animation shivers. */
static bool cut_smart(struct frame *fr, int width, int height, bool *is_known, struct window *known,
                      struct image_failure *f)
{
    VipsImage *out = NULL;
    if (*is_known)
        return cut(fr, *known, f);
    if (vips_smartcrop(fr->image, &out, width, height, "interesting", VIPS_INTERESTING_ATTENTION,
                       NULL))
        return image_fail_operation(f);
    *known = (struct window){-out->Xoffset, -out->Yoffset, width, height};
    *is_known = true;
    return step(fr, 0, &out, f);
}

/* Cuts a window of the upright frame out of the image, which may be smaller and not turned yet. */
static bool cut_upright(struct frame *fr, struct window w, struct image_failure *f)
{
    struct dimensions stored = dimensions_turned(fr->size, fr->turns);
    w = window_before_turns(w, fr->size, fr->turns);
    double x = (double)fr->image->Xsize / (double)stored.width,
           y = (double)fr->image->Ysize / (double)stored.height;
    int64_t left = (int64_t)round((double)w.left * x), top = (int64_t)round((double)w.top * y);
    int64_t right = (int64_t)round((double)(w.left + w.width) * x),
            bottom = (int64_t)round((double)(w.top + w.height) * y);
    left = VIPS_MIN(left, fr->image->Xsize - 1);
    top = VIPS_MIN(top, fr->image->Ysize - 1);
    return cut(fr, (struct window){left, top, VIPS_MAX(1, right - left), VIPS_MAX(1, bottom - top)},
               f);
}

/* Keeps `kept` of the frame, in the units of fr->size. */
static bool keep(struct frame *fr, struct dimensions kept, struct gravity gravity,
                 double offset_scale, bool *is_known, struct window *known, struct image_failure *f)
{
    if (kept.width >= fr->size.width && kept.height >= fr->size.height)
        return true;
    if (gravity.anchor != GRAVITY_SMART) {
        if (!cut_upright(fr, window_place(fr->size, kept, gravity, offset_scale, false), f))
            return false;
    } else {
        fr->is_random = false; /* looked at and then written: made once */
        /* A file may have any number of bands: what is held has four at most. */
        if (!to_working_colours(fr, f) || !make_upright(fr, f) || !materialize(fr, f))
            return false;
        double x = (double)fr->image->Xsize / (double)fr->size.width,
               y = (double)fr->image->Ysize / (double)fr->size.height;
        if (!cut_smart(fr, (int)fmax(1, round((double)kept.width * x)),
                       (int)fmax(1, round((double)kept.height * y)), is_known, known, f))
            return false;
    }
    fr->size = kept;
    return true;
}

/* --- trim --- */

/* The colour that is cut away, one number per band without alpha. */
static bool trim_background(struct frame *fr, double out[4], int *count, struct image_failure *f)
{
    const struct image_options *o = fr->options;
    const uint8_t rgba[4] = {o->trim_color[0], o->trim_color[1], o->trim_color[2], 255};
    *count = fr->image->Bands - (vips_image_hasalpha(fr->image) ? 1 : 0);
    if (o->has_trim_color) {
        colours_of_bands(fr->image, rgba, out);
        return true;
    }
    double *pixel = NULL;
    int n = 0;
    if (vips_getpoint(fr->image, &pixel, &n, 0, 0, NULL))
        return image_fail_operation(f);
    for (int i = 0; i < *count && i < n; i++)
        out[i] = pixel[i];
    g_free(pixel);
    return true;
}

/* Takes as much from both ends as from the one with less. */
static void even_ends(int *from, int *len, int all)
{
    int end = VIPS_MIN(*from, all - *from - *len);
    *from = end;
    *len = all - 2 * end;
}

static bool trim(struct frame *fr, struct image_failure *f)
{
    const struct image_options *o = fr->options;
    double background[4];
    int left, top, width, height, bands;
    if (!o->has_trim || fr->rules->is_animated)
        return true;
    if (!materialize(fr, f) || !make_upright(fr, f) || !trim_background(fr, background, &bands, f))
        return false;
    VipsArrayDouble *array = vips_array_double_new(background, bands);
    int result = vips_find_trim(fr->image, &left, &top, &width, &height, "threshold",
                                o->trim_threshold, "background", array, NULL);
    vips_area_unref(VIPS_AREA(array));
    if (result)
        return image_fail_operation(f);
    if (width == 0 || height == 0) /* all background: it stays */
        return true;
    if (o->trim_equal_h)
        even_ends(&left, &width, fr->image->Xsize);
    if (o->trim_equal_v)
        even_ends(&top, &height, fr->image->Ysize);
    if (!cut(fr, (struct window){left, top, width, height}, f))
        return false;
    fr->size = size_of(fr->image);
    return true;
}

/* --- from the source to its new size --- */

static bool crop(struct frame *fr, struct image_failure *f)
{
    const struct image_options *o = fr->options;
    return !o->has_crop || keep(fr, crop_dimensions(o, fr->size),
                                o->has_crop_gravity ? o->crop_gravity : o->gravity, 1,
                                &fr->rules->has_smart_crop, &fr->rules->smart_crop, f);
}

/* Colours are made right on whichever side there are fewer pixels. */
static bool resize(struct frame *fr, const struct resize_plan *plan, struct image_failure *f)
{
    struct dimensions to = dimensions_turned(plan->scaled, fr->turns);
    bool grows = to.width * to.height > (int64_t)fr->image->Xsize * fr->image->Ysize;
    if (grows && !to_working_colours(fr, f))
        return false;
    if (!scale_to(fr, (double)to.width, (double)to.height, f) ||
        (!grows && !to_working_colours(fr, f)))
        return false;
    fr->size = plan->scaled;
    return keep(fr, plan->kept, fr->options->gravity, fr->options->dpr,
                &fr->rules->has_smart_window, &fr->rules->smart_window, f) &&
           make_upright(fr, f);
}

static bool enlarge(struct frame *fr, struct image_failure *f)
{
    const struct image_options *o = fr->options;
    double scale = minimum_scale(o, size_of(fr->image));
    return (scale == 1 || scale_by(fr, scale, scale, f)) &&
           ((o->zoom_x == 1 && o->zoom_y == 1) || scale_by(fr, o->zoom_x, o->zoom_y, f));
}

/* --- canvas --- */

/* Puts the frame into a larger one: see-through where no background is asked for and the format can, else black. */
static bool embed(struct frame *fr, double left, double top, double width, double height,
                  struct image_failure *f)
{
    static const uint8_t NOTHING[4] = {0, 0, 0, 0};
    const struct image_options *o = fr->options;
    const uint8_t *rgba = o->has_background ? o->background : NOTHING;
    double background[4];
    VipsImage *out = NULL;
    if (!size_is_possible(width, height, f))
        return false;
    bool is_grey = rgba[0] == rgba[1] && rgba[1] == rgba[2];
    if (!is_grey && !step_taken(fr, colours_to_rgb(fr->image), f))
        return false;
    if (rgba[3] < 255 && fr->rules->format->has_alpha &&
        !step_taken(fr, colours_with_alpha(fr->image), f))
        return false;
    VipsArrayDouble *array =
        vips_array_double_new(background, colours_of_bands(fr->image, rgba, background));
    int result = vips_embed(fr->image, &out, (int)left, (int)top, (int)width, (int)height, "extend",
                            VIPS_EXTEND_BACKGROUND, "background", array, NULL);
    vips_area_unref(VIPS_AREA(array));
    return step(fr, result, &out, f);
}

static bool extend_to(struct frame *fr, struct dimensions outer, struct gravity gravity,
                      struct image_failure *f)
{
    struct dimensions inner = size_of(fr->image);
    outer.width = VIPS_MAX(outer.width, inner.width);
    outer.height = VIPS_MAX(outer.height, inner.height);
    if (outer.width == inner.width && outer.height == inner.height)
        return true;
    struct window w = window_place(outer, inner, gravity, fr->options->dpr, false);
    return embed(fr, (double)w.left, (double)w.top, (double)outer.width, (double)outer.height, f);
}

static bool extend(struct frame *fr, const struct resize_plan *plan, struct image_failure *f)
{
    const struct image_options *o = fr->options;
    bool has_box = o->width || o->height;
    if (has_box && o->extend.is_on && !extend_to(fr, plan->box, o->extend.gravity, f))
        return false;
    return !has_box || !o->extend_aspect_ratio.is_on || o->resizing_type == RESIZING_FORCE ||
           extend_to(fr, extended_to_ratio(size_of(fr->image), plan->box),
                     o->extend_aspect_ratio.gravity, f);
}

static bool pad(struct frame *fr, struct image_failure *f)
{
    double sides[4], sum = 0;
    for (int i = 0; i < 4; i++)
        sum += sides[i] = round(fr->options->padding[i] * fr->options->dpr);
    return sum == 0 || embed(fr, sides[3], sides[0], fr->image->Xsize + sides[1] + sides[3],
                             fr->image->Ysize + sides[0] + sides[2], f);
}

/* --- effects, watermark, limits --- */

static bool apply_effects(struct frame *fr, struct image_failure *f)
{
    VipsImage *out = NULL;
    if (effects_hold_pixels(fr->options) && !may_be_held(fr, f))
        return false;
    return effects_apply(fr->image, fr->options, &out, f) && step(fr, 0, &out, f);
}

static bool apply_watermark(struct frame *fr, struct image_failure *f)
{
    struct frame_rules *r = fr->rules;
    VipsImage *out = NULL;
    if (!fr->options->has_watermark || r->watermark.len == 0)
        return true;
    int width = fr->image->Xsize;
    if (!r->mark &&
        (!r->admit_watermark(r->admit_arg, width, f) ||
         !watermark_load(r->watermark, fr->options, width, r->watch->cancel, &r->mark, f)))
        return false;
    return watermark_apply(fr->image, r->mark, fr->options, &out, f) && step(fr, 0, &out, f);
}

static bool result_is_allowed(const struct frame *fr, struct image_failure *f)
{
    uint64_t limit = fr->options->limits.result_side;
    int side = VIPS_MAX(fr->image->Xsize, fr->image->Ysize);
    if (limit == 0 || (uint64_t)side <= limit)
        return true;
    return image_fail(f, 400,
                      "Processed image would be %dx%d, over the %llupx result dimension limit",
                      fr->image->Xsize, fr->image->Ysize, (unsigned long long)limit);
}

static bool fit_to_format(struct frame *fr, struct image_failure *f)
{
    int limit = fr->rules->format->side_max;
    int side = VIPS_MAX(fr->image->Xsize, fr->image->Ysize);
    double scale = (double)limit / side;
    return limit == 0 || side <= limit || scale_by(fr, scale, scale, f);
}

static bool stages(struct frame *fr, struct image_failure *f)
{
    const struct image_options *o = fr->options;
    struct resize_plan plan;
    struct error err = {0};
    if (o->has_trim && !fr->rules->is_animated && !to_working_colours(fr, f))
        return false;
    if (!trim(fr, f) || !crop(fr, f))
        return false;
    if (!resize_plan(o, fr->size, &plan, &err))
        return image_fail(f, 400, "%s", err.message);
    struct turns asked = {o->rotate, o->flip_horizontally, o->flip_vertically};
    return resize(fr, &plan, f) && enlarge(fr, f) && extend(fr, &plan, f) && pad(fr, f) &&
           turn(fr, asked, f) && result_is_allowed(fr, f) && apply_effects(fr, f) &&
           apply_watermark(fr, f) && fit_to_format(fr, f);
}

bool frame_make(struct frame_rules *rules, VipsImage *in, VipsImage **out, struct image_failure *f)
{
    struct frame fr = {.rules = rules,
                       .options = rules->options,
                       .image = in,
                       .size = dimensions_turned(rules->source, rules->turns),
                       .turns = rules->turns};
    *out = NULL;
    if (!stages(&fr, f)) {
        g_clear_object(&fr.image);
        return false;
    }
    *out = fr.image;
    return true;
}

void frame_rules_deinit(struct frame_rules *rules)
{
    g_clear_object(&rules->mark);
}
