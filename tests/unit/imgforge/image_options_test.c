/* SPDX-License-Identifier: Apache-2.0 */
#include "image_options.h"

#include "base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct arena arena;

static bool read_options(const char *text, struct image_options *out, struct error *err)
{
    struct image_option *options;
    size_t count;
    image_options_init(out);
    return image_options_split(&arena, view_from(text), &options, &count, err) &&
           image_options_read(&arena, options, count, out, err);
}

static struct image_options good(const char *text)
{
    struct image_options o;
    struct error err = {0};
    if (!read_options(text, &o, &err))
        fail_msg("%s: %s", text, err.message);
    return o;
}

#define ASSERT_IS(text, condition)                                                                 \
    do {                                                                                           \
        struct image_options o = good(text);                                                       \
        if (!(condition))                                                                          \
            fail_msg("%s: not %s", text, #condition);                                              \
    } while (0)

static void sizes_are_read(void **state)
{
    ASSERT_IS("", o.width == 0 && o.height == 0 && o.resizing_type == RESIZING_FIT && !o.enlarge);
    ASSERT_IS("rs:fill:300:200",
              o.width == 300 && o.height == 200 && o.resizing_type == RESIZING_FILL);
    ASSERT_IS("resize:fill-down:300:200:1:1:no:1:2",
              o.resizing_type == RESIZING_FILL_DOWN && o.enlarge && o.extend.is_on &&
                  o.extend.gravity.anchor == GRAVITY_NORTH && o.extend.gravity.y == 2);
    ASSERT_IS("rs:fill_down:1", o.resizing_type == RESIZING_FILL_DOWN);
    ASSERT_IS("rs:fill::200", o.width == 0 && o.height == 200);
    ASSERT_IS("rs::300:200", o.resizing_type == RESIZING_FIT && o.width == 300);
    ASSERT_IS("rt:force/s:300:200:t",
              o.resizing_type == RESIZING_FORCE && o.width == 300 && o.enlarge);
    ASSERT_IS("s:300:200/s:100", o.width == 100 && o.height == 200);
    ASSERT_IS("w:300/h:200", o.width == 300 && o.height == 200 && o.resizing_type == RESIZING_FIT);
    ASSERT_IS("rt:fill/w:300/h:200",
              o.width == 300 && o.height == 200 && o.resizing_type == RESIZING_FILL);
    ASSERT_IS("rs:fit:10:20/w:300", o.width == 10);
    ASSERT_IS("w:300/rs:fit:10:20", o.width == 10);
    ASSERT_IS("mw:5/min_height:6/min-width:7", o.min_width == 7 && o.min_height == 6);
    ASSERT_IS("z:2", o.zoom_x == 2 && o.zoom_y == 2);
    ASSERT_IS("z:2:0.5", o.zoom_x == 2 && o.zoom_y == 0.5);
    ASSERT_IS("dpr:2.5", o.dpr == 2.5 && o.has_dpr);
    ASSERT_IS("el:1/el:false", !o.enlarge);
    ASSERT_IS("el:yes", !o.enlarge);
    ASSERT_IS("ex:1:soea/exar:true",
              o.extend.gravity.anchor == GRAVITY_SOUTH_EAST && o.extend_aspect_ratio.is_on);
    ASSERT_IS("ra:nearest", o.resizing_algorithm == ALGORITHM_NEAREST);
}

static void what_is_cut_and_added_is_read(void **state)
{
    ASSERT_IS("g:fp:0.25:0.75", o.gravity.anchor == GRAVITY_FOCUS_POINT && o.gravity.x == 0.25 &&
                                    o.gravity.y == 0.75);
    ASSERT_IS("g:sm", o.gravity.anchor == GRAVITY_SMART);
    ASSERT_IS("g:ea:-10:0.1",
              o.gravity.anchor == GRAVITY_EAST && o.gravity.x == -10 && o.gravity.y == 0.1);
    ASSERT_IS("c:100:0.5",
              o.has_crop && o.crop_width == 100 && o.crop_height == 0.5 && !o.has_crop_gravity);
    ASSERT_IS("crop:100:50:no", o.has_crop_gravity && o.crop_gravity.anchor == GRAVITY_NORTH);
    ASSERT_IS("t:10", o.has_trim && o.trim_threshold == 10 && !o.has_trim_color);
    ASSERT_IS("t:10:ff00aa:1:1", o.has_trim_color && o.trim_color[0] == 255 &&
                                     o.trim_color[2] == 0xaa && o.trim_equal_h && o.trim_equal_v);
    ASSERT_IS("t:10::1", !o.has_trim_color && o.trim_equal_h);
    ASSERT_IS("pd:1",
              o.padding[0] == 1 && o.padding[1] == 1 && o.padding[2] == 1 && o.padding[3] == 1);
    ASSERT_IS("pd:1:2",
              o.padding[0] == 1 && o.padding[1] == 2 && o.padding[2] == 1 && o.padding[3] == 2);
    ASSERT_IS("pd:1:2:3",
              o.padding[0] == 1 && o.padding[1] == 2 && o.padding[2] == 3 && o.padding[3] == 2);
    ASSERT_IS("pd:1:2:3:4", o.padding[2] == 3 && o.padding[3] == 4);
    ASSERT_IS("", o.auto_rotate);
    ASSERT_IS("ar:0/rot:270/fl:1:0",
              !o.auto_rotate && o.rotate == 270 && o.flip_horizontally && !o.flip_vertically);
    ASSERT_IS("rotate:90/rotation:180", o.rotate == 180);
    ASSERT_IS("fl::1", !o.flip_horizontally && o.flip_vertically);
}

static void colours_and_effects_are_read(void **state)
{
    ASSERT_IS("bg:ff8000", o.has_background && o.background[0] == 255 && o.background[1] == 128 &&
                               o.background[3] == 255);
    ASSERT_IS("bg:#ff800040", o.background[3] == 0x40);
    ASSERT_IS("bg:1:2:3", o.background[0] == 1 && o.background[2] == 3 && o.background[3] == 255);
    ASSERT_IS("bg:ffffff/bg:", !o.has_background);
    ASSERT_IS("bga:0.5/bg:ffffff", o.background[3] == 128);
    ASSERT_IS("bg:ffffff/bga:0.5", o.background[3] == 128);
    ASSERT_IS("a:-10:1.5:0.5", o.brightness == -10 && o.contrast == 1.5 && o.saturation == 0.5);
    ASSERT_IS("br:255/co:2/a::3", o.brightness == 255 && o.contrast == 3 && o.saturation == 1);
    ASSERT_IS("bl:1.5/sh:20/pix:8", o.blur == 1.5 && o.sharpen == 20 && o.pixelate == 8);
    ASSERT_IS("wm:0.5", o.has_watermark && o.watermark_opacity == 0.5 &&
                            o.watermark_gravity.anchor == GRAVITY_CENTER);
    ASSERT_IS("wm:1:re:10:20:0.3", o.watermark_gravity.anchor == GRAVITY_REPLICATE &&
                                       o.watermark_gravity.x == 10 && o.watermark_scale == 0.3);
    ASSERT_IS("wmu:aHR0cDovL28udGVzdC93LnBuZw", view_is(o.watermark_url, "http://o.test/w.png"));
}

static void results_are_read(void **state)
{
    ASSERT_IS("f:jpg", o.format == IMAGE_FORMAT_JPEG);
    ASSERT_IS("format:HEIC", o.format == IMAGE_FORMAT_HEIF);
    ASSERT_IS("ext:webp/f:tif", o.format == IMAGE_FORMAT_TIFF);
    ASSERT_IS("q:0", o.quality == 1);
    ASSERT_IS("q:255", o.quality == 100);
    ASSERT_IS("fq:jpeg:50:webp:60", image_options_quality(&o, IMAGE_FORMAT_JPEG, 85) == 50 &&
                                        image_options_quality(&o, IMAGE_FORMAT_WEBP, 85) == 60 &&
                                        image_options_quality(&o, IMAGE_FORMAT_PNG, 85) == 85);
    ASSERT_IS("q:70/fq:jpeg:50", image_options_quality(&o, IMAGE_FORMAT_JPEG, 85) == 70);
    ASSERT_IS("mb:100000", o.max_bytes == 100000);
    ASSERT_IS("sm:1/kcr:/scp:0/ph:t/eth:true", o.strip_metadata && o.keep_copyright &&
                                                   !o.strip_color_profile && o.preserve_hdr &&
                                                   o.enforce_thumbnail);
    ASSERT_IS("jpgo:1:0:1:1:1:8", o.jpeg_progressive && !o.jpeg_no_subsample && o.jpeg_trellis &&
                                      o.jpeg_quant_table == 8);
    ASSERT_IS("pngo:1:1:16", o.png_interlaced && o.png_quantize && o.png_colors == 16);
    ASSERT_IS("webpo:1::photo", o.webp_lossless && o.webp_preset == WEBP_PHOTO);
    ASSERT_IS("webpo:::odd", o.webp_preset == WEBP_DEFAULT);
    ASSERT_IS("avifo:1/pg:2/pgs:3/da:1",
              o.avif_no_subsample && o.page == 2 && o.pages == 3 && o.disable_animation);
    ASSERT_IS("skp:gif:PNG",
              o.skip_processing == (1u << IMAGE_FORMAT_GIF | 1u << IMAGE_FORMAT_PNG));
    ASSERT_IS("raw", o.raw);
    ASSERT_IS("raw:0", !o.raw);
    ASSERT_IS("cb:v2/exp:1700000000/att:1",
              view_is(o.cachebuster, "v2") && o.expires == 1700000000 && o.return_attachment);
    ASSERT_IS("fn:a.png", view_is(o.filename, "a.png"));
    ASSERT_IS("fn:w6kucG5n:1", view_is(o.filename, "é.png"));
    ASSERT_IS("msr:10.5/msfs:1000/mrd:4000/maf:5/mafr:0.000001",
              o.limits.source_pixels == 10500000 && o.limits.source_bytes == 1000 &&
                  o.limits.result_side == 4000 && o.limits.animation_frames == 5 &&
                  o.limits.animation_frame_pixels == 1);
    ASSERT_IS("unknown:1:2/nothing", !o.raw);
}

static const struct {
    const char *options, *message;
} ERRORS[] = {
    {"dpr:0.5", "dpr value must be between 1.0 and 5.0"},
    {"dpr:5.01", "dpr value must be between 1.0 and 5.0"},
    {"dpr:nan", "invalid dpr value \"nan\""},
    {"dpr:", "dpr option requires one argument"},
    {"w:-1", "invalid width value \"-1\""},
    {"w:4294967296", "invalid width value \"4294967296\""},
    {"h:1.5", "invalid height value \"1.5\""},
    {"rs:stretch:1:1", "resizing_type must be one of: fit, fill, fill-down, force, auto"},
    {"ra:mitchell", "Invalid resizing algorithm: mitchell. Must be one of: nearest, linear, cubic, "
                    "lanczos2, lanczos3"},
    {"g:up", "gravity must be one of: ce, no, so, ea, we, noea, nowe, soea, sowe, fp, sm"},
    {"g:fp:2:0", "focus point gravity coordinates must be between 0 and 1"},
    {"g:ce:inf", "invalid gravity x offset value \"inf\""},
    {"ex:1:sm", "extend gravity must be one of: ce, no, so, ea, we, noea, nowe, soea, sowe, fp"},
    {"c:-1:5", "crop width must be a finite non-negative number"},
    {"c", "crop option requires one argument"},
    {"t:-1", "trim threshold must be a finite non-negative number"},
    {"t:1:red", "invalid trim color"},
    {"pd:a", "invalid padding value \"a\""},
    {"rot:45", "rotation must be one of: 0, 90, 180, 270"},
    {"bg:12345", "invalid background color"},
    {"bg:1:2:256", "invalid background blue channel value \"256\""},
    {"bga:1.1", "background_alpha must be a finite number between 0 and 1"},
    {"br:256", "brightness must be between -255 and 255"},
    {"br:x", "invalid brightness value \"x\""},
    {"co:0", "contrast must be a finite positive number"},
    {"bl:-1", "blur must be a finite positive number"},
    {"z:0", "zoom must be a finite positive number"},
    {"wm:2", "watermark opacity must be a finite number between 0 and 1"},
    {"wm:1:fp",
     "watermark position must be one of: ce, no, so, ea, we, noea, nowe, soea, sowe, re"},
    {"wm:1:ce:0:0:-1", "watermark scale must be a finite non-negative number"},
    {"wmu:!", "invalid Base64 for watermark_url"},
    {"f:bmp", "Unsupported output format: bmp"},
    {"q:256", "invalid quality value \"256\""},
    {"fq:jpeg", "format_quality option requires format:quality pairs"},
    {"jpgo::::::9", "jpeg quant_table must be between 0 and 8"},
    {"pngo:0:1:257", "png colors must be between 2 and 256"},
    {"pgs:0", "pages must be greater than zero"},
    {"skp", "skip_processing option requires at least one argument"},
    {"exp:soon", "invalid expires value \"soon\""},
    {"fn:_w:1", "invalid Base64 for filename"},
    {"msr:0", "invalid max_src_resolution: must be a finite positive number of megapixels"},
    {"msr:0.0000001", "invalid max_src_resolution: must allow at least one pixel"},
    {"msr:1e300", "invalid max_src_resolution: is too large to represent as a pixel count"},
    {"msfs:0", "invalid max_src_file_size: must be a positive integer number of bytes"},
    {"mrd:x", "invalid max_result_dimension: must be a positive integer number of pixels"},
};

static void what_is_wrong_is_said(void **state)
{
    for (size_t i = 0; i < sizeof(ERRORS) / sizeof(ERRORS[0]); i++) {
        struct image_options o;
        struct error err = {0};
        if (read_options(ERRORS[i].options, &o, &err))
            fail_msg("%s was taken", ERRORS[i].options);
        if (err.kind != ERROR_INPUT || strcmp(err.message, ERRORS[i].message) != 0)
            fail_msg("%s: %s", ERRORS[i].options, err.message);
    }
}

static int setup(void **state)
{
    arena_init(&arena, MEM_OTHER, 0);
    return 0;
}

static int teardown(void **state)
{
    arena_deinit(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_read),
        cmocka_unit_test(what_is_cut_and_added_is_read),
        cmocka_unit_test(colours_and_effects_are_read),
        cmocka_unit_test(results_are_read),
        cmocka_unit_test(what_is_wrong_is_said),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
