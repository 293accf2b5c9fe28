/* SPDX-License-Identifier: Apache-2.0 */
/* discover_private.h: what discover*.c share. A kind of provider is a struct discover_kind; discover.c drives them.
 * All of its functions run under the work lock. */
#ifndef BELFRY_INGEST_DISCOVER_PRIVATE_H
#define BELFRY_INGEST_DISCOVER_PRIVATE_H

#include "base/clock.h"
#include "base/yaml.h"
#include "ingest/discover.h"

#include <curl/curl.h>
#include <poll.h>
#include <pthread.h>

struct discover_provider;

struct discover_kind {
    const char *kind;  /* CONFIG_FILE_SD and so on */
    const char *label; /* "file": as logs and metrics call it */
    size_t bytes;      /* of the provider's own state, which begins as zeros */
    /* What makes it the same provider after a reload, whatever else its settings are. */
    void (*key)(const void *settings, struct buffer *out);
    int64_t (*interval_ms)(const void *settings);
    /* It is due, or new, or its settings changed: begins to ask, or does all there is to do. first: on the thread that
     * applies a configuration; a kind that cannot answer at once returns and is asked again on the thread. */
    void (*refresh)(struct discover_provider *p, bool first);
    /* What else the thread waits for while the provider is busy, and what it does then. May be NULL, both. waits() adds
     * at most `max` descriptors, returns how many, and may lower *wait_ms. */
    size_t (*waits)(struct discover_provider *p, struct curl_waitfd *fds, size_t max, int *wait_ms);
    void (*work)(struct discover_provider *p);
    void (*close)(
        struct discover_provider *p); /* gives up what is on its way; frees what the state owns */
};
extern const struct discover_kind DISCOVER_FILE, DISCOVER_HTTP, DISCOVER_DNS;

struct discover_provider {
    struct discover *discover;
    const struct discover_kind *kind;
    const void *settings;         /* of the configuration in force */
    const struct yaml_node *node; /* as they were written */
    struct view key;              /* allocated */
    mono_time due;
    bool busy;        /* asking: not due */
    bool answered;    /* found something or failed since it was opened */
    char *last_error; /* logged already; NULL: none */
    struct discover_result
        *result; /* under discover's results lock; referenced; NULL: nothing yet */
    void *state;
};

/* Pushes what was found; takes the references. The same sets as before change nothing. */
void discover_push(struct discover_provider *p, struct target_groups *const *sets, size_t count);
/* A refresh went wrong: counted, said once until it is another error or none. */
void discover_failed(struct discover_provider *p, const char *what, const struct error *err);
void discover_succeeded(struct discover_provider *p);
/* The next refresh is in so many ms, instead of after the interval. */
void discover_delay(struct discover_provider *p, int64_t ms);

/* For kinds: the thread's multi handle, whose finished transfers come back by CURLOPT_PRIVATE, a provider. Only on
 * the thread. */
CURLM *discover_multi(struct discover *d);
struct client_tokens *discover_tokens(struct discover *d);
void discover_http_done(struct discover_provider *p, CURLcode code);

/* Tests only, before there are providers: "127.0.0.1:5353" in place of resolv.conf's servers; NULL = those. */
void discover_dns_test_set_servers(const char *csv);

/* Watches a folder for files that change in it: providers of the kind file are refreshed. False when it cannot be
 * watched. */
bool discover_watch(struct discover *d, const char *folder);

struct discover_counters {
    _Atomic uint64_t refreshes, refresh_failures;
    _Atomic uint64_t file_read_errors, file_watcher_errors, file_scans, file_scan_ns;
    _Atomic uint64_t http_failures, dns_lookups, dns_failures;
};
struct discover_counters *discover_counters(struct discover *d);
#define DISCOVER_COUNT(counter, n) atomic_fetch_add_explicit(&(counter), (n), memory_order_relaxed)

#endif
