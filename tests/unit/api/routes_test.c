/* SPDX-License-Identifier: Apache-2.0 */
/* routes_test.c: every route x method x role x caller x (with, without users), over real connections. The server is
 * not ready, so that routes which read or change data answer 503 once access is granted, and their parts of the server
 * need not exist. */
#include "api/api_private.h"
#include "api/notifications.h"
#include "base/assert.h"
#include "storage/memory_source.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { ALL_SWITCHES = 0xff };

struct world {
    struct memory_source *memory;
    struct api *api;
    struct http_server *server;
    struct notifications *notifications;
};

static bool never_ready(void *arg)
{
    (void)arg;
    return false;
}

static void no_metrics(void *arg, const belfry_exposition *how, struct buffer *out)
{
    (void)arg;
    (void)how;
    (void)out;
}

/* Users, as far as a route can tell: the role is what a header says, none is 401. */
static enum http_verdict header_access(void *arg, struct http_request *rq, struct http_response *rs,
                                       bool may_wait)
{
    (void)arg;
    enum http_role role;
    if (!may_wait) /* as a password does */
        return HTTP_MUST_WAIT;
    if (!http_role_parse(http_request_header(rq, "X-Role"), &role)) {
        http_response_error(rs, 401, "Unauthorized");
        return HTTP_REFUSED;
    }
    http_request_set_role(rq, role);
    if (role >= http_request_role_needed(rq))
        return HTTP_ALLOWED;
    http_response_error(rs, 403, "Forbidden");
    return HTTP_REFUSED;
}

static void world_start(struct world *w, enum http_role anonymous, bool users, unsigned switches)
{
    static const char *const ADDRESSES[] = {"127.0.0.1:0"};
    static char part; /* stands for a part of the server that is never touched */
    struct error err;
    struct http_server_options http = {.addresses = ADDRESSES,
                                       .address_count = 1,
                                       .thread_count = 1,
                                       .anonymous_role = anonymous,
                                       .forbidden_hint = "add a user",
                                       .access = users ? header_access : NULL};
    w->memory = memory_source_new();
    w->notifications = notifications_new(0); /* none may read them live: an answer that ends */
    if (!http_server_open(&w->server, &http, &err))
        fail_msg("%s", err.message);
    struct api_options opts = {.source = memory_source_as_source(w->memory),
                               .db = (struct db *)(void *)&part,
                               .scrape = (struct scrape_manager *)(void *)&part,
                               .rules = (struct rule_manager *)(void *)&part,
                               .notifications = w->notifications,
                               .notifier = (struct notifier *)(void *)&part,
                               .router = (struct alert_router *)(void *)&part,
                               .alert_state = (struct alert_state *)(void *)&part,
                               .heartbeats = (struct heartbeats *)(void *)&part,
                               .is_ready = never_ready,
                               .metrics = no_metrics,
                               .host_metrics = no_metrics,
                               .user_assets = "/nowhere",
                               .switches = switches};
    w->api = api_new(&opts);
    api_add_routes(w->api, w->server);
    if (!http_server_start(w->server, &err))
        fail_msg("%s", err.message);
}

static void world_stop(struct world *w)
{
    http_server_close(w->server);
    api_free(w->api);
    notifications_free(w->notifications);
    memory_source_free(w->memory);
}

/* The status; the whole answer in `answer`. */
static int ask(const struct world *w, const char *method, const char *path, const char *headers,
               char answer[4096])
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(http_server_port(w->server, 0)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char request[1024];
    size_t len = 0;
    int status = 0;
    int n = snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nConnection: close\r\n%s\r\n",
                     method, path, headers);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(send(fd, request, (size_t)n, MSG_NOSIGNAL), n);
    for (ssize_t got = 1; got > 0 && len<4095; len += got> 0 ? (size_t)got : 0)
        got = recv(fd, answer + len, 4095 - len, 0);
    answer[len] = '\0';
    close(fd);
    if (sscanf(answer, "HTTP/1.1 %d", &status) != 1)
        fail_msg("%s %s: no answer: %s", method, path, answer);
    return status;
}

static const struct {
    const char *name, *headers;
    bool local;
} CALLERS[] = {
    {"local", "Host: 127.0.0.1:9090\r\n", true},
    {"local by name", "Host: localhost\r\n", true},
    {"local, own page", "Host: localhost:1\r\nOrigin: http://localhost:1\r\n", true},
    {"IPv6 name", "Host: [::1]:9090\r\n", true},
    {"forwarded", "Host: localhost\r\nX-Forwarded-For: 127.0.0.1\r\n", false},
    {"forwarded, RFC 7239", "Host: localhost\r\nForwarded: for=127.0.0.1\r\n", false},
    {"rebound name", "Host: evil.example:9090\r\n", false},
    {"name that ends alike", "Host: evillocalhost\r\n", false},
    {"name that begins alike", "Host: 127.0.0.1.evil.example\r\n", false},
};

static const struct {
    unsigned bit;
    const char *name;
} METHODS[] = {{HTTP_GET, "GET"}, {HTTP_POST, "POST"}, {HTTP_PUT, "PUT"}, {HTTP_DELETE, "DELETE"}};

/* "/a/{name}/b" -> "/a/x/b" */
static void concrete(const char *pattern, char path[256])
{
    size_t n = 0;
    for (; *pattern; pattern++) {
        if (*pattern == '{') {
            path[n++] = 'x';
            pattern = strchr(pattern, '}');
        } else {
            path[n++] = *pattern;
        }
    }
    path[n] = '\0';
}

typedef bool expect(const struct api_route *row, bool local, enum http_role role);

static void walk(const struct world *w, const char *more, enum http_role role, expect *allowed)
{
    char path[256], headers[512], answer[4096];
    for (size_t r = 0; r < API_ROUTE_COUNT; r++) {
        const struct api_route *row = &API_ROUTES[r];
        concrete(row->path, path);
        for (size_t m = 0; m < ARRAY_COUNT(METHODS); m++) {
            if (!(row->methods & METHODS[m].bit))
                continue;
            for (size_t c = 0; c < ARRAY_COUNT(CALLERS); c++) {
                snprintf(headers, sizeof headers, "%s%s", CALLERS[c].headers, more);
                int status = ask(w, METHODS[m].name, path, headers, answer);
                bool want = allowed(row, CALLERS[c].local, role);
                if (want != (status != 401 && status != 403))
                    fail_msg("%s %s as %s with role %s: %s", METHODS[m].name, path, CALLERS[c].name,
                             http_role_name(role), answer);
            }
        }
    }
}

static bool allowed_without_users(const struct api_route *row, bool local, enum http_role role)
{
    return local || row->role <= role ||
           (row->opened_by != API_SWITCH_ALWAYS && role >= HTTP_ROLE_VIEW);
}

static void without_users_local_callers_may_all_and_others_what_their_role_may(void **state)
{
    (void)state;
    for (int role = HTTP_ROLE_PUBLIC; role <= HTTP_ROLE_ADMIN; role++) {
        struct world w;
        world_start(&w, (enum http_role)role, false, ALL_SWITCHES);
        walk(&w, "", (enum http_role)role, allowed_without_users);
        world_stop(&w);
    }
}

static bool allowed_with_users(const struct api_route *row, bool local, enum http_role role)
{
    (void)local;
    return row->role == HTTP_ROLE_PUBLIC || row->role <= role;
}

/* Where a request comes from gives no right any more, nor do flags. */
static void with_users_nobody_may_anything_without_a_role(void **state)
{
    (void)state;
    struct world w;
    world_start(&w, HTTP_ROLE_ADMIN, true, ALL_SWITCHES);
    walk(&w, "", HTTP_ROLE_PUBLIC, allowed_with_users); /* no name at all */
    for (int role = HTTP_ROLE_PUBLIC; role <= HTTP_ROLE_ADMIN; role++) {
        char header[64];
        snprintf(header, sizeof header, "X-Role: %s\r\n", http_role_name((enum http_role)role));
        walk(&w, header, (enum http_role)role, allowed_with_users);
    }
    world_stop(&w);
}

/* Prometheus' status and words, whoever asks. */
static void a_route_whose_flag_is_off_says_so(void **state)
{
    (void)state;
    static const struct {
        enum api_switch closed;
        int status;
        const char *words;
    } CLOSED[] = {{API_SWITCH_LIFECYCLE, 403, "Lifecycle API is not enabled."},
                  {API_SWITCH_ADMIN_API, 503, "admin APIs disabled"},
                  {API_SWITCH_REMOTE_WRITE, 404, "--web.enable-remote-write-receiver"},
                  {API_SWITCH_OTLP, 404, "--web.enable-otlp-receiver"}};
    struct world w;
    char path[256], answer[4096];
    world_start(&w, HTTP_ROLE_VIEW, false, 0);
    for (size_t r = 0; r < API_ROUTE_COUNT; r++) {
        const struct api_route *row = &API_ROUTES[r];
        if (row->opened_by == API_SWITCH_ALWAYS)
            continue;
        concrete(row->path, path);
        for (size_t m = 0; m < ARRAY_COUNT(METHODS); m++) {
            if (!(row->methods & METHODS[m].bit))
                continue;
            for (size_t c = 0; c < ARRAY_COUNT(CLOSED); c++) {
                if (CLOSED[c].closed != row->opened_by)
                    continue;
                assert_int_equal(ask(&w, METHODS[m].name, path, "Host: localhost\r\n", answer),
                                 CLOSED[c].status);
                assert_non_null(strstr(answer, CLOSED[c].words));
            }
        }
    }
    world_stop(&w);
}

/* A page of another site, in the browser of somebody who may everything here. */
static void no_other_site_changes_anything(void **state)
{
    (void)state;
    static const struct {
        const char *headers;
        bool refused;
    } CASES[] = {
        {"Host: localhost:9\r\nOrigin: http://evil.example\r\n", true},
        {"Host: localhost:9\r\nOrigin: http://localhost:8\r\n", true},
        {"Host: localhost:9\r\nOrigin: null\r\n", true},
        {"Host: localhost:9\r\nOrigin: http://localhost:9.evil.example\r\n", true},
        {"Host: localhost:9\r\nSec-Fetch-Site: cross-site\r\n", true},
        {"Host: localhost:9\r\nSec-Fetch-Site: same-site\r\n", true},
        {"Host: evil.example\r\nOrigin: http://evil.example\r\nX-Role: view\r\n", true},
        {"Host: localhost:9\r\nOrigin: http://localhost:9\r\nSec-Fetch-Site: same-origin\r\n",
         false},
        {"Host: localhost:9\r\nOrigin: https://localhost:9\r\n", false}, /* TLS ends before us */
        {"Host: localhost:9\r\n", false},
        {"Host: localhost:9\r\nOrigin: http://evil.example\r\nAuthorization: Bearer x\r\n", false},
    };
    for (int users = 0; users <= 1; users++) {
        struct world w;
        char headers[512], answer[4096];
        world_start(&w, HTTP_ROLE_PUBLIC, users, ALL_SWITCHES);
        for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
            bool own_role = strstr(CASES[i].headers, "X-Role") != NULL;
            /* Without users a bearer token proves nothing, so the other site's page is a stranger. */
            bool refused = CASES[i].refused || (!users && strstr(CASES[i].headers, "Bearer"));
            snprintf(headers, sizeof headers, "%s%s", CASES[i].headers,
                     own_role ? "" : "X-Role: admin\r\n");
            int status = ask(&w, "POST", "/-/quit", headers, answer);
            if (refused != (status == 403))
                fail_msg("%s: %s", CASES[i].headers, answer);
        }
        world_stop(&w);
    }
}

static void a_refusal_says_what_to_do(void **state)
{
    (void)state;
    struct world w;
    char answer[4096];
    world_start(&w, HTTP_ROLE_PUBLIC, false, 0);
    assert_int_equal(ask(&w, "GET", "/metrics", "Host: evil.example\r\n", answer), 403);
    assert_non_null(strstr(answer, "this needs the role view, and while there are no users this "
                                   "request has the role none, because its Host is not localhost; "
                                   "add a user"));
    world_stop(&w);
}

static void no_two_rows_are_for_the_same_request(void **state)
{
    (void)state;
    for (size_t i = 0; i < API_ROUTE_COUNT; i++) {
        assert_int_not_equal(API_ROUTES[i].role, HTTP_ROLE_UNSET);
        assert_int_not_equal(API_ROUTES[i].body_bytes_max, 0);
        for (size_t j = 0; j < i; j++)
            if (strcmp(API_ROUTES[i].path, API_ROUTES[j].path) == 0)
                assert_int_equal(API_ROUTES[i].methods & API_ROUTES[j].methods, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_users_local_callers_may_all_and_others_what_their_role_may),
        cmocka_unit_test(with_users_nobody_may_anything_without_a_role),
        cmocka_unit_test(a_route_whose_flag_is_off_says_so),
        cmocka_unit_test(no_other_site_changes_anything),
        cmocka_unit_test(a_refusal_says_what_to_do),
        cmocka_unit_test(no_two_rows_are_for_the_same_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
