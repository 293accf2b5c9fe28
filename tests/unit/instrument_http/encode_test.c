/* SPDX-License-Identifier: Apache-2.0 */
/* encode_test.c: what Accept-Encoding chooses, and that what comes out of a stream is what went in. */
#include "instrument_http/encode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

static const struct {
    const char *header;
    enum http_encoding chosen;
} CHOICES[] = {
    {NULL, HTTP_IDENTITY},
    {"", HTTP_IDENTITY},
    {"gzip", HTTP_GZIP},
    {"GZIP", HTTP_GZIP},
    {"x-gzip", HTTP_GZIP},
    {"zstd", HTTP_ZSTD},
    {"gzip, deflate, br, zstd", HTTP_ZSTD},
    {"gzip;q=1.0, zstd;q=0.5", HTTP_GZIP},
    {"zstd;q=0.5,gzip;q=0.501", HTTP_GZIP},
    {"gzip ; q=0.3 , identity;q=0.2", HTTP_GZIP},
    {"identity, gzip;q=0.9", HTTP_IDENTITY},
    {"gzip;q=0", HTTP_IDENTITY},
    {"gzip;q=0.0, zstd;q=0.000", HTTP_IDENTITY},
    {"*", HTTP_ZSTD},
    {"*;q=0", HTTP_IDENTITY},
    {"zstd;q=0, *", HTTP_GZIP},
    {"identity;q=0, gzip;q=0", HTTP_IDENTITY},
    {"br, deflate", HTTP_IDENTITY},
    {"gzipped", HTTP_IDENTITY},
    {";;,,;q=,gzip", HTTP_GZIP},
    {"gzip;q=nonsense", HTTP_IDENTITY},
    {"gzip;q", HTTP_GZIP},
    {"gzip;q=1", HTTP_GZIP},
    {"gzip;q=0.", HTTP_IDENTITY},
};

/* A table of headers. */
static void encoding_is_the_best_that_the_client_takes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(CHOICES); i++)
        if (belfry__encoding_choose(CHOICES[i].header) != CHOICES[i].chosen)
            fail_msg("Accept-Encoding: %s", CHOICES[i].header ? CHOICES[i].header : "(none)");
}

struct sunk {
    char *bytes;
    size_t len, max; /* max: refuse beyond */
};

static bool sink(void *arg, const char *bytes, size_t len)
{
    struct sunk *s = arg;
    if (s->len + len > s->max)
        return false;
    s->bytes = realloc(s->bytes, s->len + len);
    assert_non_null(s->bytes);
    memcpy(s->bytes + s->len, bytes, len);
    s->len += len;
    return true;
}

static char *decode(enum http_encoding encoding, const struct sunk *s, size_t len)
{
    char *out = malloc(len + 1);
    assert_non_null(out);
    if (encoding == HTTP_ZSTD) {
        assert_int_equal(ZSTD_decompress(out, len + 1, s->bytes, s->len), len);
    } else {
        z_stream z = {.next_in = (Bytef *)s->bytes, .avail_in = (uInt)s->len};
        assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
        z.next_out = (Bytef *)out;
        z.avail_out = (uInt)len + 1;
        assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
        assert_int_equal(z.total_out, len);
        assert_int_equal(inflateEnd(&z), Z_OK);
    }
    return out;
}

/* Pieces of all sizes, compressible and not, through both; read back by the libraries themselves. */
static void streams_give_back_what_was_written(void **state)
{
    (void)state;
    enum { BYTES = 300000 };
    char *in = malloc(BYTES);
    assert_non_null(in);
    uint32_t x = 1;
    for (size_t i = 0; i < BYTES; i++) {
        x = x * 1664525 + 1013904223;
        in[i] = i % 1000 < 500 ? (char)(x >> 24) : (char)('a' + i % 7);
    }
    for (int encoding = HTTP_GZIP; encoding <= HTTP_ZSTD; encoding++) {
        for (size_t piece = 1; piece <= BYTES; piece = piece * 7 + 3) {
            struct sunk s = {.max = SIZE_MAX};
            struct encoder *e = belfry__encoder_new((enum http_encoding)encoding, sink, &s);
            assert_non_null(e);
            size_t bytes = piece < 10 ? 3000 : BYTES;
            for (size_t at = 0; at < bytes; at += piece)
                assert_true(
                    belfry__encoder_write(e, in + at, bytes - at < piece ? bytes - at : piece));
            assert_true(belfry__encoder_finish(e));
            belfry__encoder_free(e);
            char *out = decode((enum http_encoding)encoding, &s, bytes);
            assert_memory_equal(out, in, bytes);
            free(out);
            free(s.bytes);
        }
    }
    free(in);
}

/* A sink that refuses after 10,000 bytes of noise. */
static void a_refusing_sink_ends_the_stream(void **state)
{
    (void)state;
    for (int encoding = HTTP_IDENTITY; encoding <= HTTP_ZSTD; encoding++) {
        struct sunk s = {.max = 10000};
        struct encoder *e = belfry__encoder_new((enum http_encoding)encoding, sink, &s);
        assert_non_null(e);
        bool ok = true;
        uint32_t x = 7;
        for (int i = 0; ok && i < 200; i++) {
            char noise[1000];
            for (size_t k = 0; k < sizeof noise; k++) {
                x = x * 1664525 + 1013904223;
                noise[k] = (char)(x >> 24);
            }
            ok = belfry__encoder_write(e, noise, sizeof noise);
        }
        assert_false(ok && belfry__encoder_finish(e));
        belfry__encoder_free(e);
        free(s.bytes);
    }
}

/* Nothing written is a valid empty stream. */
static void an_empty_stream_is_valid(void **state)
{
    (void)state;
    for (int encoding = HTTP_GZIP; encoding <= HTTP_ZSTD; encoding++) {
        struct sunk s = {.max = SIZE_MAX};
        struct encoder *e = belfry__encoder_new((enum http_encoding)encoding, sink, &s);
        assert_non_null(e);
        assert_true(belfry__encoder_finish(e));
        belfry__encoder_free(e);
        free(decode((enum http_encoding)encoding, &s, 0));
        free(s.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoding_is_the_best_that_the_client_takes),
        cmocka_unit_test(streams_give_back_what_was_written),
        cmocka_unit_test(a_refusing_sink_ends_the_stream),
        cmocka_unit_test(an_empty_stream_is_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
