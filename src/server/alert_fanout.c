/* SPDX-License-Identifier: Apache-2.0 */
/* alert_fanout.c: see alert_fanout.h. */
#include "server/alert_fanout.h"

#include "base/assert.h"

void alert_fanout_add(struct alert_fanout *f, struct alert_sink sink)
{
    ASSERT(sink.send && f->count < ALERT_FANOUT_MAX);
    f->sinks[f->count++] = sink;
}

static void send_all(void *arg, const struct alert_notice *notices, size_t count)
{
    const struct alert_fanout *f = arg;
    for (size_t i = 0; i < f->count; i++)
        f->sinks[i].send(f->sinks[i].arg, notices, count);
}

struct alert_sink alert_fanout_sink(struct alert_fanout *f)
{
    return (struct alert_sink){send_all, f};
}
