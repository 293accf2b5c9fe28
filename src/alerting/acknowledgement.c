/* SPDX-License-Identifier: Apache-2.0 */
/* acknowledgement.c: one per alert in memory; rows of those that ended stay as history, with the time of their end. */
#include "alerting/alert_state_private.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/clock.h"
#include "base/utf8.h"

#include <stdlib.h>

void acks_deinit(struct acks *a)
{
    for (size_t i = 0; i < a->count; i++) {
        arena_deinit(&a->items[i]->arena);
        mem_free(MEM_ALERTING, a->items[i]);
    }
    mem_free(MEM_ALERTING, a->items);
    mem_free(MEM_ALERTING, a->ended);
    map_deinit(&a->by_fingerprint);
}

static bool fingerprint_equal(const void *context, uint32_t item, const void *key)
{
    return ((const struct acks *)context)->items[item]->ack.fingerprint == *(const uint64_t *)key;
}

/* Labels, and so fingerprints, are chosen by strangers. */
static uint64_t hash_of(uint64_t fingerprint)
{
    return hash64_secret(&fingerprint, sizeof fingerprint);
}

static uint32_t find(const struct acks *a, uint64_t fingerprint)
{
    return map_find(&a->by_fingerprint, hash_of(fingerprint), fingerprint_equal, a, &fingerprint);
}

static struct kept_ack *kept_ack_new(const struct acknowledgement *in)
{
    struct kept_ack *k = mem_alloc_zero(MEM_ALERTING, 1, sizeof *k);
    arena_init(&k->arena, MEM_ALERTING, 0);
    k->ack = *in;
    k->ack.owner = arena_copy(&k->arena, in->owner);
    k->ack.note = arena_copy(&k->arena, in->note);
    k->ack.ended_ns = LIVE_ALERT_NEVER;
    k->seen_ns = in->at_ns;
    return k;
}

static void kept_ack_free(struct kept_ack *k)
{
    arena_deinit(&k->arena);
    mem_free(MEM_ALERTING, k);
}

static bool is_over(const struct kept_ack *k, int64_t now_ns)
{
    return k->ack.expires_ns != LIVE_ALERT_NEVER && k->ack.expires_ns <= now_ns;
}

static void put(struct alert_state *s, struct kept_ack *k)
{
    struct acks *a = &s->acks;
    uint32_t at = find(a, k->ack.fingerprint);
    if (at != MAP_NONE) {
        kept_ack_free(a->items[at]);
        a->items[at] = k;
    } else {
        a->items =
            mem_grow(MEM_ALERTING, a->items, &a->capacity, a->count + 1, sizeof(struct kept_ack *));
        map_add(&a->by_fingerprint, hash_of(k->ack.fingerprint), (uint32_t)a->count);
        a->items[a->count++] = k;
    }
    if (k->ack.expires_ns != LIVE_ALERT_NEVER && k->ack.expires_ns < a->next_expiry_ns)
        a->next_expiry_ns = k->ack.expires_ns;
    s->version++;
}

void acks_ends_put_back(struct alert_state *s, const struct ack_end *ends, size_t count)
{
    struct acks *a = &s->acks;
    a->ended = mem_grow(MEM_ALERTING, a->ended, &a->ended_capacity, a->ended_count + count,
                        sizeof(*a->ended));
    if (count)
        memcpy(a->ended + a->ended_count, ends, count * sizeof(*ends));
    a->ended_count += count;
}

/* The last one takes the place. */
static void take_out(struct alert_state *s, uint32_t at)
{
    struct acks *a = &s->acks;
    uint32_t last = (uint32_t)a->count - 1;
    map_remove(&a->by_fingerprint, hash_of(a->items[at]->ack.fingerprint), at);
    kept_ack_free(a->items[at]);
    if (at != last) {
        map_remove(&a->by_fingerprint, hash_of(a->items[last]->ack.fingerprint), last);
        map_add(&a->by_fingerprint, hash_of(a->items[last]->ack.fingerprint), at);
        a->items[at] = a->items[last];
    }
    a->count--;
    s->version++;
}

/* Ends one by itself: nobody waits for its row. */
static void end(struct alert_state *s, uint32_t at, int64_t at_ns)
{
    const struct acknowledgement *ack = &s->acks.items[at]->ack;
    struct ack_end ended = {ack->fingerprint, ack->starts_ns, at_ns};
    acks_ends_put_back(s, &ended, 1);
    take_out(s, at);
    cond_signal(&s->wakes);
}

void acks_load(struct alert_state *s, const struct acknowledgement *ack)
{
    uint32_t at = find(&s->acks, ack->fingerprint);
    if (at != MAP_NONE && s->acks.items[at]->ack.at_ns >= ack->at_ns)
        return;
    struct kept_ack *k = kept_ack_new(ack);
    k->seen_ns = clock_wall().ms * NS_PER_MS; /* nobody could ask while the server was down */
    put(s, k);
}

void acks_end(struct alert_state *s, uint64_t fingerprint, int64_t keep_starts_ns, int64_t at_ns)
{
    uint32_t at = s->acks.count ? find(&s->acks, fingerprint) : MAP_NONE;
    if (at != MAP_NONE && s->acks.items[at]->ack.starts_ns != keep_starts_ns)
        end(s, at, at_ns);
}

/* Those that are over at now_ns, or whose alert nobody has asked for since. */
void acks_forget(struct alert_state *s, int64_t now_ns, int64_t unseen_before_ns)
{
    struct acks *a = &s->acks;
    a->next_expiry_ns = INT64_MAX;
    for (size_t i = a->count; i > 0; i--) {
        const struct kept_ack *k = a->items[i - 1];
        if (is_over(k, now_ns))
            end(s, (uint32_t)i - 1, k->ack.expires_ns);
        else if (k->seen_ns < unseen_before_ns)
            end(s, (uint32_t)i - 1, now_ns);
        else if (k->ack.expires_ns != LIVE_ALERT_NEVER && k->ack.expires_ns < a->next_expiry_ns)
            a->next_expiry_ns = k->ack.expires_ns;
    }
}

bool acks_write_all(struct alert_state *s, struct error *err)
{
    struct arena arena;
    struct acknowledgements all;
    bool ok = true;
    arena_init(&arena, MEM_ALERTING, 0);
    acknowledgement_list(s, &arena, INT64_MIN, &all);
    for (size_t i = 0; i < all.count && ok; i++) {
        const struct acknowledgement *a = &all.items[i];
        ok = state_run(s, STATEMENT_ACK_PUT, err, "iiintt", (int64_t)a->fingerprint, a->starts_ns,
                       a->at_ns, a->expires_ns, a->owner, a->note);
    }
    arena_deinit(&arena);
    return ok;
}

bool acks_write_ends(struct alert_state *s, const struct ack_end *ends, size_t count,
                     struct error *err)
{
    for (size_t i = 0; i < count; i++)
        if (!state_run(s, STATEMENT_ACK_END, err, "iii", ends[i].at_ns,
                       (int64_t)ends[i].fingerprint, ends[i].starts_ns))
            return false;
    return true;
}

/* --- changes --- */

struct ack_change {
    struct state_change base;
    struct acknowledgement ack; /* unacknowledge: fingerprint and starts_ns */
    struct kept_ack *made;      /* NULL: unacknowledge */
    int64_t now_ns;
    int64_t replaced_starts_ns; /* LIVE_ALERT_NEVER: none */
};

static bool stage_ack(struct alert_state *s, struct state_change *base, struct error *err)
{
    struct ack_change *c = (struct ack_change *)base;
    uint32_t at = find(&s->acks, c->ack.fingerprint);
    const struct acknowledgement *there = at == MAP_NONE ? NULL : &s->acks.items[at]->ack;
    c->replaced_starts_ns = there ? there->starts_ns : LIVE_ALERT_NEVER;
    if (c->made)
        return there || s->acks.count < ACKNOWLEDGEMENTS_MAX ||
               error_set(err, ERROR_INPUT, "there are %d acknowledgements, which is the most",
                         ACKNOWLEDGEMENTS_MAX);
    return (there && there->starts_ns == c->ack.starts_ns) ||
           error_set(err, ERROR_NOT_FOUND, "the alert is not acknowledged");
}

static bool write_ack(struct alert_state *s, struct state_change *base, struct error *err)
{
    const struct ack_change *c = (const struct ack_change *)base;
    const struct acknowledgement *a = &c->ack;
    if (c->replaced_starts_ns != LIVE_ALERT_NEVER &&
        !state_run(s, STATEMENT_ACK_END, err, "iii", c->now_ns, (int64_t)a->fingerprint,
                   c->replaced_starts_ns))
        return false;
    return c->made == NULL ||
           state_run(s, STATEMENT_ACK_PUT, err, "iiintt", (int64_t)a->fingerprint, a->starts_ns,
                     a->at_ns, a->expires_ns, a->owner, a->note);
}

static void apply_ack(struct alert_state *s, struct state_change *base)
{
    struct ack_change *c = (struct ack_change *)base;
    uint32_t at = find(&s->acks, c->ack.fingerprint);
    if (c->made)
        put(s, c->made);
    else if (at != MAP_NONE) /* its alert may have ended meanwhile */
        take_out(s, at);
}

static void drop_ack(struct alert_state *s, struct state_change *base)
{
    struct ack_change *c = (struct ack_change *)base;
    (void)s;
    if (c->made)
        kept_ack_free(c->made);
}

static const struct state_change_kind ACKNOWLEDGE = {"the acknowledgement", stage_ack, write_ack,
                                                     apply_ack, drop_ack};
static const struct state_change_kind UNACKNOWLEDGE = {"the end of the acknowledgement", stage_ack,
                                                       write_ack, apply_ack, drop_ack};

static bool text_check(struct view text, size_t bytes_max, const char *what, struct error *err)
{
    if (text.len > bytes_max)
        return error_set(err, ERROR_INPUT, "the %s has %zu bytes, at most %zu", what, text.len,
                         bytes_max);
    return utf8_is_valid(text) || error_set(err, ERROR_INPUT, "the %s is not UTF-8", what);
}

/* 0 would be no subject. */
static uint64_t subject_of(uint64_t fingerprint)
{
    return fingerprint ? fingerprint : 1;
}

bool acknowledge(struct alert_state *s, const struct acknowledgement *in, struct error *err)
{
    if (in->owner.len == 0)
        return error_set(err, ERROR_INPUT, "an acknowledgement needs an owner");
    if (!text_check(in->owner, ACKNOWLEDGEMENT_OWNER_BYTES_MAX, "owner", err) ||
        !text_check(in->note, ACKNOWLEDGEMENT_NOTE_BYTES_MAX, "note", err))
        return false;
    if (in->expires_ns != LIVE_ALERT_NEVER && in->expires_ns <= in->at_ns)
        return error_set(err, ERROR_INPUT, "the acknowledgement would have expired already");
    struct ack_change c = {
        .base = {.kind = &ACKNOWLEDGE, .subject = subject_of(in->fingerprint)},
        .ack = *in,
        .made = kept_ack_new(in),
        .now_ns = in->at_ns,
    };
    return alert_state_change(s, &c.base, err);
}

bool unacknowledge(struct alert_state *s, uint64_t fingerprint, int64_t starts_ns, int64_t now_ns,
                   struct error *err)
{
    struct ack_change c = {
        .base = {.kind = &UNACKNOWLEDGE, .subject = subject_of(fingerprint)},
        .ack = {.fingerprint = fingerprint, .starts_ns = starts_ns},
        .now_ns = now_ns,
    };
    return alert_state_change(s, &c.base, err);
}

/* --- questions --- */

bool alert_state_acknowledged(struct alert_state *s, uint64_t fingerprint, int64_t starts_ns,
                              int64_t now_ns)
{
    mutex_lock(&s->mutex);
    uint32_t at = s->acks.count ? find(&s->acks, fingerprint) : MAP_NONE;
    struct kept_ack *k = at == MAP_NONE ? NULL : s->acks.items[at];
    bool is = k && k->ack.starts_ns == starts_ns && !is_over(k, now_ns);
    if (is && now_ns > k->seen_ns)
        k->seen_ns = now_ns;
    mutex_unlock(&s->mutex);
    return is;
}

static struct acknowledgement show(struct arena *arena, const struct kept_ack *k)
{
    struct acknowledgement a = k->ack;
    a.owner = arena_copy(arena, a.owner);
    a.note = arena_copy(arena, a.note);
    return a;
}

static int order(const void *a, const void *b)
{
    uint64_t x = ((const struct acknowledgement *)a)->fingerprint,
             y = ((const struct acknowledgement *)b)->fingerprint;
    return (x > y) - (x < y);
}

void acknowledgement_list(struct alert_state *s, struct arena *arena, int64_t now_ns,
                          struct acknowledgements *out)
{
    mutex_lock(&s->mutex);
    out->items = ARENA_ARRAY(arena, struct acknowledgement, s->acks.count + 1);
    out->count = 0;
    for (size_t i = 0; i < s->acks.count; i++)
        if (!is_over(s->acks.items[i], now_ns))
            out->items[out->count++] = show(arena, s->acks.items[i]);
    mutex_unlock(&s->mutex);
    qsort(out->items, out->count, sizeof(*out->items), order);
}

bool acknowledgement_get(struct alert_state *s, struct arena *arena, uint64_t fingerprint,
                         int64_t starts_ns, int64_t now_ns, struct acknowledgement *out)
{
    mutex_lock(&s->mutex);
    uint32_t at = find(&s->acks, fingerprint);
    bool is = at != MAP_NONE && s->acks.items[at]->ack.starts_ns == starts_ns &&
              !is_over(s->acks.items[at], now_ns);
    if (is)
        *out = show(arena, s->acks.items[at]);
    mutex_unlock(&s->mutex);
    return is;
}
