/* SPDX-License-Identifier: Apache-2.0 */
/* dispatch_test.c: when what is told of which alerts. Each case is a configuration, a script of what happens when, and the
 * notifications that come of it; time is the script's.
 *
 *   10s fire {..} [until 40s]   an alert comes (again); without an end it is taken for resolved 5m later
 *   20s end {..}                it is told to be resolved
 *   20s silence|unsilence {..}, ack {..}, fail, ok, hold [INDEX], release, reload [bare], restart, groups, ends, explain {..}
 *
 * Alerts are written by their label i, where they have one; + fires, - is resolved. */
#include "alerting/alert_explain.h"
#include "alerting/dispatch.h"
#include "fake_integrations.h"

#include "base/duration.h"
#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)
#define BEGIN_NS (INT64_C(1700000000) * SECOND) /* Tuesday, 22:13:20 UTC */

/* --- what stands in for memory and sender --- */

enum { FAKE_MAX = 64 };

struct logged {
    char key[256];
    struct notification_entry entry;
    uint64_t hashes[2 * FAKE_MAX];
};

struct alert_state {
    uint64_t silenced[FAKE_MAX], acknowledged[FAKE_MAX];
    size_t silenced_count, acknowledged_count;
    struct logged log[FAKE_MAX];
    size_t log_count;
    struct live_alert *open[FAKE_MAX], *over[FAKE_MAX];
    size_t open_count, over_count;
};

static bool has(const uint64_t *items, size_t count, uint64_t wanted)
{
    for (size_t i = 0; i < count; i++)
        if (items[i] == wanted)
            return true;
    return false;
}

static bool fake_silenced(struct alert_state *s, struct arena *arena, uint64_t fingerprint,
                          struct labels labels, int64_t now_ns, struct silence_ids *out)
{
    *out = (struct silence_ids){NULL, 0};
    return has(s->silenced, s->silenced_count, fingerprint);
}

static bool fake_acknowledged(struct alert_state *s, uint64_t fingerprint, int64_t starts_ns,
                              int64_t now_ns)
{
    return has(s->acknowledged, s->acknowledged_count, fingerprint);
}

static struct logged *find_logged(struct alert_state *s, const struct notification_key *k)
{
    char key[256];
    snprintf(key, sizeof key, "%.*s|%.*s|%.*s|%zu", VIEW_ARGS(k->group_key), VIEW_ARGS(k->receiver),
             VIEW_ARGS(k->kind), k->index);
    for (size_t i = 0; i < s->log_count; i++)
        if (strcmp(s->log[i].key, key) == 0)
            return &s->log[i];
    assert_true(s->log_count < FAKE_MAX);
    struct logged *l = &s->log[s->log_count++];
    *l = (struct logged){.entry = {.expires_ns = INT64_MIN}};
    memcpy(l->key, key, sizeof key);
    return l;
}

static bool fake_log_get(struct alert_state *s, struct arena *arena,
                         const struct notification_key *key, int64_t now_ns,
                         struct notification_entry *out)
{
    struct logged *l = find_logged(s, key);
    *out = l->entry;
    return l->entry.expires_ns > now_ns;
}

static uint64_t fake_log_put(struct alert_state *s, const struct notification_key *key,
                             const struct notification_entry *entry)
{
    struct logged *l = find_logged(s, key);
    l->entry = *entry;
    memcpy(l->hashes, entry->firing, entry->firing_count * sizeof *l->hashes);
    memcpy(l->hashes + FAKE_MAX, entry->resolved, entry->resolved_count * sizeof *l->hashes);
    l->entry.firing = l->hashes;
    l->entry.resolved = l->hashes + FAKE_MAX;
    return 0;
}

static void fake_history_alert(struct alert_state *s, enum alert_event event,
                               const struct live_alert *a)
{
    size_t at = 0;
    while (at < s->open_count && s->open[at]->fingerprint != a->fingerprint)
        at++;
    if (at < s->open_count) {
        live_alert_unref(s->open[at]);
        s->open[at] = s->open[--s->open_count];
    }
    struct live_alert **list = event == ALERT_RESOLVED ? s->over : s->open;
    list[event == ALERT_RESOLVED ? s->over_count++ : s->open_count++] = live_alert_new(a);
}

static void fake_history_notification(struct alert_state *s, const struct notification_record *r)
{
    assert_true(r->alert_count > 0);
}

static bool is_known_firing(const struct alert_state *s, uint64_t fingerprint, int64_t now_ns)
{
    for (size_t i = 0; i < s->log_count; i++) {
        const struct notification_entry *e = &s->log[i].entry;
        if (e->expires_ns > now_ns && has(e->firing, e->firing_count, fingerprint))
            return true;
    }
    return false;
}

static void fake_resume(struct alert_state *s, alert_history_each *each, void *arg)
{
    for (size_t i = 0; i < s->open_count; i++)
        each(arg, s->open[i], false);
    for (size_t i = 0; i < s->over_count; i++) /* those that are open as well are there already */
        if (is_known_firing(s, s->over[i]->fingerprint, s->over[i]->ends_ns))
            each(arg, s->over[i], true);
}

struct world {
    struct dispatch *d;
    struct dispatch_options opts;
    struct integrations *set, *bare; /* bare: of receivers without integrations */
    struct alert_state state;
    struct instant now;
    struct buffer out;
    struct flush_job *done[FAKE_MAX];
    size_t done_count;
    struct sender_job held[FAKE_MAX];
    size_t held_count;
    bool holds, fails;
    int64_t held_index; /* of the integrations that are held; -1: all */
};
static struct world *sender_world; /* struct sender is opaque: one world at a time */

static void put_name(struct buffer *out, const struct live_alert *a)
{
    struct view i = labels_get(a->labels, VIEW("i"));
    if (i.len)
        buffer_append_view(out, i);
    else
        labels_format(out, a->labels);
}

static void finish_job(struct world *w, const struct sender_job *job)
{
    struct sender_result result = {.verdict = w->fails ? DELIVERY_FAILED : DELIVERY_SENT,
                                   .attempts = 1,
                                   .finished_ns = w->now.wall_ns,
                                   .error = w->fails ? VIEW("no") : VIEW("")};
    job->done(job->arg, &result);
}

static void fake_submit(struct sender *sender, const struct sender_job *job)
{
    struct world *w = sender_world;
    const struct integration *i = job->integration;
    buffer_printf(&w->out, "%llds %.*s", (long long)((w->now.wall_ns - BEGIN_NS) / SECOND),
                  VIEW_ARGS(i->receiver->name));
    if (i->index)
        buffer_printf(&w->out, "[%zu]", i->index);
    buffer_printf(&w->out, " %.*s", VIEW_ARGS(job->group_key));
    for (size_t k = 0; k < job->alert_count; k++) {
        buffer_append_literal(&w->out, " ");
        buffer_append_byte(&w->out, job->alerts[k]->ends_ns == LIVE_ALERT_NEVER ? '+' : '-');
        put_name(&w->out, job->alerts[k]);
    }
    buffer_printf(&w->out, " (%.*s)%s\n", VIEW_ARGS(job->reason), w->fails ? " fails" : "");
    assert_true(job->timeout_ms >= 10000);
    if (w->holds && (w->held_index < 0 || (size_t)w->held_index == i->index))
        w->held[w->held_count++] = *job;
    else
        finish_job(w, job);
}

static const struct router_peers PEERS = {.integrations_ref = fake_integrations_ref,
                                          .integrations_unref = fake_integrations_unref,
                                          .integrations_config = fake_integrations_config,
                                          .integrations_of = fake_integrations_of,
                                          .submit = fake_submit,
                                          .silenced = fake_silenced,
                                          .acknowledged = fake_acknowledged,
                                          .log_get = fake_log_get,
                                          .log_put = fake_log_put,
                                          .history_alert = fake_history_alert,
                                          .history_notification = fake_history_notification,
                                          .history_resume = fake_resume};

/* --- the script --- */

static void on_done(void *arg, struct flush_job *job)
{
    struct world *w = arg;
    w->done[w->done_count++] = job;
}

static void finish_done(struct world *w)
{
    for (size_t i = 0; i < w->done_count; i++)
        dispatch_finish(w->d, w->done[i]);
    w->done_count = 0;
}

static void release(struct world *w)
{
    size_t count = w->held_count;
    w->holds = false;
    w->held_count = 0;
    for (size_t i = 0; i < count; i++)
        finish_job(w, &w->held[i]);
    finish_done(w);
}

static void set_time(struct world *w, int64_t since_begin_ns)
{
    w->now = (struct instant){BEGIN_NS + since_begin_ns, SECOND + since_begin_ns};
}

static void run_until(struct world *w, int64_t since_begin_ns)
{
    for (;;) {
        while (dispatch_run(w->d, w->now))
            finish_done(w);
        int64_t next = dispatch_next_ns(w->d) - SECOND;
        if (next > since_begin_ns)
            break;
        set_time(w, next);
    }
    set_time(w, since_begin_ns);
    while (dispatch_run(w->d, w->now))
        finish_done(w);
}

static int64_t seconds_of(struct view text)
{
    int64_t ms;
    if (!duration_parse(text, &ms, NULL))
        fail_msg("%.*s is no time", VIEW_ARGS(text));
    return ms * 1000000;
}

static void put(struct world *w, struct labels labels, int64_t ends_ns, bool is_timeout)
{
    struct live_alert a = {.labels = labels,
                           .starts_ns = ends_ns < w->now.wall_ns ? ends_ns : w->now.wall_ns,
                           .ends_ns = ends_ns,
                           .updated_ns = w->now.wall_ns,
                           .is_timeout = is_timeout,
                           .value = NAN};
    (void)dispatch_put(w->d, live_alert_new(&a), w->now);
}

static void print_groups(struct world *w)
{
    struct arena arena;
    struct alert_group_views groups;
    arena_init(&arena, MEM_OTHER, 0);
    struct alive_groups alive;
    dispatch_alive_groups(w->d, w->now, &arena, &alive);
    dispatch_want_groups(fake_integrations_config(w->set), w->now.wall_ns, &arena, &alive, NULL,
                         NULL, &groups);
    for (size_t i = 0; i < groups.count; i++) {
        const struct alert_group_view *g = &groups.items[i];
        buffer_printf(&w->out, "group %.*s next %llds", VIEW_ARGS(g->key),
                      (long long)((g->next_flush_ns - BEGIN_NS) / SECOND));
        dispatch_inhibit_views(w->d, w->now, &arena, g->alerts.items, g->alerts.count);
        for (size_t k = 0; k < g->alerts.count; k++) {
            const struct alert_view *v = &g->alerts.items[k];
            buffer_append_byte(&w->out, ' ');
            put_name(&w->out, v->alert);
            if (v->inhibited_by_count)
                buffer_append_literal(&w->out, " inhibited");
            for (size_t m = 0; m < v->muted_by_count; m++)
                buffer_printf(&w->out, " muted by %.*s", VIEW_ARGS(v->muted_by[m]));
        }
        buffer_append_byte(&w->out, '\n');
    }
    alert_group_views_release(&groups);
    arena_deinit(&arena);
}

static void print_ends(struct world *w)
{
    struct alert_router_stats stats;
    dispatch_stats_get(w->d, w->now, &stats);
    buffer_printf(&w->out, "%llu ends wait, %llu dropped\n", (unsigned long long)stats.ends_waiting,
                  (unsigned long long)stats.ends_dropped);
}

/* What the way of these labels is, in a line for each node and group. */
static void print_explanation(struct world *w, struct labels labels)
{
    struct arena arena;
    struct alert_explanation x;
    arena_init(&arena, MEM_OTHER, 0);
    dispatch_explain(w->d, labels, w->now, &arena, &x);
    buffer_printf(&w->out, "%s\n", x.alert ? "there" : "not there");
    for (size_t i = 0; i < x.route_count; i++) {
        const struct explained_route *r = &x.routes[i];
        buffer_printf(&w->out, "%zu %.*s %s", r->depth, VIEW_ARGS(r->receiver),
                      explained_verdict_name(r->verdict));
        for (size_t k = 0; k < r->matcher_count; k++)
            if (!r->matchers[k].matches)
                buffer_printf(&w->out, " %.*s is \"%.*s\"", VIEW_ARGS(r->matchers[k].text),
                              VIEW_ARGS(r->matchers[k].value));
        buffer_append_byte(&w->out, '\n');
    }
    for (size_t i = 0; i < x.group_count; i++) {
        const struct explained_group *g = &x.groups[i];
        buffer_printf(&w->out, "%.*s%s%s", VIEW_ARGS(g->key), g->exists ? " exists" : "",
                      g->has_alert ? " has it" : "");
        for (size_t k = 0; k < g->integration_count; k++)
            buffer_append_view(&w->out,
                               g->integrations[k].knows_firing ? VIEW(" told") : VIEW(" not told"));
        buffer_append_byte(&w->out, '\n');
    }
    for (size_t i = 0; i < x.inhibition_count; i++)
        buffer_printf(&w->out, "inhibited by rule %zu\n", x.inhibitions[i].rule);
    alert_explanation_release(&x);
    arena_deinit(&arena);
}

static void start(struct world *w)
{
    w->opts =
        (struct dispatch_options){.router = {.peers = &PEERS, .state = &w->state, .alerts_max = 40},
                                  .flushes_max = 2,
                                  .ends_max = 6,
                                  .done = on_done,
                                  .done_arg = w};
    w->d = dispatch_new(&w->opts, w->now);
    dispatch_apply(w->d, w->set, w->now);
    dispatch_resume(w->d, w->now);
}

static struct view word(struct view *line)
{
    size_t len = 0;
    if (line->len && *line->ptr == '{')
        len = (size_t)((const char *)memchr(line->ptr, '}', line->len) - line->ptr) + 1;
    else
        while (len < line->len && line->ptr[len] != ' ')
            len++;
    struct view w = view_slice(*line, 0, len);
    *line = view_slice(*line, len + (len < line->len), line->len);
    return w;
}

static void toggle(uint64_t *items, size_t *count, uint64_t fingerprint, bool on)
{
    for (size_t i = 0; i < *count; i++)
        if (items[i] == fingerprint)
            items[i] = items[--*count];
    if (on)
        items[(*count)++] = fingerprint;
}

static void run_line(struct world *w, struct view line)
{
    struct arena arena;
    struct labels labels = {NULL, 0};
    struct error err = {0};
    arena_init(&arena, MEM_OTHER, 0);
    run_until(w, seconds_of(word(&line)));
    struct view what = word(&line), text = word(&line);
    if (text.len && *text.ptr == '{' && !labels_parse(&arena, text, &labels, &err))
        fail_msg("%.*s: %s", VIEW_ARGS(text), err.message);
    uint64_t fingerprint = live_alert_fingerprint(labels);
    if (view_is(what, "fire") && view_is(word(&line), "until"))
        put(w, labels, BEGIN_NS + seconds_of(word(&line)), false);
    else if (view_is(what, "fire"))
        put(w, labels, w->now.wall_ns + 300 * SECOND, true);
    else if (view_is(what, "end"))
        put(w, labels, w->now.wall_ns, false);
    else if (view_is(what, "silence") || view_is(what, "unsilence"))
        toggle(w->state.silenced, &w->state.silenced_count, fingerprint, what.len == 7);
    else if (view_is(what, "ack"))
        toggle(w->state.acknowledged, &w->state.acknowledged_count, fingerprint, true);
    else if (view_is(what, "fail") || view_is(what, "ok"))
        w->fails = what.len == 4;
    else if (view_is(what, "hold")) {
        w->holds = true;
        w->held_index = text.len ? *text.ptr - '0' : -1;
    } else if (view_is(what, "release"))
        release(w);
    else if (view_is(what, "reload"))
        dispatch_apply(w->d, view_is(text, "bare") ? w->bare : w->set, w->now);
    else if (view_is(what, "groups"))
        print_groups(w);
    else if (view_is(what, "ends"))
        print_ends(w);
    else if (view_is(what, "explain"))
        print_explanation(w, labels);
    else if (view_is(what, "restart")) {
        dispatch_free(w->d);
        start(w);
    } else if (!view_is(what, "stop")) {
        fail_msg("%.*s is not known", VIEW_ARGS(what));
    }
    while (dispatch_run(w->d, w->now))
        finish_done(w);
    arena_deinit(&arena);
}

#define HOOK "webhook_configs: [{url: 'http://x/'}]"
#define RECEIVERS "receivers: [{name: r, " HOOK "}, {name: s, " HOOK "}, {name: none}]\n"
#define TIMES "group_wait: 30s, group_interval: 5m, repeat_interval: 1h"
#define PLAIN RECEIVERS "route: {receiver: r, group_by: [g], " TIMES "}\n"
#define BARE "receivers: [{name: r}]\nroute: {receiver: r, group_by: [g], " TIMES "}\n"

static void play(const char *config, const char *script, const char *expected)
{
    static struct world world;
    struct world *w = &world;
    *w = (struct world){0};
    sender_world = w;
    buffer_init(&w->out, MEM_OTHER, 1 << 20);
    w->set = fake_integrations_new(config);
    w->bare = fake_integrations_new(BARE);
    set_time(w, 0);
    start(w);
    while (*script) {
        struct view line = {script, strcspn(script, "\n")};
        script += line.len + (script[line.len] == '\n');
        run_line(w, line);
    }
    release(w);
    assert_true(dispatch_is_idle(w->d));
    dispatch_free(w->d);
    fake_integrations_unref(w->set);
    fake_integrations_unref(w->bare);
    for (size_t i = 0; i < w->state.open_count; i++)
        live_alert_unref(w->state.open[i]);
    for (size_t i = 0; i < w->state.over_count; i++)
        live_alert_unref(w->state.over[i]);
    buffer_append_byte(&w->out, '\0');
    if (strcmp(w->out.ptr, expected) != 0)
        fail_msg("got\n%s\nexpected\n%s", w->out.ptr, expected);
    buffer_deinit(&w->out);
}

/* --- cases --- */

#define A "{g=\"x\",i=\"a\"}"
#define B "{g=\"x\",i=\"b\"}"
#define C "{g=\"y\",i=\"c\"}"
#define D "{g=\"z\",i=\"d\"}"
#define E "{g=\"v\",i=\"e\"}"

static void groups_are_told_at_their_times(void **state)
{
    static const struct {
        const char *name, *script, *expected;
    } CASES[] = {
        {"the first after group_wait, more after group_interval, the end once",
         "0s fire " A "\n10s fire " B "\n60s fire {g=\"x\",i=\"d\"} until 2h\n"
         "100s fire " A " until 2h\n100s fire " B " until 400s\n2000s stop",
         "30s r {}:{g=\"x\"} +a +b (first notification)\n"
         "330s r {}:{g=\"x\"} +a +b +d (new alerts added)\n"
         "630s r {}:{g=\"x\"} +a -b +d (some alerts resolved)\n"},
        {"all resolved is told once, and the next time it is the first",
         "0s fire " A "\n40s end " A "\n1000s fire " A "\n1100s end " A "\n5000s stop",
         "30s r {}:{g=\"x\"} +a (first notification)\n"
         "330s r {}:{g=\"x\"} -a (all alerts resolved)\n"
         "1030s r {}:{g=\"x\"} +a (first notification)\n"
         "1330s r {}:{g=\"x\"} -a (all alerts resolved)\n"},
        {"what ends before it was told is never told", "0s fire " A "\n20s end " A "\n2000s stop",
         ""},
        {"nobody told again: resolved by timeout", "0s fire " A "\n2000s stop",
         "30s r {}:{g=\"x\"} +a (first notification)\n"
         "330s r {}:{g=\"x\"} -a (all alerts resolved)\n"},
        {"repeated after repeat_interval, at the next flush", "0s fire " A " until 3h\n8000s stop",
         "30s r {}:{g=\"x\"} +a (first notification)\n"
         "3930s r {}:{g=\"x\"} +a (repeat interval elapsed)\n"
         "7830s r {}:{g=\"x\"} +a (repeat interval elapsed)\n"},
        {"not repeated while all are acknowledged; news are told",
         "0s fire " A " until 3h\n100s ack " A "\n5000s fire " B " until 9100s\n10000s stop",
         "30s r {}:{g=\"x\"} +a (first notification)\n"
         "5130s r {}:{g=\"x\"} +a +b (new alerts added)\n"
         "9030s r {}:{g=\"x\"} +a +b (repeat interval elapsed)\n"
         "9330s r {}:{g=\"x\"} +a -b (some alerts resolved)\n"},
        {"acknowledged: not told anew when the log would have forgotten",
         "0s fire " A " until 6h\n100s ack " A "\n20000s stop",
         "30s r {}:{g=\"x\"} +a (first notification)\n"},
        {"a restart waits as long as it was to last each time",
         "0s fire " A " until 1200s\n1000s restart\n3000s stop",
         "30s r {}:{g=\"x\"} +a (first notification)\n"
         "2200s r {}:{g=\"x\"} -a (all alerts resolved)\n"},
        {"groups are told apart", "0s fire " A "\n10s fire " C "\n50s stop",
         "30s r {}:{g=\"x\"} +a (first notification)\n"
         "40s r {}:{g=\"y\"} +c (first notification)\n"},
        {"what failed is told at the next flush",
         "0s fail\n0s fire " A " until 3h\n100s ok\n2000s stop",
         "30s r {}:{g=\"x\"} +a (first notification) fails\n"
         "330s r {}:{g=\"x\"} +a (first notification)\n"},
        {"an end that could not be told stays to be told",
         "0s fire " A "\n40s end " A "\n40s fail\n400s ok\n2000s stop",
         "30s r {}:{g=\"x\"} +a (first notification)\n"
         "330s r {}:{g=\"x\"} -a (all alerts resolved) fails\n"
         "630s r {}:{g=\"x\"} -a (all alerts resolved)\n"},
        {"a flush waits for the one before it, then comes at once",
         "0s hold\n0s fire " A " until 3h\n60s fire " B " until 3h\n400s release\n2000s stop",
         "30s r {}:{g=\"x\"} +a (first notification)\n"
         "400s r {}:{g=\"x\"} +a +b (new alerts added)\n"},
        {"of a receiver two are told at once, the others wait in their order",
         "0s hold\n0s fire " A " until 3h\n1s fire " C " until 3h\n2s fire " D
         " until 3h\n3s fire " E " until 3h\n100s release\n2000s stop",
         "30s r {}:{g=\"x\"} +a (first notification)\n31s r {}:{g=\"y\"} +c (first notification)\n"
         "100s r {}:{g=\"z\"} +d (first notification)\n100s r {}:{g=\"v\"} +e (first "
         "notification)\n"},
        {"who waits for its turn is told of as it is then, and by a reload loses none",
         "0s hold\n0s fire " A " until 3h\n1s fire " C " until 3h\n2s fire " D
         " until 3h\n3s fire " E " until 3h\n34s end " D "\n35s reload\n40s release\n2000s stop",
         "30s r {}:{g=\"x\"} +a (first notification)\n31s r {}:{g=\"y\"} +c (first notification)\n"
         "40s r {}:{g=\"v\"} +e (first notification)\n"},
        {"what fires again while its end is told stays",
         "0s fire " A "\n40s end " A "\n100s hold\n340s fire " A
         " until 3h\n350s release\n2000s stop",
         "30s r {}:{g=\"x\"} +a (first notification)\n"
         "330s r {}:{g=\"x\"} -a (all alerts resolved)\n"
         "630s r {}:{g=\"x\"} +a (first notification)\n"},
        {"silenced ones are not told, nor is their end",
         "0s silence " A "\n0s fire " A " until 100s\n0s fire " B " until 3h\n400s stop",
         "30s r {}:{g=\"x\"} +b (first notification)\n"},
        {"told when the silence ends",
         "0s silence " A "\n0s fire " A " until 3h\n100s unsilence " A "\n400s stop",
         "330s r {}:{g=\"x\"} +a (first notification)\n"},
        {"a reload tells nothing twice",
         "0s fire " A " until 3h\n100s reload\n500s reload\n2000s stop",
         "30s r {}:{g=\"x\"} +a (first notification)\n"},
        {"a reload while a notification is on its way neither",
         "0s hold\n0s fire " A " until 3h\n31s reload\n40s release\n2000s stop",
         "30s r {}:{g=\"x\"} +a (first notification)\n"},
        {"nor one to an integration that a reload took away and the next one brought back",
         "0s hold\n0s fire " A " until 3h\n31s reload bare\n33s reload\n40s release\n2000s stop",
         "30s r {}:{g=\"x\"} +a (first notification)\n"},
        {"an end that was told is not told again after a reload",
         "0s fire " A " until 100s\n0s fire " B " until 3h\n400s fire {g=\"x\",i=\"d\"} until 3h\n"
         "700s reload\n2000s stop",
         "30s r {}:{g=\"x\"} +a +b (first notification)\n"
         "330s r {}:{g=\"x\"} -a +b (some alerts resolved)\n"
         "630s r {}:{g=\"x\"} +b +d (new alerts added)\n"},
        {"an end that could not be told for long is not lost by a reload",
         "0s fire " A "\n0s fire " B " until 3h\n31s fail\n40s end " A
         "\n1850s reload\n1851s ok\n3000s stop",
         "30s r {}:{g=\"x\"} +a +b (first notification)\n"
         "330s r {}:{g=\"x\"} -a +b (some alerts resolved) fails\n"
         "630s r {}:{g=\"x\"} -a +b (some alerts resolved) fails\n"
         "930s r {}:{g=\"x\"} -a +b (some alerts resolved) fails\n"
         "1230s r {}:{g=\"x\"} -a +b (some alerts resolved) fails\n"
         "1530s r {}:{g=\"x\"} -a +b (some alerts resolved) fails\n"
         "1830s r {}:{g=\"x\"} -a +b (some alerts resolved) fails\n"
         "1850s r {}:{g=\"x\"} -a +b (some alerts resolved) fails\n"
         "2150s r {}:{g=\"x\"} -a +b (some alerts resolved)\n"},
        {"a restart knows what was told, and tells the end",
         "0s fire " A " until 3h\n100s restart\n200s end " A "\n2000s stop",
         "30s r {}:{g=\"x\"} +a (first notification)\n"
         "400s r {}:{g=\"x\"} -a (all alerts resolved)\n"},
        {"a restart: who tells nothing more resolves by timeout",
         "0s fire " A " until 50s\n40s restart\n2000s stop",
         "30s r {}:{g=\"x\"} +a (first notification)\n"
         "340s r {}:{g=\"x\"} -a (all alerts resolved)\n"},
        {"an end that was told is not taken up again by a restart",
         "0s fire " A " until 50s\n400s restart\n2000s stop",
         "30s r {}:{g=\"x\"} +a (first notification)\n"
         "330s r {}:{g=\"x\"} -a (all alerts resolved)\n"},
        {"an end that was not told before a restart is told after it",
         "0s fire " A " until 3h\n0s fire " B " until 3h\n0s fire " C " until 3h\n40s end " A
         "\n50s end " C "\n100s restart\n2000s stop",
         "30s r {}:{g=\"x\"} +a +b (first notification)\n30s r {}:{g=\"y\"} +c (first "
         "notification)\n"
         "100s r {}:{g=\"x\"} -a +b (some alerts resolved)\n"
         "100s r {}:{g=\"y\"} -c (all alerts resolved)\n"},
        {"nor one that could not be told",
         "0s fire " A "\n40s end " A "\n40s fail\n400s restart\n401s ok\n2000s stop",
         "30s r {}:{g=\"x\"} +a (first notification)\n330s r {}:{g=\"x\"} -a (all alerts resolved) "
         "fails\n"
         "400s r {}:{g=\"x\"} -a (all alerts resolved) fails\n700s r {}:{g=\"x\"} -a (all alerts "
         "resolved)\n"},
        {"what fires again after a restart has not ended",
         "0s fire " A "\n40s end " A "\n50s silence " A "\n51s restart\n60s fire " A
         " until 3h\n70s unsilence " A "\n1000s stop",
         "30s r {}:{g=\"x\"} +a (first notification)\n"},
        {"what began long ago is told at once, but not in a group that tells already",
         "0s fire " A " until 3h\n100s restart\n100s groups\n101s stop",
         "30s r {}:{g=\"x\"} +a (first notification)\n"
         "group {}:{g=\"x\"} next 400s a\n"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        print_message("  %s\n", CASES[i].name);
        play(PLAIN, CASES[i].script, CASES[i].expected);
    }
}

/* Of the two integrations of a receiver the second one answers late, or never. */
static void a_dead_integration_delays_no_other(void **state)
{
    static const struct {
        const char *name, *script, *expected;
    } CASES[] = {
        {"its turns are used up, the other's are not",
         "0s hold 1\n0s fire " A " until 3h\n1s fire " C " until 3h\n2s fire " D
         " until 3h\n3s fire " E
         " until 3h\n4s fire {g=\"u\",i=\"f\"} until 20s\n100s release\n2000s stop",
         "30s r {}:{g=\"x\"} +a (first notification)\n30s r[1] {}:{g=\"x\"} +a (first "
         "notification)\n"
         "31s r {}:{g=\"y\"} +c (first notification)\n31s r[1] {}:{g=\"y\"} +c (first "
         "notification)\n"
         "32s r {}:{g=\"z\"} +d (first notification)\n33s r {}:{g=\"v\"} +e (first notification)\n"
         "100s r[1] {}:{g=\"z\"} +d (first notification)\n100s r[1] {}:{g=\"v\"} +e (first "
         "notification)\n"},
        {"in one group: news and ends go to who answers; the other is told of all when it is back",
         "0s hold 1\n0s fire " A "\n40s end " A "\n0s fire " B " until 3h\n"
         "400s fire {g=\"x\",i=\"d\"} until 3h\n1000s release\n1001s groups\n1300s fire "
         "{g=\"x\",i=\"e\"} until 3h\n2000s stop",
         "30s r {}:{g=\"x\"} +a (first notification)\n30s r[1] {}:{g=\"x\"} +a (first "
         "notification)\n"
         "330s r {}:{g=\"x\"} -a +b (new alerts added)\n"
         "630s r {}:{g=\"x\"} +b +d (new alerts added)\n"
         "1000s r[1] {}:{g=\"x\"} -a +b +d (new alerts added)\n"
         "group {}:{g=\"x\"} next 1230s d b\n"
         "1530s r {}:{g=\"x\"} +b +d +e (new alerts added)\n1530s r[1] {}:{g=\"x\"} +b +d +e (new "
         "alerts added)\n"},
        {"an end is told once, also when it is the last one or comes again after a new beginning",
         "0s hold 1\n0s fire " A "\n0s fire " B " until 500s\n40s end " A "\n400s fire " A
         "\n700s end " A "\n2000s stop",
         "30s r {}:{g=\"x\"} +a +b (first notification)\n30s r[1] {}:{g=\"x\"} +a +b (first "
         "notification)\n"
         "330s r {}:{g=\"x\"} -a +b (some alerts resolved)\n"
         "630s r {}:{g=\"x\"} +a -b (new alerts added)\n"
         "930s r {}:{g=\"x\"} -a (all alerts resolved)\n"},
        {"nor again when it was silenced at a flush between",
         "0s hold 1\n0s fire " A "\n0s fire " B " until 3h\n40s end " A "\n400s silence " A
         "\n400s fire {g=\"x\",i=\"d\"} until 3h\n700s unsilence " A "\n2000s stop",
         "30s r {}:{g=\"x\"} +a +b (first notification)\n30s r[1] {}:{g=\"x\"} +a +b (first "
         "notification)\n"
         "330s r {}:{g=\"x\"} -a +b (some alerts resolved)\n"
         "630s r {}:{g=\"x\"} +b +d (new alerts added)\n"},
        {"who waits for a turn and then has nothing to tell leaves it to the next",
         "0s hold 1\n0s fire " A " until 3h\n1s fire " C " until 3h\n2s fire " D
         " until 50s\n3s fire " E " until 3h\n40s silence " D "\n100s release\n2000s stop",
         "30s r {}:{g=\"x\"} +a (first notification)\n30s r[1] {}:{g=\"x\"} +a (first "
         "notification)\n"
         "31s r {}:{g=\"y\"} +c (first notification)\n31s r[1] {}:{g=\"y\"} +c (first "
         "notification)\n"
         "32s r {}:{g=\"z\"} +d (first notification)\n33s r {}:{g=\"v\"} +e (first notification)\n"
         "100s r[1] {}:{g=\"v\"} +e (first notification)\n"},
        {"a reload: what is on its way is waited for, what waits is told of by the new "
         "configuration",
         "0s hold 1\n0s fire " A " until 3h\n1s fire " C " until 3h\n2s fire " D
         " until 3h\n40s reload\n50s fire " B " until 3h\n100s release\n2000s stop",
         "30s r {}:{g=\"x\"} +a (first notification)\n30s r[1] {}:{g=\"x\"} +a (first "
         "notification)\n"
         "31s r {}:{g=\"y\"} +c (first notification)\n31s r[1] {}:{g=\"y\"} +c (first "
         "notification)\n"
         "32s r {}:{g=\"z\"} +d (first notification)\n"
         "100s r[1] {}:{g=\"x\"} +a +b (new alerts added)\n100s r[1] {}:{g=\"z\"} +d (first "
         "notification)\n"
         "340s r {}:{g=\"x\"} +a +b (new alerts added)\n"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        print_message("  %s\n", CASES[i].name);
        play("receivers: [{name: r, webhook_configs: [{url: 'http://x/'}, {url: 'http://y/'}]}]\n"
             "route: {receiver: r, group_by: [g], " TIMES "}\n",
             CASES[i].script, CASES[i].expected);
    }
}

#define I(n) "{g=\"x\",i=\"" n "\"}"

/* A receiver that fails for long: the ends it was not told of are bounded by time, and by number. */
static void ends_that_cannot_be_told_are_bounded(void **state)
{
    static const struct {
        const char *name, *script, *expected;
    } CASES[] = {
        {"kept while the log knows of the alert",
         "0s fire " A " until 100s\n0s fire " B
         " until 10h\n200s hold\n7700s fail\n7701s release\n7701s ends\n"
         "7702s ok\n8000s stop\n8000s ends",
         "30s r {}:{g=\"x\"} +a +b (first notification)\n330s r {}:{g=\"x\"} -a +b (some alerts "
         "resolved)\n"
         "7701s r {}:{g=\"x\"} -a +b (first notification) fails\n1 ends wait, 0 dropped\n"
         "7830s r {}:{g=\"x\"} -a +b (first notification)\n0 ends wait, 0 dropped\n"},
        {"given up when it has forgotten it",
         "0s fire " A " until 100s\n0s fire " B
         " until 10h\n200s hold\n7850s fail\n7851s release\n7851s ends\n"
         "7852s ok\n9000s stop",
         "30s r {}:{g=\"x\"} +a +b (first notification)\n330s r {}:{g=\"x\"} -a +b (some alerts "
         "resolved)\n"
         "7851s r {}:{g=\"x\"} +b (first notification) fails\n0 ends wait, 1 dropped\n"
         "8130s r {}:{g=\"x\"} +b (first notification)\n"},
        {"of too many the oldest are given up, and no more than that",
         "0s fire " I(
             "0") " until 10h\n0s hold\n"
                  "40s fire " I("1") " until 50s\n40s fire " I("2") " until 50s\n40s fire " I(
                      "3") " until 50s\n"
                           "40s fire " I("4") " until 50s\n350s ends\n400s fire " I(
                               "5") " until 410s\n400s fire " I("6") " until 410s\n"
                                                                     "400s fire " I(
                                                                         "7") " until 410s\n400s "
                                                                              "fire " I("8") " unti"
                                                                                             "l "
                                                                                             "410s"
                                                                                             "\n"
                                                                                             "700s "
                                                                                             "ends"
                                                                                             "\n800"
                                                                                             "s "
                                                                                             "relea"
                                                                                             "se\n9"
                                                                                             "00s "
                                                                                             "ends"
                                                                                             "\n200"
                                                                                             "0s "
                                                                                             "stop",
         "30s r {}:{g=\"x\"} +0 (first notification)\n4 ends wait, 0 dropped\n"
         "6 ends wait, 2 dropped\n800s r {}:{g=\"x\"} +0 -1 -2 -5 -6 -7 -8 (some alerts "
         "resolved)\n0 ends wait, 2 dropped\n"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        print_message("  %s\n", CASES[i].name);
        play(PLAIN, CASES[i].script, CASES[i].expected);
    }
}

/* The log must not forget between two flushes what was told. */
static void repeats_may_be_shorter_than_flushes(void **state)
{
    play(RECEIVERS "route: {receiver: r, group_by: [g], group_wait: 30s, group_interval: 5m, "
                   "repeat_interval: 1m}\n",
         "0s fire " A " until 400s\n2000s stop",
         "30s r {}:{g=\"x\"} +a (first notification)\n"
         "330s r {}:{g=\"x\"} +a (repeat interval elapsed)\n"
         "630s r {}:{g=\"x\"} -a (all alerts resolved)\n");
}

#define TWO_ONE_WITHOUT_ENDS                                                                       \
    "receivers: [{name: r, webhook_configs: [{url: 'http://x/'}, {url: 'http://y/', "              \
    "send_resolved: false}]}]\nroute: {receiver: r, " TIMES "}\n"

static void routes_and_mutes_decide_who_is_told(void **state)
{
    static const struct {
        const char *name, *config, *script, *expected;
    } CASES[] = {
        {"each route that takes an alert has a group of its own",
         RECEIVERS
         "route: {receiver: none, routes: [{matchers: [g=x], receiver: r, continue: true, "
         "group_by: ['...']}, {matchers: ['g=~\"x|y\"', 'i!=\"\"'], receiver: s, "
         "group_wait: 1s}]}\n",
         "0s fire " A "\n0s fire " C "\n60s stop",
         "1s s {}/{g=~\"x|y\",i!=\"\"}:{} +a +c (first notification)\n"
         "30s r {}/{g=\"x\"}:{g=\"x\", i=\"a\"} +a (first notification)\n"},
        {"two integrations, one without resolved ones", TWO_ONE_WITHOUT_ENDS,
         "0s fire " A "\n0s fire " B " until 3h\n40s end " A "\n400s end " B "\n2000s stop",
         "30s r {}:{} +a +b (first notification)\n30s r[1] {}:{} +a +b (first notification)\n"
         "330s r {}:{} -a +b (some alerts resolved)\n"
         "630s r {}:{} -b (all alerts resolved)\n"},
        {"an end that was told is not told again after a restart, though another has it as firing",
         TWO_ONE_WITHOUT_ENDS,
         "0s fire " A "\n0s fire " B " until 3h\n0s fire {g=\"x\",i=\"d\"} until 3h\n40s end " A
         "\n400s end {g=\"x\",i=\"d\"}\n700s restart\n2000s stop",
         "30s r {}:{} +a +b +d (first notification)\n30s r[1] {}:{} +a +b +d (first "
         "notification)\n"
         "330s r {}:{} -a +b +d (some alerts resolved)\n"
         "630s r {}:{} +b -d (some alerts resolved)\n"},
        {"nor with news, nor when somebody tells of it again; one that fires again is news",
         TWO_ONE_WITHOUT_ENDS,
         "0s fire " A "\n0s fire " B " until 3h\n40s end " A
         "\n400s restart\n400s fire {g=\"x\",i=\"d\"} until 3h\n500s fire " A " until 40s\n"
         "1100s fire " A " until 3h\n1400s end " A "\n2500s stop",
         "30s r {}:{} +a +b (first notification)\n30s r[1] {}:{} +a +b (first notification)\n"
         "330s r {}:{} -a +b (some alerts resolved)\n"
         "700s r {}:{} +b +d (new alerts added)\n700s r[1] {}:{} +b +d (new alerts added)\n"
         "1300s r {}:{} +a +b +d (new alerts added)\n1300s r[1] {}:{} +a +b +d (new alerts "
         "added)\n"
         "1600s r {}:{} -a +b +d (some alerts resolved)\n"},
        {"to each integration the end that it was not told of", TWO_ONE_WITHOUT_ENDS,
         "0s fire " A "\n0s fire " B " until 3h\n40s end " A "\n100s restart\n101s end " B
         "\n2000s stop",
         "30s r {}:{} +a +b (first notification)\n30s r[1] {}:{} +a +b (first notification)\n"
         "100s r {}:{} -a +b (some alerts resolved)\n"
         "400s r {}:{} -b (all alerts resolved)\n"},
        {"inhibited while the source fires, by equal labels",
         PLAIN
         "inhibit_rules: [{source_matchers: [sev=page], target_matchers: [sev=warn], equal: [g, "
         "none]}]\n",
         "0s fire {g=\"x\",i=\"a\",sev=\"warn\"} until 3h\n0s fire {g=\"y\",i=\"c\",sev=\"warn\"} "
         "until 3h\n"
         "0s fire {g=\"x\",i=\"p\",sev=\"page\"} until 500s\n400s groups\n1000s stop",
         "30s r {}:{g=\"x\"} +p (first notification)\n30s r {}:{g=\"y\"} +c (first notification)\n"
         "group {}:{g=\"x\"} next 630s a inhibited p\ngroup {}:{g=\"y\"} next 630s c\n"
         "630s r {}:{g=\"x\"} +a -p (new alerts added)\n"},
        {"who matches both sides is not inhibited by another that does",
         PLAIN
         "inhibit_rules: [{source_matchers: ['s=~\".+\"'], target_matchers: ['t=~\".+\"']}]\n",
         "0s fire {g=\"x\",i=\"a\",s=\"1\",t=\"1\"} until 3h\n0s fire "
         "{g=\"x\",i=\"b\",s=\"1\",t=\"1\"} until 3h\n"
         "0s fire {g=\"x\",i=\"c\",t=\"1\"} until 3h\n31s fire {g=\"y\",i=\"d\",s=\"1\"} until "
         "3h\n400s groups\n401s stop",
         "30s r {}:{g=\"x\"} +a +b (first notification)\n"
         "61s r {}:{g=\"y\"} +d (first notification)\n"
         "group {}:{g=\"x\"} next 630s a inhibited b inhibited c inhibited\n"
         "group {}:{g=\"y\"} next 661s d\n"},
        {"a route that is muted sends when it no longer is",
         RECEIVERS "time_intervals: [{name: late, time_intervals: [{times: [{start_time: '22:00', "
                   "end_time: '22:20'}]}]}]\n"
                   "route: {receiver: none, routes: [{matchers: ['g!=\"\"'], receiver: r, " TIMES
                   ", mute_time_intervals: [late]}]}\n",
         "0s fire " A " until 3h\n60s groups\n1000s stop",
         "group {}/{g!=\"\"}:{} next 330s a muted by late\n"
         "630s r {}/{g!=\"\"}:{} +a (first notification)\n"},
        {"active intervals",
         RECEIVERS "time_intervals: [{name: work, time_intervals: [{times: [{start_time: '22:20', "
                   "end_time: '23:00'}]}]}]\n"
                   "route: {receiver: none, routes: [{matchers: ['g!=\"\"'], receiver: r, " TIMES
                   ", active_time_intervals: [work]}]}\n",
         "0s fire " A " until 3h\n60s groups\n1000s stop",
         "group {}/{g!=\"\"}:{} next 330s a muted by work\n"
         "630s r {}/{g!=\"\"}:{} +a (first notification)\n"},
        {"every node says what it did, and groups what was told",
         RECEIVERS
         "route: {receiver: none, group_by: [g], group_wait: 1s, routes: [{matchers: [g=y], "
         "receiver: s}, {matchers: [g=x], receiver: r, routes: [{matchers: [i=a, "
         "n=1], receiver: s}]}, {receiver: s}]}\n"
         "inhibit_rules: [{source_matchers: [i=b], target_matchers: [i=a]}]\n",
         "0s fire " B "\n5s explain " B "\n5s explain " A "\n6s stop",
         "1s r {}/{g=\"x\"}:{g=\"x\"} +b (first notification)\n"
         "there\n0 none passed on\n1 s refused g=\"y\" is \"x\"\n1 r takes\n"
         "2 s refused i=\"a\" is \"b\" n=\"1\" is \"\"\n1 s not tried\n"
         "{}/{g=\"x\"}:{g=\"x\"} exists has it told\n"
         "not there\n0 none passed on\n1 s refused g=\"y\" is \"x\"\n1 r takes\n"
         "2 s refused n=\"1\" is \"\"\n1 s not tried\n"
         "{}/{g=\"x\"}:{g=\"x\"} exists not told\ninhibited by rule 0\n"},
        {"nobody at a receiver: ends leave the group all the same",
         RECEIVERS "route: {receiver: none, " TIMES "}\n",
         "0s fire " A " until 40s\n20s groups\n400s groups", "group {}:{} next 30s a\n"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        print_message("  %s\n", CASES[i].name);
        play(CASES[i].config, CASES[i].script, CASES[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_are_told_at_their_times),
        cmocka_unit_test(a_dead_integration_delays_no_other),
        cmocka_unit_test(ends_that_cannot_be_told_are_bounded),
        cmocka_unit_test(repeats_may_be_shorter_than_flushes),
        cmocka_unit_test(routes_and_mutes_decide_who_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
