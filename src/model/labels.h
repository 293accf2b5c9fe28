/* SPDX-License-Identifier: Apache-2.0 */
/* labels.h: a label set laid out flat: sorted by name (bytes), each name once, no empty value ("" means
 * the label is not there). The metric's name is the label __name__. This is how label sets cross
 * borders (parsers, relabelling, API); inside storage and queries they are handles of a label_store. */
#ifndef BELFRY_MODEL_LABELS_H
#define BELFRY_MODEL_LABELS_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/view.h"

#include <stdbool.h>
#include <stdint.h>

#define LABEL_NAME "__name__"

enum { LABELS_PARSE_MAX = 1024 }; /* labels that labels_parse takes */

struct label {
    struct view name, value;
};

struct labels {
    const struct label *items; /* borrowed, like the text in it */
    uint32_t count;
};

/* The value, or an empty view when it is not there. */
struct view labels_get(struct labels ls, struct view name);
bool labels_equal(struct labels a, struct labels b);
/* Prometheus' order: label by label, names before values; the shorter first. */
int labels_compare(struct labels a, struct labels b);
/* Stable on disk: XXH3 over name 0xff value 0xff ... */
uint64_t labels_hash(struct labels ls);
/* Deep copy, items and text. */
struct labels labels_copy(struct arena *arena, struct labels ls);
/* Deep copy at the start of a block of labels_block_bytes() bytes, which are a multiple of a label's alignment. */
size_t labels_block_bytes(struct labels ls);
struct labels labels_place(void *block, struct labels ls);
/* Deep copy in a block of the heap of its own, freed by labels_disown() with the same account. */
struct labels labels_own(enum mem_account account, struct labels ls);
void labels_disown(enum mem_account account, struct labels ls);
/* As PromQL writes it: name{a="b",c="d"}, {a="b"}, {"odd name"="x"}; {"utf-8 metric",a="b"}; "{}" when empty. */
void labels_format(struct buffer *out, struct labels ls);
/* All between braces, as Prometheus' tools print a label set: {__name__="up", job="x"}. */
void labels_format_set(struct buffer *out, struct labels ls);
/* [a-zA-Z_:][a-zA-Z0-9_:]* and [a-zA-Z_][a-zA-Z0-9_]*: names that need no quotes. */
bool metric_name_is_legacy(struct view name);
bool label_name_is_legacy(struct view name);
/* "text", escaped as Go's strconv.Quote does it. */
void label_quote(struct buffer *out, struct view text);
/* Sorts by name; equal names keep their order. The arena lends scratch for long sets. */
void labels_sort(struct arena *arena, struct label *items, size_t count);

/* Builds a label set in an arena; set and delete in any order, text is borrowed. */
struct labels_builder {
    struct arena *arena;
    struct label *items;
    size_t count, capacity;
};
void labels_builder_init(struct labels_builder *b, struct arena *arena);
/* Starts from `base`, replacing what was there. */
void labels_builder_reset(struct labels_builder *b, struct labels base);
/* An empty value deletes. */
void labels_builder_set(struct labels_builder *b, struct view name, struct view value);
void labels_builder_delete(struct labels_builder *b, struct view name);
struct view labels_builder_get(const struct labels_builder *b, struct view name);
/* Sorted; valid until the next change of b. */
struct labels labels_builder_finish(struct labels_builder *b);

/* Parses name{a="b"} (as labels_format writes it) into the arena. ERROR_INPUT with the column. */
MUST_USE bool labels_parse(struct arena *arena, struct view text, struct labels *out,
                           struct error *err);

#endif
