/* SPDX-License-Identifier: Apache-2.0 */
/* start_pages.c: most of what an empty server has in memory is code that ran once: libraries that libraries of ours
 * load begin by touching tables of theirs (libcrypto alone 2.9 MB, measured). Only segments that are never written are
 * dropped, so that the file holds all there is to know of them. */
#include "server/start_pages.h"

#include <link.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static int drop(struct dl_phdr_info *info, size_t bytes, void *arg)
{
    (void)bytes;
    uintptr_t page = *(const uintptr_t *)arg;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || (part->p_flags & PF_W))
            continue;
        uintptr_t from = (info->dlpi_addr + part->p_vaddr) & ~(page - 1);
        uintptr_t to = (info->dlpi_addr + part->p_vaddr + part->p_memsz) & ~(page - 1);
        if (to > from)
            (void)madvise((void *)from, to - from, MADV_DONTNEED); /* else they stay: only memory */
    }
    return 0;
}

void start_pages_drop(void)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    (void)malloc_trim(0); /* most of it from the making of the seccomp filter: 900 KiB, measured */
    (void)dl_iterate_phdr(drop, &page);
}
