/* SPDX-License-Identifier: Apache-2.0 */
#include "cache_url.h"
#include "image_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void a_url_is_taken_apart(void **state)
{
    static const char *const NAMES[] = {"a", "prefix", NULL};
    struct arena arena;
    struct cache_url u;
    struct error err = {0};
    int64_t n;
    arena_init(&arena, MEM_OTHER, 0);
    if (!cache_url_parse(
            &u, &arena, "valkeys://us%40er:p%3Aa%2Fss@[::1]:70/3?a=12&&prefix=x%20y:", NAMES, &err))
        fail_msg("%s", err.message);
    assert_string_equal(u.scheme, "valkeys");
    assert_string_equal(u.user, "us@er");
    assert_true(view_is(secret_reveal(&u.password), "p:a/ss"));
    assert_string_equal(u.host, "::1");
    assert_int_equal(u.port, 70);
    assert_string_equal(u.path, "/3");
    assert_string_equal(cache_url_text(&u, "prefix"), "x y:");
    assert_true(cache_url_number(&u, "a", 1, 12, 5, &n, &err) && n == 12);
    assert_false(cache_url_number(&u, "a", 1, 11, 5, &n, &err));
    assert_false(cache_url_number(&u, "prefix", 1, 11, 5, &n, &err));
    assert_true(cache_url_number(&u, "b", 1, 11, 5, &n, &err) && n == 5);
    arena_deinit(&arena);
}

/* What is refused before a server is asked, in which words; never with the password in them. */
static const struct {
    enum cache_type type;
    const char *url, *error; /* error NULL: fine */
} CASES[] = {
    {CACHE_VALKEY, "valkey://cache", NULL},
    {CACHE_VALKEY, "redis://:hunter2@10.0.0.1:6380/15?ttl=0&timeout_ms=100&connections=2", NULL},
    {CACHE_VALKEY, "rediss://app:hunter2@cache.internal", NULL},
    {CACHE_VALKEY, NULL, "it is not a URL"},
    {CACHE_VALKEY, "", "it is not a URL"},
    {CACHE_VALKEY, "10.0.0.1:6379", "it is not a URL"},
    {CACHE_VALKEY, "http://cache", "its scheme is none of valkey, valkeys, redis and rediss"},
    {CACHE_VALKEY, "valkey:///0", "it has no host"},
    {CACHE_VALKEY, "valkey://hunter2@cache",
     "it has a user without a password; a password alone is :PASSWORD@"},
    {CACHE_VALKEY, "valkey://cache/one", "its path is not the number of a database"},
    {CACHE_VALKEY, "valkey://cache/1/2", "its path is not the number of a database"},
    {CACHE_VALKEY, "valkey://cache?tll=3", "it has no parameter \"tll\""},
    {CACHE_VALKEY, "valkey://me:12?hunter2@cache:6379/0", "it has a parameter of an unknown name"},
    {CACHE_VALKEY, "valkey://me:12?hunter2&b@cache", "it has a parameter of an unknown name"},
    {CACHE_VALKEY, "valkey://cache?hunter2:6379",
     "it has a parameter of an unknown name; a \"?\" in a password is %3F"},
    {CACHE_VALKEY, "valkey://cache?ttl=-1",
     "its parameter \"ttl\" must be a whole number from 0 to 2147483648"},
    {CACHE_VALKEY, "valkey://cache?timeout_ms=soon",
     "its parameter \"timeout_ms\" must be a whole number from 10 to 10000"},
    {CACHE_VALKEY, "valkey://cache?connections=0",
     "its parameter \"connections\" must be a whole number from 1 to 1024"},
    {CACHE_VALKEY, "valkey://cache?ca=/etc/ca.pem",
     "its parameter \"ca\" needs the scheme valkeys"},
    {CACHE_VALKEY, "valkeys://cache?ca=/nowhere/ca.pem", "/nowhere/ca.pem"},
    {CACHE_S3, "s3://pictures", NULL},
    {CACHE_S3, "s3://pictures/a/b?endpoint=http://[::1]:9000&region=eu-central-1", NULL},
    {CACHE_S3, NULL, "it has no bucket, nor has S3_BUCKET"},
    {CACHE_S3, "s3:///prefix", "it has no host"},
    {CACHE_S3, "https://pictures", "its scheme is not s3"},
    {CACHE_S3, "s3://key:hunter2@pictures", "keys are S3_ACCESS_KEY and S3_SECRET_KEY"},
    {CACHE_S3, "s3://pic~tures", "may have letters, digits"},
    {CACHE_S3, "s3://pictures/a%20b", "may have letters, digits"},
    {CACHE_S3, "s3://pictures?endpoint=ftp://host", "the endpoint of S3 is neither http nor https"},
    {CACHE_S3, "s3://pictures?endpoint=http://host/path",
     "the endpoint of S3 is not just a scheme and a host"},
    {CACHE_S3, "s3://pictures?endpoint=http://me:hunter2@host",
     "the endpoint of S3 is not just a scheme and a host"},
};

static void what_is_wrong_is_said(void **state)
{
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct error err = {0};
        struct image_cache_options o = {
            .type = CASES[i].type,
            .url = CASES[i].url,
            .s3 = {.access_key = "AKIA", .secret_key = secret_from(VIEW("hunter2"))}};
        bool ok = image_cache_check_options(&o, &err);
        if (ok != (CASES[i].error == NULL) || (!ok && !strstr(err.message, CASES[i].error)))
            fail_msg("%s: %s", CASES[i].url, ok ? "taken" : err.message);
        assert_null(strstr(err.message, "hunter2"));
    }
}

static void a_bucket_needs_keys(void **state)
{
    struct error err = {0};
    struct image_cache_options o = {.type = CACHE_S3, .url = "s3://pictures"};
    assert_false(image_cache_check_options(&o, &err));
    assert_string_equal(err.message, "S3_ACCESS_KEY and S3_SECRET_KEY must be set");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_url_is_taken_apart),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(a_bucket_needs_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
