/* SPDX-License-Identifier: Apache-2.0 */
/* alert_state.h: what alerting must not forget, in SQLite: silences, acknowledgements, the notification log, and the history of
 * alerts and notifications. Everything that is asked while alerts are routed is answered from memory; a change is committed
 * (synchronous=FULL) before the call that makes it returns or, for notification_log_put() and the history, by a thread of its
 * own that tells when it is. While the database cannot be written alerting goes on from memory, and the fault is shown. */
#ifndef BELFRY_ALERTING_ALERT_STATE_H
#define BELFRY_ALERTING_ALERT_STATE_H

#include "alerting/live_alert.h"
#include "alerting/matcher_text.h"
#include "base/arena.h"
#include "base/attributes.h"
#include "base/error.h"
#include "template/notification.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct alert_state;

enum { SILENCE_ID_BYTES = 36 }; /* a UUID */
#define ALERT_STATE_DB_NAME "alerts.db"

/* Borrowed during the call, but for log_arg. */
struct alert_state_options {
    const char *dir;          /* the data folder; NULL: memory alone, for tests and tools */
    int64_t retention_ms;     /* --data.retention: what has expired is kept so long; 0 = 120 h */
    int64_t maintenance_ms;   /* --data.maintenance-interval; 0 = 15 min */
    size_t silences_max;      /* --silences.max-silences, with the expired ones; 0 = no limit */
    size_t silence_bytes_max; /* --silences.max-silence-size-bytes; 0 = SILENCE_BYTES_MAX */
    int64_t silence_duration_max_ms; /* 0 = no limit */
    int64_t history_retention_ms;    /* --alerts.history-retention; 0 = 90 d */
    size_t history_rows_max; /* of episodes, and of notifications; 0 = 1000000; the oldest go */
    /* Called without a lock, on any thread. */
    void (*log)(void *arg, bool is_error, const char *event, const char *text);
    void *log_arg;
};
/* Fails only where no thread can be started: while there is no database alerting goes on from memory, alert_state_fault() says
 * why, and it is tried again. A damaged file is moved aside (alerts.db.damaged-TIME) after what can be read of it. */
MUST_USE bool alert_state_open(struct alert_state **out, const struct alert_state_options *options,
                               struct error *err);
/* Writes what is still to be written, as far as it can be. NULL is fine. */
void alert_state_close(struct alert_state *s);

/* How many of the alerts that are alive match, and how many there are: for warnings about silences. Called without a lock, on
 * the thread that sets a silence; NULL ends it, and no call is under way when this returns. */
typedef void alert_state_matched(void *arg, const struct matchers *m, size_t *matched,
                                 size_t *alive);
void alert_state_watch(struct alert_state *s, alert_state_matched *matched, void *arg);

/* All entries of the notification log up to this ticket are on disk, or the file fails. Called without a lock, on the thread
 * that writes; NULL ends it, and no call is under way when this returns. */
typedef void alert_state_kept(void *arg, uint64_t ticket);
void alert_state_watch_kept(struct alert_state *s, alert_state_kept *kept, void *arg);

/* For self metrics. Any thread. */
struct alert_state_stats {
    bool is_faulty;          /* what changed last could not be written */
    uint64_t write_failures; /* transactions that were not committed */
    uint64_t commits;
    uint64_t notification_log_entries, notification_log_queries;
    uint64_t pending_writes; /* rows of the notification log that are not written */
    int64_t last_commit_ns;  /* how long it took */
    uint64_t maintenance_runs, maintenance_failures;
    uint64_t history_pending; /* episodes and notifications that are not written */
    uint64_t history_dropped; /* because the database failed for too long */
};
void alert_state_stats(struct alert_state *s, struct alert_state_stats *out);
/* What is wrong with the database, in the arena; empty when all is well. Any thread. */
struct view alert_state_fault(struct alert_state *s, struct arena *arena);

/* Which silences mute an alert now, and which of its acknowledgements holds. Ids in the arena, ascending. Any thread; a lock for
 * the time of the look; a cache by fingerprint and version makes the second look cheap. */
struct silence_ids {
    struct view *items;
    size_t count;
};
bool alert_state_silenced(struct alert_state *s, struct arena *arena, uint64_t fingerprint,
                          struct labels labels, int64_t now_ns, struct silence_ids *out);
/* Grows with each change of silences or acknowledgements and each beginning or end of a silence up to now_ns. */
uint64_t alert_state_version(struct alert_state *s, int64_t now_ns);
/* Is this episode of the alert acknowledged? An acknowledgement ends with the episode. */
bool alert_state_acknowledged(struct alert_state *s, uint64_t fingerprint, int64_t starts_ns,
                              int64_t now_ns);

/* The notification log: what was last sent of a group to an integration. Alerts by fingerprint, ascending. */
struct notification_key {
    struct view group_key, receiver, kind; /* kind: "webhook" */
    size_t index;
};
struct notification_entry {
    int64_t sent_ns, expires_ns;
    const uint64_t *firing, *resolved;
    size_t firing_count, resolved_count;
    struct notification_kv remembered;
};
/* False: nothing was sent, or it has expired. In the arena. Any thread. */
bool notification_log_get(struct alert_state *s, struct arena *arena,
                          const struct notification_key *key, int64_t now_ns,
                          struct notification_entry *out);
/* In force at once; written soon. Returns the entry's ticket, which grows with each; 0: nobody need wait for it to be on disk, as
 * there is none or it fails. */
uint64_t notification_log_put(struct alert_state *s, const struct notification_key *key,
                              const struct notification_entry *entry);

/* History: never waits. An alert that resolves, or fires with another start, loses its acknowledgement. One that fires or
 * resolves is written within a fraction of a second, and not after what is sent of it. */
enum alert_event { ALERT_FIRED, ALERT_CHANGED, ALERT_RESOLVED };
void alert_history_alert(struct alert_state *s, enum alert_event event,
                         const struct live_alert *alert);
struct notification_record {
    struct notification_key key;
    int64_t at_ns, latency_ns;
    unsigned attempts;
    long status;
    bool is_sent;
    struct view error;
    struct live_alert *const *alerts; /* ends_ns LIVE_ALERT_NEVER = firing */
    size_t alert_count;
    uint64_t payload_hash; /* sender_result's */
};
void alert_history_notification(struct alert_state *s, const struct notification_record *r);
/* What routing begins with: the alerts whose episode had not ended when the process before ended; then those that were over, while
 * the notification log has them as firing (is_over): who was told of them may not have been told of their end. `alert` and its
 * texts are borrowed during the call; the ends_ns of one that is open was renewed by whoever told of it while that lived, so that
 * one with is_timeout may have passed. Those that are open and are not taken up are to be told of as ALERT_RESOLVED. Waits for
 * the disk. */
typedef void alert_history_each(void *arg, const struct live_alert *alert, bool is_over);
void alert_history_resume(struct alert_state *s, alert_history_each *each, void *arg);

#endif
