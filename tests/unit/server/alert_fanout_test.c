/* SPDX-License-Identifier: Apache-2.0 */
#include "server/alert_fanout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h needs those above */
#include <cmocka.h>

struct taker {
    size_t notices;
    const struct alert_notice *seen;
};

static void take(void *arg, const struct alert_notice *notices, size_t count)
{
    struct taker *t = arg;
    t->notices += count;
    t->seen = notices;
}

/* Each sink gets the very notices; none is no error. */
static void every_sink_gets_what_is_sent(void **state)
{
    struct alert_fanout f = {0};
    struct alert_sink all = alert_fanout_sink(&f);
    struct alert_notice notices[3] = {0};
    struct taker a = {0}, b = {0};
    all.send(all.arg, notices, 3);
    alert_fanout_add(&f, (struct alert_sink){take, &a});
    alert_fanout_add(&f, (struct alert_sink){take, &b});
    all.send(all.arg, notices, 3);
    all.send(all.arg, notices + 1, 1);
    assert_int_equal(a.notices, 4);
    assert_int_equal(b.notices, 4);
    assert_ptr_equal(a.seen, notices + 1);
    assert_ptr_equal(b.seen, notices + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_sink_gets_what_is_sent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
