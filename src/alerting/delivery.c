/* SPDX-License-Identifier: Apache-2.0 */
/* delivery.c: what a delivery begins with, and what drivers need to compose requests and judge answers. */
#include "alerting/delivery.h"

#include "alerting/integrations.h"
#include "base/file.h"
#include "base/utf8.h"

#include <gnutls/crypto.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SECRET_FILE_BYTES_MAX = 1 << 20, JUDGE_BODY_BYTES = 200 };

/* --- the notification --- */

static struct notification_kv kv_of(struct arena *arena, struct labels labels)
{
    struct notification_kv kv = {ARENA_ARRAY(arena, struct view, labels.count),
                                 ARENA_ARRAY(arena, struct view, labels.count), labels.count};
    for (size_t i = 0; i < labels.count; i++) {
        kv.names[i] = labels.items[i].name;
        kv.values[i] = labels.items[i].value;
    }
    return kv;
}

/* What all alerts have in common of their labels, or of their annotations. */
static struct notification_kv common_of(struct arena *arena, struct live_alert *const *alerts,
                                        size_t count, bool annotations)
{
    struct notification_kv kv = {0};
    if (count == 0)
        return kv;
    kv = kv_of(arena, annotations ? alerts[0]->annotations : alerts[0]->labels);
    for (size_t a = 1; a < count && kv.count; a++) {
        struct labels other = annotations ? alerts[a]->annotations : alerts[a]->labels;
        size_t kept = 0;
        for (size_t i = 0; i < kv.count; i++) {
            if (!view_eq(labels_get(other, kv.names[i]), kv.values[i]))
                continue;
            kv.names[kept] = kv.names[i];
            kv.values[kept++] = kv.values[i];
        }
        kv.count = kept;
    }
    return kv;
}

static struct template_time time_of(int64_t ns)
{
    struct template_time t = {.seconds = TEMPLATE_TIME_ZERO_SECONDS, .zone = VIEW("UTC")};
    if (ns == LIVE_ALERT_NEVER)
        return t;
    t.seconds = ns / 1000000000;
    t.nanoseconds = (int32_t)(ns % 1000000000);
    if (t.nanoseconds < 0) {
        t.nanoseconds += 1000000000;
        t.seconds--;
    }
    return t;
}

/* As Go's regexp.QuoteMeta: receivers' names are shown so since there are webhooks. */
static struct view quote_meta(struct arena *arena, struct view text)
{
    char *to = arena_alloc(arena, 2 * text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] && strchr("\\.+*?()|[]{}^$", text.ptr[i]))
            to[len++] = '\\';
        to[len++] = text.ptr[i];
    }
    to[len] = '\0';
    return (struct view){to, len};
}

/* All but what does not depend on the alerts. */
static void fill_alerts(struct delivery *d, struct notification *n)
{
    struct arena *arena = d->arena;
    struct notification_alert *items =
        ARENA_ARRAY(arena, struct notification_alert, d->alert_count);
    d->firing_count = 0;
    for (size_t i = 0; i < d->alert_count; i++) {
        const struct live_alert *a = d->alerts[i];
        bool resolved = live_alert_is_resolved(a, d->now_ns);
        d->firing_count += !resolved;
        items[i] = (struct notification_alert){
            .status = resolved ? VIEW("resolved") : VIEW("firing"),
            .labels = kv_of(arena, a->labels),
            .annotations = kv_of(arena, a->annotations),
            .starts_at = time_of(a->starts_ns),
            .ends_at = time_of(resolved ? a->ends_ns : LIVE_ALERT_NEVER),
            .generator_url = a->generator_url,
            .fingerprint = arena_printf(arena, "%016" PRIx64, a->fingerprint),
        };
    }
    n->alerts = items;
    n->alert_count = d->alert_count;
    n->status = d->firing_count ? VIEW("firing") : VIEW("resolved");
    n->common_labels = common_of(arena, d->alerts, d->alert_count, false);
    n->common_annotations = common_of(arena, d->alerts, d->alert_count, true);
}

void delivery_init(struct delivery *d, struct arena *arena, const struct integration *integration,
                   const struct delivery_source *source)
{
    struct notification *n = ARENA_NEW(arena, struct notification);
    *d = (struct delivery){
        .arena = arena,
        .integration = integration,
        .data = n,
        .alerts = source->alerts,
        .alert_count = source->alert_count,
        .group_key = source->group_key,
        .now_ns = source->now_ns,
        .recalled = source->recalled,
    };
    n->receiver = quote_meta(arena, integration->receiver->name);
    n->reason = source->reason;
    n->group_labels = kv_of(arena, source->group_labels);
    n->external_url = integrations_external_url(integration->set);
    fill_alerts(d, n);
    /* The route's labels are templates that see the notification without them. */
    struct notification_kv routes = kv_of(arena, source->route_labels);
    for (size_t i = 0; i < routes.count; i++)
        routes.values[i] = delivery_text(d, routes.values[i]);
    n->route_labels = routes;
    d->value = NULL;
}

size_t delivery_limit_alerts(struct delivery *d, uint64_t alerts_max)
{
    if (alerts_max == 0 || d->alert_count <= alerts_max)
        return 0;
    struct notification *n = ARENA_NEW(d->arena, struct notification);
    size_t gone = d->alert_count - (size_t)alerts_max;
    *n = *d->data;
    d->alert_count = (size_t)alerts_max;
    d->data = n;
    d->value = NULL;
    fill_alerts(d, n);
    return gone;
}

/* --- texts --- */

bool delivery_secret(struct delivery *d, const struct secret *inline_secret, struct view file,
                     struct secret *out, struct error *err)
{
    struct buffer text;
    if (file.len == 0) {
        *out = *inline_secret;
        redaction_add_setting(d->secrets, secret_reveal(out));
        return true;
    }
    buffer_init(&text, MEM_OTHER, SECRET_FILE_BYTES_MAX);
    bool ok = file_read_all(arena_copy(d->arena, file).ptr, &text, err);
    struct view v = buffer_view(&text);
    while (ok && v.len && strchr(" \t\r\n", v.ptr[v.len - 1]))
        v.len--;
    while (ok && v.len && strchr(" \t\r\n", v.ptr[0]))
        v = view_slice(v, 1, v.len);
    if (ok)
        *out = secret_from(arena_copy(d->arena, v));
    if (ok)
        redaction_add_setting(d->secrets, v);
    else if (err)
        err->kind = ERROR_IO; /* the file may be there next time */
    if (text.ptr)
        explicit_bzero(text.ptr, text.len);
    buffer_deinit(&text);
    return ok;
}

bool delivery_secret_text(struct delivery *d, const struct secret *inline_secret, struct view file,
                          struct view *out, struct error *err)
{
    struct secret template;
    if (!delivery_secret(d, inline_secret, file, &template, err) ||
        !delivery_text_strict(d, secret_reveal(&template), out, err))
        return false;
    redaction_add(d->secrets, *out);
    return true;
}

#define ELLIPSIS "\xe2\x80\xa6" /* U+2026 */

struct view delivery_cut_runes(struct delivery *d, struct view text, size_t runes, bool *is_cut)
{
    /* Where the text is cut, and where with an ellipsis in place of the last. */
    size_t kept = runes > 3 ? runes - 1 : runes, end = 0, pos = 0, count = 0;
    while (pos < text.len && count < runes) {
        utf8_next(text, &pos);
        if (++count == kept)
            end = pos;
    }
    bool cut = pos < text.len;
    if (is_cut)
        *is_cut = cut;
    if (!cut)
        return text;
    return runes > 3 ? arena_printf(d->arena, "%.*s" ELLIPSIS, VIEW_ARGS(view_slice(text, 0, end)))
                     : view_slice(text, 0, end);
}

struct view delivery_cut_bytes(struct delivery *d, struct view text, size_t bytes, bool *is_cut)
{
    const size_t mark = sizeof(ELLIPSIS) - 1;
    if (is_cut)
        *is_cut = text.len > bytes;
    if (text.len <= bytes)
        return text;
    if (bytes < mark)
        return view_slice(VIEW(".."), 0, bytes);
    size_t end = 0;
    for (size_t pos = 0; pos < text.len;) {
        utf8_next(text, &pos);
        if (pos > bytes - mark)
            break;
        end = pos;
    }
    return arena_printf(d->arena, "%.*s" ELLIPSIS, VIEW_ARGS(view_slice(text, 0, end)));
}

struct view delivery_key_hash(struct delivery *d)
{
    unsigned char digest[32];
    char *hex = arena_alloc(d->arena, 2 * sizeof digest + 1);
    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, d->group_key.ptr ? d->group_key.ptr : "",
                         d->group_key.len, digest) != 0)
        memset(digest, 0, sizeof digest); /* SHA-256 is always there */
    for (size_t i = 0; i < sizeof digest; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return (struct view){hex, 2 * sizeof digest};
}

/* --- requests and answers --- */

void delivery_header(struct delivery *d, const char *name, struct view value)
{
    struct delivery_request *r = &d->request;
    struct view *longer = ARENA_ARRAY(d->arena, struct view, r->header_count + 1);
    struct view line = arena_printf(d->arena, "%s: %.*s", name, VIEW_ARGS(value));
    char *bytes = (char *)line.ptr; /* ours, from the arena */
    for (size_t i = 0; i < line.len; i++)
        if ((unsigned char)bytes[i] < 0x20 || bytes[i] == 0x7f)
            bytes[i] = ' ';
    if (r->header_count)
        memcpy(longer, r->headers, r->header_count * sizeof(*longer));
    longer[r->header_count++] = line;
    r->headers = longer;
}

void delivery_json(struct delivery *d, struct view url, struct view body)
{
    d->request.url = url;
    d->request.body = body;
    delivery_header(d, "Content-Type", VIEW("application/json"));
}

/* What an answer's body says, fit for one line of a log. */
static void describe_body(char *out, size_t out_bytes, struct view body)
{
    size_t len = 0;
    for (size_t pos = 0; pos < body.len;) {
        uint32_t code = utf8_next(body, &pos);
        char c[4];
        size_t n =
            code == UINT32_MAX || code < 0x20 || code == 0x7f ? (c[0] = ' ', 1) : utf8_put(code, c);
        if (len + n + sizeof(ELLIPSIS) > out_bytes) {
            memcpy(out + len, ELLIPSIS, sizeof(ELLIPSIS) - 1);
            len += sizeof(ELLIPSIS) - 1;
            break;
        }
        if (c[0] == ' ' && (len == 0 || out[len - 1] == ' '))
            continue;
        memcpy(out + len, c, n);
        len += n;
    }
    while (len && out[len - 1] == ' ')
        len--;
    out[len] = '\0';
}

enum delivery_verdict delivery_judge(const struct delivery_answer *a, const long *retry,
                                     struct error *err)
{
    char said[JUDGE_BODY_BYTES + 8];
    if (a->status >= 200 && a->status <= 299)
        return DELIVERY_SENT;
    bool again = a->status == 429 || (a->status >= 500 && a->status <= 599);
    for (const long *r = retry; r && *r; r++)
        again = again || *r == a->status;
    describe_body(said, sizeof said, a->body);
    error_set(err, again ? ERROR_UNAVAILABLE : ERROR_EXECUTION, "unexpected status code %ld%s%s",
              a->status, said[0] ? ": " : "", said);
    return again ? DELIVERY_RETRY : DELIVERY_FAILED;
}

/* --- what is remembered --- */

void delivery_remember(struct delivery *d, struct view name, struct view value)
{
    struct notification_kv *kv = &d->remembered;
    struct view *names = ARENA_ARRAY(d->arena, struct view, kv->count + 1);
    struct view *values = ARENA_ARRAY(d->arena, struct view, kv->count + 1);
    size_t count = 0;
    for (size_t i = 0; i < kv->count; i++) {
        if (view_eq(kv->names[i], name))
            continue;
        names[count] = kv->names[i];
        values[count++] = kv->values[i];
    }
    names[count] = arena_copy(d->arena, name);
    values[count++] = arena_copy(d->arena, value);
    *kv = (struct notification_kv){names, values, count};
}

struct view delivery_recall(const struct delivery *d, struct view name)
{
    for (size_t i = 0; i < d->recalled.count; i++)
        if (view_eq(d->recalled.names[i], name))
            return d->recalled.values[i];
    return (struct view){"", 0};
}
