/* SPDX-License-Identifier: Apache-2.0 */
/* driver_telegram_test.c: telegram_configs: parse modes, what Telegram refuses and how the message arrives all the same. */
#include "driver_fixture.h"

#include "base/attributes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define BOT(more)                                                                                  \
    "telegram_configs: [{api_url: 'http://tg.example', bot_token: '123:AB', chat_id: -1001, " more \
    "}]"
#define SEND "http://tg.example/bot123:AB/sendMessage"
#define TO "\"chat_id\": \"-1001\", \"disable_web_page_preview\": \"true\", "
#define OK "{\"ok\":true,\"result\":{\"message_id\":5,\"chat\":{\"id\":-1001}}}"
#define NO_MARKUP                                                                                  \
    "{\"ok\":false,\"error_code\":400,\"description\":\"Bad Request: can't parse entities: "       \
    "Unsupported start tag at byte offset 5\"}"

static const struct driver_case CASES[] = {
    {.name = "HTML escapes what alerts say",
     .receiver = BOT("message: '<b>{{ .CommonLabels.job }}</b> {{ .CommonAnnotations.summary }}'"),
     .alerts = {{"{alertname=\"Down\",job=\"a<b\"}", "{summary=\"x & y\"}", false, NULL}},
     .steps = {{.url = SEND,
                .headers = "Content-Type: application/json",
                .body = "{" TO "\"parse_mode\": \"HTML\", \"text\": \"<b>a&lt;b</b> x &amp; y\"}",
                .status = 200,
                .answer = OK}},
     .verdict = DELIVERY_SENT},
    {.name = "no parse mode",
     .receiver = BOT("parse_mode: '', message: '<code>x < y</code>', disable_notifications: true, "
                     "message_thread_id: 12"),
     .steps = {{.body = "{" TO "\"disable_notification\": \"true\", \"message_thread_id\": \"12\","
                        "\"text\": \"<code>x < y</code>\"}",
                .status = 200,
                .answer = OK}},
     .verdict = DELIVERY_SENT},
    {.name = "a template error in HTML is escaped",
     .receiver = BOT("message: '{{ template \"none\" . }}'"),
     .steps = {{.status = 200, .answer = OK}},
     .has_template_error = true,
     .verdict = DELIVERY_SENT},
    {.name = "a template error is no Markdown",
     .receiver = BOT("parse_mode: MarkdownV2, message: '{{ template \"none\" . }}'"),
     .steps = {{.body = "{" TO "\"text\": \"<error expanding template: template: :1:12: executing "
                        "\\\"\\\" at <\\\"none\\\" .>: "
                        "template \\\"none\\\" not defined>\"}",
                .status = 200,
                .answer = OK}},
     .has_template_error = true,
     .verdict = DELIVERY_SENT},
    {.name = "markup that is refused arrives as text",
     .receiver = BOT("message: '<blink>{{ .Status }}</blink> &lt;'"),
     .steps =
         {{.body = "{" TO "\"parse_mode\": \"HTML\", \"text\": \"<blink>firing</blink> &lt;\"}",
           .status = 400,
           .answer = NO_MARKUP},
          {.url = SEND, .body = "{" TO "\"text\": \"firing <\"}", .status = 200, .answer = OK}},
     .verdict = DELIVERY_SENT},
    {.name = "Markdown that is refused arrives as it is",
     .receiver = BOT("parse_mode: MarkdownV2, message: 'up.'"),
     .steps = {{.body = "{" TO "\"parse_mode\": \"MarkdownV2\", \"text\": \"up.\"}",
                .status = 400,
                .answer = NO_MARKUP},
               {.body = "{" TO "\"text\": \"up.\"}", .status = 400, .answer = NO_MARKUP}},
     .error = "can't parse entities",
     .verdict = DELIVERY_FAILED},
    {.name = "a group that moved",
     .receiver = BOT("message: m"),
     .steps = {{.status = 400,
                .answer = "{\"ok\":false,\"error_code\":400,\"description\":\"Bad Request: group "
                          "chat was upgraded to a "
                          "supergroup chat\",\"parameters\":{\"migrate_to_chat_id\":-1009}}"},
               {.body = "{\"chat_id\": \"-1009\", \"disable_web_page_preview\": \"true\", "
                        "\"parse_mode\": \"HTML\", \"text\": \"m\"}",
                .status = 200,
                .answer = OK}},
     .verdict = DELIVERY_SENT},
    {.name = "too often",
     .receiver = BOT("message: m"),
     .steps =
         {{.status = 429,
           .answer =
               "{\"ok\":false,\"error_code\":429,\"description\":\"Too Many Requests: retry after "
               "7\",\"parameters\":{\"retry_after\":7}}"}},
     .error = "retry after 7",
     .verdict = DELIVERY_RETRY},
    {.name = "not its bot",
     .receiver = BOT("message: m"),
     .steps = {{.status = 401,
                .answer = "{\"ok\":false,\"error_code\":401,\"description\":\"Unauthorized\"}"}},
     .error = "telegram: Unauthorized (401)",
     .verdict = DELIVERY_FAILED},
    {.name = "not Telegram",
     .receiver = BOT("message: m"),
     .steps = {{.status = 502, .answer = "<html>"}},
     .error = "502",
     .verdict = DELIVERY_RETRY},
    {.name = "not Telegram, but friendly",
     .receiver = BOT("message: m"),
     .steps = {{.status = 200, .answer = "hello"}},
     .error = "a JSON object was expected from Telegram",
     .verdict = DELIVERY_RETRY},
    {.name = "no token",
     .receiver = "telegram_configs: [{bot_token_file: /nowhere/token, chat_id: 1}]",
     .error = "/nowhere/token",
     .verdict = DELIVERY_RETRY},
};

static void requests_and_verdicts(void **state)
{
    (void)state;
    driver_check(CASES, ARRAY_COUNT(CASES));
}

/* 5000 characters within two tags: 4096 are seen, and the tags are closed. */
static void html_is_cut_and_closed(void **state)
{
    static char label[5100] = "{alertname=\"Down\",long=\"";
    struct driver_case c = {
        .name = "long",
        .receiver = BOT("timeout: 2s, message: '<b><i>{{ .CommonLabels.long }}</i></b>'")};
    struct driver_fixture f;
    struct error err = {0};
    size_t len = strlen(label);
    (void)state;
    memset(label + len, 'x', 5000);
    memcpy(label + len + 5000, "\"}", 3);
    c.alerts[0] = (struct driver_alert){label, NULL, false, NULL};
    driver_fixture_init(&f, &c);
    assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
    struct view body = f.d.request.body;
    static const char BEGIN[] = "\\u003cb\\u003e\\u003ci\\u003e";
    static const char END[] = "\xe2\x80\xa6\\u003c/i\\u003e\\u003c/b\\u003e\"";
    const char *begin = memmem(body.ptr, body.len, BEGIN, sizeof BEGIN - 1);
    assert_non_null(begin);
    assert_memory_equal(begin + sizeof BEGIN - 1 + 4095, END, sizeof END - 1);
    assert_int_equal(f.d.request.timeout_ms, 2000);
    driver_fixture_deinit(&f);
}

/* The chat's number is read for each message. */
static void chat_may_stand_in_a_file(void **state)
{
    static const struct {
        const char *content, *error;
    } FILES[] = {{" -77\n", NULL},
                 {"x", "it is no number"},
                 {"", "it is no number"},
                 {"5 6", "it is no number"}};
    char path[] = "/tmp/belfry-chat-XXXXXX", receiver[200];
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    snprintf(receiver, sizeof receiver,
             "telegram_configs: [{bot_token: x, chat_id_file: %s, message: m}]", path);
    for (size_t i = 0; i < ARRAY_COUNT(FILES); i++) {
        struct driver_case c = {.name = path, .receiver = receiver};
        size_t len = strlen(FILES[i].content);
        struct driver_fixture f;
        struct error err = {0};
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, FILES[i].content, len, 0), len);
        driver_fixture_init(&f, &c);
        enum delivery_verdict v = driver_fixture_begin(&f, 0, &err);
        assert_int_equal(v, FILES[i].error ? DELIVERY_RETRY : DELIVERY_MORE);
        if (FILES[i].error)
            assert_non_null(strstr(err.message, FILES[i].error));
        else
            assert_non_null(
                memmem(f.d.request.body.ptr, f.d.request.body.len, "\"chat_id\":\"-77\"", 15));
        driver_fixture_deinit(&f);
    }
    close(fd);
    unlink(path);
}

/* Telegram says in the body how long to wait; so does Discord, in parts of seconds. */
static void body_says_how_long_to_wait(void **state)
{
    static const struct {
        const char *receiver, *body;
        int64_t ms;
    } ANSWERS[] = {
        {BOT("message: m"),
         "{\"ok\":false,\"error_code\":429,\"description\":\"Too Many "
         "Requests\",\"parameters\":{\"retry_after\":7}}",
         7000},
        {BOT("message: m"), "{\"ok\":false,\"error_code\":429}", 0},
        {"discord_configs: [{webhook_url: 'http://d'}]", "{\"message\":\"x\",\"retry_after\":0.25}",
         250},
        {"discord_configs: [{webhook_url: 'http://d'}]", "{\"retry_after\":1e300}", 86400000},
        {"discord_configs: [{webhook_url: 'http://d'}]", "<html>", 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(ANSWERS); i++) {
        const struct driver_case c = {.name = ANSWERS[i].body, .receiver = ANSWERS[i].receiver};
        struct driver_fixture f;
        struct error err = {0};
        driver_fixture_init(&f, &c);
        assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
        assert_int_equal(driver_fixture_answer(&f, 429, NULL, ANSWERS[i].body, &err),
                         DELIVERY_RETRY);
        assert_int_equal(f.d.retry_after_ms, ANSWERS[i].ms);
        driver_fixture_deinit(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_and_verdicts),
        cmocka_unit_test(html_is_cut_and_closed),
        cmocka_unit_test(chat_may_stand_in_a_file),
        cmocka_unit_test(body_says_how_long_to_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
