/* SPDX-License-Identifier: Apache-2.0 */
/* rule_files.c: see rule_files.h. */
#include "cli/rule_files.h"

#include "api/time_param.h"

bool rule_files_load(struct rule_files *out, const char *const *paths, size_t count,
                     const struct flag_list *features, struct error *err)
{
    struct rule_file_options options = {0};
    flags_parser_features(features, &options.parser);
    for (size_t i = 0; i < count; i++) {
        if (out->count == RULE_FILES_NAMED_MAX)
            return error_set(err, ERROR_USAGE, "more than %d rule files", RULE_FILES_NAMED_MAX);
        struct rule_file *f;
        if (!rule_file_load(paths[i], &options, &f, err)) {
            if (f && f->error_count > 1)
                error_hint(err, "there are %zu more errors: belfry check rules %s",
                           f->error_count - 1, paths[i]);
            rule_file_unref(f);
            return false;
        }
        out->items[out->count++] = f;
    }
    return true;
}

void rule_files_unload(struct rule_files *f)
{
    for (size_t i = 0; i < f->count; i++)
        rule_file_unref(f->items[i]);
    f->count = 0;
}

bool rule_files_time(const char *flag, const char *text, int64_t *ms, struct error *err)
{
    if (!text || api_time_parse(view_from(text), ms, err))
        return true;
    err->kind = ERROR_USAGE;
    return error_wrap(err, "flag \"--%s\"", flag);
}
