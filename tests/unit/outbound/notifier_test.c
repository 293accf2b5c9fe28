/* SPDX-License-Identifier: Apache-2.0 */
/* notifier_test.c: alerts to Alertmanagers in this process: what they get, and that one that misbehaves holds up nobody.
 * Tests wait for what must come, never for a time. */
#include "outbound/notifier.h"

#include "../ingest/peer.h"
#include "base/clock.h"
#include "base/thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 60 * 1000, PEERS_MAX = 3 };

struct world {
    struct notifier *notifier;
    struct peer *peers[PEERS_MAX];
    struct buffer seen[PEERS_MAX]; /* requests so far */
    struct buffer log;             /* under the mutex */
    pthread_mutex_t mutex;
};

static void on_log(void *arg, bool is_error, const char *event, const char *text)
{
    struct world *w = arg;
    mutex_lock(&w->mutex);
    buffer_printf(&w->log, "%s: %s\n", event, text);
    mutex_unlock(&w->mutex);
}

static void world_init(struct world *w, size_t peers, struct notifier_options opts)
{
    struct error err;
    *w = (struct world){0};
    mutex_init(&w->mutex);
    buffer_init(&w->log, MEM_OTHER, 1 << 20);
    for (size_t i = 0; i < peers; i++) {
        w->peers[i] = peer_start();
        peer_set_text(w->peers[i], "");
    }
    for (size_t i = 0; i < PEERS_MAX; i++)
        buffer_init(&w->seen[i], MEM_OTHER, 1 << 26);
    opts.external_url = opts.external_url ? opts.external_url : "http://belfry.test:9090";
    opts.log = on_log;
    opts.log_arg = w;
    assert_true(notifier_start(&w->notifier, &opts, &err));
}

static void world_deinit(struct world *w)
{
    notifier_stop(w->notifier);
    for (size_t i = 0; i < PEERS_MAX; i++) {
        if (w->peers[i])
            peer_stop(w->peers[i]);
        buffer_deinit(&w->seen[i]);
    }
    buffer_deinit(&w->log);
    mutex_deinit(&w->mutex);
}

static void apply(struct world *w, const char *format, ...) PRINTF_LIKE(2, 3);
static void apply(struct world *w, const char *format, ...)
{
    char text[4096];
    struct config *config;
    struct error err;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!config_load_text(view_from(text), "", "test.yml", &config, &err))
        fail_msg("%s", err.message);
    notifier_apply(w->notifier, config);
    config_unref(config);
}

/* One entry for each peer. */
static void apply_peers(struct world *w, size_t count)
{
    char text[2048] = "alerting: {alertmanagers: [";
    for (size_t i = 0; i < count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "%s{timeout: 1h, static_configs: [{targets: ['127.0.0.1:%d']}]}", i ? ", " : "",
                 peer_port(w->peers[i]));
    apply(w, "%s]}\n", text);
}

/* Alerts n = FROM ... TO - 1. */
static void send_alerts(struct world *w, int from, int to)
{
    struct alert_sink sink = notifier_sink(w->notifier);
    for (int i = from; i < to; i++) {
        char n[16];
        snprintf(n, sizeof n, "%d", i);
        const struct label labels[] = {{VIEW("alertname"), VIEW("Down")},
                                       {VIEW("n"), view_from(n)}};
        const struct alert_notice notice = {
            .labels = {labels, 2}, .starts_ms = 1000, .ends_ms = 2000, .expr = VIEW("up == 0")};
        sink.send(sink.arg, &notice, 1);
    }
}

static void read_peer(struct world *w, size_t peer)
{
    peer_requests(w->peers[peer], &w->seen[peer]);
    buffer_append_byte(&w->seen[peer], 0);
    w->seen[peer].len--;
}

static bool has(struct world *w, size_t peer, const char *text)
{
    read_peer(w, peer);
    return strstr(w->seen[peer].ptr, text) != NULL;
}

static void wait_for_text(struct world *w, size_t peer, const char *text)
{
    mono_time begin = clock_mono();
    while (!has(w, peer, text)) {
        if (mono_ms_since(begin) > PATIENCE_MS)
            fail_msg("peer %zu never got \"%s\" but: %s", peer, text, w->seen[peer].ptr);
        usleep(2000);
    }
}

static size_t count_of(struct world *w, size_t peer, const char *text)
{
    size_t count = 0;
    read_peer(w, peer);
    for (const char *at = w->seen[peer].ptr; (at = strstr(at, text)); at++)
        count++;
    return count;
}

static struct notifier_url_stats stats_of(struct world *w, struct peer *peer)
{
    struct arena arena;
    struct notifier_stats stats;
    struct notifier_url_stats found = {0};
    char port[16];
    snprintf(port, sizeof port, ":%d/", peer_port(peer));
    arena_init(&arena, MEM_OTHER, 0);
    notifier_stats_get(w->notifier, &arena, &stats);
    for (size_t i = 0; i < stats.count; i++)
        if (strstr(stats.items[i].url.ptr, port))
            found = stats.items[i];
    arena_deinit(&arena);
    return found;
}

#define WAIT_UNTIL(condition)                                                                      \
    do {                                                                                           \
        mono_time begin_ = clock_mono();                                                           \
        while (!(condition)) {                                                                     \
            if (mono_ms_since(begin_) > PATIENCE_MS)                                               \
                fail_msg("never: %s", #condition);                                                 \
            usleep(2000);                                                                          \
        }                                                                                          \
    } while (0)

static void wait_for_log(struct world *w, const char *text)
{
    bool found = false;
    mono_time begin = clock_mono();
    while (!found) {
        mutex_lock(&w->mutex);
        buffer_append_byte(&w->log, 0);
        w->log.len--;
        found = strstr(w->log.ptr, text) != NULL;
        if (!found && mono_ms_since(begin) > PATIENCE_MS)
            fail_msg("the log has no \"%s\": %s", text, w->log.ptr);
        mutex_unlock(&w->mutex);
        usleep(2000);
    }
}

/* Byte for byte what Prometheus 2.42 posts for such alerts (seen). */
static void an_alert_is_posted_as_prometheus_posts_it(void **state)
{
    struct world w;
    world_init(&w, 1, (struct notifier_options){.external_url = "http://p.test:9090/x"});
    apply(&w,
          "global: {external_labels: {site: 'a<b', team: outside}}\n"
          "alerting: {alert_relabel_configs: [{action: labeldrop, regex: secret}], "
          "alertmanagers: [{path_prefix: /am, static_configs: [{targets: ['127.0.0.1:%d']}]}]}\n",
          peer_port(w.peers[0]));
    const struct label labels[] = {{VIEW("alertname"), VIEW("Do\"wn")},
                                   {VIEW("secret"), VIEW("x")},
                                   {VIEW("team"), VIEW("inside")}};
    const struct label annotations[] = {{VIEW("empty"), VIEW("")},
                                        {VIEW("summary"), VIEW("a & b\nc")}};
    const struct alert_notice notice = {.labels = {labels, 3},
                                        .annotations = {annotations, 2},
                                        .starts_ms = 1700000000450,
                                        .ends_ms = 1700000240000,
                                        .expr = VIEW("up{job=\"x\"} == 0")};
    struct alert_sink sink = notifier_sink(w.notifier);
    sink.send(sink.arg, &notice, 1);
    wait_for_text(&w, 0, "}]");
    assert_true(has(&w, 0, "POST /am/api/v2/alerts HTTP/1.1\r\n"));
    assert_true(has(&w, 0, "Content-Type: application/json\r\n"));
    assert_true(has(&w, 0, "User-Agent: Belfry/"));
    assert_true(
        has(&w, 0,
            "\r\n\r\n[{\"annotations\":{\"empty\":\"\",\"summary\":\"a \\u0026 b\\nc\"},"
            "\"endsAt\":\"2023-11-14T22:17:20.000Z\",\"startsAt\":\"2023-11-14T22:13:20.450Z\","
            "\"generatorURL\":\"http://p.test:9090/x/"
            "graph?g0.expr=up%7Bjob%3D%22x%22%7D+%3D%3D+0\\u0026g0."
            "tab=1\",\"labels\":{\"alertname\":\"Do\\\"wn\",\"site\":\"a\\u003cb\",\"team\":"
            "\"inside\"}}]"));
    const struct alert_notice bare = {.labels = {labels, 1}, .expr = VIEW("vector(1)")};
    sink.send(sink.arg, &bare, 1);
    wait_for_text(&w, 0,
                  "\r\n\r\n[{\"endsAt\":\"1970-01-01T00:00:00.000Z\",\"startsAt\":"
                  "\"1970-01-01T00:00:00.000Z\",\"generatorURL\":\"http://p.test:9090/x/"
                  "graph?g0.expr=vector%281%29\\u0026g0.tab=1\",\"labels\":{\"alertname\":"
                  "\"Do\\\"wn\",\"site\":\"a\\u003cb\",\"team\":\"outside\"}}]");
    world_deinit(&w);
}

/* Each entry has its own rules for alerts; who gets none is not asked. */
static void alerts_are_relabelled_per_alertmanager(void **state)
{
    struct world w;
    world_init(&w, 3, (struct notifier_options){0});
    apply(&w,
          "alerting: {alert_relabel_configs: [{source_labels: [n], regex: '3', action: drop}], "
          "alertmanagers: [{static_configs: [{targets: ['127.0.0.1:%d']}]}, "
          "{alert_relabel_configs: [{source_labels: [n], regex: '2', action: keep}, {target_label: "
          "to, replacement: second}], static_configs: [{targets: ['127.0.0.1:%d']}]}, "
          "{alert_relabel_configs: [{action: drop}], static_configs: [{targets: "
          "['127.0.0.1:%d']}]}]}\n",
          peer_port(w.peers[0]), peer_port(w.peers[1]), peer_port(w.peers[2]));
    send_alerts(&w, 1, 5);
    wait_for_text(&w, 0, "\"n\":\"4\"");
    wait_for_text(&w, 1, "\"n\":\"2\",\"to\":\"second\"");
    assert_false(has(&w, 0, "\"n\":\"3\""));
    assert_false(has(&w, 0, "second"));
    assert_int_equal(count_of(&w, 1, "alertname"), 1);
    assert_int_equal(peer_connection_count(w.peers[2]), 0);
    world_deinit(&w);
}

/* One hangs, one refuses connections: the third gets all, in order, in batches, and queues stay bounded. */
static void one_that_hangs_delays_nobody(void **state)
{
    struct world w;
    char text[32];
    world_init(&w, 3, (struct notifier_options){.queue_capacity = 100, .batch_max = 10});
    peer_set(w.peers[0], PEER_HANG, "200 OK", "", VIEW(""));
    peer_set(w.peers[1], PEER_CLOSE, "200 OK", "", VIEW(""));
    apply_peers(&w, 3);
    for (int i = 0; i < 500; i += 20) { /* no faster than the good one takes them */
        send_alerts(&w, i, i + 20);
        snprintf(text, sizeof text, "\"n\":\"%d\"", i + 19);
        wait_for_text(&w, 2, text);
    }
    WAIT_UNTIL(stats_of(&w, w.peers[2]).sent == 500);
    const char *last = w.seen[2].ptr;
    for (int i = 0; i < 500; i++) {
        snprintf(text, sizeof text, "\"n\":\"%d\"", i);
        last = strstr(last, text);
        assert_non_null(last);
    }
    struct notifier_url_stats hangs = stats_of(&w, w.peers[0]), good = stats_of(&w, w.peers[2]);
    assert_int_equal(good.dropped, 0);
    assert_int_equal(good.errors, 0);
    assert_true(good.latency_count >= 50);
    assert_int_equal(hangs.sent, 0);
    assert_int_equal(hangs.queue_length, 100);
    assert_true(hangs.dropped >= 390 && hangs.dropped <= 400); /* a batch is on its way */
    wait_for_log(&w, "alert_queue_full");
    /* It comes back: what is left of it is the newest. */
    peer_set_text(w.peers[1], "");
    wait_for_text(&w, 1, "\"n\":\"499\"");
    wait_for_log(&w, "it takes alerts again");
    world_deinit(&w);
}

/* A refusal of the alerts themselves is final, and it is said with the Alertmanager's words. */
static void what_is_refused_is_not_tried_again(void **state)
{
    struct world w;
    world_init(&w, 1, (struct notifier_options){0});
    peer_set(w.peers[0], PEER_ANSWER, "400 Bad Request", "", VIEW("{\"message\":\"bad label\"}"));
    apply_peers(&w, 1);
    send_alerts(&w, 0, 1);
    wait_for_log(&w, "bad response status 400 Bad Request: {\"message\":\"bad label\"}");
    WAIT_UNTIL(stats_of(&w, w.peers[0]).dropped == 1);
    assert_int_equal(stats_of(&w, w.peers[0]).errors, 1);
    peer_set_text(w.peers[0], "");
    send_alerts(&w, 1, 2);
    wait_for_text(&w, 0, "\"n\":\"1\"");
    assert_int_equal(count_of(&w, 0, "\"n\":\"0\""), 1);
    world_deinit(&w);
}

/* 503 is tried again until it is taken. */
static void what_failed_is_tried_again(void **state)
{
    struct world w;
    world_init(&w, 1, (struct notifier_options){0});
    peer_set(w.peers[0], PEER_ANSWER, "503 Service Unavailable", "", VIEW(""));
    apply_peers(&w, 1);
    send_alerts(&w, 0, 1);
    WAIT_UNTIL(stats_of(&w, w.peers[0]).errors >= 1);
    peer_set_text(w.peers[0], "");
    WAIT_UNTIL(stats_of(&w, w.peers[0]).sent == 1);
    assert_int_equal(stats_of(&w, w.peers[0]).dropped, 0);
    world_deinit(&w);
}

/* A redirect keeps method and body; also 301, where a GET would lose them. */
static void redirects_keep_the_alerts(void **state)
{
    static const char *const STATUS[] = {"301 Moved Permanently", "308 Permanent Redirect"};
    for (size_t i = 0; i < ARRAY_COUNT(STATUS); i++) {
        struct world w;
        char header[128];
        world_init(&w, 2, (struct notifier_options){0});
        snprintf(header, sizeof header, "Location: http://127.0.0.1:%d/there\r\n",
                 peer_port(w.peers[1]));
        peer_set(w.peers[0], PEER_ANSWER, STATUS[i], header, VIEW(""));
        apply_peers(&w, 1);
        send_alerts(&w, 0, 1);
        wait_for_text(&w, 1, "\"n\":\"0\"");
        assert_true(has(&w, 1, "POST /there HTTP/1.1"));
        WAIT_UNTIL(stats_of(&w, w.peers[0]).sent == 1);
        world_deinit(&w);
    }
}

/* A token is asked for first, with a form; then the alerts go with it. */
static void a_token_goes_with_the_alerts(void **state)
{
    struct world w;
    world_init(&w, 2, (struct notifier_options){0});
    peer_set(w.peers[1], PEER_ANSWER, "200 OK", "Content-Type: application/json\r\n",
             VIEW("{\"access_token\":\"tok\",\"token_type\":\"bearer\",\"expires_in\":3600}"));
    apply(&w,
          "alerting: {alertmanagers: [{oauth2: {client_id: me, client_secret: s, token_url: "
          "'http://127.0.0.1:%d/token'}, static_configs: [{targets: ['127.0.0.1:%d']}]}]}\n",
          peer_port(w.peers[1]), peer_port(w.peers[0]));
    send_alerts(&w, 0, 2);
    wait_for_text(&w, 0, "\"n\":\"1\"");
    assert_true(has(&w, 0, "Authorization: Bearer tok\r\n"));
    assert_true(has(&w, 1, "grant_type=client_credentials"));
    assert_false(has(&w, 1, "alertname"));
    world_deinit(&w);
}

/* What an Alertmanager, or who stands before it, quotes of what it was sent is not said in the log. */
static void what_is_quoted_of_secrets_is_hidden(void **state)
{
    static const char *const CLIENTS[] = {
        "basic_auth: {username: me, password: Zx9kQ7vB2mW4pL8}",
        "authorization: {credentials: Zx9kQ7vB2mW4pL8}",
        "http_headers: {X-Key: {secrets: [Zx9kQ7vB2mW4pL8]}}",
    };
    for (size_t i = 0; i < ARRAY_COUNT(CLIENTS); i++) {
        struct world w;
        world_init(&w, 1, (struct notifier_options){0});
        peer_set(w.peers[0], PEER_ANSWER, "400 Zx9kQ7vB2mW4pL8", "X-Was: Zx9kQ7vB2mW4pL8\r\n",
                 VIEW("Basic bWU6Wng5a1E3dkIybVc0cEw4, Bearer Zx9kQ7vB2mW4pL8"));
        apply(&w,
              "alerting: {alertmanagers: [{%s, static_configs: [{targets: ['127.0.0.1:%d']}]}]}\n",
              CLIENTS[i], peer_port(w.peers[0]));
        send_alerts(&w, 0, 1);
        wait_for_log(&w, "400 <secret>: Basic ");
        mutex_lock(&w.mutex);
        assert_null(memmem(w.log.ptr, w.log.len, "Zx9kQ7vB", 8));
        if (i == 0)
            assert_null(memmem(w.log.ptr, w.log.len, "bWU6Wng5", 8));
        mutex_unlock(&w.mutex);
        world_deinit(&w);
    }
}

/* Nor what is in no configuration: the password of the environment's proxy, also without a scheme. */
static void the_password_of_the_environments_proxy_is_hidden(void **state)
{
    static const char *const PROXIES[] = {"http://me:Zx9kQ7vB2mW4pL8@127.0.0.1:%d",
                                          "me:Zx9kQ7vB2mW4pL8@127.0.0.1:%d"};
    for (size_t i = 0; i < ARRAY_COUNT(PROXIES); i++) {
        struct world w;
        char proxy[128];
        world_init(&w, 1, (struct notifier_options){0});
        peer_set(w.peers[0], PEER_ANSWER, "502 Zx9kQ7vB2mW4pL8", "",
                 VIEW("Basic bWU6Wng5a1E3dkIybVc0cEw4"));
        snprintf(proxy, sizeof proxy, PROXIES[i], peer_port(w.peers[0]));
        setenv("HTTP_PROXY", proxy, 1);
        apply(&w,
              "alerting: {alertmanagers: [{proxy_from_environment: true, static_configs: "
              "[{targets: ['am.invalid:%d']}]}]}\n",
              9);
        send_alerts(&w, 0, 1);
        wait_for_text(&w, 0, "\"n\":\"0\"");
        assert_true(has(&w, 0, "Proxy-Authorization: Basic bWU6Wng5a1E3dkIybVc0cEw4"));
        wait_for_log(&w, "502 <secret>: Basic ");
        mutex_lock(&w.mutex);
        assert_null(memmem(w.log.ptr, w.log.len, "Zx9kQ7vB", 8));
        assert_null(memmem(w.log.ptr, w.log.len, "bWU6Wng5", 8));
        mutex_unlock(&w.mutex);
        world_deinit(&w);
        unsetenv("HTTP_PROXY");
    }
}

static void alerts_go_over_tls(void **state)
{
    struct world w;
    world_init(&w, 0, (struct notifier_options){0});
    w.peers[0] = peer_start_tls("127.0.0.1", false);
    peer_set_text(w.peers[0], "");
    apply(&w,
          "alerting: {alertmanagers: [{scheme: https, tls_config: {ca_file: '%s'}, "
          "static_configs: [{targets: ['127.0.0.1:%d']}]}]}\n",
          peer_cert_path(w.peers[0]), peer_port(w.peers[0]));
    send_alerts(&w, 0, 1);
    wait_for_text(&w, 0, "\"n\":\"0\"");
    WAIT_UNTIL(stats_of(&w, w.peers[0]).sent == 1);
    world_deinit(&w);
}

/* Answers without end cost a failure, or nothing where the status was good. */
static void answers_without_end_are_cut(void **state)
{
    struct world w;
    world_init(&w, 2, (struct notifier_options){0});
    peer_set(w.peers[0], PEER_ENDLESS, "200 OK", "", VIEW("0123456789012345678901234567890"));
    peer_set(w.peers[1], PEER_ENDLESS_LINE, "200 OK", "", VIEW("X-Header: and so on\r\n"));
    apply_peers(&w, 2);
    send_alerts(&w, 0, 1);
    WAIT_UNTIL(stats_of(&w, w.peers[0]).sent == 1);
    WAIT_UNTIL(stats_of(&w, w.peers[1]).errors >= 1);
    world_deinit(&w);
}

/* A reload keeps what waits for Alertmanagers that stay, whatever else of their entry changes; one that leaves gets what
 * waited for it. */
static void a_reload_loses_nothing(void **state)
{
    struct world w;
    world_init(&w, 2, (struct notifier_options){0});
    peer_set(w.peers[0], PEER_ANSWER, "500 Oh", "", VIEW(""));
    apply_peers(&w, 2);
    send_alerts(&w, 0, 3);
    wait_for_text(&w, 1, "\"n\":\"2\"");
    WAIT_UNTIL(stats_of(&w, w.peers[0]).errors >= 1);
    apply(&w,
          "alerting: {alertmanagers: [{timeout: 7s, basic_auth: {username: u, password: p}, "
          "static_configs: [{targets: ['127.0.0.1:%d']}]}]}\n",
          peer_port(w.peers[0]));
    peer_set_text(w.peers[0], "");
    WAIT_UNTIL(stats_of(&w, w.peers[0]).sent == 3);
    assert_true(has(&w, 0, "Authorization: Basic dTpw"));
    send_alerts(&w, 3, 4);
    wait_for_text(&w, 0, "\"n\":\"3\"");
    assert_false(has(&w, 1, "\"n\":\"3\""));
    world_deinit(&w);
}

/* At stop what waits is posted, if so configured. */
static void a_stop_drains(void **state)
{
    struct world w;
    world_init(
        &w, 1,
        (struct notifier_options){.batch_max = 7, .drain = true, .drain_ms_max = PATIENCE_MS});
    apply_peers(&w, 1);
    send_alerts(&w, 0, 100);
    notifier_stop(w.notifier);
    w.notifier = NULL;
    assert_int_equal(count_of(&w, 0, "\"n\":"), 100);
    world_deinit(&w);
}

/* In front of one that hangs it ends all the same, and says what is lost. */
static void a_stop_does_not_wait_for_one_that_hangs(void **state)
{
    struct world w;
    world_init(&w, 1, (struct notifier_options){.drain = true, .drain_ms_max = 50});
    peer_set(w.peers[0], PEER_HANG, "200 OK", "", VIEW(""));
    apply_peers(&w, 1);
    send_alerts(&w, 0, 1000);
    notifier_stop(w.notifier);
    w.notifier = NULL;
    wait_for_log(&w, "1000 alerts that waited for Alertmanagers are dropped");
    world_deinit(&w);
}

/* Files name Alertmanagers; what they say later is in force later. */
static void files_name_alertmanagers(void **state)
{
    struct world w;
    struct arena arena;
    struct alertmanagers found;
    char path[] = "/tmp/belfry-notifier-XXXXXX.json";
    int fd = mkstemps(path, 5);
    assert_true(fd >= 0);
    world_init(&w, 2, (struct notifier_options){.discovery_pause_ms = 1});
    dprintf(fd, "[{\"targets\": [\"127.0.0.1:%d\"]}]", peer_port(w.peers[0]));
    apply(
        &w,
        "alerting: {alertmanagers: [{file_sd_configs: [{files: ['%s'], refresh_interval: 1s}]}]}\n",
        path);
    send_alerts(&w, 0, 1);
    wait_for_text(&w, 0, "\"n\":\"0\"");
    FILE *f = fopen(path, "w");
    fprintf(f, "[{\"targets\": [\"127.0.0.1:%d\"]}]", peer_port(w.peers[1]));
    fclose(f);
    char want[64];
    snprintf(want, sizeof want, "http://127.0.0.1:%d/api/v2/alerts", peer_port(w.peers[1]));
    arena_init(&arena, MEM_OTHER, 0);
    WAIT_UNTIL((notifier_alertmanagers(w.notifier, &arena, &found), found.active.count == 1) &&
               view_is(found.active.items[0], want));
    arena_deinit(&arena);
    send_alerts(&w, 1, 2);
    wait_for_text(&w, 1, "\"n\":\"1\"");
    assert_false(has(&w, 0, "\"n\":\"1\""));
    world_deinit(&w);
    close(fd);
    unlink(path);
}

/* Rules send from several threads while configurations change. Run under ThreadSanitizer. */
struct sending {
    struct world *world;
    int from;
};
static void *send_many(void *arg)
{
    struct sending *s = arg;
    send_alerts(s->world, s->from, s->from + 300);
    return NULL;
}

static void threads_send_while_configurations_change(void **state)
{
    struct world w;
    pthread_t threads[3];
    struct sending sendings[3];
    struct error err;
    world_init(&w, 2, (struct notifier_options){0});
    apply_peers(&w, 2);
    for (size_t i = 0; i < 3; i++) {
        sendings[i] = (struct sending){&w, (int)i * 1000};
        assert_true(thread_start(&threads[i], "send", send_many, &sendings[i], &err));
    }
    for (int i = 0; i < 20; i++) {
        apply_peers(&w, 1 + (size_t)i % 2);
        (void)stats_of(&w, w.peers[0]);
    }
    for (size_t i = 0; i < 3; i++)
        thread_join(threads[i]);
    WAIT_UNTIL(stats_of(&w, w.peers[0]).sent == 900);
    assert_int_equal(count_of(&w, 0, "\"n\":"), 900);
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_alert_is_posted_as_prometheus_posts_it),
        cmocka_unit_test(alerts_are_relabelled_per_alertmanager),
        cmocka_unit_test(one_that_hangs_delays_nobody),
        cmocka_unit_test(what_is_refused_is_not_tried_again),
        cmocka_unit_test(what_failed_is_tried_again),
        cmocka_unit_test(redirects_keep_the_alerts),
        cmocka_unit_test(a_token_goes_with_the_alerts),
        cmocka_unit_test(what_is_quoted_of_secrets_is_hidden),
        cmocka_unit_test(the_password_of_the_environments_proxy_is_hidden),
        cmocka_unit_test(alerts_go_over_tls),
        cmocka_unit_test(answers_without_end_are_cut),
        cmocka_unit_test(a_reload_loses_nothing),
        cmocka_unit_test(a_stop_drains),
        cmocka_unit_test(a_stop_does_not_wait_for_one_that_hangs),
        cmocka_unit_test(files_name_alertmanagers),
        cmocka_unit_test(threads_send_while_configurations_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
