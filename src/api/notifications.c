/* SPDX-License-Identifier: Apache-2.0 */
/* notifications.c: see notifications.h. One mutex guards all. It is taken inside of nothing but the HTTP library's own
 * locks (a stream's next and release), and the HTTP server's are taken inside of it (a wake). */
#include "api/notifications.h"

#include "api/api_private.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"

#include <string.h>

enum {
    SHOWN_MAX = 16,
    SIGN_OF_LIFE_MS = 10 * 1000 /* without an event; shorter than the server's HTTP_LIVE_MS */
};

struct notification {
    const char *text; /* static */
    int64_t date_ms;
    bool active;
};

struct subscriber {
    struct notifications *owner;
    struct subscriber *next;
    struct http_request *request;
    struct notification queue[NOTIFICATIONS_QUEUE_MAX];
    size_t count;
    mono_time spoke; /* ns 0: never */
};

struct notifications {
    size_t subscribers_max; /* constant */
    pthread_mutex_t mutex;  /* guards the rest */
    struct notification shown[SHOWN_MAX];
    size_t count;
    struct subscriber *subscribers;
    struct notifications_stats stats;
};

struct notifications *notifications_new(size_t subscribers_max)
{
    struct notifications *n = mem_alloc_zero(MEM_HTTP, 1, sizeof *n);
    n->subscribers_max = subscribers_max;
    mutex_init(&n->mutex);
    return n;
}

void notifications_free(struct notifications *n)
{
    if (!n)
        return;
    ASSERT(n->subscribers == NULL);
    mutex_deinit(&n->mutex);
    mem_free(MEM_HTTP, n);
}

/* ---- what is shown ---- */

static void notification_write(struct buffer *out, const struct notification *x)
{
    buffer_append_byte(out, '{');
    api_field_string(out, "text", view_from(x->text));
    buffer_append_literal(out, ",\"date\":");
    api_time_format(out, x->date_ms);
    buffer_printf(out, ",\"active\":%s}", x->active ? "true" : "false");
}

/* False when there is no room. */
static bool enqueue(struct subscriber *s, const struct notification *x)
{
    if (s->count == NOTIFICATIONS_QUEUE_MAX)
        return false;
    s->queue[s->count++] = *x;
    return true;
}

static void tell_locked(struct notifications *n, const struct notification *x)
{
    for (struct subscriber *s = n->subscribers; s; s = s->next) {
        n->stats.updates_sent++;
        if (enqueue(s, x))
            http_live_wake(s->request);
        else
            n->stats.updates_dropped++;
    }
}

static size_t find_locked(const struct notifications *n, const char *text)
{
    size_t at = 0;
    while (at < n->count && strcmp(n->shown[at].text, text) != 0)
        at++;
    return at;
}

void notifications_add(struct notifications *n, const char *text)
{
    mutex_lock(&n->mutex);
    size_t at = find_locked(n, text);
    ASSERT(at < SHOWN_MAX); /* there are only so many texts */
    if (at == n->count)
        n->count++;
    n->shown[at] = (struct notification){text, clock_wall().ms, true};
    tell_locked(n, &n->shown[at]);
    mutex_unlock(&n->mutex);
}

void notifications_delete(struct notifications *n, const char *text)
{
    mutex_lock(&n->mutex);
    size_t at = find_locked(n, text);
    if (at < n->count) {
        struct notification gone = n->shown[at];
        gone.active = false;
        tell_locked(n, &gone);
        n->count--;
        memmove(n->shown + at, n->shown + at + 1, (n->count - at) * sizeof *n->shown);
    }
    mutex_unlock(&n->mutex);
}

void notifications_write(struct notifications *n, struct buffer *out)
{
    buffer_append_byte(out, '[');
    mutex_lock(&n->mutex);
    for (size_t i = 0; i < n->count; i++) {
        if (i)
            buffer_append_byte(out, ',');
        notification_write(out, &n->shown[i]);
    }
    mutex_unlock(&n->mutex);
    buffer_append_byte(out, ']');
}

/* ---- subscribers ---- */

/* What waits, as events; a comment line when it was silent for long, and at the very beginning, so that the client knows
 * at once that it is heard. */
static bool on_next(void *arg, struct buffer *out, bool *more)
{
    struct subscriber *s = arg;
    struct notifications *n = s->owner;
    mutex_lock(&n->mutex);
    for (size_t i = 0; i < s->count; i++) {
        buffer_append_literal(out, "data: ");
        notification_write(out, &s->queue[i]);
        buffer_append_literal(out, "\n\n");
    }
    bool is_silent =
        s->count == 0 && (s->spoke.ns == 0 || mono_ms_since(s->spoke) >= SIGN_OF_LIFE_MS);
    s->count = 0;
    if (is_silent)
        buffer_append_literal(out, ":\n\n");
    if (out->len)
        s->spoke = clock_mono();
    mutex_unlock(&n->mutex);
    *more = true; /* until the client or the server ends it */
    return true;
}

static void on_release(void *arg)
{
    struct subscriber *s = arg;
    struct notifications *n = s->owner;
    mutex_lock(&n->mutex);
    struct subscriber **link = &n->subscribers;
    while (*link != s)
        link = &(*link)->next;
    *link = s->next;
    n->stats.subscribers--;
    mutex_unlock(&n->mutex);
    mem_free(MEM_HTTP, s);
}

bool notifications_subscribe(struct notifications *n, struct http_response *rs)
{
    mutex_lock(&n->mutex);
    bool has_room = n->stats.subscribers < n->subscribers_max;
    if (has_room) {
        struct subscriber *s = mem_alloc_zero(MEM_HTTP, 1, sizeof *s);
        s->owner = n;
        s->request = http_response_request(rs);
        for (size_t i = 0; i < n->count; i++)
            (void)enqueue(s, &n->shown[i]); /* no room for the last of many: it can ask */
        s->next = n->subscribers;
        n->subscribers = s;
        n->stats.subscribers++;
        http_response_live(rs, on_next, on_release, s);
    }
    mutex_unlock(&n->mutex);
    return has_room;
}

void notifications_stats_get(struct notifications *n, struct notifications_stats *out)
{
    mutex_lock(&n->mutex);
    *out = n->stats;
    mutex_unlock(&n->mutex);
}
