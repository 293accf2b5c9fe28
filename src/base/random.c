/* SPDX-License-Identifier: Apache-2.0 */
/* random.c: the system's generator for secrets; xoshiro256** (Blackman and Vigna, 2018), seeded by
 * splitmix64 as its authors advise, for everything else. */
#include "base/random.h"

#include "base/assert.h"

#include <errno.h>
#include <sys/random.h>

void random_secret(void *out, size_t len)
{
    unsigned char *p = out;
    while (len > 0) {
        ssize_t n = getrandom(p, len, 0);
        if (n < 0) {
            ASSERT(errno == EINTR); /* a system without random numbers is none to run on */
            continue;
        }
        p += n;
        len -= (size_t)n;
    }
}

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void random_seed(struct random *r, uint64_t seed)
{
    for (size_t i = 0; i < ARRAY_COUNT(r->state); i++)
        r->state[i] = splitmix(&seed);
}

static uint64_t rotate_left(uint64_t v, unsigned by)
{
    return v << by | v >> (64 - by);
}

uint64_t random_next(struct random *r)
{
    uint64_t *s = r->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t random_below(struct random *r, uint64_t below)
{
    ASSERT(below > 0);
    /* Numbers under the remainder of 2^64 / below would make small results more likely. */
    uint64_t skip = (0 - below) % below, v;
    do
        v = random_next(r);
    while (v < skip);
    return v % below;
}

double random_unit(struct random *r)
{
    return (double)(random_next(r) >> 11) * 0x1p-53;
}
