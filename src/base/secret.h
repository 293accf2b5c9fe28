/* SPDX-License-Identifier: Apache-2.0 */
/* secret.h: a text that no page, log or error may show. It is no view, so that it fits no function that
 * prints: who needs the bytes (a request's header, a TLS key) says so with secret_reveal(). */
#ifndef BELFRY_BASE_SECRET_H
#define BELFRY_BASE_SECRET_H

#include "base/view.h"

#include <stdbool.h>

/* What is shown in its place. */
#define SECRET_SHOWN "<secret>"

struct secret {
    struct view hidden; /* borrowed; only secret.h touches it */
};

static inline struct secret secret_from(struct view text)
{
    return (struct secret){text};
}
/* Is there one at all? */
static inline bool secret_is_set(const struct secret *s)
{
    return s->hidden.len > 0;
}
/* The text itself: for what is sent to its addressee, never for output. */
static inline struct view secret_reveal(const struct secret *s)
{
    return s->hidden;
}

#endif
