/* SPDX-License-Identifier: Apache-2.0 */
/* host_network.c: traffic per network device from /proc/net/dev, and what /sys/class/net says of it. */
#include "instrument/proc.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEVICE_COUNT_MAX = 1024, DEVICE_NAME_BYTES = 64, NET_FIELD_COUNT = 16 };

struct net_device {
    char name[DEVICE_NAME_BYTES];
    uint64_t fields[NET_FIELD_COUNT];
};

/* In the order of /proc/net/dev. */
static const char *const NET_FIELDS[NET_FIELD_COUNT] = {
    "receive_bytes",  "receive_packets",  "receive_errs",       "receive_drop",
    "receive_fifo",   "receive_frame",    "receive_compressed", "receive_multicast",
    "transmit_bytes", "transmit_packets", "transmit_errs",      "transmit_drop",
    "transmit_fifo",  "transmit_colls",   "transmit_carrier",   "transmit_compressed",
};

/* "  eth0: 1 2 3 ..." or "eth0:1 2 3": the last colon ends the name (an alias has one inside). */
static bool device_line(struct span line, struct net_device *d)
{
    const char *colon = line.len ? memrchr(line.ptr, ':', line.len) : NULL;
    if (!colon)
        return false;
    struct span head = {line.ptr, (size_t)(colon - line.ptr)}, name, word;
    struct span rest = {colon + 1, line.len - head.len - 1};
    if (!belfry__span_word(&head, &name) || !belfry__span_copy(name, d->name, sizeof(d->name)))
        return false;
    for (int i = 0; i < NET_FIELD_COUNT; i++) {
        if (!belfry__span_word(&rest, &word) || !belfry__span_unsigned(word, &d->fields[i]))
            return false;
    }
    return strcmp(d->name, "lo") != 0; /* node_exporter's default as Debian builds it */
}

/* False where there is no such property, or it is not known now. */
static bool property_text(char out[PROC_NAME_BYTES], const char *root, const char *device,
                          const char *property)
{
    char path[512];
    int len = snprintf(path, sizeof(path), "/sys/class/net/%s/%s", device, property);
    return len > 0 && (size_t)len < sizeof(path) && belfry__proc_read_line(out, root, path);
}

/* Decimal, or hexadecimal with 0x. */
static bool property_number(double *out, const char *root, const char *device, const char *property)
{
    char text[PROC_NAME_BYTES];
    if (!property_text(text, root, device, property))
        return false;
    if (strncmp(text, "0x", 2) == 0) {
        char *end;
        unsigned long long v = strtoull(text, &end, 16);
        *out = (double)v;
        return *end == '\0' && end > text + 2;
    }
    return belfry__span_decimal((struct span){text, strlen(text)}, out);
}

static void emit_counter_family(belfry_emitter *e, const char *field)
{
    char name[96], help[96];
    snprintf(name, sizeof(name), "node_network_%s_total", field);
    snprintf(help, sizeof(help), "Network device statistic %s.", field);
    belfry_emit_family(e, name, help, BELFRY_COUNTER);
}

void belfry__emit_netdev(belfry_emitter *e, struct span text, const char *root)
{
    struct net_device *devices = calloc(DEVICE_COUNT_MAX, sizeof(devices[0]));
    size_t count = 0;
    struct span line;
    while (devices && count < DEVICE_COUNT_MAX && belfry__span_line(&text, &line))
        count += device_line(line, &devices[count]);
    for (int field = 0; field < NET_FIELD_COUNT && count > 0; field++) {
        emit_counter_family(e, NET_FIELDS[field]);
        for (size_t i = 0; i < count; i++) {
            const belfry_label label = {"device", devices[i].name};
            belfry_emit_sample(e, NULL, &label, 1, (double)devices[i].fields[field]);
        }
    }
    emit_counter_family(e, "receive_nohandler"); /* not in the file, so from /sys */
    for (size_t i = 0; i < count; i++) {
        const belfry_label label = {"device", devices[i].name};
        double value;
        if (property_number(&value, root, devices[i].name, "statistics/rx_nohandler"))
            belfry_emit_sample(e, NULL, &label, 1, value);
    }
    free(devices);
}

/* --- /sys/class/net --- */

static const struct {
    const char *property, *name;
    belfry_metric_type type;
    double scale;
} PROPERTIES[] = {
    {"addr_assign_type", "address_assign_type", BELFRY_GAUGE, 1},
    {"carrier", "carrier", BELFRY_GAUGE, 1},
    {"carrier_changes", "carrier_changes_total", BELFRY_COUNTER, 1},
    {"carrier_down_count", "carrier_down_changes_total", BELFRY_COUNTER, 1},
    {"carrier_up_count", "carrier_up_changes_total", BELFRY_COUNTER, 1},
    {"dev_id", "device_id", BELFRY_GAUGE, 1},
    {"dormant", "dormant", BELFRY_GAUGE, 1},
    {"flags", "flags", BELFRY_GAUGE, 1},
    {"ifindex", "iface_id", BELFRY_GAUGE, 1},
    {"iflink", "iface_link", BELFRY_GAUGE, 1},
    {"link_mode", "iface_link_mode", BELFRY_GAUGE, 1},
    {"mtu", "mtu_bytes", BELFRY_GAUGE, 1},
    {"name_assign_type", "name_assign_type", BELFRY_GAUGE, 1},
    {"netdev_group", "net_dev_group", BELFRY_GAUGE, 1},
    {"type", "protocol_type", BELFRY_GAUGE, 1},
    {"speed", "speed_bytes", BELFRY_GAUGE, 1e6 / 8}, /* from megabits */
    {"tx_queue_len", "transmit_queue_length", BELFRY_GAUGE, 1},
};

typedef char device_name[DEVICE_NAME_BYTES];

static int name_compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* All devices, in the order of their names. Returns how many. */
static size_t devices_list(device_name *out, const char *root)
{
    char path[PROC_PATH_BYTES];
    int len = snprintf(path, sizeof(path), "%s/sys/class/net", root);
    DIR *dir = len > 0 && (size_t)len < sizeof(path) ? opendir(path) : NULL;
    size_t count = 0;
    const struct dirent *d;
    while (dir && count < DEVICE_COUNT_MAX && (d = readdir(dir)) != NULL) {
        size_t name_len = strlen(d->d_name);
        if (d->d_name[0] == '.' || name_len >= sizeof(out[0]))
            continue;
        memcpy(out[count++], d->d_name, name_len + 1);
    }
    if (dir)
        (void)closedir(dir); /* it was only read */
    qsort(out, count, sizeof(out[0]), name_compare);
    return count;
}

static void emit_network_info(belfry_emitter *e, const char *root, const char *device)
{
    static const char *const properties[] = {"address", "broadcast", "duplex", "operstate",
                                             "ifalias"};
    char values[ARRAY_COUNT(properties)][PROC_NAME_BYTES];
    belfry_label labels[ARRAY_COUNT(properties) + 1] = {{"device", device}};
    for (size_t i = 0; i < ARRAY_COUNT(properties); i++) {
        if (!property_text(values[i], root, device, properties[i]))
            values[i][0] = '\0';
        labels[i + 1] = (belfry_label){properties[i], values[i]};
    }
    belfry_emit_sample(e, NULL, labels, ARRAY_COUNT(labels), 1);
}

static void emit_properties(belfry_emitter *e, const char *root, device_name *devices, size_t count)
{
    for (size_t p = 0; p < ARRAY_COUNT(PROPERTIES); p++) {
        char name[96], help[96];
        snprintf(name, sizeof(name), "node_network_%s", PROPERTIES[p].name);
        snprintf(help, sizeof(help), "Network device property: %s", PROPERTIES[p].name);
        belfry_emit_family(e, name, help, PROPERTIES[p].type);
        for (size_t i = 0; i < count; i++) {
            const belfry_label label = {"device", devices[i]};
            double value;
            if (property_number(&value, root, devices[i], PROPERTIES[p].property))
                belfry_emit_sample(e, NULL, &label, 1, value * PROPERTIES[p].scale);
        }
    }
}

void belfry__emit_netclass(belfry_emitter *e, const char *root)
{
    device_name *devices = calloc(DEVICE_COUNT_MAX, sizeof(devices[0]));
    size_t count = devices ? devices_list(devices, root) : 0;
    if (count > 0) {
        belfry_emit_family(e, "node_network_info",
                           "Non-numeric data from /sys/class/net/<iface>, value is always 1.",
                           BELFRY_GAUGE);
        for (size_t i = 0; i < count; i++)
            emit_network_info(e, root, devices[i]);
        belfry_emit_family(e, "node_network_up", "Value is 1 if operstate is 'up', 0 otherwise.",
                           BELFRY_GAUGE);
        for (size_t i = 0; i < count; i++) {
            const belfry_label label = {"device", devices[i]};
            char state[PROC_NAME_BYTES];
            bool known = property_text(state, root, devices[i], "operstate");
            belfry_emit_sample(e, NULL, &label, 1, known && strcmp(state, "up") == 0);
        }
        emit_properties(e, root, devices, count);
    }
    free(devices);
}
