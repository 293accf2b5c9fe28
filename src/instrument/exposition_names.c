/* SPDX-License-Identifier: Apache-2.0 */
/* exposition_names.c: names for readers who know the legacy character set only: [a-zA-Z_:][a-zA-Z0-9_:]*, labels
 * without the colon (which Prometheus' own libraries forget: their readers then refuse the label). */
#include "instrument/exposition.h"

#include <stdio.h>
#include <string.h>

static bool is_legacy(uint32_t code, bool is_first)
{
    return (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z') || code == '_' ||
           code == ':' || (code >= '0' && code <= '9' && !is_first);
}

bool belfry__name_is_plain(const char *name, size_t len, bool colons)
{
    for (size_t i = 0; i < len; i++) {
        if (!is_legacy((unsigned char)name[i], i == 0) || (name[i] == ':' && !colons))
            return false;
    }
    return len > 0;
}

/* `len` bytes at p, as belfry__utf8_len() found them. */
static uint32_t code_at(const char *p, size_t len)
{
    static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t code = (unsigned char)p[0] & masks[len];
    for (size_t i = 1; i < len; i++)
        code = code << 6 | ((unsigned char)p[i] & 0x3f);
    return code;
}

static void code_escape(struct text *t, uint32_t code, bool is_plain, belfry_escaping how)
{
    char value[16];
    if (how != BELFRY_ESCAPING_UNDERSCORES && code == '_') {
        belfry__text_append(t, "__", 2);
    } else if (how == BELFRY_ESCAPING_DOTS && code == '.') {
        belfry__text_append(t, "_dot_", 5);
    } else if (is_plain) {
        belfry__text_byte(t, (char)code);
    } else if (how == BELFRY_ESCAPING_VALUES) {
        snprintf(value, sizeof(value), "_%x_", (unsigned)code);
        belfry__text_string(t, value);
    } else {
        belfry__text_string(t, how == BELFRY_ESCAPING_DOTS ? "__" : "_");
    }
}

void belfry__name_escape(struct text *t, const char *name, bool colons, belfry_escaping how)
{
    size_t len = strlen(name);
    if (how == BELFRY_ESCAPING_DEFAULT)
        how = BELFRY_ESCAPING_UNDERSCORES;
    if (how == BELFRY_ESCAPING_ALLOW_UTF8 ||
        (how != BELFRY_ESCAPING_DOTS && belfry__name_is_plain(name, len, colons))) {
        belfry__text_append(t, name, len);
        return;
    }
    if (how == BELFRY_ESCAPING_VALUES)
        belfry__text_append(t, "U__", 3);
    for (size_t pos = 0; pos < len;) {
        size_t n = belfry__utf8_len(name + pos, len - pos);
        uint32_t code = n ? code_at(name + pos, n) : 0xfffd;
        code_escape(t, code, is_legacy(code, pos == 0) && (code != ':' || colons), how);
        pos += n ? n : 1;
    }
}
