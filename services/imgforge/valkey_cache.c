/* SPDX-License-Identifier: Apache-2.0 */
/* valkey_cache.c: see valkey_cache.h. Connections are kept, the one used last is used next. One that was kept may have been closed by the
 * server meanwhile (its restart, its idle timeout): then the command is sent once more, on a new one. */
#include "valkey_cache.h"

#include "base/mem.h"
#include "cache_entry.h"
#include "cache_url.h"
#include "resolved_host.h"
#include "turns.h"
#include "valkey_connection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PORT = 6379, ANSWER_HEAD_BYTES_MAX = 64, CONNECTIONS_MAX = 1024 };

struct valkey_cache {
    struct remote_cache remote; /* first */

    struct arena arena; /* of url and prefix; constant after opening */
    struct cache_url url;
    const char *prefix;
    char ttl[24];     /* digits; "": none */
    char database[8]; /* digits; "": none */
    int64_t timeout_ms;
    struct outgoing_trust *trust; /* NULL: plain */
    struct valkey_target target;
    struct turns turns; /* leave struct valkey_connection */
};

/* --- connections --- */

static bool is_error(const struct valkey_reply *reply)
{
    return reply->type == REDIS_REPLY_ERROR;
}

static bool greet_with(struct valkey_connection *c, const struct view *arguments, size_t count,
                       mono_time deadline, struct error *err)
{
    const struct valkey_reply *reply;
    if (!valkey_command(c, arguments, count, deadline, &reply, err))
        return false;
    /* Its first word alone: who does not know AUTH repeats what it was sent with it. */
    return !is_error(reply) ||
           error_set(err, ERROR_FORBIDDEN, "it refuses %.*s: %.*s", VIEW_ARGS(arguments[0]),
                     (int)strcspn(reply->message, " "), reply->message);
}

/* AUTH and SELECT. */
static bool greet(const struct valkey_cache *v, struct valkey_connection *c, mono_time deadline,
                  struct error *err)
{
    bool has_user = v->url.user && *v->url.user;
    struct view auth[3] = {VIEW("AUTH")}, choose[] = {VIEW("SELECT"), view_from(v->database)};
    size_t count = 1;
    if (has_user)
        auth[count++] = view_from(v->url.user);
    auth[count++] = secret_reveal(&v->url.password);
    bool ok = !secret_is_set(&v->url.password) || greet_with(c, auth, count, deadline, err);
    return ok && (!*v->database || greet_with(c, choose, 2, deadline, err));
}

static struct valkey_connection *connect_anew(const struct valkey_cache *v, mono_time deadline,
                                              struct error *err)
{
    struct valkey_connection *c;
    if (!valkey_connect(&c, &v->target, deadline, err))
        return NULL;
    if (greet(v, c, deadline, err))
        return c;
    valkey_connection_close(c);
    return NULL;
}

/* What one connection broke of, or fell silent of (a firewall forgot them), the others that were kept have probably too. */
static void idle_close(struct valkey_cache *v)
{
    struct valkey_connection *c;
    while ((c = turns_take_idle(&v->turns)))
        valkey_connection_close(c);
}

/* --- commands --- */

static mono_time deadline_of(const struct valkey_cache *v)
{
    return mono_add_ms(clock_mono(), v->timeout_ms);
}

/* Does something with the answer, while it is there. */
typedef enum remote_outcome (*answer_take)(void *arg, const struct valkey_reply *reply,
                                           struct error *err);

static bool name_server(const struct valkey_cache *v, struct error *err)
{
    return error_wrap(err, "%s:%lld", v->url.host, (long long)v->url.port);
}

static enum remote_outcome ask(struct valkey_cache *v, const struct view *arguments, size_t count,
                               mono_time deadline, answer_take take, void *arg, struct error *err)
{
    const struct valkey_reply *reply = NULL;
    void *kept;
    if (!turns_take(&v->turns, deadline, &kept)) {
        (void)error_set(err, ERROR_BUSY, "all connections were in use for %lld ms",
                        (long long)v->timeout_ms);
        (void)name_server(v, err);
        return REMOTE_BUSY;
    }
    struct valkey_connection *c = kept ? kept : connect_anew(v, deadline, err);
    bool ok = c && valkey_command(c, arguments, count, deadline, &reply, err);
    if (kept && !ok)
        idle_close(v);
    if (kept && !ok && err->kind == ERROR_UNAVAILABLE) {
        valkey_connection_close(c);
        c = connect_anew(v, deadline, err);
        ok = c && valkey_command(c, arguments, count, deadline, &reply, err);
    }
    enum remote_outcome outcome = REMOTE_FAILED;
    if (ok)
        outcome = take(arg, reply, err);
    else if (err->kind == ERROR_TOO_LARGE)
        outcome = REMOTE_REFUSED;
    if (!ok) {
        valkey_connection_close(c);
        c = NULL;
    }
    if (c)
        valkey_connection_rest(c);
    turns_give_back(&v->turns, c);
    if (outcome != REMOTE_DONE)
        (void)name_server(v, err);
    return outcome;
}

struct key_text {
    char text[512];
};

enum { PREFIX_BYTES_MAX = sizeof(struct key_text) - IMAGE_KEY_DIGITS - 1 };

static struct view key_name(const struct valkey_cache *v, const struct image_key *key,
                            struct key_text *out)
{
    char digits[IMAGE_KEY_DIGITS + 1];
    image_key_format(key, digits);
    int len = snprintf(out->text, sizeof(out->text), "%s%s", v->prefix, digits);
    return (struct view){out->text, (size_t)len}; /* fits: the prefix was measured */
}

struct wanted {
    const struct image_key *key;
    struct cached_image *image;
    bool is_torn;
};

static enum remote_outcome take_entry(void *arg, const struct valkey_reply *reply,
                                      struct error *err)
{
    struct wanted *w = arg;
    if (reply->type == REDIS_REPLY_NIL)
        return REMOTE_DONE;
    if (reply->type == REDIS_REPLY_STRING && cache_entry_decode(w->key, reply->text, &w->image))
        return REMOTE_DONE;
    /* A key of another kind, too, is one that SET will make ours. */
    w->is_torn = reply->type == REDIS_REPLY_STRING;
    if (is_error(reply) && strncmp(reply->message, "WRONGTYPE", 9) != 0) {
        (void)error_set(err, ERROR_UNAVAILABLE, "it refuses GET: %s", reply->message);
        return REMOTE_FAILED;
    }
    (void)error_set(err, ERROR_CORRUPT, w->is_torn ? "an entry is torn" : "a key is not ours: %s",
                    reply->message);
    return REMOTE_REFUSED;
}

static enum remote_outcome take_anything(void *arg, const struct valkey_reply *reply,
                                         struct error *err)
{
    return REMOTE_DONE;
}

static enum remote_outcome valkey_get(struct remote_cache *r, const struct image_key *key,
                                      struct cached_image **image, struct error *err)
{
    struct valkey_cache *v = (struct valkey_cache *)r;
    struct key_text name;
    struct wanted wanted = {key};
    struct view arguments[] = {VIEW("GET"), key_name(v, key, &name)};
    mono_time deadline = deadline_of(v); /* of both */
    enum remote_outcome outcome = ask(v, arguments, 2, deadline, take_entry, &wanted, err);
    arguments[0] = VIEW("DEL");
    struct error ignored = {0}; /* the next SET does the same */
    if (wanted.is_torn)
        (void)ask(v, arguments, 2, deadline, take_anything, NULL, &ignored);
    *image = wanted.image;
    return outcome;
}

/* "-OOM", "-READONLY": that it is full, or a replica, hinders no reading. */
static enum remote_outcome take_written(void *arg, const struct valkey_reply *reply,
                                        struct error *err)
{
    if (reply->type == REDIS_REPLY_STATUS)
        return REMOTE_DONE;
    (void)error_set(err, ERROR_IO, "it refuses SET: %s",
                    is_error(reply) ? reply->message : "an answer of another kind");
    return REMOTE_REFUSED;
}

static enum remote_outcome valkey_put(struct remote_cache *r, const struct image_key *key,
                                      const struct cached_image *image, struct error *err)
{
    struct valkey_cache *v = (struct valkey_cache *)r;
    struct key_text name;
    struct buffer entry;
    buffer_init(&entry, MEM_OTHER, REMOTE_ENTRY_BYTES_MAX);
    cache_entry_encode(&entry, key, image);
    struct view arguments[] = {VIEW("SET"), key_name(v, key, &name), buffer_view(&entry),
                               buffer_view(&entry), buffer_view(&entry)};
    size_t count = 3;
    enum remote_outcome outcome = REMOTE_REFUSED;
    if (*v->ttl) { /* the entry is last, so that it is sent from where it is */
        arguments[0] = VIEW("SETEX");
        arguments[2] = view_from(v->ttl);
        count = 4;
    }
    if (entry.failed)
        (void)error_set(err, ERROR_TOO_LARGE, "a result of %zu bytes is too large for the cache",
                        image->bytes.len);
    else
        outcome = ask(v, arguments, count, deadline_of(v), take_written, NULL, err);
    buffer_deinit(&entry);
    return outcome;
}

static enum remote_outcome take_pong(void *arg, const struct valkey_reply *reply, struct error *err)
{
    if (!is_error(reply))
        return REMOTE_DONE;
    (void)error_set(err, ERROR_UNAVAILABLE, "it refuses PING: %s", reply->message);
    return REMOTE_FAILED;
}

static enum remote_outcome valkey_check(struct remote_cache *r, struct error *err)
{
    struct view ping = VIEW("PING");
    struct valkey_cache *v = (struct valkey_cache *)r;
    return ask(v, &ping, 1, deadline_of(v), take_pong, NULL, err);
}

static void valkey_close(struct remote_cache *r)
{
    struct valkey_cache *v = (struct valkey_cache *)r;
    idle_close(v);
    resolved_host_close(v->target.addresses);
    outgoing_trust_free(v->trust);
    turns_deinit(&v->turns);
    arena_deinit(&v->arena);
    mem_free(MEM_OTHER, v);
}

/* --- the URL --- */

static bool scheme_is_tls(const char *scheme)
{
    return strcmp(scheme, "valkeys") == 0 || strcmp(scheme, "rediss") == 0;
}

static bool database_take(struct valkey_cache *v, struct error *err)
{
    const char *path = v->url.path ? v->url.path : "/";
    size_t digits = strspn(path + 1, "0123456789");
    if (path[1 + digits] != '\0' || digits >= sizeof(v->database))
        return error_set(err, ERROR_INPUT, "its path is not the number of a database");
    (void)snprintf(v->database, sizeof(v->database), "%s", path + 1);
    return true;
}

static bool url_take(struct valkey_cache *v, const char *url, size_t *connections,
                     struct error *err)
{
    static const char *const PARAMETERS[] = {"prefix",      "ttl", "timeout_ms",
                                             "connections", "ca",  NULL};
    int64_t ttl_s, count;
    if (!cache_url_parse(&v->url, &v->arena, url, PARAMETERS, err) || !database_take(v, err))
        return false;
    const char *s = v->url.scheme;
    if (!scheme_is_tls(s) && strcmp(s, "valkey") != 0 && strcmp(s, "redis") != 0)
        return error_set(err, ERROR_INPUT,
                         "its scheme is none of valkey, valkeys, redis and rediss");
    if (!v->url.host || !*v->url.host)
        return error_set(err, ERROR_INPUT, "it has no host");
    if (v->url.user && *v->url.user && !secret_is_set(&v->url.password))
        return error_set(err, ERROR_INPUT,
                         "it has a user without a password; a password alone is :PASSWORD@");
    if (cache_url_text(&v->url, "ca") && !scheme_is_tls(s))
        return error_set(err, ERROR_INPUT, "its parameter \"ca\" needs the scheme valkeys");
    if (!cache_url_number(&v->url, "ttl", 0, INT64_C(1) << 31, VALKEY_TTL_S, &ttl_s, err) ||
        !cache_url_number(&v->url, "timeout_ms", 10, 10000, VALKEY_TIMEOUT_MS, &v->timeout_ms,
                          err) ||
        !cache_url_number(&v->url, "connections", 1, CONNECTIONS_MAX, VALKEY_CONNECTIONS, &count,
                          err))
        return false;
    v->url.port = v->url.port ? v->url.port : PORT;
    v->prefix = cache_url_text(&v->url, "prefix");
    v->prefix = v->prefix ? v->prefix : "imgforge:";
    if (strlen(v->prefix) > PREFIX_BYTES_MAX)
        return error_set(err, ERROR_INPUT, "its parameter \"prefix\" is longer than %d bytes",
                         (int)PREFIX_BYTES_MAX);
    if (ttl_s)
        (void)snprintf(v->ttl, sizeof(v->ttl), "%lld", (long long)ttl_s);
    *connections = (size_t)count;
    return true;
}

bool valkey_cache_open(struct remote_cache **out, const char *url, struct error *err)
{
    static const struct remote_operations OPERATIONS = {valkey_get, valkey_put, valkey_check,
                                                        valkey_close};
    struct valkey_cache *v = mem_alloc_zero(MEM_OTHER, 1, sizeof(*v));
    size_t connections = 1;
    v->remote.operations = &OPERATIONS;
    arena_init(&v->arena, MEM_OTHER, 0);
    bool ok = url_take(v, url, &connections, err);
    turns_init(&v->turns, connections);
    if (ok && scheme_is_tls(v->url.scheme))
        ok = outgoing_trust_new(&v->trust, cache_url_text(&v->url, "ca"), err);
    if (ok && out)
        ok = resolved_host_open(&v->target.addresses, v->url.host, (uint16_t)v->url.port, err);
    v->target.host = v->url.host;
    v->target.trust = v->trust;
    v->target.answer_bytes_max = REMOTE_ENTRY_BYTES_MAX + ANSWER_HEAD_BYTES_MAX;
    if (ok && out)
        *out = &v->remote;
    else
        valkey_close(&v->remote);
    return ok;
}
