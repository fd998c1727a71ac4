/* Owns imports as a whole: from files to linked roles, bindings and lines. */
#include "policy/import.h"

void imports_done(struct imports *im)
{
	if (!im)
		return;
	map_done(&im->objects);
	map_done(&im->grants);
	map_done(&im->ids);
	map_done(&im->abac_files);
}

void import_file(struct imports *im, const struct policy_file *src)
{
	if (src->kind == POLICY_FILE_RBAC)
		import_rbac(im, src);
	else
		import_abac(im, src);
}

size_t imports_rules(const struct imports *im)
{
	return im ? im->nbindings + im->nlines : 0;
}

bool imports_has(const struct imports *im, struct slice id)
{
	return im && map_get(&im->ids, id);
}

static void link_binding(struct imports *im, struct import_binding *b)
{
	const char *kind = b->cluster_role ? "ClusterRole" : "Role";
	const char *key = b->cluster_role
			      ? arena_printf(im->arena, "ClusterRole//%s", b->role_name)
			      : arena_printf(im->arena, "Role/%s/%s", b->namespace_, b->role_name);
	b->role = map_get(&im->objects, slice_of(key));
	if (b->role)
		return;
	diags_warn(im->diags, b->role_at.file, b->role_at.line, b->role_at.col,
	    "there is no %s `%.100s`%s%s: the binding grants nothing", kind, b->role_name,
	    b->cluster_role ? "" : " in the namespace ", b->cluster_role ? "" : b->namespace_);
}

void imports_link(struct imports *im)
{
	import_aggregate(im);
	for (size_t i = 0; i < im->nbindings; i++)
		link_binding(im, im->bindings[i]);
}
