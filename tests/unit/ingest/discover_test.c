/* SPDX-License-Identifier: Apache-2.0 */
/* discover_test.c: what file_sd and http_sd find, and what they keep when files and servers go bad. The files are in
 * a folder of the test, the server is in this process. */
#include "ingest/discover.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/thread.h"
#include "ingest/discover_private.h"
#include "peer.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the parser ---- */

static const struct {
    enum target_groups_format format;
    const char *text;
    const char *want; /* targets{labels} of each group, or the error */
} GROUPS[] = {
    {TARGET_GROUPS_JSON, "[]", ""},
    {TARGET_GROUPS_JSON, "[{\"targets\":[\"a:1\",\"b\"],\"labels\":{\"z\":\"1\",\"b\":\"2\"}}]",
     "a:1,b{b=\"2\",f=\"F\",z=\"1\"} "},
    {TARGET_GROUPS_JSON, "[{\"targets\":[\"a\"]},{\"labels\":{\"f\":\"x\",\"e\":\"\"}}]",
     "a{f=\"F\"} {f=\"F\"} "},
    {TARGET_GROUPS_JSON, "[{\"targets\":null,\"labels\":null}]", "{f=\"F\"} "},
    /* What would end a label elsewhere is data here. */
    {TARGET_GROUPS_JSON, "[{\"targets\":[\"a}\\n\\\"\"],\"labels\":{\"l\":\"}\\n\\\",\\\\\"}}]",
     "a}\n\"{f=\"F\",l=\"}\\n\\\",\\\\\"} "},
    {TARGET_GROUPS_JSON, "", "it is empty"},
    {TARGET_GROUPS_JSON, " \n", "it is empty"},
    {TARGET_GROUPS_JSON, "{}", "a list of target groups was expected"},
    {TARGET_GROUPS_JSON, "[null]", "item 0 is no target group"},
    {TARGET_GROUPS_JSON, "[{\"targets\":[\"a\"]}", "line 1, column 18: *"},
    {TARGET_GROUPS_JSON, "[{\"targets\":[1]}]", "item 0: target 0 is no string"},
    {TARGET_GROUPS_JSON, "[{\"targets\":\"a\"}]", "item 0: targets must be a list and *"},
    {TARGET_GROUPS_JSON, "[{\"labels\":{\"a\":1}}]", "item 0: label \"a\" is no string"},
    {TARGET_GROUPS_JSON, "[{\"labels\":{\"\":\"x\"}}]", "item 0: \"\" is not a valid label name"},
    {TARGET_GROUPS_JSON, "[{\"target\":[]}]", "item 0: field \"target\" is not known *"},
    {TARGET_GROUPS_JSON, "<html>", "line 1, column 1: *"},
    {TARGET_GROUPS_YAML, "[]", ""},
    {TARGET_GROUPS_YAML, "- targets: [a:1, 7]\n  labels: {b: 1, c: true}\n",
     "a:1,7{b=\"1\",c=\"true\",f=\"F\"} "},
    {TARGET_GROUPS_YAML, "- {targets: [a]}\n- {targets: [b]}\n", "a{f=\"F\"} b{f=\"F\"} "},
    {TARGET_GROUPS_YAML, "", "it is empty"},
    {TARGET_GROUPS_YAML, "# nothing\n", "there is nothing in it, not even an empty list"},
    {TARGET_GROUPS_YAML, "a: b\n", "line 1, column 1: a list of target groups was expected, *"},
    {TARGET_GROUPS_YAML, "- a\n", "line 1, column 3: a target group was expected, not a string"},
    {TARGET_GROUPS_YAML, "- targets: a\n", "line 1, column 12: targets: a list was expected, *"},
    {TARGET_GROUPS_YAML, "- targets: [[]]\n", "line 1, column 13: a target like host:port was *"},
    {TARGET_GROUPS_YAML, "- labels: {a: []}\n", "line 1, column 15: the value of a label was *"},
    {TARGET_GROUPS_YAML, "- x: 1\n", "line 1, column 3: field \"x\" is not known in a target *"},
    {TARGET_GROUPS_YAML, "- targets: [a\n", "line *"},
};

static void groups_print(const struct target_groups *g, struct buffer *out)
{
    for (size_t i = 0; i < g->groups.count; i++) {
        const struct config_target_group *group = &g->groups.items[i];
        for (size_t j = 0; j < group->targets.count; j++)
            buffer_printf(out, "%s%.*s", j ? "," : "", VIEW_ARGS(group->targets.items[j]));
        labels_format(out, group->labels);
        buffer_append_byte(out, ' ');
    }
}

static bool fits(const char *got, const char *want)
{
    size_t len = strlen(want);
    return len && want[len - 1] == '*' ? strncmp(got, want, len - 1) == 0 : strcmp(got, want) == 0;
}

static void target_groups_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(GROUPS); i++) {
        struct target_groups *g = NULL;
        struct error err = {0};
        struct buffer got;
        buffer_init(&got, MEM_OTHER, 10000);
        if (target_groups_parse(view_from(GROUPS[i].text), GROUPS[i].format,
                                (struct label){VIEW("f"), VIEW("F")}, &g, &err))
            groups_print(g, &got);
        else
            buffer_append_view(&got, view_from(err.message));
        buffer_append_byte(&got, 0);
        if (!fits(got.ptr, GROUPS[i].want))
            fail_msg("%s:\ngot  %s\nwant %s", GROUPS[i].text, got.ptr, GROUPS[i].want);
        buffer_deinit(&got);
        target_groups_unref(g);
    }
}

static void what_is_too_much_is_refused_before_it_is_built(void **state)
{
    (void)state;
    struct buffer text;
    struct target_groups *g;
    struct error err;
    buffer_init(&text, MEM_OTHER, 64 << 20);
    buffer_append_literal(&text, "[{\"targets\":[\"a\"");
    for (size_t i = 0; i < TARGET_GROUPS_TARGETS_MAX; i++)
        buffer_append_literal(&text, ",\"a\"");
    buffer_append_literal(&text, "]}]");
    assert_false(
        target_groups_parse(buffer_view(&text), TARGET_GROUPS_JSON, (struct label){0}, &g, &err));
    assert_string_equal(err.message, "there are more than 1000000 targets");
    buffer_reset(&text);
    for (size_t i = 0; i <= TARGET_GROUPS_NODES_MAX; i++)
        buffer_append_literal(&text, "[");
    assert_false(
        target_groups_parse(buffer_view(&text), TARGET_GROUPS_JSON, (struct label){0}, &g, &err));
    assert_string_equal(err.message, "it has more than 3000000 values");
    buffer_deinit(&text);
}

/* ---- providers ---- */

struct world {
    char folder[64];
    struct peer *peer;
    struct client_tokens *tokens;
    struct discover *discover;
    struct config *config;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    size_t changes;
    struct buffer log, text;
};

static void on_changed(void *arg)
{
    struct world *w = arg;
    mutex_lock(&w->mutex);
    w->changes++;
    cond_broadcast(&w->cond);
    mutex_unlock(&w->mutex);
}

static void on_log(void *arg, bool is_error, const char *event, const char *text)
{
    struct world *w = arg;
    mutex_lock(&w->mutex);
    buffer_printf(&w->log, "%s %s: %s\n", is_error ? "error" : "info", event, text);
    cond_broadcast(&w->cond);
    mutex_unlock(&w->mutex);
}

static void world_open(struct world *w)
{
    *w = (struct world){0};
    snprintf(w->folder, sizeof w->folder, "/tmp/belfry-discover-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    mutex_init(&w->mutex);
    cond_init(&w->cond);
    buffer_init(&w->log, MEM_OTHER, 1 << 20);
    buffer_init(&w->text, MEM_OTHER, 1 << 20);
    w->peer = peer_start();
    w->tokens = client_tokens_new();
    w->discover = discover_new(&(struct discover_options){
        .tokens = w->tokens, .pause_ms = 1, .changed = on_changed, .log = on_log, .arg = w});
}

static void world_close(struct world *w)
{
    struct error err;
    discover_free(w->discover);
    client_tokens_free(w->tokens);
    config_unref(w->config);
    peer_stop(w->peer);
    assert_true(dir_remove(w->folder, &err));
    buffer_deinit(&w->log);
    buffer_deinit(&w->text);
    cond_deinit(&w->cond);
    mutex_deinit(&w->mutex);
}

/* Written beside it and renamed, as the documentation says. */
static void put(struct world *w, const char *name, const char *text)
{
    char path[200], temporary[200];
    snprintf(path, sizeof path, "%s/%s", w->folder, name);
    snprintf(temporary, sizeof temporary, "%s/.new", w->folder);
    FILE *file = fopen(temporary, "w");
    assert_true(file && fputs(text, file) >= 0 && fclose(file) == 0);
    assert_int_equal(rename(temporary, path), 0);
}

/* `discovery` as the only line of a job; PORT is the peer's. */
static void apply(struct world *w, const char *discovery)
{
    struct buffer text;
    struct config *config;
    struct error err;
    buffer_init(&text, MEM_OTHER, 1 << 16);
    buffer_append_literal(&text, "scrape_configs:\n- job_name: j\n  ");
    for (const char *at = discovery; *at; at++) {
        if (strncmp(at, "PORT", 4) == 0) {
            buffer_printf(&text, "%d", peer_port(w->peer));
            at += 3;
        } else {
            buffer_append_byte(&text, *at);
        }
    }
    if (!config_load_text(buffer_view(&text), w->folder, "test.yml", &config, &err))
        fail_msg("%s", err.message);
    discover_apply(w->discover, config);
    config_unref(w->config);
    w->config = config;
    buffer_deinit(&text);
}

/* What the only entry has found, with the folder as D and the port as PORT. */
static const char *found(struct world *w)
{
    struct buffer raw;
    char port[16];
    struct discover_result *r =
        discover_result_get(w->discover, &w->config->scrape_configs.items[0].discoveries.items[0]);
    buffer_init(&raw, MEM_OTHER, 1 << 20);
    buffer_reset(&w->text);
    for (size_t i = 0; r && i < r->count; i++)
        groups_print(r->sets[i], &raw);
    buffer_append_view(&raw, r ? VIEW("") : VIEW("nothing"));
    discover_result_unref(r);
    buffer_append_byte(&raw, 0);
    snprintf(port, sizeof port, "%d", peer_port(w->peer));
    for (const char *at = raw.ptr; *at; at++) {
        if (strncmp(at, w->folder, strlen(w->folder)) == 0) {
            buffer_append_byte(&w->text, 'D');
            at += strlen(w->folder) - 1;
        } else if (strncmp(at, port, strlen(port)) == 0) {
            buffer_append_literal(&w->text, "PORT");
            at += strlen(port) - 1;
        } else {
            buffer_append_byte(&w->text, *at);
        }
    }
    buffer_append_byte(&w->text, 0);
    buffer_deinit(&raw);
    return w->text.ptr;
}

/* Waits for it: changes come from another thread. */
static void assert_found(struct world *w, const char *want)
{
    mono_time end = mono_add_ms(clock_mono(), 10000);
    while (strcmp(found(w), want) != 0) {
        if (clock_mono().ns > end.ns)
            fail_msg("got  %s\nwant %s\nlog: %.*s", found(w), want,
                     VIEW_ARGS(buffer_view(&w->log)));
        mutex_lock(&w->mutex);
        (void)cond_wait_until(&w->cond, &w->mutex, mono_add_ms(clock_mono(), 20));
        mutex_unlock(&w->mutex);
    }
}

/* Waits for a line in the log that holds these words. */
static void assert_logged(struct world *w, const char *words)
{
    mono_time end = mono_add_ms(clock_mono(), 10000);
    bool in = true;
    mutex_lock(&w->mutex);
    while (in && !(w->log.len && memmem(w->log.ptr, w->log.len, words, strlen(words))))
        in = cond_wait_until(&w->cond, &w->mutex, end);
    mutex_unlock(&w->mutex);
    if (!in)
        fail_msg("\"%s\" is not in the log: %.*s", words, VIEW_ARGS(buffer_view(&w->log)));
}

static void files_are_read_at_once_and_when_they_change(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    put(&w, "a.json", "[{\"targets\":[\"a:1\"],\"labels\":{\"l\":\"1\"}}]");
    put(&w, "b.yml", "- targets: [b:1]\n");
    put(&w, "c.yaml", "- targets: [c:1]\n");
    apply(&w, "file_sd_configs: [{files: ['*.json', 'b.yml'], refresh_interval: 1h}]\n");
    /* Already here when the configuration is. */
    assert_string_equal(found(&w), "a:1{__meta_filepath=\"D/a.json\",l=\"1\"} "
                                   "b:1{__meta_filepath=\"D/b.yml\"} ");
    put(&w, "b.yml", "- targets: [b:2, b:3]\n");
    assert_found(&w, "a:1{__meta_filepath=\"D/a.json\",l=\"1\"} "
                     "b:2,b:3{__meta_filepath=\"D/b.yml\"} ");
    put(&w, "d.json", "[{\"targets\":[\"d:1\"]}]");
    assert_found(&w, "a:1{__meta_filepath=\"D/a.json\",l=\"1\"} "
                     "b:2,b:3{__meta_filepath=\"D/b.yml\"} d:1{__meta_filepath=\"D/d.json\"} ");
    char path[200];
    snprintf(path, sizeof path, "%s/a.json", w.folder);
    assert_int_equal(unlink(path), 0);
    assert_found(&w, "b:2,b:3{__meta_filepath=\"D/b.yml\"} d:1{__meta_filepath=\"D/d.json\"} ");
    put(&w, "b.yml", "[]\n"); /* an empty list is a list */
    assert_found(&w, "d:1{__meta_filepath=\"D/d.json\"} ");

    /* Written again with the same text: the very list that was there. */
    struct discover_result *before =
        discover_result_get(w.discover, &w.config->scrape_configs.items[0].discoveries.items[0]);
    struct discover_stats stats;
    discover_stats_get(w.discover, &stats);
    uint64_t scans = stats.file_scans;
    put(&w, "d.json", "[{\"targets\":[\"d:1\"]}]");
    mono_time end = mono_add_ms(clock_mono(), 10000);
    while (stats.file_scans < scans + 2 && clock_mono().ns < end.ns)
        discover_stats_get(w.discover, &stats);
    struct discover_result *after =
        discover_result_get(w.discover, &w.config->scrape_configs.items[0].discoveries.items[0]);
    assert_ptr_equal(before, after);
    discover_result_unref(before);
    discover_result_unref(after);

    struct arena arena;
    struct discover_file_time *times;
    arena_init(&arena, MEM_OTHER, 0);
    assert_int_equal(discover_file_times(w.discover, &arena, &times), 2);
    assert_true(view_has_suffix(times[0].path, VIEW("/b.yml")));
    assert_true(times[0].seconds > 1.6e9);
    arena_deinit(&arena);
    world_close(&w);
}

static const struct {
    const char *text, *words;
} BAD_FILES[] = {
    {"", "it is empty"},
    {"[{\"targets\":[\"b:1\"", "line 1, column"},
    {"<html></html>", "line 1, column 1"},
    {"{}", "a list of target groups was expected"},
    {"[{\"targets\":[\"a\"],\"label\":{}}]", "field \"label\" is not known"},
};

static void a_bad_file_keeps_its_last_targets(void **state)
{
    (void)state;
    static const char GOOD[] = "a:1{__meta_filepath=\"D/a.json\"} ";
    for (size_t i = 0; i < ARRAY_COUNT(BAD_FILES); i++) {
        struct world w;
        world_open(&w);
        put(&w, "a.json", "[{\"targets\":[\"a:1\"]}]");
        apply(&w, "file_sd_configs: [{files: ['a.json'], refresh_interval: 1h}]\n");
        assert_string_equal(found(&w), GOOD);
        put(&w, "a.json", BAD_FILES[i].text);
        assert_logged(&w, BAD_FILES[i].words);
        assert_logged(&w, "its last targets stay");
        assert_string_equal(found(&w), GOOD);
        struct discover_stats stats;
        discover_stats_get(w.discover, &stats);
        assert_int_equal(stats.file_read_errors, 1);
        /* Another reload of the same configuration does not forget them either. */
        apply(&w, "file_sd_configs: [{files: ['a.json'], refresh_interval: 2h}]\n");
        assert_string_equal(found(&w), GOOD);
        put(&w, "a.json", "[{\"targets\":[\"a:2\"]}]");
        assert_found(&w, "a:2{__meta_filepath=\"D/a.json\"} ");
        assert_logged(&w, "discovery_recovered");
        world_close(&w);
    }
}

static void a_file_that_is_no_file_is_left_alone(void **state)
{
    (void)state;
    struct world w;
    char path[200];
    world_open(&w);
    snprintf(path, sizeof path, "%s/f.json", w.folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(path, sizeof path, "%s/d.json", w.folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/z.json", w.folder);
    assert_int_equal(symlink("/dev/zero", path), 0);
    snprintf(path, sizeof path, "%s/l.json", w.folder);
    assert_int_equal(symlink("l.json", path), 0);
    put(&w, "big.json", "[]");
    snprintf(path, sizeof path, "%s/big.json", w.folder);
    assert_int_equal(truncate(path, 1 << 30), 0);
    put(&w, "good.json", "[{\"targets\":[\"a:1\"]}]");
    apply(&w, "file_sd_configs: [{files: ['*.json'], refresh_interval: 1h}]\n");
    assert_string_equal(found(&w), "a:1{__meta_filepath=\"D/good.json\"} ");
    world_close(&w);
}

/* A writer that takes its time: what is half there is never found. */
static void a_half_written_file_is_waited_for(void **state)
{
    (void)state;
    struct world w;
    char path[200];
    world_open(&w);
    put(&w, "a.yml", "- targets: [a:1]\n");
    apply(&w, "file_sd_configs: [{files: [a.yml], refresh_interval: 1h}]\n");
    snprintf(path, sizeof path, "%s/a.yml", w.folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 10; i++) {
        assert_true(fprintf(file, "- targets: ['b:%d']\n", i) > 0 && fflush(file) == 0);
        const char *now = found(&w);
        assert_true(strstr(now, "a:1") || strstr(now, "b:9"));
    }
    assert_int_equal(fclose(file), 0);
    mono_time end = mono_add_ms(clock_mono(), 10000);
    while (!strstr(found(&w), "b:9"))
        assert_true(strstr(w.text.ptr, "a:1{") && clock_mono().ns < end.ns);
    world_close(&w);
}

#define JSON "Content-Type: application/json\r\n"

static void a_list_comes_from_a_server(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    peer_set(w.peer, PEER_ANSWER, "200 OK", "Content-Type: application/json; charset=utf-8\r\n",
             VIEW("[{\"targets\":[\"a:1\"],\"labels\":{\"l\":\"1\"}}]"));
    apply(&w, "http_sd_configs: [{url: 'http://u:p@127.0.0.1:PORT/sd', refresh_interval: 1h, "
              "http_headers: {X-K: {values: [v]}}}]\n");
    assert_true(discover_wait(w.discover, 10000));
    assert_string_equal(found(&w), "a:1{__meta_url=\"http://u:xxxxx@127.0.0.1:PORT/sd\",l=\"1\"} ");
    buffer_reset(&w.text);
    peer_requests(w.peer, &w.text);
    buffer_append_byte(&w.text, 0);
    static const char *const SENT[] = {"GET /sd HTTP/1.1\r\n", "Accept: application/json\r\n",
                                       "X-Prometheus-Refresh-Interval-Seconds: 3600\r\n",
                                       "X-K: v\r\n", "Authorization: Basic dTpw\r\n"};
    for (size_t i = 0; i < ARRAY_COUNT(SENT); i++) {
        if (!strstr(w.text.ptr, SENT[i]))
            fail_msg("no %s in\n%s", SENT[i], w.text.ptr);
    }
    /* A reload asks again; what was found stays meanwhile. */
    peer_set(w.peer, PEER_ANSWER, "200 OK", JSON, VIEW("[{\"targets\":[\"a:2\"]}]"));
    apply(&w, "http_sd_configs: [{url: 'http://u:p@127.0.0.1:PORT/sd', refresh_interval: 2h}]\n");
    assert_true(strncmp(found(&w), "nothing", 7) != 0);
    assert_found(&w, "a:2{__meta_url=\"http://u:xxxxx@127.0.0.1:PORT/sd\"} ");
    world_close(&w);
}

static const struct {
    enum peer_manner manner;
    const char *status, *headers, *body, *words;
} BAD_SERVERS[] = {
    {PEER_ANSWER, "500 Oh", JSON, "[]", "server returned HTTP status 500 Oh"},
    {PEER_ANSWER, "200 OK", "Content-Type: text/html\r\n", "<html>",
     "unsupported content type \"text/html\", expected application/json"},
    {PEER_ANSWER, "200 OK", JSON, "<html>", "line 1, column 1"},
    {PEER_ANSWER, "200 OK", JSON, "", "it is empty"},
    {PEER_ANSWER, "200 OK", JSON, "{\"a\":1}", "a list of target groups was expected"},
    {PEER_ANSWER, "302 Found", "Location: /x\r\n", "", "stopped after 10 redirects"},
    {PEER_ANSWER, "302 Found", "Location: file:///etc/passwd\r\n", "", "neither http nor https"},
    {PEER_CLOSE, "", "", "", "mpty reply"},
    {PEER_HANG, "", "", "", "timed out"},
    {PEER_DRIP, "200 OK", JSON, "", "timed out"},
    {PEER_ENDLESS, "200 OK", JSON, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
     ""},
    {PEER_ENDLESS_LINE, "200 OK", JSON, "aaaa", ""},
};

/* One after the other against one provider, which keeps what it found before all of them. */
static void a_bad_server_keeps_the_last_list(void **state)
{
    (void)state;
    struct world w;
    static const char GOOD[] = "a:1{__meta_url=\"http://127.0.0.1:PORT/\"} ";
    world_open(&w);
    peer_set(w.peer, PEER_ANSWER, "200 OK", JSON, VIEW("[{\"targets\":[\"a:1\"]}]"));
    apply(&w, "http_sd_configs: [{url: 'http://127.0.0.1:PORT/', refresh_interval: 200ms}]\n");
    assert_found(&w, GOOD);
    for (size_t i = 0; i < ARRAY_COUNT(BAD_SERVERS); i++) {
        struct discover_stats before, after;
        discover_stats_get(w.discover, &before);
        peer_set(w.peer, BAD_SERVERS[i].manner, BAD_SERVERS[i].status, BAD_SERVERS[i].headers,
                 view_from(BAD_SERVERS[i].body));
        assert_logged(&w, BAD_SERVERS[i].words);
        mono_time end = mono_add_ms(clock_mono(), 10000);
        do {
            discover_stats_get(w.discover, &after);
            assert_true(clock_mono().ns < end.ns);
        } while (after.http_failures <= before.http_failures);
        assert_string_equal(found(&w), GOOD);
    }
    peer_set(w.peer, PEER_ANSWER, "200 OK", JSON, VIEW("[]"));
    assert_found(&w, "");
    world_close(&w);
}

/* A server that hangs does not keep files from being read, nor another server's list. */
static void one_that_hangs_keeps_no_other_waiting(void **state)
{
    (void)state;
    struct world w, other;
    char discovery[300];
    world_open(&w);
    world_open(&other);
    peer_set(w.peer, PEER_HANG, "", "", VIEW(""));
    peer_set(other.peer, PEER_ANSWER, "200 OK", JSON, VIEW("[{\"targets\":[\"a:1\"]}]"));
    put(&w, "f.json", "[{\"targets\":[\"f:1\"]}]");
    snprintf(discovery, sizeof discovery,
             "http_sd_configs: [{url: 'http://127.0.0.1:%d/'}, {url: 'http://127.0.0.1:PORT/'}]\n"
             "  file_sd_configs: [{files: [f.json]}]\n",
             peer_port(other.peer));
    apply(&w, discovery);
    mono_time end = mono_add_ms(clock_mono(), 10000);
    while (strncmp(found(&w), "a:1", 3) != 0)
        assert_true(clock_mono().ns < end.ns);
    struct discover_result *r =
        discover_result_get(w.discover, &w.config->scrape_configs.items[0].discoveries.items[2]);
    assert_true(r && r->count == 1);
    discover_result_unref(r);
    assert_false(discover_wait(w.discover, 10));
    world_close(&other);
    world_close(&w);
}

/* ---- DNS ---- */

/* A name server on loopback: what it answers about a name, by type. */
static const struct {
    const char *name;
    int type;
    const char *rdata; /* hex, of each record, a blank between them; "NX": no such name */
} ZONE[] = {
    {"_http._tcp.srv.test", 33, "0000000000500162047465737400 0000000000510161047465737400"},
    {"a.test", 1, "0a000002 0a000001"},
    {"six.test", 28, "fd000000000000000000000000000001"},
    {"mx.test", 15, "000a046d61696c047465737400"},
    {"ns.test", 2, "026e73047465737400"},
    {"gone.test", 1, "NX"},
    {"empty.test", 1, ""},
};

struct name_server {
    int fd, port;
    atomic_bool stop, fails;
    pthread_t thread;
};

static size_t hex_bytes(const char *hex, size_t len, unsigned char *out)
{
    size_t n = 0;
    for (size_t i = 0; i + 1 < len; i += 2) {
        char pair[3] = {hex[i], hex[i + 1], 0};
        out[n++] = (unsigned char)strtoul(pair, NULL, 16);
    }
    return n;
}

/* Answers one question; returns the bytes of the answer. */
static size_t name_server_answer(const struct name_server *ns, unsigned char *m, size_t len)
{
    char name[256] = "";
    size_t pos = 12;
    while (pos < len && m[pos] && pos + m[pos] < len) {
        (void)strncat(name, (const char *)m + pos + 1, m[pos]);
        pos += m[pos] + 1u;
        if (m[pos])
            (void)strncat(name, ".", 2);
    }
    int type = m[pos + 2];
    pos += 5;
    m[2] = 0x84;
    m[3] = atomic_load(&ns->fails) ? 2 : 0; /* SERVFAIL */
    m[7] = 0;
    m[11] = 0; /* no EDNS back */
    for (size_t z = 0; z < ARRAY_COUNT(ZONE) && !m[3]; z++) {
        if (strcasecmp(ZONE[z].name, name) != 0 || ZONE[z].type != type)
            continue;
        if (strcmp(ZONE[z].rdata, "NX") == 0)
            m[3] = 3;
        for (const char *at = ZONE[z].rdata; m[3] == 0 && *at;) {
            size_t hex = strcspn(at, " ");
            static const unsigned char HEAD[] = {0xc0, 12, 0, 0, 0, 1, 0, 0, 0, 60, 0};
            memcpy(m + pos, HEAD, sizeof HEAD);
            m[pos + 3] = (unsigned char)type;
            size_t n = hex_bytes(at, hex, m + pos + 12);
            m[pos + 11] = (unsigned char)n;
            pos += 12 + n;
            m[7]++;
            at += hex + (at[hex] == ' ');
        }
    }
    return pos;
}

static void *name_server_run(void *arg)
{
    struct name_server *ns = arg;
    unsigned char message[4096];
    struct sockaddr_in from;
    while (!atomic_load(&ns->stop)) {
        socklen_t from_bytes = sizeof from;
        ssize_t len = recvfrom(ns->fd, message, 512, 0, (struct sockaddr *)&from, &from_bytes);
        if (len < 17)
            continue;
        size_t bytes = name_server_answer(ns, message, (size_t)len);
        (void)!sendto(ns->fd, message, bytes, 0, (struct sockaddr *)&from, from_bytes);
    }
    return NULL;
}

static void name_server_start(struct name_server *ns)
{
    struct error err;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof at;
    struct timeval moment = {.tv_usec = 20000};
    *ns = (struct name_server){.fd = socket(AF_INET, SOCK_DGRAM, 0)};
    assert_true(bind(ns->fd, (struct sockaddr *)&at, sizeof at) == 0 &&
                getsockname(ns->fd, (struct sockaddr *)&at, &bytes) == 0 &&
                setsockopt(ns->fd, SOL_SOCKET, SO_RCVTIMEO, &moment, sizeof moment) == 0);
    ns->port = ntohs(at.sin_port);
    assert_true(thread_start(&ns->thread, "dns", name_server_run, ns, &err));
}

static void name_server_stop(struct name_server *ns)
{
    atomic_store(&ns->stop, true);
    thread_join(ns->thread);
    close(ns->fd);
}

static const struct {
    const char *settings, *want;
} RECORDS[] = {
    {"names: [_http._tcp.srv.test]",
     "a.test:81{__meta_dns_name=\"_http._tcp.srv.test\",__meta_dns_srv_record_port=\"81\","
     "__meta_dns_srv_record_target=\"a.test.\"} "
     "b.test:80{__meta_dns_name=\"_http._tcp.srv.test\",__meta_dns_srv_record_port=\"80\","
     "__meta_dns_srv_record_target=\"b.test.\"} "},
    {"names: [a.test], type: A, port: 9",
     "10.0.0.1:9{__meta_dns_name=\"a.test\"} 10.0.0.2:9{__meta_dns_name=\"a.test\"} "},
    {"names: [six.test], type: aaaa, port: 9", "[fd00::1]:9{__meta_dns_name=\"six.test\"} "},
    {"names: [mx.test], type: MX, port: 25",
     "mail.test:25{__meta_dns_mx_record_target=\"mail.test.\",__meta_dns_name=\"mx.test\"} "},
    {"names: [ns.test], type: NS, port: 53",
     "ns.test:53{__meta_dns_name=\"ns.test\",__meta_dns_ns_record_target=\"ns.test.\"} "},
    {"names: [gone.test, a.test, empty.test], type: A, port: 9",
     "10.0.0.1:9{__meta_dns_name=\"a.test\"} 10.0.0.2:9{__meta_dns_name=\"a.test\"} "},
    {"names: [gone.test], type: A, port: 9", ""},
};

static void records_of_names_are_targets(void **state)
{
    (void)state;
    struct name_server ns;
    char servers[64], discovery[300];
    name_server_start(&ns);
    snprintf(servers, sizeof servers, "127.0.0.1:%d", ns.port);
    discover_dns_test_set_servers(servers);
    for (size_t i = 0; i < ARRAY_COUNT(RECORDS); i++) {
        struct world w;
        world_open(&w);
        snprintf(discovery, sizeof discovery, "dns_sd_configs: [{%s, refresh_interval: 1h}]\n",
                 RECORDS[i].settings);
        apply(&w, discovery);
        assert_true(discover_wait(w.discover, 10000));
        assert_found(&w, RECORDS[i].want);
        world_close(&w);
    }
    name_server_stop(&ns);
    discover_dns_test_set_servers(NULL);
}

static void a_name_server_that_fails_keeps_the_last_records(void **state)
{
    (void)state;
    struct name_server ns;
    struct world w;
    char servers[64];
    static const char GOOD[] = "10.0.0.1:9{__meta_dns_name=\"a.test\"} "
                               "10.0.0.2:9{__meta_dns_name=\"a.test\"} ";
    name_server_start(&ns);
    snprintf(servers, sizeof servers, "127.0.0.1:%d", ns.port);
    discover_dns_test_set_servers(servers);
    world_open(&w);
    apply(&w, "dns_sd_configs: [{names: [a.test], type: A, port: 9, refresh_interval: 50ms}]\n");
    assert_found(&w, GOOD);
    atomic_store(&ns.fails, true);
    assert_logged(&w, "could not look up \"a.test\"");
    assert_string_equal(found(&w), GOOD);
    atomic_store(&ns.fails, false);
    assert_logged(&w, "discovery_recovered");
    struct discover_stats stats;
    discover_stats_get(w.discover, &stats);
    assert_true(stats.dns_lookups > stats.dns_failures && stats.dns_failures > 0);
    /* Gone while it asks somebody who does not answer. */
    name_server_stop(&ns);
    apply(&w, "dns_sd_configs: [{names: [b.test], type: A, port: 9, refresh_interval: 1h}]\n");
    world_close(&w);
    discover_dns_test_set_servers(NULL);
}

static void reloads_run_beside_refreshes(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    peer_set(w.peer, PEER_ANSWER, "200 OK", JSON, VIEW("[{\"targets\":[\"a:1\"]}]"));
    for (int i = 0; i < 200; i++) {
        char text[100];
        snprintf(text, sizeof text, "[{\"targets\":[\"f:%d\"]}]", i);
        put(&w, "f.json", text);
        if (i % 3 == 0)
            apply(&w, "http_sd_configs: [{url: 'http://127.0.0.1:PORT/', refresh_interval: 5ms}]\n"
                      "  file_sd_configs: [{files: ['*.json'], refresh_interval: 5ms}]\n");
        else if (i % 3 == 1)
            apply(&w, "file_sd_configs: [{files: ['*.json'], refresh_interval: 5ms}]\n");
        else
            apply(&w, "http_sd_configs: [{url: 'http://127.0.0.1:PORT/x', refresh_interval: 5ms}, "
                      "{url: 'http://127.0.0.1:PORT/', refresh_interval: 5ms}]\n");
        (void)found(&w);
    }
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(target_groups_are_read),
        cmocka_unit_test(what_is_too_much_is_refused_before_it_is_built),
        cmocka_unit_test(files_are_read_at_once_and_when_they_change),
        cmocka_unit_test(a_bad_file_keeps_its_last_targets),
        cmocka_unit_test(a_file_that_is_no_file_is_left_alone),
        cmocka_unit_test(a_half_written_file_is_waited_for),
        cmocka_unit_test(a_list_comes_from_a_server),
        cmocka_unit_test(a_bad_server_keeps_the_last_list),
        cmocka_unit_test(one_that_hangs_keeps_no_other_waiting),
        cmocka_unit_test(records_of_names_are_targets),
        cmocka_unit_test(a_name_server_that_fails_keeps_the_last_records),
        cmocka_unit_test(reloads_run_beside_refreshes),
    };
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
