/* SPDX-License-Identifier: Apache-2.0 */
/* mail_text.h: what texts become in a mail: encoded words (RFC 2047), quoted-printable (RFC 2045), lists of addresses (RFC 5322). */
#ifndef BELFRY_ALERTING_MAIL_TEXT_H
#define BELFRY_ALERTING_MAIL_TEXT_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/view.h"

#include <stddef.h>

/* Appends a header's text, which begins in column `column`: as it is when it is printable ASCII, else as encoded words of UTF-8
 * on lines of at most 76. Line ends and other controls become blanks: nothing begins another header. */
void mail_text_header(struct buffer *out, size_t column, struct view text);
/* Appends lines of at most 76 bytes and CRLF; a line end of the text is one of the mail. */
void mail_text_quoted_printable(struct buffer *out, struct view text);

struct mail_addresses {
    struct view *items; /* the caller's */
    size_t count, capacity;
};
/* Appends the bare addresses of "Name <a@b>, c@d, Team: e@f;": printable, with one @, no blanks or brackets. ERROR_EXECUTION for
 * what is none, for an empty list and for more than `capacity`. */
MUST_USE bool mail_text_addresses(struct arena *arena, struct view text, struct mail_addresses *out,
                                  struct error *err);

#endif
