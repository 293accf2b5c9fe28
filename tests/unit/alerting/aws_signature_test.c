/* SPDX-License-Identifier: Apache-2.0 */
/* aws_signature_test.c: signatures that AWS published (its Signature Version 4 test suite and user guide). */
#include "alerting/aws_credentials.h"
#include "alerting/aws_signature.h"

#include "base/attributes.h"
#include "base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define SCOPE "Credential=AKIDEXAMPLE/20150830/us-east-1/"

static const struct {
    const char *name, *method, *host, *path, *query, *content_type, *body, *service, *authorization;
} VECTORS[] = {
    {"get-vanilla", "GET", "example.amazonaws.com", "/", "", "", "", "service",
     SCOPE "service/aws4_request, SignedHeaders=host;x-amz-date, "
           "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"post-vanilla", "POST", "example.amazonaws.com", "", "", "", "", "service",
     SCOPE "service/aws4_request, SignedHeaders=host;x-amz-date, "
           "Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    {"post-x-www-form-urlencoded", "POST", "example.amazonaws.com", "/", "",
     "application/x-www-form-urlencoded", "Param1=value1", "service",
     SCOPE "service/aws4_request, SignedHeaders=content-type;host;x-amz-date, "
           "Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
    {"get-vanilla-query-order-key-case", "GET", "example.amazonaws.com", "/",
     "Param1=value1&Param2=value2", "", "", "service",
     SCOPE "service/aws4_request, SignedHeaders=host;x-amz-date, "
           "Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    {"IAM's ListUsers in the user guide", "GET", "iam.amazonaws.com", "/",
     "Action=ListUsers&Version=2010-05-08", "application/x-www-form-urlencoded; charset=utf-8", "",
     "iam",
     SCOPE "iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, "
           "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"},
};

static void published_signatures(void **state)
{
    const struct aws_credentials keys = {
        .access_key = VIEW("AKIDEXAMPLE"),
        .secret_key = secret_from(VIEW("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"))};
    struct arena arena;
    arena_init(&arena, MEM_OTHER, 0);
    for (size_t i = 0; i < ARRAY_COUNT(VECTORS); i++) {
        const struct aws_request r = {
            .method = view_from(VECTORS[i].method),
            .host = view_from(VECTORS[i].host),
            .path = view_from(VECTORS[i].path),
            .query = view_from(VECTORS[i].query),
            .content_type = view_from(VECTORS[i].content_type),
            .body = view_from(VECTORS[i].body),
            .region = VIEW("us-east-1"),
            .service = view_from(VECTORS[i].service),
        };
        struct aws_signature s = aws_sign(&arena, &keys, &r, (wall_time){1440938160000});
        char expected[512];
        snprintf(expected, sizeof(expected), "AWS4-HMAC-SHA256 %s", VECTORS[i].authorization);
        assert_true(view_is(s.date, "20150830T123600Z"));
        if (!view_is(s.authorization, expected))
            fail_msg("%s: %.*s", VECTORS[i].name, VIEW_ARGS(s.authorization));
    }
    arena_deinit(&arena);
}

static void session_tokens_are_signed(void **state)
{
    const struct aws_credentials keys = {.access_key = VIEW("A"),
                                         .secret_key = secret_from(VIEW("B")),
                                         .session_token = secret_from(VIEW("C"))};
    const struct aws_request r = {.method = VIEW("POST"),
                                  .host = VIEW("h"),
                                  .path = VIEW("/"),
                                  .query = VIEW(""),
                                  .body = VIEW("x"),
                                  .region = VIEW("r"),
                                  .service = VIEW("s")};
    struct arena arena;
    arena_init(&arena, MEM_OTHER, 0);
    struct view got = aws_sign(&arena, &keys, &r, (wall_time){0}).authorization;
    assert_non_null(
        memmem(got.ptr, got.len, "SignedHeaders=host;x-amz-date;x-amz-security-token,", 51));
    arena_deinit(&arena);
}

/* --- shared files --- */

static void write_file(char *path, const char *text)
{
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* Sections and comments as AWS' tools write them; the profile's own keys alone. */
static void profiles_of_shared_files(void **state)
{
    char credentials[] = "/tmp/belfry-aws-XXXXXX", config[] = "/tmp/belfry-aws-XXXXXX";
    struct aws_credentials keys;
    struct view region;
    struct error err = {0};
    bool found;
    struct arena arena;
    arena_init(&arena, MEM_OTHER, 0);
    write_file(credentials, "# none\naws_access_key_id = X\n[default]\naws_access_key_id=D\r\n"
                            "aws_secret_access_key = d=1 \n\n[ team ]\n  aws_access_key_id = T\n"
                            "; no\naws_secret_access_key = t\naws_session_token = tt\n"
                            "[half]\naws_access_key_id = H\n");
    write_file(config, "[default]\nregion = eu-west-1\n[profile team]\nregion=us-east-2\n"
                       "[profile half]\naws_access_key_id = H2\naws_secret_access_key = h2\n");
    setenv("AWS_SHARED_CREDENTIALS_FILE", credentials, 1);
    setenv("AWS_CONFIG_FILE", config, 1);
    assert_true(aws_credentials_of_file(&arena, VIEW(""), &keys, &found, &err) && found);
    assert_true(view_is(keys.access_key, "D") && view_is(secret_reveal(&keys.secret_key), "d=1"));
    assert_false(secret_is_set(&keys.session_token));
    assert_true(aws_credentials_of_file(&arena, VIEW("team"), &keys, &found, &err) && found);
    assert_true(view_is(keys.access_key, "T") && view_is(secret_reveal(&keys.secret_key), "t"));
    assert_true(view_is(secret_reveal(&keys.session_token), "tt"));
    assert_true(aws_credentials_of_file(&arena, VIEW("half"), &keys, &found, &err) && found);
    assert_true(view_is(keys.access_key, "H2"));
    assert_true(aws_credentials_of_file(&arena, VIEW("none"), &keys, &found, &err) && !found);
    assert_true(aws_region(&arena, VIEW(""), &region, &err) && view_is(region, "eu-west-1"));
    assert_true(aws_region(&arena, VIEW("team"), &region, &err) && view_is(region, "us-east-2"));
    setenv("AWS_PROFILE", "team", 1);
    assert_true(aws_credentials_of_file(&arena, VIEW(""), &keys, &found, &err) && found);
    assert_true(view_is(keys.access_key, "T"));
    setenv("AWS_REGION", "ap-south-1", 1);
    assert_true(aws_region(&arena, VIEW("team"), &region, &err) && view_is(region, "ap-south-1"));
    unsetenv("AWS_REGION");
    unsetenv("AWS_PROFILE");
    unlink(credentials);
    unlink(config);
    assert_true(aws_credentials_of_file(&arena, VIEW(""), &keys, &found, &err) && !found);
    assert_true(aws_region(&arena, VIEW(""), &region, &err) && region.len == 0);
    unsetenv("AWS_SHARED_CREDENTIALS_FILE");
    unsetenv("AWS_CONFIG_FILE");
    arena_deinit(&arena);
}

static void answers_are_read(void **state)
{
    struct arena arena;
    arena_init(&arena, MEM_OTHER, 0);
    struct view xml = VIEW("<R><A><Code>X</Code><Open>y</A></R>");
    assert_true(view_is(aws_element(xml, "Code"), "X"));
    assert_int_equal(aws_element(xml, "Open").len, 0);
    assert_int_equal(aws_element(xml, "None").len, 0);
    assert_int_equal(aws_element((struct view){NULL, 0}, "Code").len, 0);
    assert_int_equal(aws_time_ms(&arena, VIEW("2015-08-30T12:36:00Z")), 1440938160000);
    assert_int_equal(aws_time_ms(&arena, VIEW("2015-08-30T12:36:00.123Z")), 1440938160000);
    assert_true(aws_time_ms(&arena, VIEW("soon")) == INT64_MAX);
    assert_true(aws_time_ms(&arena, VIEW("")) == INT64_MAX);
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_signatures),
        cmocka_unit_test(session_tokens_are_signed),
        cmocka_unit_test(profiles_of_shared_files),
        cmocka_unit_test(answers_are_read),
    };
    return cmocka_run_group_tests_name("alerting/aws_signature", tests, NULL, NULL);
}
