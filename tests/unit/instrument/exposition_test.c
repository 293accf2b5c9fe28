/* SPDX-License-Identifier: Apache-2.0 */
/* What a reader asks for, and what it gets: negotiation, escaping, filters, bytes of each format. */
#include "base/floattext.h"
#include "base/protobuf.h"
#include "instrument/text.h"

#include <belfry/exposition.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* --- negotiation --- */

#define TEXT "text/plain; version=0.0.4; charset=utf-8"
#define TEXT_1 "text/plain; version=1.0.0; charset=utf-8"
#define OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define OPENMETRICS_0 "application/openmetrics-text; version=0.0.1; charset=utf-8"
#define PROTOBUF                                                                                   \
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
#define ASK_PROTOBUF                                                                               \
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"

static void accept_decides_the_content_type(void **state)
{
    static const struct {
        const char *accept, *expected;
    } cases[] = {
        {NULL, TEXT},
        {"", TEXT},
        {"*/*", TEXT},
        {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", TEXT},
        /* Prometheus 2.42, without and with native histograms */
        {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
         "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         OPENMETRICS},
        {ASK_PROTOBUF ",application/openmetrics-text;version=1.0.0;q=0.8,"
                      "application/openmetrics-text;version=0.0.1;q=0.75,"
                      "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         PROTOBUF},
        /* Prometheus 3 */
        {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
         "application/openmetrics-text;version=0.0.1;q=0.4,"
         "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,"
         "*/*;q=0.1",
         OPENMETRICS "; escaping=allow-utf-8"},
        {"text/plain;version=1.0.0;escaping=dots;q=0.9,*/*;q=0.1", TEXT_1 "; escaping=dots"},
        {ASK_PROTOBUF "; escaping=values", PROTOBUF "; escaping=values"},
        {"text/plain;version=0.0.4;escaping=underscores", TEXT "; escaping=underscores"},
        /* versions */
        {"application/openmetrics-text", OPENMETRICS},
        {"application/openmetrics-text;version=0.0.1", OPENMETRICS_0},
        {"application/openmetrics-text;version=2.0.0,text/plain", TEXT},
        {"text/plain;version=2", TEXT},
        {"application/vnd.google.protobuf;proto=other.Message;encoding=delimited", TEXT},
        {"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text,"
         "application/openmetrics-text;q=0.2",
         OPENMETRICS},
        /* weights and order */
        {"text/plain;q=0.5,application/openmetrics-text;q=0.9", OPENMETRICS},
        {"text/plain,application/openmetrics-text", TEXT},
        {"*/*,application/openmetrics-text", OPENMETRICS},
        {"text/plain;q=0.301,application/openmetrics-text;q=0.302", OPENMETRICS},
        {"application/openmetrics-text;q=0,text/plain;q=0.1", TEXT},
        {"application/openmetrics-text;q=0.0,*/*;q=0.1", TEXT},
        {"application/openmetrics-text;q=0.000", TEXT},
        /* manners of writing */
        {" TEXT/plain ; Q=0.1 , Application/OpenMetrics-Text ; Version=\"1.0.0\" ", OPENMETRICS},
        {"application/openmetrics-text;x=\"a,b;c\\\"d\";version=0.0.1", OPENMETRICS_0},
        {",,;q=1,;;,application/openmetrics-text", OPENMETRICS},
        {"application/openmetrics-text;escaping=strange", OPENMETRICS},
        {"application/openmetrics-text;q=abc", OPENMETRICS},
        {"application/openmetrics-text;version", OPENMETRICS},
        {"text/x-other;escaping=dots,text/plain;q=0.5", TEXT "; escaping=dots"},
        {"application/openmetrics-text;x=\"not closed", OPENMETRICS},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        belfry_exposition how = {.name_count = 3};
        belfry_exposition_negotiate(cases[i].accept, &how);
        assert_string_equal(belfry_exposition_content_type(&how), cases[i].expected);
        assert_int_equal(how.name_count, 3); /* not its business */
    }
}

/* --- lines --- */

static bool append(void *arg, const char *bytes, size_t len)
{
    struct text *t = arg;
    belfry__text_append(t, bytes, len);
    return !t->failed;
}

static void assert_written(belfry_registry *r, const belfry_exposition *how, const char *expected)
{
    struct text t = {0};
    assert_int_equal(belfry_registry_write(r, how, append, &t), BELFRY_OK);
    belfry__text_byte(&t, '\0');
    assert_string_equal(t.ptr, expected);
    belfry__text_deinit(&t);
}

static void bounds_are_plain_in_text_and_canonical_in_openmetrics(void **state)
{
    static const double bounds[] = {1e-9, 0.00001, 0.0001, 0.1, 2.5, 30, 1000000, 1e21, 5e22};
    belfry_registry *r = belfry_registry_new();
    belfry_histogram *h;
    (void)state;
    assert_int_equal(belfry_histogram_new(&h, r, "h", NULL, bounds, 9), BELFRY_OK);
    assert_written(r, NULL,
                   "# TYPE h histogram\n"
                   "h_bucket{le=\"0.000000001\"} 0\nh_bucket{le=\"0.00001\"} 0\n"
                   "h_bucket{le=\"0.0001\"} 0\nh_bucket{le=\"0.1\"} 0\nh_bucket{le=\"2.5\"} 0\n"
                   "h_bucket{le=\"30\"} 0\nh_bucket{le=\"1000000\"} 0\nh_bucket{le=\"1e+21\"} 0\n"
                   "h_bucket{le=\"5e+22\"} 0\nh_bucket{le=\"+Inf\"} 0\nh_sum 0\nh_count 0\n");
    assert_written(r, &(belfry_exposition){.format = BELFRY_FORMAT_OPENMETRICS},
                   "# TYPE h histogram\n"
                   "h_bucket{le=\"1e-09\"} 0\nh_bucket{le=\"1e-05\"} 0\n"
                   "h_bucket{le=\"0.0001\"} 0\nh_bucket{le=\"0.1\"} 0\nh_bucket{le=\"2.5\"} 0\n"
                   "h_bucket{le=\"30.0\"} 0\nh_bucket{le=\"1e+06\"} 0\nh_bucket{le=\"1e+21\"} 0\n"
                   "h_bucket{le=\"5e+22\"} 0\nh_bucket{le=\"+Inf\"} 0\nh_sum 0\nh_count 0\n"
                   "# EOF\n");
    belfry_registry_free(r);
}

/* A sum that may fall is none in OpenMetrics; the text format has it all the same. */
static void negative_bounds_have_no_sum_in_openmetrics(void **state)
{
    static const double bounds[] = {-1, 0};
    belfry_registry *r = belfry_registry_new();
    belfry_histogram *h;
    (void)state;
    assert_int_equal(belfry_histogram_new(&h, r, "h", NULL, bounds, 2), BELFRY_OK);
    belfry_histogram_observe(h, -2);
    assert_written(r, NULL,
                   "# TYPE h histogram\nh_bucket{le=\"-1\"} 1\nh_bucket{le=\"0\"} 1\n"
                   "h_bucket{le=\"+Inf\"} 1\nh_sum -2\nh_count 1\n");
    assert_written(r, &(belfry_exposition){.format = BELFRY_FORMAT_OPENMETRICS},
                   "# TYPE h histogram\nh_bucket{le=\"-1.0\"} 1\nh_bucket{le=\"0.0\"} 1\n"
                   "h_bucket{le=\"+Inf\"} 1\n# EOF\n");
    belfry_registry_free(r);
}

/* Both would be the family x there: the counter is. */
static void a_counter_and_an_info_do_not_share_a_name(void **state)
{
    static const belfry_label build[] = {{"version", "1"}};
    belfry_registry *r = belfry_registry_new();
    belfry_counter *c;
    (void)state;
    assert_int_equal(belfry_counter_new(&c, r, "x_total", NULL), BELFRY_OK);
    assert_int_equal(belfry_info_new(r, "x_info", NULL, build, 1), BELFRY_OK);
    assert_int_equal(belfry_info_new(r, "y_info", NULL, build, 1), BELFRY_OK);
    assert_written(r, &(belfry_exposition){.format = BELFRY_FORMAT_OPENMETRICS},
                   "# TYPE x_info unknown\nx_info{version=\"1\"} 1\n"
                   "# TYPE x counter\nx_total 0\n"
                   "# TYPE y info\ny_info{version=\"1\"} 1\n# EOF\n");
    belfry_registry_free(r);
}

static void dots_and_values_escape_names(void **state)
{
    static const char *const names[] = {"http_code", "path"};
    static const char *const values[] = {"200", "/a_b"};
    belfry_registry *r = belfry_registry_new();
    belfry_gauge_family *f;
    (void)state;
    assert_int_equal(belfry_gauge_family_new(&f, r, "in_work", NULL, names, 2), BELFRY_OK);
    belfry_gauge_set(belfry_gauge_family_with(f, values), 4);
    static const char plain[] =
        "# TYPE in_work gauge\nin_work{http_code=\"200\",path=\"/a_b\"} 4\n";
    static const char dots[] =
        "# TYPE in__work gauge\nin__work{http__code=\"200\",path=\"/a_b\"} 4\n";
    assert_written(r, &(belfry_exposition){.escaping = BELFRY_ESCAPING_UNDERSCORES}, plain);
    assert_written(r, &(belfry_exposition){.escaping = BELFRY_ESCAPING_ALLOW_UTF8}, plain);
    assert_written(r, &(belfry_exposition){.escaping = BELFRY_ESCAPING_VALUES}, plain);
    assert_written(r, &(belfry_exposition){.escaping = BELFRY_ESCAPING_DOTS}, dots);
    belfry_registry_free(r);
}

/* Children that come and go between expositions, in any order: each exposition shows them sorted. */
static void children_stay_sorted_while_they_come_and_go(void **state)
{
    enum { NAMES = 40, ROUNDS = 300 };
    static const char *const names[] = {"n"};
    belfry_registry *r = belfry_registry_new();
    belfry_gauge_family *f;
    bool there[NAMES] = {false};
    uint64_t random = 88172645463325252u;
    (void)state;
    assert_int_equal(belfry_gauge_family_new(&f, r, "g", NULL, names, 1), BELFRY_OK);
    for (int round = 0; round < ROUNDS; round++) {
        struct text expected = {0};
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        unsigned n = (unsigned)(random % NAMES);
        char value[8];
        snprintf(value, sizeof(value), "%02u", n);
        const char *const values[] = {value};
        if (random % 101 == 0) {
            assert_int_equal(belfry_gauge_family_clear(f), BELFRY_OK);
            memset(there, 0, sizeof(there));
        } else if (there[n] && random % 3 == 0) {
            assert_int_equal(belfry_gauge_family_remove(f, values), BELFRY_OK);
            there[n] = false;
        } else {
            belfry_gauge_set(belfry_gauge_family_with(f, values), n);
            there[n] = true;
        }
        belfry__text_string(&expected, "# TYPE g gauge\n");
        for (unsigned i = 0; i < NAMES; i++) {
            char line[32];
            snprintf(line, sizeof(line), "g{n=\"%02u\"} %u\n", i, i);
            belfry__text_string(&expected, there[i] ? line : "");
        }
        belfry__text_byte(&expected, '\0');
        assert_written(r, NULL, expected.ptr);
        belfry__text_deinit(&expected);
    }
    belfry_registry_free(r);
}

/* A colon is plain in the name of a metric and not in that of a label. */
static void colons_are_for_metrics(void **state)
{
    static const struct {
        belfry_escaping escaping;
        const char *expected;
    } cases[] = {
        {BELFRY_ESCAPING_UNDERSCORES, "# TYPE a:b gauge\na:b{c_d=\"1\"} 0\n"},
        {BELFRY_ESCAPING_ALLOW_UTF8, "# TYPE a:b gauge\na:b{\"c:d\"=\"1\"} 0\n"},
        {BELFRY_ESCAPING_DOTS, "# TYPE a:b gauge\na:b{c__d=\"1\"} 0\n"},
        {BELFRY_ESCAPING_VALUES, "# TYPE a:b gauge\na:b{U__c_3a_d=\"1\"} 0\n"},
    };
    static const char *const names[] = {"c:d"}, *const values[] = {"1"};
    belfry_registry *r = belfry_registry_new();
    belfry_gauge_family *f;
    (void)state;
    assert_int_equal(belfry_gauge_family_new(&f, r, "a:b", NULL, names, 1), BELFRY_OK);
    assert_non_null(belfry_gauge_family_with(f, values));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_written(r, &(belfry_exposition){.escaping = cases[i].escaping}, cases[i].expected);
    belfry_registry_free(r);
}

static void collect_parts(void *arg, belfry_emitter *e)
{
    (void)arg;
    belfry_emit(e, "up", "Up.", BELFRY_GAUGE, 1);
    belfry_emit(e, "up_total", "", BELFRY_COUNTER, 2);
}

static void names_filter_whole_families(void **state)
{
    static const struct {
        const char *names[2], *expected;
    } cases[] = {
        {{"a_total"}, "# TYPE a_total counter\na_total 0\n"},
        {{"a"}, "# TYPE a_total counter\na_total 0\n"},
        {{"b_seconds_bucket"},
         "# TYPE b_seconds histogram\nb_seconds_bucket{le=\"1\"} 0\n"
         "b_seconds_bucket{le=\"+Inf\"} 0\nb_seconds_sum 0\nb_seconds_count 0\n"},
        {{"up_total", "a_total"},
         "# TYPE a_total counter\na_total 0\n# HELP up Up.\n# TYPE up gauge\nup 1\n"
         "# TYPE up_total counter\nup_total 2\n"},
        {{"b"}, ""},
        {{"b_seconds_bucke"}, ""},
        {{"a_total_more"}, ""},
        {{""}, ""},
    };
    static const double bounds[] = {1};
    belfry_registry *r = belfry_registry_new();
    belfry_counter *a;
    belfry_histogram *b;
    (void)state;
    assert_int_equal(belfry_counter_new(&a, r, "a_total", NULL), BELFRY_OK);
    assert_int_equal(belfry_histogram_new(&b, r, "b_seconds", NULL, bounds, 1), BELFRY_OK);
    assert_int_equal(belfry_collector_new(r, collect_parts, NULL, NULL), BELFRY_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        belfry_exposition how = {.names = cases[i].names, .name_count = 2};
        assert_written(r, &how, cases[i].expected);
    }
    belfry_registry_free(r);
}

static void collect_odd_labels(void *arg, belfry_emitter *e)
{
    static const belfry_label twice[] = {{"a", "1"}, {"a", "2"}}, constant[] = {{"zone", "us"}},
                              bound[] = {{"le", "1"}}, all[] = {{"le", "+Inf"}},
                              odd[] = {{"le", "x\"y"}}, half[] = {{"quantile", ".50"}},
                              reserved[] = {{"__a", "1"}}, null[] = {{"a", NULL}},
                              broken[] = {{"a", "\xff"}};
    (void)arg;
    belfry_emit_sample(e, NULL, NULL, 0, 1); /* of no family */
    belfry_emit_family(e, "bad", "Bad.", BELFRY_GAUGE);
    belfry_emit_sample(e, NULL, twice, 2, 1);
    belfry_emit_sample(e, NULL, constant, 1, 1);
    belfry_emit_sample(e, NULL, reserved, 1, 1);
    belfry_emit_sample(e, NULL, NULL, 1, 1);
    belfry_emit_family(e, "", "No name.", BELFRY_GAUGE);
    belfry_emit_sample(e, NULL, NULL, 0, 1);
    belfry_emit_family(e, "good", NULL, BELFRY_GAUGE);
    belfry_emit_sample(e, NULL, null, 1, 1);
    belfry_emit_sample(e, NULL, broken, 1, 2);
    belfry_emit_family(e, "h", NULL, BELFRY_HISTOGRAM);
    belfry_emit_sample(e, "_bucket", bound, 1, 1);
    belfry_emit_sample(e, "_bucket", all, 1, 2);
    belfry_emit_sample(e, "_bucket", odd, 1, 2);
    belfry_emit_family(e, "s", NULL, BELFRY_SUMMARY);
    belfry_emit_sample(e, NULL, half, 1, 3);
    belfry_emit_family(NULL, "n", NULL, BELFRY_GAUGE);
    belfry_emit_sample(NULL, NULL, NULL, 0, 1);
}

/* What a collector emits wrongly is left out; its bounds are canonical where the format asks for that. */
static void samples_of_collectors_are_checked(void **state)
{
    static const belfry_label zone = {"zone", "eu"};
    belfry_registry *r = belfry_registry_new();
    (void)state;
    assert_int_equal(belfry_registry_set_labels(r, &zone, 1), BELFRY_OK);
    assert_int_equal(belfry_collector_new(r, collect_odd_labels, NULL, NULL), BELFRY_OK);
    assert_written(r, NULL,
                   "# TYPE good gauge\ngood{zone=\"eu\",a=\"\"} 1\n"
                   "good{zone=\"eu\",a=\"\xef\xbf\xbd\"} 2\n"
                   "# TYPE h histogram\nh_bucket{zone=\"eu\",le=\"1\"} 1\n"
                   "h_bucket{zone=\"eu\",le=\"+Inf\"} 2\nh_bucket{zone=\"eu\",le=\"x\\\"y\"} 2\n"
                   "# TYPE s summary\ns{zone=\"eu\",quantile=\".50\"} 3\n");
    assert_written(r, &(belfry_exposition){.format = BELFRY_FORMAT_OPENMETRICS},
                   "# TYPE good gauge\ngood{zone=\"eu\",a=\"\"} 1\n"
                   "good{zone=\"eu\",a=\"\xef\xbf\xbd\"} 2\n"
                   "# TYPE h histogram\nh_bucket{zone=\"eu\",le=\"1.0\"} 1\n"
                   "h_bucket{zone=\"eu\",le=\"+Inf\"} 2\nh_bucket{zone=\"eu\",le=\"x\\\"y\"} 2\n"
                   "# TYPE s summary\ns{zone=\"eu\",quantile=\"0.5\"} 3\n# EOF\n");
    belfry_registry_free(r);
}

static void wrong_options_are_an_error(void **state)
{
    struct text t = {0};
    belfry_registry *r = belfry_registry_new();
    (void)state;
    belfry_exposition format = {.format = (belfry_format)5},
                      escaping = {.escaping = (belfry_escaping)-1}, names = {.name_count = 1};
    assert_int_equal(belfry_registry_write(r, &format, append, &t), BELFRY_ERROR_FORMAT);
    assert_int_equal(belfry_registry_write(r, &escaping, append, &t), BELFRY_ERROR_FORMAT);
    assert_int_equal(belfry_registry_write(r, &names, append, &t), BELFRY_ERROR_FORMAT);
    assert_int_equal(belfry_registry_write(r, NULL, NULL, &t), BELFRY_ERROR_FORMAT);
    assert_string_equal(belfry_exposition_content_type(&format), TEXT);
    assert_string_equal(belfry_exposition_content_type(NULL), TEXT);
    belfry_exposition_negotiate("text/plain", NULL);
    size_t len;
    assert_int_equal(belfry_registry_text(r, NULL, &len), BELFRY_ERROR_NULL);
    assert_null(t.ptr);
    belfry_registry_free(r);
}

/* --- protobuf: laid out again as text, by metrics.proto --- */

enum message { NONE, FAMILY, METRIC, LABEL, VALUE, SUMMARY, HISTOGRAM, PART, SPAN, EXEMPLAR, TIME };

/* Which fields hold messages, and which are zigzag. */
static const unsigned char INNER[][17] = {
    [FAMILY] = {[4] = METRIC},
    [METRIC] = {[1] = LABEL, [2] = VALUE, [3] = VALUE, [4] = SUMMARY, [5] = VALUE, [7] = HISTOGRAM},
    [VALUE] = {[2] = EXEMPLAR, [3] = TIME},
    [SUMMARY] = {[3] = PART, [4] = TIME},
    [HISTOGRAM] = {[3] = PART, [9] = SPAN, [12] = SPAN, [15] = TIME, [16] = EXEMPLAR},
    [PART] = {[3] = EXEMPLAR},
    [EXEMPLAR] = {[1] = LABEL, [3] = TIME},
    [TIME] = {0},
};

static bool is_zigzag(enum message m, uint32_t field)
{
    return (m == HISTOGRAM && (field == 5 || field == 10 || field == 13)) ||
           (m == SPAN && field == 1);
}

/* "now": within a minute of it. */
static void decode_time(struct text *out, struct view bytes)
{
    struct reader r = reader_from(bytes);
    struct protobuf_field f;
    assert_true(protobuf_next(&r, &f) && protobuf_is(&f, 1, PROTOBUF_VARINT));
    int64_t age = (int64_t)time(NULL) - (int64_t)f.value;
    assert_true(age >= -1 && age < 60);
    assert_true(protobuf_next(&r, &f) && protobuf_is(&f, 2, PROTOBUF_VARINT));
    assert_true(f.value < 1000000000 && !protobuf_next(&r, &f) && !r.failed);
    belfry__text_string(out, "now");
}

static void decode(struct text *out, struct view bytes, enum message m)
{
    struct reader r = reader_from(bytes);
    struct protobuf_field f;
    const char *blank = "";
    while (protobuf_next(&r, &f)) {
        double d;
        assert_true(f.number < 17);
        memcpy(&d, &f.value, sizeof(d));
        belfry__text_string(out, blank);
        blank = " ";
        belfry__text_unsigned(out, f.number);
        belfry__text_byte(out, ':');
        if (f.wire == PROTOBUF_VARINT && is_zigzag(m, f.number)) {
            belfry__text_signed(out, (int64_t)(f.value >> 1) ^ -(int64_t)(f.value & 1));
        } else if (f.wire == PROTOBUF_VARINT) {
            belfry__text_unsigned(out, f.value);
        } else if (f.wire == PROTOBUF_FIXED64) {
            belfry__text_double(out, d);
        } else if (INNER[m][f.number] == TIME) {
            decode_time(out, f.bytes);
        } else if (INNER[m][f.number]) {
            belfry__text_byte(out, '{');
            decode(out, f.bytes, (enum message)INNER[m][f.number]);
            belfry__text_byte(out, '}');
        } else {
            belfry__text_append(out, f.bytes.ptr, f.bytes.len);
        }
    }
    assert_false(r.failed);
}

static void assert_protobuf(belfry_registry *r, belfry_exposition how, const char *expected)
{
    struct text t = {0}, shown = {0};
    how.format = BELFRY_FORMAT_PROTOBUF;
    assert_int_equal(belfry_registry_write(r, &how, append, &t), BELFRY_OK);
    struct reader reader = reader_from((struct view){t.ptr, t.len});
    while (reader_left(&reader)) {
        decode(&shown, reader_string(&reader, 1 << 28), FAMILY);
        belfry__text_byte(&shown, '\n');
    }
    assert_false(reader.failed);
    belfry__text_byte(&shown, '\0');
    assert_string_equal(shown.ptr, expected);
    belfry__text_deinit(&t);
    belfry__text_deinit(&shown);
}

/* Names beyond the legacy characters, as Prometheus 3 and its libraries write them; _total is of the written name. */
static void utf8_names_are_quoted_or_escaped(void **state)
{
    static const struct {
        belfry_escaping escaping;
        belfry_format format;
        const char *expected;
    } cases[] = {
        {BELFRY_ESCAPING_DEFAULT, BELFRY_FORMAT_TEXT,
         "# HELP a_b__total H.\n# TYPE a_b__total counter\n"
         "a_b__total{zone_id=\"eu\",Gr__e=\"q\\\"\",plain=\"x\"} 1\n"
         "# TYPE ok histogram\nok_bucket{zone_id=\"eu\",le=\"1\"} 0\n"
         "ok_bucket{zone_id=\"eu\",le=\"+Inf\"} 0\nok_sum{zone_id=\"eu\"} 0\n"
         "ok_count{zone_id=\"eu\"} 0\n"
         "# TYPE _x_ gauge\n_x_{zone_id=\"eu\"} 2\n"},
        {BELFRY_ESCAPING_ALLOW_UTF8, BELFRY_FORMAT_TEXT_1_0_0,
         "# HELP \"a.b\\\"_total\" H.\n# TYPE \"a.b\\\"_total\" counter\n"
         "{\"a.b\\\"_total\",\"zone.id\"=\"eu\",\"Größe\"=\"q\\\"\",plain=\"x\"} 1\n"
         "# TYPE ok histogram\nok_bucket{\"zone.id\"=\"eu\",le=\"1\"} 0\n"
         "ok_bucket{\"zone.id\"=\"eu\",le=\"+Inf\"} 0\nok_sum{\"zone.id\"=\"eu\"} 0\n"
         "ok_count{\"zone.id\"=\"eu\"} 0\n"
         "# TYPE \"€x\\n\" gauge\n{\"€x\\n\",\"zone.id\"=\"eu\"} 2\n"},
        {BELFRY_ESCAPING_ALLOW_UTF8, BELFRY_FORMAT_OPENMETRICS,
         "# HELP \"a.b\\\"\" H.\n# TYPE \"a.b\\\"\" counter\n"
         "{\"a.b\\\"_total\",\"zone.id\"=\"eu\",\"Größe\"=\"q\\\"\",plain=\"x\"} 1\n"
         "# TYPE ok histogram\nok_bucket{\"zone.id\"=\"eu\",le=\"1.0\"} 0\n"
         "ok_bucket{\"zone.id\"=\"eu\",le=\"+Inf\"} 0\nok_sum{\"zone.id\"=\"eu\"} 0\n"
         "ok_count{\"zone.id\"=\"eu\"} 0\n"
         "# TYPE \"€x\\n\" gauge\n{\"€x\\n\",\"zone.id\"=\"eu\"} 2\n# EOF\n"},
        {BELFRY_ESCAPING_DOTS, BELFRY_FORMAT_OPENMETRICS,
         "# HELP a_dot_b___ H.\n# TYPE a_dot_b___ counter\n"
         "a_dot_b____total{zone_dot_id=\"eu\",Gr____e=\"q\\\"\",plain=\"x\"} 1\n"
         "# TYPE ok histogram\nok_bucket{zone_dot_id=\"eu\",le=\"1.0\"} 0\n"
         "ok_bucket{zone_dot_id=\"eu\",le=\"+Inf\"} 0\nok_sum{zone_dot_id=\"eu\"} 0\n"
         "ok_count{zone_dot_id=\"eu\"} 0\n"
         "# TYPE __x__ gauge\n__x__{zone_dot_id=\"eu\"} 2\n# EOF\n"},
        {BELFRY_ESCAPING_VALUES, BELFRY_FORMAT_TEXT,
         "# HELP U__a_2e_b_22___total H.\n# TYPE U__a_2e_b_22___total counter\n"
         "U__a_2e_b_22___total{U__zone_2e_id=\"eu\",U__Gr_f6__df_e=\"q\\\"\",plain=\"x\"} 1\n"
         "# TYPE ok histogram\nok_bucket{U__zone_2e_id=\"eu\",le=\"1\"} 0\n"
         "ok_bucket{U__zone_2e_id=\"eu\",le=\"+Inf\"} 0\nok_sum{U__zone_2e_id=\"eu\"} 0\n"
         "ok_count{U__zone_2e_id=\"eu\"} 0\n"
         "# TYPE U___20ac_x_a_ gauge\nU___20ac_x_a_{U__zone_2e_id=\"eu\"} 2\n"},
    };
    static const char *const names[] = {"Größe", "plain"}, *const values[] = {"q\"", "x"};
    static const belfry_label zone = {"zone.id", "eu"};
    static const double bounds[] = {1};
    belfry_registry *r = belfry_registry_new();
    belfry_counter_family *f;
    belfry_histogram *h;
    belfry_gauge *g;
    (void)state;
    assert_int_equal(belfry_registry_set_labels(r, &zone, 1), BELFRY_OK);
    assert_int_equal(belfry_counter_family_new(&f, r, "a.b\"_total", "H.", names, 2), BELFRY_OK);
    assert_int_equal(belfry_histogram_new(&h, r, "ok", NULL, bounds, 1), BELFRY_OK);
    assert_int_equal(belfry_gauge_new(&g, r, "€x\n", NULL), BELFRY_OK);
    belfry_counter_inc(belfry_counter_family_with(f, values));
    belfry_gauge_set(g, 2);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_written(
            r, &(belfry_exposition){.format = cases[i].format, .escaping = cases[i].escaping},
            cases[i].expected);
    assert_protobuf(r, (belfry_exposition){.escaping = BELFRY_ESCAPING_ALLOW_UTF8},
                    "1:a.b\"_total 2:H. 3:0 4:{1:{1:zone.id 2:eu} 1:{1:Größe 2:q\"} "
                    "1:{1:plain 2:x} 3:{1:1 3:now}}\n"
                    "1:ok 3:4 4:{1:{1:zone.id 2:eu} 7:{1:0 2:0 3:{1:0 2:1} 15:now}}\n"
                    "1:€x\n 3:1 4:{1:{1:zone.id 2:eu} 2:{1:2}}\n");
    assert_protobuf(r, (belfry_exposition){.names = (const char *const[]){"ok"}, .name_count = 1},
                    "1:ok 3:4 4:{1:{1:zone_id 2:eu} 7:{1:0 2:0 3:{1:0 2:1} 15:now}}\n");
    belfry_registry_free(r);
}

static void protobuf_holds_registered_metrics(void **state)
{
    static const char *const names[] = {"path", "code"};
    static const double bounds[] = {0.5, 2};
    belfry_registry *r = belfry_registry_new();
    belfry_counter_family *f;
    belfry_gauge *g;
    belfry_histogram *h;
    (void)state;
    assert_int_equal(belfry_counter_family_new(&f, r, "a_total", "Say\n\"a\".", names, 2),
                     BELFRY_OK);
    assert_int_equal(belfry_gauge_new(&g, r, "g", NULL), BELFRY_OK);
    assert_int_equal(belfry_histogram_new(&h, r, "h", NULL, bounds, 2), BELFRY_OK);
    belfry_counter_add(belfry_counter_family_with(f, (const char *const[]){"/b", "200"}), 7);
    belfry_counter_inc(belfry_counter_family_with(f, (const char *const[]){"/a\"", "500"}));
    belfry_gauge_set(g, -INFINITY);
    belfry_histogram_observe(h, 0.5);
    belfry_histogram_observe(h, 1);
    belfry_histogram_observe(h, 300);
    assert_protobuf(r, (belfry_exposition){0},
                    "1:a_total 2:Say\n\"a\". 3:0 "
                    "4:{1:{1:path 2:/a\"} 1:{1:code 2:500} 3:{1:1 3:now}} "
                    "4:{1:{1:path 2:/b} 1:{1:code 2:200} 3:{1:7 3:now}}\n"
                    "1:g 3:1 4:{2:{1:-Inf}}\n"
                    "1:h 3:4 4:{7:{1:3 2:301.5 3:{1:1 2:0.5} 3:{1:2 2:2} 15:now}}\n");
    belfry_registry_free(r);
}

/* Schema 0: the bucket with key k ends at 2^k. Up to two empty buckets are written, more make a new span. */
static void protobuf_holds_native_histograms(void **state)
{
    static const struct {
        const char *name, *expected;
        double factor, zero_threshold, values[8];
    } cases[] = {
        {"apart",
         "1:8 2:106 5:0 6:2.938735877055719e-39 7:1 9:{1:0 2:1} 10:2 "
         "12:{1:0 2:3} 12:{1:4 2:1} 13:1 13:1 13:-1 13:0",
         2,
         0,
         {1, 2, 2, 3, 100, -1, 0, -1}},
        {"near",
         "1:8 2:91 5:0 6:0.5 7:3 12:{1:0 2:8} 13:1 13:0 13:0 13:-1 13:1 13:-1 13:0 13:1",
         2,
         0.5,
         {1, 2, 3, 16, 70, -0.5, -0.5, 0}},
        {"fine", "1:8 2:8 5:3 6:0 7:0 12:{1:0 2:1} 13:8", 1.1, -1, {1, 1, 1, 1, 1, 1, 1, 1}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char expected[512];
        belfry_registry *r = belfry_registry_new();
        belfry_histogram *h;
        belfry_histogram_options options = {.native_factor = cases[i].factor,
                                            .native_zero_threshold = cases[i].zero_threshold};
        assert_int_equal(belfry_histogram_new_with(&h, r, "h", NULL, &options), BELFRY_OK);
        for (size_t k = 0; k < 8; k++)
            assert_int_equal(belfry_histogram_observe(h, cases[i].values[k]), BELFRY_OK);
        snprintf(expected, sizeof(expected), "1:h 3:4 4:{7:{%s 15:now}}\n", cases[i].expected);
        assert_protobuf(r, (belfry_exposition){0}, expected);
        belfry_registry_free(r);
    }
    /* nothing observed, and no zero threshold to be known by */
    belfry_registry *r = belfry_registry_new();
    belfry_histogram *h;
    belfry_histogram_options options = {.native_factor = 2, .native_zero_threshold = -1};
    assert_int_equal(belfry_histogram_new_with(&h, r, "h", NULL, &options), BELFRY_OK);
    assert_protobuf(r, (belfry_exposition){0},
                    "1:h 3:4 4:{7:{1:0 2:0 5:0 6:0 7:0 12:{1:0 2:0} 15:now}}\n");
    belfry_registry_free(r);
}

static void protobuf_holds_exemplars_units_and_summaries(void **state)
{
    static const double bounds[] = {0.5};
    static const belfry_label trace[] = {{"trace_id", "ab\"c"}, {"span_id", "1"}};
    static const double quantiles[] = {0.5};
    belfry_histogram_options classic = {.bounds = bounds, .bound_count = 1},
                             native = {.native_factor = 2};
    belfry_summary_options summed = {.quantiles = quantiles, .quantile_count = 1};
    belfry_registry *r = belfry_registry_new();
    belfry_counter *c;
    belfry_histogram *h, *n;
    belfry_summary *s;
    (void)state;
    assert_int_equal(belfry_counter_new(&c, r, "c_bytes_total", NULL), BELFRY_OK);
    assert_int_equal(belfry_set_unit(r, "c_bytes_total", "bytes"), BELFRY_OK);
    assert_int_equal(belfry_histogram_new_with(&h, r, "h", NULL, &classic), BELFRY_OK);
    assert_int_equal(belfry_histogram_new_with(&n, r, "n", NULL, &native), BELFRY_OK);
    assert_int_equal(belfry_summary_new(&s, r, "s", NULL, &summed), BELFRY_OK);
    assert_int_equal(belfry_counter_add_exemplar(c, 3, trace, 2), BELFRY_OK);
    assert_int_equal(belfry_histogram_observe(h, 0.25), BELFRY_OK);
    assert_int_equal(belfry_histogram_observe_exemplar(h, 8, trace, 1), BELFRY_OK);
    assert_int_equal(belfry_histogram_observe_exemplar(n, 4, trace, 1), BELFRY_OK);
    assert_protobuf(
        r, (belfry_exposition){0},
        "1:c_bytes_total 3:0 5:bytes 4:{3:{1:3 2:{1:{1:trace_id 2:ab\"c} 1:{1:span_id 2:1} 2:3 "
        "3:now} 3:now}}\n"
        "1:h 3:4 4:{7:{1:2 2:8.25 3:{1:1 2:0.5} 3:{1:2 2:+Inf 3:{1:{1:trace_id 2:ab\"c} 2:8 "
        "3:now}} "
        "15:now}}\n"
        "1:n 3:4 4:{7:{1:1 2:4 5:0 6:2.938735877055719e-39 7:0 12:{1:2 2:1} 13:1 "
        "16:{1:{1:trace_id 2:ab\"c} 2:4 3:now} 15:now}}\n"
        "1:s 3:2 4:{4:{1:0 2:0 3:{1:0.5 2:NaN} 4:now}}\n");
    belfry_registry_free(r);
}

static void collect_messages(void *arg, belfry_emitter *e)
{
    static const belfry_label low[] = {{"x", "1"}, {"quantile", "0.5"}},
                              high[] = {{"x", "1"}, {"quantile", "0.99"}}, one[] = {{"x", "1"}},
                              two[] = {{"x", "2"}}, small[] = {{"le", "0.25"}},
                              all[] = {{"le", "+Inf"}}, odd[] = {{"le", "much"}};
    (void)arg;
    belfry_emit_family(e, "s", "S.", BELFRY_SUMMARY);
    belfry_emit_sample(e, NULL, low, 2, 0.1);
    belfry_emit_sample(e, NULL, high, 2, 0.2);
    belfry_emit_sample(e, "_sum", one, 1, 12.5);
    belfry_emit_sample(e, "_count", one, 1, 40);
    belfry_emit_sample(e, "_sum", two, 1, 1);
    belfry_emit_sample(e, "_count", two, 1, -3); /* no number of observations */
    belfry_emit_family(e, "h", "", BELFRY_HISTOGRAM);
    belfry_emit_sample(e, "_bucket", small, 1, 1);
    belfry_emit_sample(e, "_bucket", all, 1, 2);
    belfry_emit_sample(e, "_bucket", odd, 1, 2);
    belfry_emit_sample(e, "_sum", NULL, 0, 3);
    belfry_emit_sample(e, "_count", NULL, 0, 2);
    belfry_emit_family(e, "none", "Nothing found.", BELFRY_GAUGE);
    belfry_emit(e, "u", "", BELFRY_UNTYPED, 5);
}

static void protobuf_puts_samples_of_collectors_together(void **state)
{
    belfry_registry *r = belfry_registry_new();
    (void)state;
    assert_int_equal(belfry_collector_new(r, collect_messages, NULL, NULL), BELFRY_OK);
    assert_protobuf(r, (belfry_exposition){0},
                    "1:h 3:4 4:{7:{3:{1:1 2:0.25} 3:{1:2 2:+Inf} 3:{1:2 2:NaN} 1:2 2:3}}\n"
                    "1:s 2:S. 3:2 4:{1:{1:x 2:1} 4:{3:{1:0.5 2:0.1} 3:{1:0.99 2:0.2} 1:40 2:12.5}} "
                    "4:{1:{1:x 2:2} 4:{1:0 2:1}}\n"
                    "1:u 3:3 4:{5:{1:5}}\n");
    belfry_registry_free(r);
}

/* Lengths of one byte and of more; a family far beyond a piece comes whole. */
static void protobuf_lengths_grow_with_what_they_measure(void **state)
{
    static const char *const names[] = {"n"};
    belfry_registry *r = belfry_registry_new();
    belfry_gauge_family *f;
    struct text expected = {0};
    char value[1001];
    (void)state;
    assert_int_equal(belfry_gauge_family_new(&f, r, "g", NULL, names, 1), BELFRY_OK);
    belfry__text_string(&expected, "1:g 3:1");
    for (size_t len = 1; len < sizeof(value); len++) {
        memset(value, 'x', len);
        value[len] = '\0';
        belfry_gauge_set(belfry_gauge_family_with(f, (const char *const[]){value}), (double)len);
        belfry__text_string(&expected, " 4:{1:{1:n 2:");
        belfry__text_string(&expected, value);
        belfry__text_string(&expected, "} 2:{1:");
        belfry__text_unsigned(&expected, len);
        belfry__text_string(&expected, "}}");
    }
    belfry__text_append(&expected, "\n", 2);
    assert_protobuf(r, (belfry_exposition){0}, expected.ptr);
    belfry__text_deinit(&expected);
    belfry_registry_free(r);
}

/* --- numbers --- */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* NaN when it cannot be read: rounded up, the largest has no double. */
static double read_back(const char *text)
{
    double v;
    return float_parse(view_from(text), &v) ? v : NAN;
}

static size_t digits_in(const char *text)
{
    size_t count = 0, zeros = 0;
    for (; *text && *text != 'e'; text++) {
        bool is_digit = *text >= '0' && *text <= '9';
        if (is_digit && (*text != '0' || count)) {
            zeros = *text == '0' ? zeros + 1 : 0;
            count++;
        }
    }
    return count - zeros;
}

static void assert_shortest(double v)
{
    char text[NUMBER_TEXT_BYTES + 1], brief[64];
    text[belfry__put_double(text, v)] = '\0';
    assert_true(read_back(text) == v);
    assert_true(belfry__read_double(text) == v);
    int digits = 1;
    do
        snprintf(brief, sizeof(brief), "%.*e", digits - 1, v);
    while (read_back(brief) != v && digits++ < 17);
    if (digits_in(text) > digits_in(brief))
        fail_msg("%s is longer than %s", text, brief);
    text[belfry__put_double_plain(text, v)] = '\0';
    assert_true(read_back(text) == v);
    text[belfry__put_double_canonical(text, v)] = '\0';
    assert_true(read_back(text) == v);
    assert_non_null(strpbrk(text, ".e"));
}

/* Against printf with ever more digits: all magnitudes, decimals, neighbours of powers of two. */
static void numbers_are_the_shortest_that_read_back(void **state)
{
    uint64_t random = 88172645463325252u;
    (void)state;
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = next_random(&random);
        double v, scale = (double)(next_random(&random) % 1000000 + 1);
        memcpy(&v, &bits, sizeof(v));
        if (isfinite(v) && v != 0)
            assert_shortest(fabs(v));
        assert_shortest((double)(bits % 100000000) / scale + 0.001);
        assert_shortest(ldexp((double)(bits >> 11 | UINT64_C(1) << 52), -(int)(bits % 103)));
    }
    for (int exponent = -60; exponent < 60; exponent++) {
        double v = ldexp(1, exponent);
        assert_shortest(v);
        assert_shortest(nextafter(v, 0));
        assert_shortest(nextafter(v, INFINITY));
        assert_shortest(pow(10, exponent / 3.0));
    }
    assert_shortest(5e-324);
    assert_shortest(1.7976931348623157e308);
}

static void numbers_have_three_forms(void **state)
{
    static const struct {
        double v;
        const char *text, *plain, *canonical;
    } cases[] = {
        {0, "0", "0", "0.0"},
        {-0.0, "-0", "-0", "-0.0"},
        {1, "1", "1", "1.0"},
        {-12.5, "-12.5", "-12.5", "-12.5"},
        {123456, "123456", "123456", "123456.0"},
        {1234567, "1234567", "1234567", "1.234567e+06"},
        {0.0001, "0.0001", "0.0001", "0.0001"},
        {0.00001, "0.00001", "0.00001", "1e-05"},
        {1e-7, "1e-07", "0.0000001", "1e-07"},
        {9007199254740993.0, "9007199254740992", "9007199254740992", "9.007199254740992e+15"},
        {1e22, "1e+22", "1e+22", "1e+22"},
        {1.5e300, "1.5e+300", "1.5e+300", "1.5e+300"},
        {0.1 + 0.2, "0.30000000000000004", "0.30000000000000004", "0.30000000000000004"},
        {INFINITY, "+Inf", "+Inf", "+Inf"},
        {-INFINITY, "-Inf", "-Inf", "-Inf"},
        {NAN, "NaN", "NaN", "NaN"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[NUMBER_TEXT_BYTES + 1];
        text[belfry__put_double(text, cases[i].v)] = '\0';
        assert_string_equal(text, cases[i].text);
        text[belfry__put_double_plain(text, cases[i].v)] = '\0';
        assert_string_equal(text, cases[i].plain);
        text[belfry__put_double_canonical(text, cases[i].v)] = '\0';
        assert_string_equal(text, cases[i].canonical);
    }
    static const char *const none[] = {"", ".", "-", "1x", "e5", "1e", "0x1", " 1", "1e99999999"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_true(isnan(belfry__read_double(none[i])));
    assert_true(belfry__read_double("-.5e+1") == -5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accept_decides_the_content_type),
        cmocka_unit_test(bounds_are_plain_in_text_and_canonical_in_openmetrics),
        cmocka_unit_test(negative_bounds_have_no_sum_in_openmetrics),
        cmocka_unit_test(a_counter_and_an_info_do_not_share_a_name),
        cmocka_unit_test(dots_and_values_escape_names),
        cmocka_unit_test(utf8_names_are_quoted_or_escaped),
        cmocka_unit_test(children_stay_sorted_while_they_come_and_go),
        cmocka_unit_test(colons_are_for_metrics),
        cmocka_unit_test(names_filter_whole_families),
        cmocka_unit_test(samples_of_collectors_are_checked),
        cmocka_unit_test(wrong_options_are_an_error),
        cmocka_unit_test(protobuf_holds_registered_metrics),
        cmocka_unit_test(protobuf_holds_native_histograms),
        cmocka_unit_test(protobuf_holds_exemplars_units_and_summaries),
        cmocka_unit_test(protobuf_puts_samples_of_collectors_together),
        cmocka_unit_test(protobuf_lengths_grow_with_what_they_measure),
        cmocka_unit_test(numbers_are_the_shortest_that_read_back),
        cmocka_unit_test(numbers_have_three_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
