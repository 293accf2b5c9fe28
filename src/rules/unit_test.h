/* SPDX-License-Identifier: Apache-2.0 */
/* unit_test.h: unit tests of rules in promtool's format: series are loaded into a store in memory, rules are
 * evaluated in a time of their own, and alerts and queries are compared with what the file expects. */
#ifndef BELFRY_RULES_UNIT_TEST_H
#define BELFRY_RULES_UNIT_TEST_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/pool.h"
#include "base/regex.h"
#include "rules/rule_file.h"
#include "rules/unit_test_file.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    UNIT_TEST_BYTES_MAX = 16 << 20,
    UNIT_TEST_SAMPLES_MAX = 20000000, /* of one test */
    UNIT_TEST_STEPS_MAX = 10000000    /* evaluations of one test */
};

struct unit_test_options {
    struct rule_file_options rules;
    struct pool *pool;       /* NULL = the calling thread alone */
    const struct regex *run; /* only tests whose name it finds something in; NULL = all */
    bool diff;               /* lines that differ in place of both sides */
    bool debug;              /* say when tests begin, and what all series were at their end */
    bool delayed_name_removal;
    test_time_parse *parse_time; /* of start_timestamp: as the API reads times */
};

/* What came of one file. Zero it first; unit_test_report_deinit() at the end. */
struct unit_test_case {
    char *name;
    char **failures;
    size_t failure_count, failure_capacity;
};
struct unit_test_report {
    struct unit_test_case *cases;
    size_t case_count, case_capacity;
    char **errors; /* of the file itself: no test ran */
    size_t error_count, error_capacity;
};

/* Runs the tests of a file. True when nothing failed. `out` takes what goes to standard output meanwhile. */
MUST_USE bool unit_test_run(const char *path, const struct unit_test_options *opts,
                            struct unit_test_report *report, struct buffer *out);
/* The same from text; rule files are looked for beside `path`. */
MUST_USE bool unit_test_run_text(struct view text, const char *path,
                                 const struct unit_test_options *opts,
                                 struct unit_test_report *report, struct buffer *out);
void unit_test_report_deinit(struct unit_test_report *r);
/* JUnit's XML of several files. */
void unit_test_junit(const char *const *paths, const struct unit_test_report *reports, size_t count,
                     struct buffer *out);

#endif
