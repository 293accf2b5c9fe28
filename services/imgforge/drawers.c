/* SPDX-License-Identifier: Apache-2.0 */
/* drawers.c: see drawers.h.
 *
 * posix_spawn() and never fork(): threads of the server hold locks that a forked copy would have for ever. A drawer gets nothing of the server but one end
 * of a socket, as its standard input, stderr, and the few variables of the environment that fonts and languages are looked up by: no keys, no
 * connections, no log. It ends by itself when the other end of its socket is closed, however the server ends. */
#include "drawers.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/thread.h"
#include "drawing_order.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    /* How late a drawing that is given up is killed at most. */
    CANCEL_MS = 20,
    /* What librsvg, poppler and fontconfig forget to free ends with the process. Chosen, not measured. */
    DRAWINGS_MAX = 1000,
    VARIABLES_MAX = 24
};

struct drawer {
    pid_t pid;
    int fd;
    unsigned drawings;
    bool has_spoken;
    struct drawer *next; /* idle */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards all of these */
static const char *program;
static struct drawer *idle; /* last used first: it is the warmest */
static unsigned idle_count, idle_max;

void drawers_start(const char *path)
{
    mutex_lock(&mutex);
    ASSERT(idle == NULL);
    /* Where it is ignored, which survives exec, the kernel takes children that end, and gives their ids to others. */
    (void)signal(SIGCHLD, SIG_DFL); /* fails only for what is no signal */
    program = path;
    idle_max = thread_cpu_count();
    mutex_unlock(&mutex);
}

/* --- the end of one --- */

enum { STATUS_UNKNOWN = -1 };

/* Kills it, where it has not ended. How it ended is what waitpid() says. */
static int end(struct drawer *d)
{
    int status = 0;
    pid_t ended;
    (void)kill(d->pid, SIGKILL); /* our child, not waited for: the id is nobody else's */
    while ((ended = waitpid(d->pid, &status, 0)) < 0 && errno == EINTR)
        ;
    (void)close(d->fd); /* a socket: nothing is lost */
    mem_free(MEM_OTHER, d);
    return ended < 0 ? STATUS_UNKNOWN : status;
}

void drawers_kill(struct drawer *d)
{
    (void)end(d); /* it is known why */
}

static bool fail_cancelled(struct drawer *d, struct image_failure *f)
{
    drawers_kill(d);
    return image_fail(f, 408, "Request Timeout");
}

/* Its end of the socket is closed. It is about to end, and killed where it only closed it. */
static bool fail_ended(struct drawer *d, struct image_failure *f)
{
    bool has_spoken = d->has_spoken;
    int status = end(d);
    image_fail(f, 400, "Failed to decode source image");
    f->is_drawers = true;
    if (status == STATUS_UNKNOWN)
        return image_fail_cause(f, "the process that drew it ended");
    if (WIFEXITED(status) && !has_spoken) {
        image_fail(f, 500, "Image operation failed"); /* it could not start */
        f->is_drawers = true;
        return image_fail_cause(f, "no process to draw with: it ended with status %d",
                                WEXITSTATUS(status));
    }
    if (WIFSIGNALED(status))
        return image_fail_cause(f, "the process that drew it was ended by signal %d (%s)",
                                WTERMSIG(status), strsignal(WTERMSIG(status)));
    return image_fail_cause(f, "the process that drew it ended with status %d",
                            WEXITSTATUS(status));
}

void drawers_stop(void)
{
    mutex_lock(&mutex);
    struct drawer *all = idle;
    idle = NULL;
    idle_count = 0;
    mutex_unlock(&mutex);
    while (all) {
        struct drawer *next = all->next;
        drawers_kill(all);
        all = next;
    }
}

/* --- the beginning of one --- */

/* Where fonts are and in what language; how sanitizers report. */
static bool is_passed_on(const char *variable)
{
    static const char *const NAMES[] = {"HOME=",
                                        "PATH=",
                                        "LANG=",
                                        "LANGUAGE=",
                                        "LC_ALL=",
                                        "LC_CTYPE=",
                                        "LC_NUMERIC=",
                                        "LC_MESSAGES=",
                                        "TZ=",
                                        "TMPDIR=",
                                        "XDG_DATA_HOME=",
                                        "XDG_DATA_DIRS=",
                                        "XDG_CACHE_HOME=",
                                        "XDG_CONFIG_HOME=",
                                        "FONTCONFIG_FILE=",
                                        "FONTCONFIG_PATH=",
                                        "FONTCONFIG_SYSROOT=",
                                        "LD_LIBRARY_PATH=",
                                        "ASAN_OPTIONS=",
                                        "UBSAN_OPTIONS=",
                                        "LSAN_OPTIONS=",
                                        "TSAN_OPTIONS="};
    static_assert(ARRAY_COUNT(NAMES) < VARIABLES_MAX, "the last one is NULL");
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++)
        if (strncmp(variable, NAMES[i], strlen(NAMES[i])) == 0)
            return true;
    return false;
}

extern char **environ;

static void environment(char *out[VARIABLES_MAX])
{
    size_t count = 0;
    for (char **at = environ; *at && count + 1 < VARIABLES_MAX; at++)
        if (is_passed_on(*at))
            out[count++] = *at;
    out[count] = NULL;
}

/* A terminal's Ctrl-C and a supervisor's SIGTERM reach all processes: drawers leave the group, and block what ends the server, which may still wait for them. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGHUP);
    int code = posix_spawnattr_setsigmask(attributes, &blocked);
    if (code == 0)
        code = posix_spawnattr_setpgroup(attributes, 0);
    if (code == 0)
        code = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    return code;
}

static int set_files(posix_spawn_file_actions_t *files, int fd)
{
    int code = posix_spawn_file_actions_adddup2(files, fd, STDIN_FILENO);
    if (code == 0) /* the server's is its log */
        code = posix_spawn_file_actions_addopen(files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (code == 0)
        code = posix_spawn_file_actions_addclosefrom_np(files, STDERR_FILENO + 1);
    return code;
}

static int spawn(const char *path, int fd, pid_t *pid)
{
    static char name[] = "imgforge", word[] = DRAWER_COMMAND;
    char *argv[] = {name, word, NULL}, *variables[VARIABLES_MAX];
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t files;
    environment(variables);
    int code = posix_spawnattr_init(&attributes);
    if (code)
        return code;
    code = posix_spawn_file_actions_init(&files);
    if (code == 0) {
        code = set_attributes(&attributes);
        if (code == 0)
            code = set_files(&files, fd);
        if (code == 0)
            code = posix_spawn(pid, path, &files, &attributes, argv, variables);
        (void)posix_spawn_file_actions_destroy(&files); /* cannot fail */
    }
    (void)posix_spawnattr_destroy(&attributes); /* cannot fail */
    return code;
}

static bool start(const char *path, struct drawer **out, struct image_failure *f)
{
    int ends[2], code = 0;
    pid_t pid = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        code = errno;
    } else {
        code = spawn(path, ends[1], &pid);
        (void)close(ends[1]); /* a socket: nothing is lost */
        if (code)
            (void)close(ends[0]); /* as well */
    }
    if (code) {
        image_fail(f, 500, "Image operation failed");
        return image_fail_cause(f, "no process to draw with: %s", strerror(code));
    }
    *out = mem_alloc_zero(MEM_OTHER, 1, sizeof(**out));
    **out = (struct drawer){.pid = pid, .fd = ends[0]};
    return true;
}

/* --- leases --- */

/* Whoever is idle says nothing and has read what it was told: one that speaks, hung up or leaves much unread was killed by somebody or is not ours any more. */
static bool is_sound(const struct drawer *d)
{
    struct pollfd p = {.fd = d->fd, .events = POLLIN | POLLOUT};
    return poll(&p, 1, 0) == 1 && p.revents == POLLOUT;
}

bool drawer_was_used(const struct drawer *d)
{
    return d->drawings > 1;
}

bool drawers_acquire(struct drawer **out, bool is_new, struct image_failure *f)
{
    *out = NULL;
    for (;;) {
        mutex_lock(&mutex);
        const char *path = program;
        struct drawer *d = is_new ? NULL : idle;
        if (d) {
            idle = d->next;
            idle_count--;
        }
        mutex_unlock(&mutex);
        ASSERT(path != NULL);
        if (!d && !start(path, &d, f))
            return false;
        if (d->drawings == 0 || is_sound(d)) {
            d->drawings++;
            *out = d;
            return true;
        }
        drawers_kill(d);
    }
}

void drawers_release(struct drawer *d)
{
    mutex_lock(&mutex);
    bool is_kept = d->drawings < DRAWINGS_MAX && idle_count < idle_max;
    if (is_kept) {
        d->next = idle;
        idle = d;
        idle_count++;
    }
    mutex_unlock(&mutex);
    if (!is_kept)
        drawers_kill(d);
}

void drawers_release_with(struct drawer *d, const void *words, size_t len)
{
    if (send(d->fd, words, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len)
        drawers_release(d);
    else
        drawers_kill(d);
}

/* --- talk --- */

enum step { STEP_READY, STEP_CANCELLED, STEP_ENDED };

/* Waits until it can take or give bytes. */
static enum step await(const struct drawer *d, short events, const atomic_bool *cancel)
{
    for (;;) {
        struct pollfd p = {.fd = d->fd, .events = events};
        if (cancel && atomic_load_explicit(cancel, memory_order_relaxed))
            return STEP_CANCELLED;
        int count = poll(&p, 1, CANCEL_MS);
        if (count > 0) /* hung up: the call that follows says so */
            return STEP_READY;
        if (count < 0 && errno != EINTR)
            return STEP_ENDED;
    }
}

/* What send() and recv() returned. */
static bool advance(ssize_t n, size_t *done)
{
    if (n > 0)
        *done += (size_t)n;
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR));
}

static bool fail(struct drawer *d, enum step step, struct image_failure *f)
{
    return step == STEP_CANCELLED ? fail_cancelled(d, f) : fail_ended(d, f);
}

bool drawer_send(struct drawer *d, const void *bytes, size_t len, const atomic_bool *cancel,
                 struct image_failure *f)
{
    for (size_t done = 0; done < len;) {
        enum step step = await(d, POLLOUT, cancel);
        if (step != STEP_READY || !advance(send(d->fd, (const char *)bytes + done, len - done,
                                                MSG_DONTWAIT | MSG_NOSIGNAL),
                                           &done))
            return fail(d, step, f);
    }
    return true;
}

bool drawer_receive(struct drawer *d, void *to, size_t len, const atomic_bool *cancel,
                    struct image_failure *f)
{
    for (size_t done = 0; done < len;) {
        enum step step = await(d, POLLIN, cancel);
        bool ok = step == STEP_READY &&
                  advance(recv(d->fd, (char *)to + done, len - done, MSG_DONTWAIT), &done);
        d->has_spoken |= done > 0;
        if (!ok)
            return fail(d, step, f);
    }
    return true;
}
