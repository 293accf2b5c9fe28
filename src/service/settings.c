/* SPDX-License-Identifier: Apache-2.0 */
/* settings.c: see settings.h. A value becomes a field in one function per kind; what a row accepts is said by one
 * function for all (expected_write), so that help and complaints agree. */
#include "service/settings.h"

#include "base/assert.h"
#include "base/floattext.h"
#include "base/json_write.h"
#include "base/nearest.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#define EXACT_MAX 9007199254740992.0 /* 2^53 */
enum { LIST_ITEMS_MAX = 10000, NAMES_MAX = 512 };

void settings_init(struct settings *s, const struct setting_group *groups, size_t group_count,
                   const char *const *environment)
{
    *s =
        (struct settings){.groups = groups, .group_count = group_count, .environment = environment};
    arena_init(&s->arena, MEM_OTHER, 0);
}

void settings_deinit(struct settings *s)
{
    arena_deinit(&s->arena);
}

bool settings_read_file(struct settings *s, const char *path, struct error *err)
{
    return env_file_read(&s->arena, path, &s->file, err);
}

static const char *environment_find(const struct settings *s, const char *name)
{
    size_t len = strlen(name);
    for (const char *const *at = s->environment; at && *at; at++)
        if (strncmp(*at, name, len) == 0 && (*at)[len] == '=')
            return *at + len + 1;
    return NULL;
}

/* An override is a variable of the file that the environment does not hide. */
#define OVERRIDE_MARK "\x01"

void settings_override(struct settings *s, const char *name, const char *value)
{
    s->file.items = arena_grow(&s->arena, s->file.items, &s->file.capacity, s->file.count + 1,
                               sizeof *s->file.items);
    s->file.items[s->file.count++] =
        (struct env_variable){arena_printf(&s->arena, OVERRIDE_MARK "%s", name).ptr,
                              arena_copy(&s->arena, view_from(value)).ptr};
}

static const char *override_find(const struct settings *s, const char *name)
{
    for (size_t i = s->file.count; i > 0; i--)
        if (s->file.items[i - 1].name[0] == OVERRIDE_MARK[0] &&
            strcmp(s->file.items[i - 1].name + 1, name) == 0)
            return s->file.items[i - 1].value;
    return NULL;
}

/* NULL when it is unset or empty. */
static const char *value_of(const struct settings *s, const char *name)
{
    const char *value = override_find(s, name);
    if (value == NULL)
        value = environment_find(s, name);
    if (value == NULL)
        value = env_file_find(&s->file, name);
    return value && *value ? value : NULL;
}

static const char *given(const struct settings *s, const struct setting *row)
{
    const char *value = value_of(s, row->name);
    return value == NULL && row->alias ? value_of(s, row->alias) : value;
}

static const struct setting *find_row(const struct settings *s, const char *name)
{
    for (size_t g = 0; g < s->group_count; g++)
        for (size_t i = 0; i < s->groups[g].count; i++) {
            const struct setting *row = &s->groups[g].items[i];
            if (strcmp(row->name, name) == 0 || (row->alias && strcmp(row->alias, name) == 0))
                return row;
        }
    return NULL;
}

bool settings_is_set(const struct settings *s, const char *name)
{
    const struct setting *row = find_row(s, name);
    ASSERT(row != NULL);
    return given(s, row) != NULL;
}

/* ---- what a row accepts ---- */

static double min_of(const struct setting *row)
{
    return row->min == 0 && row->max == 0 && row->kind == SETTING_NUMBER ? -HUGE_VAL : row->min;
}

static double max_of(const struct setting *row)
{
    if (row->min == 0 && row->max == 0)
        return row->kind == SETTING_NUMBER ? HUGE_VAL : EXACT_MAX;
    return row->max;
}

static bool ends_with(const char *name, const char *end)
{
    return view_has_suffix(view_from(name), view_from(end));
}

static int64_t duration_unit_ms(const struct setting *row)
{
    return ends_with(row->name, "_MS")        ? 1
           : ends_with(row->name, "_MINUTES") ? 60 * 1000
           : ends_with(row->name, "_HOURS")   ? 3600 * 1000
                                              : 1000;
}

static const char *duration_unit_name(const struct setting *row)
{
    switch (duration_unit_ms(row)) {
    case 1:
        return "milliseconds";
    case 1000:
        return "seconds";
    case 60 * 1000:
        return "minutes";
    default:
        return "hours";
    }
}

static void number_write(struct buffer *out, double v)
{
    char text[FLOAT_TEXT_BYTES];
    buffer_append(out, text, float_format_plain(v, text));
}

static void range_write(struct buffer *out, const struct setting *row)
{
    double min = min_of(row), max = max_of(row);
    bool from = isfinite(min) && (min != 0 || row->max != 0 || row->kind != SETTING_NUMBER);
    bool to = isfinite(max) && max < EXACT_MAX;
    if (from && to) {
        buffer_append_literal(out, " from ");
        number_write(out, min);
        buffer_append_literal(out, " to ");
        number_write(out, max);
    } else if (from) {
        buffer_append_literal(out, ", at least ");
        number_write(out, min);
    } else if (to) {
        buffer_append_literal(out, ", at most ");
        number_write(out, max);
    }
}

static void expected_write(struct buffer *out, const struct setting *row)
{
    switch (row->kind) {
    case SETTING_BOOL:
        buffer_append_literal(out, "true (1 t yes on) or false (0 f no off)");
        return;
    case SETTING_COUNT:
        buffer_append_literal(out, "a whole number");
        range_write(out, row);
        return;
    case SETTING_NUMBER:
        buffer_append_literal(out, "a number");
        range_write(out, row);
        return;
    case SETTING_SIZE:
        buffer_append_literal(out, "bytes, or a number with KB MB GB KiB MiB GiB");
        if (row->min != 0 || row->max != 0)
            range_write(out, row);
        return;
    case SETTING_DURATION:
        buffer_printf(out, "a number of %s", duration_unit_name(row));
        range_write(out, row);
        return;
    case SETTING_ADDRESS:
        buffer_append_literal(out, "host:port, [v6]:port, :port or port");
        return;
    case SETTING_TEXT:
    case SETTING_SECRET:
        buffer_append_literal(out, "text");
        return;
    case SETTING_LIST:
        buffer_append_literal(out, "a list with commas");
        return;
    case SETTING_CHOICE:
        for (size_t i = 0; row->choices[i]; i++)
            buffer_printf(out, "%s%s", i ? " | " : "", row->choices[i]);
        return;
    }
    UNREACHABLE();
}

/* ---- one value ---- */

static bool parse_bool(const char *text, bool *out)
{
    static const char *const WORDS[2][5] = {{"0", "f", "false", "no", "off"},
                                            {"1", "t", "true", "yes", "on"}};
    for (size_t truth = 0; truth < 2; truth++)
        for (size_t i = 0; i < 5; i++)
            if (strcasecmp(text, WORDS[truth][i]) == 0) {
                *out = truth == 1;
                return true;
            }
    return false;
}

/* Digits, for whole ones with a minus; no "+", exponent, hexadecimal, blank or NaN. */
static bool parse_decimal(struct view text, bool with_fraction, double *out)
{
    size_t digits = 0, points = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c >= '0' && c <= '9')
            digits++;
        else if (c == '.' && with_fraction)
            points++;
        else if (c != '-' || i > 0)
            return false;
    }
    return digits > 0 && digits < 20 && points <= 1 && float_parse(text, out) && isfinite(*out);
}

static bool in_range(const struct setting *row, double v)
{
    return v >= min_of(row) && v <= max_of(row);
}

static bool parse_size(const struct setting *row, const char *text, int64_t *out)
{
    static const struct {
        struct view name;
        double factor;
    } UNITS[] = {{VIEW_INIT("KiB"), 1024},       {VIEW_INIT("MiB"), 1048576},
                 {VIEW_INIT("GiB"), 1073741824}, {VIEW_INIT("KB"), 1e3},
                 {VIEW_INIT("MB"), 1e6},         {VIEW_INIT("GB"), 1e9}};
    struct view number = view_from(text);
    double factor = 1, v;
    for (size_t i = 0; i < ARRAY_COUNT(UNITS); i++)
        if (view_has_suffix(number, UNITS[i].name)) {
            factor = UNITS[i].factor;
            number = view_slice(number, 0, number.len - UNITS[i].name.len);
            while (number.len && number.ptr[number.len - 1] == ' ')
                number.len--;
            break;
        }
    if (!parse_decimal(number, factor > 1, &v) || v < 0 || v * factor > EXACT_MAX ||
        !in_range(row, floor(v * factor)))
        return false;
    *out = (int64_t)(v * factor);
    return true;
}

static bool parse_duration(const struct setting *row, const char *text, int64_t *out)
{
    double v;
    if (!parse_decimal(view_from(text), true, &v) || v < 0 || !in_range(row, v))
        return false;
    double ms = v * (double)duration_unit_ms(row);
    if (ms > EXACT_MAX)
        return false;
    *out = (int64_t)(ms + 0.5);
    return v == 0 || *out > 0;
}

static bool is_port(struct view text)
{
    unsigned value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || i >= 5)
            return false;
        value = value * 10 + (unsigned)(text.ptr[i] - '0');
    }
    return text.len > 0 && value <= 65535;
}

static bool parse_address(struct settings *s, const char *text, const char **out)
{
    struct view all = view_from(text);
    if (is_port(all)) {
        *out = arena_printf(&s->arena, "0.0.0.0:%s", text).ptr;
        return true;
    }
    const char *colon = strrchr(text, ':');
    if (colon == NULL || !is_port(view_from(colon + 1)))
        return false;
    struct view host = {text, (size_t)(colon - text)};
    bool bracketed = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    for (size_t i = 0; i < host.len; i++) {
        unsigned char c = (unsigned char)host.ptr[i];
        if (c <= ' ' || c == 0x7f || (c == ':' && !bracketed))
            return false;
    }
    if (host.len > 253)
        return false;
    *out = arena_copy(&s->arena, all).ptr;
    return true;
}

static bool parse_list(struct settings *s, const char *text, struct setting_list *out)
{
    size_t capacity = 0;
    const char **items = NULL;
    *out = (struct setting_list){0};
    for (const char *at = text;; at++) {
        const char *end = strchrnul(at, ',');
        struct view item = {at, (size_t)(end - at)};
        while (item.len && strchr(" \t\r\n", item.ptr[0]))
            item = view_slice(item, 1, item.len);
        while (item.len && strchr(" \t\r\n", item.ptr[item.len - 1]))
            item.len--;
        if (item.len) {
            if (out->count == LIST_ITEMS_MAX)
                return false;
            items = arena_grow(&s->arena, items, &capacity, out->count + 1, sizeof *items);
            items[out->count++] = arena_copy(&s->arena, item).ptr;
        }
        if (*end == '\0')
            break;
        at = end;
    }
    out->items = items;
    return true;
}

static bool parse_choice(const struct setting *row, const char *text, int *out)
{
    for (int i = 0; row->choices[i]; i++)
        if (strcasecmp(row->choices[i], text) == 0) {
            *out = i;
            return true;
        }
    return false;
}

static bool parse_count(const struct setting *row, const char *text, int64_t *out)
{
    double v;
    if (!parse_decimal(view_from(text), false, &v) || fabs(v) > EXACT_MAX || !in_range(row, v))
        return false;
    *out = (int64_t)v;
    return true;
}

static bool parse_number(const struct setting *row, const char *text, double *out)
{
    return parse_decimal(view_from(text), true, out) && in_range(row, *out);
}

static bool parse_into(struct settings *s, const struct setting *row, const char *text, char *field)
{
    void *at = field;
    switch (row->kind) {
    case SETTING_BOOL:
        return parse_bool(text, at);
    case SETTING_COUNT:
        return parse_count(row, text, at);
    case SETTING_NUMBER:
        return parse_number(row, text, at);
    case SETTING_SIZE:
        return parse_size(row, text, at);
    case SETTING_DURATION:
        return parse_duration(row, text, at);
    case SETTING_ADDRESS:
        return parse_address(s, text, at);
    case SETTING_TEXT:
        *(const char **)at = arena_copy(&s->arena, view_from(text)).ptr;
        return true;
    case SETTING_SECRET:
        *(struct secret *)at = secret_from(arena_copy(&s->arena, view_from(text)));
        return true;
    case SETTING_LIST:
        return parse_list(s, text, at);
    case SETTING_CHOICE:
        return parse_choice(row, text, at);
    }
    UNREACHABLE();
}

static size_t field_bytes(enum setting_kind kind)
{
    static const size_t BYTES[] = {[SETTING_BOOL] = sizeof(bool),
                                   [SETTING_COUNT] = sizeof(int64_t),
                                   [SETTING_NUMBER] = sizeof(double),
                                   [SETTING_SIZE] = sizeof(int64_t),
                                   [SETTING_DURATION] = sizeof(int64_t),
                                   [SETTING_ADDRESS] = sizeof(char *),
                                   [SETTING_TEXT] = sizeof(char *),
                                   [SETTING_SECRET] = sizeof(struct secret),
                                   [SETTING_LIST] = sizeof(struct setting_list),
                                   [SETTING_CHOICE] = sizeof(int)};
    return BYTES[kind];
}

/* ---- all of them ---- */

static void problem_begin(const struct settings *s, struct setting_problem *problem,
                          const struct setting *row)
{
    const char *value = given(s, row);
    *problem =
        (struct setting_problem){.variable = row->name, .is_secret = row->kind == SETTING_SECRET};
    if (value && problem->is_secret)
        value = "***";
    (void)snprintf(problem->value, sizeof problem->value, "%s", value ? value : "");
}

static bool problem_of_row(const struct settings *s, struct setting_problem *problem,
                           const struct setting *row)
{
    struct buffer expected;
    problem_begin(s, problem, row);
    buffer_init(&expected, MEM_OTHER, sizeof problem->expected - 1);
    expected_write(&expected, row);
    memcpy(problem->expected, expected.ptr, expected.len);
    problem->expected[expected.len] = '\0';
    buffer_deinit(&expected);
    return false;
}

bool settings_problem(const struct settings *s, struct setting_problem *problem, const char *name,
                      const char *format, ...)
{
    const struct setting *row = find_row(s, name);
    ASSERT(row != NULL);
    problem_begin(s, problem, row);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(problem->expected, sizeof problem->expected, format, args);
    va_end(args);
    return false;
}

static bool load_row(struct settings *s, const struct setting *row, char *field,
                     struct setting_problem *problem)
{
    const char *text = given(s, row);
    memset(field, 0, field_bytes(row->kind));
    if (text == NULL && row->is_required)
        return settings_problem(s, problem, row->name, "a value: it is required");
    if (text)
        return parse_into(s, row, text, field) || problem_of_row(s, problem, row);
    bool is_good = row->fallback == NULL || parse_into(s, row, row->fallback, field);
    ASSERT(is_good); /* the table's own defaults */
    return true;
}

bool settings_load(struct settings *s, struct setting_problem *problem)
{
    for (size_t g = s->group_count; g-- > 0;) /* the last first: how to complain is among them */
        for (size_t i = 0; i < s->groups[g].count; i++) {
            const struct setting *row = &s->groups[g].items[i];
            if (!load_row(s, row, (char *)s->groups[g].values + row->offset, problem))
                return false;
        }
    return true;
}

static const char *nearest_name(const struct settings *s, const char *name)
{
    const char *names[NAMES_MAX];
    size_t count = 0;
    for (size_t g = 0; g < s->group_count; g++)
        for (size_t i = 0; i < s->groups[g].count && count < NAMES_MAX; i++)
            names[count++] = s->groups[g].items[i].name;
    return nearest_word(view_from(name), names, count);
}

void settings_visit_unknown(const struct settings *s, const char *prefix,
                            void (*visit)(void *arg, const char *name, const char *nearest),
                            void *arg)
{
    for (const char *const *at = s->environment; prefix && at && *at; at++) {
        size_t len = strcspn(*at, "=");
        char name[256];
        if (len >= sizeof name || strncmp(*at, prefix, strlen(prefix)) != 0)
            continue;
        memcpy(name, *at, len);
        name[len] = '\0';
        if (find_row(s, name) == NULL)
            visit(arg, name, nearest_name(s, name));
    }
    for (size_t i = 0; i < s->file.count; i++) {
        const char *name = s->file.items[i].name;
        bool in_environment = prefix && strncmp(name, prefix, strlen(prefix)) == 0 &&
                              environment_find(s, name) != NULL;
        if (name[0] != OVERRIDE_MARK[0] && !in_environment && find_row(s, name) == NULL)
            visit(arg, name, nearest_name(s, name));
    }
}

/* ---- out ---- */

static void text_or_null(struct buffer *out, const char *text)
{
    if (text)
        json_string(out, view_from(text));
    else
        buffer_append_literal(out, "null");
}

static void field_write(struct buffer *out, const struct setting *row, const char *field)
{
    const void *at = field;
    const struct setting_list *list = at;
    switch (row->kind) {
    case SETTING_BOOL:
        buffer_printf(out, "%s", *(const bool *)at ? "true" : "false");
        return;
    case SETTING_COUNT:
    case SETTING_SIZE:
        json_int(out, *(const int64_t *)at);
        return;
    case SETTING_DURATION:
        json_number(out, (double)*(const int64_t *)at / (double)duration_unit_ms(row));
        return;
    case SETTING_NUMBER:
        json_number(out, *(const double *)at);
        return;
    case SETTING_ADDRESS:
    case SETTING_TEXT:
        text_or_null(out, *(const char *const *)at);
        return;
    case SETTING_SECRET:
        text_or_null(out, secret_is_set(at) ? "***" : NULL);
        return;
    case SETTING_LIST:
        buffer_append_byte(out, '[');
        for (size_t i = 0; i < list->count; i++) {
            if (i)
                buffer_append_byte(out, ',');
            json_string(out, view_from(list->items[i]));
        }
        buffer_append_byte(out, ']');
        return;
    case SETTING_CHOICE:
        json_string(out, view_from(row->choices[*(const int *)at]));
        return;
    }
    UNREACHABLE();
}

static bool is_unset(const struct settings *s, const struct setting *row)
{
    return row->fallback == NULL && given(s, row) == NULL && row->kind != SETTING_BOOL &&
           row->kind != SETTING_LIST && row->kind != SETTING_CHOICE;
}

void settings_write_json(const struct settings *s, struct buffer *out)
{
    buffer_append_byte(out, '{');
    bool first = true;
    for (size_t g = 0; g < s->group_count; g++)
        for (size_t i = 0; i < s->groups[g].count; i++) {
            const struct setting *row = &s->groups[g].items[i];
            buffer_printf(out, "%s\"%s\":", first ? "" : ",", row->name);
            if (is_unset(s, row))
                buffer_append_literal(out, "null");
            else
                field_write(out, row, (const char *)s->groups[g].values + row->offset);
            first = false;
        }
    buffer_append_byte(out, '}');
}

void settings_write_help(const struct settings *s, struct buffer *out)
{
    for (size_t g = 0; g < s->group_count; g++)
        for (size_t i = 0; i < s->groups[g].count; i++) {
            const struct setting *row = &s->groups[g].items[i];
            const char *fallback = row->is_required ? "required" : row->fallback;
            if (fallback == NULL)
                fallback = row->kind == SETTING_BOOL     ? "false"
                           : row->kind == SETTING_CHOICE ? row->choices[0]
                                                         : "unset";
            buffer_printf(out, "  %-36s %-20s %s", row->name, fallback, row->help ? row->help : "");
            if (row->alias)
                buffer_printf(out, " (also %s)", row->alias);
            buffer_append_literal(out, "\n                                       ");
            expected_write(out, row);
            buffer_append_byte(out, '\n');
        }
}

const char *settings_join_address(struct settings *s, const char *host, int64_t port)
{
    bool is_v6 = strchr(host, ':') != NULL && host[0] != '[';
    return arena_printf(&s->arena, is_v6 ? "[%s]:%" PRId64 : "%s:%" PRId64, host, port).ptr;
}
