/* SPDX-License-Identifier: Apache-2.0 */
/* rrule_bench.c: what it costs to ask when a rule comes next, long after its start. */
#include "alerting/rrule.h"
#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 2000 };

static void measure(const char *text)
{
    struct timezone_data *zone;
    struct rrule *rule;
    struct error err;
    const int64_t day_s = 86400, start_s = INT64_C(946717200); /* 2000-01-01 09:00 UTC */
    int64_t found, sum = 0, ended = 0;
    if (!timezone_open(&zone, VIEW("Europe/Vienna"), &err) ||
        !rrule_new(&rule, view_from(text), zone, start_s, &err)) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    const int64_t days[] = {0, 365, 3650, 9000};
    printf("%-28s", text);
    for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
        mono_time begin = clock_mono();
        for (int n = 0; n < ROUNDS; n++)
            if (rrule_next(rule, start_s + days[i] * day_s + n, &found))
                sum += found;
            else
                ended++;
        printf("  %8.2f us after %4lld days", (double)(clock_mono().ns - begin.ns) / ROUNDS / 1e3,
               (long long)days[i]);
    }
    printf("  (%llx, %lld ended)\n", (unsigned long long)sum, (long long)ended);
    rrule_free(rule);
    timezone_free(zone);
}

int main(void)
{
    measure("FREQ=DAILY;COUNT=10000");
    measure("FREQ=DAILY;COUNT=100");
    measure("FREQ=WEEKLY;BYDAY=MO,TH;COUNT=5000");
    measure("FREQ=DAILY");
    return 0;
}
