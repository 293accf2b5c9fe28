/* SPDX-License-Identifier: Apache-2.0 */
/* image_answer.c: see image_answer.h. */
#include "image_answer.h"

#include "service/service_request.h"

#include <string.h>

enum { HEADER_BYTES_MAX = 16 * 1024 };

static void release(void *arg)
{
    cached_image_unref(arg);
}

/* One header whose value a function writes; none when it writes nothing. */
struct header_writer {
    struct http_response *rs;
    struct buffer value;
};

static void set_written(struct header_writer *w, const char *name)
{
    if (w->value.len && !w->value.failed)
        http_response_set_header(w->rs, name, buffer_view(&w->value));
    buffer_reset(&w->value);
}

/* What a 304 says too. */
static void set_validators(const struct imgforge_settings *s, const struct image_request *asked,
                           const struct cached_image *image, struct header_writer *w)
{
    if (s->in.use_etag) {
        buffer_printf(&w->value, "\"%.*s\"", VIEW_ARGS(image->etag));
        set_written(w, "ETag");
    }
    if (s->in.last_modified && image->modified_s > 0) {
        http_date_write(image->modified_s, &w->value);
        set_written(w, "Last-Modified");
    }
    cache_control_write(&s->delivery, image->cache_control, asked->options.expires,
                        clock_wall().ms / 1000, &w->value);
    set_written(w, "Cache-Control");
    if (asked->kind == CACHE_KEY_IMAGE) {
        vary_write(&s->negotiation, &w->value);
        if (w->value.len) {
            buffer_append_byte(&w->value, '\0');
            http_response_add_vary(w->rs, w->value.ptr); /* Origin may be there */
            buffer_reset(&w->value);
        }
    }
}

/* If-Modified-Since counts only where the client sends no etag. */
static bool has_it_already(const struct imgforge_settings *s, const struct cached_image *image,
                           struct http_request *rq)
{
    struct view match = http_request_header(rq, "If-None-Match");
    if (s->in.use_etag && match.len)
        return if_none_match(match, image->etag);
    return s->in.last_modified && match.len == 0 &&
           if_modified_since(http_request_header(rq, "If-Modified-Since"), image->modified_s);
}

static void set_fact(struct header_writer *w, const char *name, uint64_t value)
{
    buffer_printf(&w->value, "%llu", (unsigned long long)value);
    set_written(w, name);
}

static void set_facts(const struct image_facts *facts, struct header_writer *w)
{
    if (facts->source_bytes == 0)
        return; /* kept on disk: not known any more */
    set_fact(w, "X-Origin-Content-Length", facts->source_bytes);
    set_fact(w, "X-Origin-Width", (uint64_t)facts->source_width);
    set_fact(w, "X-Origin-Height", (uint64_t)facts->source_height);
    set_fact(w, "X-Result-Width", (uint64_t)facts->result_width);
    set_fact(w, "X-Result-Height", (uint64_t)facts->result_height);
}

static void set_picture_headers(const struct imgforge_settings *s,
                                const struct image_request *asked, const struct cached_image *image,
                                struct header_writer *w)
{
    const struct image_options *o = &asked->options;
    if (o->filename.len || o->return_attachment) {
        content_disposition_write(o->filename, o->return_attachment, &w->value);
        set_written(w, "Content-Disposition");
    }
    if (s->in.canonical) {
        canonical_link_write(asked->source, &w->value);
        set_written(w, "Link");
    }
    if (s->in.debug_headers)
        set_facts(&image->facts, w);
    if (view_has_prefix(image->content_type, VIEW("image/svg"))) /* somebody's, under our name */
        http_response_set_header(w->rs, "Content-Security-Policy",
                                 VIEW("default-src 'none'; style-src 'unsafe-inline'; sandbox"));
}

void image_answer(const struct imgforge_settings *s, const struct image_request *asked,
                  struct cached_image *image, bool is_hit, struct http_request *rq,
                  struct http_response *rs)
{
    struct header_writer w = {.rs = rs};
    buffer_init(&w.value, MEM_HTTP, HEADER_BYTES_MAX);
    set_validators(s, asked, image, &w);
    http_response_set_header(rs, "Cache-Status", is_hit ? VIEW("HIT") : VIEW("MISS"));
    if (has_it_already(s, image, rq)) {
        http_response_set_status(rs, 304);
        buffer_deinit(&w.value);
        return;
    }
    http_response_set_content_type(rs, arena_copy(http_request_arena(rq), image->content_type).ptr);
    if (asked->kind == CACHE_KEY_IMAGE)
        set_picture_headers(s, asked, image, &w);
    buffer_deinit(&w.value);
    http_response_set_shared(rs, image->bytes, release, cached_image_ref(image));
}

void image_answer_failure(const struct image_failure *f, struct http_request *rq,
                          struct http_response *rs)
{
    const char *code = service_error_code_default(f->status);
    if (f->is_violation)
        service_violation(rq, code, "%s%s%s", f->text, f->cause[0] ? ": " : "", f->cause);
    if (f->status == 429)
        http_response_set_header(rs, "Retry-After", VIEW("1"));
    service_fail(rs, f->status, code, f->text, "%s", f->cause);
}

const char *image_answer_error_body(const struct imgforge_settings *s,
                                    const struct service_error *error, struct buffer *out)
{
    bool is_kits = error->status == 404 && strcmp(error->user_message, "not found") == 0;
    buffer_append_view(out, view_from(is_kits ? "Not Found" : error->user_message));
    if (s->in.development_errors && error->developer_message[0])
        buffer_printf(out, ": %s", error->developer_message);
    return "text/plain; charset=utf-8";
}
