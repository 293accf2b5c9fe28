/* SPDX-License-Identifier: Apache-2.0 */
/* signature.c: see signature.h. */
#include "signature.h"

#include "base/assert.h"
#include "base/base64.h"
#include "base/buffer.h"
#include "base/hex.h"
#include "net/form.h"

#include <gnutls/crypto.h>

/* Between two commas, or to the end; *list is NULL behind the last one. */
static struct view item_take(struct view *list)
{
    const char *comma = list->len ? memchr(list->ptr, ',', list->len) : NULL;
    struct view item = *list;
    if (comma) {
        item.len = (size_t)(comma - list->ptr);
        *list = view_slice(*list, item.len + 1, list->len);
    } else {
        *list = (struct view){NULL, 0};
    }
    return item;
}

static bool hex_read(struct arena *arena, struct view text, struct secret *out, bool *is_short)
{
    size_t bytes = text.len / 2;
    char *to = arena_alloc(arena, bytes + 1);
    if (text.len == 0 || text.len % 2)
        return false;
    for (size_t i = 0; i < bytes; i++) {
        uint32_t high = hex_digit((unsigned char)text.ptr[2 * i]),
                 low = hex_digit((unsigned char)text.ptr[2 * i + 1]);
        if (high == HEX_NONE || low == HEX_NONE)
            return false;
        to[i] = (char)(high << 4 | low);
    }
    *is_short |= bytes < 32;
    *out = secret_from((struct view){to, bytes});
    return true;
}

bool signing_keys_read(struct arena *arena, struct view keys, struct view salts,
                       struct signing_keys *out, bool *is_short, struct error *err)
{
    size_t capacity = 0;
    out->pairs = NULL;
    out->count = 0;
    *is_short = false;
    while (keys.ptr && salts.ptr) {
        if (out->count == SIGNATURE_KEYS_MAX)
            return error_set(err, ERROR_INPUT, "at most %d pairs of a key and a salt",
                             SIGNATURE_KEYS_MAX);
        out->pairs =
            arena_grow(arena, out->pairs, &capacity, out->count + 1, sizeof(out->pairs[0]));
        struct signing_pair *pair = &out->pairs[out->count++];
        if (!hex_read(arena, item_take(&keys), &pair->key, is_short) ||
            !hex_read(arena, item_take(&salts), &pair->salt, is_short))
            return error_set(err, ERROR_INPUT,
                             "pairs of hexadecimal digits, several between commas");
    }
    return (!keys.ptr && !salts.ptr) || error_set(err, ERROR_INPUT, "as many keys as salts");
}

static void digest_make(const struct signing_pair *pair, struct view path,
                        unsigned char out[SIGNATURE_DIGEST_BYTES])
{
    struct view key = secret_reveal(&pair->key), salt = secret_reveal(&pair->salt);
    gnutls_hmac_hd_t hmac;
    bool ok = gnutls_hmac_init(&hmac, GNUTLS_MAC_SHA256, key.ptr, key.len) == 0;
    ASSERT(ok); /* only memory could be missing */
    ok = gnutls_hmac(hmac, salt.ptr, salt.len) == 0 && gnutls_hmac(hmac, path.ptr, path.len) == 0;
    ASSERT(ok);
    gnutls_hmac_deinit(hmac, out);
}

void signature_make(const struct signing_keys *keys, struct view path,
                    char out[SIGNATURE_TEXT_BYTES])
{
    unsigned char digest[SIGNATURE_DIGEST_BYTES];
    struct buffer text;
    buffer_init(&text, MEM_OTHER, SIGNATURE_TEXT_BYTES + 1);
    digest_make(&keys->pairs[0], path, digest);
    base64_url_encode(&text, (struct view){(const char *)digest, keys->digest_bytes});
    size_t len = (keys->digest_bytes * 8 + 5) / 6; /* without padding */
    memcpy(out, text.ptr, len);
    out[len] = '\0';
    buffer_deinit(&text);
}

/* All pairs are tried, so that it takes as long whichever is right. */
static bool matches(const struct signing_keys *keys, struct view signature, struct view path)
{
    struct signing_keys one = *keys;
    char expected[SIGNATURE_TEXT_BYTES];
    bool is_right = false;
    for (size_t i = 0; i < keys->count; i++) {
        one.pairs = &keys->pairs[i];
        signature_make(&one, path, expected);
        is_right |= signature.len == strlen(expected) &&
                    gnutls_memcmp(signature.ptr, expected, signature.len) == 0;
    }
    return is_right;
}

bool signature_verify(struct arena *arena, const struct signing_keys *keys, struct view signature,
                      struct view path, struct view *as_signed, struct error *err)
{
    struct view decoded;
    *as_signed = path;
    if (view_is(signature, "unsafe"))
        return keys->allow_unsigned ||
               error_set(err, ERROR_FORBIDDEN, "Unsigned URLs are not allowed");
    while (view_has_suffix(signature, VIEW("=")))
        signature.len--;
    bool is_right = matches(keys, signature, path);
    if (form_decode(arena, path, false, &decoded, NULL) && !view_eq(decoded, path) &&
        matches(keys, signature, decoded) && !is_right) {
        *as_signed = decoded;
        is_right = true;
    }
    return is_right || error_set(err, ERROR_FORBIDDEN, "Invalid signature");
}
