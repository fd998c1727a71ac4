/* Owns the reading of UserRecords and the rule by which replicas' news of one user merge. */
#include "rbac-sync/record.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/jsonx.h"
#include "common/secret.h"

static const char *const phases[] = {
    [PHASE_PENDING] = "Pending",
    [PHASE_READY] = "Ready",
    [PHASE_DEGRADED] = "Degraded",
    [PHASE_STALE] = "Stale",
    [PHASE_DISABLED] = "Disabled",
    [PHASE_DELETED] = "Deleted",
};

const char *record_phase_name(enum record_phase p)
{
	return phases[p];
}

/* --- members --- */

/* A copy in ARENA; NULL when absent or empty. */
static enum err_code read_text(
    const json_t *o, const char *key, struct arena *a, const char **out, struct err *e)
{
	struct slice s;
	*out = NULL;
	TRY(jsonx_string(o, key, &s, e));
	if (s.len)
		*out = slice_dup(a, s).p;
	return ERR_OK;
}

static enum err_code read_slice(
    const json_t *o, const char *key, struct arena *a, struct slice *out, struct err *e)
{
	TRY(jsonx_string(o, key, out, e));
	*out = slice_dup(a, *out);
	return ERR_OK;
}

/* RFC 3339 into unix seconds; absent: 0. A time that is there is never 0: that would mean "never". */
static enum err_code read_time(const json_t *o, const char *key, int64_t *out, struct err *e)
{
	struct slice s;
	int64_t ns;
	*out = 0;
	TRY(jsonx_string(o, key, &s, e));
	if (!json_object_get(o, key))
		return ERR_OK;
	if (!clock_parse_rfc3339(s, &ns))
		return err_set(e, ERR_INVALID, "%s: no time of RFC 3339 up to the year 2200", key);
	*out = ns / CLOCK_SECOND > 0 ? ns / CLOCK_SECOND : 1;
	return ERR_OK;
}

static enum err_code read_bool(const json_t *o, const char *key, bool *out, struct err *e)
{
	const json_t *v = json_object_get(o, key);
	*out = json_is_true(v);
	if (v && !json_is_boolean(v))
		return err_set(e, ERR_INVALID, "%s: neither true nor false", key);
	return ERR_OK;
}

static enum err_code read_count(const json_t *o, const char *key, int64_t *out, struct err *e)
{
	bool have;
	TRY(jsonx_int(o, key, out, &have, e));
	if (*out < 0)
		return err_set(e, ERR_INVALID, "%s: must not be negative", key);
	return ERR_OK;
}

static enum err_code read_list(const json_t *o, const char *key, size_t max, struct arena *a,
    const struct slice **out, size_t *n, struct err *e)
{
	struct slice *v;
	TRY(jsonx_strings(o, key, false, a, &v, n, e));
	if (*n > max)
		return err_set(e, ERR_INVALID, "%s: more than %zu", key, max);
	*out = slice_dup_all(a, v, *n);
	return ERR_OK;
}

/* The member KEY, which must be an object when it is there. */
static enum err_code member(const json_t *o, const char *key, const json_t **out, struct err *e)
{
	*out = json_object_get(o, key);
	if (*out && !json_is_object(*out))
		return err_set(e, ERR_INVALID, "%s: not an object", key);
	return ERR_OK;
}

/* The list KEY of at most MAX; *OUT is NULL when absent. */
static enum err_code array(const json_t *o, const char *key, size_t max, const json_t **out, struct err *e)
{
	*out = json_object_get(o, key);
	if (*out && !json_is_array(*out))
		return err_set(e, ERR_INVALID, "%s: not a list", key);
	if (json_array_size(*out) > max)
		return err_set(e, ERR_INVALID, "%s: more than %zu", key, max);
	return ERR_OK;
}

/* --- metadata --- */

static enum err_code read_meta(const json_t *o, struct arena *a, struct record *r, struct err *e)
{
	const json_t *meta, *labels;
	int64_t deleted;
	struct slice keep;
	TRY(member(o, "metadata", &meta, e));
	TRY(read_text(meta, "name", a, &r->name, e));
	TRY(read_text(meta, "uid", a, &r->uid, e));
	TRY(read_text(meta, "resourceVersion", a, &r->resource_version, e));
	TRY(read_count(meta, "generation", &r->generation, e));
	TRY(read_time(meta, "creationTimestamp", &r->created, e));
	TRY(read_time(meta, "deletionTimestamp", &deleted, e));
	r->deleting = deleted != 0;
	TRY(member(meta, "labels", &labels, e));
	TRY(jsonx_string(labels, LABEL_KEEP, &keep, e));
	r->keep_label = slice_is(keep, "true");
	return r->name ? ERR_OK : err_set(e, ERR_INVALID, "name: missing");
}

/* --- spec --- */

static enum err_code read_extra(const json_t *o, struct arena *a, struct spool_event *ev, struct err *e)
{
	const json_t *extra;
	const char *key;
	json_t *value;
	TRY(member(o, "extra", &extra, e));
	if (json_object_size(extra) > RECORD_EXTRA_MAX)
		return err_set(e, ERR_INVALID, "extra: more than %d keys", RECORD_EXTRA_MAX);
	struct spool_extra *out = ARENA_ARRAY(a, struct spool_extra, json_object_size(extra));
	/* The macro asks for what may be changed; nothing is. */
	json_object_foreach((json_t *)(uintptr_t)extra, key, value)
	{
		struct spool_extra *x = &out[ev->nextra++];
		x->key = slice_dup(a, slice_of(key));
		TRY(read_list(extra, key, RECORD_VALUES_MAX, a, &x->values, &x->n, e));
	}
	ev->extra = out;
	return ERR_OK;
}

static enum err_code read_identity(const json_t *spec, struct arena *a, struct spool_event *ev, struct err *e)
{
	const json_t *id;
	TRY(member(spec, "identity", &id, e));
	TRY(read_slice(id, "provider", a, &ev->provider, e));
	TRY(read_slice(id, "issuer", a, &ev->issuer, e));
	TRY(read_slice(id, "username", a, &ev->username, e));
	TRY(read_slice(id, "uid", a, &ev->uid, e));
	TRY(read_list(id, "groups", RECORD_GROUPS_MAX, a, &ev->groups, &ev->ngroups, e));
	TRY(read_extra(id, a, ev, e));
	if (ev->provider.len == 0 || ev->username.len == 0)
		return err_set(e, ERR_INVALID, "identity: provider and username must not be empty");
	return ERR_OK;
}

static enum err_code read_state(const json_t *spec, enum record_state *out, struct err *e)
{
	struct slice s;
	TRY(jsonx_string(spec, "state", &s, e));
	*out = RECORD_STATE_UNSET;
	if (slice_is(s, "Active"))
		*out = RECORD_STATE_ACTIVE;
	else if (slice_is(s, "Suspended"))
		*out = RECORD_STATE_SUSPENDED;
	else if (json_object_get(spec, "state"))
		return err_set(e, ERR_INVALID, "state: neither Active nor Suspended");
	return ERR_OK;
}

static enum err_code read_spec(const json_t *o, struct arena *a, struct record *r, struct err *e)
{
	const json_t *spec;
	struct spool_event *ev = &r->identity;
	TRY(member(o, "spec", &spec, e));
	TRY(read_identity(spec, a, ev, e));
	TRY(read_time(spec, "observedAt", &ev->seen_at, e));
	TRY(read_count(spec, "iat", &ev->iat, e));
	TRY(read_slice(spec, "observedBy", a, &ev->node, e));
	TRY(read_state(spec, &r->state, e));
	TRY(read_time(spec, "expiresAt", &r->expires_at, e));
	return read_bool(spec, "keep", &r->keep, e);
}

/* --- status --- */

static enum err_code read_phase(const json_t *status, enum record_phase *out, struct err *e)
{
	struct slice s;
	TRY(jsonx_string(status, "phase", &s, e));
	*out = PHASE_PENDING;
	for (size_t i = 0; i < ARRAY_LEN(phases); i++) {
		if (slice_is(s, phases[i])) {
			*out = (enum record_phase)i;
			return ERR_OK;
		}
	}
	return json_object_get(status, "phase") ? err_set(e, ERR_INVALID, "phase: none of ours") : ERR_OK;
}

static enum err_code read_kind(const json_t *o, enum object_kind *out, struct err *e)
{
	struct slice s;
	TRY(jsonx_string(o, "kind", &s, e));
	for (unsigned i = 0; i < KIND_COUNT; i++) {
		if (slice_is(s, object_types[i].kind)) {
			*out = (enum object_kind)i;
			return ERR_OK;
		}
	}
	return err_set(e, ERR_INVALID, "bindings: a kind that we do not make");
}

static enum err_code read_binding(
    const json_t *o, struct arena *a, struct record_binding *b, struct err *e)
{
	if (!json_is_object(o))
		return err_set(e, ERR_INVALID, "bindings: not a list of objects");
	TRY(read_kind(o, &b->id.kind, e));
	TRY(read_text(o, "namespace", a, &b->id.namespace_, e));
	TRY(read_text(o, "name", a, &b->id.name, e));
	TRY(read_text(o, "uid", a, &b->uid, e));
	TRY(read_text(o, "template", a, &b->template_, e));
	TRY(read_text(o, "hash", a, &b->hash, e));
	TRY(read_text(o, "live", a, &b->live, e));
	TRY(read_time(o, "expires", &b->expires, e));
	TRY(read_text(o, "successor", a, &b->successor, e));
	if (!b->id.name || (b->id.namespace_ != NULL) != object_types[b->id.kind].namespaced)
		return err_set(e, ERR_INVALID, "bindings: an entry without a name or with a wrong place");
	return ERR_OK;
}

static enum err_code read_bindings(const json_t *status, struct arena *a, struct record *r, struct err *e)
{
	const json_t *list;
	TRY(array(status, "bindings", RECORD_BINDINGS_MAX, &list, e));
	struct record_binding *out = ARENA_ARRAY(a, struct record_binding, json_array_size(list));
	for (; r->nbindings < json_array_size(list); r->nbindings++)
		TRY(read_binding(json_array_get(list, r->nbindings), a, &out[r->nbindings], e));
	r->bindings = out;
	return ERR_OK;
}

static enum err_code read_condition(
    const json_t *o, struct arena *a, struct record_condition *c, struct err *e)
{
	struct slice status;
	if (!json_is_object(o))
		return err_set(e, ERR_INVALID, "conditions: not a list of objects");
	TRY(read_text(o, "type", a, &c->type, e));
	TRY(jsonx_string(o, "status", &status, e));
	c->status = slice_is(status, "True");
	TRY(read_text(o, "reason", a, &c->reason, e));
	TRY(read_text(o, "message", a, &c->message, e));
	TRY(read_time(o, "lastTransitionTime", &c->since, e));
	return c->type ? ERR_OK : err_set(e, ERR_INVALID, "conditions: one without a type");
}

static enum err_code read_conditions(const json_t *status, struct arena *a, struct record *r, struct err *e)
{
	const json_t *list;
	TRY(array(status, "conditions", RECORD_CONDITIONS_MAX, &list, e));
	struct record_condition *out = ARENA_ARRAY(a, struct record_condition, json_array_size(list));
	for (; r->nconditions < json_array_size(list); r->nconditions++)
		TRY(read_condition(json_array_get(list, r->nconditions), a, &out[r->nconditions], e));
	r->conditions = out;
	return ERR_OK;
}

static int by_group(const void *a, const void *b)
{
	return slice_cmp(((const struct record_lost *)a)->group, ((const struct record_lost *)b)->group);
}

/* Of one that stands there twice, which the CRD forbids, the first is taken. */
static size_t settle_lost(struct record_lost *v, size_t n)
{
	size_t k = 0;
	if (n)
		qsort(v, n, sizeof(*v), by_group);
	for (size_t i = 0; i < n; i++) {
		if (k == 0 || !slice_eq(v[k - 1].group, v[i].group))
			v[k++] = v[i];
	}
	return k;
}

static enum err_code read_lost(const json_t *status, struct arena *a, struct record *r, struct err *e)
{
	const json_t *list;
	TRY(array(status, "lostGroups", RECORD_GROUPS_MAX, &list, e));
	struct record_lost *out = ARENA_ARRAY(a, struct record_lost, json_array_size(list) + 1);
	size_t n = json_array_size(list);
	for (size_t i = 0; i < n; i++) {
		const json_t *o = json_array_get(list, i);
		struct record_lost *l = &out[i];
		if (!json_is_object(o))
			return err_set(e, ERR_INVALID, "lostGroups: not a list of objects");
		TRY(read_slice(o, "name", a, &l->group, e));
		TRY(read_time(o, "since", &l->since, e));
		TRY(read_text(o, "directory", a, &l->directory, e));
		if (!l->group.len || !l->since)
			return err_set(e, ERR_INVALID, "lostGroups: one without name or time");
	}
	r->nlost = settle_lost(out, n);
	r->lost = out;
	return ERR_OK;
}

const struct record_binding *record_binding_of(const struct record *r, const struct object_id *id)
{
	for (size_t i = 0; i < r->nbindings; i++) {
		if (object_id_eq(&r->bindings[i].id, id))
			return &r->bindings[i];
	}
	return NULL;
}

const struct record_condition *record_condition_of(const struct record *r, const char *type, bool status)
{
	for (size_t i = 0; i < r->nconditions; i++) {
		if (text_eq(r->conditions[i].type, type) && r->conditions[i].status == status)
			return &r->conditions[i];
	}
	return NULL;
}

const struct record_lost *record_lost(const struct record *r, struct slice group)
{
	const struct record_lost key = {.group = group};
	return r->nlost ? bsearch(&key, r->lost, r->nlost, sizeof(key), by_group) : NULL;
}

static enum err_code read_times(const json_t *status, struct record *r, struct err *e)
{
	TRY(read_time(status, "firstSeen", &r->first_seen, e));
	TRY(read_time(status, "lastSeen", &r->last_seen, e));
	TRY(read_time(status, "missingSince", &r->missing_since, e));
	TRY(read_time(status, "disabledAt", &r->disabled_at, e));
	TRY(read_time(status, "disableAfter", &r->disable_after, e));
	return read_time(status, "deleteAfter", &r->delete_after, e);
}

static enum err_code read_status(const json_t *o, struct arena *a, struct record *r, struct err *e)
{
	const json_t *status;
	TRY(member(o, "status", &status, e));
	TRY(read_phase(status, &r->phase, e));
	TRY(read_times(status, r, e));
	TRY(read_list(status, "nodes", RECORD_NODES_MAX, a, &r->nodes, &r->nnodes, e));
	TRY(read_bindings(status, a, r, e));
	TRY(read_lost(status, a, r, e));
	TRY(read_conditions(status, a, r, e));
	TRY(read_count(status, "observedGeneration", &r->observed_generation, e));
	TRY(read_text(status, "observedDigest", a, &r->observed_digest, e));
	return read_text(status, "templatesDigest", a, &r->templates_digest, e);
}

static enum err_code check_type(const json_t *o, struct err *e)
{
	struct slice kind, version;
	if (!json_is_object(o))
		return err_set(e, ERR_INVALID, "not an object");
	TRY(jsonx_string(o, "kind", &kind, e));
	TRY(jsonx_string(o, "apiVersion", &version, e));
	/* The items of a list carry neither. */
	if ((kind.len && !slice_is(kind, RECORD_KIND)) || (version.len && !slice_is(version, API_VERSION)))
		return err_set(e, ERR_INVALID, "no " RECORD_KIND " of " API_VERSION);
	return ERR_OK;
}

enum err_code record_read(const json_t *object, struct arena *a, struct record *out, struct err *e)
{
	char key[SPOOL_KEY_LEN + 1];
	*out = (struct record){0};
	TRY(check_type(object, e));
	TRY(read_meta(object, a, out, e));
	TRY(read_spec(object, a, out, e));
	spool_key(out->identity.provider, out->identity.username, key);
	if (strcmp(key, out->name) != 0)
		return err_set(e, ERR_INVALID, "name: is not the key of provider and username");
	return read_status(object, a, out, e);
}

size_t record_claims(const json_t *object, struct arena *a, struct object_id **out)
{
	const json_t *list = json_object_get(json_object_get(object, "status"), "bindings"), *item;
	size_t i, n = 0;
	*out = ARENA_ARRAY(a, struct object_id, json_array_size(list) + 1);
	json_array_foreach(list, i, item) {
		struct record_binding b = {0};
		struct err e;
		if (read_kind(item, &b.id.kind, &e) == ERR_OK && read_text(item, "namespace", a, &b.id.namespace_, &e) == ERR_OK &&
		    read_text(item, "name", a, &b.id.name, &e) == ERR_OK && b.id.name)
			(*out)[n++] = b.id;
	}
	return n;
}

/* --- merging --- */

static int newer(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

enum record_merge record_merge(const struct record *stored, const struct spool_event *ev, int64_t touch)
{
	const struct spool_event *have = &stored->identity;
	uint8_t x[SHA256_LEN], y[SHA256_LEN];
	int by_iat = have->iat && ev->iat ? newer(ev->iat, have->iat) : 0;
	int by_time = newer(ev->seen_at, have->seen_at);
	if (by_iat < 0 || (by_iat == 0 && by_time < 0))
		return MERGE_DROP;
	spool_digest(have, x);
	spool_digest(ev, y);
	if (memcmp(x, y, sizeof(x)) != 0)
		return MERGE_WRITE;
	/* A newer iat is told, that what was issued between the two cannot come later and win. */
	if (by_iat > 0 || (ev->iat && !have->iat))
		return MERGE_WRITE;
	return by_time > 0 && ev->seen_at - have->seen_at >= touch ? MERGE_WRITE : MERGE_SAME;
}
