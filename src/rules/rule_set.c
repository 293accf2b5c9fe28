/* SPDX-License-Identifier: Apache-2.0 */
/* rule_set.c: see rule_set.h. */
#include "rules/rule_set.h"

#include "base/mem.h"
#include "rules/rule_paths.h"

#include <stdio.h>

static void count_rules(struct rule_set *set, const struct rule_file *f)
{
    set->group_count += f->group_count;
    set->rule_count += f->rule_count;
    for (size_t g = 0; g < f->group_count; g++)
        for (size_t i = 0; i < f->groups[g].rule_count; i++)
            set->alert_count += f->groups[g].rules[i].kind == RULE_ALERTING;
}

bool rule_set_read(struct rule_set **out, const struct parser_options *parser,
                   const struct config *config,
                   void (*log)(void *arg, bool is_error, const char *event, const char *text),
                   void *log_arg, struct error *err)
{
    struct arena arena;
    struct rule_paths paths;
    struct rule_set *set = mem_alloc_zero(MEM_RULES, 1, sizeof *set);
    const struct rule_file_options options = {
        .legacy_names = config->global.metric_name_validation_scheme == CONFIG_NAMES_LEGACY,
        .parser = *parser};
    arena_init(&arena, MEM_RULES, 0);
    bool ok = rule_paths_find(config, &arena, &paths, err);
    for (size_t i = 0; ok && i < paths.count; i++) {
        struct rule_file *f;
        ok = rule_file_load(paths.items[i], &options, &f, err);
        if (!ok && f && f->error_count > 1)
            error_hint(err, "there are %zu more errors: belfry check rules %s", f->error_count - 1,
                       paths.items[i]);
        if (!ok) {
            rule_file_unref(f);
            break;
        }
        if (f->has_more_documents && log) {
            char text[512];
            snprintf(text, sizeof text, "%s has several documents: only the first is read",
                     paths.items[i]);
            log(log_arg, true, "rule_file", text);
        }
        set->files =
            mem_grow(MEM_RULES, set->files, &set->capacity, set->count + 1, sizeof *set->files);
        set->files[set->count++] = f;
        count_rules(set, f);
    }
    arena_deinit(&arena);
    if (!ok) {
        rule_set_free(set);
        set = NULL;
    }
    *out = set;
    return ok;
}

void rule_set_free(struct rule_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->count; i++)
        rule_file_unref(set->files[i]);
    mem_free(MEM_RULES, set->files);
    mem_free(MEM_RULES, set);
}

size_t rule_set_group_count(const struct rule_set *set)
{
    return set->group_count;
}

size_t rule_set_rule_count(const struct rule_set *set)
{
    return set->rule_count;
}

size_t rule_set_alert_count(const struct rule_set *set)
{
    return set->alert_count;
}
