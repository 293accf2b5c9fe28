/* SPDX-License-Identifier: Apache-2.0 */
/* parser_selector.c: metric{a="b", c=~"d.*"}, {"utf-8 metric"}, and lists of label names. */
#include "promql/parser_private.h"

#include "base/assert.h"
#include "base/utf8.h"
#include "model/labels.h"

bool token_is_metric_name(enum token_kind kind)
{
    switch (kind) {
    case TOKEN_IDENTIFIER:
    case TOKEN_METRIC_IDENTIFIER:
    case TOKEN_AND:
    case TOKEN_OR:
    case TOKEN_UNLESS:
    case TOKEN_BY:
    case TOKEN_WITHOUT:
    case TOKEN_OFFSET:
    case TOKEN_ANCHORED:
    case TOKEN_SMOOTHED:
        return true;
    default:
        return token_class(kind) == TOKEN_CLASS_AGGREGATOR ||
               token_class(kind) == TOKEN_CLASS_PREPROCESSOR;
    }
}

bool token_is_label_name(enum token_kind kind)
{
    return kind == TOKEN_IDENTIFIER || kind == TOKEN_METRIC_IDENTIFIER ||
           token_class(kind) == TOKEN_CLASS_AGGREGATOR ||
           token_class(kind) == TOKEN_CLASS_KEYWORD ||
           token_class(kind) == TOKEN_CLASS_PREPROCESSOR ||
           token_class(kind) == TOKEN_CLASS_OPERATOR_WORD;
}

/* --- lists of label names --- */

static bool label_list_item(struct parser *p, struct view *out)
{
    if (parser_at(p, TOKEN_STRING)) {
        struct token t = parser_take(p);
        if (!parser_string(p, t, out))
            return false;
        if (out->len == 0 || !utf8_is_valid(*out))
            return parser_fail(p, t.start, "invalid label name for grouping: %s",
                               parser_quoted(p, *out));
        return true;
    }
    if (!token_is_label_name(p->token.kind))
        return parser_unexpected(p, "grouping opts", "label");
    *out = parser_token_view(p, parser_take(p));
    return true;
}

bool parser_label_list(struct parser *p, struct view **labels, uint32_t *count)
{
    size_t capacity = 0;
    *labels = NULL;
    *count = 0;
    if (!parser_at(p, TOKEN_LEFT_PAREN))
        return parser_unexpected(p, "grouping opts", "\"(\"");
    parser_take(p);
    while (!parser_at(p, TOKEN_RIGHT_PAREN)) {
        *labels = arena_grow(p->arena, *labels, &capacity, *count + 1, sizeof **labels);
        if (!label_list_item(p, &(*labels)[*count]))
            return false;
        (*count)++;
        if (parser_at(p, TOKEN_COMMA))
            parser_take(p);
        else if (!parser_at(p, TOKEN_RIGHT_PAREN))
            return parser_unexpected(p, "grouping opts", "\",\" or \")\"");
    }
    parser_take(p);
    return true;
}

/* --- matchers --- */

struct matcher_list {
    struct matcher *items;
    size_t count, capacity;
};

static bool add_matcher(struct parser *p, struct matcher_list *list, enum matcher_type type,
                        struct view name, struct view value, uint32_t at)
{
    list->items =
        arena_grow(p->arena, list->items, &list->capacity, list->count + 1, sizeof *list->items);
    struct matcher *m = &list->items[list->count];
    struct error err;
    if (!matcher_init(m, type, name, value, &err))
        return parser_fail(p, at, "%s", err.message);
    list->count++;
    if (m->regex) {
        struct regex_node *n = ARENA_NEW(p->arena, struct regex_node);
        *n = (struct regex_node){m->regex, p->q->regexes};
        p->q->regexes = n;
    }
    return true;
}

static bool match_type(enum token_kind kind, enum matcher_type *out)
{
    switch (kind) {
    case TOKEN_EQUAL:
        *out = MATCH_EQUAL;
        return true;
    case TOKEN_NE:
        *out = MATCH_NOT_EQUAL;
        return true;
    case TOKEN_MATCH_REGEX:
        *out = MATCH_REGEX;
        return true;
    case TOKEN_MATCH_NOT_REGEX:
        *out = MATCH_NOT_REGEX;
        return true;
    default:
        return false;
    }
}

/* a="b", "odd name"="b", or "metric name" alone. */
static bool one_matcher(struct parser *p, struct matcher_list *list)
{
    if (!parser_at(p, TOKEN_IDENTIFIER) && !parser_at(p, TOKEN_STRING))
        return parser_unexpected(p, "label matching", "identifier or \"}\"");
    struct token t = parser_take(p);
    struct view name = parser_token_view(p, t), value;
    bool quoted = t.kind == TOKEN_STRING;
    if (quoted && !parser_string(p, t, &name))
        return false;
    enum matcher_type type;
    if (!match_type(p->token.kind, &type)) {
        if (quoted && (parser_at(p, TOKEN_COMMA) || parser_at(p, TOKEN_RIGHT_BRACE)))
            return add_matcher(p, list, MATCH_EQUAL, VIEW(LABEL_NAME), name, t.start);
        return parser_unexpected(p, "label matching",
                                 quoted ? "\",\" or \"}\"" : "label matching operator");
    }
    parser_take(p);
    if (!parser_at(p, TOKEN_STRING))
        return parser_unexpected(p, "label matching", "string");
    struct token v = parser_take(p);
    return parser_string(p, v, &value) && add_matcher(p, list, type, name, value, t.start);
}

static bool braces(struct parser *p, struct matcher_list *list)
{
    parser_take(p);
    while (!parser_at(p, TOKEN_RIGHT_BRACE)) {
        if (!one_matcher(p, list))
            return false;
        if (parser_at(p, TOKEN_COMMA))
            parser_take(p);
        else if (!parser_at(p, TOKEN_RIGHT_BRACE))
            return parser_unexpected(p, "label matching", "\",\" or \"}\"");
    }
    parser_take(p);
    return true;
}

struct expr *parser_selector(struct parser *p)
{
    uint32_t start = p->token.start;
    struct view name = {"", 0};
    struct matcher_list list = {0};
    if (token_is_metric_name(p->token.kind))
        name = parser_token_view(p, parser_take(p));
    if (parser_at(p, TOKEN_LEFT_BRACE) && !braces(p, &list))
        return NULL;
    /* The name's matcher comes last: the type check looks for a second one before it. */
    uint32_t end = p->last_end;
    if (name.len && !add_matcher(p, &list, MATCH_EQUAL, VIEW(LABEL_NAME), name, start))
        return NULL;
    struct expr *e =
        parser_expr_new(p, EXPR_SELECTOR, VALUE_VECTOR, (struct span){start, end}, NULL, NULL);
    if (!e)
        return NULL;
    e->u.selector.name = name;
    e->u.selector.matchers = list.items;
    e->u.selector.matcher_count = (uint32_t)list.count;
    return e;
}
