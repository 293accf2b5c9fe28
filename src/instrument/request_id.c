/* SPDX-License-Identifier: Apache-2.0 */
/* request_id.c: random ids, and which ids of others are taken over.
 *
 * A thread asks the kernel for 64 bytes at a time and wipes what it used: 8 ids per system call. After fork() the child
 * throws the parent's bytes away: no two processes give the same id. */
#include "instrument/request_private.h"
#include "instrument/status.h"
#include "instrument/threads.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

enum { POOL_BYTES = 64 };

struct random_pool {
    uint8_t bytes[POOL_BYTES];
    unsigned left;  /* the last `left` of them are unused */
    unsigned forks; /* fork_count() when they came */
};

static _Thread_local struct random_pool pool __attribute__((tls_model("initial-exec")));

static NOINLINE bool pool_fill(struct random_pool *p, unsigned forks)
{
    ssize_t n;
    belfry__fork_watch();
    do
        n = getrandom(p->bytes, sizeof p->bytes, 0);
    while (n < 0 && errno == EINTR);
    p->left = n == sizeof p->bytes ? POOL_BYTES : 0;
    p->forks = forks;
    return p->left > 0;
}

bool belfry__random(void *out, size_t len)
{
    struct random_pool *p = &pool;
    unsigned forks = fork_count();
    if (p->forks != forks)
        p->left = 0;
    if (p->left < len && (len > POOL_BYTES || !pool_fill(p, forks)))
        return false;
    uint8_t *from = p->bytes + POOL_BYTES - p->left;
    memcpy(out, from, len);
    memset(from, 0, len);
    p->left -= (unsigned)len;
    return true;
}

void belfry__hex(char *out, const uint8_t *bytes, size_t len)
{
    static const char DIGITS[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = DIGITS[bytes[i] >> 4];
        out[2 * i + 1] = DIGITS[bytes[i] & 15];
    }
    out[2 * len] = '\0';
}

belfry_status belfry_request_id_make(char out[BELFRY_REQUEST_ID_BYTES])
{
    uint8_t bytes[4];
    out[0] = '\0';
    if (!belfry__random(bytes, sizeof bytes))
        return belfry__fail(BELFRY_ERROR_SYSTEM, "the system gave no random bytes for an id");
    belfry__hex(out, bytes, sizeof bytes);
    return BELFRY_OK;
}

bool belfry_request_id_is_valid(const char *id, size_t len)
{
    if (!id || len == 0 || len > BELFRY_REQUEST_ID_BYTES_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = id[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '_' || c == '-'))
            return false;
    }
    return true;
}
