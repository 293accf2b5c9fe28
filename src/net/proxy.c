/* SPDX-License-Identifier: Apache-2.0 */
#include "net/proxy.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

/* The address in 16 bytes, IPv4 mapped into IPv6. */
static bool address_parse(struct view text, unsigned char out[16])
{
    char copy[INET6_ADDRSTRLEN];
    if (text.len >= 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']')
        text = view_slice(text, 1, text.len - 1);
    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    if (inet_pton(AF_INET6, copy, out) == 1)
        return true;
    memset(out, 0, 10);
    out[10] = out[11] = 0xff;
    return inet_pton(AF_INET, copy, out + 12) == 1;
}

static bool bits_equal(const unsigned char *a, const unsigned char *b, unsigned bits)
{
    for (unsigned i = 0; i < bits; i++) {
        if ((a[i / 8] ^ b[i / 8]) & (0x80 >> (i % 8)))
            return false;
    }
    return true;
}

/* 10.0.0.0/8 */
static bool network_matches(struct view item, const unsigned char host[16])
{
    unsigned char network[16];
    const char *slash = memchr(item.ptr, '/', item.len);
    size_t at = (size_t)(slash - item.ptr);
    unsigned bits = 0;
    if (!address_parse(view_slice(item, 0, at), network) || at + 1 == item.len)
        return false;
    for (size_t i = at + 1; i < item.len; i++) {
        if (item.ptr[i] < '0' || item.ptr[i] > '9' || bits > 128)
            return false;
        bits = bits * 10 + (unsigned)(item.ptr[i] - '0');
    }
    bits += memchr(item.ptr, ':', at) ? 0 : 96;
    return bits <= 128 && bits_equal(network, host, bits);
}

/* Takes ":8080" off; an address of IPv6 without brackets has none. */
static struct view split_port(struct view *item)
{
    size_t at = item->len;
    while (at > 0 && item->ptr[at - 1] >= '0' && item->ptr[at - 1] <= '9')
        at--;
    if (at == 0 || at == item->len || item->ptr[at - 1] != ':')
        return (struct view){"", 0};
    if (item->ptr[0] != '[' && memchr(item->ptr, ':', at - 1))
        return (struct view){"", 0};
    struct view port = view_slice(*item, at, item->len);
    *item = view_slice(*item, 0, at - 1);
    return port;
}

static bool name_matches(struct view item, struct view host)
{
    if (view_has_prefix(item, VIEW("*.")))
        item = view_slice(item, 1, item.len);
    bool below_only = item.len > 0 && item.ptr[0] == '.';
    struct view bare = below_only ? view_slice(item, 1, item.len) : item;
    if (bare.len == 0)
        return false;
    if (!below_only && view_eq_any_case(host, bare))
        return true;
    return host.len > bare.len + 1 && host.ptr[host.len - bare.len - 1] == '.' &&
           view_eq_any_case(view_slice(host, host.len - bare.len, host.len), bare);
}

bool proxy_no_proxy_matches(struct view no_proxy, struct view host, struct view port)
{
    unsigned char address[16], other[16];
    bool is_address = address_parse(host, address);
    while (no_proxy.len) {
        const char *comma = memchr(no_proxy.ptr, ',', no_proxy.len);
        struct view item =
            view_slice(no_proxy, 0, comma ? (size_t)(comma - no_proxy.ptr) : no_proxy.len);
        no_proxy = view_slice(no_proxy, item.len + (comma != NULL), no_proxy.len);
        while (item.len && item.ptr[0] == ' ')
            item = view_slice(item, 1, item.len);
        while (item.len && item.ptr[item.len - 1] == ' ')
            item.len--;
        if (view_is(item, "*"))
            return true;
        if (item.len && memchr(item.ptr, '/', item.len)) {
            if (is_address && network_matches(item, address))
                return true;
            continue;
        }
        struct view item_port = split_port(&item);
        if (item_port.len && !view_eq(item_port, port))
            continue;
        if (address_parse(item, other) ? is_address && bits_equal(other, address, 128)
                                       : !is_address && name_matches(item, host))
            return true;
    }
    return false;
}

bool proxy_is_loopback(struct view host)
{
    unsigned char address[16];
    static const unsigned char SIX[16] = {[15] = 1};
    if (view_eq_any_case(host, VIEW("localhost")))
        return true;
    return address_parse(host, address) &&
           (memcmp(address, SIX, 16) == 0 || (address[10] == 0xff && address[12] == 127));
}

static const char *environment(const char *upper, const char *lower)
{
    const char *value = getenv(upper);
    if (!value || !*value)
        value = getenv(lower);
    return value ? value : "";
}

/* The proxy of the environment for this scheme. In a CGI program HTTP_PROXY is what a client sent. */
const char *proxy_environment(bool https)
{
    const char *method = getenv("REQUEST_METHOD");
    if (https)
        return environment("HTTPS_PROXY", "https_proxy");
    return method && *method ? "" : environment("HTTP_PROXY", "http_proxy");
}

const char *proxy_environment_no_proxy(void)
{
    return environment("NO_PROXY", "no_proxy");
}
