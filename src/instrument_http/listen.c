/* SPDX-License-Identifier: Apache-2.0 */
/* listen.c: see listen.h. net/http_server.c has a relative of this that ends the process without memory, which a library
 * in somebody's program must not. */
#include "instrument_http/listen.h"

#include "instrument_http/fail.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 128 };

static int listen_on(const struct sockaddr *sa, socklen_t bytes, bool dual_stack)
{
    int on = 1, v6_only = !dual_stack;
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    bool ok = sa->sa_family == AF_UNIX ||
              (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
               (sa->sa_family != AF_INET6 ||
                setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only) == 0));
    if (ok && bind(fd, sa, bytes) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int saved = errno;
    (void)close(fd); /* nothing was written to it */
    errno = saved;
    return -1;
}

/* ---- unix ---- */

/* A socket that nobody answers on was left by a process that is gone. */
static bool is_left_over(const struct sockaddr_un *sa, socklen_t bytes)
{
    struct stat st;
    if (lstat(sa->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    bool refused = connect(fd, (const struct sockaddr *)sa, bytes) != 0 && errno == ECONNREFUSED;
    (void)close(fd); /* nothing was written to it */
    return refused;
}

static belfry_status listen_unix(struct listening *out, const char *path, belfry_http_error *error)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof sa.sun_path || len + 6 > sizeof out->address)
        return belfry__http_fail(error, BELFRY_ERROR_FORMAT,
                                 "address \"unix:%.64s\": expected a path of 1 to %zu bytes", path,
                                 sizeof sa.sun_path - 1);
    memcpy(sa.sun_path, path, len + 1);
    if (is_left_over(&sa, sizeof sa))
        (void)unlink(path); /* bind() says it when this failed */
    out->fd = listen_on((const struct sockaddr *)&sa, sizeof sa, false);
    if (out->fd < 0)
        return belfry__http_fail(error, BELFRY_ERROR_SYSTEM, "could not listen on \"unix:%s\": %s",
                                 path, strerror(errno));
    out->is_unix = true;
    (void)snprintf(out->address, sizeof out->address, "unix:%s", path); /* fits: checked */
    return BELFRY_OK;
}

void belfry__listen_forget(const struct listening *l)
{
    if (l->is_unix)
        (void)unlink(l->address + 5); /* somebody else may have been faster */
}

/* ---- TCP ---- */

/* All of IPv6 and IPv4 through one socket; machines without IPv6 get IPv4. */
static int listen_anywhere(uint16_t port)
{
    struct sockaddr_in6 v6 = {
        .sin6_family = AF_INET6, .sin6_addr = in6addr_any, .sin6_port = htons(port)};
    struct sockaddr_in v4 = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY), .sin_port = htons(port)};
    int fd = listen_on((const struct sockaddr *)&v6, sizeof v6, true);
    if (fd >= 0 || (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL))
        return fd;
    return listen_on((const struct sockaddr *)&v4, sizeof v4, false);
}

/* "host:port", "[v6]:port", ":port" into two strings. NULL, or what is wrong. */
static const char *split(const char *text, char host[256], char port[8])
{
    const char *colon = strrchr(text, ':');
    char *end;
    if (!colon)
        return "it has no port: expected host:port";
    size_t host_len = (size_t)(colon - text), port_len = strlen(colon + 1);
    if (host_len >= 2 && text[0] == '[' && colon[-1] == ']') {
        text++;
        host_len -= 2;
    } else if (memchr(text, ':', host_len)) {
        return "an IPv6 address is written in brackets";
    }
    if (port_len == 0 || port_len > 5 || strspn(colon + 1, "0123456789") != port_len ||
        strtoul(colon + 1, &end, 10) > 65535 || host_len >= 256)
        return "expected host:port with a port from 0 to 65535";
    memcpy(host, text, host_len);
    host[host_len] = '\0';
    memcpy(port, colon + 1, port_len + 1);
    return NULL;
}

static bool name_socket(struct listening *l)
{
    struct sockaddr_storage name;
    socklen_t bytes = sizeof name;
    char host[64], port[8];
    if (getsockname(l->fd, (struct sockaddr *)&name, &bytes) != 0 ||
        getnameinfo((struct sockaddr *)&name, bytes, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return false;
    bool v6 = name.ss_family == AF_INET6;
    l->port = (uint16_t)strtoul(port, NULL, 10);
    (void)snprintf(l->address, sizeof l->address, "%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "",
                   port); /* fits */
    return true;
}

static int listen_resolved(const char *host, const char *port, int *resolver_code)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int fd = -1;
    *resolver_code = getaddrinfo(host, port, &hints, &found);
    if (*resolver_code != 0)
        return -1;
    for (const struct addrinfo *ai = found; ai && fd < 0; ai = ai->ai_next)
        fd = listen_on(ai->ai_addr, ai->ai_addrlen, false);
    int saved = errno;
    freeaddrinfo(found);
    errno = saved;
    return fd;
}

belfry_status belfry__listen(struct listening *out, const char *address, belfry_http_error *error)
{
    char host[256], port[8];
    int code = 0;
    *out = (struct listening){.fd = -1};
    if (!address)
        return belfry__http_fail(error, BELFRY_ERROR_FORMAT, "an address is NULL");
    if (strncmp(address, "unix:", 5) == 0)
        return listen_unix(out, address + 5, error);
    const char *fault = split(address, host, port);
    if (fault)
        return belfry__http_fail(error, BELFRY_ERROR_FORMAT, "address \"%.64s\": %s", address,
                                 fault);
    out->fd = host[0] ? listen_resolved(host, port, &code)
                      : listen_anywhere((uint16_t)strtoul(port, NULL, 10));
    if (code != 0)
        return belfry__http_fail(error, BELFRY_ERROR_FORMAT,
                                 "address \"%.64s\": could not resolve the host: %s", address,
                                 gai_strerror(code));
    if (out->fd >= 0 && name_socket(out))
        return BELFRY_OK;
    int saved = errno;
    if (out->fd >= 0)
        (void)close(out->fd); /* nothing was written to it */
    out->fd = -1;
    errno = saved;
    return belfry__http_fail(error, BELFRY_ERROR_SYSTEM, "could not listen on \"%.64s\": %s",
                             address, strerror(saved));
}
