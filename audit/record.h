/* The audit record as text: pure formatting and the hash rule. Private to audit/. */
#ifndef AUDIT_RECORD_H
#define AUDIT_RECORD_H

#include "audit/audit.h"

enum record_type {
	RECORD_EVENT, /* server.event: an event whose name is none of the others */
	RECORD_AUTHZ,
	RECORD_AUTHN,
	RECORD_LOGIN, /* these in the order of enum audit_authn_kind */
	RECORD_REFRESH,
	RECORD_REVOKE,
	RECORD_POLICY_LOADED,
	RECORD_POLICY_REJECTED,
	RECORD_RULE_STARTED,
	RECORD_RULE_EXPIRED,
	RECORD_BREAK_GLASS,
	RECORD_SERVER_START,
	RECORD_SERVER_STOP,
	RECORD_CONFIG_LOADED,
	RECORD_CONFIG_REJECTED,
	RECORD_OPENED,
	RECORD_ROTATED,
	RECORD_GAP,
	RECORD_TRUNCATED,
	RECORD_TYPES /* how many there are */
};

#define RECORD_HASH_LEN 64 /* lower-case hex */
#define RECORD_CHAIN_LEN 26
#define RECORD_NODE_MAX 128

/* What record_line adds around a body: at most this, newline included. */
#define RECORD_FRAME_MAX ((size_t)256)
#define RECORD_BODY_MAX (AUDIT_LINE_MAX - RECORD_FRAME_MAX)

/* Who writes. Constant once a log is open. */
struct record_origin {
	char node[RECORD_NODE_MAX + 1];
	char chain[RECORD_CHAIN_LEN + 1];
};

/* One of the log's own events; members that do not belong to the type are 0 or NULL. */
struct record_self {
	const char *path, *cause;
	bool continued;
	uint64_t torn_bytes;	  /* audit.opened, audit.rotated */
	uint64_t from, to, count; /* audit.gap: the sequence numbers that were lost */
	uint64_t offset, size;	  /* audit.truncated: where we stood, what is left */
};

const char *record_type_name(enum record_type type);

/* Type of a name given to audit_write_event; RECORD_EVENT when it is none of those. */
enum record_type record_type_of_event(const char *name);

/* Each appends the members from "type" to the one before "prev" to OUT, which must be empty: at most
 * RECORD_BODY_MAX bytes whatever the input holds. */
void record_authz(struct buf *out, const struct record_origin *o, const struct audit_authz *r);
/* The same as breakglass.used. */
void record_use(struct buf *out, const struct record_origin *o, const struct audit_authz *r);
void record_authn(struct buf *out, const struct record_origin *o, const struct audit_authn *r);
void record_policy(struct buf *out, const struct record_origin *o, const struct audit_policy *r);
void record_rules(struct buf *out, const struct record_origin *o, const struct audit_rules *r);
void record_event(
    struct buf *out, const struct record_origin *o, const char *type, const char *detail);
void record_self(struct buf *out, const struct record_origin *o, enum record_type type,
    const struct record_self *r);

/* Appends the whole line of BODY with its newline to OUT. PREV is the hash of the record before (64
 * zeros at the start of a chain) and becomes this record's hash. */
void record_line(struct buf *out, int64_t ts, uint64_t seq, struct slice body,
    char prev[RECORD_HASH_LEN + 1]);

/* What the end of an existing file tells a writer that goes on. */
struct record_tail {
	uint64_t seq;
	char chain[RECORD_CHAIN_LEN + 1];
	char hash[RECORD_HASH_LEN + 1];
};

/* True when LINE (without newline) is a record of this form whose hash is right. */
bool record_check(struct slice line, struct record_tail *out);

#endif
