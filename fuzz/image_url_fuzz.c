/* SPDX-License-Identifier: Apache-2.0 */
/* image_url_fuzz.c: any path of an image, and what its options make of pictures: no size is below a pixel, no window outside of its
 * picture. */
#include "base/assert.h"
#include "geometry.h"
#include "signature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_geometry(const struct image_options *o)
{
    static const struct dimensions PICTURES[] = {{1, 1}, {640, 480}, {1, 100000}};
    for (size_t i = 0; i < sizeof(PICTURES) / sizeof(PICTURES[0]); i++) {
        struct resize_plan p;
        struct error err;
        struct dimensions crop = crop_dimensions(o, PICTURES[i]);
        struct window w = window_place(PICTURES[i], crop, o->gravity, o->dpr, false);
        ASSERT(crop.width >= 1 && crop.height >= 1);
        ASSERT(w.left >= 0 && w.top >= 0 && w.left + w.width <= PICTURES[i].width &&
               w.top + w.height <= PICTURES[i].height);
        if (resize_plan(o, PICTURES[i], &p, &err)) {
            ASSERT(p.kept.width >= 1 && p.kept.width <= p.scaled.width);
            ASSERT(p.kept.height >= 1 && p.kept.height <= p.scaled.height);
            ASSERT(o->enlarge ||
                   (p.scaled.width <= PICTURES[i].width && p.scaled.height <= PICTURES[i].height));
        }
        ASSERT(minimum_scale(o, PICTURES[i]) >= 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct image_url url;
    struct image_options o;
    struct signing_keys keys = {.digest_bytes = 32, .allow_unsigned = true};
    struct view path = {(const char *)data, size}, source, as_signed;
    struct error err = {0};
    bool is_short;
    arena_init(&arena, MEM_OTHER, 0);
    ASSERT(signing_keys_read(&arena, VIEW("aa"), VIEW("bb"), &keys, &is_short, &err));
    image_options_init(&o);
    if (image_url_parse(&arena, path, &url, &err)) {
        (void)signature_verify(&arena, &keys, url.signature, url.signed_path, &as_signed, &err);
        if (image_url_source(&arena, &url, &source, &err))
            ASSERT(source.len > 0 && source.len <= IMAGE_SOURCE_BYTES_MAX);
        if (image_options_read(&arena, url.options, url.option_count, &o, &err))
            check_geometry(&o);
    }
    ASSERT(err.kind == ERROR_NONE || err.message[0] != '\0');
    arena_deinit(&arena);
    return 0;
}
