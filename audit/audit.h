/* The audit log: complete, ordered, one JSON object a line, hash-chained. Record fields and their order:
 * docs/audit-record.md and docs/audit-record.schema.json. Knows nothing of authn, authz or policy: callers
 * hand over plain values. */
#ifndef AUDIT_AUDIT_H
#define AUDIT_AUDIT_H

#include "common/err.h"
#include "common/str.h"

#define AUDIT_LINE_MAX ((size_t)16 << 10)
#define AUDIT_QUEUE_MAX 10000

struct audit_log;

/* Opens PATH (O_APPEND | O_CREAT | O_NOFOLLOW, 0600) or "-" for standard output, starts the writer thread
 * and writes audit.opened. Goes on with the chain of the file's last record when that is whole. A last line
 * torn by a crash is ended by a newline and reported in audit.opened. ERR_UNAVAILABLE while another log,
 * of this process or another, has PATH open. */
enum err_code audit_open(const char *path, struct audit_log **out, struct err *e) MUST_CHECK;

/* Writes all that is queued, closes. Does not wait for a disk that refuses: what one more try does not
 * write is counted in portcullis_audit_dropped_total. No other thread may use LOG any more. */
void audit_close(struct audit_log **log);

/* SIGHUP: the writer looks after its file at once, between two records, and follows its path when a
 * rotation put another file there (audit.rotated). It does so by itself before each write, too. */
void audit_reopen(struct audit_log *log);

/* Where a record comes from. */
struct audit_client {
	struct slice ip;
	uint16_t port;
	struct slice cert_cn, cert_sha256, tls;
};

struct audit_user {
	struct slice name, uid;
	const struct slice *groups;
	size_t ngroups;
	const struct slice *extra_keys;
	size_t nextra_keys;
};

struct audit_requirement {
	struct slice key, op;
	const struct slice *values;
	size_t n;
};

/* What another policy would have answered; DECISION NULL: the same. */
struct audit_shadow {
	const char *decision, *rule;
	int64_t generation; /* of the shadow policy; 0: shadow rules of the policy itself */
};

/* Access in an emergency: by whose leave, and until when. */
struct audit_break_glass {
	const char *ticket;
	const char *const *approved_by;
	size_t napproved;
	int64_t until; /* nanoseconds */
};

struct audit_authz {
	const char *id, *api_version;
	struct audit_client client;
	struct audit_user user;
	bool resource_request;
	struct slice verb, api_group, version, resource, subresource, name, namespace_, path;
	const struct audit_requirement *field_selector, *label_selector;
	size_t nfield, nlabel;
	const char *decision; /* allow deny noOpinion error */
	const char *effect, *rule, *rule_source;
	struct slice reason, evaluation_error;
	const struct audit_break_glass *break_glass; /* NULL: no rule of that kind decided */
	int64_t policy_generation;
	const char *policy_sha256, *policy_signed_by;
	struct audit_shadow shadow;
	uint64_t latency_us;
};

/* authn.review, authn.login, authn.refresh, authn.revoke */
enum audit_authn_kind { AUDIT_REVIEW, AUDIT_LOGIN, AUDIT_REFRESH, AUDIT_REVOKE };

struct audit_authn {
	const char *id, *api_version; /* api_version for a review alone */
	enum audit_authn_kind kind;
	struct audit_client client;
	const char *decision; /* authenticated refused error */
	const char *authenticator, *reason;
	struct slice issuer;
	struct audit_user user; /* only when authenticated, or a login whose entry was found */
	const struct slice *audiences;
	size_t naudiences;
	uint64_t latency_us;
};

struct audit_policy_file {
	const char *name, *kind, *sha256;
	bool owned; /* OWNER is known */
	uint32_t owner;
};

struct audit_policy {
	bool rejected, shadow; /* shadow: the one that decides nothing */
	const char *stage;     /* rejected: the check that refused it */
	const char *signed_by;
	const char *source; /* path as configured */
	const char *sha256, *old_sha256;
	int64_t generation, old_generation;
	size_t rules, deny_rules, abstain_rules, files;
	const struct audit_policy_file *list; /* FILES of them, or NULL */
	const char *error; /* rejected: first finding with file:line:col */
};

/* Rules that begin or cease to hold by the clock, all by the same window. */
struct audit_rules {
	bool started; /* else expired */
	bool final; /* expired, and will not start again */
	const char *const *rules; /* ids */
	size_t n;
	int64_t policy_generation;
	const char *policy_sha256;
};

/* Each copies what it needs and returns at once; when the queue is full the record is counted and an
 * audit.gap record tells from where to where (seq) as soon as there is room. Thread-safe. LOG may be
 * NULL (no audit configured). */
/* Writes authz.decision and, when a break-glass rule decided, breakglass.used with the same members right
 * behind it. False: neither will be written, for want of a log or of room in the queue. */
bool audit_write_authz(struct audit_log *log, const struct audit_authz *r);
void audit_write_authn(struct audit_log *log, const struct audit_authn *r);
void audit_write_policy(struct audit_log *log, const struct audit_policy *r);
void audit_write_rules(struct audit_log *log, const struct audit_rules *r);
/* TYPE: "server.start", "server.stop", "config.loaded", "config.rejected"; another name is written as
 * "server.event" with the member `event`. DETAIL may be NULL. */
void audit_write_event(struct audit_log *log, const char *type, const char *detail);

/* True while records cannot be written: *SINCE (wall clock, nanoseconds) and *WHY are then set. Thread-safe;
 * LOG may be NULL. */
bool audit_trouble(struct audit_log *log, int64_t *since, struct err *why);

/* Blocks until every record queued before the call is written, or an attempt to write fails: false then,
 * and the records stay queued. For tests and shutdown. */
bool audit_flush(struct audit_log *log);

#endif
