/* What the cluster holds, as the watches tell: records, namespaces and our own objects. Thread-safe.
 *
 * Ownership is told by inventory (record_binding) and by marks together; the store only says what stands where. */
#ifndef RBAC_SYNC_STORE_H
#define RBAC_SYNC_STORE_H

#include "rbac-sync/record.h"
#include "rbac-sync/selector.h"

struct store;

/* An object as it stands there; text in the reader's arena. */
struct observed {
	struct object_id id;
	const char *uid, *resource_version;
	const char *record, *managed_by;  /* labels; or NULL */
	const char *user, *group, *provider, *spec_hash; /* annotations; or NULL */
	uint8_t live[SHA256_LEN];	  /* object_digest */
	bool terminating, keep;
	const char *role_kind, *role;	  /* of a binding; or NULL */
	const char *labels;		  /* of a namespace, all of them: key NUL value NUL …, sorted; or NULL */
	size_t nlabels;
};

/* The same of OBJECT as the apiserver answered with it; false when it has no name. Its LIVE (in hex) is what belongs
 * into record_binding.live. */
bool observed_read(enum object_kind kind, const json_t *object, struct arena *a, struct observed *out);

/* Value of a namespace's label; NULL when it has none. */
const char *observed_label(const struct observed *o, const char *key);

/* Called without the store's lock held, in the thread of the watch: RECORD is the key of the record concerned (the
 * label, for an object; what it was before too, when that changed); NULL: any may be (a namespace is new or gone, has
 * other labels or began to terminate). An object whose marks, content and life are as they were is not told. RECORD
 * may be any text that somebody wrote into a label: no record need have that name. */
typedef void store_changed(void *ctx, enum object_kind kind, const char *record);

struct store *store_new(store_changed *changed, void *ctx);
void store_free(struct store **s);

/* --- the watches' side --- */
/* Between begin and end every object of KIND that was listed is put; what was not is gone after end. */
void store_list_begin(struct store *s, enum object_kind kind);
void store_list_end(struct store *s, enum object_kind kind);
void store_put(struct store *s, enum object_kind kind, const json_t *object);
void store_remove(struct store *s, enum object_kind kind, const json_t *object);

/* Every kind of KINDS (bits 1 << kind) was listed once. */
bool store_synced(const struct store *s, unsigned kinds);

/* --- the reader's side: copies into ARENA --- */
bool store_record(struct store *s, const char *key, struct arena *a, struct record *out);
/* There is a record of that name, readable or not. */
bool store_knows(struct store *s, const char *key);
/* record_claims of it. */
size_t store_claims(struct store *s, const char *key, struct arena *a, struct object_id **out);
bool store_object(struct store *s, const struct object_id *id, struct arena *a, struct observed *out);

/* What we know sooner than the watch: the answer to our own write. Older resourceVersions of the watch do not
 * replace it for a minute. Tells nobody: the writer knows. The watch's confirmation is told for records (the intake
 * waits for it), not for objects. After a DELETE: store_remove with the object as it was. */
void store_learn(struct store *s, enum object_kind kind, const json_t *object);

/* Records that went are kept as they were last, from now on until they are buried: what they had is to be removed. One
 * that came again under its name is in both places. */
void store_keep_last(struct store *s);
bool store_last(struct store *s, const char *key, struct arena *a, struct record *out);
void store_bury(struct store *s, const char *key);
size_t store_lasts(struct store *s, struct arena *a, const char ***out); /* names; how many */

/* Names of the records, sorted; how many. */
size_t store_records(struct store *s, struct arena *a, const char ***out);
/* How many objects carry our label, of all kinds but records, or of one; O(1), for limits on removals. */
size_t store_managed_count(struct store *s);
size_t store_managed_of(struct store *s, enum object_kind kind);
size_t store_count(struct store *s, enum object_kind kind);

/* --- namespaces, for templates --- */
/* Names whose labels fit SEL, sorted; those that terminate are left out. */
size_t store_namespaces(struct store *s, const struct selector *sel, struct arena *a, const char ***out);

#endif
