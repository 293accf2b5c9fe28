/* SPDX-License-Identifier: Apache-2.0 */
/* head_replay.c: what the files of an earlier process say. The series log first, then the heads of the
 * extents, then the segments in order; damage costs the records it hit (and a group's rows after a hole,
 * until its next key row).
 *
 * 1. A row is used when it is a key row, or follows the group's last used row by number: then its base is
 *    the row before, exactly as the writer had it.
 * 2. A row whose number is known already was written twice (wal.c, 2) and is skipped; but a key row
 *    replaces the last row of that number (wal.c, 4).
 * 3. Cells of a series that the log does not know are dropped.
 * 4. Groups know nothing of each other: a segment is scanned and checked by one thread, then its rows are read
 *    on all of the pool, those of one group by one thread in their order.
 * 5. Late samples need no other record. Each is taken at its place, so that it finds the row that it filled; those
 *    that are in blocks (WAL_RECORD_SAVED) are dropped at the end.
 * 6. Rows that stand in an extent are read (the next ones are differences to them) and thrown away. Before
 *    that the extent's columns are checked once, when the WAL has it from its first row on: it may have been
 *    written but not synced. When it is damaged the WAL's rows take its place.
 * 7. Damage in the middle is copied to quarantine/ and stays where it is. Only the torn end of the last
 *    file is cut off, when it was copied too: a damaged last record looks the same. */
#include "storage/head_private.h"

#include "base/assert.h"
#include "base/file.h"
#include "storage/numbered_files.h"
#include "storage/salvage.h"
#include "storage/wal_late.h"
#include "storage/wal_record.h"

#include <inttypes.h>
#include <stdio.h>

enum { PATH_BYTES = 4096, SHARDS = 16 };

/* Groups whose number leaves the same rest. One thread at a time has it, and with it its groups. */
struct shard {
    struct replay *replay;
    uint32_t rest;
    uint32_t series_max;      /* the highest number in any row, plus one */
    uint64_t *segment_groups; /* a bit per group: has a key row in this segment */
    size_t segment_words;
    bool segment_continues;
    int64_t segment_maxt, segment_late_maxt;
    uint64_t segment; /* its number */
    uint64_t rows_skipped;
};

/* A row, or late samples, of the segment at hand; its bytes are mapped. */
struct segment_row {
    struct view payload;
    size_t begin, end; /* of its record in the file */
    uint32_t group;
    bool is_late, is_bad;
};

struct replay {
    struct head *head;
    struct wal_recovered *found;
    struct pool *pool; /* NULL = one thread */
    struct shard shards[SHARDS];
    uint64_t segment;           /* being read */
    uint32_t extent_series_max; /* as in a shard */
    uint64_t extents_lost;
    struct segment_row *rows;
    size_t row_count, row_capacity;
};

/* --- files --- */

/* [begin, end) of the file, for a person to look at. What cannot be copied stays in the file itself. */
static void quarantine(struct replay *r, const char *file, const char *name, struct view bytes,
                       size_t begin, size_t end)
{
    struct error ignored;
    const struct head *h = r->head;
    bool ok = salvage_copy(h->quarantine_dir, name, view_slice(bytes, begin, end), begin, &ignored);
    (void)ok; /* it may be there from the last start; and the damaged file is never deleted */
    atomic_fetch_add_explicit(&r->head->corruptions, 1, memory_order_relaxed);
    head_log(h, true, "wal_damaged", "%s: bytes %zu to %zu are damaged and left out (copy in %s)",
             file, begin, end, h->quarantine_dir);
}

/* Is anything from `pos` on the start of a record, so that the tail may be more than torn? */
static bool only_torn(struct view bytes, size_t begin)
{
    static const char magic[4] = {0x42, 0x57, 0x41, 0x4c};
    struct view tail = view_slice(bytes, begin, bytes.len);
    const char *next = tail.len > 4 ? memmem(tail.ptr + 1, tail.len - 1, magic, 4) : NULL;
    return next == NULL;
}

struct replay_file {
    const char *path, *name;
    bool is_last;
    bool (*record)(struct replay *r, const struct wal_record *record);
    /* All records were seen, the bytes are still there. May be NULL. */
    void (*finish)(struct replay *r, const struct replay_file *rf, struct view bytes);
    uint64_t last_sequence; /* in and out */
    uint64_t bytes;         /* out */
};

/* Cuts the torn end off, which was copied, so that it is reported once. */
static void cut_tail(struct replay *r, struct replay_file *rf, size_t begin, size_t end)
{
    struct error err;
    head_log(r->head, true, "wal_torn",
             "%s: the last %zu bytes are half a record and were cut off (copy in %s)", rf->path,
             end - begin, r->head->quarantine_dir);
    if (salvage_cut(rf->path, begin, &err))
        rf->bytes = begin;
    else
        head_log(r->head, true, "wal_torn", "%s", err.message);
}

static bool replay_bytes(struct replay *r, struct replay_file *rf, struct view bytes, size_t *torn,
                         struct error *err)
{
    struct wal_scanner scanner;
    struct wal_record record;
    wal_scanner_init(&scanner, bytes, rf->last_sequence);
    *torn = SIZE_MAX;
    for (;;) {
        enum wal_scan what = wal_scanner_next(&scanner, &record);
        if (what == WAL_SCAN_VERSION)
            return error_set(err, ERROR_CORRUPT, "\"%s\" was written by a newer version (byte %zu)",
                             rf->path, scanner.pos);
        size_t begin = scanner.damage_begin, end = scanner.damage_end;
        if (what == WAL_SCAN_END && begin < end && rf->is_last && only_torn(bytes, begin))
            *torn = begin;
        else if (begin < end)
            quarantine(r, rf->path, rf->name, bytes, begin, end);
        if (what == WAL_SCAN_END)
            break;
        if (!rf->record(r, &record))
            quarantine(r, rf->path, rf->name, bytes, record.offset, scanner.pos);
    }
    if (rf->finish)
        rf->finish(r, rf, bytes);
    rf->last_sequence = scanner.last_sequence;
    rf->bytes = bytes.len;
    return true;
}

static bool replay_file(struct replay *r, struct replay_file *rf, struct error *err)
{
    struct view bytes;
    size_t torn;
    if (!file_map(&bytes, rf->path, err))
        return err->kind == ERROR_NOT_FOUND;
    bool ok = replay_bytes(r, rf, bytes, &torn, err);
    size_t end = bytes.len;
    struct error problem;
    bool is_torn = ok && torn != SIZE_MAX;
    bool is_copied = is_torn && salvage_copy(r->head->quarantine_dir, rf->name,
                                             view_slice(bytes, torn, end), torn, &problem);
    file_unmap(bytes);
    if (is_copied)
        cut_tail(r, rf, torn, end);
    else if (is_torn)
        head_log(r->head, true, "wal_torn", "%s: the last %zu bytes are half a record: %s",
                 rf->path, end - torn, problem.message);
    return ok;
}

/* --- series log --- */

struct log_replay {
    struct replay replay; /* first: replay_file hands it on */
    struct series_log_reader *reader;
};

static void on_series(void *arg, uint32_t series, labels_id labels)
{
    head_restore_series_locked(arg, series, labels);
}

static void on_group(void *arg, uint32_t group, struct view key)
{
    struct head *h = arg;
    uint64_t known;
    bool has_key = string_map_get(h->group_keys, key, &known);
    if (!has_key && !head_group(h, group) && !head_add_group_locked(h, group, key))
        head_log(h, true, "group_lost", "group number %" PRIu32 " is too high", group);
}

static void on_metadata(void *arg, const struct metric_metadata *m)
{
    (void)head_add_metadata_locked(arg, m, false); /* numbers are of this process */
}

static bool on_log_record(struct replay *r, const struct wal_record *record)
{
    struct log_replay *l = (struct log_replay *)r;
    return record->type != WAL_RECORD_SERIES || series_log_read(l->reader, record->payload);
}

static bool replay_series_log(struct head *h, struct wal_recovered *found, struct error *err)
{
    char path[PATH_BYTES];
    struct series_log_visitor visitor = {on_series, on_group, on_metadata, h};
    struct log_replay l = {{.head = h, .found = found},
                           series_log_reader_new(h->catalog->labels, &visitor)};
    snprintf(path, sizeof path, "%s/series.log", h->dir);
    struct replay_file rf = {path, "series.log", true, on_log_record, NULL, 0, 0};
    mutex_lock(&h->creation);
    bool ok = replay_file(&l.replay, &rf, err);
    mutex_unlock(&h->creation);
    uint64_t lost = series_log_reader_lost(l.reader);
    if (lost > 0)
        head_log(h, true, "series_lost", "%" PRIu64 " series are lost with damaged parts of \"%s\"",
                 lost, path);
    series_log_reader_free(l.reader);
    found->log_last_sequence = rf.last_sequence;
    return ok;
}

/* --- extents --- */

static struct group *group_of_row(struct head *h, uint32_t id)
{
    struct group *g = head_group(h, id);
    if (!g) {
        mutex_lock(&h->creation);
        g = head_add_group_locked(h, id, (struct view){0}); /* its name was lost */
        mutex_unlock(&h->creation);
    }
    return g;
}

/* A series number as this head may use it. */
static uint32_t series_known(const struct head *h, uint32_t *series_max, uint32_t id)
{
    if (id == SLOT_EMPTY)
        return SLOT_EMPTY;
    if (id >= (uint32_t)SERIES_PAGE * SERIES_PAGES_MAX)
        return SLOT_UNKNOWN;
    if (id + 1 > *series_max)
        *series_max = id + 1;
    const struct series *s = head_series(h, id);
    return s && s->labels != LABEL_STORE_NONE ? id : SLOT_UNKNOWN;
}

static struct slot_map *on_extent_map(void *arg, uint32_t group)
{
    const struct replay *r = arg;
    const struct group *g = head_group(r->head, group);
    return g && g->extents->count > 0 ? g->extents->items[g->extents->count - 1]->map : NULL;
}

/* The series of the map are in this group too. None has a slot of its own there: that is what rows say. */
static void series_place(struct replay *r, const struct group *g, struct extent *x)
{
    struct head *h = r->head;
    mutex_lock(&h->creation);
    for (uint32_t slot = 0; slot < x->slot_count; slot++) {
        uint32_t id = series_known(h, &r->extent_series_max, x->map->ids[slot]);
        x->map->ids[slot] = id;
        if (id >= SLOT_UNKNOWN)
            continue;
        head_place_series_locked(h, id, g->id, slot);
        atomic_fetch_and_explicit(&head_series(h, id)->slot, ~SERIES_ASSIGNED,
                                  memory_order_relaxed);
    }
    mutex_unlock(&h->creation);
}

/* Of extents with the same rows the later one counts: it was written because the other was not safe. */
static void extents_replace(struct group *g, const struct extent *by)
{
    for (uint32_t i = g->extents->count; i > 0; i--) {
        const struct extent *x = g->extents->items[i - 1];
        if (x->first_row < by->first_row + by->row_count &&
            by->first_row < x->first_row + x->row_count)
            group_swap_extent(g, x, NULL);
    }
}

static void on_extent(void *arg, uint32_t group, struct extent *x, bool is_new_map)
{
    struct replay *r = arg;
    if (group >= (uint32_t)GROUP_PAGE * GROUP_PAGES_MAX) {
        r->extents_lost++;
        extent_unref(x);
        return;
    }
    struct group *g = group_of_row(r->head, group);
    if (is_new_map)
        series_place(r, g, x);
    extents_replace(g, x);
    group_add_extent(g, x);
}

static bool replay_extents(struct replay *r, struct error *err)
{
    struct extent_visitor visitor = {on_extent_map, on_extent, r};
    bool ok = extent_store_load(r->head->store, &visitor, err);
    if (r->extents_lost > 0)
        head_log(r->head, true, "extents_lost",
                 "%" PRIu64 " extents are of groups whose number is too high", r->extents_lost);
    return ok;
}

/* The extent that has this row, or NULL. */
static const struct extent *extent_of_row(const struct group *g, uint64_t row)
{
    const struct extent_list *l = g->extents;
    uint32_t low = 0, high = l->count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (l->items[mid]->first_row <= row)
            low = mid + 1;
        else
            high = mid;
    }
    const struct extent *x = low > 0 ? l->items[low - 1] : NULL;
    return x && row < x->first_row + x->row_count ? x : NULL;
}

/* Does the row stand in an extent that can be used? (6 above) */
static bool row_is_stored(struct shard *r, struct group *g, uint64_t row)
{
    struct error err;
    const struct extent *x = extent_of_row(g, row);
    if (!x || !x->file || row != x->first_row || extent_verify(x, &err))
        return x != NULL;
    struct head *h = r->replay->head;
    atomic_fetch_add_explicit(&h->corruptions, 1, memory_order_relaxed);
    head_log(h, true, "extents_damaged", "%s: its rows are taken from the WAL", err.message);
    (void)extent_file_damage_is_news(x->file); /* told now */
    group_swap_extent(g, x, NULL);
    return false;
}

/* --- rows --- */

static bool segment_has_key(struct shard *r, uint32_t group)
{
    return group / 64 < r->segment_words && r->segment_groups[group / 64] >> (group & 63) & 1;
}

static void segment_set_key(struct shard *r, uint32_t group)
{
    if (group / 64 >= r->segment_words) {
        size_t words = (size_t)group / 64 * 2 + 8;
        r->segment_groups = mem_resize(MEM_WAL, r->segment_groups, words * 8);
        memset(r->segment_groups + r->segment_words, 0, (words - r->segment_words) * 8);
        r->segment_words = words;
    }
    r->segment_groups[group / 64] |= UINT64_C(1) << (group & 63);
}

/* Slots and the series they hold from the next row on. */
struct slot_changes {
    struct wal_new_slot *items;
    size_t count, capacity;
};

/* Where a slot changes hands or goes, what came before is sealed first, and the cell before is forgotten: it was
 * another series'. */
static void slots_set(struct head *h, struct group *g, uint32_t slot_count,
                      const struct slot_changes *changes)
{
    for (size_t i = 0; i < changes->count; i++) {
        struct wal_new_slot c = changes->items[i];
        if (c.slot < g->slot_count && g->map->ids[c.slot] != c.series)
            group_give_slot_up(g, c.slot);
    }
    for (uint32_t slot = slot_count; slot < g->slot_count; slot++)
        group_give_slot_up(g, slot); /* the writer gave them up */
    if (g->released_count > 0)
        group_seal(g);
    group_reserve_slots(g, slot_count);
    while (g->slot_count < slot_count)
        group_assign_slot(g, g->slot_count, SLOT_EMPTY);
    mutex_lock(&h->creation);
    /* From the last on: who was given a slot and lost it again before the row does not count. */
    for (size_t i = changes->count; i-- > 0;) {
        struct wal_new_slot c = changes->items[i];
        if (c.series == SLOT_EMPTY || g->map->ids[c.slot] != SLOT_EMPTY)
            continue;
        if (c.series != SLOT_UNKNOWN)
            head_place_series_locked(h, c.series, g->id, c.slot);
        group_assign_slot(g, c.slot, c.series);
    }
    mutex_unlock(&h->creation);
    g->new_slot_count = 0;
}

static bool read_changes(struct shard *r, struct reader *in, const struct wal_row_head *row,
                         struct slot_changes *out)
{
    size_t count = row->is_key ? row->slot_count : row->new_slot_count;
    out->items = mem_grow(MEM_WAL, out->items, &out->capacity, count, sizeof *out->items);
    if (row->is_key) {
        uint32_t *ids = mem_alloc(MEM_WAL, row->slot_count * sizeof *ids);
        bool ok = wal_row_decode_ids(in, row, ids);
        for (uint32_t i = 0; ok && i < row->slot_count; i++)
            out->items[i] = (struct wal_new_slot){i, ids[i]};
        mem_free(MEM_WAL, ids);
        if (!ok)
            return false;
    }
    for (size_t i = 0; !row->is_key && i < count; i++) {
        if (!wal_row_decode_new_slot(in, row, &out->items[i]))
            return false;
    }
    for (size_t i = 0; i < count; i++)
        out->items[i].series = series_known(r->replay->head, &r->series_max, out->items[i].series);
    out->count = count;
    return true;
}

/* A key row with the number of the last row takes its place (wal.c, 4). */
static void row_take_back(struct group *g)
{
    g->tile_rows--;
    g->row_next--;
    g->last_time = g->tile_rows > 0 ? g->tile->times[g->tile_rows - 1] : g->last_kept_time;
}

enum row_use { ROW_USE, ROW_SKIP };

static enum row_use row_place(struct shard *r, struct group *g, const struct wal_row_head *row)
{
    if (!row->is_key) {
        if (row->row == g->row_next && g->last_time != INT64_MIN)
            return ROW_USE;
        r->rows_skipped += row->row > g->row_next && !extent_of_row(g, row->row);
        return ROW_SKIP;
    }
    if (row->row + 1 == g->row_next && g->tile_rows > 0)
        row_take_back(g);
    if (row->row < g->row_next)
        return ROW_SKIP;
    if (row->row > g->row_next) {
        if (g->slot_capacity > 0)
            group_seal(g); /* rows of a tile follow each other */
        g->row_next = row->row;
    }
    return ROW_USE;
}

static bool row_time(const struct group *g, const struct wal_row_head *row, int64_t *t)
{
    *t = row->timestamp_ms;
    if (!row->is_key && __builtin_add_overflow(g->last_time, row->timestamp_ms, t))
        return false;
    /* As appender_begin allows; beyond, differences of times would not fit. */
    return *t > g->last_time && *t >= -INT64_MAX / 4 && *t <= INT64_MAX / 4;
}

/* Rows that are stored and rows that are not do not stand in one run. */
static void row_sorts(struct group *g, bool is_stored)
{
    if (is_stored != g->rows_are_stored && g->slot_capacity > 0)
        group_seal(g);
    g->rows_are_stored = is_stored;
}

static bool row_cells(struct shard *r, struct group *g, struct reader *in,
                      const struct wal_row_head *row, int64_t t)
{
    row_sorts(g, row_is_stored(r, g, row->row));
    group_row_begin(g);
    if (g->rows_are_stored && g->late.count > 0 && g->tile_rows == 0 && !g->run)
        group_late_drop_stored(g); /* what filled the rows that were just thrown away */
    uint64_t *present = group_row_present(g);
    if (!wal_row_decode_cells(in, row, group_row_base(g), group_row_values(g), present))
        return false;
    for (size_t w = 0; w < row_words(row->slot_count); w++) {
        if (present[w] & g->free_slots[w])
            return false; /* a cell that belongs to no series */
    }
    group_row_stamp(g, t);
    group_row_taken(g, t);
    if (!g->rows_are_stored && g->wal_segment == 0)
        g->wal_segment = g->key_segment;
    if (t < g->visible_mint)
        g->visible_mint = t;
    g->visible_maxt = t;
    return true;
}

static bool read_row(struct shard *r, struct view payload)
{
    struct reader in = reader_from(payload);
    struct wal_row_head row;
    struct slot_changes changes = {0};
    int64_t t;
    if (!wal_row_decode_head(&in, &row))
        return false;
    struct group *g = group_of_row(r->replay->head, row.group);
    if (row.is_key)
        segment_set_key(r, row.group);
    else if (!segment_has_key(r, row.group))
        r->segment_continues = true;
    if (row_place(r, g, &row) == ROW_SKIP)
        return true;
    bool ok = row_time(g, &row, &t) && read_changes(r, &in, &row, &changes);
    if (row.is_key)
        g->key_segment = r->segment;
    if (ok) {
        slots_set(r->replay->head, g, row.slot_count, &changes);
        ok = row_cells(r, g, &in, &row, t);
    }
    mem_free(MEM_WAL, changes.items);
    if (ok && t > r->segment_maxt)
        r->segment_maxt = t;
    return ok;
}

/* Where the series is known, and its place in the group. */
static size_t late_known(struct shard *r, struct group *g, struct late_sample *items, size_t count)
{
    struct head *h = r->replay->head;
    size_t kept = 0;
    mutex_lock(&h->creation);
    for (size_t i = 0; i < count; i++) {
        struct late_sample s = items[i];
        if (s.t < -INT64_MAX / 4 || s.t > INT64_MAX / 4 ||
            series_known(h, &r->series_max, s.series) != s.series)
            continue;
        head_place_late_locked(h, s.series, g->id);
        const struct series *series = head_series(h, s.series);
        if (atomic_load_explicit(&series->group, memory_order_relaxed) == g->id)
            s.slot = atomic_load_explicit(&series->slot, memory_order_relaxed) & SERIES_SLOT_MASK;
        items[kept++] = s;
    }
    mutex_unlock(&h->creation);
    return kept;
}

static bool read_late(struct shard *r, struct view payload)
{
    struct reader in = reader_from(payload);
    struct wal_late_head head;
    if (!wal_late_decode_head(&in, &head))
        return false;
    struct late_sample *items = mem_alloc(MEM_WAL, head.count * sizeof *items);
    bool ok = wal_late_decode(&in, &head, items);
    if (ok) {
        struct group *g = group_of_row(r->replay->head, head.group);
        struct late_run *run = late_run_new(items, late_known(r, g, items, head.count));
        if (run) {
            r->segment_maxt = run->maxt > r->segment_maxt ? run->maxt : r->segment_maxt;
            if (run->maxt > r->segment_late_maxt)
                r->segment_late_maxt = run->maxt;
            group_late_add(g, run, true, r->replay->segment);
            if (!g->rows_are_stored) /* those are thrown away, and the extent may lack it */
                group_late_settle(g);
            group_late_compact(g);
        }
    }
    mem_free(MEM_WAL, items);
    return ok;
}

static void read_shard(void *arg, size_t idx, unsigned worker)
{
    struct replay *r = arg;
    struct shard *shard = &r->shards[idx];
    (void)worker;
    shard->segment_continues = false;
    shard->segment_maxt = shard->segment_late_maxt = INT64_MIN;
    shard->segment = r->found->segments[r->found->count - 1].number;
    if (shard->segment_words > 0)
        memset(shard->segment_groups, 0, shard->segment_words * 8);
    for (size_t i = 0; i < r->row_count; i++) {
        struct segment_row *row = &r->rows[i];
        if (row->group % SHARDS == shard->rest)
            row->is_bad =
                !(row->is_late ? read_late(shard, row->payload) : read_row(shard, row->payload));
    }
}

static void row_add(struct replay *r, const struct wal_record *record, uint32_t group, bool is_late)
{
    r->rows = mem_grow(MEM_WAL, r->rows, &r->row_capacity, r->row_count + 1, sizeof *r->rows);
    r->rows[r->row_count++] =
        (struct segment_row){record->payload,
                             record->offset,
                             record->offset + WAL_RECORD_FRAME_BYTES + record->payload.len,
                             group,
                             is_late,
                             false};
}

static bool on_wal_record(struct replay *r, const struct wal_record *record)
{
    static const uint32_t GROUPS_MAX = (uint32_t)GROUP_PAGE * GROUP_PAGES_MAX;
    struct reader in = reader_from(record->payload);
    struct wal_row_head row;
    struct wal_late_head late;
    struct wal_recovered *found = r->found;
    int64_t floor_ms;
    uint64_t segment;
    switch (record->type) {
    case WAL_RECORD_ROW:
        if (!wal_row_decode_head(&in, &row) || row.group >= GROUPS_MAX)
            return false;
        row_add(r, record, row.group, false);
        return true;
    case WAL_RECORD_LATE:
        if (!wal_late_decode_head(&in, &late) || late.group >= GROUPS_MAX)
            return false;
        row_add(r, record, late.group, true);
        return true;
    case WAL_RECORD_SAVED:
        if (!wal_saved_decode(&in, &floor_ms, &segment))
            return false;
        found->segments[found->count - 1].has_saved = true;
        found->late_saved_floor = floor_ms;
        found->late_saved = segment;
        return true;
    default:
        return true;
    }
}

static void read_rows(struct replay *r, const struct replay_file *rf, struct view bytes)
{
    struct wal_segment *segment = &r->found->segments[r->found->count - 1];
    pool_for(r->pool, SHARDS, read_shard, r);
    for (size_t i = 0; i < SHARDS; i++) {
        segment->continues |= r->shards[i].segment_continues;
        if (r->shards[i].segment_maxt > segment->maxt)
            segment->maxt = r->shards[i].segment_maxt;
        if (r->shards[i].segment_late_maxt > segment->late_maxt)
            segment->late_maxt = r->shards[i].segment_late_maxt;
    }
    for (size_t i = 0; i < r->row_count; i++) {
        if (r->rows[i].is_bad)
            quarantine(r, rf->path, rf->name, bytes, r->rows[i].begin, r->rows[i].end);
    }
    r->row_count = 0;
}

/* --- all together --- */

static bool replay_segments(struct replay *r, const struct numbered_files *numbers,
                            struct error *err)
{
    struct wal_recovered *found = r->found;
    char path[PATH_BYTES], name[64];
    for (size_t i = 0; i < numbers->count; i++) {
        uint64_t number = numbers->items[i];
        snprintf(path, sizeof path, "%s/wal/%" PRIu64, r->head->dir, number);
        snprintf(name, sizeof name, "wal-%" PRIu64, number);
        found->segments = mem_grow(MEM_WAL, found->segments, &found->capacity, found->count + 1,
                                   sizeof *found->segments);
        found->segments[found->count++] =
            (struct wal_segment){.number = number, .maxt = INT64_MIN, .late_maxt = INT64_MIN};
        r->segment = number;
        struct replay_file rf = {
            path, name, i + 1 == numbers->count, on_wal_record, read_rows, found->last_sequence, 0};
        if (!replay_file(r, &rf, err))
            return false;
        found->segments[found->count - 1].bytes = rf.bytes;
        found->last_sequence = rf.last_sequence;
        found->last_segment = number;
    }
    return true;
}

/* Late samples know their segment by the entry's epoch until here. */
static void late_publish(struct replay *r, struct group *g)
{
    const struct wal_recovered *found = r->found;
    if (g->late.count == 0)
        return;
    if (found->late_saved > 0)
        group_late_forget(g, found->late_saved - 1, INT64_MIN, found->late_saved_floor);
    group_late_drop_stored(g);
    for (size_t i = 0; i < g->late.count; i++)
        g->late.items[i].epoch = 0;
    group_late_compact(g);
    head_late_range_grow(r->head, g->late_mint, g->late_maxt);
    head_atomic_max(&r->head->newest, g->late_maxt);
}

/* The group goes on behind its last row, wherever that stands. */
static void group_finish(struct group *g)
{
    if (g->rows_are_stored && g->slot_capacity > 0)
        group_seal(g);
    g->rows_are_stored = false;
    g->key_segment = 0;
    const struct extent_list *l = g->extents;
    for (uint32_t i = 0; i < l->count; i++) {
        const struct extent *x = l->items[i];
        if (x->first_time < g->visible_mint)
            g->visible_mint = x->first_time;
        if (x->last_time > g->visible_maxt)
            g->visible_maxt = x->last_time;
        if (x->last_time > g->last_time)
            g->last_time = x->last_time;
    }
    const struct extent *last = l->count > 0 ? l->items[l->count - 1] : NULL;
    uint64_t end = last ? last->first_row + last->row_count : 0;
    if (end > g->row_next) {
        if (g->slot_capacity > 0)
            group_seal(g); /* rows of a tile follow each other */
        g->row_next = end;
    }
    g->last_row_is_stored = end > 0 && end == g->row_next && g->slot_count == 0;
}

/* How long rows have waited to be sealed, as their times tell: so that groups do not fall due together. */
static void group_set_age(struct group *g, mono_time now, int64_t newest)
{
    bool has_strips = g->run && g->strip_count > 0;
    if (!has_strips && g->tile_rows == 0)
        g->wal_segment = 0; /* the row was taken back */
    if (g->wal_segment == 0)
        return;
    int64_t first = has_strips ? g->run->strips[0]->times[0] : g->tile->times[0];
    int64_t age = newest - first; /* times are of a quarter of the range: no overflow */
    age = age < 0 ? 0 : age > HEAD_UNSEALED_MS_MAX ? HEAD_UNSEALED_MS_MAX : age;
    g->unsealed_since = mono_add_ms(now, -age);
}

/* Everything that was read is visible; what blocks hold is not the head's. */
static void publish_all(struct replay *r, int64_t block_maxt)
{
    struct head *h = r->head;
    mono_time now = clock_mono();
    uint32_t series_max = r->extent_series_max;
    for (size_t i = 0; i < SHARDS; i++)
        series_max = r->shards[i].series_max > series_max ? r->shards[i].series_max : series_max;
    if (series_max > head_series_count(h))
        atomic_store_explicit(&h->series_count, series_max, memory_order_release);
    for (uint32_t i = 0; i < atomic_load(&h->group_count); i++) {
        struct group *g = head_group(h, i);
        if (!g)
            continue;
        group_finish(g);
        late_publish(r, g);
        if (g->row_next == 0)
            continue;
        g->visible_row = g->row_next;
        head_atomic_max(&h->newest, g->last_time);
        head_atomic_min(&h->visible_mint, g->visible_mint);
        head_atomic_max(&h->visible_maxt, g->visible_maxt);
        group_drop_extents(g, block_maxt);
        for (uint32_t slot = 0; slot < g->slot_count; slot++) {
            if (g->map->ids[slot] == SLOT_UNKNOWN)
                group_give_slot_up(g, slot);
        }
    }
    for (uint32_t i = 0; i < atomic_load(&h->group_count); i++) {
        struct group *g = head_group(h, i);
        if (g)
            group_set_age(g, now, atomic_load(&h->newest));
    }
}

bool head_replay(struct head *h, int64_t block_maxt, struct pool *pool, struct wal_recovered *found,
                 struct error *err)
{
    char path[PATH_BYTES];
    struct replay r = {.head = h, .found = found, .pool = pool};
    struct numbered_files numbers = {0};
    uint64_t skipped = 0;
    for (uint32_t i = 0; i < SHARDS; i++)
        r.shards[i] = (struct shard){.replay = &r, .rest = i};
    snprintf(path, sizeof path, "%s/series.log", h->dir);
    bool has_log = file_exists(path);
    snprintf(path, sizeof path, "%s/wal", h->dir);
    bool ok = replay_series_log(h, found, err) && replay_extents(&r, err) &&
              numbered_files_list(&numbers, path, err) && replay_segments(&r, &numbers, err);
    if (ok)
        publish_all(&r, block_maxt);
    for (size_t i = 0; i < SHARDS; i++) {
        skipped += r.shards[i].rows_skipped;
        mem_free(MEM_WAL, r.shards[i].segment_groups);
    }
    if (!has_log && atomic_load(&h->group_count) > 0)
        head_log(
            h, true, "series_lost",
            "\"%s/series.log\" is missing: nobody knows what series the rows of the head are of",
            h->dir);
    if (skipped > 0)
        head_log(h, true, "wal_rows_lost",
                 "%" PRIu64 " rows cannot be used: they follow a damaged row of their target",
                 skipped);
    mem_free(MEM_WAL, r.rows);
    numbered_files_deinit(&numbers);
    return ok;
}
