/* SPDX-License-Identifier: Apache-2.0 */
/* image_work.c: see image_work.h. */
#include "image_work.h"

#include "base/assert.h"
#include "base/json_write.h"
#include "base/machine.h"
#include "base/mem.h"
#include "base/pool.h"

#include <string.h>

enum {
    /* Each a thread that mostly waits (measured: 9 KiB of memory until it is used). */
    JOBS_PER_WORKER = 64,
    JOBS_MIN = 128,
    JOBS_MAX = 1000,
    /* Enough for workers that are busy a tenth of the time that an origin takes. */
    SOURCES_PER_WORKER = 16,
    SOURCES_MIN = 32,
    SOURCES_MAX = 256,
    RESULT_BYTES_MAX = 256 << 20,
    JSON_BYTES_MAX = 4096
};

struct image_work {
    struct image_work_options o; /* constant, like all here */
    struct operations operations;
    struct flights *flights;
    struct permits *jobs, *sources;
    struct pool *pool;
};

/* One flight's; owned by the thread that has it. */
struct job {
    struct image_work *work;
    struct flight *flight;
    const atomic_bool *cancel; /* the flight's */
    belfry_request *who;
    mono_time asked;
    int64_t queued_ns;
    enum cache_key_kind kind;
    struct image_key key;
    uint64_t origin;
    struct image_options options; /* watermark_url is in `texts`; other texts are nobody's */
    const char *source;
    char texts[];
};

static unsigned clamp(unsigned n, unsigned min, unsigned max)
{
    return n < min ? min : n > max ? max : n;
}

bool image_work_start(struct image_work **out, const struct image_work_options *opts,
                      struct error *err)
{
    struct image_work *work = mem_alloc_zero(MEM_OTHER, 1, sizeof(*work));
    unsigned workers = opts->settings->workers;
    unsigned jobs = clamp(workers * JOBS_PER_WORKER, JOBS_MIN, JOBS_MAX);
    work->o = *opts;
    operations_init(&work->operations, workers, machine_memory_bytes() / 2, opts->metrics);
    work->jobs = permits_new(jobs, true);
    work->sources =
        permits_new(clamp(workers * SOURCES_PER_WORKER, SOURCES_MIN, SOURCES_MAX), true);
    *out = work;
    if (flights_start(&work->flights, err) &&
        pool_start(&work->pool, jobs + 1, jobs, err)) /* one for the check */
        return true;
    image_work_stop(work);
    *out = NULL;
    return false;
}

void image_work_stop(struct image_work *work)
{
    if (!work)
        return;
    pool_stop(work->pool);
    flights_stop(work->flights);
    permits_free(work->sources);
    permits_free(work->jobs);
    operations_deinit(&work->operations);
    mem_free(MEM_OTHER, work);
}

struct pool *image_work_pool(struct image_work *work)
{
    return work->pool;
}

/* --- a picture --- */

static bool is_timed_out(struct image_failure *f)
{
    return image_fail(f, 408, "Request Timeout");
}

static bool is_drawing(struct view bytes)
{
    return source_kind_is_drawing(source_kind_sniff(bytes));
}

/* The operator's own is trusted to end. */
static bool has_drawn_mark(const struct job *job, struct view mark)
{
    return job->options.watermark_url.len && is_drawing(mark);
}

/* Only headers are looked at: whether a picture that strangers chose may be decoded at all. */
static bool check_watermark(struct job *job, struct view bytes, struct image_failure *f)
{
    static const struct pipeline_policy ANY = {0};
    struct operation op;
    struct image_options options = job->options;
    struct pipeline_request rq = {.source = bytes, .options = &options, .cancel = job->cancel};
    options.page = 0; /* is of the picture */
    if (!operation_begin(&job->work->operations, OPERATION_WATERMARK, has_drawn_mark(job, bytes),
                         job->queued_ns, job->cancel, &op))
        return is_timed_out(f);
    struct image_failure why;
    bool ok = pipeline_check_source(&ANY, &rq, &why);
    (void)operation_end(&job->work->operations, &op); /* nobody asks how long */
    if (ok)
        return true;
    if (why.status != 400) { /* it is not the picture */
        *f = why;
        return false;
    }
    image_fail(f, 400, "%s",
               job->options.watermark_url.len ? "Failed to fetch watermark image"
                                              : "Failed to read watermark image from path");
    return image_fail_cause(f, "%s%s%s", why.text, why.cause[0] ? ": " : "", why.cause);
}

static bool get_watermark(struct job *job, struct watermark **out, struct image_failure *f)
{
    const struct image_work_options *o = &job->work->o;
    *out = NULL;
    if (!job->options.has_watermark)
        return true;
    /* As fetch(): IMGFORGE_TIMEOUT is each waiter's own. */
    switch (watermarks_get(o->watermarks, job->options.watermark_url,
                           o->settings->in.download_timeout_ms, job->cancel, out, f)) {
    case WATERMARK_FOUND:
        return check_watermark(job, watermark_bytes(*out), f);
    case WATERMARK_NONE:
        return true;
    case WATERMARK_REFUSED:
        f->is_violation = true;
        return false;
    case WATERMARK_FAILED:
        return false;
    }
    UNREACHABLE();
}

/* Of a picture that is given as it is the source's own. */
static const char *type_of(const struct pipeline_result *result, struct view source)
{
    return result->format == IMAGE_FORMAT_NONE ? source_kind_type(source_kind_sniff(source))
                                               : image_format_type(result->format);
}

static struct cached_image *image_of(const struct job *job, const struct source *source,
                                     const struct pipeline_result *result, struct image_failure *f)
{
    struct cached_image *image =
        cached_image_new(&job->key, buffer_view(&result->bytes),
                         view_from(type_of(result, buffer_view(&source->bytes))),
                         buffer_view(&source->cache_control), source->modified_s);
    if (image)
        image->facts = (struct image_facts){
            .source_bytes = source->bytes.len,
            .source_width = result->source.width,
            .source_height = result->source.height,
            .result_width = result->result.width,
            .result_height = result->result.height,
        };
    else
        image_fail(f, 500, "Image operation failed");
    return image;
}

/* What admit() is told with. */
struct weighing {
    const struct job *job;
    struct operation *op;
};

static bool weigh(void *arg, uint64_t bytes, struct image_failure *f)
{
    const struct weighing *w = arg;
    return operation_weigh(&w->job->work->operations, w->op, bytes, w->job->cancel, f);
}

static bool process(struct job *job, struct pipeline_request *rq, struct pipeline_result *result,
                    struct image_failure *f)
{
    const struct image_work_options *o = &job->work->o;
    const struct pipeline_policy *policy = &o->settings->pipeline;
    struct operation op;
    if (pipeline_output_format(policy, rq->options, source_kind_sniff(rq->source)) ==
            IMAGE_FORMAT_NONE &&
        !is_drawing(rq->source))                        /* a look at its header takes a process */
        return pipeline_process(policy, rq, result, f); /* bytes only: takes no permit */
    if (!operation_begin(&job->work->operations, OPERATION_PROCESS,
                         is_drawing(rq->source) || has_drawn_mark(job, rq->watermark),
                         job->queued_ns, job->cancel, &op))
        return is_timed_out(f);
    struct weighing weighing = {job, &op};
    rq->admit = weigh;
    rq->admit_arg = &weighing;
    bool ok = pipeline_process(policy, rq, result, f);
    double seconds = operation_end(&job->work->operations, &op);
    if (ok && result->format != IMAGE_FORMAT_NONE)
        metrics_processed(o->metrics, result->format, seconds);
    if (ok && result->trim_was_ignored)
        belfry_log_warn(o->log, "option_ignored", BELFRY_STR("option", "trim"),
                        BELFRY_STR("detail", "the source is an animation"));
    return ok;
}

static struct cached_image *make_picture(struct job *job, const struct source *source,
                                         struct image_failure *f)
{
    struct watermark *mark;
    struct cached_image *image = NULL;
    struct pipeline_result result = {0};
    buffer_init(&result.bytes, MEM_OTHER, RESULT_BYTES_MAX);
    if (get_watermark(job, &mark, f)) {
        struct pipeline_request rq = {
            .source = buffer_view(&source->bytes),
            .declared_type = buffer_view(&source->content_type),
            .options = &job->options,
            .watermark = mark ? watermark_bytes(mark) : (struct view){NULL, 0},
            .cancel = job->cancel,
        };
        if (process(job, &rq, &result, f))
            image = image_of(job, source, &result, f);
    }
    watermark_unref(mark);
    buffer_deinit(&result.bytes);
    return image;
}

/* --- what a picture is --- */

static struct view bare_type(struct view type)
{
    size_t len = 0;
    while (len < type.len && !strchr("; \t", type.ptr[len]))
        len++;
    return view_slice(type, 0, len);
}

static void write_information(const struct image_information *info, const struct source *source,
                              struct buffer *out)
{
    struct view type = buffer_view(&source->content_type);
    enum source_kind declared = source_kind_from_type(bare_type(type));
    bool is_known = info->kind != SOURCE_UNKNOWN;
    buffer_printf(out, "{\"width\":%lld,\"height\":%lld,\"format\":\"%s\",\"content_type\":",
                  (long long)info->width, (long long)info->height,
                  source_kind_name(is_known && declared != SOURCE_UNKNOWN ? declared : info->kind));
    if (type.len)
        json_string(out, type);
    else
        buffer_append_literal(out, "null");
    buffer_printf(out, ",\"size_bytes\":%zu,\"channels\":%d,\"has_alpha\":%s,\"orientation\":",
                  source->bytes.len, info->channels, info->has_alpha ? "true" : "false");
    if (info->orientation)
        buffer_printf(out, "%d", info->orientation);
    else
        buffer_append_literal(out, "null");
    buffer_printf(out, ",\"pages\":%d}\n", info->pages);
}

/* *is_known false: it is answered, and not kept. */
static struct cached_image *read_information(struct job *job, const struct source *source,
                                             bool *is_known, struct image_failure *f)
{
    const struct pipeline_policy *policy = &job->work->o.settings->pipeline;
    struct image_information info;
    struct operation op;
    struct buffer json;
    struct pipeline_request rq = {.source = buffer_view(&source->bytes),
                                  .declared_type = buffer_view(&source->content_type),
                                  .options = &job->options,
                                  .cancel = job->cancel};
    if (!operation_begin(&job->work->operations, OPERATION_INFO, is_drawing(rq.source),
                         job->queued_ns, job->cancel, &op)) {
        is_timed_out(f);
        return NULL;
    }
    *is_known = pipeline_information(rq.source, rq.cancel, &info, f);
    bool is_decided = *is_known || (f->status == 400 && !f->is_drawers);
    /* What is no picture is told so, unless the guards are asked to keep such things out. */
    bool ok = is_decided &&
              ((!*is_known && !policy->allowed_types) || pipeline_check_source(policy, &rq, f));
    (void)operation_end(&job->work->operations, &op); /* nobody asks how long */
    if (!ok)
        return NULL;
    buffer_init(&json, MEM_OTHER, JSON_BYTES_MAX);
    write_information(&info, source, &json);
    struct cached_image *out =
        json.failed ? NULL
                    : cached_image_new(&job->key, buffer_view(&json), VIEW("application/json"),
                                       buffer_view(&source->cache_control), source->modified_s);
    buffer_deinit(&json);
    if (!out)
        image_fail(f, 500, "Image operation failed");
    return out;
}

/* --- the job --- */

static bool fetch(struct job *job, struct source *source, struct image_failure *f)
{
    const struct image_work_options *o = &job->work->o;
    mono_time began = clock_mono();
    /* IMGFORGE_TIMEOUT is each waiter's own: who came late still has time when the first has none. */
    enum source_outcome outcome =
        source_fetch(o->sources, job->source, job->options.limits.source_bytes,
                     o->settings->in.download_timeout_ms, job->cancel, source, f);
    metrics_source(o->metrics, outcome, (double)(clock_mono().ns - began.ns) / 1e9);
    if (outcome == SOURCE_REFUSED)
        f->is_violation = true;
    return outcome == SOURCE_FETCHED;
}

static struct image_cache *cache_of(const struct job *job)
{
    return job->kind == CACHE_KEY_IMAGE ? job->work->o.images : job->work->o.information;
}

static void keep(struct job *job, struct cached_image *image)
{
    struct error err = {0};
    if (!image_cache_put(cache_of(job), &job->key, image, &err) && err.kind != ERROR_UNAVAILABLE)
        belfry_log_warn(job->work->o.log, "cache_write_failed", BELFRY_STR("detail", err.message));
}

/* NULL: *f says why. *is_known false: it is there already, or nothing to keep. */
static struct cached_image *do_work(struct job *job, bool *is_known, struct image_failure *f)
{
    struct image_work *work = job->work;
    bool is_image = job->kind == CACHE_KEY_IMAGE;
    /* It may have landed between the look into memory and the flight's begin. */
    struct cached_image *image = image_cache_get_now(cache_of(job), &job->key);
    struct source source;
    *is_known = !image;
    if (image)
        return image;
    if (!permits_wait(work->sources, job->origin, job->cancel)) {
        is_timed_out(f);
        return NULL;
    }
    source_init(&source, job->origin);
    if (fetch(job, &source, f))
        image =
            is_image ? make_picture(job, &source, f) : read_information(job, &source, is_known, f);
    source_deinit(&source);
    permits_give(work->sources, job->origin);
    return image;
}

static void job_free(struct job *job)
{
    belfry_request_end(job->who);
    mem_free(MEM_OTHER, job);
}

static void run_job(void *arg)
{
    struct job *job = arg;
    struct image_work *work = job->work;
    struct image_failure f = {.status = 500};
    belfry_scope scope;
    job->queued_ns = clock_mono().ns - job->asked.ns;
    belfry_request_enter(job->who, &scope);
    bool is_known;
    struct cached_image *image = do_work(job, &is_known, &f);
    bool is_kept = image && is_known;
    /* A server may be slow: they who wait have their answer before, and who asks meanwhile is given it by the flight. */
    bool is_later = image_cache_is_remote(cache_of(job));
    if (is_kept && !is_later)
        keep(job, image);
    /* Before they are told: who is answered and comes again finds a place. */
    permits_give(work->jobs, job->origin);
    if (is_kept && is_later) {
        flight_show(work->flights, job->flight, image);
        keep(job, image);
    }
    flight_land(work->flights, job->flight, image, &f);
    belfry_scope_leave(&scope);
    cached_image_unref(image);
    job_free(job);
}

static struct job *job_new(struct image_work *work, const struct image_request *rq,
                           belfry_request *who)
{
    struct view mark = rq->options.watermark_url;
    struct job *job = mem_alloc_zero(MEM_OTHER, 1, sizeof(*job) + mark.len + rq->source.len + 1);
    job->work = work;
    job->who = who;
    job->kind = rq->kind;
    job->key = rq->key;
    job->origin = rq->origin;
    job->options = rq->options;
    job->options.cachebuster = job->options.filename = (struct view){NULL, 0};
    if (mark.len)
        memcpy(job->texts, mark.ptr, mark.len);
    job->options.watermark_url = (struct view){job->texts, mark.len};
    memcpy(job->texts + mark.len, rq->source.ptr, rq->source.len);
    job->source = job->texts + mark.len;
    return job;
}

static void give_up(struct job *job, const struct image_failure *f)
{
    flight_land(job->work->flights, job->flight, NULL, f);
    job_free(job);
}

static void have_made(struct job *job)
{
    struct image_work *work = job->work;
    struct image_failure f;
    struct error err;
    bool has_place = permits_try(work->jobs, job->origin);
    job->asked = clock_mono();
    if (has_place && pool_submit(work->pool, POOL_QUERY, run_job, job, &err))
        return;
    if (has_place)
        permits_give(work->jobs, job->origin);
    image_fail(&f, 429, "Too Many Requests");
    image_fail_cause(&f, "too many pictures of this origin, or of all, are being made");
    give_up(job, &f);
}

/* Within the flight: who waits for a disk that hangs can leave, and those who ask for the same look once. */
static void look_up(void *arg)
{
    struct job *job = arg;
    struct image_failure f;
    if (atomic_load_explicit(job->cancel, memory_order_relaxed)) {
        is_timed_out(&f);
        give_up(job, &f); /* nobody waits */
        return;
    }
    struct cached_image *image = image_cache_get(cache_of(job), &job->key);
    if (!image) {
        have_made(job);
        return;
    }
    flight_land_found(job->work->flights, job->flight, image);
    cached_image_unref(image);
    job_free(job);
}

void image_work_ask(struct image_work *work, const struct image_request *rq,
                    struct flight_waiter *w, belfry_request *who)
{
    struct job *job = job_new(work, rq, who);
    struct image_failure f;
    struct error err;
    flights_join(work->flights, &job->key, w, &job->flight);
    /* From here on w, and what it is a part of, may be gone. */
    if (job->flight == NULL) {
        job_free(job);
        return;
    }
    job->cancel = flight_cancel(job->flight);
    if (!work->o.lookups) {
        have_made(job);
    } else if (!pool_submit(work->o.lookups, POOL_QUERY, look_up, job, &err)) {
        image_fail(&f, 429, "Too Many Requests");
        image_fail_cause(&f, "the cache is not fast enough: %s", err.message);
        give_up(job, &f);
    }
}

void image_work_leave(struct image_work *work, struct flight_waiter *w)
{
    if (!flights_leave(work->flights, w))
        return;
    permits_wake(work->sources);
    operations_wake(&work->operations);
}
