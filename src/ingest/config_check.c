/* SPDX-License-Identifier: Apache-2.0 */
/* config_check.c: loading says whether a file is right by itself; here it is asked whether the files it names are
 * there. A server would start without them, so loading does not ask. */
#include "ingest/config_check.h"

#include "base/duration.h"
#include "base/file.h"
#include "ingest/config.h"
#include "ingest/target_groups.h"

#include <glob.h>

static bool check_exists(struct view path, const char *what, struct error *err)
{
    /* Paths of a configuration are NUL-terminated: they were copied into its arena. */
    if (path.len == 0 || file_exists(path.ptr))
        return true;
    return error_set(err, ERROR_INPUT, "%s \"%.*s\" does not exist", what,
                     VIEW_ARGS(view_slice(path, 0, 400)));
}

static bool check_tls(const struct config_tls *tls, struct error *err)
{
    return check_exists(tls->ca_file, "CA file", err) &&
           check_exists(tls->cert_file, "client cert file", err) &&
           check_exists(tls->key_file, "client key file", err);
}

static bool check_http(const struct config_http_client *http, struct error *err)
{
    if (http->authorization && !check_exists(http->authorization->credentials_file,
                                             "authorization credentials or bearer token file", err))
        return false;
    if (http->basic_auth && (!check_exists(http->basic_auth->username_file, "username file", err) ||
                             !check_exists(http->basic_auth->password_file, "password file", err)))
        return false;
    if (http->oauth2 &&
        (!check_exists(http->oauth2->client_secret_file, "client secret file", err) ||
         !check_tls(&http->oauth2->tls, err)))
        return false;
    return check_tls(&http->tls, err);
}

/* Counts the files; a name without wildcards must be there. None may be a pipe or a device. */
static bool count_rule_files(const struct config *c, size_t *count, struct error *err)
{
    for (size_t i = 0; i < c->rule_files.count; i++) {
        struct view pattern = c->rule_files.items[i];
        glob_t found = {0};
        int rc = glob(pattern.ptr, 0, NULL, &found);
        size_t matches = rc == 0 ? found.gl_pathc : 0;
        bool ok = true;
        for (size_t j = 0; ok && j < matches; j++)
            ok = file_check_readable(found.gl_pathv[j], CONFIG_FILE_BYTES_MAX, err);
        globfree(&found);
        if (!ok)
            return error_wrap(err, "rule file");
        *count += matches;
        if (matches == 0 && !memchr(pattern.ptr, '*', pattern.len))
            return error_set(err, ERROR_INPUT, "rule file \"%.*s\" does not exist",
                             VIEW_ARGS(view_slice(pattern, 0, 400)));
    }
    return true;
}

/* The files that file_sd_configs match now: what is in them must be right; that there are none is a warning. */
static bool check_target_files(const struct config *c, struct buffer *errors, struct error *err)
{
    for (size_t i = 0; i < c->scrape_configs.count; i++) {
        const struct config_scrape_job *job = &c->scrape_configs.items[i];
        for (size_t d = 0; d < job->discoveries.count; d++) {
            const struct config_file_sd *sd = job->discoveries.items[d].settings;
            for (size_t f = 0;
                 job->discoveries.items[d].kind == CONFIG_FILE_SD && f < sd->files.count; f++) {
                glob_t found = {0};
                bool ok = true;
                if (glob(sd->files.items[f].ptr, 0, NULL, &found) != 0)
                    buffer_printf(
                        errors,
                        "  WARNING: file \"%.*s\" for file_sd in scrape job \"%.*s\" does "
                        "not exist\n",
                        VIEW_ARGS(sd->files.items[f]), VIEW_ARGS(job->job_name));
                for (size_t j = 0; ok && j < found.gl_pathc; j++) {
                    struct target_groups *groups = NULL;
                    ok = target_groups_read(found.gl_pathv[j], &groups, err);
                    target_groups_unref(groups);
                }
                globfree(&found);
                if (!ok)
                    return error_wrap(err, "scrape job \"%.*s\"",
                                      VIEW_ARGS(view_slice(job->job_name, 0, 200)));
            }
        }
    }
    return true;
}

static size_t lint_intervals(const struct config *c, int64_t max_ms, struct buffer *errors)
{
    size_t found = 0;
    for (size_t i = 0; max_ms > 0 && i < c->scrape_configs.count; i++) {
        const struct config_scrape_job *job = &c->scrape_configs.items[i];
        char interval[DURATION_TEXT_BYTES], max[DURATION_TEXT_BYTES];
        if (job->scrape_interval_ms < max_ms)
            continue;
        duration_format(job->scrape_interval_ms, interval);
        duration_format(max_ms, max);
        buffer_printf(
            errors,
            "  LINT: scrape job \"%.*s\": its scrape interval %s is not below the lookback "
            "of %s, so its series have gaps\n",
            VIEW_ARGS(job->job_name), interval, max);
        found++;
    }
    return found;
}

static bool check_files(const struct config *c, struct error *err)
{
    for (size_t i = 0; i < c->scrape_configs.count; i++) {
        const struct config_scrape_job *job = &c->scrape_configs.items[i];
        bool ok = check_http(&job->http, err);
        for (size_t d = 0; ok && d < job->discoveries.count; d++) {
            const struct config_discovery *entry = &job->discoveries.items[d];
            ok = entry->kind != CONFIG_HTTP_SD ||
                 check_http(&((const struct config_http_sd *)entry->settings)->http, err);
        }
        if (!ok)
            return error_wrap(err, "scrape config with job name \"%.*s\"",
                              VIEW_ARGS(view_slice(job->job_name, 0, 200)));
    }
    for (size_t i = 0; i < c->alertmanagers.count; i++) {
        if (!check_http(&c->alertmanagers.items[i].http, err))
            return error_wrap(err, "alertmanagers");
    }
    for (size_t i = 0; i < c->remote_write.count; i++) {
        if (!check_http(&c->remote_write.items[i].http, err))
            return error_wrap(err, "remote_write");
    }
    for (size_t i = 0; i < c->remote_read.count; i++) {
        if (!check_http(&c->remote_read.items[i].http, err))
            return error_wrap(err, "remote_read");
    }
    for (size_t i = 0; i < c->heartbeats.send.count; i++) {
        if (!check_http(c->heartbeats.send.items[i].http_config, err))
            return error_wrap(err, "heartbeats");
    }
    return true;
}

bool config_check(const char *path, struct config_check_options *options, struct buffer *out,
                  struct buffer *errors)
{
    struct error err = {0};
    struct config *c = NULL;
    size_t rule_files = 0;
    buffer_printf(out, "Checking %s\n", path);
    bool ok = config_load_file(path, options->unknown, &c, &err);
    if (ok && !options->syntax_only)
        ok = count_rule_files(c, &rule_files, &err) && check_files(c, &err) &&
             check_target_files(c, errors, &err);
    options->lints_found = ok ? lint_intervals(c, options->scrape_interval_max_ms, errors) : 0;
    for (size_t i = 0; c && i < c->warnings.count; i++)
        buffer_printf(errors, "  WARNING: %.*s\n", VIEW_ARGS(c->warnings.items[i]));
    if (!ok)
        buffer_printf(errors, "  FAILED: %s\n", err.message);
    if (ok && rule_files > 0)
        buffer_printf(out, "  SUCCESS: %zu rule files found\n", rule_files);
    if (ok)
        buffer_printf(out, " SUCCESS: %s is valid prometheus config file syntax\n", path);
    buffer_append_byte(out, '\n');
    config_unref(c);
    return ok;
}
