/* SPDX-License-Identifier: Apache-2.0 */
/* pipeline.h: from the bytes of a source to the bytes of a result, on libvips:
 *
 *   sniff -> guards -> load, shrunk while it is decoded -> colours -> frames -> each frame: turn, trim, crop, resize, extend,
 *   pad, turn and mirror, effects, watermark -> limits -> join -> flatten -> encode
 *
 * Stages: picture.h (load and geometry), effects.h (colours of pixels, watermark), encode.h. Work is done on the calling thread; as many at once
 * as callers let in. Any thread. */
#ifndef IMGFORGE_PIPELINE_H
#define IMGFORGE_PIPELINE_H

#include "base/buffer.h"
#include "geometry.h"
#include "image_failure.h"
#include "image_options.h"
#include "source_kind.h"

#include <stdatomic.h>

/* What the server decides; constant while it runs. */
struct pipeline_policy {
    unsigned quality;                 /* 1 to 100, where neither URL nor format says */
    enum image_format default_format; /* NONE: the source's */
    /* Media types in lower case that sources may have; NULL = any */
    const char *const *allowed_types;
    size_t allowed_type_count;
};

struct pipeline_request {
    struct view source;
    struct view declared_type; /* Content-Type as the origin sent it; empty = none */
    const struct image_options *options;
    struct view watermark; /* bytes of a picture; empty: no watermark */
    /* Asked before pixels are made, with the most bytes that the picture may hold; again with a larger number if it turns out so.
     * False: *f says why not. NULL: there is always room. */
    bool (*admit)(void *arg, uint64_t bytes, struct image_failure *f);
    void *admit_arg;
    /* When it is set the work ends soon with 408 "Request Timeout". NULL = never */
    const atomic_bool *cancel;
};

struct pipeline_result {
    struct buffer bytes; /* initialised by the caller */
    enum image_format format;
    struct dimensions source,
        result;            /* of one frame; the source's as it is stored, before it is turned */
    bool trim_was_ignored; /* frames of an animation would be of different sizes */
};

struct image_information {
    int64_t width, height; /* as it is stored */
    enum source_kind kind;
    int channels, pages;
    bool has_alpha;
    int orientation; /* 1 to 8; 0: not said */
};

/* Once, before all others, and once at the end. `drawer` is the program of imgforge, which is started to draw (drawers.h); borrowed.
 * False: libvips does not start. */
MUST_USE bool pipeline_start(const char *drawer, struct image_failure *f);
void pipeline_stop(void);
/* Of pipeline_start() what a process needs that only decodes. */
MUST_USE bool pipeline_start_libvips(struct image_failure *f);
/* Which formats can be written, found out by writing one of 2 x 2: bits 1u << enum image_format. Constant after start. */
unsigned pipeline_formats(void);

/* Guards on the source as it came: its type and size, and whether it is a picture. 400. */
MUST_USE bool pipeline_check_source(const struct pipeline_policy *policy,
                                    const struct pipeline_request *rq, struct image_failure *f);
/* Includes pipeline_check_source(). 400, 408, 500. */
MUST_USE bool pipeline_process(const struct pipeline_policy *policy,
                               const struct pipeline_request *rq, struct pipeline_result *out,
                               struct image_failure *f);
/* Reads headers only. False: *out is zero. 400: not a picture that we know. Else nothing is known of it: 408, 500, and 400 with is_drawers. *cancel may be NULL: never. */
MUST_USE bool pipeline_information(struct view source, const atomic_bool *cancel,
                                   struct image_information *out, struct image_failure *f);
/* The format that pipeline_process() would write; IMAGE_FORMAT_NONE: the source is given as it is (raw, skip_processing). */
enum image_format pipeline_output_format(const struct pipeline_policy *policy,
                                         const struct image_options *o, enum source_kind kind);

struct pipeline_memory {
    int64_t bytes, bytes_highwater, allocations; /* of libvips' buffers */
};
struct pipeline_memory pipeline_memory(void);

#endif
