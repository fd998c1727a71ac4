/* Owns reading SubjectAccessReviews (authorization.k8s.io/v1 and v1beta1) in one strict pass. */
#include "authz/sar.h"

#include "common/jsonscan.h"

/* v1beta1 differs in one place: the subject's groups are called `group`. */
static const struct version {
	const char *name, *groups;
} versions[] = {
    {"authorization.k8s.io/v1", "groups"},
    {"authorization.k8s.io/v1beta1", "group"},
};

struct reader {
	struct jsonscan scan;
	struct sar *out;
	const struct version *version; /* NULL until apiVersion was read */
	bool resource, path; /* which attribute blocks stand there */
	bool kind, spec; /* were read */
};

/* --- parts of the spec --- */

/* False for null, which reads as absent, and on error. */
static bool enter_object(struct jsonscan *s)
{
	return !jsonscan_null(s) && jsonscan_enter_object(s);
}

struct requirements {
	struct access_requirement *items;
	size_t n, cap;
};

static bool read_requirement(struct reader *r, struct access_requirement *q)
{
	struct jsonscan *s = &r->scan;
	struct slice key, *values = NULL;
	if (!jsonscan_enter_object(s))
		return false;
	while (jsonscan_key(s, &key)) {
		if (slice_is(key, "key"))
			jsonscan_string(s, &q->key);
		else if (slice_is(key, "operator"))
			jsonscan_string(s, &q->op);
		else if (slice_is(key, "values"))
			jsonscan_strings(s, SAR_VALUES_MAX, &values, &q->n);
		else
			jsonscan_skip(s);
	}
	q->values = values;
	return s->err.code == ERR_OK;
}

static bool read_requirements(struct reader *r, struct requirements *list)
{
	struct jsonscan *s = &r->scan;
	if (jsonscan_null(s))
		return true;
	if (!jsonscan_enter_array(s))
		return false;
	while (jsonscan_element(s)) {
		if (list->n == SAR_REQUIREMENTS_MAX) {
			jsonscan_skip(s);
			continue;
		}
		ARENA_ROOM(s->arena, list->items, list->n, list->cap, 8);
		if (!read_requirement(r, &list->items[list->n++]))
			return false;
	}
	return s->err.code == ERR_OK;
}

/* rawSelector is ignored, as upstream advises: it is not what the apiserver will apply. Whoever asks writes
 * selectors, and a NUL in one (metadata.name!=%00) must not make the review one that cannot be read. */
static bool read_selector(struct reader *r, const struct access_requirement **items, size_t *n)
{
	struct jsonscan *s = &r->scan;
	struct requirements list = {0};
	struct slice key;
	if (!enter_object(s))
		return s->err.code == ERR_OK;
	s->nul = true;
	while (jsonscan_key(s, &key)) {
		if (slice_is(key, "requirements"))
			read_requirements(r, &list);
		else
			jsonscan_skip(s);
	}
	s->nul = false;
	*items = list.items;
	*n = list.n;
	return s->err.code == ERR_OK;
}

static struct slice *resource_string(struct access_request *q, struct slice key)
{
	const struct {
		const char *key;
		struct slice *value;
	} strings[] = {
	    {"namespace", &q->namespace_},
	    {"verb", &q->verb},
	    {"group", &q->api_group},
	    {"version", &q->version},
	    {"resource", &q->resource},
	    {"subresource", &q->subresource},
	    {"name", &q->name},
	};
	for (size_t i = 0; i < ARRAY_LEN(strings); i++)
		if (slice_is(key, strings[i].key))
			return strings[i].value;
	return NULL;
}

static bool read_resource(struct reader *r, struct access_request *q)
{
	struct jsonscan *s = &r->scan;
	struct slice key, *value;
	if (!enter_object(s))
		return s->err.code == ERR_OK;
	r->resource = true;
	while (jsonscan_key(s, &key)) {
		if ((value = resource_string(q, key)))
			jsonscan_string(s, value);
		else if (slice_is(key, "fieldSelector"))
			read_selector(r, &q->field_selector, &q->nfield);
		else if (slice_is(key, "labelSelector"))
			read_selector(r, &q->label_selector, &q->nlabel);
		else
			jsonscan_skip(s);
	}
	return s->err.code == ERR_OK;
}

static bool read_path(struct reader *r, struct slice *path, struct slice *verb)
{
	struct jsonscan *s = &r->scan;
	struct slice key;
	if (!enter_object(s))
		return s->err.code == ERR_OK;
	r->path = true;
	while (jsonscan_key(s, &key)) {
		if (slice_is(key, "path"))
			jsonscan_string(s, path);
		else if (slice_is(key, "verb"))
			jsonscan_string(s, verb);
		else
			jsonscan_skip(s);
	}
	return s->err.code == ERR_OK;
}

static bool read_extra(struct reader *r, struct access_request *q)
{
	struct jsonscan *s = &r->scan;
	struct access_extra *items = NULL;
	size_t n = 0, cap = 0;
	struct slice key;
	if (!enter_object(s))
		return s->err.code == ERR_OK;
	while (jsonscan_key(s, &key)) {
		struct slice *values;
		ARENA_ROOM(s->arena, items, n, cap, 8);
		items[n].key = key;
		if (!jsonscan_strings(s, SAR_VALUES_MAX, &values, &items[n].n))
			return false;
		items[n++].values = values;
	}
	q->extra = items;
	q->nextra = n;
	return s->err.code == ERR_OK;
}

static bool read_groups(struct reader *r, struct access_request *q)
{
	struct slice *groups;
	if (!jsonscan_strings(&r->scan, SAR_GROUPS_MAX, &groups, &q->ngroups))
		return false;
	q->groups = groups;
	return true;
}

static bool read_spec(struct reader *r)
{
	struct jsonscan *s = &r->scan;
	struct access_request *q = &r->out->request;
	struct slice key, path_verb = {0};
	r->spec = true;
	if (!enter_object(s))
		return s->err.code == ERR_OK;
	while (jsonscan_key(s, &key)) {
		if (slice_is(key, "resourceAttributes"))
			read_resource(r, q);
		else if (slice_is(key, "nonResourceAttributes"))
			read_path(r, &q->path, &path_verb);
		else if (slice_is(key, "user"))
			jsonscan_string(s, &q->user);
		else if (slice_is(key, r->version->groups))
			read_groups(r, q);
		else if (slice_is(key, "extra"))
			read_extra(r, q);
		else if (slice_is(key, "uid"))
			jsonscan_string(s, &q->uid);
		else
			jsonscan_skip(s);
	}
	q->resource_request = r->resource;
	if (!r->resource)
		q->verb = path_verb;
	return s->err.code == ERR_OK;
}

/* --- the review --- */

static bool read_version(struct reader *r)
{
	struct slice text;
	if (!jsonscan_string(&r->scan, &text))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(versions); i++)
		if (slice_is(text, versions[i].name))
			r->version = &versions[i];
	return r->version ||
	       jsonscan_fail(&r->scan, "apiVersion: expected authorization.k8s.io/v1 or v1beta1");
}

static bool read_kind(struct reader *r)
{
	struct slice text;
	if (!jsonscan_string(&r->scan, &text))
		return false;
	r->kind = slice_is(text, "SubjectAccessReview");
	return r->kind || jsonscan_fail(&r->scan, "kind: expected SubjectAccessReview");
}

/* What the spec means depends on apiVersion: when that comes later, the spec is read after it. */
static bool note_spec(struct reader *r)
{
	struct jsonscan *s = &r->scan;
	size_t from = s->at;
	if (!(r->version ? read_spec(r) : jsonscan_skip(s)))
		return false;
	r->out->spec = (struct slice){s->text.p + from, s->at - from};
	return true;
}

static bool read_late_spec(struct reader *r)
{
	struct jsonscan *s = &r->scan;
	struct slice spec = r->out->spec;
	if (r->spec || spec.len == 0)
		return true;
	size_t from = (size_t)(spec.p - s->text.p);
	jsonscan_init(s, (struct slice){s->text.p, from + spec.len}, s->arena);
	s->at = from;
	return read_spec(r) && jsonscan_finish(s);
}

static bool read_review(struct reader *r)
{
	struct jsonscan *s = &r->scan;
	struct slice key;
	if (!jsonscan_enter_object(s))
		return false;
	while (jsonscan_key(s, &key)) {
		if (slice_is(key, "apiVersion"))
			read_version(r);
		else if (slice_is(key, "kind"))
			read_kind(r);
		else if (slice_is(key, "spec"))
			note_spec(r);
		else
			jsonscan_skip(s);
	}
	if (!jsonscan_finish(s))
		return false;
	if (!r->version)
		return jsonscan_fail(s, "apiVersion is missing");
	if (!r->kind)
		return jsonscan_fail(s, "kind is missing");
	return read_late_spec(r);
}

enum err_code sar_parse(struct slice body, struct arena *a, struct sar *out, struct err *e)
{
	struct reader r = {.out = out};
	*out = (struct sar){0};
	jsonscan_init(&r.scan, body, a);
	if (!read_review(&r))
		return err_set(e, ERR_INVALID, "%s", r.scan.err.msg);
	if (arena_over(a))
		return err_set(e, ERR_INVALID, "the review needs more memory than it may have");
	out->api_version = r.version->name;
	if (r.resource && r.path)
		out->unanswerable = "exactly one of resourceAttributes and nonResourceAttributes "
				    "must be set, both are";
	else if (!r.resource && !r.path)
		out->unanswerable = "exactly one of resourceAttributes and nonResourceAttributes "
				    "must be set, none is";
	return ERR_OK;
}
