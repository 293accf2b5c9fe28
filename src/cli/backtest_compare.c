/* SPDX-License-Identifier: Apache-2.0 */
/* backtest_compare.c: alerts are known by their labels. A label that tells versions apart (a severity that changed) makes
 * other alerts, as it does for who is notified. */
#include "cli/backtest_compare.h"

#include "base/map.h"
#include "base/mem.h"

#include <stdlib.h>

/* --- rules, by name --- */

static struct rule_difference *rule_of(struct backtest_comparison *c, struct string_map *index,
                                       struct view name)
{
    uint64_t number = c->rule_count;
    if (!string_map_get(index, name, &number)) {
        string_map_set(index, name, number);
        c->rules[c->rule_count++] = (struct rule_difference){.name = name};
    }
    return &c->rules[number];
}

static void compare_rules(const struct backtest *first, const struct backtest *second,
                          struct backtest_comparison *c)
{
    struct string_map *index = string_map_new(MEM_OTHER);
    c->rules =
        mem_alloc_zero(MEM_OTHER, first->rule_count + second->rule_count + 1, sizeof *c->rules);
    for (size_t i = 0; i < first->rule_count; i++) {
        struct rule_difference *r = rule_of(c, index, first->rules[i].name);
        r->in_first = true;
        r->first_fired += first->rules[i].fired_count;
    }
    for (size_t i = 0; i < second->rule_count; i++) {
        struct rule_difference *r = rule_of(c, index, second->rules[i].name);
        r->in_second = true;
        r->second_fired += second->rules[i].fired_count;
    }
    string_map_free(index);
}

/* --- firings --- */

struct firing {
    struct labels labels;
    int64_t from_ms, to_ms, fired_ms;
};

static int firing_compare(const void *x, const void *y)
{
    const struct firing *a = x, *b = y;
    int c = labels_compare(a->labels, b->labels);
    return c ? c : (a->from_ms > b->from_ms) - (a->from_ms < b->from_ms);
}

static struct firing *firings_of(const struct backtest *b, size_t *count)
{
    struct firing *all = mem_alloc(MEM_OTHER, (b->episode_count + 1) * sizeof *all);
    *count = 0;
    for (size_t i = 0; i < b->episode_count; i++) {
        struct firing *f = &all[*count];
        if (!backtest_firing(b, &b->episodes[i], &f->from_ms, &f->to_ms))
            continue;
        f->fired_ms = b->episodes[i].fired_ms;
        f->labels = b->series[b->episodes[i].series].labels;
        ++*count;
    }
    if (*count)
        qsort(all, *count, sizeof *all, firing_compare);
    return all;
}

static void add(struct backtest_comparison *c, struct labels labels, int64_t first_ms,
                int64_t second_ms)
{
    c->items = mem_grow(MEM_OTHER, c->items, &c->capacity, c->count + 1, sizeof *c->items);
    c->items[c->count++] = (struct episode_difference){labels, first_ms, second_ms};
}

static int64_t when(const struct episode_difference *d)
{
    return d->first_ms == RULE_NEVER ? d->second_ms : d->first_ms;
}

static int difference_compare(const void *x, const void *y)
{
    const struct episode_difference *a = x, *b = y;
    if (when(a) != when(b))
        return when(a) < when(b) ? -1 : 1;
    return labels_compare(a->labels, b->labels);
}

/* Two sorted lists, merged: a firing meets the first one of the other version that it overlaps. */
void backtest_compare(const struct backtest *first, const struct backtest *second,
                      struct backtest_comparison *out)
{
    size_t a_count, b_count, i = 0, k = 0;
    struct firing *a = firings_of(first, &a_count), *b = firings_of(second, &b_count);
    *out = (struct backtest_comparison){0};
    compare_rules(first, second, out);
    while (i < a_count || k < b_count) {
        int order = i == a_count ? 1 : k == b_count ? -1 : labels_compare(a[i].labels, b[k].labels);
        if (order == 0 && a[i].to_ms < b[k].from_ms)
            order = -1;
        else if (order == 0 && b[k].to_ms < a[i].from_ms)
            order = 1;
        if (order < 0) {
            add(out, a[i].labels, a[i].fired_ms, RULE_NEVER);
            i++;
        } else if (order > 0) {
            add(out, b[k].labels, RULE_NEVER, b[k].fired_ms);
            k++;
        } else {
            if (a[i].fired_ms != b[k].fired_ms)
                add(out, a[i].labels, a[i].fired_ms, b[k].fired_ms);
            i++;
            k++;
        }
    }
    if (out->count)
        qsort(out->items, out->count, sizeof *out->items, difference_compare);
    mem_free(MEM_OTHER, a);
    mem_free(MEM_OTHER, b);
}

void backtest_comparison_deinit(struct backtest_comparison *c)
{
    mem_free(MEM_OTHER, c->rules);
    mem_free(MEM_OTHER, c->items);
    *c = (struct backtest_comparison){0};
}
