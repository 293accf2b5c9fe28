/* SPDX-License-Identifier: Apache-2.0 */
/* scrape_bench.c: CPU of scraping into a real data folder, without the rest of the server.
 *   scrape_bench PORT TARGETS SECONDS DIR
 * A fleet must serve /0/metrics to /(TARGETS-1)/metrics on 127.0.0.1:PORT. Each target is scraped every
 * second; after a warm-up of 3 s CPU time of the whole process is set against the samples scraped. */
#include "base/buffer.h"
#include "base/clock.h"
#include "ingest/scrape.h"
#include "storage/db.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static long rss_bytes(void)
{
    long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%ld %ld", &pages, &resident) != 2)
        resident = 0;
    if (f)
        (void)fclose(f);
    return resident * sysconf(_SC_PAGESIZE);
}

static struct config *fleet(long port, long targets)
{
    struct buffer b;
    struct config *config;
    struct error err;
    buffer_init(&b, MEM_OTHER, 1 << 24);
    buffer_append_literal(&b,
                          "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n");
    for (long i = 0; i < targets; i++)
        buffer_printf(&b,
                      "- job_name: fleet%ld\n  metrics_path: /%ld/metrics\n"
                      "  static_configs: [{targets: ['127.0.0.1:%ld']}]\n",
                      i, i, port);
    if (!config_load_text(buffer_view(&b), "", "bench.yml", &config, &err)) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    buffer_deinit(&b);
    return config;
}

int main(int argc, char **argv)
{
    struct db *db;
    struct scrape_manager *manager;
    struct scrape_stats before, after;
    struct error err;
    if (argc != 5) {
        fprintf(stderr, "usage: scrape_bench PORT TARGETS SECONDS DIR\n");
        return 2;
    }
    long seconds = strtol(argv[3], NULL, 10);
    if (!db_open(&db, argv[4], &(struct db_options){0}, NULL, &err) ||
        !scrape_manager_start(&manager, db, NULL, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    struct config *config = fleet(strtol(argv[1], NULL, 10), strtol(argv[2], NULL, 10));
    scrape_manager_apply(manager, config);
    config_unref(config);
    sleep(3);
    scrape_stats_get(manager, &before);
    double cpu = cpu_seconds();
    sleep((unsigned)seconds);
    cpu = cpu_seconds() - cpu;
    scrape_stats_get(manager, &after);
    double samples = (double)(after.samples - before.samples);
    uint64_t scrapes = after.scrapes - before.scrapes, failures = 0;
    for (size_t i = 0; i < SCRAPE_FAILURE_COUNT; i++)
        failures += after.failures[i];
    printf("%.0f samples in %llu scrapes (%llu failed, %llu late), %.3f s CPU per million, "
           "%.0f us per scrape, lines known %.4f, RSS %ld MB, cache %llu KB\n",
           samples, (unsigned long long)scrapes, (unsigned long long)failures,
           (unsigned long long)after.scrapes_late, cpu / samples * 1e6, cpu / (double)scrapes * 1e6,
           (double)(after.lines_known - before.lines_known) / samples, rss_bytes() >> 20,
           (unsigned long long)after.cache_bytes >> 10);
    scrape_manager_stop(manager);
    if (!db_close(db, &err))
        fprintf(stderr, "%s\n", err.message);
    return 0;
}
