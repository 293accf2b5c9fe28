/* SPDX-License-Identifier: Apache-2.0 */
/* source_load.c: see source_load.h.
 *
 * The kind comes from our own sniffing and picks the decoder, so that bytes never choose among all that libvips was built with. BMP and ICO are
 * read by bmp.c: libvips would hand them to ImageMagick, which is not for bytes of strangers and not in every build.
 * "Error" is how strict decoders are: what is cut or has wrong checksums fails; what libjpeg only warns of passes. */
#include "source_load.h"

#include "bmp.h"
#include "drawing.h"
#include "image_watch.h"

bool source_kind_has_pages(enum source_kind kind)
{
    switch (kind) {
    case SOURCE_WEBP:
    case SOURCE_GIF:
    case SOURCE_TIFF:
    case SOURCE_AVIF:
    case SOURCE_HEIF:
    case SOURCE_PDF:
        return true;
    default:
        return false;
    }
}

/* Sequential where the decoder can. An SVG is drawn piece by piece in any order. */
#define COMMON_OPTIONS "fail_on", VIPS_FAIL_ON_ERROR, "access", VIPS_ACCESS_SEQUENTIAL
#define PAGE_OPTIONS "page", how->page, "n", how->pages > 0 ? how->pages : 1

static int load(VipsSource *from, enum source_kind kind, const struct source_reading *how,
                VipsImage **out)
{
    double scale = how->scale > 0 ? how->scale : 1;
    switch (kind) {
    case SOURCE_JPEG:
        return vips_jpegload_source(from, out, "shrink", how->shrink > 1 ? how->shrink : 1,
                                    COMMON_OPTIONS, NULL);
    case SOURCE_PNG:
        return vips_pngload_source(from, out, COMMON_OPTIONS, NULL);
    case SOURCE_WEBP:
        return vips_webpload_source(from, out, "scale", scale, PAGE_OPTIONS, COMMON_OPTIONS, NULL);
    case SOURCE_GIF:
        return vips_gifload_source(from, out, PAGE_OPTIONS, COMMON_OPTIONS, NULL);
    case SOURCE_TIFF:
        return vips_tiffload_source(from, out, PAGE_OPTIONS, COMMON_OPTIONS, NULL);
    case SOURCE_AVIF:
    case SOURCE_HEIF:
        if (how->page == 0 && how->pages <= 1) /* asked for none, it gives the primary one */
            return vips_heifload_source(from, out, "thumbnail", (gboolean)how->thumbnail,
                                        COMMON_OPTIONS, NULL);
        return vips_heifload_source(from, out, "thumbnail", (gboolean)how->thumbnail, PAGE_OPTIONS,
                                    COMMON_OPTIONS, NULL);
    case SOURCE_SVG:
        return vips_svgload_source(from, out, "scale", scale, COMMON_OPTIONS, NULL);
    case SOURCE_PDF:
        return vips_pdfload_source(from, out, "scale", scale, PAGE_OPTIONS, COMMON_OPTIONS, NULL);
    default:
        vips_error("imgforge", "not a picture of a known kind");
        return -1;
    }
}

static void *note_blob(VipsImage *image, const char *name, GValue *value, void *names)
{
    if (G_VALUE_TYPE(value) == VIPS_TYPE_BLOB)
        g_ptr_array_add(names, g_strdup(name));
    return NULL;
}

/* libvips 8.14 gives EXIF and XMP of HEIF files as pointers into the image that it loads; images made of it keep these pointers when it is gone, as after a copy to
 * memory. With copies of its own the image can go. */
static void own_metadata(VipsImage *image)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    vips_image_map(image, note_blob, names);
    for (guint i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];
        const void *data;
        size_t len;
        if (vips_image_get_blob(image, name, &data, &len))
            continue;
        void *copy = g_memdup2(data, len);
        vips_image_set_blob_copy(image, name, copy, len);
        g_free(copy);
    }
    g_ptr_array_free(names, TRUE);
}

bool source_decode(struct view bytes, enum source_kind kind, const struct source_reading *how,
                   VipsImage **out, struct image_failure *f)
{
    *out = NULL;
    if (kind == SOURCE_BMP || kind == SOURCE_ICO)
        return kind == SOURCE_BMP ? bmp_open(bytes, out, f) : ico_open(bytes, out, f);
    VipsSource *from = vips_source_new_from_memory(bytes.ptr, bytes.len);
    bool ok = from && load(from, kind, how, out) == 0;
    if (from)
        g_object_unref(from); /* the image has its own reference */
    if (ok && (kind == SOURCE_HEIF || kind == SOURCE_AVIF))
        own_metadata(*out);
    return ok || image_fail_decode(f);
}

bool source_open(struct view bytes, enum source_kind kind, const struct source_reading *how,
                 VipsImage **out, struct image_failure *f)
{
    return source_kind_is_drawing(kind) ? drawing_open(bytes, kind, how, out, f)
                                        : source_decode(bytes, kind, how, out, f);
}
