/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <belfry/log.h>
#include <belfry/request.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A file without a name; what is in it is read back. */
static int scratch_file(void)
{
    char path[] = "/tmp/belfry-log-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    return fd;
}

static char *contents(int fd)
{
    off_t size = lseek(fd, 0, SEEK_END);
    char *text = calloc(1, (size_t)size + 1);
    assert_true(pread(fd, text, (size_t)size, 0) == size);
    return text;
}

/* One line through a synchronous log. */
static char *one_line(belfry_log_format format, const char *event, const belfry_field *fields,
                      size_t count)
{
    int fd = scratch_file();
    belfry_log_options options = {.fd = fd, .format = format, .synchronous = true};
    belfry_log *log = belfry_log_open(&options);
    belfry_log_write(log, BELFRY_LOG_INFO, event, fields, count);
    belfry_log_close(log);
    char *text = contents(fd);
    close(fd);
    return text;
}

/* Every type of field, both formats, behind the timestamp (27 characters). */
static void log_lays_out_every_type_of_field(void **state)
{
    const belfry_field fields[] = {BELFRY_STR("s", "a \"b\"\n\x1b\x7f\\"),
                                   BELFRY_INT("i", -5),
                                   BELFRY_UINT("u", UINT64_MAX),
                                   BELFRY_DOUBLE("d", 0.1),
                                   BELFRY_DOUBLE("n", NAN),
                                   BELFRY_BOOL("b", true),
                                   BELFRY_STR("z", NULL),
                                   BELFRY_STR("w", "word"),
                                   BELFRY_STR("e", "")};
    size_t count = sizeof fields / sizeof fields[0];
    char *json = one_line(BELFRY_LOG_JSON, "ev", fields, count);
    assert_string_equal(
        json + 35,
        ",\"level\":\"info\",\"event\":\"ev\",\"s\":\"a \\\"b\\\"\\n\\u001b\\u007f\\\\\","
        "\"i\":-5,\"u\":18446744073709551615,\"d\":0.1,\"n\":null,\"b\":true,"
        "\"z\":null,\"w\":\"word\",\"e\":\"\"}\n");
    char *text = one_line(BELFRY_LOG_LOGFMT, "two words", fields, count);
    assert_string_equal(
        text + 30, " level=info event=\"two words\" s=\"a \\\"b\\\"\\n\\u001b\\u007f\\\\\" i=-5 "
                   "u=18446744073709551615 d=0.1 n=null b=true z=null w=word e=\"\"\n");
    free(json);
    free(text);
}

/* Whatever bytes come in, a JSON parser reads the line. */
static void log_lines_are_valid_json_for_any_bytes(void **state)
{
    unsigned seed = 7;
    char noise[5000];
    for (int round = 0; round < 200; round++) {
        size_t len = (size_t)rand_r(&seed) % sizeof noise;
        for (size_t i = 0; i < len; i++)
            noise[i] = (char)rand_r(&seed);
        belfry_field fields[12];
        for (size_t i = 0; i < 12; i++)
            fields[i] =
                belfry_field_bytes("k", noise + (i * 37) % (len + 1), len - (i * 37) % (len + 1));
        char *text = one_line(BELFRY_LOG_JSON, "noise", fields, 12);
        assert_true(strlen(text) <= BELFRY_LOG_LINE_BYTES_MAX);
        json_error_t err;
        json_t *parsed = json_loads(text, JSON_ALLOW_NUL, &err);
        assert_non_null(parsed);
        json_decref(parsed);
        free(text);
    }
}

static void log_cuts_long_strings_between_characters(void **state)
{
    char euros[3 * 1000 + 1];
    for (int i = 0; i < 1000; i++)
        memcpy(euros + 3 * i, "\xe2\x82\xac", 3);
    euros[3000] = 0;
    belfry_field field = BELFRY_STR("k", euros);
    char *text = one_line(BELFRY_LOG_JSON, "long", &field, 1);
    const char *value = strstr(text, "\"k\":\"") + 5;
    assert_int_equal(strcspn(value, "."), BELFRY_LOG_STRING_BYTES_MAX / 3 * 3);
    assert_string_equal(value + BELFRY_LOG_STRING_BYTES_MAX / 3 * 3, "...\"}\n");
    free(text);
}

static void log_leaves_out_what_is_below_its_level(void **state)
{
    int fd = scratch_file();
    belfry_log_options options = {.fd = fd, .level = BELFRY_LOG_WARN, .synchronous = true};
    belfry_log *log = belfry_log_open(&options);
    belfry_log_info(log, "no", BELFRY_INT("n", 1));
    belfry_log_warn(log, "yes", BELFRY_INT("n", 1));
    belfry_log_set_level(log, BELFRY_LOG_DEBUG);
    belfry_log_debug(log, "also", BELFRY_INT("n", 1));
    belfry_log_close(log);
    char *text = contents(fd);
    assert_null(strstr(text, "no"));
    assert_non_null(strstr(text, "yes"));
    assert_non_null(strstr(text, "also"));
    free(text);
    close(fd);
}

static void log_carries_the_threads_request_id(void **state)
{
    int fd = scratch_file();
    belfry_log_options options = {.fd = fd, .synchronous = true, .with_request_id = true};
    belfry_log *log = belfry_log_open(&options);
    belfry_log_info(log, "a", BELFRY_INT("n", 1));
    belfry_log_set_request_id("c298c805");
    belfry_log_info(log, "b", BELFRY_INT("n", 1));
    belfry_log_set_request_id(NULL);
    belfry_log_close(log);
    char *text = contents(fd);
    assert_non_null(strstr(text, "\"event\":\"a\",\"request_id\":null,"));
    assert_non_null(strstr(text, "\"event\":\"b\",\"request_id\":\"c298c805\","));
    free(text);
    close(fd);
}

enum { WRITERS = 4, LINES = 2000 };

static void *write_lines(void *arg)
{
    for (int i = 0; i < LINES; i++)
        belfry_log_info(arg, "line", BELFRY_INT("n", i), BELFRY_STR("text", "some text"));
    return NULL;
}

/* Lines of several threads come out whole; what is not there was counted as dropped. */
static void log_writes_whole_lines_from_many_threads(void **state)
{
    int fd = scratch_file();
    belfry_log_options options = {.fd = fd};
    belfry_log *log = belfry_log_open(&options);
    pthread_t threads[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        pthread_create(&threads[i], NULL, write_lines, log);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    assert_true(belfry_log_flush(log));
    uint64_t dropped = belfry_log_dropped(log);
    belfry_log_close(log);
    char *text = contents(fd), *rest = NULL;
    uint64_t lines = 0;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_t *parsed = json_loads(line, 0, NULL);
        assert_non_null(parsed);
        json_decref(parsed);
        lines++;
    }
    assert_int_equal(lines + dropped, WRITERS * LINES);
    free(text);
    close(fd);
}

/* Nobody reads the pipe: callers go on, lines are counted, close ends. */
static void log_never_waits_for_a_stuck_reader(void **state)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    belfry_log_options options = {.fd = ends[1], .queue_bytes_max = BELFRY_LOG_LINE_BYTES_MAX};
    belfry_log *log = belfry_log_open(&options);
    for (int i = 0; i < 3000; i++)
        belfry_log_info(log, "stuck",
                        BELFRY_STR("text", "0123456789012345678901234567890123456789"));
    assert_true(belfry_log_dropped(log) > 0);
    belfry_log_close(log);
    close(ends[0]);
    close(ends[1]);
}

/* --- secrets --- */

/* What a string field becomes, in both formats the same text. */
static void log_masks_secrets_in_keys_and_text(void **state)
{
    static const struct {
        const char *key, *in, *out;
    } CASES[] = {
        /* keys */
        {"password", "x", "***"},
        {"db_password", "x", "***"},
        {"Authorization", "Bearer x", "***"},
        {"x-api-key", "x", "***"},
        {"apiKey", "x", "***"},
        {"set_cookie", "x", "***"},
        {"refreshToken", "x", "***"},
        {"client_secret", "x", "***"},
        {"signature", "x", "***"},
        {"aws_secret_access_key", "x", "***"},
        {"credentials", "x", "***"},
        {"pass", "through", "through"},
        {"author", "x", "x"},
        {"key", "x", "x"},
        {"monkey", "x", "x"},
        /* URLs */
        {"k", "https://host/a?sig=1&x=2", "https://host/a?***"},
        {"k", "https://host/a#frag", "https://host/a#***"},
        {"k", "https://host?x", "https://host?***"},
        {"k", "https://host/a?", "https://host/a?"},
        {"k", "https://user:pw@host/a", "https://***@host/a"},
        {"k", "https://user:p@w@host/a", "https://***@host/a"},
        {"k", "postgresql://u:p@db/x?sslmode=a", "postgresql://***@db/x?***"},
        {"k", "https://host/@user/a", "https://host/@user/a"},
        {"k", "https://@host/", "https://@host/"},
        {"k", "(see https://a/b?c) and http://d/?e now",
         "(see https://a/b?*** and http://d/?*** now"},
        {"k", "\"http://a/?b\" <http://c/?d>", "\"http://a/?***\" <http://c/?***>"},
        {"k", "/s/plain/https://a:b@c/d?e", "/s/plain/https://***@c/d?***"},
        {"k", "http://x/plain/https://a:b@c/d?e", "http://x/plain/https://***@c/d?***"},
        {"k", "http://x/?u=https://a:b@c/d", "http://x/?***"},
        {"k", "a: b:// c", "a: b:// c"},
        {"k", "://", "://"},
        {"k", ":://?://", ":://?***"},
        {"k", "10:20:30 a?b#c@d", "10:20:30 a?b#c@d"},
        {"k", "file:///etc/x", "file:///etc/x"},
        /* tokens */
        {"k", "got Bearer abcdefgh12345678 there", "got Bearer *** there"},
        {"k", "authorization: bEaReR abcdefgh12345678", "authorization: bEaReR ***"},
        {"k", "the bearer authentication failed", "the bearer authentication failed"},
        {"k", "missing Bearer token2", "missing Bearer token2"},
        {"k", "Bearer abcdefgh12345678, http://a/?b", "Bearer ***, http://a/?***"},
        {"k", "http://a/?b Bearer abcdefgh12345678", "http://a/?*** Bearer ***"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        belfry_field f = BELFRY_STR(CASES[i].key, CASES[i].in);
        char *line = one_line(BELFRY_LOG_JSON, "ev", &f, 1);
        json_t *j = json_loads(line, 0, NULL);
        assert_non_null(j);
        assert_string_equal(json_string_value(json_object_get(j, CASES[i].key)), CASES[i].out);
        json_decref(j);
        free(line);
    }
    const belfry_field told[] = {BELFRY_SECRET("nothing_special", "hidden"),
                                 BELFRY_CLEAR("token", "shown https://u:p@h/?q"),
                                 BELFRY_SECRET("null", NULL), BELFRY_INT("tokens_used", 5)};
    char *line = one_line(BELFRY_LOG_LOGFMT, "http://a/?b", told, 4);
    assert_string_equal(line + 30, " level=info event=http://a/?*** nothing_special=*** "
                                   "token=\"shown https://u:p@h/?q\" null=null tokens_used=5\n");
    free(line);
}

/* Where a string is cut, a URL behind the cut is no matter, and one across it is masked. */
static void log_masks_across_the_cut(void **state)
{
    char text[BELFRY_LOG_STRING_BYTES_MAX + 200];
    memset(text, 'x', sizeof text);
    memcpy(text + BELFRY_LOG_STRING_BYTES_MAX - 20, " https://user:password@host/", 28);
    belfry_field f = BELFRY_STRN("k", text, sizeof text);
    char *line = one_line(BELFRY_LOG_JSON, "ev", &f, 1);
    assert_null(strstr(line, "user"));
    assert_non_null(strstr(line, " https://***"));
    free(line);
}

/* --- keys --- */

static void log_keeps_keys_apart_and_clean(void **state)
{
    const belfry_field fields[] = {BELFRY_INT("ts", 1),    BELFRY_INT("level", 2),
                                   BELFRY_INT("event", 3), BELFRY_INT("a\"b\\c d=e\n", 4),
                                   BELFRY_INT(NULL, 5),    BELFRY_INT("caf\xc3\xa9", 6)};
    char *line = one_line(BELFRY_LOG_JSON, "ev", fields, 6);
    assert_string_equal(line + 35,
                        ",\"level\":\"info\",\"event\":\"ev\",\"ts_\":1,\"level_\":2,\"event_\":3,"
                        "\"a_b_c_d_e_\":4,\"caf__\":6}\n");
    free(line);
    line = one_line(BELFRY_LOG_LOGFMT, "ev", fields + 3, 1);
    assert_string_equal(line + 30, " level=info event=ev a_b_c_d_e_=4\n");
    free(line);
}

/* --- context --- */

/* What `write` logs through a log with these options. */
static char *lines_of(belfry_log_options options, void (*write)(belfry_log *log))
{
    int fd = scratch_file();
    options.fd = fd;
    options.synchronous = true;
    belfry_log *log = belfry_log_open(&options);
    write(log);
    belfry_log_close(log);
    char *text = contents(fd);
    close(fd);
    /* Timestamps are not compared. */
    for (char *p = text; (p = strstr(p, "\"ts\":\"")) != NULL; p += 6)
        memmove(p + 6, p + 6 + 27, strlen(p + 6 + 27) + 1);
    return text;
}

static void write_in_scopes(belfry_log *log)
{
    const belfry_field outer[] = {BELFRY_INT("a", 1), BELFRY_INT("b", 2)};
    const belfry_field inner[] = {BELFRY_INT("b", 3), BELFRY_INT("ts", 4)};
    belfry_scope first, second, third;
    belfry_log_info(log, "none");
    belfry_scope_enter(&first, "id1", outer, 2);
    belfry_log_info(log, "outer", BELFRY_INT("x", 0));
    belfry_scope_enter(&second, NULL, inner, 2);
    belfry_log_info(log, "inner", BELFRY_INT("a", 9));
    belfry_scope_enter(&third, "id2", NULL, 0);
    belfry_log_info(log, "id", BELFRY_STR("request_id", "own"));
    assert_string_equal(belfry_log_request_id(), "id2");
    belfry_scope_leave(&second); /* and what is inside */
    belfry_scope_leave(&third);  /* not entered any more: nothing */
    belfry_log_info(log, "back");
    belfry_scope_leave(&first);
    belfry_log_info(log, "end");
    assert_null(belfry_log_request_id());
}

static void log_carries_the_fields_of_nested_scopes(void **state)
{
    char *text = lines_of((belfry_log_options){.with_request_id = true}, write_in_scopes);
    assert_string_equal(
        text,
        "{\"ts\":\"\",\"level\":\"info\",\"event\":\"none\",\"request_id\":null}\n"
        "{\"ts\":\"\",\"level\":\"info\",\"event\":\"outer\",\"request_id\":\"id1\",\"x\":0,\"a\":"
        "1,\"b\":2}\n"
        "{\"ts\":\"\",\"level\":\"info\",\"event\":\"inner\",\"request_id\":\"id1\",\"a\":9,\"b\":"
        "3}\n"
        "{\"ts\":\"\",\"level\":\"info\",\"event\":\"id\",\"request_id\":\"own\",\"b\":3,\"a\":1}\n"
        "{\"ts\":\"\",\"level\":\"info\",\"event\":\"back\",\"request_id\":\"id1\",\"a\":1,\"b\":2}"
        "\n"
        "{\"ts\":\"\",\"level\":\"info\",\"event\":\"end\",\"request_id\":null}\n");
    free(text);
}

static void write_in_request(belfry_log *log)
{
    static const char PARENT[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    belfry_request *request;
    belfry_request_options options = {.request_id = "c298c805",
                                      .request_id_bytes = 8,
                                      .traceparent = PARENT,
                                      .traceparent_bytes = sizeof PARENT - 1};
    belfry_scope scope;
    assert_int_equal(belfry_request_new(&request, &options), BELFRY_OK);
    belfry_request_enter(request, &scope);
    assert_true(belfry_request_add_field(request, BELFRY_STR("tenant", "t1")));
    assert_true(belfry_request_add_field(request, BELFRY_SECRET("key", "hidden")));
    belfry_log_info(log, "work", BELFRY_INT("n", 1));
    belfry_log_http http = {"/jobs", "POST", 202, 15, -1, NULL, 39, 79};
    belfry_log_http_request(log, &http);
    http.success = 0;
    http.error_code = "QUEUE_FULL";
    belfry_log_http_request(log, &http);
    belfry_scope_leave(&scope);
    belfry_request_end(request);
}

/* The line of the seed, with its 12 keys in their order, whatever else the request carries. */
static void log_writes_the_line_of_a_request(void **state)
{
    char *text = lines_of((belfry_log_options){.with_request_id = true, .with_trace = true},
                          write_in_request);
    assert_string_equal(
        text, "{\"ts\":\"\",\"level\":\"info\",\"event\":\"work\",\"request_id\":\"c298c805\","
              "\"n\":1,\"tenant\":\"t1\","
              "\"key\":\"***\",\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"span_id\":"
              "\"00f067aa0ba902b7\"}\n"
              "{\"ts\":\"\",\"level\":\"info\",\"event\":\"http_request\",\"request_id\":"
              "\"c298c805\",\"endpoint\":\"/jobs\","
              "\"method\":\"POST\",\"status_code\":202,\"duration_ms\":15,\"success\":null,\"error_"
              "code\":null,"
              "\"bytes_in\":39,\"bytes_out\":79}\n"
              "{\"ts\":\"\",\"level\":\"info\",\"event\":\"http_request\",\"request_id\":"
              "\"c298c805\",\"endpoint\":\"/jobs\","
              "\"method\":\"POST\",\"status_code\":202,\"duration_ms\":15,\"success\":false,"
              "\"error_code\":\"QUEUE_FULL\",\"bytes_in\":39,\"bytes_out\":79}\n");
    free(text);
}

/* --- time --- */

/* The timestamp is the present, in the form of the services' specification. */
static void log_timestamps_are_utc_with_six_digits(void **state)
{
    time_t before = time(NULL);
    char *line = one_line(BELFRY_LOG_JSON, "ev", NULL, 0);
    time_t after = time(NULL);
    struct tm tm = {0};
    const char *rest = strptime(line, "{\"ts\":\"%Y-%m-%dT%H:%M:%S", &tm);
    assert_non_null(rest);
    time_t at = timegm(&tm);
    assert_true(at >= before && at <= after);
    assert_int_equal(rest[0], '.');
    assert_int_equal(strspn(rest + 1, "0123456789"), 6);
    assert_int_equal(strncmp(rest + 7, "Z\",", 3), 0);
    free(line);
}

/* --- words --- */

static void log_reads_levels_and_formats(void **state)
{
    static const struct {
        const char *word;
        int level, format; /* negative: none */
    } CASES[] = {{"debug", BELFRY_LOG_DEBUG, -1},
                 {"INFO", BELFRY_LOG_INFO, -1},
                 {"Warning", BELFRY_LOG_WARN, -1},
                 {"warn", BELFRY_LOG_WARN, -1},
                 {"error", BELFRY_LOG_ERROR, -1},
                 {"CRITICAL", BELFRY_LOG_ERROR, -1},
                 {"json", -1, BELFRY_LOG_JSON},
                 {"text", -1, BELFRY_LOG_LOGFMT},
                 {"LogFmt", -1, BELFRY_LOG_LOGFMT},
                 {"", -1, -1},
                 {"trace", -1, -1},
                 {"info ", -1, -1}};
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        belfry_log_level level;
        belfry_log_format format;
        assert_int_equal(belfry_log_level_parse(CASES[i].word, &level), CASES[i].level >= 0);
        if (CASES[i].level >= 0)
            assert_int_equal(level, CASES[i].level);
        assert_int_equal(belfry_log_format_parse(CASES[i].word, &format), CASES[i].format >= 0);
        if (CASES[i].format >= 0)
            assert_int_equal(format, CASES[i].format);
    }
    static const struct {
        const char *level, *format, *wrong;
    } ENV[] = {{NULL, NULL, NULL},
               {"", "", NULL},
               {"WARNING", "text", NULL},
               {"loud", "text", "LOG_LEVEL"},
               {"info", "xml", "LOG_FORMAT"}};
    for (size_t i = 0; i < sizeof ENV / sizeof ENV[0]; i++) {
        belfry_log_options o = {.level = BELFRY_LOG_ERROR};
        unsetenv("LOG_LEVEL");
        unsetenv("LOG_FORMAT");
        if (ENV[i].level)
            setenv("LOG_LEVEL", ENV[i].level, 1);
        if (ENV[i].format)
            setenv("LOG_FORMAT", ENV[i].format, 1);
        const char *wrong = belfry_log_options_from_env(&o);
        assert_int_equal(!wrong, !ENV[i].wrong);
        if (wrong)
            assert_string_equal(wrong, ENV[i].wrong);
        assert_int_equal(o.level, i == 2 ? BELFRY_LOG_WARN : BELFRY_LOG_ERROR);
        assert_int_equal(o.format, i == 2 ? BELFRY_LOG_LOGFMT : BELFRY_LOG_JSON);
    }
    unsetenv("LOG_LEVEL");
    unsetenv("LOG_FORMAT");
}

/* --- repeats --- */

static void write_repeats(belfry_log *log)
{
    for (int i = 0; i < 10; i++) {
        belfry_log_warn(log, "storm", BELFRY_INT("n", i));
        if (i < 3)
            belfry_log_warn(log, "rare", BELFRY_INT("n", i));
    }
    for (int i = 0; i < 4; i++) {
        belfry_log_warn(log, "storm", BELFRY_INT("other", i)); /* another place */
        belfry_log_http_request(log, &(belfry_log_http){.endpoint = "/"});
    }
}

static size_t count_of(const char *text, const char *part)
{
    size_t n = 0;
    for (; (text = strstr(text, part)) != NULL; text++)
        n++;
    return n;
}

static void log_collapses_repeats_of_one_place(void **state)
{
    belfry_log_options options = {
        .repeat_max = 3, .repeat_interval_ms = 1u << 30, .with_request_id = true};
    belfry_log_set_request_id("mine");
    char *text = lines_of(options, write_repeats);
    belfry_log_set_request_id(NULL);
    assert_int_equal(count_of(text, "\"event\":\"rare\""), 3);
    assert_int_equal(count_of(text, "\"n\":"), 3 + 3);
    assert_int_equal(count_of(text, "\"other\":"), 3);
    assert_int_equal(count_of(text, "\"event\":\"http_request\""), 4);
    assert_int_equal(
        count_of(text,
                 "\"level\":\"warn\",\"event\":\"storm\",\"request_id\":null,\"repeated\":7}\n"),
        1);
    assert_int_equal(count_of(text, "\"repeated\":1}\n"), 1);
    assert_int_equal(count_of(text, "\"repeated\""), 2);
    free(text);
}

/* The thread tells when the interval is over, also when nothing else is written; and storms that go on are told of every time. */
static void log_tells_of_repeats_after_the_interval(void **state)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    belfry_log_options options = {.fd = ends[1], .repeat_max = 1, .repeat_interval_ms = 20};
    belfry_log *log = belfry_log_open(&options);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 50; i++)
            belfry_log_info(log, "storm");
        char text[65536];
        size_t len = 0;
        do { /* ends with the line that tells of them */
            ssize_t n = read(ends[0], text + len, sizeof text - 1 - len);
            assert_true(n > 0);
            len += (size_t)n;
            text[len] = '\0';
        } while (!strstr(text, "\"repeated\":"));
    }
    assert_int_equal(belfry_log_dropped(log), 0);
    belfry_log_close(log);
    close(ends[0]);
    close(ends[1]);
}

/* --- files --- */

static char *file_text(const char *path)
{
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    char *text = contents(fd);
    close(fd);
    return text;
}

/* Moved away, it is opened anew when told; not there any more, by itself. */
static void log_follows_a_file_that_was_moved(void **state)
{
    for (int synchronous = 0; synchronous <= 1; synchronous++) {
        char dir[] = "/tmp/belfry-log-XXXXXX", path[64], moved[64];
        assert_non_null(mkdtemp(dir));
        snprintf(path, sizeof path, "%s/log", dir);
        snprintf(moved, sizeof moved, "%s/log.1", dir);
        belfry_log_options options = {.path = path, .synchronous = synchronous};
        belfry_log *log = belfry_log_open(&options);
        assert_non_null(log);
        belfry_log_info(log, "first");
        assert_true(belfry_log_flush(log));
        assert_int_equal(rename(path, moved), 0);
        belfry_log_reopen(log);
        belfry_log_info(log, "second");
        assert_true(belfry_log_flush(log));
        char *old = file_text(moved), *new = file_text(path);
        assert_non_null(strstr(old, "first"));
        assert_null(strstr(old, "second"));
        assert_non_null(strstr(new, "second"));
        free(old);
        free(new);
        assert_int_equal(unlink(path), 0);
        for (int i = 0; access(path, F_OK) != 0; i++) { /* looked for once a second */
            assert_true(i < 30000);
            belfry_log_info(log, "third", BELFRY_INT("i", i));
            nanosleep(&(struct timespec){0, 2000000}, NULL);
        }
        /* The folder is gone too: the open file is written on, and says so. */
        assert_int_equal(unlink(path), 0);
        assert_int_equal(unlink(moved), 0);
        assert_int_equal(rmdir(dir), 0);
        belfry_log_reopen(log);
        belfry_log_info(log, "fourth");
        assert_true(belfry_log_flush(log));
        assert_int_equal(belfry_log_dropped(log), 0);
        belfry_log_close(log);
    }
    belfry_log_options options = {.path = "/dev/null/x"};
    errno = 0;
    assert_null(belfry_log_open(&options));
    assert_int_equal(errno, ENOTDIR);
}

static void log_says_when_a_file_cannot_be_opened_again(void **state)
{
    char dir[] = "/tmp/belfry-log-XXXXXX", path[64], moved[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/log", dir);
    snprintf(moved, sizeof moved, "%s/log.1", dir);
    belfry_log_options options = {.path = path, .synchronous = true};
    belfry_log *log = belfry_log_open(&options);
    assert_non_null(log);
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    belfry_log_reopen(log);
    belfry_log_info(log, "kept");
    belfry_log_close(log);
    char *text = file_text(moved);
    assert_non_null(
        strstr(text, "\"level\":\"error\",\"event\":\"log_reopen_failed\",\"path\":\""));
    assert_non_null(strstr(text, "\"errno\":21}\n"));
    assert_non_null(strstr(text, "kept"));
    free(text);
    rmdir(path);
    unlink(moved);
    rmdir(dir);
}

/* --- readers that are gone or slow --- */

static void write_to_closed(bool synchronous)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    belfry_log_options options = {.fd = ends[1], .synchronous = synchronous};
    belfry_log *log = belfry_log_open(&options);
    for (int i = 0; i < 5; i++)
        belfry_log_info(log, "nobody", BELFRY_INT("i", i));
    assert_true(belfry_log_flush(log));
    assert_int_equal(belfry_log_dropped(log), 5);
    belfry_registry *registry = belfry_registry_new();
    assert_null(belfry_log_open(NULL));
    assert_int_equal(belfry_log_register(NULL, registry), BELFRY_ERROR_NULL);
    assert_int_equal(belfry_log_register(log, registry), BELFRY_OK);
    belfry_log_close(log);
    char *text;
    size_t len;
    assert_int_equal(belfry_registry_text(registry, &text, &len),
                     BELFRY_OK); /* also when it is closed */
    assert_non_null(
        strstr(text, "\n# TYPE log_lines_dropped_total counter\nlog_lines_dropped_total 5\n"));
    belfry_text_free(text);
    belfry_registry_free(registry);
    close(ends[1]);
}

struct slow_reader {
    int fd;
    _Atomic bool stop;
};

static void *read_slowly(void *arg)
{
    struct slow_reader *reader = arg;
    char piece[4096];
    while (!atomic_load(&reader->stop)) {
        (void)!read(reader->fd, piece, sizeof(piece));
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    return NULL;
}

static uint64_t dropped_total(belfry_registry *registry)
{
    static const char NAME[] = "\nlog_lines_dropped_total ";
    char *text;
    size_t len;
    assert_int_equal(belfry_registry_text(registry, &text, &len), BELFRY_OK);
    const char *at = strstr(text, NAME);
    assert_non_null(at);
    uint64_t count = strtoull(at + sizeof(NAME) - 1, NULL, 10);
    belfry_text_free(text);
    return count;
}

/* 80 KiB a second of what takes many seconds: close gives up and counts what is left. */
static void log_close_gives_up_on_a_slow_reader(void **state)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    belfry_log_options options = {.fd = ends[1], .queue_bytes_max = 4 << 20};
    belfry_log *log = belfry_log_open(&options);
    belfry_registry *registry = belfry_registry_new();
    assert_int_equal(belfry_log_register(log, registry), BELFRY_OK);
    for (int i = 0; i < 10000; i++)
        belfry_log_info(log, "slow",
                        BELFRY_STR("text", "0123456789012345678901234567890123456789"));
    assert_int_equal(dropped_total(registry), 0);

    struct slow_reader reader = {.fd = ends[0]};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_slowly, &reader), 0);
    belfry_log_close(log);
    assert_true(dropped_total(registry) > 0);
    atomic_store(&reader.stop, true);
    close(ends[1]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    close(ends[0]);
    belfry_registry_free(registry);
}

/* SIGPIPE keeps its default here: it would end this program. */
static void log_survives_a_closed_pipe_and_counts(void **state)
{
    write_to_closed(false);
    write_to_closed(true);
    /* A SIGPIPE of the host's own that waits is left to it. */
    sigset_t pipe_only, before, pending;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &pipe_only, &before), 0);
    raise(SIGPIPE);
    write_to_closed(true);
    assert_int_equal(sigpending(&pending), 0);
    assert_true(sigismember(&pending, SIGPIPE));
    assert_int_equal(sigtimedwait(&pipe_only, NULL, &(struct timespec){0, 0}), SIGPIPE);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
}

/* A full device: every line is counted; a full pipe that does not block: waited for, nothing lost. */
static void log_meets_full_devices_and_pipes(void **state)
{
    int full = open("/dev/full", O_WRONLY);
    if (full >= 0) {
        belfry_log_options options = {.fd = full};
        belfry_log *log = belfry_log_open(&options);
        for (int i = 0; i < 5; i++)
            belfry_log_info(log, "full");
        assert_true(belfry_log_flush(log));
        assert_int_equal(belfry_log_dropped(log), 5);
        belfry_log_close(log);
        close(full);
    }
    int ends[2];
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    belfry_log_options options = {.fd = ends[1], .queue_bytes_max = 1 << 20};
    belfry_log *log = belfry_log_open(&options);
    enum { MANY = 2000 };
    for (int i = 0; i < MANY; i++)
        belfry_log_info(log, "line",
                        BELFRY_STR("text", "0123456789012345678901234567890123456789"));
    size_t lines = 0;
    while (lines < MANY) {
        char text[4096];
        ssize_t n = read(ends[0], text, sizeof text);
        for (ssize_t i = 0; i < n; i++)
            lines += text[i] == '\n';
    }
    belfry_log_close(log);
    assert_int_equal(read(ends[0], &lines, 1), -1);
    close(ends[0]);
    close(ends[1]);
}

/* After a line that was cut by a full disk the next one starts on a line of its own. */
static void log_lines_after_a_torn_one_are_whole(void **state)
{
    char path[] = "/tmp/belfry-log-XXXXXX";
    int fd = mkstemp(path);
    unlink(path);
    pid_t child = fork(); /* the limit cannot be taken back */
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        struct rlimit limit = {250, RLIM_INFINITY};
        bool ok = setrlimit(RLIMIT_FSIZE, &limit) == 0;
        belfry_log_options options = {.fd = fd, .synchronous = true};
        belfry_log *log = belfry_log_open(&options);
        for (int i = 0; i < 4; i++)
            belfry_log_info(log, "line", BELFRY_STR("text", "01234567890123456789012345678901"));
        ok = belfry_log_dropped(log) == 2 && ok;
        limit.rlim_cur = RLIM_INFINITY;
        ok = setrlimit(RLIMIT_FSIZE, &limit) == 0 && ok;
        belfry_log_info(log, "whole");
        ok = belfry_log_dropped(log) == 2 && ok;
        belfry_log_close(log);
        _exit(ok ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    char *text = contents(fd);
    const char *whole = strstr(text, "\n{\"ts\":\"");
    for (const char *p; whole && (p = strstr(whole + 1, "\n{\"ts\":\"")) != NULL;)
        whole = p;
    assert_non_null(whole);
    assert_non_null(strstr(whole, "\"event\":\"whole\"}\n"));
    free(text);
    close(fd);
}

/* --- fork --- */

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAS_TSAN 1
#endif
#endif
#ifndef HAS_TSAN
#define HAS_TSAN 0
#endif

static void *keep_writing(void *arg)
{
    for (int i = 0; i < 200; i++)
        belfry_log_info(arg, "parent", BELFRY_INT("i", i));
    return NULL;
}

/* While other threads write, children are made that write too: every line of theirs comes once, and none of the parent's twice. */
static void log_works_in_children(void **state)
{
    if (HAS_TSAN)
        skip(); /* it has no threads after a fork */
    enum { CHILDREN = 20 };
    for (int synchronous = 0; synchronous <= 1; synchronous++) {
        char path[] = "/tmp/belfry-log-XXXXXX";
        close(mkstemp(path));
        belfry_log_options options = {
            .path = path, .synchronous = synchronous, .queue_bytes_max = 1 << 20};
        belfry_log *log = belfry_log_open(&options);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, keep_writing, log), 0);
        for (int i = 0; i < CHILDREN; i++) {
            pid_t child = fork();
            assert_true(child >= 0);
            if (child == 0) {
                belfry_log_info(log, "child", BELFRY_INT("i", i));
                belfry_log_info(log, "child", BELFRY_INT("i", i));
                bool ok = belfry_log_flush(log) && belfry_log_dropped(log) == 0;
                belfry_log_close(log);
                _exit(ok ? 0 : 1);
            }
            int status;
            assert_int_equal(waitpid(child, &status, 0), child);
            assert_int_equal(status, 0);
        }
        pthread_join(thread, NULL);
        belfry_log_close(log);
        char *text = file_text(path);
        assert_int_equal(count_of(text, "\"event\":\"child\""), 2 * CHILDREN);
        assert_int_equal(count_of(text, "\"event\":\"parent\""), 200);
        assert_int_equal(count_of(text, "\n"), 200 + 2 * CHILDREN);
        free(text);
        unlink(path);
    }
}

/* A child that never writes closes the log, and leaves its lines to the parent. */
static void log_is_closed_by_children_that_do_not_write(void **state)
{
    int fd = scratch_file();
    belfry_log_options options = {.fd = fd};
    belfry_log *log = belfry_log_open(&options);
    belfry_log_info(log, "once");
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        belfry_log_close(log);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    belfry_log_close(log);
    char *text = contents(fd);
    assert_int_equal(count_of(text, "once"), 1);
    free(text);
    close(fd);
}

/* --- everything at once --- */

struct stress {
    belfry_log *log;
    char path[64];
    _Atomic bool over;
};

enum { STRESS_WRITERS = 4, STRESS_LINES = 3000, MOVES = 20 };

static void *write_in_own_scope(void *arg)
{
    struct stress *s = arg;
    belfry_scope scope;
    const belfry_field field = BELFRY_STR("secret_of_scope", "hidden");
    for (int i = 0; i < STRESS_LINES; i++) {
        belfry_scope_enter(&scope, "id", &field, 1);
        belfry_log_info(s->log, "line", BELFRY_INT("i", i), BELFRY_STR("url", "http://a:b@c/?d"));
        belfry_scope_leave(&scope);
    }
    return NULL;
}

/* Sets levels that let the lines pass, asks for what can be asked. */
static void *disturb(void *arg)
{
    struct stress *s = arg;
    for (unsigned i = 0; !s->over; i++) {
        belfry_log_set_level(s->log, i % 2 ? BELFRY_LOG_DEBUG : BELFRY_LOG_INFO);
        (void)belfry_log_dropped(s->log);
        if (i % 64 == 0)
            (void)belfry_log_flush(s->log);
    }
    return NULL;
}

/* Adds up what a file says and removes it. */
static uint64_t told_in(const char *path)
{
    char *text = file_text(path), *rest = NULL;
    uint64_t told = 0;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_t *j = json_loads(line, 0, NULL);
        assert_non_null(j);
        assert_string_equal(json_string_value(json_object_get(j, "event")), "line");
        const json_t *repeated = json_object_get(j, "repeated");
        told += repeated ? (uint64_t)json_integer_value(repeated) : 1;
        json_decref(j);
    }
    free(text);
    unlink(path);
    return told;
}

/* Writers, a file that moves again and again, levels, flushes and a limit on repeats: every line is in a file, told of as a
 * repeat, or counted as dropped. */
static void log_loses_no_line_silently_whatever_happens(void **state)
{
    char dir[] = "/tmp/belfry-log-XXXXXX", moved[80];
    struct stress s = {.over = false};
    assert_non_null(mkdtemp(dir));
    snprintf(s.path, sizeof s.path, "%s/log", dir);
    belfry_log_options options = {.path = s.path,
                                  .with_request_id = true,
                                  .repeat_max = 500,
                                  .repeat_interval_ms = 5,
                                  .queue_bytes_max = 65536};
    s.log = belfry_log_open(&options);
    assert_non_null(s.log);
    pthread_t writers[STRESS_WRITERS], other;
    for (int i = 0; i < STRESS_WRITERS; i++)
        assert_int_equal(pthread_create(&writers[i], NULL, write_in_own_scope, &s), 0);
    assert_int_equal(pthread_create(&other, NULL, disturb, &s), 0);
    for (int i = 0; i < MOVES; i++) {
        snprintf(moved, sizeof moved, "%s/log.%d", dir, i);
        assert_int_equal(rename(s.path, moved), 0);
        belfry_log_reopen(s.log);
        while (access(s.path, F_OK) != 0)
            belfry_log_reopen(s.log);
    }
    for (int i = 0; i < STRESS_WRITERS; i++)
        pthread_join(writers[i], NULL);
    s.over = true;
    pthread_join(other, NULL);
    assert_true(belfry_log_flush(s.log));
    uint64_t told = belfry_log_dropped(s.log);
    belfry_log_close(s.log);
    for (int i = 0; i < MOVES; i++) {
        snprintf(moved, sizeof moved, "%s/log.%d", dir, i);
        told += told_in(moved);
    }
    told += told_in(s.path);
    assert_int_equal(told, STRESS_WRITERS * STRESS_LINES);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_lays_out_every_type_of_field),
        cmocka_unit_test(log_lines_are_valid_json_for_any_bytes),
        cmocka_unit_test(log_cuts_long_strings_between_characters),
        cmocka_unit_test(log_leaves_out_what_is_below_its_level),
        cmocka_unit_test(log_carries_the_threads_request_id),
        cmocka_unit_test(log_writes_whole_lines_from_many_threads),
        cmocka_unit_test(log_never_waits_for_a_stuck_reader),
        cmocka_unit_test(log_masks_secrets_in_keys_and_text),
        cmocka_unit_test(log_masks_across_the_cut),
        cmocka_unit_test(log_keeps_keys_apart_and_clean),
        cmocka_unit_test(log_carries_the_fields_of_nested_scopes),
        cmocka_unit_test(log_writes_the_line_of_a_request),
        cmocka_unit_test(log_timestamps_are_utc_with_six_digits),
        cmocka_unit_test(log_reads_levels_and_formats),
        cmocka_unit_test(log_collapses_repeats_of_one_place),
        cmocka_unit_test(log_tells_of_repeats_after_the_interval),
        cmocka_unit_test(log_follows_a_file_that_was_moved),
        cmocka_unit_test(log_says_when_a_file_cannot_be_opened_again),
        cmocka_unit_test(log_survives_a_closed_pipe_and_counts),
        cmocka_unit_test(log_close_gives_up_on_a_slow_reader),
        cmocka_unit_test(log_meets_full_devices_and_pipes),
        cmocka_unit_test(log_lines_after_a_torn_one_are_whole),
        cmocka_unit_test(log_works_in_children),
        cmocka_unit_test(log_is_closed_by_children_that_do_not_write),
        cmocka_unit_test(log_loses_no_line_silently_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
