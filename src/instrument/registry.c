/* SPDX-License-Identifier: Apache-2.0 */
/* registry.c: what is registered. A family is built whole, then added under the lock; so every
 * failure leaves the registry as it was. */
#include "instrument/registry.h"

#include "instrument/family.h"
#include "instrument/lock.h"
#include "instrument/status.h"

#include <stdlib.h>
#include <string.h>

enum { FAMILY_COUNT_MAX = 1000000, NAME_SLOTS_MIN = 64, SUFFIX_COUNT_MAX = 4 };

/* The name of a sample: the family's, and a suffix. */
struct sample_name {
    struct family *family; /* NULL: empty, or was taken out (hash 1) */
    uint32_t hash;
    uint8_t suffix;
};

static const char *const SUFFIXES[SUFFIX_COUNT_MAX] = {"", "_sum", "_count", "_bucket"};

/* How many of the suffixes a family's samples have. */
static size_t suffix_count(const struct family *f)
{
    return f->type == BELFRY_HISTOGRAM ? 4 : f->type == BELFRY_SUMMARY ? 3 : 1;
}

/* --- a registry's life --- */

belfry_registry *belfry_registry_new(void)
{
    return calloc(1, sizeof(belfry_registry));
}

static _Atomic(belfry_registry *) default_registry;

belfry_registry *belfry_registry_default(void)
{
    belfry_registry *r = atomic_load_explicit(&default_registry, memory_order_acquire);
    if (r)
        return r;
    belfry_registry *made = belfry_registry_new();
    if (made && !atomic_compare_exchange_strong_explicit(
                    &default_registry, &r, made, memory_order_acq_rel, memory_order_acquire))
        free(made);
    else
        r = made;
    return r;
}

static void labels_free(belfry_label *labels, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((char *)(uintptr_t)labels[i].name); /* our copies */
        free((char *)(uintptr_t)labels[i].value);
    }
    free(labels);
}

void belfry_registry_free(belfry_registry *r)
{
    if (!r || r == atomic_load_explicit(&default_registry, memory_order_acquire))
        return;
    for (size_t i = 0; i < r->collector_count; i++) {
        if (r->collectors[i].release)
            r->collectors[i].release(r->collectors[i].arg);
    }
    belfry__lock();
    for (size_t i = 0; i < r->family_count; i++)
        belfry__family_free_locked(r->families[i]);
    for (size_t i = 0; i < r->gone_count; i++)
        belfry__family_free_locked(r->gone[i]);
    belfry__unlock();
    labels_free(r->labels, r->label_count);
    free((char *)(uintptr_t)atomic_load_explicit(&r->prefix, memory_order_relaxed)); /* our copy */
    free(r->families);
    free(r->gone);
    free(r->names);
    free(r->collectors);
    free(r);
}

/* NULL stands for the default one. NULL without memory: the error is set. */
static belfry_registry *registry_or_default(belfry_registry *r)
{
    if (!r)
        r = belfry_registry_default();
    if (!r)
        belfry__fail_plainly(BELFRY_ERROR_MEMORY);
    return r;
}

/* Those that register or write read prefix and labels without the lock. */
static bool is_used_locked(const belfry_registry *r)
{
    return r->family_count || r->gone_count || r->collector_count || r->registering_count ||
           r->writing_count;
}

belfry_status belfry_registry_set_prefix(belfry_registry *r, const char *prefix)
{
    r = registry_or_default(r);
    if (!r)
        return BELFRY_ERROR_MEMORY;
    if (prefix && !prefix[0])
        prefix = NULL;
    belfry_status status = prefix ? belfry__check_metric_name(prefix) : BELFRY_OK;
    if (status != BELFRY_OK)
        return status;
    char *copy = prefix ? strdup(prefix) : NULL;
    if (prefix && !copy)
        return belfry__fail_plainly(BELFRY_ERROR_MEMORY);
    belfry__lock();
    bool is_used = is_used_locked(r);
    if (!is_used) {
        free((char *)(uintptr_t)atomic_load_explicit(&r->prefix, memory_order_relaxed));
        atomic_store_explicit(&r->prefix, copy, memory_order_release);
    }
    belfry__unlock();
    if (!is_used)
        return BELFRY_OK;
    free(copy);
    return belfry__fail(BELFRY_ERROR_USED, "prefix \"%s\" comes too late: the registry has metrics",
                        prefix ? prefix : "");
}

/* Constant labels: valid, and none twice. */
static belfry_status const_labels_check(const belfry_label *labels, size_t count)
{
    if (count > BELFRY_LABELS_MAX)
        return belfry__fail(BELFRY_ERROR_LABELS,
                            "a registry has %zu constant labels, at most %d allowed", count,
                            BELFRY_LABELS_MAX);
    for (size_t i = 0; i < count; i++) {
        belfry_status status = belfry__check_label_name("registry", labels[i].name);
        if (status == BELFRY_OK)
            status = belfry__check_label_value("registry", labels[i].name, labels[i].value,
                                               BELFRY_LABEL_VALUE_BYTES_MAX);
        if (status != BELFRY_OK)
            return status;
        for (size_t earlier = 0; earlier < i; earlier++) {
            if (strcmp(labels[i].name, labels[earlier].name) == 0)
                return belfry__fail(BELFRY_ERROR_LABELS,
                                    "registry: constant label \"%s\" is there twice",
                                    labels[i].name);
        }
    }
    return BELFRY_OK;
}

static belfry_label *labels_copy(const belfry_label *labels, size_t count)
{
    belfry_label *copy = calloc(count ? count : 1, sizeof(copy[0]));
    for (size_t i = 0; copy && i < count; i++) {
        copy[i].name = strdup(labels[i].name);
        copy[i].value = strdup(labels[i].value);
        if (!copy[i].name || !copy[i].value) {
            labels_free(copy, i + 1);
            return NULL;
        }
    }
    return copy;
}

belfry_status belfry_registry_set_labels(belfry_registry *r, const belfry_label *labels,
                                         size_t label_count)
{
    r = registry_or_default(r);
    if (!r)
        return BELFRY_ERROR_MEMORY;
    if (label_count && !labels)
        return belfry__fail_plainly(BELFRY_ERROR_NULL);
    belfry_status status = const_labels_check(labels, label_count);
    if (status != BELFRY_OK)
        return status;
    belfry_label *copy = labels_copy(labels, label_count);
    if (!copy)
        return belfry__fail_plainly(BELFRY_ERROR_MEMORY);
    size_t copy_count = label_count;
    belfry__lock();
    bool is_used = is_used_locked(r);
    if (!is_used) { /* what was there before goes below */
        belfry_label *before = r->labels;
        copy_count = r->label_count;
        r->labels = copy;
        r->label_count = label_count;
        copy = before;
    }
    belfry__unlock();
    labels_free(copy, copy_count);
    return is_used ? belfry__fail(BELFRY_ERROR_USED,
                                  "constant labels come too late: the registry has metrics")
                   : BELFRY_OK;
}

belfry_status belfry_registry_show_created(belfry_registry *r, bool show)
{
    r = registry_or_default(r);
    if (!r)
        return BELFRY_ERROR_MEMORY;
    atomic_store_explicit(&r->shows_created, show, memory_order_relaxed);
    return BELFRY_OK;
}

/* --- names of samples --- */

/* FNV-1a over name and suffix; 0 and 1 mean empty slots. */
static uint32_t name_hash(const char *name, const char *suffix)
{
    uint32_t h = 2166136261U;
    for (const char *c = name; *c; c++)
        h = (h ^ (unsigned char)*c) * 16777619U;
    for (const char *c = suffix; *c; c++)
        h = (h ^ (unsigned char)*c) * 16777619U;
    return h > 1 ? h : h + 2;
}

/* Is name1 + suffix1 the same as name2 + suffix2? */
static bool names_are_equal(const char *name1, const char *suffix1, const char *name2,
                            const char *suffix2)
{
    size_t len1 = strlen(name1), len2 = strlen(name2);
    if (len1 > len2)
        return names_are_equal(name2, suffix2, name1, suffix1);
    size_t between = len2 - len1; /* of suffix1, which lie in name2 */
    return memcmp(name1, name2, len1) == 0 && strncmp(suffix1, name2 + len1, between) == 0 &&
           strlen(suffix1) >= between && strcmp(suffix1 + between, suffix2) == 0;
}

static struct sample_name *name_find_locked(const belfry_registry *r, const char *name,
                                            const char *suffix)
{
    uint32_t hash = name_hash(name, suffix);
    for (size_t slot = hash; r->name_slots; slot++) {
        struct sample_name *n = &r->names[slot & (r->name_slots - 1)];
        if (n->hash == 0)
            break;
        if (n->hash == hash && names_are_equal(n->family->name, SUFFIXES[n->suffix], name, suffix))
            return n;
    }
    return NULL;
}

static void name_put_locked(belfry_registry *r, struct sample_name name)
{
    size_t slot = name.hash & (r->name_slots - 1);
    while (r->names[slot].hash != 0)
        slot = (slot + 1) & (r->name_slots - 1);
    r->names[slot] = name;
    r->name_count++;
    r->name_count_live++;
}

/* Room for the names of one more family: at most half of the slots are used. */
static bool names_reserve_locked(belfry_registry *r)
{
    if ((r->name_count + SUFFIX_COUNT_MAX) * 2 <= r->name_slots)
        return true;
    size_t slots = NAME_SLOTS_MIN, old_slots = r->name_slots;
    while (slots < (r->name_count_live + SUFFIX_COUNT_MAX) * 3)
        slots *= 2;
    struct sample_name *names = calloc(slots, sizeof(names[0])), *old = r->names;
    if (!names)
        return false;
    r->names = names;
    r->name_slots = slots;
    r->name_count = r->name_count_live = 0;
    for (size_t i = 0; i < old_slots; i++) {
        if (old[i].family)
            name_put_locked(r, old[i]);
    }
    free(old);
    return true;
}

/* The family that has a sample with the name of one of f's. NULL: none. */
static struct family *family_beside_locked(const belfry_registry *r, const struct family *f)
{
    for (size_t i = 0; i < suffix_count(f); i++) {
        const struct sample_name *n = name_find_locked(r, f->name, SUFFIXES[i]);
        if (n)
            return n->family;
    }
    return NULL;
}

/* --- adding and taking out --- */

static bool families_reserve(struct family ***families, size_t count, size_t *capacity)
{
    if (count < *capacity)
        return true;
    size_t more = *capacity ? *capacity * 2 : 16;
    struct family **grown = realloc(*families, more * sizeof(grown[0]));
    if (!grown)
        return false;
    *families = grown;
    *capacity = more;
    return true;
}

/* *beside: the family that is in the way, with BELFRY_ERROR_EXISTS. */
static belfry_status registry_add_locked(belfry_registry *r, struct family *f,
                                         struct family **beside)
{
    *beside = family_beside_locked(r, f);
    if (*beside)
        return BELFRY_ERROR_EXISTS;
    if (r->family_count == FAMILY_COUNT_MAX)
        return BELFRY_ERROR_LIMIT;
    if (!families_reserve(&r->families, r->family_count, &r->family_capacity) ||
        !names_reserve_locked(r))
        return BELFRY_ERROR_MEMORY;
    r->families[r->family_count++] = f;
    for (size_t i = 0; i < suffix_count(f); i++)
        name_put_locked(r, (struct sample_name){f, name_hash(f->name, SUFFIXES[i]), (uint8_t)i});
    return BELFRY_OK;
}

/* Under the lock: `beside` may be freed by others afterwards. */
static belfry_status fail_exists_locked(const struct family *f, const struct family *beside,
                                        bool alike)
{
    if (alike)
        return belfry__fail(BELFRY_ERROR_EXISTS, "\"%s\" is registered already, as the same %s",
                            f->name, belfry__type_name(f->type));
    if (strcmp(f->name, beside->name) != 0)
        return belfry__fail(
            BELFRY_ERROR_EXISTS, "%s \"%s\" would have samples that the registered %s \"%s\" has",
            belfry__type_name(f->type), f->name, belfry__type_name(beside->type), beside->name);
    if (f->type != beside->type)
        return belfry__fail(BELFRY_ERROR_EXISTS, "\"%s\" is registered already, as a %s, not a %s",
                            f->name, belfry__type_name(beside->type), belfry__type_name(f->type));
    return belfry__fail(BELFRY_ERROR_EXISTS,
                        "\"%s\" is registered already, with other labels, buckets or functions",
                        f->name);
}

/* Adds the family that was made, or frees it: *f is then what is there and is the same, or NULL. */
static belfry_status registry_take_locked(belfry_registry *r, struct family **f,
                                          belfry_status status)
{
    struct family *made = *f, *beside = NULL;
    if (status == BELFRY_OK)
        status = registry_add_locked(r, made, &beside);
    if (status == BELFRY_OK)
        return status;
    *f = beside && belfry__families_are_alike(made, beside) ? beside : NULL;
    if (status == BELFRY_ERROR_EXISTS)
        fail_exists_locked(made, beside, *f != NULL);
    else
        belfry__fail(status, "\"%s\": %s", made->name, belfry_status_text(status));
    belfry__family_free_locked(made);
    return status;
}

static void registering_count(belfry_registry *r, int by)
{
    belfry__lock();
    r->registering_count += (size_t)by;
    belfry__unlock();
}

belfry_status belfry__register(belfry_registry *r, const struct family_spec *spec,
                               struct family **out_family, struct metric **out_metric,
                               const char *const *values)
{
    struct family *f;
    struct metric *only = NULL;
    r = registry_or_default(r);
    if (!r)
        return BELFRY_ERROR_MEMORY;
    registering_count(r, 1);
    belfry_status status = belfry__family_new(&f, r, spec);
    if (status == BELFRY_OK) {
        if (out_metric) {
            only = belfry__family_with(f, values, SIZE_MAX);
            status = only ? BELFRY_OK : BELFRY_ERROR_MEMORY;
        }
        belfry__lock();
        status = registry_take_locked(r, &f, status);
        if (out_metric && status != BELFRY_OK) /* of an info that is there none is made */
            only = f ? belfry__family_find_locked(f, values) : NULL;
        belfry__unlock();
        if (out_family)
            *out_family = f;
        if (out_metric)
            *out_metric = only;
    }
    registering_count(r, -1);
    return status;
}

/* The registered family that was given this name. NULL: the error is set. */
static struct family *family_find_locked(const belfry_registry *r, const char *name)
{
    const char *prefix = atomic_load_explicit(&r->prefix, memory_order_relaxed);
    struct sample_name *n = NULL;
    char full[2 * NAME_BYTES_MAX + 1];
    size_t prefix_len = prefix ? strlen(prefix) : 0, len = strnlen(name, NAME_BYTES_MAX);
    if (prefix_len)
        memcpy(full, prefix, prefix_len);
    memcpy(full + prefix_len, name, len);
    full[prefix_len + len] = '\0';
    n = name_find_locked(r, full, "");
    if (n && n->suffix == 0)
        return n->family;
    belfry__fail(BELFRY_ERROR_NOT_FOUND, "\"%s\" is not registered", full);
    return NULL;
}

static void family_take_out_locked(belfry_registry *r, struct family *f)
{
    for (size_t i = 0; i < suffix_count(f); i++) {
        struct sample_name *n = name_find_locked(r, f->name, SUFFIXES[i]);
        *n = (struct sample_name){.hash = 1}; /* not empty: others are found behind it */
        r->name_count_live--;
    }
    size_t at = 0;
    while (r->families[at] != f)
        at++;
    r->family_count--;
    memmove(r->families + at, r->families + at + 1,
            (r->family_count - at) * sizeof(r->families[0]));
    r->gone[r->gone_count++] = f;
    atomic_store_explicit(&f->is_unregistered, true, memory_order_relaxed);
}

belfry_status belfry_unregister(belfry_registry *r, const char *name)
{
    if (!name)
        return belfry__fail_plainly(BELFRY_ERROR_NULL);
    r = registry_or_default(r);
    if (!r)
        return BELFRY_ERROR_MEMORY;
    belfry_status status = BELFRY_ERROR_NOT_FOUND;
    belfry__lock();
    struct family *f = family_find_locked(r, name);
    if (f) {
        status = families_reserve(&r->gone, r->gone_count, &r->gone_capacity) ? BELFRY_OK
                                                                              : BELFRY_ERROR_MEMORY;
        if (status == BELFRY_OK)
            family_take_out_locked(r, f);
    }
    belfry__unlock();
    return status == BELFRY_ERROR_MEMORY ? belfry__fail_plainly(status) : status;
}

belfry_status belfry_set_children_max(belfry_registry *r, const char *name, size_t children_max)
{
    if (!name)
        return belfry__fail_plainly(BELFRY_ERROR_NULL);
    r = registry_or_default(r);
    if (!r)
        return BELFRY_ERROR_MEMORY;
    belfry__lock();
    struct family *f = family_find_locked(r, name);
    belfry__unlock();
    return f ? belfry__family_set_children_max(f, children_max) : BELFRY_ERROR_NOT_FOUND;
}

/* Does the name end in _unit, or, a counter's, in _unit_total? */
static bool name_has_unit(const struct family *f, const char *unit)
{
    size_t len = strlen(f->name), unit_len = strlen(unit);
    if (f->type == BELFRY_COUNTER && len > 6 && strcmp(f->name + len - 6, "_total") == 0)
        len -= 6;
    return unit_len > 0 && len > unit_len + 1 && f->name[len - unit_len - 1] == '_' &&
           memcmp(f->name + len - unit_len, unit, unit_len) == 0;
}

belfry_status belfry_set_unit(belfry_registry *r, const char *name, const char *unit)
{
    if (!name || !unit)
        return belfry__fail_plainly(BELFRY_ERROR_NULL);
    r = registry_or_default(r);
    if (!r)
        return BELFRY_ERROR_MEMORY;
    char *copy = strdup(unit);
    if (!copy)
        return belfry__fail_plainly(BELFRY_ERROR_MEMORY);
    belfry__lock();
    struct family *f = family_find_locked(r, name);
    bool is_set = f && atomic_load_explicit(&f->unit, memory_order_relaxed) != NULL;
    bool has_units = f && f->type != BELFRY_INFO && f->type != BELFRY_STATESET;
    bool fits = has_units && !is_set && name_has_unit(f, unit);
    if (fits)
        atomic_store_explicit(&f->unit, copy, memory_order_release);
    belfry__unlock();
    if (fits)
        return BELFRY_OK;
    free(copy);
    if (!f)
        return BELFRY_ERROR_NOT_FOUND;
    if (!has_units)
        return belfry__fail(BELFRY_ERROR_NAME,
                            "\"%s\" is an info or a state set: these have no unit", name);
    return is_set ? belfry__fail(BELFRY_ERROR_USED, "the unit of \"%s\" is set already", name)
                  : belfry__fail(BELFRY_ERROR_NAME, "\"%s\" does not end in \"_%s\", its unit",
                                 name, unit);
}

/* --- collectors --- */

static belfry_status collector_add_locked(belfry_registry *r, struct collector c)
{
    if (r->collector_count == r->collector_capacity) {
        size_t capacity = r->collector_capacity ? r->collector_capacity * 2 : 4;
        struct collector *collectors = realloc(r->collectors, capacity * sizeof(collectors[0]));
        if (!collectors)
            return BELFRY_ERROR_MEMORY;
        r->collectors = collectors;
        r->collector_capacity = capacity;
    }
    r->collectors[r->collector_count++] = c;
    return BELFRY_OK;
}

belfry_status belfry_collector_new(belfry_registry *r,
                                   void (*collect)(void *arg, belfry_emitter *emitter), void *arg,
                                   void (*release)(void *arg))
{
    belfry_status status = collect ? BELFRY_ERROR_MEMORY : BELFRY_ERROR_FORMAT;
    if (!r)
        r = belfry_registry_default();
    if (r && collect) {
        belfry__lock();
        status = collector_add_locked(r, (struct collector){collect, arg, release});
        belfry__unlock();
    }
    if (status == BELFRY_OK)
        return status;
    if (release)
        release(arg);
    return belfry__fail(status, "a collector: %s",
                        collect ? belfry_status_text(status) : "there is no function to call");
}
