/* SPDX-License-Identifier: Apache-2.0 */
/* command_test.c: belfry test promql|rules FILE...: runs PromQL scripts and unit tests of rules; the exit status is 0 when
 * nothing failed. */
#include "api/time_param.h"
#include "base/buffer.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/regex.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "promql/script.h"
#include "rules/unit_test.h"

#include <stdio.h>
#include <string.h>

static const char USAGE[] =
    "Usage: belfry test promql FILE...     run PromQL test scripts (promqltest)\n"
    "       belfry test rules FILE...      run unit tests of rules (promtool's format)\n\n"
    "Flags of test rules:\n";

enum { OUTPUT_BYTES_MAX = 256 << 20 };

struct test_options {
    bool help, diff, debug, ignore_unknown;
    const char *junit;
    struct flag_list run, features;
};

static void print_failure(void *arg, const struct script_failure *f)
{
    (void)arg;
    printf("%s:%u: %.*s\n  expected:\n%.*s\n  actual:\n%.*s\n", f->path, f->line,
           VIEW_ARGS(f->query), VIEW_ARGS(f->expected), VIEW_ARGS(f->actual));
}

static void print_report(const char *path, const struct script_report *r)
{
    printf("%s: %zu passed, %zu failed, %zu skipped", path, r->passed, r->failed,
           r->skipped_histograms);
    if (r->skipped_histograms)
        printf(" (native histograms)");
    putchar('\n');
}

static int test_promql(const struct flag_words *words, struct pool *pool)
{
    struct error err = {0};
    const struct script_options options = {.pool = pool, .failed = print_failure};
    bool all_ran = true;
    size_t failed = 0;
    for (int i = 0; i < words->count; i++) {
        struct script_report report = {0};
        if (!script_run(words->items[i], &options, &report, &err)) {
            (void)command_fail(&err); /* the status is ours: the other files still run */
            all_ran = false;
        }
        print_report(words->items[i], &report);
        failed += report.failed;
    }
    return all_ran && !failed ? EXIT_OK : EXIT_FAILED;
}

/* Any of the patterns, anywhere in a name. */
static bool run_pattern(const struct flag_list *patterns, struct regex **out, struct error *err)
{
    struct buffer text;
    *out = NULL;
    if (patterns->count == 0)
        return true;
    buffer_init(&text, MEM_OTHER, REGEX_PATTERN_BYTES_MAX);
    buffer_append_literal(&text, ".*(?:");
    for (size_t i = 0; i < patterns->count; i++)
        buffer_printf(&text, "%s%s", i ? "|" : "", patterns->items[i]);
    buffer_append_literal(&text, ").*");
    bool ok = text.failed
                  ? error_set(err, ERROR_USAGE, "flag \"--run\": too long")
                  : regex_new(out, buffer_view(&text), err) || error_wrap(err, "flag \"--run\"");
    buffer_deinit(&text);
    return ok;
}

static void print_error(const char *text)
{
    fflush(stdout); /* keeps the order of the two where both are a terminal */
    fprintf(stderr, "%s\n", text);
}

/* promtool's lines: SUCCESS, or what failed, each failure followed by an empty line of standard output. */
static bool test_rule_file(const char *path, const struct unit_test_options *options,
                           struct unit_test_report *report)
{
    struct buffer out;
    buffer_init(&out, MEM_OTHER, OUTPUT_BYTES_MAX);
    printf("Unit Testing:  %s\n", path);
    bool ok = unit_test_run(path, options, report, &out);
    fwrite(out.ptr, 1, out.len, stdout);
    buffer_deinit(&out);
    if (ok)
        puts("  SUCCESS");
    else
        print_error("  FAILED:");
    for (size_t i = 0; i < report->error_count; i++) {
        print_error(report->errors[i]);
        putchar('\n');
    }
    for (size_t c = 0; c < report->case_count; c++) {
        for (size_t i = 0; i < report->cases[c].failure_count; i++) {
            print_error(report->cases[c].failures[i]);
            putchar('\n');
        }
    }
    putchar('\n');
    return ok;
}

static bool write_junit(const char *path, const char *const *paths,
                        const struct unit_test_report *reports, size_t count, struct error *err)
{
    struct buffer out;
    buffer_init(&out, MEM_OTHER, OUTPUT_BYTES_MAX);
    unit_test_junit(paths, reports, count, &out);
    bool ok = out.failed ? error_set(err, ERROR_TOO_LARGE, "the report is too large")
                         : file_replace(path, buffer_view(&out), err);
    buffer_deinit(&out);
    return ok;
}

static int test_rules(const struct test_options *o, const struct flag_words *words,
                      struct pool *pool)
{
    struct error err = {0};
    struct regex *run;
    size_t count = (size_t)words->count;
    if (!run_pattern(&o->run, &run, &err))
        return command_fail(&err);
    struct unit_test_options options = {.rules = {.ignore_unknown_fields = o->ignore_unknown},
                                        .pool = pool,
                                        .run = run,
                                        .diff = o->diff,
                                        .debug = o->debug,
                                        .parse_time = api_time_parse};
    flags_parser_features(&o->features, &options.rules.parser);
    options.delayed_name_removal = flags_has_feature(&o->features, "promql-delayed-name-removal");
    struct unit_test_report *reports = mem_alloc_zero(MEM_OTHER, count, sizeof *reports);
    bool ok = true;
    for (size_t i = 0; i < count; i++)
        ok &= test_rule_file(words->items[i], &options, &reports[i]);
    bool written =
        !o->junit || write_junit(o->junit, (const char *const *)words->items, reports, count, &err);
    for (size_t i = 0; i < count; i++)
        unit_test_report_deinit(&reports[i]);
    mem_free(MEM_OTHER, reports);
    regex_free(run);
    if (!written)
        return command_fail(&err);
    return ok ? EXIT_OK : EXIT_FAILED;
}

int command_test(int argc, char **argv)
{
    struct error err = {0};
    struct flag_words words;
    struct test_options o = {0};
    const struct flag flags[] = {
        {"help", 'h', FLAG_SWITCH, &o.help, NULL, "Show this."},
        {"run", 0, FLAG_LIST, &o.run, "REGEX",
         "Only tests whose name this is found in; repeatable."},
        {"diff", 0, FLAG_SWITCH, &o.diff, NULL, "Show alerts that differ line by line."},
        {"debug", 0, FLAG_SWITCH, &o.debug, NULL, "Show all series at the end of each test."},
        {"ignore-unknown-fields", 0, FLAG_SWITCH, &o.ignore_unknown, NULL,
         "Pass over fields that are not known."},
        {"junit", 0, FLAG_TEXT, &o.junit, "FILE", "Write a report as JUnit's XML."},
        {"enable-feature", 0, FLAG_LIST, &o.features, "NAME,...",
         "Features of PromQL that are off by default; repeatable."}};
    if (!flags_parse(flags, ARRAY_COUNT(flags), argc, argv, &words, command_warn, &err))
        return command_fail(&err);
    const char *what = words.count ? words.items[0] : "";
    bool rules = strcmp(what, "rules") == 0;
    if (o.help || words.count < 2 || (!rules && strcmp(what, "promql") != 0)) {
        fputs(USAGE, o.help ? stdout : stderr);
        flags_print_help(o.help ? stdout : stderr, flags, ARRAY_COUNT(flags));
        return o.help ? EXIT_OK : EXIT_USAGE;
    }
    words.items++;
    words.count--;
    struct pool *pool;
    if (!pool_start(&pool, 0, 1000, &err))
        return command_fail(&err);
    int status = rules ? test_rules(&o, &words, pool) : test_promql(&words, pool);
    pool_stop(pool);
    return status;
}
