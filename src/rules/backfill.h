/* SPDX-License-Identifier: Apache-2.0 */
/* backfill.h: recording rules evaluated over the past, and blocks made of what they give. Chunk by chunk (a day): a chunk's
 * blocks are published whole when it has been evaluated, so that what was interrupted is run again and goes on: what is
 * there already is left out (only_missing), or makes blocks that are there already. One thread. */
#ifndef BELFRY_RULES_BACKFILL_H
#define BELFRY_RULES_BACKFILL_H

#include "rules/rule_replay.h"

struct backfill_options {
    /* what, store, the calls and arg are set by the backfill. */
    struct rule_replay_options replay;
    const char *dir; /* a data folder, which exists and is locked by the caller */
    size_t
        memory_bytes; /* for the samples of a chunk; 0 = 512 MiB, what is more goes to disk meanwhile */
    /* Write only where history has no sample of the series less than an interval away; rules that read others see both. */
    bool only_missing;
    bool
        write_ends; /* stale markers where series end, as a server writes them; promtool does not */
    void (*progress)(void *arg, uint64_t done, uint64_t total); /* may be NULL; ms of history */
    void *progress_arg;
};

struct backfill_result {
    uint64_t samples, series, blocks;
    uint64_t blocks_present;  /* were there from an earlier run */
    uint64_t samples_present; /* left out: history has the series there */
    uint64_t evaluations, failures;
    struct error first_failure; /* of a rule, when there are failures */
    int64_t mint, maxt;         /* of the samples; mint > maxt when there are none */
    bool is_stepwise;
};

/* Failures of rules are counted and cost only the times at which they fail. ERROR_INPUT: no recording rules; ERROR_IO. */
MUST_USE bool backfill_run(const struct backfill_options *opts, struct backfill_result *out,
                           struct error *err);

#endif
