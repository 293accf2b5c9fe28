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

#define UNRESERVED "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
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
    {"get-vanilla-query-order-key-case, as it came", "GET", "example.amazonaws.com", "/",
     "Param2=value2&Param1=value1", "", "", "service",
     SCOPE "service/aws4_request, SignedHeaders=host;x-amz-date, "
           "Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    {"get-vanilla-query-unreserved", "GET", "example.amazonaws.com", "/", UNRESERVED "=" UNRESERVED,
     "", "", "service",
     SCOPE "service/aws4_request, SignedHeaders=host;x-amz-date, "
           "Signature=9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
    {"get-vanilla-utf8-query", "GET", "example.amazonaws.com", "/", "\xe1\x88\xb4=bar", "", "",
     "service",
     SCOPE "service/aws4_request, SignedHeaders=host;x-amz-date, "
           "Signature=2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
    {"post-vanilla-query", "POST", "example.amazonaws.com", "/", "Param1=value1", "", "", "service",
     SCOPE "service/aws4_request, SignedHeaders=host;x-amz-date, "
           "Signature=28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
    {"get-slash", "GET", "example.amazonaws.com", "//", "", "", "", "service",
     SCOPE "service/aws4_request, SignedHeaders=host;x-amz-date, "
           "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-slash-dot-slash", "GET", "example.amazonaws.com", "/./", "", "", "", "service",
     SCOPE "service/aws4_request, SignedHeaders=host;x-amz-date, "
           "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-relative-relative", "GET", "example.amazonaws.com", "/example1/example2/../..", "", "",
     "", "service",
     SCOPE "service/aws4_request, SignedHeaders=host;x-amz-date, "
           "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-slash-pointless-dot", "GET", "example.amazonaws.com", "/./example", "", "", "", "service",
     SCOPE "service/aws4_request, SignedHeaders=host;x-amz-date, "
           "Signature=ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5"},
    {"get-slashes", "GET", "example.amazonaws.com", "//example//", "", "", "", "service",
     SCOPE "service/aws4_request, SignedHeaders=host;x-amz-date, "
           "Signature=9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"},
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

/* Queries that mean the same have the same signature: encoded as little as can be, in the order of names, then of values. */
static void queries_are_signed_in_one_form(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } CASES[] = {
        {"b=2&a=1&a=0", "a=0&a=1&b=2", true},
        {"a", "a=", true},
        {"%7Ea=%2f+", "~a=%2F%20", true},
        {"&&a=1&", "a=1", true},
        {"a-b=1&a=2", "a=2&a-b=1", true},
        {"a=b=c", "a=b%3Dc", true},
        {"a=%zz&b=%", "a=%25zz&b=%25", true},
        {"a=1", "a=2", false},
        {"a=1", "", false},
        {"A=1", "a=1", false},
        {"a%26b=1", "a&b=1", false},
    };
    const struct aws_credentials keys = {.access_key = VIEW("A"),
                                         .secret_key = secret_from(VIEW("B"))};
    struct aws_request r = {.method = VIEW("POST"),
                            .host = VIEW("h"),
                            .path = VIEW("/"),
                            .body = VIEW("x"),
                            .region = VIEW("r"),
                            .service = VIEW("s")};
    struct arena arena;
    arena_init(&arena, MEM_OTHER, 0);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        r.query = view_from(CASES[i].a);
        struct view a = aws_sign(&arena, &keys, &r, (wall_time){0}).authorization;
        r.query = view_from(CASES[i].b);
        struct view b = aws_sign(&arena, &keys, &r, (wall_time){0}).authorization;
        if (view_eq(a, b) != CASES[i].same)
            fail_msg("%s and %s", CASES[i].a, CASES[i].b);
    }
    arena_deinit(&arena);
}

static void what_is_signed_is_what_is_sent(void **state)
{
    struct aws_request r = {.query = VIEW("old")};
    struct error err = {0};
    struct arena arena;
    arena_init(&arena, MEM_OTHER, 0);
    assert_true(aws_request_url(&arena, VIEW("https://H:8/a%20b//c?y=1&x=%2F#f"), &r, &err));
    assert_true(view_is(r.host, "H:8") && view_is(r.path, "/a%20b//c"));
    assert_true(view_is(r.query, "y=1&x=%2F"));
    assert_true(aws_request_url(&arena, VIEW("https://h:443"), &r, &err));
    assert_true(view_is(r.host, "h") && view_is(r.path, "/") && r.query.len == 0);
    assert_false(aws_request_url(&arena, VIEW("http://:1"), &r, &err));
    assert_string_equal(err.message, "what is to be signed goes to no URL");
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

/* As AWS' SDKs: a profile of the configuration, the environment's keys, web identity, and only then AWS_PROFILE. */
static void keys_come_in_the_order_of_the_sdks(void **state)
{
    char path[] = "/tmp/belfry-aws-XXXXXX";
    struct config_sigv4 none = {0}, profile = {.profile = VIEW("team")};
    struct aws_credentials keys;
    struct error err = {0};
    bool found;
    struct arena arena;
    arena_init(&arena, MEM_OTHER, 0);
    write_file(path, "[team]\naws_access_key_id = T\naws_secret_access_key = t\n");
    setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
    setenv("AWS_PROFILE", "team", 1);
    assert_true(aws_credentials_at_hand(&arena, &none, &keys, &found, &err) && found);
    assert_true(view_is(keys.access_key, "T"));
    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/x", 1);
    assert_true(aws_credentials_at_hand(&arena, &none, &keys, &found, &err) && !found);
    setenv("AWS_ACCESS_KEY_ID", "E", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "e", 1);
    assert_true(aws_credentials_at_hand(&arena, &none, &keys, &found, &err) && found);
    assert_true(view_is(keys.access_key, "E"));
    assert_true(aws_credentials_at_hand(&arena, &profile, &keys, &found, &err) && found);
    assert_true(view_is(keys.access_key, "T"));
    unsetenv("AWS_SHARED_CREDENTIALS_FILE");
    unsetenv("AWS_PROFILE");
    unsetenv("AWS_WEB_IDENTITY_TOKEN_FILE");
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    unlink(path);
    arena_wipe(&arena);
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
        cmocka_unit_test(queries_are_signed_in_one_form),
        cmocka_unit_test(what_is_signed_is_what_is_sent),
        cmocka_unit_test(keys_come_in_the_order_of_the_sdks),
        cmocka_unit_test(profiles_of_shared_files),
        cmocka_unit_test(answers_are_read),
    };
    return cmocka_run_group_tests_name("alerting/aws_signature", tests, NULL, NULL);
}
