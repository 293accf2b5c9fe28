/* SPDX-License-Identifier: Apache-2.0 */
/* log_bench.c: what logs, requests and spans cost their caller, in nanoseconds of its CPU time per operation, and lines that were dropped
 * (lines are timed in bursts that fit the queue; the log's thread writes to /dev/null between them).
 * Build: ninja -C build bench/log_bench */
#include <belfry/health.h>
#include <belfry/request.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BURSTS = 300, BURST_LINES = 1000, ROUNDS = 5000000, REQUESTS = 500000 };

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void report(const char *what, double ns, double count)
{
    printf("%-56s %9.2f ns\n", what, ns / count);
}

static void one_field(belfry_log *log, int i)
{
    belfry_log_info(log, "tick", BELFRY_INT("i", i));
}

static void eight_fields(belfry_log *log, int i)
{
    belfry_log_info(log, "job_completed", BELFRY_STR("job_id", "job_c298c805"),
                    BELFRY_STR("type", "palette"), BELFRY_STR("status", "done"),
                    BELFRY_INT("results_count", i), BELFRY_DOUBLE("queue_seconds", 0.25),
                    BELFRY_DOUBLE("processing_seconds", 1.125), BELFRY_BOOL("cached", false),
                    BELFRY_STR("url", "https://example.org/images/a.png?sig=1"));
}

static void http_request(belfry_log *log, int i)
{
    belfry_log_http line = {"/jobs/{id}", "GET", 200, 15, 1, NULL, 39, (uint64_t)i};
    belfry_log_http_request(log, &line);
}

static void off(belfry_log *log, int i)
{
    belfry_log_debug(log, "off", BELFRY_INT("i", i), BELFRY_STR("text", "some text"));
}

/* The caller's time alone: between bursts the queue is emptied. */
static double burst(belfry_log *log, void (*write)(belfry_log *log, int i))
{
    double ns = 0;
    for (int b = 0; b < BURSTS; b++) {
        double start = now_ns();
        for (int i = 0; i < BURST_LINES; i++)
            write(log, i);
        ns += now_ns() - start;
        (void)belfry_log_flush(log);
    }
    return ns;
}

static void *burst_thread(void *arg)
{
    static _Thread_local double ns;
    ns = burst(arg, eight_fields);
    return &ns;
}

static void lines(void)
{
    int fd = open("/dev/null", O_WRONLY);
    belfry_log_options options = {
        .fd = fd, .level = BELFRY_LOG_INFO, .with_request_id = true, .queue_bytes_max = 4 << 20};
    belfry_log *log = belfry_log_open(&options);
    burst(log, one_field); /* the ring's pages are touched */
    report("line, 1 field", burst(log, one_field), BURSTS * BURST_LINES);
    report("line, 8 fields, one a URL", burst(log, eight_fields), BURSTS * BURST_LINES);
    report("http_request (12 keys)", burst(log, http_request), BURSTS * BURST_LINES);
    belfry_scope scope;
    const belfry_field fields[] = {BELFRY_STR("tenant", "t1"), BELFRY_INT("shard", 3)};
    belfry_scope_enter(&scope, "c298c805", fields, 2);
    report("line, 8 fields and 2 of a scope", burst(log, eight_fields), BURSTS * BURST_LINES);
    belfry_scope_leave(&scope);
    report("line below the level", burst(log, off), BURSTS * BURST_LINES);
    pthread_t threads[2];
    double total = 0;
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, burst_thread, log) != 0)
            return;
    for (int i = 0; i < 2; i++) {
        void *ns;
        pthread_join(threads[i], &ns);
        total += *(double *)ns;
    }
    report("line, 8 fields, 2 threads, each", total / 2, BURSTS * BURST_LINES);
    printf("%-56s %9llu\n", "dropped", (unsigned long long)belfry_log_dropped(log));
    belfry_log_close(log);
    options.repeat_max = 1000000;
    log = belfry_log_open(&options);
    report("line, 1 field, with a limit on repeats", burst(log, one_field), BURSTS * BURST_LINES);
    options.repeat_max = 1;
    belfry_log_close(log);
    log = belfry_log_open(&options);
    report("line held back as a repeat", burst(log, one_field), BURSTS * BURST_LINES);
    belfry_log_close(log);
    close(fd);
}

static void swallow(void *arg, const char *body, size_t len, belfry_post_reply *reply)
{
    *(uint64_t *)arg += len;
    reply->status = 200;
}

static void requests(belfry_tracer *tracer, const char *what)
{
    static const char PARENT[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    belfry_request_options options = {
        .traceparent = PARENT, .traceparent_bytes = sizeof PARENT - 1, .tracer = tracer};
    double start = now_ns();
    for (int i = 0; i < REQUESTS; i++) {
        belfry_request *request;
        belfry_scope scope;
        if (belfry_request_new(&request, &options) != BELFRY_OK)
            return;
        belfry_request_enter(request, &scope);
        belfry_scope_leave(&scope);
        belfry_request_end(request);
    }
    report(what, now_ns() - start, REQUESTS);
}

static void contexts(void)
{
    belfry_request *request;
    belfry_request_options options = {0};
    belfry_scope scope;
    char id[BELFRY_REQUEST_ID_BYTES];
    belfry_trace_context trace;
    if (belfry_request_new(&request, &options) != BELFRY_OK)
        return;
    double start = now_ns();
    for (int i = 0; i < ROUNDS; i++) {
        belfry_scope_enter(&scope, "id", NULL, 0);
        belfry_scope_leave(&scope);
    }
    report("scope: enter and leave", now_ns() - start, ROUNDS);
    start = now_ns();
    for (int i = 0; i < ROUNDS; i++) {
        belfry_request_enter(request, &scope);
        belfry_scope_leave(&scope);
    }
    report("request: enter and leave", now_ns() - start, ROUNDS);
    belfry_request_end(request);
    start = now_ns();
    for (int i = 0; i < ROUNDS; i++)
        if (belfry_request_id_make(id) != BELFRY_OK)
            return;
    report("request id", now_ns() - start, ROUNDS);
    static const char PARENT[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    start = now_ns();
    for (int i = 0; i < ROUNDS; i++)
        if (!belfry_traceparent_parse(&trace, PARENT, sizeof PARENT - 1))
            return;
    report("traceparent: parse", now_ns() - start, ROUNDS);
    requests(NULL, "request: new, enter, leave, end; no tracer");
}

static void spans(void)
{
    uint64_t bytes = 0;
    belfry_tracer *tracer;
    belfry_tracer_options options = {.service_name = "bench",
                                     .transport = {.post = swallow, .arg = &bytes},
                                     .queue_spans_max = 1 << 20,
                                     .delay_ms = 60000,
                                     .batch_spans_max = 1 << 20};
    if (belfry_tracer_open(&tracer, &options) != BELFRY_OK)
        return;
    requests(tracer, "request with its own span");
    double start = now_ns();
    for (int i = 0; i < 100000; i++) {
        belfry_span *span = belfry_span_start(tracer, "work", BELFRY_SPAN_INTERNAL);
        belfry_span_set(span, BELFRY_STR("http.request.method", "GET"));
        belfry_span_set(span, BELFRY_INT("http.response.status_code", 200));
        belfry_span_end(span);
    }
    report("span with 2 attributes", now_ns() - start, 100000);
    (void)belfry_tracer_flush(tracer, 60000);
    belfry_tracer_close(tracer);
    start = now_ns();
    for (int i = 0; i < ROUNDS; i++)
        belfry_span_end(belfry_span_start(NULL, "off", BELFRY_SPAN_INTERNAL));
    report("span without a tracer", now_ns() - start, ROUNDS);
}

int main(void)
{
    lines();
    contexts();
    spans();
    belfry_health *health;
    belfry_health_options options = {.service = "bench", .version = "1"};
    if (belfry_health_new(&health, &options) != BELFRY_OK)
        return 1;
    double start = now_ns();
    for (int i = 0; i < ROUNDS; i++) {
        belfry_health_request_begin(health);
        belfry_health_request_end(health, false);
    }
    report("health: request begin and end", now_ns() - start, ROUNDS);
    belfry_health_free(health);
    return 0;
}
