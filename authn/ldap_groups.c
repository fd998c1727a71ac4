/* Owns the walk through a directory's groups: from a person's own up through those that hold them. */
#include "authn/ldap_groups.h"

#include <stdlib.h>
#include <strings.h>

#include "authn/ldap_ids.h"
#include "authn/limits.h"
#include "common/ldap_dn.h"
#include "common/map.h"

/* Bytes that the raw answers may take: names alone are asked for. */
#define ANSWER_MAX ((size_t)16 << 20)
/* LDAP_MATCHING_RULE_IN_CHAIN of Active Directory. */
#define IN_CHAIN ":1.2.840.113556.1.4.1941:"

/* One person's groups, as far as they are known. What it holds lives in SCRATCH. */
struct walk {
	const struct ldap_config *cfg;
	const struct ldap_group_search *g;
	const struct ldap_asker *asker;
	struct arena *scratch;
	struct map seen; /* canonical DNs */
	struct slice *found; /* DNs of groups, in the order they were found */
	size_t nfound, found_cap;
	struct slice *names;
	size_t nnames, names_cap;
	struct slice *linked; /* memberOf of groups just found, to be followed */
	size_t nlinked, linked_cap;
};

/* --- filters --- */

static void add_term(struct buf *out, const char *attr, const char *rule, struct slice value)
{
	buf_addc(out, '(');
	buf_adds(out, attr);
	buf_adds(out, rule);
	buf_addc(out, '=');
	ldapx_filter_value(out, value);
	buf_addc(out, ')');
}

static bool is_dn(const struct ldap_user_matcher *m)
{
	return strcasecmp(m->user_attr, "DN") == 0;
}

/* The rule by which groups that hold an entry are asked for. */
static const char *chain_of(const struct ldap_group_search *g)
{
	return g->nested == LDAP_NESTED_IN_CHAIN ? IN_CHAIN : "";
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
		if (is_dn(&m[i])) {
			add_term(out, m[i].group_attr, chain_of(g), person->dn);
			terms++;
			continue;
		}
		const struct ldapx_attr *a = ldapx_attr(person, attrs, m[i].user_attr);
		for (size_t j = 0; a && j < a->n && !out->over; j++) {
			/* An empty assertion would match groups with an empty member. */
			if (a->values[j].len == 0)
				continue;
			add_term(out, m[i].group_attr, "", a->values[j]);
			terms++;
		}
	}
	buf_adds(out, "))");
	return terms > 0;
}

/* The attribute by which matcher M of a group finds the groups that hold it; NULL: not followed. */
static const char *parent_attr(const struct ldap_group_search *g, const struct ldap_user_matcher *m)
{
	if (m->recursion_group_attr)
		return m->recursion_group_attr;
	return g->nested != LDAP_NESTED_NONE && is_dn(m) ? m->group_attr : NULL;
}

/* Groups in groups are ours to follow. */
static bool follows(const struct ldap_group_search *g)
{
	const struct ldap_user_matcher *m = g->matchers.items;
	if (g->member_of_attr)
		return g->nested == LDAP_NESTED_SEARCH;
	for (size_t i = 0; i < g->matchers.len; i++) {
		if (parent_attr(g, &m[i]))
			return true;
	}
	return false;
}

/* Terms for the groups that hold the group DN. */
static void parent_terms(const struct ldap_group_search *g, struct slice dn, struct buf *out)
{
	const struct ldap_user_matcher *m = g->matchers.items;
	for (size_t i = 0; i < g->matchers.len; i++) {
		const char *attr = parent_attr(g, &m[i]);
		if (attr)
			add_term(out, attr, chain_of(g), dn);
	}
}

/* A term for the group DN itself. */
static void own_term(const struct walk *w, struct slice dn, struct buf *out)
{
	bool ad = w->cfg->type == LDAP_TYPE_ACTIVE_DIRECTORY;
	add_term(out, ad ? "distinguishedName" : "entryDN", "", dn);
}

/* --- what is found --- */

static struct slice prefixed(struct arena *a, const char *prefix, struct slice name)
{
	size_t len = strlen(prefix);
	char *p = arena_alloc(a, len + name.len + 1);
	memcpy(p, prefix, len);
	memcpy(p + len, name.p, name.len);
	return (struct slice){p, len + name.len};
}

static enum err_code too_many(struct err *e)
{
	return err_set(e, ERR_LIMIT, "more than %d groups", LDAP_GROUPS_MAX);
}

static enum err_code add_name(struct walk *w, struct slice name, struct err *e)
{
	const char *prefix = w->cfg->groups_prefix ? w->cfg->groups_prefix : "";
	if (name.len == 0 || name.len + strlen(prefix) > NAME_MAX_BYTES || !slice_printable(name))
		return ERR_OK;
	if (w->nnames == LDAP_GROUPS_MAX)
		return too_many(e);
	ARENA_ROOM(w->scratch, w->names, w->nnames, w->names_cap, 16);
	w->names[w->nnames++] = name;
	return ERR_OK;
}

/* True once for each group, however its DN is spelled. */
static bool first_time(struct walk *w, struct slice dn)
{
	AUTO(buf_done) struct buf key;
	buf_init(&key, 3 * dn.len + 1);
	struct slice k = ldap_dn_canonical(dn, &key) ? buf_view(&key) : dn;
	if (map_get(&w->seen, k))
		return false;
	map_put(&w->seen, slice_dup(w->scratch, k), w);
	return true;
}

static void add_links(struct walk *w, const struct ldapx_attr *a)
{
	for (size_t i = 0; i < a->n; i++) {
		ARENA_ROOM(w->scratch, w->linked, w->nlinked, w->linked_cap, 16);
		w->linked[w->nlinked++] = a->values[i];
	}
}

/* Takes what is new of an answer. */
static enum err_code take(
    struct walk *w, const struct ldapx_entry *groups, size_t n, bool links, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		if (!first_time(w, groups[i].dn))
			continue;
		if (w->nfound == LDAP_GROUPS_MAX)
			return too_many(e);
		ARENA_ROOM(w->scratch, w->found, w->nfound, w->found_cap, 16);
		w->found[w->nfound++] = groups[i].dn;
		const struct ldapx_attr *a = &groups[i].attrs[0];
		for (size_t j = 0; j < a->n; j++)
			TRY(add_name(w, a->values[j], e));
		if (links)
			add_links(w, &groups[i].attrs[1]);
	}
	return ERR_OK;
}

/* One search among the groups. */
static enum err_code ask(struct walk *w, struct buf *filter, struct err *e)
{
	if (filter->over)
		return err_set(e, ERR_LIMIT, "group filter longer than %zu bytes", LDAP_FILTER_MAX);
	bool links = w->g->member_of_attr && w->g->nested == LDAP_NESTED_SEARCH;
	const char *wanted[] = {w->g->name_attr, links ? w->g->member_of_attr : NULL, NULL};
	struct ldapx_search q = {
	    .base = w->g->base_dn,
	    .scope = w->g->scope == LDAP_CFG_ONE ? LDAPX_ONE : LDAPX_SUB,
	    .filter = buf_cstr(filter),
	    .attrs = wanted,
	    .max_entries = LDAP_GROUPS_MAX,
	    .page = (size_t)w->g->page_size,
	    .ranges = true,
	};
	struct ldapx_entry *groups;
	size_t n;
	enum err_code code = w->asker->search(w->asker->arg, &q, w->scratch, &groups, &n, e);
	if (code == ERR_OK)
		return take(w, groups, n, links, e);
	err_wrap(e, "groups");
	return code == ERR_REFUSED ? ERR_UNAVAILABLE : code;
}

/* --- from many names to the next groups --- */

enum kind { THEMSELVES, PARENTS };

/* Searches with the terms of DNS[FROM..], as many as one filter takes; *FROM moves on. */
static enum err_code ask_batch(struct walk *w, enum kind kind, const struct slice *dns, size_t n,
    size_t *from, struct err *e)
{
	AUTO(buf_done) struct buf filter;
	buf_init(&filter, LDAP_FILTER_MAX);
	buf_printf(&filter, "(&%s(|", w->g->filter);
	for (size_t i = 0; i < LDAP_BATCH_MAX && *from < n; i++, (*from)++) {
		if (filter.len > LDAP_FILTER_MAX / 2)
			break;
		if (kind == PARENTS)
			parent_terms(w->g, dns[*from], &filter);
		else
			own_term(w, dns[*from], &filter);
	}
	buf_adds(&filter, "))");
	return ask(w, &filter, e);
}

static enum err_code ask_all(
    struct walk *w, enum kind kind, const struct slice *dns, size_t n, struct err *e)
{
	for (size_t from = 0; from < n;)
		TRY(ask_batch(w, kind, dns, n, &from, e));
	return ERR_OK;
}

/* What is new of the groups that are linked to, each once. */
static enum err_code ask_linked(struct walk *w, struct err *e)
{
	struct slice *dns = w->linked;
	size_t n = w->nlinked, k = 0;
	w->linked = NULL;
	w->nlinked = w->linked_cap = 0;
	AUTO(map_done) struct map asked = {0};
	for (size_t i = 0; i < n; i++) {
		AUTO(buf_done) struct buf key;
		buf_init(&key, 3 * dns[i].len + 1);
		struct slice at = ldap_dn_canonical(dns[i], &key) ? buf_view(&key) : dns[i];
		if (dns[i].len == 0 || map_get(&w->seen, at) || map_get(&asked, at))
			continue;
		map_put(&asked, slice_dup(w->scratch, at), w);
		dns[k++] = dns[i];
	}
	return ask_all(w, THEMSELVES, dns, k, e);
}

/* Level by level; each group is looked at once, so a cycle ends by itself. */
static enum err_code climb(struct walk *w, struct err *e)
{
	for (size_t from = 0, level = 0; from < w->nfound; level++) {
		size_t to = w->nfound;
		if (level == LDAP_NESTING_MAX)
			return err_set(
			    e, ERR_LIMIT, "groups in more than %d levels", LDAP_NESTING_MAX);
		if (w->g->member_of_attr)
			TRY(ask_linked(w, e));
		else
			TRY(ask_all(w, PARENTS, w->found + from, to - from, e));
		from = to;
	}
	return ERR_OK;
}

/* --- where it begins --- */

/* The group of primaryGroupID in the domain of objectSid. */
static enum err_code ask_primary(struct walk *w, const struct ldapx_entry *person,
    const char *const *attrs, struct err *e)
{
	const struct ldapx_attr *rid = ldapx_attr(person, attrs, "primaryGroupID");
	const struct ldapx_attr *sid = ldapx_attr(person, attrs, "objectSid");
	uint8_t raw[LDAP_SID_MAX];
	size_t len = 0;
	char *end = NULL;
	unsigned long id = rid && rid->n == 1 ? strtoul(rid->values[0].p, &end, 10) : 0;
	if (!end || end == rid->values[0].p || *end != '\0' || id == 0 || id > UINT32_MAX ||
	    !sid || sid->n != 1 || !ldap_sid_sibling(sid->values[0], (uint32_t)id, raw, &len))
		return err_set(e, ERR_INVALID, "no primaryGroupID or no objectSid");
	AUTO(buf_done) struct buf filter;
	buf_init(&filter, LDAP_FILTER_MAX);
	buf_printf(&filter, "(&%s", w->g->filter);
	add_term(&filter, "objectSid", "", (struct slice){(const char *)raw, len});
	buf_addc(&filter, ')');
	return ask(w, &filter, e);
}

/* Names in the DNs themselves; those of groups whose DN has none are read. */
static enum err_code names_of_dns(struct walk *w, const struct ldapx_attr *dns, struct err *e)
{
	AUTO(buf_done) struct buf base;
	buf_init(&base, 3 * strlen(w->g->base_dn) + 1);
	if (!ldap_dn_canonical(slice_of(w->g->base_dn), &base))
		return err_set(e, ERR_UNAVAILABLE, "groupSearch.baseDN is no DN");
	for (size_t i = 0; i < dns->n; i++) {
		AUTO(buf_done) struct buf key, name;
		buf_init(&key, 3 * dns->values[i].len + 1);
		buf_init(&name, dns->values[i].len + 1);
		if (!ldap_dn_canonical(dns->values[i], &key) ||
		    !ldap_dn_first(dns->values[i], w->g->name_attr, &name)) {
			struct ldapx_attr one = {.values = &dns->values[i], .n = 1};
			add_links(w, &one);
			continue;
		}
		if (ldap_dn_within(buf_view(&key), buf_view(&base)) &&
		    first_time(w, dns->values[i]))
			TRY(add_name(w, slice_dup(w->scratch, buf_view(&name)), e));
	}
	return ask_linked(w, e);
}

/* The groups that PERSON is in, but for the primary one. */
static enum err_code ask_own(struct walk *w, const struct ldapx_entry *person,
    const char *const *attrs, struct err *e)
{
	if (w->g->member_of_attr) {
		const struct ldapx_attr *dns = ldapx_attr(person, attrs, w->g->member_of_attr);
		if (!dns)
			return ERR_OK;
		if (w->g->name_from == LDAP_NAME_FROM_DN)
			return names_of_dns(w, dns, e);
		add_links(w, dns);
		return ask_linked(w, e);
	}
	AUTO(buf_done) struct buf filter;
	buf_init(&filter, LDAP_FILTER_MAX);
	return ldap_groups_filter(w->g, person, attrs, &filter) ? ask(w, &filter, e) : ERR_OK;
}

/* In chain the server climbs from the person's DN alone: groups found otherwise (the primary one, those that name a
 * person by another attribute) are where it begins, too. */
static enum err_code climb_in_chain(struct walk *w, const struct ldapx_entry *person,
    const char *const *attrs, struct err *e)
{
	const struct ldap_user_matcher *m = w->g->matchers.items;
	bool by_dn_alone = true;
	for (size_t i = 0; i < w->g->matchers.len; i++)
		by_dn_alone = by_dn_alone && is_dn(&m[i]);
	if (by_dn_alone)
		TRY(ask_all(w, PARENTS, w->found, w->nfound, e));
	TRY(ask_own(w, person, attrs, e));
	return by_dn_alone ? ERR_OK : ask_all(w, PARENTS, w->found, w->nfound, e);
}

static enum err_code walk_all(struct walk *w, const struct ldapx_entry *person,
    const char *const *attrs, struct err *e)
{
	if (w->g->primary_group)
		TRY(ask_primary(w, person, attrs, e));
	if (w->g->nested == LDAP_NESTED_IN_CHAIN)
		return climb_in_chain(w, person, attrs, e);
	TRY(ask_own(w, person, attrs, e));
	return follows(w->g) ? climb(w, e) : ERR_OK;
}

/* --- the whole --- */

static void hand_over(struct walk *w, struct arena *arena, const struct slice **out, size_t *n)
{
	const char *prefix = w->cfg->groups_prefix ? w->cfg->groups_prefix : "";
	size_t k = slice_sort_unique(w->names, w->nnames);
	struct slice *names = ARENA_ARRAY(arena, struct slice, k);
	for (size_t i = 0; i < k; i++)
		names[i] = prefixed(arena, prefix, w->names[i]);
	*out = names;
	*n = k;
}

enum err_code ldap_groups_ask(const struct ldap_config *cfg, const struct ldap_asker *asker,
    const struct ldapx_entry *person, const char *const *attrs, struct arena *arena,
    const struct slice **out, size_t *n, struct err *e)
{
	*out = NULL;
	*n = 0;
	if (!cfg->group_search.present)
		return ERR_OK;
	AUTO(arena_done) struct arena scratch;
	arena_init(&scratch, ANSWER_MAX);
	struct walk w = {
	    .cfg = cfg, .g = &cfg->group_search, .asker = asker, .scratch = &scratch};
	enum err_code code = walk_all(&w, person, attrs, e);
	map_done(&w.seen);
	if (code == ERR_OK)
		hand_over(&w, arena, out, n);
	return code;
}

static enum err_code ask_session(void *arg, const struct ldapx_search *q, struct arena *a,
    struct ldapx_entry **out, size_t *n, struct err *e)
{
	const struct ldap_session *s = arg;
	return ldapx_search(s->service, q, s->deadline, a, out, n, e);
}

enum err_code ldap_groups_find(const struct ldap_config *cfg, struct ldap_session *s,
    const struct ldapx_entry *person, const char *const *attrs, struct arena *arena,
    const struct slice **out, size_t *n, struct err *e)
{
	struct ldap_asker asker = {.search = ask_session, .arg = s};
	return ldap_groups_ask(cfg, &asker, person, attrs, arena, out, n, e);
}
