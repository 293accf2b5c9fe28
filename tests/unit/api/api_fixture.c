/* SPDX-License-Identifier: Apache-2.0 */
/* api_fixture.c: see api_fixture.h. */
#include "api_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct world world;

void world_add(const char *series, int64_t from_ms, int64_t step_ms, const double *values,
               size_t count)
{
    struct arena arena;
    struct labels ls;
    struct error err;
    arena_init(&arena, MEM_OTHER, 0);
    if (!labels_parse(&arena, view_from(series), &ls, &err))
        fail_msg("%s", err.message);
    for (size_t i = 0; i < count; i++)
        memory_source_add(world.memory, ls, from_ms + (int64_t)i * step_ms, values[i]);
    arena_deinit(&arena);
}

static void fill(void)
{
    static const double RISING[] = {0, 10, 20, 30, 40, 50};
    static const double ODD[] = {0.1, 1e21, 1e-7, INFINITY, -INFINITY, NAN};
    world_add("up{instance=\"a:1\",job=\"x\"}", 0, 10000, (const double[]){1, 1, 1, 1, 1, 1}, 6);
    world_add("up{instance=\"b:1\",job=\"y\"}", 0, 10000, (const double[]){1, 0, 1, 0, 1, 0}, 6);
    world_add("requests_total{job=\"x\",path=\"/<a>&\\\"b\\\"\"}", 0, 10000, RISING, 6);
    world_add("odd", 0, 10000, ODD, 6);
    world_add("{\"utf-8 metric\",\"label name\"=\"caf\xc3\xa9\"}", 0, 10000, RISING, 6);
}

static bool endless_select(struct storage_view *v, const struct select *what,
                           struct label_store *labels, struct arena *arena, struct series_list *out,
                           struct error *err)
{
    (void)v;
    (void)what;
    (void)err;
    const struct label name = {VIEW_INIT(LABEL_NAME), VIEW_INIT("endless")};
    out->items = ARENA_NEW(arena, struct series_ref);
    out->items[0].labels = label_store_add(labels, (struct labels){&name, 1});
    out->count = 1;
    return true;
}

static bool endless_read(struct storage_reader *r, uint64_t ref, int64_t mint, int64_t maxt,
                         struct samples *out, struct error *err)
{
    (void)ref;
    (void)mint;
    (void)maxt;
    (void)out;
    atomic_store(&world.endless.reading, true);
    while (!atomic_load(r->cancel))
        sched_yield();
    return error_set(err, ERROR_CANCELED, "query was canceled in query execution");
}

static void endless_reader_free(struct storage_reader *r)
{
    (void)r;
}

static struct storage_reader *endless_reader_new(struct storage_view *v, struct error *err)
{
    (void)v;
    (void)err;
    static const struct storage_reader_ops OPS = {endless_read, endless_reader_free};
    world.endless.reader = (struct storage_reader){&OPS, NULL};
    return &world.endless.reader;
}

static void endless_release(struct storage_view *v)
{
    (void)v;
}

static struct storage_view *endless_pin(struct storage_source *s, int64_t mint, int64_t maxt,
                                        struct error *err)
{
    (void)s;
    (void)mint;
    (void)maxt;
    (void)err;
    static const struct storage_view_ops OPS = {
        .select = endless_select, .reader_new = endless_reader_new, .release = endless_release};
    world.endless.view.ops = &OPS;
    return &world.endless.view;
}

static bool is_ready(void *arg)
{
    return ((struct world *)arg)->ready;
}

static void config_text(void *arg, struct buffer *out)
{
    (void)arg;
    buffer_append_literal(out, "global:\n  scrape_interval: 1s\n");
}

static void own_metrics(void *arg, const belfry_exposition *how, struct buffer *out)
{
    (void)arg;
    buffer_append_literal(out, "# TYPE a counter\na 1\n");
    if (how->format == BELFRY_FORMAT_OPENMETRICS)
        buffer_append_literal(out, "# EOF\n");
}

int world_start(void **state)
{
    (void)state;
    static const char *const ADDRESSES[] = {"127.0.0.1:0"};
    static const struct api_flag FLAGS[] = {{"config.file", "a.yml"}, {"web.cors.origin", ".*"}};
    struct error err;
    world.memory = memory_source_new();
    world.ready = true;
    world.endless.source.pin = endless_pin;
    fill();
    struct http_server_options http = {.addresses = ADDRESSES,
                                       .address_count = 1,
                                       .cors_origin = ".*",
                                       .error_body = api_error_body};
    if (!pool_start(&world.pool, 2, 100, &err))
        fail_msg("%s", err.message);
    http.pool = world.pool;
    if (!http_server_open(&world.server, &http, &err))
        fail_msg("%s", err.message);
    struct api_options opts = {
        .source = memory_source_as_source(world.memory),
        .engine = {.pool = world.pool},
        .router = world.alert_router,
        .alert_state = world.alert_state,
        .config_text = config_text,
        .is_ready = is_ready,
        .metrics = own_metrics,
        .arg = &world,
        .flags = FLAGS,
        .flag_count = 2,
        .version = "1.2.3",
        .started = {1435781451781},
    };
    world.api = api_new(&opts);
    api_add_routes(world.api, world.server);
    if (!http_server_start(world.server, &err))
        fail_msg("%s", err.message);
    world.port = http_server_port(world.server, 0);
    return 0;
}

int world_stop(void **state)
{
    (void)state;
    http_server_close(world.server);
    api_free(world.api);
    pool_stop(world.pool);
    memory_source_free(world.memory);
    return 0;
}

int world_dial(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

char *world_exchange(const char *request, size_t request_bytes)
{
    enum { BYTES_MAX = 8 << 20 };
    int fd = world_dial(world.port);
    assert_int_equal(send(fd, request, request_bytes, MSG_NOSIGNAL), request_bytes);
    char *text = malloc(BYTES_MAX + 1);
    size_t len = 0;
    for (ssize_t got = 1; got > 0; len += got > 0 ? (size_t)got : 0)
        got = recv(fd, text + len, BYTES_MAX - len, 0);
    text[len] = '\0';
    close(fd);
    return text;
}

char *world_get(const char *target)
{
    size_t bytes = strlen(target) + 256;
    char *request = malloc(bytes);
    int len =
        snprintf(request, bytes, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", target);
    char *answer = world_exchange(request, (size_t)len);
    free(request);
    return answer;
}
