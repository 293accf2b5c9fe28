/* SPDX-License-Identifier: Apache-2.0 */
#include "alerting/aws_credentials.h"

#include "base/buffer.h"
#include "base/file.h"
#include "ingest/client_token.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { FILE_BYTES_MAX = 1 << 20, PATH_BYTES_MAX = 4096 };

struct view aws_variable(const char *name)
{
    return view_from(getenv(name));
}

bool aws_credentials_of_environment(struct arena *arena, struct aws_credentials *out)
{
    struct view key = aws_variable("AWS_ACCESS_KEY_ID");
    struct view secret = aws_variable("AWS_SECRET_ACCESS_KEY");
    if (key.len == 0 || secret.len == 0)
        return false;
    *out = (struct aws_credentials){
        .access_key = arena_copy(arena, key),
        .secret_key = secret_from(arena_copy(arena, secret)),
        .session_token = secret_from(arena_copy(arena, aws_variable("AWS_SESSION_TOKEN")))};
    return true;
}

/* --- shared files: INI, [NAME] or [profile NAME], NAME = VALUE, comments with # and ; --- */

static struct view trim(struct view text)
{
    while (text.len && strchr(" \t\r", text.ptr[0]))
        text = view_slice(text, 1, text.len);
    while (text.len && strchr(" \t\r", text.ptr[text.len - 1]))
        text.len--;
    return text;
}

static bool is_section(struct view line, struct view profile)
{
    struct view name = trim(view_slice(line, 1, line.len - 1));
    if (view_has_prefix(name, VIEW("profile ")))
        name = trim(view_slice(name, 8, name.len));
    return view_eq(name, profile);
}

/* The last value of `key` in the profile; empty: none. */
static struct view ini_find(struct view text, struct view profile, const char *key)
{
    struct view found = {NULL, 0};
    bool inside = false;
    while (text.len) {
        const char *end = memchr(text.ptr, '\n', text.len);
        size_t len = end ? (size_t)(end - text.ptr) : text.len;
        struct view line = trim(view_slice(text, 0, len));
        const char *equals = line.len ? memchr(line.ptr, '=', line.len) : NULL;
        text = view_slice(text, len + 1, text.len);
        if (line.len > 1 && line.ptr[0] == '[' && line.ptr[line.len - 1] == ']')
            inside = is_section(line, profile);
        else if (inside && equals && line.ptr[0] != '#' && line.ptr[0] != ';' &&
                 view_is(trim(view_slice(line, 0, (size_t)(equals - line.ptr))), key))
            found = trim(view_slice(line, (size_t)(equals - line.ptr) + 1, line.len));
    }
    return found;
}

/* The text of a shared file; empty when it is not there, or there is no home. */
static bool read_shared(struct buffer *text, const char *variable, const char *name,
                        struct error *err)
{
    char path[PATH_BYTES_MAX];
    struct view chosen = aws_variable(variable), home = aws_variable("HOME");
    int len = chosen.len
                  ? snprintf(path, sizeof(path), "%s", chosen.ptr)
                  : snprintf(path, sizeof(path), "%s/.aws/%s", home.len ? home.ptr : "", name);
    if (len < 0 || (size_t)len >= sizeof(path))
        return error_set(err, ERROR_INPUT, "the path of AWS' file \"%s\" is too long", name);
    return (chosen.len == 0 && home.len == 0) || file_read_all(path, text, err) ||
           err->kind == ERROR_NOT_FOUND;
}

static struct view profile_or_default(struct view profile)
{
    if (profile.len == 0)
        profile = aws_variable("AWS_PROFILE");
    return profile.len ? profile : VIEW("default");
}

bool aws_credentials_of_file(struct arena *arena, struct view profile, struct aws_credentials *out,
                             bool *found, struct error *err)
{
    static const char *const FILES[][2] = {{"AWS_SHARED_CREDENTIALS_FILE", "credentials"},
                                           {"AWS_CONFIG_FILE", "config"}};
    struct buffer text;
    bool ok = true;
    profile = profile_or_default(profile);
    *found = false;
    buffer_init(&text, MEM_RULES, FILE_BYTES_MAX);
    for (size_t i = 0; i < ARRAY_COUNT(FILES) && ok && !*found; i++) {
        buffer_reset(&text);
        ok = read_shared(&text, FILES[i][0], FILES[i][1], err);
        struct view ini = buffer_view(&text);
        struct view key = ini_find(ini, profile, "aws_access_key_id"),
                    secret = ini_find(ini, profile, "aws_secret_access_key");
        if (!ok || key.len == 0 || secret.len == 0)
            continue;
        *found = true;
        *out = (struct aws_credentials){.access_key = arena_copy(arena, key),
                                        .secret_key = secret_from(arena_copy(arena, secret)),
                                        .session_token = secret_from(arena_copy(
                                            arena, ini_find(ini, profile, "aws_session_token")))};
    }
    client_secret_wipe(&text);
    return ok;
}

bool aws_credentials_at_hand(struct arena *arena, const struct config_sigv4 *sigv4,
                             struct aws_credentials *out, bool *found, struct error *err)
{
    bool has_profile = sigv4->profile.len > 0; /* AWS_PROFILE but says which one is the default */
    *found = true;
    if (secret_is_set(&sigv4->secret_key)) {
        *out = (struct aws_credentials){.access_key = sigv4->access_key,
                                        .secret_key = sigv4->secret_key};
        return true;
    }
    if (!has_profile && aws_credentials_of_environment(arena, out))
        return true;
    *found = false;
    return (!has_profile && aws_variable("AWS_WEB_IDENTITY_TOKEN_FILE").len) ||
           aws_credentials_of_file(arena, sigv4->profile, out, found, err);
}

bool aws_region(struct arena *arena, struct view profile, struct view *out, struct error *err)
{
    struct buffer text;
    *out = aws_variable("AWS_REGION");
    if (out->len == 0)
        *out = aws_variable("AWS_DEFAULT_REGION");
    if (out->len)
        return true;
    buffer_init(&text, MEM_RULES, FILE_BYTES_MAX);
    bool ok = read_shared(&text, "AWS_CONFIG_FILE", "config", err);
    if (ok)
        *out =
            arena_copy(arena, ini_find(buffer_view(&text), profile_or_default(profile), "region"));
    client_secret_wipe(&text);
    return ok;
}

/* --- answers --- */

struct view aws_element(struct view xml, const char *name)
{
    char open[64], close[64];
    int open_len = snprintf(open, sizeof(open), "<%s>", name);
    int close_len = snprintf(close, sizeof(close), "</%s>", name);
    const char *start = xml.len ? memmem(xml.ptr, xml.len, open, (size_t)open_len) : NULL;
    if (!start)
        return (struct view){NULL, 0};
    start += open_len;
    const char *end = memmem(start, xml.len - (size_t)(start - xml.ptr), close, (size_t)close_len);
    return (struct view){start, end ? (size_t)(end - start) : 0};
}

int64_t aws_time_ms(struct arena *arena, struct view text)
{
    struct tm tm = {0};
    const char *end = strptime(arena_copy(arena, text).ptr, "%Y-%m-%dT%H:%M:%S", &tm);
    return end && (*end == 'Z' || *end == '.') ? (int64_t)timegm(&tm) * 1000 : INT64_MAX;
}
