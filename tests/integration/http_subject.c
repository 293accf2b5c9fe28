/* SPDX-License-Identifier: Apache-2.0 */
/* http_subject.c: a program that shows its metrics in every way that libbelfry-http has. Its arguments are KEY=VALUE; it
 * prints "listening ADDRESS" for each listener, then does what lines of its standard input say and prints one line for
 * each: push, delete, count, stats, span, exit. */
#include <belfry/collectors.h>
#include <belfry/http.h>
#include <belfry/metrics.h>
#include <belfry/push.h>
#include <belfry/request.h>

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *argument(char **argv, const char *key)
{
    size_t len = strlen(key);
    for (; *argv; argv++)
        if (strncmp(*argv, key, len) == 0 && (*argv)[len] == '=')
            return *argv + len + 1;
    return NULL;
}

static unsigned number(char **argv, const char *key)
{
    const char *text = argument(argv, key);
    return text ? (unsigned)strtoul(text, NULL, 10) : 0;
}

static void must(belfry_status status, const char *what, const belfry_http_error *why)
{
    if (status == BELFRY_OK)
        return;
    printf("error %s: %s\n", what, why ? why->message : belfry_last_error());
    exit(1);
}

static belfry_counter *rows;

/* One of each kind, with values that are told apart; then `series` counters. */
static void make_metrics(unsigned series)
{
    static const char *const path[] = {"path"}, *const child[] = {"child", "of"};
    static const char *const odd[] = {"a\"b\\c\nd/\xc3\xa9"};
    static const double bounds[] = {0.1, 1, 10};
    const belfry_histogram_options native = {.native_factor = 1.1};
    const belfry_label labels[] = {{"version", "1.2"}};
    const belfry_label trace = {"trace_id", "0af7651916cd43dd8448eb211c80319c"};
    belfry_gauge_family *depth;
    belfry_histogram *seconds, *sizes;
    belfry_summary *wait;
    belfry_counter_family *many;
    must(belfry_counter_new(&rows, NULL, "app_rows_total", "Rows."), "counter", NULL);
    must(belfry_gauge_family_new(&depth, NULL, "app_depth", "Depth.", path, 1), "gauge", NULL);
    must(belfry_histogram_new(&seconds, NULL, "app_seconds", "Seconds.", bounds, 3), "histogram",
         NULL);
    must(belfry_histogram_new_with(&sizes, NULL, "app_size_bytes", "Sizes.", &native), "native",
         NULL);
    must(belfry_summary_new(&wait, NULL, "app_wait_seconds", "Wait.", NULL), "summary", NULL);
    must(belfry_info_new(NULL, "app_build_info", "Build.", labels, 1), "info", NULL);
    must(belfry_process_collector_new(NULL, NULL), "process", NULL);
    must(belfry_counter_add_exemplar(rows, 41, &trace, 1), "exemplar", NULL);
    belfry_gauge_set(belfry_gauge_family_with(depth, odd), -2.5);
    for (int i = 0; i < 100; i++) {
        must(belfry_histogram_observe_exemplar(seconds, i / 10.0, &trace, 1), "exemplar", NULL);
        belfry_histogram_observe(sizes, 1 + i);
        belfry_summary_observe(wait, i);
    }
    must(belfry_counter_family_new(&many, NULL, "app_many_total", "Many.", child, 2), "many", NULL);
    for (unsigned i = 0; i < series; i++) {
        char text[32];
        const char *const values[] = {text, "a program with that many of them"};
        (void)snprintf(text, sizeof text, "child-%u", i);
        belfry_counter_add(belfry_counter_family_with(many, values), i);
    }
}

/* ---- the program's own libmicrohttpd ---- */

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_bytes, void **context)
{
    static int begun;
    (void)version;
    (void)upload;
    if (!*context) {
        *context = &begun;
        return MHD_YES;
    }
    *upload_bytes = 0;
    if (belfry_http_serves(cls, url))
        return belfry_http_answer_mhd(cls, c, url, method) ? MHD_YES : MHD_NO;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(4, (void *)(uintptr_t) "own\n", MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result = MHD_queue_response(c, 200, response);
    MHD_destroy_response(response);
    return result;
}

static struct MHD_Daemon *start_own(const belfry_http_options *o)
{
    belfry_http *http;
    belfry_http_error why;
    must(belfry_http_new(&http, o, &why), "http", &why);
    struct MHD_Daemon *d = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL,
                                            on_request, http, MHD_OPTION_END);
    if (!d)
        exit(1);
    printf("listening 127.0.0.1:%u\n", MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT)->port);
    return d;
}

/* ---- push ---- */

static belfry_push *start_push(char **argv)
{
    const char *name = argument(argv, "label"), *protocol = argument(argv, "protocol");
    belfry_label label = {name, argument(argv, "value")};
    belfry_push *p;
    belfry_http_error why;
    const belfry_push_options o = {.protocol = protocol && strcmp(protocol, "remote_write") == 0
                                                   ? BELFRY_PUSH_REMOTE_WRITE
                                                   : BELFRY_PUSH_GATEWAY,
                                   .remote = {.url = argument(argv, "push"),
                                              .bearer_token = argument(argv, "push_bearer"),
                                              .username = argument(argv, "push_user"),
                                              .password = argument(argv, "push_password"),
                                              .ca_file = argument(argv, "push_ca"),
                                              .timeout_ms = 20000},
                                   .job = argument(argv, "job"),
                                   .grouping = &label,
                                   .grouping_count = name != NULL,
                                   .no_native_histograms = argument(argv, "classic") != NULL,
                                   .keep_others = argument(argv, "keep") != NULL,
                                   .interval_ms = number(argv, "interval_ms"),
                                   .retry_ms = 50,
                                   .at_exit = argument(argv, "at_exit") != NULL};
    must(belfry_push_start(&p, &o, &why), "push", &why);
    return p;
}

static void send_span(void)
{
    belfry_transport transport;
    belfry_tracer *tracer;
    belfry_http_error why;
    must(belfry_otlp_transport(&transport, NULL, &why), "otlp", &why);
    const belfry_tracer_options o = {
        .service_name = "subject", .transport = transport, .retry_ms = 50};
    must(belfry_tracer_open(&tracer, &o), "tracer", NULL);
    belfry_span *span = belfry_span_start(tracer, "work", BELFRY_SPAN_INTERNAL);
    belfry_span_end(span);
    printf("span %s\n", belfry_tracer_flush(tracer, 20000) ? "ok" : "not sent");
    belfry_tracer_close(tracer);
}

static void obey(const char *line, belfry_push *push, belfry_endpoint *endpoint)
{
    belfry_http_error why = {""};
    if (strcmp(line, "push\n") == 0) {
        printf("push %s\n", belfry_push_now(push, &why) == BELFRY_OK ? "ok" : why.message);
    } else if (strcmp(line, "delete\n") == 0) {
        printf("delete %s\n", belfry_push_delete(push, &why) == BELFRY_OK ? "ok" : why.message);
    } else if (strcmp(line, "count\n") == 0) {
        belfry_counter_inc(rows);
        printf("count ok\n");
    } else if (strcmp(line, "span\n") == 0) {
        send_span();
    } else if (strcmp(line, "stats\n") == 0 && endpoint) {
        belfry_endpoint_stats s;
        belfry_endpoint_stats_get(endpoint, &s);
        printf("stats scrapes=%llu refused=%llu failed=%llu denied=%llu timeouts=%llu "
               "certificate_errors=%llu open=%u\n",
               (unsigned long long)s.scrapes_total, (unsigned long long)s.scrapes_refused,
               (unsigned long long)s.scrapes_failed, (unsigned long long)s.denied,
               (unsigned long long)s.timeouts, (unsigned long long)s.certificate_errors,
               s.connections_open);
    } else {
        printf("unknown\n");
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    char line[64];
    const char *address = argument(argv, "address");
    belfry_endpoint *endpoint = NULL;
    belfry_push *push = NULL;
    struct MHD_Daemon *own = NULL;
    belfry_http_error why;
    setvbuf(stdout, NULL, _IOLBF, 0);
    make_metrics(number(argv, "series"));
    const belfry_endpoint_options o = {.http = {.bearer_token = argument(argv, "bearer"),
                                                .username = argument(argv, "user"),
                                                .password = argument(argv, "password"),
                                                .service = "subject",
                                                .version = "1"},
                                       .addresses = &address,
                                       .address_count = 1,
                                       .certificate_file = argument(argv, "certificate"),
                                       .key_file = argument(argv, "key"),
                                       .client_ca_file = argument(argv, "client_ca"),
                                       .connections_max = number(argv, "connections_max")};
    if (address) {
        must(belfry_endpoint_start(&endpoint, &o, &why), "endpoint", &why);
        printf("listening %s\n", belfry_endpoint_address(endpoint, 0));
    }
    if (argument(argv, "own"))
        own = start_own(&o.http);
    if (argument(argv, "push"))
        push = start_push(argv);
    while (fgets(line, sizeof line, stdin) && strcmp(line, "exit\n") != 0)
        obey(line, push, endpoint);
    if (own)
        MHD_stop_daemon(own);
    belfry_endpoint_stop(endpoint);
    if (argument(argv, "at_exit"))
        return 0;
    must(belfry_push_stop(push, argument(argv, "last") != NULL, &why), "last push", &why);
    return 0;
}
