/* SPDX-License-Identifier: Apache-2.0 */
/* imgforge_settings.h: what the environment says, checked and in the form that each part takes. Filled once, before anything else
 * runs; constant then, any thread. */
#ifndef IMGFORGE_IMGFORGE_SETTINGS_H
#define IMGFORGE_IMGFORGE_SETTINGS_H

#include "delivery.h"
#include "image_cache.h"
#include "pipeline.h"
#include "presets.h"
#include "service/service.h"
#include "signature.h"

enum { IMGFORGE_WARNINGS_MAX = 4 };

/* One field a variable, as the table has them. */
struct imgforge_variables {
    const char *bind, *metrics_bind, *log_level;
    struct secret key, salt, secret;
    int64_t signature_size, workers, timeout_ms, download_timeout_ms, rate_limit;
    int64_t source_bytes_max, result_side_max, frames_max, quality, ttl_s;
    double source_megapixels_max, frame_megapixels_max;
    bool allow_unsigned, metrics_public, allow_security_options;
    bool allow_loopback, allow_link_local, allow_private;
    struct setting_list mime_types, sources;
    const char *user_agent, *watermark_path, *presets, *allow_origin, *path_prefix, *health_path;
    int64_t redirects_max;
    int default_format, cache_type;
    bool auto_rotate, strip_metadata, keep_copyright, strip_color_profile, preserve_hdr,
        enforce_thumbnail, return_attachment;
    bool only_presets;
    int64_t cache_memory_entries, cache_disk_entries, cache_bytes_max;
    const char *cache_folder;
    struct secret cache_url;
    struct s3_settings s3;
    bool cache_control_passthrough, use_etag, last_modified, canonical, development_errors,
        debug_headers;
    bool detect_webp, enforce_webp, detect_avif, enforce_avif, client_hints;
};

struct imgforge_settings {
    struct imgforge_variables in;

    struct signing_keys keys;
    struct presets presets;
    struct image_options options; /* what a URL begins with, its limits included */
    struct pipeline_policy pipeline;
    struct negotiation negotiation; /* can_encode_*: set when the codecs are known */
    struct delivery_policy delivery;
    struct image_cache_options cache;
    unsigned workers;        /* at least 1 */
    unsigned source_classes; /* bits of addresses that sources may have (net/address_class.h) */
    const char *path_prefix; /* "" or "/img" */
    struct {
        const char *variable, *text;
    } warnings[IMGFORGE_WARNINGS_MAX]; /* for the log */
    size_t warning_count;
};

/* The one of this process. */
extern struct imgforge_settings imgforge_settings;
extern const struct setting IMGFORGE_SETTINGS[];
extern const size_t IMGFORGE_SETTING_COUNT;

/* service_definition.configure: IMGFORGE_SETTINGS has been read into imgforge_settings.in. */
MUST_USE bool imgforge_configure(struct service_config *config, struct settings *settings,
                                 struct setting_problem *problem);
/* "memory"; NULL for CACHE_NONE. Static. */
const char *imgforge_cache_name(enum cache_type type);

#endif
