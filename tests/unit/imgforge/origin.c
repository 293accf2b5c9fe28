/* SPDX-License-Identifier: Apache-2.0 */
/* origin.c: see origin.h. */
#include "origin.h"

#include "base/thread.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct origin {
    const struct origin_page *pages;
    size_t page_count;
    int listener;
    uint16_t port;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t changed;
    unsigned count;
    char asked[ORIGIN_REQUEST_BYTES];
};

static bool read_request(int fd, char *out, size_t size)
{
    size_t len = 0;
    while (len + 1 < size) {
        ssize_t got = recv(fd, out + len, size - 1 - len, 0);
        if (got <= 0)
            return false;
        len += (size_t)got;
        out[len] = '\0';
        if (strstr(out, "\r\n\r\n"))
            return true;
    }
    return false;
}

static bool write_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t put = send(fd, bytes, len, MSG_NOSIGNAL);
        if (put <= 0)
            return false;
        bytes += put;
        len -= (size_t)put;
    }
    return true;
}

static void answer(struct origin *o, int fd, const char *text)
{
    char port[8], word[4096];
    snprintf(port, sizeof(port), "%u", o->port);
    for (const char *at = text; *at; at++) {
        if (strcmp(at, "HANG") == 0) {
            while (recv(fd, word, sizeof(word), 0) > 0)
                ;
            return;
        }
        if (strcmp(at, "FLOOD") == 0 || strcmp(at, "HEAD") == 0) {
            memset(word, 'x', sizeof(word));
            while (write_all(fd, word, sizeof(word)))
                ;
            return;
        }
        bool is_port = strncmp(at, "PORT", 4) == 0;
        if (!write_all(fd, is_port ? port : at, is_port ? strlen(port) : 1))
            return;
        at += is_port ? 3 : 0;
    }
}

static void serve(struct origin *o, int fd)
{
    char request[sizeof(o->asked)] = "";
    if (!read_request(fd, request, sizeof(request)))
        return;
    mutex_lock(&o->mutex);
    memcpy(o->asked, request, sizeof(request));
    o->count++;
    cond_broadcast(&o->changed);
    mutex_unlock(&o->mutex);
    char path[256] = "";
    sscanf(request, "GET %255s", path);
    for (size_t i = 0; i < o->page_count; i++)
        if (strcmp(path, o->pages[i].path) == 0)
            answer(o, fd, o->pages[i].answer);
}

static void *origin_run(void *arg)
{
    struct origin *o = arg;
    int fd;
    while ((fd = accept(o->listener, NULL, NULL)) >= 0) {
        serve(o, fd);
        close(fd);
    }
    return NULL;
}

struct origin *origin_new(const struct origin_page *pages, size_t count)
{
    struct origin *o = calloc(1, sizeof(*o));
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    struct error err;
    o->pages = pages;
    o->page_count = count;
    mutex_init(&o->mutex);
    cond_init(&o->changed);
    o->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(o->listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(o->listener, 8), 0);
    assert_int_equal(getsockname(o->listener, (struct sockaddr *)&at, &len), 0);
    o->port = ntohs(at.sin_port);
    assert_true(thread_start(&o->thread, "origin", origin_run, o, &err));
    return o;
}

void origin_free(struct origin *o)
{
    shutdown(o->listener, SHUT_RDWR); /* accept() ends */
    thread_join(o->thread);
    close(o->listener);
    cond_deinit(&o->changed);
    mutex_deinit(&o->mutex);
    free(o);
}

char *origin_url(const struct origin *o, const char *text)
{
    static char out[16 * 1024];
    size_t len = 0;
    if (text[0] == '/')
        len = (size_t)snprintf(out, sizeof(out), "http://127.0.0.1:%u", o->port);
    for (const char *at = text; *at; at++) {
        bool is_port = strncmp(at, "PORT", 4) == 0;
        len += is_port ? (size_t)snprintf(out + len, sizeof(out) - len, "%u", o->port)
                       : (size_t)snprintf(out + len, sizeof(out) - len, "%c", *at);
        at += is_port ? 3 : 0;
    }
    return out;
}

unsigned origin_asked(struct origin *o, char last[ORIGIN_REQUEST_BYTES])
{
    mutex_lock(&o->mutex);
    unsigned count = o->count;
    if (last)
        memcpy(last, o->asked, ORIGIN_REQUEST_BYTES);
    mutex_unlock(&o->mutex);
    return count;
}

void origin_await(struct origin *o, unsigned count)
{
    mutex_lock(&o->mutex);
    while (o->count < count)
        cond_wait(&o->changed, &o->mutex);
    mutex_unlock(&o->mutex);
}
