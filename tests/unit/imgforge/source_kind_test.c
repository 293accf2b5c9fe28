/* SPDX-License-Identifier: Apache-2.0 */
#include "source_kind.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define BYTES(literal) VIEW_INIT(literal)

static const struct {
    const char *name;
    struct view bytes;
    enum source_kind kind;
} FILES[] = {
    {"nothing", BYTES(""), SOURCE_UNKNOWN},
    {"JPEG with JFIF", BYTES("\xFF\xD8\xFF\xE0\0\x10JFIF"), SOURCE_JPEG},
    {"JPEG that begins with tables", BYTES("\xFF\xD8\xFF\xDB"), SOURCE_JPEG},
    {"start of image and no more", BYTES("\xFF\xD8"), SOURCE_UNKNOWN},
    {"PNG", BYTES("\x89PNG\r\n\x1A\n\0\0\0\rIHDR"), SOURCE_PNG},
    {"PNG whose line ends were changed", BYTES("\x89PNG\n\x1A\n\0"), SOURCE_UNKNOWN},
    {"WebP", BYTES("RIFF\x10\0\0\0WEBPVP8 "), SOURCE_WEBP},
    {"a sound", BYTES("RIFF\x10\0\0\0WAVEfmt "), SOURCE_UNKNOWN},
    {"GIF of 1987", BYTES("GIF87a"), SOURCE_GIF},
    {"GIF of 1989", BYTES("GIF89a\1\0"), SOURCE_GIF},
    {"GIF of no year", BYTES("GIF90a"), SOURCE_UNKNOWN},
    {"TIFF, little end first", BYTES("II*\0\x08\0\0\0"), SOURCE_TIFF},
    {"TIFF, big end first", BYTES("MM\0*\0\0\0\x08"), SOURCE_TIFF},
    {"BigTIFF, little end first", BYTES("II+\0\x08\0\0\0"), SOURCE_TIFF},
    {"BigTIFF, big end first", BYTES("MM\0+\0\x08\0\0"), SOURCE_TIFF},
    {"text", BYTES("IIII"), SOURCE_UNKNOWN},

    {"AVIF",
     BYTES("\0\0\0\x1C"
           "ftypavif\0\0\0\0avifmif1miaf"),
     SOURCE_AVIF},
    {"AVIF sequence",
     BYTES("\0\0\0\x18"
           "ftypavis\0\0\0\0avismsf1"),
     SOURCE_AVIF},
    {"AVIF that says picture first",
     BYTES("\0\0\0\x1C"
           "ftypmif1\0\0\0\0mif1avifmiaf"),
     SOURCE_AVIF},
    {"HEIC",
     BYTES("\0\0\0\x18"
           "ftypheic\0\0\0\0mif1heic"),
     SOURCE_HEIF},
    {"HEIC that lists AVIF too",
     BYTES("\0\0\0\x18"
           "ftypheic\0\0\0\0avifheic"),
     SOURCE_HEIF},
    {"HEIC of 10 bit",
     BYTES("\0\0\0\x10"
           "ftypheix\0\0\0\0"),
     SOURCE_HEIF},
    {"HEIC sequence",
     BYTES("\0\0\0\x18"
           "ftyphevc\0\0\0\0msf1hevc"),
     SOURCE_HEIF},
    {"HEIS sequence behind msf1",
     BYTES("\0\0\0\x18"
           "ftypmsf1\0\0\0\0msf1heis"),
     SOURCE_HEIF},
    {"HEIF of a codec that is not said",
     BYTES("\0\0\0\x14"
           "ftypmif1\0\0\0\0mif1"),
     SOURCE_HEIF},
    {"a picture by its other brands only",
     BYTES("\0\0\0\x18"
           "ftypMiPr\0\0\0\0mif1heic"),
     SOURCE_HEIF},
    {"brands behind the box are none",
     BYTES("\0\0\0\x14"
           "ftypmp42\0\0\0\0isomavif"),
     SOURCE_UNKNOWN},
    {"a film",
     BYTES("\0\0\0\x18"
           "ftypmp42\0\0\0\0isommp42"),
     SOURCE_UNKNOWN},
    {"a box that is too short",
     BYTES("\0\0\0\x0C"
           "ftypavif\0\0\0\0"),
     SOURCE_UNKNOWN},
    {"a box that was cut",
     BYTES("\0\0\0\x1C"
           "ftypavif"),
     SOURCE_UNKNOWN},

    {"BMP", BYTES("BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0"), SOURCE_BMP},
    {"BMP of OS/2", BYTES("BM\x46\0\0\0\0\0\0\0\x1A\0\0\0\x0C\0\0\0"), SOURCE_BMP},
    {"BMP, the fifth", BYTES("BM\x46\0\0\0\0\0\0\0\x8A\0\0\0\x7C\0\0\0"), SOURCE_BMP},
    {"text that begins with BM", BYTES("BMW builds cars and motorcycles"), SOURCE_UNKNOWN},
    {"ICO", BYTES("\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0\x68\4\0\0\x16\0\0\0"), SOURCE_ICO},
    {"ICO without pictures", BYTES("\0\0\1\0\0\0\x10\x10\0\0\1\0\x20\0\x68\4\0\0\x16\0\0\0"),
     SOURCE_UNKNOWN},
    {"ICO whose picture lies in its list",
     BYTES("\0\0\1\0\2\0\x10\x10\0\0\1\0\x20\0\x68\4\0\0\x16\0\0\0"), SOURCE_UNKNOWN},
    {"a cursor", BYTES("\0\0\2\0\1\0\x10\x10\0\0\1\0\x20\0\x68\4\0\0\x16\0\0\0"), SOURCE_UNKNOWN},
    {"PDF", BYTES("%PDF-1.7\n"), SOURCE_PDF},
    {"PostScript", BYTES("%!PS-Adobe-3.0"), SOURCE_UNKNOWN},

    {"SVG", BYTES("<svg xmlns='http://www.w3.org/2000/svg'/>"), SOURCE_SVG},
    {"SVG without attributes", BYTES("<svg>"), SOURCE_SVG},
    {"SVG with a prefix", BYTES("<a:svg xmlns:a='http://www.w3.org/2000/svg'/>"), SOURCE_SVG},
    {"SVG behind spaces", BYTES(" \r\n\t<svg/>"), SOURCE_SVG},
    {"SVG behind a byte order mark", BYTES("\xEF\xBB\xBF<svg/>"), SOURCE_SVG},
    {"SVG in UTF-16, little end first", BYTES("\xFF\xFE<\0s\0v\0g\0/\0>\0"), SOURCE_SVG},
    {"SVG in UTF-16, big end first", BYTES("\xFE\xFF\0<\0s\0v\0g\0/\0>"), SOURCE_SVG},
    {"SVG behind a declaration", BYTES("<?xml version='1.0'?>\n<svg/>"), SOURCE_SVG},
    {"SVG behind comments", BYTES("<!-- <html> --><!----><svg/>"), SOURCE_SVG},
    {"SVG behind a document type",
     BYTES("<!DOCTYPE svg PUBLIC \"-//W3C//DTD SVG 1.1//EN\" \"a>b\"><svg/>"), SOURCE_SVG},
    {"SVG behind a document type with entities",
     BYTES("<!DOCTYPE svg [<!ENTITY a \"]>\"><!-- ]> ' --><!ENTITY b ']>'>]><svg/>"), SOURCE_SVG},
    {"SVG behind a style sheet",
     BYTES("\xEF\xBB\xBF<?xml version='1.0'?><?xml-stylesheet href='a'?>\n<!-- a -->\n<!DOCTYPE "
           "svg>\n<svg/>"),
     SOURCE_SVG},
    {"HTML with an SVG inside", BYTES("<html><svg/></html>"), SOURCE_UNKNOWN},
    {"a page that says svg in a comment", BYTES("<!-- <svg/> --><html/>"), SOURCE_UNKNOWN},
    {"an element whose name begins so", BYTES("<svgx/>"), SOURCE_UNKNOWN},
    {"a prefix that is svg", BYTES("<svg:g/>"), SOURCE_UNKNOWN},
    {"a name that was cut", BYTES("<svg"), SOURCE_UNKNOWN},
    {"a comment that does not end", BYTES("<!-- <svg/>"), SOURCE_UNKNOWN},
    {"a document type that does not end", BYTES("<!DOCTYPE svg [<!ENTITY a ']><svg/>"),
     SOURCE_UNKNOWN},
    {"half of a character of UTF-16", BYTES("\xFF\xFE<"), SOURCE_UNKNOWN},
    {"JSON", BYTES("{\"a\":1}"), SOURCE_UNKNOWN},
};

/* Each from a copy of its exact length, so that a read behind its end is seen by a sanitizer. */
static void first_bytes_tell_what_a_file_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(FILES) / sizeof(FILES[0]); i++) {
        char *copy = malloc(FILES[i].bytes.len + (FILES[i].bytes.len == 0));
        memcpy(copy, FILES[i].bytes.ptr, FILES[i].bytes.len);
        enum source_kind got = source_kind_sniff((struct view){copy, FILES[i].bytes.len});
        if (got != FILES[i].kind)
            fail_msg("%s: %s, expected %s", FILES[i].name, source_kind_name(got),
                     source_kind_name(FILES[i].kind));
        free(copy);
    }
}

/* No prefix of a file is read beyond its end, and none is another kind than the file. */
static void prefixes_are_the_same_or_unknown(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(FILES) / sizeof(FILES[0]); i++)
        for (size_t len = 1; len < FILES[i].bytes.len; len++) {
            char *copy = malloc(len);
            memcpy(copy, FILES[i].bytes.ptr, len);
            enum source_kind got = source_kind_sniff((struct view){copy, len});
            free(copy);
            if (got == SOURCE_UNKNOWN || got == FILES[i].kind)
                continue;
            /* Codecs are told by brands that come later. */
            if (got == SOURCE_HEIF && FILES[i].kind == SOURCE_AVIF)
                continue;
            fail_msg("%s: %zu bytes of it are %s", FILES[i].name, len, source_kind_name(got));
        }
}

/* A prologue without an end is given up, and a long one is read. */
static void long_prologues_end(void **state)
{
    (void)state;
    enum { LONG = 60000, ENDLESS = 1 << 20 };
    char *text = malloc(ENDLESS);
    memset(text, ' ', ENDLESS);
    memcpy(text + LONG, "<svg/>", 6);
    assert_int_equal(source_kind_sniff((struct view){text, ENDLESS}), SOURCE_SVG);
    memset(text, ' ', ENDLESS);
    memcpy(text + ENDLESS - 6, "<svg/>", 6);
    assert_int_equal(source_kind_sniff((struct view){text, ENDLESS}), SOURCE_UNKNOWN);
    free(text);
}

static const struct {
    const char *type;
    enum source_kind kind;
} TYPES[] = {
    {"image/jpeg", SOURCE_JPEG},
    {"IMAGE/JPEG", SOURCE_JPEG},
    {"image/jpg", SOURCE_JPEG},
    {"image/png", SOURCE_PNG},
    {"image/webp", SOURCE_WEBP},
    {"image/gif", SOURCE_GIF},
    {"image/tiff", SOURCE_TIFF},
    {"image/avif", SOURCE_AVIF},
    {"image/heif", SOURCE_HEIF},
    {"image/heic", SOURCE_HEIF},
    {"image/heic-sequence", SOURCE_HEIF},
    {"image/bmp", SOURCE_BMP},
    {"image/x-ms-bmp", SOURCE_BMP},
    {"image/x-icon", SOURCE_ICO},
    {"image/vnd.microsoft.icon", SOURCE_ICO},
    {"image/svg+xml", SOURCE_SVG},
    {"application/pdf", SOURCE_PDF},
    {"text/html", SOURCE_UNKNOWN},
    {"image/jpeg; q=1", SOURCE_UNKNOWN},
    {"image/jpe", SOURCE_UNKNOWN},
    {"", SOURCE_UNKNOWN},
};

static void media_types_name_kinds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(TYPES) / sizeof(TYPES[0]); i++)
        if (source_kind_from_type(view_from(TYPES[i].type)) != TYPES[i].kind)
            fail_msg("%s", TYPES[i].type);
    for (int kind = SOURCE_UNKNOWN; kind <= SOURCE_PDF; kind++)
        assert_int_equal(source_kind_from_type(view_from(source_kind_type((enum source_kind)kind))),
                         kind);
}

/* What is read and written has one name and one type on both sides. */
static void formats_and_kinds_agree(void **state)
{
    (void)state;
    int written = 0;
    for (int kind = SOURCE_UNKNOWN; kind <= SOURCE_PDF; kind++) {
        enum image_format format = source_kind_format((enum source_kind)kind);
        if (format == IMAGE_FORMAT_NONE)
            continue;
        written++;
        assert_string_equal(source_kind_name((enum source_kind)kind), image_format_name(format));
        assert_string_equal(source_kind_type((enum source_kind)kind), image_format_type(format));
    }
    assert_int_equal(written, IMAGE_FORMAT_COUNT - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_bytes_tell_what_a_file_is),
        cmocka_unit_test(prefixes_are_the_same_or_unknown),
        cmocka_unit_test(long_prologues_end),
        cmocka_unit_test(media_types_name_kinds),
        cmocka_unit_test(formats_and_kinds_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
