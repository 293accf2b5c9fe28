/* SPDX-License-Identifier: Apache-2.0 */
#include "server/confine.h"

#include "base/arena.h"
#include "base/file.h"

enum { FOLDERS_MAX = 256 };

struct folders {
    const char *items[FOLDERS_MAX];
    size_t count;
};

/* The folder of a file that is written beside the data. */
static void add_folder_of(struct folders *f, struct arena *arena, struct view file)
{
    size_t end = file.len;
    while (end > 0 && file.ptr[end - 1] != '/')
        end--;
    if (file.len == 0 || f->count == FOLDERS_MAX)
        return;
    f->items[f->count++] =
        end ? arena_copy(arena, view_slice(file, 0, end)).ptr : arena_copy(arena, VIEW(".")).ptr;
}

void confine_files(struct sandbox *sandbox, const char *data_dir, const char *alerts_dir,
                   const char *config_path, enum config_unknown unknown)
{
    struct folders folders = {{data_dir}, 1};
    struct config *config = NULL;
    struct arena arena;
    struct error err = {0};
    arena_init(&arena, MEM_OTHER, 0);
    if (alerts_dir)
        folders.items[folders.count++] = alerts_dir;
    bool ok = config_path == NULL || config_load_file(config_path, unknown, &config, &err);
    if (ok && config) {
        add_folder_of(&folders, &arena, config->global.query_log_file);
        for (size_t i = 0; i < config->scrape_configs.count; i++)
            add_folder_of(&folders, &arena,
                          config->scrape_configs.items[i].scrape_failure_log_file);
        config_unref(config);
    }
    if (ok && dir_create(data_dir, &err) && (!alerts_dir || dir_create(alerts_dir, &err)))
        sandbox_files(sandbox, folders.items, folders.count);
    else
        (void)snprintf(sandbox->files_text, sizeof sandbox->files_text, "%.*s",
                       SANDBOX_TEXT_BYTES - 1, err.message);
    arena_deinit(&arena);
}

void confine_calls(struct sandbox *sandbox, belfry_log *log)
{
    sandbox_calls(sandbox);
    belfry_log_info(log, "sandbox", BELFRY_STR("files", sandbox->files ? "confined" : "open"),
                    BELFRY_STR("files_by", sandbox->files_text),
                    BELFRY_STR("calls", sandbox->calls ? "confined" : "open"),
                    BELFRY_STR("calls_by", sandbox->calls_text));
}
