/* SPDX-License-Identifier: Apache-2.0 */
/* telegram_markup_fuzz.c: any text is cut to its limits, and what was cut is short enough. (runes u8, bytes u8, text) */
#include "alerting/telegram_markup.h"
#include "base/assert.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len < 2)
        return 0;
    struct arena arena;
    struct view html = {(const char *)bytes + 2, len - 2};
    size_t runes = bytes[0] + 1u, bytes_max = bytes[1] + 3u;
    arena_init(&arena, MEM_OTHER, 0);
    struct view cut = telegram_cut_html(&arena, html, runes, bytes_max);
    ASSERT(cut.len <= bytes_max);
    struct view again = telegram_cut_html(&arena, cut, runes, bytes_max);
    ASSERT(view_eq(cut, again));
    ASSERT(telegram_plain_text(&arena, html).len <= html.len);
    arena_deinit(&arena);
    return 0;
}
