/* SPDX-License-Identifier: Apache-2.0 */
/* credentials.h: who may read. The comparison takes as long for a wrong secret as for the right one: it depends on
 * what was sent, not on how much of it is right. */
#ifndef BELFRY_INSTRUMENT_HTTP_CREDENTIALS_H
#define BELFRY_INSTRUMENT_HTTP_CREDENTIALS_H

#include "base/attributes.h"

#include <stdbool.h>

struct credentials {
    char *bearer; /* NULL = no token */
    char *basic;  /* base64 of "name:password", as clients send it; NULL = no password */
};

/* What is wrong with them, static; NULL = nothing. */
const char *belfry__credentials_fault(const char *bearer, const char *username,
                                      const char *password);
/* False without memory. */
MUST_USE bool belfry__credentials_init(struct credentials *c, const char *bearer,
                                       const char *username, const char *password);
/* Overwrites what it held. */
void belfry__credentials_deinit(struct credentials *c);
/* Does this Authorization header (NULL = none) name one of them? True when there are none. */
bool belfry__credentials_allow(const struct credentials *c, const char *authorization);

#endif
