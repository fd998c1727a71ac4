/* What an issuer shows in the metrics: series with its URL as label, for as long as the URL is configured. */
#ifndef AUTHN_ISSUER_SERIES_H
#define AUTHN_ISSUER_SERIES_H

#include "authn/authn.h"

struct issuers; /* authn/issuer.h */
struct metric;	/* common/metrics.h */

/* Shared by all that name the URL: snapshots come and go, and CA or discovery URL may change meanwhile. */
struct issuer_series {
	struct issuer_series *next;
	unsigned refs;
	bool fetched;
	char *url;
	struct metric *fetch_ok, *fetch_error, *last_success, *keys, *age, *skew; /* when fetched */
	struct metric *accepted, *refused, *unavailable;			  /* else */
};

/* The series of URL: those of its key set (FETCHED) or those of its tokens' verdicts. Thread-safe. */
struct issuer_series *issuer_series_hold(struct issuers *s, const char *url, bool fetched);

/* The last one to release them hides them. */
void issuer_series_release(struct issuers *s, struct issuer_series **series);

/* Counts a verdict on one of the issuer's tokens; AUTHN_PASS and AUTHN_NEEDS_WORK are none. */
void issuer_series_count(struct issuer_series *series, enum authn_step step);

#endif
