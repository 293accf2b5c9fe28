/* SPDX-License-Identifier: Apache-2.0 */
/* tsdb_list.c: belfry tsdb list, analyze and verify. They read a folder in use as well. */
#include "base/arena.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/command_tsdb.h"
#include "storage/block_stats.h"
#include "storage/verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 4096 };

/* --- list ------------------------------------------------------------------------------------------- */

static void list_line(const struct block_meta *m, uint64_t bytes, bool human)
{
    char mint[32], maxt[32], size[32], range[32];
    tsdb_time_text(m->mint, human, mint);
    tsdb_time_text(m->maxt, human, maxt);
    tsdb_bytes_text(bytes, human, size);
    int64_t seconds = (m->maxt - m->mint) / 1000;
    (void)snprintf(range, sizeof range, "%" PRId64 "h%" PRId64 "m%" PRId64 "s", seconds / 3600,
                   seconds / 60 % 60, seconds % 60);
    printf("%-26s  %-20s  %-20s  %-10s  %5" PRIu32 "  %13" PRIu64 "  %9" PRIu64 "  %12s\n", m->ulid,
           mint, maxt, range, m->level, m->sample_count, m->series_count, size);
}

int tsdb_list(const struct tsdb_options *o, const struct flag_words *words)
{
    struct error err = {0};
    const char *dir;
    char(*names)[27];
    size_t count;
    int status = EXIT_OK;
    if (!tsdb_folder(words, 0, &dir))
        return EXIT_FAILED;
    if (!tsdb_block_names(dir, &names, &count, &err))
        return command_fail(&err);
    printf("%-26s  %-20s  %-20s  %-10s  %5s  %13s  %9s  %12s\n", "BLOCK ULID", "MIN TIME",
           "MAX TIME", "DURATION", "LEVEL", "NUM SAMPLES", "NUM SERIES", "SIZE");
    for (size_t i = 0; i < count; i++) {
        char path[PATH_BYTES];
        struct block *b;
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        if (block_open(&b, path, &err)) {
            list_line(block_get_meta(b), dir_bytes(path), o->human_readable);
            block_unref(b);
        } else {
            status = command_fail(&err);
        }
    }
    mem_free(MEM_OTHER, names);
    return status;
}

/* --- analyze ---------------------------------------------------------------------------------------- */

static void stats_list_print(const char *title, const struct block_stats_list *l)
{
    printf("\n%s:\n", title);
    for (size_t i = 0; i < l->count && l->items[i].value > 0; i++)
        printf("%" PRIu64 " %.*s\n", l->items[i].value, VIEW_ARGS(l->items[i].text));
}

static void stats_print(const struct block_meta *m, const struct block_stats *s)
{
    int64_t seconds = (m->maxt - m->mint) / 1000;
    printf("Block ID: %s\nDuration: %" PRId64 "h%" PRId64 "m%" PRId64 "s\n", m->ulid,
           seconds / 3600, seconds / 60 % 60, seconds % 60);
    printf("Total Series: %" PRIu64 "\nLabel names: %" PRIu64 "\n", s->series, s->label_names);
    printf("Postings (unique label pairs): %" PRIu64 "\n", s->label_pairs);
    printf("Postings entries (total label pairs): %" PRIu64 "\n", s->postings);
    stats_list_print("Label pairs most involved in churning", &s->churn_by_pair);
    stats_list_print("Label names most involved in churning", &s->churn_by_name);
    stats_list_print("Most common label pairs", &s->series_by_pair);
    stats_list_print("Label names with highest cumulative label value length",
                     &s->value_bytes_by_name);
    stats_list_print("Highest cardinality labels", &s->values_by_name);
    stats_list_print("Highest cardinality metric names", &s->series_by_metric);
}

/* The block that is named, else the newest; NULL, having said so, when there is none. */
static struct block *block_choose(const char *dir, const char *wanted)
{
    struct error err = {0};
    struct block *best = NULL;
    char(*names)[27];
    size_t count;
    if (!tsdb_block_names(dir, &names, &count, &err)) {
        (void)command_fail(&err); /* NULL says it */
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        char path[PATH_BYTES];
        struct block *b;
        if (wanted && strcmp(names[i], wanted) != 0)
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        if (!block_open(&b, path, &err)) {
            (void)command_fail(&err); /* another block may do */
            continue;
        }
        bool newer = !best || block_get_meta(b)->maxt > block_get_meta(best)->maxt;
        block_unref(newer ? best : b);
        best = newer ? b : best;
    }
    mem_free(MEM_OTHER, names);
    if (!best && wanted)
        fprintf(stderr, "belfry: \"%s\" has no block \"%s\" that can be read\n", dir, wanted);
    else if (!best)
        fprintf(stderr, "belfry: \"%s\" has no block; the newest hours are not in one yet\n", dir);
    return best;
}

int tsdb_analyze(const struct tsdb_options *o, const struct flag_words *words)
{
    struct error err = {0};
    struct block_stats stats;
    struct arena arena;
    const char *dir;
    if (!tsdb_folder(words, 0, &dir))
        return EXIT_FAILED;
    struct block *b = block_choose(dir, words->count > 1 ? words->items[1] : NULL);
    if (!b)
        return EXIT_FAILED;
    arena_init(&arena, MEM_OTHER, 0);
    int status = EXIT_OK;
    if (block_stats_get(b, (size_t)o->limit, &arena, &stats, &err))
        stats_print(block_get_meta(b), &stats);
    else
        status = command_fail(&err);
    arena_deinit(&arena);
    block_unref(b);
    return status;
}

/* --- verify ----------------------------------------------------------------------------------------- */

static void verify_line(void *arg, const struct verify_item *i)
{
    (void)arg;
    tsdb_progress_end();
    if (i->damaged) {
        printf("DAMAGED  %s %s: %s", i->what, i->name, i->first.message);
        if (i->damaged > 1)
            printf(" (and %" PRIu64 " more)", i->damaged - 1);
        putchar('\n');
    } else if (strcmp(i->what, "block") == 0) {
        printf("ok       block %s: %" PRIu64 " series, %" PRIu64 " samples, %" PRIu64 " bytes\n",
               i->name, i->series, i->samples, i->bytes);
    } else if (strcmp(i->what, "note") == 0) {
        printf("ok       %s %s: %" PRIu64 " bytes\n", i->what, i->name, i->bytes);
    } else {
        printf("ok       %s %s: %" PRIu64 " records, %" PRIu64 " bytes%s\n", i->what, i->name,
               i->records, i->bytes,
               i->torn ? "; ends within a record (being written, or cut by a crash)" : "");
    }
}

static void verify_progress(void *arg, const char *name, uint64_t done, uint64_t total)
{
    (void)arg;
    tsdb_progress(name, done, total);
}

int tsdb_verify(const struct tsdb_options *o, const struct flag_words *words)
{
    struct error err = {0};
    struct verify_options options = {.item = verify_line, .progress = verify_progress};
    size_t damaged;
    (void)o;
    if (!tsdb_folder(words, 0, &options.dir))
        return EXIT_FAILED;
    bool ok = verify_folder(&options, &damaged, &err);
    tsdb_progress_end();
    if (!ok)
        return command_fail(&err);
    if (damaged)
        printf("%zu damaged; the server moves damaged files to quarantine/ and serves the rest\n",
               damaged);
    return damaged ? EXIT_FAILED : EXIT_OK;
}
