/* SPDX-License-Identifier: Apache-2.0 */
/* http_gate.c: at most so many requests at once; the others wait in order, suspended, without a thread. */
#include "base/assert.h"
#include "net/http_private.h"

struct http_gate {
    unsigned running_max;
    size_t waiting_max;

    pthread_mutex_t mutex; /* guards what follows */
    unsigned running;
    size_t waiting;
    struct http_request *first, *last;
};

struct http_gate *http_gate_new(unsigned max, size_t waiting_max)
{
    ASSERT(max > 0);
    struct http_gate *gate = mem_alloc_zero(MEM_HTTP, 1, sizeof *gate);
    gate->running_max = max;
    gate->waiting_max = waiting_max;
    mutex_init(&gate->mutex);
    return gate;
}

void http_gate_free(struct http_gate *gate)
{
    if (gate == NULL)
        return;
    ASSERT(gate->running == 0 && gate->waiting == 0);
    mutex_deinit(&gate->mutex);
    mem_free(MEM_HTTP, gate);
}

bool gate_enter(struct http_gate *gate, struct http_request *rq, bool *refused)
{
    bool may_run = false;
    *refused = false;
    mutex_lock(&gate->mutex);
    if (gate->running < gate->running_max) {
        gate->running++;
        may_run = true;
    } else if (gate->waiting >= gate->waiting_max) {
        *refused = true;
    } else {
        gate->waiting++;
        rq->gate_next = NULL;
        if (gate->last)
            gate->last->gate_next = rq;
        else
            gate->first = rq;
        gate->last = rq;
    }
    mutex_unlock(&gate->mutex);
    return may_run;
}

struct http_request *gate_leave(struct http_gate *gate)
{
    mutex_lock(&gate->mutex);
    ASSERT(gate->running > 0);
    struct http_request *next = gate->first;
    if (next) { /* takes the place of the one that ended */
        gate->first = next->gate_next;
        if (gate->first == NULL)
            gate->last = NULL;
        gate->waiting--;
    } else {
        gate->running--;
    }
    mutex_unlock(&gate->mutex);
    return next;
}

unsigned http_gate_running(struct http_gate *gate)
{
    mutex_lock(&gate->mutex);
    unsigned running = gate->running;
    mutex_unlock(&gate->mutex);
    return running;
}

size_t http_gate_waiting(struct http_gate *gate)
{
    mutex_lock(&gate->mutex);
    size_t waiting = gate->waiting;
    mutex_unlock(&gate->mutex);
    return waiting;
}
