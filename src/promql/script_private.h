/* SPDX-License-Identifier: Apache-2.0 */
/* script_private.h: what the files of the script runner share. */
#ifndef BELFRY_PROMQL_SCRIPT_PRIVATE_H
#define BELFRY_PROMQL_SCRIPT_PRIVATE_H

#include "base/arena.h"
#include "promql/engine.h"
#include "promql/script.h"
#include "promql/series_text.h"

/* One expected line. A scalar has has_labels false. */
struct expected_series {
    bool has_labels;
    struct series_text text;
};

/* "expect warn", "expect info". Without text any annotation of the kind will do. */
struct expected_annotation {
    bool is_info;
    struct view message, regex; /* "" = any; the regex may match anywhere in the text */
};

/* An eval command as it is written. Everything is in the command's arena. */
struct script_eval {
    uint32_t line;
    bool instant;
    int64_t start_ms, end_ms, step_ms; /* instant: start == end */
    struct view query;
    bool fail, ordered;
    struct view fail_message, fail_regex; /* "" = any */
    bool has_string;
    struct view string;
    bool has_range_vector; /* "expect range vector": values are at these times */
    int64_t range_start_ms, range_end_ms, range_step_ms;
    bool expects_histogram;
    struct expected_annotation *annotations;
    size_t annotation_count, annotation_capacity;
    bool no_warn, no_info;
    struct expected_series *series;
    size_t series_count;
};

/* script_compare.c: does the result match? `times` of expected values: first_ms + i * step_ms. On false, what was
 * expected and what came is in the buffers. */
bool script_compare(const struct script_eval *e, const struct query_result *result,
                    struct arena *arena, struct buffer *expected, struct buffer *actual);
/* Only what a range query gives at one time, as if it were the instant result. */
bool script_compare_at(const struct script_eval *e, const struct query_result *range,
                       int64_t time_ms, struct arena *arena, struct buffer *expected,
                       struct buffer *actual);

/* script_annotation.c: does `text` equal `message`, or has it a match of `regex`? Both "": true. */
bool script_text_matches(struct view text, struct view message, struct view regex);
/* Are the annotations of a result the expected ones? If any warning (info) is expected, each that came must be one of
 * these. On false, as script_compare(). */
bool script_compare_annotations(const struct script_eval *e, const struct query_result *result,
                                struct buffer *expected, struct buffer *actual);

#endif
