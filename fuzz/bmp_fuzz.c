/* SPDX-License-Identifier: Apache-2.0 */
/* bmp_fuzz.c: any bytes as BMP and as ICO. What opens gives all its pixels, or fails while they are read. */
#include "base/assert.h"
#include "bmp.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { PIXELS_MAX = 1 << 20 }; /* headers may claim more than there is time to read */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    ASSERT(vips_init((*argv)[0]) == 0);
    vips_concurrency_set(1);
    vips_cache_set_max(0);
    return 0;
}

static void read_all(bool is_open, VipsImage *image, const struct image_failure *f)
{
    double mean;
    if (!is_open) {
        ASSERT(f->status == 400 && f->text[0] != '\0');
        return;
    }
    ASSERT(image->Xsize > 0 && image->Ysize > 0);
    if ((int64_t)image->Xsize * image->Ysize <= PIXELS_MAX && vips_avg(image, &mean, NULL) == 0)
        ASSERT(mean >= 0 && mean <= 255);
    g_object_unref(image);
    vips_error_clear();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = malloc(size); /* of its exact size, so that a read behind the end is seen */
    struct image_failure f = {0};
    VipsImage *image = NULL;
    ASSERT(bytes != NULL || size == 0);
    if (size)
        memcpy(bytes, data, size);
    bool is_open = bmp_open((struct view){bytes, size}, &image, &f);
    read_all(is_open, image, &f);
    image = NULL;
    is_open = ico_open((struct view){bytes, size}, &image, &f);
    read_all(is_open, image, &f);
    free(bytes);
    return 0;
}
