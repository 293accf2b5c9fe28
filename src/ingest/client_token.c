/* SPDX-License-Identifier: Apache-2.0 */
/* client_token.c: see client_token.h. */
#include "ingest/client_token.h"

#include "base/checksum.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "ingest/client_material.h"
#include "net/http_client.h"

#include <jansson.h>
#include <string.h>

enum { TOKENS_MAX = 10000, EXPIRES_EARLY_MS = 10 * 1000 /* as Go's oauth2 */ };
/* What claims more is asked again after a year. */
static const int64_t LIFE_MAX_MS = 365 * INT64_C(86400) * 1000;

struct token {
    uint64_t key;
    mono_time expires; /* ns = INT64_MAX: never */
    char *text;        /* "Bearer ..." */
};

struct client_tokens {
    pthread_mutex_t mutex;
    struct token *items;
    size_t count, capacity;
    struct client_material *material; /* has a lock of its own */
};

struct client_tokens *client_tokens_new(void)
{
    struct client_tokens *t = mem_alloc_zero(MEM_SCRAPE, 1, sizeof *t);
    mutex_init(&t->mutex);
    t->material = client_material_new();
    return t;
}

struct client_material *client_tokens_material(struct client_tokens *t)
{
    return t->material;
}

static void token_drop(struct client_tokens *t, size_t idx)
{
    explicit_bzero(t->items[idx].text, strlen(t->items[idx].text));
    mem_free(MEM_SCRAPE, t->items[idx].text);
    t->items[idx] = t->items[--t->count];
}

void client_tokens_free(struct client_tokens *t)
{
    if (!t)
        return;
    while (t->count)
        token_drop(t, t->count - 1);
    mem_free(MEM_SCRAPE, t->items);
    client_material_free(t->material);
    mutex_deinit(&t->mutex);
    mem_free(MEM_SCRAPE, t);
}

/* ---- what is asked ---- */

static void base64_append(struct buffer *out, struct view in)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < in.len; i += 3) {
        size_t have = in.len - i < 3 ? in.len - i : 3;
        uint32_t bits = 0;
        for (size_t j = 0; j < 3; j++)
            bits = bits << 8 | (j < have ? (unsigned char)in.ptr[i + j] : 0u);
        for (size_t j = 0; j < 4; j++)
            buffer_append_byte(out, j <= have ? DIGITS[bits >> (18 - 6 * j) & 63] : '=');
    }
}

static void form_add(struct buffer *form, struct view name, struct view value)
{
    if (form->len)
        buffer_append_byte(form, '&');
    http_escape(form, name);
    buffer_append_byte(form, '=');
    http_escape(form, value);
}

bool client_token_request_init(struct client_token_request *r, const struct config_oauth2 *oauth2,
                               bool in_form, struct redaction *secrets, struct error *err)
{
    struct buffer secret, text;
    buffer_init(&secret, MEM_SCRAPE, CLIENT_SECRET_BYTES_MAX);
    if (!client_secret_read(&oauth2->client_secret, oauth2->client_secret_file, &secret, err)) {
        client_secret_wipe(&secret);
        return false;
    }
    buffer_init(&r->form, MEM_SCRAPE, 4 * CLIENT_SECRET_BYTES_MAX);
    buffer_init(&r->basic, MEM_SCRAPE, 8 * CLIENT_SECRET_BYTES_MAX);
    buffer_init(&text, MEM_SCRAPE, 8 * CLIENT_SECRET_BYTES_MAX);
    form_add(&r->form, VIEW("grant_type"), VIEW("client_credentials"));
    for (size_t i = 0; i < oauth2->scopes.count; i++) {
        if (i)
            buffer_append_byte(&text, ' ');
        buffer_append_view(&text, oauth2->scopes.items[i]);
    }
    if (text.len)
        form_add(&r->form, VIEW("scope"), buffer_view(&text));
    for (size_t i = 0; i < oauth2->endpoint_params.count; i++)
        form_add(&r->form, oauth2->endpoint_params.items[i].name,
                 oauth2->endpoint_params.items[i].value);
    buffer_reset(&text); /* RFC 6749, 2.3.1: both are encoded before they are joined */
    http_escape(&text, oauth2->client_id);
    buffer_append_byte(&text, ':');
    http_escape(&text, buffer_view(&secret));
    base64_append(&r->basic, buffer_view(&text));
    redaction_add(secrets, buffer_view(&secret));
    redaction_add(secrets, buffer_view(&r->basic));
    r->key = hash64_view(buffer_view(&r->form)) ^ 3 * hash64_view(buffer_view(&r->basic)) ^
             7 * hash64_view(oauth2->token_url);
    if (in_form) {
        form_add(&r->form, VIEW("client_id"), oauth2->client_id);
        form_add(&r->form, VIEW("client_secret"), buffer_view(&secret));
        buffer_reset(&r->basic);
    }
    client_secret_wipe(&text);
    client_secret_wipe(&secret);
    if (!r->form.failed && !r->basic.failed)
        return true;
    client_token_request_deinit(r);
    return error_set(err, ERROR_TOO_LARGE, "the request for an OAuth2 token is too large");
}

void client_token_request_deinit(struct client_token_request *r)
{
    client_secret_wipe(&r->form);
    client_secret_wipe(&r->basic);
}

/* ---- what is known ---- */

bool client_tokens_get(struct client_tokens *t, uint64_t key, struct buffer *out)
{
    bool found = false;
    int64_t now = clock_mono().ns;
    mutex_lock(&t->mutex);
    for (size_t i = 0; i < t->count && !found; i++) {
        if (t->items[i].key == key && t->items[i].expires.ns > now) {
            buffer_append_view(out, view_from(t->items[i].text));
            found = true;
        }
    }
    mutex_unlock(&t->mutex);
    return found;
}

static void token_put(struct client_tokens *t, uint64_t key, mono_time expires, char *text)
{
    int64_t now = clock_mono().ns;
    mutex_lock(&t->mutex);
    for (size_t i = t->count; i-- > 0;) {
        if (t->items[i].key == key || t->items[i].expires.ns <= now)
            token_drop(t, i);
    }
    if (t->count == TOKENS_MAX)
        token_drop(t, 0);
    if (t->count == t->capacity)
        t->items = mem_grow(MEM_SCRAPE, t->items, &t->capacity, t->count + 1, sizeof *t->items);
    t->items[t->count++] = (struct token){key, expires, text};
    mutex_unlock(&t->mutex);
}

/* Seconds as a number or, as some servers write it, as a text; 0: it does not say. */
static int64_t life_ms(const json_t *expires_in)
{
    double seconds = 0;
    if (json_is_number(expires_in)) {
        seconds = json_number_value(expires_in);
    } else if (json_is_string(expires_in)) {
        for (const char *p = json_string_value(expires_in); *p >= '0' && *p <= '9'; p++)
            seconds = seconds * 10 + (*p - '0');
    }
    if (!(seconds > 0))
        return 0;
    return seconds * 1000 > (double)LIFE_MAX_MS ? LIFE_MAX_MS : (int64_t)(seconds * 1000);
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static bool take(struct client_tokens *t, uint64_t key, long status, const json_t *answer,
                 struct error *err)
{
    const char *token = text_of(answer, "access_token"), *type = text_of(answer, "token_type");
    if (*text_of(answer, "error"))
        return error_set(
            err, ERROR_UNAVAILABLE, "OAuth2 token endpoint answered \"%.100s\"%s%.200s",
            text_of(answer, "error"), *text_of(answer, "error_description") ? ": " : "",
            text_of(answer, "error_description"));
    if (status < 200 || status > 299)
        return error_set(err, ERROR_UNAVAILABLE,
                         "OAuth2 token endpoint answered with HTTP status %ld", status);
    if (!*token)
        return error_set(err, ERROR_INPUT, "OAuth2 token endpoint answered without access_token");
    int64_t life = life_ms(json_object_get(answer, "expires_in"));
    mono_time expires = {INT64_MAX};
    if (life) /* one that is over at once serves the request that asked for it */
        expires = mono_add_ms(clock_mono(), life > 2 * EXPIRES_EARLY_MS ? life - EXPIRES_EARLY_MS
                                                                        : (life + 1) / 2);
    if (!*type || strcasecmp(type, "bearer") == 0)
        type = "Bearer";
    size_t bytes = strlen(type) + strlen(token) + 2;
    char *text = mem_alloc(MEM_SCRAPE, bytes);
    (void)snprintf(text, bytes, "%s %s", type, token); /* fits */
    token_put(t, key, expires, text);
    return true;
}

bool client_tokens_take(struct client_tokens *t, uint64_t key, long status, struct view answer,
                        struct error *err)
{
    json_error_t why;
    json_t *root = json_loadb(answer.len ? answer.ptr : "", answer.len, 0, &why);
    bool ok;
    if (root && json_is_object(root))
        ok = take(t, key, status, root, err);
    else if (status < 200 || status > 299)
        ok = error_set(err, ERROR_UNAVAILABLE,
                       "OAuth2 token endpoint answered with HTTP status %ld", status);
    else
        ok = error_set(err, ERROR_INPUT, "OAuth2 token endpoint answered with no JSON object");
    json_decref(root);
    return ok;
}
