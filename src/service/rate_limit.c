/* SPDX-License-Identifier: Apache-2.0 */
/* rate_limit.c: see rate_limit.h. A set of 8 slots per hash; a slot whose bucket is full is as good as empty. Keys are
 * known by a secret 64-bit hash: nobody can choose keys that share a set. */
#include "service/rate_limit.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/mem.h"
#include "base/thread.h"

enum { WAYS = 8 };

struct slot {
    uint64_t hash;
    int64_t full_ns; /* when its bucket is full again; in the past: it is */
};

struct rate_limit {
    int64_t interval_ns, burst_ns; /* constant */
    size_t set_mask;

    pthread_mutex_t mutex; /* guards the slots */
    struct slot slots[];
};

struct rate_limit *rate_limit_new(unsigned per_minute, unsigned burst, size_t keys_max)
{
    ASSERT(per_minute > 0 && burst > 0);
    size_t sets = 1;
    while (sets * WAYS < keys_max)
        sets *= 2;
    struct rate_limit *limit =
        mem_alloc_zero(MEM_OTHER, 1, sizeof *limit + sets * WAYS * sizeof(struct slot));
    limit->interval_ns = INT64_C(60000000000) / per_minute;
    limit->burst_ns = limit->interval_ns * burst;
    limit->set_mask = sets - 1;
    mutex_init(&limit->mutex);
    return limit;
}

void rate_limit_free(struct rate_limit *limit)
{
    if (limit == NULL)
        return;
    mutex_deinit(&limit->mutex);
    mem_free(MEM_OTHER, limit);
}

/* The key's, or the one that is full soonest, emptied. */
static struct slot *find_locked(struct rate_limit *limit, uint64_t hash)
{
    struct slot *set = &limit->slots[(hash & limit->set_mask) * WAYS], *quietest = set;
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].hash == hash)
            return &set[i];
        if (set[i].full_ns < quietest->full_ns)
            quietest = &set[i];
    }
    *quietest = (struct slot){.hash = hash};
    return quietest;
}

static unsigned seconds_up(int64_t ns)
{
    return (unsigned)((ns + 999999999) / 1000000000);
}

bool rate_limit_take(struct rate_limit *limit, struct view key, mono_time now,
                     struct rate_limit_state *state)
{
    uint64_t hash = hash64_secret(key.len ? key.ptr : "", key.len);
    mutex_lock(&limit->mutex);
    struct slot *slot = find_locked(limit, hash);
    int64_t full_ns = slot->full_ns > now.ns ? slot->full_ns : now.ns;
    bool ok = full_ns + limit->interval_ns - now.ns <= limit->burst_ns;
    if (ok)
        full_ns += limit->interval_ns;
    slot->full_ns = full_ns;
    mutex_unlock(&limit->mutex);
    if (state) {
        int64_t used_ns = full_ns - now.ns;
        int64_t wait_ns = used_ns + limit->interval_ns - limit->burst_ns;
        state->remaining = (unsigned)((limit->burst_ns - used_ns) / limit->interval_ns);
        state->reset_s = seconds_up(used_ns);
        state->retry_after_s = ok ? 0 : seconds_up(wait_ns > 0 ? wait_ns : 1);
    }
    return ok;
}
