/* Owns the TokenReview document: strict in, minimal out (authentication.k8s.io/v1 and v1beta1). */
#include "authn/review.h"

#include "common/jsonscan.h"

static const char *const versions[] = {
    "authentication.k8s.io/v1",
    "authentication.k8s.io/v1beta1",
};

/* What the scan finds before it is known to be complete. */
struct scan {
	struct jsonscan s;
	struct slice api_version, kind;
	bool have_spec;
	struct slice *audiences;
	struct token_review *out;
};

static bool read_spec(struct scan *x)
{
	struct slice key;
	if (!jsonscan_enter_object(&x->s))
		return false;
	x->have_spec = true;
	while (jsonscan_key(&x->s, &key)) {
		bool ok = true;
		if (slice_is(key, "token"))
			ok = jsonscan_string(&x->s, &x->out->token);
		else if (slice_is(key, "audiences"))
			ok = jsonscan_strings(
			    &x->s, AUDIENCES_MAX, &x->audiences, &x->out->naudiences);
		else
			ok = jsonscan_skip(&x->s);
		if (!ok)
			return false;
	}
	return x->s.err.code == ERR_OK;
}

static bool read_review(struct scan *x)
{
	struct slice key;
	if (!jsonscan_enter_object(&x->s))
		return false;
	while (jsonscan_key(&x->s, &key)) {
		bool ok = true;
		if (slice_is(key, "apiVersion"))
			ok = jsonscan_string(&x->s, &x->api_version);
		else if (slice_is(key, "kind"))
			ok = jsonscan_string(&x->s, &x->kind);
		else if (slice_is(key, "spec"))
			ok = read_spec(x);
		else
			ok = jsonscan_skip(&x->s); /* a status that came with the question, too */
		if (!ok)
			return false;
	}
	return jsonscan_finish(&x->s);
}

enum err_code token_review_parse(
    struct slice body, struct arena *a, struct token_review *out, struct err *e)
{
	*out = (struct token_review){0};
	struct scan x = {.out = out};
	jsonscan_init(&x.s, body, a);
	if (!read_review(&x))
		return err_set(e, ERR_INVALID, "%s", x.s.err.msg);
	if (!slice_is(x.kind, "TokenReview"))
		return err_set(e, ERR_INVALID, "kind must be TokenReview");
	for (size_t i = 0; i < ARRAY_LEN(versions); i++)
		if (slice_is(x.api_version, versions[i]))
			out->api_version = versions[i];
	if (!out->api_version)
		return err_set(e, ERR_INVALID,
		    "apiVersion must be authentication.k8s.io/v1 or authentication.k8s.io/v1beta1");
	if (!x.have_spec)
		return err_set(e, ERR_INVALID, "spec is missing");
	out->audiences = x.audiences;
	return ERR_OK;
}

static void write_extra(struct buf *out, const struct identity *id)
{
	buf_adds(out, ",\"extra\":{");
	for (size_t i = 0; i < id->nextra; i++) {
		if (i)
			buf_addc(out, ',');
		buf_json(out, id->extra[i].key);
		buf_addc(out, ':');
		buf_json_list(out, id->extra[i].values, id->extra[i].n);
	}
	buf_addc(out, '}');
}

static void write_user(struct buf *out, const struct identity *id)
{
	buf_adds(out, ",\"user\":{\"username\":");
	buf_json(out, id->username);
	if (id->uid.len) {
		buf_adds(out, ",\"uid\":");
		buf_json(out, id->uid);
	}
	if (id->ngroups) {
		buf_adds(out, ",\"groups\":");
		buf_json_list(out, id->groups, id->ngroups);
	}
	if (id->nextra)
		write_extra(out, id);
	buf_addc(out, '}');
}

void token_review_write(const struct token_review *r, bool authenticated,
    const struct authn_call *call, struct buf *out)
{
	buf_printf(out, "{\"apiVersion\":\"%s\",\"kind\":\"TokenReview\",\"status\":{", r->api_version);
	if (authenticated) {
		buf_adds(out, "\"authenticated\":true");
		write_user(out, &call->id);
		if (call->ngranted) {
			buf_adds(out, ",\"audiences\":");
			buf_json_list(out, call->granted, call->ngranted);
		}
	} else {
		buf_adds(out, "\"authenticated\":false");
	}
	buf_adds(out, "}}");
}
