/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox_check.c: tries what must not work, and what must, in a process that is confined as the server is. */
#include "base/assert.h"
#include "base/file.h"
#include "base/thread.h"
#include "server/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static char inside[64], outside[96]; /* the folder that may be written, a file that may not */

static bool can_create(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    (void)close(fd); /* nothing was written */
    (void)unlink(path);
    return true;
}

static bool writes_inside(void)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/new", inside);
    return can_create(path);
}

static bool writes_outside(void)
{
    return can_create(outside);
}

static bool reads_elsewhere(void)
{
    int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        (void)close(fd); /* only read */
    return fd >= 0;
}

static void *do_nothing(void *arg)
{
    return arg;
}

static bool makes_threads(void)
{
    pthread_t thread;
    struct error err;
    if (!thread_start(&thread, "check", do_nothing, NULL, &err))
        return false;
    thread_join(thread);
    return true;
}

static bool resolves_names(void)
{
    struct addrinfo *found = NULL;
    if (getaddrinfo("localhost", "80", NULL, &found) != 0)
        return false;
    freeaddrinfo(found);
    return true;
}

static bool makes_processes(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    if (child > 0)
        (void)waitpid(child, NULL, 0);
    return child > 0;
}

/* Comes back only when it is refused. */
static bool runs_programs(void)
{
    char program[] = "/bin/true";
    char *argv[] = {program, NULL}, *env[] = {NULL};
    (void)execve(program, argv, env);
    return errno != EACCES && errno != ENOSYS;
}

static bool traces(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0;
}

static bool opens_raw_sockets(void)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        (void)close(fd);
    return fd >= 0 ||
           errno != ENOSYS; /* without the sandbox: allowed, or refused for lack of a right */
}

static bool maps_code_to_write(void)
{
    void *page =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return false;
    (void)munmap(page, 4096);
    return true;
}

static const struct {
    const char *what;
    bool must_work;
    enum {
        BY_FILES,
        BY_PROGRAMS,
        BY_CALLS
    } by; /* Landlock sees to the first two, seccomp to the third */
    bool (*works)(void);
} PROMISES[] = {
    {"writes in the data folder", true, BY_FILES, writes_inside},
    {"reads files elsewhere", true, BY_FILES, reads_elsewhere},
    {"starts threads", true, BY_CALLS, makes_threads},
    {"resolves names", true, BY_CALLS, resolves_names},
    {"writes elsewhere", false, BY_FILES, writes_outside},
    {"runs programs", false, BY_PROGRAMS, runs_programs},
    {"makes processes", false, BY_CALLS, makes_processes},
    {"traces", false, BY_CALLS, traces},
    {"opens raw sockets", false, BY_CALLS, opens_raw_sockets},
    {"has memory to write and run", false, BY_CALLS, maps_code_to_write},
};

static bool try_all(FILE *out, const struct sandbox *s)
{
    bool all = true;
    for (size_t i = 0; i < ARRAY_COUNT(PROMISES); i++) {
        bool in_force = PROMISES[i].by == BY_FILES      ? s->files
                        : PROMISES[i].by == BY_PROGRAMS ? s->programs
                                                        : s->calls;
        if (!PROMISES[i].must_work && !in_force) {
            fprintf(out, "  not prevented   %s\n", PROMISES[i].what);
            all = false;
            continue;
        }
        bool works = PROMISES[i].works();
        bool holds = works == PROMISES[i].must_work;
        fprintf(out, "  %-15s %s%s\n", works ? "works" : "refused", PROMISES[i].what,
                holds ? "" : "   <- NOT as promised");
        all = all && holds;
    }
    return all;
}

static bool confine_and_try(FILE *out)
{
    struct sandbox s = {0};
    const char *const folders[] = {inside};
    sandbox_files(&s, folders, 1);
    sandbox_calls(&s);
    fprintf(out, "files: %s%s\ncalls: %s%s\n", s.files ? "" : "NOT confined: ", s.files_text,
            s.calls ? "" : "NOT confined: ", s.calls_text);
    return try_all(out, &s);
}

/* In a child: this process still has the folder to remove. */
bool sandbox_check(FILE *out)
{
    int status = 0;
    (void)snprintf(inside, sizeof inside, "/tmp/belfry-sandbox-XXXXXX");
    if (mkdtemp(inside) == NULL) {
        fprintf(out, "could not make a folder in /tmp: %s\n", strerror(errno));
        return false;
    }
    (void)snprintf(outside, sizeof outside, "%s.outside", inside);
    (void)fflush(out); /* what is buffered is not to be written twice */
    pid_t child = fork();
    if (child == 0) {
        bool all = confine_and_try(out);
        (void)fflush(out);
        _exit(all ? 0 : 1);
    }
    bool ok = child > 0 && waitpid(child, &status, 0) == child;
    (void)rmdir(inside); /* empty */
    return ok && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
