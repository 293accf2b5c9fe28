/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "instrument/error_rate.h"
#include "instrument/health_private.h"

#include <belfry/health.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000, STEP_MS = 2 };

static _Atomic long later_seconds; /* on the monotonic clock */

int __real_clock_gettime(clockid_t id, struct timespec *t);
int __wrap_clock_gettime(clockid_t id, struct timespec *t);

int __wrap_clock_gettime(clockid_t id, struct timespec *t)
{
    int result = __real_clock_gettime(id, t);
    if (id == CLOCK_MONOTONIC)
        t->tv_sec += later_seconds;
    return result;
}

/* A check that a test leads: it answers, fails, or hangs until it is let go. */
struct led {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool up, hangs;
    int runs, releases;
    const char *reason;
};

static void led_init(struct led *l, bool up)
{
    memset(l, 0, sizeof *l);
    pthread_mutex_init(&l->mutex, NULL);
    pthread_cond_init(&l->changed, NULL);
    l->up = up;
}

static bool led_run(void *arg, char reason[BELFRY_HEALTH_REASON_BYTES])
{
    struct led *l = arg;
    pthread_mutex_lock(&l->mutex);
    l->runs++;
    pthread_cond_broadcast(&l->changed);
    while (l->hangs)
        pthread_cond_wait(&l->changed, &l->mutex);
    bool up = l->up;
    if (l->reason)
        snprintf(reason, BELFRY_HEALTH_REASON_BYTES, "%s", l->reason);
    pthread_mutex_unlock(&l->mutex);
    return up;
}

static void led_release(void *arg)
{
    struct led *l = arg;
    pthread_mutex_lock(&l->mutex);
    l->releases++;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->mutex);
}

static void led_set(struct led *l, bool up, bool hangs, const char *reason)
{
    pthread_mutex_lock(&l->mutex);
    l->up = up;
    l->hangs = hangs;
    l->reason = reason;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->mutex);
}

static void led_wait_runs(struct led *l, int more)
{
    pthread_mutex_lock(&l->mutex);
    int until = l->runs + more;
    while (l->runs < until)
        pthread_cond_wait(&l->changed, &l->mutex);
    pthread_mutex_unlock(&l->mutex);
}

static belfry_health *health_new(belfry_log *log)
{
    belfry_health *h;
    belfry_health_options options = {.service = "im\"g", .version = "1.2", .log = log};
    assert_int_equal(belfry_health_new(&h, &options), BELFRY_OK);
    return h;
}

static void add(belfry_health *h, const char *name, struct led *l, uint32_t interval_ms,
                uint32_t timeout_ms)
{
    belfry_health_check check = {name, led_run, l, led_release, interval_ms, timeout_ms};
    assert_int_equal(belfry_health_add(h, &check), BELFRY_OK);
}

static void pause_step(void)
{
    nanosleep(&(struct timespec){0, STEP_MS * 1000000}, NULL);
}

static void wait_ready(belfry_health *h, bool ready)
{
    for (int ms = 0; belfry_health_is_ready(h) != ready; ms += STEP_MS) {
        assert_true(ms < PATIENCE_MS);
        pause_step();
    }
}

struct found {
    const char *name;
    bool seen, up;
    char reason[BELFRY_HEALTH_REASON_BYTES];
    double last_run_seconds;
};

static void find(void *arg, const belfry_health_result *r)
{
    struct found *f = arg;
    if (strcmp(f->name, r->name) != 0)
        return;
    f->seen = true;
    f->up = r->up;
    f->last_run_seconds = r->last_run_seconds;
    snprintf(f->reason, sizeof f->reason, "%s", r->reason);
}

static struct found result_of(belfry_health *h, const char *name)
{
    struct found f = {.name = name};
    belfry_health_visit(h, find, &f);
    assert_true(f.seen);
    return f;
}

/* Waits until the check says this. */
static void wait_reason(belfry_health *h, const char *name, const char *reason)
{
    for (int ms = 0; strcmp(result_of(h, name).reason, reason) != 0; ms += STEP_MS) {
        if (ms >= PATIENCE_MS)
            fail_msg("\"%s\" and not \"%s\"", result_of(h, name).reason, reason);
        pause_step();
    }
}

/* --- answers --- */

static json_t *ready_json(belfry_health *h, bool expected)
{
    char *text;
    size_t len;
    bool ready;
    assert_int_equal(belfry_health_ready_text(h, &text, &len, &ready), BELFRY_OK);
    assert_int_equal(ready, expected);
    assert_int_equal(strlen(text), len);
    assert_int_equal(text[len - 1], '\n');
    assert_null(strchr(text, ' '));
    json_t *j = json_loads(text, 0, NULL);
    assert_non_null(j);
    belfry_text_free(text);
    return j;
}

/* Puts N where the digits are. */
static void without_uptime(char *text)
{
    char *digits = strstr(text, "\"uptime_seconds\":");
    assert_non_null(digits);
    digits += strlen("\"uptime_seconds\":");
    size_t len = strspn(digits, "0123456789");
    assert_true(len > 0);
    *digits = 'N';
    memmove(digits + 1, digits + len, strlen(digits + len) + 1);
}

/* Keys, their order and their types, as services answer. */
static void answers_have_exactly_their_keys(void **state)
{
    belfry_health *h = health_new(NULL);
    char *text;
    size_t len;
    bool ready;
    assert_int_equal(belfry_health_live_text(h, &text, &len), BELFRY_OK);
    without_uptime(text);
    assert_string_equal(text, "{\"status\":\"healthy\",\"service\":\"im\\\"g\",\"version\":\"1.2\","
                              "\"uptime_seconds\":N}\n");
    belfry_text_free(text);
    assert_int_equal(belfry_health_ready_text(h, &text, &len, &ready), BELFRY_OK);
    without_uptime(text);
    assert_string_equal(
        text, "{\"ready\":true,\"dependencies\":{},\"uptime_seconds\":N,\"active_requests\":0,"
              "\"error_rate_last_5m\":null}\n");
    belfry_text_free(text);

    struct led a, b;
    led_init(&a, true);
    led_init(&b, true);
    add(h, "db", &a, 1, 30000);
    add(h, "queue.main", &b, 1, 30000);
    wait_ready(h, true);
    belfry_health_request_begin(h);
    belfry_health_request_begin(h);
    belfry_health_request_begin(h);
    belfry_health_request_end(h, true);
    belfry_health_request_end(h, false);
    json_t *j = ready_json(h, true);
    static const char *const KEYS[] = {"ready", "dependencies", "uptime_seconds", "active_requests",
                                       "error_rate_last_5m"};
    const char *key;
    json_t *value;
    size_t n = 0;
    json_object_foreach(j, key, value) assert_string_equal(key, KEYS[n++]);
    assert_int_equal(n, 5);
    assert_true(json_is_true(json_object_get(j, "ready")));
    json_t *d = json_object_get(j, "dependencies");
    assert_int_equal(json_object_size(d), 2);
    assert_true(json_is_true(json_object_get(d, "db")));
    assert_true(json_is_true(json_object_get(d, "queue.main")));
    assert_true(json_is_integer(json_object_get(j, "uptime_seconds")));
    assert_int_equal(json_integer_value(json_object_get(j, "active_requests")), 1);
    assert_true(json_number_value(json_object_get(j, "error_rate_last_5m")) == 0.5);
    json_decref(j);

    led_set(&b, false, false, "gone");
    wait_ready(h, false);
    j = ready_json(h, false);
    d = json_object_get(j, "dependencies");
    assert_true(json_is_true(json_object_get(d, "db")));
    assert_true(json_is_false(json_object_get(d, "queue.main")));
    json_decref(j);
    assert_string_equal(result_of(h, "queue.main").reason, "gone");
    assert_string_equal(result_of(h, "db").reason, "");
    led_set(&b, false, false, NULL);
    wait_reason(h, "queue.main", "failed");
    led_set(&b, true, false, NULL);
    wait_ready(h, true);
    belfry_health_set_stopping(h);
    assert_false(belfry_health_is_ready(h));
    j = ready_json(h, false);
    assert_true(json_is_true(json_object_get(json_object_get(j, "dependencies"), "db")));
    json_decref(j);
    belfry_health_free(h);
    assert_int_equal(a.releases, 1);
    assert_int_equal(b.releases, 1);
}

/* One check hangs: it is reported by its own words, the others run on, and no answer waits. */
static void a_hanging_check_fails_alone(void **state)
{
    belfry_health *h = health_new(NULL);
    struct led good, bad;
    led_init(&good, true);
    led_init(&bad, true);
    bad.hangs = true;
    add(h, "good", &good, 1, 30000);
    add(h, "bad", &bad, 1, 20);
    wait_reason(h, "bad", "did not answer in 20 ms");
    led_wait_runs(&good, 5);
    assert_true(result_of(h, "good").up);
    json_t *j = ready_json(h, false), *d = json_object_get(j, "dependencies");
    assert_true(json_is_true(json_object_get(d, "good")));
    assert_true(json_is_false(json_object_get(d, "bad")));
    json_decref(j);
    led_set(&bad, true, false, NULL);
    wait_ready(h, true); /* it answered, and the next run is in time */
    led_set(&bad, true, true, NULL);
    wait_ready(h, false);
    belfry_health_free(h); /* does not wait for it */
    assert_int_equal(good.releases, 1);
    pthread_mutex_lock(&bad.mutex);
    assert_int_equal(bad.releases, 0);
    pthread_mutex_unlock(&bad.mutex);
    led_set(&bad, true, false, NULL);
    pthread_mutex_lock(&bad.mutex);
    while (!bad.releases) /* by its own thread, when it comes back */
        pthread_cond_wait(&bad.changed, &bad.mutex);
    pthread_mutex_unlock(&bad.mutex);
}

static void a_check_counts_as_failed_until_it_ran(void **state)
{
    belfry_health *h = health_new(NULL);
    struct led l;
    led_init(&l, true);
    l.hangs = true;
    add(h, "slow", &l, 1, 30000);
    struct found f = result_of(h, "slow");
    assert_false(f.up);
    assert_string_equal(f.reason, "has not run yet");
    assert_true(f.last_run_seconds == 0);
    assert_false(belfry_health_is_ready(h));
    led_set(&l, true, false, NULL);
    wait_ready(h, true);
    assert_true(result_of(h, "slow").last_run_seconds > 1e9);
    belfry_health_free(h);
}

/* A process that was stopped for an hour does not answer with what it found before. */
static void an_old_answer_is_not_used(void **state)
{
    belfry_health *h = health_new(NULL);
    struct led l;
    led_init(&l, true);
    add(h, "db", &l, 60000, 30000);
    wait_ready(h, true);
    later_seconds = 30;
    assert_true(result_of(h, "db").up);
    later_seconds = 3600;
    struct found f = result_of(h, "db");
    later_seconds = 0;
    assert_false(f.up);
    assert_memory_equal(f.reason, "ran last 36", 11);
    belfry_health_free(h);
}

static void checks_need_a_name_of_their_own(void **state)
{
    static const struct {
        const char *name;
        belfry_status status;
    } CASES[] = {{"", BELFRY_ERROR_NAME},
                 {NULL, BELFRY_ERROR_NAME},
                 {"a b", BELFRY_ERROR_NAME},
                 {"a\"", BELFRY_ERROR_NAME},
                 {"first", BELFRY_ERROR_EXISTS}};
    belfry_health *h = health_new(NULL);
    struct led l, m;
    led_init(&l, true);
    led_init(&m, true);
    add(h, "first", &l, 60000, 30000);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        belfry_health_check check = {CASES[i].name, led_run, &m, led_release, 0, 0};
        assert_int_equal(belfry_health_add(h, &check), CASES[i].status);
        assert_int_equal(m.releases, (int)i + 1);
    }
    char name[BELFRY_HEALTH_NAME_BYTES_MAX + 2];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    belfry_health_check check = {name, led_run, &m, NULL, 60000, 30000};
    assert_int_equal(belfry_health_add(h, &check), BELFRY_ERROR_NAME);
    name[sizeof name - 2] = '\0';
    assert_int_equal(belfry_health_add(h, &check), BELFRY_OK);
    for (int i = 2; i < BELFRY_HEALTH_CHECKS_MAX; i++) {
        snprintf(name, sizeof name, "n%d", i);
        assert_int_equal(belfry_health_add(h, &check), BELFRY_OK);
    }
    snprintf(name, sizeof name, "more");
    assert_int_equal(belfry_health_add(h, &check), BELFRY_ERROR_LIMIT);
    check.run = NULL;
    assert_int_equal(belfry_health_add(h, &check), BELFRY_ERROR_FORMAT);
    belfry_health_free(h);
    belfry_health_options options = {.service = "a"};
    assert_int_equal(belfry_health_new(&h, &options), BELFRY_ERROR_FORMAT);
    assert_null(h);
    belfry_health_free(NULL);
    assert_false(belfry_health_is_ready(NULL));
    belfry_health_request_begin(NULL);
    belfry_health_request_end(NULL, true);
    belfry_health_set_stopping(NULL);
}

static char *exposition(belfry_registry *registry)
{
    char *text;
    size_t len;
    assert_int_equal(belfry_registry_text(registry, &text, &len), BELFRY_OK);
    return text;
}

static void checks_are_shown_as_gauges(void **state)
{
    belfry_registry *registry = belfry_registry_new();
    belfry_health *h = health_new(NULL);
    struct led a, b;
    led_init(&a, true);
    led_init(&b, false);
    add(h, "a", &a, 1, 30000);
    add(h, "b", &b, 1, 30000);
    assert_int_equal(belfry_health_register(h, registry), BELFRY_OK);
    belfry_health_request_begin(h);
    for (int ms = 0; !result_of(h, "a").up; ms += STEP_MS) {
        assert_true(ms < PATIENCE_MS);
        pause_step();
    }
    char *text = exposition(registry);
    assert_non_null(strstr(text, "# TYPE belfry_health_check_up gauge\n"));
    assert_non_null(strstr(text, "belfry_health_check_up{check=\"a\"} 1\n"));
    assert_non_null(strstr(text, "belfry_health_check_up{check=\"b\"} 0\n"));
    assert_non_null(strstr(text, "belfry_health_check_duration_seconds{check=\"a\"} "));
    assert_non_null(strstr(text, "belfry_health_check_last_run_timestamp_seconds{check=\"b\"} "));
    assert_non_null(strstr(text, "belfry_health_ready 0\n"));
    assert_non_null(strstr(text, "belfry_health_active_requests 1\n"));
    belfry_text_free(text);
    belfry_health_free(h);
    text = exposition(registry); /* gone, and the registry knows */
    assert_null(strstr(text, "belfry_health"));
    belfry_text_free(text);
    belfry_registry_free(registry);
}

/* check_failed once when it fails, check_recovered once when it is well again. */
static void changes_are_logged_once(void **state)
{
    char path[] = "/tmp/belfry-health-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    belfry_log_options options = {.fd = fd};
    belfry_log *log = belfry_log_open(&options);
    belfry_health *h = health_new(log);
    struct led l;
    led_init(&l, true);
    add(h, "db", &l, 1, 30000);
    wait_ready(h, true);
    led_set(&l, false, false, "no route");
    wait_ready(h, false);
    led_wait_runs(&l, 3);
    led_set(&l, true, false, NULL);
    wait_ready(h, true);
    led_wait_runs(&l, 3);
    belfry_health_free(h);
    belfry_log_close(log);
    char text[2000] = "";
    assert_true(pread(fd, text, sizeof text - 1, 0) > 0);
    const char *failed =
        strstr(text, "\"level\":\"warn\",\"event\":\"check_failed\",\"check\":\"db\","
                     "\"reason\":\"no route\"}\n");
    assert_non_null(failed);
    const char *recovered =
        strstr(failed, "\"level\":\"info\",\"event\":\"check_recovered\",\"check\":\"db\"}\n");
    assert_non_null(recovered);
    size_t lines = 0;
    for (const char *p = text; (p = strchr(p, '\n')); p++)
        lines++;
    assert_int_equal(lines, 2);
    close(fd);
}

/* In a child nothing is locked and nothing runs: not ready. */
static void health_is_not_ready_after_fork(void **state)
{
    belfry_health *h = health_new(NULL);
    struct led l;
    led_init(&l, true);
    add(h, "db", &l, 1, 30000);
    wait_ready(h, true);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char *text;
        size_t len;
        bool ready = true;
        bool ok = belfry_health_ready_text(h, &text, &len, &ready) == BELFRY_OK && !ready &&
                  strstr(text, "\"db\":false") && !belfry_health_is_ready(h);
        belfry_health_request_begin(h);
        belfry_health_request_end(h, true);
        belfry_health_free(h);
        _exit(ok ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    belfry_health_free(h);
}

/* --- disk --- */

static void disk_looks_at_free_bytes(void **state)
{
    belfry_health *h = health_new(NULL);
    assert_int_equal(belfry_health_add_disk(h, "/", 1), BELFRY_OK);
    wait_reason(h, "disk", "");
    belfry_health_free(h);
    h = health_new(NULL);
    assert_int_equal(belfry_health_add_disk(h, "/", UINT64_MAX), BELFRY_OK);
    for (int ms = 0; strcmp(result_of(h, "disk").reason, "has not run yet") == 0; ms += STEP_MS) {
        assert_true(ms < PATIENCE_MS);
        pause_step();
    }
    struct found f = result_of(h, "disk");
    assert_false(f.up);
    assert_non_null(strstr(f.reason, " bytes are free at \"/\", fewer than 18446744073709551615"));
    belfry_health_free(h);
    h = health_new(NULL);
    char gone[] = "/tmp/belfry-health-XXXXXX", expected[128];
    assert_non_null(mkdtemp(gone));
    assert_int_equal(rmdir(gone), 0);
    assert_int_equal(belfry_health_add_disk(h, gone, 1), BELFRY_OK);
    snprintf(expected, sizeof expected, "could not look at \"%s\": No such file or directory",
             gone);
    wait_reason(h, "disk", expected);
    belfry_health_free(h);
}

/* --- memory --- */

static void put_file(const char *root, const char *path, const char *content)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        (void)mkdir(full, 0755);
        *p = '/';
    }
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    fputs(content, f);
    fclose(f);
}

#define MEMINFO "MemTotal:       1000000 kB\nMemFree:  1 kB\nMemAvailable:    400000 kB\n"

/* Files as kernels show them, and which ratio they mean. */
static void memory_is_that_of_the_group_nearest_to_its_limit(void **state)
{
    static const struct {
        const char *name;
        const char *files[8][2];
        double ratio; /* negative: cannot be told */
        bool is_group;
    } CASES[] = {
        {"host", {{"/proc/meminfo", MEMINFO}}, 0.6, false},
        {"nothing", {{"/proc/other", ""}}, -1, false},
        {"old kernel", {{"/proc/meminfo", "MemTotal: 5 kB\n"}}, -1, false},
        {"v2",
         {{"/proc/meminfo", MEMINFO},
          {"/proc/self/cgroup", "0::/app\n"},
          {"/sys/fs/cgroup/app/memory.max", "1000000\n"},
          {"/sys/fs/cgroup/app/memory.current", "900000\n"},
          {"/sys/fs/cgroup/app/memory.stat", "anon 1\ninactive_file 400000\nactive_file 9\n"}},
         0.5,
         true},
        {"v2 without a limit",
         {{"/proc/meminfo", MEMINFO},
          {"/proc/self/cgroup", "0::/app\n"},
          {"/sys/fs/cgroup/app/memory.max", "max\n"},
          {"/sys/fs/cgroup/app/memory.current", "900000\n"}},
         0.6,
         false},
        {"v2, the parent is nearer",
         {{"/proc/meminfo", MEMINFO},
          {"/proc/self/cgroup", "0::/slice/app\n"},
          {"/sys/fs/cgroup/slice/app/memory.max", "1000000\n"},
          {"/sys/fs/cgroup/slice/app/memory.current", "100000\n"},
          {"/sys/fs/cgroup/slice/memory.max", "500000\n"},
          {"/sys/fs/cgroup/slice/memory.current", "450000\n"}},
         0.9,
         true},
        {"v2 in a container",
         {{"/proc/meminfo", MEMINFO},
          {"/proc/self/cgroup", "0::/../../not-mounted\n"},
          {"/sys/fs/cgroup/memory.max", "1000000\n"},
          {"/sys/fs/cgroup/memory.current", "700000\n"}},
         0.7,
         true},
        {"v2, a limit above the host's memory",
         {{"/proc/meminfo", MEMINFO},
          {"/proc/self/cgroup", "0::/\n"},
          {"/sys/fs/cgroup/memory.max", "2000000000\n"},
          {"/sys/fs/cgroup/memory.current", "700000\n"}},
         0.6,
         false},
        {"v1",
         {{"/proc/meminfo", MEMINFO},
          {"/proc/self/cgroup", "5:cpu,cpuacct:/\n4:memory:/docker/abc\n0::/\n"},
          {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "1000000\n"},
          {"/sys/fs/cgroup/memory/memory.usage_in_bytes", "800000\n"},
          {"/sys/fs/cgroup/memory/memory.stat", "inactive_file 7\ntotal_inactive_file 50000\n"}},
         0.75,
         true},
        {"v1 without a limit",
         {{"/proc/meminfo", MEMINFO},
          {"/proc/self/cgroup", "4:memory:/\n"},
          {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"},
          {"/sys/fs/cgroup/memory/memory.usage_in_bytes", "800000\n"}},
         0.6,
         false},
        {"no sense",
         {{"/proc/meminfo", MEMINFO},
          {"/proc/self/cgroup", "\n:::\n0:\n0::\nmemory\n::/x\n0::x//\n"},
          {"/sys/fs/cgroup/memory.max", "12x\n"}},
         0.6,
         false},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char root[] = "/tmp/belfry-health-XXXXXX", reason[BELFRY_HEALTH_REASON_BYTES];
        char command[64];
        assert_non_null(mkdtemp(root));
        for (size_t f = 0; f < 8 && CASES[i].files[f][0]; f++)
            put_file(root, CASES[i].files[f][0], CASES[i].files[f][1]);
        double ratio = 0;
        uint64_t limit;
        bool is_group = false;
        bool ok = belfry__memory_ratio(root, &ratio, &limit, &is_group, reason);
        if (ok != (CASES[i].ratio >= 0) || (ok && fabs(ratio - CASES[i].ratio) > 1e-9))
            fail_msg("%s: %d %f", CASES[i].name, ok, ratio);
        assert_int_equal(is_group, CASES[i].is_group);
        snprintf(command, sizeof command, "rm -r %s", root);
        FILE *p = popen(command, "r");
        assert_non_null(p);
        pclose(p);
    }
}

static void memory_says_what_it_found(void **state)
{
    char root[] = "/tmp/belfry-health-XXXXXX", command[64];
    assert_non_null(mkdtemp(root));
    put_file(root, "/proc/meminfo", MEMINFO);
    belfry_health *h = health_new(NULL);
    assert_int_equal(belfry_health_add_memory(h, 0.5, root), BELFRY_OK);
    wait_reason(h, "mem", "60.0 % of the host's 1024000000 bytes are in use, not below 50.0 %");
    belfry_health_free(h);
    h = health_new(NULL);
    assert_int_equal(belfry_health_add_memory(h, 0, root), BELFRY_OK);
    wait_ready(h, true);
    belfry_health_free(h);
    snprintf(command, sizeof command, "rm -r %s", root);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    pclose(p);
}

/* --- worker pool --- */

/* A pool that keeps tasks, runs them at once, or refuses. */
struct pool {
    pthread_mutex_t mutex;
    enum { RUNS, KEEPS, REFUSES } mode;
    void (*run)(void *task);
    void *task;
    int submitted;
};

static bool submit(void *arg, void (*run)(void *task), void *task)
{
    struct pool *p = arg;
    pthread_mutex_lock(&p->mutex);
    int mode = p->mode;
    p->submitted += mode != REFUSES;
    p->run = run;
    p->task = task;
    pthread_mutex_unlock(&p->mutex);
    if (mode == RUNS)
        run(task);
    return mode != REFUSES;
}

static void worker_tells_whether_a_task_ran(void **state)
{
    struct pool p = {PTHREAD_MUTEX_INITIALIZER, RUNS, NULL, NULL, 0};
    belfry_health *h = health_new(NULL);
    assert_int_equal(belfry_health_add_worker(h, submit, &p), BELFRY_OK);
    wait_ready(h, true);
    belfry_health_free(h);

    p.mode = REFUSES;
    h = health_new(NULL);
    assert_int_equal(belfry_health_add_worker(h, submit, &p), BELFRY_OK);
    wait_reason(h, "worker", "the worker pool takes no task");
    belfry_health_free(h);

    p.mode = KEEPS;
    p.submitted = 0;
    h = health_new(NULL);
    assert_int_equal(belfry_health_add_worker(h, submit, &p), BELFRY_OK);
    wait_reason(h, "worker", "a task did not run within 1000 ms");
    belfry_health_free(h);
    assert_int_equal(p.submitted, 1);
    p.run(p.task); /* long after the check is gone */
}

/* --- the rate of errors --- */

static void error_rate_forgets_after_five_minutes(void **state)
{
    static const struct {
        int64_t at_s;
        int ok, errors; /* ended then */
        double rate;    /* asked then */
    } CASES[] = {
        {1000, 0, 0, -1},    {1000, 3, 1, 0.25}, {1004, 0, 0, 0.25}, {1100, 4, 0, 0.125},
        {1299, 0, 0, 0.125}, {1305, 0, 0, 0},    {1306, 0, 1, 0.2},  {1399, 0, 0, 0.2},
        {1405, 0, 0, 1},     {1700, 0, 0, -1},   {99999, 0, 0, -1},  {100000, 1, 1, 0.5},
    };
    struct error_rate r;
    belfry__error_rate_init(&r);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        for (int n = 0; n < CASES[i].ok; n++)
            belfry__error_rate_add(&r, CASES[i].at_s, false);
        for (int n = 0; n < CASES[i].errors; n++)
            belfry__error_rate_add(&r, CASES[i].at_s, true);
        double rate = belfry__error_rate_get(&r, CASES[i].at_s);
        if (fabs(rate - CASES[i].rate) > 1e-12)
            fail_msg("at %d s: %f and not %f", (int)CASES[i].at_s, rate, CASES[i].rate);
    }
    belfry__error_rate_deinit(&r);
}

/* Against a list of everything, at random times. */
static void error_rate_agrees_with_a_plain_list(void **state)
{
    enum { EVENTS = 3000 };
    static struct {
        int64_t at_s;
        bool is_error;
    } list[EVENTS];
    unsigned seed = 11;
    struct error_rate r;
    belfry__error_rate_init(&r);
    int64_t now_s = 50;
    for (int i = 0; i < EVENTS; i++) {
        now_s += rand_r(&seed) % 40 == 0 ? rand_r(&seed) % 500 : rand_r(&seed) % 3;
        list[i].at_s = now_s;
        list[i].is_error = rand_r(&seed) % 4 == 0;
        belfry__error_rate_add(&r, now_s, list[i].is_error);
        int64_t asked_s = now_s + rand_r(&seed) % 20;
        int total = 0, errors = 0;
        for (int n = 0; n <= i; n++) {
            if (list[n].at_s / RATE_SLOT_SECONDS <= asked_s / RATE_SLOT_SECONDS - RATE_SLOTS)
                continue;
            total++;
            errors += list[n].is_error;
        }
        double expected = total ? (double)errors / total : -1;
        assert_true(fabs(belfry__error_rate_get(&r, asked_s) - expected) < 1e-12);
    }
    belfry__error_rate_deinit(&r);
}

enum { STRESS_THREADS = 4, STRESS_REQUESTS = 20000 };

static void *end_requests(void *arg)
{
    for (int i = 0; i < STRESS_REQUESTS; i++) {
        belfry_health_request_begin(arg);
        belfry_health_request_end(arg, i % 2 == 0);
    }
    return NULL;
}

static void *ask(void *arg)
{
    for (int i = 0; i < 300; i++) {
        char *text;
        size_t len;
        bool ready;
        if (belfry_health_ready_text(arg, &text, &len, &ready) == BELFRY_OK)
            belfry_text_free(text);
    }
    return NULL;
}

/* Requests, answers and checks at once. */
static void health_is_asked_by_many_threads(void **state)
{
    belfry_health *h = health_new(NULL);
    struct led l;
    led_init(&l, true);
    add(h, "db", &l, 1, 30000);
    pthread_t threads[STRESS_THREADS + 1];
    for (int i = 0; i < STRESS_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, end_requests, h), 0);
    assert_int_equal(pthread_create(&threads[STRESS_THREADS], NULL, ask, h), 0);
    for (int i = 0; i <= STRESS_THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(belfry_health_active_requests(h), 0);
    assert_true(belfry_health_error_rate(h) == 0.5);
    belfry_health_free(h);
}

static void what_is_wrong_is_told(void **state)
{
    (void)state;
    belfry_health *h = NULL;
    char *text;
    size_t len;
    bool ready;
    assert_int_equal(belfry_health_live_text(NULL, &text, &len), BELFRY_ERROR_NULL);
    assert_int_equal(belfry_health_ready_text(NULL, &text, &len, &ready), BELFRY_ERROR_NULL);
    assert_int_equal(belfry_health_new(&h, NULL), BELFRY_ERROR_NULL);
    assert_int_equal(belfry_health_new(NULL, NULL), BELFRY_ERROR_NULL);
    assert_int_equal(belfry_health_new(&h, &(belfry_health_options){.service = "s"}),
                     BELFRY_ERROR_FORMAT);
    assert_string_equal(belfry_last_error(), "health has no version");
    assert_int_equal(belfry_health_register(NULL, NULL), BELFRY_ERROR_FORMAT);
    assert_string_equal(belfry_last_error(), "there is no health to register");
    assert_int_equal(belfry_health_add(NULL, NULL), BELFRY_ERROR_NULL);
    assert_int_equal(belfry_health_add_disk(NULL, NULL, 0), BELFRY_ERROR_NULL);
    assert_int_equal(belfry_health_add(NULL, &(belfry_health_check){.name = "a b"}),
                     BELFRY_ERROR_NAME);
    assert_string_equal(belfry_last_error(),
                        "health check \"a b\": its name must be 1 to 64 letters, digits, dots, "
                        "dashes or underscores");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_have_exactly_their_keys),
        cmocka_unit_test(a_hanging_check_fails_alone),
        cmocka_unit_test(a_check_counts_as_failed_until_it_ran),
        cmocka_unit_test(an_old_answer_is_not_used),
        cmocka_unit_test(checks_need_a_name_of_their_own),
        cmocka_unit_test(checks_are_shown_as_gauges),
        cmocka_unit_test(changes_are_logged_once),
        cmocka_unit_test(health_is_not_ready_after_fork),
        cmocka_unit_test(disk_looks_at_free_bytes),
        cmocka_unit_test(memory_is_that_of_the_group_nearest_to_its_limit),
        cmocka_unit_test(memory_says_what_it_found),
        cmocka_unit_test(worker_tells_whether_a_task_ran),
        cmocka_unit_test(error_rate_forgets_after_five_minutes),
        cmocka_unit_test(error_rate_agrees_with_a_plain_list),
        cmocka_unit_test(health_is_asked_by_many_threads),
        cmocka_unit_test(what_is_wrong_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
