/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of POST /api/v2/alerts and /api/v2/silences: what is taken is shown, and what is shown is taken again. */
#include "api/silence_json.h"
#include "base/assert.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view text = {(const char *)data, size};
    struct arena arena;
    struct alert_batch batch;
    struct silence silence;
    struct alert_refusal why;
    struct buffer out;
    arena_init(&arena, MEM_OTHER, 0);
    buffer_init(&out, MEM_OTHER, 64 << 20);
    if (alert_json_read(&arena, text, 0, &batch, &why)) {
        buffer_append_byte(&out, '[');
        for (size_t i = 0; i < batch.count; i++) {
            const struct alert_view v = {.alert = &batch.items[i], .status = ALERT_ACTIVE};
            if (i)
                buffer_append_byte(&out, ',');
            alert_json_write(&out, &v);
        }
        buffer_append_byte(&out, ']');
        size_t count = batch.count;
        /* Longer than what came, as quotes make it, it may be too large to come again. */
        if (out.len <= ALERT_JSON_ITEM_BYTES_MAX)
            ASSERT(alert_json_read(&arena, buffer_view(&out), 0, &batch, &why) &&
                   batch.count == count);
    }
    buffer_reset(&out);
    if (silence_json_read(&arena, text, &silence, &why)) {
        silence_json_write(&out, &silence);
        size_t count = silence.matcher_count;
        if (out.len <= SILENCE_BYTES_MAX)
            ASSERT(silence_json_read(&arena, buffer_view(&out), &silence, &why) &&
                   silence.matcher_count == count);
    }
    buffer_deinit(&out);
    arena_deinit(&arena);
    return 0;
}
