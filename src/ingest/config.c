/* SPDX-License-Identifier: Apache-2.0 */
/* config.c: from a path to a struct config. Everything of one configuration is in one arena; only compiled
 * regular expressions are not, and are listed. */
#include "ingest/config_private.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/file.h"
#include "base/map.h"

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { READ_TRIES_MAX = 5 };

struct config *config_ref(struct config *c)
{
    struct config_owner *owner = (struct config_owner *)c;
    unsigned before = atomic_fetch_add_explicit(&owner->references, 1, memory_order_relaxed);
    ASSERT(before > 0);
    return c;
}

void config_unref(struct config *c)
{
    struct config_owner *owner = (struct config_owner *)c;
    /* Release, so that what each holder read happened before the last one frees; acquire for that last one. */
    if (!c || atomic_fetch_sub_explicit(&owner->references, 1, memory_order_acq_rel) > 1)
        return;
    for (struct config_rules_entry *entry = owner->rules; entry; entry = entry->next) {
        for (size_t i = 0; i < entry->rules.count; i++)
            relabel_rule_deinit(&entry->rules.items[i]);
    }
    arena_deinit(&owner->arena);
    mem_free(MEM_CONFIG, owner);
}

static struct config_owner *owner_new(void)
{
    struct config_owner *owner = mem_alloc_zero(MEM_CONFIG, 1, sizeof(*owner));
    arena_init(&owner->arena, MEM_CONFIG,
               0); /* bounded by the limits of the files that it is filled from */
    atomic_init(&owner->references, 1);
    return owner;
}

/* --- external labels --- */

/* Go's os.Expand: $name, ${name}, and $$ for a dollar sign; a dollar before anything else is dropped with it. */
static size_t variable_end(struct view text, size_t pos, struct view *name)
{
    size_t from = pos;
    if (pos < text.len && text.ptr[pos] == '{') {
        const char *end = memchr(text.ptr + pos, '}', text.len - pos);
        if (!end) /* no end: the "${" is dropped */
            return pos + 1;
        *name = view_slice(text, pos + 1, (size_t)(end - text.ptr));
        return (size_t)(end - text.ptr) + 1;
    }
    if (pos < text.len && strchr("*#$@!?-0123456789", text.ptr[pos]) && text.ptr[pos]) {
        *name = view_slice(text, pos, pos + 1);
        return pos + 1;
    }
    while (pos < text.len &&
           (text.ptr[pos] == '_' || (text.ptr[pos] >= '0' && text.ptr[pos] <= '9') ||
            ((text.ptr[pos] | 0x20) >= 'a' && (text.ptr[pos] | 0x20) <= 'z')))
        pos++;
    *name = view_slice(text, from, pos);
    return pos;
}

static struct view expand(struct loader *l, const struct yaml_node *node, struct view text)
{
    struct buffer out;
    if (text.len == 0 || !memchr(text.ptr, '$', text.len))
        return text;
    buffer_init(&out, MEM_CONFIG, CONFIG_FILE_BYTES_MAX);
    for (size_t pos = 0; pos < text.len;) {
        if (text.ptr[pos] != '$' || pos + 1 == text.len) {
            buffer_append_byte(&out, text.ptr[pos++]);
            continue;
        }
        struct view name = {NULL, 0};
        size_t next = variable_end(text, pos + 1, &name);
        if (view_is(name, "$")) {
            buffer_append_byte(&out, '$');
        } else if (name.len > 0) {
            const char *value = getenv(arena_copy(l->arena, name).ptr);
            if (value && value[0])
                buffer_append_view(&out, view_from(value));
            else
                config_warn(l, node, "environment variable \"%.*s\" of an external label is empty",
                            VIEW_ARGS(view_slice(name, 0, 100)));
        } else if (next == pos + 1) {
            buffer_append_byte(&out, '$'); /* no name follows: it stands for itself */
        }
        pos = next;
    }
    struct view expanded = arena_copy(l->arena, buffer_view(&out));
    buffer_deinit(&out);
    return expanded;
}

/* A label whose value has become empty is not there. */
static void expand_external_labels(struct loader *l, const struct yaml_node *root, struct config *c)
{
    const struct yaml_node *node = yaml_find(yaml_find(root, "global"), "external_labels");
    struct labels *labels = &c->global.external_labels;
    struct label *items = ARENA_ARRAY(l->arena, struct label, labels->count + 1);
    uint32_t count = 0;
    for (uint32_t i = 0; i < labels->count; i++) {
        struct view value = expand(l, node, labels->items[i].value);
        if (value.len > 0)
            items[count++] = (struct label){labels->items[i].name, value};
    }
    *labels = (struct labels){items, count};
}

/* --- jobs --- */

struct job_list {
    struct config_scrape_jobs jobs;
    size_t capacity;
    struct string_map *names; /* -> place in jobs */
};

static bool add_jobs(struct loader *l, const struct yaml_node *list,
                     struct config_scrape_jobs *from, const struct config_global *global,
                     struct job_list *to)
{
    for (size_t i = 0; i < from->count; i++) {
        struct config_scrape_job *job = &from->items[i];
        uint64_t first = 0;
        if (!config_finish_job(l, list->items[i], global, job))
            return false;
        if (string_map_get(to->names, job->job_name, &first)) {
            const struct yaml_node *name = yaml_find(list->items[i], "job_name");
            return yaml_error(
                l->err, name,
                "found multiple scrape configs with job name \"%.*s\", first found in %.*s",
                VIEW_ARGS(view_slice(job->job_name, 0, 200)),
                VIEW_ARGS(to->jobs.items[first].file));
        }
        config_warn_job(l, list->items[i]);
        string_map_set(to->names, job->job_name, to->jobs.count);
        to->jobs.items = arena_grow(l->arena, to->jobs.items, &to->capacity, to->jobs.count + 1,
                                    sizeof(*to->jobs.items));
        to->jobs.items[to->jobs.count++] = *job;
    }
    return true;
}

/* The folder of a path, without the slash; "" when it names none. "/" stays. */
static const char *folder_of(struct arena *arena, struct view path)
{
    size_t end = path.len;
    while (end > 0 && path.ptr[end - 1] != '/')
        end--;
    if (end > 1)
        end--;
    return arena_copy(arena, view_slice(path, 0, end)).ptr;
}

static bool read_text(const char *path, struct arena *arena, struct view *out, struct error *err)
{
    struct buffer text;
    buffer_init(&text, MEM_CONFIG, CONFIG_FILE_BYTES_MAX);
    bool ok = file_read_all(path, &text, err);
    if (ok)
        *out = arena_copy(arena, buffer_view(&text));
    buffer_deinit(&text);
    return ok;
}

static bool load_job_file(struct loader *main, const char *path, const struct config_global *global,
                          struct job_list *to)
{
    struct loader l = *main;
    struct view text;
    const struct yaml_node *root;
    struct config_scrape_jobs jobs = {NULL, 0};
    if (!read_text(path, l.arena, &text, l.err))
        return error_wrap(l.err, "%s", main->file);
    l.file = path;
    l.dir = folder_of(l.arena, view_from(path));
    if (yaml_parse(l.arena, text, &root, l.err) &&
        config_read_section(&l, &CONFIG_JOB_FILE_SECTION, root, &jobs) &&
        add_jobs(&l, yaml_find(root, "scrape_configs"), &jobs, global, to))
        return true;
    return config_error_place(&l);
}

/* A pattern may match nothing; a plain name must be there (Prometheus passes it over in silence). */
static bool load_job_pattern(struct loader *l, const struct yaml_node *node, struct view pattern,
                             const struct config_global *global, struct job_list *to)
{
    glob_t found = {0};
    const char *path = arena_copy(l->arena, pattern).ptr;
    bool wild = strpbrk(path, "*?[") != NULL, ok = true;
    int rc = glob(path, 0, NULL, &found);
    if (rc == GLOB_NOMATCH && !wild) {
        (void)yaml_error(l->err, node, "scrape config file \"%.*s\" does not exist",
                         VIEW_ARGS(view_slice(pattern, 0, 300)));
        ok = config_error_place(l);
    } else if (rc != 0 && rc != GLOB_NOMATCH) {
        (void)yaml_error(l->err, node, "could not list the files of \"%.*s\"",
                         VIEW_ARGS(view_slice(pattern, 0, 300)));
        ok = config_error_place(l);
    } else if (found.gl_pathc > CONFIG_SCRAPE_FILES_MAX) {
        (void)yaml_error(l->err, node, "pattern matches %zu files, at most %d are allowed",
                         found.gl_pathc, CONFIG_SCRAPE_FILES_MAX);
        ok = config_error_place(l);
    }
    for (size_t i = 0; ok && i < found.gl_pathc; i++)
        ok = load_job_file(l, arena_copy(l->arena, view_from(found.gl_pathv[i])).ptr, global, to);
    globfree(&found);
    return ok;
}

static bool load_jobs(struct loader *l, const struct yaml_node *root, struct config *c)
{
    struct job_list list = {.names = string_map_new(MEM_CONFIG)};
    const struct yaml_node *patterns = yaml_find(root, "scrape_config_files");
    bool ok = add_jobs(l, yaml_find(root, "scrape_configs"), &c->main_jobs, &c->global, &list) ||
              config_error_place(l);
    for (size_t i = 0; ok && i < c->scrape_config_files.count; i++)
        ok = load_job_pattern(l, patterns->items[i], c->scrape_config_files.items[i], &c->global,
                              &list);
    string_map_free(list.names);
    c->scrape_configs = list.jobs;
    return ok;
}

/* --- loading --- */

static bool load(struct loader *l, struct view text, struct config *c)
{
    const struct yaml_node *root;
    if (!yaml_parse(l->arena, text, &root, l->err) ||
        !config_read_section(l, &CONFIG_SECTION, root, c))
        return config_error_place(l);
    c->text = arena_copy(l->arena, text);
    if (!config_finish(l, root, c))
        return config_error_place(l);
    expand_external_labels(l, root, c);
    return load_jobs(l, root, c);
}

static bool load_text(struct view text, const char *dir, const char *name,
                      enum config_unknown unknown, struct config **out, struct error *err)
{
    struct config_owner *owner = owner_new();
    struct loader l = {.owner = owner,
                       .arena = &owner->arena,
                       .err = err,
                       .file = name,
                       .dir = dir,
                       .unknown = unknown};
    *out = NULL;
    if (!load(&l, text, &owner->config)) {
        config_unref(&owner->config);
        return false;
    }
    *out = &owner->config;
    return true;
}

bool config_load_text(struct view text, const char *dir, const char *name, struct config **out,
                      struct error *err)
{
    return load_text(text, dir, name, CONFIG_UNKNOWN_IS_ERROR, out, err);
}

/* The whole file. One that is replaced or written while it is read is read again: half of it may be valid, too. */
static bool read_still(const char *path, struct buffer *out, struct error *err)
{
    struct stat before, after;
    for (int tries = 0;; tries++) {
        bool known = stat(path, &before) == 0;
        buffer_reset(out);
        if (!file_read_all(path, out, err))
            return false;
        if (tries == READ_TRIES_MAX || !known || stat(path, &after) != 0 ||
            (before.st_ino == after.st_ino && before.st_size == after.st_size &&
             before.st_mtim.tv_sec == after.st_mtim.tv_sec &&
             before.st_mtim.tv_nsec == after.st_mtim.tv_nsec))
            return true;
    }
}

bool config_load_file(const char *path, enum config_unknown unknown, struct config **out,
                      struct error *err)
{
    struct buffer text;
    struct arena scratch;
    *out = NULL;
    buffer_init(&text, MEM_CONFIG, CONFIG_FILE_BYTES_MAX);
    arena_init(&scratch, MEM_CONFIG, 0);
    bool ok = read_still(path, &text, err) &&
              load_text(buffer_view(&text), folder_of(&scratch, view_from(path)), path, unknown,
                        out, err);
    if (ok)
        (*out)->path = arena_copy(&((struct config_owner *)*out)->arena, view_from(path));
    arena_deinit(&scratch);
    buffer_deinit(&text);
    return ok;
}

/* --- has anything changed? --- */

static void hash_file(struct buffer *seen, const char *path)
{
    struct buffer text;
    struct error err;
    buffer_init(&text, MEM_CONFIG, CONFIG_FILE_BYTES_MAX);
    buffer_append_string(seen, view_from(path));
    if (file_read_all(path, &text, &err))
        buffer_append_u64(seen, hash64_view(buffer_view(&text)));
    buffer_deinit(&text);
}

static void hash_patterns(struct buffer *seen, struct arena *arena, const char *dir,
                          const struct yaml_node *list)
{
    for (uint32_t i = 0; list && list->kind == YAML_SEQUENCE && i < list->count; i++) {
        glob_t found = {0};
        struct view pattern = config_join(arena, dir, list->items[i]->text);
        if (glob(pattern.ptr, 0, NULL, &found) == 0) {
            for (size_t j = 0; j < found.gl_pathc && j < CONFIG_SCRAPE_FILES_MAX; j++)
                hash_file(seen, found.gl_pathv[j]);
        }
        globfree(&found);
    }
}

uint64_t config_files_hash(const char *path)
{
    struct arena arena;
    struct buffer text, seen;
    struct error err;
    const struct yaml_node *root = NULL;
    arena_init(&arena, MEM_CONFIG, 0); /* bounded as the file is */
    buffer_init(&text, MEM_CONFIG, CONFIG_FILE_BYTES_MAX);
    buffer_init(&seen, MEM_CONFIG, SIZE_MAX / 2);
    hash_file(&seen, path);
    if (file_read_all(path, &text, &err) && yaml_parse(&arena, buffer_view(&text), &root, &err) &&
        root) {
        const char *dir = folder_of(&arena, view_from(path));
        hash_patterns(&seen, &arena, dir, yaml_find(root, "scrape_config_files"));
        hash_patterns(&seen, &arena, dir, yaml_find(root, "rule_files"));
    }
    uint64_t hash = hash64_view(buffer_view(&seen));
    buffer_deinit(&seen);
    buffer_deinit(&text);
    arena_deinit(&arena);
    return hash;
}
