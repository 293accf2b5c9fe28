/* SPDX-License-Identifier: Apache-2.0 */
/* template.c: what was parsed, by name. */
#include "template/template.h"

#include "template/template_private.h"

void source_position(const struct source *s, uint32_t pos, uint32_t *line, uint32_t *column)
{
    uint32_t start = 0;
    *line = 1;
    for (uint32_t i = 0; i < pos && i < s->text.len; i++) {
        if (s->text.ptr[i] == '\n') {
            ++*line;
            start = i + 1;
        }
    }
    *column = pos - start + 1;
}

struct template_set *template_set_new(void)
{
    struct template_set *set = mem_alloc_zero(MEM_CONFIG, 1, sizeof(*set));
    arena_init(&set->arena, MEM_CONFIG, 0);
    set->names = string_map_new(MEM_CONFIG);
    return set;
}

void template_set_free(struct template_set *set)
{
    if (!set)
        return;
    mem_free(MEM_CONFIG, set->bodies);
    string_map_free(set->names);
    arena_deinit(&set->arena);
    mem_free(MEM_CONFIG, set);
}

/* The body that stands for a name from now on; an empty one replaces nothing. */
static void set_add(struct template_set *set, struct body *b)
{
    uint64_t idx;
    if (string_map_get(set->names, b->name, &idx)) {
        if (!b->is_empty || set->bodies[idx]->is_empty)
            set->bodies[idx] = b;
        return;
    }
    set->bodies =
        mem_grow(MEM_CONFIG, set->bodies, &set->capacity, set->count + 1, sizeof(*set->bodies));
    string_map_set(set->names, b->name, set->count);
    set->bodies[set->count++] = b;
}

bool template_set_parse(struct template_set *set, const struct template_options *options,
                        struct view name, struct view text, struct error *err)
{
    struct parsed parsed;
    if (!parser_run(&parsed, &set->arena, options, name, text, err))
        return false;
    for (size_t i = 0; i < parsed.count; i++)
        set_add(set, parsed.bodies[i]);
    set_add(set, parsed.main);
    return true;
}

const struct body *template_set_find(const struct template_set *set, struct view name)
{
    uint64_t idx;
    return set && string_map_get(set->names, name, &idx) ? set->bodies[idx] : NULL;
}

bool template_set_has(const struct template_set *set, struct view name)
{
    return template_set_find(set, name) != NULL;
}

bool template_parse(struct template **out, const struct template_options *options,
                    const struct template_set *set, struct view name, struct view text,
                    struct error *err)
{
    struct parsed parsed;
    struct template *t = mem_alloc_zero(MEM_CONFIG, 1, sizeof(*t));
    *out = NULL;
    arena_init(&t->arena, MEM_CONFIG, 0);
    t->patterns = ARENA_NEW(&t->arena, struct pattern_list);
    if (!parser_run(&parsed, &t->arena, options, name, text, err)) {
        template_free(t);
        return false;
    }
    t->set = set;
    t->main = parsed.main;
    t->bodies = parsed.bodies;
    t->count = parsed.count;
    t->variable_count = options->variable_count;
    t->html = options->html;
    *out = t;
    return true;
}

void template_free(struct template *t)
{
    if (!t)
        return;
    struct known_pattern *p = atomic_load_explicit(&t->patterns->first, memory_order_acquire);
    while (p) {
        struct known_pattern *next = p->next;
        regex_search_free(p->regex);
        mem_free(MEM_CONFIG, p);
        p = next;
    }
    arena_deinit(&t->arena);
    mem_free(MEM_CONFIG, t);
}

const struct body *template_find(const struct template *t, struct view name)
{
    for (size_t i = 0; i < t->count; i++)
        if (view_eq(t->bodies[i]->name, name))
            return t->bodies[i];
    if (view_eq(t->main->name, name))
        return t->main;
    return template_set_find(t->set, name);
}
