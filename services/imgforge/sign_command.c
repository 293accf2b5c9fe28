/* SPDX-License-Identifier: Apache-2.0 */
/* sign_command.c: see sign_command.h. */
#include "sign_command.h"

#include "base/base64.h"
#include "image_url.h"
#include "signature.h"

#include <stdio.h>
#include <string.h>

enum { SIGN_ARENA_BYTES_MAX = 1 << 20, SIGN_OK = 0, SIGN_USAGE = 2 };

static const char HELP[] =
    "Usage: imgforge sign [FLAG...] PATH...\n"
    "\n"
    "Signs paths of images, without the signature that they begin with, and prints one a line:\n"
    "  imgforge sign /rs:fit:300:200/plain/https://example.com/a.jpg@webp\n"
    "\n"
    "A word that begins with http:// or https:// is a source without options. Of several keys the "
    "first one signs.\n"
    "\n"
    "Flags:\n"
    "  --key HEX, --salt HEX  in place of IMGFORGE_KEY and IMGFORGE_SALT, which other users of "
    "this machine cannot see\n"
    "  --encode               write sources in base64\n"
    "  --base URL             print URLs: what the server is reached by, with its "
    "IMGFORGE_PATH_PREFIX\n"
    "  --help                 print this and end\n";

struct signing {
    struct signing_keys keys;
    bool encode;
    struct view base;
};

static int complain(const char *what, const char *detail)
{
    (void)fprintf(stderr, "imgforge sign: %s%s%s\n", what, *detail ? ": " : "", detail);
    return SIGN_USAGE;
}

/* The path with its source in base64; all but the source stays as it is. */
static struct view encoded_path(struct arena *arena, const struct image_url *url,
                                struct view source)
{
    struct buffer text;
    struct view path = url->signed_path;
    size_t before = (size_t)(url->encoded_source.ptr - path.ptr);
    if (!url->is_plain)
        return path;
    buffer_init(&text, MEM_OTHER, source.len * 2 + 4);
    base64_url_encode(&text, source);
    while (text.len && text.ptr[text.len - 1] == '=')
        text.len--;
    struct view out = arena_printf(arena, "%.*s%.*s%s%.*s", (int)(before - strlen("plain/")),
                                   path.ptr, VIEW_ARGS(buffer_view(&text)),
                                   url->extension.len ? "." : "", VIEW_ARGS(url->extension));
    buffer_deinit(&text);
    return out;
}

/* Characters that a URL in "plain/" may not have as they are. */
static struct view plain_path(struct arena *arena, const char *source)
{
    struct buffer text;
    buffer_init(&text, MEM_OTHER, 3 * strlen(source) + 16);
    buffer_append_literal(&text, "/plain/");
    for (const char *at = source; *at; at++) {
        if ((unsigned char)*at <= ' ' || strchr("%?@#", *at))
            buffer_printf(&text, "%%%02X", (unsigned char)*at);
        else
            buffer_append_byte(&text, *at);
    }
    struct view out = arena_copy(arena, buffer_view(&text));
    buffer_deinit(&text);
    return out;
}

static bool sign_word(struct arena *arena, const struct signing *s, const char *word,
                      struct error *err)
{
    struct image_url url;
    struct view source, path = view_from(word);
    if (view_has_prefix(path, VIEW("http://")) || view_has_prefix(path, VIEW("https://")))
        path = plain_path(arena, word);
    if (!view_has_prefix(path, VIEW("/")))
        return error_set(err, ERROR_USAGE, "a path begins with a slash");
    struct view whole = arena_printf(arena, "signature%.*s", VIEW_ARGS(path));
    if (!image_url_parse(arena, whole, &url, err) || !image_url_source(arena, &url, &source, err))
        return false;
    path = s->encode ? encoded_path(arena, &url, source) : url.signed_path;
    char signature[SIGNATURE_TEXT_BYTES];
    signature_make(&s->keys, path, signature);
    printf("%.*s/%s%.*s\n", VIEW_ARGS(s->base), signature, VIEW_ARGS(path));
    return true;
}

static int sign_words(struct arena *arena, const struct signing *s, int count, char **words)
{
    struct error err = {0};
    for (int i = 0; i < count; i++)
        if (!sign_word(arena, s, words[i], &err))
            return complain(words[i], err.message);
    return SIGN_OK;
}

/* The value of the flag at *i, behind "=" or in the next word; NULL when that is another flag. *missing: it should have one. */
static const char *flag_value(int argc, char **argv, int *i, const char *name, bool *missing)
{
    size_t len = strlen(name);
    if (strncmp(argv[*i], name, len) != 0 || (argv[*i][len] != '=' && argv[*i][len] != '\0'))
        return NULL;
    if (argv[*i][len] == '=')
        return argv[*i] + len + 1;
    *missing = *i + 1 == argc;
    return *missing ? NULL : argv[++*i];
}

int sign_command(const struct sign_defaults *defaults, int argc, char **argv)
{
    struct signing s = {.keys = {.digest_bytes = (size_t)defaults->digest_bytes}, .base = VIEW("")};
    struct view key = secret_reveal(&defaults->key), salt = secret_reveal(&defaults->salt);
    int i = 0;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        bool missing = false;
        const char *value, *flag = argv[i];
        if ((value = flag_value(argc, argv, &i, "--key", &missing)))
            key = view_from(value);
        else if ((value = flag_value(argc, argv, &i, "--salt", &missing)))
            salt = view_from(value);
        else if ((value = flag_value(argc, argv, &i, "--base", &missing)))
            s.base = view_from(value);
        else if (strcmp(flag, "--encode") == 0)
            s.encode = true;
        else if (strcmp(flag, "--help") == 0)
            return fputs(HELP, stdout) < 0;
        else
            return complain(flag, missing ? "a value is missing" : "unknown flag; see --help");
    }
    while (view_has_suffix(s.base, VIEW("/")))
        s.base.len--;
    if (i == argc)
        return complain("no path is given; see imgforge sign --help", "");
    if (key.len == 0 || salt.len == 0)
        return complain("IMGFORGE_KEY and IMGFORGE_SALT (or --key and --salt) are not set", "");
    struct arena arena;
    struct error err = {0};
    bool is_short;
    arena_init(&arena, MEM_OTHER, SIGN_ARENA_BYTES_MAX);
    int status = signing_keys_read(&arena, key, salt, &s.keys, &is_short, &err)
                     ? sign_words(&arena, &s, argc - i, argv + i)
                     : complain("key and salt", err.message);
    arena_deinit(&arena);
    return status;
}
