/* SPDX-License-Identifier: Apache-2.0 */
/* copies_test.c HIDDEN VISIBLE: a program linked with libbelfry.so loads objects that have a copy of it in themselves, forks at
 * any moment, and ends while its threads count. */
#include "plugin.h"

#include <belfry/metrics.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, UPDATES = 10000, FORKS = 40, EXITS = 10, CHILD_SECONDS = 60 };
#define COUNT_FOR_EVER "--count-for-ever"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define HAS_SANITIZER 1 /* whose own locks a child finds held */
#endif
#if __has_feature(address_sanitizer)
/* Two copies are what this is about. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_odr_violation=0";
}
#endif
#endif

static const char *hidden_path, *visible_path;

static const struct plugin *plugin_open(const char *path)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        fail_msg("%s", dlerror());
    plugin_fn *get;
    *(void **)&get = dlsym(handle, PLUGIN_SYMBOL);
    assert_non_null(get);
    get()->begin(false);
    return get();
}

struct both {
    const struct plugin *plugin;
    belfry_counter *counter;
};

static void *count_in_both(void *arg)
{
    const struct both *b = arg;
    for (int i = 0; i < UPDATES; i++) {
        belfry_counter_inc(b->counter);
        b->plugin->count(1);
    }
    return NULL;
}

static void run_threads(void *(*run)(void *arg), void *arg)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, arg), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static char *own_text(void)
{
    char *text;
    size_t len;
    assert_int_equal(belfry_registry_text(NULL, &text, &len), BELFRY_OK);
    return text;
}

/* Both copies count exactly; each shows what was registered in it and nothing else. */
static void two_copies_count_apart(void **state)
{
    (void)state;
    struct both b = {plugin_open(hidden_path), NULL};
    assert_int_equal(belfry_counter_new(&b.counter, NULL, "host_total", "The host."), BELFRY_OK);
    run_threads(count_in_both, &b);
    assert_true(belfry_counter_value(b.counter) == THREADS * UPDATES);
    assert_true(b.plugin->value() == THREADS * UPDATES);
    char *own = own_text(), *its = b.plugin->text();
    assert_non_null(its);
    assert_non_null(strstr(own, "\nhost_total 40000\n"));
    assert_null(strstr(own, "plugin_total"));
    assert_non_null(strstr(its, "\nplugin_total 40000\n"));
    assert_null(strstr(its, "host_total"));
    belfry_text_free(own);
    b.plugin->text_free(its);
}

/* A copy whose symbols are visible gives way to the program's: one library, one registry, right numbers. */
static void visible_copy_gives_way(void **state)
{
    (void)state;
    struct both b = {plugin_open(visible_path), NULL};
    assert_int_equal(belfry_counter_new(&b.counter, NULL, "beside_total", "Beside."), BELFRY_OK);
    run_threads(count_in_both, &b);
    assert_true(belfry_counter_value(b.counter) == THREADS * UPDATES);
    assert_true(b.plugin->value() == THREADS * UPDATES);
    char *own = own_text(), *its = b.plugin->text();
    assert_non_null(its);
    assert_string_equal(own, its);
    assert_non_null(strstr(own, "\nbeside_total 40000\n"));
    assert_non_null(strstr(own, "\nplugin_total 40000\n"));
    belfry_text_free(own);
    b.plugin->text_free(its);
}

struct busy {
    belfry_counter_family *family;
    belfry_registry *registry;
    _Atomic bool stop;
};

/* Asks for children old and new, counts, writes: what holds locks, if anything does. */
static void *keep_busy(void *arg)
{
    struct busy *b = arg;
    for (unsigned i = 0; !atomic_load(&b->stop); i++) {
        char value[32];
        snprintf(value, sizeof(value), "%u", i % 2000);
        belfry_counter_inc(belfry_counter_family_with(b->family, (const char *const[]){value}));
        char *text;
        size_t len;
        if (i % 64 == 0 && belfry_registry_text(b->registry, &text, &len) == BELFRY_OK)
            belfry_text_free(text);
    }
    return NULL;
}

/* What a child does: everything, alone. Returns its exit code. */
static int child_works(struct busy *b)
{
    char name[32];
    belfry_counter *counter;
    belfry_counter *mine = belfry_counter_family_with(b->family, (const char *const[]){"child"});
    double before = belfry_counter_value(mine);
    belfry_counter_inc(mine);
    if (belfry_counter_value(mine) != before + 1)
        return 1;
    snprintf(name, sizeof(name), "child_%d_total", (int)getpid());
    if (belfry_counter_new(&counter, b->registry, name, "A child.") != BELFRY_OK)
        return 2;
    belfry_counter_add(counter, 3);
    char *text;
    size_t len;
    if (belfry_registry_text(b->registry, &text, &len) != BELFRY_OK)
        return 3;
    snprintf(name, sizeof(name), "\nchild_%d_total 3\n", (int)getpid());
    bool shown = strstr(text, name) != NULL;
    belfry_text_free(text);
    return shown ? 0 : 4;
}

static void assert_child_ends_well(pid_t child)
{
    int status;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Threads hold whatever locks there are when the process forks; the child hangs on none (an alarm would end it). */
static void fork_while_threads_are_busy(void **state)
{
    (void)state;
#ifdef HAS_SANITIZER
    skip();
#endif
    static const char *const names[] = {"n"};
    struct busy b = {.registry = belfry_registry_new()};
    pthread_t threads[2];
    assert_int_equal(
        belfry_counter_family_new(&b.family, b.registry, "busy_total", "Busy.", names, 1),
        BELFRY_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, keep_busy, &b), 0);
    for (int i = 0; i < FORKS; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(CHILD_SECONDS);
            _exit(child_works(&b));
        }
        assert_child_ends_well(child);
    }
    atomic_store(&b.stop, true);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    belfry_counter *childs = belfry_counter_family_with(b.family, (const char *const[]){"child"});
    assert_true(belfry_counter_value(childs) == 0); /* what children count is theirs */
    belfry_registry_free(b.registry);
}

/* The child of a process that never used the library, and the child of that. */
static void fork_before_the_first_use(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        static const char *const names[] = {"n"};
        struct busy b = {.registry = belfry_registry_new()};
        alarm(CHILD_SECONDS);
        if (!b.registry || belfry_counter_family_new(&b.family, b.registry, "f_total", "F.", names,
                                                     1) != BELFRY_OK)
            _exit(5);
        if (child_works(&b) != 0)
            _exit(6);
        pid_t grandchild = fork();
        if (grandchild == 0)
            _exit(child_works(&b));
        int status = 0;
        if (waitpid(grandchild, &status, 0) != grandchild || status != 0)
            _exit(7);
        belfry_registry_free(b.registry);
        _exit(0);
    }
    assert_child_ends_well(child);
}

static void *count_for_ever(void *arg)
{
    for (;;)
        belfry_counter_inc(arg);
    return NULL;
}

/* What this program does with COUNT_FOR_EVER: ends by exit() while its threads count. */
static int count_and_exit(void)
{
    pthread_t thread;
    belfry_counter *counter;
    alarm(CHILD_SECONDS);
    if (belfry_counter_new(&counter, NULL, "ever_total", "For ever.") != BELFRY_OK)
        return 8;
    for (int t = 0; t < 2; t++) {
        if (pthread_create(&thread, NULL, count_for_ever, counter) != 0 ||
            pthread_detach(thread) != 0)
            return 9;
    }
    while (belfry_counter_value(counter) < UPDATES)
        ;
    exit(0);
}

/* exit() runs destructors while threads count on: the process ends, with its own code. */
static void process_ends_while_threads_count(void **state)
{
    (void)state;
    for (int i = 0; i < EXITS; i++) {
        pid_t child = fork();
        if (child == 0) {
            execl("/proc/self/exe", "copies_test", COUNT_FOR_EVER, (char *)NULL);
            _exit(10);
        }
        assert_child_ends_well(child);
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], COUNT_FOR_EVER) == 0)
        return count_and_exit();
    if (argc != 3)
        return 2;
    hidden_path = argv[1];
    visible_path = argv[2];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fork_before_the_first_use),
        cmocka_unit_test(two_copies_count_apart),
        cmocka_unit_test(visible_copy_gives_way),
        cmocka_unit_test(fork_while_threads_are_busy),
        cmocka_unit_test(process_ends_while_threads_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
