/* SPDX-License-Identifier: Apache-2.0 */
/* log_ring.c:
 *
 *   +--------+--------------------+--------+----------- ... ---+--------+-----+
 *   | header | line, padded to 8  | header | line              | header | pad |   pad: to the end, where a line did not fit
 *   +--------+--------------------+--------+----------- ... ---+--------+-----+
 *   header := 0 (not complete) | COMPLETE + bytes of the line | COMPLETE + PAD + bytes of the pad with its header
 *
 * Writers claim bytes by moving head (compare and swap), copy their line, then store the header. The reader takes
 * complete records in order, zeroes what it took, then moves tail.
 *
 * Why this is right: between tail and head every byte belongs to one writer until its header is complete; the store of the
 * header (seq_cst, so release) pairs with the reader's load, which orders the copy before the reading. What is not
 * claimed is zero: the reader zeroes before it moves tail (release), a writer loads tail (acquire) before it
 * claims. So a header that the reader finds at tail is 0 or one that a writer stored there, whatever lines contain.
 * A writer that is stopped between claim and header holds back the reader, never another writer; the ring fills and lines
 * are dropped meanwhile. The header's store and the reader's last look before sleeping are seq_cst: see log.c. */
#include "instrument/log_ring.h"

#include <stdlib.h>
#include <string.h>

static const uint64_t COMPLETE = UINT64_C(1) << 63, PAD = UINT64_C(1) << 62, LENGTH = UINT32_MAX;

enum { HEADER_BYTES = 8, RING_BYTES_MIN = 64 * 1024 };

bool belfry__log_ring_init(struct log_ring *r, size_t bytes)
{
    r->size = RING_BYTES_MIN;
    while (r->size < bytes && r->size < (UINT64_C(1) << 31))
        r->size *= 2;
    r->bytes = calloc(1, r->size); /* aligned for any type, so for headers */
    atomic_init(&r->head, 0);
    atomic_init(&r->tail, 0);
    return r->bytes != NULL;
}

void belfry__log_ring_deinit(struct log_ring *r)
{
    free(r->bytes);
    r->bytes = NULL;
}

void belfry__log_ring_reset(struct log_ring *r)
{
    memset(r->bytes, 0, r->size);
    atomic_store_explicit(&r->head, 0, memory_order_relaxed);
    atomic_store_explicit(&r->tail, 0, memory_order_release);
}

static _Atomic uint64_t *header_at(const struct log_ring *r, uint64_t pos)
{
    return (_Atomic uint64_t *)(void *)(r->bytes + (pos & (r->size - 1)));
}

static uint64_t record_bytes(uint64_t len)
{
    return HEADER_BYTES + (len + 7) / 8 * 8;
}

bool belfry__log_ring_push(struct log_ring *r, const char *line, size_t len)
{
    uint64_t need = record_bytes(len), to_end, claim;
    uint64_t pos = atomic_load_explicit(&r->head, memory_order_relaxed);
    do {
        uint64_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
        if (tail > pos) /* this thread was away so long that its head has been read */
            pos = atomic_load_explicit(&r->head, memory_order_relaxed);
        to_end = r->size - (pos & (r->size - 1));
        claim = need <= to_end ? need : to_end + need;
        if (pos + claim - tail > r->size)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&r->head, &pos, pos + claim,
                                                    memory_order_relaxed, memory_order_relaxed));
    if (claim != need) {
        atomic_store_explicit(header_at(r, pos), COMPLETE | PAD | to_end, memory_order_release);
        pos += to_end;
    }
    memcpy(r->bytes + (pos & (r->size - 1)) + HEADER_BYTES, line, len);
    atomic_store_explicit(header_at(r, pos), COMPLETE | len, memory_order_seq_cst);
    return true;
}

bool belfry__log_ring_has_lines(const struct log_ring *r)
{
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    return atomic_load_explicit(header_at(r, tail), memory_order_seq_cst) != 0;
}

size_t belfry__log_ring_take(struct log_ring *r, char *out, size_t out_bytes)
{
    uint64_t from = atomic_load_explicit(&r->tail, memory_order_relaxed), pos = from;
    size_t taken = 0;
    while (pos - from < r->size) {
        uint64_t header = atomic_load_explicit(header_at(r, pos), memory_order_acquire);
        uint64_t len = header & LENGTH;
        if (header == 0 || (!(header & PAD) && len > out_bytes - taken))
            break;
        if (header & PAD) {
            pos += len;
            continue;
        }
        memcpy(out + taken, r->bytes + (pos & (r->size - 1)) + HEADER_BYTES, len);
        taken += len;
        pos += record_bytes(len);
    }
    uint64_t first = from & (r->size - 1), to_end = r->size - first, bytes = pos - from;
    memset(r->bytes + first, 0, bytes < to_end ? bytes : to_end);
    if (bytes > to_end)
        memset(r->bytes, 0, bytes - to_end);
    atomic_store_explicit(&r->tail, pos, memory_order_release);
    return taken;
}
