/* SPDX-License-Identifier: Apache-2.0 */
/* alert_sink.c: see alert_sink.h. */
#include "rules/alert_sink.h"

#include <string.h>

void alert_generator_url(struct buffer *out, struct view external_url, struct view expr)
{
    static const char PLAIN[] = "-._~"; /* Go's url.QueryEscape leaves these, letters and digits */
    buffer_append_view(out, external_url);
    buffer_append_literal(out, "/graph?g0.expr=");
    for (size_t i = 0; i < expr.len; i++) {
        unsigned char c = (unsigned char)expr.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     (c && strchr(PLAIN, c));
        if (plain)
            buffer_append_byte(out, (char)c);
        else if (c == ' ')
            buffer_append_byte(out, '+');
        else
            buffer_printf(out, "%%%02X", c);
    }
    buffer_append_literal(out, "&g0.tab=1");
}
