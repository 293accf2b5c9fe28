/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions: pattern, text and replacement are lines of the input. What is decided without
 * RE2 must agree with RE2 on valid text. */
#include "base/assert.h"
#include "base/regex.h"
#include "base/regex_bridge.h"
#include "base/utf8.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct view next_line(struct view *rest)
{
    const char *end = rest->len ? memchr(rest->ptr, '\n', rest->len) : NULL;
    size_t len = end ? (size_t)(end - rest->ptr) : rest->len;
    struct view line = view_slice(*rest, 0, len);
    *rest = view_slice(*rest, end ? len + 1 : len, rest->len);
    return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view rest = {(const char *)data, size};
    struct view pattern = next_line(&rest), text = next_line(&rest), replacement = rest;
    struct regex *re;
    struct error err;
    if (size > 4096 || !regex_new(&re, pattern, &err))
        return 0;
    struct buffer out;
    buffer_init(&out, MEM_OTHER, 1 << 20);
    bool match = regex_match(re, text);
    ASSERT(!match || view_has_prefix(text, regex_prefix(re)));
    if (utf8_is_valid(text)) {
        char message[256];
        struct re2_program *oracle =
            re2_program_new(pattern, true, REGEX_MEMORY_BYTES_MAX, message, sizeof(message));
        if (oracle) /* NULL: "(?<n>", which only regex.c reads */
            ASSERT(re2_program_match(oracle, text) == match);
        re2_program_free(oracle);
        ASSERT(regex_expand(re, text, replacement, &out) == match);
    }
    buffer_deinit(&out);
    regex_free(re);
    return 0;
}
