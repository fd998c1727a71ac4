/* Owns the checks on what a rule is about: verbs, groups, resources, names, paths. */
#include "policy/ast.h"
#include "policy/glob.h"
#include "policy/scope.h"

#define NAME_SHOWN 40 /* bytes of a name in an example */

static bool has(const struct string_list *list, const char *word)
{
	for (size_t i = 0; i < list->len; i++)
		if (strcmp(list->items[i], word) == 0)
			return true;
	return false;
}

static bool has_upper(const char *s)
{
	for (; *s; s++)
		if (*s >= 'A' && *s <= 'Z')
			return true;
	return false;
}

/* Negation stands in no string. */
static void refuse_bang(struct ast *t, const struct ast_file *f, const struct ast_grant *g,
    const char *key, const struct string_list *list)
{
	for (size_t i = 0; i < list->len; i++)
		if (list->items[i][0] == '!')
			ast_error(t, ast_at(f, g->node, key, i),
			    "%s: `!` has no meaning here; name what is meant, and take the rest "
			    "away by a rule of its own",
			    ast_show(t, list->items[i]));
}

static void check_verbs(struct ast *t, const struct ast_file *f, const struct ast_grant *g)
{
	if (!ast_has(g->node, "verbs")) {
		ast_error(t, ast_at(f, g->node, NULL, 0), "`verbs` is missing");
		return;
	}
	for (size_t i = 0; i < g->verbs.len; i++) {
		const char *v = g->verbs.items[i];
		struct place at = ast_at(f, g->node, "verbs", i);
		if (v[0] == '\0')
			ast_error(t, at, "an empty verb");
		else if (strcmp(v, "*") != 0 && strchr(v, '*'))
			ast_error(t, at, "the verb %s: `*` stands for all verbs and only alone",
			    ast_show(t, v));
		else if (has_upper(v))
			ast_warn(t, at,
			    "the verb %s has upper-case letters, those of requests have none",
			    ast_show(t, v));
	}
}

static void check_api_groups(struct ast *t, const struct ast_file *f, const struct ast_grant *g)
{
	for (size_t i = 0; i < g->api_groups.len; i++) {
		const char *s = g->api_groups.items[i];
		struct place at = ast_at(f, g->node, "apiGroups", i);
		if (strcmp(s, "*") != 0 && strchr(s, '*'))
			ast_error(t, at,
			    "the API group %s: `*` stands for all groups and only alone",
			    ast_show(t, s));
		else if (strchr(s, '/'))
			ast_error(t, at, "the API group %s: groups stand without a version",
			    ast_show(t, s));
		else if (strcmp(s, "core") == 0 || strcmp(s, "v1") == 0)
			ast_error(t, at, "there is no API group %s: the core group is \"\"",
			    ast_show(t, s));
		else if (has_upper(s))
			ast_warn(t, at,
			    "the API group %s has upper-case letters, those of requests have none",
			    ast_show(t, s));
	}
}

/* One side of resource/subresource: a literal, or a lone star. */
static bool good_side(struct slice s)
{
	return s.len > 0 && (slice_is(s, "*") || slice_find(s, '*') == s.len);
}

static bool good_resource(const char *s)
{
	struct slice text = slice_of(s);
	size_t slash = slice_find(text, '/');
	struct slice resource = {text.p, slash};
	if (!good_side(resource))
		return false;
	return slash == text.len || good_side(slice_skip(text, slash + 1));
}

static void check_resources(struct ast *t, const struct ast_file *f, const struct ast_grant *g)
{
	for (size_t i = 0; i < g->resources.len; i++) {
		const char *s = g->resources.items[i];
		struct place at = ast_at(f, g->node, "resources", i);
		if (!good_resource(s))
			ast_error(t, at,
			    "the resource %s: expected `name`, `name/subresource`, `*/subresource` "
			    "or `*`",
			    ast_show(t, s));
		else if (has_upper(s) && strncmp(s, "userextras/", 11) != 0)
			ast_warn(t, at,
			    "the resource %s has upper-case letters; resources are plural and "
			    "lower-case, such as `pods`",
			    ast_show(t, s));
	}
}

/* Can the grant be about whole objects, and not only about subresources? Creating an object carries
 * no name, creating a subresource (pods/exec, serviceaccounts/token) does. */
static bool whole_objects(const struct ast_grant *g)
{
	for (size_t i = 0; i < g->resources.len; i++)
		if (!strchr(g->resources.items[i], '/'))
			return true;
	return false;
}

static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* A star right behind a word also takes words that go on: kubernetes/kubernetes#56582. */
static void check_name_glob(struct ast *t, struct place at, const char *s)
{
	size_t n = strlen(s);
	if (n == 0)
		ast_error(t, at, "an empty name: leave `resourceNamesGlob` out to mean all");
	else if (glob_is_all(slice_of(s)))
		ast_warn(t, at, "%s is every name; leave `resourceNamesGlob` out to mean all",
		    ast_show(t, s));
	else if (n > 1 && s[n - 1] == '*' && name_char(s[n - 2]))
		ast_warn(t, at,
		    "the glob %s also matches names that go on with other words, such as "
		    "`%.*s-app`",
		    ast_show(t, s), (int)(n - 1 < NAME_SHOWN ? n - 1 : NAME_SHOWN), s);
}

static void check_name_globs(struct ast *t, const struct ast_file *f, const struct ast_grant *g)
{
	for (size_t i = 0; i < g->resource_name_globs.len; i++)
		check_name_glob(
		    t, ast_at(f, g->node, "resourceNamesGlob", i), g->resource_name_globs.items[i]);
	if (g->resource_name_globs.len && has(&g->verbs, "create") && whole_objects(g))
		ast_error(t, ast_at(f, g->node, "resourceNamesGlob", SIZE_MAX),
		    "`resourceNamesGlob` beside the verb `create`: the name is not known then");
}

static void check_names(struct ast *t, const struct ast_file *f, const struct ast_grant *g)
{
	for (size_t i = 0; i < g->resource_names.len; i++) {
		const char *s = g->resource_names.items[i];
		struct place at = ast_at(f, g->node, "resourceNames", i);
		if (s[0] == '\0')
			ast_error(t, at, "an empty name: leave `resourceNames` out to mean all");
		else if (strchr(s, '*'))
			ast_warn(t, at,
			    "the name %s is taken literally: `*` is a wildcard in "
			    "`resourceNamesGlob` only",
			    ast_show(t, s));
	}
	if (g->resource_names.len && has(&g->verbs, "create") && whole_objects(g))
		ast_error(t, ast_at(f, g->node, "resourceNames", SIZE_MAX),
		    "`resourceNames` beside the verb `create`: the name is not known then");
}

static void check_urls(struct ast *t, const struct ast_file *f, const struct ast_grant *g)
{
	static const char *const others[] = {"apiGroups", "resources", "resourceNames",
	    "resourceNamesGlob", "fieldSelector", "labelSelector"};
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (ast_has(g->node, others[i]))
			ast_error(t, ast_at(f, g->node, others[i], SIZE_MAX),
			    "`%s` beside `nonResourceURLs`: make it two rules", others[i]);
	for (size_t i = 0; i < g->urls.len; i++) {
		const char *s = g->urls.items[i];
		struct place at = ast_at(f, g->node, "nonResourceURLs", i);
		const char *star = strchr(s, '*');
		if (s[0] != '/' && strcmp(s, "*") != 0)
			ast_error(t, at, "the path %s does not start with `/`", ast_show(t, s));
		else if (star && star[1] != '\0')
			ast_error(
			    t, at, "the path %s: `*` may stand at the end only", ast_show(t, s));
		else if (strchr(s, '?'))
			ast_error(t, at, "the path %s: requests are asked about without a query",
			    ast_show(t, s));
	}
}

void ast_check_grant_texts(struct ast *t, const struct ast_file *f, const struct ast_grant *g)
{
	check_verbs(t, f, g);
	refuse_bang(t, f, g, "verbs", &g->verbs);
	refuse_bang(t, f, g, "apiGroups", &g->api_groups);
	refuse_bang(t, f, g, "resources", &g->resources);
	if (ast_has(g->node, "nonResourceURLs")) {
		check_urls(t, f, g);
		return;
	}
	if (!ast_has(g->node, "resources"))
		ast_error(t, ast_at(f, g->node, NULL, 0),
		    "neither `resources` nor `nonResourceURLs`; [\"*\"] means all");
	check_api_groups(t, f, g);
	check_resources(t, f, g);
	check_names(t, f, g);
	check_name_globs(t, f, g);
	ast_check_selector(t, f, &g->fields, false, &g->verbs);
	ast_check_selector(t, f, &g->labels, true, &g->verbs);
}

/* --- what depends on the effect --- */

static bool core_group(const struct ast_grant *g)
{
	return g->api_groups.len == 0 || has(&g->api_groups, "") || has(&g->api_groups, "*");
}

/* A rule that gives access to every subresource also gives it to those of the future
 * (kubernetes/kubernetes#128741); to the ones of nodes it gives nodes/proxy, which runs commands.
 */
static void check_allowed_resource(struct ast *t, const struct ast_rule *r, struct place at,
    const struct ast_grant *g, const char *s)
{
	const char *slash = strchr(s, '/');
	if (slash && strcmp(slash, "/*") == 0) {
		ast_error(t, at, "%s in the allow rule `%s`: name each subresource%s",
		    ast_show(t, s), r->id,
		    strcmp(s, "nodes/*") == 0
			? "; nodes/proxy among them runs commands in every pod"
			: ", new ones would be granted too");
	} else if ((strcmp(s, "nodes/proxy") == 0 || strcmp(s, "*/proxy") == 0) && core_group(g)) {
		ast_warn(t, at,
		    "%s in the allow rule `%s`: through nodes/proxy even `get` runs commands "
		    "in every pod of the node",
		    ast_show(t, s), r->id);
	}
}

static bool without_namespace(const struct ast_grant *g, const char *resource)
{
	if (g->api_groups.len == 0 || has(&g->api_groups, "*"))
		return scope_known(NULL, resource);
	for (size_t i = 0; i < g->api_groups.len; i++)
		if (scope_known(g->api_groups.items[i], resource))
			return true;
	return false;
}

/* `list secrets` for all namespaces has no namespace either. */
static void warn_cluster_scope(struct ast *t, const struct ast_rule *r, struct place at,
    const struct ast_grant *g, const char *s)
{
	const char *slash = strchr(s, '/');
	const char *resource = slash ? arena_strndup(t->arena, s, (size_t)(slash - s)) : s;
	if (without_namespace(g, resource))
		return;
	const struct ast_file *f = t->defaults;
	for (size_t i = 0; f && i < f->defaults.cluster_scoped.len; i++) {
		const char *own = strchr(f->defaults.cluster_scoped.items[i], '/');
		if (own && strcmp(own + 1, resource) == 0)
			return;
	}
	ast_warn(t, at,
	    "`clusterScope: only` in the allow rule `%s`: for %s it also gives requests for all "
	    "namespaces at once",
	    r->id, ast_show(t, s));
}

static void check_allow(
    struct ast *t, const struct ast_rule *r, const struct ast_file *f, const struct ast_grant *g)
{
	for (size_t i = 0; i < g->resources.len; i++)
		check_allowed_resource(
		    t, r, ast_at(f, g->node, "resources", i), g, g->resources.items[i]);
	for (size_t i = 0; ast_has(r->node, "clusterScope") && i < g->resources.len; i++)
		warn_cluster_scope(
		    t, r, ast_at(f, g->node, "resources", i), g, g->resources.items[i]);
	if (g->resources.len && g->api_groups.len == 0)
		ast_warn(t, ast_at(f, g->node, "resources", SIZE_MAX),
		    "no `apiGroups` in the allow rule `%s`: resources of this name are allowed in "
		    "every group",
		    r->id);
}

void ast_check_grant(
    struct ast *t, const struct ast_rule *r, const struct ast_file *f, const struct ast_grant *g)
{
	bool scoped = r->namespaces_node || ast_has(r->node, "clusterScope");
	if (ast_has(g->node, "nonResourceURLs") && scoped)
		ast_error(t, ast_at(f, g->node, "nonResourceURLs", SIZE_MAX),
		    "`nonResourceURLs` in the rule `%s`, which has `namespaces` or `clusterScope`: "
		    "paths are in none",
		    r->id);
	if (r->effect == AST_ALLOW) {
		check_allow(t, r, f, g);
		return;
	}
	const char *names = g->resource_names.len ? "resourceNames" : "resourceNamesGlob";
	if ((g->resource_names.len || g->resource_name_globs.len) && has(&g->verbs, "*") &&
	    whole_objects(g) && r->overlap == AST_OVERLAP_POSSIBLE)
		ast_warn(t, ast_at(f, g->node, names, SIZE_MAX),
		    "`%s` with all verbs in the rule `%s`: every create is hit too, as it has no "
		    "name yet; list the verbs, or set `overlap: exact`",
		    names, r->id);
}
