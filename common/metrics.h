/* The process's metrics: counters, gauges, histograms, and their text exposition (Prometheus 0.0.4).
 *
 * Look a metric up once, at start or when a snapshot is built, keep the pointer, update it lock-free.
 * Label values come from configuration or from fixed words, never from a request: the number of series
 * of one name is capped at METRICS_SERIES_MAX, past which look-ups share one series {overflow="true"}. */
#ifndef COMMON_METRICS_H
#define COMMON_METRICS_H

#include "common/str.h"

#define METRICS_SERIES_MAX 256

struct metric;

/* Finds or creates; never NULL. One NAME with two types is our own bug and aborts. NAME and HELP are string constants; LABELS is rendered text such as
 * `result="allow",version="v1"` or "" (copied; quote values with metrics_label). Thread-safe. */
struct metric *metrics_counter(const char *name, const char *help, const char *labels);
struct metric *metrics_gauge(const char *name, const char *help, const char *labels);

/* BOUNDS: ascending upper bounds in seconds, N of them; +Inf is implied. Same NAME, same BOUNDS. */
struct metric *metrics_histogram(
    const char *name, const char *help, const char *labels, const double *bounds, size_t n);

void metric_add(struct metric *m, uint64_t n); /* counter, gauge */
void metric_sub(struct metric *m, uint64_t n); /* gauge */
void metric_set(struct metric *m, double v);   /* gauge */
void metric_observe(struct metric *m, double seconds); /* histogram */

static inline void metric_inc(struct metric *m)
{
	metric_add(m, 1);
}

/* Value of a counter or gauge, count of a histogram: for tests and readyz. */
double metric_value(const struct metric *m);

/* Appends KEY="VALUE" with VALUE escaped, and a comma when OUT is not empty. */
void metrics_label(struct buf *out, const char *key, struct slice value);

/* Hides a series whose label value left the configuration. Pointers to it stay valid, and a look-up of
 * the same labels shows it again with its old value. */
void metrics_forget(const char *name, const char *labels);

/* Bounds that suit answers between microseconds and the apiserver's 30 s. */
extern const double metrics_latency_bounds[];
extern const size_t metrics_latency_bounds_len;

/* The whole exposition, names and series in sorted order, with # HELP and # TYPE. */
void metrics_write(struct buf *out);

#endif
