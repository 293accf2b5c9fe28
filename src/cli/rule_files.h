/* SPDX-License-Identifier: Apache-2.0 */
/* rule_files.h: the rule files that a command line names. */
#ifndef BELFRY_CLI_RULE_FILES_H
#define BELFRY_CLI_RULE_FILES_H

#include "base/attributes.h"
#include "base/error.h"
#include "cli/flags.h"
#include "rules/rule_file.h"

enum { RULE_FILES_NAMED_MAX = 1000 };

struct rule_files {
    struct rule_file *items[RULE_FILES_NAMED_MAX];
    size_t count;
};

/* Adds to *out, which begins as zeros; rule_files_unload() also after a failure. */
MUST_USE bool rule_files_load(struct rule_files *out, const char *const *paths, size_t count,
                              const struct flag_list *features, struct error *err);
void rule_files_unload(struct rule_files *f);
/* A time of a flag; *ms stays as it is when `text` is NULL. ERROR_USAGE. */
MUST_USE bool rule_files_time(const char *flag, const char *text, int64_t *ms, struct error *err);

#endif
