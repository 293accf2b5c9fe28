/* SPDX-License-Identifier: Apache-2.0 */
/* rule_file.h: a rule file (Prometheus 3's, and what Belfry adds to it), read and checked: groups of recording and
 * alerting rules, their expressions parsed once.
 *
 * A struct rule_file is immutable once loaded and reference counted: whoever evaluates rules of it holds a
 * reference. All views and trees in it live as long as it does. Any thread may read. */
#ifndef BELFRY_RULES_RULE_FILE_H
#define BELFRY_RULES_RULE_FILE_H

#include "base/attributes.h"
#include "base/error.h"
#include "base/view.h"
#include "model/labels.h"
#include "promql/parser.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RULE_FILE_BYTES_MAX = 16 << 20,
    RULE_FILE_ERRORS_MAX = 100 /* told at once; more say nothing new */
};

enum rule_kind { RULE_RECORDING, RULE_ALERTING };

struct rule_text;

struct rule_definition {
    enum rule_kind kind;
    struct view name;           /* of the series or the alert */
    struct view text;           /* the expression as it is written */
    struct view printed;        /* the same as Prometheus prints it; empty where it has errors */
    const struct promql *expr;  /* the file's */
    int64_t for_ms;             /* alerts; 0 = fires at once */
    int64_t keep_firing_for_ms; /* alerts */
    struct labels labels; /* the group's and its own, its own win; of alerts: templates; an empty
                                 * value takes the label away */
    struct labels annotations; /* alerts: templates; values may be empty */
    struct rule_text **label_texts,
        **annotation_texts; /* alerts: parsed, one each; NULL: no template */
    uint32_t line;          /* where it begins */
    /* Beyond Prometheus. */
    int64_t missing_for_ms;       /* alerts: > 0: for series that are gone for so long */
    struct view recover_text;     /* alerts: "" = none */
    const struct promql *recover; /* resolves only when this has the series; NULL = none */
};

struct rule_group_definition {
    struct view name;
    struct view file;        /* the path as it was given to the loader */
    int64_t interval_ms;     /* 0 = global.evaluation_interval */
    bool has_query_offset;   /* else global.rule_query_offset */
    int64_t query_offset_ms; /* >= 0 */
    uint64_t limit;          /* of series or alerts of one rule; 0 = none */
    struct labels labels;
    struct rule_definition *rules;
    size_t rule_count;
};

struct rule_file_options {
    bool ignore_unknown_fields;
    bool legacy_names; /* metric_name_validation_scheme: legacy */
    struct parser_options parser;
};

/* One thing that is wrong. `text` has no file name; with a place it begins with "LINE:COLUMN: ". */
struct rule_file_error {
    uint32_t line, column; /* 0 = no place */
    struct view text;
};

struct rule_file {
    struct view path;
    struct rule_group_definition *groups;
    size_t group_count, rule_count;
    bool has_more_documents; /* only the first was read */
    /* All that is wrong, in the order of the file. Not empty: the file was refused. */
    struct rule_file_error *errors;
    size_t error_count;
};

/* Reads the file. *out is the caller's (rule_file_unref) also when it was refused, so that all errors can be told;
 * NULL when it could not be read. err has the first: "FILE: LINE:COLUMN: group "g", rule 1, "name": what". ERROR_INPUT,
 * ERROR_TOO_LARGE, ERROR_NOT_FOUND, ERROR_IO. */
MUST_USE bool rule_file_load(const char *path, const struct rule_file_options *opts,
                             struct rule_file **out, struct error *err);
/* The same from text; `path` is what it is called. */
MUST_USE bool rule_file_parse(struct view text, const char *path,
                              const struct rule_file_options *opts, struct rule_file **out,
                              struct error *err);
struct rule_file *rule_file_ref(struct rule_file *f);
void rule_file_unref(struct rule_file *f); /* NULL does nothing */

/* Do the two mean the same: kind, name, expression, times, labels, annotations? Layout does not count. */
bool rule_definition_equal(const struct rule_definition *a, const struct rule_definition *b);

#endif
