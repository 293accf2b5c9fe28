/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of /proc and /sys: every parser gets the same bytes; what they emit must be an exposition. */
#include "base/assert.h"
#include "instrument/proc.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void collect(void *arg, belfry_emitter *e)
{
    struct span text = *(struct span *)arg;
    for (const struct proc_parser *p = belfry__proc_parsers; p->path; p++)
        p->emit(e, text);
    belfry__emit_diskstats(e, text, "/nonexistent");
    belfry__emit_filesystems(e, text, "/nonexistent");
    belfry__emit_netdev(e, text, "/nonexistent");
    belfry__emit_process_stat(e, text, 1);
    belfry__emit_process_limits(e, text);
    belfry__emit_process_network(e, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size};
    char *out;
    size_t len;
    belfry_registry *r = belfry_registry_new();
    ASSERT(r && belfry_collector_new(r, collect, &text, NULL) == BELFRY_OK);
    ASSERT(belfry_registry_text(r, &out, &len) == BELFRY_OK);
    ASSERT(len == 0 || out[len - 1] == '\n');
    belfry_text_free(out);
    belfry_registry_free(r);
    return 0;
}
