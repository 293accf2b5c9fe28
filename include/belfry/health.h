/* SPDX-License-Identifier: Apache-2.0 */
/* belfry/health.h: is the program alive (liveness), and should it get requests (readiness)?
 *
 *   belfry_health *health;
 *   belfry_health_options options = {.service = "imgjobs", .version = "1.0"};
 *   if (belfry_health_new(&health, &options) != BELFRY_OK || belfry_health_add_disk(health, data_dir, 0) != BELFRY_OK) ...
 *   GET /health  ->  belfry_health_live_text()      GET /ready  ->  belfry_health_ready_text()
 *
 * Every check runs on a thread of its own, again and again, and an answer only reads what was found last: it never waits. A check
 * that hangs counts as failed, "did not answer in 1000 ms", and harms no other. Until it first ran a check counts as failed.
 *
 * Any thread may call anything here but _new and _free. Nothing ends or prints from the host program. After fork() the
 * child has no checks: it answers as not ready. */
#ifndef BELFRY_HEALTH_H
#define BELFRY_HEALTH_H

#include <belfry/export.h>
#include <belfry/log.h>
#include <belfry/metrics.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct belfry_health belfry_health;

enum {
    BELFRY_HEALTH_CHECKS_MAX = 32,
    BELFRY_HEALTH_NAME_BYTES_MAX = 64, /* of a check; [A-Za-z0-9._-] */
    BELFRY_HEALTH_REASON_BYTES = 256   /* with NUL */
};

typedef struct belfry_health_options {
    const char *service, *version; /* what /health answers; copied */
    /* check_failed and check_recovered lines, when what a check says changes. NULL = none. Outlives the health and every
     * check of it that still hangs. */
    belfry_log *log;
} belfry_health_options;

/* BELFRY_ERROR_MEMORY; BELFRY_ERROR_FORMAT without service or version. On error *out is NULL. Uptime counts from here. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_health_new(belfry_health **out,
                                                           const belfry_health_options *options);
/* Ends the checks' threads and frees; a check that hangs is waited for at most its timeout, then left to end by itself (its
 * argument is released when it does). NULL does nothing. */
BELFRY_API void belfry_health_free(belfry_health *health);

/* --- checks --- */

typedef struct belfry_health_check {
    const char *name; /* key in `dependencies` and label value; copied */
    /* Is it well? If not, a sentence in `reason` (empty on entry; cut to fit). On the check's own thread. */
    bool (*run)(void *arg, char reason[BELFRY_HEALTH_REASON_BYTES]);
    void *arg;
    /* Once, when run will not be called again, also when adding failed. May be NULL. */
    void (*release)(void *arg);
    /* Between two runs; 0 = 5000. An answer older than this and the timeout is not used. */
    uint32_t interval_ms;
    uint32_t timeout_ms; /* a run that takes longer counts as failed; 0 = 1000 */
} belfry_health_check;

/* Adds a check and starts it. BELFRY_ERROR_NAME, BELFRY_ERROR_EXISTS, BELFRY_ERROR_LIMIT, BELFRY_ERROR_MEMORY,
 * BELFRY_ERROR_SYSTEM (no thread), BELFRY_ERROR_NULL (no check). */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_health_add(belfry_health *health,
                                                           const belfry_health_check *check);
/* "disk": the file system of `path` (copied) has at least so many bytes free for us; 0 = 1,000,000,000. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_health_add_disk(belfry_health *health,
                                                                const char *path,
                                                                uint64_t bytes_min);
/* "mem": memory in use is below this part of what there may be; 0 = 0.8. In use is, in a control group (v2, v1; the nearest to
 * its limit, parents included), what its processes hold without file pages that can go at once; on a host without a
 * limit, total minus available. `root` is put before "/proc/..." and "/sys/..."; NULL = "". Copied. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_health_add_memory(belfry_health *health,
                                                                  double ratio_max,
                                                                  const char *root);
/* "worker": a task that does nothing, given to the program's worker pool, ran within a second. `submit` queues run(task),
 * from the check's thread, and returns false when the pool takes nothing now (then run is never called). A task that was
 * taken is run once, however late. `arg` must stay valid until the health is freed and submit has returned. */
BELFRY_API BELFRY_MUST_USE belfry_status
belfry_health_add_worker(belfry_health *health,
                         bool (*submit)(void *arg, void (*run)(void *task), void *task), void *arg);

typedef struct belfry_health_result {
    const char *name; /* borrowed during the call */
    bool up;
    const char *reason;      /* why it is not up, "" when it is; borrowed */
    double duration_seconds; /* of the last run that ended */
    double last_run_seconds; /* since the epoch: when that ended; 0 = never */
} belfry_health_result;

/* Calls visit for every check, in the order of their adding. */
BELFRY_API void belfry_health_visit(belfry_health *health,
                                    void (*visit)(void *arg, const belfry_health_result *result),
                                    void *arg);
/* Shows belfry_health_check_up, belfry_health_check_duration_seconds and
 * belfry_health_check_last_run_timestamp_seconds, each with the label check, belfry_health_ready and
 * belfry_health_active_requests, until the health is freed. NULL = the default registry. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_health_register(belfry_health *health,
                                                                belfry_registry *registry);

/* --- what the program tells --- */

/* It is shutting down: not ready from now on, whatever the checks say. */
BELFRY_API void belfry_health_set_stopping(belfry_health *health);
/* A request begins; it ends, and was an error (status 500 and above) or not. About 10 ns. NULL health: nothing. */
BELFRY_API void belfry_health_request_begin(belfry_health *health);
BELFRY_API void belfry_health_request_end(belfry_health *health, bool is_error);
/* Requests that began and did not end. */
BELFRY_API int64_t belfry_health_active_requests(const belfry_health *health);
/* Errors by requests that ended in the last five minutes (to 5 s), 0 to 1; negative when none ended. */
BELFRY_API double belfry_health_error_rate(belfry_health *health);

/* --- answers --- */

/* All checks are up and the program is not stopping. */
BELFRY_API bool belfry_health_is_ready(belfry_health *health);
/* {"status":"healthy","service":"...","version":"...","uptime_seconds":N} and a newline; NUL-terminated (len does not count
 * that), the caller's: belfry_text_free(). BELFRY_ERROR_MEMORY: *out is NULL. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_health_live_text(belfry_health *health, char **out,
                                                                 size_t *len);
/* {"ready":bool,"dependencies":{"disk":bool,...},"uptime_seconds":N,"active_requests":N,"error_rate_last_5m":N or null}
 * and a newline; the same. *ready is what it says: 200 or 503. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_health_ready_text(belfry_health *health, char **out,
                                                                  size_t *len, bool *ready);

#ifdef __cplusplus
}
#endif

#endif
