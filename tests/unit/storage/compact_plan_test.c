/* SPDX-License-Identifier: Apache-2.0 */
/* compact_plan_test.c: which blocks are merged next, as a table: a block is "begin-end" in ranges of two hours,
 * then its bytes; `x` marks one that cannot be read, `d` one of which much is deleted. */
#include "storage/compact_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BLOCKS_MAX = 64 };
#define RANGE INT64_C(7200000)

static const struct {
    const char *name, *blocks;
    long settled;       /* in ranges */
    const char *chosen; /* places */
} CASES[] = {
    {"nothing", "", 0, ""},
    {"one block", "0-1:9", 100, ""},
    {"a day that is over", "0-1:9 1-2:9 5-6:9", 12, "0 1 2"},
    {"a day that goes on", "0-1:9 1-2:9 5-6:9", 11, ""},
    {"the next day has begun", "0-1:9 1-2:9 12-13:9", 13, "0 1"},
    {"a day with one block", "0-1:9 12-13:9", 30, ""},
    {"the oldest day first", "0-1:9 1-2:9 12-13:9 13-14:9", 30, "0 1"},
    {"before 1970", "-24--23:9 -20--19:9 -12--11:9", -11, "0 1"},
    {"across the border of a day: in neither", "0-1:9 2-3:9 11-13:9 14-15:9", 50, "0 1"},
    {"eight days", "0-12:9 12-24:9 84-96:9", 96, "0 1 2"},
    {"eight days that go on", "0-12:9 12-24:9", 95, ""},
    {"days before eight days", "0-12:9 12-24:9 24-25:9 25-26:9", 96, "2 3"},
    {"merged already", "0-96:9 96-108:9", 120, ""},
    {"overlap", "0-1:9 0-1:9", 0, "0 1"},
    {"overlap before days", "0-1:9 1-2:9 14-16:9 15-17:9", 20, "2 3"},
    {"a chain of overlaps", "0-2:9 1-4:9 3-5:9 5-6:9", 0, "0 1 2"},
    {"inside another", "0-12:9 3-4:9", 0, "0 1"},
    {"little beside much waits", "0-12:900 3-4:9", 0, ""},
    {"a quarter of it does not", "0-12:900 3-4:100 5-6:125", 0, "0 1 2"},
    {"eight do not", "0-12:900 1-2:1 2-3:1 3-4:1 4-5:1 5-6:1 6-7:1 7-8:1 8-9:1", 0,
     "0 1 2 3 4 5 6 7 8"},
    {"seven do", "0-12:900 1-2:1 2-3:1 3-4:1 4-5:1 5-6:1 6-7:1 7-8:1", 30, ""},
    {"little beside a merged day waits too", "0-10:900 10-11:9", 30, ""},
    {"much beside a merged day", "0-10:90 10-11:90", 30, "0 1"},
    {"little within a day that is not merged yet", "0-1:900 0-1:9 1-2:900", 12, "0 1 2"},
    {"what cannot be read is left out", "0-1:9 1-2:9x 2-3:9", 12, "0 2"},
    {"and does not make an overlap", "0-1:9 0-1:9x", 0, ""},
    {"much deleted", "0-1:9 1-2:9d", 0, "1"},
    {"much deleted, but unreadable", "0-1:9 1-2:9xd", 0, ""},
    {"merging comes first", "0-1:9d 1-2:9 2-3:9", 12, "0 1 2"},
};

static size_t parse(const char *text, struct compact_candidate *out)
{
    size_t count = 0;
    while (*text) {
        char *end;
        struct compact_candidate c = {0};
        c.mint = strtol(text, &end, 10) * RANGE;
        c.maxt = strtol(end + 1, &end, 10) * RANGE;
        c.bytes = strtoul(end + 1, &end, 10);
        for (; *end && *end != ' '; end++) {
            c.excluded |= *end == 'x';
            c.rewrite |= *end == 'd';
        }
        out[count++] = c;
        text = *end ? end + 1 : end;
    }
    return count;
}

static void blocks_are_chosen_as_the_table_says(void **state)
{
    struct compact_tiers tiers = compact_tiers_make(RANGE, INT64_MAX);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct compact_candidate blocks[BLOCKS_MAX];
        bool chosen[BLOCKS_MAX] = {false};
        char got[512] = "";
        size_t count = parse(CASES[i].blocks, blocks), n = 0;
        size_t told = compact_plan(blocks, count, &tiers, CASES[i].settled * RANGE, chosen);
        for (size_t k = 0; k < count; k++)
            if (chosen[k])
                (void)snprintf(got + strlen(got), sizeof got - strlen(got), "%s%zu", n++ ? " " : "",
                               k);
        if (strcmp(got, CASES[i].chosen) != 0 || n != told)
            fail_msg("%s: \"%s\", told as %zu", CASES[i].name, got, told);
    }
}

/* What is chosen is replaced by one block until nothing is: it ends, and no sample is written often. */
static void a_year_of_blocks_is_written_three_times(void **state)
{
    enum { YEAR = 365 * 12 };
    struct compact_tiers tiers = compact_tiers_make(RANGE, INT64_MAX);
    static struct compact_candidate blocks[YEAR + 1];
    static bool chosen[YEAR + 1];
    size_t count = 0;
    uint64_t written = 0;
    for (int64_t cut = 0; cut < YEAR; cut++) {
        blocks[count++] =
            (struct compact_candidate){cut * RANGE, (cut + 1) * RANGE, 100, false, false};
        while (compact_plan(blocks, count, &tiers, (cut + 1) * RANGE, chosen) > 0) {
            struct compact_candidate all = {INT64_MAX, INT64_MIN, 0, false, false};
            size_t kept = 0, place = count;
            for (size_t i = 0; i < count; i++) {
                if (!chosen[i]) {
                    blocks[kept++] = blocks[i];
                    continue;
                }
                place = place == count ? kept++ : place;
                all.mint = blocks[i].mint < all.mint ? blocks[i].mint : all.mint;
                all.maxt = blocks[i].maxt > all.maxt ? blocks[i].maxt : all.maxt;
                all.bytes += blocks[i].bytes;
            }
            blocks[place] = all;
            count = kept;
            written += all.bytes;
        }
    }
    assert_true(count < YEAR / 96 + 8 + 12);
    assert_true(written <= UINT64_C(2) * YEAR * 100);
}

/* {range, longest block} -> tiers, in hours */
static const struct {
    long range, longest;
    const char *tiers;
} TIERS[] = {
    {2, 31 * 24, "2 24 192"},
    {2, 192, "2 24 192"},
    {2, 191, "2 24"},
    {2, 36, "2 24"},
    {2, 23, "2 12"},
    {2, 11, "2 8"},
    {2, 7, "2 6"},
    {2, 5, "2 4"},
    {2, 3, "2"},
    {2, 0, "2"},
    {1, 36, "1 12"},
};

static void tiers_stay_below_the_longest_block(void **state)
{
    for (size_t i = 0; i < sizeof TIERS / sizeof *TIERS; i++) {
        struct compact_tiers t =
            compact_tiers_make(TIERS[i].range * 3600000, (int64_t)TIERS[i].longest * 3600000);
        char got[64] = "";
        for (size_t k = 0; k < t.count; k++)
            (void)snprintf(got + strlen(got), sizeof got - strlen(got), "%s%ld", k ? " " : "",
                           (long)(t.range_ms[k] / 3600000));
        if (strcmp(got, TIERS[i].tiers) != 0)
            fail_msg("%ld h, at most %ld h: %s", TIERS[i].range, TIERS[i].longest, got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_chosen_as_the_table_says),
        cmocka_unit_test(a_year_of_blocks_is_written_three_times),
        cmocka_unit_test(tiers_stay_below_the_longest_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
