/* SPDX-License-Identifier: Apache-2.0 */
/* program.c: what a program that uses libbelfry writes, in C99 and C++17 alike, all macros of the headers included. */
#include <belfry/log.h>
#include <belfry/metrics.h>

#include <stdio.h>
#include <string.h>

static bool print(void *arg, const char *bytes, size_t len)
{
    return fwrite(bytes, 1, len, (FILE *)arg) == len;
}

int main(void)
{
    const char *const label_names[] = {"path"};
    const char *const label_values[] = {"/a\"b"};
    belfry_counter_family *requests;
    belfry_histogram *seconds;
    if (belfry_counter_family_new(&requests, NULL, "app_requests_total", "Requests.", label_names,
                                  1) != BELFRY_OK ||
        belfry_histogram_new(&seconds, NULL, "app_seconds", "Seconds.", belfry_buckets_seconds,
                             BELFRY_BUCKETS_SECONDS_COUNT) != BELFRY_OK)
        return 1;
    belfry_counter_inc(belfry_counter_family_with(requests, label_values));
    belfry_histogram_observe(seconds, 0.25);

    belfry_log_options options;
    memset(&options, 0, sizeof(options));
    options.fd = 2;
    options.level = BELFRY_LOG_DEBUG;
    options.synchronous = true;
    belfry_log *log = belfry_log_open(&options);
    belfry_log_debug(log, "debug", BELFRY_STR("text", "x"), BELFRY_STRN("bytes", "xy", 1));
    belfry_log_info(log, "info", BELFRY_INT("signed", -1), BELFRY_UINT("unsigned", 1u),
                    BELFRY_NULL("none"));
    belfry_log_warn(log, "warn", BELFRY_DOUBLE("number", 0.5), BELFRY_SECRET("key", "k"),
                    BELFRY_CLEAR("url", "u"));
    belfry_log_error(log, "error", BELFRY_BOOL("yes", true));
    BELFRY_LOG_AT(log, BELFRY_LOG_INFO, "no_fields");
    belfry_log_close(log);
    return belfry_registry_write_text(NULL, print, stdout) == BELFRY_OK ? 0 : 1;
}
