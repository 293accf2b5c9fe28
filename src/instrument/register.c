/* SPDX-License-Identifier: Apache-2.0 */
/* register.c: the calls that register metrics and families, type by type, and what a family can be asked. */
#include "instrument/family.h"
#include "instrument/status.h"

static belfry_status labelled_register(belfry_registry *r, const struct family_spec *spec,
                                       struct family **out)
{
    if (spec->label_count == 0 || !spec->label_names)
        return belfry__fail(BELFRY_ERROR_LABELS, "\"%s\" is a family without labels",
                            spec->name ? spec->name : "");
    return belfry__register(r, spec, out, NULL, NULL);
}

#define FAIL_WITHOUT_OUT(out)                                                                      \
    do {                                                                                           \
        if (!(out))                                                                                \
            return belfry__fail_plainly(BELFRY_ERROR_NULL);                                        \
        *(out) = NULL;                                                                             \
    } while (0)

/* Registers one metric of type `kind`: the designators say what it is. */
#define REGISTER_ONE(kind, ...)                                                                    \
    FAIL_WITHOUT_OUT(out);                                                                         \
    struct metric *metric = NULL;                                                                  \
    belfry_status status = belfry__register(                                                       \
        r, &(struct family_spec){.name = name, .help = help, __VA_ARGS__}, NULL, &metric, NULL);   \
    *out = (belfry_##kind *)metric;                                                                \
    return status

#define REGISTER_FAMILY(kind, ...)                                                                 \
    FAIL_WITHOUT_OUT(out);                                                                         \
    struct family *family = NULL;                                                                  \
    belfry_status status = labelled_register(r,                                                    \
                                             &(struct family_spec){.name = name,                   \
                                                                   .help = help,                   \
                                                                   .label_names = label_names,     \
                                                                   .label_count = label_count,     \
                                                                   __VA_ARGS__},                   \
                                             &family);                                             \
    *out = (belfry_##kind##_family *)family;                                                       \
    return status

belfry_status belfry_counter_new(belfry_counter **out, belfry_registry *r, const char *name,
                                 const char *help)
{
    REGISTER_ONE(counter, .type = BELFRY_COUNTER);
}

belfry_status belfry_gauge_new(belfry_gauge **out, belfry_registry *r, const char *name,
                               const char *help)
{
    REGISTER_ONE(gauge, .type = BELFRY_GAUGE);
}

belfry_status belfry_histogram_new(belfry_histogram **out, belfry_registry *r, const char *name,
                                   const char *help, const double *bounds, size_t bound_count)
{
    belfry_histogram_options options = {.bounds = bounds, .bound_count = bound_count};
    REGISTER_ONE(histogram, .type = BELFRY_HISTOGRAM, .histogram = &options);
}

belfry_status belfry_histogram_new_with(belfry_histogram **out, belfry_registry *r,
                                        const char *name, const char *help,
                                        const belfry_histogram_options *options)
{
    REGISTER_ONE(histogram, .type = BELFRY_HISTOGRAM, .histogram = options);
}

belfry_status belfry_summary_new(belfry_summary **out, belfry_registry *r, const char *name,
                                 const char *help, const belfry_summary_options *options)
{
    REGISTER_ONE(summary, .type = BELFRY_SUMMARY, .summary = options);
}

belfry_status belfry_stateset_new(belfry_stateset **out, belfry_registry *r, const char *name,
                                  const char *help, const char *const *states, size_t state_count)
{
    REGISTER_ONE(stateset, .type = BELFRY_STATESET, .states = states, .state_count = state_count);
}

belfry_status belfry_info_new(belfry_registry *r, const char *name, const char *help,
                              const belfry_label *labels, size_t label_count)
{
    const char *names[BELFRY_LABELS_MAX], *values[BELFRY_LABELS_MAX];
    if (label_count && !labels)
        return belfry__fail_plainly(BELFRY_ERROR_NULL);
    for (size_t i = 0; i < label_count && i < BELFRY_LABELS_MAX; i++) {
        names[i] = labels[i].name;
        values[i] = labels[i].value;
        if (!names[i] || !values[i])
            return belfry__fail(BELFRY_ERROR_LABELS, "\"%s\": label %zu has no name or no value",
                                name ? name : "", i + 1);
        belfry_status status = belfry__check_label_value(name ? name : "", names[i], values[i],
                                                         BELFRY_LABEL_VALUE_BYTES_MAX);
        if (status != BELFRY_OK)
            return status;
    }
    struct metric *metric;
    struct family_spec spec = {.name = name,
                               .help = help,
                               .type = BELFRY_INFO,
                               .label_names = names,
                               .label_count = label_count};
    return belfry__register(r, &spec, NULL, &metric, values);
}

belfry_status belfry_counter_family_new(belfry_counter_family **out, belfry_registry *r,
                                        const char *name, const char *help,
                                        const char *const *label_names, size_t label_count)
{
    REGISTER_FAMILY(counter, .type = BELFRY_COUNTER);
}

belfry_status belfry_gauge_family_new(belfry_gauge_family **out, belfry_registry *r,
                                      const char *name, const char *help,
                                      const char *const *label_names, size_t label_count)
{
    REGISTER_FAMILY(gauge, .type = BELFRY_GAUGE);
}

belfry_status belfry_histogram_family_new(belfry_histogram_family **out, belfry_registry *r,
                                          const char *name, const char *help,
                                          const char *const *label_names, size_t label_count,
                                          const double *bounds, size_t bound_count)
{
    belfry_histogram_options options = {.bounds = bounds, .bound_count = bound_count};
    REGISTER_FAMILY(histogram, .type = BELFRY_HISTOGRAM, .histogram = &options);
}

belfry_status belfry_histogram_family_new_with(belfry_histogram_family **out, belfry_registry *r,
                                               const char *name, const char *help,
                                               const char *const *label_names, size_t label_count,
                                               const belfry_histogram_options *options)
{
    REGISTER_FAMILY(histogram, .type = BELFRY_HISTOGRAM, .histogram = options);
}

belfry_status belfry_summary_family_new(belfry_summary_family **out, belfry_registry *r,
                                        const char *name, const char *help,
                                        const char *const *label_names, size_t label_count,
                                        const belfry_summary_options *options)
{
    REGISTER_FAMILY(summary, .type = BELFRY_SUMMARY, .summary = options);
}

belfry_status belfry_stateset_family_new(belfry_stateset_family **out, belfry_registry *r,
                                         const char *name, const char *help,
                                         const char *const *label_names, size_t label_count,
                                         const char *const *states, size_t state_count)
{
    REGISTER_FAMILY(stateset, .type = BELFRY_STATESET, .states = states,
                    .state_count = state_count);
}

/* What a family of each type can be asked. */
#define FAMILY_CALLS(kind)                                                                         \
    belfry_##kind *belfry_##kind##_family_with(belfry_##kind##_family *family,                     \
                                               const char *const *values)                          \
    {                                                                                              \
        return (belfry_##kind *)belfry__family_with((struct family *)family, values, SIZE_MAX);    \
    }                                                                                              \
    belfry_##kind *belfry_##kind##_family_with_n(belfry_##kind##_family *family,                   \
                                                 const char *const *values, size_t value_count)    \
    {                                                                                              \
        return (belfry_##kind *)belfry__family_with((struct family *)family, values, value_count); \
    }                                                                                              \
    belfry_status belfry_##kind##_family_remove(belfry_##kind##_family *family,                    \
                                                const char *const *values)                         \
    {                                                                                              \
        return belfry__family_remove((struct family *)family, values);                             \
    }                                                                                              \
    belfry_status belfry_##kind##_family_clear(belfry_##kind##_family *family)                     \
    {                                                                                              \
        return belfry__family_clear((struct family *)family);                                      \
    }

FAMILY_CALLS(counter)
FAMILY_CALLS(gauge)
FAMILY_CALLS(histogram)
FAMILY_CALLS(summary)
FAMILY_CALLS(stateset)

static belfry_status func_new(belfry_registry *r, const struct family_spec *spec)
{
    if (!spec->read)
        return belfry__fail(BELFRY_ERROR_FORMAT, "\"%s\" has no function to read", spec->name);
    return belfry__register(r, spec, NULL, NULL, NULL);
}

belfry_status belfry_counter_func_new(belfry_registry *r, const char *name, const char *help,
                                      double (*read)(void *arg), void *arg)
{
    return func_new(
        r, &(struct family_spec){
               .name = name, .help = help, .type = BELFRY_COUNTER, .read = read, .read_arg = arg});
}

belfry_status belfry_gauge_func_new(belfry_registry *r, const char *name, const char *help,
                                    double (*read)(void *arg), void *arg)
{
    return func_new(
        r, &(struct family_spec){
               .name = name, .help = help, .type = BELFRY_GAUGE, .read = read, .read_arg = arg});
}
