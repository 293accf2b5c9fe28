/* SPDX-License-Identifier: Apache-2.0 */
/* instant_functions.c: see instant_functions.h. */
#include "promql/instant_functions.h"

#include "base/assert.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

double number_max(double a, double b)
{
    if (isinf(a) && a > 0)
        return a;
    if (isinf(b) && b > 0)
        return b;
    if (isnan(a) || isnan(b))
        return NAN;
    if (a == 0 && b == 0)
        return signbit(a) ? b : a;
    return a > b ? a : b;
}

double number_min(double a, double b)
{
    if (isinf(a) && a < 0)
        return a;
    if (isinf(b) && b < 0)
        return b;
    if (isnan(a) || isnan(b))
        return NAN;
    if (a == 0 && b == 0)
        return signbit(a) ? a : b;
    return a < b ? a : b;
}

/* --- dates, always UTC --- */

struct civil {
    int64_t year;
    int month, day;  /* from 1 */
    int day_of_year; /* from 1 */
    int day_of_week; /* Sunday is 0 */
    int hour, minute;
    bool leap;
};

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days are counted in eras of 400 years that begin on 1 March: Howard Hinnant, "chrono-compatible low-level date
 * algorithms". */
static struct civil civil_of(int64_t seconds)
{
    struct civil c;
    int64_t days = seconds / 86400, rest = seconds % 86400;
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    c.hour = (int)(rest / 3600);
    c.minute = (int)(rest / 60 % 60);
    c.day_of_week = (int)(((days + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t from_march = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * from_march + 2) / 153;
    c.day = (int)(from_march - (153 * month_from_march + 2) / 5 + 1);
    c.month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    c.year = year_of_era + era * 400 + (c.month <= 2);
    c.leap = is_leap(c.year);
    /* 1 March is day 60 of a common year; January and February are the last 306th and later days from it. */
    c.day_of_year =
        (int)(from_march >= 306 ? from_march - 305 : from_march + 60 + (c.leap ? 1 : 0));
    return c;
}

static int days_in_month(const struct civil *c)
{
    static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return DAYS[c->month - 1] + (c->month == 2 && c->leap);
}

static double date_function(enum function_id id, double v)
{
    /* No calendar reaches there; Go's conversion would give an arbitrary date. */
    if (!(v > -1e15 && v < 1e15))
        return NAN;
    struct civil c = civil_of((int64_t)v);
    switch (id) {
    case FUNCTION_MINUTE:
        return c.minute;
    case FUNCTION_HOUR:
        return c.hour;
    case FUNCTION_DAY_OF_WEEK:
        return c.day_of_week;
    case FUNCTION_DAY_OF_MONTH:
        return c.day;
    case FUNCTION_DAY_OF_YEAR:
        return c.day_of_year;
    case FUNCTION_DAYS_IN_MONTH:
        return days_in_month(&c);
    case FUNCTION_MONTH:
        return c.month;
    case FUNCTION_YEAR:
        return (double)c.year;
    default:
        UNREACHABLE();
    }
}

/* --- one value --- */

static double sgn(double v)
{
    return v < 0 ? -1 : v > 0 ? 1 : v;
}

/* Ties go up. Dividing by the inverse is less often off by a last digit. */
static double round_to(double v, double nearest)
{
    double inverse = 1.0 / nearest;
    return floor(v * inverse + 0.5) / inverse;
}

#define UNARY_FUNCTIONS(X)                                                                         \
    X(ABS, fabs(v))                                                                                \
    X(ACOS, acos(v))                                                                               \
    X(ACOSH, acosh(v))                                                                             \
    X(ASIN, asin(v))                                                                               \
    X(ASINH, asinh(v))                                                                             \
    X(ATAN, atan(v))                                                                               \
    X(ATANH, atanh(v))                                                                             \
    X(CEIL, ceil(v))                                                                               \
    X(COS, cos(v))                                                                                 \
    X(COSH, cosh(v))                                                                               \
    X(DEG, v * 180 / M_PI)                                                                         \
    X(EXP, exp(v))                                                                                 \
    X(FLOOR, floor(v))                                                                             \
    X(LN, log(v))                                                                                  \
    X(LOG10, log10(v))                                                                             \
    X(LOG2, log2(v))                                                                               \
    X(RAD, v *M_PI / 180)                                                                          \
    X(SGN, sgn(v))                                                                                 \
    X(SIN, sin(v))                                                                                 \
    X(SINH, sinh(v))                                                                               \
    X(SQRT, sqrt(v))                                                                               \
    X(TAN, tan(v))                                                                                 \
    X(TANH, tanh(v))

bool instant_function_exists(enum function_id id)
{
    switch (id) {
#define X(ID, expression) case FUNCTION_##ID:
        UNARY_FUNCTIONS(X)
#undef X
    case FUNCTION_ROUND:
    case FUNCTION_CLAMP:
    case FUNCTION_CLAMP_MIN:
    case FUNCTION_CLAMP_MAX:
    case FUNCTION_MINUTE:
    case FUNCTION_HOUR:
    case FUNCTION_DAY_OF_WEEK:
    case FUNCTION_DAY_OF_MONTH:
    case FUNCTION_DAY_OF_YEAR:
    case FUNCTION_DAYS_IN_MONTH:
    case FUNCTION_MONTH:
    case FUNCTION_YEAR:
        return true;
    default:
        return false;
    }
}

double instant_function_eval(enum function_id id, double v, const double *params)
{
    switch (id) {
#define X(ID, expression)                                                                          \
    case FUNCTION_##ID:                                                                            \
        return expression;
        UNARY_FUNCTIONS(X)
#undef X
    case FUNCTION_ROUND:
        return round_to(v, params ? params[0] : 1);
    case FUNCTION_CLAMP:
        return number_max(params[0], number_min(params[1], v));
    case FUNCTION_CLAMP_MIN:
        return number_max(params[0], v);
    case FUNCTION_CLAMP_MAX:
        return number_min(params[0], v);
    default:
        return date_function(id, v);
    }
}

void instant_function_apply(enum function_id id, const double *values, const double *const *params,
                            size_t count, double *out)
{
    ASSERT(instant_function_exists(id));
    switch (id) { /* decided once: each loop is a plain one */
#define X(ID, expression)                                                                          \
    case FUNCTION_##ID:                                                                            \
        for (size_t i = 0; i < count; i++) {                                                       \
            double v = values[i];                                                                  \
            out[i] = expression;                                                                   \
        }                                                                                          \
        return;
        UNARY_FUNCTIONS(X)
#undef X
    case FUNCTION_ROUND:
        for (size_t i = 0; i < count; i++)
            out[i] = round_to(values[i], params && params[0] ? params[0][i] : 1);
        return;
    case FUNCTION_CLAMP:
        for (size_t i = 0; i < count; i++)
            out[i] = number_max(params[0][i], number_min(params[1][i], values[i]));
        return;
    case FUNCTION_CLAMP_MIN:
        for (size_t i = 0; i < count; i++)
            out[i] = number_max(params[0][i], values[i]);
        return;
    case FUNCTION_CLAMP_MAX:
        for (size_t i = 0; i < count; i++)
            out[i] = number_min(params[0][i], values[i]);
        return;
    default:
        for (size_t i = 0; i < count; i++)
            out[i] = date_function(id, values[i]);
    }
}

/* --- quantiles --- */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    if (isnan(x) || isnan(y))
        return !!isnan(y) - !!isnan(x); /* NaN first */
    return (x > y) - (x < y);
}

double quantile_of_values(double q, double *values, size_t count)
{
    if (count == 0 || isnan(q))
        return NAN;
    if (q < 0)
        return -INFINITY;
    if (q > 1)
        return INFINITY;
    qsort(values, count, sizeof *values, compare_doubles);
    double rank = q * ((double)count - 1), below = floor(rank);
    size_t lower = (size_t)below, upper = lower + 1 < count ? lower + 1 : count - 1;
    double weight = rank - below;
    return values[lower] * (1 - weight) + values[upper] * weight;
}

static int compare_buckets(const void *a, const void *b)
{
    const struct classic_bucket *x = a, *y = b;
    return (x->upper_bound > y->upper_bound) - (x->upper_bound < y->upper_bound);
}

/* Sorts by bound; buckets with one bound become one. Returns how many are left. */
static size_t merge_buckets(struct classic_bucket *b, size_t count)
{
    qsort(b, count, sizeof *b, compare_buckets);
    size_t last = 0;
    for (size_t i = 1; i < count; i++) {
        if (b[i].upper_bound == b[last].upper_bound)
            b[last].count += b[i].count;
        else
            b[++last] = b[i];
    }
    return last + 1;
}

/* Relative difference, as Prometheus' almost.Equal. */
static bool is_almost_equal(double a, double b, double tolerance)
{
    if (a == b)
        return true;
    double sum = fabs(a) + fabs(b), difference = fabs(a - b);
    if (a == 0 || b == 0 || sum < DBL_MIN)
        return difference < tolerance * DBL_MIN;
    return difference / fmin(sum, DBL_MAX) < tolerance;
}

/* Counts must not fall from one bucket to the next. Differences of rounding are evened out silently; what really
 * falls is raised, and reported. */
static void make_monotonic(struct classic_bucket *b, size_t count, struct bucket_repair *repair)
{
    static const double TOLERANCE = 1e-12;
    double previous = b[0].count;
    for (size_t i = 1; i < count; i++) {
        if (b[i].count == previous)
            continue;
        if (is_almost_equal(previous, b[i].count, TOLERANCE)) {
            b[i].count = previous;
        } else if (b[i].count < previous) {
            if (!repair->forced_monotonic)
                repair->bucket_min = b[i].upper_bound;
            repair->bucket_max = b[i].upper_bound;
            repair->diff_max = fmax(repair->diff_max, previous - b[i].count);
            repair->forced_monotonic = true;
            b[i].count = previous;
        } else {
            previous = b[i].count;
        }
    }
}

double classic_histogram_quantile(double q, struct classic_bucket *b, size_t count,
                                  struct bucket_repair *repair)
{
    struct bucket_repair ignored;
    if (!repair)
        repair = &ignored;
    *repair = (struct bucket_repair){0};
    if (isnan(q) || count == 0)
        return NAN;
    if (q < 0)
        return -INFINITY;
    if (q > 1)
        return INFINITY;
    count = merge_buckets(b, count);
    if (!(isinf(b[count - 1].upper_bound) && b[count - 1].upper_bound > 0))
        return NAN;
    make_monotonic(b, count, repair);
    double observations = b[count - 1].count;
    if (count < 2 || observations == 0)
        return NAN;

    double rank = q * observations;
    size_t at = 0;
    while (at < count - 1 && !(b[at].count >= rank))
        at++;
    if (at == count - 1)
        return b[count - 2].upper_bound;
    if (at == 0 && b[0].upper_bound <= 0)
        return b[0].upper_bound;
    double start = 0, in_bucket = b[at].count;
    if (at > 0) {
        start = b[at - 1].upper_bound;
        in_bucket -= b[at - 1].count;
        rank -= b[at - 1].count;
    }
    return start + (b[at].upper_bound - start) * (rank / in_bucket);
}

/* Observations up to v, which lies in the bucket (lower, upper] behind `before` observations. A bucket without a
 * lower end cannot be divided: nothing of it counts, as nothing of the one without an upper end does. */
static double rank_in_bucket(double v, double lower, double upper, double before, double count)
{
    if (isinf(lower))
        return count;
    return before + (count - before) * (v - lower) / (upper - lower);
}

/* Observations at or below v. */
static double rank_of(double v, const struct classic_bucket *b, size_t count)
{
    double total = b[count - 1].count, before = 0;
    double lower = b[0].upper_bound <= 0 ? -INFINITY : 0;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            lower = b[i - 1].upper_bound;
        if (lower >= v)
            return fmin(before, total);
        if (b[i].upper_bound > v)
            return fmin(rank_in_bucket(v, lower, b[i].upper_bound, before, b[i].count), total);
        before = b[i].count;
    }
    return total;
}

double classic_histogram_fraction(double lower, double upper, struct classic_bucket *b,
                                  size_t count)
{
    if (count == 0)
        return NAN;
    count = merge_buckets(b, count);
    if (!(isinf(b[count - 1].upper_bound) && b[count - 1].upper_bound > 0))
        return NAN;
    double total = b[count - 1].count;
    if (total == 0 || isnan(lower) || isnan(upper))
        return NAN;
    if (lower >= upper)
        return 0;
    return (rank_of(upper, b, count) - rank_of(lower, b, count)) / total;
}
