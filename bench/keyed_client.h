/* SPDX-License-Identifier: Apache-2.0 */
/* keyed_client.h: the design that C programs had before: a series is found by its text. For comparison only.
 *
 * It does the work that prometheus-client-c's design does for each update: take the metric's lock, lay out
 * `name{label="value",...}` in a buffer, copy that to the heap, take the map's lock, hash the text and compare it along a chain,
 * then add to a double with compare-and-swap. A histogram is a series per bucket behind one more lock: for each bucket at
 * or above the value, its bound is formatted, and two maps are asked (bound to text, text to series). An exposition
 * asks the map for each key again and prints "%.17g".
 *
 * Left out, so this is faster than the original: a node and one more copy of the key made and freed in each lookup, and a buffer
 * that is filled byte by byte. It never grows its map under an update here: all series are made before the clock runs. */
#ifndef BELFRY_BENCH_KEYED_CLIENT_H
#define BELFRY_BENCH_KEYED_CLIENT_H

#include <stddef.h>

struct keyed_metric;

/* `bounds` NULL: a counter. Everything is borrowed. */
struct keyed_metric *keyed_metric_new(const char *name, const char *const *label_names,
                                      size_t label_count, const double *bounds, size_t bound_count);
void keyed_metric_free(struct keyed_metric *metric);
void keyed_counter_inc(struct keyed_metric *metric, const char *const *values);
void keyed_histogram_observe(struct keyed_metric *metric, const char *const *values, double value);
/* The exposition: its size in bytes. */
size_t keyed_metric_write(struct keyed_metric *metric);

#endif
