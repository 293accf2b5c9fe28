/* SPDX-License-Identifier: Apache-2.0 */
/* address_class.c: the registries of special addresses (IANA, RFC 6890 and those after it) as two tables, the first
 * match counts. IPv6 outside of 2000::/3 is no global unicast, so what no row names there is reserved. */
#include "net/address_class.h"

#include "base/attributes.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct range4 {
    uint32_t from; /* host order */
    unsigned bits;
    enum address_class class;
};

#define V4(a, b, c, d)                                                                             \
    ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

static const struct range4 RANGES4[] = {
    {V4(0, 0, 0, 0), 32, ADDRESS_UNSPECIFIED},
    {V4(0, 0, 0, 0), 8, ADDRESS_RESERVED}, /* "this network" */
    {V4(127, 0, 0, 0), 8, ADDRESS_LOOPBACK},
    {V4(169, 254, 0, 0), 16, ADDRESS_LINK_LOCAL},
    {V4(168, 63, 129, 16), 32, ADDRESS_LINK_LOCAL},   /* Azure's */
    {V4(100, 100, 100, 200), 32, ADDRESS_LINK_LOCAL}, /* Alibaba's */
    {V4(10, 0, 0, 0), 8, ADDRESS_PRIVATE},
    {V4(172, 16, 0, 0), 12, ADDRESS_PRIVATE},
    {V4(192, 168, 0, 0), 16, ADDRESS_PRIVATE},
    {V4(100, 64, 0, 0), 10, ADDRESS_PRIVATE},
    {V4(192, 0, 0, 0), 24, ADDRESS_RESERVED},
    {V4(192, 0, 2, 0), 24, ADDRESS_RESERVED},
    {V4(192, 88, 99, 0), 24, ADDRESS_RESERVED},
    {V4(198, 18, 0, 0), 15, ADDRESS_RESERVED},
    {V4(198, 51, 100, 0), 24, ADDRESS_RESERVED},
    {V4(203, 0, 113, 0), 24, ADDRESS_RESERVED},
    {V4(224, 0, 0, 0), 4, ADDRESS_MULTICAST},
    {V4(255, 255, 255, 255), 32, ADDRESS_BROADCAST},
    {V4(240, 0, 0, 0), 4, ADDRESS_RESERVED},
};

static enum address_class class4(uint32_t address)
{
    for (size_t i = 0; i < ARRAY_COUNT(RANGES4); i++)
        if ((address ^ RANGES4[i].from) >> (32 - RANGES4[i].bits) == 0)
            return RANGES4[i].class;
    return ADDRESS_PUBLIC;
}

struct range6 {
    uint8_t from[16];
    unsigned bits;
    enum address_class class;
    int inner; /* byte where an IPv4 address begins, whose class counts; 0 = none */
};

static const struct range6 RANGES6[] = {
    {{0}, 128, ADDRESS_UNSPECIFIED, 0},
    {{[15] = 1}, 128, ADDRESS_LOOPBACK, 0},
    {{[10] = 0xff, 0xff}, 96, ADDRESS_PUBLIC, 12},         /* mapped, RFC 4291 */
    {{[8] = 0xff, 0xff}, 96, ADDRESS_PUBLIC, 12},          /* translated, RFC 2765 */
    {{0}, 96, ADDRESS_PUBLIC, 12},                         /* compatible, RFC 4291 */
    {{0x00, 0x64, 0xff, 0x9b}, 96, ADDRESS_PUBLIC, 12},    /* NAT64, RFC 6052 */
    {{0x20, 0x02}, 16, ADDRESS_PUBLIC, 2},                 /* 6to4, RFC 3056 */
    {{0xfd, 0x00, 0x0e, 0xc2}, 32, ADDRESS_LINK_LOCAL, 0}, /* Amazon's metadata */
    {{0xfd, 0x20, 0x00, 0xce}, 32, ADDRESS_LINK_LOCAL, 0}, /* Google's */
    {{0xfc}, 7, ADDRESS_PRIVATE, 0},
    {{0xfe, 0x80}, 10, ADDRESS_LINK_LOCAL, 0},
    {{0xff}, 8, ADDRESS_MULTICAST, 0},
    {{0x20, 0x01}, 23, ADDRESS_RESERVED, 0},             /* protocols: Teredo, ORCHID, benchmarks */
    {{0x20, 0x01, 0x0d, 0xb8}, 32, ADDRESS_RESERVED, 0}, /* documentation */
    {{0x3f, 0xff}, 20, ADDRESS_RESERVED, 0},             /* documentation, RFC 9637 */
    {{0x20}, 3, ADDRESS_PUBLIC, 0},                      /* global unicast */
};

static bool range6_has(const struct range6 *range, const uint8_t address[16])
{
    size_t whole = range->bits / 8, rest = range->bits % 8;
    if (memcmp(range->from, address, whole) != 0)
        return false;
    return rest == 0 || (range->from[whole] ^ address[whole]) >> (8 - rest) == 0;
}

static enum address_class class6(const uint8_t address[16])
{
    for (size_t i = 0; i < ARRAY_COUNT(RANGES6); i++) {
        const struct range6 *range = &RANGES6[i];
        if (!range6_has(range, address))
            continue;
        const uint8_t *v4 = address + range->inner;
        return range->inner ? class4(V4(v4[0], v4[1], v4[2], v4[3])) : range->class;
    }
    return ADDRESS_RESERVED;
}

enum address_class address_class_of(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return class4(ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr));
    if (address->sa_family == AF_INET6)
        return class6(((const struct sockaddr_in6 *)(const void *)address)->sin6_addr.s6_addr);
    return ADDRESS_RESERVED;
}

const char *address_class_name(enum address_class class)
{
    static const char *const NAMES[] = {
        [ADDRESS_PUBLIC] = "public",           [ADDRESS_LOOPBACK] = "loopback",
        [ADDRESS_UNSPECIFIED] = "unspecified", [ADDRESS_LINK_LOCAL] = "link-local",
        [ADDRESS_MULTICAST] = "multicast",     [ADDRESS_BROADCAST] = "broadcast",
        [ADDRESS_RESERVED] = "reserved",       [ADDRESS_PRIVATE] = "private"};
    return NAMES[class];
}
