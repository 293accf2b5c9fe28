/* SPDX-License-Identifier: Apache-2.0 */
/* cache_url.c: see cache_url.h. libcurl takes the URL apart. */
#include "cache_url.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* NULL when the URL has no such part. */
static const char *part_copy(struct arena *arena, CURLU *parts, CURLUPart what, unsigned flags)
{
    char *text = NULL;
    const char *copy = NULL;
    if (curl_url_get(parts, what, &text, flags) == CURLUE_OK)
        copy = arena_printf(arena, "%s", text).ptr;
    curl_free(text);
    return copy;
}

static const char *host_copy(struct arena *arena, CURLU *parts)
{
    const char *host = part_copy(arena, parts, CURLUPART_HOST, CURLU_URLDECODE);
    size_t len = host ? strlen(host) : 0;
    if (len > 2 && host[0] == '[' && host[len - 1] == ']')
        return arena_printf(arena, "%.*s", (int)(len - 2), host + 1).ptr;
    return host;
}

static bool is_known(const char *const *names, struct view name)
{
    for (; *names; names++)
        if (view_is(name, *names))
            return true;
    return false;
}

/* A password that is not escaped may hold a "?": what follows is its rest, then "@" and the host. */
static bool may_be_secret(const char *query, struct view name)
{
    return strchr(query, '@') || memchr(name.ptr, ':', name.len);
}

static bool decode(struct arena *arena, struct view text, const char **out)
{
    int len = 0;
    char *plain = curl_easy_unescape(NULL, text.len ? text.ptr : "", (int)text.len, &len);
    bool ok = plain && strlen(plain) == (size_t)len;
    *out = ok ? arena_printf(arena, "%s", plain).ptr : NULL;
    curl_free(plain);
    return ok;
}

static bool parameters_parse(struct cache_url *u, struct arena *arena, const char *query,
                             const char *const *names, struct error *err)
{
    for (const char *at = query; at && *at;) {
        size_t len = strcspn(at, "&"), name_len = strcspn(at, "=&");
        struct view name = {at, name_len},
                    value = {at + name_len, len > name_len ? len - name_len : 0};
        value = value.len ? view_slice(value, 1, value.len) : value;
        at += at[len] ? len + 1 : len;
        if (len == 0)
            continue;
        if (!is_known(names, name) && may_be_secret(query, name))
            return error_set(
                err, ERROR_INPUT,
                "it has a parameter of an unknown name; a \"?\" in a password is %%3F");
        if (!is_known(names, name))
            return error_set(err, ERROR_INPUT, "it has no parameter \"%.*s\"", VIEW_ARGS(name));
        if (u->parameter_count == CACHE_URL_PARAMETERS_MAX)
            return error_set(err, ERROR_INPUT, "it has more than %d parameters",
                             CACHE_URL_PARAMETERS_MAX);
        if (!decode(arena, value, &u->parameters[u->parameter_count].value))
            return error_set(err, ERROR_INPUT, "its parameter \"%.*s\" is badly escaped",
                             VIEW_ARGS(name));
        u->parameters[u->parameter_count].name = arena_printf(arena, "%.*s", VIEW_ARGS(name)).ptr;
        u->parameter_count++;
    }
    return true;
}

bool cache_url_parse(struct cache_url *out, struct arena *arena, const char *text,
                     const char *const *parameters, struct error *err)
{
    *out = (struct cache_url){0};
    const char *colon = text ? strchr(text, ':') : NULL;
    if (colon && strncmp(colon, ":///", 4) == 0) /* libcurl would take the path for the host */
        return error_set(err, ERROR_INPUT, "it has no host");
    CURLU *parts = curl_url();
    CURLUcode code =
        parts ? curl_url_set(parts, CURLUPART_URL, text ? text : "", CURLU_NON_SUPPORT_SCHEME)
              : CURLUE_OUT_OF_MEMORY;
    if (code != CURLUE_OK) {
        curl_url_cleanup(parts);
        return error_set(err, ERROR_INPUT, "it is not a URL: %s", curl_url_strerror(code));
    }
    out->scheme = part_copy(arena, parts, CURLUPART_SCHEME, 0);
    out->user = part_copy(arena, parts, CURLUPART_USER, CURLU_URLDECODE);
    out->host = host_copy(arena, parts);
    out->path = part_copy(arena, parts, CURLUPART_PATH, 0);
    const char *password = part_copy(arena, parts, CURLUPART_PASSWORD, CURLU_URLDECODE);
    const char *port = part_copy(arena, parts, CURLUPART_PORT, 0);
    const char *query = part_copy(arena, parts, CURLUPART_QUERY, 0);
    curl_url_cleanup(parts);
    out->password = secret_from(view_from(password ? password : ""));
    out->port = port ? strtol(port, NULL, 10) : 0; /* digits up to 65535: libcurl looked */
    return parameters_parse(out, arena, query, parameters, err);
}

const char *cache_url_text(const struct cache_url *u, const char *name)
{
    for (size_t i = 0; i < u->parameter_count; i++)
        if (strcmp(u->parameters[i].name, name) == 0)
            return *u->parameters[i].value ? u->parameters[i].value : NULL;
    return NULL;
}

bool cache_url_number(const struct cache_url *u, const char *name, int64_t min, int64_t max,
                      int64_t fallback, int64_t *out, struct error *err)
{
    const char *text = cache_url_text(u, name);
    char *end = NULL;
    *out = fallback;
    if (!text)
        return true;
    errno = 0;
    *out = strtoll(text, &end, 10);
    bool ok =
        errno == 0 && *end == '\0' && *text >= '0' && *text <= '9' && *out >= min && *out <= max;
    return ok || error_set(err, ERROR_INPUT,
                           "its parameter \"%s\" must be a whole number from %lld to %lld", name,
                           (long long)min, (long long)max);
}
