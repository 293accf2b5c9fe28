/* SPDX-License-Identifier: Apache-2.0 */
/* verify.c: blocks: the index' checksum, then every column of every series, decoded. Logs (series log, WAL, exemplars):
 * every frame (wal_record.h). Extents: every head and every column. What the head notes down: read as it reads it. */
#include "storage/verify.h"

#include "base/file.h"
#include "base/mem.h"
#include "storage/block_private.h"
#include "storage/extent_store.h"
#include "storage/head_deletions.h"
#include "storage/head_floor.h"
#include "storage/wal_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PROGRESS_SERIES = 1 << 12 };
#define EXTENTS "head/extents"
#define LOG_BYTES_MAX ((size_t)8 << 30)

struct verification {
    const struct verify_options *options;
    size_t *damaged;
    const char *folder; /* below the data folder, "" = itself */
    struct error *err;
    bool ok;
};

static void item_end(struct verification *v, const struct verify_item *item)
{
    *v->damaged += item->damaged > 0;
    v->options->item(v->options->arg, item);
}

static void damage_add(struct verify_item *item, const struct error *problem)
{
    if (item->damaged++ == 0)
        item->first = *problem;
}

/* --- blocks ----------------------------------------------------------------------------------------- */

static void columns_verify(struct verification *v, struct block *b, struct verify_item *item)
{
    struct block_reader *r = block_reader_new(b);
    uint64_t count = b->index.series_count;
    for (uint64_t i = 0; i < count; i++) {
        struct samples samples;
        struct error problem;
        if (v->options->progress && i % PROGRESS_SERIES == 0)
            v->options->progress(v->options->arg, item->name, i, count);
        if (block_reader_read(r, i, INT64_MIN, INT64_MAX, NULL, &samples, &problem))
            item->samples += samples.count;
        else
            damage_add(item, &problem);
    }
    block_reader_free(r);
    item->series = count;
    /* The reader leaves out what is deleted. */
    if (item->damaged == 0 && !block_get_deletions(b) && item->samples != b->index.sample_count) {
        struct error problem;
        error_set(&problem, ERROR_CORRUPT,
                  "its index counts %" PRIu64 " samples, its columns have %" PRIu64,
                  b->index.sample_count, item->samples);
        damage_add(item, &problem);
    }
}

static void block_verify(struct verification *v, const char *name, const char *path)
{
    struct verify_item item = {.name = name, .what = "block", .bytes = dir_bytes(path)};
    struct error problem;
    struct block *b;
    if (!block_open(&b, path, &problem)) {
        damage_add(&item, &problem);
    } else {
        columns_verify(v, b, &item);
        block_unref(b);
    }
    item_end(v, &item);
}

static bool block_visit_name(void *arg, const char *name, bool is_dir)
{
    struct verification *v = arg;
    char path[BLOCK_PATH_BYTES_MAX];
    if (!is_dir || !ulid_is_valid(name))
        return true;
    v->ok = block_path(path, v->options->dir, name, v->err);
    if (v->ok)
        block_verify(v, name, path);
    return v->ok;
}

/* --- logs ------------------------------------------------------------------------------------------- */

static void frames_verify(struct view bytes, struct verify_item *item)
{
    struct wal_scanner s;
    struct wal_record record;
    struct error problem;
    wal_scanner_init(&s, bytes, 0);
    for (;;) {
        enum wal_scan scan = wal_scanner_next(&s, &record);
        bool hole = s.damage_end > s.damage_begin;
        if (scan == WAL_SCAN_END) {
            item->torn = hole;
            return;
        }
        if (hole) {
            error_set(&problem, ERROR_CORRUPT, "bytes %zu to %zu are no whole record",
                      s.damage_begin, s.damage_end);
            damage_add(item, &problem);
        }
        if (scan == WAL_SCAN_VERSION) {
            error_set(&problem, ERROR_UNAVAILABLE, "a record at byte %zu is of another version",
                      s.pos);
            damage_add(item, &problem);
            return;
        }
        item->records++;
    }
}

/* One extent; *end is behind its body. False: its head is none. */
static bool extent_verify_at(const struct wal_record *record, struct extent_file *file, size_t *end,
                             struct verify_item *item)
{
    struct extent_head head;
    struct error problem;
    bool is_new_map;
    struct reader r = reader_from(record->payload);
    *end = record->offset + WAL_RECORD_FRAME_BYTES + record->payload.len;
    struct extent *x = extent_head_decode(&r, &head)
                           ? extent_head_finish(&r, &head, NULL, file, *end, &is_new_map)
                           : NULL;
    if (!x)
        return false;
    if (!extent_verify(x, &problem))
        damage_add(item, &problem);
    *end += x->body_bytes;
    item->records++;
    extent_unref(x);
    return true;
}

static void extents_verify(struct view bytes, struct extent_file *file, struct verify_item *item)
{
    size_t end = 0;
    while (end < bytes.len) {
        struct wal_scanner s;
        struct wal_record record;
        struct error problem;
        size_t begin = end;
        wal_scanner_init(&s, (struct view){bytes.ptr + begin, bytes.len - begin}, 0);
        if (wal_scanner_next(&s, &record) != WAL_SCAN_RECORD) {
            item->torn = true;
            return;
        }
        record.offset += begin;
        if (record.offset > begin) {
            error_set(&problem, ERROR_CORRUPT, "bytes %zu to %zu are no whole extent", begin,
                      record.offset);
            damage_add(item, &problem);
        }
        if (!extent_verify_at(&record, file, &end, item)) {
            error_set(&problem, ERROR_CORRUPT, "the record at byte %zu is no extent",
                      record.offset);
            damage_add(item, &problem);
        }
    }
}

static bool extents_open(const char *path, struct view bytes, struct verify_item *item,
                         struct error *err)
{
    struct extent_file *file;
    if (!extent_file_open(&file, path, err))
        return false;
    item->what = "extents";
    extents_verify(bytes, file, item);
    extent_file_unref(file);
    return true;
}

/* head/floor and head/deletions, which are small and replaced as a whole. */
static bool note_verify(const char *dir, const char *file, bool *is_note, struct error *err)
{
    struct head_floor floor;
    struct head_deletions *deletions = NULL;
    *is_note = true;
    if (strcmp(file, "floor") == 0)
        return head_floor_read(&floor, dir, err);
    *is_note = strcmp(file, "deletions") == 0;
    if (!*is_note)
        return true;
    bool ok = head_deletions_read(dir, &deletions, err);
    head_deletions_unref(deletions);
    return ok;
}

static bool log_read(struct verification *v, const char *file, const char *path, struct view bytes,
                     struct verify_item *item, struct error *err)
{
    bool is_note;
    item->bytes = bytes.len;
    if (strcmp(v->folder, EXTENTS) == 0)
        return extents_open(path, bytes, item, err);
    if (strcmp(v->folder, "head") == 0) {
        if (!note_verify(v->options->dir, file, &is_note, err))
            return false;
        if (is_note) {
            item->what = "note";
            return true;
        }
    }
    frames_verify(bytes, item);
    return true;
}

static bool ends_in_tmp(const char *name)
{
    size_t len = strlen(name);
    return len >= 4 && strcmp(name + len - 4, ".tmp") == 0;
}

static bool log_visit(void *arg, const char *file, bool is_dir)
{
    struct verification *v = arg;
    char name[BLOCK_PATH_BYTES_MAX], path[BLOCK_PATH_BYTES_MAX];
    struct buffer bytes;
    struct error problem;
    if (is_dir || ends_in_tmp(file))
        return true;
    v->ok = block_path(name, v->folder, file, v->err) &&
            block_path(path, v->options->dir, name, v->err);
    if (!v->ok)
        return false;
    struct verify_item item = {.name = name, .what = "log"};
    buffer_init(&bytes, MEM_WAL, LOG_BYTES_MAX); /* not mapped: a running server may cut it back */
    bool ok = file_read_all(path, &bytes, &problem) &&
              log_read(v, file, path, buffer_view(&bytes), &item, &problem);
    bool gone = !ok && problem.kind == ERROR_NOT_FOUND; /* a running server takes logs away */
    if (!ok)
        damage_add(&item, &problem);
    buffer_deinit(&bytes);
    if (!gone)
        item_end(v, &item);
    return true;
}

bool verify_folder(const struct verify_options *opts, size_t *damaged, struct error *err)
{
    static const char *const FOLDERS[] = {"head", EXTENTS, "head/wal"};
    struct verification v = {.options = opts, .damaged = damaged, .err = err, .ok = true};
    *damaged = 0;
    bool ok = dir_list(opts->dir, block_visit_name, &v, err) && v.ok;
    for (size_t i = 0; ok && i < ARRAY_COUNT(FOLDERS); i++) {
        char path[BLOCK_PATH_BYTES_MAX];
        v.folder = FOLDERS[i];
        ok = block_path(path, opts->dir, v.folder, err);
        if (ok && file_exists(path))
            ok = dir_list(path, log_visit, &v, err) && v.ok;
    }
    return ok;
}
