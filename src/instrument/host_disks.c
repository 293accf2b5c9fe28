/* SPDX-License-Identifier: Apache-2.0 */
/* host_disks.c: block devices and file systems. */
#include "instrument/proc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

enum {
    DISK_COUNT_MAX = 1024,
    DISK_FIELD_COUNT = 17,
    MOUNT_COUNT_MAX = 1024,
    MOUNT_PATH_BYTES = 1024
};

struct disk {
    char name[64];
    uint64_t major, minor, fields[DISK_FIELD_COUNT];
    int field_count; /* 11, 15 or 17, by the kernel's age */
};

static const struct {
    const char *name, *help;
    double unit; /* what the field is divided by */
    belfry_metric_type type;
} DISK_FIELDS[DISK_FIELD_COUNT] = {
    {"node_disk_reads_completed_total", "The total number of reads completed successfully.", 1,
     BELFRY_COUNTER},
    {"node_disk_reads_merged_total", "The total number of reads merged.", 1, BELFRY_COUNTER},
    {"node_disk_read_bytes_total", "The total number of bytes read successfully.", 1.0 / 512,
     BELFRY_COUNTER},
    {"node_disk_read_time_seconds_total", "The total number of seconds spent by all reads.", 1000,
     BELFRY_COUNTER},
    {"node_disk_writes_completed_total", "The total number of writes completed successfully.", 1,
     BELFRY_COUNTER},
    {"node_disk_writes_merged_total", "The number of writes merged.", 1, BELFRY_COUNTER},
    {"node_disk_written_bytes_total", "The total number of bytes written successfully.", 1.0 / 512,
     BELFRY_COUNTER},
    {"node_disk_write_time_seconds_total",
     "This is the total number of seconds spent by all writes.", 1000, BELFRY_COUNTER},
    {"node_disk_io_now", "The number of I/Os currently in progress.", 1, BELFRY_GAUGE},
    {"node_disk_io_time_seconds_total", "Total seconds spent doing I/Os.", 1000, BELFRY_COUNTER},
    {"node_disk_io_time_weighted_seconds_total", "The weighted # of seconds spent doing I/Os.",
     1000, BELFRY_COUNTER},
    {"node_disk_discards_completed_total", "The total number of discards completed successfully.",
     1, BELFRY_COUNTER},
    {"node_disk_discards_merged_total", "The total number of discards merged.", 1, BELFRY_COUNTER},
    {"node_disk_discarded_sectors_total", "The total number of sectors discarded successfully.", 1,
     BELFRY_COUNTER},
    {"node_disk_discard_time_seconds_total",
     "This is the total number of seconds spent by all discards.", 1000, BELFRY_COUNTER},
    {"node_disk_flush_requests_total", "The total number of flush requests completed successfully",
     1, BELFRY_COUNTER},
    {"node_disk_flush_requests_time_seconds_total",
     "This is the total number of seconds spent by all flush requests.", 1000, BELFRY_COUNTER},
};

static size_t digits_at(const char *p)
{
    return strspn(p, "0123456789");
}

/* node_exporter's default: ^(ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$ */
static bool disk_is_left_out(const char *name)
{
    static const char *const prefixes[] = {"ram", "loop", "fd"}, *const lettered[] = {"hd", "sd",
                                                                                      "vd", "xvd"};
    const char *p = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(prefixes) && !p; i++) {
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            p = name + strlen(prefixes[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(lettered) && !p; i++) {
        size_t len = strlen(lettered[i]);
        if (strncmp(name, lettered[i], len) == 0 && name[len] >= 'a' && name[len] <= 'z')
            p = name + len + 1;
    }
    if (!p && strncmp(name, "nvme", 4) == 0) {
        const char *q = name + 4;
        size_t controller = digits_at(q);
        q += controller;
        size_t namespace = *q == 'n' ? digits_at(q + 1) : 0;
        q += namespace ? namespace + 1 : 0;
        if (controller && namespace && *q == 'p')
            p = q + 1;
    }
    return p && digits_at(p) > 0 && p[digits_at(p)] == '\0';
}

static bool disk_line(struct span line, struct disk *d)
{
    struct span word;
    if (!belfry__span_word(&line, &word) || !belfry__span_unsigned(word, &d->major) ||
        !belfry__span_word(&line, &word) || !belfry__span_unsigned(word, &d->minor) ||
        !belfry__span_word(&line, &word) || !belfry__span_copy(word, d->name, sizeof(d->name)))
        return false;
    d->field_count = 0;
    while (d->field_count < DISK_FIELD_COUNT && belfry__span_word(&line, &word) &&
           belfry__span_unsigned(word, &d->fields[d->field_count]))
        d->field_count++;
    return d->field_count >= 11 && !disk_is_left_out(d->name);
}

/* What udev knows of a device: lines "E:KEY=value". Missing keys stay empty. */
static void emit_disk_info(belfry_emitter *e, const struct disk *d, const char *root)
{
    static const char *const keys[] = {
        "E:ID_PATH=", "E:ID_WWN=", "E:ID_MODEL=", "E:ID_SERIAL_SHORT=", "E:ID_REVISION="};
    char values[ARRAY_COUNT(keys)][PROC_NAME_BYTES] = {{0}}, path[64], major[24], minor[24];
    snprintf(path, sizeof(path), "/run/udev/data/b%llu:%llu", (unsigned long long)d->major,
             (unsigned long long)d->minor);
    struct text file = {0};
    struct span rest = {"", 0}, line;
    if (belfry__proc_read(&file, root, path))
        rest = span_of(&file);
    while (belfry__span_line(&rest, &line)) {
        for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
            size_t len = strlen(keys[i]);
            if (belfry__span_has_prefix(line, keys[i]) &&
                !belfry__span_copy((struct span){line.ptr + len, line.len - len}, values[i],
                                   PROC_NAME_BYTES))
                values[i][0] = '\0';
        }
    }
    belfry__text_deinit(&file);
    snprintf(major, sizeof(major), "%llu", (unsigned long long)d->major);
    snprintf(minor, sizeof(minor), "%llu", (unsigned long long)d->minor);
    const belfry_label labels[] = {
        {"device", d->name}, {"major", major},     {"minor", minor},      {"path", values[0]},
        {"wwn", values[1]},  {"model", values[2]}, {"serial", values[3]}, {"revision", values[4]}};
    belfry_emit_sample(e, NULL, labels, ARRAY_COUNT(labels), 1);
}

void belfry__emit_diskstats(belfry_emitter *e, struct span text, const char *root)
{
    struct disk *disks = calloc(DISK_COUNT_MAX, sizeof(disks[0]));
    size_t count = 0;
    struct span line;
    while (disks && count < DISK_COUNT_MAX && belfry__span_line(&text, &line))
        count += disk_line(line, &disks[count]);
    if (count > 0) {
        belfry_emit_family(e, "node_disk_info", "Info of /sys/block/<block_device>.", BELFRY_GAUGE);
        for (size_t i = 0; i < count; i++)
            emit_disk_info(e, &disks[i], root);
    }
    for (int field = 0; field < DISK_FIELD_COUNT && count > 0; field++) {
        belfry_emit_family(e, DISK_FIELDS[field].name, DISK_FIELDS[field].help,
                           DISK_FIELDS[field].type);
        for (size_t i = 0; i < count; i++) {
            const belfry_label label = {"device", disks[i].name};
            if (field < disks[i].field_count)
                belfry_emit_sample(e, NULL, &label, 1,
                                   (double)disks[i].fields[field] / DISK_FIELDS[field].unit);
        }
    }
    free(disks);
}

/* --- file systems --- */

struct mount {
    char device[256], path[MOUNT_PATH_BYTES], type[64];
    bool is_read_only, failed;
    struct statvfs st;
};

static bool is_one_of(const char *word, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(word, list[i]) == 0)
            return true;
    }
    return false;
}

static bool type_is_left_out(const char *type)
{
    static const char *const types[] = {
        "autofs",
        "binfmt_misc",
        "bpf",
        "cgroup",
        "cgroup2",
        "configfs",
        "debugfs",
        "devpts",
        "devtmpfs",
        "fusectl",
        "hugetlbfs",
        "iso9660",
        "mqueue",
        "nsfs",
        "overlay",
        "proc",
        "procfs",
        "pstore",
        "rpc_pipefs",
        "securityfs",
        "selinuxfs",
        "squashfs",
        "sysfs",
        "tracefs",
        /* their server may be gone, and statvfs() would wait for it: ours to leave out */
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "ceph",
        "9p",
        "afs",
        "glusterfs",
        "lustre",
        "ocfs2",
    };
    return is_one_of(type, types, ARRAY_COUNT(types)) || strncmp(type, "fuse.", 5) == 0;
}

/* `top` itself or below it. */
static bool is_below(const char *path, const char *top)
{
    size_t len = strlen(top);
    return strncmp(path, top, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

static bool path_is_left_out(const char *path)
{
    static const char *const tops[] = {"/dev", "/proc", "/run", "/sys", "/mnt", "/media"};
    static const char *const insides[] = {"/var/lib/docker/", "/var/lib/containers/storage/"};
    for (size_t i = 0; i < ARRAY_COUNT(tops); i++) {
        if (is_below(path, tops[i]))
            return true;
    }
    for (size_t i = 0; i < ARRAY_COUNT(insides); i++) {
        if (strncmp(path, insides[i], strlen(insides[i])) == 0)
            return true;
    }
    return false;
}

/* Blank, tab, newline and backslash are written as \ooo. */
static void octal_unescape(char *text)
{
    char *to = text;
    for (const char *p = text; *p;) {
        bool octal = p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' &&
                     p[3] >= '0' && p[3] <= '7';
        int code = octal ? (p[1] - '0') * 64 + (p[2] - '0') * 8 + (p[3] - '0') : 0;
        if (code > 0) {
            *to++ = (char)code;
            p += 4;
        } else {
            *to++ = *p++;
        }
    }
    *to = '\0';
}

static bool options_have_ro(struct span options)
{
    for (size_t start = 0; start < options.len;) {
        const char *comma = memchr(options.ptr + start, ',', options.len - start);
        size_t end = comma ? (size_t)(comma - options.ptr) : options.len;
        if (belfry__span_is((struct span){options.ptr + start, end - start}, "ro"))
            return true;
        start = end + 1;
    }
    return false;
}

static bool mount_line(struct span line, struct mount *m)
{
    struct span device, path, type, options;
    if (!belfry__span_word(&line, &device) || !belfry__span_word(&line, &path) ||
        !belfry__span_word(&line, &type) || !belfry__span_word(&line, &options) ||
        !belfry__span_copy(device, m->device, sizeof(m->device)) ||
        !belfry__span_copy(path, m->path, sizeof(m->path)) ||
        !belfry__span_copy(type, m->type, sizeof(m->type)))
        return false;
    octal_unescape(m->device);
    octal_unescape(m->path);
    m->is_read_only = options_have_ro(options);
    return m->path[0] == '/' && !type_is_left_out(m->type) && !path_is_left_out(m->path);
}

/* A path may be mounted upon twice; the series would be the same. */
static bool mount_is_known(const struct mount *mounts, size_t count, const struct mount *m)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(mounts[i].path, m->path) == 0 && strcmp(mounts[i].device, m->device) == 0 &&
            strcmp(mounts[i].type, m->type) == 0)
            return true;
    }
    return false;
}

static void mount_ask(struct mount *m, const char *root)
{
    char full[PROC_PATH_BYTES];
    int len = snprintf(full, sizeof(full), "%s%s", root, m->path);
    m->failed = len < 0 || (size_t)len >= sizeof(full) || statvfs(full, &m->st) != 0;
}

enum mount_value {
    MOUNT_AVAIL,
    MOUNT_ERROR,
    MOUNT_FILES,
    MOUNT_FILES_FREE,
    MOUNT_FREE,
    MOUNT_READONLY,
    MOUNT_SIZE
};

static double mount_value(const struct mount *m, enum mount_value which)
{
    double unit = (double)m->st.f_frsize;
    switch (which) {
    case MOUNT_AVAIL:
        return (double)m->st.f_bavail * unit;
    case MOUNT_ERROR:
        return m->failed;
    case MOUNT_FILES:
        return (double)m->st.f_files;
    case MOUNT_FILES_FREE:
        return (double)m->st.f_ffree;
    case MOUNT_FREE:
        return (double)m->st.f_bfree * unit;
    case MOUNT_READONLY:
        return m->is_read_only;
    case MOUNT_SIZE:
        return (double)m->st.f_blocks * unit;
    }
    return 0;
}

void belfry__emit_filesystems(belfry_emitter *e, struct span mounts_text, const char *root)
{
    static const struct {
        const char *name, *help;
    } values[] = {
        [MOUNT_AVAIL] = {"node_filesystem_avail_bytes",
                         "Filesystem space available to non-root users in bytes."},
        [MOUNT_ERROR] =
            {"node_filesystem_device_error",
             "Whether an error occurred while getting statistics for the given device."},
        [MOUNT_FILES] = {"node_filesystem_files", "Filesystem total file nodes."},
        [MOUNT_FILES_FREE] = {"node_filesystem_files_free", "Filesystem total free file nodes."},
        [MOUNT_FREE] = {"node_filesystem_free_bytes", "Filesystem free space in bytes."},
        [MOUNT_READONLY] = {"node_filesystem_readonly", "Filesystem read-only status."},
        [MOUNT_SIZE] = {"node_filesystem_size_bytes", "Filesystem size in bytes."},
    };
    struct mount *mounts = calloc(MOUNT_COUNT_MAX, sizeof(mounts[0]));
    size_t count = 0;
    struct span line;
    while (mounts && count < MOUNT_COUNT_MAX && belfry__span_line(&mounts_text, &line)) {
        if (mount_line(line, &mounts[count]) && !mount_is_known(mounts, count, &mounts[count])) {
            mount_ask(&mounts[count], root);
            count++;
        }
    }
    for (size_t v = 0; v < ARRAY_COUNT(values) && count > 0; v++) {
        belfry_emit_family(e, values[v].name, values[v].help, BELFRY_GAUGE);
        for (size_t i = 0; i < count; i++) {
            const belfry_label labels[] = {{"device", mounts[i].device},
                                           {"fstype", mounts[i].type},
                                           {"mountpoint", mounts[i].path}};
            if (!mounts[i].failed || v == MOUNT_ERROR)
                belfry_emit_sample(e, NULL, labels, ARRAY_COUNT(labels),
                                   mount_value(&mounts[i], (enum mount_value)v));
        }
    }
    free(mounts);
}
