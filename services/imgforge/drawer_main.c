/* SPDX-License-Identifier: Apache-2.0 */
/* drawer_main.c: see drawer_main.h. The drawer's side of drawing_order.h. It expects the worst of what it draws: it has no secrets, bounds on what it may
 * take, and is the first to go where memory is short. A second thread ends it while it draws when the server is gone. */
#include "drawer_main.h"

#include "base/machine.h"
#include "base/sanitizer.h"
#include "base/thread.h"
#include "drawing_order.h"
#include "image_watch.h"
#include "pipeline.h"
#include "source_load.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EXIT_GONE = 1, EXIT_USAGE = 2 };

/* --- bounds --- */

/* What the smallest machine has for a drawing; a drawing of 2^24 pixels with a filter takes 64 MiB for each step of it. */
#define MEMORY_BYTES_MIN ((uint64_t)512 << 20)

static void limit(int resource, rlim_t most)
{
    struct rlimit l;
    if (getrlimit(resource, &l) != 0)
        return;
    /* Less may be set already, and root could raise it. */
    l.rlim_max = l.rlim_max < most ? l.rlim_max : most;
    l.rlim_cur = l.rlim_cur < l.rlim_max ? l.rlim_cur : l.rlim_max;
    (void)setrlimit(resource, &l); /* lowers: always allowed */
}

static void limit_memory(void)
{
    uint64_t bytes = machine_memory_bytes() / 2;
    if (!HAS_SANITIZER) /* which maps terabytes */
        limit(RLIMIT_DATA, bytes > MEMORY_BYTES_MIN ? bytes : MEMORY_BYTES_MIN);
}

/* The kernel takes the process with the largest part of memory, which this adds half of all to. */
static void offer_to_the_kernel(void)
{
    static const char HALF[] = "500";
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)!write(fd, HALF, sizeof(HALF) - 1); /* without it the kernel takes whom it likes */
    (void)close(fd);
}

static void confine(void)
{
    limit(RLIMIT_CORE, 0);
    limit_memory();
    offer_to_the_kernel();
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); /* there are none to be had either way */
    (void)prctl(PR_SET_NAME, "imgforge-draw");
    (void)prctl(PR_SET_DUMPABLE,
                0); /* the last: files of its own in /proc are root's from here on */
}

/* --- talk --- */

static bool read_all(void *to, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = read(STDIN_FILENO, (char *)to + done, len - done);
        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static bool write_all(const void *bytes, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = send(STDIN_FILENO, (const char *)bytes + done, len - done, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return false;
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static void *end_with_the_server(void *arg)
{
    struct pollfd server = {.fd = STDIN_FILENO}; /* POLLHUP is always told */
    (void)arg;
    while (poll(&server, 1, -1) <= 0)
        ;
    _exit(EXIT_GONE); /* the drawing goes on, and has nobody to go to */
}

/* --- orders --- */

struct easel {
    VipsImage *image; /* NULL: nothing is open */
    char *source;
    struct drawing_answer header;
};

static void clear(struct easel *e)
{
    g_clear_object(&e->image);
    g_free(e->source);
    e->source = NULL;
}

static bool refuse(const char *cause)
{
    struct drawing_answer a = {.is_ok = 0};
    (void)snprintf(a.cause, sizeof(a.cause), "%s", cause);
    return write_all(&a, sizeof(a));
}

static int number_of(VipsImage *image, const char *name)
{
    int n;
    if (!vips_image_get_typeof(image, name) || vips_image_get_int(image, name, &n))
        return 0;
    return n;
}

static bool answer_header(struct easel *e)
{
    VipsImage *i = e->image;
    if (i->Bands != DRAWING_BANDS || i->BandFmt != VIPS_FORMAT_UCHAR ||
        i->Type != VIPS_INTERPRETATION_sRGB) {
        clear(e);
        return refuse("drawings are RGBA of 8 bit, and this one is not");
    }
    e->header = (struct drawing_answer){
        .is_ok = 1,
        .width = i->Xsize,
        .height = i->Ysize,
        .pages = number_of(i, VIPS_META_N_PAGES),
        .page_height = number_of(i, VIPS_META_PAGE_HEIGHT),
        .x_res = i->Xres,
        .y_res = i->Yres,
    };
    return write_all(&e->header, sizeof(e->header));
}

static bool open_source(struct easel *e, const struct drawing_order *order)
{
    const struct source_reading how = {
        .page = order->page, .pages = order->pages, .scale = order->scale};
    struct image_failure f;
    clear(e);
    e->source = g_try_malloc(order->source_bytes + 1); /* also where there are none */
    if (!e->source || !read_all(e->source, order->source_bytes))
        return false;
    struct view bytes = {e->source, order->source_bytes};
    if (source_decode(bytes, (enum source_kind)order->kind, &how, &e->image, &f))
        return answer_header(e);
    clear(e);
    return refuse(f.cause);
}

static bool draw(struct easel *e)
{
    struct image_failure f;
    size_t bytes = 0;
    if (!e->image)
        return false;
    void *pixels = vips_image_write_to_memory(e->image, &bytes);
    clear(e);
    if (!pixels) {
        (void)image_fail_decode(&f);
        return refuse(f.cause);
    }
    bool ok = write_all(&e->header, sizeof(e->header)) && write_all(pixels, bytes);
    g_free(pixels);
    return ok;
}

static bool obey(struct easel *e, const struct drawing_order *order)
{
    switch (order->step) {
    case DRAWING_OPEN:
        return open_source(e, order);
    case DRAWING_DRAW:
        return draw(e);
    case DRAWING_CLOSE:
        clear(e);
        return true;
    default:
        return false;
    }
}

static bool is_server_there(void)
{
    int domain = 0;
    socklen_t len = sizeof(domain);
    return getsockopt(STDIN_FILENO, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX;
}

int drawer_main(int argc, char **argv)
{
    struct image_failure f;
    struct error err;
    struct drawing_order order;
    struct easel easel = {0};
    pthread_t thread;
    (void)argv;
    if (argc != 2 || !is_server_there()) {
        (void)fprintf(stderr, "imgforge: \"draw\" is what a server starts its own processes with; "
                              "see imgforge --help\n");
        return EXIT_USAGE;
    }
    confine();
    if (!pipeline_start_libvips(&f) ||
        !thread_start(&thread, "server-gone", end_with_the_server, NULL, &err)) {
        (void)fprintf(stderr, "imgforge: a process to draw with could not start\n");
        return EXIT_GONE;
    }
    while (read_all(&order, sizeof(order)) && obey(&easel, &order))
        ;
    _exit(EXIT_GONE); /* the other thread may do the same now */
}
