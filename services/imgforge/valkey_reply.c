/* SPDX-License-Identifier: Apache-2.0 */
/* valkey_reply.c: see valkey_reply.h. hiredis calls back for each answer that is complete; what it is given in return is the struct
 * itself, so that an answer costs no allocation but a copy of its text. */
#include "valkey_reply.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

enum { KEPT_BYTES_MAX = 64 << 10 };

/* NULL ends the reading with an error. */
static void *on_text(const redisReadTask *task, char *bytes, size_t len)
{
    struct valkey_reply *r = task->privdata;
    if (task->parent)
        return NULL;
    r->type = task->type;
    if (task->type != REDIS_REPLY_STRING) {
        (void)snprintf(r->message, sizeof(r->message), "%.*s",
                       (int)(len < sizeof(r->message) ? len : sizeof(r->message) - 1), bytes);
        return r;
    }
    r->owned = mem_try_alloc(MEM_OTHER, len + 1);
    if (!r->owned)
        return NULL;
    memcpy(r->owned, bytes, len);
    r->text = (struct view){r->owned, len};
    return r;
}

#if HIREDIS_MAJOR >= 1
typedef size_t array_count;
#else
typedef int array_count;
#endif

static void *on_array(const redisReadTask *task, array_count count)
{
    return NULL;
}

#if HIREDIS_MAJOR >= 1 /* of RESP3, which nobody asked for */
static void *on_double(const redisReadTask *task, double value, char *text, size_t len)
{
    return NULL;
}

static void *on_bool(const redisReadTask *task, int value)
{
    return NULL;
}
#endif

static void *on_integer(const redisReadTask *task, long long value)
{
    struct valkey_reply *r = task->privdata;
    r->type = task->type;
    return task->parent ? NULL : r;
}

/* The task's type is that of the answer which is not there. */
static void *on_nil(const redisReadTask *task)
{
    struct valkey_reply *r = task->privdata;
    r->type = REDIS_REPLY_NIL;
    return task->parent ? NULL : r;
}

static void on_free(void *reply)
{
}

static redisReplyObjectFunctions FUNCTIONS = {
    .createString = on_text,
    .createArray = on_array,
    .createInteger = on_integer,
    .createNil = on_nil,
    .freeObject = on_free,
#if HIREDIS_MAJOR >= 1
    .createDouble = on_double,
    .createBool = on_bool,
#endif
};

static void reset(struct valkey_reply *r)
{
    mem_free(MEM_OTHER, r->owned);
    r->owned = NULL;
    r->text = (struct view){NULL, 0};
    r->message[0] = '\0';
    r->type = 0;
}

static redisReader *reader_new(struct valkey_reply *r)
{
    redisReader *reader = redisReaderCreateWithFunctions(&FUNCTIONS);
    if (reader)
        reader->privdata = r;
    return reader;
}

bool valkey_reply_init(struct valkey_reply *r, size_t bytes_max)
{
    *r = (struct valkey_reply){.bytes_max = bytes_max};
    r->reader = reader_new(r);
    return r->reader != NULL;
}

void valkey_reply_deinit(struct valkey_reply *r)
{
    reset(r);
    if (r->reader)
        redisReaderFree(r->reader);
    r->reader = NULL;
}

void valkey_reply_release(struct valkey_reply *r)
{
    reset(r);
    /* hiredis keeps its buffer until it is fed again. Bytes that nobody asked for are for the next command to stumble over. */
    bool is_empty = r->reader->pos == r->reader->len;
    redisReader *small = r->is_large && is_empty ? reader_new(r) : NULL;
    if (!small)
        return;
    redisReaderFree(r->reader);
    r->reader = small;
    r->is_large = false;
}

static bool broken(const struct valkey_reply *r, struct error *err)
{
    return error_set(err, ERROR_CORRUPT, "it does not speak Valkey's protocol: %s",
                     r->reader->errstr[0] ? r->reader->errstr : "an answer of no known kind");
}

bool valkey_reply_feed(struct valkey_reply *r, struct view bytes, struct error *err)
{
    r->bytes += bytes.len;
    r->is_large |= r->bytes > KEPT_BYTES_MAX;
    if (r->bytes > r->bytes_max)
        return error_set(err, ERROR_TOO_LARGE, "an answer of more than %zu bytes", r->bytes_max);
    return redisReaderFeed(r->reader, bytes.ptr, bytes.len) == REDIS_OK || broken(r, err);
}

bool valkey_reply_next(struct valkey_reply *r, struct error *err)
{
    void *reply = NULL;
    reset(r);
    if (redisReaderGetReply(r->reader, &reply) != REDIS_OK)
        return broken(r, err);
    if (!reply)
        r->type = 0;
    else
        r->bytes = 0;
    return true;
}
