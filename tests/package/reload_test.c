/* SPDX-License-Identifier: Apache-2.0 */
/* reload_test.c LIBRARY PLUGIN: a program that is not linked with libbelfry loads and unloads it, and an object that has a copy in
 * it, while threads that used it go on. */
#include "plugin.h"

#include <belfry/metrics.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 50, THREADS = 4, UPDATES = 1000 };

static const char *library_path, *plugin_path;

/* What is asked of the library, by name. */
struct library {
    void *handle;
    belfry_registry *(*registry_new)(void);
    void (*registry_free)(belfry_registry *registry);
    belfry_status (*counter_new)(belfry_counter **out, belfry_registry *registry, const char *name,
                                 const char *help);
    void (*counter_add)(belfry_counter *counter, uint64_t by);
    double (*counter_value)(const belfry_counter *counter);
};

static void *symbol(void *handle, const char *name)
{
    void *p = dlsym(handle, name);
    if (!p)
        fail_msg("no symbol %s: %s", name, dlerror());
    return p;
}

static void *object_open(const char *path)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        fail_msg("%s", dlerror());
    return handle;
}

static void library_open(struct library *l)
{
    l->handle = object_open(library_path);
    *(void **)&l->registry_new = symbol(l->handle, "belfry_registry_new");
    *(void **)&l->registry_free = symbol(l->handle, "belfry_registry_free");
    *(void **)&l->counter_new = symbol(l->handle, "belfry_counter_new");
    *(void **)&l->counter_add = symbol(l->handle, "belfry_counter_add");
    *(void **)&l->counter_value = symbol(l->handle, "belfry_counter_value");
}

/* One thread: counts, says so, waits for the word to end. */
struct counting {
    const struct library *library; /* or */
    const struct plugin *plugin;
    belfry_counter *counter;
    pthread_barrier_t *counted, *may_end;
};

static void *count_and_wait(void *arg)
{
    const struct counting *c = arg;
    if (c->plugin)
        c->plugin->count(UPDATES);
    for (int i = 0; c->library && i < UPDATES; i++)
        c->library->counter_add(c->counter, 1);
    (void)pthread_barrier_wait(c->counted);
    (void)pthread_barrier_wait(c->may_end);
    return NULL;
}

struct crew {
    pthread_t threads[THREADS];
    pthread_barrier_t counted, may_end;
};

/* Starts the threads and waits until all have counted. */
static void crew_start(struct crew *crew, struct counting *what)
{
    assert_int_equal(pthread_barrier_init(&crew->counted, NULL, THREADS + 1), 0);
    assert_int_equal(pthread_barrier_init(&crew->may_end, NULL, THREADS + 1), 0);
    what->counted = &crew->counted;
    what->may_end = &crew->may_end;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&crew->threads[i], NULL, count_and_wait, what), 0);
    (void)pthread_barrier_wait(&crew->counted);
}

static void crew_end(struct crew *crew)
{
    (void)pthread_barrier_wait(&crew->may_end);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(crew->threads[i], NULL), 0);
    pthread_barrier_destroy(&crew->counted);
    pthread_barrier_destroy(&crew->may_end);
}

/* How many lines of /proc/self/maps name the file. */
static int mappings(const char *path)
{
    char line[4096];
    int n = 0;
    const char *slash = strrchr(path, '/');
    FILE *f = fopen("/proc/self/maps", "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f))
        n += strstr(line, slash ? slash : path) != NULL;
    (void)fclose(f);
    return n;
}

/* Threads end before the library is closed in even rounds and after it in odd ones: nothing is lost, nothing left. */
static void library_is_opened_and_closed_while_threads_live_and_end(void **state)
{
    (void)state;
    int mapped = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct library l;
        struct crew crew;
        struct counting what = {.library = &l};
        library_open(&l);
        belfry_registry *r = l.registry_new();
        assert_non_null(r);
        assert_int_equal(l.counter_new(&what.counter, r, "reload_total", "Reloads."), BELFRY_OK);
        l.counter_add(what.counter, 1); /* this thread has its cells too */
        crew_start(&crew, &what);
        if (round % 2 == 0)
            crew_end(&crew);
        assert_true(l.counter_value(what.counter) == THREADS * UPDATES + 1);
        l.registry_free(r);
        assert_int_equal(dlclose(l.handle), 0);
        if (round % 2)
            crew_end(&crew);
        if (round == 0)
            mapped = mappings(library_path);
        assert_int_equal(mappings(library_path), mapped);
    }
}

/* The copy in a plugin goes when the plugin does: threads that end later must not call into it. */
static void plugin_with_a_copy_is_unloaded_while_threads_live(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct crew crew;
        void *handle = object_open(plugin_path);
        plugin_fn *get;
        *(void **)&get = symbol(handle, PLUGIN_SYMBOL);
        struct counting what = {.plugin = get()};
        what.plugin->begin(true);
        crew_start(&crew, &what);
        assert_true(what.plugin->value() == THREADS * UPDATES);
        what.plugin->end();
        assert_int_equal(dlclose(handle), 0);
        crew_end(&crew);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    library_path = argv[1];
    plugin_path = argv[2];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(library_is_opened_and_closed_while_threads_live_and_end),
        cmocka_unit_test(plugin_with_a_copy_is_unloaded_while_threads_live),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
