/* SPDX-License-Identifier: Apache-2.0 */
/* alertmanager_client.c: see alertmanager_client.h. */
#include "cli/alertmanager_client.h"

#include "base/buffer.h"
#include "base/file.h"
#include "base/redaction.h"
#include "base/secret.h"
#include "base/yaml.h"
#include "cli/command.h"
#include "ingest/client.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_BYTES_MAX = 1 << 30, URL_BYTES_MAX = 1 << 20, DEFAULTS_BYTES_MAX = 1 << 20 };

void alertmanager_client_init(struct alertmanager_client *c)
{
    const char *url = getenv("BELFRY_URL");
    *c = (struct alertmanager_client){.output = "simple",
                                      .date_format = "2006-01-02 15:04:05 MST",
                                      .http_config = "",
                                      .features = "",
                                      .timeout_ms = 30000,
                                      .checks_version = true};
    if (!command_is_amtool())
        c->url = url ? url : "http://127.0.0.1:9090";
}

/* --- amtool's defaults --- */

/* A file of flags and their values. What an earlier file said stays: the flag is in `done`. */
static bool read_defaults(struct arena *arena, const char *path, const struct flag *flags,
                          size_t count, bool *done, struct error *err)
{
    struct buffer text;
    const struct yaml_node *root = NULL;
    buffer_init(&text, MEM_OTHER, DEFAULTS_BYTES_MAX);
    bool ok = file_read_all(path, &text, err);
    if (!ok && err->kind == ERROR_NOT_FOUND) {
        error_clear(err);
        buffer_deinit(&text);
        return true;
    }
    ok = ok && yaml_parse(arena, buffer_view(&text), &root, err);
    if (ok && root && root->kind != YAML_MAPPING)
        ok = yaml_error(err, root, "flags and their values were expected, not %s",
                        yaml_describe(root));
    for (uint32_t i = 0; ok && root && i < root->count; i++) {
        const struct yaml_pair *p = &root->pairs[i];
        const char *name = p->key->text.ptr;
        if (strcmp(name, "comment_required") == 0) /* of before 0.9 */
            name = "require-comment";
        const struct flag *f = flags_find(flags, count, name);
        if (!f || done[f - flags]) /* flags of other commands are in the file, too */
            continue;
        done[f - flags] = true;
        ok =
            (p->value->kind == YAML_SCALAR ||
             yaml_error(err, p->value, "a string was expected, not %s", yaml_describe(p->value))) &&
            flags_set(f, arena_copy(arena, p->value->text).ptr, err);
    }
    buffer_deinit(&text);
    return ok || error_wrap(err, "could not load config file %s", path);
}

/* amtool's files, and those of its Debian package. The values live until the process ends. */
static bool read_all_defaults(const struct flag *flags, size_t count, struct error *err)
{
    static struct arena arena;
    const char *home = getenv("HOME");
    bool *done = mem_alloc_zero(MEM_OTHER, count, sizeof *done), ok = true;
    arena_init(&arena, MEM_OTHER, 0);
    if (home)
        ok = read_defaults(&arena, arena_printf(&arena, "%s/.config/amtool/config.yml", home).ptr,
                           flags, count, done, err) &&
             read_defaults(&arena,
                           arena_printf(&arena, "%s/.config/prometheus/amtool.yml", home).ptr,
                           flags, count, done, err);
    ok = ok && read_defaults(&arena, "/etc/amtool/config.yml", flags, count, done, err) &&
         read_defaults(&arena, "/etc/prometheus/amtool.yml", flags, count, done, err);
    mem_free(MEM_OTHER, done);
    return ok;
}

bool alertmanager_client_parse(struct alertmanager_client *c, const struct flag *flags,
                               size_t count, int argc, char **argv, struct flag_words *words,
                               struct error *err)
{
    if (command_is_amtool() && !read_all_defaults(flags, count, err))
        return false;
    if (!flags_parse(flags, count, argc, argv, words, command_warn, err))
        return false;
    if (strcmp(c->output, "simple") != 0 && strcmp(c->output, "extended") != 0 &&
        strcmp(c->output, "json") != 0)
        return error_set(err, ERROR_USAGE,
                         "enum value must be one of simple,extended,json, got '%.100s'", c->output);
    return true;
}

/* --- requests --- */

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct buffer *body = arg;
    buffer_append(body, bytes, size * count);
    return body->failed ? 0 : size * count;
}

struct exchange {
    const struct alertmanager_client *client;
    const char *method;
    struct view body;
    struct buffer answer;
    char detail[CURL_ERROR_SIZE];
    struct client http;
    const struct config_http_client *settings;
    struct client_tokens *tokens;
};

/* One transfer; the handle may then ask for a token, or be redirected. */
static bool transfer(struct exchange *x, const char *url, struct error *err)
{
    CURL *easy = x->http.easy;
    redaction_add_userinfo(x->http.secrets, view_from(url)); /* errors name it */
    curl_easy_reset(easy);
    client_reset(&x->http);
    buffer_reset(&x->answer);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)x->client->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "Belfry/" BELFRY_VERSION);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &x->answer);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, x->detail);
    if (!client_header(&x->http, err, "Accept: application/json") ||
        (x->body.len && !client_header(&x->http, err, "Content-Type: application/json")) ||
        !client_prepare(&x->http, x->settings, url, x->tokens, err))
        return false;
    if (!x->http.asks_token) {
        if (x->body.len) {
            curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->body.len);
            curl_easy_setopt(easy, CURLOPT_POSTFIELDS, x->body.ptr);
        }
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, x->method);
    }
    CURLcode code = curl_easy_perform(easy);
    if (x->answer.failed)
        return error_set(err, ERROR_TOO_LARGE, "the answer of %s is larger than %d bytes", url,
                         ANSWER_BYTES_MAX);
    return code == CURLE_OK || error_set(err, ERROR_IO, "could not reach %s: %s", url,
                                         *x->detail ? x->detail : curl_easy_strerror(code));
}

/* Until an answer has come that is neither a token nor a redirect. */
static bool exchange(struct exchange *x, const char *url, long *status, struct error *err)
{
    char *at = NULL; /* where redirects have led; NULL: to `url` still */
    for (;;) {
        char *to = NULL;
        bool ok = transfer(x, at ? at : url, err);
        curl_easy_getinfo(x->http.easy, CURLINFO_RESPONSE_CODE, status);
        if (ok && x->http.asks_token) {
            ok = client_take_token(&x->http, x->tokens, *status, err);
            if (ok)
                continue; /* the same request, with the token */
        } else if (ok) {
            ok = client_redirect(&x->http, x->settings, url, *status, &to, err);
        }
        mem_free(MEM_SCRAPE, at);
        at = to;
        if (!at)
            return ok;
    }
}

struct view json_text(const json_t *object, const char *name)
{
    const json_t *member = json_object_get(object, name);
    if (!json_is_string(member))
        return (struct view){"", 0};
    return (struct view){json_string_value(member), json_string_length(member)};
}

/* What a server says of its refusal: a JSON string, an object with a message (go-openapi, Prometheus), or text. */
static bool refuse(const struct exchange *x, const char *url, long status, const json_t *json,
                   struct error *err)
{
    struct view text = json_text(json, "message");
    if (text.len == 0)
        text = json_text(json, "error");
    if (json_is_string(json))
        text = (struct view){json_string_value(json), json_string_length(json)};
    else if (!json)
        text = buffer_view(&x->answer);
    while (text.len && text.ptr[text.len - 1] == '\n')
        text.len--;
    return error_set(err, status == 404 ? ERROR_NOT_FOUND : ERROR_INPUT, "%s %s: %ld%s%.*s",
                     x->method, url, status, text.len ? ": " : "",
                     VIEW_ARGS(view_slice(text, 0, 800)));
}

/* The URL without a slash at its end, then the path. Ends with a NUL. */
static bool make_url(const struct alertmanager_client *c, struct view path, struct buffer *out,
                     struct error *err)
{
    if (!c->url)
        return error_set(err, ERROR_USAGE, "required flag --alertmanager.url not provided");
    struct view base = view_from(c->url);
    while (base.len && base.ptr[base.len - 1] == '/')
        base.len--;
    if (!memmem(base.ptr, base.len, "://", 3))
        buffer_append_literal(out, "http://");
    buffer_append_view(out, base);
    buffer_append_view(out, path);
    buffer_append_byte(out, '\0');
    return !out->failed || error_set(err, ERROR_TOO_LARGE,
                                     "the request's URL is larger than %d "
                                     "bytes",
                                     URL_BYTES_MAX);
}

/* Who asks for --verbose sees the URL without its password. */
static void tell_request(struct arena *arena, const char *method, struct view url)
{
    struct redaction secrets = {0};
    size_t bytes = url.len * sizeof SECRET_SHOWN + 1;
    char *text = arena_alloc(arena, bytes);
    memcpy(text, url.ptr, url.len + 1);
    redaction_add_userinfo(&secrets, url);
    redaction_apply(&secrets, text, bytes);
    fprintf(stderr, "%s %s\n", method, text);
    redaction_clear(&secrets);
}

bool alertmanager_ask(const struct alertmanager_client *c, const char *method, struct view path,
                      struct view body, json_t **out, struct error *err)
{
    struct arena arena;
    struct buffer url;
    struct config_http_client settings;
    struct error why = {0};
    struct redaction secrets = {0};
    struct exchange x = {.client = c, .method = method, .body = body, .settings = &settings};
    long status = 0;
    *out = NULL;
    arena_init(&arena, MEM_OTHER, 0);
    buffer_init(&url, MEM_OTHER, URL_BYTES_MAX);
    buffer_init(&x.answer, MEM_OTHER, ANSWER_BYTES_MAX);
    config_http_client_defaults(&settings);
    x.tokens = client_tokens_new();
    x.http.easy = curl_easy_init();
    x.http.secrets = &secrets;
    bool ok = x.http.easy || error_set(err, ERROR_LIMIT, "no memory for a request");
    ok = ok && make_url(c, path, &url, err) &&
         (c->http_config[0] == '\0' ||
          config_http_client_load(&arena, c->http_config, &settings, err));
    if (ok && c->verbose)
        tell_request(&arena, method, view_from(url.ptr));
    ok = ok && exchange(&x, url.ptr, &status, err);
    if (ok && x.answer.len)
        *out = json_read(buffer_view(&x.answer), &why);
    if (ok && status / 100 != 2)
        ok = refuse(&x, url.ptr, status, *out, err);
    else if (ok && x.answer.len && !*out)
        ok = error_set(err, ERROR_INPUT, "%s answered with no JSON of an API: %s", url.ptr,
                       why.message);
    if (!ok) { /* it may quote what it was sent */
        config_http_secrets(&settings, &secrets);
        redaction_apply(&secrets, err->message, sizeof err->message);
        json_decref(*out);
        *out = NULL;
    }
    redaction_clear(&secrets);
    client_deinit(&x.http);
    curl_easy_cleanup(x.http.easy);
    client_tokens_free(x.tokens);
    buffer_deinit(&x.answer);
    buffer_deinit(&url);
    arena_deinit(&arena);
    return ok;
}
