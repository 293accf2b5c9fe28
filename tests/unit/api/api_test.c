/* SPDX-License-Identifier: Apache-2.0 */
/* api_test.c: what a client reads, byte for byte, from a server over a few known series. The expected texts are those of
 * Prometheus; where its two majors differ, of 3. */
#include "api_fixture.h"

#include "api/api_private.h"
#include "base/file.h"
#include "base/thread.h"
#include "ingest/config.h"
#include "ingest/scrape.h"
#include "storage/memory_source.h"

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

#include <jansson.h>

#define OK_VECTOR(items)                                                                           \
    "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[" items "]}}"
#define OK_MATRIX(items)                                                                           \
    "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[" items "]}}"
#define OK(data) "{\"status\":\"success\",\"data\":" data "}"
#define BAD(text) "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"" text "\"}"
#define UP_A "{\"__name__\":\"up\",\"instance\":\"a:1\",\"job\":\"x\"}"
#define UP_B "{\"__name__\":\"up\",\"instance\":\"b:1\",\"job\":\"y\"}"
#define STEPS "step widths are not accepted. Try a positive integer"

static const struct {
    const char *target;
    int status;
    const char *body;
} CASES[] = {
    {"/api/v1/query?query=up&time=10", 200,
     OK_VECTOR("{\"metric\":" UP_A ",\"value\":[10,\"1\"]},{\"metric\":" UP_B
               ",\"value\":[10,\"0\"]}")},
    {"/api/v1/query?query=nothing&time=10", 200, OK_VECTOR("")},
    {"/api/v1/query?query=1.5&time=1435781451.781", 200,
     OK("{\"resultType\":\"scalar\",\"result\":[1435781451.781,\"1.5\"]}")},
    {"/api/v1/query?query=%22a%3Cb%22&time=2015-07-01T20:10:51.781Z", 200,
     OK("{\"resultType\":\"string\",\"result\":[1435781451.781,\"a\\u003cb\"]}")},
    {"/api/v1/query?query=1&time=2015-07-01T20:10:51.781%2B02:00", 200,
     OK("{\"resultType\":\"scalar\",\"result\":[1435774251.781,\"1\"]}")},
    {"/api/v1/query?query=requests_total[20s]&time=20", 200,
     OK_MATRIX("{\"metric\":{\"__name__\":\"requests_total\",\"job\":\"x\",\"path\":\"/"
               "\\u003ca\\u003e\\u0026\\\"b\\\"\"},"
               "\"values\":[[10,\"10\"],[20,\"20\"]]}")},
    {"/api/v1/query?query=sum(up)&time=10", 200, OK_VECTOR("{\"metric\":{},\"value\":[10,\"1\"]}")},
    {"/api/v1/query?query=sum+by(job)(up)&time=10&limit=1", 200,
     "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":{\"job\":"
     "\"x\"},\"value\":[10,\"1\"]}]},"
     "\"warnings\":[\"results truncated due to limit\"]}"},
    {"/api/v1/query?query=%7B%22utf-8%20metric%22%7D&time=10", 200,
     OK_VECTOR("{\"metric\":{\"__name__\":\"utf-8 metric\",\"label "
               "name\":\"caf\xc3\xa9\"},\"value\":[10,\"10\"]}")},
    {"/api/v1/query_range?query=odd&start=0&end=50&step=10", 200,
     OK_MATRIX("{\"metric\":{\"__name__\":\"odd\"},\"values\":[[0,\"0.1\"],[10,\"1e+21\"],"
               "[20,\"1e-07\"],[30,\"+Inf\"],[40,\"-Inf\"],[50,\"NaN\"]]}")},
    {"/api/v1/query_range?query=1&start=0&end=10&step=5s", 200,
     OK_MATRIX("{\"metric\":{},\"values\":[[0,\"1\"],[5,\"1\"],[10,\"1\"]]}")},
    {"/api/v1/query_range?query=up*2&start=1000000&end=1000010&step=5", 200, OK_MATRIX("")},
    /* what is wrong with a request */
    {"/api/v1/query", 400,
     BAD("invalid parameter \\\"query\\\": unknown position: parse error: no expression found in "
         "input")},
    {"/api/v1/query?query=up%7B", 400,
     BAD("invalid parameter \\\"query\\\": 1:4: parse error: unexpected end of input inside "
         "braces")},
    {"/api/v1/query?query=1&time=abc", 400,
     BAD("invalid parameter \\\"time\\\": invalid time value for 'time': cannot parse \\\"abc\\\" "
         "to a valid timestamp")},
    {"/api/v1/query?query=1&time=1e30", 400,
     BAD("invalid parameter \\\"time\\\": invalid time value for 'time': cannot parse \\\"1e30\\\" "
         "to a valid timestamp")},
    {"/api/v1/query?query=1&time=NaN", 400,
     BAD("invalid parameter \\\"time\\\": invalid time value for 'time': cannot parse \\\"NaN\\\" "
         "to a valid timestamp")},
    {"/api/v1/query?query=1&timeout=x", 400,
     BAD("invalid parameter \\\"timeout\\\": cannot parse \\\"x\\\" to a valid duration")},
    {"/api/v1/query?query=1&timeout=-5s", 400,
     BAD("invalid parameter \\\"timeout\\\": cannot parse \\\"-5s\\\" to a valid duration")},
    {"/api/v1/query?query=1&timeout=0", 503,
     "{\"status\":\"error\",\"errorType\":\"timeout\",\"error\":\"query timed out in query "
     "queue\"}"},
    {"/api/v1/query?query=1&limit=x", 400,
     BAD("invalid parameter \\\"limit\\\": strconv.Atoi: parsing \\\"x\\\": invalid syntax")},
    {"/api/v1/query?query=1&limit=-1", 400,
     BAD("invalid parameter \\\"limit\\\": limit must be non-negative")},
    {"/api/v1/query?query=1&lookback_delta=x", 400,
     BAD("error parsing lookback delta duration: cannot parse \\\"x\\\" to a valid duration")},
    {"/api/v1/"
     "query?query=up%2Bon(job)up%7Bjob=%22x%22%7D%2Bup%7Bjob=~%22x%7Cy%22%7D*on()up%7Bjob=%22x%22%"
     "7D&time=10",
     422, NULL},
    {"/api/v1/query_range?query=1&start=0&end=10&step=0", 400,
     BAD("invalid parameter \\\"step\\\": zero or negative query resolution " STEPS)},
    {"/api/v1/query_range?query=1&start=0&end=10&step=-1", 400,
     BAD("invalid parameter \\\"step\\\": zero or negative query resolution " STEPS)},
    {"/api/v1/query_range?query=1&start=0&end=10&step=abc", 400,
     BAD("invalid parameter \\\"step\\\": cannot parse \\\"abc\\\" to a valid duration")},
    {"/api/v1/query_range?query=1&start=0&end=10&step=1e30", 400,
     BAD("invalid parameter \\\"step\\\": cannot parse \\\"1e30\\\" to a valid duration. It "
         "overflows int64")},
    {"/api/v1/query_range?query=1&start=10&end=0&step=1", 400,
     BAD("invalid parameter \\\"end\\\": end timestamp must not be before start time")},
    {"/api/v1/query_range?query=1&start=x&end=0&step=1", 400,
     BAD("invalid parameter \\\"start\\\": cannot parse \\\"x\\\" to a valid timestamp")},
    {"/api/v1/query_range?query=1&start=1&step=1", 400,
     BAD("invalid parameter \\\"end\\\": cannot parse \\\"\\\" to a valid timestamp")},
    {"/api/v1/query_range?query=1&start=0&end=11001&step=1", 400,
     BAD("exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query "
         "resolution (?step=XX)")},
    {"/api/v1/query_range?query=up[1m]&start=1&end=2&step=1", 400,
     BAD("invalid parameter \\\"query\\\": invalid expression type \\\"range vector\\\" for range "
         "query, must be Scalar or "
         "instant Vector")},
    {"/api/v1/query_range?query=%22a%22&start=1&end=2&step=1", 400,
     BAD("invalid parameter \\\"query\\\": invalid expression type \\\"string\\\" for range query, "
         "must be Scalar or instant "
         "Vector")},
    /* the index */
    {"/api/v1/series?match[]=up", 200, OK("[" UP_A "," UP_B "]")},
    {"/api/v1/series?match[]=up&match[]=up%7Bjob=%22x%22%7D&match[]=odd", 200,
     OK("[{\"__name__\":\"odd\"}," UP_A "," UP_B "]")},
    {"/api/v1/series?match[]=up&limit=1", 200,
     "{\"status\":\"success\",\"data\":[" UP_A
     "],\"warnings\":[\"results truncated due to limit\"]}"},
    {"/api/v1/series?match[]=up&limit=2", 200, OK("[" UP_A "," UP_B "]")},
    {"/api/v1/series?match[]=nothing", 200, OK("[]")},
    {"/api/v1/series", 400, BAD("no match[] parameter provided")},
    {"/api/v1/series?match[]=up%7B", 400,
     BAD("invalid parameter \\\"match[]\\\": 1:4: parse error: unexpected end of input inside "
         "braces")},
    {"/api/v1/series?match[]=%7B%7D", 400,
     BAD("invalid parameter \\\"match[]\\\": match[] must contain at least one non-empty matcher")},
    {"/api/v1/series?match[]=%7Bjob=~%22.*%22%7D", 400,
     BAD("invalid parameter \\\"match[]\\\": match[] must contain at least one non-empty matcher")},
    {"/api/v1/series?match[]=up&start=x", 400,
     BAD("invalid parameter \\\"start\\\": invalid time value for 'start': cannot parse \\\"x\\\" "
         "to a valid timestamp")},
    {"/api/v1/labels", 200, OK("[\"__name__\",\"instance\",\"job\",\"label name\",\"path\"]")},
    {"/api/v1/labels?match[]=up&match[]=requests_total", 200,
     OK("[\"__name__\",\"instance\",\"job\",\"path\"]")},
    {"/api/v1/labels?limit=2", 200,
     "{\"status\":\"success\",\"data\":[\"__name__\",\"instance\"],\"warnings\":[\"results "
     "truncated due to limit\"]}"},
    {"/api/v1/labels?match[]=nothing", 200, OK("[]")},
    {"/api/v1/label/job/values", 200, OK("[\"x\",\"y\"]")},
    {"/api/v1/label/job/values?match[]=requests_total", 200, OK("[\"x\"]")},
    {"/api/v1/label/U__label_20_name/values", 200, OK("[\"caf\xc3\xa9\"]")},
    {"/api/v1/label/label%20name/values", 200, OK("[\"caf\xc3\xa9\"]")},
    {"/api/v1/label/nope/values", 200, OK("[]")},
    {"/api/v1/label/job/values?limit=-2", 400,
     BAD("invalid parameter \\\"limit\\\": limit must be non-negative")},
    /* the rest */
    {"/api/v1/format_query?query=sum(rate(up[5m]))by(job)", 200,
     OK("\"sum by (job) (rate(up[5m]))\"")},
    {"/api/v1/format_query?query=sum(", 400,
     BAD("invalid parameter \\\"query\\\": 1:5: parse error: unclosed left parenthesis")},
    {"/api/v1/status/config", 200, OK("{\"yaml\":\"global:\\n  scrape_interval: 1s\\n\"}")},
    {"/api/v1/status/flags", 200, OK("{\"config.file\":\"a.yml\",\"web.cors.origin\":\".*\"}")},
    {"/api/v1/status/buildinfo", 200,
     OK("{\"version\":\"1.2.3\",\"revision\":\"\",\"branch\":\"\",\"buildUser\":\"\",\"buildDate\":"
        "\"\",\"goVersion\":\"\"}")},
    {"/api/v1/nothing", 404,
     "{\"status\":\"error\",\"errorType\":\"not_found\",\"error\":\"404 page not found\"}"},
    {"/api/v1/query?query=%zz", 400,
     BAD("error parsing form values: invalid URL escape \\\"%zz\\\"")},
    {"/nothing", 404, "404 page not found\n"},
    {"/-/healthy", 200, "Prometheus Server is Healthy.\n"},
    {"/-/ready", 200, "Prometheus Server is Ready.\n"},
    {"/metrics", 200, "# TYPE a counter\na 1\n"},
};

static void each_request_is_answered_as_prometheus_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        char *answer = world_get(CASES[i].target);
        char status[32];
        snprintf(status, sizeof status, "HTTP/1.1 %d ", CASES[i].status);
        const char *body = strstr(answer, "\r\n\r\n");
        if (body == NULL || strncmp(answer, status, strlen(status)) != 0 ||
            (CASES[i].body && strcmp(body + 4, CASES[i].body) != 0))
            fail_msg("%s\nexpected %d %s\ngot %s", CASES[i].target, CASES[i].status, CASES[i].body,
                     answer);
        free(answer);
    }
}

static void a_posted_form_is_answered_as_a_url_is(void **state)
{
    (void)state;
    static const char REQUEST[] =
        "POST /api/v1/query HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 24\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n\r\nquery=sum%28up%29&time=0";
    char *answer = world_exchange(REQUEST, sizeof REQUEST - 1);
    assert_non_null(strstr(answer, OK_VECTOR("{\"metric\":{},\"value\":[0,\"2\"]}")));
    free(answer);
}

static void statistics_come_when_asked_for(void **state)
{
    (void)state;
    char *answer = world_get("/api/v1/query?query=up&time=10&stats=true");
    static const char *const PARTS[] = {"]},\"stats\":{\"timings\":{\"evalTotalTime\":",
                                        "\"resultSortTime\":",
                                        "\"queryPreparationTime\":",
                                        "\"innerEvalTime\":",
                                        "\"execQueueTime\":",
                                        "\"execTotalTime\":",
                                        "\"samples\":{\"totalQueryableSamples\":"};
    assert_null(strstr(answer, PARTS[0])); /* stats are inside data */
    for (size_t i = 1; i < ARRAY_COUNT(PARTS); i++)
        if (strstr(answer, PARTS[i]) == NULL)
            fail_msg("no %s in %s", PARTS[i], answer);
    assert_non_null(strstr(answer, "],\"stats\":{\"timings\":{\"evalTotalTime\":"));
    free(answer);
}

/* A selector counts one sample per step and series, a range each sample in each window: worked out by hand. */
static void samples_are_counted_by_steps_and_windows(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int samples;
    } COUNTS[] = {
        {"/api/v1/query?stats=all&time=10&query=up", 2},
        {"/api/v1/query_range?stats=all&start=0&end=50&step=10&query=up", 12},
        {"/api/v1/query_range?stats=all&start=0&end=50&step=10&query=up%2Bup", 24},
        {"/api/v1/"
         "query_range?stats=all&start=20&end=50&step=10&query=sum(rate(requests_total[20s]))",
         8},
        {"/api/v1/query?stats=all&time=50&query=up[20s]", 4},
        {"/api/v1/query?stats=all&time=50&query=1", 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(COUNTS); i++) {
        char want[64];
        snprintf(want, sizeof want, "\"totalQueryableSamples\":%d,", COUNTS[i].samples);
        char *answer = world_get(COUNTS[i].path);
        if (strstr(answer, want) == NULL)
            fail_msg("%s: no %s in %s", COUNTS[i].path, want, answer);
        free(answer);
    }
}

struct seen {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int status; /* 0 = none yet */
};

static void on_seen(void *arg, const struct http_observation *what)
{
    struct seen *seen = arg;
    mutex_lock(&seen->mutex);
    seen->status = what->status;
    cond_broadcast(&seen->changed);
    mutex_unlock(&seen->mutex);
}

/* The client leaves while the storage reads; the query ends, which is the only way for this test to. */
static void a_query_whose_client_left_is_cancelled(void **state)
{
    (void)state;
    static const char *const ADDRESSES[] = {"127.0.0.1:0"};
    static const char REQUEST[] =
        "GET /api/v1/query?query=endless&time=10 HTTP/1.1\r\nHost: x\r\n\r\n";
    struct error err;
    struct seen seen = {.status = 0};
    struct http_server *server;
    mutex_init(&seen.mutex);
    cond_init(&seen.changed);
    struct http_server_options http = {.addresses = ADDRESSES,
                                       .address_count = 1,
                                       .pool = world.pool,
                                       .observe = on_seen,
                                       .observe_arg = &seen};
    assert_true(http_server_open(&server, &http, &err));
    struct api_options opts = {.source = &world.endless.source, .engine = {.pool = world.pool}};
    struct api *api = api_new(&opts);
    api_add_routes(api, server);
    assert_true(http_server_start(server, &err));

    int fd = world_dial(http_server_port(server, 0));
    assert_int_equal(send(fd, REQUEST, sizeof REQUEST - 1, MSG_NOSIGNAL), sizeof REQUEST - 1);
    while (!atomic_load(&world.endless.reading))
        sched_yield();
    close(fd);
    mutex_lock(&seen.mutex);
    while (seen.status == 0)
        cond_wait(&seen.changed, &seen.mutex);
    mutex_unlock(&seen.mutex);
    assert_int_equal(seen.status, 499);
    struct api_stats stats;
    api_stats_get(api, &stats);
    assert_int_equal(stats.queries_failed, 1);
    http_server_close(server);
    api_free(api);
    cond_deinit(&seen.changed);
    mutex_deinit(&seen.mutex);
}

static char *get_from(uint16_t port, const char *target)
{
    uint16_t before = world.port;
    world.port = port;
    char *answer = world_get(target);
    world.port = before;
    return answer;
}

static void expect_body(uint16_t port, const char *target, const char *expected)
{
    char *answer = get_from(port, target);
    const char *body = strstr(answer, "\r\n\r\n");
    if (body == NULL || strcmp(body + 4, expected) != 0)
        fail_msg("%s\nexpected %s\ngot %s", target, expected, answer);
    free(answer);
}

static const char CONFIG[] =
    "global: {scrape_interval: 1d}\n"
    "scrape_configs:\n"
    "- job_name: zoo\n"
    "  static_configs: [{targets: ['localhost:1'], labels: {zone: 'a<b'}}]\n"
    "- job_name: ark\n"
    "  static_configs: [{targets: ['10.0.0.1:9100', '10.0.0.2:9100']}]\n"
    "  relabel_configs:\n"
    "  - {source_labels: [__address__], regex: '10.0.0.2.*', action: drop}\n";

#define DISCOVERED(address, job, rest)                                                             \
    "{\"discoveredLabels\":{\"__address__\":\"" address "\",\"__metrics_path__\":\"/metrics\","    \
    "\"__scheme__\":\"http\",\"__scrape_interval__\":\"1d\",\"__scrape_timeout__\":\"10s\","       \
    "\"job\":\"" job "\"" rest "}"
#define NEVER                                                                                      \
    "\"lastError\":\"\",\"lastScrape\":\"0001-01-01T00:00:00Z\",\"lastScrapeDuration\":0,"         \
    "\"health\":"                                                                                  \
    "\"unknown\",\"scrapeInterval\":\"1d\",\"scrapeTimeout\":\"10s\"}"
#define ARK                                                                                        \
    DISCOVERED("10.0.0.1:9100", "ark", "")                                                         \
    ",\"labels\":{\"instance\":\"10.0.0.1:9100\",\"job\":\"ark\"},"                                \
    "\"scrapePool\":\"ark\",\"scrapeUrl\":\"http://10.0.0.1:9100/metrics\","                       \
    "\"globalUrl\":\"http://10.0.0.1:9100/metrics\"," NEVER
#define ZOO                                                                                        \
    DISCOVERED("localhost:1", "zoo", ",\"zone\":\"a\\u003cb\"")                                    \
    ",\"labels\":{\"instance\":\"localhost:1\",\"job\":\"zoo\",\"zone\":\"a\\u003cb\"},"           \
    "\"scrapePool\":\"zoo\","                                                                      \
    "\"scrapeUrl\":\"http://localhost:1/metrics\",\"globalUrl\":\"http://tower:1/metrics\"," NEVER
#define DROPPED DISCOVERED("10.0.0.2:9100", "ark", "") ",\"scrapePool\":\"ark\"}"
#define COUNTS ",\"droppedTargetCounts\":{\"ark\":1,\"zoo\":0}}"

/* A real scrape manager whose targets are due once a day: none has been asked yet. */
static void targets_are_shown_as_prometheus_does(void **state)
{
    (void)state;
    static const char *const ADDRESSES[] = {"127.0.0.1:0"};
    char dir[] = "/tmp/belfry-api-test-XXXXXX";
    struct error err;
    struct db *db;
    struct scrape_manager *scrape = NULL;
    struct config *config = NULL;
    struct http_server *server;
    struct db_options db_opts = {0};
    struct scrape_options scrape_opts = {.thread_count = 1};
    assert_non_null(mkdtemp(dir));
    if (!db_open(&db, dir, &db_opts, world.pool, &err) ||
        !scrape_manager_start(&scrape, db, &scrape_opts, &err) ||
        !config_load_text(view_from(CONFIG), "", "test", &config, &err))
        fail_msg("%s", err.message);
    scrape_manager_apply(scrape, config);
    struct http_server_options http = {
        .addresses = ADDRESSES, .address_count = 1, .pool = world.pool};
    struct api_options opts = {.source = db_as_source(db),
                               .db = db,
                               .scrape = scrape,
                               .engine = {.pool = world.pool},
                               .server_name = "tower"};
    assert_true(http_server_open(&server, &http, &err));
    struct api *api = api_new(&opts);
    api_add_routes(api, server);
    assert_true(http_server_start(server, &err));
    uint16_t port = http_server_port(server, 0);

    expect_body(port, "/api/v1/targets",
                OK("{\"activeTargets\":[" ARK "," ZOO "],\"droppedTargets\":[" DROPPED "]" COUNTS));
    expect_body(port, "/api/v1/targets?state=active&scrapePool=zoo",
                OK("{\"activeTargets\":[" ZOO "],\"droppedTargets\":[]" COUNTS));
    expect_body(port, "/api/v1/targets?state=dropped",
                OK("{\"activeTargets\":[],\"droppedTargets\":[" DROPPED "]" COUNTS));
    expect_body(port, "/api/v1/scrape_pools", OK("{\"scrapePools\":[\"ark\",\"zoo\"]}"));
    expect_body(port, "/api/v1/metadata", OK("{}"));
    expect_body(port, "/api/v1/metadata?limit=x", BAD("limit must be a number"));
    expect_body(port, "/api/v1/status/tsdb?limit=0", BAD("limit must be a positive number"));

    http_server_close(server);
    api_free(api);
    scrape_manager_stop(scrape);
    config_unref(config);
    assert_true(db_close(db, &err));
    assert_true(dir_remove(dir, &err));
}

/* 11,000 steps of several series are many pieces: all of it arrives, and is what one piece would be. */
static void a_long_answer_is_whole(void **state)
{
    (void)state;
    char *answer = world_get(
        "/api/v1/query_range?query=up%20or%20odd*0%2B1&start=0&end=10999&step=1&lookback_delta=1d");
    assert_non_null(strstr(answer, "Transfer-Encoding: chunked"));
    assert_non_null(strstr(answer, "[10999,\"1\"]"));
    size_t len = strlen(answer);
    assert_string_equal(answer + len - 5, "0\r\n\r\n");
    free(answer);
}

/* Joins the chunks of an answer's body in place; returns it. */
static char *unchunk(char *answer)
{
    char *from = strstr(answer, "\r\n\r\n") + 4, *to = answer;
    for (;;) {
        char *end;
        size_t len = strtoul(from, &end, 16);
        if (len == 0)
            break;
        memmove(to, end + 2, len);
        to += len;
        from = end + 2 + len + 2;
    }
    *to = '\0';
    return answer;
}

/* Wherever a piece ends (series of many lengths make it end anywhere), the JSON is whole. Last of the tests:
 * it adds series. */
static void an_answer_is_whole_wherever_its_pieces_end(void **state)
{
    (void)state;
    enum { SERIES = 2000 };
    char name[64];
    for (int i = 0; i < SERIES; i++) {
        snprintf(name, sizeof name, "many{n=\"%d\",pad=\"%.*s\"}", i, i % 23,
                 "xxxxxxxxxxxxxxxxxxxxxxx");
        world_add(name, 0, 1000, (const double[]){1, 2, 3, 4, 5, 6, 7}, 7);
    }
    for (int seconds = 1; seconds <= 7; seconds++) {
        char target[64];
        snprintf(target, sizeof target, "/api/v1/query?query=many[%ds]&time=6", seconds);
        char *answer = world_get(target);
        json_error_t where;
        json_t *all = json_loads(unchunk(answer), 0, &where);
        if (!all)
            fail_msg("%s at %d: %.60s", where.text, where.position, answer + where.position);
        json_t *result = json_object_get(json_object_get(all, "data"), "result");
        assert_int_equal(json_array_size(result), SERIES);
        for (size_t i = 0; i < SERIES; i++)
            assert_int_equal(json_array_size(json_object_get(json_array_get(result, i), "values")),
                             seconds);
        json_decref(all);
        free(answer);
    }
}

static void before_it_is_ready_only_health_is_answered(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        int status;
    } TARGETS[] = {{"/-/healthy", 200}, {"/-/ready", 503},       {"/api/v1/query?query=1", 503},
                   {"/metrics", 200},   {"/api/v1/labels", 503}, {"/query", 200}};
    world.ready = false;
    for (size_t i = 0; i < ARRAY_COUNT(TARGETS); i++) {
        char *answer = world_get(TARGETS[i].target);
        assert_int_equal(strtol(answer + 9, NULL, 10), TARGETS[i].status);
        free(answer);
    }
    world.ready = true;
}

static void the_page_is_strict(void **state)
{
    (void)state;
    static const struct {
        const char *target, *type;
    } FILES[] = {{"/", "text/html"},
                 {"/query", "text/html"},
                 {"/graph", "text/html"},
                 {"/targets", "text/html"},
                 {"/assets/style.css", "text/css"},
                 {"/assets/query.js", "text/javascript"},
                 {"/assets/chart.js", "text/javascript"},
                 {"/assets/complete.js", "text/javascript"},
                 {"/assets/targets.js", "text/javascript"},
                 {"/assets/icon.svg", "image/svg+xml"}};
    for (size_t i = 0; i < ARRAY_COUNT(FILES); i++) {
        char *answer = world_get(FILES[i].target);
        assert_int_equal(strncmp(answer, "HTTP/1.1 200", 12), 0);
        assert_non_null(strstr(answer, FILES[i].type));
        assert_non_null(
            strstr(answer, "Content-Security-Policy: default-src 'none'; script-src 'self';"));
        assert_non_null(strstr(answer, "X-Content-Type-Options: nosniff"));
        assert_null(strstr(answer, "innerHTML"));
        assert_null(strstr(answer, "<script>"));
        assert_null(strstr(answer, " onclick"));
        assert_null(strstr(answer, "style=\""));
        free(answer);
    }
    char *missing = world_get("/assets/../api.c");
    assert_int_equal(strncmp(missing, "HTTP/1.1 404", 12), 0);
    free(missing);
}

static void times_and_durations_are_gos(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
        bool ok;
    } TIMES[] = {
        {"0", 0, true},
        {"123", 123000, true},
        {"123.123", 123123, true},
        {"-1.5", -1500, true},
        {"1.0004", 1000, true},
        {"1.0005", 1000, true},
        {"1.0006", 1001, true},
        {"1e3", 1000000, true},
        {"1969-12-31T23:59:59.5Z", -500, true},
        {"2016-02-29T00:00:00Z", 1456704000000, true},
        {"2015-02-29T00:00:00Z", 0, false},
        {"2015-06-03T13:21:58.555555555Z", 1433337718555, true},
        {"2015-06-03T14:21:58.555+01:00", 1433337718555, true},
        {"2015-06-03", 0, false},
        {"2015-06-03T13:21:58", 0, false},
        {"2015-06-03T13:21:58.Z", 0, false},
        {"30s", 0, false},
        {"", 0, false},
        {"-292273086-05-16T16:47:06Z", API_TIME_MIN_MS, true},
        {"292277025-08-18T07:12:54.999999999Z", API_TIME_MAX_MS, true},
        {"+Inf", 0, false},
        {"NaN", 0, false},
        {"1e308", 0, false},
    };
    static const struct {
        const char *text;
        int64_t ms;
        bool ok;
    } DURATIONS[] = {{"1", 1000, true},        {"0.5", 500, true},  {"5m", 300000, true},
                     {"1h30m", 5400000, true}, {"0.0001", 1, true}, {"-1", -1000, true},
                     {"1e300", 0, false},      {"NaN", 0, false},   {"5x", 0, false},
                     {"", 0, false},           {"1m1h", 0, false}};
    struct error err;
    int64_t ms;
    for (size_t i = 0; i < ARRAY_COUNT(TIMES); i++) {
        bool ok = api_time_parse(view_from(TIMES[i].text), &ms, &err);
        if (ok != TIMES[i].ok || (ok && ms != TIMES[i].ms))
            fail_msg("time %s: %d %lld", TIMES[i].text, ok, (long long)ms);
    }
    for (size_t i = 0; i < ARRAY_COUNT(DURATIONS); i++) {
        bool ok = api_duration_parse(view_from(DURATIONS[i].text), &ms, &err);
        if (ok != DURATIONS[i].ok || (ok && ms != DURATIONS[i].ms))
            fail_msg("duration %s: %d %lld", DURATIONS[i].text, ok, (long long)ms);
    }
}

static void times_are_written_as_gos_rfc3339nano(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } TIMES[] = {{0, "\"1970-01-01T00:00:00Z\""},
                 {1435781451781, "\"2015-07-01T20:10:51.781Z\""},
                 {1435781451780, "\"2015-07-01T20:10:51.78Z\""},
                 {1435781451700, "\"2015-07-01T20:10:51.7Z\""},
                 {-1, "\"1969-12-31T23:59:59.999Z\""},
                 {1456704000000, "\"2016-02-29T00:00:00Z\""},
                 {INT64_MIN, "\"0001-01-01T00:00:00Z\""}};
    for (size_t i = 0; i < ARRAY_COUNT(TIMES); i++) {
        struct buffer b;
        buffer_init(&b, MEM_OTHER, 100);
        api_time_format(&b, TIMES[i].ms);
        buffer_append_byte(&b, '\0');
        assert_string_equal(b.ptr, TIMES[i].text);
        buffer_deinit(&b);
    }
}

static void escaped_label_names_are_undone(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } NAMES[] = {{"job", "job"},
                 {"U__a_2e_b", "a.b"},
                 {"U__a__b", "a_b"},
                 {"U__", ""},
                 {"U___e9_", "\xc3\xa9"},
                 {"U__a_2e", "U__a_2e"},
                 {"U__a_zz_", "U__a_zz_"},
                 {"U___110000_", "U___110000_"},
                 {"U___d800_", "U___d800_"},
                 {"U___1F600_", "\xf0\x9f\x98\x80"}};
    struct arena arena;
    arena_init(&arena, MEM_OTHER, 0);
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++) {
        struct view out = api_label_unescape(&arena, view_from(NAMES[i].in));
        if (!view_is(out, NAMES[i].out))
            fail_msg("%s -> %.*s", NAMES[i].in, VIEW_ARGS(out));
    }
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_request_is_answered_as_prometheus_does),
        cmocka_unit_test(a_posted_form_is_answered_as_a_url_is),
        cmocka_unit_test(statistics_come_when_asked_for),
        cmocka_unit_test(samples_are_counted_by_steps_and_windows),
        cmocka_unit_test(a_query_whose_client_left_is_cancelled),
        cmocka_unit_test(targets_are_shown_as_prometheus_does),
        cmocka_unit_test(a_long_answer_is_whole),
        cmocka_unit_test(before_it_is_ready_only_health_is_answered),
        cmocka_unit_test(the_page_is_strict),
        cmocka_unit_test(times_and_durations_are_gos),
        cmocka_unit_test(times_are_written_as_gos_rfc3339nano),
        cmocka_unit_test(escaped_label_names_are_undone),
        cmocka_unit_test(an_answer_is_whole_wherever_its_pieces_end),
    };
    return cmocka_run_group_tests(tests, world_start, world_stop);
}
