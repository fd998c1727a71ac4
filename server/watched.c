/* Owns the list of paths whose changes may be changes of what serves. */
#include "server/watched.h"

/* Paths that are to be watched, collected in an arena. */
struct paths {
	struct arena *arena;
	const char **v;
	size_t n, cap;
};

static void add_path(struct paths *p, const char *path)
{
	if (!path)
		return;
	ARENA_ROOM(p->arena, p->v, p->n, p->cap, 64);
	p->v[p->n++] = path;
}

static void add_paths(struct paths *p, const struct string_list *list)
{
	for (size_t i = 0; i < list->len; i++)
		add_path(p, list->items[i]);
}

/* Imported files may lie anywhere; new ones appear in the folders of those that are there. */
static void add_imported(struct paths *p, const struct served_policy *s)
{
	for (size_t i = 0; s && i < s->nfiles; i++) {
		const char *name = s->files[i].name, *slash = strrchr(name, '/');
		if (s->files[i].kind == POLICY_FILE_NATIVE)
			continue;
		add_path(p, name);
		if (slash && slash > name)
			add_path(p, arena_strndup(p->arena, name, (size_t)(slash - name)));
	}
}

static void add_authorization(struct paths *p, const struct config *c)
{
	const struct authorization_config *z = &c->authorization;
	if (!z->present)
		return;
	add_path(p, z->policy);
	add_path(p, z->shadow_policy);
	add_path(p, z->guards);
	add_paths(p, &z->signatures.public_keys);
	if (z->signatures.present)
		add_path(p, policy_signature_path(p->arena, z->policy));
}

size_t watched_paths(const struct config *c, const struct served_policy *policy,
    const struct served_policy *shadow, struct arena *a, const char ***out)
{
	struct paths p = {.arena = a};
	struct string_list authn;
	config_authn_files(c, a, &authn);
	add_path(&p, c->path);
	add_path(&p, c->webhook.certificate_file);
	add_path(&p, c->webhook.key_file);
	add_path(&p, c->webhook.client_ca_file);
	add_path(&p, c->authentication.denylist_file);
	add_path(&p, c->login.certificate_file);
	add_path(&p, c->login.key_file);
	add_paths(&p, &authn);
	add_authorization(&p, c);
	add_imported(&p, policy);
	add_imported(&p, shadow);
	*out = p.v;
	return p.n;
}
