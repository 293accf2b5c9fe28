/* SPDX-License-Identifier: Apache-2.0 */
#include "access/web_config.h"

#include "access/password.h"
#include "base/arena.h"
#include "base/assert.h"
#include "base/duration.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/yaml.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>

enum { FILES_MAX = 4, PEM_BYTES_MAX = 1 << 20 };

/* What tells that a file is another one now. */
struct stamp {
    struct timespec modified, changed;
    off_t bytes;
    ino_t inode;
    dev_t device;
    bool there;
};

struct owner {
    struct web_config config; /* first: a pointer to it is one to its owner */
    struct arena arena;
    atomic_uint references;
    struct {
        const char *path; /* in the arena; NULL: the file itself */
        struct stamp stamp;
    } files[FILES_MAX];
    size_t file_count;
};

struct reader {
    struct owner *owner;
    const char *dir;
    struct error *err;
};

static struct stamp stamp_of(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return (struct stamp){0};
    return (struct stamp){st.st_mtim, st.st_ctim, st.st_size, st.st_ino, st.st_dev, true};
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool stamp_eq(const struct stamp *a, const struct stamp *b)
{
    return same_time(a->modified, b->modified) && same_time(a->changed, b->changed) &&
           a->bytes == b->bytes && a->inode == b->inode && a->device == b->device &&
           a->there == b->there;
}

/* ---- reading by key ---- */

/* Is `node` nothing, or a mapping with no keys but these? */
static bool check_keys(const struct reader *r, const struct yaml_node *node, const char *where,
                       const char *const *keys)
{
    if (yaml_is_null(node))
        return true;
    if (node->kind != YAML_MAPPING)
        return yaml_error(r->err, node, "%s is %s, expected a mapping", where, yaml_describe(node));
    for (uint32_t i = 0; i < node->count; i++) {
        const struct yaml_node *key = node->pairs[i].key;
        size_t k = 0;
        while (keys[k] && !view_is(key->text, keys[k]))
            k++;
        if (keys[k] == NULL)
            return yaml_error(r->err, key, "field \"%.*s\" is not known in %s",
                              (int)(key->text.len < 64 ? key->text.len : 64), key->text.ptr, where);
    }
    return true;
}

/* The scalar as it is written; empty when it is not there. */
static bool read_text(const struct reader *r, const struct yaml_node *map, const char *key,
                      struct view *out)
{
    const struct yaml_node *node = yaml_find(map, key);
    *out = VIEW("");
    if (yaml_is_null(node))
        return true;
    if (node->kind != YAML_SCALAR)
        return yaml_error(r->err, node, "%s is %s, expected a string", key, yaml_describe(node));
    *out = node->text;
    return true;
}

static bool read_bool(const struct reader *r, const struct yaml_node *map, const char *key,
                      bool *out)
{
    const struct yaml_node *node = yaml_find(map, key);
    return yaml_is_null(node) || yaml_as_bool(node, out) ||
           yaml_error(r->err, node, "%s is %s, expected true or false", key, yaml_describe(node));
}

static bool read_texts(const struct reader *r, const struct yaml_node *map, const char *key,
                       const struct view **out, size_t *count)
{
    const struct yaml_node *node = yaml_find(map, key);
    *count = 0;
    if (yaml_is_null(node))
        return true;
    if (node->kind != YAML_SEQUENCE)
        return yaml_error(r->err, node, "%s is %s, expected a list", key, yaml_describe(node));
    struct view *items = arena_alloc(&r->owner->arena, (node->count + 1) * sizeof *items);
    for (uint32_t i = 0; i < node->count; i++) {
        if (node->items[i]->kind != YAML_SCALAR)
            return yaml_error(r->err, node->items[i], "%s has %s, expected strings", key,
                              yaml_describe(node->items[i]));
        items[i] = node->items[i]->text;
    }
    *out = items;
    *count = node->count;
    return true;
}

static bool read_word(const struct reader *r, const struct yaml_node *map, const char *key,
                      const char *const *words, int *out)
{
    struct view text;
    if (!read_text(r, map, key, &text))
        return false;
    if (text.len == 0)
        return true;
    for (int i = 0; words[i]; i++)
        if (view_is(text, words[i])) {
            *out = i;
            return true;
        }
    return yaml_error(r->err, yaml_find(map, key), "%s \"%.*s\" is not known", key,
                      (int)(text.len < 64 ? text.len : 64), text.ptr);
}

/* PEM of `key`, or of the file that `key`_file names. */
static bool read_pem(const struct reader *r, const struct yaml_node *map, const char *key,
                     const char *file_key, struct view *out)
{
    struct view file;
    if (!read_text(r, map, key, out) || !read_text(r, map, file_key, &file))
        return false;
    if (file.len && out->len)
        return yaml_error(r->err, yaml_find(map, key), "one of %s and %s, not both", key, file_key);
    if (file.len == 0 || r->dir == NULL)
        return true;
    struct owner *o = r->owner;
    bool absolute = file.ptr[0] == '/';
    const char *path = arena_printf(&o->arena, "%s%s%.*s", absolute ? "" : r->dir,
                                    absolute ? "" : "/", VIEW_ARGS(file))
                           .ptr;
    struct buffer text;
    ASSERT(o->file_count < FILES_MAX);
    o->files[o->file_count].path = path;
    o->files[o->file_count++].stamp = stamp_of(path);
    buffer_init(&text, MEM_HTTP, PEM_BYTES_MAX);
    bool ok = file_read_all(path, &text, r->err);
    if (ok)
        *out = arena_copy(&o->arena, buffer_view(&text));
    if (text.ptr)
        explicit_bzero(text.ptr, text.len);
    buffer_deinit(&text);
    return ok || error_wrap(r->err, "%s", file_key);
}

/* ---- sections ---- */

static bool read_tls_lists(const struct reader *r, const struct yaml_node *node,
                           struct http_tls_options *o)
{
    if (!read_texts(r, node, "cipher_suites", &o->ciphers, &o->cipher_count) ||
        !read_texts(r, node, "curve_preferences", &o->curves, &o->curve_count) ||
        !read_texts(r, node, "client_allowed_sans", &o->client_sans, &o->client_san_count))
        return false;
    for (size_t i = 0; i < o->cipher_count; i++)
        if (!http_tls_cipher_is_known(o->ciphers[i]))
            return yaml_error(
                r->err, yaml_find(node, "cipher_suites")->items[i], "unknown cipher: %.*s",
                (int)(o->ciphers[i].len < 64 ? o->ciphers[i].len : 64), o->ciphers[i].ptr);
    for (size_t i = 0; i < o->curve_count; i++)
        if (!http_tls_curve_is_known(o->curves[i]))
            return yaml_error(
                r->err, yaml_find(node, "curve_preferences")->items[i], "unknown curve: %.*s",
                (int)(o->curves[i].len < 64 ? o->curves[i].len : 64), o->curves[i].ptr);
    return true;
}

static bool read_tls_client(const struct reader *r, const struct yaml_node *node,
                            struct http_tls_options *o)
{
    static const char *const WORDS[] = {"NoClientCert",
                                        "RequestClientCert",
                                        "RequireAnyClientCert",
                                        "VerifyClientCertIfGiven",
                                        "RequireAndVerifyClientCert",
                                        "RequireClientCert",
                                        NULL};
    int word = HTTP_TLS_CLIENT_NONE;
    if (!read_word(r, node, "client_auth_type", WORDS, &word) ||
        !read_pem(r, node, "client_ca", "client_ca_file", &o->client_ca))
        return false;
    o->client = word == 5 ? HTTP_TLS_CLIENT_REQUIRE_ANY : (enum http_tls_client)word;
    bool has_ca = o->client_ca.len || yaml_find(node, "client_ca_file");
    if (has_ca && o->client == HTTP_TLS_CLIENT_NONE)
        return yaml_error(r->err, node,
                          "client CA's have been configured without a Client Auth Policy");
    if (!has_ca && (o->client == HTTP_TLS_CLIENT_VERIFY_IF_GIVEN ||
                    o->client == HTTP_TLS_CLIENT_REQUIRE_AND_VERIFY))
        return yaml_error(r->err, node, "client_auth_type %s needs client_ca or client_ca_file",
                          WORDS[word]);
    if (o->client_san_count && o->client != HTTP_TLS_CLIENT_REQUIRE_ANY &&
        o->client != HTTP_TLS_CLIENT_REQUIRE_AND_VERIFY)
        return yaml_error(r->err, yaml_find(node, "client_allowed_sans"),
                          "client_allowed_sans requires client_auth_type to be one of "
                          "RequireAnyClientCert or RequireAndVerifyClientCert");
    return true;
}

static bool tls_is_enabled(const struct yaml_node *node)
{
    static const char *const KEYS[] = {
        "cert", "cert_file", "key", "key_file", "client_ca_file", "client_ca", "client_auth_type"};
    for (size_t i = 0; i < ARRAY_COUNT(KEYS); i++)
        if (!yaml_is_null(yaml_find(node, KEYS[i])))
            return true;
    return false;
}

static bool read_tls(const struct reader *r, const struct yaml_node *node)
{
    static const char *const KEYS[] = {"cert",
                                       "key",
                                       "client_ca",
                                       "cert_file",
                                       "key_file",
                                       "client_auth_type",
                                       "client_ca_file",
                                       "cipher_suites",
                                       "curve_preferences",
                                       "min_version",
                                       "max_version",
                                       "prefer_server_cipher_suites",
                                       "client_allowed_sans",
                                       NULL};
    static const char *const VERSIONS[] = {"TLS10", "TLS11", "TLS12", "TLS13", NULL};
    int version_min = 2, version_max = 3;
    bool prefer_server = true;
    struct view key;
    struct http_tls_options o = {0};
    if (!check_keys(r, node, "tls_server_config", KEYS) ||
        !read_word(r, node, "min_version", VERSIONS, &version_min) ||
        !read_word(r, node, "max_version", VERSIONS, &version_max) ||
        !read_bool(r, node, "prefer_server_cipher_suites", &prefer_server) ||
        !read_tls_lists(r, node, &o) || !read_tls_client(r, node, &o) ||
        !read_pem(r, node, "cert", "cert_file", &o.certificate) ||
        !read_pem(r, node, "key", "key_file", &key))
        return false;
    if (!tls_is_enabled(node) || r->dir == NULL)
        return true;
    if (o.certificate.len == 0)
        return yaml_error(r->err, node, "missing one of cert or cert_file");
    if (key.len == 0)
        return yaml_error(r->err, node, "missing one of key or key_file");
    o.key = secret_from(key);
    o.version_min = (unsigned)version_min + 10;
    o.version_max = (unsigned)version_max + 10;
    o.client_order = !prefer_server;
    bool ok = http_tls_new(&r->owner->config.tls, &o, r->err);
    explicit_bzero((void *)(uintptr_t)key.ptr, key.len); /* the arena's copy, or the tree's */
    return ok || error_wrap(r->err, "tls_server_config");
}

static bool header_value_is_fine(const char *name, struct view value)
{
    static const char *const FRAMES[] = {"deny", "sameorigin", NULL};
    static const char *const SNIFFS[] = {"nosniff", NULL};
    const char *const *words = strcmp(name, "X-Frame-Options") == 0          ? FRAMES
                               : strcmp(name, "X-Content-Type-Options") == 0 ? SNIFFS
                                                                             : NULL;
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.ptr[i] < 0x20 || value.ptr[i] == 0x7f)
            return false;
    if (words == NULL || value.len == 0)
        return true;
    while (*words && !view_is(value, *words))
        words++;
    return *words != NULL;
}

static bool read_headers(const struct reader *r, const struct yaml_node *node)
{
    static const char *const NAMES[] = {"Content-Security-Policy",   "X-Frame-Options",
                                        "X-Content-Type-Options",    "X-XSS-Protection",
                                        "Strict-Transport-Security", NULL};
    struct web_config *c = &r->owner->config;
    if (!check_keys(r, node, "http_server_config.headers", NAMES) || yaml_is_null(node))
        return r->err->kind == ERROR_NONE;
    struct web_header *headers =
        arena_alloc(&r->owner->arena, sizeof NAMES / sizeof *NAMES * sizeof *headers);
    for (size_t i = 0; NAMES[i]; i++) {
        struct view value;
        if (!read_text(r, node, NAMES[i], &value))
            return false;
        if (!header_value_is_fine(NAMES[i], value))
            return yaml_error(r->err, yaml_find(node, NAMES[i]),
                              "the value of header %s is not allowed", NAMES[i]);
        if (value.len)
            headers[c->header_count++] =
                (struct web_header){NAMES[i], arena_copy(&r->owner->arena, value)};
    }
    c->headers = headers;
    return true;
}

static bool read_http(const struct reader *r, const struct yaml_node *node)
{
    static const char *const KEYS[] = {"http2", "headers", NULL};
    bool http2 = true; /* there is none: HTTP/1.1 is what is offered either way */
    return check_keys(r, node, "http_server_config", KEYS) && read_bool(r, node, "http2", &http2) &&
           read_headers(r, yaml_find(node, "headers"));
}

static bool read_rate(const struct reader *r, const struct yaml_node *node)
{
    static const char *const KEYS[] = {"interval", "burst", NULL};
    struct web_config *c = &r->owner->config;
    struct view interval;
    if (!check_keys(r, node, "rate_limit", KEYS) || !read_text(r, node, "interval", &interval))
        return false;
    const struct yaml_node *burst = yaml_find(node, "burst");
    if (!yaml_is_null(burst) &&
        (!yaml_as_int(burst, &c->rate_burst) || c->rate_burst < 0 || c->rate_burst > INT32_MAX))
        return yaml_error(r->err, burst, "burst is not a number from 0 to %d", INT32_MAX);
    if (interval.len && !view_is(interval, "0") &&
        !duration_parse(interval, &c->rate_interval_ms, r->err)) {
        char why[ERROR_MESSAGE_BYTES];
        (void)snprintf(why, sizeof why, "%s", r->err->message);
        return yaml_error(r->err, yaml_find(node, "interval"), "interval: %s", why);
    }
    return true;
}

static bool read_users(const struct reader *r, const struct yaml_node *node)
{
    struct web_config *c = &r->owner->config;
    if (yaml_is_null(node))
        return true;
    if (node->kind != YAML_MAPPING)
        return yaml_error(r->err, node, "basic_auth_users is %s, expected a mapping",
                          yaml_describe(node));
    if (node->count > WEB_CONFIG_USERS_MAX)
        return yaml_error(r->err, node, "%u users, at most %d", node->count, WEB_CONFIG_USERS_MAX);
    struct web_user *users = arena_alloc(&r->owner->arena, (node->count + 1) * sizeof *users);
    for (uint32_t i = 0; i < node->count; i++) {
        const struct yaml_node *name = node->pairs[i].key, *hash = node->pairs[i].value;
        struct error why = {0};
        if (memchr(name->text.ptr, ':', name->text.len) || name->text.len == 0)
            return yaml_error(r->err, name, "a user's name may not be empty nor hold a colon");
        users[i] = (struct web_user){.name = arena_copy(&r->owner->arena, name->text),
                                     .role = HTTP_ROLE_ADMIN};
        if (hash->kind != YAML_SCALAR || !password_hash_check(hash->text, &users[i].cost, &why))
            return yaml_error(r->err, hash, "user \"%.*s\": %s",
                              (int)(name->text.len < 64 ? name->text.len : 64), name->text.ptr,
                              why.message[0] ? why.message : "expected a bcrypt hash");
        users[i].hash = secret_from(arena_copy(&r->owner->arena, hash->text));
    }
    c->users = users;
    c->user_count = node->count;
    return true;
}

static bool read_roles(const struct reader *r, const struct yaml_node *node)
{
    struct web_config *c = &r->owner->config;
    struct web_user *users = (struct web_user *)(uintptr_t)c->users; /* still ours */
    if (yaml_is_null(node))
        return true;
    if (node->kind != YAML_MAPPING)
        return yaml_error(r->err, node, "roles is %s, expected a mapping", yaml_describe(node));
    for (uint32_t i = 0; i < node->count; i++) {
        const struct yaml_node *name = node->pairs[i].key, *role = node->pairs[i].value;
        size_t at = 0;
        while (at < c->user_count && !view_eq(users[at].name, name->text))
            at++;
        int shown = (int)(name->text.len < 64 ? name->text.len : 64);
        if (at == c->user_count)
            return yaml_error(r->err, name, "roles: \"%.*s\" is not among basic_auth_users", shown,
                              name->text.ptr);
        if (role->kind != YAML_SCALAR || !http_role_parse(role->text, &users[at].role) ||
            users[at].role < HTTP_ROLE_VIEW)
            return yaml_error(r->err, role,
                              "the role of \"%.*s\" is not view, silence, edit or admin", shown,
                              name->text.ptr);
    }
    return true;
}

static bool read_all(const struct reader *r, const struct yaml_node *root)
{
    static const char *const KEYS[] = {
        "tls_server_config", "http_server_config", "basic_auth_users", "rate_limit", "roles", NULL};
    return check_keys(r, root, "the web configuration", KEYS) &&
           read_users(r, yaml_find(root, "basic_auth_users")) &&
           read_roles(r, yaml_find(root, "roles")) &&
           read_http(r, yaml_find(root, "http_server_config")) &&
           read_rate(r, yaml_find(root, "rate_limit")) &&
           read_tls(r, yaml_find(root, "tls_server_config"));
}

bool web_config_parse(struct web_config **out, struct view text, const char *dir, struct error *err)
{
    struct owner *o = mem_alloc_zero(MEM_CONFIG, 1, sizeof *o);
    struct arena tree;
    const struct yaml_node *root;
    *out = NULL;
    error_clear(err);
    atomic_init(&o->references, 1);
    arena_init(&o->arena, MEM_CONFIG, 0); /* the text is limited */
    arena_init(&tree, MEM_CONFIG, 0);
    struct reader r = {o, dir, err};
    bool ok = yaml_parse(&tree, text, &root, err) && read_all(&r, root);
    arena_deinit(&tree);
    if (!ok) {
        web_config_unref(&o->config);
        return false;
    }
    *out = &o->config;
    return true;
}

bool web_config_load(struct web_config **out, const char *path, struct error *err)
{
    struct buffer text;
    char dir[4096];
    const char *slash = strrchr(path, '/');
    *out = NULL;
    if (slash && (size_t)(slash - path) >= sizeof dir)
        return error_set(err, ERROR_INPUT, "the path of the web configuration is too long");
    (void)snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    struct stamp stamp = stamp_of(path); /* before reading: a change meanwhile is seen later */
    buffer_init(&text, MEM_CONFIG, WEB_CONFIG_BYTES_MAX);
    bool ok = file_read_all(path, &text, err);
    if (ok && !web_config_parse(out, buffer_view(&text), dir, err))
        ok = err->line ? error_wrap(err, "%s:%u:%u", path, err->line, err->column)
                       : error_wrap(err, "%s", path);
    if (text.ptr)
        explicit_bzero(text.ptr, text.len);
    buffer_deinit(&text);
    if (!ok)
        return false;
    struct owner *o = (struct owner *)(void *)*out;
    ASSERT(o->file_count < FILES_MAX);
    o->files[o->file_count++].stamp = stamp;
    return true;
}

struct web_config *web_config_ref(struct web_config *c)
{
    atomic_fetch_add_explicit(&((struct owner *)(void *)c)->references, 1, memory_order_relaxed);
    return c;
}

void web_config_unref(struct web_config *c)
{
    struct owner *o = (struct owner *)(void *)c;
    if (c == NULL || atomic_fetch_sub_explicit(&o->references, 1, memory_order_acq_rel) > 1)
        return;
    http_tls_unref(c->tls);
    arena_deinit(&o->arena);
    mem_free(MEM_CONFIG, o);
}

bool web_config_is_stale(const struct web_config *c, const char *path)
{
    const struct owner *o = (const struct owner *)(const void *)c;
    for (size_t i = 0; i < o->file_count; i++) {
        struct stamp now = stamp_of(o->files[i].path ? o->files[i].path : path);
        if (!stamp_eq(&now, &o->files[i].stamp))
            return true;
    }
    return false;
}
