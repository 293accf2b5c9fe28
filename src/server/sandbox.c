/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox.c: see sandbox.h.
 *
 * Reading is allowed everywhere: a reload may name a file anywhere, and files that hold secrets are for the owner's
 * mode to keep. Calls that are not on the list fail with ENOSYS, not with a signal: libraries take it as an old
 * kernel and fall back (pthread_create() to clone(), whose flags can be looked at where those of clone3() cannot). */
#include "server/sandbox.h"

#include "base/assert.h"
#include "base/sanitizer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- Landlock ---- */

/* Later than the headers of Debian 12; the kernel says by its version what it knows. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif

/* Version 1 forbids to move a file to another folder, which a block needs at its birth. */
enum { LANDLOCK_VERSION_MIN = 2 };

#define WRITES                                                                                     \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                               \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |  \
     LANDLOCK_ACCESS_FS_REFER)
#define NEVER                                                                                      \
    (LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |  \
     LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

static bool allow_path(int ruleset, const char *path, __u64 access)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = access};
    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return errno == ENOENT; /* nothing there to write to */
    long code = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    (void)close(rule.parent_fd); /* a path only */
    return code == 0;
}

static void text_errno(char out[SANDBOX_TEXT_BYTES], const char *what)
{
    (void)snprintf(out, SANDBOX_TEXT_BYTES, "%s: %s", what, strerror(errno));
}

void sandbox_files(struct sandbox *s, const char *const *folders, size_t count)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    s->files = false;
    if (version < LANDLOCK_VERSION_MIN) {
        (void)snprintf(s->files_text, SANDBOX_TEXT_BYTES,
                       version < 0 ? "the kernel has no Landlock, or it is switched off"
                                   : "the kernel's Landlock is version %ld, 2 is needed",
                       version);
        return;
    }
    __u64 writes = WRITES | (version >= 3 ? LANDLOCK_ACCESS_FS_TRUNCATE : 0);
    struct landlock_ruleset_attr attr = {
        .handled_access_fs = writes | NEVER | (HAS_SANITIZER ? 0 : LANDLOCK_ACCESS_FS_EXECUTE) |
                             (version >= 5 ? LANDLOCK_ACCESS_FS_IOCTL_DEV : 0)};
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (ruleset < 0) {
        text_errno(s->files_text, "Landlock refused the rules");
        return;
    }
    bool ok = allow_path(ruleset, "/dev/null",
                         writes & (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE));
    for (size_t i = 0; ok && i < count; i++)
        ok = allow_path(ruleset, folders[i], writes);
    if (!ok)
        text_errno(s->files_text, "Landlock refused a folder");
    else if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
             syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        text_errno(s->files_text, "Landlock could not be entered");
    else
        s->files = true;
    (void)close(ruleset);
    s->programs = s->files && !HAS_SANITIZER;
    if (s->files)
        (void)snprintf(s->files_text, SANDBOX_TEXT_BYTES, "Landlock version %ld", version);
}

/* ---- seccomp ---- */

#define C(name) SCMP_SYS(name)

/* Without conditions. Grouped by what needs them. */
static const int CALLS[] = {
    /* files: storage, configuration, SQLite, /proc */
    C(read),
    C(write),
    C(readv),
    C(writev),
    C(pread64),
    C(pwrite64),
    C(preadv),
    C(pwritev),
    C(preadv2),
    C(pwritev2),
    C(open),
    C(openat),
    C(openat2),
    C(close),
    C(close_range),
    C(stat),
    C(fstat),
    C(lstat),
    C(newfstatat),
    C(fstatat64),
    C(statx),
    C(statfs),
    C(fstatfs),
    C(access),
    C(faccessat),
    C(faccessat2),
    C(readlink),
    C(readlinkat),
    C(getdents),
    C(getdents64),
    C(lseek),
    C(getcwd),
    C(mkdir),
    C(mkdirat),
    C(rmdir),
    C(unlink),
    C(unlinkat),
    C(rename),
    C(renameat),
    C(renameat2),
    C(link),
    C(linkat),
    C(fsync),
    C(fdatasync),
    C(sync_file_range),
    C(ftruncate),
    C(fallocate),
    C(fadvise64),
    C(flock),
    C(fcntl),
    C(fchmod),
    C(fchown),
    C(umask),
    C(sendfile),
    C(copy_file_range),
    C(splice),
    C(inotify_init1),
    C(inotify_add_watch),
    C(inotify_rm_watch),
    C(dup),
    C(dup2),
    C(dup3),
    C(pipe),
    C(pipe2),
    C(eventfd2),
    /* memory */
    C(munmap),
    C(mremap),
    C(madvise),
    C(brk),
    C(msync),
    C(mincore),
    C(membarrier),
    /* threads and the process itself */
    C(set_robust_list),
    C(get_robust_list),
    C(rseq),
    C(futex),
    C(sched_yield),
    C(sched_getaffinity),
    C(sched_getparam),
    C(sched_getscheduler),
    C(gettid),
    C(getpid),
    C(getppid),
    C(getuid),
    C(geteuid),
    C(getgid),
    C(getegid),
    C(exit),
    C(exit_group),
    C(set_tid_address),
    C(rt_sigaction),
    C(rt_sigprocmask),
    C(rt_sigreturn),
    C(rt_sigtimedwait),
    C(rt_sigpending),
    C(sigaltstack),
    C(restart_syscall),
    C(getrusage),
    C(getrlimit),
    C(sysinfo),
    C(uname),
    C(times),
    C(getcpu),
    /* time and chance */
    C(clock_gettime),
    C(clock_getres),
    C(clock_nanosleep),
    C(nanosleep),
    C(gettimeofday),
    C(time),
    C(getrandom),
    /* network */
    C(bind),
    C(connect),
    C(listen),
    C(accept),
    C(accept4),
    C(getsockname),
    C(getpeername),
    C(setsockopt),
    C(getsockopt),
    C(sendto),
    C(recvfrom),
    C(sendmsg),
    C(recvmsg),
    C(sendmmsg),
    C(recvmmsg),
    C(shutdown),
    C(poll),
    C(ppoll),
    C(select),
    C(pselect6),
    C(epoll_create),
    C(epoll_create1),
    C(epoll_ctl),
    C(epoll_wait),
    C(epoll_pwait),
    C(epoll_pwait2),
};

/* With one: the argument and what it must be under a mask. */
static const struct {
    int call;
    unsigned arg;
    scmp_datum_t mask, value;
} CONDITIONS[] = {
    {C(clone), 0, CLONE_THREAD, CLONE_THREAD}, /* threads, no processes */
    /* pages to write or to run, never both */
    {C(mmap), 2, PROT_EXEC, 0},
    {C(mmap), 2, PROT_WRITE, 0},
    {C(mprotect), 2, PROT_EXEC, 0},
    {C(mprotect), 2, PROT_WRITE, 0},
    {C(socket), 0, ~UINT64_C(0), AF_INET},
    {C(socket), 0, ~UINT64_C(0), AF_INET6},
    {C(socket), 0, ~UINT64_C(0), AF_UNIX},    /* nscd, systemd */
    {C(socket), 0, ~UINT64_C(0), AF_NETLINK}, /* getaddrinfo() asks for the interfaces */
    {C(socketpair), 0, ~UINT64_C(0), AF_UNIX},
    {C(memfd_create), 1, ~UINT64_C(0), MFD_CLOEXEC}, /* certificates that the configuration holds */
    {C(prlimit64), 0, ~UINT64_C(0), 0},
    {C(prctl), 0, ~UINT64_C(0), PR_SET_NAME},
    {C(prctl), 0, ~UINT64_C(0), PR_GET_NAME},
    {C(ioctl), 1, 0xffffffff, 0x5401}, /* TCGETS: isatty() */
    {C(ioctl), 1, 0xffffffff, 0x5421}, /* FIONBIO */
    {C(ioctl), 1, 0xffffffff, 0x541b}, /* FIONREAD */
};

/* Calls that an architecture does not have have no number there: passed over. */
static bool add(scmp_filter_ctx filter, int call, unsigned count, struct scmp_arg_cmp what,
                unsigned *added)
{
    int code = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, count, what);
    if (code != 0 && code != -EDOM && code != -EEXIST) {
        errno = -code;
        return false;
    }
    *added += code == 0;
    return true;
}

static bool fill(scmp_filter_ctx filter, unsigned *added)
{
    const struct scmp_arg_cmp none = {0};
    const struct scmp_arg_cmp self = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid());
    for (size_t i = 0; i < ARRAY_COUNT(CALLS); i++)
        if (!add(filter, CALLS[i], 0, none, added))
            return false;
    for (size_t i = 0; i < ARRAY_COUNT(CONDITIONS); i++) {
        struct scmp_arg_cmp what = SCMP_CMP64(CONDITIONS[i].arg, SCMP_CMP_MASKED_EQ,
                                              CONDITIONS[i].mask, CONDITIONS[i].value);
        if (!add(filter, CONDITIONS[i].call, 1, what, added))
            return false;
    }
    return add(filter, C(kill), 1, self, added) && add(filter, C(tgkill), 1, self, added);
}

void sandbox_calls(struct sandbox *s)
{
    unsigned added = 0;
    s->calls = false;
    if (HAS_SANITIZER) {
        (void)snprintf(s->calls_text, SANDBOX_TEXT_BYTES, "not in a build with a sanitizer");
        return;
    }
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (filter == NULL) {
        (void)snprintf(s->calls_text, SANDBOX_TEXT_BYTES, "libseccomp could not begin a filter");
        return;
    }
    int code = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1); /* all threads at once */
    if (code == 0 && !fill(filter, &added))
        code = -errno;
    if (code == 0)
        code = seccomp_load(filter);
    seccomp_release(filter);
    s->calls = code == 0;
    if (s->calls)
        (void)snprintf(s->calls_text, SANDBOX_TEXT_BYTES, "seccomp with %u rules", added);
    else
        (void)snprintf(s->calls_text, SANDBOX_TEXT_BYTES, "seccomp could not be entered: %s",
                       strerror(-code));
}
