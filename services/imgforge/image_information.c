/* SPDX-License-Identifier: Apache-2.0 */
/* image_information.c: what a picture is, from its header (pipeline.h). */
#include "pipeline.h"
#include "source_load.h"

#include <vips/vips.h>

bool pipeline_information(struct view source, const atomic_bool *cancel,
                          struct image_information *out, struct image_failure *f)
{
    *out = (struct image_information){.kind = SOURCE_UNKNOWN};
    enum source_kind kind = source_kind_sniff(source);
    struct source_reading how = {.cancel = cancel};
    VipsImage *image;
    if (kind == SOURCE_UNKNOWN)
        return image_fail(f, 400, "Failed to decode source image");
    if (!source_open(source, kind, &how, &image, f))
        return false;
    *out = (struct image_information){
        .width = image->Xsize,
        .height = vips_image_get_page_height(image),
        .kind = kind,
        .channels = image->Bands,
        .pages = vips_image_get_n_pages(image),
        .has_alpha = vips_image_hasalpha(image) != 0,
        .orientation = vips_image_get_typeof(image, VIPS_META_ORIENTATION)
                           ? vips_image_get_orientation(image)
                           : 0,
    };
    g_object_unref(image);
    return true;
}
