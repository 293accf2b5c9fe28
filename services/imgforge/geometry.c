/* SPDX-License-Identifier: Apache-2.0 */
/* geometry.c: see geometry.h. */
#include "geometry.h"

#include <math.h>

static int64_t at_least_one(double v)
{
    return v < 1 ? 1 : (int64_t)v;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* --- resizing --- */

static bool is_portrait(struct dimensions d)
{
    return d.height > d.width;
}

/* A side that was not said is as long as the picture's shape makes it; where the shape does not matter, as the source's. */
static struct dimensions box_of(const struct image_options *o, struct dimensions source)
{
    double ratio = (double)source.width / (double)source.height;
    double width = round(o->width * o->dpr), height = round(o->height * o->dpr);
    if (o->resizing_type == RESIZING_FORCE) {
        width = o->width ? width : (double)source.width;
        height = o->height ? height : (double)source.height;
    } else if (o->width == 0) {
        width = round(height * ratio);
    } else if (o->height == 0) {
        height = round(width / ratio);
    }
    return (struct dimensions){(int64_t)width, (int64_t)height};
}

static enum resizing_type type_of(const struct image_options *o, struct dimensions source,
                                  struct dimensions box)
{
    if (o->resizing_type != RESIZING_AUTO)
        return o->resizing_type;
    return is_portrait(source) == is_portrait(box) ? RESIZING_FILL : RESIZING_FIT;
}

/* Of a picture that is smaller than the box: as much of it as has the box's shape. */
static struct dimensions kept_of_smaller(struct dimensions scaled, struct dimensions box)
{
    double ratio = (double)box.width / (double)box.height;
    double lack_x = (double)box.width / (double)scaled.width,
           lack_y = (double)box.height / (double)scaled.height;
    if (lack_x > lack_y && lack_x > 1)
        return (struct dimensions){scaled.width, at_least_one(round((double)scaled.width / ratio))};
    if (lack_y > lack_x && lack_y > 1)
        return (struct dimensions){at_least_one(round((double)scaled.height * ratio)),
                                   scaled.height};
    return box;
}

bool resize_plan(const struct image_options *o, struct dimensions source, struct resize_plan *out,
                 struct error *err)
{
    *out = (struct resize_plan){1, 1, source, source, source};
    if (o->width == 0 && o->height == 0)
        return true;
    struct dimensions box = {0, 0};
    if (source.width > 0 && source.height > 0)
        box = box_of(o, source);
    if (box.width < 1 || box.height < 1)
        return error_set(err, ERROR_INPUT, "resize resolved to zero dimension");
    enum resizing_type type = type_of(o, source, box);
    double x = (double)box.width / (double)source.width,
           y = (double)box.height / (double)source.height;
    bool fills = type == RESIZING_FILL || type == RESIZING_FILL_DOWN;
    if (fills)
        x = y = fmax(x, y);
    else if (type == RESIZING_FIT)
        x = y = fmin(x, y);
    double largest = fmax(x, y);
    if (!o->enlarge &&
        largest > 1) { /* the side that would grow stays, the other keeps its part of it */
        x /= largest;
        y /= largest;
    }
    out->scale_x = x;
    out->scale_y = y;
    out->box = box;
    out->scaled = (struct dimensions){at_least_one(round((double)source.width * x)),
                                      at_least_one(round((double)source.height * y))};
    out->kept = out->scaled;
    if (fills) {
        struct dimensions kept =
            type == RESIZING_FILL_DOWN && !o->enlarge ? kept_of_smaller(out->scaled, box) : box;
        out->kept = (struct dimensions){smaller(kept.width, out->scaled.width),
                                        smaller(kept.height, out->scaled.height)};
    }
    return true;
}

double minimum_scale(const struct image_options *o, struct dimensions size)
{
    double scale = 1;
    if (size.width > 0 && size.width < o->min_width)
        scale = fmax(scale, (double)o->min_width / (double)size.width);
    if (size.height > 0 && size.height < o->min_height)
        scale = fmax(scale, (double)o->min_height / (double)size.height);
    return scale;
}

static int64_t crop_side(double side, int64_t source)
{
    if (side == 0 || side >= (double)source)
        return source;
    return at_least_one(side < 1 ? round((double)source * side) : side);
}

struct dimensions crop_dimensions(const struct image_options *o, struct dimensions source)
{
    return (struct dimensions){crop_side(o->crop_width, source.width),
                               crop_side(o->crop_height, source.height)};
}

struct dimensions extended_to_ratio(struct dimensions size, struct dimensions box)
{
    double have = (double)size.width / (double)size.height,
           want = (double)box.width / (double)box.height;
    if (want > have) {
        int64_t width = (int64_t)round((double)size.height * want);
        return (struct dimensions){width > size.width ? width : size.width, size.height};
    }
    int64_t height = (int64_t)round((double)size.width / want);
    return (struct dimensions){size.width, height > size.height ? height : size.height};
}

/* --- windows --- */

static int64_t nearest_even(double v)
{
    return (int64_t)(round(v / 2) * 2);
}

/* The lower even number at or below half of it; towards zero. */
static int64_t half_even(int64_t v)
{
    int64_t half = v / 2;
    return half - half % 2;
}

/* Which end of the axis: -1 the near one (west, north), 1 the far one, 0 neither. */
static int side_x(enum gravity_anchor a)
{
    bool west = a == GRAVITY_WEST || a == GRAVITY_NORTH_WEST || a == GRAVITY_SOUTH_WEST;
    bool east = a == GRAVITY_EAST || a == GRAVITY_NORTH_EAST || a == GRAVITY_SOUTH_EAST;
    return east - west;
}

static int side_y(enum gravity_anchor a)
{
    bool north = a == GRAVITY_NORTH || a == GRAVITY_NORTH_EAST || a == GRAVITY_NORTH_WEST;
    bool south = a == GRAVITY_SOUTH || a == GRAVITY_SOUTH_EAST || a == GRAVITY_SOUTH_WEST;
    return south - north;
}

static int64_t place_on_axis(int64_t outer, int64_t inner, int side, double offset,
                             double offset_scale)
{
    int64_t by = nearest_even(fabs(offset) >= 1 ? offset * offset_scale : (double)outer * offset);
    return side < 0 ? by : side > 0 ? outer - inner - by : half_even(outer - inner + 1) + by;
}

static int64_t clamp(int64_t v, int64_t low, int64_t high)
{
    return v < low ? low : v > high ? high : v;
}

struct window window_place(struct dimensions outer, struct dimensions inner, struct gravity gravity,
                           double offset_scale, bool may_overflow)
{
    /* An offset from a URL may be any number: beyond this no picture reaches. */
    double x = fmax(-1e9, fmin(gravity.x, 1e9)), y = fmax(-1e9, fmin(gravity.y, 1e9));
    struct window w = {0, 0, inner.width, inner.height};
    if (gravity.anchor == GRAVITY_FOCUS_POINT) {
        w.left = nearest_even((double)outer.width * x) - inner.width / 2;
        w.top = nearest_even((double)outer.height * y) - inner.height / 2;
    } else {
        w.left = place_on_axis(outer.width, inner.width, side_x(gravity.anchor), x, offset_scale);
        w.top = place_on_axis(outer.height, inner.height, side_y(gravity.anchor), y, offset_scale);
    }
    if (may_overflow) {
        w.left = clamp(w.left, 1 - inner.width, outer.width - 1);
        w.top = clamp(w.top, 1 - inner.height, outer.height - 1);
    } else {
        w.left = clamp(w.left, 0, outer.width > inner.width ? outer.width - inner.width : 0);
        w.top = clamp(w.top, 0, outer.height > inner.height ? outer.height - inner.height : 0);
    }
    return w;
}

/* --- turns --- */

struct turns turns_of_orientation(int orientation)
{
    static const struct turns TURNS[9] = {
        [2] = {0, true, false},   [3] = {180, false, false}, [4] = {0, false, true},
        [5] = {90, true, false},  [6] = {90, false, false},  [7] = {270, true, false},
        [8] = {270, false, false}};
    return orientation >= 1 && orientation <= 8 ? TURNS[orientation] : TURNS[0];
}

struct dimensions dimensions_turned(struct dimensions size, struct turns turns)
{
    return turns.rotate % 180 ? (struct dimensions){size.height, size.width} : size;
}

struct window window_before_turns(struct window w, struct dimensions after, struct turns turns)
{
    if (turns.flip_horizontally)
        w.left = after.width - w.left - w.width;
    if (turns.flip_vertically)
        w.top = after.height - w.top - w.height;
    for (unsigned turn = turns.rotate / 90; turn > 0; turn--) { /* back by 90: right becomes top */
        w = (struct window){w.top, after.width - w.left - w.width, w.height, w.width};
        after = (struct dimensions){after.height, after.width};
    }
    return w;
}
