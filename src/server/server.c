/* SPDX-License-Identifier: Apache-2.0 */
/* server.c: see server.h. The life of the process, from the top:
 *
 *   users and TLS -> listening sockets -> sandbox (files) -> log -> configuration -> storage (replay) -> API and routes
 *       -> HTTP answers -> scraping, rules -> sandbox (calls) -> ready -> signals ...
 *       -> scraping ends -> HTTP ends -> rules end -> alerts are delivered -> storage closes -> log closes
 *
 * Sockets are opened before the data folder is touched, so that a second server on one port fails without harm; clients
 * that connect during a replay wait in the backlog. */
#include "server/server.h"

#include "access/access.h"
#include "alerting/heartbeat.h"
#include "api/notifications.h"
#include "base/assert.h"
#include "base/duration.h"
#include "base/service_notify.h"
#include "base/thread.h"
#include "ingest/config.h"
#include "ingest/remote_write.h"
#include "ingest/scrape.h"
#include "net/http_server.h"
#include "outbound/notifier.h"
#include "rules/rule_manager.h"
#include "server/alert_fanout.h"
#include "server/alert_routing.h"
#include "server/confine.h"
#include "server/reloader.h"
#include "server/running_config.h"
#include "server/sandbox.h"
#include "server/self_metrics.h"
#include "server/start_pages.h"
#include "server/wellness.h"
#include "storage/exemplars.h"

#include <belfry/log.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    READ_MS_MAX = 60 * 1000, /* a request is sent faster, or cut */
    POOL_QUEUE_MAX = 10000,
    HISTORY_THREADS = 2, /* alerting/alert_state_private.h has connections for them */
    LOG_TEXT_BYTES = 2048,
    ALLOCATOR_ARENAS_MAX = 2
};

struct server {
    const struct server_options *opts;
    belfry_log *log;
    struct running_config config;
    struct reloader reloader;
    uint64_t files_hash; /* main thread: of the configuration's files when they were read last */
    struct pool *pool;
    struct db *db;
    struct scrape_manager *scrape;
    struct rule_manager *rules;
    struct notifier *notifier;
    struct heartbeats *heartbeats;
    struct wellness wellness;               /* the thread of heartbeats */
    struct alert_routing *routing;          /* NULL: not enabled */
    struct alert_fanout alerts;             /* whoever delivers alerts; filled before rules start */
    struct remote_write *remote_write;      /* NULL: not enabled */
    struct pool *write_pool, *history_pool; /* NULL: nobody has anything for them */
    struct http_server *http;
    struct access *access;
    struct sandbox sandbox;
    struct api *api;
    struct notifications *notifications;
    struct self_metrics *metrics;
    char retention[96];
    char own_url[400]; /* of links that alerts carry, where --web.external-url says nothing */
    atomic_bool ready; /* main writes, any thread reads; relaxed: it guards nothing */
};

/* --- what others call us with: any thread --- */

static void on_event(void *arg, bool is_error, const char *event, const char *text)
{
    struct server *s = arg;
    if (is_error)
        belfry_log_error(s->log, event, BELFRY_STR("detail", text));
    else
        belfry_log_info(s->log, event, BELFRY_STR("detail", text));
}

static void on_http_complaint(void *arg, const char *text)
{
    struct server *s = arg;
    belfry_log_debug(s->log, "http", BELFRY_STR("detail", text));
}

static void on_request(void *arg, const struct http_observation *seen)
{
    struct server *s = arg;
    self_metrics_observe_request(s->metrics, seen);
}

static void give_config_text(void *arg, struct buffer *out)
{
    struct server *s = arg;
    struct config *config = running_config_get(&s->config);
    config_print_yaml(config, out);
    config_unref(config);
}

static struct labels give_external_labels(void *arg, struct arena *arena)
{
    struct server *s = arg;
    struct config *config = running_config_get(&s->config);
    struct labels ls = labels_copy(arena, config->global.external_labels);
    config_unref(config);
    return ls;
}

static bool relabel_alert(void *arg, struct labels in, struct arena *arena, struct labels *out)
{
    struct server *s = arg;
    const struct alert_notice notice = {.labels = in};
    struct config *config = running_config_get(&s->config);
    struct labels labels;
    bool kept = alert_notice_labels(&notice, config, arena, &labels);
    if (kept)
        *out = labels_copy(arena, labels); /* what the configuration says ends with the reference */
    config_unref(config);
    return kept;
}

static bool give_config_state(void *arg, wall_time *loaded)
{
    struct server *s = arg;
    return running_config_state(&s->config, loaded);
}

static bool give_ready(void *arg)
{
    struct server *s = arg;
    return atomic_load_explicit(&s->ready, memory_order_relaxed);
}

static void give_metrics(void *arg, const belfry_exposition *how, struct buffer *out)
{
    struct server *s = arg;
    self_metrics_write(s->metrics, how, out);
}

static void give_host_metrics(void *arg, const belfry_exposition *how, struct buffer *out)
{
    struct server *s = arg;
    self_metrics_write_host(s->metrics, how, out);
}

/* POST /-/reload: waits for it. */
static bool take_reload(void *arg, struct error *err)
{
    struct server *s = arg;
    return reloader_ask(&s->reloader, err);
}

/* POST /-/quit: as if the signal had come. */
static void take_quit(void *arg)
{
    (void)arg;
    int code = kill(getpid(), SIGTERM);
    ASSERT(code == 0);
}

/* --- configuration --- */

static void log_config_warnings(struct server *s, const struct config *config)
{
    for (size_t i = 0; i < config->warnings.count; i++)
        belfry_log_warn(
            s->log, "config_warning",
            BELFRY_STRN("detail", config->warnings.items[i].ptr, config->warnings.items[i].len));
}

/* What the file says goes before the flags; after a reload that no longer says it, the flags are in force again. */
static void apply_retention(struct server *s, const struct config *config)
{
    const struct config_storage *storage = config->storage;
    int64_t time_ms = s->opts->db.retention_ms;
    uint64_t bytes = s->opts->db.retention_bytes;
    if (storage->retention_time_ms > 0)
        time_ms = storage->retention_time_ms;
    if (storage->retention_size_bytes > 0)
        bytes = (uint64_t)storage->retention_size_bytes;
    db_set_retention(s->db, time_ms, bytes);
    db_set_retention_percentage(s->db, storage->retention_percentage);
}

/* As in Prometheus, but that without a word of the file late samples are taken for a day. */
static void apply_out_of_order_window(struct server *s, const struct config *config)
{
    const struct config_storage *storage = config->storage;
    int64_t window_ms = s->opts->db.out_of_order_window_ms;
    if (storage->has_out_of_order_time_window)
        window_ms =
            storage->out_of_order_time_window_ms > 0 ? storage->out_of_order_time_window_ms : -1;
    db_set_out_of_order_window(s->db, window_ms);
}

static void apply_storage(struct server *s, const struct config *config)
{
    apply_retention(s, config);
    apply_out_of_order_window(s, config);
    exemplars_set_max(db_exemplars(s->db), config->storage->exemplars_max);
}

static bool apply_queries(struct server *s, const struct config *config, struct error *err)
{
    const struct api_config queries = {.query_log_file = config->global.query_log_file,
                                       .evaluation_interval_ms =
                                           config->global.evaluation_interval_ms};
    return api_apply_config(s->api, &queries, err);
}

/* What a reload puts in force, all of it or nothing. */
struct new_config {
    struct config *config;
    struct rule_set *rules;
    struct integrations *receivers; /* NULL: alerts are not routed here */
};

/* Rule files, and the receivers of alerts; then what may fail of applying them. */
static bool read_parts(struct server *s, struct new_config *n, struct error *err)
{
    if (!rule_set_load(&n->rules, s->rules, n->config, err))
        return false;
    if (!s->routing || alert_routing_load(s->routing, &n->receivers, err)) {
        if (apply_queries(s, n->config, err))
            return true;
        integrations_unref(n->receivers);
    }
    rule_set_free(n->rules);
    return false;
}

static bool read_new_config(struct server *s, struct new_config *n, struct error *err)
{
    *n = (struct new_config){NULL, NULL, NULL};
    if (!running_config_read(&s->config, &n->config, err))
        return false;
    if (read_parts(s, n, err))
        return true;
    config_unref(n->config);
    return false;
}

/* The notifier always takes them, and drops them where it has no Alertmanager. */
static bool are_delivered(const struct server *s, const struct config *config)
{
    return config->alertmanagers.count > 0 || s->alerts.count > 1;
}

/* Where nobody takes alerts, that must not be found out in the night. */
static void apply_rules(struct server *s, const struct new_config *n)
{
    struct config *config = n->config;
    struct rule_set *rules = n->rules;
    size_t groups = rule_set_group_count(rules), count = rule_set_rule_count(rules),
           alerts = rule_set_alert_count(rules);
    if (n->receivers)
        alert_routing_apply(s->routing, n->receivers);
    notifier_apply(s->notifier, config);
    rule_manager_apply(s->rules, config, rules);
    heartbeats_apply(s->heartbeats, config);
    if (groups)
        belfry_log_info(s->log, "rules_loaded", BELFRY_UINT("groups", groups),
                        BELFRY_UINT("rules", count));
    if (alerts && !are_delivered(s, config))
        belfry_log_warn(s->log, "alerts_not_delivered", BELFRY_UINT("alerting_rules", alerts),
                        BELFRY_STR("detail", "alerts are evaluated and shown, but sent to nobody: "
                                             "there is no --alertmanager.config.file, and "
                                             "the configuration names no Alertmanager"));
}

/* Before the files are read: what changes while they are is seen the next time. 0 where there are none. */
static uint64_t files_hash(const struct server *s)
{
    const char *routing = s->opts->routing.config_path;
    uint64_t hash = s->opts->config_path ? config_files_hash(s->opts->config_path) : 0;
    return hash * 31 + (routing ? alert_routing_file_hash(routing) : 0);
}

static void reload_now(struct server *s, struct error *failure)
{
    struct error err = {0};
    struct new_config new_config;
    s->files_hash = files_hash(s);
    if (!read_new_config(s, &new_config, &err)) {
        *failure = err;
        running_config_failed(&s->config);
        belfry_log_error(s->log, "config_error", BELFRY_STR("detail", err.message),
                         BELFRY_STR("hint", err.hint[0] ? err.hint : NULL),
                         BELFRY_STR("consequence", "the running configuration stays"));
        return;
    }
    struct config *config = new_config.config;
    log_config_warnings(s, config);
    apply_storage(s, config);
    scrape_manager_apply(s->scrape, config);
    apply_rules(s, &new_config);
    belfry_log_info(s->log, "config_loaded",
                    BELFRY_STR("file", s->config.path ? s->config.path : "built in"),
                    BELFRY_UINT("scrape_jobs", config->scrape_configs.count));
    running_config_set(&s->config, config);
}

static void reload(struct server *s)
{
    struct error failure = {0};
    reloader_begin(&s->reloader);
    reload_now(s, &failure);
    if (failure.kind == ERROR_NONE)
        notifications_delete(s->notifications, NOTIFICATION_RELOAD_FAILED);
    else
        notifications_add(s->notifications, NOTIFICATION_RELOAD_FAILED);
    reloader_end(&s->reloader, failure.kind == ERROR_NONE ? NULL : &failure);
}

/* --- start --- */

static bool open_log(struct server *s, struct error *err)
{
    belfry_log_options options = {
        .fd = STDERR_FILENO, .format = s->opts->log_json ? BELFRY_LOG_JSON : BELFRY_LOG_LOGFMT};
    if (!belfry_log_level_parse(s->opts->log_level, &options.level))
        return error_set(err, ERROR_USAGE, "log level \"%s\" is not known", s->opts->log_level);
    s->log = belfry_log_open(&options);
    if (!s->log)
        return error_set(err, ERROR_IO, "could not start the log's thread");
    belfry_log_info(s->log, "starting", BELFRY_STR("version", BELFRY_VERSION),
                    BELFRY_INT("pid", getpid()));
    for (size_t i = 0; i < s->opts->warning_count; i++)
        belfry_log_warn(s->log, "flag_warning", BELFRY_STR("detail", s->opts->warnings[i]));
    return true;
}

static bool open_access(struct server *s, struct error *err)
{
    struct access_options options = {.web_config_path = s->opts->web_config_path,
                                     .data_dir = s->opts->data_dir,
                                     .prefix = s->opts->prefix,
                                     .log = on_event,
                                     .log_arg = s};
    return access_open(&s->access, &options, err);
}

static bool open_http(struct server *s, struct error *err)
{
    struct http_server_options options = {
        .addresses = s->opts->addresses,
        .address_count = s->opts->address_count,
        .connections_max = s->opts->connections_max,
        .idle_timeout_ms = s->opts->read_timeout_ms,
        .read_timeout_ms =
            s->opts->read_timeout_ms < READ_MS_MAX ? s->opts->read_timeout_ms : READ_MS_MAX,
        .cors_origin = s->opts->cors_origin,
        .anonymous_role = s->opts->anonymous_role,
        .forbidden_hint = "add a user with \"belfry user add NAME\"",
        .external_url = s->opts->external_url,
        .prefix = s->opts->prefix,
        .access = access_check,
        .tls = access_tls,
        .decorate = access_decorate,
        .access_arg = s->access,
        .error_body = api_error_body,
        .observe = on_request,
        .observe_arg = s,
        .log = on_http_complaint,
        .log_arg = s};
    return http_server_open(&s->http, &options, err);
}

static bool load_config(struct server *s, struct error *err)
{
    struct config *config;
    s->files_hash = files_hash(s);
    running_config_init(&s->config, s->opts->config_path, s->opts->config_unknown,
                        http_server_address(s->http, 0), s->opts->prefix);
    if (!running_config_read(&s->config, &config, err))
        return false;
    log_config_warnings(s, config);
    running_config_set(&s->config, config);
    return true;
}

static bool open_storage(struct server *s, struct error *err)
{
    struct db_options options = s->opts->db;
    mono_time began = clock_mono();
    options.log = on_event;
    options.log_arg = s;
    struct config *config = running_config_get(&s->config);
    int64_t exemplars = config->storage->exemplars_max;
    options.exemplars_max = exemplars > 0 ? exemplars : -1;
    bool ok = db_open(&s->db, s->opts->data_dir, &options, s->pool, err);
    if (ok)
        apply_storage(s, config);
    config_unref(config);
    if (!ok)
        return strstr(err->message, s->opts->data_dir)
                   ? false
                   : error_wrap(err, "data folder \"%s\"", s->opts->data_dir);
    struct db_stats stats;
    db_stats_get(s->db, &stats);
    belfry_log_info(s->log, "storage_open", BELFRY_STR("folder", s->opts->data_dir),
                    BELFRY_UINT("series", stats.head_series), BELFRY_UINT("blocks", stats.blocks),
                    BELFRY_INT("ms", mono_ms_since(began)));
    return true;
}

/* "15d", "15d or 10GiB", as runtimeinfo shows it. */
static void describe_retention(struct server *s)
{
    char time[DURATION_TEXT_BYTES] = "";
    uint64_t bytes = s->opts->db.retention_bytes;
    if (s->opts->db.retention_ms > 0)
        duration_format(s->opts->db.retention_ms, time);
    if (bytes)
        snprintf(s->retention, sizeof s->retention, "%s%s%lluMiB", time, *time ? " or " : "",
                 (unsigned long long)(bytes >> 20));
    else
        snprintf(s->retention, sizeof s->retention, "%s", time);
}

static bool start_http(struct server *s, wall_time started, struct error *err)
{
    struct engine_options engine = s->opts->engine;
    engine.pool = s->pool;
    describe_retention(s);
    struct api_options options = {.source = db_as_source(s->db),
                                  .engine = engine,
                                  .query_concurrency_max = s->opts->query_concurrency_max,
                                  .db = s->db,
                                  .scrape = s->scrape,
                                  .rules = s->rules,
                                  .notifications = s->notifications,
                                  .notifier = s->notifier,
                                  .heartbeats = s->heartbeats,
                                  .router = s->routing ? alert_routing_router(s->routing) : NULL,
                                  .alert_state =
                                      s->routing ? alert_routing_memory(s->routing) : NULL,
                                  .access = s->access,
                                  .prefix = s->opts->prefix,
                                  .external_url = s->opts->external_url,
                                  .user_assets = s->opts->user_assets,
                                  .remote_write = s->remote_write,
                                  .write_pool = s->write_pool,
                                  .history_pool = s->history_pool,
                                  .config_text = give_config_text,
                                  .external_labels = give_external_labels,
                                  .relabel_alert = relabel_alert,
                                  .config_state = give_config_state,
                                  .is_ready = give_ready,
                                  .metrics = give_metrics,
                                  .host_metrics = give_host_metrics,
                                  .reload = take_reload,
                                  .quit = take_quit,
                                  .switches = s->opts->switches,
                                  .arg = s,
                                  .flags = s->opts->flags,
                                  .flag_count = s->opts->flag_count,
                                  .started = started,
                                  .storage_retention = s->retention};
    s->api = api_new(&options);
    struct self_metrics_sources sources = {.db = s->db,
                                           .scrape = s->scrape,
                                           .rules = s->rules,
                                           .notifications = s->notifications,
                                           .notifier = s->notifier,
                                           .heartbeats = s->heartbeats,
                                           .routing = s->routing,
                                           .remote_write = s->remote_write,
                                           .api = s->api,
                                           .http = s->http,
                                           .config = &s->config,
                                           .log = s->log,
                                           .query_concurrency_max = s->opts->query_concurrency_max};
    self_metrics_attach(s->metrics, &sources);
    api_add_routes(s->api, s->http);
    return http_server_start(s->http, err);
}

/* Everybody who reaches an address that is not loopback may do something: that should be meant. */
static void warn_of_strangers(struct server *s)
{
    if (s->opts->anonymous_role == HTTP_ROLE_PUBLIC || access_has_users(s->access))
        return;
    for (size_t i = 0; i < http_server_listener_count(s->http); i++) {
        const char *address = http_server_address(s->http, i);
        if (http_address_is_loopback(address))
            continue;
        char detail[256];
        snprintf(detail, sizeof detail,
                 "%s can be reached from other machines, and everybody there has the role %s as "
                 "long as there are no users",
                 address, http_role_name(s->opts->anonymous_role));
        belfry_log_warn(s->log, "no_users", BELFRY_STR("detail", detail),
                        BELFRY_STR("hint", "add a user with \"belfry user add NAME\", or set "
                                           "--web.anonymous-role=none"));
    }
}

/* Writes wait for the WAL, queries compute: threads of their own. Two at least, so that one decodes meanwhile. */
static bool open_remote_write(struct server *s, struct error *err)
{
    if (!(s->opts->switches & 1u << API_SWITCH_REMOTE_WRITE))
        return true;
    unsigned threads = thread_cpu_count() < 2 ? 2 : thread_cpu_count();
    if (!pool_start(&s->write_pool, threads, POOL_QUEUE_MAX, err))
        return false;
    s->remote_write = remote_write_new(s->db);
    return true;
}

static void on_notified(void *arg, const char *url, double seconds)
{
    struct server *s = arg;
    self_metrics_observe_notification(s->metrics, url, seconds);
}

static void on_alertmanager_left(void *arg, const char *url)
{
    struct server *s = arg;
    self_metrics_forget_alertmanager(s->metrics, url);
}

/* Under which links in alerts find this server. */
static const char *link_url(struct server *s)
{
    struct http_tls *tls = access_tls(s->access);
    snprintf(s->own_url, sizeof s->own_url, "%s://%s%s", tls ? "https" : "http",
             s->config.built_in_target, s->opts->prefix);
    http_tls_unref(tls);
    return s->opts->external_url ? s->opts->external_url : s->own_url;
}

/* The Alertmanager inside. */
static bool start_routing(struct server *s, struct error *err)
{
    const struct alert_routing_flags *flags = &s->opts->routing;
    struct alert_routing_options options = {.flags = flags,
                                            .dir = flags->dir ? flags->dir : s->opts->data_dir,
                                            .external_url = link_url(s),
                                            .config = &s->config,
                                            .log = on_event,
                                            .log_arg = s};
    if (!flags->config_path)
        return true;
    if (!alert_routing_start(&s->routing, &options, err) ||
        !pool_start(&s->history_pool, HISTORY_THREADS, POOL_QUEUE_MAX, err))
        return false;
    alert_fanout_add(&s->alerts, alert_routing_sink(s->routing));
    return true;
}

/* Whoever delivers alerts. */
static bool start_delivery(struct server *s, struct error *err)
{
    struct notifier_options options = {.queue_capacity = s->opts->notification_queue_capacity,
                                       .batch_max = s->opts->notification_batch_max,
                                       .drain = s->opts->notification_drain,
                                       .external_url = link_url(s),
                                       .discovery_pause_ms = s->opts->discovery_pause_ms,
                                       .observe = on_notified,
                                       .forget = on_alertmanager_left,
                                       .observe_arg = s,
                                       .log = on_event,
                                       .log_arg = s};
    if (!notifier_start(&s->notifier, &options, err))
        return false;
    alert_fanout_add(&s->alerts, notifier_sink(s->notifier));
    return start_routing(s, err);
}

static bool all_is_well(void *arg, struct error *why)
{
    struct server *s = arg;
    return wellness_check(&s->wellness, clock_wall().ms, why);
}

/* After all that it looks at. */
static bool start_heartbeats(struct server *s, struct error *err)
{
    const struct heartbeats_options options = {.is_well = all_is_well,
                                               .is_well_arg = s,
                                               .sink = alert_fanout_sink(&s->alerts),
                                               .resend_delay_ms = s->opts->alert_resend_delay_ms,
                                               .state_dir = s->opts->data_dir,
                                               .log = on_event,
                                               .log_arg = s};
    s->wellness = (struct wellness){.rules = s->rules,
                                    .notifier = s->notifier,
                                    .router = s->routing ? alert_routing_router(s->routing) : NULL,
                                    .sender = s->routing ? alert_routing_sender(s->routing) : NULL};
    return heartbeats_start(&s->heartbeats, &options, err);
}

static bool start_rules(struct server *s, struct error *err)
{
    struct rule_manager_options options = {
        .db = s->db,
        .engine = s->opts->engine,
        .external_url = link_url(s),
        .state_dir = s->opts->data_dir,
        .resend_delay_ms = s->opts->alert_resend_delay_ms,
        .for_outage_tolerance_ms = s->opts->alert_for_outage_tolerance_ms,
        .for_grace_period_ms = s->opts->alert_for_grace_period_ms,
        .concurrent_rules = s->opts->concurrent_rules,
        .concurrent_max = s->opts->rule_evaluations_max,
        .sink = alert_fanout_sink(&s->alerts),
        .log = on_event,
        .log_arg = s};
    options.engine.pool = s->pool;
    return rule_manager_start(&s->rules, &options, err);
}

/* What the configuration says is in force from here on. */
static bool apply_first_config(struct server *s, struct error *err)
{
    struct new_config first = {running_config_get(&s->config), NULL, NULL};
    bool ok = read_parts(s, &first, err);
    if (ok) {
        scrape_manager_apply(s->scrape, first.config);
        apply_rules(s, &first);
    }
    config_unref(first.config);
    return ok;
}

static bool start(struct server *s, struct error *err)
{
    wall_time started = clock_wall();
    struct scrape_options scrape = {
        .discovery_pause_ms = s->opts->discovery_pause_ms, .log = on_event, .log_arg = s};
    if (!pool_start(&s->pool, 0, POOL_QUEUE_MAX, err))
        return false;
    http_server_set_pool(s->http, s->pool);
    s->notifications = notifications_new(s->opts->subscribers_max);
    notifications_add(s->notifications, NOTIFICATION_STARTING);
    if (!self_metrics_new(&s->metrics, err) || !load_config(s, err) || !open_storage(s, err) ||
        !scrape_manager_start(&s->scrape, s->db, &scrape, err) || !start_delivery(s, err) ||
        !start_rules(s, err) || !start_heartbeats(s, err) || !open_remote_write(s, err) ||
        !start_http(s, started, err) || !apply_first_config(s, err))
        return false;
    if (s->opts->sandbox)
        confine_calls(&s->sandbox, s->log);
    start_pages_drop();
    notifications_delete(s->notifications, NOTIFICATION_STARTING);
    atomic_store_explicit(&s->ready, true, memory_order_relaxed);
    for (size_t i = 0; i < http_server_listener_count(s->http); i++)
        belfry_log_info(s->log, "listening",
                        BELFRY_STR("address", http_server_address(s->http, i)));
    warn_of_strangers(s);
    char page[128];
    struct http_tls *tls = access_tls(s->access);
    snprintf(page, sizeof page, "%s://%s%s", tls ? "https" : "http", s->config.built_in_target,
             s->opts->prefix);
    http_tls_unref(tls);
    belfry_log_info(s->log, "ready", BELFRY_STR("page", page));
    return true;
}

/* --- end --- */

/* In reverse; what was never started is NULL. */
static bool stop(struct server *s, struct error *err)
{
    atomic_store_explicit(&s->ready, false, memory_order_relaxed);
    if (s->notifications)
        notifications_add(s->notifications, NOTIFICATION_STOPPING);
    reloader_stop(&s->reloader);
    scrape_manager_stop(s->scrape);
    http_server_stop(s->http);
    if (s->metrics)
        self_metrics_detach(s->metrics);
    http_server_close(s->http);
    api_free(s->api);
    heartbeats_stop(s->heartbeats); /* while what it looks at and tells is there */
    wellness_deinit(&s->wellness);
    notifications_free(s->notifications);
    rule_manager_stop(s->rules);
    notifier_stop(s->notifier); /* after the last alert, like the next */
    pool_stop(s->history_pool);
    alert_routing_stop(s->routing);
    access_close(s->access);
    pool_stop(s->write_pool);
    remote_write_free(s->remote_write);
    bool ok = !s->db || db_close(s->db, err);
    self_metrics_free(s->metrics);
    pool_stop(s->pool);
    return ok;
}

/* The files have been looked at: have they changed, and are they whole? A file that is being written differs from
 * itself a moment later; then the next look decides. */
static void reload_if_changed(struct server *s)
{
    static const struct timespec MOMENT = {.tv_nsec = 100 * 1000 * 1000};
    sigset_t none;
    uint64_t hash = files_hash(s);
    if (hash == s->files_hash)
        return;
    sigemptyset(&none);
    (void)sigtimedwait(&none, NULL, &MOMENT); /* only to wait */
    if (files_hash(s) == hash)
        reload(s);
}

static void wait_for_end(struct server *s, const sigset_t *signals)
{
    int64_t interval_ms = s->opts->auto_reload_interval_ms;
    struct timespec interval = {.tv_sec = interval_ms / 1000,
                                .tv_nsec = interval_ms % 1000 * 1000000};
    for (;;) {
        int number =
            interval_ms > 0 ? sigtimedwait(signals, NULL, &interval) : sigwaitinfo(signals, NULL);
        if (number == SIGHUP) {
            service_notify(SERVICE_RELOADING);
            reload(s);
            service_notify(SERVICE_READY);
        } else if (number > 0) {
            service_notify(SERVICE_STOPPING);
            belfry_log_info(s->log, "stopping", BELFRY_STR("signal", strsignal(number)));
            return;
        } else if (interval_ms > 0 && errno == EAGAIN) {
            reload_if_changed(s);
        }
    }
}

/* A log that machines read holds the end, too; the message is then said. */
static void tell_failure(struct server *s, struct error *err)
{
    belfry_log_error(s->log, "failed", BELFRY_STR("detail", err->message),
                     BELFRY_STR("hint", err->hint[0] ? err->hint : NULL));
    err->message[0] = '\0';
}

/* Each target and each client is a descriptor; the usual soft limit of 1024 is for programs that use
 * select(). */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* up to the hard limit it cannot be refused */
}

/* To what the administrator allows; the default of a shell, 1024, is small for many targets and clients. Where it
 * cannot be raised it stays as it is, and the HTTP server fits itself into it. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

bool server_run(const struct server_options *opts, struct error *err)
{
    sigset_t signals;
    struct server s = {.opts = opts};
    raise_file_limit();
    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN); /* a client that goes away is an error of one write */
    signal(SIGXFSZ, SIG_IGN); /* a file size limit too: it is told as a full disk is */
    /* By default glibc gives each thread an arena of its own, up to eight per core, and each keeps what it once
     * needed. Where mallopt fails it stays so: more memory, nothing wrong. */
    (void)mallopt(M_ARENA_MAX, ALLOCATOR_ARENAS_MAX);
    raise_descriptors();
    struct error log_err = {0};
    reloader_init(&s.reloader);
    bool ok = open_access(&s, err) && open_http(&s, err);
    if (ok && opts->sandbox)
        confine_files(&s.sandbox, opts->data_dir, opts->routing.dir, opts->config_path,
                      opts->config_unknown); /* before the first thread, which is the log's */
    if (!open_log(&s, ok ? err : &log_err)) {
        http_server_close(s.http);
        access_close(s.access);
        reloader_deinit(&s.reloader);
        return false;
    }
    ok = ok && start(&s, err);
    if (ok) {
        service_notify(SERVICE_READY);
        wait_for_end(&s, &signals);
    }
    struct error stop_err = {0};
    if (!stop(&s, &stop_err) && ok) {
        *err = stop_err;
        ok = false;
    }
    if (ok)
        belfry_log_info(s.log, "stopped",
                        BELFRY_UINT("log_lines_dropped", belfry_log_dropped(s.log)));
    else if (opts->log_json)
        tell_failure(&s, err);
    if (s.config.config || s.http)
        running_config_deinit(&s.config);
    reloader_deinit(&s.reloader);
    belfry_log_close(s.log);
    return ok;
}
