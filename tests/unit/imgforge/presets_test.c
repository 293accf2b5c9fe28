/* SPDX-License-Identifier: Apache-2.0 */
#include "presets.h"

#include "base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct arena arena;

/* presets | options of the URL | what becomes of them, or the error */
static const struct {
    const char *presets;
    bool only_presets;
    const char *options, *expected;
} CASES[] = {
    {"thumb=rs:fit:150:150/q:80", false, "pr:thumb", "rs q"},
    {"thumb=rs:fit:150:150/q:80", false, "bl:1/preset:thumb/w:1", "bl rs q w"},
    {"default=q:90,thumb=rs:fit:150:150", false, "pr:thumb", "q rs"},
    {"default=q:90/dpr:2", false, "bl:5", "q dpr bl"},
    {"default=q:90", false, "", "q"},
    {" a = q:1 , b=w:2,", false, "pr:a:b", "q w"},
    {"", false, "w:1", "w"},
    {"a=", false, "pr:a", ""},
    {"a=q:1", false, "pr:b", "unknown preset: b"},
    {"a=q:1", false, "pr:", "preset option requires a preset name"},
    {"a=q:1", false, "pr", "preset option requires a preset name"},
    {"a=q:1", true, "pr:a", "q"},
    {"default=q:1", true, "", "q"},
    {"a=q:1", true, "pr:a/w:1",
     "only preset references are allowed in only_presets mode, found: w"},
    {"nothing", false, "", "name=option:argument/option:argument, several between commas"},
    {"=q:1", false, "", "name=option:argument/option:argument, several between commas"},
    {"a=q:1,a=q:2", false, "", "each preset once: \"a\" is there twice"},
    {"a=pr:a", false, "", "no preset within a preset, as in \"a\""},
};

static void presets_take_their_places(void **state)
{
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct presets presets;
        struct image_option *options, *expanded;
        size_t count, expanded_count;
        struct error err = {0};
        struct buffer got;
        buffer_init(&got, MEM_OTHER, 1 << 16);
        if (presets_read(&arena, view_from(CASES[i].presets), &presets, &err) &&
            image_options_split(&arena, view_from(CASES[i].options), &options, &count, &err) &&
            presets_expand(&arena, &presets, CASES[i].only_presets, options, count, &expanded,
                           &expanded_count, &err)) {
            for (size_t k = 0; k < expanded_count; k++)
                buffer_printf(&got, "%s%.*s", k ? " " : "", VIEW_ARGS(expanded[k].name));
        } else {
            buffer_printf(&got, "%s", err.message);
        }
        buffer_append_byte(&got, '\0');
        if (strcmp(got.ptr, CASES[i].expected) != 0)
            fail_msg("%s with %s: got %s, expected %s", CASES[i].presets, CASES[i].options, got.ptr,
                     CASES[i].expected);
        buffer_deinit(&got);
    }
}

static int setup(void **state)
{
    arena_init(&arena, MEM_OTHER, 0);
    return 0;
}

static int teardown(void **state)
{
    arena_deinit(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(presets_take_their_places)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
