/* SPDX-License-Identifier: Apache-2.0 */
/* family_shape.c: what a family is: names, help, labels, buckets, quantiles, states. Everything is checked here, and every
 * refusal has its sentence. */
#include "instrument/family.h"
#include "instrument/status.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double NATIVE_ZERO_THRESHOLD = 0x1p-128; /* as client libraries have it */

enum {
    NATIVE_BUCKETS = 160,
    SUMMARY_SCHEMA = 6, /* a bucket is 1.1 % wide, its middle 0.54 % from its ends */
    SUMMARY_BUCKETS = 1024,
    SUMMARY_AGE_BUCKETS = 5,
    SUMMARY_AGE_BUCKETS_MAX = 60,
    SUMMARY_MAX_AGE_SECONDS = 600
};

const double belfry_buckets_seconds[BELFRY_BUCKETS_SECONDS_COUNT] = {
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

const char *belfry__type_name(belfry_metric_type type)
{
    static const char *const names[] = {
        [BELFRY_COUNTER] = "counter",     [BELFRY_GAUGE] = "gauge",
        [BELFRY_HISTOGRAM] = "histogram", [BELFRY_SUMMARY] = "summary",
        [BELFRY_UNTYPED] = "untyped",     [BELFRY_INFO] = "info",
        [BELFRY_STATESET] = "stateset",
    };
    return names[type];
}

static void strings_free(char **strings, size_t count)
{
    for (size_t i = 0; strings && i < count; i++)
        free(strings[i]);
    free(strings);
}

void belfry__family_shape_free(struct family *f)
{
    strings_free(f->label_names, f->label_count);
    strings_free(f->states, f->state_count);
    free(f->bounds);
    free(f->quantiles);
    free((char *)(uintptr_t)atomic_load_explicit(&f->unit, memory_order_relaxed)); /* our copy */
    free(f->name);
    free(f->help);
    free(f);
}

static belfry_status no_memory(void)
{
    return belfry__fail_plainly(BELFRY_ERROR_MEMORY);
}

/* Copies of strings; *out and *copied tell what is there, also when it fails. */
static bool strings_copy(char ***out, size_t *copied, const char *const *strings, size_t count)
{
    *out = calloc(count ? count : 1, sizeof(**out));
    for (size_t i = 0; *out && i < count; i++) {
        (*out)[i] = strdup(strings[i]);
        if (!(*out)[i])
            return false;
        *copied = i + 1;
    }
    return *out != NULL;
}

static bool numbers_copy(double **out, size_t *copied, const double *numbers, size_t count)
{
    *out = calloc(count ? count : 1, sizeof(**out));
    if (!*out)
        return false;
    if (count)
        memcpy(*out, numbers, count * sizeof(numbers[0]));
    *copied = count;
    return true;
}

/* --- labels --- */

/* The label that the type adds by itself. */
static const char *own_label(const struct family *f)
{
    return f->type == BELFRY_HISTOGRAM  ? "le"
           : f->type == BELFRY_SUMMARY  ? "quantile"
           : f->type == BELFRY_STATESET ? f->name
                                        : NULL;
}

static belfry_status label_check(const struct family *f, const char *const *names, size_t idx)
{
    const char *name = names[idx];
    belfry_status status = belfry__check_label_name(f->name, name);
    if (status != BELFRY_OK)
        return status;
    if (own_label(f) && strcmp(name, own_label(f)) == 0)
        return belfry__fail(BELFRY_ERROR_NAME, "\"%s\": a %s has label \"%s\" by itself", f->name,
                            belfry__type_name(f->type), name);
    for (size_t earlier = 0; earlier < idx; earlier++) {
        if (strcmp(name, names[earlier]) == 0)
            return belfry__fail(BELFRY_ERROR_LABELS, "\"%s\": label \"%s\" is there twice", f->name,
                                name);
    }
    for (size_t i = 0; i < f->registry->label_count; i++) {
        if (strcmp(name, f->registry->labels[i].name) == 0)
            return belfry__fail(BELFRY_ERROR_LABELS,
                                "\"%s\": label \"%s\" is a constant label of the registry", f->name,
                                name);
    }
    return BELFRY_OK;
}

static belfry_status labels_init(struct family *f, const struct family_spec *spec)
{
    if (spec->label_count > BELFRY_LABELS_MAX)
        return belfry__fail(BELFRY_ERROR_LABELS, "\"%s\" has %zu labels, at most %d allowed",
                            f->name, spec->label_count, BELFRY_LABELS_MAX);
    for (size_t i = 0; i < spec->label_count; i++) {
        belfry_status status = label_check(f, spec->label_names, i);
        if (status != BELFRY_OK)
            return status;
    }
    return strings_copy(&f->label_names, &f->label_count, spec->label_names, spec->label_count)
               ? BELFRY_OK
               : no_memory();
}

/* --- histograms --- */

static belfry_status bounds_init(struct family *f, const double *bounds, size_t count)
{
    if (count > 0 && isinf(bounds[count - 1]) && bounds[count - 1] > 0)
        count--;
    if (count == 0)
        return belfry__fail(BELFRY_ERROR_BUCKETS, "\"%s\" has no bucket bounds", f->name);
    if (count > BELFRY_BUCKETS_MAX)
        return belfry__fail(BELFRY_ERROR_BUCKETS,
                            "\"%s\" has %zu bucket bounds, at most %d allowed", f->name, count,
                            BELFRY_BUCKETS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(bounds[i]))
            return belfry__fail(BELFRY_ERROR_BUCKETS, "\"%s\": bucket bound %zu is %g", f->name,
                                i + 1, bounds[i]);
        if (i > 0 && !(bounds[i - 1] < bounds[i]))
            return belfry__fail(BELFRY_ERROR_BUCKETS,
                                "\"%s\": bucket bounds must ascend, but %g follows %g", f->name,
                                bounds[i], bounds[i - 1]);
    }
    return numbers_copy(&f->bounds, &f->bound_count, bounds, count) ? BELFRY_OK : no_memory();
}

static belfry_status native_init(struct family *f, const belfry_histogram_options *o)
{
    if (!(o->native_factor > 1) || !isfinite(o->native_factor))
        return belfry__fail(BELFRY_ERROR_BUCKETS, "\"%s\": the native factor is %g, not above 1",
                            f->name, o->native_factor);
    if (!isfinite(o->native_zero_threshold) || !isfinite(o->native_zero_threshold_max) ||
        o->native_zero_threshold_max < 0)
        return belfry__fail(BELFRY_ERROR_BUCKETS, "\"%s\": the zero thresholds are %g and %g",
                            f->name, o->native_zero_threshold, o->native_zero_threshold_max);
    if (o->native_buckets_max > BELFRY_NATIVE_BUCKETS_MAX)
        return belfry__fail(BELFRY_ERROR_BUCKETS,
                            "\"%s\" has up to %u native buckets, at most %d allowed", f->name,
                            o->native_buckets_max, BELFRY_NATIVE_BUCKETS_MAX);
    if (!(o->native_reset_seconds >= 0) || o->native_reset_seconds > 1e9)
        return belfry__fail(BELFRY_ERROR_BUCKETS, "\"%s\" cannot begin anew after %g seconds",
                            f->name, o->native_reset_seconds);
    double zero = o->native_zero_threshold;
    f->sketch = (struct sketch_options){.schema = belfry__sketch_schema(o->native_factor),
                                        .buckets_max = o->native_buckets_max ? o->native_buckets_max
                                                                             : NATIVE_BUCKETS,
                                        .zero_threshold = zero < 0   ? 0
                                                          : zero > 0 ? zero
                                                                     : NATIVE_ZERO_THRESHOLD,
                                        .zero_threshold_max = o->native_zero_threshold_max,
                                        .reset_ms = (int64_t)ceil(o->native_reset_seconds * 1000)};
    return BELFRY_OK;
}

static belfry_status histogram_init(struct family *f, const belfry_histogram_options *o)
{
    static const belfry_histogram_options classic = {0};
    if (!o)
        o = &classic;
    for (size_t i = 0; i < ARRAY_COUNT(o->reserved); i++) {
        if (o->reserved[i])
            return belfry__fail(BELFRY_ERROR_FORMAT, "\"%s\": a reserved option is not 0", f->name);
    }
    bool is_native = o->native_factor != 0;
    belfry_status status = is_native ? native_init(f, o) : BELFRY_OK;
    if (status == BELFRY_OK && o->bounds)
        status = bounds_init(f, o->bounds, o->bound_count);
    else if (status == BELFRY_OK && !is_native)
        status = bounds_init(f, belfry_buckets_seconds, BELFRY_BUCKETS_SECONDS_COUNT);
    size_t cells = HISTOGRAM_FIRST_BUCKET_CELL + (f->bounds ? f->bound_count + 1 : 0);
    f->cell_count = (uint32_t)cells;
    f->child_bytes = sizeof(belfry_histogram) + cells * sizeof(uint64_t);
    return status;
}

/* --- summaries and state sets --- */

static belfry_status summary_init(struct family *f, const belfry_summary_options *o)
{
    static const belfry_summary_options defaults = {0};
    static const double usual[] = {0.5, 0.9, 0.99};
    if (!o)
        o = &defaults;
    for (size_t i = 0; i < ARRAY_COUNT(o->reserved); i++) {
        if (o->reserved[i])
            return belfry__fail(BELFRY_ERROR_FORMAT, "\"%s\": a reserved option is not 0", f->name);
    }
    const double *quantiles = o->quantiles ? o->quantiles : usual;
    size_t count = o->quantiles ? o->quantile_count : ARRAY_COUNT(usual);
    if (count > BELFRY_QUANTILES_MAX)
        return belfry__fail(BELFRY_ERROR_BUCKETS, "\"%s\" has %zu quantiles, at most %d allowed",
                            f->name, count, BELFRY_QUANTILES_MAX);
    for (size_t i = 0; i < count; i++) {
        if (!(quantiles[i] >= 0 && quantiles[i] <= 1) ||
            (i > 0 && quantiles[i] <= quantiles[i - 1]))
            return belfry__fail(BELFRY_ERROR_BUCKETS,
                                "\"%s\": quantile %g is not within 0 to 1, ascending", f->name,
                                quantiles[i]);
    }
    double age = o->max_age_seconds != 0 ? o->max_age_seconds : SUMMARY_MAX_AGE_SECONDS;
    if (!(age >= 0.1 && age <= 1e9) || o->age_buckets > SUMMARY_AGE_BUCKETS_MAX)
        return belfry__fail(
            BELFRY_ERROR_VALUE,
            "\"%s\" cannot forget after %g seconds in %u steps (0.1 to 1e9, at most %d)", f->name,
            age, o->age_buckets, SUMMARY_AGE_BUCKETS_MAX);
    f->max_age_ms = (int64_t)(age * 1000);
    f->age_buckets = o->age_buckets ? o->age_buckets : SUMMARY_AGE_BUCKETS;
    f->sketch = (struct sketch_options){.schema = SUMMARY_SCHEMA,
                                        .buckets_max = SUMMARY_BUCKETS,
                                        .zero_threshold = NATIVE_ZERO_THRESHOLD};
    f->child_bytes = sizeof(belfry_summary);
    return numbers_copy(&f->quantiles, &f->quantile_count, quantiles, count) ? BELFRY_OK
                                                                             : no_memory();
}

static belfry_status stateset_init(struct family *f, const struct family_spec *spec)
{
    if (!spec->states || spec->state_count == 0 || spec->state_count > BELFRY_STATES_MAX)
        return belfry__fail(BELFRY_ERROR_LABELS, "\"%s\" has %zu states, 1 to %d allowed", f->name,
                            spec->state_count, BELFRY_STATES_MAX);
    for (size_t i = 0; i < spec->state_count; i++) {
        belfry_status status = belfry__check_label_value(f->name, f->name, spec->states[i],
                                                         BELFRY_LABEL_VALUE_BYTES_MAX);
        if (status != BELFRY_OK)
            return status;
        for (size_t earlier = 0; earlier < i; earlier++) {
            if (strcmp(spec->states[i], spec->states[earlier]) == 0)
                return belfry__fail(BELFRY_ERROR_LABELS, "\"%s\" has state \"%s\" twice", f->name,
                                    spec->states[i]);
        }
    }
    f->child_bytes = sizeof(belfry_stateset);
    return strings_copy(&f->states, &f->state_count, spec->states, spec->state_count) ? BELFRY_OK
                                                                                      : no_memory();
}

static belfry_status info_init(struct family *f)
{
    size_t len = strlen(f->name);
    f->child_bytes = sizeof(belfry_gauge);
    if (len <= 5 || strcmp(f->name + len - 5, "_info") != 0)
        return belfry__fail(BELFRY_ERROR_NAME, "\"%s\" is an info: its name must end in \"_info\"",
                            f->name);
    return BELFRY_OK;
}

static belfry_status type_init(struct family *f, const struct family_spec *spec)
{
    switch (f->type) {
    case BELFRY_COUNTER:
        f->child_bytes = sizeof(belfry_counter);
        f->cell_count = COUNTER_CELL_COUNT;
        return BELFRY_OK;
    case BELFRY_HISTOGRAM:
        return histogram_init(f, spec->histogram);
    case BELFRY_SUMMARY:
        return summary_init(f, spec->summary);
    case BELFRY_STATESET:
        return stateset_init(f, spec);
    case BELFRY_INFO:
        return info_init(f);
    default:
        f->child_bytes = sizeof(belfry_gauge);
        return BELFRY_OK;
    }
}

/* --- all of it --- */

static belfry_status names_init(struct family *f, const struct family_spec *spec)
{
    const char *prefix = atomic_load_explicit(&f->registry->prefix, memory_order_acquire);
    belfry_status status = belfry__check_metric_name(spec->name);
    if (status != BELFRY_OK)
        return status;
    size_t prefix_len = prefix ? strlen(prefix) : 0, len = strlen(spec->name);
    if (prefix_len + len > NAME_BYTES_MAX)
        return belfry__fail(BELFRY_ERROR_NAME,
                            "metric: name \"%s%.40s...\" is longer than %d bytes", prefix,
                            spec->name, NAME_BYTES_MAX);
    f->name = malloc(prefix_len + len + 1);
    f->help = strdup(spec->help ? spec->help : "");
    if (!f->name || !f->help)
        return no_memory();
    if (prefix_len)
        memcpy(f->name, prefix, prefix_len);
    f->given_name = f->name + prefix_len;
    memcpy(f->given_name, spec->name, len + 1);
    return BELFRY_OK;
}

belfry_status belfry__family_new(struct family **out, belfry_registry *r,
                                 const struct family_spec *spec)
{
    *out = NULL;
    struct family *f = calloc(1, sizeof(*f));
    if (!f)
        return no_memory();
    f->registry = r;
    f->type = spec->type;
    f->read = spec->read;
    f->read_arg = spec->read_arg;
    f->sketch.schema = SKETCH_SCHEMA_NONE;
    atomic_init(&f->children_max, BELFRY_CHILDREN_MAX);
    belfry_status status = names_init(f, spec);
    if (status == BELFRY_OK)
        status = type_init(f, spec);
    if (status == BELFRY_OK)
        status = labels_init(f, spec);
    if (status == BELFRY_OK)
        *out = f;
    else
        belfry__family_shape_free(f);
    return status;
}

static bool strings_are_equal(char *const *a, size_t a_count, char *const *b, size_t b_count)
{
    bool equal = a_count == b_count;
    for (size_t i = 0; equal && i < a_count; i++)
        equal = strcmp(a[i], b[i]) == 0;
    return equal;
}

static bool numbers_are_equal(const double *a, size_t a_count, const double *b, size_t b_count)
{
    bool equal = a_count == b_count;
    for (size_t i = 0; equal && i < a_count; i++)
        equal = a[i] == b[i];
    return equal;
}

bool belfry__families_are_alike(const struct family *a, const struct family *b)
{
    const struct sketch_options *x = &a->sketch, *y = &b->sketch;
    return a->type == b->type && !a->read && !b->read && strcmp(a->name, b->name) == 0 &&
           strings_are_equal(a->label_names, a->label_count, b->label_names, b->label_count) &&
           numbers_are_equal(a->bounds, a->bound_count, b->bounds, b->bound_count) &&
           numbers_are_equal(a->quantiles, a->quantile_count, b->quantiles, b->quantile_count) &&
           strings_are_equal(a->states, a->state_count, b->states, b->state_count) &&
           x->schema == y->schema && x->buckets_max == y->buckets_max &&
           x->zero_threshold == y->zero_threshold &&
           x->zero_threshold_max == y->zero_threshold_max && x->reset_ms == y->reset_ms &&
           a->max_age_ms == b->max_age_ms && a->age_buckets == b->age_buckets;
}
