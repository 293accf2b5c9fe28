/* SPDX-License-Identifier: Apache-2.0 */
/* line_cache.h: what a target's lines were the last time, in their order: 16 bytes a line. The next entry
 * knows how long the name and labels of the next line are, their hash confirms it, and the value goes to
 * the entry's slot: neither labels nor series are touched. Lines of comments are entries too.
 *
 * A walk is one scrape:
 *
 *   line_walk_init(&w, &cache, &scratch, body, format, take_timestamps)
 *   for (;;) {
 *       while (line_walk_known(&w, &appender))      the hot path
 *           ...                                     an exemplar: see the parser
 *       switch (line_walk_next(&w, &err)) { ... LINE_NEW: line_walk_learn(&w, slot) ... }
 *   }
 *   line_walk_finish(&w) when the row was taken, else nothing: the cache is as it was.
 *
 * While everything comes in the order of the last time nothing is written. From the first line that does
 * not on, what is seen is noted in the scratch, which is lent by the thread and becomes the new order;
 * lines are then found in a table of the scratch that is built for this walk. One thread at a time. */
#ifndef BELFRY_INGEST_LINE_CACHE_H
#define BELFRY_INGEST_LINE_CACHE_H

#include "base/attributes.h"
#include "base/error.h"
#include "base/view.h"
#include "model/exposition.h"
#include "storage/appender.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct line_entry {
    uint64_t hash;  /* hash64_secret of the key, or of a comment's whole line */
    uint32_t slot;  /* or one of the LINE_SLOT_ values */
    uint16_t len;   /* of what is hashed */
    uint16_t visit; /* of the walk that saw it after the order changed */
};

#define LINE_SLOT_DROPPED UINT32_C(0xfffffffe) /* relabelling drops it */
/* Over a limit of series: the line counts in the overflow series of the slot in the low 24 bits (all set: in
 * none). Asked for again now and then: line_cache_ask_again(). */
#define LINE_SLOT_FOLDED UINT32_C(0xc0000000)
#define LINE_SLOT_FOLDED_MAX UINT32_C(0xc0ffffff)
#define LINE_SLOT_COMMENT UINT32_C(0xffffff00) /* + type of a TYPE line, or LINE_NO_TYPE */
#define LINE_SLOT_TIMESTAMPED                                                                      \
    UINT32_C(0x80000000) /* a bit: slot of the group of timestamped samples */
enum { LINE_NO_TYPE = 0x20, LINE_SLOTS_MAX = 0x7fffffff };

static inline bool line_slot_is_folded(uint32_t slot)
{
    return slot >= LINE_SLOT_FOLDED && slot <= LINE_SLOT_FOLDED_MAX;
}
static inline void line_slot_fold(struct appender *a, uint32_t slot)
{
    if (slot != LINE_SLOT_FOLDED_MAX)
        appender_fold(a, slot & ~LINE_SLOT_FOLDED);
}

/* All zero = empty. */
struct line_cache {
    struct line_entry *entries;
    uint32_t count;
    uint16_t visit;
    uint32_t folded_count; /* of the entries */
    uint32_t ask_from;     /* which of the folded are the next to be asked for */
};
/* Forgets all lines. */
void line_cache_clear(struct line_cache *c);
/* Forgets up to `max` folded lines, others than the last time: the next walk meets them as new. */
void line_cache_ask_again(struct line_cache *c, uint32_t max);
/* Puts the lines of `from` behind those of `to`, which is no cache for a walk any more. `from` is empty then. */
void line_cache_move(struct line_cache *to, struct line_cache *from);
static inline size_t line_cache_bytes(const struct line_cache *c)
{
    return c->count * sizeof *c->entries;
}

/* All zero = empty; keep it between walks. */
struct line_scratch {
    struct line_entry *next; /* the new order */
    size_t next_capacity, next_count;
    uint32_t *table; /* numbers of the cache's entries by hash */
    size_t table_capacity;
    struct line_entry *gone; /* after line_walk_finish: the lines that are not there any more */
    size_t gone_capacity, gone_count;
};
void line_scratch_deinit(struct line_scratch *s);

enum line_event {
    LINE_END,
    LINE_SEEN, /* an old line that came unexpected: see slot, value and timestamp */
    LINE_NEW, /* a sample that nobody knows: its key is in the parser; line_walk_learn() must follow */
    LINE_TYPE, /* new TYPE, HELP or UNIT lines: see the parser */
    LINE_HELP,
    LINE_UNIT,
    LINE_COMMENT, /* another comment */
    LINE_ERROR
};

struct line_walk {
    struct exposition_parser parser;
    struct line_cache *cache;
    struct line_scratch *scratch;
    const struct line_entry *entries; /* the cache's */
    uint32_t count;                   /* of them */
    uint32_t pos;                     /* the one that is expected next */
    bool changed;                     /* the order did; then `scratch->next` is kept */
    bool table_built;
    bool take_timestamps; /* samples with a timestamp are others than without */

    uint32_t slot;          /* LINE_SEEN, exemplars: slot or LINE_SLOT_DROPPED */
    uint64_t known, parsed; /* sample lines: by the hot path, and not */
    uint64_t known_dropped; /* of the known: dropped by relabelling */
    uint64_t hash;          /* LINE_NEW: of the key */
    bool
        metadata_gone; /* after line_walk_finish: lines of TYPE, HELP or UNIT are not there any more */
};

/* The cache must have been filled by bodies of this format. */
void line_walk_init(struct line_walk *w, struct line_cache *c, struct line_scratch *s,
                    struct view body, enum exposition_format format, bool take_timestamps);
/* Takes lines while they are those of the last time in their order. About 25 ns a line. True when the sample that
 * it just took has an exemplar: it is in the parser, its slot in w->slot, and more lines may be known. */
MUST_USE bool line_walk_known(struct line_walk *w, struct appender *a);
/* The next line, whatever it is. On LINE_ERROR err says what is wrong. */
enum line_event line_walk_next(struct line_walk *w, struct error *err);
/* After LINE_NEW: the slot is the one for this line from now on (with LINE_SLOT_TIMESTAMPED when
 * line_walk_is_timestamped()), or LINE_SLOT_DROPPED. */
void line_walk_learn(struct line_walk *w, uint32_t slot);
/* Is the sample at hand one for the group of timestamped samples? */
static inline bool line_walk_is_timestamped(const struct line_walk *w)
{
    return w->take_timestamps && w->parser.has_timestamp;
}
/* Is there anything for line_walk_finish() to do? */
static inline bool line_walk_is_news(const struct line_walk *w)
{
    return w->changed || w->pos != w->count;
}
/* Makes the order of this walk the cache's. Lines that were not seen leave it: scratch->gone. */
void line_walk_finish(struct line_walk *w);

#endif
