/* SPDX-License-Identifier: Apache-2.0 */
/* redaction_test.c: what a hostile receiver echoes of the secrets that it was sent. For each secret of each kind a receiver is
 * configured, delivered to a server of ours that says the secret wherever it can, and looked for in all that is told of it. The
 * tables of receivers say which secrets there are: one that no row has fails the test. */
#include "alerting/receivers_private.h"
#include "driver_fixture.h"

#include "alerting/sender.h"
#include "base/redaction.h"
#include "base/thread.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { REQUEST_BYTES = 1 << 16, LONG_MS = 100 * 1000, SHORT_MS = 200, FORMS = 3 };

/* As it is, as in a URL, as in JSON. */
#define SECRET_TEXT "Zx9/kQ7&vB2\"mW4 pL8"
static const char *const SECRET_FORMS[FORMS] = {SECRET_TEXT, "Zx9%2FkQ7%26vB2%22mW4%20pL8",
                                                "Zx9\\/kQ7\\u0026vB2\\\"mW4 pL8"};
#define URL_SECRET_TEXT "Zx9kQ7vB2mW4pL8"

/* --- a server that says what it is told to, one connection after the other --- */

enum how { AS_TEXT, AS_JSON, AS_STATUS, QUOTED_HEADERS, AS_JIRA };

struct server {
    int fd;
    uint16_t port;
    pthread_t thread;
    pthread_mutex_t mutex;
    enum how how;
    bool speaks_first; /* of mail */
    char request[REQUEST_BYTES];
};

static void send_text(int fd, const char *text)
{
    (void)send(fd, text, strlen(text), MSG_NOSIGNAL); /* a loopback takes it whole, or is gone */
}

static void read_request(int fd, char *to)
{
    size_t len = 0;
    to[0] = '\0';
    for (;;) {
        ssize_t n = recv(fd, to + len, REQUEST_BYTES - 1 - len, 0);
        if (n <= 0)
            return;
        len += (size_t)n;
        to[len] = '\0';
        const char *body = strstr(to, "\r\n\r\n"), *length = strcasestr(to, "Content-Length:");
        if (body && len - (size_t)(body + 4 - to) >= (length ? strtoul(length + 15, NULL, 10) : 0))
            return;
    }
}

#define JIRA_FOUND                                                                                 \
    "{\"issues\":[{\"key\":\"OPS-1234\",\"fields\":{\"status\":{\"statusCategory\":{\"key\":"      \
    "\"done\"}}}}]}"

static void answer(int fd, enum how how, const char *request)
{
    char text[REQUEST_BYTES + 4096];
    const char *head = strchr(request, '\n');
    const char *authorization = strcasestr(request, "\nAuthorization:");
    if (authorization)
        head = authorization;
    switch (how) {
    case AS_TEXT:
        (void)snprintf(text, sizeof text,
                       "HTTP/1.1 400 %s\r\nX-It-Was: %s\r\nConnection: close\r\n\r\n%s|%s|%s|%s",
                       SECRET_TEXT, SECRET_TEXT, SECRET_FORMS[0], SECRET_FORMS[1], SECRET_FORMS[2],
                       URL_SECRET_TEXT);
        break;
    case AS_JSON:
        (void)snprintf(
            text, sizeof text,
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n\r\n"
            "{\"ok\":false,\"success\":false,\"errcode\":7,\"error\":\"%s %s\","
            "\"errmsg\":\"%s %s\",\"description\":\"%s %s\"}",
            SECRET_FORMS[2], URL_SECRET_TEXT, SECRET_FORMS[2], URL_SECRET_TEXT, SECRET_FORMS[2],
            URL_SECRET_TEXT);
        break;
    case AS_STATUS:
        (void)snprintf(text, sizeof text, "HTTP/1.1 400 no\r\nConnection: close\r\n\r\n%.900s",
                       request);
        break;
    case QUOTED_HEADERS:
        (void)snprintf(text, sizeof text, "HTTP/1.1 400 no\r\nConnection: close\r\n\r\n%.900s",
                       head ? head : "");
        break;
    case AS_JIRA:
        (void)snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%s",
                       strstr(request, "/search")        ? JIRA_FOUND
                       : strstr(request, "/transitions") ? "{\"transitions\":[]}"
                                                         : "{}");
        break;
    }
    send_text(fd, text);
}

static void *serve(void *arg)
{
    struct server *s = arg;
    for (;;) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        mutex_lock(&s->mutex);
        enum how how = s->how;
        bool speaks_first = s->speaks_first;
        mutex_unlock(&s->mutex);
        if (speaks_first) {
            send_text(fd, "554 " SECRET_TEXT "\r\n");
        } else {
            read_request(fd, s->request);
            answer(fd, how, s->request);
        }
        (void)shutdown(fd, SHUT_WR);
        close(fd);
    }
}

static void server_start(struct server *s)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof at;
    struct error err;
    mutex_init(&s->mutex);
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(s->fd >= 0 && bind(s->fd, (struct sockaddr *)&at, sizeof at) == 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&at, &bytes), 0);
    assert_int_equal(listen(s->fd, 64), 0);
    s->port = ntohs(at.sin_port);
    assert_true(thread_start(&s->thread, "serve", serve, s, &err));
}

static void server_stop(struct server *s)
{
    (void)shutdown(s->fd, SHUT_RDWR);
    thread_join(s->thread);
    close(s->fd);
    mutex_deinit(&s->mutex);
}

static void server_say(struct server *s, enum how how, bool speaks_first)
{
    mutex_lock(&s->mutex);
    s->how = how;
    s->speaks_first = speaks_first;
    mutex_unlock(&s->mutex);
}

/* --- receivers: @URL is the server, @S the secret, @U one that may stand in a URL, @F, @G and @V files with one, a URL with
 * one, and one for a URL --- */

static const struct row {
    const char *kind, *settings;
    bool
        is_quoted; /* AS_TEXT is a failure for good (else it is tried again until SHORT_MS are over) and quoted */
} ROWS[] = {
    {"discord", "webhook_url: '@URL/api/webhooks/1/@U'", true},
    {"discord", "webhook_url_file: '@G'", true},
    {"email", "to: a@b, from: c@d, smarthost: '@HOST', require_tls: false, "
              "auth_username: u, auth_password: '@S'"},
    {"email", "to: a@b, from: c@d, smarthost: '@HOST', require_tls: false, "
              "auth_username: u, auth_secret: '@S'"},
    {"email", "to: a@b, from: c@d, smarthost: '@HOST', require_tls: false, "
              "auth_username: u, auth_password_file: '@F'"},
    {"incidentio", "url: '@URL/alerts', alert_source_token: '@S'", true},
    {"incidentio", "url: '@URL/alerts', alert_source_token_file: '@F'", true},
    {"jira",
     "api_url: '@URL', project: P, issue_type: T, http_config: {basic_auth: {username: u, "
     "password: '@S'}}",
     true},
    {"mattermost", "webhook_url: '@URL/hooks/@U'", true},
    {"mattermost", "webhook_url_file: '@G'", true},
    {"msteams", "webhook_url: '@URL/webhookb2/@U'", true},
    {"msteams", "webhook_url_file: '@G'", true},
    {"msteamsv2", "webhook_url: '@URL/workflows?sig=@U'", true},
    {"opsgenie", "api_url: '@URL/', api_key: '@S'", true},
    {"opsgenie", "api_url: '@URL/', api_key_file: '@F'", true},
    {"pagerduty", "url: '@URL/v2/enqueue', routing_key: '@S'", true},
    {"pagerduty", "url: '@URL/v2/enqueue', routing_key_file: '@F'", true},
    {"pagerduty", "service_key: '@S', http_config: {proxy_url: '@URL'}"},
    {"pushover", "user_key: '@S', token: t, http_config: {proxy_url: '@URL'}"},
    {"pushover", "user_key: u, token: '@S', http_config: {proxy_url: '@URL'}"},
    {"rocketchat", "api_url: '@URL', token: '@S', token_id: t, channel: c", true},
    {"rocketchat", "api_url: '@URL', token: t, token_id: '@S', channel: c", true},
    {"rocketchat", "api_url: '@URL', token_file: '@F', token_id_file: '@F', channel: c", true},
    {"slack", "api_url: '@URL/services/T/B/@U', channel: c", true},
    {"slack", "api_url_file: '@G', channel: c", true},
    {"slack", "app_token: '@S', app_url: '@URL/api/chat.postMessage', channel: c", true},
    {"slack", "app_token_file: '@F', app_url: '@URL/api/chat.postMessage', channel: c", true},
    {"sns",
     "api_url: '@URL', topic_arn: 'arn:aws:sns:us-east-2:1:T', sigv4: {access_key: AKID, region: "
     "us-east-2, secret_key: '@S'}",
     true},
    {"telegram", "api_url: '@URL', bot_token: '1:@U', chat_id: 1", true},
    {"telegram", "api_url: '@URL', bot_token_file: '@V', chat_id: 1", true},
    {"victorops", "api_url: '@URL/alert/', api_key: '@S', routing_key: r", true},
    {"victorops", "api_url: '@URL/alert/', api_key_file: '@F', routing_key: r", true},
    {"webex", "api_url: '@URL', room_id: r, http_config: {authorization: {credentials: '@S'}}",
     true},
    {"webhook", "url: '@URL/hook/@U'", true},
    {"webhook", "url: '@URL/?@U'", true},
    {"webhook", "url: '@URL/?key=@U'", true},
    {"webhook", "url: 'http://user:@U@@HOST/'", true},
    {"webhook", "url: 'http://@U@@HOST/'", true},
    {"webhook", "url_file: '@G'", true},
    {"webhook", "url: '@URL/', payload: {text: t, token: '@S'}", true},
    {"webhook", "url: '@URL/', http_config: {basic_auth: {username: u, password: '@S'}}", true},
    {"webhook", "url: '@URL/', http_config: {basic_auth: {username: u, password_file: '@F'}}",
     true},
    {"webhook", "url: '@URL/', http_config: {authorization: {credentials: '@S'}}", true},
    {"webhook", "url: '@URL/', http_config: {authorization: {credentials_file: '@F'}}", true},
    {"webhook", "url: '@URL/', http_config: {bearer_token: '@S'}", true},
    {"webhook", "url: '@URL/', http_config: {http_headers: {X-Key: {secrets: ['@S']}}}", true},
    {"webhook", "url: '@URL/', http_config: {http_headers: {X-Key: {files: ['@F']}}}", true},
    {"webhook", "url: '@URL/', http_config: {proxy_url: 'http://u:@U@@HOST'}", true},
    {"webhook",
     "url: '@URL/', http_config: {oauth2: {client_id: c, client_secret: '@S', token_url: '@URL'}}"},
    {"webhook",
     "url: '@URL/', http_config: {oauth2: {client_id: c, client_secret_file: '@F', token_url: "
     "'@URL'}}"},
    {"wechat", "api_url: '@URL/', corp_id: c, api_secret: '@S'"},
    {"wechat", "api_url: '@URL/', corp_id: c, api_secret_file: '@F'"},
};

struct world {
    struct server server;
    struct sender *sender;
    char folder[64], file[96], url_file[96], word_file[96];
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t ended;
    struct buffer told; /* errors and log of the delivery at hand */
    bool is_over;
};

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void on_log(void *arg, bool is_error, const char *event, const char *text)
{
    struct world *w = arg;
    (void)is_error;
    mutex_lock(&w->mutex);
    buffer_printf(&w->told, "%s: %s\n", event, text);
    mutex_unlock(&w->mutex);
}

static uint64_t on_done(void *arg, const struct sender_result *r)
{
    struct world *w = arg;
    mutex_lock(&w->mutex);
    buffer_printf(&w->told, "%.*s\n", VIEW_ARGS(r->error));
    for (size_t i = 0; i < r->remembered.count; i++)
        buffer_printf(&w->told, "%.*s\n", VIEW_ARGS(r->remembered.values[i]));
    w->is_over = true;
    cond_broadcast(&w->ended);
    mutex_unlock(&w->mutex);
    return 0;
}

static int world_start(void **state)
{
    struct world *w = mem_alloc_zero(MEM_OTHER, 1, sizeof *w);
    struct error err;
    char url[100];
    server_start(&w->server);
    mutex_init(&w->mutex);
    cond_init(&w->ended);
    buffer_init(&w->told, MEM_OTHER, 1 << 20);
    (void)snprintf(w->folder, sizeof w->folder, "/tmp/belfry-redaction-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    (void)snprintf(w->file, sizeof w->file, "%s/secret", w->folder);
    (void)snprintf(w->url_file, sizeof w->url_file, "%s/url", w->folder);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/hook/%s\n", w->server.port,
                   URL_SECRET_TEXT);
    write_file(w->file, SECRET_TEXT "\n");
    write_file(w->url_file, url);
    (void)snprintf(w->word_file, sizeof w->word_file, "%s/word", w->folder);
    write_file(w->word_file, URL_SECRET_TEXT);
    const struct sender_options options = {.log = on_log, .log_arg = w};
    assert_true(sender_start(&w->sender, &options, &err));
    *state = w;
    return 0;
}

static int world_stop(void **state)
{
    struct world *w = *state;
    sender_stop(w->sender, 0);
    server_stop(&w->server);
    buffer_deinit(&w->told);
    cond_deinit(&w->ended);
    mutex_deinit(&w->mutex);
    (void)unlink(w->file);
    (void)unlink(w->url_file);
    (void)unlink(w->word_file);
    (void)rmdir(w->folder);
    mem_free(MEM_OTHER, w);
    return 0;
}

/* KIND_configs: [{...}] with what stands for the marks. */
static void write_settings(const struct world *w, const struct row *row, struct buffer *out)
{
    const struct {
        const char *mark;
        const char *format;
        const char *text;
    } MARKS[] = {{"@URL", "http://127.0.0.1:%u", NULL},
                 {"@HOST", "127.0.0.1:%u", NULL},
                 {"@S", NULL, SECRET_TEXT},
                 {"@U", NULL, URL_SECRET_TEXT},
                 {"@F", NULL, w->file},
                 {"@G", NULL, w->url_file},
                 {"@V", NULL, w->word_file}};
    buffer_printf(out, "%s_configs: [{", row->kind);
    for (const char *at = row->settings; *at;) {
        size_t i = 0;
        while (i < ARRAY_COUNT(MARKS) && strncmp(at, MARKS[i].mark, strlen(MARKS[i].mark)) != 0)
            i++;
        if (i == ARRAY_COUNT(MARKS)) {
            buffer_append_byte(out, *at++);
            continue;
        }
        at += strlen(MARKS[i].mark);
        if (MARKS[i].text)
            buffer_append_view(out, view_from(MARKS[i].text));
        else
            buffer_printf(out, i == 0 ? "http://127.0.0.1:%u" : "127.0.0.1:%u", w->server.port);
    }
    buffer_append_literal(out, "}]");
    buffer_append_byte(out, '\0');
}

static void deliver(struct world *w, struct driver_fixture *f, int64_t timeout_ms)
{
    const struct sender_job job = {.integration = &f->list.items[0],
                                   .alerts = f->source.alerts,
                                   .alert_count = f->source.alert_count,
                                   .group_labels = f->source.group_labels,
                                   .group_key = f->source.group_key,
                                   .now_ns = f->source.now_ns,
                                   .timeout_ms = timeout_ms,
                                   .done = on_done,
                                   .arg = w};
    buffer_reset(&w->told);
    w->is_over = false;
    sender_submit(w->sender, &job);
    mono_time end = mono_add_ms(clock_mono(), LONG_MS);
    mutex_lock(&w->mutex);
    while (!w->is_over)
        if (!cond_wait_until(&w->ended, &w->mutex, end))
            fail_msg("a delivery did not end");
    buffer_append_byte(&w->told, '\0');
    mutex_unlock(&w->mutex);
}

/* No 8 bytes of it that follow one another. */
static void assert_hidden(const struct row *row, const char *told, const char *secret)
{
    for (size_t i = 0; i + 8 <= strlen(secret); i++)
        if (memmem(told, strlen(told), secret + i, 8))
            fail_msg("%s: %s: \"%.8s\" stands in: %s", row->kind, row->settings, secret + i, told);
}

static void an_echoed_secret_shows_nowhere(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_COUNT(ROWS); i++) {
        const struct row *row = &ROWS[i];
        struct driver_fixture f;
        struct buffer settings;
        buffer_init(&settings, MEM_OTHER, 1 << 16);
        write_settings(w, row, &settings);
        const struct driver_case c = {.name = row->settings, .receiver = settings.ptr};
        driver_fixture_init(&f, &c);
        enum how last = row->is_quoted ? QUOTED_HEADERS : AS_TEXT;
        for (enum how how = AS_TEXT; how <= last; how++) {
            server_say(&w->server, how, strcmp(row->kind, "email") == 0);
            deliver(w, &f, row->is_quoted && how != AS_JSON ? LONG_MS : SHORT_MS);
            for (size_t s = 0; s < FORMS; s++)
                if (strstr(settings.ptr, SECRET_TEXT) || strstr(settings.ptr, w->file))
                    assert_hidden(row, w->told.ptr, SECRET_FORMS[s]);
            if (strstr(settings.ptr, URL_SECRET_TEXT) || strstr(settings.ptr, w->url_file) ||
                strstr(settings.ptr, w->word_file))
                assert_hidden(row, w->told.ptr, URL_SECRET_TEXT);
            assert_null(strstr(w->told.ptr, "WngkL")); /* the end of base64 of "...W4 pL8" */
            if (row->is_quoted && how == AS_TEXT && !strstr(w->told.ptr, SECRET_SHOWN))
                fail_msg("%s: %s: nothing was quoted: %s", row->kind, row->settings, w->told.ptr);
        }
        driver_fixture_deinit(&f);
        buffer_deinit(&settings);
    }
}

/* --- what is no secret is shown --- */

static void what_is_no_secret_is_shown(void **state)
{
    static const struct {
        const char *kind, *settings;
        enum how how;
        const char *shown;
    } SHOWN[] = {
        {"jira",
         "api_url: '@URL/rest/api/2', project: OPS, issue_type: T, reopen_transition: back en, "
         "reopen_duration: 1h",
         AS_JIRA, "can't find transition back en for issue OPS-1234"},
        {"jira", "api_url: '@URL/rest/api/2', project: OPS, issue_type: T", QUOTED_HEADERS,
         "Accept-Language: en "},
        {"sns",
         "api_url: '@URL', topic_arn: 'arn:aws:sns:us-east-2:1:T', sigv4: {access_key: AKID, "
         "region: us-east-2, secret_key: '@S'}",
         AS_STATUS, "X-Amz-Date: 20"},
        {"webhook", "url: '@URL/?key={{ template \"hook\" . }}'", AS_TEXT,
         "template \"hook\" not defined"},
    };
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_COUNT(SHOWN); i++) {
        const struct row row = {SHOWN[i].kind, SHOWN[i].settings, true};
        struct driver_fixture f;
        struct buffer settings;
        buffer_init(&settings, MEM_OTHER, 1 << 16);
        write_settings(w, &row, &settings);
        const struct driver_case c = {.name = row.settings, .receiver = settings.ptr};
        driver_fixture_init(&f, &c);
        server_say(&w->server, SHOWN[i].how, false);
        deliver(w, &f, LONG_MS);
        if (!strstr(w->told.ptr, SHOWN[i].shown))
            fail_msg("%s: \"%s\" does not stand in: %s", row.settings, SHOWN[i].shown, w->told.ptr);
        driver_fixture_deinit(&f);
        buffer_deinit(&settings);
    }
}

/* A token of the environment, which no setting has: quoted in part. */
static void a_header_of_one_word_is_hidden_in_part(void **state)
{
    static const char *const VARIABLES[][2] = {{"AWS_ACCESS_KEY_ID", "AKID"},
                                               {"AWS_SECRET_ACCESS_KEY", "hidden"},
                                               {"AWS_SESSION_TOKEN", "begin-" URL_SECRET_TEXT}};
    const struct row row = {
        "sns",
        "api_url: '@URL', topic_arn: 'arn:aws:sns:us-east-2:1:T', sigv4: {region: us-east-2}",
        true};
    struct world *w = *state;
    struct driver_fixture f;
    struct buffer settings;
    for (size_t i = 0; i < ARRAY_COUNT(VARIABLES); i++)
        assert_int_equal(setenv(VARIABLES[i][0], VARIABLES[i][1], 1), 0);
    buffer_init(&settings, MEM_OTHER, 1 << 16);
    write_settings(w, &row, &settings);
    const struct driver_case c = {.name = row.settings, .receiver = settings.ptr};
    driver_fixture_init(&f, &c);
    server_say(&w->server, AS_TEXT, false);
    deliver(w, &f, LONG_MS);
    assert_non_null(strstr(w->told.ptr, SECRET_SHOWN));
    assert_hidden(&row, w->told.ptr, URL_SECRET_TEXT);
    driver_fixture_deinit(&f);
    buffer_deinit(&settings);
    for (size_t i = 0; i < ARRAY_COUNT(VARIABLES); i++)
        assert_int_equal(unsetenv(VARIABLES[i][0]), 0);
}

/* --- the tables have no secret that no row has --- */

static bool row_sets(const struct world *w, const struct row *row, const struct field *field)
{
    struct driver_fixture f;
    struct buffer settings;
    buffer_init(&settings, MEM_OTHER, 1 << 16);
    write_settings(w, row, &settings);
    const struct driver_case c = {.name = row->settings, .receiver = settings.ptr};
    driver_fixture_init(&f, &c);
    bool is = secret_is_set((const void *)((const char *)f.list.items[0].settings + field->offset));
    driver_fixture_deinit(&f);
    buffer_deinit(&settings);
    return is;
}

static void rows_have_every_secret(void **state)
{
    static const struct {
        const char *kind;
        const struct section *section;
    } KINDS[] = {
#define X(kind, type) {#kind, &RECEIVER_##kind##_SECTION},
        RECEIVER_KINDS(X)
#undef X
    };
    const struct world *w = *state;
    for (size_t k = 0; k < ARRAY_COUNT(KINDS); k++) {
        const struct section *section = KINDS[k].section;
        size_t rows = 0;
        for (size_t i = 0; i < ARRAY_COUNT(ROWS); i++)
            rows += strcmp(ROWS[i].kind, KINDS[k].kind) == 0;
        if (rows == 0)
            fail_msg("no row has the kind %s", KINDS[k].kind);
        for (size_t n = 0; n < section->field_count; n++) {
            bool has = section->fields[n].kind != FIELD_SECRET;
            for (size_t i = 0; i < ARRAY_COUNT(ROWS) && !has; i++)
                has = strcmp(ROWS[i].kind, KINDS[k].kind) == 0 &&
                      row_sets(w, &ROWS[i], &section->fields[n]);
            if (!has)
                fail_msg("no row has %s of %s", section->fields[n].name, KINDS[k].kind);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_echoed_secret_shows_nowhere, world_start, world_stop),
        cmocka_unit_test_setup_teardown(what_is_no_secret_is_shown, world_start, world_stop),
        cmocka_unit_test_setup_teardown(a_header_of_one_word_is_hidden_in_part, world_start,
                                        world_stop),
        cmocka_unit_test_setup_teardown(rows_have_every_secret, world_start, world_stop),
    };
    return cmocka_run_group_tests_name("alerting/redaction", tests, NULL, NULL);
}
