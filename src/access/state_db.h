/* SPDX-License-Identifier: Apache-2.0 */
/* state_db.h: state.db in the data folder: users, tokens and sessions, in SQLite (WAL, synchronous=FULL: what was
 * acknowledged survives a power cut). The server and `belfry user` open it at the same time.
 *
 * Nothing in it lets its reader in: passwords are bcrypt hashes, tokens and sessions SHA-256 of 256 random bits.
 * One connection is used by one thread at a time: callers bring their own lock. */
#ifndef BELFRY_ACCESS_STATE_DB_H
#define BELFRY_ACCESS_STATE_DB_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/error.h"
#include "base/secret.h"
#include "net/http_server.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STATE_DIGEST_BYTES = 32,
    STATE_NAME_BYTES_MAX = 128,
    STATE_ROUTES_BYTES_MAX = 1024,
    STATE_ROWS_MAX = 100000 /* of a table, as far as the server reads it */
};
#define STATE_DB_NAME "state.db"

struct state_user {
    struct view name;
    struct secret hash; /* not set: the row is spoiled */
    unsigned cost;
    enum http_role role;
    int64_t changed_ms;
};

struct state_token {
    int64_t id;
    struct view name;
    enum http_role role;
    unsigned char digest[STATE_DIGEST_BYTES];
    struct view routes;             /* prefixes of paths between blanks; empty = all */
    int64_t created_ms, expires_ms; /* expires 0 = never */
};

struct state_session {
    unsigned char digest[STATE_DIGEST_BYTES];
    struct view user;
    unsigned char proof
        [STATE_DIGEST_BYTES]; /* of hash and role that the user had: another one ends the session */
    int64_t expires_ms;
};

/* All of it at one moment, in the arena of the caller; tokens and sessions ascend by digest. */
struct state {
    struct state_user *users;
    struct state_token *tokens;
    struct state_session *sessions;
    size_t user_count, token_count, session_count;
};

struct state_db;

/* ERROR_NOT_FOUND when it is not there and `create` is false; ERROR_CORRUPT for a file that is none of ours or of a
 * later version. A new file belongs to the owner of `dir` and is readable by nobody else. */
MUST_USE bool state_db_open(struct state_db **out, const char *dir, bool create, struct error *err);
void state_db_close(struct state_db *db); /* NULL is fine */
/* Did another connection write since state_db_load()? Reads shared memory only. True when it cannot tell. */
bool state_db_is_stale(struct state_db *db);
MUST_USE bool state_db_load(struct state_db *db, struct arena *arena, struct state *out,
                            struct error *err);

/* ERROR_INPUT when the user is there already (add), ERROR_NOT_FOUND when it is not (the others). A change and a
 * removal end the user's sessions in the same transaction. */
MUST_USE bool state_db_user_add(struct state_db *db, struct view name, struct view hash,
                                enum http_role role, struct error *err);
MUST_USE bool state_db_user_set_hash(struct state_db *db, struct view name, struct view hash,
                                     struct error *err);
MUST_USE bool state_db_user_set_role(struct state_db *db, struct view name, enum http_role role,
                                     struct error *err);
MUST_USE bool state_db_user_remove(struct state_db *db, struct view name, struct error *err);
/* Of `token`, everything but the id, which is set. */
MUST_USE bool state_db_token_add(struct state_db *db, struct state_token *token, struct error *err);
MUST_USE bool state_db_token_remove(struct state_db *db, int64_t id, struct error *err);
/* Also forgets those that have expired. */
MUST_USE bool state_db_session_add(struct state_db *db, const struct state_session *session,
                                   struct error *err);
MUST_USE bool state_db_session_remove(struct state_db *db,
                                      const unsigned char digest[STATE_DIGEST_BYTES],
                                      struct error *err);

#endif
