/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/salvage.h"

#include "base/file.h"

#include <inttypes.h>
#include <stdio.h>

enum { PATH_BYTES = 4096 };

bool salvage_copy(const char *quarantine_dir, const char *name, struct view bytes, uint64_t offset,
                  struct error *err)
{
    char path[PATH_BYTES];
    struct file *f = NULL;
    (void)snprintf(path, sizeof path, "%s/%s-%" PRIu64, quarantine_dir, name, offset);
    if (!dir_create(quarantine_dir, err) || !file_create(&f, path, err))
        return false;
    bool ok = file_write_all(f, bytes, err);
    return file_close(f, ok ? err : NULL) && ok;
}

bool salvage_cut(const char *path, uint64_t bytes, struct error *err)
{
    struct file *f = NULL;
    bool ok = file_open_append(&f, path, err) && file_truncate(f, bytes, err) && file_sync(f, err);
    file_discard(f);
    return ok;
}
