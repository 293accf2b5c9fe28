/* SPDX-License-Identifier: Apache-2.0 */
/* group_exemplar.c: exemplars from the user's side (appender.h): they wait for their row, then go to the ring. */
#include "storage/head_private.h"

#include "base/assert.h"

void appender_exemplar(struct appender *a, uint32_t slot, const struct exemplar *e)
{
    ASSERT(slot < a->slot_count);
    if (!a->exemplars)
        a->exemplars = mem_alloc_zero(MEM_EXEMPLARS, 1, sizeof *a->exemplars);
    exemplar_batch_add(a->exemplars, slot, e);
}

/* Both under h->creation, which says what is in a slot and keeps the catalog in place. */
static bool slot_series(void *arg, uint32_t slot, struct exemplar_series_info *out)
{
    const struct group *g = arg;
    uint32_t id = slot < g->slot_count ? g->map->ids[slot] : SLOT_EMPTY;
    const struct series *s = id == SLOT_EMPTY ? NULL : head_series(g->head, id);
    if (!s || !series_is_alive(s))
        return false;
    *out = (struct exemplar_series_info){series_hash(s), id};
    return true;
}

static struct labels slot_labels(void *arg, uint32_t slot, struct arena *arena)
{
    const struct group *g = arg;
    const struct series *s = head_series(g->head, g->map->ids[slot]);
    return label_store_labels(g->head->catalog->labels, (labels_id){s->labels}, arena);
}

void group_add_exemplars(struct group *g, const struct exemplar_batch *b,
                         struct exemplar_counts *counts)
{
    struct exemplar_writer w = {slot_series, slot_labels, g};
    mutex_lock(&g->head->creation);
    exemplars_add(g->head->exemplars, b, &w, counts);
    mutex_unlock(&g->head->creation);
}

void appender_end_exemplars(struct appender *a, bool taken)
{
    if (!a->exemplars)
        return;
    if (taken)
        group_add_exemplars(a->group, a->exemplars, &a->exemplar_counts);
    exemplar_batch_deinit(a->exemplars);
    mem_free(MEM_EXEMPLARS, a->exemplars);
    a->exemplars = NULL;
}
