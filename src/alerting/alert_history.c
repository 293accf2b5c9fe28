/* SPDX-License-Identifier: Apache-2.0 */
/* alert_history.c: what happens to alerts and notifications, on its way to the database; alert_history_write.c writes it,
 * alert_history_read.c answers.
 *
 * Whoever tells never waits. What happens to an alert while its row waits folds into that row: an episode is one row however
 * often it changes, and firing and resolving are never folded away. A change alone waits CHANGE_DELAY_MS for more of its
 * kind. The queue is bounded by the alerts that are there, but for episodes that end while the database fails: beyond
 * EVENTS_MAX the oldest are dropped and counted. */
#include "alerting/alert_state_private.h"

#include "base/assert.h"
#include "base/checksum.h"

enum {
    EVENTS_MAX = 1000000,
    NOTES_MAX = 20000,
    NOTED_ALERTS_MAX = 4000000, /* of all notes together: 36 MB */
};

/* --- the two queues --- */

static struct history_queue *queue_of(struct history *h, const struct history_event *e)
{
    return e->is_change ? &h->changes : &h->events;
}

/* Before something is added: when did it begin to wait? */
static void note_begin(struct history *h, bool is_change)
{
    if (is_change && h->changes.count == 0)
        h->changes_since = clock_mono();
    else if (!is_change && h->events.count == 0 && h->notes == NULL)
        h->events_since = clock_mono();
}

static void queue_push(struct history_queue *q, struct history_event *e)
{
    e->next = NULL;
    e->previous = q->last;
    *(q->last ? &q->last->next : &q->first) = e;
    q->last = e;
    q->count++;
}

static void queue_remove(struct history_queue *q, struct history_event *e)
{
    *(e->previous ? &e->previous->next : &q->first) = e->next;
    *(e->next ? &e->next->previous : &q->last) = e->previous;
    q->count--;
}

static bool event_equal(const void *context, uint32_t item, const void *key)
{
    const struct history *h = context;
    return h->slots[item]->alert->fingerprint == *(const uint64_t *)key;
}

static uint64_t hash_of(uint64_t fingerprint)
{
    return hash64_secret(&fingerprint, sizeof fingerprint);
}

static uint32_t find_slot(const struct history *h, uint64_t fingerprint)
{
    return map_find(&h->by_fingerprint, hash_of(fingerprint), event_equal, h, &fingerprint);
}

/* The newest of an alert that waits is found by its fingerprint, so that more can fold into it. */
static void index_put(struct history *h, struct history_event *e)
{
    uint64_t fingerprint = e->alert->fingerprint;
    uint32_t slot = find_slot(h, fingerprint);
    if (slot == MAP_NONE) {
        if (h->free_count > 0) {
            slot = h->free_slots[--h->free_count];
        } else {
            h->slots = mem_grow(MEM_ALERTING, h->slots, &h->slot_capacity, h->slot_count + 1,
                                sizeof(struct history_event *));
            h->free_slots = mem_grow(MEM_ALERTING, h->free_slots, &h->free_capacity,
                                     h->slot_count + 1, sizeof(uint32_t));
            slot = (uint32_t)h->slot_count++;
        }
        map_add(&h->by_fingerprint, hash_of(fingerprint), slot);
    }
    h->slots[slot] = e;
}

static void index_remove(struct history *h, const struct history_event *e)
{
    uint32_t slot = find_slot(h, e->alert->fingerprint);
    if (slot == MAP_NONE || h->slots[slot] != e)
        return; /* a newer one is there */
    map_remove(&h->by_fingerprint, hash_of(e->alert->fingerprint), slot);
    h->free_slots[h->free_count++] = slot;
}

static void event_free(struct history_event *e)
{
    live_alert_unref(e->alert);
    mem_free(MEM_ALERTING, e);
}

static void drop_oldest(struct history *h)
{
    struct history_event *e = h->events.first ? h->events.first : h->changes.first;
    index_remove(h, e);
    queue_remove(queue_of(h, e), e);
    event_free(e);
    h->dropped++;
}

void history_init(struct history *h)
{
    map_init(&h->by_fingerprint, MEM_ALERTING);
    h->notes_end = &h->notes;
}

int64_t history_due_ns(const struct history *h)
{
    int64_t due = INT64_MAX;
    if (h->events.count >= HISTORY_BATCH)
        return 0;
    if (h->events.count > 0 || h->notes)
        due = mono_add_ms(h->events_since, HISTORY_DELAY_MS).ns;
    if (h->changes.count > 0 && mono_add_ms(h->changes_since, HISTORY_CHANGE_DELAY_MS).ns < due)
        due = mono_add_ms(h->changes_since, HISTORY_CHANGE_DELAY_MS).ns;
    return due;
}

void history_deinit(struct history *h)
{
    while (h->events.count + h->changes.count > 0)
        drop_oldest(h);
    for (struct history_note *n = h->notes, *next; n; n = next) {
        next = n->next;
        history_note_free(n);
    }
    mem_free(MEM_ALERTING, h->slots);
    mem_free(MEM_ALERTING, h->free_slots);
    map_deinit(&h->by_fingerprint);
}

/* --- what happens to alerts --- */

static void add_event(struct history *h, enum alert_event event, struct live_alert *alert)
{
    if (h->events.count + h->changes.count >= EVENTS_MAX)
        drop_oldest(h);
    struct history_event *e = mem_alloc_zero(MEM_ALERTING, 1, sizeof *e);
    e->alert = alert;
    e->is_fired = event == ALERT_FIRED;
    e->is_resolved = event == ALERT_RESOLVED;
    e->is_change = event == ALERT_CHANGED;
    e->changes = event == ALERT_CHANGED;
    note_begin(h, e->is_change);
    queue_push(queue_of(h, e), e);
    index_put(h, e);
}

static void fold_event(struct history *h, struct history_event *e, enum alert_event event,
                       struct live_alert *alert)
{
    live_alert_unref(e->alert);
    e->alert = alert;
    if (event == ALERT_RESOLVED) {
        e->is_resolved = true;
        if (e->is_change) { /* it is urgent now */
            queue_remove(&h->changes, e);
            e->is_change = false;
            note_begin(h, false);
            queue_push(&h->events, e);
        }
    } else {
        e->changes++;
    }
}

void alert_history_alert(struct alert_state *s, enum alert_event event,
                         const struct live_alert *alert)
{
    struct history *h = &s->history;
    /* Counting a reference changes nothing that can be seen of an alert. */
    struct live_alert *a = live_alert_ref((struct live_alert *)(uintptr_t)alert);
    mutex_lock(&s->mutex);
    uint32_t slot = find_slot(h, alert->fingerprint);
    struct history_event *e = slot == MAP_NONE ? NULL : h->slots[slot];
    int64_t due = history_due_ns(h);
    /* Another start is another episode, whatever it is called. */
    if (e && !e->is_resolved && (event != ALERT_FIRED || e->alert->starts_ns == alert->starts_ns))
        fold_event(h, e, event, a);
    else
        add_event(h, event, a);
    if (event == ALERT_RESOLVED) {
        acks_end(s, alert->fingerprint, LIVE_ALERT_NEVER, alert->updated_ns);
        silences_forget_alert(s, alert->fingerprint);
    } else if (event == ALERT_FIRED) {
        acks_end(s, alert->fingerprint, alert->starts_ns, alert->updated_ns);
    }
    if (history_due_ns(h) < due)
        cond_signal(&s->wakes);
    mutex_unlock(&s->mutex);
}

/* --- notifications --- */

void history_note_free(struct history_note *n)
{
    arena_deinit(&n->arena);
    mem_free(MEM_ALERTING, n);
}

static struct history_note *note_new(const struct notification_record *r)
{
    struct history_note *n = mem_alloc_zero(MEM_ALERTING, 1, sizeof *n);
    arena_init(&n->arena, MEM_ALERTING, 0);
    n->record = *r;
    n->record.key.group_key = arena_copy(&n->arena, r->key.group_key);
    n->record.key.receiver = arena_copy(&n->arena, r->key.receiver);
    n->record.key.kind = arena_copy(&n->arena, r->key.kind);
    n->record.error = arena_copy(&n->arena, r->error);
    n->record.alerts = NULL;
    n->fingerprints = arena_alloc(&n->arena, (r->alert_count + 1) * sizeof(uint64_t));
    for (size_t i = 0; i < r->alert_count; i++) {
        n->fingerprints[i] = r->alerts[i]->fingerprint;
        n->firing_count += r->alerts[i]->ends_ns == LIVE_ALERT_NEVER;
    }
    return n;
}

static void drop_note(struct history *h)
{
    struct history_note *n = h->notes;
    h->notes = n->next;
    if (h->notes == NULL)
        h->notes_end = &h->notes;
    h->note_count--;
    h->noted_alerts -= n->record.alert_count;
    h->dropped++;
    history_note_free(n);
}

void alert_history_notification(struct alert_state *s, const struct notification_record *r)
{
    struct history *h = &s->history;
    struct history_note *n = note_new(r);
    mutex_lock(&s->mutex);
    while (h->notes &&
           (h->note_count >= NOTES_MAX || h->noted_alerts + r->alert_count > NOTED_ALERTS_MAX))
        drop_note(h);
    note_begin(h, false);
    int64_t due = history_due_ns(h);
    *h->notes_end = n;
    h->notes_end = &n->next;
    h->note_count++;
    h->noted_alerts += r->alert_count;
    if (history_due_ns(h) < due)
        cond_signal(&s->wakes);
    mutex_unlock(&s->mutex);
}

/* --- for the thread that writes; mutex held --- */

void history_take(struct history *h, bool with_changes, struct history_batch *out)
{
    *out = (struct history_batch){0};
    while (out->events.count < HISTORY_BATCH) {
        struct history_event *e = h->events.first ? h->events.first
                                  : with_changes  ? h->changes.first
                                                  : NULL;
        if (e == NULL)
            break;
        index_remove(h, e);
        queue_remove(queue_of(h, e), e);
        queue_push(&out->events, e);
    }
    size_t alerts = 0;
    struct history_note **end = &out->notes;
    while (h->notes && alerts < HISTORY_BATCH && out->note_count < HISTORY_BATCH) {
        struct history_note *n = h->notes;
        h->notes = n->next;
        n->next = NULL;
        *end = n;
        end = &n->next;
        alerts += n->record.alert_count;
        h->noted_alerts -= n->record.alert_count;
        h->note_count--;
        out->note_count++;
    }
    if (h->notes == NULL)
        h->notes_end = &h->notes;
}

/* Before what came meanwhile, in the old order. */
static void events_put_back(struct history *h, struct history_batch *b)
{
    note_begin(h, false);
    while (b->events.last) {
        struct history_event *e = b->events.last;
        queue_remove(&b->events, e);
        e->is_change = false; /* its time had come */
        e->previous = NULL;
        e->next = h->events.first;
        *(e->next ? &e->next->previous : &h->events.last) = e;
        h->events.first = e;
        h->events.count++;
        if (find_slot(h, e->alert->fingerprint) == MAP_NONE)
            index_put(h, e);
    }
}

static void notes_put_back(struct history *h, struct history_batch *b)
{
    struct history_note **end = &b->notes;
    for (; *end; end = &(*end)->next) {
        h->note_count++;
        h->noted_alerts += (*end)->record.alert_count;
    }
    *end = h->notes;
    if (h->notes == NULL)
        h->notes_end = b->notes ? end : &h->notes;
    h->notes = b->notes;
}

void history_give_back(struct history *h, struct history_batch *b, bool is_written)
{
    if (!is_written) {
        events_put_back(h, b);
        notes_put_back(h, b);
        return;
    }
    while (b->events.first) {
        struct history_event *e = b->events.first;
        queue_remove(&b->events, e);
        event_free(e);
    }
    for (struct history_note *n = b->notes, *next; n; n = next) {
        next = n->next;
        history_note_free(n);
    }
}
