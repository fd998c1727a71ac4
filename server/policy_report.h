/* What is told of the policies: audit records, metrics, and the document of /policy/status. */
#ifndef SERVER_POLICY_REPORT_H
#define SERVER_POLICY_REPORT_H

#include "server/server.h"

/* How the files of a policy are against what serves. */
struct policy_trouble {
	bool failing;
	const char *since, *stage, *error; /* when failing */
};

struct policy_report {
	const struct config *config;
	const struct served_policy *policy, *shadow; /* NULL: none serves */
	struct policy_trouble policy_trouble, shadow_trouble;
};

/* policy.loaded for NOW, or policy.rejected when T fails. OLD: what served before, or NULL. SHADOW: it is
 * about the shadow policy. LOG may be NULL. */
void policy_report_audit(struct audit_log *log, const struct policy_report *r, bool shadow,
    const struct policy_info *old);

/* The gauges of what serves. One caller at a time. */
void policy_report_metrics(const struct policy_report *r);

/* Makes the document, for handle_policy_status and as STATE_DIR/policy-status.json, which tells of a daemon
 * that cannot be asked. ERR_UNAVAILABLE when the file could not be written. */
enum err_code policy_report_status(
    struct policy_board *board, const struct policy_report *r, struct err *e) MUST_CHECK;

/* The board that /policy/status reads. Thread-safe but for init and done. */
void policy_board_init(struct policy_board *b);
void policy_board_done(struct policy_board *b);
void policy_board_read(struct policy_board *b, struct buf *out);

/* Sets portcullis_policy_stale_seconds as it is now: before a page of metrics is written. */
void policy_board_measure(struct policy_board *b);

#endif
