/* SPDX-License-Identifier: Apache-2.0 */
/* value.c: the types that are not any function library's own. Times and durations: time_value.c. */
#include "template/value.h"

#include <stdlib.h>

const struct template_type TEMPLATE_TYPE_ANY = {.kind = TEMPLATE_ANY, .name = "interface {}"},
                           TEMPLATE_TYPE_BOOL = {.kind = TEMPLATE_BOOL, .name = "bool"},
                           TEMPLATE_TYPE_INT = {.kind = TEMPLATE_INT, .name = "int"},
                           TEMPLATE_TYPE_BYTE = {.kind = TEMPLATE_INT, .name = "uint8"},
                           TEMPLATE_TYPE_FLOAT = {.kind = TEMPLATE_FLOAT, .name = "float64"},
                           TEMPLATE_TYPE_STRING = {.kind = TEMPLATE_STRING, .name = "string"},
                           TEMPLATE_TYPE_HTML = {.kind = TEMPLATE_STRING, .name = "template.HTML"},
                           TEMPLATE_TYPE_URL = {.kind = TEMPLATE_STRING, .name = "template.URL"},
                           TEMPLATE_TYPE_STRINGS = {.kind = TEMPLATE_LIST,
                                                    .name = "[]string",
                                                    .element = &TEMPLATE_TYPE_STRING},
                           TEMPLATE_TYPE_ANYS = {.kind = TEMPLATE_LIST,
                                                 .name = "[]interface {}",
                                                 .element = &TEMPLATE_TYPE_ANY},
                           TEMPLATE_TYPE_STRING_MAP = {.kind = TEMPLATE_MAP,
                                                       .name = "map[string]string",
                                                       .element = &TEMPLATE_TYPE_STRING},
                           TEMPLATE_TYPE_ANY_MAP = {.kind = TEMPLATE_MAP,
                                                    .name = "map[string]interface {}",
                                                    .element = &TEMPLATE_TYPE_ANY};

static int pair_order(const void *a, const void *b)
{
    const struct template_pair *x = a, *y = b;
    return view_cmp(x->key, y->key);
}

struct template_value template_map(const struct template_type *type, struct template_pair *pairs,
                                   size_t count)
{
    bool sorted = true;
    for (size_t i = 1; i < count && sorted; i++)
        sorted = view_cmp(pairs[i - 1].key, pairs[i].key) < 0;
    if (!sorted)
        qsort(pairs, count, sizeof(*pairs), pair_order);
    return (struct template_value){.type = type, .map = {pairs, count}};
}

bool template_value_is_true(const struct template_value *v)
{
    if (!v->type)
        return false;
    switch (v->type->kind) {
    case TEMPLATE_BOOL:
        return v->boolean;
    case TEMPLATE_INT:
        return v->integer != 0;
    case TEMPLATE_FLOAT:
        return v->number != 0;
    case TEMPLATE_STRING:
        return v->text.len > 0;
    case TEMPLATE_LIST:
        return v->list.count > 0;
    case TEMPLATE_MAP:
        return v->map.count > 0;
    case TEMPLATE_ANY:
        return false;
    default:
        return true;
    }
}

const struct template_value *template_map_find(const struct template_value *map, struct view key)
{
    size_t low = 0, high = map->map.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = view_cmp(map->map.pairs[middle].key, key);
        if (order == 0)
            return &map->map.pairs[middle].value;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

struct template_value template_zero(const struct template_type *type)
{
    struct template_value v;
    memset(&v, 0, sizeof(v)); /* all of the union */
    v.type = type;
    return v;
}
