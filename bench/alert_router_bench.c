/* SPDX-License-Identifier: Apache-2.0 */
/* alert_router_bench.c: what routing many alerts costs, with the memory that the server has (without a disk) and a sender that
 * sends at once: processor time per alert that is new, told again, flushed, and shown; and the process's memory.
 *
 *   ninja -C build/release bench/alert_router_bench && build/release/bench/alert_router_bench [--alerts=100000] */
#include "alerting/dispatch.h"
#include "base/clock.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define SECOND INT64_C(1000000000)
#define BEGIN_NS (INT64_C(1700000000) * SECOND)

/* Half of the alerts are sources of the rule, half its targets; each target has one source. */
static const char CONFIG[] =
    "route:\n  receiver: r\n  group_by: [alertname, cluster]\n  group_wait: 1s\n"
    "  routes:\n"
    "  - {matchers: ['team=\"a\"'], receiver: r}\n  - {matchers: ['team=~\"b|c\"'], receiver: r}\n"
    "receivers: [{name: r, webhook_configs: [{url: 'http://127.0.0.1:1/'}]}]\n"
    "inhibit_rules:\n"
    "- {source_matchers: [sev=page], target_matchers: [sev=warn], equal: [cluster, instance]}\n";

struct ended {
    struct flush_job *items[4096];
    size_t count, jobs, alerts;
};
static struct ended ended;

static void submit(struct sender *sender, const struct sender_job *job)
{
    const struct sender_result result = {
        .verdict = DELIVERY_SENT, .attempts = 1, .finished_ns = job->now_ns};
    ended.jobs++;
    ended.alerts += job->alert_count;
    job->done(job->arg, &result);
}

static void on_done(void *arg, struct flush_job *job)
{
    ended.items[ended.count++] = job;
}

static void run(struct dispatch *d, struct instant now)
{
    while (dispatch_run(d, now)) {
        for (size_t i = 0; i < ended.count; i++)
            dispatch_finish(d, ended.items[i]);
        ended.count = 0;
    }
}

static struct live_alert *make(size_t i, size_t count, int64_t now_ns)
{
    char name[32], instance[64], cluster[32], summary[128];
    static const char *const TEAMS[] = {"a", "b", "c", "d"};
    snprintf(name, sizeof name, "Alert%zu", i % 50);
    snprintf(cluster, sizeof cluster, "cluster-%zu", i % 20);
    snprintf(instance, sizeof instance, "host-%zu.example.org:9100", i % (count / 2));
    snprintf(summary, sizeof summary, "The thing on host %zu has been wrong for a while now", i);
    const struct label labels[] = {{VIEW("alertname"), view_from(name)},
                                   {VIEW("cluster"), view_from(cluster)},
                                   {VIEW("instance"), view_from(instance)},
                                   {VIEW("job"), VIEW("node")},
                                   {VIEW("sev"), i < count / 2 ? VIEW("page") : VIEW("warn")},
                                   {VIEW("team"), view_from(TEAMS[i % 4])}};
    const struct label annotations[] = {{VIEW("description"), view_from(summary)},
                                        {VIEW("summary"), view_from(summary)}};
    const struct live_alert a = {.labels = {labels, 6},
                                 .annotations = {annotations, 2},
                                 .starts_ns = BEGIN_NS,
                                 .ends_ns = now_ns + 240 * SECOND,
                                 .updated_ns = now_ns,
                                 .generator_url = VIEW("http://127.0.0.1:9090/graph?g0.expr=up"),
                                 .file = VIEW("/etc/belfry/rules.yml"),
                                 .group = VIEW("group"),
                                 .rule = view_from(name),
                                 .value = NAN};
    return live_alert_new(&a);
}

static void report(const char *what, int64_t began_ns, size_t count)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double ns = (double)(clock_thread_cpu_ns() - began_ns);
    printf("%-28s %8.1f ms  %7.0f ns each   peak RSS %ld MB\n", what, ns / 1e6, ns / (double)count,
           usage.ru_maxrss / 1024);
}

static void put_all(struct dispatch *d, size_t count, struct instant now)
{
    for (size_t i = 0; i < count; i++)
        if (!dispatch_put(d, make(i, count, now.wall_ns), now))
            exit(1);
}

static bool is_of_host_7(const void *arg, const struct live_alert *a)
{
    return view_is(labels_get(a->labels, VIEW("instance")), "host-7.example.org:9100");
}

static void look(struct dispatch *d, const struct dispatch_options *opts,
                 const struct alert_config *config, struct instant now, size_t count,
                 alert_wanted *wanted)
{
    struct arena arena;
    struct alive_alerts alive;
    struct alert_views views;
    arena_init(&arena, MEM_OTHER, 0);
    int64_t began = clock_thread_cpu_ns();
    dispatch_alive(d, now, &arena, &alive);
    report("  noted, under the lock", began, count);
    dispatch_want(&arena, &alive, wanted, NULL, &views);
    report("  and chosen", began, count);
    dispatch_inhibit_views(d, now, &arena, views.items, views.count);
    report("  and inhibited, in steps", began, count);
    dispatch_complete_views(&opts->router, config, now.wall_ns, &arena, &views);
    report("  and completed", began, count);
    alert_views_release(&views);
    arena_deinit(&arena);
}

int main(int argc, char **argv)
{
    size_t count = 100000;
    struct error err = {0};
    struct alert_config *config;
    struct integrations *set;
    struct router_peers peers = ROUTER_PEERS;
    struct dispatch_options opts = {.router = {.peers = &peers}, .done = on_done};
    const struct alert_state_options memory = {.dir = NULL};
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], "--alerts=", 9) == 0)
            count = (size_t)strtoul(argv[i] + 9, NULL, 10);
    if (count < 2 || !alert_config_parse(VIEW(CONFIG), "bench.yml", &config, &err) ||
        !integrations_new(&set, config, "http://127.0.0.1:9090", &err) ||
        !alert_state_open(&opts.router.state, &memory, &err)) {
        fprintf(stderr, "alert_router_bench: %s\n", err.message);
        return 1;
    }
    peers.submit = submit;
    struct instant now = {BEGIN_NS, SECOND};
    struct dispatch *d = dispatch_new(&opts, now);
    dispatch_apply(d, set, now);
    int64_t began = clock_thread_cpu_ns();
    put_all(d, count, now);
    report("new", began, count);
    now = (struct instant){BEGIN_NS + 60 * SECOND, 61 * SECOND};
    began = clock_thread_cpu_ns();
    put_all(d, count, now);
    report("told again", began, count);
    began = clock_thread_cpu_ns();
    run(d, now);
    report("first flush of all groups", began, count);
    printf("  %zu notifications of %zu alerts\n", ended.jobs, ended.alerts);
    now = (struct instant){BEGIN_NS + 361 * SECOND, 362 * SECOND};
    put_all(d, count, now);
    began = clock_thread_cpu_ns();
    run(d, now);
    report("flush with nothing new", began, count);
    printf("views of all\n");
    look(d, &opts, config, now, count, NULL);
    printf("views of a few\n");
    look(d, &opts, config, now, count, is_of_host_7);
    began = clock_thread_cpu_ns();
    dispatch_apply(d, set, now);
    report("configuration applied", began, count);
    printf("memory of alerting: %.1f MB, %.0f bytes per alert\n",
           (double)mem_account_bytes(MEM_ALERTING) / 1e6,
           (double)mem_account_bytes(MEM_ALERTING) / (double)count);
    dispatch_free(d);
    integrations_unref(set);
    alert_config_unref(config);
    alert_state_close(opts.router.state);
    return 0;
}
