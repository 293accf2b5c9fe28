/* SPDX-License-Identifier: Apache-2.0 */
/* alert_metrics.c: see alert_metrics.h. Names, labels and help texts are Alertmanager's 0.34, with its label receiver_name. */
#include "server/alert_metrics.h"

#include "alerting/silence.h"
#include "base/arena.h"
#include "base/attributes.h"
#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>

static void emit(belfry_emitter *e, const char *name, const char *help, belfry_metric_type type,
                 const belfry_label *label, double value)
{
    belfry_emit_family(e, name, help, type);
    belfry_emit_sample(e, NULL, label, label ? 1 : 0, value);
}

static void collect_router(const struct alert_router_stats *s, belfry_emitter *e)
{
    static const char *const STATES[] = {"unprocessed", "active", "suppressed"};
    static const char *const NAMES[] = {"alertmanager_alerts", "alertmanager_marked_alerts"};
    static const char *const HELP[] = {
        "How many alerts by state.",
        "How many alerts by state are currently marked in the Alertmanager regardless of their "
        "expiry."};
    for (size_t k = 0; k < ARRAY_COUNT(NAMES); k++) {
        belfry_emit_family(e, NAMES[k], HELP[k], BELFRY_GAUGE);
        for (size_t i = 0; i < ARRAY_COUNT(STATES); i++) {
            const belfry_label label = {"state", STATES[i]};
            belfry_emit_sample(e, NULL, &label, 1, (double)s->alerts[i]);
        }
    }
    const belfry_label version = {"version", "v2"};
    const belfry_label firing[] = {{"status", "firing"}, version},
                       resolved[] = {{"status", "resolved"}, version};
    belfry_emit_family(e, "alertmanager_alerts_received_total",
                       "The total number of received alerts.", BELFRY_COUNTER);
    belfry_emit_sample(e, NULL, firing, 2, (double)s->received_firing);
    belfry_emit_sample(e, NULL, resolved, 2, (double)s->received_resolved);
    emit(e, "alertmanager_alerts_invalid_total",
         "The total number of received alerts that were invalid.", BELFRY_COUNTER, &version,
         (double)s->invalid);
    emit(e, "belfry_alerts_refused_total", "Alerts refused because there were --alerts.max.",
         BELFRY_COUNTER, NULL, (double)s->refused);
    emit(e, "belfry_alert_ends_waiting",
         "Alerts that ended, and of which a receiver's integration was not told yet.", BELFRY_GAUGE,
         NULL, (double)s->ends_waiting);
    emit(e, "belfry_alert_ends_dropped_total",
         "Alerts that ended and of which an integration was never told: it failed for too long.",
         BELFRY_COUNTER, NULL, (double)s->ends_dropped);
    emit(e, "alertmanager_dispatcher_aggregation_groups", "Number of active aggregation groups.",
         BELFRY_GAUGE, NULL, (double)s->groups);
    belfry_emit_family(e, "alertmanager_dispatcher_alert_processing_duration_seconds",
                       "Summary of latencies for the processing of alerts.", BELFRY_SUMMARY);
    belfry_emit_sample(e, "_sum", NULL, 0, s->processing_seconds);
    belfry_emit_sample(e, "_count", NULL, 0, (double)s->processed);
    const struct {
        const char *reason;
        uint64_t count;
    } suppressed[] = {{"silence", s->suppressed_silence},
                      {"inhibition", s->suppressed_inhibition},
                      {"mute_time_interval", s->suppressed_mute_interval},
                      {"active_time_interval", s->suppressed_active_interval}};
    belfry_emit_family(e, "alertmanager_notifications_suppressed_total",
                       "The total number of notifications suppressed for being silenced, "
                       "inhibited, outside of active time intervals or within muted time "
                       "intervals.",
                       BELFRY_COUNTER);
    for (size_t i = 0; i < ARRAY_COUNT(suppressed); i++) {
        const belfry_label label = {"reason", suppressed[i].reason};
        belfry_emit_sample(e, NULL, &label, 1, (double)suppressed[i].count);
    }
}

/* --- the sender --- */

struct named_stat {
    const char *name, *help;
    size_t offset; /* of a uint64_t in struct sender_stat */
};

static void set_labels(struct arena *arena, const struct sender_stat *s, belfry_label out[2])
{
    out[0] = (belfry_label){"integration", s->integration};
    out[1] = (belfry_label){"receiver_name", arena_copy(arena, s->receiver).ptr};
}

static void collect_latency(struct arena *arena, const struct sender_stats *stats,
                            belfry_emitter *e)
{
    belfry_emit_family(e, "alertmanager_notification_latency_seconds",
                       "The latency of notifications in seconds.", BELFRY_HISTOGRAM);
    for (size_t i = 0; i < stats->count; i++) {
        const struct sender_stat *s = &stats->items[i];
        belfry_label labels[3];
        uint64_t below = 0;
        set_labels(arena, s, labels);
        for (size_t k = 0; k < SENDER_LATENCY_BUCKETS; k++) {
            char le[16] = "+Inf";
            if (k < SENDER_LATENCY_BUCKETS - 1)
                snprintf(le, sizeof le, "%g", SENDER_LATENCY_BOUNDS[k]);
            labels[2] = (belfry_label){"le", le};
            below += s->latency_buckets[k];
            belfry_emit_sample(e, "_bucket", labels, 3, (double)below);
        }
        belfry_emit_sample(e, "_sum", labels, 2, s->latency_sum_seconds);
        belfry_emit_sample(e, "_count", labels, 2, (double)below);
    }
}

static void collect_sender(struct sender *sender, belfry_emitter *e)
{
    static const struct named_stat COUNTERS[] = {
        {"alertmanager_notifications_total", "The total number of attempted notifications.",
         offsetof(struct sender_stat, notifications)},
        {"alertmanager_notification_requests_total",
         "The total number of attempted notification requests.",
         offsetof(struct sender_stat, requests)},
        {"alertmanager_notification_requests_failed_total",
         "The total number of failed notification requests.",
         offsetof(struct sender_stat, requests_failed)},
    };
    struct arena arena;
    struct sender_stats stats;
    belfry_label labels[3];
    arena_init(&arena, MEM_INSTRUMENT, 0);
    sender_read_stats(sender, &arena, &stats);
    for (size_t k = 0; k < ARRAY_COUNT(COUNTERS); k++) {
        belfry_emit_family(e, COUNTERS[k].name, COUNTERS[k].help, BELFRY_COUNTER);
        for (size_t i = 0; i < stats.count; i++) {
            const char *at = (const char *)&stats.items[i] + COUNTERS[k].offset;
            set_labels(&arena, &stats.items[i], labels);
            belfry_emit_sample(e, NULL, labels, 2, (double)*(const uint64_t *)(const void *)at);
        }
    }
    belfry_emit_family(e, "alertmanager_notifications_failed_total",
                       "The total number of failed notifications.", BELFRY_COUNTER);
    for (size_t i = 0; i < stats.count; i++) {
        set_labels(&arena, &stats.items[i], labels);
        for (int k = 0; k < SENDER_REASON_COUNT; k++) {
            labels[2] = (belfry_label){"reason", sender_reason_name((enum sender_reason)k)};
            belfry_emit_sample(e, NULL, labels, 3, (double)stats.items[i].failed[k]);
        }
    }
    collect_latency(&arena, &stats, e);
    emit(e, "belfry_notifications_queued", "Notifications that wait or are on their way.",
         BELFRY_GAUGE, NULL, (double)stats.queued);
    arena_deinit(&arena);
}

/* --- the memory and the configuration --- */

static void collect_memory(struct alert_state *memory, belfry_emitter *e)
{
    struct alert_state_stats s;
    struct silence_counts silences;
    alert_state_stats(memory, &s);
    silence_count(memory, clock_wall().ms * 1000000, &silences);
    belfry_emit_family(e, "alertmanager_silences", "How many silences by state.", BELFRY_GAUGE);
    const struct {
        enum silence_state state;
        size_t count;
    } by_state[] = {{SILENCE_PENDING, silences.pending},
                    {SILENCE_ACTIVE, silences.active},
                    {SILENCE_EXPIRED, silences.expired}};
    for (size_t i = 0; i < ARRAY_COUNT(by_state); i++) {
        const belfry_label label = {"state", silence_state_name(by_state[i].state)};
        belfry_emit_sample(e, NULL, &label, 1, (double)by_state[i].count);
    }
    emit(e, "alertmanager_nflog_queries_total", "Number of notification log queries were received.",
         BELFRY_COUNTER, NULL, (double)s.notification_log_queries);
    emit(e, "alertmanager_nflog_maintenance_total",
         "How many maintenances were executed for the notification log.", BELFRY_COUNTER, NULL,
         (double)s.maintenance_runs);
    emit(e, "alertmanager_nflog_maintenance_errors_total",
         "How many maintenances were executed for the notification log that failed.",
         BELFRY_COUNTER, NULL, (double)s.maintenance_failures);
    emit(e, "belfry_alert_state_entries", "Groups and integrations in the log of what was sent.",
         BELFRY_GAUGE, NULL, (double)s.notification_log_entries);
    emit(e, "belfry_alert_state_faulty",
         "1 while what changes about alerts cannot be written to alerts.db.", BELFRY_GAUGE, NULL,
         s.is_faulty);
    emit(e, "belfry_alert_state_write_failures_total", "Transactions that were not committed.",
         BELFRY_COUNTER, NULL, (double)s.write_failures);
    emit(e, "belfry_alert_state_pending_writes",
         "What was sent, and history, that is not written yet.", BELFRY_GAUGE, NULL,
         (double)(s.pending_writes + s.history_pending));
    emit(e, "belfry_alert_history_dropped_total",
         "Events of the history that were lost because the database failed for too long.",
         BELFRY_COUNTER, NULL, (double)s.history_dropped);
}

static size_t count_integrations(struct integrations *set, const struct alert_config *c)
{
    size_t count = 0;
    for (size_t i = 0; i < c->receivers.count; i++)
        count += integrations_of(set, c->receivers.items[i].name).count;
    return count;
}

static void collect_config(struct alert_routing *r, belfry_emitter *e)
{
    wall_time loaded;
    double hash;
    bool ok = alert_routing_state(r, &loaded, &hash);
    emit(e, "alertmanager_config_last_reload_successful",
         "Whether the last configuration reload attempt was successful.", BELFRY_GAUGE, NULL, ok);
    emit(e, "alertmanager_config_last_reload_success_timestamp_seconds",
         "Timestamp of the last successful configuration reload.", BELFRY_GAUGE, NULL,
         (double)loaded.ms / 1000);
    emit(e, "alertmanager_config_hash", "Hash of the currently loaded alertmanager configuration.",
         BELFRY_GAUGE, NULL, hash);
    struct integrations *set = alert_router_integrations(alert_routing_router(r));
    if (!set)
        return;
    const struct alert_config *c = integrations_config(set);
    emit(e, "alertmanager_receivers", "Number of configured receivers.", BELFRY_GAUGE, NULL,
         (double)c->receivers.count);
    emit(e, "alertmanager_integrations", "Number of configured integrations.", BELFRY_GAUGE, NULL,
         (double)count_integrations(set, c));
    emit(e, "alertmanager_inhibition_rules", "Number of configured inhibition rules.", BELFRY_GAUGE,
         NULL, (double)c->inhibit_rules.count);
    integrations_unref(set);
}

void alert_metrics_collect(struct alert_routing *r, belfry_emitter *e)
{
    struct alert_router_stats router;
    alert_router_stats_get(alert_routing_router(r), &router);
    collect_router(&router, e);
    collect_sender(alert_routing_sender(r), e);
    collect_memory(alert_routing_memory(r), e);
    collect_config(r, e);
}
