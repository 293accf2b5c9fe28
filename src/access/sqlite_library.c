/* SPDX-License-Identifier: Apache-2.0 */
#include "access/sqlite_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>

#define FILE_NAME "libsqlite3.so.0" /* its interface has had this number since 2004 */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char failure[256]; /* constant after `once`; empty = it is loaded */
struct sqlite_library sqlite_library;

static void load(void)
{
    static const struct {
        const char *name;
        size_t offset;
    } FUNCTIONS[] = {
#define X(name) {"sqlite3_" #name, offsetof(struct sqlite_library, name)},
        SQLITE_FUNCTIONS(X)
#undef X
    };
    void *handle = dlopen(FILE_NAME, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        (void)snprintf(failure, sizeof failure, "%s", dlerror());
        return;
    }
    for (size_t i = 0; i < ARRAY_COUNT(FUNCTIONS); i++) {
        void *found = dlsym(handle, FUNCTIONS[i].name);
        if (found == NULL) {
            (void)snprintf(failure, sizeof failure, FILE_NAME " has no %s", FUNCTIONS[i].name);
            return;
        }
        *(void **)(void *)((char *)&sqlite_library + FUNCTIONS[i].offset) =
            found; /* as POSIX has it */
    }
}

bool sqlite_library_load(struct error *err)
{
    if (pthread_once(&once, load) == 0 && failure[0] == '\0')
        return true;
    (void)error_set(err, ERROR_UNAVAILABLE, "could not load SQLite: %s", failure);
    error_hint(err, "install libsqlite3-0");
    return false;
}
