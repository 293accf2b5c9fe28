/* SPDX-License-Identifier: Apache-2.0 */
/* collectors.h: what the process and its host say of themselves, read from /proc and /sys at each
 * exposition. What a kernel does not tell, or tells in a form that is not understood, is left out. */
#ifndef BELFRY_COLLECTORS_H
#define BELFRY_COLLECTORS_H

#include <belfry/export.h>
#include <belfry/metrics.h>

#ifdef __cplusplus
extern "C" {
#endif

/* process_cpu_seconds_total, process_resident_memory_bytes, process_virtual_memory_bytes,
 * process_virtual_memory_max_bytes, process_open_fds, process_max_fds, process_start_time_seconds,
 * process_threads. `root` is put before "/proc/..."; NULL = "". Copied. Any thread. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_process_collector_new(belfry_registry *registry,
                                                                      const char *root);

/* The host under node_exporter's names: node_cpu_*, node_memory_*, node_load*, node_filesystem_*,
 * node_disk_*, node_network_*, node_uname_info, node_boot_time_seconds, node_time_seconds,
 * node_vmstat_*, node_pressure_*, node_context_switches_total, node_forks_total, node_intr_total,
 * node_procs_*, node_filefd_*. Devices, mount points and file systems are left out as node_exporter
 * does by default. File systems of the network (nfs, cifs, ceph, fuse) too: asking one whose server is
 * gone would block the exposition. promtool dislikes some of these names: use a registry of its own.
 * `root` is put before "/proc/..." and "/sys/..."; NULL = "". Copied. Any thread. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_host_collector_new(belfry_registry *registry,
                                                                   const char *root);

#ifdef __cplusplus
}
#endif

#endif
