/* SPDX-License-Identifier: Apache-2.0 */
/* rule_paths.h: which files the patterns of rule_files name now. */
#ifndef BELFRY_RULES_RULE_PATHS_H
#define BELFRY_RULES_RULE_PATHS_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/error.h"
#include "ingest/config.h"

#include <stddef.h>

enum { RULE_FILES_MAX = 10000 };

/* Sorted within a pattern, each once, NUL-terminated in the arena. */
struct rule_paths {
    const char **items;
    size_t count, capacity;
};

/* A pattern that matches nothing names nothing. ERROR_LIMIT when there are more than RULE_FILES_MAX. */
MUST_USE bool rule_paths_find(const struct config *config, struct arena *arena,
                              struct rule_paths *out, struct error *err);

#endif
