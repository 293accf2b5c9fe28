/* SPDX-License-Identifier: Apache-2.0 */
/* rule_stages.c: a rule reads what its selectors name. One that names no metric may read anything, and so may a
 * template that asks for series. A rule that reads what a later one writes gets that of the evaluation before, as it would
 * if each were written at once. */
#include "rules/rule_stages.h"

#include "base/map.h"
#include "promql/selectors.h"
#include "rules/rule_text.h"

struct reading {
    const struct string_map *written;
    bool alerts_written, any_written;
    bool depends;
};

static void look_at_selector(void *arg, const struct selector *s)
{
    struct reading *r = arg;
    struct view name = VIEW("");
    uint64_t unused;
    for (uint32_t i = 0; i < s->matcher_count; i++)
        if (s->matchers[i].type == MATCH_EQUAL && view_is(s->matchers[i].name, LABEL_NAME))
            name = s->matchers[i].value;
    if (name.len == 0)
        r->depends |= r->any_written;
    else if (view_is(name, "ALERTS") || view_is(name, "ALERTS_FOR_STATE"))
        r->depends |= r->alerts_written;
    r->depends |= name.len && string_map_get(r->written, name, &unused);
}

static bool asks_for_series(const struct rule_definition *rule)
{
    for (uint32_t i = 0; i < rule->labels.count && rule->kind == RULE_ALERTING; i++)
        if (rule->label_texts[i] && rule_text_queries(rule->labels.items[i].value))
            return true;
    for (uint32_t i = 0; i < rule->annotations.count; i++)
        if (rule->annotation_texts[i] && rule_text_queries(rule->annotations.items[i].value))
            return true;
    return false;
}

size_t rule_stage_length(const struct rule_group_definition *g, size_t first)
{
    struct string_map *written = string_map_new(MEM_RULES);
    struct reading r = {.written = written};
    size_t count = 0;
    for (; first + count < g->rule_count && count < RULE_STAGE_MAX; count++) {
        const struct rule_definition *rule = &g->rules[first + count];
        promql_each_selector(promql_root(rule->expr), look_at_selector, &r);
        if (rule->recover)
            promql_each_selector(promql_root(rule->recover), look_at_selector, &r);
        if (r.depends || (r.any_written && asks_for_series(rule)))
            break;
        r.any_written = true;
        if (rule->kind == RULE_ALERTING)
            r.alerts_written = true;
        else
            string_map_set(written, rule->name, 1);
    }
    string_map_free(written);
    return count;
}
