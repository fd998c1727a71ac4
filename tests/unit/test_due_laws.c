/* Proves laws of what is due, over random templates and identities: no order of groups matters, nothing reserved is
 * reached, no subject is bound that the identity is not, and two users have nothing in common that is not shared. */
#include "tests/support/due_fixture.h"

#include "common/spool.h"

#define FILES 1500
#define USERS 6

static uint64_t seed;

static uint32_t pick(uint32_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(seed >> 33) % n;
}

#define PICK(list) ((list)[pick(ARRAY_LEN(list))])

static const char *const providers[] = {"ldap:corp", "jwt:https://x", "tokenFile"};
static const char *const users[] = {"alice", "Alice", "al-ice", "alice@x.org", "bob", "system:admin", "kube-system",
    "default", "kubernetes-admin", "${group}", "a b", " eve", "\xc3\xa4\xc3\xb6", "-", "0", "portcullis-system",
    "SYSTEM:masters", "../../x", "a%2fb"};
static const char *const groups[] = {"eng-blue", "eng-red", "eng-", "ENG-blue", "ops", "system:masters",
    "kubeadm:cluster-admins", "eng-kube-system", "eng-default", "eng blue", "eng-\xe2\x80\xae", "eng-system:x",
    "portcullis-system", "kube-system", "eng-Blue", ""};

/* --- random templates --- */

static const char *const matches[] = {"{groups: ['eng-*']}", "{groups: ['*']}", "{providers: ['*']}",
    "{providers: ['ldap:corp'], groups: ['eng-*', ops]}", "{groups: [ops], notUsers: ['al*']}",
    "{providers: ['ldap:corp']}"};
static const char *const names[] = {"u-${user.slug}-${user.hash10}", "u-${user}", "${uid}", "${user.hash6}",
    "${group}", "${group|replace:eng-:}", "${group.slug}-${group.hash6}", "t-${extra.team}-${user.hash6}",
    "${user.local}", "${user|lower}", "${date}-${user.hash10}", "${user.slug|trunc:3}${group.hash10}", "shop",
    "kube-${user}", "${user|replace:a:b}", "${uid|default:none}", "${provider}", "${user|trunc:2}",
    "${group|slug}-${user.hash10}", "portcullis-${group}", "${extra.team}"};
static const char *const roles[] = {"view", "edit", "danger", "absent", "unknown", "secrets"};
static const char *const subjects[] = {"", "", "", ", subject: {kind: User}", ", subject: {kind: Group}",
    ", subject: {kind: Group, name: ops}", ", subject: {kind: Group, name: '${group}'}"};
static const char *const times[] = {"", "", "", ", ttl: 12h", ", endTime: '2026-12-01T00:00:00Z'",
    ", startTime: '2026-12-01T00:00:00Z'", ", schedule: [{days: [mon], tz: UTC}]",
    ", endTime: '2026-11-01T00:00:00Z'"};
static const char *const texts[] = {"x", "${user}", "${user.slug}", "${group}", "${extra.team}", "${date}"};

static const char *random_grant(struct arena *a)
{
	const char *where = "";
	switch (pick(4)) {
	case 0:
		where = ", scope: cluster";
		break;
	case 1:
		where = arena_printf(a, ", namespaces: ['%s', '%s']", PICK(names), PICK(names));
		break;
	case 2:
		where = pick(2) ? ", namespaces: {selector: 'team in (blue, red)'}" : "";
		break;
	default:
		break;
	}
	return arena_printf(a, "  - {%s: %s%s%s%s, allowPrivileged: %s}\n",
	    pick(4) ? "clusterRole" : "role", PICK(roles), where, PICK(subjects), PICK(times),
	    pick(2) ? "true" : "false");
}

static const char *random_template(struct arena *a, unsigned n)
{
	const char *out = arena_printf(a, "- name: t%u\n  match: %s\n", n, PICK(matches));
	uint32_t place = pick(4);
	if (place < 2)
		out = arena_printf(a, "%s  namespace: {name: '%s', create: %s, %s}\n", out, PICK(names),
		    place ? "true" : "false", place ? arena_printf(a, "labels: {l: '%s'}", PICK(texts)) : "");
	else if (place == 2)
		out = arena_printf(a, "%s  namespaces: ['%s']\n", out, PICK(names));
	if (place < 3 && pick(2))
		out = arena_printf(a, "%s  objects: [{apiVersion: v1, kind: ResourceQuota, metadata: {name: q}, "
		    "spec: {who: '%s'}}]\n", out, PICK(texts));
	out = arena_printf(a, "%s  grants:\n", out);
	for (uint32_t i = 0; i <= pick(3); i++)
		out = arena_printf(a, "%s%s", out, random_grant(a));
	return out;
}

/* NULL: this one was refused. */
static struct sync_config *random_file(struct arena *a)
{
	struct sync_config *c = NULL;
	struct diags d = {0};
	const char *text = arena_printf(a, DUE_HEAD "subjectMode: %s\ntemplates:\n",
	    pick(3) ? "group-first" : "user-first");
	unsigned n = 1 + pick(2);
	for (unsigned i = 0; i < n; i++)
		text = arena_printf(a, "%s%s", text, random_template(a, i));
	enum err_code rc = sync_config_parse("t.yaml", slice_of(text), &c, &d);
	assert_int_equal(rc == ERR_OK, c != NULL);
	diags_done(&d);
	return c;
}

static void random_record(struct arena *a, struct record *r)
{
	struct slice *have = ARENA_ARRAY(a, struct slice, 8), *value = ARENA_ARRAY(a, struct slice, 1);
	struct spool_extra *extra = ARENA_NEW(a, struct spool_extra);
	char key[SPOOL_KEY_LEN + 1];
	*r = (struct record){.created = DUE_NOW, .expires_at = pick(4) ? 0 : DUE_NOW + 1000};
	struct spool_event *ev = &r->identity;
	ev->provider = slice_of(PICK(providers));
	ev->username = slice_of(PICK(users));
	ev->uid = slice_of(pick(3) ? arena_printf(a, "%u", pick(3)) : NULL);
	ev->ngroups = pick(8);
	ev->seen_at = DUE_NOW - 60;
	ev->groups = have;
	for (size_t i = 0; i < ev->ngroups; i++)
		have[i] = slice_of(PICK(groups));
	*value = slice_of(pick(2) ? "blue" : "red");
	*extra = (struct spool_extra){SLICE("team"), value, 1};
	ev->extra = extra;
	ev->nextra = pick(2);
	spool_key(ev->provider, ev->username, key);
	r->name = arena_strdup(a, key);
}

/* --- the laws --- */

static void check_binding(const struct desired *d, const struct spool_event *ev)
{
	const json_t *subjects_ = json_object_get(d->body, "subjects");
	assert_int_equal(json_array_size(subjects_), 1);
	const json_t *s = json_array_get(subjects_, 0);
	struct slice name = jsonx_text(json_object_get(s, "name"));
	bool mine = false;
	assert_null(rails_subject(name));
	assert_null(rails_role(slice_of(due_path(d->body, "roleRef", "name"))));
	assert_string_not_equal(due_path(d->body, "roleRef", "name"), "absent");
	assert_string_not_equal(due_path(d->body, "roleRef", "name"), "unknown");
	if (strcmp(json_string_value(json_object_get(s, "kind")), "User") == 0)
		mine = slice_eq(name, ev->username);
	for (size_t i = 0; i < ev->ngroups && d->shared; i++)
		mine |= slice_eq(name, ev->groups[i]);
	assert_true(mine);
	assert_int_equal(strncmp(d->id.name, "portcullis:t", 12), 0);
	assert_null(strpbrk(d->id.name, "/% "));
}

static void check_plan(const struct due *due, const struct spool_event *ev)
{
	for (size_t i = 0; i < due->len; i++) {
		const struct desired *d = &due->objects[i];
		const json_t *meta = json_object_get(d->body, "metadata");
		bool binding = d->id.kind == KIND_ROLE_BINDING || d->id.kind == KIND_CLUSTER_ROLE_BINDING;
		assert_true(i == 0 || object_id_cmp(&due->objects[i - 1].id, &d->id) < 0);
		if (d->id.namespace_)
			assert_null(rails_namespace(NULL, slice_of(d->id.namespace_)));
		if (d->id.kind == KIND_NAMESPACE)
			assert_null(rails_namespace(NULL, slice_of(d->id.name)));
		assert_int_equal(json_object_get(d->body, "subjects") != NULL, binding);
		assert_string_equal(due_path(meta, "labels", LABEL_MANAGED_BY), MANAGED_BY);
		assert_string_equal(due_path(meta, "labels", LABEL_RECORD), d->owner);
		if (binding)
			check_binding(d, ev);
	}
}

/* All that a plan says. */
static const char *whole(struct arena *a, const struct due *due)
{
	const char *out = arena_printf(a, "%lld\n", (long long)due->next);
	for (size_t i = 0; i < due->len; i++) {
		const struct desired *d = &due->objects[i];
		out = arena_printf(a, "%s%s %s %s %d %lld\n", out, object_id_text(a, &d->id), d->hash, d->owner,
		    d->shared, (long long)d->expires);
	}
	for (size_t i = 0; i < due->nrefusals; i++)
		out = arena_printf(a, "%s%s %s\n", out, due->refusals[i].reason, due->refusals[i].what);
	return out;
}

static void check_order(struct arena *a, struct record *r, const struct due_world *w, const struct due *due)
{
	const char *want = whole(a, due);
	size_t n = r->identity.ngroups;
	struct slice *other = ARENA_ARRAY(a, struct slice, n + 1);
	struct due again;
	for (size_t i = 0; i < n; i++)
		other[i] = r->identity.groups[n - 1 - i];
	other[n] = n ? other[pick((uint32_t)n)] : (struct slice){0};
	r->identity.groups = other;
	r->identity.ngroups = n + (n > 0);
	due_make(a, r, w, &again);
	assert_string_equal(whole(a, &again), want);
	r->identity.ngroups = n;
}

static bool in_inventory(const struct record *r, const struct object_id *id)
{
	for (size_t i = 0; i < r->nbindings; i++) {
		if (object_id_eq(&r->bindings[i].id, id))
			return true;
	}
	return false;
}

static const struct desired *in_due(const struct due *due, const struct object_id *id)
{
	for (size_t i = 0; i < due->len; i++) {
		if (object_id_eq(&due->objects[i].id, id))
			return &due->objects[i];
	}
	return NULL;
}

static bool is_held(const struct due *due, const struct object_id *id)
{
	for (size_t i = 0; i < due->nrefusals; i++) {
		const struct due_refusal *f = &due->refusals[i];
		if (f->transient && f->id.name && object_id_eq(&f->id, id))
			return true;
	}
	return false;
}

static struct due without(struct arena *a, const struct record *r, const struct due_world *w, uint32_t lost)
{
	struct record other = *r;
	struct slice *rest = ARENA_ARRAY(a, struct slice, r->identity.ngroups + 1);
	struct due due;
	other.nlost = other.identity.ngroups = 0;
	for (size_t i = 0; i < r->identity.ngroups; i++) {
		if (!(lost & 1u << i))
			rest[other.identity.ngroups++] = r->identity.groups[i];
	}
	other.identity.groups = rest;
	due_make(a, &other, w, &due);
	return due;
}

/* Groups that a directory denies now count for nothing; those that it denied once give nothing back, and what stands
 * of them stays. */
static void check_lost(struct arena *a, const struct record *r, const struct due_world *w)
{
	struct record left = *r;
	struct slice *sorted = slice_dup_all(a, r->identity.groups, r->identity.ngroups);
	size_t n = slice_sort_unique(sorted, r->identity.ngroups);
	uint32_t sure = pick(1u << n), unsure = pick(1u << n);
	left.identity.groups = sorted;
	left.identity.ngroups = n;
	struct record_lost *lost = ARENA_ARRAY(a, struct record_lost, n + 1);
	for (size_t i = 0; i < n; i++) {
		if ((sure | unsure) & 1u << i)
			lost[left.nlost++] = (struct record_lost){sorted[i], 1, "corp", sure & 1u << i};
	}
	left.lost = lost;
	struct due none = without(a, &left, w, sure | unsure), most = without(a, &left, w, sure), got;
	struct due all = without(a, &left, w, 0);
	struct record_binding *v = ARENA_ARRAY(a, struct record_binding, all.len + most.len + most.nrefusals + 1);
	for (size_t i = 0; i < all.len; i++) {
		if (pick(2))
			v[left.nbindings++].id = all.objects[i].id;
	}
	for (size_t i = 0; i < most.len; i++) { /* what the limit cut off there */
		if (!in_due(&all, &most.objects[i].id) && pick(2))
			v[left.nbindings++].id = most.objects[i].id;
	}
	for (size_t i = 0; i < most.nrefusals; i++) {
		if (most.refusals[i].id.name && pick(2))
			v[left.nbindings++].id = most.refusals[i].id;
	}
	left.bindings = v;
	due_make(a, &left, w, &got);
	for (size_t i = 0; i < got.len; i++) {
		const struct object_id *id = &got.objects[i].id;
		assert_true(i == 0 || object_id_cmp(&got.objects[i - 1].id, id) < 0);
		assert_true(in_due(&none, id) || (in_due(&most, id) && in_inventory(&left, id)));
	}
	for (size_t i = 0; i < none.len; i++)
		assert_string_equal(in_due(&got, &none.objects[i].id)->hash, none.objects[i].hash);
	for (size_t i = 0; i < left.nbindings; i++) {
		const struct object_id *id = &left.bindings[i].id;
		assert_true(!in_due(&most, id) || in_due(&got, id));
		assert_true(!is_held(&most, id) || is_held(&got, id) || in_due(&got, id));
	}
	if (!(unsure & ~sure))
		assert_string_equal(whole(a, &got), whole(a, &none));
}

/* The same object means the same body, when both share it, and the same user otherwise. */
static void check_apart(const struct due *x, const struct record *rx, const struct due *y, const struct record *ry)
{
	bool same = strcmp(rx->name, ry->name) == 0;
	for (size_t i = 0; i < x->len && !same; i++) {
		for (size_t j = 0; j < y->len; j++) {
			const struct desired *a = &x->objects[i], *b = &y->objects[j];
			if (!object_id_eq(&a->id, &b->id))
				continue;
			bool placed = a->id.kind == KIND_RESOURCE_QUOTA;
			/* An object in a namespace that exists: the second one is refused by its marks. */
			if (placed && strcmp(a->owner, b->owner) != 0)
				continue;
			if (!a->shared || !b->shared || !json_equal(a->body, b->body))
				fail_msg("%s %s: %s", rx->name, ry->name, json_dumps(a->body, 0));
		}
	}
}

static void test_laws(void **state)
{
	(void)state;
	size_t loaded = 0, objects = 0, refusals = 0;
	for (seed = 1; loaded < FILES; ) {
		struct arena a;
		arena_init(&a, 0);
		struct sync_config *c = random_file(&a);
		struct rails rails = {0};
		struct due_world w = {.config = c, .rails = &rails, .max_objects = 20, .now = DUE_NOW,
		    .namespaces = due_fit, .role = due_role, .allow_privileged = pick(2)};
		struct record r[USERS];
		struct due due[USERS];
		for (size_t i = 0; c && i < USERS; i++) {
			random_record(&a, &r[i]);
			due_make(&a, &r[i], &w, &due[i]);
			assert_true(due[i].len <= w.max_objects && due[i].next > w.now);
			check_plan(&due[i], &r[i].identity);
			check_order(&a, &r[i], &w, &due[i]);
			check_lost(&a, &r[i], &w);
			for (size_t j = 0; j < i; j++)
				check_apart(&due[i], &r[i], &due[j], &r[j]);
			objects += due[i].len;
			refusals += due[i].nrefusals;
		}
		loaded += c != NULL;
		sync_config_free(&c);
		arena_done(&a);
	}
	/* Else it would prove nothing. */
	assert_true(objects > FILES && refusals > FILES);
	print_message("%zu objects, %zu refusals\n", objects, refusals);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_laws),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
