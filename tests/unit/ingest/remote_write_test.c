/* SPDX-License-Identifier: Apache-2.0 */
/* remote_write_test.c: requests built field by field, stored in a database of their own and read back. */
#include "ingest/remote_write.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/thread.h"
#include "ingest/remote_write_decode.h"
#include "storage/db.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <setjmp.h>
#include <snappy-c.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define START INT64_C(1700000000000)

/* ---- building ---- */

static void put_bytes(struct buffer *b, unsigned number, struct view bytes)
{
    buffer_append_varint(b, number << 3 | 2);
    buffer_append_string(b, bytes);
}

static void put_label(struct buffer *b, const char *name, const char *value)
{
    struct buffer label;
    buffer_init(&label, MEM_OTHER, 1 << 20);
    put_bytes(&label, 1, view_from(name));
    put_bytes(&label, 2, view_from(value));
    put_bytes(b, 1, buffer_view(&label));
    buffer_deinit(&label);
}

static void put_sample(struct buffer *b, int64_t timestamp_ms, double value)
{
    struct buffer sample;
    buffer_init(&sample, MEM_OTHER, 64);
    buffer_append_u8(&sample, 1 << 3 | 1);
    buffer_append_f64(&sample, value);
    buffer_append_u8(&sample, 2 << 3);
    buffer_append_varint(&sample, (uint64_t)timestamp_ms);
    put_bytes(b, 2, buffer_view(&sample));
    buffer_deinit(&sample);
}

/* A series of metric m with one sample. */
static void put_series(struct buffer *out, const char *job, const char *instance, const char *n,
                       int64_t timestamp_ms, double value)
{
    struct buffer series;
    buffer_init(&series, MEM_OTHER, 1 << 20);
    put_label(&series, "__name__", "m");
    if (instance)
        put_label(&series, "instance", instance);
    if (job)
        put_label(&series, "job", job);
    put_label(&series, "n", n);
    put_sample(&series, timestamp_ms, value);
    put_bytes(out, 1, buffer_view(&series));
    buffer_deinit(&series);
}

static void send_raw(struct remote_write *w, struct buffer *raw, struct write_outcome *o)
{
    size_t len = snappy_max_compressed_length(raw->len);
    char *packed = malloc(len);
    assert_int_equal(snappy_compress(raw->ptr ? raw->ptr : "", raw->len, packed, &len), SNAPPY_OK);
    remote_write_receive(w, (struct view){packed, len}, o);
    free(packed);
    buffer_reset(raw);
}

/* ---- the decoder ---- */

static const struct {
    const char *name;
    struct view bytes;
    const char *error; /* NULL: fine */
} MESSAGES[] = {
    {"nothing", VIEW_INIT(""), NULL},
    {"an unknown field", VIEW_INIT("\x4a\x03xyz"), NULL},
    {"an unknown number", VIEW_INIT("\x48\xff\xff\x03"), NULL},
    {"an unknown fixed32", VIEW_INIT("\x4d\x01\x02\x03\x04"), NULL},
    {"a series without anything", VIEW_INIT("\x0a\x00"), NULL},
    {"an empty sample", VIEW_INIT("\x0a\x02\x12\x00"), NULL},
    {"a series that is a number", VIEW_INIT("\x08\x01"), NULL},
    {"field 0", VIEW_INIT("\x02\x00"), "malformed WriteRequest at byte"},
    {"a group", VIEW_INIT("\x0b\x0c"), "malformed WriteRequest"},
    {"a length over the end", VIEW_INIT("\x0a\x05\x12"), "malformed WriteRequest"},
    {"a length of 2^63", VIEW_INIT("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), "malformed"},
    {"a varint of 11 bytes", VIEW_INIT("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
     "malformed"},
    {"a tag without value", VIEW_INIT("\x0a"), "malformed"},
    {"a sample over the end of its series", VIEW_INIT("\x0a\x02\x12\x04zzzz"),
     "malformed TimeSeries"},
    {"a value cut short", VIEW_INIT("\x0a\x05\x12\x03\x09zz"), "malformed Sample at byte"},
    {"metadata cut short", VIEW_INIT("\x1a\x02\x12\x05"), "malformed MetricMetadata"},
    {"a type far out of range", VIEW_INIT("\x1a\x05\x08\x7f\x12\x01m"), NULL},
};

static void decode_refuses_what_is_no_message(void **state)
{
    (void)state;
    struct write_request rq = {0};
    arena_init(&rq.arena, MEM_OTHER, 0);
    for (size_t i = 0; i < sizeof MESSAGES / sizeof *MESSAGES; i++) {
        struct error err = {0};
        /* From the heap, so that a sanitizer sees a read past the end. */
        char *copy = malloc(MESSAGES[i].bytes.len ? MESSAGES[i].bytes.len : 1);
        memcpy(copy, MESSAGES[i].bytes.ptr, MESSAGES[i].bytes.len);
        bool ok = write_request_decode(&rq, (struct view){copy, MESSAGES[i].bytes.len}, &err);
        free(copy);
        if (ok != (MESSAGES[i].error == NULL) || (!ok && !strstr(err.message, MESSAGES[i].error)))
            fail_msg("%s: %s", MESSAGES[i].name, ok ? "was taken" : err.message);
    }
    write_request_deinit(&rq);
}

/* The same labels around a sample and before it are one series to the table. */
static void decode_gathers_scattered_labels(void **state)
{
    (void)state;
    struct write_request rq = {0};
    struct buffer series, all;
    struct error err;
    arena_init(&rq.arena, MEM_OTHER, 0);
    buffer_init(&series, MEM_OTHER, 4096);
    buffer_init(&all, MEM_OTHER, 4096);
    put_label(&series, "__name__", "m");
    put_label(&series, "a", "1");
    put_sample(&series, 1, 1);
    put_bytes(&all, 1, buffer_view(&series));
    buffer_reset(&series);
    put_label(&series, "__name__", "m");
    put_sample(&series, 2, 2);
    put_label(&series, "a", "1");
    put_bytes(&all, 1, buffer_view(&series));
    assert_true(write_request_decode(&rq, buffer_view(&all), &err));
    assert_int_equal(rq.series_count, 2);
    assert_true(rq.series[0].hash.low == rq.series[1].hash.low &&
                rq.series[0].hash.high == rq.series[1].hash.high);
    assert_true(view_eq(rq.series[0].labels, rq.series[1].labels));
    buffer_deinit(&series);
    buffer_deinit(&all);
    write_request_deinit(&rq);
}

static void decode_limits_samples_and_series(void **state)
{
    (void)state;
    struct write_request rq = {0};
    struct error err;
    struct buffer all;
    arena_init(&rq.arena, MEM_OTHER, 0);
    buffer_init(&all, MEM_OTHER, 64 << 20);
    for (int i = 0; i <= WRITE_SERIES_MAX; i++)
        buffer_append_literal(&all, "\x0a\x02\x12\x00");
    assert_false(write_request_decode(&rq, buffer_view(&all), &err));
    assert_int_equal(err.kind, ERROR_TOO_LARGE);
    buffer_deinit(&all);
    write_request_deinit(&rq);
}

static const struct {
    const char *name;
    const char *labels[8]; /* name, value, ... */
    const char *out;       /* or the error's words */
    bool ok;
} LABEL_SETS[] = {
    {"sorted", {"__name__", "m", "a", "1"}, "m{a=\"1\"}", true},
    {"unsorted", {"b", "2", "a", "1", "__name__", "m"}, "m{a=\"1\",b=\"2\"}", true},
    {"an empty value is no label", {"__name__", "m", "a", ""}, "m", true},
    {"a name in UTF-8", {"__name__", "m", "caf\xc3\xa9", "1"}, "m{\"caf\xc3\xa9\"=\"1\"}", true},
    {"no name", {"a", "1"}, "missing metric name", false},
    {"an empty metric name", {"__name__", ""}, "missing metric name", false},
    {"nothing", {NULL}, "missing metric name", false},
    {"twice", {"__name__", "m", "a", "1", "a", "1"}, "label name \"a\" is not unique", false},
    {"twice, apart", {"a", "1", "__name__", "m", "a", "2"}, "is not unique", false},
    {"an empty label name", {"__name__", "m", "", "1"}, "a label without a name", false},
    {"no UTF-8 in a value", {"__name__", "m", "a", "\xed\xa0\x80"}, "is not valid UTF-8", false},
    {"no UTF-8 in a name", {"__name__", "m", "\xff", "1"}, "is not valid UTF-8", false},
};

static void labels_are_checked_and_sorted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof LABEL_SETS / sizeof *LABEL_SETS; i++) {
        struct buffer encoded, text;
        struct arena arena;
        struct labels ls;
        struct error err = {0};
        arena_init(&arena, MEM_OTHER, 0);
        buffer_init(&encoded, MEM_OTHER, 4096);
        buffer_init(&text, MEM_OTHER, 4096);
        for (size_t k = 0; k < 8 && LABEL_SETS[i].labels[k]; k += 2)
            put_label(&encoded, LABEL_SETS[i].labels[k], LABEL_SETS[i].labels[k + 1]);
        bool ok = write_series_labels(&arena, buffer_view(&encoded), &ls, &err);
        if (ok)
            labels_format(&text, ls);
        buffer_append_byte(&text, '\0');
        const char *got = ok ? text.ptr : err.message;
        if (ok != LABEL_SETS[i].ok ||
            (ok ? strcmp(got, LABEL_SETS[i].out) != 0 : !strstr(got, LABEL_SETS[i].out)))
            fail_msg("%s: got %s", LABEL_SETS[i].name, got);
        buffer_deinit(&encoded);
        buffer_deinit(&text);
        arena_deinit(&arena);
    }
}

/* ---- the receiver ---- */

static const char *folder(void)
{
    static char dir[64];
    (void)snprintf(dir, sizeof dir, "/tmp/belfry_remote_write_test.%d", (int)getpid());
    return dir;
}

struct world {
    struct db *db;
    struct remote_write *w;
    struct buffer raw;
};

static int open_world(void **state)
{
    static struct world world;
    struct error err;
    assert_true(dir_remove(folder(), &err));
    world = (struct world){0};
    struct db_options options = {.maintain_when_asked = true};
    if (!db_open(&world.db, folder(), &options, NULL, &err))
        fail_msg("%s", err.message);
    world.w = remote_write_new(world.db);
    buffer_init(&world.raw, MEM_OTHER, 64 << 20);
    *state = &world;
    return 0;
}

static int close_world(void **state)
{
    struct world *world = *state;
    struct error err;
    remote_write_free(world->w);
    assert_true(db_close(world->db, &err));
    buffer_deinit(&world->raw);
    clock_test_unfreeze();
    assert_true(dir_remove(folder(), &err));
    return 0;
}

/* All samples, "labels: value@ms value@ms\n" per series, in the order of the labels. */
static int text_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *dump(struct db *db)
{
    struct error err;
    struct arena arena;
    struct series_list list;
    struct buffer text;
    struct label_store *labels = label_store_new(MEM_OTHER, 0);
    arena_init(&arena, MEM_OTHER, 0);
    struct storage_view *v = source_pin(db_as_source(db), INT64_MIN / 4, INT64_MAX / 4, &err);
    struct select what = {.mint = INT64_MIN / 4, .maxt = INT64_MAX / 4};
    assert_true(view_select(v, &what, labels, &arena, &list, &err));
    char **lines = calloc(list.count + 1, sizeof *lines);
    struct storage_reader *r = view_reader_new(v, NULL, &err);
    for (size_t i = 0; i < list.count; i++) {
        struct samples s = {0};
        buffer_init(&text, MEM_OTHER, 1 << 20);
        labels_format(&text, label_store_labels(labels, list.items[i].labels, &arena));
        assert_true(reader_read(r, list.items[i].ref, what.mint, what.maxt, &s, &err));
        for (size_t k = 0; k < s.count; k++)
            buffer_printf(&text, " %g@%" PRId64, s.values[k], s.times[k] - START);
        lines[i] = strndup(text.ptr, text.len);
        buffer_deinit(&text);
    }
    qsort(lines, list.count, sizeof *lines, text_compare);
    buffer_init(&text, MEM_OTHER, 1 << 20);
    for (size_t i = 0; i < list.count; i++) {
        buffer_printf(&text, "%s\n", lines[i]);
        free(lines[i]);
    }
    char *all = strndup(text.ptr, text.len);
    buffer_deinit(&text);
    free(lines);
    storage_reader_free(r);
    view_release(v);
    label_store_free(labels);
    arena_deinit(&arena);
    return all;
}

static void assert_dump(struct db *db, const char *expected)
{
    char *got = dump(db);
    assert_string_equal(got, expected);
    free(got);
}

/* Two groups whose samples are mixed, newest first. */
static void samples_are_sorted_into_rows(void **state)
{
    struct world *world = *state;
    struct write_outcome o;
    for (int t = 4; t >= 0; t--) {
        put_series(&world->raw, "j", "b", "1", START + t, t);
        put_series(&world->raw, "j", "a", "1", START + t, 10 + t);
        put_series(&world->raw, "j", "a", "2", START + t, 20 + t);
        put_series(&world->raw, NULL, NULL, "3", START + t, 30 + t);
    }
    send_raw(world->w, &world->raw, &o);
    if (o.status != 204)
        fail_msg("%s", o.err.message);
    assert_int_equal(o.samples, 20);
    assert_int_equal(o.stored, 20);
    assert_dump(world->db, "m{instance=\"a\",job=\"j\",n=\"1\"} 10@0 11@1 12@2 13@3 14@4\n"
                           "m{instance=\"a\",job=\"j\",n=\"2\"} 20@0 21@1 22@2 23@3 24@4\n"
                           "m{instance=\"b\",job=\"j\",n=\"1\"} 0@0 1@1 2@2 3@3 4@4\n"
                           "m{n=\"3\"} 30@0 31@1 32@2 33@3 34@4\n");
    struct remote_write_stats stats;
    remote_write_stats_get(world->w, &stats);
    assert_int_equal(stats.series_cached, 4);
    assert_int_equal(stats.groups, 3);
}

static void first_of_two_values_stays_and_the_other_is_counted(void **state)
{
    struct world *world = *state;
    struct write_outcome o;
    put_series(&world->raw, "j", "a", "1", START, 1);
    put_series(&world->raw, "j", "a", "1", START, 2);
    put_series(&world->raw, "j", "a", "1", START, 1);
    put_series(&world->raw, "j", "a", "2", START, NAN);
    put_series(&world->raw, "j", "a", "2", START, NAN);
    send_raw(world->w, &world->raw, &o);
    assert_int_equal(o.status, 400);
    assert_int_equal(o.refused[WRITE_DUPLICATE], 1);
    assert_int_equal(o.stored, 4);
    assert_non_null(strstr(o.err.message, "duplicate sample for timestamp"));
    assert_non_null(strstr(o.err.message, "1 of 5 samples not stored"));
    assert_dump(world->db, "m{instance=\"a\",job=\"j\",n=\"1\"} 1@0\n"
                           "m{instance=\"a\",job=\"j\",n=\"2\"} nan@0\n");
}

/* What nobody sends any more leaves the table and its group's slots; who comes back is who it was. */
static void sweep_forgets_the_idle_and_knows_them_again(void **state)
{
    struct world *world = *state;
    struct write_outcome o;
    struct remote_write_stats stats;
    for (int round = 0; round < 3; round++) {
        char n[16];
        for (int i = 0; i < 100; i++) {
            snprintf(n, sizeof n, "%d", i);
            put_series(&world->raw, "j", i % 2 ? "odd" : "even", n, START + round, i);
        }
        send_raw(world->w, &world->raw, &o);
        assert_int_equal(o.status, 204);
        remote_write_stats_get(world->w, &stats);
        assert_int_equal(stats.series_cached, 100);
        assert_int_equal(stats.groups, 2);
        remote_write_sweep(world->w, 3600000);
        remote_write_stats_get(world->w, &stats);
        assert_int_equal(stats.series_cached, 100);
        remote_write_sweep(world->w, 0);
        remote_write_stats_get(world->w, &stats);
        assert_int_equal(stats.series_cached, 0);
        assert_int_equal(stats.groups, 0);
    }
    char *all = dump(world->db);
    assert_non_null(strstr(all, "m{instance=\"odd\",job=\"j\",n=\"7\"} 7@0 7@1 7@2\n"));
    free(all);
}

/* Spellings of one series do not fill memory. */
static void spellings_are_bounded(void **state)
{
    struct world *world = *state;
    struct write_outcome o;
    struct remote_write_stats stats;
    for (int i = 0; i < 500; i++) {
        struct buffer series;
        char n[16];
        snprintf(n, sizeof n, "%d", i);
        buffer_init(&series, MEM_OTHER, 4096);
        put_label(&series, "__name__", "m");
        put_label(&series, "instance", "i");
        put_label(&series, n, "");
        put_sample(&series, START + i, i);
        put_bytes(&world->raw, 1, buffer_view(&series));
        buffer_deinit(&series);
        send_raw(world->w, &world->raw, &o);
        assert_int_equal(o.status, 204);
    }
    remote_write_stats_get(world->w, &stats);
    assert_true(stats.series_cached <= 100);
    struct db_stats storage;
    db_stats_get(world->db, &storage);
    assert_int_equal(storage.head_series, 1);
}

static void bombs_are_seen_before_they_are_unpacked(void **state)
{
    struct world *world = *state;
    struct write_outcome o;
    assert_int_equal(snappy_max_compressed_length(REMOTE_WRITE_BYTES_MAX), REMOTE_WRITE_BODY_MAX);
    remote_write_receive(world->w,
                         VIEW("\xff\xff\xff\xff\x0f"
                              "0123456789"),
                         &o);
    assert_int_equal(o.status, 413);
    remote_write_receive(world->w, VIEW("\xff\xff\xff\xff\xff\xff\x0f"), &o);
    assert_int_equal(o.status, 400);
}

/* Exemplars come in a series of their own, as Prometheus sends them; those of nobody make nobody. */
static void exemplars_are_kept_for_series_that_are_known(void **state)
{
    struct world *world = *state;
    struct write_outcome o;
    struct remote_write_stats stats;
    struct db_stats storage;
    for (int known = 0; known < 2; known++) {
        struct buffer series, exemplar;
        buffer_init(&series, MEM_OTHER, 4096);
        buffer_init(&exemplar, MEM_OTHER, 4096);
        put_series(&world->raw, "j", "i", "1", START, 1);
        put_label(&series, "__name__", "m");
        put_label(&series, "instance", known ? "i" : "nobody");
        put_label(&series, "job", "j");
        put_label(&series, "n", "1");
        put_label(&exemplar, "trace_id", "abc");
        buffer_append_u8(&exemplar, 2 << 3 | 1);
        buffer_append_f64(&exemplar, 0.5);
        buffer_append_u8(&exemplar, 3 << 3);
        buffer_append_varint(&exemplar, START);
        put_bytes(&series, 3, buffer_view(&exemplar));
        put_bytes(&series, 3, VIEW("\xff")); /* none */
        put_bytes(&world->raw, 1, buffer_view(&series));
        send_raw(world->w, &world->raw, &o);
        assert_int_equal(o.status, 204);
        remote_write_stats_get(world->w, &stats);
        assert_int_equal(stats.exemplars, (known + 1) * 2);
        assert_int_equal(stats.exemplars_stored, known);
        assert_int_equal(stats.groups, 1);
        buffer_deinit(&series);
        buffer_deinit(&exemplar);
    }
    db_stats_get(world->db, &storage);
    assert_int_equal(storage.head_series, 1);
}

static int disk_is_full(void *arg, enum file_op op, const char *path, size_t *bytes)
{
    (void)arg;
    (void)path;
    (void)bytes;
    return op == FILE_OP_WRITE ? ENOSPC : 0;
}

/* A full disk is no reason to drop a request: the sender is told to come again, and then all is well. */
static void full_disk_asks_to_come_again(void **state)
{
    struct world *world = *state;
    struct write_outcome o;
    put_series(&world->raw, "j", "i", "1", START, 1);
    send_raw(world->w, &world->raw, &o);
    assert_int_equal(o.status, 204);
    file_test_set_hook(disk_is_full, NULL);
    for (int i = 0; i < 2; i++) { /* the first finds out, the second is turned away */
        put_series(&world->raw, "j", "i", "1", START + 1, 2);
        put_series(&world->raw, "j", "new", "1", START + 1, 3);
        send_raw(world->w, &world->raw, &o);
        assert_int_equal(o.status, 503);
    }
    file_test_set_hook(NULL, NULL);
    do { /* the WAL tries again by itself */
        sched_yield();
        put_series(&world->raw, "j", "i", "1", START + 1, 2);
        put_series(&world->raw, "j", "new", "1", START + 1, 3);
        send_raw(world->w, &world->raw, &o);
    } while (o.status == 503);
    if (o.status != 204)
        fail_msg("%s", o.err.message);
    assert_dump(world->db, "m{instance=\"i\",job=\"j\",n=\"1\"} 1@0 2@1\n"
                           "m{instance=\"new\",job=\"j\",n=\"1\"} 3@1\n");
}

/* ---- several senders ---- */

enum { SENDERS = 4, ROUNDS = 100 };
struct sender {
    struct world *world;
    int number;
    uint64_t stored, refused;
};

static void *sender_run(void *arg)
{
    struct sender *s = arg;
    struct buffer raw;
    buffer_init(&raw, MEM_OTHER, 1 << 20);
    for (int i = 0; i < ROUNDS; i++) {
        struct write_outcome o;
        char n[16], own[16];
        snprintf(own, sizeof own, "own%d", s->number);
        for (int k = 0; k < 10; k++) {
            snprintf(n, sizeof n, "%d", k * 17 % (i + 1));
            put_series(&raw, "j", own, n, START + i * 10 + k, k);
            put_series(&raw, "j", "shared", own, START + i * 10 + k, k);
        }
        send_raw(s->world->w, &raw, &o);
        s->stored += o.stored;
        s->refused += o.refused[WRITE_OUT_OF_ORDER];
        assert_true(o.status == 204 || o.status == 400);
        if (i % 10 == s->number)
            remote_write_sweep(s->world->w, i % 20 < 10 ? 0 : 1000000);
    }
    buffer_deinit(&raw);
    return NULL;
}

static void senders_may_share_groups(void **state)
{
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    struct error err;
    uint64_t stored = 0, refused = 0;
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.world = *state, .number = i};
        assert_true(thread_start(&threads[i], "sender", sender_run, &senders[i], &err));
    }
    for (int i = 0; i < SENDERS; i++) {
        thread_join(threads[i]);
        stored += senders[i].stored;
        refused += senders[i].refused;
    }
    assert_int_equal(stored + refused, SENDERS * ROUNDS * 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decode_refuses_what_is_no_message),
        cmocka_unit_test(decode_gathers_scattered_labels),
        cmocka_unit_test(decode_limits_samples_and_series),
        cmocka_unit_test(labels_are_checked_and_sorted),
        cmocka_unit_test_setup_teardown(samples_are_sorted_into_rows, open_world, close_world),
        cmocka_unit_test_setup_teardown(first_of_two_values_stays_and_the_other_is_counted,
                                        open_world, close_world),
        cmocka_unit_test_setup_teardown(sweep_forgets_the_idle_and_knows_them_again, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(spellings_are_bounded, open_world, close_world),
        cmocka_unit_test_setup_teardown(bombs_are_seen_before_they_are_unpacked, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(exemplars_are_kept_for_series_that_are_known, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(full_disk_asks_to_come_again, open_world, close_world),
        cmocka_unit_test_setup_teardown(senders_may_share_groups, open_world, close_world),
    };
    return cmocka_run_group_tests_name("remote_write", tests, NULL, NULL);
}
