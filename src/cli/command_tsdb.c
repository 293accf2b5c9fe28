/* SPDX-License-Identifier: Apache-2.0 */
/* command_tsdb.c: belfry tsdb list|dump|analyze|verify|import|create-blocks-from, after promtool's tsdb commands. */
#include "cli/command_tsdb.h"

#include "base/clock.h"
#include "base/mem.h"
#include "cli/command.h"
#include "storage/ulid.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_FOLDER "data"

static const char USAGE[] =
    "Usage: belfry tsdb list [FOLDER]                      blocks of a data folder (default: "
    "data)\n"
    "       belfry tsdb dump [FOLDER]                      its samples as text\n"
    "       belfry tsdb analyze [FOLDER] [BLOCK]           what a block's series are made of\n"
    "       belfry tsdb verify [FOLDER]                    reads every byte and says what is "
    "damaged\n"
    "       belfry tsdb import prometheus SOURCE [FOLDER]  a data folder of Prometheus becomes "
    "blocks here\n"
    "       belfry tsdb import openmetrics FILE [FOLDER]   samples with timestamps become blocks "
    "here; "
    "- reads standard input\n"
    "       belfry tsdb create-blocks-from rules --start TIME FILE...  what recording rules would "
    "have "
    "given, asked of a server\n\n"
    "Flags:\n";

static const struct {
    const char *name;
    int (*run)(const struct tsdb_options *o, const struct flag_words *words);
} SUBCOMMANDS[] = {{"list", tsdb_list},       {"dump", tsdb_dump},
                   {"analyze", tsdb_analyze}, {"verify", tsdb_verify},
                   {"import", tsdb_import},   {"create-blocks-from", tsdb_create_blocks}};

int command_tsdb(int argc, char **argv)
{
    struct error err = {0};
    struct tsdb_options o = {
        .limit = 20, .format = "prom", .output_dir = "data", .eval_interval_ms = 60 * 1000};
    struct flag_words words;
    const struct flag flags[] = {
        {"help", 'h', FLAG_SWITCH, &o.help, NULL, "Show this."},
        {"human-readable", 'r', FLAG_SWITCH, &o.human_readable, NULL,
         "list: times and sizes for people."},
        {"limit", 0, FLAG_COUNT, &o.limit, "N", "analyze: length of each list."},
        {"min-time", 0, FLAG_TEXT, &o.min_time, "MS", "dump: from here; ms since the epoch."},
        {"max-time", 0, FLAG_TEXT, &o.max_time, "MS", "dump: up to here, included."},
        {"match", 0, FLAG_LIST, &o.matchers, "SELECTOR", "dump: these series; repeatable."},
        {"format", 0, FLAG_TEXT, &o.format, "prom|openmetrics", "dump: how to write it."},
        {"memory", 0, FLAG_BYTES, &o.memory_bytes, "BYTES",
         "import: memory for samples that are to be sorted; 512MB."},
        {"url", 0, FLAG_TEXT, &o.url, "URL",
         "create-blocks-from rules: the server; also the environment's BELFRY_URL."},
        {"start", 0, FLAG_TEXT, &o.start, "TIME",
         "create-blocks-from rules: from when; RFC 3339 or Unix seconds."},
        {"end", 0, FLAG_TEXT, &o.end, "TIME",
         "create-blocks-from rules: until when; default three hours ago."},
        {"eval-interval", 0, FLAG_DURATION, &o.eval_interval_ms, "DURATION",
         "create-blocks-from rules: the interval of groups that say none; 1m."},
        {"output-dir", 0, FLAG_TEXT, &o.output_dir, "FOLDER",
         "create-blocks-from rules: where the blocks go; data."}};
    if (!flags_parse(flags, ARRAY_COUNT(flags), argc, argv, &words, command_warn, &err))
        return command_fail(&err);
    for (size_t i = 0; i < ARRAY_COUNT(SUBCOMMANDS) && words.count && !o.help; i++) {
        if (strcmp(words.items[0], SUBCOMMANDS[i].name) != 0)
            continue;
        const struct flag_words rest = {words.items + 1, words.count - 1};
        return SUBCOMMANDS[i].run(&o, &rest);
    }
    fputs(USAGE, o.help ? stdout : stderr);
    flags_print_help(o.help ? stdout : stderr, flags, ARRAY_COUNT(flags));
    return o.help ? EXIT_OK : EXIT_USAGE;
}

/* --- folders ---------------------------------------------------------------------------------------- */

bool tsdb_folder(const struct flag_words *words, int idx, const char **dir)
{
    *dir = words->count > idx ? words->items[idx] : DEFAULT_FOLDER;
    if (file_exists(*dir))
        return true;
    fprintf(stderr, "belfry: there is no data folder \"%s\"\n", *dir);
    return false;
}

struct names {
    char (*items)[ULID_BYTES];
    size_t count, capacity;
};

static bool name_visit(void *arg, const char *name, bool is_dir)
{
    struct names *n = arg;
    if (!is_dir || !ulid_is_valid(name))
        return true;
    n->items = mem_grow(MEM_OTHER, n->items, &n->capacity, n->count + 1, sizeof *n->items);
    memcpy(n->items[n->count++], name, ULID_BYTES);
    return true;
}

bool tsdb_block_names(const char *dir, char (**names)[27], size_t *count, struct error *err)
{
    struct names n = {0};
    bool ok = dir_list(dir, name_visit, &n, err);
    *names = n.items;
    *count = n.count;
    return ok;
}

/* --- for people ------------------------------------------------------------------------------------- */

void tsdb_time_text(int64_t ms, bool human_readable, char out[32])
{
    struct tm tm;
    time_t seconds = (time_t)(ms / 1000 - (ms % 1000 < 0));
    if (!human_readable || !gmtime_r(&seconds, &tm) ||
        !strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
        (void)snprintf(out, 32, "%" PRId64, ms);
}

void tsdb_bytes_text(uint64_t bytes, bool human_readable, char out[32])
{
    static const char *const UNITS[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double v = (double)bytes;
    size_t unit = 0;
    if (!human_readable) {
        (void)snprintf(out, 32, "%" PRIu64, bytes);
        return;
    }
    for (; v >= 1024 && unit + 1 < ARRAY_COUNT(UNITS); unit++)
        v /= 1024;
    (void)snprintf(out, 32, unit ? "%.1f %s" : "%.0f %s", v, UNITS[unit]);
}

static struct {
    bool line_open;
    mono_time said;
} progress_state; /* main thread */

void tsdb_progress(const char *what, uint64_t done, uint64_t total)
{
    enum { TERMINAL_MS = 200, LINE_MS = 10 * 1000 };
    bool terminal = isatty(STDERR_FILENO);
    bool first = progress_state.said.ns == 0;
    if (!first && mono_ms_since(progress_state.said) < (terminal ? TERMINAL_MS : LINE_MS))
        return;
    progress_state.said = clock_mono();
    if (first && !terminal)
        return; /* the first ten seconds need no word */
    char text[160];
    if (total)
        (void)snprintf(text, sizeof text, "%s: %" PRIu64 " of %" PRIu64 " (%.0f %%)", what, done,
                       total, 100.0 * (double)done / (double)total);
    else
        (void)snprintf(text, sizeof text, "%s: %" PRIu64, what, done);
    fprintf(stderr, terminal ? "\r\033[K%s" : "%s\n", text);
    progress_state.line_open = terminal;
}

void tsdb_progress_end(void)
{
    if (progress_state.line_open)
        fputs("\r\033[K", stderr);
    progress_state.line_open = false;
}
