/* SPDX-License-Identifier: Apache-2.0 */
/* web_config_test.c: files of --web.config.file: what they say, and the sentence about what is wrong in them. */
#include "access/web_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HASH "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
#define TLS "tls_server_config: {cert: a, key: b"

static const struct {
    const char *name, *text, *error; /* error NULL: it is fine */
} CASES[] = {
    {"nothing", "", NULL},
    {"users", "basic_auth_users: {alice: " HASH "}\nroles: {alice: view}\n", NULL},
    {"headers", "http_server_config: {http2: false, headers: {X-Frame-Options: deny}}", NULL},
    {"rate", "rate_limit: {interval: 1s, burst: 20}", NULL},
    {"no rate", "rate_limit: {interval: 0, burst: 20}", NULL},
    {"TLS",
     TLS
     ", min_version: TLS13, cipher_suites: [TLS_AES_128_GCM_SHA256], curve_preferences: [X25519]}",
     NULL},
    {"unknown field", "basic_auth: {}",
     "field \"basic_auth\" is not known in the web configuration"},
    {"unknown field of TLS", TLS ", certificate: x}",
     "field \"certificate\" is not known in tls_server_config"},
    {"unknown header", "http_server_config: {headers: {Server: x}}",
     "field \"Server\" is not known"},
    {"header's word", "http_server_config: {headers: {X-Frame-Options: allow}}",
     "value of header X-Frame-Options"},
    {"header with a line",
     "http_server_config: {headers: {X-XSS-Protection: \"a\\r\\nSet-Cookie: b\"}}",
     "value of header X-XSS-Protection"},
    {"clear text", "basic_auth_users: {alice: hunter2}",
     "user \"alice\": the password's hash is not bcrypt's"},
    {"cost of days",
     "basic_auth_users: {alice: $2y$31$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG}",
     "cost 31, expected 4 to 14"},
    {"list of users", "basic_auth_users: [alice]",
     "basic_auth_users is a list, expected a mapping"},
    {"colon", "basic_auth_users: {'a:b': " HASH "}", "may not be empty nor hold a colon"},
    {"role of nobody", "roles: {alice: view}", "\"alice\" is not among basic_auth_users"},
    {"role unknown", "basic_auth_users: {alice: " HASH "}\nroles: {alice: none}",
     "not view, silence, edit or admin"},
    {"user twice", "basic_auth_users: {alice: " HASH ", alice: " HASH "}", "set twice"},
    {"version", TLS ", min_version: SSL30}", "min_version \"SSL30\" is not known"},
    {"cipher", TLS ", cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}",
     "unknown cipher: TLS_RSA_WITH_RC4_128_SHA"},
    {"curve", TLS ", curve_preferences: [P256]}", "unknown curve: P256"},
    {"client's word", TLS ", client_auth_type: Always}",
     "client_auth_type \"Always\" is not known"},
    {"CA without policy", TLS ", client_ca: c}",
     "client CA's have been configured without a Client Auth Policy"},
    {"policy without CA", TLS ", client_auth_type: RequireAndVerifyClientCert}", "needs client_ca"},
    {"names without policy", TLS ", client_allowed_sans: [a], client_auth_type: RequestClientCert}",
     "client_allowed_sans requires"},
    {"both keys", "tls_server_config: {cert: a, cert_file: b, key: c}",
     "one of cert and cert_file, not both"},
    {"burst", "rate_limit: {interval: 1s, burst: -1}", "burst is not a number"},
    {"interval", "rate_limit: {interval: x, burst: 1}", "interval: "},
};

static void files_are_read_or_refused_with_a_sentence(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct web_config *config;
        struct error err = {0};
        bool ok = web_config_parse(&config, view_from(CASES[i].text), NULL, &err);
        if (ok != (CASES[i].error == NULL) || (!ok && !strstr(err.message, CASES[i].error)))
            fail_msg("%s: %s", CASES[i].name, ok ? "accepted" : err.message);
        assert_null(strstr(err.message, "hunter2"));
        web_config_unref(config);
    }
}

static void who_has_no_role_is_admin(void **state)
{
    (void)state;
    struct web_config *config;
    struct error err;
    assert_true(web_config_parse(
        &config, view_from("basic_auth_users: {a: " HASH ", b: " HASH "}\nroles: {b: silence}\n"),
        NULL, &err));
    assert_int_equal(config->user_count, 2);
    assert_int_equal(config->users[0].role, HTTP_ROLE_ADMIN);
    assert_int_equal(config->users[1].role, HTTP_ROLE_SILENCE);
    web_config_unref(config);
}

static void a_certificate_that_is_none_is_named(void **state)
{
    (void)state;
    struct web_config *config;
    struct error err;
    assert_false(web_config_parse(
        &config, view_from("tls_server_config: {cert: a, key: verysecret}"), "/", &err));
    assert_non_null(
        strstr(err.message, "tls_server_config: the certificate and its key cannot be used"));
    assert_null(strstr(err.message, "verysecret"));
    assert_false(web_config_parse(
        &config, view_from("tls_server_config: {cert_file: /nowhere.pem, key: b}"), "/", &err));
    assert_non_null(strstr(err.message, "cert_file: "));
    assert_non_null(strstr(err.message, "/nowhere.pem"));
    assert_false(web_config_parse(&config, view_from("tls_server_config: {cert: a}"), "/", &err));
    assert_non_null(strstr(err.message, "missing one of key or key_file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_read_or_refused_with_a_sentence),
        cmocka_unit_test(who_has_no_role_is_admin),
        cmocka_unit_test(a_certificate_that_is_none_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
