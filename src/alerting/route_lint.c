/* SPDX-License-Identifier: Apache-2.0 */
/* route_lint.c: see route_lint.h. Two questions about lists of matchers answer everything:
 *
 *   contradicts: is there a label whose matchers no value satisfies?   a="x" and a=~"y|z"; a="x" and a!="x"
 *   implies:     does whoever satisfies a list satisfy this matcher?   a="x" implies a=~"x|y", a!="z" and a="x"
 *
 * A matcher is finite when it names all values that it takes (a="x", a=~"x|y"). */
#include "alerting/route_lint.h"

#include "base/assert.h"

#include <inttypes.h>
#include <stdio.h>

/* Earlier siblings that a route is compared with, the nearest: else lists of 100,000 routes would take minutes. */
enum { SIBLINGS_MAX = 1000 };

/* Lists that hold together: a route's matchers and those of all above it. */
struct chain {
    const struct chain *above;
    const struct matchers *matchers;
};

struct linter {
    route_lint_found found;
    void *arg;
};

static size_t value_count(const struct matcher *m)
{
    return m->type == MATCH_EQUAL ? 1 : m->type == MATCH_REGEX ? regex_literal_count(m->regex) : 0;
}

static struct view value_at(const struct matcher *m, size_t idx)
{
    return m->type == MATCH_EQUAL ? m->value : regex_literal(m->regex, idx);
}

/* Do all matchers of the chain for this label take the value? */
static bool chain_takes(const struct chain *chain, struct view name, struct view value)
{
    for (; chain; chain = chain->above) {
        for (size_t i = 0; i < chain->matchers->count; i++) {
            const struct matcher *m = &chain->matchers->items[i];
            if (view_eq(m->name, name) && !matcher_matches(m, value))
                return false;
        }
    }
    return true;
}

/* a=~"x.*" and a!~"x.*" */
static bool are_opposites(const struct matcher *a, const struct matcher *b)
{
    bool types = (a->type == MATCH_EQUAL && b->type == MATCH_NOT_EQUAL) ||
                 (a->type == MATCH_NOT_EQUAL && b->type == MATCH_EQUAL) ||
                 (a->type == MATCH_REGEX && b->type == MATCH_NOT_REGEX) ||
                 (a->type == MATCH_NOT_REGEX && b->type == MATCH_REGEX);
    return types && view_eq(a->name, b->name) && view_eq(a->value, b->value);
}

/* Can no value satisfy this matcher and the chain? */
static bool is_impossible(const struct chain *chain, const struct matcher *m)
{
    size_t count = value_count(m);
    for (size_t i = 0; i < count; i++) {
        if (chain_takes(chain, m->name, value_at(m, i)))
            return false;
    }
    if (count)
        return true;
    for (const struct chain *c = chain; c; c = c->above) {
        for (size_t i = 0; i < c->matchers->count; i++) {
            if (are_opposites(m, &c->matchers->items[i]))
                return true;
        }
    }
    return false;
}

/* The first matcher of the chain's lowest list that cannot hold together with the others; NULL: none. */
static const struct matcher *find_contradiction(const struct chain *chain)
{
    for (size_t i = 0; i < chain->matchers->count; i++) {
        const struct matcher *m = &chain->matchers->items[i];
        if (is_impossible(chain, m))
            return m;
    }
    /* What a list above says finitely may be refused here: a="x" above, a!~"x|y" here. */
    for (const struct chain *c = chain->above; c; c = c->above) {
        for (size_t i = 0; i < c->matchers->count; i++) {
            if (is_impossible(chain, &c->matchers->items[i]))
                return &c->matchers->items[i];
        }
    }
    return NULL;
}

static bool implies(const struct chain *chain, const struct matcher *wanted)
{
    for (const struct chain *c = chain; c; c = c->above) {
        for (size_t i = 0; i < c->matchers->count; i++) {
            const struct matcher *m = &c->matchers->items[i];
            size_t count = value_count(m), taken = 0;
            if (!view_eq(m->name, wanted->name))
                continue;
            if (m->type == wanted->type && view_eq(m->value, wanted->value))
                return true;
            while (taken < count && matcher_matches(wanted, value_at(m, taken)))
                taken++;
            if (count && taken == count)
                return true;
        }
    }
    return false;
}

static bool implies_all(const struct chain *chain, const struct matchers *wanted)
{
    for (size_t i = 0; i < wanted->count; i++) {
        if (!implies(chain, &wanted->items[i]))
            return false;
    }
    return true;
}

static void say(const struct linter *l, const struct yaml_node *node, const char *format, ...)
    PRINTF_LIKE(3, 4);

static void say(const struct linter *l, const struct yaml_node *node, const char *format, ...)
{
    char sentence[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(sentence, sizeof(sentence), format, args); /* a long one is cut */
    va_end(args);
    l->found(l->arg, node->line, node->column, sentence);
}

static void say_contradiction(const struct linter *l, const struct yaml_node *node,
                              const char *what, const struct matcher *m)
{
    struct buffer shown;
    buffer_init(&shown, MEM_OTHER, 1 << 20);
    matcher_format(&shown, m);
    say(l, node, "%s: %.*s contradicts what else is asked of \"%.*s\"", what,
        VIEW_ARGS(view_slice(buffer_view(&shown), 0, 300)), VIEW_ARGS(view_slice(m->name, 0, 100)));
    buffer_deinit(&shown);
}

/* An earlier sibling that takes all that the route at `idx` would, and keeps it. */
static const struct alert_route *find_shadow(const struct alert_routes *siblings, size_t idx,
                                             const struct chain *chain)
{
    for (size_t i = idx > SIBLINGS_MAX ? idx - SIBLINGS_MAX : 0; i < idx; i++) {
        const struct alert_route *s = &siblings->items[i];
        if (!s->continues && implies_all(chain, &s->matchers))
            return s;
    }
    return NULL;
}

/* Recursion is as deep as the YAML, which has a limit. Below a route that is not reached nothing is said. */
static void lint_routes(const struct linter *l, const struct alert_route *parent,
                        const struct chain *above)
{
    for (size_t i = 0; i < parent->routes.count; i++) {
        const struct alert_route *r = &parent->routes.items[i];
        struct chain chain = {above, &r->matchers};
        const struct matcher *m = find_contradiction(&chain);
        const struct alert_route *shadow = m ? NULL : find_shadow(&parent->routes, i, &chain);
        if (m)
            say_contradiction(l, r->node, "this route can never match", m);
        else if (shadow)
            say(l, r->node,
                "this route is never reached: the route of line %" PRIu32
                " before it takes all its alerts and has no \"continue: true\"",
                shadow->node->line);
        else
            lint_routes(l, r, &chain);
    }
}

/* A label that must be equal on both sides, and cannot be. */
static bool lint_equal(const struct linter *l, const struct inhibit_rule *r)
{
    struct chain source = {NULL, &r->source}, both = {&source, &r->target};
    for (size_t i = 0; i < r->equal.count; i++) {
        struct view name = r->equal.items[i];
        for (const struct chain *c = &both; c; c = c->above) {
            for (size_t j = 0; j < c->matchers->count; j++) {
                const struct matcher *m = &c->matchers->items[j];
                if (!view_eq(m->name, name) || !is_impossible(&both, m))
                    continue;
                say(l, r->node,
                    "this rule never inhibits: \"%.*s\" must be equal on both sides, and what "
                    "source and target ask of it cannot be",
                    VIEW_ARGS(view_slice(name, 0, 100)));
                return true;
            }
        }
    }
    return false;
}

static void lint_inhibition(const struct linter *l, const struct inhibit_rule *r)
{
    struct chain source = {NULL, &r->source}, target = {NULL, &r->target};
    const struct matcher *m = find_contradiction(&source);
    if (m) {
        say_contradiction(l, r->node, "the source of this rule can never match", m);
        return;
    }
    if ((m = find_contradiction(&target)) != NULL) {
        say_contradiction(l, r->node, "the target of this rule can never match", m);
        return;
    }
    if (!lint_equal(l, r) && implies_all(&source, &r->target) && implies_all(&target, &r->source))
        say(l, r->node,
            "this rule never inhibits: source and target are the same alerts, which do not inhibit "
            "each other");
}

void route_lint(const struct alert_config *c, route_lint_found found, void *arg)
{
    struct linter l = {found, arg};
    struct chain root = {NULL, &c->route->matchers};
    lint_routes(&l, c->route, &root);
    for (size_t i = 0; i < c->inhibit_rules.count; i++)
        lint_inhibition(&l, &c->inhibit_rules.items[i]);
}
