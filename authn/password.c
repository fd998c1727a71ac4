/* Owns one try of a password: what is counted before it, who is asked, what is remembered of it. */
#include <arpa/inet.h>

#include "authn/directories.h"
#include "common/clock.h"
#include "common/secret.h"

/* Who has a /64 has all addresses in it: RFC 6177. */
static struct slice network_of(struct arena *a, struct slice address)
{
	struct in6_addr in6;
	char hex[17];
	if (inet_pton(AF_INET6, arena_strndup(a, address.p, address.len), &in6) != 1)
		return directories_fold(a, "net4:", address);
	hex_encode(&in6, 8, hex);
	return directories_fold(a, "net6:", slice_of(hex));
}

static enum directory_verdict refuse(struct password_try *t, const char *reason, const char *text)
{
	t->dir.reason = reason;
	err_set(&t->dir.why, ERR_REFUSED, "%s", text);
	return DIRECTORY_REFUSED;
}

static enum directory_verdict limited(struct password_try *t)
{
	return refuse(t, "limited", "too many failures");
}

/* --- before the bind --- */

static struct wrong account_attempt(const struct password_try *t, struct slice name)
{
	/* With the version: a new password is another try, though it was wrong before. */
	const struct slice parts[] = {slice_of(t->in), name, t->dir.account_version, t->password};
	return wrongs_hash(t->all->guard->accounts, parts, ARRAY_LEN(parts));
}

/* Asked once the entry is known and before the bind: other spellings of one name share its penalty and its
 * wrong passwords. */
static bool may_bind(void *arg, struct slice name)
{
	struct password_try *t = arg;
	const struct ldap_services *g = t->all->guard;
	if (t->account.len)
		return true; /* another server's turn at the same entry */
	t->account_attempt = account_attempt(t, name);
	if (wrongs_known(g->accounts, t->account_attempt, clock_mono())) {
		t->repeated = true;
		return false;
	}
	struct slice key = directories_fold(t->arena, arena_printf(t->arena, "account:%s:", t->in), name);
	if (!penalty_take_key(g->names, key, clock_mono(), &t->wait))
		return false;
	t->account = key;
	return true;
}

/* --- what is counted --- */

static enum penalty_path path_of(const struct password_try *t)
{
	return t->basic ? PENALTY_REVIEW : PENALTY_LOGIN;
}

static void forgive_typed(struct password_try *t)
{
	const struct ldap_services *g = t->all->guard;
	if (t->network.len)
		penalty_give_key(g->addresses, t->network);
	if (t->typed.len)
		penalty_give(g->names, path_of(t), t->typed);
	t->network = t->typed = (struct slice){0};
}

static void forgive_account(struct password_try *t)
{
	if (t->account.len)
		penalty_give_key(t->all->guard->names, t->account);
	t->account = (struct slice){0};
}

/* False: one of the limits is reached, and nothing is taken. */
static bool take(struct password_try *t)
{
	const struct ldap_services *g = t->all->guard;
	int64_t now = clock_mono();
	if (t->client.len) {
		struct slice network = network_of(t->arena, t->client);
		if (!penalty_take_key(g->addresses, network, now, &t->wait))
			return false;
		t->network = network;
	}
	struct slice typed = directories_fold(t->arena, "typed:", t->username);
	if (penalty_take(g->names, path_of(t), typed, now, &t->wait)) {
		t->typed = typed;
		return true;
	}
	forgive_typed(t);
	return false;
}

/* --- asking --- */

/* The password is sent to none but the directory that knows the name. */
static enum directory_verdict ask(struct password_try *t)
{
	const struct directories *all = t->all;
	enum directory_verdict v = DIRECTORY_REFUSED;
	const struct directory *only = NULL;
	if (t->directory.len) {
		only = directories_find(all, t->directory);
		if (!only)
			return refuse(t, "unknownDirectory", "no such directory");
	}
	for (size_t i = 0; i < all->n; i++) {
		struct directory *d = all->items[i];
		if ((only && d != only) || (t->basic && !all->basic[i]))
			continue;
		t->in = directory_name(d);
		v = directory_authenticate(d, t->username, t->password, &t->dir);
		/* Whose entry was found and whose bind was sent is known here, whatever the bind's answer says. */
		if (v != DIRECTORY_REFUSED || strcmp(t->dir.reason, "noUser") != 0 || t->account.len)
			break;
	}
	return v;
}

/* Before anything is asked or counted: RFC 4513 5.1.2. */
static bool unfit(struct password_try *t)
{
	if (t->username.len == 0)
		refuse(t, "badName", "empty name");
	else if (t->username.len > DIRECTORY_NAME_MAX)
		refuse(t, "badName", "name too long");
	else if (t->password.len == 0)
		refuse(t, "emptyPassword", "empty password");
	else
		return false;
	return true;
}

/* A refusal with the directory's own word, and what it means for the next try. */
static enum directory_verdict refused(struct password_try *t)
{
	const struct ldap_services *g = t->all->guard;
	bool wrong = strcmp(t->dir.reason, "badPassword") == 0;
	int64_t now = clock_mono();
	if (t->repeated) {
		/* No guess was made: the password is known to be wrong. The search counts all the same, or
		 * endless spellings of a name would be endless searches. */
		wrongs_add(g->typed, t->attempt, now);
		return refuse(t, "repeated", "the same wrong password again");
	}
	if (wrong && t->account.len)
		wrongs_add(g->accounts, t->account_attempt, now);
	/* Both, or the second answer's haste would tell which of them it was. */
	if (wrong || strcmp(t->dir.reason, "noUser") == 0)
		wrongs_add(g->typed, t->attempt, now);
	return DIRECTORY_REFUSED;
}

enum directory_verdict directories_try(const struct directories *d, struct password_try *t)
{
	t->all = d;
	t->asked = clock_mono();
	t->dir = (struct directory_call){.arena = t->arena,
	    .deadline = t->deadline,
	    .may_bind = may_bind,
	    .may_bind_arg = t,
	    .reason = "noUser"};
	if (unfit(t))
		return DIRECTORY_REFUSED;
	const struct slice parts[] = {t->basic ? SLICE("basic") : SLICE("login"), t->directory,
	    directories_fold(t->arena, "", t->username), t->password};
	t->attempt = wrongs_hash(d->guard->typed, parts, ARRAY_LEN(parts));
	if (wrongs_known(d->guard->typed, t->attempt, t->asked))
		return refuse(t, "repeated", "the same wrong password again");
	if (!take(t))
		return limited(t);
	enum directory_verdict v = ask(t);
	if (v == DIRECTORY_REFUSED)
		return refused(t);
	/* Whose bind was perhaps sent and not answered keeps its mark: a directory that is slow to say no
	 * would be free to guess at. */
	forgive_typed(t);
	if (v == DIRECTORY_GOOD)
		forgive_account(t);
	return v;
}
