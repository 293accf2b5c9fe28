/* SPDX-License-Identifier: Apache-2.0 */
/* wal_fuzz.c: head/wal and head/series.log as a stranger wrote them. Without sealing, the scanner and its
 * resynchronising are tried; sealed (first byte odd), the CRCs are made right, so that what is behind them
 * is tried too. The head opens or says why not; what it shows can be read. */
#include "base/file.h"
#include "storage/head.h"
#include "storage/wal_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *folder(void)
{
    static char dir[64];
    if (!dir[0]) {
        snprintf(dir, sizeof dir, "/tmp/belfry-wal-fuzz-XXXXXX");
        if (!mkdtemp(dir))
            abort();
    }
    return dir;
}

static void write_file(const char *name, struct view bytes)
{
    char path[256];
    struct file *f;
    struct error err;
    snprintf(path, sizeof path, "%s/head/%s", folder(), name);
    if (!file_create(&f, path, &err) || !file_write_all(f, bytes, &err) || !file_close(f, &err))
        abort();
}

/* length u16, its two highest bits the type | payload, as records with right CRCs. */
static void seal(struct view in, const enum wal_record_type types[4], struct buffer *out)
{
    uint64_t sequence = 1;
    while (in.len >= 2) {
        size_t len = (uint8_t)in.ptr[0] | (size_t)((uint8_t)in.ptr[1] & 0x3f) << 8;
        size_t begin = wal_record_begin(out, types[(uint8_t)in.ptr[1] >> 6]);
        struct view payload = view_slice(in, 2, 2 + len);
        buffer_append_view(out, payload);
        wal_record_end(out, begin);
        in = view_slice(in, 2 + payload.len, in.len);
    }
    if (out->len > 0)
        wal_record_seal_all(out->ptr, out->len, &sequence);
}

static void read_everything(struct head *h)
{
    struct arena arena;
    struct error err;
    struct series_list list;
    struct select all = {.mint = INT64_MIN, .maxt = INT64_MAX};
    arena_init(&arena, MEM_QUERY, 0);
    struct label_store *store = label_store_new(MEM_QUERY, 0);
    struct head_view *v = head_pin(h, INT64_MIN);
    struct head_reader *r = head_reader_new(v);
    if (!head_select(v, &all, store, &arena, &list, &err))
        abort();
    for (size_t i = 0; i < list.count; i++) {
        struct samples s;
        if (!head_reader_read(r, list.items[i].ref, INT64_MIN, INT64_MAX, NULL, &s, &err))
            abort();
        for (size_t k = 1; k < s.count; k++) {
            if (s.times[k] <= s.times[k - 1])
                abort();
        }
    }
    head_reader_free(r);
    head_view_release(v);
    label_store_free(store);
    arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum wal_record_type LOG[] = {WAL_RECORD_SERIES, WAL_RECORD_SERIES,
                                               WAL_RECORD_SERIES, WAL_RECORD_SERIES},
                                      SEGMENT[] = {WAL_RECORD_ROW, WAL_RECORD_LATE,
                                                   WAL_RECORD_SAVED, WAL_RECORD_ROW};
    char path[256];
    struct error err;
    struct head *h;
    struct buffer log, rows;
    if (size < 3)
        return 0;
    struct view in = {(const char *)data + 3, size - 3};
    size_t log_bytes = (data[1] | (size_t)data[2] << 8) % (in.len + 1);
    buffer_init(&log, MEM_OTHER, 1 << 24);
    buffer_init(&rows, MEM_OTHER, 1 << 24);
    if (data[0] & 1) {
        seal(view_slice(in, 0, log_bytes), LOG, &log);
        seal(view_slice(in, log_bytes, in.len), SEGMENT, &rows);
    } else {
        buffer_append_view(&log, view_slice(in, 0, log_bytes));
        buffer_append_view(&rows, view_slice(in, log_bytes, in.len));
    }
    snprintf(path, sizeof path, "%s/head/wal", folder());
    if (!dir_remove(folder(), &err) || !dir_create(path, &err))
        abort();
    write_file("series.log", buffer_view(&log));
    write_file("wal/1", buffer_view(&rows));
    struct db_options opts = {.wal_sync_interval_ms = DB_SYNC_OFF};
    if (head_open(&h, folder(), INT64_MIN, &opts, NULL, &err)) {
        struct head_late_mark mark;
        read_everything(h);
        if (!head_late_mark(h, false, &mark, &err))
            abort();
        head_late_forget(h, &mark, 0, 500);
        bool ok = head_late_rewrite(h, &err) && head_truncate(h, 1000, &err);
        if (ok)
            read_everything(h);
        if (!head_close(h, &err))
            abort();
    }
    buffer_deinit(&log);
    buffer_deinit(&rows);
    return 0;
}
