/* SPDX-License-Identifier: Apache-2.0 */
/* operations.h: work on pixels, as many at once as there are workers (permits.h), and what is counted of it. */
#ifndef IMGFORGE_OPERATIONS_H
#define IMGFORGE_OPERATIONS_H

#include "base/clock.h"
#include "image_failure.h"
#include "imgforge_metrics.h"
#include "permits.h"

/* Borrowed by all who work; constant. Any thread. Drawings (source_kind.h) cost as much as their files like, until nobody waits for them any more, so they
 * have bounds of their own, within which all of them may take that long and pictures go on: half of the workers, a part of the memory. */
struct operations {
    struct permits *permits; /* workers */
    struct permits
        *drawing_permits; /* a drawing takes one of these, and a worker's if there are two */
    struct permits *memory,
        *drawing_memory; /* bytes that those in work may hold, weighed, not shared */
    struct imgforge_metrics *metrics;
};

/* One that runs. */
struct operation {
    enum image_operation kind;
    bool is_drawing;
    mono_time began;
    uint64_t bytes; /* of `memory` */
};

/* `bytes` of memory for all. */
void operations_init(struct operations *ops, unsigned workers, uint64_t bytes,
                     struct imgforge_metrics *metrics);
void operations_deinit(struct operations *ops); /* none runs; zero is fine */
/* After *cancel of some that may wait was set: permits_wake(). */
void operations_wake(const struct operations *ops);
/* Waits for a permit. `queued_ns`: how long the work waited for this thread. False: *cancel was set before. */
MUST_USE bool operation_begin(const struct operations *ops, enum image_operation kind,
                              bool is_drawing, int64_t queued_ns, const atomic_bool *cancel,
                              struct operation *out);
/* Waits until there is room for so many bytes in all; a picture larger than all of it is alone then. Asked once more with a larger
 * number it does not wait: it holds what others wait for. 408, 429. */
MUST_USE bool operation_weigh(const struct operations *ops, struct operation *op, uint64_t bytes,
                              const atomic_bool *cancel, struct image_failure *f);
/* Gives the permit and its bytes back. Returns the seconds since operation_begin() returned. */
double operation_end(const struct operations *ops, const struct operation *op);

#endif
