/* Owns the list of a chain's directories and what outlives it of their people's failures. */
#include "authn/directories.h"

#include <ctype.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/ldapx.h"

/* Failures of one name: as many as a person who misremembers needs, fewer than directories lock
 * accounts at. Of all names on one path: far above a morning's mistypings, far below what a guesser
 * wants. */
static const struct penalty_limits name_limits = {
    .key_burst = 5,
    .key_interval = 30 * CLOCK_SECOND,
    .all_burst = 300,
    .all_interval = CLOCK_SECOND / 10,
};

/* Failures of one network: an office behind one address may mistype, a guesser does not get all of what
 * everybody has together. */
static const struct penalty_limits address_limits = {
    .key_burst = 100,
    .key_interval = CLOCK_SECOND / 2,
};

/* Refreshes of one session: several terminals at once, then as often as any client needs. */
static const struct penalty_limits session_limits = {
    .key_burst = 20,
    .key_interval = 30 * CLOCK_SECOND,
};

/* The same try again: answered without a directory. As short as a person who has just been given an account
 * or unlocked can wait. */
#define TYPED_WINDOW (60 * CLOCK_SECOND)
/* The same password at the same account: no bind. With three binds in half an hour no directory locks. */
#define ACCOUNT_WINDOW (600 * CLOCK_SECOND)
#define ACCOUNT_WINDOW_MAX (3600 * CLOCK_SECOND)

static void services_free(struct ldap_services **s)
{
	if (!s || !*s)
		return;
	penalty_free(&(*s)->names);
	penalty_free(&(*s)->addresses);
	penalty_free(&(*s)->sessions);
	wrongs_free(&(*s)->typed);
	wrongs_free(&(*s)->accounts);
	free(*s);
	*s = NULL;
}

static struct ldap_services *use_services(struct authn_services *services)
{
	if (services->ldap)
		return services->ldap;
	struct ldap_services *s = calloc(1, sizeof(*s));
	if (!s)
		abort();
	s->names = penalty_new(&name_limits);
	s->addresses = penalty_new(&address_limits);
	s->sessions = penalty_new(&session_limits);
	s->typed = wrongs_new(TYPED_WINDOW, TYPED_WINDOW);
	s->accounts = wrongs_new(ACCOUNT_WINDOW, ACCOUNT_WINDOW_MAX);
	services->ldap = s;
	services->ldap_free = services_free;
	return s;
}

static enum err_code add_all(struct directories *dirs, struct ldap_pools *pools,
    const struct object_list *list, struct diags *d)
{
	const struct ldap_config *c = list->items;
	enum err_code code = ERR_OK;
	dirs->items = calloc(list->len + 1, sizeof(struct directory *));
	dirs->basic = calloc(list->len + 1, sizeof(*dirs->basic));
	if (!dirs->items || !dirs->basic)
		abort();
	for (size_t i = 0; i < list->len; i++) {
		if (directory_new(pools, &c[i], &dirs->items[dirs->n], d) != ERR_OK) {
			code = ERR_INVALID;
			continue;
		}
		dirs->nbasic += c[i].basic;
		dirs->basic[dirs->n++] = c[i].basic;
	}
	return code;
}

static bool wanted(const struct authn_config *cfg)
{
	const struct ldap_config *c = cfg->ldap.items;
	for (size_t i = 0; i < cfg->ldap.len; i++) {
		if (c[i].basic)
			return true;
	}
	return cfg->login != NULL;
}

enum err_code directories_new(const struct authn_config *cfg, struct authn_services *services,
    struct directories **out, struct diags *d)
{
	*out = NULL;
	if (!wanted(cfg))
		return ERR_OK;
	ldapx_init();
	AUTO(directories_free) struct directories *dirs = calloc(1, sizeof(*dirs));
	if (!dirs)
		abort();
	dirs->guard = use_services(services);
	dirs->cache = account_cache_new();
	TRY(add_all(dirs, services->pools, &cfg->ldap, d));
	*out = TAKE(dirs);
	return ERR_OK;
}

void directories_free(struct directories **dp)
{
	if (!dp || !*dp)
		return;
	struct directories *d = TAKE(*dp);
	for (size_t i = 0; i < d->n; i++)
		directory_free(&d->items[i]);
	free(d->items);
	free(d->basic);
	account_cache_free(&d->cache);
	free(d);
}

struct directory *directories_find(const struct directories *d, struct slice name)
{
	for (size_t i = 0; i < d->n; i++) {
		if (slice_is(name, directory_name(d->items[i])))
			return d->items[i];
	}
	return NULL;
}

struct slice directories_cache_key(
    struct arena *a, struct slice directory, struct slice account, struct slice uid)
{
	/* Neither a directory's name nor an account's holds a NUL. */
	size_t len = directory.len + 1 + account.len + 1 + uid.len;
	char *p = arena_alloc(a, len + 1), *at = p;
	at = (char *)mempcpy(at, directory.p, directory.len) + 1;
	at = (char *)mempcpy(at, account.p, account.len) + 1;
	if (uid.len)
		memcpy(at, uid.p, uid.len);
	return (struct slice){p, len};
}

struct slice directories_fold(struct arena *a, const char *kind, struct slice name)
{
	size_t n = strlen(kind);
	char *p = arena_alloc(a, n + name.len + 1);
	memcpy(p, kind, n);
	for (size_t i = 0; i < name.len; i++) {
		bool blank = name.p[i] == ' ' && (n == strlen(kind) || p[n - 1] == ' ');
		if (!blank)
			p[n++] = (char)tolower((unsigned char)name.p[i]);
	}
	while (n > strlen(kind) && p[n - 1] == ' ')
		n--;
	return (struct slice){p, n};
}
