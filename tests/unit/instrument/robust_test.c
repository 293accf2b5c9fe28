/* SPDX-License-Identifier: Apache-2.0 */
/* Many threads, threads that end, fork() and signals: every update counts once. Updates are multiplied by TEST_SCALE
 * (100: 10^9); run under ThreadSanitizer too. */
#include <belfry/exposition.h>
#include <belfry/metrics.h>

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { UPDATES = 10000000, THREADS = 4, PER_ROUND = 10, NAMES = 50 };

static const char *const LABELS[] = {"n", "m"};

static struct {
    belfry_registry *registry;
    belfry_counter *counter;
    belfry_gauge *gauge;
    belfry_histogram *classic, *native, *both;
    belfry_summary *summary;
    belfry_stateset *stateset;
    belfry_counter_family *family, *churned;
    char names[NAMES][8];
    _Atomic bool is_over;
} s;

static void setup_metrics(void)
{
    static const char *const states[] = {"a", "b"};
    belfry_histogram_options native = {.native_factor = 1.1, .native_buckets_max = 40},
                             both = {.native_factor = 1.1,
                                     .bounds = belfry_buckets_seconds,
                                     .bound_count = BELFRY_BUCKETS_SECONDS_COUNT};
    s.registry = belfry_registry_new();
    belfry_registry *r = s.registry;
    assert_int_equal(belfry_counter_new(&s.counter, r, "c_total", "C."), BELFRY_OK);
    assert_int_equal(belfry_gauge_new(&s.gauge, r, "g", "G."), BELFRY_OK);
    assert_int_equal(belfry_histogram_new(&s.classic, r, "h", "H.", NULL, 0), BELFRY_OK);
    assert_int_equal(belfry_histogram_new_with(&s.native, r, "n", "N.", &native), BELFRY_OK);
    assert_int_equal(belfry_histogram_new_with(&s.both, r, "b", "B.", &both), BELFRY_OK);
    assert_int_equal(belfry_summary_new(&s.summary, r, "s", "S.", NULL), BELFRY_OK);
    assert_int_equal(belfry_stateset_new(&s.stateset, r, "t", "T.", states, 2), BELFRY_OK);
    assert_int_equal(belfry_counter_family_new(&s.family, r, "f_total", "F.", LABELS, 2),
                     BELFRY_OK);
    assert_int_equal(belfry_counter_family_new(&s.churned, r, "x_total", "X.", LABELS, 2),
                     BELFRY_OK);
    for (int i = 0; i < NAMES; i++)
        snprintf(s.names[i], sizeof(s.names[i]), "n%d", i);
    atomic_store(&s.is_over, false);
}

static bool swallow(void *arg, const char *bytes, size_t len)
{
    (void)bytes;
    *(size_t *)arg += len;
    return true;
}

static void expose(void)
{
    size_t bytes = 0;
    for (belfry_format format = BELFRY_FORMAT_TEXT; format <= BELFRY_FORMAT_PROTOBUF; format++) {
        belfry_exposition how = {.format = format};
        assert_int_equal(belfry_registry_write(s.registry, &how, swallow, &bytes), BELFRY_OK);
    }
}

static double scale(void)
{
    const char *text = getenv("TEST_SCALE");
    double factor = 1;
    return text && sscanf(text, "%lf", &factor) == 1 && factor > 0 ? factor : 1;
}

static long rounds_of_each(void)
{
    return (long)(UPDATES * scale()) / PER_ROUND / THREADS;
}

/* PER_ROUND updates a round. */
static void *update(void *arg)
{
    long rounds = rounds_of_each();
    uint32_t random = (uint32_t)(uintptr_t)arg;
    for (long i = 0; i < rounds; i++) {
        random = random * 1664525 + 1013904223;
        double v = (double)(random >> 8) / (1 << 20);
        belfry_counter_inc(s.counter);
        belfry_counter_add(s.counter, 2);
        belfry_counter_add_double(s.counter, 0.5);
        belfry_gauge_inc(s.gauge);
        belfry_histogram_observe(s.classic, v);
        belfry_histogram_observe(s.native, v * v * v);
        belfry_histogram_observe(s.both, v);
        belfry_summary_observe(s.summary, v);
        belfry_counter_inc(belfry_counter_family_with(
            s.family, (const char *const[]){s.names[random % NAMES], "x"}));
        if (i % 64 == 0)
            belfry_counter_add_exemplar(s.counter, 1, &(const belfry_label){"trace_id", "abc"}, 1);
        else
            belfry_stateset_set(s.stateset, random & 1, i & 1);
    }
    return NULL;
}

/* Children and whole metrics come and go, and readers look, until the updates are done. */
static void *churn(void *arg)
{
    for (long i = 0; !atomic_load(&s.is_over); i++) {
        char n[24];
        snprintf(n, sizeof(n), "%ld", i % 300);
        const char *const values[] = {n, ""};
        belfry_counter *c = belfry_counter_family_with(s.churned, values);
        assert_int_equal(belfry_counter_inc(c), BELFRY_OK);
        if (i % 3 == 0)
            assert_int_equal(belfry_counter_family_remove(s.churned, values), BELFRY_OK);
        if (i % 1000 == 0)
            assert_int_equal(belfry_counter_family_clear(s.churned), BELFRY_OK);
        if (i % 700 == 0) { /* no other thread holds pointers to them */
            belfry_status status = belfry_reclaim(s.registry);
            assert_true(status == BELFRY_OK || status == BELFRY_ERROR_USED);
        }
        if (i % 5000 == 0) {
            belfry_registry *r = belfry_registry_new();
            belfry_counter *own;
            assert_int_equal(belfry_counter_new(&own, r, "o_total", "O."), BELFRY_OK);
            belfry_counter_add(own, 3);
            assert_true(belfry_counter_value(own) == 3);
            belfry_registry_free(r);
        }
        if (i > 20000)
            usleep(1000); /* enough of it: the others need the processor */
    }
    return NULL;
}

static void *look(void *arg)
{
    double last = 0;
    while (!atomic_load(&s.is_over)) {
        expose();
        double now = belfry_counter_value(s.counter);
        assert_true(now >= last);
        last = now;
        usleep(1000);
    }
    return NULL;
}

static void run_threads(void)
{
    pthread_t updaters[THREADS], churner, looker;
    assert_int_equal(pthread_create(&churner, NULL, churn, NULL), 0);
    assert_int_equal(pthread_create(&looker, NULL, look, NULL), 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&updaters[i], NULL, update, (void *)(i + 1)), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(updaters[i], NULL);
    atomic_store(&s.is_over, true);
    pthread_join(churner, NULL);
    pthread_join(looker, NULL);
}

static void nothing_is_lost_among_threads(void **state)
{
    setup_metrics();
    run_threads();
    long each = rounds_of_each();
    double all = (double)each * THREADS, examples = (double)((each + 63) / 64 * THREADS);
    assert_true(belfry_counter_value(s.counter) == all * 3.5 + examples);
    assert_true(belfry_gauge_value(s.gauge) == all);
    assert_true((double)belfry_histogram_count(s.classic) == all);
    assert_true((double)belfry_histogram_count(s.native) == all);
    assert_true((double)belfry_histogram_count(s.both) == all);
    assert_true((double)belfry_summary_count(s.summary) == all);
    /* multiples of 2^-20 below 2^4: their sums are exact */
    assert_true(belfry_histogram_sum(s.classic) == belfry_histogram_sum(s.both));
    assert_true(belfry_histogram_sum(s.classic) == belfry_summary_sum(s.summary));
    double children = 0;
    for (int i = 0; i < NAMES; i++)
        children += belfry_counter_value(
            belfry_counter_family_with(s.family, (const char *const[]){s.names[i], "x"}));
    assert_true(children == all);
    assert_int_equal(belfry_updates_lost(), 0);
    belfry_registry_free(s.registry);
}

static void *add_one(void *arg)
{
    belfry_counter_inc(s.counter);
    belfry_histogram_observe(s.native, 1);
    return NULL;
}

static void threads_that_end_leave_their_counts(void **state)
{
    enum { ROUNDS = 300, AT_ONCE = 3 };
    setup_metrics();
    for (int i = 0; i < ROUNDS; i++) {
        pthread_t threads[AT_ONCE];
        for (int k = 0; k < AT_ONCE; k++)
            assert_int_equal(pthread_create(&threads[k], NULL, add_one, NULL), 0);
        for (int k = 0; k < AT_ONCE; k++)
            pthread_join(threads[k], NULL);
    }
    assert_true(belfry_counter_value(s.counter) == ROUNDS * AT_ONCE);
    assert_int_equal(belfry_histogram_count(s.native), ROUNDS * AT_ONCE);
    belfry_registry_free(s.registry);
}

/* --- fork --- */

static void *update_until_over(void *arg)
{
    for (long i = 0; !atomic_load(&s.is_over); i++) {
        char n[24];
        snprintf(n, sizeof(n), "%ld", i % 5000);
        belfry_counter_inc(s.counter);
        belfry_histogram_observe(s.native, (double)(i % 100000));
        belfry_counter_inc(belfry_counter_family_with(s.churned, (const char *const[]){n, ""}));
    }
    return NULL;
}

/* In the child: all goes on, alone. Its exit code says what did not. */
static int child_uses_all(void)
{
    double before = belfry_counter_value(s.counter);
    belfry_gauge *g;
    if (belfry_counter_inc(s.counter) != BELFRY_OK || belfry_counter_value(s.counter) != before + 1)
        return 1;
    if (belfry_gauge_new(&g, s.registry, "of_child", "G.") != BELFRY_OK)
        return 2;
    uint64_t count = belfry_histogram_count(s.native);
    for (int i = -100; i < 100; i++)
        belfry_histogram_observe(s.native, i * 1e6);
    if (belfry_histogram_count(s.native) != count + 200)
        return 3;
    if (!belfry_counter_family_with(s.churned, (const char *const[]){"of child", ""}))
        return 4;
    char *text;
    size_t len;
    if (belfry_registry_text(s.registry, &text, &len) != BELFRY_OK || !strstr(text, "of_child 0\n"))
        return 5;
    belfry_text_free(text);
    return 0;
}

static void assert_child_can_go_on(void)
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(child_uses_all());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_forked_child_counts_for_itself(void **state)
{
    pthread_t threads[2];
    setup_metrics();
    assert_child_can_go_on(); /* before any use */
    assert_int_equal(belfry_counter_inc(s.counter), BELFRY_OK);
    assert_child_can_go_on();
    assert_true(belfry_counter_value(s.counter) == 1); /* the child's was its own */
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, update_until_over, NULL), 0);
    for (int i = 0; i < 30; i++) /* while others hold whatever they hold */
        assert_child_can_go_on();
    atomic_store(&s.is_over, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    expose();
    belfry_registry_free(s.registry);
}

/* --- signals --- */

static _Atomic long handled;

static void handle(int signal)
{
    (void)signal;
    belfry_counter_inc(s.counter);
    belfry_counter_add(s.counter, 2);
    belfry_gauge_inc(s.gauge);
    belfry_stateset_only(s.stateset, 1);
    atomic_fetch_add(&handled, 1);
}

struct target {
    pthread_t thread;
    _Atomic bool is_done;
};

static void *send_signals(void *arg)
{
    struct target *t = arg;
    while (!atomic_load(&t->is_done)) {
        pthread_kill(t->thread, SIGUSR1);
        usleep(20);
    }
    return NULL;
}

static void a_signal_handler_may_count(void **state)
{
    enum { COUNT = 2000000 };
    struct target target = {.thread = pthread_self()};
    struct sigaction action = {.sa_handler = handle}, before;
    pthread_t sender;
    setup_metrics();
    atomic_store(&handled, 0);
    assert_int_equal(belfry_counter_inc(s.counter), BELFRY_OK); /* the thread has its cells now */
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    assert_int_equal(pthread_create(&sender, NULL, send_signals, &target), 0);
    long i = 0;
    for (; i < COUNT || atomic_load(&handled) < 10; i++) {
        belfry_counter_inc(s.counter);
        belfry_gauge_inc(s.gauge);
    }
    atomic_store(&target.is_done, true);
    pthread_join(sender, NULL);
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
    assert_true(belfry_counter_value(s.counter) == (double)(1 + i + 3 * atomic_load(&handled)));
    assert_true(belfry_gauge_value(s.gauge) == (double)(i + atomic_load(&handled)));
    belfry_registry_free(s.registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_forked_child_counts_for_itself),
        cmocka_unit_test(nothing_is_lost_among_threads),
        cmocka_unit_test(threads_that_end_leave_their_counts),
        cmocka_unit_test(a_signal_handler_may_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
