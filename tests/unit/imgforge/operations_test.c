/* SPDX-License-Identifier: Apache-2.0 */
#include "operations.h"

#include "base/thread.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static atomic_bool never;

static int open_operations(void **state)
{
    static struct operations ops;
    struct imgforge_metrics *metrics;
    struct error err;
    if (!imgforge_metrics_open(&metrics, 1, &err))
        return -1;
    ops.metrics = metrics;
    *state = &ops;
    return 0;
}

static int close_operations(void **state)
{
    imgforge_metrics_close(((struct operations *)*state)->metrics);
    return 0;
}

static bool begin(const struct operations *ops, bool is_drawing, struct operation *op)
{
    return operation_begin(ops, OPERATION_PROCESS, is_drawing, 0, &never, op);
}

struct waiting {
    const struct operations *ops;
    atomic_bool cancel;
    bool got;
};

static void *wait_to_draw(void *arg)
{
    struct waiting *w = arg;
    struct operation op;
    w->got = operation_begin(w->ops, OPERATION_PROCESS, true, 0, &w->cancel, &op);
    if (w->got)
        (void)operation_end(w->ops, &op);
    return NULL;
}

/* As many drawings as may hang do, and one more waits: pictures have the rest of the workers and all of their memory. */
static void drawings_leave_workers_and_memory_to_pictures(void **state)
{
    static const struct {
        unsigned workers, drawings, pictures;
    } CASES[] = {{1, 1, 1}, {2, 1, 1}, {3, 1, 2}, {4, 2, 2}, {9, 4, 5}};
    struct imgforge_metrics *metrics = ((struct operations *)*state)->metrics;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct operations ops;
        struct operation drawings[4], pictures[5];
        struct image_failure f;
        struct error err;
        pthread_t thread;
        operations_init(&ops, CASES[i].workers, 1000, metrics);
        struct waiting more = {.ops = &ops};
        for (unsigned n = 0; n < CASES[i].drawings; n++)
            assert_true(begin(&ops, true, &drawings[n]));
        assert_true(operation_weigh(&ops, &drawings[0], 5000, &never, &f));
        assert_true(thread_start(&thread, "drawing", wait_to_draw, &more, &err));
        while (permits_waiting(ops.drawing_permits) != 1)
            sched_yield();
        for (unsigned n = 0; n < CASES[i].pictures; n++)
            assert_true(begin(&ops, false, &pictures[n]));
        assert_true(operation_weigh(&ops, &pictures[0], 5000, &never, &f));
        atomic_store(&more.cancel, true);
        operations_wake(&ops);
        thread_join(thread);
        assert_false(more.got);
        for (unsigned n = 0; n < CASES[i].drawings; n++)
            (void)operation_end(&ops, &drawings[n]);
        for (unsigned n = 0; n < CASES[i].pictures; n++)
            (void)operation_end(&ops, &pictures[n]);
        assert_int_equal(permits_taken(ops.permits) + permits_taken(ops.drawing_permits), 0);
        assert_int_equal(permits_taken(ops.memory) + permits_taken(ops.drawing_memory), 0);
        operations_deinit(&ops);
    }
}

/* It holds what others wait for: more is given at once or not at all. */
static void who_holds_memory_does_not_wait_for_more(void **state)
{
    struct operations ops;
    struct operation one, two;
    struct image_failure f;
    atomic_bool gone = true;
    operations_init(&ops, 4, 400, ((struct operations *)*state)->metrics); /* 300 for pictures */
    assert_true(begin(&ops, false, &one) && begin(&ops, false, &two));
    assert_true(operation_weigh(&ops, &one, 100, &never, &f));
    assert_true(operation_weigh(&ops, &two, 150, &never, &f));
    assert_true(operation_weigh(&ops, &one, 150, &never, &f));
    assert_true(operation_weigh(&ops, &one, 20, &never, &f)); /* has more already */
    assert_int_equal(permits_taken(ops.memory), 300);
    assert_false(operation_weigh(&ops, &one, 151, &never, &f));
    assert_int_equal(f.status, 429);
    (void)operation_end(&ops, &two);
    assert_true(operation_weigh(&ops, &one, 9999, &never, &f)); /* alone */
    assert_true(begin(&ops, false, &two));
    assert_false(operation_weigh(&ops, &two, 1, &gone, &f));
    assert_int_equal(f.status, 408);
    (void)operation_end(&ops, &two);
    (void)operation_end(&ops, &one);
    assert_int_equal(permits_taken(ops.memory), 0);
    operations_deinit(&ops);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drawings_leave_workers_and_memory_to_pictures),
        cmocka_unit_test(who_holds_memory_does_not_wait_for_more),
    };
    return cmocka_run_group_tests(tests, open_operations, close_operations);
}
