/* SPDX-License-Identifier: Apache-2.0 */
/* The n-th allocation of the library fails, for every n: it says so, and neither ends nor harms its host.
 * The linker sends the library's allocations here (--wrap, meson.build). */
#include <belfry/collectors.h>
#include <belfry/exposition.h>
#include <belfry/health.h>
#include <belfry/metrics.h>
#include <belfry/request.h>

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

/* Allocations of the test's thread until one fails; negative: none does. */
static _Thread_local long countdown = -1;
static _Thread_local long allocation_count;

/* Calls of malloc and its like, not of mmap. */
static _Thread_local long malloc_count;
static _Thread_local bool is_malloc_watched;

static bool fails_now(void)
{
    allocation_count++;
    return countdown >= 0 && countdown-- == 0;
}

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *ptr, size_t bytes);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *ptr, size_t bytes);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t bytes)
{
    malloc_count += is_malloc_watched;
    return fails_now() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    malloc_count += is_malloc_watched;
    return fails_now() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *ptr, size_t bytes)
{
    malloc_count += is_malloc_watched;
    return fails_now() ? NULL : __real_realloc(ptr, bytes);
}

char *__wrap_strdup(const char *text)
{
    return fails_now() ? NULL : __real_strdup(text);
}

static bool swallow(void *arg, const char *bytes, size_t len)
{
    (void)bytes;
    *(size_t *)arg += len;
    return true;
}

struct kept {
    char **text;
    size_t *bytes;
};

static bool keep(void *arg, const char *bytes, size_t len)
{
    struct kept *k = arg;
    char *grown = realloc(*k->text, *k->bytes + len + 1);
    assert_non_null(grown);
    memcpy(grown + *k->bytes, bytes, len);
    *k->text = grown;
    *k->bytes += len;
    grown[*k->bytes] = '\0';
    return true;
}

/* All formats. True when each was written whole. */
static bool write_all(belfry_registry *r)
{
    bool ok = true;
    size_t bytes = 0;
    for (belfry_format format = BELFRY_FORMAT_TEXT; format <= BELFRY_FORMAT_PROTOBUF; format++) {
        belfry_exposition how = {.format = format};
        belfry_status status = belfry_registry_write(r, &how, swallow, &bytes);
        assert_true(status == BELFRY_OK || status == BELFRY_ERROR_MEMORY);
        ok = status == BELFRY_OK && ok;
    }
    return ok;
}

static bool done(belfry_status status)
{
    assert_true(status == BELFRY_OK || status == BELFRY_ERROR_MEMORY ||
                status == BELFRY_ERROR_NULL || status == BELFRY_ERROR_NOT_FOUND);
    return status == BELFRY_OK;
}

/* A native histogram and a summary that have to make room. */
static bool use_sketches(belfry_registry *r)
{
    static const double bounds[] = {1, 2};
    belfry_histogram_options options = {.bounds = bounds,
                                        .bound_count = 2,
                                        .native_factor = 1.1,
                                        .native_buckets_max = 100,
                                        .native_zero_threshold_max = 1e-3};
    belfry_histogram *h;
    belfry_summary *s;
    bool ok = done(belfry_histogram_new_with(&h, r, "native", "N.", &options));
    ok = done(belfry_summary_new(&s, r, "s", "S.", NULL)) && ok;
    uint64_t observed = 0;
    for (int e = -30; e < 200; e++) {
        bool counted = done(belfry_histogram_observe(h, ldexp(1.3, e)));
        observed += counted;
        ok = counted && done(belfry_summary_observe(s, ldexp(1.3, e))) && ok;
    }
    long left = countdown;
    countdown = -1; /* what was counted is there */
    assert_int_equal(belfry_histogram_count(h), observed);
    countdown = left;
    return done(belfry_histogram_observe_exemplar(h, 1.5, &(const belfry_label){"a", "b"}, 1)) &&
           ok;
}

static bool use_registry(belfry_registry *r)
{
    static const char *const states[] = {"on", "off"};
    const belfry_label labels[] = {{"env", "test"}, {"zone", "1"}};
    belfry_gauge *g;
    belfry_stateset *t;
    bool ok = done(belfry_registry_set_prefix(r, "app_"));
    ok = done(belfry_registry_set_labels(r, labels, 2)) && ok;
    ok = done(belfry_info_new(r, "build_info", "B.", &(const belfry_label){"a", "b"}, 1)) && ok;
    ok = done(belfry_stateset_new(&t, r, "state", "S.", states, 2)) && ok;
    for (int i = 0; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof(name), "g%d_bytes", i);
        ok = done(belfry_gauge_new(&g, r, name, "G.")) && ok;
        ok = done(belfry_set_unit(r, name, "bytes")) && ok;
        if (i % 2)
            ok = done(belfry_unregister(r, name)) && ok;
    }
    return ok;
}

static bool use_families(belfry_registry *r)
{
    static const char *const names[] = {"a", "b"};
    belfry_counter_family *cf;
    belfry_histogram_family *hf;
    bool ok = done(belfry_counter_family_new(&cf, r, "cf_total", "C.", names, 2));
    ok = done(belfry_histogram_family_new(&hf, r, "hf", "H.", names, 2, NULL, 0)) && ok;
    if (cf)
        ok = done(belfry_set_children_max(r, "cf_total", 30)) && ok;
    for (int i = 0; i < 40; i++) {
        char value[16];
        snprintf(value, sizeof(value), "\"%d\"", i);
        const char *const values[] = {value, ""};
        ok = done(belfry_counter_inc(belfry_counter_family_with(cf, values))) && ok;
        if (i % 10 == 0)
            ok = done(belfry_counter_family_remove(cf, values)) && ok;
    }
    const char *const values[] = {"1", "2"};
    ok = done(belfry_histogram_observe(belfry_histogram_family_with(hf, values), 1)) && ok;
    ok = write_all(r) && ok;
    return done(belfry_histogram_family_clear(hf)) && ok;
}

/* Uses everything once. True when every step said that it was done. */
static bool use_all(void)
{
    belfry_registry *r = belfry_registry_new();
    if (!r)
        return false;
    belfry_counter *c;
    belfry_histogram *h;
    bool ok = use_registry(r);
    ok = done(belfry_counter_new(&c, r, "c_total", "C.")) && ok;
    ok = done(belfry_histogram_new(&h, r, "h", "H.", NULL, 0)) && ok;
    ok = done(belfry_process_collector_new(r, NULL)) && ok;
    ok = done(belfry_host_collector_new(r, "/nonexistent")) && ok;
    ok = done(belfry_counter_add_exemplar(c, 1, &(const belfry_label){"a", "b"}, 1)) && ok;
    ok = done(belfry_histogram_observe(h, 1)) && ok;
    ok = use_sketches(r) && ok;
    ok = use_families(r) && ok;
    char *text;
    size_t len;
    belfry_status status = belfry_registry_text(r, &text, &len);
    assert_int_equal(status == BELFRY_OK, text != NULL);
    belfry_text_free(text);
    belfry_registry_free(r);
    return ok && status == BELFRY_OK;
}

/* The log, its lines in a request. */
static bool use_log(belfry_registry *r, belfry_request *request)
{
    belfry_log_options options = {.path = "/dev/null", .repeat_max = 1, .with_trace = true};
    belfry_log *log = belfry_log_open(&options);
    if (!log)
        return false;
    bool ok = belfry_log_register(log, r) == BELFRY_OK;
    belfry_scope scope;
    belfry_request_enter(request, &scope);
    belfry_log_info(log, "event", BELFRY_STR("text", "text"));
    belfry_log_info(log, "event", BELFRY_STR("text", "text"));
    belfry_scope_leave(&scope);
    belfry_log_close(log);
    return ok;
}

static void post(void *arg, const char *body, size_t len, belfry_post_reply *reply)
{
    reply->status = 200;
}

static bool use_spans(belfry_tracer *tracer)
{
    belfry_scope scope;
    belfry_span *span = belfry_span_start(tracer, "work", BELFRY_SPAN_INTERNAL);
    belfry_span_enter(span, &scope);
    belfry_span_set(span, BELFRY_STR("key", "value"));
    belfry_span_event(span, "event", NULL, 0);
    belfry_span_fail(span, "failed");
    belfry_scope_leave(&scope);
    belfry_span_end(span);
    return span != NULL;
}

static bool use_request(belfry_registry *r)
{
    static const char PARENT[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    belfry_tracer_options tracer_options = {.service_name = "test", .transport = {.post = post}};
    belfry_tracer *tracer;
    bool ok = belfry_tracer_open(&tracer, &tracer_options) == BELFRY_OK;
    assert_int_equal(ok, tracer != NULL);
    if (tracer)
        ok = belfry_tracer_register(tracer, r) == BELFRY_OK;
    belfry_request_options options = {.traceparent = PARENT,
                                      .traceparent_bytes = sizeof PARENT - 1,
                                      .tracestate = "a=1",
                                      .tracestate_bytes = 3,
                                      .tracer = tracer};
    belfry_request *request;
    bool made = belfry_request_new(&request, &options) == BELFRY_OK;
    assert_int_equal(made, request != NULL);
    if (made) {
        ok = (!tracer || belfry_request_span(request)) && ok;
        ok = use_log(r, request) && ok;
    }
    belfry_request_end(request);
    ok = (!tracer || use_spans(tracer)) && ok;
    belfry_tracer_close(tracer);
    return ok && made;
}

static bool submit(void *arg, void (*run)(void *task), void *task)
{
    run(task);
    return true;
}

static bool use_health(belfry_registry *r)
{
    belfry_health *health;
    belfry_health_options options = {.service = "test", .version = "1"};
    if (belfry_health_new(&health, &options) != BELFRY_OK) {
        assert_null(health);
        return false;
    }
    bool ok = belfry_health_add_disk(health, "/", 1) == BELFRY_OK;
    ok = belfry_health_add_memory(health, 0, NULL) == BELFRY_OK && ok;
    ok = belfry_health_add_worker(health, submit, NULL) == BELFRY_OK && ok;
    ok = belfry_health_register(health, r) == BELFRY_OK && ok;
    char *text;
    size_t len;
    bool ready;
    belfry_status status = belfry_health_ready_text(health, &text, &len, &ready);
    assert_int_equal(status == BELFRY_OK, text != NULL);
    belfry_text_free(text);
    ok = status == BELFRY_OK && ok;
    status = belfry_health_live_text(health, &text, &len);
    belfry_text_free(text);
    belfry_health_free(health);
    return status == BELFRY_OK && ok;
}

static bool use_logs_requests_and_health(void)
{
    belfry_registry *r = belfry_registry_new();
    if (!r)
        return false;
    bool ok = use_request(r);
    ok = use_health(r) && ok;
    belfry_registry_free(r);
    return ok;
}

/* Returns how many allocations `use` makes. */
static long fail_each(bool (*use)(void))
{
    assert_true(use()); /* what is made once is made now */
    long n = 0;
    for (bool hit = true; hit; n++) {
        countdown = n;
        bool ok = use();
        hit = countdown < 0;
        countdown = -1;
        if (!hit)
            assert_true(ok);
    }
    assert_true(use());
    return n;
}

static void no_failing_allocation_harms_the_host(void **state)
{
    assert_true(fail_each(use_all) > 300);
}

static void no_failing_allocation_of_logs_requests_and_health_harms_the_host(void **state)
{
    assert_true(fail_each(use_logs_requests_and_health) > 20);
}

static bool maps_fail;

void *__real_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);

void *__wrap_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    return maps_fail ? MAP_FAILED : __real_mmap64(at, bytes, protection, flags, fd, offset);
}

struct attempt {
    belfry_counter *counter;
    belfry_status without, with;
    uint64_t lost_count;
};

/* While main has its cells: the first thread beside it that ever counts. */
static void *count_without_memory(void *arg)
{
    struct attempt *a = arg;
    uint64_t lost = belfry_updates_lost();
    maps_fail = true;
    a->without = belfry_counter_inc(a->counter);
    a->lost_count = belfry_updates_lost() - lost;
    maps_fail = false;
    a->with = belfry_counter_inc(a->counter);
    return NULL;
}

static void a_thread_without_memory_loses_updates_and_says_so(void **state)
{
    belfry_registry *r = belfry_registry_new();
    struct attempt a = {0};
    pthread_t thread;
    assert_int_equal(belfry_counter_new(&a.counter, r, "c_total", "C."), BELFRY_OK);
    assert_int_equal(belfry_counter_inc(a.counter), BELFRY_OK);
    assert_int_equal(pthread_create(&thread, NULL, count_without_memory, &a), 0);
    pthread_join(thread, NULL);
    assert_int_equal(a.without, BELFRY_ERROR_MEMORY);
    assert_int_equal(a.lost_count, 1);
    assert_int_equal(a.with, BELFRY_OK);
    assert_true(belfry_counter_value(a.counter) == 2);
    belfry_registry_free(r);
}

/* Allocations of one writing of so many counters and histograms, in a registry that was written before. */
static long allocations_of(int children, belfry_format format)
{
    static const char *const names[] = {"a", "b"};
    belfry_exposition how = {.format = format};
    belfry_registry *r = belfry_registry_new();
    belfry_counter_family *cf;
    belfry_histogram_family *hf;
    size_t bytes = 0;
    assert_int_equal(belfry_counter_family_new(&cf, r, "c_total", "C.", names, 2), BELFRY_OK);
    assert_int_equal(belfry_histogram_family_new(&hf, r, "h", "H.", names, 2, NULL, 0), BELFRY_OK);
    for (int i = 0; i < children; i++) {
        char value[16];
        snprintf(value, sizeof(value), "%d", i);
        const char *const values[] = {value, "\"quoted\""};
        assert_int_equal(belfry_counter_inc(belfry_counter_family_with(cf, values)), BELFRY_OK);
        assert_int_equal(belfry_histogram_observe(belfry_histogram_family_with(hf, values), 1),
                         BELFRY_OK);
    }
    assert_int_equal(belfry_registry_write(r, &how, swallow, &bytes), BELFRY_OK);
    long before = allocation_count;
    assert_int_equal(belfry_registry_write(r, &how, swallow, &bytes), BELFRY_OK);
    long count = allocation_count - before;
    belfry_registry_free(r);
    return count;
}

/* Buffers grow by doubling, and that is all. */
static void writing_allocates_nothing_per_series(void **state)
{
    (void)state;
    for (belfry_format format = BELFRY_FORMAT_TEXT; format <= BELFRY_FORMAT_PROTOBUF; format++) {
        long few = allocations_of(100, format), many = allocations_of(3200, format);
        assert_true(few < 40);
        assert_true(many - few <= (format == BELFRY_FORMAT_PROTOBUF ? 6 : 1));
    }
}

/* What a signal handler may call allocates nothing: an example of a new counter neither. */
static void counting_in_a_request_does_not_allocate(void **state)
{
    (void)state;
    belfry_registry *r = belfry_registry_new();
    belfry_counter *c[40];
    belfry_request *request;
    belfry_scope scope;
    for (size_t i = 0; i < 40; i++) {
        char name[32];
        snprintf(name, sizeof name, "c%zu_total", i);
        assert_int_equal(belfry_counter_new(&c[i], r, name, "C."), BELFRY_OK);
    }
    assert_int_equal(belfry_request_new(&request, &(belfry_request_options){.request_id = NULL}),
                     BELFRY_OK);
    belfry_counter_inc(c[0]); /* the thread has its block */
    belfry_request_enter(request, &scope);
    is_malloc_watched = true;
    malloc_count = 0;
    for (size_t i = 0; i < 40; i++)
        belfry_counter_inc(c[i]);
    is_malloc_watched = false;
    assert_int_equal(malloc_count, 0);
    belfry_scope_leave(&scope);
    belfry_request_end(request);
    char *text = NULL;
    size_t bytes = 0, examples = 0;
    belfry_exposition how = {.format = BELFRY_FORMAT_OPENMETRICS};
    assert_int_equal(belfry_registry_write(r, &how, keep, &(struct kept){&text, &bytes}),
                     BELFRY_OK);
    for (const char *at = text; (at = strstr(at, "# {request_id=")) != NULL; at++)
        examples++;
    assert_int_equal(examples, 40);
    free(text);
    belfry_registry_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_failing_allocation_harms_the_host),
        cmocka_unit_test(writing_allocates_nothing_per_series),
        cmocka_unit_test(counting_in_a_request_does_not_allocate),
        cmocka_unit_test(a_thread_without_memory_loses_updates_and_says_so),
        cmocka_unit_test(no_failing_allocation_of_logs_requests_and_health_harms_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
