/* SPDX-License-Identifier: Apache-2.0 */
/* machine.h: how much of the machine this process may have. */
#ifndef BELFRY_BASE_MACHINE_H
#define BELFRY_BASE_MACHINE_H

#include <stdint.h>

/* Bytes of memory: the machine's, or less where a control group (version 1 or 2, or one around it) says so. Whole
 * MiB, at least one. */
uint64_t machine_memory_bytes(void);
/* The same with other folders than /proc and /sys/fs/cgroup, and other memory. For tests. */
uint64_t machine_memory_bytes_in(const char *proc, const char *cgroup, uint64_t physical);

#endif
