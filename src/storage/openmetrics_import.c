/* SPDX-License-Identifier: Apache-2.0 */
/* openmetrics_import.c: parser -> sorter. Neighbouring lines are mostly of one series (a dump goes series by series) or of
 * the series of the target's last exposition: a table from the key as it is written to the series spares labels. */
#include "storage/openmetrics_import.h"

#include "base/checksum.h"
#include "base/map.h"
#include "base/mem.h"
#include "model/exposition.h"

enum { PROGRESS_LINES = 1 << 16 };

struct known_key {
    struct view key; /* in the text */
    uint32_t series;
};

struct reading {
    const struct openmetrics_import_options *options;
    struct sample_sorter *sorter;
    struct exposition_parser parser;
    struct map map;
    struct known_key *keys;
    size_t key_count, key_capacity;
    struct arena arena;
};

static bool key_equal(const void *context, uint32_t item, const void *key)
{
    return view_eq(((const struct reading *)context)->keys[item].key, *(const struct view *)key);
}

static bool series_find(struct reading *r, uint32_t *series, struct error *err)
{
    struct view key = r->parser.key;
    struct labels ls;
    uint64_t hash = hash64_secret(key.ptr, key.len);
    uint32_t item = map_find(&r->map, hash, key_equal, r, &key);
    if (item != MAP_NONE) {
        *series = r->keys[item].series;
        return true;
    }
    arena_reset(&r->arena);
    if (!exposition_parse_key(key, &r->arena, &ls, err))
        return error_wrap(err, "line %u", r->parser.line);
    if (!sample_sorter_series(r->sorter, ls, series, err))
        return false;
    r->keys = mem_grow(MEM_BLOCK, r->keys, &r->key_capacity, r->key_count + 1, sizeof *r->keys);
    r->keys[r->key_count] = (struct known_key){key, *series};
    map_add(&r->map, hash, (uint32_t)r->key_count++);
    return true;
}

static bool sample_take(struct reading *r, struct error *err)
{
    const struct exposition_parser *p = &r->parser;
    uint32_t series;
    if (!p->has_timestamp)
        return error_set(err, ERROR_INPUT,
                         "line %u: sample \"%.*s\" has no timestamp: an import needs one on each",
                         p->line, (int)(p->key.len < 200 ? p->key.len : 200), p->key.ptr);
    return series_find(r, &series, err) &&
           sample_sorter_add(r->sorter, series, p->timestamp_ms, p->value, err);
}

static bool text_read(struct reading *r, struct error *err)
{
    exposition_parser_init(&r->parser, r->options->text, EXPOSITION_OPENMETRICS);
    for (uint64_t n = 0;; n++) {
        if (r->options->progress && n % PROGRESS_LINES == 0)
            r->options->progress(r->options->arg, "reading", r->parser.pos, r->options->text.len);
        switch (exposition_next(&r->parser, err)) {
        case EXPOSITION_END:
            return true;
        case EXPOSITION_ERROR:
            return error_wrap(err, "line %u", r->parser.line);
        case EXPOSITION_SAMPLE:
            if (!sample_take(r, err))
                return false;
            break;
        default:
            break;
        }
    }
}

static void writing(void *arg, uint64_t done, uint64_t total)
{
    const struct openmetrics_import_options *o = arg;
    if (o->progress)
        o->progress(o->arg, "writing", done, total);
}

bool openmetrics_import(const struct openmetrics_import_options *opts,
                        struct sample_sorter_result *out, struct error *err)
{
    const struct sample_sorter_options sorter = {.dir = opts->dir,
                                                 .memory_bytes = opts->memory_bytes};
    struct reading r = {.options = opts};
    map_init(&r.map, MEM_BLOCK);
    arena_init(&r.arena, MEM_BLOCK, 0);
    r.sorter = sample_sorter_new(&sorter);
    struct openmetrics_import_options copy = *opts;
    bool ok = text_read(&r, err) && sample_sorter_write(r.sorter, out, writing, &copy, err);
    sample_sorter_free(r.sorter);
    arena_deinit(&r.arena);
    map_deinit(&r.map);
    mem_free(MEM_BLOCK, r.keys);
    return ok;
}
