/* SPDX-License-Identifier: Apache-2.0 */
/* config_discovery.c: the kinds of service discovery that a file may name: file, http and dns, which this version
 * discovers by, and those of vendors (config_vendor.c), which it only checks. */
#include "ingest/config_private.h"

#include "base/assert.h"

const char CONFIG_FILE_SD[] = "file_sd_configs", CONFIG_HTTP_SD[] = "http_sd_configs",
           CONFIG_DNS_SD[] = "dns_sd_configs";

static bool refresh_check(struct loader *l, const struct yaml_node *node, int64_t interval_ms)
{
    return interval_ms > 0 || yaml_error(l->err, yaml_place(node, "refresh_interval"),
                                         "refresh_interval must be greater than 0");
}

static bool file_check(struct loader *l, const struct yaml_node *node, void *object)
{
    static const char *const ENDINGS[] = {".json", ".yml", ".yaml"};
    const struct config_file_sd *file = object;
    if (file->files.count == 0)
        return yaml_error(l->err, node,
                          "file service discovery config must contain at least one path name");
    for (size_t i = 0; i < file->files.count; i++) {
        struct view path = file->files.items[i];
        size_t dir_end = path.len;
        while (dir_end > 0 && path.ptr[dir_end - 1] != '/')
            dir_end--;
        bool ends = false;
        for (size_t j = 0; j < ARRAY_COUNT(ENDINGS); j++)
            ends |= view_has_suffix(path, view_from(ENDINGS[j]));
        if (!ends || (dir_end && memchr(path.ptr, '*', dir_end)))
            return yaml_error(l->err, node,
                              "path name \"%.*s\" is not valid for file discovery: it ends with "
                              ".json, .yml or .yaml and has a * in its last part only",
                              VIEW_ARGS(view_slice(path, 0, 200)));
    }
    return refresh_check(l, node, file->refresh_interval_ms);
}

bool config_http_url_check(struct view url, struct error *err)
{
    if (view_has_prefix(url, VIEW("http://")))
        url = view_slice(url, 7, url.len);
    else if (view_has_prefix(url, VIEW("https://")))
        url = view_slice(url, 8, url.len);
    else
        return error_set(err, ERROR_INPUT, "URL scheme must be 'http' or 'https'");
    if (url.len == 0 || url.ptr[0] == '/' || url.ptr[0] == ':')
        return error_set(err, ERROR_INPUT, "host is missing in URL");
    return true;
}

static void file_defaults(void *object)
{
    ((struct config_file_sd *)object)->refresh_interval_ms = 5 * 60 * 1000;
}

static void http_defaults(void *object)
{
    struct config_http_sd *http = object;
    http->refresh_interval_ms = 60 * 1000;
    CONFIG_HTTP_SECTION.defaults(&http->http);
}

static bool http_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct config_http_sd *http = object;
    struct error why = {0};
    if (http->url.len == 0)
        return yaml_error(l->err, yaml_place(node, "url"), "URL is missing");
    if (!config_http_url_check(http->url, &why))
        return yaml_error(l->err, yaml_place(node, "url"), "%s", why.message);
    return CONFIG_HTTP_SECTION.check(l, node, &http->http) &&
           refresh_check(l, node, http->refresh_interval_ms);
}

static void dns_defaults(void *object)
{
    struct config_dns_sd *dns = object;
    dns->type = VIEW("SRV");
    dns->refresh_interval_ms = 30 * 1000;
}

static bool dns_check(struct loader *l, const struct yaml_node *node, void *object)
{
    static const char *const TYPES[] = {"SRV", "A", "AAAA", "MX", "NS"};
    const struct config_dns_sd *dns = object;
    bool known = false;
    for (size_t i = 0; i < ARRAY_COUNT(TYPES); i++)
        known |= view_is_any_case(dns->type, TYPES[i]);
    if (dns->names.count == 0)
        return yaml_error(l->err, node, "DNS-SD config must contain at least one SRV record name");
    if (!known)
        return yaml_error(l->err, yaml_place(node, "type"), "invalid DNS-SD records type %.*s",
                          VIEW_ARGS(view_slice(dns->type, 0, 100)));
    if (dns->port == 0 && !view_is_any_case(dns->type, "SRV"))
        return yaml_error(l->err, yaml_place(node, "type"),
                          "a port is required in DNS-SD configs for all record types except SRV");
    return refresh_check(l, node, dns->refresh_interval_ms);
}

static const struct field FILE_FIELDS[] = {
    {"files", FIELD_PATHS, offsetof(struct config_file_sd, files)},
    {"refresh_interval", FIELD_DURATION, offsetof(struct config_file_sd, refresh_interval_ms)},
};
static const struct field HTTP_FIELDS[] = {
    {"", FIELD_INLINE, offsetof(struct config_http_sd, http), &CONFIG_HTTP_SECTION},
    {"refresh_interval", FIELD_DURATION, offsetof(struct config_http_sd, refresh_interval_ms)},
    {"url", FIELD_URL, offsetof(struct config_http_sd, url)},
};
static const struct field DNS_FIELDS[] = {
    {"names", FIELD_STRINGS, offsetof(struct config_dns_sd, names)},
    {"refresh_interval", FIELD_DURATION, offsetof(struct config_dns_sd, refresh_interval_ms)},
    {"type", FIELD_STRING, offsetof(struct config_dns_sd, type)},
    {"port", FIELD_INT, offsetof(struct config_dns_sd, port)},
};

static const struct {
    const char *kind;
    struct section section;
} OWN[] = {
    {CONFIG_FILE_SD,
     {CONFIG_FILE_SD, sizeof(struct config_file_sd), FILE_FIELDS, ARRAY_COUNT(FILE_FIELDS),
      file_defaults, file_check}},
    {CONFIG_HTTP_SD,
     {CONFIG_HTTP_SD, sizeof(struct config_http_sd), HTTP_FIELDS, ARRAY_COUNT(HTTP_FIELDS),
      http_defaults, http_check}},
    {CONFIG_DNS_SD,
     {CONFIG_DNS_SD, sizeof(struct config_dns_sd), DNS_FIELDS, ARRAY_COUNT(DNS_FIELDS),
      dns_defaults, dns_check}},
};

size_t config_discovery_kind_count(void)
{
    return ARRAY_COUNT(OWN) + config_vendor_count();
}

const char *config_discovery_kind_at(size_t idx)
{
    return idx < ARRAY_COUNT(OWN) ? OWN[idx].kind : config_vendor_kind(idx - ARRAY_COUNT(OWN));
}

bool config_discovery_works(const char *kind)
{
    for (size_t i = 0; i < ARRAY_COUNT(OWN); i++) {
        if (kind == OWN[i].kind)
            return true;
    }
    return false;
}

const char *config_discovery_kind(struct view name)
{
    for (size_t i = 0; i < config_discovery_kind_count(); i++) {
        if (view_is(name, config_discovery_kind_at(i)))
            return config_discovery_kind_at(i);
    }
    return NULL;
}

bool config_discovery_read(struct loader *l, const char *kind, const struct yaml_node *node,
                           struct config_discovery *out)
{
    struct config_http_client http;
    struct loader lenient = *l;
    *out = (struct config_discovery){.kind = kind, .node = node};
    for (size_t i = 0; i < ARRAY_COUNT(OWN); i++) {
        if (kind == OWN[i].kind) {
            void *settings = arena_alloc_zero(l->arena, 1, OWN[i].section.bytes);
            out->settings = settings;
            return config_read_section(l, &OWN[i].section, node, settings);
        }
    }
    lenient.unknown =
        CONFIG_UNKNOWN_IS_NOTHING; /* first what most have in common, whose checks say the clearest words */
    return config_read_section(&lenient, &CONFIG_HTTP_SECTION, node, &http) &&
           config_vendor_check(l, kind, node, &http);
}
