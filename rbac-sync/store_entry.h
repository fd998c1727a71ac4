/* One object as the store keeps it: a struct and its texts in one allocation. */
#ifndef RBAC_SYNC_STORE_ENTRY_H
#define RBAC_SYNC_STORE_ENTRY_H

#include <jansson.h>

#include "rbac-sync/object.h"

/* The texts follow the struct, each with its NUL; numbers are offsets into them. The key comes first, so 0 says that
 * there is no such text. */
struct entry {
	uint64_t version;	/* resourceVersion as a number; 0 when it is none */
	int64_t learned;	/* clock_mono until which older versions do not count; 0: told by the watch */
	uint32_t name, uid, version_text, record, managed_by, user, group, provider, spec_hash, role;
	uint32_t labels, nlabels; /* of a namespace: key NUL value NUL …, sorted */
	uint32_t json, json_len; /* of a record */
	uint32_t namespace_len, size; /* SIZE: of all texts */
	uint32_t mark;		/* of the list that saw it last */
	uint8_t live[SHA256_LEN];
	bool terminating, keep, cluster_role, ours;
	char text[];		/* begins with the key: NAMESPACE/NAME or NAME */
};

/* A copy of what the store needs of OBJECT, for free(); NULL when it has no name or is far too large. */
struct entry *entry_new(enum object_kind kind, const json_t *object);

/* A text of E; NULL when there is none. */
static inline const char *entry_text(const struct entry *e, uint32_t at)
{
	return at ? e->text + at : NULL;
}

static inline struct slice entry_key(const struct entry *e)
{
	return slice_of(e->text);
}

struct observed; /* store.h */
/* What E says, for store_object and observed_read (store_observed.c). Not of a record; its texts are A's. */
void entry_observe(const struct entry *e, enum object_kind kind, struct arena *a, struct observed *out);

/* Marks, content and life of two objects of one key are the same: what decides on actions. */
bool entry_same_object(const struct entry *a, const struct entry *b);
/* Labels and life of a namespace: what decides on where grants go. */
bool entry_same_labels(const struct entry *a, const struct entry *b);
bool entry_same_version(const struct entry *a, const struct entry *b);

#endif
