/* SPDX-License-Identifier: Apache-2.0 */
/* exposition_fuzz.c: any bytes as a scrape's body, in each format. Beside not crashing: the cached path agrees with the
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

static void check_exemplar(const struct exposition_parser *p,
                           const struct exposition_parser *cached)
{
    ASSERT(p->has_exemplar == cached->has_exemplar);
    if (!p->has_exemplar)
        return;
    ASSERT(view_eq(p->exemplar, cached->exemplar));
    ASSERT(sample_bits(p->exemplar_value) == sample_bits(cached->exemplar_value));
    ASSERT(p->exemplar_has_timestamp == cached->exemplar_has_timestamp);
    ASSERT(!p->exemplar_has_timestamp || p->exemplar_timestamp_ms == cached->exemplar_timestamp_ms);
}

static void check_body(const uint8_t *data, size_t size, enum exposition_format format)
{
    struct exposition_parser p, cached;
    struct error err;
    struct arena arena;
    arena_init(&arena, MEM_OTHER, 0);
    exposition_parser_init(&p, (struct view){(const char *)data, size}, format);
    for (;;) {
        cached = p;
        enum exposition_event event = exposition_next(&p, &err);
        if (event == EXPOSITION_ERROR)
            ASSERT(err.message[0] && err.line > 0 && err.column > 0);
        if (event == EXPOSITION_END || event == EXPOSITION_ERROR)
            break;
        if (event == EXPOSITION_HELP)
            (void)exposition_unescape_help(p.text, p.format, &arena); /* for the sanitizers */
        if (event != EXPOSITION_SAMPLE)
            continue;
        uint32_t key_len = (uint32_t)p.key.len;
        cached.pos = (size_t)(p.key.ptr - (const char *)data);
        if (exposition_next_cached(&cached, key_len, hash64_secret(p.key.ptr, key_len))) {
            ASSERT(sample_bits(cached.value) == sample_bits(p.value));
            ASSERT(cached.pos == p.pos && !p.has_timestamp);
            check_exemplar(&p, &cached);
        }
        check_key(p.key, &arena);
        struct labels ls;
        if (p.has_exemplar && exposition_parse_exemplar(p.exemplar, &arena, &ls, &err)) {
            for (uint32_t i = 1; i < ls.count; i++)
                ASSERT(view_cmp(ls.items[i - 1].name, ls.items[i].name) < 0);
        }
        arena_reset(&arena);
    }
    arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_body(data, size, EXPOSITION_TEXT);
    check_body(data, size, EXPOSITION_OPENMETRICS);
    return 0;
}
