/* SPDX-License-Identifier: Apache-2.0 */
/* encode.c: see encode.h. */
#include "encode.h"
#include "encode_private.h"

#include "base/attributes.h"
#include "image_watch.h"
#include "source_load.h"

/* With max_bytes: how much lower each next quality is. */
enum { QUALITY_STEP = 5 };

/* Each takes the reference of `in` and gives one; NULL gives NULL: libvips' error is set. */
static VipsImage *replaced(VipsImage *in, int result, VipsImage **out)
{
    g_object_unref(in);
    return result ? NULL : *out;
}

static VipsImage *first_frame(VipsImage *in, int frame_height)
{
    VipsImage *out = NULL;
    return replaced(in, vips_extract_area(in, &out, 0, 0, in->Xsize, frame_height, NULL), &out);
}

static VipsImage *flattened(VipsImage *in, const struct image_options *o)
{
    VipsImage *out = NULL;
    double unit = in->BandFmt == VIPS_FORMAT_USHORT ? 257 : 1, color[3] = {0};
    for (int band = 0; band < 3 && o->has_background; band++)
        color[band] = o->background[band] * unit;
    if (in->Bands < 3 && (color[0] != color[1] || color[1] != color[2])) {
        in = replaced(
            in,
            vips_colourspace(in, &out,
                             unit > 1 ? VIPS_INTERPRETATION_RGB16 : VIPS_INTERPRETATION_sRGB, NULL),
            &out);
        if (!in)
            return NULL;
    }
    VipsArrayDouble *background = vips_array_double_new(color, in->Bands < 3 ? 1 : 3);
    int result = vips_flatten(in, &out, "background", background, NULL);
    vips_area_unref(VIPS_AREA(background));
    return replaced(in, result, &out);
}

/* What the format can hold of the picture; an image whose header is nobody else's. */
static VipsImage *prepared(const struct picture *p, const struct image_options *o,
                           enum image_format format)
{
    const struct format_traits *traits = format_traits(format);
    bool is_animation = traits->has_animation && p->frames > 1;
    VipsImage *image = g_object_ref(p->image), *out = NULL;
    if (p->frames > 1 && !is_animation)
        image = first_frame(image, p->frame_height);
    if (image && !traits->has_alpha && vips_image_hasalpha(image))
        image = flattened(image, o);
    if (image)
        image = replaced(image, vips_copy(image, &out, NULL), &out);
    if (!image)
        return NULL;
    if (is_animation) {
        vips_image_set_int(image, VIPS_META_PAGE_HEIGHT, p->frame_height);
        vips_image_set_int(image, VIPS_META_N_PAGES, p->frames);
    } else {
        vips_image_remove(image, VIPS_META_PAGE_HEIGHT);
        vips_image_remove(image, VIPS_META_N_PAGES);
    }
    return image;
}

/* --- cancelling --- */

static bool is_cancelled(const atomic_bool *cancel)
{
    return cancel && atomic_load_explicit(cancel, memory_order_relaxed);
}

/* --- writing --- */

/* Writes once. With a limit for bytes, writing ends as soon as it is passed: *is_over, and *out is empty. */
static bool write_once(VipsImage *image, const struct encoding *e, size_t bytes_max,
                       struct buffer *out, bool *is_over)
{
    buffer_reset(out);
    struct sink s = {.out = out, .bytes_max = bytes_max, .fails_quietly = encoder_leaks(e)};
    VipsTarget *target = sink_target(&s);
    /* gifsave of 8.14 does not heed what writing says */
    bool ok = encoder_write(image, target, e) == 0 && !s.is_over;
    g_object_unref(target);
    *is_over = s.is_over;
    if (!ok)
        buffer_reset(out);
    else if (e->metadata != METADATA_ALL)
        metadata_cut_exif(out, e->format);
    return ok;
}

static bool fail_to_encode(enum image_format format, const atomic_bool *cancel, bool is_over,
                           size_t bytes_max, struct image_failure *f)
{
    if (is_cancelled(cancel)) {
        vips_error_clear();
        return image_fail(f, 408, "Request Timeout");
    }
    image_fail_by_vips(f, 500, "Failed to encode image");
    if (is_over)
        return image_fail_cause(f, "the result is larger than %zu bytes", bytes_max);
    struct image_failure encoding = *f;
    if (!format_can_encode(format))
        return image_fail(f, 400, "Unsupported output format: %s", image_format_name(format));
    *f = encoding;
    return false;
}

/* At lower and lower qualities until it fits; the lowest is taken as it is. */
static bool write_within(VipsImage *image, struct encoding *e, uint64_t bytes_wanted,
                         const atomic_bool *cancel, struct buffer *out, struct image_failure *f)
{
    for (;;) {
        bool is_last = bytes_wanted == 0 || e->quality == 1 || !encoder_heeds_quality(image, e),
             is_over;
        size_t limit = out->bytes_max;
        if (!is_last && bytes_wanted < limit)
            limit = (size_t)bytes_wanted;
        if (is_cancelled(cancel))
            return image_fail(f, 408, "Request Timeout");
        if (write_once(image, e, limit, out, &is_over))
            return true;
        if (!is_over || is_last)
            return fail_to_encode(e->format, cancel, is_over, out->bytes_max, f);
        vips_error_clear();
        e->quality = e->quality > QUALITY_STEP ? e->quality - QUALITY_STEP : 1;
    }
}

bool picture_encode(const struct picture *p, const struct image_options *o,
                    enum image_format format, unsigned fallback_quality, const atomic_bool *cancel,
                    struct buffer *out, struct image_failure *f)
{
    unsigned quality = image_options_quality(o, format, fallback_quality);
    struct encoding e = {.options = o, .format = format};
    e.quality = quality < 1 ? 1 : quality > 100 ? 100 : quality;
    VipsImage *image = prepared(p, o, format);
    if (!image)
        return image_fail_operation(f);
    e.metadata = metadata_take_off(image, o, format);
    /* Ends the work while pixels are read. A codec that has them all (WebP, AVIF, HEIF) ends its frame first. */
    struct image_watch watch = {.cancel = cancel, .hides_failures = encoder_leaks(&e)};
    image = image_watch_pixels(image, &watch, false);
    if (image && o->max_bytes && encoder_heeds_quality(image, &e)) {
        if ((int64_t)image->Xsize * image->Ysize > IMAGE_PIXELS_MAX) {
            image_fail(f, 400, "Processed image would be %dx%d, over the %lld pixel limit",
                       image->Xsize, image->Ysize, (long long)IMAGE_PIXELS_MAX);
            g_object_unref(image);
            return false;
        }
        VipsImage *pixels = vips_image_copy_memory(image); /* made once, and written often */
        g_object_unref(image);
        image = image_watch_pixels(pixels, &watch, false);
    }
    if (!image)
        return fail_to_encode(format, cancel, false, out->bytes_max, f);
    bool ok = write_within(image, &e, o->max_bytes, cancel, out, f);
    g_object_unref(image);
    if (!ok || !image_watch_saw_failure(&watch))
        return ok;
    buffer_reset(out);
    return fail_to_encode(format, cancel, false, out->bytes_max, f);
}

bool format_can_encode(enum image_format format)
{
    struct image_options o;
    struct buffer out;
    bool is_over, ok = false;
    image_options_init(&o);
    struct encoding e = {.options = &o, .format = format, .quality = 50};
    VipsImage *black = NULL, *image = NULL;
    buffer_init(&out, MEM_OTHER, 1 << 20);
    if (vips_black(&black, 2, 2, "bands", 3, NULL) == 0 &&
        vips_copy(black, &image, "interpretation", VIPS_INTERPRETATION_sRGB, NULL) == 0)
        ok = write_once(image, &e, out.bytes_max, &out, &is_over);
    if (!ok)
        vips_error_clear();
    g_clear_object(&black);
    g_clear_object(&image);
    buffer_deinit(&out);
    return ok;
}
