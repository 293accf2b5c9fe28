/* SPDX-License-Identifier: Apache-2.0 */
/* redaction.h: the secrets that a request may carry, and texts without them. A peer may answer anything, also what it was sent: so
 * what it says is shown only after redaction_apply().
 *
 *   8 bytes and more   goes as a whole and in part: also each 8 bytes of it that follow one another
 *   4 to 7 bytes       goes as a whole
 *   1 to 3 bytes       goes where it stands alone, as a word: within words it could not be told from any other letters
 *
 * The beginning of a secret (4 bytes) goes where the text ends, too: it may have been cut there. All of this also where the text has
 * the secret as a URL, JSON or HTML writes it. One thread at a time. */
#ifndef BELFRY_BASE_REDACTION_H
#define BELFRY_BASE_REDACTION_H

#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

enum { REDACTION_SECRET_BYTES_MAX = 8192 /* the rest of a longer one is not looked for */ };

struct redaction_text;

/* Begins as zeros. */
struct redaction {
    struct redaction_text *items; /* owned, each with its bytes */
    size_t count, capacity;
};

/* Copies the secret. `r` NULL: nobody wants to know; empty ones are passed over. What begins with http:// or https:// is taken as
 * redaction_add_url() does. */
void redaction_add(struct redaction *r, struct view secret);
/* One of which parts say nothing: it goes as a whole only. */
void redaction_add_whole(struct redaction *r, struct view secret);
/* A password and what basic authentication and SASL make of it and the name. */
void redaction_add_credentials(struct redaction *r, struct view user, struct view password);
/* All behind the host of a URL that holds a secret, without its short words, and its user and password. */
void redaction_add_url(struct redaction *r, struct view url);
/* Of a URL that may be shown: what stands before @ of its host. */
void redaction_add_userinfo(struct redaction *r, struct view url);

/* What is secret in `text`, a C string in `bytes` of room, becomes SECRET_SHOWN; cut where that does not fit. */
void redaction_apply(const struct redaction *r, char *text, size_t bytes);

/* Wipes and frees all; it is as it began. */
void redaction_clear(struct redaction *r);

#endif
