/* SPDX-License-Identifier: Apache-2.0 */
/* A secret, a line feed, and what a peer says: the secret is not in what is left of it, and that is whole UTF-8 where it was. */
#include "base/redaction.h"

#include "base/assert.h"
#include "base/secret.h"
#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_BYTES = 1024, WHOLE_BYTES_MIN = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *feed = size ? memchr(data, '\n', size) : NULL;
    struct redaction r = {0};
    char text[TEXT_BYTES + 1];
    if (!feed)
        return 0;
    struct view secret = {(const char *)data, (size_t)(feed - data)};
    size_t len = size - secret.len - 1;
    len = len < TEXT_BYTES ? len : TEXT_BYTES;
    memcpy(text, feed + 1, len);
    text[len] = '\0';
    bool was_utf8 = utf8_is_valid(view_from(text));
    redaction_add(&r, secret);
    redaction_add_credentials(&r, VIEW("user"), secret);
    redaction_add_userinfo(&r, secret);
    redaction_apply(&r, text, sizeof text);
    ASSERT(strlen(text) <= TEXT_BYTES);
    ASSERT(!was_utf8 || utf8_is_valid(view_from(text)));
    /* Of a URL only pieces are secret; and what is shown in its place may have letters of it. */
    bool is_plain = secret.len >= WHOLE_BYTES_MIN && !view_has_prefix(secret, VIEW("http")) &&
                    !memchr(secret.ptr, '<', secret.len) &&
                    !memmem(SECRET_SHOWN, sizeof(SECRET_SHOWN) - 1, secret.ptr, secret.len);
    ASSERT(!is_plain || !memmem(text, strlen(text), secret.ptr, secret.len));
    redaction_clear(&r);
    return 0;
}
