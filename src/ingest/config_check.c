/* SPDX-License-Identifier: Apache-2.0 */
/* config_check.c: loading says whether a file is right by itself; here it is asked whether the files it names are
 * there. A server would start without them, so loading does not ask. */
#include "ingest/config_check.h"

#include "base/file.h"
#include "ingest/config.h"

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

/* Counts the files; a name without wildcards must be there. */
static bool count_rule_files(const struct config *c, size_t *count, struct error *err)
{
    for (size_t i = 0; i < c->rule_files.count; i++) {
        struct view pattern = c->rule_files.items[i];
        glob_t found = {0};
        int rc = glob(pattern.ptr, 0, NULL, &found);
        size_t matches = rc == 0 ? found.gl_pathc : 0;
        globfree(&found);
        *count += matches;
        if (matches == 0 && !memchr(pattern.ptr, '*', pattern.len))
            return error_set(err, ERROR_INPUT, "rule file \"%.*s\" does not exist",
                             VIEW_ARGS(view_slice(pattern, 0, 400)));
    }
    return true;
}

static bool check_files(const struct config *c, struct error *err)
{
    for (size_t i = 0; i < c->scrape_configs.count; i++) {
        const struct config_scrape_job *job = &c->scrape_configs.items[i];
        if (!check_http(&job->http, err))
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
    return true;
}

bool config_check(const char *path, bool syntax_only, struct buffer *out, struct buffer *errors)
{
    struct error err = {0};
    struct config *c = NULL;
    size_t rule_files = 0;
    buffer_printf(out, "Checking %s\n", path);
    bool ok = config_load_file(path, &c, &err);
    if (ok && !syntax_only)
        ok = count_rule_files(c, &rule_files, &err) && check_files(c, &err);
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
