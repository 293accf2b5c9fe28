/* SPDX-License-Identifier: Apache-2.0 */
/* client_test.c: OAuth2 tokens, proxies and secrets of a job, on requests that servers in this process see. */
#include "ingest/client.h"

#include "base/clock.h"
#include "base/mem.h"
#include "fake_storage.h"
#include "ingest/client_token.h"
#include "ingest/scrape.h"
#include "net/proxy.h"
#include "peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- no_proxy ---- */

static const struct {
    const char *no_proxy, *host, *port;
    bool matches;
} NO_PROXY[] = {
    {"", "a.test", "80", false},
    {"*", "a.test", "80", true},
    {"a.test", "a.test", "80", true},
    {"a.test", "A.Test", "80", true},
    {"a.test", "b.a.test", "80", true},
    {"a.test", "ba.test", "80", false},
    {".a.test", "b.a.test", "80", true},
    {".a.test", "a.test", "80", false},
    {"*.a.test", "b.a.test", "80", true},
    {"*.a.test", "a.test", "80", false},
    {"x.test, a.test", "a.test", "80", true},
    {"a.test:8080", "a.test", "80", false},
    {"a.test:8080", "a.test", "8080", true},
    {"10.0.0.0/8", "10.1.2.3", "80", true},
    {"10.0.0.0/8", "11.1.2.3", "80", false},
    {"10.0.0.0/8", "a10.test", "80", false},
    {"10.1.2.3", "10.1.2.3", "80", true},
    {"10.1.2.3:81", "10.1.2.3", "80", false},
    {"fd00::/8", "[fd12::1]", "80", true},
    {"::1", "[::1]", "80", true},
    {"[::1]:80", "[::1]", "80", true},
    {"[::1]:80", "[::1]", "81", false},
    {"10.0.0.0/99", "10.0.0.1", "80", false},
    {"10.0.0.0/", "10.0.0.0", "80", false},
    {"/", "a.test", "80", false},
    {",,", "a.test", "80", false},
};

static void no_proxy_means_what_it_means_in_go(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(NO_PROXY); i++) {
        if (proxy_no_proxy_matches(view_from(NO_PROXY[i].no_proxy), view_from(NO_PROXY[i].host),
                                   view_from(NO_PROXY[i].port)) != NO_PROXY[i].matches)
            fail_msg("\"%s\" and %s:%s", NO_PROXY[i].no_proxy, NO_PROXY[i].host, NO_PROXY[i].port);
    }
}

static const struct {
    const char *url, *no_proxy, *target, *want;
    bool environment;
} PROXIES[] = {
    {"http://p:1", "", "http://127.0.0.1:2/m", "http://p:1", false},
    {"http://p:1", "x.test", "http://127.0.0.1:2/m", "", false},
    {"http://p:1", "x.test", "http://localhost:2/m", "", false},
    {"http://p:1", "x.test", "http://x.test/m", "", false},
    {"http://p:1", "x.test", "http://y.test/m", "http://p:1", false},
    {"", "", "http://y.test/m", "", false},
    {"", "", "http://y.test/m", "http://env:1", true},
    {"", "", "https://y.test/m", "http://secure:1", true},
    {"", "", "http://z.test/m", "", true},
    {"", "", "http://127.0.0.1/m", "", true},
};

static void proxies_are_chosen_by_the_file_or_the_environment(void **state)
{
    (void)state;
    setenv("HTTP_PROXY", "http://env:1", 1);
    setenv("https_proxy", "http://secure:1", 1);
    setenv("no_proxy", "z.test", 1);
    for (size_t i = 0; i < ARRAY_COUNT(PROXIES); i++) {
        struct buffer got;
        struct config_proxy proxy = {.url = view_from(PROXIES[i].url),
                                     .no_proxy = view_from(PROXIES[i].no_proxy),
                                     .from_environment = PROXIES[i].environment};
        buffer_init(&got, MEM_OTHER, 1000);
        client_proxy_for(&proxy, PROXIES[i].target, &got);
        if (!view_is(buffer_view(&got), PROXIES[i].want))
            fail_msg("case %zu: \"%.*s\"", i, VIEW_ARGS(buffer_view(&got)));
        buffer_deinit(&got);
    }
    unsetenv("HTTP_PROXY");
    unsetenv("https_proxy");
    unsetenv("no_proxy");
}

/* ---- tokens ---- */

static const struct {
    long status;
    const char *answer, *error; /* error: NULL = taken */
} ANSWERS[] = {
    {200, "{\"access_token\":\"t\",\"token_type\":\"bearer\",\"expires_in\":3600}", NULL},
    {200, "{\"access_token\":\"t\"}", NULL},
    {200, "{\"access_token\":\"t\",\"expires_in\":\"3600\"}", NULL},
    {200, "{\"access_token\":\"t\",\"expires_in\":1e300}", NULL},
    {200, "{\"access_token\":\"\"}", "OAuth2 token endpoint answered without access_token"},
    {200, "{\"access_token\":7}", "OAuth2 token endpoint answered without access_token"},
    {200, "[]", "OAuth2 token endpoint answered with no JSON object"},
    {200, "<html>", "OAuth2 token endpoint answered with no JSON object"},
    {200, "", "OAuth2 token endpoint answered with no JSON object"},
    {502, "<html>", "OAuth2 token endpoint answered with HTTP status 502"},
    {401, "{\"error\":\"invalid_client\",\"error_description\":\"who\"}",
     "OAuth2 token endpoint answered \"invalid_client\": who"},
};

static void answers_of_token_endpoints_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(ANSWERS); i++) {
        struct client_tokens *tokens = client_tokens_new();
        struct error err = {0};
        struct buffer got;
        bool ok =
            client_tokens_take(tokens, 1, ANSWERS[i].status, view_from(ANSWERS[i].answer), &err);
        if (ok != !ANSWERS[i].error || (!ok && strcmp(err.message, ANSWERS[i].error) != 0))
            fail_msg("%s: %s", ANSWERS[i].answer, err.message);
        buffer_init(&got, MEM_OTHER, 1000);
        assert_int_equal(client_tokens_get(tokens, 1, &got), ok);
        assert_true(view_is(buffer_view(&got), ok ? "Bearer t" : ""));
        assert_false(client_tokens_get(tokens, 2, &got));
        buffer_deinit(&got);
        client_tokens_free(tokens);
    }
}

static void tokens_hold_until_shortly_before_they_expire(void **state)
{
    (void)state;
    struct client_tokens *tokens = client_tokens_new();
    struct buffer got;
    struct error err;
    clock_test_freeze((wall_time){1000000}, (mono_time){1000000000});
    buffer_init(&got, MEM_OTHER, 1000);
    assert_true(client_tokens_take(tokens, 1, 200,
                                   VIEW("{\"access_token\":\"t\",\"expires_in\":60}"), &err));
    clock_test_advance_ms(49000);
    assert_true(client_tokens_get(tokens, 1, &got));
    clock_test_advance_ms(2000);
    assert_false(client_tokens_get(tokens, 1, &got));
    clock_test_unfreeze();
    buffer_deinit(&got);
    client_tokens_free(tokens);
}

/* ---- whole requests ---- */

struct world {
    struct peer *target, *other; /* other: token endpoint or proxy */
    struct db *db;
    struct scrape_manager *manager;
    char file[64];
    struct buffer text;
};

static void world_open(struct world *w)
{
    struct error err;
    w->target = peer_start();
    w->other = peer_start();
    w->db = fake_db_new();
    buffer_init(&w->text, MEM_OTHER, 1 << 20);
    snprintf(w->file, sizeof w->file, "/tmp/belfry-secret-XXXXXX");
    int fd = mkstemp(w->file);
    assert_true(fd >= 0 && write(fd, " \n from-file\n\n", 14) == 14);
    close(fd);
    if (!scrape_manager_start(&w->manager, w->db, &(struct scrape_options){.thread_count = 1},
                              &err))
        fail_msg("%s", err.message);
    peer_set_text(w->target, "a 1\n");
}

static void world_close(struct world *w)
{
    scrape_manager_stop(w->manager);
    peer_stop(w->target);
    peer_stop(w->other);
    fake_db_free(w->db);
    buffer_deinit(&w->text);
    unlink(w->file);
}

/* `job` behind the target's; OTHER is the other peer's port, FILE the secret's file. */
static void apply(struct world *w, const char *job)
{
    struct buffer text;
    struct config *config;
    struct error err;
    buffer_init(&text, MEM_OTHER, 1 << 16);
    buffer_printf(&text,
                  "global: {scrape_interval: 1h, scrape_timeout: 10s}\nscrape_configs:\n"
                  "- job_name: j\n  static_configs: [{targets: ['127.0.0.1:%d']}]\n",
                  peer_port(w->target));
    for (const char *at = job; *at; at++) {
        if (strncmp(at, "OTHER", 5) == 0) {
            buffer_printf(&text, "%d", peer_port(w->other));
            at += 4;
        } else if (strncmp(at, "FILE", 4) == 0) {
            buffer_append_view(&text, view_from(w->file));
            at += 3;
        } else {
            buffer_append_byte(&text, *at);
        }
    }
    if (!config_load_text(buffer_view(&text), "", "test.yml", &config, &err))
        fail_msg("%s", err.message);
    scrape_manager_apply(w->manager, config);
    config_unref(config);
    buffer_deinit(&text);
}

static const char *scrape(struct world *w)
{
    static char text[2048];
    struct arena arena;
    struct scrape_targets targets;
    scrape_manager_scrape_now(w->manager);
    arena_init(&arena, MEM_OTHER, 0);
    scrape_targets_get(w->manager, &arena, &targets);
    assert_int_equal(targets.active_count, 1);
    snprintf(text, sizeof text, "%.*s", VIEW_ARGS(targets.items[0].last_error));
    scrape_targets_release(&targets);
    arena_deinit(&arena);
    return text;
}

static const char *requests(struct world *w, struct peer *p)
{
    buffer_reset(&w->text);
    peer_requests(p, &w->text);
    buffer_append_byte(&w->text, 0);
    return w->text.ptr;
}

static size_t count(const char *text, const char *word)
{
    size_t n = 0;
    while ((text = strstr(text, word)) != NULL) {
        n++;
        text += strlen(word);
    }
    return n;
}

#define OAUTH2                                                                                     \
    "  oauth2: {client_id: 'i d', client_secret_file: FILE, scopes: [a, b],"                       \
    " token_url: 'http://127.0.0.1:OTHER/token', endpoint_params: {x: 'y z'}}\n"

static void a_token_is_asked_for_once(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    apply(&w, OAUTH2);
    peer_set(w.other, PEER_ANSWER, "200 OK", "Content-Type: application/json\r\n",
             VIEW("{\"access_token\":\"tok\",\"token_type\":\"bearer\",\"expires_in\":3600}"));
    assert_string_equal(scrape(&w), "");
    assert_string_equal(scrape(&w), "");
    const char *seen = requests(&w, w.other);
    assert_int_equal(count(seen, "POST /token HTTP/1.1\r\n"), 1);
    /* base64 of "i%20d:from-file" */
    assert_int_equal(count(seen, "Authorization: Basic aSUyMGQ6ZnJvbS1maWxl\r\n"), 1);
    assert_int_equal(count(requests(&w, w.target), "Authorization: Bearer tok\r\n"), 2);

    /* The secret is read for each request: another one asks for another token. */
    FILE *file = fopen(w.file, "w");
    assert_true(file && fputs("new", file) >= 0 && fclose(file) == 0);
    assert_string_equal(scrape(&w), "");
    assert_int_equal(count(requests(&w, w.other), "POST /token"), 1);
    world_close(&w);
}

static void a_token_that_does_not_come_fails_the_scrape(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    apply(&w, OAUTH2);
    peer_set(w.other, PEER_ANSWER, "401 Unauthorized", "", VIEW("{\"error\":\"invalid_client\"}"));
    assert_string_equal(scrape(&w), "OAuth2 token endpoint answered \"invalid_client\"");
    /* In a header, then as parameters. */
    const char *seen = requests(&w, w.other);
    assert_int_equal(count(seen, "POST /token"), 2);
    assert_int_equal(count(seen, "Authorization: Basic"), 1);
    assert_int_equal(count(requests(&w, w.target), "GET "), 0);
    world_close(&w);
}

static void a_token_goes_to_no_stranger(void **state)
{
    (void)state;
    struct world w, strange;
    char location[64];
    world_open(&w);
    world_open(&strange);
    apply(&w, OAUTH2);
    snprintf(location, sizeof location, "Location: http://127.0.0.1:%d/x\r\n",
             peer_port(strange.target));
    peer_set(w.other, PEER_ANSWER, "200 OK", "", VIEW("{\"access_token\":\"tok\"}"));
    peer_set(w.target, PEER_ANSWER, "302 Found", location, VIEW(""));
    assert_string_equal(scrape(&w), "");
    const char *seen = requests(&strange, strange.target);
    assert_int_equal(count(seen, "GET /x HTTP/1.1\r\n"), 1);
    assert_int_equal(count(seen, "Authorization"), 0);
    world_close(&strange);
    world_close(&w);
}

static void a_proxy_gets_the_request_with_its_own_headers(void **state)
{
    (void)state;
    struct world w;
    char line[100];
    world_open(&w);
    peer_set_text(w.other, "through 1\n");
    apply(&w, "  proxy_url: 'http://u:p@127.0.0.1:OTHER'\n"
              "  proxy_connect_header: {X-For-Proxy: {values: [v], files: [FILE]}}\n"
              "  http_headers: {X-For-Target: {values: [a, b]}}\n");
    assert_string_equal(scrape(&w), "");
    snprintf(line, sizeof line, "GET http://127.0.0.1:%d/metrics HTTP/1.1\r\n",
             peer_port(w.target));
    const char *seen = requests(&w, w.other);
    assert_int_equal(count(seen, line), 1);
    assert_int_equal(count(seen, "Proxy-Authorization: Basic dTpw\r\n"), 1);
    assert_int_equal(count(seen, "X-For-Target: a\r\n"), 1);
    assert_int_equal(count(seen, "X-For-Target: b\r\n"), 1);
    assert_int_equal(count(requests(&w, w.target), "GET "), 0);

    /* With no_proxy loopback is asked directly. */
    apply(&w, "  proxy_url: 'http://127.0.0.1:OTHER'\n  no_proxy: 'x.test'\n");
    assert_string_equal(scrape(&w), "");
    assert_int_equal(count(requests(&w, w.other), "GET "), 0);
    assert_int_equal(count(requests(&w, w.target), "GET /metrics HTTP/1.1\r\n"), 1);
    world_close(&w);
}

static void a_secret_file_that_is_missing_or_large_fails_the_scrape(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    apply(&w, "  authorization: {credentials_file: /nowhere/token}\n");
    assert_non_null(strstr(scrape(&w), "/nowhere/token"));
    apply(&w, "  authorization: {credentials_file: FILE}\n");
    assert_string_equal(scrape(&w), "");
    assert_int_equal(count(requests(&w, w.target), "Authorization: Bearer from-file\r\n"), 1);
    assert_int_equal(truncate(w.file, CLIENT_SECRET_BYTES_MAX + 1), 0);
    assert_non_null(strstr(scrape(&w), "1048576"));
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_proxy_means_what_it_means_in_go),
        cmocka_unit_test(proxies_are_chosen_by_the_file_or_the_environment),
        cmocka_unit_test(answers_of_token_endpoints_are_read),
        cmocka_unit_test(tokens_hold_until_shortly_before_they_expire),
        cmocka_unit_test(a_token_is_asked_for_once),
        cmocka_unit_test(a_token_that_does_not_come_fails_the_scrape),
        cmocka_unit_test(a_token_goes_to_no_stranger),
        cmocka_unit_test(a_proxy_gets_the_request_with_its_own_headers),
        cmocka_unit_test(a_secret_file_that_is_missing_or_large_fails_the_scrape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
