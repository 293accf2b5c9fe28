/* SPDX-License-Identifier: Apache-2.0 */
/* credentials.c: see credentials.h. Basic credentials are compared in base64, so nothing of a stranger's is decoded. */
#include "instrument_http/credentials.h"

#include "instrument_http/base64.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SECRET_BYTES_MAX = 4096 };

static bool is_set(const char *text)
{
    return text && text[0];
}

/* A newline at the end of a file is the usual reason for one. */
static bool has_control(const char *text)
{
    for (; text && *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

const char *belfry__credentials_fault(const char *bearer, const char *username,
                                      const char *password)
{
    if (is_set(username) != is_set(password))
        return "basic authentication needs both a name and a password";
    if (is_set(username) && strchr(username, ':'))
        return "the name of basic authentication cannot have a colon";
    if (has_control(bearer) || has_control(username) || has_control(password))
        return "a token, name or password has a control character (a newline at its end?)";
    if ((bearer && strlen(bearer) > SECRET_BYTES_MAX) ||
        (username && strlen(username) > SECRET_BYTES_MAX) ||
        (password && strlen(password) > SECRET_BYTES_MAX))
        return "a token, name or password is longer than 4096 bytes";
    return NULL;
}

static void forget(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

static char *basic_text(const char *username, const char *password)
{
    size_t len = strlen(username) + 1 + strlen(password);
    char *pair = malloc(len + 1), *out = malloc(BASE64_BYTES(len) + 1);
    if (pair && out) {
        (void)snprintf(pair, len + 1, "%s:%s", username, password);
        belfry__base64(out, pair, len, false);
    } else {
        free(out);
        out = NULL;
    }
    if (pair)
        explicit_bzero(pair, len);
    free(pair);
    return out;
}

bool belfry__credentials_init(struct credentials *c, const char *bearer, const char *username,
                              const char *password)
{
    *c = (struct credentials){0};
    if (is_set(bearer) && !(c->bearer = strdup(bearer)))
        return false;
    return !is_set(username) || (c->basic = basic_text(username, password));
}

void belfry__credentials_deinit(struct credentials *c)
{
    forget(c->bearer);
    forget(c->basic);
    *c = (struct credentials){0};
}

/* Looks at every byte of `given`, whatever it finds. */
static bool same_secret(const char *secret, const char *given)
{
    size_t secret_len = strlen(secret), given_len = strlen(given);
    unsigned difference = secret_len != given_len;
    for (size_t i = 0; i < given_len; i++)
        difference |= (unsigned char)given[i] ^ (unsigned char)secret[i % secret_len];
    return difference == 0;
}

static const char *after_scheme(const char *header, const char *scheme)
{
    size_t len = strlen(scheme);
    if (strncasecmp(header, scheme, len) != 0 || header[len] != ' ')
        return NULL;
    return header + len + strspn(header + len, " ");
}

bool belfry__credentials_allow(const struct credentials *c, const char *authorization)
{
    if (!c->bearer && !c->basic)
        return true;
    if (!authorization)
        return false;
    const char *bearer = c->bearer ? after_scheme(authorization, "Bearer") : NULL;
    const char *basic = c->basic ? after_scheme(authorization, "Basic") : NULL;
    return (bearer && same_secret(c->bearer, bearer)) || (basic && same_secret(c->basic, basic));
}
