/* Owns the copy of an authentication's outcome in one piece of memory. */
#include "authn/verdict.h"

#include <stdatomic.h>
#include <stdlib.h>

struct verdict {
	atomic_uint refs;
	enum authn_step step;
	enum err_code code;
	size_t bytes;
	const char *reason, *authenticator, *why;
	struct identity id;
	struct credential credential;
	struct slice room[]; /* the arrays, then the bytes they point to */
};

/* A member more is to be copied below. */
_Static_assert(
    sizeof(struct credential) == 4 * sizeof(struct slice) + sizeof(int64_t), "credential");
_Static_assert(
    sizeof(struct identity) == 4 * sizeof(struct slice) + 4 * sizeof(void *) + sizeof(int64_t),
    "identity");
_Static_assert(sizeof(struct identity_extra) == sizeof(struct slice) + 2 * sizeof(void *), "extra");

/* How much of ROOM a copy needs: arrays of slices and extras, and bytes. */
struct need {
	size_t slices, extras, bytes;
};

static void need_list(struct need *n, const struct slice *list, size_t len)
{
	n->slices += len;
	for (size_t i = 0; i < len; i++)
		n->bytes += list[i].len;
}

static struct need measure(const struct authn_call *call)
{
	const struct identity *id = &call->id;
	const struct slice words[] = {id->username, id->uid, id->provider, id->issuer,
	    call->credential.subject, call->credential.id, call->credential.kid,
	    call->credential.session};
	struct need n = {.extras = id->nextra, .bytes = strlen(call->why.msg) + 1};
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		n.bytes += words[i].len;
	need_list(&n, id->groups, id->ngroups);
	for (size_t i = 0; i < id->nextra; i++) {
		n.bytes += id->extra[i].key.len;
		need_list(&n, id->extra[i].values, id->extra[i].n);
	}
	return n;
}

/* Where the next of each goes. */
struct room {
	struct slice *slices;
	char *bytes;
};

static struct slice put(struct room *r, struct slice s)
{
	if (s.len == 0)
		return (struct slice){0};
	struct slice copy = {r->bytes, s.len};
	r->bytes = mempcpy(r->bytes, s.p, s.len);
	return copy;
}

static const struct slice *put_list(struct room *r, const struct slice *list, size_t n)
{
	struct slice *copy = r->slices;
	r->slices += n;
	for (size_t i = 0; i < n; i++)
		copy[i] = put(r, list[i]);
	return copy;
}

static void put_identity(
    struct identity *to, const struct identity *id, struct identity_extra *extra, struct room *r)
{
	*to = *id;
	to->username = put(r, id->username);
	to->uid = put(r, id->uid);
	to->provider = put(r, id->provider);
	to->issuer = put(r, id->issuer);
	to->groups = put_list(r, id->groups, id->ngroups);
	to->extra = extra;
	for (size_t i = 0; i < id->nextra; i++)
		extra[i] = (struct identity_extra){put(r, id->extra[i].key),
		    put_list(r, id->extra[i].values, id->extra[i].n), id->extra[i].n};
}

struct verdict *verdict_new(const struct authn_call *call, enum authn_step step)
{
	struct need n = measure(call);
	size_t arrays = n.slices * sizeof(struct slice) + n.extras * sizeof(struct identity_extra);
	size_t bytes = sizeof(struct verdict) + arrays + n.bytes;
	struct verdict *v = malloc(bytes);
	if (!v)
		abort();
	*v = (struct verdict){
	    .step = step,
	    .code = call->why.code,
	    .bytes = bytes,
	    .reason = call->reason,
	    .authenticator = call->authenticator,
	};
	atomic_init(&v->refs, 1);
	char *start = (char *)v->room;
	struct identity_extra *extra = (void *)(v->room + n.slices);
	struct room r = {v->room, start + arrays};
	put_identity(&v->id, &call->id, extra, &r);
	v->credential = (struct credential){put(&r, call->credential.subject),
	    put(&r, call->credential.id), put(&r, call->credential.kid), call->credential.issued,
	    put(&r, call->credential.session)};
	v->why = r.bytes;
	memcpy(r.bytes, call->why.msg, strlen(call->why.msg) + 1);
	return v;
}

struct verdict *verdict_ref(struct verdict *v)
{
	atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
	return v;
}

void verdict_unref(struct verdict **verdict)
{
	struct verdict *v = TAKE(*verdict);
	if (v && atomic_fetch_sub(&v->refs, 1) == 1)
		free(v);
}

size_t verdict_bytes(const struct verdict *v)
{
	return v->bytes;
}

int64_t verdict_expires(const struct verdict *v)
{
	return v->id.expires;
}

enum authn_step verdict_step(const struct verdict *v)
{
	return v->step;
}

static void let_go(void *obj)
{
	struct verdict *v = obj;
	verdict_unref(&v);
}

enum authn_step verdict_give(struct verdict **verdict, struct authn_call *call)
{
	struct verdict *v = TAKE(*verdict);
	arena_on_done(call->arena, let_go, v);
	call->id = v->id;
	call->credential = v->credential;
	call->reason = v->reason;
	call->authenticator = v->authenticator;
	call->why = (struct err){0};
	if (v->code != ERR_OK)
		err_set(&call->why, v->code, "%s", v->why);
	return v->step;
}
