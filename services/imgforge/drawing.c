/* SPDX-License-Identifier: Apache-2.0 */
/* drawing.c: see drawing.h. The server's side of drawing_order.h. */
#include "drawing.h"

#include "base/mem.h"
#include "base/thread.h"
#include "drawers.h"
#include "drawing_order.h"
#include "image_watch.h"

#include <math.h>
#include <string.h>

/* Lives as long as its image. */
struct drawing {
    const atomic_bool *cancel; /* constant, like these */
    int width, height;

    pthread_mutex_t mutex;
    struct drawer *drawer; /* has it open; NULL: it was drawn or failed */
    uint8_t *pixels;       /* libvips' memory; NULL: not drawn */
};

/* --- what a drawer is told and says --- */

static bool is_possible(const struct drawing_answer *a)
{
    return a->width >= 1 && a->width <= VIPS_MAX_COORD && a->height >= 1 &&
           a->height <= VIPS_MAX_COORD && a->pages >= 0 && a->page_height >= 0 &&
           a->page_height <= a->height && isfinite(a->x_res) && isfinite(a->y_res) &&
           a->x_res >= 0 && a->y_res >= 0;
}

static bool fail_by_nonsense(struct drawer *d, struct image_failure *f)
{
    drawers_kill(d);
    image_fail(f, 400, "Failed to decode source image");
    f->is_drawers = true;
    return image_fail_cause(f, "the process that drew it answered what cannot be");
}

/* False: `d` is not the caller's any more. */
static bool ask(struct drawer *d, const struct drawing_order *order, struct view bytes,
                struct drawing_answer *a, const atomic_bool *cancel, struct image_failure *f)
{
    if (!drawer_send(d, order, sizeof(*order), cancel, f) ||
        !drawer_send(d, bytes.ptr, bytes.len, cancel, f) ||
        !drawer_receive(d, a, sizeof(*a), cancel, f))
        return false;
    if (a->is_ok == 1)
        return is_possible(a) || fail_by_nonsense(d, f);
    if (a->is_ok != 0)
        return fail_by_nonsense(d, f);
    drawers_release(d);
    a->cause[sizeof(a->cause) - 1] = '\0';
    image_fail(f, 400, "Failed to decode source image");
    return image_fail_cause(f, "%s", a->cause);
}

/* --- pixels --- */

static void forget(struct drawer *d)
{
    static const struct drawing_order CLOSE = {.step = DRAWING_CLOSE};
    drawers_release_with(d, &CLOSE, sizeof(CLOSE));
}

/* Takes d->drawer. */
static bool draw_locked(struct drawing *d, struct image_failure *f)
{
    static const struct drawing_order DRAW = {.step = DRAWING_DRAW};
    struct drawer *drawer = d->drawer;
    struct drawing_answer answer;
    size_t bytes = (size_t)d->width * (size_t)d->height * DRAWING_BANDS;
    d->drawer = NULL;
    if ((int64_t)d->width * d->height > DRAWN_PIXELS_MAX) {
        forget(drawer);
        image_fail(f, 400, "Source image resolution is too large");
        return image_fail_cause(f, "would be drawn at %dx%d", d->width, d->height);
    }
    if (!ask(drawer, &DRAW, (struct view){NULL, 0}, &answer, d->cancel, f))
        return false;
    if (answer.width != d->width || answer.height != d->height)
        return fail_by_nonsense(drawer, f);
    uint8_t *pixels = vips_tracked_malloc(bytes);
    if (!pixels) {
        drawers_kill(drawer);
        return image_fail(f, 500, "Image operation failed");
    }
    if (!drawer_receive(drawer, pixels, bytes, d->cancel, f)) {
        vips_tracked_free(pixels);
        return false;
    }
    drawers_release(drawer);
    d->pixels = pixels;
    return true;
}

/* NULL: libvips' error is set. */
static const uint8_t *pixels_of(struct drawing *d)
{
    struct image_failure f = {.cause = "it could not be drawn before"};
    mutex_lock(&d->mutex);
    if (!d->pixels && (!d->drawer || !draw_locked(d, &f)))
        vips_error("imgforge", "%s", f.cause[0] ? f.cause : f.text);
    const uint8_t *pixels = d->pixels;
    mutex_unlock(&d->mutex);
    return pixels;
}

/* Called by libvips' threads. */
static int copy_region(VipsRegion *out, void *seq, void *drawing, void *b, gboolean *stop)
{
    struct drawing *d = drawing;
    const uint8_t *pixels = pixels_of(d);
    const VipsRect *r = &out->valid;
    if (!pixels)
        return -1;
    for (int y = r->top; y < r->top + r->height; y++)
        memcpy(VIPS_REGION_ADDR(out, r->left, y),
               pixels + ((size_t)y * (size_t)d->width + (size_t)r->left) * DRAWING_BANDS,
               (size_t)r->width * DRAWING_BANDS);
    return 0;
}

/* --- the image --- */

static void on_close(VipsImage *image, void *drawing)
{
    struct drawing *d = drawing;
    if (d->drawer)
        forget(d->drawer);
    if (d->pixels)
        vips_tracked_free(d->pixels);
    mutex_deinit(&d->mutex);
    mem_free(MEM_OTHER, d);
}

/* Takes `drawer`. */
static VipsImage *image_of(struct drawer *drawer, const struct drawing_answer *a,
                           const atomic_bool *cancel)
{
    struct drawing *d = mem_alloc_zero(MEM_OTHER, 1, sizeof(*d));
    VipsImage *image = vips_image_new();
    d->cancel = cancel;
    d->width = a->width;
    d->height = a->height;
    d->drawer = drawer;
    mutex_init(&d->mutex);
    g_signal_connect(image, "postclose", G_CALLBACK(on_close), d);
    vips_image_init_fields(image, a->width, a->height, DRAWING_BANDS, VIPS_FORMAT_UCHAR,
                           VIPS_CODING_NONE, VIPS_INTERPRETATION_sRGB, a->x_res, a->y_res);
    if (a->pages)
        vips_image_set_int(image, VIPS_META_N_PAGES, a->pages);
    if (a->page_height)
        vips_image_set_int(image, VIPS_META_PAGE_HEIGHT, a->page_height);
    if (vips_image_pipelinev(image, VIPS_DEMAND_STYLE_ANY, NULL) ||
        vips_image_generate(image, NULL, copy_region, NULL, d, NULL))
        g_clear_object(&image);
    return image;
}

/* *is_used: the drawer was, and failed or not. */
static bool open_with(bool is_new, const struct drawing_order *order, struct view bytes,
                      const atomic_bool *cancel, struct drawer **drawer,
                      struct drawing_answer *answer, bool *is_used, struct image_failure *f)
{
    if (!drawers_acquire(drawer, is_new, f))
        return false;
    *is_used = drawer_was_used(*drawer);
    return ask(*drawer, order, bytes, answer, cancel, f);
}

bool drawing_open(struct view bytes, enum source_kind kind, const struct source_reading *how,
                  VipsImage **out, struct image_failure *f)
{
    const struct drawing_order order = {
        .step = DRAWING_OPEN,
        .kind = (uint32_t)kind,
        .page = how->page,
        .pages = how->pages,
        .scale = how->scale,
        .source_bytes = bytes.len,
    };
    struct drawer *drawer;
    struct drawing_answer answer;
    bool is_used = false;
    *out = NULL;
    bool ok = open_with(false, &order, bytes, how->cancel, &drawer, &answer, &is_used, f);
    if (!ok && f->is_drawers && is_used) /* what came before may have harmed it: one more, new */
        ok = open_with(true, &order, bytes, how->cancel, &drawer, &answer, &is_used, f);
    if (!ok)
        return false;
    *out = image_of(drawer, &answer, how->cancel);
    return *out || image_fail_decode(f);
}
