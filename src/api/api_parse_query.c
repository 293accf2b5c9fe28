/* SPDX-License-Identifier: Apache-2.0 */
/* api_parse_query.c: parse_query: the tree of an expression in the shape that Prometheus gives it (its tree view and
 * query builders read it). Keys ascend as in Go's maps. What depends on the query's step is 0 here, as there. */
#include "api/api_private.h"
#include "base/assert.h"
#include "base/floattext.h"
#include "base/json_write.h"
#include "promql/parser.h"

static void tree(struct buffer *b, const struct expr *x);

static void flag(struct buffer *b, const char *name, bool value)
{
    buffer_printf(b, "\"%s\":%s", name, value ? "true" : "false");
}

static void names(struct buffer *b, const char *key, const struct view *items, uint32_t count)
{
    buffer_printf(b, "\"%s\":[", key);
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            buffer_append_byte(b, ',');
        json_string(b, items[i]);
    }
    buffer_append_byte(b, ']');
}

static void child(struct buffer *b, const char *key, const struct expr *x)
{
    buffer_printf(b, "\"%s\":", key);
    if (x)
        tree(b, x);
    else
        buffer_append_literal(b, "null");
}

static void matchers(struct buffer *b, const struct selector *s)
{
    static const char *const TYPES[] = {[MATCH_EQUAL] = "=",
                                        [MATCH_NOT_EQUAL] = "!=",
                                        [MATCH_REGEX] = "=~",
                                        [MATCH_NOT_REGEX] = "!~"};
    buffer_append_literal(b, "\"matchers\":[");
    for (uint32_t i = 0; i < s->matcher_count; i++) {
        if (i)
            buffer_append_byte(b, ',');
        buffer_append_byte(b, '{');
        api_field_string(b, "name", s->matchers[i].name);
        buffer_append_byte(b, ',');
        api_field_string(b, "type", view_from(TYPES[s->matchers[i].type]));
        buffer_append_byte(b, ',');
        api_field_string(b, "value", s->matchers[i].value);
        buffer_append_byte(b, '}');
    }
    buffer_append_byte(b, ']');
}

static void start_or_end(struct buffer *b, const struct time_modifier *t)
{
    buffer_append_literal(b, "\"startOrEnd\":");
    buffer_append_view(b, view_from(t->at == AT_START ? "\"start\""
                                    : t->at == AT_END ? "\"end\""
                                                      : "null"));
}

static void timestamp(struct buffer *b, const struct time_modifier *t)
{
    if (t->at == AT_TIME)
        api_field_int(b, "timestamp", t->at_ms);
    else
        buffer_append_literal(b, "\"timestamp\":null");
}

static void offset(struct buffer *b, const struct time_modifier *t)
{
    api_field_int(b, "offset", t->offset_expr ? 0 : t->offset_ms);
}

/* A selector, alone or with a range; `range` is NULL or the EXPR_MATRIX around it. */
static void selector(struct buffer *b, const struct selector *s, const struct expr *range)
{
    buffer_append_byte(b, '{');
    flag(b, "anchored", s->anchored);
    buffer_append_byte(b, ',');
    matchers(b, s);
    buffer_append_byte(b, ',');
    api_field_string(b, "name", s->name);
    buffer_append_byte(b, ',');
    offset(b, &s->time);
    buffer_append_byte(b, ',');
    if (range) {
        api_field_int(b, "range", range->u.matrix.range_expr ? 0 : range->u.matrix.range_ms);
        buffer_append_byte(b, ',');
    }
    flag(b, "smoothed", s->smoothed);
    buffer_append_byte(b, ',');
    start_or_end(b, &s->time);
    buffer_append_byte(b, ',');
    timestamp(b, &s->time);
    buffer_printf(b, ",\"type\":\"%s\"}", range ? "matrixSelector" : "vectorSelector");
}

static void subquery(struct buffer *b, const struct expr *x)
{
    buffer_append_byte(b, '{');
    child(b, "expr", x->u.subquery.inner);
    buffer_append_byte(b, ',');
    offset(b, &x->u.subquery.time);
    buffer_append_byte(b, ',');
    api_field_int(b, "range", x->u.subquery.range_expr ? 0 : x->u.subquery.range_ms);
    buffer_append_byte(b, ',');
    start_or_end(b, &x->u.subquery.time);
    buffer_append_byte(b, ',');
    api_field_int(b, "step", x->u.subquery.step_expr ? 0 : x->u.subquery.step_ms);
    buffer_append_byte(b, ',');
    timestamp(b, &x->u.subquery.time);
    buffer_append_literal(b, ",\"type\":\"subquery\"}");
}

static const char *type_of_letter(char letter)
{
    switch (letter) {
    case 'S':
        return "scalar";
    case 'V':
        return "vector";
    case 'M':
        return "matrix";
    default:
        return "string";
    }
}

static void call(struct buffer *b, const struct expr *x)
{
    const struct function_info *f = x->u.call.function;
    buffer_append_literal(b, "{\"args\":[");
    for (uint32_t i = 0; i < x->u.call.arg_count; i++) {
        if (i)
            buffer_append_byte(b, ',');
        tree(b, x->u.call.args[i]);
    }
    buffer_append_literal(b, "],\"func\":{\"argTypes\":[");
    for (const char *letter = f->args; *letter; letter++)
        buffer_printf(b, "%s\"%s\"", letter == f->args ? "" : ",", type_of_letter(*letter));
    buffer_printf(b, "],\"name\":\"%s\",\"returnType\":\"%s\",\"variadic\":%d},\"type\":\"call\"}",
                  f->name, value_type_json(f->result), f->variadic);
}

static void fill_value(struct buffer *b, const char *key, bool has, double v)
{
    buffer_printf(b, "\"%s\":", key);
    if (has)
        json_number(b, v);
    else
        buffer_append_literal(b, "null");
}

static void matching(struct buffer *b, const struct vector_matching *m)
{
    static const char *const CARDS[] = {[CARD_ONE_TO_ONE] = "one-to-one",
                                        [CARD_MANY_TO_ONE] = "many-to-one",
                                        [CARD_ONE_TO_MANY] = "one-to-many",
                                        [CARD_MANY_TO_MANY] = "many-to-many"};
    if (!m) {
        buffer_append_literal(b, "null");
        return;
    }
    buffer_printf(b, "{\"card\":\"%s\",\"fillValues\":{", CARDS[m->card]);
    fill_value(b, "lhs", m->has_fill_left, m->fill_left);
    buffer_append_byte(b, ',');
    fill_value(b, "rhs", m->has_fill_right, m->fill_right);
    buffer_append_literal(b, "},");
    names(b, "include", m->include, m->include_count);
    buffer_append_byte(b, ',');
    names(b, "labels", m->labels, m->label_count);
    buffer_append_byte(b, ',');
    flag(b, "on", m->on);
    buffer_append_byte(b, '}');
}

static void binary(struct buffer *b, const struct expr *x)
{
    buffer_append_byte(b, '{');
    flag(b, "bool", x->u.binary.return_bool);
    buffer_append_byte(b, ',');
    child(b, "lhs", x->u.binary.left);
    buffer_append_literal(b, ",\"matching\":");
    matching(b, x->u.binary.matching);
    buffer_append_byte(b, ',');
    api_field_string(b, "op", view_from(binary_op_name(x->u.binary.op)));
    buffer_append_byte(b, ',');
    child(b, "rhs", x->u.binary.right);
    buffer_append_literal(b, ",\"type\":\"binaryExpr\"}");
}

static void aggregation(struct buffer *b, const struct expr *x)
{
    buffer_append_byte(b, '{');
    child(b, "expr", x->u.aggregate.inner);
    buffer_append_byte(b, ',');
    names(b, "grouping", x->u.aggregate.labels, x->u.aggregate.label_count);
    buffer_append_byte(b, ',');
    api_field_string(b, "op", view_from(aggregate_op_name(x->u.aggregate.op)));
    buffer_append_byte(b, ',');
    child(b, "param", x->u.aggregate.param);
    buffer_append_literal(b, ",\"type\":\"aggregation\",");
    flag(b, "without", x->u.aggregate.without);
    buffer_append_byte(b, '}');
}

static void number(struct buffer *b, double v)
{
    char text[FLOAT_TEXT_BYTES];
    struct view shown = {text, float_format_plain(v, text)};
    buffer_append_literal(b, "{\"type\":\"numberLiteral\",");
    api_field_string(b, "val", shown);
    buffer_append_byte(b, '}');
}

/* As deep as a tree may be (PROMQL_HEIGHT_MAX). */
static void tree(struct buffer *b, const struct expr *x)
{
    switch (x->kind) {
    case EXPR_NUMBER:
        number(b, x->u.number.value);
        return;
    case EXPR_STRING:
        buffer_append_literal(b, "{\"type\":\"stringLiteral\",");
        api_field_string(b, "val", x->u.string);
        buffer_append_byte(b, '}');
        return;
    case EXPR_SELECTOR:
        selector(b, &x->u.selector, NULL);
        return;
    case EXPR_MATRIX:
        selector(b, &x->u.matrix.selector->u.selector, x);
        return;
    case EXPR_SUBQUERY:
        subquery(b, x);
        return;
    case EXPR_CALL:
        call(b, x);
        return;
    case EXPR_UNARY:
        buffer_append_byte(b, '{');
        child(b, "expr", x->u.unary.inner);
        buffer_printf(b, ",\"op\":\"%s\",\"type\":\"unaryExpr\"}", x->u.unary.negative ? "-" : "+");
        return;
    case EXPR_BINARY:
        binary(b, x);
        return;
    case EXPR_AGGREGATE:
        aggregation(b, x);
        return;
    case EXPR_PAREN:
        buffer_append_byte(b, '{');
        child(b, "expr", x->u.paren);
        buffer_append_literal(b, ",\"type\":\"parenExpr\"}");
        return;
    case EXPR_DURATION:
        break;
    }
    UNREACHABLE(); /* durations are no operands */
}

void api_serve_parse_query(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct error err;
    struct promql *parsed;
    if (!promql_parse(http_request_param(rq, "query"), &api->options.engine.parser, &parsed,
                      &err)) {
        api_error_param(rs, "query", &err);
        return;
    }
    tree(api_begin(rs), promql_root(parsed));
    api_end(rs);
    promql_free(parsed);
}
