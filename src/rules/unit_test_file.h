/* SPDX-License-Identifier: Apache-2.0 */
/* unit_test_file.h: a file of unit tests as it is written. Everything is in the arena of the reader. */
#ifndef BELFRY_RULES_UNIT_TEST_FILE_H
#define BELFRY_RULES_UNIT_TEST_FILE_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/error.h"
#include "model/labels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct test_texts {
    struct view *items;
    size_t count;
};

struct test_input {
    struct view series, values;
    uint32_t line;
};

struct test_alert {
    struct labels labels, annotations; /* sorted; values may be empty */
};

struct alert_test {
    int64_t eval_ms;
    struct view alertname;
    struct test_alert *alerts;
    size_t alert_count;
};

struct test_sample {
    struct view labels; /* as written: a metric */
    double value;
    bool is_histogram;
};

struct expr_test {
    int64_t eval_ms;
    struct view expr;
    struct test_sample *samples;
    size_t sample_count;
};

struct test_group {
    struct view name;
    int64_t interval_ms; /* > 0 once read */
    int64_t start_ms;
    struct test_input *inputs;
    size_t input_count;
    struct alert_test *alert_tests;
    size_t alert_test_count;
    struct expr_test *expr_tests;
    size_t expr_test_count;
    struct labels external_labels;
    struct view external_url;
};

struct unit_test_file {
    struct test_texts rule_files; /* patterns, as written */
    int64_t evaluation_interval_ms;
    struct test_texts group_eval_order; /* distinct */
    bool fuzzy_compare;
    struct test_group *tests;
    size_t test_count;
};

/* ERROR_INPUT with line and column, which the message begins with. */
typedef bool test_time_parse(struct view text, int64_t *ms, struct error *err);
MUST_USE bool unit_test_file_parse(struct arena *arena, struct view text, bool ignore_unknown,
                                   test_time_parse *parse_time, struct unit_test_file *out,
                                   struct error *err);

#endif
