/* SPDX-License-Identifier: Apache-2.0 */
/* image_url.h: the grammar of an image's path, as imgproxy has it:
 *
 *   path   = "/" signature *( "/" option ) "/" source
 *   option = name *( ":" argument )                       a segment with a colon
 *   source = "plain/" percent-encoded [ "@" extension ] | base64url *( "/" base64url ) [ "." extension ]
 *
 * The source begins with the first segment that is "plain" or has no colon. */
#ifndef IMGFORGE_IMAGE_URL_H
#define IMGFORGE_IMAGE_URL_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/error.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

enum { IMAGE_URL_OPTIONS_MAX = 200, IMAGE_SOURCE_BYTES_MAX = 8 * 1024 };

/* One segment. Arguments follow each other behind colons; those that are empty were not given. */
struct image_option {
    struct view name;
    struct view arguments; /* "fit:300:200"; empty when has_arguments is false */
    bool has_arguments;
};

struct image_url {
    struct view signature;
    struct view signed_path; /* from the slash behind the signature, as received */
    struct image_option *options;
    size_t option_count;
    bool is_plain;
    struct view
        encoded_source;    /* percent-encoded, or base64url in pieces between slashes; not empty */
    struct view extension; /* empty = none: the format that the URL ends with */
};

/* `path` begins with the signature, without a slash before it. Borrows it; decoded options lie in the arena. ERROR_INPUT "Invalid
 * URL format". */
MUST_USE bool image_url_parse(struct arena *arena, struct view path, struct image_url *out,
                              struct error *err);
/* The source's URL, UTF-8 without NUL. ERROR_INPUT "Error decoding URL". */
MUST_USE bool image_url_source(struct arena *arena, const struct image_url *url, struct view *out,
                               struct error *err);

/* Options as a preset writes them: name:argument/name:argument; empty segments are skipped. *out lies in the arena. ERROR_INPUT. */
MUST_USE bool image_options_split(struct arena *arena, struct view text, struct image_option **out,
                                  size_t *count, struct error *err);
/* Argument `idx`, from 0; empty when it was not given. */
struct view image_option_argument(const struct image_option *option, size_t idx);
size_t image_option_argument_count(const struct image_option *option);
/* Base64 for URLs, padded or not; the bytes must be UTF-8 without NUL. ERROR_INPUT. */
MUST_USE bool image_text_decode(struct arena *arena, struct view text, struct view *out,
                                struct error *err);

#endif
