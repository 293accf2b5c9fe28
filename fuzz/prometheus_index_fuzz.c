/* SPDX-License-Identifier: Apache-2.0 */
/* prometheus_index_fuzz.c: the index of a Prometheus block, read to its last series. Checksums are put right first where
 * they can be found (table of contents, symbols, postings table, every aligned place that may be a series). */
#include "base/checksum.h"
#include "base/file.h"
#include "base/reader.h"
#include "storage/prometheus_block.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TOC = 52, SERIES_MENDED_MAX = 1 << 12 };

static void put_u32be(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint64_t get_be(const uint8_t *p, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

/* len u32 | content | crc */
static void section_mend(uint8_t *bytes, size_t size, uint64_t offset)
{
    if (offset > size || size - offset < 8)
        return;
    uint64_t len = get_be(bytes + offset, 4);
    if (len <= size - offset - 8)
        put_u32be(bytes + offset + 4 + len, crc32c(0, bytes + offset + 4, (size_t)len));
}

static void series_mend(uint8_t *bytes, size_t size)
{
    for (size_t at = 16, n = 0; at < size && n < SERIES_MENDED_MAX; at += 16, n++) {
        struct reader r = reader_from((struct view){(const char *)bytes + at, size - at});
        uint64_t len = reader_varint(&r);
        if (r.failed || len == 0 || len > reader_left(&r) || reader_left(&r) - len < 4)
            continue;
        size_t from = at + r.pos;
        if (len < 64) /* longer ones would write over their neighbours */
            put_u32be(bytes + from + len, crc32c(0, bytes + from, (size_t)len));
    }
}

static void checksums_mend(uint8_t *bytes, size_t size)
{
    if (size < TOC)
        return;
    uint8_t *toc = bytes + size - TOC;
    series_mend(bytes, size - TOC);
    section_mend(bytes, size - TOC, get_be(toc, 8));
    section_mend(bytes, size - TOC, get_be(toc + 32, 8));
    section_mend(bytes, size - TOC, get_be(toc + 40, 8));
    put_u32be(toc + TOC - 4, crc32c(0, toc, TOC - 4));
}

static char dir[64];

static void folder_remove(void)
{
    struct error err;
    if (!dir_remove(dir, &err))
        fprintf(stderr, "%s\n", err.message);
}

static const char *folder(void)
{
    static const char META[] =
        "{\"ulid\":\"01M8CMGETQXCND07QB4FHPTVR5\",\"minTime\":0,\"maxTime\":7200000,\"version\":1}";
    char path[128];
    struct error err;
    if (dir[0])
        return dir;
    (void)snprintf(dir, sizeof dir, "/tmp/belfry_index_fuzz.%d", (int)getpid());
    (void)snprintf(path, sizeof path, "%s/meta.json", dir);
    if (!dir_create(dir, &err) || !file_replace(path, view_from(META), &err))
        abort();
    (void)atexit(folder_remove);
    return dir;
}

static void index_write(const uint8_t *bytes, size_t size)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/index", folder());
    FILE *f = fopen(path, "wb");
    if (!f || (size && fwrite(bytes, 1, size, f) != size) || fclose(f) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err;
    struct prometheus_block *b;
    uint8_t *copy = malloc(size + 1);
    if (size)
        memcpy(copy, data, size);
    checksums_mend(copy, size);
    index_write(copy, size);
    free(copy);
    if (!prometheus_block_open(&b, folder(), &err))
        return 0;
    struct arena arena;
    bool done = false;
    arena_init(&arena, MEM_OTHER, 0);
    while (!done) {
        struct prometheus_series s;
        arena_reset(&arena);
        if (!prometheus_block_next(b, &arena, &s, &done, &err))
            break;
        for (size_t i = 1; i < s.count; i++)
            if (s.times[i - 1] >= s.times[i])
                abort();
    }
    arena_deinit(&arena);
    prometheus_block_close(b);
    return 0;
}
