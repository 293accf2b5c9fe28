/* SPDX-License-Identifier: Apache-2.0 */
/* inhibitor_test.c: who inhibits whom, against the obvious way: a walk over all alerts for each question. */
#include "alerting/inhibitor.h"

#include "alerting/live_alert.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const char CONFIG[] =
    "route: {receiver: r}\nreceivers: [{name: r}]\n"
    "inhibit_rules:\n"
    "- {source_matchers: ['s=~\"1|2\"'], target_matchers: ['t=\"1\"'], equal: [a, b]}\n"
    "- {source_matchers: ['s=\"2\"'], target_matchers: ['s!=\"2\"'], equal: [a]}\n"
    "- {source_matchers: ['a=\"1\"'], target_matchers: ['a=\"1\"', 't=\"2\"'], equal: []}\n";

enum { ALERTS = 40, STEPS = 20000 };

struct model {
    char text[4][2]; /* values of a, b, s, t; "0": not there */
    struct label items[4];
    struct labels labels;
    int64_t ends_ns;
    bool is_there;
    inhibitor_entry entry;
};

static void make(struct model *m, struct random *random)
{
    static const char *const NAMES[] = {"a", "b", "s", "t"};
    m->labels = (struct labels){m->items, 0};
    for (int i = 0; i < 4; i++) {
        m->text[i][0] = (char)('0' + random_below(random, 3));
        if (m->text[i][0] != '0')
            m->items[m->labels.count++] = (struct label){view_from(NAMES[i]), {m->text[i], 1}};
    }
    m->is_there = true;
    m->entry = INHIBITOR_NEW;
}

static bool fires(const struct model *m, int64_t now_ns)
{
    return m->is_there && (m->ends_ns == LIVE_ALERT_NEVER || m->ends_ns > now_ns);
}

/* Alertmanager's words: a source that fires, with equal labels; not one that matches both sides if the target does, too. */
static bool may_inhibit(const struct inhibit_rule *rule, struct labels source, struct labels target)
{
    if (!matchers_match(&rule->source, source) || !matchers_match(&rule->target, target))
        return false;
    for (size_t i = 0; i < rule->equal.count; i++)
        if (!view_eq(labels_get(source, rule->equal.items[i]),
                     labels_get(target, rule->equal.items[i])))
            return false;
    return !(matchers_match(&rule->source, target) && matchers_match(&rule->target, source));
}

static void compare(struct inhibitor *h, const struct inhibit_rules *rules,
                    const struct model *alerts, struct labels target, int64_t now_ns)
{
    struct inhibition found[8];
    size_t count = inhibitor_find(h, target, now_ns, found, 8), at = 0;
    for (size_t r = 0; r < rules->count; r++) {
        bool any = false, is_right = false;
        bool answered = at < count && found[at].rule == r;
        for (size_t i = 0; i < ALERTS; i++) {
            if (!fires(&alerts[i], now_ns) ||
                !may_inhibit(&rules->items[r], alerts[i].labels, target))
                continue;
            any = true;
            is_right = is_right || (answered && found[at].source == i);
        }
        if (any != answered || (answered && !is_right))
            fail_msg("rule %zu: %s, expected %s", r, answered ? "inhibited" : "not",
                     any ? "inhibited" : "not");
        at += answered;
    }
    assert_int_equal(at, count);
}

/* Alerts come, end, fire again and go at random, while each step asks; fingerprints are their places. */
static void the_index_answers_as_a_walk_does(void **state)
{
    static struct model alerts[ALERTS];
    struct alert_config *c;
    struct error err = {0};
    struct random random;
    random_seed(&random, 42);
    assert_true(alert_config_parse(VIEW(CONFIG), "f.yml", &c, &err));
    struct inhibitor *h = inhibitor_new(&c->inhibit_rules);
    for (int64_t now = 0; now < STEPS; now++) {
        size_t i = random_below(&random, ALERTS);
        struct model *m = &alerts[i];
        if (m->is_there && random_below(&random, 8) == 0) {
            inhibitor_remove(h, m->entry);
            m->is_there = false;
        } else {
            if (!m->is_there)
                make(m, &random);
            m->ends_ns = random_below(&random, 10) == 0
                             ? LIVE_ALERT_NEVER
                             : now - 20 + (int64_t)random_below(&random, 100);
            m->entry = inhibitor_put(h, m->entry, i, m->labels, m->ends_ns, now);
        }
        struct model target;
        make(&target, &random);
        compare(h, &c->inhibit_rules, alerts, target.labels, now);
    }
    inhibitor_free(h);
    alert_config_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_index_answers_as_a_walk_does)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
