/* SPDX-License-Identifier: Apache-2.0 */
/* host_collector.c: node_exporter's metrics that come from one file each, and the collector that joins
 * them with disks (host_disks.c) and networks (host_network.c). Names, helps and types are those of
 * node_exporter 1.5, so that its dashboards and alerts work. */
#include "belfry/collectors.h"
#include "instrument/proc.h"
#include "instrument/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum { CPU_FIELD_COUNT = 10, CPU_MODE_COUNT = 8 };

/* The next word of the line as a number. */
static bool next_unsigned(struct span *line, uint64_t *out)
{
    struct span word;
    return belfry__span_word(line, &word) && belfry__span_unsigned(word, out);
}

/* --- /proc/stat --- */

/* A line "cpuN ..."; fields that an old kernel lacks are 0. */
static bool cpu_line(struct span line, char cpu[PROC_NAME_BYTES], uint64_t fields[CPU_FIELD_COUNT])
{
    struct span word;
    uint64_t number;
    if (!belfry__span_word(&line, &word) || !belfry__span_has_prefix(word, "cpu"))
        return false;
    struct span digits = {word.ptr + 3, word.len - 3};
    if (!belfry__span_unsigned(digits, &number) || !belfry__span_copy(digits, cpu, PROC_NAME_BYTES))
        return false; /* "cpu" alone is their sum */
    for (int i = 0; i < CPU_FIELD_COUNT; i++) {
        if (!next_unsigned(&line, &fields[i])) {
            if (i < 4)
                return false;
            fields[i] = 0;
        }
    }
    return true;
}

static void emit_cpus(belfry_emitter *e, struct span text)
{
    static const char *const modes[CPU_MODE_COUNT] = {"user",   "nice", "system",  "idle",
                                                      "iowait", "irq",  "softirq", "steal"};
    double ticks = (double)sysconf(_SC_CLK_TCK);
    char cpu[PROC_NAME_BYTES];
    uint64_t fields[CPU_FIELD_COUNT];
    struct span line;
    belfry_emit_family(e, "node_cpu_guest_seconds_total",
                       "Seconds the CPUs spent in guests (VMs) for each mode.", BELFRY_COUNTER);
    for (struct span rest = text; belfry__span_line(&rest, &line);) {
        if (!cpu_line(line, cpu, fields))
            continue;
        belfry_emit_sample(e, NULL, (const belfry_label[]){{"cpu", cpu}, {"mode", "user"}}, 2,
                           (double)fields[CPU_MODE_COUNT] / ticks);
        belfry_emit_sample(e, NULL, (const belfry_label[]){{"cpu", cpu}, {"mode", "nice"}}, 2,
                           (double)fields[CPU_MODE_COUNT + 1] / ticks);
    }
    belfry_emit_family(e, "node_cpu_seconds_total", "Seconds the CPUs spent in each mode.",
                       BELFRY_COUNTER);
    for (struct span rest = text; belfry__span_line(&rest, &line);) {
        if (!cpu_line(line, cpu, fields))
            continue;
        for (int i = 0; i < CPU_MODE_COUNT; i++)
            belfry_emit_sample(e, NULL, (const belfry_label[]){{"cpu", cpu}, {"mode", modes[i]}}, 2,
                               (double)fields[i] / ticks);
    }
}

static void emit_stat(belfry_emitter *e, struct span text)
{
    static const struct {
        const char *word, *name, *help;
        belfry_metric_type type;
    } counts[] = {
        {"intr", "node_intr_total", "Total number of interrupts serviced.", BELFRY_COUNTER},
        {"ctxt", "node_context_switches_total", "Total number of context switches.",
         BELFRY_COUNTER},
        {"btime", "node_boot_time_seconds", "Node boot time, in unixtime.", BELFRY_GAUGE},
        {"processes", "node_forks_total", "Total number of forks.", BELFRY_COUNTER},
        {"procs_running", "node_procs_running", "Number of processes in runnable state.",
         BELFRY_GAUGE},
        {"procs_blocked", "node_procs_blocked",
         "Number of processes blocked waiting for I/O to complete.", BELFRY_GAUGE},
    };
    emit_cpus(e, text);
    struct span line, word;
    uint64_t value;
    while (belfry__span_line(&text, &line)) {
        if (!belfry__span_word(&line, &word) || !next_unsigned(&line, &value))
            continue;
        for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
            if (belfry__span_is(word, counts[i].word))
                belfry_emit(e, counts[i].name, counts[i].help, counts[i].type, (double)value);
        }
    }
}

/* --- memory --- */

/* "Active(anon)" becomes "Active_anon". False when no metric can be called so. */
static bool meminfo_key(struct span word, char *out, size_t out_bytes)
{
    size_t len = 0;
    if (word.len > 0 && word.ptr[word.len - 1] == ':')
        word.len--;
    for (size_t i = 0; i < word.len; i++) {
        char c = word.ptr[i];
        if (c == ')')
            continue;
        if (len + 1 >= out_bytes || c == '\0')
            return false;
        out[len++] = c == '(' ? '_' : c;
    }
    out[len] = '\0';
    return len > 0;
}

static void emit_meminfo(belfry_emitter *e, struct span text)
{
    struct span line, word;
    while (belfry__span_line(&text, &line)) {
        char key[64], name[128], help[128];
        uint64_t value;
        if (!belfry__span_word(&line, &word) || !meminfo_key(word, key, sizeof(key)) ||
            !next_unsigned(&line, &value))
            continue;
        bool kib = belfry__span_word(&line, &word) && belfry__span_is(word, "kB");
        const char *unit = kib ? "_bytes" : "";
        snprintf(name, sizeof(name), "node_memory_%s%s", key, unit);
        snprintf(help, sizeof(help), "Memory information field %s%s.", key, unit);
        belfry_emit(e, name, help, BELFRY_GAUGE, (double)value * (kib ? 1024 : 1));
    }
}

/* node_exporter's default: ^(oom_kill|pgpg|pswp|pg.*fault).* */
static bool is_vmstat_field(struct span word)
{
    if (belfry__span_has_prefix(word, "oom_kill") || belfry__span_has_prefix(word, "pgpg") ||
        belfry__span_has_prefix(word, "pswp"))
        return true;
    return belfry__span_has_prefix(word, "pg") && memmem(word.ptr + 2, word.len - 2, "fault", 5);
}

static void emit_vmstat(belfry_emitter *e, struct span text)
{
    struct span line, word;
    while (belfry__span_line(&text, &line)) {
        char key[64], name[128], help[128];
        uint64_t value;
        if (!belfry__span_word(&line, &word) || !is_vmstat_field(word) ||
            !belfry__span_copy(word, key, sizeof(key)) || !next_unsigned(&line, &value))
            continue;
        snprintf(name, sizeof(name), "node_vmstat_%s", key);
        snprintf(help, sizeof(help), "/proc/vmstat information field %s.", key);
        belfry_emit(e, name, help, BELFRY_UNTYPED, (double)value);
    }
}

/* --- load, files, pressure --- */

static void emit_loadavg(belfry_emitter *e, struct span text)
{
    static const struct {
        const char *name, *help;
    } loads[] = {{"node_load1", "1m load average."},
                 {"node_load5", "5m load average."},
                 {"node_load15", "15m load average."}};
    for (size_t i = 0; i < ARRAY_COUNT(loads); i++) {
        struct span word;
        double value;
        if (!belfry__span_word(&text, &word) || !belfry__span_decimal(word, &value))
            return;
        belfry_emit(e, loads[i].name, loads[i].help, BELFRY_GAUGE, value);
    }
}

static void emit_filefd(belfry_emitter *e, struct span text)
{
    struct span line;
    uint64_t allocated, unused, maximum;
    if (!belfry__span_line(&text, &line) || !next_unsigned(&line, &allocated) ||
        !next_unsigned(&line, &unused) || !next_unsigned(&line, &maximum))
        return;
    belfry_emit(e, "node_filefd_allocated", "File descriptor statistics: allocated.", BELFRY_GAUGE,
                (double)allocated);
    belfry_emit(e, "node_filefd_maximum", "File descriptor statistics: maximum.", BELFRY_GAUGE,
                (double)maximum);
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=123": microseconds. */
static void emit_pressure(belfry_emitter *e, struct span text, const char *kind, const char *name,
                          const char *help)
{
    struct span line, word;
    while (belfry__span_line(&text, &line)) {
        if (!belfry__span_word(&line, &word) || !belfry__span_is(word, kind))
            continue;
        while (belfry__span_word(&line, &word)) {
            uint64_t total;
            struct span digits = {word.ptr + 6, word.len - 6};
            if (belfry__span_has_prefix(word, "total=") && belfry__span_unsigned(digits, &total))
                belfry_emit(e, name, help, BELFRY_COUNTER, (double)total / 1e6);
        }
    }
}

static void emit_pressure_cpu(belfry_emitter *e, struct span text)
{
    emit_pressure(e, text, "some", "node_pressure_cpu_waiting_seconds_total",
                  "Total time in seconds that processes have waited for CPU time");
}

static void emit_pressure_io(belfry_emitter *e, struct span text)
{
    emit_pressure(e, text, "some", "node_pressure_io_waiting_seconds_total",
                  "Total time in seconds that processes have waited due to IO congestion");
    emit_pressure(e, text, "full", "node_pressure_io_stalled_seconds_total",
                  "Total time in seconds no process could make progress due to IO congestion");
}

static void emit_pressure_memory(belfry_emitter *e, struct span text)
{
    emit_pressure(e, text, "some", "node_pressure_memory_waiting_seconds_total",
                  "Total time in seconds that processes have waited for memory");
    emit_pressure(e, text, "full", "node_pressure_memory_stalled_seconds_total",
                  "Total time in seconds no process could make progress due to memory congestion");
}

/* --- what needs no file --- */

static void emit_uname(belfry_emitter *e)
{
    struct utsname u;
    if (uname(&u) != 0)
        return;
    const belfry_label labels[] = {{"domainname", u.domainname}, {"machine", u.machine},
                                   {"nodename", u.nodename},     {"release", u.release},
                                   {"sysname", u.sysname},       {"version", u.version}};
    belfry_emit_family(e, "node_uname_info",
                       "Labeled system information as provided by the uname system call.",
                       BELFRY_GAUGE);
    belfry_emit_sample(e, NULL, labels, ARRAY_COUNT(labels), 1);
}

static void emit_time(belfry_emitter *e)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) == 0)
        belfry_emit(e, "node_time_seconds", "System time in seconds since epoch (1970).",
                    BELFRY_GAUGE, (double)now.tv_sec + (double)now.tv_nsec / 1e9);
}

const struct proc_parser belfry__proc_parsers[] = {
    {"/proc/stat", emit_stat},
    {"/proc/meminfo", emit_meminfo},
    {"/proc/vmstat", emit_vmstat},
    {"/proc/loadavg", emit_loadavg},
    {"/proc/sys/fs/file-nr", emit_filefd},
    {"/proc/pressure/cpu", emit_pressure_cpu},
    {"/proc/pressure/io", emit_pressure_io},
    {"/proc/pressure/memory", emit_pressure_memory},
    {NULL, NULL},
};

static void collect(void *arg, belfry_emitter *e)
{
    const char *root = arg;
    struct text file = {0};
    for (const struct proc_parser *p = belfry__proc_parsers; p->path; p++) {
        if (belfry__proc_read(&file, root, p->path))
            p->emit(e, span_of(&file));
    }
    if (belfry__proc_read(&file, root, "/proc/diskstats"))
        belfry__emit_diskstats(e, span_of(&file), root);
    /* Mounts as the first process sees them, where we may ask: our own view may be a container's. */
    if (belfry__proc_read(&file, root, "/proc/1/mounts") ||
        belfry__proc_read(&file, root, "/proc/self/mounts"))
        belfry__emit_filesystems(e, span_of(&file), root);
    if (belfry__proc_read(&file, root, "/proc/net/dev"))
        belfry__emit_netdev(e, span_of(&file), root);
    belfry__text_deinit(&file);
    belfry__emit_netclass(e, root);
    emit_uname(e);
    emit_time(e);
}

belfry_status belfry_host_collector_new(belfry_registry *registry, const char *root)
{
    char *copy = strdup(root ? root : "");
    return copy ? belfry_collector_new(registry, collect, copy, free)
                : belfry__fail_plainly(BELFRY_ERROR_MEMORY);
}
