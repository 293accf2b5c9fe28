/* SPDX-License-Identifier: Apache-2.0 */
/* block_meta.c: meta.json, in the shape of Prometheus' (tools read it), version 1. */
#include "base/buffer.h"
#include "base/file.h"
#include "base/mem.h"
#include "storage/block_private.h"
#include "storage/ulid.h"

#include <inttypes.h>
#include <jansson.h>

enum { META_BYTES_MAX = 8 << 20, META_VERSION = 1 };

bool block_path(char out[BLOCK_PATH_BYTES_MAX], const char *dir, const char *name,
                struct error *err)
{
    int len = snprintf(out, BLOCK_PATH_BYTES_MAX, "%s/%s", dir, name);
    if (len < 0 || len >= BLOCK_PATH_BYTES_MAX)
        return error_set(err, ERROR_INPUT, "path \"%.200s...\" is longer than %d bytes", dir,
                         BLOCK_PATH_BYTES_MAX - 1);
    return true;
}

void block_lineage_deinit(struct block_lineage *l)
{
    mem_free(MEM_BLOCK, l->parents);
    mem_free(MEM_BLOCK, l->sources);
    *l = (struct block_lineage){0};
}

static void compaction_write(struct buffer *b, const struct block_meta *meta,
                             const struct block_lineage *lineage)
{
    buffer_printf(b, "\t\"compaction\": {\n\t\t\"level\": %" PRIu32 ",\n\t\t\"sources\": [",
                  meta->level);
    if (!lineage)
        buffer_printf(b, "\n\t\t\t\"%s\"", meta->ulid);
    for (size_t i = 0; lineage && i < lineage->source_count; i++)
        buffer_printf(b, "%s\n\t\t\t\"%s\"", i ? "," : "", lineage->sources[i]);
    buffer_printf(b, "\n\t\t]");
    for (size_t i = 0; lineage && i < lineage->parent_count; i++)
        buffer_printf(
            b, "%s\n\t\t\t{\"ulid\": \"%s\", \"minTime\": %" PRId64 ", \"maxTime\": %" PRId64 "}",
            i ? "," : ",\n\t\t\"parents\": [", lineage->parents[i].ulid, lineage->parents[i].mint,
            lineage->parents[i].maxt);
    if (lineage && lineage->parent_count > 0)
        buffer_printf(b, "\n\t\t]");
    buffer_printf(b, "\n\t},\n");
}

void block_meta_format(struct buffer *b, const struct block_meta *meta,
                       const struct block_lineage *lineage, size_t tombstones)
{
    buffer_printf(b,
                  "{\n\t\"ulid\": \"%s\",\n\t\"minTime\": %" PRId64 ",\n\t\"maxTime\": %" PRId64
                  ",\n"
                  "\t\"stats\": {\n\t\t\"numSamples\": %" PRIu64 ",\n\t\t\"numSeries\": %" PRIu64
                  ",\n\t\t\"numChunks\": %" PRIu64,
                  meta->ulid, meta->mint, meta->maxt, meta->sample_count, meta->series_count,
                  meta->column_count);
    if (tombstones > 0)
        buffer_printf(b, ",\n\t\t\"numTombstones\": %zu", tombstones);
    buffer_append_literal(b, "\n\t},\n");
    compaction_write(b, meta, lineage);
    buffer_printf(b, "\t\"version\": %d\n}\n", META_VERSION);
}

bool block_meta_write(const char *path, const struct block_meta *meta,
                      const struct block_lineage *lineage, struct error *err)
{
    struct buffer b;
    struct file *f = NULL;
    buffer_init(&b, MEM_BLOCK, META_BYTES_MAX);
    block_meta_format(&b, meta, lineage, 0);
    bool ok = !b.failed ||
              error_set(err, ERROR_LIMIT, "\"%s\" is larger than %d bytes", path, META_BYTES_MAX);
    ok = ok && file_create(&f, path, err) && file_write_all(f, buffer_view(&b), err) &&
         file_sync(f, err);
    if (ok)
        ok = file_close(f, err);
    else
        file_discard(f);
    buffer_deinit(&b);
    return ok;
}

static bool integer_get(const json_t *object, const char *key, int64_t *out)
{
    const json_t *v = json_object_get(object, key);
    *out = json_integer_value(v);
    return json_is_integer(v);
}

static bool count_get(const json_t *object, const char *key, uint64_t *out)
{
    int64_t v;
    bool ok = integer_get(object, key, &v) && v >= 0;
    *out = (uint64_t)v;
    return ok;
}

static bool ulid_get(const json_t *text, char out[BLOCK_ULID_BYTES])
{
    const char *ulid = json_string_value(text);
    if (!ulid || !ulid_is_valid(ulid))
        return false;
    memcpy(out, ulid, BLOCK_ULID_BYTES);
    return true;
}

/* Both lists may be missing. */
static bool lineage_parse(const json_t *compaction, struct block_lineage *l)
{
    const json_t *sources = json_object_get(compaction, "sources");
    const json_t *parents = json_object_get(compaction, "parents");
    size_t source_count = json_array_size(sources), parent_count = json_array_size(parents);
    l->sources = mem_alloc(MEM_BLOCK, (source_count + 1) * sizeof *l->sources);
    l->parents = mem_alloc(MEM_BLOCK, (parent_count + 1) * sizeof *l->parents);
    for (; l->source_count < source_count; l->source_count++)
        if (!ulid_get(json_array_get(sources, l->source_count), l->sources[l->source_count]))
            return false;
    for (; l->parent_count < parent_count; l->parent_count++) {
        const json_t *item = json_array_get(parents, l->parent_count);
        struct block_parent *p = &l->parents[l->parent_count];
        if (!ulid_get(json_object_get(item, "ulid"), p->ulid) ||
            !integer_get(item, "minTime", &p->mint) || !integer_get(item, "maxTime", &p->maxt))
            return false;
    }
    return true;
}

static bool meta_parse(const json_t *root, struct block_meta *meta, struct block_lineage *lineage,
                       struct error *err)
{
    const json_t *stats = json_object_get(root, "stats");
    const json_t *compaction = json_object_get(root, "compaction");
    int64_t version;
    uint64_t level;
    if (!integer_get(root, "version", &version))
        return error_set(err, ERROR_CORRUPT, "meta.json has no \"version\"");
    if (version != META_VERSION)
        return error_set(err, ERROR_UNAVAILABLE,
                         "meta.json has version %" PRId64 ", known here is %d", version,
                         META_VERSION);
    if (!ulid_get(json_object_get(root, "ulid"), meta->ulid))
        return error_set(err, ERROR_CORRUPT, "meta.json has no valid \"ulid\"");
    if (!integer_get(root, "minTime", &meta->mint) || !integer_get(root, "maxTime", &meta->maxt) ||
        meta->mint >= meta->maxt)
        return error_set(err, ERROR_CORRUPT, "meta.json has no valid \"minTime\" and \"maxTime\"");
    if (!count_get(stats, "numSamples", &meta->sample_count) ||
        !count_get(stats, "numSeries", &meta->series_count) ||
        !count_get(stats, "numChunks", &meta->column_count))
        return error_set(err, ERROR_CORRUPT, "meta.json has no valid \"stats\"");
    if (!count_get(compaction, "level", &level) || level > BLOCK_LEVEL_MAX ||
        !lineage_parse(compaction, lineage))
        return error_set(err, ERROR_CORRUPT, "meta.json has no valid \"compaction\"");
    meta->level = (uint32_t)level;
    return true;
}

bool block_meta_parse(struct view text, struct block_meta *meta, struct block_lineage *lineage,
                      struct error *err)
{
    json_error_t json_error;
    *meta = (struct block_meta){0};
    json_t *root =
        json_loadb(text.len ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES, &json_error);
    bool ok = root ? meta_parse(root, meta, lineage, err)
                   : error_set(err, ERROR_CORRUPT, "meta.json is no JSON at line %d: %s",
                               json_error.line, json_error.text);
    json_decref(root);
    return ok;
}

bool block_meta_read(const char *path, struct block_meta *meta, struct block_lineage *lineage,
                     struct error *err)
{
    struct buffer b;
    buffer_init(&b, MEM_BLOCK, META_BYTES_MAX);
    bool ok = file_read_all(path, &b, err) && block_meta_parse(buffer_view(&b), meta, lineage, err);
    buffer_deinit(&b);
    return ok;
}
