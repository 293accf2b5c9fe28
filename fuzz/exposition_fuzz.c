/* SPDX-License-Identifier: Apache-2.0 */
/* exposition_fuzz.c: any bytes as a scrape's body. Beside not crashing: the cached path agrees with the
 * plain one, and a key that parses gives a sorted set that survives being written and read. */
#include "base/assert.h"
#include "base/checksum.h"
#include "model/exposition.h"
#include "model/sample.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_key(struct view key, struct arena *arena)
{
    struct labels ls, again;
    struct error err;
    struct buffer text;
    if (!exposition_parse_key(key, arena, &ls, &err))
        return;
    for (uint32_t i = 1; i < ls.count; i++)
        ASSERT(view_cmp(ls.items[i - 1].name, ls.items[i].name) < 0);
    for (uint32_t i = 0; i < ls.count; i++)
        ASSERT(ls.items[i].value.len > 0);
    if (ls.count > LABELS_PARSE_MAX / 2)
        return;
    buffer_init(&text, MEM_OTHER, (size_t)16 << 20);
    labels_format(&text, ls);
    ASSERT(labels_parse(arena, buffer_view(&text), &again, &err));
    ASSERT(labels_equal(ls, again));
    buffer_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct exposition_parser p, cached;
    struct error err;
    struct arena arena;
    arena_init(&arena, MEM_OTHER, 0);
    exposition_parser_init(&p, (struct view){(const char *)data, size});
    for (;;) {
        cached = p;
        enum exposition_event event = exposition_next(&p, &err);
        if (event == EXPOSITION_ERROR)
            ASSERT(err.message[0] && err.line > 0 && err.column > 0);
        if (event == EXPOSITION_END || event == EXPOSITION_ERROR)
            break;
        if (event == EXPOSITION_HELP)
            (void)exposition_unescape_help(p.text, &arena); /* for the sanitizers */
        if (event != EXPOSITION_SAMPLE)
            continue;
        uint32_t key_len = (uint32_t)p.key.len;
        cached.pos = (size_t)(p.key.ptr - (const char *)data);
        if (exposition_next_cached(&cached, key_len, hash64_secret(p.key.ptr, key_len))) {
            ASSERT(sample_bits(cached.value) == sample_bits(p.value));
            ASSERT(cached.pos == p.pos && !p.has_timestamp);
        }
        check_key(p.key, &arena);
        arena_reset(&arena);
    }
    arena_deinit(&arena);
    return 0;
}
