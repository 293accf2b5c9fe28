/* SPDX-License-Identifier: Apache-2.0 */
/* drawing_test.c: SVG and PDF drawn by processes of imgforge: as libvips draws them here, whatever becomes of these processes. */
#include "base/buffer.h"
#include "base/thread.h"
#include "drawers.h"
#include "drawing_order.h"
#include "image_fixtures.h"
#include "source_load.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SVG_OF(colour)                                                                             \
    "<svg xmlns='http://www.w3.org/2000/svg' width='40' height='30'><rect width='20' height='30' " \
    "fill='" colour "'/><circle cx='25' cy='15' r='9' opacity='0.5'/></svg>"
static const struct view SVG = VIEW_INIT(SVG_OF("#ff0000"));
/* Hours: 1500 x 1500 steps for each of as many pixels. */
static const struct view ENDLESS = VIEW_INIT("<svg xmlns='http://www.w3.org/2000/svg' width='1500' "
                                             "height='1500'><filter id='f'><feMorphology "
                                             "operator='dilate' radius='750'/></filter><rect "
                                             "width='1500' height='1500' filter='url(#f)'/></svg>");
/* Two pages. It has no table of objects: poppler makes one. */
static const struct view PDF =
    VIEW_INIT("%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
              "2 0 obj<</Type/Pages/Kids[3 0 R 4 0 R]/Count 2>>endobj\n"
              "3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 60 40]/Contents 5 0 R>>endobj\n"
              "4 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 60 40]/Contents 6 0 R>>endobj\n"
              "5 0 obj<</Length 25>>stream\n1 0 0 rg 0 0 30 20 re f  \nendstream endobj\n"
              "6 0 obj<</Length 25>>stream\n0 0 1 rg 0 0 30 20 re f  \nendstream endobj\n"
              "trailer<</Root 1 0 R>>\n%%EOF\n");
static const struct source_reading FIRST = {0};

/* --- processes --- */

struct child {
    pid_t pid;
    char state;
    unsigned long ticks; /* of its time */
    long threads;
};

static bool read_child(const char *pid, struct child *out)
{
    char path[64], text[1024];
    int parent = 0;
    (void)snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    size_t len = fread(text, 1, sizeof(text) - 1, f);
    text[len] = '\0';
    (void)fclose(f);
    const char *rest = strrchr(text, ')');
    if (strstr(text, "(llvm-symbolizer")) /* a sanitizer's */
        return false;
    out->pid = (pid_t)strtol(pid, NULL, 10);
    return rest &&
           sscanf(rest, ") %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %*u %*d %*d %*d %*d %ld",
                  &out->state, &parent, &out->ticks, &out->threads) == 4 &&
           parent == getpid();
}

enum { CHILDREN_MAX = 64 };

static size_t children(struct child out[CHILDREN_MAX])
{
    size_t count = 0;
    DIR *proc = opendir("/proc");
    assert_non_null(proc);
    for (struct dirent *e; (e = readdir(proc)) && count < CHILDREN_MAX;)
        if (e->d_name[0] >= '0' && e->d_name[0] <= '9' && read_child(e->d_name, &out[count]))
            count++;
    (void)closedir(proc);
    return count;
}

static void pause_shortly(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 5 * 1000 * 1000}, NULL);
}

/* The only one there is has computed for 0.3 s: it is at work on what does not end. */
static pid_t wait_for_worker(void)
{
    struct child all[CHILDREN_MAX];
    for (mono_time end = mono_add_ms(clock_mono(), 120 * 1000); clock_mono().ns < end.ns;) {
        size_t count = children(all);
        for (size_t i = 0; i < count; i++)
            if (all[i].ticks >= 30)
                return all[i].pid;
        pause_shortly();
    }
    fail_msg("no process draws");
    return 0;
}

static size_t open_files(void)
{
    size_t count = 0;
    DIR *fds = opendir("/proc/self/fd");
    assert_non_null(fds);
    while (readdir(fds))
        count++;
    (void)closedir(fds);
    return count;
}

static void assert_no_children(void)
{
    struct child all[CHILDREN_MAX];
    assert_int_equal(children(all), 0);
}

/* --- pictures --- */

static VipsImage *must_open(struct view bytes, enum source_kind kind,
                            const struct source_reading *how)
{
    VipsImage *out = NULL;
    struct image_failure f = {0};
    if (!source_open(bytes, kind, how, &out, &f))
        fail_msg("%d %s: %s", f.status, f.text, f.cause);
    return out;
}

/* Takes the image; libvips'. */
static uint8_t *must_draw(VipsImage *image, size_t *bytes)
{
    uint8_t *pixels = vips_image_write_to_memory(image, bytes);
    if (!pixels)
        fail_msg("%s", vips_error_buffer());
    g_object_unref(image);
    return pixels;
}

static void must_be_drawn(struct view bytes, enum source_kind kind)
{
    size_t count;
    g_free(must_draw(must_open(bytes, kind, &FIRST), &count));
}

static int number_of(VipsImage *image, const char *name)
{
    int n = -1;
    if (vips_image_get_typeof(image, name))
        assert_int_equal(vips_image_get_int(image, name, &n), 0);
    return n;
}

/* Opened by another process and here, a drawing is the same to the byte, and so is what is said of it. */
static void drawings_are_what_libvips_draws(void **state)
{
    static const struct {
        enum source_kind kind;
        struct source_reading how;
    } CASES[] = {
        {SOURCE_SVG, {0}},
        {SOURCE_SVG, {.scale = 7.3}},
        {SOURCE_SVG, {.scale = 0.2}},
        {SOURCE_PDF, {0}},
        {SOURCE_PDF, {.page = 1}},
        {SOURCE_PDF, {.pages = 2}},
        {SOURCE_PDF, {.pages = 2, .scale = 3}},
    };
    static const char *const NAMES[] = {VIPS_META_N_PAGES, VIPS_META_PAGE_HEIGHT,
                                        VIPS_META_ORIENTATION};
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct view bytes = CASES[i].kind == SOURCE_SVG ? SVG : PDF;
        VipsImage *there = must_open(bytes, CASES[i].kind, &CASES[i].how), *here = NULL;
        struct image_failure f;
        size_t there_bytes, here_bytes;
        assert_true(source_decode(bytes, CASES[i].kind, &CASES[i].how, &here, &f));
        assert_int_equal(there->Xsize, here->Xsize);
        assert_int_equal(there->Ysize, here->Ysize);
        assert_int_equal(there->Bands, here->Bands);
        assert_int_equal(there->BandFmt, here->BandFmt);
        assert_int_equal(there->Type, here->Type);
        assert_true(there->Xres == here->Xres && there->Yres == here->Yres);
        for (size_t n = 0; n < ARRAY_COUNT(NAMES); n++)
            assert_int_equal(number_of(there, NAMES[n]), number_of(here, NAMES[n]));
        uint8_t *pixels_there = must_draw(there, &there_bytes),
                *pixels_here = must_draw(here, &here_bytes);
        assert_int_equal(there_bytes, here_bytes);
        assert_memory_equal(pixels_there, pixels_here, here_bytes);
        g_free(pixels_there);
        g_free(pixels_here);
    }
    assert_no_memory_kept("drawings");
}

static void what_is_no_drawing_is_refused(void **state)
{
    const struct {
        struct view bytes;
        enum source_kind kind;
        struct source_reading how;
    } CASES[] = {
        {VIEW_INIT(""), SOURCE_SVG, {0}},
        {VIEW_INIT(""), SOURCE_PDF, {0}},
        {{NULL, 0}, SOURCE_SVG, FIRST},
        {VIEW_INIT("<svg"), SOURCE_SVG, {0}},
        {VIEW_INIT("%PDF-1.7"), SOURCE_PDF, {0}},
        {VIEW_INIT("<svg xmlns='http://www.w3.org/2000/svg'><g></svg>"), SOURCE_SVG, {0}},
        {SVG, SOURCE_PDF, {0}},
        {PDF, SOURCE_PDF, {.page = 2}},
        {PDF, SOURCE_PDF, {.pages = 3}},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        VipsImage *out;
        struct image_failure f = {0};
        if (source_open(CASES[i].bytes, CASES[i].kind, &CASES[i].how, &out, &f))
            fail_msg("case %zu is opened", i);
        assert_int_equal(f.status, 400);
        assert_string_equal(f.text, "Failed to decode source image");
        assert_null(out);
        must_be_drawn(SVG, SOURCE_SVG);
    }
}

/* --- endless ones --- */

struct endless {
    atomic_bool cancel;
    bool is_drawn;
    char cause[1024];
};

static void *draw_endlessly(void *arg)
{
    struct endless *e = arg;
    const struct source_reading how = {.cancel = &e->cancel};
    VipsImage *image;
    struct image_failure f;
    size_t bytes;
    if (!source_open(ENDLESS, SOURCE_SVG, &how, &image, &f)) {
        (void)snprintf(e->cause, sizeof(e->cause), "%s: %s", f.text, f.cause);
        return NULL;
    }
    void *pixels = vips_image_write_to_memory(image, &bytes);
    e->is_drawn = pixels != NULL;
    g_free(pixels);
    g_object_unref(image);
    (void)image_fail_by_vips(&f, 400, "");
    (void)snprintf(e->cause, sizeof(e->cause), "%s", f.cause);
    vips_thread_shutdown();
    return NULL;
}

/* The thread is back, its process is gone, the next drawing is drawn. */
static void a_drawing_without_end_ends_when_it_is_given_up(void **state)
{
    struct error err;
    drawers_stop();
    size_t files = open_files();
    for (int round = 0; round < 3; round++) {
        struct endless e = {.is_drawn = false};
        struct child left;
        pthread_t thread;
        char name[32];
        drawers_stop();
        assert_true(thread_start(&thread, "endless", draw_endlessly, &e, &err));
        (void)snprintf(name, sizeof(name), "%ld", (long)wait_for_worker());
        atomic_store(&e.cancel, true);
        thread_join(thread);
        assert_false(e.is_drawn);
        if (!strstr(e.cause, "Request Timeout"))
            fail_msg("%s", e.cause);
        assert_false(read_child(name, &left));
        must_be_drawn(PDF, SOURCE_PDF);
    }
    drawers_stop();
    assert_no_children();
    assert_int_equal(open_files(), files);
}

/* As the kernel does when memory is short, and librsvg when it panics. */
static void a_process_that_dies_while_it_draws_fails_one_drawing(void **state)
{
    static const int SIGNALS[] = {SIGKILL, SIGSEGV, SIGABRT};
    struct error err;
    for (size_t i = 0; i < ARRAY_COUNT(SIGNALS); i++) {
        struct endless e = {.is_drawn = false};
        pthread_t thread;
        drawers_stop();
        assert_true(thread_start(&thread, "endless", draw_endlessly, &e, &err));
        pid_t pid = wait_for_worker();
        assert_int_equal(kill(pid, SIGNALS[i]), 0);
        thread_join(thread);
        assert_false(e.is_drawn);
        /* Sanitizers take signals of faults, and end with a status or another signal. */
        const char *expected =
            SIGNALS[i] == SIGKILL ? "was ended by signal 9 (Killed)" : "the process that drew it ";
        if (!strstr(e.cause, expected))
            fail_msg("%s", e.cause);
        must_be_drawn(SVG, SOURCE_SVG);
    }
}

static void a_process_that_died_meanwhile_is_replaced(void **state)
{
    must_be_drawn(SVG, SOURCE_SVG);
    struct child all[CHILDREN_MAX];
    size_t count = children(all);
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(kill(all[i].pid, SIGKILL), 0);
        struct child left = {.state = 'S'};
        char name[32];
        (void)snprintf(name, sizeof(name), "%ld", (long)all[i].pid);
        while (read_child(name, &left) && (left.state != 'Z' || left.threads > 1))
            pause_shortly();
    }
    must_be_drawn(SVG, SOURCE_SVG);
    drawers_stop();
    assert_no_children();
}

/* Stop orders for all processes of a terminal or a service are the server's. */
static void a_process_that_is_told_to_stop_goes_on(void **state)
{
    static const int SIGNALS[] = {SIGINT, SIGTERM, SIGHUP};
    must_be_drawn(SVG, SOURCE_SVG);
    struct child before[CHILDREN_MAX], after[CHILDREN_MAX];
    size_t count = children(before);
    assert_int_equal(count, 1);
    assert_int_equal(getpgid(before[0].pid), before[0].pid);
    for (size_t i = 0; i < ARRAY_COUNT(SIGNALS); i++)
        assert_int_equal(kill(before[0].pid, SIGNALS[i]), 0);
    must_be_drawn(SVG, SOURCE_SVG);
    assert_int_equal(children(after), 1);
    assert_int_equal(after[0].pid, before[0].pid);
}

/* Headers alone take no process for themselves: what is not drawn gives it back. */
static void an_image_that_is_only_opened_keeps_no_process(void **state)
{
    struct child all[CHILDREN_MAX];
    drawers_stop();
    for (int i = 0; i < 5; i++)
        g_object_unref(must_open(i % 2 ? SVG : PDF, i % 2 ? SOURCE_SVG : SOURCE_PDF, &FIRST));
    assert_int_equal(children(all), 1);
}

static void too_many_pixels_are_not_drawn(void **state)
{
    const struct source_reading how = {.scale = 1000};
    VipsImage *image = must_open(SVG, SOURCE_SVG, &how), *part = NULL;
    assert_int_equal(vips_extract_area(image, &part, 0, 0, 10, 10, NULL), 0);
    size_t bytes;
    assert_null(vips_image_write_to_memory(part, &bytes));
    assert_non_null(strstr(vips_error_buffer(), "would be drawn at 40000x30000"));
    vips_error_clear();
    g_object_unref(part);
    g_object_unref(image);
    must_be_drawn(SVG, SOURCE_SVG);
}

/* --- at once --- */

enum { THREADS = 8, ROUNDS = 20 };

static void *draw_many(void *arg)
{
    static const struct {
        struct view svg;
        uint8_t red, green, blue;
    } COLOURS[] = {{VIEW_INIT(SVG_OF("#ff0000")), 255, 0, 0},
                   {VIEW_INIT(SVG_OF("#00ff00")), 0, 255, 0},
                   {VIEW_INIT(SVG_OF("#0000ff")), 0, 0, 255}};
    size_t *wrong = arg;
    for (int i = 0; i < ROUNDS; i++) {
        size_t n = (size_t)i % ARRAY_COUNT(COLOURS), bytes = 0;
        VipsImage *image = NULL;
        struct image_failure f;
        uint8_t *pixels = NULL;
        if (source_open(COLOURS[n].svg, SOURCE_SVG, &FIRST, &image, &f))
            pixels = vips_image_write_to_memory(image, &bytes);
        *wrong += !pixels || pixels[0] != COLOURS[n].red || pixels[1] != COLOURS[n].green ||
                  pixels[2] != COLOURS[n].blue;
        g_free(pixels);
        g_clear_object(&image);
    }
    vips_thread_shutdown();
    return NULL;
}

/* Each thread gets its own drawings, and few processes stay. */
static void drawings_are_drawn_at_once(void **state)
{
    pthread_t threads[THREADS];
    size_t wrong[THREADS] = {0};
    struct child all[CHILDREN_MAX];
    struct error err;
    for (int i = 0; i < THREADS; i++)
        assert_true(thread_start(&threads[i], "draws", draw_many, &wrong[i], &err));
    for (int i = 0; i < THREADS; i++) {
        thread_join(threads[i]);
        assert_int_equal(wrong[i], 0);
    }
    size_t count = children(all);
    assert_in_range(count, 1, thread_cpu_count());
    for (size_t i = 0; i < count; i++)
        assert_int_not_equal(all[i].state, 'Z');
}

/* --- programs that are not what they should be --- */

static char folder[] = "/tmp/drawing_test.XXXXXX";
static char script_path[64], answer_path[64];
/* Says what it has to, and waits until the server hangs up. */
#define ANSWERS "cat {} >&0; cat <&0 >/dev/null"

static void write_file(const char *path, const void *bytes, size_t len)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

/* The next drawer is this script; {} is the file with `answers`. */
static void use_script(const char *script, const void *answers, size_t answers_bytes)
{
    struct buffer text;
    const char *hole = strstr(script, "{}");
    buffer_init(&text, MEM_OTHER, 4096);
    buffer_append_literal(&text, "#!/bin/sh\n");
    if (hole)
        buffer_printf(&text, "%.*s%s%s\n", (int)(hole - script), script, answer_path, hole + 2);
    else
        buffer_printf(&text, "%s\n", script);
    write_file(script_path, text.ptr, text.len);
    write_file(answer_path, answers, answers_bytes);
    assert_int_equal(chmod(script_path, 0700), 0);
    buffer_deinit(&text);
    drawers_stop();
    drawers_start(script_path);
}

static void use_imgforge(void)
{
    drawers_stop();
    drawers_start(IMGFORGE_PROGRAM);
}

static void answers_that_cannot_be_are_refused(void **state)
{
    static const struct {
        const char *script;
        struct drawing_answer answer;
        size_t copies; /* of the answer */
        int status;
        const char *cause;
    } CASES[] = {
        {"exit 3", {0}, 0, 500, "no process to draw with: it ended with status 3"},
        {"kill -9 $$", {0}, 0, 400, "signal 9"},
        {"head -c 100 /dev/zero >&0", {0}, 0, 400, "status 0"},
        {ANSWERS, {.is_ok = 2}, 1, 400, "what cannot be"},
        {ANSWERS, {.is_ok = 0xffffffff}, 1, 400, "what cannot be"},
        {ANSWERS, {.is_ok = 0, .cause = "a\nb"}, 1, 400, "a b"},
        {ANSWERS, {1, 0, 10, 0, 0, 0, 1, 1, ""}, 1, 400, "what cannot be"},
        {ANSWERS, {1, 10, -1, 0, 0, 0, 1, 1, ""}, 1, 400, "what cannot be"},
        {ANSWERS, {1, INT32_MAX, 1, 0, 0, 0, 1, 1, ""}, 1, 400, "what cannot be"},
        {ANSWERS, {1, 9, 9, -1, 0, 0, 1, 1, ""}, 1, 400, "what cannot be"},
        {ANSWERS, {1, 9, 9, 1, 10, 0, 1, 1, ""}, 1, 400, "what cannot be"},
        {ANSWERS, {1, 9, 9, 1, 9, 0, -1, 1, ""}, 1, 400, "what cannot be"},
        {ANSWERS, {1, 9, 9, 1, 9, 0, 1, (double)INFINITY, ""}, 1, 400, "what cannot be"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        VipsImage *out;
        struct image_failure f = {0};
        use_script(CASES[i].script, &CASES[i].answer, CASES[i].copies * sizeof(CASES[i].answer));
        assert_false(source_open(SVG, SOURCE_SVG, &FIRST, &out, &f));
        assert_int_equal(f.status, CASES[i].status);
        if (!strstr(f.cause, CASES[i].cause))
            fail_msg("case %zu: %s", i, f.cause);
    }
    use_imgforge();
    assert_no_children();
}

/* The header is as it should be, and then something else comes, or nothing. */
static void pixels_that_do_not_come_are_no_picture(void **state)
{
    static const struct drawing_answer GOOD = {1, 20, 10, 0, 0, 0, 1, 1, ""};
    struct {
        struct drawing_answer header, second;
        uint8_t pixels[20 * 10 * DRAWING_BANDS];
    } answers = {.header = GOOD};
    char script[256]; /* ends when it has read both orders */
    (void)snprintf(script, sizeof(script), "cat {} >&0; head -c %zu <&0 >/dev/null",
                   sizeof(struct drawing_order) * 2 + SVG.len);
    memset(answers.pixels, 7, sizeof(answers.pixels));
    struct {
        struct drawing_answer second;
        size_t bytes;
        bool is_drawn;
    } cases[] = {
        {GOOD, sizeof(answers), true},
        {GOOD, sizeof(answers) - 1, false},
        {GOOD, sizeof(GOOD) * 2, false},
        {GOOD, sizeof(GOOD) + 9, false},
        {{1, 20, 11, 0, 0, 0, 1, 1, ""}, sizeof(answers), false},
        {{1, 1 << 30, 1 << 30, 0, 0, 0, 1, 1, ""}, sizeof(answers), false},
        {{.is_ok = 0}, sizeof(answers), false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        size_t bytes;
        answers.second = cases[i].second;
        use_script(script, &answers, cases[i].bytes);
        VipsImage *image = must_open(SVG, SOURCE_SVG, &FIRST);
        uint8_t *pixels = vips_image_write_to_memory(image, &bytes);
        if ((pixels != NULL) != cases[i].is_drawn)
            fail_msg("case %zu: %s", i, pixels ? "drawn" : vips_error_buffer());
        if (pixels)
            assert_memory_equal(pixels, answers.pixels, sizeof(answers.pixels));
        g_free(pixels);
        g_object_unref(image);
        vips_error_clear();
    }
    use_imgforge();
    assert_no_memory_kept("drawings that failed");
}

static void one_that_says_more_than_it_was_asked_is_not_used_again(void **state)
{
    static const struct drawing_answer TWO[2] = {{.is_ok = 0, .cause = "no"}, {.is_ok = 1}};
    for (int i = 0; i < 2; i++) {
        VipsImage *out;
        struct image_failure f = {0};
        if (i == 0)
            use_script(ANSWERS, TWO, sizeof(TWO));
        assert_false(source_open(SVG, SOURCE_SVG, &FIRST, &out, &f));
        assert_string_equal(f.cause, "no"); /* of a new one's first answer */
    }
    use_imgforge();
}

static void one_that_hangs_is_given_up(void **state)
{
    static atomic_bool cancelled = true;
    const struct source_reading how = {.cancel = &cancelled};
    VipsImage *out;
    struct image_failure f = {0};
    use_script("exec sleep 1000", "", 0);
    assert_false(source_open(SVG, SOURCE_SVG, &how, &out, &f));
    assert_int_equal(f.status, 408);
    assert_string_equal(f.text, "Request Timeout");
    use_imgforge();
    assert_no_children();
}

/* Answers, and leaves unread more than the socket waits for (a quarter of its buffer), or as much as it holds. Nobody waits for it when the image is closed, nor
 * when it is refused, and it is not asked again. */
static void one_that_does_not_read_is_not_waited_for(void **state)
{
    static const struct drawing_answer SMALL = {1, 20, 10, 0, 0, 0, 1, 1, ""},
                                       LARGE = {1, 9000, 9000, 0, 0, 0, 1, 1, ""};
    static const size_t SIZES[] = {80 * 1024, 150 * 1024, 200 * 1024};
    const struct drawing_answer *answers[] = {&SMALL, &LARGE};
    (void)alarm(120); /* else it waits for ever */
    for (size_t i = 0; i < ARRAY_COUNT(SIZES) * 2; i++) {
        char *bytes = g_strnfill(SIZES[i / 2], ' ');
        use_script("cat {} >&0; exec sleep 1000", answers[i % 2], sizeof(SMALL));
        for (int round = 0; round < 2; round++) {
            VipsImage *image = must_open((struct view){bytes, SIZES[i / 2]}, SOURCE_SVG, &FIRST);
            if (i % 2)
                assert_int_equal(vips_image_write_to_memory(image, &(size_t){0}) != NULL, 0);
            vips_error_clear();
            g_object_unref(image);
        }
        g_free(bytes);
    }
    (void)alarm(0);
    use_imgforge();
    assert_no_children();
}

/* It was well until it had this one to open: somebody else's doing. A new one opens it; when that dies, too, it is the picture's. */
static void one_that_was_used_and_dies_is_replaced_once(void **state)
{
    static const struct drawing_answer NO = {.is_ok = 0, .cause = "no"};
    char script[256];
    /* Answers the first drawing, reads the order of the second, and is killed. */
    (void)snprintf(script, sizeof(script),
                   "head -c %zu <&0 >/dev/null; cat {} >&0; head -c 1 <&0 >/dev/null; kill -9 $$",
                   sizeof(struct drawing_order) + SVG.len);
    use_script(script, &NO, sizeof(NO));
    for (int i = 0; i < 3; i++) {
        VipsImage *out;
        struct image_failure f = {0};
        assert_false(source_open(SVG, SOURCE_SVG, &FIRST, &out, &f));
        assert_string_equal(f.cause, "no"); /* of the new one's first answer */
        assert_false(f.is_drawers);
    }
    use_script("kill -9 $$", "", 0);
    VipsImage *out;
    struct image_failure f = {0};
    assert_false(source_open(SVG, SOURCE_SVG, &FIRST, &out, &f));
    assert_int_equal(f.status, 400);
    assert_true(f.is_drawers);
    use_imgforge();
}

/* As a parent may have left it: it survives exec. */
static void children_are_waited_for_where_their_end_was_ignored(void **state)
{
    VipsImage *out;
    struct image_failure f = {0};
    assert_true(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
    use_script("kill -9 $$", "", 0);
    assert_false(source_open(SVG, SOURCE_SVG, &FIRST, &out, &f));
    assert_non_null(strstr(f.cause, "signal 9"));
    use_imgforge();
    must_be_drawn(SVG, SOURCE_SVG);
}

static void a_program_that_is_not_there_is_our_fault(void **state)
{
    VipsImage *out;
    struct image_failure f = {0};
    drawers_stop();
    drawers_start("/nonexistent/imgforge");
    size_t files = open_files();
    assert_false(source_open(SVG, SOURCE_SVG, &FIRST, &out, &f));
    assert_int_equal(f.status, 500);
    assert_string_equal(f.cause, "no process to draw with: No such file or directory");
    assert_int_equal(open_files(), files);
    use_imgforge();
    must_be_drawn(SVG, SOURCE_SVG);
}

static int start(void **state)
{
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(script_path, sizeof(script_path), "%s/program", folder);
    (void)snprintf(answer_path, sizeof(answer_path), "%s/answers", folder);
    return fixtures_start(state);
}

static int stop(void **state)
{
    int status = fixtures_stop(state);
    (void)unlink(script_path); /* where tests got so far */
    (void)unlink(answer_path);
    (void)rmdir(folder);
    return status;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drawings_are_what_libvips_draws),
        cmocka_unit_test(what_is_no_drawing_is_refused),
        cmocka_unit_test(a_drawing_without_end_ends_when_it_is_given_up),
        cmocka_unit_test(a_process_that_dies_while_it_draws_fails_one_drawing),
        cmocka_unit_test(a_process_that_died_meanwhile_is_replaced),
        cmocka_unit_test(a_process_that_is_told_to_stop_goes_on),
        cmocka_unit_test(an_image_that_is_only_opened_keeps_no_process),
        cmocka_unit_test(too_many_pixels_are_not_drawn),
        cmocka_unit_test(drawings_are_drawn_at_once),
        cmocka_unit_test(answers_that_cannot_be_are_refused),
        cmocka_unit_test(pixels_that_do_not_come_are_no_picture),
        cmocka_unit_test(one_that_says_more_than_it_was_asked_is_not_used_again),
        cmocka_unit_test(one_that_hangs_is_given_up),
        cmocka_unit_test(one_that_does_not_read_is_not_waited_for),
        cmocka_unit_test(one_that_was_used_and_dies_is_replaced_once),
        cmocka_unit_test(children_are_waited_for_where_their_end_was_ignored),
        cmocka_unit_test(a_program_that_is_not_there_is_our_fault),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
