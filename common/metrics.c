/* Owns the registry of metrics and its text exposition. */
#include "common/metrics.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum kind { COUNTER, GAUGE, HISTOGRAM };

/* One series. Never freed: snapshots of the past may still hold the pointer, and a label that comes
 * back finds its old count. Configuration bounds how many there can be. */
struct metric {
	struct family *family;
	char *labels;
	bool hidden;		     /* forgotten; under the registry's lock */
	_Atomic uint64_t value;	     /* counter: the count; gauge and histogram: bits of a double */
	_Atomic uint64_t *buckets;   /* histogram: one a bound and one for +Inf, not cumulative */
};

struct family {
	const char *name, *help;
	enum kind kind;
	const double *bounds;
	size_t nbounds;
	struct metric **series; /* sorted by labels */
	size_t len, shown;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct family **families; /* sorted by name */
static size_t nfamilies;

const double metrics_latency_bounds[] = {0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001,
    0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30};
const size_t metrics_latency_bounds_len = ARRAY_LEN(metrics_latency_bounds);

static void *must_alloc(void *p)
{
	if (!p)
		abort();
	return p;
}

/* Index of the first of N items whose KEY(item) is not below KEY. */
static size_t lower_bound(void *const *items, size_t n, const char *(*key_of)(const void *),
    const char *key)
{
	size_t lo = 0, hi = n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (strcmp(key_of(items[mid]), key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static const char *family_key(const void *f)
{
	return ((const struct family *)f)->name;
}

static const char *series_key(const void *m)
{
	return ((const struct metric *)m)->labels;
}

static void *insert(void *list, size_t *len, size_t at, void *item)
{
	void **p = must_alloc(reallocarray(list, *len + 1, sizeof(*p)));
	memmove(p + at + 1, p + at, (*len - at) * sizeof(*p));
	p[at] = item;
	*len += 1;
	return p;
}

static struct family *find_family(const char *name, size_t *at)
{
	*at = lower_bound((void *const *)families, nfamilies, family_key, name);
	if (*at < nfamilies && strcmp(families[*at]->name, name) == 0)
		return families[*at];
	return NULL;
}

static struct metric *find_series(const struct family *f, const char *labels, size_t *at)
{
	*at = lower_bound((void *const *)f->series, f->len, series_key, labels);
	if (*at < f->len && strcmp(f->series[*at]->labels, labels) == 0)
		return f->series[*at];
	return NULL;
}

static struct metric *get_series(struct family *f, const char *labels)
{
	size_t at;
	struct metric *m = find_series(f, labels, &at);
	if (f->shown >= METRICS_SERIES_MAX && (!m || m->hidden)) {
		labels = "overflow=\"true\"";
		m = find_series(f, labels, &at);
	}
	if (!m) {
		m = must_alloc(calloc(1, sizeof(*m)));
		m->family = f;
		m->labels = must_alloc(strdup(labels));
		m->hidden = true;
		if (f->kind == HISTOGRAM)
			m->buckets = must_alloc(calloc(f->nbounds + 1, sizeof(*m->buckets)));
		f->series = insert(f->series, &f->len, at, m);
	}
	f->shown += m->hidden;
	m->hidden = false;
	return m;
}

static struct metric *get(const struct family *want, const char *labels)
{
	pthread_mutex_lock(&lock);
	size_t at;
	struct family *f = find_family(want->name, &at);
	if (!f) {
		f = must_alloc(malloc(sizeof(*f)));
		*f = *want;
		families = insert(families, &nfamilies, at, f);
	}
	if (f->kind != want->kind) {
		fprintf(stderr, "{\"level\":\"fatal\",\"msg\":\"metric %s has two types\"}\n",
		    want->name);
		abort();
	}
	struct metric *m = get_series(f, labels);
	pthread_mutex_unlock(&lock);
	return m;
}

struct metric *metrics_counter(const char *name, const char *help, const char *labels)
{
	return get(&(struct family){.name = name, .help = help, .kind = COUNTER}, labels);
}

struct metric *metrics_gauge(const char *name, const char *help, const char *labels)
{
	return get(&(struct family){.name = name, .help = help, .kind = GAUGE}, labels);
}

struct metric *metrics_histogram(
    const char *name, const char *help, const char *labels, const double *bounds, size_t n)
{
	return get(&(struct family){.name = name, .help = help, .kind = HISTOGRAM, .bounds = bounds,
		       .nbounds = n},
	    labels);
}

void metrics_forget(const char *name, const char *labels)
{
	pthread_mutex_lock(&lock);
	size_t at;
	struct family *f = find_family(name, &at);
	struct metric *m = f ? find_series(f, labels, &at) : NULL;
	if (m && !m->hidden) {
		m->hidden = true;
		f->shown--;
	}
	pthread_mutex_unlock(&lock);
}

static double from_bits(uint64_t bits)
{
	double v;
	memcpy(&v, &bits, sizeof(v));
	return v;
}

static uint64_t to_bits(double v)
{
	uint64_t bits;
	memcpy(&bits, &v, sizeof(bits));
	return bits;
}

static void add_double(_Atomic uint64_t *cell, double delta)
{
	uint64_t old = atomic_load_explicit(cell, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(cell, &old, to_bits(from_bits(old) + delta),
	    memory_order_relaxed, memory_order_relaxed))
		;
}

void metric_add(struct metric *m, uint64_t n)
{
	if (m->family->kind == COUNTER)
		atomic_fetch_add_explicit(&m->value, n, memory_order_relaxed);
	else if (m->family->kind == GAUGE)
		add_double(&m->value, (double)n);
}

void metric_sub(struct metric *m, uint64_t n)
{
	if (m->family->kind == GAUGE)
		add_double(&m->value, -(double)n);
}

void metric_set(struct metric *m, double v)
{
	if (m->family->kind == GAUGE)
		atomic_store_explicit(&m->value, to_bits(v), memory_order_relaxed);
}

void metric_observe(struct metric *m, double seconds)
{
	const struct family *f = m->family;
	if (f->kind != HISTOGRAM || isnan(seconds))
		return;
	if (seconds < 0) /* a clock that stepped back must not make the sum fall */
		seconds = 0;
	size_t i = 0;
	while (i < f->nbounds && seconds > f->bounds[i])
		i++;
	atomic_fetch_add_explicit(&m->buckets[i], 1, memory_order_relaxed);
	add_double(&m->value, seconds);
}

double metric_value(const struct metric *m)
{
	uint64_t v = atomic_load_explicit(&m->value, memory_order_relaxed);
	if (m->family->kind == COUNTER)
		return (double)v;
	if (m->family->kind == GAUGE)
		return from_bits(v);
	uint64_t n = 0;
	for (size_t i = 0; i <= m->family->nbounds; i++)
		n += atomic_load_explicit(&m->buckets[i], memory_order_relaxed);
	return (double)n;
}

/* Backslash and newline always, the quote in label values only (the format's two escapings). What
 * is no UTF-8 would make a scraper refuse the whole page: its bytes past ASCII become '?'. */
static void add_escaped(struct buf *out, struct slice s, bool quote)
{
	bool clean = slice_utf8(s);
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];
		if (c == '\\')
			buf_adds(out, "\\\\");
		else if (c == '\n')
			buf_adds(out, "\\n");
		else if (c == '"' && quote)
			buf_adds(out, "\\\"");
		else
			buf_addc(out, !clean && (unsigned char)c >= 0x80 ? '?' : c);
	}
}

void metrics_label(struct buf *out, const char *key, struct slice value)
{
	if (out->len > 0)
		buf_addc(out, ',');
	buf_adds(out, key);
	buf_adds(out, "=\"");
	add_escaped(out, value, true);
	buf_addc(out, '"');
}

/* The shortest decimal that reads back as V: 0.1, not 0.10000000000000001. */
static void add_number(struct buf *out, double v)
{
	char text[32];
	if (isnan(v) || isinf(v)) {
		buf_adds(out, isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, v);
		if (to_bits(strtod(text, NULL)) == to_bits(v))
			break;
	}
	buf_adds(out, text);
}

/* NAME SUFFIX {LABELS,le="LE"} and the space; LE is NULL but for buckets. */
static void add_series_name(
    struct buf *out, const struct metric *m, const char *suffix, const double *le)
{
	buf_adds(out, m->family->name);
	buf_adds(out, suffix);
	if (m->labels[0] || le) {
		buf_addc(out, '{');
		buf_adds(out, m->labels);
		if (le) {
			buf_adds(out, m->labels[0] ? ",le=\"" : "le=\"");
			add_number(out, *le);
			buf_addc(out, '"');
		}
		buf_addc(out, '}');
	}
	buf_addc(out, ' ');
}

/* The count is the sum of the buckets as read here: +Inf and _count agree even while threads add. */
static void write_histogram(struct buf *out, const struct metric *m)
{
	const struct family *f = m->family;
	uint64_t n = 0;
	for (size_t i = 0; i <= f->nbounds; i++) {
		double le = i < f->nbounds ? f->bounds[i] : (double)INFINITY;
		n += atomic_load_explicit(&m->buckets[i], memory_order_relaxed);
		add_series_name(out, m, "_bucket", &le);
		buf_u64(out, n);
		buf_addc(out, '\n');
	}
	add_series_name(out, m, "_sum", NULL);
	add_number(out, from_bits(atomic_load_explicit(&m->value, memory_order_relaxed)));
	buf_addc(out, '\n');
	add_series_name(out, m, "_count", NULL);
	buf_u64(out, n);
	buf_addc(out, '\n');
}

static void write_series(struct buf *out, const struct metric *m)
{
	if (m->family->kind == HISTOGRAM) {
		write_histogram(out, m);
		return;
	}
	uint64_t v = atomic_load_explicit(&m->value, memory_order_relaxed);
	add_series_name(out, m, "", NULL);
	if (m->family->kind == COUNTER)
		buf_u64(out, v);
	else
		add_number(out, from_bits(v));
	buf_addc(out, '\n');
}

static void write_family(struct buf *out, const struct family *f)
{
	static const char *const words[] = {"counter", "gauge", "histogram"};
	if (f->shown == 0)
		return;
	buf_printf(out, "# HELP %s ", f->name);
	add_escaped(out, slice_of(f->help), false);
	buf_printf(out, "\n# TYPE %s %s\n", f->name, words[f->kind]);
	for (size_t i = 0; i < f->len; i++)
		if (!f->series[i]->hidden)
			write_series(out, f->series[i]);
}

void metrics_write(struct buf *out)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < nfamilies; i++)
		write_family(out, families[i]);
	pthread_mutex_unlock(&lock);
}
