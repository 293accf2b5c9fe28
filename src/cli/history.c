/* SPDX-License-Identifier: Apache-2.0 */
/* history.c: see history.h. */
#include "cli/history.h"

#include "base/file.h"

#include <stdlib.h>

static bool open_folder(struct history *h, const char *dir, struct error *err)
{
    const struct db_options options = {.maintain_when_asked = true, .retention_ms = -1};
    if (!file_exists(dir))
        return error_set(err, ERROR_NOT_FOUND, "there is no data folder \"%.200s\"", dir);
    if (!pool_start(&h->pool, 0, 1000, err))
        return false;
    if (db_open(&h->db, dir, &options, h->pool, err))
        return true;
    if (err->kind == ERROR_BUSY)
        error_hint(err, "a server uses it: ask that one by --url, or stop it");
    return false;
}

bool history_open(struct history *h, const struct history_flags *flags, struct error *err)
{
    const char *url = flags->url ? flags->url : getenv("BELFRY_URL");
    if (flags->data_path && flags->url)
        return error_set(err, ERROR_USAGE, "expected --data.path or --url, not both");
    if (flags->data_path)
        return open_folder(h, flags->data_path, err);
    h->remote = remote_history_new(url ? url : "http://127.0.0.1:9090", flags->timeout_ms);
    return pool_start(&h->pool, 0, 1000, err);
}

void history_use(const struct history *h, struct rule_replay_options *replay)
{
    replay->engine.pool = h->pool;
    if (h->db) {
        replay->history = db_as_source(h->db);
        return;
    }
    replay->history = remote_history_source(h->remote);
    replay->fetch = remote_history_fetch;
    replay->fetch_arg = h->remote;
    replay->fetch_steps_max = REMOTE_HISTORY_STEPS_MAX;
}

bool history_close(struct history *h, struct error *err)
{
    bool ok = !h->db || db_close(h->db, err);
    remote_history_free(h->remote);
    if (h->pool)
        pool_stop(h->pool);
    *h = (struct history){0};
    return ok;
}
