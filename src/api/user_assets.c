/* SPDX-License-Identifier: Apache-2.0 */
/* user_assets.c: the operator's own files below /user/ (--web.user-assets), runbooks above all. Folders are not listed, and
 * what begins with a dot is not there: neither the folder above nor an editor's or git's files. Links are followed, since
 * Kubernetes mounts a ConfigMap as links; who may make them there is the operator. */
#include "api/api_private.h"

#include "base/arena.h"
#include "base/assert.h"
#include "net/form.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Texts are shown by browsers, not saved; nothing is guessed from content (nosniff). */
static const char *type_of(struct view name)
{
    static const struct {
        const char *suffix, *type;
    } TYPES[] = {{".md", "text/plain; charset=utf-8"},
                 {".txt", "text/plain; charset=utf-8"},
                 {".yml", "text/plain; charset=utf-8"},
                 {".yaml", "text/plain; charset=utf-8"},
                 {".html", "text/html; charset=utf-8"},
                 {".css", "text/css; charset=utf-8"},
                 {".js", "text/javascript; charset=utf-8"},
                 {".json", "application/json"},
                 {".svg", "image/svg+xml"},
                 {".png", "image/png"},
                 {".jpg", "image/jpeg"},
                 {".webp", "image/webp"},
                 {".pdf", "application/pdf"}};
    for (size_t i = 0; i < ARRAY_COUNT(TYPES); i++)
        if (view_has_suffix(name, view_from(TYPES[i].suffix)))
            return TYPES[i].type;
    return "application/octet-stream";
}

/* Every part of it a name that does not begin with a dot. */
static bool is_below(struct view path)
{
    for (size_t i = 0; i < path.len; i++)
        if ((i == 0 || path.ptr[i - 1] == '/') && (path.ptr[i] == '.' || path.ptr[i] == '/'))
            return false;
    return path.len > 0 && memchr(path.ptr, '\0', path.len) == NULL;
}

/* -1 when there is no such regular file. Not blocking: a pipe would never open. */
static int open_regular(const char *path, uint64_t *bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        (void)close(fd); /* was only read */
        return -1;
    }
    *bytes = (uint64_t)st.st_size;
    return fd;
}

void api_serve_user_asset(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct arena *arena = http_request_arena(rq);
    struct view name;
    struct error err;
    uint64_t bytes = 0;
    int fd = -1;
    if (form_decode(arena, http_request_capture(rq, "path"), false, &name, &err) && is_below(name))
        fd = open_regular(
            arena_printf(arena, "%s/%.*s", api->options.user_assets, VIEW_ARGS(name)).ptr, &bytes);
    if (fd < 0) {
        http_response_error(rs, 404, "404 page not found");
        return;
    }
    http_response_set_header(rs, "Cache-Control", VIEW("no-cache"));
    http_response_set_content_type(rs, type_of(name));
    http_response_file(rs, fd, bytes);
}
