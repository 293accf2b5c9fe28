/* SPDX-License-Identifier: Apache-2.0 */
/* operations.c: see operations.h. */
#include "operations.h"

static double seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

bool operation_begin(const struct operations *ops, enum image_operation kind, int64_t queued_ns,
                     const atomic_bool *cancel, struct operation *out)
{
    mono_time asked = clock_mono();
    metrics_operation_waits(ops->metrics, kind);
    bool has_permit = permits_wait(ops->permits, 0, cancel);
    *out = (struct operation){.kind = kind, .began = clock_mono()};
    metrics_operation_begins(ops->metrics, kind, has_permit, seconds(out->began.ns - asked.ns),
                             seconds(queued_ns));
    return has_permit;
}

bool operation_weigh(const struct operations *ops, struct operation *op, uint64_t bytes,
                     const atomic_bool *cancel, struct image_failure *f)
{
    uint64_t all = permits_count(ops->memory);
    bytes = bytes < all ? bytes : all;
    if (bytes <= op->bytes)
        return true;
    if (op->bytes == 0 && !permits_wait_many(ops->memory, 0, bytes, cancel))
        return image_fail(f, 408, "Request Timeout");
    if (op->bytes && !permits_try_many(ops->memory, 0, bytes - op->bytes)) {
        image_fail(f, 429, "Too Many Requests");
        return image_fail_cause(f, "pictures in work hold the memory that there is for them");
    }
    op->bytes = bytes;
    return true;
}

double operation_end(const struct operations *ops, const struct operation *op)
{
    double took = seconds(clock_mono().ns - op->began.ns);
    if (op->bytes)
        permits_give_many(ops->memory, 0, op->bytes);
    permits_give(ops->permits, 0);
    metrics_operation_ends(ops->metrics, op->kind, took);
    return took;
}
