/* SPDX-License-Identifier: Apache-2.0 */
/* alert_config_test.c: Alertmanager's own configurations, what is refused with which words, and what is inherited. */
#include "alerting/alert_config.h"

#include "base/buffer.h"
#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* Each file of expected.tsv (file, verdict, quoted part of the message) is taken or refused as there. */
static void official_files_have_their_verdicts(void **state)
{
    char *line = NULL;
    size_t room = 0, count = 0;
    FILE *f = fopen(CONFORMANCE_FOLDER "/config/expected.tsv", "r");
    if (!f)
        skip();
    while (getline(&line, &room, f) > 0) {
        char path[1024], name[200] = "", verdict[20] = "", part[600] = "";
        struct alert_config *c;
        struct error err = {0};
        if (sscanf(line, "%199[^\t\n]\t%19[^\t\n]\t\"%599[^\"\n]", name, verdict, part) < 2 ||
            strcmp(verdict, "verdict") == 0)
            continue;
        snprintf(path, sizeof path, "%s/config/%s", CONFORMANCE_FOLDER, name);
        bool ok = alert_config_load(path, &c, &err);
        if (ok != (strcmp(verdict, "good") == 0))
            fail_msg("%s: %s expected, %s", name, verdict, ok ? "taken" : err.message);
        if (!ok && !strstr(err.message, part))
            fail_msg("%s: \"%s\" expected in: %s", name, part, err.message);
        assert_int_equal(c != NULL, ok);
        alert_config_unref(c);
        count++;
    }
    free(line);
    fclose(f);
    assert_true(count >= 46);
}

static void official_examples_are_taken(void **state)
{
    static const char *const FILES[] = {"examples/simple.yml", "examples/route_labels.yml",
                                        "routing/conf.good.yml", "routing/conf.routing.yml",
                                        "routing/conf.routing-reverted.yml"};
    struct alert_config *c;
    struct error err = {0};
    if (access(CONFORMANCE_FOLDER "/examples", R_OK) != 0)
        skip();
    for (size_t i = 0; i < sizeof(FILES) / sizeof(*FILES); i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", CONFORMANCE_FOLDER, FILES[i]);
        if (!alert_config_load(path, &c, &err))
            fail_msg("%s", err.message);
        alert_config_unref(c);
    }
    assert_false(alert_config_load(CONFORMANCE_FOLDER "/routing/conf.bad.yml", &c, &err));
}

#define RECEIVER(text) "route: {receiver: a}\nreceivers:\n- name: a\n" text
#define ROUTE(text) "receivers: [{name: a}]\nroute:\n  receiver: a\n" text
#define GLOBAL(text) "global: {" text "}\nroute: {receiver: a}\nreceivers: [{name: a}]"

static const struct {
    const char *in, *error;
} REFUSED[] = {
    {"", "f.yml: no route provided in config"},
    {"receivers: []", "f.yml:1:1: no routes provided"},
    {"[]", "f.yml:1:1: Alertmanager's configuration was expected, not a list"},
    {"rout: {}",
     "f.yml:1:1: field \"rout\" is not known in Alertmanager's configuration; did you mean "
     "\"route\"?"},
    {"route: {}", "f.yml:1:8: root route must specify a default receiver"},
    {"route: {receiver: b}", "f.yml:1:19: undefined receiver \"b\" used in route"},
    {"route: {receiver: a}\nreceivers: [{name: a}, {name: a}]",
     "f.yml:2:31: notification config name \"a\" is not unique"},
    {"route: {receiver: a}\nreceivers: [{}]", "f.yml:2:13: missing name in receiver"},
    {ROUTE("  match: {a: b}"), "f.yml:4:10: root route must not have any matchers"},
    {ROUTE("  matchers: [a=b]"), "f.yml:4:13: root route must not have any matchers"},
    {ROUTE("  continue: true"), "f.yml:4:13: cannot have continue in root route"},
    {ROUTE("  mute_time_intervals: [x]"),
     "f.yml:4:24: root route must not have any mute time intervals"},
    {ROUTE("  active_time_intervals: [x]"),
     "f.yml:4:26: root route must not have any active time intervals"},
    {ROUTE("  routes: [{mute_time_intervals: [x]}]"),
     "f.yml:4:35: undefined time interval \"x\" used in route"},
    {ROUTE("  routes: [{receiver: x}]"), "f.yml:4:23: undefined receiver \"x\" used in route"},
    {ROUTE("  routes: [{match: {a-b: x}}]"), "f.yml:4:21: invalid label name \"a-b\""},
    {ROUTE("  routes: [{match_re: {a: (}}]"), NULL},
    {ROUTE("  routes: [{matchers: [\"a\"]}]"),
     "f.yml:4:24: matcher 'a': matchers end where an operator (=, !=, =~ or !~) was expected"},
    {ROUTE("  group_interval: 0s"), "f.yml:4:19: group_interval cannot be zero"},
    {ROUTE("  repeat_interval: 0s"), "f.yml:4:20: repeat_interval cannot be zero"},
    {ROUTE("  group_wait: 5"),
     "f.yml:4:15: field \"group_wait\": duration \"5\": a number lacks its unit (ms, s, m, h, d, "
     "w or y)"},
    {ROUTE("  group_by: [a, a]"), "f.yml:4:17: duplicated label \"a\" in group_by"},
    {ROUTE("  group_by: [a, ...]"),
     "f.yml:4:13: cannot have wildcard group_by (`...`) and other labels at the same time"},
    {ROUTE("time_intervals: [{name: x}, {name: x}]"),
     "f.yml:4:36: time interval \"x\" is not unique"},
    {ROUTE("time_intervals: [{time_intervals: []}]"), "f.yml:4:18: missing name in time interval"},
    {ROUTE("inhibit_rules: [{equal: ['']}]"), "f.yml:4:26: invalid label name \"\" in equal list"},
    {GLOBAL("slack_api_url: 'ftp://secret'"),
     "f.yml:1:25: slack_api_url: URL scheme must be 'http' or 'https'"},
    {GLOBAL("smtp_smarthost: localhost"), "f.yml:1:26: address localhost: missing port in address"},
    {GLOBAL("smtp_auth_secret: a, smtp_auth_secret_file: b"),
     "f.yml:1:54: at most one of smtp_auth_secret & smtp_auth_secret_file must be configured"},
    {RECEIVER("  webhook_configs: [{}]"), "f.yml:4:21: one of url or url_file must be configured"},
    {RECEIVER("  webhook_configs: [null]"), "f.yml:4:21: missing webhook config"},
    {RECEIVER("  webhook_configs: [{url: 'x://secret'}]"),
     "f.yml:4:27: url: URL scheme must be 'http' or 'https'"},
    {RECEIVER("  webhook_configs: [{url: 'http://h', timeout: soon}]"),
     "f.yml:4:48: timeout: a duration like 30s or 1h15m was expected, not soon"},
    {RECEIVER("  email_configs: [{}]"), "f.yml:4:19: missing to address in email config"},
    {RECEIVER("  email_configs: [{to: x}]"), "f.yml:4:19: no global SMTP smarthost set"},
    {RECEIVER("  email_configs: [{to: x, smarthost: 'h:1'}]"),
     "f.yml:4:19: no global SMTP from set"},
    {RECEIVER("  email_configs: [{to: x, headers: {reply-to: a, Reply-To: b}}]"),
     "f.yml:4:36: duplicate header \"Reply-To\" in email config"},
    {RECEIVER("  email_configs: [{to: x, threading: {enabled: true}}]"),
     "f.yml:4:38: threading.thread_by_date must be either 'none' or 'daily'"},
    {RECEIVER("  discord_configs: [{}]"),
     "f.yml:4:21: one of webhook_url or webhook_url_file must be configured"},
    {RECEIVER("  msteams_configs: [{webhook_url: 'http://h', webhook_url_file: f}]"),
     "f.yml:4:65: at most one of webhook_url & webhook_url_file must be configured"},
    {RECEIVER("  msteamsv2_configs: [{webhook_url: 'http://h', summary: x}]"),
     "f.yml:4:49: field \"summary\" is not known in msteamsv2_config"},
    {RECEIVER("  pagerduty_configs: [{}]"),
     "f.yml:4:23: missing service or routing key in PagerDuty config"},
    {RECEIVER("  pushover_configs: [{user_key: a}]"),
     "f.yml:4:22: one of token or token_file must be configured"},
    {RECEIVER("  pushover_configs: [{user_key: a, token: b, html: true, monospace: true}]"),
     "f.yml:4:52: at most one of monospace & html must be configured"},
    {RECEIVER("  opsgenie_configs: [{responders: [{type: team}]}]"),
     "f.yml:4:36: opsGenieConfig responder has to have at least one of id, username or name "
     "specified"},
    {RECEIVER("  opsgenie_configs: [{responders: [{id: x, type: pet}]}]"),
     "f.yml:4:50: opsGenieConfig responder type does not match valid options "
     "^(team|teams|user|escalation|schedule)$"},
    {RECEIVER("  victorops_configs: [{}]"), "f.yml:4:23: missing Routing key in VictorOps config"},
    {RECEIVER("  victorops_configs: [{routing_key: a, custom_fields: {entity_id: x}}]"),
     "f.yml:4:67: victorOps config contains custom field entity_id which cannot be used as it "
     "conflicts with the fixed/static fields"},
    {RECEIVER("  webex_configs: [{room_id: a}]"),
     "f.yml:4:19: missing webex_configs.http_config.authorization"},
    {RECEIVER("  telegram_configs: [{bot_token: a}]"),
     "f.yml:4:22: missing chat_id or chat_id_file on telegram_config"},
    {RECEIVER("  telegram_configs: [{bot_token: a, chat_id: 1, parse_mode: html}]"),
     "f.yml:4:61: unknown parse_mode on telegram_config, must be Markdown, MarkdownV2, HTML or "
     "empty string"},
    {RECEIVER("  jira_configs: [{project: a, issue_type: b}]"),
     "f.yml:4:18: no global Jira Cloud URL set"},
    {RECEIVER("  jira_configs: [{project: a}]"), "f.yml:4:18: missing issue_type in jira_config"},
    {RECEIVER("  slack_configs: [{api_url: 'http://h', fields: [{title: a}]}]"),
     "f.yml:4:50: missing value in Slack field configuration"},
    {RECEIVER("  slack_configs: [{api_url: 'http://h', actions: [{type: a, text: b}]}]"),
     "f.yml:4:51: missing name or url in Slack action configuration"},
    {RECEIVER("  incidentio_configs: [{url: 'http://h', http_config: {}}]"),
     "f.yml:4:24: at least one of alert_source_token, alert_source_token_file or "
     "http_config.authorization must be configured"},
    {RECEIVER("  wechat_configs: [{message_type: html}]"),
     "f.yml:4:35: weChat message type \"html\" does not match valid options ^(text|markdown)$"},
};

/* Also: no message shows a secret, here the word "secret" in a URL. */
static void refusals_say_what_and_where(void **state)
{
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof(REFUSED) / sizeof(*REFUSED); i++) {
        struct alert_config *c;
        struct error err = {0};
        if (alert_config_parse(view_from(REFUSED[i].in), "f.yml", &c, &err))
            fail_msg("taken: %s", REFUSED[i].in);
        assert_null(c);
        assert_null(strstr(err.message, "//secret"));
        if (REFUSED[i].error && strcmp(err.message, REFUSED[i].error) != 0) {
            print_error("%s\n  expected %s\n  but was  %s\n", REFUSED[i].in, REFUSED[i].error,
                        err.message);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

static struct alert_config *load(const char *text)
{
    struct alert_config *c;
    struct error err = {0};
    if (!alert_config_parse(view_from(text), "dir/f.yml", &c, &err))
        fail_msg("%s", err.message);
    return c;
}

static void routes_inherit(void **state)
{
    struct alert_config *c =
        load("receivers: [{name: a}, {name: b}]\n"
             "route:\n  receiver: a\n  group_by: [x]\n  group_wait: 1s\n  labels: {u: 1, v: 2}\n"
             "  routes:\n  - receiver: b\n    group_by: ['...']\n    labels: {v: 3, w: 4}\n"
             "    routes: [{repeat_interval: 1h}, {group_by: []}]\n");
    const struct alert_route *b = &c->route->routes.items[0];
    assert_true(view_is(b->routes.items[0].receiver, "b"));
    assert_true(b->routes.items[0].group_by_all);
    assert_true(b->routes.items[1].group_by_all); /* an empty list says nothing */
    assert_int_equal(b->routes.items[0].group_wait_ms, 1000);
    assert_int_equal(b->routes.items[0].group_interval_ms, 300000);
    assert_int_equal(b->routes.items[0].repeat_interval_ms, 3600000);
    assert_int_equal(b->routes.items[1].repeat_interval_ms, 4 * 3600000);
    assert_int_equal(b->labels.count, 3); /* u and v of its parent, its own w; v is its own, too */
    assert_true(view_is(b->labels.items[0].value, "1"));
    assert_true(view_is(b->labels.items[1].name, "v") && view_is(b->labels.items[1].value, "3"));
    assert_int_equal(b->routes.items[0].labels.count, 3);
    alert_config_unref(c);
}

static void print(const struct alert_config *c, struct buffer *out)
{
    buffer_reset(out);
    alert_config_print(c, out);
    buffer_append_byte(out, '\0');
}

/* Secrets of the tables, of HTTP clients, of headers, of what is kept as written, and passwords in URLs. */
static void a_printed_file_is_that_file_without_its_secrets(void **state)
{
    struct alert_config *c = load(
        "global: # comment\n  smtp_auth_password: 'hide1'\n  pagerduty_url: http://u:hide2@p/\n"
        "  http_config: {authorization: {credentials: hide3}, http_headers: {X: {secrets: [hide4], "
        "values: [v]}}}\n"
        "receivers:\n- name: a\n  webhook_configs:\n  - url: http://hide5/x\n"
        "    http_config: {basic_auth: {username: u, password: hide6}}\n"
        "    payload: {token: hide7, text: 'a: \"b\"'}\n"
        "- {name: b, slack_configs: [{api_url: 'https://hide8', channel: '#c'}]}\n"
        "route: {receiver: a, group_by: [x], routes: [{matchers: ['a=\"b\"', c!=d]}]}\n"
        "inhibit_rules: []\n");
    struct buffer text;
    buffer_init(&text, MEM_OTHER, 1 << 20);
    print(c, &text);
    assert_string_equal(
        text.ptr,
        "global:\n  smtp_auth_password: <secret>\n  pagerduty_url: http://u:xxxxx@p/\n"
        "  http_config:\n    authorization:\n      credentials: <secret>\n    http_headers:\n"
        "      X:\n        secrets:\n        - <secret>\n        values:\n        - v\n"
        "receivers:\n- name: a\n  webhook_configs:\n  - url: <secret>\n    http_config:\n"
        "      basic_auth:\n        username: u\n        password: <secret>\n    payload:\n"
        "      token: <secret>\n      text: 'a: \"b\"'\n- name: b\n  slack_configs:\n"
        "  - api_url: <secret>\n    channel: '#c'\nroute:\n  receiver: a\n  group_by:\n  - x\n"
        "  routes:\n  - matchers:\n    - a=\"b\"\n    - c!=d\ninhibit_rules: []\n");
    alert_config_unref(c);
    buffer_deinit(&text);
}

/* Clients read it back: what a server shows is a configuration, and prints as itself. */
static void printed_files_are_read_back(void **state)
{
    char *line = NULL;
    size_t room = 0, count = 0;
    struct buffer first, second;
    FILE *f = fopen(CONFORMANCE_FOLDER "/config/expected.tsv", "r");
    if (!f)
        skip();
    buffer_init(&first, MEM_OTHER, 1 << 20);
    buffer_init(&second, MEM_OTHER, 1 << 20);
    while (getline(&line, &room, f) > 0) {
        char path[1024], name[200] = "";
        struct alert_config *c, *again;
        struct error err = {0};
        (void)sscanf(line, "%199[^\t\n]", name); /* what is no file does not load */
        snprintf(path, sizeof path, "%s/config/%s", CONFORMANCE_FOLDER, name);
        if (!alert_config_load(path, &c, &err))
            continue;
        print(c, &first);
        if (!alert_config_parse(view_from(first.ptr), path, &again, &err))
            fail_msg("%s: %s\n%s", name, err.message, first.ptr);
        print(again, &second);
        assert_string_equal(first.ptr, second.ptr);
        alert_config_unref(again);
        alert_config_unref(c);
        count++;
    }
    free(line);
    fclose(f);
    buffer_deinit(&first);
    buffer_deinit(&second);
    assert_true(count >= 20);
}

static void receivers_inherit_from_global(void **state)
{
    struct alert_config *c =
        load("global:\n  smtp_smarthost: h:25\n  smtp_from: f\n  smtp_auth_password_file: pw\n"
             "  slack_app_token: t\n  opsgenie_api_url: http://og/x\n  opsgenie_api_key: k\n"
             "  http_config: {proxy_url: 'http://p'}\n"
             "route: {receiver: a}\ntemplates: ['t/*.tmpl', /abs]\nreceivers:\n- name: a\n"
             "  email_configs: [{to: x, require_tls: false, headers: {reply-to: y}}]\n"
             "  slack_configs: [{}]\n  opsgenie_configs: [{http_config: {}}]\n"
             "  pushover_configs: [{token: a, user_key: b, retry: 1m30.5s}]\n"
             "  jira_configs: [{api_url: 'http://j', project: p, issue_type: i, summary: s,\n"
             "    description: {enable_update: false}, labels: [l]}]\n");
    const struct receiver *r = alert_config_receiver(c, VIEW("a"));
    const struct email_receiver *email = &r->email_configs.items[0];
    const struct slack_receiver *slack = &r->slack_configs.items[0];
    const struct opsgenie_receiver *opsgenie = &r->opsgenie_configs.items[0];
    const struct jira_receiver *jira = &r->jira_configs.items[0];
    assert_true(view_is(email->smarthost, "h:25") && view_is(email->from, "f"));
    assert_true(view_is(email->hello, "localhost"));
    assert_true(view_is(email->auth_password_file, "dir/pw"));
    assert_true(view_is(email->headers.items[0].name, "Reply-To"));
    assert_int_equal(email->require_tls, 0);
    assert_false(email->common.send_resolved);
    assert_true(view_is(secret_reveal(&slack->api_url), "https://slack.com/api/chat.postMessage"));
    assert_true(
        view_is(secret_reveal(&slack->common.http_config->authorization->credentials), "t"));
    assert_true(view_is(slack->common.http_config->proxy.url, "http://p"));
    assert_null(c->global.http_config->authorization);
    assert_true(view_is(opsgenie->api_url, "http://og/x/"));
    assert_true(opsgenie->common.http_config != c->global.http_config);
    assert_true(opsgenie->common.send_resolved);
    assert_int_equal(r->pushover_configs.items[0].retry_ms, 90500);
    assert_int_equal(r->pushover_configs.items[0].expire_ms, 3600000);
    assert_true(view_is(jira->summary.template, "s") && jira->summary.enable_update);
    assert_true(
        view_is(jira->description.template, "{{ template \"jira.default.description\" . }}"));
    assert_false(jira->description.enable_update);
    assert_int_equal(jira->labels.count, 1);
    assert_true(view_is(c->templates.items[0], "dir/t/*.tmpl"));
    assert_true(view_is(c->templates.items[1], "/abs"));
    alert_config_unref(c);
}

static void classic_matchers_are_warned_of(void **state)
{
    struct alert_config *c = load(ROUTE("  routes: [{matchers: [\"a=b c\"]}]"));
    assert_int_equal(c->warnings->count, 1);
    assert_true(view_has_prefix(c->warnings->items[0], VIEW("dir/f.yml:4:24: matcher 'a=b c' ")));
    alert_config_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(official_files_have_their_verdicts),
        cmocka_unit_test(official_examples_are_taken),
        cmocka_unit_test(refusals_say_what_and_where),
        cmocka_unit_test(routes_inherit),
        cmocka_unit_test(receivers_inherit_from_global),
        cmocka_unit_test(classic_matchers_are_warned_of),
        cmocka_unit_test(a_printed_file_is_that_file_without_its_secrets),
        cmocka_unit_test(printed_files_are_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
