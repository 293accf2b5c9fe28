/* SPDX-License-Identifier: Apache-2.0 */
/* config_vendor.c: what a file may say of discoveries by vendors, as tables: fields with their types, and rules about
 * which of them must or may not be said. This version does not discover by them, so nothing is kept but the entry
 * as it was written: all values are read to one place, to be checked. Fields and words are those of Prometheus 3. */
#include "ingest/config_private.h"

#include "base/assert.h"

#include <strings.h>

/* Where values go to be checked. */
struct scrap {
    struct config_http_client http;
    union {
        char bytes[64];
        int64_t align;
    } value;
};

#define V(name, kind)                                                                              \
    {                                                                                              \
        (name), (kind), offsetof(struct scrap, value)                                              \
    }
#define TEXT(name) V(name, FIELD_STRING)
#define SECRET(name) V(name, FIELD_SECRET)
#define PATH(name) V(name, FIELD_PATH)
#define INT(name) V(name, FIELD_INT)
#define BOOL(name) V(name, FIELD_BOOL)
#define TEXTS(name) V(name, FIELD_STRINGS)
#define PAIRS(name) V(name, FIELD_PAIRS)
#define REFRESH V("refresh_interval", FIELD_DURATION)
#define DURATION(name) V(name, FIELD_DURATION)
#define LIST(name, section_, null)                                                                 \
    {                                                                                              \
        (name), FIELD_LIST, offsetof(struct scrap, value), &(section_), .null_item = (null)        \
    }
#define STRUCT(name, section_)                                                                     \
    {                                                                                              \
        (name), FIELD_POINTER, offsetof(struct scrap, value), &(section_)                          \
    }
#define HTTP                                                                                       \
    {                                                                                              \
        "", FIELD_INLINE, offsetof(struct scrap, http), &CONFIG_HTTP_SECTION                       \
    }
#define SECTION(what, fields)                                                                      \
    {                                                                                              \
        (what), sizeof(struct scrap), (fields), ARRAY_COUNT(fields)                                \
    }

/* --- parts that several have --- */

static const struct field FILTER_FIELDS[] = {TEXT("name"), TEXTS("values")};
static const struct section FILTER = SECTION("a filter", FILTER_FIELDS);
static const char NULL_FILTER[] = "empty or null filter";

static const struct field NAMESPACES_FIELDS[] = {BOOL("own_namespace"), TEXTS("names")};
static const struct section NAMESPACES = SECTION("namespaces", NAMESPACES_FIELDS);
static const struct field SELECTOR_FIELDS[] = {TEXT("role"), TEXT("label"), TEXT("field")};
static const struct section SELECTOR = SECTION("a selector", SELECTOR_FIELDS);
static const struct field ATTACH_FIELDS[] = {BOOL("node"), BOOL("namespace")};
static const struct section ATTACH = SECTION("attach_metadata", ATTACH_FIELDS);

/* --- rules --- */

enum rule_kind {
    RULE_NEEDS,     /* field 0 is said and not empty */
    RULE_NOT_EMPTY, /* it has a default, but what is said is not empty */
    RULE_ONE_OF,    /* field 0, where it is said, is one of the words */
    RULE_AT_MOST,   /* not two of these fields; the last may be a group, see below */
    RULE_EITHER,    /* at least one of them */
    RULE_HTTP_URL   /* field 0, where it is said, is a URL of http or https with a host */
};

struct rule {
    enum rule_kind kind;
    const char *fields[4];
    const char *message; /* NULL: made from the fields */
    const char *const *words;
    /* The rule holds only where this field has this value, which is its default, too. NULL: always. */
    const char *when_field, *when_value;
};

#define NEEDS(field, message)                                                                      \
    {                                                                                              \
        RULE_NEEDS, {field}, message                                                               \
    }
#define NOT_EMPTY(field, message)                                                                  \
    {                                                                                              \
        RULE_NOT_EMPTY, {field}, message                                                           \
    }
#define ONE_OF(field, words)                                                                       \
    {                                                                                              \
        RULE_ONE_OF, {field}, NULL, words                                                          \
    }
#define RULES(array) (array), ARRAY_COUNT(array)

static const char *const AZURE_AUTHENTICATION[] = {"OAuth", "ManagedIdentity", "SDK",
                                                   "WorkloadIdentity", NULL};
static const char *const AWS_ROLES[] = {"ec2", "ecs", "lightsail",   "msk",
                                        "rds", "mq",  "elasticache", NULL};
static const char *const SWARM_ROLES[] = {"services", "tasks", "nodes", NULL};
static const char *const HETZNER_ROLES[] = {"hcloud", "robot", NULL};
static const char *const KUBERNETES_ROLES[] = {"pod",  "service", "endpoints", "endpointslice",
                                               "node", "ingress", NULL};
static const char *const OCI_AUTH[] = {"api_key", "instance_principal", NULL};
static const char *const OPENSTACK_ROLES[] = {"instance", "hypervisor", "loadbalancer", NULL};
static const char *const OPENSTACK_AVAILABILITY[] = {"admin", "internal", "public", NULL};
static const char *const OVH_SERVICES[] = {"vps", "dedicated_server", NULL};
static const char *const SCALEWAY_ROLES[] = {"instance", "baremetal", NULL};
static const char *const TRITON_ROLES[] = {"container", "cn", NULL};

/* --- the vendors --- */

#define AWS_FIELDS                                                                                 \
    TEXT("endpoint"), TEXT("region"), TEXT("access_key"), SECRET("secret_key"), TEXT("profile"),   \
        TEXT("role_arn"), TEXT("external_id"), REFRESH, INT("port"), HTTP

static const struct field AWS[] = {AWS_FIELDS, TEXT("role"), TEXTS("clusters"),
                                   INT("request_concurrency"),
                                   LIST("filters", FILTER, NULL_FILTER)};
static const struct field AZURE[] = {TEXT("environment"),
                                     INT("port"),
                                     TEXT("subscription_id"),
                                     TEXT("tenant_id"),
                                     TEXT("client_id"),
                                     SECRET("client_secret"),
                                     REFRESH,
                                     TEXT("authentication_method"),
                                     TEXT("resource_group"),
                                     HTTP};
static const struct field CONSUL[] = {
    TEXT("server"),        TEXT("path_prefix"),   SECRET("token"),
    TEXT("datacenter"),    TEXT("namespace"),     TEXT("partition"),
    TEXT("tag_separator"), TEXT("scheme"),        TEXT("username"),
    SECRET("password"),    BOOL("allow_stale"),   REFRESH,
    TEXTS("services"),     TEXTS("tags"),         PAIRS("node_meta"),
    TEXT("filter"),        TEXT("health_filter"), HTTP};
static const struct field PORT_REFRESH[] = {INT("port"), REFRESH, HTTP};
static const struct field DOCKER[] = {TEXT("host"),
                                      INT("port"),
                                      LIST("filters", FILTER, NULL_FILTER),
                                      TEXT("host_networking_host"),
                                      BOOL("match_first_network"),
                                      REFRESH,
                                      HTTP};
static const struct field DOCKERSWARM[] = {
    TEXT("host"), TEXT("role"), INT("port"), LIST("filters", FILTER, NULL_FILTER), REFRESH, HTTP};
static const struct field EC2[] = {AWS_FIELDS, LIST("filters", FILTER, NULL_FILTER)};
static const struct field LIGHTSAIL[] = {AWS_FIELDS};
static const struct field SERVER_REFRESH[] = {TEXT("server"), REFRESH, HTTP};
static const struct field GCE[] = {TEXT("project"), TEXT("zone"), TEXT("filter"),
                                   REFRESH,         INT("port"),  TEXT("tag_separator")};
static const struct field HETZNER[] = {TEXT("role"), INT("port"), REFRESH, TEXT("label_selector"),
                                       HTTP};
static const struct field IONOS[] = {TEXT("datacenter_id"), INT("port"), REFRESH, HTTP};
static const struct field KUBERNETES[] = {TEXT("api_server"),
                                          TEXT("role"),
                                          PATH("kubeconfig_file"),
                                          STRUCT("namespaces", NAMESPACES),
                                          LIST("selectors", SELECTOR, "empty or null selector"),
                                          STRUCT("attach_metadata", ATTACH),
                                          HTTP};
static const struct field KUMA[] = {TEXT("server"), TEXT("client_id"), REFRESH,
                                    DURATION("fetch_timeout"), HTTP};
static const struct field LINODE[] = {INT("port"), REFRESH, TEXT("tag_separator"), TEXT("region"),
                                      HTTP};
static const struct field MARATHON[] = {TEXTS("servers"), SECRET("auth_token"),
                                        PATH("auth_token_file"), REFRESH, HTTP};
static const struct field ZOOKEEPER[] = {TEXTS("servers"), TEXTS("paths"), DURATION("timeout")};
static const struct field NOMAD[] = {
    BOOL("allow_stale"),   TEXT("namespace"), REFRESH, TEXT("region"),
    TEXT("tag_separator"), TEXT("server"),    HTTP};
static const struct field OCI[] = {
    TEXT("auth"),        TEXT("region"),   TEXT("tenancy"),          TEXT("user"),
    TEXT("fingerprint"), PATH("key_file"), SECRET("key_passphrase"), TEXTS("compartments"),
    INT("port"),         REFRESH};
static const struct field OPENSTACK[] = {TEXT("identity_endpoint"),
                                         TEXT("username"),
                                         TEXT("userid"),
                                         SECRET("password"),
                                         TEXT("project_name"),
                                         TEXT("project_id"),
                                         TEXT("application_credential_name"),
                                         TEXT("application_credential_id"),
                                         SECRET("application_credential_secret"),
                                         TEXT("domain_name"),
                                         TEXT("domain_id"),
                                         TEXT("role"),
                                         TEXT("region"),
                                         REFRESH,
                                         INT("port"),
                                         BOOL("all_tenants"),
                                         STRUCT("tls_config", CONFIG_TLS_SECTION),
                                         TEXT("availability")};
static const struct field OUTSCALE[] = {TEXT("endpoint"),
                                        TEXT("region"),
                                        TEXT("access_key"),
                                        SECRET("secret_key"),
                                        PATH("secret_key_file"),
                                        INT("port"),
                                        REFRESH,
                                        HTTP};
static const struct field OVHCLOUD[] = {
    TEXT("endpoint"), TEXT("application_key"), SECRET("application_secret"), SECRET("consumer_key"),
    REFRESH,          TEXT("service")};
static const struct field PUPPETDB[] = {TEXT("url"), TEXT("query"), BOOL("include_parameters"),
                                        INT("port"), REFRESH,       HTTP};
static const struct field SCALEWAY[] = {
    TEXT("project_id"),  TEXT("api_url"),      TEXT("zone"),
    TEXT("access_key"),  SECRET("secret_key"), PATH("secret_key_file"),
    TEXT("name_filter"), TEXTS("tags_filter"), REFRESH,
    INT("port"),         TEXT("role"),         HTTP};
static const struct field STACKIT[] = {TEXT("project"),
                                       TEXT("region"),
                                       TEXT("endpoint"),
                                       INT("port"),
                                       REFRESH,
                                       SECRET("service_account_key"),
                                       PATH("service_account_key_path"),
                                       SECRET("private_key"),
                                       PATH("private_key_path"),
                                       PATH("credentials_file_path"),
                                       HTTP};
static const struct field TRITON[] = {TEXT("account"),
                                      TEXT("role"),
                                      TEXT("dns_suffix"),
                                      TEXT("endpoint"),
                                      TEXTS("groups"),
                                      INT("port"),
                                      REFRESH,
                                      STRUCT("tls_config", CONFIG_TLS_SECTION),
                                      INT("version")};
static const struct field UYUNI[] = {TEXT("server"),
                                     TEXT("username"),
                                     SECRET("password"),
                                     TEXT("entitlement"),
                                     TEXT("separator"),
                                     REFRESH,
                                     HTTP};

static const struct rule AWS_RULES[] = {NEEDS("role", "AWS SD configuration requires a role"),
                                        ONE_OF("role", AWS_ROLES)};
static const struct rule AZURE_RULES[] = {
    NEEDS("subscription_id", "azure SD configuration requires a subscription_id"),
    {RULE_NEEDS,
     {"tenant_id"},
     "azure SD configuration requires a tenant_id",
     NULL,
     "authentication_method",
     "OAuth"},
    {RULE_NEEDS,
     {"client_id"},
     "azure SD configuration requires a client_id",
     NULL,
     "authentication_method",
     "OAuth"},
    {RULE_NEEDS,
     {"client_secret"},
     "azure SD configuration requires a client_secret",
     NULL,
     "authentication_method",
     "OAuth"},
    ONE_OF("authentication_method", AZURE_AUTHENTICATION)};
static const struct rule CONSUL_RULES[] = {
    NOT_EMPTY("server", "consul SD configuration requires a server address"),
    {RULE_AT_MOST,
     {"username", "basic_auth"},
     "at most one of consul SD configuration username and password and basic auth can be "
     "configured"},
    {RULE_AT_MOST,
     {"token", "authorization", "oauth2"},
     "at most one of consul SD token, authorization, or oauth2 can be configured"}};
static const struct rule DOCKER_RULES[] = {NOT_EMPTY("host", "host missing")};
static const struct rule DOCKERSWARM_RULES[] = {
    NEEDS("host", "host missing"), NEEDS("role", "role missing (one of: tasks, services, nodes)"),
    ONE_OF("role", SWARM_ROLES)};
static const struct rule EUREKA_RULES[] = {
    NEEDS("server", "eureka_sd: empty or null eureka server"),
    {RULE_HTTP_URL, {"server"}, "invalid eureka server URL"}};
static const struct rule GCE_RULES[] = {NEEDS("project", "GCE SD configuration requires a project"),
                                        NEEDS("zone", "GCE SD configuration requires a zone")};
static const struct rule HETZNER_RULES[] = {NEEDS("role", "role missing (one of: robot, hcloud)"),
                                            ONE_OF("role", HETZNER_ROLES)};
static const struct rule IONOS_RULES[] = {NEEDS("datacenter_id", "datacenter id can't be empty")};
static const struct rule KUBERNETES_RULES[] = {
    NEEDS("role", "role missing (one of: pod, service, endpoints, endpointslice, node, ingress)"),
    ONE_OF("role", KUBERNETES_ROLES),
    {RULE_AT_MOST,
     {"kubeconfig_file", "api_server"},
     "cannot use 'kubeconfig_file' and 'api_server' simultaneously"}};
static const struct rule KUMA_RULES[] = {NEEDS("server", "kuma SD server must not be empty"),
                                         {RULE_HTTP_URL, {"server"}, "invalid kuma SD server URL"}};
static const struct rule MARATHON_RULES[] = {
    NEEDS("servers", "marathon_sd: must contain at least one Marathon server"),
    {RULE_AT_MOST,
     {"auth_token", "auth_token_file"},
     "marathon_sd: at most one of auth_token & auth_token_file must be configured"},
    {RULE_AT_MOST,
     {"auth_token", "basic_auth"},
     "marathon_sd: at most one of basic_auth, auth_token & auth_token_file must be configured"},
    {RULE_AT_MOST,
     {"auth_token_file", "basic_auth"},
     "marathon_sd: at most one of basic_auth, auth_token & auth_token_file must be configured"},
    {RULE_AT_MOST,
     {"auth_token", "bearer_token", "bearer_token_file"},
     "marathon_sd: at most one of bearer_token, bearer_token_file, auth_token & auth_token_file "
     "must be configured"},
    {RULE_AT_MOST,
     {"auth_token_file", "bearer_token", "bearer_token_file"},
     "marathon_sd: at most one of bearer_token, bearer_token_file, auth_token & auth_token_file "
     "must be configured"},
    {RULE_AT_MOST,
     {"auth_token", "authorization"},
     "marathon_sd: at most one of auth_token, auth_token_file & authorization must be configured"},
    {RULE_AT_MOST,
     {"auth_token_file", "authorization"},
     "marathon_sd: at most one of auth_token, auth_token_file & authorization must be configured"}};
static const struct rule NERVE_RULES[] = {
    NEEDS("servers", "nerve SD config must contain at least one Zookeeper server"),
    NEEDS("paths", "nerve SD config must contain at least one path")};
static const struct rule SERVERSET_RULES[] = {
    NEEDS("servers", "serverset SD config must contain at least one Zookeeper server"),
    NEEDS("paths", "serverset SD config must contain at least one path")};
static const struct rule NOMAD_RULES[] = {
    NOT_EMPTY("server", "nomad SD configuration requires a server address")};
static const struct rule OCI_RULES[] = {ONE_OF("auth", OCI_AUTH)};
static const struct rule OPENSTACK_RULES[] = {
    ONE_OF("availability", OPENSTACK_AVAILABILITY),
    NEEDS("role", "role missing (one of: instance, hypervisor, loadbalancer)"),
    ONE_OF("role", OPENSTACK_ROLES),
    NEEDS("region", "openstack SD configuration requires a region")};
static const struct rule OUTSCALE_RULES[] = {
    NOT_EMPTY("region", "outscale SD configuration requires a region"),
    NEEDS("access_key", "outscale SD configuration requires an access_key"),
    {RULE_EITHER, {"secret_key", "secret_key_file"}},
    {RULE_AT_MOST, {"secret_key", "secret_key_file"}}};
static const struct rule OVHCLOUD_RULES[] = {
    NOT_EMPTY("endpoint", "endpoint can not be empty"),
    NEEDS("application_key", "application key can not be empty"),
    NEEDS("application_secret", "application secret can not be empty"),
    NEEDS("consumer_key", "consumer key can not be empty"),
    NEEDS("service", "service is missing"),
    ONE_OF("service", OVH_SERVICES)};
static const struct rule PUPPETDB_RULES[] = {
    NEEDS("url", "URL is missing"), {RULE_HTTP_URL, {"url"}}, NEEDS("query", "query missing")};
static const struct rule SCALEWAY_RULES[] = {
    NEEDS("role", "role missing (one of: instance, baremetal)"),
    ONE_OF("role", SCALEWAY_ROLES),
    {RULE_EITHER, {"secret_key", "secret_key_file"}},
    {RULE_AT_MOST, {"secret_key", "secret_key_file"}},
    NEEDS("project_id", "scaleway SD configuration requires a project_id"),
    NEEDS("access_key", "scaleway SD configuration requires an access_key")};
static const struct rule STACKIT_RULES[] = {{RULE_HTTP_URL, {"endpoint"}, "invalid endpoint"}};
static const struct rule TRITON_RULES[] = {
    NEEDS("account", "triton SD configuration requires an account"),
    NEEDS("dns_suffix", "triton SD configuration requires a dns_suffix"),
    NEEDS("endpoint", "triton SD configuration requires an endpoint"),
    ONE_OF("role", TRITON_ROLES)};
static const struct rule UYUNI_RULES[] = {
    NEEDS("server", "Uyuni SD configuration requires server host"),
    NEEDS("username", "Uyuni SD configuration requires a username"),
    NEEDS("password", "Uyuni SD configuration requires a password")};

struct vendor {
    const char *kind; /* the name of the list in the file */
    struct section section;
    const struct rule *rules;
    size_t rule_count;
};

#define VENDOR(kind, fields, rules)                                                                \
    {                                                                                              \
        (kind), SECTION(kind, fields), RULES(rules)                                                \
    }
static const struct vendor VENDORS[] = {
    VENDOR("aws_sd_configs", AWS, AWS_RULES),
    VENDOR("azure_sd_configs", AZURE, AZURE_RULES),
    VENDOR("consul_sd_configs", CONSUL, CONSUL_RULES),
    {"digitalocean_sd_configs", SECTION("digitalocean_sd_configs", PORT_REFRESH), NULL, 0},
    VENDOR("docker_sd_configs", DOCKER, DOCKER_RULES),
    VENDOR("dockerswarm_sd_configs", DOCKERSWARM, DOCKERSWARM_RULES),
    {"ec2_sd_configs", SECTION("ec2_sd_configs", EC2), NULL, 0},
    VENDOR("eureka_sd_configs", SERVER_REFRESH, EUREKA_RULES),
    VENDOR("gce_sd_configs", GCE, GCE_RULES),
    VENDOR("hetzner_sd_configs", HETZNER, HETZNER_RULES),
    VENDOR("ionos_sd_configs", IONOS, IONOS_RULES),
    VENDOR("kubernetes_sd_configs", KUBERNETES, KUBERNETES_RULES),
    VENDOR("kuma_sd_configs", KUMA, KUMA_RULES),
    {"lightsail_sd_configs", SECTION("lightsail_sd_configs", LIGHTSAIL), NULL, 0},
    {"linode_sd_configs", SECTION("linode_sd_configs", LINODE), NULL, 0},
    VENDOR("marathon_sd_configs", MARATHON, MARATHON_RULES),
    VENDOR("nerve_sd_configs", ZOOKEEPER, NERVE_RULES),
    VENDOR("nomad_sd_configs", NOMAD, NOMAD_RULES),
    VENDOR("oci_sd_configs", OCI, OCI_RULES),
    VENDOR("openstack_sd_configs", OPENSTACK, OPENSTACK_RULES),
    VENDOR("outscale_sd_configs", OUTSCALE, OUTSCALE_RULES),
    VENDOR("ovhcloud_sd_configs", OVHCLOUD, OVHCLOUD_RULES),
    VENDOR("puppetdb_sd_configs", PUPPETDB, PUPPETDB_RULES),
    VENDOR("scaleway_sd_configs", SCALEWAY, SCALEWAY_RULES),
    VENDOR("serverset_sd_configs", ZOOKEEPER, SERVERSET_RULES),
    VENDOR("stackit_sd_configs", STACKIT, STACKIT_RULES),
    VENDOR("triton_sd_configs", TRITON, TRITON_RULES),
    VENDOR("uyuni_sd_configs", UYUNI, UYUNI_RULES),
    {"vultr_sd_configs", SECTION("vultr_sd_configs", PORT_REFRESH), NULL, 0},
};

size_t config_vendor_count(void)
{
    return ARRAY_COUNT(VENDORS);
}

const char *config_vendor_kind(size_t idx)
{
    ASSERT(idx < ARRAY_COUNT(VENDORS));
    return VENDORS[idx].kind;
}

/* --- checking --- */

static bool is_said(const struct yaml_node *node)
{
    return !yaml_is_null(node) && (node->kind == YAML_SCALAR ? node->text.len : node->count) > 0;
}

static bool text_is(const struct yaml_node *node, const char *word)
{
    return is_said(node) && node->kind == YAML_SCALAR && view_is(node->text, word);
}

static bool one_of(struct loader *l, const struct yaml_node *value, const char *field,
                   const char *const *words)
{
    struct buffer known;
    if (!is_said(value))
        return true;
    for (size_t i = 0; words[i]; i++) {
        if (text_is(value, words[i]))
            return true;
    }
    buffer_init(&known, MEM_CONFIG, 1024);
    for (size_t i = 0; words[i]; i++)
        buffer_printf(&known, "%s%s", i ? ", " : "", words[i]);
    (void)yaml_error(l->err, value, "unknown %s \"%.*s\", expected one of %.*s", field,
                     VIEW_ARGS(view_slice(value->text, 0, 100)),
                     VIEW_ARGS(buffer_view(&known))); /* always false, as we return */
    buffer_deinit(&known);
    return false;
}

static size_t count_said(const struct yaml_node *node, const struct rule *rule)
{
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(rule->fields) && rule->fields[i]; i++)
        count += is_said(yaml_find(node, rule->fields[i]));
    return count;
}

static bool check_rule(struct loader *l, const struct yaml_node *node, const struct rule *rule)
{
    const char *name = rule->fields[0];
    const struct yaml_node *value = yaml_find(node, name);
    const struct yaml_node *when = rule->when_field ? yaml_find(node, rule->when_field) : NULL;
    if (rule->when_field && is_said(when) && !text_is(when, rule->when_value))
        return true;
    switch (rule->kind) {
    case RULE_NEEDS:
        return is_said(value) || yaml_error(l->err, value ? value : node, "%s", rule->message);
    case RULE_NOT_EMPTY:
        return !value || is_said(value) || yaml_error(l->err, value, "%s", rule->message);
    case RULE_ONE_OF:
        return one_of(l, value, name, rule->words);
    case RULE_AT_MOST:
        if (count_said(node, rule) < 2)
            return true;
        return rule->message
                   ? yaml_error(l->err, value ? value : node, "%s", rule->message)
                   : yaml_error(l->err, value ? value : node,
                                "at most one of %s & %s must be configured", name, rule->fields[1]);
    case RULE_EITHER:
        return count_said(node, rule) > 0 ||
               yaml_error(l->err, node, "one of %s & %s must be configured", name, rule->fields[1]);
    case RULE_HTTP_URL: {
        struct error why = {0};
        if (!is_said(value) || config_http_url_check(value->text, &why))
            return true;
        return rule->message ? yaml_error(l->err, value, "%s: %s", rule->message, why.message)
                             : yaml_error(l->err, value, "%s", why.message);
    }
    }
    UNREACHABLE();
}

/* --- Kubernetes --- */

/* "a=b,c!=d": what the API server takes as a field selector. */
static bool field_selector_check(struct loader *l, const struct yaml_node *field)
{
    struct view rest = is_said(field) ? field->text : VIEW("");
    while (rest.len) {
        const char *comma = memchr(rest.ptr, ',', rest.len);
        struct view term = view_slice(rest, 0, comma ? (size_t)(comma - rest.ptr) : rest.len);
        rest = view_slice(rest, term.len + (comma != NULL), rest.len);
        if (term.len && !memchr(term.ptr, '=', term.len))
            return yaml_error(l->err, field,
                              "invalid selector: '%.*s'; can't understand '%.*s', expected "
                              "NAME=VALUE or NAME!=VALUE",
                              VIEW_ARGS(view_slice(field->text, 0, 200)),
                              VIEW_ARGS(view_slice(term, 0, 200)));
    }
    return true;
}

static bool selectors_check(struct loader *l, const struct yaml_node *node)
{
    static const struct {
        const char *role;
        const char *const selectors[4];
        const char *words;
    } SUPPORTED[] = {
        {"pod", {"pod", "node"}, "pod, node"},
        {"service", {"service"}, "service"},
        {"endpointslice", {"pod", "service", "endpointslice"}, "pod, service, endpointslice"},
        {"endpoints", {"pod", "service", "endpoints"}, "pod, service, endpoints"},
        {"node", {"node"}, "node"},
        {"ingress", {"ingress"}, "ingress"},
    };
    const struct yaml_node *list = yaml_find(node, "selectors"), *role = yaml_find(node, "role");
    for (uint32_t i = 0; list && list->kind == YAML_SEQUENCE && i < list->count; i++) {
        const struct yaml_node *item = list->items[i], *own = yaml_find(item, "role");
        bool fits = false;
        const char *words = "";
        for (uint32_t j = 0; j < i; j++) {
            const struct yaml_node *other = yaml_find(list->items[j], "role");
            if (is_said(own) && is_said(other) && view_eq(own->text, other->text))
                return yaml_error(l->err, own, "duplicated selector role: %.*s",
                                  VIEW_ARGS(view_slice(own->text, 0, 100)));
        }
        for (size_t j = 0; j < ARRAY_COUNT(SUPPORTED); j++) {
            if (!text_is(role, SUPPORTED[j].role))
                continue;
            words = SUPPORTED[j].words;
            for (size_t k = 0; k < ARRAY_COUNT(SUPPORTED[j].selectors); k++)
                fits |= SUPPORTED[j].selectors[k] && text_is(own, SUPPORTED[j].selectors[k]);
        }
        if (!fits)
            return yaml_error(l->err, own ? own : item, "%.*s role supports only %s selectors",
                              VIEW_ARGS(role->text), words);
        if (!field_selector_check(l, yaml_find(item, "field")))
            return false;
    }
    return true;
}

static bool http_is_default(const struct config_http_client *http, const struct yaml_node *node)
{
    return !http->basic_auth && !http->authorization && !http->oauth2 && !http->proxy.url.len &&
           !http->proxy.from_environment && !http->http_headers.count && http->follow_redirects &&
           http->enable_http2 && !is_said(yaml_find(node, "tls_config"));
}

static bool kubernetes_check(struct loader *l, const struct yaml_node *node,
                             const struct config_http_client *http)
{
    const struct yaml_node *api = yaml_find(node, "api_server");
    const struct yaml_node *kubeconfig = yaml_find(node, "kubeconfig_file");
    const struct yaml_node *own = yaml_find(yaml_find(node, "namespaces"), "own_namespace");
    bool plain = http_is_default(http, node), own_namespace = false;
    if (own)
        (void)yaml_as_bool(own, &own_namespace); /* it was read: it is one */
    if (is_said(kubeconfig) && !plain)
        return yaml_error(l->err, kubeconfig,
                          "cannot use a custom HTTP client configuration together with "
                          "'kubeconfig_file'");
    if (!is_said(api) && !plain)
        return yaml_error(l->err, node,
                          "to use custom HTTP client configuration please provide the "
                          "'api_server' URL explicitly");
    if (is_said(api) && own_namespace)
        return yaml_error(l->err, own,
                          "cannot use 'api_server' and 'namespaces.own_namespace' simultaneously");
    if (is_said(kubeconfig) && own_namespace)
        return yaml_error(
            l->err, own,
            "cannot use 'kubeconfig_file' and 'namespaces.own_namespace' simultaneously");
    return selectors_check(l, node);
}

/* Filters of EC2 and its like have values; those of Docker are not asked. */
static bool filters_check(struct loader *l, const struct yaml_node *node)
{
    const struct yaml_node *list = yaml_find(node, "filters");
    for (uint32_t i = 0; list && list->kind == YAML_SEQUENCE && i < list->count; i++) {
        if (!is_said(yaml_find(list->items[i], "values")))
            return yaml_error(l->err, list->items[i],
                              "EC2 SD configuration filter values cannot be empty");
    }
    return true;
}

bool config_vendor_check(struct loader *l, const char *kind, const struct yaml_node *node,
                         const struct config_http_client *http)
{
    struct scrap scrap;
    for (size_t i = 0; i < ARRAY_COUNT(VENDORS); i++) {
        const struct vendor *v = &VENDORS[i];
        if (v->kind != kind)
            continue;
        if (!config_read_section(l, &v->section, node, &scrap))
            return false;
        for (size_t r = 0; r < v->rule_count; r++) {
            if (!check_rule(l, node, &v->rules[r]))
                return false;
        }
        if (v->section.fields == KUBERNETES)
            return kubernetes_check(l, node, http);
        if (v->section.fields == EC2 || v->section.fields == AWS)
            return filters_check(l, node);
        return true;
    }
    UNREACHABLE();
}
