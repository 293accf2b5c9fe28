/* SPDX-License-Identifier: Apache-2.0 */
/* sender_test.c: deliveries to a server of ours that does what receivers should not do. Its answers depend on the path and on
 * how often it was asked, never on a time; tests wait for the end of a delivery, however long it takes. */
#include "driver_fixture.h"

#include "base/attributes.h"
#include "base/checksum.h"
#include "base/mem.h"
#include "base/thread.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { REQUEST_BYTES = 1 << 16, WAIT_MAX_MS = 100 * 1000, HUNG_MAX = 64, CONNECTIONS_MAX = 256 };

/* --- the server: a thread for each connection, one request on each --- */

struct server {
    int fd;
    uint16_t port;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    unsigned asked;             /* requests in all */
    unsigned hanging, hung_max; /* in /hang now, and at most at once */
    bool is_over;
    char seen[REQUEST_BYTES]; /* the last request */
    pthread_t threads[CONNECTIONS_MAX];
    size_t thread_count;
};

struct connection {
    struct server *server;
    int fd;
};

static void send_text(int fd, const char *text)
{
    size_t len = strlen(text);
    while (len) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        text += n;
        len -= (size_t)n;
    }
}

/* A whole request with its body; false when there is none. */
static bool read_request(int fd, char *to)
{
    size_t len = 0;
    for (;;) {
        ssize_t n = recv(fd, to + len, REQUEST_BYTES - 1 - len, 0);
        if (n <= 0)
            return false;
        len += (size_t)n;
        to[len] = '\0';
        const char *body = strstr(to, "\r\n\r\n"), *length = strcasestr(to, "Content-Length:");
        if (body && len - (size_t)(body + 4 - to) >= (length ? strtoul(length + 15, NULL, 10) : 0))
            return true;
        if (len == REQUEST_BYTES - 1)
            return false;
    }
}

static void hang(struct server *s)
{
    mutex_lock(&s->mutex);
    s->hanging++;
    if (s->hanging > s->hung_max)
        s->hung_max = s->hanging;
    cond_broadcast(&s->changed);
    while (!s->is_over)
        cond_wait(&s->changed, &s->mutex);
    s->hanging--;
    mutex_unlock(&s->mutex);
}

/* Until the peer has had enough. */
static void send_forever(int fd, const char *head, const char *piece)
{
    send_text(fd, head);
    while (send(fd, piece, strlen(piece), MSG_NOSIGNAL) > 0)
        ;
}

static void reset(int fd)
{
    const struct linger now = {1, 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

static void answer(struct server *s, int fd, const char *request, unsigned turn)
{
    static const char OK[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    char path[100] = "";
    (void)sscanf(request, "%*s %99s", path);
    if (strcmp(path, "/hang") == 0)
        hang(s);
    else if (strcmp(path, "/busy") == 0)
        send_text(fd, turn == 1 ? "HTTP/1.1 429 Slow\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
                                : OK);
    else if (strcmp(path, "/much-later") == 0)
        send_text(fd, "HTTP/1.1 429 Slow\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n");
    else if (strcmp(path, "/flaky") == 0)
        send_text(fd, turn == 1 ? "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops" : OK);
    else if (strcmp(path, "/flaky-reset") == 0 && turn == 1)
        reset(fd);
    else if (strcmp(path, "/endless") == 0)
        send_forever(fd, "HTTP/1.1 200 OK\r\n\r\n", "and on and on and on ");
    else if (strcmp(path, "/headers") == 0)
        send_forever(fd, "HTTP/1.1 200 OK\r\n", "X-And: on and on and on and on\r\n");
    else if (strcmp(path, "/lying") == 0) /* closes before it has said all */
        send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nok");
    else if (strncmp(path, "/echo/", 6) == 0) { /* as Express and others do */
        char text[1000];
        (void)snprintf(text, sizeof text,
                       "HTTP/1.1 404 No\r\nConnection: close\r\n\r\nCannot POST %s, no %s", path,
                       path + 6);
        send_text(fd, text);
    } else if (strcmp(path, "/denied") == 0)
        send_text(fd, "HTTP/1.1 403 No\r\nContent-Length: 6\r\n\r\nsecret");
    else if (strcmp(path, "/token") == 0)
        send_text(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
                      "{\"access_token\":\"t\",\"token_type\":\"bearer\",\"expires_in\":3600}");
    else if (strcmp(path, "/silent") != 0)
        send_text(fd, OK);
}

static void *serve(void *arg)
{
    struct connection *c = arg;
    struct server *s = c->server;
    char *request = mem_alloc(MEM_OTHER, REQUEST_BYTES);
    if (read_request(c->fd, request)) {
        mutex_lock(&s->mutex);
        unsigned turn = ++s->asked;
        memcpy(s->seen, request, REQUEST_BYTES);
        mutex_unlock(&s->mutex);
        answer(s, c->fd, request, turn);
    }
    close(c->fd);
    mem_free(MEM_OTHER, request);
    mem_free(MEM_OTHER, c);
    return NULL;
}

static void *accept_all(void *arg)
{
    struct server *s = arg;
    for (;;) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        struct connection *c = mem_alloc(MEM_OTHER, sizeof *c);
        struct error err;
        *c = (struct connection){s, fd};
        mutex_lock(&s->mutex);
        assert_true(s->thread_count < CONNECTIONS_MAX);
        assert_true(thread_start(&s->threads[s->thread_count++], "serve", serve, c, &err));
        mutex_unlock(&s->mutex);
    }
}

static int listen_somewhere(uint16_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &bytes), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static void server_start(struct server *s)
{
    struct error err;
    *s = (struct server){0};
    mutex_init(&s->mutex);
    cond_init(&s->changed);
    s->fd = listen_somewhere(&s->port);
    assert_int_equal(listen(s->fd, 128), 0);
    assert_true(thread_start(&s->thread, "accept", accept_all, s, &err));
}

static void server_stop(struct server *s)
{
    mutex_lock(&s->mutex);
    s->is_over = true;
    cond_broadcast(&s->changed);
    mutex_unlock(&s->mutex);
    (void)shutdown(s->fd, SHUT_RDWR);
    thread_join(s->thread);
    for (size_t i = 0; i < s->thread_count; i++)
        thread_join(s->threads[i]);
    close(s->fd);
    cond_deinit(&s->changed);
    mutex_deinit(&s->mutex);
}

/* --- deliveries --- */

struct outcome {
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    bool is_over;
    enum delivery_verdict verdict;
    unsigned attempts;
    long status;
    uint64_t payload_hash;
    uint64_t ticket; /* that it is told to wait for */
    char error[600];
};

static uint64_t on_done(void *arg, const struct sender_result *r)
{
    struct outcome *o = arg;
    mutex_lock(&o->mutex);
    assert_false(o->is_over);
    o->is_over = true;
    o->verdict = r->verdict;
    o->attempts = r->attempts;
    o->status = r->status;
    o->payload_hash = r->payload_hash;
    (void)snprintf(o->error, sizeof o->error, "%.*s", VIEW_ARGS(r->error));
    uint64_t ticket = o->ticket; /* who waits for it may free it */
    cond_broadcast(&o->ended);
    mutex_unlock(&o->mutex);
    return ticket;
}

static void outcome_init(struct outcome *o)
{
    *o = (struct outcome){0};
    mutex_init(&o->mutex);
    cond_init(&o->ended);
}

static void outcome_wait(struct outcome *o)
{
    mono_time end = mono_add_ms(clock_mono(), WAIT_MAX_MS);
    mutex_lock(&o->mutex);
    while (!o->is_over)
        if (!cond_wait_until(&o->ended, &o->mutex, end))
            fail_msg("a delivery did not end");
    mutex_unlock(&o->mutex);
}

/* Everything that was logged, to look for secrets in. */
struct log {
    pthread_mutex_t mutex;
    struct buffer text;
};

static void on_log(void *arg, bool is_error, const char *event, const char *text)
{
    struct log *log = arg;
    mutex_lock(&log->mutex);
    buffer_printf(&log->text, "%s: %s\n", event, text);
    mutex_unlock(&log->mutex);
}

struct world {
    struct server server, other;
    struct log log;
    struct sender *sender;
};

static int world_start(void **state)
{
    struct world *w = mem_alloc_zero(MEM_OTHER, 1, sizeof *w);
    struct error err;
    server_start(&w->server);
    server_start(&w->other);
    mutex_init(&w->log.mutex);
    buffer_init(&w->log.text, MEM_OTHER, 1 << 20);
    const struct sender_options options = {
        .log = on_log, .log_arg = &w->log, .hold_ms = INT64_C(3600) * 1000};
    assert_true(sender_start(&w->sender, &options, &err));
    *state = w;
    return 0;
}

static int world_stop(void **state)
{
    struct world *w = *state;
    sender_stop(w->sender, 0);
    server_stop(&w->server);
    server_stop(&w->other);
    buffer_deinit(&w->log.text);
    mutex_deinit(&w->log.mutex);
    mem_free(MEM_OTHER, w);
    return 0;
}

static struct sender_job job_of(struct driver_fixture *f, int64_t timeout_ms, struct outcome *o)
{
    outcome_init(o);
    return (struct sender_job){
        .integration = &f->list.items[0],
        .alerts = f->source.alerts,
        .alert_count = f->source.alert_count,
        .group_labels = f->source.group_labels,
        .group_key = f->source.group_key,
        .now_ns = f->source.now_ns,
        .timeout_ms = timeout_ms,
        .done = on_done,
        .arg = o,
    };
}

/* A webhook at the server; `more` follows the URL in its configuration. */
static void fixture(struct driver_fixture *f, const char *scheme, uint16_t port, const char *path,
                    const char *more)
{
    char text[1000];
    (void)snprintf(text, sizeof text, "webhook_configs: [{url: '%s://127.0.0.1:%u%s'%s}]", scheme,
                   port, path, more);
    const struct driver_case c = {.name = path, .receiver = text};
    driver_fixture_init(f, &c);
}

static void deliver(struct world *w, struct driver_fixture *f, int64_t timeout_ms,
                    struct outcome *o)
{
    const struct sender_job job = job_of(f, timeout_ms, o);
    sender_submit(w->sender, &job);
    outcome_wait(o);
}

enum { LONG_MS = WAIT_MAX_MS };

static void outcomes(void **state)
{
    static const struct {
        const char *path, *more;
        int64_t timeout_ms;
        enum delivery_verdict verdict;
        unsigned attempts;
        long status;
        const char *error;
    } CASES[] = {
        {"/ok", "", LONG_MS, DELIVERY_SENT, 1, 200, ""},
        {"/denied", "", LONG_MS, DELIVERY_FAILED, 1, 403, "unexpected status code 403: secret"},
        {"/busy", "", LONG_MS, DELIVERY_SENT, 2, 200, ""},
        {"/flaky", "", LONG_MS, DELIVERY_SENT, 2, 200, ""},
        {"/flaky-reset", "", LONG_MS, DELIVERY_SENT, 2, 200, ""},
        {"/endless", "", LONG_MS, DELIVERY_SENT, 1, 200, ""},
        {"/lying", "", LONG_MS, DELIVERY_SENT, 1, 200, ""},
        {"/much-later", "", 30000, DELIVERY_RETRY, 1, 429, "no time is left for another attempt"},
        {"/hang", "", 300, DELIVERY_RETRY, 1, 0, "no time is left for another attempt; the last"},
        {"/silent", "", 200, DELIVERY_RETRY, 1, 0, "Empty reply"},
        {"/headers", "", 200, DELIVERY_RETRY, 1, 200, "bytes of headers"},
        {"/x", ", http_config: {bearer_token_file: /nonexistent}", 200, DELIVERY_RETRY, 1, 0,
         "/nonexistent"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct driver_fixture f;
        struct outcome o;
        struct world *w;
        world_start((void **)&w);
        fixture(&f, "http", w->server.port, CASES[i].path, CASES[i].more);
        deliver(w, &f, CASES[i].timeout_ms, &o);
        bool fits = CASES[i].error[0] ? strstr(o.error, CASES[i].error) != NULL : !o.error[0];
        if (o.verdict != CASES[i].verdict || o.attempts != CASES[i].attempts ||
            o.status != CASES[i].status || !fits)
            fail_msg("%s: verdict %d, %u attempts, status %ld: %s", CASES[i].path, o.verdict,
                     o.attempts, o.status, o.error);
        world_stop((void **)&w);
        driver_fixture_deinit(&f);
    }
}

/* Bound but not listening: nobody else gets the port, and connecting is refused. */
static void refused_connections_are_tried_again(void **state)
{
    struct world *w = *state;
    struct driver_fixture f;
    struct outcome o;
    uint16_t port;
    int fd = listen_somewhere(&port);
    fixture(&f, "http", port, "/", "");
    deliver(w, &f, 2500, &o);
    assert_int_equal(o.verdict, DELIVERY_RETRY);
    assert_true(o.attempts >= 2); /* pauses of at most 0.75, 1.125 s */
    assert_non_null(strstr(o.error, "Failed to connect"));
    close(fd);
    driver_fixture_deinit(&f);
}

static void tls_errors_are_tried_again(void **state)
{
    struct world *w = *state;
    struct driver_fixture f;
    struct outcome o;
    fixture(&f, "https", w->server.port, "/", "");
    deliver(w, &f, 200, &o);
    assert_int_equal(o.verdict, DELIVERY_RETRY);
    assert_true(o.error[0] && !strstr(o.error, "https://"));
    driver_fixture_deinit(&f);
}

/* The request arrives as it should, with what http_config adds. */
static void requests_carry_what_is_configured(void **state)
{
    struct world *w = *state;
    struct driver_fixture f;
    struct outcome o;
    fixture(&f, "http", w->server.port, "/ok?key=S3CRET",
            ", http_config: {basic_auth: {username: u, password: S3CRET}, http_headers: {X-A: "
            "{values: [b]}}}");
    deliver(w, &f, LONG_MS, &o);
    assert_int_equal(o.verdict, DELIVERY_SENT);
    mutex_lock(&w->server.mutex);
    const char *seen = w->server.seen;
    assert_non_null(strstr(seen, "POST /ok?key=S3CRET HTTP/1.1\r\n"));
    assert_non_null(strstr(seen, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(seen, "\r\nUser-Agent: Belfry/" BELFRY_VERSION "\r\n"));
    assert_non_null(strstr(seen, "\r\nAuthorization: Basic dTpTM0NSRVQ=\r\n"));
    assert_non_null(strstr(seen, "\r\nX-A: b\r\n"));
    assert_non_null(strstr(seen, "\"version\":\"4\""));
    assert_null(strstr(seen, "Expect"));
    assert_int_equal(o.payload_hash, hash64_view(view_from(strstr(seen, "\r\n\r\n") + 4)));
    mutex_unlock(&w->server.mutex);
    driver_fixture_deinit(&f);
}

/* A redirector: one connection, one answer. */
struct redirector {
    int fd;
    uint16_t port;
    char answer[300];
};

static void *redirect_once(void *arg)
{
    struct redirector *r = arg;
    char *request = mem_alloc(MEM_OTHER, REQUEST_BYTES);
    int fd = accept(r->fd, NULL, NULL);
    if (fd >= 0 && read_request(fd, request))
        send_text(fd, r->answer);
    close(fd);
    mem_free(MEM_OTHER, request);
    return NULL;
}

static void redirects_do_not_carry_credentials_away(void **state)
{
    static const struct {
        int status;
        const char *line;
        bool has_body;
    } CASES[] = {{307, "POST /ok HTTP/1.1\r\n", true}, {302, "GET /ok HTTP/1.1\r\n", false}};
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct redirector r;
        struct driver_fixture f;
        struct outcome o;
        struct error err;
        pthread_t thread;
        r.fd = listen_somewhere(&r.port);
        assert_int_equal(listen(r.fd, 1), 0);
        (void)snprintf(r.answer, sizeof r.answer,
                       "HTTP/1.1 %d Go\r\nLocation: http://127.0.0.1:%u/ok\r\nContent-Length: "
                       "0\r\nConnection: close\r\n\r\n",
                       CASES[i].status, w->server.port);
        assert_true(thread_start(&thread, "redirect", redirect_once, &r, &err));
        fixture(&f, "http", r.port, "/", ", http_config: {bearer_token: S3CRET}");
        deliver(w, &f, LONG_MS, &o);
        thread_join(thread);
        close(r.fd);
        assert_int_equal(o.verdict, DELIVERY_SENT);
        mutex_lock(&w->server.mutex);
        assert_true(strncmp(w->server.seen, CASES[i].line, strlen(CASES[i].line)) == 0);
        assert_null(strstr(w->server.seen, "S3CRET"));
        assert_int_equal(strstr(w->server.seen, "\"version\":\"4\"") != NULL, CASES[i].has_body);
        mutex_unlock(&w->server.mutex);
        driver_fixture_deinit(&f);
    }
}

/* What an alert may have chosen never leads to where only we can reach. */
static void templated_hosts_are_public_only(void **state)
{
    static const char *const HOSTS[] = {"127.0.0.1", "localhost", "2130706433", "[::1]",
                                        "169.254.169.254"};
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_COUNT(HOSTS); i++) {
        char text[300];
        struct driver_fixture f;
        struct outcome o;
        (void)snprintf(text, sizeof text, "webhook_configs: [{url: 'http://{{ \"%s\" }}:%u/ok'}]",
                       HOSTS[i], w->server.port);
        const struct driver_case c = {.name = HOSTS[i], .receiver = text};
        driver_fixture_init(&f, &c);
        deliver(w, &f, LONG_MS, &o);
        if (o.verdict != DELIVERY_FAILED || !strstr(o.error, "not public"))
            fail_msg("%s: %d %s", HOSTS[i], o.verdict, o.error);
        driver_fixture_deinit(&f);
    }
    mutex_lock(&w->server.mutex);
    assert_int_equal(w->server.asked, 0);
    mutex_unlock(&w->server.mutex);
}

/* What a template does not choose may be near: the token comes from an address that is not public, and the alert goes to none. */
static void tokens_for_templated_hosts_come_from_anywhere(void **state)
{
    struct world *w = *state;
    char text[300];
    struct driver_fixture f;
    struct outcome o;
    (void)snprintf(text, sizeof text,
                   "webhook_configs: [{url: 'http://{{ \"localhost\" }}:%u/ok', http_config: "
                   "{oauth2: {client_id: c, client_secret: s, token_url: "
                   "'http://127.0.0.1:%u/token'}}}]",
                   w->server.port, w->other.port);
    const struct driver_case c = {.name = "token", .receiver = text};
    driver_fixture_init(&f, &c);
    deliver(w, &f, LONG_MS, &o);
    assert_int_equal(o.verdict, DELIVERY_FAILED);
    assert_non_null(strstr(o.error, "not public"));
    driver_fixture_deinit(&f);
    mutex_lock(&w->server.mutex);
    assert_int_equal(w->server.asked, 0);
    mutex_unlock(&w->server.mutex);
    mutex_lock(&w->other.mutex);
    assert_int_equal(w->other.asked, 1);
    mutex_unlock(&w->other.mutex);
}

/* A receiver that hangs has at most so many at once, others are served, and what waits longer than it may is told so. */
static void one_that_hangs_holds_up_nobody_else(void **state)
{
    enum { COUNT = SENDER_PARALLEL_MAX + 4 };
    struct world *w = *state;
    struct driver_fixture hanging, good;
    static struct outcome stuck[COUNT];
    struct outcome o;
    char keys[COUNT][20];
    fixture(&hanging, "http", w->server.port, "/hang", "");
    fixture(&good, "http", w->server.port, "/ok", "");
    for (size_t i = 0; i < COUNT; i++) {
        struct sender_job job = job_of(&hanging, LONG_MS, &stuck[i]);
        (void)snprintf(keys[i], sizeof keys[i], "group %zu", i);
        job.group_key = view_from(keys[i]);
        sender_submit(w->sender, &job);
    }
    mono_time end = mono_add_ms(clock_mono(), WAIT_MAX_MS);
    mutex_lock(&w->server.mutex);
    while (w->server.hanging < SENDER_PARALLEL_MAX)
        assert_true(cond_wait_until(&w->server.changed, &w->server.mutex, end));
    mutex_unlock(&w->server.mutex);
    deliver(w, &good, LONG_MS, &o);
    assert_int_equal(o.verdict, DELIVERY_SENT);
    sender_stop(w->sender, 0);
    w->sender = NULL;
    for (size_t i = 0; i < COUNT; i++) {
        outcome_wait(&stuck[i]);
        assert_int_equal(stuck[i].verdict, DELIVERY_RETRY);
        assert_non_null(strstr(stuck[i].error, "the sender stops"));
    }
    assert_int_equal(w->server.hung_max, SENDER_PARALLEL_MAX);
    driver_fixture_deinit(&hanging);
    driver_fixture_deinit(&good);
}

/* Answered, but not kept: as many as may be on their way at once, and no more; another integration is not held. */
static void what_is_not_kept_is_on_its_way(void **state)
{
    enum { COUNT = 2 * SENDER_PARALLEL_MAX };
    struct world *w = *state;
    struct driver_fixture held, other;
    static struct outcome of[COUNT];
    struct outcome o;
    char keys[COUNT][20];
    fixture(&held, "http", w->server.port, "/ok", "");
    fixture(&other, "http", w->other.port, "/ok", "");
    for (size_t i = 0; i < COUNT; i++) {
        struct sender_job job = job_of(&held, LONG_MS, &of[i]);
        of[i].ticket = i + 1;
        (void)snprintf(keys[i], sizeof keys[i], "group %zu", i);
        job.group_key = view_from(keys[i]);
        sender_submit(w->sender, &job);
    }
    for (size_t i = 0; i < SENDER_PARALLEL_MAX; i++)
        outcome_wait(&of[i]);
    for (int i = 0; i < 3; i++) /* each goes through all queues */
        deliver(w, &other, LONG_MS, &o);
    mutex_lock(&w->server.mutex);
    assert_int_equal(w->server.asked, SENDER_PARALLEL_MAX);
    mutex_unlock(&w->server.mutex);
    sender_kept(w->sender, 3);
    for (size_t i = 0; i < SENDER_PARALLEL_MAX + 3; i++)
        outcome_wait(&of[i]);
    deliver(w, &other, LONG_MS, &o);
    mutex_lock(&w->server.mutex);
    assert_int_equal(w->server.asked, SENDER_PARALLEL_MAX + 3);
    mutex_unlock(&w->server.mutex);
    sender_kept(w->sender, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        outcome_wait(&of[i]);
        assert_int_equal(of[i].verdict, DELIVERY_SENT);
    }
    driver_fixture_deinit(&held);
    driver_fixture_deinit(&other);
}

/* A disk that hangs: the results that nobody tells to be kept. */
static void nothing_is_held_for_long(void **state)
{
    enum { COUNT = SENDER_PARALLEL_MAX + 1 };
    struct world *w = *state;
    struct driver_fixture f;
    static struct outcome of[COUNT];
    struct error err;
    char keys[COUNT][20];
    sender_stop(w->sender, 0);
    const struct sender_options options = {.hold_ms = 100};
    assert_true(sender_start(&w->sender, &options, &err));
    fixture(&f, "http", w->server.port, "/ok", "");
    for (size_t i = 0; i < COUNT; i++) {
        struct sender_job job = job_of(&f, LONG_MS, &of[i]);
        of[i].ticket = i + 1;
        (void)snprintf(keys[i], sizeof keys[i], "group %zu", i);
        job.group_key = view_from(keys[i]);
        sender_submit(w->sender, &job);
    }
    for (size_t i = 0; i < COUNT; i++)
        outcome_wait(&of[i]);
    driver_fixture_deinit(&f);
}

/* What waits is limited: in number, and in time where that is over before its turn. */
static void queues_are_bounded(void **state)
{
    enum { COUNT = SENDER_QUEUE_MAX + 1 };
    struct world *w = *state;
    struct driver_fixture f;
    static struct outcome outcomes[COUNT];
    struct outcome late;
    struct sender_stats stats;
    struct arena arena;
    char keys[COUNT][20];
    fixture(&f, "http", w->server.port, "/hang", "");
    for (size_t i = 0; i < SENDER_PARALLEL_MAX + 1; i++) {
        struct sender_job job = job_of(&f, i < SENDER_PARALLEL_MAX ? LONG_MS : 1,
                                       i < SENDER_PARALLEL_MAX ? &outcomes[i] : &late);
        (void)snprintf(keys[i], sizeof keys[i], "group %zu", i);
        job.group_key = view_from(keys[i]);
        sender_submit(w->sender, &job);
    }
    outcome_wait(&late);
    assert_int_equal(late.verdict, DELIVERY_RETRY);
    assert_int_equal(late.attempts, 0);
    assert_non_null(strstr(late.error, "its time was over before its turn came"));
    for (size_t i = SENDER_PARALLEL_MAX; i < COUNT; i++) {
        struct sender_job job = job_of(&f, LONG_MS, &outcomes[i]);
        (void)snprintf(keys[i], sizeof keys[i], "group %zu", i);
        job.group_key = view_from(keys[i]);
        sender_submit(w->sender, &job);
    }
    outcome_wait(&outcomes[COUNT - 1]); /* the one that is too many */
    assert_non_null(strstr(outcomes[COUNT - 1].error, "too many notifications wait"));
    arena_init(&arena, MEM_OTHER, 0);
    sender_read_stats(w->sender, &arena, &stats);
    assert_int_equal(stats.queued, SENDER_QUEUE_MAX);
    arena_deinit(&arena);
    sender_stop(w->sender, 0);
    w->sender = NULL;
    for (size_t i = 0; i < COUNT; i++)
        outcome_wait(&outcomes[i]);
    driver_fixture_deinit(&f);
}

/* Of one group the newest that waits is sent, and not before the one on its way has ended. */
static void newer_of_a_group_replaces_what_waits(void **state)
{
    struct world *w = *state;
    struct driver_fixture f;
    struct outcome first, second, third;
    fixture(&f, "http", w->server.port, "/hang", ", timeout: 1s");
    struct sender_job jobs[] = {job_of(&f, LONG_MS, &first), job_of(&f, LONG_MS, &second),
                                job_of(&f, LONG_MS, &third)};
    sender_submit(w->sender, &jobs[0]);
    mono_time end = mono_add_ms(clock_mono(), WAIT_MAX_MS);
    mutex_lock(&w->server.mutex);
    while (w->server.hanging < 1)
        assert_true(cond_wait_until(&w->server.changed, &w->server.mutex, end));
    mutex_unlock(&w->server.mutex);
    sender_submit(w->sender, &jobs[1]);
    sender_submit(w->sender, &jobs[2]);
    outcome_wait(&second);
    assert_int_equal(second.attempts, 0);
    assert_non_null(strstr(second.error, "superseded"));
    outcome_wait(&first); /* its attempt ends after a second; a newer one waits */
    assert_non_null(strstr(first.error, "superseded"));
    sender_stop(w->sender, 0);
    w->sender = NULL;
    outcome_wait(&third);
    assert_int_equal(third.verdict, DELIVERY_RETRY);
    driver_fixture_deinit(&f);
}

/* What is on its way is waited for, so long. */
static void stop_lets_what_is_on_its_way_end(void **state)
{
    struct world *w = *state;
    struct driver_fixture f;
    struct outcome o;
    fixture(&f, "http", w->server.port, "/ok", "");
    const struct sender_job job = job_of(&f, LONG_MS, &o);
    sender_submit(w->sender, &job);
    sender_stop(w->sender, WAIT_MAX_MS);
    w->sender = NULL;
    outcome_wait(&o);
    assert_int_equal(o.verdict, DELIVERY_SENT);
    driver_fixture_deinit(&f);
}

/* A receiver that refuses connections is tried again and again, until another configuration is in force. */
static void what_waits_ends_with_its_configuration(void **state)
{
    struct world *w = *state;
    struct driver_fixture refused, other;
    struct outcome o;
    uint16_t port;
    int fd = listen_somewhere(&port);
    fixture(&refused, "http", port, "/", "");
    fixture(&other, "http", w->server.port, "/ok", "");
    const struct sender_job job = job_of(&refused, LONG_MS, &o);
    sender_submit(w->sender, &job);
    sender_apply(w->sender, other.list.items[0].set);
    outcome_wait(&o);
    assert_int_equal(o.verdict, DELIVERY_RETRY);
    assert_non_null(strstr(o.error, "another configuration is in force"));
    deliver(w, &other, LONG_MS, &o);
    assert_int_equal(o.verdict, DELIVERY_SENT);
    close(fd);
    driver_fixture_deinit(&refused);
    driver_fixture_deinit(&other);
}

static void resolved_alerts_go_to_those_who_want_them(void **state)
{
    struct world *w = *state;
    char text[300];
    struct driver_fixture f;
    struct outcome o;
    (void)snprintf(text, sizeof text,
                   "webhook_configs: [{url: 'http://127.0.0.1:%u/ok', send_resolved: false}]",
                   w->server.port);
    struct driver_case c = {.name = "mixed",
                            .receiver = text,
                            .alerts = {{"{alertname=\"Down\",node=\"fires\"}"},
                                       {"{alertname=\"Down\",node=\"ended\"}", NULL, true}}};
    driver_fixture_init(&f, &c);
    deliver(w, &f, LONG_MS, &o);
    assert_int_equal(o.verdict, DELIVERY_SENT);
    assert_non_null(strstr(w->server.seen, "fires"));
    assert_null(strstr(w->server.seen, "ended"));
    driver_fixture_deinit(&f);
    c.alerts[0].is_resolved = true;
    driver_fixture_init(&f, &c);
    deliver(w, &f, LONG_MS, &o);
    assert_int_equal(o.verdict, DELIVERY_SENT);
    assert_int_equal(o.attempts, 0);
    assert_int_equal(w->server.asked, 1);
    driver_fixture_deinit(&f);
}

static void counters_are_alertmanagers(void **state)
{
    struct world *w = *state;
    struct driver_fixture f;
    struct outcome o;
    struct sender_stats stats;
    struct arena arena;
    fixture(&f, "http", w->server.port, "/flaky", "");
    deliver(w, &f, LONG_MS, &o);
    driver_fixture_deinit(&f);
    fixture(&f, "http", w->server.port, "/denied", "");
    deliver(w, &f, LONG_MS, &o);
    arena_init(&arena, MEM_OTHER, 0);
    sender_read_stats(w->sender, &arena, &stats);
    assert_int_equal(stats.count, 1);
    const struct sender_stat *s = &stats.items[0];
    assert_true(view_is(s->receiver, "team"));
    assert_string_equal(s->integration, "webhook");
    assert_int_equal(s->notifications, 2);
    assert_int_equal(s->requests, 3);
    assert_int_equal(s->requests_failed, 2);
    assert_int_equal(s->failed[SENDER_AUTH_ERROR], 1);
    assert_int_equal(s->failed[SENDER_SERVER_ERROR], 0);
    uint64_t observed = 0;
    for (size_t i = 0; i < SENDER_LATENCY_BUCKETS; i++)
        observed += s->latency_buckets[i];
    assert_int_equal(observed, 3);
    assert_int_equal(stats.queued, 0);
    arena_deinit(&arena);
    driver_fixture_deinit(&f);
}

/* URLs and credentials stay out of the log and of errors whatever goes wrong. */
static void secrets_are_never_logged(void **state)
{
    static const char *const PATHS[] = {"/hang?S3CRET", "/S3CRET", "/silent?S3CRET",
                                        "/echo/S3CRET-token-of-a-hook"};
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_COUNT(PATHS); i++) {
        struct driver_fixture f;
        struct outcome o;
        fixture(&f, i == 1 ? "https" : "http", w->server.port, PATHS[i],
                ", http_config: {basic_auth: {username: u, password: S3CRET}}");
        deliver(w, &f, 200, &o);
        assert_null(strstr(o.error, "S3CRET"));
        if (i == 3)
            assert_string_equal(o.error, "unexpected status code 404: Cannot POST <secret>, no "
                                         "<secret>");
        driver_fixture_deinit(&f);
    }
    sender_stop(w->sender, 0);
    w->sender = NULL;
    buffer_append_byte(&w->log.text, '\0');
    assert_null(strstr(w->log.text.ptr, "S3CRET"));
}

int main(void)
{
#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, world_start, world_stop)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outcomes),
        IN_WORLD(refused_connections_are_tried_again),
        IN_WORLD(tls_errors_are_tried_again),
        IN_WORLD(requests_carry_what_is_configured),
        IN_WORLD(redirects_do_not_carry_credentials_away),
        IN_WORLD(templated_hosts_are_public_only),
        IN_WORLD(tokens_for_templated_hosts_come_from_anywhere),
        IN_WORLD(one_that_hangs_holds_up_nobody_else),
        IN_WORLD(what_is_not_kept_is_on_its_way),
        IN_WORLD(nothing_is_held_for_long),
        IN_WORLD(queues_are_bounded),
        IN_WORLD(newer_of_a_group_replaces_what_waits),
        IN_WORLD(stop_lets_what_is_on_its_way_end),
        IN_WORLD(what_waits_ends_with_its_configuration),
        IN_WORLD(resolved_alerts_go_to_those_who_want_them),
        IN_WORLD(counters_are_alertmanagers),
        IN_WORLD(secrets_are_never_logged),
    };
    return cmocka_run_group_tests_name("alerting/sender", tests, NULL, NULL);
}
