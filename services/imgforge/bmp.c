/* SPDX-License-Identifier: Apache-2.0 */
/* bmp.c: see bmp.h.
 *
 *   BMP: "BM" u32 file bytes, u32 0, u32 offset of pixels | bitmap header | masks | palette | ... | rows
 *   ICO: u16 0, u16 1, u16 count | count x 16 bytes: width, height (0: 256), colours, 0, u16 planes, u16 bits, u32 bytes, u32 offset |
 *        pictures: a PNG file, or a bitmap header whose height counts twice, palette, rows, mask of 1 bit rows (1: see-through)
 *
 * Integers are little endian. A bitmap header begins with its length: 12 (OS/2: u16 width, height, planes, bits) or 40 and more (u32 bytes, i32 width, i32
 * height, u16 planes, u16 bits, u32 compression, u32 image bytes, 2 x u32, u32 colours used, u32; from 52: masks of red, green, blue; from 56: alpha).
 * Rows go from the bottom up, from the top down where the height is negative, and fill whole words of 4 bytes.
 *
 * 1. Rows without compression are found by their number. Runs (RLE4, RLE8) are walked once at open, which notes where each row begins: 8 bytes for
 *    each of at most 65,535 rows, so that a small file takes little memory, whatever size it claims.
 * 2. All offsets are checked at open against the bytes that there are; reading a row checks only runs. */
#include "bmp.h"

#include "base/mem.h"
#include "image_watch.h"
#include "source_load.h"

enum {
    FILE_HEADER_BYTES = 14,
    CORE_HEADER_BYTES = 12,
    INFO_HEADER_BYTES = 40,
    HEADER_BYTES_MAX = 124,
    SIDE_MAX = 65535,
    ICON_ENTRY_BYTES = 16,
    ICONS_MAX = 256
};
enum { BMP_RGB, BMP_RLE8, BMP_RLE4, BMP_BITFIELDS, BMP_JPEG, BMP_PNG, BMP_ALPHABITFIELDS };

struct channel {
    uint32_t mask, max; /* max 0: there is none */
    unsigned shift;
};

/* Where a row of runs begins. */
struct run_row {
    uint32_t at; /* 0: the row is empty */
    uint32_t x;
};

struct bitmap {
    struct view bytes;
    size_t pixels; /* where rows begin */
    size_t row_bytes;
    int width, height;
    bool is_top_down, has_alpha, is_icon;
    bool has_mask; /* of an icon without alpha */
    size_t mask, mask_row_bytes;
    unsigned bits, compression;
    struct channel channels[4]; /* of 16 and 32 bits */
    uint8_t palette[256][3];
    struct run_row *runs; /* by row as stored; NULL: rows are not compressed */
};

static uint32_t u16_at(struct view v, size_t at)
{
    const uint8_t *p = (const uint8_t *)v.ptr + at;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t u32_at(struct view v, size_t at)
{
    return u16_at(v, at) | u16_at(v, at + 2) << 16;
}

static bool refuse(const char *why)
{
    vips_error("bmp", "%s", why);
    return false;
}

/* --- headers --- */

static struct channel channel_of(uint32_t mask)
{
    struct channel c = {mask, 0, 0};
    if (mask) {
        c.shift = (unsigned)__builtin_ctz(mask);
        c.max = mask >> c.shift;
    }
    return c;
}

static void masks_set(struct bitmap *b, uint32_t red, uint32_t green, uint32_t blue, uint32_t alpha)
{
    b->channels[0] = channel_of(red);
    b->channels[1] = channel_of(green);
    b->channels[2] = channel_of(blue);
    b->channels[3] = channel_of(alpha);
    b->has_alpha = alpha != 0;
}

/* `at`: where the header begins. *after: where what follows header and masks begins. */
static bool masks_read(struct bitmap *b, size_t at, size_t header_bytes, size_t *after)
{
    bool are_said = b->compression == BMP_BITFIELDS || b->compression == BMP_ALPHABITFIELDS;
    if (b->bits == 16)
        masks_set(b, 0x7c00, 0x3e0, 0x1f, 0);
    else
        masks_set(b, 0xff0000, 0xff00, 0xff, b->is_icon && b->bits == 32 ? 0xff000000 : 0);
    *after = at + header_bytes;
    if (!are_said)
        return true;
    if (b->bits != 16 && b->bits != 32)
        return refuse("masks without pixels of 16 or 32 bits");
    bool has_alpha = b->compression == BMP_ALPHABITFIELDS || header_bytes >= 56;
    if (header_bytes == INFO_HEADER_BYTES)
        *after += has_alpha ? 16 : 12;
    at += INFO_HEADER_BYTES;
    if (b->bytes.len < at + (has_alpha ? 16 : 12))
        return refuse("cut short in its masks");
    masks_set(b, u32_at(b->bytes, at), u32_at(b->bytes, at + 4), u32_at(b->bytes, at + 8),
              has_alpha ? u32_at(b->bytes, at + 12) : 0);
    return true;
}

static bool compression_is_known(const struct bitmap *b)
{
    bool is_info = b->compression == BMP_RGB || b->compression == BMP_BITFIELDS ||
                   b->compression == BMP_ALPHABITFIELDS;
    switch (b->bits) {
    case 1:
    case 24:
        return b->compression == BMP_RGB;
    case 4:
        return b->compression == BMP_RGB || (b->compression == BMP_RLE4 && !b->is_icon);
    case 8:
        return b->compression == BMP_RGB || (b->compression == BMP_RLE8 && !b->is_icon);
    case 16:
    case 32:
        return is_info;
    default:
        return false;
    }
}

/* Reads sizes; *colours is how many are in the palette. */
static bool size_read(struct bitmap *b, size_t at, size_t header_bytes, uint32_t *colours)
{
    int64_t width, height;
    if (header_bytes == CORE_HEADER_BYTES) {
        width = u16_at(b->bytes, at + 4);
        height = u16_at(b->bytes, at + 6);
        b->bits = u16_at(b->bytes, at + 10);
        *colours = 0;
    } else {
        width = (int32_t)u32_at(b->bytes, at + 4);
        height = (int32_t)u32_at(b->bytes, at + 8);
        b->bits = u16_at(b->bytes, at + 14);
        b->compression = u32_at(b->bytes, at + 16);
        *colours = u32_at(b->bytes, at + 32);
    }
    b->is_top_down = height < 0;
    if (height < 0)
        height = -height;
    if (b->is_icon)
        height /= 2;
    if (width < 1 || height < 1 || width > SIDE_MAX || height > SIDE_MAX)
        return refuse("its size is no size");
    if (!compression_is_known(b))
        return refuse("its pixels are of a kind that is not known");
    b->width = (int)width;
    b->height = (int)height;
    b->row_bytes = ((size_t)b->width * b->bits + 31) / 32 * 4;
    return true;
}

/* The palette of up to 8 bits; colours that it lacks are black. *after moves past it. */
static bool palette_read(struct bitmap *b, bool is_core, uint32_t colours, size_t *after)
{
    if (b->bits > 8)
        return true;
    uint32_t all = 1u << b->bits, entry_bytes = is_core ? 3 : 4;
    if (colours == 0 || colours > all)
        colours = all;
    if (b->bytes.len < *after + (size_t)colours * entry_bytes)
        return refuse("cut short in its palette");
    for (uint32_t i = 0; i < colours; i++) {
        const uint8_t *bgr = (const uint8_t *)b->bytes.ptr + *after + (size_t)i * entry_bytes;
        for (int c = 0; c < 3; c++)
            b->palette[i][c] = bgr[2 - c];
    }
    *after += (size_t)colours * entry_bytes;
    return true;
}

static bool header_read(struct bitmap *b, size_t at, size_t *after)
{
    size_t header_bytes = b->bytes.len >= at + 4 ? u32_at(b->bytes, at) : 0;
    bool is_core = header_bytes == CORE_HEADER_BYTES;
    uint32_t colours;
    if (!is_core && (header_bytes < INFO_HEADER_BYTES || header_bytes > HEADER_BYTES_MAX))
        return refuse("its header is of a kind that is not known");
    if (b->bytes.len < at + header_bytes)
        return refuse("cut short in its header");
    return size_read(b, at, header_bytes, &colours) && masks_read(b, at, header_bytes, after) &&
           palette_read(b, is_core, colours, after);
}

/* --- runs --- */

/* What a pair of bytes of a run says. */
enum run_kind { RUN_PIXELS, RUN_COPY, RUN_ROW_ENDS, RUN_ALL_ENDS, RUN_MOVES };
struct run {
    enum run_kind kind;
    unsigned count;     /* pixels, of PIXELS and COPY */
    uint32_t data;      /* of COPY: where its pixels are */
    uint8_t value;      /* of PIXELS */
    unsigned right, up; /* of MOVES */
};

/* Reads at *at and moves it. False: the bytes end. */
static bool run_next(const struct bitmap *b, size_t *at, struct run *r)
{
    const uint8_t *p = (const uint8_t *)b->bytes.ptr;
    if (b->bytes.len - *at < 2)
        return false;
    unsigned count = p[*at], value = p[*at + 1];
    *at += 2;
    *r = (struct run){RUN_PIXELS, count, 0, (uint8_t)value, 0, 0};
    if (count)
        return true;
    r->kind = value == 0   ? RUN_ROW_ENDS
              : value == 1 ? RUN_ALL_ENDS
              : value == 2 ? RUN_MOVES
                           : RUN_COPY;
    if (r->kind == RUN_ROW_ENDS || r->kind == RUN_ALL_ENDS)
        return true;
    size_t bytes = r->kind == RUN_MOVES ? 2 : b->bits == 4 ? (value + 1) / 2 : value;
    bytes += bytes & 1; /* filled to whole words of 2 bytes */
    if (b->bytes.len - *at < bytes)
        return false;
    if (r->kind == RUN_MOVES) {
        r->right = p[*at];
        r->up = p[*at + 1];
    }
    r->count = value;
    r->data = (uint32_t)*at;
    *at += bytes;
    return true;
}

static bool runs_index(struct bitmap *b)
{
    size_t at = b->pixels;
    uint32_t x = 0;
    int row = 0;
    struct run r;
    if (b->bytes.len > UINT32_MAX)
        return refuse("more than 4 GiB of runs");
    b->runs = mem_alloc_zero(MEM_OTHER, (size_t)b->height, sizeof(b->runs[0]));
    b->runs[0] = (struct run_row){(uint32_t)at, 0};
    while (row < b->height) {
        if (!run_next(b, &at, &r))
            return refuse("cut short in its runs");
        if (r.kind == RUN_ALL_ENDS)
            return true;
        x = r.kind == RUN_ROW_ENDS ? 0 : x + (r.kind == RUN_MOVES ? r.right : r.count);
        if (x > SIDE_MAX)
            x = SIDE_MAX;
        int by = r.kind == RUN_ROW_ENDS ? 1 : r.kind == RUN_MOVES ? (int)r.up : 0;
        if (by == 0)
            continue;
        row += by;
        if (row < b->height)
            b->runs[row] = (struct run_row){(uint32_t)at, x};
    }
    return true;
}

/* --- rows --- */

/* Palette numbers of a row of runs. What no run reaches is 0; what is past the edge is left out. */
static void row_of_runs(const struct bitmap *b, int row, uint8_t *indices)
{
    const uint8_t *p = (const uint8_t *)b->bytes.ptr;
    size_t at = b->runs[row].at;
    unsigned x = b->runs[row].x, width = (unsigned)b->width;
    struct run r;
    memset(indices, 0, width);
    while (at && run_next(b, &at, &r) && r.kind != RUN_ROW_ENDS && r.kind != RUN_ALL_ENDS) {
        if (r.kind == RUN_MOVES) {
            if (r.up)
                return;
            x += r.right;
            continue;
        }
        for (unsigned i = 0; i < r.count && x < width; i++, x++) {
            uint8_t byte = r.kind == RUN_PIXELS ? r.value : p[r.data + (b->bits == 4 ? i / 2 : i)];
            indices[x] = b->bits == 8 ? byte : i & 1 ? byte & 15 : byte >> 4;
        }
    }
}

static void row_of_indices(const struct bitmap *b, const uint8_t *row, uint8_t *indices)
{
    unsigned per_byte = 8 / b->bits, mask = (1u << b->bits) - 1;
    for (unsigned x = 0; x < (unsigned)b->width; x++)
        indices[x] = row[x / per_byte] >> (8 - b->bits - x % per_byte * b->bits) & mask;
}

static uint8_t channel_value(struct channel c, uint32_t pixel)
{
    return c.max ? (uint8_t)(((uint64_t)((pixel & c.mask) >> c.shift) * 255 + c.max / 2) / c.max)
                 : 0;
}

static void put_masked(const struct bitmap *b, const uint8_t *row, int bands, uint8_t *to)
{
    unsigned bytes = b->bits / 8;
    for (int x = 0; x < b->width; x++, row += bytes) {
        uint32_t pixel = (uint32_t)row[0] | (uint32_t)row[1] << 8;
        if (bytes == 4)
            pixel |= (uint32_t)row[2] << 16 | (uint32_t)row[3] << 24;
        for (int c = 0; c < bands; c++)
            *to++ = c == 3 && !b->channels[3].max ? 255 : channel_value(b->channels[c], pixel);
    }
}

static void put_24(const struct bitmap *b, const uint8_t *row, int bands, uint8_t *to)
{
    for (int x = 0; x < b->width; x++, row += 3, to += bands) {
        to[0] = row[2];
        to[1] = row[1];
        to[2] = row[0];
        if (bands == 4)
            to[3] = 255;
    }
}

static void put_indexed(const struct bitmap *b, const uint8_t *indices, int bands, uint8_t *to)
{
    for (int x = 0; x < b->width; x++, to += bands) {
        memcpy(to, b->palette[indices[x]], 3);
        if (bands == 4)
            to[3] = 255;
    }
}

static void put_mask(const struct bitmap *b, const uint8_t *row, uint8_t *to)
{
    for (int x = 0; x < b->width; x++)
        if (row[x / 8] >> (7 - x % 8) & 1)
            to[x * 4 + 3] = 0;
}

static void row_put(const struct bitmap *b, int y, int bands, uint8_t *indices, uint8_t *to)
{
    int stored = b->is_top_down ? y : b->height - 1 - y;
    if (b->runs) {
        row_of_runs(b, stored, indices);
        put_indexed(b, indices, bands, to);
        return;
    }
    const uint8_t *row = (const uint8_t *)b->bytes.ptr + b->pixels + (size_t)stored * b->row_bytes;
    if (b->bits <= 8) {
        row_of_indices(b, row, indices);
        put_indexed(b, indices, bands, to);
    } else if (b->bits == 24) {
        put_24(b, row, bands, to);
    } else {
        put_masked(b, row, bands, to);
    }
    if (b->has_mask)
        put_mask(b, (const uint8_t *)b->bytes.ptr + b->mask + (size_t)stored * b->mask_row_bytes,
                 to);
}

/* --- the image --- */

struct row_buffers {
    uint8_t *pixels, *indices;
};

static void *rows_start(VipsImage *out, void *a, void *b)
{
    struct row_buffers *rows = g_new(struct row_buffers, 1);
    rows->pixels = g_malloc((size_t)out->Xsize * (size_t)out->Bands);
    rows->indices = g_malloc((size_t)out->Xsize);
    return rows;
}

static int rows_stop(void *seq, void *a, void *b)
{
    struct row_buffers *rows = seq;
    g_free(rows->pixels);
    g_free(rows->indices);
    g_free(rows);
    return 0;
}

static int rows_generate(VipsRegion *out, void *seq, void *a, void *b, gboolean *stop)
{
    const struct bitmap *bitmap = a;
    const struct row_buffers *rows = seq;
    const VipsRect *want = &out->valid;
    int bands = out->im->Bands;
    for (int y = want->top; y < want->top + want->height; y++) {
        row_put(bitmap, y, bands, rows->indices, rows->pixels);
        memcpy(VIPS_REGION_ADDR(out, want->left, y),
               rows->pixels + (size_t)want->left * (size_t)bands,
               (size_t)want->width * (size_t)bands);
    }
    return 0;
}

static void bitmap_free(struct bitmap *b)
{
    mem_free(MEM_OTHER, b->runs);
    mem_free(MEM_OTHER, b);
}

static void free_with_image(VipsImage *image, struct bitmap *b)
{
    bitmap_free(b);
}

/* Takes the bitmap. */
static VipsImage *image_of(struct bitmap *b)
{
    VipsImage *out = vips_image_new();
    g_signal_connect(out, "postclose", G_CALLBACK(free_with_image), b);
    vips_image_init_fields(out, b->width, b->height, b->has_alpha || b->has_mask ? 4 : 3,
                           VIPS_FORMAT_UCHAR, VIPS_CODING_NONE, VIPS_INTERPRETATION_sRGB, 1, 1);
    if (vips_image_pipelinev(out, VIPS_DEMAND_STYLE_THINSTRIP, NULL) ||
        vips_image_generate(out, rows_start, rows_generate, rows_stop, b, NULL)) {
        g_object_unref(out);
        return NULL;
    }
    return out;
}

static bool rows_are_there(struct bitmap *b)
{
    if (b->compression == BMP_RLE4 || b->compression == BMP_RLE8)
        return b->pixels < b->bytes.len ? runs_index(b) : refuse("cut short before its rows");
    if (b->pixels > b->bytes.len || (b->bytes.len - b->pixels) / b->row_bytes < (size_t)b->height)
        return refuse("cut short in its rows");
    return true;
}

bool bmp_open(struct view bytes, VipsImage **out, struct image_failure *f)
{
    struct bitmap *b = mem_alloc_zero(MEM_OTHER, 1, sizeof(*b));
    size_t after;
    *out = NULL;
    b->bytes = bytes;
    if (bytes.len >= FILE_HEADER_BYTES && header_read(b, FILE_HEADER_BYTES, &after)) {
        b->pixels = u32_at(bytes, 10);
        if (b->pixels < after)
            b->pixels = after;
        if (rows_are_there(b)) {
            *out = image_of(b);
            return *out || image_fail_decode(f);
        }
    }
    bitmap_free(b);
    return image_fail_decode(f);
}

/* --- icons --- */

static bool has_alpha_somewhere(const struct bitmap *b)
{
    const uint8_t *row = (const uint8_t *)b->bytes.ptr + b->pixels;
    for (size_t i = 0, n = (size_t)b->height * b->row_bytes; i < n; i += 4)
        if (row[i + 3])
            return true;
    return false;
}

/* The mask says what can be seen, where pixels do not. */
static bool mask_find(struct bitmap *b)
{
    if (b->bits == 32 && has_alpha_somewhere(b))
        return true;
    b->has_alpha = false;
    b->channels[3] = channel_of(0);
    b->mask = b->pixels + (size_t)b->height * b->row_bytes;
    b->mask_row_bytes = ((size_t)b->width + 31) / 32 * 4;
    if ((b->bytes.len - b->mask) / b->mask_row_bytes < (size_t)b->height)
        return refuse("cut short in its mask");
    b->has_mask = true;
    return true;
}

/* The bytes of the best picture; empty: there is none. */
static struct view icon_best(struct view bytes)
{
    struct view best = {NULL, 0};
    uint64_t best_worth = 0;
    uint32_t count = bytes.len >= 6 ? u16_at(bytes, 4) : 0;
    for (uint32_t i = 0; i < count && i < ICONS_MAX; i++) {
        size_t at = 6 + (size_t)i * ICON_ENTRY_BYTES;
        if (bytes.len < at + ICON_ENTRY_BYTES)
            break;
        const uint8_t *e = (const uint8_t *)bytes.ptr + at;
        uint32_t width = e[0] ? e[0] : 256, height = e[1] ? e[1] : 256;
        uint64_t worth = (uint64_t)width * height * 256 + (u16_at(bytes, at + 6) & 255) + 1;
        uint32_t len = u32_at(bytes, at + 8), offset = u32_at(bytes, at + 12);
        if (worth <= best_worth || offset > bytes.len || bytes.len - offset < len)
            continue;
        best_worth = worth;
        best = view_slice(bytes, offset, (size_t)offset + len);
    }
    return best;
}

bool ico_open(struct view bytes, VipsImage **out, struct image_failure *f)
{
    struct view icon = icon_best(bytes);
    *out = NULL;
    if (source_kind_sniff(icon) == SOURCE_PNG)
        return source_open(icon, SOURCE_PNG, &(struct source_reading){0}, out, f);
    struct bitmap *b = mem_alloc_zero(MEM_OTHER, 1, sizeof(*b));
    b->bytes = icon;
    b->is_icon = true;
    if (icon.len && header_read(b, 0, &b->pixels) && rows_are_there(b) && mask_find(b)) {
        *out = image_of(b);
        return *out || image_fail_decode(f);
    }
    bitmap_free(b);
    return image_fail_decode(f);
}
