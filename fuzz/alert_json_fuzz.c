/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of POST /api/v2/alerts and /api/v2/silences: what is taken is shown, and what is shown is read. */
#include "api/silence_json.h"

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
        (void)!alert_json_read(&arena, buffer_view(&out), 0, &batch, &why); /* may be too large */
    }
    buffer_reset(&out);
    if (silence_json_read(&arena, text, &silence, &why)) {
        silence_json_write(&out, &silence);
        (void)!silence_json_read(&arena, buffer_view(&out), &silence, &why); /* likewise */
    }
    buffer_deinit(&out);
    arena_deinit(&arena);
    return 0;
}
