/* SPDX-License-Identifier: Apache-2.0 */
/* escape.h: texts made safe for a place. All append to a buffer. */
#ifndef BELFRY_TEMPLATE_ESCAPE_H
#define BELFRY_TEMPLATE_ESCAPE_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/view.h"

#include <stdbool.h>

/* The five of HTML: &#34; &#39; &amp; &lt; &gt;. NUL becomes U+FFFD. */
void escape_html(struct buffer *out, struct view text);
/* For a quoted text of JavaScript: Go's template.JSEscapeString. */
void escape_js(struct buffer *out, struct view text);
/* For the query of a URL: space is "+", all but letters, digits and "-_.~" are %XX. */
void escape_query(struct buffer *out, struct view text);
/* The reverse; false with "invalid URL escape" bytes in *bad. */
MUST_USE bool escape_query_undo(struct buffer *out, struct view text, struct view *bad);

#endif
