/* SPDX-License-Identifier: Apache-2.0 */
/* source_kind.c: see source_kind.h. */
#include "source_kind.h"

#include <stdint.h>

/* --- names --- */

/* kind, name, media type, format of results */
#define SOURCE_KINDS(X)                                                                            \
    X(UNKNOWN, "unknown", "application/octet-stream", NONE)                                        \
    X(JPEG, "jpeg", "image/jpeg", JPEG)                                                            \
    X(PNG, "png", "image/png", PNG)                                                                \
    X(WEBP, "webp", "image/webp", WEBP)                                                            \
    X(GIF, "gif", "image/gif", GIF)                                                                \
    X(TIFF, "tiff", "image/tiff", TIFF)                                                            \
    X(AVIF, "avif", "image/avif", AVIF)                                                            \
    X(HEIF, "heif", "image/heif", HEIF)                                                            \
    X(BMP, "bmp", "image/bmp", NONE)                                                               \
    X(ICO, "ico", "image/x-icon", NONE)                                                            \
    X(SVG, "svg", "image/svg+xml", NONE)                                                           \
    X(PDF, "pdf", "application/pdf", NONE)

bool source_kind_is_drawing(enum source_kind kind)
{
    return kind == SOURCE_SVG || kind == SOURCE_PDF;
}

const char *source_kind_name(enum source_kind kind)
{
    static const char *const NAMES[] = {
#define X(kind, name, type, format) [SOURCE_##kind] = name,
        SOURCE_KINDS(X)
#undef X
    };
    return NAMES[kind];
}

const char *source_kind_type(enum source_kind kind)
{
    static const char *const TYPES[] = {
#define X(kind, name, type, format) [SOURCE_##kind] = type,
        SOURCE_KINDS(X)
#undef X
    };
    return TYPES[kind];
}

enum image_format source_kind_format(enum source_kind kind)
{
    static const enum image_format FORMATS[] = {
#define X(kind, name, type, format) [SOURCE_##kind] = IMAGE_FORMAT_##format,
        SOURCE_KINDS(X)
#undef X
    };
    return FORMATS[kind];
}

enum source_kind source_kind_from_type(struct view type)
{
    /* Names that were in use before those of the registry, and those of sequences, which the same decoders read. */
    static const struct {
        const char *type;
        enum source_kind kind;
    } OTHERS[] = {
        {"image/jpg", SOURCE_JPEG},
        {"image/pjpeg", SOURCE_JPEG},
        {"image/apng", SOURCE_PNG},
        {"image/vnd.mozilla.apng", SOURCE_PNG},
        {"image/x-png", SOURCE_PNG},
        {"image/tif", SOURCE_TIFF},
        {"image/x-tiff", SOURCE_TIFF},
        {"image/avif-sequence", SOURCE_AVIF},
        {"image/heic", SOURCE_HEIF},
        {"image/heic-sequence", SOURCE_HEIF},
        {"image/heif-sequence", SOURCE_HEIF},
        {"image/x-bmp", SOURCE_BMP},
        {"image/x-ms-bmp", SOURCE_BMP},
        {"image/ico", SOURCE_ICO},
        {"image/vnd.microsoft.icon", SOURCE_ICO},
        {"image/svg", SOURCE_SVG},
        {"application/x-pdf", SOURCE_PDF},
    };
    for (int kind = SOURCE_UNKNOWN; kind <= SOURCE_PDF; kind++)
        if (view_is_any_case(type, source_kind_type((enum source_kind)kind)))
            return (enum source_kind)kind;
    for (size_t i = 0; i < sizeof(OTHERS) / sizeof(OTHERS[0]); i++)
        if (view_is_any_case(type, OTHERS[i].type))
            return OTHERS[i].kind;
    return SOURCE_UNKNOWN;
}

/* --- binary files --- */

static uint32_t u16le(struct view v, size_t at)
{
    return (uint32_t)((uint8_t)v.ptr[at] | (uint8_t)v.ptr[at + 1] << 8);
}

static uint32_t u32le(struct view v, size_t at)
{
    return u16le(v, at) | u16le(v, at + 2) << 16;
}

static uint32_t u32be(struct view v, size_t at)
{
    return __builtin_bswap32(u32le(v, at));
}

static bool has_at(struct view bytes, size_t at, struct view what)
{
    return view_eq(view_slice(bytes, at, at + what.len), what);
}

/* "BM" begins many a text: the length of the header that follows is one of the few that there have been. */
static bool is_bmp(struct view bytes)
{
    static const uint32_t HEADER_BYTES[] = {12, 16, 40, 52, 56, 64, 108, 124};
    if (bytes.len < 18 || !has_at(bytes, 0, VIEW("BM")))
        return false;
    for (size_t i = 0; i < sizeof(HEADER_BYTES) / sizeof(HEADER_BYTES[0]); i++)
        if (u32le(bytes, 14) == HEADER_BYTES[i])
            return true;
    return false;
}

/* Reserved, type 1, count, then 16 bytes for each picture: the last eight are its length and where it begins. */
static bool is_ico(struct view bytes)
{
    if (bytes.len < 22 || !has_at(bytes, 0, VIEW("\0\0\1\0")))
        return false;
    uint32_t count = u16le(bytes, 4);
    return count > 0 && bytes.ptr[9] == 0 && u32le(bytes, 14) > 0 &&
           u32le(bytes, 18) >= 6 + 16 * count;
}

static bool is_tiff(struct view bytes)
{
    return has_at(bytes, 0, VIEW("II*\0")) || has_at(bytes, 0, VIEW("MM\0*")) ||
           has_at(bytes, 0, VIEW("II+\0\x08\0\0\0")) || has_at(bytes, 0, VIEW("MM\0+\0\x08\0\0"));
}

/* What a brand of ISO/IEC 23008-12 stands for; UNKNOWN for those of films, and for those (mif1, msf1) that leave the codec open. */
static enum source_kind kind_of_brand(struct view brand)
{
    static const struct view HEVC[] = {VIEW_INIT("heic"), VIEW_INIT("heix"), VIEW_INIT("heim"),
                                       VIEW_INIT("heis"), VIEW_INIT("hevc"), VIEW_INIT("hevx"),
                                       VIEW_INIT("hevm"), VIEW_INIT("hevs")};
    if (view_eq(brand, VIEW("avif")) || view_eq(brand, VIEW("avis")))
        return SOURCE_AVIF;
    for (size_t i = 0; i < sizeof(HEVC) / sizeof(HEVC[0]); i++)
        if (view_eq(brand, HEVC[i]))
            return SOURCE_HEIF;
    return SOURCE_UNKNOWN;
}

/* A box of ISO base media: length, "ftyp", major brand, version, brands it is compatible with. The major brand decides; where it
 * leaves the codec open the first other one does that names a codec. */
static enum source_kind sniff_brands(struct view bytes)
{
    if (bytes.len < 16 || !has_at(bytes, 4, VIEW("ftyp")))
        return SOURCE_UNKNOWN;
    size_t end = u32be(bytes, 0);
    if (end < 16)
        return SOURCE_UNKNOWN;
    struct view major = view_slice(bytes, 8, 12);
    enum source_kind kind = kind_of_brand(major);
    bool is_picture = view_eq(major, VIEW("mif1")) || view_eq(major, VIEW("msf1"));
    for (size_t at = 16; !kind && at + 4 <= end && at + 4 <= bytes.len; at += 4) {
        struct view brand = view_slice(bytes, at, at + 4);
        kind = kind_of_brand(brand);
        is_picture = is_picture || view_eq(brand, VIEW("mif1")) || view_eq(brand, VIEW("msf1"));
    }
    return kind ? kind : is_picture ? SOURCE_HEIF : SOURCE_UNKNOWN;
}

/* --- SVG --- */

/* What may stand before <svg is not short: a licence, a DOCTYPE with entities. Beyond this nobody is looked for. */
enum { SVG_PROLOG_UNITS_MAX = 64 << 10 };

/* Characters of UTF-8 or of UTF-16, as far as they are ASCII; others are '?'. */
struct text {
    struct view bytes;
    size_t pos, unit_bytes, low; /* low: which byte of a unit has ASCII */
};

/* -1 at the end. */
static int char_at(const struct text *t, size_t ahead)
{
    size_t at = t->pos + ahead * t->unit_bytes;
    if (at + t->unit_bytes > t->bytes.len || at >= SVG_PROLOG_UNITS_MAX * t->unit_bytes)
        return -1;
    if (t->unit_bytes == 2 && t->bytes.ptr[at + 1 - t->low] != 0)
        return '?';
    unsigned char c = (unsigned char)t->bytes.ptr[at + t->low];
    return c < 0x80 ? c : '?';
}

static void step(struct text *t, size_t count)
{
    t->pos += count * t->unit_bytes;
}

static bool next_is(const struct text *t, const char *what)
{
    for (size_t i = 0; what[i]; i++)
        if (char_at(t, i) != (unsigned char)what[i])
            return false;
    return true;
}

static bool is_space(int c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Goes behind the next `end`; false where there is none. */
static bool skip_past(struct text *t, const char *end)
{
    while (!next_is(t, end)) {
        if (char_at(t, 0) < 0)
            return false;
        step(t, 1);
    }
    step(t, strlen(end));
    return true;
}

/* <!DOCTYPE svg PUBLIC "..." [ <!ENTITY a "]>"> <!-- ... --> ]>: ends at the first '>' outside of quotes, comments and brackets. */
static bool skip_doctype(struct text *t)
{
    bool is_inside = false;
    for (int c = char_at(t, 0); c >= 0; c = char_at(t, 0)) {
        if (next_is(t, "<!--")) {
            if (!skip_past(t, "-->"))
                return false;
            continue;
        }
        step(t, 1);
        if (c == '"' || c == '\'') {
            if (!skip_past(t, c == '"' ? "\"" : "'"))
                return false;
        } else if (c == '[' || c == ']') {
            is_inside = c == '[';
        } else if (c == '>' && !is_inside) {
            return true;
        }
    }
    return false;
}

static struct text text_of(struct view bytes)
{
    struct text t = {bytes, 0, 1, 0};
    if (has_at(bytes, 0, VIEW("\xEF\xBB\xBF")))
        t.pos = 3;
    else if (has_at(bytes, 0, VIEW("\xFF\xFE")))
        t = (struct text){bytes, 2, 2, 0};
    else if (has_at(bytes, 0, VIEW("\xFE\xFF")))
        t = (struct text){bytes, 2, 2, 1};
    return t;
}

/* Is the root, which `t` is at, an element svg, with or without a prefix? */
static bool root_is_svg(const struct text *t)
{
    size_t name = 1, end = 1;
    for (int c; (c = char_at(t, end)) >= 0 && !is_space(c) && c != '>' && c != '/'; end++)
        if (c == ':')
            name = end + 1;
    struct text at_name = *t;
    step(&at_name, name);
    return char_at(t, 0) == '<' && end == name + 3 && char_at(t, end) >= 0 &&
           next_is(&at_name, "svg");
}

static bool is_svg(struct view bytes)
{
    struct text t = text_of(bytes);
    for (;;) {
        while (is_space(char_at(&t, 0)))
            step(&t, 1);
        if (next_is(&t, "<?")) {
            if (!skip_past(&t, "?>"))
                return false;
        } else if (next_is(&t, "<!--")) {
            if (!skip_past(&t, "-->"))
                return false;
        } else if (next_is(&t, "<!DOCTYPE")) {
            if (!skip_doctype(&t))
                return false;
        } else {
            return root_is_svg(&t);
        }
    }
}

enum source_kind source_kind_sniff(struct view bytes)
{
    if (has_at(bytes, 0, VIEW("\xFF\xD8\xFF")))
        return SOURCE_JPEG;
    if (has_at(bytes, 0, VIEW("\x89PNG\r\n\x1A\n")))
        return SOURCE_PNG;
    if (has_at(bytes, 0, VIEW("RIFF")) && has_at(bytes, 8, VIEW("WEBP")))
        return SOURCE_WEBP;
    if (has_at(bytes, 0, VIEW("GIF87a")) || has_at(bytes, 0, VIEW("GIF89a")))
        return SOURCE_GIF;
    if (is_tiff(bytes))
        return SOURCE_TIFF;
    if (has_at(bytes, 0, VIEW("%PDF-")))
        return SOURCE_PDF;
    if (is_bmp(bytes))
        return SOURCE_BMP;
    if (is_ico(bytes))
        return SOURCE_ICO;
    enum source_kind kind = sniff_brands(bytes);
    if (kind == SOURCE_UNKNOWN && is_svg(bytes))
        kind = SOURCE_SVG;
    return kind;
}
