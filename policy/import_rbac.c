/* Owns reading RBAC objects: documents, lists, roles, bindings, with the checks of upstream's validation. */
#include "common/yamlx.h"
#include "policy/import.h"

#define RBAC_GROUP "rbac.authorization.k8s.io"

enum object_kind { ROLE, CLUSTER_ROLE, ROLE_BINDING, CLUSTER_ROLE_BINDING, KINDS };

static const char *const kind_names[KINDS] = {
    "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"};

static bool namespaced(enum object_kind kind)
{
	return kind == ROLE || kind == ROLE_BINDING;
}

static struct place place_of(const struct rbac_reader *r, const struct yaml_node *n)
{
	return (struct place){r->file, n->line, n->col};
}

/* The node of KEY for a finding, NODE itself when there is none. */
static const struct yaml_node *at_key(const struct yaml_node *node, const char *key)
{
	const struct yaml_node *value = yamlx_get(node, key);
	return value ? value : node;
}

/* --- metadata --- */

struct meta {
	const char *name, *namespace_;
	const struct yaml_node *node;
};

static void warn_metadata(struct rbac_reader *r, const struct yaml_node *metadata)
{
	static const char *const known[] = {"name", "generateName", "namespace", "selfLink", "uid",
	    "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
	    "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers",
	    "clusterName", "initializers", "managedFields"};
	for (size_t i = 0; i < metadata->len; i++) {
		const struct yaml_pair *pair = &metadata->pairs[i];
		size_t k = 0;
		while (k < ARRAY_LEN(known) && !slice_is(pair->key, known[k]))
			k++;
		struct yaml_node at = {.line = pair->line, .col = pair->col};
		if (k == ARRAY_LEN(known))
			rbac_warn(r, &at, "unknown key `%.60s` in metadata is ignored",
			    slice_printable(pair->key) ? pair->key.p : "?");
	}
}

static bool read_meta(struct rbac_reader *r, const struct yaml_node *node, enum object_kind kind,
    struct meta *out)
{
	size_t errors = r->im->diags->errors;
	const struct yaml_node *m = rbac_get(r, node, "metadata", YAMLX_MAP);
	if (!m) {
		rbac_error(r, node, "a %s without `metadata`", kind_names[kind]);
		return false;
	}
	warn_metadata(r, m);
	out->node = m;
	out->name = rbac_text(r, m, "name");
	out->namespace_ = rbac_text(r, m, "namespace");
	rbac_check_name(r, at_key(m, "name"), out->name);
	if (!namespaced(kind)) {
		if (out->namespace_[0] != '\0')
			rbac_warn(r, at_key(m, "namespace"),
			    "a %s has no namespace: this one is ignored", kind_names[kind]);
		out->namespace_ = NULL;
	} else if (out->namespace_[0] == '\0') {
		rbac_error(r, m, "a %s needs `metadata.namespace`", kind_names[kind]);
	} else if (!import_good_label(out->namespace_)) {
		rbac_error(r, at_key(m, "namespace"), "`%.100s` is no name of a namespace",
		    out->namespace_);
	}
	return r->im->diags->errors == errors;
}

/* Notes OBJECT, a struct import_role or import_binding; false when there is one of that kind and name. */
static bool put_object(
    struct rbac_reader *r, enum object_kind kind, const struct meta *m, void *object)
{
	const char *ns = m->namespace_ ? m->namespace_ : "";
	const char *key =
	    arena_printf(r->im->arena, "%s/%s/%s", kind_names[kind], ns, m->name);
	void *other = map_put(&r->im->objects, slice_of(key), object);
	if (!other)
		return true;
	bool role = kind == ROLE || kind == CLUSTER_ROLE;
	const struct place *first = role ? &((struct import_role *)other)->at
					 : &((struct import_binding *)other)->at;
	rbac_error(r, at_key(m->node, "name"), "a second %s `%s`%s%s; the first is at %s:%u",
	    kind_names[kind], m->name, ns[0] ? " in the namespace " : "", ns, first->file,
	    first->line);
	return false;
}

/* --- roles --- */

static void check_grant(struct rbac_reader *r, const struct yaml_node *node,
    const struct import_grant *g, bool in_namespace)
{
	if (g->verbs.n == 0)
		rbac_error(r, at_key(node, "verbs"), "`verbs` must have at least one value");
	if (g->urls.n > 0) {
		if (in_namespace)
			rbac_error(r, at_key(node, "nonResourceURLs"),
			    "`nonResourceURLs` in a Role: paths are in no namespace");
		if (g->api_groups.n || g->resources.n || g->names.n)
			rbac_error(r, node,
			    "a rule is about `resources` or about `nonResourceURLs`, not both");
		return;
	}
	if (g->api_groups.n == 0)
		rbac_error(r, at_key(node, "apiGroups"), "`apiGroups` must have at least one value");
	if (g->resources.n == 0)
		rbac_error(r, at_key(node, "resources"), "`resources` must have at least one value");
}

static void key_list(struct buf *key, const struct import_list *l)
{
	buf_add(key, &l->n, sizeof(l->n));
	for (size_t i = 0; i < l->n; i++) {
		buf_add(key, &l->v[i].len, sizeof(l->v[i].len));
		buf_slice(key, l->v[i]);
	}
}

/* Deep-equal rules are one: aggregation compares pointers, compiling is done once. */
static struct import_grant *share_grant(struct imports *im, struct import_grant *g)
{
	struct buf b;
	buf_init(&b, SIZE_MAX / 2);
	key_list(&b, &g->verbs);
	key_list(&b, &g->api_groups);
	key_list(&b, &g->resources);
	key_list(&b, &g->names);
	key_list(&b, &g->urls);
	struct import_grant *same = map_get(&im->grants, buf_view(&b));
	if (!same)
		map_put(&im->grants, slice_dup(im->arena, buf_view(&b)), g);
	buf_done(&b);
	return same ? same : g;
}

static struct import_grant *read_grant(
    struct rbac_reader *r, const struct yaml_node *node, bool in_namespace)
{
	static const char *const known[] = {
	    "verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs", NULL};
	if (node->kind != YAMLX_MAP) {
		rbac_error(r, node, "`rules`: expected a mapping, found %s", yamlx_kind(node));
		return NULL;
	}
	rbac_known(r, node, known, "a rule");
	struct import_grant *g = ARENA_NEW(r->im->arena, struct import_grant);
	*g = (struct import_grant){
	    .verbs = rbac_texts(r, node, "verbs"),
	    .api_groups = rbac_texts(r, node, "apiGroups"),
	    .resources = rbac_texts(r, node, "resources"),
	    .names = rbac_texts(r, node, "resourceNames"),
	    .urls = rbac_texts(r, node, "nonResourceURLs"),
	    .at = place_of(r, node),
	};
	check_grant(r, node, g, in_namespace);
	return share_grant(r->im, g);
}

/* Those that can be read: aggregation goes on with them, so that all findings of a file are told. */
static struct import_grant *const *read_grants(
    struct rbac_reader *r, const struct yaml_node *rules, bool in_namespace, size_t *n)
{
	size_t room = rules ? rules->len : 0;
	struct import_grant **grants = ARENA_ARRAY(r->im->arena, struct import_grant *, room);
	*n = 0;
	for (size_t i = 0; i < room; i++) {
		struct import_grant *g = read_grant(r, rules->items[i], in_namespace);
		if (g)
			grants[(*n)++] = g;
	}
	return grants;
}

static void read_role(struct rbac_reader *r, const struct yaml_node *node, enum object_kind kind)
{
	static const char *const known[] = {
	    "apiVersion", "kind", "metadata", "rules", "aggregationRule", NULL};
	static const char *const known_role[] = {"apiVersion", "kind", "metadata", "rules", NULL};
	struct meta m;
	rbac_known(r, node, kind == ROLE ? known_role : known, kind == ROLE ? "a Role" : "a ClusterRole");
	if (!read_meta(r, node, kind, &m))
		return;
	struct import_role *role = ARENA_NEW(r->im->arena, struct import_role);
	*role = (struct import_role){
	    .name = m.name, .namespace_ = m.namespace_, .at = place_of(r, node)};
	const struct yaml_node *rules = rbac_get(r, node, "rules", YAMLX_SEQ);
	role->grants = read_grants(r, rules, kind == ROLE, &role->ngrants);
	rbac_labels(r, m.node, role);
	if (kind == CLUSTER_ROLE)
		rbac_aggregation(r, node, role);
	if (!put_object(r, kind, &m, role))
		return;
	ARENA_ROOM(r->im->arena, r->im->roles, r->im->nroles, r->im->role_room, 64);
	r->im->roles[r->im->nroles++] = role;
}

/* --- bindings --- */

/* Where the subjects of one binding are gathered. */
struct subjects_draft {
	struct slice *users, *groups;
	size_t nusers, ngroups;
	const char *namespace_; /* of the binding, NULL: none */
};

static bool group_is(struct rbac_reader *r, const struct yaml_node *node, const char *want)
{
	const char *group = rbac_text(r, node, "apiGroup");
	if (group[0] == '\0' || strcmp(group, want) == 0)
		return true;
	rbac_error(r, at_key(node, "apiGroup"), "`apiGroup` is `%.60s`, expected %s%s%s", group,
	    want[0] ? "`" : "none", want, want[0] ? "`" : "");
	return false;
}

/* Without a namespace it is the binding's; a ClusterRoleBinding has none, and upstream then matches nobody. */
static void read_service_account(struct rbac_reader *r, const struct yaml_node *node,
    const char *name, struct subjects_draft *d)
{
	const char *ns = rbac_text(r, node, "namespace");
	if (!import_good_subdomain(name))
		rbac_error(r, at_key(node, "name"), "`%.100s` is no name of a service account", name);
	if (!group_is(r, node, ""))
		return;
	if (ns[0] == '\0')
		ns = d->namespace_;
	if (!ns) {
		rbac_warn(r, node,
		    "the service account `%.100s` has no namespace: the subject is nobody", name);
		return;
	}
	d->users[d->nusers++] = slice_of(
	    arena_printf(r->im->arena, SERVICE_ACCOUNT_PREFIX "%s:%s", ns, name));
}

static void read_subject(
    struct rbac_reader *r, const struct yaml_node *node, struct subjects_draft *d)
{
	static const char *const known[] = {"kind", "apiGroup", "name", "namespace", NULL};
	if (node->kind != YAMLX_MAP) {
		rbac_error(r, node, "`subjects`: expected a mapping, found %s", yamlx_kind(node));
		return;
	}
	rbac_known(r, node, known, "a subject");
	const char *kind = rbac_text(r, node, "kind"), *name = rbac_text(r, node, "name");
	if (name[0] == '\0')
		rbac_error(r, at_key(node, "name"), "a subject without `name`");
	else if (strcmp(kind, "ServiceAccount") == 0)
		read_service_account(r, node, name, d);
	else if (strcmp(kind, "User") == 0 && group_is(r, node, RBAC_GROUP))
		d->users[d->nusers++] = slice_of(name);
	else if (strcmp(kind, "Group") == 0 && group_is(r, node, RBAC_GROUP))
		d->groups[d->ngroups++] = slice_of(name);
	else if (strcmp(kind, "User") != 0 && strcmp(kind, "Group") != 0)
		rbac_error(r, at_key(node, "kind"),
		    "the kind `%.60s` of a subject: expected User, Group or ServiceAccount", kind);
}

static void read_subjects(
    struct rbac_reader *r, const struct yaml_node *node, struct import_binding *b)
{
	const struct yaml_node *list = rbac_get(r, node, "subjects", YAMLX_SEQ);
	if (!list)
		return;
	struct subjects_draft d = {.users = ARENA_ARRAY(r->im->arena, struct slice, list->len),
	    .groups = ARENA_ARRAY(r->im->arena, struct slice, list->len),
	    .namespace_ = b->namespace_};
	for (size_t i = 0; i < list->len; i++)
		read_subject(r, list->items[i], &d);
	b->users = (struct import_list){d.users, d.nusers};
	b->groups = (struct import_list){d.groups, d.ngroups};
}

static void read_role_ref(
    struct rbac_reader *r, const struct yaml_node *node, struct import_binding *b)
{
	static const char *const known[] = {"apiGroup", "kind", "name", NULL};
	const struct yaml_node *ref = rbac_get(r, node, "roleRef", YAMLX_MAP);
	if (!ref) {
		rbac_error(r, node, "a binding without `roleRef`");
		return;
	}
	rbac_known(r, ref, known, "roleRef");
	group_is(r, ref, RBAC_GROUP);
	const char *kind = rbac_text(r, ref, "kind");
	b->role_at = place_of(r, ref);
	b->role_name = rbac_text(r, ref, "name");
	b->cluster_role = strcmp(kind, "ClusterRole") == 0;
	if (!b->cluster_role && (!b->namespace_ || strcmp(kind, "Role") != 0))
		rbac_error(r, at_key(ref, "kind"), "the kind `%.60s` in roleRef: expected %s", kind,
		    b->namespace_ ? "Role or ClusterRole" : "ClusterRole");
	rbac_check_name(r, at_key(ref, "name"), b->role_name);
}

static void read_binding(
    struct rbac_reader *r, const struct yaml_node *node, enum object_kind kind)
{
	static const char *const known[] = {
	    "apiVersion", "kind", "metadata", "subjects", "roleRef", NULL};
	struct imports *im = r->im;
	struct meta m;
	rbac_known(r, node, known, "a binding");
	if (!read_meta(r, node, kind, &m))
		return;
	struct import_binding *b = ARENA_NEW(im->arena, struct import_binding);
	*b = (struct import_binding){
	    .name = m.name, .namespace_ = m.namespace_, .at = place_of(r, node)};
	b->id = arena_printf(im->arena, "rbac:%s/%s%s%s", kind_names[kind],
	    m.namespace_ ? m.namespace_ : "", m.namespace_ ? "/" : "", import_name_in_id(im->arena, m.name));
	read_role_ref(r, node, b);
	read_subjects(r, node, b);
	if (!put_object(r, kind, &m, b))
		return;
	map_put(&im->ids, slice_of(b->id), b);
	ARENA_ROOM(im->arena, im->bindings, im->nbindings, im->binding_room, 64);
	im->bindings[im->nbindings++] = b;
}

/* --- documents --- */

struct skipped {
	size_t n;
	const struct yaml_node *first;
	const char *kind;
};

static void read_object(struct rbac_reader *r, const struct yaml_node *node, const char *version,
    const char *kind, struct skipped *skip);

/* Items of ClusterRoleList and its like, as the API serves them, do not repeat version and kind. */
static void read_list(struct rbac_reader *r, const struct yaml_node *node, const char *version,
    const char *item_kind, struct skipped *skip)
{
	static const char *const known[] = {"apiVersion", "kind", "metadata", "items", NULL};
	rbac_known(r, node, known, "a list");
	const struct yaml_node *items = rbac_get(r, node, "items", YAMLX_SEQ);
	if (!items && !yamlx_get(node, "items"))
		rbac_error(r, node, "a list without `items`");
	for (size_t i = 0; items && i < items->len; i++)
		read_object(r, items->items[i], version, item_kind, skip);
}

static bool rbac_version(struct rbac_reader *r, const struct yaml_node *node, const char *version)
{
	if (strcmp(version, RBAC_GROUP "/v1") == 0 || strcmp(version, RBAC_GROUP "/v1beta1") == 0)
		return true;
	rbac_error(r, at_key(node, "apiVersion"),
	    strcmp(version, RBAC_GROUP "/v1alpha1") == 0
		? "`%.80s` gave the user `*` another meaning: convert to " RBAC_GROUP "/v1"
		: "apiVersion `%.80s`: expected `" RBAC_GROUP "/v1`",
	    version);
	return false;
}

static enum object_kind kind_of(struct slice kind)
{
	for (enum object_kind k = 0; k < KINDS; k++)
		if (slice_is(kind, kind_names[k]))
			return k;
	return KINDS;
}

/* What is not RBAC at all grants nothing, and often stands in the same files; what could be meant to grant
 * must be understood. */
static void read_other(struct rbac_reader *r, const struct yaml_node *node, const char *version,
    const char *kind, struct skipped *skip)
{
	bool ours = strncmp(version, "portcullis.dev/", 15) == 0;
	bool rbac = strncmp(version, RBAC_GROUP "/", strlen(RBAC_GROUP) + 1) == 0;
	if (version[0] == '\0' || kind[0] == '\0')
		rbac_error(r, node, "an object without `%s`", version[0] ? "kind" : "apiVersion");
	else if (ours || rbac)
		rbac_error(r, at_key(node, "kind"), "the kind `%.60s` cannot be imported%s", kind,
		    ours ? ": it is a policy of its own" : "");
	else if (skip->n++ == 0)
		*skip = (struct skipped){1, node, kind};
}

/* Takes "List" off KIND; false when it does not end so, or nothing is left. */
static bool item_kind_of(struct slice kind, struct slice *item)
{
	static const struct slice list = SLICE("List");
	*item = kind;
	if (kind.len <= list.len || !slice_is(slice_skip(kind, kind.len - list.len), list.p))
		return false;
	item->len -= list.len;
	return true;
}

static void read_kind(struct rbac_reader *r, const struct yaml_node *node, const char *version,
    const char *kind, struct skipped *skip)
{
	struct slice item;
	enum object_kind k = kind_of(slice_of(kind));
	if (k == KINDS && item_kind_of(slice_of(kind), &item) && kind_of(item) != KINDS) {
		if (rbac_version(r, node, version))
			read_list(r, node, version, slice_dup(r->im->arena, item).p, skip);
	} else if (k == KINDS) {
		read_other(r, node, version, kind, skip);
	} else if (rbac_version(r, node, version)) {
		if (k == ROLE || k == CLUSTER_ROLE)
			read_role(r, node, k);
		else
			read_binding(r, node, k);
	}
}

static void read_object(struct rbac_reader *r, const struct yaml_node *node, const char *version,
    const char *kind, struct skipped *skip)
{
	if (node->kind != YAMLX_MAP) {
		rbac_error(r, node, "expected an object, found %s", yamlx_kind(node));
		return;
	}
	if (yamlx_get(node, "apiVersion") || !version)
		version = rbac_text(r, node, "apiVersion");
	if (yamlx_get(node, "kind") || !kind)
		kind = rbac_text(r, node, "kind");
	if (strcmp(version, "v1") == 0 && strcmp(kind, "List") == 0)
		read_list(r, node, NULL, NULL, skip);
	else
		read_kind(r, node, version, kind, skip);
}

/* JSON ends where its braces close; of YAML, a part is often whole again. */
static bool whole(struct imports *im, const struct policy_file *src)
{
	struct slice t = src->text;
	size_t i = 0;
	while (i < t.len && strchr(" \t\r\n", t.p[i]))
		i++;
	if (i < t.len && (t.p[i] == '{' || t.p[t.len - 1] == '\n'))
		return true;
	diags_error(im->diags, src->name, 0, 0,
	    i == t.len ? "the file is empty" : "the last line has no line break: is the file whole?");
	return false;
}

void import_rbac(struct imports *im, const struct policy_file *src)
{
	struct rbac_reader r = {.im = im, .file = arena_strdup(im->arena, src->name)};
	struct yaml_node **docs;
	size_t n;
	struct skipped skip = {0};
	if (!whole(im, src) ||
	    yamlx_parse_all(im->arena, src->name, src->text, &docs, &n, im->diags) != ERR_OK)
		return;
	for (size_t i = 0; i < n; i++)
		read_object(&r, docs[i], NULL, NULL, &skip);
	if (skip.n)
		rbac_warn(&r, skip.first, "%zu object%s that %s no RBAC left out, first a %.60s",
		    skip.n, skip.n > 1 ? "s" : "", skip.n > 1 ? "are" : "is", skip.kind);
}
