/* SPDX-License-Identifier: Apache-2.0 */
/* outgoing_lookup_test.c: a resolver that hangs where the test says so, and knows hosts with many addresses. It is put in place of the
 * system's by the linker (--wrap), so no test needs a name server. */
#include "net/outgoing_lookup.h"

#include "base/thread.h"

#include <netdb.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool is_dead; /* names with "dead" in them */

int __real_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out);
int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out);

/* Behind *last; returns where the next one goes. */
static struct addrinfo **literal_add(const char *text, struct addrinfo **last)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    return __real_getaddrinfo(text, NULL, &hints, last) == 0 ? &(*last)->ai_next : last;
}

int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out)
{
    (void)service;
    (void)hints;
    char text[64];
    struct addrinfo **last = out;
    if (strstr(node, "dead")) {
        mutex_lock(&mutex);
        while (is_dead)
            cond_wait(&changed, &mutex);
        mutex_unlock(&mutex);
        return EAI_AGAIN;
    }
    for (int i = 1; i <= 20 && strcmp(node, "many.example") == 0; i++) {
        (void)snprintf(text, sizeof text, "2001:db8::%d", i);
        last = literal_add(text, last);
    }
    for (int i = 1; i <= 20; i++) {
        (void)snprintf(text, sizeof text, "192.0.2.%d", i);
        last = literal_add(text, last);
    }
    return 0;
}

static void set_dead(bool to)
{
    mutex_lock(&mutex);
    is_dead = to;
    (void)pthread_cond_broadcast(&changed); /* cannot fail */
    mutex_unlock(&mutex);
}

/* Leaves at once when `wait` is false, while the resolver goes on. ERROR_NONE: it has addresses. */
static enum error_kind look_up(const char *host, bool wait)
{
    struct outgoing_addresses all = {0};
    struct error err = {0};
    mono_time until = mono_add_ms(clock_mono(), wait ? 60000 : 0);
    return outgoing_lookup(&all, host, until, NULL, &err) ? ERROR_NONE : err.kind;
}

/* Asks for names in `domain` and leaves, until it is refused; how many were asked for. */
static unsigned ask_and_leave(const char *domain)
{
    for (unsigned i = 0; i <= OUTGOING_LOOKUPS_MAX; i++) {
        char host[64];
        (void)snprintf(host, sizeof host, "n%u.x%u.%s", i, i % 7, domain);
        enum error_kind kind = look_up(host, false);
        if (kind == ERROR_BUSY)
            return i;
        assert_int_equal(kind, ERROR_TIMEOUT);
    }
    fail_msg("%s is never refused", domain);
    return 0;
}

/* Who waits leaves, the threads stay: the domains pay for it that have them. */
static void a_domain_without_name_servers_leaves_room_for_others(void **state)
{
    (void)state;
    set_dead(true);
    assert_int_equal(ask_and_leave("dead.co.uk"), 342); /* two thirds */
    assert_int_equal(look_up("y.DEAD.co.uk.", true), ERROR_BUSY);
    assert_int_equal(look_up("alive.co.uk", true), ERROR_NONE);
    assert_int_equal(look_up("localname", true), ERROR_NONE);
    assert_true(ask_and_leave("dead.example") >= 100);
    for (unsigned i = 0; i < 5; i++) { /* each has twice what is free */
        char domain[64];
        (void)snprintf(domain, sizeof domain, "dead%u.example", i);
        if (i < 3)
            assert_true(ask_and_leave(domain) > 0);
        assert_int_equal(look_up("many.example", true), ERROR_NONE);
    }
    set_dead(false);
    while (look_up("y.dead.co.uk", true) == ERROR_BUSY) /* until the first of them has gone */
        sched_yield();
    for (unsigned i = 0; i < OUTGOING_LOOKUPS_MAX + 1; i++) /* each gives its place back */
        assert_int_equal(look_up("many.example", true), ERROR_NONE);
}

/* The resolver names IPv6 first: where that is broken there is still IPv4. */
static void a_host_with_many_addresses_keeps_some_of_both_kinds(void **state)
{
    (void)state;
    struct outgoing_addresses all = {0};
    struct error err = {0};
    assert_true(
        outgoing_lookup(&all, "many.example", mono_add_ms(clock_mono(), 60000), NULL, &err));
    assert_int_equal(all.count, OUTGOING_ADDRESSES_MAX);
    assert_string_equal(all.items[0].text, "2001:db8::1");
    assert_string_equal(all.items[OUTGOING_ADDRESSES_EACH - 1].text, "2001:db8::8");
    assert_string_equal(all.items[OUTGOING_ADDRESSES_EACH].text, "192.0.2.1");
    assert_string_equal(all.items[OUTGOING_ADDRESSES_MAX - 1].text, "192.0.2.8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_domain_without_name_servers_leaves_room_for_others),
        cmocka_unit_test(a_host_with_many_addresses_keeps_some_of_both_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
