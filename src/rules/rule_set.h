/* SPDX-License-Identifier: Apache-2.0 */
/* rule_set.h: the rule files of one configuration. Used by the manager. */
#ifndef BELFRY_RULES_RULE_SET_H
#define BELFRY_RULES_RULE_SET_H

#include "rules/rule_manager.h"

struct rule_set {
    struct rule_file **files;
    size_t count, capacity;
    size_t group_count, rule_count, alert_count;
};

MUST_USE bool rule_set_read(struct rule_set **out, const struct parser_options *parser,
                            const struct config *config,
                            void (*log)(void *arg, bool is_error, const char *event,
                                        const char *text),
                            void *log_arg, struct error *err);

#endif
