/* SPDX-License-Identifier: Apache-2.0 */
/* alert_state_private.h: what the files of alert_state share.
 *
 *   alert_state.c            open, load, close
 *   alert_state_db.c         the file: schema, statements, what is done when it is damaged
 *   alert_state_writer.c     the thread that writes, and how a caller waits for it
 *   silence*.c, acknowledgement.c, notification_log.c    one kind of memory each
 *   alert_history*.c         what happened: its queue, its rows, its questions
 *
 * One thread writes, with a connection of its own. What a caller must know to be kept (a silence, an acknowledgement) is a
 * state_change: staged, written and applied to memory by that thread, in transactions that many changes share, while the caller
 * waits on a condition. So memory never says what the disk does not, no lock is held across I/O, and changes of one thing
 * come one after the other. All else is written behind. */
#ifndef BELFRY_ALERTING_ALERT_STATE_PRIVATE_H
#define BELFRY_ALERTING_ALERT_STATE_PRIVATE_H

#include "access/sqlite_db.h"
#include "alerting/acknowledgement.h"
#include "alerting/alert_history.h"
#include "alerting/alert_state.h"
#include "alerting/silence.h"
#include "base/buffer.h"
#include "base/map.h"
#include "base/reader.h"
#include "base/thread.h"

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_SECOND INT64_C(1000000000)

enum {
    STATE_TEXT_BYTES_MAX = 16 << 20,
    STATE_READERS = 4 /* of the pool of history two, of explanations two */
};

/* --- statements, by number; their texts are in alert_state_db.c --- */

enum state_statement {
    STATEMENT_SILENCE_PUT,
    STATEMENT_SILENCE_DELETE_ENDED,
    STATEMENT_ACK_PUT,
    STATEMENT_ACK_END,
    STATEMENT_ACK_PRUNE,
    STATEMENT_LOG_PUT,
    STATEMENT_LOG_DELETE_EXPIRED,
    STATEMENT_LABEL_SET_PUT,
    STATEMENT_LABEL_SET_DELETE,
    STATEMENT_LABEL_INDEX_PUT,
    STATEMENT_LABEL_INDEX_DELETE,
    STATEMENT_EPISODE_CLOSE_OTHER,
    STATEMENT_EPISODE_UPDATE,
    STATEMENT_EPISODE_INSERT,
    STATEMENT_EPISODE_PRUNE,
    STATEMENT_NOTIFICATION_INSERT,
    STATEMENT_NOTIFICATION_PRUNE,
    STATEMENT_NOTIFICATION_ALERT_INSERT,
    STATEMENT_NOTIFICATION_ALERT_PRUNE,
    STATEMENT_COUNT
};

/* A connection to the file. */
struct state_file {
    char *path;           /* NULL: memory alone */
    struct sqlite_db *db; /* NULL: not open */
    sqlite3_stmt *statements[STATEMENT_COUNT];
    uint64_t device, inode; /* of the open file */
    struct error damage; /* ERROR_NONE: none was found; else it is moved aside at the next open */
};

/* --- changes that somebody waits for --- */

struct state_change;
struct state_change_kind {
    const char *what; /* "the silence" */
    /* Mutex held: judges the change by what memory has. */
    bool (*stage)(struct alert_state *s, struct state_change *c, struct error *err);
    bool (*write)(struct alert_state *s, struct state_change *c, struct error *err);
    void (*apply)(struct alert_state *s, struct state_change *c); /* mutex held; it is committed */
    void (*drop)(struct alert_state *s, struct state_change *c);  /* mutex held; it is not */
};
struct state_change {
    const struct state_change_kind *kind;
    uint64_t
        subject; /* two changes of one subject are never in one transaction; 0: of nothing that is there */
    struct state_change *next;
    bool is_done, is_ok;
    struct error *err;
};

/* --- silences --- */

struct kept_silence {
    uint64_t serial;        /* ascending in silences.items */
    uint64_t added_version; /* of silences.version: who looked then knows it */
    struct arena arena;     /* of all texts */
    char id[SILENCE_ID_BYTES + 1];
    struct matchers matchers; /* as they were given, compiled */
    int64_t starts_ns, ends_ns, updated_ns;
    struct view created_by, comment;
    struct labels annotations;
    struct silence_recurrence recurrence; /* anchor_ns is always set */
    bool anchor_is_given;                 /* else it is the start that was asked for */
    struct recurrence *windows;           /* NULL: it does not recur */
    struct silence_window window;         /* at each time in [window_from_ns, window_until_ns) */
    int64_t window_from_ns, window_until_ns;
};

/* Which silences have matched an alert; what is not in it has been tried up to `version`. */
struct silence_cache_entry {
    uint64_t fingerprint, version;
    uint64_t labels_secret; /* of the labels tried: others may share the fingerprint */
    uint64_t *serials;      /* NULL while none matched */
    uint32_t count, next_free;
};

struct silence_bucket {
    uint64_t hash; /* of a label and its value */
    uint32_t *items;
    size_t count, capacity;
};

struct silences {
    struct kept_silence **items;
    size_t count, capacity, staged; /* staged: new ones in the transaction under way */
    struct map by_id;               /* hash of the id -> place in items */
    uint64_t serial_next, version;
    int64_t now_ns,
        next_change_ns; /* states are known from now_ns until next_change_ns, not included */
    /* Silences by one equality matcher of theirs; those without one. Expired ones are left out when it is built anew. */
    struct silence_bucket *buckets;
    size_t bucket_count, bucket_capacity;
    struct map bucket_index;
    struct silence_bucket others;
    size_t indexed_expired;
    struct silence_cache_entry *cache;
    size_t cache_count, cache_capacity;
    uint32_t cache_free; /* first of the free ones; MAP_NONE */
    struct map cache_index;
};

void silences_init(struct silences *s);
void silences_deinit(struct silences *s);
/* Adds what was read from the database, unless it is there; takes it. */
void silences_load(struct alert_state *s, struct kept_silence *k);
/* Forgets those that ended at or before `before_ns`. */
void silences_forget(struct alert_state *s, int64_t before_ns);
/* The alert is gone: what was matched for it is forgotten. */
void silences_forget_alert(struct alert_state *s, uint64_t fingerprint);
uint32_t silences_find(const struct silences *s, struct view id); /* MAP_NONE */
struct kept_silence *silence_decode(struct view id, struct view bytes);
void silence_encode(struct buffer *out, const struct kept_silence *k);
void kept_silence_free(struct kept_silence *k);
/* Finds the window at now_ns, unless it is known. */
void kept_silence_find_window(struct kept_silence *k, int64_t now_ns);
/* Puts a silence that is new, or in place of the one with its id, into memory. */
void silences_put(struct alert_state *s, struct kept_silence *k);
/* By its start and end alone. */
enum silence_state kept_silence_span(const struct kept_silence *k, int64_t now_ns);
/* With the window that silences_advance() has found. */
enum silence_state kept_silence_state(const struct kept_silence *k, int64_t now_ns);
/* Brings states up to now_ns; mutex held. */
void silences_advance(struct alert_state *s, int64_t now_ns);
void silences_changed(struct alert_state *s);
MUST_USE bool silences_write_all(struct alert_state *s, struct error *err);

/* --- acknowledgements: one per fingerprint --- */

struct kept_ack {
    struct arena arena;
    struct acknowledgement ack;
    int64_t seen_ns; /* when the alert was last asked for */
};
struct acks {
    struct kept_ack **items;
    size_t count, capacity;
    struct map by_fingerprint;
    /* Episodes that ended, whose rows are to be closed. */
    struct ack_end {
        uint64_t fingerprint;
        int64_t starts_ns, at_ns;
    } * ended;
    size_t ended_count, ended_capacity;
    int64_t next_expiry_ns;
};
void acks_deinit(struct acks *a);
void acks_load(struct alert_state *s, const struct acknowledgement *ack);
/* The alert has no episode any more, or another one. Mutex held. */
void acks_end(struct alert_state *s, uint64_t fingerprint, int64_t keep_starts_ns, int64_t at_ns);
MUST_USE bool acks_write_all(struct alert_state *s, struct error *err);
MUST_USE bool acks_write_ends(struct alert_state *s, const struct ack_end *ends, size_t count,
                              struct error *err);
/* They are to be written still. */
void acks_ends_put_back(struct alert_state *s, const struct ack_end *ends, size_t count);
void acks_forget(struct alert_state *s, int64_t now_ns, int64_t unseen_before_ns);

/* --- the notification log --- */

struct log_record; /* immutable, counted */
struct log_entry {
    uint64_t hash;
    struct log_record *record;
    bool is_dirty;
};
struct notification_log {
    struct log_entry *items;
    size_t count, capacity;
    struct map by_key;
    size_t dirty_count, writing_count; /* to be written; being written */
    uint64_t tickets;                  /* given out */
    uint64_t queries;
};
void notification_log_deinit(struct notification_log *l);
/* From a row; the newer one of two stays. False: these bytes are no entry. */
void notification_log_dirty_all(struct notification_log *l); /* the file is a new one */
bool notification_log_load(struct alert_state *s, struct view key, struct view body);
void notification_log_forget(struct alert_state *s, int64_t now_ns);
/* The alerts that somebody knows as firing, ascending as signed numbers, each once; owned (MEM_ALERTING). Takes the mutex. */
int64_t *notification_log_firing(struct alert_state *s, int64_t now_ns, size_t *count);
/* The records that are to be written; each is written by log_record_write() and given back. Mutex held. */
struct log_record **notification_log_take(struct alert_state *s, size_t *count);
MUST_USE bool log_record_write(struct alert_state *s, const struct log_record *r,
                               struct error *err);
/* Mutex held. `is_written`: else they are to be written still, unless newer ones are. Frees the array. */
void notification_log_taken(struct alert_state *s, struct log_record **records, size_t count,
                            bool is_written);

/* --- history --- */

enum {
    HISTORY_BATCH = 4000,   /* events, or alerts of notifications, in one transaction: some 50 ms */
    HISTORY_DELAY_MS = 200, /* so long an event waits for others */
    HISTORY_CHANGE_DELAY_MS = 10000 /* and a mere change for more of its kind */
};

/* What is to become of an episode's row. */
struct history_event {
    struct history_event *next, *previous;
    struct live_alert *alert; /* referenced; the latest */
    bool is_fired, is_resolved;
    bool is_change; /* nothing else: in the queue of changes */
    uint64_t changes;
};
struct history_queue {
    struct history_event *first, *last;
    size_t count;
};

struct history_note {
    struct history_note *next;
    struct arena arena;
    struct notification_record record; /* texts in the arena; alerts NULL */
    uint64_t *fingerprints;
    size_t firing_count;
};

struct history {
    struct history_queue events, changes;
    mono_time events_since,
        changes_since;         /* when the queue began to be filled; events: notes, too */
    struct map by_fingerprint; /* the newest event of an alert that waits: place in slots */
    struct history_event **slots;
    size_t slot_count, slot_capacity;
    uint32_t *free_slots;
    size_t free_count, free_capacity;
    struct history_note *notes, **notes_end;
    size_t note_count, noted_alerts;
    uint64_t dropped, dropped_told;
    bool is_late; /* open alerts were asked for while the file could not be read */
};

struct history_batch {
    struct history_queue events;
    struct history_note *notes;
    size_t note_count;
};

void history_init(struct history *h);
void history_deinit(struct history *h);
void history_note_free(struct history_note *n);
/* Mutex held. Changes too: those that did not wait long. */
void history_take(struct history *h, bool with_changes, struct history_batch *out);
void history_give_back(struct history *h, struct history_batch *b, bool is_written);
/* When something is to be written; INT64_MAX: there is nothing. */
int64_t history_due_ns(const struct history *h);
MUST_USE bool history_write(struct alert_state *s, const struct history_batch *b,
                            struct error *err);
MUST_USE bool history_close_all(struct alert_state *s, struct error *err);
/* Deletes what is old or too much, a few rows at a time. */
MUST_USE bool history_prune(struct alert_state *s, int64_t now_ns, struct error *err);
uint64_t history_pair_hash(struct buffer *scratch, struct view name, struct view value);

/* --- all of it --- */

struct alert_state {
    struct alert_state_options options; /* constant; dir is not used */

    struct state_file file; /* the writer's, and before it starts the opener's */

    /* As many questions about the past at a time as there are connections for them; none is asked with a lock held. */
    pthread_mutex_t read_mutex; /* guards is_reading; a leaf */
    pthread_cond_t read_ended;
    struct state_file readers[STATE_READERS]; /* each its question's; path is that of file */
    bool is_reading[STATE_READERS];

    pthread_mutex_t mutex; /* guards the rest */
    pthread_cond_t wakes, done;
    struct silences silences;
    struct acks acks;
    struct notification_log log;
    struct history history;
    uint64_t version; /* alert_state_version() */
    struct state_change *changes, **changes_end;
    bool is_stopping;
    struct alert_state_stats stats;
    struct error fault; /* ERROR_NONE: none */
    alert_state_matched *matched;
    void *matched_arg;
    alert_state_kept *kept;
    void *kept_arg;
    size_t watch_calls; /* of either, under way */
    pthread_t thread;
};

/* Waits until the change is in force or refused. Takes nothing. */
MUST_USE bool alert_state_change(struct alert_state *s, struct state_change *c, struct error *err);
MUST_USE bool alert_state_writer_start(struct alert_state *s, struct error *err);
void alert_state_writer_stop(struct alert_state *s);
void alert_state_log(const struct alert_state *s, bool is_error, const char *event,
                     const char *format, ...) PRINTF_LIKE(4, 5);
/* Notes what came of a transaction or of opening. Mutex not held. */
void alert_state_note(struct alert_state *s, bool ok, const struct error *err);

/* The writer writes what waits, between two transactions of a long work. False: the work is to end. */
bool alert_state_give_way(struct alert_state *s);

/* Opens the connection only. */
MUST_USE bool state_file_connect(struct state_file *f, bool create, bool *is_damaged,
                                 struct error *err);
struct view state_column_bytes(sqlite3_stmt *st, int column);
int64_t state_column_time(sqlite3_stmt *st, int column); /* NULL: LIVE_ALERT_NEVER */
/* Opens the file and adds to memory what is in it. A damaged file is moved aside. */
MUST_USE bool state_file_open(struct alert_state *s, struct error *err);
void state_file_close(struct state_file *f);
/* Is the open file still the one of its path? Somebody may have removed it. */
bool state_file_is_there(const struct state_file *f);
/* Runs one statement that gives no rows. kinds: t text, b bytes (both struct view), i int64_t, n int64_t where LIVE_ALERT_NEVER is NULL,
 * f double. */
MUST_USE bool state_run(struct alert_state *s, enum state_statement which, struct error *err,
                        const char *kinds, ...);

/* Names and values, as varint count and strings. */
void state_put_labels(struct buffer *b, struct labels ls);
bool state_get_labels(struct reader *r, struct arena *arena, struct labels *out);

#endif
