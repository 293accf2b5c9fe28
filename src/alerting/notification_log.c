/* SPDX-License-Identifier: Apache-2.0 */
/* notification_log.c: what was last sent of each group to each integration; in force at once, written behind
 * (alert_state_writer.c says how soon).
 *
 *   key   := group_key | receiver | kind, each a string | index varint
 *   body  := version u8 | sent expires, each svarint | count varint, firing u64 ... | count varint, resolved u64 ... |
 *            count varint, (name, value) ...      strings: varint length, bytes
 *
 * A record is never changed, so that it is written, and answered from, without a lock while a newer one takes its place. */
#include "alerting/alert_state_private.h"

#include "base/assert.h"
#include "base/checksum.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { VERSION = 1, KEY_BYTES_MAX = 16 << 20, BODY_BYTES_MAX = 256 << 20 };

struct log_record {
    _Atomic uint32_t references;
    uint64_t hash; /* of the key's bytes */
    struct view key, body;
    int64_t sent_ns, expires_ns;
    char bytes[];
};

static struct log_record *record_new(struct view key, struct view body, int64_t sent_ns,
                                     int64_t expires_ns)
{
    struct log_record *r = mem_alloc(MEM_ALERTING, sizeof *r + key.len + body.len);
    memcpy(r->bytes, key.ptr, key.len);
    memcpy(r->bytes + key.len, body.ptr, body.len);
    atomic_init(&r->references, 1);
    r->key = (struct view){r->bytes, key.len};
    r->body = (struct view){r->bytes + key.len, body.len};
    r->hash = hash64_secret(key.ptr, key.len);
    r->sent_ns = sent_ns;
    r->expires_ns = expires_ns;
    return r;
}

static struct log_record *record_ref(struct log_record *r)
{
    (void)atomic_fetch_add_explicit(&r->references, 1, memory_order_relaxed);
    return r;
}

static void record_unref(struct log_record *r)
{
    /* acq_rel: who frees sees what all others did with it */
    if (atomic_fetch_sub_explicit(&r->references, 1, memory_order_acq_rel) == 1)
        mem_free(MEM_ALERTING, r);
}

/* --- bytes --- */

static void encode_key(struct buffer *out, const struct notification_key *key)
{
    buffer_append_string(out, key->group_key);
    buffer_append_string(out, key->receiver);
    buffer_append_string(out, key->kind);
    buffer_append_varint(out, key->index);
}

static void encode_fingerprints(struct buffer *out, const uint64_t *items, size_t count)
{
    buffer_append_varint(out, count);
    for (size_t i = 0; i < count; i++)
        buffer_append_u64(out, items[i]);
}

static void encode_body(struct buffer *out, const struct notification_entry *e)
{
    buffer_append_u8(out, VERSION);
    buffer_append_svarint(out, e->sent_ns);
    buffer_append_svarint(out, e->expires_ns);
    encode_fingerprints(out, e->firing, e->firing_count);
    encode_fingerprints(out, e->resolved, e->resolved_count);
    buffer_append_varint(out, e->remembered.count);
    for (size_t i = 0; i < e->remembered.count; i++) {
        buffer_append_string(out, e->remembered.names[i]);
        buffer_append_string(out, e->remembered.values[i]);
    }
}

static const uint64_t *decode_fingerprints(struct reader *r, struct arena *arena, size_t *count)
{
    uint64_t n = reader_varint(r);
    *count = 0;
    if (r->failed || n > reader_left(r) / sizeof(uint64_t)) {
        reader_fail(r);
        return NULL;
    }
    uint64_t *items = arena_alloc(arena, (n + 1) * sizeof *items);
    for (uint64_t i = 0; i < n; i++)
        items[i] = reader_u64(r);
    *count = n;
    return items;
}

static bool decode_body(struct view body, struct arena *arena, struct notification_entry *out)
{
    struct reader r = reader_from(body);
    if (reader_u8(&r) != VERSION)
        return false;
    out->sent_ns = reader_svarint(&r);
    out->expires_ns = reader_svarint(&r);
    out->firing = decode_fingerprints(&r, arena, &out->firing_count);
    out->resolved = decode_fingerprints(&r, arena, &out->resolved_count);
    uint64_t count = reader_varint(&r);
    if (r.failed || count > reader_left(&r) / 2)
        return false;
    struct notification_kv *kv = &out->remembered;
    kv->names = ARENA_ARRAY(arena, struct view, count + 1);
    kv->values = ARENA_ARRAY(arena, struct view, count + 1);
    kv->count = count;
    for (uint64_t i = 0; i < count; i++) {
        kv->names[i] = arena_copy(arena, reader_string(&r, STATE_TEXT_BYTES_MAX));
        kv->values[i] = arena_copy(arena, reader_string(&r, STATE_TEXT_BYTES_MAX));
    }
    return !r.failed && reader_left(&r) == 0;
}

/* --- entries --- */

void notification_log_deinit(struct notification_log *l)
{
    for (size_t i = 0; i < l->count; i++)
        record_unref(l->items[i].record);
    mem_free(MEM_ALERTING, l->items);
    map_deinit(&l->by_key);
}

static bool key_equal(const void *context, uint32_t item, const void *key)
{
    const struct notification_log *l = context;
    return view_eq(l->items[item].record->key, *(const struct view *)key);
}

static struct log_entry *find(const struct notification_log *l, struct view key, uint64_t hash)
{
    uint32_t at = map_find(&l->by_key, hash, key_equal, l, &key);
    return at == MAP_NONE ? NULL : &l->items[at];
}

/* Takes the record. */
static struct log_entry *put(struct notification_log *l, struct log_record *r)
{
    struct log_entry *e = find(l, r->key, r->hash);
    if (e) {
        record_unref(e->record);
        e->record = r;
        return e;
    }
    l->items = mem_grow(MEM_ALERTING, l->items, &l->capacity, l->count + 1, sizeof(*l->items));
    map_add(&l->by_key, r->hash, (uint32_t)l->count);
    e = &l->items[l->count++];
    *e = (struct log_entry){.record = r};
    return e;
}

static void make_dirty(struct notification_log *l, struct log_entry *e)
{
    l->dirty_count += !e->is_dirty;
    e->is_dirty = true;
}

void notification_log_dirty_all(struct notification_log *l)
{
    for (size_t i = 0; i < l->count; i++)
        make_dirty(l, &l->items[i]);
}

bool notification_log_load(struct alert_state *s, struct view key, struct view body)
{
    struct arena arena;
    struct notification_entry entry = {0};
    arena_init(&arena, MEM_ALERTING, 0);
    bool ok = decode_body(body, &arena, &entry);
    arena_deinit(&arena);
    if (!ok)
        return false;
    struct log_record *r = record_new(key, body, entry.sent_ns, entry.expires_ns);
    struct log_entry *e = find(&s->log, r->key, r->hash);
    if (e && e->record->sent_ns >= r->sent_ns)
        record_unref(r);
    else
        (void)put(&s->log, r);
    return true;
}

/* The last entry takes the place of one that goes. */
static void take_out(struct notification_log *l, size_t at)
{
    size_t last = l->count - 1;
    l->dirty_count -= l->items[at].is_dirty;
    map_remove(&l->by_key, l->items[at].record->hash, (uint32_t)at);
    record_unref(l->items[at].record);
    if (at != last) {
        map_remove(&l->by_key, l->items[last].record->hash, (uint32_t)last);
        map_add(&l->by_key, l->items[last].record->hash, (uint32_t)at);
        l->items[at] = l->items[last];
    }
    l->count--;
}

void notification_log_forget(struct alert_state *s, int64_t now_ns)
{
    for (size_t i = s->log.count; i > 0; i--)
        if (s->log.items[i - 1].record->expires_ns <= now_ns)
            take_out(&s->log, i - 1);
}

static int compare_signed(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int64_t *notification_log_firing(struct alert_state *s, int64_t now_ns, size_t *count)
{
    int64_t *out = NULL;
    size_t capacity = 0, all = 0;
    struct arena arena;
    arena_init(&arena, MEM_ALERTING, 0);
    mutex_lock(&s->mutex);
    for (size_t i = 0; i < s->log.count; i++) {
        struct notification_entry entry = {0};
        arena_reset(&arena);
        if (s->log.items[i].record->expires_ns <= now_ns ||
            !decode_body(s->log.items[i].record->body, &arena, &entry) || entry.firing_count == 0)
            continue;
        out = mem_grow(MEM_ALERTING, out, &capacity, all + entry.firing_count, sizeof *out);
        memcpy(out + all, entry.firing, entry.firing_count * sizeof *out);
        all += entry.firing_count;
    }
    mutex_unlock(&s->mutex);
    arena_deinit(&arena);
    if (all)
        qsort(out, all, sizeof *out, compare_signed);
    *count = 0;
    for (size_t i = 0; i < all; i++)
        if (*count == 0 || out[*count - 1] != out[i])
            out[(*count)++] = out[i];
    return out;
}

/* --- for the thread that writes --- */

struct log_record **notification_log_take(struct alert_state *s, size_t *count)
{
    struct notification_log *l = &s->log;
    *count = 0;
    if (l->dirty_count == 0)
        return NULL;
    struct log_record **out = mem_alloc(MEM_ALERTING, l->dirty_count * sizeof(*out));
    for (size_t i = 0; i < l->count; i++)
        if (l->items[i].is_dirty) {
            out[(*count)++] = record_ref(l->items[i].record);
            l->items[i].is_dirty = false;
        }
    ASSERT(*count == l->dirty_count);
    l->dirty_count = 0;
    l->writing_count = *count;
    return out;
}

bool log_record_write(struct alert_state *s, const struct log_record *r, struct error *err)
{
    return state_run(s, STATEMENT_LOG_PUT, err, "bib", r->key, r->expires_ns, r->body);
}

void notification_log_taken(struct alert_state *s, struct log_record **records, size_t count,
                            bool is_written)
{
    for (size_t i = 0; i < count; i++) {
        struct log_entry *e = is_written ? NULL : find(&s->log, records[i]->key, records[i]->hash);
        if (e)
            make_dirty(&s->log, e);
        record_unref(records[i]);
    }
    s->log.writing_count = 0;
    mem_free(MEM_ALERTING, records);
}

/* --- for routing --- */

uint64_t notification_log_put(struct alert_state *s, const struct notification_key *key,
                              const struct notification_entry *entry)
{
    struct buffer k, b;
    buffer_init(&k, MEM_ALERTING, KEY_BYTES_MAX);
    buffer_init(&b, MEM_ALERTING, BODY_BYTES_MAX);
    encode_key(&k, key);
    encode_body(&b, entry);
    ASSERT(!k.failed && !b.failed);
    struct log_record *r =
        record_new(buffer_view(&k), buffer_view(&b), entry->sent_ns, entry->expires_ns);
    buffer_deinit(&k);
    buffer_deinit(&b);
    mutex_lock(&s->mutex);
    make_dirty(&s->log, put(&s->log, r));
    uint64_t ticket = ++s->log.tickets;
    if (s->file.path == NULL || s->stats.is_faulty)
        ticket = 0;
    cond_signal(&s->wakes);
    mutex_unlock(&s->mutex);
    return ticket;
}

bool notification_log_get(struct alert_state *s, struct arena *arena,
                          const struct notification_key *key, int64_t now_ns,
                          struct notification_entry *out)
{
    struct buffer k;
    *out = (struct notification_entry){0};
    buffer_init(&k, MEM_ALERTING, KEY_BYTES_MAX);
    encode_key(&k, key);
    ASSERT(!k.failed);
    uint64_t hash = hash64_secret(k.ptr, k.len);
    mutex_lock(&s->mutex);
    const struct log_entry *e = find(&s->log, buffer_view(&k), hash);
    struct log_record *r = e && e->record->expires_ns > now_ns ? record_ref(e->record) : NULL;
    s->log.queries++;
    mutex_unlock(&s->mutex);
    buffer_deinit(&k);
    bool is = r && decode_body(r->body, arena, out);
    if (r)
        record_unref(r);
    return is;
}
