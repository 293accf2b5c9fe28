/* SPDX-License-Identifier: Apache-2.0 */
/* unit_test_print.h: how unit tests show what they expected and what they got: promtool's layout. */
#ifndef BELFRY_RULES_UNIT_TEST_PRINT_H
#define BELFRY_RULES_UNIT_TEST_PRINT_H

#include "base/buffer.h"
#include "rules/unit_test_file.h"

/* [ 0: Labels:... Annotations:... ], each line but the first indented by `indent` blanks. */
void test_print_alerts(struct buffer *out, const struct test_alert *alerts, size_t count,
                       unsigned indent);
/* {a="b"} 1E+00, ...; "nil" when there are none. */
struct test_point {
    struct labels labels;
    double value;
};
void test_print_points(struct buffer *out, const struct test_point *points, size_t count);
/* Go's time.Duration: 1h2m3s, 1.5s, 0s. */
void test_print_duration(struct buffer *out, int64_t ms);
/* The lines of two texts side by side: "- " before what only `expected` has, "+ " before what only `got` has. */
void test_print_diff(struct buffer *out, struct view expected, struct view got, unsigned indent);

#endif
