/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/config.h"

#include "base/file.h"
#include "ingest/config_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct config *load_good(const char *text)
{
    struct error err = {0};
    struct config *config = NULL;
    if (!config_load_text(view_from(text), "/etc/belfry", "belfry.yml", &config, &err))
        fail_msg("%s\n%s", err.message, text);
    assert_non_null(config);
    return config;
}

static const struct {
    const char *name, *in, *message;
} ERRORS[] = {
    {"unknown field in global", "global:\n  scrape_intervall: 1s\n",
     "belfry.yml:2:3: field \"scrape_intervall\" is not known in the global section; did you mean "
     "\"scrape_interval\"?"},
    {"unknown field in a job", "scrape_configs:\n- job_name: a\n  metrics_paht: /x\n",
     "belfry.yml:3:3: field \"metrics_paht\" is not known in a scrape job; did you mean "
     "\"metrics_path\"?"},
    {"unknown discovery", "scrape_configs:\n- job_name: a\n  consult_sd_configs: []\n",
     "belfry.yml:3:3: field \"consult_sd_configs\" is not known in a scrape job; did you mean "
     "\"consul_sd_configs\"?"},
    {"nothing near", "zzz: 1\n", "belfry.yml:1:1: field \"zzz\" is not known in the configuration"},
    {"a list for the whole", "- a\n", "belfry.yml:1:1: the configuration was expected, not a list"},
    {"a text for the whole", "hello\n",
     "belfry.yml:1:1: the configuration was expected, not \"hello\""},
    {"a number for a duration", "global:\n  scrape_interval: 15\n",
     "belfry.yml:2:20: field \"scrape_interval\": *"},
    {"a mapping for a duration", "global:\n  scrape_interval: {a: 1}\n",
     "belfry.yml:2:20: a string was expected, not a mapping"},
    {"a text for a number", "global:\n  sample_limit: many\n",
     "belfry.yml:2:17: field \"sample_limit\": a whole number of at least 0 was expected, not "
     "\"many\""},
    {"a negative limit", "global:\n  sample_limit: -1\n",
     "belfry.yml:2:17: field \"sample_limit\": a whole number of at least 0 was expected, not "
     "\"-1\""},
    {"a text for a boolean", "scrape_configs:\n- job_name: a\n  honor_labels: maybe\n",
     "belfry.yml:3:17: field \"honor_labels\": true or false was expected, not \"maybe\""},
    {"a quoted boolean", "scrape_configs:\n- job_name: a\n  honor_labels: 'true'\n",
     "belfry.yml:3:17: field \"honor_labels\": true or false was expected, not \"true\""},
    {"a size without unit", "global:\n  body_size_limit: 100\n",
     "belfry.yml:2:20: field \"body_size_limit\": a size with its unit like 15MB was expected, not "
     "\"100\""},
    {"a header of the protocol",
     "scrape_configs:\n- job_name: a\n  http_headers:\n    host: {values: [x]}\n",
     "belfry.yml:4:5: setting header \"Host\" is not allowed"},
    {"a header that is none",
     "scrape_configs:\n- job_name: a\n  http_headers:\n    'a b': {values: [x]}\n",
     "belfry.yml:4:5: \"a b\" is not a valid name of a header"},
    {"half of AWS' keys", "alerting:\n  alertmanagers:\n  - sigv4: {access_key: a}\n",
     "belfry.yml:3:12: must provide a AWS SigV4 Access key and Secret Key if credentials are "
     "specified in the SigV4 config"},
    {"a role of AWS", "alerting:\n  alertmanagers:\n  - sigv4: {region: r, role_arn: a}\n",
     "belfry.yml:3:12: sigv4: role_arn is not supported for Alertmanagers: requests are signed "
     "with "
     "access_key and secret_key, those of a profile or of the environment"},
    {"a signature and a password",
     "alerting:\n  alertmanagers:\n  - sigv4: {}\n    basic_auth: {username: u}\n",
     "belfry.yml:3:12: at most one of basic_auth, authorization, oauth2, & sigv4 must be "
     "configured"},
    {"a mapping for a list", "scrape_configs:\n  job_name: a\n",
     "belfry.yml:2:3: a list was expected, not a mapping"},
    {"a string for targets",
     "scrape_configs:\n- job_name: a\n  static_configs:\n  - targets: localhost:9090\n",
     "belfry.yml:4:14: field \"targets\": a list of strings was expected, not \"localhost:9090\""},
    {"a tab", "global:\n\tscrape_interval: 1s\n",
     "belfry.yml:2:1: a tab indents this line; YAML allows blanks only"},
    {"a field twice", "global: {}\nglobal: {}\n",
     "belfry.yml:2:1: field \"global\" is set twice, first in line 1"},
    {"no job name", "scrape_configs:\n- metrics_path: /x\n", "belfry.yml:2:3: job_name is empty"},
    {"a job name twice", "scrape_configs:\n- job_name: a\n- job_name: b\n- job_name: a\n",
     "belfry.yml:4:13: found multiple scrape configs with job name \"a\", first found in "
     "belfry.yml"},
    {"timeout over interval",
     "scrape_configs:\n- job_name: a\n  scrape_interval: 5s\n  scrape_timeout: 6s\n",
     "belfry.yml:4:19: scrape timeout greater than scrape interval for scrape config with job name "
     "\"a\""},
    {"global timeout over interval", "global:\n  scrape_timeout: 2m\n",
     "belfry.yml:2:19: global scrape timeout greater than scrape interval"},
    {"a scheme", "scrape_configs:\n- job_name: a\n  scheme: ftp\n",
     "belfry.yml:3:11: scheme \"ftp\" is not one of http, https"},
    {"a URL as a target",
     "scrape_configs:\n- job_name: a\n  static_configs:\n  - targets: [x, 'http://bad']\n",
     "belfry.yml:4:18: \"http://bad\" is not a valid hostname"},
    {"an unknown action",
     "scrape_configs:\n- job_name: a\n  relabel_configs:\n  - action: replac\n",
     "belfry.yml:4:13: field \"action\": unknown relabel action \"replac\"; did you mean "
     "\"replace\"?"},
    {"a bad regex",
     "scrape_configs:\n- job_name: a\n  relabel_configs:\n  - regex: abc(def\n    target_label: "
     "x\n",
     "belfry.yml:4:5: *"},
    {"an empty rule", "scrape_configs:\n- job_name: a\n  metric_relabel_configs:\n  - ~\n",
     "belfry.yml:4:5: empty or null metric relabeling rule in scrape config"},
    {"a legacy name",
     "global:\n  metric_name_validation_scheme: legacy\nscrape_configs:\n- job_name: a\n  "
     "relabel_configs:\n  - target_label: a.b\n",
     "belfry.yml:6:5: \"a.b\" is invalid 'target_label' for replace action"},
    {"two ways to authenticate",
     "scrape_configs:\n- job_name: a\n  basic_auth: {username: x}\n  authorization: {credentials: "
     "y}\n",
     "belfry.yml:4:18: at most one of basic_auth, oauth2 & authorization must be configured"},
    {"basic as a type", "scrape_configs:\n- job_name: a\n  authorization: {type: Basic}\n",
     "belfry.yml:3:18: authorization type cannot be set to \"basic\", use \"basic_auth\" instead"},
    {"certificate without key", "scrape_configs:\n- job_name: a\n  tls_config: {cert_file: c}\n",
     "belfry.yml:3:15: exactly one of key or key_file must be configured when a client certificate "
     "is configured"},
    {"an unknown protocol",
     "scrape_configs:\n- job_name: a\n  scrape_protocols: [prometheusproto]\n",
     "belfry.yml:3:22: \"prometheusproto\" is not one of OpenMetricsText0.0.1, "
     "OpenMetricsText1.0.0, PrometheusProto, "
     "PrometheusText0.0.4, PrometheusText1.0.0"},
    {"an invalid label",
     "global:\n  metric_name_validation_scheme: legacy\n  external_labels: {a.b: c}\n",
     "belfry.yml:3:20: \"a.b\" is not a valid label name"},
    {"a rule file pattern", "rule_files: ['my/*/rule']\n",
     "belfry.yml:1:14: invalid rule file path \"my/*/rule\": a * may stand in the last part only"},
    {"a missing file of jobs", "scrape_config_files:\n- nowhere.yml\n",
     "belfry.yml:2:3: scrape config file \"/etc/belfry/nowhere.yml\" does not exist"},
    {"proxies that disagree", "scrape_configs:\n- job_name: a\n  no_proxy: x\n",
     "belfry.yml:3:13: if no_proxy is configured, proxy_url must also be configured"},
    {"no YAML at all", "a: [1, 2\n", "belfry.yml:*"},
};

/* A message that ends in * is compared up to there: the rest is a library's words. */
static void wrong_files_are_told_in_one_sentence(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(ERRORS); i++) {
        struct error err = {0};
        struct config *config = NULL;
        if (config_load_text(view_from(ERRORS[i].in), "/etc/belfry", "belfry.yml", &config, &err))
            fail_msg("%s: was accepted", ERRORS[i].name);
        assert_null(config);
        struct view expected = view_from(ERRORS[i].message), got = view_from(err.message);
        bool open = view_has_suffix(expected, VIEW("*"));
        if (open ? !view_has_prefix(got, view_slice(expected, 0, expected.len - 1))
                 : !view_eq(got, expected))
            fail_msg("%s: got\n  %s\nexpected\n  %s", ERRORS[i].name, err.message,
                     ERRORS[i].message);
        assert_int_equal(err.kind, ERROR_INPUT);
    }
}

static void an_empty_file_is_the_default(void **state)
{
    static const char *const EMPTY[] = {"", "# nothing\n", "global:\n", "{}",
                                        "scrape_configs: []\n"};
    for (size_t i = 0; i < ARRAY_COUNT(EMPTY); i++) {
        struct config *c = load_good(EMPTY[i]);
        assert_int_equal(c->global.scrape_interval_ms, 60000);
        assert_int_equal(c->global.scrape_timeout_ms, 10000);
        assert_int_equal(c->global.evaluation_interval_ms, 60000);
        assert_int_equal(c->global.metric_name_validation_scheme, CONFIG_NAMES_UTF8);
        assert_int_equal(c->scrape_configs.count, 0);
        assert_int_equal(c->warnings.count, 0);
        assert_false(c->has_storage);
        assert_int_equal(c->storage->exemplars_max, 100000);
        assert_true(c->otlp.label_name_underscore_sanitization);
        config_unref(c);
    }
}

static void jobs_inherit_from_global(void **state)
{
    struct config *c = load_good("scrape_configs:\n"
                                 "- job_name: a\n"
                                 "- job_name: b\n"
                                 "  scrape_interval: 5s\n"
                                 "  sample_limit: 7\n"
                                 "  scrape_native_histograms: yes\n"
                                 "  metric_name_validation_scheme: legacy\n"
                                 "  bearer_token: geheim\n"
                                 "global:\n"
                                 "  scrape_interval: 15s\n"
                                 "  scrape_timeout: 12s\n"
                                 "  sample_limit: 100\n"
                                 "  body_size_limit: 1.5MB\n");
    const struct config_scrape_job *a = &c->scrape_configs.items[0],
                                   *b = &c->scrape_configs.items[1];
    assert_int_equal(a->scrape_interval_ms, 15000);
    assert_int_equal(a->scrape_timeout_ms, 12000);
    assert_int_equal(a->sample_limit, 100);
    assert_int_equal(a->body_size_limit_bytes, 3 << 19);
    assert_int_equal(a->scrape_protocols.count, 4);
    assert_int_equal(a->metric_name_escaping_scheme, CONFIG_ESCAPING_ALLOW_UTF8);
    assert_true(a->honor_timestamps && a->enable_compression && a->http.follow_redirects &&
                a->http.enable_http2);
    assert_true(view_is(a->metrics_path, "/metrics") && view_is(a->scheme, "http"));
    assert_int_equal(b->scrape_timeout_ms, 5000); /* never more than the interval */
    assert_int_equal(b->sample_limit, 7);
    assert_int_equal(b->scrape_protocols.items[0], CONFIG_PROTOCOL_PROTOBUF);
    assert_int_equal(b->metric_name_escaping_scheme, CONFIG_ESCAPING_UNDERSCORES);
    assert_non_null(b->http.authorization);
    assert_true(view_is(b->http.authorization->type, "Bearer"));
    assert_true(view_is(secret_reveal(&b->http.authorization->credentials), "geheim"));
    config_unref(c);
}

static void paths_are_joined_to_the_folder_of_the_file(void **state)
{
    struct config *c =
        load_good("rule_files: [a.yml, /b.yml]\n"
                  "scrape_configs:\n"
                  "- job_name: a\n"
                  "  authorization: {credentials_file: token}\n"
                  "  tls_config: {ca_file: /ca.pem, cert_file: c, key_file: ../k}\n");
    const struct config_http_client *http = &c->scrape_configs.items[0].http;
    assert_true(view_is(c->rule_files.items[0], "/etc/belfry/a.yml"));
    assert_true(view_is(c->rule_files.items[1], "/b.yml"));
    assert_true(view_is(http->authorization->credentials_file, "/etc/belfry/token"));
    assert_true(view_is(http->tls.ca_file, "/ca.pem"));
    assert_true(view_is(http->tls.key_file, "/etc/belfry/../k"));
    config_unref(c);
}

static void external_labels_expand_the_environment(void **state)
{
    setenv("BELFRY_TEST_VALUE", "TestValue", 1);
    unsetenv("BELFRY_TEST_UNSET");
    struct config *c = load_good("global:\n"
                                 "  external_labels:\n"
                                 "    bar: foo\n"
                                 "    foo: ${BELFRY_TEST_VALUE}\n"
                                 "    baz: foo${BELFRY_TEST_VALUE}bar\n"
                                 "    qux: foo$${BELFRY_TEST_VALUE}\n"
                                 "    xyz: foo$$bar\n"
                                 "    gone: $BELFRY_TEST_UNSET\n"
                                 "    end: a$\n");
    struct labels ls = c->global.external_labels;
    assert_int_equal(ls.count, 6);
    assert_true(view_is(labels_get(ls, VIEW("foo")), "TestValue"));
    assert_true(view_is(labels_get(ls, VIEW("baz")), "fooTestValuebar"));
    assert_true(view_is(labels_get(ls, VIEW("qux")), "foo${BELFRY_TEST_VALUE}"));
    assert_true(view_is(labels_get(ls, VIEW("xyz")), "foo$bar"));
    assert_true(view_is(labels_get(ls, VIEW("end")), "a$"));
    assert_int_equal(c->warnings.count, 1);
    assert_true(view_is(c->warnings.items[0],
                        "belfry.yml:3:5: environment variable \"BELFRY_TEST_UNSET\" of an "
                        "external label is empty"));
    config_unref(c);
}

static void secrets_come_from_the_environment(void **state)
{
    static const char TEXT[] = "scrape_configs:\n"
                               "- job_name: a\n"
                               "  authorization:\n"
                               "    credentials: ${BELFRY_TEST_TOKEN}\n"
                               "  http_headers: {K: {secrets: ['${BELFRY_TEST_TOKEN}', "
                               "'x${BELFRY_TEST_TOKEN}', '${}', '${1a}']}}\n";
    struct error err = {0};
    struct config *c = NULL;
    unsetenv("BELFRY_TEST_TOKEN");
    assert_false(config_load_text(view_from(TEXT), "", "b.yml", &c, &err));
    assert_string_equal(err.message, "b.yml:4:18: field \"credentials\": environment variable "
                                     "\"BELFRY_TEST_TOKEN\" of this secret is not set");
    setenv("BELFRY_TEST_TOKEN", "t0ken", 1);
    c = load_good(TEXT);
    const struct config_http_client *http = &c->scrape_configs.items[0].http;
    assert_true(view_is(secret_reveal(&http->authorization->credentials), "t0ken"));
    static const char *const SECRETS[] = {"t0ken", "x${BELFRY_TEST_TOKEN}", "${}", "${1a}"};
    for (size_t i = 0; i < ARRAY_COUNT(SECRETS); i++)
        assert_true(view_is(secret_reveal(&http->http_headers.items[0].secrets[i]), SECRETS[i]));
    unsetenv("BELFRY_TEST_TOKEN");
    config_unref(c);
}

static void what_has_no_effect_warns(void **state)
{
    struct config *c = load_good("rule_files: [a.yml]\n"
                                 "alerting:\n"
                                 "  alertmanagers:\n"
                                 "  - static_configs: [{targets: ['localhost:9093']}]\n"
                                 "remote_write:\n"
                                 "- url: http://x/\n"
                                 "scrape_configs:\n"
                                 "- job_name: a\n"
                                 "  ec2_sd_configs:\n"
                                 "  - region: eu-west-1\n"
                                 "    filters: [{name: a, values: [b]}]\n"
                                 "  scrape_native_histograms: true\n"
                                 "  track_timestamps_staleness: false\n"
                                 "storage: {tsdb: {retention: {time: 1d, percentage: 5}}}\n");
    static const char *const WARNINGS[] = {
        "belfry.yml:10:3: this build of Belfry cannot discover targets by ec2_sd_configs: it is "
        "checked and has no effect; file_sd_configs or http_sd_configs can stand "
        "in",
        "belfry.yml:6:1: section \"remote_write\" has no effect in this version",
        "belfry.yml:12:29: field \"scrape_native_histograms\" has no effect in this version",
    };
    assert_int_equal(c->warnings.count, ARRAY_COUNT(WARNINGS));
    for (size_t i = 0; i < ARRAY_COUNT(WARNINGS); i++)
        assert_true(view_is(c->warnings.items[i], WARNINGS[i]) ||
                    (printf("%.*s\n", VIEW_ARGS(c->warnings.items[i])), false));
    config_unref(c);
}

static void references_keep_a_configuration(void **state)
{
    struct config *c = load_good("scrape_configs:\n- job_name: a\n  relabel_configs:\n  - {regex: "
                                 "'x(.*)', target_label: y}\n");
    assert_ptr_equal(config_ref(c), c);
    config_unref(c);
    assert_true(view_is(c->scrape_configs.items[0].job_name, "a"));
    config_unref(c);
    config_unref(NULL);
}

static const char SHOWN_IN[] = "global:\n"
                               "  scrape_interval: 15s\n"
                               "  external_labels: {b: '1', a: x}\n"
                               "scrape_configs:\n"
                               "- job_name: '123'\n"
                               "  params: {'match[]': ['{a=\"b\"}', up]}\n"
                               "  basic_auth: {username: me, password: geheim1}\n"
                               "  proxy_url: http://u:geheim2@proxy:3128/\n"
                               "  body_size_limit: 15MB\n"
                               "  http_headers: {X-Key: {secrets: [geheim3], values: [v]}}\n"
                               "  static_configs:\n"
                               "  - targets: ['localhost:9090', 'h:1']\n"
                               "    labels: {my: label}\n"
                               "  - targets: []\n"
                               "  consul_sd_configs:\n"
                               "  - server: x\n"
                               "    token: geheim4\n"
                               "    tags: [a, b]\n"
                               "  relabel_configs:\n"
                               "  - source_labels: [a, b]\n"
                               "    regex: (.*)x\n"
                               "    target_label: c\n"
                               "  - {regex: ~, target_label: d, replacement: e}\n"
                               "  - {action: labeldrop, regex: (.*)}\n"
                               "  - {target_label: f}\n"
                               "storage:\n"
                               "  tsdb: {retention: {time: 1d, size: 1GB}}\n"
                               "remote_write:\n"
                               "- url: http://u:geheim5@remote/\n"
                               "  headers: {X-Token: geheim6}\n"
                               "  sigv4: {secret_key: geheim7, region: r}\n";
static const char SHOWN_OUT[] = "global:\n"
                                "  scrape_interval: 15s\n"
                                "  scrape_timeout: 10s\n"
                                "  evaluation_interval: 1m\n"
                                "  external_labels:\n"
                                "    a: x\n"
                                "    b: \"1\"\n"
                                "  metric_name_validation_scheme: utf8\n"
                                "  scrape_native_histograms: false\n"
                                "runtime:\n"
                                "  gogc: 75\n"
                                "scrape_configs:\n"
                                "- job_name: \"123\"\n"
                                "  honor_timestamps: true\n"
                                "  track_timestamps_staleness: false\n"
                                "  params:\n"
                                "    match[]:\n"
                                "    - '{a=\"b\"}'\n"
                                "    - up\n"
                                "  scrape_interval: 15s\n"
                                "  scrape_timeout: 10s\n"
                                "  scrape_protocols:\n"
                                "  - OpenMetricsText1.0.0\n"
                                "  - OpenMetricsText0.0.1\n"
                                "  - PrometheusText1.0.0\n"
                                "  - PrometheusText0.0.4\n"
                                "  scrape_native_histograms: false\n"
                                "  always_scrape_classic_histograms: false\n"
                                "  convert_classic_histograms_to_nhcb: false\n"
                                "  metrics_path: /metrics\n"
                                "  scheme: http\n"
                                "  enable_compression: true\n"
                                "  body_size_limit: 15MiB\n"
                                "  metric_name_validation_scheme: utf8\n"
                                "  metric_name_escaping_scheme: allow-utf-8\n"
                                "  extra_scrape_metrics: false\n"
                                "  basic_auth:\n"
                                "    username: me\n"
                                "    password: <secret>\n"
                                "  follow_redirects: true\n"
                                "  enable_http2: true\n"
                                "  proxy_url: http://u:xxxxx@proxy:3128/\n"
                                "  http_headers:\n"
                                "    X-Key:\n"
                                "      values:\n"
                                "      - v\n"
                                "      secrets:\n"
                                "      - <secret>\n"
                                "  relabel_configs:\n"
                                "  - source_labels: [a, b]\n"
                                "    separator: ;\n"
                                "    regex: (.*)x\n"
                                "    target_label: c\n"
                                "    replacement: $1\n"
                                "    action: replace\n"
                                "  - separator: ;\n"
                                "    regex: null\n"
                                "    target_label: d\n"
                                "    replacement: e\n"
                                "    action: replace\n"
                                "  - separator: ;\n"
                                "    regex: (.*)\n"
                                "    replacement: $1\n"
                                "    action: labeldrop\n"
                                "  - separator: ;\n"
                                "    target_label: f\n"
                                "    replacement: $1\n"
                                "    action: replace\n"
                                "  static_configs:\n"
                                "  - targets:\n"
                                "    - localhost:9090\n"
                                "    - h:1\n"
                                "    labels:\n"
                                "      my: label\n"
                                "  - targets: []\n"
                                "  consul_sd_configs:\n"
                                "  - server: x\n"
                                "    token: <secret>\n"
                                "    tags:\n"
                                "    - a\n"
                                "    - b\n"
                                "storage:\n"
                                "  tsdb:\n"
                                "    retention:\n"
                                "      time: 1d\n"
                                "      size: 1GiB\n"
                                "remote_write:\n"
                                "- url: http://u:xxxxx@remote/\n"
                                "  remote_timeout: 30s\n"
                                "  headers:\n"
                                "    X-Token: <secret>\n"
                                "  protobuf_message: prometheus.WriteRequest\n"
                                "  follow_redirects: true\n"
                                "  enable_http2: false\n"
                                "  queue_config:\n"
                                "    capacity: 10000\n"
                                "    max_shards: 50\n"
                                "    min_shards: 1\n"
                                "    max_samples_per_send: 2000\n"
                                "    batch_send_deadline: 5s\n"
                                "    min_backoff: 30ms\n"
                                "    max_backoff: 5s\n"
                                "  metadata_config:\n"
                                "    send: true\n"
                                "    send_interval: 1m\n"
                                "    max_samples_per_send: 2000\n"
                                "  sigv4:\n"
                                "    secret_key: <secret>\n"
                                "    region: r\n"
                                "otlp:\n"
                                "  translation_strategy: UnderscoreEscapingWithSuffixes\n"
                                "  label_name_underscore_sanitization: true\n"
                                "  label_name_preserve_multiple_underscores: true\n";

static void it_is_shown_with_defaults_and_without_secrets(void **state)
{
    struct config *c = load_good(SHOWN_IN);
    struct buffer out;
    buffer_init(&out, MEM_OTHER, 1 << 20);
    config_print_yaml(c, &out);
    assert_false(out.failed);
    buffer_append_byte(&out, '\0');
    assert_null(strstr(out.ptr, "geheim"));
    assert_string_equal(out.ptr, SHOWN_OUT);
    config_unref(c);

    /* What is shown is a configuration, and shows itself. */
    struct buffer again;
    buffer_init(&again, MEM_OTHER, 1 << 20);
    c = load_good(out.ptr);
    config_print_yaml(c, &again);
    buffer_append_byte(&again, '\0');
    assert_string_equal(again.ptr, SHOWN_OUT);
    config_unref(c);
    buffer_deinit(&again);
    buffer_deinit(&out);
}

/* --- files --- */

struct folder {
    char path[64];
};

static void folder_write(const struct folder *f, const char *name, const char *text)
{
    char path[256];
    struct error err = {0};
    snprintf(path, sizeof(path), "%s/%s", f->path, name);
    if (!file_replace(path, view_from(text), &err))
        fail_msg("%s", err.message);
}

static void folder_open(struct folder *f)
{
    snprintf(f->path, sizeof(f->path), "/tmp/belfry-config-XXXXXX");
    assert_non_null(mkdtemp(f->path));
}

static void folder_close(struct folder *f)
{
    struct error err = {0};
    assert_true(dir_remove(f->path, &err));
}

static struct config *folder_load(const struct folder *f, const char *name, struct error *err)
{
    char path[256];
    struct config *config = NULL;
    snprintf(path, sizeof(path), "%s/%s", f->path, name);
    bool ok = config_load_file(path, CONFIG_UNKNOWN_IS_ERROR, &config, err);
    assert_true(ok == (config != NULL));
    return config;
}

/* In each kind of section: the field is an error, or where that is wished a warning with its place. */
static void unknown_fields_are_listed_where_that_is_enough(void **state)
{
    static const char *const WORDS[] = {
        "main.yml:1:31: field \"futur\" is not known in the global section and has no effect",
        "main.yml:2:1: field \"section\" is not known in the configuration and has no effect",
        "main.yml:5:33: field \"y\" is not known in a header and has no effect",
        "main.yml:6:39: field \"x\" is not known in consul_sd_configs and has no effect",
        "main.yml:6:22: this build of Belfry cannot discover targets by consul_sd_configs",
        "main.yml:7:3: field \"new_sd_configs\" is not known in a scrape job and has no effect",
        "main.yml:8:36: field \"p\" is not known in a relabelling rule and has no effect",
        "jobs.yml:1:32: field \"z\" is not known in a scrape job and has no effect"};
    struct folder f;
    struct error err = {0};
    char path[256];
    struct config *c = NULL;
    folder_open(&f);
    folder_write(&f, "main.yml",
                 "global: {scrape_interval: 7s, futur: {a: [1]}}\n"
                 "section: [1]\n"
                 "scrape_configs:\n"
                 "- job_name: m\n"
                 "  http_headers: {X: {files: [], y: 1}}\n"
                 "  consul_sd_configs: [{server: 'a:1', x: 2}]\n"
                 "  new_sd_configs: [{}]\n"
                 "  relabel_configs: [{action: keep, p: 1}]\n"
                 "scrape_config_files: [jobs.yml]\n");
    folder_write(&f, "jobs.yml", "scrape_configs: [{job_name: a, z: 1}]\n");
    snprintf(path, sizeof path, "%s/main.yml", f.path);
    assert_false(config_load_file(path, CONFIG_UNKNOWN_IS_ERROR, &c, &err));
    assert_non_null(strstr(err.message, "main.yml:1:31: field \"futur\" is not known"));
    assert_true(config_load_file(path, CONFIG_UNKNOWN_IS_WARNING, &c, &err));
    assert_int_equal(c->warnings.count, ARRAY_COUNT(WORDS));
    for (size_t i = 0; i < ARRAY_COUNT(WORDS); i++) {
        if (strstr(c->warnings.items[i].ptr, WORDS[i]) == NULL)
            fail_msg("expected %s\ngot      %.*s", WORDS[i], VIEW_ARGS(c->warnings.items[i]));
    }
    assert_int_equal(c->global.scrape_interval_ms, 7000);
    config_unref(c);
    /* what is wrong with a field that is known stays an error */
    folder_write(&f, "jobs.yml", "scrape_configs: [{job_name: a, z: 1, scheme: ftp}]\n");
    assert_false(config_load_file(path, CONFIG_UNKNOWN_IS_WARNING, &c, &err));
    folder_close(&f);
}

static void jobs_come_from_other_files_too(void **state)
{
    struct folder f;
    struct error err = {0};
    char expected[512];
    folder_open(&f);
    folder_write(&f, "main.yml",
                 "global: {scrape_interval: 7s}\nscrape_config_files: ['jobs-*.yml', "
                 "none-*.yml]\nscrape_configs:\n- job_name: m\n");
    folder_write(&f, "jobs-1.yml", "scrape_configs:\n- job_name: a\n  bearer_token_file: t\n");
    folder_write(&f, "jobs-2.yml", "scrape_configs:\n- job_name: b\n");
    struct config *c = folder_load(&f, "main.yml", &err);
    if (!c)
        fail_msg("%s", err.message);
    assert_int_equal(c->scrape_configs.count, 3);
    assert_int_equal(c->main_jobs.count, 1);
    assert_true(view_is(c->scrape_configs.items[1].job_name, "a"));
    assert_int_equal(c->scrape_configs.items[1].scrape_interval_ms, 7000);
    snprintf(expected, sizeof(expected), "%s/t", f.path);
    assert_true(view_is(c->scrape_configs.items[1].http.authorization->credentials_file, expected));
    config_unref(c);

    folder_write(&f, "jobs-2.yml", "scrape_configs:\n- job_name: m\n");
    assert_null(folder_load(&f, "main.yml", &err));
    snprintf(expected, sizeof(expected),
             "%s/jobs-2.yml:2:13: found multiple scrape configs with job name \"m\", first found "
             "in %s/main.yml",
             f.path, f.path);
    assert_string_equal(err.message, expected);

    folder_write(&f, "jobs-2.yml", "global: {}\n");
    assert_null(folder_load(&f, "main.yml", &err));
    snprintf(expected, sizeof(expected),
             "%s/jobs-2.yml:1:1: field \"global\" is not known in a file of scrape jobs", f.path);
    assert_string_equal(err.message, expected);
    folder_close(&f);
}

static void a_missing_file_and_a_folder_are_errors(void **state)
{
    struct folder f;
    struct error err = {0};
    folder_open(&f);
    assert_null(folder_load(&f, "nowhere.yml", &err));
    assert_int_equal(err.kind, ERROR_NOT_FOUND);
    assert_non_null(strstr(err.message, "nowhere.yml"));
    assert_null(folder_load(&f, ".", &err));
    folder_close(&f);
}

static void checking_says_what_promtool_says(void **state)
{
    struct folder f;
    char path[256], expected[1024];
    struct buffer out, errors;
    folder_open(&f);
    buffer_init(&out, MEM_OTHER, 1 << 16);
    buffer_init(&errors, MEM_OTHER, 1 << 16);
    snprintf(path, sizeof(path), "%s/c.yml", f.path);

    folder_write(&f, "c.yml", "scrape_configs:\n- job_name: a\n");
    assert_true(config_check(path, &(struct config_check_options){0}, &out, &errors));
    snprintf(expected, sizeof(expected),
             "Checking %s\n SUCCESS: %s is valid prometheus config file syntax\n\n", path, path);
    assert_true(view_is(buffer_view(&out), expected));
    assert_int_equal(errors.len, 0);

    buffer_reset(&out);
    folder_write(&f, "c.yml", "scrape_configs:\n- job_name: a\n  bearer_token_file: nope\n");
    assert_true(config_check(path, &(struct config_check_options){.syntax_only = true}, &out,
                             &errors)); /* syntax only */
    buffer_reset(&out);
    assert_false(config_check(path, &(struct config_check_options){0}, &out, &errors));
    snprintf(expected, sizeof(expected),
             "  FAILED: scrape config with job name \"a\": authorization credentials or bearer "
             "token file \"%s/nope\" does not exist\n",
             f.path);
    assert_true(view_is(buffer_view(&errors), expected));
    snprintf(expected, sizeof(expected), "Checking %s\n\n", path);
    assert_true(view_is(buffer_view(&out), expected));

    buffer_reset(&out);
    buffer_reset(&errors);
    folder_write(&f, "r.yml", "groups: []\n");
    folder_write(&f, "c.yml", "rule_files: [r.yml, 'x*.yml']\n");
    assert_true(config_check(path, &(struct config_check_options){0}, &out, &errors));
    snprintf(expected, sizeof(expected),
             "Checking %s\n  SUCCESS: 1 rule files found\n SUCCESS: %s is valid prometheus config "
             "file syntax\n\n",
             path, path);
    assert_true(view_is(buffer_view(&out), expected));

    buffer_reset(&errors);
    folder_write(&f, "c.yml", "rule_files: [/dev/zero]\n");
    assert_false(config_check(path, &(struct config_check_options){0}, &out, &errors));
    assert_non_null(strstr(errors.ptr, "rule file: \"/dev/zero\" is not a regular file"));
    buffer_deinit(&out);
    buffer_deinit(&errors);
    folder_close(&f);
}

/* --- the official files --- */

static bool conformance_case(const char *folder, const char *file, const char *verdict)
{
    char path[8192];
    struct error err = {0};
    struct config *config = NULL;
    snprintf(path, sizeof(path), "%s/%s", folder, file);
    bool loaded = config_load_file(path, CONFIG_UNKNOWN_IS_ERROR, &config, &err);
    config_unref(config);
    bool right = loaded == (strcmp(verdict, "good") == 0);
    if (!right)
        printf("%s: should be %s: %s\n", file, verdict, loaded ? "loaded" : err.message);
    if (!loaded && err.line == 0) {
        printf("%s: has no place: %s\n", file, err.message);
        right = false;
    }
    if (!loaded && getenv("BELFRY_TEST_VERBOSE"))
        printf("%s\n", err.message);
    return right;
}

static void the_official_files_are_judged_rightly(void **state)
{
    const char *folder = CONFORMANCE_FOLDER;
    char path[512], line[4096];
    snprintf(path, sizeof(path), "%s/expected.tsv", folder);
    FILE *list = fopen(path, "r");
    if (!list) {
        printf("skipped: %s is not here\n", path);
        skip();
    }
    int right = 0, wrong = 0;
    while (fgets(line, sizeof(line), list)) {
        char *tab = strchr(line, '\t'), *end = tab ? strchr(tab + 1, '\t') : NULL;
        if (!end || strncmp(line, "file\t", 5) == 0)
            continue;
        *tab = *end = '\0';
        bool ok = conformance_case(folder, line, tab + 1);
        right += ok;
        wrong += !ok;
    }
    fclose(list);
    printf("config conformance: %d right, %d wrong\n", right, wrong);
    assert_int_equal(wrong, 0);
    assert_true(right > 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_files_are_told_in_one_sentence),
        cmocka_unit_test(an_empty_file_is_the_default),
        cmocka_unit_test(jobs_inherit_from_global),
        cmocka_unit_test(paths_are_joined_to_the_folder_of_the_file),
        cmocka_unit_test(external_labels_expand_the_environment),
        cmocka_unit_test(secrets_come_from_the_environment),
        cmocka_unit_test(what_has_no_effect_warns),
        cmocka_unit_test(references_keep_a_configuration),
        cmocka_unit_test(it_is_shown_with_defaults_and_without_secrets),
        cmocka_unit_test(jobs_come_from_other_files_too),
        cmocka_unit_test(unknown_fields_are_listed_where_that_is_enough),
        cmocka_unit_test(a_missing_file_and_a_folder_are_errors),
        cmocka_unit_test(checking_says_what_promtool_says),
        cmocka_unit_test(the_official_files_are_judged_rightly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
