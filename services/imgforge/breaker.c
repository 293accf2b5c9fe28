/* SPDX-License-Identifier: Apache-2.0 */
/* breaker.c: see breaker.h. */
#include "breaker.h"

#include "base/thread.h"

void breaker_init(struct breaker *b)
{
    *b = (struct breaker){.wait_ms = BREAKER_WAIT_FIRST_MS};
    mutex_init(&b->mutex);
}

void breaker_deinit(struct breaker *b)
{
    mutex_deinit(&b->mutex);
}

bool breaker_enter(struct breaker *b, mono_time now)
{
    mutex_lock(&b->mutex);
    bool may_try = b->is_open && !b->is_tried && now.ns >= b->open_until.ns;
    b->is_tried = b->is_tried || may_try;
    bool may = !b->is_open || may_try;
    mutex_unlock(&b->mutex);
    return may;
}

bool breaker_succeeded(struct breaker *b)
{
    mutex_lock(&b->mutex);
    bool was_open = b->is_open;
    b->is_open = b->is_tried = false;
    b->failures = 0;
    b->wait_ms = BREAKER_WAIT_FIRST_MS;
    mutex_unlock(&b->mutex);
    return was_open;
}

void breaker_abstained(struct breaker *b)
{
    mutex_lock(&b->mutex);
    b->is_tried = false;
    mutex_unlock(&b->mutex);
}

/* Those who went in before it opened and fail after do not make the wait longer. */
bool breaker_failed(struct breaker *b, mono_time now)
{
    mutex_lock(&b->mutex);
    bool was_open = b->is_open, opens = false;
    if (!was_open)
        opens = ++b->failures >= BREAKER_FAILURES_MAX;
    else
        opens = now.ns >= b->open_until.ns;
    if (opens) {
        b->is_open = true;
        b->is_tried = false;
        b->open_until = mono_add_ms(now, b->wait_ms);
        b->wait_ms = b->wait_ms * 2 < BREAKER_WAIT_MAX_MS ? b->wait_ms * 2 : BREAKER_WAIT_MAX_MS;
    }
    mutex_unlock(&b->mutex);
    return opens && !was_open;
}
