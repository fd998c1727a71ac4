/* Owns how others see a packed object. */
#include <stdlib.h>

#include "rbac-sync/store.h"
#include "rbac-sync/store_entry.h"

void entry_observe(const struct entry *e, enum object_kind kind, struct arena *a, struct observed *out)
{
	/* One copy serves all members. */
	size_t end = e->size;
	const char *t = arena_strndup(a, e->text, end);
	char *ns = e->namespace_len ? arena_strndup(a, e->text, e->namespace_len) : NULL;
#define AT(member) (e->member ? t + e->member : NULL)
	*out = (struct observed){
	    .id = {kind, ns, t + e->name},
	    .uid = AT(uid),
	    .resource_version = AT(version_text),
	    .record = AT(record),
	    .managed_by = AT(managed_by),
	    .user = AT(user),
	    .group = AT(group),
	    .provider = AT(provider),
	    .spec_hash = AT(spec_hash),
	    .terminating = e->terminating,
	    .keep = e->keep,
	    .role_kind = !e->role ? NULL : e->cluster_role ? "ClusterRole" : "Role",
	    .role = AT(role),
	    .labels = AT(labels),
	    .nlabels = e->nlabels,
	};
#undef AT
	memcpy(out->live, e->live, SHA256_LEN);
}

bool observed_read(enum object_kind kind, const json_t *object, struct arena *a, struct observed *out)
{
	struct entry *e = kind < KIND_USER_RECORD ? entry_new(kind, object) : NULL;
	if (!e)
		return false;
	entry_observe(e, kind, a, out);
	free(e);
	return true;
}

const char *observed_label(const struct observed *o, const char *key)
{
	const char *p = o->labels;
	for (size_t i = 0; i < o->nlabels; i++) {
		const char *value = p + strlen(p) + 1;
		if (strcmp(p, key) == 0)
			return value;
		p = value + strlen(value) + 1;
	}
	return NULL;
}
