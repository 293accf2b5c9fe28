/* SPDX-License-Identifier: Apache-2.0 */
/* signature.h: who may ask for an image: HMAC-SHA256(key, salt and path), in base64 for URLs without padding, as imgproxy signs. */
#ifndef IMGFORGE_SIGNATURE_H
#define IMGFORGE_SIGNATURE_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/error.h"
#include "base/secret.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

enum { SIGNATURE_DIGEST_BYTES = 32, SIGNATURE_TEXT_BYTES = 44, SIGNATURE_KEYS_MAX = 64 };

struct signing_pair {
    struct secret key, salt; /* bytes */
};

/* Immutable once read; any thread. */
struct signing_keys {
    struct signing_pair *pairs; /* any of them verifies; the first one signs */
    size_t count;
    size_t digest_bytes; /* 1 to 32: how much of the digest a signature has */
    bool allow_unsigned; /* "unsafe" is a signature */
};

/* Reads two lists of hexadecimal texts between commas, of the same length, in the arena. *is_short: a key or salt has less than 32
 * bytes. ERROR_INPUT says what is expected, without the texts. */
MUST_USE bool signing_keys_read(struct arena *arena, struct view keys, struct view salts,
                                struct signing_keys *out, bool *is_short, struct error *err);

/* Writes the signature of a path, which begins with a slash, with the first pair; NUL-terminated. */
void signature_make(const struct signing_keys *keys, struct view path,
                    char out[SIGNATURE_TEXT_BYTES]);

/* ERROR_FORBIDDEN "Invalid signature" or "Unsigned URLs are not allowed". The path is tried as it came and, for signers that sign
 * what they mean, percent-decoded: *as_signed is the one that is signed (`path` itself, or in the arena), and the one to read. In the other a
 * slash written as %2F would move the bounds of options. Takes the same time wherever a signature is wrong. */
MUST_USE bool signature_verify(struct arena *arena, const struct signing_keys *keys,
                               struct view signature, struct view path, struct view *as_signed,
                               struct error *err);

#endif
