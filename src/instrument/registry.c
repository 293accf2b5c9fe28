/* SPDX-License-Identifier: Apache-2.0 */
/* registry.c: what is registered, and the children of families. A family is built whole, then added
 * under the registry's lock; so every failure leaves the registry as it was. */
#include "instrument/registry.h"

#include "instrument/cells.h"
#include "instrument/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FAMILY_COUNT_MAX = 100000, NAME_BYTES_MAX = 512, SLOT_COUNT_MIN = 16 };

const double belfry_buckets_seconds[BELFRY_BUCKETS_SECONDS_COUNT] = {
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

const char *belfry_status_text(belfry_status status)
{
    static const char *const texts[] = {
        [BELFRY_OK] = "done",
        [BELFRY_ERROR_NAME] = "the name of the metric or of a label is not valid",
        [BELFRY_ERROR_EXISTS] = "a metric with this name is registered already",
        [BELFRY_ERROR_LABELS] = "the labels are missing, too many or repeated",
        [BELFRY_ERROR_BUCKETS] = "the bucket bounds do not ascend, are not numbers or are too many",
        [BELFRY_ERROR_LIMIT] = "there are too many metrics",
        [BELFRY_ERROR_MEMORY] = "there is not enough memory",
        [BELFRY_ERROR_WRITE] = "the output was refused",
        [BELFRY_ERROR_FORMAT] = "an argument has a value that is not known",
        [BELFRY_ERROR_SYSTEM] = "a file could not be opened or a thread not be started",
    };
    size_t i = (size_t)status;
    return i < sizeof(texts) / sizeof(texts[0]) && texts[i] ? texts[i] : "unknown status";
}

/* --- names --- */

static bool is_name(const char *name, bool colons)
{
    if (!name || !name[0] || (name[0] >= '0' && name[0] <= '9'))
        return false;
    size_t len = 0;
    for (; name[len]; len++) {
        char c = name[len];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || (c == ':' && colons);
        if (!ok || len == NAME_BYTES_MAX)
            return false;
    }
    return true;
}

bool belfry__is_metric_name(const char *name)
{
    return is_name(name, true);
}

bool belfry__is_label_name(const char *name)
{
    return is_name(name, false) && strncmp(name, "__", 2) != 0;
}

/* --- a family's life --- */

static void metric_free(struct metric *m)
{
    if (!m)
        return;
    if (m->family->type == BELFRY_COUNTER)
        belfry__cells_give(m->cells, 2);
    else if (m->family->type == BELFRY_HISTOGRAM)
        belfry__cells_give(m->cells, m->bound_count + 2);
    free(m->labels);
    free(m->raw);
    free(m);
}

static void strings_free(char **strings, size_t count)
{
    for (size_t i = 0; strings && i < count; i++)
        free(strings[i]);
    free(strings);
}

static void family_free(struct family *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->child_count; i++)
        metric_free(f->children[i]);
    free(f->children);
    free(f->slots);
    strings_free(f->label_names, f->label_count);
    free(f->bounds);
    free(f->name);
    free(f->help);
    (void)pthread_mutex_destroy(&f->mutex); /* nobody may hold it: the registry goes */
    free(f);
}

static belfry_status labels_copy(struct family *f, const char *const *names, size_t count)
{
    f->label_names = calloc(count ? count : 1, sizeof(f->label_names[0]));
    if (!f->label_names)
        return BELFRY_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        if (!belfry__is_label_name(names[i]) ||
            (f->type == BELFRY_HISTOGRAM && strcmp(names[i], "le") == 0))
            return BELFRY_ERROR_NAME;
        for (size_t earlier = 0; earlier < i; earlier++) {
            if (strcmp(names[i], names[earlier]) == 0)
                return BELFRY_ERROR_LABELS;
        }
        f->label_names[i] = strdup(names[i]);
        f->label_count = i + 1;
        if (!f->label_names[i])
            return BELFRY_ERROR_MEMORY;
    }
    return BELFRY_OK;
}

static belfry_status bounds_copy(struct family *f, const double *bounds, size_t count)
{
    if (!bounds) {
        bounds = belfry_buckets_seconds;
        count = BELFRY_BUCKETS_SECONDS_COUNT;
    }
    if (count > 0 && isinf(bounds[count - 1]) && bounds[count - 1] > 0)
        count--;
    if (count == 0 || count > BELFRY_BUCKETS_MAX)
        return BELFRY_ERROR_BUCKETS;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(bounds[i]) || (i > 0 && !(bounds[i - 1] < bounds[i])))
            return BELFRY_ERROR_BUCKETS;
    }
    f->bounds = calloc(count, sizeof(f->bounds[0]));
    if (!f->bounds)
        return BELFRY_ERROR_MEMORY;
    memcpy(f->bounds, bounds, count * sizeof(bounds[0]));
    f->bound_count = count;
    return BELFRY_OK;
}

struct family_spec {
    const char *name, *help;
    belfry_metric_type type;
    const char *const *label_names;
    size_t label_count;
    const double *bounds;
    size_t bound_count;
};

static belfry_status family_new(struct family **out, const struct family_spec *spec)
{
    *out = NULL;
    if (!belfry__is_metric_name(spec->name))
        return BELFRY_ERROR_NAME;
    if (spec->label_count > BELFRY_LABELS_MAX)
        return BELFRY_ERROR_LABELS;
    struct family *f = calloc(1, sizeof(*f));
    if (!f)
        return BELFRY_ERROR_MEMORY;
    if (pthread_mutex_init(&f->mutex, NULL) != 0) {
        free(f);
        return BELFRY_ERROR_MEMORY;
    }
    f->type = spec->type;
    f->name = strdup(spec->name);
    f->help = strdup(spec->help ? spec->help : "");
    belfry_status status = f->name && f->help ? BELFRY_OK : BELFRY_ERROR_MEMORY;
    if (status == BELFRY_OK)
        status = labels_copy(f, spec->label_names, spec->label_count);
    if (status == BELFRY_OK && spec->type == BELFRY_HISTOGRAM)
        status = bounds_copy(f, spec->bounds, spec->bound_count);
    if (status == BELFRY_OK)
        *out = f;
    else
        family_free(f);
    return status;
}

/* --- children --- */

static uint64_t hash_bytes(const char *bytes, size_t len)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a, 64 bit */
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)bytes[i]) * UINT64_C(1099511628211);
    return h ^ h >> 32;
}

/* The values, each with its NUL, one after the other. False without memory. */
static bool raw_from(struct text *raw, const struct family *f, const char *const *values)
{
    for (size_t i = 0; i < f->label_count; i++) {
        const char *value = values && values[i] ? values[i] : "";
        belfry__text_append(raw, value, strlen(value) + 1);
    }
    return !raw->failed;
}

/* Renders a="x",b="y". *as_is tells whether the values are shown as they were given. */
static char *labels_render(const struct family *f, const char *raw, bool *as_is)
{
    struct text t = {0};
    *as_is = true;
    for (size_t i = 0; i < f->label_count; i++) {
        if (i > 0)
            belfry__text_byte(&t, ',');
        belfry__text_string(&t, f->label_names[i]);
        belfry__text_append(&t, "=\"", 2);
        *as_is = belfry__text_escaped(&t, raw, true, BELFRY_LABEL_VALUE_BYTES_MAX) && *as_is;
        belfry__text_byte(&t, '"');
        raw += strlen(raw) + 1;
    }
    belfry__text_byte(&t, '\0');
    if (t.failed)
        belfry__text_deinit(&t);
    return t.ptr;
}

static struct metric *child_find_locked(const struct family *f, const char *raw, size_t raw_bytes,
                                        uint64_t hash)
{
    if (f->slot_count == 0)
        return NULL;
    for (size_t slot = hash & (f->slot_count - 1); f->slots[slot];
         slot = (slot + 1) & (f->slot_count - 1)) {
        struct metric *m = f->children[f->slots[slot] - 1];
        if (m->hash == hash && m->raw_bytes == raw_bytes &&
            (raw_bytes == 0 || memcmp(m->raw, raw, raw_bytes) == 0))
            return m;
    }
    return NULL;
}

/* Different raw values may look the same once cut or cleaned: they are one child. Rare, so a walk. */
static struct metric *child_find_shown_locked(const struct family *f, const char *labels)
{
    for (size_t i = 0; i < f->child_count; i++) {
        if (strcmp(f->children[i]->labels, labels) == 0)
            return f->children[i];
    }
    return NULL;
}

static void slot_put(struct family *f, size_t child)
{
    size_t slot = f->children[child]->hash & (f->slot_count - 1);
    while (f->slots[slot])
        slot = (slot + 1) & (f->slot_count - 1);
    f->slots[slot] = (uint32_t)child + 1;
}

/* Room for one more child and its slot. */
static bool children_grow_locked(struct family *f)
{
    if (f->child_count == f->child_capacity) {
        size_t capacity = f->child_capacity ? f->child_capacity * 2 : 1;
        struct metric **children = realloc(f->children, capacity * sizeof(children[0]));
        if (!children)
            return false;
        f->children = children;
        f->child_capacity = capacity;
    }
    if ((f->child_count + 1) * 2 <= f->slot_count)
        return true;
    size_t slot_count = f->slot_count ? f->slot_count * 2 : f->label_count ? SLOT_COUNT_MIN : 2;
    uint32_t *slots = calloc(slot_count, sizeof(slots[0]));
    if (!slots)
        return false;
    free(f->slots);
    f->slots = slots;
    f->slot_count = slot_count;
    for (size_t i = 0; i < f->child_count; i++)
        slot_put(f, i);
    return true;
}

static bool metric_take_cells(struct metric *m, const struct family *f)
{
    if (f->type == BELFRY_COUNTER)
        return belfry__cells_take(&m->cells, 2);
    if (f->type == BELFRY_HISTOGRAM)
        return belfry__cells_take(&m->cells, f->bound_count + 2);
    return true;
}

/* Takes labels and raw, also when it fails. */
static struct metric *child_add_locked(struct family *f, char *labels, char *raw, size_t raw_bytes,
                                       uint64_t hash)
{
    struct metric *m = calloc(1, sizeof(*m));
    if (!m || !labels || !raw || !children_grow_locked(f) || !metric_take_cells(m, f)) {
        free(m);
        free(labels);
        free(raw);
        return NULL;
    }
    m->family = f;
    m->labels = labels;
    m->raw = raw;
    m->raw_bytes = raw_bytes;
    m->hash = hash;
    m->bounds = f->bounds;
    m->bound_count = (uint32_t)f->bound_count;
    f->children[f->child_count] = m;
    slot_put(f, f->child_count);
    f->child_count++;
    return m;
}

static struct metric *family_overflow_locked(struct family *f)
{
    if (!f->overflow) {
        const char *values[BELFRY_LABELS_MAX];
        for (size_t i = 0; i < BELFRY_LABELS_MAX; i++)
            values[i] = "overflow";
        struct text raw = {0};
        bool as_is;
        if (!raw_from(&raw, f, values)) {
            belfry__text_deinit(&raw);
            return NULL;
        }
        uint64_t hash = hash_bytes(raw.ptr, raw.len);
        f->overflow = child_find_locked(f, raw.ptr, raw.len, hash);
        if (f->overflow)
            belfry__text_deinit(&raw);
        else
            f->overflow =
                child_add_locked(f, labels_render(f, raw.ptr, &as_is), raw.ptr, raw.len, hash);
    }
    return f->overflow;
}

/* The key is not there yet. Takes raw. */
static struct metric *child_new_locked(struct family *f, struct text *raw, uint64_t hash)
{
    bool as_is;
    char *labels = labels_render(f, raw->ptr ? raw->ptr : "", &as_is);
    f->has_cleaned = f->has_cleaned || !as_is;
    struct metric *shown = labels && f->has_cleaned ? child_find_shown_locked(f, labels) : NULL;
    if (labels && !shown && f->child_count < BELFRY_CHILDREN_MAX)
        return child_add_locked(f, labels, raw->ptr ? raw->ptr : strdup(""), raw->len, hash);
    free(labels);
    belfry__text_deinit(raw);
    return shown ? shown : labels ? family_overflow_locked(f) : NULL;
}

static struct metric *family_with(struct family *f, const char *const *values)
{
    if (!f)
        return NULL;
    struct text raw = {0};
    if (!raw_from(&raw, f, values)) {
        belfry__text_deinit(&raw);
        return NULL;
    }
    uint64_t hash = hash_bytes(raw.ptr, raw.len);
    pthread_mutex_lock(&f->mutex);
    struct metric *m = child_find_locked(f, raw.ptr, raw.len, hash);
    if (m)
        belfry__text_deinit(&raw);
    else
        m = child_new_locked(f, &raw, hash);
    pthread_mutex_unlock(&f->mutex);
    return m;
}

/* --- the registry --- */

belfry_registry *belfry_registry_new(void)
{
    belfry_registry *r = calloc(1, sizeof(*r));
    if (r && pthread_mutex_init(&r->mutex, NULL) != 0) {
        free(r);
        return NULL;
    }
    return r;
}

static belfry_registry *default_registry;
static pthread_once_t default_once = PTHREAD_ONCE_INIT;

static void default_make(void)
{
    default_registry = belfry_registry_new();
}

belfry_registry *belfry_registry_default(void)
{
    pthread_once(&default_once, default_make);
    return default_registry;
}

void belfry_registry_free(belfry_registry *r)
{
    if (!r || r == default_registry)
        return;
    for (size_t i = 0; i < r->collector_count; i++) {
        if (r->collectors[i].release)
            r->collectors[i].release(r->collectors[i].arg);
    }
    for (size_t i = 0; i < r->family_count; i++)
        family_free(r->families[i]);
    free(r->families);
    free(r->collectors);
    (void)pthread_mutex_destroy(&r->mutex); /* nobody may hold it any more */
    free(r);
}

/* Would a sample of `f` be called `name` + `suffix`? */
static bool family_shows(const struct family *f, const char *name, const char *suffix)
{
    static const char *const suffixes[] = {"", "_bucket", "_sum", "_count"};
    size_t count = f->type == BELFRY_HISTOGRAM ? 4 : 1, len = strlen(f->name);
    for (size_t i = 0; i < count; i++) {
        char full[2][NAME_BYTES_MAX + 16];
        if (strncmp(f->name, name, len < strlen(name) ? len : strlen(name)) != 0)
            return false; /* neither is the beginning of the other */
        snprintf(full[0], sizeof(full[0]), "%s%s", f->name, suffixes[i]);
        snprintf(full[1], sizeof(full[1]), "%s%s", name, suffix);
        if (strcmp(full[0], full[1]) == 0)
            return true;
    }
    return false;
}

static bool families_collide(const struct family *a, const struct family *b)
{
    static const char *const suffixes[] = {"", "_bucket", "_sum", "_count"};
    size_t count = a->type == BELFRY_HISTOGRAM ? 4 : 1;
    for (size_t i = 0; i < count; i++) {
        if (family_shows(b, a->name, suffixes[i]))
            return true;
    }
    return false;
}

/* Takes f when it succeeds. */
static belfry_status registry_add_locked(belfry_registry *r, struct family *f)
{
    for (size_t i = 0; i < r->family_count; i++) {
        if (families_collide(f, r->families[i]))
            return BELFRY_ERROR_EXISTS;
    }
    if (r->family_count == FAMILY_COUNT_MAX)
        return BELFRY_ERROR_LIMIT;
    if (r->family_count == r->family_capacity) {
        size_t capacity = r->family_capacity ? r->family_capacity * 2 : 16;
        struct family **families = realloc(r->families, capacity * sizeof(families[0]));
        if (!families)
            return BELFRY_ERROR_MEMORY;
        r->families = families;
        r->family_capacity = capacity;
    }
    r->families[r->family_count++] = f;
    return BELFRY_OK;
}

/* Adds a family; takes f. */
static belfry_status registry_add(belfry_registry *r, struct family *f)
{
    if (!r)
        r = belfry_registry_default();
    belfry_status status = BELFRY_ERROR_MEMORY;
    if (r) {
        pthread_mutex_lock(&r->mutex);
        status = registry_add_locked(r, f);
        pthread_mutex_unlock(&r->mutex);
    }
    if (status != BELFRY_OK)
        family_free(f);
    return status;
}

/* A family with labels (out_metric NULL), or one metric. */
static belfry_status family_register(belfry_registry *r, const struct family_spec *spec,
                                     struct family **out_family, struct metric **out_metric)
{
    struct family *f;
    struct metric *only = NULL;
    belfry_status status = family_new(&f, spec);
    if (status != BELFRY_OK)
        return status;
    if (out_metric) {
        only = family_with(f, NULL);
        if (!only) {
            family_free(f);
            return BELFRY_ERROR_LIMIT;
        }
    }
    status = registry_add(r, f);
    if (status != BELFRY_OK)
        return status;
    if (out_family)
        *out_family = f;
    if (out_metric)
        *out_metric = only;
    return BELFRY_OK;
}

belfry_status belfry_counter_new(belfry_counter **out, belfry_registry *r, const char *name,
                                 const char *help)
{
    struct metric *m = NULL;
    belfry_status status = family_register(
        r, &(struct family_spec){.name = name, .help = help, .type = BELFRY_COUNTER}, NULL, &m);
    *out = (belfry_counter *)m;
    return status;
}

belfry_status belfry_gauge_new(belfry_gauge **out, belfry_registry *r, const char *name,
                               const char *help)
{
    struct metric *m = NULL;
    belfry_status status = family_register(
        r, &(struct family_spec){.name = name, .help = help, .type = BELFRY_GAUGE}, NULL, &m);
    *out = (belfry_gauge *)m;
    return status;
}

belfry_status belfry_histogram_new(belfry_histogram **out, belfry_registry *r, const char *name,
                                   const char *help, const double *bounds, size_t bound_count)
{
    struct metric *m = NULL;
    struct family_spec spec = {.name = name,
                               .help = help,
                               .type = BELFRY_HISTOGRAM,
                               .bounds = bounds,
                               .bound_count = bound_count};
    belfry_status status = family_register(r, &spec, NULL, &m);
    *out = (belfry_histogram *)m;
    return status;
}

static belfry_status labelled_register(belfry_registry *r, const struct family_spec *spec,
                                       struct family **out)
{
    *out = NULL;
    if (spec->label_count == 0 || !spec->label_names)
        return BELFRY_ERROR_LABELS;
    return family_register(r, spec, out, NULL);
}

belfry_status belfry_counter_family_new(belfry_counter_family **out, belfry_registry *r,
                                        const char *name, const char *help,
                                        const char *const *label_names, size_t label_count)
{
    struct family_spec spec = {name, help, BELFRY_COUNTER, label_names, label_count, NULL, 0};
    struct family *f;
    belfry_status status = labelled_register(r, &spec, &f);
    *out = (belfry_counter_family *)f;
    return status;
}

belfry_status belfry_gauge_family_new(belfry_gauge_family **out, belfry_registry *r,
                                      const char *name, const char *help,
                                      const char *const *label_names, size_t label_count)
{
    struct family_spec spec = {name, help, BELFRY_GAUGE, label_names, label_count, NULL, 0};
    struct family *f;
    belfry_status status = labelled_register(r, &spec, &f);
    *out = (belfry_gauge_family *)f;
    return status;
}

belfry_status belfry_histogram_family_new(belfry_histogram_family **out, belfry_registry *r,
                                          const char *name, const char *help,
                                          const char *const *label_names, size_t label_count,
                                          const double *bounds, size_t bound_count)
{
    struct family_spec spec = {name,        help,   BELFRY_HISTOGRAM, label_names,
                               label_count, bounds, bound_count};
    struct family *f;
    belfry_status status = labelled_register(r, &spec, &f);
    *out = (belfry_histogram_family *)f;
    return status;
}

belfry_counter *belfry_counter_family_with(belfry_counter_family *family, const char *const *values)
{
    return (belfry_counter *)family_with((struct family *)family, values);
}

belfry_gauge *belfry_gauge_family_with(belfry_gauge_family *family, const char *const *values)
{
    return (belfry_gauge *)family_with((struct family *)family, values);
}

belfry_histogram *belfry_histogram_family_with(belfry_histogram_family *family,
                                               const char *const *values)
{
    return (belfry_histogram *)family_with((struct family *)family, values);
}

static belfry_status func_new(belfry_registry *r, const char *name, const char *help,
                              belfry_metric_type type, double (*read)(void *arg), void *arg)
{
    struct family *f;
    if (!read)
        return BELFRY_ERROR_FORMAT;
    belfry_status status =
        family_new(&f, &(struct family_spec){.name = name, .help = help, .type = type});
    if (status != BELFRY_OK)
        return status;
    f->read = read;
    f->read_arg = arg;
    return registry_add(r, f);
}

belfry_status belfry_counter_func_new(belfry_registry *r, const char *name, const char *help,
                                      double (*read)(void *arg), void *arg)
{
    return func_new(r, name, help, BELFRY_COUNTER, read, arg);
}

belfry_status belfry_gauge_func_new(belfry_registry *r, const char *name, const char *help,
                                    double (*read)(void *arg), void *arg)
{
    return func_new(r, name, help, BELFRY_GAUGE, read, arg);
}

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
        pthread_mutex_lock(&r->mutex);
        status = collector_add_locked(r, (struct collector){collect, arg, release});
        pthread_mutex_unlock(&r->mutex);
    }
    if (status != BELFRY_OK && release)
        release(arg);
    return status;
}
