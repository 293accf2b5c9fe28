/* SPDX-License-Identifier: Apache-2.0 */
/* alertmanager_test.c: Alertmanager's API v2 and what is ours beside it, over real connections, with the real router and
 * the real memory of silences. What groups and when is told is the router's own test. */
#include "alerting/alert_history.h"
#include "alerting/alert_router.h"
#include "alerting/silence.h"
#include "api_fixture.h"
#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char CONFIG[] =
    "route:\n  receiver: all\n  group_by: [alertname]\n  routes:\n"
    "  - {matchers: ['team=\"db\"'], receiver: db}\n"
    "inhibit_rules:\n- {source_matchers: [kind=\"s\"], target_matchers: [kind=\"t\"]}\n"
    "receivers: [{name: all}, {name: db, webhook_configs: [{url: "
    "'http://u:hidden@127.0.0.1:1/'}]}]\n";

static struct sender *sender;
static char dir[] = "/tmp/belfry-alertmanager-XXXXXX";

static int start(void **state)
{
    struct error err = {0};
    struct alert_config *config = NULL;
    struct integrations *set = NULL;
    assert_non_null(mkdtemp(dir));
    const struct alert_state_options kept = {.dir = dir};
    if (!alert_state_open(&world.alert_state, &kept, &err) ||
        !alert_config_parse(view_from(CONFIG), "a.yml", &config, &err) ||
        !integrations_new(&set, config, "http://x/", &err) ||
        !sender_start(&sender, &(struct sender_options){.user_agent = "test"}, &err))
        fail_msg("%s", err.message);
    const struct alert_router_options opts = {.peers = &ROUTER_PEERS,
                                              .state = world.alert_state,
                                              .sender = sender,
                                              .start_delay_ms = 3600 * 1000};
    if (!alert_router_start(&world.alert_router, &opts, &err))
        fail_msg("%s", err.message);
    alert_router_apply(world.alert_router, set);
    integrations_unref(set);
    alert_config_unref(config);
    return world_start(state);
}

static int stop(void **state)
{
    struct error err = {0};
    int code = world_stop(state);
    alert_router_stop(world.alert_router);
    sender_stop(sender, 0);
    alert_router_free(world.alert_router);
    alert_state_close(world.alert_state);
    return code || !dir_remove(dir, &err);
}

/* The whole answer; free(). */
static char *ask(const char *method, const char *target, const char *body)
{
    char request[8192];
    int len = snprintf(request, sizeof request,
                       "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: "
                       "application/json\r\n"
                       "Content-Length: %zu\r\n\r\n%s",
                       method, target, body ? strlen(body) : 0, body ? body : "");
    assert_true(len > 0 && (size_t)len < sizeof request);
    return world_exchange(request, (size_t)len);
}

static void expect(const char *method, const char *target, const char *body, int status,
                   const char *part)
{
    char *answer = ask(method, target, body);
    const char *end = strstr(answer, "\r\n\r\n");
    if (strtol(answer + 9, NULL, 10) != status || !end || !strstr(end + 4, part))
        fail_msg("%s %s %s: %d and \"%s\" expected, not\n%s", method, target, body ? body : "",
                 status, part, answer);
    free(answer);
}

#define ALERT "/api/v2/alerts"
#define S(matcher)                                                                                 \
    "{\"matchers\":[" matcher "],\"startsAt\":\"2020-01-01T00:00:00Z\",\"endsAt\":\"2099-01-"      \
    "01T00:00:00Z\",\"createdBy\":\"me\",\"comment\":\"c\"}"
#define M(name, value) "{\"name\":\"" name "\",\"value\":\"" value "\",\"isRegex\":false}"

/* Statuses and bodies are those of Alertmanager 0.25 and, where that has changed, of 0.34. */
static const struct {
    const char *method, *target, *body;
    int status;
    const char *part;
} REFUSALS[] = {
    {"GET", ALERT "?filter=", NULL, 400, "\"bad matcher format: \"\n"},
    {"GET", ALERT "?filter=a=b&filter=c", NULL, 400, "\""},
    {"GET", ALERT "?filter=a%3D~(", NULL, 400, "missing"},
    {"GET", ALERT "?receiver=(", NULL, 400, "\"failed to parse receiver param: "},
    {"GET", ALERT "/groups?receiver=(", NULL, 400, "\"failed to parse receiver param: "},
    {"GET", ALERT "/groups?filter=a", NULL, 400, "\""},
    {"GET", "/api/v2/silences?filter=a", NULL, 400, "\""},
    {"GET", "/api/v2/silence/abc", NULL, 422,
     "{\"code\":601,\"message\":\"silenceID in path must be of type uuid: \\\"abc\\\"\"}"},
    {"DELETE", "/api/v2/silence/abc", NULL, 422, "{\"code\":601,"},
    {"GET", "/api/v2/silence/d9e49a52-fbb5-4f53-b6ae-d2c02f2e8bd9", NULL, 404, ""},
    {"DELETE", "/api/v2/silence/d9e49a52-fbb5-4f53-b6ae-d2c02f2e8bd9", NULL, 404, ""},
    {"POST", "/api/v2/silences", "{}", 422,
     "{\"code\":602,\"message\":\"comment in body is required\"}"},
    {"POST", "/api/v2/silences", S(M("a", "")), 400,
     "\"invalid silence: at least one matcher must not match the empty string\"\n"},
    {"POST", "/api/v2/silences", S(M("", "b")), 400,
     "\"invalid silence: invalid label matcher 0: invalid label name "},
    {"POST", "/api/v2/silences", S("{\"name\":\"a\",\"value\":\"(\",\"isRegex\":true}"), 400,
     "\"invalid silence: "},
    {"POST", "/api/v2/silences",
     "{\"id\":\"d9e49a52-fbb5-4f53-b6ae-d2c02f2e8bd9\",\"matchers\":[" M(
         "a", "b") "],"
                   "\"startsAt\":\"2098-01-01T00:00:00Z\",\"endsAt\":\"2099-01-01T00:00:00Z\","
                   "\"createdBy\":\"me\",\"comment\":\"c\"}",
     404, "\"silence not found\"\n"},
    {"POST", "/api/v2/silences",
     "{\"matchers\":[" M(
         "a", "b") "],\"startsAt\":\"2099-01-01T00:00:00Z\","
                   "\"endsAt\":\"2099-01-01T00:00:00Z\",\"createdBy\":\"me\",\"comment\":\"c\"}",
     400, "\"Failed to create silence: start time must be before end time\"\n"},
    {"POST", "/api/v2/silences",
     "{\"matchers\":[" M(
         "a", "b") "],\"startsAt\":\"2019-01-01T00:00:00Z\","
                   "\"endsAt\":\"2020-01-01T00:00:00Z\",\"createdBy\":\"me\",\"comment\":\"c\"}",
     400, "\"Failed to create silence: end time can't be in the past\"\n"},
    {"POST", ALERT, "[", 400,
     "{\"code\":400,\"message\":\"parsing alerts body from \\\"\\\" failed, because "},
    {"POST", ALERT, "", 422, "{\"code\":602,\"message\":\"alerts in body is required\"}"},
    {"POST", ALERT, "[{\"labels\":{}}]", 400, "\"at least one label pair required\"\n"},
    {"POST", ALERT, "[]", 200, ""},
    {"PUT", ALERT, "[]", 405, "{\"code\":405,\"message\":"},
    {"GET", "/api/v2/nix", NULL, 404, "{\"code\":404,\"message\":"},
    {"POST", "/api/v1/alerts", "[]", 410,
     "{\"status\":\"deprecated\",\"error\":\"The Alertmanager v1 API was deprecated"},
    {"GET", "/api/v1/silences", NULL, 410, "deprecated"},
    {"GET", "/api/v1/status", NULL, 410, "deprecated"},
    {"GET", "/api/v1/receivers", NULL, 410, "deprecated"},
    {"POST", "/api/v1/alerting/acknowledgements", "{}", 400, "fingerprint or filter is missing"},
    {"POST", "/api/v1/alerting/acknowledgements", "{\"fingerprint\":\"x\"}", 400,
     "is no fingerprint"},
    {"POST", "/api/v1/alerting/acknowledgements", "{\"filter\":[\"nobody=here\"],\"owner\":\"me\"}",
     404, "no alert that is alive matches"},
    {"POST", "/api/v1/alerting/acknowledgements", "{\"filter\":[1]}", 400, "a list of matchers"},
    {"DELETE", "/api/v1/alerting/acknowledgements/0123456789abcdef", NULL, 404, "not acknowledged"},
    {"DELETE", "/api/v1/alerting/acknowledgements/0123456789abcdeg", NULL, 400,
     "is no fingerprint"},
    {"GET", "/api/v1/alerting/history/alerts?limit=10001", NULL, 400, "at most 10000"},
    {"GET", "/api/v1/alerting/history/alerts?limit=x", NULL, 400, "limit"},
    {"GET", "/api/v1/alerting/history/alerts?after=x", NULL, 400, "after"},
    {"GET", "/api/v1/alerting/history/alerts?start=x", NULL, 400, "start"},
    {"GET", "/api/v1/alerting/history/alerts?filter=x", NULL, 400, "\""},
    {"GET", "/api/v1/alerting/history/notifications?fingerprint=1", NULL, 400, "is no fingerprint"},
};

static void refusals_are_alertmanagers(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(REFUSALS); i++)
        expect(REFUSALS[i].method, REFUSALS[i].target, REFUSALS[i].body, REFUSALS[i].status,
               REFUSALS[i].part);
    static const char PLAIN[] =
        "POST /api/v2/alerts HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n[]";
    char *answer = world_exchange(PLAIN, sizeof PLAIN - 1);
    assert_non_null(strstr(answer, "415"));
    assert_non_null(strstr(answer, "{\"code\":415,\"message\":\"unsupported media type "
                                   "\\\"text/plain\\\", only [application/json] are allowed\"}"));
    free(answer);
}

static void what_is_configured_is_shown_without_secrets(void **state)
{
    expect("GET", "/api/v2/receivers", NULL, 200, "[{\"name\":\"all\"},{\"name\":\"db\"}]\n");
    expect("GET", "/api/v2/status", NULL, 200, "\"version\":\"1.2.3\"");
    expect("GET", "/api/v2/status", NULL, 200,
           "{\"cluster\":{\"peers\":[],\"status\":\"disabled\"},\"config\":{\"original\":\"route:"
           "\\n  receiver: all\\n");
    expect("GET", "/api/v2/status", NULL, 200, "  - url: \\u003csecret\\u003e\\n");
}

/* Until an answer has the part: what is put is routed by another thread. */
static void expect_soon(const char *target, const char *part)
{
    enum { TRIES = 3000 };
    for (int i = 0; i < TRIES; i++) {
        char *answer = world_get(target);
        bool found = strstr(answer, part) != NULL;
        free(answer);
        if (found)
            return;
        usleep(10000);
    }
    char *answer = world_get(target);
    fail_msg("%s: \"%s\" expected, not\n%s", target, part, answer);
}

/* The value of a member of the answer: up to the next quote. */
static void take(const char *answer, const char *name, char out[64])
{
    char key[64];
    snprintf(key, sizeof key, "\"%s\":\"", name);
    const char *at = strstr(answer, key);
    if (!at)
        fail_msg("no %s in %s", name, answer);
    at += strlen(key);
    snprintf(out, 64, "%.*s", (int)strcspn(at, "\""), at);
}

static void alerts_are_put_filtered_and_grouped(void **state)
{
    expect(
        "POST", ALERT,
        "[{\"labels\":{\"alertname\":\"one\",\"team\":\"db\",\"kind\":\"s\"},\"annotations\":{"
        "\"summary\":\"<x>\"},"
        "\"generatorURL\":\"http://x/"
        "y\",\"startsAt\":\"2020-01-01T00:00:00Z\",\"endsAt\":\"2099-01-01T00:00:00Z\"},"
        "{\"labels\":{\"alertname\":\"two\",\"kind\":\"t\"},\"endsAt\":\"2099-01-01T00:00:00Z\"},"
        "{\"labels\":{\"alertname\":\"over\"},\"endsAt\":\"2020-01-01T00:00:00Z\"},{\"labels\":{}}"
        "]",
        400, "\"at least one label pair required\"\n"); /* the others are taken */
    expect_soon(ALERT "?filter=alertname=one",
                "[{\"annotations\":{\"summary\":\"\\u003cx\\u003e\"},\"endsAt\":\"2099-01-01T00:00:"
                "00.000Z\",\"fingerprint\":\"");
    expect("GET", ALERT "?filter=alertname%3Done", NULL, 200,
           "\"receivers\":[{\"name\":\"db\"}],\"startsAt\":\"2020-01-01T00:00:00.000Z\",\"status\":"
           "{\"inhibitedBy\":[],"
           "\"mutedBy\":[],\"silencedBy\":[],\"state\":\"active\"},");
    expect_soon(ALERT "?filter=alertname%3Dtwo", "\"state\":\"suppressed\"");
    expect("GET", ALERT "?inhibited=false&filter=alertname%3Dtwo", NULL, 200, "[]\n");
    expect("GET", ALERT "?active=false&filter=alertname%3Done", NULL, 200, "[]\n");
    expect("GET", ALERT "?filter=alertname%3Done&filter=team!%3Ddb", NULL, 200, "[]\n");
    expect("GET", ALERT "?filter=%7Balertname%3D%22one%22%2Cteam%3D%22db%22%7D", NULL, 200,
           "\"db\"");
    expect("GET", ALERT "?filter=alertname%3Done%2Cteam%3Ddb", NULL, 200, "[]\n"); /* one value */
    expect("GET", ALERT "?receiver=d.", NULL, 200, "\"one\"");
    expect("GET", ALERT "?receiver=d", NULL, 200, "[]\n");
    expect("GET", ALERT "?filter=alertname%3Dover", NULL, 200, "[]\n");
    expect_soon(ALERT "/groups",
                "],\"labels\":{\"alertname\":\"one\"},\"receiver\":{\"name\":\"db\"}}");
    expect("GET", ALERT "/groups?receiver=all", NULL, 200, "[{\"alerts\":[{\"annotations\":{},");
    expect("GET", ALERT "/groups?filter=alertname%3Dnobody", NULL, 200, "[]\n");
}

static void silences_are_made_shown_changed_and_ended(void **state)
{
    char id[64], again[64], target[128], body[512];
    char *answer = ask("POST", "/api/v2/silences", S(M("alertname", "one")));
    take(answer, "silenceID", id);
    free(answer);
    snprintf(target, sizeof target, "/api/v2/silence/%s", id);
    expect("GET", target, NULL, 200, "\"status\":{\"state\":\"active\"}");
    expect("GET", "/api/v2/silences?filter=alertname%3Done", NULL, 200, id);
    expect("GET", "/api/v2/silences?filter=alertname%3D~one", NULL, 200, "[]\n");
    expect_soon(ALERT "?filter=alertname%3Done", id);
    expect("GET", ALERT "?silenced=false&filter=alertname%3Done", NULL, 200, "[]\n");
    snprintf(body, sizeof body, "{\"id\":\"%s\",%s", id, &S(M("alertname", "one"))[1]);
    answer = ask("POST", "/api/v2/silences", body);
    take(answer, "silenceID", again);
    free(answer);
    snprintf(target, sizeof target, "/api/v2/silence/%s", again);
    expect("DELETE", target, NULL, 200, "");
    /* It is active to the end of the millisecond in which it was ended. */
    expect_soon(target, "\"status\":{\"state\":\"expired\"}");
    expect_soon(ALERT "?filter=alertname%3Done", "\"silencedBy\":[],\"state\":\"active\"");
}

#define R(recurrence)                                                                              \
    "{\"matchers\":[" M(                                                                           \
        "alertname",                                                                               \
        "one") "],\"startsAt\":\"2090-01-01T00:00:00Z\",\"endsAt\":\"2091-01-01T00:00:00Z\","      \
               "\"createdBy\":\"me\",\"comment\":\"c\",\"recurrence\":" recurrence "}"

static void silences_recur_and_are_previewed(void **state)
{
    static const char CRON[] =
        R("{\"cron\":\"0 22 * * *\",\"timezone\":\"Europe/Paris\",\"duration\":\"2h\"}");
    char id[64], target[128];
    expect("POST", "/api/v1/alerting/silences/preview?limit=2", CRON, 200,
           "{\"status\":\"success\",\"data\":[{\"endsAt\":\"2090-01-01T23:00:00.000Z\","
           "\"startsAt\":\"2090-01-01T21:00:00.000Z\"},"
           "{\"endsAt\":\"2090-01-02T23:00:00.000Z\",\"startsAt\":\"2090-01-02T21:00:00.000Z\"}]}");
    expect("POST", "/api/v1/alerting/silences/preview",
           R("{\"rrule\":\"FREQ=NEVER\",\"duration\":\"2h\"}"), 400, "error");
    expect("POST", "/api/v1/alerting/silences/preview", S(M("alertname", "one")), 400,
           "recurrence is missing");
    expect("POST", "/api/v1/alerting/silences/preview", "{}", 400, "comment in body is required");
    expect("POST", "/api/v2/silences", R("{\"cron\":\"x\",\"duration\":\"2h\"}"), 400, "cron");
    char *answer = ask("POST", "/api/v2/silences", CRON);
    take(answer, "silenceID", id);
    free(answer);
    snprintf(target, sizeof target, "/api/v2/silence/%s", id);
    expect("GET", target, NULL, 200, "\"cron\":\"0 22 * * *\"");
    expect("GET", target, NULL, 200, "\"startsAt\":\"2090-01-01T21:00:00.000Z\"");
    expect("DELETE", target, NULL, 200, "");
}

static void alerts_are_acknowledged_and_remembered(void **state)
{
    char fingerprint[64], target[128], body[256];
    char *answer = world_get(ALERT "?filter=alertname%3Done");
    take(answer, "fingerprint", fingerprint);
    free(answer);
    snprintf(body, sizeof body, "{\"fingerprint\":\"%s\"}", fingerprint);
    expect("POST", "/api/v1/alerting/acknowledgements", body, 400, "owner");
    expect("POST", "/api/v1/alerting/acknowledgements",
           "{\"filter\":[\"alertname=one\"],\"owner\":\"me\",\"note\":\"look\",\"expiresAt\":"
           "\"2099-01-01T00:00:00Z\"}",
           200, "{\"status\":\"success\",\"data\":{\"acknowledged\":[\"");
    expect("GET", "/api/v1/alerting/acknowledgements", NULL, 200,
           "\"owner\":\"me\",\"note\":\"look\",\"at\":\"");
    expect_soon(ALERT "?filter=alertname%3Done", "\"acknowledged\":true");
    snprintf(target, sizeof target, "/api/v1/alerting/acknowledgements/%s", fingerprint);
    expect("DELETE", target, NULL, 200, "\"success\"");
    expect("GET", "/api/v1/alerting/acknowledgements", NULL, 200, "\"data\":[]");
    snprintf(target, sizeof target, "/api/v1/alerting/acknowledgements?fingerprint=%s",
             fingerprint);
    expect_soon(target, "\"endedAt\":\"");
    expect_soon("/api/v1/alerting/history/alerts?filter=alertname%3Done",
                "\"labels\":{\"alertname\":\"one\"");
    snprintf(target, sizeof target, "/api/v1/alerting/history/alerts?limit=1&fingerprint=%s",
             fingerprint);
    expect("GET", target, NULL, 200, "\"isOpen\":true");
    expect("GET", "/api/v1/alerting/history/notifications", NULL, 200, "\"data\":[]");
}

/* Pages follow each other without a gap or a double. */
static void history_comes_in_pages(void **state)
{
    char target[200] = "/api/v1/alerting/history/alerts?limit=1&open=true", next[64];
    expect_soon("/api/v1/alerting/history/alerts?open=true&filter=alertname%3Dtwo", "\"two\"");
    char *first = world_get(target);
    take(first, "next", next);
    snprintf(target, sizeof target, "/api/v1/alerting/history/alerts?limit=1&open=true&after=%s",
             next);
    char *second = world_get(target);
    assert_true((strstr(first, "\"one\"") != NULL) != (strstr(second, "\"one\"") != NULL));
    assert_true((strstr(first, "\"two\"") != NULL) != (strstr(second, "\"two\"") != NULL));
    free(first);
    free(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals_are_alertmanagers),
        cmocka_unit_test(what_is_configured_is_shown_without_secrets),
        cmocka_unit_test(alerts_are_put_filtered_and_grouped),
        cmocka_unit_test(silences_are_made_shown_changed_and_ended),
        cmocka_unit_test(silences_recur_and_are_previewed),
        cmocka_unit_test(alerts_are_acknowledged_and_remembered),
        cmocka_unit_test(history_comes_in_pages),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
