/* Owns the group search: the filter of all matchers, and names out of what it finds. */
#include "authn/ldap_groups.h"

#include <stdlib.h>
#include <strings.h>

#include "authn/limits.h"

/* Bytes that the raw answer may take: names alone are asked for. */
#define ANSWER_MAX ((size_t)8 << 20)

static void add_term(struct buf *out, const char *attr, struct slice value)
{
	buf_addc(out, '(');
	buf_adds(out, attr);
	buf_addc(out, '=');
	ldapx_filter_value(out, value);
	buf_addc(out, ')');
}

bool ldap_groups_filter(const struct ldap_group_search *g, const struct ldapx_entry *person,
    const char *const *attrs, struct buf *out)
{
	const struct ldap_user_matcher *m = g->matchers.items;
	size_t terms = 0;
	buf_adds(out, "(&");
	buf_adds(out, g->filter);
	buf_adds(out, "(|");
	for (size_t i = 0; i < g->matchers.len; i++) {
		const struct ldapx_attr *a = ldapx_attr(person, attrs, m[i].user_attr);
		if (strcasecmp(m[i].user_attr, "DN") == 0) {
			add_term(out, m[i].group_attr, person->dn);
			terms++;
			continue;
		}
		for (size_t j = 0; a && j < a->n && !out->over; j++) {
			/* An empty assertion would match groups with an empty member. */
			if (a->values[j].len == 0)
				continue;
			add_term(out, m[i].group_attr, a->values[j]);
			terms++;
		}
	}
	buf_adds(out, "))");
	return terms > 0;
}

static int cmp_names(const void *a, const void *b)
{
	return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static size_t sort_unique(struct slice *names, size_t n)
{
	size_t k = 0;
	if (n > 1)
		qsort(names, n, sizeof(*names), cmp_names);
	for (size_t i = 0; i < n; i++) {
		if (k == 0 || !slice_eq(names[k - 1], names[i]))
			names[k++] = names[i];
	}
	return k;
}

static struct slice prefixed(struct arena *a, const char *prefix, struct slice name)
{
	size_t len = strlen(prefix);
	char *p = arena_alloc(a, len + name.len + 1);
	memcpy(p, prefix, len);
	memcpy(p + len, name.p, name.len);
	return (struct slice){p, len + name.len};
}

static bool fit(const char *prefix, struct slice name)
{
	return name.len > 0 && name.len + strlen(prefix) <= NAME_MAX_BYTES && slice_printable(name);
}

static enum err_code take_names(const struct ldap_config *cfg, const struct ldapx_entry *groups,
    size_t ngroups, struct arena *arena, const struct slice **out, size_t *n, struct err *e)
{
	const char *prefix = cfg->groups_prefix ? cfg->groups_prefix : "";
	size_t total = 0, k = 0;
	for (size_t i = 0; i < ngroups; i++)
		total += groups[i].attrs[0].n;
	if (total > LDAP_GROUPS_MAX)
		return err_set(e, ERR_LIMIT, "more than %d groups", LDAP_GROUPS_MAX);
	struct slice *names = ARENA_ARRAY(arena, struct slice, total);
	for (size_t i = 0; i < ngroups; i++) {
		const struct ldapx_attr *a = &groups[i].attrs[0];
		for (size_t j = 0; j < a->n; j++) {
			if (fit(prefix, a->values[j]))
				names[k++] = prefixed(arena, prefix, a->values[j]);
		}
	}
	*out = names;
	*n = sort_unique(names, k);
	return ERR_OK;
}

enum err_code ldap_groups_find(const struct ldap_config *cfg, struct ldap_session *s,
    const struct ldapx_entry *person, const char *const *attrs, struct arena *arena,
    const struct slice **out, size_t *n, struct err *e)
{
	const struct ldap_group_search *g = &cfg->group_search;
	*out = NULL;
	*n = 0;
	if (!g->present)
		return ERR_OK;
	AUTO(buf_done) struct buf filter;
	buf_init(&filter, LDAP_FILTER_MAX);
	if (!ldap_groups_filter(g, person, attrs, &filter))
		return ERR_OK;
	if (filter.over)
		return err_set(e, ERR_LIMIT, "group filter longer than %zu bytes", LDAP_FILTER_MAX);
	AUTO(arena_done) struct arena scratch;
	arena_init(&scratch, ANSWER_MAX);
	const char *wanted[] = {g->name_attr, NULL};
	struct ldapx_search q = {
	    .base = g->base_dn,
	    .scope = g->scope == LDAP_CFG_ONE ? LDAPX_ONE : LDAPX_SUB,
	    .filter = buf_cstr(&filter),
	    .attrs = wanted,
	    .max_entries = LDAP_GROUPS_MAX,
	};
	struct ldapx_entry *groups;
	size_t ngroups;
	enum err_code code =
	    ldapx_search(s->service, &q, s->deadline, &scratch, &groups, &ngroups, e);
	if (code != ERR_OK) {
		err_wrap(e, "groups");
		return code == ERR_REFUSED ? ERR_UNAVAILABLE : code;
	}
	return take_names(cfg, groups, ngroups, arena, out, n, e);
}
