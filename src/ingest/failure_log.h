/* SPDX-License-Identifier: Apache-2.0 */
/* failure_log.h: scrape_failure_log_file: why scrapes failed, one JSON object per line with the keys that Prometheus 3
 * writes. Jobs that name the same file share it. */
#ifndef BELFRY_INGEST_FAILURE_LOG_H
#define BELFRY_INGEST_FAILURE_LOG_H

#include "base/view.h"
#include "ingest/config.h"

#include <stdbool.h>

struct failure_logs; /* opaque */

/* complain(arg, text) is told of files that cannot be opened or written, once until the next apply; may be NULL. */
struct failure_logs *failure_logs_new(void (*complain)(void *arg, const char *text), void *arg);
void failure_logs_free(struct failure_logs *l); /* NULL is fine */
/* Opens the files of this configuration's jobs anew, so that they may have been moved away, and closes others. Any
 * thread, one at a time. */
void failure_logs_apply(struct failure_logs *l, const struct config *config);
/* A line in the job's file, if it has one. Any thread. */
void failure_logs_write(struct failure_logs *l, const struct config_scrape_job *job,
                        struct view url, struct view message);

#endif
