/* Fuzzes what a peer may post: TokenReviews, SubjectAccessReviews, logins. An account of what is acceptable,
 * written a second time over jansson's tree, must agree with each reader; what was read, written out, reads
 * back the same. */
#include "authn/login_request.h"
#include "authn/review.h"
#include "authz/sar.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/json_twin.h"

#define WRITE_MAX ((size_t)64 << 20)

/* --- the second account: jansson's tree --- */

static bool no_more_than(const json_t *j, size_t max)
{
	return json_array_size(j) <= max;
}

/* Absent and null are the same (jsonscan.h). */
static bool absent(const json_t *j)
{
	return !j || json_is_null(j);
}

static bool string_or_absent(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);
	return absent(v) || json_is_string(v);
}

static bool is_strings(const json_t *v, size_t max)
{
	if (absent(v))
		return true;
	if (!json_is_array(v) || !no_more_than(v, max))
		return false;
	for (size_t i = 0; i < json_array_size(v); i++)
		if (!json_is_string(json_array_get(v, i)))
			return false;
	return true;
}

static bool says(const json_t *o, const char *key, const char *want)
{
	const json_t *v = json_object_get(o, key);
	return json_is_string(v) && strcmp(json_string_value(v), want) == 0;
}

static bool is_token_review(const json_t *j)
{
	const json_t *spec = json_object_get(j, "spec");
	return says(j, "kind", "TokenReview") &&
	       (says(j, "apiVersion", "authentication.k8s.io/v1") ||
		   says(j, "apiVersion", "authentication.k8s.io/v1beta1")) &&
	       json_is_object(spec) && string_or_absent(spec, "token") &&
	       is_strings(json_object_get(spec, "audiences"), AUDIENCES_MAX);
}

static bool is_selector(const json_t *v)
{
	if (absent(v))
		return true;
	const json_t *list = json_object_get(v, "requirements");
	if (!json_is_object(v) || !(absent(list) || json_is_array(list)))
		return false;
	for (size_t i = 0; i < json_array_size(list) && i < SAR_REQUIREMENTS_MAX; i++) {
		const json_t *q = json_array_get(list, i);
		if (!json_is_object(q) || !string_or_absent(q, "key") ||
		    !string_or_absent(q, "operator") ||
		    !is_strings(json_object_get(q, "values"), SAR_VALUES_MAX))
			return false;
	}
	return true;
}

static bool has_strings(const json_t *o, const char *const *keys)
{
	if (absent(o))
		return true;
	if (!json_is_object(o))
		return false;
	for (; *keys; keys++)
		if (!string_or_absent(o, *keys))
			return false;
	return true;
}

static bool is_extra(json_t *o)
{
	const char *key;
	json_t *v;
	if (absent(o))
		return true;
	json_object_foreach(o, key, v)
		if (!is_strings(v, SAR_VALUES_MAX))
			return false;
	return json_is_object(o);
}

static bool is_access_review(const json_t *j)
{
	static const char *const subject[] = {"user", "uid", NULL};
	static const char *const resource[] = {
	    "namespace", "verb", "group", "version", "resource", "subresource", "name", NULL};
	static const char *const path[] = {"path", "verb", NULL};
	bool v1 = says(j, "apiVersion", "authorization.k8s.io/v1");
	const json_t *spec = json_object_get(j, "spec");
	const json_t *r = json_object_get(spec, "resourceAttributes");
	return says(j, "kind", "SubjectAccessReview") &&
	       (v1 || says(j, "apiVersion", "authorization.k8s.io/v1beta1")) &&
	       has_strings(spec, subject) &&
	       is_strings(json_object_get(spec, v1 ? "groups" : "group"), SAR_GROUPS_MAX) &&
	       is_extra(json_object_get(spec, "extra")) && has_strings(r, resource) &&
	       is_selector(json_object_get(r, "fieldSelector")) &&
	       is_selector(json_object_get(r, "labelSelector")) &&
	       has_strings(json_object_get(spec, "nonResourceAttributes"), path);
}

static bool is_login(json_t *j)
{
	static const char *const keys[] = {"username", "password", "directory", NULL};
	size_t known = 0;
	for (size_t i = 0; keys[i]; i++)
		known += json_object_get(j, keys[i]) != NULL;
	return has_strings(j, keys) && known == json_object_size(j) &&
	       json_object_get(j, "username") && json_object_get(j, "password");
}

static bool same_string(struct slice s, const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);
	return slice_eq(s, (struct slice){json_string_value(v), json_string_length(v)});
}

static bool same_strings(const struct slice *items, size_t n, const json_t *list)
{
	if (n != json_array_size(list))
		return false;
	for (size_t i = 0; i < n; i++) {
		const json_t *v = json_array_get(list, i);
		if (!slice_eq(items[i],
			(struct slice){json_string_value(v), json_string_length(v)}))
			return false;
	}
	return true;
}

/* --- TokenReview --- */

/* The reply about a user made of what was asked: no byte may change its meaning. */
static void check_token_reply(const struct token_review *r)
{
	struct identity_extra extra = {.key = r->token, .values = r->audiences, .n = r->naudiences};
	struct authn_call call = {
	    .id = {.username = r->token,
		.groups = r->audiences,
		.ngroups = r->naudiences,
		.extra = &extra,
		.nextra = 1},
	    .granted = r->audiences,
	    .ngranted = r->naudiences,
	};
	AUTO(buf_done) struct buf out;
	buf_init(&out, WRITE_MAX);
	token_review_write(r, true, &call, &out);
	json_t *j = json_loadb(out.p, out.len, JSON_REJECT_DUPLICATES, NULL);
	FUZZ_CHECK(j && !memchr(out.p, '\n', out.len) && says(j, "apiVersion", r->api_version));
	const json_t *status = json_object_get(j, "status"), *user = json_object_get(status, "user");
	FUZZ_CHECK(json_is_true(json_object_get(status, "authenticated")));
	FUZZ_CHECK(same_string(r->token, user, "username"));
	FUZZ_CHECK(same_strings(r->audiences, r->naudiences, json_object_get(user, "groups")));
	FUZZ_CHECK(same_strings(r->audiences, r->naudiences, json_object_get(status, "audiences")));
	json_decref(j);
	out.len = 0;
	token_review_write(r, false, NULL, &out);
	j = json_loadb(out.p, out.len, JSON_REJECT_DUPLICATES, NULL);
	FUZZ_CHECK(json_is_false(json_object_get(json_object_get(j, "status"), "authenticated")));
	json_decref(j);
}

static bool try_token_review(struct slice body, const json_t *j)
{
	AUTO(arena_done) struct arena a = {0};
	struct token_review r;
	struct err e = {0};
	if (token_review_parse(body, &a, &r, &e) != ERR_OK) {
		FUZZ_CHECK(e.code == ERR_INVALID && e.msg[0]);
		return false;
	}
	if (j) {
		const json_t *spec = json_object_get(j, "spec");
		FUZZ_CHECK(says(j, "apiVersion", r.api_version));
		FUZZ_CHECK(same_string(r.token, spec, "token"));
		FUZZ_CHECK(same_strings(
		    r.audiences, r.naudiences, json_object_get(spec, "audiences")));
	}
	check_token_reply(&r);
	return true;
}

/* --- SubjectAccessReview --- */

static bool same_requirements(
    const struct access_requirement *q, size_t n, const json_t *selector)
{
	const json_t *list = json_object_get(selector, "requirements");
	if (n != json_array_size(list))
		return false;
	for (size_t i = 0; i < n; i++) {
		const json_t *v = json_array_get(list, i);
		if (!same_string(q[i].key, v, "key") || !same_string(q[i].op, v, "operator") ||
		    !same_strings(q[i].values, q[i].n, json_object_get(v, "values")))
			return false;
	}
	return true;
}

static void check_resource(const struct access_request *q, const json_t *r)
{
	FUZZ_CHECK(q->resource_request == json_is_object(r));
	FUZZ_CHECK(same_string(q->namespace_, r, "namespace"));
	FUZZ_CHECK(same_string(q->api_group, r, "group"));
	FUZZ_CHECK(same_string(q->version, r, "version"));
	FUZZ_CHECK(same_string(q->resource, r, "resource"));
	FUZZ_CHECK(same_string(q->subresource, r, "subresource"));
	FUZZ_CHECK(same_string(q->name, r, "name"));
	FUZZ_CHECK(same_requirements(
	    q->field_selector, q->nfield, json_object_get(r, "fieldSelector")));
	FUZZ_CHECK(same_requirements(
	    q->label_selector, q->nlabel, json_object_get(r, "labelSelector")));
}

static void check_access(const struct sar *s, const json_t *j)
{
	const struct access_request *q = &s->request;
	const json_t *spec = json_object_get(j, "spec");
	const json_t *r = json_object_get(spec, "resourceAttributes");
	const json_t *path = json_object_get(spec, "nonResourceAttributes");
	const json_t *extra = json_object_get(spec, "extra");
	bool v1 = strcmp(s->api_version, "authorization.k8s.io/v1") == 0;
	FUZZ_CHECK(says(j, "apiVersion", s->api_version));
	FUZZ_CHECK(same_string(q->user, spec, "user") && same_string(q->uid, spec, "uid"));
	FUZZ_CHECK(same_strings(
	    q->groups, q->ngroups, json_object_get(spec, v1 ? "groups" : "group")));
	FUZZ_CHECK(q->nextra == json_object_size(extra));
	for (size_t i = 0; i < q->nextra; i++) {
		const json_t *v = json_object_getn(extra, q->extra[i].key.p, q->extra[i].key.len);
		FUZZ_CHECK(v && same_strings(q->extra[i].values, q->extra[i].n, v));
	}
	FUZZ_CHECK(!s->unanswerable == (json_is_object(r) != json_is_object(path)));
	check_resource(q, r);
	FUZZ_CHECK(same_string(q->path, path, "path"));
	FUZZ_CHECK(same_string(q->verb, json_is_object(r) ? r : path, "verb"));
}

static void check_access_reply(const struct sar *s, const json_t *asked)
{
	AUTO(buf_done) struct buf out;
	buf_init(&out, WRITE_MAX);
	sar_write_full(s, VERDICT_ALLOW, s->request.user, NULL, &out);
	json_t *j = json_loadb(out.p, out.len, JSON_REJECT_DUPLICATES, NULL);
	const json_t *status = json_object_get(j, "status"), *spec = json_object_get(asked, "spec");
	/* Numbers beyond jansson's reach may stand in fields that nobody reads. */
	FUZZ_CHECK(j || !asked);
	if (j && asked) {
		FUZZ_CHECK(json_is_true(json_object_get(status, "allowed")) == !s->unanswerable);
		FUZZ_CHECK(!json_object_get(status, "denied"));
		FUZZ_CHECK(same_string(s->request.user, status, "reason"));
		FUZZ_CHECK(!spec || json_equal(spec, json_object_get(j, "spec")));
		check_access(s, j);
	}
	json_decref(j);
}

static bool try_access_review(struct slice body, const json_t *j)
{
	AUTO(arena_done) struct arena a = {0};
	struct sar s;
	struct err e = {0};
	if (sar_parse(body, &a, &s, &e) != ERR_OK) {
		FUZZ_CHECK(e.code == ERR_INVALID && e.msg[0]);
		return false;
	}
	if (j)
		check_access(&s, j);
	check_access_reply(&s, j);
	return true;
}

/* --- login --- */

static bool try_login(struct slice body, const json_t *j)
{
	AUTO(arena_done) struct arena a = {0};
	struct login_request r;
	struct err e = {0};
	if (login_request_parse((struct slice){0}, body, &a, &r, &e) != ERR_OK)
		return false;
	FUZZ_CHECK(body.len <= LOGIN_BODY_MAX);
	if (j)
		FUZZ_CHECK(same_string(r.username, j, "username") &&
			   same_string(r.password, j, "password") &&
			   same_string(r.directory, j, "directory"));
	return true;
}

/* RFC 4648 section 4, the plain way. */
static void encode64(struct buf *b, struct slice s)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < s.len; i += 3) {
		uint32_t v = 0;
		for (size_t k = 0; k < 3; k++)
			v = v << 8 | (i + k < s.len ? (unsigned char)s.p[i + k] : 0);
		for (size_t k = 0; k < 4; k++)
			buf_addc(b, i + k > s.len ? '=' : digits[v >> (18 - 6 * k) & 63]);
	}
}

/* What an Authorization header was read as is the only thing that it can have meant. */
static void try_basic(struct slice header)
{
	AUTO(arena_done) struct arena a = {0};
	AUTO(buf_done) struct buf text = {0};
	AUTO(buf_done) struct buf again = {0};
	struct login_request r;
	struct err e = {0};
	if (header.len == 0 ||
	    login_request_parse(header, (struct slice){0}, &a, &r, &e) != ERR_OK)
		return;
	FUZZ_CHECK(slice_find(r.username, ':') == r.username.len && r.directory.len == 0);
	buf_init(&text, header.len);
	buf_slice(&text, r.username);
	buf_addc(&text, ':');
	buf_slice(&text, r.password);
	buf_init(&again, header.len);
	encode64(&again, buf_view(&text));
	FUZZ_CHECK(!text.over && !again.over && again.len + 6 <= header.len);
	size_t blanks = header.len - again.len;
	FUZZ_CHECK(slice_eq(slice_skip(header, blanks), buf_view(&again)));
	for (size_t i = 6; i < blanks; i++)
		FUZZ_CHECK(header.p[i] == ' ');
}

/* Any two bytes for a password: a header that comes from reading the input as one. */
static void check_basic(struct slice in)
{
	AUTO(arena_done) struct arena a = {0};
	AUTO(buf_done) struct buf header;
	struct login_request r;
	struct err e = {0};
	try_basic(in);
	buf_init(&header, 2 * LOGIN_HEADER_MAX);
	buf_adds(&header, "bAsIc  ");
	encode64(&header, in);
	if (header.over || header.len > LOGIN_HEADER_MAX || in.len == 0)
		return;
	bool ok = login_request_parse(buf_view(&header), (struct slice){0}, &a, &r, &e) == ERR_OK;
	size_t colon = slice_find(in, ':');
	FUZZ_CHECK(ok == (colon < in.len));
	FUZZ_CHECK(!ok || (slice_eq(r.username, (struct slice){in.p, colon}) &&
			      slice_eq(r.password, slice_skip(in, colon + 1))));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice body = fuzz_slice(data, size);
	json_error_t error = {0};
	bool nul = size && memchr(data, '\0', size);
	json_t *j = size ? json_loadb(body.p, size, JSON_REJECT_DUPLICATES, &error) : NULL;
	/* jansson keeps numbers that nobody reads and cannot hold all of them. */
	bool open = !j && size && json_error_code(&error) == json_error_numeric_overflow;
	/* A NUL is fine in selectors. */
	open |= !j && size && json_error_code(&error) == json_error_null_character;
	bool fits = json_is_object(j) && !nul && !twin_over_limit(j, 0);
	bool token = try_token_review(body, j), access = try_access_review(body, j);
	bool login = try_login(body, j);
	FUZZ_CHECK(open || token == (fits && is_token_review(j)));
	FUZZ_CHECK(open || access == (fits && is_access_review(j)));
	FUZZ_CHECK(open || login == (fits && size <= LOGIN_BODY_MAX && is_login(j)));
	FUZZ_CHECK(token + access + login <= 1);
	check_basic(body);
	json_decref(j);
	return 0;
}
