/* SPDX-License-Identifier: Apache-2.0 */
/* driver_wechat_test.c: wechat_configs: the token, which is fetched, kept and fetched anew, and the message. */
#include "driver_fixture.h"

#include "base/attributes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define APP                                                                                        \
    "wechat_configs: [{api_url: 'http://wx.example/cgi-bin', api_secret: 's&cret', corp_id: "      \
    "corp, message: 'm{{ .Status }}', agent_id: '{{ .GroupLabels.agent }}', to_user: u, "          \
    "to_party: p, to_tag: t"
#define ASK "http://wx.example/cgi-bin/gettoken?corpid=corp&corpsecret=s%26cret"
#define SEND(token) "http://wx.example/cgi-bin/message/send?access_token=" token
#define TOKEN(token)                                                                               \
    "{\"errcode\":0,\"errmsg\":\"ok\",\"access_token\":\"" token "\",\"expires_in\":7200}"
#define MESSAGE                                                                                    \
    "{\"text\":{\"content\":\"mfiring\"},\"touser\":\"u\",\"toparty\":\"p\",\"totag\":\"t\","      \
    "\"agentid\":\"7\",\"safe\":\"0\",\"msgtype\":\"text\",\"markdown\":{\"content\":\"\"}}"
#define OK "{\"errcode\":0,\"errmsg\":\"ok\",\"msgid\":\"x\"}"

static const struct driver_case CASES[] = {
    {.name = "text",
     .receiver = APP "}]",
     .group_labels = "{agent=\"7\"}",
     .steps = {{.method = "GET", .url = ASK, .status = 200, .answer = TOKEN("a/b")},
               {.url = SEND("a%2Fb"),
                .headers = "Content-Type: application/json",
                .body = MESSAGE,
                .status = 200,
                .answer = OK}},
     .verdict = DELIVERY_SENT},
    {.name = "markdown",
     .receiver = APP ", message_type: markdown}]",
     .steps = {{.method = "GET", .status = 200, .answer = TOKEN("a")},
               {.body = "{\"text\":{\"content\":\"\"},\"touser\":\"u\",\"toparty\":\"p\",\"totag\":"
                        "\"t\",\"safe\":\"0\","
                        "\"msgtype\":\"markdown\",\"markdown\":{\"content\":\"mfiring\"}}",
                .status = 200,
                .answer = OK}},
     .verdict = DELIVERY_SENT},
    {.name = "no such secret",
     .receiver = APP "}]",
     .steps = {{.method = "GET",
                .status = 200,
                .answer = "{\"errcode\":40001,\"errmsg\":\"invalid credential\"}"}},
     .error = "no token for corp_id \"corp\": invalid credential (40001)",
     .verdict = DELIVERY_FAILED},
    {.name = "busy",
     .receiver = APP "}]",
     .steps = {{.method = "GET",
                .status = 200,
                .answer = "{\"errcode\":-1,\"errmsg\":\"system busy\"}"}},
     .error = "system busy",
     .verdict = DELIVERY_RETRY},
    {.name = "nobody to tell",
     .receiver = APP "}]",
     .steps = {{.method = "GET", .status = 200, .answer = TOKEN("a")},
               {.status = 200,
                .answer = "{\"errcode\":81013,\"errmsg\":\"user & party & tag all invalid\"}"}},
     .error = "all invalid (81013)",
     .verdict = DELIVERY_FAILED},
    {.name = "too often",
     .receiver = APP "}]",
     .steps = {{.method = "GET", .status = 200, .answer = TOKEN("a")},
               {.status = 200,
                .answer = "{\"errcode\":45009,\"errmsg\":\"reach max api daily quota limit\"}"}},
     .error = "45009",
     .verdict = DELIVERY_RETRY},
    {.name = "a new token that is refused",
     .receiver = APP "}]",
     .steps = {{.method = "GET", .status = 200, .answer = TOKEN("a")},
               {.status = 200,
                .answer = "{\"errcode\":42001,\"errmsg\":\"access_token expired\"}"}},
     .error = "access_token expired",
     .verdict = DELIVERY_RETRY},
    {.name = "not WeChat",
     .receiver = APP "}]",
     .steps = {{.method = "GET", .status = 200, .answer = TOKEN("a")},
               {.status = 404, .answer = "?"}},
     .error = "404",
     .verdict = DELIVERY_RETRY},
    {.name = "no JSON",
     .receiver = APP "}]",
     .steps = {{.method = "GET", .status = 200, .answer = "[]"}},
     .error = "WeChat's answer with a token cannot be read",
     .verdict = DELIVERY_RETRY},
    {.name = "no secret",
     .receiver = "wechat_configs: [{corp_id: c, api_secret_file: /nowhere/secret}]",
     .error = "/nowhere/secret",
     .verdict = DELIVERY_RETRY},
};

static void requests_and_verdicts(void **state)
{
    (void)state;
    driver_check(CASES, ARRAY_COUNT(CASES));
}

static bool asks(const struct driver_fixture *f, const char *url)
{
    return view_is(f->d.request.url, url);
}

/* The next attempt uses the token; one that is refused, or old, is fetched anew within the attempt. */
static void token_is_kept(void **state)
{
    const struct driver_case c = {.name = "kept", .receiver = APP "}]"};
    struct driver_fixture f;
    struct error err = {0};
    (void)state;
    driver_fixture_init(&f, &c);
    assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
    assert_true(asks(&f, ASK));
    assert_int_equal(driver_fixture_answer(&f, 200, NULL, TOKEN("one"), &err), DELIVERY_MORE);
    assert_true(asks(&f, SEND("one")));
    assert_int_equal(driver_fixture_answer(&f, 200, NULL, OK, &err), DELIVERY_SENT);

    assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
    assert_true(asks(&f, SEND("one")));
    assert_int_equal(
        driver_fixture_answer(&f, 200, NULL, "{\"errcode\":42001,\"errmsg\":\"expired\"}", &err),
        DELIVERY_MORE);
    assert_true(asks(&f, ASK));
    assert_int_equal(driver_fixture_answer(&f, 200, NULL, TOKEN("two"), &err), DELIVERY_MORE);
    assert_true(asks(&f, SEND("two")));
    assert_int_equal(driver_fixture_answer(&f, 200, NULL, OK, &err), DELIVERY_SENT);

    f.source.now_ns += INT64_C(7139) * 1000000000;
    assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
    assert_true(asks(&f, SEND("two")));
    f.source.now_ns += INT64_C(1) * 1000000000;
    assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
    assert_true(asks(&f, ASK));
    driver_fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_and_verdicts),
        cmocka_unit_test(token_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
