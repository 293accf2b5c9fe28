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

struct alert *alert_new(struct hash128 hash, struct labels labels)
{
    struct alert *a = mem_alloc_zero(MEM_RULES, 1, sizeof *a);
    a->labels = labels_own(MEM_RULES, labels);
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
    a->annotations = labels_own(MEM_RULES, annotations);
    labels_disown(MEM_RULES, old);
}

void alert_set_source(struct alert *a, struct labels source)
{
    if (labels_equal(a->source, source))
        return;
    a->is_changed = true;
    struct labels old = a->source;
    a->source = labels_own(MEM_RULES, source);
    labels_disown(MEM_RULES, old);
}

struct alert *alert_copy(const struct alert *a)
{
    struct alert *copy = mem_alloc(MEM_RULES, sizeof *copy);
    *copy = *a;
    copy->labels = labels_own(MEM_RULES, a->labels);
    copy->annotations = labels_own(MEM_RULES, a->annotations);
    copy->source = labels_own(MEM_RULES, a->source);
    return copy;
}

void alert_free(struct alert *a)
{
    if (!a)
        return;
    labels_disown(MEM_RULES, a->labels);
    labels_disown(MEM_RULES, a->annotations);
    labels_disown(MEM_RULES, a->source);
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
