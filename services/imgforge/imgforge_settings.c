/* SPDX-License-Identifier: Apache-2.0 */
/* imgforge_settings.c: see imgforge_settings.h. The table first, then what a row cannot say by itself. */
#include "imgforge_settings.h"

#include "base/file.h"
#include "base/machine.h"
#include "watermarks.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct imgforge_settings imgforge_settings;

/* In the order of enum image_format, whose first is the source's own. */
static const char *const FORMATS[] = {"source", "jpeg", "png",  "webp", "gif",
                                      "tiff",   "avif", "heif", NULL};
/* In the order of enum cache_type. */
static const char *const CACHES[] = {"none", "memory", "disk", "hybrid", "valkey", "s3", NULL};

#define FIELD(name) offsetof(struct imgforge_variables, name)

const struct setting IMGFORGE_SETTINGS[] = {
    {"IMGFORGE_BIND", SETTING_ADDRESS, FIELD(bind), "0.0.0.0:3000", .help = "main listener"},
    {"IMGFORGE_PROMETHEUS_BIND", SETTING_ADDRESS, FIELD(metrics_bind),
     .help = "one more listener, for /metrics only"},
    {"IMGFORGE_KEY", SETTING_SECRET, FIELD(key),
     .help =
         "keys of signatures, in hexadecimal digits; several between commas, each with its salt"},
    {"IMGFORGE_SALT", SETTING_SECRET, FIELD(salt), .help = "salts, as many as keys"},
    {"IMGFORGE_SIGNATURE_SIZE", SETTING_COUNT, FIELD(signature_size), "32", .min = 1, .max = 32,
     .help = "bytes of a signature that URLs have"},
    {"IMGFORGE_ALLOW_UNSIGNED", SETTING_BOOL, FIELD(allow_unsigned),
     .help = "\"unsafe\" is a signature"},
    {"IMGFORGE_SECRET", SETTING_SECRET, FIELD(secret),
     .help = "bearer token of images, information and metrics"},
    {"IMGFORGE_METRICS_PUBLIC", SETTING_BOOL, FIELD(metrics_public),
     .help = "/metrics asks for no token"},
    {"IMGFORGE_ALLOW_SECURITY_OPTIONS", SETTING_BOOL, FIELD(allow_security_options),
     .help = "URLs may set limits"},
    {"IMGFORGE_WORKERS", SETTING_COUNT, FIELD(workers), "0", .max = 1024,
     .help = "image operations at once; 0 = two for each CPU"},
    {"IMGFORGE_TIMEOUT", SETTING_DURATION, FIELD(timeout_ms), "30", .min = 0.01, .max = 3600,
     .help = "whole request"},
    {"IMGFORGE_DOWNLOAD_TIMEOUT", SETTING_DURATION, FIELD(download_timeout_ms), "10", .min = 0.01,
     .max = 3600, .help = "download of a source"},
    {"IMGFORGE_RATE_LIMIT_PER_MINUTE", SETTING_COUNT, FIELD(rate_limit), "0", .max = 1e9,
     .help = "images a minute, of all clients together; 0 = any"},
    {"IMGFORGE_LOG_LEVEL", SETTING_TEXT, FIELD(log_level),
     .help = "goes before LOG_LEVEL; a filter as imgforge=debug,x=info means its first match"},
    {"IMGFORGE_MAX_SRC_FILE_SIZE", SETTING_SIZE, FIELD(source_bytes_max), .min = 1, .max = 1e15,
     .help = "of a source"},
    {"IMGFORGE_MAX_SRC_RESOLUTION", SETTING_NUMBER, FIELD(source_megapixels_max), .min = 1e-6,
     .max = 1e9, .help = "megapixels of a source"},
    {"IMGFORGE_MAX_RESULT_DIMENSION", SETTING_COUNT, FIELD(result_side_max), .min = 1, .max = 1e9,
     .help = "pixels of each side of a result"},
    {"IMGFORGE_MAX_ANIMATION_FRAMES", SETTING_COUNT, FIELD(frames_max), .min = 1, .max = 1e9,
     .help = "that are read of an animation"},
    {"IMGFORGE_MAX_ANIMATION_FRAME_RESOLUTION", SETTING_NUMBER, FIELD(frame_megapixels_max),
     .min = 1e-6, .max = 1e9, .help = "megapixels of one frame"},
    {"IMGFORGE_ALLOWED_MIME_TYPES", SETTING_LIST, FIELD(mime_types),
     .help = "of sources; unset = any"},
    {"IMGFORGE_ALLOWED_SOURCES", SETTING_LIST, FIELD(sources),
     .help = "prefixes of URLs, * within a segment; unset = any"},
    {"IMGFORGE_ALLOW_LOOPBACK_SOURCE_ADDRESSES", SETTING_BOOL, FIELD(allow_loopback),
     .help = "sources may be on this machine"},
    {"IMGFORGE_ALLOW_LINK_LOCAL_SOURCE_ADDRESSES", SETTING_BOOL, FIELD(allow_link_local),
     .help = "sources may have link-local addresses"},
    {"IMGFORGE_ALLOW_PRIVATE_SOURCE_ADDRESSES", SETTING_BOOL, FIELD(allow_private), "true",
     .help = "sources may be in private networks"},
    {"IMGFORGE_USER_AGENT", SETTING_TEXT, FIELD(user_agent), "imgforge/" BELFRY_VERSION,
     .help = "of requests for sources"},
    {"IMGFORGE_MAX_REDIRECTS", SETTING_COUNT, FIELD(redirects_max), "10", .max = 100,
     .help = "that a source may take"},
    {"IMGFORGE_WATERMARK_PATH", SETTING_TEXT, FIELD(watermark_path),
     .help = "file of the watermark where a URL names none"},
    {"IMGFORGE_DEFAULT_FORMAT", SETTING_CHOICE, FIELD(default_format), "source", .choices = FORMATS,
     .help = "where a URL names none"},
    {"IMGFORGE_AUTO_ROTATE", SETTING_BOOL, FIELD(auto_rotate), "true",
     .help = "turn as EXIF says; a URL may say otherwise, as of the six that follow"},
    {"IMGFORGE_STRIP_METADATA", SETTING_BOOL, FIELD(strip_metadata),
     .help = "leave EXIF, XMP and IPTC out"},
    {"IMGFORGE_KEEP_COPYRIGHT", SETTING_BOOL, FIELD(keep_copyright),
     .help = "but keep who made it"},
    {"IMGFORGE_STRIP_COLOR_PROFILE", SETTING_BOOL, FIELD(strip_color_profile),
     .help = "leave the ICC profile out"},
    {"IMGFORGE_PRESERVE_HDR", SETTING_BOOL, FIELD(preserve_hdr),
     .help = "keep more than 8 bits where the format can"},
    {"IMGFORGE_ENFORCE_THUMBNAIL", SETTING_BOOL, FIELD(enforce_thumbnail),
     .help = "start from a thumbnail within the source"},
    {"IMGFORGE_RETURN_ATTACHMENT", SETTING_BOOL, FIELD(return_attachment),
     .help = "browsers save pictures"},
    {"IMGFORGE_QUALITY", SETTING_COUNT, FIELD(quality), "85", .help = "1 to 100, else the nearest"},
    {"IMGFORGE_PRESETS", SETTING_TEXT, FIELD(presets),
     .help = "name=option:argument/option:argument, several between commas"},
    {"IMGFORGE_ONLY_PRESETS", SETTING_BOOL, FIELD(only_presets),
     .help = "URLs have no other options"},
    {"IMGFORGE_CACHE_TYPE", SETTING_CHOICE, FIELD(cache_type), "none", .choices = CACHES,
     .help = "where results are kept"},
    {"IMGFORGE_CACHE_MEMORY_CAPACITY", SETTING_COUNT, FIELD(cache_memory_entries), "1000", .min = 1,
     .max = 1e9, .help = "entries in memory"},
    {"IMGFORGE_CACHE_DISK_PATH", SETTING_TEXT, FIELD(cache_folder),
     .help = "folder of the caches disk and hybrid"},
    {"IMGFORGE_CACHE_DISK_CAPACITY", SETTING_COUNT, FIELD(cache_disk_entries), "10000", .min = 1,
     .max = 1e9, .help = "entries on disk"},
    {"IMGFORGE_CACHE_MAX_BYTES", SETTING_SIZE, FIELD(cache_bytes_max), "0", .max = 1e15,
     .help = "of the entries in memory, and of those on disk; 0 = any; hybrid: at most 1/8 of the "
             "machine's memory"},
    {"IMGFORGE_CACHE_URL", SETTING_SECRET, FIELD(cache_url),
     .help = "valkey://HOST:PORT/DATABASE or s3://BUCKET/PREFIX"},
    {"S3_ENDPOINT", SETTING_TEXT, FIELD(s3.endpoint), .help = "of the cache s3; unset = AWS"},
    {"S3_BUCKET", SETTING_TEXT, FIELD(s3.bucket), .help = "where IMGFORGE_CACHE_URL names none"},
    {"S3_REGION", SETTING_TEXT, FIELD(s3.region), .help = "of the bucket"},
    {"S3_ACCESS_KEY", SETTING_TEXT, FIELD(s3.access_key), .help = "of the cache s3"},
    {"S3_SECRET_KEY", SETTING_SECRET, FIELD(s3.secret_key), .help = "of the cache s3"},
    {"S3_SESSION_TOKEN", SETTING_SECRET, FIELD(s3.session_token), .help = "of the cache s3"},
    {"IMGFORGE_TTL", SETTING_COUNT, FIELD(ttl_s), .max = 1e9,
     .help = "seconds that others may keep a picture (Cache-Control)"},
    {"IMGFORGE_CACHE_CONTROL_PASSTHROUGH", SETTING_BOOL, FIELD(cache_control_passthrough),
     .help = "the source's Cache-Control goes before"},
    {"IMGFORGE_USE_ETAG", SETTING_BOOL, FIELD(use_etag), .help = "ETag and If-None-Match"},
    {"IMGFORGE_LAST_MODIFIED_ENABLED", SETTING_BOOL, FIELD(last_modified),
     .help = "Last-Modified and If-Modified-Since"},
    {"IMGFORGE_SET_CANONICAL_HEADER", SETTING_BOOL, FIELD(canonical),
     .help = "Link to the source's URL"},
    {"IMGFORGE_ALLOW_ORIGIN", SETTING_TEXT, FIELD(allow_origin),
     .help = "Access-Control-Allow-Origin"},
    {"IMGFORGE_PATH_PREFIX", SETTING_TEXT, FIELD(path_prefix),
     .help = "where it is mounted, such as /img"},
    {"IMGFORGE_HEALTH_CHECK_PATH", SETTING_TEXT, FIELD(health_path), "/health",
     .help = "one more path of liveness"},
    {"IMGFORGE_DEVELOPMENT_ERRORS_MODE", SETTING_BOOL, FIELD(development_errors),
     .help = "answers say what caused an error"},
    {"IMGFORGE_ENABLE_DEBUG_HEADERS", SETTING_BOOL, FIELD(debug_headers),
     .help = "X-Origin-Width and others"},
    {"IMGFORGE_ENABLE_WEBP_DETECTION", SETTING_BOOL, FIELD(detect_webp),
     .help = "WebP for clients that take it, where a URL names no format"},
    {"IMGFORGE_ENFORCE_WEBP", SETTING_BOOL, FIELD(enforce_webp), .help = "and where it does"},
    {"IMGFORGE_ENABLE_AVIF_DETECTION", SETTING_BOOL, FIELD(detect_avif),
     .help = "AVIF for clients that take it, where a URL names no format"},
    {"IMGFORGE_ENFORCE_AVIF", SETTING_BOOL, FIELD(enforce_avif), .help = "and where it does"},
    {"IMGFORGE_ENABLE_CLIENT_HINTS", SETTING_BOOL, FIELD(client_hints),
     .help = "Width and DPR of the client fill what a URL leaves open"},
};
const size_t IMGFORGE_SETTING_COUNT = sizeof(IMGFORGE_SETTINGS) / sizeof(IMGFORGE_SETTINGS[0]);

const char *imgforge_cache_name(enum cache_type type)
{
    return type == CACHE_NONE ? NULL : CACHES[type];
}

/* --- what a row cannot say by itself --- */

struct configuring {
    struct imgforge_settings *to;
    struct settings *settings;
    struct setting_problem *problem;
};

#define REFUSE(c, name, ...) settings_problem((c)->settings, (c)->problem, name, __VA_ARGS__)

static void warn(struct imgforge_settings *s, const char *variable, const char *text)
{
    if (s->warning_count < IMGFORGE_WARNINGS_MAX) {
        s->warnings[s->warning_count].variable = variable;
        s->warnings[s->warning_count++].text = text;
    }
}

static bool configure_keys(struct configuring *c)
{
    struct imgforge_settings *s = c->to;
    const struct imgforge_variables *in = &s->in;
    bool has_key = secret_is_set(&in->key), has_salt = secret_is_set(&in->salt), is_short = false;
    struct error err = {0};
    s->keys.digest_bytes = (size_t)in->signature_size;
    s->keys.allow_unsigned = in->allow_unsigned;
    if (!has_key && !has_salt && in->allow_unsigned)
        return true;
    if (!has_key)
        return REFUSE(c, "IMGFORGE_KEY",
                      "keys in hexadecimal digits; or IMGFORGE_ALLOW_UNSIGNED=true and no keys");
    if (!has_salt)
        return REFUSE(c, "IMGFORGE_SALT", "salts in hexadecimal digits, one for each key");
    if (!signing_keys_read(&c->settings->arena, secret_reveal(&in->key), secret_reveal(&in->salt),
                           &s->keys, &is_short, &err))
        return REFUSE(c, "IMGFORGE_KEY", "%s, in IMGFORGE_KEY and IMGFORGE_SALT", err.message);
    if (is_short)
        warn(s, "IMGFORGE_KEY", "a key or salt has less than 32 bytes: signatures can be guessed");
    return true;
}

static uint64_t pixels(double megapixels)
{
    return (uint64_t)llround(megapixels * 1e6);
}

static void configure_options(struct imgforge_settings *s)
{
    const struct imgforge_variables *in = &s->in;
    struct image_options *o = &s->options;
    image_options_init(o);
    o->auto_rotate = in->auto_rotate;
    o->strip_metadata = in->strip_metadata;
    o->keep_copyright = in->keep_copyright;
    o->strip_color_profile = in->strip_color_profile;
    o->preserve_hdr = in->preserve_hdr;
    o->enforce_thumbnail = in->enforce_thumbnail;
    o->return_attachment = in->return_attachment;
    o->limits = (struct image_limits){
        .source_bytes = (uint64_t)in->source_bytes_max,
        .source_pixels = pixels(in->source_megapixels_max),
        .result_side = (uint64_t)in->result_side_max,
        .animation_frames = (uint64_t)in->frames_max,
        .animation_frame_pixels = pixels(in->frame_megapixels_max),
    };
}

/* Each preset must be read as a URL's options are. */
static bool configure_presets(struct configuring *c)
{
    struct imgforge_settings *s = c->to;
    struct arena *arena = &c->settings->arena;
    struct error err = {0};
    if (!presets_read(arena, view_from(s->in.presets ? s->in.presets : ""), &s->presets, &err))
        return REFUSE(c, "IMGFORGE_PRESETS", "%s", err.message);
    for (size_t i = 0; i < s->presets.count; i++) {
        const struct preset *preset = &s->presets.items[i];
        struct image_options scratch = s->options;
        if (!image_options_read(arena, preset->options, preset->count, &scratch, &err))
            return REFUSE(c, "IMGFORGE_PRESETS", "valid options in \"%.*s\": %s",
                          VIEW_ARGS(preset->name), err.message);
    }
    return true;
}

/* "Image/PNG; q=1" is "image/png". */
static const char *media_type(struct arena *arena, const char *text)
{
    struct view v = view_slice(view_from(text), 0, strcspn(text, ";"));
    while (v.len && v.ptr[v.len - 1] == ' ')
        v.len--;
    char *copy = arena_alloc(arena, v.len + 1);
    for (size_t i = 0; i < v.len; i++)
        copy[i] = (char)tolower((unsigned char)v.ptr[i]);
    copy[v.len] = '\0';
    return copy;
}

static bool configure_pipeline(struct configuring *c)
{
    struct imgforge_settings *s = c->to;
    const struct imgforge_variables *in = &s->in;
    const char **types = ARENA_ARRAY(&c->settings->arena, const char *, in->mime_types.count + 1);
    for (size_t i = 0; i < in->mime_types.count; i++) {
        types[i] = media_type(&c->settings->arena, in->mime_types.items[i]);
        if (!strchr(types[i], '/'))
            return REFUSE(c, "IMGFORGE_ALLOWED_MIME_TYPES", "media types such as image/png");
    }
    s->pipeline = (struct pipeline_policy){
        .quality = in->quality < 1     ? 1
                   : in->quality > 100 ? 100
                                       : (unsigned)in->quality,
        .default_format = (enum image_format)in->default_format,
        .allowed_types = in->mime_types.count ? types : NULL,
        .allowed_type_count = in->mime_types.count,
    };
    return true;
}

static bool configure_sources(struct configuring *c)
{
    struct imgforge_settings *s = c->to;
    const struct imgforge_variables *in = &s->in;
    struct error err = {0};
    s->source_classes = (in->allow_loopback ? 1u << ADDRESS_LOOPBACK : 0) |
                        (in->allow_link_local ? 1u << ADDRESS_LINK_LOCAL : 0) |
                        (in->allow_private ? 1u << ADDRESS_PRIVATE : 0);
    if (in->watermark_path && !file_check_readable(in->watermark_path, WATERMARK_BYTES_MAX, &err))
        return REFUSE(c, "IMGFORGE_WATERMARK_PATH", "a file that can be read: %s", err.message);
    if (in->watermark_path && access(in->watermark_path, R_OK) != 0)
        return REFUSE(c, "IMGFORGE_WATERMARK_PATH", "a file that can be read");
    return true;
}

enum { HYBRID_MEMORY_SHARE = 8 }; /* an eighth: chosen, not measured; pictures need the rest */

static bool configure_cache(struct configuring *c)
{
    struct imgforge_settings *s = c->to;
    const struct imgforge_variables *in = &s->in;
    struct error err = {0};
    struct stat st;
    s->cache = (struct image_cache_options){
        .type = (enum cache_type)in->cache_type,
        .memory_entries_max = (uint64_t)in->cache_memory_entries,
        .disk_entries_max = (uint64_t)in->cache_disk_entries,
        .bytes_max = (uint64_t)in->cache_bytes_max,
        .disk_folder = in->cache_folder,
        .url = secret_reveal(&in->cache_url).ptr,
        .s3 = in->s3,
    };
    if (s->cache.type == CACHE_HYBRID) /* one limit for both, and disks are larger */
        s->cache.memory_bytes_max = machine_memory_bytes() / HYBRID_MEMORY_SHARE;
    if (s->cache.type == CACHE_VALKEY && !s->cache.url)
        return REFUSE(c, "IMGFORGE_CACHE_URL", "where it is, as valkey://host:6379/0");
    if (!image_cache_check_options(&s->cache, &err))
        return REFUSE(c, "IMGFORGE_CACHE_URL", "%s", err.message);
    if (s->cache.type != CACHE_DISK && s->cache.type != CACHE_HYBRID)
        return true;
    if (!in->cache_folder)
        return REFUSE(c, "IMGFORGE_CACHE_DISK_PATH", "a folder: IMGFORGE_CACHE_TYPE=%s needs one",
                      CACHES[s->cache.type]);
    if (stat(in->cache_folder, &st) != 0 || !S_ISDIR(st.st_mode))
        return REFUSE(c, "IMGFORGE_CACHE_DISK_PATH", "a folder that is there");
    if (access(in->cache_folder, R_OK | W_OK | X_OK) != 0)
        return REFUSE(c, "IMGFORGE_CACHE_DISK_PATH", "a folder that can be written to");
    return true;
}

/* What of a path is neither a capture of routes nor encoded; "/" alone is no path here. */
static bool is_plain_path(const char *path)
{
    if (path[0] != '/' || path[1] == '\0')
        return false;
    for (const char *at = path; *at; at++) {
        bool is_segment_end = *at == '/' && (at[1] == '/' || at[1] == '\0');
        if (is_segment_end || !(isalnum((unsigned char)*at) || strchr("/-._~", *at)))
            return false;
    }
    return true;
}

/* For a header's value. */
static bool is_visible(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e)
            return false;
    return true;
}

static bool configure_http(struct configuring *c)
{
    static const char *const TAKEN[] = {"/ready", "/metrics", "/status"};
    struct imgforge_settings *s = c->to;
    const struct imgforge_variables *in = &s->in;
    struct view prefix = view_from(in->path_prefix ? in->path_prefix : "");
    while (prefix.len && prefix.ptr[prefix.len - 1] == '/')
        prefix.len--;
    s->path_prefix = arena_copy(&c->settings->arena, prefix).ptr;
    if (prefix.len && !is_plain_path(s->path_prefix))
        return REFUSE(c, "IMGFORGE_PATH_PREFIX", "a path of letters, digits and -._~, as /img");
    if (!is_plain_path(in->health_path))
        return REFUSE(c, "IMGFORGE_HEALTH_CHECK_PATH",
                      "a path of letters, digits and -._~, as /healthz");
    for (size_t i = 0; i < ARRAY_COUNT(TAKEN); i++)
        if (strcmp(in->health_path, TAKEN[i]) == 0)
            return REFUSE(c, "IMGFORGE_HEALTH_CHECK_PATH", "a path that is not %s, which is there",
                          TAKEN[i]);
    if (in->allow_origin && !is_visible(in->allow_origin))
        return REFUSE(c, "IMGFORGE_ALLOW_ORIGIN", "* or an origin, as https://example.com");
    if (!is_visible(in->user_agent))
        return REFUSE(c, "IMGFORGE_USER_AGENT", "a header's value");
    s->delivery = (struct delivery_policy){
        .has_ttl = settings_is_set(c->settings, "IMGFORGE_TTL"),
        .ttl_s = in->ttl_s,
        .passthrough = in->cache_control_passthrough,
    };
    s->negotiation = (struct negotiation){
        .detect_webp = in->detect_webp,
        .enforce_webp = in->enforce_webp,
        .detect_avif = in->detect_avif,
        .enforce_avif = in->enforce_avif,
        .client_hints = in->client_hints,
    };
    return true;
}

/* The first entry of a filter such as "imgforge=debug,x=info" that is about us. */
static bool configure_log(struct configuring *c, const char **out)
{
    static const char *const WORDS[] = {
        [BELFRY_LOG_DEBUG] = "debug",
        [BELFRY_LOG_INFO] = "info",
        [BELFRY_LOG_WARN] = "warn",
        [BELFRY_LOG_ERROR] = "error",
    };
    struct view rest = view_from(c->to->in.log_level ? c->to->in.log_level : "");
    *out = NULL;
    while (rest.len) {
        const char *comma = memchr(rest.ptr, ',', rest.len);
        struct view entry = view_slice(rest, 0, comma ? (size_t)(comma - rest.ptr) : rest.len);
        const char *equals = memchr(entry.ptr, '=', entry.len);
        struct view target = view_slice(entry, 0, equals ? (size_t)(equals - entry.ptr) : 0);
        struct view level = view_slice(entry, equals ? target.len + 1 : 0, entry.len);
        belfry_log_level parsed;
        rest = view_slice(rest, entry.len + 1, rest.len);
        if (!belfry_log_level_parse(arena_copy(&c->settings->arena, level).ptr, &parsed))
            return REFUSE(c, "IMGFORGE_LOG_LEVEL",
                          "debug | info | warn | error, or a filter such as imgforge=debug");
        if (*out == NULL && (!equals || view_is(target, "imgforge")))
            *out = WORDS[parsed];
    }
    return true;
}

static void configure_workers(struct imgforge_settings *s)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned usual = 2 * (cpus > 0 ? (unsigned)cpus : 1);
    s->workers = s->in.workers ? (unsigned)s->in.workers : usual;
    if (s->workers > usual)
        warn(s, "IMGFORGE_WORKERS", "more than two for each CPU: they wait for each other");
}

bool imgforge_configure(struct service_config *config, struct settings *settings,
                        struct setting_problem *problem)
{
    struct imgforge_settings *s = &imgforge_settings;
    struct configuring c = {s, settings, problem};
    const char *log_level;
    s->warning_count = 0;
    configure_workers(s);
    configure_options(s);
    if (!configure_keys(&c) || !configure_presets(&c) || !configure_pipeline(&c) ||
        !configure_sources(&c) || !configure_cache(&c) || !configure_http(&c) ||
        !configure_log(&c, &log_level))
        return false;
    *config = (struct service_config){
        .listen = s->in.bind,
        .metrics_listen = s->in.metrics_bind,
        .metrics_denied_status = 403,
        .data_dir = s->cache.type == CACHE_DISK || s->cache.type == CACHE_HYBRID
                        ? s->cache.disk_folder
                        : NULL,
        .log_level = log_level,
        .body_bytes_max = 1024, /* nobody sends one */
    };
    if (!s->in.metrics_public)
        config->metrics_token = s->in.secret;
    return true;
}
