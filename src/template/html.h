/* SPDX-License-Identifier: Apache-2.0 */
/* html.h: where in a page the output stands, and what a value must look like there, after Go's html/template. The state
 * follows the template's own text while it is written; values never change it. */
#ifndef BELFRY_TEMPLATE_HTML_H
#define BELFRY_TEMPLATE_HTML_H

#include "base/buffer.h"
#include "template/value.h"

enum { HTML_NAME_BYTES = 32 };

enum html_place {
    HTML_TEXT,
    HTML_COMMENT,
    HTML_TAG, /* between attributes */
    HTML_ATTR_NAME,
    HTML_AFTER_NAME,
    HTML_BEFORE_VALUE, /* behind "=" */
    HTML_VALUE,
    HTML_RCDATA, /* in title and textarea */
    HTML_SCRIPT,
    HTML_STYLE,
};

enum html_attr { HTML_ATTR_PLAIN, HTML_ATTR_URL, HTML_ATTR_SCRIPT, HTML_ATTR_STYLE };

enum html_url_part { HTML_URL_START, HTML_URL_PATH, HTML_URL_QUERY };

/* Zero = at the beginning of a page. */
struct html_state {
    enum html_place place;
    enum html_place element; /* what begins behind the ">" of this tag */
    enum html_attr attr;     /* of HTML_VALUE */
    enum html_url_part url_part;
    char delimiter; /* of HTML_VALUE: a quote, 0 = none */
    char js_quote;  /* in a script: of the text that we are in; '/' and '*' = comments; 0 = none */
    bool js_escape; /* behind a backslash */
    uint8_t name_len;
    char name
        [HTML_NAME_BYTES]; /* of the attribute, or of the element that ends RCDATA, SCRIPT, STYLE */
};

/* Appends the template's own text and follows it. Comments are dropped, a "<" that begins no tag becomes "&lt;". */
void html_text(struct html_state *s, struct buffer *out, struct view text);
/* Appends what an action prints, made safe for its place. False after template_call_error(). */
MUST_USE bool html_value(struct template_call *call, struct html_state *s, struct buffer *out,
                         const struct template_value *v);

#endif
