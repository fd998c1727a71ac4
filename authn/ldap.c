/* Owns the directory's answers: search, bind, and an identity out of the entry. */
#include "authn/ldap.h"

#include <stdlib.h>
#include <strings.h>

#include "authn/ldap_account.h"
#include "authn/ldap_groups.h"
#include "authn/ldap_ids.h"
#include "authn/limits.h"
#include "common/clock.h"
#include "common/metrics.h"
#include "common/secret.h"

_Static_assert(DIRECTORY_PASSWORD_MAX == LDAPX_PASSWORD_MAX, "one limit, two names");

/* Bytes that a person's entry may take: a handful of attributes is asked for, one of which may hold
 * some thousands of groups. */
#define ENTRY_MAX ((size_t)4 << 20)
/* username, uidAttr, one a matcher, memberOfAttr, two of the primary group, the account's, NULL. */
#define ATTRS_MAX 32

struct directory {
	const struct ldap_config *cfg;
	struct ldap_pool *pool;
	const char *attrs[ATTRS_MAX]; /* of a person, NULL-terminated, no name twice */
	char *provider; /* "ldap:NAME" */
	struct metric *refused, *good, *unavailable, *ambiguous;
};

/* What a turn at a server works on. */
struct job {
	struct directory *d;
	struct slice name, uid; /* to look for; UID only by lookup */
	const struct slice *password; /* NULL: look-up */
	struct directory_call *call;
};

/* --- building --- */

static void want(struct directory *d, const char *attr)
{
	size_t n = 0;
	if (!attr || strcasecmp(attr, "DN") == 0)
		return;
	for (; d->attrs[n]; n++) {
		if (strcasecmp(d->attrs[n], attr) == 0)
			return;
	}
	if (n < ATTRS_MAX - 1)
		d->attrs[n] = attr;
}

static struct metric *answers(const struct ldap_config *cfg, const char *result)
{
	AUTO(buf_done) struct buf labels;
	buf_init(&labels, 1024);
	metrics_label(&labels, "directory", slice_of(cfg->name));
	metrics_label(&labels, "result", slice_of(result));
	return metrics_counter("portcullis_directory_answers_total",
	    "Logins and account look-ups that a directory decided or could not decide.",
	    buf_cstr(&labels));
}

static struct metric *ambiguities(const struct ldap_config *cfg)
{
	AUTO(buf_done) struct buf labels;
	buf_init(&labels, 1024);
	metrics_label(&labels, "directory", slice_of(cfg->name));
	return metrics_counter("portcullis_directory_ambiguous_total",
	    "Names that more than one entry of a directory answered to.", buf_cstr(&labels));
}

enum err_code directory_new(struct ldap_pools *pools, const struct ldap_config *cfg,
    struct directory **out, struct diags *d)
{
	AUTO(directory_free) struct directory *dir = calloc(1, sizeof(*dir));
	if (!dir)
		abort();
	dir->cfg = cfg;
	if (ldap_pool_new(pools, cfg, &dir->pool, d) != ERR_OK)
		return ERR_INVALID;
	want(dir, cfg->user_search.username);
	want(dir, cfg->user_search.uid_attr);
	const struct ldap_user_matcher *m = cfg->group_search.matchers.items;
	for (size_t i = 0; i < cfg->group_search.matchers.len; i++)
		want(dir, m[i].user_attr);
	want(dir, cfg->group_search.member_of_attr);
	if (cfg->group_search.primary_group) {
		want(dir, "primaryGroupID");
		want(dir, "objectSid");
	}
	for (const char *const *a = ldap_account_attrs(cfg->account_state); *a; a++)
		want(dir, *a);
	size_t len = strlen("ldap:") + strlen(cfg->name) + 1;
	dir->provider = malloc(len);
	if (!dir->provider)
		abort();
	memcpy(dir->provider, "ldap:", 5);
	memcpy(dir->provider + 5, cfg->name, len - 5);
	dir->good = answers(cfg, "good");
	dir->refused = answers(cfg, "refused");
	dir->unavailable = answers(cfg, "unavailable");
	dir->ambiguous = ambiguities(cfg);
	*out = TAKE(dir);
	return ERR_OK;
}

void directory_free(struct directory **d)
{
	if (!d || !*d)
		return;
	ldap_pool_free(&(*d)->pool);
	free((*d)->provider);
	free(*d);
	*d = NULL;
}

const char *directory_name(const struct directory *d)
{
	return d->cfg->name;
}

int64_t directory_cache_ttl(const struct directory *d)
{
	return d->cfg->cache_ttl;
}

/* --- the entry --- */

static enum err_code refuse(struct job *j, struct err *e, const char *reason, const char *text)
{
	j->call->reason = reason;
	return err_set(e, ERR_REFUSED, "directory %s: %s", j->d->cfg->name, text);
}

/* The one value of ATTR; the zero slice when there is none, several, or an empty one. */
static struct slice single(
    const struct directory *d, const struct ldapx_entry *entry, const char *attr)
{
	const struct ldapx_attr *a = ldapx_attr(entry, d->attrs, attr);
	return a && a->n == 1 ? a->values[0] : (struct slice){0};
}

static void add_term(struct buf *out, const char *attr, struct slice value)
{
	buf_printf(out, "(%s=", attr);
	ldapx_filter_value(out, value);
	buf_addc(out, ')');
}

/* A typed name may be any of loginAttrs; an account's own is its username alone. */
static void user_filter(const struct job *j, struct buf *out)
{
	const struct ldap_user_search *u = &j->d->cfg->user_search;
	const struct string_list *typed = &u->login_attrs;
	buf_printf(out, "(&%s(|", u->filter);
	if (!j->password || typed->len == 0)
		add_term(out, u->username, j->name);
	for (size_t i = 0; j->password && i < typed->len; i++)
		add_term(out, typed->items[i], j->name);
	buf_adds(out, "))");
}

/* The one entry that answers to the name. */
static enum err_code find_entry(struct job *j, struct ldap_session *s, struct arena *scratch,
    struct ldapx_entry **out, struct err *e)
{
	const struct ldap_user_search *u = &j->d->cfg->user_search;
	AUTO(buf_done) struct buf filter;
	buf_init(&filter, LDAP_FILTER_MAX);
	user_filter(j, &filter);
	if (filter.over)
		return refuse(j, e, "badName", "search filter too long");
	struct ldapx_search q = {
	    .base = u->base_dn,
	    .scope = u->scope == LDAP_CFG_ONE ? LDAPX_ONE : LDAPX_SUB,
	    .filter = buf_cstr(&filter),
	    .attrs = j->d->attrs,
	    .max_entries = 2,
	    .ranges = true,
	};
	size_t n;
	enum err_code code = ldapx_search(s->service, &q, s->deadline, scratch, out, &n, e);
	/* Of what is asked for, memberOf alone may grow so far. */
	if (code == ERR_LIMIT && n <= 1 && j->d->cfg->group_search.member_of_attr)
		return refuse(j, e, "tooManyGroups", "an attribute with too many values");
	if (code == ERR_LIMIT || (code == ERR_OK && n > 1)) {
		metric_inc(j->d->ambiguous);
		return refuse(j, e, "ambiguous", "more than one entry, or an entry too large");
	}
	if (code != ERR_OK) {
		err_wrap(e, "user search");
		return code;
	}
	if (n == 0)
		return refuse(j, e, "noUser", "no entry");
	if ((*out)->dn.len == 0 || memchr((*out)->dn.p, '\0', (*out)->dn.len))
		return refuse(j, e, "badEntry", "the entry has no name");
	return ERR_OK;
}

/* Names out of the entry, never out of what was typed. */
static enum err_code name_person(struct job *j, const struct ldapx_entry *entry, struct err *e)
{
	const struct ldap_config *cfg = j->d->cfg;
	struct directory_call *c = j->call;
	struct slice name = single(j->d, entry, cfg->user_search.username);
	if (name.len == 0 || name.len > DIRECTORY_NAME_MAX || !slice_printable(name))
		return refuse(
		    j, e, "badEntry", "the username attribute is not one printable value");
	const char *uid_attr = cfg->user_search.uid_attr;
	struct slice uid = {0};
	if (uid_attr)
		uid = ldap_uid_text(c->arena, uid_attr, single(j->d, entry, uid_attr));
	if (uid_attr && uid.len == 0)
		return refuse(j, e, "badEntry", "the uid attribute is not one value");
	c->name = slice_dup(c->arena, name);
	c->account_version =
	    ldap_account_version(cfg->account_state, entry, j->d->attrs, c->arena);
	c->id = (struct identity){.uid = uid, .provider = slice_of(j->d->provider)};
	c->id.username =
	    slice_of(arena_printf(c->arena, "%s" SLICE_FMT, cfg->username_prefix, SLICE_ARG(name)));
	return ERR_OK;
}

/* --- a person's bind --- */

static void bind_nobody(struct job *j, struct ldap_session *s);

static enum err_code bind_person(
    struct job *j, struct ldap_session *s, struct slice dn, struct err *e)
{
	struct directory_call *c = j->call;
	if (c->may_bind && !c->may_bind(c->may_bind_arg, c->name)) {
		bind_nobody(j, s);
		return refuse(j, e, "limited", "too many failures of this account");
	}
	AUTO(ldapx_close) struct ldapx *h = NULL;
	enum err_code code = ldap_session_connect(s, &h, e);
	struct ldapx_bind_info info = {0};
	if (code == ERR_OK)
		code = ldapx_bind(h, dn, *j->password, s->deadline, &info, e);
	if (code != ERR_OK && code != ERR_REFUSED) {
		err_wrap(e, "user bind");
		return code;
	}
	const char *why = ldap_account_bind(j->d->cfg, code, &info);
	return why ? refuse(j, e, why, "the directory does not let them in") : ERR_OK;
}

static enum err_code check_account(struct job *j, const struct ldapx_entry *entry, struct err *e)
{
	const char *why = ldap_account_state(j->d->cfg->account_state, entry, j->d->attrs,
	    j->password ? LDAP_ACCOUNT_BOUND : LDAP_ACCOUNT_REREAD, clock_now());
	return why ? refuse(j, e, why, "the account may not be used, or its state not be read")
		   : ERR_OK;
}

/* A refusal without a bind would come sooner than one with it and so tell who has an account. The
 * name cannot exist, and the password is none that somebody typed. */
static void bind_nobody(struct job *j, struct ldap_session *s)
{
	uint8_t raw[16];
	char hex[2 * sizeof(raw) + 1];
	secret_random(raw, sizeof(raw));
	hex_encode(raw, sizeof(raw), hex);
	AUTO(buf_done) struct buf dn;
	buf_init(&dn, LDAP_FILTER_MAX);
	buf_printf(&dn, "cn=%s,%s", hex, j->d->cfg->user_search.base_dn);
	AUTO(ldapx_close) struct ldapx *h = NULL;
	struct err ignored;
	enum err_code code = ldap_session_connect(s, &h, &ignored);
	if (code == ERR_OK)
		code = ldapx_bind(h, buf_view(&dn), slice_of(hex), s->deadline, NULL, &ignored);
	(void)code; /* whatever it says, the answer is no */
}

/* --- the turns; each starts anew, after whatever an earlier server left --- */

static void reset(struct directory *d, struct directory_call *c)
{
	c->id = (struct identity){.provider = slice_of(d->provider)};
	c->name = c->account_version = (struct slice){0};
	c->reason = NULL;
}

static enum err_code find_groups(
    struct job *j, struct ldap_session *s, const struct ldapx_entry *entry, struct err *e)
{
	struct identity *id = &j->call->id;
	enum err_code code = ldap_groups_find(
	    j->d->cfg, s, entry, j->d->attrs, j->call->arena, &id->groups, &id->ngroups, e);
	if (code == ERR_LIMIT)
		return refuse(j, e, "tooManyGroups", "too many groups to hold");
	if (code == ERR_INVALID)
		return refuse(j, e, "badEntry", "the primary group is not to be read");
	return code;
}

/* Finds and names the entry that the call asks for; ENTRY lives in SCRATCH. */
static enum err_code find_person(struct job *j, struct ldap_session *s, struct arena *scratch,
    struct ldapx_entry **entry, struct err *e)
{
	reset(j->d, j->call);
	arena_init(scratch, ENTRY_MAX);
	TRY(find_entry(j, s, scratch, entry, e));
	return name_person(j, *entry, e);
}

static enum err_code login_turn(struct ldap_session *s, void *arg, struct err *e)
{
	struct job *j = arg;
	AUTO(arena_done) struct arena scratch = {0};
	struct ldapx_entry *entry;
	enum err_code code = find_person(j, s, &scratch, &entry, e);
	if (code == ERR_REFUSED) {
		bind_nobody(j, s);
		return code;
	}
	if (code == ERR_OK)
		code = bind_person(j, s, entry->dn, e);
	if (code == ERR_OK)
		code = check_account(j, entry, e);
	if (code == ERR_OK)
		code = find_groups(j, s, entry, e);
	return code;
}

static enum err_code lookup_turn(struct ldap_session *s, void *arg, struct err *e)
{
	struct job *j = arg;
	AUTO(arena_done) struct arena scratch = {0};
	struct ldapx_entry *entry;
	enum err_code code = find_person(j, s, &scratch, &entry, e);
	if (code != ERR_OK)
		return code;
	/* Another account may have come to the name since. */
	if (!slice_eq(j->call->name, j->name) || !slice_eq(j->call->id.uid, j->uid))
		return refuse(j, e, "accountChanged", "the name is another account's now");
	TRY(check_account(j, entry, e));
	return find_groups(j, s, entry, e);
}

static enum directory_verdict conclude(struct job *j, enum err_code code)
{
	struct directory_call *c = j->call;
	if (code == ERR_OK) {
		metric_inc(j->d->good);
		c->reason = "ok";
		return DIRECTORY_GOOD;
	}
	/* A name is told of who was found, groups and uid of nobody who was not proven. */
	c->id = (struct identity){.username = c->id.username, .provider = c->id.provider};
	c->account_version = (struct slice){0};
	if (code == ERR_REFUSED) {
		metric_inc(j->d->refused);
		return DIRECTORY_REFUSED;
	}
	metric_inc(j->d->unavailable);
	c->reason = code == ERR_TIMEOUT ? "directoryTimeout" : "directoryDown";
	err_wrap(&c->why, "directory %s", j->d->cfg->name);
	return DIRECTORY_UNAVAILABLE;
}

static bool only_spaces(struct slice s)
{
	size_t i = 0;
	while (i < s.len && s.p[i] == ' ')
		i++;
	return i == s.len;
}

/* Fit to be sent at all; sets the reason. */
static bool fit(struct job *j)
{
	struct slice n = j->name;
	if (n.len > DIRECTORY_NAME_MAX || only_spaces(n) || !slice_printable(n)) {
		refuse(j, &j->call->why, "badName", "not a name");
		return false;
	}
	const struct slice *p = j->password;
	if (p && p->len == 0) {
		refuse(j, &j->call->why, "emptyPassword", "empty password");
		return false;
	}
	if (p && (p->len > DIRECTORY_PASSWORD_MAX || memchr(p->p, '\0', p->len))) {
		refuse(j, &j->call->why, "badPassword", "password too long or with a NUL");
		return false;
	}
	return true;
}

enum directory_verdict directory_authenticate(
    struct directory *d, struct slice typed, struct slice password, struct directory_call *call)
{
	struct job j = {.d = d, .name = typed, .password = &password, .call = call};
	reset(d, call);
	call->why = (struct err){0};
	if (!fit(&j))
		return conclude(&j, ERR_REFUSED);
	return conclude(&j, ldap_pool_run(d->pool, call->deadline, login_turn, &j, &call->why));
}

enum directory_verdict directory_lookup(
    struct directory *d, struct slice name, struct slice uid, struct directory_call *call)
{
	struct job j = {.d = d, .name = name, .uid = uid, .call = call};
	reset(d, call);
	call->why = (struct err){0};
	if (!fit(&j))
		return conclude(&j, ERR_REFUSED);
	return conclude(&j, ldap_pool_run(d->pool, call->deadline, lookup_turn, &j, &call->why));
}
