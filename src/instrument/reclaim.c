/* SPDX-License-Identifier: Apache-2.0 */
/* reclaim.c: the memory of what was removed and unregistered, when the program says that it holds no pointers to it.
 *
 * The library's own readers hold some too: threads that look for a child, and expositions. So: note what is to be freed, which
 * nobody can find any more; wait until each thread was once outside of a lookup; free it, unless an exposition goes on. */
#include "instrument/family.h"
#include "instrument/lock.h"
#include "instrument/status.h"

#include <string.h>

static bool reclaim_begin_locked(belfry_registry *r)
{
    if (r->is_reclaiming || r->writing_count)
        return false;
    r->is_reclaiming = true;
    r->gone_reclaim_count = r->gone_count;
    for (size_t i = 0; i < r->family_count; i++)
        r->families[i]->removed.reclaim_count = r->families[i]->removed.count;
    return true;
}

static void reclaim_end_locked(belfry_registry *r)
{
    for (size_t i = 0; i < r->gone_reclaim_count; i++)
        belfry__family_free_locked(r->gone[i]);
    r->gone_count -= r->gone_reclaim_count;
    if (r->gone_count)
        memmove(r->gone, r->gone + r->gone_reclaim_count, r->gone_count * sizeof(r->gone[0]));
    for (size_t i = 0; i < r->family_count; i++)
        belfry__family_reclaim_locked(r->families[i]);
}

belfry_status belfry_reclaim(belfry_registry *r)
{
    if (!r)
        r = belfry_registry_default();
    if (!r)
        return belfry__fail_plainly(BELFRY_ERROR_MEMORY);
    belfry__lock();
    bool ok = reclaim_begin_locked(r);
    belfry__unlock();
    if (ok) {
        belfry__blocks_wait_quiet();
        belfry__lock();
        r->is_reclaiming = false;
        ok = r->writing_count == 0;
        if (ok)
            reclaim_end_locked(r);
        belfry__unlock();
    }
    return ok ? BELFRY_OK
              : belfry__fail(BELFRY_ERROR_USED, "nothing was freed: the registry is being written");
}
