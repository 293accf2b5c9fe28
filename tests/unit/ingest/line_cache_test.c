/* SPDX-License-Identifier: Apache-2.0 */
/* line_cache_test.c: walks over bodies that change between scrapes, against a naive parse of each. */
#include "ingest/line_cache.h"

#include "base/buffer.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/random.h"
#include "model/sample.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SLOTS = 4096 };

/* Slots by key: what storage would say of a line. */
struct slots {
    struct string_map *by_key;
    uint32_t count;
};

static uint32_t slot_of(struct slots *s, struct view key)
{
    uint64_t slot;
    if (!string_map_get(s->by_key, key, &slot)) {
        slot = s->count++;
        assert_true(slot < SLOTS);
        string_map_set(s->by_key, key, slot);
    }
    return (uint32_t)slot;
}

struct row {
    double values[SLOTS];
    uint64_t present[SLOTS / 64];
    double timed[SLOTS]; /* of timestamped samples */
    uint64_t timed_present[SLOTS / 64];
    uint64_t samples, types, learned, known, dropped;
    bool failed;
};

static bool key_is_dropped(struct view key)
{
    return key.len > 1 && key.ptr[1] == '7';
}

/* What must come out: one pass of the parser, the first value of a slot stays. */
static void naive(struct view body, struct slots *slots, struct row *r)
{
    struct exposition_parser p;
    struct error err;
    exposition_parser_init(&p, body, EXPOSITION_TEXT);
    for (;;) {
        enum exposition_event event = exposition_next(&p, &err);
        if (event == EXPOSITION_END)
            return;
        if (event == EXPOSITION_ERROR) {
            r->failed = true;
            return;
        }
        if (event != EXPOSITION_SAMPLE)
            continue;
        r->samples++;
        if (key_is_dropped(p.key)) {
            r->dropped++;
            continue;
        }
        uint32_t slot = slot_of(slots, p.key);
        double *values = p.has_timestamp ? r->timed : r->values;
        uint64_t *present = p.has_timestamp ? r->timed_present : r->present;
        if (!(present[slot / 64] >> (slot % 64) & 1))
            values[slot] = p.value;
        present[slot / 64] |= UINT64_C(1) << (slot % 64);
    }
}

static void take_timed(struct row *r, uint32_t slot, double value)
{
    if (!(r->timed_present[slot / 64] >> (slot % 64) & 1))
        r->timed[slot] = value;
    r->timed_present[slot / 64] |= UINT64_C(1) << (slot % 64);
}

/* One scrape through the cache. */
static void walk(struct line_cache *c, struct line_scratch *s, struct view body,
                 struct slots *slots, struct row *r)
{
    struct line_walk w;
    struct error err;
    struct appender a = {.values = r->values, .present = r->present, .slot_count = SLOTS};
    enum line_event event;
    line_walk_init(&w, c, s, body, EXPOSITION_TEXT, true);
    do {
        while (line_walk_known(&w, &a))
            ;
        event = line_walk_next(&w, &err);
        bool timed = line_walk_is_timestamped(&w);
        if (event == LINE_NEW) {
            w.slot = key_is_dropped(w.parser.key)
                         ? LINE_SLOT_DROPPED
                         : slot_of(slots, w.parser.key) | (timed ? LINE_SLOT_TIMESTAMPED : 0);
            line_walk_learn(&w, w.slot);
            r->learned++;
        }
        if (event == LINE_NEW || event == LINE_SEEN) {
            if (w.slot == LINE_SLOT_DROPPED)
                r->dropped++;
            else if (timed)
                take_timed(r, w.slot & ~LINE_SLOT_TIMESTAMPED, w.parser.value);
            else
                appender_sample(&a, w.slot, w.parser.value);
        }
        r->types += event == LINE_TYPE;
    } while (event != LINE_END && event != LINE_ERROR);
    r->samples = w.known + w.parsed;
    r->known = w.known;
    r->dropped += w.known_dropped;
    r->failed = event == LINE_ERROR;
    if (!r->failed)
        line_walk_finish(&w);
}

static void rows_compare(const struct row *got, const struct row *want, const char *text)
{
    if (got->failed != want->failed)
        fail_msg("failed %d, want %d: %s", got->failed, want->failed, text);
    if (want->failed)
        return;
    assert_int_equal(got->samples, want->samples);
    assert_int_equal(got->dropped, want->dropped);
    assert_memory_equal(got->present, want->present, sizeof got->present);
    assert_memory_equal(got->timed_present, want->timed_present, sizeof got->present);
    assert_memory_equal(got->values, want->values, sizeof got->values);
    assert_memory_equal(got->timed, want->timed, sizeof got->timed);
}

struct fixture {
    struct line_cache cache;
    struct line_scratch scratch;
    struct slots slots;
    struct row *got, *want;
};

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.slots = {string_map_new(MEM_OTHER), 0}};
    f->got = malloc(sizeof *f->got);
    f->want = malloc(sizeof *f->want);
}

static void fixture_deinit(struct fixture *f)
{
    line_cache_clear(&f->cache);
    line_scratch_deinit(&f->scratch);
    string_map_free(f->slots.by_key);
    free(f->got);
    free(f->want);
}

static void scrape(struct fixture *f, const char *text, size_t len)
{
    char *exact = malloc(len + !len); /* so that ASan sees a byte read too many */
    memcpy(exact, text, len);
    memset(f->got, 0, sizeof *f->got);
    memset(f->want, 0, sizeof *f->want);
    naive((struct view){exact, len}, &f->slots, f->want);
    walk(&f->cache, &f->scratch, (struct view){exact, len}, &f->slots, f->got);
    rows_compare(f->got, f->want, text);
    free(exact);
}

static const struct {
    const char *body;
    unsigned learned, known, types, gone;
} STEPS[] = {
    {"# TYPE a counter\na 1\nb 2\nc 3\n", 3, 0, 1, 0},
    {"# TYPE a counter\na 1\nb 2\nc 4\n", 0, 3, 0, 0},
    {"# TYPE a counter\na 1\nb 2\nx 5\nc 4\n", 1, 3, 0, 0}, /* one more in the middle */
    {"# TYPE a counter\na 1\nb 2\nx 5\nc 4\n", 0, 4, 0, 0}, /* which is known now */
    {"# TYPE a counter\na 1\nx 5\nc 4\n", 0, 2, 0, 1},      /* b goes */
    {"# TYPE a counter\na 1\nx 5\nc 4\n", 0, 3, 0, 0},
    {"c 1\nx 2\na 3\n", 0, 0, 0, 0}, /* another order, no TYPE */
    {"c 1\nx 2\na 3\n", 0, 3, 0, 0},
    {"c 1\nc 2\nx 2\na 3\n", 0, 3, 0, 0}, /* twice: the first stays */
    {"c 1\nc 2\nx 2\na 3\n", 0, 4, 0, 0},
    {"# TYPE a gauge\nc 1\nx 2 5\na 3\n", 1, 1, 1, 2}, /* a timestamp is another series */
    {"# TYPE a gauge\nc 1\nx 2 6\na 3\n", 0, 2, 0, 0},
    {"a7 1\nc 1\na 3\n", 1, 0, 0, 1}, /* relabelling drops a7 */
    {"a7 2\nc 1\na 3\n", 0, 3, 0, 0},
    {"a7 2 9\nc 1\na 3\n", 0, 2, 0, 0},    /* with a timestamp, too */
    {"a7 2\nc 1\nbad line\n", 0, 2, 0, 0}, /* fails: nothing is forgotten */
    {"a7 2\nc 1\na 3\n", 0, 3, 0, 0},
    {"a7 2\r\nc 1\r\na 3\r\n", 0, 0, 0, 0},
    {"a7 2\nc 1\na 3", 0, 3, 0, 0}, /* no line feed at the end */
    {"", 0, 0, 0, 2},
    {"a 1\n", 1, 0, 0, 0},
};

static void each_change_costs_what_it_changes(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < ARRAY_COUNT(STEPS); i++) {
        scrape(&f, STEPS[i].body, strlen(STEPS[i].body));
        if (f.got->failed)
            continue;
        size_t gone = 0;
        for (size_t g = 0; g < f.scratch.gone_count; g++)
            gone += f.scratch.gone[g].slot != LINE_SLOT_DROPPED;
        if (f.got->learned != STEPS[i].learned || f.got->known != STEPS[i].known ||
            f.got->types != STEPS[i].types || gone != STEPS[i].gone)
            fail_msg("step %zu \"%s\": learned %" PRIu64 ", known %" PRIu64 ", types %" PRIu64
                     ", gone %zu",
                     i, STEPS[i].body, f.got->learned, f.got->known, f.got->types, gone);
    }
    fixture_deinit(&f);
}

static void line_print(struct buffer *b, struct random *r, uint64_t id)
{
    switch (id % 8) {
    case 0:
        buffer_printf(b, "# TYPE m%" PRIu64 " %s\n", id, id % 16 ? "gauge" : "counter");
        return;
    case 1:
        buffer_printf(b, "# HELP m%" PRIu64 " text %" PRIu64 "\n", id, random_below(r, 2));
        return;
    case 2:
        buffer_printf(b, "m%" PRIu64 "{a=\"%" PRIu64 "\"} %g %" PRIu64 "\n", id, id, random_unit(r),
                      random_below(r, 3));
        return;
    case 3:
        buffer_printf(b, "m7_%" PRIu64 " %" PRIu64 "\n", id, random_below(r, 100));
        return;
    default:
        buffer_printf(b, "m%" PRIu64 "{a=\"%" PRIu64 "\",b=\"x y\"}%s%g%s", id, id,
                      random_below(r, 50) ? " " : "\t", random_unit(r),
                      random_below(r, 50) ? "\n" : " \n\n");
    }
}

/* A list of lines with lines put in, taken out, swapped and doubled between scrapes; now and then bytes
 * of the text are changed at random, so that some scrapes fail. */
static void random_changes_agree_with_a_naive_parse(void **state)
{
    (void)state;
    const char *scale = getenv("TEST_SCALE");
    int rounds = 3000 * (scale ? (int)strtol(scale, NULL, 10) : 1);
    uint64_t seed = 3, lines[200];
    size_t count = 100;
    struct random r;
    struct fixture f;
    struct buffer b;
    printf("seed %" PRIu64 "\n", seed);
    random_seed(&r, seed);
    fixture_init(&f);
    buffer_init(&b, MEM_OTHER, 1 << 20);
    for (size_t i = 0; i < count; i++)
        lines[i] = i;
    for (int round = 0; round < rounds; round++) {
        for (uint64_t n = random_below(&r, 4); n > 0; n--) {
            size_t i = random_below(&r, count), j = random_below(&r, count);
            uint64_t keep = lines[i];
            switch (random_below(&r, 4)) {
            case 0:
                lines[i] = lines[j];
                lines[j] = keep;
                break;
            case 1:
                lines[i] = random_below(&r, 300);
                break;
            case 2:
                if (count > 50)
                    lines[i] = lines[--count];
                break;
            default:
                if (count < 200)
                    lines[count++] = random_below(&r, 2) ? keep : random_below(&r, 300);
                break;
            }
        }
        buffer_reset(&b);
        for (size_t i = 0; i < count; i++)
            line_print(&b, &r, lines[i]);
        if (random_below(&r, 20) == 0)
            b.ptr[random_below(&r, b.len)] = (char)random_below(&r, 256);
        if (random_below(&r, 20) == 0)
            b.len = random_below(&r, b.len);
        if (f.slots.count > SLOTS - 500) { /* flipped bytes made keys: begin anew */
            fixture_deinit(&f);
            fixture_init(&f);
        }
        scrape(&f, b.ptr, b.len);
    }
    buffer_deinit(&b);
    fixture_deinit(&f);
}

static void a_line_longer_than_the_cache_can_note_is_parsed_each_time(void **state)
{
    (void)state;
    struct fixture f;
    struct buffer b;
    fixture_init(&f);
    buffer_init(&b, MEM_OTHER, 1 << 20);
    buffer_append_literal(&b, "a 1\nb{c=\"");
    for (int i = 0; i < 70000; i++)
        buffer_append_byte(&b, 'x');
    buffer_append_literal(&b, "\"} 2\nd 3\n");
    for (int i = 0; i < 3; i++) {
        scrape(&f, b.ptr, b.len);
        assert_int_equal(f.got->learned, i ? 1 : 3);
    }
    buffer_deinit(&b);
    fixture_deinit(&f);
}

/* The type of a TYPE line that the cache skips is known to the line behind it. */
static void a_skipped_type_is_still_known(void **state)
{
    (void)state;
    struct line_cache c = {0};
    struct line_scratch s = {0};
    struct line_walk w;
    struct error err;
    double values[8];
    uint64_t present[1] = {0};
    struct appender a = {.values = values, .present = present, .slot_count = 8};
    struct view body = VIEW("# TYPE h histogram\nh_bucket{le=\"1\"} 1\n");
    line_walk_init(&w, &c, &s, body, EXPOSITION_TEXT, true);
    assert_int_equal(line_walk_next(&w, &err), LINE_TYPE);
    assert_int_equal(line_walk_next(&w, &err), LINE_NEW);
    line_walk_learn(&w, 0);
    assert_int_equal(line_walk_next(&w, &err), LINE_END);
    line_walk_finish(&w);
    body = VIEW("# TYPE h histogram\nh_bucket{le=\"2\"} 1\n");
    line_walk_init(&w, &c, &s, body, EXPOSITION_TEXT, true);
    assert_false(line_walk_known(&w, &a));
    assert_int_equal(w.pos, 1);
    assert_int_equal(line_walk_next(&w, &err), LINE_NEW);
    assert_int_equal(w.parser.type, METRIC_HISTOGRAM);
    line_cache_clear(&c);
    line_scratch_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_change_costs_what_it_changes),
        cmocka_unit_test(random_changes_agree_with_a_naive_parse),
        cmocka_unit_test(a_line_longer_than_the_cache_can_note_is_parsed_each_time),
        cmocka_unit_test(a_skipped_type_is_still_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
