/* SPDX-License-Identifier: Apache-2.0 */
/* allocator_collector.c: what the process' memory allocator says of itself.
 *
 * Which one that is, is known only in the process: jemalloc and mimalloc take malloc's place when they are linked or
 * preloaded. Their functions are weak references here, so libbelfry needs neither: NULL where they are not there. The C
 * library's own malloc is there in any case, but has no memory of the system when another one took its place. */
#include "belfry/collectors.h"

#include <malloc.h>
#include <stdint.h>

/* <jemalloc/jemalloc.h> */
extern int mallctl(const char *name, void *old_value, size_t *old_bytes, void *new_value,
                   size_t new_bytes) __attribute__((weak));
/* <mimalloc.h> */
extern void mi_process_info(size_t *elapsed_ms, size_t *user_ms, size_t *system_ms,
                            size_t *resident, size_t *resident_peak, size_t *committed,
                            size_t *committed_peak, size_t *page_faults) __attribute__((weak));

#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
static void emit_glibc(belfry_emitter *e)
{
    struct mallinfo2 m = mallinfo2();
    if (m.arena == 0 && m.hblkhd == 0)
        return; /* another allocator serves */
    belfry_emit(e, "glibc_malloc_heap_bytes",
                "Memory that malloc got from the system for its arenas.", BELFRY_GAUGE,
                (double)m.arena);
    belfry_emit(e, "glibc_malloc_mmap_bytes", "Memory of blocks that have a mapping of their own.",
                BELFRY_GAUGE, (double)m.hblkhd);
    belfry_emit(e, "glibc_malloc_mmap_blocks", "Blocks that have a mapping of their own.",
                BELFRY_GAUGE, (double)m.hblks);
    belfry_emit(e, "glibc_malloc_in_use_bytes", "Memory of the arenas that is in use.",
                BELFRY_GAUGE, (double)m.uordblks);
    belfry_emit(e, "glibc_malloc_free_bytes", "Memory of the arenas that is free.", BELFRY_GAUGE,
                (double)m.fordblks);
    belfry_emit(e, "glibc_malloc_releasable_bytes",
                "Free memory at the end of the heap, which malloc_trim() would give back.",
                BELFRY_GAUGE, (double)m.keepcost);
}
#else
static void emit_glibc(belfry_emitter *e)
{
    (void)e;
}
#endif

static const struct {
    const char *statistic, *name, *help;
} JEMALLOC[] = {
    {"stats.allocated", "jemalloc_allocated_bytes", "Memory that the program asked for."},
    {"stats.active", "jemalloc_active_bytes", "Pages in which something is in use."},
    {"stats.metadata", "jemalloc_metadata_bytes", "Memory of the allocator's own books."},
    {"stats.resident", "jemalloc_resident_bytes", "Pages that are in memory, at most."},
    {"stats.mapped", "jemalloc_mapped_bytes", "Memory of active extents."},
    {"stats.retained", "jemalloc_retained_bytes",
     "Address space kept for later, without memory behind it."},
};

/* A jemalloc that was built without statistics says so, and nothing is shown. */
static void emit_jemalloc(belfry_emitter *e)
{
    uint64_t epoch = 1;
    size_t bytes = sizeof(epoch);
    if (!mallctl || mallctl("epoch", &epoch, &bytes, &epoch, sizeof(epoch)) != 0)
        return; /* the numbers are those of the last epoch */
    for (size_t i = 0; i < sizeof(JEMALLOC) / sizeof(JEMALLOC[0]); i++) {
        size_t value = 0;
        bytes = sizeof(value);
        if (mallctl(JEMALLOC[i].statistic, &value, &bytes, NULL, 0) == 0)
            belfry_emit(e, JEMALLOC[i].name, JEMALLOC[i].help, BELFRY_GAUGE, (double)value);
    }
}

static void emit_mimalloc(belfry_emitter *e)
{
    size_t elapsed_ms, user_ms, system_ms, resident = 0, resident_peak = 0, committed = 0,
                                           committed_peak = 0, page_faults = 0;
    if (!mi_process_info)
        return;
    mi_process_info(&elapsed_ms, &user_ms, &system_ms, &resident, &resident_peak, &committed,
                    &committed_peak, &page_faults);
    belfry_emit(e, "mimalloc_resident_bytes", "Memory of the process that is in memory.",
                BELFRY_GAUGE, (double)resident);
    belfry_emit(e, "mimalloc_resident_peak_bytes", "The most that it was.", BELFRY_GAUGE,
                (double)resident_peak);
    belfry_emit(e, "mimalloc_committed_bytes", "Memory that the allocator has for use.",
                BELFRY_GAUGE, (double)committed);
    belfry_emit(e, "mimalloc_committed_peak_bytes", "The most that it had.", BELFRY_GAUGE,
                (double)committed_peak);
    belfry_emit(e, "mimalloc_page_faults_total", "Pages that had to be read from disk.",
                BELFRY_COUNTER, (double)page_faults);
}

static void collect(void *arg, belfry_emitter *e)
{
    (void)arg;
    emit_glibc(e);
    emit_jemalloc(e);
    emit_mimalloc(e);
}

belfry_status belfry_allocator_collector_new(belfry_registry *registry)
{
    return belfry_collector_new(registry, collect, NULL, NULL);
}
