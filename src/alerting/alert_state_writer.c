/* SPDX-License-Identifier: Apache-2.0 */
/* alert_state_writer.c: the one thread that writes.
 *
 * A transaction takes all changes that wait (alert_state_private.h) and all of the notification log that is not written, so that one
 * sync pays for them. What was sent is what must be known after a crash, so nothing goes before it: between the end of a
 * send and its row lie one transaction under way and one sync. A process that is killed in between sends once more what it
 * had just sent; who sends is told when it is kept (alert_state_watch_kept()), and has few on their way till then.
 *
 * History goes along, at most HISTORY_BATCH rows of it, and before the log: whatever is sent of an alert, its episode is known to
 * the next process, which will tell of its end.
 *
 * After a failure it is tried again after RETRY_MS; a change that somebody waits for is tried at once. */
#include "alerting/alert_state_private.h"

#include "base/clock.h"

enum { RETRY_MS = 2000 };

bool alert_state_change(struct alert_state *s, struct state_change *c, struct error *err)
{
    c->err = err;
    c->next = NULL;
    mutex_lock(&s->mutex);
    if (s->is_stopping) {
        (void)error_set(err, ERROR_UNAVAILABLE, "the server is stopping");
        c->is_done = true;
        c->kind->drop(s, c);
    } else {
        *s->changes_end = c;
        s->changes_end = &c->next;
        cond_signal(&s->wakes);
    }
    while (!c->is_done)
        cond_wait(&s->done, &s->mutex);
    mutex_unlock(&s->mutex);
    return c->is_ok;
}

static void finish(struct alert_state *s, struct state_change *c, bool ok)
{
    if (ok)
        c->kind->apply(s, c);
    else
        c->kind->drop(s, c);
    c->is_ok = ok;
    c->is_done = true;
    cond_broadcast(&s->done);
}

/* Changes of the transaction, staged, in order. Those that are refused are done. */
static struct state_change *stage_changes(struct alert_state *s)
{
    struct state_change *batch = NULL, **end = &batch;
    while (s->changes) {
        struct state_change *c = s->changes;
        for (struct state_change *b = batch; b; b = b->next)
            if (c->subject != 0 && b->subject == c->subject)
                return batch;
        s->changes = c->next;
        if (s->changes == NULL)
            s->changes_end = &s->changes;
        c->next = NULL;
        if (c->kind->stage(s, c, c->err)) {
            *end = c;
            end = &c->next;
        } else {
            finish(s, c, false);
        }
    }
    return batch;
}

/* Opens the file when it is not open, or is not where it was. */
static bool reach_file(struct alert_state *s, struct error *err)
{
    if (s->file.db && !state_file_is_there(&s->file)) {
        alert_state_log(s, true, "alert_state_file_gone",
                        "%s was removed or replaced; it is opened anew with what memory has",
                        s->file.path);
        state_file_close(&s->file);
    }
    return s->file.db || state_file_open(s, err);
}

/* What one transaction writes. */
struct batch {
    struct state_change *changes;
    struct log_record **records;
    size_t record_count;
    uint64_t ticket; /* of the last record */
    struct ack_end *ends;
    size_t end_count;
    struct history_batch history;
    bool closes_all; /* episodes of the process before, which nobody took up */
};

static bool write_rows(struct alert_state *s, const struct batch *b, struct error *err)
{
    /* Ends first: what ended may have been acknowledged anew. */
    if (!acks_write_ends(s, b->ends, b->end_count, err))
        return error_wrap(err, "could not keep the ends of acknowledgements");
    for (struct state_change *c = b->changes; c; c = c->next)
        if (!c->kind->write(s, c, err))
            return error_wrap(err, "could not keep %s", c->kind->what);
    if ((b->closes_all && !history_close_all(s, err)) || !history_write(s, &b->history, err))
        return error_wrap(err, "could not keep the history of alerts");
    for (size_t i = 0; i < b->record_count; i++)
        if (!log_record_write(s, b->records[i], err))
            return error_wrap(err, "could not keep what was sent");
    return true;
}

/* After a failure: a file in which something is damaged is given up, one that cannot be used is opened again. */
static void give_up_file(struct alert_state *s, const struct error *err)
{
    if (err->kind == ERROR_CORRUPT)
        s->file.damage = *err;
    if (err->kind != ERROR_BUSY && err->kind != ERROR_NO_SPACE)
        state_file_close(&s->file);
}

/* One transaction. */
static bool write_batch(struct alert_state *s, const struct batch *b, struct error *err)
{
    if (s->file.path == NULL)
        return true;
    mono_time begin = clock_mono();
    if (!reach_file(s, err))
        return false;
    bool ok =
        sqlite_db_begin(s->file.db, err) && sqlite_db_end(s->file.db, write_rows(s, b, err), err);
    if (!ok)
        give_up_file(s, err);
    mutex_lock(&s->mutex);
    s->stats.commits += ok;
    s->stats.last_commit_ns = clock_mono().ns - begin.ns;
    mutex_unlock(&s->mutex);
    return ok;
}

static bool changes_are_due(const struct history *h)
{
    return h->changes.count > 0 && mono_ms_since(h->changes_since) >= HISTORY_CHANGE_DELAY_MS;
}

/* Takes what waits. Mutex held, as by the next two. */
static struct batch batch_take(struct alert_state *s)
{
    struct batch b = {.changes = stage_changes(s), .closes_all = s->history.is_late};
    s->history.is_late = false;
    history_take(&s->history, changes_are_due(&s->history), &b.history);
    b.records = notification_log_take(s, &b.record_count);
    b.ticket = s->log.tickets;
    b.ends = s->acks.ended;
    b.end_count = s->acks.ended_count;
    s->acks.ended = NULL;
    s->acks.ended_count = s->acks.ended_capacity = 0;
    return b;
}

static void batch_give_back(struct alert_state *s, struct batch *b, bool ok)
{
    notification_log_taken(s, b->records, b->record_count, ok);
    history_give_back(&s->history, &b->history, ok);
    if (!ok)
        acks_ends_put_back(s, b->ends, b->end_count);
    s->history.is_late = s->history.is_late || (b->closes_all && !ok);
    mem_free(MEM_ALERTING, b->ends);
    for (struct state_change *c = b->changes, *next; c; c = next) {
        next = c->next; /* who waits for it frees it */
        finish(s, c, ok);
    }
    s->silences.staged = 0;
}

/* When what nobody waits for is to be written; INT64_MAX: there is nothing. */
static int64_t rows_due_ns(const struct alert_state *s)
{
    if (s->file.path && s->file.db == NULL)
        return 0; /* there may be silences in it */
    return s->log.dirty_count > 0 || s->acks.ended_count > 0 ? 0 : history_due_ns(&s->history);
}

static void tell_dropped(struct alert_state *s)
{
    mutex_lock(&s->mutex);
    uint64_t dropped = s->history.dropped - s->history.dropped_told;
    s->history.dropped_told = s->history.dropped;
    mutex_unlock(&s->mutex);
    if (dropped > 0)
        alert_state_log(s, true, "alert_history_dropped",
                        "%llu rows of the history of alerts could not be written and are lost",
                        (unsigned long long)dropped);
}

/* Mutex held, but not during the call. */
static void tell_kept(struct alert_state *s, uint64_t ticket)
{
    alert_state_kept *kept = s->kept;
    void *arg = s->kept_arg;
    if (kept == NULL)
        return;
    s->watch_calls++;
    mutex_unlock(&s->mutex);
    kept(arg, ticket);
    mutex_lock(&s->mutex);
    s->watch_calls--;
    cond_broadcast(&s->done);
}

/* Writes what waits; a file that turns out to be damaged is replaced and it is tried once more. The mutex is given up meanwhile. */
static bool write_waiting(struct alert_state *s)
{
    struct error err = {0};
    struct batch b = batch_take(s);
    bool needs_file =
        s->file.path && s->file.db == NULL; /* it may hold silences that nobody knows */
    if (!needs_file && b.changes == NULL && b.record_count == 0 && b.end_count == 0 &&
        !b.closes_all && b.history.events.count == 0 && b.history.notes == NULL)
        return true;
    mutex_unlock(&s->mutex);
    bool ok = write_batch(s, &b, &err);
    if (!ok && s->file.damage.kind != ERROR_NONE)
        ok = write_batch(s, &b, &err);
    alert_state_note(s, ok, &err);
    tell_dropped(s);
    for (struct state_change *c = b.changes; c && !ok; c = c->next)
        (void)error_set(c->err, ERROR_UNAVAILABLE, "%s", err.message);
    mutex_lock(&s->mutex);
    batch_give_back(s, &b, ok);
    if (b.record_count > 0)
        tell_kept(s, b.ticket);
    return ok;
}

static bool forget_rows(struct alert_state *s, int64_t now, int64_t before, struct error *err)
{
    bool ok = sqlite_db_begin(s->file.db, err) &&
              sqlite_db_end(s->file.db,
                            state_run(s, STATEMENT_SILENCE_DELETE_ENDED, err, "i", before) &&
                                state_run(s, STATEMENT_LOG_DELETE_EXPIRED, err, "i", now),
                            err) &&
              history_prune(s, now, err);
    if (!ok)
        give_up_file(s, err);
    return ok;
}

/* Forgets what is past: in memory, then on disk. A file that was not reached is not ours to give up: it may be of a later version. */
static void maintain(struct alert_state *s)
{
    struct error err = {0};
    int64_t now = clock_wall().ms * NS_PER_MS, before = now - s->options.retention_ms * NS_PER_MS;
    silences_forget(s, before);
    acks_forget(s, now, before);
    notification_log_forget(s, now);
    s->stats.maintenance_runs++;
    if (s->file.path == NULL)
        return;
    mutex_unlock(&s->mutex);
    bool ok = reach_file(s, &err) && forget_rows(s, now, before, &err);
    alert_state_note(s, ok, &err);
    mutex_lock(&s->mutex);
    s->stats.maintenance_failures += !ok;
}

bool alert_state_give_way(struct alert_state *s)
{
    mutex_lock(&s->mutex);
    if (s->changes || rows_due_ns(s) <= clock_mono().ns)
        (void)write_waiting(s); /* what failed is said, and tried again by run() */
    bool goes_on = !s->is_stopping && s->file.db != NULL;
    mutex_unlock(&s->mutex);
    return goes_on;
}

static void *run(void *arg)
{
    struct alert_state *s = arg;
    mono_time maintain_at = mono_add_ms(clock_mono(), s->options.maintenance_ms), retry_at = {0};
    mutex_lock(&s->mutex);
    while (!s->is_stopping || s->changes) {
        mono_time now = clock_mono();
        int64_t rows_at = rows_due_ns(s);
        if (rows_at < retry_at.ns)
            rows_at = retry_at.ns;
        if (s->changes || now.ns >= rows_at) {
            if (!write_waiting(s))
                retry_at = mono_add_ms(clock_mono(), RETRY_MS);
        } else if (now.ns >= maintain_at.ns) {
            maintain(s);
            maintain_at = mono_add_ms(clock_mono(), s->options.maintenance_ms);
        } else {
            (void)cond_wait_until(&s->wakes, &s->mutex,
                                  rows_at < maintain_at.ns ? (mono_time){rows_at} : maintain_at);
        }
    }
    s->history.changes_since = (mono_time){0}; /* all is due */
    while (rows_due_ns(s) != INT64_MAX && write_waiting(s)) {
    } /* what fails now was said */
    mutex_unlock(&s->mutex);
    return NULL;
}

bool alert_state_writer_start(struct alert_state *s, struct error *err)
{
    return thread_start(&s->thread, "alert_state", run, s, err);
}

void alert_state_writer_stop(struct alert_state *s)
{
    mutex_lock(&s->mutex);
    s->is_stopping = true;
    cond_signal(&s->wakes);
    mutex_unlock(&s->mutex);
    thread_join(s->thread);
}
