/* The same SubjectAccessReview through sar_parse and through jansson and checks written anew: they must
 * accept and read the same. Shared by the unit test and the fuzz target. */
#ifndef TESTS_SUPPORT_SAR_TWIN_H
#define TESTS_SUPPORT_SAR_TWIN_H

#include "authz/sar.h"
#include "tests/support/json_twin.h"

/* Absent and null read alike. */
static inline bool sartwin_none(const json_t *j)
{
	return !j || json_is_null(j);
}

/* Is J (a member that may be absent) a string equal to S? *BAD when it has another type. */
static inline bool sartwin_string(const json_t *o, const char *key, struct slice s, bool *bad)
{
	const json_t *j = json_object_get(o, key);
	if (sartwin_none(j))
		return s.len == 0;
	if (!json_is_string(j)) {
		*bad = true;
		return true;
	}
	return twin_same_string(s, json_string_value(j), json_string_length(j));
}

static inline bool sartwin_strings(
    const json_t *j, const struct slice *items, size_t n, bool *bad)
{
	if (sartwin_none(j))
		return n == 0;
	if (!json_is_array(j)) {
		*bad = true;
		return true;
	}
	for (size_t i = 0; i < json_array_size(j); i++) {
		const json_t *item = json_array_get(j, i);
		if (!json_is_string(item))
			*bad = true;
		else if (i < n && !twin_same_string(items[i], json_string_value(item),
				      json_string_length(item)))
			return false;
	}
	return *bad || json_array_size(j) == n;
}

static inline bool sartwin_selector(
    const json_t *j, const struct access_requirement *q, size_t n, bool *bad)
{
	if (sartwin_none(j))
		return n == 0;
	if (!json_is_object(j)) {
		*bad = true;
		return true;
	}
	const json_t *list = json_object_get(j, "requirements");
	if (sartwin_none(list))
		return n == 0;
	if (!json_is_array(list)) {
		*bad = true;
		return true;
	}
	for (size_t i = 0; i < json_array_size(list); i++) {
		static const struct access_requirement none = {0};
		const struct access_requirement *have = i < n ? &q[i] : &none;
		const json_t *one = json_array_get(list, i);
		if (!json_is_object(one)) {
			*bad = true;
			continue;
		}
		bool same = sartwin_string(one, "key", have->key, bad);
		same &= sartwin_string(one, "operator", have->op, bad);
		same &= sartwin_strings(json_object_get(one, "values"), have->values, have->n, bad);
		if (i < n && !same)
			return false;
	}
	return *bad || json_array_size(list) == n;
}

static inline bool sartwin_resource(const json_t *j, const struct access_request *r, bool *bad)
{
	if (!json_is_object(j)) {
		*bad = true;
		return true;
	}
	bool same = sartwin_string(j, "namespace", r->namespace_, bad);
	same &= sartwin_string(j, "verb", r->verb, bad);
	same &= sartwin_string(j, "group", r->api_group, bad);
	same &= sartwin_string(j, "version", r->version, bad);
	same &= sartwin_string(j, "resource", r->resource, bad);
	same &= sartwin_string(j, "subresource", r->subresource, bad);
	same &= sartwin_string(j, "name", r->name, bad);
	same &= sartwin_selector(
	    json_object_get(j, "fieldSelector"), r->field_selector, r->nfield, bad);
	same &= sartwin_selector(
	    json_object_get(j, "labelSelector"), r->label_selector, r->nlabel, bad);
	return same;
}

static inline bool sartwin_path(
    const json_t *j, const struct access_request *r, bool verb_too, bool *bad)
{
	if (!json_is_object(j)) {
		*bad = true;
		return true;
	}
	const json_t *verb = json_object_get(j, "verb");
	if (!verb_too && !sartwin_none(verb) && !json_is_string(verb))
		*bad = true;
	bool same = sartwin_string(j, "path", r->path, bad);
	return same & (!verb_too || sartwin_string(j, "verb", r->verb, bad));
}

static inline bool sartwin_extra(json_t *j, const struct access_request *r, bool *bad)
{
	size_t i = 0;
	if (sartwin_none(j))
		return r->nextra == 0;
	if (!json_is_object(j)) {
		*bad = true;
		return true;
	}
	for (void *it = json_object_iter(j); it; it = json_object_iter_next(j, it), i++) {
		static const struct access_extra none = {0};
		const struct access_extra *have = i < r->nextra ? &r->extra[i] : &none;
		bool same = twin_same_string(
		    have->key, json_object_iter_key(it), json_object_iter_key_len(it));
		same &= sartwin_strings(json_object_iter_value(it), have->values, have->n, bad);
		if (i < r->nextra && !same)
			return false;
	}
	return *bad || i == r->nextra;
}

static inline bool sartwin_spec(const json_t *spec, const struct sar *s, bool beta, bool *bad)
{
	const struct access_request *r = &s->request;
	static const struct access_request empty = {0};
	if (sartwin_none(spec))
		return s->unanswerable && r->user.len == 0 && r->ngroups == 0;
	if (!json_is_object(spec)) {
		*bad = true;
		return true;
	}
	const json_t *resource = json_object_get(spec, "resourceAttributes");
	const json_t *path = json_object_get(spec, "nonResourceAttributes");
	bool has_resource = !sartwin_none(resource), has_path = !sartwin_none(path);
	bool same = sartwin_string(spec, "user", r->user, bad);
	same &= sartwin_string(spec, "uid", r->uid, bad);
	same &= sartwin_strings(
	    json_object_get(spec, beta ? "group" : "groups"), r->groups, r->ngroups, bad);
	same &= sartwin_extra(json_object_get(spec, "extra"), r, bad);
	same &= has_resource ? sartwin_resource(resource, r, bad) : !r->resource_request;
	same &= has_path ? sartwin_path(path, r, !has_resource, bad)
			 : slice_eq(r->path, empty.path);
	same &= r->resource_request == has_resource;
	return same && (has_resource == has_path) == (s->unanswerable != NULL);
}

static inline bool sartwin_word(const json_t *o, const char *key, const char *word)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s && strcmp(s, word) == 0;
}

static inline const char *sartwin_compare(
    json_t *j, struct slice body, const struct sar *s, enum err_code rc)
{
	bool v1 = sartwin_word(j, "apiVersion", "authorization.k8s.io/v1");
	bool beta = sartwin_word(j, "apiVersion", "authorization.k8s.io/v1beta1");
	bool bad = false;
	if (!json_is_object(j) || (!v1 && !beta) || !sartwin_word(j, "kind", "SubjectAccessReview"))
		return rc == ERR_OK ? "accepted with a wrong kind or version" : NULL;
	bool same = sartwin_spec(json_object_get(j, "spec"), s, beta, &bad);
	if (bad)
		return rc == ERR_OK ? "accepted with a wrong type" : NULL;
	if (rc != ERR_OK && memchr(body.p, '\0', body.len))
		return NULL; /* json_twin.h tells of it */
	if (rc != ERR_OK)
		return twin_over_limit(j, 0) ? NULL : "refused though it is fine";
	if (strcmp(s->api_version, v1 ? "authorization.k8s.io/v1" : "authorization.k8s.io/v1beta1") != 0)
		return "answers in another version";
	return same ? NULL : "read something else";
}

/* NULL when both agree about BODY, else what they differ in. */
static inline const char *sar_twin_differ(struct slice body)
{
	struct arena arena = {0};
	struct sar s;
	struct err e = {0};
	json_error_t error;
	const char *why = NULL;
	enum err_code rc = sar_parse(body, &arena, &s, &e);
	json_t *j = json_loadb(body.p ? body.p : "", body.len, JSON_REJECT_DUPLICATES, &error);
	if (rc != ERR_OK && (rc != ERR_INVALID || e.msg[0] == '\0'))
		why = "refused without saying why";
	else if (j)
		why = sartwin_compare(j, body, &s, rc);
	else if (rc == ERR_OK && json_error_code(&error) != json_error_numeric_overflow &&
		 json_error_code(&error) != json_error_null_character) /* fine in selectors */
		why = "accepted though it is no JSON";
	json_decref(j);
	arena_done(&arena);
	return why;
}

#endif
