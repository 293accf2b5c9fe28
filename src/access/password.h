/* SPDX-License-Identifier: Apache-2.0 */
/* password.h: bcrypt, by libcrypt: $2a$, $2b$ and $2y$ of cost 4 to 14. Checking takes tens of milliseconds on purpose
 * (cost 10: about 50), so it belongs to a thread that may wait. Any thread. */
#ifndef BELFRY_ACCESS_PASSWORD_H
#define BELFRY_ACCESS_PASSWORD_H

#include "base/attributes.h"
#include "base/error.h"
#include "base/view.h"

#include <stdbool.h>

enum {
    PASSWORD_HASH_BYTES = 61, /* with the NUL */
    PASSWORD_COST_MIN = 4,
    PASSWORD_COST_MAX = 14,     /* a second and more: a hash of cost 31 would take days */
    PASSWORD_COST_NEW = 10,     /* htpasswd's and Go's default is 5 and 10 */
    PASSWORD_BYTES_MAX = 1024,  /* of what a client sends; bcrypt looks at the first 72 */
    PASSWORD_NEW_BYTES_MIN = 8, /* chosen; SP 800-63B has the same minimum */
    PASSWORD_NEW_BYTES_MAX = 72
};

/* Is it a bcrypt hash that may be used here? Says nothing of the hash itself in its error. */
MUST_USE bool password_hash_check(struct view hash, unsigned *cost, struct error *err);
/* `hash` passed the check. False for passwords that are too long or hold NUL, after the same time. */
bool password_matches(struct view hash, struct view password);
/* Takes as long as password_matches() with a hash of this cost: for users that do not exist. */
void password_pretend(unsigned cost, struct view password);
/* A hash of a new password, NUL-terminated. ERROR_INPUT when it is too short, too long or holds NUL. */
MUST_USE bool password_hash_new(struct view password, char out[PASSWORD_HASH_BYTES],
                                struct error *err);

#endif
