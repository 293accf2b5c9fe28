/* SPDX-License-Identifier: Apache-2.0 */
/* command_backtest.c: belfry backtest RULES...: when would alerts have fired on stored history, how many notifications
 * would that have been, and what another version of the rules would have done. */
#include "alerting/alert_config.h"
#include "alerting/notify_simulation.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cli/backtest_print.h"
#include "cli/command.h"
#include "cli/command_tsdb.h"
#include "cli/flags.h"
#include "cli/history.h"
#include "cli/rule_files.h"
#include "rules/backtest.h"

#include <stdio.h>
#include <string.h>

enum { OUTPUT_BYTES_MAX = 1 << 30 };
#define DAY_MS (INT64_C(24) * 3600 * 1000)

struct backtest_flags {
    bool help;
    const char *from, *to, *output, *alertmanager;
    struct flag_list against, features, external_labels;
    struct history_flags history;
    int64_t step_ms, interval_ms, limit;
};

static const char USAGE[] = "Usage: belfry backtest RULES... [--from TIME] [--to TIME]\n\n"
                            "When would the alerts of rule files have fired on stored history, how "
                            "many notifications would that have\n"
                            "been (--alertmanager.config.file), and what would another version "
                            "have done (--against)?\n\nFlags:\n";

static bool external_labels(const struct flag_list *texts, struct arena *arena, struct labels *out,
                            struct error *err)
{
    struct labels_builder b;
    labels_builder_init(&b, arena);
    for (size_t i = 0; i < texts->count; i++) {
        const char *equals = strchr(texts->items[i], '=');
        if (!equals || equals == texts->items[i])
            return error_set(err, ERROR_USAGE,
                             "flag \"--external.label\": expected NAME=VALUE, not \"%.100s\"",
                             texts->items[i]);
        labels_builder_set(&b, (struct view){texts->items[i], (size_t)(equals - texts->items[i])},
                           view_from(equals + 1));
    }
    *out = labels_copy(arena, labels_builder_finish(&b));
    return true;
}

/* --- notifications --- */

/* What fired within the span, as a router would hear of it: with the external labels, which do not replace. */
static bool simulate(const struct backtest *b, struct alert_config *config, struct labels external,
                     struct arena *arena, struct notify_simulation *out, struct error *err)
{
    struct simulated_alert *alerts = mem_alloc(MEM_OTHER, (b->episode_count + 1) * sizeof *alerts);
    size_t count = 0;
    for (size_t s = 0; s < b->series_count; s++) {
        struct labels_builder labels;
        labels_builder_init(&labels, arena);
        labels_builder_reset(&labels, b->series[s].labels);
        for (uint32_t i = 0; i < external.count; i++)
            if (labels_get(b->series[s].labels, external.items[i].name).len == 0)
                labels_builder_set(&labels, external.items[i].name, external.items[i].value);
        struct labels all = labels_copy(arena, labels_builder_finish(&labels));
        for (size_t i = b->series[s].first; i < b->series[s].first + b->series[s].count; i++) {
            int64_t from_ms, to_ms;
            const struct backtest_episode *e = &b->episodes[i];
            if (backtest_firing(b, e, &from_ms, &to_ms))
                alerts[count++] = (struct simulated_alert){
                    .labels = all,
                    .starts_ms = from_ms,
                    .ends_ms = e->end_ms == RULE_NEVER ? INT64_MAX : e->end_ms};
        }
    }
    bool ok = notify_simulate(config, alerts, count, b->to_ms, 0, arena, out, err);
    mem_free(MEM_OTHER, alerts);
    return ok;
}

/* --- the run --- */

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
    char what[96];
    (void)snprintf(what, sizeof what, "%s, minutes of history", (const char *)arg);
    tsdb_progress(what, done / 60000, total / 60000);
}

struct version {
    struct rule_files rules;
    struct backtest *result;
    struct notify_simulation notifications;
    struct backtest_report report;
};

static bool run_version(struct version *v, const char *const *paths, size_t count,
                        const struct backtest_flags *f, struct labels external,
                        struct alert_config *config, struct rule_replay_options *replay,
                        struct arena *arena, struct error *err)
{
    if (!rule_files_load(&v->rules, paths, count, &f->features, err))
        return false;
    replay->files = v->rules.items;
    replay->file_count = v->rules.count;
    const struct backtest_options options = {
        .replay = *replay, .progress = on_progress, .progress_arg = (void *)(uintptr_t)paths[0]};
    mono_time start = clock_mono();
    bool ok = backtest_run(&v->result, &options, err);
    tsdb_progress_end();
    v->report = (struct backtest_report){.name = paths[0],
                                         .result = v->result,
                                         .took_ms = mono_ms_since(start),
                                         .notifications = config ? &v->notifications : NULL};
    return ok && (!config || simulate(v->result, config, external, arena, &v->notifications, err));
}

static bool print(const struct backtest_flags *f, const struct version *versions, bool against,
                  struct error *err)
{
    struct buffer out;
    buffer_init(&out, MEM_OTHER, OUTPUT_BYTES_MAX);
    const struct backtest_report *other = against ? &versions[1].report : NULL;
    if (strcmp(f->output, "json") == 0)
        backtest_print_json(&out, &versions[0].report, other);
    else
        backtest_print_text(&out, &versions[0].report, other, (unsigned)command_terminal_columns(),
                            (size_t)f->limit);
    bool ok = !out.failed || error_set(err, ERROR_TOO_LARGE, "the report has more than %d bytes",
                                       OUTPUT_BYTES_MAX);
    if (ok)
        fwrite(out.ptr, 1, out.len, stdout);
    buffer_deinit(&out);
    return ok;
}

static bool read_span(const struct backtest_flags *f, struct rule_replay_options *replay,
                      struct error *err)
{
    replay->end_ms = clock_wall().ms;
    if (!rule_files_time("to", f->to, &replay->end_ms, err))
        return false;
    replay->start_ms = replay->end_ms - DAY_MS;
    return rule_files_time("from", f->from, &replay->start_ms, err) &&
           (replay->start_ms < replay->end_ms ||
            error_set(err, ERROR_USAGE, "--from must be before --to"));
}

static bool run(const struct backtest_flags *f, const struct flag_words *words, struct error *err)
{
    struct arena arena;
    struct history history = {0};
    struct alert_config *config = NULL;
    struct version *versions = mem_alloc_zero(MEM_OTHER, 2, sizeof *versions);
    struct rule_replay_options replay = {
        .default_interval_ms = f->interval_ms, .interval_ms = f->step_ms, .at_multiples = true};
    struct labels external;
    arena_init(&arena, MEM_OTHER, 0);
    bool ok = external_labels(&f->external_labels, &arena, &external, err) &&
              read_span(f, &replay, err) &&
              (!f->alertmanager || alert_config_load(f->alertmanager, &config, err)) &&
              history_open(&history, &f->history, err);
    if (ok) {
        history_use(&history, &replay);
        replay.external_labels = external;
        flags_parser_features(&f->features, &replay.engine.parser);
        replay.engine.delayed_name_removal =
            flags_has_feature(&f->features, "promql-delayed-name-removal");
        replay.engine.default_subquery_step_ms = f->interval_ms;
        ok = run_version(&versions[0], (const char *const *)words->items, (size_t)words->count, f,
                         external, config, &replay, &arena, err) &&
             (f->against.count == 0 || run_version(&versions[1], f->against.items, f->against.count,
                                                   f, external, config, &replay, &arena, err));
    }
    struct error closing = {0};
    if (!history_close(&history, &closing))
        command_warn(closing.message);
    ok = ok && print(f, versions, f->against.count > 0, err);
    for (int i = 0; i < 2; i++) {
        backtest_free(versions[i].result);
        rule_files_unload(&versions[i].rules);
    }
    mem_free(MEM_OTHER, versions);
    alert_config_unref(config);
    arena_deinit(&arena);
    return ok;
}

int command_backtest(int argc, char **argv)
{
    struct error err = {0};
    struct backtest_flags f = {.output = "text", .interval_ms = 60 * 1000, .limit = 10};
    struct flag_words words;
    const struct flag flags[] = {
        {"help", 'h', FLAG_SWITCH, &f.help, NULL, "Show this."},
        {"from", 0, FLAG_TEXT, &f.from, "TIME",
         "From when: RFC 3339 or Unix seconds; default a day before --to."},
        {"to", 0, FLAG_TEXT, &f.to, "TIME", "Until when; default now."},
        {"data.path", 0, FLAG_TEXT, &f.history.data_path, "FOLDER",
         "History of a data folder that no server uses now."},
        {"url", 0, FLAG_TEXT, &f.history.url, "URL",
         "History of a running server (Belfry, Prometheus); also the environment's BELFRY_URL."},
        {"step", 0, FLAG_DURATION, &f.step_ms, "DURATION",
         "Evaluate all groups so often, whatever they say."},
        {"eval-interval", 0, FLAG_DURATION, &f.interval_ms, "DURATION",
         "The interval of groups that say none."},
        {"against", 0, FLAG_LIST, &f.against, "FILE",
         "Another version of the rules, to be compared; repeatable."},
        {"alertmanager.config.file", 0, FLAG_TEXT, &f.alertmanager, "FILE",
         "Count the notifications that this configuration makes of it."},
        {"external.label", 0, FLAG_LIST, &f.external_labels, "NAME=VALUE",
         "An external label of the server; repeatable."},
        {"enable-feature", 0, FLAG_LIST, &f.features, "NAME,...",
         "Features of PromQL that are off by default; repeatable."},
        {"output", 'o', FLAG_TEXT, &f.output, "text|json", "How to print the report."},
        {"limit", 0, FLAG_COUNT, &f.limit, "N",
         "Alerts and episodes of a rule that are shown; 0 = all."},
        {"timeout", 0, FLAG_DURATION, &f.history.timeout_ms, "DURATION",
         "How long to wait for each answer of a server."}};
    if (!flags_parse(flags, ARRAY_COUNT(flags), argc, argv, &words, command_warn, &err))
        return command_fail(&err);
    if (f.help || words.count == 0) {
        fputs(USAGE, f.help ? stdout : stderr);
        flags_print_help(f.help ? stdout : stderr, flags, ARRAY_COUNT(flags));
        return f.help ? EXIT_OK : EXIT_USAGE;
    }
    if (strcmp(f.output, "text") != 0 && strcmp(f.output, "json") != 0) {
        error_set(&err, ERROR_USAGE, "output \"%.100s\" is not known, expected text or json",
                  f.output);
        return command_fail(&err);
    }
    if (f.interval_ms <= 0 || f.step_ms < 0 || f.limit < 0) {
        error_set(&err, ERROR_USAGE, "intervals and limits must be positive");
        return command_fail(&err);
    }
    return run(&f, &words, &err) ? EXIT_OK : command_fail(&err);
}
