/* SPDX-License-Identifier: Apache-2.0 */
/* alert.c: see alert.h. */
#include "rules/alert.h"

#include "base/assert.h"
#include "base/mem.h"
#include "rules/rule_env.h"

const char *alert_phase_name(enum alert_phase state)
{
    static const char *const NAMES[] = {"inactive", "pending", "firing", "watched"};
    return NAMES[state];
}

/* Items and their text in one block. */
static struct labels labels_own(struct labels ls)
{
    size_t bytes = ls.count * sizeof(struct label);
    for (uint32_t i = 0; i < ls.count; i++)
        bytes += ls.items[i].name.len + ls.items[i].value.len;
    if (ls.count == 0)
        return (struct labels){NULL, 0};
    struct label *items = mem_alloc(MEM_RULES, bytes);
    char *text = (char *)(items + ls.count);
    for (uint32_t i = 0; i < ls.count; i++) {
        struct view parts[2] = {ls.items[i].name, ls.items[i].value};
        for (int k = 0; k < 2; k++) {
            if (parts[k].len)
                memcpy(text, parts[k].ptr, parts[k].len);
            parts[k].ptr = text;
            text += parts[k].len;
        }
        items[i] = (struct label){parts[0], parts[1]};
    }
    return (struct labels){items, ls.count};
}

static void labels_disown(struct labels ls)
{
    mem_free(MEM_RULES, (void *)(uintptr_t)ls.items);
}

struct alert *alert_new(struct hash128 hash, struct labels labels)
{
    struct alert *a = mem_alloc_zero(MEM_RULES, 1, sizeof *a);
    a->labels = labels_own(labels);
    a->hash = hash;
    a->state = ALERT_PENDING;
    a->active_ms = a->fired_ms = a->resolved_ms = a->keep_firing_since_ms = a->sent_ms =
        a->valid_until_ms = RULE_NEVER;
    a->is_changed = true;
    return a;
}

void alert_set_annotations(struct alert *a, struct labels annotations)
{
    if (labels_equal(a->annotations, annotations))
        return;
    struct labels old = a->annotations;
    a->annotations = labels_own(annotations);
    labels_disown(old);
}

void alert_set_source(struct alert *a, struct labels source)
{
    if (labels_equal(a->source, source))
        return;
    a->is_changed = true;
    struct labels old = a->source;
    a->source = labels_own(source);
    labels_disown(old);
}

struct alert *alert_copy(const struct alert *a)
{
    struct alert *copy = mem_alloc(MEM_RULES, sizeof *copy);
    *copy = *a;
    copy->labels = labels_own(a->labels);
    copy->annotations = labels_own(a->annotations);
    copy->source = labels_own(a->source);
    return copy;
}

void alert_free(struct alert *a)
{
    if (!a)
        return;
    labels_disown(a->labels);
    labels_disown(a->annotations);
    labels_disown(a->source);
    mem_free(MEM_RULES, a);
}

bool alert_needs_sending(const struct alert *a, int64_t now_ms, int64_t resend_delay_ms)
{
    if (a->state == ALERT_PENDING || a->state == ALERT_WATCHED)
        return false;
    if (a->sent_ms == RULE_NEVER || a->resolved_ms > a->sent_ms)
        return true;
    return a->sent_ms + resend_delay_ms < now_ms;
}
