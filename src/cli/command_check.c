/* SPDX-License-Identifier: Apache-2.0 */
/* command_check.c: belfry check config|rules|alertmanager|metrics|web-config|sandbox, with promtool's words and exit statuses. */
#include "access/web_config.h"
#include "alerting/alert_check.h"
#include "base/arena.h"
#include "base/buffer.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "ingest/config_check.h"
#include "ingest/discover_check.h"
#include "model/lint.h"
#include "rules/rule_check.h"
#include "rules/rule_paths.h"
#include "server/sandbox.h"

#include <stdio.h>
#include <string.h>

enum { TEXT_BYTES_MAX = 256 << 20 };

struct check_options {
    bool help, syntax_only, lint_fatal, lenient, ignore_unknown;
    const char *lint;
    struct flag_list features;
    int64_t timeout_ms, lookback_ms;
};

static const char USAGE[] = "Usage: belfry check config [FILE...]      configuration files; "
                            "prometheus.yml when none is named\n"
                            "       belfry check rules [FILE...]       rule files; standard "
                            "input when none is named\n"
                            "       belfry check alertmanager FILE...  configuration files of "
                            "Alertmanager, as amtool check-config\n"
                            "       belfry check service-discovery FILE JOB  the targets of a job, "
                            "before and after relabelling\n"
                            "       belfry check metrics [FILE]        an exposition on standard "
                            "input (or in FILE): is it well made?\n"
                            "       belfry check web-config FILE...     files of --web.config.file "
                            "and what they name\n"
                            "       belfry check sandbox                what the server is kept "
                            "from on this kernel\n\n"
                            "Flags:\n";

/* Does --lint name it? "all" names everything. */
static bool lint_names(const char *list, const char *name)
{
    for (const char *word = list; *word;) {
        struct view item = {word, strcspn(word, ",")};
        if (view_is(item, name) || view_is(item, "all"))
            return true;
        word += item.len + (word[item.len] == ',');
    }
    return false;
}

/* As promtool: a word that is not known is told, and asks for nothing. */
static void warn_of_lints(const char *list)
{
    static const char *const KNOWN[] = {"all", "duplicate-rules", "too-long-scrape-interval",
                                        "none"};
    for (const char *word = list; *word;) {
        struct view item = {word, strcspn(word, ",")};
        bool known = item.len == 0;
        for (size_t i = 0; i < ARRAY_COUNT(KNOWN); i++)
            known |= view_is(item, KNOWN[i]);
        if (!known)
            fprintf(stderr, "belfry: warning: unknown lint option \"%.*s\"\n",
                    VIEW_ARGS(view_slice(item, 0, 100)));
        word += item.len + (word[item.len] == ',');
    }
}

static enum config_unknown unknown_fields(const struct check_options *o)
{
    return o->lenient ? CONFIG_UNKNOWN_IS_WARNING : CONFIG_UNKNOWN_IS_ERROR;
}

static struct rule_check_options rule_options(const struct check_options *o)
{
    struct rule_check_options options = {
        .file = {.ignore_unknown_fields = o->ignore_unknown || o->lenient},
        .lint_duplicates = lint_names(o->lint, "duplicate-rules")};
    flags_parser_features(&o->features, &options.file.parser);
    return options;
}

/* Prints what one rule file is; `path` NULL: `text`. */
static void check_rule_file(const char *path, struct view text,
                            const struct rule_check_options *options,
                            struct rule_check_report *report)
{
    struct buffer out, errors;
    buffer_init(&out, MEM_OTHER, TEXT_BYTES_MAX);
    buffer_init(&errors, MEM_OTHER, TEXT_BYTES_MAX);
    rule_check(path, text, options, &out, &errors, report);
    command_print_both(&out, &errors);
    putchar('\n');
    buffer_deinit(&out);
    buffer_deinit(&errors);
}

static int rule_status(const struct check_options *o, const struct rule_check_report *report)
{
    return report->has_errors                   ? EXIT_FAILED
           : report->has_lints && o->lint_fatal ? EXIT_LINT
                                                : EXIT_OK;
}

static int check_discovery(const struct check_options *o, const struct flag_words *words)
{
    struct error err = {0};
    struct buffer out, errors;
    if (words->count != 2) {
        error_set(&err, ERROR_USAGE, "expected a configuration file and the name of a job");
        return command_fail(&err);
    }
    buffer_init(&out, MEM_OTHER, TEXT_BYTES_MAX);
    buffer_init(&errors, MEM_OTHER, TEXT_BYTES_MAX);
    bool ok = discover_check(words->items[0], unknown_fields(o), words->items[1], o->timeout_ms,
                             &out, &errors, &err);
    command_print_both(&out, &errors);
    bool complete = errors.len == 0;
    buffer_deinit(&out);
    buffer_deinit(&errors);
    return ok ? (complete ? EXIT_OK : EXIT_FAILED) : command_fail(&err);
}

/* The rule files that a valid configuration names. */
static void check_config_rules(const char *path, const struct check_options *o,
                               struct rule_check_report *report)
{
    struct rule_check_options options = rule_options(o);
    struct error err = {0};
    struct config *config;
    struct arena arena;
    struct rule_paths paths;
    if (!config_load_file(path, unknown_fields(o), &config, &err)) {
        report->has_errors = true; /* it was replaced meanwhile */
        (void)command_fail(&err);
        return;
    }
    arena_init(&arena, MEM_OTHER, 0);
    options.file.legacy_names = config->global.metric_name_validation_scheme == CONFIG_NAMES_LEGACY;
    if (rule_paths_find(config, &arena, &paths, &err)) {
        for (size_t i = 0; i < paths.count; i++)
            check_rule_file(paths.items[i], VIEW(""), &options, report);
    } else {
        report->has_errors = true;
        (void)command_fail(&err);
    }
    arena_deinit(&arena);
    config_unref(config);
}

static int check_config(const struct check_options *o, const struct flag_words *words)
{
    static char default_file[] = "prometheus.yml";
    char *default_words[] = {default_file};
    struct flag_words files = *words;
    bool ok = true, lints = false;
    struct rule_check_report rules = {0};
    struct config_check_options options = {
        .syntax_only = o->syntax_only,
        .unknown = unknown_fields(o),
        .scrape_interval_max_ms =
            lint_names(o->lint, "too-long-scrape-interval") ? o->lookback_ms : 0};
    if (files.count == 0) {
        files.items = default_words;
        files.count = 1;
    }
    for (int i = 0; i < files.count; i++) {
        struct buffer out, errors;
        buffer_init(&out, MEM_OTHER, TEXT_BYTES_MAX);
        buffer_init(&errors, MEM_OTHER, TEXT_BYTES_MAX);
        bool valid = config_check(files.items[i], &options, &out, &errors);
        ok &= valid;
        lints |= options.lints_found > 0;
        command_print_both(&out, &errors);
        buffer_deinit(&out);
        buffer_deinit(&errors);
        if (valid && !o->syntax_only)
            check_config_rules(files.items[i], o, &rules);
    }
    if (!ok)
        return EXIT_FAILED;
    rules.has_lints |= lints;
    return rule_status(o, &rules);
}

static bool read_stdin(struct buffer *out, struct error *err)
{
    char piece[64 * 1024];
    size_t n;
    while ((n = fread(piece, 1, sizeof piece, stdin)) > 0)
        buffer_append(out, piece, n);
    if (ferror(stdin))
        return error_set(err, ERROR_IO, "could not read standard input");
    if (out->failed)
        return error_set(err, ERROR_TOO_LARGE, "standard input is larger than %d bytes",
                         TEXT_BYTES_MAX);
    return true;
}

static int check_rules(const struct check_options *o, const struct flag_words *words)
{
    struct rule_check_options options = rule_options(o);
    struct rule_check_report report = {0};
    for (int i = 0; i < words->count; i++)
        check_rule_file(words->items[i], VIEW(""), &options, &report);
    if (words->count == 0) {
        struct error err = {0};
        struct buffer text;
        buffer_init(&text, MEM_OTHER, TEXT_BYTES_MAX);
        bool ok = read_stdin(&text, &err);
        if (ok)
            check_rule_file(NULL, buffer_view(&text), &options, &report);
        buffer_deinit(&text);
        if (!ok)
            return command_fail(&err);
    }
    return rule_status(o, &report);
}

static int check_metrics(const struct flag_words *words)
{
    struct error err = {0};
    struct arena arena;
    struct buffer text;
    struct lint_report report;
    int status = EXIT_OK;
    arena_init(&arena, MEM_OTHER, 0);
    buffer_init(&text, MEM_OTHER, TEXT_BYTES_MAX);
    bool from_file = words->count && strcmp(words->items[0], "-") != 0;
    bool ok = from_file ? file_read_all(words->items[0], &text, &err) : read_stdin(&text, &err);
    if (!ok || !lint_exposition(&arena, buffer_view(&text), &report, &err)) {
        status = command_fail(&err);
        goto done;
    }
    for (size_t i = 0; i < report.count; i++)
        fprintf(stderr, "%.*s %.*s\n", VIEW_ARGS(report.items[i].metric),
                VIEW_ARGS(report.items[i].text));
    if (report.count)
        status = EXIT_LINT;
done:
    buffer_deinit(&text);
    arena_deinit(&arena);
    return status;
}

static int check_web_config(const struct flag_words *words)
{
    bool ok = words->count > 0;
    if (!ok)
        fputs("belfry: check web-config needs a file\n", stderr);
    for (int i = 0; i < words->count; i++) {
        struct error err = {0};
        struct web_config *config;
        if (web_config_load(&config, words->items[i], &err)) {
            printf("%s SUCCESS\n", words->items[i]);
            web_config_unref(config);
        } else {
            fprintf(stderr, "%s FAILED: %s\n", words->items[i], err.message);
            ok = false;
        }
    }
    return ok ? EXIT_OK : EXIT_FAILED;
}

static int check_alertmanager(const struct flag_words *words)
{
    struct error err = {0};
    bool ok = true;
    if (words->count == 0) {
        error_set(&err, ERROR_USAGE, "expected the name of a file");
        return command_fail(&err);
    }
    for (int i = 0; i < words->count; i++) {
        struct buffer out, warnings;
        buffer_init(&out, MEM_OTHER, TEXT_BYTES_MAX);
        buffer_init(&warnings, MEM_OTHER, TEXT_BYTES_MAX);
        ok &= alert_check(words->items[i], &out, &warnings);
        command_print_both(&out, &warnings);
        buffer_deinit(&out);
        buffer_deinit(&warnings);
    }
    return ok ? EXIT_OK : EXIT_FAILED;
}

int command_check(int argc, char **argv)
{
    struct error err = {0};
    struct check_options o = {
        .lint = "duplicate-rules", .timeout_ms = 30 * 1000, .lookback_ms = 5 * 60 * 1000};
    struct flag_words words;
    const struct flag flags[] = {{"help", 'h', FLAG_SWITCH, &o.help, NULL, "Show this."},
                                 {"syntax-only", 0, FLAG_SWITCH, &o.syntax_only, NULL,
                                  "Do not look for the files it names."},
                                 {"config.lenient", 0, FLAG_SWITCH, &o.lenient, NULL,
                                  "Warn of unknown fields instead of failing."},
                                 {"lint", 0, FLAG_TEXT, &o.lint, "NAME,...",
                                  "What to look for beside errors: all, duplicate-rules, "
                                  "too-long-scrape-interval, none."},
                                 {"lint-fatal", 0, FLAG_SWITCH, &o.lint_fatal, NULL,
                                  "Exit with 3 when that finds something."},
                                 {"ignore-unknown-fields", 0, FLAG_SWITCH, &o.ignore_unknown, NULL,
                                  "Pass over fields of rule files that are not known."},
                                 {"enable-feature", 0, FLAG_LIST, &o.features, "NAME,...",
                                  "Features of PromQL that are off by default; repeatable."},
                                 {"query.lookback-delta", 0, FLAG_DURATION, &o.lookback_ms,
                                  "DURATION", "What a scrape interval is too long for."},
                                 {"timeout", 0, FLAG_DURATION, &o.timeout_ms, "DURATION",
                                  "How long to wait for discovery."}};
    if (!flags_parse(flags, ARRAY_COUNT(flags), argc, argv, &words, command_warn, &err))
        return command_fail(&err);
    const char *what = words.count ? words.items[0] : "";
    if (strcmp(what, "sandbox") == 0 && !o.help)
        return sandbox_check(stdout) ? EXIT_OK : EXIT_FAILED;
    bool config = strcmp(what, "config") == 0, web = strcmp(what, "web-config") == 0,
         discovery = strcmp(what, "service-discovery") == 0, rules = strcmp(what, "rules") == 0,
         alertmanager = strcmp(what, "alertmanager") == 0;
    if (o.help || (!config && !web && !discovery && !rules && !alertmanager &&
                   strcmp(what, "metrics") != 0)) {
        fputs(USAGE, o.help ? stdout : stderr);
        flags_print_help(o.help ? stdout : stderr, flags, ARRAY_COUNT(flags));
        return o.help ? EXIT_OK : EXIT_USAGE;
    }
    words.items++;
    words.count--;
    if (rules || config)
        warn_of_lints(o.lint);
    if (web)
        return check_web_config(&words);
    if (discovery)
        return check_discovery(&o, &words);
    if (alertmanager)
        return check_alertmanager(&words);
    if (rules)
        return check_rules(&o, &words);
    return config ? check_config(&o, &words) : check_metrics(&words);
}
