/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <belfry/log.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
