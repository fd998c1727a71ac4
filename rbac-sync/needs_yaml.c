/* Owns the printing of needs as RBAC objects: the fewest rules with one resource each. */
#include "rbac-sync/needs.h"
#include "rbac-sync/object_text.h"
#include "rbac-sync/rails.h"

#define RBAC "rbac.authorization.k8s.io"

struct subject {
	const char *kind;
	struct slice namespace_, name;
};

static enum err_code read_subject(const char *text, struct subject *out, struct err *e)
{
	static const char *const kinds[] = {"User", "Group", "ServiceAccount"};
	struct slice all = slice_of(text);
	struct slice kind = {all.p, slice_find(all, ':')};
	*out = (struct subject){.name = slice_skip(all, kind.len + 1)};
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (slice_is(kind, kinds[i]))
			out->kind = kinds[i];
	}
	if (!out->kind)
		return err_set(e, ERR_INVALID, "a subject is User:NAME, Group:NAME or ServiceAccount:NAMESPACE/NAME");
	if (strcmp(out->kind, "ServiceAccount") == 0) {
		size_t slash = slice_find(out->name, '/');
		out->namespace_ = (struct slice){out->name.p, slash};
		out->name = slice_skip(out->name, slash + 1);
		if (!rails_dns_label(out->namespace_, 63))
			return err_set(e, ERR_INVALID, "a service account is named NAMESPACE/NAME");
	}
	if (!out->name.len || !slice_printable(out->name))
		return err_set(e, ERR_INVALID, "the subject has no name that can be printed");
	return ERR_OK;
}

static bool same_place(const struct need *a, const struct need *b)
{
	return text_eq(a->namespace_, b->namespace_) && strcmp(a->group, b->group) == 0 &&
	    strcmp(a->resource, b->resource) == 0 && text_eq(a->subresource, b->subresource);
}

static bool same_object(const struct need *a, const struct need *b)
{
	return same_place(a, b) && text_eq(a->name, b->name);
}

/* Needs of one object are neighbours: how many from I on. */
static size_t object_run(const struct need *needs, size_t n, size_t i)
{
	size_t k = i + 1;
	while (k < n && same_object(&needs[i], &needs[k]))
		k++;
	return k - i;
}

static bool same_verbs(const struct need *a, const struct need *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(a[i].verb, b[i].verb) != 0)
			return false;
	}
	return true;
}

/* One rule: the verbs of RUN needs of the object at I, and of all objects behind it with the same verbs. How many
 * needs it covers. */
static size_t print_rule(const struct need *needs, size_t n, size_t i, struct buf *b)
{
	const struct need *first = &needs[i];
	size_t run = object_run(needs, n, i), next = i + run;
	buf_adds(b, "- apiGroups: [");
	yaml_word(b, slice_of(first->group));
	buf_adds(b, "]\n  resources: [");
	buf_adds(b, first->resource);
	if (first->subresource)
		buf_printf(b, "/%s", first->subresource);
	buf_adds(b, "]\n");
	if (first->name) {
		buf_adds(b, "  resourceNames: [");
		yaml_word(b, slice_of(first->name));
		for (; next < n && same_place(first, &needs[next]) && object_run(needs, n, next) == run &&
		     same_verbs(first, &needs[next], run); next += run) {
			buf_adds(b, ", ");
			yaml_word(b, slice_of(needs[next].name));
		}
		buf_adds(b, "]\n");
	}
	buf_adds(b, "  verbs: [");
	for (size_t k = 0; k < run; k++)
		buf_printf(b, "%s%s", k ? ", " : "", first[k].verb);
	buf_adds(b, "]\n");
	return next - i;
}

static void print_meta(struct buf *b, const char *kind, const char *name, const char *namespace_)
{
	buf_printf(b, "apiVersion: " RBAC "/v1\nkind: %s\nmetadata:\n  name: ", kind);
	yaml_word(b, slice_of(name));
	if (namespace_) {
		buf_adds(b, "\n  namespace: ");
		yaml_word(b, slice_of(namespace_));
	}
	buf_adds(b, "\n  labels:\n    app.kubernetes.io/name: portcullis\n    app.kubernetes.io/component: rbac-sync\n"
		    "    app.kubernetes.io/part-of: portcullis\n");
}

static void print_binding(
    struct buf *b, const char *name, const char *namespace_, const struct subject *s)
{
	print_meta(b, namespace_ ? "RoleBinding" : "ClusterRoleBinding", name, namespace_);
	buf_printf(b, "roleRef:\n  apiGroup: " RBAC "\n  kind: %s\n  name: ", namespace_ ? "Role" : "ClusterRole");
	yaml_word(b, slice_of(name));
	buf_printf(b, "\nsubjects:\n- kind: %s\n", s->kind);
	if (s->namespace_.len) {
		buf_adds(b, "  namespace: ");
		yaml_word(b, s->namespace_);
		buf_adds(b, "\n  name: ");
	} else {
		buf_adds(b, "  apiGroup: " RBAC "\n  name: ");
	}
	yaml_word(b, s->name);
	buf_addc(b, '\n');
}

enum err_code needs_print_yaml(const struct need *needs, size_t n, const char *name, const char *subject,
    struct buf *out, struct err *e)
{
	struct subject s;
	TRY(read_subject(subject, &s, e));
	for (size_t i = 0; i < n;) {
		const char *namespace_ = needs[i].namespace_;
		if (i > 0)
			buf_adds(out, "---\n");
		print_meta(out, namespace_ ? "Role" : "ClusterRole", name, namespace_);
		buf_adds(out, "rules:\n");
		while (i < n && text_eq(needs[i].namespace_, namespace_))
			i += print_rule(needs, n, i, out);
		buf_adds(out, "---\n");
		print_binding(out, name, namespace_, &s);
	}
	return out->over ? err_set(e, ERR_LIMIT, "the roles are too many to print") : ERR_OK;
}
