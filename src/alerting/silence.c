/* SPDX-License-Identifier: Apache-2.0 */
/* silence.c: one silence: what may be asked for, what a change does to the one before, and its bytes:
 *
 *   body     := version u8 | starts ends updated, each svarint | created_by | comment | count varint, matcher ... |
 *               annotations | recurrence
 *   matcher  := type u8 | name | value      texts: varint length, bytes      annotations: state_put_labels()
 *   recurrence := kind u8, and unless that is RECURRENCE_NONE: text | timezone | duration anchor, each svarint */
#include "alerting/alert_state_private.h"

#include "base/checksum.h"
#include "base/random.h"
#include "base/utf8.h"
#include "model/labels.h"

#include <inttypes.h>
#include <stdio.h>

enum { VERSION = 1 };
#define LONG_NS (365 * 24 * 3600 * NS_PER_SECOND)

const char *silence_state_name(enum silence_state state)
{
    static const char *const NAMES[] = {"pending", "active", "expired"};
    return NAMES[state];
}

/* --- bytes --- */

void silence_encode(struct buffer *out, const struct kept_silence *k)
{
    buffer_append_u8(out, VERSION);
    buffer_append_svarint(out, k->starts_ns);
    buffer_append_svarint(out, k->ends_ns);
    buffer_append_svarint(out, k->updated_ns);
    buffer_append_string(out, k->created_by);
    buffer_append_string(out, k->comment);
    buffer_append_varint(out, k->matchers.count);
    for (size_t i = 0; i < k->matchers.count; i++) {
        const struct matcher *m = &k->matchers.items[i];
        buffer_append_u8(out, (uint8_t)m->type);
        buffer_append_string(out, m->name);
        buffer_append_string(out, m->value);
    }
    state_put_labels(out, k->annotations);
    buffer_append_u8(out, (uint8_t)k->recurrence.kind);
    if (k->recurrence.kind == RECURRENCE_NONE)
        return;
    buffer_append_string(out, k->recurrence.text);
    buffer_append_string(out, k->recurrence.timezone);
    buffer_append_svarint(out, k->recurrence.duration_ns);
    buffer_append_svarint(out, k->recurrence.anchor_ns);
}

static struct kept_silence *kept_silence_new(void)
{
    struct kept_silence *k = mem_alloc_zero(MEM_ALERTING, 1, sizeof *k);
    arena_init(&k->arena, MEM_ALERTING, 0);
    k->window_until_ns = LIVE_ALERT_NEVER; /* before window_from_ns: not known */
    return k;
}

void kept_silence_free(struct kept_silence *k)
{
    if (k == NULL)
        return;
    matchers_deinit(&k->matchers);
    recurrence_free(k->windows);
    arena_deinit(&k->arena);
    mem_free(MEM_ALERTING, k);
}

/* --- recurrence --- */

static int64_t seconds_of(int64_t ns)
{
    return ns / NS_PER_SECOND - (ns % NS_PER_SECOND < 0);
}

static bool recurrence_compile(const struct silence_recurrence *r, struct recurrence **out,
                               struct error *err)
{
    struct recurrence_options options = {.kind = r->kind,
                                         .text = r->text,
                                         .timezone = r->timezone,
                                         .start_s = seconds_of(r->anchor_ns),
                                         .duration_s = r->duration_ns / NS_PER_SECOND};
    return recurrence_new(out, &options, err);
}

/* The window at `now_ns` or the next, cut to the span of the silence. */
static struct silence_window window_at(const struct recurrence *r, int64_t starts_ns,
                                       int64_t ends_ns, int64_t now_ns)
{
    static const struct silence_window NONE = {LIVE_ALERT_NEVER, LIVE_ALERT_NEVER};
    struct recurrence_window w;
    int64_t from = now_ns > starts_ns ? now_ns : starts_ns;
    if (from > ends_ns || !recurrence_window_at(r, seconds_of(from), &w))
        return NONE;
    if (w.begin_s >= INT64_MAX / NS_PER_SECOND) /* in 2262: as good as never */
        return NONE;
    if (w.end_s > INT64_MAX / NS_PER_SECOND)
        w.end_s = INT64_MAX / NS_PER_SECOND;
    struct silence_window out = {w.begin_s * NS_PER_SECOND, w.end_s * NS_PER_SECOND};
    if (out.begin_ns < starts_ns)
        out.begin_ns = starts_ns;
    if (out.end_ns - 1 > ends_ns) /* the end of a silence belongs to it */
        out.end_ns = ends_ns + 1;
    return out.begin_ns > ends_ns ? NONE : out;
}

void kept_silence_find_window(struct kept_silence *k, int64_t now_ns)
{
    if (now_ns >= k->window_from_ns && now_ns < k->window_until_ns)
        return;
    k->window = window_at(k->windows, k->starts_ns, k->ends_ns, now_ns);
    k->window_from_ns = now_ns;
    k->window_until_ns = k->window.begin_ns == LIVE_ALERT_NEVER ? INT64_MAX : k->window.end_ns;
}

bool silence_preview(const struct silence *in, int64_t from_ns, struct silence_window *out,
                     size_t max, size_t *count, struct error *err)
{
    struct silence_recurrence r = in->recurrence;
    int64_t starts = in->starts_ns == LIVE_ALERT_NEVER ? from_ns : in->starts_ns;
    struct recurrence *windows;
    *count = 0;
    if (r.kind == RECURRENCE_NONE)
        return error_set(err, ERROR_INPUT, "the silence does not recur");
    if (r.anchor_ns == LIVE_ALERT_NEVER)
        r.anchor_ns = starts;
    if (!recurrence_compile(&r, &windows, err))
        return false;
    while (*count < max && *count < SILENCE_PREVIEW_MAX) {
        out[*count] = window_at(windows, starts, in->ends_ns, from_ns);
        if (out[*count].begin_ns == LIVE_ALERT_NEVER)
            break;
        from_ns = out[(*count)++].end_ns;
    }
    recurrence_free(windows);
    return true;
}

static bool decode_recurrence(struct kept_silence *k, struct reader *r)
{
    struct error ignored;
    uint8_t kind = reader_u8(r);
    if (r->failed || kind > RECURRENCE_RRULE)
        return false;
    k->recurrence.kind = (enum recurrence_kind)kind;
    if (kind == RECURRENCE_NONE)
        return true;
    k->recurrence.text = arena_copy(&k->arena, reader_string(r, SILENCE_BYTES_MAX));
    k->recurrence.timezone = arena_copy(&k->arena, reader_string(r, SILENCE_BYTES_MAX));
    k->recurrence.duration_ns = reader_svarint(r);
    k->recurrence.anchor_ns = reader_svarint(r);
    return !r->failed && recurrence_compile(&k->recurrence, &k->windows, &ignored);
}

static bool decode(struct kept_silence *k, struct reader *r)
{
    struct error ignored;
    if (reader_u8(r) != VERSION)
        return false;
    k->starts_ns = reader_svarint(r);
    k->ends_ns = reader_svarint(r);
    k->updated_ns = reader_svarint(r);
    k->created_by = arena_copy(&k->arena, reader_string(r, SILENCE_BYTES_MAX));
    k->comment = arena_copy(&k->arena, reader_string(r, SILENCE_BYTES_MAX));
    uint64_t count = reader_varint(r);
    if (r->failed || count == 0 || count > SILENCE_MATCHERS_MAX)
        return false;
    for (uint64_t i = 0; i < count; i++) {
        uint8_t type = reader_u8(r);
        struct view name = arena_copy(&k->arena, reader_string(r, SILENCE_BYTES_MAX));
        struct view value = arena_copy(&k->arena, reader_string(r, SILENCE_BYTES_MAX));
        if (r->failed || type > MATCH_NOT_REGEX ||
            !matchers_add(&k->arena, &k->matchers, (enum matcher_type)type, name, value, &ignored))
            return false;
    }
    return state_get_labels(r, &k->arena, &k->annotations) && decode_recurrence(k, r) &&
           reader_left(r) == 0;
}

struct kept_silence *silence_decode(struct view id, struct view bytes)
{
    struct kept_silence *k = kept_silence_new();
    struct reader r = reader_from(bytes);
    if (id.len == SILENCE_ID_BYTES && decode(k, &r)) {
        memcpy(k->id, id.ptr, SILENCE_ID_BYTES);
        return k;
    }
    kept_silence_free(k);
    return NULL;
}

static bool silence_write(struct alert_state *s, const struct kept_silence *k, struct error *err)
{
    struct buffer body;
    buffer_init(&body, MEM_ALERTING, SILENCE_BYTES_MAX + 64); /* times may have grown */
    silence_encode(&body, k);
    bool ok = !body.failed ? state_run(s, STATEMENT_SILENCE_PUT, err, "tib", view_from(k->id),
                                       k->ends_ns, buffer_view(&body))
                           : error_set(err, ERROR_TOO_LARGE, "the silence is too large");
    buffer_deinit(&body);
    return ok;
}

/* Only the thread that writes changes silences, so that it may read them without the mutex. */
bool silences_write_all(struct alert_state *s, struct error *err)
{
    for (size_t i = 0; i < s->silences.count; i++)
        if (!silence_write(s, s->silences.items[i], err))
            return false;
    return true;
}

/* --- what may be asked for --- */

static bool matcher_check(const struct matcher *m, struct kept_silence *k, struct error *err)
{
    size_t i = k->matchers.count;
    if (m->name.len == 0 || !utf8_is_valid(m->name)) {
        struct buffer text;
        buffer_init(&text, MEM_ALERTING, SILENCE_BYTES_MAX);
        label_quote(&text, m->name);
        (void)error_set(err, ERROR_INPUT,
                        "invalid silence: invalid label matcher %zu: invalid label name %.*s", i,
                        VIEW_ARGS(buffer_view(&text)));
        buffer_deinit(&text);
        return false;
    }
    if (!utf8_is_valid(m->value))
        return error_set(err, ERROR_INPUT,
                         "invalid silence: invalid label matcher %zu: the value is not UTF-8", i);
    if (matchers_add(&k->arena, &k->matchers, m->type, arena_copy(&k->arena, m->name),
                     arena_copy(&k->arena, m->value), err))
        return true;
    return error_wrap(
        err, "invalid silence: invalid label matcher %zu: invalid regular expression \"%.*s\"", i,
        VIEW_ARGS(m->value));
}

/* Like Alertmanager: an equality or a regular expression may match the empty text, an inequality is taken not to. */
static bool may_be_empty(const struct matcher *m)
{
    return (m->type == MATCH_EQUAL || m->type == MATCH_REGEX) && matcher_matches_empty(m);
}

static bool matchers_check(const struct silence *in, struct kept_silence *k, struct error *err)
{
    bool all_empty = true;
    if (in->matcher_count == 0)
        return error_set(err, ERROR_INPUT, "invalid silence: at least one matcher required");
    if (in->matcher_count > SILENCE_MATCHERS_MAX)
        return error_set(err, ERROR_INPUT, "invalid silence: %zu matchers, at most %d",
                         in->matcher_count, SILENCE_MATCHERS_MAX);
    for (size_t i = 0; i < in->matcher_count; i++) {
        if (!matcher_check(&in->matchers[i], k, err))
            return false;
        all_empty = all_empty && may_be_empty(&k->matchers.items[i]);
    }
    return !all_empty ||
           error_set(err, ERROR_INPUT,
                     "invalid silence: at least one matcher must not match the empty string");
}

static bool times_check(const struct alert_state *s, const struct kept_silence *k,
                        struct error *err)
{
    int64_t longest = s->options.silence_duration_max_ms;
    int64_t lasts_ms = k->windows ? k->recurrence.duration_ns / NS_PER_MS
                                  : k->ends_ns / NS_PER_MS - k->starts_ns / NS_PER_MS;
    if (k->ends_ns == LIVE_ALERT_NEVER)
        return error_set(err, ERROR_INPUT, "invalid silence: invalid zero end timestamp");
    if (k->ends_ns < k->starts_ns)
        return error_set(err, ERROR_INPUT,
                         "invalid silence: end time must not be before start time");
    if (longest > 0 && lasts_ms > longest)
        return error_set(err, ERROR_INPUT,
                         "invalid silence: it lasts longer than the %" PRId64
                         " s that a silence may last here",
                         longest / 1000);
    return true;
}

static bool texts_check(const struct silence *in, struct error *err)
{
    bool ok = utf8_is_valid(in->created_by) && utf8_is_valid(in->comment);
    for (uint32_t i = 0; i < in->annotations.count && ok; i++)
        ok = utf8_is_valid(in->annotations.items[i].name) &&
             utf8_is_valid(in->annotations.items[i].value);
    return ok || error_set(err, ERROR_INPUT, "invalid silence: a text is not UTF-8");
}

static bool recurrence_take(const struct silence_recurrence *in, struct kept_silence *k,
                            struct error *err)
{
    if (in->kind == RECURRENCE_NONE)
        return true;
    k->anchor_is_given = in->anchor_ns != LIVE_ALERT_NEVER;
    k->recurrence = *in;
    k->recurrence.text = arena_copy(&k->arena, in->text);
    k->recurrence.timezone = arena_copy(&k->arena, in->timezone);
    k->recurrence.anchor_ns = k->anchor_is_given ? in->anchor_ns : k->starts_ns;
    if (in->duration_ns % NS_PER_SECOND != 0)
        return error_set(
            err, ERROR_INPUT,
            "invalid silence: the duration of its windows is no whole number of seconds");
    return recurrence_compile(&k->recurrence, &k->windows, err) ||
           error_wrap(err, "invalid silence");
}

/* The silence as it would be kept, judged by itself. NULL: refused. */
static struct kept_silence *make(const struct alert_state *s, const struct silence *in,
                                 int64_t now_ns, struct error *err)
{
    struct kept_silence *k = kept_silence_new();
    struct buffer body;
    k->starts_ns = in->starts_ns == LIVE_ALERT_NEVER ? now_ns : in->starts_ns;
    k->ends_ns = in->ends_ns;
    k->updated_ns = now_ns;
    k->created_by = arena_copy(&k->arena, in->created_by);
    k->comment = arena_copy(&k->arena, in->comment);
    k->annotations = labels_copy(&k->arena, in->annotations);
    buffer_init(&body, MEM_ALERTING, 4 * SILENCE_BYTES_MAX);
    bool ok = matchers_check(in, k, err) && recurrence_take(&in->recurrence, k, err) &&
              times_check(s, k, err) && texts_check(in, err);
    if (ok) {
        silence_encode(&body, k);
        if (body.failed || body.len > s->options.silence_bytes_max)
            ok = error_set(err, ERROR_INPUT,
                           "silence exceeded maximum size: %zu bytes (limit: %zu bytes)", body.len,
                           s->options.silence_bytes_max);
    }
    buffer_deinit(&body);
    if (ok)
        return k;
    kept_silence_free(k);
    return NULL;
}

/* --- changes --- */

/* Both kinds: `made` comes into being, or `id` ends. */
struct silence_change {
    struct state_change base;
    struct view id;
    int64_t now_ns;
    struct kept_silence *made;      /* NULL: expire only */
    bool is_update;                 /* made takes the place of prev */
    struct kept_silence *anchor;    /* whose recurrence goes on; NULL: made has its own */
    struct kept_silence *prev;      /* set when staged; NULL: none, or it stays as it is */
    int64_t starts_ns, ends_ns;     /* prev's, when it is expired */
    char out[SILENCE_ID_BYTES + 1]; /* of the one in force */
};

/* RFC 9562, version 4. */
static void uuid_make(char out[SILENCE_ID_BYTES + 1])
{
    unsigned char b[16];
    random_secret(b, sizeof b);
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    char *to = out;
    for (size_t i = 0; i < sizeof b; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *to++ = '-';
        *to++ = "0123456789abcdef"[b[i] >> 4];
        *to++ = "0123456789abcdef"[b[i] & 15];
    }
    *to = '\0';
}

static bool same_matchers(const struct matchers *a, const struct matchers *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (a->items[i].type != b->items[i].type || !view_eq(a->items[i].name, b->items[i].name) ||
            !view_eq(a->items[i].value, b->items[i].value))
            return false;
    return true;
}

/* One without a time zone is shown as of UTC. */
static struct view timezone_of(const struct silence_recurrence *r)
{
    return r->timezone.len ? r->timezone : VIEW("UTC");
}

static bool same_recurrence(const struct kept_silence *a, const struct kept_silence *b)
{
    const struct silence_recurrence *x = &a->recurrence, *y = &b->recurrence;
    return x->kind == y->kind && view_eq(x->text, y->text) &&
           view_eq(timezone_of(x), timezone_of(y)) && x->duration_ns == y->duration_ns &&
           (!b->anchor_is_given || seconds_of(x->anchor_ns) == seconds_of(y->anchor_ns));
}

/* May b take the place of a without changing what was? */
static bool can_update(const struct kept_silence *a, const struct kept_silence *b, int64_t now_ns)
{
    if (!same_matchers(&a->matchers, &b->matchers) || !same_recurrence(a, b))
        return false;
    switch (kept_silence_span(a, now_ns)) {
    case SILENCE_ACTIVE:
        return seconds_of(a->starts_ns) == seconds_of(b->starts_ns) && b->ends_ns >= now_ns;
    case SILENCE_PENDING:
        return b->starts_ns >= now_ns;
    default:
        return false;
    }
}

static void plan_expiry(struct silence_change *c, struct kept_silence *prev)
{
    enum silence_state state = kept_silence_span(prev, c->now_ns);
    if (state == SILENCE_EXPIRED)
        return;
    c->prev = prev;
    c->starts_ns = state == SILENCE_PENDING ? c->now_ns : prev->starts_ns;
    c->ends_ns = c->now_ns;
}

static bool stage_set(struct alert_state *s, struct state_change *base, struct error *err)
{
    struct silence_change *c = (struct silence_change *)base;
    struct silences *all = &s->silences;
    uint32_t at = c->id.len ? silences_find(all, c->id) : MAP_NONE;
    struct kept_silence *prev = at == MAP_NONE ? NULL : all->items[at];
    if (c->id.len && prev == NULL)
        return error_set(err, ERROR_NOT_FOUND, "silence not found");
    if (prev && can_update(prev, c->made, c->now_ns)) {
        c->is_update = true;
        memcpy(c->made->id, prev->id, sizeof prev->id);
        if (prev->windows && kept_silence_span(prev, c->now_ns) == SILENCE_ACTIVE) {
            c->anchor = prev; /* its first start may have been earlier than the one it shows */
            c->made->recurrence.anchor_ns = prev->recurrence.anchor_ns;
        }
    } else {
        size_t have = all->count + all->staged, max = s->options.silences_max;
        if (max > 0 && have + 1 > max)
            return error_set(err, ERROR_INPUT,
                             "exceeded maximum number of silences: %zu (limit: %zu)", have, max);
        all->staged++;
        uuid_make(c->made->id);
        if (c->made->starts_ns < c->now_ns)
            c->made->starts_ns = c->now_ns;
        if (prev)
            plan_expiry(c, prev);
    }
    memcpy(c->out, c->made->id, sizeof c->out);
    return true;
}

static bool stage_expire(struct alert_state *s, struct state_change *base, struct error *err)
{
    struct silence_change *c = (struct silence_change *)base;
    uint32_t at = silences_find(&s->silences, c->id);
    if (at == MAP_NONE)
        return error_set(err, ERROR_NOT_FOUND, "silence not found");
    plan_expiry(c, s->silences.items[at]);
    return true;
}

static bool write_silence(struct alert_state *s, struct state_change *base, struct error *err)
{
    struct silence_change *c = (struct silence_change *)base;
    if (c->prev) {
        struct kept_silence expired = *c->prev; /* its texts are the other's */
        expired.starts_ns = c->starts_ns;
        expired.ends_ns = c->ends_ns;
        expired.updated_ns = c->now_ns;
        if (!silence_write(s, &expired, err))
            return false;
    }
    return c->made == NULL || silence_write(s, c->made, err);
}

static void apply_silence(struct alert_state *s, struct state_change *base)
{
    struct silence_change *c = (struct silence_change *)base;
    if (c->prev) {
        c->prev->starts_ns = c->starts_ns;
        c->prev->ends_ns = c->ends_ns;
        c->prev->updated_ns = c->now_ns;
        c->prev->window_until_ns = LIVE_ALERT_NEVER; /* it is to be found again */
        silences_changed(s);
    }
    if (c->anchor) {
        struct recurrence *mine = c->made->windows;
        c->made->windows = c->anchor->windows;
        c->anchor->windows = mine;
    }
    if (c->made)
        silences_put(s, c->made);
}

static void drop_silence(struct alert_state *s, struct state_change *base)
{
    (void)s;
    kept_silence_free(((struct silence_change *)base)->made);
}

static const struct state_change_kind SET = {"the silence", stage_set, write_silence, apply_silence,
                                             drop_silence};
static const struct state_change_kind EXPIRE = {"the end of the silence", stage_expire,
                                                write_silence, apply_silence, drop_silence};

/* --- warnings --- */

/* Does it hold for every alert that has the label at all? */
static bool matches_anything(const struct matcher *m)
{
    return (m->type == MATCH_REGEX && (view_is(m->value, ".*") || view_is(m->value, ".+"))) ||
           (m->type == MATCH_NOT_EQUAL && m->value.len == 0);
}

static void judge(struct alert_state *s, const struct silence *in, int64_t now_ns,
                  struct silence_warnings *w)
{
    struct arena arena;
    struct error ignored;
    struct matchers m = {0};
    int64_t starts = in->starts_ns > now_ns ? in->starts_ns : now_ns;
    bool every = true, ok = true;
    *w = (struct silence_warnings){.is_long = in->recurrence.kind == RECURRENCE_NONE &&
                                              in->ends_ns / NS_PER_MS - starts / NS_PER_MS >
                                                  LONG_NS / NS_PER_MS};
    arena_init(&arena, MEM_ALERTING, 0);
    for (size_t i = 0; i < in->matcher_count && ok; i++) {
        every = every && matches_anything(&in->matchers[i]);
        ok = matchers_add(&arena, &m, in->matchers[i].type, in->matchers[i].name,
                          in->matchers[i].value, &ignored);
    }
    mutex_lock(&s->mutex);
    alert_state_matched *matched = ok ? s->matched : NULL;
    void *arg = s->matched_arg;
    s->watch_calls += matched != NULL;
    mutex_unlock(&s->mutex);
    if (matched) {
        matched(arg, &m, &w->matched, &w->alive);
        mutex_lock(&s->mutex);
        s->watch_calls--;
        cond_broadcast(&s->done);
        mutex_unlock(&s->mutex);
    }
    w->matches_every = every || (w->alive > 1 && w->matched == w->alive);
    w->matches_none = matched && w->matched == 0;
    matchers_deinit(&m);
    arena_deinit(&arena);
}

size_t silence_warning_texts(struct arena *arena, const struct silence_warnings *w,
                             struct view out[SILENCE_WARNINGS_MAX])
{
    size_t count = 0;
    if (w->matches_every)
        out[count++] =
            w->alive > 0 && w->matched == w->alive
                ? arena_printf(arena, "the silence matches every alert (%zu now)", w->alive)
                : VIEW("the silence matches every alert that has its labels");
    if (w->matches_none)
        out[count++] = arena_printf(
            arena, "the silence matches none of the %zu alerts that are there now", w->alive);
    if (w->is_long)
        out[count++] = VIEW("the silence lasts longer than a year");
    return count;
}

/* --- for callers --- */

bool silence_set(struct alert_state *s, struct arena *arena, const struct silence *in,
                 int64_t now_ns, struct view *id, struct silence_warnings *warnings,
                 struct error *err)
{
    struct silence_change c = {.base = {.kind = &SET}, .id = in->id, .now_ns = now_ns};
    c.base.subject = in->id.len ? hash64_view(in->id) | 1 : 0;
    c.made = make(s, in, now_ns, err);
    if (c.made == NULL || !alert_state_change(s, &c.base, err))
        return false;
    *id = arena_copy(arena, view_from(c.out));
    if (warnings)
        judge(s, in, now_ns, warnings);
    return true;
}

bool silence_expire(struct alert_state *s, struct view id, int64_t now_ns, struct error *err)
{
    struct silence_change c = {
        .base = {.kind = &EXPIRE, .subject = hash64_view(id) | 1}, .id = id, .now_ns = now_ns};
    return alert_state_change(s, &c.base, err);
}

static struct silence show(struct arena *arena, const struct kept_silence *k, int64_t now_ns)
{
    struct matcher *m = ARENA_ARRAY(arena, struct matcher, k->matchers.count);
    for (size_t i = 0; i < k->matchers.count; i++)
        m[i] = (struct matcher){.type = k->matchers.items[i].type,
                                .name = arena_copy(arena, k->matchers.items[i].name),
                                .value = arena_copy(arena, k->matchers.items[i].value)};
    return (struct silence){
        .id = arena_copy(arena, view_from(k->id)),
        .matchers = m,
        .matcher_count = k->matchers.count,
        .starts_ns = k->starts_ns,
        .ends_ns = k->ends_ns,
        .created_by = arena_copy(arena, k->created_by),
        .comment = arena_copy(arena, k->comment),
        .annotations = labels_copy(arena, k->annotations),
        .recurrence = {.kind = k->recurrence.kind,
                       .text = arena_copy(arena, k->recurrence.text),
                       .timezone = arena_copy(arena, k->recurrence.timezone),
                       .duration_ns = k->recurrence.duration_ns,
                       .anchor_ns = k->windows ? k->recurrence.anchor_ns : LIVE_ALERT_NEVER},
        .window =
            k->windows ? k->window : (struct silence_window){LIVE_ALERT_NEVER, LIVE_ALERT_NEVER},
        .updated_ns = k->updated_ns,
        .state = kept_silence_state(k, now_ns)};
}

void silence_list(struct alert_state *s, struct arena *arena, int64_t now_ns,
                  struct silence_list *out)
{
    mutex_lock(&s->mutex);
    silences_advance(s, now_ns);
    out->count = s->silences.count;
    out->items = ARENA_ARRAY(arena, struct silence, out->count + 1);
    for (size_t i = 0; i < out->count; i++) {
        const struct kept_silence *k = s->silences.items[i];
        out->items[i] = (struct silence){.id = arena_copy(arena, view_from(k->id)),
                                         .starts_ns = k->starts_ns,
                                         .ends_ns = k->ends_ns,
                                         .updated_ns = k->updated_ns,
                                         .state = kept_silence_state(k, now_ns)};
    }
    mutex_unlock(&s->mutex);
}

bool silence_get(struct alert_state *s, struct arena *arena, struct view id, int64_t now_ns,
                 struct silence *out)
{
    mutex_lock(&s->mutex);
    silences_advance(s, now_ns);
    uint32_t at = silences_find(&s->silences, id);
    if (at != MAP_NONE)
        *out = show(arena, s->silences.items[at], now_ns);
    mutex_unlock(&s->mutex);
    return at != MAP_NONE;
}

void silence_count(struct alert_state *s, int64_t now_ns, struct silence_counts *out)
{
    size_t *const by_state[] = {&out->pending, &out->active, &out->expired};
    *out = (struct silence_counts){0};
    mutex_lock(&s->mutex);
    silences_advance(s, now_ns);
    for (size_t i = 0; i < s->silences.count; i++)
        ++*by_state[kept_silence_state(s->silences.items[i], now_ns)];
    mutex_unlock(&s->mutex);
}
