/* SPDX-License-Identifier: Apache-2.0 */
/* scrape_test.c: the whole scraper against servers in this process that behave well and badly, and a
 * storage that remembers rows as text. Intervals are an hour: tests say when to scrape. */
#include "ingest/scrape.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "fake_storage.h"
#include "ingest/scrape_body.h"
#include "model/exposition.h"
#include "peer.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

struct world {
    struct peer *peer;
    struct db *db;
    struct scrape_manager *manager;
    struct buffer text;
};

static void world_open(struct world *w)
{
    struct error err;
    w->peer = peer_start();
    w->db = fake_db_new();
    buffer_init(&w->text, MEM_OTHER, 1 << 24);
    if (!scrape_manager_start(&w->manager, w->db, &(struct scrape_options){.thread_count = 2},
                              &err))
        fail_msg("%s", err.message);
}

static void world_close(struct world *w)
{
    scrape_manager_stop(w->manager);
    assert_int_equal(fake_db_open_count(w->db), 0);
    peer_stop(w->peer);
    fake_db_free(w->db);
    buffer_deinit(&w->text);
}

/* A configuration in which PORT is the peer's. */
static void apply(struct world *w, const char *yaml)
{
    struct buffer text;
    struct config *config;
    struct error err;
    buffer_init(&text, MEM_OTHER, 1 << 20);
    for (const char *at = yaml; *at;) {
        const char *port = strstr(at, "PORT");
        size_t len = port ? (size_t)(port - at) : strlen(at);
        buffer_append(&text, at, len);
        if (port)
            buffer_printf(&text, "%d", peer_port(w->peer));
        at += len + (port ? 4 : 0);
    }
    if (!config_load_text(buffer_view(&text), "", "test.yml", &config, &err))
        fail_msg("%s", err.message);
    scrape_manager_apply(w->manager, config);
    config_unref(config);
    buffer_deinit(&text);
}

#define JOB                                                                                        \
    "global: {scrape_interval: 1h, scrape_timeout: 10s}\n"                                         \
    "scrape_configs:\n"                                                                            \
    "- job_name: j\n"                                                                              \
    "  static_configs: [{targets: ['127.0.0.1:PORT'], labels: {zone: eu}}]\n"

/* What the last row is, with the port as PORT. */
static const char *last_row(struct world *w, const char *suffix)
{
    struct buffer row;
    char instance[64];
    buffer_init(&row, MEM_OTHER, 1 << 24);
    fake_db_last_row(w->db, suffix, &row);
    buffer_append_byte(&row, 0);
    snprintf(instance, sizeof instance, "127.0.0.1:%d", peer_port(w->peer));
    buffer_reset(&w->text);
    for (const char *at = row.ptr, *hit; *at; at = hit) {
        hit = strstr(at, instance);
        size_t len = hit ? (size_t)(hit - at) : strlen(at);
        buffer_append(&w->text, at, len);
        if (hit)
            buffer_append_literal(&w->text, "I");
        hit = hit ? hit + strlen(instance) : at + len;
    }
    buffer_append_byte(&w->text, 0);
    buffer_deinit(&row);
    return w->text.ptr;
}

static void assert_row(struct world *w, const char *want)
{
    const char *got = last_row(w, "\"}");
    if (strcmp(got, want) != 0)
        fail_msg("got:\n%swant:\n%s", got, want);
}

/* The only target's last error. */
static const char *last_error(struct world *w, enum scrape_health *health)
{
    static char text[2048];
    struct arena arena;
    struct scrape_targets targets;
    arena_init(&arena, MEM_OTHER, 0);
    scrape_targets_get(w->manager, &arena, &targets);
    assert_int_equal(targets.active_count, 1);
    snprintf(text, sizeof text, "%.*s", VIEW_ARGS(targets.items[0].last_error));
    if (health)
        *health = targets.items[0].health;
    scrape_targets_release(&targets);
    arena_deinit(&arena);
    return text;
}

static struct scrape_stats stats(struct world *w)
{
    struct scrape_stats s;
    scrape_stats_get(w->manager, &s);
    return s;
}

#define LABELS "{instance=\"I\",job=\"j\",zone=\"eu\"}"

static void a_scrape_is_one_row_with_the_targets_labels(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    apply(&w, JOB);
    peer_set_text(w.peer, "# HELP a_total What \\n a is.\n# TYPE a_total counter\na_total 1\n"
                          "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\n"
                          "# TYPE s summary\ns{quantile=\"0.50\"} 4\nother{le=\"1\"} 5\n");
    scrape_manager_scrape_now(w.manager);
    assert_row(&w, "a_total" LABELS " 1\n"
                   "h_bucket{instance=\"I\",job=\"j\",le=\"+Inf\",zone=\"eu\"} 3\n"
                   "h_bucket{instance=\"I\",job=\"j\",le=\"1.0\",zone=\"eu\"} 2\n"
                   "other{instance=\"I\",job=\"j\",le=\"1\",zone=\"eu\"} 5\n"
                   "s{instance=\"I\",job=\"j\",quantile=\"0.5\",zone=\"eu\"} 4\n"
                   "up" LABELS " 1\n");
    enum scrape_health health;
    assert_string_equal(last_error(&w, &health), "");
    assert_int_equal(health, SCRAPE_UP);
    buffer_reset(&w.text);
    fake_db_metadata(w.db, &w.text);
    buffer_append_byte(&w.text, 0);
    assert_string_equal(w.text.ptr,
                        "a_total counter [What \n a is.] []\nh histogram [] []\ns summary [] []\n");
    world_close(&w);
}

static void set_openmetrics(struct world *w, const char *body)
{
    peer_set(w->peer, PEER_ANSWER, "200 OK",
             "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n",
             view_from(body));
}

/* The answer decides: what is said in one format and then in the other is the same series, and goes when it is no
 * longer said. */
static void the_answers_type_decides_how_it_is_read(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    apply(&w, JOB);
    static const char BODY[] = "# TYPE a counter\na_total{b=\"c\"} 1 # {t=\"1\"} 2\n"
                               "# TYPE h_seconds histogram\n# UNIT h_seconds seconds\n"
                               "h_seconds_bucket{le=\"1\"} 2\nh_seconds_created 5.5\n"
                               "# HELP q say \\\"it\\\"\n{\"q.x\"} 7\n# EOF\n";
    static const char ROW[] =
        "a_total{b=\"c\",instance=\"I\",job=\"j\",zone=\"eu\"} 1\n"
        "h_seconds_bucket{instance=\"I\",job=\"j\",le=\"1.0\",zone=\"eu\"} 2\n"
        "h_seconds_created" LABELS " 5.5\nup" LABELS " 1\n"
        "{\"q.x\",instance=\"I\",job=\"j\",zone=\"eu\"} 7\n";
    for (int i = 0; i < 3; i++) {
        set_openmetrics(&w, BODY);
        scrape_manager_scrape_now(w.manager);
        assert_string_equal(last_error(&w, NULL), "");
        assert_row(&w, ROW);
    }
    assert_true(stats(&w).lines_known >= 8);
    buffer_reset(&w.text);
    fake_db_exemplars(w.db, &w.text);
    buffer_append_byte(&w.text, 0);
    size_t exemplars = 0;
    for (const char *at = w.text.ptr; (at = strstr(at, " # {t=\"1\"} 2 @")) != NULL; at++)
        exemplars++;
    assert_int_equal(exemplars, 3); /* one a scrape: what is no news is storage's to say */
    assert_non_null(strstr(w.text.ptr, "a_total{b=\"c\",instance=\""));
    buffer_reset(&w.text);
    fake_db_metadata(w.db, &w.text);
    buffer_append_byte(&w.text, 0);
    assert_string_equal(w.text.ptr, "a counter [] []\nh_seconds histogram [] [seconds]\n"
                                    "q unknown [say \"it\"] []\n");
    peer_set_text(w.peer, "a_total{b=\"c\"} 3\nh_seconds_created 5.5\n# EOF\n# or not\n");
    scrape_manager_scrape_now(w.manager);
    assert_row(&w, "a_total{b=\"c\",instance=\"I\",job=\"j\",zone=\"eu\"} 3\n"
                   "h_seconds_bucket{instance=\"I\",job=\"j\",le=\"1.0\",zone=\"eu\"} stale\n"
                   "h_seconds_created" LABELS " 5.5\nup" LABELS " 1\n"
                   "{\"q.x\",instance=\"I\",job=\"j\",zone=\"eu\"} stale\n");
    assert_int_equal(fake_db_released_count(w.db), 2);
    set_openmetrics(&w, "a_total{b=\"c\"} 4\n# EOF\n# or not\n");
    scrape_manager_scrape_now(w.manager);
    assert_string_equal(last_error(&w, NULL),
                        "line 2, column 6: data after # EOF in line \"# EOF\"");
    world_close(&w);
}

/* What is gone gets one marker; a failed scrape ends all but up; the connection is kept. */
static void what_is_missing_becomes_stale_once(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    apply(&w, JOB);
    peer_set_text(w.peer, "a 1\nb 2\nc 3\n");
    scrape_manager_scrape_now(w.manager);
    peer_set_text(w.peer, "a 1\nc 3\n");
    scrape_manager_scrape_now(w.manager);
    assert_row(&w, "a" LABELS " 1\nb" LABELS " stale\nc" LABELS " 3\nup" LABELS " 1\n");
    scrape_manager_scrape_now(w.manager);
    assert_row(&w, "a" LABELS " 1\nc" LABELS " 3\nup" LABELS " 1\n");
    assert_int_equal(peer_connection_count(w.peer), 1);
    assert_int_equal(stats(&w).lines_known, 1 + 2);
    peer_set(w.peer, PEER_ANSWER, "503 Not Now", "", VIEW("later"));
    scrape_manager_scrape_now(w.manager);
    assert_row(&w, "a" LABELS " stale\nc" LABELS " stale\nup" LABELS " 0\n");
    peer_set_text(w.peer, "a 1\nc 3\n");
    scrape_manager_scrape_now(w.manager);
    assert_row(&w, "a" LABELS " 1\nc" LABELS " 3\nup" LABELS " 1\n");
    peer_set_text(w.peer, "");
    scrape_manager_scrape_now(w.manager);
    assert_row(&w, "a" LABELS " stale\nc" LABELS " stale\nup" LABELS " 1\n");
    world_close(&w);
}

#define TEXT_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"

static const struct {
    const char *name, *job; /* added to the job */
    enum peer_manner manner;
    const char *status, *headers, *body;
    const char *error; /* how the last error begins */
    enum scrape_failure kind;
} FAILURES[] = {
    {"status", "", PEER_ANSWER, "500 Oh no", "", "x", "server returned HTTP status 500 Oh no",
     SCRAPE_FAILURE_STATUS},
    {"parse", "", PEER_ANSWER, "200 OK", "Content-Type: text/plain\r\n", "a 1\nb{c='d'} 2\n",
     "line 2, column 5: expected a quoted label value, found \"'\" in line \"b{c='d'} 2\"",
     SCRAPE_FAILURE_PARSE},
    {"duplicate label", "", PEER_ANSWER, "200 OK", "Content-Type: text/plain\r\n",
     "a 1\nb{c=\"1\",c=\"2\"} 2\n",
     "line 2: label name \"c\" is there twice in line \"b{c=\"1\",c=\"2\"}\"",
     SCRAPE_FAILURE_PARSE},
    {"not UTF-8", "", PEER_ANSWER, "200 OK", "Content-Type: text/plain\r\n", "a{b=\"\xff\"} 1\n",
     "line 1, column 6: invalid UTF-8 between quotes", SCRAPE_FAILURE_PARSE},
    {"HTML", "", PEER_ANSWER, "200 OK", "Content-Type: text/html; charset=utf-8\r\n", "<html>",
     "received unsupported Content-Type \"text/html; charset=utf-8\" and no "
     "fallback_scrape_protocol "
     "specified for target",
     SCRAPE_FAILURE_PROTOCOL},
    {"no type", "", PEER_ANSWER, "200 OK", "", "a 1\n",
     "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol "
     "specified "
     "for target",
     SCRAPE_FAILURE_PROTOCOL},
    {"protobuf", "  fallback_scrape_protocol: PrometheusText0.0.4\n", PEER_ANSWER, "200 OK",
     "Content-Type: application/vnd.google.protobuf; encoding=delimited\r\n", "a 1\n",
     "received Content-Type \"application/vnd.google.protobuf; encoding=delimited\", which was not "
     "asked for and which this version does not read",
     SCRAPE_FAILURE_PROTOCOL},
    {"bad type", "", PEER_ANSWER, "200 OK", "Content-Type: text/plain; charset\r\n", "a 1\n",
     "cannot parse Content-Type \"text/plain; charset\" and no fallback_scrape_protocol for target",
     SCRAPE_FAILURE_PROTOCOL},
    {"openmetrics without end", "", PEER_ANSWER, "200 OK",
     "Content-Type: application/openmetrics-text; version=1.0.0\r\n", "a 1\n",
     "line 2, column 1: data does not end with # EOF", SCRAPE_FAILURE_PARSE},
    {"openmetrics, empty", "", PEER_ANSWER, "200 OK",
     "Content-Type: application/openmetrics-text; version=1.0.0\r\n", "",
     "line 1, column 1: data does not end with # EOF", SCRAPE_FAILURE_PARSE},
    {"openmetrics goes on", "", PEER_ANSWER, "200 OK",
     "Content-Type: application/openmetrics-text\r\n", "a 1\n# EOF\nb 1\n",
     "line 2, column 6: data after # EOF", SCRAPE_FAILURE_PARSE},
    {"openmetrics by fallback", "  fallback_scrape_protocol: OpenMetricsText1.0.0\n", PEER_ANSWER,
     "200 OK", "Content-Type: text/html\r\n", "a  1\n# EOF\n",
     "line 1, column 3: expected a value after the metric", SCRAPE_FAILURE_PARSE},
    {"encoding", "", PEER_ANSWER, "200 OK", "Content-Type: text/plain\r\nContent-Encoding: br\r\n",
     "a 1\n", "unsupported encoding \"br\", expected gzip or identity", SCRAPE_FAILURE_PROTOCOL},
    {"not gzip", "", PEER_ANSWER, "200 OK",
     "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n", "a 1\n", "bad gzip after ",
     SCRAPE_FAILURE_PROTOCOL},
    {"hang", "  scrape_timeout: 150ms\n", PEER_HANG, "", "", "", "timed out after 150 ms",
     SCRAPE_FAILURE_TIMEOUT},
    {"drip", "  scrape_timeout: 150ms\n", PEER_DRIP, "", "", "", "timed out after 150 ms",
     SCRAPE_FAILURE_TIMEOUT},
    {"closed", "", PEER_CLOSE, "", "", "", "Empty reply from server", SCRAPE_FAILURE_CONNECT},
    {"endless body", "  body_size_limit: 1MB\n", PEER_ENDLESS, "", "",
     "a_metric_that_is_rather_long_so_that_it_takes_not_too_many_chunks 1\n",
     "body size limit exceeded: more than 1048576 bytes", SCRAPE_FAILURE_TOO_LARGE},
    {"large body", "  body_size_limit: 10B\n", PEER_ANSWER, "200 OK",
     "Content-Type: text/plain\r\n", "a_metric 1\n", "body size limit exceeded: more than 10 bytes",
     SCRAPE_FAILURE_TOO_LARGE},
    {"cut short", "", PEER_RAW, "", "", TEXT_HEAD "Content-Length: 100\r\n\r\na 1\n",
     "transfer closed with 96 bytes remaining to read", SCRAPE_FAILURE_CONNECT},
    {"two lengths", "", PEER_RAW, "", "",
     TEXT_HEAD "Content-Length: 4\r\nContent-Length: 4\r\n\r\na 1\n",
     "answer has two Content-Length headers", SCRAPE_FAILURE_PROTOCOL},
    {"smuggling", "", PEER_RAW, "", "",
     TEXT_HEAD "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na 1\n\r\n0\r\n\r\n",
     "answer has Content-Length beside Transfer-Encoding", SCRAPE_FAILURE_PROTOCOL},
    {"chunk size", "", PEER_RAW, "", "",
     TEXT_HEAD "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\na 1\n", "",
     SCRAPE_FAILURE_CONNECT},
    {"no HTTP", "", PEER_RAW, "", "", "hello\n", "", SCRAPE_FAILURE_CONNECT},
    {"many headers", "", PEER_ENDLESS_LINE, "", "", "A: b\r\n", "answer has more than 128 headers",
     SCRAPE_FAILURE_PROTOCOL},
    {"label_limit", "  label_limit: 3\n", PEER_ANSWER, "200 OK", "Content-Type: text/plain\r\n",
     "a 1\n", "label_limit exceeded (metric: a, number of labels: 4, limit: 3)",
     SCRAPE_FAILURE_LIMIT},
    {"label_name_length_limit", "  label_name_length_limit: 8\n", PEER_ANSWER, "200 OK",
     "Content-Type: text/plain\r\n", "a{much_longer=\"x\"} 1\n",
     "label_name_length_limit exceeded (metric: a, label name: much_longer, length: 11, limit: 8)",
     SCRAPE_FAILURE_LIMIT},
    {"label_value_length_limit", "  label_value_length_limit: 20\n", PEER_ANSWER, "200 OK",
     "Content-Type: text/plain\r\n", "a{b=\"0123456789012345678901\"} 1\n",
     "label_value_length_limit exceeded (metric: a, label name: b, value: "
     "\"0123456789012345678901\", "
     "length: 22, limit: 20)",
     SCRAPE_FAILURE_LIMIT},
    {"sample_limit", "  sample_limit: 2\n", PEER_ANSWER, "200 OK", "Content-Type: text/plain\r\n",
     "a 1\nb 2\nc 3\nd 4\n", "sample limit exceeded: 4 samples after relabelling, limit: 2",
     SCRAPE_FAILURE_LIMIT},
    {"no name", "  metric_relabel_configs: [{action: labeldrop, regex: __name__}]\n", PEER_ANSWER,
     "200 OK", "Content-Type: text/plain\r\n", "a 1\n", "missing metric name (__name__ label)",
     SCRAPE_FAILURE_PARSE},
    {"legacy names", "  metric_name_validation_scheme: legacy\n", PEER_ANSWER, "200 OK",
     "Content-Type: text/plain\r\n", "{\"a.b\"} 1\n",
     "invalid metric name or label names: metric \"a.b\"", SCRAPE_FAILURE_PARSE},
    {"redirect off", "  follow_redirects: false\n", PEER_ANSWER, "302 Found", "Location: /x\r\n",
     "", "server returned HTTP status 302 Found", SCRAPE_FAILURE_STATUS},
    {"redirect loop", "", PEER_ANSWER, "302 Found", "Location: /x\r\n", "",
     "stopped after 10 redirects", SCRAPE_FAILURE_PROTOCOL},
    {"redirect to a file", "", PEER_ANSWER, "302 Found", "Location: file:///etc/passwd\r\n", "",
     "redirected to \"file:///etc/passwd\", which is neither http nor https",
     SCRAPE_FAILURE_PROTOCOL},
    {"TLS", "  scheme: https\n  scrape_timeout: 150ms\n", PEER_RAW, "", "", "hello\n",
     "timed out after 150 ms", SCRAPE_FAILURE_TIMEOUT},
    {"credentials file", "  authorization: {credentials_file: /nonexistent/token}\n", PEER_ANSWER,
     "200 OK", "", "", "", SCRAPE_FAILURE_CONNECT},
};

/* Each way to fail: one reason in plain words, a row with up = 0 and nothing else, and the next scrape is
 * as if nothing had been. */
static void each_failure_has_its_reason_and_leaves_up_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(FAILURES); i++) {
        struct world w;
        struct buffer yaml;
        enum scrape_health health;
        world_open(&w);
        buffer_init(&yaml, MEM_OTHER, 1 << 16);
        buffer_printf(&yaml, "%s%s", JOB, FAILURES[i].job);
        buffer_append_byte(&yaml, 0);
        apply(&w, yaml.ptr);
        peer_set(w.peer, FAILURES[i].manner, FAILURES[i].status, FAILURES[i].headers,
                 view_from(FAILURES[i].body));
        scrape_manager_scrape_now(w.manager);
        const char *error = last_error(&w, &health);
        if (!*error || strncmp(error, FAILURES[i].error, strlen(FAILURES[i].error)) != 0)
            fail_msg("%s: got \"%s\"", FAILURES[i].name, error);
        assert_int_equal(health, SCRAPE_DOWN);
        assert_row(&w, "up" LABELS " 0\n");
        struct scrape_stats s = stats(&w);
        if (s.failures[FAILURES[i].kind] != 1)
            fail_msg("%s: \"%s\" counts as another kind", FAILURES[i].name, error);
        assert_int_equal(s.scrapes, 1);
        buffer_deinit(&yaml);
        world_close(&w);
    }
}

static void header_too_long(void **state)
{
    (void)state;
    struct world w;
    struct buffer line;
    world_open(&w);
    apply(&w, JOB);
    buffer_init(&line, MEM_OTHER, 1 << 22);
    buffer_append_literal(&line, TEXT_HEAD "X: ");
    for (int i = 0; i < 20000; i++)
        buffer_append_byte(&line, 'x');
    buffer_append_literal(&line, "\r\n\r\na 1\n");
    peer_set(w.peer, PEER_RAW, "", "", buffer_view(&line));
    scrape_manager_scrape_now(w.manager);
    assert_string_equal(last_error(&w, NULL), "answer has a header of more than 16384 bytes");
    buffer_reset(&line);
    for (int i = 0; i < 1000000; i++)
        buffer_append_byte(&line, 'x');
    peer_set(w.peer, PEER_ENDLESS_LINE, "", "", buffer_view(&line));
    scrape_manager_scrape_now(w.manager);
    assert_row(&w, "up" LABELS " 0\n");
    buffer_deinit(&line);
    world_close(&w);
}

/* ---- gzip ---- */

static void gzip(struct buffer *out, struct view text)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t bound = deflateBound(&z, text.len);
    z.next_in = (Bytef *)(uintptr_t)text.ptr;
    z.avail_in = (uInt)text.len;
    z.next_out = (Bytef *)buffer_reserve(out, bound);
    z.avail_out = (uInt)bound;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    buffer_advance(out, bound - z.avail_out);
    deflateEnd(&z);
}

static void gzip_is_unpacked_within_limits(void **state)
{
    (void)state;
    static const char HEADERS[] = "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n";
    struct world w;
    struct buffer packed;
    world_open(&w);
    apply(&w, JOB);
    buffer_init(&packed, MEM_OTHER, 1 << 28);
    gzip(&packed, VIEW("a 1\n"));
    gzip(&packed, VIEW("b 2\n")); /* members follow each other */
    peer_set(w.peer, PEER_ANSWER, "200 OK", HEADERS, buffer_view(&packed));
    scrape_manager_scrape_now(w.manager);
    assert_row(&w, "a" LABELS " 1\nb" LABELS " 2\nup" LABELS " 1\n");

    peer_set(w.peer, PEER_ANSWER, "200 OK", HEADERS,
             view_slice(buffer_view(&packed), 0, packed.len - 5));
    scrape_manager_scrape_now(w.manager);
    assert_non_null(strstr(last_error(&w, NULL), "gzip body is cut short"));

    buffer_append_literal(&packed, "garbage");
    peer_set(w.peer, PEER_ANSWER, "200 OK", HEADERS, buffer_view(&packed));
    scrape_manager_scrape_now(w.manager);
    assert_non_null(strstr(last_error(&w, NULL), "bad gzip after"));

    char *zeros = calloc(1, 64 << 20);
    buffer_reset(&packed);
    gzip(&packed, (struct view){zeros, 64 << 20});
    free(zeros);
    peer_set(w.peer, PEER_ANSWER, "200 OK", HEADERS, buffer_view(&packed));
    scrape_manager_scrape_now(w.manager);
    assert_non_null(strstr(last_error(&w, NULL), "unpacks to more than 200 times its size"));
    assert_row(&w, "up" LABELS " 0\n");
    buffer_deinit(&packed);
    world_close(&w);
}

/* The body's bytes come in every cut; the result is the same. */
static void bodies_are_unpacked_however_they_are_cut(void **state)
{
    (void)state;
    struct buffer packed, text, out;
    struct random r;
    uint64_t seed = 5;
    printf("seed %" PRIu64 "\n", seed);
    random_seed(&r, seed);
    buffer_init(&packed, MEM_OTHER, 1 << 24);
    buffer_init(&text, MEM_OTHER, 1 << 24);
    buffer_init(&out, MEM_OTHER, 1 << 24);
    for (int i = 0; i < 20000; i++)
        buffer_printf(&text, "metric_%d %" PRIu64 "\n", i, random_below(&r, 1000));
    gzip(&packed, view_slice(buffer_view(&text), 0, 1000));
    gzip(&packed, view_slice(buffer_view(&text), 1000, text.len));
    struct scrape_body b = {0};
    for (int round = 0; round < 50; round++) {
        struct error err;
        buffer_reset(&out);
        scrape_body_begin(&b, &out, true, 1 << 24);
        for (size_t at = 0, step; at < packed.len; at += step) {
            step = 1 + random_below(&r, round % 2 ? 7000 : 60);
            if (!scrape_body_add(&b, view_slice(buffer_view(&packed), at, at + step), &err))
                fail_msg("%s", err.message);
        }
        assert_true(scrape_body_end(&b, &err));
        assert_true(view_eq(buffer_view(&out), buffer_view(&text)));
    }
    scrape_body_deinit(&b);
    buffer_deinit(&packed);
    buffer_deinit(&text);
    buffer_deinit(&out);
}

/* ---- requests ---- */

static void assert_request(struct world *w, const char *has, bool is_there)
{
    bool found = strstr(w->text.ptr, has) != NULL;
    if (found != is_there)
        fail_msg("\"%s\" is %s in:\n%s", has, found ? "there" : "not", w->text.ptr);
}

static void take_requests(struct world *w)
{
    buffer_reset(&w->text);
    peer_requests(w->peer, &w->text);
    buffer_append_byte(&w->text, 0);
}

/* What is asked for follows the job. */
static void the_formats_asked_for_are_the_jobs(void **state)
{
    (void)state;
    static const struct {
        const char *job, *accept;
    } CASES[] = {
        {"  scrape_protocols: [PrometheusText0.0.4, OpenMetricsText1.0.0]\n"
         "  metric_name_escaping_scheme: dots\n",
         "Accept: text/plain;version=0.0.4;q=0.6,"
         "application/openmetrics-text;version=1.0.0;escaping=dots;q=0.5,*/*;q=0.4\r\n"},
        {"  metric_name_validation_scheme: legacy\n  scrape_protocols: [PrometheusText1.0.0]\n",
         "Accept: text/plain;version=1.0.0;escaping=underscores;q=0.6,*/*;q=0.5\r\n"},
        {"  metric_name_escaping_scheme: values\n  scrape_protocols: [OpenMetricsText0.0.1, "
         "OpenMetricsText1.0.0]\n",
         "Accept: application/openmetrics-text;version=0.0.1;q=0.6,"
         "application/openmetrics-text;version=1.0.0;escaping=values;q=0.5,*/*;q=0.4\r\n"},
        {"  scrape_protocols: [PrometheusProto]\n", "Accept: */*;q=0.6\r\n"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct world w;
        char yaml[1024];
        world_open(&w);
        snprintf(yaml, sizeof yaml, "%s%s", JOB, CASES[i].job);
        apply(&w, yaml);
        peer_set_text(w.peer, "a 1\n");
        scrape_manager_scrape_now(w.manager);
        take_requests(&w);
        assert_request(&w, CASES[i].accept, true);
        world_close(&w);
    }
}

static void requests_say_who_asks_and_what_for(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    apply(&w, JOB "  scrape_timeout: 2500ms\n"
                  "  metrics_path: /my metrics\n"
                  "  params: {b: ['2', '3'], a: ['x y&z']}\n"
                  "  basic_auth: {username: me, password: se:cret}\n"
                  "  http_headers: {X-Scope: {values: [tenant]}, X-Key: {secrets: [hidden]}}\n");
    peer_set_text(w.peer, "a 1\n");
    scrape_manager_scrape_now(w.manager);
    take_requests(&w);
    assert_request(&w, "GET /my%20metrics?a=x+y%26z&b=2&b=3 HTTP/1.1\r\n", true);
    assert_request(&w,
                   "Accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
                   "application/openmetrics-text;version=0.0.1;q=0.5,"
                   "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
                   "text/plain;version=0.0.4;q=0.3,*/*;q=0.2\r\n",
                   true);
    assert_request(&w, "Accept-Encoding: gzip\r\n", true);
    assert_request(&w, "X-Prometheus-Scrape-Timeout-Seconds: 2.5\r\n", true);
    assert_request(&w, "User-Agent: Belfry/" BELFRY_VERSION "\r\n", true);
    assert_request(&w, "Authorization: Basic bWU6c2U6Y3JldA==\r\n", true);
    assert_request(&w, "X-Scope: tenant\r\n", true);
    assert_request(&w, "X-Key: hidden\r\n", true);

    char path[] = "/tmp/scrape_test_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, "t0ken \n", 7) == 7);
    struct buffer yaml;
    buffer_init(&yaml, MEM_OTHER, 1 << 16);
    buffer_printf(&yaml, "%s  enable_compression: false\n  authorization: {credentials_file: %s}\n",
                  JOB, path);
    buffer_append_byte(&yaml, 0);
    apply(&w, yaml.ptr);
    scrape_manager_scrape_now(w.manager);
    take_requests(&w);
    assert_request(&w, "Authorization: Bearer t0ken\r\n", true);
    assert_request(&w, "Accept-Encoding: identity\r\n", true);
    assert_request(&w, "X-Scope", false);
    close(fd);
    unlink(path);
    buffer_deinit(&yaml);
    world_close(&w);
}

/* To the same origin credentials go along; to another port they do not, and nothing comes back. */
static void redirects_carry_no_credentials_to_strangers(void **state)
{
    (void)state;
    struct world w, other;
    char location[100];
    world_open(&w);
    world_open(&other);
    apply(&w, JOB "  basic_auth: {username: me, password: secret}\n"
                  "  http_headers: {X-Key: {secrets: [hidden]}}\n");
    snprintf(location, sizeof location, "Location: http://127.0.0.1:%d/away\r\n",
             peer_port(other.peer));
    peer_set(w.peer, PEER_ANSWER, "307 Temporary Redirect", location, VIEW("moved"));
    peer_set_text(other.peer, "a 1\n");
    scrape_manager_scrape_now(w.manager);
    assert_row(&w, "a" LABELS " 1\nup" LABELS " 1\n");
    take_requests(&w);
    assert_request(&w, "Authorization: Basic", true);
    take_requests(&other);
    assert_request(&other, "GET /away HTTP/1.1\r\n", true);
    assert_request(&other, "Authorization", false);
    assert_request(&other, "X-Key", false);

    /* Home again by way of the stranger: still without. */
    snprintf(location, sizeof location, "Location: http://127.0.0.1:%d/home\r\n",
             peer_port(w.peer));
    peer_set(other.peer, PEER_ANSWER, "302 Found", location, VIEW(""));
    scrape_manager_scrape_now(w.manager);
    take_requests(&w);
    const char *home = strstr(w.text.ptr, "GET /home");
    assert_non_null(home);
    const char *end = strstr(home, "\r\n\r\n");
    const char *credentials = strstr(home, "Authorization");
    assert_true(!credentials || credentials > end);
    world_close(&other);
    world_close(&w);
}

static const struct {
    const char *name; /* in the certificate */
    bool client_certificate;
    const char *tls; /* tls_config; CERT and KEY are the peer's files */
    bool up;
} TLS[] = {
    {"127.0.0.1", false, "ca_file: CERT", true},
    {"127.0.0.1", false, "", false},
    {"127.0.0.1", false, "insecure_skip_verify: true", true},
    {"peer.test", false, "ca_file: CERT", false},
    {"peer.test", false, "ca_file: CERT, server_name: peer.test", true},
    {"peer.test", false, "ca_file: CERT, server_name: other.test", false},
    {"127.0.0.1", true, "ca_file: CERT", false},
    {"127.0.0.1", true, "ca_file: CERT, cert_file: CERT, key_file: KEY", true},
    {"127.0.0.1", false, "ca_file: CERT, min_version: TLS13", true},
};

static void replace(struct buffer *out, const char *text, const struct peer *p)
{
    for (; *text; text++) {
        if (strncmp(text, "CERT", 4) == 0) {
            buffer_append_view(out, view_from(peer_cert_path(p)));
            text += 3;
        } else if (strncmp(text, "KEY", 3) == 0) {
            buffer_append_view(out, view_from(peer_key_path(p)));
            text += 2;
        } else {
            buffer_append_byte(out, *text);
        }
    }
}

static void certificates_are_checked_as_configured(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(TLS); i++) {
        struct world w;
        struct buffer yaml;
        enum scrape_health health;
        world_open(&w);
        peer_stop(w.peer);
        w.peer = peer_start_tls(TLS[i].name, TLS[i].client_certificate);
        buffer_init(&yaml, MEM_OTHER, 1 << 16);
        buffer_append_view(&yaml, view_from(JOB "  scheme: https\n  tls_config: {"));
        replace(&yaml, TLS[i].tls, w.peer);
        buffer_append(&yaml, "}\n", 3);
        apply(&w, yaml.ptr);
        peer_set_text(w.peer, "a 1\n");
        scrape_manager_scrape_now(w.manager);
        const char *error = last_error(&w, &health);
        if ((health == SCRAPE_UP) != TLS[i].up)
            fail_msg("certificate for %s, {%s}: \"%s\"", TLS[i].name, TLS[i].tls, error);
        if (TLS[i].up)
            assert_row(&w, "a" LABELS " 1\nup" LABELS " 1\n");
        else
            assert_int_equal(stats(&w).failures[SCRAPE_FAILURE_CONNECT], 1);
        buffer_deinit(&yaml);
        world_close(&w);
    }
}

/* ---- labels ---- */

static const struct {
    const char *job, *body, *row;
} LABELLING[] = {
    {"", "a{job=\"x\",exported_job=\"y\",zone=\"\"} 1\n",
     "a{exported_exported_job=\"x\",exported_job=\"y\",instance=\"I\",job=\"j\",zone=\"eu\"} "
     "1\nup" LABELS " 1\n"},
    {"  honor_labels: true\n", "a{job=\"x\",zone=\"\"} 1\n",
     "a{instance=\"I\",job=\"x\",zone=\"eu\"} 1\nup" LABELS " 1\n"},
    /* What the server says of a target, the target cannot say. */
    {"  honor_labels: true\n", "up 7\nscrape_duration_seconds -1\n", "up" LABELS " 1\n"},
    {"  metric_relabel_configs: [{source_labels: [__name__], regex: 'b.*', action: drop},"
     " {regex: zone, action: labeldrop}, {source_labels: [__name__], target_label: __name__,"
     " regex: '(c)', replacement: '${1}_new'}]\n",
     "a 1\nb 2\nbb 3\nc 4\n",
     "a{instance=\"I\",job=\"j\"} 1\nc_new{instance=\"I\",job=\"j\"} 4\nup" LABELS " 1\n"},
    /* Relabelling makes one series of two: the first value stays. */
    {"  metric_relabel_configs: [{regex: x, action: labeldrop}]\n", "a{x=\"1\"} 1\na{x=\"2\"} 2\n",
     "a" LABELS " 1\nup" LABELS " 1\n"},
    {"  relabel_configs: [{target_label: zone, replacement: us}, {source_labels: [__address__],"
     " target_label: instance, regex: '(.*):.*'}, {target_label: __tmp, replacement: x}]\n",
     "a 1\n",
     "a{instance=\"127.0.0.1\",job=\"j\",zone=\"us\"} 1\n"
     "up{instance=\"127.0.0.1\",job=\"j\",zone=\"us\"} 1\n"},
    {"", "a 1\na 2\n", "a" LABELS " 1\nup" LABELS " 1\n"},
};

/* Scraped twice: from the text, then from the line cache. */
static void series_get_the_labels_they_should(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(LABELLING); i++) {
        struct world w;
        struct buffer yaml;
        world_open(&w);
        buffer_init(&yaml, MEM_OTHER, 1 << 16);
        buffer_printf(&yaml, "%s%s", JOB, LABELLING[i].job);
        buffer_append_byte(&yaml, 0);
        apply(&w, yaml.ptr);
        peer_set_text(w.peer, LABELLING[i].body);
        for (int again = 0; again < 2; again++) {
            scrape_manager_scrape_now(w.manager);
            assert_row(&w, LABELLING[i].row);
        }
        assert_int_equal(stats(&w).lines_known, stats(&w).lines_parsed);
        buffer_deinit(&yaml);
        world_close(&w);
    }
}

static void samples_with_timestamps_are_rows_of_their_own(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    apply(&w, JOB);
    peer_set_text(w.peer, "a 1 2000\nb 2 1000\nc 3\nd 4 2000\n");
    scrape_manager_scrape_now(w.manager);
    assert_row(&w, "c" LABELS " 3\nup" LABELS " 1\n");
    /* The same again is no news and no failure; what is new is taken; no stale marker for b. */
    scrape_manager_scrape_now(w.manager);
    peer_set_text(w.peer, "a 5 3000\nc 3\n");
    scrape_manager_scrape_now(w.manager);
    buffer_reset(&w.text);
    fake_db_rows(w.db, "timestamps", &w.text);
    buffer_append_byte(&w.text, 0);
    char want[1000], labels[200];
    snprintf(labels, sizeof labels, "{instance=\"127.0.0.1:%d\",job=\"j\",zone=\"eu\"}",
             peer_port(w.peer));
    snprintf(want, sizeof want, "2000 a%s 1\n2000 d%s 4\n3000 a%s 5\n1000 b%s 2\n", labels, labels,
             labels, labels);
    assert_string_equal(w.text.ptr, want);
    assert_int_equal(stats(&w).samples_out_of_order, 0);
    assert_int_equal(fake_db_released_count(w.db), 2); /* b and d */
    assert_string_equal(last_error(&w, NULL), "");

    apply(&w, JOB "  honor_timestamps: false\n");
    peer_set_text(w.peer, "a 6 3000\nc 3\n");
    scrape_manager_scrape_now(w.manager);
    assert_row(&w, "a" LABELS " 6\nc" LABELS " 3\nup" LABELS " 1\n");
    world_close(&w);
}

/* Two series that came with one timestamp and then part: what falls behind is lost once. */
static void series_whose_timestamps_part_get_groups_of_their_own(void **state)
{
    (void)state;
    static const char *const BODIES[] = {
        "a 1 1000\nb 1 1000\n", "a 2 3000\nb 2 2000\n", "a 3 5000\nb 3 2500\n",
        "a 4 6000\nb 4 4000\n", "a 5 7000\nb 5 5000\n",
    };
    struct world w;
    world_open(&w);
    apply(&w, JOB);
    for (size_t i = 0; i < ARRAY_COUNT(BODIES); i++) {
        peer_set_text(w.peer, BODIES[i]);
        scrape_manager_scrape_now(w.manager);
    }
    buffer_reset(&w.text);
    fake_db_rows(w.db, "timestamps", &w.text);
    buffer_append_byte(&w.text, 0);
    char want[2000], l[200];
    snprintf(l, sizeof l, "{instance=\"127.0.0.1:%d\",job=\"j\",zone=\"eu\"}", peer_port(w.peer));
    snprintf(want, sizeof want,
             "1000 a%s 1\n1000 b%s 1\n2000 b%s 2\n3000 a%s 2\n5000 a%s 3\n6000 a%s 4\n7000 a%s 5\n"
             "4000 b%s 4\n5000 b%s 5\n",
             l, l, l, l, l, l, l, l, l);
    assert_string_equal(w.text.ptr, want);
    assert_int_equal(stats(&w).samples_out_of_order, 1);
    assert_int_equal(fake_db_released_count(w.db), 1); /* b's slot in the group that it left */
    world_close(&w);
}

/* ---- storage ---- */

static void storage_that_refuses_fails_the_scrape(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    apply(&w, JOB);
    peer_set_text(w.peer, "a 1\n");
    fake_db_refuse_rows(w.db, true);
    scrape_manager_scrape_now(w.manager);
    assert_string_equal(last_error(&w, NULL), "ingest is stopped: the disk is full");
    fake_db_refuse_rows(w.db, false);
    scrape_manager_scrape_now(w.manager);
    assert_row(&w, "a" LABELS " 1\nup" LABELS " 1\n");
    world_close(&w);
}

/* A target that fails each time, with other labels each time, keeps none of the slots that it was given on the
 * way; series that it had before, and the lines that are known, keep theirs. */
static void failed_scrapes_keep_no_slots(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    apply(&w, JOB);
    peer_set_text(w.peer, "z 1\nbad\n"); /* the first of all */
    scrape_manager_scrape_now(w.manager);
    assert_int_equal(fake_db_released_count(w.db), 1);
    peer_set_text(w.peer, "a{n=\"1\"} 1\n");
    scrape_manager_scrape_now(w.manager);
    for (int i = 2; i < 5; i++) {
        char body[100];
        snprintf(body, sizeof body,
                 "a{n=\"1\"} 1\na {n=\"1\"} 1\na{n=\"%d\"} 1\na{n=\"%d\"} 1 1000\nbad\n", i, i);
        peer_set_text(w.peer, body);
        scrape_manager_scrape_now(w.manager);
        assert_non_null(strstr(last_error(&w, NULL), "line 5"));
        assert_int_equal(fake_db_released_count(w.db), 1 + 2 * (i - 1));
    }
    peer_set_text(w.peer, "a{n=\"1\"} 2\na{n=\"3\"} 3\n");
    scrape_manager_scrape_now(w.manager);
    assert_row(&w, "a{instance=\"I\",job=\"j\",n=\"1\",zone=\"eu\"} 2\n"
                   "a{instance=\"I\",job=\"j\",n=\"3\",zone=\"eu\"} 3\nup" LABELS " 1\n");
    assert_int_equal(stats(&w).lines_known, 1 + 3); /* the first line, each time */
    world_close(&w);
}

/* Lines that mean other series since a reload give their slots back after the next row, however many reloads
 * came before it. */
static void slots_go_back_after_reloads_without_a_row(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    apply(&w, JOB);
    peer_set_text(w.peer, "a 1\nb 2\n");
    scrape_manager_scrape_now(w.manager);
    peer_set_text(w.peer, "bad\n");
    for (int i = 0; i < 3; i++) {
        apply(&w, i % 2 ? JOB "  honor_labels: true\n"
                        : JOB "  metric_relabel_configs: [{target_label: c, replacement: d}]\n");
        scrape_manager_scrape_now(w.manager);
    }
    assert_int_equal(fake_db_released_count(w.db), 0);
    peer_set_text(w.peer, "a 1\n");
    scrape_manager_scrape_now(w.manager);
    assert_int_equal(fake_db_released_count(w.db), 2);
    world_close(&w);
}

/* A series beyond what anybody means is left out and counted; where the job has a limit that is what counts. */
static void outsized_series_are_left_out(void **state)
{
    (void)state;
    struct world w;
    struct buffer body;
    world_open(&w);
    buffer_init(&body, MEM_OTHER, 1 << 20);
    buffer_append_literal(&body, "a 1\nb{");
    for (int i = 0; i < SCRAPE_LABELS_MAX; i++)
        buffer_printf(&body, "l%d=\"v\",", i);
    buffer_append_literal(&body, "} 1\nc{x");
    for (int i = 0; i < SCRAPE_LABEL_NAME_BYTES_MAX; i++)
        buffer_append_byte(&body, 'x');
    buffer_append_literal(&body, "=\"\"} 1\nc{n=\"");
    for (int i = 0; i <= SCRAPE_LABEL_VALUE_BYTES_MAX; i++)
        buffer_append_byte(&body, 'x');
    buffer_append_literal(&body, "\"} 1\nd{");
    for (int i = 0; i < EXPOSITION_LABELS_MAX + 1; i++)
        buffer_printf(&body, "l%d=\"v\",", i);
    buffer_append_literal(&body, "} 1\n");
    buffer_append_byte(&body, 0);
    apply(&w, JOB);
    peer_set_text(w.peer, body.ptr);
    scrape_manager_scrape_now(w.manager);
    /* A label without a value is none, however long its name. */
    assert_row(&w, "a" LABELS " 1\nc" LABELS " 1\nup" LABELS " 1\n");
    assert_int_equal(stats(&w).series_outsized, 3);
    apply(&w, JOB "  label_limit: 100\n");
    scrape_manager_scrape_now(w.manager);
    assert_non_null(strstr(last_error(&w, NULL), "more than 1024 labels"));
    assert_int_equal(stats(&w).exceeded_label_limits, 1);
    assert_int_equal(stats(&w).failures[SCRAPE_FAILURE_LIMIT], 1);
    apply(&w, JOB "  label_limit: 10\n");
    scrape_manager_scrape_now(w.manager);
    assert_string_equal(last_error(&w, NULL),
                        "label_limit exceeded (metric: b, number of labels: 68, limit: 10)");
    buffer_deinit(&body);
    world_close(&w);
}

/* Over the limit of series those that are there go on. */
static void series_over_the_limit_are_left_out(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    apply(&w, JOB);
    fake_db_series_max(w.db, 6);
    peer_set_text(w.peer, "a 1\nb 2\nc 3\n");
    scrape_manager_scrape_now(w.manager);
    assert_row(&w,
               "a" LABELS " 1\nb{overflow=\"true\"} 1\nc{overflow=\"true\"} 1\nup" LABELS " 1\n");
    assert_int_equal(stats(&w).series_refused, 2);
    fake_db_series_max(w.db, 9); /* one more: the overflow series count too */
    scrape_manager_scrape_now(w.manager);
    assert_row(&w, "a" LABELS " 1\nb" LABELS
                   " 2\nb{overflow=\"true\"} stale\nc{overflow=\"true\"} 1\nup" LABELS " 1\n");
    peer_set_text(w.peer, "c 1\na 1\n"); /* another order: found in the table */
    scrape_manager_scrape_now(w.manager);
    assert_row(&w, "a" LABELS " 1\nb" LABELS " stale\nc{overflow=\"true\"} 1\nup" LABELS " 1\n");
    world_close(&w);
}

static void renumbered_slots_are_asked_for_again(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    apply(&w, JOB);
    peer_set_text(w.peer, "a 1\nb 2\nt 3 1000\n");
    scrape_manager_scrape_now(w.manager);
    fake_db_renumber(w.db);
    peer_set_text(w.peer, "a 4\nb 5\nt 6 2000\n");
    scrape_manager_scrape_now(w.manager);
    assert_row(&w, "a" LABELS " 4\nb" LABELS " 5\nup" LABELS " 1\n");
    world_close(&w);
}

/* ---- reload ---- */

static void a_reload_keeps_what_did_not_change(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    apply(&w, JOB);
    peer_set_text(w.peer, "a 1\nb 2\n");
    scrape_manager_scrape_now(w.manager);
    apply(&w, JOB "  scrape_timeout: 5s\n  scrape_interval: 30m\n- job_name: k\n");
    scrape_manager_scrape_now(w.manager);
    assert_row(&w, "a" LABELS " 1\nb" LABELS " 2\nup" LABELS " 1\n");
    assert_int_equal(stats(&w).lines_known, 2); /* the cache was kept, and the connection */
    assert_int_equal(peer_connection_count(w.peer), 1);
    assert_string_equal(last_error(&w, NULL), "");

    /* Other series of the same lines: the cache is not. */
    apply(&w, JOB "  metric_relabel_configs: [{regex: zone, action: labeldrop}]\n");
    scrape_manager_scrape_now(w.manager);
    assert_row(&w, "a" LABELS " stale\na{instance=\"I\",job=\"j\"} 1\nb" LABELS
                   " stale\nb{instance=\"I\",job=\"j\"} 2\nup" LABELS " 1\n");
    assert_int_equal(fake_db_released_count(w.db), 2);

    /* The target goes: markers for all. */
    apply(&w, "scrape_configs: []\n");
    scrape_manager_scrape_now(w.manager);
    scrape_manager_scrape_now(w.manager);
    assert_row(&w, "a{instance=\"I\",job=\"j\"} stale\nb{instance=\"I\",job=\"j\"} stale\nup" LABELS
                   " stale\n");
    assert_int_equal(fake_db_open_count(w.db), 0);
    size_t rows = fake_db_row_count(w.db);
    apply(&w, JOB);
    scrape_manager_stop(w.manager); /* no markers at a stop */
    assert_int_equal(fake_db_row_count(w.db), rows);
    struct error err;
    assert_true(scrape_manager_start(&w.manager, w.db, NULL, &err));
    world_close(&w);
}

/* A name server that hangs: getaddrinfo() in this program is the test's, so that "hangs.test" takes until the
 * test lets it go. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int inside;
    bool go;
} lookups = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false};

int getaddrinfo(const char *restrict node, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict out)
{
    static int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (node && strcmp(node, "hangs.test") == 0) {
        struct timespec end;
        clock_gettime(CLOCK_REALTIME, &end);
        end.tv_sec += 20; /* a test that fails ends nevertheless */
        pthread_mutex_lock(&lookups.mutex);
        lookups.inside++;
        while (!lookups.go && pthread_cond_timedwait(&lookups.changed, &lookups.mutex, &end) == 0)
            ;
        lookups.inside--;
        pthread_cond_broadcast(&lookups.changed);
        pthread_mutex_unlock(&lookups.mutex);
        return EAI_AGAIN;
    }
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "getaddrinfo");
    return next(node, service, hints, out);
}

/* The timeout holds for lookups too: their thread is left behind. So does the removal of a target. */
static void nobody_waits_for_a_name_server(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    apply(&w,
          "global: {scrape_interval: 1h, scrape_timeout: 300ms}\nscrape_configs:\n- job_name: j\n"
          "  static_configs: [{targets: ['hangs.test:1']}]\n");
    scrape_manager_scrape_now(w.manager);
    const char *error = last_error(&w, NULL);
    pthread_mutex_lock(&lookups.mutex);
    int inside = lookups.inside;
    pthread_mutex_unlock(&lookups.mutex);
    assert_int_equal(inside, 1);
    assert_int_equal(strncmp(error, "timed out after 300 ms", 22), 0);
    world_close(&w);
    pthread_mutex_lock(&lookups.mutex);
    lookups.go = true;
    pthread_cond_broadcast(&lookups.changed);
    while (lookups.inside > 0)
        pthread_cond_wait(&lookups.changed, &lookups.mutex);
    pthread_mutex_unlock(&lookups.mutex);
}

/* Its last row comes after the one before, whatever the clock says by then. */
static void a_target_that_goes_ends_its_series_though_the_clock_was_put_back(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    clock_test_freeze((wall_time){INT64_C(1700000000000)}, clock_mono());
    for (int hours = 0; hours < 2; hours++) {
        apply(&w, JOB);
        clock_test_advance_ms(1);
        peer_set_text(w.peer, "a 1\n");
        scrape_manager_scrape_now(w.manager);
        assert_row(&w, "a" LABELS " 1\nup" LABELS " 1\n");
        clock_test_jump_wall_ms(-hours * INT64_C(3600000)); /* 0: within the same millisecond */
        apply(&w, "scrape_configs: []\n");
        scrape_manager_scrape_now(w.manager);
        assert_row(&w, "a" LABELS " stale\nup" LABELS " stale\n");
        clock_test_jump_wall_ms(hours * INT64_C(3600000));
        clock_test_advance_ms(1);
    }
    clock_test_unfreeze();
    world_close(&w);
}

/* While it hangs, a target is removed, and another time the manager stops: neither waits for it. */
static void nobody_waits_for_a_hanging_target(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    peer_set(w.peer, PEER_HANG, "", "", VIEW(""));
    apply(&w, "global: {scrape_interval: 20ms, scrape_timeout: 20ms}\nscrape_configs:\n"
              "- job_name: j\n  static_configs: [{targets: ['127.0.0.1:PORT']}]\n");
    while (stats(&w).failures[SCRAPE_FAILURE_TIMEOUT] < 3)
        usleep(1000); /* until it has run by its own timer */
    apply(&w, JOB "  scrape_interval: 20ms\n  scrape_timeout: 20ms\n");
    apply(&w, "scrape_configs: []\n");
    scrape_manager_scrape_now(w.manager);
    assert_int_equal(fake_db_open_count(w.db), 0);
    world_close(&w);
}

static void target_limit_stops_all_of_the_job(void **state)
{
    (void)state;
    struct world w;
    struct arena arena;
    struct scrape_targets targets;
    world_open(&w);
    apply(&w, "global: {scrape_interval: 1h}\nscrape_configs:\n- job_name: j\n  target_limit: 1\n"
              "  static_configs: [{targets: ['127.0.0.1:PORT', 'localhost:PORT']}]\n");
    peer_set_text(w.peer, "a 1\n");
    scrape_manager_scrape_now(w.manager);
    arena_init(&arena, MEM_OTHER, 0);
    scrape_targets_get(w.manager, &arena, &targets);
    assert_int_equal(targets.active_count, 2);
    for (size_t i = 0; i < 2; i++)
        assert_true(view_is(targets.items[i].last_error, "target_limit exceeded (limit: 1)"));
    scrape_targets_release(&targets);
    arena_deinit(&arena);
    world_close(&w);
}

static void the_api_sees_targets_and_what_was_dropped(void **state)
{
    (void)state;
    struct world w;
    struct arena arena;
    struct scrape_targets targets;
    struct buffer b;
    world_open(&w);
    apply(&w, "global: {scrape_interval: 1m, scrape_timeout: 5s}\nscrape_configs:\n"
              "- job_name: j\n  keep_dropped_targets: 1\n"
              "  relabel_configs: [{source_labels: [__address__], regex: 'drop.*', action: drop}]\n"
              "  static_configs: [{targets: ['b:1', 'a:1', 'a:1', drop1, drop2, '']}]\n"
              "- job_name: i\n  metrics_path: /x\n  scheme: https\n"
              "  static_configs: [{targets: ['h:443']}]\n");
    arena_init(&arena, MEM_OTHER, 0);
    buffer_init(&b, MEM_OTHER, 1 << 16);
    scrape_targets_get(w.manager, &arena, &targets);
    apply(&w, "scrape_configs: []\n"); /* what we hold stays */
    for (size_t i = 0; i < targets.count; i++) {
        const struct scrape_target_info *t = &targets.items[i];
        buffer_printf(&b, "%s%.*s %.*s ", t->dropped ? "dropped " : "", VIEW_ARGS(t->pool),
                      VIEW_ARGS(t->url));
        labels_format(&b, t->labels);
        buffer_printf(&b, " %" PRId64 " %" PRId64 " %s\n", t->interval_ms, t->timeout_ms,
                      scrape_health_name(t->health));
    }
    labels_format(&b, targets.items[0].discovered_labels);
    for (size_t i = 0; i < targets.pool_count; i++)
        buffer_printf(&b, "\n%.*s %zu %zu", VIEW_ARGS(targets.pools[i].name),
                      targets.pools[i].active_count, targets.pools[i].dropped_count);
    buffer_append_byte(&b, 0);
    assert_string_equal(b.ptr,
                        "i https://h:443/x {instance=\"h:443\",job=\"i\"} 60000 5000 unknown\n"
                        "j http://a:1/metrics {instance=\"a:1\",job=\"j\"} 60000 5000 unknown\n"
                        "j http://b:1/metrics {instance=\"b:1\",job=\"j\"} 60000 5000 unknown\n"
                        "dropped j  {} 0 0 unknown\n"
                        "{__address__=\"h:443\",__metrics_path__=\"/x\",__scheme__=\"https\","
                        "__scrape_interval__=\"1m\",__scrape_timeout__=\"5s\",job=\"i\"}"
                        "\ni 1 0\nj 2 2");
    assert_int_equal(stats(&w).targets_failed, 1);
    scrape_targets_release(&targets);
    buffer_deinit(&b);
    arena_deinit(&arena);
    world_close(&w);
}

/* Reloads, snapshots and statistics beside running scrapes: for ThreadSanitizer. */
static void reloads_and_snapshots_run_beside_scrapes(void **state)
{
    (void)state;
    struct world w;
    struct arena arena;
    world_open(&w);
    arena_init(&arena, MEM_OTHER, 0);
    peer_set_text(w.peer, "a 1\nb 2\n");
    static const char *const CONFIGS[] = {
        "global: {scrape_interval: 10ms, scrape_timeout: 10ms}\nscrape_configs:\n- job_name: j\n"
        "  static_configs: [{targets: ['127.0.0.1:PORT', 'localhost:PORT']}]\n",
        "global: {scrape_interval: 5ms, scrape_timeout: 5ms}\nscrape_configs:\n- job_name: j\n"
        "  honor_labels: true\n  static_configs: [{targets: ['127.0.0.1:PORT']}]\n",
    };
    for (int i = 0; i < 30; i++) {
        struct scrape_targets targets;
        uint64_t scrapes = stats(&w).scrapes;
        apply(&w, CONFIGS[i % 2]);
        while (stats(&w).scrapes < scrapes + 3)
            usleep(500); /* until there was something beside the reload */
        scrape_targets_get(w.manager, &arena, &targets);
        assert_true(targets.active_count > 0);
        scrape_targets_release(&targets);
        arena_reset(&arena);
    }
    arena_deinit(&arena);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scrape_is_one_row_with_the_targets_labels),
        cmocka_unit_test(the_answers_type_decides_how_it_is_read),
        cmocka_unit_test(the_formats_asked_for_are_the_jobs),
        cmocka_unit_test(what_is_missing_becomes_stale_once),
        cmocka_unit_test(each_failure_has_its_reason_and_leaves_up_alone),
        cmocka_unit_test(header_too_long),
        cmocka_unit_test(gzip_is_unpacked_within_limits),
        cmocka_unit_test(bodies_are_unpacked_however_they_are_cut),
        cmocka_unit_test(requests_say_who_asks_and_what_for),
        cmocka_unit_test(redirects_carry_no_credentials_to_strangers),
        cmocka_unit_test(certificates_are_checked_as_configured),
        cmocka_unit_test(series_get_the_labels_they_should),
        cmocka_unit_test(samples_with_timestamps_are_rows_of_their_own),
        cmocka_unit_test(series_whose_timestamps_part_get_groups_of_their_own),
        cmocka_unit_test(storage_that_refuses_fails_the_scrape),
        cmocka_unit_test(failed_scrapes_keep_no_slots),
        cmocka_unit_test(slots_go_back_after_reloads_without_a_row),
        cmocka_unit_test(outsized_series_are_left_out),
        cmocka_unit_test(series_over_the_limit_are_left_out),
        cmocka_unit_test(renumbered_slots_are_asked_for_again),
        cmocka_unit_test(a_reload_keeps_what_did_not_change),
        cmocka_unit_test(a_target_that_goes_ends_its_series_though_the_clock_was_put_back),
        cmocka_unit_test(nobody_waits_for_a_hanging_target),
        cmocka_unit_test(nobody_waits_for_a_name_server),
        cmocka_unit_test(target_limit_stops_all_of_the_job),
        cmocka_unit_test(the_api_sees_targets_and_what_was_dropped),
        cmocka_unit_test(reloads_and_snapshots_run_beside_scrapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
