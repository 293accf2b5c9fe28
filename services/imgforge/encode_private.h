/* SPDX-License-Identifier: Apache-2.0 */
/* encode_private.h: what the files of encoding share. */
#ifndef IMGFORGE_ENCODE_PRIVATE_H
#define IMGFORGE_ENCODE_PRIVATE_H

#include "base/buffer.h"
#include "encode.h"

/* Bytes of a file as they come. Formats that go back (TIFF writes its directory's place last) may. */
struct sink {
    struct buffer *out;
    size_t pos;         /* where the next byte goes; at most out->len */
    size_t bytes_max;   /* beyond it writing fails */
    bool fails_quietly; /* says to the encoder that all went well */
    bool is_over;       /* it has failed so */
};

/* What writes into `s`, which lives as long. The caller's reference. */
VipsTarget *sink_target(struct sink *s);

/* What there is to be written beside pixels. */
enum metadata { METADATA_NONE, METADATA_PROFILE, METADATA_ALL };

/* One writing of a picture. */
struct encoding {
    const struct image_options *options;
    enum image_format format;
    unsigned quality; /* 1 to 100 */
    enum metadata metadata;
};

/* Writes with the encoder of the format: 0, or -1 with libvips' error set. */
int encoder_write(VipsImage *image, VipsTarget *target, const struct encoding *e);
/* It loses memory when its target fails: WebP of libvips 8.14. When the pixels of an animation fail it does so too. */
bool encoder_leaks(const struct encoding *e);
/* Whether bytes of this picture are fewer at a lower quality. */
bool encoder_heeds_quality(VipsImage *image, const struct encoding *e);

/* Takes off `image`, which is nobody else's, what its file must not have, and says what is left. */
enum metadata metadata_take_off(VipsImage *image, const struct image_options *o,
                                enum image_format format);
/* Cuts a block of EXIF out of a file that was written without METADATA_ALL. */
void metadata_cut_exif(struct buffer *file, enum image_format format);

#endif
