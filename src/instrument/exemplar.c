/* SPDX-License-Identifier: Apache-2.0 */
/* exemplar.c: a slot is guarded by a sequence, odd while a thread stores. Readers copy and look whether it has changed; words
 * are atomic, so that a copy that came to nothing is no data race. The child of a fork may inherit an odd slot whose
 * thread is not there any more: that one example is then neither shown nor replaced.
 *
 * Slots are mapped, many at once, and taken without a lock or malloc: counters are counted in signal handlers. A list of free
 * ones is taken whole and put back without its first, so that no other thread or handler can see it change. */
#include "instrument/exemplar.h"

#include "instrument/cells.h"
#include "instrument/clock.h"
#include "instrument/names.h"
#include "instrument/status.h"

#include <string.h>

enum { SLOT_PAGE_BYTES = 16384 };
enum { TEXT_WORDS = (EXEMPLAR_TEXT_BYTES + 7) / 8, READ_TRIES = 100, CURRENT_INTERVAL_MS = 1000 };

struct exemplar_slot {
    struct exemplar_slot *next; /* among free ones */
    _Atomic uint32_t sequence;  /* 0 = nothing stored yet */
    _Atomic uint32_t sizes;     /* labels << 16 | bytes of text */
    _Atomic uint64_t value;     /* a double */
    _Atomic int64_t timestamp_ms;
    _Atomic uint64_t text[TEXT_WORDS];
};

bool belfry__exemplar_set(const belfry_label *labels, size_t count)
{
    struct cell_block *block = belfry__block_get();
    if (!block)
        return false;
    /* A signal handler of this thread finds the old, nothing or the new. */
    atomic_store_explicit(&block->exemplar, NULL, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&block->exemplar_count, count, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&block->exemplar, count ? labels : NULL, memory_order_relaxed);
    return true;
}

const belfry_label *belfry__exemplar_current(size_t *count)
{
    const struct cell_block *block = belfry__block;
    const belfry_label *labels =
        block ? atomic_load_explicit(&block->exemplar, memory_order_relaxed) : NULL;
    *count = labels ? atomic_load_explicit(&block->exemplar_count, memory_order_relaxed) : 0;
    return labels;
}

belfry_status belfry__exemplar_check(const belfry_label *labels, size_t count)
{
    size_t characters = 0;
    if (count == 0 || !labels)
        return belfry__fail(BELFRY_ERROR_LABELS, "an exemplar has no labels");
    if (count > BELFRY_LABELS_MAX)
        return belfry__fail(BELFRY_ERROR_LABELS, "an exemplar has %zu labels, at most %d allowed",
                            count, BELFRY_LABELS_MAX);
    for (size_t i = 0; i < count; i++) {
        belfry_status status = belfry__check_label_name("exemplar", labels[i].name);
        if (status != BELFRY_OK)
            return status;
        for (size_t earlier = 0; earlier < i; earlier++) {
            if (strcmp(labels[i].name, labels[earlier].name) == 0)
                return belfry__fail(BELFRY_ERROR_LABELS, "an exemplar has label \"%s\" twice",
                                    labels[i].name);
        }
        status = belfry__check_label_value("exemplar", labels[i].name, labels[i].value,
                                           BELFRY_EXEMPLAR_CHARACTERS_MAX * 4);
        if (status != BELFRY_OK)
            return status;
        characters +=
            belfry__utf8_characters(labels[i].name) + belfry__utf8_characters(labels[i].value);
    }
    if (characters > BELFRY_EXEMPLAR_CHARACTERS_MAX)
        return belfry__fail(BELFRY_ERROR_LABELS,
                            "an exemplar's labels have %zu characters, at most %d allowed",
                            characters, BELFRY_EXEMPLAR_CHARACTERS_MAX);
    return BELFRY_OK;
}

static _Atomic(struct exemplar_slot *) free_slots;

/* Where others have put some back meanwhile, they are few: its list goes before `slots`. */
static void slots_put(struct exemplar_slot *slots)
{
    struct exemplar_slot *none = NULL;
    while (slots && !atomic_compare_exchange_strong_explicit(
                        &free_slots, &none, slots, memory_order_acq_rel, memory_order_relaxed)) {
        struct exemplar_slot *others =
            atomic_exchange_explicit(&free_slots, NULL, memory_order_acq_rel);
        struct exemplar_slot *last = others;
        while (last && last->next)
            last = last->next;
        if (last) {
            last->next = slots;
            slots = others;
        }
        none = NULL;
    }
}

static struct exemplar_slot *slots_map(void)
{
    struct exemplar_slot *slots = belfry__map_zeros(SLOT_PAGE_BYTES);
    for (size_t i = 0; slots && i + 1 < SLOT_PAGE_BYTES / sizeof(*slots); i++)
        slots[i].next = &slots[i + 1];
    return slots;
}

/* All zero. NULL without memory. */
static struct exemplar_slot *slot_take(void)
{
    struct exemplar_slot *slot = atomic_exchange_explicit(&free_slots, NULL, memory_order_acq_rel);
    if (!slot)
        slot = slots_map();
    if (slot) {
        slots_put(slot->next);
        slot->next = NULL;
    }
    return slot;
}

void belfry__exemplar_free(struct exemplar_slot *slot)
{
    if (!slot)
        return;
    memset(slot, 0, sizeof(*slot));
    slot->next = atomic_load_explicit(&free_slots, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&free_slots, &slot->next, slot,
                                                  memory_order_release, memory_order_relaxed))
        ;
}

static struct exemplar_slot *slot_get(_Atomic(struct exemplar_slot *) *place)
{
    struct exemplar_slot *slot = atomic_load_explicit(place, memory_order_acquire);
    if (slot)
        return slot;
    struct exemplar_slot *made = slot_take();
    if (!made)
        return NULL;
    if (atomic_compare_exchange_strong_explicit(place, &slot, made, memory_order_acq_rel,
                                                memory_order_acquire))
        return made;
    belfry__exemplar_free(made);
    return slot;
}

void belfry__exemplar_store(_Atomic(struct exemplar_slot *) *place, double value,
                            const belfry_label *labels, size_t count)
{
    uint64_t words[TEXT_WORDS];
    char *text = (char *)words;
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const char *const parts[] = {labels[i].name, labels[i].value};
        for (size_t k = 0; k < 2; k++) {
            size_t len = strlen(parts[k]) + 1;
            if (len > sizeof(words) - bytes)
                return;
            memcpy(text + bytes, parts[k], len);
            bytes += len;
        }
    }
    memset(text + bytes, 0, (8 - bytes % 8) % 8);
    struct exemplar_slot *slot = slot_get(place);
    if (!slot)
        return;
    uint32_t sequence = atomic_load_explicit(&slot->sequence, memory_order_relaxed);
    if (sequence % 2 ||
        !atomic_compare_exchange_strong_explicit(&slot->sequence, &sequence, sequence + 1,
                                                 memory_order_acquire, memory_order_relaxed))
        return;
    /* release: whoever reads one of these sees the odd sequence too */
    atomic_store_explicit(&slot->sizes, (uint32_t)(count << 16 | bytes), memory_order_release);
    atomic_store_explicit(&slot->value, bits_from_double(value), memory_order_release);
    atomic_store_explicit(&slot->timestamp_ms, belfry__clock_ms(), memory_order_release);
    for (size_t i = 0; i < (bytes + 7) / 8; i++)
        atomic_store_explicit(&slot->text[i], words[i], memory_order_release);
    sequence += 2;
    atomic_store_explicit(&slot->sequence, sequence ? sequence : 2, memory_order_release);
}

void belfry__exemplar_store_current(_Atomic(struct exemplar_slot *) *place, double value)
{
    struct exemplar_slot *slot = atomic_load_explicit(place, memory_order_acquire);
    if (slot) {
        int64_t stored_ms = atomic_load_explicit(&slot->timestamp_ms, memory_order_relaxed);
        int64_t age_ms = belfry__clock_ms() - stored_ms; /* below 0: the clock was set back */
        if (age_ms >= 0 && age_ms < CURRENT_INTERVAL_MS)
            return;
    }
    size_t count;
    const belfry_label *labels = belfry__exemplar_current(&count);
    if (labels)
        belfry__exemplar_store(place, value, labels, count);
}

bool belfry__exemplar_read(_Atomic(struct exemplar_slot *) const *place, struct exemplar *out)
{
    const struct exemplar_slot *slot = atomic_load_explicit(place, memory_order_acquire);
    for (int tries = 0; slot && tries < READ_TRIES; tries++) {
        uint32_t before = atomic_load_explicit(&slot->sequence, memory_order_acquire);
        if (before == 0)
            return false;
        if (before % 2)
            continue;
        uint32_t sizes = atomic_load_explicit(&slot->sizes, memory_order_acquire);
        out->label_count = sizes >> 16;
        out->text_bytes = sizes & 0xffff;
        out->value = double_from_bits(atomic_load_explicit(&slot->value, memory_order_acquire));
        out->timestamp_ms = atomic_load_explicit(&slot->timestamp_ms, memory_order_acquire);
        for (size_t i = 0; i * 8 < out->text_bytes; i++) {
            uint64_t word = atomic_load_explicit(&slot->text[i], memory_order_acquire);
            size_t left = out->text_bytes - i * 8;
            memcpy(out->text + i * 8, &word, left < 8 ? left : 8);
        }
        if (atomic_load_explicit(&slot->sequence, memory_order_relaxed) == before)
            return true;
    }
    return false;
}
