/* SPDX-License-Identifier: Apache-2.0 */
/* push_url.c: see push_url.h. */
#include "instrument_http/push_url.h"

#include "instrument_http/base64.h"

#include <string.h>

enum { VALUE_BYTES_MAX = 1024 };

static bool is_label_name(const char *name)
{
    if (!name || !name[0] || (name[0] >= '0' && name[0] <= '9') || strncmp(name, "__", 2) == 0)
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") ==
           strlen(name);
}

static bool is_utf8(const char *text)
{
    for (size_t len = strlen(text); len > 0;) {
        size_t n = belfry__utf8_len(text, len);
        if (n == 0)
            return false;
        text += n;
        len -= n;
    }
    return true;
}

const char *belfry__group_fault(const char *job, const belfry_label *labels, size_t count)
{
    if (job && (strlen(job) > VALUE_BYTES_MAX || !is_utf8(job)))
        return "job must be UTF-8 of at most 1024 bytes";
    for (size_t i = 0; i < count; i++) {
        if (!is_label_name(labels[i].name) || strcmp(labels[i].name, "job") == 0)
            return "a grouping label's name must be letters, digits and _, not begin with a digit "
                   "or __, and not be job";
        if (!labels[i].value || strlen(labels[i].value) > VALUE_BYTES_MAX ||
            !is_utf8(labels[i].value))
            return "a grouping label's value must be UTF-8 of at most 1024 bytes";
        for (size_t k = 0; k < i; k++)
            if (strcmp(labels[i].name, labels[k].name) == 0)
                return "a grouping label is there twice";
    }
    return NULL;
}

static void add_escaped(struct text *out, const char *value)
{
    static const char HEX[] = "0123456789ABCDEF";
    for (; *value; value++) {
        unsigned char c = (unsigned char)*value;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_' || c == '~';
        if (plain) {
            belfry__text_byte(out, *value);
        } else {
            const char escaped[3] = {'%', HEX[c >> 4], HEX[c & 15]};
            belfry__text_append(out, escaped, 3);
        }
    }
}

/* A path of "." or ".." would be taken for a step by who is in between. */
static bool needs_base64(const char *value)
{
    return value[0] == '\0' || strchr(value, '/') || strcmp(value, ".") == 0 ||
           strcmp(value, "..") == 0;
}

static void add_pair(struct text *out, const char *name, const char *value)
{
    char encoded[BASE64_BYTES(VALUE_BYTES_MAX) + 1];
    belfry__text_byte(out, '/');
    belfry__text_string(out, name);
    if (!needs_base64(value)) {
        belfry__text_byte(out, '/');
        add_escaped(out, value);
        return;
    }
    belfry__base64(encoded, value, strlen(value), true);
    belfry__text_string(out, "@base64/");
    belfry__text_string(out, value[0] ? encoded : "="); /* a path cannot end in nothing */
}

void belfry__push_url(struct text *out, const char *base, const char *job,
                      const belfry_label *labels, size_t count)
{
    size_t len = strlen(base);
    while (len > 0 && base[len - 1] == '/')
        len--;
    belfry__text_append(out, base, len);
    belfry__text_string(out, "/metrics");
    add_pair(out, "job", job);
    for (size_t i = 0; i < count; i++)
        add_pair(out, labels[i].name, labels[i].value);
    belfry__text_byte(out, '\0');
}
