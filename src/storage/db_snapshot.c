/* SPDX-License-Identifier: Apache-2.0 */
/* db_snapshot.c: a copy of the database under <folder>/snapshots/<name>, which can be opened as a data folder.
 * The files of blocks are hard links, or copies where the file system has none; the head's samples are written as one
 * block. Made under a name that ends in .tmp and renamed when it is whole and synced. */
#include "base/mem.h"
#include "base/random.h"
#include "base/thread.h"
#include "storage/db_private.h"

#include <stdio.h>
#include <time.h>

static const char *const FILES[] = {"meta.json", "index", "columns", "deletions"};

static bool block_link(struct db *db, const struct block *b, const char *to, struct error *err)
{
    char from_dir[DB_PATH_BYTES_MAX], to_dir[DB_PATH_BYTES_MAX], from_file[DB_PATH_BYTES_MAX],
        to_file[DB_PATH_BYTES_MAX];
    const char *ulid = block_get_meta(b)->ulid;
    if (!block_path(from_dir, db->dir, ulid, err) || !block_path(to_dir, to, ulid, err) ||
        !dir_create(to_dir, err))
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(FILES); i++) {
        if (strcmp(FILES[i], "deletions") == 0 && !block_get_deletions(b))
            continue;
        if (!block_path(from_file, from_dir, FILES[i], err) ||
            !block_path(to_file, to_dir, FILES[i], err) ||
            !file_link_or_copy(from_file, to_file, err))
            return false;
    }
    return dir_sync(to_dir, err);
}

/* As Prometheus names it: the time in UTC and 64 random bits. */
static void name_make(char out[DB_SNAPSHOT_NAME_BYTES])
{
    char when[32];
    uint64_t noise;
    struct tm tm;
    time_t now = (time_t)(clock_wall().ms / 1000);
    random_secret(&noise, sizeof noise);
    (void)gmtime_r(&now, &tm);
    (void)strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", &tm);
    (void)snprintf(out, DB_SNAPSHOT_NAME_BYTES, "%s-%016llx", when,
                   (unsigned long long)(noise >> 1));
}

static bool snapshot_fill(struct db *db, const char *dir, bool skip_head, struct error *err)
{
    struct db_state *state = db_state_pin(db);
    bool ok = dir_create(dir, err);
    for (size_t i = 0; ok && i < state->block_count; i++)
        ok = block_link(db, state->blocks[i], dir, err);
    if (ok && !skip_head)
        ok = keeper_write_head(db, dir, err);
    db_state_unref(db, state);
    return ok && dir_sync(dir, err);
}

bool db_snapshot(struct db *db, bool skip_head, char name[DB_SNAPSHOT_NAME_BYTES],
                 struct error *err)
{
    char parent[DB_PATH_BYTES_MAX], dir[DB_PATH_BYTES_MAX],
        tmp[DB_SNAPSHOT_NAME_BYTES + sizeof ".tmp"], tmp_dir[DB_PATH_BYTES_MAX];
    struct error ignored;
    name_make(name);
    (void)snprintf(tmp, sizeof tmp, "%s.tmp", name);
    if (!block_path(parent, db->dir, "snapshots", err) || !block_path(dir, parent, name, err) ||
        !block_path(tmp_dir, parent, tmp, err) || !dir_create(parent, err))
        return error_wrap(err, "could not make a snapshot");
    if (!db_wait_written(db, err)) /* what was committed before is in it */
        return error_wrap(err, "could not make a snapshot");
    compactor_pause(db);
    mutex_lock(&db->keeper_mutex);
    bool ok = snapshot_fill(db, tmp_dir, skip_head, err);
    mutex_unlock(&db->keeper_mutex);
    compactor_resume(db);
    if (ok && file_publish(tmp_dir, dir, err))
        return true;
    if (!dir_remove(tmp_dir, &ignored))
        error_hint(err, "remove \"%s\"", tmp_dir);
    if (file_exists(dir) && !dir_remove(dir, &ignored)) /* only the sync of its name failed */
        error_hint(err, "remove \"%s\"", dir);
    return error_wrap(err, "could not make a snapshot");
}
