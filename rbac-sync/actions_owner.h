/* Whose an object of the cluster is. For actions.c alone. */
#ifndef RBAC_SYNC_ACTIONS_OWNER_H
#define RBAC_SYNC_ACTIONS_OWNER_H

#include "rbac-sync/actions.h"

/* For whom the question is asked; what is made on the way lives in ARENA. */
struct owner_case {
	struct arena *arena;
	const struct record *r;
	const struct actions_view *view;
};

static inline bool owner_is_binding(enum object_kind k)
{
	return k == KIND_ROLE_BINDING || k == KIND_CLUSTER_ROLE_BINDING;
}

/* It bears our label managed-by. */
bool owner_labelled(const struct observed *live);

/* An annotation of what D wants; without a text when it has none. */
struct slice owner_note(const struct desired *d, const char *key);

/* Why what stands at X's place (X->live) is not ours to write over; NULL when it is. */
const char *owner_foreign(const struct owner_case *m, const struct action *x);

/* Ours without doubt: the very object that we made, and still bearing a mark or, a binding, a name that we alone
 * give; or a binding that took its place under that name with all our marks, as after a crash in its repair. */
bool owner_proven(const struct owner_case *m, const struct record_binding *had, const struct observed *live);

/* A binding that no other record can be due: its name, which nobody can change, is a hash over this very user. */
bool owner_alone(const struct owner_case *m, const struct record_binding *had, const struct observed *live);

#endif
