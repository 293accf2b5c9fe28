/* SPDX-License-Identifier: Apache-2.0 */
/* command_server.c: belfry server: Prometheus' flags, and what of them reaches server_run(). */
#include "base/arena.h"
#include "base/assert.h"
#include "base/duration.h"
#include "base/file.h"
#include "base/machine.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "server/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_ADDRESS "127.0.0.1:9090"
enum { WARNINGS_MAX = 64, WARNING_BYTES = 512 };

struct server_flags {
    const char *config_file, *data_dir, *cors_origin, *log_level, *log_format, *wal_sync,
        *anonymous_role, *web_config_file, *external_url, *route_prefix, *sandbox, *user_assets;
    struct flag_list addresses, features;
    int64_t retention_ms, block_ms, block_max_ms, lookback_ms, query_timeout_ms, read_timeout_ms;
    uint64_t retention_bytes, segment_bytes, memory_max_bytes;
    uint64_t memory_limit_bytes;
    int64_t query_concurrency, samples_max, connections_max, series_max;
    int64_t series_per_job_max, series_per_metric_max, new_series_per_job_max;
    int64_t auto_reload_ms, discovery_pause_ms;
    int64_t for_outage_tolerance_ms, for_grace_period_ms, resend_delay_ms, rule_evaluations;
    int64_t notification_queue, notification_batch, subscribers_max;
    bool notification_drain;
    struct alert_routing_flags routing;
    int64_t silences_max, silence_bytes_max, alerts_max;
    bool help, version, lifecycle, admin_api, remote_write, config_lenient;
};

/* Words that flags_parse() finds to say before there is a log. Main thread. */
static char warning_text[WARNINGS_MAX][WARNING_BYTES];
static const char *warnings[WARNINGS_MAX];
static size_t warning_count;

static void keep_warning(const char *sentence)
{
    if (warning_count == WARNINGS_MAX)
        return;
    snprintf(warning_text[warning_count], WARNING_BYTES, "%s", sentence);
    warnings[warning_count] = warning_text[warning_count];
    warning_count++;
}

#define NO_EFFECT(name, kind, why)                                                                 \
    {                                                                                              \
        name, 0, kind, NULL, NULL, why                                                             \
    }
#define LATER "this version does not have it yet"
#define NO_CLUSTER "one server routes alerts: there is no cluster"

/* In the order of Prometheus' own documentation, then ours. */
static size_t server_flag_table(struct server_flags *f, struct flag *out, size_t max)
{
    const struct flag table[] = {
        {"help", 'h', FLAG_SWITCH, &f->help, NULL, "Show this."},
        {"version", 0, FLAG_SWITCH, &f->version, NULL, "Show the version."},
        {"config.file", 0, FLAG_TEXT, &f->config_file, "FILE",
         "Configuration; default: prometheus.yml here, else built in."},
        {"config.lenient", 0, FLAG_SWITCH, &f->config_lenient, NULL,
         "Warn of unknown fields of the configuration instead of refusing it."},
        {"config.auto-reload-interval", 0, FLAG_DURATION, &f->auto_reload_ms, "DURATION",
         "How often to look for changed files, with --enable-feature=auto-reload-config."},
        {"scrape.discovery-reload-interval", 0, FLAG_DURATION, &f->discovery_pause_ms, "DURATION",
         "Time between two changes of discovered targets."},
        {"web.listen-address", 0, FLAG_LIST, &f->addresses, "ADDRESS",
         "Where to listen, default " DEFAULT_ADDRESS "; repeatable."},
        {"web.config.file", 0, FLAG_TEXT, &f->web_config_file, "FILE",
         "Users, roles, TLS and headers; read again when it changes."},
        {"web.external-url", 0, FLAG_TEXT, &f->external_url, "URL",
         "Under which browsers know the server, when a proxy stands before it."},
        {"web.route-prefix", 0, FLAG_TEXT, &f->route_prefix, "PATH",
         "Prefix of all paths; default: the path of --web.external-url."},
        {"web.read-timeout", 0, FLAG_DURATION, &f->read_timeout_ms, "DURATION",
         "Idle connections end after this long."},
        {"web.max-connections", 0, FLAG_COUNT, &f->connections_max, "N",
         "Connections at once, per listener."},
        {"web.user-assets", 0, FLAG_TEXT, &f->user_assets, "FOLDER",
         "Files of your own, runbooks for example, to show at /user/."},
        {"web.cors.origin", 0, FLAG_TEXT, &f->cors_origin, "REGEX",
         "Origins whose pages may read answers; anchored. Default: none."},
        {"web.anonymous-role", 0, FLAG_TEXT, &f->anonymous_role, "none|view|silence|edit|admin",
         "What callers from other addresses may do while there are no users."},
        {"web.enable-lifecycle", 0, FLAG_SWITCH, &f->lifecycle, NULL,
         "Reload and quit by HTTP: /-/reload, /-/quit."},
        {"web.enable-admin-api", 0, FLAG_SWITCH, &f->admin_api, NULL,
         "Deletion and snapshots by HTTP: /api/v1/admin/tsdb/."},
        {"web.enable-remote-write-receiver", 0, FLAG_SWITCH, &f->remote_write, NULL,
         "Take samples at /api/v1/write."},
        {"web.max-notifications-subscribers", 0, FLAG_COUNT, &f->subscribers_max, "N",
         "Readers of /api/v1/notifications/live at once."},
        {"storage.tsdb.path", 0, FLAG_TEXT, &f->data_dir, "FOLDER", "Where the data is."},
        {"storage.tsdb.retention.time", 0, FLAG_DURATION, &f->retention_ms, "DURATION",
         "How long samples are kept, from the newest."},
        {"storage.tsdb.retention.size", 0, FLAG_BYTES, &f->retention_bytes, "BYTES",
         "Bytes of blocks to keep; 0B: no limit."},
        {"storage.tsdb.wal-segment-size", 0, FLAG_BYTES, &f->segment_bytes, "BYTES",
         "Size of a segment of the write-ahead log."},
        {"storage.tsdb.min-block-duration", 0, FLAG_DURATION, &f->block_ms, "DURATION",
         "Range of a block, for tests."},
        {"storage.tsdb.max-block-duration", 0, FLAG_DURATION, &f->block_max_ms, "DURATION",
         "Longest range of a merged block; 0s: a tenth of the retention, at most 31d."},
        {"storage.wal.sync", 0, FLAG_TEXT, &f->wal_sync, "DURATION|off",
         "Sync at most this long after a commit; 0: before it."},
        {"storage.series-max", 0, FLAG_COUNT, &f->series_max, "N",
         "Series in memory; new ones beyond are folded. Half of the memory limit; 0: no limit."},
        {"storage.memory-limit", 0, FLAG_BYTES, &f->memory_limit_bytes, "BYTES",
         "Memory to stay below; 75 % of the machine's or the control group's. 0B: no limit."},
        {"storage.series-per-job-max", 0, FLAG_COUNT, &f->series_per_job_max, "N",
         "Series of one job; new ones beyond are folded. Half of all; 0: no limit."},
        {"storage.series-per-metric-max", 0, FLAG_COUNT, &f->series_per_metric_max, "N",
         "Series of one metric; likewise. A quarter of all; 0: no limit."},
        {"storage.new-series-per-job-max", 0, FLAG_COUNT, &f->new_series_per_job_max, "N",
         "New series of one job in ten minutes. As many as it may have; 0: no limit."},
        {"query.lookback-delta", 0, FLAG_DURATION, &f->lookback_ms, "DURATION",
         "How far back a sample is looked for."},
        {"query.timeout", 0, FLAG_DURATION, &f->query_timeout_ms, "DURATION",
         "How long a query may take."},
        {"query.max-concurrency", 0, FLAG_COUNT, &f->query_concurrency, "N", "Queries at once."},
        {"query.max-samples", 0, FLAG_COUNT, &f->samples_max, "N",
         "Samples that one query may load."},
        {"query.max-memory", 0, FLAG_BYTES, &f->memory_max_bytes, "BYTES",
         "Memory that one query may use; a quarter of this machine's by default; 0B: no limit."},
        {"rules.alert.for-outage-tolerance", 0, FLAG_DURATION, &f->for_outage_tolerance_ms,
         "DURATION", "Longest outage after which alerts are still pending since before it."},
        {"rules.alert.for-grace-period", 0, FLAG_DURATION, &f->for_grace_period_ms, "DURATION",
         "Least time between that and firing, where only ALERTS_FOR_STATE knows."},
        {"rules.alert.resend-delay", 0, FLAG_DURATION, &f->resend_delay_ms, "DURATION",
         "How often an alert that fires is told again."},
        {"rules.max-concurrent-evals", 0, FLAG_COUNT, &f->rule_evaluations, "N",
         "Rules of a group evaluated at once, with --enable-feature=concurrent-rule-eval."},
        {"alertmanager.config.file", 0, FLAG_TEXT, &f->routing.config_path, "FILE",
         "Alertmanager's configuration: alerts are routed and sent by this server."},
        {"storage.path", 0, FLAG_TEXT, &f->routing.dir, "FOLDER",
         "Where alerts.db is: silences, what was sent; default: --storage.tsdb.path."},
        {"data.retention", 0, FLAG_DURATION, &f->routing.retention_ms, "DURATION",
         "How long silences that have ended and the log of what was sent are kept."},
        {"data.maintenance-interval", 0, FLAG_DURATION, &f->routing.maintenance_ms, "DURATION",
         "How often what is kept no longer is deleted from alerts.db."},
        {"silences.max-silences", 0, FLAG_COUNT, &f->silences_max, "N",
         "Silences, those that have ended too; 0: no limit."},
        {"silences.max-silence-size-bytes", 0, FLAG_COUNT, &f->silence_bytes_max, "N",
         "Bytes of one silence; 0: 1 MiB."},
        {"alerts.gc-interval", 0, FLAG_DURATION, &f->routing.gc_interval_ms, "DURATION",
         "How often alerts that have ended are forgotten."},
        {"alerts.max", 0, FLAG_COUNT, &f->alerts_max, "N",
         "Alerts that are routed at once; new ones beyond are refused; 0: no limit."},
        {"alerts.history-retention", 0, FLAG_DURATION, &f->routing.history_retention_ms, "DURATION",
         "How long the history of alerts and notifications is kept."},
        {"dispatch.maintenance-interval", 0, FLAG_DURATION, &f->routing.dispatch_maintenance_ms,
         "DURATION", "How often groups without alerts are dropped."},
        {"dispatch.start-delay", 0, FLAG_DURATION, &f->routing.start_delay_ms, "DURATION",
         "Time after the start before which nothing is sent."},
        {"alertmanager.notification-queue-capacity", 0, FLAG_COUNT, &f->notification_queue, "N",
         "Alerts that may wait for each Alertmanager; the oldest beyond are dropped."},
        {"alertmanager.notification-batch-size", 0, FLAG_COUNT, &f->notification_batch, "N",
         "Alerts of one request to an Alertmanager."},
        {"alertmanager.drain-notification-queue-on-shutdown", 0, FLAG_SWITCH,
         &f->notification_drain, NULL, "Send the alerts that wait before the server ends."},
        {"enable-feature", 0, FLAG_LIST, &f->features, "NAME,...",
         "Features that are off by default; repeatable."},
        {"sandbox", 0, FLAG_TEXT, &f->sandbox, "on|off",
         "Write only in the data folder, run no programs: see belfry check sandbox."},
        {"log.level", 0, FLAG_TEXT, &f->log_level, "debug|info|warn|error", "What to log."},
        {"log.format", 0, FLAG_TEXT, &f->log_format, "logfmt|json", "How to log."},

        NO_EFFECT("auto-gomaxprocs", FLAG_SWITCH, "there is no Go runtime"),
        NO_EFFECT("auto-gomemlimit", FLAG_SWITCH, "there is no Go runtime"),
        NO_EFFECT("auto-gomemlimit.ratio", FLAG_TEXT, "there is no Go runtime"),
        NO_EFFECT("web.remote-write-receiver.accepted-protobuf-messages", FLAG_TEXT, LATER),
        NO_EFFECT("web.enable-otlp-receiver", FLAG_SWITCH, LATER),
        NO_EFFECT("web.console.templates", FLAG_TEXT, "Belfry has no console templates"),
        NO_EFFECT("web.console.libraries", FLAG_TEXT, "Belfry has no console templates"),
        NO_EFFECT("web.page-title", FLAG_TEXT, LATER),
        NO_EFFECT("storage.tsdb.no-lockfile", FLAG_SWITCH, "the data folder is always locked"),
        NO_EFFECT("storage.tsdb.max-block-chunk-segment-size", FLAG_TEXT,
                  "Belfry's blocks have no chunk segments"),
        NO_EFFECT("storage.tsdb.head-chunks-write-queue-size", FLAG_TEXT,
                  "Belfry's head has no chunk files"),
        NO_EFFECT("storage.tsdb.wal-compression", FLAG_SWITCH, "rows are delta coded in the log"),
        NO_EFFECT("storage.tsdb.wal-compression-type", FLAG_TEXT,
                  "rows are delta coded in the log"),
        NO_EFFECT("storage.tsdb.delayed-compaction.max-percent", FLAG_TEXT,
                  "blocks are cut by a thread of their own"),
        NO_EFFECT("storage.tsdb.allow-overlapping-blocks", FLAG_SWITCH, "it is always so"),
        NO_EFFECT("storage.agent.path", FLAG_TEXT, LATER),
        NO_EFFECT("storage.agent.wal-compression", FLAG_SWITCH, LATER),
        NO_EFFECT("storage.agent.retention.min-time", FLAG_TEXT, LATER),
        NO_EFFECT("storage.agent.retention.max-time", FLAG_TEXT, LATER),
        NO_EFFECT("storage.agent.no-lockfile", FLAG_SWITCH, LATER),
        NO_EFFECT("storage.remote.flush-deadline", FLAG_TEXT, LATER),
        NO_EFFECT("storage.remote.read-sample-limit", FLAG_TEXT, LATER),
        NO_EFFECT("storage.remote.read-concurrent-limit", FLAG_TEXT, LATER),
        NO_EFFECT("storage.remote.read-max-bytes-in-frame", FLAG_TEXT, LATER),
        NO_EFFECT("alerts.per-alertname-limit", FLAG_TEXT, "alerts have one limit, --alerts.max"),
        NO_EFFECT("web.get-concurrency", FLAG_TEXT, "queries have a limit of their own"),
        NO_EFFECT("web.timeout", FLAG_TEXT, "requests have the limits of the server"),
        NO_EFFECT("log.silences", FLAG_SWITCH, "who set which silence is kept in alerts.db"),
        NO_EFFECT("cluster.listen-address", FLAG_TEXT, NO_CLUSTER),
        NO_EFFECT("cluster.advertise-address", FLAG_TEXT, NO_CLUSTER),
        NO_EFFECT("cluster.peer", FLAG_TEXT, NO_CLUSTER),
        NO_EFFECT("cluster.peer-timeout", FLAG_TEXT, NO_CLUSTER),
        NO_EFFECT("cluster.peer-name", FLAG_TEXT, NO_CLUSTER),
        NO_EFFECT("cluster.gossip-interval", FLAG_TEXT, NO_CLUSTER),
        NO_EFFECT("cluster.pushpull-interval", FLAG_TEXT, NO_CLUSTER),
        NO_EFFECT("cluster.tcp-timeout", FLAG_TEXT, NO_CLUSTER),
        NO_EFFECT("cluster.probe-timeout", FLAG_TEXT, NO_CLUSTER),
        NO_EFFECT("cluster.probe-interval", FLAG_TEXT, NO_CLUSTER),
        NO_EFFECT("cluster.settle-timeout", FLAG_TEXT, NO_CLUSTER),
        NO_EFFECT("cluster.reconnect-interval", FLAG_TEXT, NO_CLUSTER),
        NO_EFFECT("cluster.reconnect-timeout", FLAG_TEXT, NO_CLUSTER),
        NO_EFFECT("cluster.tls-config", FLAG_TEXT, NO_CLUSTER),
        NO_EFFECT("cluster.allow-insecure-public-advertise-address-discovery", FLAG_SWITCH,
                  NO_CLUSTER),
        NO_EFFECT("cluster.label", FLAG_TEXT, NO_CLUSTER),
        NO_EFFECT("scrape.adjust-timestamps", FLAG_SWITCH,
                  "a scrape has one timestamp, the time it was planned for"),
        NO_EFFECT("scrape.timestamp-tolerance", FLAG_TEXT,
                  "a scrape has one timestamp, the time it was planned for"),
        NO_EFFECT("agent", FLAG_SWITCH, LATER),
    };
    ASSERT(ARRAY_COUNT(table) <= max);
    memcpy(out, table, sizeof table);
    return ARRAY_COUNT(table);
}

enum { FLAGS_MAX = 160 };

static int compare_flags(const void *a, const void *b)
{
    return strcmp(((const struct api_flag *)a)->name, ((const struct api_flag *)b)->name);
}

/* What status/flags shows: every flag with the value in force. Text in the arena. */
static size_t flag_values(const struct flag *flags, size_t count, struct arena *arena,
                          struct api_flag *out)
{
    struct buffer text;
    size_t n = 0;
    buffer_init(&text, MEM_OTHER, 64 * 1024);
    for (size_t i = 0; i < count; i++) {
        if (!flags[i].value || strcmp(flags[i].name, "help") == 0 ||
            strcmp(flags[i].name, "version") == 0)
            continue;
        buffer_reset(&text);
        flag_value_text(&flags[i], &text);
        out[n++] = (struct api_flag){flags[i].name, arena_copy(arena, buffer_view(&text)).ptr};
    }
    buffer_deinit(&text);
    qsort(out, n, sizeof *out, compare_flags);
    return n;
}

static bool parse_sync(const char *text, int64_t *out, struct error *err)
{
    if (strcmp(text, "off") == 0) {
        *out = DB_SYNC_OFF;
        return true;
    }
    if (!duration_parse(view_from(text), out, err)) {
        err->kind = ERROR_USAGE;
        return error_wrap(err, "flag \"--storage.wal.sync\"");
    }
    if (*out == 0)
        *out = DB_SYNC_EACH;
    return true;
}

static void enable_features(const struct flag_list *features, struct server_options *opts,
                            int64_t auto_reload_ms)
{
    struct engine_options *engine = &opts->engine;
    for (size_t i = 0; i < features->count; i++) {
        for (const char *word = features->items[i]; *word;) {
            struct view name = {word, strcspn(word, ",")};
            if (view_is(name, "promql-experimental-functions") ||
                view_is(name, "promql-duration-expr") ||
                view_is(name, "promql-extended-range-selectors") ||
                view_is(name, "promql-binop-fill-modifiers")) {
                flags_parser_features(features, &engine->parser);
            } else if (view_is(name, "promql-delayed-name-removal")) {
                engine->delayed_name_removal = true;
            } else if (view_is(name, "concurrent-rule-eval")) {
                opts->concurrent_rules = true;
            } else if (view_is(name, "auto-reload-config")) {
                opts->auto_reload_interval_ms = auto_reload_ms;
            } else if (!view_is(name, "promql-per-step-stats")) { /* that is always on */
                char sentence[WARNING_BYTES];
                snprintf(sentence, sizeof sentence, "feature \"%.*s\" has no effect: %s",
                         VIEW_ARGS(name), LATER);
                keep_warning(sentence);
            }
            word += name.len + (word[name.len] == ',');
        }
    }
}

/* "foo/bar/", "/foo/bar" -> "/foo/bar"; "/" and "" -> "". */
static const char *normal_prefix(struct arena *arena, struct view path)
{
    while (path.len && path.ptr[0] == '/')
        path = view_slice(path, 1, path.len);
    while (path.len && path.ptr[path.len - 1] == '/')
        path.len--;
    return path.len ? arena_printf(arena, "/%.*s", VIEW_ARGS(path)).ptr : "";
}

/* Prometheus' rule: the prefix is the path of the external address unless it is given. */
static bool parse_addresses(const struct server_flags *f, struct arena *arena,
                            struct server_options *opts, struct error *err)
{
    struct view url = view_from(f->external_url ? f->external_url : "");
    struct view path = VIEW("");
    if (url.len) {
        size_t scheme = view_has_prefix(url, VIEW("https://"))  ? 8
                        : view_has_prefix(url, VIEW("http://")) ? 7
                                                                : 0;
        bool fine = scheme != 0 && url.len > scheme && url.ptr[scheme] != '/' &&
                    strpbrk(url.ptr + scheme, "?#@\\\"<> ") == NULL;
        if (!fine)
            return error_set(err, ERROR_USAGE,
                             "flag \"--web.external-url\": \"%s\" is not http://host/path or "
                             "https://host/path",
                             f->external_url);
        const char *slash = strchr(url.ptr + scheme, '/');
        if (slash)
            path = view_from(slash);
        opts->external_url = url.ptr;
    }
    if (f->route_prefix)
        path = view_from(f->route_prefix);
    for (size_t i = 0; i < path.len; i++)
        if ((unsigned char)path.ptr[i] <= 0x20 || strchr("?#%\\\"'<>{}\x7f", path.ptr[i]))
            return error_set(err, ERROR_USAGE,
                             "flag \"--web.route-prefix\": \"%.*s\" is not a plain path",
                             VIEW_ARGS(path));
    opts->prefix = normal_prefix(arena, path);
    return strlen(opts->prefix) < 200 ||
           error_set(err, ERROR_USAGE, "flag \"--web.route-prefix\": it is longer than 200 bytes");
}

static bool run(struct server_flags *f, const struct flag *flags, size_t count, struct error *err)
{
    struct arena arena;
    struct api_flag values[FLAGS_MAX];
    arena_init(&arena, MEM_CONFIG, 0);
    if (f->addresses.count == 0)
        f->addresses.items[f->addresses.count++] = DEFAULT_ADDRESS;
    if (!f->config_file && file_exists("prometheus.yml"))
        f->config_file = "prometheus.yml";
    struct server_options opts = {
        .config_path = f->config_file,
        .config_unknown = f->config_lenient ? CONFIG_UNKNOWN_IS_WARNING : CONFIG_UNKNOWN_IS_ERROR,
        .data_dir = f->data_dir,
        .addresses = f->addresses.items,
        .address_count = f->addresses.count,
        .db = {.block_range_ms = f->block_ms,
               .block_ms_max = f->block_max_ms,
               .retention_ms = f->retention_ms ? f->retention_ms : -1,
               .retention_bytes = f->retention_bytes,
               .wal_segment_bytes = f->segment_bytes,
               .series_max = (size_t)f->series_max,
               .series_per_job_max = (uint64_t)f->series_per_job_max,
               .series_per_metric_max = (uint64_t)f->series_per_metric_max,
               .new_series_per_job_max = (uint64_t)f->new_series_per_job_max,
               .memory_bytes_max = f->memory_limit_bytes},
        .engine = {.lookback_ms = f->lookback_ms,
                   .timeout_ms = f->query_timeout_ms,
                   .samples_max = f->samples_max,
                   .memory_max_bytes = f->memory_max_bytes},
        .query_concurrency_max = (unsigned)f->query_concurrency,
        .alert_resend_delay_ms = f->resend_delay_ms,
        .alert_for_outage_tolerance_ms = f->for_outage_tolerance_ms,
        .alert_for_grace_period_ms = f->for_grace_period_ms,
        .rule_evaluations_max = (unsigned)f->rule_evaluations,
        .routing = f->routing,
        .notification_queue_capacity = (size_t)f->notification_queue,
        .notification_batch_max = (size_t)f->notification_batch,
        .notification_drain = f->notification_drain,
        .subscribers_max = (size_t)f->subscribers_max,
        .connections_max = (unsigned)f->connections_max,
        .read_timeout_ms = f->read_timeout_ms,
        .discovery_pause_ms = f->discovery_pause_ms,
        .cors_origin = f->cors_origin,
        .user_assets = f->user_assets && *f->user_assets ? f->user_assets : NULL,
        .sandbox = strcmp(f->sandbox, "on") == 0,
        .web_config_path = f->web_config_file && *f->web_config_file ? f->web_config_file : NULL,
        .switches = (f->lifecycle ? 1u << API_SWITCH_LIFECYCLE : 0) |
                    (f->admin_api ? 1u << API_SWITCH_ADMIN_API : 0) |
                    (f->remote_write ? 1u << API_SWITCH_REMOTE_WRITE : 0),
        .flags = values,
        .flag_count = flag_values(flags, count, &arena, values),
        .log_level = f->log_level,
        .log_json = strcmp(f->log_format, "json") == 0,
    };
    if (opts.routing.config_path && !*opts.routing.config_path)
        opts.routing.config_path = NULL;
    if (opts.routing.dir && !*opts.routing.dir)
        opts.routing.dir = NULL;
    opts.routing.silences_max = (size_t)f->silences_max;
    opts.routing.silence_bytes_max = (size_t)f->silence_bytes_max;
    opts.routing.alerts_max = (size_t)f->alerts_max;
    enable_features(&f->features, &opts, f->auto_reload_ms);
    if (!parse_addresses(f, &arena, &opts, err)) {
        arena_deinit(&arena);
        return false;
    }
    bool ok = parse_sync(f->wal_sync, &opts.db.wal_sync_interval_ms, err);
    if (!http_role_parse(view_from(f->anonymous_role), &opts.anonymous_role))
        ok = error_set(err, ERROR_USAGE,
                       "flag \"--web.anonymous-role\": \"%s\" is no role, expected none, view, "
                       "silence, edit or admin",
                       f->anonymous_role);
    opts.warnings = warnings;
    opts.warning_count = warning_count;
    ok = ok && server_run(&opts, err);
    arena_deinit(&arena);
    return ok;
}

/* Counts that may not be negative or beyond what their field holds, and words that are one of a few. */
static bool check_values(const struct server_flags *f, struct error *err)
{
    const struct {
        const char *name;
        int64_t value, max;
    } counts[] = {{"query.max-concurrency", f->query_concurrency, 100000},
                  {"rules.max-concurrent-evals", f->rule_evaluations, 100000},
                  {"query.max-samples", f->samples_max, INT64_MAX},
                  {"alertmanager.notification-queue-capacity", f->notification_queue, 10000000},
                  {"web.max-notifications-subscribers", f->subscribers_max, 10000},
                  {"alertmanager.notification-batch-size", f->notification_batch, 100000},
                  {"silences.max-silences", f->silences_max, 10000000},
                  {"silences.max-silence-size-bytes", f->silence_bytes_max, 1 << 20},
                  {"alerts.max", f->alerts_max, 100000000},
                  {"web.max-connections", f->connections_max, 1000000},
                  {"storage.series-max", f->series_max, UINT32_MAX},
                  {"storage.series-per-job-max", f->series_per_job_max, UINT32_MAX},
                  {"storage.series-per-metric-max", f->series_per_metric_max, UINT32_MAX},
                  {"storage.new-series-per-job-max", f->new_series_per_job_max, UINT32_MAX}};
    for (size_t i = 0; i < ARRAY_COUNT(counts); i++)
        if (counts[i].value < 0 || counts[i].value > counts[i].max)
            return error_set(err, ERROR_USAGE,
                             "flag \"--%s\": %lld is out of range, expected 0 to %lld",
                             counts[i].name, (long long)counts[i].value, (long long)counts[i].max);
    if (strcmp(f->log_format, "logfmt") != 0 && strcmp(f->log_format, "json") != 0)
        return error_set(err, ERROR_USAGE,
                         "flag \"--log.format\": \"%s\" is no format, expected logfmt or json",
                         f->log_format);
    if (strcmp(f->sandbox, "on") != 0 && strcmp(f->sandbox, "off") != 0)
        return error_set(err, ERROR_USAGE, "flag \"--sandbox\": \"%s\" is neither on nor off",
                         f->sandbox);
    struct stat st;
    if (f->user_assets && *f->user_assets &&
        (stat(f->user_assets, &st) != 0 || !S_ISDIR(st.st_mode)))
        return error_set(err, ERROR_USAGE, "flag \"--web.user-assets\": \"%s\" is no folder",
                         f->user_assets);
    static const char *const LEVELS[] = {"debug", "info", "warn", "error"};
    for (size_t i = 0; i < ARRAY_COUNT(LEVELS); i++)
        if (strcmp(f->log_level, LEVELS[i]) == 0)
            return true;
    return error_set(
        err, ERROR_USAGE,
        "flag \"--log.level\": \"%s\" is no level, expected debug, info, warn or error",
        f->log_level);
}

enum { SERIES_BYTES = 1024, LIMIT_BY_MEMORY = -1 };

/* Limits that no flag has set follow the memory limit: half of it is for series, of 1 KiB each (measured: 220 to 800
 * bytes, scraped and steady; the rest is for those that came and went since the last cut). */
static void limits_derive(struct server_flags *f)
{
    uint64_t memory =
        f->memory_limit_bytes ? f->memory_limit_bytes : machine_memory_bytes() / 4 * 3;
    int64_t all = (int64_t)(memory / 2 / SERIES_BYTES);
    int64_t total = f->series_max > 0 ? f->series_max : all;
    if (f->series_max == LIMIT_BY_MEMORY)
        f->series_max = all;
    if (f->series_per_job_max == LIMIT_BY_MEMORY)
        f->series_per_job_max = total / 2;
    if (f->series_per_metric_max == LIMIT_BY_MEMORY)
        f->series_per_metric_max = total / 4;
    if (f->new_series_per_job_max == LIMIT_BY_MEMORY)
        f->new_series_per_job_max =
            f->series_per_job_max; /* a job may begin with all it may have */
}

int command_server(int argc, char **argv)
{
    struct error err = {0};
    struct server_flags f = {.data_dir = "data",
                             .cors_origin = "",
                             .anonymous_role = "view",
                             .sandbox = "on",
                             .log_level = "info",
                             .log_format = "logfmt",
                             .wal_sync = "1s",
                             .retention_ms = INT64_C(15) * 24 * 3600 * 1000,
                             .block_ms = 2 * 3600 * 1000,
                             .auto_reload_ms = 30 * 1000,
                             .discovery_pause_ms = 1000,
                             .for_outage_tolerance_ms = 3600 * 1000,
                             .for_grace_period_ms = 10 * 60 * 1000,
                             .resend_delay_ms = 60 * 1000,
                             .rule_evaluations = 4,
                             .notification_queue = 10000,
                             .notification_batch = 256,
                             .subscribers_max = 16,
                             .notification_drain = true,
                             .routing = {.retention_ms = INT64_C(120) * 3600 * 1000,
                                         .maintenance_ms = 15 * 60 * 1000,
                                         .history_retention_ms = INT64_C(90) * 24 * 3600 * 1000,
                                         .gc_interval_ms = 30 * 60 * 1000,
                                         .dispatch_maintenance_ms = 30 * 1000},
                             .alerts_max = 250000,
                             .lookback_ms = 5 * 60 * 1000,
                             .query_timeout_ms = 2 * 60 * 1000,
                             .read_timeout_ms = 5 * 60 * 1000,
                             .segment_bytes = 128 << 20,
                             .query_concurrency = 20,
                             .memory_limit_bytes = machine_memory_bytes() / 4 * 3,
                             .series_max = LIMIT_BY_MEMORY,
                             .series_per_job_max = LIMIT_BY_MEMORY,
                             .series_per_metric_max = LIMIT_BY_MEMORY,
                             .new_series_per_job_max = LIMIT_BY_MEMORY,
                             .samples_max = 50000000,
                             .memory_max_bytes = machine_memory_bytes() / 4 >> 20 << 20,
                             .connections_max = 512};
    struct flag flags[FLAGS_MAX];
    size_t count = server_flag_table(&f, flags, FLAGS_MAX);
    struct flag_words words;
    if (!flags_parse(flags, count, argc, argv, &words, keep_warning, &err))
        return command_fail(&err);
    limits_derive(&f);
    if (f.help) {
        printf("Usage: belfry server [FLAG...]\n\nFlags:\n");
        flags_print_help(stdout, flags, count);
        return EXIT_OK;
    }
    if (f.version)
        return command_version(0, NULL);
    if (words.count) {
        error_set(&err, ERROR_USAGE, "unexpected word \"%s\"", words.items[0]);
        return command_fail(&err);
    }
    if (!check_values(&f, &err) || !run(&f, flags, count, &err))
        return command_fail(&err);
    return EXIT_OK;
}
