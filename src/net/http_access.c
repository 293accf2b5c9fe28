/* SPDX-License-Identifier: Apache-2.0 */
/* http_access.c: is the caller a program or person on this machine, does a page of another site speak through
 * their browser, and what may they do while there are no users.
 *
 * Local is who could read the server's files anyway, so the test must not be passed by anybody else:
 *  - the peer's address is loopback, and no header says that a proxy on this machine speaks for somebody;
 *  - Host names the loopback itself. A page of evil.example whose name is made to resolve to 127.0.0.1 (DNS
 *    rebinding) speaks from this machine's browser and is same-origin to itself, but says "Host: evil.example";
 *  - no Origin of another site: a browser sends one with each request that a page makes across sites.
 * A proxy that adds no header at all and rewrites Host (nginx without proxy_set_header) cannot be told from a
 * local program: docs/access.md says to add users first.
 *
 * A browser also lets any site's page send a form here, with what it keeps of passwords. So a request that changes
 * something must not come from another site, whoever sent it; a bearer token is never sent by itself. */
#include "base/assert.h"
#include "net/http_private.h"

#include <arpa/inet.h>
#include <strings.h>

static const char *const ROLE_NAMES[] = {
    [HTTP_ROLE_UNSET] = "",          [HTTP_ROLE_PUBLIC] = "none", [HTTP_ROLE_VIEW] = "view",
    [HTTP_ROLE_SILENCE] = "silence", [HTTP_ROLE_EDIT] = "edit",   [HTTP_ROLE_ADMIN] = "admin",
};

const char *http_role_name(enum http_role role)
{
    return ROLE_NAMES[role];
}

bool http_role_parse(struct view name, enum http_role *out)
{
    for (size_t i = HTTP_ROLE_PUBLIC; i < ARRAY_COUNT(ROLE_NAMES); i++) {
        if (view_is(name, ROLE_NAMES[i])) {
            *out = (enum http_role)i;
            return true;
        }
    }
    return false;
}

bool peer_is_loopback(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr) >> 24 == 127;
    if (sa->sa_family != AF_INET6)
        return false;
    const struct in6_addr *a = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(a) || (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == 127);
}

/* "host:port", "[v6]:port", "host" -> host, without brackets. */
static struct view host_part(struct view authority)
{
    if (authority.len && authority.ptr[0] == '[') {
        const char *end = memchr(authority.ptr, ']', authority.len);
        return end ? view_slice(authority, 1, (size_t)(end - authority.ptr)) : authority;
    }
    const char *colon = memchr(authority.ptr, ':', authority.len);
    return colon ? view_slice(authority, 0, (size_t)(colon - authority.ptr)) : authority;
}

enum host_kind { HOST_NAME, HOST_ADDRESS, HOST_LOOPBACK };

/* Names that no resolver may send elsewhere (RFC 6761), and the addresses themselves. */
static enum host_kind host_kind_of(struct view authority)
{
    struct view host = host_part(authority);
    char text[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;
    if (view_is_any_case(host, "localhost") ||
        (host.len > 10 && strncasecmp(host.ptr + host.len - 10, ".localhost", 10) == 0))
        return HOST_LOOPBACK;
    if (host.len == 0 || host.len >= sizeof text)
        return HOST_NAME;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    if (inet_pton(AF_INET, text, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127 ? HOST_LOOPBACK : HOST_ADDRESS;
    if (inet_pton(AF_INET6, text, &v6) != 1)
        return HOST_NAME;
    return IN6_IS_ADDR_LOOPBACK(&v6) ? HOST_LOOPBACK : HOST_ADDRESS;
}

static bool host_is_loopback(struct view authority)
{
    return host_kind_of(authority) == HOST_LOOPBACK;
}

bool http_address_is_loopback(const char *address)
{
    return host_is_loopback(view_from(address));
}

static bool origin_is_external(const struct http_request *rq, struct view origin)
{
    struct view external = rq->server->external_origin;
    return external.len && external.len == origin.len &&
           strncasecmp(external.ptr, origin.ptr, origin.len) == 0;
}

/* "http://host:port" of this very server, as the browser that sends it addressed it, or of its address outside. */
static bool origin_is_own(const struct http_request *rq, struct view origin)
{
    struct view host = http_request_header(rq, "Host");
    if (origin_is_external(rq, origin))
        return true;
    static const struct view SCHEMES[] = {VIEW_INIT("http://"), VIEW_INIT("https://")};
    for (size_t i = 0; i < ARRAY_COUNT(SCHEMES); i++)
        if (view_has_prefix(origin, SCHEMES[i])) {
            struct view rest = view_slice(origin, SCHEMES[i].len, origin.len);
            return host.len && rest.len == host.len &&
                   strncasecmp(rest.ptr, host.ptr, host.len) == 0;
        }
    return false; /* "null" too: a sandboxed frame, a file, a redirect */
}

void request_judge_caller(struct http_request *rq)
{
    static const char *const FORWARDED[] = {"Forwarded",        "X-Forwarded-For",
                                            "X-Forwarded-Host", "X-Forwarded-Proto",
                                            "X-Real-IP",        "Via"};
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(rq->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct view host = http_request_header(rq, "Host"), origin = http_request_header(rq, "Origin");
    rq->stranger = NULL;
    if (info == NULL || info->client_addr == NULL || !peer_is_loopback(info->client_addr))
        rq->stranger = "it comes from another address than loopback";
    for (size_t i = 0; i < ARRAY_COUNT(FORWARDED) && rq->stranger == NULL; i++)
        if (http_request_header(rq, FORWARDED[i]).len)
            rq->stranger = "a proxy's header says that it was forwarded";
    if (rq->stranger == NULL && host.len && !host_is_loopback(host))
        rq->stranger = "its Host is not localhost";
    if (rq->stranger == NULL && origin.len && !origin_is_own(rq, origin))
        rq->stranger = "a page of another site sent it";
}

static bool has_bearer(const struct http_request *rq)
{
    struct view value = http_request_header(rq, "Authorization");
    return value.len > 7 && view_has_prefix_any_case(value, "Bearer ");
}

/* Reads that happen to be POST (queries) may come from anywhere: an answer is only shown to sites that
 * --web.cors.origin names. */
bool request_check_site(struct http_request *rq)
{
    unsigned reads = HTTP_GET | HTTP_HEAD | HTTP_OPTIONS;
    if ((rq->method & reads) || has_bearer(rq) ||
        (rq->route->cors && rq->route->role <= HTTP_ROLE_VIEW && !rq->route->opened_by_flag))
        return true;
    struct view origin = http_request_header(rq, "Origin"),
                site = http_request_header(rq, "Sec-Fetch-Site");
    bool own = origin.len == 0 || origin_is_own(rq, origin);
    if (own && (site.len == 0 || view_is(site, "same-origin") || view_is(site, "none")))
        return true;
    http_response_error(&rq->response, 403,
                        "403 Forbidden: a page of another site may not change anything here");
    return false;
}

enum http_role http_request_role_needed(const struct http_request *rq)
{
    return rq->route->role;
}

bool http_request_is_local(const struct http_request *rq)
{
    return rq->stranger == NULL;
}

void http_request_set_role(struct http_request *rq, enum http_role role)
{
    ASSERT(role != HTTP_ROLE_UNSET);
    rq->role = role;
}

/* Did a page send it whose name anybody may have made to point here (DNS rebinding)? It would be a page of this very
 * server by all that the browser says. Sessions need no such check: the cookie is the true name's. */
static bool page_may_be_rebound(const struct http_request *rq)
{
    struct view origin = http_request_header(rq, "Origin");
    return origin.len && !origin_is_external(rq, origin) &&
           host_kind_of(http_request_header(rq, "Host")) == HOST_NAME;
}

enum http_verdict http_access_without_users(struct http_request *rq, struct http_response *rs)
{
    const struct http_server_options *o = &rq->server->options;
    const struct http_route *route = rq->route;
    rq->role = rq->stranger ? o->anonymous_role : HTTP_ROLE_ADMIN;
    /* A flag of Prometheus' opens its routes to everybody, as there; not to pages of other sites. */
    bool opened = route->opened_by_flag && rq->role >= HTTP_ROLE_VIEW;
    if (rq->role >= route->role || (opened && !page_may_be_rebound(rq)))
        return HTTP_ALLOWED;
    http_response_error(rs, 403,
                        "403 Forbidden: this needs the role %s, and while there are no users this "
                        "request has the role %s, because %s%s%s",
                        http_role_name(route->role), http_role_name(rq->role),
                        rq->stranger ? rq->stranger : "it is local", o->forbidden_hint ? "; " : "",
                        o->forbidden_hint ? o->forbidden_hint : "");
    return HTTP_REFUSED;
}
