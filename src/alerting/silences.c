/* SPDX-License-Identifier: Apache-2.0 */
/* silences.c: the silences in memory, and which of them mute an alert.
 *
 * Matchers of a silence never change (another text makes another silence), so what was matched for an alert stays true: a
 * cache keeps for each alert the silences that match it and up to which addition it was tried. A look costs a walk over these
 * few; after an addition, the new ones alone are tried. An alert that is new asks the index: silences lie under one of
 * their equality matchers (the one with the fewest others), so that of a thousand only those that share a label with the
 * alert, and those without an equality matcher, are tried at all. */
#include "alerting/alert_state_private.h"

#include "base/assert.h"
#include "base/checksum.h"

#include <stdlib.h>

enum {
    CACHE_ENTRIES_MAX = 1 << 20, /* then it begins anew */
    TRY_DIRECTLY = 16,           /* so many new silences are tried without the index */
    LABEL_BYTES_ON_STACK = 512
};

void silences_init(struct silences *s)
{
    map_init(&s->by_id, MEM_ALERTING);
    map_init(&s->bucket_index, MEM_ALERTING);
    map_init(&s->cache_index, MEM_ALERTING);
    s->serial_next = 1;
    s->now_ns = INT64_MAX; /* nothing is known */
    s->cache_free = MAP_NONE;
}

static void index_clear(struct silences *s)
{
    for (size_t i = 0; i < s->bucket_count; i++)
        mem_free(MEM_ALERTING, s->buckets[i].items);
    s->bucket_count = s->others.count = s->indexed_expired = 0;
    map_clear(&s->bucket_index);
}

static void cache_clear(struct silences *s)
{
    for (size_t i = 0; i < s->cache_count; i++)
        mem_free(MEM_ALERTING, s->cache[i].serials);
    s->cache_count = 0;
    s->cache_free = MAP_NONE;
    map_clear(&s->cache_index);
}

void silences_deinit(struct silences *s)
{
    index_clear(s);
    cache_clear(s);
    for (size_t i = 0; i < s->count; i++)
        kept_silence_free(s->items[i]);
    mem_free(MEM_ALERTING, s->items);
    mem_free(MEM_ALERTING, s->buckets);
    mem_free(MEM_ALERTING, s->others.items);
    mem_free(MEM_ALERTING, s->cache);
    map_deinit(&s->by_id);
    map_deinit(&s->bucket_index);
    map_deinit(&s->cache_index);
}

/* --- by id --- */

static bool id_equal(const void *context, uint32_t item, const void *key)
{
    const struct silences *s = context;
    return view_is(*(const struct view *)key, s->items[item]->id);
}

uint32_t silences_find(const struct silences *s, struct view id)
{
    return map_find(&s->by_id, hash64_view(id), id_equal, s, &id);
}

static struct kept_silence *find_serial(const struct silences *s, uint64_t serial)
{
    size_t from = 0, to = s->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (s->items[middle]->serial < serial)
            from = middle + 1;
        else
            to = middle;
    }
    return from < s->count && s->items[from]->serial == serial ? s->items[from] : NULL;
}

/* --- the index --- */

/* With the process's seed: clients choose labels. */
static uint64_t pair_hash(struct view name, struct view value)
{
    char local[LABEL_BYTES_ON_STACK];
    size_t bytes = name.len + 1 + value.len;
    char *text = bytes <= sizeof local ? local : mem_alloc(MEM_ALERTING, bytes);
    if (name.len)
        memcpy(text, name.ptr, name.len);
    text[name.len] = (char)0xff; /* in no text */
    if (value.len)
        memcpy(text + name.len + 1, value.ptr, value.len);
    uint64_t hash = hash64_secret(text, bytes);
    if (text != local)
        mem_free(MEM_ALERTING, text);
    return hash;
}

static bool bucket_equal(const void *context, uint32_t item, const void *key)
{
    return ((const struct silences *)context)->buckets[item].hash == *(const uint64_t *)key;
}

static struct silence_bucket *bucket_find(const struct silences *s, uint64_t hash)
{
    uint32_t at = map_find(&s->bucket_index, hash, bucket_equal, s, &hash);
    return at == MAP_NONE ? NULL : &s->buckets[at];
}

static void bucket_add(struct silence_bucket *b, uint32_t item)
{
    b->items = mem_grow(MEM_ALERTING, b->items, &b->capacity, b->count + 1, sizeof(*b->items));
    b->items[b->count++] = item;
}

static void index_add(struct silences *s, uint32_t item)
{
    const struct matchers *m = &s->items[item]->matchers;
    uint64_t best = 0;
    size_t fewest = SIZE_MAX;
    for (size_t i = 0; i < m->count && fewest > 0; i++) {
        if (m->items[i].type != MATCH_EQUAL || m->items[i].value.len == 0)
            continue;
        uint64_t hash = pair_hash(m->items[i].name, m->items[i].value);
        struct silence_bucket *b = bucket_find(s, hash);
        if (b == NULL || b->count < fewest) {
            fewest = b ? b->count : 0;
            best = hash;
        }
    }
    if (fewest == SIZE_MAX) {
        bucket_add(&s->others, item);
        return;
    }
    if (fewest == 0) {
        s->buckets = mem_grow(MEM_ALERTING, s->buckets, &s->bucket_capacity, s->bucket_count + 1,
                              sizeof(*s->buckets));
        s->buckets[s->bucket_count] = (struct silence_bucket){.hash = best};
        map_add(&s->bucket_index, best, (uint32_t)s->bucket_count++);
    }
    bucket_add(bucket_find(s, best), item);
}

static void index_build(struct silences *s, int64_t now_ns)
{
    index_clear(s);
    for (size_t i = 0; i < s->count; i++)
        if (kept_silence_state(s->items[i], now_ns) != SILENCE_EXPIRED)
            index_add(s, (uint32_t)i);
}

/* --- what time changes --- */

enum silence_state kept_silence_span(const struct kept_silence *k, int64_t now_ns)
{
    return now_ns < k->starts_ns ? SILENCE_PENDING
           : now_ns > k->ends_ns ? SILENCE_EXPIRED
                                 : SILENCE_ACTIVE;
}

enum silence_state kept_silence_state(const struct kept_silence *k, int64_t now_ns)
{
    enum silence_state span = kept_silence_span(k, now_ns);
    if (k->windows == NULL || span != SILENCE_ACTIVE)
        return span;
    return k->window.begin_ns == LIVE_ALERT_NEVER ? SILENCE_EXPIRED
           : now_ns < k->window.begin_ns          ? SILENCE_PENDING
                                                  : SILENCE_ACTIVE;
}

void silences_changed(struct alert_state *s)
{
    s->version++;
    s->silences.now_ns = INT64_MAX;
}

static void note_change(struct silences *s, int64_t at_ns, int64_t now_ns)
{
    if (at_ns > now_ns && at_ns < s->next_change_ns)
        s->next_change_ns = at_ns;
    else if (at_ns <= now_ns && at_ns > s->now_ns)
        s->now_ns = at_ns;
}

void silences_advance(struct alert_state *state, int64_t now_ns)
{
    struct silences *s = &state->silences;
    if (now_ns >= s->now_ns && now_ns < s->next_change_ns)
        return;
    bool is_back = s->now_ns != INT64_MAX && now_ns < s->now_ns;
    size_t expired = 0;
    s->now_ns = INT64_MIN;
    s->next_change_ns = INT64_MAX;
    for (size_t i = 0; i < s->count; i++) {
        struct kept_silence *k = s->items[i];
        if (k->windows) {
            kept_silence_find_window(k, now_ns);
            note_change(s, k->window.begin_ns, now_ns);
            note_change(s, k->window.end_ns, now_ns);
        }
        expired += kept_silence_state(k, now_ns) == SILENCE_EXPIRED;
        note_change(s, k->starts_ns, now_ns);
        if (k->ends_ns < INT64_MAX)
            note_change(s, k->ends_ns + 1, now_ns);
    }
    state->version++;
    /* Those that have expired cost a look at each alert that is new; a clock that goes back may bring one to life. */
    if (is_back || expired > 2 * s->indexed_expired + TRY_DIRECTLY) {
        index_build(s, now_ns);
        s->indexed_expired = expired;
        if (is_back)
            cache_clear(s);
    }
}

/* --- changes --- */

void silences_put(struct alert_state *state, struct kept_silence *k)
{
    struct silences *s = &state->silences;
    struct view id = view_from(k->id);
    uint32_t at = silences_find(s, id);
    if (at != MAP_NONE) {
        struct kept_silence *old = s->items[at];
        k->serial = old->serial;
        k->added_version = old->added_version;
        s->items[at] = k;
        kept_silence_free(old);
    } else {
        ASSERT(s->count < MAP_NONE);
        k->serial = s->serial_next++;
        k->added_version = ++s->version;
        s->items = mem_grow(MEM_ALERTING, s->items, &s->capacity, s->count + 1,
                            sizeof(struct kept_silence *));
        s->items[s->count] = k;
        map_add(&s->by_id, hash64_view(id), (uint32_t)s->count);
        index_add(s, (uint32_t)s->count++);
    }
    silences_changed(state);
}

void silences_load(struct alert_state *state, struct kept_silence *k)
{
    if (silences_find(&state->silences, view_from(k->id)) == MAP_NONE)
        silences_put(state, k);
    else
        kept_silence_free(k);
}

void silences_forget(struct alert_state *state, int64_t before_ns)
{
    struct silences *s = &state->silences;
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (s->items[i]->ends_ns <= before_ns)
            kept_silence_free(s->items[i]);
        else
            s->items[kept++] = s->items[i];
    }
    if (kept == s->count)
        return;
    s->count = kept;
    map_clear(&s->by_id);
    for (size_t i = 0; i < s->count; i++)
        map_add(&s->by_id, hash64_view(view_from(s->items[i]->id)), (uint32_t)i);
    index_build(s, INT64_MIN); /* places have changed; all that are left */
}

/* --- the look --- */

static bool cache_equal(const void *context, uint32_t item, const void *key)
{
    return ((const struct silences *)context)->cache[item].fingerprint == *(const uint64_t *)key;
}

static uint64_t hash_of(uint64_t fingerprint)
{
    return hash64_secret(&fingerprint, sizeof fingerprint);
}

/* Of labels that share a fingerprint, which can be made on purpose, each lookup finds its own silences only. */
static uint64_t labels_secret(struct labels labels)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < labels.count; i++) {
        const struct label *l = &labels.items[i];
        uint64_t parts[] = {sum, hash64_secret(l->name.ptr, l->name.len),
                            hash64_secret(l->value.ptr, l->value.len)};
        sum = hash64_secret(parts, sizeof parts);
    }
    return sum;
}

static struct silence_cache_entry *cache_get(struct silences *s, uint64_t fingerprint)
{
    uint32_t at = map_find(&s->cache_index, hash_of(fingerprint), cache_equal, s, &fingerprint);
    if (at != MAP_NONE)
        return &s->cache[at];
    if (s->cache_index.count >= CACHE_ENTRIES_MAX)
        cache_clear(s);
    if (s->cache_free != MAP_NONE) {
        at = s->cache_free;
        s->cache_free = s->cache[at].next_free;
    } else {
        s->cache = mem_grow(MEM_ALERTING, s->cache, &s->cache_capacity, s->cache_count + 1,
                            sizeof(*s->cache));
        at = (uint32_t)s->cache_count++;
    }
    s->cache[at] = (struct silence_cache_entry){.fingerprint = fingerprint};
    map_add(&s->cache_index, hash_of(fingerprint), at);
    return &s->cache[at];
}

void silences_forget_alert(struct alert_state *state, uint64_t fingerprint)
{
    struct silences *s = &state->silences;
    uint32_t at = map_find(&s->cache_index, hash_of(fingerprint), cache_equal, s, &fingerprint);
    if (at == MAP_NONE)
        return;
    map_remove(&s->cache_index, hash_of(fingerprint), at);
    mem_free(MEM_ALERTING, s->cache[at].serials);
    s->cache[at] = (struct silence_cache_entry){.next_free = s->cache_free};
    s->cache_free = at;
}

static void try_one(const struct silences *s, struct silence_cache_entry *e, uint32_t item,
                    struct labels labels)
{
    const struct kept_silence *k = s->items[item];
    if (k->added_version <= e->version || !matchers_match(&k->matchers, labels))
        return;
    if ((e->count & (e->count - 1)) == 0) /* 0, 1, 2, 4 ... are full */
        e->serials = mem_resize(MEM_ALERTING, e->serials,
                                (e->count ? (size_t)e->count * 2 : 1) * sizeof(*e->serials));
    e->serials[e->count++] = k->serial;
}

static void try_bucket(const struct silences *s, struct silence_cache_entry *e,
                       const struct silence_bucket *b, struct labels labels)
{
    for (size_t i = b->count; i > 0; i--) /* the newest are last */
        try_one(s, e, b->items[i - 1], labels);
}

/* Tries what was added since the last look. */
static void catch_up(struct silences *s, struct silence_cache_entry *e, struct labels labels)
{
    size_t first = s->count;
    while (first > 0 && s->count - first <= TRY_DIRECTLY &&
           s->items[first - 1]->added_version > e->version)
        first--;
    if (s->count - first <= TRY_DIRECTLY) {
        for (size_t i = first; i < s->count; i++)
            try_one(s, e, (uint32_t)i, labels);
    } else {
        for (uint32_t i = 0; i < labels.count; i++) {
            struct silence_bucket *b =
                bucket_find(s, pair_hash(labels.items[i].name, labels.items[i].value));
            if (b)
                try_bucket(s, e, b, labels);
        }
        try_bucket(s, e, &s->others, labels);
    }
    e->version = s->version;
}

static int view_order(const void *a, const void *b)
{
    return view_cmp(*(const struct view *)a, *(const struct view *)b);
}

bool alert_state_silenced(struct alert_state *state, struct arena *arena, uint64_t fingerprint,
                          struct labels labels, int64_t now_ns, struct silence_ids *out)
{
    struct silences *s = &state->silences;
    *out = (struct silence_ids){0};
    mutex_lock(&state->mutex);
    silences_advance(state, now_ns);
    struct silence_cache_entry *e = s->count ? cache_get(s, fingerprint) : NULL;
    uint64_t secret = e ? labels_secret(labels) : 0;
    if (e && e->labels_secret != secret) { /* new, or of another alert: all is tried */
        mem_free(MEM_ALERTING, e->serials);
        *e = (struct silence_cache_entry){.fingerprint = fingerprint, .labels_secret = secret};
    }
    if (e && e->version != s->version)
        catch_up(s, e, labels);
    uint32_t count = e ? e->count : 0, kept = 0;
    if (count > 0)
        out->items = ARENA_ARRAY(arena, struct view, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct kept_silence *k = find_serial(s, e->serials[i]);
        if (k == NULL)
            continue; /* forgotten */
        e->serials[kept++] = e->serials[i];
        if (kept_silence_state(k, now_ns) == SILENCE_ACTIVE)
            out->items[out->count++] = arena_copy(arena, view_from(k->id));
    }
    if (e && kept == 0) {
        mem_free(MEM_ALERTING, e->serials);
        e->serials = NULL;
        e->count = 0;
    } else if (e && kept < e->count) { /* room for as many as try_one() takes it to have */
        size_t room = 1;
        while (room < kept)
            room *= 2;
        e->serials = mem_resize(MEM_ALERTING, e->serials, room * sizeof(*e->serials));
        e->count = kept;
    }
    mutex_unlock(&state->mutex);
    if (out->count > 1)
        qsort(out->items, out->count, sizeof(*out->items), view_order);
    return out->count > 0;
}
