/* SPDX-License-Identifier: Apache-2.0 */
/* config_http.c: the settings of an HTTP client in a file of their own, as command-line tools take them. */
#include "ingest/config_private.h"

#include "base/file.h"

#include <string.h>

enum { HTTP_FILE_BYTES_MAX = 1 << 20 };

void config_http_client_defaults(struct config_http_client *out)
{
    memset(out, 0, sizeof *out);
    CONFIG_HTTP_SECTION.defaults(out);
}

bool config_http_client_load(struct arena *arena, const char *path, struct config_http_client *out,
                             struct error *err)
{
    struct config_owner *owner = ARENA_NEW(arena, struct config_owner); /* only for warnings */
    const struct yaml_node *root = NULL;
    const char *slash = strrchr(path, '/');
    size_t dir_bytes = slash ? (size_t)(slash - path) + (slash == path) : 0;
    struct loader l = {.owner = owner,
                       .arena = arena,
                       .err = err,
                       .file = path,
                       .dir = arena_copy(arena, (struct view){path, dir_bytes}).ptr,
                       .unknown = CONFIG_UNKNOWN_IS_ERROR};
    struct buffer text;
    buffer_init(&text, MEM_CONFIG, HTTP_FILE_BYTES_MAX);
    bool ok = file_read_all(path, &text, err);
    if (ok) {
        config_http_client_defaults(out);
        ok = (yaml_parse(arena, buffer_view(&text), &root, err) &&
              config_read_section(&l, &CONFIG_HTTP_SECTION, root, out)) ||
             config_error_place(&l);
    }
    buffer_deinit(&text);
    return ok;
}
