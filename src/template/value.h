/* SPDX-License-Identifier: Apache-2.0 */
/* value.h: what templates compute with. A value is 24 bytes, copied freely; what it points to is in an arena or lives
 * longer. Its type is one of Go's, so that `eq 1 1.0` fails, `join` wants a list and %T prints as there: types are
 * compared by their address.
 *
 * A caller builds its data from these: texts, numbers, maps of pairs sorted by key, lists, and structs, whose fields
 * are an array of values in the order of the type's `fields`. */
#ifndef BELFRY_TEMPLATE_VALUE_H
#define BELFRY_TEMPLATE_VALUE_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum template_kind {
    TEMPLATE_ANY, /* of parameters, and of elements that may be anything: never of a value */
    TEMPLATE_BOOL,
    TEMPLATE_INT,
    TEMPLATE_FLOAT,
    TEMPLATE_STRING,
    TEMPLATE_TIME,
    TEMPLATE_LIST,
    TEMPLATE_MAP, /* keys are texts */
    TEMPLATE_STRUCT,
};

struct template_type;
struct template_pair;
struct template_call;

/* A point in time: seconds since 1970 UTC, and the zone in which it is shown. Go's zero time is ZERO_SECONDS. */
#define TEMPLATE_TIME_ZERO_SECONDS (-62135596800LL)
struct template_time {
    int64_t seconds;
    int32_t nanoseconds;    /* [0, 1e9) */
    int32_t offset_seconds; /* east of UTC */
    struct view zone;       /* abbreviation, "UTC", "CEST" */
};

struct template_value {
    const struct template_type *type; /* NULL: no value, or nil */
    union {
        bool boolean;
        int64_t integer;
        double number;
        struct view text;
        const struct template_time *time;
        struct {
            const struct template_value *items;
            size_t count;
        } list;
        struct {
            const struct template_pair *pairs; /* ascending by key, distinct */
            size_t count;
        } map;
        const struct template_value *fields; /* as many as the type names */
    };
};

struct template_pair {
    struct view key;
    struct template_value value;
};

/* Computes *out from the arguments, which have the types that the function declares. A method's receiver is args[0] and
 * is not among `params`. Returns false after template_call_error(). */
typedef bool (*template_function_fn)(struct template_call *call, const struct template_value *args,
                                     size_t count, struct template_value *out);

enum { TEMPLATE_PARAMS_MAX = 4 };

struct template_function {
    const char *name;
    template_function_fn call;
    const struct template_type *params[TEMPLATE_PARAMS_MAX];
    uint8_t param_count;
    bool variadic; /* the last of `params` is taken any number of times, none included */
};

struct template_field {
    const char *name;
    const char *json; /* its name in toJson; NULL = not there */
};

struct template_type {
    enum template_kind kind;
    const char *name;                    /* as Go prints it: "map[string]string" */
    const struct template_type *element; /* of lists and maps */
    const struct template_type
        *unnamed; /* template.KV: the map[string]string for which it is taken too; or NULL */
    const struct template_field *fields; /* of structs */
    size_t field_count;
    const struct template_function *methods;
    size_t method_count;
    template_function_fn
        text; /* what is printed (Go's String method), a text; NULL = as Go lays out its kind */
};

extern const struct template_type TEMPLATE_TYPE_ANY, TEMPLATE_TYPE_BOOL, TEMPLATE_TYPE_INT,
    TEMPLATE_TYPE_BYTE, TEMPLATE_TYPE_FLOAT, TEMPLATE_TYPE_STRING, TEMPLATE_TYPE_TIME,
    TEMPLATE_TYPE_DURATION,                     /* an int of nanoseconds */
    TEMPLATE_TYPE_MONTH, TEMPLATE_TYPE_WEEKDAY, /* ints */
    TEMPLATE_TYPE_HTML, TEMPLATE_TYPE_URL,      /* texts that html mode takes as they are */
    TEMPLATE_TYPE_STRINGS, TEMPLATE_TYPE_ANYS,  /* []string, []interface {} */
    TEMPLATE_TYPE_STRING_MAP,
    TEMPLATE_TYPE_ANY_MAP,                       /* map[string]string, map[string]interface {} */
    TEMPLATE_TYPE_SAMPLE, TEMPLATE_TYPE_SAMPLES; /* of query() */

static inline struct template_value template_bool(bool v)
{
    return (struct template_value){.type = &TEMPLATE_TYPE_BOOL, .boolean = v};
}
static inline struct template_value template_int(int64_t v)
{
    return (struct template_value){.type = &TEMPLATE_TYPE_INT, .integer = v};
}
static inline struct template_value template_float(double v)
{
    return (struct template_value){.type = &TEMPLATE_TYPE_FLOAT, .number = v};
}
/* Borrows the bytes. */
static inline struct template_value template_string(struct view v)
{
    return (struct template_value){.type = &TEMPLATE_TYPE_STRING, .text = v};
}
static inline struct template_value template_nil(void)
{
    return (struct template_value){.type = NULL};
}
static inline struct template_value template_list(const struct template_type *type,
                                                  const struct template_value *items, size_t count)
{
    return (struct template_value){.type = type, .list = {items, count}};
}
/* Borrows the pairs and sorts them by key, in place. */
struct template_value template_map(const struct template_type *type, struct template_pair *pairs,
                                   size_t count);
/* The zero of a type: false, 0, "", nothing in it. */
struct template_value template_zero(const struct template_type *type);
/* The value under a key; NULL = it is not there. */
const struct template_value *template_map_find(const struct template_value *map, struct view key);
static inline struct template_value template_struct(const struct template_type *type,
                                                    const struct template_value *fields)
{
    return (struct template_value){.type = type, .fields = fields};
}
/* A time in UTC from milliseconds since 1970. */
struct template_value template_time_ms(struct arena *arena, int64_t ms);

/* What {{if}} asks: false for nil, zeros and what is empty. */
bool template_value_is_true(const struct template_value *v);

/* For functions. Memory in the run's arena, counted against its limit; NULL when that is reached, then the call has
 * failed with that error and returns false. */
void *template_call_alloc(struct template_call *call, size_t bytes);
/* A copy of the bytes there; a NULL ptr when the limit is reached. */
struct view template_call_copy(struct template_call *call, struct view bytes);
/* The message of a failed call; returns false. */
bool template_call_error(struct template_call *call, const char *format, ...) PRINTF_LIKE(2, 3);
/* struct template_run.user. */
void *template_call_user(const struct template_call *call);
/* The text that {{ . }} prints for a value; false when it cannot be printed or a limit is reached. */
bool template_call_text(struct template_call *call, const struct template_value *v,
                        struct view *out);

#endif
