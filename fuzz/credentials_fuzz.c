/* SPDX-License-Identifier: Apache-2.0 */
/* credentials_fuzz.c: any bytes as Authorization and Cookie (a zero byte parts them): what is read lies within what
 * was sent. */
#include "access/credentials.h"
#include "base/assert.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view all = {(const char *)data, size};
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t at = zero ? (size_t)(zero - data) : size;
    struct view authorization = view_slice(all, 0, at), cookie = view_slice(all, at + 1, size);
    struct credentials c;
    struct error err;
    if (!credentials_parse(&c, authorization, cookie, &err)) {
        ASSERT(err.message[0] != '\0');
        return 0;
    }
    struct view secret = secret_reveal(&c.secret);
    ASSERT(c.user.len + secret.len <= size);
    ASSERT(c.kind != CREDENTIALS_BASIC || memchr(c.user.ptr, ':', c.user.len) == NULL);
    ASSERT(c.kind == CREDENTIALS_BASIC || c.user.len == 0);
    ASSERT(c.kind != CREDENTIALS_SESSION || memchr(secret.ptr, ';', secret.len) == NULL);
    return 0;
}
