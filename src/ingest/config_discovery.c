/* SPDX-License-Identifier: Apache-2.0 */
/* config_discovery.c: the kinds of service discovery that a file may name. What those of a vendor say is taken as
 * it is, but for the HTTP client's settings, which all have in common; file, http and dns are checked whole. */
#include "ingest/config_private.h"

#include "base/assert.h"

static const char *const KINDS[] = {
    "azure_sd_configs",     "consul_sd_configs",     "digitalocean_sd_configs",
    "dns_sd_configs",       "docker_sd_configs",     "dockerswarm_sd_configs",
    "ec2_sd_configs",       "eureka_sd_configs",     "file_sd_configs",
    "gce_sd_configs",       "hetzner_sd_configs",    "http_sd_configs",
    "ionos_sd_configs",     "kubernetes_sd_configs", "kuma_sd_configs",
    "lightsail_sd_configs", "linode_sd_configs",     "marathon_sd_configs",
    "nerve_sd_configs",     "nomad_sd_configs",      "oci_sd_configs",
    "openstack_sd_configs", "outscale_sd_configs",   "ovhcloud_sd_configs",
    "puppetdb_sd_configs",  "scaleway_sd_configs",   "serverset_sd_configs",
    "stackit_sd_configs",   "triton_sd_configs",     "uyuni_sd_configs",
    "vultr_sd_configs",     "aws_sd_configs",
};

struct file_discovery {
    struct config_strings files;
    int64_t refresh_interval_ms;
};
struct http_discovery {
    struct config_http_client http;
    int64_t refresh_interval_ms;
    struct view url;
};
struct dns_discovery {
    struct config_strings names;
    int64_t refresh_interval_ms;
    struct view type;
    int64_t port;
};

static const struct yaml_node *blame(const struct yaml_node *node, const char *field)
{
    const struct yaml_node *found = yaml_find(node, field);
    return found ? found : node;
}

static bool file_check(struct loader *l, const struct yaml_node *node, void *object)
{
    static const char *const ENDINGS[] = {".json", ".yml", ".yaml"};
    const struct file_discovery *file = object;
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
            return yaml_error(l->err, node, "path name \"%.*s\" is not valid for file discovery",
                              VIEW_ARGS(view_slice(path, 0, 200)));
    }
    return true;
}

static bool http_check(struct loader *l, const struct yaml_node *node, void *object)
{
    const struct http_discovery *http = object;
    struct view rest = http->url;
    if (rest.len == 0)
        return yaml_error(l->err, blame(node, "url"), "URL is missing");
    if (view_has_prefix(rest, VIEW("http://")))
        rest = view_slice(rest, 7, rest.len);
    else if (view_has_prefix(rest, VIEW("https://")))
        rest = view_slice(rest, 8, rest.len);
    else
        return yaml_error(l->err, blame(node, "url"), "URL scheme must be 'http' or 'https'");
    if (rest.len == 0 || rest.ptr[0] == '/')
        return yaml_error(l->err, blame(node, "url"), "host is missing in URL");
    return true;
}

static void dns_defaults(void *object)
{
    ((struct dns_discovery *)object)->type = VIEW("SRV");
}

static bool dns_check(struct loader *l, const struct yaml_node *node, void *object)
{
    static const char *const TYPES[] = {"SRV", "A", "AAAA", "MX", "NS"};
    const struct dns_discovery *dns = object;
    bool known = false;
    for (size_t i = 0; i < ARRAY_COUNT(TYPES); i++)
        known |= dns->type.len == strlen(TYPES[i]) &&
                 strncasecmp(dns->type.ptr, TYPES[i], dns->type.len) == 0;
    if (dns->names.count == 0)
        return yaml_error(l->err, node, "DNS-SD config must contain at least one SRV record name");
    if (!known)
        return yaml_error(l->err, blame(node, "type"), "invalid DNS-SD records type %.*s",
                          VIEW_ARGS(view_slice(dns->type, 0, 100)));
    if (dns->port == 0 && !(dns->type.len == 3 && strncasecmp(dns->type.ptr, "SRV", 3) == 0))
        return yaml_error(l->err, blame(node, "type"),
                          "a port is required in DNS-SD configs for all record types except SRV");
    return true;
}

static const struct field FILE_FIELDS[] = {
    {"files", FIELD_PATHS, offsetof(struct file_discovery, files)},
    {"refresh_interval", FIELD_DURATION, offsetof(struct file_discovery, refresh_interval_ms)},
};
static const struct field HTTP_FIELDS[] = {
    {"", FIELD_INLINE, offsetof(struct http_discovery, http), &CONFIG_HTTP_SECTION},
    {"refresh_interval", FIELD_DURATION, offsetof(struct http_discovery, refresh_interval_ms)},
    {"url", FIELD_URL, offsetof(struct http_discovery, url)},
};
static const struct field DNS_FIELDS[] = {
    {"names", FIELD_STRINGS, offsetof(struct dns_discovery, names)},
    {"refresh_interval", FIELD_DURATION, offsetof(struct dns_discovery, refresh_interval_ms)},
    {"type", FIELD_STRING, offsetof(struct dns_discovery, type)},
    {"port", FIELD_INT, offsetof(struct dns_discovery, port)},
};

static const struct {
    const char *kind;
    struct section section;
} CHECKED[] = {
    {"file_sd_configs",
     {"file_sd_configs", sizeof(struct file_discovery), FILE_FIELDS, ARRAY_COUNT(FILE_FIELDS), NULL,
      file_check}},
    {"http_sd_configs",
     {"http_sd_configs", sizeof(struct http_discovery), HTTP_FIELDS, ARRAY_COUNT(HTTP_FIELDS), NULL,
      http_check}},
    {"dns_sd_configs",
     {"dns_sd_configs", sizeof(struct dns_discovery), DNS_FIELDS, ARRAY_COUNT(DNS_FIELDS),
      dns_defaults, dns_check}},
};

const char *config_discovery_kind(struct view name)
{
    for (size_t i = 0; i < ARRAY_COUNT(KINDS); i++) {
        if (view_is(name, KINDS[i]))
            return KINDS[i];
    }
    return NULL;
}

size_t config_discovery_kind_count(void)
{
    return ARRAY_COUNT(KINDS);
}

const char *config_discovery_kind_at(size_t idx)
{
    ASSERT(idx < ARRAY_COUNT(KINDS));
    return KINDS[idx];
}

bool config_discovery_check(struct loader *l, const char *kind, const struct yaml_node *node)
{
    struct config_http_client http;
    struct loader lenient = *l;
    lenient.lenient = true;
    if (!config_read_section(&lenient, &CONFIG_HTTP_SECTION, node, &http))
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(CHECKED); i++) {
        if (strcmp(kind, CHECKED[i].kind) == 0)
            return config_read_section(l, &CHECKED[i].section, node,
                                       arena_alloc_zero(l->arena, 1, CHECKED[i].section.bytes));
    }
    return true;
}
