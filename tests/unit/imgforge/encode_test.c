/* SPDX-License-Identifier: Apache-2.0 */
#include "encode_private.h"

#include "image_fixtures.h"
#include "picture_samples.h"

#include <math.h>
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

/* --- what files are made of --- */

static unsigned byte_at(size_t at)
{
    return at < file.len ? (uint8_t)file.ptr[at] : 0;
}

static unsigned u16be_at(size_t at)
{
    return byte_at(at) << 8 | byte_at(at + 1);
}

static unsigned u32be_at(size_t at)
{
    return u16be_at(at) << 16 | u16be_at(at + 2);
}

static unsigned u32le_at(size_t at)
{
    return byte_at(at) | byte_at(at + 1) << 8 | byte_at(at + 2) << 16 | byte_at(at + 3) << 24;
}

/* Where the first segment of JPEG is that has this marker; 0: nowhere before the pixels. */
static size_t jpeg_segment(unsigned marker)
{
    for (size_t at = 2; at + 4 < file.len && byte_at(at) == 0xFF; at += 2 + u16be_at(at + 2)) {
        if (byte_at(at + 1) == marker)
            return at;
        if (byte_at(at + 1) == 0xDA)
            break;
    }
    return 0;
}

static unsigned jpeg_scans(void)
{
    unsigned scans = 0;
    for (size_t at = 0; at + 1 < file.len; at++)
        scans += byte_at(at) == 0xFF && byte_at(at + 1) == 0xDA;
    return scans;
}

/* Sampling factors of the first component, as one number of hexadecimal digits: 22 is 4:2:0, 11 is 4:4:4. */
static unsigned jpeg_sampling(void)
{
    size_t frame = jpeg_segment(0xC0) ? jpeg_segment(0xC0) : jpeg_segment(0xC2);
    assert_true(frame > 0);
    return byte_at(frame + 11);
}

/* Where the first chunk of a PNG or of a WebP is that has this name; 0: nowhere. */
static size_t png_chunk(const char *name)
{
    for (size_t at = 8; at + 12 <= file.len; at += 12 + u32be_at(at))
        if (memcmp(file.ptr + at + 4, name, 4) == 0)
            return at;
    return 0;
}

static size_t webp_chunk(const char *name)
{
    for (size_t at = 12; at + 8 <= file.len; at += 8 + ((u32le_at(at + 4) + 1) & ~1U))
        if (memcmp(file.ptr + at, name, 4) == 0)
            return at;
    return 0;
}

static bool file_has(const char *bytes, size_t len)
{
    return memmem(file.ptr, file.len, bytes, len) != NULL;
}

/* Tag of the first directory of a little TIFF; its value when it is short. */
static unsigned tiff_value(unsigned tag)
{
    size_t at = u32le_at(4), count = byte_at(at) | byte_at(at + 1) << 8;
    assert_memory_equal(file.ptr, "II*", 4);
    for (size_t i = 0; i < count; i++)
        if ((byte_at(at + 2 + 12 * i) | byte_at(at + 3 + 12 * i) << 8) == tag)
            return byte_at(at + 10 + 12 * i) | byte_at(at + 11 + 12 * i) << 8;
    return 0;
}

/* The third byte of AV1's configuration: 4:2:0 has both bits of subsampling, 4:4:4 none; bits of depth. */
static unsigned av1_configuration(void)
{
    const char *box = memmem(file.ptr, file.len, "av1C", 4);
    assert_non_null(box);
    return (uint8_t)box[6];
}

static void encode_scene(const char *options, enum image_format format)
{
    struct image_options o = fixture_options(options);
    VipsImage *image = sample_scene(96, 64, 3, false);
    encode_image(image, &o, format);
    g_object_unref(image);
}

/* --- options --- */

static void jpeg_options_show_in_the_file(void **state)
{
    (void)state;
    encode_scene("", IMAGE_FORMAT_JPEG);
    assert_true(jpeg_segment(0xC0) > 0 && jpeg_scans() == 1);
    assert_int_equal(jpeg_sampling(), 0x22);
    size_t len = file.len;
    encode_scene("jpgo:1", IMAGE_FORMAT_JPEG);
    assert_true(jpeg_segment(0xC2) > 0 && jpeg_segment(0xC0) == 0 && jpeg_scans() > 1);
    encode_scene("jpgo:0:1", IMAGE_FORMAT_JPEG);
    assert_int_equal(jpeg_sampling(), 0x11);
    encode_scene("q:89", IMAGE_FORMAT_JPEG);
    assert_int_equal(jpeg_sampling(), 0x22);
    encode_scene("q:90", IMAGE_FORMAT_JPEG);
    assert_int_equal(jpeg_sampling(), 0x11);
    encode_scene("q:30", IMAGE_FORMAT_JPEG);
    assert_true(file.len < len);
    /* MozJPEG's: where it is not, they are taken and change nothing. */
    encode_scene("jpgo:1:0:1:1:1:3", IMAGE_FORMAT_JPEG);
    assert_true(jpeg_segment(0xC2) > 0);
}

static void png_options_show_in_the_file(void **state)
{
    enum { DEPTH = 24, COLOR = 25, INTERLACE = 28, PALETTE = 3 };
    static const struct {
        const char *options;
        unsigned depth, colors;
    } PALETTES[] = {{"pngo:0:1", 8, 256},   {"pngo:0:1:256", 8, 256}, {"pngo:0:1:17", 8, 256},
                    {"pngo:0:1:16", 4, 16}, {"pngo:0:1:4", 2, 4},     {"pngo:0:1:2", 1, 2}};
    (void)state;
    encode_scene("", IMAGE_FORMAT_PNG);
    assert_int_equal(byte_at(COLOR), 2);
    assert_int_equal(byte_at(INTERLACE), 0);
    encode_scene("pngo:1", IMAGE_FORMAT_PNG);
    assert_int_equal(byte_at(INTERLACE), 1);
    for (size_t i = 0; i < sizeof(PALETTES) / sizeof(PALETTES[0]); i++) {
        encode_scene(PALETTES[i].options, IMAGE_FORMAT_PNG);
        assert_int_equal(byte_at(COLOR), PALETTE);
        assert_int_equal(byte_at(DEPTH), PALETTES[i].depth);
        size_t palette = png_chunk("PLTE");
        assert_true(palette > 0 && u32be_at(palette) / 3 <= PALETTES[i].colors);
    }
}

static void webp_options_show_in_the_file(void **state)
{
    (void)state;
    VipsImage *image = sample_scene(96, 64, 3, false), *back;
    encode_scene("", IMAGE_FORMAT_WEBP);
    assert_true(webp_chunk("VP8 ") > 0 && webp_chunk("VP8L") == 0);
    encode_scene("webpo:1", IMAGE_FORMAT_WEBP);
    assert_true(webp_chunk("VP8L") > 0);
    back = decoded("");
    assert_true(sample_distance(image, back) == 0);
    g_object_unref(back);
    g_object_unref(image);

    static const char *const OPTIONS[] = {"",
                                          "webpo:0:1",
                                          "webpo:0:0:picture",
                                          "webpo:0:0:drawing",
                                          "webpo:0:0:icon",
                                          "webpo:0:0:text",
                                          "q:40"};
    uint32_t sums[7] = {0};
    for (size_t i = 0; i < 7; i++) {
        encode_scene(OPTIONS[i], IMAGE_FORMAT_WEBP);
        for (size_t at = 0; at < file.len; at++)
            sums[i] = sums[i] * 31 + byte_at(at);
        assert_true(i == 0 || sums[i] != sums[0]);
    }
}

static void tiff_is_packed_by_quality_and_pixels(void **state)
{
    enum { COMPRESSION = 259, JPEG = 7, LZW = 5 };
    static const struct {
        const char *options;
        int bands;
        bool is_deep;
        unsigned compression;
    } CASES[] = {{"q:99", 3, false, JPEG},
                 {"q:100", 3, false, LZW},
                 {"", 1, false, JPEG},
                 {"", 4, false, LZW},
                 {"ph:1", 3, true, LZW}};
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct image_options o = fixture_options(CASES[i].options);
        VipsImage *image = sample_scene(96, 64, CASES[i].bands, CASES[i].is_deep), *back;
        encode_image(image, &o, IMAGE_FORMAT_TIFF);
        assert_int_equal(tiff_value(COMPRESSION), CASES[i].compression);
        back = decoded("");
        double distance = sample_distance(image, back);
        assert_true(distance >= 0 && (CASES[i].compression == JPEG || distance == 0));
        g_object_unref(back);
        g_object_unref(image);
    }
}

static void avif_options_show_in_the_file(void **state)
{
    enum { HIGH_DEPTH = 0x40, TWELVE = 0x20, SUBSAMPLED = 0x0C };
    (void)state;
    encode_scene("", IMAGE_FORMAT_AVIF);
    assert_memory_equal(file.ptr + 4, "ftypavif", 8);
    assert_int_equal(av1_configuration() & (HIGH_DEPTH | SUBSAMPLED), SUBSAMPLED);
    encode_scene("avifo:1", IMAGE_FORMAT_AVIF);
    assert_int_equal(av1_configuration() & SUBSAMPLED, 0);
    encode_scene("q:90", IMAGE_FORMAT_AVIF);
    assert_int_equal(av1_configuration() & SUBSAMPLED, 0);

    /* Of deep pixels with and without alpha, halved colours and not: some depths make libaom end the process. */
    for (int bands = 3; bands <= 4; bands++)
        for (int off = 0; off < 2; off++) {
            struct image_options o = fixture_options(off ? "ph:1/avifo:1" : "ph:1");
            VipsImage *image = sample_scene(96, 64, bands, true);
            encode_image(image, &o, IMAGE_FORMAT_AVIF);
            assert_int_equal(av1_configuration() & (HIGH_DEPTH | TWELVE), HIGH_DEPTH | TWELVE);
            if (format_can_encode(IMAGE_FORMAT_HEIF))
                encode_image(image, &o, IMAGE_FORMAT_HEIF);
            g_object_unref(image);
        }
}

static void deep_pixels_stay_deep(void **state)
{
    static const enum image_format FORMATS[] = {IMAGE_FORMAT_PNG, IMAGE_FORMAT_TIFF,
                                                IMAGE_FORMAT_AVIF};
    (void)state;
    for (size_t i = 0; i < sizeof(FORMATS) / sizeof(FORMATS[0]); i++) {
        struct image_options o = fixture_options("ph:1/q:95");
        VipsImage *image = sample_scene(96, 64, 3, true), *back;
        encode_image(image, &o, FORMATS[i]);
        back = decoded("");
        assert_int_equal(back->BandFmt, VIPS_FORMAT_USHORT);
        assert_true(format_traits(FORMATS[i])->has_deep_pixels);
        if (FORMATS[i] != IMAGE_FORMAT_AVIF)
            assert_true(sample_distance(image, back) == 0);
        g_object_unref(back);
        g_object_unref(image);
    }
}

/* --- alpha --- */

static void formats_without_alpha_are_laid_on_the_background(void **state)
{
    static const struct {
        const char *options;
        int bands;
        double color[3];
    } CASES[] = {{"", 4, {0, 0, 0}},
                 {"bg:ff0000", 4, {255, 0, 0}},
                 {"bg:808080", 2, {128, 128, 128}},
                 {"bg:0000ff", 2, {0, 0, 255}},
                 {"", 2, {0, 0, 0}}};
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct image_options o = fixture_options(CASES[i].options);
        uint16_t values[16 * 16 * 4] = {0};
        VipsImage *image = sample_of(values, 16, 16, CASES[i].bands, false), *back, *rgb = NULL;
        encode_image(image, &o, IMAGE_FORMAT_JPEG);
        back = decoded("");
        assert_int_equal(vips_colourspace(back, &rgb, VIPS_INTERPRETATION_sRGB, NULL), 0);
        for (int band = 0; band < 3; band++)
            assert_true(fabs(sample_at(rgb, 8, 8, band) - CASES[i].color[band]) <= 3);
        g_object_unref(rgb);
        g_object_unref(back);
        g_object_unref(image);
    }
}

/* --- animations --- */

static struct picture animation(int frames)
{
    struct picture p = picture_of(fixture_animation(32, 24, frames));
    p.frames = frames;
    p.frame_height = 24;
    return p;
}

static void animations_keep_frames_and_times(void **state)
{
    static const enum image_format FORMATS[] = {IMAGE_FORMAT_GIF, IMAGE_FORMAT_WEBP};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct picture p = animation(3);
        struct image_options o = fixture_options(i ? "sm:1/scp:1" : "");
        int *delays, count, loop;
        encode(&p, &o, FORMATS[i]);
        VipsImage *back = decoded("n=-1");
        assert_int_equal(vips_image_get_n_pages(back), 3);
        assert_int_equal(vips_image_get_page_height(back), 24);
        assert_int_equal(vips_image_get_array_int(back, "delay", &delays, &count), 0);
        assert_true(count >= 3 && delays[0] == 100 && delays[1] == 200 && delays[2] == 300);
        assert_int_equal(vips_image_get_int(back, "loop", &loop), 0);
        g_object_unref(back);
        g_object_unref(p.image);
    }
}

static void formats_of_one_frame_get_the_first(void **state)
{
    static const enum image_format FORMATS[] = {IMAGE_FORMAT_JPEG, IMAGE_FORMAT_PNG,
                                                IMAGE_FORMAT_TIFF};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct picture p = animation(3);
        struct image_options o = fixture_options("");
        encode(&p, &o, FORMATS[i]);
        VipsImage *back = decoded("");
        assert_int_equal(back->Ysize, 24);
        assert_true(sample_at(back, 16, 12, 0) > 200 && sample_at(back, 16, 12, 1) < 50);
        g_object_unref(back);
        g_object_unref(p.image);
    }
}

/* --- metadata --- */

static VipsImage *with_metadata(void)
{
    VipsImage *image = sample_scene(64, 48, 3, false), *out = NULL;
    assert_int_equal(vips_copy(image, &out, NULL), 0);
    g_object_unref(image);
    VipsBlob *profile = NULL;
    assert_int_equal(vips_profile_load("srgb", &profile, NULL), 0);
    size_t len;
    const void *bytes = vips_blob_get(profile, &len);
    vips_image_set_blob_copy(out, VIPS_META_ICC_NAME, bytes, len);
    vips_area_unref(VIPS_AREA(profile));
    vips_image_set_blob_copy(out, VIPS_META_XMP_NAME, "<x:xmpmeta>secret-xmp</x:xmpmeta>", 33);
    vips_image_set_blob_copy(out, VIPS_META_IPTC_NAME, "Photoshop 3.0\0secret-iptc", 25);
    vips_image_set_string(out, "exif-ifd0-Copyright",
                          "Jane Roe (Jane Roe, ASCII, 9 components, 9 bytes)");
    vips_image_set_string(out, "exif-ifd0-Artist",
                          "John Doe (John Doe, ASCII, 9 components, 9 bytes)");
    vips_image_set_string(out, "exif-ifd0-Make",
                          "secret-make (secret-make, ASCII, 12 components, 12 bytes)");
    vips_image_set_blob_copy(out, VIPS_META_EXIF_NAME, "Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0", 20);
    vips_image_set_int(out, VIPS_META_ORIENTATION, 6);
    vips_image_set_blob_copy(out, "jpeg-thumbnail-data", "secret-thumbnail", 16);
    return out;
}

static const struct {
    const char *options;
    bool has_icc, has_exif, has_secrets, has_copyright;
    int orientation;
} METADATA[] = {
    {"", true, true, true, true, 1},
    {"ar:0", true, true, true, true, 6},
    {"scp:1", false, true, true, true, 1},
    {"sm:1", true, false, false, false, 1},
    {"sm:1/scp:1", false, false, false, false, 1},
    {"sm:1/kcr:1", true, true, false, true, 1},
    {"sm:1/kcr:1/scp:1", false, true, false, true, 1},
};

/* In JPEG, PNG and WebP; of AVIF, which keeps a block of libvips' own beside a profile, what counts: no secret is left. */
static void metadata_is_kept_or_taken_off(void **state)
{
    static const enum image_format FORMATS[] = {IMAGE_FORMAT_JPEG, IMAGE_FORMAT_PNG,
                                                IMAGE_FORMAT_WEBP, IMAGE_FORMAT_AVIF};
    (void)state;
    for (size_t i = 0; i < sizeof(METADATA) / sizeof(METADATA[0]); i++)
        for (size_t k = 0; k < sizeof(FORMATS) / sizeof(FORMATS[0]); k++) {
            const char *name = image_format_name(FORMATS[k]);
            struct image_options o = fixture_options(METADATA[i].options);
            VipsImage *image = with_metadata();
            encode_image(image, &o, FORMATS[k]);
            g_object_unref(image);
            VipsImage *back = decoded("");
            bool is_avif = FORMATS[k] == IMAGE_FORMAT_AVIF;
            if ((vips_image_get_typeof(back, VIPS_META_ICC_NAME) != 0) != METADATA[i].has_icc)
                fail_msg("%s of %s: profile", METADATA[i].options, name);
            if (!is_avif &&
                (vips_image_get_typeof(back, VIPS_META_EXIF_NAME) != 0) != METADATA[i].has_exif)
                fail_msg("%s of %s: EXIF at %zu", METADATA[i].options, name,
                         FORMATS[k] == IMAGE_FORMAT_WEBP ? webp_chunk("EXIF") : 0);
            if (file_has("secret-make", 11) != METADATA[i].has_secrets)
                fail_msg("%s of %s: secrets", METADATA[i].options, name);
            if (!METADATA[i].has_secrets)
                assert_false(file_has("secret", 6));
            assert_false(file_has("secret-thumbnail", 16));
            if (FORMATS[k] == IMAGE_FORMAT_JPEG && METADATA[i].has_secrets)
                assert_true(file_has("secret-iptc", 11) && file_has("secret-xmp", 10));
            if (file_has("Jane Roe", 8) != METADATA[i].has_copyright ||
                file_has("John Doe", 8) != METADATA[i].has_copyright)
                fail_msg("%s of %s: copyright", METADATA[i].options, name);
            if (!is_avif && vips_image_get_orientation(back) != METADATA[i].orientation)
                fail_msg("%s of %s: orientation %d", METADATA[i].options, name,
                         vips_image_get_orientation(back));
            assert_int_equal(vips_image_wio_input(back), 0); /* and it is whole */
            g_object_unref(back);
        }
}

/* The picture that is given is as it was. */
static void the_picture_keeps_its_metadata(void **state)
{
    (void)state;
    VipsImage *image = with_metadata();
    struct image_options o = fixture_options("sm:1/scp:1");
    encode_image(image, &o, IMAGE_FORMAT_JPEG);
    assert_true(vips_image_get_typeof(image, VIPS_META_ICC_NAME) != 0);
    assert_int_equal(vips_image_get_orientation(image), 6);
    g_object_unref(image);
}

/* --- sizes --- */

static void max_bytes_is_met_by_the_first_quality_that_fits(void **state)
{
    static const enum image_format FORMATS[] = {IMAGE_FORMAT_JPEG, IMAGE_FORMAT_WEBP,
                                                IMAGE_FORMAT_AVIF};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        VipsImage *image = fixture_photo(160, 120);
        struct image_options o = fixture_options("q:90");
        encode_image(image, &o, FORMATS[i]);
        size_t first = file.len;
        o.max_bytes = first;
        encode_image(image, &o, FORMATS[i]);
        assert_int_equal(file.len, first);

        /* By hand, from the top. */
        size_t wanted = first / 2, want = 0;
        for (int quality = 90; quality >= 1 && !want; quality -= 5) {
            o = fixture_options("");
            o.quality = (uint8_t)quality;
            encode_image(image, &o, FORMATS[i]);
            if (file.len <= wanted)
                want = file.len;
        }
        assert_true(want > 0);
        o = fixture_options("q:90");
        o.max_bytes = wanted;
        encode_image(image, &o, FORMATS[i]);
        assert_int_equal(file.len, want);

        /* What never fits is as small as it gets. */
        o.quality = 1;
        o.max_bytes = 0;
        encode_image(image, &o, FORMATS[i]);
        size_t least = file.len;
        o.quality = 90;
        o.max_bytes = 1;
        encode_image(image, &o, FORMATS[i]);
        assert_int_equal(file.len, least);
        g_object_unref(image);
    }
}

/* What has no quality is written once. */
static void formats_without_quality_ignore_max_bytes(void **state)
{
    (void)state;
    encode_scene("mb:1", IMAGE_FORMAT_PNG);
    assert_true(file.len > 100);
    encode_scene("mb:1", IMAGE_FORMAT_GIF);
    assert_true(file.len > 100);

    /* TIFF that cannot lose: with a quality it would be written twenty times, the last time the same. */
    struct image_options o = fixture_options("mb:1");
    struct encoding e = {.options = &o, .format = IMAGE_FORMAT_TIFF, .quality = 80};
    static const struct {
        int bands;
        bool is_deep, heeds;
    } CASES[] = {{3, false, true}, {4, false, false}, {3, true, false}};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        VipsImage *image = sample_scene(32, 32, CASES[i].bands, CASES[i].is_deep);
        assert_int_equal(encoder_heeds_quality(image, &e), CASES[i].heeds);
        g_object_unref(image);
    }
}

/* Each format, each maximum: a failure, never a file that is cut. */
static void results_have_a_maximum(void **state)
{
    static const size_t MAXIMA[] = {1, 100, 1000};
    (void)state;
    VipsImage *image = fixture_photo(160, 120);
    struct picture p = picture_of(image);
    for (int format = IMAGE_FORMAT_JPEG; format < IMAGE_FORMAT_HEIF; format++)
        for (size_t i = 0; i < sizeof(MAXIMA) / sizeof(MAXIMA[0]); i++) {
            struct buffer small;
            struct image_options o = fixture_options("");
            struct image_failure f = {0};
            buffer_init(&small, MEM_OTHER, MAXIMA[i]);
            if (picture_encode(&p, &o, (enum image_format)format, 80, NULL, &small, &f))
                fail_msg("%s fits into %zu bytes", image_format_name((enum image_format)format),
                         MAXIMA[i]);
            assert_int_equal(f.status, 500);
            assert_string_equal(f.text, "Failed to encode image");
            assert_non_null(strstr(f.cause, "larger than"));
            assert_int_equal(small.len, 0);
            buffer_deinit(&small);
        }
    g_object_unref(image);
}

/* --- failing --- */

static int fail_to_make(VipsRegion *out, void *seq, void *a, void *b, gboolean *stop)
{
    vips_error("test", "no such pixels");
    return -1;
}

static void failures_have_their_cause(void **state)
{
    (void)state;
    VipsImage *like = sample_scene(64, 64, 3, false), *broken = vips_image_new();
    assert_int_equal(vips_image_pipelinev(broken, VIPS_DEMAND_STYLE_ANY, like, NULL), 0);
    assert_int_equal(vips_image_generate(broken, NULL, fail_to_make, NULL, NULL, NULL), 0);
    struct picture p = picture_of(broken);
    for (int format = IMAGE_FORMAT_JPEG; format < IMAGE_FORMAT_HEIF; format++)
        for (int limit = 0; limit < 2; limit++) {
            struct image_options o = fixture_options("");
            struct image_failure f = {0};
            o.max_bytes = limit ? 10000 : 0;
            assert_false(picture_encode(&p, &o, (enum image_format)format, 80, NULL, &file, &f));
            assert_int_equal(f.status, 500);
            assert_string_equal(f.text, "Failed to encode image");
            assert_non_null(strstr(f.cause, "no such pixels"));
        }
    g_object_unref(broken);
    g_object_unref(like);
}

/* Sets the flag once some rows were asked for. */
static int cancel_below(VipsRegion *out, void *seq, void *in, void *cancel, gboolean *stop)
{
    if (vips_region_prepare(seq, &out->valid))
        return -1;
    if (out->valid.top > 1000)
        atomic_store((atomic_bool *)cancel, true);
    return vips_region_region(out, seq, &out->valid, out->valid.left, out->valid.top);
}

static void cancelling_ends_the_work(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        bool early = i % 2, animated = i / 2;
        VipsImage *scene = sample_scene(64, 4000, 3, false), *watched = vips_image_new();
        atomic_bool cancel = early;
        assert_int_equal(vips_image_pipelinev(watched, VIPS_DEMAND_STYLE_ANY, scene, NULL), 0);
        assert_int_equal(vips_image_generate(watched, vips_start_one, cancel_below, vips_stop_one,
                                             scene, &cancel),
                         0);
        struct picture p = picture_of(watched);
        struct image_options o = fixture_options("");
        struct image_failure f = {0};
        if (animated) {
            p.frames = 4;
            p.frame_height = 1000;
        }
        assert_false(picture_encode(&p, &o, animated ? IMAGE_FORMAT_WEBP : IMAGE_FORMAT_JPEG, 80,
                                    &cancel, &file, &f));
        assert_int_equal(f.status, 408);
        assert_string_equal(f.text, "Request Timeout");
        assert_int_equal(file.len, 0);
        g_object_unref(watched);
        g_object_unref(scene);
    }
}

static int start(void **state)
{
    buffer_init(&file, MEM_OTHER, 64 << 20);
    return fixtures_start(state);
}

static int stop(void **state)
{
    buffer_deinit(&file);
    return fixtures_stop(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_can_be_written),
        cmocka_unit_test(pictures_come_back),
        cmocka_unit_test(jpeg_options_show_in_the_file),
        cmocka_unit_test(png_options_show_in_the_file),
        cmocka_unit_test(webp_options_show_in_the_file),
        cmocka_unit_test(tiff_is_packed_by_quality_and_pixels),
        cmocka_unit_test(avif_options_show_in_the_file),
        cmocka_unit_test(deep_pixels_stay_deep),
        cmocka_unit_test(formats_without_alpha_are_laid_on_the_background),
        cmocka_unit_test(animations_keep_frames_and_times),
        cmocka_unit_test(formats_of_one_frame_get_the_first),
        cmocka_unit_test(metadata_is_kept_or_taken_off),
        cmocka_unit_test(the_picture_keeps_its_metadata),
        cmocka_unit_test(max_bytes_is_met_by_the_first_quality_that_fits),
        cmocka_unit_test(formats_without_quality_ignore_max_bytes),
        cmocka_unit_test(results_have_a_maximum),
        cmocka_unit_test(failures_have_their_cause),
        cmocka_unit_test(cancelling_ends_the_work),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
