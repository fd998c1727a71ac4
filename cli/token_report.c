/* Owns how an explanation of a token reads, for people and as JSON. */
#include <stdio.h>

#include "cli/token.h"
#include "common/clock.h"
#include "common/jsonx.h"

/* Names of claims that are told. */
#define CLAIMS_TOLD_MAX 100

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

static int by_bytes(const void *a, const void *b)
{
	const struct slice *x = a, *y = b;
	return slice_cmp(*x, *y);
}

/* Names of the token's claims, sorted; at most CLAIMS_TOLD_MAX of them. */
static size_t claim_names(const struct token_explanation *e, struct slice **out)
{
	const char *key;
	json_t *value;
	size_t n = 0;
	*out = ARENA_ARRAY(e->arena, struct slice, CLAIMS_TOLD_MAX);
	json_object_foreach(e->jwt.claims, key, value)
		if (n < CLAIMS_TOLD_MAX)
			(*out)[n++] = slice_of(key);
	qsort(*out, n, sizeof(**out), by_bytes);
	return n;
}

static size_t audiences(const struct token_explanation *e, struct slice **out)
{
	size_t n = 0;
	struct err ignored;
	if (jsonx_strings(e->jwt.claims, "aud", true, e->arena, out, &n, &ignored) != ERR_OK)
		n = 0;
	return n;
}

/* Also of a header that is refused, in which the parser names no algorithm. */
static const char *alg_of(const struct token_explanation *e)
{
	return e->jwt.alg == JOSE_NONE ? "" : jose_alg_name(e->jwt.alg);
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

static void text_time(const struct token_explanation *e, const char *name, struct buf *out)
{
	int64_t at;
	bool have = false;
	if (jsonx_int(e->jwt.claims, name, &at, &have, NULL) != ERR_OK) {
		buf_printf(out, "  %s is no whole number\n", name);
	} else if (have) {
		int64_t left;
		buf_printf(out, "  %s ", name);
		if (__builtin_sub_overflow(at, now_of(e), &left))
			left = at < 0 ? INT64_MIN : INT64_MAX;
		relative(out, left);
		buf_addc(out, '\n');
	}
}

static void text_jwt(const struct token_explanation *e, struct buf *out)
{
	struct slice *list;
	member(out, "alg", slice_of(alg_of(e)));
	member(out, "kid", e->jwt.kid);
	member(out, "typ", e->jwt.typ);
	member(out, "iss", e->jwt.iss);
	size_t n = audiences(e, &list);
	if (n) {
		buf_adds(out, "  aud ");
		json_list(out, list, n, ", ");
		buf_addc(out, '\n');
	}
	text_time(e, "exp", out);
	text_time(e, "nbf", out);
	text_time(e, "iat", out);
	n = claim_names(e, &list);
	buf_adds(out, "  claims ");
	json_list(out, list, n, ", ");
	buf_addc(out, '\n');
}

static void text_form(const struct token_explanation *e, struct buf *out)
{
	bool jwt = strcmp(e->form, "jwt") == 0;
	buf_printf(out, "token: %s, %zu bytes\n",
	    jwt ? "JWT (nothing of it is verified yet)"
		: strcmp(e->form, "basic") == 0 ? "base64 of a name and a password" : "opaque",
	    e->call->token.len);
	if (e->form_why)
		buf_printf(out, "  %s: %s\n", jwt ? "bad header" : "no JWT", e->form_why);
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
	if (e->call->ngranted) {
		buf_adds(out, "  audiences ");
		json_list(out, e->call->granted, e->call->ngranted, ", ");
		buf_addc(out, '\n');
	}
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

static void json_time(const struct token_explanation *e, const char *name, struct buf *out)
{
	int64_t at;
	bool have = false;
	if (jsonx_int(e->jwt.claims, name, &at, &have, NULL) == ERR_OK && have)
		buf_printf(out, ",\"%s\":%lld", name, (long long)at);
}

static void json_jwt(const struct token_explanation *e, struct buf *out)
{
	struct slice *list;
	buf_adds(out, ",\"jwt\":{\"alg\":");
	buf_json(out, slice_of(alg_of(e)));
	if (e->jwt.has_kid)
		buf_json_member(out, "kid", e->jwt.kid);
	if (e->jwt.typ.len)
		buf_json_member(out, "typ", e->jwt.typ);
	if (e->jwt.iss.len)
		buf_json_member(out, "iss", e->jwt.iss);
	size_t n = audiences(e, &list);
	json_strings(out, "aud", list, n);
	json_time(e, "exp", out);
	json_time(e, "nbf", out);
	json_time(e, "iat", out);
	n = claim_names(e, &list);
	json_strings(out, "claims", list, n);
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
	const struct authn_call *call = e->call;
	buf_printf(out, "{\"verdict\":\"%s\"", token_step_word(e->step));
	add_text(out, "authenticator", call->authenticator);
	add_text(out, "reason", call->reason);
	add_text(out, "why", call->why.msg[0] ? call->why.msg : NULL);
	add_text(out, "form", e->form);
	add_text(out, "formWhy", e->form_why);
	if (strcmp(e->form, "jwt") == 0)
		json_jwt(e, out);
	json_asked(e, out);
	if (e->step == AUTHN_ACCEPT)
		json_identity(e, out);
	buf_adds(out, "}\n");
}
