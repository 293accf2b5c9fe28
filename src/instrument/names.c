/* SPDX-License-Identifier: Apache-2.0 */
#include "instrument/names.h"

#include "instrument/status.h"
#include "instrument/text.h"

#include <string.h>

/* How many of the first `len` bytes are well-formed UTF-8. */
static size_t utf8_prefix(const char *text, size_t len)
{
    size_t pos = 0;
    while (pos < len) {
        size_t n = belfry__utf8_len(text + pos, len - pos);
        if (n == 0)
            break;
        pos += n;
    }
    return pos;
}

size_t belfry__utf8_characters(const char *text)
{
    size_t count = 0;
    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static belfry_status check_name(const char *what, const char *whose, const char *name)
{
    if (!name)
        return belfry__fail(BELFRY_ERROR_NULL, "%s%s: the name is NULL", what, whose);
    size_t len = strnlen(name, NAME_BYTES_MAX + 1);
    if (len == 0)
        return belfry__fail(BELFRY_ERROR_NAME, "%s%s: the name is empty", what, whose);
    if (len > NAME_BYTES_MAX)
        return belfry__fail(BELFRY_ERROR_NAME, "%s%s: name \"%.40s...\" is longer than %d bytes",
                            what, whose, name, NAME_BYTES_MAX);
    size_t good = utf8_prefix(name, len);
    if (good < len)
        return belfry__fail(BELFRY_ERROR_NAME, "%s%s: name \"%.*s\" is not UTF-8 after that", what,
                            whose, (int)good, name);
    return BELFRY_OK;
}

belfry_status belfry__check_metric_name(const char *name)
{
    return check_name("metric", "", name);
}

belfry_status belfry__check_label_name(const char *whose, const char *name)
{
    belfry_status status = check_name("label of ", whose, name);
    if (status == BELFRY_OK && strncmp(name, "__", 2) == 0)
        return belfry__fail(BELFRY_ERROR_NAME,
                            "label of %s: name \"%s\" begins with \"__\", which is reserved", whose,
                            name);
    return status;
}

belfry_status belfry__check_label_value(const char *whose, const char *label, const char *value,
                                        size_t bytes_max)
{
    if (!value)
        return belfry__fail(BELFRY_ERROR_LABELS, "%s: label \"%s\" has no value", whose, label);
    size_t len = strnlen(value, bytes_max + 1);
    if (len > bytes_max)
        return belfry__fail(BELFRY_ERROR_LABELS,
                            "%s: the value of label \"%s\" is longer than %zu bytes", whose, label,
                            bytes_max);
    size_t good = utf8_prefix(value, len);
    if (good < len)
        return belfry__fail(BELFRY_ERROR_LABELS,
                            "%s: the value of label \"%s\" is not UTF-8 at byte %zu", whose, label,
                            good);
    return BELFRY_OK;
}

static bool is_name(const char *name)
{
    if (!name)
        return false;
    size_t len = strnlen(name, NAME_BYTES_MAX + 1);
    return len > 0 && len <= NAME_BYTES_MAX && utf8_prefix(name, len) == len;
}

bool belfry__is_metric_name(const char *name)
{
    return is_name(name);
}

bool belfry__is_label_name(const char *name)
{
    return is_name(name) && strncmp(name, "__", 2) != 0;
}
