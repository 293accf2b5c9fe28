/* SPDX-License-Identifier: Apache-2.0 */
#include "signature.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define SALT "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"

static struct arena arena;
static struct view as_signed;

static struct signing_keys keys_of(const char *key_list, const char *salt_list)
{
    struct signing_keys keys = {.digest_bytes = SIGNATURE_DIGEST_BYTES};
    struct error err = {0};
    bool is_short;
    if (!signing_keys_read(&arena, view_from(key_list), view_from(salt_list), &keys, &is_short,
                           &err))
        fail_msg("%s", err.message);
    return keys;
}

/* The vectors of the services' specification (2.5), and one of ImgForger's tests. */
static const struct {
    const char *key, *salt, *path, *signature;
} VECTORS[] = {
    {KEY, SALT, "/rs:fit:320:240/q:70/plain/http://origin.test/a.png@webp",
     "PKxE3p6iOiTbhKVxt2V_3h-In3M9wV3LuFg21v4R9Ec"},
    {KEY, SALT, "/pr:thumb/aHR0cDovL29yaWdpbi50ZXN0L2EucG5n.jpg",
     "TYNJw8jvE3jrjbuVdb43yDuGATYRU6RPw2d1Unje2YA"},
    {"0011223344556677889900aabbccddeeff", "ffeeddccbbaa00998877665544332211",
     "/resize:fill:800:600/quality:85/plain/https://example.com/cat.jpg@webp",
     "jr3LcKHV1tS-ZWB6ePfXy4cIb7efsCont3kNLIkkwJQ"},
};

static void signatures_are_imgproxys(void **state)
{
    for (size_t i = 0; i < sizeof(VECTORS) / sizeof(VECTORS[0]); i++) {
        struct signing_keys keys = keys_of(VECTORS[i].key, VECTORS[i].salt);
        struct error err = {0};
        char made[SIGNATURE_TEXT_BYTES];
        signature_make(&keys, view_from(VECTORS[i].path), made);
        assert_string_equal(made, VECTORS[i].signature);
        assert_true(signature_verify(&arena, &keys, view_from(made), view_from(VECTORS[i].path),
                                     &as_signed, &err));
        assert_false(signature_verify(&arena, &keys, view_from(made), VIEW("/plain/other"),
                                      &as_signed, &err));
        assert_int_equal(err.kind, ERROR_FORBIDDEN);
        assert_string_equal(err.message, "Invalid signature");
    }
}

static void any_pair_verifies_and_the_first_one_signs(void **state)
{
    struct signing_keys old = keys_of("aa", "bb"), both = keys_of("cc,aa", "dd,bb"),
                        new = keys_of("cc", "dd");
    struct view path = VIEW("/plain/x");
    struct error err;
    char by_old[SIGNATURE_TEXT_BYTES], by_both[SIGNATURE_TEXT_BYTES], by_new[SIGNATURE_TEXT_BYTES];
    signature_make(&old, path, by_old);
    signature_make(&both, path, by_both);
    signature_make(&new, path, by_new);
    assert_string_equal(by_both, by_new);
    assert_true(signature_verify(&arena, &both, view_from(by_old), path, &as_signed, &err));
    assert_true(signature_verify(&arena, &both, view_from(by_new), path, &as_signed, &err));
    assert_false(signature_verify(&arena, &new, view_from(by_old), path, &as_signed, &err));
}

static void a_path_may_be_signed_as_it_is_or_decoded(void **state)
{
    struct signing_keys keys = keys_of(KEY, SALT);
    struct view sent = VIEW("/plain/http%3A%2F%2Fo.test%2Fa.png"),
                meant = VIEW("/plain/http://o.test/a.png");
    struct error err;
    char raw[SIGNATURE_TEXT_BYTES], decoded[SIGNATURE_TEXT_BYTES];
    signature_make(&keys, sent, raw);
    signature_make(&keys, meant, decoded);
    assert_true(signature_verify(&arena, &keys, view_from(raw), sent, &as_signed, &err));
    assert_ptr_equal(as_signed.ptr, sent.ptr);
    assert_true(signature_verify(&arena, &keys, view_from(decoded), sent, &as_signed, &err));
    assert_true(view_eq(as_signed, meant));
    assert_false(signature_verify(&arena, &keys, view_from(raw), meant, &as_signed, &err));
}

static void short_signatures_are_whole_or_wrong(void **state)
{
    struct signing_keys keys = keys_of(KEY, SALT), whole = keys;
    struct view path = VIEW("/plain/x");
    struct error err;
    for (size_t bytes = 1; bytes <= SIGNATURE_DIGEST_BYTES; bytes++) {
        char made[SIGNATURE_TEXT_BYTES], full[SIGNATURE_TEXT_BYTES];
        keys.digest_bytes = bytes;
        signature_make(&keys, path, made);
        signature_make(&whole, path, full);
        assert_int_equal(strlen(made), (bytes * 8 + 5) / 6);
        assert_true(signature_verify(&arena, &keys, view_from(made), path, &as_signed, &err));
        assert_int_equal(signature_verify(&arena, &whole, view_from(made), path, &as_signed, &err),
                         bytes == SIGNATURE_DIGEST_BYTES);
        assert_int_equal(signature_verify(&arena, &keys, view_from(full), path, &as_signed, &err),
                         bytes == SIGNATURE_DIGEST_BYTES);
        assert_false(signature_verify(&arena, &keys, (struct view){made, strlen(made) - 1}, path,
                                      &as_signed, &err));
    }
    assert_false(signature_verify(&arena, &whole, VIEW(""), path, &as_signed, &err));
}

static void unsafe_is_a_signature_only_where_it_may(void **state)
{
    struct signing_keys keys = keys_of(KEY, SALT);
    struct error err;
    assert_false(
        signature_verify(&arena, &keys, VIEW("unsafe"), VIEW("/plain/x"), &as_signed, &err));
    assert_string_equal(err.message, "Unsigned URLs are not allowed");
    keys.allow_unsigned = true;
    assert_true(
        signature_verify(&arena, &keys, VIEW("unsafe"), VIEW("/plain/x"), &as_signed, &err));
    assert_false(
        signature_verify(&arena, &keys, VIEW("unsafe2"), VIEW("/plain/x"), &as_signed, &err));
    keys.count = 0; /* a server without keys */
    assert_true(
        signature_verify(&arena, &keys, VIEW("unsafe"), VIEW("/plain/x"), &as_signed, &err));
    assert_false(signature_verify(&arena, &keys, VIEW("AAAA"), VIEW("/plain/x"), &as_signed, &err));
}

static void keys_that_are_none_are_refused(void **state)
{
    static const char *const BAD[][2] = {
        {"", ""},       {"a", "bb"},     {"aa", "b"},     {"xx", "bb"},   {"aa", ""},
        {"aa,", "bb,"}, {"aa,cc", "bb"}, {"aa", "bb,dd"}, {"0xaa", "bb"}, {" aa", "bb"}};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct signing_keys keys;
        struct error err = {0};
        bool is_short;
        if (signing_keys_read(&arena, view_from(BAD[i][0]), view_from(BAD[i][1]), &keys, &is_short,
                              &err))
            fail_msg("\"%s\" and \"%s\" were taken", BAD[i][0], BAD[i][1]);
        assert_int_equal(err.kind, ERROR_INPUT);
    }
}

static int setup(void **state)
{
    arena_init(&arena, MEM_OTHER, 0);
    return 0;
}

static int teardown(void **state)
{
    arena_deinit(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_are_imgproxys),
        cmocka_unit_test(any_pair_verifies_and_the_first_one_signs),
        cmocka_unit_test(a_path_may_be_signed_as_it_is_or_decoded),
        cmocka_unit_test(short_signatures_are_whole_or_wrong),
        cmocka_unit_test(unsafe_is_a_signature_only_where_it_may),
        cmocka_unit_test(keys_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
