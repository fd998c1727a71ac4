/* Owns the table of who gives out which names. */
#include "authn/names.h"

#include <stddef.h>

#include "authn/keystone_config.h"
#include "authn/ldap_config.h"

static struct namer issuer_names(const void *obj)
{
	const struct jwt_config *c = obj;
	const struct jwt_mappings_config *m = &c->claim_mappings;
	return (struct namer){
	    "issuer", c->issuer.url, m->username.prefix, m->groups.prefix, &c->place};
}

static struct namer directory_names(const void *obj)
{
	const struct ldap_config *c = obj;
	return (struct namer){"directory", c->name, c->username_prefix,
	    c->group_search.present ? c->groups_prefix : NULL, &c->place};
}

static struct namer keystone_names(const void *obj)
{
	const struct keystone_config *c = obj;
	return (struct namer){"keystone", c->name, c->username_prefix, c->groups_prefix, &c->place};
}

/* A kind of authenticator with a prefix of its own: a list in the configuration and what to make of
 * an item. */
static const struct source {
	size_t list, size;
	struct namer (*names)(const void *obj);
} sources[] = {
    {offsetof(struct authn_config, jwt), sizeof(struct jwt_config), issuer_names},
    {offsetof(struct authn_config, ldap), sizeof(struct ldap_config), directory_names},
    {offsetof(struct authn_config, keystone), sizeof(struct keystone_config), keystone_names},
};

/* The one after *SOURCE, *ITEM; both start at 0. False at the end. One that did not bind whole is
 * passed over. */
static bool next(const struct authn_config *cfg, size_t *source, size_t *item, struct namer *out)
{
	for (; *source < ARRAY_LEN(sources); ++*source, *item = 0) {
		const struct source *s = &sources[*source];
		const struct object_list *list = (const void *)((const char *)cfg + s->list);
		while (*item < list->len) {
			*out = s->names((const char *)list->items + s->size * (*item)++);
			if (out->who && out->prefix)
				return true;
		}
	}
	return false;
}

/* True when a name with prefix A may equal a name with prefix B. */
static bool meet(const char *a, const char *b)
{
	return slice_starts(slice_of(a), slice_of(b)) || slice_starts(slice_of(b), slice_of(a));
}

static void check_pair(const struct namer *a, const struct namer *b, struct diags *d)
{
	const struct place *at = b->place;
	if (meet(a->prefix, b->prefix))
		diags_error(d, at->file, at->line, at->col,
		    "user name prefixes \"%s\" and \"%s\" (%s %s) could give two people the same "
		    "name",
		    b->prefix, a->prefix, a->kind, a->who);
	else if (a->groups_prefix && b->groups_prefix && meet(a->groups_prefix, b->groups_prefix))
		diags_warn(d, at->file, at->line, at->col,
		    "group prefixes \"%s\" and \"%s\" (%s %s) could give one name to two groups",
		    b->groups_prefix, a->groups_prefix, a->kind, a->who);
}

void names_check(const struct authn_config *cfg, struct diags *d)
{
	struct namer a, b;
	for (size_t s = 0, i = 0; next(cfg, &s, &i, &b);)
		for (size_t t = 0, k = 0; next(cfg, &t, &k, &a) && (t < s || k < i);)
			check_pair(&a, &b, d);
}

bool names_taken(const struct authn_config *cfg, struct slice name, struct namer *out)
{
	for (size_t s = 0, i = 0; next(cfg, &s, &i, out);)
		if (slice_starts(name, slice_of(out->prefix)))
			return true;
	return false;
}
