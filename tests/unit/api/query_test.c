/* SPDX-License-Identifier: Apache-2.0 */
/* query_test.c: what the API tells of queries beside their result: trees, statistics, annotations, what runs at the moment,
 * the log. */
#include "api_fixture.h"

#include "base/file.h"
#include "base/thread.h"

#include <pthread.h>
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

/* Of an answer with JSON; the caller owns it. */
static json_t *parse(const char *answer, const char *what)
{
    json_error_t where;
    const char *body = strstr(answer, "\r\n\r\n");
    json_t *json = body ? json_loads(body + 4, 0, &where) : NULL;
    if (json == NULL)
        fail_msg("%s: no JSON in %s", what, answer);
    return json;
}

static json_t *get_json(const char *target)
{
    char *answer = world_get(target);
    json_t *json = parse(answer, target);
    free(answer);
    return json;
}

static json_t *post_query(const char *path, const char *query)
{
    struct buffer form;
    buffer_init(&form, MEM_OTHER, 1 << 20);
    buffer_append_literal(&form, "query=");
    for (const char *c = query; *c; c++)
        buffer_printf(&form, "%%%02x", (unsigned)(unsigned char)*c);
    size_t bytes = form.len + 512;
    char *request = malloc(bytes);
    int len = snprintf(request, bytes,
                       "POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n"
                       "Content-Type: application/x-www-form-urlencoded\r\n\r\n%.*s",
                       path, form.len, VIEW_ARGS(buffer_view(&form)));
    char *answer = world_exchange(request, (size_t)len);
    json_t *json = parse(answer, query);
    free(answer);
    free(request);
    buffer_deinit(&form);
    return json;
}

/* A table's text with ' for ". */
static json_t *json_of(const char *text, const char *what)
{
    json_error_t where;
    char *copy = strdup(text);
    for (char *c = copy; *c; c++)
        if (*c == '\'')
            *c = '"';
    json_t *json = json_loads(copy, JSON_DECODE_ANY, &where);
    if (json == NULL)
        fail_msg("%s: %s", what, where.text);
    free(copy);
    return json;
}

static void expect_json(const char *what, json_t *want, json_t *got)
{
    if (json_equal(want, got))
        return;
    char *expected = json_dumps(want, JSON_SORT_KEYS | JSON_COMPACT);
    char *shown = json_dumps(got, JSON_SORT_KEYS | JSON_COMPACT);
    fail_msg("%s\nexpected %s\ngot      %s", what, expected, shown);
}

/* --- parse_query --- */

#define SELECTOR(name, more)                                                                       \
    "{'anchored':false,'matchers':[{'name':'__name__','type':'=','value':'" name                   \
    "'}],'name':'" name "','offset':0," more                                                       \
    "'smoothed':false,'startOrEnd':null,'timestamp':null,"
#define VECTOR(name) SELECTOR(name, "") "'type':'vectorSelector'}"
#define RANGE(name, ms) SELECTOR(name, "'range':" ms ",") "'type':'matrixSelector'}"
#define NUMBER(text) "{'type':'numberLiteral','val':'" text "'}"

/* Shapes as web/api/v1 of Prometheus 3 makes them; ' for ". */
static const struct {
    const char *query, *tree;
} TREES[] = {
    {"up", VECTOR("up")},
    {"1e3", NUMBER("1000")},
    {"-Inf", NUMBER("-Inf")},
    {"5m", NUMBER("300")},
    {"\"a'b\"", "{'type':'stringLiteral','val':'a\\u0027b'}"},
    {"(up)", "{'expr':" VECTOR("up") ",'type':'parenExpr'}"},
    {"-up", "{'expr':" VECTOR("up") ",'op':'-','type':'unaryExpr'}"},
    {"rate(x[5m])",
     "{'args':[" RANGE("x", "300000") "],'func':{'argTypes':['matrix'],'name':'rate',"
                                      "'returnType':'vector','variadic':0},'type':'call'}"},
    {"round(up, 2)", "{'args':[" VECTOR("up") "," NUMBER(
                         "2") "],'func':{'argTypes':['vector','scalar'],"
                              "'name':'round','returnType':'vector','variadic':1},'type':'call'}"},
    {"time()", "{'args':[],'func':{'argTypes':[],'name':'time','returnType':'scalar','variadic':0},"
               "'type':'call'}"},
    {"sum by (a, b) (up)", "{'expr':" VECTOR("up") ",'grouping':['a','b'],'op':'sum','param':null,"
                                                   "'type':'aggregation','without':false}"},
    {"topk without () (3, up)",
     "{'expr':" VECTOR("up") ",'grouping':[],'op':'topk','param':" NUMBER(
         "3") ","
              "'type':'aggregation','without':true}"},
    {"up > bool 1", "{'bool':true,'lhs':" VECTOR("up") ",'matching':null,'op':'>','rhs':" NUMBER(
                        "1") ",'type':'binaryExpr'}"},
    {"a + b",
     "{'bool':false,'lhs':" VECTOR(
         "a") ",'matching':{'card':'one-to-one','fillValues':"
              "{'lhs':null,'rhs':null},'include':[],'labels':[],'on':false},'op':'+','rhs':" VECTOR(
                  "b") ",'type':'binaryExpr'}"},
    {"a * on(x) group_left(y) b",
     "{'bool':false,'lhs':" VECTOR("a") ",'matching':{'card':'many-to-one','fillValues':"
                                        "{'lhs':null,'rhs':null},'include':['y'],'labels':['x'],'"
                                        "on':true},'op':'*','rhs':" VECTOR(
                                            "b") ",'type':'binaryExpr'}"},
    {"a unless ignoring(x) b",
     "{'bool':false,'lhs':" VECTOR("a") ",'matching':{'card':'many-to-many','fillValues':"
                                        "{'lhs':null,'rhs':null},'include':[],'labels':['x'],'on':"
                                        "false},'op':'unless','rhs':" VECTOR(
                                            "b") ",'type':'binaryExpr'}"},
    {"{a!=\"b\", c=~\"d.*\", e!~\"f\"} offset -5m @ 12.5",
     "{'anchored':false,'matchers':[{'name':'a','type':'!=','value':'b'},{'name':'c','type':'=~',"
     "'value':'d.*'},{'name':'e','type':'!~','value':'f'}],'name':'','offset':-300000,"
     "'smoothed':false,'startOrEnd':null,'timestamp':12500,'type':'vectorSelector'}"},
    {"up @ start()",
     "{'anchored':false,'matchers':[{'name':'__name__','type':'=','value':'up'}],'name':'up',"
     "'offset':0,'smoothed':false,'startOrEnd':'start','timestamp':null,'type':'vectorSelector'}"},
    {"max_over_time(up[1h:5m] @ end())",
     "{'args':[{'expr':" VECTOR(
         "up") ",'offset':0,'range':3600000,'startOrEnd':'end','step':300000,"
               "'timestamp':null,'type':'subquery'}],'func':{'argTypes':['matrix'],'name':'max_"
               "over_time',"
               "'returnType':'vector','variadic':0},'type':'call'}"},
};

static void a_tree_has_the_shape_that_prometheus_gives_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(TREES); i++) {
        json_t *want = json_of(TREES[i].tree, TREES[i].query);
        json_t *got = post_query("/api/v1/parse_query", TREES[i].query);
        expect_json(TREES[i].query, want, json_object_get(got, "data"));
        json_decref(want);
        json_decref(got);
    }
    json_t *bad = post_query("/api/v1/parse_query", "sum(");
    assert_string_equal(json_string_value(json_object_get(bad, "error")),
                        "invalid parameter \"query\": 1:5: parse error: unclosed left parenthesis");
    json_decref(bad);
}

/* --- statistics and annotations --- */

/* By hand: six steps, up has two series, the window of 20 s holds one sample at 0, then two. */
static void samples_are_told_by_step(void **state)
{
    (void)state;
    static const struct {
        const char *query, *steps;
    } CASES[] = {
        {"up", "[[0,2],[10,2],[20,2],[30,2],[40,2],[50,2]]"},
        {"sum(rate(requests_total[20s]))", "[[0,1],[10,2],[20,2],[30,2],[40,2],[50,2]]"},
        {"up @ 10", "[[0,2],[10,2],[20,2],[30,2],[40,2],[50,2]]"},
        {"max_over_time(requests_total[20s:10s])", "[[0,1],[10,2],[20,2],[30,2],[40,2],[50,2]]"},
        {"up offset 50s %2b requests_total[20s]", NULL},
        {"1", "[[0,0],[10,0],[20,0],[30,0],[40,0],[50,0]]"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        char target[512];
        snprintf(target, sizeof target,
                 "/api/v1/query_range?start=0&end=50&step=10&stats=all&query=%s", CASES[i].query);
        for (char *c = strchr(target, '=') + 1; *c; c++)
            if (*c == ' ')
                *c = '+';
        json_t *got = get_json(target);
        json_t *stats = json_object_get(json_object_get(got, "data"), "stats");
        json_t *steps =
            json_object_get(json_object_get(stats, "samples"), "totalQueryableSamplesPerStep");
        if (CASES[i].steps == NULL) {
            assert_string_equal(json_string_value(json_object_get(got, "status")), "error");
        } else {
            json_t *want = json_of(CASES[i].steps, CASES[i].query);
            long long sum = 0;
            size_t k;
            json_t *one;
            if (!json_equal(want, steps)) {
                char *shown = json_dumps(got, JSON_COMPACT);
                fail_msg("%s\nexpected %s\ngot %s", CASES[i].query, CASES[i].steps, shown);
            }
            json_array_foreach(steps, k, one) sum += json_integer_value(json_array_get(one, 1));
            assert_int_equal(sum, json_integer_value(json_object_get(
                                      json_object_get(stats, "samples"), "totalQueryableSamples")));
            json_decref(want);
        }
        json_decref(got);
    }
}

/* Twelve quantiles that are none: ten are told, and how many more there were. */
static void annotations_beyond_ten_are_counted(void **state)
{
    (void)state;
    char query[1024] = "count(up)";
    for (int i = 0; i < 12; i++)
        snprintf(query + strlen(query), sizeof query - strlen(query), " + quantile(%d, up)", i + 2);
    json_t *got = post_query("/api/v1/query?time=10", query);
    json_t *warnings = json_object_get(got, "warnings");
    assert_int_equal(json_array_size(warnings), 11);
    assert_non_null(strstr(json_string_value(json_array_get(warnings, 0)),
                           "PromQL warning: quantile value should be between 0 and 1, got "));
    assert_string_equal(json_string_value(json_array_get(warnings, 10)),
                        "2 more warning annotations omitted");
    assert_null(json_object_get(got, "infos"));
    json_decref(got);
}

/* --- the plan --- */

/* Of explain=true: exactly this. ' for ". */
static const struct {
    const char *query, *plan;
} PLANS[] = {
    {"up", "{'operator':'select','span':{'start':0,'end':2},'steps':6,'estimatedSeries':2}"},
    {"1", "{'operator':'literal','span':{'start':0,'end':1},'steps':6}"},
    {"sum by (job) (rate(requests_total[20s]))",
     "{'operator':'aggregate','detail':'sum by "
     "(job)','span':{'start':0,'end':40},'steps':6,'children':["
     "{'operator':'windows','detail':'rate','span':{'start':14,'end':39},'steps':6,'children':["
     "{'operator':'select range','span':{'start':19,'end':38},'steps':6,'estimatedSeries':1}]}]}"},
    {"(up) * on(job) group_left(x) (up @ 10)",
     "{'operator':'match','detail':'* on (job) group_left "
     "(x)','span':{'start':0,'end':38},'steps':6,"
     "'children':[{'operator':'select','span':{'start':1,'end':3},'steps':6,'estimatedSeries':2},"
     "{'operator':'select','span':{'start':30,'end':37},'steps':1,'once':true,'estimatedSeries':2}]"
     "}"},
    {"max_over_time(up{job=\"x\"}[30s:5s]) > bool time()",
     "{'operator':'map','detail':'> bool','span':{'start':0,'end':48},'steps':6,'children':["
     "{'operator':'windows','detail':'max_over_time','span':{'start':0,'end':34},'steps':6,'"
     "children':["
     "{'operator':'subquery','span':{'start':14,'end':33},'steps':6,'children':["
     "{'operator':'select','span':{'start':14,'end':25},'steps':16,'estimatedSeries':1}]}]},"
     "{'operator':'scalar','detail':'time','span':{'start':42,'end':48},'steps':6}]}"},
    {"topk(1, up) unless -up",
     "{'operator':'set','detail':'unless','span':{'start':0,'end':22},'steps':6,'children':["
     "{'operator':'aggregate','detail':'topk','span':{'start':0,'end':11},'steps':6,'children':["
     "{'operator':'literal','span':{'start':5,'end':6},'steps':6},"
     "{'operator':'select','span':{'start':8,'end':10},'steps':6,'estimatedSeries':2}]},"
     "{'operator':'map','detail':'-','span':{'start':19,'end':22},'steps':6,'children':["
     "{'operator':'select','span':{'start':20,'end':22},'steps':6,'estimatedSeries':2}]}]}"},
};

static json_t *explained(const char *query, const char *how)
{
    char path[128];
    snprintf(path, sizeof path, "/api/v1/query_range?start=0&end=50&step=10&explain=%s", how);
    return post_query(path, query);
}

static void a_plan_is_told_without_evaluating(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(PLANS); i++) {
        json_t *want = json_of(PLANS[i].plan, PLANS[i].query);
        json_t *got = explained(PLANS[i].query, "true");
        json_t *data = json_object_get(got, "data");
        expect_json(PLANS[i].query, want, json_object_get(data, "explain"));
        assert_int_equal(json_object_size(data), 1);
        json_decref(want);
        json_decref(got);
    }
    json_t *bad = explained("up", "yes");
    assert_string_equal(
        json_string_value(json_object_get(bad, "error")),
        "invalid parameter \"explain\": \"yes\" is not known, expected true or analyze");
    json_decref(bad);
}

static int64_t number_at(const json_t *node, const char *key)
{
    const json_t *value = json_object_get(node, key);
    return value ? json_integer_value(value) : -1;
}

/* The result is that of the same query without; the plan says what each part read and gave on. */
static void an_analyzed_query_says_what_each_part_did(void **state)
{
    (void)state;
    static const char QUERY[] = "sum(rate(requests_total[20s])) / sum(rate(requests_total[20s]))";
    json_t *got = explained(QUERY, "analyze"), *plain = explained(QUERY, "false");
    json_t *data = json_object_get(got, "data"), *root = json_object_get(data, "explain");
    assert_true(json_equal(json_object_get(data, "result"),
                           json_object_get(json_object_get(plain, "data"), "result")));
    assert_null(json_object_get(json_object_get(plain, "data"), "explain"));
    assert_int_equal(number_at(root, "series"), 1);
    assert_int_equal(number_at(root, "points"), 5);
    json_t *sum = json_array_get(json_object_get(root, "children"), 0);
    json_t *twin = json_array_get(json_object_get(root, "children"), 1);
    json_t *rate = json_array_get(json_object_get(sum, "children"), 0);
    json_t *leaf = json_array_get(json_object_get(rate, "children"), 0);
    assert_int_equal(number_at(json_object_get(twin, "sameAs"), "start"), 0);
    assert_int_equal(number_at(rate, "series"), 1);
    assert_int_equal(number_at(rate, "points"), 5);
    assert_int_equal(number_at(rate, "bytes"), 6 * 8 + 8);
    assert_int_equal(number_at(leaf, "series"), 1);
    assert_int_equal(number_at(leaf, "samplesRead"), 11);
    assert_int_equal(number_at(leaf, "points"), -1);
    assert_true(json_number_value(json_object_get(root, "seconds")) > 0);
    json_decref(got);
    json_decref(plain);
    got = post_query("/api/v1/query?time=50&explain=analyze", "up[20s]");
    root = json_object_get(json_object_get(got, "data"), "explain");
    assert_int_equal(number_at(root, "samplesRead"), 4);
    json_decref(got);
}

/* --- what runs --- */

struct asker {
    pthread_t thread;
    char *answer;
};

static void *ask(void *arg)
{
    ((struct asker *)arg)->answer = world_get("/api/v1/query?query=endless%2b1&time=10");
    return NULL;
}

/* A server over the source that never ends by itself. */
static struct api *endless_start(struct http_server **server)
{
    static const char *const ADDRESSES[] = {"127.0.0.1:0"};
    struct error err;
    struct http_server_options http = {.addresses = ADDRESSES,
                                       .address_count = 1,
                                       .pool = world.pool,
                                       .error_body = api_error_body};
    assert_true(http_server_open(server, &http, &err));
    struct api_options opts = {.source = &world.endless.source, .engine = {.pool = world.pool}};
    struct api *api = api_new(&opts);
    api_add_routes(api, *server);
    assert_true(http_server_start(*server, &err));
    return api;
}

static char *send_delete(const char *id)
{
    char request[256];
    int len = snprintf(request, sizeof request,
                       "DELETE /api/v1/status/active_queries/%s HTTP/1.1\r\nHost: localhost\r\n"
                       "Connection: close\r\n\r\n",
                       id);
    return world_exchange(request, (size_t)len);
}

/* Listed with what it is, then cancelled by its id: its client reads Prometheus' error. */
static void a_running_query_is_listed_and_cancelled(void **state)
{
    (void)state;
    struct http_server *server;
    struct api *api = endless_start(&server);
    uint16_t before = world.port;
    world.port = http_server_port(server, 0);
    atomic_store(&world.endless.reading, false);

    struct asker asker = {0};
    assert_int_equal(pthread_create(&asker.thread, NULL, ask, &asker), 0);
    while (!atomic_load(&world.endless.reading))
        sched_yield();

    json_t *got = get_json("/api/v1/status/active_queries");
    json_t *list = json_object_get(got, "data");
    assert_int_equal(json_array_size(list), 1);
    json_t *one = json_array_get(list, 0);
    assert_string_equal(json_string_value(json_object_get(one, "query")), "endless+1");
    assert_string_equal(json_string_value(json_object_get(one, "kind")), "instant");
    assert_non_null(strstr(json_string_value(json_object_get(one, "client")), "127.0.0.1:"));
    assert_non_null(strchr(json_string_value(json_object_get(one, "start")), 'T'));
    assert_true(json_integer_value(json_object_get(one, "runningMs")) >= 0);
    assert_true(json_is_integer(json_object_get(one, "samples")));
    char id[32];
    snprintf(id, sizeof id, "%lld", (long long)json_integer_value(json_object_get(one, "id")));
    json_decref(got);

    char *answer = send_delete(id);
    assert_non_null(strstr(answer, "HTTP/1.1 200 "));
    free(answer);
    pthread_join(asker.thread, NULL);
    assert_non_null(strstr(asker.answer, "HTTP/1.1 499 "));
    assert_non_null(strstr(asker.answer,
                           "{\"status\":\"error\",\"errorType\":\"canceled\",\"error\":"
                           "\"query was canceled in"));
    free(asker.answer);

    got = get_json("/api/v1/status/active_queries");
    assert_int_equal(json_array_size(json_object_get(got, "data")), 0);
    json_decref(got);
    static const struct {
        const char *id, *status;
    } BAD[] = {{"1", "HTTP/1.1 404 "},
               {"0", "HTTP/1.1 404 "},
               {"999999999999999999", "HTTP/1.1 404 "},
               {"99999999999999999999999", "HTTP/1.1 400 "},
               {"-1", "HTTP/1.1 400 "},
               {"x", "HTTP/1.1 400 "}};
    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++) {
        answer = send_delete(BAD[i].id);
        if (strstr(answer, BAD[i].status) == NULL)
            fail_msg("DELETE %s: %s", BAD[i].id, answer);
        free(answer);
    }
    world.port = before;
    http_server_close(server);
    api_free(api);
}

/* --- the log --- */

static json_t *line_of(const char *path, size_t number, size_t expected_count)
{
    struct buffer text;
    struct error err;
    buffer_init(&text, MEM_OTHER, 1 << 20);
    assert_true(file_read_all(path, &text, &err));
    buffer_append_byte(&text, '\0');
    json_t *found = NULL;
    size_t count = 0;
    char *rest = NULL;
    for (char *line = strtok_r(text.ptr, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_error_t where;
        json_t *json = json_loads(line, 0, &where);
        if (json == NULL)
            fail_msg("line %zu: %s", count, line);
        if (count++ == number)
            found = json;
        else
            json_decref(json);
    }
    assert_int_equal(count, expected_count);
    buffer_deinit(&text);
    return found;
}

static const char *text_at(json_t *line, const char *outer, const char *inner)
{
    return json_string_value(json_object_get(json_object_get(line, outer), inner));
}

static void queries_are_logged_where_the_configuration_says(void **state)
{
    (void)state;
    char path[] = "/tmp/belfry-query-log-XXXXXX", moved[64];
    int fd = mkstemp(path);
    struct error err;
    assert_true(fd >= 0);
    close(fd);
    struct api_config config = {.query_log_file = view_from(path)};
    assert_true(api_apply_config(world.api, &config, &err));
    json_decref(get_json("/api/v1/query_range?query=up&start=10&end=50.5&step=10"));
    json_decref(get_json("/api/v1/query?query=%7Bjob%3D%22x%22%7D%2Bon()up&time=10"));
    json_t *line = line_of(path, 0, 2);
    assert_string_equal(text_at(line, "params", "query"), "up");
    assert_string_equal(text_at(line, "params", "start"), "1970-01-01T00:00:10Z");
    assert_string_equal(text_at(line, "params", "end"), "1970-01-01T00:00:50.5Z");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(line, "params"), "step")),
                     10);
    assert_string_equal(text_at(line, "httpRequest", "clientIP"), "127.0.0.1");
    assert_string_equal(text_at(line, "httpRequest", "method"), "GET");
    assert_string_equal(text_at(line, "httpRequest", "path"), "/api/v1/query_range");
    assert_non_null(json_object_get(json_object_get(line, "stats"), "timings"));
    assert_null(json_object_get(line, "error"));
    json_decref(line);
    line = line_of(path, 1, 2);
    assert_non_null(strstr(json_string_value(json_object_get(line, "error")), "many-to-many"));
    json_decref(line);

    /* Moved away by a log rotation, and opened anew by a reload. */
    snprintf(moved, sizeof moved, "%s.1", path);
    assert_int_equal(rename(path, moved), 0);
    assert_true(api_apply_config(world.api, &config, &err));
    json_decref(get_json("/api/v1/query?query=1&time=10"));
    json_decref(line_of(moved, 0, 2));
    json_decref(line_of(path, 0, 1));

    /* What cannot be opened changes nothing; no file ends it. */
    config.query_log_file = VIEW("/nowhere/at/all");
    assert_false(api_apply_config(world.api, &config, &err));
    assert_non_null(strstr(err.message, "query log: could not open \"/nowhere/at/all\""));
    json_decref(get_json("/api/v1/query?query=2&time=10"));
    json_decref(line_of(path, 0, 2));
    config.query_log_file = VIEW("");
    assert_true(api_apply_config(world.api, &config, &err));
    json_decref(get_json("/api/v1/query?query=3&time=10"));
    json_decref(line_of(path, 0, 2));
    unlink(path);
    unlink(moved);
}

/* [20s:] evaluates every 10 s once the configuration says so, and each minute before. */
static void the_default_step_of_subqueries_is_the_evaluation_interval(void **state)
{
    (void)state;
    static const char TARGET[] =
        "/api/v1/query?query=count_over_time(requests_total[40s:])&time=50";
    struct error err;
    struct api_config config = {.evaluation_interval_ms = 10000};
    assert_true(api_apply_config(world.api, &config, &err));
    char *answer = world_get(TARGET);
    assert_non_null(strstr(answer, "\"value\":[50,\"4\"]"));
    free(answer);
    config.evaluation_interval_ms = 0;
    assert_true(api_apply_config(world.api, &config, &err));
    answer = world_get(TARGET);
    assert_non_null(strstr(answer, "\"result\":[]"));
    free(answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tree_has_the_shape_that_prometheus_gives_it),
        cmocka_unit_test(samples_are_told_by_step),
        cmocka_unit_test(annotations_beyond_ten_are_counted),
        cmocka_unit_test(a_plan_is_told_without_evaluating),
        cmocka_unit_test(an_analyzed_query_says_what_each_part_did),
        cmocka_unit_test(a_running_query_is_listed_and_cancelled),
        cmocka_unit_test(queries_are_logged_where_the_configuration_says),
        cmocka_unit_test(the_default_step_of_subqueries_is_the_evaluation_interval),
    };
    return cmocka_run_group_tests(tests, world_start, world_stop);
}
