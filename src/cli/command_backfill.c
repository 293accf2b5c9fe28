/* SPDX-License-Identifier: Apache-2.0 */
/* command_backfill.c: belfry backfill RULES...: what recording rules would have written before they were there; and
 * promtool's tsdb create-blocks-from rules, which asks a server and makes blocks elsewhere. */
#include "base/clock.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/command_tsdb.h"
#include "cli/history.h"
#include "cli/rule_files.h"
#include "rules/backfill.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HOUR_MS (INT64_C(3600) * 1000)

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
    (void)arg;
    tsdb_progress("minutes of history", done / 60000, total / 60000);
}

static int print_result(const struct backfill_result *r, bool only_missing)
{
    char from[32], to[32];
    printf("blocks:          %" PRIu64 " written, %" PRIu64 " were here already\n", r->blocks,
           r->blocks_present);
    printf("samples:         %" PRIu64 " of %" PRIu64 " series, by %" PRIu64 " evaluations\n",
           r->samples, r->series, r->evaluations);
    if (only_missing)
        printf("left out:        %" PRIu64 " samples where the series has some already\n",
               r->samples_present);
    if (r->mint <= r->maxt) {
        tsdb_time_text(r->mint, true, from);
        tsdb_time_text(r->maxt, true, to);
        printf("time range:      %s to %s\n", from, to);
    }
    if (r->failures == 0)
        return EXIT_OK;
    fflush(stdout);
    struct error err = r->first_failure;
    (void)error_wrap(&err, "%" PRIu64 " evaluations failed, the first", r->failures);
    return command_fail(&err);
}

/* The files' recordings into options->dir. */
static bool fill(struct backfill_options *options, const struct flag_words *words,
                 const struct flag_list *features, struct backfill_result *result,
                 struct error *err)
{
    struct rule_files *files = mem_alloc_zero(MEM_OTHER, 1, sizeof *files);
    bool ok = rule_files_load(files, (const char *const *)words->items, (size_t)words->count,
                              features, err);
    if (ok) {
        options->replay.files = files->items;
        options->replay.file_count = files->count;
        options->progress = on_progress;
        ok = backfill_run(options, result, err);
        tsdb_progress_end();
    }
    rule_files_unload(files);
    mem_free(MEM_OTHER, files);
    return ok;
}

/* --- belfry backfill --- */

struct backfill_flags {
    bool help;
    const char *start, *end, *data_path;
    struct flag_list features;
    int64_t interval_ms;
    uint64_t memory_bytes;
};

static const char USAGE[] =
    "Usage: belfry backfill RULES... --data.path FOLDER [--start TIME] [--end TIME]\n\n"
    "Writes what the recording rules of the files would have given, where their series have no "
    "samples yet.\n"
    "The server that uses the folder must be stopped. What was interrupted is run again and goes "
    "on.\n\nFlags:\n";

static bool backfill_span(const struct backfill_flags *f, struct db *db,
                          struct rule_replay_options *replay, struct error *err)
{
    struct db_stats stats;
    db_stats_get(db, &stats);
    replay->start_ms = stats.lowest_time;
    replay->end_ms = clock_wall().ms;
    if (!rule_files_time("start", f->start, &replay->start_ms, err) ||
        !rule_files_time("end", f->end, &replay->end_ms, err))
        return false;
    if (!f->start && (stats.lowest_time == INT64_MAX || stats.lowest_time == INT64_MIN))
        return error_set(err, ERROR_INPUT, "\"%.200s\" has no samples", f->data_path);
    return replay->start_ms < replay->end_ms ||
           error_set(err, ERROR_USAGE, "--start must be before --end");
}

static int backfill(const struct backfill_flags *f, const struct flag_words *words)
{
    struct error err = {0};
    struct history history = {0};
    struct backfill_result result;
    const struct history_flags flags = {.data_path = f->data_path};
    struct backfill_options options = {.dir = f->data_path,
                                       .memory_bytes = (size_t)f->memory_bytes,
                                       .only_missing = true,
                                       .write_ends = true,
                                       .replay = {.default_interval_ms = f->interval_ms}};
    bool ok = history_open(&history, &flags, &err);
    if (ok) {
        history_use(&history, &options.replay);
        flags_parser_features(&f->features, &options.replay.engine.parser);
        options.replay.engine.default_subquery_step_ms = f->interval_ms;
        ok = backfill_span(f, history.db, &options.replay, &err) &&
             fill(&options, words, &f->features, &result, &err);
    }
    struct error closing = {0};
    if (!history_close(&history, &closing) && ok) {
        err = closing;
        ok = false;
    }
    return ok ? print_result(&result, true) : command_fail(&err);
}

int command_backfill(int argc, char **argv)
{
    struct error err = {0};
    struct backfill_flags f = {.interval_ms = 60 * 1000};
    struct flag_words words;
    const struct flag flags[] = {
        {"help", 'h', FLAG_SWITCH, &f.help, NULL, "Show this."},
        {"data.path", 0, FLAG_TEXT, &f.data_path, "FOLDER", "The data folder."},
        {"start", 0, FLAG_TEXT, &f.start, "TIME",
         "From when: RFC 3339 or Unix seconds; default: the oldest sample."},
        {"end", 0, FLAG_TEXT, &f.end, "TIME", "Until when; default now."},
        {"eval-interval", 0, FLAG_DURATION, &f.interval_ms, "DURATION",
         "The interval of groups that say none (the server's evaluation_interval)."},
        {"memory", 0, FLAG_BYTES, &f.memory_bytes, "BYTES",
         "For the samples of a day; what is more is sorted on disk. 512MB."},
        {"enable-feature", 0, FLAG_LIST, &f.features, "NAME,...",
         "Features of PromQL that are off by default; repeatable."}};
    if (!flags_parse(flags, ARRAY_COUNT(flags), argc, argv, &words, command_warn, &err))
        return command_fail(&err);
    if (f.help || words.count == 0) {
        fputs(USAGE, f.help ? stdout : stderr);
        flags_print_help(f.help ? stdout : stderr, flags, ARRAY_COUNT(flags));
        return f.help ? EXIT_OK : EXIT_USAGE;
    }
    if (!f.data_path) {
        error_set(&err, ERROR_USAGE,
                  "expected --data.path; of a running server's rules "
                  "\"belfry tsdb create-blocks-from rules\" makes blocks");
        return command_fail(&err);
    }
    if (f.interval_ms <= 0) {
        error_set(&err, ERROR_USAGE, "--eval-interval must be positive");
        return command_fail(&err);
    }
    return backfill(&f, &words);
}

/* --- tsdb create-blocks-from rules --- */

static bool create_span(const struct tsdb_options *o, struct rule_replay_options *replay,
                        struct error *err)
{
    /* As promtool: the server's head is not to be met. */
    replay->end_ms = clock_wall().ms - 3 * HOUR_MS;
    if (!o->start)
        return error_set(err, ERROR_USAGE, "required flag --start not provided");
    return rule_files_time("start", o->start, &replay->start_ms, err) &&
           rule_files_time("end", o->end, &replay->end_ms, err) &&
           (replay->start_ms <= replay->end_ms ||
            error_set(err, ERROR_USAGE, "start time is not before end time")) &&
           (o->eval_interval_ms > 0 ||
            error_set(err, ERROR_USAGE, "--eval-interval must be positive"));
}

static int create_from_rules(const struct tsdb_options *o, const struct flag_words *words)
{
    struct error err = {0};
    struct file *lock = NULL;
    struct history history = {0};
    struct backfill_result result;
    const struct history_flags flags = {.url = o->url};
    struct memory_source *nothing = memory_source_new();
    struct backfill_options options = {
        .dir = o->output_dir,
        .memory_bytes = (size_t)o->memory_bytes,
        .replay = {.default_interval_ms = o->eval_interval_ms, .ask_all = true}};
    bool ok = create_span(o, &options.replay, &err) &&
              tsdb_folder_lock(o->output_dir, &lock, &err) && history_open(&history, &flags, &err);
    if (ok) {
        const struct flag_list features = {0};
        history_use(&history, &options.replay);
        options.replay.history = memory_source_as_source(nothing);
        ok = fill(&options, words, &features, &result, &err);
    }
    struct error ignored;
    if (!history_close(&history, &ignored))
        ok = false; /* a server's has nothing that could fail to close */
    memory_source_free(nothing);
    file_discard(lock);
    return ok ? print_result(&result, false) : command_fail(&err);
}

int tsdb_create_blocks(const struct tsdb_options *o, const struct flag_words *words)
{
    struct error err = {0};
    const struct flag_words rest = {words->items + 1, words->count - 1};
    const char *what = words->count ? words->items[0] : "";
    if (strcmp(what, "rules") == 0 && rest.count > 0)
        return create_from_rules(o, &rest);
    if (strcmp(what, "openmetrics") == 0)
        return tsdb_import(o, words);
    error_set(&err, ERROR_USAGE,
              "expected: belfry tsdb create-blocks-from rules --start TIME FILE..., or "
              "create-blocks-from openmetrics FILE [FOLDER]");
    return command_fail(&err);
}
