/* SPDX-License-Identifier: Apache-2.0 */
/* command_tsdb.h: what the files of `belfry tsdb` share. */
#ifndef BELFRY_CLI_COMMAND_TSDB_H
#define BELFRY_CLI_COMMAND_TSDB_H

#include "base/file.h"
#include "cli/flags.h"

#include <stdbool.h>
#include <stdint.h>

struct tsdb_options {
    bool help, human_readable;
    int64_t limit; /* of each list of analyze */
    const char *min_time, *max_time, *format;
    struct flag_list matchers;
    uint64_t memory_bytes;                      /* imports */
    const char *url, *start, *end, *output_dir; /* create-blocks-from rules */
    int64_t eval_interval_ms;
};

/* Each returns the exit status; words are what follows the subcommand's name. */
int tsdb_list(const struct tsdb_options *o, const struct flag_words *words);
int tsdb_dump(const struct tsdb_options *o, const struct flag_words *words);
int tsdb_analyze(const struct tsdb_options *o, const struct flag_words *words);
int tsdb_verify(const struct tsdb_options *o, const struct flag_words *words);
int tsdb_import(const struct tsdb_options *o, const struct flag_words *words);
int tsdb_create_blocks(const struct tsdb_options *o, const struct flag_words *words);

/* words[idx], or the default data folder. False, having said so: it is not there. */
bool tsdb_folder(const struct flag_words *words, int idx, const char **dir);
/* Makes the folder when missing and locks it: file_discard(*lock) lets it go. */
MUST_USE bool tsdb_folder_lock(const char *dir, struct file **lock, struct error *err);
/* Names of the blocks in a folder, ascending: arrays of 27 bytes, to be freed with mem_free(MEM_OTHER). */
MUST_USE bool tsdb_block_names(const char *dir, char (**names)[27], size_t *count,
                               struct error *err);
/* "2026-11-26T18:00:00Z", or ms as a number. */
void tsdb_time_text(int64_t ms, bool human_readable, char out[32]);
/* "1.5 GiB", or bytes as a number. */
void tsdb_bytes_text(uint64_t bytes, bool human_readable, char out[32]);
/* A line on stderr that is written over, when that is a terminal; else a line every ten seconds. */
void tsdb_progress(const char *what, uint64_t done, uint64_t total);
/* Ends the line of tsdb_progress(). */
void tsdb_progress_end(void);

#endif
