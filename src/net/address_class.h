/* SPDX-License-Identifier: Apache-2.0 */
/* address_class.h: what kind of place an address is, for programs that fetch URLs of strangers: an address that only
 * this machine or this network can reach must not be read on their behalf (SSRF). */
#ifndef BELFRY_NET_ADDRESS_CLASS_H
#define BELFRY_NET_ADDRESS_CLASS_H

#include <sys/socket.h>

enum address_class {
    ADDRESS_PUBLIC,
    ADDRESS_LOOPBACK,
    ADDRESS_UNSPECIFIED, /* 0.0.0.0 and ::, which Linux connects to itself */
    ADDRESS_LINK_LOCAL, /* and where clouds tell a machine its secrets, whatever the network it is in */
    ADDRESS_MULTICAST,
    ADDRESS_BROADCAST,
    ADDRESS_RESERVED, /* documentation, benchmarks, what is not global unicast, families other than IP */
    ADDRESS_PRIVATE /* 10/8, 172.16/12, 192.168/16, 100.64/10, fc00::/7 */
};

/* An IPv4 address inside one of IPv6 (mapped, translated, compatible, NAT64, 6to4) has the class of the IPv4 address. */
enum address_class address_class_of(const struct sockaddr *address);
/* "loopback"; static. */
const char *address_class_name(enum address_class class);

#endif
