/* SPDX-License-Identifier: Apache-2.0 */
/* explain.c: see explain.h. The tree is made from the expression before anything is opened; while the planner opens
 * operators it finds their nodes by address. */
#include "promql/explain.h"

#include "base/assert.h"
#include "promql/binary.h"
#include "promql/plan.h"
#include "promql/range_functions.h"

#include <stdlib.h>

struct plan_key {
    const void *key;
    struct plan_node *node;
};
struct plan_tree {
    struct plan_node *root;
    struct plan_key *keys; /* sorted by address */
    size_t count, capacity;
};

static void key_add(struct eval *e, struct plan_tree *t, const void *key, struct plan_node *node)
{
    t->keys = arena_grow(e->arena, t->keys, &t->capacity, t->count + 1, sizeof *t->keys);
    t->keys[t->count++] = (struct plan_key){key, node};
}

static int key_compare(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct plan_key *)a)->key,
              y = (uintptr_t)((const struct plan_key *)b)->key;
    return (x > y) - (x < y);
}

struct plan_node *plan_tree_find(const struct plan_tree *t, const void *key)
{
    if (!t || !t->count)
        return NULL;
    struct plan_key wanted = {key, NULL};
    struct plan_key *found = bsearch(&wanted, t->keys, t->count, sizeof *t->keys, key_compare);
    return found ? found->node : NULL;
}

const struct plan_node *plan_tree_root(const struct plan_tree *t)
{
    return t->root;
}

/* --- what a node is called --- */

static void labels_append(struct buffer *b, const char *word, const struct view *labels,
                          uint32_t count)
{
    buffer_printf(b, " %s (", word);
    for (uint32_t i = 0; i < count; i++)
        buffer_printf(b, "%s%.*s", i ? ", " : "", VIEW_ARGS(labels[i]));
    buffer_append_byte(b, ')');
}

static const char *binary_describe(struct buffer *b, const struct expr *x)
{
    const struct vector_matching *m = x->u.binary.matching;
    buffer_printf(b, "%s%s", binary_op_name(x->u.binary.op),
                  x->u.binary.return_bool ? " bool" : "");
    if (!m)
        return x->type == VALUE_SCALAR ? "scalar" : "map";
    if (m->on || m->label_count)
        labels_append(b, m->on ? "on" : "ignoring", m->labels, m->label_count);
    if (m->card == CARD_MANY_TO_ONE || m->card == CARD_ONE_TO_MANY)
        labels_append(b, m->card == CARD_MANY_TO_ONE ? "group_left" : "group_right", m->include,
                      m->include_count);
    return binary_is_set(x->u.binary.op) ? "set" : "match";
}

static const char *call_describe(struct buffer *b, const struct expr *x)
{
    const struct function_info *f = x->u.call.function;
    buffer_append_view(b, view_from(f->name));
    if (f->result == VALUE_SCALAR)
        return "scalar";
    return range_function_find(f->id) || f->id == FUNCTION_ABSENT_OVER_TIME ? "windows"
                                                                            : "function";
}

static const char *describe(struct buffer *b, const struct expr *x)
{
    switch (x->kind) {
    case EXPR_NUMBER:
    case EXPR_STRING:
        return "literal";
    case EXPR_SELECTOR:
        return "select";
    case EXPR_MATRIX:
        return "select range";
    case EXPR_SUBQUERY:
        return "subquery";
    case EXPR_CALL:
        return call_describe(b, x);
    case EXPR_UNARY:
        buffer_append_byte(b, x->u.unary.negative ? '-' : '+');
        return x->type == VALUE_SCALAR ? "scalar" : "map";
    case EXPR_BINARY:
        return binary_describe(b, x);
    case EXPR_AGGREGATE:
        buffer_append_view(b, view_from(aggregate_op_name(x->u.aggregate.op)));
        if (x->u.aggregate.label_count || x->u.aggregate.without)
            labels_append(b, x->u.aggregate.without ? "without" : "by", x->u.aggregate.labels,
                          x->u.aggregate.label_count);
        return "aggregate";
    case EXPR_PAREN:
    case EXPR_DURATION:
        break;
    }
    UNREACHABLE(); /* parentheses are left out, durations are no operands */
}

/* --- the tree --- */

static bool estimate_series(struct eval *e, const struct selector *s,
                            const struct window_frame *frame, struct plan_node *node,
                            struct error *err)
{
    struct series_list list;
    struct select what = {.matchers = s->matchers,
                          .matcher_count = s->matcher_count,
                          .mint = frame_mint(frame),
                          .maxt = frame_maxt(frame)};
    if (!view_select(e->view, &what, e->labels, e->arena, &list, err) ||
        !eval_check_memory(e, err) || !eval_check(e, err))
        return false;
    node->estimated_series = (int64_t)list.count;
    e->series_selected += list.count;
    return true;
}

static struct plan_node *node_new(struct eval *e, struct plan_tree *t, const struct expr *x,
                                  const struct grid *grid, bool estimate, struct error *err);

static bool child_add(struct eval *e, struct plan_tree *t, struct plan_node *node,
                      const struct expr *x, const struct grid *grid, bool estimate,
                      struct error *err)
{
    struct plan_node *child = node_new(e, t, x, grid, estimate, err);
    if (!child)
        return false;
    node->children[node->child_count++] = child;
    return true;
}

static bool leaf_finish(struct eval *e, struct plan_tree *t, const struct expr *x,
                        const struct grid *grid, struct plan_node *node, bool estimate,
                        struct error *err)
{
    struct window_frame frame;
    bool range = x->kind == EXPR_MATRIX;
    const struct selector *s = range ? &x->u.matrix.selector->u.selector : &x->u.selector;
    key_add(e, t, s, node);
    if (!estimate)
        return true;
    bool ok = range ? plan_range_frame(e, x, grid, &frame, err)
                    : plan_frame(e, &s->time, e->lookback_ms, grid, &frame, err);
    return ok && estimate_series(e, s, &frame, node, err);
}

static bool subquery_finish(struct eval *e, struct plan_tree *t, const struct expr *x,
                            const struct grid *grid, struct plan_node *node, bool estimate,
                            struct error *err)
{
    struct window_frame frame;
    struct grid inner;
    if (!plan_range_frame(e, x, grid, &frame, err) ||
        !plan_subquery_grid(e, x, &frame, &inner, err))
        return false;
    if (inner.steps == 0) /* nothing of it will be looked at */
        return true;
    return child_add(e, t, node, x->u.subquery.inner, &inner, estimate, err);
}

static bool call_finish(struct eval *e, struct plan_tree *t, const struct expr *x,
                        const struct grid *grid, struct plan_node *node, bool estimate,
                        struct error *err)
{
    for (uint32_t i = 0; i < x->u.call.arg_count; i++)
        if (x->u.call.args[i]->type != VALUE_STRING &&
            !child_add(e, t, node, x->u.call.args[i], grid, estimate, err))
            return false;
    return true;
}

/* As deep as a tree may be (PROMQL_HEIGHT_MAX). */
static struct plan_node *node_new(struct eval *e, struct plan_tree *t, const struct expr *x,
                                  const struct grid *grid, bool estimate, struct error *err)
{
    x = expr_unwrap(x);
    const struct grid one = {.start_ms = grid->start_ms, .step_ms = grid->step_ms, .steps = 1};
    struct plan_node *node = ARENA_NEW(e->arena, struct plan_node);
    uint32_t room = x->kind == EXPR_CALL ? x->u.call.arg_count : 2;
    struct buffer detail;
    buffer_init(&detail, MEM_QUERY, 1 << 20);
    *node = (struct plan_node){.span = x->span, .estimated_series = -1, .series = -1};
    node->name = describe(&detail, x);
    node->detail = detail.failed ? VIEW("...") : arena_copy(e->arena, buffer_view(&detail));
    buffer_deinit(&detail);
    node->children = ARENA_ARRAY(e->arena, struct plan_node *, (size_t)room + 1);
    node->once = grid->steps > 1 && x->type != VALUE_SCALAR && expr_is_step_invariant(x);
    if (node->once)
        grid = &one;
    node->steps = grid->steps;
    key_add(e, t, x, node);
    bool ok = true;
    switch (x->kind) {
    case EXPR_SELECTOR:
    case EXPR_MATRIX:
        ok = leaf_finish(e, t, x, grid, node, estimate, err);
        break;
    case EXPR_SUBQUERY:
        ok = subquery_finish(e, t, x, grid, node, estimate, err);
        break;
    case EXPR_CALL:
        ok = call_finish(e, t, x, grid, node, estimate, err);
        break;
    case EXPR_UNARY:
        ok = child_add(e, t, node, x->u.unary.inner, grid, estimate, err);
        break;
    case EXPR_BINARY:
        ok = child_add(e, t, node, x->u.binary.left, grid, estimate, err) &&
             child_add(e, t, node, x->u.binary.right, grid, estimate, err);
        break;
    case EXPR_AGGREGATE:
        ok = (!x->u.aggregate.param || x->u.aggregate.param->type == VALUE_STRING ||
              child_add(e, t, node, x->u.aggregate.param, grid, estimate, err)) &&
             child_add(e, t, node, x->u.aggregate.inner, grid, estimate, err);
        break;
    default:
        break;
    }
    return ok ? node : NULL;
}

struct plan_tree *plan_tree_new(struct eval *e, const struct expr *x, bool estimate,
                                struct error *err)
{
    struct plan_tree *t = ARENA_NEW(e->arena, struct plan_tree);
    t->root = node_new(e, t, x, &e->grid, estimate, err);
    if (!t->root)
        return NULL;
    qsort(t->keys, t->count, sizeof *t->keys, key_compare);
    return t;
}

/* --- what happened --- */

void plan_node_opened(struct plan_node *node, struct operation *op)
{
    node->ran = true;
    node->series = op->series_count;
    if (op->trace && op->trace != node) {
        node->same_as = op->trace;
        return;
    }
    op->trace = node;
    node->gave_batches = true;
}

bool operator_morsel_traced(struct operation *op, uint32_t idx, struct worker *w, struct batch *out)
{
    struct plan_node *node = op->trace;
    mono_time began = clock_mono();
    bool ok = op->ops->morsel(op, idx, w, out);
    atomic_fetch_add_explicit(&node->batch_ns, clock_mono().ns - began.ns, memory_order_relaxed);
    if (!ok)
        return false;
    size_t bytes =
        (size_t)out->count * (out->steps * sizeof(double) + out->words * sizeof(uint64_t));
    atomic_fetch_add_explicit(&node->points, presence_count(out->presence, out->count * out->words),
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&node->bytes, (int64_t)bytes, memory_order_relaxed);
    return true;
}
