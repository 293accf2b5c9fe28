/* SPDX-License-Identifier: Apache-2.0 */
/* credentials.h: what a request says of who sends it: Authorization (Basic, Bearer) and the session's cookie. Bytes
 * from anybody: bounded, and nothing here decides anything. */
#ifndef BELFRY_ACCESS_CREDENTIALS_H
#define BELFRY_ACCESS_CREDENTIALS_H

#include "base/attributes.h"
#include "base/error.h"
#include "base/secret.h"
#include "base/view.h"

#include <stdbool.h>

#define SESSION_COOKIE "belfry_session"

enum {
    CREDENTIALS_BYTES_MAX =
        2048, /* of an Authorization header: a name, and a password of 1 KiB, in base64 */
    CREDENTIALS_DECODED_MAX = CREDENTIALS_BYTES_MAX / 4 * 3
};

enum credentials_kind {
    CREDENTIALS_NONE,
    CREDENTIALS_BASIC,  /* user and secret */
    CREDENTIALS_BEARER, /* secret: a token */
    CREDENTIALS_SESSION /* secret: the cookie's value */
};

struct credentials {
    enum credentials_kind kind;
    struct view user;     /* into `decoded` */
    struct secret secret; /* into `decoded`, or into the header */
    char decoded[CREDENTIALS_DECODED_MAX];
};

/* `authorization` and `cookie` are the headers' values, empty when there are none; they must outlive *out. The header
 * goes first. ERROR_INPUT for an Authorization that cannot be read, ERROR_TOO_LARGE for one that is too long. */
MUST_USE bool credentials_parse(struct credentials *out, struct view authorization,
                                struct view cookie, struct error *err);

#endif
