/* SPDX-License-Identifier: Apache-2.0 */
/* alert_kill.c: a child sets and expires silences, acknowledges and takes it back, lets alerts fire and notes what was sent of
 * them, and tells through a pipe what it was told is kept; the parent kills it with SIGKILL at a random moment, opens the
 * state and looks: all of that is there, and of each alert of which something was sent the episode is there too.
 *
 * Kills: 10 times TEST_SCALE, the seed is printed (TEST_SEED repeats it). */
#include "alerting/acknowledgement.h"
#include "alerting/alert_state.h"
#include "alerting/silence.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KILL_AFTER_MS_MAX = 300, KEYS = 16, THINGS_MAX = 1 << 20 };
#define SECOND INT64_C(1000000000)
#define NOW (INT64_C(1700000000) * SECOND)
#define FAR (INT64_C(4000000000) * SECOND)

/* What happens to a thing; those that begin and have not ended when the child dies may have happened or not. */
enum report_kind { SET, EXPIRE_BEGINS, EXPIRED, ACKED, UNACK_BEGINS, UNACKED, SENT };

struct report {
    enum report_kind kind;
    uint64_t number; /* of the acknowledgement; SENT: all up to this one are kept */
    char id[SILENCE_ID_BYTES];
};

struct told {
    struct report *silences, *acks;
    size_t silence_count, ack_count;
    uint64_t sent;
    uint64_t reports;
};

static void die(const char *what, const struct error *err)
{
    fprintf(stderr, "alert_kill: %s: %s\n", what, err ? err->message : "");
    exit(1);
}

static struct alert_state *open_state(const char *dir)
{
    struct error err;
    struct alert_state *s;
    struct alert_state_options o = {.dir = dir};
    if (!alert_state_open(&s, &o, &err))
        die("open", &err);
    return s;
}

static void report(int out, enum report_kind kind, uint64_t number, struct view id)
{
    struct report r = {.kind = kind, .number = number};
    if (id.len == sizeof r.id)
        memcpy(r.id, id.ptr, sizeof r.id);
    if (write(out, &r, sizeof r) != (ssize_t)sizeof r)
        _exit(0);
}

static struct live_alert *alert_of(uint64_t number)
{
    char text[24];
    struct label label = {VIEW("n"), {text, 0}};
    label.value.len = (size_t)snprintf(text, sizeof text, "%" PRIu64, number);
    struct live_alert a = {
        .labels = {&label, 1}, .starts_ns = NOW, .ends_ns = LIVE_ALERT_NEVER, .updated_ns = NOW};
    return live_alert_new(&a);
}

static struct notification_key key_of(uint64_t number)
{
    return (struct notification_key){VIEW("{}:{}"), VIEW("team"), VIEW("webhook"), number % KEYS};
}

/* An alert fires, and it is told of. */
static void fire_and_send(struct alert_state *s, uint64_t number)
{
    struct live_alert *a = alert_of(number);
    struct notification_key key = key_of(number);
    struct notification_entry e = {.sent_ns = (int64_t)number,
                                   .expires_ns = FAR,
                                   .firing = &a->fingerprint,
                                   .firing_count = 1};
    alert_history_alert(s, ALERT_FIRED, a);
    notification_log_put(s, &key, &e);
    live_alert_unref(a);
}

static void change_silence(struct alert_state *s, struct arena *arena, uint64_t n, int out)
{
    struct error err;
    struct view id;
    struct matcher m = {.type = MATCH_EQUAL, .name = VIEW("a"), .value = VIEW("b")};
    struct silence in = {.matchers = &m, .matcher_count = 1, .starts_ns = NOW, .ends_ns = FAR};
    if (!silence_set(s, arena, &in, NOW, &id, NULL, &err))
        die("silence", &err);
    report(out, SET, 0, id);
    if (n % 4 != 0)
        return;
    report(out, EXPIRE_BEGINS, 0, id);
    if (!silence_expire(s, id, NOW + 1, &err))
        die("expire", &err);
    report(out, EXPIRED, 0, id);
}

static void change_ack(struct alert_state *s, uint64_t n, int out)
{
    struct error err;
    struct acknowledgement ack = {.fingerprint = n,
                                  .starts_ns = NOW,
                                  .owner = VIEW("ann"),
                                  .at_ns = clock_wall().ms * 1000000,
                                  .expires_ns = LIVE_ALERT_NEVER};
    if (!acknowledge(s, &ack, &err))
        die("acknowledge", &err);
    report(out, ACKED, n, VIEW(""));
    if (n % 5 != 0)
        return;
    report(out, UNACK_BEGINS, n, VIEW(""));
    if (!unacknowledge(s, n, NOW, NOW + 1, &err))
        die("unacknowledge", &err);
    report(out, UNACKED, n, VIEW(""));
}

static void child(const char *dir, uint64_t from, int out)
{
    struct alert_state *s = open_state(dir);
    struct arena arena;
    arena_init(&arena, MEM_OTHER, 0);
    for (uint64_t n = from;; n++) {
        struct alert_state_stats stats;
        fire_and_send(s, n);
        if (n % 3 == 0)
            change_silence(s, &arena, n, out);
        if (n % 3 == 1)
            change_ack(s, n, out);
        alert_state_stats(s, &stats);
        if (stats.pending_writes == 0)
            report(out, SENT, n, VIEW(""));
        arena_reset(&arena);
    }
}

static void note(struct told *t, const struct report *r)
{
    t->reports++;
    if (r->kind == SENT) {
        t->sent = r->number;
    } else if (r->kind <= EXPIRED) {
        if (r->kind == SET)
            t->silence_count++;
        t->silences[t->silence_count - 1] = *r;
    } else {
        if (r->kind == ACKED)
            t->ack_count++;
        t->acks[t->ack_count - 1] = *r;
    }
    if (t->silence_count == THINGS_MAX || t->ack_count == THINGS_MAX)
        die("too many things", NULL);
}

/* Takes reports until the deadline, so that the child is never held up by a full pipe. */
static void take_reports(int fd, mono_time until, struct told *t)
{
    for (;;) {
        struct report r;
        struct pollfd wanted = {.fd = fd, .events = POLLIN};
        int64_t left = (until.ns - clock_mono().ns) / 1000000;
        if (left <= 0 || poll(&wanted, 1, (int)left) <= 0 ||
            read(fd, &r, sizeof r) != (ssize_t)sizeof r)
            return;
        note(t, &r);
    }
}

static void one_life(const char *dir, uint64_t from, uint64_t kill_after_ms, struct told *t)
{
    int fds[2], status;
    struct report r;
    if (pipe(fds) != 0)
        die("pipe", NULL);
    pid_t pid = fork();
    if (pid < 0)
        die("fork", NULL);
    if (pid == 0) {
        close(fds[0]);
        child(dir, from, fds[1]);
    }
    close(fds[1]);
    /* The clock starts with the first report, so that each life reaches the changes. */
    if (read(fds[0], &r, sizeof r) == (ssize_t)sizeof r) {
        note(t, &r);
        take_reports(fds[0], mono_add_ms(clock_mono(), (int64_t)kill_after_ms), t);
    }
    kill(pid, SIGKILL);
    while (read(fds[0], &r, sizeof r) == (ssize_t)sizeof r)
        note(t, &r);
    close(fds[0]);
    if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
        die("the child ended by itself", NULL);
}

static void check_silences(struct alert_state *s, struct arena *arena, const struct told *t)
{
    for (size_t i = 0; i < t->silence_count; i++) {
        const struct report *r = &t->silences[i];
        struct silence got;
        if (!silence_get(s, arena, (struct view){r->id, sizeof r->id}, NOW + 10, &got))
            die("a silence that was set is missing", NULL);
        if ((r->kind == SET && got.state != SILENCE_ACTIVE) ||
            (r->kind == EXPIRED && got.state != SILENCE_EXPIRED))
            die("a silence is not in its state", NULL);
    }
}

static void check_acks(struct alert_state *s, const struct told *t)
{
    for (size_t i = 0; i < t->ack_count; i++) {
        const struct report *r = &t->acks[i];
        bool is = alert_state_acknowledged(s, r->number, NOW, NOW + 10);
        if ((r->kind == ACKED && !is) || (r->kind == UNACKED && is))
            die("an acknowledgement is not in its state", NULL);
    }
}

struct open_alerts {
    bool *is_open; /* by number */
    uint64_t highest;
};

static void note_open(void *arg, const struct live_alert *a, bool is_over)
{
    struct open_alerts *o = arg;
    uint64_t n = strtoull(labels_get(a->labels, VIEW("n")).ptr, NULL, 10);
    if (n < THINGS_MAX && !is_over)
        o->is_open[n] = true;
    if (n > o->highest)
        o->highest = n;
}

/* What was sent is known up to what the child was told; whatever is known, its alert is too. Returns the highest number. */
static uint64_t check_sent(struct alert_state *s, struct arena *arena, const struct told *t)
{
    struct open_alerts o = {.is_open = calloc(THINGS_MAX, sizeof(bool))};
    alert_history_resume(s, note_open, &o);
    for (uint64_t k = 0; k < KEYS; k++) {
        struct notification_key key = key_of(k);
        struct notification_entry e;
        uint64_t expected = t->sent; /* the last of this key up to it */
        while (expected > 0 && expected % KEYS != k)
            expected--;
        if (!notification_log_get(s, arena, &key, NOW, &e)) {
            if (expected > 0)
                die("what was sent is missing", NULL);
            continue;
        }
        if ((uint64_t)e.sent_ns < expected)
            die("what was sent last is missing", NULL);
        if (!o.is_open[e.sent_ns])
            die("an alert that was told of is missing", NULL);
    }
    free(o.is_open);
    return o.highest;
}

int main(void)
{
    const char *scale = getenv("TEST_SCALE"), *fixed = getenv("TEST_SEED"), *tmp = getenv("TMPDIR");
    int kills = 10 * (scale ? (int)strtol(scale, NULL, 10) : 1);
    uint64_t seed = fixed ? strtoull(fixed, NULL, 10) : (uint64_t)clock_mono().ns, next = 1;
    struct told told = {.silences = calloc(THINGS_MAX, sizeof(struct report)),
                        .acks = calloc(THINGS_MAX, sizeof(struct report))};
    struct random random;
    struct arena arena;
    struct error err;
    char dir[256];
    printf("seed %" PRIu64 "\n", seed);
    random_seed(&random, seed);
    arena_init(&arena, MEM_OTHER, 0);
    snprintf(dir, sizeof dir, "%s/belfry-alert-kill-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir))
        die("mkdtemp", NULL);
    for (int i = 0; i < kills; i++) {
        one_life(dir, next, random_below(&random, KILL_AFTER_MS_MAX), &told);
        struct alert_state *s = open_state(dir);
        if (alert_state_fault(s, &arena).len > 0)
            die(alert_state_fault(s, &arena).ptr, NULL);
        check_silences(s, &arena, &told);
        check_acks(s, &told);
        next = check_sent(s, &arena, &told) + 1;
        alert_state_close(s);
        arena_reset(&arena);
        printf("kill %d: %" PRIu64 " reports, %zu silences, %zu acknowledgements, sent %" PRIu64
               "\n",
               i, told.reports, told.silence_count, told.ack_count, told.sent);
    }
    if (!dir_remove(dir, &err))
        die("remove", &err);
    arena_deinit(&arena);
    free(told.silences);
    free(told.acks);
    return 0;
}
