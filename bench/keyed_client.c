/* SPDX-License-Identifier: Apache-2.0 */
#include "keyed_client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_BYTES_MAX = 512, MAP_SLOTS_MIN = 32 };

/* --- a map from text, with a lock of its own --- */

struct node {
    struct node *next, *later; /* of the chain; in the order of making */
    char *key;
    void *value;
};

struct map {
    pthread_rwlock_t lock;
    struct node **slots, *first, **last;
    size_t slot_count, count;
};

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

static void map_init(struct map *m)
{
    if (pthread_rwlock_init(&m->lock, NULL) != 0)
        abort();
    m->slot_count = MAP_SLOTS_MIN;
    m->slots = must(calloc(m->slot_count, sizeof(m->slots[0])));
    m->first = NULL;
    m->last = &m->first;
    m->count = 0;
}

static void map_deinit(struct map *m, void (*value_free)(void *value))
{
    struct node *later;
    for (struct node *n = m->first; n; n = later) {
        later = n->later;
        value_free(n->value);
        free(n->key);
        free(n);
    }
    free(m->slots);
    pthread_rwlock_destroy(&m->lock);
}

static size_t text_hash(const char *s)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211u;
    return (size_t)h;
}

static void *map_get(struct map *m, const char *key)
{
    void *value = NULL;
    pthread_rwlock_wrlock(&m->lock);
    for (struct node *n = m->slots[text_hash(key) % m->slot_count]; n; n = n->next) {
        if (strcmp(n->key, key) == 0) {
            value = n->value;
            break;
        }
    }
    pthread_rwlock_unlock(&m->lock);
    return value;
}

static void map_grow(struct map *m)
{
    m->slot_count *= 2;
    free(m->slots);
    m->slots = must(calloc(m->slot_count, sizeof(m->slots[0])));
    for (struct node *n = m->first; n; n = n->later) {
        struct node **slot = &m->slots[text_hash(n->key) % m->slot_count];
        n->next = *slot;
        *slot = n;
    }
}

static void map_set(struct map *m, const char *key, void *value)
{
    pthread_rwlock_wrlock(&m->lock);
    if (m->count > m->slot_count / 2)
        map_grow(m);
    struct node *n = must(malloc(sizeof(*n)));
    struct node **slot = &m->slots[text_hash(key) % m->slot_count];
    *n = (struct node){.next = *slot, .key = must(strdup(key)), .value = value};
    *slot = n;
    *m->last = n;
    m->last = &n->later;
    m->count++;
    pthread_rwlock_unlock(&m->lock);
}

/* --- series and histograms --- */

struct series {
    _Atomic double value;
};

struct histogram {
    pthread_rwlock_t lock;
    struct map texts;  /* bound to the series' text */
    struct map series; /* that text to the series */
};

struct keyed_metric {
    const char *name;
    const char *const *label_names;
    size_t label_count;
    const double *bounds;
    size_t bound_count;

    pthread_rwlock_t lock; /* guards the buffer */
    char buffer[KEY_BYTES_MAX];
    struct map children; /* text to struct series or struct histogram */
};

static void series_add(struct series *s, double by)
{
    double old = atomic_load(&s->value);
    while (!atomic_compare_exchange_weak(&s->value, &old, old + by))
        ;
}

static size_t append(char *out, size_t at, const char *text)
{
    size_t len = strlen(text);
    if (at + len >= KEY_BYTES_MAX)
        abort();
    memcpy(out + at, text, len + 1);
    return at + len;
}

/* name_suffix{label="value",...,le="bound"} into the buffer. */
static void key_lay_out(struct keyed_metric *m, const char *suffix, const char *const *values,
                        const char *bound)
{
    size_t at = append(m->buffer, append(m->buffer, 0, m->name), suffix);
    for (size_t i = 0; i < m->label_count; i++) {
        at = append(m->buffer, at, i ? "," : "{");
        at = append(m->buffer, at, m->label_names[i]);
        at = append(m->buffer, at, "=\"");
        at = append(m->buffer, at, values[i]);
        at = append(m->buffer, at, "\"");
    }
    if (bound) {
        at = append(m->buffer, at, m->label_count ? ",le=\"" : "{le=\"");
        at = append(m->buffer, append(m->buffer, at, bound), "\"");
    }
    if (m->label_count || bound)
        append(m->buffer, at, "}");
}

static char *bound_text(double bound)
{
    char *text = must(malloc(32));
    snprintf(text, 32, "%g", bound);
    return text;
}

static void histogram_add_series(struct keyed_metric *m, struct histogram *h, const char *key,
                                 const char *suffix, const char *const *values, const char *bound)
{
    key_lay_out(m, suffix, values, bound);
    map_set(&h->texts, key, must(strdup(m->buffer)));
    map_set(&h->series, m->buffer, must(calloc(1, sizeof(struct series))));
}

static struct histogram *histogram_new(struct keyed_metric *m, const char *const *values)
{
    struct histogram *h = must(calloc(1, sizeof(*h)));
    if (pthread_rwlock_init(&h->lock, NULL) != 0)
        abort();
    map_init(&h->texts);
    map_init(&h->series);
    for (size_t i = 0; i < m->bound_count; i++) {
        char *bound = bound_text(m->bounds[i]);
        histogram_add_series(m, h, bound, "_bucket", values, bound);
        free(bound);
    }
    histogram_add_series(m, h, "+Inf", "_bucket", values, "+Inf");
    histogram_add_series(m, h, "count", "_count", values, NULL);
    histogram_add_series(m, h, "sum", "_sum", values, NULL);
    return h;
}

static void histogram_free(void *value)
{
    struct histogram *h = value;
    map_deinit(&h->texts, free);
    map_deinit(&h->series, free);
    pthread_rwlock_destroy(&h->lock);
    free(h);
}

struct keyed_metric *keyed_metric_new(const char *name, const char *const *label_names,
                                      size_t label_count, const double *bounds, size_t bound_count)
{
    struct keyed_metric *m = must(calloc(1, sizeof(*m)));
    if (pthread_rwlock_init(&m->lock, NULL) != 0)
        abort();
    m->name = name;
    m->label_names = label_names;
    m->label_count = label_count;
    m->bounds = bounds;
    m->bound_count = bound_count;
    map_init(&m->children);
    return m;
}

void keyed_metric_free(struct keyed_metric *m)
{
    map_deinit(&m->children, m->bounds ? histogram_free : free);
    pthread_rwlock_destroy(&m->lock);
    free(m);
}

/* The series or histogram with these labels, made where it is missing. */
static void *child_find(struct keyed_metric *m, const char *const *values)
{
    pthread_rwlock_wrlock(&m->lock);
    key_lay_out(m, "", values, NULL);
    char *key = must(strdup(m->buffer));
    void *child = map_get(&m->children, key);
    if (!child) {
        child =
            m->bounds ? (void *)histogram_new(m, values) : must(calloc(1, sizeof(struct series)));
        map_set(&m->children, key, child);
    }
    free(key);
    pthread_rwlock_unlock(&m->lock);
    return child;
}

void keyed_counter_inc(struct keyed_metric *m, const char *const *values)
{
    series_add(child_find(m, values), 1);
}

static void histogram_add(struct histogram *h, const char *key, double by)
{
    series_add(map_get(&h->series, map_get(&h->texts, key)), by);
}

void keyed_histogram_observe(struct keyed_metric *m, const char *const *values, double value)
{
    struct histogram *h = child_find(m, values);
    pthread_rwlock_wrlock(&h->lock);
    for (size_t i = m->bound_count; i > 0 && value <= m->bounds[i - 1]; i--) {
        char *bound = bound_text(m->bounds[i - 1]);
        histogram_add(h, bound, 1);
        free(bound);
    }
    histogram_add(h, "+Inf", 1);
    histogram_add(h, "count", 1);
    histogram_add(h, "sum", value);
    pthread_rwlock_unlock(&h->lock);
}

/* --- exposition --- */

struct text {
    char *bytes;
    size_t len, capacity;
};

static void text_add(struct text *t, const char *s)
{
    size_t len = strlen(s);
    if (t->len + len + 1 > t->capacity) {
        t->capacity = (t->len + len + 1) * 2;
        t->bytes = must(realloc(t->bytes, t->capacity));
    }
    memcpy(t->bytes + t->len, s, len + 1);
    t->len += len;
}

static void series_write(struct text *t, struct map *m)
{
    char number[64];
    for (struct node *n = m->first; n; n = n->later) {
        struct series *s = map_get(m, n->key);
        snprintf(number, sizeof(number), " %.17g\n", atomic_load(&s->value));
        text_add(t, n->key);
        text_add(t, number);
    }
}

size_t keyed_metric_write(struct keyed_metric *m)
{
    struct text t = {0};
    if (!m->bounds)
        series_write(&t, &m->children);
    for (struct node *n = m->bounds ? m->children.first : NULL; n; n = n->later)
        series_write(&t, &((struct histogram *)n->value)->series);
    size_t len = t.len;
    free(t.bytes);
    return len;
}
