/* Owns writing imported RBAC and ABAC as a native policy: roles as roles, bindings and lines as rules. */
#include "policy/convert.h"

#include <stdarg.h>
#include <stdio.h>

#include "policy/convert_say.h"
#include "policy/import.h"

#define ID_MAX 63
#define POLICY_TEXT_MAX ((size_t)256 << 20)

struct converter {
	struct imports *im;
	struct buf *out;
	struct buf *lost_text; /* comments of what is being written */
	size_t lost;
	struct map ids; /* id -> any */
};

/* Some texts of one list that can be said, in an array of their own. */
struct sayable {
	struct slice *v;
	size_t n;
};

static void lose(struct converter *c, const struct place *at, const char *fmt, ...) PRINTF(3, 4);
static void lose(struct converter *c, const struct place *at, const char *fmt, ...)
{
	char text[400];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	diags_warn(c->im->diags, at->file, at->line, at->col, "not carried over: %s", text);
	buf_printf(c->lost_text, "  # not carried over (%s:%u): %s\n", at->file, at->line, text);
	c->lost++;
}

/* --- writing --- */

static bool plain(struct slice s)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789./-";
	if (s.len == 0 || s.p[0] < 'a' || s.p[0] > 'z' || slice_is(s, "null"))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] == '\0' || !strchr(letters, s.p[i]))
			return false;
	return true;
}

static void add_text(struct buf *out, struct slice s)
{
	if (plain(s))
		buf_slice(out, s);
	else
		buf_json(out, s);
}

static void add_list(struct buf *out, const char *key, const struct slice *v, size_t n)
{
	buf_printf(out, "%s: [", key);
	for (size_t i = 0; i < n; i++) {
		buf_adds(out, i ? ", " : "");
		add_text(out, v[i]);
	}
	buf_addc(out, ']');
}

/* --- what the language can say --- */

typedef bool good_fn(struct slice s);

/* The texts of L that are GOOD; the others are lost. */
static struct sayable sift(struct converter *c, const struct place *at, const char *what,
    const struct slice *v, size_t n, good_fn *good)
{
	struct sayable out = {.v = ARENA_ARRAY(c->im->arena, struct slice, n)};
	for (size_t i = 0; i < n; i++) {
		if (good(v[i]))
			out.v[out.n++] = v[i];
		else
			lose(c, at, "the %s \"" SLICE_FMT "\", which is literal there", what,
			    SLICE_ARG(v[i]));
	}
	return out;
}

static size_t keep_if(struct slice *v, size_t n, bool (*keep)(struct slice))
{
	size_t kept = 0;
	for (size_t i = 0; i < n; i++)
		if (keep(v[i]))
			v[kept++] = v[i];
	return kept;
}

static bool is_part(struct slice s)
{
	return slice_find(s, '/') < s.len;
}

static bool not_create(struct slice s)
{
	return !slice_is(s, "create");
}

/* --- grants --- */

static void write_resources(struct converter *c, const struct sayable *verbs,
    const struct sayable *groups, const struct sayable *resources, const struct sayable *names)
{
	if (verbs->n == 0 || groups->n == 0 || resources->n == 0)
		return;
	buf_adds(c->out, "  - {");
	add_list(c->out, "apiGroups", groups->v, groups->n);
	buf_adds(c->out, ", ");
	add_list(c->out, "resources", resources->v, resources->n);
	buf_adds(c->out, ", ");
	if (names->n) {
		add_list(c->out, "resourceNames", names->v, names->n);
		buf_adds(c->out, ", ");
	}
	add_list(c->out, "verbs", verbs->v, verbs->n);
	buf_adds(c->out, "}\n");
}

/* With names, `create` may stand only beside subresources: whole objects are created without a name. */
static void write_named(struct converter *c, const struct import_grant *g, struct sayable *verbs,
    const struct sayable *groups, struct sayable *resources, const struct sayable *names)
{
	static struct slice create[] = {SLICE("create")};
	size_t before = verbs->n, whole = resources->n;
	verbs->n = keep_if(verbs->v, verbs->n, not_create);
	write_resources(c, verbs, groups, resources, names);
	if (verbs->n == before)
		return;
	resources->n = keep_if(resources->v, resources->n, is_part);
	write_resources(c, &(struct sayable){create, 1}, groups, resources, names);
	if (resources->n < whole)
		lose(c, &g->at, "`create` of objects with a name: what is created has none yet");
}

static void write_grant(struct converter *c, const struct import_grant *g)
{
	struct sayable verbs = sift(c, &g->at, "verb", g->verbs.v, g->verbs.n, say_good_verb);
	struct sayable groups =
	    sift(c, &g->at, "API group", g->api_groups.v, g->api_groups.n, say_good_group);
	struct sayable resources =
	    sift(c, &g->at, "resource", g->resources.v, g->resources.n, say_good_resource);
	struct sayable names =
	    sift(c, &g->at, "resource name", g->names.v, g->names.n, say_good_name);
	if (g->names.n == 0)
		write_resources(c, &verbs, &groups, &resources, &names);
	else if (names.n)
		write_named(c, g, &verbs, &groups, &resources, &names);
}

static struct sayable sift_urls(
    struct converter *c, const struct place *at, const struct slice *v, size_t n)
{
	struct slice *urls = ARENA_ARRAY(c->im->arena, struct slice, n);
	for (size_t i = 0; i < n; i++)
		urls[i] = say_url(c->im->arena, v[i]);
	return sift(c, at, "path", urls, n, say_good_url);
}

static void write_paths(struct converter *c, const struct import_grant *g)
{
	struct sayable verbs = sift(c, &g->at, "verb", g->verbs.v, g->verbs.n, say_good_verb);
	struct sayable urls = sift_urls(c, &g->at, g->urls.v, g->urls.n);
	if (verbs.n == 0 || urls.n == 0)
		return;
	buf_adds(c->out, "  - {");
	add_list(c->out, "nonResourceURLs", urls.v, urls.n);
	buf_adds(c->out, ", ");
	add_list(c->out, "verbs", verbs.v, verbs.n);
	buf_adds(c->out, "}\n");
}

/* --- roles --- */

/* Which parts of a role came to be written. A role of RBAC may have paths, which no rule with namespaces may,
 * so they become a role beside it. */
struct written {
	bool resources, paths;
};

static const char *role_name(struct converter *c, const struct import_role *r, bool paths)
{
	return arena_printf(c->im->arena, "%s%s%s%s", r->namespace_ ? r->namespace_ : "",
	    r->namespace_ ? "/" : "", r->name, paths ? " (paths)" : "");
}

static bool write_role(struct converter *c, const struct import_role *r, bool paths)
{
	size_t start = c->out->len, lost = c->lost_text->len;
	buf_adds(c->out, "- name: ");
	add_text(c->out, slice_of(role_name(c, r, paths)));
	buf_printf(c->out, " # %s at %s:%u\n  rules:\n", r->namespace_ ? "Role" : "ClusterRole",
	    r->at.file, r->at.line);
	size_t head = c->out->len;
	for (size_t i = 0; i < r->ngrants; i++) {
		if ((r->grants[i]->urls.n > 0) != paths)
			continue;
		if (paths)
			write_paths(c, r->grants[i]);
		else
			write_grant(c, r->grants[i]);
	}
	bool any = c->out->len > head;
	if (!any)
		c->out->len = start;
	buf_slice(c->out, slice_skip(buf_view(c->lost_text), lost));
	c->lost_text->len = lost;
	return any;
}

/* Roles that some binding leads to, in the order of the files. */
static struct written *write_roles(struct converter *c)
{
	struct imports *im = c->im;
	struct written *w = ARENA_ARRAY(im->arena, struct written, im->nroles);
	bool *used = ARENA_ARRAY(im->arena, bool, im->nroles);
	for (size_t i = 0; i < im->nroles; i++)
		im->roles[i]->number = i;
	for (size_t i = 0; i < im->nbindings; i++)
		if (im->bindings[i]->role)
			used[im->bindings[i]->role->number] = true;
	size_t start = c->out->len;
	buf_adds(c->out, "roles:\n");
	size_t head = c->out->len;
	for (size_t i = 0; i < im->nroles; i++) {
		if (!used[i])
			continue;
		w[i].resources = write_role(c, im->roles[i], false);
		w[i].paths = write_role(c, im->roles[i], true);
	}
	bool any = false;
	for (size_t i = 0; i < im->nroles; i++)
		any |= w[i].resources || w[i].paths;
	if (!any)
		memmove(c->out->p + start, c->out->p + head, c->out->len - head);
	c->out->len -= any ? 0 : head - start;
	return w;
}

/* --- rules --- */

/* An id of our own alphabet for TEXT; one that is taken gets a number. */
static const char *new_id(struct converter *c, const char *text)
{
	char base[ID_MAX + 1];
	size_t n = 0;
	for (; *text && n < ID_MAX - 8; text++) {
		char k = *text >= 'A' && *text <= 'Z' ? (char)(*text - 'A' + 'a') : *text;
		bool good = (k >= 'a' && k <= 'z') || (k >= '0' && k <= '9') || k == '.' || k == '-';
		base[n++] = good ? k : '-';
		if (strncmp(text, "%20", 3) == 0) /* import_rbac.c's space */
			text += 2;
	}
	base[n] = '\0';
	const char *id = arena_strdup(c->im->arena, base);
	for (unsigned k = 2; map_get(&c->ids, slice_of(id)); k++)
		id = arena_printf(c->im->arena, "%s-%u", base, k);
	map_put(&c->ids, slice_of(id), c);
	return id;
}

/* Divides users into service accounts, in the short form, and the rest. */
static void split_users(struct converter *c, struct sayable *users, struct sayable *accounts)
{
	size_t kept = 0, prefix = strlen(SERVICE_ACCOUNT_PREFIX);
	accounts->v = ARENA_ARRAY(c->im->arena, struct slice, users->n);
	for (size_t i = 0; i < users->n; i++) {
		struct slice rest = slice_skip(users->v[i], prefix);
		int colon = (int)slice_find(rest, ':');
		if (policy_is_service_account(users->v[i]) && !say_banged(rest) &&
		    slice_find(rest, '/') == rest.len)
			accounts->v[accounts->n++] = slice_of(arena_printf(c->im->arena,
			    "%.*s/%.*s", colon, rest.p, (int)rest.len - colon - 1, rest.p + colon + 1));
		else
			users->v[kept++] = users->v[i];
	}
	users->n = kept;
}

static void write_subjects(struct converter *c, const struct sayable *users,
    const struct sayable *accounts, const struct sayable *groups)
{
	const struct {
		const char *key;
		const struct sayable *list;
	} lists[] = {{"users", users}, {"serviceAccounts", accounts}, {"groups", groups}};
	bool first = true;
	buf_adds(c->out, "  subjects: {");
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		if (lists[i].list->n == 0)
			continue;
		buf_adds(c->out, first ? "" : ", ");
		add_list(c->out, lists[i].key, lists[i].list->v, lists[i].list->n);
		first = false;
	}
	buf_adds(c->out, "}\n");
}

static void flush_lost(struct converter *c)
{
	buf_slice(c->out, buf_view(c->lost_text));
	c->lost_text->len = 0;
}

static void write_binding(struct converter *c, const struct import_binding *b, const struct written *w)
{
	if (!b->role)
		return;
	struct sayable users = sift(c, &b->at, "user", b->users.v, b->users.n, say_good_subject);
	struct sayable groups = sift(c, &b->at, "group", b->groups.v, b->groups.n, say_good_subject);
	struct sayable accounts = {0};
	bool paths = w[b->role->number].paths && !b->namespace_, resources = w[b->role->number].resources;
	split_users(c, &users, &accounts);
	flush_lost(c);
	if (users.n + groups.n + accounts.n == 0 || (!paths && !resources))
		return;
	buf_printf(c->out, "- id: %s # %s at %s:%u\n  effect: allow\n", new_id(c, b->id + 5), b->id + 5,
	    b->at.file, b->at.line);
	write_subjects(c, &users, &accounts, &groups);
	struct slice roles[2];
	size_t n = 0;
	if (resources)
		roles[n++] = slice_of(role_name(c, b->role, false));
	if (paths)
		roles[n++] = slice_of(role_name(c, b->role, true));
	buf_adds(c->out, "  ");
	add_list(c->out, "roles", roles, n);
	buf_addc(c->out, '\n');
	if (!b->namespace_)
		return;
	struct slice ns = slice_of(b->namespace_);
	buf_adds(c->out, "  ");
	add_list(c->out, "namespaces", &ns, 1);
	buf_addc(c->out, '\n');
}

/* --- lines of ABAC --- */

static void begin_line(struct converter *c, const struct import_line *l, const char *part)
{
	static const struct slice reading[] = {SLICE("get"), SLICE("list"), SLICE("watch")};
	static const struct slice all = SLICE("*");
	struct slice user = l->user, group = l->group;
	struct sayable users = {&user, user.len > 0}, groups = {&group, group.len > 0};
	const char *file = l->id + 5;
	buf_printf(c->out, "- id: %s # line %u of %s\n  effect: allow\n",
	    new_id(c, arena_printf(c->im->arena, "abac.%s%s", file, part)), l->at.line, l->at.file);
	write_subjects(c, &users, &(struct sayable){0}, &groups);
	buf_adds(c->out, "  ");
	add_list(c->out, "verbs", l->readonly ? reading : &all, l->readonly ? ARRAY_LEN(reading) : 1);
	buf_addc(c->out, '\n');
}

static void write_line_resources(struct converter *c, const struct import_line *l)
{
	bool all_places = slice_is(l->namespace_, "*");
	if (!slice_is(l->resource, "*") &&
	    (!say_good_resource(l->resource) || is_part(l->resource))) {
		lose(c, &l->at, "the resource \"" SLICE_FMT "\", which is literal there",
		    SLICE_ARG(l->resource));
		return;
	}
	if (!say_good_group(l->api_group)) {
		lose(c, &l->at, "the API group \"" SLICE_FMT "\", which is literal there",
		    SLICE_ARG(l->api_group));
		return;
	}
	if (!all_places && !say_good_namespace(l->namespace_)) {
		lose(c, &l->at, "the namespace \"" SLICE_FMT "\": none can have this name",
		    SLICE_ARG(l->namespace_));
		return;
	}
	if (!slice_is(l->resource, "*"))
		lose(c, &l->at, "subresources: ABAC gives all those of `" SLICE_FMT
		    "`; list the ones that are needed", SLICE_ARG(l->resource));
	flush_lost(c);
	begin_line(c, l, "");
	buf_adds(c->out, "  ");
	add_list(c->out, "apiGroups", &l->api_group, 1);
	buf_adds(c->out, "\n  ");
	add_list(c->out, "resources", &l->resource, 1);
	buf_addc(c->out, '\n');
	if (l->namespace_.len == 0) {
		buf_adds(c->out, "  clusterScope: only\n");
	} else if (!all_places) {
		buf_adds(c->out, "  ");
		add_list(c->out, "namespaces", &l->namespace_, 1);
		buf_addc(c->out, '\n');
	}
}

static void write_line_paths(struct converter *c, const struct import_line *l)
{
	struct sayable urls = sift_urls(c, &l->at, &l->path, 1);
	flush_lost(c);
	if (urls.n == 0)
		return;
	begin_line(c, l, "-paths");
	buf_adds(c->out, "  ");
	add_list(c->out, "nonResourceURLs", urls.v, urls.n);
	buf_addc(c->out, '\n');
}

static void write_line(struct converter *c, const struct import_line *l)
{
	if (l->user.len && l->group.len)
		lose(c, &l->at, "a line for the user \"" SLICE_FMT "\" when in the group \"" SLICE_FMT
		    "\"", SLICE_ARG(l->user), SLICE_ARG(l->group));
	else if ((l->user.len && !say_good_subject(l->user)) || (l->group.len && !say_good_subject(l->group)))
		lose(c, &l->at, "a name with `*` in it, or `!` in front, which is literal there");
	else {
		if (l->resource.len)
			write_line_resources(c, l);
		flush_lost(c);
		if (l->path.len)
			write_line_paths(c, l);
	}
	flush_lost(c);
}

/* --- the whole --- */

static void write_rules(struct converter *c, const struct written *w)
{
	size_t start = c->out->len;
	buf_adds(c->out, "rules:\n");
	size_t head = c->out->len;
	for (size_t i = 0; i < c->im->nbindings; i++)
		write_binding(c, c->im->bindings[i], w);
	for (size_t i = 0; i < c->im->nlines; i++)
		write_line(c, c->im->lines[i]);
	if (c->ids.len > 0)
		return;
	/* Comments may stand alone, the key may not. */
	memmove(c->out->p + start, c->out->p + head, c->out->len - head);
	c->out->len -= head - start;
}

enum err_code policy_convert(const struct policy_file *files, size_t n, struct buf *out, size_t *lost,
    struct diags *d)
{
	AUTO(arena_done) struct arena arena = {0};
	AUTO(imports_done) struct imports im = {.arena = &arena, .diags = d};
	AUTO(buf_done) struct buf lost_text;
	struct converter c = {.im = &im, .out = out, .lost_text = &lost_text};
	size_t errors = d->errors;
	buf_init(&lost_text, POLICY_TEXT_MAX);
	for (size_t i = 0; i < n; i++) {
		/* It stands in comments, which a line break would end. */
		if (!slice_printable(slice_of(files[i].name)))
			diags_error(d, files[i].name, 0, 0, "a control character in the name of the file");
		import_file(&im, &files[i]);
	}
	imports_link(&im);
	*lost = 0;
	if (d->errors != errors)
		return ERR_INVALID;
	buf_adds(out, "apiVersion: portcullis.dev/v1alpha1\nkind: AccessPolicy\n");
	const struct written *w = write_roles(&c);
	write_rules(&c, w);
	*lost = c.lost;
	map_done(&c.ids);
	return ERR_OK;
}
