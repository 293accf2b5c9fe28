/* SPDX-License-Identifier: Apache-2.0 */
/* rules_unit_test_fuzz.c: any bytes are a file of unit tests or are refused with a sentence. Tests are not run: what
 * they run, PromQL and series, has targets of its own. */
#include "base/assert.h"
#include "rules/unit_test_file.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static bool parse_time(struct view text, int64_t *ms, struct error *err)
{
    *ms = (int64_t)text.len;
    return text.len % 2 == 0 || error_set(err, ERROR_INPUT, "odd");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct arena arena;
    struct error err = {0};
    struct unit_test_file f;
    struct view text = {(const char *)bytes, len};
    arena_init(&arena, MEM_OTHER, 0);
    if (unit_test_file_parse(&arena, text, len % 2, parse_time, &f, &err)) {
        ASSERT(f.evaluation_interval_ms > 0);
        for (size_t i = 0; i < f.test_count; i++)
            ASSERT(f.tests[i].interval_ms > 0);
    } else {
        ASSERT(err.message[0] != '\0');
    }
    arena_deinit(&arena);
    return 0;
}
