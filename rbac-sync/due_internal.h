/* What the parts share that tell what is due. */
#ifndef RBAC_SYNC_DUE_INTERNAL_H
#define RBAC_SYNC_DUE_INTERNAL_H

#include "rbac-sync/due.h"

#define DUE_GRACE 60 /* seconds after its end for which a grant stays: clocks differ */

/* A grant at one moment. */
struct due_span {
	bool on;
	int64_t expires; /* unix seconds of its announced end; 0: none */
	int64_t next;	 /* unix seconds of the next change; INT64_MAX: none */
};

/* SEEN: when the user was last seen. All in unix seconds; pure. */
void due_span_at(const struct template_time *t, int64_t seen, int64_t now, struct due_span *out);

/* One object before it is JSON. */
struct due_body {
	struct object_id id;
	const struct template *t;
	const struct pattern_values *values; /* provider, user, group it is for */
	enum template_owner owner;
	struct slice group;	   /* of OWNER_GROUP */
	int64_t expires;	   /* 0: none */
	const struct template_value *labels, *annotations; /* further ones; or NULL */
	/* One of: */
	const struct template_grant *grant;
	struct slice subject;
	const struct template_value *spec;
};

/* The key of whose object it is: the user's, the group's or the template's. */
void due_owner_key(const struct due_body *b, char out[SPOOL_KEY_LEN + 1]);

/* due_make of a record that lost no groups. */
void due_of(struct arena *a, const struct record *r, const struct due_world *w, struct due *out);

/* Orders struct desired by id, for qsort. */
int due_by_id(const void *a, const void *b);

/* due_name of a binding. */
const char *due_binding_name(struct arena *a, const struct due_body *b, enum subject_kind kind);

/* The whole object into *OUT, the arena's, and its digest into HASH. ERR_REFUSED with a sentence. */
enum err_code due_body_json(
    struct arena *a, const struct due_body *b, json_t **out, char hash[17], struct err *e) MUST_CHECK;

#endif
