/* SPDX-License-Identifier: Apache-2.0 */
/* self_metrics.c: see self_metrics.h. Numbers that some module keeps anyway are read when somebody looks (one
 * collector); only requests are counted here as they come. */
#include "server/self_metrics.h"

#include "alerting/heartbeat.h"
#include "api/notifications.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/thread.h"
#include "ingest/discover.h"
#include "ingest/remote_write.h"
#include "ingest/scrape.h"
#include "outbound/notifier.h"
#include "rules/rule_manager.h"
#include "server/alert_metrics.h"
#include "storage/db.h"
#include "storage/exemplars.h"

#include <belfry/collectors.h>
#include <belfry/metrics.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

struct self_metrics {
    belfry_registry *registry, *host; /* constant after new, like the families */
    belfry_counter_family *requests;
    belfry_histogram_family *seconds, *bytes;
    belfry_summary_family *notification_seconds;
    struct self_metrics_sources sources; /* written before and after there are requests */
    bool attached;
};

struct named_value {
    const char *name, *help;
    double value;
};

static void emit_all(belfry_emitter *e, belfry_metric_type type, const struct named_value *items,
                     size_t count)
{
    for (size_t i = 0; i < count; i++)
        belfry_emit(e, items[i].name, items[i].help, type, items[i].value);
}
#define EMIT_GAUGES(e, items) emit_all((e), BELFRY_GAUGE, (items), ARRAY_COUNT(items))
#define EMIT_COUNTERS(e, items) emit_all((e), BELFRY_COUNTER, (items), ARRAY_COUNT(items))

static void collect_build(belfry_emitter *e)
{
    const belfry_label labels[] = {{"version", BELFRY_VERSION}, {"compiler", __VERSION__}};
    belfry_emit_family(e, "belfry_build_info", "Always 1; the labels say what was built.",
                       BELFRY_GAUGE);
    belfry_emit_sample(e, NULL, labels, ARRAY_COUNT(labels), 1);
    belfry_emit_family(e, "prometheus_build_info", "Always 1; the labels say what was built.",
                       BELFRY_GAUGE);
    belfry_emit_sample(e, NULL, labels, 1, 1);
}

static void collect_memory(belfry_emitter *e)
{
    belfry_emit_family(e, "belfry_memory_bytes", "Heap memory now, by the subsystem that holds it.",
                       BELFRY_GAUGE);
    for (int i = 0; i < MEM_ACCOUNT_COUNT; i++) {
        const belfry_label label = {"subsystem", mem_account_name((enum mem_account)i)};
        belfry_emit_sample(e, NULL, &label, 1, (double)mem_account_bytes((enum mem_account)i));
    }
}

/* An empty head has no times: 0 then, as in Prometheus. */
static double head_ms(const struct db_stats *s, int64_t ms)
{
    return s->head_mint > s->head_maxt ? 0 : (double)ms;
}

static void collect_head(belfry_emitter *e, const struct db_stats *s)
{
    const struct named_value gauges[] = {
        {"belfry_storage_head_series", "Series in the head.", (double)s->head_series},
        {"belfry_storage_head_groups", "Groups of series that arrive together.",
         (double)s->head_groups},
        {"belfry_storage_head_min_time_seconds", "Oldest sample of the head.",
         head_ms(s, s->head_mint) / 1000},
        {"belfry_storage_head_max_time_seconds", "Newest sample of the head.",
         head_ms(s, s->head_maxt) / 1000},
        {"belfry_storage_late_bytes",
         "Memory of samples that came out of order and wait for a block.", (double)s->late_bytes},
        {"belfry_storage_ingest_stopped",
         "1 while nothing is stored because the disk is full or failed.", s->ingest_stopped},
        {"prometheus_tsdb_head_series", "Total number of series in the head block.",
         (double)s->head_series},
        {"prometheus_tsdb_head_chunks", "Total number of chunks in the head block.",
         (double)s->head_chunks},
        {"prometheus_tsdb_head_min_time", "Minimum time bound of the head block, in milliseconds.",
         head_ms(s, s->head_mint)},
        {"prometheus_tsdb_head_max_time", "Maximum timestamp of the head block, in milliseconds.",
         head_ms(s, s->head_maxt)},
    };
    const struct named_value counters[] = {
        {"belfry_storage_samples_duplicate_total",
         "Samples refused because their series has another value at that time.",
         (double)s->samples_duplicate},
        {"belfry_storage_samples_in_future_total",
         "Samples refused because they were more than 10 minutes after the clock.",
         (double)s->samples_in_future},
        {"belfry_storage_stale_markers_total", "Stale markers stored.", (double)s->stale_markers},
        {"prometheus_tsdb_head_series_created_total", "Total number of series created in the head.",
         (double)s->head_series_created},
        {"prometheus_tsdb_head_series_removed_total", "Total number of series removed in the head.",
         (double)s->head_series_removed},
    };
    EMIT_GAUGES(e, gauges);
    EMIT_COUNTERS(e, counters);
    const struct named_value of_floats[] = {
        {"prometheus_tsdb_head_out_of_order_samples_appended_total",
         "Total number of appended out of order samples.", (double)s->samples_out_of_order},
        {"prometheus_tsdb_out_of_order_samples_total",
         "Total number of out of order samples ingestion failed attempts due to out of order being "
         "disabled.",
         (double)s->samples_order_refused},
        {"prometheus_tsdb_out_of_bound_samples_total",
         "Total number of out of bound samples ingestion failed attempts with out of order support "
         "disabled.",
         (double)s->samples_out_of_bounds},
        {"prometheus_tsdb_too_old_samples_total",
         "Total number of out of order samples ingestion failed attempts with out of support "
         "enabled, but sample outside of time window.",
         (double)s->samples_too_old},
    };
    const belfry_label is_float = {"type", "float"};
    for (size_t i = 0; i < ARRAY_COUNT(of_floats); i++) {
        belfry_emit_family(e, of_floats[i].name, of_floats[i].help, BELFRY_COUNTER);
        belfry_emit_sample(e, NULL, &is_float, 1, of_floats[i].value);
    }
    belfry_emit_family(e, "prometheus_tsdb_head_samples_appended_total",
                       "Total number of appended samples.", BELFRY_COUNTER);
    belfry_emit_sample(e, NULL, &is_float, 1, (double)s->samples_appended);
}

static void collect_disk(belfry_emitter *e, const struct db_stats *s)
{
    const struct named_value gauges[] = {
        {"belfry_storage_wal_queue_length", "Commits waiting for the WAL thread.",
         (double)s->wal_queue_length},
        {"prometheus_tsdb_wal_storage_size_bytes", "Size of the write log directory.",
         (double)s->wal_disk_bytes},
        {"belfry_storage_extent_files", "Files of sealed rows that are not in a block yet.",
         (double)s->extent_files},
        {"belfry_storage_extent_bytes", "Bytes in files of sealed rows.", (double)s->extent_bytes},
        {"belfry_storage_replay_seconds", "How long the last replay took.", s->replay_seconds},
        {"belfry_storage_last_fsync_seconds", "How long the last fsync of the WAL took.",
         s->last_fsync_seconds},
        {"belfry_storage_disk_bytes", "Size of the data folder.", (double)s->disk_bytes},
        {"prometheus_tsdb_blocks_loaded", "Number of currently loaded data blocks.",
         (double)s->blocks},
        {"prometheus_tsdb_storage_blocks_bytes",
         "The number of bytes that are currently used for local storage by all blocks.",
         (double)s->blocks_bytes},
        {"prometheus_tsdb_symbol_table_size_bytes", "Size of symbol table in memory.",
         (double)s->symbol_table_bytes},
        {"prometheus_tsdb_wal_segment_current",
         "Write log segment index that is currently written to.", (double)s->wal_segment},
        {"prometheus_tsdb_lowest_timestamp_seconds",
         "Lowest timestamp value stored in the database.",
         s->lowest_time == INT64_MAX ? 0 : (double)s->lowest_time / 1000},
    };
    const struct named_value counters[] = {
        {"belfry_storage_wal_written_bytes_total", "Bytes written to the WAL.",
         (double)s->wal_bytes_written},
        {"belfry_storage_wal_fsyncs_total", "Syncs of the WAL.", (double)s->wal_fsyncs},
        {"belfry_storage_extent_written_bytes_total", "Bytes of sealed rows written.",
         (double)s->extent_bytes_written},
        {"belfry_storage_extent_failures_total",
         "Attempts to write sealed rows that failed and were tried again.",
         (double)s->extent_failures},
        {"belfry_storage_blocks_cut_total", "Blocks cut from the head.", (double)s->blocks_cut},
        {"belfry_storage_blocks_deleted_total", "Blocks removed by retention.",
         (double)s->blocks_deleted},
        {"belfry_storage_cut_failures_total", "Cuts that failed and will be tried again.",
         (double)s->cut_failures},
        {"prometheus_tsdb_wal_corruptions_total", "Total number of WAL corruptions.",
         (double)s->wal_corruptions},
        {"prometheus_tsdb_compactions_total",
         "Total number of compactions that were executed for the partition.",
         (double)(s->blocks_cut + s->compactions)},
        {"prometheus_tsdb_compactions_failed_total",
         "Total number of compactions that failed for the partition.",
         (double)(s->cut_failures + s->compactions_failed)},
        {"belfry_storage_merges_total", "Merges of several blocks into one.",
         (double)s->compactions},
        {"belfry_storage_merge_failures_total",
         "Merges that failed: tried again, or a damaged block was left out of them.",
         (double)s->compactions_failed},
    };
    EMIT_GAUGES(e, gauges);
    EMIT_COUNTERS(e, counters);
}

static void collect_scrape(belfry_emitter *e, const struct scrape_stats *s)
{
    const struct named_value gauges[] = {
        {"belfry_scrape_targets", "Targets that are scraped.", (double)s->targets},
        {"belfry_scrape_targets_dropped", "Targets dropped by relabelling.",
         (double)s->targets_dropped},
        {"belfry_scrape_line_cache_bytes", "Memory of the caches of known lines.",
         (double)s->cache_bytes},
        {"prometheus_target_scrape_pools", "Number of scrape pools.", (double)s->pools},
    };
    const struct named_value counters[] = {
        {"belfry_scrapes_total", "Scrapes, failed ones too.", (double)s->scrapes},
        {"belfry_scrape_duration_seconds_total", "Time of all scrapes together.",
         s->scrape_seconds},
        {"belfry_scrapes_skipped_total", "Ticks left out because the scrape before took too long.",
         (double)s->scrapes_late},
        {"belfry_scrape_samples_total", "Samples scraped.", (double)s->samples},
        {"belfry_scrape_body_bytes_total", "Bytes of bodies, unpacked.", (double)s->body_bytes},
        {"belfry_scrape_lines_known_total", "Lines whose series the line cache knew.",
         (double)s->lines_known},
        {"belfry_scrape_lines_parsed_total", "Lines whose labels had to be parsed.",
         (double)s->lines_parsed},
        {"belfry_scrape_series_refused_total", "Series refused over a limit of the storage.",
         (double)s->series_refused},
        {"belfry_scrape_series_outsized_total",
         "New series left out for more than 64 labels, a label name of more than 1 KiB or a value "
         "of more "
         "than 64 KiB, where the job has no such limit of its own.",
         (double)s->series_outsized},
        {"belfry_scrape_syncs_total",
         "Times that targets were compared with a new configuration or discovery.",
         (double)s->syncs},
        {"belfry_scrape_sync_seconds_total", "Time of that: relabelling, comparing, telling.",
         s->sync_seconds},
        {"prometheus_target_scrape_pools_failed_total",
         "Targets whose labels make no target, at the syncs so far.", (double)s->targets_failed},
        {"prometheus_target_scrapes_exceeded_sample_limit_total",
         "Total number of scrapes that hit the sample limit and were rejected.",
         (double)s->exceeded_sample_limit},
        {"prometheus_target_scrapes_exceeded_body_size_limit_total",
         "Total number of scrapes that hit the body size limit.",
         (double)s->exceeded_body_size_limit},
        {"prometheus_target_scrapes_sample_duplicate_timestamp_total",
         "Total number of samples rejected due to duplicate timestamps but different values.",
         (double)s->samples_duplicate},
        {"prometheus_target_scrapes_sample_out_of_order_total",
         "Total number of samples rejected due to not being out of the expected order.",
         (double)s->samples_out_of_order},
        {"prometheus_target_scrapes_exemplar_out_of_order_total",
         "Total number of exemplar rejected due to not being out of the expected order.",
         (double)s->exemplars_out_of_order},
    };
    EMIT_GAUGES(e, gauges);
    EMIT_COUNTERS(e, counters);
    belfry_emit_family(e, "belfry_scrape_failures_total", "Scrapes that failed, by reason.",
                       BELFRY_COUNTER);
    for (int i = 0; i < SCRAPE_FAILURE_COUNT; i++) {
        const belfry_label reason = {"reason", scrape_failure_name((enum scrape_failure)i)};
        belfry_emit_sample(e, NULL, &reason, 1, (double)s->failures[i]);
    }
}

static void collect_remote_write(belfry_emitter *e, const struct remote_write_stats *s)
{
    const struct named_value gauges[] = {
        {"belfry_remote_write_series_cached",
         "Spellings of series that are known by the hash of their labels.",
         (double)s->series_cached},
        {"belfry_remote_write_groups", "Groups of series that remote write has written lately.",
         (double)s->groups},
    };
    const struct named_value counters[] = {
        {"belfry_remote_write_requests_total", "Requests received.", (double)s->requests},
        {"belfry_remote_write_requests_failed_total", "Requests that were not answered with 204.",
         (double)s->requests_failed},
        {"belfry_remote_write_samples_total", "Samples received.", (double)s->samples},
        {"belfry_remote_write_samples_stored_total", "Samples of them that are stored.",
         (double)s->stored},
        {"belfry_remote_write_exemplars_total", "Exemplars received.", (double)s->exemplars},
        {"belfry_remote_write_exemplars_stored_total",
         "Exemplars of them that are kept, or were known.", (double)s->exemplars_stored},
        {"belfry_remote_write_metadata_total", "Metadata of metrics received.",
         (double)s->metadata},
        {"prometheus_api_remote_write_invalid_labels_samples_total",
         "The total number of received remote write samples and histogram samples which were "
         "rejected due to invalid labels.",
         (double)s->refused[WRITE_INVALID_LABELS]},
    };
    EMIT_GAUGES(e, gauges);
    EMIT_COUNTERS(e, counters);
    belfry_emit_family(e, "belfry_remote_write_samples_refused_total",
                       "Samples received that are not stored, by reason.", BELFRY_COUNTER);
    for (int i = 0; i < WRITE_REFUSAL_COUNT; i++) {
        const belfry_label reason = {"reason", write_refusal_word((enum write_refusal)i)};
        belfry_emit_sample(e, NULL, &reason, 1, (double)s->refused[i]);
    }
}

struct rule_family {
    const char *name, *help;
    belfry_metric_type type;
    double (*value)(const struct rule_group *g);
};

static double atomic_seconds(const _Atomic int64_t *ns)
{
    return (double)atomic_load_explicit(ns, memory_order_relaxed) / 1e9;
}
static double atomic_count(const _Atomic uint64_t *n)
{
    return (double)atomic_load_explicit(n, memory_order_relaxed);
}
static double group_evaluations(const struct rule_group *g)
{
    return atomic_count(&g->evaluations);
}
static double group_failures(const struct rule_group *g)
{
    return atomic_count(&g->failures);
}
static double group_iterations(const struct rule_group *g)
{
    return atomic_count(&g->iterations) + atomic_count(&g->missed);
}
static double group_missed(const struct rule_group *g)
{
    return atomic_count(&g->missed);
}
static double group_last_seconds(const struct rule_group *g)
{
    return atomic_seconds(&g->last_duration_ns);
}
static double group_last_time(const struct rule_group *g)
{
    int64_t ms = atomic_load_explicit(&g->last_start_ms, memory_order_relaxed);
    return ms == RULE_NEVER ? 0 : (double)ms / 1000;
}
static double group_last_samples(const struct rule_group *g)
{
    return atomic_count(&g->last_samples);
}
static double group_interval(const struct rule_group *g)
{
    return (double)g->interval_ms / 1000;
}
static double group_rules(const struct rule_group *g)
{
    return (double)g->rule_count;
}

static const struct rule_family RULE_FAMILIES[] = {
    {"prometheus_rule_evaluations_total", "The total number of rule evaluations.", BELFRY_COUNTER,
     group_evaluations},
    {"prometheus_rule_evaluation_failures_total", "The total number of rule evaluation failures.",
     BELFRY_COUNTER, group_failures},
    {"prometheus_rule_group_iterations_total",
     "The total number of scheduled rule group evaluations, whether executed or missed.",
     BELFRY_COUNTER, group_iterations},
    {"prometheus_rule_group_iterations_missed_total",
     "The total number of rule group evaluations missed due to slow rule group evaluation.",
     BELFRY_COUNTER, group_missed},
    {"prometheus_rule_group_last_duration_seconds",
     "The duration of the last rule group evaluation.", BELFRY_GAUGE, group_last_seconds},
    {"prometheus_rule_group_last_evaluation_timestamp_seconds",
     "The timestamp of the last rule group evaluation in seconds.", BELFRY_GAUGE, group_last_time},
    {"prometheus_rule_group_last_evaluation_samples",
     "The number of samples returned during the last rule group evaluation.", BELFRY_GAUGE,
     group_last_samples},
    {"prometheus_rule_group_interval_seconds", "The interval of a rule group.", BELFRY_GAUGE,
     group_interval},
    {"prometheus_rule_group_rules", "The number of rules.", BELFRY_GAUGE, group_rules},
};

/* What all evaluations took together, as a summary without quantiles. */
static void emit_rule_time(belfry_emitter *e, const char *name, const char *help, double seconds,
                           double count)
{
    belfry_emit_family(e, name, help, BELFRY_SUMMARY);
    belfry_emit_sample(e, "_sum", NULL, 0, seconds);
    belfry_emit_sample(e, "_count", NULL, 0, count);
}

static void collect_rules(belfry_emitter *e, struct rule_manager *rules)
{
    struct arena arena;
    struct rule_groups groups;
    struct rule_manager_stats stats;
    double rule_seconds = 0, group_seconds = 0, evaluations = 0, iterations = 0;
    arena_init(&arena, MEM_INSTRUMENT, 0);
    rule_manager_groups(rules, &arena, &groups);
    for (size_t f = 0; f < ARRAY_COUNT(RULE_FAMILIES) && groups.count; f++) {
        const struct rule_family *family = &RULE_FAMILIES[f];
        belfry_emit_family(e, family->name, family->help, family->type);
        for (size_t i = 0; i < groups.count; i++) {
            const belfry_label label = {"rule_group",
                                        rule_group_key(groups.items[i]->def, &arena).ptr};
            belfry_emit_sample(e, NULL, &label, 1, family->value(groups.items[i]));
        }
    }
    for (size_t i = 0; i < groups.count; i++) {
        const struct rule_group *g = groups.items[i];
        rule_seconds += atomic_seconds(&g->rule_duration_sum_ns);
        group_seconds += atomic_seconds(&g->duration_sum_ns);
        evaluations += atomic_count(&g->evaluations);
        iterations += atomic_count(&g->iterations);
    }
    rule_groups_release(&groups);
    emit_rule_time(e, "prometheus_rule_evaluation_duration_seconds",
                   "The duration for a rule to execute.", rule_seconds, evaluations);
    emit_rule_time(e, "prometheus_rule_group_duration_seconds",
                   "The duration of rule group evaluations.", group_seconds, iterations);
    rule_manager_stats_get(rules, &stats);
    belfry_emit(e, "belfry_rule_threads", "Threads that evaluate rules, or wait to.", BELFRY_GAUGE,
                (double)stats.threads);
    belfry_emit(e, "belfry_rule_state_failures_total",
                "Attempts to keep alerts in state.db that failed.", BELFRY_COUNTER,
                (double)stats.state_failures);
    arena_deinit(&arena);
}

static void collect_guard(belfry_emitter *e, struct db *db)
{
    struct arena arena;
    struct db_guard guard;
    arena_init(&arena, MEM_INSTRUMENT, 0);
    db_guard_get(db, &arena, &guard);
    const struct {
        const char *limit;
        uint64_t value;
    } limits[] = {{"total", guard.series_max},
                  {"job", guard.series_per_job_max},
                  {"metric", guard.series_per_metric_max},
                  {"new", guard.new_series_per_job_max},
                  {"memory", guard.memory_bytes_max}};
    belfry_emit_family(e, "belfry_storage_series_limit",
                       "Limits of the cardinality guard: series, new series of a job in ten "
                       "minutes, bytes of memory; 0: none.",
                       BELFRY_GAUGE);
    for (size_t i = 0; i < ARRAY_COUNT(limits); i++) {
        const belfry_label label = {"limit", limits[i].limit};
        belfry_emit_sample(e, NULL, &label, 1, (double)limits[i].value);
    }
    belfry_emit_family(e, "belfry_storage_series_folded_total",
                       "New series that were refused and counted in an overflow series, each time "
                       "that they were asked for; at most 64 pairs of job and metric.",
                       BELFRY_COUNTER);
    for (size_t i = 0; i < guard.culprit_count; i++) {
        const struct db_guard_culprit *c = &guard.culprits[i];
        const belfry_label labels[] = {{"job", c->job.ptr}, {"metric", c->metric.ptr}};
        belfry_emit_sample(e, NULL, labels, ARRAY_COUNT(labels), (double)c->refused);
    }
    arena_deinit(&arena);
}

static void collect_discovery(belfry_emitter *e, struct scrape_manager *scrape)
{
    struct discover_stats s;
    struct discover_file_time *files;
    struct scrape_targets targets;
    struct arena arena;
    discover_stats_get(scrape_manager_discover(scrape), &s);
    const struct named_value counters[] = {
        {"prometheus_sd_file_read_errors_total", "The number of File-SD read errors.",
         (double)s.file_read_errors},
        {"prometheus_sd_file_watcher_errors_total",
         "The number of File-SD errors caused by filesystem watch failures.",
         (double)s.file_watcher_errors},
        {"prometheus_sd_http_failures_total", "Number of HTTP service discovery refresh failures.",
         (double)s.http_failures},
        {"prometheus_sd_dns_lookups_total", "The number of DNS-SD lookups.", (double)s.dns_lookups},
        {"prometheus_sd_dns_lookup_failures_total", "The number of DNS-SD lookup failures.",
         (double)s.dns_failures},
        {"belfry_sd_refreshes_total", "Refreshes of discoveries.", (double)s.refreshes},
        {"belfry_sd_refresh_failures_total", "Refreshes of discoveries that failed.",
         (double)s.refresh_failures},
    };
    EMIT_COUNTERS(e, counters);
    belfry_emit_family(e, "prometheus_sd_file_scan_duration_seconds",
                       "The duration of the File-SD scan in seconds.", BELFRY_SUMMARY);
    belfry_emit_sample(e, "_sum", NULL, 0, s.file_scan_seconds);
    belfry_emit_sample(e, "_count", NULL, 0, (double)s.file_scans);
    arena_init(&arena, MEM_OTHER, 0);
    size_t count = discover_file_times(scrape_manager_discover(scrape), &arena, &files);
    belfry_emit_family(e, "prometheus_sd_file_mtime_seconds",
                       "Timestamp (mtime) of files read by FileSD. Timestamp is set at read time.",
                       BELFRY_GAUGE);
    for (size_t i = 0; i < count; i++) {
        const belfry_label filename = {"filename", files[i].path.ptr};
        belfry_emit_sample(e, NULL, &filename, 1, files[i].seconds);
    }
    scrape_pools_get(scrape, &arena, &targets);
    belfry_emit_family(e, "prometheus_sd_discovered_targets",
                       "Current number of discovered targets.", BELFRY_GAUGE);
    for (size_t i = 0; i < targets.pool_count; i++) {
        const belfry_label labels[] = {{"config", arena_copy(&arena, targets.pools[i].name).ptr},
                                       {"name", "scrape"}};
        belfry_emit_sample(e, NULL, labels, 2, (double)targets.pools[i].found_count);
    }
    belfry_emit_family(e, "prometheus_target_scrape_pool_targets",
                       "Current number of targets in this scrape pool.", BELFRY_GAUGE);
    for (size_t i = 0; i < targets.pool_count; i++) {
        const belfry_label job = {"scrape_job", arena_copy(&arena, targets.pools[i].name).ptr};
        belfry_emit_sample(e, NULL, &job, 1, (double)targets.pools[i].active_count);
    }
    belfry_emit_family(e, "prometheus_target_scrape_pool_target_limit",
                       "Maximum number of targets allowed in this scrape pool.", BELFRY_GAUGE);
    for (size_t i = 0; i < targets.pool_count; i++) {
        const belfry_label job = {"scrape_job", arena_copy(&arena, targets.pools[i].name).ptr};
        belfry_emit_sample(e, NULL, &job, 1, (double)targets.pools[i].job->target_limit);
    }
    scrape_targets_release(&targets);
    arena_deinit(&arena);
}

static void collect_exemplars(belfry_emitter *e, struct db *db)
{
    struct exemplars_stats s;
    exemplars_stats_get(db_exemplars(db), &s);
    const struct named_value gauges[] = {
        {"belfry_storage_exemplars_log_bytes", "Bytes of the log of exemplars.",
         (double)s.log_bytes},
        {"prometheus_tsdb_exemplar_exemplars_in_storage",
         "Number of exemplars currently in circular storage.", (double)s.stored},
        {"prometheus_tsdb_exemplar_series_with_exemplars_in_storage",
         "Number of series with exemplars currently in circular storage.", (double)s.series},
        {"prometheus_tsdb_exemplar_last_exemplars_timestamp_seconds",
         "The timestamp of the oldest exemplar stored in circular storage. Useful to check for "
         "what timerange the current exemplar buffer limit allows.",
         (double)s.last_timestamp_ms / 1000},
        {"prometheus_tsdb_exemplar_max_exemplars",
         "Total number of exemplars the exemplar storage can store, resizeable.", (double)s.max},
    };
    const struct named_value counters[] = {
        {"belfry_storage_exemplars_log_failures_total",
         "Times that exemplars could not be written: they were kept in memory only.",
         (double)s.log_failures},
        {"prometheus_tsdb_exemplar_exemplars_appended_total", "Total number of appended exemplars.",
         (double)s.appended},
        {"prometheus_tsdb_exemplar_out_of_order_exemplars_total",
         "Total number of out of order exemplar ingestion failed attempts.",
         (double)s.out_of_order},
    };
    EMIT_GAUGES(e, gauges);
    EMIT_COUNTERS(e, counters);
}

static void collect_process(belfry_emitter *e, const struct self_metrics_sources *from)
{
    struct api_stats api;
    struct http_server_stats http;
    wall_time loaded;
    bool reload_ok = running_config_state(from->config, &loaded);
    api_stats_get(from->api, &api);
    http_server_stats_get(from->http, &http);
    const struct named_value gauges[] = {
        {"prometheus_config_last_reload_successful",
         "Whether the last configuration reload attempt was successful.", reload_ok},
        {"prometheus_config_last_reload_success_timestamp_seconds",
         "Timestamp of the last successful configuration reload.", (double)loaded.ms / 1000},
        {"prometheus_engine_queries", "The current number of queries being executed or waiting.",
         (double)(api.queries_running + api.queries_waiting)},
        {"prometheus_engine_queries_concurrent_max", "The max number of concurrent queries.",
         from->query_concurrency_max},
        {"prometheus_engine_query_log_enabled", "State of the query log.", api.query_log_open},
        {"prometheus_ready",
         "Whether Prometheus startup was fully completed and the server is ready "
         "for normal operation.",
         1},
        {"belfry_http_connections", "Open connections of clients.", (double)http.connections_open},
        {"belfry_http_requests_in_work", "Requests being answered.", (double)http.requests_in_work},
    };
    const struct named_value counters[] = {
        {"belfry_queries_total", "Queries begun.", (double)api.queries_total},
        {"prometheus_engine_query_log_failures_total", "The number of query log failures.",
         (double)api.query_log_failed},
        {"belfry_queries_failed_total", "Queries that ended with an error.",
         (double)api.queries_failed},
        {"prometheus_web_federation_errors_total",
         "Total number of errors that occurred while sending federation responses.",
         (double)api.federation_errors},
        {"belfry_http_connections_total", "Connections accepted.", (double)http.connections_total},
        {"belfry_http_requests_refused_total", "Requests refused before a handler saw them.",
         (double)http.requests_refused},
        {"belfry_http_disconnects_total", "Requests whose client went away.",
         (double)http.disconnects},
        {"belfry_log_lines_dropped_total", "Log lines dropped because their reader was too slow.",
         (double)belfry_log_dropped(from->log)},
    };
    EMIT_GAUGES(e, gauges);
    EMIT_COUNTERS(e, counters);
}

static void collect_notifications(belfry_emitter *e, struct notifications *notifications)
{
    struct notifications_stats stats;
    notifications_stats_get(notifications, &stats);
    const struct named_value counters[] = {
        {"prometheus_api_notification_updates_sent_total",
         "Total number of notification updates sent.", (double)stats.updates_sent},
        {"prometheus_api_notification_updates_dropped_total",
         "Total number of notification updates dropped.", (double)stats.updates_dropped},
    };
    belfry_emit(e, "prometheus_api_notification_active_subscribers",
                "The current number of active notification subscribers.", BELFRY_GAUGE,
                (double)stats.subscribers);
    EMIT_COUNTERS(e, counters);
}

static void collect_notification_latency(belfry_emitter *e, const struct notifier_url_stats *s)
{
    const belfry_label label = {"alertmanager", s->url.ptr};
    uint64_t below = 0;
    belfry_emit_family(e, "prometheus_notifications_latency_histogram_seconds",
                       "Latency histogram for sending alert notifications.", BELFRY_HISTOGRAM);
    for (size_t i = 0; i < NOTIFIER_LATENCY_BUCKETS; i++) {
        char le[16];
        snprintf(le, sizeof le, "%g", NOTIFIER_LATENCY_BOUNDS[i]);
        const belfry_label labels[] = {label, {"le", le}};
        below += s->latency_buckets[i];
        belfry_emit_sample(e, "_bucket", labels, 2, (double)below);
    }
    const belfry_label labels[] = {label, {"le", "+Inf"}};
    belfry_emit_sample(e, "_bucket", labels, 2, (double)s->latency_count);
    belfry_emit_sample(e, "_sum", &label, 1, s->latency_seconds);
    belfry_emit_sample(e, "_count", &label, 1, (double)s->latency_count);
}

static void collect_notifier(belfry_emitter *e, struct notifier *notifier)
{
    struct arena arena;
    struct notifier_stats stats;
    arena_init(&arena, MEM_INSTRUMENT, 0);
    notifier_stats_get(notifier, &arena, &stats);
    const struct named_value gauges[] = {
        {"prometheus_notifications_queue_capacity",
         "The capacity of the alert notifications queue.", (double)stats.queue_capacity},
        {"prometheus_notifications_alertmanagers_discovered",
         "The number of alertmanagers discovered and active.", (double)stats.discovered},
    };
    EMIT_GAUGES(e, gauges);
    for (size_t i = 0; i < stats.count; i++) {
        const struct notifier_url_stats *s = &stats.items[i];
        const belfry_label label = {"alertmanager", s->url.ptr};
        const struct named_value counters[] = {
            {"prometheus_notifications_sent_total", "Total number of alerts sent.",
             (double)s->sent},
            {"prometheus_notifications_errors_total",
             "Total number of sent alerts affected by errors.", (double)s->errors},
            {"prometheus_notifications_dropped_total",
             "Total number of alerts dropped due to errors when sending to Alertmanager.",
             (double)s->dropped},
        };
        for (size_t k = 0; k < ARRAY_COUNT(counters); k++) {
            belfry_emit_family(e, counters[k].name, counters[k].help, BELFRY_COUNTER);
            belfry_emit_sample(e, NULL, &label, 1, counters[k].value);
        }
        belfry_emit_family(e, "prometheus_notifications_queue_length",
                           "The number of alert notifications in the queue.", BELFRY_GAUGE);
        belfry_emit_sample(e, NULL, &label, 1, (double)s->queue_length);
        collect_notification_latency(e, s);
    }
    arena_deinit(&arena);
}

static void collect_heartbeats(belfry_emitter *e, struct heartbeats *heartbeats)
{
    struct arena arena;
    struct heartbeats_state state;
    arena_init(&arena, MEM_INSTRUMENT, 0);
    heartbeats_state_get(heartbeats, &arena, &state);
    for (size_t i = 0; i < state.expected_count; i++) {
        const struct heartbeat_expected *x = &state.expected[i];
        const belfry_label label = {"heartbeat", x->name.ptr};
        belfry_emit_family(e, "belfry_heartbeat_last_timestamp_seconds",
                           "When an expected heartbeat came last; 0: never.", BELFRY_GAUGE);
        belfry_emit_sample(e, NULL, &label, 1, (double)x->last_ms / 1000);
        belfry_emit_family(e, "belfry_heartbeat_missing",
                           "Whether an expected heartbeat stays away for too long.", BELFRY_GAUGE);
        belfry_emit_sample(e, NULL, &label, 1, x->is_missing);
    }
    for (size_t i = 0; i < state.sent_count; i++) {
        const struct heartbeat_sent *x = &state.sent[i];
        char index[24];
        snprintf(index, sizeof index, "%zu", x->index);
        const belfry_label label = {"index", index};
        const struct named_value counters[] = {
            {"belfry_heartbeats_sent_total", "Heartbeats that were sent and taken.",
             (double)x->sent},
            {"belfry_heartbeats_failed_total", "Heartbeats that could not be sent.",
             (double)x->failed},
            {"belfry_heartbeats_withheld_total", "Heartbeats not sent as all was not well.",
             (double)x->withheld},
        };
        for (size_t k = 0; k < ARRAY_COUNT(counters); k++) {
            belfry_emit_family(e, counters[k].name, counters[k].help, BELFRY_COUNTER);
            belfry_emit_sample(e, NULL, &label, 1, counters[k].value);
        }
    }
    arena_deinit(&arena);
}

static void collect(void *arg, belfry_emitter *e)
{
    struct self_metrics *m = arg;
    collect_build(e);
    collect_memory(e);
    if (!m->attached)
        return;
    struct db_stats storage;
    struct scrape_stats scrape;
    memset(&storage, 0, sizeof storage);
    memset(&scrape, 0, sizeof scrape);
    db_stats_get(m->sources.db, &storage);
    scrape_stats_get(m->sources.scrape, &scrape);
    collect_head(e, &storage);
    collect_exemplars(e, m->sources.db);
    collect_disk(e, &storage);
    collect_guard(e, m->sources.db);
    collect_scrape(e, &scrape);
    if (m->sources.remote_write) {
        struct remote_write_stats remote;
        remote_write_stats_get(m->sources.remote_write, &remote);
        collect_remote_write(e, &remote);
    }
    collect_discovery(e, m->sources.scrape);
    if (m->sources.rules)
        collect_rules(e, m->sources.rules);
    if (m->sources.notifications)
        collect_notifications(e, m->sources.notifications);
    if (m->sources.notifier)
        collect_notifier(e, m->sources.notifier);
    if (m->sources.heartbeats)
        collect_heartbeats(e, m->sources.heartbeats);
    if (m->sources.routing)
        alert_metrics_collect(m->sources.routing, e);
    collect_process(e, &m->sources);
}

/* Answers are from a few bytes to many megabytes. */
static const double ANSWER_BYTES[] = {100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
/* Prometheus' own bounds for its HTTP durations. */
static const double REQUEST_SECONDS[] = {0.1, 0.2, 0.4, 1, 3, 8, 20, 60, 120};

static belfry_status register_all(struct self_metrics *m)
{
    static const char *const BY_HANDLER[] = {"handler"};
    static const char *const BY_ALERTMANAGER[] = {"alertmanager"};
    static const char *const BY_HANDLER_AND_CODE[] = {"handler", "code"};
    belfry_status status =
        belfry_counter_family_new(&m->requests, m->registry, "prometheus_http_requests_total",
                                  "Counter of HTTP requests.", BY_HANDLER_AND_CODE, 2);
    if (status == BELFRY_OK)
        status = belfry_histogram_family_new(
            &m->seconds, m->registry, "prometheus_http_request_duration_seconds",
            "Histogram of latencies for HTTP requests.", BY_HANDLER, 1, REQUEST_SECONDS,
            ARRAY_COUNT(REQUEST_SECONDS));
    if (status == BELFRY_OK)
        status = belfry_histogram_family_new(
            &m->bytes, m->registry, "prometheus_http_response_size_bytes",
            "Histogram of response size for HTTP requests.", BY_HANDLER, 1, ANSWER_BYTES,
            ARRAY_COUNT(ANSWER_BYTES));
    if (status == BELFRY_OK)
        status = belfry_summary_family_new(
            &m->notification_seconds, m->registry, "prometheus_notifications_latency_seconds",
            "Latency quantiles for sending alert notifications.", BY_ALERTMANAGER, 1, NULL);
    if (status == BELFRY_OK)
        status = belfry_collector_new(m->registry, collect, m, NULL);
    if (status == BELFRY_OK)
        status = belfry_process_collector_new(m->registry, NULL);
    if (status == BELFRY_OK)
        status = belfry_host_collector_new(m->host, NULL);
    return status;
}

bool self_metrics_new(struct self_metrics **out, struct error *err)
{
    struct self_metrics *m = mem_alloc_zero(MEM_INSTRUMENT, 1, sizeof *m);
    *out = m;
    m->registry = belfry_registry_new();
    m->host = belfry_registry_new();
    belfry_status status = m->registry && m->host ? register_all(m) : BELFRY_ERROR_MEMORY;
    if (status == BELFRY_OK)
        return true;
    self_metrics_free(m);
    *out = NULL;
    return error_set(err, ERROR_INTERNAL, "could not register metrics: %s",
                     belfry_status_text(status));
}

void self_metrics_free(struct self_metrics *m)
{
    if (!m)
        return;
    belfry_registry_free(m->registry);
    belfry_registry_free(m->host);
    mem_free(MEM_INSTRUMENT, m);
}

void self_metrics_attach(struct self_metrics *m, const struct self_metrics_sources *sources)
{
    m->sources = *sources;
    m->attached = true;
}

void self_metrics_detach(struct self_metrics *m)
{
    m->attached = false;
}

void self_metrics_observe_request(struct self_metrics *m, const struct http_observation *seen)
{
    char code[8];
    snprintf(code, sizeof code, "%d", seen->status);
    const char *values[] = {seen->handler, code};
    belfry_counter_inc(belfry_counter_family_with(m->requests, values));
    belfry_histogram_observe(belfry_histogram_family_with(m->seconds, values), seen->seconds);
    belfry_histogram_observe(belfry_histogram_family_with(m->bytes, values),
                             (double)seen->response_bytes);
}

void self_metrics_observe_notification(struct self_metrics *m, const char *url, double seconds)
{
    belfry_summary_observe(belfry_summary_family_with(m->notification_seconds, &url), seconds);
}

void self_metrics_forget_alertmanager(struct self_metrics *m, const char *url)
{
    /* Where it never answered there is nothing to take out. */
    (void)belfry_summary_family_remove(m->notification_seconds, &url);
}

static bool append(void *arg, const char *bytes, size_t len)
{
    struct buffer *out = arg;
    buffer_append(out, bytes, len);
    return !out->failed;
}

/* A failure leaves a part: the buffer says failed, or memory ended and the next scrape tries again. */
static void write_registry(belfry_registry *registry, const belfry_exposition *how,
                           struct buffer *out)
{
    if (belfry_registry_write(registry, how, append, out) != BELFRY_OK)
        out->failed = true;
}

void self_metrics_write(struct self_metrics *m, const belfry_exposition *how, struct buffer *out)
{
    write_registry(m->registry, how, out);
}

void self_metrics_write_host(struct self_metrics *m, const belfry_exposition *how,
                             struct buffer *out)
{
    write_registry(m->host, how, out);
}
