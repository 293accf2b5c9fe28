/* SPDX-License-Identifier: Apache-2.0 */
#include "base/machine.h"
#include "imgforge_settings.h"
#include "watermarks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define KEY64 "IMGFORGE_KEY=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define SALT64 "IMGFORGE_SALT=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define UNSIGNED "IMGFORGE_ALLOW_UNSIGNED=true"

/* The environment (beside that: nothing), and the variable that is refused with what its expectation has; NULL: taken. */
static const struct {
    const char *environment[4];
    const char *variable, *expected;
} CASES[] = {
    {{UNSIGNED}, NULL, NULL},
    {{KEY64, SALT64}, NULL, NULL},
    {{NULL}, "IMGFORGE_KEY", "IMGFORGE_ALLOW_UNSIGNED=true"},
    {{KEY64}, "IMGFORGE_SALT", "hexadecimal"},
    {{SALT64}, "IMGFORGE_KEY", "hexadecimal"},
    {{"IMGFORGE_KEY=abc", "IMGFORGE_SALT=ab"}, "IMGFORGE_KEY", "hexadecimal digits"},
    {{"IMGFORGE_KEY=xy", "IMGFORGE_SALT=ab", UNSIGNED}, "IMGFORGE_KEY", "hexadecimal digits"},
    {{"IMGFORGE_KEY=ab,cd", "IMGFORGE_SALT=ab"}, "IMGFORGE_KEY", "as many keys as salts"},
    {{UNSIGNED, "IMGFORGE_SIGNATURE_SIZE=0"}, "IMGFORGE_SIGNATURE_SIZE", "from 1 to 32"},
    {{UNSIGNED, "IMGFORGE_SIGNATURE_SIZE=33"}, "IMGFORGE_SIGNATURE_SIZE", "from 1 to 32"},
    {{UNSIGNED, "IMGFORGE_WORKERS=-1"}, "IMGFORGE_WORKERS", "whole number"},
    {{UNSIGNED, "IMGFORGE_TIMEOUT=0"}, "IMGFORGE_TIMEOUT", "seconds"},
    {{UNSIGNED, "IMGFORGE_MAX_SRC_FILE_SIZE=0"}, "IMGFORGE_MAX_SRC_FILE_SIZE", "from 1"},
    {{UNSIGNED, "IMGFORGE_MAX_SRC_RESOLUTION=0"}, "IMGFORGE_MAX_SRC_RESOLUTION", "from"},
    {{UNSIGNED, "IMGFORGE_MAX_SRC_RESOLUTION=nan"}, "IMGFORGE_MAX_SRC_RESOLUTION", "number"},
    {{UNSIGNED, "IMGFORGE_MAX_SRC_RESOLUTION=1e-7"}, "IMGFORGE_MAX_SRC_RESOLUTION", "from"},
    {{UNSIGNED, "IMGFORGE_MAX_RESULT_DIMENSION=0"}, "IMGFORGE_MAX_RESULT_DIMENSION", "from 1"},
    {{UNSIGNED, "IMGFORGE_MAX_ANIMATION_FRAMES=0"}, "IMGFORGE_MAX_ANIMATION_FRAMES", "from 1"},
    {{UNSIGNED, "IMGFORGE_ALLOWED_MIME_TYPES=png"}, "IMGFORGE_ALLOWED_MIME_TYPES", "image/png"},
    {{UNSIGNED, "IMGFORGE_WATERMARK_PATH=/dev/null/none"},
     "IMGFORGE_WATERMARK_PATH",
     "can be read"},
    {{UNSIGNED, "IMGFORGE_WATERMARK_PATH=/tmp"}, "IMGFORGE_WATERMARK_PATH", "can be read"},
    {{UNSIGNED, "IMGFORGE_DEFAULT_FORMAT=bmp"}, "IMGFORGE_DEFAULT_FORMAT", "source | jpeg"},
    {{UNSIGNED, "IMGFORGE_DEFAULT_FORMAT=webp"}, NULL, NULL},
    {{UNSIGNED, "IMGFORGE_PRESETS=thumb"}, "IMGFORGE_PRESETS", "name=option"},
    {{UNSIGNED, "IMGFORGE_PRESETS=a=w:1,a=w:2"}, "IMGFORGE_PRESETS", "twice"},
    {{UNSIGNED, "IMGFORGE_PRESETS=a=dpr:9"}, "IMGFORGE_PRESETS", "\"a\": dpr value must be"},
    {{UNSIGNED, "IMGFORGE_CACHE_TYPE=redis"}, "IMGFORGE_CACHE_TYPE", "memory | disk | hybrid"},
    {{UNSIGNED, "IMGFORGE_CACHE_TYPE=disk"}, "IMGFORGE_CACHE_DISK_PATH", "needs one"},
    {{UNSIGNED, "IMGFORGE_CACHE_TYPE=hybrid", "IMGFORGE_CACHE_DISK_PATH=/dev/null/none"},
     "IMGFORGE_CACHE_DISK_PATH",
     "that is there"},
    {{UNSIGNED, "IMGFORGE_CACHE_TYPE=disk", "IMGFORGE_CACHE_DISK_PATH=/tmp"}, NULL, NULL},
    {{UNSIGNED, "IMGFORGE_CACHE_TYPE=memory", "IMGFORGE_CACHE_MEMORY_CAPACITY=0"},
     "IMGFORGE_CACHE_MEMORY_CAPACITY",
     "from 1"},
    {{UNSIGNED, "IMGFORGE_CACHE_TYPE=valkey"}, "IMGFORGE_CACHE_URL", "valkey"},
    {{UNSIGNED, "IMGFORGE_PATH_PREFIX=img"}, "IMGFORGE_PATH_PREFIX", "/img"},
    {{UNSIGNED, "IMGFORGE_PATH_PREFIX=/{x}"}, "IMGFORGE_PATH_PREFIX", "/img"},
    {{UNSIGNED, "IMGFORGE_PATH_PREFIX=/a//b"}, "IMGFORGE_PATH_PREFIX", "/img"},
    {{UNSIGNED, "IMGFORGE_HEALTH_CHECK_PATH=health"}, "IMGFORGE_HEALTH_CHECK_PATH", "/healthz"},
    {{UNSIGNED, "IMGFORGE_HEALTH_CHECK_PATH=/metrics"},
     "IMGFORGE_HEALTH_CHECK_PATH",
     "not /metrics"},
    {{UNSIGNED, "IMGFORGE_ALLOW_ORIGIN=a\nb"}, "IMGFORGE_ALLOW_ORIGIN", "origin"},
    {{UNSIGNED, "IMGFORGE_LOG_LEVEL=loud"}, "IMGFORGE_LOG_LEVEL", "debug | info"},
    {{UNSIGNED, "IMGFORGE_LOG_LEVEL=imgforge=loud"}, "IMGFORGE_LOG_LEVEL", "imgforge=debug"},
};

static bool configure(struct settings *s, const char *const *environment,
                      struct service_config *config, struct setting_problem *problem)
{
    static struct setting_group group;
    group =
        (struct setting_group){IMGFORGE_SETTINGS, IMGFORGE_SETTING_COUNT, &imgforge_settings.in};
    memset(&imgforge_settings, 0, sizeof(imgforge_settings));
    settings_init(s, &group, 1, environment);
    return settings_load(s, problem) && imgforge_configure(config, s, problem);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct settings s;
        struct service_config config;
        struct setting_problem problem = {0};
        const char *environment[5] = {0};
        memcpy(environment, CASES[i].environment, sizeof(CASES[i].environment));
        bool ok = configure(&s, environment, &config, &problem);
        if (ok != (CASES[i].variable == NULL))
            fail_msg("case %zu: %s %s", i, ok ? "taken" : problem.variable, problem.expected);
        if (!ok && (strcmp(problem.variable, CASES[i].variable) != 0 ||
                    !strstr(problem.expected, CASES[i].expected)))
            fail_msg("case %zu: %s: %s", i, problem.variable, problem.expected);
        settings_deinit(&s);
    }
}

/* A limit that fits the disk would let memory grow until the process is killed. */
static void hybrid_leaves_memory_for_pictures(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        uint64_t share;
    } TYPES[] = {{"IMGFORGE_CACHE_TYPE=hybrid", 8}, {"IMGFORGE_CACHE_TYPE=memory", 0}};
    for (size_t i = 0; i < sizeof(TYPES) / sizeof(TYPES[0]); i++) {
        struct settings s;
        struct service_config config;
        struct setting_problem problem = {0};
        const char *environment[] = {UNSIGNED, TYPES[i].type, "IMGFORGE_CACHE_DISK_PATH=/tmp",
                                     "IMGFORGE_CACHE_MAX_BYTES=4GiB", NULL};
        if (!configure(&s, environment, &config, &problem))
            fail_msg("%s: %s", problem.variable, problem.expected);
        assert_true(imgforge_settings.cache.bytes_max == UINT64_C(4) << 30);
        assert_true(imgforge_settings.cache.memory_bytes_max ==
                    (TYPES[i].share ? machine_memory_bytes() / TYPES[i].share : 0));
        settings_deinit(&s);
    }
}

/* What the start would fail of is said before. */
static void a_watermark_that_is_too_large_is_refused(void **state)
{
    (void)state;
    char path[] = "/tmp/belfry-watermark-XXXXXX", variable[64];
    int fd = mkstemp(path);
    const char *environment[] = {UNSIGNED, variable, NULL};
    (void)snprintf(variable, sizeof(variable), "IMGFORGE_WATERMARK_PATH=%s", path);
    for (off_t more = 0; more < 2; more++) {
        struct settings s;
        struct service_config config;
        struct setting_problem problem = {0};
        assert_true(fd >= 0 && ftruncate(fd, (off_t)WATERMARK_BYTES_MAX + more) == 0);
        assert_int_equal(configure(&s, environment, &config, &problem), more == 0);
        assert_true(more == 0 || strstr(problem.expected, "larger than") != NULL);
        settings_deinit(&s);
    }
    assert_int_equal(close(fd) | unlink(path), 0);
}

static void defaults_are_those_of_the_specification(void **state)
{
    (void)state;
    static const char *const ENVIRONMENT[] = {UNSIGNED, NULL};
    const struct imgforge_settings *f = &imgforge_settings;
    struct settings s;
    struct service_config config;
    struct setting_problem problem;
    assert_true(configure(&s, ENVIRONMENT, &config, &problem));
    assert_string_equal(config.listen, "0.0.0.0:3000");
    assert_null(config.metrics_listen);
    assert_int_equal(config.metrics_denied_status, 403);
    assert_false(secret_is_set(&config.metrics_token));
    assert_null(config.log_level);
    assert_null(config.data_dir);
    assert_int_equal(f->workers, 2 * sysconf(_SC_NPROCESSORS_ONLN));
    assert_int_equal(f->in.timeout_ms, 30000);
    assert_int_equal(f->in.download_timeout_ms, 10000);
    assert_int_equal(f->in.redirects_max, 10);
    assert_string_equal(f->in.user_agent, "imgforge/" BELFRY_VERSION);
    assert_int_equal(f->source_classes, 1u << ADDRESS_PRIVATE);
    assert_int_equal(f->pipeline.quality, 85);
    assert_int_equal(f->pipeline.default_format, IMAGE_FORMAT_NONE);
    assert_null(f->pipeline.allowed_types);
    assert_true(f->options.auto_rotate && !f->options.strip_metadata &&
                !f->options.return_attachment);
    assert_int_equal(f->options.limits.source_bytes, 0);
    assert_int_equal(f->cache.type, CACHE_NONE);
    assert_int_equal(f->cache.memory_entries_max, 1000);
    assert_int_equal(f->cache.disk_entries_max, 10000);
    assert_false(f->delivery.has_ttl);
    assert_string_equal(f->path_prefix, "");
    assert_int_equal(f->warning_count, 0);
    settings_deinit(&s);
}

static void what_is_said_is_taken(void **state)
{
    (void)state;
    static const char *const ENVIRONMENT[] = {
        "IMGFORGE_KEY=aabb",
        "IMGFORGE_SALT=ccdd",
        "IMGFORGE_SECRET=s",
        "IMGFORGE_WORKERS=1000",
        "IMGFORGE_QUALITY=500",
        "IMGFORGE_MAX_SRC_RESOLUTION=2.5",
        "IMGFORGE_MAX_SRC_FILE_SIZE=10MB",
        "IMGFORGE_ALLOWED_MIME_TYPES=Image/PNG; q=1, image/jpeg",
        "IMGFORGE_TTL=0",
        "IMGFORGE_PATH_PREFIX=/img/v1/",
        "IMGFORGE_LOG_LEVEL=other=error,imgforge=debug,warn",
        "IMGFORGE_PRESETS=thumb=rs:fit:10:10",
        NULL,
    };
    const struct imgforge_settings *f = &imgforge_settings;
    struct settings s;
    struct service_config config;
    struct setting_problem problem;
    assert_true(configure(&s, ENVIRONMENT, &config, &problem));
    assert_true(secret_is_set(&config.metrics_token));
    assert_string_equal(config.log_level, "debug");
    assert_int_equal(f->workers, 1000);
    assert_int_equal(f->warning_count, 2); /* workers, and a key that is short */
    assert_int_equal(f->pipeline.quality, 100);
    assert_int_equal(f->options.limits.source_pixels, 2500000);
    assert_int_equal(f->options.limits.source_bytes, 10000000);
    assert_int_equal(f->pipeline.allowed_type_count, 2);
    assert_string_equal(f->pipeline.allowed_types[0], "image/png");
    assert_true(f->delivery.has_ttl && f->delivery.ttl_s == 0);
    assert_string_equal(f->path_prefix, "/img/v1");
    assert_int_equal(f->presets.count, 1);
    settings_deinit(&s);
    static const char *const OTHERS[] = {UNSIGNED, "IMGFORGE_SECRET=s", "IMGFORGE_METRICS_PUBLIC=1",
                                         "IMGFORGE_LOG_LEVEL=other=error", NULL};
    assert_true(configure(&s, OTHERS, &config, &problem));
    assert_false(secret_is_set(&config.metrics_token));
    assert_null(config.log_level);
    settings_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(hybrid_leaves_memory_for_pictures),
        cmocka_unit_test(a_watermark_that_is_too_large_is_refused),
        cmocka_unit_test(defaults_are_those_of_the_specification),
        cmocka_unit_test(what_is_said_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
