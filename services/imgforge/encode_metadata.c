/* SPDX-License-Identifier: Apache-2.0 */
/* encode_metadata.c: what a result keeps of what its source said about itself. */
#include "encode_private.h"

#include "base/attributes.h"

#include <string.h>

/* EXIF's tags 0x8298 and 0x013B as libvips names them. */
static const char *const COPYRIGHT[] = {"exif-ifd0-Copyright", "exif-ifd0-Artist"};
/* What encoders are told by, which is nobody's secret. */
static const char *const ENCODING[] = {
    VIPS_META_ICC_NAME, VIPS_META_PAGE_HEIGHT, VIPS_META_N_PAGES, "delay", "loop", "gif-delay",
    "gif-loop",         "background"};
/* The source's, small: it shows what may have been cut off. */
static const char THUMBNAIL[] = "jpeg-thumbnail-data";

static bool is_among(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool has_copyright(VipsImage *image)
{
    for (size_t i = 0; i < ARRAY_COUNT(COPYRIGHT); i++)
        if (vips_image_get_typeof(image, COPYRIGHT[i]))
            return true;
    return false;
}

/* A block of EXIF without tags, into which libvips puts those that are named; some encoders write none where the picture had no block. */
static const char EMPTY_EXIF[] = "Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0";

/* All but what is to be kept. */
static void take_fields(VipsImage *image, bool keep_copyright)
{
    gchar **names = vips_image_get_fields(image);
    for (gchar **name = names; *name; name++)
        if (!is_among(*name, ENCODING, ARRAY_COUNT(ENCODING)) &&
            !(keep_copyright && is_among(*name, COPYRIGHT, ARRAY_COUNT(COPYRIGHT))))
            vips_image_remove(image, *name);
    g_strfreev(names);
    if (has_copyright(image))
        vips_image_set_blob_copy(image, VIPS_META_EXIF_NAME, EMPTY_EXIF, sizeof(EMPTY_EXIF));
}

/* --- the block that libvips makes --- */

/* Where there is a profile to be written libvips writes a block of EXIF too, of its own making if there is no other: sizes and resolution; 8.14's WebP has one
 * always, whatever "strip" says. It is cut out of
 * the files whose parts are found without decoding; of AVIF and HEIF it stays. */

static uint32_t u32be(const char *p)
{
    const uint8_t *u = (const uint8_t *)p;
    return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

static void cut(struct buffer *file, size_t at, size_t len)
{
    memmove(file->ptr + at, file->ptr + at + len, file->len - at - len);
    file->len -= len;
}

/* Segments: 0xFF, marker, length of 2 bytes with themselves. */
static void cut_jpeg(struct buffer *file)
{
    for (size_t at = 2, len; at + 10 <= file->len && file->ptr[at] == '\xFF'; at += len) {
        len = 2 + (u32be(file->ptr + at) & 0xFFFF);
        if (file->ptr[at + 1] == '\xDA') /* pixels */
            return;
        if (at + len <= file->len && file->ptr[at + 1] == '\xE1' &&
            memcmp(file->ptr + at + 4, "Exif\0", 6) == 0) {
            cut(file, at, len);
            return;
        }
    }
}

/* Chunks: length of 4 bytes, name, bytes, checksum. */
static void cut_png(struct buffer *file)
{
    for (size_t at = 8, len; at + 12 <= file->len; at += len) {
        len = 12 + (size_t)u32be(file->ptr + at);
        if (at + len <= file->len && memcmp(file->ptr + at + 4, "eXIf", 4) == 0) {
            cut(file, at, len);
            return;
        }
    }
}

/* Chunks: name, length of 4 bytes, little end first, bytes, to an even length. The first one has a flag for each kind that follows. */
static void cut_webp(struct buffer *file)
{
    enum { FLAGS_AT = 20, HAS_EXIF = 8 };
    for (size_t at = 12, len; at + 8 <= file->len; at += len) {
        len = 8 + (((size_t)__builtin_bswap32(u32be(file->ptr + at + 4)) + 1) & ~(size_t)1);
        if (at + len > file->len || memcmp(file->ptr + at, "EXIF", 4) != 0)
            continue;
        cut(file, at, len);
        file->ptr[FLAGS_AT] = (char)(file->ptr[FLAGS_AT] & ~HAS_EXIF);
        uint32_t riff = (uint32_t)file->len - 8;
        for (int i = 0; i < 4; i++)
            file->ptr[4 + i] = (char)(riff >> (8 * i));
        return;
    }
}

void metadata_cut_exif(struct buffer *file, enum image_format format)
{
    if (format == IMAGE_FORMAT_JPEG)
        cut_jpeg(file);
    else if (format == IMAGE_FORMAT_PNG)
        cut_png(file);
    else if (format == IMAGE_FORMAT_WEBP)
        cut_webp(file);
}

/* --- the picture's --- */

enum metadata metadata_take_off(VipsImage *image, const struct image_options *o,
                                enum image_format format)
{
    if (o->strip_color_profile || !format_traits(format)->has_icc)
        vips_image_remove(image, VIPS_META_ICC_NAME);
    if (o->auto_rotate) { /* pixels are upright now */
        vips_image_remove(image, VIPS_META_ORIENTATION);
        vips_image_remove(image, "exif-ifd0-Orientation");
    }
    vips_image_remove(image, THUMBNAIL);
    if (!o->strip_metadata)
        return METADATA_ALL;
    take_fields(image, o->keep_copyright);
    return has_copyright(image)                               ? METADATA_ALL
           : vips_image_get_typeof(image, VIPS_META_ICC_NAME) ? METADATA_PROFILE
                                                              : METADATA_NONE;
}
