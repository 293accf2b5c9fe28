/* SPDX-License-Identifier: Apache-2.0 */
#include "encode.h"

#include "picture_samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* --- help --- */

static struct buffer file;

static struct picture picture_of(VipsImage *image)
{
    return (struct picture){.image = image,
                            .source = {image->Xsize, image->Ysize},
                            .frames = 1,
                            .frame_height = image->Ysize};
}

static struct image_options plain_options(void)
{
    struct image_options o;
    image_options_init(&o);
    return o;
}

/* Writes into `file`. */
static void encode(const struct picture *p, const struct image_options *o, enum image_format format)
{
    struct image_failure f = {0};
    if (!picture_encode(p, o, format, 80, NULL, &file, &f))
        fail_msg("%s: %d %s (%s)", image_format_name(format), f.status, f.text, f.cause);
}

static void encode_image(VipsImage *image, const struct image_options *o, enum image_format format)
{
    struct picture p = picture_of(image);
    encode(&p, o, format);
}

static VipsImage *decoded(const char *options)
{
    VipsImage *image = vips_image_new_from_buffer(file.ptr, file.len, options, NULL);
    if (!image)
        fail_msg("%s", vips_error_buffer());
    return image;
}

/* Without its alpha. */
static VipsImage *first_bands(VipsImage **image, int count)
{
    VipsImage *out = NULL;
    assert_int_equal(vips_extract_band(*image, &out, 0, "n", count, NULL), 0);
    g_object_unref(*image);
    return *image = out;
}

/* --- formats --- */

/* All but HEIF are there wherever we build; HEIF where libheif has x265. */
static void formats_can_be_written(void **state)
{
    (void)state;
    for (int format = IMAGE_FORMAT_JPEG; format < IMAGE_FORMAT_HEIF; format++)
        assert_true(format_can_encode((enum image_format)format));
    bool has_heif = format_can_encode(IMAGE_FORMAT_HEIF);
    VipsImage *image = sample_scene(16, 16, 3, false);
    struct picture p = picture_of(image);
    struct image_options o = plain_options();
    struct image_failure f = {0};
    assert_int_equal(picture_encode(&p, &o, IMAGE_FORMAT_HEIF, 80, NULL, &file, &f), has_heif);
    if (!has_heif) {
        assert_int_equal(f.status, 400);
        assert_string_equal(f.text, "Unsupported output format: heif");
    }
    g_object_unref(image);
}

static const struct {
    enum image_format format;
    double distance_max;
} ROUND_TRIPS[] = {
    {IMAGE_FORMAT_JPEG, 8}, {IMAGE_FORMAT_PNG, 0},  {IMAGE_FORMAT_WEBP, 9}, {IMAGE_FORMAT_GIF, 12},
    {IMAGE_FORMAT_TIFF, 8}, {IMAGE_FORMAT_AVIF, 9}, {IMAGE_FORMAT_HEIF, 9},
};

/* Each shape of pixels comes back from each format with its size, its alpha where the format has one, and nearly its values. */
static void pictures_come_back(void **state)
{
    (void)state;
    struct image_options o = plain_options();
    for (size_t i = 0; i < sizeof(ROUND_TRIPS) / sizeof(ROUND_TRIPS[0]); i++)
        for (int bands = 1; bands <= 4; bands++) {
            enum image_format format = ROUND_TRIPS[i].format;
            if (format == IMAGE_FORMAT_HEIF && !format_can_encode(format))
                continue;
            VipsImage *image = sample_scene(64, 48, bands, false);
            encode_image(image, &o, format);
            assert_int_equal(source_kind_format(source_kind_sniff(buffer_view(&file))), format);
            VipsImage *back = decoded("");
            assert_int_equal(back->Xsize, 64);
            assert_int_equal(back->Ysize, 48);
            bool has_alpha = bands % 2 == 0 && format_traits(format)->has_alpha;
            /* GIF is read with alpha or not by what its palette has */
            if (format != IMAGE_FORMAT_GIF && vips_image_hasalpha(back) != has_alpha)
                fail_msg("%s of %d bands has %d", image_format_name(format), bands, back->Bands);
            if (bands == 3) {
                double distance = sample_distance(image, first_bands(&back, 3));
                if (distance < 0 || distance > ROUND_TRIPS[i].distance_max)
                    fail_msg("%s: differs by %g", image_format_name(format), distance);
            }
            g_object_unref(back);
            g_object_unref(image);
        }
}

static int start(void **state)
{
    (void)state;
    buffer_init(&file, MEM_OTHER, 64 << 20);
    return VIPS_INIT("encode_test");
}

static int stop(void **state)
{
    (void)state;
    buffer_deinit(&file);
    vips_shutdown();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_can_be_written),
        cmocka_unit_test(pictures_come_back),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
