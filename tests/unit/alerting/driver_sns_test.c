/* SPDX-License-Identifier: Apache-2.0 */
/* driver_sns_test.c: what is published to SNS, and where its keys come from. Signatures are aws_signature_test.c's and, by
 * another implementation, tests/integration/test_receivers_duty.py's. */
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

#define HASH "af94c9e8f6a3043625e36c6f472fe6be85ac23a9117184ee4cb7b4ad7401a47e"
#define TOPIC "sns_configs: [{topic_arn: 'arn:aws:sns:us-east-2:123456789012:top"
#define KEYS "sigv4: {access_key: AK, secret_key: SK"
#define SHORT ", subject: s, message: m, "
#define BEGIN                                                                                      \
    "Action=Publish&Version=2010-03-31&TopicArn=arn%3Aaws%3Asns%3Aus-east-2%3A123456789012%3Atop"
#define AUTHORIZATION(key, region, service, token)                                                 \
    "Authorization: AWS4-HMAC-SHA256 Credential=" key "/20231114/" region "/" service              \
    "/aws4_request, SignedHeaders=content-type;host;x-amz-date" token ", Signature="
#define ATTRIBUTE(n, name, value)                                                                  \
    "&MessageAttributes.entry." n ".Name=" name "&MessageAttributes.entry." n                      \
    ".Value.DataType=String&MessageAttributes.entry." n ".Value.StringValue=" value
#define OK .status = 200, .answer = "<PublishResponse/>"
#define ERROR(code, message)                                                                       \
    "<ErrorResponse><Error><Type>Sender</Type><Code>" code "</Code><Message>" message              \
    "</Message></Error></ErrorResponse>"

static const struct driver_case CASES[] = {
    {.name = "a topic; the region is its own",
     .receiver = TOPIC "'" SHORT KEYS "}}]",
     .steps = {{.url = "https://sns.us-east-2.amazonaws.com/",
                .headers = "Content-Type: application/x-www-form-urlencoded; charset=utf-8",
                .body = BEGIN "&Message=m&Subject=s",
                OK}},
     .verdict = DELIVERY_SENT},
    {.name = "the region of sigv4; China has hosts of its own",
     .receiver = TOPIC "'" SHORT KEYS ", region: cn-north-1}}]",
     .steps = {{.url = "https://sns.cn-north-1.amazonaws.com.cn/", OK}},
     .verdict = DELIVERY_SENT},
    {.name = "a FIFO topic, attributes",
     .receiver = TOPIC ".fifo'" SHORT KEYS "}, attributes: {key: '{{ .Status }}', '{{ "
                       ".CommonLabels.job }}': v, empty: ''}}]",
     .steps = {{.body = BEGIN ".fifo&MessageDeduplicationId=" HASH "-1700000100000000000"
                              "&MessageGroupId=" HASH "&Message=m&Subject=s" ATTRIBUTE(
                                  "1", "key", "firing") ATTRIBUTE("2", "node", "v"),
                OK}},
     .verdict = DELIVERY_SENT},
    {.name = "a phone",
     .receiver =
         "sns_configs: [{phone_number: '+1{{ .CommonLabels.n }}', message: m, subject: '', " KEYS
         ", region: r}}]",
     .alerts = {{"{n=\"234\"}"}},
     .steps = {{.body = "Action=Publish&Version=2010-03-31&PhoneNumber=%2B1234&Message=m", OK}},
     .verdict = DELIVERY_SENT},
    {.name = "a target; a subject is one line",
     .receiver =
         "sns_configs: [{target_arn: 'arn:aws:sns:eu-west-1:1:endpoint/x', message: m, subject: "
         "\"a\\nb\", " KEYS "}}]",
     .steps = {{.url = "https://sns.eu-west-1.amazonaws.com/",
                .body =
                    "Action=Publish&Version=2010-03-31&TargetArn=arn%3Aaws%3Asns%3Aeu-west-1%3A1%3A"
                    "endpoint%2Fx&Message=m&Subject=a%20b",
                OK}},
     .verdict = DELIVERY_SENT},
    {.name = "an API of one's own",
     .receiver = TOPIC "', api_url: 'http://sns.example:4566/base'" SHORT KEYS "}}]",
     .steps = {{.url = "http://sns.example:4566/base", OK}},
     .verdict = DELIVERY_SENT},
    {.name = "an API that alerts may choose",
     .receiver = TOPIC "', api_url: 'http://{{ .CommonLabels.job }}/'" SHORT KEYS "}}]",
     .steps = {{.url = "http://node/", OK}},
     .verdict = DELIVERY_SENT,
     .host_is_templated = true},
    {.name = "no region",
     .receiver = "sns_configs: [{phone_number: '1', " KEYS "}}]",
     .verdict = DELIVERY_FAILED,
     .error = "region not configured in sns.sigv4.region"},
    {.name = "a topic that fails",
     .receiver = "sns_configs: [{topic_arn: '{{ template \"unknown\" . }}', " KEYS ", region: r}}]",
     .verdict = DELIVERY_FAILED,
     .error = "topic_arn: template: ",
     .has_template_error = true},
    {.name = "an API URL that fails",
     .receiver = TOPIC "', api_url: '{{ .X }}', " KEYS "}}]",
     .verdict = DELIVERY_FAILED,
     .error = "api_url: template: ",
     .has_template_error = true},
    {.name = "a message that fails is sent",
     .receiver = TOPIC "', subject: s, message: '{{ .X }}', " KEYS "}}]",
     .steps = {{.body = BEGIN
                "&Message=%3Cerror%20expanding%20template%3A%20template%3A%20%3A1%3A3%3A%20"
                "executing%20%22%22%20at%20%3C.X%3E%3A%20can%27t%20evaluate%20field%20X%20"
                "in%20type%20%2Atemplate.Data%3E&Subject=s",
                OK}},
     .verdict = DELIVERY_SENT,
     .has_template_error = true},
    {.name = "AWS' words are told",
     .receiver = TOPIC "', " KEYS "}}]",
     .steps = {{.status = 404, .answer = ERROR("NotFound", "Topic does not exist")}},
     .verdict = DELIVERY_FAILED,
     .error = "unexpected status code 404: NotFound: Topic does not exist"},
    {.name = "throttled",
     .receiver = TOPIC "', " KEYS "}}]",
     .steps = {{.status = 400, .answer = ERROR("Throttling", "Rate exceeded")}},
     .verdict = DELIVERY_RETRY,
     .error = "Throttling: Rate exceeded"},
    {.name = "500",
     .receiver = TOPIC "', " KEYS "}}]",
     .steps = {{.status = 500}},
     .verdict = DELIVERY_RETRY,
     .error = "unexpected status code 500"},
};

static void messages(void **state)
{
    driver_check(CASES, ARRAY_COUNT(CASES));
}

/* --- keys --- */

static bool sends(const struct driver_fixture *f, const char *header)
{
    for (size_t i = 0; i < f->d.request.header_count; i++) {
        if (view_has_prefix(f->d.request.headers[i], view_from(header)))
            return true;
    }
    return false;
}

#define STS_ANSWER(key, expires)                                                                   \
    "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>" key                         \
    "</AccessKeyId><SecretAccessKey>S/2</SecretAccessKey><SessionToken>T/+=</SessionToken>"        \
    "<Expiration>" expires "</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"

static void freeze(int64_t seconds)
{
    clock_test_freeze((wall_time){seconds * 1000}, (mono_time){1});
}

/* The keys of a role are asked for once, and again when they are about to expire. */
static void roles_are_assumed(void **state)
{
    static const struct driver_case C = {
        .name = "role",
        .receiver = TOPIC "'" SHORT KEYS ", role_arn: 'arn:aws:iam::1:role/x', external_id: e, "
                          "use_fips_sts_endpoint: true}}]"};
    struct driver_fixture f;
    struct error err = {0};
    freeze(1700000100);
    driver_fixture_init(&f, &C);
    assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
    assert_true(view_is(f.d.request.url, "https://sts-fips.us-east-2.amazonaws.com/"));
    assert_true(
        view_is(f.d.request.body,
                "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2F"
                "x&RoleSessionName=belfry&ExternalId=e"));
    assert_true(sends(&f, AUTHORIZATION("AK", "us-east-2", "sts", "")));
    assert_int_equal(
        driver_fixture_answer(&f, 200, NULL, STS_ANSWER("A2", "2023-11-14T23:15:00Z"), &err),
        DELIVERY_MORE);
    assert_true(view_is(f.d.request.body, BEGIN "&Message=m&Subject=s"));
    assert_true(sends(&f, AUTHORIZATION("A2", "us-east-2", "sns", ";x-amz-security-token")));
    assert_true(sends(&f, "X-Amz-Security-Token: T/+="));
    assert_true(sends(&f, "X-Amz-Date: 20231114T221500Z"));
    assert_int_equal(driver_fixture_answer(&f, 200, NULL, "", &err), DELIVERY_SENT);

    assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
    assert_true(view_is(f.d.request.url, "https://sns.us-east-2.amazonaws.com/"));
    freeze(1700000100 + 56 * 60);
    assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
    assert_true(view_is(f.d.request.url, "https://sts-fips.us-east-2.amazonaws.com/"));
    /* Refused, useless and expired answers are errors that say whose. */
    assert_int_equal(driver_fixture_answer(&f, 403, NULL, ERROR("AccessDenied", "no"), &err),
                     DELIVERY_FAILED);
    assert_string_equal(err.message, "AssumeRole: unexpected status code 403: AccessDenied: no");
    assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
    assert_int_equal(driver_fixture_answer(&f, 200, NULL, "<html>", &err), DELIVERY_FAILED);
    assert_string_equal(err.message, "AssumeRole: the answer has no keys");
    assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
    assert_int_equal(
        driver_fixture_answer(&f, 200, NULL, STS_ANSWER("A3", "2020-01-01T00:00:00Z"), &err),
        DELIVERY_FAILED);
    assert_string_equal(err.message, "AssumeRole: the keys have expired already");
    driver_fixture_deinit(&f);
    clock_test_unfreeze();
}

/* Keys that SNS takes for expired are asked for anew by a retry. */
static void expired_keys_are_forgotten(void **state)
{
    static const struct driver_case C = {.name = "expired",
                                         .receiver = TOPIC
                                         "'" SHORT KEYS ", role_arn: 'arn:aws:iam::1:role/x'}}]"};
    struct driver_fixture f;
    struct error err = {0};
    freeze(1700000100);
    driver_fixture_init(&f, &C);
    assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
    assert_int_equal(
        driver_fixture_answer(&f, 200, NULL, STS_ANSWER("A2", "2023-11-14T23:15:00Z"), &err),
        DELIVERY_MORE);
    assert_int_equal(driver_fixture_answer(&f, 403, NULL, ERROR("ExpiredToken", "x"), &err),
                     DELIVERY_RETRY);
    assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
    assert_true(view_is(f.d.request.url, "https://sts.us-east-2.amazonaws.com/"));
    driver_fixture_deinit(&f);
    clock_test_unfreeze();
}

#define METADATA "http://169.254.169.254/latest/"
#define KEYS_JSON                                                                                  \
    "{\"AccessKeyId\":\"I\",\"SecretAccessKey\":\"S\",\"Token\":\"T\",\"Expiration\":"             \
    "\"2023-11-15T03:15:00Z\"}"

/* Without keys the instance is asked, by version 2 of its service. */
static void instances_have_keys(void **state)
{
    static const struct driver_case C = {.name = "instance",
                                         .receiver = TOPIC "'" SHORT "sigv4: {}}]"};
    struct driver_fixture f;
    struct error err = {0};
    freeze(1700000100);
    driver_fixture_init(&f, &C);
    assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
    assert_string_equal(f.d.request.method, "PUT");
    assert_true(view_is(f.d.request.url, METADATA "api/token"));
    assert_true(sends(&f, "X-aws-ec2-metadata-token-ttl-seconds: 21600"));
    assert_true(f.d.request.timeout_ms > 0);
    assert_int_equal(driver_fixture_answer(&f, 200, NULL, "tok", &err), DELIVERY_MORE);
    assert_string_equal(f.d.request.method, "GET");
    assert_true(view_is(f.d.request.url, METADATA "meta-data/iam/security-credentials/"));
    assert_true(sends(&f, "X-aws-ec2-metadata-token: tok"));
    assert_int_equal(driver_fixture_answer(&f, 200, NULL, "role\n", &err), DELIVERY_MORE);
    assert_true(view_is(f.d.request.url, METADATA "meta-data/iam/security-credentials/role"));
    assert_int_equal(driver_fixture_answer(&f, 200, NULL, KEYS_JSON, &err), DELIVERY_MORE);
    assert_true(view_is(f.d.request.url, "https://sns.us-east-2.amazonaws.com/"));
    assert_true(sends(&f, AUTHORIZATION("I", "us-east-2", "sns", ";x-amz-security-token")));
    assert_int_equal(driver_fixture_answer(&f, 200, NULL, "", &err), DELIVERY_SENT);
    assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
    assert_true(view_is(f.d.request.url, "https://sns.us-east-2.amazonaws.com/"));
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    freeze(1700000100 + 86400);
    assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_FAILED);
    assert_string_equal(err.message, "there are no AWS credentials");
    unsetenv("AWS_EC2_METADATA_DISABLED");
    driver_fixture_deinit(&f);
    clock_test_unfreeze();
}

/* A container's address, and the keys of the environment, which go first. */
static void environments_have_keys(void **state)
{
    static const struct driver_case C = {.name = "environment",
                                         .receiver = TOPIC "'" SHORT "sigv4: {}}]"};
    struct driver_fixture f;
    struct error err = {0};
    freeze(1700000100);
    driver_fixture_init(&f, &C);
    setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x", 1);
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "auth", 1);
    assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
    assert_true(view_is(f.d.request.url, "http://169.254.170.2/v2/x"));
    assert_true(sends(&f, "Authorization: auth"));
    assert_int_equal(driver_fixture_answer(&f, 200, NULL, KEYS_JSON, &err), DELIVERY_MORE);
    assert_true(sends(&f, AUTHORIZATION("I", "us-east-2", "sns", ";x-amz-security-token")));
    setenv("AWS_ACCESS_KEY_ID", "EK", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "ES", 1);
    assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
    assert_true(sends(&f, AUTHORIZATION("EK", "us-east-2", "sns", "")));
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    unsetenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    unsetenv("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    driver_fixture_deinit(&f);
    clock_test_unfreeze();
}

/* The token of a file, and no signature. */
static void web_identities_are_exchanged(void **state)
{
    static const struct driver_case C = {.name = "identity",
                                         .receiver = TOPIC "'" SHORT "sigv4: {}}]"};
    char path[] = "/tmp/belfry-token-XXXXXX";
    struct driver_fixture f;
    struct error err = {0};
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "j.w.t\n", 6), 6);
    close(fd);
    freeze(1700000100);
    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", path, 1);
    setenv("AWS_ROLE_ARN", "arn:r", 1);
    driver_fixture_init(&f, &C);
    assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
    assert_true(view_is(f.d.request.url, "https://sts.us-east-2.amazonaws.com/"));
    assert_true(view_is(f.d.request.body,
                        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Ar&"
                        "RoleSessionName=belfry&WebIdentityToken=j.w.t"));
    assert_false(sends(&f, "Authorization"));
    assert_int_equal(
        driver_fixture_answer(&f, 200, NULL, STS_ANSWER("W", "2023-11-14T23:15:00Z"), &err),
        DELIVERY_MORE);
    assert_true(sends(&f, AUTHORIZATION("W", "us-east-2", "sns", ";x-amz-security-token")));
    unsetenv("AWS_WEB_IDENTITY_TOKEN_FILE");
    unsetenv("AWS_ROLE_ARN");
    unlink(path);
    driver_fixture_deinit(&f);
    clock_test_unfreeze();
}

/* 1600 bytes of an SMS, whole characters, and an attribute that says so. */
static void long_messages_are_cut(void **state)
{
    struct driver_fixture f;
    struct error err = {0};
    struct buffer receiver, expected;
    buffer_init(&receiver, MEM_OTHER, 1 << 16);
    buffer_init(&expected, MEM_OTHER, 1 << 16);
    buffer_append_literal(&receiver, "sns_configs: [{phone_number: '1', subject: '', " KEYS
                                     ", region: r}, message: 'x");
    buffer_append_literal(&expected, "&Message=x");
    for (int i = 0; i < 800; i++) {
        buffer_append_literal(&receiver, "ü");
        if (i < 799)
            buffer_append_literal(&expected, "%C3%BC");
    }
    buffer_append(&receiver, "'}]", 4);
    buffer_append_literal(&expected, ATTRIBUTE("1", "truncated", "true"));
    const struct driver_case c = {.name = "long", .receiver = receiver.ptr};
    driver_fixture_init(&f, &c);
    assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
    assert_true(view_has_suffix(f.d.request.body, buffer_view(&expected)));
    driver_fixture_deinit(&f);
    buffer_deinit(&receiver);
    buffer_deinit(&expected);
}

/* No keys but those of the tests. */
static int clean_environment(void **state)
{
    static const char *const NAMES[] = {"AWS_ACCESS_KEY_ID",
                                        "AWS_SECRET_ACCESS_KEY",
                                        "AWS_SESSION_TOKEN",
                                        "AWS_PROFILE",
                                        "AWS_REGION",
                                        "AWS_DEFAULT_REGION",
                                        "AWS_ENDPOINT_URL",
                                        "AWS_ENDPOINT_URL_SNS",
                                        "AWS_ENDPOINT_URL_STS",
                                        "AWS_WEB_IDENTITY_TOKEN_FILE",
                                        "AWS_EC2_METADATA_DISABLED",
                                        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                                        "AWS_CONTAINER_CREDENTIALS_FULL_URI"};
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++)
        unsetenv(NAMES[i]);
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials", 1);
    setenv("AWS_CONFIG_FILE", "/nonexistent/config", 1);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages),
        cmocka_unit_test(roles_are_assumed),
        cmocka_unit_test(expired_keys_are_forgotten),
        cmocka_unit_test(instances_have_keys),
        cmocka_unit_test(environments_have_keys),
        cmocka_unit_test(web_identities_are_exchanged),
        cmocka_unit_test(long_messages_are_cut),
    };
    return cmocka_run_group_tests_name("alerting/driver_sns", tests, clean_environment, NULL);
}
