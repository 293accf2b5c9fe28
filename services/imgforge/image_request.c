/* SPDX-License-Identifier: Apache-2.0 */
/* image_request.c: see image_request.h. */
#include "image_request.h"

#include "base/checksum.h"

#include <string.h>

static bool fail_by(struct image_failure *f, int status, const struct error *err)
{
    return image_fail(f, status, "%s", err->message);
}

/* The format that the URL ends with comes after all options; it is none that only_presets forbids. */
static void add_extension(struct arena *arena, const struct image_url *url,
                          struct image_option **options, size_t *count)
{
    if (url->extension.len == 0)
        return;
    struct image_option *all = ARENA_ARRAY(arena, struct image_option, *count + 1);
    if (*count)
        memcpy(all, *options, *count * sizeof(all[0]));
    all[*count] = (struct image_option){
        .name = VIEW("format"), .arguments = url->extension, .has_arguments = true};
    *options = all;
    (*count)++;
}

static bool read_options(struct arena *arena, const struct imgforge_settings *s,
                         const struct image_url *url, struct image_options *out,
                         struct image_failure *f)
{
    struct image_option *options;
    size_t count;
    struct error err = {0};
    if (!presets_expand(arena, &s->presets, s->in.only_presets, url->options, url->option_count,
                        &options, &count, &err))
        return fail_by(f, 400, &err);
    add_extension(arena, url, &options, &count);
    *out = s->options;
    if (!image_options_read(arena, options, count, out, &err))
        return fail_by(f, 400, &err);
    if (!s->in.allow_security_options)
        out->limits = s->options.limits;
    return true;
}

/* Who asks for the source as it is gets it so, whatever he could show. */
static void negotiate(const struct imgforge_settings *s, const struct image_headers *headers,
                      struct image_options *o)
{
    struct negotiation n = s->negotiation;
    n.can_encode_webp = pipeline_formats() & 1u << IMAGE_FORMAT_WEBP;
    n.can_encode_avif = pipeline_formats() & 1u << IMAGE_FORMAT_AVIF;
    if (o->raw)
        return;
    enum image_format format =
        negotiate_format(&n, headers->accept, o->format != IMAGE_FORMAT_NONE);
    if (format != IMAGE_FORMAT_NONE)
        o->format = format;
    if (n.client_hints)
        (void)client_hints_apply(headers->dpr, headers->width, o);
}

/* What cannot be written is not fetched first. */
static bool check_format(const struct image_options *o, struct image_failure *f)
{
    if (o->raw || o->format == IMAGE_FORMAT_NONE || o->skip_processing & 1u << o->format ||
        pipeline_formats() & 1u << o->format)
        return true;
    return image_fail(f, 400, "Unsupported output format: %s", image_format_name(o->format));
}

static uint64_t origin_of(struct view url)
{
    const char *host = url.len ? memmem(url.ptr, url.len, "://", 3) : NULL;
    size_t from = host ? (size_t)(host - url.ptr) + 3 : 0, end = from;
    while (end < url.len && !strchr("/?#", url.ptr[end]))
        end++;
    return hash64_secret(url.ptr, end);
}

/* False: *f is 400 or 403. What was signed percent-decoded is read that way: a signature covers where options begin and end. */
static bool read_url(struct arena *arena, const struct imgforge_settings *s, struct view path,
                     struct image_url *out, struct image_failure *f)
{
    struct error err = {0};
    struct view as_signed;
    if (!image_url_parse(arena, path, out, &err))
        return fail_by(f, 400, &err);
    struct view signature = out->signature;
    if (!signature_verify(arena, &s->keys, signature, out->signed_path, &as_signed, &err)) {
        fail_by(f, 403, &err);
        f->is_violation = true;
        return false;
    }
    if (as_signed.ptr == out->signed_path.ptr)
        return true;
    char *whole = arena_alloc(arena, signature.len + as_signed.len);
    memcpy(whole, signature.ptr, signature.len);
    memcpy(whole + signature.len, as_signed.ptr, as_signed.len);
    return image_url_parse(arena, (struct view){whole, signature.len + as_signed.len}, out, &err) ||
           fail_by(f, 400, &err);
}

bool image_request_read(struct arena *arena, const struct imgforge_settings *s,
                        const struct cache_key_base *base, enum cache_key_kind kind,
                        struct view path, const struct image_headers *headers, int64_t now_s,
                        struct image_request *out, struct image_failure *f)
{
    struct image_url url;
    struct error err = {0};
    out->kind = kind;
    if (!read_url(arena, s, path, &url, f) || !read_options(arena, s, &url, &out->options, f))
        return false;
    if (out->options.has_expires && now_s > (int64_t)out->options.expires)
        return image_fail(f, 404, "URL has expired");
    if (!image_url_source(arena, &url, &out->source, &err))
        return fail_by(f, 400, &err);
    out->source = arena_copy(arena, out->source);
    if (kind == CACHE_KEY_IMAGE) {
        negotiate(s, headers, &out->options);
        if (!check_format(&out->options, f))
            return false;
    } else {
        out->options.page = 0; /* it is told of the first; the key has no page either */
    }
    out->origin = origin_of(out->source);
    cache_key_make(arena, s, base, kind, out->source, &out->options, &out->key);
    return true;
}
