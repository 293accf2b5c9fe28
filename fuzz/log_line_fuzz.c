/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as event, keys and values: the line is one valid JSON object without control characters, and a secret in a URL
 * that stands anywhere among them is not in it. The input is cut into texts at each zero byte. */
#include "base/assert.h"
#include "instrument/log_line.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FIELDS_MAX = 8 };

static const char URL[] = "https://u:SECRETSECRET@host/a?SECRETSECRET";

static void check(const struct line *l)
{
    json_error_t error;
    json_t *object = json_loadb(l->text, l->len, JSON_ALLOW_NUL, &error);
    ASSERT(json_is_object(object));
    json_decref(object);
    ASSERT(l->len <= sizeof l->text && l->text[l->len - 1] == '\n');
    for (size_t i = 0; i + 1 < l->len; i++)
        ASSERT((unsigned char)l->text[i] >= 0x20 && l->text[i] != 0x7f);
    ASSERT(!memmem(l->text, l->len, "SECRETSECRET", 12));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct line l;
    struct line_options json = {.format = BELFRY_LOG_JSON, .with_request_id = true};
    struct line_options logfmt = {.format = BELFRY_LOG_LOGFMT};
    if (memmem(data, size, "SECRET", 6))
        return 0; /* it is not in a URL there */
    size_t middle = size / 2, text_len = size + sizeof URL;
    char *text = malloc(text_len + 1);
    ASSERT(text != NULL);
    memcpy(text, data, middle);
    memcpy(text + middle, URL, sizeof URL - 1);
    memcpy(text + middle + sizeof URL - 1, data + middle, size - middle);
    text[text_len - 1] = text[text_len] = '\0';

    belfry_field fields[FIELDS_MAX + 1];
    size_t count = 0, pos = 0;
    const char *event = text;
    /* Keys are the program's own words: they must do no harm, but are not masked. */
    fields[count++] = belfry_field_bytes("whole", text, text_len - 1);
    for (pos = strlen(text) + 1; pos < text_len && count < FIELDS_MAX;
         pos += strlen(text + pos) + 1) {
        const char *key = strstr(text + pos, "SECRET") ? "url" : text + pos;
        fields[count++] = belfry_field_string(key, text + pos);
    }
    belfry__log_line_make(&l, &json, BELFRY_LOG_INFO, event, fields, count);
    check(&l);
    belfry__log_line_make(&l, &logfmt, BELFRY_LOG_INFO, event, fields, count);
    ASSERT(l.text[l.len - 1] == '\n' && !memmem(l.text, l.len, "SECRETSECRET", 12));
    free(text);
    return 0;
}
