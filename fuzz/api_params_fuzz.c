/* SPDX-License-Identifier: Apache-2.0 */
/* api_params_fuzz.c: times, durations, limits and escaped label names of the API from any bytes. What is accepted is
 * in range; a time that was written is read back. */
#include "api/api_private.h"
#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_time(struct view text)
{
    struct error err;
    int64_t ms, again;
    if (!api_time_parse(text, &ms, &err)) {
        ASSERT(err.kind == ERROR_INPUT);
        return;
    }
    ASSERT(ms >= API_TIME_MIN_MS && ms <= API_TIME_MAX_MS);
    if (ms < 0 || ms > INT64_C(253402300799999)) /* the year 9999 is the last with four digits */
        return;
    struct buffer b;
    buffer_init(&b, MEM_OTHER, 64);
    api_time_format(&b, ms);
    ASSERT(b.len > 2 && !b.failed);
    ASSERT(api_time_parse(view_slice(buffer_view(&b), 1, b.len - 1), &again, &err) && again == ms);
    buffer_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view text = {(const char *)data, size};
    struct error err;
    struct arena arena;
    int64_t ms;
    size_t limit;
    arena_init(&arena, MEM_OTHER, 0);
    check_time(text);
    if (api_duration_parse(text, &ms, &err))
        ASSERT(ms >= -INT64_C(9223372036855) &&
               ms <= INT64_C(9223372036855)); /* Go's int64 of ns */
    if (!api_limit_parse(text, &limit, &err))
        ASSERT(err.message[0] != '\0');
    struct view name = api_label_unescape(&arena, text);
    ASSERT(name.len <= size);
    arena_deinit(&arena);
    return 0;
}
