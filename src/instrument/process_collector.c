/* SPDX-License-Identifier: Apache-2.0 */
/* process_collector.c: the process_* metrics that every Prometheus client library gives. */
#include "belfry/collectors.h"
#include "instrument/proc.h"
#include "instrument/status.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Fields of /proc/self/stat behind the command's name (proc(5) counts from 1; the name is 2). */
enum {
    STAT_UTIME = 14,
    STAT_STIME = 15,
    STAT_THREADS = 20,
    STAT_START = 22,
    STAT_VSIZE = 23,
    STAT_RSS = 24
};

void belfry__emit_process_stat(belfry_emitter *e, struct span text, uint64_t boot_seconds)
{
    /* The name may hold blanks and parentheses: the last one closes it. */
    const char *close = text.len ? memrchr(text.ptr, ')', text.len) : NULL;
    if (!close)
        return;
    struct span rest = {close + 1, text.len - (size_t)(close + 1 - text.ptr)}, word;
    rest.len = strnlen(rest.ptr, rest.len);
    if (rest.len && rest.ptr[rest.len - 1] == '\n')
        rest.len--;
    uint64_t fields[STAT_RSS + 1] = {0};
    int field = 3;
    for (; field <= STAT_RSS && belfry__span_word(&rest, &word); field++) {
        if (!belfry__span_unsigned(word, &fields[field]))
            fields[field] = 0; /* the state is a letter, some others are negative */
    }
    if (field <= STAT_RSS)
        return;
    double ticks = (double)sysconf(_SC_CLK_TCK);
    belfry_emit(e, "process_cpu_seconds_total", "Total user and system CPU time spent in seconds.",
                BELFRY_COUNTER, ((double)fields[STAT_UTIME] + (double)fields[STAT_STIME]) / ticks);
    belfry_emit(e, "process_resident_memory_bytes", "Resident memory size in bytes.", BELFRY_GAUGE,
                (double)fields[STAT_RSS] * (double)sysconf(_SC_PAGESIZE));
    belfry_emit(e, "process_virtual_memory_bytes", "Virtual memory size in bytes.", BELFRY_GAUGE,
                (double)fields[STAT_VSIZE]);
    belfry_emit(e, "process_threads", "Number of OS threads in the process.", BELFRY_GAUGE,
                (double)fields[STAT_THREADS]);
    if (boot_seconds)
        belfry_emit(e, "process_start_time_seconds",
                    "Start time of the process since unix epoch in seconds.", BELFRY_GAUGE,
                    (double)boot_seconds + (double)fields[STAT_START] / ticks);
}

static void emit_limit(belfry_emitter *e, struct span line, const char *title, const char *name,
                       const char *help)
{
    if (!belfry__span_has_prefix(line, title))
        return;
    struct span rest = {line.ptr + strlen(title), line.len - strlen(title)}, word;
    uint64_t soft;
    if (!belfry__span_word(&rest, &word))
        return;
    if (belfry__span_is(word, "unlimited"))
        soft = UINT64_MAX; /* as Prometheus' own libraries show it */
    else if (!belfry__span_unsigned(word, &soft))
        return;
    belfry_emit(e, name, help, BELFRY_GAUGE, (double)soft);
}

void belfry__emit_process_limits(belfry_emitter *e, struct span text)
{
    struct span line;
    while (belfry__span_line(&text, &line)) {
        emit_limit(e, line, "Max open files ", "process_max_fds",
                   "Maximum number of open file descriptors.");
        emit_limit(e, line, "Max address space ", "process_virtual_memory_max_bytes",
                   "Maximum amount of virtual memory available in bytes.");
    }
}

/* Lines come in pairs: names, then values. */
void belfry__emit_process_network(belfry_emitter *e, struct span text)
{
    struct span names, values, name, value;
    while (belfry__span_line(&text, &names) && belfry__span_line(&text, &values)) {
        if (!belfry__span_has_prefix(names, "IpExt:"))
            continue;
        while (belfry__span_word(&names, &name) && belfry__span_word(&values, &value)) {
            uint64_t bytes;
            if (!belfry__span_unsigned(value, &bytes))
                continue;
            if (belfry__span_is(name, "InOctets"))
                belfry_emit(e, "process_network_receive_bytes_total",
                            "Number of bytes received by the process over the network.",
                            BELFRY_COUNTER, (double)bytes);
            else if (belfry__span_is(name, "OutOctets"))
                belfry_emit(e, "process_network_transmit_bytes_total",
                            "Number of bytes sent by the process over the network.", BELFRY_COUNTER,
                            (double)bytes);
        }
        return;
    }
}

static uint64_t boot_seconds_of(struct text *file, const char *root)
{
    struct span line, word;
    uint64_t seconds = 0;
    if (!belfry__proc_read(file, root, "/proc/stat"))
        return 0;
    for (struct span rest = span_of(file); belfry__span_line(&rest, &line);) {
        if (belfry__span_word(&line, &word) && belfry__span_is(word, "btime") &&
            belfry__span_word(&line, &word) && belfry__span_unsigned(word, &seconds))
            return seconds;
    }
    return 0;
}

static void emit_open_fds(belfry_emitter *e, const char *root)
{
    char path[PROC_PATH_BYTES], own[16];
    int len = snprintf(path, sizeof(path), "%s/proc/self/fd", root);
    DIR *dir = len > 0 && (size_t)len < sizeof(path) ? opendir(path) : NULL;
    if (!dir)
        return;
    snprintf(own, sizeof(own), "%d", dirfd(dir));
    uint64_t count = 0;
    const struct dirent *d;
    while ((d = readdir(dir)) != NULL) {
        bool is_own = root[0] == '\0' && strcmp(d->d_name, own) == 0; /* open for this count only */
        count += d->d_name[0] != '.' && !is_own;
    }
    (void)closedir(dir); /* it was only read */
    belfry_emit(e, "process_open_fds", "Number of open file descriptors.", BELFRY_GAUGE,
                (double)count);
}

static void collect(void *arg, belfry_emitter *e)
{
    const char *root = arg;
    struct text file = {0};
    uint64_t boot_seconds = boot_seconds_of(&file, root);
    if (belfry__proc_read(&file, root, "/proc/self/stat"))
        belfry__emit_process_stat(e, span_of(&file), boot_seconds);
    if (belfry__proc_read(&file, root, "/proc/self/limits"))
        belfry__emit_process_limits(e, span_of(&file));
    if (belfry__proc_read(&file, root, "/proc/self/net/netstat"))
        belfry__emit_process_network(e, span_of(&file));
    emit_open_fds(e, root);
    belfry__text_deinit(&file);
}

belfry_status belfry_process_collector_new(belfry_registry *registry, const char *root)
{
    char *copy = strdup(root ? root : "");
    return copy ? belfry_collector_new(registry, collect, copy, free)
                : belfry__fail_plainly(BELFRY_ERROR_MEMORY);
}
