/* SPDX-License-Identifier: Apache-2.0 */
#include "alerting/recurrence.h"

#include "alerting/cron.h"
#include "alerting/rrule.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/timezone.h"

struct recurrence {
    struct timezone_data *zone;
    struct cron cron;
    struct rrule *rrule; /* NULL: cron */
    int64_t duration_s;
};

bool recurrence_new(struct recurrence **out, const struct recurrence_options *o, struct error *err)
{
    struct recurrence *r = mem_alloc_zero(MEM_ALERTING, 1, sizeof *r);
    ASSERT(o->kind != RECURRENCE_NONE);
    r->duration_s = o->duration_s;
    *out = NULL;
    bool ok = timezone_open(&r->zone, o->timezone, err);
    if (ok && (o->duration_s < 1 || o->duration_s > RECURRENCE_DURATION_MAX_S))
        ok = error_set(err, ERROR_INPUT,
                       "what recurs needs a duration of a second to 366 days for each time");
    if (ok)
        ok = o->kind == RECURRENCE_CRON ? cron_parse(&r->cron, o->text, err)
                                        : rrule_new(&r->rrule, o->text, r->zone, o->start_s, err);
    if (!ok) {
        recurrence_free(r);
        return false;
    }
    *out = r;
    return true;
}

void recurrence_free(struct recurrence *r)
{
    if (r == NULL)
        return;
    rrule_free(r->rrule);
    timezone_free(r->zone);
    mem_free(MEM_ALERTING, r);
}

bool recurrence_window_at(const struct recurrence *r, int64_t now_s, struct recurrence_window *out)
{
    int64_t after = now_s - r->duration_s; /* what began then is over now */
    bool is = r->rrule ? rrule_next(r->rrule, after, &out->begin_s)
                       : cron_next(&r->cron, r->zone, after, &out->begin_s);
    out->end_s = is ? out->begin_s + r->duration_s : 0;
    return is;
}
