/* SPDX-License-Identifier: Apache-2.0 */
/* default_templates_test.c: the built-in templates say what Alertmanager's say. Where Debian's Alertmanager is installed, both
 * are executed side by side; the rest is compared with texts that follow from Alertmanager's. */
#include "driver_fixture.h"

#include "base/attributes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define PEER "/usr/share/prometheus/alertmanager/default.tmpl"
#define HOOK .receiver = "webhook_configs: [{url: 'http://h'}]"

#define A1                                                                                         \
    {                                                                                              \
        "{alertname=\"Down\",node=\"a\",severity=\"warning\"}", "{summary=\"a <is> down\"}"        \
    }
#define A2                                                                                         \
    {                                                                                              \
        "{alertname=\"Down\",node=\"b\"}", "{summary=\"b is down\",url=\"http://x\"}"              \
    }
#define R3                                                                                         \
    {                                                                                              \
        "{alertname=\"Down\",node=\"c\",severity=\"critical\"}", NULL, true                        \
    }
static const struct driver_case DATA[] = {
    {.name = "one fires", HOOK, .alerts = {A1}},
    {.name = "two fire, one is resolved", HOOK, .alerts = {A1, A2, R3}},
    {.name = "resolved", HOOK, .alerts = {R3}},
    {.name = "not grouped", HOOK, .alerts = {A2, R3}, .group_labels = "{}"},
    {.name = "all labels in the group", HOOK, .alerts = {{"{alertname=\"Down\"}"}}},
};

static struct view text_of(struct driver_fixture *f, const char *name)
{
    struct error err;
    (void)driver_fixture_begin(f, 0, &err);
    return delivery_text(&f->d, arena_printf(&f->attempt, "{{ template \"%s\" . }}", name));
}

static void texts_are_alertmanagers(void **state)
{
    static const char *const NAMES[] = {
        "__alertmanager",
        "__alertmanagerURL",
        "__subject",
        "__description",
        "slack.default.title",
        "slack.default.username",
        "slack.default.fallback",
        "slack.default.callbackid",
        "slack.default.pretext",
        "slack.default.titlelink",
        "slack.default.iconemoji",
        "slack.default.iconurl",
        "slack.default.text",
        "slack.default.footer",
        "pagerduty.default.description",
        "pagerduty.default.client",
        "pagerduty.default.clientURL",
        "opsgenie.default.message",
        "opsgenie.default.description",
        "opsgenie.default.source",
        "wechat.default.message",
        "wechat.default.to_user",
        "wechat.default.to_party",
        "wechat.default.to_tag",
        "wechat.default.agent_id",
        "victorops.default.state_message",
        "victorops.default.entity_display_name",
        "victorops.default.monitoring_tool",
        "pushover.default.title",
        "pushover.default.message",
        "pushover.default.url",
        "sns.default.subject",
        "sns.default.message",
        "telegram.default.message",
        "discord.default.title",
        "discord.default.message",
        "webex.default.message",
    };
    if (access(PEER, R_OK) != 0)
        skip();
    for (size_t i = 0; i < ARRAY_COUNT(DATA); i++) {
        struct driver_case theirs_case = DATA[i];
        struct driver_fixture ours, theirs;
        theirs_case.global = "templates: [" PEER "]";
        driver_fixture_init(&ours, &DATA[i]);
        driver_fixture_init(&theirs, &theirs_case);
        for (size_t n = 0; n < ARRAY_COUNT(NAMES); n++) {
            struct view a = text_of(&ours, NAMES[n]), b = text_of(&theirs, NAMES[n]);
            assert_false(ours.d.has_template_error || theirs.d.has_template_error);
            if (!view_eq(a, b))
                fail_msg("%s, %s:\n[%.*s]\nAlertmanager's:\n[%.*s]", DATA[i].name, NAMES[n],
                         VIEW_ARGS(a), VIEW_ARGS(b));
        }
        driver_fixture_deinit(&ours);
        driver_fixture_deinit(&theirs);
    }
}

#define MARKDOWN                                                                                   \
    "\n\n# Alerts Firing:\n\nLabels:\n  - alertname = Down\n  - node = a\n  - severity = "         \
    "warning\n\nAnnotations:\n  - summary = a <is> down\n\nSource: http://p/graph\n\nLabels:\n  "  \
    "- alertname = Down\n  - node = b\n\nAnnotations:\n  - summary = b is down\n  - url = "        \
    "http://x\n\nSource: http://p/graph\n\n\n\n\n# Alerts Resolved:\n\nLabels:\n  - alertname = "  \
    "Down\n  - node = c\n  - severity = critical\n\nAnnotations:\n\nSource: "                      \
    "http://p/graph\n\n\n\n"

/* Those that came after Debian's Alertmanager. */
static void newer_texts(void **state)
{
    static const struct {
        size_t data;
        const char *name, *text;
    } CASES[] = {
        {1, "msteams.default.text", MARKDOWN},
        {1, "msteamsv2.default.text", MARKDOWN},
        {1, "jira.default.description", MARKDOWN},
        {1, "mattermost.default.text", MARKDOWN},
        {1, "jira.default.priority", "Medium"},
        {2, "jira.default.priority", "High"},
        {3, "jira.default.priority", "High"},
        {4, "jira.default.priority", ""},
        {0, "jira.default.summary", "[FIRING:1] Down (a warning)"},
        {0, "msteams.default.title", "[FIRING:1] Down (a warning)"},
        {0, "msteams.default.summary", "[FIRING:1] Down (a warning)"},
        {2, "msteamsv2.default.title", "[RESOLVED] Down (c critical)"},
        {0, "rocketchat.default.title", "[FIRING:1] Down (a warning)"},
        {0, "rocketchat.default.titlelink", "http://am.example/#/alerts?receiver=team"},
        {0, "rocketchat.default.alias", "Alertmanager"},
        {0, "rocketchat.default.emoji", ""},
        {0, "rocketchat.default.iconurl", ""},
        {0, "rocketchat.default.text", ""},
        {0, "mattermost.default.title", "[FIRING:1] Down (a warning)"},
        {0, "mattermost.default.username", "Alertmanager"},
        {0, "mattermost.default.color", "danger"},
        {2, "mattermost.default.color", "good"},
        {0, "mattermost.default.fallback",
         "[FIRING:1] Down (a warning) | http://am.example/#/alerts?receiver=team"},
        {0, "discord.default.content", ""},
        {0, "email.default.subject", "[FIRING:1] Down (a warning)"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct driver_fixture f;
        driver_fixture_init(&f, &DATA[CASES[i].data]);
        struct view text = text_of(&f, CASES[i].name);
        assert_false(f.d.has_template_error);
        if (!view_is(text, CASES[i].text))
            fail_msg("%s:\n[%.*s]\nexpected\n[%s]", CASES[i].name, VIEW_ARGS(text), CASES[i].text);
        driver_fixture_deinit(&f);
    }
}

/* A page that nothing an alert says can break out of. */
static void mail_escapes_what_alerts_say(void **state)
{
    static const struct driver_case C = {
        .name = "hostile",
        HOOK,
        .alerts = {{"{alertname=\"</title><script>x</script>\",\"a\\\"b\"=\"<b>\"}",
                    "{summary=\"<img src=x "
                    "onerror=y>\",runbook=\"https://r/?a=\\\"&b\",bad=\"javascript:x\"}",
                    false, "javascript:alert(1)"},
                   R3}};
    struct driver_fixture f;
    struct error err;
    driver_fixture_init(&f, &C);
    assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
    struct view page = delivery_html(&f.d, VIEW("{{ template \"email.default.html\" . }}"));
    assert_false(f.d.has_template_error);
    assert_non_null(strstr(page.ptr, "&lt;script&gt;x&lt;/script&gt;"));
    assert_non_null(strstr(page.ptr, "&lt;img src=x onerror=y&gt;"));
    assert_non_null(strstr(page.ptr, "1 firing, 1 resolved"));
    assert_null(strstr(page.ptr, "<script"));
    assert_null(strstr(page.ptr, "<img"));
    assert_non_null(strstr(page.ptr, "<a href=\"https://r/?a=%22&amp;b\""));
    assert_null(strstr(page.ptr, "href=\"javascript:"));
    assert_true(view_has_prefix(page, VIEW("<!DOCTYPE html>")));
    driver_fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_alertmanagers),
        cmocka_unit_test(newer_texts),
        cmocka_unit_test(mail_escapes_what_alerts_say),
    };
    return cmocka_run_group_tests_name("alerting/default_templates", tests, NULL, NULL);
}
