/* Owns base64(user:password) as a token: told by its shape, decided by the directories. */
#include <stdlib.h>

#include "authn/chain.h"
#include "authn/directories.h"
#include "common/base64url.h"
#include "common/clock.h"

/* base64 of the longest name and password. */
#define BASIC_TOKEN_MAX ((DIRECTORY_NAME_MAX + 1 + DIRECTORY_PASSWORD_MAX + 2) / 3 * 4)

/* How long a refusal of one try may be kept: as long as a directory is not asked again in any case. */
#define REFUSED_KEEP (30 * CLOCK_SECOND)

struct basic {
	struct authn base;
	const struct directories *directories; /* the chain's */
};

/* Random bytes and other systems' tokens must not become a question to a directory: strict base64 of a
 * printable name, a colon and a printable password (RFC 7617: split at the first colon). */
static bool shaped(struct slice token, struct arena *a, struct slice *name, struct slice *password)
{
	struct slice text;
	if (token.len > BASIC_TOKEN_MAX || !base64_decode(a, token, &text))
		return false;
	size_t colon = slice_find(text, ':');
	if (colon == 0 || colon > DIRECTORY_NAME_MAX || text.len - colon < 2)
		return false;
	*name = (struct slice){text.p, colon};
	*password = slice_skip(text, colon + 1);
	return password->len <= DIRECTORY_PASSWORD_MAX && slice_printable(text);
}

static enum authn_step basic_try_now(const struct authn *self UNUSED, struct authn_call *call)
{
	struct slice name, password;
	return shaped(call->token, call->arena, &name, &password) ? AUTHN_NEEDS_WORK : AUTHN_PASS;
}

static bool basic_mine(const struct authn *self UNUSED, struct authn_call *call)
{
	struct slice name, password;
	return shaped(call->token, call->arena, &name, &password);
}

/* As old as the question: what is left of the directory's time. */
static int64_t keep_for(const struct directories *all, const struct password_try *t)
{
	const struct directory *d = directories_find(all, slice_of(t->in));
	int64_t left = t->asked + directory_cache_ttl(d) - clock_mono();
	return left > 0 ? left : 0;
}

static enum authn_step refuse(struct authn_call *call, const struct password_try *t)
{
	const char *r = t->dir.reason;
	if (strcmp(r, "badPassword") == 0 || strcmp(r, "repeated") == 0 || strcmp(r, "noUser") == 0)
		call->keep = REFUSED_KEEP;
	return authn_say(call, AUTHN_REJECT, r, "%s", t->dir.why.msg);
}

static enum authn_step basic_work(const struct authn *self, struct authn_call *call)
{
	const struct directories *all = ((const struct basic *)self)->directories;
	struct password_try t = {.arena = call->arena, .deadline = call->deadline, .basic = true};
	if (!shaped(call->token, call->arena, &t.username, &t.password))
		return AUTHN_PASS;
	enum directory_verdict v = directories_try(all, &t);
	if (v == DIRECTORY_UNAVAILABLE)
		return authn_failed(call, "directory",
		    authn_say(call, AUTHN_UNAVAILABLE, t.dir.reason, "%s", t.dir.why.msg));
	if (v != DIRECTORY_GOOD)
		return authn_failed(call, "password", refuse(call, &t));
	authn_check(call, "password", true, "");
	call->id = t.dir.id;
	call->credential = (struct credential){.subject = t.dir.name};
	call->keep = keep_for(all, &t);
	call->reason = "ok";
	return AUTHN_ACCEPT;
}

static void basic_destroy(struct authn *self)
{
	free(self);
}

static const struct authn_ops basic_ops = {
    .kind = "ldapBasic",
    .try_now = basic_try_now,
    .work = basic_work,
    .mine = basic_mine,
    .destroy = basic_destroy,
};

void authn_basic_new(const struct directories *directories, struct authn **out)
{
	*out = NULL;
	if (!directories || directories->nbasic == 0)
		return;
	struct basic *b = calloc(1, sizeof(*b));
	if (!b)
		abort();
	*b = (struct basic){.base = {.ops = &basic_ops, .name = "ldapBasic"}, .directories = directories};
	*out = &b->base;
}
