/* SPDX-License-Identifier: Apache-2.0 */
/* alert_state_bench.c: 100,000 alerts against 1,000 silences, and 100,000 alerts that fire at once.
 *
 *   first look   each alert is new: the index is asked
 *   next look    nothing has changed
 *   one more     a silence was added since
 *   history      until all that fired is on disk, and how long the callers were held up */
#include "alerting/alert_state.h"
#include "alerting/silence.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { ALERTS = 100000, SILENCES = 1000 };
#define SECOND INT64_C(1000000000)
#define NOW (INT64_C(1700000000) * SECOND)

static void die(const struct error *err)
{
    fprintf(stderr, "alert_state_bench: %s\n", err->message);
    exit(1);
}

static struct alert_state *open_state(const char *dir)
{
    struct error err;
    struct alert_state *s;
    struct alert_state_options o = {.dir = dir};
    if (!alert_state_open(&s, &o, &err))
        die(&err);
    return s;
}

static struct live_alert *alert_new(struct arena *arena, int n)
{
    struct label labels[] = {
        {VIEW("alertname"), arena_printf(arena, "Alert%d", n % 50)},
        {VIEW("cluster"), arena_printf(arena, "c%d", n % 7)},
        {VIEW("instance"), arena_printf(arena, "host%d:9100", n / 50)},
        {VIEW("job"), VIEW("node")},
        {VIEW("severity"), n % 3 ? VIEW("page") : VIEW("ticket")},
    };
    struct label annotations[] = {{VIEW("summary"), VIEW("something is wrong with this host")}};
    struct live_alert a = {.labels = {labels, ARRAY_COUNT(labels)},
                           .annotations = {annotations, 1},
                           .starts_ns = NOW,
                           .ends_ns = LIVE_ALERT_NEVER,
                           .updated_ns = NOW,
                           .rule = VIEW("r")};
    return live_alert_new(&a);
}

static void add_silence(struct alert_state *s, struct arena *arena, const char *matchers)
{
    struct error err;
    struct matchers m = {0};
    struct view id;
    if (!matchers_parse(arena, view_from(matchers), &m, NULL, &err))
        die(&err);
    struct silence in = {.matchers = m.items,
                         .matcher_count = m.count,
                         .starts_ns = NOW,
                         .ends_ns = NOW + 3600 * SECOND};
    if (!silence_set(s, arena, &in, NOW, &id, NULL, &err))
        die(&err);
    matchers_deinit(&m);
}

static void look(struct alert_state *s, struct live_alert **alerts, const char *what)
{
    struct arena arena;
    size_t muted = 0;
    arena_init(&arena, MEM_OTHER, 0);
    int64_t begin = clock_thread_cpu_ns();
    for (int i = 0; i < ALERTS; i++) {
        struct silence_ids ids;
        muted += alert_state_silenced(s, &arena, alerts[i]->fingerprint, alerts[i]->labels, NOW + 1,
                                      &ids);
        if (i % 1000 == 0)
            arena_reset(&arena);
    }
    printf("%-12s %6" PRId64 " ns per alert, %zu muted\n", what,
           (clock_thread_cpu_ns() - begin) / ALERTS, muted);
    arena_deinit(&arena);
}

static int64_t process_cpu_ms(void)
{
    struct rusage r;
    (void)getrusage(RUSAGE_SELF, &r);
    return (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000 +
           (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1000;
}

static void bench_history(struct live_alert **alerts)
{
    char dir[] = "/tmp/belfry-alert-bench-XXXXXX";
    struct error err;
    struct alert_state_stats stats;
    if (!mkdtemp(dir))
        exit(1);
    struct alert_state *s = open_state(dir);
    mono_time begin = clock_mono();
    int64_t cpu = process_cpu_ms();
    int64_t longest = 0;
    for (int i = 0; i < ALERTS; i++) {
        mono_time before = clock_mono();
        alert_history_alert(s, ALERT_FIRED, alerts[i]);
        int64_t took = clock_mono().ns - before.ns;
        longest = took > longest ? took : longest;
    }
    int64_t told = clock_mono().ns - begin.ns;
    do {
        (void)usleep(1000);
        alert_state_stats(s, &stats);
    } while (stats.history_pending > 0);
    alert_state_close(s);
    printf("history      told in %" PRId64 " ms (the longest call %" PRId64
           " us), on disk after %" PRId64 " ms, %" PRId64 " ms of CPU, %" PRIu64 " KiB\n",
           told / 1000000, longest / 1000, mono_ms_since(begin), process_cpu_ms() - cpu,
           dir_bytes(dir) >> 10);
    if (!dir_remove(dir, &err))
        die(&err);
}

int main(void)
{
    struct alert_state *s = open_state(NULL);
    struct live_alert **alerts = malloc(ALERTS * sizeof(struct live_alert *));
    struct arena arena;
    arena_init(&arena, MEM_OTHER, 0);
    for (int i = 0; i < ALERTS; i++)
        alerts[i] = alert_new(&arena, i);
    for (int i = 0; i < SILENCES; i++) {
        static const char *const FORMS[] = {"instance=\"host%d:9100\"", "alertname=X%d,cluster=c1",
                                            "alertname=\"Alert1\",instance=~\"host%d.*\""};
        add_silence(s, &arena, arena_printf(&arena, FORMS[i % 3], i).ptr);
    }
    int64_t before = mem_account_bytes(MEM_ALERTING);
    look(s, alerts, "first look");
    look(s, alerts, "next look");
    add_silence(s, &arena, "job=node,severity=ticket");
    look(s, alerts, "one more");
    printf("cache        %" PRId64 " bytes per alert\n",
           (mem_account_bytes(MEM_ALERTING) - before) / ALERTS);
    alert_state_close(s);
    bench_history(alerts);
    for (int i = 0; i < ALERTS; i++)
        live_alert_unref(alerts[i]);
    free(alerts);
    arena_deinit(&arena);
    return 0;
}
