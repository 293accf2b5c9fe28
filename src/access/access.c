/* SPDX-License-Identifier: Apache-2.0 */
/* access.c: see access.h.
 *
 *   request -> credentials -> Basic:   user -> remembered? -> back-off -> bcrypt (waits) -> role
 *                             Bearer:  SHA-256 -> token -> expiry, routes -> role
 *                             cookie:  SHA-256 -> session -> expiry, proof of the user as he is now -> role
 *
 * What bcrypt said yes to is remembered under an HMAC, keyed with random bytes of this process, of the lengths and
 * bytes of name, hash and password. A key can be made only by who knows the password, and it does not fit after the
 * hash changed; what was refused is not remembered. (CVE-2022-46146: a key without the lengths and for hashes that
 * nobody had let a made-up request open the cache for another.)
 *
 * Both files are watched by their owner for the moment: the thread that finds nobody else looking looks and reads, the
 * others go on with what is there. So no lock is held across reading a file. */
#include "access/access.h"

#include "access/backoff.h"
#include "access/credentials.h"
#include "access/password.h"
#include "access/state_db.h"
#include "access/web_config.h"
#include "base/assert.h"
#include "base/checksum.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/thread.h"

#include <arpa/inet.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    KEY_BYTES = 32,
    REMEMBERED_MAX = 256,
    RETRY_MS = 1000, /* after a file that could not be read */
    IP_FREE = 10,
    ACCOUNT_FREE = 20,
    IP_WAIT_MS_MAX = 60 * 1000,
    ACCOUNT_WAIT_MS_MAX = 30 * 1000
};

/* state.db as it was at one moment. */
struct accounts {
    struct state state;
    bool broken; /* it is there but could not be read */
    struct arena arena;
    atomic_uint references;
};

struct access {
    struct access_options options; /* constant */
    unsigned char secret[KEY_BYTES];
    char *db_path;
    struct backoff *by_ip, *by_account;

    pthread_mutex_t mutex;     /* guards what follows */
    struct web_config *config; /* NULL = no file */
    struct accounts *accounts;
    bool config_watched, accounts_watched; /* somebody looks at that file now */
    mono_time config_retry, accounts_retry;
    char config_error[ERROR_MESSAGE_BYTES],
        accounts_error[ERROR_MESSAGE_BYTES]; /* the last logged */
    unsigned char remembered[REMEMBERED_MAX][KEY_BYTES];
    size_t remembered_count, remembered_next;
    double rate_tokens;
    mono_time rate_last;

    struct state_db *reader; /* of who set accounts_watched */

    pthread_mutex_t writer_mutex; /* held while the database writes; a leaf */
    struct state_db *writer;      /* NULL until the first login */
};

static void say(const struct access *a, bool is_error, const char *event, const char *text)
{
    if (a->options.log)
        a->options.log(a->options.log_arg, is_error, event, text);
}

/* ---- the two files ---- */

static struct accounts *accounts_new(void)
{
    struct accounts *acc = mem_alloc_zero(MEM_CONFIG, 1, sizeof *acc);
    arena_init(&acc->arena, MEM_CONFIG, 0);
    atomic_init(&acc->references, 1);
    return acc;
}

static void accounts_unref(struct accounts *acc)
{
    if (acc == NULL || atomic_fetch_sub_explicit(&acc->references, 1, memory_order_acq_rel) > 1)
        return;
    arena_deinit(&acc->arena);
    mem_free(MEM_CONFIG, acc);
}

/* Opens and reads as far as needed. *out stays NULL when nothing changed. */
static bool accounts_read(struct access *a, struct accounts **out, struct error *err)
{
    *out = NULL;
    if (a->reader == NULL) {
        if (!file_exists(a->db_path))
            return true;
        if (!state_db_open(&a->reader, a->options.data_dir, false, err))
            return false;
    } else if (!state_db_is_stale(a->reader)) {
        return true;
    }
    struct accounts *acc = accounts_new();
    if (!state_db_load(a->reader, &acc->arena, &acc->state, err)) {
        accounts_unref(acc);
        return false;
    }
    *out = acc;
    return true;
}

/* With the mutex: may this thread look now? */
static bool watch_begin_locked(bool *watched, mono_time retry)
{
    if (*watched || (retry.ns && mono_ms_since(retry) < RETRY_MS))
        return false;
    return *watched = true;
}

/* With the mutex: true when the message is new, so that it is logged once. */
static bool error_is_new_locked(char kept[ERROR_MESSAGE_BYTES], const struct error *err)
{
    if (strcmp(kept, err->message) == 0)
        return false;
    memcpy(kept, err->message, ERROR_MESSAGE_BYTES);
    return true;
}

/* A reference to the accounts as they are now. */
static struct accounts *accounts_now(struct access *a)
{
    struct accounts *fresh = NULL, *old = NULL;
    struct error err = {0};
    bool log = false;
    mutex_lock(&a->mutex);
    bool look = watch_begin_locked(&a->accounts_watched, a->accounts_retry);
    mutex_unlock(&a->mutex);
    if (look && !accounts_read(a, &fresh, &err)) {
        fresh = accounts_new();
        fresh->broken = true;
        state_db_close(a->reader);
        a->reader = NULL;
    }
    mutex_lock(&a->mutex);
    if (fresh) {
        old = a->accounts;
        a->accounts = fresh;
        a->accounts_retry = fresh->broken ? clock_mono() : (mono_time){0};
        log = fresh->broken && error_is_new_locked(a->accounts_error, &err);
        if (!fresh->broken)
            a->accounts_error[0] = '\0';
    }
    if (look)
        a->accounts_watched = false;
    struct accounts *acc = a->accounts;
    atomic_fetch_add_explicit(&acc->references, 1, memory_order_relaxed);
    mutex_unlock(&a->mutex);
    accounts_unref(old);
    if (log)
        say(a, true, "state_db_error", err.message);
    return acc;
}

/* A reference to the web configuration as it is now; NULL when there is none. */
static struct web_config *config_now(struct access *a)
{
    struct web_config *config, *fresh = NULL, *old = NULL;
    struct error err = {0};
    bool log = false;
    const char *path = a->options.web_config_path;
    if (path == NULL)
        return NULL;
    mutex_lock(&a->mutex);
    config = web_config_ref(a->config);
    bool look = watch_begin_locked(&a->config_watched, a->config_retry);
    mutex_unlock(&a->mutex);
    if (!look)
        return config;
    bool stale = web_config_is_stale(config, path);
    bool ok = !stale || web_config_load(&fresh, path, &err);
    if (fresh && (fresh->tls == NULL) != (config->tls == NULL)) {
        web_config_unref(fresh);
        fresh = NULL;
        ok = error_set(&err, ERROR_INPUT,
                       "%s: TLS cannot be switched on or off while the server runs", path);
    }
    mutex_lock(&a->mutex);
    a->config_watched = false;
    a->config_retry = ok ? (mono_time){0} : clock_mono();
    if (fresh) {
        old = a->config;
        a->config = web_config_ref(fresh);
        a->config_error[0] = '\0';
    }
    log = !ok && error_is_new_locked(a->config_error, &err);
    mutex_unlock(&a->mutex);
    web_config_unref(old);
    if (log)
        say(a, true, "web_config_error", err.message);
    if (fresh == NULL)
        return config;
    say(a, false, "web_config_loaded", path);
    web_config_unref(config);
    return fresh;
}

bool access_open(struct access **out, const struct access_options *opts, struct error *err)
{
    struct access *a = mem_alloc_zero(MEM_CONFIG, 1, sizeof *a);
    *out = NULL;
    a->options = *opts;
    random_secret(a->secret, sizeof a->secret);
    a->by_ip = backoff_new(IP_FREE, IP_WAIT_MS_MAX);
    a->by_account = backoff_new(ACCOUNT_FREE, ACCOUNT_WAIT_MS_MAX);
    a->accounts = accounts_new();
    a->rate_last = clock_mono();
    mutex_init(&a->mutex);
    mutex_init(&a->writer_mutex);
    size_t bytes = strlen(opts->data_dir) + sizeof "/" STATE_DB_NAME;
    a->db_path = mem_alloc(MEM_CONFIG, bytes);
    (void)snprintf(a->db_path, bytes, "%s/%s", opts->data_dir, STATE_DB_NAME);
    struct accounts *fresh = NULL;
    bool ok = (opts->web_config_path == NULL ||
               web_config_load(&a->config, opts->web_config_path, err)) &&
              accounts_read(a, &fresh, err);
    if (!ok) {
        access_close(a);
        return false;
    }
    if (a->config)
        a->rate_tokens = (double)a->config->rate_burst;
    if (fresh) {
        accounts_unref(a->accounts);
        a->accounts = fresh;
    }
    *out = a;
    return true;
}

void access_close(struct access *a)
{
    if (a == NULL)
        return;
    state_db_close(a->reader);
    state_db_close(a->writer);
    web_config_unref(a->config);
    accounts_unref(a->accounts);
    backoff_free(a->by_ip);
    backoff_free(a->by_account);
    mutex_deinit(&a->mutex);
    mutex_deinit(&a->writer_mutex);
    mem_free(MEM_CONFIG, a->db_path);
    explicit_bzero(a->secret, sizeof a->secret);
    mem_free(MEM_CONFIG, a);
}

/* ---- users ---- */

struct user {
    struct view name;
    struct secret hash; /* not set: nobody */
    unsigned cost;
    enum http_role role;
};

/* What is asked during one request; references to both files. */
struct scene {
    struct access *a;
    struct web_config *config;
    struct accounts *accounts;
};

static struct scene scene_begin(struct access *a)
{
    return (struct scene){a, config_now(a), accounts_now(a)};
}

static void scene_end(struct scene *s)
{
    web_config_unref(s->config);
    accounts_unref(s->accounts);
}

static bool scene_has_users(const struct scene *s)
{
    return (s->config && s->config->user_count) || s->accounts->state.user_count ||
           s->accounts->broken;
}

/* The file goes first. An unknown name gets the highest cost there is, so that it takes no less time. */
static struct user user_find(const struct scene *s, struct view name)
{
    struct user found = {.cost = PASSWORD_COST_MIN};
    for (size_t i = 0; s->config && i < s->config->user_count; i++) {
        const struct web_user *u = &s->config->users[i];
        if (view_eq(u->name, name))
            return (struct user){u->name, u->hash, u->cost, u->role};
        found.cost = u->cost > found.cost ? u->cost : found.cost;
    }
    for (size_t i = 0; i < s->accounts->state.user_count; i++) {
        const struct state_user *u = &s->accounts->state.users[i];
        if (view_eq(u->name, name) && secret_is_set(&u->hash))
            return (struct user){u->name, u->hash, u->cost, u->role};
        found.cost = u->cost > found.cost ? u->cost : found.cost;
    }
    return found;
}

bool access_has_users(struct access *a)
{
    struct scene s = scene_begin(a);
    bool has = scene_has_users(&s);
    scene_end(&s);
    return has;
}

/* ---- passwords ---- */

static void digest_of(struct view text, unsigned char out[STATE_DIGEST_BYTES])
{
    int code = gnutls_hash_fast(GNUTLS_DIG_SHA256, text.ptr, text.len, out);
    ASSERT(code == 0);
}

static void add_sized(gnutls_hmac_hd_t hmac, struct view part)
{
    uint64_t len = part.len;
    int code = gnutls_hmac(hmac, &len, sizeof len);
    ASSERT(code == 0);
    if (part.len)
        code = gnutls_hmac(hmac, part.ptr, part.len);
    ASSERT(code == 0);
}

static void remember_key(const struct access *a, const struct user *u, struct view password,
                         unsigned char out[KEY_BYTES])
{
    gnutls_hmac_hd_t hmac;
    int code = gnutls_hmac_init(&hmac, GNUTLS_MAC_SHA256, a->secret, sizeof a->secret);
    ASSERT(code == 0);
    add_sized(hmac, u->name);
    add_sized(hmac, secret_reveal(&u->hash));
    add_sized(hmac, password);
    gnutls_hmac_deinit(hmac, out);
}

static bool is_remembered(struct access *a, const unsigned char key[KEY_BYTES])
{
    bool found = false;
    mutex_lock(&a->mutex);
    for (size_t i = 0; i < a->remembered_count; i++)
        found |= gnutls_memcmp(a->remembered[i], key, KEY_BYTES) == 0;
    mutex_unlock(&a->mutex);
    return found;
}

static void remember(struct access *a, const unsigned char key[KEY_BYTES])
{
    mutex_lock(&a->mutex);
    memcpy(a->remembered[a->remembered_next], key, KEY_BYTES);
    a->remembered_next = (a->remembered_next + 1) % REMEMBERED_MAX;
    if (a->remembered_count < REMEMBERED_MAX)
        a->remembered_count++;
    mutex_unlock(&a->mutex);
}

/* The address without its port; of IPv6 the half that one customer has. */
static uint64_t peer_key(const struct access *a, const struct http_request *rq)
{
    const char *peer = http_request_peer(rq), *colon = strrchr(peer, ':');
    struct view host = {peer, colon ? (size_t)(colon - peer) : strlen(peer)};
    char text[INET6_ADDRSTRLEN + 2];
    struct in6_addr v6;
    if (host.len > 2 && host.ptr[0] == '[' && host.len < sizeof text) {
        memcpy(text, host.ptr + 1, host.len - 2);
        text[host.len - 2] = '\0';
        if (inet_pton(AF_INET6, text, &v6) == 1 && !IN6_IS_ADDR_V4MAPPED(&v6))
            return hash64_secret(v6.s6_addr, 8) ^ a->secret[0];
    }
    return hash64_secret(host.ptr, host.len) ^ a->secret[0];
}

enum answer { ANSWER_YES, ANSWER_NO, ANSWER_LATER, ANSWER_MUST_WAIT };

/* *wait_ms: after ANSWER_LATER, how long. */
static enum answer password_check(const struct scene *s, const struct http_request *rq,
                                  struct view name, struct view password, bool may_wait,
                                  struct user *out, int64_t *wait_ms)
{
    struct access *a = s->a;
    unsigned char key[KEY_BYTES];
    *out = user_find(s, name);
    bool known = secret_is_set(&out->hash);
    remember_key(a, out, password, key);
    if (known && is_remembered(a, key))
        return ANSWER_YES;
    uint64_t ip = peer_key(a, rq), account = hash64_secret(name.ptr, name.len);
    mono_time now = clock_mono();
    int64_t ip_ms = backoff_wait_ms(a->by_ip, ip, now),
            account_ms = backoff_wait_ms(a->by_account, account, now);
    *wait_ms = ip_ms > account_ms ? ip_ms : account_ms;
    if (*wait_ms)
        return ANSWER_LATER;
    if (!may_wait)
        return ANSWER_MUST_WAIT;
    if (!known)
        password_pretend(out->cost, password);
    if (known && password_matches(secret_reveal(&out->hash), password)) {
        remember(a, key);
        backoff_succeed(a->by_ip, ip);
        backoff_succeed(a->by_account, account);
        return ANSWER_YES;
    }
    backoff_fail(a->by_ip, ip, clock_mono());
    backoff_fail(a->by_account, account, clock_mono());
    char text[256];
    (void)snprintf(text, sizeof text, "wrong password or unknown user \"%.*s\" from %s",
                   (int)(name.len < 64 ? name.len : 64), name.ptr, http_request_peer(rq));
    say(a, false, "login_failed", text);
    return ANSWER_NO;
}

/* ---- tokens and sessions ---- */

static int compare_digest(const void *key, const void *item)
{
    return memcmp(key, item, STATE_DIGEST_BYTES);
}

static int compare_token(const void *key, const void *item)
{
    return compare_digest(key, ((const struct state_token *)item)->digest);
}

static int compare_session(const void *key, const void *item)
{
    return compare_digest(key, ((const struct state_session *)item)->digest);
}

/* Who guesses learns nothing from how long the search takes: it walks by digests, which he cannot choose. */
static const struct state_token *token_find(const struct scene *s, struct view text)
{
    const struct state *st = &s->accounts->state;
    unsigned char digest[STATE_DIGEST_BYTES];
    digest_of(text, digest);
    const struct state_token *t =
        bsearch(digest, st->tokens, st->token_count, sizeof *st->tokens, compare_token);
    return t && (t->expires_ms == 0 || t->expires_ms > clock_wall().ms) ? t : NULL;
}

static void proof_of(const struct user *u, unsigned char out[STATE_DIGEST_BYTES])
{
    char text[PASSWORD_HASH_BYTES + 16];
    struct view hash = secret_reveal(&u->hash);
    int len = snprintf(text, sizeof text, "%.*s %s", VIEW_ARGS(hash), http_role_name(u->role));
    ASSERT(len > 0 && (size_t)len < sizeof text);
    digest_of((struct view){text, (size_t)len}, out);
}

/* Valid only while its user has the password and the role that he had at the login. */
static bool session_find(const struct scene *s, struct view text, struct user *out)
{
    const struct state *st = &s->accounts->state;
    unsigned char digest[STATE_DIGEST_BYTES], proof[STATE_DIGEST_BYTES];
    digest_of(text, digest);
    const struct state_session *session =
        bsearch(digest, st->sessions, st->session_count, sizeof *st->sessions, compare_session);
    if (session == NULL || session->expires_ms <= clock_wall().ms)
        return false;
    *out = user_find(s, session->user);
    if (!secret_is_set(&out->hash))
        return false;
    proof_of(out, proof);
    return memcmp(proof, session->proof, sizeof proof) == 0;
}

/* Is the path one of the prefixes or below it? */
static bool routes_allow(struct view routes, struct view path)
{
    if (routes.len == 0)
        return true;
    for (size_t pos = 0; pos < routes.len;) {
        const char *blank = memchr(routes.ptr + pos, ' ', routes.len - pos);
        size_t end = blank ? (size_t)(blank - routes.ptr) : routes.len;
        struct view one = view_slice(routes, pos, end);
        if (one.len && view_has_prefix(path, one) &&
            (path.len == one.len || one.ptr[one.len - 1] == '/' || path.ptr[one.len] == '/'))
            return true;
        pos = end + 1;
    }
    return false;
}

/* ---- the answer ---- */

static bool wants_html(const struct http_request *rq)
{
    struct view accept = http_request_header(rq, "Accept");
    return (http_request_method(rq) & (HTTP_GET | HTTP_HEAD)) && accept.len &&
           memmem(accept.ptr, accept.len, "text/html", 9) != NULL;
}

static void append_escaped(struct buffer *out, struct view text)
{
    static const char HEX[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '/' || c == '-' || c == '_' || c == '.';
        if (plain)
            buffer_append_byte(out, (char)c);
        else
            buffer_printf(out, "%%%c%c", HEX[c >> 4], HEX[c & 15]);
    }
}

static enum http_verdict refuse_unknown(const struct scene *s, struct http_request *rq,
                                        struct http_response *rs)
{
    const char *prefix = s->a->options.prefix ? s->a->options.prefix : "";
    struct view dest = http_request_header(rq, "Sec-Fetch-Dest");
    if (wants_html(rq)) {
        struct buffer to;
        buffer_init(&to, MEM_HTTP, 16 * 1024);
        buffer_printf(&to, "%s/login?next=%s", prefix, prefix);
        append_escaped(&to, http_request_target(rq));
        if (to.failed) { /* longer than a page's address should be */
            buffer_reset(&to);
            buffer_printf(&to, "%s/login", prefix);
        }
        http_response_error(rs, 303, "log in first");
        http_response_set_header(rs, "Location", buffer_view(&to));
        http_response_set_header(rs, "Cache-Control", VIEW("no-store"));
        buffer_deinit(&to);
        return HTTP_REFUSED;
    }
    http_response_error(rs, 401, "Unauthorized");
    if (!view_is(dest, "empty")) /* a page's own request: no box of the browser's over it */
        http_response_set_header(rs, "WWW-Authenticate",
                                 VIEW("Basic realm=\"belfry\", charset=\"UTF-8\""));
    return HTTP_REFUSED;
}

static enum http_verdict refuse_for_now(struct http_response *rs, int64_t wait_ms)
{
    char seconds[24];
    int len = snprintf(seconds, sizeof seconds, "%" PRId64, (wait_ms + 999) / 1000);
    http_response_error(rs, 429, "too many wrong passwords: try again in %s s", seconds);
    http_response_set_header(rs, "Retry-After", (struct view){seconds, (size_t)len});
    return HTTP_REFUSED;
}

static enum http_verdict allow(struct http_request *rq, struct http_response *rs, const char *what,
                               struct view name, enum http_role role)
{
    http_request_set_role(rq, role);
    if (role >= http_request_role_needed(rq))
        return HTTP_ALLOWED;
    http_response_error(rs, 403,
                        "403 Forbidden: this needs the role %s; %s \"%.*s\" has the role %s",
                        http_role_name(http_request_role_needed(rq)), what,
                        (int)(name.len < 128 ? name.len : 128), name.ptr, http_role_name(role));
    return HTTP_REFUSED;
}

static enum http_verdict check_basic(const struct scene *s, const struct credentials *c,
                                     struct http_request *rq, struct http_response *rs,
                                     bool may_wait)
{
    struct user user;
    int64_t wait_ms = 0;
    switch (password_check(s, rq, c->user, secret_reveal(&c->secret), may_wait, &user, &wait_ms)) {
    case ANSWER_YES:
        return allow(rq, rs, "user", user.name, user.role);
    case ANSWER_LATER:
        return refuse_for_now(rs, wait_ms);
    case ANSWER_MUST_WAIT:
        return HTTP_MUST_WAIT;
    case ANSWER_NO:
        break;
    }
    return refuse_unknown(s, rq, rs);
}

static enum http_verdict check_bearer(const struct scene *s, const struct credentials *c,
                                      struct http_request *rq, struct http_response *rs)
{
    uint64_t ip = peer_key(s->a, rq);
    const struct state_token *t = token_find(s, secret_reveal(&c->secret));
    if (t == NULL) { /* 256 random bits are not guessed, so trying costs nothing but is counted */
        int64_t wait_ms = backoff_wait_ms(s->a->by_ip, ip, clock_mono());
        if (wait_ms)
            return refuse_for_now(rs, wait_ms);
        backoff_fail(s->a->by_ip, ip, clock_mono());
        return refuse_unknown(s, rq, rs);
    }
    if (!routes_allow(t->routes, http_request_path(rq))) {
        http_response_error(rs, 403, "403 Forbidden: token \"%.*s\" is for other paths",
                            VIEW_ARGS(t->name));
        return HTTP_REFUSED;
    }
    return allow(rq, rs, "token", t->name, t->role);
}

static enum http_verdict check_known(const struct scene *s, struct http_request *rq,
                                     struct http_response *rs, bool may_wait)
{
    struct credentials c;
    struct error err = {0};
    struct user user;
    enum http_verdict verdict;
    if (!credentials_parse(&c, http_request_header(rq, "Authorization"),
                           http_request_header(rq, "Cookie"), &err)) {
        verdict = refuse_unknown(s, rq, rs);
    } else if (!scene_has_users(s) &&
               (c.kind != CREDENTIALS_BEARER || s->accounts->state.token_count == 0)) {
        verdict = http_access_without_users(rq, rs);
    } else if (c.kind == CREDENTIALS_BASIC) {
        verdict = check_basic(s, &c, rq, rs, may_wait);
    } else if (c.kind == CREDENTIALS_BEARER) {
        verdict = check_bearer(s, &c, rq, rs);
    } else if (c.kind == CREDENTIALS_SESSION && session_find(s, secret_reveal(&c.secret), &user)) {
        verdict = allow(rq, rs, "user", user.name, user.role);
    } else {
        verdict = refuse_unknown(s, rq, rs);
    }
    explicit_bzero(c.decoded, sizeof c.decoded);
    return verdict;
}

/* A bucket that fills by one token an interval, as exporter-toolkit's. */
static bool rate_allows(const struct scene *s)
{
    struct access *a = s->a;
    if (s->config == NULL || s->config->rate_interval_ms == 0)
        return true;
    mutex_lock(&a->mutex);
    mono_time now = clock_mono();
    a->rate_tokens +=
        (double)(now.ns - a->rate_last.ns) / 1e6 / (double)s->config->rate_interval_ms;
    if (a->rate_tokens > (double)s->config->rate_burst)
        a->rate_tokens = (double)s->config->rate_burst;
    a->rate_last = now;
    bool allowed = a->rate_tokens >= 1;
    if (allowed)
        a->rate_tokens -= 1;
    mutex_unlock(&a->mutex);
    return allowed;
}

enum http_verdict access_check(void *arg, struct http_request *rq, struct http_response *rs,
                               bool may_wait)
{
    struct scene s = scene_begin(arg);
    enum http_verdict verdict = HTTP_REFUSED;
    if (!may_wait && !rate_allows(&s)) /* counted once a request */
        http_response_error(rs, 429, "Too Many Requests");
    else
        verdict = check_known(&s, rq, rs, may_wait);
    scene_end(&s);
    return verdict;
}

struct http_tls *access_tls(void *arg)
{
    struct web_config *config = config_now(arg);
    struct http_tls *tls = config && config->tls ? http_tls_ref(config->tls) : NULL;
    web_config_unref(config);
    return tls;
}

void access_decorate(void *arg, struct http_response *rs)
{
    struct access *a = arg;
    if (a->options.web_config_path == NULL)
        return;
    mutex_lock(&a->mutex);
    struct web_config *config = web_config_ref(a->config);
    mutex_unlock(&a->mutex);
    for (size_t i = 0; i < config->header_count; i++)
        http_response_set_header(rs, config->headers[i].name, config->headers[i].value);
    web_config_unref(config);
}

/* ---- sessions ---- */

static void hex(const unsigned char *bytes, size_t len, char *out)
{
    static const char DIGITS[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = DIGITS[bytes[i] >> 4];
        out[2 * i + 1] = DIGITS[bytes[i] & 15];
    }
    out[2 * len] = '\0';
}

void access_token_new(char text[TOKEN_TEXT_BYTES], unsigned char digest[32])
{
    unsigned char bytes[32];
    random_secret(bytes, sizeof bytes);
    memcpy(text, "blf_", 4);
    hex(bytes, sizeof bytes, text + 4);
    explicit_bzero(bytes, sizeof bytes);
    digest_of(view_from(text), digest);
}

static bool session_open(struct access *a, const struct user *user, const char *cookie,
                         struct error *err)
{
    struct state_session session = {
        .user = user->name, .expires_ms = clock_wall().ms + SESSION_SECONDS * INT64_C(1000)};
    digest_of(view_from(cookie), session.digest);
    proof_of(user, session.proof);
    mutex_lock(&a->writer_mutex);
    bool ok = (a->writer != NULL || state_db_open(&a->writer, a->options.data_dir, true, err)) &&
              state_db_session_add(a->writer, &session, err);
    mutex_unlock(&a->writer_mutex);
    return ok;
}

bool access_login(struct access *a, const struct http_request *rq, struct view name,
                  struct view password, char cookie[SESSION_TEXT_BYTES], struct error *err)
{
    struct scene s = scene_begin(a);
    struct user user;
    int64_t wait_ms = 0;
    bool ok = false;
    switch (password_check(&s, rq, name, password, true, &user, &wait_ms)) {
    case ANSWER_YES: {
        unsigned char bytes[32]; /* new with each login: none can be fixed beforehand */
        random_secret(bytes, sizeof bytes);
        hex(bytes, sizeof bytes, cookie);
        explicit_bzero(bytes, sizeof bytes);
        ok = session_open(a, &user, cookie, err);
        break;
    }
    case ANSWER_LATER:
        (void)error_set(err, ERROR_BUSY, "too many wrong passwords: try again in %" PRId64 " s",
                        (wait_ms + 999) / 1000);
        break;
    case ANSWER_NO:
        (void)error_set(err, ERROR_FORBIDDEN, "wrong name or password");
        break;
    case ANSWER_MUST_WAIT:
        UNREACHABLE();
    }
    scene_end(&s);
    return ok;
}

void access_logout(struct access *a, const struct http_request *rq)
{
    struct credentials c;
    struct error err = {0};
    unsigned char digest[STATE_DIGEST_BYTES];
    if (!credentials_parse(&c, VIEW(""), http_request_header(rq, "Cookie"), &err) ||
        c.kind != CREDENTIALS_SESSION)
        return;
    digest_of(secret_reveal(&c.secret), digest);
    mutex_lock(&a->writer_mutex);
    bool ok = (a->writer != NULL || state_db_open(&a->writer, a->options.data_dir, false, &err)) &&
              state_db_session_remove(a->writer, digest, &err);
    mutex_unlock(&a->writer_mutex);
    if (!ok && err.kind != ERROR_NOT_FOUND)
        say(a, true, "state_db_error", err.message);
}
