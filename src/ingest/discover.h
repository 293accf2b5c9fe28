/* SPDX-License-Identifier: Apache-2.0 */
/* discover.h: where targets come from besides static_configs. For each entry of a *_sd_configs list that this version
 * can discover by there is a provider; it pushes what it found, whole, and what it found last stays when it fails.
 * Target groups then go the same way as those of static_configs (scrape.h).
 *
 * One thread waits for all of them: for files that change, for answers, for the next refresh. Its work on providers
 * is done under one lock, which only it and discover_apply() take; nothing that scrapes or answers ever does. */
#ifndef BELFRY_INGEST_DISCOVER_H
#define BELFRY_INGEST_DISCOVER_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/error.h"
#include "ingest/client.h"
#include "ingest/config.h"
#include "ingest/target_groups.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct discover; /* opaque */

/* What a provider found: immutable and reference counted. */
struct discover_result {
    _Atomic uint32_t refs;
    size_t count;
    struct target_groups *sets[]; /* referenced */
};

struct discover_options {
    struct client_tokens *tokens;
    int64_t pause_ms; /* between two calls of changed(); 0 = 1 s */
    /* On the discovery thread, when what providers found is not what it was. It may call discover_result_get(). */
    void (*changed)(void *arg);
    void (*log)(void *arg, bool is_error, const char *event, const char *text); /* may be NULL */
    void *arg;
};

/* The thread is started when there is something to discover. */
struct discover *discover_new(const struct discover_options *opts);
/* Joins the thread. NULL is fine. */
void discover_free(struct discover *d);

/* Makes the providers those of this configuration, which must live until the next call or discover_free() (the caller
 * has a reference). One that was there goes on with what it found; new files are read before this returns, other
 * new providers ask at once. One caller at a time. */
void discover_apply(struct discover *d, const struct config *config);
/* The same for the entries of these lists, instead of those of the scrape jobs; the lists' array is borrowed during the
 * call only. */
void discover_apply_lists(struct discover *d, const struct config_discoveries *const *lists,
                          size_t count);

/* What an entry of the configuration applied last found so far; NULL: nothing yet. The reference is the caller's. Any
 * thread. */
struct discover_result *discover_result_get(struct discover *d,
                                            const struct config_discovery *entry);
void discover_result_unref(struct discover_result *r); /* NULL does nothing */

/* Waits until each provider of the configuration has found something or failed, at most timeout_ms. For the command
 * line. False: some are still asking. */
bool discover_wait(struct discover *d, int64_t timeout_ms);

struct discover_stats {
    uint64_t providers, refreshes, refresh_failures;
    uint64_t file_read_errors, file_watcher_errors, file_scans;
    double file_scan_seconds;
    uint64_t http_failures;
    uint64_t dns_lookups, dns_failures;
};
void discover_stats_get(struct discover *d, struct discover_stats *out);
/* The files that file_sd has read, by name, with when they were changed. Texts are in the arena. Any thread. */
struct discover_file_time {
    struct view path;
    double seconds; /* since the epoch */
};
size_t discover_file_times(struct discover *d, struct arena *arena,
                           struct discover_file_time **out);

#endif
