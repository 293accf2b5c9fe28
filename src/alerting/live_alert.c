/* SPDX-License-Identifier: Apache-2.0 */
/* live_alert.c: see live_alert.h. An alert with its label arrays and texts is one block; one that only has other times is a
 * small block that keeps the one with the texts alive. */
#include "alerting/live_alert.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdatomic.h>

struct block {
    struct live_alert alert; /* first: the address of both is one */
    _Atomic uint32_t references;
    struct block *texts; /* referenced: whose texts these are; NULL: its own, which follow */
};

static struct block *block_of(struct live_alert *a)
{
    return (struct block *)a;
}

static struct view put_text(char **at, struct view text)
{
    struct view copy = {*at, text.len};
    if (text.len)
        memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return copy;
}

struct live_alert *live_alert_new(const struct live_alert *from)
{
    size_t labels = labels_block_bytes(from->labels);
    size_t annotations = labels_block_bytes(from->annotations);
    size_t texts = from->generator_url.len + from->file.len + from->group.len + from->rule.len;
    struct block *b = mem_alloc(MEM_ALERTING, sizeof *b + labels + annotations + texts);
    char *at = (char *)(b + 1);
    b->alert = *from;
    b->alert.labels = labels_place(at, from->labels);
    b->alert.annotations = labels_place(at + labels, from->annotations);
    at += labels + annotations;
    b->alert.generator_url = put_text(&at, from->generator_url);
    b->alert.file = put_text(&at, from->file);
    b->alert.group = put_text(&at, from->group);
    b->alert.rule = put_text(&at, from->rule);
    b->alert.fingerprint = live_alert_fingerprint(b->alert.labels);
    b->texts = NULL;
    atomic_init(&b->references, 1);
    return &b->alert;
}

struct live_alert *live_alert_with_times(struct live_alert *a, int64_t starts_ns, int64_t ends_ns)
{
    struct block *b = mem_alloc(MEM_ALERTING, sizeof *b), *texts = block_of(a);
    if (texts->texts)
        texts = texts->texts;
    b->alert = *a;
    b->alert.starts_ns = starts_ns;
    b->alert.ends_ns = ends_ns;
    b->texts = block_of(live_alert_ref(&texts->alert));
    atomic_init(&b->references, 1);
    return &b->alert;
}

struct live_alert *live_alert_ref(struct live_alert *a)
{
    /* Relaxed: who takes a reference has one. */
    uint32_t before = atomic_fetch_add_explicit(&block_of(a)->references, 1, memory_order_relaxed);
    ASSERT(before > 0 && before < UINT32_MAX);
    return a;
}

void live_alert_unref(struct live_alert *a)
{
    if (!a)
        return;
    struct block *b = block_of(a);
    /* What others did with it happened before it is freed. */
    if (atomic_fetch_sub_explicit(&b->references, 1, memory_order_acq_rel) != 1)
        return;
    struct block *texts = b->texts;
    mem_free(MEM_ALERTING, b);
    if (texts)
        live_alert_unref(&texts->alert); /* has none of its own: at most one step deep */
}

static uint64_t fnv_add(uint64_t sum, struct view text)
{
    static const uint64_t PRIME = 1099511628211U;
    for (size_t i = 0; i < text.len; i++)
        sum = (sum ^ (unsigned char)text.ptr[i]) * PRIME;
    return (sum ^ 0xff) * PRIME;
}

uint64_t live_alert_fingerprint(struct labels labels)
{
    uint64_t sum = 14695981039346656037U; /* FNV's offset basis */
    for (uint32_t i = 0; i < labels.count; i++)
        sum = fnv_add(fnv_add(sum, labels.items[i].name), labels.items[i].value);
    return sum;
}

int live_alert_compare_labels(struct labels a, struct labels b)
{
    if (a.count != b.count)
        return a.count < b.count ? -1 : 1;
    for (uint32_t i = 0; i < a.count; i++) {
        int c = view_cmp(a.items[i].name, b.items[i].name);
        if (c) /* whose name comes first has a label that the other lacks: the other is less */
            return -c;
        c = view_cmp(a.items[i].value, b.items[i].value);
        if (c)
            return c;
    }
    return 0;
}

int live_alert_compare(const struct live_alert *a, const struct live_alert *b)
{
    const struct view first[] = {VIEW("job"), VIEW("instance")};
    for (size_t i = 0; i < 2; i++) {
        struct view x = labels_get(a->labels, first[i]), y = labels_get(b->labels, first[i]);
        if (!x.len != !y.len)
            return x.len ? -1 : 1;
        int c = view_cmp(x, y);
        if (c)
            return c;
    }
    return live_alert_compare_labels(a->labels, b->labels);
}
