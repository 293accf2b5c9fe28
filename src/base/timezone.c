/* SPDX-License-Identifier: Apache-2.0 */
/* timezone.c: TZif files, RFC 8536.
 *
 *   header  "TZif" | version | 15 zeros | counts u32be: isut, isstd, leap, time, type, char
 *   block   times[time] | type of each u8[time] | types {offset i32be, dst u8, name u8}[type] | names[char] | ...
 *   Version 1 has one block with times of 32 bits; later ones have a second header and block with 64 bits behind it,
 *   then "\n" RULE "\n": what holds after the last time, as POSIX' TZ has it: "CET-1CEST,M3.5.0,M10.5.0/3".
 *
 * Before the first time the first type that is not DST holds. Leap seconds are skipped: our clocks have none. */
#include "base/timezone.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FILE_BYTES_MAX = 256 * 1024,
    COUNT_MAX = 10000, /* of times; types and names have one byte */
    DAY = 86400,
};

/* When a change of the rule is: in a year, in seconds of local time since its day. */
struct rule_date {
    char kind; /* 'M' month.week.weekday, 'J' day 1 to 365 without 29 February, '0' day 0 to 365 */
    int month, week, day;
    int32_t time_seconds;
};

struct rule {
    bool is_set, has_dst;
    struct timezone_at standard, dst;
    struct rule_date start, end; /* of DST */
};

struct timezone_data {
    int64_t *times; /* ascending */
    uint8_t *types; /* of each */
    size_t time_count;
    struct timezone_at *zones; /* the types */
    size_t zone_count;
    struct rule rule;
};

/* --- the rule --- */

struct text {
    const char *p, *end;
    bool failed;
};

static int read_int(struct text *t)
{
    int v = 0;
    if (t->p == t->end || *t->p < '0' || *t->p > '9')
        t->failed = true;
    while (t->p < t->end && *t->p >= '0' && *t->p <= '9' && v < 10000)
        v = v * 10 + (*t->p++ - '0');
    return v;
}

static bool read_char(struct text *t, char c)
{
    if (t->p == t->end || *t->p != c)
        return false;
    t->p++;
    return true;
}

/* [+-]h[:m[:s]] in seconds. */
static int32_t read_time(struct text *t)
{
    bool negative = read_char(t, '-');
    if (!negative)
        (void)read_char(t, '+');
    int32_t v = read_int(t) * 3600;
    if (read_char(t, ':'))
        v += read_int(t) * 60;
    if (read_char(t, ':'))
        v += read_int(t);
    return negative ? -v : v;
}

/* Letters, or anything between < and >. */
static void read_name(struct text *t, char out[TIMEZONE_NAME_BYTES])
{
    size_t len = 0;
    bool quoted = read_char(t, '<');
    while (t->p < t->end &&
           (quoted ? *t->p != '>' : ((*t->p | 32) >= 'a' && (*t->p | 32) <= 'z'))) {
        if (len + 1 < TIMEZONE_NAME_BYTES)
            out[len++] = *t->p;
        t->p++;
    }
    out[len] = '\0';
    t->failed |= len == 0 || (quoted && !read_char(t, '>'));
}

static void read_date(struct text *t, struct rule_date *d)
{
    *d = (struct rule_date){.kind = '0', .time_seconds = 7200};
    if (read_char(t, 'M')) {
        d->kind = 'M';
        d->month = read_int(t);
        t->failed |= !read_char(t, '.');
        d->week = read_int(t);
        t->failed |= !read_char(t, '.');
        d->day = read_int(t);
        t->failed |= d->month < 1 || d->month > 12 || d->week < 1 || d->week > 5 || d->day > 6;
    } else {
        if (read_char(t, 'J'))
            d->kind = 'J';
        d->day = read_int(t);
        t->failed |= d->day > 365 || (d->kind == 'J' && d->day < 1);
    }
    if (read_char(t, '/'))
        d->time_seconds = read_time(t);
}

/* An empty rule says nothing: the last type goes on. */
static bool rule_read(struct rule *r, struct view text)
{
    struct text t = {text.ptr, text.ptr + text.len, false};
    *r = (struct rule){.is_set = text.len > 0};
    if (!r->is_set)
        return true;
    read_name(&t, r->standard.name);
    r->standard.offset_seconds = -read_time(&t);
    if (t.p == t.end)
        return !t.failed;
    r->has_dst = true;
    read_name(&t, r->dst.name);
    r->dst.is_dst = true;
    r->dst.offset_seconds = r->standard.offset_seconds + 3600;
    if (t.p < t.end && *t.p != ',')
        r->dst.offset_seconds = -read_time(&t);
    if (!read_char(&t, ','))
        return false;
    read_date(&t, &r->start);
    if (!read_char(&t, ','))
        return false;
    read_date(&t, &r->end);
    return !t.failed && t.p == t.end;
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Days from 1970 to the first of January. */
static int64_t days_to_year(int64_t year)
{
    int64_t y = year - 1;
    int64_t leaps =
        (y >= 0 ? y / 4 - y / 100 + y / 400 : -((3 - y) / 4) + (99 - y) / 100 - (399 - y) / 400);
    return 365 * (year - 1970) + leaps - 477;
}

/* Seconds of local time since the year began. */
static int64_t date_seconds(const struct rule_date *d, int64_t year)
{
    static const int BEFORE[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    int day = d->day;
    if (d->kind == 'J') {
        day = d->day - 1 + (is_leap(year) && d->day >= 60 ? 1 : 0);
    } else if (d->kind == 'M') {
        int leap_before = is_leap(year) && d->month > 2 ? 1 : 0;
        int first = BEFORE[d->month - 1] + leap_before;
        int length = BEFORE[d->month] - BEFORE[d->month - 1] + (is_leap(year) && d->month == 2);
        int weekday =
            (int)(((days_to_year(year) + first + 4) % 7 + 7) % 7); /* 1970 began on a Thursday */
        int offset = (d->day - weekday + 7) % 7 + (d->week - 1) * 7;
        day = first + (offset >= length ? offset - 7 : offset);
    }
    return (int64_t)day * DAY + d->time_seconds;
}

static const struct timezone_at *rule_find(const struct rule *r, int64_t seconds)
{
    if (!r->has_dst)
        return &r->standard;
    /* The year in standard time. */
    int64_t local = seconds + r->standard.offset_seconds;
    int64_t days = local / DAY - (local % DAY < 0);
    int64_t year = 1970 + days / 366;
    if (days < 0)
        year = 1970 + days / 365 - 1;
    while (days_to_year(year + 1) <= days)
        year++;
    while (days_to_year(year) > days)
        year--;
    int64_t begin = days_to_year(year) * DAY;
    int64_t start = begin + date_seconds(&r->start, year) - r->standard.offset_seconds;
    int64_t end = begin + date_seconds(&r->end, year) - r->dst.offset_seconds;
    bool dst = start < end ? seconds >= start && seconds < end : seconds >= start || seconds < end;
    return dst ? &r->dst : &r->standard;
}

/* --- the file --- */

struct counts {
    uint32_t isut, isstd, leap, time, type, chars;
    uint8_t version;
};

static bool read_header(struct reader *r, struct counts *c)
{
    struct view magic = reader_bytes(r, 4);
    c->version = reader_u8(r);
    reader_skip(r, 15);
    c->isut = reader_u32be(r);
    c->isstd = reader_u32be(r);
    c->leap = reader_u32be(r);
    c->time = reader_u32be(r);
    c->type = reader_u32be(r);
    c->chars = reader_u32be(r);
    return !r->failed && view_is(magic, "TZif") && c->isut <= COUNT_MAX && c->isstd <= COUNT_MAX &&
           c->leap <= COUNT_MAX && c->time <= COUNT_MAX && c->type >= 1 && c->type <= 256 &&
           c->chars <= COUNT_MAX;
}

/* The bytes of a block whose times have `time_bytes` each. */
static size_t block_bytes(const struct counts *c, size_t time_bytes)
{
    return c->time * (time_bytes + 1) + c->type * 6 + c->chars + c->leap * (time_bytes + 4) +
           c->isstd + c->isut;
}

static void read_zones(struct timezone_data *z, struct reader *r, const struct counts *c)
{
    uint8_t names[256];
    for (uint32_t i = 0; i < c->type; i++) {
        z->zones[i].offset_seconds = (int32_t)reader_u32be(r);
        z->zones[i].is_dst = reader_u8(r) != 0;
        names[i] = reader_u8(r);
    }
    struct view chars = reader_bytes(r, c->chars);
    for (uint32_t i = 0; i < c->type; i++) {
        struct view name = view_slice(chars, names[i], chars.len);
        size_t len = 0;
        while (len < name.len && name.ptr[len] && len + 1 < TIMEZONE_NAME_BYTES)
            len++;
        if (len)
            memcpy(z->zones[i].name, name.ptr, len);
    }
}

static bool read_block(struct timezone_data *z, struct reader *r, const struct counts *c,
                       size_t time_bytes)
{
    z->times = mem_alloc_zero(MEM_OTHER, c->time + 1u, sizeof(*z->times));
    z->types = mem_alloc_zero(MEM_OTHER, c->time + 1u, sizeof(*z->types));
    z->zones = mem_alloc_zero(MEM_OTHER, c->type, sizeof(*z->zones));
    z->time_count = c->time;
    z->zone_count = c->type;
    for (uint32_t i = 0; i < c->time; i++) {
        z->times[i] = time_bytes == 8 ? (int64_t)reader_u64be(r) : (int32_t)reader_u32be(r);
        if (i && z->times[i] <= z->times[i - 1])
            return false;
    }
    for (uint32_t i = 0; i < c->time; i++) {
        z->types[i] = reader_u8(r);
        if (z->types[i] >= c->type)
            return false;
    }
    read_zones(z, r, c);
    reader_skip(r, c->leap * (time_bytes + 4) + c->isstd + c->isut);
    return !r->failed;
}

static bool read_rule(struct timezone_data *z, struct reader *r)
{
    size_t left = reader_left(r);
    struct view rest = reader_bytes(r, left);
    if (rest.len < 2 || rest.ptr[0] != '\n')
        return false;
    const char *end = memchr(rest.ptr + 1, '\n', rest.len - 1);
    return end && rule_read(&z->rule, view_slice(rest, 1, (size_t)(end - rest.ptr)));
}

bool timezone_read(struct timezone_data **out, struct view file, struct error *err)
{
    struct reader r = reader_from(file);
    struct counts c;
    struct timezone_data *z = mem_alloc_zero(MEM_OTHER, 1, sizeof(*z));
    *out = NULL;
    bool ok = read_header(&r, &c);
    if (ok && c.version >= '2') {
        reader_skip(&r, block_bytes(&c, 4));
        ok = read_header(&r, &c) && read_block(z, &r, &c, 8) && read_rule(z, &r);
    } else if (ok) {
        ok = read_block(z, &r, &c, 4);
    }
    if (!ok) {
        timezone_free(z);
        return error_set(err, ERROR_CORRUPT, "malformed time zone information");
    }
    *out = z;
    return true;
}

void timezone_free(struct timezone_data *z)
{
    if (!z)
        return;
    mem_free(MEM_OTHER, z->times);
    mem_free(MEM_OTHER, z->types);
    mem_free(MEM_OTHER, z->zones);
    mem_free(MEM_OTHER, z);
}

void timezone_find(const struct timezone_data *z, int64_t seconds, struct timezone_at *out)
{
    size_t low = 0, high = z->time_count; /* times[low - 1] <= seconds */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (z->times[middle] <= seconds)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == z->time_count && z->rule.is_set) {
        *out = *rule_find(&z->rule, seconds);
        return;
    }
    if (low > 0) {
        *out = z->zones[z->types[low - 1]];
        return;
    }
    size_t first = 0;
    while (first < z->zone_count && z->zones[first].is_dst)
        first++;
    *out = z->zones[first < z->zone_count ? first : 0];
}

/* --- names --- */

static struct timezone_data *utc_new(void)
{
    struct timezone_data *z = mem_alloc_zero(MEM_OTHER, 1, sizeof(*z));
    z->zones = mem_alloc_zero(MEM_OTHER, 1, sizeof(*z->zones));
    z->zone_count = 1;
    memcpy(z->zones[0].name, "UTC", 3);
    return z;
}

/* Letters, digits and _+-/ in parts that are not "..": nothing that leads out of the folder. */
static bool name_is_safe(struct view name)
{
    if (name.len == 0 || name.len > 100 || name.ptr[0] == '/')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool plain = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
        if (!plain && (c == '\0' || !strchr("_+-/", c)))
            return false;
    }
    return true;
}

static bool read_file(struct timezone_data **out, const char *path, struct error *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_set_errno(err, errno, "could not open %s", path);
    char *bytes = mem_alloc(MEM_OTHER, FILE_BYTES_MAX);
    ssize_t n = -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= FILE_BYTES_MAX)
        n = pread(fd, bytes, FILE_BYTES_MAX, 0);
    close(fd);
    bool ok = n >= 0 ? timezone_read(out, (struct view){bytes, (size_t)n}, err)
                     : error_set(err, ERROR_CORRUPT, "malformed time zone information");
    mem_free(MEM_OTHER, bytes);
    return ok;
}

bool timezone_open(struct timezone_data **out, struct view name, struct error *err)
{
    static const char *const FOLDERS[] = {"/usr/share/zoneinfo", "/usr/lib/zoneinfo",
                                          "/usr/share/lib/zoneinfo", "/etc/zoneinfo"};
    char path[160];
    *out = NULL;
    if (name.len == 0 || view_is(name, "UTC")) {
        *out = utc_new();
        return true;
    }
    if (view_is(name, "Local")) {
        if (!read_file(out, "/etc/localtime", err))
            *out = utc_new();
        return true;
    }
    if (name.ptr[0] == '/' || name.ptr[0] == '\\' || memmem(name.ptr, name.len, "..", 2))
        return error_set(err, ERROR_INPUT, "time: invalid location name");
    for (size_t i = 0; i < ARRAY_COUNT(FOLDERS) && name_is_safe(name); i++) {
        snprintf(path, sizeof(path), "%s/%.*s", FOLDERS[i], VIEW_ARGS(name));
        if (access(path, R_OK) == 0)
            return read_file(out, path, err) || error_wrap(err, "time zone %.*s", VIEW_ARGS(name));
    }
    return error_set(err, ERROR_NOT_FOUND, "unknown time zone %.*s",
                     VIEW_ARGS(view_slice(name, 0, 100)));
}

int64_t timezone_to_utc(const struct timezone_data *zone, int64_t local_seconds)
{
    /* No zone changes twice within two days. The offset before a change and the one after it, each by itself: */
    struct timezone_at before, after, at;
    timezone_find(zone, local_seconds - 86400, &before);
    timezone_find(zone, local_seconds + 86400, &after);
    int64_t first = local_seconds - before.offset_seconds,
            second = local_seconds - after.offset_seconds;
    if (first == second)
        return first;
    /* The time that the old offset gives holds where it is there (the first of two), and where neither is there (a gap). */
    timezone_find(zone, first, &at);
    if (at.offset_seconds == before.offset_seconds)
        return first;
    timezone_find(zone, second, &at);
    return at.offset_seconds == after.offset_seconds ? second : first;
}
