/* SPDX-License-Identifier: Apache-2.0 */
/* base64.h: RFC 4648 with the alphabet for URLs and file names, padded. */
#ifndef BELFRY_BASE_BASE64_H
#define BELFRY_BASE_BASE64_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

void base64_url_encode(struct buffer *out, struct view bytes);
/* Appends what `text` encodes; newlines in it are skipped. False with the byte where it is wrong in *bad_at. */
MUST_USE bool base64_url_decode(struct buffer *out, struct view text, size_t *bad_at);

#endif
