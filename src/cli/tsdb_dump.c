/* SPDX-License-Identifier: Apache-2.0 */
/* tsdb_dump.c: belfry tsdb dump: samples of a folder that no server uses, as promtool prints them. */
#include "base/arena.h"
#include "base/floattext.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/command_tsdb.h"
#include "model/label_store.h"
#include "promql/parser.h"
#include "storage/db.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES_MAX = 64 << 20, FLUSH_BYTES = 1 << 16 };

struct dump {
    struct storage_view *view;
    struct arena arena, line_arena;
    struct label_store *labels;
    struct buffer out;
    bool openmetrics;
    int64_t mint, maxt;
};

/* promtool writes {__name__="up", job="x"}; OpenMetrics up{job="x"}. */
static void series_text(const struct dump *d, struct labels ls, struct buffer *out)
{
    if (d->openmetrics)
        labels_format(out, ls);
    else
        labels_format_set(out, ls);
}

static bool out_flush(struct dump *d, size_t keep_below, struct error *err)
{
    if (d->out.len <= keep_below)
        return true;
    bool ok = !d->out.failed && fwrite(d->out.ptr, 1, d->out.len, stdout) == d->out.len;
    buffer_reset(&d->out);
    return ok || error_set(err, ERROR_IO, "could not write to standard output");
}

static bool series_dump(struct dump *d, struct view text, const struct samples *s,
                        struct error *err)
{
    char number[FLOAT_TEXT_BYTES];
    for (size_t i = 0; i < s->count; i++) {
        buffer_append_view(&d->out, text);
        buffer_append_byte(&d->out, ' ');
        buffer_append(&d->out, number, float_format_general(s->values[i], number));
        if (d->openmetrics) {
            int64_t ms = s->times[i], seconds = ms / 1000 - (ms % 1000 < 0);
            buffer_printf(&d->out, " %" PRId64 ".%03" PRId64 "\n", seconds, ms - seconds * 1000);
        } else {
            buffer_printf(&d->out, " %" PRId64 "\n", s->times[i]);
        }
        if (!out_flush(d, FLUSH_BYTES, err))
            return false;
    }
    return true;
}

static bool select_dump(struct dump *d, const struct select *what, struct error *err)
{
    struct series_list list;
    struct storage_reader *r = view_reader_new(d->view, NULL, err);
    bool ok = r && view_select(d->view, what, d->labels, &d->arena, &list, err);
    struct buffer text;
    buffer_init(&text, MEM_OTHER, LINE_BYTES_MAX);
    for (size_t i = 0; ok && i < list.count; i++) {
        struct samples samples;
        arena_reset(&d->line_arena);
        buffer_reset(&text);
        series_text(d, label_store_labels(d->labels, list.items[i].labels, &d->line_arena), &text);
        ok = reader_read(r, list.items[i].ref, d->mint, d->maxt, &samples, err) &&
             series_dump(d, buffer_view(&text), &samples, err);
    }
    if (ok && r->lost_count)
        fprintf(stderr, "belfry: warning: %" PRIu64 " columns are damaged and left out: %s\n",
                r->lost_count, r->lost.message);
    storage_reader_free(r);
    buffer_deinit(&text);
    return ok;
}

static bool selector_dump(struct dump *d, const char *selector, struct error *err)
{
    struct promql *parsed;
    if (!promql_parse_selector(view_from(selector), &parsed, err))
        return error_wrap(err, "--match=%s", selector);
    const struct selector *s = &promql_root(parsed)->u.selector;
    const struct select what = {.matchers = s->matchers,
                                .matcher_count = s->matcher_count,
                                .mint = d->mint,
                                .maxt = d->maxt};
    bool ok = select_dump(d, &what, err);
    promql_free(parsed);
    return ok;
}

static bool time_flag(const char *name, const char *text, int64_t *out, struct error *err)
{
    char *end;
    if (!text)
        return true;
    *out = strtoll(text, &end, 10);
    return (*text && !*end) || error_set(err, ERROR_USAGE,
                                         "--%s=%s: expected milliseconds since the epoch, such as "
                                         "1700000000000",
                                         name, text);
}

static bool dump_all(struct dump *d, const struct tsdb_options *o, struct error *err)
{
    const struct select everything = {.mint = d->mint, .maxt = d->maxt};
    bool ok = true;
    for (size_t i = 0; ok && i < o->matchers.count; i++)
        ok = selector_dump(d, o->matchers.items[i], err);
    if (o->matchers.count == 0)
        ok = select_dump(d, &everything, err);
    if (ok && d->openmetrics)
        buffer_append_literal(&d->out, "# EOF\n");
    return ok && out_flush(d, 0, err);
}

/* Opening would make a data folder of any. */
static bool is_data_folder(const char *dir)
{
    char path[4096], (*names)[27];
    struct error err = {0};
    size_t count = 0;
    (void)snprintf(path, sizeof path, "%s/head", dir);
    bool ok = tsdb_block_names(dir, &names, &count, &err);
    mem_free(MEM_OTHER, names);
    if (!ok)
        return command_fail(&err) == EXIT_OK;
    if (count == 0 && !file_exists(path)) {
        fprintf(stderr, "belfry: \"%s\" is no data folder: it has neither head/ nor blocks\n", dir);
        return false;
    }
    return true;
}

int tsdb_dump(const struct tsdb_options *o, const struct flag_words *words)
{
    struct error err = {0};
    struct dump d = {.mint = INT64_MIN, .maxt = INT64_MAX};
    const struct db_options options = {.maintain_when_asked = true, .retention_ms = -1};
    const char *dir;
    struct db *db;
    d.openmetrics = strcmp(o->format, "openmetrics") == 0;
    if (!d.openmetrics && strcmp(o->format, "prom") != 0) {
        error_set(&err, ERROR_USAGE, "--format=%s: expected prom or openmetrics", o->format);
        return command_fail(&err);
    }
    if (!time_flag("min-time", o->min_time, &d.mint, &err) ||
        !time_flag("max-time", o->max_time, &d.maxt, &err))
        return command_fail(&err);
    if (!tsdb_folder(words, 0, &dir))
        return EXIT_FAILED;
    if (!is_data_folder(dir))
        return EXIT_FAILED;
    if (!db_open(&db, dir, &options, NULL, &err)) {
        if (err.kind == ERROR_BUSY)
            error_hint(&err,
                       "dump a snapshot (POST /api/v1/admin/tsdb/snapshot), or stop the server");
        return command_fail(&err);
    }
    arena_init(&d.arena, MEM_OTHER, 0);
    arena_init(&d.line_arena, MEM_OTHER, 0);
    buffer_init(&d.out, MEM_OTHER, LINE_BYTES_MAX);
    d.labels = label_store_new(MEM_OTHER, 0);
    d.view = source_pin(db_as_source(db), d.mint, d.maxt, &err);
    bool ok = d.view && dump_all(&d, o, &err);
    view_release(d.view);
    label_store_free(d.labels);
    buffer_deinit(&d.out);
    arena_deinit(&d.line_arena);
    arena_deinit(&d.arena);
    int status = ok ? EXIT_OK : command_fail(&err);
    if (!db_close(db, &err))
        return command_fail(&err);
    return status;
}
