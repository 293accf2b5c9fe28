/* SPDX-License-Identifier: Apache-2.0 */
/* http_dispatch.c: from the end of the request to its handler, on the thread that the route names, and back.
 *
 * The connection is suspended before its job is queued and resumed by the job's last step but one, so the
 * handler owns the request while it runs. http_server_stop() counts jobs, not requests: the count falls at the
 * job's very end, when neither the request nor its gate is touched any more. */
#include "base/assert.h"
#include "net/http_private.h"

#include <stdio.h>

static void set_cors(struct http_request *rq)
{
    const struct http_server *s = rq->server;
    struct http_response *rs = &rq->response;
    struct view origin = http_request_header(rq, "Origin");
    if (origin.len == 0 || view_is(origin, "null") || s->cors_origin == NULL)
        return;
    http_response_set_header(rs, "Access-Control-Allow-Headers",
                             VIEW("Accept, Authorization, Content-Type, Origin"));
    http_response_set_header(rs, "Access-Control-Allow-Methods", VIEW("GET, POST, OPTIONS"));
    http_response_set_header(rs, "Access-Control-Expose-Headers", VIEW("Date"));
    http_response_set_header(rs, "Vary", VIEW("Origin"));
    if (s->cors_any)
        http_response_set_header(rs, "Access-Control-Allow-Origin", VIEW("*"));
    else if (regex_match(s->cors_origin, origin))
        http_response_set_header(rs, "Access-Control-Allow-Origin", origin);
}

static void set_page_headers(struct http_response *rs)
{
    http_response_set_header(rs, "Content-Security-Policy",
                             VIEW("default-src 'none'; script-src 'self'; style-src 'self'; "
                                  "img-src 'self'; connect-src 'self'; form-action 'self'; "
                                  "frame-ancestors 'none'; base-uri 'none'"));
    http_response_set_header(rs, "X-Frame-Options", VIEW("DENY"));
    http_response_set_header(rs, "Referrer-Policy", VIEW("same-origin"));
    http_response_set_header(rs, "Cross-Origin-Opener-Policy", VIEW("same-origin"));
}

/* Preflights that no route takes itself. */
static bool is_preflight(const struct http_request *rq)
{
    return rq->method == HTTP_OPTIONS && !(rq->route->methods & HTTP_OPTIONS);
}

static void answer_canceled(struct http_request *rq)
{
    http_response_error(&rq->response, http_request_canceled(rq) == HTTP_CANCEL_STOP ? 503 : 499,
                        "the request was canceled while it waited");
}

static void run_handler(struct http_request *rq)
{
    const struct http_route *route = rq->route;
    struct http_response *rs = &rq->response;
    if (route->cors)
        set_cors(rq);
    if (route->is_page)
        set_page_headers(rs);
    if (is_preflight(rq))
        http_response_set_status(rs, 204);
    else if (http_request_canceled(rq) != HTTP_CANCEL_NONE)
        answer_canceled(rq);
    else if (request_parse_params(rq))
        route->handler(route->arg, rq, rs);
    if (rq->is_held)
        return; /* it is somebody else's */
    http_request_clear_cancel(rq);
    response_prepare(rs);
}

static void resume(struct http_request *rq)
{
    governor_set_phase(rq->connection, CONNECTION_SENDING);
    rq->state = REQUEST_DONE;
    MHD_resume_connection(rq->mhd); /* rq may be gone from here on */
}

/* False: nobody takes it, and its response says so. */
static bool submit(struct http_request *rq);

/* Gives the place in the gate to those that wait, and answers those that no pool takes. */
static void pass_on(struct http_gate *gate)
{
    struct http_request *next = gate ? gate_leave(gate) : NULL;
    while (next && !submit(next)) {
        struct http_server *s = next->server;
        resume(next);
        next = gate_leave(gate);
        governor_job_done(s);
    }
}

static void run_job(void *arg)
{
    struct http_request *rq = arg;
    struct http_server *s = rq->server;
    struct http_gate *gate = rq->route->gate;
    run_handler(rq);
    resume(rq);
    pass_on(gate);
    governor_job_done(s); /* last: from here on the server, and the gate, may be freed */
}

/* Nobody has room for it: a client that waits and comes again is told when. */
static void answer_busy(struct http_request *rq)
{
    unsigned seconds = rq->route->retry_after_s;
    char text[16];
    if (seconds) {
        (void)snprintf(text, sizeof text, "%u", seconds);
        http_response_set_header(&rq->response, "Retry-After", view_from(text));
    }
    http_response_error(&rq->response, seconds ? 429 : 503,
                        "the server is busy: too many requests are waiting");
    response_prepare(&rq->response);
}

static struct pool *pool_of(const struct http_request *rq)
{
    const struct http_server *s = rq->server;
    if (rq->route->run != HTTP_RUN_POOL)
        return s->aside;
    if (rq->route->pool)
        return rq->route->pool;
    return s->options.pool ? s->options.pool : s->aside;
}

static bool submit(struct http_request *rq)
{
    struct error err;
    if (pool_submit(pool_of(rq), POOL_QUERY, run_job, rq, &err))
        return true;
    answer_busy(rq);
    return false;
}

static void dispatch_job(struct http_request *rq)
{
    struct http_server *s = rq->server;
    struct http_gate *gate = rq->route->gate;
    bool refused = false;
    rq->state = REQUEST_WORKING;
    MHD_suspend_connection(rq->mhd);
    if (gate && !gate_enter(gate, rq, &refused) && !refused)
        return; /* waits; another thread may have it already */
    if (!refused && submit(rq))
        return;
    if (refused) {
        answer_busy(rq);
        gate = NULL; /* has no place in it to give */
    }
    resume(rq);
    pass_on(gate);
    governor_job_done(s);
}

static enum http_verdict ask(struct http_request *rq, bool may_wait)
{
    const struct http_server_options *o = &rq->server->options;
    return o->access ? o->access(o->access_arg, rq, &rq->response, may_wait)
                     : http_access_without_users(rq, &rq->response);
}

static void access_job(void *arg)
{
    struct http_request *rq = arg;
    struct http_server *s = rq->server;
    rq->verdict = ask(rq, true);
    ASSERT(rq->verdict != HTTP_MUST_WAIT);
    rq->state = REQUEST_DECIDED;
    governor_set_phase(rq->connection, CONNECTION_READING);
    MHD_resume_connection(rq->mhd); /* rq may be gone from here on */
    governor_job_done(s);
}

enum http_verdict request_ask_access(struct http_request *rq)
{
    struct error err;
    struct http_server *s = rq->server;
    if (rq->route->role == HTTP_ROLE_PUBLIC || rq->method == HTTP_OPTIONS)
        return HTTP_ALLOWED; /* a preflight brings no password, and its answer says nothing */
    enum http_verdict verdict = ask(rq, false);
    if (verdict != HTTP_MUST_WAIT)
        return verdict;
    if (governor_begin_work(rq->connection)) {
        rq->state = REQUEST_ASKING;
        MHD_suspend_connection(rq->mhd);
        if (pool_submit(s->access, POOL_QUERY, access_job, rq, &err))
            return HTTP_MUST_WAIT;
        http_response_error(&rq->response, 503, "the server is busy: too many logins are waiting");
        rq->verdict = HTTP_REFUSED;
        rq->state = REQUEST_DECIDED;
        governor_set_phase(rq->connection, CONNECTION_READING);
        MHD_resume_connection(rq->mhd);
        governor_job_done(s);
        return HTTP_MUST_WAIT;
    }
    http_response_error(&rq->response, 503, "the server is stopping");
    return HTTP_REFUSED;
}

enum MHD_Result request_dispatch(struct http_request *rq)
{
    ASSERT(rq->route != NULL);
    if (rq->route->run != HTTP_RUN_DIRECT && !is_preflight(rq) &&
        governor_begin_work(rq->connection)) {
        dispatch_job(rq);
        return MHD_YES;
    }
    run_handler(rq);
    return rq->is_held ? MHD_YES : response_queue(&rq->response);
}

/* MHD lets the connection go on only when this thread has returned to it, so the request is there at least until then. */
bool http_request_hold(struct http_request *rq)
{
    ASSERT(rq->route->run == HTTP_RUN_DIRECT && !rq->is_held);
    if (!governor_begin_work(rq->connection)) {
        answer_canceled(rq);
        return false;
    }
    rq->is_held = true;
    rq->state = REQUEST_WORKING;
    MHD_suspend_connection(rq->mhd);
    return true;
}

bool http_request_is_held(const struct http_request *rq)
{
    return rq->is_held;
}

void http_request_answer(struct http_request *rq)
{
    struct http_server *s = rq->server;
    http_request_clear_cancel(rq);
    response_prepare(&rq->response);
    resume(rq);
    governor_job_done(s); /* last, as in run_job() */
}
