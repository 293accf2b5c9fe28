/* SPDX-License-Identifier: Apache-2.0 */
/* rule_paths.c: see rule_paths.h. */
#include "rules/rule_paths.h"

#include "base/map.h"

#include <glob.h>

/* Adds what one pattern matches. */
static bool add_matches(const char *pattern, struct string_map *seen, struct arena *arena,
                        struct rule_paths *out, struct error *err)
{
    glob_t found = {0};
    bool ok = true;
    uint64_t before;
    size_t count = glob(pattern, 0, NULL, &found) == 0 ? found.gl_pathc : 0;
    for (size_t i = 0; i < count && ok; i++) {
        struct view path = view_from(found.gl_pathv[i]);
        if (string_map_get(seen, path, &before))
            continue;
        string_map_set(seen, path, 1);
        ok = out->count < RULE_FILES_MAX ||
             error_set(err, ERROR_LIMIT, "rule_files name more than %d files", RULE_FILES_MAX);
        out->items =
            arena_grow(arena, out->items, &out->capacity, out->count + 1, sizeof *out->items);
        out->items[out->count++] = arena_copy(arena, path).ptr;
    }
    globfree(&found);
    return ok;
}

bool rule_paths_find(const struct config *config, struct arena *arena, struct rule_paths *out,
                     struct error *err)
{
    struct string_map *seen = string_map_new(MEM_CONFIG);
    bool ok = true;
    *out = (struct rule_paths){0};
    for (size_t i = 0; i < config->rule_files.count && ok; i++)
        ok = add_matches(config->rule_files.items[i].ptr, seen, arena, out, err);
    string_map_free(seen);
    return ok;
}
