/* SPDX-License-Identifier: Apache-2.0 */
/* log_bench.c: what logs, requests and spans cost their caller, in nanoseconds of its CPU time per operation (the best round), and lines that were dropped
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

enum { BURSTS = 300, BURST_LINES = 1000, ROUNDS = 500000, REQUESTS = 20000 };

/* The best of several rounds: the machine may be busy. */
#define BEST(what, count, step)                                                                    \
    do {                                                                                           \
        double best_ = 1e18;                                                                       \
        for (int round_ = 0; round_ < 10; round_++) {                                              \
            double start_ = now_ns();                                                              \
            for (int i_ = 0; i_ < (count); i_++)                                                   \
                step;                                                                              \
            double ns_ = now_ns() - start_;                                                        \
            best_ = ns_ < best_ ? ns_ : best_;                                                     \
        }                                                                                          \
        report(what, best_, count);                                                                \
    } while (0)

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

/* The caller's time alone, the best burst: between bursts the queue is emptied. */
static double burst(belfry_log *log, void (*write)(belfry_log *log, int i))
{
    double best = 1e18;
    for (int b = 0; b < BURSTS; b++) {
        double start = now_ns();
        for (int i = 0; i < BURST_LINES; i++)
            write(log, i);
        double ns = now_ns() - start;
        best = ns < best ? ns : best;
        (void)belfry_log_flush(log);
    }
    return best;
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
    report("line, 1 field", burst(log, one_field), BURST_LINES);
    report("line, 8 fields, one a URL", burst(log, eight_fields), BURST_LINES);
    report("http_request (12 keys)", burst(log, http_request), BURST_LINES);
    belfry_scope scope;
    const belfry_field fields[] = {BELFRY_STR("tenant", "t1"), BELFRY_INT("shard", 3)};
    belfry_scope_enter(&scope, "c298c805", fields, 2);
    report("line, 8 fields and 2 of a scope", burst(log, eight_fields), BURST_LINES);
    belfry_scope_leave(&scope);
    report("line below the level", burst(log, off), BURST_LINES);
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
    report("line, 8 fields, 2 threads, each", total / 2, BURST_LINES);
    printf("%-56s %9llu\n", "dropped", (unsigned long long)belfry_log_dropped(log));
    belfry_log_close(log);
    options.repeat_max = 1000000;
    log = belfry_log_open(&options);
    report("line, 1 field, with a limit on repeats", burst(log, one_field), BURST_LINES);
    options.repeat_max = 1;
    belfry_log_close(log);
    log = belfry_log_open(&options);
    report("line held back as a repeat", burst(log, one_field), BURST_LINES);
    belfry_log_close(log);
    close(fd);
}

static void swallow(void *arg, const char *body, size_t len, belfry_post_reply *reply)
{
    *(uint64_t *)arg += len;
    reply->status = 200;
}

static const char PARENT[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

static void one_request(belfry_tracer *tracer)
{
    belfry_request_options options = {
        .traceparent = PARENT, .traceparent_bytes = sizeof PARENT - 1, .tracer = tracer};
    belfry_request *request;
    belfry_scope scope;
    if (belfry_request_new(&request, &options) != BELFRY_OK)
        return;
    belfry_request_enter(request, &scope);
    belfry_scope_leave(&scope);
    belfry_request_end(request);
}

static void one_scope(void)
{
    belfry_scope scope;
    belfry_scope_enter(&scope, "id", NULL, 0);
    belfry_scope_leave(&scope);
}

static void one_enter(belfry_request *request)
{
    belfry_scope scope;
    belfry_request_enter(request, &scope);
    belfry_scope_leave(&scope);
}

static void one_id(void)
{
    char id[BELFRY_REQUEST_ID_BYTES];
    if (belfry_request_id_make(id) != BELFRY_OK)
        printf("no random bytes\n");
}

static void one_span(belfry_tracer *tracer)
{
    belfry_span *span = belfry_span_start(tracer, "work", BELFRY_SPAN_INTERNAL);
    belfry_span_set(span, BELFRY_STR("http.request.method", "GET"));
    belfry_span_set(span, BELFRY_INT("http.response.status_code", 200));
    belfry_span_end(span);
}

static void contexts(void)
{
    belfry_request *request;
    belfry_request_options options = {0};
    belfry_trace_context trace;
    if (belfry_request_new(&request, &options) != BELFRY_OK)
        return;
    BEST("scope: enter and leave", ROUNDS, one_scope());
    BEST("request: enter and leave", ROUNDS, one_enter(request));
    belfry_request_end(request);
    BEST("request id", ROUNDS, one_id());
    BEST("traceparent: parse", ROUNDS, belfry_traceparent_parse(&trace, PARENT, sizeof PARENT - 1));
    BEST("request: new, enter, leave, end; no tracer", REQUESTS, one_request(NULL));
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
    BEST("request with its own span", REQUESTS, one_request(tracer));
    BEST("span with 2 attributes", REQUESTS, one_span(tracer));
    (void)belfry_tracer_flush(tracer, 60000);
    belfry_tracer_close(tracer);
    BEST("span without a tracer", ROUNDS, one_span(NULL));
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
    BEST("health: request begin and end", ROUNDS,
         (belfry_health_request_begin(health), belfry_health_request_end(health, false)));
    belfry_health_free(health);
    return 0;
}
