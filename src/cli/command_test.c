/* SPDX-License-Identifier: Apache-2.0 */
/* command_test.c: belfry test promql FILE...: runs PromQL scripts; the exit status is 0 when nothing failed. */
#include "base/pool.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "promql/script.h"

#include <stdio.h>
#include <string.h>

static const char USAGE[] =
    "Usage: belfry test promql FILE...     run PromQL test scripts (promqltest)\n";

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

int command_test(int argc, char **argv)
{
    struct error err = {0};
    struct flag_words words;
    bool help = false;
    const struct flag flags[] = {{"help", 'h', FLAG_SWITCH, &help, NULL, "Show this."}};
    if (!flags_parse(flags, ARRAY_COUNT(flags), argc, argv, &words, command_warn, &err))
        return command_fail(&err);
    if (help || words.count < 2 || strcmp(words.items[0], "promql") != 0) {
        fputs(USAGE, help ? stdout : stderr);
        return help ? EXIT_OK : EXIT_USAGE;
    }
    struct pool *pool;
    if (!pool_start(&pool, 0, 1000, &err))
        return command_fail(&err);
    const struct script_options options = {.pool = pool, .failed = print_failure};
    bool all_ran = true;
    size_t failed = 0;
    for (int i = 1; i < words.count; i++) {
        struct script_report report = {0};
        if (!script_run(words.items[i], &options, &report, &err)) {
            (void)command_fail(&err); /* the status is ours: the other files still run */
            all_ran = false;
        }
        print_report(words.items[i], &report);
        failed += report.failed;
    }
    pool_stop(pool);
    return all_ran && !failed ? EXIT_OK : EXIT_FAILED;
}
