/* SPDX-License-Identifier: Apache-2.0 */
/* log_line.h: one whole line of a log. */
#ifndef BELFRY_INSTRUMENT_LOG_LINE_H
#define BELFRY_INSTRUMENT_LOG_LINE_H

#include "instrument/line.h"

struct line_options {
    belfry_log_format format;
    bool with_request_id;
    bool with_context; /* fields of scopes and of the request */
    bool with_trace;
};

void belfry__log_line_make(struct line *l, const struct line_options *options,
                           belfry_log_level level, const char *event, const belfry_field *fields,
                           size_t count);

#endif
