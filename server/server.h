/* The one server of a process: what every request and the main loop share. */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "authn/reasons.h"
#include "common/metrics.h"
#include "common/work.h"
#include "server/first_login.h"
#include "server/snapshot.h"
#include "server/status.h"

/* accepted, refused, unavailable */
#define TOKEN_RESULTS 3

/* The outcomes of reviews, as counters that stand in the exposition from the start. */
struct server_metrics {
	struct metric *verdicts[3], *access_errors; /* by enum verdict */
	/* By the result's index and the reason's: looked up at the first of its kind. */
	_Atomic(struct metric *) token_reviews[TOKEN_RESULTS][AUTHN_REASON_COUNT];
	struct metric *access_seconds, *token_seconds;
	struct metric *shadow_divergence[3][3]; /* from the verdict given, to the other */
};

/* What /policy/status says (server/policy_report.h). */
struct policy_board {
	pthread_mutex_t lock; /* guards TEXT */
	struct buf text;
	_Atomic int64_t stale_since; /* clock_mono(); 0: the files are what decides */
};

struct server {
	struct snapshots snapshots;
	struct authn_services *services;
	/* Apart, so that directory logins cannot starve token reviews and a slow disk neither of them. */
	struct work_pool *token_work, *login_work, *spool_work;
	struct status status;
	struct policy_board policy;
	struct server_metrics metrics;
	struct first_login first_login;
	_Atomic int64_t last_unavailable_log;
};

/* True at most once a second for each *LAST: repeated trouble must not fill the log. Thread-safe. */
bool server_may_log(_Atomic int64_t *last);

#endif
