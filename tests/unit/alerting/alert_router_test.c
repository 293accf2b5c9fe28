/* SPDX-License-Identifier: Apache-2.0 */
/* alert_router_test.c: the router's thread beside those who put alerts, load configurations, look, and send: nothing is lost,
 * and ThreadSanitizer has nothing to say. What is decided is dispatch_test.c's. */
#include "alerting/alert_router.h"
#include "fake_integrations.h"

#include "base/mem.h"
#include "base/thread.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

enum { PUTTERS = 3, ALERTS_EACH = 200, JOBS_MAX = 4096, WAIT_MS_MAX = 60000 };

/* Takes jobs on one thread and ends them on another, as the real one does. */
struct sender {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct sender_job jobs[JOBS_MAX];
    size_t count;
    bool is_stopping;
    pthread_t thread;
};

/* Forgets all: every flush sends. */
struct alert_state {
    _Atomic size_t sent_alerts; /* distinct ones are counted by the router */
    _Atomic size_t fired;
};

static void fake_submit(struct sender *s, const struct sender_job *job)
{
    mutex_lock(&s->mutex);
    assert_true(s->count < JOBS_MAX);
    s->jobs[s->count++] = *job;
    cond_signal(&s->wake);
    mutex_unlock(&s->mutex);
}

static void *send_all(void *arg)
{
    struct sender *s = arg;
    for (;;) {
        mutex_lock(&s->mutex);
        while (s->count == 0 && !s->is_stopping)
            cond_wait(&s->wake, &s->mutex);
        if (s->count == 0) {
            mutex_unlock(&s->mutex);
            return NULL;
        }
        struct sender_job job = s->jobs[--s->count];
        mutex_unlock(&s->mutex);
        const struct sender_result result = {.verdict = DELIVERY_SENT, .attempts = 1};
        job.done(job.arg, &result);
    }
}

static bool fake_silenced(struct alert_state *s, struct arena *arena, uint64_t fingerprint,
                          struct labels labels, int64_t now_ns, struct silence_ids *out)
{
    *out = (struct silence_ids){NULL, 0};
    return false;
}

static bool fake_acknowledged(struct alert_state *s, uint64_t fingerprint, int64_t starts_ns,
                              int64_t now_ns)
{
    return false;
}

static bool fake_log_get(struct alert_state *s, struct arena *arena,
                         const struct notification_key *key, int64_t now_ns,
                         struct notification_entry *out)
{
    return false;
}

static uint64_t fake_log_put(struct alert_state *s, const struct notification_key *key,
                             const struct notification_entry *entry)
{
    return 0;
}

static void fake_history_alert(struct alert_state *s, enum alert_event event,
                               const struct live_alert *a)
{
    if (event == ALERT_FIRED)
        atomic_fetch_add(&s->fired, 1);
}

static void fake_history_notification(struct alert_state *s, const struct notification_record *r)
{
    atomic_fetch_add(&s->sent_alerts, r->alert_count);
}

static void fake_resume(struct alert_state *s, alert_history_each *each, void *arg)
{
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

#define CONFIG                                                                                     \
    "receivers: [{name: r, webhook_configs: [{url: 'http://x/'}]}]\n"                              \
    "route: {receiver: r, group_by: [g], group_wait: 0s, group_interval: 1s}\n"                    \
    "inhibit_rules: [{source_matchers: ['i=\"0\"'], target_matchers: ['i=\"1\"'], equal: [g]}]\n"

struct world {
    struct alert_router *router;
    struct sender sender;
    struct alert_state state;
    struct integrations *set;
};

static void start(struct world *w, size_t alerts_max)
{
    struct error err = {0};
    struct alert_router_options opts = {
        .peers = &PEERS, .state = &w->state, .sender = &w->sender, .alerts_max = alerts_max};
    *w = (struct world){.set = fake_integrations_new(CONFIG)};
    mutex_init(&w->sender.mutex);
    cond_init(&w->sender.wake);
    assert_true(thread_start(&w->sender.thread, "fake_sender", send_all, &w->sender, &err));
    assert_true(alert_router_start(&w->router, &opts, &err));
}

static void stop(struct world *w)
{
    alert_router_stop(w->router);
    mutex_lock(&w->sender.mutex);
    w->sender.is_stopping = true;
    cond_signal(&w->sender.wake);
    mutex_unlock(&w->sender.mutex);
    thread_join(w->sender.thread);
    alert_router_free(w->router);
    fake_integrations_unref(w->set);
    cond_deinit(&w->sender.wake);
    mutex_deinit(&w->sender.mutex);
}

/* One alert {g="G",i="I"} that fires now. */
static size_t put(struct world *w, int g, int i)
{
    char group[16], item[16];
    size_t refused = 0;
    snprintf(group, sizeof group, "%d", g);
    snprintf(item, sizeof item, "%d", i);
    const struct label labels[] = {{VIEW("g"), view_from(group)}, {VIEW("i"), view_from(item)}};
    const struct live_alert a = {.labels = {labels, 2},
                                 .starts_ns = LIVE_ALERT_NEVER,
                                 .ends_ns = LIVE_ALERT_NEVER,
                                 .value = NAN};
    alert_router_put(w->router, &a, 1, &refused);
    return refused;
}

static size_t alert_count(struct world *w)
{
    struct alert_router_stats stats;
    alert_router_stats_get(w->router, &stats);
    return stats.alerts[0] + stats.alerts[1] + stats.alerts[2];
}

static void pause_ms(long ms)
{
    const struct timespec t = {.tv_nsec = ms * 1000000};
    (void)nanosleep(&t, NULL);
}

static void wait_for_alerts(struct world *w, size_t count)
{
    for (long waited = 0; alert_count(w) < count; waited += 5) {
        if (waited > WAIT_MS_MAX)
            fail_msg("%zu alerts, expected %zu", alert_count(w), count);
        pause_ms(5);
    }
}

struct putter {
    struct world *world;
    int number;
};

static void *put_many(void *arg)
{
    const struct putter *p = arg;
    for (int i = 0; i < ALERTS_EACH; i++)
        (void)put(p->world, p->number, i);
    return NULL;
}

static void look(struct world *w)
{
    struct arena arena;
    struct alert_views alerts;
    struct alert_group_views groups;
    arena_init(&arena, MEM_OTHER, 0);
    alert_router_alerts(w->router, &arena, NULL, NULL, &alerts);
    for (size_t i = 1; i < alerts.count; i++)
        assert_true(alerts.items[i - 1].alert->fingerprint < alerts.items[i].alert->fingerprint);
    alert_views_release(&alerts);
    alert_router_groups(w->router, &arena, NULL, NULL, &groups);
    alert_group_views_release(&groups);
    arena_deinit(&arena);
}

static bool is_1(const void *arg, const struct live_alert *a)
{
    return view_is(labels_get(a->labels, VIEW("i")), "1");
}

/* Of each group one is wanted, which another one inhibits. */
static void look_for_1(struct world *w)
{
    struct arena arena;
    struct alert_views alerts;
    struct alert_group_views groups;
    arena_init(&arena, MEM_OTHER, 0);
    alert_router_alerts(w->router, &arena, is_1, NULL, &alerts);
    alert_router_groups(w->router, &arena, is_1, NULL, &groups);
    assert_int_equal(alerts.count, PUTTERS);
    assert_int_equal(groups.count, PUTTERS);
    for (size_t i = 0; i < PUTTERS; i++) {
        assert_int_equal(groups.items[i].alerts.count, 1);
        const struct alert_view *of[] = {&alerts.items[i], &groups.items[i].alerts.items[0]};
        for (size_t k = 0; k < 2; k++) {
            assert_true(is_1(NULL, of[k]->alert));
            assert_int_equal(of[k]->inhibited_by_count, 1);
            assert_int_equal(of[k]->status, ALERT_SUPPRESSED);
            assert_true(of[k]->receiver_count == 1 && view_is(of[k]->receivers[0], "r"));
        }
    }
    alert_views_release(&alerts);
    alert_group_views_release(&groups);
    arena_deinit(&arena);
}

static void alerts_reloads_and_looks_meet(void **state)
{
    static struct world w;
    struct error err = {0};
    pthread_t threads[PUTTERS];
    struct putter putters[PUTTERS];
    start(&w, 0);
    look(&w); /* before there is a configuration */
    assert_null(alert_router_integrations(w.router));
    for (int i = 0; i < PUTTERS; i++) {
        putters[i] = (struct putter){&w, i};
        assert_true(thread_start(&threads[i], "putter", put_many, &putters[i], &err));
    }
    for (int i = 0; i < 20; i++) {
        alert_router_apply(w.router, w.set);
        look(&w);
    }
    for (int i = 0; i < PUTTERS; i++)
        thread_join(threads[i]);
    wait_for_alerts(&w, (size_t)PUTTERS * ALERTS_EACH);
    assert_int_equal(atomic_load(&w.state.fired), PUTTERS * ALERTS_EACH);
    /* All are told: those that are inhibited (i="1") are not. */
    for (long waited = 0; atomic_load(&w.state.sent_alerts) < PUTTERS * (ALERTS_EACH - 1);
         waited += 5) {
        if (waited > WAIT_MS_MAX)
            fail_msg("%zu alerts were sent", atomic_load(&w.state.sent_alerts));
        pause_ms(5);
    }
    look_for_1(&w);
    struct integrations *set = alert_router_integrations(w.router);
    assert_ptr_equal(set, w.set);
    fake_integrations_unref(set);
    stop(&w);
}

static void alerts_beyond_the_limit_are_refused(void **state)
{
    static struct world w;
    struct alert_router_stats stats;
    start(&w, 3);
    alert_router_apply(w.router, w.set);
    for (int i = 0; i < 3; i++)
        assert_int_equal(put(&w, 0, i), 0);
    wait_for_alerts(&w, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(put(&w, 0, i), 0); /* is there already */
    assert_int_equal(put(&w, 0, 3), 1);
    alert_router_stats_get(w.router, &stats);
    assert_int_equal(stats.refused, 1);
    assert_int_equal(stats.received_firing, 7);
    assert_int_equal(alert_count(&w), 3);
    stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alerts_reloads_and_looks_meet),
        cmocka_unit_test(alerts_beyond_the_limit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
