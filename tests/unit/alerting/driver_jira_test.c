/* SPDX-License-Identifier: Apache-2.0 */
/* driver_jira_test.c: issues of Jira; queries and issues with group key "1" are those that Alertmanager's own tests expect. */
#include "driver_fixture.h"

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LABEL "ALERT{6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b}"
#define AT(url) "jira_configs: [{api_url: '" url "', project: OPS, issue_type: Incident"
#define API AT("http://jira.example/rest/api/2")
#define SEARCH "http://jira.example/rest/api/2/search"
#define SHORT ", summary: s, description: d, priority: ''"
#define MOVES ", reopen_duration: 1h, reopen_transition: REOPEN, resolve_transition: CLOSE"
#define QUERY(jql) "{\"fields\":[\"status\"],\"jql\":\"" jql "\",\"maxResults\":2}"
#define TAIL                                                                                       \
    "project=\\\"OPS\\\" and labels=\\\"" LABEL "\\\" order by status ASC,resolutiondate DESC"
#define NONE .status = 200, .answer = "{\"issues\":[]}"
#define ISSUE(key, category)                                                                       \
    .status = 200, .answer = "{\"issues\":[{\"key\":\"" key "\",\"fields\":{\"status\":{\"name\":" \
                             "\"x\",\"statusCategory\":{\"key\":\"" category "\"}}}}]}"
#define FIELDS(labels)                                                                             \
    "{\"fields\":{\"description\":\"d\",\"issuetype\":{\"name\":\"Incident\"},\"labels\":[" labels \
    "],\"project\":{\"key\":\"OPS\"},\"summary\":\"s\""
#define PLAIN FIELDS("\"" LABEL "\"") "}}"
#define RESOLVED .alerts = {{"{alertname=\"test\"}", NULL, true}}
#define DOC(content) "{\"type\":\"doc\",\"version\":1,\"content\":[" content "]}"

static const struct driver_case CASES[] = {
    {.name = "a new issue",
     .receiver =
         API ", priority: '{{ template \"jira.default.priority\" . }}', labels: [alertmanager, "
             "'{{ .GroupLabels.alertname }}', 'a b'], wont_fix_resolution: WONTFIX" MOVES "}]",
     .group_key = "1",
     .group_labels = "{alertname=\"test\"}",
     .alerts = {{"{alertname=\"test\",instance=\"vm1\",severity=\"critical\"}"}},
     .steps = {{.url = SEARCH,
                .headers = "Content-Type: application/json\nAccept-Language: en",
                .body = QUERY("resolution != \\\"WONTFIX\\\" and (resolutiondate is EMPTY OR "
                              "resolutiondate >= -60m) and " TAIL),
                NONE},
               {.url = "http://jira.example/rest/api/2/issue",
                .body =
                    "{\"fields\":{\"summary\":\"[FIRING:1] test (vm1 critical)\",\"description\":"
                    "\"\\n\\n# Alerts Firing:\\n\\nLabels:\\n  - alertname = test\\n  - instance = "
                    "vm1\\n  - severity = critical\\n\\nAnnotations:\\n\\nSource: "
                    "http://p/graph\\n\\n\\n\\n\\n\",\"issuetype\":{\"name\":\"Incident\"},"
                    "\"labels\":[\"" LABEL "\",\"a_b\",\"alertmanager\",\"test\"],\"project\":"
                    "{\"key\":\"OPS\"},\"priority\":{\"name\":\"High\"}}}",
                .status = 201,
                .answer = "{\"key\":\"OPS-1\"}"}},
     .verdict = DELIVERY_SENT},
    {.name = "no reopening: open issues alone",
     .receiver = API SHORT "}]",
     .group_key = "1",
     .steps = {{.body = QUERY("statusCategory != Done and " TAIL), NONE},
               {.body = PLAIN, .status = 201}},
     .verdict = DELIVERY_SENT},
    {.name = "resolved and no issue: nothing to do",
     .receiver = API SHORT MOVES "}]",
     .group_key = "1",
     RESOLVED,
     .steps = {{.body = QUERY("statusCategory != Done and " TAIL), NONE}},
     .verdict = DELIVERY_SENT},
    {.name = "an open issue is updated",
     .receiver = API SHORT MOVES "}]",
     .group_key = "1",
     .steps = {{ISSUE("OPS-1", "indeterminate")},
               {.method = "PUT",
                .url = "http://jira.example/rest/api/2/issue/OPS-1",
                .body = PLAIN,
                .status = 204}},
     .verdict = DELIVERY_SENT},
    {.name = "not everything is",
     .receiver =
         API ", summary: {template: s, enable_update: false}, description: {template: d, "
             "enable_update: false}, labels: {values: [x], enable_update: false}, priority: P}]",
     .group_key = "1",
     .steps = {{ISSUE("OPS-1", "new")},
               {.method = "PUT",
                .body = "{\"fields\":{\"issuetype\":{\"name\":\"Incident\"},\"project\":{\"key\":"
                        "\"OPS\"},\"priority\":{\"name\":\"P\"}}}",
                .status = 204}},
     .verdict = DELIVERY_SENT},
    {.name = "one that is done is opened again",
     .receiver = API SHORT MOVES "}]",
     .group_key = "1",
     .steps = {{ISSUE("OPS-1", "done")},
               {.method = "PUT", .body = PLAIN, .status = 204},
               {.method = "GET",
                .url = "http://jira.example/rest/api/2/issue/OPS-1/transitions",
                .headers = "Accept-Language: en",
                .status = 200,
                .answer = "{\"transitions\":[{\"id\":\"1\",\"name\":\"CLOSE\"},{\"id\":\"12345\","
                          "\"name\":\"REOPEN\"}]}"},
               {.method = "POST",
                .url = "http://jira.example/rest/api/2/issue/OPS-1/transitions",
                .body = "{\"transition\":{\"id\":\"12345\"}}",
                .status = 204}},
     .verdict = DELIVERY_SENT},
    {.name = "resolved: closed",
     .receiver = API SHORT MOVES "}]",
     .group_key = "1",
     RESOLVED,
     .steps = {{ISSUE("OPS-2", "new")},
               {.method = "PUT", .status = 204},
               {.method = "GET",
                .status = 200,
                .answer = "{\"transitions\":[{\"id\":\"54321\",\"name\":\"CLOSE\"}]}"},
               {.body = "{\"transition\":{\"id\":\"54321\"}}", .status = 204}},
     .verdict = DELIVERY_SENT},
    {.name = "resolved, no transition is configured: as it is",
     .receiver = API SHORT "}]",
     RESOLVED,
     .steps = {{ISSUE("OPS-2", "new")}, {.method = "PUT", .status = 204}},
     .verdict = DELIVERY_SENT},
    {.name = "a transition that the issue has not",
     .receiver = API SHORT MOVES "}]",
     RESOLVED,
     .steps = {{ISSUE("OPS-3", "new")},
               {.method = "PUT", .status = 204},
               {.method = "GET", .status = 200, .answer = "{\"transitions\":[]}"}},
     .verdict = DELIVERY_FAILED,
     .error = "can't find transition CLOSE for issue OPS-3"},
    {.name = "fields of one's own, which win",
     .receiver =
         API SHORT ", fields: {components: {name: Monitoring}, customfield_10001: value, "
                   "customfield_10002: 0, customfield_10003: [0], customfield_10005: {value: "
                   "0}, customfield_10009: [{1: 0}, {1.0: 1}, {a: [2]}], customfield_10010: "
                   "[{1: 0}, [3]], customfield_14400: '{{ .CommonLabels.job }}', priority: "
                   "{id: '1x'}}}]",
     .group_key = "1",
     .steps =
         {{NONE},
          {.body = FIELDS(
               "\"" LABEL
               "\"") ",\"components\":{\"name\":\"Monitoring\"},"
                     "\"customfield_10001\":\"value\",\"customfield_10002\":0,"
                     "\"customfield_10003\":[0],\"customfield_10005\":{\"value\":0},"
                     "\"customfield_10009\":[{},{},{\"a\":[2]}],\"customfield_10010\":[{},[3]],"
                     "\"customfield_14400\":\"node\",\"priority\":{\"id\":\"1x\"}}}",
           .status = 201}},
     .verdict = DELIVERY_SENT},
    {.name = "a project that is a template, quoted",
     .receiver =
         "jira_configs: [{api_url: 'http://j/', project: '{{ .CommonLabels.p }}', issue_type: "
         "'{{ .CommonLabels.p }}'" SHORT "}]",
     .group_key = "1",
     .alerts = {{"{p=\"A\\\" OR 1=1\\\\\"}"}},
     .steps = {{.url = "http://j/search",
                .body =
                    QUERY("statusCategory != Done and project=\\\"A\\\\\\\" OR 1=1\\\\\\\\\\\" and "
                          "labels=\\\"" LABEL "\\\" order by status ASC,resolutiondate DESC"),
                NONE},
               {.url = "http://j/issue", .status = 201}},
     .verdict = DELIVERY_SENT},
    {.name = "the cloud is searched by version 3",
     .receiver = AT("https://example.atlassian.net/rest/api/2") SHORT "}]",
     .steps = {{.url = "https://example.atlassian.net/rest/api/3/search/jql", NONE},
               {.url = "https://example.atlassian.net/rest/api/2/issue", .status = 201}},
     .verdict = DELIVERY_SENT},
    {.name = "a cloud under another name",
     .receiver = AT("https://jira.example.com/rest/api/2") SHORT ", api_type: cloud}]",
     .steps = {{.url = "https://jira.example.com/rest/api/3/search/jql", NONE}, {.status = 201}},
     .verdict = DELIVERY_SENT},
    {.name = "a data center under the cloud's name",
     .receiver = AT("https://example.atlassian.net/rest/api/2") SHORT ", api_type: datacenter}]",
     .steps = {{.url = "https://example.atlassian.net/rest/api/2/search", NONE}, {.status = 201}},
     .verdict = DELIVERY_SENT},
    {.name = "version 3: a text becomes a document",
     .receiver = AT("http://j/rest/api/3/") ", summary: s, priority: '', description: "
                                            "\"one\\ntwo\\n\\n\\nthree\\n\"}]",
     .group_key = "1",
     .steps = {{.url = "http://j/rest/api/3/search", NONE},
               {.url = "http://j/rest/api/3/issue",
                .body = "{\"fields\":{\"description\":" DOC(
                    "{\"type\":\"paragraph\",\"content\":[{\"type\":"
                    "\"text\",\"text\":\"one\"},{"
                    "\"type\":\"hardBreak\"},{\"type\":\"text\","
                    "\"text\":\"two\"}]},{\"type\":"
                    "\"paragraph\",\"content\":[{\"type\":\"text\","
                    "\"text\":\"three\"}]}") ","
                                             "\"issuetype\":{"
                                             "\"name\":\"Incident\"}"
                                             ",\"labels\":[\"" LABEL "\"],\"project\":"
                                             "{\"key\":\"OPS\"},"
                                             "\"summary\":\"s\"}}",
                .status = 201}},
     .verdict = DELIVERY_SENT},
    {.name = "version 3: a document is sent as it is; a summary is one line",
     .receiver =
         AT("http://j/rest/api/3") ", summary: \"a\\nb\", priority: '', description: ' {\"type\":"
                                   "\"doc\",\"version\":1,\"content\":[],\"x\":\"{{ .Status "
                                   "}}\"} '}]",
     .group_key = "1",
     .steps = {{NONE},
               {.body =
                    "{\"fields\":{\"description\":{\"type\":\"doc\",\"version\":1,\"content\":[],"
                    "\"x\":\"firing\"},\"issuetype\":{\"name\":\"Incident\"},\"labels\":[\"" LABEL
                    "\"],\"project\":{\"key\":\"OPS\"},\"summary\":\"a b\"}}",
                .status = 201}},
     .verdict = DELIVERY_SENT},
    {.name = "the search is refused",
     .receiver = API SHORT "}]",
     .steps = {{.status = 400,
                .answer = "{\"errorMessages\":[\"The value 'OPS' does not exist\"]}"}},
     .verdict = DELIVERY_FAILED,
     .error = "failed to look up existing issues: unexpected status code 400"},
    {.name = "429",
     .receiver = API SHORT "}]",
     .steps = {{NONE}, {.status = 429}},
     .verdict = DELIVERY_RETRY,
     .error = "unexpected status code 429"},
    {.name = "an answer that is no JSON",
     .receiver = API SHORT "}]",
     .steps = {{.status = 200, .answer = "<html>"}},
     .verdict = DELIVERY_FAILED,
     .error = "the search of Jira cannot be read: "},
    {.name = "an answer that was cut",
     .receiver = API SHORT "}]",
     .steps = {{.status = 200, .answer = "{\"issues\":[", .is_cut = true}},
     .verdict = DELIVERY_RETRY,
     .error = "the search of Jira cannot be read: "},
    {.name = "an answer of another shape: no issue",
     .receiver = API SHORT "}]",
     .steps = {{.status = 200, .answer = "[1,{\"issues\":3}]"}, {.status = 201}},
     .verdict = DELIVERY_SENT},
    {.name = "a key that is no path",
     .receiver = API SHORT "}]",
     .steps = {{ISSUE("../x?y", "new")},
               {.method = "PUT",
                .url = "http://jira.example/rest/api/2/issue/..%2Fx%3Fy",
                .status = 204}},
     .verdict = DELIVERY_SENT},
};

static void issues(void **state)
{
    driver_check(CASES, ARRAY_COUNT(CASES));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(issues)};
    return cmocka_run_group_tests_name("alerting/driver_jira", tests, NULL, NULL);
}
