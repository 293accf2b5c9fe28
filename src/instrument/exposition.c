/* SPDX-License-Identifier: Apache-2.0 */
/* exposition.c: the walk over everything that a registry shows; the formats are in exposition_lines.c and
 * exposition_protobuf.c.
 *
 * First everything is gathered as pieces: a registered family is a piece by itself; collectors are
 * called and lay their samples out as records, each family begun being a piece. Then the pieces are
 * sorted by name (then by arrival) and written. No lock is held while a callback runs: the lists are
 * copied, and what they point to lives as long as the registry.
 *
 *   record := struct record | suffix | name | value | name | value ...     each text with its NUL */
#include "instrument/exposition.h"

#include "instrument/lock.h"
#include "instrument/names.h"
#include "instrument/status.h"

#include <stdlib.h>
#include <string.h>

enum { FLUSH_BYTES = 16 * 1024, PIECE_COUNT_MAX = 1 << 20 };

struct piece {
    struct family *family;     /* NULL: a collector's */
    const char *name, *help;   /* resolved when all is gathered */
    size_t name_pos, help_pos; /* in belfry_emitter.names */
    belfry_metric_type type;
    size_t begin, end; /* in belfry_emitter.records */
    size_t number;     /* order of arrival */
};

struct record {
    double value;
    size_t bytes; /* of all */
    size_t label_count;
};

struct belfry_emitter {
    const belfry_registry *registry;
    struct text names, records;
    struct piece *pieces;
    size_t count, capacity;
    bool is_skipping, failed;
};

void belfry__output_flush(struct output *o, size_t bytes_min)
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
    if (!e)
        return;
    e->is_skipping = true;
    if (!belfry__is_metric_name(name) || type < BELFRY_COUNTER || type > BELFRY_STATESET)
        return;
    struct piece *p = piece_add(e);
    if (!p)
        return;
    p->type = type;
    p->begin = p->end = e->records.len;
    p->name_pos = e->names.len;
    belfry__text_append(&e->names, name, strlen(name) + 1);
    p->help_pos = e->names.len;
    if (!help)
        help = "";
    belfry__text_append(&e->names, help, strlen(help) + 1);
    e->is_skipping = e->names.failed;
}

/* Each label a name of its own, none that the registry has for all. */
static bool labels_are_valid(const belfry_registry *r, const belfry_label *labels, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!belfry__is_label_name(labels[i].name))
            return false;
        for (size_t k = 0; k < i; k++) {
            if (strcmp(labels[i].name, labels[k].name) == 0)
                return false;
        }
        for (size_t k = 0; k < r->label_count; k++) {
            if (strcmp(labels[i].name, r->labels[k].name) == 0)
                return false;
        }
    }
    return true;
}

void belfry_emit_sample(belfry_emitter *e, const char *suffix, const belfry_label *labels,
                        size_t label_count, double value)
{
    if (!e || e->is_skipping || (label_count && !labels) ||
        !labels_are_valid(e->registry, labels, label_count))
        return;
    struct text *t = &e->records;
    struct record r = {.value = value, .label_count = label_count};
    size_t begin = t->len;
    belfry__text_append(t, (const char *)&r, sizeof(r));
    if (suffix && belfry__is_metric_name(suffix))
        belfry__text_string(t, suffix);
    belfry__text_byte(t, '\0');
    for (size_t i = 0; i < label_count; i++) {
        belfry__text_append(t, labels[i].name, strlen(labels[i].name) + 1);
        belfry__text_clean(t, labels[i].value ? labels[i].value : "", BELFRY_LABEL_VALUE_BYTES_MAX);
        belfry__text_byte(t, '\0');
    }
    if (t->failed)
        return;
    r.bytes = t->len - begin;
    memcpy(t->ptr + begin, &r, sizeof(r));
    e->pieces[e->count - 1].end = t->len;
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

static bool is_one_of(const char *suffix, const char *const *suffixes)
{
    while (*suffixes && strcmp(suffix, *suffixes) != 0)
        suffixes++;
    return *suffixes != NULL;
}

/* Is `wanted` the family's name, or that of one of its samples, or its name in OpenMetrics? */
static bool name_matches(const char *name, const char *wanted)
{
    static const char *const of_samples[] = {"",         "_bucket", "_sum",  "_count",
                                             "_created", "_total",  "_info", NULL};
    static const char *const of_families[] = {"_total", "_info", NULL};
    size_t len = strlen(name), wanted_len = strlen(wanted);
    if (wanted_len < len)
        return memcmp(name, wanted, wanted_len) == 0 && is_one_of(name + wanted_len, of_families);
    return memcmp(name, wanted, len) == 0 && is_one_of(wanted + len, of_samples);
}

/* Leaves in what was asked for. */
static void filter(belfry_emitter *e, const belfry_exposition *how)
{
    size_t kept = 0;
    for (size_t i = 0; i < e->count; i++) {
        bool wanted = how->name_count == 0;
        for (size_t n = 0; !wanted && n < how->name_count; n++)
            wanted = how->names[n] && name_matches(e->pieces[i].name, how->names[n]);
        if (wanted)
            e->pieces[kept++] = e->pieces[i];
    }
    e->count = kept;
}

/* The library's own: how often children were asked for that there was no room for. */
static void emit_overflows(belfry_emitter *e)
{
    size_t family_count = e->count;
    bool has_head = false;
    for (size_t i = 0; i < family_count; i++) {
        const struct family *f = e->pieces[i].family;
        uint64_t n = atomic_load_explicit(&f->folded_count, memory_order_relaxed);
        if (!n)
            continue;
        if (!has_head)
            belfry_emit_family(e, "belfry_children_overflow_total",
                               "Children asked for beyond those a family may have.",
                               BELFRY_COUNTER);
        has_head = true;
        belfry_emit_sample(e, NULL, &(const belfry_label){"family", f->name}, 1, (double)n);
        if (e->failed)
            return;
    }
}

/* Pieces of all registered families, then of all collectors, sorted. */
static bool gather(belfry_registry *r, belfry_emitter *e, const belfry_exposition *how)
{
    struct collector *collectors = NULL;
    belfry__lock();
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
    belfry__unlock();
    if (!e->failed)
        emit_overflows(e);
    for (size_t i = 0; collectors && i < collector_count; i++) {
        e->is_skipping = true; /* a sample before any family belongs to none */
        collectors[i].collect(collectors[i].arg, e);
    }
    free(collectors);
    if (e->failed || e->names.failed || e->records.failed)
        return false;
    for (size_t i = 0; i < e->count; i++) {
        struct piece *p = &e->pieces[i];
        p->name = p->family ? p->family->name : e->names.ptr + p->name_pos;
        p->help = p->family ? p->family->help : e->names.ptr + p->help_pos;
        if (p->family)
            p->type = p->family->type;
    }
    filter(e, how);
    if (e->count > 1)
        qsort(e->pieces, e->count, sizeof(e->pieces[0]), piece_compare);
    return true;
}

/* --- what a family is called --- */

/* A family named as the first stem_len bytes of `name` and `suffix` say, or NULL. */
static const struct piece *family_find(const belfry_emitter *e, const char *name, size_t stem_len,
                                       const char *suffix)
{
    size_t low = 0, high = e->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct piece *at = &e->pieces[middle];
        int c = strncmp(at->name, name, stem_len);
        if (c == 0)
            c = strcmp(at->name + stem_len, suffix);
        if (c == 0)
            return at;
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* Has another family that name in OpenMetrics? An info gives way to a counter. */
static bool stem_is_taken(const belfry_emitter *e, const struct piece *p, size_t stem_len)
{
    if (family_find(e, p->name, stem_len, ""))
        return true;
    const struct piece *counter =
        p->type == BELFRY_INFO ? family_find(e, p->name, stem_len, "_total") : NULL;
    return counter && counter->type == BELFRY_COUNTER;
}

static bool ends_with(const char *name, size_t len, const char *suffix, size_t suffix_len)
{
    return len > suffix_len && memcmp(name + len - suffix_len, suffix, suffix_len) == 0;
}

/* In OpenMetrics the family of counter x_total is x, that of x_info x; a counter of another name cannot be one, nor one
 * beside a family x. Such are unknown, under their own names. */
static void name_for_openmetrics(struct shown_family *f, const belfry_emitter *e,
                                 const struct piece *p)
{
    static const char *const types[] = {
        [BELFRY_COUNTER] = "counter",     [BELFRY_GAUGE] = "gauge",
        [BELFRY_HISTOGRAM] = "histogram", [BELFRY_SUMMARY] = "summary",
        [BELFRY_UNTYPED] = "unknown",     [BELFRY_INFO] = "info",
        [BELFRY_STATESET] = "stateset",
    };
    const char *suffix = p->type == BELFRY_COUNTER ? "_total" : "_info";
    size_t len = strlen(p->name), suffix_len = strlen(suffix);
    f->openmetrics_type = types[p->type];
    f->openmetrics_name_len = f->name_len;
    if (p->type != BELFRY_COUNTER && p->type != BELFRY_INFO)
        return;
    if (!ends_with(p->name, len, suffix, suffix_len) ||
        !ends_with(f->name, f->name_len, suffix, suffix_len) ||
        stem_is_taken(e, p, len - suffix_len))
        f->openmetrics_type = "unknown";
    else
        f->openmetrics_name_len -= suffix_len;
}

/* Names in quotes are escaped as label values are. */
static void name_escape_quoted(struct output *o, struct shown_family *f)
{
    if (strpbrk(f->name, "\\\"\n") == NULL)
        return;
    size_t trimmed = f->name_len - f->openmetrics_name_len;
    o->labels.len = o->name.len = 0;
    belfry__text_append(&o->labels, f->name, f->name_len + 1);
    if (!o->labels.failed)
        (void)belfry__text_escaped(&o->name, o->labels.ptr, true, TEXT_BYTES_MAX); /* is UTF-8 */
    f->name = o->name.ptr;
    f->name_len = o->name.len; /* only grew, if there was memory */
    f->openmetrics_name_len = f->name_len > trimmed ? f->name_len - trimmed : 0;
}

/* The name is laid out in o->name. */
static struct shown_family family_shown(struct output *o, const belfry_emitter *e,
                                        const struct piece *p)
{
    struct shown_family f = {.help = p->help, .type = p->type, .family = p->family};
    o->name.len = 0;
    belfry__name_escape(&o->name, p->name, true, o->escaping);
    f.name_len = o->name.len;
    belfry__text_byte(&o->name, '\0');
    f.name = o->name.failed ? "" : o->name.ptr;
    f.name_len = o->name.failed ? 0 : f.name_len;
    f.is_quoted = !belfry__name_is_plain(f.name, f.name_len, true);
    f.unit = p->family ? atomic_load_explicit(&p->family->unit, memory_order_acquire) : NULL;
    name_for_openmetrics(&f, e, p);
    if (f.is_quoted && o->format == &belfry__format_lines)
        name_escape_quoted(o, &f);
    return f;
}

/* --- writing --- */

/* How many children ahead are asked of memory: each is in a place of its own. Chosen by bench/expose_bench.c. */
enum { PREFETCH_AHEAD = 3 };

/* Its numbers and most of its label values. */
static void prefetch(const struct metric *m)
{
    __builtin_prefetch(m);
    __builtin_prefetch((const char *)m + 64);
}

static bool write_children(struct output *o, const struct shown_family *shown, struct family *f)
{
    struct child_order *order = belfry__family_order_take(f);
    if (!order)
        return false;
    for (size_t i = 0; i < order->count && !o->refused && !o->failed; i++) {
        if (i + PREFETCH_AHEAD < order->count)
            prefetch(order->items[i + PREFETCH_AHEAD]);
        o->format->metric(o, shown, order->items[i]);
        if (!o->format->keeps_families_whole)
            belfry__output_flush(o, FLUSH_BYTES);
    }
    belfry__family_order_give(order);
    return true;
}

static void write_records(struct output *o, const struct shown_family *shown,
                          const belfry_emitter *e, const struct piece *p)
{
    struct record r;
    for (size_t at = p->begin; at < p->end; at += r.bytes) {
        memcpy(&r, e->records.ptr + at, sizeof(r));
        const char *suffix = e->records.ptr + at + sizeof(r);
        o->format->sample(
            o, shown,
            &(struct emitted){suffix, r.label_count, suffix + strlen(suffix) + 1, r.value});
    }
}

static bool write_piece(struct output *o, const struct shown_family *shown, const belfry_emitter *e,
                        const struct piece *p)
{
    struct family *f = p->family;
    if (!f)
        write_records(o, shown, e, p);
    else if (!f->read)
        return write_children(o, shown, f);
    else
        o->format->sample(o, shown, &(struct emitted){"", 0, "", f->read(f->read_arg)});
    return true;
}

/* A collector found nothing: no bare head. */
static bool piece_is_empty(const struct piece *p)
{
    return !p->family && p->begin == p->end;
}

/* All pieces of one name, from `first` on: one family. Their number. */
static size_t write_family(struct output *o, const belfry_emitter *e, size_t first, bool *ok)
{
    const struct piece *pieces = &e->pieces[first];
    size_t count = 1, head = 0;
    while (first + count < e->count && strcmp(pieces[count].name, pieces[0].name) == 0)
        count++;
    while (head < count && piece_is_empty(&pieces[head]))
        head++;
    if (head == count)
        return count;
    struct shown_family shown = family_shown(o, e, &pieces[head]);
    o->format->family_begin(o, &shown);
    for (size_t i = head; *ok && i < count; i++)
        *ok = write_piece(o, &shown, e, &pieces[i]);
    o->format->family_end(o, &shown);
    return count;
}

static bool write_all(struct output *o, const belfry_emitter *e)
{
    bool ok = true;
    for (size_t i = 0; ok && i < e->count && !o->refused;) {
        i += write_family(o, e, i, &ok);
        ok = ok && !o->text.failed && !o->name.failed && !o->heads.failed && !o->labels.failed &&
             !o->bounds.failed && !o->key.failed && !o->failed;
        if (ok)
            belfry__output_flush(o, FLUSH_BYTES);
    }
    if (!ok)
        return false;
    belfry__text_string(&o->text, o->is_openmetrics ? "# EOF\n" : "");
    belfry__output_flush(o, 1);
    return !o->text.failed;
}

/* While it is not 0 nothing is freed that pieces or orders of children point to. */
static void writing_count(belfry_registry *r, int by)
{
    belfry__lock();
    r->writing_count += (size_t)by;
    belfry__unlock();
}

belfry_status belfry_registry_write(belfry_registry *r, const belfry_exposition *how,
                                    bool (*write)(void *arg, const char *bytes, size_t len),
                                    void *arg)
{
    static const belfry_exposition plain;
    if (!how)
        how = &plain;
    if ((unsigned)how->format > BELFRY_FORMAT_PROTOBUF ||
        (unsigned)how->escaping > BELFRY_ESCAPING_VALUES || !write ||
        (how->name_count && !how->names))
        return belfry__fail_plainly(BELFRY_ERROR_FORMAT);
    if (!r)
        r = belfry_registry_default();
    struct output *o = r ? calloc(1, sizeof(*o)) : NULL;
    if (!o)
        return belfry__fail_plainly(BELFRY_ERROR_MEMORY);
    o->registry = r;
    o->shows_created = atomic_load_explicit(&r->shows_created, memory_order_relaxed);
    o->write = write;
    o->arg = arg;
    o->escaping = how->escaping;
    o->is_openmetrics =
        how->format == BELFRY_FORMAT_OPENMETRICS || how->format == BELFRY_FORMAT_OPENMETRICS_0_0_1;
    o->format =
        how->format == BELFRY_FORMAT_PROTOBUF ? &belfry__format_protobuf : &belfry__format_lines;
    belfry_emitter e = {.registry = r};
    writing_count(r, 1);
    bool ok = gather(r, &e, how) && write_all(o, &e);
    writing_count(r, -1);
    belfry_status status = !ok ? BELFRY_ERROR_MEMORY : o->refused ? BELFRY_ERROR_WRITE : BELFRY_OK;
    struct text *texts[] = {&o->text,   &o->name, &o->heads, &o->labels,
                            &o->bounds, &o->key,  &e.names,  &e.records};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        belfry__text_deinit(texts[i]);
    free(e.pieces);
    belfry__histogram_reading_deinit(&o->histogram);
    free(o);
    return status == BELFRY_OK ? status : belfry__fail_plainly(status);
}

belfry_status belfry_registry_write_text(belfry_registry *r,
                                         bool (*write)(void *arg, const char *bytes, size_t len),
                                         void *arg)
{
    return belfry_registry_write(r, NULL, write, arg);
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
    if (!out || !len)
        return belfry__fail(BELFRY_ERROR_NULL, "there is no place for the text");
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
