/* SPDX-License-Identifier: Apache-2.0 */
/* inhibitor.c: see inhibitor.h.
 *
 *   rule --(hash of the values of `equal`)--> bucket --> sources that match the source side only   (they inhibit all targets)
 *                                                    --> sources that match both sides             (targets of one side only)
 *
 * A node is one alert as a source of one rule; those of an alert hang together. Only nodes whose alert fires are in the lists
 * of their bucket: an end that is told takes them out, one that came by time is noticed by the look that meets it. Each is
 * taken out once for each time it was put in, so a look costs the same however many alerts there are. */
#include "alerting/inhibitor.h"

#include "alerting/live_alert.h"
#include "base/assert.h"
#include "base/buffer.h"
#include "base/checksum.h"
#include "base/map.h"
#include "base/mem.h"

#define NONE UINT32_MAX
#define NO_SOURCE (NONE - 1) /* of an entry: the alert is a source of no rule */
enum { KEY_BYTES_MAX = 64 << 20 };
enum { ONE_SIDED, BOTH_SIDES, LIST_COUNT };

struct node {
    uint64_t fingerprint;
    int64_t ends_ns;
    uint32_t bucket, previous, next; /* in the list */
    uint32_t of_alert;               /* the next node of this alert */
    uint8_t list;
    bool is_linked;
};

struct bucket {
    struct hash128 key;
    uint32_t rule;
    uint32_t node_count; /* linked or not */
    uint32_t first[LIST_COUNT];
};

struct inhibitor {
    const struct inhibit_rules *rules;
    struct node *nodes;
    struct bucket *buckets;
    size_t node_count, node_capacity, bucket_count, bucket_capacity;
    uint32_t free_node, free_bucket; /* chained by `next` and `first[0]` */
    struct map index;                /* buckets */
    struct buffer key;
};

struct inhibitor *inhibitor_new(const struct inhibit_rules *rules)
{
    struct inhibitor *h = mem_alloc_zero(MEM_ALERTING, 1, sizeof *h);
    h->rules = rules;
    h->free_node = h->free_bucket = NONE;
    map_init(&h->index, MEM_ALERTING);
    buffer_init(&h->key, MEM_ALERTING, KEY_BYTES_MAX);
    return h;
}

void inhibitor_free(struct inhibitor *h)
{
    if (!h)
        return;
    map_deinit(&h->index);
    buffer_deinit(&h->key);
    mem_free(MEM_ALERTING, h->nodes);
    mem_free(MEM_ALERTING, h->buckets);
    mem_free(MEM_ALERTING, h);
}

/* --- buckets --- */

/* Of the rule and the values of its equal labels, each with its length, so that no two lists of values are one text. */
static struct hash128 key_of(struct inhibitor *h, uint32_t rule, struct labels labels)
{
    const struct config_strings *equal = &h->rules->items[rule].equal;
    buffer_reset(&h->key);
    buffer_append_u32(&h->key, rule);
    for (size_t i = 0; i < equal->count; i++)
        buffer_append_string(&h->key, labels_get(labels, equal->items[i]));
    return hash128_secret(h->key.ptr, h->key.len);
}

static bool has_key(const void *context, uint32_t item, const void *key)
{
    const struct bucket *b = &((const struct bucket *)context)[item];
    const struct hash128 *want = key;
    return b->key.low == want->low && b->key.high == want->high;
}

static uint32_t find_bucket(struct inhibitor *h, struct hash128 key)
{
    return map_find(&h->index, key.low, has_key, h->buckets, &key);
}

static uint32_t take_bucket(struct inhibitor *h, uint32_t rule, struct labels labels)
{
    struct hash128 key = key_of(h, rule, labels);
    uint32_t at = find_bucket(h, key);
    if (at != MAP_NONE)
        return at;
    at = h->free_bucket;
    if (at != NONE) {
        h->free_bucket = h->buckets[at].first[0];
    } else {
        h->buckets = mem_grow(MEM_ALERTING, h->buckets, &h->bucket_capacity, h->bucket_count + 1,
                              sizeof *h->buckets);
        at = (uint32_t)h->bucket_count++;
    }
    h->buckets[at] = (struct bucket){.key = key, .rule = rule, .first = {NONE, NONE}};
    map_add(&h->index, key.low, at);
    return at;
}

static void leave_bucket(struct inhibitor *h, uint32_t at)
{
    struct bucket *b = &h->buckets[at];
    if (--b->node_count)
        return;
    map_remove(&h->index, b->key.low, at);
    b->first[0] = h->free_bucket;
    h->free_bucket = at;
}

/* --- nodes --- */

static void link_node(struct inhibitor *h, uint32_t at)
{
    struct node *n = &h->nodes[at];
    uint32_t *first = &h->buckets[n->bucket].first[n->list];
    n->previous = NONE;
    n->next = *first;
    if (*first != NONE)
        h->nodes[*first].previous = at;
    *first = at;
    n->is_linked = true;
}

static void unlink_node(struct inhibitor *h, uint32_t at)
{
    struct node *n = &h->nodes[at];
    if (n->previous != NONE)
        h->nodes[n->previous].next = n->next;
    else
        h->buckets[n->bucket].first[n->list] = n->next;
    if (n->next != NONE)
        h->nodes[n->next].previous = n->previous;
    n->is_linked = false;
}

static bool has_ended(int64_t ends_ns, int64_t now_ns)
{
    return ends_ns != LIVE_ALERT_NEVER && ends_ns <= now_ns;
}

static uint32_t add_node(struct inhibitor *h, uint32_t rule, uint64_t fingerprint,
                         struct labels labels, uint32_t of_alert)
{
    uint32_t bucket = take_bucket(h, rule, labels);
    uint32_t at = h->free_node;
    if (at != NONE) {
        h->free_node = h->nodes[at].next;
    } else {
        h->nodes = mem_grow(MEM_ALERTING, h->nodes, &h->node_capacity, h->node_count + 1,
                            sizeof *h->nodes);
        at = (uint32_t)h->node_count++;
        ASSERT(at < NO_SOURCE);
    }
    bool both = matchers_match(&h->rules->items[rule].target, labels);
    h->nodes[at] = (struct node){.fingerprint = fingerprint,
                                 .bucket = bucket,
                                 .of_alert = of_alert,
                                 .list = both ? BOTH_SIDES : ONE_SIDED};
    h->buckets[bucket].node_count++;
    return at;
}

inhibitor_entry inhibitor_put(struct inhibitor *h, inhibitor_entry e, uint64_t fingerprint,
                              struct labels labels, int64_t ends_ns, int64_t now_ns)
{
    if (e.n == INHIBITOR_NEW.n) {
        e.n = NO_SOURCE;
        for (uint32_t i = 0; i < h->rules->count; i++)
            if (matchers_match(&h->rules->items[i].source, labels))
                e.n = add_node(h, i, fingerprint, labels, e.n);
    }
    for (uint32_t at = e.n; at != NO_SOURCE; at = h->nodes[at].of_alert) {
        h->nodes[at].ends_ns = ends_ns;
        bool fires = !has_ended(ends_ns, now_ns);
        if (fires && !h->nodes[at].is_linked)
            link_node(h, at);
        else if (!fires && h->nodes[at].is_linked)
            unlink_node(h, at);
    }
    return e;
}

void inhibitor_remove(struct inhibitor *h, inhibitor_entry e)
{
    if (e.n == INHIBITOR_NEW.n)
        return;
    for (uint32_t at = e.n, next; at != NO_SOURCE; at = next) {
        struct node *n = &h->nodes[at];
        next = n->of_alert;
        if (n->is_linked)
            unlink_node(h, at);
        leave_bucket(h, n->bucket);
        n->next = h->free_node;
        h->free_node = at;
    }
}

/* --- the look --- */

/* A source of the list that fires, or NONE. Takes out those that it meets and that have ended. */
static uint32_t first_firing(struct inhibitor *h, uint32_t bucket, int list, int64_t now_ns)
{
    for (;;) {
        uint32_t at = h->buckets[bucket].first[list];
        if (at == NONE || !has_ended(h->nodes[at].ends_ns, now_ns))
            return at;
        unlink_node(h, at);
    }
}

size_t inhibitor_find(struct inhibitor *h, struct labels labels, int64_t now_ns,
                      struct inhibition *out, size_t max)
{
    size_t count = 0;
    for (uint32_t i = 0; i < h->rules->count && count < max; i++) {
        const struct inhibit_rule *rule = &h->rules->items[i];
        if (!matchers_match(&rule->target, labels))
            continue;
        uint32_t bucket = find_bucket(h, key_of(h, i, labels));
        if (bucket == MAP_NONE)
            continue;
        uint32_t at = first_firing(h, bucket, ONE_SIDED, now_ns);
        if (at == NONE && h->buckets[bucket].first[BOTH_SIDES] != NONE &&
            !matchers_match(&rule->source, labels))
            at = first_firing(h, bucket, BOTH_SIDES, now_ns);
        if (at != NONE)
            out[count++] = (struct inhibition){h->nodes[at].fingerprint, i};
    }
    return count;
}
