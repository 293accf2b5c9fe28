/* SPDX-License-Identifier: Apache-2.0 */
/* series_log.h: what rows refer to by number, as bytes: symbols, shapes, series, groups, metadata.
 * Format: series_log.c. */
#ifndef BELFRY_STORAGE_SERIES_LOG_H
#define BELFRY_STORAGE_SERIES_LOG_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "model/label_store.h"
#include "model/metric_type.h"

#include <stdbool.h>
#include <stdint.h>

/* Collects entries as framed records of about 64 KiB. Entries go in the order of their dependence:
 * symbols before shapes before series. */
struct series_log_writer {
    struct buffer records;
    size_t frame_begin; /* of the open record; SIZE_MAX = none */
};
void series_log_writer_init(struct series_log_writer *w);
void series_log_writer_deinit(struct series_log_writer *w);
/* A new numbering of symbols and shapes begins (a process, a rewritten log). */
void series_log_add_reset(struct series_log_writer *w);
void series_log_add_symbol(struct series_log_writer *w, uint32_t symbol, struct view text);
void series_log_add_shape(struct series_log_writer *w, uint32_t shape, const symbol_id *names,
                          uint32_t count);
void series_log_add_series(struct series_log_writer *w, uint32_t series, uint32_t shape,
                           const symbol_id *values, uint32_t count);
void series_log_add_group(struct series_log_writer *w, uint32_t group, struct view key);
void series_log_add_metadata(struct series_log_writer *w, const struct metric_metadata *m);
/* Ends the open record and gives all records; their sequences are not set yet. The writer is empty
 * then; *out is owned by the caller (buffer_deinit). */
void series_log_take(struct series_log_writer *w, struct buffer *out);

/* Reading: numbers of symbols and shapes in the log are mapped to those of `labels`. */
struct series_log_reader;
struct series_log_visitor {
    /* A label set of the store and its series number. */
    void (*series)(void *arg, uint32_t series, labels_id labels);
    void (*group)(void *arg, uint32_t group, struct view key);
    void (*metadata)(void *arg, const struct metric_metadata *m);
    void *arg;
};
struct series_log_reader *series_log_reader_new(struct label_store *labels,
                                                const struct series_log_visitor *visitor);
void series_log_reader_free(struct series_log_reader *r);
/* One record's payload. False when it is malformed (entries before the fault were visited). Entries that
 * refer to what was lost are left out and counted. */
MUST_USE bool series_log_read(struct series_log_reader *r, struct view payload);
uint64_t series_log_reader_lost(const struct series_log_reader *r);

#endif
