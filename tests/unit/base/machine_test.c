/* SPDX-License-Identifier: Apache-2.0 */
/* machine_test.c: control groups of both versions, built as folders. */
#include "base/machine.h"

#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define GIB (UINT64_C(1) << 30)

static const struct {
    const char *name, *groups; /* /proc/self/cgroup */
    const char *file, *limit;  /* under the cgroup folder */
    uint64_t expected;
} CASES[] = {
    {"no group", "", "x", "", 8 * GIB},
    {"version 2", "0::/a/b\n", "a/b/memory.max", "1073741824\n", GIB},
    {"version 2, none", "0::/a/b\n", "a/b/memory.max", "max\n", 8 * GIB},
    {"version 2, of the parent", "0::/a/b\n", "a/memory.max", "2147483648\n", 2 * GIB},
    {"version 2, of the container", "0::/gone/b\n", "memory.max", "3221225472\n", 3 * GIB},
    {"version 2, root", "0::/\n", "memory.max", "1073741824\n", GIB},
    {"version 1", "9:cpu:/\n4:memory:/p/q\n", "memory/p/q/memory.limit_in_bytes", "1073741824\n",
     GIB},
    {"version 1, none", "4:memory:/\n", "memory/memory.limit_in_bytes", "9223372036854771712\n",
     8 * GIB},
    {"more than there is", "0::/a\n", "a/memory.max", "99999999999999\n", 8 * GIB},
    {"no number", "0::/a\n", "a/memory.max", "what\n", 8 * GIB},
    {"no line", "what\n::\n:\n\n", "a/memory.max", "1\n", 8 * GIB},
};

static void make(const char *dir, const char *path, const char *text)
{
    char full[512];
    struct error err;
    snprintf(full, sizeof full, "%s/%s", dir, path);
    for (char *slash = strchr(full + strlen(dir) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        assert_true(dir_create(full, &err));
        *slash = '/';
    }
    assert_true(file_replace(full, view_from(text), &err));
}

static void memory_is_what_the_groups_leave(void **state)
{
    (void)state;
    struct error err;
    char dir[64], proc[96], cgroup[96];
    snprintf(dir, sizeof dir, "/tmp/belfry_machine_test.%d", (int)getpid());
    snprintf(proc, sizeof proc, "%s/proc", dir);
    snprintf(cgroup, sizeof cgroup, "%s/cgroup", dir);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        assert_true(dir_remove(dir, &err));
        assert_true(dir_create(dir, &err));
        make(dir, "proc/self/cgroup", CASES[i].groups);
        char path[256];
        snprintf(path, sizeof path, "cgroup/%s", CASES[i].file);
        make(dir, path, CASES[i].limit);
        uint64_t got = machine_memory_bytes_in(proc, cgroup, 8 * GIB);
        if (got != CASES[i].expected)
            fail_msg("%s: %llu", CASES[i].name, (unsigned long long)got);
    }
    assert_true(dir_remove(dir, &err));
    assert_true(machine_memory_bytes() >= 1 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(memory_is_what_the_groups_leave)};
    return cmocka_run_group_tests_name("machine", tests, NULL, NULL);
}
