/* SPDX-License-Identifier: Apache-2.0 */
/* parser.c: the tree of a template. Grammar and errors are those of Go's text/template/parse. */
#include "base/assert.h"
#include "base/floattext.h"
#include "base/quote.h"
#include "base/utf8.h"
#include "template/lexer.h"
#include "template/template_private.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

enum { TOKENS_BACK_MAX = 4 };

struct variable {
    struct view name;
    int32_t slot;
    bool is_live; /* the execution has it here */
};

/* The variables of the body that is being read. */
struct scope {
    struct variable *variables;
    size_t count, capacity;
    uint32_t slot_count;
    int range_depth;
};

struct parser {
    struct arena *arena;
    const struct template_options *options;
    struct lexer lexer;
    struct token back[TOKENS_BACK_MAX]; /* put back, the last one comes first */
    size_t back_count;
    struct token token; /* the last that was taken: where errors are */
    uint32_t last_end;  /* of the last token that was not space */
    struct source *source;
    struct scope *scope;
    struct parsed *out;
    int nesting;
    struct error *err;
};

/* A list that is being made. */
struct node_builder {
    const struct node **items;
    size_t count, capacity;
};

static bool control_parse(struct parser *p, enum node_kind kind, struct node **out);
static bool pipeline_parse(struct parser *p, const char *context, enum token_kind end,
                           struct node **out);
static bool list_parse(struct parser *p, struct node_list *out, struct node **end);

/* --- tokens and errors --- */

static bool fail(struct parser *p, const char *format, ...) PRINTF_LIKE(2, 3);

static bool fail(struct parser *p, const char *format, ...)
{
    char message[ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    uint32_t line, column;
    source_position(p->source, p->token.pos, &line, &column);
    return error_set_at(p->err, ERROR_INPUT, line, column, "template: %.*s:%u: %s",
                        VIEW_ARGS(p->source->name), line, message);
}

static struct token next(struct parser *p)
{
    p->token = p->back_count ? p->back[--p->back_count] : template_lexer_next(&p->lexer);
    if (p->token.kind != TOKEN_SPACE)
        p->last_end = p->token.pos + (uint32_t)p->token.text.len;
    return p->token;
}

static void put_back(struct parser *p, struct token t)
{
    ASSERT(p->back_count < TOKENS_BACK_MAX);
    p->back[p->back_count++] = t;
}

static struct token peek(struct parser *p)
{
    uint32_t end = p->last_end;
    struct token t = next(p);
    put_back(p, t);
    p->last_end = end;
    return t;
}

static struct token next_no_space(struct parser *p)
{
    struct token t = next(p);
    while (t.kind == TOKEN_SPACE)
        t = next(p);
    return t;
}

static struct token peek_no_space(struct parser *p)
{
    uint32_t end = p->last_end;
    struct token t = next_no_space(p);
    put_back(p, t);
    p->last_end = end;
    return t;
}

/* A view as Go's %q, for messages. */
static const char *quoted(struct parser *p, struct view text)
{
    struct buffer b;
    buffer_init(&b, MEM_CONFIG, 64 * 1024);
    quote_append(&b, view_slice(text, 0, 400));
    const char *copy = arena_copy(p->arena, buffer_view(&b)).ptr;
    buffer_deinit(&b);
    return copy;
}

static bool fail_unexpected(struct parser *p, struct token t, const char *context)
{
    if (t.kind == TOKEN_ERROR)
        return fail(p, "%.*s", VIEW_ARGS(t.text));
    if (t.kind == TOKEN_EOF)
        return fail(p, "unexpected EOF in %s", context);
    if (t.kind == TOKEN_DOT || t.kind >= TOKEN_KEYWORD_FIRST)
        return fail(p, "unexpected <%.*s> in %s", VIEW_ARGS(t.text), context);
    size_t ten = 0; /* bytes of the first ten characters */
    for (int i = 0; i < 10 && ten < t.text.len; i++)
        utf8_next(t.text, &ten);
    return fail(p, "unexpected %s%s in %s", quoted(p, view_slice(t.text, 0, ten)),
                t.text.len > 10 ? "..." : "", context);
}

static bool expect(struct parser *p, enum token_kind kind, const char *context)
{
    struct token t = next_no_space(p);
    return t.kind == kind || fail_unexpected(p, t, context);
}

static bool enter(struct parser *p)
{
    if (++p->nesting > TEMPLATE_NESTING_MAX)
        return fail(p, "max expression depth exceeded");
    return true;
}

static struct node *node_new(struct parser *p, enum node_kind kind, uint32_t start)
{
    struct node *n = ARENA_NEW(p->arena, struct node);
    n->kind = kind;
    n->start = n->pos = start;
    n->end = p->last_end;
    return n;
}

static void builder_add(struct parser *p, struct node_builder *b, const struct node *n)
{
    if (b->count == b->capacity)
        b->items = arena_grow(p->arena, b->items, &b->capacity, b->count + 1, sizeof(*b->items));
    b->items[b->count++] = n;
}

/* --- variables --- */

static bool declare(struct parser *p, struct view name, int32_t *slot)
{
    struct scope *s = p->scope;
    if (s->slot_count >= TEMPLATE_VARIABLES_MAX)
        return fail(p, "more than %d variables", TEMPLATE_VARIABLES_MAX);
    if (s->count == s->capacity)
        s->variables =
            arena_grow(p->arena, s->variables, &s->capacity, s->count + 1, sizeof(*s->variables));
    *slot = (int32_t)s->slot_count++;
    s->variables[s->count++] = (struct variable){name, *slot, true};
    return true;
}

/* Is the name known here? *slot is SLOT_NONE when the execution will not have it. */
static bool find_variable(const struct parser *p, struct view name, int32_t *slot)
{
    bool known = false;
    *slot = SLOT_NONE;
    for (size_t i = p->scope->count; i-- > 0;) {
        const struct variable *v = &p->scope->variables[i];
        if (!view_eq(v->name, name))
            continue;
        known = true;
        if (v->is_live) {
            *slot = v->slot;
            return true;
        }
    }
    return known;
}

static bool scope_begin(struct parser *p, struct scope *s, bool with_options)
{
    int32_t slot;
    *s = (struct scope){.variables = NULL};
    p->scope = s;
    if (!declare(p, VIEW("$"), &slot))
        return false;
    for (size_t i = 0; with_options && i < p->options->variable_count; i++)
        if (!declare(p, arena_printf(p->arena, "$%s", p->options->variables[i]), &slot))
            return false;
    return true;
}

/* --- operands --- */

/* The value of digits in a base, "_" between them allowed when a prefix named the base. */
static bool read_integer(struct view text, bool *negative, uint64_t *out)
{
    size_t pos = 0;
    *negative = false;
    if (text.len && (text.ptr[0] == '+' || text.ptr[0] == '-'))
        *negative = text.ptr[pos++] == '-';
    unsigned base = 10;
    if (text.len - pos > 1 && text.ptr[pos] == '0') {
        char c = text.ptr[pos + 1] | 0x20;
        base = c == 'x' ? 16 : c == 'b' ? 2 : 8;
        pos += c == 'x' || c == 'b' || c == 'o' ? 2 : 1;
    }
    uint64_t v = 0;
    bool digit_seen = false;
    if (base != 10 && pos < text.len && text.ptr[pos] == '_')
        pos++;
    for (; pos < text.len; pos++) {
        char c = text.ptr[pos];
        if (c == '_' && digit_seen && text.ptr[pos - 1] != '_' && pos + 1 < text.len)
            continue;
        unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0')
                         : (c | 0x20) >= 'a' && (c | 0x20) <= 'f'
                             ? (unsigned)((c | 0x20) - 'a' + 10)
                             : 99;
        if (digit >= base || __builtin_mul_overflow(v, base, &v) ||
            __builtin_add_overflow(v, digit, &v))
            return false;
        digit_seen = true;
    }
    *out = v;
    return digit_seen || base == 8;
}

static bool number_parse(struct parser *p, struct token t, struct number *out)
{
    uint64_t magnitude;
    bool negative;
    struct view text = t.text;
    *out = (struct number){.is_int = false};
    if (read_integer(text, &negative, &magnitude)) {
        bool fits = magnitude <= (uint64_t)INT64_MAX + (negative ? 1 : 0);
        if (!fits && negative)
            return fail(p, "integer overflow: %s", quoted(p, text));
        out->is_int = fits;
        out->overflows = !fits;
        out->integer = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
        out->number = fits ? (double)out->integer : (double)magnitude;
        out->is_float = true;
        return true;
    }
    char *plain = arena_alloc(p->arena, text.len + 1);
    size_t len = 0;
    bool marked = false;
    for (size_t i = 0; i < text.len; i++) {
        marked |= strchr(".eEpP", text.ptr[i]) != NULL;
        bool between =
            i > 0 && i + 1 < text.len && text.ptr[i - 1] >= '0' && text.ptr[i + 1] >= '0';
        if (text.ptr[i] != '_')
            plain[len++] = text.ptr[i];
        else if (!between || text.ptr[i + 1] == '_')
            return fail(p, "illegal number syntax: %s", quoted(p, text));
    }
    if (!float_parse((struct view){plain, len}, &out->number))
        return fail(p, "illegal number syntax: %s", quoted(p, text));
    if (!marked)
        return fail(p, "integer overflow: %s", quoted(p, text));
    out->is_float = out->written_float = true;
    if (out->number >= -9223372036854775808.0 && out->number < 9223372036854775808.0 &&
        (double)(int64_t)out->number == out->number) {
        out->is_int = true;
        out->integer = (int64_t)out->number;
    }
    return true;
}

static bool char_parse(struct parser *p, struct token t, struct number *out)
{
    struct view text;
    size_t pos = 0;
    if (!quote_read(p->arena, t.text, &text) || text.len == 0)
        return fail(p, "invalid syntax");
    uint32_t code = utf8_next(text, &pos);
    if (code == UINT32_MAX && text.len == 1)
        code = (unsigned char)text.ptr[0], pos = 1;
    if (pos != text.len)
        return fail(p, "malformed character constant: %.*s", VIEW_ARGS(t.text));
    *out = (struct number){.is_int = true, .is_float = true, .integer = code, .number = code};
    return true;
}

static const struct template_function *function_in(const struct template_functions *set,
                                                   struct view name)
{
    for (size_t i = 0; set && i < set->count; i++)
        if (view_is(name, set->items[i].name))
            return &set->items[i];
    return NULL;
}

static const struct template_function *function_find(const struct parser *p, struct view name)
{
    const struct template_function *f = function_in(p->options->more, name);
    if (!f)
        f = function_in(p->options->functions, name);
    return f ? f : function_in(&TEMPLATE_BUILTINS, name);
}

static bool string_parse(struct parser *p, struct token t, struct view *out)
{
    return quote_read(p->arena, t.text, out) || fail(p, "invalid syntax");
}

static bool paren_parse(struct parser *p, uint32_t start, struct node **out)
{
    if (!enter(p) || !pipeline_parse(p, "parenthesized pipeline", TOKEN_RIGHT_PAREN, out))
        return false;
    p->nesting--;
    (*out)->start = start;
    (*out)->end = p->last_end;
    return true;
}

static void add_name(struct parser *p, struct node *n, struct view name)
{
    size_t capacity = n->field.count;
    if (capacity % 8 == 0) /* what arena_grow() makes of 0 */
        n->field.names = arena_grow(p->arena, n->field.names, &capacity, n->field.count + 1,
                                    sizeof(struct view));
    n->field.names[n->field.count++] = name;
}

/* A term; *out is NULL when the next token begins none. */
static bool term_parse(struct parser *p, struct node **out)
{
    uint32_t before = p->last_end;
    struct token t = next_no_space(p);
    struct node *n = node_new(p, NODE_DOT, t.pos);
    *out = n;
    switch (t.kind) {
    case TOKEN_IDENTIFIER:
        n->kind = NODE_FUNCTION;
        n->function = function_find(p, t.text);
        return n->function || fail(p, "function %s not defined", quoted(p, t.text));
    case TOKEN_DOT:
        return true;
    case TOKEN_NIL:
        n->kind = NODE_NIL;
        return true;
    case TOKEN_VARIABLE:
        n->kind = NODE_VARIABLE;
        return find_variable(p, t.text, &n->field.slot) ||
               fail(p, "undefined variable %s", quoted(p, t.text));
    case TOKEN_FIELD:
        n->kind = NODE_FIELD;
        add_name(p, n, view_slice(t.text, 1, t.text.len));
        return true;
    case TOKEN_BOOL:
        n->kind = NODE_CONSTANT;
        n->constant = template_bool(view_is(t.text, "true"));
        return true;
    case TOKEN_CHAR_CONSTANT:
        n->kind = NODE_NUMBER;
        return char_parse(p, t, &n->number);
    case TOKEN_NUMBER:
        n->kind = NODE_NUMBER;
        return number_parse(p, t, &n->number);
    case TOKEN_STRING:
    case TOKEN_RAW_STRING: {
        struct view text;
        n->kind = NODE_CONSTANT;
        if (!string_parse(p, t, &text))
            return false;
        n->constant = template_string(text);
        return true;
    }
    case TOKEN_LEFT_PAREN:
        return paren_parse(p, t.pos, out);
    default:
        put_back(p, t);
        p->last_end = before;
        *out = NULL;
        return true;
    }
}

static bool operand_parse(struct parser *p, struct node **out)
{
    if (!term_parse(p, out))
        return false;
    if (!*out || peek(p).kind != TOKEN_FIELD)
        return true;
    struct node *n = *out;
    uint32_t pos = peek(p).pos;
    switch (n->kind) {
    case NODE_FIELD:
    case NODE_VARIABLE:
        break;
    case NODE_CONSTANT:
    case NODE_NUMBER:
    case NODE_NIL:
    case NODE_DOT:
        next(p);
        return fail(p, "unexpected . after term %s",
                    quoted(p, view_slice(p->source->text, n->start, n->end)));
    default: {
        struct node *chain = node_new(p, NODE_CHAIN, n->start);
        chain->field.base = n;
        n = *out = chain;
    }
    }
    n->pos = pos;
    while (peek(p).kind == TOKEN_FIELD) {
        struct token t = next(p);
        add_name(p, n, view_slice(t.text, 1, t.text.len));
    }
    n->end = p->last_end;
    return true;
}

/* --- pipelines --- */

static bool command_parse(struct parser *p, struct command *out)
{
    struct node_builder args = {.items = NULL};
    for (;;) {
        struct node *operand;
        peek_no_space(p); /* drops the space */
        if (!operand_parse(p, &operand))
            return false;
        if (operand)
            builder_add(p, &args, operand);
        uint32_t end = p->last_end;
        struct token t = next(p);
        if (t.kind == TOKEN_SPACE)
            continue;
        if (t.kind == TOKEN_RIGHT || t.kind == TOKEN_RIGHT_PAREN) {
            put_back(p, t);
            p->last_end = end;
        } else if (t.kind != TOKEN_PIPE) {
            return fail_unexpected(p, t, "operand");
        }
        break;
    }
    if (args.count == 0)
        return fail(p, "empty command");
    *out = (struct command){args.items, args.count};
    return true;
}

static bool declare_or_assign(struct parser *p, struct node *pipe, struct token name, bool assigns)
{
    int32_t *slot = &pipe->pipe.slots[pipe->pipe.slot_count++];
    if (!assigns)
        return declare(p, name.text, slot);
    if (find_variable(p, name.text, slot))
        return true;
    /* Go parses the rest as if it were there, and fails when it gets here. */
    int32_t unused;
    if (!declare(p, name.text, &unused))
        return false;
    p->scope->variables[p->scope->count - 1].is_live = false;
    *slot = SLOT_NONE;
    return true;
}

/* "$x :=", "$x =", "$i, $x :=" at the beginning of a pipeline, if there is one. */
static bool declarations_parse(struct parser *p, const char *context, struct node *pipe)
{
    struct token names[2];
    for (size_t count = 0; count < 2; count++) {
        names[count] = peek_no_space(p);
        if (names[count].kind != TOKEN_VARIABLE)
            return true;
        next_no_space(p);
        struct token after = peek(p);
        struct token t = peek_no_space(p);
        if (t.kind == TOKEN_ASSIGN || t.kind == TOKEN_DECLARE) {
            next_no_space(p);
            pipe->pipe.assigns = t.kind == TOKEN_ASSIGN;
            for (size_t i = 0; i <= count; i++)
                if (!declare_or_assign(p, pipe, names[i], pipe->pipe.assigns))
                    return false;
            return true;
        }
        if (t.kind == TOKEN_CHAR && view_is(t.text, ",")) {
            next_no_space(p);
            if (strcmp(context, "range") != 0 || count == 1)
                return fail(p, "too many declarations in %s", context);
            enum token_kind second = peek_no_space(p).kind;
            if (second != TOKEN_VARIABLE && second != TOKEN_RIGHT && second != TOKEN_RIGHT_PAREN)
                return fail(p, "range can only initialize variables");
            continue;
        }
        if (after.kind == TOKEN_SPACE)
            put_back(p, after);
        put_back(p, names[count]);
        /* "range $i, $list" declares $i. */
        return count == 0 || declare_or_assign(p, pipe, names[0], false);
    }
    return true;
}

/* Only the first command may begin with what cannot be called. */
static bool pipeline_check(struct parser *p, const struct node *pipe, const char *context)
{
    if (pipe->pipe.count == 0)
        return fail(p, "missing value for %s", context);
    for (size_t i = 1; i < pipe->pipe.count; i++) {
        enum node_kind kind = pipe->pipe.commands[i].args[0]->kind;
        if (kind == NODE_CONSTANT || kind == NODE_NUMBER || kind == NODE_DOT || kind == NODE_NIL)
            return fail(p, "non executable command in pipeline stage %zu", i + 1);
    }
    return true;
}

static bool pipeline_parse(struct parser *p, const char *context, enum token_kind end,
                           struct node **out)
{
    size_t capacity = 0;
    struct node *pipe = node_new(p, NODE_PIPE, peek_no_space(p).pos);
    if (!declarations_parse(p, context, pipe))
        return false;
    for (;;) {
        uint32_t before = p->last_end;
        struct token t = next_no_space(p);
        if (t.kind == end) {
            pipe->end = before;
            *out = pipe;
            return pipeline_check(p, pipe, context);
        }
        if (!((t.kind >= TOKEN_BOOL && t.kind <= TOKEN_NIL) || t.kind == TOKEN_LEFT_PAREN))
            return fail_unexpected(p, t, context);
        put_back(p, t);
        if (pipe->pipe.count == capacity)
            pipe->pipe.commands = arena_grow(p->arena, pipe->pipe.commands, &capacity,
                                             pipe->pipe.count + 1, sizeof(struct command));
        if (!command_parse(p, &pipe->pipe.commands[pipe->pipe.count++]))
            return false;
    }
}

/* --- actions --- */

/* Variables from `from` on are gone for the execution and, when `parse_too`, for the parser. */
static void variables_end(struct parser *p, size_t from, bool parse_too)
{
    for (size_t i = from; i < p->scope->count; i++)
        p->scope->variables[i].is_live = false;
    if (parse_too)
        p->scope->count = from;
}

static bool else_parse(struct parser *p, enum node_kind kind, struct node_list *otherwise)
{
    struct token t = peek_no_space(p);
    if ((kind == NODE_IF && t.kind == TOKEN_IF) || (kind == NODE_WITH && t.kind == TOKEN_WITH)) {
        struct node_builder only = {.items = NULL};
        struct node *n;
        next_no_space(p);
        if (!control_parse(p, kind, &n))
            return false;
        builder_add(p, &only, n);
        *otherwise = (struct node_list){only.items, only.count};
        return true;
    }
    struct node *end;
    if (!list_parse(p, otherwise, &end))
        return false;
    return end->kind == NODE_END || fail(p, "expected end; found {{else}}");
}

/* {{if}}, {{with}} and {{range}}; the keyword is past. */
static bool control_parse(struct parser *p, enum node_kind kind, struct node **out)
{
    static const char *const CONTEXTS[] = {
        [NODE_IF] = "if", [NODE_WITH] = "with", [NODE_RANGE] = "range"};
    size_t variables = p->scope->count;
    struct node *n = node_new(p, kind, p->token.pos), *end, *pipe;
    if (!enter(p) || !pipeline_parse(p, CONTEXTS[kind], TOKEN_RIGHT, &pipe))
        return false;
    n->control.pipe = pipe;
    n->end = pipe->end;
    size_t variables_inner = p->scope->count;
    p->scope->range_depth += kind == NODE_RANGE;
    if (!list_parse(p, &n->control.list, &end))
        return false;
    p->scope->range_depth -= kind == NODE_RANGE;
    variables_end(p, variables_inner, false);
    if (end->kind == NODE_ELSE && !else_parse(p, kind, &n->control.otherwise))
        return false;
    variables_end(p, variables, true);
    p->nesting--;
    *out = n;
    return true;
}

static bool template_name(struct parser *p, const char *context, struct view *out)
{
    struct token t = next_no_space(p);
    if (t.kind != TOKEN_STRING && t.kind != TOKEN_RAW_STRING)
        return fail_unexpected(p, t, context);
    return string_parse(p, t, out);
}

static bool list_is_empty(const struct node_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i]->kind != NODE_TEXT)
            return false;
        struct view text = list->items[i]->text;
        for (size_t k = 0; k < text.len; k++)
            if (!memchr(" \t\n\v\f\r", text.ptr[k], 6))
                return false;
    }
    return true;
}

static struct body *body_new(struct parser *p, struct view name, struct node_list list,
                             uint32_t slot_count)
{
    struct body *b = ARENA_NEW(p->arena, struct body);
    *b = (struct body){name, p->source, list, slot_count, list_is_empty(&list)};
    return b;
}

/* Adds a definition; the second of a name only where one of them is empty. */
static bool define(struct parser *p, struct body *b)
{
    struct parsed *out = p->out;
    for (size_t i = 0; i < out->count; i++) {
        if (!view_eq(out->bodies[i]->name, b->name))
            continue;
        if (out->bodies[i]->is_empty)
            out->bodies[i] = b;
        else if (!b->is_empty)
            return fail(p, "template: multiple definition of template %s", quoted(p, b->name));
        return true;
    }
    if (out->count == out->capacity)
        out->bodies =
            arena_grow(p->arena, out->bodies, &out->capacity, out->count + 1, sizeof(*out->bodies));
    out->bodies[out->count++] = b;
    return true;
}

/* The inside of {{define}} and {{block}}, up to its {{end}}. */
static bool definition_parse(struct parser *p, struct view name, const char *context)
{
    struct scope inner, *outer = p->scope;
    struct node_list list;
    struct node *end;
    if (!enter(p) || !scope_begin(p, &inner, false) || !list_parse(p, &list, &end))
        return false;
    if (end->kind != NODE_END)
        return fail(p, "unexpected {{else}} in %s", context);
    p->nesting--;
    p->scope = outer;
    return define(p, body_new(p, name, list, inner.slot_count));
}

static bool define_parse(struct parser *p)
{
    struct view name;
    return template_name(p, "define clause", &name) && expect(p, TOKEN_RIGHT, "define clause") &&
           definition_parse(p, name, "define clause");
}

/* {{template "name" pipeline}} and {{block "name" pipeline}}; the keyword is past. */
static bool template_parse_node(struct parser *p, bool is_block, struct node **out)
{
    const char *context = is_block ? "block clause" : "template clause";
    struct node *pipe = NULL;
    struct view name;
    if (!template_name(p, context, &name))
        return false;
    struct node *n = node_new(p, NODE_TEMPLATE, p->token.pos);
    struct token t = peek_no_space(p);
    if (!is_block && t.kind == TOKEN_RIGHT)
        next_no_space(p);
    else if (!pipeline_parse(p, context, TOKEN_RIGHT, &pipe))
        return false;
    n->end = pipe ? pipe->end : n->end;
    n->template.name = name;
    n->template.pipe = pipe;
    *out = n;
    return !is_block || definition_parse(p, name, context);
}

static bool loop_word_parse(struct parser *p, enum node_kind kind, struct node **out)
{
    const char *word = kind == NODE_BREAK ? "{{break}}" : "{{continue}}";
    *out = node_new(p, kind, p->token.pos);
    if (!expect(p, TOKEN_RIGHT, word))
        return false;
    return p->scope->range_depth > 0 || fail(p, "%s outside {{range}}", word);
}

/* What {{ begins; *out is an NODE_END or NODE_ELSE where a list ends. */
static bool action_parse(struct parser *p, struct node **out)
{
    struct token t = next_no_space(p);
    switch (t.kind) {
    case TOKEN_BLOCK:
        return template_parse_node(p, true, out);
    case TOKEN_TEMPLATE:
        return template_parse_node(p, false, out);
    case TOKEN_BREAK:
        return loop_word_parse(p, NODE_BREAK, out);
    case TOKEN_CONTINUE:
        return loop_word_parse(p, NODE_CONTINUE, out);
    case TOKEN_IF:
        return control_parse(p, NODE_IF, out);
    case TOKEN_WITH:
        return control_parse(p, NODE_WITH, out);
    case TOKEN_RANGE:
        return control_parse(p, NODE_RANGE, out);
    case TOKEN_END:
        *out = node_new(p, NODE_END, t.pos);
        return expect(p, TOKEN_RIGHT, "end");
    case TOKEN_ELSE: {
        *out = node_new(p, NODE_ELSE, t.pos);
        enum token_kind kind = peek_no_space(p).kind;
        return kind == TOKEN_IF || kind == TOKEN_WITH || expect(p, TOKEN_RIGHT, "else");
    }
    default: {
        struct node *pipe;
        put_back(p, t);
        struct node *n = node_new(p, NODE_ACTION, t.pos);
        *out = n;
        if (!pipeline_parse(p, "command", TOKEN_RIGHT, &pipe))
            return false;
        n->control.pipe = pipe;
        n->end = pipe->end;
        return true;
    }
    }
}

static bool text_or_action(struct parser *p, struct node **out)
{
    struct token t = next_no_space(p);
    if (t.kind == TOKEN_LEFT)
        return action_parse(p, out);
    if (t.kind != TOKEN_TEXT)
        return fail_unexpected(p, t, "input");
    *out = node_new(p, NODE_TEXT, t.pos);
    (*out)->text = t.text;
    return true;
}

/* Up to {{end}} or {{else}}, which is *end. */
static bool list_parse(struct parser *p, struct node_list *out, struct node **end)
{
    struct node_builder list = {.items = NULL};
    while (peek_no_space(p).kind != TOKEN_EOF) {
        struct node *n;
        if (!text_or_action(p, &n))
            return false;
        if (n->kind == NODE_END || n->kind == NODE_ELSE) {
            *out = (struct node_list){list.items, list.count};
            *end = n;
            return true;
        }
        builder_add(p, &list, n);
    }
    next_no_space(p);
    return fail(p, "unexpected EOF");
}

/* The whole text; here alone {{define}} is allowed. */
static bool text_parse(struct parser *p, struct node_list *out)
{
    struct node_builder list = {.items = NULL};
    while (peek(p).kind != TOKEN_EOF) {
        if (peek(p).kind == TOKEN_LEFT) {
            struct token left = next(p);
            if (peek_no_space(p).kind == TOKEN_DEFINE) {
                next_no_space(p);
                if (!define_parse(p))
                    return false;
                continue;
            }
            put_back(p, left);
        }
        struct node *n;
        if (!text_or_action(p, &n))
            return false;
        if (n->kind == NODE_END || n->kind == NODE_ELSE)
            return fail(p, "unexpected {{%s}}", n->kind == NODE_END ? "end" : "else");
        builder_add(p, &list, n);
    }
    *out = (struct node_list){list.items, list.count};
    return true;
}

bool parser_run(struct parsed *out, struct arena *arena, const struct template_options *options,
                struct view name, struct view text, struct error *err)
{
    struct error unused;
    struct scope scope;
    struct node_list list;
    if (text.len > TEMPLATE_TEXT_BYTES_MAX)
        return error_set(err, ERROR_TOO_LARGE,
                         "template: %.*s: text of %zu bytes, at most %d allowed", VIEW_ARGS(name),
                         text.len, TEMPLATE_TEXT_BYTES_MAX);
    struct parser p = {.arena = arena, .options = options, .out = out, .err = err ? err : &unused};
    error_clear(p.err);
    p.source = ARENA_NEW(arena, struct source);
    p.source->name = arena_copy(arena, name);
    p.source->text = arena_copy(arena, text);
    template_lexer_init(&p.lexer, p.source->text);
    *out = (struct parsed){.main = NULL};
    if (!scope_begin(&p, &scope, true) || !text_parse(&p, &list))
        return false;
    out->main = body_new(&p, p.source->name, list, scope.slot_count);
    /* The text is a definition of its own name: a second one in it is refused. */
    for (size_t i = 0; i < out->count; i++) {
        if (!view_eq(out->bodies[i]->name, p.source->name))
            continue;
        if (!out->bodies[i]->is_empty && !out->main->is_empty)
            return fail(&p, "template: multiple definition of template %s",
                        quoted(&p, p.source->name));
        if (out->main->is_empty)
            out->main = out->bodies[i];
    }
    return true;
}
