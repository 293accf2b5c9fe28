/* SPDX-License-Identifier: Apache-2.0 */
/* history.h: the stored history that commands evaluate rules on: a data folder that no server uses, or a running server's
 * by its HTTP API (Belfry's or Prometheus'). One thread. */
#ifndef BELFRY_CLI_HISTORY_H
#define BELFRY_CLI_HISTORY_H

#include "base/attributes.h"
#include "base/error.h"
#include "base/pool.h"
#include "cli/remote_history.h"
#include "rules/rule_replay.h"
#include "storage/db.h"

struct history_flags {
    const char *data_path, *url; /* at most one; neither: BELFRY_URL, else http://127.0.0.1:9090 */
    int64_t timeout_ms;          /* of one answer; 0 = two minutes */
};

struct history {
    struct pool *pool;
    struct db *db;                 /* of a folder */
    struct remote_history *remote; /* of a server */
};

/* Zero it first; history_close() also after a failure. */
MUST_USE bool history_open(struct history *h, const struct history_flags *flags, struct error *err);
/* Sets who answers in a replay's options. */
void history_use(const struct history *h, struct rule_replay_options *replay);
MUST_USE bool history_close(struct history *h, struct error *err);

#endif
