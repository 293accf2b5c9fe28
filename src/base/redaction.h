/* SPDX-License-Identifier: Apache-2.0 */
/* redaction.h: the secrets that a request may carry, and texts without them. A peer may answer anything, also what it was sent: so
 * what it says is shown only after redaction_apply().
 *
 *   8 bytes and more   goes as a whole and in part: also each 8 bytes of it that follow one another
 *   4 to 7 bytes       goes as a whole
 *   1 to 3 bytes       goes where it stands alone, as a word: within words it could not be told from any other letters
 *
 * The beginning of a secret (4 bytes; 8 of what goes as a whole only) goes where the text ends, too, or before a quotation mark or " (",
 * each also behind "..." or U+2026: it may have been cut there. Cut elsewhere, or within an escape, up to 7 bytes of it are seen. All of
 * this also where the text has the secret as a URL, JSON or HTML (with numbers) writes it. One thread at a time. */
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
/* What stands in the configuration. Parts of a template ({{) are ordinary words: what it gives is to be added for itself. */
void redaction_add_setting(struct redaction *r, struct view text);
/* A password and what basic authentication and SASL make of it and the name. */
void redaction_add_credentials(struct redaction *r, struct view user, struct view password);
/* All behind the host of a URL that holds a secret, its user and password, values of its query, and pieces that no word of an API is:
 * those of 4 bytes with a digit, and as a whole only, of 12. */
void redaction_add_url(struct redaction *r, struct view url);
/* Of a URL that may be shown: what stands before @ of its host. */
void redaction_add_userinfo(struct redaction *r, struct view url);

/* What is secret in `text`, a C string in `bytes` of room, becomes SECRET_SHOWN; cut where that does not fit. */
void redaction_apply(const struct redaction *r, char *text, size_t bytes);

/* Wipes and frees all; it is as it began. */
void redaction_clear(struct redaction *r);

#endif
