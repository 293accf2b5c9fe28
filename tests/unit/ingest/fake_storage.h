/* SPDX-License-Identifier: Apache-2.0 */
/* fake_storage.h: appender.h over plain arrays, for tests of what feeds it: it remembers each row as text.
 * Linked before the storage library, whose functions it stands in for. */
#ifndef BELFRY_TESTS_FAKE_STORAGE_H
#define BELFRY_TESTS_FAKE_STORAGE_H

#include "base/buffer.h"
#include "storage/appender.h"

struct db *fake_db_new(void);
void fake_db_free(struct db *db);
/* Appends the newest row of the group whose key ends with `suffix`: "SERIES VALUE\n" in the order of the
 * series' text, "SERIES stale\n" for what ended, series that begin with "scrape_" left out. */
void fake_db_last_row(struct db *db, const char *suffix, struct buffer *out);
/* Appends all rows of the groups whose keys have this part, as "TIMESTAMP SERIES VALUE\n". */
void fake_db_rows(struct db *db, const char *part, struct buffer *out);
/* Appends "FAMILY TYPE [HELP] [UNIT]\n" as it was told, over all groups. */
void fake_db_metadata(struct db *db, struct buffer *out);
/* Appends "SERIES # LABELS VALUE @TIMESTAMP\n" for each exemplar that was taken with its row, and forgets them. */
void fake_db_exemplars(struct db *db, struct buffer *out);
size_t fake_db_row_count(struct db *db);
size_t fake_db_open_count(struct db *db);
/* Slots that were given back and not asked for again. */
size_t fake_db_released_count(struct db *db);
/* From now on: new series are refused over this number; appender_begin fails. */
void fake_db_series_max(struct db *db, size_t series_max);
void fake_db_refuse_rows(struct db *db, bool refuse);
/* Slots of all groups get other numbers: what sealing does. */
void fake_db_renumber(struct db *db);

#endif
