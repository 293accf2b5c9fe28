/* SPDX-License-Identifier: Apache-2.0 */
/* receivers.c: a receiver of the file, its e-mail and webhook; what the tables of all kinds share. What `global` says
 * for them is filled in by alert_config_finish.c. */
#include "alerting/receivers_private.h"

#include "base/assert.h"
#include "base/map.h"

bool alert_config_one_of(struct loader *l, const struct yaml_node *node, bool a, bool b,
                         const char *a_name, const char *b_name)
{
    return !(a && b) || yaml_error(l->err, yaml_place(node, b_name),
                                   "at most one of %s & %s must be configured", a_name, b_name);
}

bool alert_config_check_urls(struct loader *l, const struct section *section,
                             const struct yaml_node *node, const void *object)
{
    for (size_t i = 0; i < section->field_count; i++) {
        const struct field *f = &section->fields[i];
        const void *at = (const char *)object + f->offset;
        struct view url = VIEW("");
        struct error why = {0};
        if (f->kind == FIELD_URL)
            url = *(const struct view *)at;
        else if (f->flags & ALERT_FIELD_IS_URL)
            url = secret_reveal(at);
        /* "<secret>" is what a configuration that was shown has in its place. */
        if (url.len == 0 || view_is(url, SECRET_SHOWN) || config_http_url_check(url, &why))
            continue;
        return yaml_error(l->err, yaml_place(node, f->name), "%s: %s", f->name, why.message);
    }
    return true;
}

bool receiver_check_common(struct loader *l, const struct section *section,
                           const struct yaml_node *node, void *object)
{
    ((struct receiver_common *)object)->node = node;
    return alert_config_check_urls(l, section, node, object);
}

bool receiver_fail(struct loader *l, const struct yaml_node *node, const char *sentence)
{
    return yaml_error(l->err, node, "%s", sentence);
}

bool receiver_check_secret(struct loader *l, const struct yaml_node *node,
                           const struct secret *secret, struct view file, const char *name,
                           const char *file_name, bool needed)
{
    bool has = secret_is_set(secret), has_file = file.len > 0;
    if (needed && !has && !has_file)
        return yaml_error(l->err, node, "one of %s or %s must be configured", name, file_name);
    return alert_config_one_of(l, node, has, has_file, name, file_name);
}

/* Go's durations: 1h15m30.5s, with units from ns to h. */
static bool go_duration(struct view text, int64_t *ms)
{
    static const struct {
        const char *unit;
        double ms;
    } UNITS[] = {{"ns", 1e-6}, {"us", 1e-3}, {"\xc2\xb5s", 1e-3}, {"ms", 1},
                 {"s", 1e3},   {"m", 6e4},   {"h", 3.6e6}};
    double sum = 0;
    if (view_is(text, "0")) {
        *ms = 0;
        return true;
    }
    for (size_t pos = 0; pos < text.len;) {
        double value = 0, scale = 1;
        bool digits = false, point = false;
        for (; pos < text.len &&
               ((text.ptr[pos] >= '0' && text.ptr[pos] <= '9') || (text.ptr[pos] == '.' && !point));
             pos++) {
            if (text.ptr[pos] == '.') {
                point = true;
                continue;
            }
            digits = true;
            value = value * 10 + (text.ptr[pos] - '0');
            scale = point ? scale * 10 : scale;
        }
        size_t from = pos, unit = ARRAY_COUNT(UNITS);
        while (pos < text.len && text.ptr[pos] != '.' &&
               (text.ptr[pos] < '0' || text.ptr[pos] > '9'))
            pos++;
        for (size_t i = 0; i < ARRAY_COUNT(UNITS); i++)
            unit = view_is(view_slice(text, from, pos), UNITS[i].unit) ? i : unit;
        if (!digits || unit == ARRAY_COUNT(UNITS))
            return false;
        sum += value / scale * UNITS[unit].ms;
    }
    if (text.len == 0 || sum > 9.2e12) /* Go's longest, 292 years */
        return false;
    *ms = (int64_t)sum;
    return true;
}

bool receiver_read_duration(struct loader *l, const struct yaml_node *node, const char *name,
                            int64_t *ms)
{
    if (!node || (node->kind == YAML_SCALAR && go_duration(node->text, ms)))
        return true;
    return yaml_error(
        l->err, node, "%s: a duration like 30s or 1h15m was expected, not %s%.*s", name,
        node->kind == YAML_SCALAR ? "" : yaml_describe(node),
        VIEW_ARGS(node->kind == YAML_SCALAR ? view_slice(node->text, 0, 100) : VIEW("")));
}

bool receiver_check_mapping(struct loader *l, const struct yaml_node *node, const char *name)
{
    return !node || node->kind == YAML_MAPPING ||
           yaml_error(l->err, node, "%s: a mapping was expected, not %s", name,
                      yaml_describe(node));
}

static const struct field COMMON_FIELDS[] = {
    {F(receiver_common, send_resolved, FIELD_BOOL)},
    {F(receiver_common, http_config, FIELD_POINTER), &CONFIG_HTTP_SECTION},
};
const struct section RECEIVER_COMMON_SECTION = {"a receiver", sizeof(struct receiver_common),
                                                COMMON_FIELDS, ARRAY_COUNT(COMMON_FIELDS)};

/* --- email --- */

static void email_defaults(void *object)
{
    struct email_receiver *r = object;
    r->html = TEMPLATE("email.default.html");
    r->text = r->thread_by_date = VIEW("");
    r->require_tls = r->force_implicit_tls = -1;
}

static const struct field EMAIL_THREADING_FIELDS[] = {
    {"enabled", FIELD_BOOL, offsetof(struct email_receiver, threading_enabled)},
    {"thread_by_date", FIELD_STRING, offsetof(struct email_receiver, thread_by_date)},
};
static const struct section EMAIL_THREADING_SECTION = {"threading", 0, EMAIL_THREADING_FIELDS,
                                                       ARRAY_COUNT(EMAIL_THREADING_FIELDS)};

static const struct field EMAIL_FIELDS[] = {
    {"send_resolved", FIELD_BOOL, offsetof(struct email_receiver, common.send_resolved)},
    TEXT(email, to),
    TEXT(email, from),
    TEXT(email, hello),
    TEXT(email, smarthost),
    TEXT(email, auth_username),
    SECRET(email, auth_password),
    PATH(email, auth_password_file),
    SECRET(email, auth_secret),
    PATH(email, auth_secret_file),
    TEXT(email, auth_identity),
    {F(email_receiver, headers, FIELD_PAIRS)},
    TEXT(email, html),
    TEXT(email, text),
    {F(email_receiver, require_tls, FIELD_TRISTATE)},
    {F(email_receiver, force_implicit_tls, FIELD_TRISTATE)},
    {F(email_receiver, tls_config, FIELD_POINTER), &CONFIG_TLS_SECTION},
    {"threading", FIELD_GROUP, 0, &EMAIL_THREADING_SECTION},
};
static bool email_check(struct loader *l, const struct yaml_node *node, void *object);
SECTION(email, EMAIL_FIELDS);

/* Go's form of names: a capital at the start and after each hyphen, if all bytes may be in a name. */
static struct view canonical_header(struct arena *arena, struct view name)
{
    char *to = arena_alloc(arena, name.len + 1);
    bool upper = true;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        if (!letter && !(c >= '0' && c <= '9') && (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
            return name;
        to[i] = letter ? (char)(upper ? c & ~0x20 : c | 0x20) : c;
        upper = c == '-';
    }
    to[name.len] = '\0';
    return (struct view){to, name.len};
}

static bool email_check_headers(struct loader *l, const struct yaml_node *node,
                                struct email_receiver *r)
{
    const struct yaml_node *place = yaml_place(node, "headers");
    struct string_map *seen = string_map_new(MEM_CONFIG);
    bool ok = true;
    for (size_t i = 0; i < r->headers.count && ok; i++) {
        struct view *name = &r->headers.items[i].name;
        uint64_t first;
        *name = canonical_header(l->arena, *name);
        if (string_map_get(seen, *name, &first))
            ok = yaml_error(l->err, place, "duplicate header \"%.*s\" in email config",
                            VIEW_ARGS(view_slice(*name, 0, 100)));
        else if (r->threading_enabled &&
                 (view_is(*name, "References") || view_is(*name, "In-Reply-To")))
            ok = yaml_error(l->err, place,
                            "conflicting configuration: threading.enabled conflicts with custom "
                            "%.*s header",
                            VIEW_ARGS(*name));
        string_map_set(seen, *name, i);
    }
    string_map_free(seen);
    return ok;
}

bool alert_config_check_host_port(struct loader *l, const struct yaml_node *node, const char *name,
                                  struct view address)
{
    const struct yaml_node *place = yaml_place(node, name);
    struct view shown = view_slice(address, 0, 200);
    const char *colon = address.len ? memrchr(address.ptr, ':', address.len) : NULL;
    if (address.len == 0)
        return true;
    if (!colon)
        return yaml_error(l->err, place, "address %.*s: missing port in address", VIEW_ARGS(shown));
    struct view host = view_slice(address, 0, (size_t)(colon - address.ptr));
    if ((size_t)(colon - address.ptr) + 1 == address.len)
        return yaml_error(l->err, place, "address \"%.*s\": port cannot be empty",
                          VIEW_ARGS(shown));
    bool brackets = host.len > 1 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (!brackets && host.len && memchr(host.ptr, ':', host.len))
        return yaml_error(l->err, place, "address %.*s: too many colons in address",
                          VIEW_ARGS(shown));
    return true;
}

static bool email_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct email_receiver *r = object;
    if (!receiver_check_common(l, &RECEIVER_email_SECTION, node, r))
        return false;
    if (r->to.len == 0)
        return receiver_fail(l, node, "missing to address in email config");
    if (!alert_config_check_host_port(l, node, "smarthost", r->smarthost) ||
        !email_check_headers(l, node, r))
        return false;
    return !r->threading_enabled || view_is(r->thread_by_date, "none") ||
           view_is(r->thread_by_date, "daily") ||
           yaml_error(l->err, yaml_place(node, "threading"),
                      "threading.thread_by_date must be either 'none' or 'daily'");
}

/* --- webhook --- */

static void webhook_defaults(void *object)
{
    ((struct webhook_receiver *)object)->common.send_resolved = true;
}

static const struct field WEBHOOK_FIELDS[] = {
    COMMON,
    SECRET(webhook, url),
    PATH(webhook, url_file),
    {F(webhook_receiver, max_alerts, FIELD_UINT)},
    RAW(webhook, timeout),
    RAW(webhook, payload),
};
static bool webhook_check(struct loader *l, const struct yaml_node *node, void *object);
SECTION(webhook, WEBHOOK_FIELDS);

/* A URL with {{ is one only when the template has been filled in. */
static bool webhook_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct webhook_receiver *r = object;
    struct view url = secret_reveal(&r->url);
    struct error why = {0};
    if (!receiver_check_common(l, &RECEIVER_webhook_SECTION, node, r) ||
        !receiver_read_duration(l, r->timeout, "timeout", &r->timeout_ms) ||
        !receiver_check_secret(l, node, &r->url, r->url_file, "url", "url_file", true))
        return false;
    return url.len == 0 || view_is(url, SECRET_SHOWN) || memmem(url.ptr, url.len, "{{", 2) ||
           config_http_url_check(url, &why) ||
           yaml_error(l->err, yaml_place(node, "url"), "url: %s", why.message);
}

/* --- a receiver --- */

void receiver_secrets(const char *kind, const void *settings, struct redaction *out)
{
    static const struct {
        const char *kind;
        const struct section *section;
    } KINDS[] = {
#define X(kind, type) {#kind, &RECEIVER_##kind##_SECTION},
        RECEIVER_KINDS(X)
#undef X
    };
    for (size_t i = 0; i < ARRAY_COUNT(KINDS); i++)
        if (strcmp(KINDS[i].kind, kind) == 0)
            config_secrets(KINDS[i].section, settings, out);
}

static bool receiver_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct receiver *r = object;
    r->node = node;
    return r->name.len > 0 ||
           receiver_fail(l, yaml_place(node, "name"), "missing name in receiver");
}

static const struct field RECEIVER_FIELDS[] = {{F(receiver, name, FIELD_STRING)},
#define X(kind, type)                                                                              \
    {F(receiver, kind##_configs, FIELD_LIST), &RECEIVER_##kind##_SECTION,                          \
     .null_item = "missing " #kind " config"},
                                               RECEIVER_KINDS(X)
#undef X
};
const struct section ALERT_RECEIVER_SECTION = {"a receiver", sizeof(struct receiver),
                                               RECEIVER_FIELDS, ARRAY_COUNT(RECEIVER_FIELDS),
                                               .check = receiver_check};
