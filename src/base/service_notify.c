/* SPDX-License-Identifier: Apache-2.0 */
#include "base/service_notify.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* A reload carries the kernel's monotonic time, so that the manager can tell it from an earlier one; not the shim's
 * clock, which a test may have frozen. */
static int compose(enum service_state state, char *out, size_t size)
{
    struct timespec now = {0};
    switch (state) {
    case SERVICE_READY:
        return snprintf(out, size, "READY=1");
    case SERVICE_STOPPING:
        return snprintf(out, size, "STOPPING=1");
    case SERVICE_RELOADING:
        (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
        return snprintf(out, size, "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
                        (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    }
    return 0;
}

void service_notify(enum service_state state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    char text[96];
    size_t len = path ? strlen(path) : 0;
    if (len < 2 || len >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(to.sun_path, path, len);
    if (path[0] == '@')
        to.sun_path[0] = '\0'; /* an abstract name */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    int bytes = compose(state, text, sizeof text);
    socklen_t to_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    (void)sendto(fd, text, (size_t)bytes, MSG_NOSIGNAL, (const struct sockaddr *)&to, to_bytes);
    (void)close(fd);
}
