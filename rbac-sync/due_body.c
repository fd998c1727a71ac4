/* Owns the JSON of what is due: names, marks, roleRef and subjects, spec. */
#include <stdlib.h>

#include "common/clock.h"
#include "common/jsonx.h"
#include "rbac-sync/due_internal.h"

#define RBAC_GROUP "rbac.authorization.k8s.io"
#define HASH_LEN 10

static json_t *text_of(struct slice s)
{
	return json_stringn(s.p ? s.p : "", s.len);
}

static const char *role_kind(const struct template_grant *g)
{
	return g->cluster_role ? "ClusterRole" : "Role";
}

static const char *role_name(const struct template_grant *g)
{
	return g->cluster_role ? g->cluster_role : g->role;
}

static const char *subject_name(enum subject_kind kind)
{
	return kind == SUBJECT_GROUP ? "Group" : "User";
}

void due_template_key(const char *template_, char out[SPOOL_KEY_LEN + 1])
{
	pattern_group_key(SLICE(DUE_PROVIDER_ANY), slice_of(template_), out);
}

void due_owner_key(const struct due_body *b, char out[SPOOL_KEY_LEN + 1])
{
	if (b->owner == OWNER_USER)
		spool_key(b->values->provider, b->values->user, out);
	else if (b->owner == OWNER_GROUP)
		pattern_group_key(b->values->provider, b->group, out);
	else
		due_template_key(b->t->name, out);
}

const char *due_name(struct arena *a, const char *template_, const struct due_name *n)
{
	struct buf text;
	char key[SPOOL_KEY_LEN + 1];
	buf_init(&text, SPOOL_EVENT_MAX);
	/* No part can hold NUL. */
	buf_adds(&text, subject_name(n->kind));
	buf_addc(&text, '\0');
	buf_slice(&text, n->subject);
	buf_addc(&text, '\0');
	buf_adds(&text, n->role_kind);
	buf_addc(&text, '\0');
	buf_adds(&text, n->role);
	buf_addc(&text, '\0');
	buf_slice(&text, slice_of(n->namespace_));
	spool_key(n->provider, buf_view(&text), key);
	buf_done(&text);
	return arena_printf(a, "portcullis:%s:%.*s", template_, HASH_LEN, key);
}

const char *due_binding_name(struct arena *a, const struct due_body *b, enum subject_kind kind)
{
	const struct due_name n = {b->values->provider, kind, b->subject, role_kind(b->grant),
	    role_name(b->grant), b->id.namespace_};
	return due_name(a, b->t->name, &n);
}

/* --- metadata --- */

static enum err_code add_texts(struct arena *a, const struct due_body *b, const struct template_value *from,
    bool labels, json_t *to, struct err *e)
{
	for (size_t i = 0; from && i < from->len; i++) {
		const struct template_value *item = &from->items[i];
		json_t *j;
		TRY(template_value_json(item, b->values, a, &j, e));
		bool fits = !labels || label_value_ok(jsonx_text(j));
		if (json_object_setn_new(to, item->key.p, item->key.len, j) != 0 || !fits)
			return err_set(e, ERR_REFUSED, SLICE_FMT ": \"%s\" is no value of a label",
			    SLICE_ARG(item->key),
			    fits ? "" : json_string_value(json_object_getn(to, item->key.p, item->key.len)));
	}
	return ERR_OK;
}

/* Ours come last: nothing that a template says replaces them. */
static int add_marks(const struct due_body *b, json_t *labels, json_t *annotations)
{
	char key[SPOOL_KEY_LEN + 1];
	bool any = b->owner == OWNER_TEMPLATE;
	due_owner_key(b, key);
	int failed = json_object_set_new(labels, LABEL_MANAGED_BY, json_string(MANAGED_BY)) |
		     json_object_set_new(labels, LABEL_RECORD, json_string(key)) |
		     json_object_set_new(labels, LABEL_TEMPLATE, json_string(b->t->name)) |
		     json_object_set_new(annotations, ANNOTATION_GENERATION, json_string(b->t->generation)) |
		     json_object_set_new(annotations, ANNOTATION_PROVIDER,
			 any ? json_string(DUE_PROVIDER_ANY) : text_of(b->values->provider));
	if (b->owner == OWNER_USER)
		failed |= json_object_set_new(annotations, ANNOTATION_USER, text_of(b->values->user));
	if (b->owner == OWNER_GROUP)
		failed |= json_object_set_new(annotations, ANNOTATION_GROUP, text_of(b->group));
	return failed;
}

static int add_expiry(const struct due_body *b, json_t *annotations)
{
	struct buf text;
	if (!b->expires)
		return 0;
	buf_init(&text, 64);
	window_print_moment(b->expires * CLOCK_SECOND, &text);
	int failed = json_object_set_new(annotations, ANNOTATION_EXPIRES, json_string(buf_cstr(&text)));
	buf_done(&text);
	return failed;
}

static enum err_code add_metadata(struct arena *a, const struct due_body *b, json_t *to, struct err *e)
{
	json_t *meta = json_object(), *labels = json_object(), *annotations = json_object();
	int failed = json_object_set_new(to, "metadata", meta) | json_object_set_new(meta, "labels", labels) |
		     json_object_set_new(meta, "annotations", annotations) |
		     json_object_set_new(meta, "name", json_string(b->id.name));
	if (b->id.namespace_)
		failed |= json_object_set_new(meta, "namespace", json_string(b->id.namespace_));
	TRY(add_texts(a, b, b->labels, true, labels, e));
	TRY(add_texts(a, b, b->annotations, false, annotations, e));
	/* Text that is no UTF-8 would fail here; events hold none. */
	if (failed | add_marks(b, labels, annotations) | add_expiry(b, annotations))
		return err_set(e, ERR_REFUSED, "the identity does not fit into JSON");
	return ERR_OK;
}

/* --- the rest --- */

static enum err_code add_binding(const struct due_body *b, json_t *to, struct err *e)
{
	const char *kind = subject_name(b->owner == OWNER_GROUP ? SUBJECT_GROUP : SUBJECT_USER);
	json_t *role = json_pack("{s:s,s:s,s:s}", "apiGroup", RBAC_GROUP, "kind", role_kind(b->grant), "name",
	    role_name(b->grant));
	json_t *subjects = json_pack("[{s:s,s:s,s:o}]", "apiGroup", RBAC_GROUP, "kind", kind, "name",
	    text_of(b->subject));
	if (json_object_set_new(to, "roleRef", role) | json_object_set_new(to, "subjects", subjects))
		return err_set(e, ERR_REFUSED, "the identity does not fit into JSON");
	return ERR_OK;
}

static enum err_code add_spec(struct arena *a, const struct due_body *b, json_t *to, struct err *e)
{
	json_t *spec;
	TRY(template_value_json(b->spec, b->values, a, &spec, e));
	return json_object_set_new(to, "spec", spec) == 0 ? ERR_OK
							  : err_set(e, ERR_INTERNAL, "no memory for JSON");
}

static void hash_of(const json_t *body, char out[17])
{
	char *text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
	char hex[2 * SHA256_LEN + 1];
	if (!text)
		abort();
	sha256_hex(text, strlen(text), hex);
	memcpy(out, hex, 16);
	out[16] = '\0';
	free(text);
}

enum err_code due_body_json(
    struct arena *a, const struct due_body *b, json_t **out, char hash[17], struct err *e)
{
	const struct object_type *type = &object_types[b->id.kind];
	json_t *body = json_pack("{s:s,s:s}", "apiVersion", type->api_version, "kind", type->kind);
	if (!body)
		abort();
	jsonx_on_done(a, body);
	TRY(add_metadata(a, b, body, e));
	if (b->grant)
		TRY(add_binding(b, body, e));
	if (b->spec)
		TRY(add_spec(a, b, body, e));
	hash_of(body, hash);
	json_t *annotations = json_object_get(json_object_get(body, "metadata"), "annotations");
	json_object_set_new(annotations, ANNOTATION_SPEC_HASH, json_string(hash));
	*out = body;
	return ERR_OK;
}
