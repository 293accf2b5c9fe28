/* SPDX-License-Identifier: Apache-2.0 */
/* query_fuzz.c: any text that parses can be planned and evaluated, instant and over a range, with both ways of
 * dropping names, within its limits. */
#include "base/assert.h"
#include "promql/engine.h"
#include "storage/memory_source.h"

#include <stdio.h>

static const char *const SERIES[] = {
    "a{i=\"1\"}",         "a{i=\"2\"}",         "a{i=\"3\",j=\"1\"}",
    "b{i=\"1\"}",         "b{i=\"2\",j=\"1\"}", "c_total",
    "h_bucket{le=\"1\"}", "h_bucket{le=\"2\"}", "h_bucket{le=\"+Inf\"}"};

static struct memory_source *source_new(void)
{
    struct memory_source *m = memory_source_new();
    for (size_t i = 0; i < ARRAY_COUNT(SERIES); i++) {
        struct arena arena;
        struct labels labels;
        struct error err;
        arena_init(&arena, MEM_OTHER, 0);
        ASSERT(labels_parse(&arena, view_from(SERIES[i]), &labels, &err));
        for (int k = 0; k < 20; k++)
            if ((k + (int)i) % 7)
                memory_source_add(m, labels, k * 15000,
                                  k == 13 ? 0.0 / 0.0 : (double)k * (double)i);
        arena_deinit(&arena);
    }
    return m;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct memory_source *source;
    if (!source)
        source = source_new();
    for (int way = 0; way < 3; way++) {
        struct engine_options options = {.timeout_ms = 2000,
                                         .samples_max = 100000,
                                         .memory_max_bytes = 64 << 20,
                                         .delayed_name_removal = way == 1,
                                         .parser = {true, true, true, true}};
        struct query_params params = {.start_ms = way ? 0 : 240000,
                                      .end_ms = way ? 300000 : 240000,
                                      .step_ms = way ? 20000 : 0,
                                      .instant = way == 0};
        struct query *q = NULL;
        struct error err;
        if (!query_new(&q, memory_source_as_source(source), &options,
                       (struct view){(const char *)data, size}, &params, &err))
            continue;
        (void)!query_run(q, &err);
        query_free(q);
    }
    return 0;
}
