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
 * process_threads, process_network_receive_bytes_total and process_network_transmit_bytes_total (of the network
 * namespace that the process is in). `root` is put before "/proc/..."; NULL = "". Copied. Any thread. */
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

/* What the allocators in the process say of themselves; one that is not there or does not serve malloc is left out.
 * Of glibc (mallinfo2) glibc_malloc_heap_bytes, glibc_malloc_mmap_bytes, glibc_malloc_mmap_blocks,
 * glibc_malloc_in_use_bytes, glibc_malloc_free_bytes, glibc_malloc_releasable_bytes; of jemalloc (mallctl)
 * jemalloc_allocated_bytes, jemalloc_active_bytes, jemalloc_metadata_bytes, jemalloc_resident_bytes,
 * jemalloc_mapped_bytes, jemalloc_retained_bytes; of mimalloc (mi_process_info) mimalloc_resident_bytes,
 * mimalloc_resident_peak_bytes, mimalloc_committed_bytes, mimalloc_committed_peak_bytes,
 * mimalloc_page_faults_total. Any thread. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_allocator_collector_new(belfry_registry *registry);

#ifdef __cplusplus
}
#endif

#endif
