/* SPDX-License-Identifier: Apache-2.0 */
/* exposition.c: the text format 0.0.4 and OpenMetrics 1.0: they differ in the heads of families and at the end.
 *
 * First everything is gathered as pieces: a registered family is a piece by itself; collectors are
 * called and lay their samples out into one text, each family begun being a piece. Then the pieces are
 * sorted by name (then by arrival) and written. No lock is held while a callback runs: the lists are
 * copied, and what they point to lives as long as the registry. */
#include "instrument/cells.h"
#include "instrument/registry.h"
#include "instrument/text.h"

#include <stdlib.h>
#include <string.h>

enum { FLUSH_BYTES = 16 * 1024, PIECE_COUNT_MAX = 1 << 20 };

struct piece {
    const struct family *family; /* NULL: a collector's */
    const char *name, *help;     /* resolved when all is gathered */
    size_t name_pos, help_pos;   /* in belfry_emitter.names */
    belfry_metric_type type;
    size_t begin, end; /* in belfry_emitter.samples */
    size_t number;     /* order of arrival */
};

struct belfry_emitter {
    struct text names, samples;
    struct piece *pieces;
    size_t count, capacity;
    size_t name_len; /* of the family begun last */
    bool is_skipping, failed;
};

struct output {
    struct text text;
    bool (*write)(void *arg, const char *bytes, size_t len);
    void *arg;
    bool openmetrics;
    bool refused;
};

static void output_flush(struct output *o, size_t bytes_min)
{
    if (o->text.len < bytes_min || o->refused || o->text.len == 0)
        return;
    o->refused = !o->write(o->arg, o->text.ptr, o->text.len);
    o->text.len = 0;
}

/* --- gathering --- */

static struct piece *piece_add(belfry_emitter *e)
{
    if (e->count == e->capacity) {
        size_t capacity = e->capacity ? e->capacity * 2 : 64;
        struct piece *pieces =
            capacity > PIECE_COUNT_MAX ? NULL : realloc(e->pieces, capacity * sizeof(pieces[0]));
        if (!pieces) {
            e->failed = true;
            return NULL;
        }
        e->pieces = pieces;
        e->capacity = capacity;
    }
    struct piece *p = &e->pieces[e->count];
    *p = (struct piece){.number = e->count};
    e->count++;
    return p;
}

void belfry_emit_family(belfry_emitter *e, const char *name, const char *help,
                        belfry_metric_type type)
{
    e->is_skipping = true;
    if (!belfry__is_metric_name(name) || type < BELFRY_COUNTER || type > BELFRY_UNTYPED)
        return;
    struct piece *p = piece_add(e);
    if (!p)
        return;
    p->type = type;
    p->begin = p->end = e->samples.len;
    p->name_pos = e->names.len;
    e->name_len = strlen(name);
    belfry__text_append(&e->names, name, e->name_len + 1);
    p->help_pos = e->names.len;
    if (!help)
        help = "";
    belfry__text_append(&e->names, help, strlen(help) + 1);
    e->is_skipping = e->names.failed;
}

void belfry_emit_sample(belfry_emitter *e, const char *suffix, const belfry_label *labels,
                        size_t label_count, double value)
{
    if (e->is_skipping)
        return;
    struct piece *p = &e->pieces[e->count - 1];
    struct text *t = &e->samples;
    for (size_t i = 0; i < label_count; i++) {
        if (!belfry__is_label_name(labels[i].name))
            return;
    }
    belfry__text_append(t, e->names.ptr + p->name_pos, e->name_len);
    if (suffix && belfry__is_metric_name(suffix))
        belfry__text_string(t, suffix);
    for (size_t i = 0; i < label_count; i++) {
        belfry__text_byte(t, i ? ',' : '{');
        belfry__text_string(t, labels[i].name);
        belfry__text_append(t, "=\"", 2);
        (void)belfry__text_escaped(t, labels[i].value ? labels[i].value : "", true,
                                   BELFRY_LABEL_VALUE_BYTES_MAX); /* cut or cleaned: shown so */
        belfry__text_byte(t, '"');
    }
    if (label_count)
        belfry__text_byte(t, '}');
    belfry__text_byte(t, ' ');
    belfry__text_double(t, value);
    belfry__text_byte(t, '\n');
    p->end = t->len;
}

void belfry_emit(belfry_emitter *e, const char *name, const char *help, belfry_metric_type type,
                 double value)
{
    belfry_emit_family(e, name, help, type);
    belfry_emit_sample(e, NULL, NULL, 0, value);
}

static int piece_compare(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    int c = strcmp(x->name, y->name);
    return c ? c : (x->number > y->number) - (x->number < y->number);
}

/* Pieces of all registered families, then of all collectors, sorted. */
static bool gather(belfry_registry *r, belfry_emitter *e)
{
    struct collector *collectors = NULL;
    pthread_mutex_lock(&r->mutex);
    for (size_t i = 0; i < r->family_count; i++) {
        struct piece *p = piece_add(e);
        if (p)
            p->family = r->families[i];
    }
    size_t collector_count = r->collector_count;
    if (collector_count) {
        collectors = malloc(collector_count * sizeof(collectors[0]));
        if (collectors)
            memcpy(collectors, r->collectors, collector_count * sizeof(collectors[0]));
        else
            e->failed = true;
    }
    pthread_mutex_unlock(&r->mutex);
    for (size_t i = 0; collectors && i < collector_count; i++) {
        e->is_skipping = true; /* a sample before any family belongs to none */
        collectors[i].collect(collectors[i].arg, e);
    }
    free(collectors);
    if (e->failed || e->names.failed || e->samples.failed)
        return false;
    for (size_t i = 0; i < e->count; i++) {
        struct piece *p = &e->pieces[i];
        p->name = p->family ? p->family->name : e->names.ptr + p->name_pos;
        p->help = p->family ? p->family->help : e->names.ptr + p->help_pos;
        if (p->family)
            p->type = p->family->type;
    }
    if (e->count > 1)
        qsort(e->pieces, e->count, sizeof(e->pieces[0]), piece_compare);
    return true;
}

/* --- writing --- */

/* name + suffix + {labels,le="..."} and a blank. */
static void write_series(struct text *t, const struct metric *m, const char *suffix, const char *le)
{
    belfry__text_string(t, m->family->name);
    belfry__text_string(t, suffix);
    if (m->labels[0] || le) {
        belfry__text_byte(t, '{');
        belfry__text_string(t, m->labels);
        if (le) {
            if (m->labels[0])
                belfry__text_byte(t, ',');
            belfry__text_append(t, "le=\"", 4);
            belfry__text_string(t, le);
            belfry__text_byte(t, '"');
        }
        belfry__text_byte(t, '}');
    }
    belfry__text_byte(t, ' ');
}

/* The count is the last bucket, so the two always agree, whatever is observed meanwhile. */
static void write_histogram(struct text *t, const struct metric *m)
{
    const struct family *f = m->family;
    uint64_t count = 0;
    for (size_t i = 0; i <= f->bound_count; i++) {
        count += belfry__cell_sum(m->cells + HISTOGRAM_FIRST_BUCKET_CELL + (uint32_t)i);
        write_series(t, m, "_bucket", i < f->bound_count ? f->bound_texts[i] : "+Inf");
        belfry__text_unsigned(t, count);
        belfry__text_byte(t, '\n');
    }
    write_series(t, m, "_sum", NULL);
    belfry__text_double(t, belfry__cell_sum_double(m->cells + HISTOGRAM_SUM_CELL));
    belfry__text_byte(t, '\n');
    write_series(t, m, "_count", NULL);
    belfry__text_unsigned(t, count);
    belfry__text_byte(t, '\n');
}

static void write_metric(struct text *t, const struct metric *m)
{
    if (m->family->type == BELFRY_HISTOGRAM) {
        write_histogram(t, m);
        return;
    }
    write_series(t, m, "", NULL);
    belfry__text_double(t, m->family->type == BELFRY_COUNTER
                               ? belfry_counter_value((const belfry_counter *)m)
                               : belfry_gauge_value((const belfry_gauge *)m));
    belfry__text_byte(t, '\n');
}

static int metric_compare(const void *a, const void *b)
{
    return strcmp((*(const struct metric *const *)a)->labels,
                  (*(const struct metric *const *)b)->labels);
}

static bool write_children(struct output *o, struct family *f)
{
    pthread_mutex_lock(&f->mutex);
    size_t count = f->child_count;
    struct metric **children = malloc((count ? count : 1) * sizeof(children[0]));
    if (children && count)
        memcpy(children, f->children, count * sizeof(children[0]));
    pthread_mutex_unlock(&f->mutex);
    if (!children)
        return false;
    if (count > 1)
        qsort(children, count, sizeof(children[0]), metric_compare);
    for (size_t i = 0; i < count; i++) {
        write_metric(&o->text, children[i]);
        output_flush(o, FLUSH_BYTES);
    }
    free(children);
    return true;
}

static bool write_family(struct output *o, const struct family *f)
{
    if (!f->read)
        return write_children(o, (struct family *)(uintptr_t)f); /* only its lock is written to */
    belfry__text_string(&o->text, f->name);
    belfry__text_byte(&o->text, ' ');
    belfry__text_double(&o->text, f->read(f->read_arg));
    belfry__text_byte(&o->text, '\n');
    return true;
}

/* Is there a family whose name is the first name_len bytes of `name`? */
static bool family_is_there(const belfry_emitter *e, const char *name, size_t name_len)
{
    size_t low = 0, high = e->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const char *at = e->pieces[middle].name;
        int c = strncmp(at, name, name_len);
        if (c == 0 && at[name_len] == '\0')
            return true;
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* In OpenMetrics the family of counter x_total is x; a counter of another name cannot be one, nor one beside a
 * family x. */
static const char *family_type(const belfry_emitter *e, const struct piece *p, bool openmetrics,
                               size_t *name_len)
{
    static const char *const types[] = {
        [BELFRY_COUNTER] = "counter",     [BELFRY_GAUGE] = "gauge",
        [BELFRY_HISTOGRAM] = "histogram", [BELFRY_SUMMARY] = "summary",
        [BELFRY_UNTYPED] = "untyped",
    };
    static const char total[] = "_total";
    size_t total_len = sizeof(total) - 1;
    *name_len = strlen(p->name);
    if (openmetrics && p->type == BELFRY_UNTYPED)
        return "unknown";
    if (!openmetrics || p->type != BELFRY_COUNTER)
        return types[p->type];
    if (*name_len <= total_len || strcmp(p->name + *name_len - total_len, total) != 0 ||
        family_is_there(e, p->name, *name_len - total_len))
        return "unknown";
    *name_len -= total_len;
    return types[p->type];
}

static void write_head(struct output *o, const belfry_emitter *e, const struct piece *p)
{
    struct text *t = &o->text;
    size_t name_len;
    const char *type = family_type(e, p, o->openmetrics, &name_len);
    if (p->help[0]) {
        belfry__text_append(t, "# HELP ", 7);
        belfry__text_append(t, p->name, name_len);
        belfry__text_byte(t, ' ');
        (void)belfry__text_escaped(t, p->help, o->openmetrics,
                                   TEXT_BYTES_MAX); /* cleaned: shown so */
        belfry__text_byte(t, '\n');
    }
    belfry__text_append(t, "# TYPE ", 7);
    belfry__text_append(t, p->name, name_len);
    belfry__text_byte(t, ' ');
    belfry__text_string(t, type);
    belfry__text_byte(t, '\n');
}

static bool write_pieces(struct output *o, const belfry_emitter *e)
{
    const char *last = ""; /* name of the family whose head was written */
    for (size_t i = 0; i < e->count && !o->refused; i++) {
        const struct piece *p = &e->pieces[i];
        if (!p->family && p->begin == p->end)
            continue; /* a collector found nothing: no bare head */
        if (strcmp(p->name, last) != 0)
            write_head(o, e, p);
        last = p->name;
        if (!p->family)
            belfry__text_append(&o->text, e->samples.ptr + p->begin, p->end - p->begin);
        else if (!write_family(o, p->family))
            return false;
        if (o->text.failed)
            return false;
        output_flush(o, FLUSH_BYTES);
    }
    if (o->openmetrics)
        belfry__text_string(&o->text, "# EOF\n");
    output_flush(o, 1);
    return !o->text.failed;
}

static belfry_status write_all(belfry_registry *r, struct output o)
{
    if (!r)
        r = belfry_registry_default();
    if (!r)
        return BELFRY_ERROR_MEMORY;
    belfry_emitter e = {0};
    bool ok = gather(r, &e) && write_pieces(&o, &e);
    belfry__text_deinit(&o.text);
    belfry__text_deinit(&e.names);
    belfry__text_deinit(&e.samples);
    free(e.pieces);
    return !ok ? BELFRY_ERROR_MEMORY : o.refused ? BELFRY_ERROR_WRITE : BELFRY_OK;
}

belfry_status belfry_registry_write_text(belfry_registry *r,
                                         bool (*write)(void *arg, const char *bytes, size_t len),
                                         void *arg)
{
    return write_all(r, (struct output){.write = write, .arg = arg});
}

belfry_status belfry_registry_write_openmetrics(
    belfry_registry *r, bool (*write)(void *arg, const char *bytes, size_t len), void *arg)
{
    return write_all(r, (struct output){.write = write, .arg = arg, .openmetrics = true});
}

static bool append_to_text(void *arg, const char *bytes, size_t len)
{
    struct text *t = arg;
    belfry__text_append(t, bytes, len);
    return !t->failed;
}

belfry_status belfry_registry_text(belfry_registry *r, char **out, size_t *len)
{
    struct text t = {0};
    belfry_status status = belfry_registry_write_text(r, append_to_text, &t);
    belfry__text_byte(&t, '\0');
    if (t.failed)
        status = BELFRY_ERROR_MEMORY;
    if (status != BELFRY_OK)
        belfry__text_deinit(&t);
    *out = t.ptr;
    *len = t.ptr ? t.len - 1 : 0;
    return status;
}

void belfry_text_free(char *text)
{
    free(text);
}
