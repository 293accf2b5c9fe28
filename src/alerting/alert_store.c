/* SPDX-License-Identifier: Apache-2.0 */
/* alert_store.c: see alert_store.h. */
#include "alerting/alert_store.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/mem.h"

void alert_store_init(struct alert_store *s)
{
    *s = (struct alert_store){.free = ALERT_STORE_NONE};
    map_init(&s->index, MEM_ALERTING);
}

void alert_store_deinit(struct alert_store *s)
{
    for (size_t i = 0; i < s->item_count; i++)
        live_alert_unref(s->items[i].alert);
    map_deinit(&s->index);
    mem_free(MEM_ALERTING, s->items);
}

/* Fingerprints are Alertmanager's and a client chooses them; the table's hash is ours. */
static uint64_t hash_of(uint64_t fingerprint)
{
    return hash64_secret(&fingerprint, sizeof fingerprint);
}

static bool has_fingerprint(const void *context, uint32_t item, const void *key)
{
    const struct alert_store *s = context;
    return s->items[item].alert->fingerprint == *(const uint64_t *)key;
}

uint32_t alert_store_find(const struct alert_store *s, uint64_t fingerprint)
{
    return map_find(&s->index, hash_of(fingerprint), has_fingerprint, s, &fingerprint);
}

uint32_t alert_store_add(struct alert_store *s, struct live_alert *a)
{
    uint32_t at = s->free;
    if (at != ALERT_STORE_NONE) {
        s->free = s->items[at].next_free;
    } else {
        s->items =
            mem_grow(MEM_ALERTING, s->items, &s->capacity, s->item_count + 1, sizeof *s->items);
        at = (uint32_t)s->item_count++;
    }
    s->items[at] = (struct alert_entry){.alert = a, .inhibitor = INHIBITOR_NEW};
    map_add(&s->index, hash_of(a->fingerprint), at);
    s->count++;
    return at;
}

void alert_store_replace(struct alert_store *s, uint32_t at, struct live_alert *a)
{
    struct live_alert *old = s->items[at].alert;
    ASSERT(old->fingerprint == a->fingerprint);
    s->items[at].alert = a;
    live_alert_unref(old);
}

void alert_store_remove(struct alert_store *s, uint32_t at)
{
    struct alert_entry *e = &s->items[at];
    map_remove(&s->index, hash_of(e->alert->fingerprint), at);
    live_alert_unref(e->alert);
    *e = (struct alert_entry){.next_free = s->free};
    s->free = at;
    s->count--;
}

/* --- merging --- */

/* Go's zero time is before every other. */
static bool overlap(const struct live_alert *old, const struct live_alert *news)
{
    return (news->ends_ns > old->starts_ns && news->ends_ns < old->ends_ns) ||
           (news->starts_ns > old->starts_ns && news->starts_ns < old->ends_ns);
}

struct live_alert *alert_merge(const struct live_alert *old, struct live_alert *news,
                               int64_t now_ns)
{
    if (!overlap(old, news))
        return news;
    int64_t starts_ns = old->starts_ns < news->starts_ns ? old->starts_ns : news->starts_ns;
    int64_t ends_ns = news->ends_ns;
    if (live_alert_is_resolved(news, now_ns)) {
        if (live_alert_is_resolved(old, now_ns) && old->ends_ns > ends_ns)
            ends_ns = old->ends_ns;
    } else if (old->ends_ns > ends_ns && !old->is_timeout) {
        ends_ns = old->ends_ns;
    }
    if (starts_ns == news->starts_ns && ends_ns == news->ends_ns)
        return news;
    struct live_alert *merged = live_alert_with_times(news, starts_ns, ends_ns);
    live_alert_unref(news);
    return merged;
}
