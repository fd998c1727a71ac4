/* Owns whom a template is for. */
#include "rbac-sync/template_internal.h"

static const struct field match_fields[] = {
    {"providers", FIELD_STRINGS, offsetof(struct template_match, providers), .nonempty = true,
	.doc = "Globs over the authenticator's name; absent: any."},
    {"groups", FIELD_STRINGS, offsetof(struct template_match, groups), .nonempty = true,
	.doc = "Globs, of which one of the user's groups must match one; absent: any user."},
    {"notUsers", FIELD_STRINGS, offsetof(struct template_match, not_users),
	.doc = "Globs over user names that the template is not for."},
    {0},
};

static void check_match(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct template_match *m = obj;
	if (!m->providers.len && !m->groups.len)
		diags_error(d, file, node->line, node->col,
		    "name providers or groups; for everybody say providers: [\"*\"]");
}

const struct schema template_match_schema = {"match", sizeof(struct template_match), match_fields,
    offsetof(struct template_match, place), offsetof(struct template_match, present), check_match};

static bool any_glob(const struct string_list *globs, struct slice text)
{
	for (size_t i = 0; i < globs->len; i++) {
		if (pattern_glob(globs->items[i], text))
			return true;
	}
	return false;
}

bool template_matches_group(const struct template *t, struct slice group)
{
	return any_glob(&t->match.groups, group);
}

bool template_matches(const struct template *t, const struct spool_event *ev)
{
	const struct template_match *m = &t->match;
	if (m->providers.len && !any_glob(&m->providers, ev->provider))
		return false;
	if (any_glob(&m->not_users, ev->username))
		return false;
	for (size_t i = 0; i < ev->ngroups && m->groups.len; i++) {
		if (template_matches_group(t, ev->groups[i]))
			return true;
	}
	return m->groups.len == 0;
}
