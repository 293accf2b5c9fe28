/* SPDX-License-Identifier: Apache-2.0 */
/* active_queries.c: a list under a mutex. Their number is what the gate of the query routes lets in. */
#include "api/active_queries.h"

#include "api/api_private.h"
#include "base/assert.h"
#include "base/thread.h"
#include "promql/engine.h"

void active_queries_init(struct active_queries *a)
{
    *a = (struct active_queries){.last_id = 0};
    mutex_init(&a->mutex);
}

void active_queries_deinit(struct active_queries *a)
{
    ASSERT(a->first == NULL);
    mutex_deinit(&a->mutex);
}

void active_queries_add(struct active_queries *a, struct active_query *q)
{
    q->start = clock_wall();
    q->began = clock_mono();
    mutex_lock(&a->mutex);
    q->id = ++a->last_id;
    q->next = NULL;
    q->previous = a->last;
    if (a->last)
        a->last->next = q;
    else
        a->first = q;
    a->last = q;
    mutex_unlock(&a->mutex);
}

void active_queries_remove(struct active_queries *a, struct active_query *q)
{
    mutex_lock(&a->mutex);
    if (q->previous)
        q->previous->next = q->next;
    else
        a->first = q->next;
    if (q->next)
        q->next->previous = q->previous;
    else
        a->last = q->previous;
    mutex_unlock(&a->mutex);
}

bool active_queries_cancel(struct active_queries *a, uint64_t id)
{
    mutex_lock(&a->mutex);
    struct active_query *q = a->first;
    while (q && q->id != id)
        q = q->next;
    if (q)
        query_cancel(q->query);
    mutex_unlock(&a->mutex);
    return q != NULL;
}

static void one_write(struct buffer *out, const struct active_query *q)
{
    buffer_append_byte(out, '{');
    api_field_int(out, "id", (int64_t)q->id);
    buffer_append_byte(out, ',');
    api_field_string(out, "query", q->text);
    buffer_append_byte(out, ',');
    api_field_string(out, "kind", view_from(q->kind));
    buffer_append_literal(out, ",\"start\":");
    api_time_format(out, q->start.ms);
    buffer_append_byte(out, ',');
    api_field_int(out, "runningMs", mono_ms_since(q->began));
    buffer_append_byte(out, ',');
    api_field_string(out, "client", view_from(q->client));
    buffer_append_byte(out, ',');
    api_field_int(out, "samples", query_samples_read(q->query));
    buffer_append_byte(out, '}');
}

void active_queries_write(struct active_queries *a, struct buffer *out)
{
    buffer_append_byte(out, '[');
    mutex_lock(&a->mutex);
    for (const struct active_query *q = a->first; q; q = q->next) {
        if (q != a->first)
            buffer_append_byte(out, ',');
        one_write(out, q);
    }
    mutex_unlock(&a->mutex);
    buffer_append_byte(out, ']');
}
