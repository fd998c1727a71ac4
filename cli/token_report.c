/* Owns how an explanation of a token reads, for people and as JSON. */
#include <stdio.h>

#include "cli/token.h"
#include "common/clock.h"

const char *token_step_word(enum authn_step step)
{
	switch (step) {
	case AUTHN_ACCEPT:
		return "accepted";
	case AUTHN_REJECT:
		return "refused";
	case AUTHN_PASS:
		return "pass";
	default:
		return "undecided";
	}
}

static int64_t now_of(const struct token_explanation *e)
{
	return e->call->now / CLOCK_SECOND;
}

/* --- the parts both ways have in common --- */

static void json_list(struct buf *out, const struct slice *items, size_t n, const char *between)
{
	for (size_t i = 0; i < n; i++) {
		buf_adds(out, i ? between : "");
		buf_json(out, items[i]);
	}
}

/* --- text --- */

static void member(struct buf *out, const char *name, struct slice value)
{
	if (value.len == 0)
		return;
	buf_printf(out, "  %s ", name);
	buf_json(out, value);
	buf_addc(out, '\n');
}

/* "in 52m10s", "3h5m ago". */
static void relative(struct buf *out, int64_t s)
{
	bool past = s < 0;
	uint64_t n = past ? -(uint64_t)s : (uint64_t)s;
	buf_adds(out, past ? "" : "in ");
	if (n >= 86400)
		buf_printf(out, "%llud%lluh", (unsigned long long)(n / 86400),
		    (unsigned long long)(n % 86400 / 3600));
	else if (n >= 3600)
		buf_printf(out, "%lluh%llum", (unsigned long long)(n / 3600),
		    (unsigned long long)(n % 3600 / 60));
	else if (n >= 60)
		buf_printf(out, "%llum%llus", (unsigned long long)(n / 60), (unsigned long long)(n % 60));
	else
		buf_printf(out, "%llus", (unsigned long long)n);
	buf_adds(out, past ? " ago" : "");
}

static void text_time(
    const struct token_explanation *e, const char *name, const struct look_time *t, struct buf *out)
{
	int64_t left;
	if (!t->have && !t->bad)
		return;
	buf_printf(out, "  %s ", name);
	if (t->bad)
		buf_adds(out, "is no whole number");
	else if (__builtin_sub_overflow(t->at, now_of(e), &left))
		buf_adds(out, t->at < 0 ? "before all time" : "after all time");
	else
		relative(out, left);
	buf_addc(out, '\n');
}

static void text_list(const char *name, const struct slice *items, size_t n, struct buf *out)
{
	if (n == 0)
		return;
	buf_printf(out, "  %s ", name);
	json_list(out, items, n, ", ");
	buf_addc(out, '\n');
}

static void text_jwt(const struct token_explanation *e, struct buf *out)
{
	const struct token_look *l = &e->look;
	member(out, "alg", slice_of(l->alg));
	member(out, "kid", l->kid);
	member(out, "typ", l->typ);
	member(out, "iss", l->iss);
	text_list("aud", l->aud, l->naud, out);
	text_time(e, "exp", &l->exp, out);
	text_time(e, "nbf", &l->nbf, out);
	text_time(e, "iat", &l->iat, out);
	text_list("claims", l->claims, l->nclaims, out);
}

static void text_form(const struct token_explanation *e, struct buf *out)
{
	static const char *const forms[] = {[LOOK_OPAQUE] = "opaque",
	    [LOOK_BASIC] = "base64 of a name and a password",
	    [LOOK_JWT] = "JWT (nothing of it is verified yet)"};
	bool jwt = e->look.form == LOOK_JWT;
	buf_printf(out, "token: %s, %zu bytes\n", forms[e->look.form], e->call->token.len);
	if (e->look.why)
		buf_printf(out, "  %s: %s\n", jwt ? "bad header" : "no JWT", e->look.why);
	if (jwt)
		text_jwt(e, out);
}

static void text_checks(const struct token_explanation *e, size_t first, size_t n, struct buf *out)
{
	for (size_t i = first; i < first + n; i++) {
		const struct token_check *c = &e->checks[i];
		buf_printf(out, "  %-6s %s%s%s\n", c->passed ? "ok" : "FAILED", c->name,
		    *c->detail ? ": " : "", c->detail);
	}
}

/* Number of the first check that is the chain's own. */
static size_t own_checks(const struct token_explanation *e)
{
	return e->nasked ? e->asked[e->nasked - 1].first + e->asked[e->nasked - 1].n : 0;
}

static void text_asked(const struct token_explanation *e, struct buf *out)
{
	for (size_t i = 0; i < e->nasked; i++) {
		const struct token_asked *a = &e->asked[i];
		buf_printf(out, "%s: %s\n", a->authenticator,
		    a->step == AUTHN_PASS ? "not its token" : token_step_word(a->step));
		text_checks(e, a->first, a->n, out);
	}
	size_t first = own_checks(e);
	if (first < e->nchecks) {
		buf_adds(out, "for every accepted token:\n");
		text_checks(e, first, e->nchecks - first, out);
	}
	if (e->keys)
		buf_printf(out, "keys: %s\n", e->keys);
}

static void text_identity(const struct token_explanation *e, struct buf *out)
{
	const struct identity *id = &e->call->id;
	member(out, "username", id->username);
	member(out, "uid", id->uid);
	for (size_t i = 0; i < id->ngroups; i++)
		member(out, "group", id->groups[i]);
	for (size_t i = 0; i < id->nextra; i++) {
		buf_adds(out, "  extra ");
		buf_json(out, id->extra[i].key);
		buf_adds(out, ": ");
		json_list(out, id->extra[i].values, id->extra[i].n, ", ");
		buf_addc(out, '\n');
	}
	if (id->expires) {
		buf_adds(out, "  expires ");
		relative(out, id->expires - now_of(e));
		buf_addc(out, '\n');
	}
	text_list("audiences", e->call->granted, e->call->ngranted, out);
}

void token_write_text(const struct token_explanation *e, struct buf *out)
{
	const struct authn_call *call = e->call;
	text_form(e, out);
	text_asked(e, out);
	buf_printf(out, "verdict: %s%s%s", token_step_word(e->step), call->authenticator ? " by " : "",
	    call->authenticator ? call->authenticator : "");
	if (e->step == AUTHN_ACCEPT)
		buf_addc(out, '\n');
	else
		buf_printf(out, ": %s (%s)\n", call->reason, call->why.msg);
	if (e->step == AUTHN_ACCEPT)
		text_identity(e, out);
}

/* --- JSON --- */

static void add_text(struct buf *out, const char *name, const char *value)
{
	if (value)
		buf_json_member(out, name, slice_of(value));
}

static void json_strings(struct buf *out, const char *name, const struct slice *items, size_t n)
{
	buf_printf(out, ",\"%s\":[", name);
	json_list(out, items, n, ",");
	buf_addc(out, ']');
}

static void json_time(struct buf *out, const char *name, const struct look_time *t)
{
	if (t->have)
		buf_printf(out, ",\"%s\":%lld", name, (long long)t->at);
}

static void json_jwt(const struct token_look *l, struct buf *out)
{
	buf_adds(out, ",\"jwt\":{\"alg\":");
	buf_json(out, slice_of(l->alg));
	if (l->has_kid)
		buf_json_member(out, "kid", l->kid);
	if (l->typ.len)
		buf_json_member(out, "typ", l->typ);
	if (l->iss.len)
		buf_json_member(out, "iss", l->iss);
	json_strings(out, "aud", l->aud, l->naud);
	json_time(out, "exp", &l->exp);
	json_time(out, "nbf", &l->nbf);
	json_time(out, "iat", &l->iat);
	json_strings(out, "claims", l->claims, l->nclaims);
	buf_addc(out, '}');
}

static void json_checks(const struct token_explanation *e, size_t first, size_t n, struct buf *out)
{
	buf_adds(out, ",\"checks\":[");
	for (size_t i = first; i < first + n; i++) {
		const struct token_check *c = &e->checks[i];
		buf_printf(out, "%s{\"name\":", i > first ? "," : "");
		buf_json(out, slice_of(c->name));
		buf_printf(out, ",\"passed\":%s", c->passed ? "true" : "false");
		add_text(out, "detail", *c->detail ? c->detail : NULL);
		buf_addc(out, '}');
	}
	buf_addc(out, ']');
}

static void json_asked(const struct token_explanation *e, struct buf *out)
{
	buf_adds(out, ",\"asked\":[");
	for (size_t i = 0; i < e->nasked; i++) {
		const struct token_asked *a = &e->asked[i];
		buf_printf(out, "%s{\"authenticator\":", i ? "," : "");
		buf_json(out, slice_of(a->authenticator));
		add_text(out, "answer", token_step_word(a->step));
		json_checks(e, a->first, a->n, out);
		buf_addc(out, '}');
	}
	buf_addc(out, ']');
	size_t first = own_checks(e);
	json_checks(e, first, e->nchecks - first, out);
	add_text(out, "keys", e->keys);
}

static void json_identity(const struct token_explanation *e, struct buf *out)
{
	const struct identity *id = &e->call->id;
	buf_adds(out, ",\"user\":{\"username\":");
	buf_json(out, id->username);
	if (id->uid.len)
		buf_json_member(out, "uid", id->uid);
	json_strings(out, "groups", id->groups, id->ngroups);
	buf_adds(out, ",\"extra\":{");
	for (size_t i = 0; i < id->nextra; i++) {
		buf_adds(out, i ? "," : "");
		buf_json(out, id->extra[i].key);
		buf_adds(out, ":[");
		json_list(out, id->extra[i].values, id->extra[i].n, ",");
		buf_addc(out, ']');
	}
	buf_adds(out, "}}");
	if (id->expires)
		buf_printf(out, ",\"expires\":%lld", (long long)id->expires);
	json_strings(out, "audiences", e->call->granted, e->call->ngranted);
}

void token_write_json(const struct token_explanation *e, struct buf *out)
{
	static const char *const forms[] = {
	    [LOOK_OPAQUE] = "opaque", [LOOK_BASIC] = "basic", [LOOK_JWT] = "jwt"};
	const struct authn_call *call = e->call;
	buf_printf(out, "{\"verdict\":\"%s\"", token_step_word(e->step));
	add_text(out, "authenticator", call->authenticator);
	add_text(out, "reason", call->reason);
	add_text(out, "why", call->why.msg[0] ? call->why.msg : NULL);
	add_text(out, "form", forms[e->look.form]);
	add_text(out, "formWhy", e->look.why);
	if (e->look.form == LOOK_JWT)
		json_jwt(&e->look, out);
	json_asked(e, out);
	if (e->step == AUTHN_ACCEPT)
		json_identity(e, out);
	buf_adds(out, "}\n");
}
