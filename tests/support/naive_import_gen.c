/* Owns generated RBAC and ABAC files: their objects and lines, and their text. */
#include <stdio.h>

#include "tests/support/naive_import.h"

#define rnd naive_rnd
#define PICK(seed, words) ((words)[rnd(seed, ARRAY_LEN(words))])

/* The words of the native generator's requests, and those that only look like patterns. */
static const char *const verbs[] = {"get", "list", "*", "*", "*"};
static const char *const apis[] = {"", "apps", "*", "*", "*"};
static const char *const resources[] = {"pods", "nodes", "pods/log", "*/log", "*", "*", "*", "pods/*", "*/*",
    "*/a/b", "pods/a/b", "nodes/proxy", "/", "*/"};
static const char *const names[] = {"x", "y", "*", ""};
static const char *const urls[] = {"/a", "/a/*", "*", "/*", "/b**", "/a/*/*"};
static const char *const users[] = {"a", "ab", "b", "c", "*", "system:serviceaccount:n:s", "a*"};
static const char *const groups[] = {"g", "g", "h", "gh", "system:authenticated",
    "system:authenticated", "system:serviceaccounts", "g*"};
static const char *const accounts[] = {"s", "t"};
static const char *const spaces[] = {"n", "m", "nm"};
static const char *const roles[] = {"r", "s", "t"};
static const char *const parts[] = {"red", "blue", "green"};

static struct naive_list list(uint64_t *seed, const char *const *words, uint32_t n, uint32_t most)
{
	struct naive_list l = {.n = 1 + (int)rnd(seed, most)};
	for (int i = 0; i < l.n; i++)
		l.v[i] = words[rnd(seed, n)];
	return l;
}
#define LIST(seed, words, most) list(seed, words, ARRAY_LEN(words), most)

/* --- RBAC --- */

static struct naive_grant_rbac grant(uint64_t *seed, bool paths)
{
	struct naive_grant_rbac g = {.verbs = LIST(seed, verbs, 2)};
	if (paths) {
		g.urls = LIST(seed, urls, 2);
		return g;
	}
	g.groups = LIST(seed, apis, 2);
	g.resources = LIST(seed, resources, 3);
	if (rnd(seed, 6) == 0)
		g.names = LIST(seed, names, 2);
	return g;
}

static bool taken(const struct naive_imports *im, const struct naive_role *role)
{
	for (int i = 0; i < im->nroles; i++) {
		const struct naive_role *other = &im->roles[i];
		bool same_ns =
		    role->ns ? other->ns && strcmp(role->ns, other->ns) == 0 : !other->ns;
		if (same_ns && strcmp(role->name, other->name) == 0)
			return true;
	}
	return false;
}

static void add_role(struct naive_imports *im, uint64_t *seed)
{
	struct naive_role role = {.name = PICK(seed, roles), .n = (int)rnd(seed, NAIVE_PARTS + 1)};
	if (rnd(seed, 3) == 0)
		role.ns = PICK(seed, spaces);
	if (taken(im, &role))
		return;
	if (rnd(seed, 2))
		role.label = PICK(seed, parts);
	if (!role.ns && rnd(seed, 2) == 0)
		role.selects = PICK(seed, parts);
	for (int i = 0; i < role.n; i++)
		role.rules[i] = grant(seed, !role.ns && rnd(seed, 4) == 0);
	im->roles[im->nroles++] = role;
}

static void add_binding(struct naive_imports *im, uint64_t *seed)
{
	struct naive_binding b = {.number = im->nbindings,
	    .cluster_role = true,
	    .role = PICK(seed, roles),
	    .n = 1 + (int)rnd(seed, NAIVE_PARTS)};
	if (rnd(seed, 2)) {
		b.ns = PICK(seed, spaces);
		b.cluster_role = rnd(seed, 2);
	}
	for (int i = 0; i < b.n; i++) {
		static const char *const kinds[] = {"User", "Group", "ServiceAccount"};
		struct naive_subject *s = &b.subjects[i];
		s->kind = PICK(seed, kinds);
		s->name = s->kind[0] == 'U'   ? PICK(seed, users)
			  : s->kind[0] == 'G' ? PICK(seed, groups)
					      : PICK(seed, accounts);
		if (s->kind[0] == 'S' && rnd(seed, 2))
			s->ns = PICK(seed, spaces);
	}
	if (b.ns)
		snprintf(b.id, sizeof(b.id), "rbac:RoleBinding/%s/b%d", b.ns, b.number);
	else
		snprintf(b.id, sizeof(b.id), "rbac:ClusterRoleBinding/b%d", b.number);
	im->bindings[im->nbindings++] = b;
}

/* --- ABAC --- */

static const char *maybe(uint64_t *seed, const char *const *words, uint32_t n)
{
	return rnd(seed, 3) ? words[rnd(seed, n)] : NULL;
}
#define MAYBE(seed, words) maybe(seed, words, ARRAY_LEN(words))

static void add_line(struct naive_imports *im, uint64_t *seed)
{
	static const char *const abac_resources[] = {"pods", "nodes", "*", ""};
	static const char *const abac_spaces[] = {"n", "m", "*", ""};
	struct naive_line l = {.v0 = rnd(seed, 3) == 0,
	    .readonly = rnd(seed, 3) == 0,
	    .user = MAYBE(seed, users),
	    .group = rnd(seed, 3) ? NULL : PICK(seed, groups),
	    .resource = MAYBE(seed, abac_resources),
	    .ns = MAYBE(seed, abac_spaces)};
	if (!l.v0) {
		l.api_group = MAYBE(seed, apis);
		l.path = rnd(seed, 2) ? NULL : PICK(seed, urls);
	}
	/* Without a subject the line is nobody's, and reported as such: one in ten is enough. */
	if (!l.v0 && !l.user && !l.group && rnd(seed, 10))
		l.group = "system:authenticated";
	snprintf(l.id, sizeof(l.id), "abac:z.jsonl:%d", im->nlines + 1);
	im->lines[im->nlines++] = l;
}

void naive_generate_imports(struct naive_imports *im, uint64_t *seed)
{
	*im = (struct naive_imports){0};
	if (rnd(seed, 4)) {
		for (int n = 2 + (int)rnd(seed, NAIVE_ROLES - 1); n > 0; n--)
			add_role(im, seed);
		for (int n = 1 + (int)rnd(seed, NAIVE_BINDINGS); n > 0; n--)
			add_binding(im, seed);
	}
	if (rnd(seed, 3) == 0)
		for (int n = 1 + (int)rnd(seed, NAIVE_LINES); n > 0; n--)
			add_line(im, seed);
}

/* --- as text --- */

static void print_list(struct buf *b, const char *key, const struct naive_list *l)
{
	buf_printf(b, "%s: [", key);
	for (int i = 0; i < l->n; i++)
		buf_printf(b, "%s\"%s\"", i ? ", " : "", l->v[i]);
	buf_adds(b, "]");
}

static void print_head(struct buf *b, const char *kind, const char *ns, const char *name)
{
	buf_printf(b, "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: %s%s\nmetadata:\n  name: %s\n",
	    ns ? "" : "Cluster", kind, name);
	if (ns)
		buf_printf(b, "  namespace: %s\n", ns);
}

static void print_role(struct buf *b, const struct naive_role *role)
{
	print_head(b, "Role", role->ns, role->name);
	if (role->label)
		buf_printf(b, "  labels: {part: %s}\n", role->label);
	if (role->selects)
		buf_printf(b, "aggregationRule: {clusterRoleSelectors: [{matchLabels: {part: %s}}]}\n",
		    role->selects);
	buf_adds(b, role->n ? "rules:\n" : "rules: []\n");
	for (int i = 0; i < role->n; i++) {
		const struct naive_grant_rbac *g = &role->rules[i];
		buf_adds(b, "- {");
		print_list(b, "verbs", &g->verbs);
		if (g->urls.n) {
			buf_adds(b, ", ");
			print_list(b, "nonResourceURLs", &g->urls);
		} else {
			buf_adds(b, ", ");
			print_list(b, "apiGroups", &g->groups);
			buf_adds(b, ", ");
			print_list(b, "resources", &g->resources);
		}
		if (g->names.n) {
			buf_adds(b, ", ");
			print_list(b, "resourceNames", &g->names);
		}
		buf_adds(b, "}\n");
	}
}

static void print_binding(struct buf *b, const struct naive_binding *o)
{
	char name[16];
	snprintf(name, sizeof(name), "b%d", o->number);
	print_head(b, "RoleBinding", o->ns, name);
	buf_printf(b, "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: %s, name: %s}\nsubjects:\n",
	    o->cluster_role ? "ClusterRole" : "Role", o->role);
	for (int i = 0; i < o->n; i++) {
		const struct naive_subject *s = &o->subjects[i];
		buf_printf(b, "- {kind: %s, name: \"%s\"", s->kind, s->name);
		if (s->ns)
			buf_printf(b, ", namespace: %s", s->ns);
		buf_adds(b, s->kind[0] == 'S' ? "}\n" : ", apiGroup: rbac.authorization.k8s.io}\n");
	}
}

void naive_print_rbac(struct buf *b, const struct naive_imports *im)
{
	for (int i = 0; i < im->nroles; i++)
		print_role(b, &im->roles[i]);
	for (int i = 0; i < im->nbindings; i++)
		print_binding(b, &im->bindings[i]);
}

static void print_field(struct buf *b, const char *key, const char *value)
{
	if (value)
		buf_printf(b, "\"%s\":\"%s\",", key, value);
}

void naive_print_abac(struct buf *b, const struct naive_imports *im)
{
	for (int i = 0; i < im->nlines; i++) {
		const struct naive_line *l = &im->lines[i];
		buf_adds(b, "{");
		if (!l->v0)
			buf_adds(b, "\"apiVersion\":\"abac.authorization.kubernetes.io/v1beta1\","
				    "\"kind\":\"Policy\",\"spec\":{");
		print_field(b, "user", l->user);
		print_field(b, "group", l->group);
		print_field(b, "apiGroup", l->api_group);
		print_field(b, "resource", l->resource);
		print_field(b, "namespace", l->ns);
		print_field(b, "nonResourcePath", l->path);
		buf_printf(b, "\"readonly\":%s}%s\n", l->readonly ? "true" : "false", l->v0 ? "" : "}");
	}
}
