/* SPDX-License-Identifier: Apache-2.0 */
/* access.h: who sent this request, and may he do that? Users come from the web configuration and from state.db, tokens
 * and sessions from state.db; both files may change while the server runs, and the next request sees it.
 *
 * With users: nothing but public routes without a name. Without: http_access_without_users(). A state.db that cannot be
 * read counts as users that nobody can be.
 *
 * Any thread, except access_open() and access_close(). What takes long (bcrypt) happens only where a function says that
 * it may wait. */
#ifndef BELFRY_ACCESS_ACCESS_H
#define BELFRY_ACCESS_ACCESS_H

#include "base/attributes.h"
#include "base/error.h"
#include "net/http_server.h"
#include "net/http_tls.h"

#include <stdbool.h>

struct access;

enum { SESSION_TEXT_BYTES = 65, SESSION_SECONDS = 7 * 24 * 3600 };

struct access_options {
    const char *web_config_path; /* NULL = none */
    const char *data_dir;        /* where state.db is, or will be */
    const char *prefix;          /* of all paths, "" or "/belfry": for the way to the login page */
    /* Any thread; must not block. May be NULL. */
    void (*log)(void *arg, bool is_error, const char *event, const char *text);
    void *log_arg;
};

/* Borrows the options until close. Fails when the web configuration or state.db cannot be read now. */
MUST_USE bool access_open(struct access **out, const struct access_options *opts,
                          struct error *err);
void access_close(struct access *a); /* NULL is fine */
/* Are there users now? */
bool access_has_users(struct access *a);

/* For http_server_options: access, tls and decorate; `arg` is the struct access. */
enum http_verdict access_check(void *arg, struct http_request *rq, struct http_response *rs,
                               bool may_wait);
/* A reference to what a connection that begins now speaks; NULL = no TLS. */
struct http_tls *access_tls(void *arg);
void access_decorate(void *arg, struct http_response *rs);

/* Checks name and password, waits, and opens a session: `cookie` is its secret. ERROR_FORBIDDEN for a wrong one,
 * ERROR_BUSY when the caller must wait first. */
MUST_USE bool access_login(struct access *a, const struct http_request *rq, struct view name,
                           struct view password, char cookie[SESSION_TEXT_BYTES],
                           struct error *err);
/* Ends the session whose cookie the request has, if any. */
void access_logout(struct access *a, const struct http_request *rq);

/* A new token: 32 random bytes in hexadecimal behind "blf_", and what state.db keeps of it. */
enum { TOKEN_TEXT_BYTES = 4 + 64 + 1 };
void access_token_new(char text[TOKEN_TEXT_BYTES], unsigned char digest[32]);

#endif
