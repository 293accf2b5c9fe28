/* SPDX-License-Identifier: Apache-2.0 */
/* functions_list.h: every function of PromQL (Prometheus 3), once: X(id, name, result, arguments, variadic,
 * experimental).
 * Arguments: S scalar, V instant vector, M range vector, T string, one letter each.
 * variadic: 0 = exactly these; n > 0 = the last argument may be left out or given up to n times;
 * -1 = any number of the last one, none included. */
#ifndef BELFRY_PROMQL_FUNCTIONS_LIST_H
#define BELFRY_PROMQL_FUNCTIONS_LIST_H

#define PROMQL_FUNCTIONS(X)                                                                        \
    X(ABS, "abs", VALUE_VECTOR, "V", 0, false)                                                     \
    X(ABSENT, "absent", VALUE_VECTOR, "V", 0, false)                                               \
    X(ABSENT_OVER_TIME, "absent_over_time", VALUE_VECTOR, "M", 0, false)                           \
    X(ACOS, "acos", VALUE_VECTOR, "V", 0, false)                                                   \
    X(ACOSH, "acosh", VALUE_VECTOR, "V", 0, false)                                                 \
    X(ASIN, "asin", VALUE_VECTOR, "V", 0, false)                                                   \
    X(ASINH, "asinh", VALUE_VECTOR, "V", 0, false)                                                 \
    X(ATAN, "atan", VALUE_VECTOR, "V", 0, false)                                                   \
    X(ATANH, "atanh", VALUE_VECTOR, "V", 0, false)                                                 \
    X(AVG_OVER_TIME, "avg_over_time", VALUE_VECTOR, "M", 0, false)                                 \
    X(CEIL, "ceil", VALUE_VECTOR, "V", 0, false)                                                   \
    X(CHANGES, "changes", VALUE_VECTOR, "M", 0, false)                                             \
    X(CLAMP, "clamp", VALUE_VECTOR, "VSS", 0, false)                                               \
    X(CLAMP_MAX, "clamp_max", VALUE_VECTOR, "VS", 0, false)                                        \
    X(CLAMP_MIN, "clamp_min", VALUE_VECTOR, "VS", 0, false)                                        \
    X(COS, "cos", VALUE_VECTOR, "V", 0, false)                                                     \
    X(COSH, "cosh", VALUE_VECTOR, "V", 0, false)                                                   \
    X(COUNT_OVER_TIME, "count_over_time", VALUE_VECTOR, "M", 0, false)                             \
    X(DAYS_IN_MONTH, "days_in_month", VALUE_VECTOR, "V", 1, false)                                 \
    X(DAY_OF_MONTH, "day_of_month", VALUE_VECTOR, "V", 1, false)                                   \
    X(DAY_OF_WEEK, "day_of_week", VALUE_VECTOR, "V", 1, false)                                     \
    X(DAY_OF_YEAR, "day_of_year", VALUE_VECTOR, "V", 1, false)                                     \
    X(DEG, "deg", VALUE_VECTOR, "V", 0, false)                                                     \
    X(DELTA, "delta", VALUE_VECTOR, "M", 0, false)                                                 \
    X(DERIV, "deriv", VALUE_VECTOR, "M", 0, false)                                                 \
    X(DOUBLE_EXPONENTIAL_SMOOTHING, "double_exponential_smoothing", VALUE_VECTOR, "MSS", 0, true)  \
    X(END, "end", VALUE_SCALAR, "", 0, true)                                                       \
    X(EXP, "exp", VALUE_VECTOR, "V", 0, false)                                                     \
    X(FIRST_OVER_TIME, "first_over_time", VALUE_VECTOR, "M", 0, true)                              \
    X(FLOOR, "floor", VALUE_VECTOR, "V", 0, false)                                                 \
    X(HISTOGRAM_AVG, "histogram_avg", VALUE_VECTOR, "V", 0, false)                                 \
    X(HISTOGRAM_COUNT, "histogram_count", VALUE_VECTOR, "V", 0, false)                             \
    X(HISTOGRAM_FRACTION, "histogram_fraction", VALUE_VECTOR, "SSV", 0, false)                     \
    X(HISTOGRAM_QUANTILE, "histogram_quantile", VALUE_VECTOR, "SV", 0, false)                      \
    X(HISTOGRAM_QUANTILES, "histogram_quantiles", VALUE_VECTOR, "VTS", 9, true)                    \
    X(HISTOGRAM_STDDEV, "histogram_stddev", VALUE_VECTOR, "V", 0, false)                           \
    X(HISTOGRAM_STDVAR, "histogram_stdvar", VALUE_VECTOR, "V", 0, false)                           \
    X(HISTOGRAM_SUM, "histogram_sum", VALUE_VECTOR, "V", 0, false)                                 \
    X(HOUR, "hour", VALUE_VECTOR, "V", 1, false)                                                   \
    X(IDELTA, "idelta", VALUE_VECTOR, "M", 0, false)                                               \
    X(INCREASE, "increase", VALUE_VECTOR, "M", 0, false)                                           \
    X(INFO, "info", VALUE_VECTOR, "VV", 1, true)                                                   \
    X(IRATE, "irate", VALUE_VECTOR, "M", 0, false)                                                 \
    X(LABEL_JOIN, "label_join", VALUE_VECTOR, "VTTT", -1, false)                                   \
    X(LABEL_REPLACE, "label_replace", VALUE_VECTOR, "VTTTT", 0, false)                             \
    X(LAST_OVER_TIME, "last_over_time", VALUE_VECTOR, "M", 0, false)                               \
    X(LN, "ln", VALUE_VECTOR, "V", 0, false)                                                       \
    X(LOG10, "log10", VALUE_VECTOR, "V", 0, false)                                                 \
    X(LOG2, "log2", VALUE_VECTOR, "V", 0, false)                                                   \
    X(MAD_OVER_TIME, "mad_over_time", VALUE_VECTOR, "M", 0, true)                                  \
    X(MAX_OVER_TIME, "max_over_time", VALUE_VECTOR, "M", 0, false)                                 \
    X(MAX_OF, "max_of", VALUE_SCALAR, "SS", 0, true)                                               \
    X(MINUTE, "minute", VALUE_VECTOR, "V", 1, false)                                               \
    X(MIN_OVER_TIME, "min_over_time", VALUE_VECTOR, "M", 0, false)                                 \
    X(MIN_OF, "min_of", VALUE_SCALAR, "SS", 0, true)                                               \
    X(MONTH, "month", VALUE_VECTOR, "V", 1, false)                                                 \
    X(PI, "pi", VALUE_SCALAR, "", 0, false)                                                        \
    X(PREDICT_LINEAR, "predict_linear", VALUE_VECTOR, "MS", 0, false)                              \
    X(PRESENT_OVER_TIME, "present_over_time", VALUE_VECTOR, "M", 0, false)                         \
    X(QUANTILE_OVER_TIME, "quantile_over_time", VALUE_VECTOR, "SM", 0, false)                      \
    X(RAD, "rad", VALUE_VECTOR, "V", 0, false)                                                     \
    X(RANGE, "range", VALUE_SCALAR, "", 0, true)                                                   \
    X(RATE, "rate", VALUE_VECTOR, "M", 0, false)                                                   \
    X(RESETS, "resets", VALUE_VECTOR, "M", 0, false)                                               \
    X(ROUND, "round", VALUE_VECTOR, "VS", 1, false)                                                \
    X(SCALAR, "scalar", VALUE_SCALAR, "V", 0, false)                                               \
    X(SGN, "sgn", VALUE_VECTOR, "V", 0, false)                                                     \
    X(SIN, "sin", VALUE_VECTOR, "V", 0, false)                                                     \
    X(SINH, "sinh", VALUE_VECTOR, "V", 0, false)                                                   \
    X(SORT, "sort", VALUE_VECTOR, "V", 0, false)                                                   \
    X(SORT_BY_LABEL, "sort_by_label", VALUE_VECTOR, "VT", -1, true)                                \
    X(SORT_BY_LABEL_DESC, "sort_by_label_desc", VALUE_VECTOR, "VT", -1, true)                      \
    X(SORT_DESC, "sort_desc", VALUE_VECTOR, "V", 0, false)                                         \
    X(SQRT, "sqrt", VALUE_VECTOR, "V", 0, false)                                                   \
    X(START, "start", VALUE_SCALAR, "", 0, true)                                                   \
    X(STDDEV_OVER_TIME, "stddev_over_time", VALUE_VECTOR, "M", 0, false)                           \
    X(STDVAR_OVER_TIME, "stdvar_over_time", VALUE_VECTOR, "M", 0, false)                           \
    X(STEP, "step", VALUE_SCALAR, "", 0, true)                                                     \
    X(SUM_OVER_TIME, "sum_over_time", VALUE_VECTOR, "M", 0, false)                                 \
    X(TAN, "tan", VALUE_VECTOR, "V", 0, false)                                                     \
    X(TANH, "tanh", VALUE_VECTOR, "V", 0, false)                                                   \
    X(TIME, "time", VALUE_SCALAR, "", 0, false)                                                    \
    X(TIMESTAMP, "timestamp", VALUE_VECTOR, "V", 0, false)                                         \
    X(TS_OF_FIRST_OVER_TIME, "ts_of_first_over_time", VALUE_VECTOR, "M", 0, true)                  \
    X(TS_OF_LAST_OVER_TIME, "ts_of_last_over_time", VALUE_VECTOR, "M", 0, true)                    \
    X(TS_OF_MAX_OVER_TIME, "ts_of_max_over_time", VALUE_VECTOR, "M", 0, true)                      \
    X(TS_OF_MIN_OVER_TIME, "ts_of_min_over_time", VALUE_VECTOR, "M", 0, true)                      \
    X(VECTOR, "vector", VALUE_VECTOR, "S", 0, false)                                               \
    X(YEAR, "year", VALUE_VECTOR, "V", 1, false)

#endif
