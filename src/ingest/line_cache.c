/* SPDX-License-Identifier: Apache-2.0 */
/* line_cache.c: see line_cache.h.
 *
 * Entries are told apart by 64 bits of hash with the process's secret and by their length, not by their
 * text: two keys of one target would have to agree in both, 10^-13 for a target of a thousand lines. */
#include "ingest/line_cache.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/mem.h"

#include <assert.h>
#include <string.h>

static_assert(sizeof(struct line_entry) == 16, "what a line costs");

#define NOT_THERE UINT32_MAX

void line_cache_clear(struct line_cache *c)
{
    mem_free(MEM_SCRAPE, c->entries);
    *c = (struct line_cache){.visit = c->visit};
}

void line_cache_ask_again(struct line_cache *c, uint32_t max)
{
    uint32_t kept = 0, folded = 0, from = c->ask_from < c->folded_count ? c->ask_from : 0;
    for (uint32_t i = 0; i < c->count; i++) {
        bool is_folded = line_slot_is_folded(c->entries[i].slot);
        bool goes = is_folded && folded >= from && folded - from < max;
        folded += is_folded;
        if (!goes)
            c->entries[kept++] = c->entries[i];
    }
    c->ask_from = from + max;
    c->folded_count -= c->count - kept;
    c->count = kept;
}

void line_cache_move(struct line_cache *to, struct line_cache *from)
{
    if (from->count) {
        size_t count = (size_t)to->count + from->count;
        ASSERT(count <= UINT32_MAX);
        to->entries = mem_resize(MEM_SCRAPE, to->entries, count * sizeof *to->entries);
        memcpy(to->entries + to->count, from->entries, from->count * sizeof *from->entries);
        to->count = (uint32_t)count;
    }
    line_cache_clear(from);
}

void line_scratch_deinit(struct line_scratch *s)
{
    mem_free(MEM_SCRAPE, s->next);
    mem_free(MEM_SCRAPE, s->table);
    mem_free(MEM_SCRAPE, s->gone);
    *s = (struct line_scratch){0};
}

void line_walk_init(struct line_walk *w, struct line_cache *c, struct line_scratch *s,
                    struct view body, enum exposition_format format, bool take_timestamps)
{
    *w = (struct line_walk){.cache = c,
                            .scratch = s,
                            .entries = c->entries,
                            .count = c->count,
                            .take_timestamps = take_timestamps};
    exposition_parser_init(&w->parser, body, format);
    s->next_count = 0;
    s->gone_count = 0;
    if (++c->visit == 0)
        c->visit = 1; /* entries are born with 0 */
}

/* ---- the new order ---- */

static void next_add(struct line_scratch *s, const struct line_entry *e)
{
    if (s->next_count == s->next_capacity)
        s->next =
            mem_grow(MEM_SCRAPE, s->next, &s->next_capacity, s->next_count + 1, sizeof *s->next);
    s->next[s->next_count++] = *e;
}

/* From here on the order is another: notes what came so far. */
static void walk_change(struct line_walk *w)
{
    if (w->changed)
        return;
    struct line_scratch *s = w->scratch;
    w->changed = true;
    if (s->next_capacity < w->pos)
        s->next = mem_grow(MEM_SCRAPE, s->next, &s->next_capacity, w->pos, sizeof *s->next);
    if (w->pos)
        memcpy(s->next, w->entries, w->pos * sizeof *s->next);
    s->next_count = w->pos;
    for (uint32_t i = 0; i < w->pos; i++)
        w->cache->entries[i].visit = w->cache->visit;
}

/* Entry `idx` of the cache was seen and is what came. */
static void visit(struct line_walk *w, uint32_t idx)
{
    if (w->changed) {
        next_add(w->scratch, &w->entries[idx]);
        w->cache->entries[idx].visit = w->cache->visit;
    } else if (idx != w->pos) {
        walk_change(w);
        visit(w, idx);
        return;
    }
    w->pos = idx + 1;
}

/* ---- the hot path ---- */

static bool slot_is_comment(uint32_t slot)
{
    return slot >= LINE_SLOT_COMMENT && slot <= (LINE_SLOT_COMMENT | LINE_NO_TYPE);
}

/* Takes the line when it is this comment. */
static bool comment_known(struct line_walk *w, const struct line_entry *e)
{
    struct exposition_parser *p = &w->parser;
    const char *at = p->body.ptr + p->pos;
    size_t left = p->body.len - p->pos;
    if (left <= e->len || at[e->len] != '\n' || hash64_secret(at, e->len) != e->hash)
        return false;
    uint32_t type = e->slot & 0xff;
    if (type != LINE_NO_TYPE) {
        p->type = (enum metric_type)type;
        p->type_pos = p->pos;
    }
    p->pos += (size_t)e->len + 1;
    p->line++;
    return true;
}

/* The entry is no slot of the row. */
NOINLINE static bool special_known(struct line_walk *w, const struct line_entry *e,
                                   struct appender *a)
{
    if (slot_is_comment(e->slot))
        return comment_known(w, e);
    if (line_slot_is_folded(e->slot)) {
        if (!exposition_next_cached(&w->parser, e->len, e->hash))
            return false;
        w->known++;
        line_slot_fold(a, e->slot);
        return true;
    }
    if (e->slot != LINE_SLOT_DROPPED || !exposition_next_cached(&w->parser, e->len, e->hash))
        return false;
    w->known++;
    w->known_dropped++;
    return true;
}

bool line_walk_known(struct line_walk *w, struct appender *a)
{
    while (w->pos < w->count) {
        const struct line_entry *e = &w->entries[w->pos];
        if (LIKELY(e->slot <= LINE_SLOTS_MAX)) {
            if (!exposition_next_cached(&w->parser, e->len, e->hash))
                return false;
            appender_sample(a, e->slot, w->parser.value);
            w->known++;
        } else if (!special_known(w, e, a)) {
            return false;
        }
        if (UNLIKELY(w->changed))
            visit(w, w->pos);
        else
            w->pos++;
        if (UNLIKELY(w->parser.has_exemplar && e->slot <= LINE_SLOTS_MAX)) {
            w->slot = e->slot;
            return true;
        }
    }
    return false;
}

/* ---- lines out of order ---- */

/* Is this the entry of the line? A line with a timestamp and one without may both have been seen. */
static bool entry_is(const struct line_entry *e, uint64_t hash, size_t len, bool timestamped)
{
    bool entry_timestamped = e->slot >= LINE_SLOT_TIMESTAMPED && e->slot < LINE_SLOT_FOLDED;
    return e->hash == hash && e->len == len &&
           (e->slot == LINE_SLOT_DROPPED || line_slot_is_folded(e->slot) ||
            entry_timestamped == timestamped);
}

static void table_build(struct line_walk *w)
{
    struct line_scratch *s = w->scratch;
    size_t capacity = 64;
    while (capacity * 3 < (size_t)w->count * 4)
        capacity *= 2;
    /* A table that is much too large would be cleared for nothing. */
    if (capacity > s->table_capacity || s->table_capacity > capacity * 64) {
        s->table = mem_resize(MEM_SCRAPE, s->table, capacity * sizeof *s->table);
        s->table_capacity = capacity;
    }
    memset(s->table, 0xff, s->table_capacity * sizeof *s->table);
    size_t mask = s->table_capacity - 1;
    for (uint32_t i = 0; i < w->count; i++) {
        size_t at = w->entries[i].hash & mask;
        while (s->table[at] != NOT_THERE)
            at = (at + 1) & mask;
        s->table[at] = i;
    }
    w->table_built = true;
}

/* The number of the line's entry, or NOT_THERE. */
static uint32_t find(struct line_walk *w, uint64_t hash, size_t len, bool timestamped)
{
    if (w->count == 0)
        return NOT_THERE;
    if (w->pos < w->count && entry_is(&w->entries[w->pos], hash, len, timestamped))
        return w->pos;
    if (!w->table_built)
        table_build(w);
    const struct line_scratch *s = w->scratch;
    size_t mask = s->table_capacity - 1;
    for (size_t at = hash & mask; s->table[at] != NOT_THERE; at = (at + 1) & mask) {
        if (entry_is(&w->entries[s->table[at]], hash, len, timestamped))
            return s->table[at];
    }
    return NOT_THERE;
}

/* Notes a line that nobody knew. */
static void entry_add(struct line_walk *w, uint64_t hash, size_t len, uint32_t slot)
{
    if (len > UINT16_MAX)
        return; /* it will be parsed each time */
    struct line_entry e = {.hash = hash, .slot = slot, .len = (uint16_t)len};
    walk_change(w);
    next_add(w->scratch, &e);
}

static enum line_event on_comment(struct line_walk *w, size_t start, enum exposition_event event)
{
    const struct exposition_parser *p = &w->parser;
    const char *at = p->body.ptr + start;
    size_t len = p->pos - start;
    bool newline = len > 0 && at[len - 1] == '\n';
    uint32_t type = LINE_NO_TYPE;
    if (event == EXPOSITION_TYPE)
        type = p->type;
    len -= newline;
    uint64_t hash = hash64_secret(at, len);
    uint32_t idx = newline ? find(w, hash, len, false) : NOT_THERE;
    if (idx != NOT_THERE) {
        visit(w, idx);
        return LINE_COMMENT; /* known: nothing in it is news */
    }
    if (newline)
        entry_add(w, hash, len, LINE_SLOT_COMMENT | type);
    switch (event) {
    case EXPOSITION_TYPE:
        return LINE_TYPE;
    case EXPOSITION_HELP:
        return LINE_HELP;
    case EXPOSITION_UNIT:
        return LINE_UNIT;
    default:
        return LINE_COMMENT;
    }
}

static enum line_event on_sample(struct line_walk *w)
{
    const struct exposition_parser *p = &w->parser;
    w->parsed++;
    w->hash = hash64_secret(p->key.ptr, p->key.len);
    uint32_t idx = find(w, w->hash, p->key.len, line_walk_is_timestamped(w));
    if (idx == NOT_THERE)
        return LINE_NEW;
    w->slot = w->entries[idx].slot;
    visit(w, idx);
    return LINE_SEEN;
}

enum line_event line_walk_next(struct line_walk *w, struct error *err)
{
    struct exposition_parser *p = &w->parser;
    /* Where the line begins that the parser is going to find: blank lines are no part of a comment. */
    size_t start = p->pos;
    while (start < p->body.len && p->body.ptr[start] == '\n')
        start++;
    enum exposition_event event = exposition_next(p, err);
    switch (event) {
    case EXPOSITION_END:
        return LINE_END;
    case EXPOSITION_ERROR:
        return LINE_ERROR;
    case EXPOSITION_SAMPLE:
        return on_sample(w);
    default:
        return on_comment(w, start, event);
    }
}

void line_walk_learn(struct line_walk *w, uint32_t slot)
{
    entry_add(w, w->hash, w->parser.key.len, slot);
}

/* ---- the end ---- */

void line_walk_finish(struct line_walk *w)
{
    struct line_cache *c = w->cache;
    struct line_scratch *s = w->scratch;
    if (!line_walk_is_news(w))
        return;
    walk_change(w);
    for (uint32_t i = 0; i < c->count; i++) {
        if (c->entries[i].visit == c->visit)
            continue;
        w->metadata_gone |= slot_is_comment(c->entries[i].slot);
        if (c->entries[i].slot >= LINE_SLOT_COMMENT)
            continue;
        if (s->gone_count == s->gone_capacity)
            s->gone = mem_grow(MEM_SCRAPE, s->gone, &s->gone_capacity, s->gone_count + 1,
                               sizeof *s->gone);
        s->gone[s->gone_count++] = c->entries[i];
    }
    ASSERT(s->next_count <= UINT32_MAX);
    if (s->next_count == 0) {
        line_cache_clear(c);
        return;
    }
    c->entries = mem_resize(MEM_SCRAPE, c->entries, s->next_count * sizeof *c->entries);
    memcpy(c->entries, s->next, s->next_count * sizeof *c->entries);
    c->count = (uint32_t)s->next_count;
    c->folded_count = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        c->entries[i].visit = 0;
        c->folded_count += line_slot_is_folded(c->entries[i].slot);
    }
}
