/* SPDX-License-Identifier: Apache-2.0 */
/* rule_text.c: see rule_text.h. */
#include "rules/rule_text.h"

#include "base/mem.h"
#include "rules/rule_query.h"
#include "template/rule_data.h"
#include "template/template.h"

/* Of one annotation: enough for a page of text, small enough for a thousand alerts. */
enum { TEXT_BYTES_MAX = 1 << 20, TEXT_MEMORY_MAX = 16 << 20, TEXT_STEPS_MAX = 2000000 };

struct rule_text {
    struct template *template;
};

bool rule_text_new(struct rule_text **out, struct view rule_name, struct view text,
                   struct error *err)
{
    *out = NULL;
    if (text.len < 2 || !memmem(text.ptr, text.len, "{{", 2))
        return true;
    const struct template_options options = {.functions = &TEMPLATE_PROMETHEUS,
                                             .variables = RULE_VARIABLES,
                                             .variable_count = RULE_VARIABLE_COUNT};
    struct template *parsed;
    struct buffer name;
    buffer_init(&name, MEM_RULES, 1 << 20);
    buffer_append_literal(&name, "__alert_");
    buffer_append_view(&name, view_slice(rule_name, 0, 1000));
    bool ok = template_parse(&parsed, &options, NULL, buffer_view(&name), text, err);
    buffer_deinit(&name);
    if (!ok)
        return false;
    *out = mem_alloc(MEM_RULES, sizeof **out);
    (*out)->template = parsed;
    return true;
}

void rule_text_free(struct rule_text *t)
{
    if (!t)
        return;
    template_free(t->template);
    mem_free(MEM_RULES, t);
}

bool rule_text_queries(struct view text)
{
    return text.len >= 5 && memmem(text.ptr, text.len, "query", 5) != NULL;
}

static struct template_value map_value(struct arena *arena, struct labels ls)
{
    struct template_pair *pairs = ARENA_ARRAY(arena, struct template_pair, ls.count + 1);
    for (uint32_t i = 0; i < ls.count; i++)
        pairs[i] = (struct template_pair){ls.items[i].name, template_string(ls.items[i].value)};
    return template_map(&TEMPLATE_TYPE_STRING_MAP, pairs, ls.count);
}

/* Answers {{ query "..." }}. */
static bool on_query(void *arg, struct arena *arena, struct view expr,
                     const struct template_sample **samples, size_t *count, struct error *err)
{
    const struct rule_text_data *data = arg;
    struct rule_vector vector;
    if (!rule_query_text(data->env, data->rule, expr, data->time_ms, arena, &vector, err))
        return false;
    struct template_sample *out = ARENA_ARRAY(arena, struct template_sample, vector.count + 1);
    for (size_t i = 0; i < vector.count; i++)
        out[i] = (struct template_sample){map_value(arena, vector.labels[i]).map.pairs,
                                          vector.labels[i].count, vector.values[i]};
    *samples = out;
    *count = vector.count;
    return true;
}

struct view rule_text_expand(const struct rule_text *t, struct view raw,
                             const struct rule_text_data *data, struct arena *arena, bool *failed)
{
    if (!t)
        return raw;
    struct rule_text_use *use = data->use;
    if (use->bytes >= RULE_TEXT_BYTES_MAX || use->steps >= RULE_TEXT_STEPS_MAX) {
        *failed = true;
        return VIEW(
            "<error expanding template: the texts of this rule's alerts take too long, or are "
            "too large, together>");
    }
    struct arena *scratch = data->scratch;
    struct rule_data values;
    arena_reset(scratch);
    rule_data_init(&values, map_value(scratch, data->labels),
                   map_value(scratch, data->env->external_labels), data->env->external_url,
                   data->value);
    const struct template_run run = {.arena = scratch,
                                     .data = rule_data_value(&values),
                                     .variables = values.fields,
                                     .now = {data->time_ms},
                                     .external_url = data->env->external_url,
                                     .query = on_query,
                                     .query_arg = (void *)(uintptr_t)data,
                                     .limits = {.output_bytes_max = TEXT_BYTES_MAX,
                                                .memory_bytes_max = TEXT_MEMORY_MAX,
                                                .steps_max = TEXT_STEPS_MAX},
                                     .steps_used = &use->steps};
    struct view text;
    struct error err = {0};
    if (!template_expand(t->template, &run, &text, &err))
        *failed = true;
    use->bytes += text.len;
    return arena_copy(arena, text);
}
