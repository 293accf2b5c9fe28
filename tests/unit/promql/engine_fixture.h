/* SPDX-License-Identifier: Apache-2.0 */
/* engine_fixture.h: series made of arithmetic, queries as text, results as text. */
#ifndef BELFRY_TESTS_ENGINE_FIXTURE_H
#define BELFRY_TESTS_ENGINE_FIXTURE_H

#include "promql/engine.h"
#include "storage/memory_source.h"

/* count samples from start_ms, step_ms apart: first, first + increment, ... */
struct fixture_series {
    const char *labels;
    int64_t start_ms, step_ms;
    uint32_t count;
    double first, increment;
};
void fixture_add(struct memory_source *m, const struct fixture_series *s);

struct fixture_query {
    struct memory_source *source;
    struct storage_source *other; /* read in its place; NULL = `source` */
    struct pool *pool;
    bool delayed_name_removal;
    int64_t samples_max, timeout_ms;
    size_t memory_max_bytes, series_max;
    int64_t start_s, end_s, step_s; /* step 0 = instant at start */
    const char *text;
};
/* One line per series, points as value@seconds (instant: value alone), joined by "; "; an error is
 * "error: MESSAGE". Owned by the caller: free(). */
char *fixture_run(const struct fixture_query *q);
/* The same and annotations after " | ". */
char *fixture_run_annotated(const struct fixture_query *q);

#endif
