/* SPDX-License-Identifier: Apache-2.0 */
/* tsdb_import.c: belfry tsdb import prometheus|openmetrics: other people's history becomes blocks. The folder is
 * locked meanwhile: the server that uses it must be stopped. */
#include "cli/command.h"
#include "cli/command_tsdb.h"
#include "storage/openmetrics_import.h"
#include "storage/prometheus_import.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 4096 };

bool tsdb_folder_lock(const char *dir, struct file **lock, struct error *err)
{
    char path[PATH_BYTES];
    *lock = NULL;
    int len = snprintf(path, sizeof path, "%s/lock", dir);
    if (len < 0 || len >= PATH_BYTES)
        return error_set(err, ERROR_USAGE, "the name of the data folder is too long");
    if (!dir_create(dir, err))
        return false;
    if (file_lock(lock, path, err))
        return true;
    if (err->kind == ERROR_BUSY)
        error_hint(err, "stop the server that uses \"%.100s\", import, and start it again", dir);
    return false;
}

static void print_time_range(int64_t mint, int64_t maxt)
{
    char from[32], to[32];
    if (mint > maxt)
        return;
    tsdb_time_text(mint, true, from);
    tsdb_time_text(maxt, true, to);
    printf("time range:      %s to %s\n", from, to);
    printf("note:            the server keeps 15d unless --storage.tsdb.retention.time says "
           "otherwise, "
           "counted from the newest sample; older blocks are deleted at its next start\n");
}

/* --- prometheus ------------------------------------------------------------------------------------- */

static void import_progress(void *arg, const char *what, uint64_t done, uint64_t total)
{
    (void)arg;
    tsdb_progress(what, done, total);
}

static void import_problem(void *arg, const struct error *err)
{
    (void)arg;
    tsdb_progress_end();
    (void)command_fail(err); /* the status is the import's at its end */
}

static void print_log(const char *name, const struct prometheus_wal_report *r)
{
    if (r->segments == 0)
        return;
    printf("%-16s %" PRIu64 " segments, %" PRIu64 " records", name, r->segments, r->records);
    if (r->records_skipped)
        printf(", %" PRIu64
               " of kinds that are not imported (exemplars, metadata, native histograms)",
               r->records_skipped);
    putchar('\n');
    if (r->damaged)
        fprintf(stderr,
                "belfry: warning: %s is damaged at %" PRIu64
                " place%s, what stood there is lost: %s\n",
                name, r->damaged, r->damaged == 1 ? "" : "s", r->damage);
}

static void print_prometheus(const struct prometheus_import_result *r)
{
    printf("blocks:          %" PRIu64 " imported, %" PRIu64 " were here already, %" PRIu64
           " could not be read\n",
           r->blocks, r->blocks_present, r->blocks_failed);
    print_log("wal:", &r->wal);
    print_log("wbl:", &r->wbl);
    printf("from the logs:   %" PRIu64 " samples in %" PRIu64 " blocks\n", r->log_samples,
           r->log_blocks);
    printf("samples:         %" PRIu64 "\n", r->samples);
    print_time_range(r->mint, r->maxt);
    if (r->chunks_skipped)
        fprintf(stderr,
                "belfry: warning: %" PRIu64
                " chunks of native histograms (or of encodings not known here) were left out\n",
                r->chunks_skipped);
    if (r->log_samples_unknown)
        fprintf(stderr,
                "belfry: warning: %" PRIu64
                " samples of the logs belong to series that no record names; they were left out\n",
                r->log_samples_unknown);
}

static int import_prometheus(const struct tsdb_options *o, const char *source, const char *dir)
{
    struct error err = {0};
    struct prometheus_import_result result;
    const struct prometheus_import_options options = {.source = source,
                                                      .dir = dir,
                                                      .memory_bytes = (size_t)o->memory_bytes,
                                                      .progress = import_progress,
                                                      .problem = import_problem};
    struct file *lock;
    if (!tsdb_folder_lock(dir, &lock, &err))
        return command_fail(&err);
    bool ok = prometheus_import(&options, &result, &err);
    tsdb_progress_end();
    file_discard(lock);
    if (!ok)
        return command_fail(&err);
    print_prometheus(&result);
    return result.blocks_failed ? EXIT_FAILED : EXIT_OK;
}

/* A folder that looks like Prometheus': a mistyped path would else be an import of nothing. */
static bool source_check(const char *source, struct error *err)
{
    char(*names)[27];
    char path[PATH_BYTES];
    size_t count;
    if (!file_exists(source))
        return error_set(err, ERROR_NOT_FOUND, "there is no folder \"%s\"", source);
    if (!tsdb_block_names(source, &names, &count, err))
        return false;
    mem_free(MEM_OTHER, names);
    (void)snprintf(path, sizeof path, "%s/wal", source);
    return count > 0 || file_exists(path) ||
           error_set(err, ERROR_INPUT,
                     "\"%s\" has neither blocks nor wal/: expected a data folder of Prometheus",
                     source);
}

/* --- openmetrics ------------------------------------------------------------------------------------ */

/* A copy of standard input in the data folder, which is mapped afterwards: it may be larger than memory. */
static bool stdin_copy(const char *path, struct error *err)
{
    char piece[64 * 1024];
    struct file *f;
    size_t n;
    bool ok = file_remove(path, err) && file_create(&f, path, err);
    if (!ok)
        return false;
    while (ok && (n = fread(piece, 1, sizeof piece, stdin)) > 0)
        ok = file_write_all(f, (struct view){piece, n}, err);
    if (ok && ferror(stdin))
        ok = error_set(err, ERROR_IO, "could not read standard input");
    if (ok)
        return file_close(f, err);
    file_discard(f);
    return false;
}

static bool text_import(const struct tsdb_options *o, const char *path, const char *dir,
                        struct sample_sorter_result *result, struct error *err)
{
    struct openmetrics_import_options options = {
        .dir = dir, .memory_bytes = (size_t)o->memory_bytes, .progress = import_progress};
    if (!file_map(&options.text, path, err))
        return false;
    bool ok = openmetrics_import(&options, result, err);
    file_unmap(options.text);
    return ok;
}

static int import_openmetrics(const struct tsdb_options *o, const char *source, const char *dir)
{
    struct error err = {0};
    struct sample_sorter_result r;
    struct file *lock;
    char copy[PATH_BYTES];
    bool piped = strcmp(source, "-") == 0;
    if (!tsdb_folder_lock(dir, &lock, &err))
        return command_fail(&err);
    int len = snprintf(copy, sizeof copy, "%s/import.stdin.tmp", dir);
    bool ok = !piped || (len < PATH_BYTES && stdin_copy(copy, &err));
    ok = ok && text_import(o, piped ? copy : source, dir, &r, &err);
    tsdb_progress_end();
    struct error ignored;
    if (piped && !file_remove(copy, &ignored))
        fprintf(stderr, "belfry: warning: could not remove \"%s\"\n", copy);
    file_discard(lock);
    if (!ok)
        return command_fail(&err);
    printf("blocks:          %" PRIu64 " written, %" PRIu64 " were here already\n", r.blocks,
           r.blocks_present);
    printf("samples:         %" PRIu64 " of %" PRIu64 " series\n", r.samples, r.series);
    if (r.duplicates)
        printf("left out:        %" PRIu64 " samples at a time that their series has already\n",
               r.duplicates);
    print_time_range(r.mint, r.maxt);
    return EXIT_OK;
}

int tsdb_import(const struct tsdb_options *o, const struct flag_words *words)
{
    struct error err = {0};
    const char *what = words->count ? words->items[0] : "";
    const char *source = words->count > 1 ? words->items[1] : NULL;
    const char *dir = words->count > 2 ? words->items[2] : "data";
    if (source && strcmp(what, "openmetrics") == 0)
        return import_openmetrics(o, source, dir);
    if (source && strcmp(what, "prometheus") == 0)
        return source_check(source, &err) ? import_prometheus(o, source, dir) : command_fail(&err);
    error_set(&err, ERROR_USAGE,
              "expected: belfry tsdb import prometheus|openmetrics SOURCE [FOLDER]");
    return command_fail(&err);
}
