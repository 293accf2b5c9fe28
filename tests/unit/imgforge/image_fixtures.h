/* SPDX-License-Identifier: Apache-2.0 */
/* image_fixtures.h: pictures made for tests, by libvips itself, and options from the text of a URL. */
#ifndef IMAGE_FIXTURES_H
#define IMAGE_FIXTURES_H

#include "image_options.h"

#include <vips/vips.h>

/* Around all tests of a program: for cmocka_run_group_tests(). */
int fixtures_start(void **state);
int fixtures_stop(void **state);

struct image_options fixture_options(const char *text);

/* Quarters of one colour each: red, green | blue, white. 3 bands, 8 bit. */
VipsImage *fixture_quarters(int width, int height);
/* One colour; `bands` of `rgba`. */
VipsImage *fixture_plain(int width, int height, const uint8_t *rgba, int bands);
/* Soft changes with some noise: like a photo for a compressor. 3 bands, 8 bit, the same each time. */
VipsImage *fixture_photo(int width, int height);
/* Frames of one colour each, as an animation: red, green, blue, white, red, ... shown for 100, 200, 300 ... ms. */
VipsImage *fixture_animation(int width, int height, int frames);
/* In this format, ".jpg[Q=95]"; lives until fixtures_stop(). Takes the image. */
struct view fixture_file(VipsImage *image, const char *suffix);
struct view fixture_bytes(const void *bytes, size_t len);

/* Fails the test where the pixel differs by more than `by` in a band. */
void assert_pixel(VipsImage *image, int x, int y, const uint8_t *expected, int bands, int by,
                  const char *what);

/* Fails where libvips still holds memory of pictures; threads of it keep some buffers until they have had nothing to do for a while. */
void assert_no_memory_kept(const char *what);

#endif
