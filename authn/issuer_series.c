/* Owns the metrics that carry an issuer's URL, and how long each is shown. */
#include "authn/issuer_series.h"

#include <stdlib.h>

#include "authn/issuer_state.h"
#include "common/metrics.h"

/* An issuer's URL with every byte escaped fits. */
#define LABELS_MAX ((size_t)32 << 10)

static const char fetch_name[] = "portcullis_jwks_fetch_total";
static const char fetch_help[] = "Fetches of an issuer's key set by result.";
static const char success_name[] = "portcullis_jwks_last_success_timestamp_seconds";
static const char success_help[] = "When an issuer's key set was last fetched.";
static const char keys_name[] = "portcullis_jwks_keys";
static const char keys_help[] = "Usable keys of an issuer.";
static const char age_name[] = "portcullis_jwks_age_seconds";
static const char age_help[] = "Age of the key set that an issuer's tokens are verified with.";
static const char skew_name[] = "portcullis_jwks_clock_skew_seconds";
static const char skew_help[] = "An issuer's clock less ours, by the Date of its last answer.";
static const char verdict_name[] = "portcullis_jwt_verifications_total";
static const char verdict_help[] = "Verdicts on an issuer's tokens by result.";

/* What to do with one series: look it up (into *M) or hide it. */
struct visit {
	const struct issuer_series *series;
	bool hide;
};

static void visit(const struct visit *v, const char *name, const char *help, const char *result,
    bool gauge, struct metric **m)
{
	struct buf b;
	buf_init(&b, LABELS_MAX);
	metrics_label(&b, "issuer", slice_of(v->series->url));
	if (result)
		metrics_label(&b, "result", slice_of(result));
	if (v->hide)
		metrics_forget(name, buf_cstr(&b));
	else if (gauge)
		*m = metrics_gauge(name, help, buf_cstr(&b));
	else
		*m = metrics_counter(name, help, buf_cstr(&b));
	buf_done(&b);
}

static void visit_all(struct issuer_series *s, bool hide)
{
	const struct visit v = {s, hide};
	if (s->fetched) {
		visit(&v, fetch_name, fetch_help, "ok", false, &s->fetch_ok);
		visit(&v, fetch_name, fetch_help, "error", false, &s->fetch_error);
		visit(&v, success_name, success_help, NULL, true, &s->last_success);
		visit(&v, keys_name, keys_help, NULL, true, &s->keys);
		visit(&v, age_name, age_help, NULL, true, &s->age);
		visit(&v, skew_name, skew_help, NULL, true, &s->skew);
	} else {
		visit(&v, verdict_name, verdict_help, "accepted", false, &s->accepted);
		visit(&v, verdict_name, verdict_help, "refused", false, &s->refused);
		visit(&v, verdict_name, verdict_help, "unavailable", false, &s->unavailable);
	}
}

struct issuer_series *issuer_series_hold(struct issuers *s, const char *url, bool fetched)
{
	pthread_mutex_lock(&s->series_lock);
	struct issuer_series *m = s->series;
	while (m && (m->fetched != fetched || strcmp(m->url, url) != 0))
		m = m->next;
	if (!m) {
		m = calloc(1, sizeof(*m));
		if (!m || !(m->url = strdup(url)))
			abort();
		m->fetched = fetched;
		visit_all(m, false);
		m->next = s->series;
		s->series = m;
	}
	m->refs++;
	pthread_mutex_unlock(&s->series_lock);
	return m;
}

void issuer_series_release(struct issuers *s, struct issuer_series **series)
{
	if (!*series)
		return;
	struct issuer_series *m = TAKE(*series);
	pthread_mutex_lock(&s->series_lock);
	if (--m->refs == 0) {
		struct issuer_series **at = &s->series;
		while (*at != m)
			at = &(*at)->next;
		*at = m->next;
		visit_all(m, true);
		free(m->url);
		free(m);
	}
	pthread_mutex_unlock(&s->series_lock);
}

void issuer_series_count(struct issuer_series *series, enum authn_step step)
{
	if (step == AUTHN_ACCEPT)
		metric_inc(series->accepted);
	else if (step == AUTHN_REJECT)
		metric_inc(series->refused);
	else if (step == AUTHN_UNAVAILABLE)
		metric_inc(series->unavailable);
}
