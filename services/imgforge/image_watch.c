/* SPDX-License-Identifier: Apache-2.0 */
/* image_watch.c: see image_watch.h. */
#include "image_watch.h"

bool image_watch_is_cancelled(struct image_watch *w)
{
    if (w->cancel && atomic_load_explicit(w->cancel, memory_order_relaxed))
        atomic_store_explicit(&w->cancelled, true, memory_order_relaxed);
    return atomic_load_explicit(&w->cancelled, memory_order_relaxed);
}

bool image_watch_saw_failure(struct image_watch *w)
{
    return image_watch_is_cancelled(w) ||
           atomic_load_explicit(&w->read_failed, memory_order_relaxed);
}

static int fail(VipsRegion *out, struct image_watch *w)
{
    if (!w->hides_failures)
        return -1;
    vips_region_black(out);
    return 0;
}

static int pass(VipsRegion *out, struct image_watch *w, VipsRegion *in, bool is_source)
{
    if (image_watch_saw_failure(w)) {
        vips_error("imgforge", "given up");
        return fail(out, w);
    }
    if (vips_region_prepare(in, &out->valid) == 0)
        return vips_region_region(out, in, &out->valid, out->valid.left, out->valid.top);
    if (is_source)
        atomic_store_explicit(&w->source_failed, true, memory_order_relaxed);
    atomic_store_explicit(&w->read_failed, true, memory_order_relaxed);
    return fail(out, w);
}

/* Both are called by libvips' threads. */
static int pass_source(VipsRegion *out, void *seq, void *in, void *watch, gboolean *stop)
{
    return pass(out, watch, seq, true);
}

static int pass_any(VipsRegion *out, void *seq, void *in, void *watch, gboolean *stop)
{
    return pass(out, watch, seq, false);
}

VipsImage *image_watch_pixels(VipsImage *in, struct image_watch *w, bool is_source)
{
    if (!in)
        return NULL;
    VipsImage *out = vips_image_new();
    vips_object_local(out, in);
    if (vips_image_pipelinev(out, VIPS_DEMAND_STYLE_ANY, in, NULL) ||
        vips_image_generate(out, vips_start_one, is_source ? pass_source : pass_any, vips_stop_one,
                            in, w)) {
        g_object_unref(out);
        return NULL;
    }
    return out;
}

bool image_watch_explain(struct image_watch *w, struct image_failure *f)
{
    char cause[IMAGE_FAILURE_CAUSE_BYTES];
    snprintf(cause, sizeof(cause), "%s", f->cause);
    if (image_watch_is_cancelled(w))
        return image_fail(f, 408, "Request Timeout");
    if (!atomic_load_explicit(&w->source_failed, memory_order_relaxed))
        return false;
    image_fail(f, 400, "Failed to decode source image");
    return image_fail_cause(f, "%s", cause);
}

bool image_fail_decode(struct image_failure *f)
{
    return image_fail_by_vips(f, 400, "Failed to decode source image");
}

bool image_fail_operation(struct image_failure *f)
{
    return image_fail_by_vips(f, 500, "Image operation failed");
}
