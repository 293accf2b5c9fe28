/* SPDX-License-Identifier: Apache-2.0 */
/* relabel.h: rewriting of label sets by rules, as in Prometheus 3: for targets before they are scraped and
 * for series before they are stored. Rules are immutable once checked: any thread may process with them. */
#ifndef BELFRY_INGEST_RELABEL_H
#define BELFRY_INGEST_RELABEL_H

#include "base/attributes.h"
#include "base/error.h"
#include "base/regex.h"
#include "base/view.h"
#include "model/labels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* action, its word in the file */
#define RELABEL_ACTIONS(X)                                                                         \
    X(RELABEL_REPLACE, "replace")                                                                  \
    X(RELABEL_KEEP, "keep")                                                                        \
    X(RELABEL_DROP, "drop")                                                                        \
    X(RELABEL_KEEP_EQUAL, "keepequal")                                                             \
    X(RELABEL_DROP_EQUAL, "dropequal")                                                             \
    X(RELABEL_HASHMOD, "hashmod")                                                                  \
    X(RELABEL_LABELMAP, "labelmap")                                                                \
    X(RELABEL_LABELDROP, "labeldrop")                                                              \
    X(RELABEL_LABELKEEP, "labelkeep")                                                              \
    X(RELABEL_LOWERCASE, "lowercase")                                                              \
    X(RELABEL_UPPERCASE, "uppercase")

enum relabel_action {
#define X(id, word) id,
    RELABEL_ACTIONS(X)
#undef X
        RELABEL_ACTION_COUNT
};

struct relabel_rule {
    enum relabel_action action;
    bool has_action;   /* false: the file said "action: null" */
    bool legacy_names; /* target labels are [a-zA-Z_][a-zA-Z0-9_]*, not any UTF-8 */
    const struct view *source_labels;
    size_t source_label_count;
    struct view separator;  /* default ";" */
    struct view regex_text; /* as written; default "(.*)" */
    struct regex *regex;    /* owned; NULL = the default, which matches all as $1 */
    uint64_t modulus;
    struct view target_label;
    struct view replacement; /* default "$1" */
};

/* The defaults of a rule that says nothing. */
void relabel_rule_init(struct relabel_rule *rule);
/* Frees what regex_text was compiled to. The texts are borrowed. */
void relabel_rule_deinit(struct relabel_rule *rule);
/* "Replace" is RELABEL_REPLACE too: case does not matter. False when the word is no action. */
bool relabel_action_parse(struct view word, enum relabel_action *out);
/* Static text. */
const char *relabel_action_name(enum relabel_action action);
/* Compiles the regex and checks that the fields fit the action, as Prometheus does and in its words.
 * Must be called once, before the first relabel_process(). ERROR_INPUT. */
MUST_USE bool relabel_rule_check(struct relabel_rule *rule, struct error *err);

/* Applies the rules in order. False: the label set is dropped, and b holds what it had come to. New text
 * is allocated in b's arena. Label names that begin with __ stay; who calls removes them. */
bool relabel_process(const struct relabel_rule *rules, size_t count, struct labels_builder *b);

#endif
