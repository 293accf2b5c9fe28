/* SPDX-License-Identifier: Apache-2.0 */
/* env_file_fuzz.c: any bytes as a file of variables, and any text as a value of each kind. */
#include "base/assert.h"
#include "service/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct values {
    bool flag;
    int64_t count, size, duration;
    double number;
    const char *address, *text;
    struct secret secret;
    struct setting_list list;
    int choice;
};

static const char *const CHOICES[] = {"one", "two", NULL};
static const struct setting TABLE[] = {
    {"A", SETTING_BOOL, offsetof(struct values, flag)},
    {"B", SETTING_COUNT, offsetof(struct values, count), .min = -5, .max = 5},
    {"C", SETTING_SIZE, offsetof(struct values, size)},
    {"D_MS", SETTING_DURATION, offsetof(struct values, duration)},
    {"E", SETTING_NUMBER, offsetof(struct values, number)},
    {"F", SETTING_ADDRESS, offsetof(struct values, address)},
    {"G", SETTING_TEXT, offsetof(struct values, text)},
    {"H", SETTING_SECRET, offsetof(struct values, secret)},
    {"I", SETTING_LIST, offsetof(struct values, list)},
    {"J", SETTING_CHOICE, offsetof(struct values, choice), .choices = CHOICES},
};

static void count_unknown(void *arg, const char *name, const char *nearest)
{
    (void)nearest;
    ASSERT(name[0] != '\0');
    ++*(size_t *)arg;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct values values;
    struct setting_group group = {TABLE, ARRAY_COUNT(TABLE), &values};
    struct settings settings;
    struct setting_problem problem;
    struct error err = {0};
    size_t unknown = 0;
    settings_init(&settings, &group, 1, NULL);
    struct view text = {(const char *)data, size};
    if (!env_file_parse(&settings.arena, text, &settings.file, &err)) {
        ASSERT(err.message[0] != '\0');
    } else if (!settings_load(&settings, &problem)) {
        ASSERT(problem.variable != NULL && problem.expected[0] != '\0');
    } else {
        struct buffer out;
        buffer_init(&out, MEM_OTHER, 64 << 20);
        settings_write_json(&settings, &out);
        ASSERT(!out.failed && out.ptr[out.len - 1] == '}');
        ASSERT(values.count >= -5 && values.count <= 5 && values.size >= 0 && values.duration >= 0);
        buffer_deinit(&out);
    }
    settings_visit_unknown(&settings, "A", count_unknown, &unknown);
    ASSERT(unknown <= settings.file.count);
    settings_deinit(&settings);
    return 0;
}
