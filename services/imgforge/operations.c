/* SPDX-License-Identifier: Apache-2.0 */
/* operations.c: see operations.h. */
#include "operations.h"

static double seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

/* The rest of the memory is the drawings'. */
static uint64_t for_pictures(uint64_t bytes)
{
    return bytes / 4 * 3;
}

void operations_init(struct operations *ops, unsigned workers, uint64_t bytes,
                     struct imgforge_metrics *metrics)
{
    *ops = (struct operations){
        .permits = permits_new(workers, false),
        .drawing_permits = permits_new(workers > 1 ? workers / 2 : 1, false),
        .memory = permits_new_weighed(for_pictures(bytes), 0),
        .drawing_memory = permits_new_weighed(bytes - for_pictures(bytes), 0),
        .metrics = metrics,
    };
}

void operations_deinit(struct operations *ops)
{
    permits_free(ops->permits);
    permits_free(ops->drawing_permits);
    permits_free(ops->memory);
    permits_free(ops->drawing_memory);
}

void operations_wake(const struct operations *ops)
{
    permits_wake(ops->permits);
    permits_wake(ops->drawing_permits);
    permits_wake(ops->memory);
    permits_wake(ops->drawing_memory);
}

/* One worker alone is the pictures': a drawing runs beside it. */
static bool takes_worker(const struct operations *ops, bool is_drawing)
{
    return !is_drawing || permits_count(ops->permits) > 1;
}

/* In this order: a drawing that waits for others takes no worker. */
static bool take_permits(const struct operations *ops, bool is_drawing, const atomic_bool *cancel)
{
    if (is_drawing && !permits_wait(ops->drawing_permits, 0, cancel))
        return false;
    if (!takes_worker(ops, is_drawing) || permits_wait(ops->permits, 0, cancel))
        return true;
    if (is_drawing)
        permits_give(ops->drawing_permits, 0);
    return false;
}

bool operation_begin(const struct operations *ops, enum image_operation kind, bool is_drawing,
                     int64_t queued_ns, const atomic_bool *cancel, struct operation *out)
{
    mono_time asked = clock_mono();
    metrics_operation_waits(ops->metrics, kind);
    bool has_permit = take_permits(ops, is_drawing, cancel);
    *out = (struct operation){.kind = kind, .is_drawing = is_drawing, .began = clock_mono()};
    metrics_operation_begins(ops->metrics, kind, has_permit, seconds(out->began.ns - asked.ns),
                             seconds(queued_ns));
    return has_permit;
}

static struct permits *memory_of(const struct operations *ops, const struct operation *op)
{
    return op->is_drawing ? ops->drawing_memory : ops->memory;
}

bool operation_weigh(const struct operations *ops, struct operation *op, uint64_t bytes,
                     const atomic_bool *cancel, struct image_failure *f)
{
    struct permits *memory = memory_of(ops, op);
    uint64_t all = permits_count(memory);
    bytes = bytes < all ? bytes : all;
    if (bytes <= op->bytes)
        return true;
    if (op->bytes == 0 && !permits_wait_many(memory, 0, bytes, cancel))
        return image_fail(f, 408, "Request Timeout");
    if (op->bytes && !permits_try_many(memory, 0, bytes - op->bytes)) {
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
        permits_give_many(memory_of(ops, op), 0, op->bytes);
    if (takes_worker(ops, op->is_drawing))
        permits_give(ops->permits, 0);
    if (op->is_drawing)
        permits_give(ops->drawing_permits, 0);
    metrics_operation_ends(ops->metrics, op->kind, took);
    return took;
}
