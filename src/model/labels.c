/* SPDX-License-Identifier: Apache-2.0 */
/* labels.c: flat label sets. They have a handful of labels, so lookups walk and sorting inserts; only
 * a long set that comes unsorted goes to a merge sort (an insertion sort of what a stranger sends
 * would be quadratic). */
#include "model/labels.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/mem.h"

#include <stdalign.h>
#include <string.h>

struct view labels_get(struct labels ls, struct view name)
{
    for (uint32_t i = 0; i < ls.count; i++) {
        if (view_eq(ls.items[i].name, name))
            return ls.items[i].value;
    }
    return VIEW("");
}

bool labels_equal(struct labels a, struct labels b)
{
    if (a.count != b.count)
        return false;
    for (uint32_t i = 0; i < a.count; i++) {
        if (!view_eq(a.items[i].name, b.items[i].name) ||
            !view_eq(a.items[i].value, b.items[i].value))
            return false;
    }
    return true;
}

int labels_compare(struct labels a, struct labels b)
{
    uint32_t count = a.count < b.count ? a.count : b.count;
    for (uint32_t i = 0; i < count; i++) {
        int c = view_cmp(a.items[i].name, b.items[i].name);
        if (c == 0)
            c = view_cmp(a.items[i].value, b.items[i].value);
        if (c != 0)
            return c;
    }
    return (a.count > b.count) - (a.count < b.count);
}

static char *hash_input_put(char *to, struct view text)
{
    if (text.len)
        memcpy(to, text.ptr, text.len);
    to[text.len] = (char)0xff; /* never part of UTF-8 text, so ("a", "bc") and ("ab", "c") differ */
    return to + text.len + 1;
}

uint64_t labels_hash(struct labels ls)
{
    char fixed[1024];
    size_t bytes = 0;
    fixed[0] = 0; /* an empty set reads none of it, which the compiler cannot see */
    for (uint32_t i = 0; i < ls.count; i++)
        bytes += ls.items[i].name.len + ls.items[i].value.len + 2;

    char *input = bytes <= sizeof fixed ? fixed : mem_alloc(MEM_LABELS, bytes);
    char *end = input;
    for (uint32_t i = 0; i < ls.count; i++)
        end = hash_input_put(hash_input_put(end, ls.items[i].name), ls.items[i].value);
    ASSERT((size_t)(end - input) == bytes);
    uint64_t hash = hash64(input, bytes);
    if (input != fixed)
        mem_free(MEM_LABELS, input);
    return hash;
}

struct labels labels_copy(struct arena *arena, struct labels ls)
{
    if (ls.count == 0)
        return (struct labels){NULL, 0};
    struct label *items = arena_alloc(arena, ls.count * sizeof *items);
    for (uint32_t i = 0; i < ls.count; i++)
        items[i] = (struct label){arena_copy(arena, ls.items[i].name),
                                  arena_copy(arena, ls.items[i].value)};
    return (struct labels){items, ls.count};
}

size_t labels_block_bytes(struct labels ls)
{
    size_t bytes = ls.count * sizeof *ls.items, align = alignof(struct label);
    for (uint32_t i = 0; i < ls.count; i++)
        bytes += ls.items[i].name.len + ls.items[i].value.len;
    return (bytes + align - 1) / align * align;
}

static struct view place_text(char **at, struct view text)
{
    struct view copy = {*at, text.len};
    if (text.len)
        memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return copy;
}

struct labels labels_place(void *block, struct labels ls)
{
    struct label *items = block;
    char *at = (char *)(items + ls.count);
    for (uint32_t i = 0; i < ls.count; i++) {
        items[i].name = place_text(&at, ls.items[i].name);
        items[i].value = place_text(&at, ls.items[i].value);
    }
    return (struct labels){ls.count ? items : NULL, ls.count};
}

struct labels labels_own(enum mem_account account, struct labels ls)
{
    if (ls.count == 0)
        return (struct labels){NULL, 0};
    return labels_place(mem_alloc(account, labels_block_bytes(ls)), ls);
}

void labels_disown(enum mem_account account, struct labels ls)
{
    mem_free(account, (void *)(uintptr_t)ls.items);
}

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool metric_name_is_legacy(struct view name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!is_name_start(c) && c != ':' && !(i > 0 && is_digit(c)))
            return false;
    }
    return name.len > 0;
}

bool label_name_is_legacy(struct view name)
{
    return metric_name_is_legacy(name) && memchr(name.ptr, ':', name.len) == NULL;
}

void labels_builder_init(struct labels_builder *b, struct arena *arena)
{
    *b = (struct labels_builder){.arena = arena};
}

void labels_builder_reset(struct labels_builder *b, struct labels base)
{
    b->count = 0;
    if (base.count > b->capacity)
        b->items = arena_grow(b->arena, b->items, &b->capacity, base.count, sizeof *b->items);
    if (base.count)
        memcpy(b->items, base.items, base.count * sizeof *b->items);
    b->count = base.count;
}

static size_t builder_find(const struct labels_builder *b, struct view name)
{
    for (size_t i = 0; i < b->count; i++) {
        if (view_eq(b->items[i].name, name))
            return i;
    }
    return b->count;
}

void labels_builder_set(struct labels_builder *b, struct view name, struct view value)
{
    if (value.len == 0) {
        labels_builder_delete(b, name);
        return;
    }
    size_t i = builder_find(b, name);
    if (i == b->count) {
        if (b->count == b->capacity)
            b->items = arena_grow(b->arena, b->items, &b->capacity, b->count + 1, sizeof *b->items);
        b->count++;
    }
    b->items[i] = (struct label){name, value};
}

void labels_builder_delete(struct labels_builder *b, struct view name)
{
    size_t i = builder_find(b, name);
    if (i < b->count)
        b->items[i] = b->items[--b->count]; /* finish() sorts */
}

struct view labels_builder_get(const struct labels_builder *b, struct view name)
{
    size_t i = builder_find(b, name);
    return i < b->count ? b->items[i].value : VIEW("");
}

enum { INSERTION_SORT_MAX = 24 }; /* chosen, not measured */

static void insertion_sort(struct label *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct label l = items[i];
        size_t at = i;
        for (; at > 0 && view_cmp(items[at - 1].name, l.name) > 0; at--)
            items[at] = items[at - 1];
        items[at] = l;
    }
}

/* Merges runs of doubling width back and forth between the two arrays. */
static struct label *merge_sort(struct label *items, struct label *scratch, size_t count)
{
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t from = 0; from < count; from += 2 * width) {
            size_t middle = from + width < count ? from + width : count;
            size_t end = middle + width < count ? middle + width : count;
            size_t left = from, right = middle;
            for (size_t at = from; at < end; at++) {
                bool take_left =
                    left < middle &&
                    (right == end || view_cmp(items[left].name, items[right].name) <= 0);
                scratch[at] = take_left ? items[left++] : items[right++];
            }
        }
        struct label *swap = items;
        items = scratch;
        scratch = swap;
    }
    return items;
}

void labels_sort(struct arena *arena, struct label *items, size_t count)
{
    bool sorted = true;
    for (size_t i = 1; i < count && sorted; i++)
        sorted = view_cmp(items[i - 1].name, items[i].name) <= 0;
    if (sorted)
        return;
    if (count <= INSERTION_SORT_MAX) {
        insertion_sort(items, count);
        return;
    }
    struct label *scratch = arena_alloc(arena, count * sizeof *scratch);
    struct label *result = merge_sort(items, scratch, count);
    if (result != items)
        memcpy(items, result, count * sizeof *items);
}

struct labels labels_builder_finish(struct labels_builder *b)
{
    labels_sort(b->arena, b->items, b->count);
    return (struct labels){b->items, (uint32_t)b->count};
}
