/* SPDX-License-Identifier: Apache-2.0 */
/* target_test.c: from an address and a job to a URL and labels. */
#include "ingest/target.h"

#include "base/buffer.h"
#include "base/mem.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define AS(target, value) "{target_label: " target ", replacement: '" value "'}"

static const struct {
    const char *job, *address;
    const char *url, *labels;
    const char *error;
} CASES[] = {
    {"", "h:9100", "http://h:9100/metrics", "{instance=\"h:9100\",job=\"j\"}", NULL},
    {"", "h", "http://h/metrics", "{instance=\"h\",job=\"j\"}", NULL}, /* no port is added */
    {"", "[::1]:9100", "http://[::1]:9100/metrics", "{instance=\"[::1]:9100\",job=\"j\"}", NULL},
    {"scheme: https", "h", "https://h/metrics", "{instance=\"h\",job=\"j\"}", NULL},
    {"metrics_path: a b/ü?x#y", "h", "http://h/a%20b/%C3%BC%3Fx%23y", "{instance=\"h\",job=\"j\"}",
     NULL},
    {"params: {m: ['up{a=\"b\"}', c d]}", "h", "http://h/metrics?m=up%7Ba%3D%22b%22%7D&m=c+d",
     "{instance=\"h\",job=\"j\"}", NULL},
    {"params: {m: [x, y]}, relabel_configs: [" AS("__param_m", "z") ", " AS("__param_a", "1") "]",
     "h", "http://h/metrics?a=1&m=z&m=y", "{instance=\"h\",job=\"j\"}", NULL},
    {"relabel_configs: [{source_labels: [__address__], target_label: __param_target}, "
     "{source_labels: [__param_target], target_label: instance}, " AS("__address__",
                                                                      "blackbox:9115") "]",
     "https://x.test/", "http://blackbox:9115/metrics?target=https%3A%2F%2Fx.test%2F",
     "{instance=\"https://x.test/\",job=\"j\"}", NULL},
    {"relabel_configs: [" AS("job", "other") ", " AS("__metrics_path__", "/p") ", " AS("__scheme__",
                                                                                       "https") "]",
     "h", "https://h/p", "{instance=\"h\",job=\"other\"}", NULL},
    {"relabel_configs: [" AS("__address__", "") "]", "h", NULL, NULL, "no address"},
    {"", "h/x", NULL, NULL, "\"h/x\" is not a valid hostname"},
    {"", "user@h", NULL, NULL, "\"user@h\" is not a valid hostname"},
    {"", "h?x", NULL, NULL, "\"h?x\" is not a valid hostname"},
    {"", "h x", NULL, NULL, "\"h x\" is not a valid hostname"},
    {"relabel_configs: [" AS("__scheme__", "file") "]", "h", NULL, NULL,
     "invalid scheme: \"file\""},
    {"relabel_configs: [" AS("__scrape_interval__", "5") "]", "h", NULL, NULL,
     "error parsing scrape interval: "},
    {"relabel_configs: [" AS("__scrape_interval__", "0") "]", "h", NULL, NULL,
     "scrape interval cannot be 0"},
    {"relabel_configs: [" AS("__scrape_timeout__", "x") "]", "h", NULL, NULL,
     "error parsing scrape timeout: "},
    {"relabel_configs: [" AS("__scrape_timeout__", "2m") "]", "h", NULL, NULL,
     "scrape timeout cannot be greater than scrape interval (\"2m\" > \"1m\")"},
    {"relabel_configs: [{action: drop}]", "h", "", "{}", NULL},
};

static struct config *job_load(const char *job)
{
    struct buffer yaml;
    struct config *config;
    struct error err;
    buffer_init(&yaml, MEM_OTHER, 1 << 16);
    buffer_printf(&yaml, "scrape_configs: [{job_name: j%s%s}]\n", *job ? ", " : "", job);
    if (!config_load_text(buffer_view(&yaml), "", "test.yml", &config, &err))
        fail_msg("%s", err.message);
    buffer_deinit(&yaml);
    return config;
}

static void addresses_become_urls_and_labels(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct config *config = job_load(CASES[i].job);
        const struct config_scrape_job *job = &config->scrape_configs.items[0];
        struct target *t;
        struct error err;
        struct buffer labels;
        buffer_init(&labels, MEM_OTHER, 1 << 16);
        bool ok =
            target_new(&t, config, job, view_from(CASES[i].address), (struct labels){0}, &err);
        if (CASES[i].error) {
            char want[200];
            snprintf(want, sizeof want, "target \"%s\" of job \"j\": %s", CASES[i].address,
                     CASES[i].error);
            if (ok || strncmp(err.message, want, strlen(want)) != 0)
                fail_msg("%s: got \"%s\"", want, ok ? "a target" : err.message);
            assert_null(t);
        } else {
            if (!ok)
                fail_msg("%s", err.message);
            labels_format(&labels, t->labels);
            if (!view_is(t->url, CASES[i].url) || !view_is(buffer_view(&labels), CASES[i].labels))
                fail_msg("got %.*s %.*s", VIEW_ARGS(t->url), VIEW_ARGS(buffer_view(&labels)));
            assert_int_equal(t->dropped, *CASES[i].url == 0);
        }
        target_unref(t);
        buffer_deinit(&labels);
        config_unref(config);
    }
}

/* The target alone keeps its configuration alive. */
static void a_target_holds_its_configuration(void **state)
{
    (void)state;
    struct config *config = job_load("");
    struct target *t;
    struct error err;
    struct label group[] = {{VIEW("__address__"), VIEW("not this")}, {VIEW("env"), VIEW("prod")}};
    assert_true(target_new(&t, config, &config->scrape_configs.items[0], VIEW("h:1"),
                           (struct labels){group, 2}, &err));
    config_unref(config);
    struct target *again = target_ref(t);
    target_unref(t);
    assert_true(view_is(again->job->job_name, "j"));
    assert_true(view_is(labels_get(again->labels, VIEW("env")), "prod"));
    assert_true(view_is(labels_get(again->discovered, VIEW("__address__")), "h:1"));
    assert_int_equal(strlen(again->url.ptr), again->url.len);
    target_unref(again);
}

static const struct {
    const char *a, *b;
    bool same;
} SERIES[] = {
    {"", "scrape_interval: 5s, scrape_timeout: 1s, sample_limit: 4", true},
    {"", "honor_labels: true", false},
    {"", "honor_timestamps: false", false},
    {"", "label_limit: 4", false},
    {"", "metric_relabel_configs: [{action: labeldrop, regex: x}]", false},
    {"metric_relabel_configs: [{action: labeldrop, regex: y}]",
     "metric_relabel_configs: [{action: labeldrop, regex: x}]", false},
    {"metric_relabel_configs: [{action: labeldrop, regex: x}]",
     "metric_relabel_configs: [{action: labeldrop, regex: x}], relabel_configs: [{action: keep}]",
     true},
};

static void settings_that_change_series_change_the_hash(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(SERIES); i++) {
        struct config *a = job_load(SERIES[i].a), *b = job_load(SERIES[i].b);
        bool same = target_job_series_hash(&a->scrape_configs.items[0]) ==
                    target_job_series_hash(&b->scrape_configs.items[0]);
        if (same != SERIES[i].same)
            fail_msg("{%s} and {%s}", SERIES[i].a, SERIES[i].b);
        config_unref(a);
        config_unref(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_become_urls_and_labels),
        cmocka_unit_test(a_target_holds_its_configuration),
        cmocka_unit_test(settings_that_change_series_change_the_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
